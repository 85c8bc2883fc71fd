/* launcher_control_test.c — control.sock: who is heard, what is a request, answers to whoever does not read them; and `noria restart`'s side
 * of it (tell_launcher.h). */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "launch_control.h"
#include "must.h"
#include "proc.h"
#include "tell_launcher.h"

struct scene {
    char dir[64], path[96];
    struct clock_manual clock;
    struct loop *loop;
    struct control_server *server;
    char heard[1024]; /* requests, a line each, words joined by | */
    struct control_peer *peer;
    int gone, requests;
    bool answer; /* at once, with each word as a line, and ok */
};

static void on_request(void *arg, struct control_peer *peer, const char *const *words, size_t count)
{
    struct scene *s = arg;
    for (size_t i = 0; i < count; i++) {
        strcat(strcat(s->heard, i > 0 ? "|" : ""), words[i]);
        if (s->answer)
            control_say(peer, words[i]);
    }
    strcat(s->heard, "\n");
    s->requests++;
    s->peer = peer;
    if (s->answer)
        control_end(peer, count > 1 && strcmp(words[1], "bad") == 0 ? "it is bad" : NULL);
}

static void on_gone(void *arg, struct control_peer *peer)
{
    struct scene *s = arg;
    assert_ptr_equal(s->peer, peer);
    s->peer = NULL;
    s->gone++;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/launcher_control.XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/control.sock", s->dir);
    clock_manual_init(&s->clock, 1000 * NS_PER_S, 0);
    s->loop = loop_new(&s->clock.clock);
    const struct control_server_options options = {s->path, on_request, on_gone, s};
    assert_int_equal(control_server_open(s->loop, &options, &s->server), ERR_OK);
    s->answer = true;
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    control_server_close(&s->server);
    loop_free(&s->loop);
    unlink(s->path);
    assert_int_equal(rmdir(s->dir), 0);
    free(s);
    return 0;
}

