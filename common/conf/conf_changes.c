/* conf_changes.c — what is different between two configurations, by the table (conf.h).
 *
 * The walk goes over the sections of the table, as the reference page does, so that a new key is compared from the day it exists; only
 * what a list's entries are known by stands here. Values that the process resolved (defaults, the environment) are compared, not
 * what was written: a key that is now written out at its default has not changed.
 *
 * Tokens are known by their hash, because a principal may have several while they are exchanged; bridges by source and stream. Listeners,
 * handlers and endpoints are compared one by one, as they stand: none of them can change in a running installation. Machines may be many, and
 * are looked up through a map.
 */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_load.h"
#include "conf_value.h"
#include "hash.h"
#include "map.h"
#include "must.h"

#define NOT_TOLD "…"
#define MACHINES "machines" /* are told last */

struct changes {
    const struct conf *now, *next;
    conf_change_f *tell; /* NULL: nobody */
    void *arg;
    size_t count, refused;
    const char *machine;
};

static void tell(struct changes *c, const char *key, const char *was, const char *is, bool reloadable)
{
    const struct conf_change change = {key, was, is, reloadable, c->machine};
    c->count++;
    c->refused += !reloadable;
    if (c->tell != NULL)
        c->tell(c->arg, &change);
}

/* --- one section ------------------------------------------------------------------------------------------------ */

static void name_key(const char *path, const char *key, char out[CONF_KEY_PATH_MAX])
{
    snprintf(out, CONF_KEY_PATH_MAX, "%s%s%s", path, *path != '\0' ? "." : "", key);
}

/* One per CPU, as before, and there are more CPUs now: nobody wrote that. */
static bool counts_cpus(const struct changes *c, const struct conf_key *key, const void *target)
{
    const struct conf_owner *now = (const void *)c->now, *next = (const void *)c->next;
    const char *was = now->raw->workers.count, *is = next->raw->workers.count;
    return target == c->now && key->at == offsetof(struct conf_draft, conf.workers) &&
           (was == NULL || strcmp(was, "0") == 0) && (is == NULL || strcmp(is, "0") == 0);
}

static void compare_value(struct changes *c, const struct conf_key *key, const void *a, const void *b,
                          const char *path)
{
    char name[CONF_KEY_PATH_MAX], was[CONF_VALUE_MAX], is[CONF_VALUE_MAX];
    if (conf_value_same(key, a, b) || counts_cpus(c, key, a))
        return;
    name_key(path, key->key, name);
    conf_value_text(key, a, was);
    conf_value_text(key, b, is);
    tell(c, name, was, is, key->reloadable);
}

/* The values of an entry; lists below it are the caller's. */
static void compare_entry(struct changes *c, const struct conf_section *section, const void *a, const void *b,
                          const char *path)
{
    for (size_t i = 0; i < section->count; i++)
        if (section->keys[i].type < CONF_SECTION || section->keys[i].type == CONF_STRINGS)
            compare_value(c, &section->keys[i], a, b, path);
}

/* An entry that came (`was` false) or went. */
static void tell_entry(struct changes *c, const struct conf_section *section, const char *path, bool was)
{
    tell(c, path, was ? NOT_TOLD : NULL, was ? NULL : NOT_TOLD, section->keys[0].reloadable);
}

/* --- lists that are compared as they stand ---------------------------------------------------------------------- */

struct list {
    const struct conf_section *section;
    const char *name;
    const void *now, *next;
    size_t now_count, next_count, size;
};

static void compare_list(struct changes *c, const struct list *list)
{
    size_t most = list->now_count > list->next_count ? list->now_count : list->next_count;
    for (size_t i = 0; i < most; i++) {
        char path[CONF_KEY_PATH_MAX];
        snprintf(path, sizeof path, "%s[%zu]", list->name, i);
        if (i < list->now_count && i < list->next_count)
            compare_entry(c, list->section, (const char *)list->now + i * list->size,
                          (const char *)list->next + i * list->size, path);
        else
            tell_entry(c, list->section, path, i < list->now_count);
    }
}

