/* store_latency.c — see store_latency.h. */
#include "store_latency.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "wsclient.h"

#define SAMPLE_MS 5000u
#define EXTRA_MS  60000u
#define SOURCES   16u
#define ANSWER    4096u

static const char request_body[] = "{\"tipo\":\"temperatura\",\"modelo\":\"DHT22\"}";

struct sample {
    int fd; /* of the POST; -1: read to the end */
    uint64_t sent_ns, answered_ns, event_ns;
    long long answered_id, event_id; /* 0: none yet */
    char answer[ANSWER];
    size_t len;
};

struct prober {
    uint16_t port;
    uint32_t samples;
    struct store_latency *result;
    struct wsclient listener;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static long long number_behind(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : 0;
}

/* --- one write ------------------------------------------------------------------------------------------------------ */

static bool post(struct prober *prober, uint32_t at, struct sample *sample)
{
    struct sockaddr_in from = {.sin_family = AF_INET},
                       to = {.sin_family = AF_INET, .sin_port = htons(prober->port)};
    char request[512];
    int on = 1,
        len = snprintf(
            request, sizeof request,
            "POST /api/v1/sensors HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\n"
            "Content-Length: %zu\r\n\r\n%s",
            prober->port, sizeof request_body - 1, request_body);
    *sample = (struct sample){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 200 + at % SOURCES);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (sample->fd < 0 || setsockopt(sample->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        setsockopt(sample->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(sample->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        connect(sample->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        return false;
    sample->sent_ns = now_ns();
    return send(sample->fd, request, (size_t)len, MSG_NOSIGNAL) == len;
}

static void hear(struct prober *prober, struct sample *sample, uint32_t timeout_ms)
{
    static char text[WSCLIENT_TEXT_MAX];
    if (wsclient_recv(&prober->listener, text, sizeof text, timeout_ms) != ERR_OK)
        return;
    if (strstr(text, "\"entity_type\":\"sensor\",\"event_type\":\"created\"") == NULL)
        return;
    sample->event_ns = prober->listener.received_ns;
    sample->event_id = number_behind(text, "\"entity_id\":");
}

static void read_answer(struct sample *sample)
{
    ssize_t n = recv(sample->fd, sample->answer + sample->len, ANSWER - 1 - sample->len, 0);
    if (n > 0) {
        sample->len += (size_t)n;
        sample->answer[sample->len] = '\0';
        const char *body = strstr(sample->answer, "\r\n\r\n");
        if (body == NULL || strchr(body, '}') == NULL || sample->answered_ns != 0)
            return;
        sample->answered_ns = now_ns();
        sample->answered_id =
            strncmp(sample->answer, "HTTP/1.1 201 ", 13) == 0 ? number_behind(body, "\"id\":") : -1;
        return;
    }
    close(sample->fd);
    sample->fd = -1;
}

/* False: not within SAMPLE_MS. */
static bool wait_for_both(struct prober *prober, struct sample *sample)
{
    uint64_t deadline = now_ns() + SAMPLE_MS * NS_PER_MS;
    while (sample->fd >= 0 || sample->event_id == 0) {
        struct pollfd fds[] = {{.fd = prober->listener.fd, .events = POLLIN},
                               {.fd = sample->fd, .events = POLLIN}};
        if (now_ns() >= deadline || poll(fds, 2, 100) < 0)
            return false;
        if (fds[0].revents != 0)
            hear(prober, sample, 1);
        if (fds[1].revents != 0)
            read_answer(sample);
    }
    return true;
}

static void take_sample(struct prober *prober, uint32_t at)
{
    static struct sample sample;
    struct store_latency *result = prober->result;
    bool ok =
        post(prober, at, &sample) && wait_for_both(prober, &sample) && sample.answered_id == sample.event_id;
    if (sample.fd >= 0)
        close(sample.fd);
    if (ok) {
        hist_add(&result->event, sample.event_ns - sample.sent_ns);
        hist_add(&result->answer, sample.answered_ns - sample.sent_ns);
        result->done++;
    } else if (result->wrong++ == 0) {
        snprintf(result->first_wrong, sizeof result->first_wrong, "answer of %lld, event of %lld: %.150s",
                 sample.answered_id, sample.event_id, sample.answer);
    }
}

/* --- the process ---------------------------------------------------------------------------------------------------- */

static int body(void *arg)
{
    static char text[WSCLIENT_TEXT_MAX];
    struct prober *prober = arg;
    if (wsclient_open_path(&prober->listener, prober->port, "/api/v1/ws?channel=sensors") != ERR_OK ||
        wsclient_expect(&prober->listener, "channel_stats", text, sizeof text, SAMPLE_MS) != ERR_OK)
        return 1;
    for (uint32_t i = 0; i < prober->samples && prober->result->wrong < 10; i++)
        take_sample(prober, i);
    wsclient_close(&prober->listener);
    return 0;
}

bool store_latency_measure(uint16_t port, uint32_t samples, int core, struct store_latency *result)
{
    struct store_latency *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct prober prober = {.port = port, .samples = samples, .result = shared};
    struct child child;
    memset(result, 0, sizeof *result);
    if (shared == MAP_FAILED)
        return false;
    bool clean = child_fork("bench-probe", core, body, &prober, &child) == ERR_OK &&
                 child_wait(&child, samples * 50 + EXTRA_MS);
    *result = *shared;
    munmap(shared, sizeof *shared);
    return clean;
}
