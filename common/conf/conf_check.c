/* conf_check.c — checks between keys and between entries (conf_check.h).
 *
 * Machines may be many (CONF_MACHINES_MAX), so ids and addresses are compared through a map; listeners are few and are
 * compared pairwise. The loopback rule is docs' "Rules for all of them": without authentication nobody but this host.
 */
#include "conf_check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "map.h"

struct binary_address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

static struct binary_address address_of(const char *text)
{
    struct binary_address a = {{[10] = 0xff, [11] = 0xff}};
    if (inet_pton(AF_INET, text, a.bytes + 12) != 1 && inet_pton(AF_INET6, text, a.bytes) != 1)
        memset(&a, 0, sizeof a);
    return a;
}

static bool is_mapped(const struct binary_address *a)
{
    static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->bytes, prefix, sizeof prefix) == 0;
}

static bool is_loopback(const struct binary_address *a)
{
    static const unsigned char one[16] = {[15] = 1};
    return is_mapped(a) ? a->bytes[12] == 127 : memcmp(a->bytes, one, sizeof one) == 0;
}

/* 0.0.0.0, or :: (which takes IPv4 too). */
static bool is_any(const struct binary_address *a)
{
    static const unsigned char none[16];
    return memcmp(a->bytes + (is_mapped(a) ? 12 : 0), none, is_mapped(a) ? 4 : 16) == 0;
}

static bool overlap(const struct binary_address *a, const struct binary_address *b)
{
    return is_any(a) || is_any(b) || memcmp(a, b, sizeof *a) == 0;
}

/* Reports at `key` below `node`, or at `node` if the key does not stand there. */
#define AT_KEY(problems, outline, node, key, ...)                                                            \
    do {                                                                                                     \
        char at_path[CONF_KEY_PATH_MAX];                                                                     \
        uint32_t at_child = conf_outline_child(outline, node, key);                                          \
        uint32_t at_node = at_child != CONF_NO_NODE ? at_child : (node);                                     \
        conf_outline_path(outline, at_node, at_path);                                                        \
        conf_problem(problems, conf_outline_line(outline, at_node), at_path, __VA_ARGS__);                   \
    } while (0)

static void check_listener_pair(const struct conf *conf, size_t i, size_t other,
                                const struct conf_outline *outline, const uint32_t *nodes,
                                struct conf_problems *problems)
{
    const struct conf_listener *a = &conf->listeners[i], *b = &conf->listeners[other];
    if (a->name == NULL || b->name == NULL)
        return;
    if (strcmp(a->name, b->name) == 0)
        AT_KEY(problems, outline, nodes[i], "name", "%s is the name of listeners[%zu] too", a->name, other);
    struct binary_address here = address_of(a->address), there = address_of(b->address);
    if (a->port != 0 && a->port == b->port && overlap(&here, &there))
        AT_KEY(problems, outline, nodes[i], "port", "%s port %u is taken by listeners[%zu] (%s port %u)",
               a->address, a->port, other, b->address, b->port);
}

void conf_check_listeners(const struct conf *conf, const struct conf_outline *outline, const uint32_t *nodes,
                          struct conf_problems *problems)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];
        struct binary_address address = address_of(listener->address);
        if (!is_loopback(&address) && !conf->allow_unauthenticated)
            AT_KEY(problems, outline, nodes[i], "address",
                   "%s can be reached from other hosts, and this listener has no authentication: bind "
                   "127.0.0.1 or ::1 "
                   "behind a proxy that authenticates, or set allow_unauthenticated: true",
                   listener->address);
        for (size_t other = 0; other < i; other++)
            check_listener_pair(conf, i, other, outline, nodes, problems);
    }
}

static void check_simulator_port(const struct conf *conf, size_t i, const struct conf_outline *outline,
                                 const uint32_t *nodes, uint32_t port, struct conf_problems *problems)
{
    if (port > UINT16_MAX)
        AT_KEY(problems, outline, nodes[i], "simulator",
               "its simulator would listen on port %u, which is none (1 to "
               "65535): lower simulator.base_port",
               port);
    struct binary_address loopback = address_of("127.0.0.1");
    for (size_t k = 0; k < conf->listener_count; k++) {
        struct binary_address address = address_of(conf->listeners[k].address);
        if (conf->listeners[k].port == port && overlap(&address, &loopback))
            AT_KEY(problems, outline, nodes[i], "simulator",
                   "its simulator would listen on 127.0.0.1 port %u, which is "
                   "taken by listeners[%zu]",
                   port, k);
    }
}

