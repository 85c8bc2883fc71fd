/* registry: what is to be shown of a machine, with times as numbers; slots; who is on the bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker_text.h"
#include "clock.h"
#include "must.h"
#include "seq_floor.h"
#include "peers.h"
#include "registry.h"

#define MS NS_PER_MS
#define T0 (1000 * NS_PER_S)

struct house {
    struct conf conf;
    struct conf_machine machines[4];
    struct registry registry;
    struct machine *m;
};

/* Four machines, stale after 3 s; the broker started at T0 and holds for a second. */
static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    for (size_t i = 0; i < ARRAY_LEN(house->machines); i++) {
        struct conf_machine *conf = &house->machines[i];
        snprintf(conf->info.id, sizeof conf->info.id, "m%zu", i);
        conf->profile = profile_builtin("standard");
        conf->profile_name = "standard";
        conf->poll_interval_ms = 250;
        conf->stale_after_ms = 3000;
    }
    house->conf = (struct conf){.machines = house->machines, .machine_count = ARRAY_LEN(house->machines)};
    assert_int_equal(registry_init(&house->registry, &house->conf), ERR_OK);
    registry_hold(&house->registry, T0 + 1000 * MS);
    house->m = house->registry.machines[0];
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    registry_fini(&house->registry);
    free(house);
    return 0;
}

/* Brings shown in line, as the broker does, and plans; returns the connection shown. */
static enum connection_e show(struct house *house, uint64_t now_ns)
{
    house->m->shown = registry_target(house->m, now_ns);
    registry_plan(&house->registry, house->m);
    return house->m->shown.connection;
}

static uint64_t due(const struct house *house)
{
    return house->registry.due_ns[0];
}

static struct peer *somebody(void)
{
    static struct peer peer;
    return &peer;
}

static bool report(struct house *house, uint64_t gen, uint64_t seq, enum connection_e connection,
                   int position, uint64_t age_ms, uint64_t now_ns)
{
    struct wire_state state = {.agent_gen = gen,
                               .state_seq = seq,
                               .connection = connection,
                               .has_reading = position >= 0,
                               .raw_status = position >= 0 ? 218 : 0,
                               .position = position >= 0 ? (uint64_t)position : 0,
                               .reading_age_ms = age_ms};
    return registry_report(house->m, &state, now_ns);
}

/* --- what is shown ---------------------------------------------------------------------------------------------------- */

static void a_machine_starts_as_the_table_left_it_for_a_second(void **state)
{
    struct house *house = *state;
    house->m->shown = (struct machine_state){CONNECTION_CONNECTED, true, 218, 7, 1};
    assert_int_equal(show(house, T0), CONNECTION_CONNECTED);
    assert_true(due(house) == T0 + 1000 * MS);
    assert_int_equal(show(house, T0 + 1000 * MS - 1), CONNECTION_CONNECTED);
    assert_int_equal(show(house, T0 + 1000 * MS), CONNECTION_DISCONNECTED);
    assert_int_equal(house->m->shown.position, 7);
    assert_true(due(house) == UINT64_MAX);
}

static void an_agent_that_comes_and_goes_within_the_hold_is_gone(void **state)
{
    struct house *house = *state;
    house->m->shown = (struct machine_state){CONNECTION_CONNECTED, true, 218, 7, 1};
    registry_attach(house->m, somebody(), house->m->profile_hash, T0 + 10 * MS);
    assert_int_equal(show(house, T0 + 10 * MS), CONNECTION_CONNECTED); /* no birth yet: as it was */
    registry_detach(house->m);
    assert_int_equal(show(house, T0 + 20 * MS), CONNECTION_DISCONNECTED);
}

