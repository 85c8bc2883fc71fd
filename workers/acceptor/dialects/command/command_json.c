#include "command_json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "must.h"

/* --- what is declared ----------------------------------------------------------------------------------------------- */

#define BYTE .kind = SCHEMA_INT, .ge = "0", .le = "255"

enum { PAIR_COMMAND, PAIR_ARGUMENT, PAIR_MEMBERS };
static struct schema_kept pair = {
    .table = &(const struct schema_object){
        .name = "Command",
        .members = (const struct schema_member[]){{.name = "command", .type = {BYTE}},
                                                  {.name = "argument",
                                                   .type = {BYTE, .nullable = true},
                                                   .optional = true}},
        .member_count = PAIR_MEMBERS,
        .strict = true}};

static struct schema_kept position = {
    .table = &(const struct schema_object){
        .name = "Position",
        .members = (const struct schema_member[]){{.name = "position", .type = {BYTE}}},
        .member_count = 1,
        .strict = true}};

static_assert(COMMAND_JSON_DEADLINE_MAX == 600000, "as the table and its text have it");
static struct schema_kept deadline = {
    .table = &(const struct schema_object){
        .name = "Deadline",
        .members =
            (const struct schema_member[]){
                {.name = "deadline_ms",
                 .type = {.kind = SCHEMA_INT, .nullable = true, .ge = "1", .le = "600000"},
                 .optional = true}},
        .member_count = 1,
        .strict = true}};

static struct schema_kept request_id = {
    .table = &(const struct schema_object){
        .name = "RequestId",
        .members = (const struct schema_member[]){COMMAND_JSON_TEXT("request_id", REQUEST_ID_MAX)},
        .member_count = 1,
        .strict = true}};

/* --- and what is said when it is something else --------------------------------------------------------------------- */

static const char no_byte[] = "expected an integer from 0 to 255";
static const struct schema_row shared_rows[] = {
    {NULL, "missing", CODE_INVALID_MESSAGE_FORMAT, "missing", NULL},
    {NULL, "string_type", CODE_INVALID_MESSAGE_FORMAT, "expected a string", NULL},
    {NULL, "string_too_long", CODE_INVALID_MESSAGE_FORMAT, "longer than ", " bytes"},
    {NULL, "string_nul", CODE_INVALID_MESSAGE_FORMAT, "holds a NUL character", NULL},
    {"command", NULL, CODE_INVALID_COMMAND, no_byte, NULL},
    {"argument", NULL, CODE_INVALID_COMMAND, no_byte, NULL},
    {"position", NULL, CODE_INVALID_COMMAND, no_byte, NULL},
    {"deadline_ms", NULL, CODE_INVALID_MESSAGE_FORMAT, "expected an integer from 1 to 600000", NULL},
};

enum command_code_e command_json_judge(const json_t *object, struct schema_kept *kept,
                                       const struct schema_row *rows, size_t row_count,
                                       struct schema_found *found, char text[COMMAND_JSON_ERROR_MAX])
{
    const struct schema *schema = schema_of(kept);
    struct schema_wrong wrong;
    if (schema == NULL) {
        snprintf(text, COMMAND_JSON_ERROR_MAX, "Internal error");
        return CODE_INTERNAL_ERROR;
    }
    if (schema_judge(schema, object, found, &wrong))
        return CODE_NONE;
    const struct schema_row *row = schema_row(rows, row_count, &wrong);
    if (row == NULL)
        row = schema_row(shared_rows, ARRAY_LEN(shared_rows), &wrong);
    MUST(row != NULL); /* every table has words for all that can be wrong with it */
    schema_row_text(row, &wrong, text, COMMAND_JSON_ERROR_MAX);
    return (enum command_code_e)row->code;
}

/* --- commands ------------------------------------------------------------------------------------------------------- */

void command_json_copy(const json_t *value, char *out)
{
    out[0] = '\0';
    if (value != NULL)
        memcpy(out, json_string_value(value), json_string_length(value) + 1);
}

static enum command_code_e judge(const json_t *object, struct schema_kept *kept, struct schema_found *found,
                                 char *text)
{
    return command_json_judge(object, kept, NULL, 0, found, text);
}

enum command_code_e command_json_deadline(const json_t *object, struct command_json *out,
                                          char text[COMMAND_JSON_ERROR_MAX])
{
    struct schema_found found;
    enum command_code_e code = judge(object, &deadline, &found, text);
    out->deadline_ms = code == CODE_NONE && found.value != NULL ? json_integer_value(found.value) : -1;
    return code;
}

/* command and argument may stand in an object under "command". */
static enum command_code_e parse_pair(const json_t *object, struct command_json *out, char *text)
{
    struct schema_found found[PAIR_MEMBERS];
    const json_t *command = json_object_get(object, "command");
    enum command_code_e code = judge(json_is_object(command) ? command : object, &pair, found, text);
    if (code != CODE_NONE)
        return code;
    const json_t *argument = found[PAIR_ARGUMENT].value;
    out->command = (uint8_t)json_integer_value(found[PAIR_COMMAND].value);
    out->argument = argument != NULL ? (int)json_integer_value(argument) : -1;
    return CODE_NONE;
}

enum command_code_e command_json_parse(const json_t *object, struct command_json *out,
                                       char text[COMMAND_JSON_ERROR_MAX])
{
    enum command_code_e code = parse_pair(object, out, text);
    if (code == CODE_NONE)
        code = command_json_deadline(object, out, text);
    if (code != CODE_NONE || out->command != COMMAND_MOVE || out->argument >= 0)
        return code;
    snprintf(text, COMMAND_JSON_ERROR_MAX, "argument: missing (the position to move to)");
    return CODE_INVALID_COMMAND;
}

enum command_code_e command_json_move(const json_t *object, struct command_json *out,
                                      char text[COMMAND_JSON_ERROR_MAX])
{
    struct schema_found found;
    enum command_code_e code = judge(object, &position, &found, text);
    if (code != CODE_NONE)
        return code;
    out->command = COMMAND_MOVE;
    out->argument = (int)json_integer_value(found.value);
    return command_json_deadline(object, out, text);
}

enum command_code_e command_json_request_id(const json_t *object, char out[REQUEST_ID_MAX + 1], bool *present,
                                            char text[COMMAND_JSON_ERROR_MAX])
{
    struct schema_found found = {0};
    enum command_code_e code = judge(object, &request_id, &found, text);
    *present = code == CODE_NONE && found.value != NULL;
    command_json_copy(*present ? found.value : NULL, out);
    return code;
}
