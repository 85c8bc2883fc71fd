/* up.c — `noria up` (up.h): configuration, directory, sockets, family, and everything back in the opposite order.
 *
 * The launcher is the only parent, holds every listening socket, and parses nothing from outside but its configuration and the fixed words of
 * control.sock, which are its own user's: no client byte, no bus message and no shared memory reaches it, so that what can kill the others
 * cannot kill it.
 *
 * As process 1 of a container it has no default for any signal but its own handlers, and reaps whatever the others leave behind (family.c).
 */
#include "up.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blackbox.h"
#include "check_schemas.h"
#include "conf.h"
#include "family.h"
#include "keyring.h"
#include "launch_crash.h"
#include "launch_handlers.h"
#include "launch_segments.h"
#include "launch_sockets.h"
#include "log.h"
#include "loop.h"
#include "must.h"
#include "proc.h"
#include "rundir.h"
#include "up_orders.h"
#include "up_plan.h"
#include "up_reload.h"

#define READY_NS     (20 * NS_PER_S)   /* sanitized builds on a loaded machine need seconds */
#define STOP_NS      (7 * NS_PER_S)    /* 2 s for the workers, 1 s more for each stage behind them */
#define PREDECESSORS 10000             /* ms to wait for the processes of a launcher that was killed */
#define ONE_WISH_NS  (300 * NS_PER_MS) /* timeout(1) and sudo pass one Ctrl-C on twice */

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP}; /* SIGHUP: only if its terminal has gone */

struct up {
    struct conf *conf;
    struct up_plan plan;
    struct rundir *rundir;
    struct launch_sockets *sockets;
    struct launch_handlers *handlers;
    struct loop *loop;
    struct loop_signal *signals[ARRAY_LEN(stop_signals)];
    struct crash_shelf *crashes;
    struct family *family;
    struct up_reload *reload;
    struct up_orders *orders;
    struct launcher_segment *segment;
    struct family_listener listener;
    char shm[CONF_PATH_MAX], copy[CONF_PATH_MAX];
    bool has_terminal;
    uint64_t stop_asked_ns; /* 0: not yet */
    int exit_code;
};

static void on_ready(void *arg)
{
    struct up *up = arg;
    up_plan_announce(&up->plan);
    proc_ready(); /* for who started the launcher */
}

static void on_stopped(void *arg, int exit_code)
{
    struct up *up = arg;
    up->exit_code = exit_code;
    loop_stop(up->loop);
}

static void on_stop_signal(void *arg)
{
    struct up *up = arg;
    uint64_t now = loop_now_ns(up->loop);
    if (up->stop_asked_ns == 0) {
        log_stopping();
        log_info("stopping", "text=\"a second signal kills\"");
        up->stop_asked_ns = now;
        family_stop(up->family);
    } else if (now - up->stop_asked_ns >= ONE_WISH_NS) {
        log_warn("stopping", "text=\"second signal: killing\"");
        family_kill(up->family);
    }
}

