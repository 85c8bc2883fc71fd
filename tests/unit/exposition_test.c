/* Segments to text: right values, nothing that a strict reader refuses, whatever stands in a segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "clock.h"
#include "exposition.h"
#include "must.h"
#include "prom_text.h"

enum { FRAMES, CLIENTS, AGE, METRICS, SIZE = 16384 };
static const struct stats_def defs[METRICS] = {
    {"frames", STATS_COUNTER}, {"clients", STATS_GAUGE}, {"hop_d8_ns", STATS_HISTOGRAM}};

struct block {
    _Alignas(8) char memory[SIZE];
    struct stats stats;
    struct stats_view view;
};

static void block_init(struct block *block, const struct stats_def *of, size_t count)
{
    assert_true(stats_size(of, count) <= SIZE);
    memset(block->memory, 0, SIZE);
    stats_init(&block->stats, block->memory, of, count);
    assert_int_equal(stats_view_open(&block->view, block->memory, SIZE), ERR_OK);
}

/* The document, NUL-terminated, which the strict reader has taken. */
static char *document_of(struct exposition *e)
{
    char error[256];
    assert_int_equal(exposition_end(e, 1500 * NS_PER_US), ERR_OK);
    size_t len = exposition_length(e);
    char *text = malloc(len + 1);
    struct out out = out_init(text, len);
    while (exposition_next(e, &out))
        ;
    assert_false(out.overflow);
    assert_int_equal(out.len, len);
    text[len] = '\0';
    if (!prom_check(text, len, error))
        fail_msg("%s in\n%s", error, text);
    return text;
}

static void expect(const char *text, const char *series, const char *value)
{
    char found[64];
    if (!prom_value(text, series, found))
        fail_msg("no %s in\n%s", series, text);
    assert_string_equal(found, value);
}

static void expect_none(const char *text, const char *series)
{
    char found[64];
    assert_false(prom_value(text, series, found));
}

