/* front_link: a worker's way to its sockets, whatever front is: not there, silent, mad, full, gone. The test is front, and moves the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "descriptors.h"
#include "front.h"
#include "front_link.h"
#include "log.h"

static char directory[] = "/tmp/front_link.XXXXXX", path[64];
static struct clock_manual manual;
static struct front_link link_;
static struct control_message got;
static int listener, end; /* of front */

static int make_directory(void **state)
{
    (void)state;
    log_init("test", LOG_ERROR);
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void open_front(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    unlink(path);
    listener = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
}

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/front.sock", directory);
    clock_manual_init(&manual, 1000 * NS_PER_S, 0);
    front_link_init(&link_, &manual.clock, path);
    listener = end = -1;
    return 0;
}

static int finish(void **state)
{
    (void)state;
    front_link_close(&link_);
    if (end >= 0)
        close(end);
    if (listener >= 0)
        close(listener);
    unlink(path);
    return 0;
}

static void waits(const char *why)
{
    assert_false(front_link_seek(&link_, "46", &got));
    assert_int_equal(link_.fd, -1);
    assert_string_equal(link_.why, why);
}

/* It asks, and front, which takes one connection at a time, has the request. */
static void asks(void)
{
    struct control_message request;
    assert_false(front_link_seek(&link_, "46", &got));
    assert_true(link_.fd >= 0);
    if (end >= 0)
        close(end);
    end = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(end >= 0);
    assert_int_equal(control_receive(end, &request), ERR_OK);
    assert_int_equal(request.type, CONTROL_SOCKETS);
    assert_string_equal(request.text, "46");
    assert_int_equal(request.fd_count, 0);
}

