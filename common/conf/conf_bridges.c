/* conf_bridges.c — bridges: what machines say, copied to streams.
 *
 * Machines are looked up after all of them are known, machines_from included. A record of the broker's names all streams
 * of its machine and source, and a record has room for CONF_BRIDGE_STREAMS_MAX: so they are counted per machine and
 * source, and what stands there is an index of a bridge, not its text (65,536 machines: 7 MiB while it is checked, nothing
 * after). Two bridges that say the same of one machine are a mistake of whoever wrote the second; telling a client twice,
 * or silently once, would both hide it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf_load.h"
#include "conf_near.h"
#include "hash.h"
#include "map.h"
#include "must.h"

#define GUESS_BUDGET                                                                                         \
    65536u /* machines looked at for what was mistyped; a large file of mistakes costs no more */

static const char *const source_texts[CONF_BRIDGE_SOURCES] = {
    [BRIDGE_STATES] = "states", [BRIDGE_RESULTS] = "results", [BRIDGE_EVENTS] = "events"};

const char *conf_bridge_source(enum conf_bridge_from_e from)
{
    MUST(from < CONF_BRIDGE_SOURCES);
    return source_texts[from];
}

struct reach { /* the bridges of one machine */
    uint16_t bridges[CONF_BRIDGE_SOURCES][CONF_BRIDGE_STREAMS_MAX];
    uint8_t counts[CONF_BRIDGE_SOURCES];
    uint32_t named_by; /* the last bridge that named it, + 1 */
};

static_assert(CONF_BRIDGES_MAX <= UINT16_MAX + 1u, "struct reach holds an index of a bridge");

struct bridge_check {
    struct conf_load *load;
    const struct conf *conf;
    const struct conf_place *places; /* of the bridges */
    struct map ids;                  /* hash of the id → struct conf_machine */
    struct reach *reach;             /* per machine */
    size_t guesses;                  /* machines looked at so far */
};

/* --- machines by name -------------------------------------------------------------------------------------------- */

static uint64_t id_key(const char *id)
{
    return hash_bytes(id, strlen(id), 1) | 1;
}

static enum err_e index_machines(struct bridge_check *check)
{
    const struct conf *conf = check->conf;
    enum err_e err = map_reserve(&check->ids, conf->machine_count);
    for (size_t i = 0; i < conf->machine_count && err == ERR_OK; i++)
        err = map_put(&check->ids, id_key(conf->machines[i].info.id), &conf->machines[i]);
    return err;
}

static const struct conf_machine *find(const struct bridge_check *check, const char *id)
{
    const struct conf_machine *machine = map_get(&check->ids, id_key(id));
    if (machine == NULL || strcmp(machine->info.id, id) == 0)
        return machine;
    return conf_machine(check->conf, id); /* two ids with one hash */
}

static const char *guess(struct bridge_check *check, const char *id)
{
    const struct conf *conf = check->conf;
    const char **ids = NULL, *near = NULL;
    if (conf->machine_count <= GUESS_BUDGET - check->guesses)
        ids = calloc(conf->machine_count + 1, sizeof *ids);
    if (ids == NULL)
        return NULL;
    for (size_t i = 0; i < conf->machine_count; i++)
        ids[i] = conf->machines[i].info.id;
    near = conf_near(id, ids, conf->machine_count);
    check->guesses += conf->machine_count;
    free(ids);
    return near;
}

static void tell_unknown(struct bridge_check *check, struct conf_place place, const char *id)
{
    struct conf_problems *problems = &check->load->problems;
    const char *near = problems->count < CONF_PROBLEMS_MAX ? guess(check, id) : NULL;
    conf_problem_at(problems, place, "", "there is no machine %s%s%s%s", id, near ? ", did you mean " : "",
                    near ? near : "", near ? "?" : "");
}

/* --- one bridge -------------------------------------------------------------------------------------------------- */

/* False: something was told of bridge `b`, and once is enough. */
static bool reach_machine(struct bridge_check *check, size_t b, const struct conf_machine *machine)
{
    const struct conf_bridge *bridge = &check->conf->bridges[b];
    struct reach *reach = &check->reach[machine - check->conf->machines];
    uint8_t *count = &reach->counts[bridge->from];
    struct conf_problems *problems = &check->load->problems;
    for (size_t i = 0; i < *count; i++) {
        size_t other = reach->bridges[bridge->from][i];
        if (strcmp(check->conf->bridges[other].stream, bridge->stream) != 0)
            continue;
        conf_problem_at(problems, check->places[b], "stream", "%s of %s go to %s by bridges[%zu] already",
                        source_texts[bridge->from], machine->info.id, bridge->stream, other);
        return false;
    }
    if (*count == CONF_BRIDGE_STREAMS_MAX) {
        conf_problem_at(problems, check->places[b], "stream",
                        "%s of %s go to %u streams already, which is the most", source_texts[bridge->from],
                        machine->info.id, CONF_BRIDGE_STREAMS_MAX);
        return false;
    }
    reach->bridges[bridge->from][(*count)++] = (uint16_t)b;
    return true;
}

