/* db_model_test.c — random requests against a model in memory: every answer's status, every row, every event.
 *
 * The model is a list of rows per entity, as plain as can be. After each run the rows are the model's, the events from the beginning make the
 * rows (db_stage_check()), the numbers of events have no repetition, and nothing is different after the file was opened again. Groups are of random
 * size, some are rolled back, and then nothing of them was. In every other round deletions are made in turns of two rows; the turns come at random between
 * the groups, and the model takes the rows away one by one in the order of the store (innermost, lowest number first).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db_stage.h"
#include "hash.h"
#include "must.h"

#define ROWS_MAX 4000
#define ROUNDS   6
#define GROUPS   60

#define GOING_MAX   400
#define ALL_AT_ONCE 100000u

struct kept { /* of an entity; number 0: none */
    uint64_t id, version, owner;
    double a, b;
    bool solved;
};

struct going { /* a deletion under way */
    uint64_t number, id;
    enum entity_e entity;
};

struct model {
    struct going going[GOING_MAX];
    unsigned going_count;
    struct kept rows[ENTITY_COUNT][ROWS_MAX];
    unsigned count[ENTITY_COUNT];
    uint64_t next[ENTITY_COUNT];
};

static struct db_stage stage;
static uint64_t last_turn; /* number of the deletion that had it */
static struct model model, before_group;
static uint64_t chance;

static unsigned any(unsigned below)
{
    chance = hash_u64(chance + 0x9e37);
    return (unsigned)(chance % below);
}

/* --- the model ------------------------------------------------------------------------------------------------------------------- */

static struct kept *find(enum entity_e entity, uint64_t id)
{
    for (unsigned i = 0; i < model.count[entity]; i++)
        if (model.rows[entity][i].id == id)
            return &model.rows[entity][i];
    return NULL;
}

/* Mostly one that is there. */
static uint64_t some_id(enum entity_e entity)
{
    if (model.count[entity] == 0 || any(8) == 0)
        return 1 + any(40);
    return model.rows[entity][any(model.count[entity])].id;
}

static struct kept *add(enum entity_e entity, uint64_t owner, double a, double b)
{
    MUST(model.count[entity] < ROWS_MAX);
    struct kept *kept = &model.rows[entity][model.count[entity]++];
    *kept = (struct kept){++model.next[entity], 1, owner, a, b, false};
    return kept;
}

static void drop(enum entity_e entity, uint64_t id);

static void drop_owned(enum entity_e entity, uint64_t owner)
{
    for (unsigned i = model.count[entity]; i-- > 0;)
        if (i < model.count[entity] && model.rows[entity][i].owner == owner)
            drop(entity, model.rows[entity][i].id);
}

static void drop(enum entity_e entity, uint64_t id)
{
    if (entity == ENTITY_SENSOR) {
        drop_owned(ENTITY_READING, id);
        drop_owned(ENTITY_LOCATION, id);
    } else if (entity == ENTITY_READING) {
        drop_owned(ENTITY_ANOMALY, id);
    } else if (entity == ENTITY_LOCATION) {
        drop_owned(ENTITY_PREDICTION, id);
    }
    struct kept *kept = find(entity, id);
    *kept = model.rows[entity][--model.count[entity]];
    for (unsigned i = model.going_count; i-- > 0;)
        if (model.going[i].entity == entity && model.going[i].id == id) {
            model.going_count--;
            memmove(model.going + i, model.going + i + 1, (model.going_count - i) * sizeof *model.going);
        }
}

/* --- deletions in turns ------------------------------------------------------------------------------------------------------------ */

static const enum entity_e owners[ENTITY_COUNT] = {[ENTITY_READING] = ENTITY_SENSOR,
                                                   [ENTITY_LOCATION] = ENTITY_SENSOR,
                                                   [ENTITY_ANOMALY] = ENTITY_READING,
                                                   [ENTITY_PREDICTION] = ENTITY_LOCATION};

static uint64_t lowest_of(enum entity_e entity, uint64_t owner)
{
    uint64_t lowest = 0;
    for (unsigned i = 0; i < model.count[entity]; i++) {
        const struct kept *kept = &model.rows[entity][i];
        if (kept->owner == owner && (lowest == 0 || kept->id < lowest))
            lowest = kept->id;
    }
    return lowest;
}

/* The innermost and lowest first. True: it is gone. */
static bool drop_some(enum entity_e entity, uint64_t id, unsigned *left)
{
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++)
        for (uint64_t owned; owners[e] == entity && (owned = lowest_of((enum entity_e)e, id)) != 0;)
            if (!drop_some((enum entity_e)e, owned, left))
                return false;
    if (*left == 0)
        return false;
    --*left;
    drop(entity, id);
    return true;
}

