/* fanout_bench — what audiences, lag and resuming cost, without sockets: frames go to a sink that takes everything, or
 * nothing. Figures for workers/acceptor/fanout/README.md.
 *
 *     fanout_bench [clients] [machines]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "history.h"
#include "must.h"
#include "outbox.h"
#include "ring_writer.h"
#include "ws_frame.h"

#define FRAME 300u

static bool takes = true;
static uint64_t delivered;

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    (void)sink;
    *taken = 0;
    for (int i = 0; takes && i < count; i++)
        *taken += pieces[i].iov_len;
    delivered += *taken;
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    (void)sink;
    return takes;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    (void)sink;
    (void)code;
    (void)reason;
}

static size_t states(void *arg, struct client *client, const struct mirror_machine *const *machines,
                     uint32_t count, uint64_t position, void *frame, size_t cap)
{
    (void)arg;
    (void)client;
    (void)machines;
    (void)position;
    (void)cap;
    memset(frame, 'x', 100 * count + 10);
    return 100 * count + 10;
}

static void gap(void *arg, struct client *client)
{
    (void)arg;
    (void)client;
}

struct bench {
    unsigned clients, machines;
    struct mirror mirror;
    struct history history;
    struct audiences audiences;
    struct outbox outbox;
    struct client *all;
    char (*ids)[24];
    unsigned char frame[FRAME];
};

/* CPU time: the machine may be shared. */
static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void set_up(struct bench *b)
{
    static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};
    static const struct outbox_dialect dialect = {states, gap};
    mirror_init(&b->mirror);
    history_init(&b->history);
    audiences_init(&b->audiences, AUDIENCE_HARD_BYTES);
    b->outbox = (struct outbox){.audiences = &b->audiences,
                                .mirror = &b->mirror,
                                .history = &b->history,
                                .sink = &sink,
                                .dialect = &dialect,
                                .clock = clock_system(),
                                .limits = OUTBOX_LIMITS_DEFAULT,
                                .position = RECORD_ALIGN};
    b->all = calloc(b->clients, sizeof *b->all);
    b->ids = calloc(b->machines, sizeof *b->ids);
    MUST(b->all != NULL && b->ids != NULL);
    for (unsigned m = 0; m < b->machines; m++)
        snprintf(b->ids[m], sizeof b->ids[m], "machine_%u", m);
    for (unsigned i = 0; i < b->clients; i++)
        b->all[i].magic = CLIENT_MAGIC;
    memset(b->frame, 'f', FRAME);
}

static void join_random(struct bench *b, unsigned i, bool mixed)
{
    struct topic topics[100];
    uint32_t count = 0, machines = 1 + (unsigned)rand() % 50;
    for (uint32_t n = 0; n < machines; n++) {
        const char *id = b->ids[(unsigned)rand() % b->machines];
        topic_make(&topics[count++], TOPIC_STATE, id);
        if (mixed)
            topic_make(&topics[count++], TOPIC_RESULT, id);
    }
    MUST(outbox_move(&b->outbox, &b->all[i], topics, count) == ERR_OK);
}

static void publish(struct bench *b, enum topic_kind_e kind, unsigned machine)
{
    struct topic topics[2];
    topic_make(&topics[0], kind, b->ids[machine]);
    topic_make(&topics[1], kind, NULL);
    audiences_begin_record(&b->audiences, b->outbox.position, kind != TOPIC_STATE);
    b->outbox.position += 512;
    for (int i = 0; i < 2; i++)
        audiences_append(&b->audiences, topics[i].hash, topics[i].name, topics[i].len, b->frame, FRAME, 0);
}

static void drop_all(struct bench *b)
{
    uint64_t begin = now_ns();
    for (unsigned i = 0; i < b->clients; i++) {
        outbox_drop(&b->outbox, &b->all[i]);
        b->all[i] = (struct client){.magic = CLIENT_MAGIC};
    }
    printf("  leaving                     %6.2f us each\n", (double)(now_ns() - begin) / b->clients / 1e3);
}

static void run_rounds(struct bench *b, unsigned records, unsigned batch)
{
    uint64_t begin = now_ns(), appended = b->audiences.appends, writes = b->outbox.counts.writes;
    delivered = 0;
    for (unsigned n = 0; n < records; n++) {
        publish(b, TOPIC_STATE, (unsigned)rand() % b->machines);
        if (n % batch == batch - 1)
            while (outbox_slice(&b->outbox, NS_PER_S))
                ;
    }
    double ns = (double)(now_ns() - begin), appends = (double)(b->audiences.appends - appended);
    printf("  %6u records in batches of %-4u: %5.0f ns per append, %5.0f ns per delivery, %.1f M deliveries, "
           "%.2f M writes\n",
           records, batch, ns / appends, ns / ((double)delivered / FRAME), (double)delivered / FRAME / 1e6,
           (double)(b->outbox.counts.writes - writes) / 1e6);
}