#define LIST(name_, section_, member, count)                                                                 \
    {                                                                                                        \
        &section_, name_, c->now->member, c->next->member, c->now->count, c->next->count,                    \
            sizeof *c->now->member                                                                           \
    }

/* --- lists whose entries have names ----------------------------------------------------------------------------- */

struct named {
    struct list list;
    uint64_t (*hash)(const void *entry);
    bool (*same)(const void *a, const void *b); /* the same entry, whatever else is in them */
    const char *(*name)(const void *entry);
    void (*further)(struct changes *c, const void *a, const void *b, const char *path); /* NULL: nothing */
    bool machines;
};

static uint64_t text_hash(const char *text)
{
    return hash_bytes(text, strlen(text), 0);
}

static uint64_t map_key(uint64_t hash)
{
    return hash != 0 ? hash : 1;
}

/* Without memory the map is left empty, and looking up takes longer. */
static void index_entries(const struct named *named, const void *entries, size_t count, struct map *map)
{
    map_init(map);
    if (map_reserve(map, count) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *entry = (const char *)entries + i * named->list.size;
        if (map_put(map, map_key(named->hash(entry)), (void *)(uintptr_t)entry) != ERR_OK)
            return;
    }
}

static const void *find(const struct named *named, const void *entry, const struct map *map,
                        const void *entries, size_t count)
{
    const void *found = map_get(map, map_key(named->hash(entry)));
    if (map->count == count && (found == NULL || named->same(found, entry)))
        return found;
    for (size_t i = 0; i < count; i++)
        if (named->same((const char *)entries + i * named->list.size, entry))
            return (const char *)entries + i * named->list.size;
    return NULL;
}

/* `now` or `next` is NULL: it came, it went. */
static void compare_named_entry(struct changes *c, const struct named *named, const void *now,
                                const void *next)
{
    char path[CONF_KEY_PATH_MAX];
    const char *name = named->name(now != NULL ? now : next);
    snprintf(path, sizeof path, "%s[%s]", named->list.name, name);
    c->machine = named->machines ? name : NULL;
    if (now == NULL || next == NULL)
        tell_entry(c, named->list.section, path, now != NULL);
    else
        compare_entry(c, named->list.section, now, next, path);
    if (now != NULL && next != NULL && named->further != NULL)
        named->further(c, now, next, path);
    c->machine = NULL;
}

static void compare_named(struct changes *c, const struct named *named)
{
    const struct list *list = &named->list;
    struct map now, next;
    index_entries(named, list->now, list->now_count, &now);
    index_entries(named, list->next, list->next_count, &next);
    for (size_t i = 0; i < list->now_count; i++) {
        const void *entry = (const char *)list->now + i * list->size;
        compare_named_entry(c, named, entry, find(named, entry, &next, list->next, list->next_count));
    }
    for (size_t i = 0; i < list->next_count; i++) {
        const void *entry = (const char *)list->next + i * list->size;
        if (find(named, entry, &now, list->now, list->now_count) == NULL)
            compare_named_entry(c, named, NULL, entry);
    }
    map_fini(&now);
    map_fini(&next);
}

static uint64_t token_hash(const void *entry)
{
    return hash_bytes(((const struct conf_token *)entry)->sha256, 32, 0);
}

static bool same_token(const void *a, const void *b)
{
    const struct conf_token *here = a, *there = b;
    return memcmp(here->sha256, there->sha256, sizeof here->sha256) == 0;
}

static const char *token_name(const void *entry)
{
    return ((const struct conf_token *)entry)->principal;
}

