/* command_json.h — a command as clients write it in JSON, read once for every dialect (Hop: C2). Pure.
 *
 *     {"command":1,"argument":25,"deadline_ms":2000}
 *
 * Strict, because a machine moves by it: `command` and `argument` are JSON integers from 0 to 255, nothing that merely
 * looks like one (true, 1.0, "1", -1, 256); a move names its position. What is optional may be absent or null.
 *
 * Declared as tables and judged by the schema library (schema_judge.h); what is wrong is told in the words of command_json.c.
 *
 * All functions return CODE_NONE, or why not: INVALID_COMMAND where a value is no command, INVALID_MESSAGE_FORMAT where
 * a member is missing or of another type, INTERNAL_ERROR without memory. `text` then says so, with the member's name first.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "schema_judge.h"

#define COMMAND_JSON_ERROR_MAX    160    /* bytes of an error text with its NUL */
#define COMMAND_JSON_DEADLINE_MAX 600000 /* ms */

struct command_json {
    uint8_t command;
    int argument;        /* -1: none */
    int64_t deadline_ms; /* -1: none */
};

/* command, argument and deadline_ms of `object`; command and argument may stand in an object under "command". */
enum command_code_e command_json_parse(const json_t *object, struct command_json *out,
                                       char text[COMMAND_JSON_ERROR_MAX]);

/* The same of a move, whose position stands under "position". */
enum command_code_e command_json_move(const json_t *object, struct command_json *out,
                                      char text[COMMAND_JSON_ERROR_MAX]);

/* deadline_ms alone. */
enum command_code_e command_json_deadline(const json_t *object, struct command_json *out,
                                          char text[COMMAND_JSON_ERROR_MAX]);

/* The member request_id; "" and not *present if there is none. */
enum command_code_e command_json_request_id(const json_t *object, char out[REQUEST_ID_MAX + 1], bool *present,
                                            char text[COMMAND_JSON_ERROR_MAX]);

/* --- for dialects with members of their own ------------------------------------------------------------------------- */

/* A text of C of at most so many bytes, that may be absent or null. */
#define COMMAND_JSON_TEXT(called, bytes)                                                                     \
    {                                                                                                        \
        .name = (called),                                                                                    \
        .type = {.kind = SCHEMA_STRING, .nullable = true, .max_bytes = (bytes), .no_nul = true},             \
        .optional = true                                                                                     \
    }

/* Judges the members that `kept` declares (found[]: see schema_judge()); what is wrong is told in the dialect's rows, then in those that
 * all share. */
enum command_code_e command_json_judge(const json_t *object, struct schema_kept *kept,
                                       const struct schema_row *rows, size_t row_count,
                                       struct schema_found *found, char text[COMMAND_JSON_ERROR_MAX]);

/* Copies a text that was judged; "" if it is NULL. */
void command_json_copy(const json_t *value, char *out);
