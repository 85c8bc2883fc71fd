/* Hop: C3. See publish_window.h. */
#include "publish_window.h"

#include <stdlib.h>

#include "must.h"

struct publish_block {
    struct publish_block *next;
    size_t used, cap;
    _Alignas(8) unsigned char bytes[];
};

static size_t entry_bytes(uint32_t topics_len, uint32_t payload_len)
{
    return (sizeof(struct publish_entry) + topics_len + payload_len + 7) & ~(size_t)7;
}

static struct publish_entry *entry_at(struct publish_place place)
{
    return (struct publish_entry *)(void *)(place.block->bytes + place.at);
}

/* --- blocks -------------------------------------------------------------------------------------------------------- */

static enum err_e add_block(struct publish_window *window, size_t need)
{
    size_t cap = need > PUBLISH_BLOCK ? need : PUBLISH_BLOCK;
    struct publish_block *block = cap == PUBLISH_BLOCK ? window->spare : NULL;
    if (window->block_bytes + cap > PUBLISH_HARD_BYTES)
        return ERR_FULL;
    if (block != NULL)
        window->spare = NULL;
    else if ((block = malloc(sizeof *block + cap)) == NULL)
        return ERR_MEMORY;
    block->next = NULL;
    block->used = 0;
    block->cap = cap;
    if (window->last != NULL)
        window->last->next = block;
    else
        window->first = block;
    window->last = block;
    window->block_bytes += cap;
    return ERR_OK;
}

static void drop_block(struct publish_window *window)
{
    struct publish_block *block = window->first;
    window->first = block->next;
    window->first_at = 0;
    if (window->first == NULL)
        window->last = NULL;
    window->block_bytes -= block->cap;
    if (window->spare == NULL && block->cap == PUBLISH_BLOCK)
        window->spare = block;
    else
        free(block);
}

void publish_window_fini(struct publish_window *window)
{
    while (window->first != NULL)
        drop_block(window);
    free(window->spare);
    *window = (struct publish_window){.gone_seq = window->last_seq, .last_seq = window->last_seq};
}

/* --- entries ------------------------------------------------------------------------------------------------------- */

enum err_e publish_window_add(struct publish_window *window, uint32_t topics_len, uint32_t payload_len,
                              struct publish_entry **entry)
{
    size_t need = entry_bytes(topics_len, payload_len);
    if (window->last == NULL || window->last->cap - window->last->used < need) {
        enum err_e err = add_block(window, need);
        if (err != ERR_OK)
            return err;
    }
    struct publish_place place = {window->last, window->last->used};
    window->last->used += need;
    window->bytes += need;
    if (window->unsent.block == NULL)
        window->unsent = place;
    *entry = entry_at(place);
    **entry = (struct publish_entry){
        .seq = ++window->last_seq, .topics_len = topics_len, .payload_len = payload_len};
    return ERR_OK;
}

uint64_t publish_window_count(const struct publish_window *window)
{
    return window->last_seq - window->gone_seq;
}

struct publish_entry *publish_window_oldest(const struct publish_window *window)
{
    return window->first != NULL ? entry_at((struct publish_place){window->first, window->first_at}) : NULL;
}

static bool is_unsent(const struct publish_window *window, struct publish_place place)
{
    return place.block == window->unsent.block && place.at == window->unsent.at;
}

/* Behind the entry: the next one, or block NULL. */
static struct publish_place behind(struct publish_place place)
{
    const struct publish_entry *entry = entry_at(place);
    place.at += entry_bytes(entry->topics_len, entry->payload_len);
    return place.at < place.block->used ? place : (struct publish_place){place.block->next, 0};
}

static void drop_oldest(struct publish_window *window)
{
    struct publish_place place = {window->first, window->first_at}, next = behind(place);
    const struct publish_entry *entry = entry_at(place);
    window->bytes -= entry_bytes(entry->topics_len, entry->payload_len);
    window->gone_seq++;
    if (is_unsent(window, place))
        window->unsent = next;
    if (next.block == place.block)
        window->first_at = next.at;
    else
        drop_block(window);
}

/* --- sending ------------------------------------------------------------------------------------------------------- */

struct publish_entry *publish_window_unsent(struct publish_window *window)
{
    return window->unsent.block != NULL ? entry_at(window->unsent) : NULL;
}

void publish_window_sent(struct publish_window *window, uint64_t now_ns)
{
    MUST(window->unsent.block != NULL);
    entry_at(window->unsent)->sent_ns = now_ns;
    window->unsent = behind(window->unsent);
}

uint64_t publish_window_rewind(struct publish_window *window)
{
    uint64_t sent = publish_window_count(window);
    if (window->unsent.block != NULL)
        sent = publish_window_unsent(window)->seq - window->gone_seq - 1;
    window->unsent = (struct publish_place){window->first, window->first_at};
    return sent;
}

/* --- dropping ------------------------------------------------------------------------------------------------------ */

uint64_t publish_window_acknowledged(struct publish_window *window, uint64_t seq)
{
    if (seq <= window->gone_seq || seq > window->last_seq)
        return 0;
    uint64_t dropped = seq - window->gone_seq;
    while (window->gone_seq < seq)
        drop_oldest(window);
    return dropped;
}

uint64_t publish_window_give_up(struct publish_window *window, uint64_t before_ns)
{
    uint64_t dropped = 0;
    for (;; dropped++) {
        struct publish_place oldest = {window->first, window->first_at};
        if (oldest.block == NULL || is_unsent(window, oldest) || entry_at(oldest)->sent_ns > before_ns)
            return dropped;
        drop_oldest(window);
    }
}
