/* Hop: D6. Who is let in. A refusal is permanent for the process that gets it, so it is given only for what a second
 * try cannot mend: version, configuration, a newer agent of the same machine. */
#include "introduction.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "must.h"
#include "relay.h"
#include "slot_file.h"
#include "survey.h"

static void refuse(struct broker *broker, const struct bus_identity *to, const char *who, const char *reason)
{
    uint32_t suppressed;
    struct wire_message message = {.type = WIRE_REFUSED, .refused.reason = wire_text(reason)};
    broker_count(broker, BROKER_HELLOS_REFUSED);
    if (broker_may_log(broker, &broker->logs.refused, &suppressed))
        log_warn("hello-refused", "peer=\"%s\" reason=\"%s\" suppressed=%u", who, reason, suppressed);
    broker_send(broker, to, &message);
}

void introduction_again(struct broker *broker, const struct bus_identity *from)
{
    if (!peers_may_re_hello(&broker->peers, from, broker_now_ns(broker))) {
        broker_count(broker, BROKER_RE_HELLOS_SUPPRESSED);
        return;
    }
    const struct peer *peer = peers_find(&broker->peers, from);
    struct wire_message message = {.type = WIRE_RE_HELLO, .re_hello = {peer != NULL ? peer->incarnation : 0}};
    broker_count(broker, BROKER_RE_HELLOS);
    broker_send(broker, from, &message);
}

/* --- leaving ----------------------------------------------------------------------------------------------------- */

/* Undoes what the peer meant to its machine; the machine is not shown differently yet. */
static struct machine *detach(struct peer *peer)
{
    struct machine *machine = peer->machine;
    peer->machine = NULL;
    if (machine != NULL)
        registry_detach(machine);
    return machine;
}

/* What else is to be known of it, once it is gone. */
static void tell_of_end(struct broker *broker, const struct peer *peer, enum leave_e how)
{
    uint32_t process = peer->role == WIRE_STORE ? SYSTEM_STORE : peer->slot;
    if (peer->role == WIRE_STORE)
        relay_store_lost(broker, peer->incarnation);
    if (process != PEERS_NO_SLOT)
        system_events_process_gone(&broker->system, &broker->publisher, process, how == LEAVE_ON_PURPOSE);
}

void introduction_end(struct broker *broker, struct peer *peer, enum leave_e how, const char *why)
{
    enum log_level_e level = how == LEAVE_ON_PURPOSE ? LOG_INFO : LOG_WARN;
    struct machine *machine = detach(peer);
    if (machine != NULL)
        log_write(level, "agent-lost", "machine=%s reason=\"%s\"", machine->conf->info.id, why);
    else if (peer->role == WIRE_WORKER)
        log_write(level, "worker-lost", "slot=%u reason=\"%s\"", peer->slot, why);
    else if (peer->role == WIRE_TOOL)
        log_write(LOG_DEBUG, "tool-gone", "reason=\"%s\"", why);
    else if (peer->role == WIRE_STORE)
        log_write(level, "store-lost", "reason=\"%s\"", why);
    if (peer->role == WIRE_WORKER)
        survey_look_again(broker);
    struct peer gone = *peer;
    peers_remove(&broker->peers, peer);
    tell_of_end(broker, &gone, how);
    if (machine == NULL)
        return;
    if (how == LEAVE_ON_PURPOSE && machine->successor_due)
        registry_await(machine, broker_now_ns(broker) + BROKER_HOLD_NS);
    broker_refresh(broker, machine, 0);
}

void introduction_dismiss(struct broker *broker, struct peer *peer, const char *reason)
{
    struct machine *machine = detach(peer);
    log_info("agent-dismissed", "machine=%s reason=\"%s\"", machine->conf->info.id,
             reason != NULL ? reason : "it reads another PLC");
    if (reason != NULL)
        refuse(broker, &peer->identity, machine->conf->info.id, reason);
    peers_remove(&broker->peers, peer);
}

/* --- coming ------------------------------------------------------------------------------------------------------ */

static struct peer *find_or_add(struct broker *broker, const struct bus_identity *from, int connection,
                                const struct wire_hello *hello)
{
    struct peer *peer = peers_find(&broker->peers, from);
    if (peer != NULL && peer->role != hello->role) {
        introduction_end(broker, peer, LEAVE_LOST, "came back in another role");
        peer = NULL;
    }
    if (peer == NULL)
        peer = peers_add(&broker->peers, from, (enum wire_role_e)hello->role, broker_now_ns(broker));
    if (peer == NULL) {
        static const char *const reasons[] = {
            [WIRE_TOOL] = "too many tools at once", [WIRE_STORE] = "there is a store already"};
        bool own = hello->role == WIRE_TOOL || hello->role == WIRE_STORE;
        refuse(broker, from, "?", own ? reasons[hello->role] : "the broker's table of peers is full");
        return NULL;
    }
    peer->incarnation = hello->incarnation;
    if (peer->connection != connection)
        peers_set_connection(&broker->peers, peer, connection);
    return peer;
}

static void welcome(struct broker *broker, struct peer *peer, uint32_t slot, bool profile_agrees)
{
    struct wire_message message = {.type = WIRE_HELLO_OK,
                                   .hello_ok = {.version = WIRE_VERSION,
                                                .slot = slot,
                                                .ring_id = broker->publisher.ring_id,
                                                .profile_agrees = profile_agrees}};
    broker_count(broker, BROKER_HELLOS_ACCEPTED);
    broker_send(broker, &peer->identity, &message);
}

