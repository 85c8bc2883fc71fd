/* channels_answer.h — the rows of all workers become statistics (Hop: C2). Pure but for memory.
 *
 * Rows are kept as they come, sorted when all are there (by channel; of a channel its counts, then its users by the time at which they came, then by
 * name), and written for as many as ask. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "channels_rows.h"
#include "errcode.h"

struct channels_answer { /* zeroed memory is an empty one */
    char *rows;
    size_t len, cap;
    uint32_t *refs; /* offsets of the rows in their order; NULL: not sorted yet */
    uint32_t count;
    enum err_e err; /* ERR_MALFORMED, ERR_MEMORY: no answer */
};

void channels_answer_clear(struct channels_answer *answer);
/* Rows that a worker told; what is wrong with them shows in `err`. */
void channels_answer_add(struct channels_answer *answer, const char *rows, size_t len);
/* All were told. What is wrong shows in `err`. */
void channels_answer_sort(struct channels_answer *answer);

/* {"connections":2,"users":[…]} of a channel; nobody there: 0 and []. Of a sorted answer without an error. */
void channels_answer_one(const struct channels_answer *answer, const char *name, size_t len, struct out *out);
/* {"total_channels":2,"channels":{"general":{…},…}} */
void channels_answer_all(const struct channels_answer *answer, struct out *out);
