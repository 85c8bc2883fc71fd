/* recovery_play.h — for the tests of the queue after a predecessor's death: a past in the journal, which the test writes and the queue has
 * not read, while the first poll is in flight.
 *
 * Unless a test says otherwise, the past is a move from 3 to 7 that came 1,000 ms ago and was written 10 ms later.
 */
#pragma once

#include "queue_play.h"

#define UUID "0192f1c4-7e1d-7b3a-9c55-aabbccddeeff"

static bool elsewhere; /* what is replayed went to a PLC at another address */

/* A queue that has not read its journal; the first poll is in flight. */
static inline struct play *begin_unread(void)
{
    elsewhere = false;
    struct play *play = begin();
    queue_free(&play->queue);
    clock_manual_advance_ns(&play->clock, 3600 * NS_PER_S); /* room for a past */
    new_queue(play, profile_builtin("standard"));
    return play;
}

static inline uint64_t ago(const struct play *play, uint64_t ms)
{
    return loop_now_ns(play->loop) - ms * NS_PER_MS;
}

/* A note of a move from 3 to 7 that came 1,000 ms ago and was written 10 ms later; `n` is also its command's serial. */
static inline struct journal_record note(const struct play *play, enum journal_event_e event, uint64_t n)
{
    return (struct journal_record){
        .event = event,
        .chain = JOURNAL_COMMANDS,
        .n = n,
        .mono_ns = ago(play, event == JOURNAL_INTENT ? 1000 : 980),
        .worker = 11,
        .session = 22,
        .serial = 1,
        .dialect = 1,
        .request_id = UUID,
        .scope = "u:",
        .who = "wms",
        .from = "there",
        .command = 1,
        .argument = 7,
        .arrived_mono_ns = ago(play, 1000),
        .deadline_ms = DEADLINE_MS,
        .before = {true, AT_REST, 3},
        .after = {event == JOURNAL_RESULT, RUNNING, 3},
        .sent = event == JOURNAL_RESULT,
        .written_mono_ns = event == JOURNAL_RESULT ? ago(play, 990) : 0,
        .position = event == JOURNAL_COMPLETION ? 7 : 3,
        .elapsed_ms = 20,
        .elsewhere = elsewhere,
    };
}

static inline void replay(struct play *play, const struct journal_record *record)
{
    queue_journal_replay(play->queue, record);
}

static inline void replay_event(struct play *play, enum journal_event_e event, uint64_t n)
{
    struct journal_record record = note(play, event, n);
    replay(play, &record);
}

static inline void replay_told(struct play *play, uint64_t upto)
{
    struct journal_record told = {
        .event = JOURNAL_TOLD, .chain = JOURNAL_COMMANDS, .n = upto + 1, .upto = upto};
    replay(play, &told);
}

static inline void read_it(struct play *play)
{
    queue_journal_state(play->queue, true, NULL, 1);
}

enum holds_e { NOTHING, INTENT, INTENT_THERE, INTENT_OTHER, RESULT, RESULT_TOLD, REFUSED, DONE, DONE_TOLD };

static inline void replay_holds(struct play *play, enum holds_e holds)
{
    struct journal_record intent = note(play, JOURNAL_INTENT, 2), result = note(play, JOURNAL_RESULT, 3);
    if (holds == INTENT_THERE)
        intent.before.position = 7;
    if (holds == INTENT_OTHER)
        intent.command = 9;
    if (holds != NOTHING)
        replay(play, &intent);
    if (holds == REFUSED) {
        result.sent = result.after.known = false;
        result.written_mono_ns = 0;
        result.code = CODE_TIMEOUT;
    }
    if (holds >= RESULT)
        replay(play, &result);
    if (holds >= DONE)
        replay_event(play, JOURNAL_COMPLETION, 4);
    if (holds == RESULT_TOLD)
        replay_told(play, 3);
    if (holds == DONE_TOLD)
        replay_told(play, 4);
}

#define NONE (-1) /* no such outcome */
#define GONE 0    /* as raw: the PLC does not answer */

static inline const struct outcome *told(const struct play *play, uint64_t serial, enum outcome_kind_e kind)
{
    const struct outcome *found = NULL;
    for (size_t i = 0; i < play->count; i++) {
        if (play->outcomes[i].key.serial != serial || play->outcomes[i].kind != kind)
            continue;
        assert_null(found);
        found = &play->outcomes[i];
    }
    return found;
}
