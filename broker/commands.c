/* Hop: C4, R2. See the contract in commands.h. */
#include "commands.h"

#include "fault_point.h"
#include "outcomes.h"

#define DEADLINE_MS_MAX (3600 * 1000) /* an hour; longer ones are cut */

/* --- answering ----------------------------------------------------------------------------------------------------- */

struct refusal {
    struct command_key key;
    const struct machine *machine; /* NULL: none such */
    uint64_t dialect, source_ns;
    struct command_fate fate;
};

static void put_in_ring(struct broker *broker, const struct refusal *refusal)
{
    struct fate_record record = {.kind = FATE_REFUSAL,
                                 .origin_mode = ORIGIN_ONLY,
                                 .origin = {refusal->key.session_worker, refusal->key.session_serial},
                                 .dialect = refusal->dialect,
                                 .machine = refusal->machine,
                                 .command_serial = refusal->key.command_serial,
                                 .source_ns = refusal->source_ns};
    if (publish_fate(&broker->publisher, &record, &refusal->fate) == ERR_OK)
        publish_flush(&broker->publisher);
}

static struct wire_outcome refusal_outcome(const struct refusal *refusal)
{
    return (struct wire_outcome){.kind = OUTCOME_RESULT,
                                 .session_worker = refusal->key.session_worker,
                                 .session_serial = refusal->key.session_serial,
                                 .command_serial = refusal->key.command_serial,
                                 .dialect = refusal->dialect,
                                 .machine = wire_text(refusal->fate.machine_id),
                                 .request_id = wire_text(refusal->fate.request_id),
                                 .command = refusal->fate.command,
                                 .argument = refusal->fate.argument,
                                 .code = refusal->fate.code,
                                 .text = wire_text(refusal->fate.text),
                                 .position = -1,
                                 .source_ns = refusal->source_ns};
}

static void refuse(struct broker *broker, const struct refusal *refusal)
{
    const struct peer *tool = peers_tool(&broker->peers, refusal->key.session_worker);
    broker_count(broker, BROKER_REFUSALS_NONE + (unsigned)refusal->fate.code);
    if (tool != NULL) {
        struct wire_outcome outcome = refusal_outcome(refusal);
        outcomes_tell_tool(broker, tool, &outcome);
    } else {
        put_in_ring(broker, refusal);
    }
    broker_observe_age(broker, BROKER_HOP_R2, refusal->source_ns);
    command_table_note_answered(&broker->commands, &refusal->key, false);
}

static void refuse_entry(struct broker *broker, const struct command_entry *entry, enum command_code_e code,
                         const char *text)
{
    const struct command_ask *ask = entry->ask;
    const struct machine *machine = ask->machine;
    struct refusal refusal = {.key = entry->key,
                              .machine = machine,
                              .dialect = ask->dialect,
                              .source_ns = ask->source_ns,
                              .fate = {.machine_id = machine->conf->info.id,
                                       .request_id = ask->request_id,
                                       .command = ask->command,
                                       .argument = ask->argument,
                                       .code = code,
                                       .text = text,
                                       .position = -1}};
    refuse(broker, &refusal);
}

/* Of a command that a broker now dead may have handed over it cannot be said that nothing was sent; only that it was never a
 * command. */
static void refuse_message(struct broker *broker, const struct wire_command *command,
                           const struct machine *machine, enum command_code_e code, const char *text)
{
    char id[MACHINE_ID_MAX + 1], request_id[REQUEST_ID_MAX + 1];
    wire_text_copy(command->machine, id, sizeof id);
    wire_text_copy(command->request_id, request_id, sizeof request_id);
    bool unknown = command->resent && code != CODE_INVALID_COMMAND;
    struct refusal refusal = {
        .key = {command->session_worker, command->session_serial, command->command_serial},
        .machine = machine,
        .dialect = command->dialect,
        .source_ns = command->source_ns,
        .fate = {.machine_id = id,
                 .request_id = request_id,
                 .command = (uint16_t)command->command,
                 .argument =
                     command->argument >= 0 && command->argument <= UINT8_MAX ? (int)command->argument : -1,
                 .code = unknown ? CODE_OUTCOME_UNKNOWN : code,
                 .text = unknown ? "" : text,
                 .position = -1}};
    refuse(broker, &refusal);
}

/* --- handing over ---------------------------------------------------------------------------------------------------- */

static struct wire_message entry_message(const struct command_entry *entry, uint64_t now_ns)
{
    const struct command_ask *ask = entry->ask;
    const struct machine *machine = ask->machine;
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = entry->key.session_worker,
                                            .session_serial = entry->key.session_serial,
                                            .command_serial = entry->key.command_serial,
                                            .dialect = ask->dialect,
                                            .machine = wire_text(machine->conf->info.id),
                                            .request_id = wire_text(ask->request_id),
                                            .scope = wire_text(ask->scope),
                                            .who = wire_text(ask->who),
                                            .from = wire_text(ask->from),
                                            .command = ask->command,
                                            .argument = ask->argument,
                                            .deadline_ms = command_table_left_ms(ask, now_ns),
                                            .age_ms = ask->age_ms + (now_ns - ask->received_ns) / NS_PER_MS,
                                            .resent = ask->resent,
                                            .source_ns = ask->source_ns,
                                            .boot = ask->boot};
    return message;
}

