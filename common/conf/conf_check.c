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

bool conf_is_loopback(const char *address)
{
    struct binary_address binary = address_of(address);
    return is_loopback(&binary);
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

/* --- listeners -------------------------------------------------------------------------------------------------- */

static void check_listener_pair(const struct conf *conf, size_t i, size_t other, struct conf_place place,
                                struct conf_problems *problems)
{
    const struct conf_listener *a = &conf->listeners[i], *b = &conf->listeners[other];
    if (a->name == NULL || b->name == NULL)
        return;
    if (strcmp(a->name, b->name) == 0)
        conf_problem_at(problems, place, "name", "%s is the name of listeners[%zu] too", a->name, other);
    struct binary_address here = address_of(a->address), there = address_of(b->address);
    if (a->port != 0 && a->port == b->port && overlap(&here, &there))
        conf_problem_at(problems, place, "port", "%s port %u is taken by listeners[%zu] (%s port %u)",
                        a->address, a->port, other, b->address, b->port);
}

static void check_listener_access(const struct conf *conf, const struct conf_listener *listener,
                                  struct conf_place place, struct conf_problems *problems)
{
    if (listener->auth_required && conf->token_count + conf->user_count + conf->jwt_key_count == 0)
        conf_problem_at(
            problems, place, "auth",
            "nobody could connect, because auth has neither tokens nor users nor keys: `noria hash-token "
            "--new` makes a token and its line, `noria hash-password` what a user needs");
    if (!conf_is_loopback(listener->address) && !listener->auth_required && !conf->allow_unauthenticated)
        conf_problem_at(problems, place, "address",
                        "%s can be reached from other hosts, and this listener has no authentication: set "
                        "auth: token here, or bind 127.0.0.1 or ::1, or set allow_unauthenticated: true",
                        listener->address);
}

void conf_check_listeners(const struct conf *conf, const struct conf_place *places,
                          struct conf_problems *problems)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        check_listener_access(conf, &conf->listeners[i], places[i], problems);
        for (size_t other = 0; other < i; other++)
            check_listener_pair(conf, i, other, places[i], problems);
    }
}

/* --- machines --------------------------------------------------------------------------------------------------- */

struct machine_check {
    const struct conf *conf;
    const struct conf_place *places;
    struct map ids, plcs;
    struct conf_problems *problems;
};

/* "machines[0]", or "plc_machines[0] of FILE" where that is another file than `here`. */
static const char *name_of(const struct machine_check *check, const struct conf_machine *machine,
                           struct conf_place here, char out[CONF_KEY_PATH_MAX + 300])
{
    struct conf_place there = check->places[machine - check->conf->machines];
    char path[CONF_KEY_PATH_MAX];
    conf_outline_path(there.outline, there.node, path);
    bool same = there.outline == here.outline;
    snprintf(out, CONF_KEY_PATH_MAX + 300, "%s%s%.200s", path, same ? "" : " of ",
             same ? "" : there.outline->file);
    return out;
}

static void check_simulator_port(const struct conf *conf, struct conf_place place, uint32_t port,
                                 struct conf_problems *problems)
{
    if (port > UINT16_MAX)
        conf_problem_at(problems, place, "simulator",
                        "its simulator would listen on port %u, which is none (1 to 65535): lower "
                        "simulator.base_port",
                        port);
    struct binary_address there = address_of(conf->simulator_address);
    for (size_t k = 0; k < conf->listener_count; k++) {
        struct binary_address address = address_of(conf->listeners[k].address);
        if (conf->listeners[k].port == port && overlap(&address, &there))
            conf_problem_at(problems, place, "simulator",
                            "its simulator would listen on %s port %u, which is taken by listeners[%zu]",
                            conf->simulator_address, port, k);
    }
}

static enum err_e check_id(struct machine_check *check, size_t i)
{
    const struct conf_machine *machine = &check->conf->machines[i];
    char name[CONF_KEY_PATH_MAX + 300];
    if (machine->info.id[0] == '\0')
        return ERR_OK;
    uint64_t key = hash_bytes(machine->info.id, strlen(machine->info.id), 1) | 1;
    const struct conf_machine *other = map_get(&check->ids, key);
    if (other == NULL)
        return map_put(&check->ids, key, (void *)machine);
    if (strcmp(other->info.id, machine->info.id) == 0)
        conf_problem_at(check->problems, check->places[i], "id", "%s is the id of %s too", machine->info.id,
                        name_of(check, other, check->places[i], name));
    return ERR_OK;
}

