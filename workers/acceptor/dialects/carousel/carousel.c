/* Hop: C2. The carousel dialect: welcome, ping, get_status, subscribe, send_command. What subscribers and callers get
 * from the ring was encoded by the broker (frames_carousel.h); here are only the answers to the one who asks. */
#include "carousel.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "carousel_message.h"
#include "conf.h"
#include "mirror.h"
#include "must.h"
#include "record.h"

#define SMALL_MAX 4096 /* bytes of a message about one machine */

/* --- writing --------------------------------------------------------------------------------------------------------- */

static void put_timestamp(struct out *out, const struct endpoint *endpoint)
{
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, endpoint_wall_ms(endpoint));
    out_char(out, '"');
}

static void put_text(struct out *out, const char *text)
{
    out_json_string(out, text, strlen(text));
}

/* "id":{…state…} */
static void put_machine_state(struct out *out, const struct mirror_machine *machine)
{
    put_text(out, machine->info.id);
    out_literal(out, ":{");
    out_bytes(out, machine->text, machine->text_len);
    out_char(out, '}');
}

static struct out scratch(struct endpoint_conn *conn)
{
    return out_init(endpoint_scratch(endpoint_of(conn)), ENDPOINT_SCRATCH);
}

static void reply(struct endpoint_conn *conn, const struct out *out)
{
    MUST(!out->overflow);
    endpoint_reply(conn, out->at, out->len);
}

static void reply_error(struct endpoint_conn *conn, enum command_code_e code, const char *text,
                        const char *machine, const char *request_id)
{
    char memory[SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"error\",\"error\":");
    put_text(&out, text[0] != '\0' ? text : command_code_text(code));
    out_literal(&out, ",\"code\":");
    put_text(&out, command_code_name(code));
    if (machine[0] != '\0') {
        out_literal(&out, ",\"machine_id\":");
        put_text(&out, machine);
    }
    if (request_id[0] != '\0') {
        out_literal(&out, ",\"request_id\":");
        put_text(&out, request_id);
    }
    put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    reply(conn, &out);
}

/* --- welcome --------------------------------------------------------------------------------------------------------- */

static bool is_single(const struct endpoint *endpoint)
{
    const struct conf *conf = endpoint_conf(endpoint);
    return conf->machine_count == 1 && conf->machines[0].mode_single;
}

static void put_machines(struct out *out, const struct endpoint *endpoint)
{
    out_char(out, '[');
    for (uint32_t slot = 0, n = 0; slot < endpoint_machine_slots(endpoint); slot++) {
        const struct mirror_machine *machine = endpoint_machine(endpoint, slot);
        if (machine == NULL)
            continue;
        if (n++ > 0)
            out_char(out, ',');
        machine_info_json(&machine->info, out);
    }
    out_char(out, ']');
}

static void welcome(struct endpoint_conn *conn)
{
    struct endpoint *endpoint = endpoint_of(conn);
    struct out out = scratch(conn);
    out_literal(&out, "{\"type\":\"welcome\"");
    put_timestamp(&out, endpoint);
    out_text(&out, is_single(endpoint) ? ",\"mode\":\"single-plc\"" : ",\"mode\":\"multi-plc\"");
    out_literal(&out,
                ",\"server_info\":{\"version\":\"" NORIA_VERSION "\",\"capabilities\":[\"status_updates\","
                "\"command_execution\",\"real_time_notifications\"]},\"machines\":");
    put_machines(&out, endpoint);
    out_char(&out, '}');
    reply(conn, &out);
}

static void on_disconnect(struct endpoint_conn *conn)
{
    (void)conn; /* subscriptions and pending commands are the host's */
}

/* --- ping, get_status ------------------------------------------------------------------------------------------------- */

static void answer_ping(struct endpoint_conn *conn)
{
    char memory[96];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"pong\"");
    put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    reply(conn, &out);
}

static void answer_machine_status(struct endpoint_conn *conn, const struct carousel_id *id)
{
    const struct mirror_machine *machine =
        endpoint_find_machine(endpoint_of(conn), id->text, strlen(id->text));
    if (machine == NULL) {
        reply_error(conn, CODE_MACHINE_NOT_FOUND, "", id->text, "");
        return;
    }
    char memory[SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"machine_status\",\"machine_id\":");
    put_text(&out, machine->info.id);
    out_char(&out, ',');
    out_bytes(&out, machine->text, machine->text_len);
    put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    reply(conn, &out);
}

