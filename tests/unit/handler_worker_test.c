/* libnoria-handler and workers that die, do not read or send too much: nothing is lost that had arrived, nothing runs twice, nobody
 * else waits, and memory has its bounds. */
#include "handler_stage.h"

/* Two workers; one dies in the middle of a frame. */
static void each_worker_has_its_own_connections(void **state)
{
    (void)state;
    struct worker a, b;
    worker_connect(&a);
    worker_connect(&b);
    worker_hello(&a);
    worker_hello(&b);
    worker_open(&a, 1);
    worker_open(&b, 1); /* numbers are a worker's own */
    worker_open(&b, 2);
    heard("connect 1;connect 1;connect 2;");
    worker_tell(&b, 2, "hi");
    worker_write(&b, "\0\0\0\x09\x93\x04", 6);
    worker_end(&b);
    serve();
    heard("2 says hi;disconnect 1;disconnect 2;");
    worker_tell(&a, 1, "still");
    serve();
    worker_hears_reply(&a, 2, 200);
    worker_end(&a);
    serve();
    heard("1 says still;disconnect 1;");
    assert_int_equal(stage.freed, 3);
}

/* Killed at once behind what it had sent: everything that arrived is handled; a connection whose OPEN nobody can know to be taken
 * has neither on_connect nor on_disconnect. */
static void what_had_arrived_is_handled_first(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    heard("connect 1;");
    worker_tell(&w, 1, "last");
    worker_open_as(&w, 2, "/chat", false);
    worker_tell(&w, 2, "unheard");
    worker_end(&w);
    serve();
    heard("1 says last;disconnect 1;");
}

/* Dropped by this side: the worker is alive, and gives its connections to another process. */
static void dropping_is_no_disconnect(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    worker_tell(&w, 1, "late");
    serve();
    heard("connect 1;1 says late;");
    worker_write(&w, "\0\0\0\0", 4);
    serve();
    worker_is_dropped(&w);
    heard("");
    assert_int_equal(stage.freed, 1);
    assert_int_equal(noria_reply(stage.kept[0], NORIA_OK, NULL), -ENOTCONN);
    worker_end(&w);
}

static void the_window_is_kept(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    for (unsigned i = 0; i < HANDLER_WINDOW; i++)
        worker_tell(&w, 1, "late");
    serve();
    assert_int_equal(stage.kept_count, HANDLER_WINDOW);
    worker_tell(&w, 1, "late");
    serve();
    assert_int_equal(stage.kept_count, HANDLER_WINDOW);
    worker_is_dropped(&w);
    worker_end(&w);
}

/* A worker that reads nothing is soon not read: what it sends stays in its socket, and what the program sends to it is refused. The other
 * worker is served as ever. When it reads again, nothing is missing. */
static void a_worker_that_does_not_read_costs_a_bounded_amount(void **state)
{
    (void)state;
    struct worker deaf, other;
    worker_connect(&deaf);
    worker_connect(&other);
    worker_hello(&deaf);
    worker_hello(&other);
    worker_open(&deaf, 1);
    worker_open(&other, 2);
    for (unsigned i = 0; i < HANDLER_WINDOW; i++)
        worker_tell(&deaf, 1, "fill"); /* 64 answers of 60,000 bytes */
    serve();
    struct link *link = stage.conns[1]->link;
    assert_true(link_unsent(link) >= LINK_UNREAD_MAX);
    assert_true(link_unsent(link) < LINK_UNREAD_MAX + 65536);
    uint64_t handled = link->last_event;
    assert_true(handled < deaf.event);
    worker_tell(&other, 2, "hi");
    serve();
    worker_hears_reply(&other, 2, 200);
    static char large[65000];
    int refused = 0;
    for (int i = 0; i < 200 && refused == 0; i++)
        refused = noria_send_binary(stage.conns[1], large, sizeof large);
    assert_int_equal(refused, -EAGAIN);
    assert_true(link_unsent(link) < PROCESS_UNSENT_MAX + 65536);
    assert_int_equal(link->last_event, handled); /* not served */
    unsigned replies = 0;
    while (replies < HANDLER_WINDOW) {
        size_t len;
        while (handler_frame(deaf.in.data + deaf.at, deaf.in.size - deaf.at, &len) == ERR_BUSY) {
            char bytes[65536];
            ssize_t got = recv(deaf.fd, bytes, sizeof bytes, MSG_DONTWAIT);
            if (got > 0)
                msgpack_sbuffer_write(&deaf.in, bytes, (size_t)got);
            else
                serve();
        }
        replies += worker_hear(&deaf)->type == HANDLER_REPLY;
        assert_true(deaf.got.type == HANDLER_REPLY || deaf.got.type == HANDLER_SEND);
    }
    assert_int_equal(link->last_event, deaf.event);
    worker_end(&deaf);
    worker_end(&other);
    serve();
}

/* OPEN of a worker whose socket is full: on_connect waits until TAKEN has left. */
static void taken_leaves_before_the_call(void **state)
{
    (void)state;
    struct worker w;
    static char large[65000];
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    heard("connect 1;");
    for (int sent = 0; sent == 0 && link_unsent(stage.conns[1]->link) == 0;)
        sent = noria_send_binary(stage.conns[1], large, sizeof large);
    worker_open_as(&w, 2, "/chat", false);
    worker_closed(&w, 2);
    serve();
    heard("");
    while (w.got.type != HANDLER_TAKEN || w.got.event != 3) {
        size_t len;
        while (handler_frame(w.in.data + w.at, w.in.size - w.at, &len) == ERR_BUSY) {
            char bytes[4096];
            ssize_t got = recv(w.fd, bytes, sizeof bytes, MSG_DONTWAIT);
            if (got > 0)
                msgpack_sbuffer_write(&w.in, bytes, (size_t)got);
            else
                serve();
        }
        worker_hear(&w);
    }
    heard("connect 2;disconnect 2;");
    worker_end(&w);
    serve();
}

/* The same, and the worker dies: nobody will ever know that OPEN was taken. CLOSED of a connection that was is another matter. */
static void a_worker_that_dies_with_a_full_socket(void **state)
{
    (void)state;
    struct worker w;
    static char large[65000];
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    for (int sent = 0; sent == 0 && link_unsent(stage.conns[1]->link) == 0;)
        sent = noria_send_binary(stage.conns[1], large, sizeof large);
    worker_open_as(&w, 2, "/chat", false);
    worker_tell(&w, 2, "x");
    worker_closed(&w, 2);
    worker_closed(&w, 1);
    serve();
    heard("connect 1;");
    worker_end(&w);
    serve();
    heard("disconnect 1;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        STAGED(each_worker_has_its_own_connections),
        STAGED(what_had_arrived_is_handled_first),
        STAGED(dropping_is_no_disconnect),
        STAGED(the_window_is_kept),
        STAGED(a_worker_that_does_not_read_costs_a_bounded_amount),
        STAGED(taken_leaves_before_the_call),
        STAGED(a_worker_that_dies_with_a_full_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