static void answers(enum control_type_e type, const char *text, unsigned count)
{
    struct control_message message = {.type = type, .number = 1, .fd_count = count};
    snprintf(message.text, sizeof message.text, "%s", text);
    for (unsigned i = 0; i < count; i++)
        message.fds[i] = socket(i == 1 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(control_send(end, &message), ERR_OK);
    control_drop_fds(&message);
}

static void is_served(void)
{
    asks();
    answers(CONTROL_SOCKETS, "46", 2);
    assert_true(front_link_seek(&link_, "46", &got));
    assert_int_equal(got.fd_count, 2);
    assert_int_equal(got.number, 1);
}

static void front_is_waited_for_and_its_end_is_seen(void **state)
{
    (void)state;
    waits("No such file or directory");
    open_front(SOCK_SEQPACKET);
    close(listener); /* killed, and its name stays */
    waits("Connection refused");
    open_front(SOCK_SEQPACKET);
    is_served();
    int domain;
    socklen_t size = sizeof domain;
    assert_int_equal(getsockopt(got.fds[1], SOL_SOCKET, SO_DOMAIN, &domain, &size), 0);
    assert_int_equal(domain, AF_INET6);
    assert_true(fcntl(got.fds[0], F_GETFD) & FD_CLOEXEC);
    control_drop_fds(&got);
    clock_manual_advance_ns(&manual, 100 * FRONT_PATIENCE_NS);
    assert_false(front_link_ended(&link_));
    close(end);
    end = -1;
    assert_true(front_link_ended(&link_));
}

static void what_it_says_later_is_its_end_too(void **state)
{
    (void)state;
    open_front(SOCK_SEQPACKET);
    is_served();
    control_drop_fds(&got);
    answers(CONTROL_REFUSED, "was served already", 0);
    assert_true(front_link_ended(&link_));
}

static void a_silent_one_is_asked_again(void **state)
{
    (void)state;
    open_front(SOCK_SEQPACKET);
    asks();
    clock_manual_advance_ns(&manual, FRONT_PATIENCE_NS - 1);
    assert_false(front_link_seek(&link_, "46", &got));
    assert_true(link_.fd >= 0);
    clock_manual_advance_ns(&manual, 1);
    waits("it does not answer");
    is_served();
    control_drop_fds(&got);
}

static void a_refusal_is_told_and_it_is_asked_again(void **state)
{
    (void)state;
    open_front(SOCK_SEQPACKET);
    asks();
    answers(CONTROL_REFUSED, "Too many open files", 0);
    close(end); /* as front does */
    end = -1;
    waits("Too many open files");
    asks();
    answers(CONTROL_REFUSED, "", 1); /* with something that nobody asked for */
    waits("");
    is_served();
    control_drop_fds(&got);
}

static void it_hangs_up_before_it_answers(void **state)
{
    (void)state;
    open_front(SOCK_SEQPACKET);
    asks();
    close(end);
    end = -1;
    waits("it hangs up");
    is_served();
    control_drop_fds(&got);
}

/* More descriptors than a packet of ours has room for: the kernel cuts them off, and says so. */
static void send_many(unsigned count)
{
    union {
        char bytes[CMSG_SPACE(200 * sizeof(int))];
        struct cmsghdr align;
    } ancillary = {{0}};
    struct iovec part = {"46", 2};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = ancillary.bytes,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (unsigned i = 0; i < count; i++)
        memcpy(CMSG_DATA(header) + i * sizeof(int), &listener, sizeof(int));
    assert_int_equal(sendmsg(end, &message, 0), 2);
}

static void answers_that_are_none(void **state)
{
    (void)state;
    open_front(SOCK_SEQPACKET);
    asks();
    size_t before = descriptors();
    answers(CONTROL_SOCKETS, "46", 1);
    waits("its answer is none");
    asks();
    answers(CONTROL_SOCKETS, "46", 3);
    waits("its answer is none");
    asks();
    answers(CONTROL_SOCKETS, "64", 2);
    waits("its answer is none");
    asks();
    answers(CONTROL_ADOPT, "46", 2);
    waits("its answer is none");
    asks();
    assert_int_equal(send(end, "garbage", 7, 0), 7);
    waits("its answer is none");
    asks();
    send_many(200);
    waits("its answer is none");
    asks();
    assert_int_equal(descriptors(), before);
    answers(CONTROL_SOCKETS, "46", 2);
    assert_true(front_link_seek(&link_, "46", &got));
    control_drop_fds(&got);
}

/* The kernel then drops those that it cannot give, and says so. */
static void sockets_that_this_process_has_no_room_for(void **state)
{
    (void)state;
    struct rlimit before;
    open_front(SOCK_SEQPACKET);
    asks();
    answers(CONTROL_SOCKETS, "46", 2);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    close(next);
    struct rlimit few = {(rlim_t)next + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    bool served = front_link_seek(&link_, "46", &got);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(served);
    assert_string_equal(link_.why, "its answer is none");
    is_served();
    control_drop_fds(&got);
}

/* A front of the time when the network was shared, or anything else. */
static void another_kind_of_socket(void **state)
{
    (void)state;
    open_front(SOCK_STREAM);
    waits(strerror(EPROTOTYPE));
}

static void a_queue_that_is_full(void **state)
{
    (void)state;
    struct front_link others[2];
    open_front(SOCK_SEQPACKET);
    for (size_t i = 0; i < 2; i++) { /* a backlog of 1 takes two */
        front_link_init(&others[i], &manual.clock, path);
        assert_false(front_link_seek(&others[i], "4", &got));
        assert_true(others[i].fd >= 0);
    }
    waits(strerror(EAGAIN));
    for (size_t i = 0; i < 2; i++) {
        close(accept(listener, NULL, NULL));
        front_link_close(&others[i]);
    }
    is_served();
    control_drop_fds(&got);
}

static void a_path_that_is_none(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    link_.path = longer;
    waits(strerror(ENAMETOOLONG));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(front_is_waited_for_and_its_end_is_seen),
        TEST(what_it_says_later_is_its_end_too),
        TEST(a_silent_one_is_asked_again),
        TEST(a_refusal_is_told_and_it_is_asked_again),
        TEST(it_hangs_up_before_it_answers),
        TEST(answers_that_are_none),
        TEST(sockets_that_this_process_has_no_room_for),
        TEST(another_kind_of_socket),
        TEST(a_queue_that_is_full),
        TEST(a_path_that_is_none),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
