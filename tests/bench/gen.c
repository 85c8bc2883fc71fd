/* gen.c — the generator's loop: opening connections a bounded number at a time, obeying the parent (gen.h). */
#include "gen.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gen_conn.h"
#include "must.h"

#define EVENTS_PER_WAIT 256
#define WAIT_MS         5 /* how late a command may be seen */
#define OPEN_AT_ONCE                                                                                         \
    64 /* connects between two looks at the sockets: a real client says its request at once */

struct gen_shared *gen_shared_new(void)
{
    void *memory =
        mmap(NULL, sizeof(struct gen_shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

void gen_shared_free(struct gen_shared **shared)
{
    if (*shared != NULL)
        munmap(*shared, sizeof **shared);
    *shared = NULL;
}

static enum err_e gen_init(struct gen *gen, const struct gen_options *options, struct gen_shared *shared)
{
    MUST(options->clients <= GEN_CLIENTS_MAX);
    *gen = (struct gen){.options = options, .shared = shared, .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    gen->buffer_size = FRAME_LIMIT + 1024 * 1024;
    gen->buffer = malloc(gen->buffer_size);
    gen->conns = calloc(options->clients, sizeof *gen->conns);
    enum err_e err = ref_log_init(&gen->refs, options->frames, options->table);
    if (gen->epoll_fd < 0)
        return ERR_SYSTEM;
    return gen->buffer == NULL || gen->conns == NULL ? ERR_MEMORY : err;
}

static void drop_all(struct gen *gen)
{
    for (uint32_t i = 0; i < gen->options->clients; i++)
        if (gen->conns[i].state != CONN_UNUSED)
            conn_drop(gen, &gen->conns[i]);
}

static void gen_fini(struct gen *gen)
{
    if (gen->conns != NULL)
        drop_all(gen);
    ref_log_fini(&gen->refs);
    free(gen->conns);
    free(gen->buffer);
    if (gen->epoll_fd >= 0)
        close(gen->epoll_fd);
}

static uint32_t unused(struct gen *gen)
{
    for (uint32_t tries = 0; tries < gen->options->clients; tries++) {
        uint32_t index = gen->next;
        gen->next = gen->next + 1 < gen->options->clients ? gen->next + 1 : 0;
        if (gen->conns[index].state == CONN_UNUSED)
            return index;
    }
    return UINT32_MAX;
}

static uint32_t open_count(const struct gen *gen)
{
    return atomic_load_explicit(&gen->shared->live, memory_order_relaxed) +
           atomic_load_explicit(&gen->shared->live_slow, memory_order_relaxed) + gen->connecting;
}

/* Opens what is missing, `burst` handshakes at a time. Connections that a server closed are not replaced unless
 * churning: they would hide that they were closed. */
static void open_missing(struct gen *gen, uint32_t burst)
{
    for (unsigned i = 0;
         i < OPEN_AT_ONCE && gen->connecting < burst && open_count(gen) < gen->options->clients; i++) {
        uint32_t index = unused(gen);
        if (index == UINT32_MAX || !conn_open(gen, index))
            return;
    }
}

static void begin_storm(struct gen *gen, bool resume)
{
    drop_all(gen);
    gen->resume = resume;
    gen->storm_begun_ns = gen_now_ns();
    atomic_store(&gen->shared->storm_ns, 0);
    atomic_store(&gen->shared->command, GEN_HOLD);
    open_missing(gen, gen->options->clients);
}

static void end_storm(struct gen *gen)
{
    if (gen->storm_begun_ns == 0 || gen->connecting > 0 || open_count(gen) < gen->options->clients)
        return;
    atomic_store(&gen->shared->storm_ns, gen_now_ns() - gen->storm_begun_ns);
    gen->storm_begun_ns = 0;
}

static void churn(struct gen *gen)
{
    for (uint32_t i = 0; i < gen->options->clients; i++)
        if (gen->conns[i].state == CONN_LIVE)
            conn_drop(gen, &gen->conns[i]);
    open_missing(gen, gen->options->clients);
}

/* True while the first connections are still being made, or a storm's. */
static bool filling(const struct gen *gen)
{
    uint64_t lost = atomic_load(&gen->shared->closed) + atomic_load(&gen->shared->closed_slow);
    return gen->storm_begun_ns != 0 || lost == 0;
}

static bool obey(struct gen *gen)
{
    enum gen_command_e command = atomic_load_explicit(&gen->shared->command, memory_order_acquire);
    switch (command) {
    case GEN_STOP:
        return false;
    case GEN_STORM:
    case GEN_RESUME:
        begin_storm(gen, command == GEN_RESUME);
        return true;
    case GEN_CHURN:
        churn(gen);
        return true;
    case GEN_RETURN:
        gen->returning = gen->resume = true;
        open_missing(gen, gen->options->clients);
        return true;
    default:
        if (filling(gen))
            open_missing(gen, gen->storm_begun_ns != 0 ? gen->options->clients : gen->options->burst);
        end_storm(gen);
        return true;
    }
}

static void loop(struct gen *gen)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    pid_t parent = getppid();
    while (obey(gen) && getppid() == parent) {
        int n = epoll_wait(gen->epoll_fd, events, EVENTS_PER_WAIT, gen->storm_begun_ns != 0 ? 0 : WAIT_MS);
        for (int i = 0; i < n; i++)
            conn_ready(gen, &gen->conns[events[i].data.u32], events[i].events);
    }
}

int gen_run(const struct gen_options *options, struct gen_shared *shared)
{
    struct gen gen;
    enum err_e err = gen_init(&gen, options, shared);
    if (err == ERR_OK)
        loop(&gen);
    gen_fini(&gen);
    return err == ERR_OK ? 0 : 1;
}
