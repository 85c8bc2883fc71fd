#include "carousel_message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "carousel_json.h"
#include "command_json.h"
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

/* Copies the string `value`, which the message calls `name`. */
static bool take_text(const json_t *value, const char *name, char *out, size_t cap,
                      struct carousel_problem *problem)
{
    if (!json_is_string(value))
        return malformed(problem, "%s: expected a string", name);
    size_t len = json_string_length(value);
    if (len >= cap)
        return malformed(problem, "%s: longer than %zu bytes", name, cap - 1);
    if (memchr(json_string_value(value), '\0', len) != NULL)
        return malformed(problem, "%s: holds a NUL character", name);
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

static bool text_is(const json_t *value, const char *text)
{
    return json_string_length(value) == strlen(text) &&
           memcmp(json_string_value(value), text, strlen(text)) == 0;
}

/* The optional member `name` as text of at most cap - 1 bytes; "" if it is absent. */
static bool optional_text(const json_t *object, const char *name, char *out, size_t cap, bool *present,
                          struct carousel_problem *problem)
{
    problem->code = command_json_text(object, name, out, cap, present, problem->text);
    return problem->code == CODE_NONE;
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

static bool parse_get_status(const json_t *object, bool single, struct carousel_message *message,
                             struct carousel_problem *problem)
{
    (void)single;
    return parse_machine(object, message, problem);
}

/* --- send_command -------------------------------------------------------------------------------------------------- */

static bool parse_send_command(const json_t *object, bool single, struct carousel_message *message,
                               struct carousel_problem *problem)
{
    bool present;
    if (!optional_text(object, "request_id", message->request_id, sizeof message->request_id, &present,
                       problem))
        return false;
    memcpy(problem->request_id, message->request_id, sizeof problem->request_id);
    if (!parse_machine(object, message, problem))
        return false;
    if (!message->has_machine && !single)
        return malformed(problem, "machine_id: missing");
    struct command_json command;
    problem->code = command_json_parse(object, &command, problem->text);
    if (problem->code != CODE_NONE)
        return false;
    message->command = command.command;
    message->argument = command.argument;
    message->deadline_ms = command.deadline_ms;
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
        if (text_is(value, subscription_texts[i])) {
            message->subscription = (enum carousel_subscription_e)i;
            return true;
        }
    }
    return malformed(problem, "subscription_type: expected status_updates, command_results or all_events");
}

static bool parse_ids(const json_t *object, struct carousel_message *message,
                      struct carousel_problem *problem)
{
    char name[40];
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
        snprintf(name, sizeof name, "machine_ids[%zu]", i);
        if (!take_text(id, name, message->ids[i].text, sizeof message->ids[i].text, problem))
            return false;
    }
    message->id_count = (uint32_t)json_array_size(ids);
    return true;
}

static bool parse_unsubscribe(const json_t *object, bool single, struct carousel_message *message,
                              struct carousel_problem *problem)
{
    (void)single;
    return parse_subscription(object, message, problem) && parse_ids(object, message, problem);
}

static bool parse_subscribe(const json_t *object, bool single, struct carousel_message *message,
                            struct carousel_problem *problem)
{
    return parse_unsubscribe(object, single, message, problem) &&
           optional_text(object, "since", message->since, sizeof message->since, &message->has_since,
                         problem);
}

static bool parse_nothing(const json_t *object, bool single, struct carousel_message *message,
                          struct carousel_problem *problem)
{
    (void)object;
    (void)single;
    (void)message;
    (void)problem;
    return true;
}

/* --- the message ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum carousel_type_e type;
    bool (*parse)(const json_t *object, bool single, struct carousel_message *message,
                  struct carousel_problem *problem);
} types[] = {
    {"ping", CAROUSEL_PING, parse_nothing},
    {"get_status", CAROUSEL_GET_STATUS, parse_get_status},
    {"get_machines", CAROUSEL_GET_MACHINES, parse_nothing},
    {"send_command", CAROUSEL_SEND_COMMAND, parse_send_command},
    {"subscribe", CAROUSEL_SUBSCRIBE, parse_subscribe},
    {"unsubscribe", CAROUSEL_UNSUBSCRIBE, parse_unsubscribe},
};

static bool parse_object(const json_t *object, bool single, struct carousel_message *message,
                         struct carousel_problem *problem)
{
    const json_t *type = json_object_get(object, "type");
    if (type == NULL)
        return malformed(problem, "type: missing");
    if (!json_is_string(type))
        return malformed(problem, "type: expected a string");
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (text_is(type, types[i].text)) {
            message->type = types[i].type;
            return types[i].parse(object, single, message, problem);
        }
    }
    /* At most 40 bytes of it, cut between characters. */
    int len = (int)json_string_length(type);
    for (len = len < 40 ? len : 40; len > 0 && (json_string_value(type)[len] & 0xc0) == 0x80; len--)
        ;
    return malformed(problem, "type: unknown \"%.*s\"", len, json_string_value(type));
}

bool carousel_parse(const char *text, size_t len, bool single, struct carousel_message *message,
                    struct carousel_problem *problem)
{
    const char *why;
    int line, column;
    *problem = (struct carousel_problem){0};
    message->has_machine = false;
    message->machine.text[0] = '\0';
    message->request_id[0] = '\0';
    message->has_since = false;
    message->since[0] = '\0';
    message->id_count = 0;
    json_t *root = carousel_json_load(text, len, &why, &line, &column);
    if (root == NULL)
        return malformed(problem, "%s at line %d, column %d", why, line, column);
    bool ok = json_is_object(root) ? parse_object(root, single, message, problem)
                                   : malformed(problem, "Expected a JSON object");
    json_decref(root);
    return ok;
}
