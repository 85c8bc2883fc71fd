/* Hop: D6. Every message passes here: known peer, living broker_gen, right role, sane fields; then one row of the table
 * names its handler. What fails is counted, logged within a budget, and dropped: a peer cannot hurt the broker or
 * another peer. Texts are checked to be UTF-8 without NUL, because they end in frames that browsers would close on. */
#include "ingest.h"

#include "agent_metrics.h"
#include "channel_events.h"
#include "commands.h"
#include "introduction.h"
#include "must.h"
#include "outcomes.h"
#include "relay.h"
#include "streams.h"
#include "survey.h"
#include "broker_text.h"

/* --- what only touches peer and registry -------------------------------------------------------------------------- */

static bool state_sane(const struct wire_state *state, const struct machine *machine)
{
    return wire_text_equals(state->machine, machine->conf->info.id) && state->connection < CONNECTION_COUNT &&
           state->connection != CONNECTION_STALE && state->raw_status <= UINT8_MAX &&
           state->position <= UINT8_MAX && state->agent_gen != 0;
}

static void handle_state(struct broker *broker, struct peer *peer, const struct wire_message *message)
{
    const struct wire_state *state = &message->state;
    struct machine *machine = peer->machine;
    if (!state_sane(state, machine)) {
        broker_invalid(broker, message, "fields");
        return;
    }
    if (!registry_report(machine, state, broker_now_ns(broker))) {
        broker_count(broker, BROKER_STATES_OLD);
        return;
    }
    broker_observe_age(broker, BROKER_HOP_D6, state->source_ns);
    uint64_t before = machine->record_position;
    broker_refresh(broker, machine, state->source_ns);
    if (machine->record_position == before)
        broker_count(broker, BROKER_STATES_UNCHANGED);
}

static void handle_heartbeat(struct broker *broker, struct peer *peer, const struct wire_message *message)
{
    if (peer->machine != NULL) {
        registry_heartbeat(peer->machine, message->heartbeat.reading_age_ms, broker_now_ns(broker));
        if (!agent_metrics_take(peer->machine, &message->heartbeat))
            broker_invalid(broker, message, "an entry of no histogram");
        broker_refresh(broker, peer->machine, 0);
    }
    struct wire_message answer = {
        .type = WIRE_HEARTBEAT,
        .heartbeat = {.incarnation = broker->gen, .reading_age_ms = -1, .metrics = wire_text("")}};
    if (peer->role == WIRE_WORKER) {
        peer->channels = message->heartbeat.channels;
        answer.heartbeat.channels = peers_channels_elsewhere(&broker->peers, peer);
    }
    broker_send(broker, &peer->identity, &answer);
}