static enum err_e check_plc(struct machine_check *check, size_t i)
{
    const struct conf_machine *machine = &check->conf->machines[i];
    char name[CONF_KEY_PATH_MAX + 300];
    if (machine->info.ip[0] == '\0')
        return ERR_OK;
    struct binary_address address = address_of(machine->connect_host);
    uint64_t key = hash_bytes(address.bytes, sizeof address.bytes, machine->connect_port) | 1;
    const struct conf_machine *other = map_get(&check->plcs, key);
    if (other == NULL)
        return map_put(&check->plcs, key, (void *)machine);
    struct binary_address there = address_of(other->connect_host);
    if (other->connect_port == machine->connect_port && memcmp(&address, &there, sizeof there) == 0)
        conf_problem_at(check->problems, check->places[i], machine->info.simulator ? "simulator" : "ip",
                        "%s port %u is the %s of %s too; a PLC takes one client", machine->connect_host,
                        machine->connect_port, other->info.simulator ? "simulator" : "PLC",
                        name_of(check, other, check->places[i], name));
    return ERR_OK;
}

static enum err_e check_each(struct machine_check *check)
{
    const struct conf *conf = check->conf;
    uint32_t simulated = 0;
    for (size_t i = 0; i < conf->machine_count; i++) {
        enum err_e err = check_id(check, i);
        if (err == ERR_OK)
            err = check_plc(check, i);
        if (err != ERR_OK)
            return err;
        if (conf->machines[i].info.simulator)
            check_simulator_port(conf, check->places[i], conf->simulator_base_port + simulated++,
                                 check->problems);
        conf_check_times(&conf->machines[i], check->places[i], false, check->problems);
    }
    return ERR_OK;
}

enum err_e conf_check_machines(const struct conf *conf, struct conf_place root,
                               const struct conf_place *places, struct conf_problems *problems)
{
    if (conf->machine_count > conf->max_machines)
        conf_problem_at(problems, root, "machines", "%zu machines, but max_machines is %u",
                        conf->machine_count, conf->max_machines);
    struct machine_check check = {.conf = conf, .places = places, .problems = problems};
    map_init(&check.ids);
    map_init(&check.plcs);
    enum err_e err = map_reserve(&check.ids, conf->machine_count);
    if (err == ERR_OK)
        err = map_reserve(&check.plcs, conf->machine_count);
    if (err == ERR_OK)
        err = check_each(&check);
    map_fini(&check.ids);
    map_fini(&check.plcs);
    return err;
}

/* --- settings that must be in order ------------------------------------------------------------------------------ */

struct ordered_pair {
    const char *low_key, *high_key;
    uint32_t low, high;
    bool strict;
};

static void check_pair(const struct ordered_pair *pair, struct conf_place place, bool always,
                       struct conf_problems *problems)
{
    if (pair->low < pair->high || (pair->low == pair->high && !pair->strict))
        return;
    bool low_here = conf_place_of(place, pair->low_key).node != place.node;
    bool high_here = conf_place_of(place, pair->high_key).node != place.node;
    if (low_here || high_here || always)
        conf_problem_at(problems, place, low_here ? pair->low_key : pair->high_key, "%s %u is %s %s %u",
                        pair->low_key, pair->low, pair->strict ? "not below" : "above", pair->high_key,
                        pair->high);
}

void conf_check_times(const struct conf_machine *m, struct conf_place place, bool always,
                      struct conf_problems *problems)
{
    const struct ordered_pair pairs[] = {
        {"poll_moving_ms", "poll_interval_ms", m->poll_moving_ms, m->poll_interval_ms, false},
        {"backoff_min_ms", "backoff_max_ms", m->backoff_min_ms, m->backoff_max_ms, false},
        {"poll_interval_ms", "stale_after_ms", m->poll_interval_ms, m->stale_after_ms, true},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        check_pair(&pairs[i], place, always, problems);
}

void conf_check_handler_times(const struct conf_handler *handler, struct conf_place place,
                              struct conf_problems *problems)
{
    const struct ordered_pair pair = {"deadline_ms", "stuck_ms", handler->deadline_ms, handler->stuck_ms,
                                      false};
    check_pair(&pair, place, true, problems);
}

void conf_check_limits(const struct conf *conf, struct conf_place slow_clients,
                       struct conf_problems *problems)
{
    const struct ordered_pair pair = {"soft_kib", "hard_kib", conf->slow_soft_bytes / 1024,
                                      conf->slow_hard_bytes / 1024, false};
    check_pair(&pair, slow_clients, true, problems);
}
