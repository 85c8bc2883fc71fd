/* libnoria-handler: what a worker says becomes calls, once each and in order, and what a program says comes back as the protocol has
 * it. A process of its own: handed-down socket, READY, SIGTERM, the launcher's death. */
#include "handler_stage.h"

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
        BAD(false, "\0\0\0\x04\x93\x04\x01\x01"),                     /* CLOSED before HELLO */
        BAD(false, "\0\0\0\x09\x98\x02\x01\x01\xa0\xa0\xa0\xa0\xc2"), /* OPEN before it */
        BAD(true, "\0\0\0\x09\x98\x02\x02\x01\xa0\xa0\xa0\xa0\xc2"),  /* event 2 first */
        BAD(false, "\0\0\0\x03\x92\x22\x01"),                         /* a handler's own message */
        BAD(false, "\0\0\0\x0a\x97\x01\0\xa0\xa0\0\0\x90\0\0"),       /* version 0 */
        BAD(true, "\0\0\0\x04\x93\x04\x01\x01"),                      /* CLOSED of nothing */
        BAD(true, "\0\0\0\x05\x94\x03\x01\x01\xc0"),                  /* MESSAGE of nothing */
        BAD(true, "\0\0\0\x0a\x98\x02\x01\0\xa0\xa0\xa0\xa0\xc2\0"),  /* OPEN 0 */
        BAD(true, "\0\0\0\x08\x97\x01\x01\xa0\xa0\0\0\x90"),          /* a second HELLO */
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
    alarm(20);
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
    make_path();
    assert_int_equal(pipe(ready), 0);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    ends_with(gone, 0);
    char number[16];
    snprintf(number, sizeof number, "%d", (int)gone);
    setenv("NORIA_LAUNCHER_PID", number, 1);
    ends_with(run_child(-1, stage.path, ready[1]), 1);
    unsetenv("NORIA_LAUNCHER_PID");
    rmdir(stage.dir);
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
        STAGED(who_breaks_the_protocol_is_dropped),
        STAGED(unknown_messages_are_ignored),
        STAGED(a_second_program_at_the_same_socket),
        STAGED(a_configuration_without_sense),
        cmocka_unit_test(a_run_ends_on_sigterm),
        cmocka_unit_test(a_run_that_cannot_start_says_so),
        cmocka_unit_test(a_run_without_its_launcher_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
