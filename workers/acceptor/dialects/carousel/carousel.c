/* Hop: C2. The carousel dialect: what a message sets off. Its text is read by carousel_message.c, subscriptions are
 * carousel_subscription.c's, and what subscribers and callers get from the ring was encoded by the broker. */
#include "carousel.h"

#include <string.h>

#include "carousel_answer.h"
#include "carousel_message.h"
#include "carousel_subscription.h"
#include "conf.h"
#include "log.h"
#include "must.h"
#include "record.h"

/* --- welcome -------------------------------------------------------------------------------------------------------- */

static void welcome(struct endpoint_conn *conn)
{
    struct endpoint *endpoint = endpoint_of(conn);
    struct out out = carousel_large(conn);
    out_literal(&out, "{\"type\":\"welcome\"");
    carousel_put_timestamp(&out, endpoint);
    out_text(&out, carousel_is_single(endpoint) ? ",\"mode\":\"single-plc\"" : ",\"mode\":\"multi-plc\"");
    out_literal(&out,
                ",\"server_info\":{\"version\":\"" NORIA_VERSION "\",\"capabilities\":[\"status_updates\","
                "\"command_execution\",\"real_time_notifications\"]},\"machines\":");
    carousel_put_all_machines(&out, conn);
    out_char(&out, '}');
    if (out.overflow) { /* nothing may stand before it, and half a list would be a lie */
        log_error("welcome-too-large", "machines=%u bytes=%u connection closed",
                  endpoint_machine_count(endpoint), ENDPOINT_SCRATCH);
        endpoint_close(conn, 1011, "too many machines");
        return;
    }
    endpoint_reply(conn, out.at, out.len);
}

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)request;
    welcome(conn);
    if (endpoint_conf(endpoint_of(conn))->carousel_auto_subscribe)
        carousel_subscribe_unasked(conn);
}

static void on_disconnect(struct endpoint_conn *conn)
{
    (void)conn; /* subscriptions and pending commands are the host's */
}

/* --- ping, get_status, get_machines --------------------------------------------------------------------------------- */

static void answer_ping(struct endpoint_conn *conn)
{
    char memory[96];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"pong\"");
    carousel_put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    carousel_reply(conn, &out);
}

static void answer_machine_status(struct endpoint_conn *conn, const struct carousel_id *id)
{
    const struct mirror_machine *machine = carousel_find_machine(conn, id->text, strlen(id->text));
    if (machine == NULL) {
        carousel_reply_error(conn, CODE_MACHINE_NOT_FOUND, "", id->text, "");
        return;
    }
    char memory[CAROUSEL_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"machine_status\",\"machine_id\":");
    carousel_put_text(&out, machine->info.id);
    out_char(&out, ',');
    out_bytes(&out, machine->text, machine->text_len);
    carousel_put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    carousel_reply(conn, &out);
}

static void answer_all_status(struct endpoint_conn *conn)
{
    struct endpoint *endpoint = endpoint_of(conn);
    struct out out = carousel_large(conn);
    out_text(&out, carousel_is_single(endpoint) ? "{\"type\":\"status\",\"status\":{"
                                                : "{\"type\":\"all_machines_status\",\"status\":{");
    for (uint32_t slot = 0, n = 0; slot < endpoint_machine_slots(endpoint); slot++) {
        const struct mirror_machine *machine = carousel_machine(conn, slot);
        if (machine == NULL)
            continue;
        if (n++ > 0)
            out_char(&out, ',');
        carousel_put_state(&out, machine);
    }
    out_char(&out, '}');
    carousel_put_timestamp(&out, endpoint);
    out_char(&out, '}');
    carousel_reply(conn, &out);
}

static void answer_machines(struct endpoint_conn *conn)
{
    struct out out = carousel_large(conn);
    out_literal(&out, "{\"type\":\"machines\",\"machines\":");
    carousel_put_all_machines(&out, conn);
    carousel_put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    carousel_reply(conn, &out);
}

/* --- send_command --------------------------------------------------------------------------------------------------- */

static void on_send_command(struct endpoint_conn *conn, const struct carousel_message *message)
{
    struct endpoint *endpoint = endpoint_of(conn);
    struct endpoint_command command = {
        .command = message->command, .argument = message->argument, .deadline_ms = message->deadline_ms};
    const char *machine =
        message->has_machine ? message->machine.text : endpoint_conf(endpoint)->machines[0].info.id;
    memcpy(command.machine, machine, strlen(machine) + 1);
    memcpy(command.request_id, message->request_id, sizeof command.request_id);
    size_t len = strlen(command.machine);
    if (carousel_find_machine(conn, command.machine, len) == NULL)
        carousel_reply_error(conn, CODE_MACHINE_NOT_FOUND, "", command.machine, command.request_id);
    else if (!endpoint_may(conn, GRANT_MACHINES_COMMAND, command.machine, len))
        carousel_reply_error(conn, CODE_FORBIDDEN, "", command.machine, command.request_id);
    else if (endpoint_send_command(conn, &command) != ERR_OK)
        carousel_reply_error(conn, CODE_RATE_LIMITED, "Too many commands wait for their answer",
                             command.machine, command.request_id);
}

static void on_command_failed(struct endpoint_conn *conn, const struct endpoint_command *command,
                              enum command_code_e code)
{
    carousel_reply_error(conn, code, "", command->machine, command->request_id);
}

/* --- the dialect ---------------------------------------------------------------------------------------------------- */

static void on_receive(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    (void)binary; /* binary frames are read as text */
    struct carousel_message message;
    struct carousel_problem problem;
    if (!carousel_parse(text, len, carousel_is_single(endpoint_of(conn)), &message, &problem)) {
        carousel_reply_error(conn, problem.code, problem.text, problem.machine.text, problem.request_id);
        return;
    }
    switch (message.type) {
    case CAROUSEL_PING:
        answer_ping(conn);
        return;
    case CAROUSEL_GET_STATUS:
        if (message.has_machine)
            answer_machine_status(conn, &message.machine);
        else
            answer_all_status(conn);
        return;
    case CAROUSEL_GET_MACHINES:
        answer_machines(conn);
        return;
    case CAROUSEL_SEND_COMMAND:
        on_send_command(conn, &message);
        return;
    case CAROUSEL_SUBSCRIBE:
        carousel_subscribe(conn, &message);
        return;
    case CAROUSEL_UNSUBSCRIBE:
        carousel_unsubscribe(conn, &message);
        return;
    }
    MUST_NOT_REACH();
}

static bool path_served(const struct endpoint *endpoint, const char *path, size_t len)
{
    (void)endpoint;
    (void)path; /* "ws://HOST:8765", any path */
    return len > 0;
}

const struct endpoint_dialect carousel_dialect = {
    .name = "carousel",
    .record_dialect = DIALECT_CAROUSEL,
    .conn_bytes = 0,
    .path_served = path_served,
    .on_connect = on_connect,
    .on_receive = on_receive,
    .on_disconnect = on_disconnect,
    .states = carousel_write_states,
    .on_gap = carousel_reply_gap,
    .on_command_failed = on_command_failed,
};
