/* Hop: C2. See channels_survey.h. The cursor:
 *
 *     a   256 × the number of the channel that comes next + users of it that were told; 0: the beginning
 *     b   the registry's last number when the survey began
 *     c   0: the row of channel a itself comes first; else the least serial that a user who comes next may have
 */
#include "channels_survey.h"

#include "channels_query.h"
#include "channels_rows.h"

_Static_assert(2 * CHANNEL_NAME_MAX + CHANNELS_USER_MAX + 32 <= ENDPOINT_ROW_MAX,
               "a row fits where one must");
_Static_assert(CHANNELS_USERS_TOLD < 256, "a byte of the cursor");

static bool put_channel(const struct channels_channel *channel, struct endpoint_cursor *cursor,
                        struct out *rows)
{
    const struct channels_row row = {.kind = CHANNELS_ROW_CHANNEL,
                                     .name = channel->name,
                                     .name_len = (uint8_t)channel->len,
                                     .connections = channel->connections};
    if (!channels_rows_put(rows, &row))
        return false;
    cursor->c = 1;
    return true;
}

/* Serials ascend in the list, and begin with 1, so that c is one more than the serial. */
static bool put_users(const struct channels_channel *channel, struct endpoint_cursor *cursor,
                      struct out *rows)
{
    struct channels_row row = {
        .kind = CHANNELS_ROW_USER, .name = channel->name, .name_len = (uint8_t)channel->len};
    LIST_FOREACH (it, &channel->named) {
        const struct channels_user *user = LIST_ENTRY(it, struct channels_user, node);
        if (cursor->a % 256 >= CHANNELS_USERS_TOLD)
            return true;
        if (user->serial < cursor->c)
            continue;
        row.user = user->id;
        row.user_len = user->len;
        row.connected_ms = user->connected_ms;
        if (!channels_rows_put(rows, &row))
            return false;
        cursor->a++;
        cursor->c = user->serial + 1;
    }
    return true;
}

/* False: there is no room for all of it. */
static bool tell(const struct channels_channel *channel, struct endpoint_cursor *cursor, struct out *rows)
{
    if (cursor->a / 256 != channel->born) {
        cursor->a = 256 * channel->born;
        cursor->c = 0;
    }
    if (cursor->c == 0 && !put_channel(channel, cursor, rows))
        return false;
    return put_users(channel, cursor, rows);
}

bool channels_survey_rows(const struct channels_registry *registry, unsigned question,
                          struct endpoint_cursor *cursor, struct out *rows)
{
    if (cursor->a == 0)
        *cursor = (struct endpoint_cursor){256, registry->born, 0};
    const struct channels_channel *channel = channels_registry_next(registry, cursor->a / 256);
    for (; channel != NULL && channel->born <= cursor->b;
         channel = channels_registry_next(registry, channel->born + 1)) {
        bool wanted = question == 0 || channel->word == question;
        if (wanted && !tell(channel, cursor, rows))
            return false;
    }
    return true;
}
