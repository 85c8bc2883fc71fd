/* The sockets that the gate accepts from: further ones of a listener, that come and go, and leaving without refusing anybody. */
#include "gate_stage.h"

#include <linux/filter.h>
#include <netinet/tcp.h>

/* A socket as another process has it: the gate gets a descriptor of its own for it. */
struct theirs {
    int fd;
    uint16_t port;
};

static struct theirs theirs_new(void)
{
    struct theirs t;
    t.fd = raw_listen(&t.port);
    return t;
}

static enum err_e add(const struct theirs *t, unsigned listener, uint32_t owner)
{
    return gate_add(door->gate, listener, dup(t->fd), owner);
}

static struct raw_client visit(const struct theirs *t)
{
    struct raw_client client = raw_connect(&door->loop, t->port);
    raw_send_text(&client, GOOD("/chat"));
    return client;
}

static bool stands_in_queue(int fd)
{
    int client = accept(fd, NULL, NULL);
    if (client >= 0)
        close(client);
    return client >= 0;
}

static void an_added_door_leads_to_its_listener(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct theirs t = theirs_new();
    assert_int_equal(add(&t, 1, 7), ERR_OK);
    assert_int_equal(counts()->doors_added, 1);
    struct raw_client c = visit(&t);
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_int_equal(door->listener, 1);
    assert_int_equal(counts()->accepted_added, 1);
    assert_int_equal(gate_remove(door->gate, 8), 0);
    assert_int_equal(gate_remove(door->gate, 7), 1);
    assert_int_equal(counts()->doors_added, 0);
    struct raw_client waits = visit(&t), other = arrive(0); /* the first is for whoever else has the socket */
    raw_send_text(&other, GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == 2);
    assert_int_equal(door->listener, 0);
    assert_int_equal(counts()->accepted_added, 1);
    assert_true(stands_in_queue(t.fd));
    raw_close(&c);
    raw_close(&waits);
    raw_close(&other);
    close(t.fd);
}

/* Who is reading its head when the door goes is served. */
static void half_open_ones_outlive_their_door(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct theirs t = theirs_new();
    assert_int_equal(add(&t, 1, 7), ERR_OK);
    struct raw_client c = raw_connect(&door->loop, t.port);
    PUMP_UNTIL(&door->loop, counts()->half_open == 1);
    gate_remove(door->gate, 7);
    raw_send_text(&c, GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_int_equal(door->listener, 1);
    raw_close(&c);
    close(t.fd);
}

static void limits_hold_whatever_the_door(void **state)
{
    (void)state;
    start(door, 0, 2);
    struct theirs t = theirs_new();
    assert_int_equal(add(&t, 0, 7), ERR_OK);
    struct raw_client a = arrive(0), b = raw_connect(&door->loop, t.port);
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    struct raw_client c = raw_connect(&door->loop, t.port);
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 429);
    door->no_room = true;
    raw_send_text(&b, GOOD("/chat"));
    raw_until_end(&b);
    assert_int_equal(raw_status(&b), 503);
    raw_close(&a);
    raw_close(&b);
    raw_close(&c);
    close(t.fd);
}

static void doors_are_bounded_and_places_used_again(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct theirs t = theirs_new();
    for (unsigned i = 0; i < GATE_DOORS_MAX - 2; i++)
        assert_int_equal(add(&t, 0, i), ERR_OK);
    int fd = dup(t.fd);
    assert_int_equal(gate_add(door->gate, 0, fd, 1), ERR_FULL);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken on an error, too */
    assert_int_equal(gate_remove(door->gate, 5), 1);
    assert_int_equal(add(&t, 0, 6), ERR_OK);
    assert_int_equal(gate_remove(door->gate, 6), 2);
    struct raw_client c = visit(&t); /* many look at one socket, one gets it */
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c);
    close(t.fd);
}

static void no_socket_is_no_door(void **state)
{
    (void)state;
    start(door, 0, 0);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(gate_add(door->gate, 0, fds[0], 1), ERR_SYSTEM);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(counts()->doors_added, 0);
    close(fds[1]);
}

static void a_pause_is_for_all_doors(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct theirs t = theirs_new();
    gate_pause(door->gate, true);
    assert_int_equal(add(&t, 0, 7), ERR_OK);
    struct raw_client c = visit(&t);
    for (int i = 0; i < 5; i++)
        raw_turn(&door->loop, -1);
    assert_int_equal(counts()->accepted, 0);
    gate_pause(door->gate, false);
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    raw_close(&c);
    close(t.fd);
}

/* --- leaving ---------------------------------------------------------------------------------------------------------- */

/* What others hold, too, is let go at once; who is inside goes on. */
static void sockets_of_others_are_let_go(void **state)
{
    (void)state;
    start(door, 0, 0);
    struct theirs t = theirs_new();
    assert_int_equal(add(&t, 1, 7), ERR_OK);
    struct raw_client inside = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 1);
    int kept = dup(door->listen_fd[0]);
    gate_leave(door->gate);
    door->listen_fd[0] = door->listen_fd[1] = -1; /* closed */
    assert_true(gate_has_left(door->gate));
    assert_int_equal(counts()->doors_added, 0);
    assert_int_equal(add(&t, 0, 7), ERR_CLOSED);
    struct raw_client waits = arrive(0);
    raw_send_text(&inside, GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    assert_int_equal(counts()->accepted, 1);
    PUMP_UNTIL(&door->loop, stands_in_queue(kept));
    gate_leave(door->gate); /* again: nothing */
    raw_close(&inside);
    raw_close(&waits);
    close(kept);
    close(t.fd);
}

