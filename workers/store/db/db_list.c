/* db_list.c — READ and LIST. See store_op.h.
 *
 * LIST takes any member of the entity as a filter of equality, `desde` and `hasta` (both inclusive) on when a reading was measured, on created_at of
 * the others. Its SELECT is put together from the table of members, by which of them are given and which of these are null; values
 * are bound. Rejected: one text with (?1 IS NULL OR …) for each, which uses no index.
 */
#include "db_ops.h"
#include "db_row.h"
#include "must.h"

void db_read(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct db_row row;
    (void)args;
    if (db_row_find(db, request->entity, request->id, &row))
        db_answer_row(db, 200, &row);
    else if (db->failure == ERR_OK)
        db_refuse_missing(db, request->entity);
}

struct filter {
    enum entity_e entity;
    unsigned given, null; /* bit i: member i of the shape; then desde, hasta */
};

#define DESDE DB_MEMBERS_MAX
#define HASTA (DB_MEMBERS_MAX + 1)

static bool takes(const struct filter *filter, unsigned i)
{
    return (filter->given >> i & 1) != 0;
}

static struct filter filter_of(enum entity_e entity, const struct store_row *args)
{
    const struct db_shape *shape = db_shape(entity);
    struct filter filter = {.entity = entity};
    for (unsigned i = 0; i < shape->member_count; i++) {
        enum store_arg_e arg = shape->members[i];
        if (!store_row_has(args, arg))
            continue;
        filter.given |= 1u << i;
        if (args->values[arg].kind == STORE_NULL)
            filter.null |= 1u << i;
    }
    filter.given |= (unsigned)(store_row_has(args, ARG_DESDE) && args->values[ARG_DESDE].kind == STORE_INT)
                    << DESDE;
    filter.given |= (unsigned)(store_row_has(args, ARG_HASTA) && args->values[ARG_HASTA].kind == STORE_INT)
                    << HASTA;
    return filter;
}

static uint64_t key_of(const struct filter *filter)
{
    return (uint64_t)filter->entity << 12 | (uint64_t)filter->given << 5 | filter->null;
}
_Static_assert((ENTITY_COUNT << 12) <= DB_BUILT_KEYS && HASTA + 5 < 12, "keys of filters");

static void build(struct out *sql, const void *arg)
{
    const struct filter *filter = arg;
    const struct db_shape *shape = db_shape(filter->entity);
    const char *time = shape->time == STORE_ARG_END ? "created_at" : store_arg_name(shape->time);
    out_literal(sql, "SELECT ");
    out_text(sql, shape->columns);
    out_literal(sql, " FROM ");
    out_text(sql, shape->table);
    out_literal(sql, " WHERE true");
    for (unsigned i = 0; i < shape->member_count; i++)
        if (takes(filter, i)) {
            out_literal(sql, " AND ");
            out_text(sql, store_arg_name(shape->members[i]));
            out_text(sql, (filter->null >> i & 1) != 0 ? " IS NULL" : " = ?");
        }
    for (unsigned i = DESDE; i <= HASTA; i++)
        if (takes(filter, i)) {
            out_literal(sql, " AND ");
            out_text(sql, time);
            out_text(sql, i == DESDE ? " >= ?" : " <= ?");
        }
    out_literal(sql, " ORDER BY id LIMIT ? OFFSET ?");
}

static void bind(sqlite3_stmt *statement, const struct filter *filter, const struct store_row *args)
{
    const struct db_shape *shape = db_shape(filter->entity);
    struct db_page page = db_page(args);
    int at = 1;
    for (unsigned i = 0; i < shape->member_count; i++)
        if (takes(filter, i) && (filter->null >> i & 1) == 0)
            db_bind_value(statement, at++, &args->values[shape->members[i]]);
    if (takes(filter, DESDE))
        db_bind_int(statement, at++, args->values[ARG_DESDE].whole);
    if (takes(filter, HASTA))
        db_bind_int(statement, at++, args->values[ARG_HASTA].whole);
    db_bind_int(statement, at++, page.limit);
    db_bind_int(statement, at, page.skip);
}

void db_list(struct db *db, const struct db_request *request, const struct store_row *args)
{
    struct filter filter = filter_of(request->entity, args);
    sqlite3_stmt *rows = db_sql_built(db, key_of(&filter), build, &filter);
    bind(rows, &filter, args);
    db_answer_rows(db, rows, request->entity);
}
