/* pool_bench — what a message costs a worker in workers/acceptor/pool: rounds of MESSAGE and REPLY per CPU-second of this
 * process, through a real Unix socket to a handler process that answers at once, and the same without pool and loop (the bare codec over
 * the same socket), as a yardstick.
 *
 *     pool_bench [ROUNDS [BODY_BYTES]]     prints one line for each number of messages that are under way at once
 *
 * Nothing of dialects: bodies are texts, answers are counted. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "must.h"
#include "pool.h"

enum { CONNS = 64, BUFFER = 1 << 20 };

struct bench {
    uv_loop_t loop;
    struct pool *pool;
    struct pool_conn *conns[CONNS];
    char *body;
    size_t body_len;
    uint64_t rounds, sent, answered, failed;
    uint64_t calls; /* of the loop */
};

static struct bench bench;

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- the handler -------------------------------------------------------------------------------------------------------- */

static void answer(const struct handler_message *message, msgpack_sbuffer *out)
{
    struct handler_message said = {.type = message->type == HANDLER_HELLO     ? HANDLER_WELCOME
                                           : message->type == HANDLER_MESSAGE ? HANDLER_REPLY
                                                                              : HANDLER_TAKEN,
                                   .version = HANDLER_VERSION,
                                   .program = handler_text("pool_bench"),
                                   .event = message->event,
                                   .status = 200,
                                   .body_bytes = message->body_bytes,
                                   .body_len = message->body_len};
    MUST(handler_encode(&said, out) == ERR_OK);
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, data, len);
        if (put <= 0)
            _exit(0);
        data += put;
        len -= (size_t)put;
    }
}

/* Answers whole what one read brought. */
static size_t answer_all(char *in, size_t len, msgpack_zone *zone, msgpack_sbuffer *out)
{
    size_t at = 0, message_len;
    while (handler_frame(in + at, len - at, &message_len) == ERR_OK) {
        struct handler_message message;
        MUST(handler_decode_head(in + at + 4, message_len, zone, &message) == ERR_OK);
        answer(&message, out);
        msgpack_zone_clear(zone);
        at += 4 + message_len;
    }
    memmove(in, in + at, len - at);
    return len - at;
}

static void handle(int listen_fd)
{
    msgpack_zone zone;
    msgpack_sbuffer out;
    char *in = malloc(BUFFER);
    MUST(in != NULL && msgpack_zone_init(&zone, 8192));
    msgpack_sbuffer_init(&out);
    int fd = accept(listen_fd, NULL, NULL);
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, in + len, BUFFER - len);
        if (got <= 0)
            _exit(0);
        len = answer_all(in, len + (size_t)got, &zone, &out);
        write_all(fd, out.data, out.size);
        msgpack_sbuffer_clear(&out);
    }
}

static pid_t start_handler(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && bind(fd, (void *)&address, sizeof address) == 0 && listen(fd, 4) == 0);
    pid_t pid = fork();
    if (pid == 0)
        handle(fd);
    close(fd);
    return pid;
}

/* --- the pool ----------------------------------------------------------------------------------------------------------- */

static void send_one(uint64_t which)
{
    MUST(pool_send(bench.conns[which % CONNS], bench.body, bench.body_len, which) == ERR_OK);
    bench.sent++;
}

static void on_answered(void *owner, uint64_t token, const struct pool_answer *answer)
{
    (void)owner;
    bench.answered++;
    bench.failed += answer->outcome != POOL_REPLY;
    if (bench.sent < bench.rounds)
        send_one(token);
}

static enum err_e on_publish(void *arg, size_t handler, struct handler_text path, struct handler_text topic,
                             uint64_t status, const msgpack_object *body, void *except)
{
    (void)arg, (void)handler, (void)path, (void)topic, (void)status, (void)body, (void)except;
    return ERR_NOT_FOUND;
}

static bool on_may_publish(void *arg)
{
    (void)arg;
    return true;
}

static void turn(void)
{
    uv_run(&bench.loop, UV_RUN_ONCE);
    bench.calls++;
}

