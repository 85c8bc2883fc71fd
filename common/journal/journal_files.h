/* journal_files.h — a journal's files: their names, and how a chain is read line by line over them.
 *
 *     commands-00000007.jsonl     refusals-00000003.jsonl          segments, numbered upwards; removed from the oldest on
 *
 *     {"n":41,"event":"segment",…,"prev":HASH}    the number and the hash of the record before this file: so the oldest file
 *     {"n":42,"event":"intent",…}                 that is left can be checked without those that are gone
 *     …
 *
 * A SEGMENT line stands at the beginning of a file and nowhere else, and does not count: its n is that of the record before.
 *
 * How a file ends. A process or a host that dies while it writes leaves a *torn tail*: at the end of the newest file something
 * that is no record, or a last line that does not follow. Nothing in it was promised to anybody. The same anywhere else, with
 * records behind it, is damage or forgery (*broken*). Bytes 0 count as torn whatever follows: no record has any, and file
 * systems leave them where a block was allocated and not written before the power went; what stands behind such a hole was
 * not synced either.
 *
 * Files are reached through a `struct journal_shelf`, so that tests read from a disk of theirs. Not thread-safe, no globals.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "errcode.h"
#include "journal_record.h"

#define JOURNAL_NAME_MAX     32
#define JOURNAL_NUMBER_MAX   99999999u
#define JOURNAL_SEGMENTS_MAX (1u << 20) /* of a chain */

const char *journal_chain_name(enum journal_chain_e chain); /* "commands" */
void journal_file_name(enum journal_chain_e chain, uint32_t number, char name[JOURNAL_NAME_MAX]);
bool journal_file_parse(const char *name, enum journal_chain_e *chain, uint32_t *number);

/* --- where files are --------------------------------------------------------------------------------------------- */

typedef void journal_each_f(void *each_arg, const char *name, uint64_t bytes);

/* Every member may block, and returns -errno when it fails. */
struct journal_shelf {
    void *arg;
    int (*list)(void *arg, journal_each_f *each, void *each_arg); /* regular files, in any order */
    int (*open)(void *arg, const char *name);                     /* for reading; a handle >= 0 */
    ssize_t (*read)(void *arg, int handle, void *to, size_t len); /* from the beginning on; 0: end */
    void (*close)(void *arg, int handle);
};

/* A real directory; `*directory` is its descriptor, which stays the caller's. */
struct journal_shelf journal_shelf_of(int *directory);

/* --- which there are --------------------------------------------------------------------------------------------- */

struct journal_segment {
    uint32_t number;
    uint64_t bytes;
};

struct journal_segments { /* oldest first */
    struct journal_segment *list;
    size_t count, cap;
};

/* Lists both chains anew. 0 or -errno; what is no segment is passed over. Free with journal_segments_free(). */
int journal_segments_list(const struct journal_shelf *shelf, struct journal_segments chains[JOURNAL_CHAINS]);
int journal_segments_add(struct journal_segments *segments, uint32_t number,
                         uint64_t bytes); /* 0, -ENOMEM, -EFBIG */
void journal_segments_free(struct journal_segments chains[JOURNAL_CHAINS]);

/* --- reading a chain --------------------------------------------------------------------------------------------- */

enum journal_read_e {
    JOURNAL_READ_RECORD,
    JOURNAL_READ_END,
    JOURNAL_READ_TORN,   /* good up to `offset`; what follows counts for nothing */
    JOURNAL_READ_BROKEN, /* line `line` + 1: `why` */
    JOURNAL_READ_FAILED  /* errno in `error` */
};

struct journal_reader {
    const struct journal_shelf *shelf;
    enum journal_chain_e chain;
    /* Where the chain stands: after the last good record, over all segments. */
    bool begun;
    uint64_t n;
    uint8_t hash[JOURNAL_HASH];
    /* In the open segment */
    int handle; /* -1: none */
    bool newest;
    uint64_t line, offset; /* good lines and their bytes */
    const char *why;
    int error;
    /* What was read ahead */
    size_t at, fill;
    bool eof;
    char buffer[8 * JOURNAL_LINE_MAX];
};

/* 24 KiB: not for a stack that is small. The chain begins with what the first segment says was before it. */
void journal_reader_init(struct journal_reader *reader, const struct journal_shelf *shelf,
                         enum journal_chain_e chain);
/* `newest`: it may end torn. 0 or -errno. */
int journal_reader_open(struct journal_reader *reader, uint32_t number, bool newest);
/* The next record. Anything else than RECORD is the end of this segment; call no further. */
enum journal_read_e journal_reader_next(struct journal_reader *reader, struct journal_record *record);
void journal_reader_close(struct journal_reader *reader); /* also if none is open */
