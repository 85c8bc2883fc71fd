/* front_guest.h — of the tests of noria front: a front on a loop that the test turns, at a clock that it moves; and who connects to it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "descriptors.h"
#include "front.h"
#include "front_hold.h"
#include "health.h"
#include "log.h"
#include "proc.h"

static char directory[] = "/tmp/noria_front.XXXXXX", path[64];
static struct clock_manual manual;
static struct loop *loop;
static struct front *front;

static inline int make_directory(void **state)
{
    (void)state;
    log_init("test", LOG_ERROR);
    proc_boot_root(); /* descriptors: as many as there may be */
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/front.sock", directory);
    return 0;
}

static inline int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static inline int open_front(void **state)
{
    (void)state;
    clock_manual_init(&manual, 1000 * NS_PER_S, 0);
    loop = loop_new(&manual.clock);
    return loop != NULL && front_open(loop, path, &front) == ERR_OK ? 0 : -1;
}

static inline int close_front(void **state)
{
    (void)state;
    front_close(&front);
    loop_free(&loop);
    return 0;
}

/* --- a worker's end ------------------------------------------------------------------------------------------------- */

/* All that stands to be done is done: what comes of one iteration is seen by the next. */
static inline void turn(void)
{
    for (int i = 0; i < 4; i++)
        loop_poll(loop);
}

static inline int knock(void)
{
    struct sockaddr_un address;
    assert_true(health_address(path, &address));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline int come_in(void)
{
    int fd = knock();
    turn();
    return fd;
}

static inline void say(int fd, enum control_type_e type, const char *text)
{
    struct control_message message = {.type = type};
    snprintf(message.text, sizeof message.text, "%s", text);
    assert_int_equal(control_send(fd, &message), ERR_OK);
    turn();
}

/* Who is served stays connected. */
static inline int served(const char *families, struct control_message *got)
{
    int fd = come_in();
    say(fd, CONTROL_SOCKETS, families);
    assert_int_equal(control_receive(fd, got), ERR_OK);
    assert_int_equal(got->type, CONTROL_SOCKETS);
    assert_string_equal(got->text, families);
    assert_int_equal(got->fd_count, strlen(families));
    assert_int_equal(control_receive(fd, &(struct control_message){0}), ERR_BUSY);
    return fd;
}

static inline void drop(int fd, struct control_message *got)
{
    control_drop_fds(got);
    close(fd);
    turn();
}

static inline bool has_ended(int fd)
{
    struct control_message got;
    return control_receive(fd, &got) == ERR_CLOSED;
}

/* Connected, and nothing was said to it. */
static inline bool is_held(int fd)
{
    struct control_message got;
    return control_receive(fd, &got) == ERR_BUSY;
}

/* Refused with these words, and hung up on. */
static inline void refused(int fd, const char *why)
{
    struct control_message got;
    assert_int_equal(control_receive(fd, &got), ERR_OK);
    assert_int_equal(got.type, CONTROL_REFUSED);
    assert_int_equal(got.fd_count, 0);
    assert_string_equal(got.text, why);
    assert_true(has_ended(fd));
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_front, close_front)
