/* launch_control.c — see launch_control.h. A peer is freed at the end of the loop's iteration, never under a caller's feet. */
#include "launch_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "must.h"
#include "room.h"

#define ANSWER_FIRST 1024u /* bytes */

enum peer_e { PEER_ASKS, PEER_WAITS, PEER_READS, PEER_GONE };

struct control_peer {
    struct control_peer *next;
    struct control_server *server;
    enum peer_e state;
    int fd;
    struct loop_fd *watch;
    struct loop_timer *timer;
    char request[CONTROL_REQUEST_MAX + 1];
    size_t request_len;
    char *answer; /* what was not taken yet */
    size_t answer_len, answer_cap;
};

struct control_server {
    struct loop *loop;
    struct control_server_options options;
    int fd;
    struct loop_fd *watch;
    struct control_peer *peers;
    size_t count;
    bool sweeping; /* peers that are gone are freed at the iteration's end */
    uint64_t requests, refused;
    struct log_limit complaints;
};

/* --- a peer's end ----------------------------------------------------------------------------------------------- */

static void free_peer(struct control_peer *peer)
{
    loop_fd_free(&peer->watch);
    loop_timer_free(&peer->timer);
    if (peer->fd >= 0)
        close(peer->fd);
    free(peer->answer);
    free(peer);
}

static void sweep(void *arg)
{
    struct control_server *server = arg;
    server->sweeping = false;
    for (struct control_peer **at = &server->peers; *at != NULL;) {
        struct control_peer *peer = *at;
        if (peer->state != PEER_GONE) {
            at = &peer->next;
            continue;
        }
        *at = peer->next;
        server->count--;
        free_peer(peer);
    }
}

/* Without memory to defer it, it is swept with the next one. */
static void leave(struct control_peer *peer)
{
    struct control_server *server = peer->server;
    if (peer->state == PEER_GONE)
        return;
    bool tell = peer->state == PEER_WAITS && server->options.gone != NULL;
    peer->state = PEER_GONE;
    loop_fd_free(&peer->watch);
    loop_timer_stop(peer->timer);
    close(peer->fd);
    peer->fd = -1;
    if (tell)
        server->options.gone(server->options.arg, peer);
    if (!server->sweeping)
        server->sweeping = loop_defer(server->loop, sweep, server) == ERR_OK;
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

static void flush(struct control_peer *peer)
{
    while (peer->answer_len > 0) {
        ssize_t n = send(peer->fd, peer->answer, peer->answer_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            leave(peer);
            return;
        }
        if (n < 0)
            break;
        peer->answer_len -= (size_t)n;
        memmove(peer->answer, peer->answer + n, peer->answer_len);
        loop_timer_stop(peer->timer);
    }
    if (peer->answer_len == 0 && peer->state == PEER_READS) {
        leave(peer);
        return;
    }
    loop_fd_set(peer->watch, LOOP_READ | (peer->answer_len > 0 ? LOOP_WRITE : 0u));
    if (peer->answer_len > 0 && !loop_timer_active(peer->timer))
        loop_timer_start(peer->timer, CONTROL_PATIENCE_NS);
}

static bool make_room(struct control_peer *peer, size_t more)
{
    size_t need = peer->answer_len + more;
    return room_cap(peer->answer_cap, need, ANSWER_FIRST) <= CONTROL_ANSWER_MAX &&
           room_make(&peer->answer, &peer->answer_cap, need, ANSWER_FIRST);
}

static void append(struct control_peer *peer, const char *before, const char *line)
{
    size_t first = strlen(before), len = strlen(line);
    if (!make_room(peer, first + len + 1)) {
        log_warn("control-peer", "error=\"does not read its answer\" action=dropped");
        leave(peer);
        return;
    }
    char *to = peer->answer + peer->answer_len;
    memcpy(to, before, first);
    for (size_t i = 0; i < len; i++)
        to[first + i] = (unsigned char)line[i] < 32 ? ' ' : line[i];
    to[first + len] = '\n';
    peer->answer_len += first + len + 1;
}

void control_say(struct control_peer *peer, const char *line)
{
    if (peer->state != PEER_WAITS)
        return;
    append(peer, "", line);
    if (peer->state == PEER_WAITS)
        flush(peer);
}

void control_end(struct control_peer *peer, const char *problem)
{
    if (peer->state != PEER_WAITS)
        return;
    peer->state = PEER_READS;
    append(peer, problem != NULL ? "error: " : "", problem != NULL ? problem : "ok");
    if (peer->state == PEER_READS)
        flush(peer);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static void take_request(struct control_peer *peer)
{
    const char *words[CONTROL_WORDS_MAX];
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(peer->request, " ", &rest); word != NULL && count < CONTROL_WORDS_MAX;
         word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    peer->state = PEER_WAITS;
    peer->server->requests++;
    loop_timer_stop(peer->timer);
    peer->server->options.request(peer->server->options.arg, peer, words, count);
}

static bool is_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 32 ? text[i] != ' ' : text[i] == 127)
            return false;
    return true;
}