static int connect_peer(const struct scene *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void turn(struct scene *s)
{
    for (int i = 0; i < 5; i++)
        loop_poll(s->loop);
}

/* All that comes until the end; NULL: it did not end. */
static const char *answer_of(struct scene *s, int fd)
{
    static char text[1024];
    size_t len = 0;
    for (int i = 0; i < 20; i++) {
        turn(s);
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            text[len] = '\0';
            close(fd);
            return text;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

static const char *ask(struct scene *s, const char *request, size_t len)
{
    int fd = connect_peer(s);
    assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
    return answer_of(s, fd);
}

#define ASK(s, text) ask(s, text, strlen(text))

/* --- requests --------------------------------------------------------------------------------------------------- */

static void requests_are_lines_of_words(void **state)
{
    struct scene *s = *state;
    assert_string_equal(ASK(s, "restart worker.0 worker.1\n"), "restart\nworker.0\nworker.1\nok\n");
    assert_string_equal(ASK(s, "reload\nand more"), "reload\nok\n");
    assert_string_equal(ASK(s, "drain bad\n"), "drain\nbad\nerror: it is bad\n");
    assert_string_equal(ASK(s, "\n"), "ok\n");
    assert_string_equal(s->heard, "restart|worker.0|worker.1\nreload\ndrain|bad\n\n");
    assert_int_equal(control_server_requests(s->server), 4);
}

static void a_request_may_come_in_pieces(void **state)
{
    struct scene *s = *state;
    int fd = connect_peer(s);
    for (const char *at = "restart a\n"; *at != '\0'; at++) {
        assert_int_equal(send(fd, at, 1, 0), 1);
        turn(s);
    }
    assert_string_equal(answer_of(s, fd), "restart\na\nok\n");
}

static void garbage_is_refused(void **state)
{
    struct scene *s = *state;
    char text[1000];
    memset(text, 'x', sizeof text);
    assert_string_equal(ask(s, text, 256), "error: the request is too long\n");
    text[255] = '\n';
    assert_non_null(strstr(ask(s, text, 256), "\nok\n"));
    assert_string_equal(ask(s, "rest\0art\n", 9), "error: the request is no line of words\n");
    assert_string_equal(ASK(s, "restart\tall\n"), "error: the request is no line of words\n");
    assert_string_equal(ASK(s, "\xff\x01\x02\n"), "error: the request is no line of words\n");
    assert_string_equal(ASK(s, "restart\r\n"), "error: the request is no line of words\n");
    assert_int_equal(s->requests, 1);
    int fd = connect_peer(s); /* goes without a word */
    turn(s);
    close(fd);
    turn(s);
    assert_int_equal(s->requests, 1);
}

static void who_asks_nothing_is_dropped(void **state)
{
    struct scene *s = *state;
    int fd = connect_peer(s);
    turn(s);
    clock_manual_advance_ns(&s->clock, CONTROL_PATIENCE_NS - 1);
    turn(s);
    assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
    clock_manual_advance_ns(&s->clock, 1);
    assert_string_equal(answer_of(s, fd), "");
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

static void an_answer_may_take_its_time(void **state)
{
    struct scene *s = *state;
    s->answer = false;
    int fd = connect_peer(s);
    assert_int_equal(send(fd, "restart\n", 8, 0), 8);
    turn(s);
    assert_non_null(s->peer);
    clock_manual_advance_ns(&s->clock, 3600 * NS_PER_S);
    turn(s);
    control_say(s->peer, "half\nway");
    turn(s);
    char text[32] = "";
    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 9);
    assert_string_equal(text, "half way\n");
    control_end(s->peer, NULL);
    assert_string_equal(answer_of(s, fd), "ok\n");
    assert_int_equal(s->gone, 0);
}

static void who_goes_meanwhile_is_told_of(void **state)
{
    struct scene *s = *state;
    s->answer = false;
    int fd = connect_peer(s);
    assert_int_equal(send(fd, "restart\n", 8, 0), 8);
    turn(s);
    struct control_peer *peer = s->peer;
    close(fd);
    loop_poll(s->loop);
    assert_true(s->gone == 1 && peer != NULL);
    turn(s);
    assert_string_equal(s->heard, "restart\n");
}

static void who_does_not_read_is_dropped(void **state)
{
    struct scene *s = *state;
    char line[1000];
    memset(line, 'y', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    s->answer = false;
    int fd = connect_peer(s);
    assert_int_equal(send(fd, "restart\n", 8, 0), 8);
    turn(s);
    for (int i = 0; i < 2000 && s->peer != NULL; i++)
        control_say(s->peer, line);
    assert_int_equal(s->gone, 1);
    turn(s);
    close(fd);
    /* one that reads nothing of little is dropped by the clock */
    s->answer = false;
    fd = connect_peer(s);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int)), 0);
    assert_int_equal(send(fd, "restart\n", 8, 0), 8);
    turn(s);
    for (int i = 0; i < 230; i++) /* within CONTROL_ANSWER_MAX, and more than a socket holds */
        control_say(s->peer, line);
    assert_int_equal(s->gone, 1);
    clock_manual_advance_ns(&s->clock, CONTROL_PATIENCE_NS);
    turn(s);
    assert_int_equal(s->gone, 2);
    close(fd);
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void connections_are_bounded(void **state)
{
    struct scene *s = *state;
    int fds[CONTROL_PEERS + 1];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_peer(s);
        turn(s);
    }
    assert_string_equal(answer_of(s, fds[CONTROL_PEERS]), "");
    assert_int_equal(control_server_refused(s->server), 1);
    close(fds[0]);
    turn(s);
    assert_string_equal(ASK(s, "reload\n"), "reload\nok\n");
    for (size_t i = 1; i < CONTROL_PEERS; i++)
        close(fds[i]);
    turn(s);
}

static void it_is_the_users_own(void **state)
{
    struct scene *s = *state;
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(s->path, 0666), 0); /* even so: the kernel says who it is */
    assert_int_equal(chmod(s->dir, 0755), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (setuid(12345) != 0)
            _exit(1);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, s->path, strlen(s->path) + 1);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        char text[16];
        _exit(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                      send(fd, "reload\n", 7, MSG_NOSIGNAL) == 7 && recv(fd, text, sizeof text, 0) <= 0
                  ? 0
                  : 2);
    }
    int status = -1;
    while (waitpid(pid, &status, WNOHANG) == 0)
        loop_poll(s->loop);
    assert_int_equal(status, 0);
    assert_int_equal(control_server_refused(s->server), 1);
    assert_int_equal(s->requests, 0);
}