static void check_named(struct bridge_check *check, size_t b)
{
    const struct conf_bridge *bridge = &check->conf->bridges[b];
    struct conf_place at = conf_child(check->places[b], "machines");
    at.node = at.outline->nodes[at.node].first;
    bool more = true;
    for (size_t i = 0; i < bridge->machine_count; i++, at.node = at.outline->nodes[at.node].next) {
        const struct conf_machine *machine = find(check, bridge->machines[i]);
        if (machine == NULL) {
            tell_unknown(check, at, bridge->machines[i]);
            continue;
        }
        uint32_t *named_by = &check->reach[machine - check->conf->machines].named_by;
        if (*named_by == b + 1)
            conf_problem_at(&check->load->problems, at, "", "names %s a second time", bridge->machines[i]);
        else if (more)
            more = reach_machine(check, b, machine);
        *named_by = (uint32_t)b + 1;
    }
}

static void check_bridge(struct bridge_check *check, size_t b)
{
    const struct conf *conf = check->conf;
    bool more = conf->bridges[b].machine_count == 0;
    if (!more)
        check_named(check, b);
    for (size_t i = 0; i < conf->machine_count && more; i++)
        more = reach_machine(check, b, &conf->machines[i]);
}

static enum err_e check_bridges(struct conf_load *load, const struct conf_place *places)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct bridge_check check = {.load = load, .conf = conf, .places = places};
    check.reach = calloc(conf->machine_count + 1, sizeof *check.reach);
    map_init(&check.ids);
    enum err_e err = check.reach != NULL ? index_machines(&check) : ERR_MEMORY;
    for (size_t b = 0; b < conf->bridge_count && err == ERR_OK; b++)
        check_bridge(&check, b);
    map_fini(&check.ids);
    free(check.reach);
    return err;
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static enum err_e fill_bridge(struct conf_load *load, const struct raw_bridge *raw, struct conf_place place,
                              struct conf_bridge *bridge)
{
    conf_section_apply(&conf_bridge_section, raw, place.outline, place.node, bridge, &load->problems);
    bridge->machine_count = raw->machines_count;
    if (raw->machines_count == 0)
        return ERR_OK;
    return conf_fill_words(load, &conf_bridge_machine_key, raw->machines, raw->machines_count,
                           conf_child(place, "machines"), &bridge->machines);
}

static enum err_e fill_bridges(struct conf_load *load, struct conf_place *places)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    enum err_e err = ERR_OK;
    conf_places(conf_child(conf_root(load), "bridges"), conf->bridge_count, places);
    for (size_t i = 0; i < conf->bridge_count && err == ERR_OK; i++)
        err = fill_bridge(load, &raw->bridges[i], places[i], &conf->bridges[i]);
    return err;
}

enum err_e conf_fill_bridges(struct conf_load *load, bool machines_known)
{
    struct conf *conf = &load->owner->draft.conf;
    size_t count = load->owner->raw->bridges_count, before = load->problems.count;
    conf->bridges = conf_own(load->owner, (count + 1) * sizeof *conf->bridges);
    struct conf_place *places = calloc(count + 1, sizeof *places);
    enum err_e err = conf->bridges != NULL && places != NULL ? ERR_OK : ERR_MEMORY;
    conf->bridge_count = err == ERR_OK ? count : 0;
    if (count > 0 && err == ERR_OK)
        err = fill_bridges(load, places);
    if (count > 0 && err == ERR_OK && machines_known && load->problems.count == before)
        err = check_bridges(load, places);
    free(places);
    return err;
}

void conf_look_at_bridges(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    bool any = conf->bridge_count == 0;
    for (size_t i = 0; i < conf->listener_count && !any; i++)
        any = conf_speaks(&conf->listeners[i], "streams", NULL);
    if (!any)
        conf_warn(load, conf_root(load), "bridges",
                  "nobody can read these streams: no listener has streams among its dialects");
}
