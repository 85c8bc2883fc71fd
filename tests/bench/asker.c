/* asker.c — an asker as its scenario sees it: a child and the memory between them (ask.h). */
#include <stdatomic.h>
#include <sys/mman.h>

#include "ask.h"
#include "bench.h"
#include "clock.h"
#include "log.h"

#define UP_MS   10000
#define STOP_MS 5000

static int body(void *arg)
{
    const struct asker *asker = arg;
    return ask_run(&asker->options, asker->shared);
}

enum err_e asker_start(struct asker *asker, const char *name, const struct ask_options *options)
{
    void *memory =
        mmap(NULL, sizeof *asker->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *asker = (struct asker){.options = *options, .shared = memory != MAP_FAILED ? memory : NULL};
    if (asker->shared == NULL)
        return ERR_MEMORY;
    enum err_e err = child_fork(name, options->core, body, asker, &asker->child);
    uint64_t deadline = clock_mono_ns(clock_system()) + UP_MS * NS_PER_MS;
    while (err == ERR_OK && atomic_load(&asker->shared->live) < options->clients) {
        if (!child_alive(&asker->child))
            err = ERR_CLOSED;
        else if (clock_mono_ns(clock_system()) >= deadline)
            err = ERR_TIMEOUT;
        else
            bench_sleep_ms(2);
    }
    if (err != ERR_OK)
        log_error("bench-asker", "name=%s path=%s live=%u of %u: %s", name, options->path,
                  atomic_load(&asker->shared->live), options->clients, err_text(err));
    return err;
}

void asker_set(struct asker *asker, enum ask_command_e command)
{
    if (asker->shared != NULL)
        atomic_store(&asker->shared->command, command);
}

bool asker_drain(struct asker *asker, uint32_t timeout_ms)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + timeout_ms * NS_PER_MS;
    asker_set(asker, ASK_PAUSE);
    bench_sleep_ms(20); /* it may be about to send */
    while (atomic_load(&asker->shared->under_way) > 0) {
        if (clock_mono_ns(clock_system()) >= deadline || !child_alive(&asker->child))
            return false;
        bench_sleep_ms(1);
    }
    return true;
}

bool asker_stop(struct asker *asker)
{
    if (asker->shared == NULL)
        return true;
    bool stood = atomic_load(&asker->shared->closed) == 0;
    asker_set(asker, ASK_STOP);
    bool clean = asker->child.name[0] == '\0' || child_wait(&asker->child, STOP_MS);
    munmap(asker->shared, sizeof *asker->shared);
    asker->shared = NULL;
    return clean && stood;
}
