/* gate_internal.h — what the gate's files share; private to this module. */
#pragma once

#include <sys/socket.h>

#include "gate.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "wheel.h"

#define GATE_TICK_NS      (50 * NS_PER_MS)
#define GATE_PAUSE_NS     (100 * NS_PER_MS) /* without accepting, after descriptors ran out */
#define GATE_DRAIN_NS     (2 * NS_PER_S)
#define GATE_DRAIN_BYTES  65536u
#define GATE_READ_BUDGET  32u   /* accepted and their heads read at once: 1 ms with all that follows */
#define GATE_PARK_BUDGET  4096u /* only accepted, 5 us each: as many as the kernel's queue holds */
#define GATE_EVENT_BUDGET 32
#define GATE_INPUT_BYTES  (2 * GATE_HEAD_MAX)

/* What an epoll event points at. */
enum gate_target_e { GATE_TARGET_LISTENER, GATE_TARGET_HALF };

#define GATE_NOBODY UINT32_MAX /* owner of the listeners' own doors */

struct gate_door {
    enum gate_target_e target;
    unsigned listener;  /* its number, as the callbacks get it */
    int fd;             /* -1: closed, the place is free */
    bool own, migrates; /* struct gate_listener */
    uint32_t owner;
};

enum half_state_e { HALF_FREE, HALF_READING, HALF_DRAINING };

struct half {
    enum gate_target_e target;
    enum half_state_e state;
    int fd;
    unsigned listener;
    bool watched;          /* stands in the epoll set */
    uint32_t have, cap;    /* of `head`; while draining, `have` counts what was thrown away */
    char *head;            /* what was read of an incomplete head */
    uint64_t address;      /* key of the per-address count; 0: not counted */
    struct list_node link; /* gate->free, gate->reading or gate->draining, oldest first */
    struct wheel_node timer;
    struct gate_scan scan;
};

struct gate_uv;

struct gate {
    struct gate_config config;
    struct gate_door doors[GATE_DOORS_MAX]; /* the first are the listeners' */
    unsigned door_count;                    /* places from this one on were never used */
    bool plain_http[GATE_LISTENERS_MAX];
    struct gate_uv *uv;
    int epoll_fd, reserve_fd;
    bool paused;        /* by gate_pause() */
    uint64_t resume_ns; /* after descriptors ran out; 0: not waiting */
    bool leaving;       /* gate_leave() */
    uint64_t leave_ns;  /* when its last doors close; 0: they have */
    bool freed, in_callback;
    struct half *halves;
    uint32_t fresh; /* halves from this one on were never used: an untouched page costs nothing */
    int fd_limit;   /* descriptors from this number on are turned away */
    struct list_node free, reading, draining;
    struct map addresses; /* key → number of half-open connections, as a pointer-sized integer */
    uint64_t address_seed;
    struct wheel wheel;
    struct log_limit log_limit, accept_log_limit;
    struct gate_counts counts;
    char input[GATE_INPUT_BYTES];
};

static inline uint64_t gate_now(const struct gate *gate)
{
    return clock_mono_ns(gate->config.clock);
}

/* gate_half.c */
void half_open(struct gate *gate, int fd, unsigned listener, const struct sockaddr *peer, bool read_now);
void half_event(struct gate *gate, struct half *half);
void half_timeout(struct gate *gate, struct half *half);
void half_close(struct gate *gate, struct half *half);

/* gate_answer.c */
void gate_answer(struct gate *gate, int fd, unsigned listener, struct gate_verdict verdict);
/* The same for a connection that gets no half-open object: answered and closed at once, best effort. */
void gate_turn_away(struct gate *gate, int fd, unsigned listener, struct gate_verdict verdict);

/* gate.c */
void gate_update_timer(struct gate *gate);
bool gate_may_accept(const struct gate *gate);

/* gate_door.c: the sockets that are accepted from. */
enum err_e door_open(struct gate *gate,
                     const struct gate_door *door); /* takes the descriptor if it is ERR_OK */
void doors_watch(struct gate *gate, bool on);
void door_accept(struct gate *gate, const struct gate_door *door); /* what waits there, a budget of it */
void doors_leave_at_last(struct gate *gate);                       /* leave_ns has come */
void doors_fini(struct gate *gate);                                /* closes what gate_add() took */
