/* libnoria-handler against pretended workers: what they say becomes calls, once each and in order, and what comes back is what the
 * protocol says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handler.h"
#include "handler_process.h"
#include "handler_wire.h"
#include "must.h"

#define DEADLINE_MS 20000
#define JOURNAL_MAX 65536
#define OPEN_MAX    128

/* --- a program under test: it writes down what it hears, and does what the message says --- */

static struct stage {
    char dir[64], path[96];
    struct noria_handler *handler;
    char journal[JOURNAL_MAX];
    size_t len;
    struct noria_request *kept[OPEN_MAX];
    struct noria_conn *conns[OPEN_MAX]; /* by the number in their query */
    unsigned kept_count, freed;
    int connect_fails;
} stage;

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(stage.journal + stage.len, JOURNAL_MAX - stage.len, fmt, args);
    va_end(args);
    assert_true(len >= 0 && stage.len + (size_t)len < JOURNAL_MAX);
    stage.len += (size_t)len;
}

static void heard(const char *expected)
{
    assert_string_equal(stage.journal, expected);
    stage.len = 0;
    stage.journal[0] = '\0';
}

static void *named(const struct noria_conn *conn)
{
    char *name = strdup(noria_conn_query(conn));
    assert_non_null(name);
    return name;
}

static int on_connect(struct noria_conn *conn)
{
    note("connect %s%s;", noria_conn_query(conn), noria_conn_traditional(conn) ? " raw" : "");
    noria_conn_set_user(conn, named(conn));
    stage.conns[atoi(noria_conn_query(conn)) % OPEN_MAX] = conn;
    return stage.connect_fails;
}

static void on_resume(struct noria_conn *conn)
{
    note("resume %s;", noria_conn_query(conn));
    stage.conns[atoi(noria_conn_query(conn)) % OPEN_MAX] = conn;
}

static void on_disconnect(struct noria_conn *conn)
{
    note("disconnect %s;", noria_conn_query(conn));
    assert_int_equal(noria_send_text(conn, "x", 1), noria_send_text(conn, "x", 1)); /* dropped, not a fault */
}

static void free_user(void *user)
{
    stage.freed++;
    free(user);
}

static int obey(struct noria_request *request, const char *text, size_t len)
{
    struct noria_conn *conn = noria_request_conn(request);
    msgpack_packer packer;
    msgpack_sbuffer *body = noria_body(noria_request_handler(request), &packer);
    if (len == 4 && memcmp(text, "fail", 4) == 0)
        return -1;
    if (len == 4 && memcmp(text, "late", 4) == 0) {
        stage.kept[stage.kept_count++] = request;
        return 0;
    }
    if (len == 4 && memcmp(text, "both", 4) == 0) { /* replied to, and failed all the same */
        assert_int_equal(noria_reply(request, NORIA_CREATED, NULL), 0);
        return -1;
    }
    if (len == 4 && memcmp(text, "fill", 4) == 0) {
        static char filler[60000];
        memset(filler, 'x', sizeof filler);
        return noria_reply_text(request, filler, sizeof filler);
    }
    if (len == 5 && memcmp(text, "close", 5) == 0)
        assert_int_equal(noria_close(conn, 4001, "adiós"), 0);
    noria_pack_text_len(&packer, text, len);
    return noria_reply(request, NORIA_OK, body);
}

static int on_receive(struct noria_request *request, const msgpack_object *message)
{
    const char *text;
    size_t len;
    assert_ptr_equal(noria_handler_arg(noria_request_handler(request)), &stage);
    if (!noria_text(noria_member(message, "do"), &text, &len) && !noria_text(message, &text, &len))
        text = "?", len = 1;
    note("%s says %.*s;", noria_conn_query(noria_request_conn(request)), (int)len, text);
    return obey(request, text, len);
}

static const struct noria_endpoint endpoints[] = {
    {"/chat", on_connect, on_resume, on_disconnect, on_receive, free_user, {NULL}},
    {"/bare", .on_receive = on_receive},
};

