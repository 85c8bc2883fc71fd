/* Hop: C4, R2. See the contract in commands.h. */
#include "commands.h"

#include <string.h>

#include "must.h"

#define DEADLINE_MS_MAX (3600 * 1000) /* an hour; longer ones are cut */

/* --- answering ----------------------------------------------------------------------------------------------------- */

struct refusal {
    struct command_key key;
    const struct machine *machine; /* NULL: none such */
    uint64_t dialect, source_ns;
    struct command_fate fate;
};

static void refuse(struct broker *broker, const struct refusal *refusal)
{
    struct fate_record record = {.kind = FATE_REFUSAL,
                                 .origin_mode = ORIGIN_ONLY,
                                 .origin = {refusal->key.session_worker, refusal->key.session_serial},
                                 .dialect = refusal->dialect,
                                 .machine = refusal->machine,
                                 .command_serial = refusal->key.command_serial,
                                 .source_ns = refusal->source_ns};
    command_table_note_answered(&broker->commands, &refusal->key);
    broker_count(broker, BROKER_REFUSALS_NONE + (unsigned)refusal->fate.code);
    if (publish_fate(&broker->publisher, &record, &refusal->fate) == ERR_OK)
        publish_flush(&broker->publisher);
}

static void refuse_entry(struct broker *broker, const struct command_entry *entry, enum command_code_e code,
                         const char *text)
{
    const struct machine *machine = entry->machine;
    struct refusal refusal = {.key = entry->key,
                              .machine = machine,
                              .dialect = entry->dialect,
                              .source_ns = entry->source_ns,
                              .fate = {.machine_id = machine->conf->info.id,
                                       .request_id = entry->request_id,
                                       .command = entry->command,
                                       .argument = entry->argument,
                                       .code = code,
                                       .text = text,
                                       .position = -1}};
    refuse(broker, &refusal);
}

static void refuse_message(struct broker *broker, const struct wire_command *command,
                           const struct machine *machine, enum command_code_e code, const char *text)
{
    char id[MACHINE_ID_MAX + 1], request_id[REQUEST_ID_MAX + 1];
    wire_text_copy(command->machine, id, sizeof id);
    wire_text_copy(command->request_id, request_id, sizeof request_id);
    struct refusal refusal = {
        .key = {command->session_worker, command->session_serial, command->command_serial},
        .machine = machine,
        .dialect = command->dialect,
        .source_ns = command->source_ns,
        .fate = {.machine_id = id,
                 .request_id = request_id,
                 .command = (uint8_t)command->command,
                 .argument =
                     command->argument >= 0 && command->argument <= UINT8_MAX ? (int)command->argument : -1,
                 .code = code,
                 .text = text,
                 .position = -1}};
    refuse(broker, &refusal);
}

/* --- handing over ---------------------------------------------------------------------------------------------------- */

static struct wire_message entry_message(const struct command_entry *entry, uint64_t now_ns)
{
    const struct machine *machine = entry->machine;
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command =
        (struct wire_command){.session_worker = entry->key.session_worker,
                              .session_serial = entry->key.session_serial,
                              .command_serial = entry->key.command_serial,
                              .dialect = entry->dialect,
                              .machine = wire_text(machine->conf->info.id),
                              .request_id = wire_text(entry->request_id),
                              .scope = wire_text(entry->scope),
                              .command = entry->command,
                              .argument = entry->argument,
                              .deadline_ms = command_table_left_ms(entry, now_ns),
                              .age_ms = entry->age_ms + (now_ns - entry->received_ns) / NS_PER_MS,
                              .resent = entry->resent,
                              .source_ns = entry->source_ns};
    return message;
}

static bool reads_only(uint8_t command)
{
    return command == COMMAND_STATUS;
}

/* Gives a live entry to the machine's attached agent, or refuses it. */
static void hand_over(struct broker *broker, struct command_entry *entry)
{
    const struct machine *machine = entry->machine;
    const struct peer *agent = machine->agent;
    uint64_t now = broker_now_ns(broker);
    if (!registry_writable(machine) && !reads_only(entry->command)) {
        refuse_entry(broker, entry, CODE_INTERLOCK, "unknown profile");
        return;
    }
    /* The agent checks its interlocks itself; but one that hangs cannot, and would find the command when it wakes. */
    if (machine->shown.connection == CONNECTION_STALE && !reads_only(entry->command) && !entry->resent) {
        refuse_entry(broker, entry, CODE_INTERLOCK, "stale state");
        return;
    }
    struct wire_message message = entry_message(entry, now);
    enum err_e err = broker_send(broker, &agent->identity, &message);
    if (err == ERR_OK) {
        command_table_handed(entry, agent->incarnation);
        broker_count(broker, BROKER_COMMANDS_HANDED);
    } else if (entry->resent) {
        broker_count(broker, BROKER_COMMANDS_HELD);
    } else if (err == ERR_FULL) {
        refuse_entry(broker, entry, CODE_BUSY, "the machine's agent does not read");
    } else {
        refuse_entry(broker, entry, CODE_CONNECTION_ERROR, "");
    }
}

