/* Hops: C2, C3, R3. A POST that moves a machine, or rearms it: body → command → caller; what the ring says of it → the answer. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "conf.h"
#include "identity.h"
#include "must.h"
#include "pending.h"
#include "record.h"
#include "rest_internal.h"
#include "ring_reader.h"

/* A request that waits for its command's fate. */
struct rest_command {
    struct caller caller;
    struct list_node link;
    struct rest *rest;
    struct http_exchange *exchange;
    bool rearm;
    char machine[MACHINE_ID_MAX + 1];
};

static void forget(struct rest_command *command)
{
    caller_drop(command->rest->config.host, &command->caller);
    list_remove(&command->link);
    free(command);
}

/* Ends the waiting: who answers has the exchange, the command's memory is gone. */
static struct http_exchange *take_exchange(struct rest_command *command, char machine[MACHINE_ID_MAX + 1])
{
    struct http_exchange *x = command->exchange;
    memcpy(machine, command->machine, sizeof command->machine);
    forget(command);
    return x;
}

/* --- the answer --------------------------------------------------------------------------------------------------------- */

static void answer_reply(struct rest *rest, struct http_exchange *x, const struct rest_reply *reply,
                         const char *machine)
{
    char memory[REST_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    if (reply->code != CODE_NONE) {
        rest_answer_error(rest, x, reply->code, reply->text, machine);
        return;
    }
    rest_envelope_begin(&out);
    out_text(&out, reply->data);
    rest_envelope_end(&out, endpoint_wall_ms(rest->config.endpoint), machine);
    rest_answer(x, 200, &out);
}

static void note_unreadable(struct rest *rest)
{
    uint32_t suppressed;
    rest->counts.unreadable++;
    if (log_limit_ok(&rest->log_limit, endpoint_wall_ms(rest->config.endpoint) * NS_PER_MS, 10 * NS_PER_S, 1,
                     &suppressed))
        log_error("rest-answer", "suppressed=%u the broker's answer to a command cannot be read", suppressed);
}

static void on_record(struct caller *caller, const struct ring_record *record, bool due)
{
    struct rest_command *command = LIST_ENTRY(caller, struct rest_command, caller);
    struct rest *rest = command->rest;
    struct rest_reply reply;
    char machine[MACHINE_ID_MAX + 1];
    if (!due || record->kind == RECORD_COMPLETION)
        return;
    if (record->dialect != caller->record_dialect ||
        !rest_reply_parse(record->frame, record->frame_len, &reply)) {
        note_unreadable(rest);
        reply.code = CODE_INTERNAL_ERROR;
        reply.text[0] = '\0';
    }
    if (command->rearm && reply.code == CODE_NONE)
        strcpy(reply.data, "{\"rearmed\":true}");
    struct http_exchange *x = take_exchange(command, machine);
    answer_reply(rest, x, &reply, machine);
}

static void fail(struct rest_command *command, enum command_code_e code)
{
    char machine[MACHINE_ID_MAX + 1];
    struct rest *rest = command->rest;
    struct http_exchange *x = take_exchange(command, machine);
    rest_answer_error(rest, x, code, "", machine);
}

static void on_failed(struct caller *caller, const struct endpoint_command *sent, enum command_code_e code)
{
    (void)sent;
    fail(LIST_ENTRY(caller, struct rest_command, caller), code);
}

static void on_from(const struct caller *caller, char from[CALLER_FROM_MAX])
{
    http_peer_name(LIST_ENTRY(caller, struct rest_command, caller)->exchange, from);
}

static void on_cancel(void *state)
{
    struct rest_command *command = state;
    command->rest->counts.orphaned++;
    forget(command);
}

void rest_give_up(struct rest *rest)
{
    while (!list_empty(&rest->waiting))
        fail(LIST_ENTRY(rest->waiting.next, struct rest_command, link), CODE_OUTCOME_UNKNOWN);
}

/* --- the request -------------------------------------------------------------------------------------------------------- */

static struct rest_command *new_command(struct rest *rest, struct http_exchange *x, const char *machine)
{
    static const struct caller_ops ops = {on_record, on_failed, on_from};
    struct rest_command *command = calloc(1, sizeof *command);
    if (command == NULL)
        return NULL;
    command->rest = rest;
    command->exchange = x;
    memcpy(command->machine, machine, strlen(machine) + 1);
    command->caller = (struct caller){.ops = &ops,
                                      .serial = CALLER_HTTP | ++rest->next_serial,
                                      .principal = http_principal(x),
                                      .record_dialect = DIALECT_CAROUSEL};
    list_init(&command->link);
    list_append(&rest->waiting, &command->link);
    return command;
}

/* When even the grace that pending.h gives an answer is over. */
static uint64_t wait_limit_ms(const struct rest *rest, const struct endpoint_command *sent)
{
    const struct conf_machine *machine = conf_machine(endpoint_conf(rest->config.endpoint), sent->machine);
    uint64_t deadline = sent->deadline_ms >= 0 ? (uint64_t)sent->deadline_ms
                        : machine != NULL      ? machine->command_deadline_ms
                                               : COMMAND_JSON_DEADLINE_MAX;
    return deadline + PENDING_GRACE_NS / NS_PER_MS + 2000;
}

static void send_command(struct rest *rest, struct http_exchange *x, const struct mirror_machine *machine,
                         const struct rest_body *body)
{
    struct endpoint_command sent = {
        .command = body->command, .argument = body->argument, .deadline_ms = body->deadline_ms};
    memcpy(sent.machine, machine->info.id, sizeof sent.machine);
    memcpy(sent.request_id, body->request_id, sizeof sent.request_id);
    struct rest_command *command = new_command(rest, x, sent.machine);
    if (command == NULL) {
        rest_answer_error(rest, x, CODE_INTERNAL_ERROR, "", sent.machine);
        return;
    }
    if (caller_send(rest->config.host, &command->caller, &sent) != ERR_OK) {
        forget(command);
        rest->counts.refused++;
        rest_answer_error(rest, x, CODE_RATE_LIMITED, "Too many commands wait for their answer",
                          sent.machine);
        return;
    }
    command->rearm = sent.command == COMMAND_REARM;
    rest->counts.commands++;
    http_wait(x, on_cancel, command, wait_limit_ms(rest, &sent));
}

static void handle(struct rest *rest, struct http_exchange *x, enum rest_body_e kind, bool single)
{
    struct rest_body body;
    char text[COMMAND_JSON_ERROR_MAX];
    size_t len;
    const char *bytes = http_body(x, &len);
    const struct mirror_machine *machine = rest_machine(rest, x, single);
    if (machine == NULL) {
        rest->counts.refused++;
        return;
    }
    if (!identity_may(http_identity(x), GRANT_MACHINES_COMMAND, machine->info.id, strlen(machine->info.id))) {
        rest->counts.refused++;
        rest_answer_error(rest, x, CODE_FORBIDDEN, "", machine->info.id);
        return;
    }
    enum command_code_e code =
        rest_body_parse(bytes, len, kind, machine->info.id, http_header(x, "idempotency-key"), &body, text);
    if (code == CODE_NONE) {
        send_command(rest, x, machine, &body);
        return;
    }
    rest->counts.refused++;
    rest_answer_error(rest, x, code, text, machine->info.id);
}

void rest_handle_command(void *arg, struct http_exchange *x)
{
    handle(arg, x, REST_BODY_COMMAND, false);
}

void rest_handle_move(void *arg, struct http_exchange *x)
{
    handle(arg, x, REST_BODY_MOVE, false);
}

void rest_handle_rearm(void *arg, struct http_exchange *x)
{
    handle(arg, x, REST_BODY_REARM, false);
}

void rest_handle_single_command(void *arg, struct http_exchange *x)
{
    handle(arg, x, REST_BODY_COMMAND, true);
}

void rest_handle_single_rearm(void *arg, struct http_exchange *x)
{
    handle(arg, x, REST_BODY_REARM, true);
}
