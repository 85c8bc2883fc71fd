/* bridges: which streams a machine's record is copied to, and publish.c's copies on a real ring that has no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridges.h"
#include "broker_metrics.h"
#include "clock.h"
#include "log.h"
#include "must.h"
#include "publish.h"
#include "ring_reader.h"

struct house {
    struct conf *conf;
    struct registry registry;
    struct bridges bridges;
};

static void on_problem(void *arg, const char *text)
{
    (void)arg;
    print_message("%s\n", text);
}

static struct house house_of(const char *bridges)
{
    struct house house = {0};
    char text[4096];
    int len = snprintf(text, sizeof text,
                       "listeners: [{name: a, dialects: [streams]}]\n"
                       "machines: [{id: m1, ip: 10.0.0.1}, {id: m2, ip: 10.0.0.2}, {id: m3, ip: 10.0.0.3}]\n"
                       "%s",
                       bridges);
    assert_int_equal(conf_load_text("c.yaml", text, (size_t)len, on_problem, NULL, &house.conf), ERR_OK);
    assert_int_equal(registry_init(&house.registry, house.conf), ERR_OK);
    return house;
}

static void open_bridges(struct house *house)
{
    assert_int_equal(bridges_init(&house->bridges, house->conf, &house->registry), ERR_OK);
}

static void leave(struct house *house)
{
    bridges_fini(&house->bridges);
    for (size_t i = 0; i < house->registry.count; i++)
        for (size_t from = 0; from < CONF_BRIDGE_SOURCES; from++)
            assert_null(house->registry.machines[i]->bridged[from]);
    registry_fini(&house->registry);
    conf_free(&house->conf);
}

static const struct bridge_set *of(const struct house *house, const char *id, enum conf_bridge_from_e from)
{
    const struct machine *machine = registry_find(&house->registry, id, strlen(id));
    const struct bridge_set *set = bridges_of(&house->bridges, id, from);
    if (machine != NULL)
        assert_ptr_equal(machine->bridged[from], set);
    return set;
}

static void goes_to(const struct bridge_set *set, size_t count, const char *const *streams)
{
    assert_non_null(set);
    assert_int_equal(set->count, count);
    for (size_t i = 0; i < count; i++) {
        size_t len;
        const char *id = topic_stream_id(set->streams[i].name, set->streams[i].len, &len);
        assert_int_equal(len, strlen(streams[i]));
        assert_memory_equal(id, streams[i], len);
        assert_true(set->streams[i].hash == topic_hash(set->streams[i].name, set->streams[i].len));
    }
}

#define GOES_TO(set, ...)                                                                                    \
    goes_to(set, ARRAY_LEN(((const char *const[]){__VA_ARGS__})), (const char *const[]){__VA_ARGS__})

static void no_bridges_no_streams(void **state)
{
    (void)state;
    struct house house = house_of("");
    open_bridges(&house);
    for (unsigned from = 0; from < CONF_BRIDGE_SOURCES; from++) {
        assert_null(of(&house, "m1", from));
        assert_null(of(&house, "gone", from));
    }
    leave(&house);
}

static void machines_share_what_goes_out_for_all(void **state)
{
    (void)state;
    struct house house = house_of("bridges:\n"
                                  "  - {from: states, stream: only m2, machines: [m2]}\n"
                                  "  - {from: states, stream: a}\n"
                                  "  - {from: results, stream: r, machines: [m3, m1]}\n"
                                  "  - {from: states, stream: two, machines: [m3, m2]}\n"
                                  "  - {from: states, stream: b}\n"
                                  "  - {from: results, stream: r3, machines: [m3]}\n");
    open_bridges(&house);
    GOES_TO(of(&house, "m1", BRIDGE_STATES), "a", "b");
    GOES_TO(of(&house, "m2", BRIDGE_STATES), "a", "b", "only m2", "two");
    GOES_TO(of(&house, "m3", BRIDGE_STATES), "a", "b", "two");
    GOES_TO(of(&house, "m1", BRIDGE_RESULTS), "r");
    assert_null(of(&house, "m2", BRIDGE_RESULTS));
    GOES_TO(of(&house, "m3", BRIDGE_RESULTS), "r", "r3");
    for (unsigned i = 1; i <= 3; i++)
        assert_null(house.registry.machines[i - 1]->bridged[BRIDGE_EVENTS]);
    GOES_TO(of(&house, "gone", BRIDGE_STATES), "a", "b");
    assert_null(of(&house, "gone", BRIDGE_RESULTS));
    assert_ptr_equal(of(&house, "m1", BRIDGE_STATES), of(&house, "gone", BRIDGE_STATES)); /* shared */
    leave(&house);
}

static void never_begun(void **state)
{
    (void)state;
    struct bridges bridges = {0};
    bridges_fini(&bridges);
}

/* --- no room ------------------------------------------------------------------------------------------------------ */

struct shop { /* ring and table, without a broker around them */
    char dir[64], ring[96], lvt[96];
    struct publisher publisher;
    struct stats stats;
    uint64_t memory[4096];
};