static enum err_e check_id(struct map *ids, const struct conf *conf, size_t i,
                           const struct conf_outline *outline, const uint32_t *nodes,
                           struct conf_problems *problems)
{
    const struct conf_machine *machine = &conf->machines[i];
    if (machine->info.id[0] == '\0')
        return ERR_OK;
    uint64_t key = hash_bytes(machine->info.id, strlen(machine->info.id), 1) | 1;
    const struct conf_machine *other = map_get(ids, key);
    if (other == NULL)
        return map_put(ids, key, (void *)machine);
    if (strcmp(other->info.id, machine->info.id) == 0)
        AT_KEY(problems, outline, nodes[i], "id", "%s is the id of machines[%zu] too", machine->info.id,
               (size_t)(other - conf->machines));
    return ERR_OK;
}

static enum err_e check_plc(struct map *plcs, const struct conf *conf, size_t i,
                            const struct conf_outline *outline, const uint32_t *nodes,
                            struct conf_problems *problems)
{
    const struct conf_machine *machine = &conf->machines[i];
    if (machine->info.simulator || machine->info.ip[0] == '\0')
        return ERR_OK;
    struct binary_address address = address_of(machine->info.ip);
    uint64_t key = hash_bytes(address.bytes, sizeof address.bytes, machine->info.port) | 1;
    const struct conf_machine *other = map_get(plcs, key);
    if (other == NULL)
        return map_put(plcs, key, (void *)machine);
    struct binary_address there = address_of(other->info.ip);
    if (other->info.port == machine->info.port && memcmp(&address, &there, sizeof there) == 0)
        AT_KEY(problems, outline, nodes[i], "ip",
               "%s port %u is the PLC of machines[%zu] too; a PLC takes one client", machine->info.ip,
               machine->info.port, (size_t)(other - conf->machines));
    return ERR_OK;
}

static enum err_e check_each(const struct conf *conf, struct map *ids, struct map *plcs,
                             const struct conf_outline *outline, const uint32_t *nodes,
                             struct conf_problems *problems)
{
    uint32_t simulated = 0;
    for (size_t i = 0; i < conf->machine_count; i++) {
        enum err_e err = check_id(ids, conf, i, outline, nodes, problems);
        if (err == ERR_OK)
            err = check_plc(plcs, conf, i, outline, nodes, problems);
        if (err != ERR_OK)
            return err;
        if (conf->machines[i].info.simulator)
            check_simulator_port(conf, i, outline, nodes, conf->simulator_base_port + simulated++, problems);
        conf_check_times(&conf->machines[i], outline, nodes[i], false, problems);
    }
    return ERR_OK;
}

enum err_e conf_check_machines(const struct conf *conf, const struct conf_outline *outline,
                               const uint32_t *nodes, struct conf_problems *problems)
{
    if (conf->machine_count > conf->max_machines)
        AT_KEY(problems, outline, 0, "machines", "%zu machines, but max_machines is %u", conf->machine_count,
               conf->max_machines);
    struct map ids, plcs;
    map_init(&ids);
    map_init(&plcs);
    enum err_e err = map_reserve(&ids, conf->machine_count);
    if (err == ERR_OK)
        err = map_reserve(&plcs, conf->machine_count);
    if (err == ERR_OK)
        err = check_each(conf, &ids, &plcs, outline, nodes, problems);
    map_fini(&ids);
    map_fini(&plcs);
    return err;
}

struct ordered_pair {
    const char *low_key, *high_key;
    uint32_t low, high;
    bool strict;
};

void conf_check_times(const struct conf_machine *m, const struct conf_outline *outline, uint32_t node,
                      bool always, struct conf_problems *problems)
{
    const struct ordered_pair pairs[] = {
        {"poll_moving_ms", "poll_interval_ms", m->poll_moving_ms, m->poll_interval_ms, false},
        {"backoff_min_ms", "backoff_max_ms", m->backoff_min_ms, m->backoff_max_ms, false},
        {"poll_interval_ms", "stale_after_ms", m->poll_interval_ms, m->stale_after_ms, true},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const struct ordered_pair *pair = &pairs[i];
        if (pair->low < pair->high || (pair->low == pair->high && !pair->strict))
            continue;
        bool low_here = conf_outline_child(outline, node, pair->low_key) != CONF_NO_NODE;
        bool high_here = conf_outline_child(outline, node, pair->high_key) != CONF_NO_NODE;
        if (low_here || high_here || always)
            AT_KEY(problems, outline, node, low_here ? pair->low_key : pair->high_key, "%s %u is %s %s %u",
                   pair->low_key, pair->low, pair->strict ? "not below" : "above", pair->high_key,
                   pair->high);
    }
}
