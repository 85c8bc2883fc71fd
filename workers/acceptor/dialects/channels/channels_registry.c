/* Hop: C2. See channels_registry.h. */
#include "channels_registry.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "must.h"

void channels_registry_init(struct channels_registry *registry, uint64_t seed)
{
    *registry = (struct channels_registry){.seed = seed};
    map_init(&registry->by_name);
}

void channels_registry_fini(struct channels_registry *registry)
{
    MUST(registry->connections == 0);
    free(registry->order);
    map_fini(&registry->by_name);
    channels_registry_init(registry, registry->seed);
}

uint32_t channels_word(const char *name, size_t len)
{
    uint32_t word = (uint32_t)hash_bytes(name, len, 0);
    return word != 0 ? word : 1;
}

static uint64_t key_of(const struct channels_registry *registry, const char *name, size_t len)
{
    uint64_t key = hash_bytes(name, len, registry->seed);
    return key != 0 ? key : 1;
}

/* --- the order ------------------------------------------------------------------------------------------------------- */

uint32_t channels_registry_count(const struct channels_registry *registry)
{
    return registry->used - registry->holes;
}

/* Index of the first place whose number is `born` or later. */
static uint32_t place_of(const struct channels_registry *registry, uint64_t born)
{
    uint32_t low = 0, high = registry->used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (registry->order[middle].born < born)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct channels_channel *channels_registry_next(const struct channels_registry *registry, uint64_t born)
{
    for (uint32_t i = place_of(registry, born); i < registry->used; i++)
        if (registry->order[i].channel != NULL)
            return registry->order[i].channel;
    return NULL;
}

static bool reserve(struct channels_registry *registry)
{
    if (registry->used < registry->cap)
        return true;
    uint32_t cap = registry->cap > 0 ? registry->cap * 2 : 16;
    struct channels_place *grown = realloc(registry->order, cap * sizeof *grown);
    if (grown == NULL)
        return false;
    registry->order = grown;
    registry->cap = cap;
    return true;
}

/* The last one takes the memory along. */
static void close_holes(struct channels_registry *registry)
{
    uint32_t kept = 0;
    if (registry->holes == registry->used) {
        free(registry->order);
        registry->order = NULL;
        registry->cap = 0;
        map_fini(&registry->by_name);
    }
    for (uint32_t i = 0; i < registry->used && registry->order != NULL; i++)
        if (registry->order[i].channel != NULL)
            registry->order[kept++] = registry->order[i];
    registry->used = kept;
    registry->holes = 0;
}

/* --- channels -------------------------------------------------------------------------------------------------------- */

static enum err_e channel_new(struct channels_registry *registry, uint64_t key, const char *name, size_t len,
                              struct channels_channel **made)
{
    struct channels_channel *channel = reserve(registry) ? calloc(1, sizeof *channel) : NULL;
    if (channel == NULL || map_put(&registry->by_name, key, channel) != ERR_OK) {
        free(channel);
        return ERR_MEMORY;
    }
    topic_make_channel(&channel->topic, name, len);
    channel->name = topic_channel_name(channel->topic.name, channel->topic.len, &channel->len);
    channel->word = channels_word(name, len);
    channel->born = ++registry->born;
    list_init(&channel->named);
    registry->order[registry->used++] = (struct channels_place){channel->born, channel};
    *made = channel;
    return ERR_OK;
}

static void channel_free(struct channels_registry *registry, struct channels_channel *channel)
{
    uint32_t place = place_of(registry, channel->born);
    MUST(place < registry->used && registry->order[place].channel == channel);
    MUST(map_remove(&registry->by_name, key_of(registry, channel->name, channel->len)) == channel);
    registry->order[place].channel = NULL;
    if (++registry->holes > registry->used / 2)
        close_holes(registry);
    free(channel);
}

static enum err_e channel_get(struct channels_registry *registry, const struct channels_guest *guest,
                              struct channels_channel **channel)
{
    uint64_t key = key_of(registry, guest->channel, guest->channel_len);
    *channel = map_get(&registry->by_name, key);
    if (*channel == NULL)
        return channel_new(registry, key, guest->channel, guest->channel_len, channel);
    bool same = (*channel)->len == guest->channel_len &&
                memcmp((*channel)->name, guest->channel, guest->channel_len) == 0;
    return same ? ERR_OK : ERR_EXISTS;
}

/* --- who comes and goes ------------------------------------------------------------------------------------------------ */

static struct channels_user *user_new(const struct channels_guest *guest)
{
    struct channels_user *user = malloc(sizeof *user + guest->user_len);
    MUST(guest->user_len <= UINT8_MAX);
    if (user == NULL)
        return NULL;
    user->serial = guest->serial;
    user->connected_ms = guest->wall_ms;
    user->len = (uint8_t)guest->user_len;
    memcpy(user->id, guest->user_id, guest->user_len);
    return user;
}

enum err_e channels_registry_enter(struct channels_registry *registry, const struct channels_guest *guest,
                                   struct channels_channel **channel, struct channels_user **user)
{
    *user = guest->user_len > 0 ? user_new(guest) : NULL;
    if (guest->user_len > 0 && *user == NULL)
        return ERR_MEMORY;
    enum err_e err = channel_get(registry, guest, channel);
    if (err != ERR_OK) {
        free(*user);
        *user = NULL;
        return err;
    }
    (*channel)->connections++;
    registry->connections++;
    if (*user != NULL) {
        list_append(&(*channel)->named, &(*user)->node);
        (*channel)->users++;
        registry->users++;
    }
    return ERR_OK;
}

void channels_registry_leave(struct channels_registry *registry, struct channels_channel *channel,
                             struct channels_user *user)
{
    MUST(channel->connections > 0);
    if (user != NULL) {
        list_remove(&user->node);
        channel->users--;
        registry->users--;
        free(user);
    }
    registry->connections--;
    if (--channel->connections == 0)
        channel_free(registry, channel);
}