static void readings_age_from_where_they_were_taken(void **state)
{
    struct house *house = *state;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_true(report(house, 5, 1, CONNECTION_CONNECTED, 3, 400, T0 + 1000 * MS));
    assert_int_equal(show(house, T0 + 1000 * MS), CONNECTION_CONNECTED);
    assert_true(due(house) == T0 + 3600 * MS + 1);
    assert_int_equal(show(house, T0 + 3600 * MS), CONNECTION_CONNECTED);
    assert_int_equal(show(house, T0 + 3600 * MS + 1), CONNECTION_STALE);
    assert_true(due(house) == UINT64_MAX); /* only news can change it now */
    registry_heartbeat(house->m, 3500, T0 + 4000 * MS);
    assert_int_equal(show(house, T0 + 4000 * MS), CONNECTION_STALE);
    registry_heartbeat(house->m, -1, T0 + 4000 * MS);
    assert_int_equal(show(house, T0 + 4000 * MS), CONNECTION_STALE);
    registry_heartbeat(house->m, 20, T0 + 4100 * MS);
    assert_int_equal(show(house, T0 + 4100 * MS), CONNECTION_CONNECTED);
    assert_true(due(house) == T0 + 7080 * MS + 1);
    registry_heartbeat(house->m, 3001, T0 + 5000 * MS); /* the agent knows better than our extrapolation */
    assert_int_equal(show(house, T0 + 5000 * MS), CONNECTION_STALE);
    assert_true(report(house, 5, 2, CONNECTION_CONNECTED, 3, 0, T0 + 6000 * MS));
    assert_int_equal(show(house, T0 + 6000 * MS), CONNECTION_CONNECTED);
}

static void only_a_connected_machine_can_be_stale(void **state)
{
    struct house *house = *state;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_true(report(house, 5, 1, CONNECTION_ERROR, 3, 60000, T0));
    assert_int_equal(show(house, T0 + 60000 * MS), CONNECTION_ERROR);
    assert_true(report(house, 5, 2, CONNECTION_DISCONNECTED, -1, 0, T0));
    assert_int_equal(show(house, T0 + 60000 * MS), CONNECTION_DISCONNECTED);
    assert_true(house->m->shown.has_reading); /* the last reading stays */
    assert_int_equal(house->m->shown.position, 3);
}

static void an_agent_without_a_birth_cannot_keep_a_machine_connected_for_ever(void **state)
{
    struct house *house = *state;
    house->m->shown = (struct machine_state){CONNECTION_CONNECTED, true, 218, 7, 1};
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_int_equal(show(house, T0 + 3000 * MS), CONNECTION_CONNECTED);
    assert_int_equal(show(house, T0 + 3000 * MS + 1), CONNECTION_STALE);
}

static void a_limit_below_the_heartbeat_is_raised(void **state)
{
    struct house *house = *state;
    house->machines[0].stale_after_ms = 100;
    registry_fini(&house->registry);
    assert_int_equal(registry_init(&house->registry, &house->conf), ERR_OK);
    house->m = house->registry.machines[0];
    assert_true(house->m->stale_ns == (250 + REGISTRY_STALE_SLACK_MS) * MS);
}

static void reports_are_taken_in_order(void **state)
{
    struct house *house = *state;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_true(report(house, 5, 10, CONNECTION_CONNECTED, 3, 0, T0));
    assert_false(report(house, 5, 10, CONNECTION_CONNECTED, 4, 0, T0));
    assert_false(report(house, 5, 9, CONNECTION_CONNECTED, 4, 0, T0));
    assert_int_equal(house->m->reported.position, 3);
    assert_true(report(house, 6, 1, CONNECTION_CONNECTED, 4, 0, T0));  /* another process counts anew */
    registry_attach(house->m, somebody(), house->m->profile_hash, T0); /* and so does each HELLO */
    assert_true(report(house, 6, 1, CONNECTION_CONNECTED, 5, 0, T0));
}

static void hostile_ages_do_no_harm(void **state)
{
    struct house *house = *state;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_true(report(house, 5, 1, CONNECTION_CONNECTED, 3, UINT64_MAX, T0));
    assert_int_equal(show(house, T0), CONNECTION_STALE);
    registry_heartbeat(house->m, INT64_MAX, T0);
    assert_int_equal(show(house, T0), CONNECTION_STALE);
    registry_heartbeat(house->m, INT64_MIN, T0);
    registry_heartbeat(house->m, 0, T0);
    assert_int_equal(show(house, T0), CONNECTION_CONNECTED);
}

static void writable_needs_a_profile_that_both_know(void **state)
{
    struct house *house = *state;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_true(registry_writable(house->m));
    registry_attach(house->m, somebody(), ~house->m->profile_hash, T0);
    assert_false(registry_writable(house->m));
    house->machines[0].profile = NULL;
    registry_attach(house->m, somebody(), house->m->profile_hash, T0);
    assert_false(registry_writable(house->m));
}

