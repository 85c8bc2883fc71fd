/* db_query.c — see db_query.h. */
#include "db_query.h"

#define HOURS_USUAL 24.0
#define MS_PER_HOUR 3600000.0

double db_query_real(const struct store_row *row, enum store_arg_e arg, double usual)
{
    return store_row_has(row, arg) && row->values[arg].kind == STORE_REAL ? row->values[arg].real : usual;
}

struct db_page db_query_page(const struct store_row *row)
{
    struct db_page page = db_page(row);
    if (!store_row_has(row, ARG_LIMIT))
        page.limit = STORE_LIMIT_MAX;
    return page;
}

int64_t db_query_since(const struct db *db, const struct store_row *row)
{
    double since = (double)db->now_ms - db_query_real(row, ARG_HOURS, HOURS_USUAL) * MS_PER_HOUR;
    return since < 0 ? 0 : since > 0x1p62 ? INT64_MAX : (int64_t)since;
}

void db_query_bind_page(sqlite3_stmt *statement, int at, struct db_page page)
{
    db_bind_int(statement, at, page.limit);
    db_bind_int(statement, at + 1, page.skip);
}
