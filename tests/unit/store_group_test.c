/* store_group.h over a real database: what is answered when, and what if the disk takes nothing. */
#include <sys/stat.h>

#include "store_group_house.h"

static void writes_share_a_transaction_and_are_answered_behind_it(void **state)
{
    struct house *house = *state;
    for (uint64_t serial = 1; serial <= 20; serial++)
        take_write(house, serial);
    assert_int_equal(house->answered, 0);
    run(house);
    assert_int_equal(house->committed, 1);
    assert_int_equal(house->committed_at, 0);
    assert_int_equal(with_status(house, 201), 20);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(house->answers[i].serial, i + 1);
    assert_int_equal(stats_get(&house->stats, STORE_WRITES), 20);
    assert_int_equal(stats_get(&house->stats, STORE_GROUP_LARGEST), 20);
    assert_int_equal(sensors(house), 20);
}

static void reads_go_first_and_see_what_is_committed(void **state)
{
    struct house *house = *state;
    take_write(house, 1);
    take_read(house, 2);
    run(house);
    assert_int_equal(house->answers[0].serial, 2);
    assert_int_equal(house->answers[0].len, 2); /* [] */
    assert_int_equal(house->committed_at, 1);
}

static void groups_are_bounded(void **state)
{
    struct house *house = *state;
    for (uint64_t serial = 1; serial <= GROUP_WRITES_MAX + 10; serial++)
        take_write(house, serial);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->answered, GROUP_WRITES_MAX);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->committed, 2);
}

static void what_is_late_is_not_begun(void **state)
{
    struct house *house = *state;
    take(house, 1, STORE_OP_CREATE, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")), 100);
    take(house, 2, STORE_OP_LIST, nothing, 0);
    take_write(house, 3);
    clock_manual_advance_ns(&house->stage.clock, 100 * NS_PER_MS);
    run(house);
    assert_int_equal(with_status(house, 503), 2);
    assert_int_equal(stats_get(&house->stats, STORE_REQUESTS_LATE), 2);
    assert_int_equal(sensors(house), 1);
}

static void nonsense_is_refused_at_once(void **state)
{
    struct house *house = *state;
    take(house, 1, STORE_OP_COUNT, nothing, 100);
    take(house, 2, STORE_OP_NONE, nothing, 100);
    assert_int_equal(with_status(house, 400), 2);
    assert_true(store_group_is_idle(&house->group));
}

static void no_more_wait_than_there_is_room_for(void **state)
{
    struct house *house = *state;
    for (uint64_t serial = 1; serial <= GROUP_WAITING_MAX; serial++)
        take_read(house, serial);
    assert_int_equal(house->answered, 0);
    take_write(house, GROUP_WAITING_MAX + 1);
    assert_int_equal(with_status(house, 503), 1);
    store_group_forget(&house->group);
    assert_int_equal(house->group.waiting_bytes, 0);
    run(house);
    assert_int_equal(house->answered, 1);
}

/* The last one of the group may well fit no more: nobody of it is told 201. */
static void a_full_disk_fails_the_group_whole(void **state)
{
    struct house *house = *state;
    struct stat log;
    char path[128];
    take_write(house, 1);
    run(house);
    snprintf(path, sizeof path, "%s-wal", house->stage.path);
    assert_int_equal(stat(path, &log), 0);
    limit_files((rlim_t)log.st_size + 4096);
    for (uint64_t serial = 2; serial <= 200; serial++)
        take_write(house, serial);
    take_read(house, 201);
    run(house);
    assert_int_equal(with_status(house, 503), 199);
    assert_int_equal(with_status(house, 201), 1);
    assert_int_equal(with_status(house, 200), 1);
    assert_int_equal(stats_get(&house->stats, STORE_WRITES_FAILED), 199);
    assert_int_equal(house->committed, 1);
    limit_files(RLIM_INFINITY);
    assert_int_equal(sensors(house), 1);
    take_write(house, 202);
    run(house);
    assert_int_equal(with_status(house, 201), 2);
    db_stage_again(&house->stage);
    assert_int_equal(sensors(house), 2);
    db_stage_check(&house->stage);
    house->group.db = house->stage.db;
}

static void what_cannot_be_joined_fails_the_group(void **state)
{
    struct house *house = *state;
    house->join_says = ERR_SYSTEM;
    take_write(house, 1);
    run(house);
    assert_int_equal(with_status(house, 503), 1);
    assert_int_equal(sensors(house), 0);
}

static void events_are_not_told_in_part(void **state)
{
    struct house *house = *state;
    house->incomplete = true;
    take(house, 1, STORE_OP_EVENTS, nothing, 5000);
    take_read(house, 2);
    run(house);
    assert_int_equal(house->answers[0].status, 503);
    assert_int_equal(house->answers[1].status, 200);
    house->incomplete = false;
    take(house, 3, STORE_OP_EVENTS, nothing, 5000);
    run(house);
    assert_int_equal(house->answers[2].status, 200);
}

static void a_refusal_changes_nothing_and_others_are_made(void **state)
{
    struct house *house = *state;
    take_write(house, 1);
    take(house, 2, STORE_OP_CREATE, row(text(ARG_TIPO, "t")), 5000); /* modelo is missing */
    take_write(house, 3);
    run(house);
    assert_int_equal(with_status(house, 201), 2);
    assert_in_range(house->answers[1].status, 400, 499);
    assert_int_equal(stats_get(&house->stats, STORE_WRITES_REFUSED), 1);
    assert_int_equal(sensors(house), 2);
}

static void long_answers_go_in_parts(void **state)
{
    struct house *house = *state;
    char modelo[100];
    memset(modelo, 'm', sizeof modelo);
    modelo[99] = '\0';
    for (uint64_t serial = 1; serial <= 680; serial++)
        take(house, serial, STORE_OP_CREATE, row(text(ARG_TIPO, modelo), text(ARG_MODELO, modelo)), 5000);
    run(house);
    take(house, 681, STORE_OP_LIST, row(whole(ARG_LIMIT, 680)), 5000);
    run(house);
    assert_int_equal(house->answers[680].parts,
                     (house->answers[680].len + WIRE_STORE_BODY_MAX - 1) / WIRE_STORE_BODY_MAX);
    assert_true(house->answers[680].last && house->answers[680].len > WIRE_STORE_BODY_MAX);
    json_t *rows = json_loads(house->body, 0, NULL);
    assert_int_equal(json_array_size(rows), 680);
    json_decref(rows);
}

static void an_answer_that_does_not_go_is_counted(void **state)
{
    struct house *house = *state;
    take_write(house, 1);
    house->takes = 0;
    run(house);
    assert_int_equal(stats_get(&house->stats, STORE_REPLIES_LOST), 1);
    assert_int_equal(sensors(house), 1);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(writes_share_a_transaction_and_are_answered_behind_it),
        PLAY(reads_go_first_and_see_what_is_committed),
        PLAY(groups_are_bounded),
        PLAY(what_is_late_is_not_begun),
        PLAY(nonsense_is_refused_at_once),
        PLAY(no_more_wait_than_there_is_room_for),
        PLAY(a_full_disk_fails_the_group_whole),
        PLAY(what_cannot_be_joined_fails_the_group),
        PLAY(events_are_not_told_in_part),
        PLAY(a_refusal_changes_nothing_and_others_are_made),
        PLAY(long_answers_go_in_parts),
        PLAY(an_answer_that_does_not_go_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
