/* ws_attack — what an attacker makes the server spend, per unit of what he spends himself.
 *
 *     ws_attack [SECONDS [MAX_MESSAGES_PER_S]]      default 2 s each, 1000 per second; 0: no limit
 *
 * Each attack runs against a fresh server (gate and ws as a worker has them, nothing behind) in a process of its own, for as
 * long by the wall's clock. CPU is getrusage() of both processes, so a shared machine shifts the ratio little; memory is
 * what the server's resident set grew by, per connection. The attacker is as cheap as we could make him: prebuilt bytes,
 * one blocking send per 16 KiB.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "clock.h"
#include "gate.h"
#include "must.h"
#include "ws.h"

#define BLOCK_BYTES 16384u
#define HEAD                                                                                                 \
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                             \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

struct report { /* in memory that both processes share */
    double server_s, attacker_s;
    double server_kib;
    unsigned connections;
    uint64_t messages, throttled;
};

struct attack {
    const char *name;
    void (*run)(const struct attack *attack, uint16_t port, uint64_t end_ns);
    const char *frame; /* of a flood */
    size_t frame_len;
    unsigned connections;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    MUST(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* --- attackers ------------------------------------------------------------------------------------------------------- */

static int connect_to(uint16_t port, unsigned n)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + n % 8)};
    struct timeval limit = {.tv_usec = 50000}; /* a send that is held back looks at the clock again */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    MUST(fd >= 0 && bind(fd, (void *)&from, sizeof from) == 0);
    if (connect(fd, (void *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static int upgrade(uint16_t port, unsigned n)
{
    char answer[512];
    int fd = connect_to(port, n);
    if (fd < 0 || send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL) < 0 ||
        recvfrom(fd, answer, sizeof answer, 0, NULL, NULL) < 12) {
        close(fd);
        return -1;
    }
    return fd;
}

static void drop(int fd)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static size_t fill_block(const struct attack *attack, char *block)
{
    size_t len = 0;
    for (; len + attack->frame_len <= BLOCK_BYTES; len += attack->frame_len)
        memcpy(block + len, attack->frame, attack->frame_len);
    return len;
}

/* One connection, the same frame for ever; what the server answers is thrown away. Short writes go on where they stopped. */
static void flood(const struct attack *attack, uint16_t port, uint64_t end_ns)
{
    static char block[BLOCK_BYTES], answers[1 << 16];
    size_t len = fill_block(attack, block), at = 0;
    int fd = upgrade(port, 0);
    MUST(fd >= 0);
    while (now_ns() < end_ns) {
        ssize_t sent = send(fd, block + at, len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            break; /* thrown out */
        at = sent > 0 ? (at + (size_t)sent) % len : at;
        while (recvfrom(fd, answers, sizeof answers, MSG_DONTWAIT, NULL, NULL) > 0)
            ;
    }
    drop(fd);
}

/* Many connections that each begin the largest message and stop before its last byte. */
static void unfinished(const struct attack *attack, uint16_t port, uint64_t end_ns)
{
    static char message[14 + 65535] = "\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4";
    int *fds = calloc(attack->connections, sizeof *fds);
    MUST(fds != NULL);
    for (unsigned i = 0; i < attack->connections && now_ns() < end_ns; i++) {
        fds[i] = upgrade(port, i);
        if (fds[i] >= 0)
            (void)!send(fds[i], message, sizeof message, MSG_NOSIGNAL);
    }
    while (now_ns() < end_ns)
        pause(); /* until the alarm */
    free(fds);
}

/* Heads that grow by one byte per round, on many connections. */
static void loris(const struct attack *attack, uint16_t port, uint64_t end_ns)
{
    int *fds = calloc(attack->connections, sizeof *fds);
    MUST(fds != NULL);
    for (unsigned i = 0; i < attack->connections; i++)
        MUST((fds[i] = connect_to(port, i)) >= 0);
    for (size_t at = 0; now_ns() < end_ns; at++)
        for (unsigned i = 0; i < attack->connections; i++)
            if (send(fds[i], &HEAD[at % 60], 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                break;
    free(fds);
}

/* Connections that say nothing. */
static void half_open(const struct attack *attack, uint16_t port, uint64_t end_ns)
{
    for (unsigned i = 0; i < attack->connections; i++)
        MUST(connect_to(port, i) >= 0);
    while (now_ns() < end_ns)
        pause();
}

/* Connections that come and go without a word; then with a whole handshake. */
static void come_and_go(const struct attack *attack, uint16_t port, uint64_t end_ns)
{
    for (unsigned n = 0; now_ns() < end_ns; n++) {
        int fd = attack->frame_len ? upgrade(port, n) : connect_to(port, n);
        if (fd >= 0)
            drop(fd);
    }
}

#define FRAME(bytes) bytes, sizeof(bytes) - 1
static const struct attack attacks[] = {
    {"empty messages", flood, FRAME("\x81\x80\0\0\0\0"), 1},
    {"messages of 10 bytes", flood, FRAME("\x82\x8a\1\2\3\4abcdefghij"), 1},
    {"messages of 100 bytes", flood,
     FRAME("\x82\xe4\1\2\3\4abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija"
           "bcdefghijabcdefghij"),
     1},
    {"empty pings", flood, FRAME("\x89\x80\0\0\0\0"), 1},
    {"pongs", flood, FRAME("\x8a\x80\0\0\0\0"), 1},
    {"messages of many empty fragments", flood,
     FRAME("\x01\x80\0\0\0\0\0\x80\0\0\0\0\0\x80\0\0\0\0\x80\x80\0\0\0\0"), 1},
    {"messages that are never finished", unfinished, FRAME(""), 2000},
    {"slow heads", loris, FRAME(""), 2000},
    {"half-open connections", half_open, FRAME(""), 8000},
    {"connections that come and go", come_and_go, FRAME(""), 1},
    {"handshakes that come and go", come_and_go, FRAME("x"), 1},
};

/* --- the server ------------------------------------------------------------------------------------------------------ */

struct server {
    uv_loop_t loop;
    uv_timer_t end;
    struct gate *gate;
    struct ws *ws;
};

static bool on_open(void *arg, struct ws_conn *conn, const struct gate_request *request, unsigned listener)
{
    (void)arg;
    (void)conn;
    (void)request;
    (void)listener;
    return true;
}

static void on_message(void *arg, struct ws_conn *conn, const char *data, size_t len, bool binary)
{
    (void)arg;
    (void)conn;
    (void)data;
    (void)len;
    (void)binary;
}

static void on_conn(void *arg, struct ws_conn *conn)
{
    (void)arg;
    (void)conn;
}

static void on_accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    ws_adopt(((struct server *)arg)->ws, fd, request, listener);
}

static void on_end(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void serve(int listen_fd, uint32_t rate, uint64_t ms, struct report *report)
{
    static const struct ws_events events = {on_open, on_message, on_conn, on_conn, NULL};
    static struct server s;
    uv_loop_init(&s.loop);
    struct ws_config ws = {.loop = &s.loop,
                           .user_bytes = 64,
                           .max_message_bytes = 65536,
                           .max_messages_per_s = rate,
                           .ping_interval_ms = 30000,
                           .ping_timeout_ms = 10000,
                           .events = &events,
                           .arg = &s};
    MUST(ws_new(&ws, &s.ws) == ERR_OK);
    struct gate_listener listener = {.fd = listen_fd};
    struct gate_config gate = {.loop = &s.loop,
                               .clock = clock_system(),
                               .listeners = &listener,
                               .listener_count = 1,
                               .send_buffer_bytes = 131072,
                               .accepted = on_accepted,
                               .arg = &s};
    MUST(gate_new(&gate, &s.gate) == ERR_OK);
    double cpu = cpu_s(), memory = resident_kib();
    uv_timer_init(&s.loop, &s.end);
    uv_timer_start(&s.end, on_end, ms, 0);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    report->server_s = cpu_s() - cpu;
    report->server_kib = resident_kib() - memory;
    report->connections = (unsigned)(ws_count(s.ws) + gate_counts(s.gate)->half_open);
    report->messages = ws_counts(s.ws)->messages;
    report->throttled = ws_counts(s.ws)->throttled;
    _exit(0);
}

/* --- one attack ------------------------------------------------------------------------------------------------------ */

static void ignore(int signo)
{
    (void)signo;
}

static uint16_t listen_any(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(*fd >= 0 && bind(*fd, (void *)&address, len) == 0 && listen(*fd, 4096) == 0);
    MUST(getsockname(*fd, (void *)&address, &len) == 0);
    return ntohs(address.sin_port);
}

static void attack_from_here(const struct attack *attack, uint16_t port, unsigned seconds,
                             struct report *report)
{
    double before = cpu_s();
    struct sigaction action = {.sa_handler = ignore};
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
    attack->run(attack, port, now_ns() + seconds * NS_PER_S);
    report->attacker_s = cpu_s() - before;
    pause(); /* the server ends first, and its memory is read while all this stands */
}

static void perform(const struct attack *attack, unsigned seconds, uint32_t rate, struct report *report)
{
    int fd;
    uint16_t port = listen_any(&fd);
    pid_t server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(fd, rate, seconds * 1000 + 300, report);
    }
    pid_t attacker = fork();
    if (attacker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fd);
        attack_from_here(attack, port, seconds, report);
        _exit(0);
    }
    close(fd);
    waitpid(server, NULL, 0);
    kill(attacker, SIGKILL);
    waitpid(attacker, NULL, 0);
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
    uint32_t rate = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(report != MAP_FAILED);
    printf("%-34s %9s %9s %7s %8s %10s %11s\n", "", "server s", "attack s", "ratio", "of core", "messages",
           "KiB/conn");
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        memset(report, 0, sizeof *report);
        perform(&attacks[i], seconds, rate, report);
        printf("%-34s %9.3f %9.3f %7.1f %7.1f%% %10llu %11.2f\n", attacks[i].name, report->server_s,
               report->attacker_s, report->server_s / report->attacker_s,
               100 * report->server_s / (seconds + 0.3), (unsigned long long)report->messages,
               report->connections ? report->server_kib / report->connections : 0.0);
        fflush(stdout);
    }
    return 0;
}