static void answer_all_status(struct endpoint_conn *conn)
{
    struct endpoint *endpoint = endpoint_of(conn);
    struct out out = scratch(conn);
    out_text(&out, is_single(endpoint) ? "{\"type\":\"status\",\"status\":{"
                                       : "{\"type\":\"all_machines_status\",\"status\":{");
    for (uint32_t slot = 0, n = 0; slot < endpoint_machine_slots(endpoint); slot++) {
        const struct mirror_machine *machine = endpoint_machine(endpoint, slot);
        if (machine == NULL)
            continue;
        if (n++ > 0)
            out_char(&out, ',');
        put_machine_state(&out, machine);
    }
    out_char(&out, '}');
    put_timestamp(&out, endpoint);
    out_char(&out, '}');
    reply(conn, &out);
}

static void on_get_status(struct endpoint_conn *conn, const struct carousel_message *message)
{
    if (message->has_machine)
        answer_machine_status(conn, &message->machine);
    else
        answer_all_status(conn);
}

/* --- subscribe ---------------------------------------------------------------------------------------------------------- */

/* status_broadcast of `machines`, complete up to `position`. */
static size_t write_states(struct endpoint *endpoint, const struct mirror_machine *const *machines,
                           uint32_t count, uint64_t position, char *payload, size_t cap)
{
    char seq[ENDPOINT_SEQ_MAX];
    struct out out = out_init(payload, cap);
    out_literal(&out, "{\"type\":\"status_broadcast\"");
    put_timestamp(&out, endpoint);
    out_literal(&out, ",\"status\":{");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            out_char(&out, ',');
        put_machine_state(&out, machines[i]);
    }
    endpoint_seq(endpoint, position, seq);
    out_literal(&out, "},\"seq\":\"");
    out_text(&out, seq);
    out_literal(&out, "\"}");
    MUST(!out.overflow);
    return out.len;
}

/* The machines a subscription names, in the client's order without repetition, or all in slot order. */
struct resolved {
    const struct mirror_machine **machines;
    uint32_t count;
    unsigned char *seen; /* a bit per slot */
};

static void resolved_add(struct resolved *resolved, const struct mirror_machine *machine)
{
    unsigned char *byte = &resolved->seen[machine->slot / 8], bit = (unsigned char)(1u << machine->slot % 8);
    if (*byte & bit)
        return;
    *byte |= bit;
    resolved->machines[resolved->count++] = machine;
}

/* NULL, or the first id that names no machine: then the whole request is refused. */
static const struct carousel_id *resolve(const struct endpoint *endpoint,
                                         const struct carousel_message *message, struct resolved *resolved)
{
    for (uint32_t slot = 0; message->all_machines && slot < endpoint_machine_slots(endpoint); slot++)
        if (endpoint_machine(endpoint, slot) != NULL)
            resolved_add(resolved, endpoint_machine(endpoint, slot));
    for (uint32_t i = 0; i < message->id_count; i++) {
        const struct carousel_id *id = &message->ids[i];
        const struct mirror_machine *machine = endpoint_find_machine(endpoint, id->text, strlen(id->text));
        if (machine == NULL)
            return id;
        resolved_add(resolved, machine);
    }
    return NULL;
}

static uint32_t subscription_topics(const struct carousel_message *message, const struct resolved *resolved,
                                    struct topic *topics)
{
    bool states = message->subscription != CAROUSEL_COMMAND_RESULTS;
    bool results = message->subscription != CAROUSEL_STATUS_UPDATES;
    bool all = message->all_machines;
    uint32_t count = 0;
    for (uint32_t i = 0; i < (all ? 1 : resolved->count); i++) {
        const char *machine = all ? NULL : resolved->machines[i]->info.id;
        if (states)
            topic_make(&topics[count++], TOPIC_STATE, machine);
        if (results)
            topic_make(&topics[count++], TOPIC_RESULT, machine);
    }
    if (message->subscription == CAROUSEL_ALL_EVENTS)
        topic_make(&topics[count++], TOPIC_EVENT, NULL);
    return count;
}

static void confirm(struct endpoint_conn *conn, const struct carousel_message *message,
                    const struct resolved *resolved)
{
    struct out out = scratch(conn);
    out_literal(&out, "{\"type\":\"subscription_confirmed\",\"subscription_type\":");
    put_text(&out, carousel_subscription_text(message->subscription));
    out_literal(&out, ",\"machine_ids\":[");
    for (uint32_t i = 0; i < resolved->count; i++) {
        if (i > 0)
            out_char(&out, ',');
        put_text(&out, resolved->machines[i]->info.id);
    }
    out_char(&out, ']');
    put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    reply(conn, &out);
}

static void send_snapshot(struct endpoint_conn *conn, const struct resolved *resolved)
{
    struct endpoint *endpoint = endpoint_of(conn);
    char *payload = endpoint_scratch(endpoint);
    size_t len = write_states(endpoint, resolved->machines, resolved->count, endpoint_position(endpoint),
                              payload, ENDPOINT_SCRATCH);
    endpoint_reply(conn, payload, len);
}

