/* launch_control.h — control.sock: fixed words of the launcher's own user (or root), answered in lines of text.
 *
 *     ──▶ restart worker.0 worker.1\n
 *     ◀── worker.0: restarted (pid 12 → 34)\n
 *     ◀── worker.1: restarted (pid 13 → 35)\n
 *     ◀── ok\n                                 … or error: WHY\n, then the end
 *
 * A Unix socket below runtime_dir, mode 0600; whose it is who connects is asked of the kernel (SO_PEERCRED), too. One request a connection, at most
 * CONTROL_REQUEST_MAX bytes of words with single blanks between; it must be there within CONTROL_PATIENCE_NS, and the answer taken as fast: who does not read is
 * dropped, and what was asked for goes on. At most CONTROL_PEERS connections; one more is closed at once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "loop.h"

#define CONTROL_REQUEST_MAX 256 /* with the line's end */
#define CONTROL_WORDS_MAX   64
#define CONTROL_PEERS       8
#define CONTROL_ANSWER_MAX  (256u << 10) /* bytes that wait for a peer */
#define CONTROL_PATIENCE_NS (10 * NS_PER_S)

struct control_server;
struct control_peer;

struct control_server_options {
    const char *path;
    /* A request. It is answered with control_say() and, once, control_end(), now or later; until then, or until `gone`, the peer stays. */
    void (*request)(void *arg, struct control_peer *peer, const char *const *words, size_t count);
    void (*gone)(void *arg, struct control_peer *peer); /* before control_end(): nobody is told any more */
    void *arg;
};

/* ERR_SYSTEM (logged), ERR_MEMORY. What stands at `path` is replaced: the runtime directory is the launcher's alone (rundir.h). */
enum err_e control_server_open(struct loop *loop, const struct control_server_options *options,
                               struct control_server **server);
void control_server_close(
    struct control_server **server); /* no `gone` is called; what can be sent at once is */

void control_say(struct control_peer *peer, const char *line); /* characters below 32 become blanks */
void control_end(struct control_peer *peer,
                 const char *problem); /* NULL: ok. The peer is the server's again */

uint64_t control_server_requests(const struct control_server *server);
uint64_t control_server_refused(const struct control_server *server);
