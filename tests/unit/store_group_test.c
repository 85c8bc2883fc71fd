/* store_group.h over a real database: what is answered when, and what if the disk takes nothing. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "db_stage.h"
#include "store_group.h"
#include "store_metrics.h"

#define ANSWERS 700

struct house {
    struct db_stage stage;
    struct store_group group;
    struct stats stats;
    uint64_t memory[2048];
    struct {
        uint64_t serial, status, version;
        size_t len;
        unsigned parts;
        bool last;
    } answers[ANSWERS];
    unsigned answered;
    unsigned committed, committed_at; /* how many were answered when the commit was told */
    enum err_e join_says;
    bool incomplete, behind;
    unsigned takes; /* messages that the broker still takes */
    char *body;     /* of the last answer */
};

static enum err_e on_send(void *arg, struct wire_message *message)
{
    struct house *house = arg;
    const struct wire_store_reply *reply = &message->store_reply;
    if (house->takes == 0)
        return ERR_FULL;
    house->takes--;
    if (reply->offset == 0) {
        assert_true(house->answered < ANSWERS);
        house->answers[house->answered].serial = reply->serial;
        house->answers[house->answered].status = reply->status;
        house->answers[house->answered].version = reply->version;
        house->answered++;
    }
    unsigned i = house->answered - 1;
    assert_int_equal(reply->worker, 7);
    assert_int_equal(reply->serial, house->answers[i].serial);
    assert_int_equal(reply->offset, house->answers[i].len);
    assert_false(house->answers[i].last);
    house->body = realloc(house->body, reply->offset + reply->body.len + 1);
    memcpy(house->body + reply->offset, reply->body.at, reply->body.len);
    house->body[reply->offset + reply->body.len] = '\0';
    house->answers[i].len += reply->body.len;
    house->answers[i].parts++;
    house->answers[i].last = reply->last;
    return ERR_OK;
}

static enum err_e on_join(void *arg)
{
    return ((struct house *)arg)->join_says;
}

static void on_committed(void *arg)
{
    struct house *house = arg;
    house->committed++;
    house->committed_at = house->answered;
}

static bool on_events_complete(void *arg)
{
    return !((struct house *)arg)->incomplete;
}

static bool on_may_turn(void *arg)
{
    return !((struct house *)arg)->behind;
}

