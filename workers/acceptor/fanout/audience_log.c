/* Hop: D9. What an audience is owed: references into the main log or an own log, their ends, and how a frame gets in. */
#include <stdlib.h>
#include <string.h>

#include "audience_internal.h"
#include "must.h"

#define REFS_AT_REST 8u

/* --- references ---------------------------------------------------------------------------------------------------- */

static struct frame_ref *ref_at(const struct audience *audience, uint64_t index)
{
    return &audience->refs[index & (audience->ref_cap - 1)];
}

static void release_refs(struct audiences *all, struct audience *audience)
{
    all->budget.used_bytes -= audience->ref_cap * sizeof *audience->refs;
    free(audience->refs);
    audience->refs = NULL;
    audience->ref_cap = 0;
}

static bool grow_refs(struct audiences *all, struct audience *audience)
{
    uint32_t cap = audience->ref_cap ? audience->ref_cap * 2 : REFS_AT_REST;
    size_t more = (cap - audience->ref_cap) * sizeof *audience->refs;
    if (cap > (audience->passing ? AUDIENCE_REFS_KEPT : AUDIENCE_REFS_MAX) ||
        all->budget.used_bytes + more > all->budget.limit_bytes)
        return false;
    struct frame_ref *grown = malloc(cap * sizeof *grown);
    if (grown == NULL)
        return false;
    for (uint64_t i = audience->ref_tail; i < audience->ref_head; i++)
        grown[i & (cap - 1)] = *ref_at(audience, i);
    free(audience->refs);
    audience->refs = grown;
    audience->ref_cap = cap;
    all->budget.used_bytes += more;
    return true;
}

static void pin_main_log(struct audiences *all, struct audience *audience, bool pin)
{
    if (audience->pins_main_log == pin)
        return;
    audience->pins_main_log = pin;
    all->refs_behind += pin ? 1u : -1u;
    if (all->refs_behind == 0)
        framelog_rewind(&all->main_log);
}

/* --- who needs the log ------------------------------------------------------------------------------------------- */

void audience_log_fini(struct audiences *all, struct audience *audience)
{
    framelog_fini(&audience->log);
    pin_main_log(all, audience, false);
    release_refs(all, audience);
}

bool audience_is_caught_up(const struct client *client)
{
    return client->lag == NULL && client->cursor == audience_head(client->audience);
}

/* From references to an own log, when nobody is behind: it begins where the references end, so that every place that
 * anybody remembers (cursors, own entries, lane) stays what it was. */
static void promote(struct audiences *all, struct audience *audience)
{
    framelog_shift(&audience->log, audience->ref_head);
    release_refs(all, audience);
    audience->own_log = true;
    all->promotions++;
}

void audience_settle(struct audiences *all, struct audience *audience)
{
    if (audience->caught_up + audience->lagging < audience->count)
        return;
    if (audience->lagging == 0 && audience->lossless)
        lane_clear(all, &audience->lane);
    if (audience->own_log) {
        framelog_rewind(&audience->log);
        return;
    }
    audience->ref_tail = audience->ref_head;
    pin_main_log(all, audience, false);
    if (audience->count >= AUDIENCE_OWN_LOG)
        promote(all, audience);
    else if (audience->ref_cap > REFS_AT_REST)
        release_refs(all, audience);
}

static void moved(struct audiences *all, struct client *client)
{
    struct audience *audience = client->audience;
    if (!audience_is_caught_up(client))
        return;
    audience->caught_up++;
    audience_settle(all, audience);
}

void audience_advance(struct audiences *all, struct client *client, size_t bytes)
{
    struct audience *audience = client->audience;
    if (bytes == 0)
        return;
    if (audience->own_log) {
        client->cursor += bytes;
    } else {
        while (bytes > 0) {
            uint32_t len = ref_at(audience, client->cursor++)->len;
            MUST(len <= bytes);
            bytes -= len;
        }
    }
    moved(all, client);
}

void audience_skip(struct audiences *all, struct client *client, uint32_t places)
{
    client->cursor += places;
    moved(all, client);
}

uint64_t audience_head(const struct audience *audience)
{
    return audience->own_log ? audience->log.head : audience->ref_head;
}

