/* streams_answer.h — the rows of all workers become one answer (Hop: C2). Pure but for memory.
 *
 * Rows are kept as they come, sorted when all are there (stream, then host, then port, so that two answers about the same state
 * are the same), and written once for everybody who waits. Bounded: beyond STREAMS_ANSWER_MAX of rows or of answer only counting
 * goes on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "streams_rows.h"
#include "streams_survey.h"

#define STREAMS_ANSWER_MAX (32u * 1024u * 1024u)

struct streams_answer {
    char *rows;
    size_t len, cap;
    uint32_t count;                 /* rows that are kept */
    uint64_t connections, channels; /* also of rows that are not */
    enum err_e err;                 /* ERR_MALFORMED, ERR_MEMORY, ERR_TOO_LARGE: no answer */
};

void streams_answer_clear(struct streams_answer *answer); /* zeroed memory is clear, too */

/* Adds rows that a worker told to the question; what is wrong with them shows in `err`. */
void streams_answer_add(struct streams_answer *answer, enum streams_question_e question, const char *rows,
                        size_t len);

/* The answer as JSON, in memory that the caller frees; NULL: `err`. */
char *streams_answer_write(struct streams_answer *answer, enum streams_question_e question, size_t *len);
