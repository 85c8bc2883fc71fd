/* fan_setup.c — see fan_setup.h. */
#include "fan_setup.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define UP_MS       10000
#define LIVE_MS     60000
#define STOP_MS     5000
#define DRAIN_MS    60
#define DRAIN_LOOKS 3
#define SEND_BUFFER (128 * 1024)

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static void unshare(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}

/* --- the source ------------------------------------------------------------------------------------------------------- */

static int source_body(void *arg)
{
    const struct fan_source *source = arg;
    return source_run(&source->options, source->shared);
}

static enum err_e wait_up(struct fan_source *source)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + UP_MS * NS_PER_MS;
    while (atomic_load(&source->shared->up) < source->options.machines) {
        if (clock_mono_ns(clock_system()) >= deadline || !child_alive(&source->child)) {
            log_error("bench-source", "%u of %u machines are known to the broker",
                      atomic_load(&source->shared->up), source->options.machines);
            return ERR_TIMEOUT;
        }
        bench_sleep_ms(2);
    }
    return ERR_OK;
}

enum err_e fan_source_init(struct fan_source *source, const struct rig *rig)
{
    *source = (struct fan_source){.shared = share(sizeof *source->shared),
                                  .table = source_table_new(rig->config.machines)};
    if (source->shared == NULL || source->table == NULL)
        return ERR_MEMORY;
    source->options = (struct source_options){.endpoint = rig->endpoint,
                                              .machines = rig->config.machines,
                                              .payload = rig->config.payload,
                                              .table = source->table};
    return ERR_OK;
}

enum err_e fan_source_start(struct fan_source *source, const struct fleet *fleet, int core)
{
    source->shared->gen = fleet->shared[0];
    enum err_e err = child_fork("bench-source", core, source_body, source, &source->child);
    return err == ERR_OK ? wait_up(source) : err;
}

void fan_source_set(struct fan_source *source, enum source_command_e command)
{
    if (source->shared != NULL)
        atomic_store(&source->shared->command, command);
}

bool fan_source_stop(struct fan_source *source)
{
    fan_source_set(source, SOURCE_STOP);
    bool clean = source->child.name[0] == '\0' || child_wait(&source->child, STOP_MS);
    unshare(source->shared, sizeof *source->shared);
    source_table_free(&source->table);
    source->shared = NULL;
    return clean;
}

/* --- the sender of stream messages ------------------------------------------------------------------------------------ */

static int sender_body(void *arg)
{
    const struct fan_sender *sender = arg;
    return stream_sender_run(&sender->options, sender->shared);
}

enum err_e fan_sender_start(struct fan_sender *sender, const struct stream_sender_options *options,
                            const struct fleet *fleet, int core)
{
    *sender = (struct fan_sender){.shared = share(sizeof *sender->shared), .options = *options};
    if (sender->shared == NULL)
        return ERR_MEMORY;
    sender->shared->gen = fleet->shared[0];
    enum err_e err = child_fork("bench-sender", core, sender_body, sender, &sender->child);
    uint64_t deadline = clock_mono_ns(clock_system()) + UP_MS * NS_PER_MS;
    while (err == ERR_OK && atomic_load(&sender->shared->open) == 0) {
        if (clock_mono_ns(clock_system()) >= deadline || !child_alive(&sender->child))
            err = ERR_TIMEOUT;
        else
            bench_sleep_ms(2);
    }
    return err;
}

void fan_sender_set(struct fan_sender *sender, enum stream_sender_command_e command)
{
    if (sender->shared != NULL)
        atomic_store(&sender->shared->command, command);
}

bool fan_sender_stop(struct fan_sender *sender)
{
    fan_sender_set(sender, STREAM_SENDER_STOP);
    bool clean = sender->child.name[0] == '\0' || child_wait(&sender->child, STOP_MS);
    unshare(sender->shared, sizeof *sender->shared);
    sender->shared = NULL;
    return clean;
}

/* --- the bare sender -------------------------------------------------------------------------------------------------- */

static int bare_body(void *arg)
{
    const struct fan_bare *bare = arg;
    return bare_run(&bare->options, bare->shared);
}

static enum err_e start_clients(struct fan_bare *bare, const struct bench *bench, uint16_t port,
                                uint32_t clients)
{
    struct gen_options options = bench_gen(bench);
    options.port = port;
    options.clients = clients;
    options.dialogue = GEN_BARE;
    options.first_address = 100;
    options.table = bare->table;
    options.frames = bare->options.stream_bytes != 0 ? REF_STREAM : REF_STATES;
    enum err_e err = fleet_start(&bare->fleet, &options);
    if (err != ERR_OK)
        return err;
    bare->shared->gen = bare->fleet.shared[0];
    err = child_fork("bench-bare", bench_rig(bench).worker_core, bare_body, bare, &bare->child);
    return err == ERR_OK ? fleet_wait_live(&bare->fleet, LIVE_MS) : err;
}

static enum err_e start_bare(struct fan_bare *bare, const struct bench *bench, uint32_t machines,
                             uint32_t stream_bytes, uint32_t clients)
{
    uint16_t port = 0;
    *bare = (struct fan_bare){.shared = share(sizeof *bare->shared), .table = source_table_new(machines)};
    int fd = rig_listen(&port);
    if (bare->shared == NULL || bare->table == NULL || fd < 0) {
        if (fd >= 0)
            close(fd);
        return ERR_SYSTEM;
    }
    bare->options = (struct bare_options){.listen_fd = fd,
                                          .machines = machines,
                                          .payload = bench->options.payload,
                                          .stream_bytes = stream_bytes,
                                          .send_buffer_bytes = SEND_BUFFER,
                                          .table = bare->table};
    atomic_store(&bare->shared->batch, 1);
    enum err_e err = start_clients(bare, bench, port, clients);
    close(fd);
    return err;
}

enum err_e fan_bare_start(struct fan_bare *bare, const struct bench *bench, uint32_t machines,
                          uint32_t clients)
{
    return start_bare(bare, bench, machines, 0, clients);
}

enum err_e fan_bare_start_stream(struct fan_bare *bare, const struct bench *bench, uint32_t bytes,
                                 uint32_t clients)
{
    return start_bare(bare, bench, 1, bytes, clients);
}

void fan_bare_set(struct fan_bare *bare, enum bare_command_e command)
{
    if (bare->shared != NULL)
        atomic_store(&bare->shared->command, command);
}

bool fan_bare_stop(struct fan_bare *bare)
{
    bool clean = fleet_stop(&bare->fleet);
    fan_bare_set(bare, BARE_STOP);
    clean = (bare->child.name[0] == '\0' || child_wait(&bare->child, STOP_MS)) && clean;
    unshare(bare->shared, sizeof *bare->shared);
    source_table_free(&bare->table);
    bare->shared = NULL;
    return clean;
}

void fan_drain(const struct fleet *fleet)
{
    uint64_t before;
    unsigned quiet = 0;
    for (unsigned tries = 0; quiet < DRAIN_LOOKS && tries < 200; tries++) {
        before = fleet_counts(fleet).bytes;
        bench_sleep_ms(DRAIN_MS);
        quiet = fleet_counts(fleet).bytes == before ? quiet + 1 : 0;
    }
}