static void open_shop(struct shop *shop, const struct bridges *bridges)
{
    bool continued;
    struct publisher *publisher = &shop->publisher;
    assert_true(stats_size(broker_metric_defs, BROKER_METRIC_COUNT) <= sizeof shop->memory);
    stats_init(&shop->stats, shop->memory, broker_metric_defs, BROKER_METRIC_COUNT);
    publisher_init(publisher, clock_system(), &shop->stats);
    assert_int_equal(ring_writer_open(shop->ring, 1 << 20, &publisher->ring, &continued), ERR_OK);
    publisher->ring_id = ring_writer_id(publisher->ring);
    assert_int_equal(lvt_writer_open(shop->lvt, 4, publisher->ring_id, &publisher->lvt, &continued), ERR_OK);
    publisher->bridges = bridges;
}

static struct shop *new_shop(void)
{
    struct shop *shop = calloc(1, sizeof *shop);
    snprintf(shop->dir, sizeof shop->dir, "/tmp/bridges_test.XXXXXX");
    assert_non_null(mkdtemp(shop->dir));
    snprintf(shop->ring, sizeof shop->ring, "%s/ring", shop->dir);
    snprintf(shop->lvt, sizeof shop->lvt, "%s/lvt", shop->dir);
    return shop;
}

static void close_shop(struct shop *shop)
{
    publisher_fini(&shop->publisher);
    unlink(shop->ring);
    unlink(shop->lvt);
    rmdir(shop->dir);
    free(shop);
}

static size_t records_of(const struct shop *shop, enum record_kind_e kind)
{
    struct ring_reader *reader;
    struct ring_record record;
    size_t count = 0;
    assert_int_equal(ring_reader_open(shop->ring, &reader), ERR_OK);
    assert_int_equal(ring_reader_seek(reader, ring_reader_tail(reader)), ERR_OK);
    while (ring_reader_next(reader, &record) == RING_MORE)
        count += record.kind == kind;
    ring_reader_close(&reader);
    return count;
}

/* 16 streams: a copy takes more room than its record, so that one comes that finds room where its copy finds none. */
static void a_copy_without_room_is_counted_and_its_record_stays(void **state)
{
    (void)state;
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "bridges:\n");
    for (unsigned i = 0; i < 16; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "  - {from: events, stream: '%080u'}\n", i);
    struct house house = house_of(text);
    open_bridges(&house);
    struct shop *shop = new_shop();
    open_shop(shop, &house.bridges);
    const struct machine_info *info = &house.conf->machines[0].info;
    enum err_e err = ERR_OK;
    for (unsigned i = 0; i < 10000 && stats_get(&shop->stats, BROKER_APPENDS_FAILED) == 0; i++)
        err = publish_machine_event(&shop->publisher, info, true); /* nothing is made public */
    assert_int_equal(err, ERR_OK);
    uint64_t events = stats_get(&shop->stats, BROKER_MACHINE_EVENTS);
    assert_int_equal(stats_get(&shop->stats, BROKER_APPENDS_FAILED), 1);
    assert_int_equal(stats_get(&shop->stats, BROKER_BRIDGED), events - 1);
    assert_int_equal(records_of(shop, RECORD_MACHINE), 0);
    publish_flush(&shop->publisher);
    assert_int_equal(records_of(shop, RECORD_MACHINE), events);
    assert_int_equal(records_of(shop, RECORD_STREAM), events - 1);
    assert_int_equal(publish_machine_event(&shop->publisher, info, true), ERR_OK); /* and it goes on */
    assert_int_equal(stats_get(&shop->stats, BROKER_BRIDGED), events);
    close_shop(shop);
    leave(&house);
}

/* A writer that is gone before it published leaves neither. */
static void what_is_not_made_public_is_neither_of_both(void **state)
{
    (void)state;
    struct house house = house_of("bridges: [{from: events, stream: x}]\n");
    open_bridges(&house);
    struct shop *shop = new_shop();
    open_shop(shop, &house.bridges);
    const struct machine_info *info = &house.conf->machines[0].info;
    assert_int_equal(publish_machine_event(&shop->publisher, info, true), ERR_OK);
    publish_flush(&shop->publisher);
    assert_int_equal(publish_machine_event(&shop->publisher, info, false), ERR_OK);
    publisher_fini(&shop->publisher);
    open_shop(shop, NULL);
    assert_int_equal(records_of(shop, RECORD_MACHINE), 1);
    assert_int_equal(records_of(shop, RECORD_STREAM), 1);
    assert_int_equal(publish_machine_event(&shop->publisher, info, false), ERR_OK); /* no bridges: no copy */
    publish_flush(&shop->publisher);
    assert_int_equal(records_of(shop, RECORD_MACHINE), 2);
    assert_int_equal(records_of(shop, RECORD_STREAM), 1);
    close_shop(shop);
    leave(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bridges_no_streams),
        cmocka_unit_test(machines_share_what_goes_out_for_all),
        cmocka_unit_test(never_begun),
        cmocka_unit_test(a_copy_without_room_is_counted_and_its_record_stays),
        cmocka_unit_test(what_is_not_made_public_is_neither_of_both),
    };
    log_init("bridges_test", LOG_ERROR);
    return cmocka_run_group_tests_name("bridges", tests, NULL, NULL);
}