/* --- slots --------------------------------------------------------------------------------------------------------------- */

static void new_machines_get_their_place_in_the_file(void **state)
{
    struct house *house = *state;
    bool used[8] = {0};
    assert_int_equal(registry_assign_slots(&house->registry, 8, used), ERR_OK);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(house->registry.machines[i]->slot, i);
}

static void slots_are_kept_and_cleared_ones_come_last(void **state)
{
    struct house *house = *state;
    bool used[8] = {true, true, true, false, true};
    assert_true(registry_keep_slot(&house->registry, 0, "m3"));
    assert_false(registry_keep_slot(&house->registry, 1, "gone"));
    assert_true(registry_keep_slot(&house->registry, 2, "m1"));
    assert_false(registry_keep_slot(&house->registry, 4, "m1")); /* twice: the first counts */
    assert_int_equal(registry_assign_slots(&house->registry, 8, used), ERR_OK);
    assert_int_equal(house->registry.machines[3]->slot, 0);
    assert_int_equal(house->registry.machines[1]->slot, 2);
    assert_int_equal(house->registry.machines[0]->slot, 3); /* 0 is taken; 1 was another's just now */
    assert_int_equal(house->registry.machines[2]->slot, 5);
}

static void there_may_be_no_more_machines_than_slots(void **state)
{
    struct house *house = *state;
    bool used[4] = {true, true, true, true};
    assert_int_equal(registry_assign_slots(&house->registry, 3, used), ERR_FULL);
    assert_int_equal(registry_assign_slots(&house->registry, 4, used),
                     ERR_OK); /* reuse, where there is nothing else */
}

static void machines_are_found_by_their_whole_id_only(void **state)
{
    struct house *house = *state;
    assert_ptr_equal(registry_find(&house->registry, "m2xyz", 2), house->registry.machines[2]);
    assert_null(registry_find(&house->registry, "m2xyz", 3));
    assert_null(registry_find(&house->registry, "m", 1));
    assert_null(registry_find(&house->registry, "", 0));
}

/* --- peers --------------------------------------------------------------------------------------------------------------- */

static struct bus_identity identity(unsigned n)
{
    struct bus_identity id = {.len = 9};
    memcpy(id.bytes, &n, sizeof n);
    return id;
}

static void peers_come_and_go_within_their_table(void **state)
{
    (void)state;
    static struct peers peers;
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    for (unsigned n = 0; n < PEERS_MAX; n++) {
        struct bus_identity id = identity(n);
        struct peer *peer = peers_add(&peers, &id, WIRE_AGENT, n);
        assert_non_null(peer);
        peers_set_connection(&peers, peer, (int)n);
    }
    struct bus_identity id = identity(PEERS_MAX);
    assert_null(peers_add(&peers, &id, WIRE_AGENT, 0));
    assert_int_equal(peers.agents, PEERS_MAX);
    id = identity(17);
    struct peer *peer = peers_find(&peers, &id);
    assert_ptr_equal(peers_at_connection(&peers, 17), peer);
    peers_remove(&peers, peer);
    assert_null(peers_find(&peers, &id));
    assert_null(peers_at_connection(&peers, 17));
    assert_null(peers_at_connection(&peers, -1));
    id = identity(PEERS_MAX);
    assert_non_null(peers_add(&peers, &id, WIRE_WORKER, 0));
    assert_int_equal(peers.workers, 1);
    peers_fini(&peers);
}

static void the_longest_silent_peer_is_found_first(void **state)
{
    (void)state;
    static struct peers peers;
    struct bus_identity a = identity(1), b = identity(2);
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    assert_null(peers_silent(&peers, T0));
    struct peer *first = peers_add(&peers, &a, WIRE_AGENT, T0),
                *second = peers_add(&peers, &b, WIRE_AGENT, T0 + 1);
    assert_null(peers_silent(&peers, T0 + PEERS_SILENCE_MS * MS));
    assert_ptr_equal(peers_silent(&peers, T0 + PEERS_SILENCE_MS * MS + 1), first);
    peers_heard(&peers, first, T0 + 2000 * MS);
    assert_null(peers_silent(&peers, T0 + PEERS_SILENCE_MS * MS + 1));
    assert_ptr_equal(peers_silent(&peers, T0 + PEERS_SILENCE_MS * MS + 2), second);
    peers_fini(&peers);
}

