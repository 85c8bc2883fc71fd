/* One half-open connection, from accept to a judged head or an answered refusal.
 *
 * Bytes are read into the gate's one input buffer, and kept in memory of their own only while a head is incomplete
 * (at most double what was received). Most heads come whole in the first read, right at accept: such a connection
 * never enters the epoll set. Rejected: MSG_PEEK, so that bytes behind the head stay in the socket; it costs a second
 * read per handshake, and handing them on with the request (`behind`) is as good. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gate_internal.h"
#include "hash.h"
#include "must.h"

/* --- counting by address ------------------------------------------------------------------------------------------ */

static uint64_t address_key(const struct gate *gate, const struct sockaddr *peer)
{
    uint64_t key = 0;
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)peer;
        key = hash_bytes(&v4->sin_addr, sizeof v4->sin_addr, gate->address_seed);
    } else if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)peer;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        key = hash_bytes(v6->sin6_addr.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8, gate->address_seed);
    }
    return key;
}

static uintptr_t address_count(const struct gate *gate, uint64_t key)
{
    return (uintptr_t)map_get(&gate->addresses, key);
}

static void address_add(struct gate *gate, uint64_t key)
{
    if (key != 0) /* the map was reserved for every half-open connection, so this does not fail */
        MUST(map_put(&gate->addresses, key, (void *)(address_count(gate, key) + 1)) == ERR_OK);
}

static void address_remove(struct gate *gate, uint64_t key)
{
    if (key == 0)
        return;
    uintptr_t left = address_count(gate, key) - 1;
    if (left == 0)
        map_remove(&gate->addresses, key);
    else
        MUST(map_put(&gate->addresses, key, (void *)left) == ERR_OK);
}

/* --- objects ------------------------------------------------------------------------------------------------------ */

static bool watch(struct gate *gate, struct half *half)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = half};
    if (half->watched)
        return true;
    half->watched = epoll_ctl(gate->epoll_fd, EPOLL_CTL_ADD, half->fd, &event) == 0;
    return half->watched;
}