static int tcp_state(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_state;
}

/* Lately the kernel wants CAP_NET_ADMIN for a filter on TCP. */
static bool filters_are_allowed(void)
{
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    struct sock_fprog program = {1, &all};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool allowed = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
    close(fd);
    return allowed;
}

static int begin_to_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int failed = connect(fd, (void *)&address, sizeof address);
    assert_true(failed == 0 || errno == EINPROGRESS);
    return fd;
}

static void start_own(void)
{
    struct gate_listener listeners[] = {{.fd = door->listen_fd[0], .own = true}, {.fd = door->listen_fd[1]}};
    struct gate_config config = {.loop = &door->loop,
                                 .clock = &door->clock.clock,
                                 .listeners = listeners,
                                 .listener_count = 2,
                                 .accepted = accepted,
                                 .arg = door};
    assert_int_equal(gate_new(&config, &door->gate), ERR_OK);
}

#define QUEUE 100u

static struct raw_client queue[QUEUE];

static void stand_in_queue(void)
{
    start_own();
    for (unsigned i = 0; i < QUEUE; i++)
        queue[i] = arrive(0);
    gate_leave(door->gate);
    door->listen_fd[0] = door->listen_fd[1] = -1;
    assert_false(gate_has_left(door->gate));
}

static void leave_at_last(void)
{
    clock_manual_advance_ns(&door->clock, GATE_LEAVE_NS + GATE_TICK_NS);
    PUMP_UNTIL(&door->loop, gate_has_left(door->gate));
    for (unsigned i = 0; i < QUEUE; i++)
        raw_send_text(&queue[i], GOOD("/chat"));
    PUMP_UNTIL(&door->loop, door->accepted == QUEUE);
    for (unsigned i = 0; i < QUEUE; i++)
        raw_close(&queue[i]);
}

/* Of a socket that nobody else has: whoever stands in its queue comes in. */
static void an_own_socket_leaves_nobody_behind(void **state)
{
    (void)state;
    stand_in_queue();
    PUMP_UNTIL(&door->loop, counts()->accepted == QUEUE);
    leave_at_last();
}

static int listen_in_its_place(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (void *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* Whoever comes later is not refused but unheard, and is taken by the next socket of the port. */
static void who_comes_too_late_finds_the_next_socket(void **state)
{
    (void)state;
    if (!filters_are_allowed())
        skip();
    stand_in_queue();
    int late = begin_to_connect(door->port[0]);
    assert_int_equal(tcp_state(late), TCP_SYN_SENT);
    PUMP_UNTIL(&door->loop, counts()->accepted == QUEUE);
    assert_int_equal(tcp_state(late), TCP_SYN_SENT);
    leave_at_last();
    int heir = listen_in_its_place(door->port[0]);
    struct pollfd polled = {.fd = heir, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 10000), 1); /* its SYN again, after a second */
    assert_int_equal(tcp_state(late), TCP_ESTABLISHED);
    close(late);
    close(heir);
}

/* Those who come between the last look and the end. */
static void the_last_in_the_queue_come_in_at_the_end(void **state)
{
    (void)state;
    start_own();
    struct raw_client c = arrive(0);
    raw_send_text(&c, GOOD("/chat"));
    clock_manual_advance_ns(&door->clock, NS_PER_S);
    gate_leave(door->gate);
    door->listen_fd[0] = door->listen_fd[1] = -1;
    gate_pause(door->gate, true); /* the loop does not look at the queue */
    gate_pause(door->gate, false);
    clock_manual_advance_ns(&door->clock, GATE_LEAVE_NS);
    doors_leave_at_last(door->gate);
    assert_true(gate_has_left(door->gate));
    assert_int_equal(door->accepted, 1);
    raw_close(&c);
}

static void other_settings_hold_for_who_comes(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://pages.example"};
    static const char page[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: "
                               "Upgrade\r\nSec-WebSocket-Key: " RAW_KEY
                               "\r\nSec-WebSocket-Version: 13\r\nOrigin: https://pages.example\r\n\r\n";
    start(door, 0, 0);
    struct raw_client c = arrive(0), slow = arrive(0);
    raw_send_text(&c, page);
    raw_until_end(&c);
    assert_int_equal(raw_status(&c), 403);
    raw_close(&c);
    PUMP_UNTIL(&door->loop, counts()->half_open == 1);
    gate_set(door->gate,
             &(struct gate_settings){.handshake_timeout_ms = 100, .origins = origins, .origin_count = 1});
    c = arrive(0);
    raw_send_text(&c, page);
    PUMP_UNTIL(&door->loop, door->accepted == 1);
    struct raw_client quick = arrive(0);
    PUMP_UNTIL(&door->loop, counts()->half_open == 2);
    clock_manual_advance_ns(&door->clock, 200 * NS_PER_MS);
    PUMP_UNTIL(&door->loop, counts()->timeouts == 1);
    raw_until_end(&quick);
    assert_int_equal(counts()->half_open, 1);
    raw_close(&c);
    raw_close(&slow);
    raw_close(&quick);
    PUMP_UNTIL(&door->loop, counts()->half_open == 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_added_door_leads_to_its_listener),
        T(half_open_ones_outlive_their_door),
        T(limits_hold_whatever_the_door),
        T(doors_are_bounded_and_places_used_again),
        T(no_socket_is_no_door),
        T(a_pause_is_for_all_doors),
        T(sockets_of_others_are_let_go),
        T(an_own_socket_leaves_nobody_behind),
        T(who_comes_too_late_finds_the_next_socket),
        T(the_last_in_the_queue_come_in_at_the_end),
        T(other_settings_hold_for_who_comes),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