static void worker_slots_are_leased_lowest_first(void **state)
{
    (void)state;
    static struct peers peers;
    struct peer *workers[PEERS_WORKERS];
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    for (unsigned n = 0; n < PEERS_WORKERS; n++) {
        struct bus_identity id = identity(n);
        workers[n] = peers_add(&peers, &id, WIRE_WORKER, 0);
        assert_int_equal(peers_lease(&peers, workers[n], UINT32_MAX, 0), n);
    }
    struct bus_identity id = identity(PEERS_WORKERS);
    struct peer *late = peers_add(&peers, &id, WIRE_WORKER, 0);
    assert_int_equal(peers_lease(&peers, late, 5, 0), PEERS_NO_SLOT);
    peers_remove(&peers, workers[9]);
    peers_remove(&peers, workers[40]);
    assert_int_equal(peers_lease(&peers, late, 40, 0), 40);
    assert_int_equal(peers_lease(&peers, late, 9, 0), 40); /* who has one keeps it */
    peers_fini(&peers);
}

static void a_slot_that_others_hold_is_not_leased(void **state)
{
    (void)state;
    static struct peers peers;
    struct peer *workers[4];
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    for (unsigned n = 0; n < ARRAY_LEN(workers); n++) {
        struct bus_identity id = identity(n);
        workers[n] = peers_add(&peers, &id, WIRE_WORKER, 0);
    }
    assert_int_equal(peers_lease(&peers, workers[0], 0, 1), 1);                    /* wanted, but not free */
    assert_int_equal(peers_lease(&peers, workers[1], UINT32_MAX, 0xfffffffd), 32); /* the lowest that is */
    assert_int_equal(peers_lease(&peers, workers[2], 63, ~(1ULL << 63)), 63);
    assert_int_equal(peers_lease(&peers, workers[3], 63, ~(1ULL << 63)), PEERS_NO_SLOT);
    assert_int_equal(peers_lease(&peers, workers[3], 0, UINT64_MAX), PEERS_NO_SLOT);
    assert_int_equal(peers_lease(&peers, workers[3], UINT64_MAX, 0), 0);
    assert_int_equal(peers_lease(&peers, workers[3], 9, UINT64_MAX), 0); /* its own, whatever is held */
    peers_fini(&peers);
}

static void workers_are_found_and_their_channels_added(void **state)
{
    (void)state;
    static struct peers peers;
    struct peer *workers[3];
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    for (unsigned n = 0; n < ARRAY_LEN(workers); n++) {
        struct bus_identity id = identity(n);
        workers[n] = peers_add(&peers, &id, n < 2 ? WIRE_WORKER : WIRE_AGENT, 0);
        workers[n]->incarnation = 100 + n;
        workers[n]->channels = 10 + n;
    }
    assert_null(peers_worker(&peers, 100)); /* it has no slot yet */
    peers_lease(&peers, workers[0], UINT32_MAX, 0);
    peers_lease(&peers, workers[1], 7, 0);
    assert_ptr_equal(peers_worker(&peers, 100), workers[0]);
    assert_ptr_equal(peers_worker(&peers, 101), workers[1]);
    assert_null(peers_worker(&peers, 102));
    assert_null(peers_worker(&peers, 0));
    assert_true(peers_channels_elsewhere(&peers, workers[0]) == 11);
    assert_true(peers_channels_elsewhere(&peers, workers[1]) == 10);
    assert_true(peers_channels_elsewhere(&peers, workers[2]) == 21);
    workers[1]->channels = UINT64_MAX;
    assert_true(peers_channels_elsewhere(&peers, workers[2]) == UINT64_MAX);
    peers_remove(&peers, workers[1]);
    assert_null(peers_worker(&peers, 101));
    assert_true(peers_channels_elsewhere(&peers, workers[0]) == 0);
    peers_fini(&peers);
}

static void re_hello_is_said_once_in_a_while(void **state)
{
    (void)state;
    static struct peers peers;
    struct bus_identity a = identity(1);
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    assert_true(peers_may_re_hello(&peers, &a, T0));
    assert_false(peers_may_re_hello(&peers, &a, T0 + 99 * MS));
    assert_true(peers_may_re_hello(&peers, &a, T0 + 100 * MS));
    peers_fini(&peers);
}

