/* schema_json_internal.h — between schema_json.c, which reads values, and schema_json_string.c, which reads what stands in quotes. */
#pragma once

#include "schema_json.h"

struct reader {
    const char *text, *at, *end;
    size_t values_left;
    unsigned depth;
    const struct schema_json_rules *rules;
    const char *token;       /* what is being read */
    enum schema_json_e kind; /* of the error */
    const char *why;         /* the error, at `at`; NULL and no result: no memory */
    char *scratch;           /* the last string that had escapes */
    size_t scratch_size;
};

/* What stands between two quotes: in the text itself, or decoded in memory that is the piece's own. */
struct piece {
    const char *at;
    size_t len;
    bool escaped;
};

/* Notes an error at `at`; always NULL. */
static inline json_t *json_reader_fail(struct reader *reader, const char *at, const char *why)
{
    reader->at = at;
    reader->why = why;
    return NULL;
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a string at reader->at, which moves behind it. A piece that had escapes lies in reader->scratch until the next one. */
bool json_read_piece(struct reader *reader, struct piece *piece);
