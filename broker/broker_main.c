/* noria-broker: boot, loop, stop.
 *
 * Order of the boot: ring and last-value table first, because their locks tell whether another broker lives here (then
 * nothing of its may be touched); what a dead one left is taken up; only then sockets that peers find. After READY no
 * disk is touched but the tmpfs of the metrics, and nothing blocks.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent_metrics.h"
#include "broker.h"
#include "control.h"
#include "entropy.h"
#include "fault_point.h"
#include "ingest.h"
#include "janitor.h"
#include "must.h"
#include "proc.h"
#include "reattach.h"
#include "reload_watch.h"
#include "slot_sweep.h"

static const char usage[] =
    "usage: noria-broker -c FILE\n"
    "\n"
    "The broker of a Noria installation: takes machine states and command outcomes from agents and commands\n"
    "from workers (bus/broker.sock), and publishes to shared memory (shm/ring, shm/lvt).\n"
    "\n"
    "  -c, --config FILE  configuration (YAML)\n"
    "  -h, --help         this text\n"
    "  -V, --version      version of Noria\n";

struct program {
    struct broker broker;
    const char *file;
    int control; /* the launcher; -1: none */
    struct reload_watch *reloads;
    struct loop_timer *tick;
    struct loop_fd *bus_watch, *bell_watch;
    struct loop_signal *term, *interrupt;
};

/* --- opening --------------------------------------------------------------------------------------------------------- */

static enum err_e make_dirs(const struct conf *conf)
{
    char path[CONF_PATH_MAX];
    conf_path(conf, "bus", path);
    enum err_e err = proc_make_dirs(path);
    if (err != ERR_OK)
        return err;
    conf_path(conf, "shm", path);
    return proc_make_dirs(path);
}

static enum err_e open_shared(struct broker *broker, bool *continued, bool *table_continued)
{
    char path[CONF_PATH_MAX];
    struct publisher *publisher = &broker->publisher;
    conf_path(broker->conf, "shm/ring", path);
    enum err_e err =
        ring_writer_open(path, (uint64_t)broker->conf->ring_mib << 20, &publisher->ring, continued);
    if (err == ERR_BUSY)
        log_error("broker-busy", "path=%s error=\"another broker serves this runtime directory\"", path);
    if (err != ERR_OK)
        return err;
    publisher->ring_id = ring_writer_id(publisher->ring);
    conf_path(broker->conf, "shm", path);
    agent_metrics_sweep(path);
    conf_path(broker->conf, "shm/lvt", path);
    err = lvt_writer_open(path, broker->conf->max_machines, publisher->ring_id, &publisher->lvt,
                          table_continued);
    if (err == ERR_OK)
        log_info("ring", "id=%08x mib=%u continued=%d table_continued=%d", publisher->ring_id,
                 broker->conf->ring_mib, *continued, *table_continued);
    return err;
}

static enum err_e open_segment(struct broker *broker)
{
    char path[CONF_PATH_MAX];
    conf_path(broker->conf, "shm/broker", path);
    return segment_create(path, "broker", "", broker->gen, broker_metric_defs, BROKER_METRIC_COUNT,
                          &broker->segment, &broker->stats);
}

static enum err_e make_tables(struct broker *broker)
{
    size_t floors = broker->conf->max_machines * 4 + 256; /* memory is touched as it is used */
    enum err_e err = registry_init(&broker->registry, broker->conf);
    if (err == ERR_OK)
        err = bridges_init(&broker->bridges, broker->conf, &broker->registry);
    broker->publisher.bridges = &broker->bridges;
    if (err == ERR_OK)
        err = peers_init(&broker->peers, broker->gen);
    if (err == ERR_OK)
        err = command_table_init(&broker->commands, BROKER_COMMANDS_MAX, BROKER_ANSWERED_MAX, broker->gen);
    if (err == ERR_OK)
        err = store_window_init(&broker->store_window, broker->gen);
    sources_init(&broker->sources, (uint64_t)broker->conf->ring_mib << 20);
    broker->publisher.sources = &broker->sources;
    if (err == ERR_OK)
        err = seq_floors_init(&broker->streams.floors, BROKER_PUBLISHERS_MAX);
    return err == ERR_OK ? seq_floors_init(&broker->floors, floors) : err;
}

