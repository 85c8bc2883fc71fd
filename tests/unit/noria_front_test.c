/* noria front: sockets for who asks well, an end for who does not, and one front at a time. */
#include "front_guest.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- who asks well -------------------------------------------------------------------------------------------------- */

static int option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &size), 0);
    return value;
}

static void sockets_come_as_they_were_asked_for(void **state)
{
    (void)state;
    static const int domains[] = {AF_INET, AF_INET6, AF_INET6, AF_INET};
    struct control_message got;
    int worker = served("4664", &got);
    assert_int_equal(got.number, proc_tcp_migrates());
    for (unsigned i = 0; i < got.fd_count; i++) {
        struct sockaddr_in6 name = {0};
        socklen_t size = sizeof name;
        assert_int_equal(option(got.fds[i], SO_DOMAIN), domains[i]);
        assert_int_equal(option(got.fds[i], SO_TYPE), SOCK_STREAM);
        assert_int_equal(option(got.fds[i], SO_PROTOCOL), IPPROTO_TCP);
        assert_int_equal(option(got.fds[i], SO_REUSEPORT), 0);
        assert_true(fcntl(got.fds[i], F_GETFL) & O_NONBLOCK);
        assert_int_equal(getsockname(got.fds[i], (struct sockaddr *)&name, &size), 0);
        assert_int_equal(name.sin6_port, 0); /* at the same place for both families */
    }
    drop(worker, &got);
    assert_int_equal(front_count(front), 0);
}

static void as_many_as_a_packet_takes(void **state)
{
    (void)state;
    char most[CONTROL_FDS_MAX + 2];
    struct control_message got;
    memset(most, '4', sizeof most);
    most[CONTROL_FDS_MAX] = '\0';
    drop(served(most, &got), &got);
    most[CONTROL_FDS_MAX] = '4';
    most[CONTROL_FDS_MAX + 1] = '\0';
    int worker = come_in();
    say(worker, CONTROL_SOCKETS, most);
    refused(worker, "no request for sockets");
}

