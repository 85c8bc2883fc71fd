/* noria-worker: takes WebSocket connections. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "front.h"
#include "log.h"
#include "proc.h"
#include "worker.h"

static const char usage[] =
    "usage: noria-worker -c FILE\n"
    "\n"
    "Serves the WebSocket listeners of the configuration FILE, fed from the broker's shared memory.\n"
    "Any number of workers may run beside one broker; each gets its own slot from it.\n"
    "\n"
    "  -c, --config FILE  the installation's configuration\n"
    "  -h, --help         this text\n"
    "  -V, --version      the version\n"
    "\n"
    "Listening sockets are taken from the launcher or systemd (LISTEN_FDS, LISTEN_FDNAMES = names of\n"
    "listeners); those that are not passed are opened here with SO_REUSEPORT.\n"
    "SIGUSR1: takes no more connections, closes its clients with 1012 spread over workers.drain_ms, ends\n"
    "with 0 when it is empty. SIGHUP, without a launcher: takes over what is reloadable in FILE.\n"
    "Environment: NORIA_RUNTIME_DIR, NORIA_READY_FD, NORIA_CONTROL_FD, NORIA_CONF_COPY, NORIA_ORPHAN,\n"
    "NORIA_FRONT=1 (`noria front` makes its sockets; it waits for that, and ends with it), "
    "WEBSOCKET_MAX_CONNECTIONS,\n"
    "WEBSOCKET_PING_INTERVAL, WEBSOCKET_PING_TIMEOUT.\n"
    "Exit: 0 stopped as told, 2 wrong usage, 78 the same start would fail again, else start it again.\n";

/* Neither may end a worker that is only starting: they wait until the loop listens for them (worker_run()). */
static void hold_signals(bool hold)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static bool has_front(void)
{
    const char *text = getenv(FRONT_VARIABLE);
    return text != NULL && strcmp(text, "1") == 0;
}

static int run(const char *file)
{
    static struct worker worker;
    struct conf *conf = NULL;
    log_init("worker", LOG_INFO);
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    hold_signals(true);
    if (conf_load(file, conf_log_problem, NULL, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    log_init("worker", conf->log_level);
    log_format(conf->log_format);
    const struct worker_options options = {
        .conf = conf, .file = file, .control = control_inherited(), .front = has_front()};
    enum err_e err = worker_start(&worker, &options);
    if (err != ERR_OK) {
        log_error("start", "error=\"%s\"", err_text(err));
        return err == ERR_CONFIG ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE;
    }
    hold_signals(false);
    return worker_run(&worker);
}

int main(int argc, char **argv)
{
    return run(proc_arguments(argc, argv, "noria-worker", usage));
}
