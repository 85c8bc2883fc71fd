/* db_stage.c — see db_stage.h. */
#include "db_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "must.h"

/* --- the database -------------------------------------------------------------------------------------------------------- */

enum err_e db_stage_try(struct db_stage *stage)
{
    enum err_e err = db_open(&stage->config, &stage->db, stage->why);
    if (err == ERR_OK && stage->delete_rows > 0)
        db_set_delete_rows(stage->db, stage->delete_rows);
    return err;
}

void db_stage_open(struct db_stage *stage)
{
    memset(stage, 0, sizeof *stage);
    strcpy(stage->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/noria-db.XXXXXX"
                                                     : "/tmp/noria-db.XXXXXX"); /* no disk is waited for */
    assert_non_null(mkdtemp(stage->dir));
    snprintf(stage->path, sizeof stage->path, "%s/noria.db", stage->dir);
    clock_manual_init(&stage->clock, NS_PER_S, STAGE_START_MS);
    stage->config = (struct db_config){stage->path, &stage->clock.clock, STAGE_SOURCE, DB_INTEGRITY_FULL};
    if (db_stage_try(stage) != ERR_OK)
        fail_msg("%s", stage->why);
}

void db_stage_again(struct db_stage *stage)
{
    db_close(&stage->db);
    if (db_stage_try(stage) != ERR_OK)
        fail_msg("%s", stage->why);
}

static void forget(struct said *said)
{
    json_decref(said->json);
    free(said->text);
    *said = (struct said){0};
}

void db_stage_close(struct db_stage *stage)
{
    char command[128];
    db_close(&stage->db);
    forget(&stage->said);
    snprintf(command, sizeof command, "rm -r %s", stage->dir);
    assert_int_equal(system(command), 0);
}

/* --- arguments ------------------------------------------------------------------------------------------------------------- */

struct arg whole(enum store_arg_e arg, int64_t value)
{
    return (struct arg){arg, {.kind = STORE_INT, .whole = value}};
}

struct arg real(enum store_arg_e arg, double value)
{
    return (struct arg){arg, {.kind = STORE_REAL, .real = value}};
}

struct arg text(enum store_arg_e arg, const char *value)
{
    return (struct arg){arg, {.kind = STORE_TEXT, .text = {value, (uint32_t)strlen(value)}}};
}

struct arg truth(enum store_arg_e arg, bool value)
{
    return (struct arg){arg, {.kind = STORE_BOOL, .truth = value}};
}

struct arg null(enum store_arg_e arg)
{
    return (struct arg){arg, {.kind = STORE_NULL}};
}

struct store_row row_of(unsigned count, const struct arg *args)
{
    struct store_row made = {0};
    for (unsigned i = 0; i < count; i++)
        store_row_set(&made, args[i].arg, args[i].value);
    return made;
}

/* --- requests -------------------------------------------------------------------------------------------------------------- */

static void execute(struct db_stage *stage, struct db_request *request, const struct store_row *rows,
                    unsigned count)
{
    struct out out = out_init(stage->args_memory, sizeof stage->args_memory);
    struct db_answer answer;
    for (unsigned i = 0; i < count; i++)
        store_args_put(&out, &rows[i]);
    assert_false(out.overflow);
    request->args = (struct store_args){(const unsigned char *)out.at, out.len};
    request->who = "";
    forget(&stage->said);
    db_execute(stage->db, request, &answer);
    stage->said.status = answer.status;
    stage->said.version = answer.version;
    assert_true(asprintf(&stage->said.text, "%.*s", (int)answer.len, answer.body) == (int)answer.len);
    if (answer.len == 0)
        return;
    json_error_t error;
    stage->said.json = json_loadb(answer.body, answer.len, 0, &error);
    if (stage->said.json == NULL)
        fail_msg("%s in %s", error.text, stage->said.text);
    assert_true(answer.status < 400 || json_object_get(stage->said.json, "detail") != NULL);
}

static void fail_all(struct said *said)
{
    forget(said);
    said->status = 503;
}

static struct said *ask_rows(struct db_stage *stage, struct db_request request, const struct store_row *rows,
                             unsigned count)
{
    if (!store_op_writes(request.op)) {
        execute(stage, &request, rows, count);
        return &stage->said;
    }
    stage->committed = db_begin(stage->db);
    if (stage->committed == ERR_OK) {
        execute(stage, &request, rows, count);
        stage->committed = db_commit(stage->db);
    }
    if (stage->committed != ERR_OK)
        fail_all(&stage->said);
    return &stage->said;
}

