/* log_line.h — one event's text with its keys told apart; private to log.c.
 *
 * The format is walked here and every conversion printed by itself, so that the border between what the program says and what it quotes is
 * known exactly: `machine=%s` is a key and a value whatever the machine is called. Rejected: reading the keys back out of the finished
 * line (a quoted " would end a value and begin a key of the peer's choice).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define LOG_FIELDS_MAX 24

struct log_field {
    const char *key; /* in the format; NULL: free words */
    size_t key_len;
    size_t start, len; /* of the value, without quotes, in text[] */
    bool number;       /* it is one, in JSON's grammar, and none of it was a string's */
};

struct log_line {
    char text[LOG_LINE_MAX]; /* as it is shown in text, without stamp; no NUL */
    size_t len;
    struct log_field fields[LOG_FIELDS_MAX]; /* of those past the last, the text is all */
    unsigned count;
};

/* `saved_errno` is what %m shows. */
void log_line_print(struct log_line *line, int saved_errno, const char *fmt, va_list args);

/* One more field, unless the line has it already; the last words make way for it. `key` is a literal. */
void log_line_add(struct log_line *line, const char *key, const char *value);
void log_line_add_number(struct log_line *line, const char *key, uint64_t value);

/* The members of the fields, each with a comma before it, into what is left of `room` bytes; never half a member. Returns the bytes. */
size_t log_line_json(const struct log_line *line, char *out, size_t room);

/* A JSON string with quotes, at most `room` bytes of it (≥ 2), cut inside if need be. */
size_t log_json_string(const char *text, size_t len, char *out, size_t room);