static void make_path(void)
{
    snprintf(stage.dir, sizeof stage.dir, "/tmp/noria-handler-XXXXXX");
    assert_non_null(mkdtemp(stage.dir));
    snprintf(stage.path, sizeof stage.path, "%s/h.sock", stage.dir);
}

static int set_up(void **state)
{
    (void)state;
    memset(&stage, 0, sizeof stage);
    make_path();
    struct noria_handler_config config = {.name = "under-test",
                                          .endpoints = endpoints,
                                          .endpoint_count = ARRAY_LEN(endpoints),
                                          .socket = stage.path,
                                          .stop_ms = 50,
                                          .arg = &stage};
    stage.handler = noria_handler_new(&config);
    assert_non_null(stage.handler);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    noria_handler_free(&stage.handler);
    assert_int_not_equal(access(stage.path, F_OK), 0); /* it took its socket with it */
    rmdir(stage.dir);
    return 0;
}

/* Until there is nothing left to do. */
static void serve(void)
{
    struct pollfd ready = {.fd = noria_handler_fd(stage.handler), .events = POLLIN};
    while (poll(&ready, 1, 0) == 1)
        assert_int_equal(noria_handler_service(stage.handler), 0);
}

/* --- a pretended worker --- */

struct worker {
    int fd;
    uint64_t event;
    msgpack_sbuffer in;
    size_t at;
    msgpack_zone zone;
    struct handler_message got;
};

static void worker_connect(struct worker *worker)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(worker, 0, sizeof *worker);
    memcpy(address.sun_path, stage.path, strlen(stage.path) + 1);
    worker->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(worker->fd, (void *)&address, sizeof address), 0);
    msgpack_sbuffer_init(&worker->in);
    assert_true(msgpack_zone_init(&worker->zone, 1024));
}

static void worker_write(struct worker *worker, const void *bytes, size_t len)
{
    assert_int_equal(send(worker->fd, bytes, len, MSG_NOSIGNAL), len);
}

