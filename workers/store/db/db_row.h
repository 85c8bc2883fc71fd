/* db_row.h — what each entity is in the database: its table, its statements, its members in the order of their JSON.
 *
 * One table for whoever writes, reads, lists or deletes rows. Statements are literals, because literals are what kept statements go by.
 */
#pragma once

#include "db_internal.h"

#define DB_MEMBERS_MAX 5u
#define DB_OWNED_MAX   2u

struct db_owned { /* rows that go with a row */
    enum entity_e entity;
    const char *next; /* SELECT of the lowest id of those of row ?1 */
};

struct db_shape {
    const char *table;
    const char *find;   /* SELECT of DB_…_COLUMNS by id ?1 */
    const char *exists; /* SELECT 1 by id ?1 */
    const char *insert; /* time ?1, members from ?2 on; resuelta_at behind them */
    const char *update; /* id ?1, version ?2, time ?3, members from ?4 on; resuelta_at behind them */
    const char *remove; /* by id ?1 */
    const char *columns;
    const char *missing; /* "Sensor no encontrado" */
    const char *going;   /* "El sensor se está borrando"; NULL: nothing belongs to it */
    enum store_arg_e members[DB_MEMBERS_MAX];
    unsigned member_count;
    enum store_arg_e refers; /* the member that names a row of `referred`; STORE_ARG_END: none */
    enum entity_e referred;
    const char *owner; /* SELECT of that member by id ?1; NULL: no such member */
    struct db_owned owned[DB_OWNED_MAX];
    enum store_arg_e time; /* what `desde` and `hasta` mean; STORE_ARG_END: created_at */
};

const struct db_shape *db_shape(enum entity_e entity);

/* Members into a statement, from parameter `first` on; an anomaly's resuelta_at behind them. */
void db_row_bind(sqlite3_stmt *statement, int first, const struct db_row *row);

/* "name":value, with a comma before it. */
void db_member_write(struct out *out, enum store_arg_e arg, const struct store_value *value);
/* ,"name":"2026-…Z" */
void db_time_write(struct out *out, const char *name, uint64_t wall_ms);
/* ,"resuelta_at":… of an anomaly. */
void db_solved_write(struct out *out, const struct db_row *row);