static enum err_e take_up(struct broker *broker, bool continued, bool table_continued)
{
    char path[CONF_PATH_MAX];
    conf_path(broker->conf, "shm/ring", path);
    struct reattach job = {.ring_path = path,
                           .registry = &broker->registry,
                           .publisher = &broker->publisher,
                           .floors = &broker->floors,
                           .stream_floors = &broker->streams.floors,
                           .commands = &broker->commands,
                           .system = &broker->system,
                           .stats = &broker->stats,
                           .ring_continued = continued,
                           .table_continued = table_continued};
    enum err_e err = reattach(&job);
    if (err == ERR_FULL)
        log_error("too-many-machines", "configured=%zu max_machines=%u", broker->registry.count,
                  broker->conf->max_machines);
    stats_set(&broker->stats, BROKER_RING_CONTINUED, continued);
    stats_set(&broker->stats, BROKER_MACHINES, broker->registry.count);
    stats_set(&broker->stats, BROKER_CONF_DIGEST, broker->conf->digest);
    return err == ERR_FULL ? ERR_CONFIG : err;
}

/* The bell's own end of a worker; its slot is freed by the end of its bus connection. */
static void bell_gone(void *arg, uint32_t slot, uint64_t incarnation)
{
    (void)arg;
    log_debug("bell-gone", "slot=%u incarnation=%llx", slot, (unsigned long long)incarnation);
}

static enum err_e open_sockets(struct broker *broker)
{
    char path[CONF_PATH_MAX], shm[CONF_PATH_MAX], endpoint[CONF_PATH_MAX + 8];
    conf_path(broker->conf, "bus/bell.sock", path);
    conf_path(broker->conf, "shm", shm);
    enum err_e err = bell_open(path, shm, bell_gone, broker, &broker->publisher.bell);
    if (err != ERR_OK)
        return err;
    conf_path(broker->conf, "bus/broker.sock", path);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    return bus_router_open(endpoint, &ingest_events, broker, &broker->router);
}

static enum err_e open_all(struct broker *broker)
{
    bool continued = false, table_continued = false;
    broker->clock = clock_system();
    broker->gen = entropy_u64();
    broker->boot = wire_boot();
    publisher_init(&broker->publisher, broker->clock, &broker->stats);
    enum err_e err = make_dirs(broker->conf);
    if (err == ERR_OK)
        err = make_tables(broker);
    if (err == ERR_OK)
        err = open_shared(broker, &continued, &table_continued);
    if (err == ERR_OK)
        err = open_segment(broker);
    if (err == ERR_OK)
        err = take_up(broker, continued, table_continued);
    FAULT_POINT(BROKER_ATTACHED);
    return err == ERR_OK ? open_sockets(broker) : err;
}

static void close_all(struct broker *broker)
{
    char path[CONF_PATH_MAX];
    if (broker->router != NULL) { /* it was the broker here */
        slot_sweep_all(broker);
        bus_router_close(&broker->router);
        conf_path(broker->conf, "bus/broker.sock", path);
        unlink(path);
    }
    for (size_t i = 0; i < broker->registry.count; i++)
        segment_close(&broker->registry.machines[i]->segment, true);
    publisher_fini(&broker->publisher);
    segment_close(&broker->segment, true);
    seq_floors_fini(&broker->floors);
    seq_floors_fini(&broker->streams.floors);
    store_window_fini(&broker->store_window);
    command_table_fini(&broker->commands);
    peers_fini(&broker->peers);
    broker_reload_abort(broker);
    bridges_fini(&broker->bridges);
    registry_fini(&broker->registry);
}

/* --- running --------------------------------------------------------------------------------------------------------- */

static void on_bus(void *arg, unsigned events)
{
    (void)events;
    ingest_round(arg);
}

static void on_bell(void *arg, unsigned events)
{
    struct broker *broker = arg;
    (void)events;
    bell_service(broker->publisher.bell);
}

static void on_tick(void *arg)
{
    struct program *program = arg;
    janitor_tick(&program->broker);
    loop_timer_start(program->tick, JANITOR_TICK_NS);
}

