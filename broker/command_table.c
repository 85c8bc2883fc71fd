/* Hop: C4, R2. One pool for live and answered commands, and one map; a place moves from one list to the other, and the oldest
 * answered one is recycled. Live commands are few (an agent takes one at a time), so the janitor walks them all. Rejected: a
 * heap of deadlines, kept in step on every command for a walk of a few entries. */
#include "command_table.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "hash.h"
#include "must.h"

static uint64_t key_hash(const struct command_table *table, const struct command_key *key)
{
    uint64_t h = hash_bytes(key, sizeof *key, table->seed);
    return h != 0 ? h : 1;
}

enum err_e command_table_init(struct command_table *table, size_t live_max, size_t answered_max,
                              uint64_t seed)
{
    *table = (struct command_table){.live_max = live_max, .capacity = live_max + answered_max, .seed = seed};
    MUST(answered_max > 0);
    list_init(&table->live);
    list_init(&table->answered);
    map_init(&table->by_hash);
    table->entries = calloc(table->capacity, sizeof *table->entries);
    if (table->entries != NULL && map_reserve(&table->by_hash, table->capacity) == ERR_OK)
        return ERR_OK;
    command_table_fini(table);
    return ERR_MEMORY;
}

void command_table_fini(struct command_table *table)
{
    map_fini(&table->by_hash);
    free(table->entries);
    table->entries = NULL;
}

struct command_entry *command_table_find(const struct command_table *table, const struct command_key *key)
{
    struct command_entry *entry = map_get(&table->by_hash, key_hash(table, key));
    return entry != NULL && memcmp(&entry->key, key, sizeof *key) == 0 ? entry : NULL;
}

/* A place for a new entry: one never used, or the oldest answered one. */
static struct command_entry *take_place(struct command_table *table)
{
    if (table->used < table->capacity) {
        struct command_entry *entry = &table->entries[table->used++];
        list_init(&entry->in_state);
        list_init(&entry->at_machine);
        return entry;
    }
    MUST(!list_empty(&table->answered)); /* live entries never take every place */
    struct command_entry *entry = LIST_ENTRY(table->answered.next, struct command_entry, in_state);
    list_remove(&entry->in_state);
    map_remove(&table->by_hash, entry->hash);
    return entry;
}

static struct command_entry *place(struct command_table *table, const struct command_key *key)
{
    uint64_t hash = key_hash(table, key);
    if (map_get(&table->by_hash, hash) != NULL)
        return NULL;
    struct command_entry *entry = take_place(table);
    *entry = (struct command_entry){.key = *key, .hash = hash};
    list_init(&entry->in_state);
    list_init(&entry->at_machine);
    enum err_e err = map_put(&table->by_hash, hash, entry);
    MUST(err == ERR_OK); /* reserved at init */
    return entry;
}

struct command_entry *command_table_add(struct command_table *table, const struct command_key *key,
                                        struct list_node *at_machine)
{
    if (table->live_count >= table->live_max)
        return NULL;
    struct command_entry *entry = place(table, key);
    if (entry == NULL)
        return NULL;
    entry->state = COMMAND_HELD;
    table->live_count++;
    list_append(&table->live, &entry->in_state);
    list_append(at_machine, &entry->at_machine);
    return entry;
}

void command_table_handed(struct command_entry *entry, uint64_t agent_incarnation)
{
    MUST(entry->state == COMMAND_HELD || entry->state == COMMAND_HANDED);
    entry->state = COMMAND_HANDED;
    entry->agent_incarnation = agent_incarnation;
}

void command_table_answered(struct command_table *table, struct command_entry *entry)
{
    MUST(entry->state == COMMAND_HELD || entry->state == COMMAND_HANDED);
    entry->state = COMMAND_ANSWERED;
    entry->machine = NULL;
    table->live_count--;
    list_remove(&entry->at_machine);
    list_remove(&entry->in_state);
    list_append(&table->answered, &entry->in_state);
}

struct command_entry *command_table_note_answered(struct command_table *table, const struct command_key *key)
{
    struct command_entry *entry = command_table_find(table, key);
    if (entry != NULL) {
        if (entry->state != COMMAND_ANSWERED)
            command_table_answered(table, entry);
        return entry;
    }
    entry = place(table, key);
    if (entry != NULL) {
        entry->state = COMMAND_ANSWERED;
        list_append(&table->answered, &entry->in_state);
    }
    return entry;
}

static bool same_request(const struct command_entry *a, const struct command_entry *b)
{
    return a->scope[0] != '\0' && a->request_id[0] != '\0' && strcmp(a->request_id, b->request_id) == 0 &&
           strcmp(a->scope, b->scope) == 0;
}

void command_table_inherit(struct command_entry *entry, struct list_node *at_machine, uint64_t now_ns)
{
    LIST_FOREACH (node, at_machine) {
        const struct command_entry *other = LIST_ENTRY(node, struct command_entry, at_machine);
        if (other == entry || !(other->state == COMMAND_HANDED || other->resent) ||
            !same_request(other, entry))
            continue;
        uint64_t age_ms = other->age_ms + (now_ns - other->received_ns) / NS_PER_MS;
        if (age_ms > entry->age_ms)
            entry->age_ms = age_ms;
        entry->resent = true;
    }
}

enum command_code_e command_table_verdict(const struct command_entry *entry, uint64_t now_ns,
                                          uint64_t hold_until_ns, bool attached)
{
    if (entry->state == COMMAND_HANDED || entry->resent)
        return now_ns >= entry->give_up_ns ? CODE_OUTCOME_UNKNOWN : CODE_NONE;
    if (now_ns >= entry->deadline_ns)
        return CODE_TIMEOUT;
    return !attached && now_ns >= hold_until_ns ? CODE_CONNECTION_ERROR : CODE_NONE;
}

int64_t command_table_left_ms(const struct command_entry *entry, uint64_t now_ns)
{
    return entry->deadline_ns > now_ns ? (int64_t)((entry->deadline_ns - now_ns) / NS_PER_MS) : 0;
}
