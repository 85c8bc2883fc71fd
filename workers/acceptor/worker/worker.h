/* worker.h — the worker process: one context, passed down. Client sockets, and nothing else, are its own.
 *
 *   listening sockets ─▶ gate ─▶ ws ─▶ endpoint host ─▶ dialect          (C1 C2)
 *                          └─▶ http ─▶ rest ─┘
 *                                 ▲        │  └─ pending ─▶ uplink ─▶ broker  (C3)
 *   shm/ring ─▶ tail ─▶ audiences ─▶ outbox ─┘                           (D8 D9 D10 D11, R3 R4)
 *   bell ──▶ pump (tail, then a slice of rounds) — again while there is more, asleep when there is none
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "access.h"
#include "bell.h"
#include "conf.h"
#include "drain.h"
#include "expiry.h"
#include "front_link.h"
#include "gate.h"
#include "host.h"
#include "http.h"
#include "link.h"
#include "login.h"
#include "ops.h"
#include "reloader.h"
#include "rest.h"
#include "segment.h"
#include "sensors.h"
#include "stats.h"
#include "ws.h"

#define WORKER_LISTENERS_MAX 32u
#define WORKER_DIALECTS_MAX  8u /* of one listener */
#define WORKER_APIS_MAX      8u /* likewise */

#define WORKER_SENT_UP_MAX 16u

/* What stands behind one listening socket: WebSocket dialects, of which the first that serves a path has it, and a site for
 * plain requests if one of its dialects is an HTTP one. */
struct worker_listener {
    const struct conf_listener *conf;
    struct endpoint endpoints[WORKER_DIALECTS_MAX];
    unsigned endpoint_count;
    bool rest, login, sensors, ops; /* which APIs */
    const struct http_api *apis[WORKER_APIS_MAX];
    unsigned api_count;
    struct http_site site;
};

struct worker_front { /* worker_front.c */
    char path[CONF_PATH_MAX];
    struct front_link link;
    uv_timer_t retry;
    uv_poll_t poll;
};

struct worker {
    struct conf *conf; /* in force; its own */
    const struct clock *clock;
    uint64_t incarnation;
    char ring_path[CONF_PATH_MAX], lvt_path[CONF_PATH_MAX], bell_path[CONF_PATH_MAX];
    uv_loop_t loop;
    uv_signal_t sigterm, sigint, sigusr1, sighup;
    uv_timer_t tick;
    uv_check_t after_poll;    /* what was sent meanwhile leaves */
    uv_prepare_t before_poll; /* the link is looked at once per iteration after own sends */
    uv_idle_t pump;           /* active while there is something to pump */
    uv_poll_t link_poll;
    uv_poll_t *ear_poll; /* its own memory: the ear is opened anew after each HELLO_OK */

    struct link *link;
    bool link_dirty;     /* something was sent: ZMQ_FD may not tell what came back */
    bool attach_pending; /* HELLO_OK came, attaching failed: the tick tries again */
    struct wire_hello_ok hello_ok;

    uint32_t slot; /* leased number, UINT32_MAX: none yet */
    struct segment *segment;
    struct stats stats;
    struct bell_ear *ear;
    bool ear_ready, asleep;
    uint64_t bells, bells_lost;

    struct gate_listener sockets[WORKER_LISTENERS_MAX];
    struct worker_listener listeners[WORKER_LISTENERS_MAX];
    unsigned listener_count;
    struct endpoint_host host;
    struct access *access;
    uint64_t tokens_expired; /* connections closed because of that */
    struct expiry expiry;    /* of connections whose token expires */
    struct gate *gate;
    struct ws *ws;
    struct http *http;
    struct endpoint rest_endpoint; /* what REST asks for machines, and the API of sensors for the store */
    struct rest *rest;
    struct sensors *sensors;
    struct login *login;
    struct ops *ops;
    char shm_path[CONF_PATH_MAX];
    uv_idle_t scraping; /* active while a document of /metrics is made */
    uint64_t sent_up_ns
        [WORKER_SENT_UP_MAX]; /* when the messages were read whose commands leave with the next flush */
    unsigned sent_up;

    int control; /* to the launcher; -1: there is none */
    uv_poll_t control_poll;
    bool draining_untold; /* DRAINING did not fit its socket */
    struct drain drain;
    uv_timer_t drain_timer;
    struct worker_front front;

