/* stream_sender.c — the loop of stream_sender.h. The frame is masked once; of each message only the masked digits of its time and
 * number are written anew (30 ns), so that a sender that is to find the system's limit is not its own. */
#include "stream_sender.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "frame_counter.h"
#include "log.h"
#include "must.h"
#include "stream_text.h"
#include "wsclient.h"

#define MASK        0x5a17c3e9u
#define BATCH_MAX   256u
#define OPEN_MS     5000u
#define STALL_NS    (500 * NS_PER_MS) /* nothing arrives any more: start counting anew */
#define IDLE_NS     (20 * NS_PER_MS)  /* how late a command may be seen */
#define WINDOW_WAIT (100 * NS_PER_US)

static const char before[] = "{\"ws_op\":\"send\",\"ws_msg\":\"", after[] = "\"}";

struct sender {
    const struct stream_sender_options *options;
    struct stream_sender_shared *shared;
    struct wsclient client;
    unsigned char key[4];
    unsigned char frame[STREAM_TEXT_MAX + 128]; /* masked */
    size_t frame_len, text_end;                 /* text_end: within the payload */
    size_t payload_at;
    unsigned char *batch;
    size_t batch_len, batch_at; /* [batch_at, batch_len) is still to be sent */
    uint32_t batch_count;
    uint64_t number; /* of the last message */
    bool running;
    uint64_t begun_ns, begun_number;                         /* of this run */
    uint64_t begun_received, progress_ns, progress_received; /* of the window */
    uint64_t window_number;
};

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void add(_Atomic uint64_t *word, uint64_t n)
{
    atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

/* --- messages ----------------------------------------------------------------------------------------------------------- */

static void make_frame(struct sender *s)
{
    char text[sizeof s->frame];
    uint32_t mask = MASK;
    size_t len = sizeof before - 1;
    memcpy(s->key, &mask, sizeof mask);
    memcpy(text, before, len);
    stream_text_make(text + len, s->options->len);
    s->text_end = len += s->options->len;
    memcpy(text + len, after, sizeof after - 1);
    len += sizeof after - 1;
    s->frame_len = frame_client(s->frame, sizeof s->frame, 1, text, len, MASK);
    MUST(s->frame_len > 0);
    s->payload_at = s->frame_len - len;
}

static void put_digits(const struct sender *s, unsigned char *frame, size_t back, uint64_t value)
{
    char digits[STREAM_TEXT_DIGITS];
    size_t at = s->text_end - back; /* within the payload, where the mask begins anew */
    stream_text_digits(digits, value);
    for (size_t i = 0; i < STREAM_TEXT_DIGITS; i++)
        frame[s->payload_at + at + i] = (unsigned char)digits[i] ^ s->key[(at + i) % 4];
}

static void fill_batch(struct sender *s, uint32_t count)
{
    uint64_t now = now_ns();
    s->batch_at = s->batch_len = 0;
    s->batch_count = count;
    for (uint32_t i = 0; i < count; i++, s->batch_len += s->frame_len) {
        unsigned char *frame = s->batch + s->batch_len;
        memcpy(frame, s->frame, s->frame_len);
        put_digits(s, frame, STREAM_TEXT_TIME_BACK, now);
        put_digits(s, frame, STREAM_TEXT_NUMBER_BACK, ++s->number);
    }
}

/* False: the connection is over. */
static bool push_batch(struct sender *s)
{
    ssize_t n =
        send(s->client.fd, s->batch + s->batch_at, s->batch_len - s->batch_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    uint64_t whole = s->batch_at / s->frame_len;
    s->batch_at += n > 0 ? (size_t)n : 0;
    add(&s->shared->sent, s->batch_at / s->frame_len - whole);
    if (s->batch_at < s->batch_len)
        add(&s->shared->held, 1);
    return true;
}

/* --- pacing ----------------------------------------------------------------------------------------------------------- */

/* Messages that the average receiver has. */
static uint64_t received(const struct sender *s)
{
    const struct gen_shared *gen = s->shared->gen;
    uint64_t live = atomic_load_explicit(&gen->live, memory_order_relaxed);
    return live == 0 ? 0 : load(&gen->deliveries) / live;
}

static void begin_window(struct sender *s)
{
    s->progress_ns = now_ns();
    s->window_number = s->number;
    s->begun_received = s->progress_received = received(s);
}

static uint64_t window_room(struct sender *s)
{
    uint64_t window = load(&s->shared->window), now = now_ns(), got = received(s);
    if (window == 0)
        return BATCH_MAX;
    if (got != s->progress_received) {
        s->progress_received = got;
        s->progress_ns = now;
    } else if (now > s->progress_ns + STALL_NS) {
        begin_window(s);
    }
    uint64_t gone = s->number - s->window_number, arrived = got - s->begun_received;
    uint64_t under_way = gone > arrived ? gone - arrived : 0;
    return under_way < window ? window - under_way : 0;
}

static uint64_t due(const struct sender *s)
{
    uint64_t rate = load(&s->shared->rate);
    if (rate == 0)
        return BATCH_MAX;
    uint64_t number = (uint64_t)((double)(now_ns() - s->begun_ns) * (double)rate / 1e9);
    uint64_t sent = s->number - s->begun_number;
    return number > sent ? number - sent : 0;
}

/* How many messages may go now. What the window held back is not made up for later: the rate is a ceiling. */
static uint32_t allowed(struct sender *s)
{
    uint64_t count = due(s), room = window_room(s);
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    if (count <= room)
        return (uint32_t)count;
    add(&s->shared->held_back, 1);
    s->begun_ns = now_ns();
    s->begun_number = s->number + room;
    return (uint32_t)room;
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

/* Pings, and texts that should not come. False: the connection is over. */
static bool take_input(struct sender *s)
{
    char text[sizeof s->shared->first_answer];
    enum err_e err;
    while ((err = wsclient_recv(&s->client, text, sizeof text, 0)) == ERR_OK) {
        if (load(&s->shared->answers) == 0)
            memcpy(s->shared->first_answer, text, sizeof text);
        atomic_fetch_add(&s->shared->answers, 1);
    }
    return err == ERR_TIMEOUT;
}

static uint64_t wait_ns(const struct sender *s)
{
    uint64_t rate = load(&s->shared->rate), now = now_ns(), next = now + WINDOW_WAIT;
    if (!s->running || s->batch_at < s->batch_len)
        return IDLE_NS;
    if (rate != 0)
        next = s->begun_ns + (uint64_t)((double)(s->number - s->begun_number + 1) * 1e9 / (double)rate);
    uint64_t left = next > now ? next - now : 0;
    return left < IDLE_NS ? left : IDLE_NS;
}

static void wait_for_work(const struct sender *s)
{
    uint64_t left = wait_ns(s);
    struct timespec timeout = {0, (long)left};
    short events = s->batch_at < s->batch_len ? POLLIN | POLLOUT : POLLIN;
    struct pollfd fd = {.fd = s->client.fd, .events = events};
    ppoll(&fd, 1, &timeout, NULL);
}

static bool obey(struct sender *s)
{
    uint32_t command = atomic_load_explicit(&s->shared->command, memory_order_acquire);
    bool run = command == STREAM_SENDER_RUN;
    if (run && !s->running) {
        s->begun_ns = now_ns();
        s->begun_number = s->number;
        begin_window(s);
    }
    s->running = run;
    return command != STREAM_SENDER_STOP;
}

/* True: a command ended it; false: the connection did. */
static bool loop(struct sender *s)
{
    pid_t parent = getppid();
    while (obey(s) && getppid() == parent) {
        if (s->batch_at == s->batch_len && !take_input(s)) /* a pong must not stand within a frame */
            return false;
        uint32_t count = s->running && s->batch_at == s->batch_len ? allowed(s) : 0;
        if (count > 0)
            fill_batch(s, count);
        if (s->batch_at < s->batch_len && !push_batch(s))
            return false;
        if (count == 0 || s->batch_at < s->batch_len)
            wait_for_work(s);
    }
    return true;
}

int stream_sender_run(const struct stream_sender_options *options, struct stream_sender_shared *shared)
{
    static struct sender s;
    s = (struct sender){.options = options, .shared = shared, .client = {.fd = -1}};
    make_frame(&s);
    s.batch = malloc(BATCH_MAX * s.frame_len);
    enum err_e err = s.batch != NULL ? wsclient_open(&s.client, options->port) : ERR_MEMORY;
    if (err == ERR_OK)
        err = wsclient_send(&s.client, options->open);
    atomic_store(&shared->open, err == ERR_OK);
    bool clean = err == ERR_OK && loop(&s);
    if (err == ERR_OK && !clean)
        log_error("bench-sender-lost", "the connection ended after message %llu",
                  (unsigned long long)s.number);
    wsclient_close(&s.client);
    free(s.batch);
    return clean ? 0 : 1;
}
