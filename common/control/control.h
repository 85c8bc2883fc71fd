/* control.h — what the launcher and the processes that it started say to each other, beside signals and exit codes.
 *
 * One Unix socket pair (SOCK_SEQPACKET) per process; the child finds its end in NORIA_CONTROL_FD (proc_env.h). Under Compose and
 * systemd there is none: each process then takes SIGHUP (reload) and, a worker, SIGUSR1 (drain).
 *
 *     launcher                                child
 *     RELOAD   number, digest      ──▶        reads its configuration again (the copy called "next", conf.h), keeps it beside the
 *              ◀── PREPARED number            one in force, changes nothing
 *              ◀── REFUSED  number, text      … or cannot; nothing changed
 *     COMMIT   number              ──▶        puts it in force; cannot fail any more
 *              ◀── DONE     number
 *     ABORT    number              ──▶        forgets it
 *
 *     DRAIN    number=window in ms ──▶        a worker takes no more connections, closes its clients with 1012 spread over the
 *              ◀── DRAINING                   window, ends with 0 when it is empty. DRAINING also if SIGUSR1 asked for it
 *     ADOPT    number=k, names, fds ──▶       a worker accepts from the sockets of worker k, too, which is away
 *     DISOWN   number=k            ──▶        … no more: it is back
 *
 * SOCKETS is no launcher's: a worker under Compose says it to `noria front`, on a Unix socket with a name (front.h), and is answered with it, or REFUSED. The front there
 * may be older or newer than its workers: types are only ever added at the end.
 *
 * Nothing is resent: the socket is reliable, and its end is the end of its process. A RELOAD that comes while one is kept replaces it.
 * Sending never blocks; ERR_FULL is a child that does not read (the launcher then treats a reload as refused). No call allocates.
 * All may be called from callbacks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define CONTROL_TEXT_MAX 2047 /* the names of 32 listeners, 32 bytes each */
#define CONTROL_FDS_MAX  32

/* X(NAME, "name", says what) */
#define CONTROL_TYPES(X)                                                                                     \
    X(RELOAD, "reload")                                                                                      \
    X(PREPARED, "prepared")                                                                                  \
    X(REFUSED, "refused")                                                                                    \
    X(COMMIT, "commit")                                                                                      \
    X(DONE, "done")                                                                                          \
    X(ABORT, "abort")                                                                                        \
    X(DRAIN, "drain")                                                                                        \
    X(DRAINING, "draining")                                                                                  \
    X(ADOPT, "adopt")                                                                                        \
    X(DISOWN, "disown")                                                                                      \
    X(SOCKETS, "sockets")

enum control_type_e {
#define X(NAME, name) CONTROL_##NAME,
    CONTROL_TYPES(X)
#undef X
        CONTROL_TYPE_COUNT
};

struct control_message {
    enum control_type_e type;
    uint32_t number; /* of a reload; a window; a worker; SOCKETS: front.h */
    uint64_t digest; /* RELOAD: of the configuration that is meant (struct conf) */
    char text[CONTROL_TEXT_MAX +
              1]; /* REFUSED: why, one line; ADOPT: the listeners' names, "a:b:c"; SOCKETS: front.h */
    int fds[CONTROL_FDS_MAX]; /* ADOPT, SOCKETS; the receiver's to close */
    unsigned fd_count;
};

/* A pair, both non-blocking and close-on-exec. ERR_SYSTEM (not logged). */
enum err_e control_pair(int *launcher_end, int *child_end);

/* ERR_FULL: it does not read; ERR_CLOSED: it is gone; ERR_SYSTEM. Descriptors stay the sender's. */
enum err_e control_send(int fd, const struct control_message *message);

/* The next message. ERR_BUSY: none now; ERR_CLOSED: the other side is gone; ERR_MALFORMED: no message of ours, dropped, with its
 * descriptors; ERR_SYSTEM. Received descriptors are close-on-exec. */
enum err_e control_receive(int fd, struct control_message *message);

/* Closes the message's descriptors, which are then none. */
void control_drop_fds(struct control_message *message);

/* The child's end as inherited, made non-blocking and close-on-exec; -1: there is none. Call once, early: the variable is removed. */
int control_inherited(void);

const char *control_type_name(enum control_type_e type); /* "reload"; "?" for none */
