#include "carousel_message.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "must.h"

static const char *const subscription_texts[] = {"status_updates", "command_results", "all_events"};

const char *carousel_subscription_text(enum carousel_subscription_e subscription)
{
    MUST((unsigned)subscription < ARRAY_LEN(subscription_texts));
    return subscription_texts[subscription];
}

__attribute__((format(printf, 3, 4))) static bool refuse(struct carousel_problem *problem,
                                                         enum command_code_e code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    problem->code = code;
    vsnprintf(problem->text, sizeof problem->text, fmt, args);
    va_end(args);
    return false;
}

#define malformed(problem, ...) refuse(problem, CODE_INVALID_MESSAGE_FORMAT, __VA_ARGS__)

/* Copies a string that fits. */
static bool copy(const json_t *value, char *out, size_t cap)
{
    size_t len = json_string_length(value);
    if (len >= cap)
        return false;
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

/* The optional member `name` as text of at most cap - 1 bytes. */
static bool optional_text(const json_t *object, const char *name, char *out, size_t cap, bool *present,
                          struct carousel_problem *problem)
{
    const json_t *value = json_object_get(object, name);
    *present = value != NULL && !json_is_null(value);
    if (!*present)
        return true;
    if (!json_is_string(value))
        return malformed(problem, "%s: expected a string", name);
    if (!copy(value, out, cap))
        return malformed(problem, "%s: longer than %zu bytes", name, cap - 1);
    return true;
}

static bool parse_machine(const json_t *object, struct carousel_message *message,
                          struct carousel_problem *problem)
{
    if (!optional_text(object, "machine_id", message->machine.text, sizeof message->machine.text,
                       &message->has_machine, problem))
        return false;
    problem->machine = message->machine;
    return true;
}

/* --- send_command -------------------------------------------------------------------------------------------------- */

static bool is_byte(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 255;
}

/* command and argument stand in the message itself, or in an object under "command". */
static bool parse_command(const json_t *object, struct carousel_message *message,
                          struct carousel_problem *problem)
{
    const json_t *command = json_object_get(object, "command"), *holder = object;
    if (json_is_object(command)) {
        holder = command;
        command = json_object_get(holder, "command");
    }
    const json_t *argument = json_object_get(holder, "argument");
    if (command == NULL)
        return malformed(problem, "command: missing");
    if (!is_byte(command))
        return refuse(problem, CODE_INVALID_COMMAND, "command: expected an integer from 0 to 255");
    message->command = (uint8_t)json_integer_value(command);
    message->argument = -1;
    if (argument == NULL || json_is_null(argument))
        return true;
    if (!is_byte(argument))
        return refuse(problem, CODE_INVALID_COMMAND, "argument: expected an integer from 0 to 255");
    message->argument = (int)json_integer_value(argument);
    return true;
}

static bool parse_deadline(const json_t *object, struct carousel_message *message,
                           struct carousel_problem *problem)
{
    const json_t *value = json_object_get(object, "deadline_ms");
    message->deadline_ms = -1;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 1 || json_integer_value(value) > 600000)
        return malformed(problem, "deadline_ms: expected an integer from 1 to 600000");
    message->deadline_ms = json_integer_value(value);
    return true;
}

static bool parse_send_command(const json_t *object, struct carousel_message *message,
                               struct carousel_problem *problem)
{
    bool present;
    if (!optional_text(object, "request_id", message->request_id, sizeof message->request_id, &present,
                       problem))
        return false;
    memcpy(problem->request_id, message->request_id, sizeof problem->request_id);
    if (!parse_machine(object, message, problem))
        return false;
    if (!message->has_machine)
        return malformed(problem, "machine_id: missing");
    if (!parse_command(object, message, problem) || !parse_deadline(object, message, problem))
        return false;
    if (message->command == COMMAND_MOVE && message->argument < 0)
        return refuse(problem, CODE_INVALID_COMMAND, "argument: missing (the position to move to)");
    return true;
}

