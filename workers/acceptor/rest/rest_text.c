#include "rest_text.h"

#include <stdio.h>
#include <string.h>

#include "ws_frame.h"

/* --- the body ---------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static enum command_code_e refuse(char *text, enum command_code_e code,
                                                                        const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, COMMAND_JSON_ERROR_MAX, fmt, args);
    va_end(args);
    return code;
}

/* The header's value without the quotes that it may stand in (they are those of RFC 8941 strings). */
static enum command_code_e take_key(const char *key, char *out, char *text)
{
    size_t len = strlen(key);
    if (len >= 2 && key[0] == '"' && key[len - 1] == '"') {
        key++;
        len -= 2;
    }
    bool good = len > 0 && len <= REQUEST_ID_MAX;
    for (size_t i = 0; good && i < len; i++)
        good = key[i] > ' ' && key[i] < 0x7f;
    if (!good)
        return refuse(text, CODE_INVALID_COMMAND,
                      "Idempotency-Key: expected 1 to %u characters of ASCII without spaces", REQUEST_ID_MAX);
    memcpy(out, key, len);
    out[len] = '\0';
    return CODE_NONE;
}

static enum command_code_e take_request_id(const json_t *object, const char *key, struct rest_body *out,
                                           char *text)
{
    char header[REQUEST_ID_MAX + 1];
    bool present;
    out->request_id[0] = '\0';
    enum command_code_e code = command_json_request_id(object, out->request_id, &present, text);
    if (code != CODE_NONE || key == NULL)
        return code;
    code = take_key(key, header, text);
    if (code == CODE_NONE && present && strcmp(header, out->request_id) != 0)
        code = refuse(text, CODE_INVALID_COMMAND, "request_id: another than the Idempotency-Key");
    if (code == CODE_NONE)
        memcpy(out->request_id, header, sizeof header);
    return code;
}

static enum command_code_e check_machine(const json_t *object, const char *machine, char *text)
{
    const json_t *value = json_object_get(object, "machine_id");
    if (value == NULL || json_is_null(value))
        return CODE_NONE;
    if (json_is_string(value) && strcmp(json_string_value(value), machine) == 0)
        return CODE_NONE;
    return refuse(text, CODE_INVALID_COMMAND, "machine_id: another than that of this path");
}

static enum command_code_e take_command(const json_t *object, enum rest_body_e kind, struct rest_body *out,
                                        char *text)
{
    struct command_json json = {.argument = -1, .deadline_ms = -1};
    enum command_code_e code = kind == REST_BODY_REARM  ? command_json_deadline(object, &json, text)
                               : kind == REST_BODY_MOVE ? command_json_move(object, &json, text)
                                                        : command_json_parse(object, &json, text);
    out->command = kind == REST_BODY_REARM ? COMMAND_REARM : json.command;
    out->argument = json.argument;
    out->deadline_ms = json.deadline_ms;
    return code;
}

static enum command_code_e parse_object(const json_t *object, enum rest_body_e kind, const char *machine,
                                        const char *key, struct rest_body *out, char *text)
{
    if (!json_is_object(object))
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "Expected a JSON object");
    enum command_code_e code = take_request_id(object, key, out, text);
    if (code == CODE_NONE)
        code = check_machine(object, machine, text);
    return code == CODE_NONE ? take_command(object, kind, out, text) : code;
}

enum command_code_e rest_body_parse(const char *body, size_t len, enum rest_body_e kind, const char *machine,
                                    const char *key, struct rest_body *out, char text[COMMAND_JSON_ERROR_MAX])
{
    json_error_t error;
    if (len == 0 && kind == REST_BODY_REARM) {
        body = "{}";
        len = 2;
    }
    if (len == 0)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "The body is empty");
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        return refuse(text, CODE_INVALID_MESSAGE_FORMAT, "Invalid JSON at line %d, column %d", error.line,
                      error.column);
    enum command_code_e code = parse_object(root, kind, machine, key, out, text);
    json_decref(root);
    return code;
}

/* --- the broker's answer ------------------------------------------------------------------------------------------------ */

static enum command_code_e code_named(const char *name)
{
    for (int code = CODE_NONE + 1; code < CODE_COUNT; code++)
        if (strcmp(name, command_code_name((enum command_code_e)code)) == 0)
            return (enum command_code_e)code;
    return CODE_INTERNAL_ERROR;
}

static bool take_success(const json_t *object, struct rest_reply *reply)
{
    const json_t *data = json_object_get(object, "data");
    size_t len = data != NULL ? json_dumpb(data, reply->data, sizeof reply->data - 1, JSON_COMPACT) : 0;
    if (len == 0 || len >= sizeof reply->data)
        return false;
    reply->data[len] = '\0';
    reply->code = CODE_NONE;
    return true;
}

/* A failure is told as an `error`, or (to subscribers) as a result with "success":false. */
static bool take_failure(const json_t *object, struct rest_reply *reply)
{
    const json_t *code = json_object_get(object, "code"), *text = json_object_get(object, "error");
    if (text == NULL)
        text = json_object_get(json_object_get(object, "data"), "result");
    if (!json_is_string(code) || !json_is_string(text) || json_string_length(text) >= sizeof reply->text)
        return false;
    reply->code = code_named(json_string_value(code));
    memcpy(reply->text, json_string_value(text), json_string_length(text) + 1);
    return true;
}

bool rest_reply_parse(const void *frame, size_t len, struct rest_reply *reply)
{
    *reply = (struct rest_reply){.code = CODE_INTERNAL_ERROR};
    if (len < 2 || ws_frame_total_len(frame, len) != len)
        return false;
    const unsigned char *bytes = frame;
    size_t header = bytes[1] < 126 ? 2 : bytes[1] == 126 ? 4 : WS_HEADER_MAX;
    json_t *root = json_loadb((const char *)bytes + header, len - header, JSON_REJECT_DUPLICATES, NULL);
    bool ok = json_is_true(json_object_get(root, "success")) ? take_success(root, reply)
                                                             : take_failure(root, reply);
    json_decref(root);
    return ok;
}
