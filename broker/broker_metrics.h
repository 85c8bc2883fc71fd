/* broker_metrics.h — what the broker counts, in shm/broker (see stats.h): X(NAME, name, KIND). One list gives the
 * numbers, the names and, by static_assert, the agreement of its two runs with the tables of wire.h and command.h. */
#pragma once

#include "command.h"
#include "stats.h"
#include "wire.h"

#define BROKER_METRICS(X)                                                                                    \
    /* D6: what came in. MESSAGES_* in the order of WIRE_MESSAGE_TABLE */                                    \
    X(MESSAGES_HELLO, messages_hello, COUNTER)                                                               \
    X(MESSAGES_HELLO_OK, messages_hello_ok, COUNTER)                                                         \
    X(MESSAGES_RE_HELLO, messages_re_hello, COUNTER)                                                         \
    X(MESSAGES_REFUSED, messages_refused, COUNTER)                                                           \
    X(MESSAGES_HEARTBEAT, messages_heartbeat, COUNTER)                                                       \
    X(MESSAGES_STATE, messages_state, COUNTER)                                                               \
    X(MESSAGES_COMMAND, messages_command, COUNTER)                                                           \
    X(MESSAGES_OUTCOME, messages_outcome, COUNTER)                                                           \
    X(MESSAGES_OUTCOME_ACK, messages_outcome_ack, COUNTER)                                                   \
    X(MESSAGES_GOODBYE, messages_goodbye, COUNTER)                                                           \
    X(MESSAGES_PUBLISH, messages_publish, COUNTER)                                                           \
    X(MESSAGES_SURVEY, messages_survey, COUNTER)                                                             \
    X(MESSAGES_SURVEY_WORKERS, messages_survey_workers, COUNTER)                                             \
    X(MESSAGES_SURVEY_ASK, messages_survey_ask, COUNTER)                                                     \
    X(MESSAGES_SURVEY_ROWS, messages_survey_rows, COUNTER)                                                   \
    X(MESSAGES_STORE_REQUEST, messages_store_request, COUNTER)                                               \
    X(MESSAGES_STORE_REPLY, messages_store_reply, COUNTER)                                                   \
    X(MESSAGES_STORE_LOST, messages_store_lost, COUNTER)                                                     \
    X(MESSAGES_SOURCE, messages_source, COUNTER)                                                             \
    X(MESSAGES_EVENT, messages_event, COUNTER)                                                               \
    X(MESSAGES_EVENT_ACK, messages_event_ack, COUNTER)                                                       \
    X(MALFORMED, malformed, COUNTER) /* bytes that are no message */                                         \
    X(INVALID, invalid, COUNTER)     /* a message whose fields make no sense, or from the wrong role */      \
    X(UNKNOWN_PEER, unknown_peer, COUNTER) /* from somebody who has not said HELLO */                        \
    X(OTHER_GEN, other_gen, COUNTER)       /* meant for a broker that is dead */                             \
    X(BATCHES, batches, COUNTER)           /* rounds of ingest */                                            \
    /* peers */                                                                                              \
    X(HELLOS_ACCEPTED, hellos_accepted, COUNTER)                                                             \
    X(HELLOS_REFUSED, hellos_refused, COUNTER)                                                               \
    X(HELLOS_ELSEWHERE, hellos_elsewhere, COUNTER) /* agents that were told another PLC: not answered */     \
    X(RE_HELLOS, re_hellos, COUNTER)               /* sent */                                                \
    X(RE_HELLOS_SUPPRESSED, re_hellos_suppressed, COUNTER) /* not sent: the same peer got one just now */    \
    X(AGENTS_REPLACED, agents_replaced, COUNTER)                                                             \
    X(PEERS_CLOSED, peers_closed, COUNTER) /* their connection ended */                                      \
    X(PEERS_SILENT, peers_silent, COUNTER) /* no message for 3 s */                                          \
    X(GOODBYES, goodbyes, COUNTER)                                                                           \
    X(SEND_FULL, send_full, COUNTER)       /* a peer does not read: message dropped */                       \
    X(SEND_NO_PEER, send_no_peer, COUNTER) /* a peer's connection was gone already */                        \
    X(SURVEYS, surveys, COUNTER)                                                                             \
    X(SURVEYS_INCOMPLETE, surveys_incomplete, COUNTER) /* a worker lives and is not introduced */            \
    X(SURVEY_ASKS, survey_asks, COUNTER)               /* passed on */                                       \
    X(SURVEY_ROWS, survey_rows, COUNTER)               /* passed on */                                       \
    X(SURVEY_UNANSWERED, survey_unanswered, COUNTER)   /* asked of a worker that is gone or does not read */ \
    X(SURVEY_ROWS_LOST, survey_rows_lost, COUNTER)     /* … for such a one */                              \
    /* the store */                                                                                          \
    X(STORE_REQUESTS, store_requests, COUNTER)                 /* handed on */                               \
    X(STORE_REQUESTS_REFUSED, store_requests_refused, COUNTER) /* answered 503 here */                       \
    X(STORE_REPLIES, store_replies, COUNTER)                   /* parts of answers, passed on */             \
    X(STORE_REPLIES_LOST, store_replies_lost, COUNTER) /* … for a worker that is gone or does not read */  \
    X(STORE_UNANSWERED, store_unanswered, COUNTER)     /* in a minute: not waited for any more */            \
    X(STORES_LOST, stores_lost, COUNTER)               /* it left, or began anew */                          \
    X(STORES, stores, GAUGE)                           /* introduced: 0 or 1 */                              \
    X(STORE_OPEN, store_open, GAUGE)                   /* requests that it has not answered */               \
    X(STORE_OPEN_BYTES, store_open_bytes, GAUGE)                                                             \
    X(WORKERS, workers, GAUGE)                                                                               \
    X(AGENTS, agents, GAUGE)                                                                                 \
    X(TOOLS, tools, GAUGE)                                                                                   \
    X(BELL_WORKERS, bell_workers, GAUGE) /* workers that can be woken */                                     \
    /* D7: what went out */                                                                                  \
    X(STATES_PUBLISHED, states_published, COUNTER)                                                           \
    X(STATES_UNCHANGED, states_unchanged, COUNTER) /* nothing that a client would see */                     \
    X(STATES_OLD, states_old, COUNTER)             /* not newer than the one before */                       \
    X(STATES_RESTORED, states_restored, COUNTER)   /* published again at start */                            \
    X(STALE, stale, COUNTER)                       /* machines that turned stale */                          \
    X(DISCONNECTED, disconnected, COUNTER)         /* machines that turned disconnected */                   \
    X(ALARM_EVENTS, alarm_events, COUNTER)                                                                   \
    X(MACHINE_EVENTS, machine_events, COUNTER)   /* machine_added, machine_removed */                        \
    X(BRIDGED, bridged, COUNTER)                 /* copies of what machines said, for streams */             \
    X(STREAM_MESSAGES, stream_messages, COUNTER) /* of clients and handlers, public */                       \
    X(STREAM_PARTS, stream_parts, COUNTER)       /* records that they took */                                \
    X(STREAM_REPEATS, stream_repeats, COUNTER)   /* public already: dropped */                               \
    X(STREAM_GAPS, stream_gaps, COUNTER)         /* a worker's numbers jumped: one before made no sense */   \
    X(CHANNEL_EVENTS, channel_events, COUNTER)   /* of the store, public */                                  \
    X(EVENT_REPEATS, event_repeats, COUNTER)     /* public already: only acknowledged */                     \
    X(EVENT_GAPS, event_gaps, COUNTER)           /* its numbers jumped */                                    \
    X(EVENT_FLOORS, event_floors, COUNTER)       /* last numbers said again, before they were overwritten */ \
    X(SYSTEM_EVENTS, system_events, COUNTER)     /* the broker's own */                                      \
    X(APPENDS_FAILED, appends_failed, COUNTER)                                                               \
    X(PUTS_FAILED, puts_failed, COUNTER)   /* last-value slots that could not be written */                  \
    X(SLOTS_SWEPT, slots_swept, COUNTER)   /* files of killed workers, taken away */                         \
    X(HEALED_WORDS, healed_words, COUNTER) /* of ring and table headers, changed by nobody of us */          \
    X(HEALED_SLOTS, healed_slots, COUNTER) /* last-value slots, likewise */                                  \
    X(BELLS, bells, COUNTER)               /* somebody slept and was woken */                                \
    X(BELLS_SPARED, bells_spared, COUNTER) /* nobody slept */                                                \
    X(HOP_D6, hop_d6_ns, HISTOGRAM)        /* PLC's answer readable to STATE taken up; same host only */     \
    X(HOP_D7, hop_d7_ns, HISTOGRAM)        /* … to record visible */                                       \
    /* C4: commands */                                                                                       \
    X(HOP_C4, hop_c4_ns, HISTOGRAM) /* client's message read to COMMAND taken up; same host only */          \
    X(HOP_R2, hop_r2_ns, HISTOGRAM) /* … to its result or refusal visible */                               \
    X(COMMANDS_HANDED, commands_handed, COUNTER)     /* to an agent */                                       \
    X(COMMANDS_HELD, commands_held, COUNTER)         /* had to wait for an agent to come back */             \
    X(COMMANDS_REPEATED, commands_repeated, COUNTER) /* a key that is known already */                       \
    X(COMMANDS_AGAIN, commands_again, COUNTER)       /* handed again to the same agent after a reconnect */  \
    X(COMMANDS_PASSED_ON, commands_passed_on,                                                                \
      COUNTER) /* handed over to a process that is gone: now to its successor */                             \
    X(COMMANDS_LIVE, commands_live, GAUGE)                                                                   \
    /* refusals that callers were given, in the order of COMMAND_CODE_TABLE */                               \
    X(REFUSALS_NONE, refusals_none, COUNTER)                                                                 \
    X(REFUSALS_MACHINE_NOT_FOUND, refusals_machine_not_found, COUNTER)                                       \
    X(REFUSALS_INVALID_COMMAND, refusals_invalid_command, COUNTER)                                           \
    X(REFUSALS_CONNECTION_ERROR, refusals_connection_error, COUNTER)                                         \
    X(REFUSALS_BUSY, refusals_busy, COUNTER)                                                                 \
    X(REFUSALS_INVALID_MESSAGE_FORMAT, refusals_invalid_message_format, COUNTER)                             \
    X(REFUSALS_INTERLOCK, refusals_interlock, COUNTER)                                                       \
    X(REFUSALS_TIMEOUT, refusals_timeout, COUNTER)                                                           \
    X(REFUSALS_OUTCOME_UNKNOWN, refusals_outcome_unknown, COUNTER)                                           \
    X(REFUSALS_UNAUTHORIZED, refusals_unauthorized, COUNTER)                                                 \
    X(REFUSALS_FORBIDDEN, refusals_forbidden, COUNTER)                                                       \
    X(REFUSALS_RATE_LIMITED, refusals_rate_limited, COUNTER)                                                 \
    X(REFUSALS_INTERNAL_ERROR, refusals_internal_error, COUNTER)                                             \
    /* R2: outcomes */                                                                                       \
    X(OUTCOMES_RESULTS, outcomes_results, COUNTER) /* RESULT records to subscribers */                       \
    X(OUTCOMES_COMPLETIONS, outcomes_completions, COUNTER)                                                   \
    X(OUTCOMES_FOR_ONE, outcomes_for_one, COUNTER)   /* repeats of a request's answer, to another asker */   \
    X(OUTCOMES_REPEATED, outcomes_repeated, COUNTER) /* published already: only acknowledged */              \
    X(OUTCOMES_LATE, outcomes_late, COUNTER)         /* for a command that had its answer */                 \
    X(OUTCOMES_UNASKED, outcomes_unasked, COUNTER)   /* for a command that this broker never saw */          \
    X(OUTCOMES_TO_TOOLS, outcomes_to_tools, COUNTER) /* by the bus */                                        \
    X(OUTCOMES_GAPS, outcomes_gaps, COUNTER)         /* an agent's numbers jumped */                         \
    /* the broker itself */                                                                                  \
    X(RING_CONTINUED, ring_continued, GAUGE)                                                                 \
    X(RESTORE_US, restore_us, GAUGE) /* reading the ring at start */                                         \
    X(RESTORE_RECORDS, restore_records, GAUGE)                                                               \
    X(CONF_DIGEST, conf_digest, GAUGE)             /* of the configuration in force */                       \
    X(RELOADS, reloads, COUNTER)                   /* others that were put in force since the start */       \
    X(RELOAD_PREPARE_US, reload_prepare_us, GAUGE) /* how long the last one held the loop: prepared … */   \
    X(RELOAD_US, reload_us, GAUGE)                 /* … and put in force */                                \
    X(STALLS, stalls, COUNTER) /* the janitor's tick came late: nobody is judged for a second */             \
    X(MACHINES, machines, GAUGE)

enum broker_metric_e {
#define X(NAME, name, KIND) BROKER_##NAME,
    BROKER_METRICS(X)
#undef X
        BROKER_METRIC_COUNT
};

#define X(number, NAME, name, direction, size, since)                                                        \
    _Static_assert((int)BROKER_MESSAGES_##NAME == (int)BROKER_MESSAGES_HELLO + (number)-1, "order of "       \
                                                                                           "wire.h");
WIRE_MESSAGE_TABLE(X)
#undef X

#define X(name, text)                                                                                        \
    _Static_assert((int)BROKER_REFUSALS_##name == (int)BROKER_REFUSALS_NONE + (int)CODE_##name,              \
                   "order of command.h");
COMMAND_CODE_TABLE(X)
#undef X

extern const struct stats_def broker_metric_defs[BROKER_METRIC_COUNT];