static void a_connection_has_one_peer(void **state)
{
    (void)state;
    static struct peers peers;
    struct bus_identity a = identity(1), b = identity(2);
    assert_int_equal(peers_init(&peers, 7), ERR_OK);
    struct peer *first = peers_add(&peers, &a, WIRE_AGENT, 0), *second = peers_add(&peers, &b, WIRE_AGENT, 0);
    peers_set_connection(&peers, first, 12);
    peers_set_connection(&peers, second, 12);
    assert_ptr_equal(peers_at_connection(&peers, 12), second);
    peers_remove(&peers, first); /* does not take the other's with it */
    assert_ptr_equal(peers_at_connection(&peers, 12), second);
    peers_set_connection(&peers, second, 13);
    assert_null(peers_at_connection(&peers, 12));
    peers_fini(&peers);
}

/* --- floors and texts ------------------------------------------------------------------------------------------------------- */

static void floors_rise_and_the_oldest_is_forgotten(void **state)
{
    (void)state;
    struct seq_floors floors;
    assert_int_equal(seq_floors_init(&floors, 4), ERR_OK);
    assert_int_equal(seq_floors_get(&floors, 1), 0);
    for (uint64_t gen = 1; gen <= 4; gen++)
        seq_floors_raise(&floors, gen, gen * 10);
    seq_floors_raise(&floors, 1, 5); /* never goes down */
    assert_int_equal(seq_floors_get(&floors, 1), 10);
    seq_floors_raise(&floors, 5, 50);
    assert_int_equal(seq_floors_get(&floors, 2), 0); /* 1 was heard of since */
    assert_int_equal(seq_floors_get(&floors, 1), 10);
    assert_int_equal(seq_floors_get(&floors, 5), 50);
    seq_floors_fini(&floors);
}

static void only_utf8_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool clean;
    } cases[] = {
        {"", true},
        {"plain ASCII \x01\x7f", true},
        {"Detenido \xc3\xb1 \xe2\x82\xac \xf0\x9f\x8e\xa1", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xc0\x80", false},         /* overlong NUL */
        {"\xc3", false},             /* cut */
        {"\xe2\x82", false},         /* cut */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
        {"\xe2\x28\xa1", false},
        {"\x80", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        char *exact = malloc(len + 1); /* so that a read past the end is seen */
        memcpy(exact, cases[i].text, len);
        char *tight = realloc(exact, len > 0 ? len : 1);
        assert_int_equal(broker_text_clean(tight, len), cases[i].clean);
        free(tight);
    }
    assert_false(broker_text_clean("a\0b", 3));
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_machine_starts_as_the_table_left_it_for_a_second),
        PLAY(an_agent_that_comes_and_goes_within_the_hold_is_gone),
        PLAY(readings_age_from_where_they_were_taken),
        PLAY(only_a_connected_machine_can_be_stale),
        PLAY(an_agent_without_a_birth_cannot_keep_a_machine_connected_for_ever),
        PLAY(a_limit_below_the_heartbeat_is_raised),
        PLAY(reports_are_taken_in_order),
        PLAY(hostile_ages_do_no_harm),
        PLAY(writable_needs_a_profile_that_both_know),
        PLAY(new_machines_get_their_place_in_the_file),
        PLAY(slots_are_kept_and_cleared_ones_come_last),
        PLAY(there_may_be_no_more_machines_than_slots),
        PLAY(machines_are_found_by_their_whole_id_only),
        cmocka_unit_test(peers_come_and_go_within_their_table),
        cmocka_unit_test(the_longest_silent_peer_is_found_first),
        cmocka_unit_test(worker_slots_are_leased_lowest_first),
        cmocka_unit_test(a_slot_that_others_hold_is_not_leased),
        cmocka_unit_test(workers_are_found_and_their_channels_added),
        cmocka_unit_test(re_hello_is_said_once_in_a_while),
        cmocka_unit_test(a_connection_has_one_peer),
        cmocka_unit_test(floors_rise_and_the_oldest_is_forgotten),
        cmocka_unit_test(only_utf8_is_shown),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
