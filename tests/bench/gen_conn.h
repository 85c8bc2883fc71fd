/* gen_conn.h — one client of the generator: states, bytes in, bytes out. Inside of gen.h. */
#pragma once

#include <stddef.h>

#include "frame_counter.h"
#include "gen.h"
#include "gen_text.h"
#include "ref_log.h"

enum conn_state_e {
    CONN_UNUSED,
    CONN_CONNECTING,
    CONN_HANDSHAKE, /* request sent */
    CONN_WELCOME,
    CONN_CONFIRM,
    CONN_SNAPSHOT,
    CONN_PONG,
    CONN_LIVE,
    CONN_DEAF /* live, but never reads */
};

struct conn {
    int fd;
    uint8_t state; /* enum conn_state_e */
    bool never_read;
    struct frame_carry carry;
    struct ref_cursor cursor; /* in the reference log */
    uint64_t begun_ns;
    uint64_t lost_ns; /* when the server closed the one before, if this one is to come back; 0: not so */
};

struct gen {
    const struct gen_options *options;
    struct gen_shared *shared;
    struct ref_log refs;
    struct conn *conns;
    int epoll_fd;
    uint32_t connecting; /* handshakes under way */
    uint32_t next;       /* slot that is looked at next for an unused one */
    uint64_t now_ns;     /* of the batch of bytes in hand */
    uint64_t storm_begun_ns;
    bool resume;                     /* who comes says where he left off */
    bool returning;                  /* GEN_RETURN */
    char last_seq[GEN_SEQ_TEXT_MAX]; /* of the newest frame */
    uint64_t newest;                 /* its number, with sets_of */
    unsigned char *buffer;
    size_t buffer_size;
};

/* Counters have one writer: a plain addition, visible to the parent. */
#define GEN_ADD(gen, name, n)                                                                                \
    atomic_store_explicit(&(gen)->shared->name,                                                              \
                          atomic_load_explicit(&(gen)->shared->name, memory_order_relaxed) + (n),            \
                          memory_order_relaxed)

uint64_t gen_now_ns(void);

/* Starts connecting slot `index`; false if the system refused (counted). */
bool conn_open(struct gen *gen, uint32_t index);
/* The descriptor is ready: connects on, reads, changes state. */
void conn_ready(struct gen *gen, struct conn *conn, uint32_t events);
/* Closes with a reset, so that no port waits in TIME_WAIT; the slot is unused then. */
void conn_drop(struct gen *gen, struct conn *conn);
