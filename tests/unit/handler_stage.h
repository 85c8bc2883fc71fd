/* handler_stage.h — a program on libnoria-handler that writes down what it hears, and pretended workers over its real socket; for the tests
 * of the library. */
#pragma once

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

__attribute__((format(printf, 1, 2))) static inline void note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(stage.journal + stage.len, JOURNAL_MAX - stage.len, fmt, args);
    va_end(args);
    assert_true(len >= 0 && stage.len + (size_t)len < JOURNAL_MAX);
    stage.len += (size_t)len;
}

static inline void heard(const char *expected)
{
    assert_string_equal(stage.journal, expected);
    stage.len = 0;
    stage.journal[0] = '\0';
}

static inline void *named(const struct noria_conn *conn)
{
    char *name = strdup(noria_conn_query(conn));
    assert_non_null(name);
    return name;
}

static inline int on_connect(struct noria_conn *conn)
{
    note("connect %s%s;", noria_conn_query(conn), noria_conn_traditional(conn) ? " raw" : "");
    noria_conn_set_user(conn, named(conn));
    stage.conns[atoi(noria_conn_query(conn)) % OPEN_MAX] = conn;
    return stage.connect_fails;
}

static inline void on_resume(struct noria_conn *conn)
{
    note("resume %s;", noria_conn_query(conn));
    stage.conns[atoi(noria_conn_query(conn)) % OPEN_MAX] = conn;
}

static inline void on_disconnect(struct noria_conn *conn)
{
    note("disconnect %s;", noria_conn_query(conn));
    assert_int_equal(noria_send_text(conn, "x", 1), noria_send_text(conn, "x", 1)); /* dropped, not a fault */
}

static inline void free_user(void *user)
{
    stage.freed++;
    free(user);
}

static inline int obey(struct noria_request *request, const char *text, size_t len)
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

static inline int on_receive(struct noria_request *request, const msgpack_object *message)
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

static inline void make_path(void)
{
    snprintf(stage.dir, sizeof stage.dir, "/tmp/noria-handler-XXXXXX");
    assert_non_null(mkdtemp(stage.dir));
    snprintf(stage.path, sizeof stage.path, "%s/h.sock", stage.dir);
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    (void)state;
    noria_handler_free(&stage.handler);
    assert_int_not_equal(access(stage.path, F_OK), 0); /* it took its socket with it */
    rmdir(stage.dir);
    return 0;
}

/* Until there is nothing left to do. */
static inline void serve(void)
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

static inline void worker_connect(struct worker *worker)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(worker, 0, sizeof *worker);
    memcpy(address.sun_path, stage.path, strlen(stage.path) + 1);
    worker->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(worker->fd, (void *)&address, sizeof address), 0);
    msgpack_sbuffer_init(&worker->in);
    assert_true(msgpack_zone_init(&worker->zone, 1024));
}

static inline void worker_write(struct worker *worker, const void *bytes, size_t len)
{
    assert_int_equal(send(worker->fd, bytes, len, MSG_NOSIGNAL), len);
}

static inline void worker_say(struct worker *worker, struct handler_message message)
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
static inline struct handler_message *worker_hear(struct worker *worker)
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

static inline void worker_hears_nothing(struct worker *worker)
{
    char byte;
    assert_int_equal(worker->at, worker->in.size);
    assert_int_equal(recv(worker->fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static inline void worker_is_dropped(struct worker *worker)
{
    char bytes[4096];
    ssize_t got;
    while ((got = recv(worker->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        ;
    assert_true(got == 0 || errno == ECONNRESET);
}

static inline void worker_end(struct worker *worker)
{
    close(worker->fd);
    msgpack_sbuffer_destroy(&worker->in);
    msgpack_zone_destroy(&worker->zone);
}

static const struct handler_endpoint told[] = {
    {{"/chat", 5}, false}, {{"/raw", 4}, true}, {{"/bare", 5}, false}};

static inline void worker_hello(struct worker *worker)
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

static inline void worker_open_as(struct worker *worker, uint64_t conn, const char *path, bool resumed)
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

static inline void worker_open(struct worker *worker, uint64_t conn)
{
    worker_open_as(worker, conn, "/chat", false);
    serve();
    assert_int_equal(worker_hear(worker)->type, HANDLER_TAKEN);
    assert_int_equal(worker->got.event, worker->event);
}

static inline void worker_tell(struct worker *worker, uint64_t conn, const char *what)
{
    char body[64] = "\x81\xa2"
                    "do";
    size_t len = strlen(what);
    body[4] = (char)(0xa0 | len);
    memcpy(body + 5, what, len);
    worker_say(worker, (struct handler_message){
                           .type = HANDLER_MESSAGE, .conn = conn, .body_bytes = body, .body_len = 5 + len});
}

static inline void worker_closed(struct worker *worker, uint64_t conn)
{
    worker_say(worker, (struct handler_message){.type = HANDLER_CLOSED, .conn = conn});
}

static inline void worker_hears_reply(struct worker *worker, uint64_t event, unsigned status)
{
    assert_int_equal(worker_hear(worker)->type, HANDLER_REPLY);
    assert_int_equal(worker->got.event, event);
    assert_int_equal(worker->got.status, status);
}
