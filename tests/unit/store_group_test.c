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
    bool incomplete;
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

static void take(struct house *house, uint64_t serial, enum store_op_e op, struct store_row args,
                 int64_t deadline_ms)
{
    char memory[4096];
    struct out out = out_init(memory, sizeof memory);
    store_args_put(&out, &args);
    struct wire_store_request request = {.worker = 7,
                                         .serial = serial,
                                         .operation = op,
                                         .entity = ENTITY_SENSOR,
                                         .deadline_ms = deadline_ms,
                                         .who = wire_text("ana"),
                                         .arguments = {memory, (uint32_t)out.len}};
    store_group_take(&house->group, &request);
    memset(memory, 0xee, sizeof memory); /* the message is gone */
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
