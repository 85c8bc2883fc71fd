/* command_json.h — a command as clients write it in JSON, read once for every dialect (Hop: C2). Pure.
 *
 *     {"command":1,"argument":25,"deadline_ms":2000}
 *
 * Strict, because a machine moves by it: `command` and `argument` are JSON integers from 0 to 255, nothing that merely
 * looks like one (true, 1.0, "1", -1, 256); a move names its position. What is optional may be absent or null.
 *
 * All functions return CODE_NONE, or why not: INVALID_COMMAND where a value is no command, INVALID_MESSAGE_FORMAT where
 * a member is missing or of another type. `text` then says so, with the member's name first.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"

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

/* The same of a move whose position stands under the member `name`. */
enum command_code_e command_json_move(const json_t *object, const char *name, struct command_json *out,
                                      char text[COMMAND_JSON_ERROR_MAX]);

/* deadline_ms alone. */
enum command_code_e command_json_deadline(const json_t *object, struct command_json *out,
                                          char text[COMMAND_JSON_ERROR_MAX]);

/* The optional member `name` as text of at most cap - 1 bytes; "" if it is absent. */
enum command_code_e command_json_text(const json_t *object, const char *name, char *out, size_t cap,
                                      bool *present, char text[COMMAND_JSON_ERROR_MAX]);
