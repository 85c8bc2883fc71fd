/* Hops: C3, R3. See caller.h. */
#include "caller.h"

#include "fault_point.h"
#include "host.h"

static uint64_t deadline_ms(const struct endpoint_host *host, const struct endpoint_command *command)
{
    const struct conf_machine *machine = conf_machine(host->conf, command->machine);
    if (command->deadline_ms >= 0)
        return (uint64_t)command->deadline_ms;
    return machine != NULL ? machine->command_deadline_ms : 5000;
}

enum err_e caller_register(struct endpoint_host *host, struct caller *caller)
{
    if (caller->registered)
        return ERR_OK;
    enum err_e err = map_put(&host->sessions, caller->serial, caller);
    caller->registered = err == ERR_OK;
    return err;
}

enum err_e caller_send(struct endpoint_host *host, struct caller *caller,
                       const struct endpoint_command *command)
{
    uint64_t now = host->read_ns != 0 ? host->read_ns : clock_mono_ns(host->clock);
    if (caller_register(host, caller) != ERR_OK)
        return ERR_FULL;
    struct pending_entry *entry =
        pending_add(&host->pending, caller, command, now, now + deadline_ms(host, command) * NS_PER_MS);
    if (entry == NULL) {
        host->counts.commands_full++;
        return ERR_FULL;
    }
    host->counts.commands++;
    FAULT_POINT(WORKER_COMMAND_PENDING);
    entry->taken = host->send_up(host->arg, entry, false) == ERR_OK;
    if (entry->taken)
        FAULT_POINT(WORKER_COMMAND_SENT);
    return ERR_OK;
}

void caller_drop(struct endpoint_host *host, struct caller *caller)
{
    pending_drop_caller(&host->pending, caller);
    if (caller->registered)
        map_remove(&host->sessions, caller->serial);
    caller->registered = false;
}

/* The first answer to a command is its answer; a second one (the command was sent up again around a broker's death,
 * or this worker had given up waiting) is not shown to the caller. */
static bool is_first_answer(struct endpoint_host *host, const struct ring_record *record)
{
    const struct record_outcome *meta = record->meta;
    if (record->kind == RECORD_COMPLETION)
        return true;
    if (record->meta_len != sizeof *meta)
        return false;
    struct pending_entry *entry = pending_find(&host->pending, record->origin.serial, meta->command_serial);
    if (entry == NULL) {
        host->counts.answers_repeated++;
        return false;
    }
    host->asked_ns = entry->accepted_ns;
    pending_remove(&host->pending, entry);
    host->counts.answers++;
    FAULT_POINT(WORKER_ANSWER_HEARD);
    return true;
}

void caller_hear(struct endpoint_host *host, const struct ring_record *record)
{
    struct caller *caller = map_get(&host->sessions, record->origin.serial);
    if (caller == NULL) {
        host->counts.answers_without_client += record->kind != RECORD_STREAM;
        return;
    }
    caller->ops->record(caller, record, record->origin_mode != ORIGIN_NOT && is_first_answer(host, record));
    if (record->origin.serial & CALLER_HTTP) /* answered by now; of a connection the outbox knows when */
        outbox_observe(&host->outbox, host->outbox.metrics.hop_r4, host->asked_ns);
    host->asked_ns = 0;
}

static void resend(void *arg, struct pending_entry *entry)
{
    struct endpoint_host *host = arg;
    bool resent = entry->taken;
    if (host->send_up(host->arg, entry, resent) != ERR_OK)
        return;
    entry->taken = true;
    host->counts.commands_resent++;
}

void caller_resend_all(struct endpoint_host *host)
{
    pending_each(&host->pending, resend, host);
}

static void expire(void *arg, struct pending_entry *entry)
{
    struct endpoint_host *host = arg;
    enum command_code_e code = pending_verdict(entry, clock_mono_ns(host->clock));
    if (code == CODE_NONE) {
        if (!entry->taken) /* the bus was full */
            entry->taken = host->send_up(host->arg, entry, false) == ERR_OK;
        return;
    }
    struct caller *caller = entry->caller;
    struct endpoint_command command = entry->command;
    pending_remove(&host->pending, entry);
    host->counts.commands_failed_here++;
    caller->ops->failed(caller, &command, code);
}

void caller_expire_all(struct endpoint_host *host)
{
    pending_each(&host->pending, expire, host);
}
