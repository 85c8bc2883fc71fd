/* store_watch.h over a real ring, a real table and a real database: what becomes an anomaly, once, however often the store ends. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "db_stage.h"
#include "frames_channels.h"
#include "lvt_writer.h"
#include "ring_writer.h"
#include "store_metrics.h"
#include "store_watch.h"

#define QUIET 218u
#define ALARM 222u

static const char conf_text[] = "machines:\n"
                                "  - {id: a, ip: 10.0.0.1}\n"
                                "  - {id: b, ip: 10.0.0.2}\n";

struct house {
    struct db_stage stage;
    struct store_watch watch;
    struct stats stats;
    uint64_t memory[2048];
    struct conf *conf;
    char ring_path[128], lvt_path[128];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    unsigned char frame[8192];
};

static void no_problem(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static void open_broker(struct house *house)
{
    bool continued;
    assert_int_equal(ring_writer_open(house->ring_path, 1 << 20, &house->ring, &continued), ERR_OK);
    assert_int_equal(
        lvt_writer_open(house->lvt_path, 16, ring_writer_id(house->ring), &house->lvt, &continued), ERR_OK);
    lvt_writer_settle(house->lvt, ring_writer_head(house->ring));
}

static void close_broker(struct house *house)
{
    ring_writer_close(&house->ring);
    lvt_writer_close(&house->lvt);
}

static void start(struct house *house)
{
    house->watch.conf = house->conf;
    house->watch.db = house->stage.db;
    house->watch.stats = &house->stats;
    house->watch.clock = &house->stage.clock.clock;
    house->watch.ring_path = house->ring_path;
    house->watch.lvt_path = house->lvt_path;
    store_watch_init(&house->watch);
}

/* The store ends and comes back. */
static void restart(struct house *house)
{
    store_watch_fini(&house->watch);
    db_stage_again(&house->stage);
    start(house);
}

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    signal(SIGXFSZ, SIG_IGN);
    stats_init(&house->stats, house->memory, store_metric_defs, STORE_METRIC_COUNT);
    db_stage_open(&house->stage);
    snprintf(house->ring_path, sizeof house->ring_path, "%s/ring", house->stage.dir);
    snprintf(house->lvt_path, sizeof house->lvt_path, "%s/lvt", house->stage.dir);
    assert_int_equal(
        conf_load_text("x.yaml", conf_text, sizeof conf_text - 1, no_problem, NULL, &house->conf), ERR_OK);
    open_broker(house);
    start(house);
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    store_watch_fini(&house->watch);
    close_broker(house);
    conf_free(&house->conf);
    db_stage_close(&house->stage);
    free(house);
    return 0;
}

/* --- the broker ------------------------------------------------------------------------------------------------------ */

static uint64_t append(struct house *house, enum record_kind_e kind, const struct topic *topics,
                       uint32_t topic_count, const void *meta, uint32_t meta_len, struct frame_bytes frame)
{
    uint64_t position = ring_writer_next(house->ring);
    struct ring_entry entry = {.kind = kind,
                               .dialect = kind == RECORD_CHANNEL ? DIALECT_CHANNELS : DIALECT_CAROUSEL,
                               .wall_ms = STAGE_START_MS + 1,
                               .topics = topics,
                               .topic_count = topic_count,
                               .meta = meta,
                               .meta_len = meta_len,
                               .frame = frame.at,
                               .frame_len = (uint32_t)frame.len};
    assert_int_equal(ring_writer_append(house->ring, &entry), ERR_OK);
    ring_writer_publish(house->ring);
    return position;
}

/* The record alone, as if the broker had died before the slot. */
static uint64_t say(struct house *house, const char *id, enum connection_e connection, uint32_t raw)
{
    struct topic topic;
    topic_make(&topic, TOPIC_STATE, id);
    struct record_state meta = {
        .slot = (uint32_t)(id[0] - 'a'), .connection = connection, .has_reading = 1, .raw_status = raw};
    return append(house, RECORD_STATE, &topic, 1, &meta, sizeof meta,
                  (struct frame_bytes){(const unsigned char *)"\x81\x02{}", 4});
}

static void put(struct house *house, const char *id, enum connection_e connection, uint32_t raw,
                uint64_t position)
{
    struct lvt_machine machine = {
        .state = {.connection = connection, .has_reading = true, .raw_status = (uint8_t)raw},
        .record_position = position};
    strcpy(machine.info.id, id);
    strcpy(machine.info.name, id);
    strcpy(machine.info.ip, "10.0.0.1");
    assert_int_equal(lvt_writer_put(house->lvt, (uint32_t)(id[0] - 'a'), &machine), ERR_OK);
}

static void show(struct house *house, const char *id, enum connection_e connection, uint32_t raw)
{
    put(house, id, connection, raw, say(house, id, connection, raw));
    lvt_writer_settle(house->lvt, ring_writer_head(house->ring));
}

