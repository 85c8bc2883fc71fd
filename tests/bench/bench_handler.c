/* bench_handler.c — bench-handler: a handler process that echoes, built on libnoria-handler as any other; told to by a control file
 * (bench_control.h), it misbehaves in its callback, where the library cannot help.
 *
 *     bench-handler [--control FILE]
 *
 * Spinning, deaf and flooding end when the scenario says so: a process that has to be killed would be another one in the next phase.
 */
#include <errno.h>
#include <fcntl.h>
#include <noria/handler.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench_control.h"

static struct bench_control *control; /* NULL: echo, always */

static enum control_mode_e mode(void)
{
    return atomic_load_explicit(&control->mode, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void crash(void)
{
    count(&control->crashes);
    abort();
}

/* As fast as the library and the worker take it. */
static void flood(struct noria_handler *handler)
{
    for (uint64_t number = 0; mode() == CONTROL_FLOOD; number++) {
        msgpack_packer packer;
        msgpack_sbuffer *body = noria_body(handler, &packer);
        msgpack_pack_map(&packer, 1);
        noria_pack_text(&packer, "flood");
        msgpack_pack_uint64(&packer, number);
        int err = noria_publish(handler, "/bad", "", NORIA_OK, body, NULL);
        if (err == 0)
            count(&control->published);
        if (err != 0 || number % 64 == 0)
            noria_flush(handler);
        if (err != 0)
            nap();
    }
}

static void put_on_weight(void)
{
    static enum control_weight_e weight = CONTROL_AS_STARTED;
    if (weight == atomic_load(&control->weight))
        return;
    weight = atomic_load(&control->weight);
    if (weight == CONTROL_NOT_NICE)
        setpriority(PRIO_PROCESS, 0, 0);
    else
        sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
}

static void misbehave(struct noria_handler *handler)
{
    put_on_weight();
    if (mode() == CONTROL_CRASH)
        crash();
    while (mode() == CONTROL_SPIN)
        count(&control->spins);
    while (mode() == CONTROL_DEAF) {
        count(&control->naps);
        nap();
    }
    if (mode() == CONTROL_FLOOD)
        flood(handler);
}

static int on_receive(struct noria_request *request, const msgpack_object *message)
{
    struct noria_handler *handler = noria_request_handler(request);
    msgpack_packer packer;
    if (control != NULL)
        misbehave(handler);
    msgpack_sbuffer *body = noria_body(handler, &packer);
    if (msgpack_pack_object(&packer, *message) != 0)
        return -ENOMEM;
    noria_reply(request, NORIA_OK, body);
    return 0;
}

static bool open_control(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *memory =
        fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "bench-handler: %s: %s\n", path, strerror(errno));
        return false;
    }
    control = memory;
    count(&control->starts);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const paths[] = {"/one/small", "/one/nested", "/two/small", "/two/nested",
                                        "/raw/small", "/raw/nested", "/good",      "/bad"};
    struct noria_endpoint endpoints[sizeof paths / sizeof paths[0]];
    struct noria_handler_config config = {.endpoints = endpoints,
                                          .endpoint_count = sizeof paths / sizeof paths[0]};
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--control") != 0)) {
        fputs("usage: bench-handler [--control FILE]\n", stderr);
        return 2;
    }
    if (argc == 3 && !open_control(argv[2]))
        return 1;
    if (control != NULL && mode() == CONTROL_CRASH)
        crash();
    for (size_t i = 0; i < config.endpoint_count; i++)
        endpoints[i] = (struct noria_endpoint){.path = paths[i], .on_receive = on_receive};
    return noria_handler_run(&config);
}
