/* exposition_internal.h — between exposition.c (segments to lines) and exposition_family.c (families and their bytes). */
#pragma once

#include "exposition.h"
#include "map.h"
#include "metric_texts.h"

#define FAMILY_NAME_MAX METRIC_NAME_MAX

struct family {
    char name[FAMILY_NAME_MAX + 1]; /* as in # TYPE */
    enum stats_kind_e kind;
    const char *text; /* NULL: unknown to this build */
    uint32_t writer;  /* the segment that wrote last: none has a family twice */
    bool begun;       /* its head is in the document */
    struct family_chunk *first, *last;
    size_t len; /* in all chunks */
};

/* Chunks are never moved: families grow in step, and some of them moving at the same segment would make one step take milliseconds. */
struct family_chunk {
    struct family_chunk *next;
    size_t len, cap;
    char bytes[];
};

enum left_out_e { SEGMENTS_SHOWN, SEGMENTS_DEAD, SEGMENTS_UNREADABLE, SEGMENTS_LEFT_OUT, SEGMENTS_COUNTED };

struct exposition {
    struct family **families;
    uint32_t count, cap, next;
    struct map by_name, labels; /* hash → family; hash of role and label → anything */
    uint32_t segment;           /* running number, from 1 */
    size_t bytes;               /* of all families */
    uint64_t counted[SEGMENTS_COUNTED];
    struct family *up,
        *up_selves; /* noria_process_up as the launcher has it, and of segments alone: one of the two is shown */
    bool failed;    /* out of memory */
};

/* The family of this name; NULL: it is of another kind, or the segment that is being added had it, or there is no memory (`failed`). */
struct family *family_of(struct exposition *exposition, const char *name, enum stats_kind_e kind);
struct family *family_new(struct exposition *exposition, const char *name, enum stats_kind_e kind,
                          const char *text);
void family_free(struct family *family);

/* Room for `len` bytes; NULL: no memory (`failed`). The caller says how many it took. */
char *family_room(struct exposition *exposition, struct family *family, size_t len);
void family_took(struct exposition *exposition, struct family *family, size_t len);

/* A sample line: name, suffix, labels (without braces; "": none), value. */
void family_line(struct exposition *exposition, struct family *family, const char *labels, uint64_t value);
/* Takes the first chunk out; NULL: there is none. The caller frees it. */
struct family_chunk *family_take_chunk(struct family *family);
/* # HELP and # TYPE. */
size_t family_head(const struct family *family, struct out *out);