static void worker_say(struct worker *worker, struct handler_message message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    if (message.type == HANDLER_OPEN || message.type == HANDLER_MESSAGE || message.type == HANDLER_CLOSED)
        message.event = ++worker->event;
    assert_int_equal(handler_encode(&message, &out), ERR_OK);
    worker_write(worker, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

/* The next message from the process; fails if none comes. */
static struct handler_message *worker_hear(struct worker *worker)
{
    size_t len;
    enum err_e err;
    while ((err = handler_frame(worker->in.data + worker->at, worker->in.size - worker->at, &len)) ==
           ERR_BUSY) {
        char bytes[4096];
        ssize_t got = recv(worker->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        assert_true(got > 0);
        msgpack_sbuffer_write(&worker->in, bytes, (size_t)got);
    }
    assert_int_equal(err, ERR_OK);
    assert_int_equal(handler_decode(worker->in.data + worker->at + 4, len, &worker->zone, &worker->got),
                     ERR_OK);
    worker->at += 4 + len;
    return &worker->got;
}

static void worker_hears_nothing(struct worker *worker)
{
    char byte;
    assert_int_equal(worker->at, worker->in.size);
    assert_int_equal(recv(worker->fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void worker_is_dropped(struct worker *worker)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(worker->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        ;
    assert_true(got == 0 || errno == ECONNRESET);
}

static void worker_end(struct worker *worker)
{
    close(worker->fd);
    msgpack_sbuffer_destroy(&worker->in);
    msgpack_zone_destroy(&worker->zone);
}

static const struct handler_endpoint told[] = {
    {{"/chat", 5}, false}, {{"/raw", 4}, true}, {{"/bare", 5}, false}};

static void worker_hello(struct worker *worker)
{
    worker_say(worker, (struct handler_message){.type = HANDLER_HELLO,
                                                .version = 1,
                                                .handler = handler_text("chat"),
                                                .worker = handler_text("worker.0"),
                                                .max_answer_bytes = 65536,
                                                .endpoints = told,
                                                .endpoint_count = ARRAY_LEN(told)});
    serve();
    assert_int_equal(worker_hear(worker)->type, HANDLER_WELCOME);
    assert_int_equal(worker->got.version, 1);
    assert_memory_equal(worker->got.program.at, "under-test", 10);
}

static void worker_open_as(struct worker *worker, uint64_t conn, const char *path, bool resumed)
{
    char query[24];
    snprintf(query, sizeof query, "%llu", (unsigned long long)conn);
    worker_say(worker, (struct handler_message){.type = HANDLER_OPEN,
                                                .conn = conn,
                                                .path = handler_text(path),
                                                .query = handler_text(query),
                                                .principal = handler_text("ana"),
                                                .peer = handler_text("127.0.0.1:5"),
                                                .resumed = resumed});
}

static void worker_open(struct worker *worker, uint64_t conn)
{
    worker_open_as(worker, conn, "/chat", false);
    serve();
    assert_int_equal(worker_hear(worker)->type, HANDLER_TAKEN);
    assert_int_equal(worker->got.event, worker->event);
}

static void worker_tell(struct worker *worker, uint64_t conn, const char *what)
{
    char body[64] = "\x81\xa2"
                    "do";
    size_t len = strlen(what);
    body[4] = (char)(0xa0 | len);
    memcpy(body + 5, what, len);
    worker_say(worker, (struct handler_message){
                           .type = HANDLER_MESSAGE, .conn = conn, .body_bytes = body, .body_len = 5 + len});
}

static void worker_closed(struct worker *worker, uint64_t conn)
{
    worker_say(worker, (struct handler_message){.type = HANDLER_CLOSED, .conn = conn});
}

static void worker_hears_reply(struct worker *worker, uint64_t event, unsigned status)
{
    assert_int_equal(worker_hear(worker)->type, HANDLER_REPLY);
    assert_int_equal(worker->got.event, event);
    assert_int_equal(worker->got.status, status);
}

/* --- tests --- */

static void a_connection_from_beginning_to_end(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 7);
    heard("connect 7;");
    assert_string_equal(noria_conn_path(stage.conns[7]), "/chat");
    assert_string_equal(noria_conn_principal(stage.conns[7]), "ana");
    assert_string_equal(noria_conn_peer(stage.conns[7]), "127.0.0.1:5");
    assert_string_equal(noria_conn_user(stage.conns[7]), "7");
    assert_ptr_equal(noria_conn_handler(stage.conns[7]), stage.handler);
    worker_tell(&w, 7, "hi");
    serve();
    worker_hears_reply(&w, 2, 200);
    assert_int_equal(w.got.body.type, MSGPACK_OBJECT_STR);
    worker_closed(&w, 7);
    serve();
    heard("7 says hi;disconnect 7;");
    assert_int_equal(worker_hear(&w)->type, HANDLER_TAKEN);
    assert_int_equal(w.got.event, 3);
    assert_int_equal(stage.freed, 1);
    worker_hear(&w); /* what on_disconnect sent: nobody is there, and the worker drops it */
    worker_end(&w);
    serve();
    heard("");
}

static void everything_in_one_packet_and_byte_by_byte(void **state)
{
    (void)state;
    for (int pieces = 0; pieces < 2; pieces++) {
        struct worker w;
        worker_connect(&w);
        worker_hello(&w);
        msgpack_sbuffer all;
        msgpack_sbuffer_init(&all);
        struct handler_message parts[] = {
            {.type = HANDLER_OPEN,
             .event = 1,
             .conn = 5,
             .path = handler_text("/chat"),
             .query = handler_text("5")},
            {.type = HANDLER_MESSAGE, .event = 2, .conn = 5, .body_bytes = "\xa2hi", .body_len = 3},
            {.type = HANDLER_CLOSED, .event = 3, .conn = 5}};
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            assert_int_equal(handler_encode(&parts[i], &all), ERR_OK);
        size_t step = pieces ? 1 : all.size;
        for (size_t at = 0; at < all.size; at += step) {
            worker_write(&w, all.data + at, step);
            serve();
        }
        heard("connect 5;5 says hi;disconnect 5;");
        msgpack_sbuffer_destroy(&all);
        worker_end(&w);
        serve();
    }
}

static void failures_are_answered_500(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    worker_tell(&w, 1, "fail");
    worker_tell(&w, 1, "both");
    serve();
    worker_hears_reply(&w, 2, 500);
    const msgpack_object *list = noria_member(&w.got.body, "errorList");
    assert_non_null(list);
    const char *text;
    size_t len;
    assert_true(noria_text(noria_member(&list->via.array.ptr[0], "type"), &text, &len));
    assert_memory_equal(text, "handler_failed", len);
    worker_hears_reply(&w, 3, 201);
    worker_hears_nothing(&w);
    stage.connect_fails = 1;
    worker_open(&w, 2);
    assert_int_equal(worker_hear(&w)->type, HANDLER_CLOSE);
    assert_int_equal(w.got.conn, 2);
    assert_int_equal(w.got.code, 1011);
    worker_end(&w);
    serve();
}

static void replies_may_come_later_and_in_any_order(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    for (int i = 0; i < 3; i++)
        worker_tell(&w, 1, "late");
    serve();
    assert_int_equal(stage.kept_count, 3);
    worker_hears_nothing(&w);
    assert_int_equal(noria_reply_text(stage.kept[2], "c", 1), 0);
    assert_int_equal(noria_reply_binary(stage.kept[0], "a", 1), 0);
    worker_hears_reply(&w, 4, 200);
    assert_int_equal(w.got.body.type, MSGPACK_OBJECT_STR);
    worker_hears_reply(&w, 2, 200);
    assert_int_equal(w.got.body.type, MSGPACK_OBJECT_BIN);
    worker_closed(&w, 1); /* the client left; the worker still counts the message */
    serve();
    assert_null(noria_request_conn(stage.kept[1]));
    assert_int_equal(noria_reply(stage.kept[1], NORIA_NO_REPLY, NULL), 0);
    worker_hear(&w);
    worker_hear(&w);
    worker_hear(&w);
    worker_hears_reply(&w, 3, 0);
    worker_end(&w);
    serve();
}

static void a_reply_after_its_worker_is_gone(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    worker_tell(&w, 1, "late");
    worker_tell(&w, 1, "late"); /* this one is never replied to; the sanitizer looks for it */
    serve();
    worker_end(&w);
    serve();
    heard("connect 1;1 says late;1 says late;disconnect 1;");
    assert_null(noria_request_conn(stage.kept[0]));
    assert_int_equal(noria_reply_text(stage.kept[0], "x", 1), -ENOTCONN);
}

static void what_is_no_answer_is_refused_here(void **state)
{
    (void)state;
    struct worker w;
    msgpack_packer packer;
    static char large[70000];
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 1);
    struct noria_conn *conn = stage.conns[1];
    for (int i = 0; i < 5; i++)
        worker_tell(&w, 1, "late");
    serve();
    assert_int_equal(noria_reply(stage.kept[0], 299, NULL), -EINVAL);
    worker_hears_reply(&w, 2, 500);
    msgpack_sbuffer *body = noria_body(stage.handler, &packer);
    msgpack_pack_array(&packer, 2); /* and nothing in it */
    assert_int_equal(noria_reply(stage.kept[1], NORIA_OK, body), -EINVAL);
    worker_hears_reply(&w, 3, 500);
    assert_int_equal(noria_reply_binary(stage.kept[2], large, sizeof large), -EMSGSIZE);
    worker_hears_reply(&w, 4, 500);
    assert_int_equal(noria_reply_text(stage.kept[3], "\xff", 1), -EINVAL);
    worker_hears_reply(&w, 5, 500);
    assert_int_equal(noria_reply(stage.kept[4], NORIA_OK, noria_body(stage.handler, &packer)), -EINVAL);
    worker_hears_reply(&w, 6, 500);
    assert_int_equal(noria_send(conn, NORIA_NO_REPLY, NULL), -EINVAL);
    assert_int_equal(noria_send_text(conn, "\xff", 1), -EINVAL);
    assert_int_equal(noria_close(conn, 1006, NULL), -EINVAL);
    assert_int_equal(noria_close(conn, 1000, "\xc3"), -EINVAL);
    memset(large, 'x', 200);
    assert_int_equal(noria_close(conn, 1000, large), -EMSGSIZE);
    assert_int_equal(noria_subscribe(conn, large), -EMSGSIZE);
    assert_int_equal(noria_publish(stage.handler, "/nowhere", "", NORIA_OK, NULL, NULL), -ENOTCONN);
    worker_hears_nothing(&w);
    worker_end(&w);
    serve();
}

static void sends_topics_publications_and_closes(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open(&w, 9);
    struct noria_conn *conn = stage.conns[9];
    assert_int_equal(noria_send_text(conn, "hello", 5), 0);
    assert_int_equal(noria_subscribe(conn, "sala"), 0);
    assert_int_equal(noria_unsubscribe(conn, "sala"), 0);
    assert_int_equal(noria_publish_text(stage.handler, "/chat", "sala", "all", 3, NULL), 0);
    assert_int_equal(noria_publish(stage.handler, "/raw", "", NORIA_ACCEPTED, NULL, conn), 0);
    assert_int_equal(noria_close(conn, 1000, NULL), 0);
    assert_int_equal(worker_hear(&w)->type, HANDLER_SEND);
    assert_int_equal(w.got.conn, 9);
    assert_int_equal(worker_hear(&w)->type, HANDLER_SUBSCRIBE);
    assert_memory_equal(w.got.topic.at, "sala", 4);
    assert_int_equal(worker_hear(&w)->type, HANDLER_UNSUBSCRIBE);
    assert_int_equal(worker_hear(&w)->type, HANDLER_PUBLISH);
    assert_memory_equal(w.got.path.at, "/chat", 5);
    assert_int_equal(w.got.except, 0);
    assert_int_equal(worker_hear(&w)->type, HANDLER_PUBLISH);
    assert_int_equal(w.got.status, 202);
    assert_int_equal(w.got.except, 9);
    assert_int_equal(w.got.topic.len, 0);
    assert_int_equal(worker_hear(&w)->type, HANDLER_CLOSE);
    assert_int_equal(w.got.reason.len, 0);
    heard("connect 9;"); /* no on_disconnect before CLOSED */
    worker_end(&w);
    serve();
    heard("disconnect 9;");
}

static void a_connection_goes_on_here(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_open_as(&w, 3, "/chat", true);
    worker_closed(&w, 3);
    worker_open_as(&w, 4, "/raw", false); /* in the configuration, not in this program */
    worker_tell(&w, 4, "x");
    worker_open_as(&w, 5, "/bare", false); /* on_receive alone */
    worker_tell(&w, 5, "x");
    worker_closed(&w, 5);
    serve();
    heard("resume 3;disconnect 3;5 says x;");
    assert_int_equal(worker_hear(&w)->type, HANDLER_TAKEN);
    worker_end(&w);
    serve();
    heard("");
}

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

static void who_breaks_the_protocol_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool greeted;
    } bad[] = {
#define BAD(greeted, text) {text, sizeof(text) - 1, greeted}
        BAD(false, "GET / HTTP/1.1\r\n\r\n"),
        BAD(false, "\0\0\0\0"),
        BAD(false, "\0\0\0\x03\x93\x04\x01"),
        BAD(false, "\0\0\0\x04\x93\x04\x01\x01"),                    /* CLOSED before HELLO */
        BAD(false, "\0\0\0\x03\x92\x22\x01"),                        /* a handler's own message */
        BAD(false, "\0\0\0\x0a\x97\x01\0\xa0\xa0\0\0\x90\0\0"),      /* version 0 */
        BAD(true, "\0\0\0\x04\x93\x04\x01\x01"),                     /* CLOSED of nothing */
        BAD(true, "\0\0\0\x05\x94\x03\x01\x01\xc0"),                 /* MESSAGE of nothing */
        BAD(true, "\0\0\0\x04\x93\x04\x02\x01"),                     /* event 2 first */
        BAD(true, "\0\0\0\x0a\x98\x02\x01\0\xa0\xa0\xa0\xa0\xc2\0"), /* OPEN 0 */
        BAD(true, "\0\0\0\x08\x97\x01\x01\xa0\xa0\0\0\x90"),         /* a second HELLO */
#undef BAD
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct worker w;
        worker_connect(&w);
        if (bad[i].greeted)
            worker_hello(&w);
        worker_write(&w, bad[i].bytes, bad[i].len);
        serve();
        worker_is_dropped(&w);
        worker_end(&w);
        serve();
    }
    heard("");
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

static void unknown_messages_are_ignored(void **state)
{
    (void)state;
    struct worker w;
    worker_connect(&w);
    worker_hello(&w);
    worker_write(&w, "\0\0\0\x03\x92\x64\x01", 7);                              /* type 100 */
    worker_write(&w, "\0\0\0\x0a\x99\x02\x01\x09\xa0\xa0\xa0\xa0\xc2\x07", 14); /* OPEN with a field more */
    w.event = 1;
    serve();
    assert_int_equal(worker_hear(&w)->type, HANDLER_TAKEN);
    worker_end(&w);
    serve();
}

static void a_second_program_at_the_same_socket(void **state)
{
    (void)state;
    struct noria_handler_config config = {.endpoints = endpoints, .endpoint_count = 1, .socket = stage.path};
    assert_null(noria_handler_new(&config));
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(access(stage.path, F_OK), 0);
    char left[96];
    snprintf(left, sizeof left, "%s/left", stage.dir); /* of a program that was killed */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, left, strlen(left) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (void *)&address, sizeof address), 0);
    close(fd);
    config.socket = left;
    struct noria_handler *second = noria_handler_new(&config);
    assert_non_null(second);
    noria_handler_free(&second);
    assert_int_not_equal(access(left, F_OK), 0);
}

static void a_configuration_without_sense(void **state)
{
    (void)state;
    struct noria_handler_config config = {.endpoints = endpoints, .endpoint_count = 0, .socket = "/x"};
    assert_null(noria_handler_new(&config));
    assert_int_equal(errno, EINVAL);
    struct noria_endpoint deaf = {.path = "/x"};
    config = (struct noria_handler_config){.endpoints = &deaf, .endpoint_count = 1, .socket = "/x"};
    assert_null(noria_handler_new(&config));
    config = (struct noria_handler_config){.endpoints = endpoints, .endpoint_count = 1};
    assert_null(noria_handler_new(&config));
    assert_int_equal(errno, EINVAL);
    char path[300];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    config.socket = path;
    assert_null(noria_handler_new(&config));
    assert_int_equal(errno, ENAMETOOLONG);
}

/* --- noria_handler_run() in a process of its own --- */

static pid_t run_child(int listening, const char *path, int ready)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    char number[16];
    alarm(60);
    if (listening >= 0) {
        dup2(listening, 3);
        setenv("LISTEN_FDS", "1", 1);
        snprintf(number, sizeof number, "%d", (int)getpid());
        setenv("LISTEN_PID", number, 1);
    }
    dup2(ready, 4);
    setenv("NORIA_READY_FD", "4", 1);
    _exit(noria_handler_run(&(struct noria_handler_config){.endpoints = endpoints,
                                                           .endpoint_count = ARRAY_LEN(endpoints),
                                                           .socket = path,
                                                           .name = "under-test",
                                                           .arg = &stage,
                                                           .stop_ms = 1000}));
}

