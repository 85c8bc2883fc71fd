/* noria-store — entities and events of the channels, in one SQLite file: boot, loop, stop.
 *
 * Order of the boot: the database first, because its lock tells whether another store lives here, and because nothing else is of any use without
 * it; READY when it is open, migrated and checked, whether or not there is a broker. Exit code 78: the file is damaged, of a later version, or
 * another store has it; starting again would not help.
 */
#include <assert.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "control.h"
#include "entropy.h"
#include "log.h"
#include "proc.h"
#include "reloader.h"
#include "store.h"
#include "store_reload.h"

static const char usage[] = "usage: noria-store -c FILE\n"
                            "\n"
                            "The store of a Noria installation: what the channels' REST API keeps, in\n"
                            "FILE's state_dir/store/noria.db; speaks to the broker in FILE's runtime_dir.\n"
                            "\n"
                            "  -c, --config FILE  configuration (YAML)\n"
                            "  -h, --help         this text\n"
                            "  -V, --version      version of Noria\n"
                            "\n"
                            "Exit codes: 0 stopped as told; 2 wrong usage; 78 the same start would fail "
                            "again; else: start it again.\n";

struct program {
    struct store store;
    struct loop_signal *term, *interrupt;
    struct conf *conf; /* in force */
    struct store_reload *reload;
};

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static enum err_e make_runtime_dirs(const struct conf *conf)
{
    char path[CONF_PATH_MAX];
    conf_path(conf, "bus", path);
    enum err_e err = proc_make_dirs(path);
    if (err != ERR_OK)
        return err;
    conf_path(conf, "shm", path);
    return proc_make_dirs(path);
}

static_assert((int)CONF_INTEGRITY_QUICK == DB_INTEGRITY_QUICK &&
                  (int)CONF_INTEGRITY_FULL == DB_INTEGRITY_FULL &&
                  (int)CONF_INTEGRITY_OFF == DB_INTEGRITY_OFF,
              "one order");

static enum err_e open_database(struct store *store)
{
    char path[PATH_MAX], why[DB_WHY_MAX] = "";
    snprintf(path, sizeof path, "%s/store", store->conf->state_dir);
    enum err_e err = proc_make_dirs(path);
    if (err != ERR_OK)
        return err;
    snprintf(path, sizeof path, "%s/store/noria.db", store->conf->state_dir);
    struct db_config config = {.path = path,
                               .clock = store->clock,
                               .new_source = entropy_u64(),
                               .integrity = (enum db_integrity_e)store->conf->store.integrity};
    err = db_open(&config, &store->db, why);
    if (err == ERR_BUSY)
        log_error("database", "file=%s error=\"%s\" text=\"another noria-store has it\"", path, why);
    else if (err == ERR_CORRUPT)
        log_error("database",
                  "file=%s error=\"%s\" text=\"put a backup in its place (noria backup makes one), without "
                  "its -wal and -shm files; the damaged file may hold more, keep it\"",
                  path, why);
    else if (err != ERR_OK)
        log_error("database", "file=%s error=\"%s: %s\"", path, err_text(err), why);
    return err;
}

static void name_paths(struct store *store)
{
    char socket[CONF_PATH_MAX];
    conf_path(store->conf, "shm/store", store->segment_path);
    conf_path(store->conf, "shm/ring", store->ring_path);
    conf_path(store->conf, "shm/lvt", store->lvt_path);
    conf_path(store->conf, "bus/broker.sock", socket);
    snprintf(store->endpoint, sizeof store->endpoint, "ipc://%s", socket);
}

static void on_signal(void *arg)
{
    struct program *program = arg;
    log_stopping();
    log_info("stopping", "reason=\"signal\"");
    program->store.exit_code = 0;
    loop_stop(program->store.loop);
}

static enum err_e open_loop(struct program *program)
{
    struct store *store = &program->store;
    store->loop = loop_new(store->clock);
    if (store->loop == NULL)
        return ERR_MEMORY;
    program->term = loop_signal_new(store->loop, SIGTERM, on_signal, program);
    program->interrupt = loop_signal_new(store->loop, SIGINT, on_signal, program);
    return program->term != NULL && program->interrupt != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e open_all(struct program *program, int control)
{
    struct store *store = &program->store;
    store->clock = clock_system();
    store->incarnation = entropy_u64();
    store->exit_code = PROC_EXIT_FAILURE;
    name_paths(store);
    enum err_e err = open_database(store);
    if (err == ERR_OK)
        err = make_runtime_dirs(store->conf);
    if (err == ERR_OK)
        err = store_show(store);
    if (err == ERR_OK)
        err = open_loop(program);
    if (err == ERR_OK)
        err = store_uplink_open(store);
    return err == ERR_OK ? store_reload_open(store, &program->conf, control, &program->reload) : err;
}

static void close_all(struct program *program)
{
    struct store *store = &program->store;
    store_uplink_close(store);
    store_reload_close(&program->reload);
    loop_signal_free(&program->term);
    loop_signal_free(&program->interrupt);
    if (store->loop != NULL)
        loop_free(&store->loop);
    db_close(&store->db);
    segment_close(&store->segment, true);
}

static int run(struct program *program, int control)
{
    struct store *store = &program->store;
    enum err_e err = open_all(program, control);
    if (err == ERR_OK) {
        log_info("ready", "version=" NORIA_VERSION " source=%016llx events=%llu",
                 (unsigned long long)db_source(store->db), (unsigned long long)db_last_event(store->db));
        proc_ready();
        loop_run(store->loop);
    } else {
        log_error("boot-failed", "error=\"%s\"", err_text(err));
        if (err == ERR_BUSY || err == ERR_CORRUPT || err == ERR_CONFIG)
            store->exit_code = PROC_EXIT_PERMANENT;
    }
    close_all(program);
    log_info("stopped", "exit=%d", store->exit_code);
    return store->exit_code;
}

/* --- starting ----------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static struct program program;
    const char *file = proc_arguments(argc, argv, "noria-store", usage);
    log_init("store", LOG_INFO);
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    int control = control_inherited();
    reloader_hold_signal(true);
    signal(SIGXFSZ, SIG_IGN); /* a limit of the file's size is a full disk, not the end */
    if (conf_load(file, conf_log_problem, NULL, &program.conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    log_init("store", program.conf->log_level);
    log_format(program.conf->log_format);
    program.store.conf = program.conf;
    int code = run(&program, control);
    conf_free(&program.conf);
    return code;
}
