/* launcher_sockets_test.c — listening sockets held by the launcher: one per worker, no silent sharing with another program,
 * and a connection made while a worker is down is served by its successor. */
#include "launcher_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "conf.h"
#include "launch_sockets.h"

static void never_called(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static struct conf *configured(struct troupe *t, const char *listeners)
{
    char path[96];
    snprintf(path, sizeof path, "%s/conf.yaml", t->dir);
    FILE *file = fopen(path, "w");
    fprintf(file, "workers: {count: 2}\nlisteners: %s\n", listeners);
    fclose(file);
    struct conf *conf;
    assert_int_equal(conf_load(path, never_called, NULL, &conf), ERR_OK);
    return conf;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static void each_worker_gets_each_listener(void **state)
{
    struct troupe *t = *state;
    struct launch_sockets *sockets;
    struct conf *conf = configured(t, "[{name: a, port: 0}, {name: b, port: 0, address: '::1'}]");
    assert_int_equal(launch_sockets_open(conf, &sockets), ERR_OK);
    struct child_sockets first = launch_sockets_of(sockets, 0), second = launch_sockets_of(sockets, 1);
    assert_int_equal(first.count, 2);
    assert_string_equal(second.names, "a:b");
    assert_int_equal(port_of(first.fds[0]), launch_sockets_port(sockets, 0));
    assert_int_equal(port_of(second.fds[0]), launch_sockets_port(sockets, 0));
    assert_int_equal(port_of(second.fds[1]), launch_sockets_port(sockets, 1));
    for (int i = 0; i < 2; i++) {
        int listening = 0;
        socklen_t size = sizeof listening;
        assert_int_equal(getsockopt(second.fds[i], SOL_SOCKET, SO_ACCEPTCONN, &listening, &size), 0);
        assert_true(listening);
        assert_true(fcntl(second.fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(second.fds[i], F_GETFD) & FD_CLOEXEC);
    }
    launch_sockets_close(&sockets);
    conf_free(&conf);
    family_stop(t->family);
}

static void an_address_in_use_is_refused(void **state)
{
    struct troupe *t = *state;
    struct launch_sockets *sockets, *others;
    struct conf *conf = configured(t, "[{name: a, port: 0}]");
    assert_int_equal(launch_sockets_open(conf, &sockets), ERR_OK);
    char listeners[64];
    snprintf(listeners, sizeof listeners, "[{name: b, port: %u}]", launch_sockets_port(sockets, 0));
    struct conf *same = configured(t, listeners);
    assert_int_equal(launch_sockets_open(same, &others),
                     ERR_EXISTS); /* both with SO_REUSEPORT, by one user */
    assert_null(others);
    launch_sockets_close(&sockets);
    assert_int_equal(launch_sockets_open(same, &others), ERR_OK);
    launch_sockets_close(&others);

    int plain = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = loopback(same->listeners[0].port);
    assert_int_equal(bind(plain, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(launch_sockets_open(same, &others), ERR_EXISTS); /* bound, not even listening */
    close(plain);
    conf_free(&same);
    conf_free(&conf);
    family_stop(t->family);
}

/* A worker that answers every connection with its process id. */
static const char worker[] =
    "import os, socket\n"
    "assert os.environ['LISTEN_FDS'] == '1' and os.environ['LISTEN_FDNAMES'] == 'a'\n"
    "assert os.environ['LISTEN_PID'] == str(os.getpid())\n"
    "listener = socket.socket(fileno=3)\n"
    "listener.setblocking(True)\n"
    "os.write(int(os.environ['NORIA_READY_FD']), b'READY\\n')\n"
    "while True:\n"
    "    client = listener.accept()[0]\n"
    "    client.sendall(b'%d\\n' % os.getpid())\n"
    "    client.close()\n";

static int connected(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = loopback(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static bool answered(int fd, pid_t *pid)
{
    char text[32] = "";
    if (recv(fd, text, sizeof text - 1, MSG_DONTWAIT) <= 0)
        return false;
    *pid = (pid_t)atoi(text);
    return true;
}

static void connections_wait_for_the_next_worker(void **state)
{
    struct troupe *t = *state;
    struct launch_sockets *sockets;
    struct conf *conf = configured(t, "[{name: a, port: 0}]");
    conf->workers = 1; /* so that the kernel has no choice */
    assert_int_equal(launch_sockets_open(conf, &sockets), ERR_OK);
    uint16_t port = launch_sockets_port(sockets, 0);
    struct family_member member = {.stage = FAMILY_WORKER,
                                   .name = "w",
                                   .argv = {"/usr/bin/python3", "-c", worker},
                                   .sockets = launch_sockets_of(sockets, 0)};
    assert_int_equal(family_add(t->family, &member), ERR_OK);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
    pid_t served = 0;
    int client = connected(port);
    UNTIL_ON(t, client, answered(client, &served));
    assert_int_equal(served, family_pid(t->family, "w"));
    close(client);

    /* Two deaths: the second is answered after a pause, which lasts as long as the clock stands still. */
    kill(family_pid(t->family, "w"), SIGKILL);
    UNTIL(t, family_tally(t->family).deaths == 1 && family_is_ready(t->family, "w"));
    kill(family_pid(t->family, "w"), SIGKILL);
    UNTIL(t, family_tally(t->family).deaths == 2);
    assert_int_equal(family_pid(t->family, "w"), 0);
    int waiting[20];
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
        waiting[i] = connected(port);
    troupe_advance(t, 100 * NS_PER_MS);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        pid_t by = 0;
        UNTIL_ON(t, waiting[i], answered(waiting[i], &by));
        assert_int_equal(by, family_pid(t->family, "w"));
        close(waiting[i]);
    }
    family_stop(t->family);
    UNTIL(t, t->stopped_told > 0);
    launch_sockets_close(&sockets);
    conf_free(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(each_worker_gets_each_listener),
        PLAY(an_address_in_use_is_refused),
        PLAY(connections_wait_for_the_next_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