/* The entries whose names are unique. */
#define NAMED(what, STRUCT, member)                                                                          \
    static const char *what##_name(const void *entry)                                                        \
    {                                                                                                        \
        return ((const struct STRUCT *)entry)->member;                                                       \
    }                                                                                                        \
    static uint64_t what##_hash_of(const void *entry)                                                        \
    {                                                                                                        \
        return text_hash(what##_name(entry));                                                                \
    }                                                                                                        \
    static bool same_##what(const void *a, const void *b)                                                    \
    {                                                                                                        \
        return strcmp(what##_name(a), what##_name(b)) == 0;                                                  \
    }
NAMED(user, conf_user, name)
NAMED(key, conf_jwt_key, kid)
NAMED(profile, profile, name)
NAMED(machine, conf_machine, info.id)
#undef NAMED

static const char *bridge_name(const void *entry)
{
    return ((const struct conf_bridge *)entry)->stream;
}

static uint64_t bridge_hash(const void *entry)
{
    const struct conf_bridge *bridge = entry;
    uint64_t hash = hash_bytes(bridge->stream, strlen(bridge->stream), bridge->from);
    for (size_t i = 0; i < bridge->machine_count; i++)
        hash = hash_bytes(bridge->machines[i], strlen(bridge->machines[i]), hash);
    return hash;
}

static bool same_bridge(const void *a, const void *b)
{
    for (size_t i = 0; i < conf_bridge_section.count; i++)
        if (!conf_value_same(&conf_bridge_section.keys[i], a, b))
            return false;
    return true;
}

/* --- profiles --------------------------------------------------------------------------------------------------- */

static bool same_bit(const struct profile_bit *a, const struct profile_bit *b)
{
    return a->bit == b->bit && strcmp(a->key, b->key) == 0 && strcmp(a->text[0], b->text[0]) == 0 &&
           strcmp(a->text[1], b->text[1]) == 0 && a->meaning[0] == b->meaning[0] &&
           a->meaning[1] == b->meaning[1];
}

static bool same_bits(const struct profile *a, const struct profile *b)
{
    if (a->bit_count != b->bit_count)
        return false;
    for (size_t i = 0; i < a->bit_count; i++)
        if (!same_bit(&a->bits[i], &b->bits[i]))
            return false;
    return true;
}

static bool same_content(const struct profile *a, const struct profile *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->version == b->version && strcmp(a->name, b->name) == 0 && same_bits(a, b);
}

static void compare_bits(struct changes *c, const void *a, const void *b, const char *path)
{
    char name[CONF_KEY_PATH_MAX];
    name_key(path, "bits", name);
    if (!same_bits(a, b))
        tell(c, name, NOT_TOLD, NOT_TOLD, true);
}

/* --- machines --------------------------------------------------------------------------------------------------- */

static void version_text(const struct conf_machine *machine, char out[CONF_VALUE_MAX])
{
    if (machine->profile == NULL)
        snprintf(out, CONF_VALUE_MAX, "%s (unknown)", machine->profile_name);
    else
        snprintf(out, CONF_VALUE_MAX, "%s version %u", machine->profile_name, machine->profile->version);
}

/* What is behind its keys: the profile's own content, and where its simulator is. */
static void compare_behind(struct changes *c, const void *now, const void *next, const char *path)
{
    const struct conf_machine *a = now, *b = next;
    char name[CONF_KEY_PATH_MAX], was[CONF_VALUE_MAX], is[CONF_VALUE_MAX];
    if (strcmp(a->profile_name, b->profile_name) == 0 && !same_content(a->profile, b->profile)) {
        name_key(path, "profile", name);
        version_text(a, was);
        version_text(b, is);
        tell(c, name, was, is, true);
    }
    if (a->info.simulator && b->info.simulator && a->connect_port != b->connect_port) {
        name_key(path, "simulator", name);
        snprintf(was, sizeof was, "at port %u", a->connect_port);
        snprintf(is, sizeof is, "at port %u", b->connect_port);
        tell(c, name, was, is, true);
    }
}

/* What only clients are told, or only the simulator does. */
static bool is_the_agents(const struct conf_key *key)
{
    static const char *const others[] = {
        "name",          "ip",
        "port",          "simulator", /* connect_host and connect_port are what the agent sees of them */
        "mode",          "profile",
        "sim_positions", "sim_ms_per_position"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(key->key, others[i]) == 0)
            return false;
    return true;
}

bool conf_machine_same(const struct conf_machine *a, const struct conf_machine *b)
{
    for (size_t i = 0; i < conf_machine_section.count; i++) {
        const struct conf_key *key = &conf_machine_section.keys[i];
        if (is_the_agents(key) && !conf_value_same(key, a, b))
            return false;
    }
    return strcmp(a->connect_host, b->connect_host) == 0 && a->connect_port == b->connect_port &&
           same_content(a->profile, b->profile);
}

uint64_t conf_machine_digest(const struct conf_machine *machine)
{
    char text[CONF_VALUE_MAX];
    uint64_t digest = text_hash(machine->connect_host) ^ hash_u64(machine->connect_port);
    for (size_t i = 0; i < conf_machine_section.count; i++) {
        const struct conf_key *key = &conf_machine_section.keys[i];
        if (!is_the_agents(key))
            continue;
        conf_value_text(key, machine, text);
        digest = hash_bytes(text, strlen(text), digest);
    }
    return hash_u64(digest ^ (machine->profile != NULL ? profile_hash(machine->profile) : 0));
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static void compare_section_list(struct changes *c, const char *name)
{
    const struct list lists[] = {
        LIST("listeners", conf_listener_section, listeners, listener_count),
        LIST("handlers", conf_handler_section, handlers, handler_count),
        LIST("endpoints", conf_endpoint_section, endpoints, endpoint_count),
    };
    const struct named named[] = {
        {LIST("auth.tokens", conf_token_section, tokens, token_count), token_hash, same_token, token_name,
         NULL, false},
        {LIST("auth.users", conf_user_section, users, user_count), user_hash_of, same_user, user_name, NULL,
         false},
        {LIST("auth.keys", conf_jwt_key_section, jwt_keys, jwt_key_count), key_hash_of, same_key, key_name,
         NULL, false},
        {LIST("profiles", conf_profile_section, profiles, profile_count), profile_hash_of, same_profile,
         profile_name, compare_bits, false},
        {LIST("bridges", conf_bridge_section, bridges, bridge_count), bridge_hash, same_bridge, bridge_name,
         NULL, false},
        {LIST(MACHINES, conf_machine_section, machines, machine_count), machine_hash_of, same_machine,
         machine_name, compare_behind, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (strcmp(lists[i].name, name) == 0)
            compare_list(c, &lists[i]);
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (strcmp(named[i].list.name, name) == 0)
            compare_named(c, &named[i]);
}

/* Both in a struct conf_draft, whose first member is the configuration. */
static void compare_section(struct changes *c, const struct conf_section *section, const void *a,
                            const void *b, const char *path)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        char name[CONF_KEY_PATH_MAX];
        name_key(path, key->key, name);
        if (key->type == CONF_SECTION)
            compare_section(c, key->section, (const char *)a + key->at, (const char *)b + key->at, name);
        else if (key->type != CONF_LIST)
            compare_value(c, key, a, b, path);
        else if (strcmp(name, MACHINES) != 0)
            compare_section_list(c, name);
    }
}

size_t conf_changes(const struct conf *now, const struct conf *next, conf_change_f *tell_one, void *arg)
{
    struct changes c = {.now = now, .next = next, .tell = tell_one, .arg = arg};
    compare_section(&c, &conf_root_section, now, next, "");
    compare_section_list(&c, MACHINES);
    return c.refused;
}

void conf_change_text(const struct conf_change *change, char out[CONF_CHANGE_MAX])
{
    const char *end = change->reloadable ? "" : ": takes a restart";
    if (change->was == NULL || change->is == NULL)
        snprintf(out, CONF_CHANGE_MAX, "%s: %s%s", change->key, change->was == NULL ? "added" : "removed",
                 end);
    else if (strcmp(change->was, change->is) == 0) /* both are not told */
        snprintf(out, CONF_CHANGE_MAX, "%s: changed%s", change->key, end);
    else
        snprintf(out, CONF_CHANGE_MAX, "%s: %s → %s%s", change->key, change->was, change->is, end);
}