static int setup(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    signal(SIGXFSZ, SIG_IGN);
    stats_init(&house->stats, house->memory, store_metric_defs, STORE_METRIC_COUNT);
    db_stage_open(&house->stage);
    house->takes = UINT32_MAX;
    house->group = (struct store_group){.db = house->stage.db,
                                        .stats = &house->stats,
                                        .clock = &house->stage.clock.clock,
                                        .send = on_send,
                                        .join = on_join,
                                        .committed = on_committed,
                                        .events_complete = on_events_complete,
                                        .may_turn = on_may_turn,
                                        .arg = house};
    assert_int_equal(store_group_init(&house->group), ERR_OK);
    *state = house;
    return 0;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int teardown(void **state)
{
    struct house *house = *state;
    limit_files(RLIM_INFINITY);
    store_group_fini(&house->group);
    db_stage_close(&house->stage);
    free(house->body);
    free(house);
    return 0;
}

static void take_of(struct house *house, uint64_t serial, enum store_op_e op, enum entity_e entity,
                    uint64_t id, struct store_row args, int64_t deadline_ms)
{
    char memory[4096];
    struct out out = out_init(memory, sizeof memory);
    store_args_put(&out, &args);
    struct wire_store_request request = {.worker = 7,
                                         .serial = serial,
                                         .operation = op,
                                         .entity = entity,
                                         .id = id,
                                         .deadline_ms = deadline_ms,
                                         .who = wire_text("ana"),
                                         .arguments = {memory, (uint32_t)out.len}};
    store_group_take(&house->group, &request);
    memset(memory, 0xee, sizeof memory); /* the message is gone */
}

static void take(struct house *house, uint64_t serial, enum store_op_e op, struct store_row args,
                 int64_t deadline_ms)
{
    take_of(house, serial, op, ENTITY_SENSOR, 0, args, deadline_ms);
}

static void take_write(struct house *house, uint64_t serial)
{
    take(house, serial, STORE_OP_CREATE, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")), 5000);
}

static void take_read(struct house *house, uint64_t serial)
{
    take(house, serial, STORE_OP_LIST, nothing, 5000);
}

static void run(struct house *house)
{
    while (store_group_run(&house->group))
        ;
}

static size_t sensors(struct house *house)
{
    json_t *rows = rows_of(&house->stage, ENTITY_SENSOR);
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static unsigned with_status(const struct house *house, unsigned status)
{
    unsigned count = 0;
    for (unsigned i = 0; i < house->answered; i++)
        count += house->answers[i].status == status;
    return count;
}

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

/* --- deletions of many rows ------------------------------------------------------------------------------------------------ */

#define TURN 3u

/* A sensor with so many readings; turns are of three rows. Its number. */
static uint64_t large_sensor(struct house *house, unsigned readings)
{
    static struct store_row rows[STORE_ROWS_MAX];
    uint64_t sensor = made_id(ask(&house->stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0,
                                  row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m"))));
    for (unsigned i = 0; i < readings; i++)
        rows[i] =
            row(whole(ARG_SENSOR_ID, (int64_t)sensor), real(ARG_TEMPERATURA, 20), real(ARG_HUMEDAD, 50));
    assert_int_equal(ask_many(&house->stage, rows, readings)->status, 201);
    db_set_delete_rows(house->stage.db, TURN);
    return sensor;
}

static void take_delete(struct house *house, uint64_t serial, uint64_t sensor, int64_t deadline_ms)
{
    take_of(house, serial, STORE_OP_DELETE, ENTITY_SENSOR, sensor, nothing, deadline_ms);
}

static size_t readings(struct house *house)
{
    json_t *rows = rows_of(&house->stage, ENTITY_READING);
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static void a_large_deletion_lets_others_in_between_its_turns(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 300);
    take_delete(house, 1, sensor, 60000);
    uint64_t left = 300;
    for (uint64_t serial = 2; store_group_run(&house->group); serial++) {
        assert_in_range(left - readings(house), 1, 2 * TURN); /* the first run: the request and a turn */
        left = readings(house);
        assert_int_equal(house->answered, serial - 2); /* all but the deletion */
        if (serial % 2 == 0)
            take_read(house, serial);
        else
            take_write(house, serial);
    }
    assert_int_equal(stats_get(&house->stats, STORE_DELETE_TURNS), 100);
    assert_int_equal(stats_get(&house->stats, STORE_DELETIONS), 0);
    assert_int_equal(house->answers[house->answered - 1].serial, 1);
    assert_int_equal(house->answers[house->answered - 1].status, 204);
    assert_int_equal(house->answers[house->answered - 1].len, 0);
    assert_int_equal(with_status(house, 200) + with_status(house, 201), house->answered - 1);
    assert_true(store_group_is_idle(&house->group));
    db_stage_check(&house->stage);
}

static void it_is_answered_when_its_last_turn_is_on_the_disk(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 6);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->committed, 2);
    assert_int_equal(house->answered, 0);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->committed, 3);
    assert_int_equal(house->committed_at, 0);
    assert_int_equal(with_status(house, 204), 1);
    assert_int_equal(stats_get(&house->stats, STORE_WRITES), 1);
}

static void of_several_who_ask_one_is_told_204(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30), other = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    take_delete(house, 2, sensor, 60000);
    take_delete(house, 3, other, 60000);
    assert_true(store_group_run(&house->group));
    take_delete(house, 4, sensor, 60000);
    take_delete(house, 5, other, 60000);
    run(house);
    assert_int_equal(house->answered, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(house->answers[i].status,
                         house->answers[i].serial == 1 || house->answers[i].serial == 3 ? 204 : 404);
}

static void whose_time_is_over_is_told_202_and_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 100);
    take_delete(house, 2, sensor, 60000);
    assert_true(store_group_run(&house->group));
    clock_manual_advance_ns(&house->stage.clock, 100 * NS_PER_MS - 1);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->answered, 0);
    clock_manual_advance_ns(&house->stage.clock, 1);
    assert_true(store_group_run(&house->group));
    assert_int_equal(house->answered, 1);
    assert_int_equal(house->answers[0].serial, 1);
    assert_int_equal(house->answers[0].status, 202);
    assert_string_equal(house->body, "{\"detail\":\"El borrado ha comenzado y sigue en curso: terminará sin "
                                     "repetirlo\"}");
    run(house);
    assert_int_equal(house->answers[1].status, 204); /* now the first of those who wait */
    assert_int_equal(sensors(house), 0);
}

