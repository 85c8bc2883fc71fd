/* handler_link.c — one worker's stream: bytes in, frames, bytes out (handler_process.h).
 *
 * Fair: a turn reads once, at most LINK_READ_BYTES, and handles what that made whole; the next link is next. Bounded: nothing is read
 * while LINK_UNREAD_MAX waits to be sent, and a worker has at most HANDLER_WINDOW messages under way. What cannot be written (the
 * worker is dead) does not keep what it said before from being handled.
 */
#include "handler_process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"

#define KEPT_BYTES (256u * 1024u) /* of a buffer that is empty */

struct link *link_new(struct noria_handler *handler, int fd)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        close(fd);
        return NULL;
    }
    link->handler = handler;
    link->fd = fd;
    list_init(&link->node);
    list_init(&link->conn_list);
    list_init(&link->requests);
    map_init(&link->conns);
    msgpack_sbuffer_init(&link->out);
    memcpy(link->worker, "?", 2);
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = link};
    link->watched = EPOLLIN;
    if (epoll_ctl(handler->epoll_fd, EPOLL_CTL_ADD, fd, &want) != 0) {
        link_free(link);
        return NULL;
    }
    list_append(&handler->links, &link->node);
    handler->link_count++;
    return link;
}

size_t link_unsent(const struct link *link)
{
    return link->out.size - link->out_at;
}

/* Everything that was to be said is said, or cannot be any more. */
static void out_clear(struct link *link)
{
    link->out.size = link->out_at = 0;
    if (link->out.alloc <= KEPT_BYTES)
        return;
    msgpack_sbuffer_destroy(&link->out);
    msgpack_sbuffer_init(&link->out);
}

void link_flush(struct link *link)
{
    while (!link->mute && link_unsent(link) > 0) {
        ssize_t sent =
            send(link->fd, link->out.data + link->out_at, link_unsent(link), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            link->out_at += (size_t)sent;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        else if (errno != EINTR)
            link->mute = true;
    }
    if (link->mute || link_unsent(link) == 0)
        out_clear(link);
}

enum err_e link_say(struct link *link, const struct handler_message *message)
{
    if (link->mute || link->dropped)
        return ERR_CLOSED;
    if (link->out_at > link->out.size / 2) { /* what was sent is the larger part */
        memmove(link->out.data, link->out.data + link->out_at, link_unsent(link));
        link->out.size = link_unsent(link);
        link->out_at = 0;
    }
    enum err_e err = handler_encode(message, &link->out);
    if (err == ERR_MEMORY)
        link_drop(link, "no memory for what it is to be told");
    return err;
}

void link_drop(struct link *link, const char *why)
{
    uint32_t suppressed;
    if (link->dropped)
        return;
    link->dropped = true;
    shutdown(link->fd, SHUT_RDWR); /* wakes the loop, if this is not its turn */
    if (log_limit_ok(&link->handler->complaints, clock_mono_ns(link->handler->clock), 10 * NS_PER_S, 5,
                     &suppressed))
        log_warn("worker-dropped", "worker=%s reason=\"%s\" suppressed=%u", link->worker, why, suppressed);
}

/* --- reading --- */

static bool in_room(struct link *link)
{
    size_t left = link->in_len - link->in_at;
    if (link->in_at > 0) {
        memmove(link->in, link->in + link->in_at, left);
        link->in_at = 0;
        link->in_len = left;
    }
    if (link->in_cap - left >= LINK_READ_BYTES)
        return true;
    size_t cap = link->in_cap * 2 > left + LINK_READ_BYTES ? link->in_cap * 2 : left + LINK_READ_BYTES;
    char *more = realloc(link->in, cap);
    if (more == NULL)
        return false;
    link->in = more;
    link->in_cap = cap;
    return true;
}

static void in_release(struct link *link)
{
    if (link->in_at < link->in_len)
        return;
    link->in_at = link->in_len = 0;
    if (link->in_cap <= KEPT_BYTES)
        return;
    free(link->in);
    link->in = NULL;
    link->in_cap = 0;
}

static void link_read(struct link *link)
{
    if (!in_room(link)) {
        link_drop(link, "no memory for what it says");
        return;
    }
    ssize_t got = recv(link->fd, link->in + link->in_len, LINK_READ_BYTES, MSG_DONTWAIT);
    if (got > 0)
        link->in_len += (size_t)got;
    else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        link->ended = true;
}

/* Whole messages of what was read. False: the one at the head has to wait until something left. */
static bool link_handle(struct link *link)
{
    while (!link->dropped && (link->mute || link_unsent(link) < LINK_UNREAD_MAX)) {
        size_t len = link->in_len - link->in_at;
        const char *at = len > 0 ? link->in + link->in_at : "", *why = "a frame of no or too many bytes";
        enum err_e err = handler_frame(at, len, &len);
        if (err == ERR_BUSY)
            return true;
        enum event_e event =
            err == ERR_OK ? event_handle(link, at + HANDLER_LENGTH_BYTES, len, &why) : EVENT_BROKEN;
        if (event == EVENT_WAITS)
            return false;
        if (event == EVENT_BROKEN)
            link_drop(link, why);
        else
            link->in_at += HANDLER_LENGTH_BYTES + len;
    }
    return link->dropped;
}

/* The same, and on where writing made room. */
static bool link_work(struct link *link)
{
    while (!link_handle(link)) {
        link_flush(link);
        if (link->taking ? link_unsent(link) > 0 : link_unsent(link) >= LINK_UNREAD_MAX)
            return false;
    }
    return true;
}

void link_turn(struct link *link)
{
    link_flush(link);
    bool done = link_work(link);
    if (done && !link->dropped && !link->ended) {
        link_read(link);
        done = link_work(link);
    }
    in_release(link);
    link_flush(link);
    if (link->dropped || (link->ended && done))
        link_end(link);
    else
        link_watch(link);
}

/* A worker that is to read first is not read. What ended is not asked for again: it would be reported for ever. */
void link_watch(struct link *link)
{
    bool unsent = link_unsent(link) > 0;
    bool reads = !link->ended && !(unsent && link->taking) && link_unsent(link) < LINK_UNREAD_MAX;
    struct epoll_event want = {.events = (reads ? EPOLLIN : 0u) | (unsent ? EPOLLOUT : 0u), .data.ptr = link};
    if (want.events == link->watched)
        return;
    link->watched = want.events;
    int failed = epoll_ctl(link->handler->epoll_fd, EPOLL_CTL_MOD, link->fd, &want);
    MUST(failed == 0);
}

/* --- the end --- */

void link_end(struct link *link)
{
    struct noria_handler *handler = link->handler;
    bool told = !link->dropped;
    link->mute = true;
    out_clear(link);
    list_remove(&link->node);
    handler->link_count--;
    LIST_FOREACH (it, &link->conn_list) {
        conn_forget(LIST_ENTRY(it, struct noria_conn, node), told);
    }
    LIST_FOREACH (it, &link->requests) {
        struct noria_request *request = LIST_ENTRY(it, struct noria_request, node);
        request->link = NULL;
        list_remove(it);
        list_append(&handler->orphans, it);
    }
    close(link->fd);
    link->fd = -1;
    list_append(&handler->ended, &link->node);
}

void link_free(struct link *link)
{
    list_remove(&link->node);
    if (link->fd >= 0)
        close(link->fd);
    map_fini(&link->conns);
    msgpack_sbuffer_destroy(&link->out);
    free(link->in);
    free(link->paths);
    free(link->traditional);
    free(link);
}
