#include "endpoint_common.h"

#include <stdlib.h>

#include "host.h"
#include "log.h"
#include "must.h"

static struct endpoint_common *common_of(struct endpoint_commons *commons,
                                         const struct endpoint_dialect *dialect)
{
    for (unsigned i = 0; i < commons->count; i++)
        if (commons->all[i].endpoint.dialect == dialect)
            return &commons->all[i];
    return NULL;
}

static enum err_e common_new(struct endpoint_host *host, const struct endpoint_dialect *dialect,
                             struct endpoint_common **made)
{
    struct endpoint_commons *commons = &host->commons;
    if (commons->count == HOST_DIALECTS_MAX)
        return ERR_FULL;
    struct endpoint_common *common = &commons->all[commons->count];
    *common = (struct endpoint_common){.endpoint = {host, dialect, "", common}};
    if (dialect->shared_bytes > 0) {
        common->shared = calloc(1, dialect->shared_bytes);
        if (common->shared == NULL)
            return ERR_MEMORY;
    }
    commons->count++;
    *made = common;
    return ERR_OK;
}

enum err_e host_join(struct endpoint *endpoint)
{
    MUST(endpoint->dialect != NULL);
    endpoint->common = common_of(&endpoint->host->commons, endpoint->dialect);
    if (endpoint->common != NULL)
        return ERR_OK;
    return common_new(endpoint->host, endpoint->dialect, &endpoint->common);
}

enum err_e host_start(struct endpoint_host *host)
{
    struct endpoint_commons *commons = &host->commons;
    for (unsigned i = 0; i < commons->count; i++) {
        struct endpoint_common *common = &commons->all[i];
        const struct endpoint_dialect *dialect = common->endpoint.dialect;
        enum err_e err = dialect->start != NULL ? dialect->start(&common->endpoint) : ERR_OK;
        if (err != ERR_OK) {
            log_error("dialect", "dialect=%s error=\"%s\"", dialect->name, err_text(err));
            host_stop(host);
            return err;
        }
        common->started = true;
    }
    return ERR_OK;
}

void host_stop(struct endpoint_host *host)
{
    struct endpoint_commons *commons = &host->commons;
    commons->stopped = true;
    store_calls_stop(host);
    for (unsigned i = commons->count; i-- > 0;) {
        struct endpoint_common *common = &commons->all[i];
        survey_give_up(common);
        if (common->started && common->endpoint.dialect->stop != NULL)
            common->endpoint.dialect->stop(&common->endpoint);
        common->started = false;
    }
}

void commons_tick(struct endpoint_commons *commons)
{
    for (unsigned i = 0; i < commons->count; i++) {
        struct endpoint_common *common = &commons->all[i];
        survey_tick(common);
        if (common->started && common->endpoint.dialect->tick != NULL)
            common->endpoint.dialect->tick(&common->endpoint);
    }
}

void commons_fini(struct endpoint_commons *commons)
{
    for (unsigned i = 0; i < commons->count; i++) {
        MUST(!commons->all[i].started);
        free(commons->all[i].shared);
    }
    commons->count = 0;
}

uint64_t host_channels(const struct endpoint_host *host)
{
    uint64_t channels = 0;
    for (unsigned i = 0; i < host->commons.count; i++)
        channels += host->commons.all[i].channels;
    return channels;
}

void host_set_channels_elsewhere(struct endpoint_host *host, uint64_t channels)
{
    host->commons.channels_elsewhere = channels;
}

/* --- of endpoint.h ------------------------------------------------------------------------------------------------------ */

void *endpoint_shared(const struct endpoint *endpoint)
{
    return endpoint->common != NULL ? endpoint->common->shared : NULL;
}

struct endpoint *endpoint_own(const struct endpoint *any, const struct endpoint_dialect *dialect)
{
    struct endpoint_common *common = common_of(&any->host->commons, dialect);
    return common != NULL && common->started ? &common->endpoint : NULL;
}

uint64_t endpoint_channels_elsewhere(const struct endpoint *endpoint)
{
    return endpoint->host->commons.channels_elsewhere;
}

void endpoint_set_channels(struct endpoint *endpoint, uint64_t channels)
{
    MUST(endpoint->common != NULL);
    endpoint->common->channels = channels;
}