/* What a worker closes is closed, its connection to front notwithstanding. */
static void front_keeps_none(void **state)
{
    (void)state;
    struct control_message got;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int worker = served("4", &got);
    assert_int_equal(bind(got.fds[0], (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(got.fds[0], 1), 0);
    assert_int_equal(getsockname(got.fds[0], (struct sockaddr *)&address, &size), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    control_drop_fds(&got);
    struct pollfd reset = {client, POLLIN, 0};
    assert_int_equal(poll(&reset, 1, 20000), 1);
    assert_true(reset.revents & POLLERR); /* nobody holds the queue any more */
    close(client);
    assert_int_equal(front_count(front), 1);
    drop(worker, &got);
}

static ino_t network_of(int fd)
{
    struct stat st;
    int network = ioctl(fd, SIOCGSKNS);
    assert_true(network >= 0 && fstat(network, &st) == 0);
    close(network);
    return st.st_ino;
}

/* The loop turns in a network of its own, the worker asks from another. */
static void sockets_are_of_fronts_network(void **state)
{
    (void)state;
    struct control_message got;
    struct stat ours, theirs;
    int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(before, &ours), 0);
    int worker = come_in();
    if (unshare(CLONE_NEWNET) != 0) { /* only root may */
        close(before);
        close(worker);
        skip();
    }
    assert_int_equal(stat("/proc/self/ns/net", &theirs), 0);
    say(worker, CONTROL_SOCKETS, "46");
    assert_int_equal(setns(before, CLONE_NEWNET), 0);
    close(before);
    assert_int_equal(control_receive(worker, &got), ERR_OK);
    assert_int_equal(got.fd_count, 2);
    assert_true(network_of(got.fds[0]) == theirs.st_ino && network_of(got.fds[1]) == theirs.st_ino);
    assert_true(theirs.st_ino != ours.st_ino);
    drop(worker, &got);
}

/* --- who does not --------------------------------------------------------------------------------------------------- */

static void no_request(enum control_type_e type, const char *text)
{
    int worker = come_in();
    say(worker, type, text);
    refused(worker, "no request for sockets");
}

static void garbage_ends_its_own_connection_alone(void **state)
{
    (void)state;
    struct control_message good, thing = {.type = CONTROL_ADOPT, .text = "446", .fd_count = CONTROL_FDS_MAX};
    static const char noise[4000] = "446";
    int other = served("4", &good);
    size_t before = descriptors();
    no_request(CONTROL_SOCKETS, "");
    no_request(CONTROL_SOCKETS, "45");
    no_request(CONTROL_SOCKETS, "4 6");
    no_request(CONTROL_ADOPT, "4");
    for (size_t len = 1; len < sizeof noise; len = len * 3 + 1) {
        int worker = come_in();
        assert_true(send(worker, noise, len, 0) > 0);
        turn();
        refused(worker, "no request for sockets");
    }
    int stuffed = come_in();
    for (unsigned i = 0; i < CONTROL_FDS_MAX; i++)
        thing.fds[i] = other;
    assert_int_equal(control_send(stuffed, &thing), ERR_OK);
    turn();
    refused(stuffed, "no request for sockets");
    assert_int_equal(descriptors(), before);
    assert_int_equal(front_count(front), 1);
    assert_true(is_held(other));
    drop(other, &good);
}

static void a_second_request_is_refused(void **state)
{
    (void)state;
    struct control_message got;
    int worker = served("4", &got);
    say(worker, CONTROL_SOCKETS, "4");
    refused(worker, "was served already");
    control_drop_fds(&got);
}

static void who_says_nothing_is_hung_up_on_and_who_was_served_is_not(void **state)
{
    (void)state;
    struct control_message got;
    int worker = served("4", &got), silent = come_in();
    clock_manual_advance_ns(&manual, FRONT_PATIENCE_NS - 1);
    turn();
    assert_int_equal(front_count(front), 2);
    clock_manual_advance_ns(&manual, 1);
    turn();
    refused(silent, "asks for nothing");
    clock_manual_advance_ns(&manual, 100 * FRONT_PATIENCE_NS);
    turn();
    assert_true(is_held(worker));
    drop(worker, &got);
}

static void another_user_is_nobody(void **state)
{
    (void)state;
    struct control_message got;
    int status;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(directory, 0755) | chmod(path, 0777), 0);
    pid_t stranger = fork();
    if (stranger == 0) {
        struct control_message request = {.type = CONTROL_SOCKETS, .text = "4"};
        if (setuid(65534) != 0)
            _exit(2);
        int fd = knock();
        if (control_send(fd, &request) != ERR_OK)
            _exit(3);
        struct pollfd end = {fd, POLLIN, 0};
        poll(&end, 1, 20000);
        _exit(control_receive(fd, &got) == ERR_CLOSED ? 0 : 1);
    }
    while (waitpid(stranger, &status, WNOHANG) == 0) {
        loop_poll(loop);
        poll(NULL, 0, 1);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(front_count(front), 0);
}

/* --- more than one front -------------------------------------------------------------------------------------------- */

static void one_front_is_enough(void **state)
{
    (void)state;
    struct control_message got;
    struct front *second;
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    int worker = served("4", &got);
    assert_int_equal(front_open(loop, path, &second), ERR_EXISTS);
    assert_null(second);
    assert_int_equal(front_open(loop, longer, &second), ERR_TOO_LARGE);
    assert_int_equal(front_open(loop, "/nowhere/front.sock", &second), ERR_SYSTEM);
    turn();
    assert_true(is_held(worker));
    front_close(&front);
    assert_true(has_ended(worker)); /* which is how a worker knows */
    assert_int_equal(access(path, F_OK), -1);
    drop(worker, &got);
}

static void what_a_killed_front_left_is_replaced(void **state)
{
    (void)state;
    struct control_message got;
    struct sockaddr_un address;
    front_close(&front);
    assert_true(health_address(path, &address));
    int killed = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(killed, (struct sockaddr *)&address, sizeof address) | listen(killed, 1), 0);
    struct front *second;
    assert_int_equal(front_open(loop, path, &second),
                     ERR_EXISTS); /* nobody looks there, and who waits may be a worker */
    while (health_accepts(path, SOCK_SEQPACKET))
        continue;
    assert_int_equal(front_open(loop, path, &second), ERR_EXISTS); /* not with a full queue, either */
    close(killed);
    assert_int_equal(front_open(loop, path, &front), ERR_OK);
    drop(served("4", &got), &got);
}

static void the_program_ends_when_it_is_told_to(void **state)
{
    (void)state;
    int status, ready[2];
    char said[8] = {0}, name[16];
    front_close(&front);
    assert_int_equal(pipe(ready), 0);
    snprintf(name, sizeof name, "%d", ready[1]);
    pid_t program = fork();
    if (program == 0) {
        setenv("NORIA_READY_FD", name, 1);
        _exit(front_hold(path) == ERR_OK ? 0 : 1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], said, sizeof said), 6);
    close(ready[0]);
    int worker = knock();
    struct control_message got, request = {.type = CONTROL_SOCKETS, .text = "6"};
    struct pollfd answer = {worker, POLLIN, 0};
    assert_int_equal(control_send(worker, &request), ERR_OK);
    assert_int_equal(poll(&answer, 1, 20000), 1);
    assert_int_equal(control_receive(worker, &got), ERR_OK);
    kill(program, SIGTERM);
    assert_int_equal(poll(&answer, 1, 20000), 1);
    assert_true(has_ended(worker));
    assert_int_equal(waitpid(program, &status, 0), program);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_false(health_accepts(path, SOCK_SEQPACKET));
    control_drop_fds(&got);
    close(worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sockets_come_as_they_were_asked_for),
        TEST(as_many_as_a_packet_takes),
        TEST(front_keeps_none),
        TEST(sockets_are_of_fronts_network),
        TEST(garbage_ends_its_own_connection_alone),
        TEST(a_second_request_is_refused),
        TEST(who_says_nothing_is_hung_up_on_and_who_was_served_is_not),
        TEST(another_user_is_nobody),
        TEST(one_front_is_enough),
        TEST(what_a_killed_front_left_is_replaced),
        TEST(the_program_ends_when_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