/* --- subscribe ------------------------------------------------------------------------------------------------------ */

static bool parse_subscription(const json_t *object, struct carousel_message *message,
                               struct carousel_problem *problem)
{
    const json_t *value = json_object_get(object, "subscription_type");
    message->subscription = CAROUSEL_STATUS_UPDATES;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return malformed(problem, "subscription_type: expected a string");
    for (unsigned i = 0; i < ARRAY_LEN(subscription_texts); i++) {
        if (strcmp(json_string_value(value), subscription_texts[i]) == 0) {
            message->subscription = (enum carousel_subscription_e)i;
            return true;
        }
    }
    return malformed(problem, "subscription_type: expected status_updates, command_results or all_events");
}

static bool parse_ids(const json_t *object, struct carousel_message *message,
                      struct carousel_problem *problem)
{
    const json_t *ids = json_object_get(object, "machine_ids");
    message->all_machines = ids == NULL || json_is_null(ids);
    if (message->all_machines)
        return true;
    if (!json_is_array(ids))
        return malformed(problem, "machine_ids: expected an array of strings");
    if (json_array_size(ids) > CAROUSEL_IDS_MAX)
        return malformed(problem, "machine_ids: more than %d", CAROUSEL_IDS_MAX);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        if (!json_is_string(id))
            return malformed(problem, "machine_ids[%zu]: expected a string", i);
        if (!copy(id, message->ids[i].text, sizeof message->ids[i].text))
            return malformed(problem, "machine_ids[%zu]: longer than %d bytes", i, MACHINE_ID_MAX);
    }
    message->id_count = (uint32_t)json_array_size(ids);
    return true;
}

static bool parse_subscribe(const json_t *object, struct carousel_message *message,
                            struct carousel_problem *problem)
{
    return parse_subscription(object, message, problem) && parse_ids(object, message, problem);
}

static bool parse_nothing(const json_t *object, struct carousel_message *message,
                          struct carousel_problem *problem)
{
    (void)object;
    (void)message;
    (void)problem;
    return true;
}

/* --- the message ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum carousel_type_e type;
    bool (*parse)(const json_t *object, struct carousel_message *message, struct carousel_problem *problem);
} types[] = {
    {"ping", CAROUSEL_PING, parse_nothing},
    {"get_status", CAROUSEL_GET_STATUS, parse_machine},
    {"send_command", CAROUSEL_SEND_COMMAND, parse_send_command},
    {"subscribe", CAROUSEL_SUBSCRIBE, parse_subscribe},
};

static bool parse_object(const json_t *object, struct carousel_message *message,
                         struct carousel_problem *problem)
{
    const json_t *type = json_object_get(object, "type");
    if (type == NULL)
        return malformed(problem, "type: missing");
    if (!json_is_string(type))
        return malformed(problem, "type: expected a string");
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (strcmp(json_string_value(type), types[i].text) == 0) {
            message->type = types[i].type;
            return types[i].parse(object, message, problem);
        }
    }
    /* At most 40 bytes of it, cut between characters. */
    int len = (int)json_string_length(type);
    for (len = len < 40 ? len : 40; len > 0 && (json_string_value(type)[len] & 0xc0) == 0x80; len--)
        ;
    return malformed(problem, "type: unknown \"%.*s\"", len, json_string_value(type));
}

bool carousel_parse(const char *text, size_t len, struct carousel_message *message,
                    struct carousel_problem *problem)
{
    json_error_t error;
    *problem = (struct carousel_problem){0};
    message->has_machine = false;
    message->machine.text[0] = '\0';
    message->request_id[0] = '\0';
    message->id_count = 0;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL)
        return malformed(problem, "Invalid JSON at line %d, column %d", error.line, error.column);
    bool ok = json_is_object(root) ? parse_object(root, message, problem)
                                   : malformed(problem, "Expected a JSON object");
    json_decref(root);
    return ok;
}