static bool is_deleting(enum entity_e entity, uint64_t id)
{
    for (unsigned i = 0; i < model.going_count; i++)
        if (model.going[i].entity == entity && model.going[i].id == id)
            return true;
    return false;
}

/* It, or one that it belongs to. */
static bool is_going(enum entity_e entity, uint64_t id)
{
    while (entity != ENTITY_NONE && !is_deleting(entity, id)) {
        const struct kept *kept = find(entity, id);
        if (kept == NULL)
            return false;
        entity = owners[entity];
        id = kept->owner;
    }
    return entity != ENTITY_NONE;
}

static void take_turn(void)
{
    if (model.going_count > 0) {
        unsigned next = 0, left = stage.delete_rows;
        while (next < model.going_count && model.going[next].number <= last_turn)
            next++;
        struct going going = model.going[next % model.going_count];
        last_turn = going.number;
        drop_some(going.entity, going.id, &left);
    }
    assert_int_equal(db_stage_turn(&stage), ERR_OK);
    assert_int_equal(db_deletions(stage.db), model.going_count);
}

static void open_again(void)
{
    db_stage_again(&stage);
    last_turn = 0;
}

/* --- requests -------------------------------------------------------------------------------------------------------------------- */

static struct store_row members(enum entity_e entity, uint64_t owner, double a, double b)
{
    switch (entity) {
    case ENTITY_SENSOR:
        return row(text(ARG_TIPO, a < 3 ? "temperatura" : "humedad"), text(ARG_MODELO, b < 3 ? "ñ\"\\" : ""));
    case ENTITY_READING:
        return row(whole(ARG_SENSOR_ID, (int64_t)owner), real(ARG_TEMPERATURA, 20 + a),
                   real(ARG_HUMEDAD, 50 + b));
    case ENTITY_LOCATION:
        return row(whole(ARG_SENSOR_ID, (int64_t)owner), real(ARG_LATITUD, a), real(ARG_LONGITUD, b));
    case ENTITY_ANOMALY:
        return row(whole(ARG_LECTURA_ID, (int64_t)owner), text(ARG_TIPO, "t"), real(ARG_VALOR, a));
    default:
        return row(whole(ARG_UBICACION_ID, (int64_t)owner), real(ARG_PROBABILIDAD, a / 100));
    }
}

static bool coordinates_taken(double a, double b, uint64_t but)
{
    for (unsigned i = 0; i < model.count[ENTITY_LOCATION]; i++) {
        const struct kept *kept = &model.rows[ENTITY_LOCATION][i];
        if (kept->id != but && kept->a <= a && kept->a >= a && kept->b <= b && kept->b >= b)
            return true;
    }
    return false;
}

static void expect(const struct said *said, unsigned status)
{
    if (said->status != status)
        fail_msg("%u instead of %u: %s", said->status, status, said->text);
}

static void make_one(enum entity_e entity)
{
    uint64_t owner = owners[entity] != ENTITY_NONE ? some_id(owners[entity]) : 0;
    double a = any(6), b = any(6) + any(4) / 4.0;
    const struct said *said = ask_within(&stage, STORE_OP_CREATE, entity, 0, 0, members(entity, owner, a, b));
    if (owners[entity] != ENTITY_NONE && is_going(owners[entity], owner)) {
        expect(said, 409);
    } else if (owners[entity] != ENTITY_NONE && find(owners[entity], owner) == NULL) {
        /* SQLite looks at uniqueness first */
        expect(said, entity == ENTITY_LOCATION && coordinates_taken(a, b, 0) ? 409 : 404);
    } else if (entity == ENTITY_LOCATION && coordinates_taken(a, b, 0)) {
        expect(said, 409);
    } else {
        struct kept *kept = add(entity, owner, a, b);
        assert_int_equal(made_id(said), kept->id);
    }
}

