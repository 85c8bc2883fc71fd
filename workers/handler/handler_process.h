/* handler_process.h — what the parts of libnoria-handler share; its users see noria/handler.h.
 *
 *     noria_handler ─┬─ listening socket ─ accept ─▶ links, one per worker
 *                    └─ link ─┬─ in:  bytes ─ frames ─▶ handler_event.c ─▶ callbacks
 *                             ├─ out: what the worker has not read yet
 *                             ├─ conns: its connections        └─ requests: messages that are owed a reply (at most HANDLER_WINDOW)
 *
 * A link ends in one of two ways. The worker ended it: what had arrived is handled, then on_disconnect runs for the connections that are left.
 * This side did (a broken protocol, no memory, this process stops): the worker gives its connections to another process, so that no
 * on_disconnect may run here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"
#include "handler.h"
#include "handler_wire.h"
#include "list.h"
#include "log.h"
#include "map.h"

#define PROCESS_MAGIC      0x4e48414eu
#define PROCESS_LINKS_MAX  256u
#define PROCESS_PATH_MAX   108u       /* of a Unix socket's name, with its NUL */
#define LINK_READ_BYTES    65536u     /* one turn of a link */
#define LINK_UNREAD_MAX    (1u << 20) /* unsent bytes from which a worker is not read */
#define PROCESS_UNSENT_MAX (4u << 20) /* default of max_unsent_bytes */
#define PROCESS_STOP_MS    2000u

struct noria_handler {
    uint32_t magic;
    char name[HANDLER_NAME_MAX + 1];
    struct noria_endpoint *endpoints;
    size_t endpoint_count;
    size_t max_unsent_bytes;
    uint64_t stop_ns;
    void *arg;
    const struct clock *clock;

    int epoll_fd, listen_fd, stop_fd,
        reserve_fd;              /* the last: given up to refuse a worker when descriptors run out */
    char path[PROCESS_PATH_MAX]; /* of a socket made here; "": it was passed */
    bool listening, serving, stopped;

    struct list_node links;   /* oldest first */
    struct list_node ended;   /* freed at the end of the turn: its events may be at hand still */
    struct list_node orphans; /* requests whose link is gone */
    size_t link_count;
    msgpack_sbuffer body; /* noria_body() */
    msgpack_zone zone;    /* of the message at hand */
    struct log_limit complaints;
};

struct link {
    struct list_node node;
    struct noria_handler *handler;
    int fd;
    uint32_t watched; /* epoll events */
    char worker[HANDLER_NAME_MAX + 1];

    bool greeted; /* HELLO came */
    bool taking;  /* the TAKEN of the event at the head of `in` is in `out`, or already left */
    bool ended;   /* the worker's end of the stream was read */
    bool mute;    /* it cannot be written to any more; what it said before is still read */
    bool dropped; /* given up by this side */

    char *in; /* in_at to in_len */
    size_t in_at, in_len, in_cap;
    msgpack_sbuffer out; /* sent up to out_at */
    size_t out_at;

    uint64_t last_event, max_answer_bytes;
    struct handler_text *paths; /* its endpoints, one allocation with their bytes */
    bool *traditional;
    size_t path_count;
    struct map conns; /* by number */
    struct list_node conn_list;
    struct list_node requests;
    uint32_t request_count;
};

struct noria_conn {
    struct list_node node;
    struct link *link;
    uint64_t number;
    const struct noria_endpoint *endpoint; /* NULL: this program does not serve its path */
    bool traditional;
    bool taken; /* its OPEN was: on_connect or on_resume ran, so on_disconnect must */
    void *user;
    const char *path, *query, *principal, *peer; /* behind the struct */
};

struct noria_request {
    struct list_node node; /* in its link's list, or the orphans */
    struct noria_handler *handler;
    struct link *link; /* NULL: gone */
    struct noria_conn *conn;
    uint64_t event;
};

/* --- handler_link.c: bytes --- */

struct link *link_new(struct noria_handler *handler, int fd); /* takes fd; NULL: no memory, fd is closed */
void link_turn(struct link *link); /* one turn: write, handle, read at most LINK_READ_BYTES, handle, write */
void link_flush(struct link *link);
void link_watch(struct link *link); /* asks epoll for what it needs now */
void link_end(struct link *link);   /* as `dropped` says; the link is in the list `ended` afterwards */
void link_free(struct link *link);  /* an ended one */
void link_drop(struct link *link, const char *why); /* gives it up; it ends at the end of the turn */
size_t link_unsent(const struct link *link);
/* Appends the frame. ERR_CLOSED: mute or dropped. ERR_MEMORY drops the link: nobody may believe that it was said. */
enum err_e link_say(struct link *link, const struct handler_message *message);

/* --- handler_event.c: meaning --- */

enum event_e { EVENT_DONE, EVENT_WAITS, EVENT_BROKEN };
/* One message from the worker. EVENT_WAITS: not now, TAKEN has not left yet; call again with the same when it has. EVENT_BROKEN: *why */
enum event_e event_handle(struct link *link, const char *message, size_t len, const char **why);
/* on_disconnect (`told`), free_user, and the end of it. */
void conn_forget(struct noria_conn *conn, bool told);
void request_free(struct noria_request *request);
/* 500 as the worker itself would say it. */
void request_fail(struct noria_request *request);

/* --- handler_listen.c --- */

/* A passed socket, or one made at `path`; -1: errno. `made`: it has to be unlinked. */
int listen_open(const char *path, bool *made);
