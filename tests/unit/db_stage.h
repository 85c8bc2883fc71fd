/* db_stage.h — a database of the store in a directory of its own, and who asks it, for its tests.
 *
 *     struct db_stage stage; db_stage_open(&stage);
 *     struct said *said = ask(&stage, STORE_OP_CREATE, ENTITY_SENSOR, 0, 0, row(text(ARG_TIPO, "t"), text(ARG_MODELO, "m")));
 *     assert_int_equal(said->status, 201); said->json …
 *
 * ask() makes a group of one for what writes; db_stage_check() compares rows with what the events from the beginning make of nothing. The
 * wall clock is a manual one.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "db.h"
#include "entities.h"

#define STAGE_START_MS 1900000000000ULL /* 2030-03-17T17:46:40.000Z */
#define STAGE_SOURCE   0x8877665544332211ULL

struct said {
    unsigned status;
    uint64_t version;
    json_t *json; /* NULL: no body */
    char *text;
};

struct db_stage {
    char dir[64], path[96];
    struct clock_manual clock;
    struct db_config config;
    struct db *db;
    struct said said; /* of the last ask() */
    enum err_e committed;
    unsigned delete_rows; /* of a turn, from the next time that it is opened; 0: as usual */
    char args_memory[256 * 1024];
    char why[DB_WHY_MAX];
};

void db_stage_open(struct db_stage *stage);      /* a new directory and database */
void db_stage_again(struct db_stage *stage);     /* closed, and opened again */
enum err_e db_stage_try(struct db_stage *stage); /* opens; stage->why */
void db_stage_close(struct db_stage *stage);     /* and the directory removed */

struct arg {
    enum store_arg_e arg;
    struct store_value value;
};
struct store_row row_of(unsigned count, const struct arg *args);
#define row(...) row_of(sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg), (struct arg[]){__VA_ARGS__})
#define nothing  ((struct store_row){0})
struct arg whole(enum store_arg_e arg, int64_t value);
struct arg real(enum store_arg_e arg, double value);
struct arg text(enum store_arg_e arg, const char *value);
struct arg truth(enum store_arg_e arg, bool value);
struct arg null(enum store_arg_e arg);

/* In a group of its own, if it writes. After a commit that failed the status is 503. */
struct said *ask(struct db_stage *stage, enum store_op_e op, enum entity_e entity, uint64_t id,
                 uint64_t version, struct store_row args);
struct said *ask_many(struct db_stage *stage, const struct store_row *rows, unsigned count);
/* In the group that is open. */
struct said *ask_within(struct db_stage *stage, enum store_op_e op, enum entity_e entity, uint64_t id,
                        uint64_t version, struct store_row args);

/* A turn of a deletion in a group of its own. */
enum err_e db_stage_turn(struct db_stage *stage);

uint64_t made_id(const struct said *said);   /* "id" of a 201 */
const char *detail(const struct said *said); /* "detail", a text */
json_t *events_of(struct db_stage *stage,
                  uint64_t above); /* array of payloads of own events; a new reference */
json_t *rows_of(struct db_stage *stage, enum entity_e entity); /* all; a new reference */

/* Fails the test if the rows are not exactly what the events make from nothing. */
void db_stage_check(struct db_stage *stage);
