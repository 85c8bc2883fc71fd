/* sim_plc.h — one simulated PLC, as the files of this folder share it (nobody else includes it).
 *
 *     sim_server.c   owns the PLCs: listening sockets, the machine's timer, reboot and refusal
 *     sim_change.c   other PLCs in place of those that are there
 *     sim_conn.c     the one connection of a PLC: reading, one request at a time, replies and their faults
 *     sim_answer.c   looks at them and changes them for the control protocol
 *
 * Whoever looks at or changes `machine` calls sim_plc_sync() first and, after a change, sim_plc_changed().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"
#include "machine.h"
#include "sim_codec.h"
#include "sim_fault.h"
#include "sim_log.h"
#include "sim_machine.h"
#include "sim_server.h"

struct sim_server {
    struct loop *loop;
    struct sim_log *log;
    struct sim_server_conf conf;
    struct sim_plc **plcs;
    size_t count, capacity;
    uint64_t last_serial;
    sim_observer_f *observer;
    void *observer_arg;
};

#define SIM_READ_MAX  64  /* bytes of one read */
#define SIM_QUEUE_MAX 128 /* requests received and not begun; with less room than a read, reading pauses */
#define SIM_OUT_MAX   64

_Static_assert(SIM_OUT_MAX >= SIM_GARBAGE_MAX && SIM_OUT_MAX >= 2 * SIM_REPLY_BYTES, "an answer fits");
_Static_assert(SIM_QUEUE_MAX >= SIM_READ_MAX, "one read fits");

enum sim_conn_e {
    SIM_CONN_NONE,  /* no client */
    SIM_CONN_READY, /* takes the next request */
    SIM_CONN_HELD,  /* has one; the reply waits for `release` */
    SIM_CONN_LATE,  /* the reply waits for the timer */
    SIM_CONN_SPLIT, /* its second byte waits for the timer */
    SIM_CONN_DEAD,  /* half-open: reads, never answers */
};

struct sim_conn {
    enum sim_conn_e state;
    int fd;
    uint64_t serial;
    struct loop_fd *watch;
    unsigned events;          /* what `watch` is set to */
    struct loop_timer *timer; /* made with the PLC */
    struct sim_decoder decoder;
    struct sim_request queue[SIM_QUEUE_MAX];
    uint32_t queue_head, queue_count;
    struct sim_fault fault; /* of the request in hand */
    uint8_t out[SIM_OUT_MAX];
    uint32_t out_len; /* bytes that the socket has not taken yet */
};

struct sim_counts {
    uint64_t request[256]; /* by command code, when decoded */
    uint64_t connections, refused, rx_bytes, tx_bytes, replies, faults, held;
    uint64_t moves_started, moves_blocked, moves_nowhere;
};

struct sim_plc {
    struct sim_server *server;
    char id[MACHINE_ID_MAX + 1];
    const struct profile *profile;
    struct sim_machine machine;
    struct loop_timer *motion_timer;

    char address[MACHINE_HOST_MAX + 1];
    uint16_t port;
    uint32_t pace_ms; /* as it was configured; the control protocol sets the machine's */
    int reserve_fd;   /* bound, never listening: keeps the port while `listen_fd` is closed */
    int listen_fd;    /* -1 while refused or rebooting */
    struct loop_fd *listen_watch;
    struct loop_timer *listen_timer; /* end of a reboot; another try after accept() or listen() failed */
    bool rebooting;
    bool listen_failed; /* and that was logged */

    struct sim_fault fault;
    bool hold;
    int hold_command; /* code, or SIM_ANY_COMMAND */
    struct sim_conn conn;
    int zombie_fd; /* the last half-open connection that its client has left; closed by the next one, or cleared */
    struct sim_counts counts;
};

/* --- sim_server.c -------------------------------------------------------------------------------------------------- */

struct loop *sim_plc_loop(const struct sim_plc *plc);
struct sim_log *sim_plc_log(const struct sim_plc *plc);
uint8_t sim_plc_status(const struct sim_plc *plc);

void sim_plc_sync(struct sim_plc *plc);        /* brings the machine up to now */
void sim_plc_changed(struct sim_plc *plc);     /* the same, sets its timer, tells the observer */
void sim_plc_client_gone(struct sim_plc *plc); /* the connection's place is free */
uint64_t sim_plc_next_serial(struct sim_plc *plc);

/* A PLC without a socket. ERR_CONFIG (id, bounds, address), ERR_MEMORY; not logged. */
enum err_e sim_plc_new(struct sim_server *server, const struct sim_plc_conf *conf, struct sim_plc **plc);
void sim_plc_free(struct sim_plc *plc);
/* A socket that keeps address and port; -1: errno says why. */
int sim_plc_reserve(const struct sim_plc_conf *conf);
/* Gives it that socket, and address and port with it. It has none yet, or sim_plc_leave() was called. */
void sim_plc_keep(struct sim_plc *plc, const struct sim_plc_conf *conf, int reserve_fd);
void sim_plc_leave(struct sim_plc *plc);  /* its client is reset, its port let go */
void sim_plc_settle(struct sim_plc *plc); /* listens if it should; tries again later if it cannot */
enum err_e sim_server_make_room(struct sim_server *server, size_t count); /* ERR_FULL, ERR_MEMORY */

void sim_plc_fault(struct sim_plc *plc, const struct sim_fault *fault);
void sim_plc_clear(struct sim_plc *plc); /* ends fault and reboot; a reply under way goes on */

/* --- sim_conn.c ---------------------------------------------------------------------------------------------------- */

enum err_e sim_conn_init(struct sim_plc *plc); /* makes the timer */
void sim_conn_fini(struct sim_plc *plc);

/* Takes the accepted, non-blocking socket. On an error it is closed. */
enum err_e sim_conn_open(struct sim_plc *plc, int fd, const char *peer);
void sim_conn_reset(struct sim_plc *plc);   /* RST, if there is a client */
void sim_conn_release(struct sim_plc *plc); /* lets a held reply go */
void sim_conn_bury(struct sim_plc *plc);    /* closes the zombie */
void sim_close_with_rst(int fd);
