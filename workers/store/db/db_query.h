/* db_query.h — what the queries share: arguments with their usual values, and bounds of their answers.
 *
 * Every answer is bounded: `limit` rows at most, at most STORE_LIMIT_MAX. Lists that are paged (`skip`, `limit` in their route) have the usual
 * limit of lists; the others, "recent", "critical", "nearby", give the first STORE_LIMIT_MAX unless they are asked for less.
 */
#pragma once

#include "db_internal.h"

/* A number of the arguments; `usual` if it is absent or null. */
double db_query_real(const struct store_row *row, enum store_arg_e arg, double usual);
/* The same with a limit of STORE_LIMIT_MAX instead of STORE_LIMIT_DEFAULT. */
struct db_page db_query_page(const struct store_row *row);
/* When `hours` (24) before now was; 0 at the earliest. */
int64_t db_query_since(const struct db *db, const struct store_row *row);
/* ?at and ?at + 1. */
void db_query_bind_page(sqlite3_stmt *statement, int at, struct db_page page);

struct db_query_averages { /* of a sensor's stored readings; without any, both are 0 */
    double temperatura, humedad;
    uint64_t readings;
};
struct db_query_averages db_query_averages(struct db *db, uint64_t sensor);

#define DB_QUERY_DAY_MS 86400000