static void announce(struct house *house, uint64_t source, const char *payload)
{
    struct topic topic;
    struct record_source meta = {.source = source, .source_seq = 1};
    struct frames_seq seq = {ring_writer_id(house->ring), ring_writer_next(house->ring)};
    topic_make_channel(&topic, "general", 7);
    append(house, RECORD_CHANNEL, &topic, 1, &meta, sizeof meta,
           frames_channels_event(house->frame, sizeof house->frame, payload, strlen(payload), seq));
    lvt_writer_settle(house->lvt, ring_writer_head(house->ring));
}

static void fill(struct house *house)
{
    struct topic topic;
    topic_make_stream(&topic, "x", 1);
    struct record_stream meta = {.parts = 1};
    for (unsigned i = 0; i < 400; i++)
        append(house, RECORD_STREAM, &topic, 1, &meta, sizeof meta, (struct frame_bytes){house->frame, 4096});
    lvt_writer_settle(house->lvt, ring_writer_head(house->ring));
}

/* --- the store ---------------------------------------------------------------------------------------------------------- */

static void look(struct house *house)
{
    while (store_watch_step(&house->watch))
        ;
    store_watch_step(&house->watch); /* one that was put off */
}

static void expect(struct house *house, size_t open, size_t solved)
{
    json_t *rows = rows_of(&house->stage, ENTITY_ANOMALY), *row;
    size_t i, found[2] = {0};
    json_array_foreach(rows, i, row) found[json_is_true(json_object_get(row, "resuelta"))]++;
    json_decref(rows);
    assert_int_equal(found[0], open);
    assert_int_equal(found[1], solved);
    db_stage_check(&house->stage);
}

static size_t events(struct house *house)
{
    struct said *said =
        ask(&house->stage, STORE_OP_EVENTS, ENTITY_NONE, 0, 0, row(text(ARG_CHANNEL, "general")));
    assert_int_equal(said->status, 200);
    return json_array_size(said->json);
}

static void conditions_become_anomalies_and_end(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    expect(house, 0, 0);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    show(house, "b", CONNECTION_DISCONNECTED, QUIET);
    look(house);
    expect(house, 2, 0);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 2, 0);
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    show(house, "b", CONNECTION_CONNECTED, QUIET);
    look(house);
    expect(house, 0, 2);
}

static void what_came_and_went_between_two_looks_was_there(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    for (int i = 0; i < 3; i++) {
        show(house, "a", CONNECTION_CONNECTED, ALARM);
        show(house, "a", CONNECTION_CONNECTED, QUIET);
    }
    look(house);
    expect(house, 0, 3);
}

static void a_store_that_comes_back_goes_on_where_it_was(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    look(house);
    for (int i = 0; i < 3; i++) {
        restart(house);
        look(house);
        expect(house, 1, 0);
    }
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    restart(house);
    look(house);
    expect(house, 1, 1);
}

static void the_broker_s_events_are_kept_once(void **state)
{
    struct house *house = *state;
    announce(house, 0, "{\"type\":\"system_event\",\"n\":1}"); /* before the store ever looked */
    announce(house, 77, "{\"type\":\"entity_event\"}");        /* the store's own */
    look(house);
    assert_int_equal(events(house), 1);
    restart(house);
    look(house);
    announce(house, 0, "{\"type\":\"system_event\",\"n\":2}");
    look(house);
    assert_int_equal(events(house), 2);
    assert_int_equal(stats_get(&house->stats, STORE_FOREIGN_EVENTS), 2);
}

static void a_first_look_takes_states_from_the_table(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    show(house, "a", CONNECTION_CONNECTED, QUIET); /* history: not this store's */
    show(house, "b", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 1, 0);
    assert_int_equal(stats_get(&house->stats, STORE_RING_SEEDED), 1);
}

/* The broker has published a state whose slot is not put yet: the table does not show it, and the ring must. */
static void what_is_not_in_the_table_yet_is_read(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    say(house, "a", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 1, 0);
}

/* … or the slot is put, and the table not settled: its record is read, and not told twice. */
static void what_lies_ahead_is_left_to_its_record(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    say(house, "a", CONNECTION_CONNECTED, QUIET);
    put(house, "a", CONNECTION_CONNECTED, ALARM, say(house, "a", CONNECTION_CONNECTED, ALARM));
    look(house);
    expect(house, 1, 0);
    restart(house);
    look(house);
    expect(house, 1, 0);
}

static void lapped_the_table_says_what_holds(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    show(house, "b", CONNECTION_CONNECTED, QUIET);
    look(house);
    expect(house, 1, 0);
    for (int again = 0; again < 2; again++) {
        show(house, "a", CONNECTION_CONNECTED, QUIET);
        show(house, "b", CONNECTION_CONNECTED, ALARM);
        fill(house);
        if (again)
            restart(house);
        look(house);
        expect(house, 1, 1);
        assert_int_equal(stats_get(&house->stats, STORE_RING_LAPPED), again + 1);
    }
}