static void on_stop(void *arg)
{
    struct program *program = arg;
    log_stopping();
    log_info("stopping", "reason=\"signal\"");
    system_events_end(&program->broker.system, &program->broker.publisher);
    publish_bell(&program->broker.publisher);
    loop_stop(program->broker.loop);
}

/* --- another configuration ------------------------------------------------------------------------------------------- */

static enum err_e on_prepare(void *arg, const struct conf *now, const struct conf *next,
                             char why[RELOADER_WHY_MAX])
{
    struct program *program = arg;
    (void)now;
    return broker_reload_prepare(&program->broker, next, why, RELOADER_WHY_MAX);
}

static void on_commit(void *arg, struct conf *next)
{
    struct program *program = arg;
    broker_reload_commit(&program->broker, next);
}

static void on_abort(void *arg)
{
    struct program *program = arg;
    broker_reload_abort(&program->broker);
}

static bool watch_reloads(struct program *program)
{
    const struct broker *broker = &program->broker;
    const struct reloader_options options = {.file = program->file,
                                             .control = program->control,
                                             .threaded = true,
                                             .prepare = on_prepare,
                                             .commit = on_commit,
                                             .abort = on_abort,
                                             .arg = program};
    return reload_watch_open(broker->loop, &options, broker->conf, &program->reloads) == ERR_OK;
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static bool watch_all(struct program *program)
{
    struct broker *broker = &program->broker;
    struct loop *loop = broker->loop;
    program->tick = loop_timer_new(loop, on_tick, program);
    program->bus_watch = loop_fd_new(loop, bus_router_fd(broker->router), LOOP_READ, on_bus, broker);
    program->bell_watch = loop_fd_new(loop, bell_fd(broker->publisher.bell), LOOP_READ, on_bell, broker);
    program->term = loop_signal_new(loop, SIGTERM, on_stop, program);
    program->interrupt = loop_signal_new(loop, SIGINT, on_stop, program);
    return program->tick != NULL && program->bus_watch != NULL && program->bell_watch != NULL &&
           program->term != NULL && program->interrupt != NULL && watch_reloads(program);
}

static void unwatch_all(struct program *program)
{
    loop_timer_free(&program->tick);
    loop_fd_free(&program->bus_watch);
    loop_fd_free(&program->bell_watch);
    loop_signal_free(&program->term);
    loop_signal_free(&program->interrupt);
    reload_watch_close(&program->reloads);
}

static int serve(struct program *program)
{
    struct broker *broker = &program->broker;
    broker->loop = loop_new(broker->clock);
    bool watched = broker->loop != NULL && watch_all(program);
    if (watched) {
        broker->janitor.tick_ns = broker_now_ns(broker);
        broker->hold_until_ns = broker->janitor.tick_ns + BROKER_HOLD_NS;
        registry_hold(&broker->registry, broker->hold_until_ns);
        loop_timer_start(program->tick, JANITOR_TICK_NS);
        log_info("ready", "gen=%016llx machines=%zu", (unsigned long long)broker->gen,
                 broker->registry.count);
        proc_ready();
        loop_run(broker->loop);
    } else {
        log_error("loop", "error=\"out of memory or descriptors\"");
    }
    if (broker->loop != NULL) {
        unwatch_all(program);
        loop_free(&broker->loop);
    }
    return watched && !broker->shm_lost ? EXIT_SUCCESS : PROC_EXIT_FAILURE;
}

static int run(struct program *program)
{
    enum err_e err = open_all(&program->broker);
    int code = PROC_EXIT_FAILURE;
    if (err == ERR_OK)
        code = serve(program);
    else if (err == ERR_BUSY || err == ERR_CONFIG || err == ERR_EXISTS)
        code = PROC_EXIT_PERMANENT;
    if (err != ERR_OK)
        log_error("boot-failed", "error=\"%s\"", err_text(err));
    close_all(&program->broker);
    return code;
}

/* --- starting -------------------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static struct program program;
    program.file = proc_arguments(argc, argv, "noria-broker", usage);
    log_init("broker", LOG_INFO);
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    program.control = control_inherited();
    reloader_hold_signal(true);
    if (conf_load(program.file, conf_log_problem, NULL, &program.broker.conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    log_init("broker", program.broker.conf->log_level);
    log_format(program.broker.conf->log_format);
    int code = run(&program);
    conf_free(&program.broker.conf);
    return code;
}
