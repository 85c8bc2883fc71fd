/* noria-worker: takes WebSocket connections. */
#include <string.h>

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
    "Environment: NORIA_RUNTIME_DIR, NORIA_READY_FD, NORIA_ORPHAN, WEBSOCKET_MAX_CONNECTIONS,\n"
    "WEBSOCKET_PING_INTERVAL, WEBSOCKET_PING_TIMEOUT.\n"
    "Exit: 0 stopped as told, 2 wrong usage, 78 the same start would fail again, else start it again.\n";

static void report(void *arg, const char *text)
{
    (void)arg;
    log_error("config", "%s", text);
}

static int run(const char *file)
{
    static struct worker worker;
    struct conf *conf = NULL;
    log_init("worker", LOG_INFO);
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    if (conf_load(file, report, NULL, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    log_init("worker", conf->log_level);
    enum err_e err = worker_start(&worker, conf);
    if (err != ERR_OK) {
        log_error("start", "%s", err_text(err));
        return err == ERR_CONFIG ? PROC_EXIT_PERMANENT : PROC_EXIT_FAILURE;
    }
    int code = worker_run(&worker);
    conf_free(&conf);
    return code;
}

int main(int argc, char **argv)
{
    return run(proc_arguments(argc, argv, "noria-worker", usage));
}
