#include "carousel_message.h"

#include <assert.h>
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

/* --- what is declared ----------------------------------------------------------------------------------------------- */

#define MEMBERS(...) .members = (const struct schema_member[]){__VA_ARGS__}, .strict = true

static_assert(CAROUSEL_PING == 0 && CAROUSEL_UNSUBSCRIBE == 5, "types as their choices are numbered");
static struct schema_kept envelope = {
    .table = &(const struct schema_object){
        .name = "Message",
        .member_count = 1,
        MEMBERS(
            {.name = "type",
             .type = {.kind = SCHEMA_STRING,
                      .choices = "[\"ping\",\"get_status\",\"get_machines\",\"send_command\",\"subscribe\","
                                 "\"unsubscribe\"]"}})}};

static struct schema_kept get_status = {
    .table = &(const struct schema_object){
        .name = "GetStatus", .member_count = 1, MEMBERS(COMMAND_JSON_TEXT("machine_id", MACHINE_ID_MAX))}};

/* Beside the command's own members: dialects/command. */
enum { SEND_REQUEST, SEND_MACHINE, SEND_MEMBERS };
static struct schema_kept send_command = {
    .table = &(const struct schema_object){.name = "SendCommand",
                                           .member_count = SEND_MEMBERS,
                                           MEMBERS(COMMAND_JSON_TEXT("request_id", REQUEST_ID_MAX),
                                                   COMMAND_JSON_TEXT("machine_id", MACHINE_ID_MAX))}};

static const struct schema_type machine_id = {
    .kind = SCHEMA_STRING, .max_bytes = MACHINE_ID_MAX, .no_nul = true};

#define SUBSCRIPTION                                                                                         \
    {.name = "subscription_type",                                                                            \
     .type = {.kind = SCHEMA_STRING,                                                                         \
              .nullable = true,                                                                              \
              .choices = "[\"status_updates\",\"command_results\",\"all_events\"]"},                         \
     .optional = true},                                                                                      \
    {                                                                                                        \
        .name = "machine_ids",                                                                               \
        .type = {.kind = SCHEMA_LIST,                                                                        \
                 .nullable = true,                                                                           \
                 .items = &machine_id,                                                                       \
                 .max_length = CAROUSEL_IDS_MAX},                                                            \
        .optional = true                                                                                     \
    }

enum { SUBSCRIPTION_TYPE, SUBSCRIPTION_IDS, SUBSCRIPTION_SINCE, SUBSCRIPTION_MEMBERS };
static struct schema_kept subscribe = {
    .table =
        &(const struct schema_object){.name = "Subscribe",
                                      .member_count = SUBSCRIPTION_MEMBERS,
                                      MEMBERS(SUBSCRIPTION, COMMAND_JSON_TEXT("since", CAROUSEL_SINCE_MAX))}};
static struct schema_kept unsubscribe = {
    .table = &(const struct schema_object){
        .name = "Unsubscribe", .member_count = SUBSCRIPTION_SINCE, MEMBERS(SUBSCRIPTION)}};

/* --- and what is said when it is something else; the rest is in dialects/command ------------------------------------ */

static const struct schema_row rows[] = {
    {"subscription_type", "enum", CODE_INVALID_MESSAGE_FORMAT,
     "expected status_updates, command_results or all_events", NULL},
    {"machine_ids", "list_type", CODE_INVALID_MESSAGE_FORMAT, "expected an array of strings", NULL},
    {"machine_ids", "too_long", CODE_INVALID_MESSAGE_FORMAT, "more than ", ""},
    {"type", "enum", CODE_INVALID_MESSAGE_FORMAT, "unknown", NULL},
};

static bool judge(const json_t *object, struct schema_kept *kept, struct schema_found *found,
                  struct carousel_problem *problem)
{
    problem->code = command_json_judge(object, kept, rows, ARRAY_LEN(rows), found, problem->text);
    return problem->code == CODE_NONE;
}

/* --- the messages --------------------------------------------------------------------------------------------------- */

static void take_machine(const json_t *value, struct carousel_message *message,
                         struct carousel_problem *problem)
{
    message->has_machine = value != NULL;
    command_json_copy(value, message->machine.text);
    problem->machine = message->machine;
}

static bool parse_get_status(const json_t *object, bool single, struct carousel_message *message,
                             struct carousel_problem *problem)
{
    struct schema_found found;
    (void)single;
    if (!judge(object, &get_status, &found, problem))
        return false;
    take_machine(found.value, message, problem);
    return true;
}

