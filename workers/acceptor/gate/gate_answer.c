/* What a refused client reads: a status line, the headers its status calls for, and one line of text that names what
 * was wrong. The answer fits every fresh socket's buffer, so a short write means a dead peer and is not repeated. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gate_internal.h"
#include "gate_peer.h"

static void count(struct gate_counts *counts, unsigned status)
{
    switch (status) {
#define X(status)                                                                                            \
    case status:                                                                                             \
        counts->refused_##status++;                                                                          \
        break;
        GATE_STATUSES(X)
#undef X
    default:
        break;
    }
}

static void log_refusal(struct gate *gate, int fd, unsigned listener, struct gate_verdict verdict)
{
    char peer[GATE_PEER_MAX];
    uint32_t suppressed;
    if (log_limit_ok(&gate->log_limit, gate_now(gate), 10 * NS_PER_S, 5, &suppressed)) {
        gate_peer_name(fd, peer);
        log_info("gate-refused", "listener=%u peer=%s status=%u reason=\"%s\" suppressed=%u", listener, peer,
                 verdict.status, verdict.reason, suppressed);
    }
}

static const char *extra_headers(unsigned status, bool plain_http)
{
    switch (status) {
    case 405:
        return plain_http ? "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" : "Allow: GET\r\n";
    case 426:
        return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    case 429:
    case 503:
        return "Retry-After: 1\r\n";
    default:
        return "";
    }
}

void gate_answer(struct gate *gate, int fd, unsigned listener, struct gate_verdict verdict)
{
    char text[512];
    count(&gate->counts, verdict.status);
    log_refusal(gate, fd, listener, verdict);
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                       "Cache-Control: no-store\r\nConnection: %s\r\n%s\r\n%s\n",
                       verdict.status, gate_status_text(verdict.status), strlen(verdict.reason) + 1,
                       verdict.status == 426 ? "Upgrade, close" : "close",
                       extra_headers(verdict.status, gate->plain_http[listener]), verdict.reason);
    ssize_t sent = send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(fd, SHUT_WR);
}

/* What has arrived is read first, else the close would reset the connection before the peer has read the answer. */
void gate_turn_away(struct gate *gate, int fd, unsigned listener, struct gate_verdict verdict)
{
    ssize_t got = recv(fd, gate->input, sizeof gate->input, MSG_DONTWAIT);
    (void)got;
    gate_answer(gate, fd, listener, verdict);
    close(fd);
}
