/* See note.h (Hop: C5, R1). */
#include "note.h"

#include <stdio.h>

struct journal_reading note_image(const struct image *image)
{
    const struct machine_state *now = &image->now;
    return (struct journal_reading){now->has_reading, now->raw_status, now->position};
}

struct journal_reading note_reply(const struct driver_answer *reply)
{
    return (struct journal_reading){true, reply->status, reply->position};
}

struct journal_record note_record(enum journal_event_e event, enum journal_chain_e chain,
                                  const struct outcome *outcome, const struct evidence *evidence)
{
    struct journal_record record = {
        .event = event,
        .chain = chain,
        .worker = outcome->key.worker,
        .session = outcome->key.session,
        .serial = outcome->key.serial,
        .dialect = outcome->dialect,
        .command = outcome->command,
        .argument = outcome->argument,
        .arrived_wall_ms = evidence->arrived_wall_ms,
        .arrived_mono_ns = evidence->arrived_ns,
        .deadline_ms = evidence->deadline_ms,
        .before = evidence->before,
        .after = evidence->after,
        .sent = outcome->sent,
        .repeat = outcome->repeat,
        .reconciled = evidence->reconciled,
        .written_mono_ns = evidence->written_ns,
        .code = outcome->code,
        .position = outcome->position,
        .elapsed_ms = outcome->elapsed_ms,
    };
    snprintf(record.request_id, sizeof record.request_id, "%s", outcome->request_id);
    snprintf(record.scope, sizeof record.scope, "%s", outcome->scope);
    snprintf(record.who, sizeof record.who, "%s", evidence->who);
    snprintf(record.from, sizeof record.from, "%s", evidence->from);
    snprintf(record.text, sizeof record.text, "%s", outcome->text);
    return record;
}

static uint64_t not_after(uint64_t ns, uint64_t now_ns)
{
    return ns < now_ns ? ns : now_ns;
}

struct outcome note_outcome(const struct journal_record *record, uint64_t now_ns)
{
    struct outcome outcome = {
        .kind = record->event == JOURNAL_COMPLETION ? OUTCOME_COMPLETION : OUTCOME_RESULT,
        .key = {record->worker, record->session, record->serial},
        .dialect = record->dialect,
        .command = record->command,
        .argument = record->argument,
        .code = record->code,
        .sent = record->sent || record->event == JOURNAL_COMPLETION,
        .repeat = record->repeat,
        .position = record->event == JOURNAL_INTENT ? -1 : record->position,
        .elapsed_ms = record->elapsed_ms,
        .source_ns = not_after(record->mono_ns, now_ns),
        .chain = record->chain,
    };
    snprintf(outcome.request_id, sizeof outcome.request_id, "%s", record->request_id);
    snprintf(outcome.scope, sizeof outcome.scope, "%s", record->scope);
    snprintf(outcome.text, sizeof outcome.text, "%s", record->text);
    return outcome;
}

struct evidence note_evidence(const struct journal_record *record, uint64_t now_ns)
{
    struct evidence evidence = {
        .arrived_ns = not_after(record->arrived_mono_ns, now_ns),
        .arrived_wall_ms = record->arrived_wall_ms,
        .deadline_ms = record->deadline_ms,
        .before = record->before,
        .after = record->after,
        .written_ns = not_after(record->written_mono_ns, now_ns),
        .reconciled = record->reconciled,
    };
    snprintf(evidence.who, sizeof evidence.who, "%s", record->who);
    snprintf(evidence.from, sizeof evidence.from, "%s", record->from);
    return evidence;
}
