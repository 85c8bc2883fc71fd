/* worker_metrics.h — what a worker counts, in one table; shown in shm/worker.N (stats.h) for `noria stats`, /metrics
 * and tests. Modules count in plain structs; the worker copies them here a few times a second.
 *
 * X(NAME, name, KIND, value) with `w` the worker. */
#pragma once

#include "access.h"
#include "channels_dialect.h"
#include "gate.h"
#include "http.h"
#include "login.h"
#include "rest.h"
#include "sensors.h"
#include "stats.h"
#include "validated.h"

#define WORKER_METRICS(X)                                                                                    \
    X(CONNECTIONS, connections, GAUGE, w->ws ? ws_count(w->ws) : 0)                                          \
    X(OPENED, ws_opened, COUNTER, ws->opened)                                                                \
    X(CLOSED, ws_closed, COUNTER, ws->closed)                                                                \
    X(WS_PEER_CLOSED, ws_peer_closed, COUNTER, ws->peer_closed)                                              \
    X(WS_PEER_GONE, ws_peer_gone, COUNTER, ws->peer_gone)                                                    \
    X(WS_CLOSED_1000, ws_closed_1000, COUNTER, ws->closed_1000)                                              \
    X(WS_CLOSED_1001, ws_closed_1001, COUNTER, ws->closed_1001)                                              \
    X(WS_CLOSED_1002, ws_closed_1002, COUNTER, ws->closed_1002)                                              \
    X(WS_CLOSED_1007, ws_closed_1007, COUNTER, ws->closed_1007)                                              \
    X(WS_CLOSED_1008, ws_closed_1008, COUNTER, ws->closed_1008)                                              \
    X(WS_CLOSED_1009, ws_closed_1009, COUNTER, ws->closed_1009)                                              \
    X(WS_CLOSED_1011, ws_closed_1011, COUNTER, ws->closed_1011)                                              \
    X(WS_CLOSED_1012, ws_closed_1012, COUNTER, ws->closed_1012)                                              \
    X(WS_CLOSED_1013, ws_closed_1013, COUNTER, ws->closed_1013)                                              \
    X(WS_CLOSED_OTHER, ws_closed_other, COUNTER, ws->closed_other)                                           \
    X(TOKENS_EXPIRED, ws_token_expired, COUNTER, w->tokens_expired)                                          \
    X(MESSAGES, ws_messages, COUNTER, ws->messages)                                                          \
    X(BYTES_IN, ws_bytes_in, COUNTER, ws->bytes_in)                                                          \
    X(BYTES_OUT, ws_bytes_out, COUNTER, ws->bytes_out)                                                       \
    X(WRITES, ws_writes, COUNTER, ws->writes)                                                                \
    X(SHORT_WRITES, ws_short_writes, COUNTER, ws->short_writes)                                              \
    X(PINGS, ws_pings, COUNTER, ws->pings)                                                                   \
    X(PING_TIMEOUTS, ws_ping_timeouts, COUNTER, ws->ping_timeouts)                                           \
    X(PROTOCOL_ERRORS, ws_protocol_errors, COUNTER, ws->protocol_errors)                                     \
    X(TOO_LARGE, ws_too_large, COUNTER, ws->too_large)                                                       \
    X(BAD_UTF8, ws_bad_utf8, COUNTER, ws->bad_utf8)                                                          \
    X(OVER_BUDGET, ws_over_budget, COUNTER, ws->over_budget)                                                 \
    X(THROTTLED, ws_throttled, COUNTER, ws->throttled)                                                       \
    X(HELD, ws_held, COUNTER, ws->held)                                                                      \
    X(ADOPT_ERRORS, ws_adopt_errors, COUNTER, ws->adopt_errors)                                              \
    X(GATE_ACCEPTED, gate_accepted, COUNTER, gate->accepted)                                                 \
    X(GATE_UPGRADES, gate_upgrades, COUNTER, gate->upgrades)                                                 \
    X(GATE_PLAIN, gate_plain, COUNTER, gate->plain)                                                          \
    X(GATE_TIMEOUTS, gate_timeouts, COUNTER, gate->timeouts)                                                 \
    X(GATE_ABANDONED, gate_abandoned, COUNTER, gate->abandoned)                                              \
    X(GATE_EVICTED, gate_evicted, COUNTER, gate->evicted)                                                    \
    X(GATE_NO_DESCRIPTORS, gate_no_descriptors, COUNTER, gate->no_descriptors)                               \
    X(GATE_ACCEPT_ERRORS, gate_accept_errors, COUNTER, gate->accept_errors)                                  \
    X(GATE_DOORS_ADDED, gate_doors_added, GAUGE, gate->doors_added)                                          \
    X(GATE_ACCEPTED_ADDED, gate_accepted_added, COUNTER, gate->accepted_added)                               \
    X(GATE_HALF_OPEN, gate_half_open, GAUGE, gate->half_open)                                                \
    X(GATE_400, gate_refused_400, COUNTER, gate->refused_400)                                                \
    X(GATE_403, gate_refused_403, COUNTER, gate->refused_403)                                                \
    X(GATE_404, gate_refused_404, COUNTER, gate->refused_404)                                                \
    X(GATE_405, gate_refused_405, COUNTER, gate->refused_405)                                                \
    X(GATE_413, gate_refused_413, COUNTER, gate->refused_413)                                                \
    X(GATE_426, gate_refused_426, COUNTER, gate->refused_426)                                                \
    X(GATE_429, gate_refused_429, COUNTER, gate->refused_429)                                                \
    X(GATE_431, gate_refused_431, COUNTER, gate->refused_431)                                                \
    X(GATE_503, gate_refused_503, COUNTER, gate->refused_503)                                                \
    X(GATE_505, gate_refused_505, COUNTER, gate->refused_505)                                                \
    X(HTTP_REQUESTS, http_requests, COUNTER, http->requests)                                                 \
    X(HTTP_EXCHANGES, http_exchanges, GAUGE, http->exchanges)                                                \
    X(HTTP_WAITING, http_waiting, GAUGE, http->waiting)                                                      \
    X(HTTP_MEMORY_BYTES, http_memory_bytes, GAUGE, http->memory_bytes)                                       \
    X(HTTP_BYTES_IN, http_bytes_in, COUNTER, http->bytes_in)                                                 \
    X(HTTP_BYTES_OUT, http_bytes_out, COUNTER, http->bytes_out)                                              \
    X(HTTP_ABANDONED, http_abandoned, COUNTER, http->abandoned)                                              \
    X(HTTP_CANCELLED, http_cancelled, COUNTER, http->cancelled)                                              \
    X(HTTP_BODY_TIMEOUTS, http_body_timeouts, COUNTER, http->body_timeouts)                                  \
    X(HTTP_HANDLER_TIMEOUTS, http_handler_timeouts, COUNTER, http->handler_timeouts)                         \
    X(HTTP_WRITE_TIMEOUTS, http_write_timeouts, COUNTER, http->write_timeouts)                               \
    X(HTTP_WRITE_ERRORS, http_write_errors, COUNTER, http->write_errors)                                     \
    X(HTTP_OVER_BUDGET, http_over_budget, COUNTER, http->over_budget)                                        \
    X(HTTP_TURNED_AWAY, http_turned_away, COUNTER, http->turned_away)                                        \
    X(HTTP_EVICTED, http_evicted, COUNTER, http->evicted)                                                    \
    X(REST_READS, rest_reads, COUNTER, rest->reads)                                                          \
    X(REST_COMMANDS, rest_commands, COUNTER, rest->commands)                                                 \
    X(REST_REFUSED, rest_refused, COUNTER, rest->refused)                                                    \
    X(REST_ORPHANED, rest_orphaned, COUNTER, rest->orphaned)                                                 \
    X(REST_UNREADABLE, rest_unreadable, COUNTER, rest->unreadable)                                           \
    X(TOKENS_GRANTED, tokens_granted, COUNTER, access->granted)                                              \
    X(TOKENS_UNKNOWN, tokens_unknown, COUNTER, access->unknown)                                              \
    X(TOKENS_MISSING, tokens_missing, COUNTER, access->missing)                                              \
    X(TOKENS_TOO_LONG, tokens_too_long, COUNTER, access->too_long)                                           \
    X(TOKENS_FAILED, tokens_failed, COUNTER, access->failed)                                                 \
    X(TOKENS_JWT_MALFORMED, tokens_jwt_malformed, COUNTER, access->jwt_malformed)                            \
    X(TOKENS_JWT_HEADER, tokens_jwt_header, COUNTER, access->jwt_header)                                     \
    X(TOKENS_JWT_KEY, tokens_jwt_key, COUNTER, access->jwt_key)                                              \
    X(TOKENS_JWT_ALGORITHM, tokens_jwt_algorithm, COUNTER, access->jwt_algorithm)                            \
    X(TOKENS_JWT_SIGNATURE, tokens_jwt_signature, COUNTER, access->jwt_signature)                            \
    X(TOKENS_JWT_CLAIMS, tokens_jwt_claims, COUNTER, access->jwt_claims)                                     \
    X(TOKENS_JWT_EXPIRED, tokens_jwt_expired, COUNTER, access->jwt_expired)                                  \
    X(TOKENS_JWT_EARLY, tokens_jwt_early, COUNTER, access->jwt_early)                                        \
    X(TOKENS_JWT_ISSUER, tokens_jwt_issuer, COUNTER, access->jwt_issuer)                                     \
    X(TOKENS_JWT_AUDIENCE, tokens_jwt_audience, COUNTER, access->jwt_audience)                               \
    X(TOKENS_JWT_USER, tokens_jwt_user, COUNTER, access->jwt_user)                                           \
    X(LOGINS_GRANTED, logins_granted, COUNTER, login->granted)                                               \
    X(LOGINS_REFUSED, logins_refused, COUNTER, login->refused)                                               \
    X(LOGINS_INVALID, logins_invalid, COUNTER, login->invalid)                                               \
    X(LOGINS_LIMITED, logins_limited, COUNTER, login->limited)                                               \
    X(LOGINS_FULL, logins_full, COUNTER, login->full)                                                        \
    X(LOGINS_FAILED, logins_failed, COUNTER, login->failed)                                                  \
    X(LOGINS_CHECKING, logins_checking, GAUGE, login->checking)                                              \
    X(LOGINS_WAITING, logins_waiting, GAUGE, login->waiting)                                                 \
    X(TAIL_RECORDS, tail_records, COUNTER, host->tail.counts.records)                                        \
    X(TAIL_STATES, tail_states, COUNTER, host->tail.counts.states)                                           \
    X(TAIL_STATES_OLD, tail_states_old, COUNTER, host->tail.counts.states_old)                               \
    X(TAIL_LAPPED, tail_lapped, COUNTER, host->tail.counts.lapped)                                           \
    X(TAIL_CORRUPT, tail_corrupt, COUNTER, host->tail.counts.corrupt)                                        \
    X(TAIL_RESEEDED, tail_reseeded, COUNTER, host->tail.counts.reseeded)                                     \
    X(TAIL_SLOTS_UNREADABLE, tail_slots_unreadable, COUNTER, host->tail.counts.slots_unreadable)             \
    X(TAIL_DAMAGED_WORDS, tail_damaged_words, COUNTER, host->tail.counts.damaged_words)                      \
    X(TAIL_OUT_OF_MEMORY, tail_out_of_memory, COUNTER, host->tail.counts.out_of_memory)                      \
    X(TAIL_PARTS, tail_parts, COUNTER, host->tail.counts.parts)                                              \
    X(TAIL_PARTS_IGNORED, tail_parts_ignored, COUNTER, host->tail.counts.parts_ignored)                      \
    X(MACHINES, machines, GAUGE, host->mirror.present)                                                       \
    X(AUDIENCES, audiences, GAUGE, host->audiences.by_key.count)                                             \
    X(AUDIENCE_APPENDS, audience_appends, COUNTER, host->audiences.appends)                                  \
    X(AUDIENCE_GIVEN_UP, audience_frames_given_up, COUNTER, host->audiences.given_up)                        \
    X(LOG_BYTES, audience_log_bytes, GAUGE, host->audiences.budget.used_bytes)                               \
    X(OUTBOX_WRITES, outbox_writes, COUNTER, host->outbox.counts.writes)                                     \
    X(OUTBOX_BYTES, outbox_bytes, COUNTER, host->outbox.counts.bytes)                                        \
    X(OUTBOX_ROUNDS, outbox_rounds, COUNTER, host->outbox.counts.rounds)                                     \
    X(OUTBOX_SLICES, outbox_slices, COUNTER, host->outbox.counts.slices)                                     \
    X(OUTBOX_LAGS, outbox_lags, COUNTER, host->outbox.counts.lags)                                           \
    X(OUTBOX_LAG_PORTIONS, outbox_lag_portions, COUNTER, host->outbox.counts.lag_portions)                   \
    X(OUTBOX_OWN_BYTES, outbox_own_bytes, GAUGE, host->outbox.counts.own_bytes)                              \
    X(OUTBOX_CLOSED_SLOW, outbox_closed_slow, COUNTER, host->outbox.counts.closed_slow)                      \
    X(CLOSED_SLOW_HARD, closed_slow_hard, COUNTER, host->outbox.counts.closed_hard)                          \
    X(CLOSED_SLOW_SOFT, closed_slow_soft, COUNTER, host->outbox.counts.closed_soft)                          \
    X(CLOSED_SLOW_OWN, closed_slow_own, COUNTER, host->outbox.counts.closed_own)                             \
    X(CLOSED_SLOW_MEMORY, closed_slow_memory, COUNTER, host->outbox.counts.closed_memory)                    \
    X(CLOSED_LOST, closed_lost, COUNTER, host->outbox.counts.closed_lost)                                    \
    X(OUTBOX_REPLAYED, outbox_frames_replayed, COUNTER, host->outbox.counts.frames_replayed)                 \
    X(RECEIVED, received, COUNTER, host->counts.received)                                                    \
    X(COMMANDS, commands, COUNTER, host->counts.commands)                                                    \
    X(COMMANDS_PENDING, commands_pending, GAUGE, host->pending.used)                                         \
    X(COMMANDS_FULL, commands_full, COUNTER, host->counts.commands_full)                                     \
    X(COMMANDS_RESENT, commands_resent, COUNTER, host->counts.commands_resent)                               \
    X(COMMANDS_FAILED_HERE, commands_failed_here, COUNTER, host->counts.commands_failed_here)                \
    X(ANSWERS, answers, COUNTER, host->counts.answers)                                                       \
    X(ANSWERS_REPEATED, answers_repeated, COUNTER, host->counts.answers_repeated)                            \
    X(ANSWERS_WITHOUT_CLIENT, answers_without_client, COUNTER, host->counts.answers_without_client)          \
    X(PUBLISHED, published, COUNTER, host->publishing.counts.published)                                      \
    X(PUBLISH_RESENT, publish_resent, COUNTER, host->publishing.counts.resent)                               \
    X(PUBLISH_FULL, publish_full, COUNTER, host->publishing.counts.full)                                     \
    X(PUBLISH_NO_MEMORY, publish_no_memory, COUNTER, host->publishing.counts.out_of_memory)                  \
    X(PUBLISH_GIVEN_UP, publish_given_up, COUNTER, host->publishing.counts.given_up)                         \
    X(PUBLISH_UNKNOWN, publish_unknown, COUNTER, host->publishing.counts.unknown)                            \
    X(PUBLISH_WINDOW, publish_window, GAUGE, publish_window_count(&host->publishing.window))                 \
    X(PUBLISH_WINDOW_BYTES, publish_window_bytes, GAUGE, host->publishing.window.bytes)                      \
    X(PUBLISH_HELD, publish_held, GAUGE, host->publishing.held_count)                                        \
    X(ENDPOINT_MESSAGES, endpoint_messages, COUNTER, endpoints->received)                                    \
    X(ENDPOINT_ANSWERED, endpoint_answered, COUNTER, endpoints->answered)                                    \
    X(ENDPOINT_REFUSED, endpoint_refused, COUNTER, endpoints->refused)                                       \
    X(ENDPOINT_FAILED, endpoint_failed, COUNTER, endpoints->failed)                                          \
    X(ENDPOINT_UNAVAILABLE, endpoint_unavailable, COUNTER, endpoints->unavailable)                           \
    X(ENDPOINT_SENT, endpoint_sent, COUNTER, endpoints->sent)                                                \
    X(ENDPOINT_PUBLISHED, endpoint_published, COUNTER, endpoints->published)                                 \
    X(ENDPOINT_DEFERRED, endpoint_deferred, COUNTER, endpoints->deferred)                                    \
    X(ENDPOINT_PRESSED, endpoint_pressed, GAUGE, endpoints->pressed)                                         \
    X(ENDPOINT_WAITING_BYTES, endpoint_waiting_bytes, GAUGE, endpoints->waiting_bytes)                       \
    X(ENDPOINT_CLOSED_WAITING, endpoint_closed_waiting, COUNTER, endpoints->closed_waiting)                  \
    X(HANDLER_LINKS, handler_links, GAUGE, pool->links)                                                      \
    X(HANDLER_CONNS, handler_conns, GAUGE, pool->conns)                                                      \
    X(HANDLER_CONNECTS, handler_connects, COUNTER, pool->connects)                                           \
    X(HANDLER_CONNECTS_FAILED, handler_connects_failed, COUNTER, pool->connects_failed)                      \
    X(HANDLER_LINKS_LOST, handler_links_lost, COUNTER, pool->links_lost)                                     \
    X(HANDLER_OPENED, handler_opened, COUNTER, pool->opened)                                                 \
    X(HANDLER_RESUMED, handler_resumed, COUNTER, pool->resumed)                                              \
    X(HANDLER_ANEW, handler_anew, COUNTER, pool->anew)                                                       \
    X(HANDLER_CLOSED, handler_closed, COUNTER, pool->closed)                                                 \
    X(HANDLER_MESSAGES, handler_messages, COUNTER, pool->messages)                                           \
    X(HANDLER_REPLIES, handler_replies, COUNTER, pool->replies)                                              \
    X(HANDLER_FAILED, handler_failed, COUNTER, pool->failed)                                                 \
    X(HANDLER_TIMEOUTS, handler_timeouts, COUNTER, pool->timeouts)                                           \
    X(HANDLER_UNAVAILABLE, handler_unavailable, COUNTER, pool->unavailable)                                  \
    X(HANDLER_ABANDONED, handler_abandoned, COUNTER, pool->abandoned)                                        \
    X(HANDLER_FULL, handler_full, COUNTER, pool->full)                                                       \
    X(HANDLER_LATE, handler_late, COUNTER, pool->late)                                                       \
    X(HANDLER_SENDS, handler_sends, COUNTER, pool->sends)                                                    \
    X(HANDLER_SENDS_LOST, handler_sends_lost, COUNTER, pool->sends_lost)                                     \
    X(HANDLER_PUBLISHES, handler_publishes, COUNTER, pool->publishes)                                        \
    X(HANDLER_PUBLISHES_LOST, handler_publishes_lost, COUNTER, pool->publishes_lost)                         \
    X(HANDLER_CLOSES, handler_closes, COUNTER, pool->closes)                                                 \
    X(HANDLER_THROTTLED, handler_throttled, COUNTER, pool->throttled)                                        \
    X(HANDLER_MALFORMED, handler_malformed, COUNTER, pool->malformed)                                        \
    X(HANDLER_KILLED, handler_killed, COUNTER, pool->killed)                                                 \
    X(HANDLER_WAITING, handler_waiting, GAUGE, pool->waiting)                                                \
    X(HANDLER_WAITING_BYTES, handler_waiting_bytes, GAUGE, pool->waiting_bytes)                              \
    X(CHANNEL_JOINED, channel_joined, COUNTER, channels->joined)                                             \
    X(CHANNEL_REFUSED, channel_refused, COUNTER, channels->refused)                                          \
    X(CHANNEL_STATS, channel_stats_told, COUNTER, channels->stats_told)                                      \
    X(CHANNEL_STATS_HERE, channel_stats_here_only, COUNTER, channels->stats_here_only)                       \
    X(CHANNEL_RESUMED, channel_resumed, COUNTER, channels->resumed)                                          \
    X(CHANNEL_PAGED, channel_paged, COUNTER, channels->paged)                                                \
    X(CHANNEL_PAGES, channel_pages, COUNTER, channels->pages)                                                \
    X(CHANNEL_PAGE_EVENTS, channel_page_events, COUNTER, channels->page_events)                              \
    X(CHANNEL_PAGE_FAILURES, channel_page_failures, COUNTER, channels->page_failures)                        \
    X(CHANNEL_LAPPED, channel_lapped, COUNTER, channels->lapped)                                             \
    X(CHANNEL_GAPS, channel_gaps, COUNTER, channels->gaps)                                                   \
    X(CHANNEL_PINGS, channel_pings, COUNTER, channels->pings)                                                \
    X(CHANNEL_IGNORED, channel_ignored, COUNTER, channels->ignored)                                          \
    X(CHANNEL_BINARY, channel_binary, COUNTER, channels->binary)                                             \
    X(CHANNEL_CONNECTIONS, channel_connections, GAUGE, channels->connections)                                \
    X(CHANNEL_CHANNELS, channels, GAUGE, channels->channels)                                                 \
    X(CHANNEL_USERS, channel_users, GAUGE, channels->users)                                                  \
    X(CHANNEL_PAGING, channel_paging, GAUGE, channels->paging)                                               \
    X(SCRAPES, scrapes, COUNTER, ops->scrapes)                                                               \
    X(SCRAPES_SHARED, scrapes_shared, COUNTER, ops->scrapes_shared)                                          \
    X(SCRAPES_FAILED, scrapes_failed, COUNTER, ops->scrapes_failed)                                          \
    X(SCRAPE_READERS_DROPPED, scrape_readers_dropped, COUNTER, ops->scrape_readers_dropped)                  \
    X(SCRAPE_BYTES, scrape_bytes, GAUGE, ops->scrape_bytes)                                                  \
    X(SCRAPE_US, scrape_us, GAUGE, ops->scrape_us)                                                           \
    X(SCRAPE_STEP_US, scrape_step_us, GAUGE, ops->scrape_step_us)                                            \
    X(DRAINING, draining, GAUGE, w->draining)                                                                \
    X(DRAINED_CLOSED, drained_closed, COUNTER, w->drain.told)                                                \
    X(DRAINED_LATE, drained_late, COUNTER, w->drain.told_late)                                               \
    X(RELOADS, reloads, COUNTER, w->reloads)                                                                 \
    X(RELOAD_CLOSED, reload_closed, COUNTER, w->review_closed)                                               \
    X(CONF_DIGEST, conf_digest, GAUGE, w->conf->digest)                                                      \
    X(GAPS, gaps, COUNTER, host->counts.gaps)                                                                \
    X(SURVEYS, surveys, COUNTER, host->surveys.counts.begun)                                                 \
    X(SURVEYS_FAILED, surveys_failed, COUNTER, host->surveys.counts.failed)                                  \
    X(SURVEY_ROWS, survey_rows, COUNTER, host->surveys.counts.answered)                                      \
    X(SURVEY_UNSENT, survey_unsent, COUNTER, host->surveys.counts.unsent)                                    \
    X(SURVEY_LATE, survey_late, COUNTER, host->surveys.counts.late)                                          \
    X(STORE_ASKED, store_asked, COUNTER, host->store_calls.counts.asked)                                     \
    X(STORE_ANSWERED, store_answered, COUNTER, host->store_calls.counts.answered)                            \
    X(STORE_FULL, store_full, COUNTER, host->store_calls.counts.full)                                        \
    X(STORE_UNAVAILABLE, store_unavailable, COUNTER, host->store_calls.counts.unavailable)                   \
    X(STORE_LOST, store_lost, COUNTER, host->store_calls.counts.lost)                                        \
    X(STORE_TIMEOUTS, store_timeouts, COUNTER, host->store_calls.counts.timeouts)                            \
    X(STORE_STRANGE, store_strange, COUNTER, host->store_calls.counts.strange)                               \
    X(STORE_LATE, store_late, COUNTER, host->store_calls.counts.late)                                        \
    X(STORE_OVER_BUDGET, store_over_budget, COUNTER, host->store_calls.counts.over_budget)                   \
    X(STORE_FORGOTTEN, store_forgotten, COUNTER, host->store_calls.counts.forgotten)                         \
    X(STORE_PENDING, store_pending, GAUGE, host->store_calls.count)                                          \
    X(STORE_PENDING_BYTES, store_pending_bytes, GAUGE, host->store_calls.bytes)                              \
    X(BELLS, bells, COUNTER, w->bells)                                                                       \
    X(BELLS_LOST, bells_lost, COUNTER, w->bells_lost)                                                        \
    X(LINK_UPS, link_ups, COUNTER, link->ups)                                                                \
    X(LINK_DOWNS, link_downs, COUNTER, link->downs)                                                          \
    X(LINK_SENT, link_sent, COUNTER, link->sent)                                                             \
    X(LINK_FULL, link_full, COUNTER, link->full)                                                             \
    X(LINK_MALFORMED, link_malformed, COUNTER, link->malformed)

