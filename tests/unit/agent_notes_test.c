/* What the agent remembers of its notes: told (what the broker knows) and owed (what the journal does not have yet); and a
 * command's way into a record and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "note.h"
#include "owed.h"
#include "told.h"

/* --- told ---------------------------------------------------------------------------------------------------------- */

static struct outcome noted(uint64_t number, enum journal_chain_e chain)
{
    return (struct outcome){.noted = number, .chain = chain};
}

static void many_acknowledgements_are_one_note(void **state)
{
    (void)state;
    struct told told = {.due = {false}};
    struct journal_record record;
    assert_false(told_due(&told, JOURNAL_COMMANDS, &record));
    for (uint64_t n = 1; n <= 9; n++) {
        struct outcome o = noted(n, n % 3 == 0 ? JOURNAL_COMMANDS : JOURNAL_REFUSALS);
        told_acked(&told, &o);
    }
    assert_true(told_due(&told, JOURNAL_COMMANDS, &record));
    assert_int_equal(record.event, JOURNAL_TOLD);
    assert_int_equal(record.chain, JOURNAL_COMMANDS);
    assert_int_equal(record.upto, 9);
    told_done(&told, JOURNAL_COMMANDS);
    assert_false(told_due(&told, JOURNAL_COMMANDS, &record));
    assert_true(told_due(&told, JOURNAL_REFUSALS, &record));
    assert_int_equal(record.upto, 8);
    struct outcome again = noted(3, JOURNAL_COMMANDS), never = noted(0, JOURNAL_COMMANDS);
    told_acked(&told, &again); /* an old answer under a new number; one that the journal never had */
    told_acked(&told, &never);
    assert_false(told_due(&told, JOURNAL_COMMANDS, &record));
}

static void what_was_recovered_is_told_as_a_whole(void **state)
{
    (void)state;
    struct told told = {.due = {false}};
    struct journal_record record;
    struct outcome old = {.recovered = true, .chain = JOURNAL_COMMANDS}, new = noted(5, JOURNAL_COMMANDS);
    told_reported(&told, &old);
    told_reported(&told, &old);
    told_reported(&told, &new);
    told_acked(&told, &old);
    told_acked(&told, &new); /* out of a journal that came late */
    assert_false(told_due(&told, JOURNAL_COMMANDS, &record));
    told_acked(&told, &old);
    assert_true(told_due(&told, JOURNAL_COMMANDS, &record));
    assert_int_equal(record.upto, 5);
    told = (struct told){.due = {false}};
    told_reported(&told, &old);
    told_acked(&told, &old);
    assert_true(told_due(&told, JOURNAL_COMMANDS, &record));
    assert_int_equal(record.upto, 0); /* all that was replayed */
}

/* --- owed ---------------------------------------------------------------------------------------------------------- */

static uint64_t offered[16], next_number;
static size_t offers;

static uint64_t take(void *arg, const struct journal_record *record)
{
    (void)arg;
    offered[offers++] = record->serial;
    return next_number;
}

static struct journal_record record_of(enum journal_event_e event, uint64_t serial)
{
    return (struct journal_record){.event = event, .serial = serial};
}

static void offer(struct owed *owed, uint64_t number)
{
    offers = 0;
    next_number = number;
    owed_offer(owed, take, NULL);
}

static void owed_until_safe(void **state)
{
    (void)state;
    struct owed owed = {.count = 0};
    struct journal_record a = record_of(JOURNAL_RESULT, 1), b = record_of(JOURNAL_COMPLETION, 2);
    owed_add(&owed, 7, &a);
    owed_add(&owed, 0, &b);
    offer(&owed, 0);
    assert_int_equal(offers, 1); /* the other one is on its way */
    assert_int_equal(offered[0], 2);
    owed_settled(&owed, 6, true);
    assert_int_equal(owed.count, 2);
    owed_settled(&owed, 7, false);
    offer(&owed, 9);
    assert_int_equal(offers, 2);
    assert_int_equal(offered[0], 1); /* in the order in which they happened */
    assert_int_equal(offered[1], 2);
    owed_settled(&owed, 9, true);
    assert_int_equal(owed.count, 0);
}

