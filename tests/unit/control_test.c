/* control: packets and descriptors between launcher and child; garbage; a full and a closed socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"

static void open_pair(int ends[2])
{
    assert_int_equal(control_pair(&ends[0], &ends[1]), ERR_OK);
}

static void close_pair(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static void what_is_sent_is_received(void **state)
{
    (void)state;
    int ends[2];
    struct control_message sent = {.type = CONTROL_REFUSED, .number = 7, .digest = 0x123456789abcdef0}, got;
    open_pair(ends);
    assert_int_equal(control_receive(ends[0], &got), ERR_BUSY);
    memset(sent.text, 'x', CONTROL_TEXT_MAX);
    assert_int_equal(control_send(ends[1], &sent), ERR_OK);
    struct control_message second = {.type = CONTROL_DRAINING};
    assert_int_equal(control_send(ends[1], &second), ERR_OK);
    assert_int_equal(control_receive(ends[0], &got), ERR_OK);
    assert_int_equal(got.type, CONTROL_REFUSED);
    assert_int_equal(got.number, 7);
    assert_true(got.digest == sent.digest);
    assert_string_equal(got.text, sent.text);
    assert_int_equal(got.fd_count, 0);
    assert_int_equal(control_receive(ends[0], &got), ERR_OK);
    assert_int_equal(got.type, CONTROL_DRAINING);
    assert_string_equal(got.text, "");
    assert_string_equal(control_type_name(got.type), "draining");
    assert_string_equal(control_type_name(CONTROL_TYPE_COUNT), "?");
    close_pair(ends);
}

static void descriptors_travel(void **state)
{
    (void)state;
    int ends[2];
    struct control_message sent = {.type = CONTROL_ADOPT,
                                   .number = 3,
                                   .text = "a:b",
                                   .fd_count = CONTROL_FDS_MAX},
                           got;
    open_pair(ends);
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    for (unsigned i = 0; i < CONTROL_FDS_MAX; i++)
        sent.fds[i] = pipe_ends[1];
    assert_int_equal(control_send(ends[0], &sent), ERR_OK);
    close(pipe_ends[1]);
    assert_int_equal(control_receive(ends[1], &got), ERR_OK);
    assert_int_equal(got.fd_count, CONTROL_FDS_MAX);
    assert_string_equal(got.text, "a:b");
    char byte = 0;
    for (unsigned i = 0; i < got.fd_count; i++) {
        assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
        assert_int_equal(write(got.fds[i], "y", 1), 1);
        close(got.fds[i]);
        assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    }
    assert_int_equal(read(pipe_ends[0], &byte, 1), 0); /* none is left open */
    close(pipe_ends[0]);
    close_pair(ends);
}

static void garbage_is_dropped(void **state)
{
    (void)state;
    int ends[2];
    struct control_message got, good = {.type = CONTROL_COMMIT, .number = 1};
    open_pair(ends);
    unsigned char bytes[4096];
    for (size_t len = 1; len <= sizeof bytes; len = len * 2 + 1) {
        memset(bytes, (int)len, sizeof bytes);
        assert_int_equal(send(ends[0], bytes, len < sizeof bytes ? len : sizeof bytes, 0) > 0, 1);
        assert_int_equal(control_receive(ends[1], &got), ERR_MALFORMED);
    }
    struct {
        uint32_t magic, type, number, text_len;
        uint64_t digest;
    } head = {0x4e435452u, CONTROL_TYPE_COUNT, 0, 0, 0};
    send(ends[0], &head, sizeof head, 0);
    assert_int_equal(control_receive(ends[1], &got), ERR_MALFORMED);
    head.type = CONTROL_RELOAD;
    head.text_len = 5;
    send(ends[0], &head, sizeof head, 0);
    assert_int_equal(control_receive(ends[1], &got), ERR_MALFORMED);
    assert_int_equal(control_send(ends[0], &good), ERR_OK);
    assert_int_equal(control_receive(ends[1], &got), ERR_OK);
    close_pair(ends);
}

static void full_and_closed_are_told(void **state)
{
    (void)state;
    int ends[2];
    struct control_message message = {.type = CONTROL_DRAIN}, got;
    open_pair(ends);
    enum err_e err = ERR_OK;
    for (int i = 0; i < 100000 && err == ERR_OK; i++)
        err = control_send(ends[0], &message);
    assert_int_equal(err, ERR_FULL);
    close(ends[0]);
    for (err = ERR_OK; err == ERR_OK;)
        err = control_receive(ends[1], &got);
    assert_int_equal(err, ERR_CLOSED);
    assert_int_equal(control_send(ends[1], &message), ERR_CLOSED);
    close(ends[1]);
}

static void the_inherited_end_is_found_once(void **state)
{
    (void)state;
    int ends[2];
    char text[16];
    unsetenv("NORIA_CONTROL_FD");
    assert_int_equal(control_inherited(), -1);
    static const char *const bad[] = {"", "x", "2", "-1", "99999999999", "3x", "19999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("NORIA_CONTROL_FD", bad[i], 1);
        assert_int_equal(control_inherited(), -1);
    }
    open_pair(ends);
    snprintf(text, sizeof text, "%d", ends[1]);
    setenv("NORIA_CONTROL_FD", text, 1);
    assert_int_equal(control_inherited(), ends[1]);
    assert_null(getenv("NORIA_CONTROL_FD"));
    assert_int_equal(control_inherited(), -1);
    close_pair(ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_received),
        cmocka_unit_test(descriptors_travel),
        cmocka_unit_test(garbage_is_dropped),
        cmocka_unit_test(full_and_closed_are_told),
        cmocka_unit_test(the_inherited_end_is_found_once),
    };
    return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
