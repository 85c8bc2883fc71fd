/* See store_reload.h. */
#include "store_reload.h"

#include <stdlib.h>
#include <string.h>

#include "reload_watch.h"
#include "store_metrics.h"

struct store_reload {
    struct store *store;
    struct conf **conf; /* in force */
    char *file;         /* conf's own name of it goes with conf */
    struct reload_watch *watch;
};

static void put_in_force(void *arg, struct conf *next)
{
    struct store_reload *reload = arg;
    struct store *store = reload->store;
    store->conf = next;
    store_upkeep_keep(&store->upkeep, &next->store);
    db_set_delete_rows(store->db, next->store.delete_rows);
    store_watch_conf(&store->watch, next);
    stats_add(&store->stats, STORE_RELOADS, 1);
    conf_free(reload->conf);
    *reload->conf = next;
}

static enum err_e watch(struct store_reload *reload, int control)
{
    const struct reloader_options options = {
        .file = reload->file, .control = control, .commit = put_in_force, .arg = reload};
    return reload_watch_open(reload->store->loop, &options, *reload->conf, &reload->watch);
}

enum err_e store_reload_open(struct store *store, struct conf **conf, int control, struct store_reload **out)
{
    struct store_reload *reload = calloc(1, sizeof *reload);
    if (reload == NULL)
        return ERR_MEMORY;
    *reload = (struct store_reload){.store = store, .conf = conf, .file = strdup((*conf)->file)};
    enum err_e err = reload->file != NULL ? watch(reload, control) : ERR_MEMORY;
    if (err != ERR_OK) {
        store_reload_close(&reload);
        return err;
    }
    *out = reload;
    return ERR_OK;
}

void store_reload_close(struct store_reload **out)
{
    struct store_reload *reload = *out;
    if (reload == NULL)
        return;
    reload_watch_close(&reload->watch);
    free(reload->file);
    free(reload);
    *out = NULL;
}