static void hand_over_again(struct broker *broker, const struct command_entry *entry)
{
    const struct machine *machine = entry->machine;
    struct wire_message message = entry_message(entry, broker_now_ns(broker));
    if (broker_send(broker, &machine->agent->identity, &message) == ERR_OK)
        broker_count(broker, BROKER_COMMANDS_AGAIN);
}

void commands_agent_attached(struct broker *broker, struct machine *machine)
{
    LIST_FOREACH (node, &machine->commands) {
        struct command_entry *entry = LIST_ENTRY(node, struct command_entry, at_machine);
        if (entry->state == COMMAND_HELD)
            hand_over(broker, entry);
        else if (entry->agent_incarnation == machine->agent->incarnation)
            hand_over_again(broker, entry);
    }
}

/* --- receiving ------------------------------------------------------------------------------------------------------- */

static void fill_entry(struct command_entry *entry, const struct wire_command *command,
                       struct machine *machine, uint64_t now_ns)
{
    const struct conf_machine *conf = machine->conf;
    int64_t left_ms = command->deadline_ms;
    if (left_ms < 0) {
        uint64_t age_ms =
            command->age_ms < conf->command_deadline_ms ? command->age_ms : conf->command_deadline_ms;
        left_ms = (int64_t)(conf->command_deadline_ms - age_ms);
    }
    if (left_ms > DEADLINE_MS_MAX)
        left_ms = DEADLINE_MS_MAX;
    entry->machine = machine;
    wire_text_copy(command->request_id, entry->request_id, sizeof entry->request_id);
    wire_text_copy(command->scope, entry->scope, sizeof entry->scope);
    entry->dialect = (uint32_t)command->dialect;
    entry->command = (uint8_t)command->command;
    entry->argument = (int16_t)command->argument;
    entry->resent = command->resent;
    entry->received_ns = now_ns;
    entry->age_ms = command->age_ms;
    entry->source_ns = command->source_ns;
    entry->deadline_ns = now_ns + (uint64_t)left_ms * NS_PER_MS;
    entry->give_up_ns =
        entry->deadline_ns + (COMMAND_GRACE_MS + (uint64_t)conf->reply_timeout_ms) * NS_PER_MS;
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
    fill_entry(entry, command, machine, now);
    command_table_inherit(entry, &machine->commands, now);
    if (!entry->resent && now >= entry->deadline_ns)
        refuse_entry(broker, entry, CODE_TIMEOUT, "");
    else if (machine->agent != NULL)
        hand_over(broker, entry);
    else if (entry->resent || (machine->awaited && now < broker->hold_until_ns))
        broker_count(broker, BROKER_COMMANDS_HELD);
    else
        refuse_entry(broker, entry, CODE_CONNECTION_ERROR, "");
}

void commands_receive(struct broker *broker, struct peer *worker, const struct wire_message *message)
{
    const struct wire_command *command = &message->command;
    struct command_key key = {command->session_worker, command->session_serial, command->command_serial};
    if (dialect_frames(command->dialect) == NULL || command->command_serial > UINT32_MAX ||
        key.session_worker == 0) {
        uint32_t suppressed; /* nobody could be answered, in no dialect */
        broker_count(broker, BROKER_INVALID);
        if (broker_may_log(broker, &broker->logs.command, &suppressed))
            log_warn("command-invalid", "slot=%u dialect=%llu (suppressed=%u)", worker->slot,
                     (unsigned long long)command->dialect, suppressed);
        return;
    }
    if (command_table_find(&broker->commands, &key) != NULL) {
        broker_count(broker, BROKER_COMMANDS_REPEATED);
        return;
    }
    struct machine *machine = registry_find(&broker->registry, command->machine.at, command->machine.len);
    bool sane = command->command <= UINT8_MAX && command->argument >= -1 && command->argument <= UINT8_MAX;
    if (machine == NULL)
        refuse_message(broker, command, NULL, CODE_MACHINE_NOT_FOUND, "");
    else if (!sane)
        refuse_message(broker, command, machine, CODE_INVALID_COMMAND, "");
    else if (machine->conf->profile == NULL && !reads_only((uint8_t)command->command))
        refuse_message(broker, command, machine, CODE_INTERLOCK, "unknown profile");
    else
        accept(broker, command, machine);
}

/* --- time ------------------------------------------------------------------------------------------------------------ */

void commands_tick(struct broker *broker, uint64_t now_ns)
{
    LIST_FOREACH (node, &broker->commands.live) {
        struct command_entry *entry = LIST_ENTRY(node, struct command_entry, in_state);
        const struct machine *machine = entry->machine;
        enum command_code_e code =
            command_table_verdict(entry, now_ns, broker->hold_until_ns, machine->agent != NULL);
        if (code != CODE_NONE)
            refuse_entry(broker, entry, code, "");
    }
}
