/* metric_texts_small.h — see metric_texts.h: the texts of agents, launcher, its members (process) and store. */
#pragma once

#define METRIC_TEXTS_AGENT(M)                                                                                \
    M(agent, bad_replies, COUNTER, "rises",                                                                  \
      "Replies of the PLC with bytes that nobody asked for, or too many.")                                   \
    M(agent, commands, COUNTER, "", "Commands received.")                                                    \
    M(agent, commands_reconciled, COUNTER, "", "Commands without a reply whose fate a later reading told.")  \
    M(agent, commands_recovered, COUNTER, "", "Commands of a dead predecessor that this agent answered.")    \
    M(agent, commands_refused, COUNTER, "", "Commands refused.")                                             \
    M(agent, commands_repeated, COUNTER, "",                                                                 \
      "Commands with a key that was known: answered, not written again.")                                    \
    M(agent, commands_written, COUNTER, "", "Commands whose bytes went to the PLC.")                         \
    M(agent, connect_failures, COUNTER, "rises", "TCP connections to the PLC that failed.")                  \
    M(agent, connects, COUNTER, "", "TCP connections to the PLC.")                                           \
    M(agent, exchange_us, GAUGE, "", "Last exchange with the PLC: first byte written to last byte read.")    \
    M(agent, hellos, COUNTER, "", "Times that a broker took the agent in.")                                  \
    M(agent, hop_c5_ns, HISTOGRAM, "",                                                                       \
      "From reading a client's message to the agent taking its command (C5); same host only.")               \
    M(agent, hop_c6_ns, HISTOGRAM, "",                                                                       \
      "From reading a client's message to the first byte written to the PLC (C6); same host only.")          \
    M(agent, hop_d5_ns, HISTOGRAM, "",                                                                       \
      "How old a reading is when the agent has sent it to the broker (D5), since the PLC's answer was "      \
      "readable.")                                                                                           \
    M(agent, image_connection, GAUGE, "not 1 for a minute",                                                  \
      "Connection as the agent sees it: 0 disconnected, 1 connected, 2 error, 3 stale.")                     \
    M(agent, image_position, GAUGE, "", "Position of the last reading.")                                     \
    M(agent, image_raw_status, GAUGE, "", "Status byte of the last reading; 0 before the first.")            \
    M(agent, journal_failures, COUNTER, "rises",                                                             \
      "Records that could not be written to the journal: the machine is not moved.")                         \
    M(agent, journal_records, COUNTER, "", "Records safely written to the journal.")                         \
    M(agent, journal_sync_us, GAUGE, "", "Last fdatasync of the journal.")                                   \
    M(agent, outcomes_resent, COUNTER, "", "Outcomes sent again.")                                           \
    M(agent, outcomes_sent, COUNTER, "", "Outcomes sent.")                                                   \
    M(agent, plc_round_trip_ns, HISTOGRAM, "p99 above reply_timeout_ms",                                     \
      "How long the PLC takes to answer: first byte written to reply readable.")                             \
    M(agent, poll_failures, COUNTER, "rises", "Polls of the PLC without a reading.")                         \
    M(agent, poll_lag_ns, HISTOGRAM, "p99 above poll_interval_ms", "How late a poll begins.")                \
    M(agent, poll_lag_us, GAUGE, "", "Last poll: its start against the plan.")                               \
    M(agent, polls, COUNTER, "", "Polls of the PLC that gave a reading.")                                    \
    M(agent, reading_wall_ms, GAUGE, "",                                                                     \
      "When the last reading was made, in ms of Unix time; 0: there was none.")                              \
    M(agent, rearm_needed, GAUGE, "1", "1: an emergency stop was seen; moves wait for a rearm.")             \
    M(agent, reply_timeouts, COUNTER, "rises", "Requests that the PLC did not answer in time.")              \
    M(agent, states_sent, COUNTER, "", "States sent to the broker: births and differences.")

