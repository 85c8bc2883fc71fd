#include "command_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) static enum command_code_e refuse(char *text, enum command_code_e code,
                                                                        const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, COMMAND_JSON_ERROR_MAX, fmt, args);
    va_end(args);
    return code;
}

static bool is_absent(const json_t *value)
{
    return value == NULL || json_is_null(value);
}

static bool is_byte(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 255;
}

static enum command_code_e not_a_byte(const char *name, char *text)
{
    return refuse(text, CODE_INVALID_COMMAND, "%s: expected an integer from 0 to 255", name);
}

enum command_code_e command_json_deadline(const json_t *object, struct command_json *out,
                                          char text[COMMAND_JSON_ERROR_MAX])
{
    const json_t *value = json_object_get(object, "deadline_ms");
    out->deadline_ms = -1;
    if (is_absent(value))
        return CODE_NONE;
    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > COMMAND_JSON_DEADLINE_MAX)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "deadline_ms: expected an integer from 1 to %d",
                      COMMAND_JSON_DEADLINE_MAX);
    out->deadline_ms = json_integer_value(value);
    return CODE_NONE;
}

static enum command_code_e parse_pair(const json_t *object, struct command_json *out, char *text)
{
    const json_t *command = json_object_get(object, "command"), *holder = object;
    if (json_is_object(command)) {
        holder = command;
        command = json_object_get(holder, "command");
    }
    const json_t *argument = json_object_get(holder, "argument");
    if (command == NULL)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "command: missing");
    if (!is_byte(command))
        return not_a_byte("command", text);
    out->command = (uint8_t)json_integer_value(command);
    out->argument = -1;
    if (is_absent(argument))
        return CODE_NONE;
    if (!is_byte(argument))
        return not_a_byte("argument", text);
    out->argument = (int)json_integer_value(argument);
    return CODE_NONE;
}

enum command_code_e command_json_parse(const json_t *object, struct command_json *out,
                                       char text[COMMAND_JSON_ERROR_MAX])
{
    enum command_code_e code = parse_pair(object, out, text);
    if (code == CODE_NONE)
        code = command_json_deadline(object, out, text);
    if (code == CODE_NONE && out->command == COMMAND_MOVE && out->argument < 0)
        code = refuse(text, CODE_INVALID_COMMAND, "argument: missing (the position to move to)");
    return code;
}

enum command_code_e command_json_move(const json_t *object, const char *name, struct command_json *out,
                                      char text[COMMAND_JSON_ERROR_MAX])
{
    const json_t *position = json_object_get(object, name);
    if (position == NULL)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "%s: missing", name);
    if (!is_byte(position))
        return not_a_byte(name, text);
    out->command = COMMAND_MOVE;
    out->argument = (int)json_integer_value(position);
    return command_json_deadline(object, out, text);
}

enum command_code_e command_json_text(const json_t *object, const char *name, char *out, size_t cap,
                                      bool *present, char text[COMMAND_JSON_ERROR_MAX])
{
    const json_t *value = json_object_get(object, name);
    *present = !is_absent(value);
    if (!*present)
        return CODE_NONE;
    if (!json_is_string(value))
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "%s: expected a string", name);
    if (json_string_length(value) >= cap)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "%s: longer than %zu bytes", name, cap - 1);
    if (memchr(json_string_value(value), '\0', json_string_length(value)) != NULL)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "%s: holds a NUL character", name);
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return CODE_NONE;
}
