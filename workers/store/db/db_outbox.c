/* db_outbox.c — events on their way out, where they are in the ring, and who asks for old ones. See db.h.
 *
 * An event's address is (ring, n): the ring's number by first sight, N of RING-N. Clients saw events in that order, and resume by it. What retention
 * has removed is known per ring as its highest n (rings.forgotten_n), so that a client is never told half of what it missed as if it were all.
 */
#include <stdio.h>

#include "db_ops.h"
#include "db_row.h"
#include "must.h"

#define RECORD_UNIT 64u /* N = position ÷ 64 */

/* --- to be published ------------------------------------------------------------------------------------------------------- */

uint64_t db_source(const struct db *db)
{
    return db->source;
}

uint64_t db_last_event(const struct db *db)
{
    return db->last_event;
}

uint64_t db_first_unpublished(struct db *db)
{
    db_call_begin(db, false);
    sqlite3_stmt *first = db_sql(db, "SELECT id FROM events WHERE published = 0 ORDER BY id LIMIT 1");
    int64_t id = db_number(db, first, (int64_t)db->last_event + 1);
    (void)db_call_end(db);
    return (uint64_t)id;
}

enum err_e db_next_event(struct db *db, uint64_t seq, struct db_event *event)
{
    bool found = false;
    MUST(!db->in_group);
    db_call_begin(db, false);
    sqlite3_stmt *next =
        db_sql(db, "SELECT id, channel, payload FROM events WHERE id > ?1 AND own = 1 ORDER BY id LIMIT 1");
    db_bind_id(next, 1, seq);
    if (db_step(db, next)) {
        found = true;
        db->event = (struct out){.at = db->event.at, .cap = db->event.cap};
        out_bytes(&db->event, sqlite3_column_blob(next, 2), (size_t)sqlite3_column_bytes(next, 2));
        snprintf(db->channel, sizeof db->channel, "%s", (const char *)sqlite3_column_text(next, 1));
        *event = (struct db_event){(uint64_t)sqlite3_column_int64(next, 0), db->channel, db->event.at,
                                   db->event.len};
    }
    enum err_e err = db_call_end(db);
    return err != ERR_OK ? err : found ? ERR_OK : ERR_NOT_FOUND;
}

/* The ring's number; a new one if it has not been seen. */
static int64_t ring_number(struct db *db, uint32_t ring_id)
{
    sqlite3_stmt *find = db_sql(db, "SELECT number FROM rings WHERE ring_id = ?1");
    db_bind_int(find, 1, ring_id);
    int64_t number = db_number(db, find, 0);
    if (number > 0)
        return number;
    sqlite3_stmt *insert = db_sql(db, "INSERT INTO rings (ring_id) VALUES (?1)");
    db_bind_int(insert, 1, ring_id);
    return db_write_step(db, insert) == ERR_OK ? sqlite3_last_insert_rowid(db->sqlite) : 0;
}

enum err_e db_note_published(struct db *db, uint64_t seq, uint32_t ring_id, uint64_t position)
{
    sqlite3_stmt *note;
    if (!db_call_begin(db, true))
        return db_call_end(db);
    if (ring_id != 0) {
        int64_t ring = ring_number(db, ring_id);
        note =
            db_sql(db, "UPDATE events SET published = 1, ring = ?2, n = ?3 WHERE id = ?1 AND published = 0");
        db_bind_int(note, 2, ring);
        db_bind_int(note, 3, (int64_t)(position / RECORD_UNIT));
    } else {
        note = db_sql(
            db,
            "UPDATE events SET published = 1, (ring, n) = (SELECT before.ring, before.n FROM events AS before"
            " WHERE before.id < ?1 AND before.ring IS NOT NULL ORDER BY before.id DESC LIMIT 1)"
            " WHERE id = ?1 AND published = 0");
    }
    db_bind_id(note, 1, seq);
    (void)db_write_step(db, note);
    return db_call_end(db);
}

enum err_e db_note_foreign(struct db *db, uint32_t ring_id, uint64_t position, const char *channel,
                           const char *payload, size_t len)
{
    if (!db_call_begin(db, true))
        return db_call_end(db);
    int64_t ring = ring_number(db, ring_id);
    sqlite3_stmt *insert =
        db_sql(db, "INSERT INTO events (channel, payload, created_ms, upto_bytes, own, published, ring, n)"
                   " VALUES (?1, ?2, ?3, ?4, 0, 1, ?5, ?6) ON CONFLICT DO NOTHING");
    db_bind_text(insert, 1, channel, strlen(channel));
    db_bind_text(insert, 2, payload, len);
    db_bind_int(insert, 3, (int64_t)db->now_ms);
    db_bind_int(insert, 4, (int64_t)(db->event_bytes_new + len));
    db_bind_int(insert, 5, ring);
    db_bind_int(insert, 6, (int64_t)(position / RECORD_UNIT));
    if (db_write_step(db, insert) == ERR_OK && sqlite3_changes(db->sqlite) > 0)
        db->event_bytes_new += len;
    return db_call_end(db);
}

enum err_e db_change_source(struct db *db, uint64_t new_source)
{
    enum err_e err = db_begin(db);
    if (err != ERR_OK)
        return err;
    MUST(new_source != 0);
    if (db_call_begin(db, true)) {
        sqlite3_stmt *all = db_sql(db, "UPDATE events SET published = 1 WHERE published = 0");
        (void)db_write_step(db, all);
        sqlite3_stmt *change = db_sql(db, "UPDATE source SET source = ?1");
        db_bind_int(change, 1, (int64_t)new_source);
        (void)db_write_step(db, change);
    }
    (void)db_call_end(db);
    err = db_commit(db);
    if (err == ERR_OK)
        db->source = new_source;
    return err;
}