static void it_waits_while_its_events_are_behind(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    house->behind = true;
    take_delete(house, 1, sensor, 100);
    assert_false(store_group_run(&house->group)); /* the first rows; and no reason to come back at once */
    assert_int_equal(readings(house), 27);
    assert_false(store_group_is_idle(&house->group));
    take_read(house, 2);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answers[0].serial, 2);
    clock_manual_advance_ns(&house->stage.clock, 100 * NS_PER_MS);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answers[1].status, 202);
    assert_int_equal(readings(house), 27);
    house->behind = false;
    run(house);
    assert_int_equal(sensors(house), 0);
}

static void a_turn_that_fails_is_made_again_a_second_later(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    house->join_says = ERR_SYSTEM;
    assert_false(store_group_run(&house->group));
    assert_int_equal(stats_get(&house->stats, STORE_DELETE_TURNS_FAILED), 1);
    assert_int_equal(readings(house), 24);
    house->join_says = ERR_OK;
    clock_manual_advance_ns(&house->stage.clock, NS_PER_S - 1);
    assert_false(store_group_run(&house->group));
    assert_int_equal(readings(house), 24);
    clock_manual_advance_ns(&house->stage.clock, 1);
    run(house);
    assert_int_equal(with_status(house, 204), 1);
    db_stage_check(&house->stage);
}

static void a_group_that_fails_has_begun_no_deletion(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    house->join_says = ERR_SYSTEM;
    take_delete(house, 1, sensor, 60000);
    assert_false(store_group_run(&house->group));
    assert_int_equal(with_status(house, 503), 1);
    house->join_says = ERR_OK;
    assert_true(store_group_is_idle(&house->group));
    assert_int_equal(readings(house), 30);
}

/* Whoever asked is gone; the next store goes on by itself, and who asks it again waits with it. */
static void without_anybody_who_waits_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    store_group_forget(&house->group);
    db_stage_again(&house->stage);
    db_set_delete_rows(house->stage.db, TURN);
    house->group.db = house->stage.db;
    assert_false(store_group_is_idle(&house->group));
    assert_true(store_group_run(&house->group));
    assert_int_equal(stats_get(&house->stats, STORE_DELETIONS), 1);
    take_delete(house, 2, sensor, 60000);
    run(house);
    assert_int_equal(house->answered, 1);
    assert_int_equal(with_status(house, 204), 1);
    assert_int_equal(sensors(house), 0);
    db_stage_check(&house->stage);
}

static void at_the_end_who_waits_is_told_that_it_goes_on(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 30);
    take_delete(house, 1, sensor, 60000);
    assert_true(store_group_run(&house->group));
    store_group_leave(&house->group);
    assert_int_equal(with_status(house, 202), 1);
    assert_int_equal(house->group.waiting, 0);
}

/* A reading and its sensor: the reading goes with the sensor, and who asked for it alone is told. */
static void who_waits_for_what_goes_with_another_is_told(void **state)
{
    struct house *house = *state;
    uint64_t sensor = large_sensor(house, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&house->stage, STORE_OP_CREATE, ENTITY_ANOMALY, 0, 0,
                             row(whole(ARG_LECTURA_ID, 1), text(ARG_TIPO, "t"), real(ARG_VALOR, 1)))
                             ->status,
                         201);
    house->behind = true; /* no turns */
    take_of(house, 1, STORE_OP_DELETE, ENTITY_READING, 1, nothing, 60000);
    assert_false(store_group_run(&house->group));
    take_delete(house, 2, sensor, 60000);
    assert_false(store_group_run(&house->group));
    assert_int_equal(house->answered, 1);
    assert_int_equal(house->answers[0].serial, 1);
    assert_int_equal(house->answers[0].status, 204);
    house->behind = false;
    run(house);
    assert_int_equal(house->answers[1].status, 204);
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
        PLAY(a_large_deletion_lets_others_in_between_its_turns),
        PLAY(it_is_answered_when_its_last_turn_is_on_the_disk),
        PLAY(of_several_who_ask_one_is_told_204),
        PLAY(whose_time_is_over_is_told_202_and_it_goes_on),
        PLAY(it_waits_while_its_events_are_behind),
        PLAY(a_turn_that_fails_is_made_again_a_second_later),
        PLAY(a_group_that_fails_has_begun_no_deletion),
        PLAY(without_anybody_who_waits_it_goes_on),
        PLAY(at_the_end_who_waits_is_told_that_it_goes_on),
        PLAY(who_waits_for_what_goes_with_another_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
