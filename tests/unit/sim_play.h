/* sim_play.h — the cast of the simulator's tests: two PLCs m1 (standard) and m2 (delta-as) in this process, a manual
 * clock, loop_poll(), TCP and control clients that are plain sockets.
 *
 * "Hears nothing" is tested by a marker: an exchange on another connection that passes through the same loop later.
 * Functions that a test program does not use are no error (static inline).
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "must.h"
#include "sim_answer.h"
#include "sim_control.h"
#include "sim_plc.h"
#include "sim_server.h"

#define PACE_MS          100
#define PLAY_DEADLINE_NS (10 * NS_PER_S)

struct play {
    struct clock_manual clock;
    struct loop *loop;
    struct sim_log *log;
    struct sim_server *server;
    struct sim_control *control; /* NULL until open_control() */
    char directory[64], log_path[96], socket_path[96];
    char answer[65536];
};

static inline void add(struct play *play, const char *id, const char *profile)
{
    struct sim_plc_conf conf = {id, "127.0.0.1", 0, profile_builtin(profile), 26, PACE_MS};
    assert_int_equal(sim_server_add(play->server, &conf), ERR_OK);
}

static inline struct play *begin(bool refuse_second)
{
    struct play *play = calloc(1, sizeof *play);
    clock_manual_init(&play->clock, 1000 * NS_PER_S, 0);
    play->loop = loop_new(&play->clock.clock);
    strcpy(play->directory, "/tmp/sim_play.XXXXXX");
    assert_non_null(mkdtemp(play->directory));
    snprintf(play->log_path, sizeof play->log_path, "%s/sim.log", play->directory);
    snprintf(play->socket_path, sizeof play->socket_path, "%s/sim.sock", play->directory);
    assert_int_equal(sim_log_open(play->log_path, 1 << 20, &play->clock.clock, &play->log), ERR_OK);
    play->server =
        sim_server_new(play->loop, play->log, &(struct sim_server_conf){refuse_second, SIM_UNLISTED_DEFAULT});
    add(play, "m1", "standard");
    add(play, "m2", "delta-as");
    return play;
}

static inline void open_control(struct play *play)
{
    assert_int_equal(sim_control_open(play->loop, play->server, play->socket_path, &play->control), ERR_OK);
}

static inline void end(struct play *play)
{
    sim_control_close(&play->control);
    sim_server_free(&play->server);
    sim_log_close(&play->log);
    loop_free(&play->loop);
    unlink(play->log_path);
    strcat(play->log_path, ".1");
    unlink(play->log_path);
    assert_int_equal(rmdir(play->directory), 0); /* nothing else is left */
    free(play);
}

static inline void turn(struct play *play)
{
    loop_poll(play->loop);
}

static inline void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->clock, ms * NS_PER_MS);
    turn(play);
}

/* One control line; returns the answer. */
static inline const char *tell(struct play *play, const char *line)
{
    struct sim_command command;
    char problem[SIM_PROBLEM_MAX];
    if (sim_command_parse(line, strlen(line), &command, problem) != ERR_OK)
        fail_msg("%s: %s", line, problem);
    struct out out = out_init(play->answer, sizeof play->answer - 1);
    sim_answer(play->server, &command, &out);
    assert_false(out.overflow);
    play->answer[out.len] = '\0';
    return play->answer;
}

static inline void expect_word(struct play *play, const char *line, const char *word)
{
    char haystack[sizeof play->answer + 2], needle[80];
    snprintf(haystack, sizeof haystack, "%s ", tell(play, line));
    snprintf(needle, sizeof needle, " %s ", word);
    if (strstr(haystack, needle) == NULL)
        fail_msg("%s: no \"%s\" in \"%s\"", line, word, haystack);
}

static inline void expect_ok(struct play *play, const char *line)
{
    if (strncmp(tell(play, line), "ok", 2) != 0)
        fail_msg("%s: %s", line, play->answer);
}