/* `asked`: by the client, who gets a confirmation or an error. */
static void subscribe_to(struct endpoint_conn *conn, const struct carousel_message *message,
                         const struct resolved *resolved, struct topic *topics, bool asked)
{
    uint32_t count = subscription_topics(message, resolved, topics);
    enum err_e err = endpoint_subscribe(conn, topics, count);
    if (err == ERR_CLOSED || (err != ERR_OK && !asked))
        return;
    if (err != ERR_OK) {
        reply_error(conn, CODE_RATE_LIMITED, "machine_ids: more subscriptions than a connection may have", "",
                    "");
        return;
    }
    if (asked)
        confirm(conn, message, resolved);
    if (message->subscription != CAROUSEL_COMMAND_RESULTS)
        send_snapshot(conn, resolved);
}

static void subscribe(struct endpoint_conn *conn, const struct carousel_message *message, bool asked)
{
    struct endpoint *endpoint = endpoint_of(conn);
    uint32_t slots = endpoint_machine_slots(endpoint);
    struct resolved resolved = {calloc(slots + 1, sizeof(*resolved.machines)), 0, calloc(slots / 8 + 1, 1)};
    struct topic *topics = malloc((2 * (size_t)slots + 2) * sizeof *topics);
    const struct carousel_id *unknown = NULL;
    bool memory = resolved.machines != NULL && resolved.seen != NULL && topics != NULL;
    if (memory)
        unknown = resolve(endpoint, message, &resolved);
    if (!memory && asked)
        reply_error(conn, CODE_INTERNAL_ERROR, "", "", "");
    else if (unknown != NULL)
        reply_error(conn, CODE_MACHINE_NOT_FOUND, "", unknown->text, "");
    else if (memory)
        subscribe_to(conn, message, &resolved, topics, asked);
    free(resolved.machines);
    free(resolved.seen);
    free(topics);
}

/* As the older server did where the switch is on: every client hears every status. */
static void subscribe_unasked(struct endpoint_conn *conn)
{
    struct carousel_message message;
    message.subscription = CAROUSEL_STATUS_UPDATES;
    message.all_machines = true;
    message.id_count = 0;
    subscribe(conn, &message, false);
}

static void on_connect(struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)request;
    welcome(conn);
    if (endpoint_conf(endpoint_of(conn))->carousel_auto_subscribe)
        subscribe_unasked(conn);
}

/* --- send_command --------------------------------------------------------------------------------------------------------- */

static void on_send_command(struct endpoint_conn *conn, const struct carousel_message *message)
{
    struct endpoint_command command = {
        .command = message->command, .argument = message->argument, .deadline_ms = message->deadline_ms};
    memcpy(command.machine, message->machine.text, sizeof command.machine);
    memcpy(command.request_id, message->request_id, sizeof command.request_id);
    if (endpoint_find_machine(endpoint_of(conn), command.machine, strlen(command.machine)) == NULL)
        reply_error(conn, CODE_MACHINE_NOT_FOUND, "", command.machine, command.request_id);
    else if (endpoint_send_command(conn, &command) != ERR_OK)
        reply_error(conn, CODE_RATE_LIMITED, "Too many commands wait for their answer", command.machine,
                    command.request_id);
}

static void on_command_failed(struct endpoint_conn *conn, const struct endpoint_command *command,
                              enum command_code_e code)
{
    reply_error(conn, code, "", command->machine, command->request_id);
}

/* --- the dialect ------------------------------------------------------------------------------------------------------------ */

static void on_receive(struct endpoint_conn *conn, const char *text, size_t len, bool binary)
{
    (void)binary; /* binary frames are read as text */
    struct carousel_message message;
    struct carousel_problem problem;
    if (!carousel_parse(text, len, &message, &problem)) {
        reply_error(conn, problem.code, problem.text, problem.machine.text, problem.request_id);
        return;
    }
    switch (message.type) {
    case CAROUSEL_PING:
        answer_ping(conn);
        return;
    case CAROUSEL_GET_STATUS:
        on_get_status(conn, &message);
        return;
    case CAROUSEL_SEND_COMMAND:
        on_send_command(conn, &message);
        return;
    case CAROUSEL_SUBSCRIBE:
        subscribe(conn, &message, true);
        return;
    }
    MUST_NOT_REACH();
}

static void on_gap(struct endpoint_conn *conn)
{
    char memory[96];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"gap\"");
    put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    reply(conn, &out);
}

static bool path_served(const char *path, size_t len)
{
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
    .states = write_states,
    .on_gap = on_gap,
    .on_command_failed = on_command_failed,
};