static void hello_worker(struct broker *broker, const struct bus_identity *from, int connection,
                         const struct wire_hello *hello)
{
    struct peer *peer = find_or_add(broker, from, connection, hello);
    if (peer == NULL)
        return;
    survey_look_again(broker);
    bool known = peer->slot != PEERS_NO_SLOT;
    uint64_t others = known ? 0 : slot_files_of_others(broker, hello->incarnation);
    if (peers_lease(&broker->peers, peer, hello->slot, others) == PEERS_NO_SLOT) {
        refuse(broker, from, "worker", "all worker slots are taken");
        peers_remove(&broker->peers, peer);
        return;
    }
    welcome(broker, peer, peer->slot, true);
    if (known)
        return;
    log_info("worker-up", "slot=%u", peer->slot);
    system_events_process_up(&broker->system, &broker->publisher, peer->slot);
}

/* The newest agent of a machine is the one that counts. */
static void replace_agent(struct broker *broker, struct machine *machine)
{
    struct peer *old = machine->agent;
    broker_count(broker, BROKER_AGENTS_REPLACED);
    refuse(broker, &old->identity, machine->conf->info.id, "replaced by another agent of this machine");
    detach(old);
    peers_remove(&broker->peers, old);
}

/* It was told another PLC than this broker was, and one of the two is about to learn better: by a reload, or a restart. */
static bool reads_another(struct broker *broker, const struct machine *machine, uint64_t address)
{
    uint32_t suppressed;
    if (address == UINT32_MAX || address == machine->address)
        return false;
    broker_count(broker, BROKER_HELLOS_ELSEWHERE);
    if (broker_may_log(broker, &broker->logs.elsewhere, &suppressed))
        log_warn("agent-elsewhere",
                 "machine=%s plc=%s:%u suppressed=%u its agent was told another one, and is not heard",
                 machine->conf->info.id, machine->conf->connect_host, machine->conf->connect_port,
                 suppressed);
    return true;
}

static void hello_agent(struct broker *broker, const struct bus_identity *from, int connection,
                        const struct wire_hello *hello)
{
    struct machine *machine = registry_find(&broker->registry, hello->machine.at, hello->machine.len);
    if (machine == NULL) {
        char id[MACHINE_ID_MAX + 1];
        wire_text_copy(hello->machine, id, sizeof id);
        refuse(broker, from, id, "the machine is not configured");
        return;
    }
    if (reads_another(broker, machine, hello->slot))
        return;
    struct peer *peer = find_or_add(broker, from, connection, hello);
    if (peer == NULL)
        return;
    bool known = peer->machine == machine;
    if (machine->agent != NULL && machine->agent != peer)
        replace_agent(broker, machine);
    struct machine *former = known ? NULL : detach(peer);
    peer->machine = machine;
    registry_attach(machine, peer, hello->profile_hash, broker_now_ns(broker));
    machine->successor_due &= known;
    broker->segments_wanted = true;
    if (!machine->profile_agrees)
        log_warn("profile-differs", "machine=%s profile=%s the machine is read-only", machine->conf->info.id,
                 machine->conf->profile_name);
    if (!known)
        log_info("agent-up", "machine=%s slot=%u", machine->conf->info.id, machine->slot);
    welcome(broker, peer, machine->slot, machine->profile_agrees);
    if (former != NULL)
        broker_refresh(broker, former, 0);
    broker_refresh(broker, machine, 0);
    commands_agent_attached(broker, machine);
}

/* It leaves when it has its answer, or no patience left: like every peer, by GOODBYE, the end of its connection or silence. */
static void hello_tool(struct broker *broker, const struct bus_identity *from, int connection,
                       const struct wire_hello *hello)
{
    struct peer *peer = find_or_add(broker, from, connection, hello);
    if (peer != NULL)
        welcome(broker, peer, PEERS_NO_SLOT, true);
}

/* One at a time. A store that says HELLO again has dropped what waited for it, as a link does that stood still: nobody is to wait for
 * that. */
static void hello_store(struct broker *broker, const struct bus_identity *from, int connection,
                        const struct wire_hello *hello)
{
    const struct peer *before = peers_find(&broker->peers, from);
    bool known = before != NULL && before == broker->peers.store;
    struct peer *peer = find_or_add(broker, from, connection, hello);
    if (peer == NULL)
        return;
    if (known)
        relay_store_lost(broker, peer->incarnation);
    welcome(broker, peer, PEERS_NO_SLOT, true);
    if (known)
        return;
    log_info("store-up", "incarnation=%016llx", (unsigned long long)peer->incarnation);
    system_events_process_up(&broker->system, &broker->publisher, SYSTEM_STORE);
}

void introduction_hello(struct broker *broker, const struct bus_identity *from, int connection,
                        const struct wire_message *message)
{
    const struct wire_hello *hello = &message->hello;
    char reason[96];
    if (hello->version != WIRE_VERSION) {
        snprintf(reason, sizeof reason, "bus protocol %llu; this broker speaks %u",
                 (unsigned long long)hello->version, WIRE_VERSION);
        refuse(broker, from, "?", reason);
    } else if (hello->role == WIRE_WORKER) {
        hello_worker(broker, from, connection, hello);
    } else if (hello->role == WIRE_AGENT) {
        hello_agent(broker, from, connection, hello);
    } else if (hello->role == WIRE_TOOL) {
        hello_tool(broker, from, connection, hello);
    } else if (hello->role == WIRE_STORE) {
        hello_store(broker, from, connection, hello);
    } else {
        refuse(broker, from, "?", "no such role");
    }
}