/* --- clients ------------------------------------------------------------------------------------------------------- */

/* receive_buffer 0: the system's. */
static inline int try_connect_with(struct play *play, const char *id, int receive_buffer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sim_server_find(play->server, id)->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline int try_connect(struct play *play, const char *id)
{
    return try_connect_with(play, id, 0);
}

static inline int connect_to(struct play *play, const char *id)
{
    int fd = try_connect(play, id);
    assert_true(fd >= 0);
    return fd;
}

static inline size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        bytes[i] = (uint8_t)byte;
    }
    return len;
}

static inline void put(int fd, const char *hex)
{
    uint8_t bytes[256];
    size_t len = from_hex(hex, bytes);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

/* Turns the loop until the socket has something; then what recv() says. */
static inline ssize_t get(struct play *play, int fd, uint8_t *bytes, size_t len)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + PLAY_DEADLINE_NS;
    while (clock_mono_ns(clock_system()) < deadline) {
        turn(play);
        ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);
        if (n >= 0 || errno != EAGAIN)
            return n;
    }
    fail_msg("nothing came");
    return -1;
}

static inline void expect(struct play *play, int fd, const char *hex)
{
    uint8_t want[256], have[256];
    size_t len = from_hex(hex, want), got = 0;
    while (got < len) {
        ssize_t n = get(play, fd, have + got, len - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(have, want, len);
}

static inline void ask(struct play *play, int fd, const char *request, const char *reply)
{
    put(fd, request);
    expect(play, fd, reply);
}

static inline void expect_end(struct play *play, int fd, int error)
{
    uint8_t byte;
    ssize_t n = get(play, fd, &byte, 1);
    assert_int_equal(n, error == 0 ? 0 : -1);
    if (error != 0)
        assert_int_equal(errno, error);
    close(fd);
}

static inline void hears_nothing(struct play *play, int fd)
{
    int marker = connect_to(play, "m2");
    ask(play, marker, "00", "1400");
    uint8_t byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    close(marker);
    turn(play);
}

static inline void wait_until(struct play *play, const char *line, const char *word)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + PLAY_DEADLINE_NS;
    char needle[80];
    snprintf(needle, sizeof needle, " %s", word);
    while (strstr(tell(play, line), needle) == NULL) {
        if (clock_mono_ns(clock_system()) > deadline)
            fail_msg("%s never showed %s: %s", line, word, play->answer);
        turn(play);
    }
}

/* --- clients of the control socket --------------------------------------------------------------------------------- */

static inline int open_client(struct play *play)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", play->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line without its end, "" for the end of the stream. */
static inline const char *line(struct play *play, int fd)
{
    uint64_t deadline = clock_mono_ns(clock_system()) + PLAY_DEADLINE_NS;
    size_t len = 0;
    for (;;) {
        ssize_t n = recv(fd, play->answer + len, 1, MSG_DONTWAIT);
        if (n == 0 || (n == 1 && play->answer[len] == '\n')) {
            play->answer[len] = '\0';
            return play->answer;
        }
        if (n == 1)
            len++;
        else if (errno != EAGAIN)
            fail_msg("recv: %s", strerror(errno));
        else if (clock_mono_ns(clock_system()) > deadline)
            fail_msg("no line came");
        else
            loop_poll(play->loop);
    }
}

static inline const char *say_and_hear(struct play *play, int fd, const char *command)
{
    say(fd, command);
    say(fd, "\n");
    return line(play, fd);
}

/* Lets everything sent so far be read and run: another client's exchange is the marker. */
static inline void settle(struct play *play)
{
    int marker = open_client(play);
    assert_memory_equal(say_and_hear(play, marker, "get m1"), "ok ", 3);
    assert_memory_equal(say_and_hear(play, marker, "get m1"), "ok ", 3);
    close(marker);
    loop_poll(play->loop);
}

static inline void hears_no_line(struct play *play, int fd)
{
    settle(play);
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}