#define METRIC_TEXTS_LAUNCHER(M)                                                                             \
    M(launcher, adoptions, COUNTER, "rises", "Sockets of a worker that was away given to another.")          \
    M(launcher, control_refused, COUNTER, "rises",                                                           \
      "Connections to control.sock refused: of another user, or too many.")                                  \
    M(launcher, control_requests, COUNTER, "", "Requests on control.sock: reload, restart, drain.")          \
    M(launcher, crash_records, COUNTER, "", "Crash records written.")                                        \
    M(launcher, crash_records_failed, COUNTER, "rises", "Crash records that could not be written.")          \
    M(launcher, deaths, COUNTER, "rises", "Ends of processes that nobody had planned, of all members.")      \
    M(launcher, killed, COUNTER, "rises", "Processes that the launcher had to kill.")                        \
    M(launcher, members, GAUGE, "", "Members of the installation.")                                          \
    M(launcher, not_ready, COUNTER, "rises", "Processes killed because they were not ready in time.")        \
    M(launcher, permanent, COUNTER, "rises",                                                                 \
      "Processes that said that starting them again would fail in the same way.")                            \
    M(launcher, planned_ends, COUNTER, "", "Ends that were planned: drain, restart, reload, stop.")          \
    M(launcher, starts, COUNTER, "", "Processes that were started.")

#define METRIC_TEXTS_PROCESS(M)                                                                              \
    M(process, deaths, COUNTER, "rises", "Ends of this member's processes that nobody had planned.")         \
    M(process, last_exit, GAUGE, "",                                                                         \
      "How its last process ended: exit code, or 128 and the signal's number.")                              \
    M(process, leaving, GAUGE, "", "Processes of this member that drain, beside the one that runs.")         \
    M(process, not_ready, COUNTER, "rises",                                                                  \
      "Processes of this member killed because they were not ready in time.")                                \
    M(process, permanent, COUNTER, "1",                                                                      \
      "1: it ended with exit code 78, and starting it again would not help.")                                \
    M(process, pid, GAUGE, "", "Its process; 0: none runs.")                                                 \
    M(process, planned_ends, COUNTER, "", "Ends that were planned: drain, restart, reload, stop.")           \
    M(process, restart_due_wall_ms, GAUGE, "",                                                               \
      "When it is started again, in ms of Unix time; 0: nothing is due.")                                    \
    M(process, started_wall_ms, GAUGE, "", "When its process was started, in ms of Unix time.")              \
    M(process, starts, COUNTER, "", "Processes of this member that were started.")                           \
    M(process, state, GAUGE, "not 2 for a minute",                                                           \
      "State of this member: 0 waiting, 1 starting, 2 ready, 3 resting before its next start, 4 gone for "   \
      "good.")