/* --- asked for ------------------------------------------------------------------------------------------------------------- */

static bool has_text(const struct store_row *args, enum store_arg_e arg)
{
    return store_row_has(args, arg) && args->values[arg].kind == STORE_TEXT;
}

/* Where `since` is: number of its ring. False: it is answered that nothing can go on from there. */
static bool find_since(struct db *db, uint32_t ring_id, int64_t n, int64_t *ring)
{
    sqlite3_stmt *find = db_sql(db, "SELECT number FROM rings WHERE ring_id = ?1");
    db_bind_int(find, 1, ring_id);
    *ring = db_number(db, find, 0);
    if (*ring == 0) {
        if (db->failure == ERR_OK)
            db_refuse(db, 404, "Punto de reanudación desconocido");
        return false;
    }
    sqlite3_stmt *gone = db_sql(
        db,
        "SELECT 1 FROM rings WHERE (number = ?1 AND forgotten_n > ?2) OR (number > ?1 AND forgotten_n >= 0)");
    db_bind_int(gone, 1, *ring);
    db_bind_int(gone, 2, n);
    if (db_number(db, gone, 0) != 0)
        db_refuse(db, 410, "Ya no se conservan todos los eventos posteriores");
    return db->failure == ERR_OK && db->status == 0;
}

/* The payload, and ,"seq":"RING-N" before its end. */
static bool put_with_seq(struct db *db, sqlite3_stmt *event, char before)
{
    const char *payload = (const char *)sqlite3_column_text(event, 0);
    size_t len = (size_t)sqlite3_column_bytes(event, 0);
    if (len < 2 || !db_room(db, len + 64))
        return db->failure == ERR_OK && db->status == 0;
    out_char(&db->body, before);
    out_bytes(&db->body, payload, len - 1);
    out_literal(&db->body, ",\"seq\":\"");
    out_hex32(&db->body, (uint32_t)sqlite3_column_int64(event, 1));
    out_char(&db->body, '-');
    out_u64(&db->body, (uint64_t)sqlite3_column_int64(event, 2));
    out_literal(&db->body, "\"}");
    return true;
}

#define EVENTS_FROM                                                                                          \
    "SELECT payload, (SELECT ring_id FROM rings WHERE number = ring), n FROM events"                         \
    " WHERE ring IS NOT NULL AND (ring, n) > (?1, ?2)"
#define EVENTS_ORDER " ORDER BY ring, n, id LIMIT ?3"

static sqlite3_stmt *select_events(struct db *db, const struct store_row *args)
{
    const struct store_text *channel = &args->values[ARG_CHANNEL].text;
    bool all = !has_text(args, ARG_CHANNEL) || (channel->len == strlen(CHANNEL_GENERAL) &&
                                                memcmp(channel->at, CHANNEL_GENERAL, channel->len) == 0);
    if (all)
        return db_sql(db, EVENTS_FROM EVENTS_ORDER);
    sqlite3_stmt *select = db_sql(db, EVENTS_FROM " AND channel = ?4" EVENTS_ORDER);
    db_bind_text(select, 4, channel->at, channel->len);
    return select;
}

void db_events(struct db *db, const struct db_request *request, const struct store_row *args)
{
    bool since = store_row_has(args, ARG_SINCE_RING) && store_row_has(args, ARG_SINCE_N);
    int64_t ring = -1, n = -1;
    char before = '[';
    (void)request;
    if (since) {
        n = args->values[ARG_SINCE_N].whole;
        if (!find_since(db, (uint32_t)args->values[ARG_SINCE_RING].whole, n, &ring))
            return;
    }
    sqlite3_stmt *events = select_events(db, args);
    db_bind_int(events, 1, ring);
    db_bind_int(events, 2, n);
    db_bind_int(events, 3, db_page(args).limit);
    for (; db_step(db, events); before = ',')
        if (!put_with_seq(db, events, before))
            return;
    if (!db_room(db, 2))
        return;
    out_text(&db->body, before == '[' ? "[]" : "]");
    db_answer_body(db, 200);
}

/* --- a test ---------------------------------------------------------------------------------------------------------------- */

void db_test_event(struct db *db, const struct db_request *request, const struct store_row *args)
{
    const struct store_text *channel = &args->values[ARG_CHANNEL].text,
                            *message = &args->values[ARG_MESSAGE].text;
    char text[DB_TEXT_MAX + 1];
    (void)request;
    if (!has_text(args, ARG_CHANNEL) || !channel_name_is_valid(channel->at, channel->len)) {
        db_refuse_member(db, 422, "Canal no válido", ARG_CHANNEL);
        return;
    }
    if (!has_text(args, ARG_MESSAGE) || message->len > DB_TEXT_MAX) {
        db_refuse_member(db, 422, "Mensaje no válido", ARG_MESSAGE);
        return;
    }
    memcpy(text, message->at, message->len);
    text[message->len] = '\0';
    db_event_system(db, channel->at, channel->len, text, "{\"test\":true}");
    if (db->status != 0 || !db_room(db, 256 + 6 * (size_t)message->len))
        return;
    out_literal(&db->body, "{\"message\":\"Evento de prueba enviado al canal '");
    out_bytes(&db->body, channel->at, channel->len);
    out_literal(&db->body, "'\",\"data\":");
    out_json_string(&db->body, message->at, message->len);
    out_char(&db->body, '}');
    db_answer_body(db, 200);
}
