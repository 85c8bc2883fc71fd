/* Hops: C4, R2. See the picture in relay.h.
 *
 * A worker that does not read is not waited for: what has been sent to it since it was last heard is bounded (a worker is heard once a second at
 * least), and beyond that parts are dropped; an answer with a hole is none for its worker. Rejected: parsing arguments and bodies here; both ends check
 * theirs. Rejected: passing bytes on unread, which would spare two copies; then a store could speak for a broker to a worker.
 */
#include "relay.h"

#include "fault_point.h"

#define REPLY_UNHEARD_MAX (64u * 1024u * 1024u) /* all that a worker puts together at once (store_call.h) */

static void refuse(struct broker *broker, const struct peer *worker, uint64_t serial, const char *detail)
{
    struct wire_message reply = {.type = WIRE_STORE_REPLY,
                                 .store_reply = {.worker = worker->incarnation,
                                                 .serial = serial,
                                                 .status = 503,
                                                 .last = true,
                                                 .body = wire_text(detail)}};
    broker_count(broker, BROKER_STORE_REQUESTS_REFUSED);
    broker_send(broker, &worker->identity, &reply);
}

/* NULL: it is handed on. */
static const char *hand_on(struct broker *broker, const struct wire_message *message)
{
    static const char absent[] = "{\"detail\":\"Almacén no disponible\"}";
    static const char busy[] = "{\"detail\":\"Almacén ocupado\"}";
    const struct wire_store_request *request = &message->store_request;
    const struct peer *store = broker->peers.store;
    struct wire_message copy = *message;
    if (store == NULL)
        return absent;
    if (!store_window_take(&broker->store_window, request->worker, request->serial, request->arguments.len,
                           broker_now_ns(broker)))
        return busy;
    enum err_e err = broker_send(broker, &store->identity, &copy);
    if (err == ERR_OK)
        return NULL;
    store_window_give(&broker->store_window, request->worker, request->serial);
    return err == ERR_FULL ? busy : absent;
}

void relay_request(struct broker *broker, struct peer *worker, const struct wire_message *message)
{
    const struct wire_store_request *request = &message->store_request;
    FAULT_POINT(BROKER_REQUEST_RECEIVED);
    if (request->worker != worker->incarnation || request->serial == 0) {
        broker_invalid(broker, message, "a request of another worker");
        return;
    }
    if (store_window_has(&broker->store_window, request->worker, request->serial)) {
        broker_invalid(broker, message, "asked before");
        return;
    }
    const char *refusal = hand_on(broker, message);
    if (refusal != NULL)
        refuse(broker, worker, request->serial, refusal);
    else
        broker_count(broker, BROKER_STORE_REQUESTS);
}

static bool pass_back(struct broker *broker, const struct wire_message *message)
{
    struct peer *worker = peers_worker(&broker->peers, message->store_reply.worker);
    struct wire_message copy = *message;
    if (worker == NULL || worker->unheard_bytes + message->store_reply.body.len > REPLY_UNHEARD_MAX)
        return false;
    worker->unheard_bytes += message->store_reply.body.len;
    return broker_send(broker, &worker->identity, &copy) == ERR_OK;
}

void relay_reply(struct broker *broker, struct peer *store, const struct wire_message *message)
{
    const struct wire_store_reply *reply = &message->store_reply;
    (void)store;
    FAULT_POINT(BROKER_REPLY_RECEIVED);
    if (reply->status < 200 || reply->status > 599 || reply->serial == 0 || reply->offset > UINT32_MAX) {
        broker_invalid(broker, message, "no such answer");
        return;
    }
    if (reply->last)
        store_window_give(&broker->store_window, reply->worker, reply->serial);
    broker_count(broker, pass_back(broker, message) ? BROKER_STORE_REPLIES : BROKER_STORE_REPLIES_LOST);
}

void relay_store_lost(struct broker *broker, uint64_t incarnation)
{
    store_window_clear(&broker->store_window);
    broker_count(broker, BROKER_STORES_LOST);
    for (size_t slot = 0; slot < PEERS_WORKERS; slot++) {
        const struct peer *worker = broker->peers.by_slot[slot];
        struct wire_message message = {.type = WIRE_STORE_LOST, .store_lost = {incarnation}};
        if (worker != NULL)
            broker_send(broker, &worker->identity, &message);
    }
}

void relay_tick(struct broker *broker, uint64_t now_ns)
{
    while (store_window_expire(&broker->store_window, now_ns))
        broker_count(broker, BROKER_STORE_UNANSWERED);
}