static void wait_ready(int fd)
{
    char word[8];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
    assert_int_equal(read(fd, word, sizeof word), 6);
    assert_memory_equal(word, "READY\n", 6);
}

static void ends_with(pid_t child, int code)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static struct handler_message *worker_waits(struct worker *w)
{
    struct pollfd ready = {.fd = w->fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
    return worker_hear(w);
}

static int passed_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, stage.path, strlen(stage.path) + 1);
    assert_int_equal(bind(fd, (void *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void a_run_ends_on_sigterm(void **state)
{
    (void)state;
    memset(&stage, 0, sizeof stage);
    make_path();
    int ready[2], listening = passed_socket();
    assert_int_equal(pipe(ready), 0);
    pid_t child = run_child(listening, NULL, ready[1]);
    wait_ready(ready[0]);
    struct worker w;
    worker_connect(&w);
    worker_say(&w, (struct handler_message){.type = HANDLER_HELLO,
                                            .version = 3,
                                            .max_answer_bytes = 65536,
                                            .endpoints = told,
                                            .endpoint_count = ARRAY_LEN(told)});
    assert_int_equal(worker_waits(&w)->type, HANDLER_WELCOME);
    assert_int_equal(w.got.version, 1); /* the highest that both know */
    worker_open_as(&w, 1, "/chat", false);
    assert_int_equal(worker_waits(&w)->type, HANDLER_TAKEN);
    kill(child, SIGTERM);
    ends_with(child, 0);
    worker_is_dropped(&w); /* without a word of disconnecting; the socket is the launcher's still */
    assert_int_equal(access(stage.path, F_OK), 0);
    worker_end(&w);
    close(listening);
    close(ready[0]);
    close(ready[1]);
    unlink(stage.path);
    rmdir(stage.dir);
}

static void a_run_that_cannot_start_says_so(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    ends_with(run_child(-1, NULL, ready[1]), 78);
    ends_with(run_child(-1, "/nonexistent/h.sock", ready[1]), 1);
    close(ready[0]);
    close(ready[1]);
}

/* A launcher that is dead already: nobody would ever stop this process. */
static void a_run_without_its_launcher_ends(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    ends_with(gone, 0);
    char number[16];
    snprintf(number, sizeof number, "%d", (int)gone);
    setenv("NORIA_LAUNCHER_PID", number, 1);
    ends_with(run_child(-1, "/nonexistent/h.sock", ready[1]), 1);
    unsetenv("NORIA_LAUNCHER_PID");
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        STAGED(a_connection_from_beginning_to_end),
        STAGED(everything_in_one_packet_and_byte_by_byte),
        STAGED(failures_are_answered_500),
        STAGED(replies_may_come_later_and_in_any_order),
        STAGED(a_reply_after_its_worker_is_gone),
        STAGED(what_is_no_answer_is_refused_here),
        STAGED(sends_topics_publications_and_closes),
        STAGED(a_connection_goes_on_here),
        STAGED(each_worker_has_its_own_connections),
        STAGED(what_had_arrived_is_handled_first),
        STAGED(who_breaks_the_protocol_is_dropped),
        STAGED(dropping_is_no_disconnect),
        STAGED(the_window_is_kept),
        STAGED(a_worker_that_does_not_read_costs_a_bounded_amount),
        STAGED(taken_leaves_before_the_call),
        STAGED(a_worker_that_dies_with_a_full_socket),
        STAGED(unknown_messages_are_ignored),
        STAGED(a_second_program_at_the_same_socket),
        STAGED(a_configuration_without_sense),
        cmocka_unit_test(a_run_ends_on_sigterm),
        cmocka_unit_test(a_run_that_cannot_start_says_so),
        cmocka_unit_test(a_run_without_its_launcher_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