struct said *ask(struct db_stage *stage, enum store_op_e op, enum entity_e entity, uint64_t id,
                 uint64_t version, struct store_row args)
{
    return ask_rows(stage, (struct db_request){.op = op, .entity = entity, .id = id, .version = version},
                    &args, 1);
}

enum err_e db_stage_turn(struct db_stage *stage)
{
    enum err_e err = db_begin(stage->db);
    if (err != ERR_OK)
        return err;
    err = db_delete_turn(stage->db);
    enum err_e end = db_commit(stage->db);
    return err != ERR_OK ? err : end;
}

struct said *ask_many(struct db_stage *stage, const struct store_row *rows, unsigned count)
{
    return ask_rows(stage, (struct db_request){.op = STORE_OP_CREATE_MANY, .entity = ENTITY_READING}, rows,
                    count);
}

struct said *ask_within(struct db_stage *stage, enum store_op_e op, enum entity_e entity, uint64_t id,
                        uint64_t version, struct store_row args)
{
    struct db_request request = {.op = op, .entity = entity, .id = id, .version = version};
    execute(stage, &request, &args, 1);
    return &stage->said;
}

/* --- answers ---------------------------------------------------------------------------------------------------------------- */

uint64_t made_id(const struct said *said)
{
    if (said->status != 201)
        fail_msg("%u %s", said->status, said->text);
    return (uint64_t)json_integer_value(json_object_get(said->json, "id"));
}

const char *detail(const struct said *said)
{
    const char *value = json_string_value(json_object_get(said->json, "detail"));
    return value != NULL ? value : "";
}

json_t *events_of(struct db_stage *stage, uint64_t above)
{
    json_t *all = json_array();
    struct db_event event;
    enum err_e err;
    while ((err = db_next_event(stage->db, above, &event)) == ERR_OK) {
        json_t *payload = json_loadb(event.payload, event.len, 0, NULL);
        assert_non_null(payload);
        assert_true(event.seq > above);
        assert_int_equal(json_array_append_new(all, payload), 0);
        above = event.seq;
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    return all;
}

json_t *rows_of(struct db_stage *stage, enum entity_e entity)
{
    json_t *all = json_array();
    for (;;) {
        struct said *said =
            ask(stage, STORE_OP_LIST, entity, 0, 0,
                row(whole(ARG_SKIP, (int64_t)json_array_size(all)), whole(ARG_LIMIT, STORE_LIMIT_MAX)));
        assert_int_equal(said->status, 200);
        if (json_array_size(said->json) == 0)
            return all;
        json_array_extend(all, said->json);
    }
}

/* --- events make the rows --------------------------------------------------------------------------------------------------- */

static void replay_one(json_t *rows, json_t *event)
{
    const char *type = json_string_value(json_object_get(event, "event_type"));
    json_t *data = json_object_get(event, "data");
    char id[24];
    snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(event, "entity_id")));
    assert_int_equal(json_integer_value(json_object_get(data, "id")), strtoll(id, NULL, 10));
    if (strcmp(type, "deleted") == 0) {
        assert_int_equal(json_object_del(rows, id), 0); /* it was there */
        return;
    }
    if (strcmp(type, "updated") == 0) {
        json_t *now = json_object_get(rows, id);
        assert_non_null(now);
        assert_int_equal(json_object_update(now, data), 0);
        return;
    }
    assert_null(json_object_get(rows, id));
    json_t *made = json_deep_copy(data);
    if (strcmp(type, "created") == 0)
        json_object_set(made, "updated_at", json_object_get(made, "created_at"));
    json_object_set_new(rows, id, made);
}

static void compare(struct db_stage *stage, enum entity_e entity, json_t *replayed)
{
    json_t *rows = rows_of(stage, entity), *each;
    size_t i;
    json_array_foreach(rows, i, each)
    {
        char id[24];
        snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(each, "id")));
        if (!json_equal(each, json_object_get(replayed, id)))
            fail_msg("%s %s differs from its events", entity_of(entity)->type, id);
    }
    assert_int_equal(json_array_size(rows), json_object_size(replayed));
    json_decref(rows);
}

void db_stage_check(struct db_stage *stage)
{
    json_t *rows[ENTITY_COUNT] = {0}, *events = events_of(stage, 0), *event;
    size_t i;
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++)
        rows[e] = json_object();
    json_array_foreach(events, i, event)
    {
        const char *type = json_string_value(json_object_get(event, "entity_type"));
        for (int e = ENTITY_NONE + 1; type != NULL && e < ENTITY_COUNT; e++)
            if (strcmp(entity_of((enum entity_e)e)->type, type) == 0)
                replay_one(rows[e], event);
    }
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++) {
        compare(stage, (enum entity_e)e, rows[e]);
        json_decref(rows[e]);
    }
    json_decref(events);
}
