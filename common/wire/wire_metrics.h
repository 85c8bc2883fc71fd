/* wire_metrics.h — the numbers an agent reports with each heartbeat, in this order; the broker shows them in
 * shm/agent.<slot>, because agents do not see shared memory. X(NAME, name, kind as in stats.h). Behind them its latency
 * histograms, in nanoseconds, as wire_histograms.h carries them. X(NAME, name) */
#pragma once

#define WIRE_AGENT_METRICS(X)                                                                                \
    X(POLLS, polls, COUNTER)                 /* status exchanges that gave a reading */                      \
    X(POLL_FAILURES, poll_failures, COUNTER) /* … that did not */                                          \
    X(CONNECTS, connects, COUNTER)           /* TCP connections established */                               \
    X(CONNECT_FAILURES, connect_failures, COUNTER)                                                           \
    X(REPLY_TIMEOUTS, reply_timeouts, COUNTER)                                                               \
    X(BAD_REPLIES, bad_replies, COUNTER) /* bytes nobody asked for, or too many */                           \
    X(STATES_SENT, states_sent, COUNTER) /* births and differences */                                        \
    X(COMMANDS, commands, COUNTER)       /* received */                                                      \
    X(COMMANDS_REFUSED, commands_refused, COUNTER)                                                           \
    X(COMMANDS_WRITTEN, commands_written, COUNTER)       /* bytes went to the PLC */                         \
    X(COMMANDS_REPEATED, commands_repeated, COUNTER)     /* same key again: answered, not written */         \
    X(COMMANDS_RECONCILED, commands_reconciled, COUNTER) /* no reply: a later reading told */                \
    X(COMMANDS_RECOVERED, commands_recovered, COUNTER)   /* a dead predecessor's, answered by this agent */  \
    X(OUTCOMES_SENT, outcomes_sent, COUNTER)                                                                 \
    X(OUTCOMES_RESENT, outcomes_resent, COUNTER)                                                             \
    X(HELLOS, hellos, COUNTER)                   /* accepted by a broker */                                  \
    X(JOURNAL_RECORDS, journal_records, COUNTER) /* safely written */                                        \
    X(JOURNAL_FAILURES, journal_failures, COUNTER)                                                           \
    X(JOURNAL_SYNC_US, journal_sync_us, GAUGE)   /* last fdatasync */                                        \
    X(REARM_NEEDED, rearm_needed, GAUGE)         /* 1: an emergency stop was seen; moves wait for a rearm */ \
    X(EXCHANGE_US, exchange_us, GAUGE)           /* last exchange, first byte written to last byte read */   \
    X(POLL_LAG_US, poll_lag_us, GAUGE)           /* last poll: start against plan */                         \
    X(IMAGE_CONNECTION, image_connection, GAUGE) /* the agent's own image: enum connection_e … */          \
    X(IMAGE_RAW_STATUS, image_raw_status, GAUGE) /* … last reading; 0 before the first */                  \
    X(IMAGE_POSITION, image_position, GAUGE)                                                                 \
    X(READING_WALL_MS, reading_wall_ms,                                                                      \
      GAUGE) /* when that reading was taken, Unix time; 0 before the first */

#define WIRE_AGENT_HISTOGRAMS(X)                                                                             \
    X(PLC_ROUND_TRIP, plc_round_trip_ns) /* first byte written to reply readable */                          \
    X(POLL_LAG, poll_lag_ns)             /* planned poll to its first byte written */                        \
    X(HOP_D5, hop_d5_ns)                 /* reply readable to STATE sent */                                  \
    X(HOP_C5, hop_c5_ns)                 /* client's message read to COMMAND taken; same host only */        \
    X(HOP_C6, hop_c6_ns)                 /* … to its first byte written to the PLC */
