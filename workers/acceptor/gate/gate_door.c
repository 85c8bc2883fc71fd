/* The sockets that the gate accepts from (Hop: C1): a listener has one of its own, and may get those of another process, which is away
 * (gate_add()). They are open file descriptions that several processes hold, so that closing ours takes nothing out of
 * the epoll set: it is always taken out first.
 *
 * Leaving without refusing anybody. Who stands in the queue of a socket is reset when its last holder closes it, and so is who is between SYN and
 * ACK. A launcher holds the sockets that it made. Of those made here the queue is emptied, and then, of what comes in the instants around the
 * close, one of two takes care: a filter that drops each further SYN, which nobody answers, so that the client's kernel sends it again after
 * a second, when the port belongs to other workers' sockets, while the handshakes that were under way come to their end (200 ms: a
 * round trip); or, where the kernel wants CAP_NET_ADMIN for a filter on TCP (it does lately, and a container has none), net.ipv4.tcp_migrate_req,
 * with which it gives them to another socket of the port. Rejected: close() when the queue is empty, which resets those in
 * between (seen on loopback under load, too); listen(fd, 0), whose full queue drops ACKs as well as SYNs; a BPF program that steers
 * the group of SO_REUSEPORT sockets, because it would have to know the place of ours in it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gate_internal.h"
#include "must.h"

static const struct gate_verdict no_descriptor = {503, "this worker has no descriptor left"};

/* --- accepting ---------------------------------------------------------------------------------------------------- */

void doors_watch(struct gate *gate, bool on)
{
    for (unsigned i = 0; i < gate->door_count; i++) {
        struct epoll_event event = {.events = on ? EPOLLIN : 0u, .data.ptr = &gate->doors[i]};
        if (gate->doors[i].fd >= 0)
            epoll_ctl(gate->epoll_fd, EPOLL_CTL_MOD, gate->doors[i].fd, &event);
    }
}

static void pause_after(struct gate *gate, const struct gate_door *door, const char *event, int error)
{
    uint32_t suppressed;
    if (log_limit_ok(&gate->accept_log_limit, gate_now(gate), 10 * NS_PER_S, 1, &suppressed))
        log_warn(event, "listener=%u error=\"%s\" suppressed=%u", door->listener, strerror(error),
                 suppressed);
    gate->resume_ns = gate_now(gate) + GATE_PAUSE_NS;
    doors_watch(gate, false);
}

static void out_of_descriptors(struct gate *gate, const struct gate_door *door)
{
    int error = errno;
    gate->counts.no_descriptors++;
    if (gate->reserve_fd >= 0) {
        close(gate->reserve_fd);
        int fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            gate_turn_away(gate, fd, door->listener, no_descriptor);
    }
    gate->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pause_after(gate, door, "gate-no-descriptor", error);
}

/* False: nothing more to accept now. */
static bool accept_one(struct gate *gate, const struct gate_door *door, bool read_now)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t peer_len = sizeof peer;
    int fd = accept4(door->fd, (void *)&peer, &peer_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= gate->fd_limit) {
        gate->counts.no_descriptors++;
        gate_turn_away(gate, fd, door->listener, no_descriptor);
        return true;
    }
    if (fd >= 0) {
        gate->counts.accepted++;
        gate->counts.accepted_added += door->owner != GATE_NOBODY;
        half_open(gate, fd, door->listener, (void *)&peer, read_now);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EINTR:
    case ECONNABORTED:
        return true;
    case EMFILE:
    case ENFILE:
        out_of_descriptors(gate, door);
        return false;
    default:
        gate->counts.accept_errors++;
        pause_after(gate, door, "gate-accept-error", errno);
        return false;
    }
}

/* Never so many that those waiting here would have to give way. */
static bool may_park(const struct gate *gate)
{
    return gate_may_accept(gate) && gate->counts.half_open < gate->config.max_half_open / 2;
}

void door_accept(struct gate *gate, const struct gate_door *door)
{
    if (door->fd < 0)
        return; /* closed earlier in the same batch of events */
    for (unsigned i = 0; i < GATE_READ_BUDGET; i++)
        if (!gate_may_accept(gate) || !accept_one(gate, door, true))
            return;
    for (unsigned i = 0; i < GATE_PARK_BUDGET && may_park(gate); i++)
        if (!accept_one(gate, door, false))
            return;
}

/* --- opening and closing -------------------------------------------------------------------------------------------- */

static struct gate_door *free_place(struct gate *gate)
{
    for (unsigned i = gate->config.listener_count; i < gate->door_count; i++)
        if (gate->doors[i].fd < 0)
            return &gate->doors[i];
    return gate->door_count < GATE_DOORS_MAX ? &gate->doors[gate->door_count] : NULL;
}

