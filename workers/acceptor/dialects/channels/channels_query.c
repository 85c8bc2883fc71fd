/* Hop: C2. See channels_query.h. */
#include "channels_query.h"

#include <string.h>

#include "http_path.h"
#include "utf8.h"

static enum channels_query_e take_channel(const char *text, struct channels_query *query)
{
    enum err_e err = http_query_find(text, "channel", query->channel, sizeof query->channel);
    if (err == ERR_NOT_FOUND || (err == ERR_OK && query->channel[0] == '\0'))
        memcpy(query->channel, CHANNEL_GENERAL, sizeof CHANNEL_GENERAL);
    else if (err != ERR_OK)
        return CHANNELS_QUERY_NO_CHANNEL;
    query->channel_len = strlen(query->channel);
    return channel_name_is_valid(query->channel, query->channel_len) ? CHANNELS_QUERY_GOOD
                                                                     : CHANNELS_QUERY_NO_CHANNEL;
}

static enum channels_query_e take_user(const char *text, struct channels_query *query)
{
    enum err_e err = http_query_find(text, "user_id", query->user_id, sizeof query->user_id);
    if (err == ERR_NOT_FOUND)
        return CHANNELS_QUERY_GOOD;
    query->user_len = err == ERR_OK ? strlen(query->user_id) : 0;
    return err == ERR_OK && utf8_is_valid(query->user_id, query->user_len) ? CHANNELS_QUERY_GOOD
                                                                           : CHANNELS_QUERY_NO_USER;
}

static void take_since(const char *text, struct channels_query *query)
{
    enum err_e err = http_query_find(text, "since", query->since, sizeof query->since);
    query->since_bad = err != ERR_OK && err != ERR_NOT_FOUND;
    query->since_len = err == ERR_OK ? strlen(query->since) : 0;
}

enum channels_query_e channels_query_parse(const char *text, struct channels_query *query)
{
    memset(query, 0, sizeof *query);
    enum channels_query_e found = take_channel(text, query);
    if (found == CHANNELS_QUERY_GOOD)
        found = take_user(text, query);
    take_since(text, query);
    return found;
}
