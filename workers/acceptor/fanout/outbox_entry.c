/* Hop: D10. A client's own entries: a circular list of which the client knows the last. And the ways out: writing,
 * choking, giving up. */
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "outbox_internal.h"

/* --- the socket ------------------------------------------------------------------------------------------------- */

void outbox_set_choked(struct client *client, bool choked)
{
    if (client->choked == choked)
        return;
    client->choked = choked;
    if (client->audience != NULL)
        client->audience->choked += choked ? 1u : -1u;
}

void outbox_close(struct outbox *outbox, struct client *client, unsigned code, const char *reason)
{
    outbox_settle(outbox, client);
    if (client->closing)
        return;
    client->closing = true;
    outbox_set_choked(client, true); /* no round visits it again */
    outbox->sink->close(client->sink, code, reason);
}

void outbox_give_up(struct outbox *outbox, struct client *client, enum outbox_reason_e reason)
{
    static const char *const texts[] = {"too slow", "too slow for too long", "too slow for its replies",
                                        "out of memory", "messages were lost"};
    uint64_t *const counts[] = {&outbox->counts.closed_hard, &outbox->counts.closed_soft,
                                &outbox->counts.closed_own, &outbox->counts.closed_memory,
                                &outbox->counts.closed_lost};
    if (client->closing)
        return;
    outbox->counts.closed_slow++;
    (*counts[reason])++;
    outbox_close(outbox, client, 1013, texts[reason]);
}

bool outbox_write(struct outbox *outbox, struct client *client, const struct iovec *pieces, int count,
                  size_t *taken)
{
    size_t asked = 0;
    for (int i = 0; i < count; i++)
        asked += pieces[i].iov_len;
    if (outbox->sink->writev(client->sink, pieces, count, taken) != ERR_OK) {
        client->closing = true;
        outbox_set_choked(client, true);
        return false;
    }
    outbox->counts.writes++;
    outbox->counts.bytes += *taken;
    if (*taken < asked || !outbox->sink->can_write(client->sink)) {
        outbox_set_choked(client, true);
        return false;
    }
    return true;
}

/* --- the list ------------------------------------------------------------------------------------------------------ */

struct own_entry *entry_first(struct own_entry *last)
{
    return last != NULL ? last->next : NULL;
}

struct own_entry *entry_next(const struct own_entry *entry, const struct own_entry *last)
{
    return entry != last ? entry->next : NULL;
}

void entry_append(struct own_entry **last, struct own_entry *entry)
{
    entry->next = *last != NULL ? (*last)->next : entry;
    if (*last != NULL)
        (*last)->next = entry;
    *last = entry;
}

void entry_prepend(struct own_entry **last, struct own_entry *entry)
{
    struct own_entry *end = *last;
    entry_append(last, entry);
    if (end != NULL)
        *last = end; /* a circle: what stands behind the last is the first */
}

struct own_entry *entry_take_first(struct own_entry **last)
{
    struct own_entry *first = (*last)->next;
    if (first == *last)
        *last = NULL;
    else
        (*last)->next = first->next;
    return first;
}

/* --- entries ------------------------------------------------------------------------------------------------------- */

/* What it counts as. A place to skip holds no bytes, and there must not be any number of them either. */
static uint32_t bytes_of(const struct own_entry *entry)
{
    return entry->kind == OWN_SKIP ? (uint32_t)sizeof *entry : entry->len;
}

struct own_entry *entry_new(struct outbox *outbox, struct client *client, enum own_kind_e kind, size_t len,
                            size_t limit_bytes)
{
    if (client->own_bytes > limit_bytes) {
        outbox_give_up(outbox, client, SLOW_OWN);
        return NULL;
    }
    struct own_entry *entry = malloc(sizeof *entry + len);
    if (entry == NULL) {
        outbox_give_up(outbox, client, SLOW_MEMORY);
        return NULL;
    }
    *entry = (struct own_entry){.kind = kind, .len = (uint32_t)len};
    client->own_bytes += bytes_of(entry);
    outbox->counts.own_bytes += bytes_of(entry);
    return entry;
}

void entry_cut(struct outbox *outbox, struct client *client, struct own_entry *entry, uint32_t bytes)
{
    entry->len -= bytes;
    memmove(entry->bytes, entry->bytes + bytes, entry->len);
    client->own_bytes -= bytes;
    outbox->counts.own_bytes -= bytes;
}

void entry_free(struct outbox *outbox, struct client *client, struct own_entry *entry)
{
    client->own_bytes -= bytes_of(entry);
    outbox->counts.own_bytes -= bytes_of(entry);
    free(entry);
}

void entry_free_all(struct outbox *outbox, struct client *client, struct own_entry **last)
{
    while (*last != NULL)
        entry_free(outbox, client, entry_take_first(last));
}

uint64_t outbox_log_head(const struct client *client)
{
    return client->audience != NULL ? audience_head(client->audience) : 0;
}

void entry_queue(struct client *client, struct own_entry *entry)
{
    if (client->lag != NULL && entry->kind != OWN_REPLY) {
        entry_append(entry->kind == OWN_REPLAY ? &client->lag->replay_last : &client->lag->ring_last, entry);
        return;
    }
    if (entry->kind != OWN_SKIP && client->lag == NULL) /* that knows its place, which may be 0 */
        entry->at = outbox_log_head(client);
    entry_append(&client->own_last, entry);
}

struct own_entry *entry_new_replay(struct outbox *outbox, struct client *client,
                                   const struct history_filter *filter, uint64_t number, bool owed)
{
    size_t hashes = filter->count * sizeof filter->hashes[0];
    struct own_entry *entry =
        entry_new(outbox, client, OWN_REPLAY, sizeof(struct replay) + hashes, OUTBOX_OWN_MAX);
    if (entry == NULL)
        return NULL;
    struct replay *replay = replay_of(entry);
    *replay = (struct replay){.number = number,
                              .to = outbox->history->head,
                              .count = filter->count,
                              .dialect = filter->dialect,
                              .owed = owed};
    memcpy(replay->hashes, filter->hashes, hashes);
    return entry;
}
