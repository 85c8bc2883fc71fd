/* store_metrics.h — what the store counts, in shm/store (see stats.h): X(NAME, name, KIND). */
#pragma once

#include "stats.h"

#define STORE_METRICS(X)                                                                                     \
    /* requests */                                                                                           \
    X(REQUESTS, requests, COUNTER)                     /* received */                                        \
    X(REQUESTS_MALFORMED, requests_malformed, COUNTER) /* no such operation or entity: answered 400 */       \
    X(REQUESTS_REFUSED, requests_refused, COUNTER)     /* no room to keep one: answered 503 */               \
    X(REQUESTS_LATE, requests_late, COUNTER)           /* their time was over: not begun, answered 503 */    \
    X(REQUESTS_WAITING, requests_waiting, GAUGE)                                                             \
    X(READS, reads, COUNTER)                                                                                 \
    X(EVENTS_PUT_OFF, events_put_off,                                                                        \
      COUNTER)                 /* questions for events that came too early after a start: 503 */             \
    X(WRITES, writes, COUNTER) /* below 400, on the disk */                                                  \
    X(WRITES_REFUSED, writes_refused, COUNTER) /* 4xx: the client's fault, nothing changed */                \
    X(WRITES_FAILED, writes_failed, COUNTER)   /* 5xx: nothing of them is on the disk */                     \
    X(GROUPS, groups, COUNTER)                 /* transactions of writes that were committed */              \
    X(GROUPS_FAILED, groups_failed, COUNTER)   /* … that were not */                                       \
    X(GROUP_LARGEST, group_largest, GAUGE)     /* writes of the largest group so far */                      \
    X(REPLIES, replies, COUNTER)                                                                             \
    X(REPLIES_LOST, replies_lost, COUNTER) /* the broker was away, or did not read */                        \
    X(HELD_BACK, held_back, COUNTER)       /* rounds put off because the broker shows no sign of reading */  \
    X(COMMIT, commit, HISTOGRAM)           /* how long a commit takes */                                     \
    X(REQUEST_TO_REPLY, request_to_reply, HISTOGRAM)                                                         \
    /* events */                                                                                             \
    X(EVENTS_SENT, events_sent, COUNTER)             /* again, too */                                        \
    X(EVENTS_ACKED, events_acked, COUNTER)           /* by the broker */                                     \
    X(EVENTS_NOTED, events_noted, COUNTER)           /* acknowledgements that are in the database */         \
    X(EVENTS_AGAIN, events_again, COUNTER)           /* acknowledgements did not come: all sent once more */ \
    X(EVENTS_UNSENDABLE, events_unsendable, COUNTER) /* no event that the bus takes: passed over */          \
    X(EVENTS_UNACKED, events_unacked, GAUGE)         /* sent, not acknowledged */                            \
    X(EVENT_LAST, event_last, GAUGE)                 /* number of the last committed one */                  \
    X(EVENT_UNPUBLISHED, event_unpublished, GAUGE) /* the first that the database does not know published */ \
    X(NOTES_FAILED, notes_failed, COUNTER)         /* transactions of acknowledgements that failed */        \
    X(SOURCE_CHANGES, source_changes, COUNTER)                                                               \
    X(STRAY_ACKS, stray_acks, COUNTER) /* of another source, or of nothing that was sent */                  \
    /* the ring */                                                                                           \
    X(RING_RECORDS, ring_records, COUNTER) /* read */                                                        \
    X(RING_LAPPED, ring_lapped, COUNTER)                                                                     \
    X(RING_CORRUPT, ring_corrupt, COUNTER)                                                                   \
    X(RING_SEEDED, ring_seeded, COUNTER)         /* conditions were compared with the last-value table */    \
    X(MACHINE_CHANGES, machine_changes, COUNTER) /* of conditions, handed to the database */                 \
    X(FOREIGN_EVENTS, foreign_events, COUNTER)   /* events of the broker's own, in the database */           \
    X(WATCH_FAILED, watch_failed, COUNTER)       /* transactions of what was read: made again later */       \
    /* deletions of many rows */                                                                             \
    X(DELETIONS, deletions, GAUGE)                       /* under way */                                     \
    X(DELETE_TURNS, delete_turns, COUNTER)               /* transactions of them behind the first */         \
    X(DELETE_TURNS_FAILED, delete_turns_failed, COUNTER) /* … tried again a second later */                \
    /* upkeep and the process */                                                                             \
    X(EXPIRE_STEPS, expire_steps, COUNTER)                                                                   \
    X(EXPIRE_FAILED, expire_failed, COUNTER)                                                                 \
    X(EXPIRED, expired, COUNTER)       /* rows that were removed, as of the database */                      \
    X(ANOMALIES, anomalies, COUNTER)   /* that were detected or told by machines */                          \
    X(FILE_BYTES, file_bytes, GAUGE)   /* pages in use */                                                    \
    X(EVENT_BYTES, event_bytes, GAUGE) /* payloads of events */                                              \
    X(BROKER_UPS, broker_ups, COUNTER)                                                                       \
    X(BROKER_DOWNS, broker_downs, COUNTER)                                                                   \
    X(MALFORMED, malformed, COUNTER)   /* messages of the broker that make no sense here */                  \
    X(CONF_DIGEST, conf_digest, GAUGE) /* of the configuration in force */                                   \
    X(RELOADS, reloads, COUNTER)       /* configurations taken over */

enum store_metric_e {
#define X(NAME, name, KIND) STORE_##NAME,
    STORE_METRICS(X)
#undef X
        STORE_METRIC_COUNT
};

extern const struct stats_def store_metric_defs[STORE_METRIC_COUNT];