/* A terminal that goes away ends what was started in it, as it always did; any other SIGHUP is a wish to reload. */
static bool terminal_has_gone(const struct up *up)
{
    struct pollfd input = {.fd = STDIN_FILENO};
    return up->has_terminal && poll(&input, 1, 0) == 1 && (input.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_hangup(void *arg)
{
    struct up *up = arg;
    if (terminal_has_gone(up))
        on_stop_signal(up);
    else if (up->orders != NULL && !family_stops(up->family))
        up_orders_hangup(up->orders);
}

/* From here on a signal waits until the loop runs, so that none leaves a directory behind. */
static enum err_e watch_signals(struct up *up)
{
    up->has_terminal = isatty(STDIN_FILENO) == 1;
    signal(SIGUSR1, SIG_IGN); /* a drain is a worker's */
    signal(SIGUSR2, SIG_IGN);
    up->loop = loop_new(clock_system());
    if (up->loop == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++) {
        up->signals[i] = loop_signal_new(up->loop, stop_signals[i],
                                         stop_signals[i] == SIGHUP ? on_hangup : on_stop_signal, up);
        if (up->signals[i] == NULL)
            return ERR_MEMORY;
    }
    return ERR_OK;
}

/* --- its own segment, and crash records ------------------------------------------------------------------------- */

static void on_death(void *arg, const struct family_death *death)
{
    struct up *up = arg;
    crash_shelf_put(up->crashes, death);
}

static void on_changed(void *arg)
{
    struct up *up = arg;
    struct family_tally tally = family_tally(up->family);
    const struct launcher_record record = {
        .starts = tally.starts,
        .deaths = tally.deaths,
        .planned_ends = tally.planned_ends,
        .not_ready = tally.not_ready,
        .permanent = tally.permanent,
        .killed = tally.killed,
        .adoptions = tally.adoptions,
        .crash_records = crash_shelf_written(up->crashes),
        .crash_records_failed = crash_shelf_failed(up->crashes),
        .control_requests = up_orders_requests(up->orders),
        .control_refused = up_orders_refused(up->orders),
        .members = family_count(up->family),
    };
    launcher_segment_write(up->segment, &record);
}

/* --- its parts -------------------------------------------------------------------------------------------------- */

static enum err_e make_family(struct up *up)
{
    const struct family_options options = {
        .lock_fd = rundir_family_fd(up->rundir),
        .ready_ns = READY_NS,
        .stop_ns = STOP_NS,
        .drain_ns = up->conf->drain_ms * NS_PER_MS,
        .conf_copy = up->copy,
        .segments = up->shm,
        .on_ready = on_ready,
        .on_stopped = on_stopped,
        .on_death = on_death,
        .arg = up,
        .path = getenv("PATH"),
    };
    up->family = family_new(up->loop, &options);
    return up->family != NULL ? up_plan_add(&up->plan, up->family) : ERR_MEMORY;
}

static enum err_e make_orders(struct up *up)
{
    char path[CONF_PATH_MAX];
    conf_path(up->conf, "control.sock", path);
    up->reload = up_reload_new(up->loop, up->family, &up->plan);
    if (up->reload == NULL)
        return ERR_MEMORY;
    enum err_e err = up_orders_open(up->loop, up->family, up->reload, path, &up->orders);
    if (err != ERR_OK)
        return err;
    up->segment = launcher_segment_open(up->shm);
    up->listener = (struct family_listener){.changed = on_changed, .arg = up};
    family_listen(up->family, &up->listener);
    return ERR_OK;
}

static enum err_e make_crashes(struct up *up)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/crashes", up->conf->state_dir);
    up->crashes = crash_shelf_new(up->loop, path);
    return up->crashes != NULL ? ERR_OK : ERR_MEMORY;
}

static void warn_of_unknown_profiles(const struct conf *conf)
{
    for (size_t i = 0; i < conf->machine_count; i++)
        if (conf->machines[i].profile == NULL)
            log_warn("profile-unknown",
                     "machine=%s profile=%s text=\"the machine is read-only: moves are refused\"",
                     conf->machines[i].info.id, conf->machines[i].profile_name);
}

static enum err_e prepare(struct up *up, const struct up_options *options)
{
    warn_of_unknown_profiles(up->conf);
    enum err_e err = up_plan_init(&up->plan, up->conf, options->bin_dir);
    if (err == ERR_OK)
        err = rundir_open(up->conf->runtime_dir, PREDECESSORS, &up->rundir);
    if (err == ERR_OK)
        err = watch_signals(up);
    if (err == ERR_OK)
        err = launch_sockets_open(up->conf, &up->sockets);
    if (err == ERR_OK)
        err = launch_handlers_open(up->conf, &up->handlers);
    if (err == ERR_OK)
        err = reload_first_copy(up->conf);
    if (err == ERR_OK)
        err = make_crashes(up);
    up->plan.sockets = up->sockets;
    up->plan.handlers = up->handlers;
    conf_path(up->conf, "shm", up->shm);
    conf_path(up->conf, CONF_COPY_CURRENT, up->copy);
    if (err == ERR_OK)
        err = make_family(up);
    return err == ERR_OK ? make_orders(up) : err;
}

/* An impatient third signal must not leave half of it behind. */
static void block_stop_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++)
        sigaddset(&set, stop_signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void clean_up(struct up *up)
{
    block_stop_signals();
    up_orders_close(&up->orders);
    up_reload_free(&up->reload);
    family_free(&up->family);
    launcher_segment_close(&up->segment);
    crash_shelf_free(&up->crashes);
    for (size_t i = 0; i < ARRAY_LEN(stop_signals); i++)
        loop_signal_free(&up->signals[i]);
    if (up->loop != NULL)
        loop_free(&up->loop);
    launch_sockets_close(&up->sockets);
    launch_handlers_close(&up->handlers);
    rundir_close(&up->rundir);
    up_plan_fini(&up->plan);
    conf_free(&up->conf);
}

static void tell_problem(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

/* Those of JWTs; the one that is made if there is none is made here, before workers ask for it all at once. */
static bool check_keys(const struct conf *conf)
{
    struct keyring *keyring;
    enum err_e err = keyring_load(conf, true, tell_problem, NULL, &keyring);
    keyring_free(&keyring);
    if (err != ERR_OK)
        log_error("config", "file=%s error=\"a key of auth.keys: %s\"", conf->file, err_text(err));
    return err == ERR_OK;
}

int up_run(const struct up_options *options)
{
    struct up up = {0};
    log_init("launcher", LOG_INFO);
    blackbox_open(); /* nobody hands one down; a fatal signal is told on standard error */
    unsetenv(CONF_COPY_VARIABLE);
    if (options->runtime_dir != NULL)
        setenv("NORIA_RUNTIME_DIR", options->runtime_dir, 1); /* for the children, too */
    enum err_e err = conf_load(options->file, tell_problem, NULL, &up.conf);
    if (err != ERR_OK) {
        log_error("config", "file=%s error=\"%s\"", options->file, err_text(err));
        return err == ERR_CONFIG ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE;
    }
    if (!check_schemas(up.conf, tell_problem, NULL)) {
        log_error("config", "file=%s error=\"a schema is broken\"", options->file);
        conf_free(&up.conf);
        return PROC_EXIT_PERMANENT;
    }
    if (!check_keys(up.conf)) {
        conf_free(&up.conf);
        return PROC_EXIT_PERMANENT;
    }
    log_init("launcher", up.conf->log_level);
    log_format(up.conf->log_format);
    for (size_t i = 0; i < up.conf->warning_count; i++)
        log_warn("config", "text=\"%s\"", up.conf->warnings[i]);
    err = prepare(&up, options);
    if (err == ERR_OK) {
        family_start(up.family);
        loop_run(up.loop);
    } else {
        log_error("start-failed", "error=\"%s\"", err_text(err));
        up.exit_code = PROC_EXIT_FAILURE;
    }
    clean_up(&up);
    return up.exit_code;
}