static void another_ring_is_compared_with_its_table(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    show(house, "b", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 2, 0);
    close_broker(house);
    unlink(house->ring_path);
    unlink(house->lvt_path);
    open_broker(house);
    store_watch_broker(&house->watch, ring_writer_id(house->ring));
    announce(house, 0, "{\"type\":\"system_event\"}");
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    look(house);
    expect(house, 1, 1); /* of b nothing is said yet */
    assert_int_equal(events(house), 1);
}

static void a_disk_that_takes_nothing_delays_and_loses_nothing(void **state)
{
    struct house *house = *state;
    struct rlimit limit;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    announce(house, 0, "{\"type\":\"system_event\"}");
    look(house);
    assert_int_equal(stats_get(&house->stats, STORE_WATCH_FAILED), 1);
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    expect(house, 0, 0);
    look(house); /* not at once */
    expect(house, 0, 0);
    clock_manual_advance_ns(&house->stage.clock, NS_PER_S);
    look(house);
    expect(house, 1, 0);
    assert_int_equal(events(house), 1);
}

/* Nothing was found for long: the cursor moves all the same, or a restart would be lapped. */
static void the_cursor_follows(void **state)
{
    struct house *house = *state;
    uint32_t ring_id;
    uint64_t before, after;
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    assert_int_equal(db_get_ring(house->stage.db, &ring_id, &before), ERR_OK);
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    assert_int_equal(db_get_ring(house->stage.db, &ring_id, &after), ERR_OK);
    assert_int_equal(before, after);
    clock_manual_advance_ns(&house->stage.clock, WATCH_CURSOR_NS);
    look(house);
    assert_int_equal(db_get_ring(house->stage.db, &ring_id, &after), ERR_OK);
    assert_int_equal(after, ring_writer_head(house->ring));
}

static void without_a_ring_it_waits(void **state)
{
    struct house *house = *state;
    close_broker(house);
    unlink(house->ring_path);
    unlink(house->lvt_path);
    assert_false(store_watch_step(&house->watch));
    open_broker(house);
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 1, 0);
}

/* The bytes mean something else from now on, also where the machine says nothing new. */
static void another_profile_is_read_anew(void **state)
{
    static const char blind[] = "profiles:\n"
                                "  - {name: blind, bits: [{bit: 0, key: RUN, zero: {text: n, meaning: "
                                "stopped}, one: {text: y, meaning: "
                                "moving}}]}\n"
                                "machines:\n"
                                "  - {id: a, ip: 10.0.0.1, profile: blind}\n"
                                "  - {id: b, ip: 10.0.0.2}\n";
    struct house *house = *state;
    struct conf *before = house->conf;
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    show(house, "b", CONNECTION_CONNECTED, ALARM);
    look(house);
    expect(house, 2, 0);
    assert_int_equal(conf_load_text("x.yaml", blind, sizeof blind - 1, no_problem, NULL, &house->conf),
                     ERR_OK);
    store_watch_conf(&house->watch, house->conf);
    conf_free(&before);
    look(house);
    expect(house, 1, 1);
    before = house->conf;
    assert_int_equal(
        conf_load_text("x.yaml", conf_text, sizeof conf_text - 1, no_problem, NULL, &house->conf), ERR_OK);
    store_watch_conf(&house->watch, house->conf);
    conf_free(&before);
    look(house);
    expect(house, 2, 1);
}

static void the_same_profiles_are_not_compared_again(void **state)
{
    struct house *house = *state;
    show(house, "a", CONNECTION_CONNECTED, ALARM);
    look(house);
    uint64_t seeded = stats_get(&house->stats, STORE_RING_SEEDED);
    struct conf *before = house->conf;
    assert_int_equal(
        conf_load_text("x.yaml", conf_text, sizeof conf_text - 1, no_problem, NULL, &house->conf), ERR_OK);
    store_watch_conf(&house->watch, house->conf);
    conf_free(&before);
    show(house, "a", CONNECTION_CONNECTED, QUIET);
    look(house);
    expect(house, 0, 1);
    assert_int_equal(stats_get(&house->stats, STORE_RING_SEEDED), seeded);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(conditions_become_anomalies_and_end),
        PLAY(what_came_and_went_between_two_looks_was_there),
        PLAY(a_store_that_comes_back_goes_on_where_it_was),
        PLAY(the_broker_s_events_are_kept_once),
        PLAY(a_first_look_takes_states_from_the_table),
        PLAY(what_is_not_in_the_table_yet_is_read),
        PLAY(what_lies_ahead_is_left_to_its_record),
        PLAY(lapped_the_table_says_what_holds),
        PLAY(another_ring_is_compared_with_its_table),
        PLAY(a_disk_that_takes_nothing_delays_and_loses_nothing),
        PLAY(the_cursor_follows),
        PLAY(without_a_ring_it_waits),
        PLAY(another_profile_is_read_anew),
        PLAY(the_same_profiles_are_not_compared_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
