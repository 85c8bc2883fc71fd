/* metric_texts_broker.h — see metric_texts.h: the texts of what the broker counts. */
#pragma once

#define METRIC_TEXTS_BROKER(M)                                                                               \
    M(broker, agents, GAUGE, "", "Agents that are introduced.")                                              \
    M(broker, agents_replaced, COUNTER, "", "Agents whose place another process of the same machine took.")  \
    M(broker, alarm_events, COUNTER, "", "Events of alarms that began or ended.")                            \
    M(broker, appends_failed, COUNTER, "rises", "Records that could not be appended to the ring.")           \
    M(broker, batches, COUNTER, "", "Rounds of taking messages in.")                                         \
    M(broker, bell_workers, GAUGE, "", "Workers that can be woken.")                                         \
    M(broker, bells, COUNTER, "", "Wake-ups of sleeping workers.")                                           \
    M(broker, bells_spared, COUNTER, "", "Publications at which nobody slept.")                              \
    M(broker, bridged, COUNTER, "", "Copies of what machines said, for streams.")                            \
    M(broker, channel_events, COUNTER, "", "Events of the store made public.")                               \
    M(broker, commands_again, COUNTER, "", "Commands handed again to the same agent after a reconnect.")     \
    M(broker, commands_handed, COUNTER, "", "Commands handed to an agent.")                                  \
    M(broker, commands_held, COUNTER, "", "Commands that had to wait for an agent to come back.")            \
    M(broker, commands_live, GAUGE, "", "Commands that have not ended.")                                     \
    M(broker, commands_passed_on, COUNTER, "",                                                               \
      "Commands handed to the successor of a process that had them.")                                        \
    M(broker, commands_repeated, COUNTER, "",                                                                \
      "Commands with a key that is known already: answered, not handed on again.")                           \
    M(broker, conf_digest, GAUGE, "",                                                                        \
      "Digest of the configuration in force; the same in all processes (of 64 bits, which Prometheus "       \
      "rounds).")                                                                                            \
    M(broker, disconnected, COUNTER, "rises", "Machines that turned disconnected.")                          \
    M(broker, event_floors, COUNTER, "",                                                                     \
      "Last numbers of events said again in the ring, before they were overwritten.")                        \
    M(broker, event_gaps, COUNTER, "rises", "Jumps in the numbers of the store's events.")                   \
    M(broker, event_repeats, COUNTER, "",                                                                    \
      "Events of the store that were public already; only acknowledged.")                                    \
    M(broker, goodbyes, COUNTER, "", "Peers that left as they should.")                                      \
    M(broker, healed_slots, COUNTER, "rises",                                                                \
      "Slots of the last-value table that somebody had changed, put right.")                                 \
    M(broker, healed_words, COUNTER, "rises",                                                                \
      "Words of the headers of ring and table that somebody had changed, put right.")                        \
    M(broker, hellos_accepted, COUNTER, "", "Peers taken in.")                                               \
    M(broker, hellos_elsewhere, COUNTER, "rises",                                                            \
      "Agents that were told another PLC than the configuration in force says; not answered.")               \
    M(broker, hellos_refused, COUNTER, "rises",                                                              \
      "Peers refused: unknown machine, another version, no place.")                                          \
    M(broker, hop_c4_ns, HISTOGRAM, "",                                                                      \
      "From reading a client's message to the broker taking its command up (C4); same host only.")           \
    M(broker, hop_d6_ns, HISTOGRAM, "",                                                                      \
      "How old a reading is when the broker takes it up (D6), since the PLC's answer was readable; same "    \
      "host only.")                                                                                          \
    M(broker, hop_d7_ns, HISTOGRAM, "p99 above 100 ms",                                                      \
      "How old a reading is when its record is visible in the ring (D7), since the PLC's answer was "        \
      "readable; same host only.")                                                                           \
    M(broker, hop_r2_ns, HISTOGRAM, "",                                                                      \
      "From reading a client's message to its result, or refusal, being visible in the ring (R2); same "     \
      "host only.")                                                                                          \
    M(broker, invalid, COUNTER, "rises",                                                                     \
      "Messages whose fields make no sense, or that came from the wrong role.")                              \
    M(broker, machine_events, COUNTER, "", "Events of machines added and removed.")                          \
    M(broker, machines, GAUGE, "", "Machines of the configuration in force.")                                \
    M(broker, malformed, COUNTER, "rises", "Bytes from peers that are no message.")                          \
    M(broker, messages_command, COUNTER, "", "Messages COMMAND on the bus (common/wire/WIRE.md).")           \
    M(broker, messages_event, COUNTER, "", "Messages EVENT on the bus (common/wire/WIRE.md).")               \
    M(broker, messages_event_ack, COUNTER, "", "Messages EVENT_ACK on the bus (common/wire/WIRE.md).")       \
    M(broker, messages_goodbye, COUNTER, "", "Messages GOODBYE on the bus (common/wire/WIRE.md).")           \
    M(broker, messages_heartbeat, COUNTER, "", "Messages HEARTBEAT on the bus (common/wire/WIRE.md).")       \
    M(broker, messages_hello, COUNTER, "", "Messages HELLO on the bus (common/wire/WIRE.md).")               \
    M(broker, messages_hello_ok, COUNTER, "", "Messages HELLO_OK on the bus (common/wire/WIRE.md).")         \
    M(broker, messages_outcome, COUNTER, "", "Messages OUTCOME on the bus (common/wire/WIRE.md).")           \
    M(broker, messages_outcome_ack, COUNTER, "", "Messages OUTCOME_ACK on the bus (common/wire/WIRE.md).")   \
    M(broker, messages_publish, COUNTER, "", "Messages PUBLISH on the bus (common/wire/WIRE.md).")           \
    M(broker, messages_re_hello, COUNTER, "", "Messages RE_HELLO on the bus (common/wire/WIRE.md).")         \
    M(broker, messages_refused, COUNTER, "", "Messages REFUSED on the bus (common/wire/WIRE.md).")           \
    M(broker, messages_source, COUNTER, "", "Messages SOURCE on the bus (common/wire/WIRE.md).")             \
    M(broker, messages_state, COUNTER, "", "Messages STATE on the bus (common/wire/WIRE.md).")               \
    M(broker, messages_store_lost, COUNTER, "", "Messages STORE_LOST on the bus (common/wire/WIRE.md).")     \
    M(broker, messages_store_reply, COUNTER, "", "Messages STORE_REPLY on the bus (common/wire/WIRE.md).")   \
    M(broker, messages_store_request, COUNTER, "",                                                           \
      "Messages STORE_REQUEST on the bus (common/wire/WIRE.md).")                                            \
    M(broker, messages_survey, COUNTER, "", "Messages SURVEY on the bus (common/wire/WIRE.md).")             \
    M(broker, messages_survey_ask, COUNTER, "", "Messages SURVEY_ASK on the bus (common/wire/WIRE.md).")     \
    M(broker, messages_survey_rows, COUNTER, "", "Messages SURVEY_ROWS on the bus (common/wire/WIRE.md).")   \
    M(broker, messages_survey_workers, COUNTER, "",                                                          \
      "Messages SURVEY_WORKERS on the bus (common/wire/WIRE.md).")                                           \
    M(broker, other_gen, COUNTER, "", "Messages meant for a broker that is dead; dropped.")                  \
    M(broker, outcomes_completions, COUNTER, "", "Completions of moves made public.")                        \
    M(broker, outcomes_for_one, COUNTER, "", "Repeats of an answer, to another who asked the same.")         \
    M(broker, outcomes_gaps, COUNTER, "rises", "Jumps in the numbers of an agent's outcomes.")               \
    M(broker, outcomes_late, COUNTER, "", "Outcomes of commands that had their answer already.")             \
    M(broker, outcomes_repeated, COUNTER, "", "Outcomes that were public already; only acknowledged.")       \
    M(broker, outcomes_results, COUNTER, "", "Results of commands made public.")                             \
    M(broker, outcomes_to_tools, COUNTER, "", "Outcomes sent to tools (noria rearm).")                       \
    M(broker, outcomes_unasked, COUNTER, "", "Outcomes of commands that this broker never saw.")             \
    M(broker, peers_closed, COUNTER, "", "Peers whose connection ended.")                                    \
    M(broker, peers_silent, COUNTER, "rises", "Peers dropped because they said nothing for 3 s.")            \
    M(broker, puts_failed, COUNTER, "rises", "Slots of the last-value table that could not be written.")     \
    M(broker, re_hellos, COUNTER, "", "Peers asked to introduce themselves again.")                          \
    M(broker, re_hellos_suppressed, COUNTER, "",                                                             \
      "Peers not asked to introduce themselves again, because they were just now.")                          \
    M(broker, refusals_busy, COUNTER, "", "Commands answered BUSY: machine is busy.")                        \
    M(broker, refusals_connection_error, COUNTER, "",                                                        \
      "Commands answered CONNECTION_ERROR: no connection to the PLC.")                                       \
    M(broker, refusals_forbidden, COUNTER, "", "Commands answered FORBIDDEN: forbidden.")                    \
    M(broker, refusals_interlock, COUNTER, "", "Commands answered INTERLOCK: interlock.")                    \
    M(broker, refusals_internal_error, COUNTER, "rises",                                                     \
      "Commands answered INTERNAL_ERROR: internal error.")                                                   \
    M(broker, refusals_invalid_command, COUNTER, "", "Commands answered INVALID_COMMAND: invalid command.")  \
    M(broker, refusals_invalid_message_format, COUNTER, "",                                                  \
      "Commands answered INVALID_MESSAGE_FORMAT: invalid message format.")                                   \
    M(broker, refusals_machine_not_found, COUNTER, "",                                                       \
      "Commands answered MACHINE_NOT_FOUND: machine not found.")                                             \
    M(broker, refusals_none, COUNTER, "", "Answers to commands without a refusal; always 0.")                \
    M(broker, refusals_outcome_unknown, COUNTER, "rises",                                                    \
      "Commands answered OUTCOME_UNKNOWN: the command was sent; whether it was carried out is unknown.")     \
    M(broker, refusals_rate_limited, COUNTER, "", "Commands answered RATE_LIMITED: rate limited.")           \
    M(broker, refusals_timeout, COUNTER, "",                                                                 \
      "Commands answered TIMEOUT: deadline passed before the command was sent.")                             \
    M(broker, refusals_unauthorized, COUNTER, "", "Commands answered UNAUTHORIZED: unauthorized.")           \
    M(broker, reload_prepare_us, GAUGE, "",                                                                  \
      "How long reading and checking the last new configuration took, beside the loop.")                     \
    M(broker, reload_us, GAUGE, "above 100000", "How long putting the last one in force held the loop.")     \
    M(broker, reloads, COUNTER, "", "Configurations put in force since the start.")                          \
    M(broker, restore_records, GAUGE, "", "Records read from the ring at start.")                            \
    M(broker, restore_us, GAUGE, "", "How long reading the ring at start took.")                             \
    M(broker, ring_continued, GAUGE, "", "1: the ring of a broker before is continued, 0: it is new.")       \
    M(broker, send_full, COUNTER, "rises", "Messages dropped because a peer does not read.")                 \
    M(broker, send_no_peer, COUNTER, "", "Messages dropped because the peer's connection was gone.")         \
    M(broker, slots_swept, COUNTER, "", "Segments of killed workers that were taken away.")                  \
    M(broker, stale, COUNTER, "rises", "Machines that turned stale.")                                        \
    M(broker, stalls, COUNTER, "rises", "Times that the broker itself stood still: its tick came late.")     \
    M(broker, states_old, COUNTER, "", "States of agents that were not newer than what was shown.")          \
    M(broker, states_published, COUNTER, "", "States made public.")                                          \
    M(broker, states_restored, COUNTER, "", "States published again at start.")                              \
    M(broker, states_unchanged, COUNTER, "", "States in which no client would see a difference.")            \
    M(broker, store_open, GAUGE, "", "Requests that the store has not answered.")                            \
    M(broker, store_open_bytes, GAUGE, "", "Bytes of them.")                                                 \
    M(broker, store_replies, COUNTER, "", "Parts of the store's answers passed on.")                         \
    M(broker, store_replies_lost, COUNTER, "",                                                               \
      "Parts of the store's answers for a worker that is gone or does not read.")                            \
    M(broker, store_requests, COUNTER, "", "Requests handed to the store.")                                  \
    M(broker, store_requests_refused, COUNTER, "rises",                                                      \
      "Requests for the store answered 503 by the broker.")                                                  \
    M(broker, store_unanswered, COUNTER, "rises", "Requests that the store did not answer in a minute.")     \
    M(broker, stores, GAUGE, "", "Stores that are introduced: 0 or 1.")                                      \
    M(broker, stores_lost, COUNTER, "rises", "Times that the store left, or began anew.")                    \
    M(broker, stream_gaps, COUNTER, "rises",                                                                 \
      "Jumps in the numbers of a worker's messages: one before made no sense.")                              \
    M(broker, stream_messages, COUNTER, "", "Messages of clients and handlers made public.")                 \
    M(broker, stream_parts, COUNTER, "", "Records that they took.")                                          \
    M(broker, stream_repeats, COUNTER, "", "Messages for streams that were public already; dropped.")        \
    M(broker, survey_asks, COUNTER, "", "Questions of surveys passed on to a worker.")                       \
    M(broker, survey_rows, COUNTER, "", "Answers to surveys passed on.")                                     \
    M(broker, survey_rows_lost, COUNTER, "",                                                                 \
      "Answers to surveys for a worker that is gone or does not read.")                                      \
    M(broker, survey_unanswered, COUNTER, "",                                                                \
      "Questions of surveys to a worker that is gone or does not read.")                                     \
    M(broker, surveys, COUNTER, "", "Questions to all workers.")                                             \
    M(broker, surveys_incomplete, COUNTER, "",                                                               \
      "Questions to all workers while one lived that was not introduced.")                                   \
    M(broker, system_events, COUNTER, "", "Events of the broker's own.")                                     \
    M(broker, tools, GAUGE, "", "Tools that are introduced (noria rearm).")                                  \
    M(broker, unknown_peer, COUNTER, "", "Messages of peers that are not introduced.")                       \
    M(broker, workers, GAUGE, "", "Workers that are introduced.")
