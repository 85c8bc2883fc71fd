/* db_event.c — events of changes: rows of the outbox, written in the transaction of the change. See db_internal.h.
 *
 * Texts are those of the source (sensor-channels-websocket, "Tipos de Eventos"). What a created or updated event says is enough to rebuild the row:
 * updated_at of a new one is its created_at, and its version counts its events.
 */
#include "db_row.h"
#include "must.h"
#include "system_event.h"

/* {"type":…,"entity_id":7,"data": */
static struct out *begin(struct db *db, enum entity_e entity, const char *event_type, uint64_t id)
{
    struct out *out = &db->event;
    out->len = 0;
    out->overflow = false;
    out_literal(out, "{\"type\":\"entity_event\",\"entity_type\":\"");
    out_text(out, entity_of(entity)->type);
    out_literal(out, "\",\"event_type\":\"");
    out_text(out, event_type);
    out_literal(out, "\",\"entity_id\":");
    out_u64(out, id);
    out_literal(out, ",\"data\":");
    return out;
}

/* Behind the data: ,"timestamp":…,"metadata":{"action":"create_sensor" — open for more members. */
static void put_action(struct db *db, enum entity_e entity, const char *verb)
{
    db_time_write(&db->event, "timestamp", db->now_ms);
    out_literal(&db->event, ",\"metadata\":{\"action\":\"");
    out_text(&db->event, verb);
    out_char(&db->event, '_');
    out_text(&db->event, entity_of(entity)->type);
    out_char(&db->event, '"');
}

static void put_event(struct db *db, const char *channel, size_t channel_len)
{
    struct out *out = &db->event;
    if (db->failure != ERR_OK)
        return;
    if (out->overflow) {
        db_refuse(db, 422, "Los textos son demasiado largos");
        return;
    }
    uint64_t bytes = db->event_bytes_new + out->len;
    sqlite3_stmt *insert =
        db_sql(db, "INSERT INTO events (channel, payload, created_ms, upto_bytes, own, published)"
                   " VALUES (?1, ?2, ?3, ?4, 1, 0)");
    db_bind_text(insert, 1, channel, channel_len);
    db_bind_text(insert, 2, out->at, out->len);
    db_bind_int(insert, 3, (int64_t)db->now_ms);
    db_bind_int(insert, 4, (int64_t)bytes);
    if (db_write_step(db, insert) != ERR_OK)
        return;
    db->last_event_new = (uint64_t)sqlite3_last_insert_rowid(db->sqlite);
    db->event_bytes_new = bytes;
    db->counts.events++;
}

static void put_entity_event(struct db *db, enum entity_e entity)
{
    const char *channel = entity_of(entity)->channel;
    out_literal(&db->event, "}}");
    put_event(db, channel, strlen(channel));
}

void db_event_made(struct db *db, const struct db_row *row, enum db_made_e made)
{
    static const struct {
        const char *type, *verb;
    } texts[] = {[DB_MADE_CREATED] = {"created", "create"},
                 [DB_MADE_DETECTED] = {"anomaly_detected", "detect"},
                 [DB_MADE_COMPUTED] = {"prediction_completed", "generate"}};
    struct out *out = begin(db, row->entity, texts[made].type, row->id);
    if (made == DB_MADE_CREATED)
        db_row_write_created(out, row);
    else
        db_row_write(out, row, false);
    out_char(out, '}');
    put_action(db, row->entity, texts[made].verb);
    put_entity_event(db, row->entity);
}

/* ,"fields_updated":["modelo"] */
static void put_fields_updated(struct out *out, const struct db_shape *shape, uint64_t changed)
{
    const char *before = ",\"fields_updated\":[\"";
    for (unsigned i = 0; i < shape->member_count; i++) {
        if ((changed >> shape->members[i] & 1) == 0)
            continue;
        out_text(out, before);
        out_text(out, store_arg_name(shape->members[i]));
        before = "\",\"";
    }
    out_literal(out, "\"]");
}

void db_event_updated(struct db *db, const struct db_row *row, uint64_t changed, bool solved)
{
    const struct db_shape *shape = db_shape(row->entity);
    struct out *out = begin(db, row->entity, "updated", row->id);
    MUST(changed != 0);
    out_literal(out, "{\"id\":");
    out_u64(out, row->id);
    for (unsigned i = 0; i < shape->member_count; i++)
        if ((changed >> shape->members[i] & 1) != 0)
            db_member_write(out, shape->members[i], &row->fields.values[shape->members[i]]);
    if ((changed >> ARG_RESUELTA & 1) != 0)
        db_solved_write(out, row);
    db_time_write(out, "updated_at", row->updated_at);
    out_char(out, '}');
    put_action(db, row->entity, solved ? "resolve" : "update");
    put_fields_updated(out, shape, changed);
    put_entity_event(db, row->entity);
}

void db_event_deleted(struct db *db, enum entity_e entity, uint64_t id, const char *action,
                      const char *cascade_from)
{
    struct out *out = begin(db, entity, "deleted", id);
    out_literal(out, "{\"id\":");
    out_u64(out, id);
    db_time_write(out, "deleted_at", db->now_ms);
    out_char(out, '}');
    put_action(db, entity, action);
    if (cascade_from != NULL) {
        out_literal(out, ",\"cascade_from\":\"");
        out_text(out, cascade_from);
        out_char(out, '"');
    }
    put_entity_event(db, entity);
}

void db_event_system(struct db *db, const char *channel, size_t channel_len, const char *message,
                     const char *data)
{
    struct system_event event = {"info", message, data, db->now_ms};
    db->event.len = 0;
    db->event.overflow = false;
    system_event_json(&event, &db->event);
    put_event(db, channel, channel_len);
}
