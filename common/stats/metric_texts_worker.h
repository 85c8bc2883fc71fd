/* metric_texts_worker.h — see metric_texts.h: the texts of what a worker counts. */
#pragma once

#define METRIC_TEXTS_WORKER(M)                                                                               \
    M(worker, answers, COUNTER, "",                                                                          \
      "Answers of the broker that reached the client or request that had asked.")                            \
    M(worker, answers_repeated, COUNTER, "",                                                                 \
      "Answers to a command that had its answer already; not shown again.")                                  \
    M(worker, answers_without_client, COUNTER, "", "Answers whose client, or request, had gone.")            \
    M(worker, audience_appends, COUNTER, "",                                                                 \
      "Frames put into the logs of audiences (clients with the same topics).")                               \
    M(worker, audience_frames_given_up, COUNTER, "rises",                                                    \
      "Frames that an audience's log did not take, for want of memory; those that were owed them get "       \
      "newest states, or are closed.")                                                                       \
    M(worker, audience_log_bytes, GAUGE, "", "Memory of all audiences' logs.")                               \
    M(worker, audiences, GAUGE, "", "Sets of topics that some client has: each has a log of its own.")       \
    M(worker, bells, COUNTER, "", "Wake-ups by the broker's bell.")                                          \
    M(worker, bells_lost, COUNTER, "more than a few per minute",                                             \
      "Records that were found by the periodic look, not by the bell: a broker died between publishing and " \
      "ringing.")                                                                                            \
    M(worker, channel_binary, COUNTER, "", "Binary messages at the dialect channels, which takes none.")     \
    M(worker, channel_connections, GAUGE, "", "Connections to channels of this worker.")                     \
    M(worker, channel_gaps, COUNTER, "rises", "Gaps in events that clients of channels were told of.")       \
    M(worker, channel_ignored, COUNTER, "", "Messages at the dialect channels that mean nothing there.")     \
    M(worker, channel_joined, COUNTER, "", "Connections that joined a channel.")                             \
    M(worker, channel_lapped, COUNTER, "",                                                                   \
      "Connections of channels whose place in the ring was lost and that went to the store for what they "   \
      "missed.")                                                                                             \
    M(worker, channel_page_events, COUNTER, "", "Events that came from the store for clients that resumed.") \
    M(worker, channel_page_failures, COUNTER, "rises", "Pages of events that the store did not give.")       \
    M(worker, channel_paged, COUNTER, "",                                                                    \
      "Clients that resumed and needed the store first, because the ring did not reach back far enough.")    \
    M(worker, channel_pages, COUNTER, "", "Pages of events asked of the store.")                             \
    M(worker, channel_paging, GAUGE, "", "Connections that read from the store now.")                        \
    M(worker, channel_pings, COUNTER, "", "Pings in JSON at the dialect channels.")                          \
    M(worker, channel_refused, COUNTER, "",                                                                  \
      "Connections to channels that were closed with 1008 when they came.")                                  \
    M(worker, channel_resumed, COUNTER, "",                                                                  \
      "Clients that resumed at a place of theirs and went live from the ring.")                              \
    M(worker, channel_stats_here_only, COUNTER, "",                                                          \
      "Statistics of channels that know this worker's clients only, because other workers did not answer.")  \
    M(worker, channel_stats_told, COUNTER, "", "Statistics of channels that were told.")                     \
    M(worker, channel_users, GAUGE, "", "Users with a connection to a channel of this worker.")              \
    M(worker, channels, GAUGE, "", "Channels that have a connection in this worker.")                        \
    M(worker, closed_lost, COUNTER, "rises",                                                                 \
      "Clients closed with 1013 because frames that cannot be merged were lost to this worker.")             \
    M(worker, closed_slow_hard, COUNTER, "",                                                                 \
      "Clients closed with 1013: more than slow_clients.hard_kib waited for them, or left the log.")         \
    M(worker, closed_slow_memory, COUNTER, "rises",                                                          \
      "Clients closed with 1013: no memory for what they were owed.")                                        \
    M(worker, closed_slow_own, COUNTER, "",                                                                  \
      "Clients closed with 1013: too many answers of their own waited for them.")                            \
    M(worker, closed_slow_soft, COUNTER, "",                                                                 \
      "Clients closed with 1013: more than slow_clients.soft_kib waited for soft_ms.")                       \
    M(worker, commands, COUNTER, "", "Commands of clients sent up to the broker.")                           \
    M(worker, commands_failed_here, COUNTER, "rises",                                                        \
      "Commands whose time limit passed here, without an answer by a broker.")                               \
    M(worker, commands_full, COUNTER, "rises",                                                               \
      "Commands refused because too many of this client, or of this worker, waited.")                        \
    M(worker, commands_pending, GAUGE, "", "Commands without an answer yet.")                                \
    M(worker, commands_resent, COUNTER, "", "Commands sent up again to another broker.")                     \
    M(worker, conf_digest, GAUGE, "",                                                                        \
      "Digest of the configuration in force; the same in all processes (of 64 bits, which Prometheus "       \
      "rounds).")                                                                                            \
    M(worker, connections, GAUGE, "", "WebSocket connections that are open.")                                \
    M(worker, drained_closed, COUNTER, "", "WebSockets closed with 1012 because this worker drains.")        \
    M(worker, drained_late, COUNTER, "rises",                                                                \
      "WebSockets that were owed an answer when the time for draining was over, and were closed all the "    \
      "same.")                                                                                               \
    M(worker, draining, GAUGE, "",                                                                           \
      "1: this worker takes nobody in any more and closes its clients over workers.drain_ms.")               \
    M(worker, endpoint_answered, COUNTER, "", "Messages to endpoints that a handler answered.")              \
    M(worker, endpoint_closed_waiting, COUNTER, "",                                                          \
      "Connections to endpoints closed because too much waited for earlier answers.")                        \
    M(worker, endpoint_deferred, COUNTER, "",                                                                \
      "Messages to endpoints that waited because too many of their connection were under way.")              \
    M(worker, endpoint_failed, COUNTER, "rises",                                                             \
      "Messages to endpoints answered 500, because of their handler.")                                       \
    M(worker, endpoint_messages, COUNTER, "", "Messages to endpoints that were given to a handler.")         \
    M(worker, endpoint_pressed, GAUGE, "",                                                                   \
      "Connections to endpoints that are not read now, because too much waits for their handler.")           \
    M(worker, endpoint_published, COUNTER, "",                                                               \
      "Messages that handlers published to subscribers of an endpoint.")                                     \
    M(worker, endpoint_refused, COUNTER, "", "Messages to endpoints refused by validation (400).")           \
    M(worker, endpoint_sent, COUNTER, "", "Messages that handlers sent to a connection unasked.")            \
    M(worker, endpoint_unavailable, COUNTER, "rises",                                                        \
      "Messages to endpoints answered 503: no handler, or none in time.")                                    \
    M(worker, endpoint_waiting_bytes, GAUGE, "", "Bytes of messages that wait for a handler.")               \
    M(worker, gaps, COUNTER, "rises", "Gaps that subscribers of events and results were told of.")           \
    M(worker, gate_abandoned, COUNTER, "",                                                                   \
      "Connections whose peer left before its request's head was whole.")                                    \
    M(worker, gate_accept_errors, COUNTER, "rises",                                                          \
      "Connections that could not be accepted for other reasons than descriptors.")                          \
    M(worker, gate_accepted, COUNTER, "", "TCP connections accepted.")                                       \
    M(worker, gate_accepted_added, COUNTER, "", "Of them, through the sockets of a worker that was away.")   \
    M(worker, gate_doors_added, GAUGE, "", "Listening sockets of workers that are away, served here now.")   \
    M(worker, gate_evicted, COUNTER, "",                                                                     \
      "Connections without a whole head that gave way to a newer one (answered 503).")                       \
    M(worker, gate_half_open, GAUGE, "", "Connections whose head is not whole yet.")                         \
    M(worker, gate_no_descriptors, COUNTER, "rises",                                                         \
      "Connections that could not be taken for want of descriptors.")                                        \
    M(worker, gate_plain, COUNTER, "", "Good requests without an upgrade, handed to HTTP.")                  \
    M(worker, gate_refused_400, COUNTER, "", "Requests refused by the gate with 400 Bad Request.")           \
    M(worker, gate_refused_403, COUNTER, "",                                                                 \
      "Upgrades refused by the gate with 403: a page of a foreign Origin.")                                  \
    M(worker, gate_refused_404, COUNTER, "",                                                                 \
      "Upgrades refused by the gate with 404: no dialect has the path.")                                     \
    M(worker, gate_refused_405, COUNTER, "",                                                                 \
      "Requests refused by the gate with 405: an unknown method, or an upgrade by another than GET.")        \
    M(worker, gate_refused_413, COUNTER, "", "Requests refused by the gate with 413: a body too large.")     \
    M(worker, gate_refused_426, COUNTER, "",                                                                 \
      "Requests refused by the gate with 426: a listener for WebSockets only, or another version.")          \
    M(worker, gate_refused_429, COUNTER, "",                                                                 \
      "Requests refused by the gate with 429: too many of one address.")                                     \
    M(worker, gate_refused_431, COUNTER, "", "Requests refused by the gate with 431: a head too large.")     \
    M(worker, gate_refused_503, COUNTER, "rises",                                                            \
      "Requests refused by the gate with 503: no room for one more connection.")                             \
    M(worker, gate_refused_505, COUNTER, "", "Requests refused by the gate with 505: not HTTP/1.1.")         \
    M(worker, gate_timeouts, COUNTER, "", "Connections closed because their head was not whole in time.")    \
    M(worker, gate_upgrades, COUNTER, "", "Good requests for a WebSocket.")                                  \
    M(worker, handler_abandoned, COUNTER, "",                                                                \
      "Messages whose connection went before their handler answered.")                                       \
    M(worker, handler_anew, COUNTER, "",                                                                     \
      "Connections that begin again with another handler process, because theirs was left alive by its "     \
      "link.")                                                                                               \
    M(worker, handler_closed, COUNTER, "", "Connections of whose end handlers were told.")                   \
    M(worker, handler_closes, COUNTER, "", "Connections that handlers asked to be closed.")                  \
    M(worker, handler_connects, COUNTER, "", "Links to handler processes that came up.")                     \
    M(worker, handler_connects_failed, COUNTER, "rises for a minute",                                        \
      "Tries to link with a handler process that failed.")                                                   \
    M(worker, handler_conns, GAUGE, "", "Connections that handlers know of.")                                \
    M(worker, handler_failed, COUNTER, "rises",                                                              \
      "Messages that handlers answered with a failure of their own.")                                        \
    M(worker, handler_fault_body, COUNTER, "rises",                                                          \
      "Answers of handlers with a body that JSON cannot show.")                                              \
    M(worker, handler_fault_close, COUNTER, "rises",                                                         \
      "Closes by handlers with a code or reason that cannot be.")                                            \
    M(worker, handler_fault_large, COUNTER, "rises", "Answers of handlers that are too large.")              \
    M(worker, handler_fault_schema, COUNTER, "rises",                                                        \
      "Answers of handlers that are against their reply_schema.")                                            \
    M(worker, handler_fault_status, COUNTER, "rises",                                                        \
      "Answers of handlers with a status that they may not answer.")                                         \
    M(worker, handler_fault_topic, COUNTER, "rises", "Publications of handlers to a topic that cannot be.")  \
    M(worker, handler_full, COUNTER, "", "Messages refused because too many waited for a handler.")          \
    M(worker, handler_killed, COUNTER, "rises",                                                              \
      "Handler processes killed because they answered nothing for stuck_ms.")                                \
    M(worker, handler_late, COUNTER, "", "Answers of handlers that nobody waited for any more.")             \
    M(worker, handler_links, GAUGE, "0",                                                                     \
      "Links to handler processes that are up (where endpoints are configured).")                            \
    M(worker, handler_links_lost, COUNTER, "rises", "Links to handler processes that ended.")                \
    M(worker, handler_malformed, COUNTER, "rises",                                                           \
      "Handler processes that broke the protocol; their link was closed.")                                   \
    M(worker, handler_messages, COUNTER, "",                                                                 \
      "Messages for handlers. Equals replies, failed, timeouts, unavailable, abandoned, and those under "    \
      "way.")                                                                                                \
    M(worker, handler_opened, COUNTER, "", "Connections of which handlers were told.")                       \
    M(worker, handler_publishes, COUNTER, "", "Publications of handlers.")                                   \
    M(worker, handler_publishes_lost, COUNTER, "rises",                                                      \
      "Publications of handlers that were dropped: no such endpoint, too large, no room.")                   \
    M(worker, handler_replies, COUNTER, "", "Answers of handlers.")                                          \
    M(worker, handler_resumed, COUNTER, "",                                                                  \
      "Connections that a handler was told of again after its link broke.")                                  \
    M(worker, handler_sends, COUNTER, "", "Messages of handlers to single connections.")                     \
    M(worker, handler_sends_lost, COUNTER, "",                                                               \
      "Messages of handlers dropped because their connection was gone or had moved, or they were too "       \
      "large.")                                                                                              \
    M(worker, handler_throttled, COUNTER, "",                                                                \
      "Pauses in reading from a handler that said too much unasked.")                                        \
    M(worker, handler_timeouts, COUNTER, "rises", "Messages that no handler answered in time.")              \
    M(worker, handler_unavailable, COUNTER, "rises", "Messages for which no handler was there.")             \
    M(worker, handler_waiting, GAUGE, "", "Events that wait to be written to handlers.")                     \
    M(worker, handler_waiting_bytes, GAUGE, "", "Bytes of events that wait to be written to handlers.")      \
    M(worker, hop_c3_ns, HISTOGRAM, "",                                                                      \
      "From reading a client's message to sending its command to the broker (C3).")                          \
    M(worker, hop_d11_first_ns, HISTOGRAM, "",                                                               \
      "How old a reading is when it is written to the first client of an audience (D11).")                   \
    M(worker, hop_d11_last_ns, HISTOGRAM, "p99 above 1 s",                                                   \
      "How old a reading is when the round that brings it has reached the last client of an audience "       \
      "(D11).")                                                                                              \
    M(worker, hop_d8_ns, HISTOGRAM, "",                                                                      \
      "How old a reading is when this worker reads its record in the ring (D8), since the PLC's answer was " \
      "readable.")                                                                                           \
    M(worker, hop_r4_ns, HISTOGRAM, "",                                                                      \
      "From reading a client's message to writing its answer to the socket (R4).")                           \
    M(worker, http_200, COUNTER, "", "HTTP requests answered 200 OK.")                                       \
    M(worker, http_201, COUNTER, "", "HTTP requests answered 201 Created.")                                  \
    M(worker, http_202, COUNTER, "", "HTTP requests answered 202 Accepted.")                                 \
    M(worker, http_204, COUNTER, "", "HTTP requests answered 204 No Content.")                               \
    M(worker, http_304, COUNTER, "", "HTTP requests answered 304 Not Modified.")                             \
    M(worker, http_400, COUNTER, "", "HTTP requests answered 400 Bad Request.")                              \
    M(worker, http_401, COUNTER, "", "HTTP requests answered 401 Unauthorized.")                             \
    M(worker, http_403, COUNTER, "", "HTTP requests answered 403 Forbidden.")                                \
    M(worker, http_404, COUNTER, "", "HTTP requests answered 404 Not Found.")                                \
    M(worker, http_405, COUNTER, "", "HTTP requests answered 405 Method Not Allowed.")                       \
    M(worker, http_408, COUNTER, "", "HTTP requests answered 408 Request Timeout.")                          \
    M(worker, http_409, COUNTER, "", "HTTP requests answered 409 Conflict.")                                 \
    M(worker, http_410, COUNTER, "", "HTTP requests answered 410 Gone.")                                     \
    M(worker, http_412, COUNTER, "", "HTTP requests answered 412 Precondition Failed.")                      \
    M(worker, http_413, COUNTER, "", "HTTP requests answered 413 Content Too Large.")                        \
    M(worker, http_415, COUNTER, "", "HTTP requests answered 415 Unsupported Media Type.")                   \
    M(worker, http_417, COUNTER, "", "HTTP requests answered 417 Expectation Failed.")                       \
    M(worker, http_422, COUNTER, "", "HTTP requests answered 422 Unprocessable Content.")                    \
    M(worker, http_429, COUNTER, "", "HTTP requests answered 429 Too Many Requests.")                        \
    M(worker, http_500, COUNTER, "rises", "HTTP requests answered 500 Internal Server Error.")               \
    M(worker, http_503, COUNTER, "rises", "HTTP requests answered 503 Service Unavailable.")                 \
    M(worker, http_504, COUNTER, "rises", "HTTP requests answered 504 Gateway Timeout.")                     \
    M(worker, http_abandoned, COUNTER, "", "HTTP requests whose peer went while their body was read.")       \
    M(worker, http_body_timeouts, COUNTER, "",                                                               \
      "HTTP requests answered 408: the body was not whole in time.")                                         \
    M(worker, http_bytes_in, COUNTER, "", "Bytes of HTTP bodies read.")                                      \
    M(worker, http_bytes_out, COUNTER, "", "Bytes of HTTP answers written.")                                 \
    M(worker, http_cancelled, COUNTER, "", "HTTP requests whose peer went while they were worked on.")       \
    M(worker, http_evicted, COUNTER, "",                                                                     \
      "HTTP exchanges that gave way to newer ones, or to a newer document of /metrics.")                     \
    M(worker, http_exchanges, GAUGE, "", "HTTP exchanges that are open.")                                    \
    M(worker, http_handler_timeouts, COUNTER, "rises", "HTTP requests answered 504: no answer in time.")     \
    M(worker, http_memory_bytes, GAUGE, "", "Memory of HTTP bodies, heads and unsent answers.")              \
    M(worker, http_over_budget, COUNTER, "rises",                                                            \
      "HTTP requests answered 503, or dropped, because their memory was used up.")                           \
    M(worker, http_requests, COUNTER, "", "HTTP requests.")                                                  \
    M(worker, http_turned_away, COUNTER, "rises",                                                            \
      "HTTP requests answered 503 at once, because all places were taken.")                                  \
    M(worker, http_waiting, GAUGE, "", "HTTP requests that wait for a machine, the store or a document.")    \
    M(worker, http_write_errors, COUNTER, "",                                                                \
      "HTTP connections whose peer went while its answer was written.")                                      \
    M(worker, http_write_timeouts, COUNTER, "",                                                              \
      "HTTP connections dropped because the peer did not take its answer in time.")                          \
    M(worker, link_downs, COUNTER, "rises", "Ends of the link to the broker.")                               \
    M(worker, link_full, COUNTER, "rises", "Messages that the bus to the broker did not take.")              \
    M(worker, link_malformed, COUNTER, "rises", "Messages from the broker that make no sense.")              \
    M(worker, link_sent, COUNTER, "", "Messages sent to the broker.")                                        \
    M(worker, link_ups, COUNTER, "", "Times that the broker took this worker in.")                           \
    M(worker, logins_checking, GAUGE, "", "Passwords that are being checked now.")                           \
    M(worker, logins_failed, COUNTER, "rises", "Logins answered 503: no memory, or nothing to sign with.")   \
    M(worker, logins_full, COUNTER, "", "Logins answered 429: too many at once.")                            \
    M(worker, logins_granted, COUNTER, "", "Logins that gave a token.")                                      \
    M(worker, logins_invalid, COUNTER, "", "Logins whose body is none (422 and others).")                    \
    M(worker, logins_limited, COUNTER, "", "Logins answered 429: no tries left for the user or address.")    \
    M(worker, logins_refused, COUNTER, "rises fast", "Logins refused with 401: wrong user or password.")     \
    M(worker, logins_waiting, GAUGE, "", "Logins that wait for a thread to check their password.")           \
    M(worker, machines, GAUGE, "", "Machines that this worker knows.")                                       \
    M(worker, outbox_bytes, COUNTER, "", "Bytes written to WebSocket clients by rounds and answers.")        \
    M(worker, outbox_closed_slow, COUNTER, "",                                                               \
      "Clients closed with 1013 because they were too slow or frames were lost, for whatever reason "        \
      "(closed_slow_hard and the like, closed_lost).")                                                       \
    M(worker, outbox_frames_replayed, COUNTER, "", "Frames sent again to clients that resumed.")             \
    M(worker, outbox_lag_portions, COUNTER, "", "Frames of newest states for clients that lag.")             \
    M(worker, outbox_lags, COUNTER, "",                                                                      \
      "Times that a client's backlog was given up, and it got newest states instead.")                       \
    M(worker, outbox_own_bytes, GAUGE, "", "Bytes of frames for single clients that wait to be written.")    \
    M(worker, outbox_rounds, COUNTER, "", "Rounds over the clients of an audience.")                         \
    M(worker, outbox_slices, COUNTER, "", "Slices of rounds, between which the loop serves the rest.")       \
    M(worker, outbox_writes, COUNTER, "", "System calls that wrote to WebSocket clients.")                   \
    M(worker, publish_full, COUNTER, "",                                                                     \
      "Messages for streams refused because too many waited for the broker.")                                \
    M(worker, publish_given_up, COUNTER, "rises", "Messages for streams that no broker took in time.")       \
    M(worker, publish_held, GAUGE, "",                                                                       \
      "Connections that are not read because their messages for streams wait.")                              \
    M(worker, publish_no_memory, COUNTER, "rises", "Messages for streams refused for want of memory.")       \
    M(worker, publish_resent, COUNTER, "", "Messages for streams given to another broker, too.")             \
    M(worker, publish_unknown, COUNTER, "rises",                                                             \
      "Messages for streams that were sent and of which it is unknown whether they are public, because "     \
      "records were lost.")                                                                                  \
    M(worker, publish_window, GAUGE, "", "Messages for streams sent, and not yet read in the ring.")         \
    M(worker, publish_window_bytes, GAUGE, "", "Bytes of them.")                                             \
    M(worker, published, COUNTER, "", "Messages of clients and handlers taken for streams.")                 \
    M(worker, received, COUNTER, "", "Messages of WebSocket clients handed to their dialect.")               \
    M(worker, reload_closed, COUNTER, "",                                                                    \
      "WebSockets closed with 1008 by a reload: their token, or user, is not configured any more.")          \
    M(worker, reloads, COUNTER, "", "Configurations put in force since the start.")                          \
    M(worker, rest_commands, COUNTER, "", "Commands over REST that were sent up.")                           \
    M(worker, rest_orphaned, COUNTER, "", "Commands over REST whose client went before their answer.")       \
    M(worker, rest_reads, COUNTER, "", "Reading requests to /v1.")                                           \
    M(worker, rest_refused, COUNTER, "", "POST requests to /v1 that did not become a command.")              \
    M(worker, rest_unreadable, COUNTER, "rises",                                                             \
      "Answers of the broker that REST could not read (answered 500).")                                      \
    M(worker, scrape_bytes, GAUGE, "", "Size of the last document of /metrics.")                             \
    M(worker, scrape_readers_dropped, COUNTER, "",                                                           \
      "Scrapers dropped because they still read an old document when its place was needed.")                 \
    M(worker, scrape_step_us, GAUGE, "above 2000",                                                           \
      "Longest turn of the loop's that making a document of /metrics took.")                                 \
    M(worker, scrape_us, GAUGE, "",                                                                          \
      "How long the last document of /metrics took to make, beside other work.")                             \
    M(worker, scrapes, COUNTER, "", "Answers to GET /metrics with a document.")                              \
    M(worker, scrapes_failed, COUNTER, "rises",                                                              \
      "Answers to GET /metrics without one: no memory, no shm/, too many waited.")                           \
    M(worker, scrapes_shared, COUNTER, "",                                                                   \
      "Answers to GET /metrics with a document that another had asked for.")                                 \
    M(worker, sensors_forbidden, COUNTER, "", "Requests to /api/v1 answered 403: a grant is missing.")       \
    M(worker, sensors_invalid, COUNTER, "", "Requests to /api/v1 answered 422.")                             \
    M(worker, sensors_orphaned, COUNTER, "", "Requests to /api/v1 whose client went before the answer.")     \
    M(worker, sensors_reads, COUNTER, "", "Reading requests to /api/v1, asked of the store.")                \
    M(worker, sensors_refused, COUNTER, "rises",                                                             \
      "Requests to /api/v1 answered 503 or 413 because there was no room to ask.")                           \
    M(worker, sensors_stale, COUNTER, "", "Requests to /api/v1 answered 412 or 304 here.")                   \
    M(worker, sensors_stats, COUNTER, "", "Requests for statistics of channels.")                            \
    M(worker, sensors_writes, COUNTER, "", "Writing requests to /api/v1, asked of the store.")               \
    M(worker, store_answered, COUNTER, "", "Calls of the store that were answered.")                         \
    M(worker, store_asked, COUNTER, "", "Calls of the store that were given to the broker.")                 \
    M(worker, store_forgotten, COUNTER, "", "Calls of the store that nobody waited for any more.")           \
    M(worker, store_full, COUNTER, "rises",                                                                  \
      "Calls of the store refused: too many under way, or the bus did not take it.")                         \
    M(worker, store_late, COUNTER, "", "Replies of the store that came too late.")                           \
    M(worker, store_lost, COUNTER, "rises",                                                                  \
      "Calls of the store that ended because it, or the broker, went away.")                                 \
    M(worker, store_over_budget, COUNTER, "rises",                                                           \
      "Answers of the store that were larger than the room for them.")                                       \
    M(worker, store_pending, GAUGE, "", "Calls of the store without an answer yet.")                         \
    M(worker, store_pending_bytes, GAUGE, "", "Bytes of parts of answers of the store that are not whole.")  \
    M(worker, store_strange, COUNTER, "rises", "Replies of the store that make no sense.")                   \
    M(worker, store_timeouts, COUNTER, "rises", "Calls of the store without an answer in time.")             \
    M(worker, store_unavailable, COUNTER, "rises",                                                           \
      "Calls of the store that were not begun, because there was no broker.")                                \
    M(worker, survey_late, COUNTER, "", "Messages of surveys that were not under way any more.")             \
    M(worker, survey_rows, COUNTER, "", "Pieces of answers to surveys that this worker gave.")               \
    M(worker, survey_unsent, COUNTER, "", "Pieces of answers to surveys that the bus did not take.")         \
    M(worker, surveys, COUNTER, "", "Questions to all workers that were begun here.")                        \
    M(worker, surveys_failed, COUNTER, "", "Questions to all workers that ended with an error.")             \
    M(worker, tail_corrupt, COUNTER, "rises", "Records of the ring that were damaged or made no sense.")     \
    M(worker, tail_damaged_words, COUNTER, "rises", "Words of the ring's header that were found changed.")   \
    M(worker, tail_lapped, COUNTER, "rises",                                                                 \
      "Times that this worker was overtaken by the ring's writer and lost records.")                         \
    M(worker, tail_out_of_memory, COUNTER, "rises",                                                          \
      "Times that machines could not be taken in for want of memory.")                                       \
    M(worker, tail_parts, COUNTER, "", "Further parts of stream messages read.")                             \
    M(worker, tail_parts_ignored, COUNTER, "",                                                               \
      "Parts of stream messages that did not belong to any that was begun.")                                 \
    M(worker, tail_records, COUNTER, "", "Records of the ring read.")                                        \
    M(worker, tail_reseeded, COUNTER, "", "Times that states were taken from the last-value table.")         \
    M(worker, tail_slots_unreadable, COUNTER, "rises",                                                       \
      "Slots of the last-value table that could not be read.")                                               \
    M(worker, tail_states, COUNTER, "", "Records of states read.")                                           \
    M(worker, tail_states_old, COUNTER, "", "States that were not newer than what was known; not sent.")     \
    M(worker, tokens_failed, COUNTER, "rises",                                                               \
      "Tokens that could not be checked: no memory, or the cryptographic library failed.")                   \
    M(worker, tokens_granted, COUNTER, "", "Tokens that were good.")                                         \
    M(worker, tokens_jwt_algorithm, COUNTER, "rises fast",                                                   \
      "JWTs refused: an algorithm that is not the key's, also none.")                                        \
    M(worker, tokens_jwt_audience, COUNTER, "", "JWTs refused: meant for somebody else.")                    \
    M(worker, tokens_jwt_claims, COUNTER, "",                                                                \
      "JWTs refused: missing, mistyped, oversized or repeated claims.")                                      \
    M(worker, tokens_jwt_early, COUNTER, "", "JWTs refused: not good yet.")                                  \
    M(worker, tokens_jwt_expired, COUNTER, "", "JWTs refused: expired.")                                     \
    M(worker, tokens_jwt_header, COUNTER, "",                                                                \
      "JWTs refused: a header that is none, or has what is not taken.")                                      \
    M(worker, tokens_jwt_issuer, COUNTER, "", "JWTs refused: of another issuer.")                            \
    M(worker, tokens_jwt_key, COUNTER, "", "JWTs refused: no such key.")                                     \
    M(worker, tokens_jwt_malformed, COUNTER, "", "JWTs refused: not three parts of base64url.")              \
    M(worker, tokens_jwt_signature, COUNTER, "rises fast", "JWTs refused: a wrong signature.")               \
    M(worker, tokens_jwt_user, COUNTER, "",                                                                  \
      "JWTs refused: of a user whom the configuration does not have any more.")                              \
    M(worker, tokens_missing, COUNTER, "", "Clients without a token, where one is needed.")                  \
    M(worker, tokens_too_long, COUNTER, "", "Tokens refused: too long.")                                     \
    M(worker, tokens_unknown, COUNTER, "rises fast", "Tokens refused: nobody's.")                            \
    M(worker, ws_adopt_errors, COUNTER, "rises",                                                             \
      "Upgraded sockets that died, or found no memory, before their dialect knew of them.")                  \
    M(worker, ws_bad_utf8, COUNTER, "", "WebSockets closed with 1007: text that is no UTF-8.")               \
    M(worker, ws_bytes_in, COUNTER, "", "Bytes of WebSocket messages read.")                                 \
    M(worker, ws_bytes_out, COUNTER, "", "Bytes written to WebSockets.")                                     \
    M(worker, ws_closed, COUNTER, "", "WebSockets that ended, for whatever reason.")                         \
    M(worker, ws_closed_1000, COUNTER, "", "WebSockets closed from here with 1000: an endpoint was done.")   \
    M(worker, ws_closed_1001, COUNTER, "", "WebSockets closed from here with 1001: the worker stopped.")     \
    M(worker, ws_closed_1002, COUNTER, "",                                                                   \
      "WebSockets closed from here with 1002: the client broke the protocol.")                               \
    M(worker, ws_closed_1007, COUNTER, "", "WebSockets closed from here with 1007: text that is no UTF-8.")  \
    M(worker, ws_closed_1008, COUNTER, "",                                                                   \
      "WebSockets closed from here with 1008: no good token, its end, or no pong.")                          \
    M(worker, ws_closed_1009, COUNTER, "",                                                                   \
      "WebSockets closed from here with 1009: a message that was too large.")                                \
    M(worker, ws_closed_1011, COUNTER, "rises",                                                              \
      "WebSockets closed from here with 1011: a failure here, or of a handler.")                             \
    M(worker, ws_closed_1012, COUNTER, "",                                                                   \
      "WebSockets closed from here with 1012: this worker is replaced, the client may come back at once.")   \
    M(worker, ws_closed_1013, COUNTER, "",                                                                   \
      "WebSockets closed from here with 1013: too slow, no room, or frames were lost.")                      \
    M(worker, ws_closed_other, COUNTER, "", "WebSockets closed from here with a code that a handler chose.") \
    M(worker, ws_held, COUNTER, "", "Pauses in reading a client, because its messages wait.")                \
    M(worker, ws_messages, COUNTER, "", "WebSocket messages read.")                                          \
    M(worker, ws_opened, COUNTER, "", "WebSockets opened.")                                                  \
    M(worker, ws_over_budget, COUNTER, "rises",                                                              \
      "WebSockets closed with 1013: unfinished messages had used up their budget.")                          \
    M(worker, ws_peer_closed, COUNTER, "", "WebSockets that their client closed.")                           \
    M(worker, ws_peer_gone, COUNTER, "",                                                                     \
      "WebSockets that ended without a Close: the client went, or its socket failed.")                       \
    M(worker, ws_ping_timeouts, COUNTER, "", "WebSockets closed because no pong came in time.")              \
    M(worker, ws_pings, COUNTER, "", "Pings sent to WebSocket clients.")                                     \
    M(worker, ws_protocol_errors, COUNTER, "",                                                               \
      "WebSockets closed with 1002: the client broke the protocol.")                                         \
    M(worker, ws_short_writes, COUNTER, "", "Writes to WebSockets that the socket did not take whole.")      \
    M(worker, ws_throttled, COUNTER, "",                                                                     \
      "Pauses in reading a client that sent more than websocket.max_messages_per_s.")                        \
    M(worker, ws_token_expired, COUNTER, "", "WebSockets closed with 1008 because their token had expired.") \
    M(worker, ws_too_large, COUNTER, "",                                                                     \
      "WebSockets closed with 1009: a message above websocket.max_message_bytes.")                           \
    M(worker, ws_writes, COUNTER, "", "System calls that wrote to WebSockets.")
