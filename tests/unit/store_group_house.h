/* store_group_house.h — a store_group over a real database with a played broker, for its tests: what is taken, what was answered. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

static inline enum err_e on_send(void *arg, struct wire_message *message)
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

static inline enum err_e on_join(void *arg)
{
    return ((struct house *)arg)->join_says;
}

static inline void on_committed(void *arg)
{
    struct house *house = arg;
    house->committed++;
    house->committed_at = house->answered;
}

static inline bool on_events_complete(void *arg)
{
    return !((struct house *)arg)->incomplete;
}

static inline bool on_may_turn(void *arg)
{
    return !((struct house *)arg)->behind;
}

static inline int setup(void **state)
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

static inline void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline int teardown(void **state)
{
    struct house *house = *state;
    limit_files(RLIM_INFINITY);
    store_group_fini(&house->group);
    db_stage_close(&house->stage);
    free(house->body);
    free(house);
    return 0;
}

static inline void take_of(struct house *house, uint64_t serial, enum store_op_e op, enum entity_e entity,
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

static inline void take(struct house *house, uint64_t serial, enum store_op_e op, struct store_row args,
                        int64_t deadline_ms)
{
    take_of(house, serial, op, ENTITY_SENSOR, 0, args, deadline_ms);
}

static inline void take_write(struct house *house, uint64_t serial)
{
    take(house, serial, STORE_OP_CREATE, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")), 5000);
}

static inline void take_read(struct house *house, uint64_t serial)
{
    take(house, serial, STORE_OP_LIST, nothing, 5000);
}

static inline void run(struct house *house)
{
    while (store_group_run(&house->group))
        ;
}

static inline size_t sensors(struct house *house)
{
    json_t *rows = rows_of(&house->stage, ENTITY_SENSOR);
    size_t count = json_array_size(rows);
    json_decref(rows);
    return count;
}

static inline unsigned with_status(const struct house *house, unsigned status)
{
    unsigned count = 0;
    for (unsigned i = 0; i < house->answered; i++)
        count += house->answers[i].status == status;
    return count;
}
