/* driver_world.h — the world that driver_fuzz puts around the agent's side of the PLC's wire: its state, the PLC's ends, and the network.
 *
 * connect() is this file's: it hands the driver one end of a socketpair and keeps the other, so that a run is the same
 * every time, to the byte (loopback TCP delivers when the kernel finds time for it, and takes ten times as long). RST, and
 * what only TCP does, is carousel_line_test's.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "image.h"
#include "must.h"
#include "poller.h"

#define LINES_MAX 8

/* The PLC's end of a connection. */
struct line {
    int fd;              /* -1: none */
    bool accepted;       /* else the driver's end is filled with junk, so that it goes on connecting */
    uint64_t exchange;   /* whose request came last; 0: none */
    size_t sent;         /* since then */
    bool two_came_alone; /* some send of them ended with the second byte */
    uint8_t reply[2];
};

enum listening_e { LISTENING_ACCEPTS, LISTENING_BACKLOG, LISTENING_REFUSES, LISTENING_COUNT };

struct world {
    struct clock_manual manual;
    struct loop *loop;
    struct poller *poller;
    struct image image;
    bool persistent;

    struct line lines[LINES_MAX]; /* the newest first */
    enum listening_e listening;

    driver_done_f *done; /* the poller's */
    void *done_arg;
    struct driver_request asked;
    uint64_t exchange, begun_ns;
    bool in_flight, seen; /* seen: its request has reached the PLC */
    bool replied;         /* the last exchange; not one whose time was over before it began */
    const struct driver_answer *believed;
    uint64_t readings;
    enum connection_e connection;

    struct driver_request wish; /* a command for the next turn */
    bool wished;

    const uint8_t *script;
    size_t left;
    struct line *line; /* which the present act is about */
};

static struct world world;

static inline uint64_t now_ns(void)
{
    return loop_now_ns(world.loop);
}

/* --- the PLC's ends ------------------------------------------------------------------------------------------------ */

/* A request has come: it must be the one that was asked, for the first time, on a connection on which nothing is owed or
 * unread: the PLC's next bytes would be taken for its reply. */
static inline void take_request(struct line *line, const uint8_t *bytes, size_t len)
{
    const struct driver_request *asked = &world.asked;
    bool argument = asked->argument != DRIVER_NO_ARGUMENT;
    MUST(world.in_flight && !world.seen);
    MUST(len == 1u + argument && bytes[0] == asked->command && (!argument || bytes[1] == asked->argument));
    MUST(now_ns() < asked->send_by_ns);
    MUST(line->sent == (line->exchange == 0 ? 0 : 2));
    world.seen = true;
    line->exchange = world.exchange;
    line->sent = 0;
    line->two_came_alone = false;
}

static inline void listen_to(struct line *line)
{
    uint8_t bytes[64];
    if (line->fd < 0 || !line->accepted)
        return;
    ssize_t n = recv(line->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        take_request(line, bytes, (size_t)n);
}

/* What was sent on it stays known: it may still lie unread at the driver. */
static inline void hang_up(struct line *line)
{
    listen_to(line);
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
}

static inline void listen_to_all(void)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        listen_to(&world.lines[i]);
}

static inline void send_on(struct line *line, const uint8_t *bytes, size_t len)
{
    listen_to(line); /* so that it is known what these bytes come after */
    if (line->fd < 0 || !line->accepted || send(line->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return;
    for (size_t i = 0; i < len && line->sent + i < 2; i++)
        line->reply[line->sent + i] = bytes[i];
    line->sent += len;
    line->two_came_alone |= line->sent == 2;
}

static inline void accept_line(struct line *line)
{
    uint8_t junk[4096];
    if (line->fd < 0 || line->accepted)
        return;
    while (recv(line->fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
        ;
    line->accepted = true;
}

/* --- the network: what the driver's calls reach ----------------------------------------------------------------------- */

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)address;
    (void)len;
    int pair[2], room = 1; /* the kernel's smallest */
    if (world.listening == LISTENING_REFUSES ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    MUST(dup3(pair[0], fd, O_CLOEXEC) == fd);
    close(pair[0]);
    hang_up(&world.lines[LINES_MAX - 1]);
    memmove(world.lines + 1, world.lines, sizeof world.lines - sizeof world.lines[0]);
    world.lines[0] = (struct line){.fd = pair[1], .accepted = world.listening == LISTENING_ACCEPTS};
    static const uint8_t junk[1024];
    while (!world.lines[0].accepted && send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    errno = EINPROGRESS;
    return world.lines[0].accepted ? 0 : -1;
}

/* Both ends of a pair have the same, empty name; the driver refuses connections to itself. */
int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    (void)fd;
    MUST(*len >= sizeof(struct sockaddr));
    *address = (struct sockaddr){.sa_family = AF_INET};
    *len = sizeof *address;
    return 0;
}