static bool set_up(const struct gate *gate, int fd)
{
    int on = 1, size = (int)gate->config.send_buffer_bytes, flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           (size <= 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

enum err_e door_open(struct gate *gate, const struct gate_door *door)
{
    struct gate_door *place = free_place(gate);
    if (place == NULL)
        return ERR_FULL;
    bool watched = !gate->paused && gate->resume_ns == 0;
    struct epoll_event event = {.events = watched ? EPOLLIN : 0u, .data.ptr = place};
    *place = *door;
    if (!set_up(gate, door->fd) || epoll_ctl(gate->epoll_fd, EPOLL_CTL_ADD, door->fd, &event) != 0) {
        log_error("gate-listener", "listener=%u error=\"%s\"", door->listener, strerror(errno));
        place->fd = -1;
        return ERR_SYSTEM;
    }
    if (place == &gate->doors[gate->door_count])
        gate->door_count++;
    return ERR_OK;
}

static void close_door(struct gate *gate, struct gate_door *door)
{
    epoll_ctl(gate->epoll_fd, EPOLL_CTL_DEL, door->fd, NULL);
    close(door->fd);
    door->fd = -1;
    gate->counts.doors_added -= door->owner != GATE_NOBODY;
}

/* The listeners' own sockets stay the caller's. */
void doors_fini(struct gate *gate)
{
    for (unsigned i = 0; i < gate->door_count; i++)
        if (gate->doors[i].fd >= 0 && gate->doors[i].owner != GATE_NOBODY)
            close_door(gate, &gate->doors[i]);
}

enum err_e gate_add(struct gate *gate, unsigned listener, int fd, uint32_t owner)
{
    MUST(listener < gate->config.listener_count && owner != GATE_NOBODY);
    const struct gate_door door = {
        .target = GATE_TARGET_LISTENER, .listener = listener, .fd = fd, .owner = owner};
    enum err_e err = gate->leaving ? ERR_CLOSED : door_open(gate, &door);
    if (err == ERR_OK)
        gate->counts.doors_added++;
    else
        close(fd);
    return err;
}

unsigned gate_remove(struct gate *gate, uint32_t owner)
{
    unsigned count = 0;
    for (unsigned i = 0; i < gate->door_count; i++) {
        struct gate_door *door = &gate->doors[i];
        if (door->fd < 0 || door->owner != owner)
            continue;
        close_door(gate, door);
        count++;
    }
    return count;
}

/* --- leaving ---------------------------------------------------------------------------------------------------------- */

/* Byte 13 of a TCP header has its flags: a SYN without an ACK is dropped, all else goes on. */
static bool begin_no_more(int fd)
{
    static const struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    struct sock_fprog program = {sizeof steps / sizeof *steps, (struct sock_filter *)(uintptr_t)steps};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

static void prepare_to_leave(const struct gate_door *door)
{
    if (begin_no_more(door->fd))
        return;
    int why = errno;
    if (!door->migrates)
        log_warn("gate-leave",
                 "listener=%u error=\"%s\" a connection begun now may be refused, unless "
                 "net.ipv4.tcp_migrate_req=1",
                 door->listener, strerror(why));
}

void gate_leave(struct gate *gate)
{
    if (gate->leaving)
        return;
    gate->leaving = true;
    for (unsigned i = 0; i < gate->door_count; i++) {
        struct gate_door *door = &gate->doors[i];
        if (door->fd < 0)
            continue;
        if (!door->own) {
            close_door(gate, door);
            continue;
        }
        prepare_to_leave(door);
        gate->leave_ns = gate_now(gate) + GATE_LEAVE_NS;
    }
    gate_update_timer(gate);
}

/* No more than the kernel's queue may hold. */
static void take_all(struct gate *gate, const struct gate_door *door)
{
    for (unsigned i = 0; i < GATE_PARK_BUDGET + GATE_READ_BUDGET; i++)
        if (!gate_may_accept(gate) || !accept_one(gate, door, i < GATE_READ_BUDGET))
            return;
}

void doors_leave_at_last(struct gate *gate)
{
    gate->leave_ns = 0;
    for (unsigned i = 0; i < gate->door_count; i++) {
        struct gate_door *door = &gate->doors[i];
        if (door->fd < 0)
            continue;
        take_all(gate, door);
        close_door(gate, door);
    }
}

bool gate_has_left(const struct gate *gate)
{
    return gate->leaving && gate->leave_ns == 0;
}