/* --- the asking side -------------------------------------------------------------------------------------------- */

struct asking {
    struct tell_request request;
    int code;
    _Atomic bool over;
};

static void *ask_in_thread(void *arg)
{
    struct asking *asking = arg;
    asking->code = tell_launcher(&asking->request);
    asking->over = true;
    return NULL;
}

/* What it wrote to out and err. */
static int tell(struct scene *s, const char *path, const char *word, const char *const *names, size_t count,
                char **out, char **err)
{
    struct asking asking = {.request = {path, word, names, count, NULL, NULL}};
    size_t out_len, err_len;
    pthread_t thread;
    asking.request.out = open_memstream(out, &out_len);
    asking.request.err = open_memstream(err, &err_len);
    assert_int_equal(pthread_create(&thread, NULL, ask_in_thread, &asking), 0);
    while (!asking.over)
        loop_poll(s->loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fclose(asking.request.out);
    fclose(asking.request.err);
    return asking.code;
}

static void the_asking_side_shows_what_it_is_told(void **state)
{
    struct scene *s = *state;
    static const char *const good[] = {"worker.0"}, *const bad[] = {"bad"}, *const odd[] = {"a b"};
    char *out, *err;
    assert_int_equal(tell(s, s->path, "restart", good, 1, &out, &err), 0);
    assert_string_equal(out, "restart\nworker.0\n");
    assert_string_equal(err, "");
    free(out);
    free(err);
    assert_int_equal(tell(s, s->path, "drain", bad, 1, &out, &err), PROC_EXIT_FAILURE);
    assert_string_equal(err, "noria drain: it is bad\n");
    free(out);
    free(err);
    assert_int_equal(tell(s, s->path, "drain", odd, 1, &out, &err), PROC_EXIT_USAGE);
    free(out);
    free(err);
    assert_int_equal(tell(s, "/nonexistent/control.sock", "reload", NULL, 0, &out, &err), PROC_EXIT_FAILURE);
    assert_string_equal(err, "noria reload: /nonexistent/control.sock: no launcher (noria up) runs there\n");
    free(out);
    free(err);
}

static void many_names_go_in_several_requests(void **state)
{
    struct scene *s = *state;
    static char texts[40][24];
    const char *names[40];
    char *out, *err;
    for (size_t i = 0; i < 40; i++) {
        snprintf(texts[i], sizeof texts[i], "agent.machine_%zu", i + 10);
        names[i] = texts[i];
    }
    assert_int_equal(tell(s, s->path, "restart", names, 40, &out, &err), 0);
    assert_int_equal(s->requests, 3);
    assert_non_null(strstr(out, "agent.machine_10\n"));
    assert_non_null(strstr(out, "agent.machine_49\n"));
    free(out);
    free(err);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_lines_of_words),
        TEST(a_request_may_come_in_pieces),
        TEST(garbage_is_refused),
        TEST(who_asks_nothing_is_dropped),
        TEST(an_answer_may_take_its_time),
        TEST(who_goes_meanwhile_is_told_of),
        TEST(who_does_not_read_is_dropped),
        TEST(connections_are_bounded),
        TEST(it_is_the_users_own),
        TEST(the_asking_side_shows_what_it_is_told),
        TEST(many_names_go_in_several_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