static void handle_goodbye(struct broker *broker, struct peer *peer, const struct wire_message *message)
{
    if (message->goodbye.incarnation != peer->incarnation)
        return;
    broker_count(broker, BROKER_GOODBYES);
    introduction_end(broker, peer, LEAVE_ON_PURPOSE, "goodbye");
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

#define FROM(role) (1u << (role))
#define ANYBODY    (FROM(WIRE_WORKER) | FROM(WIRE_AGENT) | FROM(WIRE_TOOL) | FROM(WIRE_STORE))

static const struct handler {
    unsigned roles; /* whose word it is */
    void (*handle)(struct broker *broker, struct peer *peer, const struct wire_message *message);
} handlers[] = {
    [WIRE_HEARTBEAT] = {ANYBODY, handle_heartbeat},
    [WIRE_GOODBYE] = {ANYBODY, handle_goodbye},
    [WIRE_STATE] = {FROM(WIRE_AGENT), handle_state},
    [WIRE_OUTCOME] = {FROM(WIRE_AGENT), outcomes_receive},
    [WIRE_COMMAND] = {FROM(WIRE_WORKER) | FROM(WIRE_TOOL), commands_receive},
    [WIRE_PUBLISH] = {FROM(WIRE_WORKER), streams_receive},
    [WIRE_SURVEY] = {FROM(WIRE_WORKER), survey_begin},
    [WIRE_SURVEY_ASK] = {FROM(WIRE_WORKER), survey_ask},
    [WIRE_SURVEY_ROWS] = {FROM(WIRE_WORKER), survey_rows},
    [WIRE_STORE_REQUEST] = {FROM(WIRE_WORKER), relay_request},
    [WIRE_STORE_REPLY] = {FROM(WIRE_STORE), relay_reply},
    [WIRE_SOURCE] = {FROM(WIRE_STORE), channel_events_source},
    [WIRE_EVENT] = {FROM(WIRE_STORE), channel_events_receive},
};

static bool texts_clean(const struct wire_message *message)
{
    const struct wire_command *command = &message->command;
    const struct wire_outcome *outcome = &message->outcome;
    if (message->type == WIRE_COMMAND)
        return broker_text_clean(command->machine.at, command->machine.len) &&
               broker_text_clean(command->request_id.at, command->request_id.len) &&
               broker_text_clean(command->scope.at, command->scope.len) &&
               broker_text_clean(command->who.at, command->who.len) &&
               broker_text_clean(command->from.at, command->from.len);
    if (message->type == WIRE_OUTCOME)
        return broker_text_clean(outcome->machine.at, outcome->machine.len) &&
               broker_text_clean(outcome->request_id.at, outcome->request_id.len) &&
               broker_text_clean(outcome->text.at, outcome->text.len);
    if (message->type == WIRE_STORE_REQUEST)
        return broker_text_clean(message->store_request.who.at, message->store_request.who.len);
    return true;
}

static void dispatch(struct broker *broker, struct peer *peer, const struct wire_message *message)
{
    const struct handler *handler = message->type < ARRAY_LEN(handlers) ? &handlers[message->type] : NULL;
    if (handler == NULL || (handler->roles & FROM(peer->role)) == 0)
        broker_invalid(broker, message, "not for a peer of this role to say");
    else if (peer->role == WIRE_AGENT && peer->machine == NULL)
        broker_invalid(broker, message, "an agent without a machine");
    else if (!texts_clean(message))
        broker_invalid(broker, message, "text is not UTF-8");
    else
        handler->handle(broker, peer, message);
}

static void stranger(struct broker *broker, const struct bus_identity *from,
                     const struct wire_message *message)
{
    uint32_t suppressed;
    if (broker_may_log(broker, &broker->logs.stranger, &suppressed))
        log_info("stranger", "message=%s suppressed=%u came before HELLO", wire_type_name(message->type),
                 suppressed);
    introduction_again(broker, from);
}

static void on_message(void *arg, const struct bus_identity *from, int connection,
                       const struct wire_message *message)
{
    struct broker *broker = arg;
    broker_count(broker, BROKER_MESSAGES_HELLO + ((unsigned)message->type - WIRE_HELLO));
    if (message->type == WIRE_HELLO) {
        introduction_hello(broker, from, connection, message);
        return;
    }
    struct peer *peer = peers_find(&broker->peers, from);
    if (peer == NULL) {
        broker_count(broker, BROKER_UNKNOWN_PEER);
        stranger(broker, from, message);
        return;
    }
    peers_heard(&broker->peers, peer, broker_now_ns(broker));
    bool leaves = message->type == WIRE_GOODBYE; /* perhaps before it heard which broker this is */
    if (message->broker_gen != broker->gen && !leaves) {
        broker_count(broker, BROKER_OTHER_GEN);
        introduction_again(broker, from);
        return;
    }
    dispatch(broker, peer, message);
}

static void on_malformed(void *arg, const struct bus_identity *from, size_t len)
{
    struct broker *broker = arg;
    uint32_t suppressed;
    (void)from;
    broker_count(broker, BROKER_MALFORMED);
    if (broker_may_log(broker, &broker->logs.malformed, &suppressed))
        log_warn("message-malformed", "bytes=%zu suppressed=%u", len, suppressed);
}

static void on_closed(void *arg, int connection)
{
    struct broker *broker = arg;
    struct peer *peer = peers_at_connection(&broker->peers, connection);
    if (peer == NULL)
        return;
    broker_count(broker, BROKER_PEERS_CLOSED);
    introduction_end(broker, peer, LEAVE_LOST, "connection closed");
}

const struct bus_router_events ingest_events = {on_message, on_malformed, on_closed};

/* --- rounds --------------------------------------------------------------------------------------------------------- */

void ingest_round(void *arg)
{
    struct broker *broker = arg;
    bus_router_service(broker->router, BROKER_INGEST_BUDGET); /* what is left keeps its descriptor readable */
    publish_bell(&broker->publisher);
    broker_count(broker, BROKER_BATCHES);
}