static void worst_audiences(struct bench *b, bool mixed)
{
    printf("%u clients, each another set of 1 to 50 of %u machines%s\n", b->clients, b->machines,
           mixed ? ", states and results" : ", states");
    size_t before = heap_bytes();
    uint64_t begin = now_ns();
    for (unsigned i = 0; i < b->clients; i++)
        join_random(b, i, mixed);
    printf("  joining                     %6.2f us each, %zu audiences, %zu topics\n",
           (double)(now_ns() - begin) / b->clients / 1e3, b->audiences.by_key.count,
           b->audiences.topics.count);
    printf("  memory, never sent to       %6zu bytes per audience\n", (heap_bytes() - before) / b->clients);
    run_rounds(b, 500, 1);
    run_rounds(b, 5000, 100);
    printf("  memory, at rest             %6zu bytes per audience\n", (heap_bytes() - before) / b->clients);
    takes = false;
    for (unsigned n = 0; n < 200000; n++) {
        publish(b, TOPIC_STATE, (unsigned)rand() % b->machines);
        if (mixed && n % 100 == 0)
            publish(b, TOPIC_RESULT, (unsigned)rand() % b->machines);
        if (n % 100 == 0)
            outbox_slice(&b->outbox, NS_PER_S);
    }
    printf("  memory, nobody reads        %6zu bytes per audience, %zu MiB of the budget, %llu lag\n",
           (heap_bytes() - before) / b->clients, b->audiences.budget.used_bytes >> 20,
           (unsigned long long)b->outbox.counts.lags);
    takes = true;
    drop_all(b);
}

static void one_audience(struct bench *b)
{
    struct topic topic;
    printf("%u clients in one audience\n", b->clients);
    topic_make(&topic, TOPIC_STATE, NULL);
    for (unsigned i = 0; i < b->clients; i++)
        MUST(outbox_move(&b->outbox, &b->all[i], &topic, 1) == ERR_OK);
    run_rounds(b, 100, 1);
    run_rounds(b, 5000, 100);
    drop_all(b);
}

/* --- resuming ------------------------------------------------------------------------------------------------------------ */

static void fill_ring(struct bench *b, struct ring_writer *ring, unsigned records, unsigned results_in_100)
{
    static const struct record_state state;
    static const struct record_outcome outcome;
    for (unsigned n = 0; n < records; n++) {
        bool result = n % 100 < results_in_100;
        const char *id = b->ids[(unsigned)rand() % b->machines];
        struct topic topics[2];
        topic_make(&topics[0], result ? TOPIC_RESULT : TOPIC_STATE, id);
        topic_make(&topics[1], result ? TOPIC_RESULT : TOPIC_STATE, NULL);
        struct ring_entry entry = {.kind = result ? RECORD_RESULT : RECORD_STATE,
                                   .dialect = DIALECT_CAROUSEL,
                                   .topics = topics,
                                   .topic_count = 2,
                                   .meta = result ? (const void *)&outcome : &state,
                                   .meta_len = result ? sizeof outcome : sizeof state,
                                   .frame = b->frame,
                                   .frame_len = FRAME};
        MUST(ring_writer_append(ring, &entry) == ERR_OK);
        ring_writer_publish(ring);
    }
}

static int by_value(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, c = *(const uint64_t *)y;
    return a < c ? -1 : a > c;
}

static void resume_all(struct bench *b, uint64_t since, const char *what)
{
    uint64_t begin = now_ns(), replayed = b->outbox.counts.frames_replayed;
    for (unsigned i = 0; i < b->clients; i++) {
        uint64_t hashes[100];
        join_random(b, i, true);
        uint32_t count = audience_kept_hashes(b->all[i].audience, hashes);
        qsort(hashes, count, sizeof hashes[0], by_value);
        const struct history_filter filter = {hashes, count, DIALECT_CAROUSEL};
        MUST(outbox_replay(&b->outbox, &b->all[i], &filter, since) == ERR_OK);
    }
    printf("  %s: %.0f ms for all, %.1f us each, %llu frames\n", what, (double)(now_ns() - begin) / 1e6,
           (double)(now_ns() - begin) / b->clients / 1e3,
           (unsigned long long)(b->outbox.counts.frames_replayed - replayed));
    drop_all(b);
}

static void resuming(struct bench *b, unsigned results_in_100)
{
    char path[64];
    bool continued;
    struct ring_writer *ring;
    snprintf(path, sizeof path, "/dev/shm/fanout-bench-%d", (int)getpid());
    MUST(ring_writer_open(path, 64 << 20, &ring, &continued) == ERR_OK);
    fill_ring(b, ring, 200000, results_in_100);
    uint64_t next = ring_writer_next(ring), begin = now_ns();
    MUST(history_attach(&b->history, path, ring_writer_id(ring), next) == ERR_OK);
    uint64_t held = b->history.head - b->history.tail;
    printf("attaching to a full ring of 64 MiB, %u %% results: %.1f ms, %llu held\n", results_in_100,
           (double)(now_ns() - begin) / 1e6, (unsigned long long)held);
    b->outbox.position = next;
    printf("%u clients resume at once, each another set\n", b->clients);
    resume_all(b, next, "nothing missed       ");
    resume_all(b, next - (1 << 20), "1 MiB of ring missed ");
    if (results_in_100 < 100)
        resume_all(b, next - (16 << 20), "16 MiB missed        ");
    ring_writer_close(&ring);
    unlink(path);
}

int main(int argc, char **argv)
{
    static struct bench b;
    b.clients = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    b.machines = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000;
    srand(1);
    set_up(&b);
    one_audience(&b);
    worst_audiences(&b, false);
    worst_audiences(&b, true);
    resuming(&b, 2);
    resuming(&b, 100);
    history_fini(&b.history);
    audiences_fini(&b.audiences);
    mirror_fini(&b.mirror);
    free(b.all);
    free(b.ids);
    return 0;
}
