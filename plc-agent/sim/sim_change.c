/* sim_change.c — other PLCs in place of those that are there (sim_server.h).
 *
 * Who moves to a port that another PLC gives up, or swaps with, gets a duplicate of the socket that keeps it: binding it anew could fail, and at the
 * commit nothing may. Listening may fail then only for want of descriptors or memory, and is tried again as after a reboot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sim_plc.h"

struct item {
    struct sim_plc_conf conf;
    struct sim_plc *plc;
    bool fresh;     /* made for the change */
    int reserve_fd; /* of its port; -1: it has it already */
};

struct sim_change {
    struct sim_server *server;
    struct item *items;
    size_t count;
};

/* --- prepare ----------------------------------------------------------------------------------------------------- */

static bool is_at(const struct sim_plc *plc, const struct sim_plc_conf *conf)
{
    return plc->port == conf->port && strcmp(plc->address, conf->address) == 0;
}

static int reserve(const struct sim_server *server, const struct sim_plc_conf *conf)
{
    for (size_t i = 0; i < server->count; i++)
        if (is_at(server->plcs[i], conf))
            return fcntl(server->plcs[i]->reserve_fd, F_DUPFD_CLOEXEC, 0);
    return sim_plc_reserve(conf);
}

static bool stands_before(const struct sim_change *change, const char *id)
{
    for (size_t i = 0; i < change->count; i++)
        if (strcmp(change->items[i].plc->id, id) == 0)
            return true;
    return false;
}

static enum err_e find_or_make(struct sim_change *change, struct item *item)
{
    item->plc = sim_server_find(change->server, item->conf.id);
    item->fresh = item->plc == NULL;
    return item->fresh ? sim_plc_new(change->server, &item->conf, &item->plc) : ERR_OK;
}

static enum err_e plan(struct sim_change *change, const struct sim_plc_conf *conf, char why[SIM_WHY_MAX])
{
    struct item *item = &change->items[change->count];
    *item = (struct item){.conf = *conf, .reserve_fd = -1};
    enum err_e err = stands_before(change, conf->id) ? ERR_EXISTS : find_or_make(change, item);
    if (err != ERR_OK) {
        snprintf(why, SIM_WHY_MAX, "simulator of %s: %s", conf->id, err_text(err));
        return err;
    }
    change->count++;
    if (!item->fresh && is_at(item->plc, conf))
        return ERR_OK;
    item->reserve_fd = reserve(change->server, conf);
    if (item->reserve_fd >= 0)
        return ERR_OK;
    snprintf(why, SIM_WHY_MAX, "simulator of %s: %s port %u: %s", conf->id, conf->address, conf->port,
             strerror(errno));
    return ERR_SYSTEM;
}

static enum err_e plan_all(struct sim_change *change, const struct sim_plc_conf *list, size_t count,
                           char why[SIM_WHY_MAX])
{
    enum err_e err = sim_server_make_room(change->server, count);
    if (err != ERR_OK)
        snprintf(why, SIM_WHY_MAX, "%zu simulators: %s", count, err_text(err));
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = plan(change, &list[i], why);
    return err;
}

enum err_e sim_change_prepare(struct sim_server *server, const struct sim_plc_conf *list, size_t count,
                              struct sim_change **out, char why[SIM_WHY_MAX])
{
    struct sim_change *change = calloc(1, sizeof *change);
    struct item *items = calloc(count + 1, sizeof *items);
    why[0] = '\0';
    if (change == NULL || items == NULL) {
        free(change);
        free(items);
        return ERR_MEMORY;
    }
    *change = (struct sim_change){.server = server, .items = items};
    enum err_e err = plan_all(change, list, count, why);
    if (err == ERR_OK)
        *out = change;
    else
        sim_change_free(&change);
    return err;
}

void sim_change_free(struct sim_change **out)
{
    struct sim_change *change = *out;
    if (change == NULL)
        return;
    for (size_t i = 0; i < change->count; i++) {
        if (change->items[i].reserve_fd >= 0)
            close(change->items[i].reserve_fd);
        if (change->items[i].fresh)
            sim_plc_free(change->items[i].plc);
    }
    free(change->items);
    free(change);
    *out = NULL;
}

/* --- commit ------------------------------------------------------------------------------------------------------ */

static bool stays(const struct sim_change *change, const struct sim_plc *plc)
{
    for (size_t i = 0; i < change->count; i++)
        if (change->items[i].plc == plc)
            return true;
    return false;
}

/* Before anybody listens at their ports. */
static void let_go(struct sim_change *change)
{
    struct sim_server *server = change->server;
    for (size_t i = 0; i < server->count; i++) {
        if (stays(change, server->plcs[i]))
            continue;
        log_info("sim-machine-removed", "machine=%s port=%u", server->plcs[i]->id, server->plcs[i]->port);
        sim_conn_reset(server->plcs[i]);
        sim_plc_free(server->plcs[i]);
    }
    for (size_t i = 0; i < change->count; i++)
        if (!change->items[i].fresh && change->items[i].reserve_fd >= 0)
            sim_plc_leave(change->items[i].plc);
}

/* What somebody set by the control protocol stays, where the configuration says nothing new. */
static void tune(struct sim_plc *plc, const struct sim_plc_conf *conf)
{
    plc->profile = conf->profile;
    sim_plc_sync(plc);
    if (plc->machine.positions != conf->positions)
        sim_machine_resize(&plc->machine, conf->positions);
    if (plc->pace_ms != conf->pace_ms)
        sim_machine_pace(&plc->machine, conf->pace_ms);
    plc->pace_ms = conf->pace_ms;
}

static void put(struct item *item)
{
    if (item->reserve_fd >= 0) {
        sim_plc_keep(item->plc, &item->conf, item->reserve_fd);
        item->reserve_fd = -1;
        log_info(item->fresh ? "sim-machine-added" : "sim-machine-moved", "machine=%s port=%u", item->plc->id,
                 item->plc->port);
        sim_plc_settle(item->plc);
    }
    tune(item->plc, &item->conf);
    item->fresh = false;
}

void sim_change_commit(struct sim_change **change)
{
    struct sim_server *server = (*change)->server;
    let_go(*change);
    server->count = (*change)->count;
    for (size_t i = 0; i < server->count; i++)
        server->plcs[i] = (*change)->items[i].plc;
    for (size_t i = 0; i < server->count; i++)
        put(&(*change)->items[i]);
    for (size_t i = 0; i < server->count; i++)
        sim_plc_changed(server->plcs[i]);
    sim_change_free(change);
}
