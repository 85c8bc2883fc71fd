/* The gate on real sockets: what it accepts and hands on, what it answers, and what it does when there is too much of
 * everything. Time is a manual clock. */
#include "raw_client.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

#include "gate.h"
#include "gate_internal.h"
#include "must.h"

#define GOOD(path)                                                                                           \
    "GET " path " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                      \
    "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"

struct door {
    uv_loop_t loop;
    struct clock_manual clock;
    struct gate *gate;
    int listen_fd[2];
    uint16_t port[2];
    unsigned accepted, listener;
    char path[64], method[8], behind[64];
    size_t behind_len;
    bool upgrade, no_room, free_in_accepted;
    int fd; /* of the last accepted one */
};

static struct door *door;

static bool path_known(void *arg, unsigned listener, const char *path)
{
    (void)arg;
    return strcmp(path, "/nowhere") != 0 && !(listener == 1 && strcmp(path, "/only0") == 0);
}

static bool has_room(void *arg, bool upgrade)
{
    (void)upgrade;
    return !((struct door *)arg)->no_room;
}

static void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    struct door *d = arg;
    d->accepted++;
    d->listener = listener;
    d->upgrade = request->upgrade;
    snprintf(d->path, sizeof d->path, "%s", request->path);
    snprintf(d->method, sizeof d->method, "%s", request->method);
    assert_true(request->behind_len <= sizeof d->behind);
    memcpy(d->behind, request->behind, request->behind_len);
    d->behind_len = request->behind_len;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = fd;
    if (d->free_in_accepted)
        gate_free(&d->gate);
}

static void start(struct door *d, uint32_t max_half_open, uint32_t max_per_address)
{
    struct gate_listener listeners[] = {{.fd = d->listen_fd[0]}, {.fd = d->listen_fd[1], .plain_http = true}};
    struct gate_config config = {.loop = &d->loop,
                                 .clock = &d->clock.clock,
                                 .listeners = listeners,
                                 .listener_count = 2,
                                 .handshake_timeout_ms = 5000,
                                 .max_half_open = max_half_open,
                                 .max_per_address = max_per_address,
                                 .send_buffer_bytes = 65536,
                                 .max_body_bytes = 10,
                                 .path_known = path_known,
                                 .has_room = has_room,
                                 .accepted = accepted,
                                 .arg = d};
    assert_int_equal(gate_new(&config, &d->gate), ERR_OK);
}

static int setup(void **state)
{
    struct door *d = calloc(1, sizeof *d);
    assert_non_null(d);
    *state = door = d;
    d->fd = -1;
    clock_manual_init(&d->clock, 1000 * NS_PER_S, 0);
    assert_int_equal(uv_loop_init(&d->loop), 0);
    for (int i = 0; i < 2; i++)
        d->listen_fd[i] = raw_listen(&d->port[i]);
    return 0;
}

static int teardown(void **state)
{
    struct door *d = *state;
    if (d->gate != NULL)
        assert_int_equal(gate_counts(d->gate)->half_open, d->gate->wheel.count);
    gate_free(&d->gate);
    while (uv_run(&d->loop, UV_RUN_NOWAIT) != 0)
        ;
    assert_int_equal(uv_loop_close(&d->loop), 0);
    if (d->fd >= 0)
        close(d->fd);
    for (int i = 0; i < 2; i++)
        close(d->listen_fd[i]);
    free(d);
    return 0;
}

static struct raw_client arrive(int listener)
{
    return raw_connect(&door->loop, door->port[listener]);
}

static const struct gate_counts *counts(void)
{
    return gate_counts(door->gate);
}

/* --- good ones -------------------------------------------------------------------------------------------------------- */

