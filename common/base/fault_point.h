/* fault_point.h — named places between two steps, at which a test lets a process die or stop.
 *
 * A kill at a random moment rarely falls into the few microseconds that matter: between append and publish, between fsync
 * and write. So each such place has a name, and in builds with NORIA_FAULT_POINTS (CMake's option; presets `fault`, `asan`
 * and `tsan`) the environment says what happens there:
 *
 *     NORIA_FAULT=agent.journal.synced          kill -9 of the process when it comes there first
 *     NORIA_FAULT=broker.published:3            … the third time
 *     NORIA_FAULT=broker.published:3=stop       SIGSTOP instead; whoever planned it sends SIGCONT
 *
 * In a release build FAULT_POINT() is nothing, and NORIA_FAULT is not read. Costs nothing where it is not compiled in; one
 * comparison where it is. The list is the one table below; tests read it from here.
 */
#pragma once

/* X(NAME, "name", "what has happened, and what has not") */
#define FAULT_POINT_TABLE(X)                                                                                 \
    X(BROKER_ENCODED, "broker.encoded", "a state is encoded; nothing is in the ring")                        \
    X(BROKER_APPENDED, "broker.appended", "a state is appended; the head is not published")                  \
    X(BROKER_PUBLISHED, "broker.published", "the head is published; the last-value slot is old")             \
    X(BROKER_SLOT_ODD, "broker.slot.odd", "the last-value slot is being written")                            \
    X(BROKER_SLOT_PUT, "broker.slot.put", "the last-value slot is written; the bell has not rung")           \
    X(BROKER_RUNG, "broker.rung", "the bell has rung")                                                       \
    X(BROKER_COMMAND_TAKEN, "broker.command.taken",                                                          \
      "a command is in the table; the agent has not been told")                                              \
    X(BROKER_COMMAND_HANDED, "broker.command.handed", "a command is handed to its agent")                    \
    X(BROKER_OUTCOME_RECEIVED, "broker.outcome.received", "an outcome is received; nothing is published")    \
    X(BROKER_OUTCOME_APPENDED, "broker.outcome.appended", "an outcome is appended; the head is old")         \
    X(BROKER_OUTCOME_PUBLISHED, "broker.outcome.published", "an outcome is public; it is not acknowledged")  \
    X(BROKER_OUTCOME_ACKED, "broker.outcome.acked", "an outcome is public and acknowledged")                 \
    X(BROKER_STREAM_RECEIVED, "broker.stream.received",                                                      \
      "a stream message is received; nothing is in the ring")                                                \
    X(BROKER_STREAM_APPENDED, "broker.stream.appended", "a stream message is appended; the head is old")     \
    X(BROKER_STREAM_PUBLISHED, "broker.stream.published",                                                    \
      "a stream message is public; the bell has not rung")                                                   \
    X(BROKER_REQUEST_RECEIVED, "broker.request.received",                                                    \
      "a request for the store is received; the store does not have it")                                     \
    X(BROKER_REPLY_RECEIVED, "broker.reply.received",                                                        \
      "the store's reply is received; the worker does not have it")                                          \
    X(BROKER_EVENT_RECEIVED, "broker.event.received",                                                        \
      "an event of the store is received; nothing is in the ring")                                           \
    X(BROKER_EVENT_APPENDED, "broker.event.appended", "an event is appended; the head is old")               \
    X(BROKER_EVENT_PUBLISHED, "broker.event.published", "an event is public; it is not acknowledged")        \
    X(BROKER_EVENT_ACKED, "broker.event.acked", "an event is public and acknowledged")                       \
    X(BROKER_ATTACHED, "broker.attached", "ring and table are read back; nobody is spoken to yet")           \
    X(BROKER_RELOAD_TAKEN, "broker.reload.taken",                                                            \
      "another configuration is in force in the broker; nothing of it is told")                              \
    X(BROKER_MACHINE_LEAVING, "broker.machine.leaving",                                                      \
      "a machine's slot is marked; its removal is not in the ring")                                          \
    X(BROKER_MACHINE_REMOVED, "broker.machine.removed",                                                      \
      "a machine's removal is public; its slot is not cleared")                                              \
    X(BROKER_MACHINE_PUT, "broker.machine.put", "a new machine's slot is put; nothing of it is in the ring") \
    X(BROKER_RELOAD_TOLD, "broker.reload.told",                                                              \
      "another configuration is told of; the launcher does not know that it is in force")                    \
    X(AGENT_READING, "agent.reading", "a reading is in the image; the broker has not been told")             \
    X(AGENT_COMMAND_RECEIVED, "agent.command.received", "a command is received; nothing is noted")           \
    X(AGENT_JOURNAL_QUEUED, "agent.journal.queued",                                                          \
      "a command is admitted; nothing of it is in the journal")                                              \
    X(AGENT_JOURNAL_WRITTEN, "agent.journal.written", "a batch of the journal is written, not synced")       \
    X(AGENT_JOURNAL_SYNCED, "agent.journal.synced", "a batch of the journal is on the disk")                 \
    X(AGENT_WRITING, "agent.writing", "a command's intent is durable; no byte of it is written")             \
    X(AGENT_WRITTEN, "agent.written", "a command's bytes are with the kernel; no reply yet")                 \
    X(AGENT_REPLIED, "agent.replied", "the PLC has replied; the result is not in the journal")               \
    X(AGENT_RESULT_QUEUED, "agent.result.queued", "the result is on its way to the journal")                 \
    X(AGENT_RESULT_SENT, "agent.result.sent", "a result has gone to the broker")                             \
    X(AGENT_COMPLETED, "agent.completed", "a move has ended; its completion is not in the journal")          \
    X(AGENT_COMPLETION_SENT, "agent.completion.sent", "a completion has gone to the broker")                 \
    X(AGENT_ACKED, "agent.acked", "the broker has acknowledged an outcome; the journal does not know")       \
    X(WORKER_COMMAND_PENDING, "worker.command.pending",                                                      \
      "a client's command waits; the broker has not been told")                                              \
    X(WORKER_COMMAND_SENT, "worker.command.sent", "a client's command has gone to the broker")               \
    X(WORKER_PUBLISH_KEPT, "worker.publish.kept",                                                            \
      "a client's stream message is kept; the broker has not been told")                                     \
    X(WORKER_PUBLISH_SENT, "worker.publish.sent", "a client's stream message has gone to the broker")        \
    X(WORKER_PUBLISH_SEEN, "worker.publish.seen", "a stream message of this worker is read in the ring")     \
    X(WORKER_HANDLER_OPEN_SENT, "worker.handler.open.sent",                                                  \
      "a handler has a connection; nobody knows whether it took it")                                         \
    X(WORKER_HANDLER_MESSAGE_SENT, "worker.handler.message.sent",                                            \
      "a handler has a client's message; it has not answered")                                               \
    X(WORKER_HANDLER_CLOSED_SENT, "worker.handler.closed.sent",                                              \
      "a handler has the end of a connection; nobody knows whether it took it")                              \
    X(WORKER_HANDLER_REPLIED, "worker.handler.replied",                                                      \
      "a handler's reply is read; its client does not have it")                                              \
    X(WORKER_REQUEST_PENDING, "worker.request.pending",                                                      \
      "a request for the store waits; the broker has not been told")                                         \
    X(WORKER_REQUEST_SENT, "worker.request.sent", "a request for the store has gone to the broker")          \
    X(WORKER_REPLY_HEARD, "worker.reply.heard", "the store's reply is read; its client does not have it")    \
    X(STORE_RECEIVED, "store.received", "a request is received; its transaction has not begun")              \
    X(STORE_EXECUTED, "store.executed", "a write and its events are made; nothing is committed")             \
    X(STORE_COMMITTED, "store.committed", "a write is on the disk; nobody has been told")                    \
    X(STORE_DELETE_TURN, "store.delete.turn", "a turn of a deletion is on the disk; others follow")          \
    X(STORE_REPLIED, "store.replied", "a reply has gone to the broker; its events have not")                 \
    X(STORE_EVENT_SENT, "store.event.sent", "an event has gone to the broker")                               \
    X(STORE_EVENT_ACKED, "store.event.acked", "an event is acknowledged; the database does not know")        \
    X(STORE_ACK_NOTED, "store.ack.noted", "acknowledgements are in the database")                            \
    X(STORE_MACHINE_SEEN, "store.machine.seen",                                                              \
      "a machine's condition is read in the ring; its anomaly is not made")                                  \
    X(WORKER_RECORD_READ, "worker.record.read", "a record is read from the ring; no client has it")          \
    X(WORKER_ANSWER_HEARD, "worker.answer.heard",                                                            \
      "the answer of a command is read; its client does not have it")                                        \
    X(WORKER_ROUND_BEGUN, "worker.round.begun", "a round has written to some clients and not to others")     \
    X(CONF_COPY_MADE, "conf.copy.made", "the directory of a copy is made; nothing is in it")                 \
    X(CONF_COPY_WRITTEN, "conf.copy.written", "a copy is written; it is not in its place")                   \
    X(CONF_COPY_EXCHANGED, "conf.copy.exchanged", "a copy is in its place; the one before is still there")   \
    X(RELOAD_READ, "reload.read", "another configuration is read; nobody has been told")                     \
    X(RELOAD_PREPARED, "reload.prepared", "the launcher was told PREPARED; nothing is in force")             \
    X(RELOAD_COMMITTED, "reload.committed", "a configuration is in force; the launcher does not know")

enum fault_point_e {
#define X(NAME, name, text) FAULT_##NAME,
    FAULT_POINT_TABLE(X)
#undef X
        FAULT_POINT_COUNT
};

#ifdef NORIA_FAULT_POINTS
/* Thread-safe. */
void fault_point_pass(enum fault_point_e point);
#define FAULT_POINT(NAME) fault_point_pass(FAULT_##NAME)
#else
#define FAULT_POINT(NAME) ((void)0)
#endif