static void owed_is_bounded(void **state)
{
    (void)state;
    struct owed owed = {.count = 0};
    for (uint64_t serial = 1; serial <= 2 * OWED_MAX; serial++) {
        struct journal_record latch = record_of(serial % 2 ? JOURNAL_LATCHED : JOURNAL_REARMED, serial);
        owed_add(&owed, 0, &latch);
        assert_int_equal(owed.count, 1); /* the last word on the latch */
    }
    for (uint64_t serial = 100; serial < 100 + 2 * OWED_MAX; serial++) {
        struct journal_record result = record_of(JOURNAL_RESULT, serial);
        owed_add(&owed, 0, &result);
    }
    assert_int_equal(owed.count, OWED_MAX);
    offer(&owed, 1);
    assert_int_equal(offered[0], 100 + OWED_MAX);
    assert_int_equal(offered[OWED_MAX - 1], 100 + 2 * OWED_MAX - 1);
}

/* --- note ---------------------------------------------------------------------------------------------------------- */

/* Member by member: what lies between them is anything. */
static void assert_same_outcome(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(command_key_equals(&a->key, &b->key));
    assert_int_equal(a->dialect, b->dialect);
    assert_string_equal(a->request_id, b->request_id);
    assert_string_equal(a->scope, b->scope);
    assert_int_equal(a->command, b->command);
    assert_int_equal(a->argument, b->argument);
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->sent, b->sent);
    assert_int_equal(a->repeat, b->repeat);
    assert_int_equal(a->recovered, b->recovered);
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->elapsed_ms, b->elapsed_ms);
    assert_int_equal(a->source_ns, b->source_ns);
    assert_int_equal(a->noted, b->noted);
    assert_int_equal(a->chain, b->chain);
}

static void assert_same_reading(const struct journal_reading *a, const struct journal_reading *b)
{
    assert_int_equal(a->known, b->known);
    assert_int_equal(a->raw, b->raw);
    assert_int_equal(a->position, b->position);
}

static void assert_same_evidence(const struct evidence *a, const struct evidence *b)
{
    assert_string_equal(a->who, b->who);
    assert_string_equal(a->from, b->from);
    assert_int_equal(a->arrived_ns, b->arrived_ns);
    assert_int_equal(a->arrived_wall_ms, b->arrived_wall_ms);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_same_reading(&a->before, &b->before);
    assert_same_reading(&a->after, &b->after);
    assert_int_equal(a->written_ns, b->written_ns);
    assert_int_equal(a->reconciled, b->reconciled);
}

static void there_and_back(void **state)
{
    (void)state;
    struct outcome outcome = {
        .kind = OUTCOME_RESULT,
        .key = {1, 2, 3},
        .dialect = 4,
        .request_id = "r",
        .scope = "p:wms",
        .command = 1,
        .argument = 7,
        .code = CODE_INTERLOCK,
        .text = "alarm",
        .sent = true,
        .repeat = true,
        .position = 5,
        .elapsed_ms = 6,
        .source_ns = 900,
        .chain = JOURNAL_REFUSALS,
    };
    struct evidence evidence = {
        .who = "wms",
        .from = "10.0.0.7:1",
        .arrived_ns = 100,
        .arrived_wall_ms = 200,
        .deadline_ms = 300,
        .before = {true, 218, 3},
        .after = {true, 219, 4},
        .written_ns = 150,
        .reconciled = true,
    };
    struct journal_record record = note_record(JOURNAL_RESULT, JOURNAL_REFUSALS, &outcome, &evidence);
    record.mono_ns = 900;
    struct outcome outcome_back = note_outcome(&record, 1000);
    struct evidence evidence_back = note_evidence(&record, 1000);
    assert_same_outcome(&outcome_back, &outcome);
    assert_same_evidence(&evidence_back, &evidence);
    evidence_back = note_evidence(&record, 120); /* a clock that was set back */
    assert_int_equal(evidence_back.arrived_ns, 100);
    assert_int_equal(evidence_back.written_ns, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_acknowledgements_are_one_note),
        cmocka_unit_test(what_was_recovered_is_told_as_a_whole),
        cmocka_unit_test(owed_until_safe),
        cmocka_unit_test(owed_is_bounded),
        cmocka_unit_test(there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
