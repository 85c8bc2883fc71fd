/* Hop: C4, R2. One pool for live and answered commands, and one map; a place moves from list to list, and each list has its
 * bound, so that there is always a free place. Live commands are few (an agent takes one at a time), so the janitor walks them all. Rejected: a
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
    size_t capacity = live_max + 2 * answered_max + 1;
    *table = (struct command_table){
        .live_max = live_max, .answered_max = answered_max, .capacity = capacity, .seed = seed};
    MUST(answered_max > 0);
    list_init(&table->live);
    list_init(&table->answered_public);
    list_init(&table->answered_private);
    list_init(&table->free);
    map_init(&table->by_hash);
    table->entries = calloc(capacity, sizeof *table->entries);
    table->asks = calloc(live_max, sizeof *table->asks);
    if (table->entries != NULL && table->asks != NULL && map_reserve(&table->by_hash, capacity) == ERR_OK)
        return ERR_OK;
    command_table_fini(table);
    return ERR_MEMORY;
}

void command_table_fini(struct command_table *table)
{
    map_fini(&table->by_hash);
    free(table->entries);
    free(table->asks);
    table->entries = NULL;
    table->asks = NULL;
}

struct command_entry *command_table_find(const struct command_table *table, const struct command_key *key)
{
    struct command_entry *entry = map_get(&table->by_hash, key_hash(table, key));
    return entry != NULL && memcmp(&entry->key, key, sizeof *key) == 0 ? entry : NULL;
}

/* --- places --------------------------------------------------------------------------------------------------------- */

static struct command_entry *take_place(struct command_table *table)
{
    if (list_empty(&table->free)) {
        MUST(table->used < table->capacity); /* every list has its bound */
        return &table->entries[table->used++];
    }
    struct command_entry *entry = LIST_ENTRY(table->free.next, struct command_entry, in_state);
    list_remove(&entry->in_state);
    return entry;
}

static void forget_oldest(struct command_table *table, struct list_node *answered)
{
    struct command_entry *entry = LIST_ENTRY(answered->next, struct command_entry, in_state);
    map_remove(&table->by_hash, entry->hash);
    list_remove(&entry->in_state);
    list_append(&table->free, &entry->in_state);
}

/* Into the list of its sort, as the newest. */
static void join_answered(struct command_table *table, struct command_entry *entry, bool is_public)
{
    struct list_node *list = is_public ? &table->answered_public : &table->answered_private;
    size_t *count = is_public ? &table->public_count : &table->private_count;
    if (*count == table->answered_max)
        forget_oldest(table, list);
    else
        *count += 1;
    entry->state = COMMAND_ANSWERED;
    entry->is_public = is_public;
    list_append(list, &entry->in_state);
}

static void leave_answered(struct command_table *table, struct command_entry *entry)
{
    *(entry->is_public ? &table->public_count : &table->private_count) -= 1;
    list_remove(&entry->in_state);
}

/* In no list yet. NULL: another key has the hash. */
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

static struct command_ask *take_ask(struct command_table *table)
{
    struct command_ask *ask = table->free_ask;
    if (ask != NULL)
        table->free_ask = ask->next_free;
    else
        ask = &table->asks[table->asks_used++];
    *ask = (struct command_ask){0};
    return ask;
}

/* --- a command's life --------------------------------------------------------------------------------------------- */

struct command_entry *command_table_add(struct command_table *table, const struct command_key *key,
                                        struct list_node *at_machine)
{
    if (table->live_count >= table->live_max)
        return NULL;
    struct command_entry *entry = place(table, key);
    if (entry == NULL)
        return NULL;
    entry->state = COMMAND_HELD;
    entry->ask = take_ask(table);
    table->live_count++;
    list_append(&table->live, &entry->in_state);
    list_append(at_machine, &entry->at_machine);
    return entry;
}

void command_table_handed(struct command_entry *entry, uint64_t agent_incarnation)
{
    MUST(entry->state == COMMAND_HELD || entry->state == COMMAND_HANDED);
    entry->state = COMMAND_HANDED;
    entry->ask->agent_incarnation = agent_incarnation;
}

static void leave_live(struct command_table *table, struct command_entry *entry)
{
    table->live_count--;
    list_remove(&entry->at_machine);
    list_remove(&entry->in_state);
    entry->ask->next_free = table->free_ask;
    table->free_ask = entry->ask;
    entry->ask = NULL;
}

struct command_entry *command_table_note_answered(struct command_table *table, const struct command_key *key,
                                                  bool is_public)
{
    struct command_entry *entry = command_table_find(table, key);
    if (entry == NULL) {
        entry = place(table, key);
        if (entry == NULL)
            return NULL;
    } else if (entry->state == COMMAND_ANSWERED) {
        leave_answered(table, entry);
        is_public |= entry->is_public;
    } else {
        leave_live(table, entry);
    }
    join_answered(table, entry, is_public);
    return entry;
}

static bool same_request(const struct command_ask *a, const struct command_ask *b)
{
    return a->scope[0] != '\0' && a->request_id[0] != '\0' && strcmp(a->request_id, b->request_id) == 0 &&
           strcmp(a->scope, b->scope) == 0;
}

void command_table_inherit(struct command_entry *entry, struct list_node *at_machine, uint64_t now_ns)
{
    struct command_ask *ask = entry->ask;
    LIST_FOREACH (node, at_machine) {
        const struct command_entry *other = LIST_ENTRY(node, struct command_entry, at_machine);
        const struct command_ask *asked = other->ask;
        if (other == entry || !(other->state == COMMAND_HANDED || asked->resent) || !same_request(asked, ask))
            continue;
        uint64_t age_ms = asked->age_ms + (now_ns - asked->received_ns) / NS_PER_MS;
        if (age_ms > ask->age_ms)
            ask->age_ms = age_ms;
        ask->resent = true;
    }
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

enum command_code_e command_table_verdict(const struct command_entry *entry, uint64_t now_ns,
                                          uint64_t hold_until_ns, bool attached)
{
    const struct command_ask *ask = entry->ask;
    if (entry->state == COMMAND_HANDED || ask->resent)
        return now_ns >= ask->give_up_ns ? CODE_OUTCOME_UNKNOWN : CODE_NONE;
    if (now_ns >= ask->deadline_ns)
        return CODE_TIMEOUT;
    return !attached && now_ns >= hold_until_ns ? CODE_CONNECTION_ERROR : CODE_NONE;
}

int64_t command_table_left_ms(const struct command_ask *ask, uint64_t now_ns)
{
    return ask->deadline_ns > now_ns ? (int64_t)((ask->deadline_ns - now_ns) / NS_PER_MS) : 0;
}
