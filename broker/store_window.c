/* Hop: C4. A fixed pool; the key's hash is seeded, and the later of two keys with one hash is taken for a repeat of the earlier. */
#include "store_window.h"

#include <stdlib.h>

#include "hash.h"
#include "must.h"

enum err_e store_window_init(struct store_window *window, uint64_t seed)
{
    *window = (struct store_window){.seed = seed};
    list_init(&window->open);
    list_init(&window->free);
    map_init(&window->by_key);
    window->entries = calloc(STORE_WINDOW_REQUESTS, sizeof *window->entries);
    if (window->entries == NULL || map_reserve(&window->by_key, STORE_WINDOW_REQUESTS) != ERR_OK) {
        store_window_fini(window);
        return ERR_MEMORY;
    }
    return ERR_OK;
}

void store_window_fini(struct store_window *window)
{
    map_fini(&window->by_key);
    free(window->entries);
    window->entries = NULL;
}

static uint64_t key_of(const struct store_window *window, uint64_t worker, uint64_t serial)
{
    uint64_t words[2] = {worker, serial};
    uint64_t key = hash_bytes(words, sizeof words, window->seed);
    return key != 0 ? key : 1;
}

/* Places that were never used cost no memory. */
static struct store_window_entry *take_place(struct store_window *window)
{
    if (!list_empty(&window->free)) {
        struct store_window_entry *entry = LIST_ENTRY(window->free.next, struct store_window_entry, node);
        list_remove(&entry->node);
        return entry;
    }
    return window->used < STORE_WINDOW_REQUESTS ? &window->entries[window->used++] : NULL;
}

bool store_window_has(const struct store_window *window, uint64_t worker, uint64_t serial)
{
    return map_get(&window->by_key, key_of(window, worker, serial)) != NULL;
}

bool store_window_take(struct store_window *window, uint64_t worker, uint64_t serial, uint32_t bytes,
                       uint64_t now_ns)
{
    MUST(!store_window_has(window, worker, serial));
    struct store_window_entry *entry =
        window->bytes + bytes <= STORE_WINDOW_BYTES ? take_place(window) : NULL;
    if (entry == NULL)
        return false;
    entry->worker = worker;
    entry->serial = serial;
    entry->bytes = bytes;
    entry->since_ns = now_ns;
    list_init(&entry->node);
    list_append(&window->open, &entry->node);
    enum err_e err = map_put(&window->by_key, key_of(window, worker, serial), entry);
    MUST(err == ERR_OK); /* reserved at init */
    window->bytes += bytes;
    window->count++;
    return true;
}

static void forget(struct store_window *window, struct store_window_entry *entry)
{
    map_remove(&window->by_key, key_of(window, entry->worker, entry->serial));
    window->bytes -= entry->bytes;
    window->count--;
    list_remove(&entry->node);
    list_append(&window->free, &entry->node);
}

void store_window_give(struct store_window *window, uint64_t worker, uint64_t serial)
{
    struct store_window_entry *entry = map_get(&window->by_key, key_of(window, worker, serial));
    if (entry != NULL && entry->worker == worker && entry->serial == serial)
        forget(window, entry);
}

bool store_window_expire(struct store_window *window, uint64_t now_ns)
{
    if (list_empty(&window->open))
        return false;
    struct store_window_entry *oldest = LIST_ENTRY(window->open.next, struct store_window_entry, node);
    if (now_ns - oldest->since_ns <= STORE_WINDOW_NS)
        return false;
    forget(window, oldest);
    return true;
}

void store_window_clear(struct store_window *window)
{
    while (!list_empty(&window->open))
        forget(window, LIST_ENTRY(window->open.next, struct store_window_entry, node));
}