/* Everything but the descriptor, which is returned. */
static int release(struct gate *gate, struct half *half)
{
    int fd = half->fd;
    if (half->watched)
        epoll_ctl(gate->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    wheel_stop(&gate->wheel, &half->timer);
    address_remove(gate, half->address);
    free(half->head);
    list_remove(&half->link);
    list_append(&gate->free, &half->link);
    half->state = HALF_FREE;
    half->watched = false;
    half->head = NULL;
    half->fd = -1;
    gate->counts.half_open--;
    return fd;
}

void half_close(struct gate *gate, struct half *half)
{
    close(release(gate, half));
}

/* Gives way: the oldest of those that were answered already, else the oldest of all. */
static void evict(struct gate *gate)
{
    static const struct gate_verdict full = {503, "too many connections are being opened"};
    struct list_node *oldest = !list_empty(&gate->draining) ? gate->draining.next : gate->reading.next;
    struct half *victim = LIST_ENTRY(oldest, struct half, link);
    unsigned listener = victim->listener;
    bool answered = victim->state == HALF_DRAINING;
    int fd = release(gate, victim);
    gate->counts.evicted++;
    if (answered)
        close(fd);
    else
        gate_turn_away(gate, fd, listener, full);
}

static struct half *take_free(struct gate *gate)
{
    if (list_empty(&gate->free) && gate->fresh < gate->config.max_half_open) {
        struct half *half = &gate->halves[gate->fresh++];
        half->target = GATE_TARGET_HALF;
        wheel_node_init(&half->timer);
        list_init(&half->link);
        return half;
    }
    if (list_empty(&gate->free))
        evict(gate);
    return LIST_ENTRY(gate->free.next, struct half, link);
}

/* --- refusing and draining ---------------------------------------------------------------------------------------- */

static void drain(struct gate *gate, struct half *half)
{
    ssize_t got;
    do {
        got = recv(half->fd, gate->input, sizeof gate->input, MSG_DONTWAIT);
        if (got > 0)
            half->have += (uint32_t)got;
    } while (got > 0 && half->have < GATE_DRAIN_BYTES);
    bool waiting = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (!waiting || !watch(gate, half))
        half_close(gate, half);
}

static void refuse(struct gate *gate, struct half *half, struct gate_verdict verdict)
{
    gate_answer(gate, half->fd, half->listener, verdict);
    free(half->head);
    half->head = NULL;
    half->have = half->cap = 0;
    half->state = HALF_DRAINING;
    list_remove(&half->link);
    list_append(&gate->draining, &half->link);
    wheel_start(&gate->wheel, &half->timer, gate_now(gate) + GATE_DRAIN_NS);
    drain(gate, half);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct path_question {
    const struct gate *gate;
    unsigned listener;
};

static bool path_known(void *arg, const char *path)
{
    const struct path_question *question = arg;
    const struct gate_config *config = &question->gate->config;
    return config->path_known == NULL || config->path_known(config->arg, question->listener, path);
}

static struct gate_verdict judge(struct gate *gate, const struct half *half, struct gate_request *request)
{
    const struct gate_config *config = &gate->config;
    struct path_question question = {gate, half->listener};
    struct gate_rules rules = {.plain_http = gate->plain_http[half->listener],
                               .max_body_bytes = config->max_body_bytes,
                               .origins = config->origins,
                               .origin_count = config->origin_count,
                               .path_known = path_known,
                               .arg = &question};
    struct gate_verdict verdict = gate_head_judge(gate->input, half->scan.length, &rules, request);
    if (verdict.status == 0 && config->has_room != NULL && !config->has_room(config->arg, request->upgrade))
        verdict = (struct gate_verdict){503, "this worker has no room for another connection"};
    return verdict;
}

/* The head stands whole in gate->input, `have` bytes with what is behind it. */
static void finish(struct gate *gate, struct half *half, size_t have)
{
    struct gate_request request;
    struct gate_verdict verdict = judge(gate, half, &request);
    if (verdict.status != 0) {
        refuse(gate, half, verdict);
        return;
    }
    request.behind = gate->input + half->scan.length;
    request.behind_len = have - half->scan.length;
    if (request.upgrade)
        gate->counts.upgrades++;
    else
        gate->counts.plain++;
    unsigned listener = half->listener;
    int fd = release(gate, half);
    gate->config.accepted(gate->config.arg, fd, &request, listener);
}

/* Keeps an incomplete head, which stands in gate->input. */
static bool keep(struct gate *gate, struct half *half, size_t have)
{
    if (have > half->cap) {
        size_t cap = half->cap ? half->cap : 128;
        while (cap < have)
            cap *= 2;
        char *grown = realloc(half->head, cap);
        if (grown == NULL)
            return false;
        half->head = grown;
        half->cap = (uint32_t)cap;
    }
    memcpy(half->head + half->have, gate->input + half->have, have - half->have);
    half->have = (uint32_t)have;
    return watch(gate, half);
}

static void got_bytes(struct gate *gate, struct half *half, size_t got)
{
    size_t had = half->have, have = had + got;
    if (had > 0)
        memcpy(gate->input, half->head, had);
    switch (gate_scan_feed(&half->scan, gate->input + had, got)) {
    case GATE_SCAN_WHOLE:
        finish(gate, half, have);
        break;
    case GATE_SCAN_BAD:
        refuse(gate, half, half->scan.verdict);
        break;
    case GATE_SCAN_MORE:
        if (!keep(gate, half, have)) {
            gate->counts.accept_errors++;
            half_close(gate, half);
        }
        break;
    }
}

/* An incomplete head is at most GATE_HEAD_MAX bytes, so there is always as much room again. */
static void read_head(struct gate *gate, struct half *half)
{
    ssize_t got = recv(half->fd, gate->input + half->have, sizeof gate->input - half->have, MSG_DONTWAIT);
    if (got > 0) {
        got_bytes(gate, half, (size_t)got);
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR) && watch(gate, half))
        return;
    gate->counts.abandoned++;
    half_close(gate, half);
}

void half_event(struct gate *gate, struct half *half)
{
    switch (half->state) {
    case HALF_READING:
        read_head(gate, half);
        break;
    case HALF_DRAINING:
        drain(gate, half);
        break;
    case HALF_FREE:
        break; /* closed earlier in the same batch of events */
    }
}

/* A head that waits in the socket was in time: it is the loop that is late. */
void half_timeout(struct gate *gate, struct half *half)
{
    if (half->state == HALF_READING) {
        read_head(gate, half);
        if (half->state != HALF_READING)
            return;
        gate->counts.timeouts++;
    }
    half_close(gate, half);
}

/* Takes the descriptor. */
void half_open(struct gate *gate, int fd, unsigned listener, const struct sockaddr *peer, bool read_now)
{
    uint64_t address = address_key(gate, peer);
    if (address_count(gate, address) >= gate->config.max_per_address) {
        static const struct gate_verdict too_many = {
            429, "too many connections are being opened from your address"};
        gate_turn_away(gate, fd, listener, too_many);
        return;
    }
    struct half *half = take_free(gate);
    list_remove(&half->link);
    list_append(&gate->reading, &half->link);
    half->state = HALF_READING;
    half->fd = fd;
    half->listener = listener;
    half->have = half->cap = 0;
    half->address = address;
    gate_scan_init(&half->scan);
    address_add(gate, address);
    gate->counts.half_open++;
    wheel_start(&gate->wheel, &half->timer, gate_now(gate) + gate->config.handshake_timeout_ms * NS_PER_MS);
    if (read_now)
        read_head(gate, half);
    else if (!watch(gate, half))
        half_close(gate, half);
}
