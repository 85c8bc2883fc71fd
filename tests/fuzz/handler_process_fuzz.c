/* Fuzzes libnoria-handler with what a worker, or anybody who reaches the socket, may send; and when: the input is a script of well-formed
 * events, raw bytes, reads and ends of the stream. Checked beside memory: on_connect and on_disconnect come in pairs, each after its TAKEN has left; a
 * worker that ends its stream leaves no connection without on_disconnect; users are freed once; what comes back is whole messages of a
 * handler's, one REPLY at most per MESSAGE. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handler.h"
#include "handler_process.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEPT_MAX   256u
#define EVENTS_MAX 4096u

static struct stage {
    struct noria_handler *handler;
    struct link *link;
    int worker;
    uint64_t event;
    bool replied[EVENTS_MAX];
    char in[1u << 20];
    size_t in_len;
    int open, users; /* connections that are connected, users that are not freed */
    struct noria_request *kept[KEPT_MAX];
    unsigned kept_count;
} s;

static int on_connect(struct noria_conn *conn)
{
    MUST(link_unsent(conn->link) == 0 && !conn->link->mute); /* TAKEN has left */
    noria_conn_set_user(conn, malloc(1));
    s.users++;
    s.open++;
    return noria_conn_query(conn)[0] == 'f';
}

static void on_resume(struct noria_conn *conn)
{
    on_connect(conn);
}

static void on_disconnect(struct noria_conn *conn)
{
    MUST(noria_conn_user(conn) != NULL && s.open > 0);
    MUST(link_unsent(conn->link) == 0);
    s.open--;
    noria_publish(s.handler, "/chat", "bye", NORIA_OK, NULL, conn);
}

static void free_user(void *user)
{
    s.users--;
    free(user);
}

static int on_receive(struct noria_request *request, const msgpack_object *message)
{
    msgpack_packer packer;
    msgpack_sbuffer *body = noria_body(noria_request_handler(request), &packer);
    int64_t what = 0;
    MUST(noria_request_conn(request) != NULL && noria_conn_user(noria_request_conn(request)) != NULL);
    noria_integer(message, &what);
    if (what == 1)
        return -1;
    if (what == 2 && s.kept_count < KEPT_MAX) {
        s.kept[s.kept_count++] = request;
        return 0;
    }
    if (what == 3)
        return noria_reply(request, 299, body) == 0;
    if (what == 4) {
        static char large[60000];
        memset(large, 'x', sizeof large);
        noria_reply_text(request, large, sizeof large);
        return 0;
    }
    msgpack_pack_object(&packer, *message);
    noria_reply(request, NORIA_OK, body);
    return 0;
}