bool audience_lost(const struct audiences *all, const struct client *client)
{
    const struct audience *audience = client->audience;
    if (audience->own_log)
        return client->cursor < audience->log.tail;
    if (client->cursor < audience->ref_tail)
        return true;
    return client->cursor < audience->ref_head &&
           ref_at(audience, client->cursor)->offset < all->main_log.tail;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

void audiences_begin_record(struct audiences *all, uint64_t position, bool never_merged)
{
    all->stamp++;
    all->position = position;
    all->never_merged = never_merged;
}

static bool to_main_log(struct audiences *all, const void *frame, uint32_t len)
{
    if (all->main_stamp == all->stamp)
        return true;
    if (!framelog_append(&all->main_log, frame, len, &all->main_offset))
        return false;
    all->main_stamp = all->stamp;
    return true;
}

/* False: the frame, or the oldest one, was given up; who needed it lags. */
static bool append_ref(struct audiences *all, struct audience *audience, const void *frame, uint32_t len)
{
    bool whole = true;
    if (audience->ref_head - audience->ref_tail == audience->ref_cap && !grow_refs(all, audience)) {
        whole = false;
        if (audience->ref_cap > 0)
            audience->ref_tail++;
    }
    if (audience->ref_cap == 0 || !to_main_log(all, frame, len)) {
        audience->ref_tail = ++audience->ref_head;
        return false;
    }
    *ref_at(audience, audience->ref_head++) = (struct frame_ref){all->main_offset, len};
    pin_main_log(all, audience, true);
    return whole;
}

static bool append_log(struct audience *audience, const void *frame, uint32_t len)
{
    uint64_t offset, tail = audience->log.tail;
    if (!framelog_append(&audience->log, frame, len, &offset)) {
        framelog_give_up(&audience->log);
        return false;
    }
    return audience->log.tail == tail;
}

/* All members lag, so the log is empty. Its head moves on all the same, so that who joins now stands behind this entry of
 * the lane. */
static void step_over(struct audience *audience)
{
    if (audience->own_log)
        framelog_step(&audience->log);
    else
        audience->ref_tail = ++audience->ref_head;
}

static void append(struct audiences *all, struct audience *audience, const void *frame, uint32_t len,
                   uint64_t source_ns)
{
    audience->stamp = all->stamp;
    bool whole = true;
    if (audience->lossless && all->never_merged)
        whole = !lane_push(all, &audience->lane, audience_head(audience), all->position, len);
    if (audience->lagging == audience->count) { /* all of them read mirror and lane */
        step_over(audience);
    } else {
        if (audience->caught_up + audience->lagging == audience->count)
            audience->behind_since = all->position;
        whole &= audience->own_log ? append_log(audience, frame, len) : append_ref(all, audience, frame, len);
        all->appends++;
        audience->caught_up = 0;
        if (audience->source_ns == 0)
            audience->source_ns = source_ns;
    }
    all->given_up += !whole;
    if (audience->passing && audience->choked < audience->count)
        audiences_note_pressure(all, len);
    /* Members whose socket is full are looked at where something was given up. */
    if (audience->choked < audience->count || !whole)
        audience_wake(all, audience);
}

void audiences_append(struct audiences *all, uint64_t topic_hash, const char *name, uint8_t name_len,
                      const void *frame, uint32_t len, uint64_t source_ns)
{
    struct topic_entry *entry = map_get(&all->topics, topic_hash);
    if (entry == NULL || entry->topic.len != name_len || memcmp(entry->topic.name, name, name_len) != 0)
        return;
    for (uint32_t i = 0; i < entry->count; i++)
        if (entry->audiences[i]->stamp != all->stamp)
            append(all, entry->audiences[i], frame, len, source_ns);
}

bool audience_got_record(const struct audiences *all, const struct client *client)
{
    return client->audience != NULL && client->audience->stamp == all->stamp;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static int ref_pieces(const struct audiences *all, const struct audience *audience, uint64_t from,
                      uint64_t to, struct iovec *pieces, int max)
{
    int count = 0;
    for (; from < to && count < max; from++) {
        const struct frame_ref *ref = ref_at(audience, from);
        struct iovec one;
        MUST(framelog_pieces(&all->main_log, ref->offset, ref->offset + ref->len, &one, 1) == 1);
        char *end = count > 0 ? (char *)pieces[count - 1].iov_base + pieces[count - 1].iov_len : NULL;
        if (end == one.iov_base)
            pieces[count - 1].iov_len += one.iov_len; /* neighbours in the main log go as one */
        else
            pieces[count++] = one;
    }
    return count;
}

int audience_pieces(const struct audiences *all, const struct client *client, uint64_t to,
                    struct iovec *pieces, int max)
{
    const struct audience *audience = client->audience;
    if (audience->own_log)
        return framelog_pieces(&audience->log, client->cursor, to, pieces, max);
    return ref_pieces(all, audience, client->cursor, to, pieces, max);
}
