/* Fuzzes the query of an upgrade to a channel. Checked beside memory: what is good is a valid name, valid UTF-8, and within its bounds; what is read
 * does not depend on parameters that nobody knows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channels_query.h"
#include "must.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct channels_query *query, enum channels_query_e found)
{
    MUST(query->user_len <= CHANNELS_USER_MAX && query->since_len <= CHANNELS_SINCE_MAX);
    if (found == CHANNELS_QUERY_NO_CHANNEL)
        return;
    MUST(channel_name_is_valid(query->channel, query->channel_len) &&
         query->channel[query->channel_len] == '\0');
    MUST(found == CHANNELS_QUERY_NO_USER || utf8_is_valid(query->user_id, query->user_len));
    MUST(query->user_id[query->user_len] == '\0' || found == CHANNELS_QUERY_NO_USER);
    MUST(!query->since_bad || query->since_len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channels_query query, again;
    char *text = malloc(size + 16);
    MUST(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    memset(&query, 0xa5, sizeof query);
    enum channels_query_e found = channels_query_parse(text, &query);
    check(&query, found);
    size_t len = strlen(text);
    memcpy(text + len, "&other=x", 9);
    MUST(channels_query_parse(text, &again) == found);
    MUST(memcmp(&query, &again, sizeof query) == 0);
    free(text);
    return 0;
}
