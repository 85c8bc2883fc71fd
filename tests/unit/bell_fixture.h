/* bell_fixture.h — what bell_test and bell_process_test share: a stage with a bell, segments, ears and strangers. */
#pragma once

#include "shm_fixture.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bell.h"
#include "bell_wire.h"

#define DEADLINE_MS 20000

struct stage {
    struct place *place;
    struct bell *bell;
    char socket[80];
    uint32_t gone_count, gone_slot;
    uint64_t gone_incarnation;
};

static inline void on_gone(void *arg, uint32_t slot, uint64_t incarnation)
{
    struct stage *stage = arg;
    stage->gone_count++;
    stage->gone_slot = slot;
    stage->gone_incarnation = incarnation;
}

/* Static, so that what a child still holds when it ends is reachable for a leak checker. */
static inline struct stage *stage_open(void **state)
{
    static struct stage stage;
    stage = (struct stage){.place = *state};
    snprintf(stage.socket, sizeof stage.socket, "%s/bell.sock", stage.place->dir);
    return &stage;
}

static inline void bell_begin(struct stage *stage)
{
    assert_int_equal(bell_open(stage->socket, stage->place->dir, on_gone, stage, &stage->bell), ERR_OK);
}

static inline struct segment *segment_make(const struct stage *stage, uint32_t slot, uint64_t incarnation)
{
    struct stats stats;
    struct segment *segment = NULL;
    char path[96], role[16];
    snprintf(path, sizeof path, "%s/worker.%u", stage->place->dir, slot);
    snprintf(role, sizeof role, "worker.%u", slot);
    assert_int_equal(segment_create(path, role, "", incarnation, NULL, 0, &segment, &stats), ERR_OK);
    return segment;
}

static inline struct bell_ear *ear_make(const struct stage *stage, struct segment *segment, uint32_t slot,
                                        uint64_t incarnation)
{
    struct bell_ear *ear = NULL;
    assert_int_equal(bell_ear_open(stage->socket, slot, incarnation, segment, &ear), ERR_OK);
    return ear;
}

static inline bool readable(int fd, int wait_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, wait_ms) == 1;
}

static inline int stranger(const struct stage *stage)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, stage->socket, sizeof stage->socket);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static inline bool cut_off(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}