static void boot(void)
{
    static const struct noria_endpoint endpoints[] = {
        {"/chat", on_connect, on_resume, on_disconnect, on_receive, free_user, {NULL}}};
    char dir[] = "/tmp/noria-handler-fuzz-XXXXXX", path[64];
    MUST(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/h", dir);
    s.handler = noria_handler_new(&(struct noria_handler_config){
        .endpoints = endpoints, .endpoint_count = 1, .socket = path, .max_unsent_bytes = 200000});
    MUST(s.handler != NULL);
    log_init("fuzz", LOG_ERROR);
    unlink(path);
    rmdir(dir);
}

/* Until there is nothing left to do, which comes soon: no state keeps the loop awake. */
static void serve(void)
{
    struct pollfd ready = {.fd = noria_handler_fd(s.handler), .events = POLLIN};
    for (int turns = 0; poll(&ready, 1, 0) == 1; turns++) {
        MUST(turns < 200);
        noria_handler_service(s.handler);
    }
}

static bool is_ours(const struct link *link)
{
    LIST_FOREACH (it, &s.handler->links) {
        if (LIST_ENTRY(it, struct link, node) == link)
            return true;
    }
    return false;
}

static void check_message(const char *bytes, size_t len)
{
    struct handler_message message;
    MUST(handler_decode_head(bytes, len, NULL, &message) == ERR_OK);
    MUST(message.type >= HANDLER_WELCOME);
    if (message.type != HANDLER_REPLY)
        return;
    MUST(message.event < EVENTS_MAX && !s.replied[message.event]);
    s.replied[message.event] = true;
}

static void worker_reads(size_t most)
{
    size_t room = sizeof s.in - s.in_len, at = 0, len;
    ssize_t got = recv(s.worker, s.in + s.in_len, most < room ? most : room, MSG_DONTWAIT);
    s.in_len += got > 0 ? (size_t)got : 0;
    while (handler_frame(s.in + at, s.in_len - at, &len) == ERR_OK) {
        check_message(s.in + at + HANDLER_LENGTH_BYTES, len);
        at += HANDLER_LENGTH_BYTES + len;
    }
    memmove(s.in, s.in + at, s.in_len - at);
    s.in_len -= at;
}

static void worker_says(const void *bytes, size_t len)
{
    ssize_t ignored = send(s.worker, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
}

static void worker_tells(struct handler_message message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    if (message.type != HANDLER_HELLO)
        message.event = ++s.event;
    if (handler_encode(&message, &out) == ERR_OK)
        worker_says(out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

static void begin(void)
{
    static const struct handler_endpoint told[] = {{{"/chat", 5}, false}, {{"/other", 6}, true}};
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    s.worker = pair[1];
    s.event = s.in_len = 0;
    memset(s.replied, 0, sizeof s.replied);
    s.handler->complaints = (struct log_limit){0};
    s.link = link_new(s.handler, pair[0]);
    MUST(s.link != NULL);
    worker_tells((struct handler_message){.type = HANDLER_HELLO,
                                          .version = 1,
                                          .max_answer_bytes = 65536,
                                          .endpoints = told,
                                          .endpoint_count = 2});
}

static void step(const uint8_t **at, size_t *left)
{
    uint8_t op = (*at)[0], a = (*at)[1];
    *at += 2;
    *left -= 2;
    size_t raw = a < *left ? a : *left;
    char body = (char)(a >> 4);
    switch (op % 8) {
    case 0:
        worker_tells((struct handler_message){.type = HANDLER_OPEN,
                                              .conn = a & 7,
                                              .path = handler_text(a & 8 ? "/other" : "/chat"),
                                              .query = handler_text(a & 16 ? "fail" : ""),
                                              .resumed = a & 32});
        break;
    case 1:
        worker_tells((struct handler_message){
            .type = HANDLER_MESSAGE, .conn = a & 7, .body_bytes = &body, .body_len = 1});
        break;
    case 2:
        worker_tells((struct handler_message){.type = HANDLER_CLOSED, .conn = a & 7});
        break;
    case 3:
        worker_says(*at, raw);
        *at += raw;
        *left -= raw;
        break;
    case 4:
        worker_reads(a * 256u + 1);
        break;
    case 5:
        serve();
        break;
    case 6:
        if (s.kept_count > 0)
            noria_reply(s.kept[--s.kept_count], NORIA_OK, NULL);
        break;
    default:
        shutdown(s.worker, a & 1 ? SHUT_WR : SHUT_RD);
    }
}

/* The worker dies; what it said is heard first, and nobody is left behind, unless it was this side that ended the link. */
static void end(void)
{
    serve();
    close(s.worker);
    serve();
    MUST(!is_ours(s.link));
    MUST(s.users == 0);
    MUST(s.open == 0 || s.handler->complaints.used > 0);
    s.open = 0;
    while (s.kept_count > 0)
        MUST(noria_reply(s.kept[--s.kept_count], NORIA_OK, NULL) == -ENOTCONN);
    MUST(list_empty(&s.handler->orphans) && s.handler->link_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (s.handler == NULL)
        boot();
    begin();
    while (size >= 2)
        step(&data, &size);
    end();
    return 0;
}
