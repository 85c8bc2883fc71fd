/* channels_stats.h — who is connected to which channel, over all workers: for REST (Hop: C2).
 *
 *     channels_stats ─▶ waits ─▶ a survey of all workers, one for everybody who waits ─▶ done(status, body)
 *
 * Bodies are JSON, ready for the client:
 *
 *     every channel     {"total_channels":2,"channels":{"general":{"connections":2,"users":[{"user_id","connected_at"}]},…}}
 *                       those with a connection, by name
 *     one               {"channel":"sensors","stats":{"connections":1,"users":[…]}}      nobody there: 0 and []
 *
 * `connections` is exact: each connection that was there from the question to the answer is counted once. `users` are the first 100 by the time
 * at which they came, of those that have a name. A worker that does not answer in time makes a 503, never a wrong number. The same numbers
 * as a client's channel_stats.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

#define CHANNELS_STATS_WAITING_MAX 1024u
#define CHANNELS_STATS_BODY_MAX    (16u * 1024u * 1024u)

/* 200; 503 with {"detail": …}. The body is good during the call. */
typedef void channels_stats_f(void *arg, unsigned status, const char *body, size_t len);

/* `endpoint`: any of this process. `channel` NULL: every channel; else a name for which channel_name_is_valid(). Whoever asks sees to it that the
 * client may (GRANT_CHANNELS: that channel, or everything for all of them).
 * ERR_OK: `done` is called exactly once, later, unless channels_stats_forget() comes first; *ticket is never 0. ERR_FULL: too many wait;
 * ERR_NOT_FOUND: nobody speaks `channels` in this process, or it ends; ERR_MEMORY. */
enum err_e channels_stats(const struct endpoint *endpoint, const char *channel, size_t len,
                          channels_stats_f *done, void *arg, uint64_t *ticket);

/* Nobody waits for it any more. Nothing if it is answered already. */
void channels_stats_forget(const struct endpoint *endpoint, uint64_t ticket);