static void refuse(struct control_peer *peer, const char *why)
{
    peer->state = PEER_WAITS;
    control_end(peer, why);
}

static void on_asking(struct control_peer *peer)
{
    ssize_t n = read(peer->fd, peer->request + peer->request_len, CONTROL_REQUEST_MAX - peer->request_len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(peer);
        return;
    }
    peer->request_len += (size_t)n;
    char *end = memchr(peer->request, '\n', peer->request_len);
    if (end == NULL && peer->request_len == CONTROL_REQUEST_MAX) {
        refuse(peer, "the request is too long");
    } else if (end != NULL && !is_text(peer->request, (size_t)(end - peer->request))) {
        refuse(peer, "the request is no line of words");
    } else if (end != NULL) {
        *end = '\0';
        take_request(peer);
    }
}

/* Behind its request a peer has nothing to say; what it says is thrown away. It may close its half. */
static void on_chatter(struct control_peer *peer)
{
    char nothing[256];
    ssize_t n = recv(peer->fd, nothing, sizeof nothing, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        leave(peer);
}

static void on_peer(void *arg, unsigned events)
{
    struct control_peer *peer = arg;
    if (peer->state == PEER_ASKS)
        on_asking(peer);
    else if ((events & LOOP_READ) != 0)
        on_chatter(peer);
    if (peer->state != PEER_GONE && peer->state != PEER_ASKS && (events & LOOP_WRITE) != 0)
        flush(peer);
}

static void on_patience_lost(void *arg)
{
    struct control_peer *peer = arg;
    log_warn("control-peer", "error=\"%s\" action=dropped",
             peer->state == PEER_ASKS ? "asks nothing" : "does not read its answer");
    leave(peer);
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static bool is_ours(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static struct control_peer *add_peer(struct control_server *server, int fd)
{
    struct control_peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    peer->server = server;
    peer->fd = fd;
    peer->timer = loop_timer_new(server->loop, on_patience_lost, peer);
    peer->watch = loop_fd_new(server->loop, fd, LOOP_READ, on_peer, peer);
    if (peer->timer == NULL || peer->watch == NULL) {
        peer->fd = -1;
        free_peer(peer);
        return NULL;
    }
    loop_timer_start(peer->timer, CONTROL_PATIENCE_NS);
    peer->next = server->peers;
    server->peers = peer;
    server->count++;
    return peer;
}

static void turn_away(struct control_server *server, int fd, const char *why)
{
    uint32_t suppressed;
    server->refused++;
    close(fd);
    if (log_limit_ok(&server->complaints, loop_now_ns(server->loop), 10 * NS_PER_S, 5, &suppressed))
        log_warn("control-refused", "error=\"%s\" suppressed=%u", why, suppressed);
}

static void on_connection(void *arg, unsigned events)
{
    (void)events;
    struct control_server *server = arg;
    int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (!is_ours(fd))
        turn_away(server, fd, "another user");
    else if (server->count >= CONTROL_PEERS)
        turn_away(server, fd, "too many connections");
    else if (add_peer(server, fd) == NULL)
        turn_away(server, fd, "out of memory");
}

/* --- as a whole ------------------------------------------------------------------------------------------------- */

static enum err_e failed(const char *path)
{
    log_error("control-socket", "path=%s error=\"%s\"", path, strerror(errno));
    return ERR_SYSTEM;
}

static enum err_e listen_at(struct control_server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return failed(path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177);
    bool bound = server->fd >= 0 && bind(server->fd, (const struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    return bound && listen(server->fd, CONTROL_PEERS) == 0 ? ERR_OK : failed(path);
}

enum err_e control_server_open(struct loop *loop, const struct control_server_options *options,
                               struct control_server **out)
{
    struct control_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (server == NULL)
        return ERR_MEMORY;
    server->loop = loop;
    server->options = *options;
    server->fd = -1;
    enum err_e err = listen_at(server, options->path);
    if (err == ERR_OK) {
        server->watch = loop_fd_new(loop, server->fd, LOOP_READ, on_connection, server);
        err = server->watch != NULL ? ERR_OK : ERR_MEMORY;
    }
    *out = server;
    if (err != ERR_OK)
        control_server_close(out);
    return err;
}

void control_server_close(struct control_server **out)
{
    struct control_server *server = *out;
    if (server == NULL)
        return;
    while (server->peers != NULL) {
        struct control_peer *peer = server->peers;
        server->peers = peer->next;
        if (peer->answer_len > 0 && peer->fd >= 0)
            (void)!send(peer->fd, peer->answer, peer->answer_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        free_peer(peer);
    }
    loop_fd_free(&server->watch);
    if (server->fd >= 0)
        close(server->fd);
    free(server);
    *out = NULL;
}

uint64_t control_server_requests(const struct control_server *server)
{
    return server->requests;
}

uint64_t control_server_refused(const struct control_server *server)
{
    return server->refused;
}
