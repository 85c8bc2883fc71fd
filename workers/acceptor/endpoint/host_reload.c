/* A reload and a drain, as the endpoints have them (Hop: C2): dialects prepare and follow one by one, the limits of slow clients change for
 * everybody at once. See host.h. */
#include "host.h"

#include "log.h"
#include "must.h"

static struct endpoint_conn *conn_of(struct client *client)
{
    MUST_MAGIC(client, CLIENT_MAGIC);
    return LIST_ENTRY(client, struct endpoint_conn, client);
}

/* --- reload ---------------------------------------------------------------------------------------------------------- */

void host_reload_abort(struct endpoint_host *host)
{
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (common->prepared)
            common->endpoint.dialect->reload_abort(&common->endpoint);
        common->prepared = false;
    }
}

enum err_e host_reload_prepare(struct endpoint_host *host, const struct conf *next)
{
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (!common->started || common->endpoint.dialect->reload_prepare == NULL)
            continue;
        enum err_e err = common->endpoint.dialect->reload_prepare(&common->endpoint, next);
        if (err != ERR_OK) {
            host_reload_abort(host);
            return err;
        }
        common->prepared = true;
    }
    return ERR_OK;
}

void host_reload_commit(struct endpoint_host *host, const struct conf *next)
{
    host->conf = next;
    host->outbox.limits =
        (struct outbox_limits){next->slow_soft_bytes, next->slow_soft_ms, next->slow_hard_bytes};
    audiences_set_hard_bytes(&host->audiences, next->slow_hard_bytes);
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (common->prepared)
            common->endpoint.dialect->reload_commit(&common->endpoint);
        common->prepared = false;
    }
}

bool host_still_allowed(struct client *client, const char **reason)
{
    struct endpoint_conn *conn = conn_of(client);
    const struct endpoint_dialect *dialect = conn->endpoint->dialect;
    return client->closing || dialect->still_allowed == NULL || dialect->still_allowed(conn, reason);
}

const struct identity *host_identity(const struct client *client)
{
    return conn_of((struct client *)(uintptr_t)client)->identity;
}

/* --- drain ----------------------------------------------------------------------------------------------------------- */

bool host_is_waiting(struct client *client)
{
    struct endpoint_conn *conn = conn_of(client);
    const struct endpoint_dialect *dialect = conn->endpoint->dialect;
    if (client->closing)
        return false;
    return conn->caller.pending > 0 || (dialect->is_waiting != NULL && dialect->is_waiting(conn));
}

bool host_flush(struct client *client)
{
    outbox_flush(&conn_of(client)->endpoint->host->outbox, client);
    return client->closing || !client->choked;
}