    struct reloader *reloader;
    uv_poll_t reload_poll;
    struct access *next_access; /* of a reload that is prepared */
    struct conf *conf_before;   /* of the last reload, until the next tick; NULL: none */
    uv_idle_t review;           /* active while connections are looked at after a reload */
    size_t review_cursor;
    uint64_t reloads, review_closed;

    bool serving, draining, stopping;
    uint64_t stop_deadline_ns;
    int exit_code;
};

/* worker.c: what main() calls. Takes the configuration, which was read from `file`. `control`: control_inherited(). */
struct worker_options {
    struct conf *conf;
    const char *file;
    int control;
    bool front; /* NORIA_FRONT=1: worker_front.c */
};
enum err_e worker_start(struct worker *w, const struct worker_options *options);
int worker_run(struct worker *w);              /* until stopped; returns the exit code */
enum err_e worker_introduce(struct worker *w); /* it listens: now the broker */
void worker_stop(struct worker *w, int exit_code);
void worker_end(struct worker *w, int exit_code); /* the same, and waits for nobody */

/* worker_drain.c: DRAIN, SIGUSR1. */
void worker_drain(struct worker *w, uint32_t window_ms);

/* worker_control.c: the launcher. */
enum err_e worker_control_start(struct worker *w);
void worker_control_tick(struct worker *w);
void worker_control_stop(struct worker *w);
void worker_tell_draining(struct worker *w);

/* worker_reload.c. */
enum err_e worker_reload_start(struct worker *w, const char *file);
void worker_reload_tick(struct worker *w);
void worker_reload_stop(struct worker *w);

/* worker_front.c: has the sockets that are missing made by front, then calls worker_introduce(). ERR_SYSTEM. */
enum err_e worker_front_start(struct worker *w);
void worker_front_stop(struct worker *w);

/* worker_ready.c: true if clients are well served here now. Else *count static texts that say why not, none twice: "no broker",
 * "no ring", "not seeded", "draining", "stopping". */
#define WORKER_REASONS_MAX 5u
bool worker_ready(const struct worker *w, const char *reasons[WORKER_REASONS_MAX], unsigned *count);

/* worker_listen.c: the listening sockets; first those that are inherited, then the others. */
enum err_e worker_listen(struct worker *w);
/* Which are missing yet, one character per socket as front wants it ('4', '6'); returns how many. */
unsigned worker_listen_missing(const struct worker *w, char families[WORKER_LISTENERS_MAX + 1]);
/* Opens those. `fds`: front's sockets for them, taken; NULL: they are made here. `migrates`: struct gate_listener. */
enum err_e worker_listen_own(struct worker *w, const int *fds, bool migrates);
enum err_e worker_start_dialects(struct worker *w); /* once each, whatever the number of listeners */

/* worker_doors.c: gate, ws and http onto endpoints and REST. */
enum err_e worker_open_doors(struct worker *w);
void worker_follow_doors(struct worker *w);            /* w->conf and w->access are others */
struct client *worker_client_of(struct ws_conn *conn); /* NULL: it was turned away and never became one */
void worker_doors_tick(struct worker *w);              /* closes connections whose token has expired */
void worker_stop_doors(struct worker *w); /* nobody comes in any more; those inside are told to go */
bool worker_doors_empty(const struct worker *w);
void worker_close_doors(struct worker *w); /* whoever is still inside is dropped */
extern const struct outbox_sink worker_sink;
void worker_peer_name(void *sink, char from[CALLER_FROM_MAX]); /* where a connection is */
void worker_hold(void *sink, bool hold);
void worker_charge(void *sink, unsigned messages);

/* worker_uplink.c: the broker (C3, R3). */
enum err_e worker_uplink_open(struct worker *w);
void worker_uplink_close(struct worker *w);
void worker_uplink_service(struct worker *w);
void worker_uplink_tick(struct worker *w);
enum err_e worker_send_up(void *arg, const struct pending_entry *entry, bool resent);
enum err_e worker_send_message(void *arg, struct wire_message *message);

void worker_sent_up(struct worker *w); /* right before a flush: hop C3 of what leaves with it */

/* worker_ops.c: /metrics, /healthz, /readyz. */
enum err_e worker_open_ops(struct worker *w);
void worker_close_ops(struct worker *w); /* after http_free() */
void worker_serve_ops(struct worker *w, struct worker_listener *listener);

/* worker_pump.c: bell, tail, rounds (D8–D10). */
void worker_pump_start(struct worker *w);
void worker_ear_open(struct worker *w);
void worker_ear_close(struct worker *w);
void worker_pump_tick(struct worker *w);