static void change_one(enum entity_e entity)
{
    uint64_t id = some_id(entity), wanted = any(3) == 0 ? 1 + any(3) : 0;
    double a = any(6);
    struct kept *kept = find(entity, id);
    static const enum store_arg_e member[ENTITY_COUNT] = {[ENTITY_READING] = ARG_TEMPERATURA,
                                                          [ENTITY_LOCATION] = ARG_LATITUD,
                                                          [ENTITY_ANOMALY] = ARG_VALOR,
                                                          [ENTITY_PREDICTION] = ARG_PROBABILIDAD};
    if (entity == ENTITY_SENSOR)
        return;
    double value = entity == ENTITY_READING ? 20 + a : entity == ENTITY_PREDICTION ? a / 100 : a;
    const struct said *said =
        ask_within(&stage, STORE_OP_UPDATE, entity, id, wanted, row(real(member[entity], value)));
    if (kept == NULL) {
        expect(said, 404);
    } else if (wanted != 0 && wanted != kept->version) {
        expect(said, 412);
    } else if (is_going(entity, id) || (entity == ENTITY_LOCATION && coordinates_taken(a, kept->b, id))) {
        expect(said, 409);
    } else {
        expect(said, 200);
        kept->version += !(kept->a <= a && kept->a >= a);
        kept->a = a;
        assert_int_equal(said->version, kept->version);
    }
}

static void solve_one(void)
{
    uint64_t id = some_id(ENTITY_ANOMALY);
    bool solved = any(3) > 0;
    struct kept *kept = find(ENTITY_ANOMALY, id);
    expect(ask_within(&stage, STORE_OP_UPDATE, ENTITY_ANOMALY, id, 0, row(truth(ARG_RESUELTA, solved))),
           kept == NULL                   ? 404
           : is_going(ENTITY_ANOMALY, id) ? 409
                                          : 200);
    if (kept == NULL || is_going(ENTITY_ANOMALY, id))
        return;
    kept->version += kept->solved != solved;
    kept->solved = solved;
}

static void delete_one(enum entity_e entity)
{
    uint64_t id = some_id(entity);
    unsigned left = stage.delete_rows;
    const struct said *said = ask_within(&stage, STORE_OP_DELETE, entity, id, 0, nothing);
    if (find(entity, id) == NULL) {
        expect(said, 404);
    } else if (is_deleting(entity, id)) {
        expect(said, 202);
    } else if (drop_some(entity, id, &left)) {
        expect(said, 204);
    } else {
        uint64_t highest = model.going_count > 0 ? model.going[model.going_count - 1].number : 0;
        expect(said, 202);
        MUST(model.going_count < GOING_MAX);
        model.going[model.going_count++] = (struct going){highest + 1, id, entity};
    }
}

static void anything(void)
{
    enum entity_e entity = (enum entity_e)(1 + any(ENTITY_COUNT - 1));
    stage.clock.wall_now_ms += any(1000);
    switch (any(10)) {
    case 0:
        delete_one(any(4) == 0 ? entity : ENTITY_READING);
        return;
    case 1:
    case 2:
        change_one(entity);
        return;
    case 3:
        solve_one();
        return;
    default:
        make_one(entity);
    }
}

static void a_group(void)
{
    before_group = model;
    assert_int_equal(db_begin(stage.db), ERR_OK);
    for (unsigned n = 1 + any(12); n > 0; n--)
        anything();
    if (any(6) > 0) {
        assert_int_equal(db_commit(stage.db), ERR_OK);
        return;
    }
    db_rollback(stage.db);
    model = before_group;
}

/* --- the end --------------------------------------------------------------------------------------------------------------------- */

static void compare(enum entity_e entity)
{
    json_t *rows = rows_of(&stage, entity), *each;
    size_t i;
    json_array_foreach(rows, i, each)
    {
        uint64_t id = (uint64_t)json_integer_value(json_object_get(each, "id"));
        const struct kept *kept = find(entity, id);
        assert_non_null(kept);
        assert_int_equal(ask(&stage, STORE_OP_READ, entity, id, 0, nothing)->version, kept->version);
        if (entity == ENTITY_ANOMALY)
            assert_int_equal(json_is_true(json_object_get(each, "resuelta")), kept->solved);
    }
    assert_int_equal(json_array_size(rows), model.count[entity]);
    json_decref(rows);
}

static void random_requests_agree_with_the_model(void **state)
{
    const char *seed = getenv("NORIA_SEED");
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        chance = round + (seed != NULL ? strtoull(seed, NULL, 10) : 0);
        memset(&model, 0, sizeof model);
        db_stage_open(&stage);
        stage.delete_rows = round % 2 == 1 ? 2 : ALL_AT_ONCE;
        open_again();
        for (unsigned n = 0; n < GROUPS; n++) {
            a_group();
            if (any(20) == 0)
                open_again();
            for (unsigned turns = any(3); turns > 0; turns--)
                take_turn();
        }
        while (model.going_count > 0)
            take_turn();
        for (int pass = 0; pass < 2; pass++) {
            for (int entity = ENTITY_NONE + 1; entity < ENTITY_COUNT; entity++)
                compare((enum entity_e)entity);
            db_stage_check(&stage);
            open_again();
        }
        db_stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_requests_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