static bool parse_command(const json_t *object, struct carousel_message *message,
                          struct carousel_problem *problem)
{
    struct command_json command;
    problem->code = command_json_parse(object, &command, problem->text);
    if (problem->code != CODE_NONE)
        return false;
    message->command = command.command;
    message->argument = command.argument;
    message->deadline_ms = command.deadline_ms;
    return true;
}

/* The answer to a wrong machine_id names the request, too. */
static bool parse_send_command(const json_t *object, bool single, struct carousel_message *message,
                               struct carousel_problem *problem)
{
    struct schema_found found[SEND_MEMBERS] = {0};
    bool ok = judge(object, &send_command, found, problem), named = ok || found[SEND_MACHINE].value != NULL;
    command_json_copy(named ? found[SEND_REQUEST].value : NULL, message->request_id);
    memcpy(problem->request_id, message->request_id, sizeof problem->request_id);
    if (!ok)
        return false;
    take_machine(found[SEND_MACHINE].value, message, problem);
    if (!message->has_machine && !single)
        return malformed(problem, "machine_id: missing");
    return parse_command(object, message, problem);
}

static void take_subscription(const struct schema_found *found, struct carousel_message *message)
{
    const json_t *type = found[SUBSCRIPTION_TYPE].value, *ids = found[SUBSCRIPTION_IDS].value;
    message->subscription = type != NULL ? (enum carousel_subscription_e)found[SUBSCRIPTION_TYPE].choice
                                         : CAROUSEL_STATUS_UPDATES;
    message->all_machines = ids == NULL;
    message->id_count = ids != NULL ? (uint32_t)json_array_size(ids) : 0;
    for (uint32_t i = 0; i < message->id_count; i++)
        command_json_copy(json_array_get(ids, i), message->ids[i].text);
}

static bool parse_unsubscribe(const json_t *object, bool single, struct carousel_message *message,
                              struct carousel_problem *problem)
{
    struct schema_found found[SUBSCRIPTION_MEMBERS];
    (void)single;
    if (!judge(object, &unsubscribe, found, problem))
        return false;
    take_subscription(found, message);
    return true;
}

static bool parse_subscribe(const json_t *object, bool single, struct carousel_message *message,
                            struct carousel_problem *problem)
{
    struct schema_found found[SUBSCRIPTION_MEMBERS];
    (void)single;
    if (!judge(object, &subscribe, found, problem))
        return false;
    take_subscription(found, message);
    message->has_since = found[SUBSCRIPTION_SINCE].value != NULL;
    command_json_copy(found[SUBSCRIPTION_SINCE].value, message->since);
    return true;
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

static bool (*const parsers[])(const json_t *object, bool single, struct carousel_message *message,
                               struct carousel_problem *problem) = {
    [CAROUSEL_PING] = parse_nothing,         [CAROUSEL_GET_STATUS] = parse_get_status,
    [CAROUSEL_GET_MACHINES] = parse_nothing, [CAROUSEL_SEND_COMMAND] = parse_send_command,
    [CAROUSEL_SUBSCRIBE] = parse_subscribe,  [CAROUSEL_UNSUBSCRIBE] = parse_unsubscribe,
};

/* At most 40 bytes of the type, cut between characters. */
static bool unknown_type(const json_t *type, struct carousel_problem *problem)
{
    int len = (int)json_string_length(type);
    for (len = len < 40 ? len : 40; len > 0 && (json_string_value(type)[len] & 0xc0) == 0x80; len--)
        ;
    return malformed(problem, "type: unknown \"%.*s\"", len, json_string_value(type));
}

static bool parse_object(const json_t *object, bool single, struct carousel_message *message,
                         struct carousel_problem *problem)
{
    struct schema_found type = {0};
    if (!judge(object, &envelope, &type, problem))
        return json_is_string(type.value) ? unknown_type(type.value, problem) : false;
    message->type = (enum carousel_type_e)type.choice;
    return parsers[message->type](object, single, message, problem);
}

bool carousel_parse(const char *text, size_t len, bool single, struct carousel_message *message,
                    struct carousel_problem *problem)
{
    struct carousel_json_fault fault;
    *problem = (struct carousel_problem){0};
    message->has_machine = false;
    message->machine.text[0] = '\0';
    message->request_id[0] = '\0';
    message->has_since = false;
    message->since[0] = '\0';
    message->id_count = 0;
    json_t *root = carousel_json_load(text, len, &fault);
    if (root == NULL && fault.why == NULL)
        return refuse(problem, CODE_INTERNAL_ERROR, "Internal error");
    if (root == NULL)
        return malformed(problem, "%s at line %zu, column %zu", fault.why, fault.line, fault.column);
    bool ok = json_is_object(root) ? parse_object(root, single, message, problem)
                                   : malformed(problem, "Expected a JSON object");
    json_decref(root);
    return ok;
}