#define METRIC_TEXTS_STORE(M)                                                                                \
    M(store, anomalies, COUNTER, "", "Anomalies that were detected, or told by machines.")                   \
    M(store, broker_downs, COUNTER, "rises", "Ends of the link to the broker.")                              \
    M(store, broker_ups, COUNTER, "", "Times that the broker took the store in.")                            \
    M(store, commit, HISTOGRAM, "p99 above 1 s", "How long a commit takes: the disk.")                       \
    M(store, conf_digest, GAUGE, "",                                                                         \
      "Digest of the configuration in force; the same in all processes (of 64 bits, which Prometheus "       \
      "rounds).")                                                                                            \
    M(store, delete_turns, COUNTER, "", "Transactions of deletions of many rows, behind the first of each.") \
    M(store, delete_turns_failed, COUNTER, "rises",                                                          \
      "Those of them that failed; tried again a second later.")                                              \
    M(store, deletions, GAUGE, "", "Deletions of many rows under way.")                                      \
    M(store, event_bytes, GAUGE, "", "Bytes of the events' payloads in the database.")                       \
    M(store, event_last, GAUGE, "", "Number of the last committed event.")                                   \
    M(store, event_unpublished, GAUGE, "",                                                                   \
      "Number of the first event that the database does not know as published.")                             \
    M(store, events_acked, COUNTER, "", "Events that the broker acknowledged.")                              \
    M(store, events_again, COUNTER, "rises",                                                                 \
      "Times that acknowledgements did not come and all events were sent again.")                            \
    M(store, events_noted, COUNTER, "", "Acknowledgements that are in the database.")                        \
    M(store, events_put_off, COUNTER, "", "Questions for events that came too early after a start (503).")   \
    M(store, events_sent, COUNTER, "", "Events sent to the broker, repeats among them.")                     \
    M(store, events_unacked, GAUGE, "", "Events sent and not acknowledged.")                                 \
    M(store, events_unsendable, COUNTER, "rises", "Events that the bus does not take; passed over.")         \
    M(store, expire_failed, COUNTER, "rises", "Removals of old rows that failed.")                           \
    M(store, expire_steps, COUNTER, "", "Steps of removing old rows.")                                       \
    M(store, expired, COUNTER, "", "Rows removed because of their age, or of the database's size.")          \
    M(store, file_bytes, GAUGE, "near store.keep_mib, or the disk's size",                                   \
      "Bytes of the database's pages in use.")                                                               \
    M(store, foreign_events, COUNTER, "", "Events of the broker's own in the database.")                     \
    M(store, group_largest, GAUGE, "", "Writes of the largest transaction so far.")                          \
    M(store, groups, COUNTER, "", "Transactions of writes that were committed.")                             \
    M(store, groups_failed, COUNTER, "rises", "Transactions of writes that failed.")                         \
    M(store, held_back, COUNTER, "", "Rounds put off because the broker showed no sign of reading.")         \
    M(store, machine_changes, COUNTER, "", "Changes of machines' conditions handed to the database.")        \
    M(store, malformed, COUNTER, "rises", "Messages of the broker that make no sense.")                      \
    M(store, notes_failed, COUNTER, "rises", "Transactions of acknowledgements that failed.")                \
    M(store, reads, COUNTER, "", "Reading requests.")                                                        \
    M(store, reloads, COUNTER, "", "Configurations put in force since the start.")                           \
    M(store, replies, COUNTER, "", "Answers sent.")                                                          \
    M(store, replies_lost, COUNTER, "rises", "Answers dropped: the broker was away, or did not read.")       \
    M(store, request_to_reply, HISTOGRAM, "", "How long a request takes in the store.")                      \
    M(store, requests, COUNTER, "", "Requests received.")                                                    \
    M(store, requests_late, COUNTER, "rises", "Requests not begun, because their time was over (503).")      \
    M(store, requests_malformed, COUNTER, "rises",                                                           \
      "Requests without an operation or entity that exists (400).")                                          \
    M(store, requests_refused, COUNTER, "rises", "Requests that there was no room to keep (503).")           \
    M(store, requests_waiting, GAUGE, "", "Requests that wait.")                                             \
    M(store, ring_corrupt, COUNTER, "rises", "Records of the ring that were damaged.")                       \
    M(store, ring_lapped, COUNTER, "rises", "Times that the store was overtaken by the ring's writer.")      \
    M(store, ring_records, COUNTER, "", "Records of the ring read.")                                         \
    M(store, ring_seeded, COUNTER, "", "Times that conditions were compared with the last-value table.")     \
    M(store, source_changes, COUNTER, "",                                                                    \
      "Times that the database was taken for another source of events (a backup that was put back).")        \
    M(store, stray_acks, COUNTER, "rises",                                                                   \
      "Acknowledgements of another source, or of nothing that was sent.")                                    \
    M(store, watch_failed, COUNTER, "rises",                                                                 \
      "Transactions of what was read in the ring that failed; they are made again.")                         \
    M(store, writes, COUNTER, "", "Writes that are on the disk.")                                            \
    M(store, writes_failed, COUNTER, "rises", "Writes that failed (5xx); nothing of them is on the disk.")   \
    M(store, writes_refused, COUNTER, "", "Writes refused (4xx); nothing changed.")
