/* handler_run.c — a program that is nothing but a handler: signals, loop, exit code (noria/handler.h).
 *
 * A signal handler and an eventfd instead of signalfd(2): whichever thread the signal is delivered to, the loop ends. */
#include "handler_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "proc.h"

static _Atomic(struct noria_handler *) running;

static void on_signal(int signo)
{
    (void)signo;
    struct noria_handler *handler = atomic_load(&running);
    if (handler != NULL)
        noria_handler_stop(handler);
}

static const int stops[] = {SIGTERM, SIGINT};

static void catch_signals(struct sigaction before[2])
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 2; i++)
        sigaction(stops[i], &action, &before[i]);
}

static void give_signals_back(const struct sigaction before[2])
{
    for (int i = 0; i < 2; i++)
        sigaction(stops[i], &before[i], NULL);
}

static int explain(int error)
{
    static const struct {
        int error, code;
        const char *text;
    } known[] = {
        {EINVAL, PROC_EXIT_PERMANENT,
         "endpoints need a path and on_receive, and a socket that was passed or is named"},
        {ENAMETOOLONG, PROC_EXIT_PERMANENT, "the socket's path is longer than 107 bytes"},
        {EADDRINUSE, PROC_EXIT_FAILURE, "another program answers at this socket"},
        {ESRCH, PROC_EXIT_FAILURE, "the launcher is gone"},
    };
    const char *text = strerror(error);
    int code = PROC_EXIT_FAILURE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].error == error) {
            text = known[i].text;
            code = known[i].code;
        }
    }
    log_error("handler-not-started", "error=\"%s\"", text);
    return code;
}

static void serve(struct noria_handler *handler)
{
    struct pollfd ready = {.fd = noria_handler_fd(handler), .events = POLLIN};
    while (noria_handler_service(handler) == 0)
        poll(&ready, 1, -1);
}

int noria_handler_run(const struct noria_handler_config *config)
{
    struct noria_handler *handler = noria_handler_new(config);
    if (handler == NULL)
        return explain(errno);
    struct sigaction before[2];
    atomic_store(&running, handler);
    catch_signals(before);
    serve(handler);
    give_signals_back(before);
    atomic_store(&running, NULL);
    noria_handler_free(&handler);
    return 0;
}