static void every_value_stands_there(void **state)
{
    (void)state;
    struct block block;
    struct exposition *e;
    block_init(&block, defs, METRICS);
    stats_add(&block.stats, FRAMES, UINT64_MAX);
    stats_set(&block.stats, CLIENTS, 7);
    stats_observe_ns(&block.stats, AGE, 1023);
    stats_observe_ns(&block.stats, AGE, 1024);
    stats_observe_ns(&block.stats, AGE, 5 * NS_PER_S);
    stats_observe_ns(&block.stats, AGE, 100 * NS_PER_S);
    assert_int_equal(exposition_new(&e), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.0", "", &block.view), ERR_OK);
    char *text = document_of(e);
    expect(text, "noria_worker_frames_total{process=\"worker.0\"}", "18446744073709551615");
    expect(text, "noria_worker_clients{process=\"worker.0\"}", "7");
    expect(text, "noria_worker_hop_d8_seconds_bucket{process=\"worker.0\",le=\"0.000001023\"}", "1");
    expect(text, "noria_worker_hop_d8_seconds_bucket{process=\"worker.0\",le=\"0.000002047\"}", "2");
    expect(text, "noria_worker_hop_d8_seconds_bucket{process=\"worker.0\",le=\"4.294967295\"}", "2");
    expect(text, "noria_worker_hop_d8_seconds_bucket{process=\"worker.0\",le=\"8.589934591\"}", "3");
    expect(text, "noria_worker_hop_d8_seconds_bucket{process=\"worker.0\",le=\"+Inf\"}", "4");
    expect(text, "noria_worker_hop_d8_seconds_sum{process=\"worker.0\"}", "105.000002047");
    expect(text, "noria_worker_hop_d8_seconds_count{process=\"worker.0\"}", "4");
    expect(text, "noria_process_up{process=\"worker.0\"}", "1");
    expect(text, "noria_scrape_segments{outcome=\"shown\"}", "1");
    expect(text, "noria_scrape_seconds", "0.001500000");
    assert_non_null(strstr(text, "# HELP noria_worker_hop_d8_seconds How old a reading is"));
    free(text);
    exposition_free(&e);
}

/* Two segments' lines of one metric stand together, whatever is between them. */
static void families_are_whole(void **state)
{
    (void)state;
    static const struct stats_def agent[] = {{"polls", STATS_COUNTER},
                                             {"plc_round_trip_ns", STATS_HISTOGRAM}};
    struct block one, two, other;
    struct exposition *e;
    block_init(&one, agent, 2);
    block_init(&two, agent, 2);
    block_init(&other, defs, METRICS);
    stats_add(&one.stats, 0, 1);
    stats_add(&two.stats, 0, 2);
    assert_int_equal(exposition_new(&e), ERR_OK);
    assert_int_equal(exposition_add(e, "agent.0", "lift-1", &one.view), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.3", "", &other.view), ERR_OK);
    assert_int_equal(exposition_add(e, "agent.7", "lift-2", &two.view), ERR_OK);
    char *text = document_of(e);
    expect(text, "noria_agent_polls_total{machine=\"lift-1\"}", "1");
    expect(text, "noria_agent_polls_total{machine=\"lift-2\"}", "2");
    expect_none(text, "noria_process_up{process=\"agent.7\"}");
    assert_null(
        strstr(text, "noria_agent_plc_round_trip_seconds_bucket{machine=\"lift-1\",le=\"0.000002047\"}"));
    assert_non_null(
        strstr(text, "noria_agent_plc_round_trip_seconds_bucket{machine=\"lift-1\",le=\"0.000004095\"}"));
    free(text);
    exposition_free(&e);
}

static void the_launcher_says_what_is_up(void **state)
{
    (void)state;
    static const struct stats_def member[] = {{"starts", STATS_COUNTER}, {"pid", STATS_GAUGE}};
    struct block up, down, self;
    struct exposition *e;
    block_init(&up, member, 2);
    block_init(&down, member, 2);
    block_init(&self, defs, METRICS);
    stats_set(&up.stats, 1, 4711);
    assert_int_equal(exposition_new(&e), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.0", "", &self.view), ERR_OK);
    assert_int_equal(exposition_add(e, "process.worker.1", "worker.1", &up.view), ERR_OK);
    assert_int_equal(exposition_add(e, "process.agent.lift-1", "agent.lift-1", &down.view), ERR_OK);
    char *text = document_of(e);
    expect(text, "noria_process_up{process=\"worker.1\"}", "1");
    expect(text, "noria_process_up{process=\"agent.lift-1\"}", "0");
    expect_none(text, "noria_process_up{process=\"worker.0\"}");
    expect(text, "noria_process_pid{process=\"worker.1\"}", "4711");
    free(text);
    exposition_free(&e);
}

static void what_misleads_is_left_out(void **state)
{
    (void)state;
    static const struct stats_def odd[] = {{"age_ns", STATS_HISTOGRAM},  {"age", STATS_HISTOGRAM},
                                           {"age_seconds", STATS_GAUGE}, {"a_total", STATS_GAUGE},
                                           {"a", STATS_COUNTER},         {"a", STATS_COUNTER},
                                           {"age_bucket", STATS_GAUGE},  {"n_count", STATS_COUNTER}};
    static const struct stats_def liar[] = {
        {"up", STATS_GAUGE}, {"segments", STATS_GAUGE}, {"info", STATS_GAUGE}};
    struct block block, other, lies;
    struct exposition *e;
    block_init(&block, odd, ARRAY_LEN(odd));
    block_init(&other, (const struct stats_def[]){{"a", STATS_GAUGE}, {"age_ns", STATS_COUNTER}}, 2);
    block_init(&lies, liar, 3);
    assert_int_equal(exposition_new(&e), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.0", "", &block.view), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.0", "", &block.view), ERR_EXISTS);
    assert_int_equal(exposition_add(e, "worker.1", "", &other.view), ERR_OK);
    assert_int_equal(exposition_add(e, "process.x", "x", &lies.view), ERR_OK);
    assert_int_equal(exposition_add(e, "scrape.x", "x", &lies.view), ERR_OK);
    assert_int_equal(exposition_add(e, "build", "x", &lies.view), ERR_OK);
    assert_int_equal(exposition_add(e, "agent.1", "m", &block.view), ERR_OK);
    assert_int_equal(exposition_add(e, "agent.2", "m", &block.view), ERR_EXISTS);
    static const char *const nobody[] = {
        "",    ".",        "Worker.0",  "worker_1",       "1", "averyveryverylongrole.1",
        "a b", "process.", "worker.\n", "worker.\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++)
        assert_int_equal(exposition_add(e, nobody[i], "x", &block.view), ERR_MALFORMED);
    assert_int_equal(exposition_add(e, "agent.3", "", &block.view), ERR_MALFORMED);
    assert_int_equal(exposition_add(e, "agent.4", "a\nb", &block.view), ERR_MALFORMED);
    assert_int_equal(exposition_add(e, "agent.5", "say \"hi\\\"", &block.view), ERR_OK);
    exposition_count(e, ERR_CLOSED);
    exposition_count(e, ERR_VERSION);
    char *text = document_of(e);
    expect(text, "noria_agent_a_total{machine=\"say \\\"hi\\\\\\\"\"}", "0");
    expect(text, "noria_scrape_segments{outcome=\"left_out\"}", "2");
    expect(text, "noria_scrape_segments{outcome=\"dead\"}", "1");
    expect(text, "noria_scrape_segments{outcome=\"unreadable\"}", "13");
    expect_none(text, "noria_worker_a_total{process=\"worker.1\"}");
    free(text);
    exposition_free(&e);
}

/* Any bit of a block flipped: the text stays one, with numbers that do not go back. */
static void a_flipped_bit_misleads_nobody(void **state)
{
    (void)state;
    struct block block;
    block_init(&block, defs, METRICS);
    stats_observe_ns(&block.stats, AGE, 5000);
    size_t bytes = stats_size(defs, METRICS);
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        struct exposition *e;
        struct stats_view view;
        block.memory[bit / 8] = (char)(block.memory[bit / 8] ^ (1 << bit % 8));
        if (stats_view_open(&view, block.memory, SIZE) == ERR_OK) {
            assert_int_equal(exposition_new(&e), ERR_OK);
            assert_int_equal(exposition_add(e, "worker.0", "", &view), ERR_OK);
            free(document_of(e));
            exposition_free(&e);
        }
        block.memory[bit / 8] = (char)(block.memory[bit / 8] ^ (1 << bit % 8));
    }
}

static void counts_that_overflow_stay_at_the_top(void **state)
{
    (void)state;
    struct block block;
    struct exposition *e;
    uint64_t huge = UINT64_MAX - 1;
    block_init(&block, defs, METRICS);
    uint64_t *words = (uint64_t *)(void *)block.memory, at = words[4 + AGE * 8 + 7];
    for (size_t i = 0; i < STATS_BUCKETS; i++)
        words[at + 2 + i] = huge;
    assert_int_equal(exposition_new(&e), ERR_OK);
    assert_int_equal(exposition_add(e, "worker.0", "", &block.view), ERR_OK);
    char *text = document_of(e);
    expect(text, "noria_worker_hop_d8_seconds_count{process=\"worker.0\"}", "18446744073709551615");
    free(text);
    exposition_free(&e);
}

/* As many as there may be, and more: bounded, and told. */
static void more_than_there_is_room_for(void **state)
{
    (void)state;
    struct stats_def many[64];
    char names[64][16];
    struct block block;
    struct exposition *e;
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        snprintf(names[i], sizeof names[i], "metric_%zu", i);
        many[i] = (struct stats_def){names[i], STATS_GAUGE};
    }
    block_init(&block, many, ARRAY_LEN(many));
    assert_int_equal(exposition_new(&e), ERR_OK);
    char id[64];
    memset(id, 'x', sizeof id);
    unsigned added = 0;
    for (; err == ERR_OK; added++) {
        snprintf(id + 50, sizeof id - 50, "%u", added);
        err = exposition_add(e, "agent.1", id, &block.view);
    }
    assert_int_equal(err, ERR_FULL);
    assert_true(exposition_length(e) <= EXPOSITION_MAX + (1u << 20));
    assert_true(added > 8000);
    exposition_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_stands_there),
        cmocka_unit_test(families_are_whole),
        cmocka_unit_test(the_launcher_says_what_is_up),
        cmocka_unit_test(what_misleads_is_left_out),
        cmocka_unit_test(a_flipped_bit_misleads_nobody),
        cmocka_unit_test(counts_that_overflow_stay_at_the_top),
        cmocka_unit_test(more_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
