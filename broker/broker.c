/* Hop: D6, D7. The two things that every handler ends with: an answer, and a machine that may look different now. */
#include "broker.h"

bool broker_may_log(struct broker *broker, struct log_limit *limit, uint32_t *suppressed)
{
    return log_limit_ok(limit, broker_now_ns(broker), 10 * NS_PER_S, 1, suppressed);
}

void broker_invalid(struct broker *broker, const struct wire_message *message, const char *why)
{
    uint32_t suppressed;
    broker_count(broker, BROKER_INVALID);
    if (broker_may_log(broker, &broker->logs.invalid, &suppressed))
        log_warn("message-invalid", "type=%s reason=\"%s\" suppressed=%u", wire_type_name(message->type), why,
                 suppressed);
}

enum err_e broker_send(struct broker *broker, const struct bus_identity *to, struct wire_message *message)
{
    uint32_t suppressed;
    message->broker_gen = broker->gen;
    enum err_e err = bus_router_send(broker->router, to, message);
    if (err == ERR_FULL) {
        broker_count(broker, BROKER_SEND_FULL);
        if (broker_may_log(broker, &broker->logs.full, &suppressed))
            log_warn("peer-full", "message=%s suppressed=%u a peer does not read: dropped",
                     wire_type_name(message->type), suppressed);
    } else if (err != ERR_OK) {
        broker_count(broker, BROKER_SEND_NO_PEER);
    }
    return err;
}

void broker_refresh(struct broker *broker, struct machine *machine, uint64_t source_ns)
{
    uint64_t now = broker_now_ns(broker);
    struct machine_state target = registry_target(machine, now);
    if (machine_state_differs(&target, &machine->shown)) {
        uint64_t agent_gen = machine->has_report ? machine->report_gen : machine->shown_gen;
        publish_state(&broker->publisher, machine, &target, agent_gen, source_ns);
    }
    registry_plan(&broker->registry, machine);
}