static void a_good_head_is_handed_on(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat") "behind");
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_string_equal(door->path, "/chat");
    assert_string_equal(door->method, "GET");
    assert_true(door->upgrade);
    assert_int_equal(door->listener, 0);
    assert_int_equal(door->behind_len, 6);
    assert_memory_equal(door->behind, "behind", 6);
    int value = 0;
    socklen_t len = sizeof value;
    assert_true(fcntl(door->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(door->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(door->fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(door->fd, SOL_SOCKET, SO_SNDBUF, &value, &len), 0);
    assert_int_equal(value, 2 * 65536); /* the kernel doubles it */
    assert_int_equal(counts()->upgrades, 1);
    assert_int_equal(counts()->half_open, 0);
    raw_close(&c);
}

static void byte_by_byte(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    static const char head[] = GOOD("/slowly") "xy";
    for (size_t i = 0; i < sizeof head - 3; i++) {
        assert_int_equal(door->accepted, 0);
        raw_send(&c, head + i, 1);
        PUMP_UNTIL(&door->loop, door->accepted == 1 ||
                                    (!list_empty(&door->gate->reading) &&
                                     LIST_ENTRY(door->gate->reading.next, struct half, link)->have == i + 1));
    }
    assert_int_equal(door->accepted, 1);
    assert_string_equal(door->path, "/slowly");
    assert_int_equal(door->behind_len, 0); /* they had not arrived */
    raw_close(&c);
}

static void listeners_have_their_own_rules(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(1);
    raw_send_text(&c, "POST /v1/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_int_equal(door->listener, 1);
    assert_false(door->upgrade);
    assert_string_equal(door->method, "POST");
    assert_memory_equal(door->behind, "{}", 2);
    assert_int_equal(counts()->plain, 1);
    raw_close(&c);
    c = arrive(1);
    raw_send_text(&c, GOOD("/only0"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 404);
    raw_close(&c);
    c = arrive(0);
    raw_send_text(&c, GOOD("/only0"));
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    raw_close(&c);
}

/* --- answers ---------------------------------------------------------------------------------------------------------- */

static void every_answer_can_be_read(void **state)
{
    (void)state;
    static const struct {
        int listener;
        unsigned status;
        const char *head, *header; /* that the answer must have */
    } rows[] = {
        {0, 400, "nonsense\r\n\r\n", "Connection: close\r\n"},
        {0, 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "Content-Type: text/plain\r\n"},
        {0, 403,
         "GET / HTTP/1.1\r\nHost: h\r\nOrigin: http://evil\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: " RAW_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
         ""},
        {0, 404, GOOD("/nowhere"), ""},
        {0, 405, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "Allow: GET\r\n"},
        {1, 405, "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "Allow: GET, HEAD, POST"},
        {1, 413, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello hello", ""},
        {0, 426, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {0, 505, "GET / HTTP/1.0\r\n\r\n", ""},
    };
    start(door, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw_client c = arrive(rows[i].listener);
        raw_send_text(&c, rows[i].head);
        size_t head = raw_need_head(&c), length = 0;
        assert_int_equal(raw_status(&c), rows[i].status);
        assert_non_null(strstr((char *)c.in, rows[i].header));
        const char *field = strstr((char *)c.in, "Content-Length: ");
        assert_non_null(field);
        assert_int_equal(sscanf(field, "Content-Length: %zu", &length), 1);
        raw_send_text(&c, "more that nobody wanted"); /* no reset may overtake the answer */
        assert_true(raw_need(&c, head + length));
        raw_until_end(&c);
        assert_int_equal(c.len, head + length);
        assert_int_equal(c.in[c.len - 1], '\n');
        assert_false(c.reset);
        raw_close(&c);
        PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    }
    assert_int_equal(counts()->refused_400, 2);
    assert_int_equal(counts()->refused_405, 2);
    assert_int_equal(counts()->refused_426, 1);
    assert_int_equal(door->accepted, 0);
}

static void a_head_that_is_too_large(void **state)
{
    (void)state;
    static char head[3 * GATE_HEAD_MAX];
    memset(head, 'a', sizeof head);
    memcpy(head, "GET /", 5);
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send(&c, head, sizeof head);
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 431);
    assert_false(c.reset);
    raw_close(&c);
}

static void no_room_is_503(void **state)
{
    (void)state;
    start(door, 0, 0);
    door->no_room = true;
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 503);
    assert_non_null(strstr((char *)c.in, "Retry-After: 1\r\n"));
    raw_close(&c);
}

static void a_refused_one_that_goes_on_sending_is_cut_off(void **state)
{
    (void)state;
    static char flood[1 << 16];
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, "nonsense\r\n\r\n");
    raw_need_head(&c);
    for (int i = 0; i < 64 && counts()->half_open > 0; i++) {
        raw_send(&c, flood, sizeof flood);
        raw_turn(&door->loop, -1);
    }
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    raw_close(&c);
}

static void a_refused_one_that_stays_is_cut_off(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    raw_send_text(&c, "nonsense\r\n\r\n");
    raw_until_end(&c);
    assert_int_equal(counts()->half_open, 1);
    clock_manual_advance_ns(&door->clock, 3 * NS_PER_S);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->timeouts, 0);
    raw_close(&c);
}

/* --- limits ----------------------------------------------------------------------------------------------------------- */

static void heads_that_never_end(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client silent = arrive(0), slow = arrive(0);
    raw_send_text(&slow, "GET / HTTP/1.1\r\nHost: h\r\n");
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    clock_manual_advance_ns(&door->clock, 4900 * NS_PER_MS);
    raw_send_text(&slow, "X: still here\r\n"); /* does not move the limit */
    for (int i = 0; i < 20; i++)
        raw_turn(&door->loop, -1);
    assert_int_equal(counts()->half_open, 2);
    clock_manual_advance_ns(&door->clock, 200 * NS_PER_MS);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->timeouts, 2);
    raw_until_end(&silent);
    raw_until_end(&slow);
    raw_close(&silent);
    raw_close(&slow);
}

static void peers_that_leave(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client a = arrive(0), b = arrive(0), c = arrive(0);
    raw_send_text(&b, "GET / HT");
    raw_send_text(&c, "GET / HT");
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    raw_close(&a);
    raw_close(&b);
    raw_reset(&c);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(counts()->abandoned, 3);
}

static void kept_heads_cost_at_most_double(void **state)
{
    (void)state;
    static char head[GATE_HEAD_MAX];
    start(door, 0, 0);
    struct raw_client c = arrive(0);
    memset(head, 'a', sizeof head);
    for (size_t sent = 0; sent + 100 < sizeof head; sent += 100) {
        raw_send(&c, head, 100);
        PUMP_UNTIL(&door->loop,
                   !list_empty(&door->gate->reading) &&
                       LIST_ENTRY(door->gate->reading.next, struct half, link)->have == sent + 100);
        const struct half *half = LIST_ENTRY(door->gate->reading.next, struct half, link);
        assert_true(half->cap <= 2 * half->have || half->cap <= 128);
    }
    raw_close(&c);
}

static void one_address_has_its_share(void **state)
{
    (void)state;
    struct raw_client c[4];
    start(door, 0, 3);
    for (size_t i = 0; i < 3; i++)
        c[i] = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    c[3] = arrive(0);
    raw_until_end(&c[3]);
    assert_int_equal(raw_status(&c[3]), 429);
    assert_int_equal(counts()->refused_429, 1);
    raw_send_text(&c[0], GOOD("/chat")); /* one less */
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c[3]);
    c[3] = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 3);
    assert_int_equal(counts()->refused_429, 1);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
    assert_int_equal(door->gate->addresses.count, 0);
}

static void the_oldest_gives_way(void **state)
{
    (void)state;
    struct raw_client c[5];
    start(door, 4, 100);
    for (size_t i = 0; i < 4; i++) {
        c[i] = arrive(0);
        raw_send_text(&c[i], "GET ");
        PUMP_UNTIL(&door->loop, counts()->half_open == i + 1);
    }
    c[4] = arrive(0);
    raw_send_text(&c[4], GOOD("/new"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_string_equal(door->path, "/new");
    raw_until_end(&c[0]);
    assert_int_equal(raw_status(&c[0]), 503);
    assert_int_equal(counts()->evicted, 1);
    raw_send_text(&c[3], GOOD("/old") + 4);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    assert_string_equal(door->path, "/old");
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

static void many_at_once(void **state)
{
    (void)state;
    struct raw_client c[300];
    start(door, 64, 1000);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = arrive((int)(i % 2));
        raw_send_text(&c[i], GOOD("/chat"));
    }
    PUMP_UNTIL(&door->loop, door->accepted == ARRAY_LEN(c));
    assert_int_equal(counts()->evicted, 0);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

/* Takes every descriptor that the process may still have; returns how many. */
static size_t take_descriptors(int *taken, size_t max)
{
    size_t count = 0;
    while (count < max && (taken[count] = dup(0)) >= 0)
        count++;
    return count;
}

static void out_of_descriptors(void **state)
{
    (void)state;
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL && strstr(preload, "vgpreload") != NULL)
        skip(); /* valgrind plays the limit itself, and closes what the kernel has accepted */
    struct rlimit old, low = {.rlim_cur = 64};
    int taken[128];
    struct raw_client c[3];
    start(door, 0, 0);
    uv_run(&door->loop, UV_RUN_NOWAIT);
    for (size_t i = 0; i < ARRAY_LEN(c); i++) {
        c[i] = arrive(0); /* stands in the kernel's queue */
        raw_send_text(&c[i], GOOD("/chat"));
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low.rlim_max = old.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    size_t count = take_descriptors(taken, ARRAY_LEN(taken));
    assert_true(count > 0);
    raw_until_end(&c[0]);
    assert_int_equal(raw_status(&c[0]), 503);
    assert_int_equal(counts()->no_descriptors, 1);
    for (int i = 0; i < 20; i++) /* it waits, it does not spin */
        raw_turn(&door->loop, -1);
    assert_int_equal(counts()->no_descriptors, 1);
    for (size_t i = 0; i < count; i++)
        close(taken[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    clock_manual_advance_ns(&door->clock, 200 * NS_PER_MS);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        raw_close(&c[i]);
}

static void the_last_descriptors_are_left_to_others(void **state)
{
    (void)state;
    struct rlimit old, low;
    int taken[128];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = (struct rlimit){.rlim_cur = 128, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    start(door, 0, 0);
    setrlimit(RLIMIT_NOFILE, &old);
    size_t count = 0;
    while (count < ARRAY_LEN(taken) && (taken[count] = dup(0)) < 70)
        count++;
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 503);
    assert_int_equal(counts()->no_descriptors, 1);
    raw_close(&c);
    for (size_t i = 0; i <= count; i++)
        close(taken[i]);
    c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c);
}

/* --- pausing and ending ------------------------------------------------------------------------------------------------ */

static void pausing_leaves_them_in_the_queue(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client half = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 1);
    gate_pause(door->gate, true);
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/later"));
    raw_send_text(&half, GOOD("/half"));
    PUMP_UNTIL(&door->loop, door->accepted == 1); /* the half-open one goes on */
    assert_string_equal(door->path, "/half");
    assert_int_equal(counts()->accepted, 1);
    gate_pause(door->gate, false);
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    assert_string_equal(door->path, "/later");
    raw_close(&half);
    raw_close(&c);
}

static void freed_with_half_open_ones(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct raw_client a = arrive(0), b = arrive(0);
    raw_send_text(&a, "GET / HTTP");
    raw_send_text(&b, "nonsense\r\n\r\n");
    raw_need_head(&b);
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    gate_free(&door->gate);
    raw_until_end(&a);
    raw_close(&a);
    raw_close(&b);
}

static void freed_in_its_own_callback(void **state)
{
    (void)state;
    start(door, 0, 0);
    door->free_in_accepted = true;
    struct raw_client half = arrive(0), a = arrive(0), b = arrive(0);
    raw_send_text(&a, GOOD("/a"));
    raw_send_text(&b, GOOD("/b"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&half);
    raw_close(&a);
    raw_close(&b);
}

static void a_bad_listener_is_an_error(void **state)
{
    (void)state;
    struct gate_listener listener = {.fd = -1};
    struct gate_config config = {.loop = &door->loop,
                                 .clock = &door->clock.clock,
                                 .listeners = &listener,
                                 .listener_count = 1,
                                 .accepted = accepted,
                                 .arg = door};
    assert_int_equal(gate_new(&config, &door->gate), ERR_SYSTEM);
    assert_null(door->gate);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_good_head_is_handed_on),
        T(byte_by_byte),
        T(listeners_have_their_own_rules),
        T(every_answer_can_be_read),
        T(a_head_that_is_too_large),
        T(no_room_is_503),
        T(a_refused_one_that_goes_on_sending_is_cut_off),
        T(a_refused_one_that_stays_is_cut_off),
        T(heads_that_never_end),
        T(peers_that_leave),
        T(kept_heads_cost_at_most_double),
        T(one_address_has_its_share),
        T(the_oldest_gives_way),
        T(many_at_once),
        T(out_of_descriptors),
        T(the_last_descriptors_are_left_to_others),
        T(pausing_leaves_them_in_the_queue),
        T(freed_with_half_open_ones),
        T(freed_in_its_own_callback),
        T(a_bad_listener_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