/* Ages, recorded where they happen. D8, D11: of a reading, since the PLC's answer was readable at the agent, when its record is read, when it is
 * written to the first and to the last client of an audience. C3, R4: since a client's message was read, when its command leaves for the broker,
 * when the answer is with the client's socket. */
#define WORKER_HISTOGRAMS(X)                                                                                 \
    X(HOP_D8, hop_d8_ns)                                                                                     \
    X(HOP_D11_FIRST, hop_d11_first_ns)                                                                       \
    X(HOP_D11_LAST, hop_d11_last_ns)                                                                         \
    X(HOP_C3, hop_c3_ns)                                                                                     \
    X(HOP_R4, hop_r4_ns)

enum worker_metric_e {
#define X(NAME, name, KIND, value) WORKER_##NAME,
    WORKER_METRICS(X)
#undef X
#define X(status, text) WORKER_HTTP_##status,
        HTTP_STATUSES(X)
#undef X
#define X(NAME, name, text) WORKER_FAULT_##NAME,
            VALIDATED_FAULTS(X)
#undef X
#define C(NAME, name) WORKER_SENSORS_##NAME,
                SENSORS_COUNTS(C)
#undef C
#define X(NAME, name) WORKER_##NAME,
                    WORKER_HISTOGRAMS(X)
#undef X
                        WORKER_METRIC_COUNT
};

struct worker;
extern const struct stats_def worker_metric_defs[WORKER_METRIC_COUNT];
void worker_metrics_copy(struct worker *w);