/* Does it move anything? Reading a status and lifting the latch do not. */
static bool acts(uint64_t command)
{
    return command != COMMAND_STATUS && command != COMMAND_REARM;
}

/* Why the machine's agent is not to have a new command; NULL: nothing stands against it. An agent checks its interlocks
 * itself; but one that hangs cannot, and would find the command when it wakes. */
static const char *interlock(const struct command_ask *ask)
{
    const struct machine *machine = ask->machine;
    if (!acts(ask->command))
        return NULL;
    if (!registry_writable(machine))
        return "unknown profile";
    return machine->shown.connection == CONNECTION_STALE ? "stale state" : NULL;
}

/* Gives a live entry to the machine's attached agent, or refuses it. What may have been handed over before goes to the
 * agent whatever stands against it: only the agent's journal knows what became of it. */
static void hand_over(struct broker *broker, struct command_entry *entry)
{
    const struct command_ask *ask = entry->ask;
    const struct machine *machine = ask->machine;
    const struct peer *agent = machine->agent;
    const char *against = ask->resent ? NULL : interlock(ask);
    if (against != NULL) {
        refuse_entry(broker, entry, CODE_INTERLOCK, against);
        return;
    }
    struct wire_message message = entry_message(entry, broker_now_ns(broker));
    enum err_e err = broker_send(broker, &agent->identity, &message);
    if (err == ERR_OK) {
        command_table_handed(entry, agent->incarnation);
        broker_count(broker, BROKER_COMMANDS_HANDED);
        FAULT_POINT(BROKER_COMMAND_HANDED);
    } else if (ask->resent) {
        broker_count(broker, BROKER_COMMANDS_HELD);
    } else if (err == ERR_FULL) {
        refuse_entry(broker, entry, CODE_BUSY, "the machine's agent does not read");
    } else {
        refuse_entry(broker, entry, CODE_CONNECTION_ERROR, "");
    }
}

/* The agent had it, or the process before it: its successor reads in the journal what was done. */
static void hand_over_again(struct broker *broker, struct command_entry *entry)
{
    struct command_ask *ask = entry->ask;
    const struct machine *machine = ask->machine;
    const struct peer *agent = machine->agent;
    bool successor = ask->agent_incarnation != agent->incarnation;
    ask->resent |= successor;
    struct wire_message message = entry_message(entry, broker_now_ns(broker));
    if (broker_send(broker, &agent->identity, &message) != ERR_OK)
        return; /* the next time it attaches, or given up */
    command_table_handed(entry, agent->incarnation);
    broker_count(broker, successor ? BROKER_COMMANDS_PASSED_ON : BROKER_COMMANDS_AGAIN);
    FAULT_POINT(BROKER_COMMAND_HANDED);
}

void commands_agent_attached(struct broker *broker, struct machine *machine)
{
    LIST_FOREACH (node, &machine->commands) {
        struct command_entry *entry = LIST_ENTRY(node, struct command_entry, at_machine);
        if (entry->state == COMMAND_HELD)
            hand_over(broker, entry);
        else
            hand_over_again(broker, entry);
    }
}

/* --- receiving ------------------------------------------------------------------------------------------------------- */

static int64_t left_ms(const struct wire_command *command, const struct conf_machine *conf)
{
    if (command->deadline_ms >= 0)
        return command->deadline_ms < DEADLINE_MS_MAX ? command->deadline_ms : DEADLINE_MS_MAX;
    uint64_t age_ms =
        command->age_ms < conf->command_deadline_ms ? command->age_ms : conf->command_deadline_ms;
    return (int64_t)(conf->command_deadline_ms - age_ms);
}

static void fill_ask(struct command_ask *ask, const struct wire_command *command, struct machine *machine,
                     uint64_t now_ns)
{
    const struct conf_machine *conf = machine->conf;
    ask->machine = machine;
    wire_text_copy(command->request_id, ask->request_id, sizeof ask->request_id);
    wire_text_copy(command->scope, ask->scope, sizeof ask->scope);
    wire_text_copy(command->who, ask->who, sizeof ask->who);
    wire_text_copy(command->from, ask->from, sizeof ask->from);
    ask->dialect = (uint32_t)command->dialect;
    ask->command = (uint16_t)command->command;
    ask->argument = (int16_t)command->argument;
    ask->resent = command->resent;
    ask->received_ns = now_ns;
    ask->age_ms = command->age_ms;
    ask->source_ns = command->source_ns;
    ask->boot = command->boot;
    ask->deadline_ns = now_ns + (uint64_t)left_ms(command, conf) * NS_PER_MS;
    ask->give_up_ns = ask->deadline_ns + (COMMAND_GRACE_MS + (uint64_t)conf->reply_timeout_ms) * NS_PER_MS;
}