static void run_pool(const struct conf *conf, unsigned under_way)
{
    static const struct pool_events events = {
        .answered = on_answered, .publish = on_publish, .may_publish = on_may_publish};
    struct pool_config config = {.loop = &bench.loop,
                                 .clock = clock_system(),
                                 .conf = conf,
                                 .worker = "bench",
                                 .max_answer_bytes = 1 << 20,
                                 .events = &events};
    struct pool_client client = {.query = "", .principal = "", .peer = "127.0.0.1:1"};
    MUST(uv_loop_init(&bench.loop) == 0 && pool_new(&config, &bench.pool) == ERR_OK);
    bench.sent = bench.answered = bench.failed = bench.calls = 0;
    for (unsigned i = 0; i < CONNS; i++)
        bench.conns[i] = pool_open(bench.pool, &client, &bench);
    while (pool_counts(bench.pool)->opened < CONNS)
        turn();
    double before = cpu_seconds();
    for (unsigned i = 0; i < under_way; i++)
        send_one(i);
    for (bench.calls = 0; bench.answered < bench.rounds;)
        turn();
    double took = cpu_seconds() - before;
    printf("pool  %3u under way: %8.0f rounds per CPU-second, %.2f us each, %.1f answers per turn of the "
           "loop, %" PRIu64 " failed\n",
           under_way, (double)bench.rounds / took, took / (double)bench.rounds * 1e6,
           (double)bench.rounds / (double)bench.calls, bench.failed);
    for (unsigned i = 0; i < CONNS; i++)
        pool_close(bench.conns[i]);
    pool_free(&bench.pool);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    MUST(uv_loop_close(&bench.loop) == 0);
}

/* --- the yardstick: codec and socket, and nothing else ---------------------------------------------------------------------------- */

static void run_bare(const char *path, unsigned under_way)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (void *)&address, sizeof address) == 0);
    msgpack_zone zone;
    msgpack_sbuffer out;
    char *in = malloc(BUFFER);
    MUST(in != NULL && msgpack_zone_init(&zone, 8192));
    msgpack_sbuffer_init(&out);
    uint64_t sent = 0, answered = 0, may_send = under_way;
    size_t len = 0;
    double before = cpu_seconds();
    while (answered < bench.rounds) {
        for (; may_send > 0 && sent < bench.rounds; may_send--) {
            struct handler_message message = {.type = HANDLER_MESSAGE,
                                              .event = ++sent,
                                              .conn = 1,
                                              .body_bytes = bench.body,
                                              .body_len = bench.body_len};
            MUST(handler_encode(&message, &out) == ERR_OK);
        }
        write_all(fd, out.data, out.size);
        msgpack_sbuffer_clear(&out);
        ssize_t got = read(fd, in + len, BUFFER - len);
        MUST(got > 0);
        len += (size_t)got;
        size_t at = 0, message_len;
        for (; handler_frame(in + at, len - at, &message_len) == ERR_OK; at += 4 + message_len) {
            struct handler_message message;
            MUST(handler_decode(in + at + 4, message_len, &zone, &message) == ERR_OK);
            msgpack_zone_clear(&zone);
            answered++;
            may_send++;
        }
        len -= at;
        memmove(in, in + at, len);
    }
    double took = cpu_seconds() - before;
    printf("bare  %3u under way: %8.0f rounds per CPU-second, %.2f us each\n", under_way,
           (double)bench.rounds / took, took / (double)bench.rounds * 1e6);
    close(fd);
    free(in);
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&out);
}

static void make_body(size_t len)
{
    bench.body = malloc(len + 5);
    MUST(bench.body != NULL && len <= UINT16_MAX);
    bench.body[0] = (char)0xda; /* str 16 */
    bench.body[1] = (char)(len >> 8);
    bench.body[2] = (char)len;
    memset(bench.body + 3, 'x', len);
    bench.body_len = len + 3;
}

int main(int argc, char **argv)
{
    bench.rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    make_body(argc > 2 ? strtoull(argv[2], NULL, 10) : 100);
    char dir[] = "/tmp/pool-bench-XXXXXX", path[64];
    MUST(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    struct conf_handler handler = {
        .name = "bench", .socket = path, .processes = 1, .deadline_ms = 60000, .stuck_ms = 60000};
    struct conf_endpoint endpoint = {.path = "/b", .handler_name = "bench", .schema = "", .reply_schema = ""};
    struct conf conf = {.runtime_dir = dir,
                        .handlers = &handler,
                        .handler_count = 1,
                        .endpoints = &endpoint,
                        .endpoint_count = 1};
    static const unsigned under_way[] = {1, 8, 32, 64, 256};
    for (unsigned i = 0; i < 2 * ARRAY_LEN(under_way); i++) {
        pid_t pid = start_handler(path);
        if (i % 2 == 0)
            run_bare(path, under_way[i / 2]);
        else
            run_pool(&conf, under_way[i / 2]);
        waitpid(pid, NULL, 0); /* it ends with the stream */
        unlink(path);
    }
    free(bench.body);
    return rmdir(dir);
}
