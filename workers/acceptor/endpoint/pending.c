#include "pending.h"

#include <stdlib.h>

#include "caller.h"
#include "hash.h"
#include "must.h"

#define NO_ENTRY UINT32_MAX

enum err_e pending_init(struct pending *pending)
{
    *pending = (struct pending){.entries = calloc(PENDING_MAX, sizeof *pending->entries)};
    map_init(&pending->by_key);
    if (pending->entries == NULL || map_reserve(&pending->by_key, PENDING_MAX) != ERR_OK) {
        pending_fini(pending);
        return ERR_MEMORY;
    }
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        pending->entries[i].next_free = i + 1 < PENDING_MAX ? i + 1 : NO_ENTRY;
    return ERR_OK;
}

void pending_fini(struct pending *pending)
{
    free(pending->entries);
    map_fini(&pending->by_key);
    *pending = (struct pending){.free = NO_ENTRY};
}

static uint64_t key_of(uint64_t session_serial, uint32_t command_serial)
{
    uint64_t parts[2] = {session_serial, command_serial}, key = hash_bytes(parts, sizeof parts, 0);
    return key != 0 ? key : 1;
}

struct pending_entry *pending_add(struct pending *pending, struct caller *caller,
                                  const struct endpoint_command *command, uint64_t now_ns,
                                  uint64_t deadline_ns)
{
    uint32_t serial = caller->command_serial + 1;
    uint64_t key = key_of(caller->serial, serial);
    if (pending->free == NO_ENTRY || caller->pending >= PENDING_PER_CALLER ||
        map_get(&pending->by_key, key) != NULL)
        return NULL;
    struct pending_entry *entry = &pending->entries[pending->free];
    pending->free = entry->next_free;
    pending->used++;
    *entry = (struct pending_entry){.caller = caller,
                                    .session_serial = caller->serial,
                                    .command_serial = serial,
                                    .command = *command,
                                    .accepted_ns = now_ns,
                                    .deadline_ns = deadline_ns};
    MUST(map_put(&pending->by_key, key, entry) == ERR_OK); /* reserved at boot */
    caller->command_serial = serial;
    caller->pending++;
    return entry;
}

struct pending_entry *pending_find(struct pending *pending, uint64_t session_serial, uint32_t command_serial)
{
    struct pending_entry *entry = map_get(&pending->by_key, key_of(session_serial, command_serial));
    bool same =
        entry != NULL && entry->session_serial == session_serial && entry->command_serial == command_serial;
    return same ? entry : NULL;
}

void pending_remove(struct pending *pending, struct pending_entry *entry)
{
    MUST(entry->caller != NULL);
    map_remove(&pending->by_key, key_of(entry->session_serial, entry->command_serial));
    entry->caller->pending--;
    entry->caller = NULL;
    entry->next_free = pending->free;
    pending->free = (uint32_t)(entry - pending->entries);
    pending->used--;
}

void pending_drop_caller(struct pending *pending, struct caller *caller)
{
    for (uint32_t i = 0; caller->pending > 0 && i < PENDING_MAX; i++)
        if (pending->entries[i].caller == caller)
            pending_remove(pending, &pending->entries[i]);
}

void pending_each(struct pending *pending, void (*each)(void *arg, struct pending_entry *entry), void *arg)
{
    for (uint32_t i = 0; pending->used > 0 && i < PENDING_MAX; i++)
        if (pending->entries[i].caller != NULL)
            each(arg, &pending->entries[i]);
}

enum command_code_e pending_verdict(const struct pending_entry *entry, uint64_t now_ns)
{
    if (now_ns < entry->deadline_ns)
        return CODE_NONE;
    if (!entry->taken)
        return CODE_CONNECTION_ERROR;
    return now_ns < entry->deadline_ns + PENDING_GRACE_NS ? CODE_NONE : CODE_OUTCOME_UNKNOWN;
}