/* A command that is new: into the table, and on, or answered at once. */
static void accept(struct broker *broker, const struct wire_command *command, struct machine *machine)
{
    struct command_key key = {command->session_worker, command->session_serial, command->command_serial};
    uint64_t now = broker_now_ns(broker);
    struct command_entry *entry = command_table_add(&broker->commands, &key, &machine->commands);
    if (entry == NULL) {
        refuse_message(broker, command, machine, CODE_BUSY, "too many commands");
        return;
    }
    fill_ask(entry->ask, command, machine, now);
    command_table_inherit(entry, &machine->commands, now);
    FAULT_POINT(BROKER_COMMAND_TAKEN);
    if (!entry->ask->resent && now >= entry->ask->deadline_ns)
        refuse_entry(broker, entry, CODE_TIMEOUT, "");
    else if (machine->agent != NULL)
        hand_over(broker, entry);
    else if (entry->ask->resent || registry_awaits(machine, now))
        broker_count(broker, BROKER_COMMANDS_HELD);
    else
        refuse_entry(broker, entry, CODE_CONNECTION_ERROR, "");
}

/* Can anybody be answered, and in which dialect? A tool speaks for itself alone. */
static bool answerable(const struct peer *peer, const struct wire_command *command)
{
    return dialect_frames(command->dialect) != NULL && command->command_serial <= UINT32_MAX &&
           command->session_worker != 0 &&
           (peer->role != WIRE_TOOL || command->session_worker == peer->incarnation);
}

static void drop(struct broker *broker, const struct peer *peer, const struct wire_command *command)
{
    uint32_t suppressed;
    broker_count(broker, BROKER_INVALID);
    if (broker_may_log(broker, &broker->logs.command, &suppressed))
        log_warn("command-invalid", "slot=%u dialect=%llu suppressed=%u", peer->slot,
                 (unsigned long long)command->dialect, suppressed);
}

static bool well_formed(const struct wire_command *command)
{
    if (command->command == COMMAND_REARM)
        return command->argument == -1;
    return command->command <= UINT8_MAX && command->argument >= -1 && command->argument <= UINT8_MAX;
}

void commands_receive(struct broker *broker, struct peer *peer, const struct wire_message *message)
{
    struct wire_command arrived = message->command;
    const struct wire_command *command = &arrived;
    struct command_key key = {command->session_worker, command->session_serial, command->command_serial};
    if (!answerable(peer, command)) {
        drop(broker, peer, command);
        return;
    }
    bool comparable = broker->boot != 0 && arrived.boot == broker->boot;
    if (comparable)
        wire_command_arrived(&arrived, broker_now_ns(broker));
    if (command_table_find(&broker->commands, &key) != NULL) {
        broker_count(broker, BROKER_COMMANDS_REPEATED);
        return;
    }
    if (comparable)
        broker_observe_age(broker, BROKER_HOP_C4, command->source_ns);
    struct machine *machine = registry_find(&broker->registry, command->machine.at, command->machine.len);
    if (machine == NULL)
        refuse_message(broker, command, NULL, CODE_MACHINE_NOT_FOUND, "");
    else if (!well_formed(command))
        refuse_message(broker, command, machine, CODE_INVALID_COMMAND, "");
    else if (machine->conf->profile == NULL && acts(command->command) && !command->resent)
        refuse_message(broker, command, machine, CODE_INTERLOCK, "unknown profile");
    else
        accept(broker, command, machine);
}

/* --- a reload ------------------------------------------------------------------------------------------------------ */

void commands_machine_ends(struct broker *broker, struct machine *machine, enum command_code_e code)
{
    LIST_FOREACH (node, &machine->commands) {
        const struct command_entry *entry = LIST_ENTRY(node, struct command_entry, at_machine);
        bool perhaps_sent = entry->state == COMMAND_HANDED || entry->ask->resent;
        refuse_entry(broker, entry, perhaps_sent ? CODE_OUTCOME_UNKNOWN : code, "");
    }
}

/* --- time ------------------------------------------------------------------------------------------------------------ */

void commands_tick(struct broker *broker, uint64_t now_ns)
{
    LIST_FOREACH (node, &broker->commands.live) {
        struct command_entry *entry = LIST_ENTRY(node, struct command_entry, in_state);
        const struct machine *machine = entry->ask->machine;
        uint64_t hold_until_ns = machine->awaited ? machine->hold_until_ns : 0;
        enum command_code_e code =
            command_table_verdict(entry, now_ns, hold_until_ns, machine->agent != NULL);
        if (code != CODE_NONE)
            refuse_entry(broker, entry, code, "");
    }
}
