/* wire.h — the messages that processes exchange over ZeroMQ, as plain structs (the page for people is WIRE.md).
 *
 * A message is one msgpack array: [type, broker_gen, field, field, …], every field a scalar, string or byte string,
 * in the order of the tables below; nothing is nested, so that decoding allocates nothing, needs no recursion and is
 * bounded by the message's size. One list per message gives struct, encoder and decoder.
 *
 * `broker_gen` is the incarnation of the broker that the sender speaks to (0 in a HELLO): a message meant for a dead
 * broker is dropped and answered RE_HELLO. Strings and byte strings of a decoded message point into its buffer.
 * Decoders accept exactly what encoders write; anything else is ERR_MALFORMED, never undefined.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "errcode.h"

#define WIRE_VERSION                                                                                         \
    7u /* 7: histograms in HEARTBEAT, an agent's address in HELLO; 6: the store; 5: binary in PUBLISH; 4: PUBLISH, surveys; 3: who and from in COMMAND, tools; 2: scope in COMMAND, repeat in OUTCOME */
#define WIRE_MAX      335872u /* bytes of the largest message, PUBLISH; all others are far smaller (the table) */
#define WIRE_DOWN_MAX 197632u /* … that a broker sends: STORE_REQUEST and STORE_REPLY */

#define WIRE_PUBLISH_TOPICS_MAX  1000u          /* of one message */
#define WIRE_PUBLISH_PAYLOAD_MAX (192u * 1024u) /* bytes; the frame and its topics fit a record of the ring */
#define WIRE_TOPIC_MAX           135u           /* bytes of a name; TOPIC_MAX of topic.h */
#define WIRE_TOPICS_BYTES_MAX    (WIRE_PUBLISH_TOPICS_MAX * (1 + WIRE_TOPIC_MAX))
#define WIRE_SURVEY_ROWS_MAX     (16u * 1024u) /* bytes of rows in one answer */
#define WIRE_WORKERS_MAX         64u
#define WIRE_STORE_ARGUMENTS_MAX (192u * 1024u) /* bytes: store_args.h */
#define WIRE_STORE_BODY_MAX      (192u * 1024u) /* bytes of one part of an answer */
#define WIRE_EVENT_PAYLOAD_MAX   (16u * 1024u)  /* bytes of an event of a channel */
#define WIRE_CHANNEL_MAX         64u            /* bytes of its name */

struct wire_text {
    const char *at; /* not NUL-terminated */
    uint32_t len;
};

/* X(number, NAME, name, direction, largest size in bytes, since version) */
#define WIRE_MESSAGE_TABLE(X)                                                                                \
    X(1, HELLO, hello, "peer to broker", 512, 1)                                                             \
    X(2, HELLO_OK, hello_ok, "broker to peer", 128, 1)                                                       \
    X(3, RE_HELLO, re_hello, "broker to peer", 64, 1)                                                        \
    X(4, REFUSED, refused, "broker to peer", 512, 1)                                                         \
    X(5, HEARTBEAT, heartbeat, "both", 1152, 1)                                                              \
    X(6, STATE, state, "agent to broker", 256, 1)                                                            \
    X(7, COMMAND, command, "worker or tool to broker to agent", 768, 1)                                      \
    X(8, OUTCOME, outcome, "agent to broker (to tool)", 768, 1)                                              \
    X(9, OUTCOME_ACK, outcome_ack, "broker to agent", 64, 1)                                                 \
    X(10, GOODBYE, goodbye, "peer to broker", 64, 1)                                                         \
    X(11, PUBLISH, publish, "worker to broker", WIRE_MAX, 4)                                                 \
    X(12, SURVEY, survey, "worker to broker", 64, 4)                                                         \
    X(13, SURVEY_WORKERS, survey_workers, "broker to worker", 640, 4)                                        \
    X(14, SURVEY_ASK, survey_ask, "worker to broker to worker", 128, 4)                                      \
    X(15, SURVEY_ROWS, survey_rows, "worker to broker to worker", 17408, 4)                                  \
    X(16, STORE_REQUEST, store_request, "worker to broker to store", WIRE_DOWN_MAX, 6)                       \
    X(17, STORE_REPLY, store_reply, "store to broker to worker", WIRE_DOWN_MAX, 6)                           \
    X(18, STORE_LOST, store_lost, "broker to worker", 64, 6)                                                 \
    X(19, SOURCE, source, "store to broker", 64, 6)                                                          \
    X(20, EVENT, event, "store to broker", 17408, 6)                                                         \
    X(21, EVENT_ACK, event_ack, "broker to store", 128, 6)

/* Field lists: U64(name) I64(name) FLAG(name) TEXT(name, max bytes) BLOB(name, max bytes). */

/* A peer introduces itself. Workers name the slot they held (UINT32_MAX: none), agents their machine, the hash of
 * the profile they decode it with and, as `slot`, which PLC they were told to read (wire_address(); UINT32_MAX: not said): one that
 * reads another than the broker's configuration says is not answered; it or the broker is about to be told. These six fields are the same in every version, so that another one can be refused by
 * name; what a later version wants to know of a peer goes elsewhere. */
#define WIRE_HELLO_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                        \
    U64(version)                                                                                             \
    U64(role) /* enum wire_role_e */                                                                         \
    U64(incarnation)                                                                                         \
    U64(slot)                                                                                                \
    U64(profile_hash)                                                                                        \
    TEXT(machine, 64)

/* The broker knows the peer now: worker slot leased, or the machine's slot in the last-value table. `profile_agrees`
 * is false if an agent decodes otherwise than the broker shows: the machine is read-only then. */
#define WIRE_HELLO_OK_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                     \
    U64(version)                                                                                             \
    U64(slot)                                                                                                \
    U64(ring_id)                                                                                             \
    FLAG(profile_agrees)

/* "I do not know you": say HELLO again (a new broker, or one that had given the peer up). */
#define WIRE_RE_HELLO_FIELDS(U64, I64, FLAG, TEXT, BLOB) U64(incarnation) /* the peer's, 0 if unknown */

/* Permanent: the peer ends with PROC_EXIT_PERMANENT. */
#define WIRE_REFUSED_FIELDS(U64, I64, FLAG, TEXT, BLOB) TEXT(reason, 200)

/* Once a second both ways. Agents: milliseconds since the last good reading (-1: never) and the values of
 * wire_metrics.h as little-endian 64-bit words; of their histograms as many entries as fit, in turn (wire_histograms.h). `channels`: worker to broker, its open stream channels (a connection that has
 * opened n streams has n); broker to worker, those of all other workers together; else 0. */
#define WIRE_HEARTBEAT_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                    \
    U64(incarnation)                                                                                         \
    U64(channels)                                                                                            \
    I64(reading_age_ms)                                                                                      \
    BLOB(metrics, 512)                                                                                       \
    BLOB(histograms, 512)

/* A machine's state: at birth (after each HELLO_OK) and on each difference. `reading_age_ms`: how old the reading was
 * when this was sent. `source_ns`: CLOCK_MONOTONIC when the PLC's answer became readable (same host only). */
#define WIRE_STATE_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                        \
    U64(agent_gen)                                                                                           \
    U64(state_seq)                                                                                           \
    FLAG(birth)                                                                                              \
    TEXT(machine, 64)                                                                                        \
    U64(connection) /* enum connection_e; never STALE, which the broker decides */                           \
    FLAG(has_reading)                                                                                        \
    U64(raw_status)                                                                                          \
    U64(position)                                                                                            \
    U64(read_wall_ms)                                                                                        \
    U64(reading_age_ms)                                                                                      \
    U64(source_ns)

/* A client's command; the broker passes it on to the agent with less time left. Key: (session_worker, session_serial,
 * command_serial). `scope`: whose request_id it is (command_scope.h), empty without one: the same scope, machine and
 * request_id from whatever session is the same request. `who`: the principal, empty if nobody authenticated; `from`: where
 * the client is ("127.0.0.1:43210", a tool: "noria rearm, uid 0"); both for the audit only. `age_ms`: since the worker accepted
 * it from the client. `command`: 0..255, or COMMAND_REARM (command.h).
 * `source_ns`: when that was, on the CLOCK_MONOTONIC of `boot` (wire_boot(); link_send() fills it in).
 * `resent`: it was sent before, to a broker or agent that is gone, and may have been carried out. */
#define WIRE_COMMAND_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                      \
    U64(session_worker)                                                                                      \
    U64(session_serial)                                                                                      \
    U64(command_serial)                                                                                      \
    U64(dialect) /* enum record_dialect_e */                                                                 \
    TEXT(machine, 64)                                                                                        \
    TEXT(request_id, 64)                                                                                     \
    TEXT(scope, 80)                                                                                          \
    TEXT(who, 64)                                                                                            \
    TEXT(from, 64)                                                                                           \
    U64(command)                                                                                             \
    I64(argument)    /* -1: none */                                                                          \
    I64(deadline_ms) /* left; -1: the machine's default */                                                   \
    U64(age_ms)                                                                                              \
    FLAG(resent)                                                                                             \
    U64(source_ns)                                                                                           \
    U64(boot)

/* What became of a command (enum outcome_kind_e). Numbered by the agent per incarnation, kept and sent again after
 * each HELLO_OK until acknowledged. `code` CODE_NONE is success. `sent`: the PLC was written to. `repeat`: the same
 * request had this answer before, or has it with another session, or it is a rearm; only this session is told. */
#define WIRE_OUTCOME_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                      \
    U64(agent_gen)                                                                                           \
    U64(outcome_seq)                                                                                         \
    U64(kind)                                                                                                \
    U64(session_worker)                                                                                      \
    U64(session_serial)                                                                                      \
    U64(command_serial)                                                                                      \
    U64(dialect)                                                                                             \
    TEXT(machine, 64)                                                                                        \
    TEXT(request_id, 64)                                                                                     \
    U64(command)                                                                                             \
    I64(argument)                                                                                            \
    U64(code) /* enum command_code_e */                                                                      \
    TEXT(text, 200)                                                                                          \
    FLAG(sent)                                                                                               \
    FLAG(repeat)                                                                                             \
    I64(position) /* -1: unknown */                                                                          \
    U64(elapsed_ms)                                                                                          \
    U64(source_ns)

/* All outcomes of this agent up to the number are in the ring. */
#define WIRE_OUTCOME_ACK_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                  \
    U64(agent_gen)                                                                                           \
    U64(outcome_seq)

/* The peer stops on purpose. */
#define WIRE_GOODBYE_FIELDS(U64, I64, FLAG, TEXT, BLOB) U64(incarnation)

/* A client's message, or a handler's, for everybody who is subscribed to one of `topics` (wire_topics_next()). The worker numbers them
 * per incarnation, from 1, in the order in which they came, keeps each until it has read it in the ring, and sends what
 * it keeps again, in order, after each HELLO_OK. What is not above the last number that is in the ring was published before: it is
 * dropped. `session_serial`: the connection that sent it, 0: none did. `echo`: that one gets it, too, if it is subscribed. `binary`: as a
 * binary frame, and the payload is any bytes. `source_ns`: CLOCK_MONOTONIC when the message was read. */
#define WIRE_PUBLISH_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                      \
    U64(publish_seq)                                                                                         \
    U64(session_serial)                                                                                      \
    U64(dialect) /* enum record_dialect_e */                                                                 \
    FLAG(echo)                                                                                               \
    FLAG(binary)                                                                                             \
    U64(source_ns)                                                                                           \
    BLOB(topics, WIRE_TOPICS_BYTES_MAX)                                                                      \
    BLOB(payload, WIRE_PUBLISH_PAYLOAD_MAX)

/* A survey asks every worker of the installation the same, and pulls the answers in pieces. First: who is there? */
#define WIRE_SURVEY_FIELDS(U64, I64, FLAG, TEXT, BLOB) U64(query)

/* The incarnations of all workers that are introduced, the asker among them, as little-endian 64-bit words. Not
 * `complete`: one more process lives, or may live, that has clients and is not introduced (it stands still, or its HELLO is
 * on its way). */
#define WIRE_SURVEY_WORKERS_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                               \
    U64(query)                                                                                               \
    FLAG(complete)                                                                                           \
    BLOB(workers, 8 * WIRE_WORKERS_MAX)

/* The next rows, please, from the cursor on (all zero: from the beginning). The broker fills in the asker and hands it on to the worker
 * `target`; if that is not introduced, it answers SURVEY_ROWS with `answered` false itself. */
#define WIRE_SURVEY_ASK_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                   \
    U64(query)                                                                                               \
    U64(asker)                                                                                               \
    U64(target)                                                                                              \
    U64(dialect) /* enum record_dialect_e: whose question it is */                                           \
    U64(question)                                                                                            \
    U64(cursor_a)                                                                                            \
    U64(cursor_b)                                                                                            \
    U64(cursor_c)

/* Whole rows of `target` in the dialect's own form, and the cursor behind them; `last`: there are no more. */
#define WIRE_SURVEY_ROWS_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                  \
    U64(query)                                                                                               \
    U64(asker)                                                                                               \
    U64(target)                                                                                              \
    FLAG(answered)                                                                                           \
    FLAG(last)                                                                                               \
    U64(cursor_a)                                                                                            \
    U64(cursor_b)                                                                                            \
    U64(cursor_c)                                                                                            \
    BLOB(rows, WIRE_SURVEY_ROWS_MAX)

/* What a worker asks the store: an operation of store_op.h with its arguments (store_args.h). The broker checks `worker`, and hands
 * it on to the store; if none is introduced, or it does not read, it answers STORE_REPLY 503 itself. `serial` is the worker's own
 * number, from 1. `deadline_ms` left; the store does not begin what is late. `who`: the principal, empty if nobody. */
#define WIRE_STORE_REQUEST_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                \
    U64(worker)                                                                                              \
    U64(serial)                                                                                              \
    U64(operation) /* enum store_op_e */                                                                     \
    U64(entity)    /* enum entity_e */                                                                       \
    U64(id)                                                                                                  \
    U64(version) /* If-Match; 0: none */                                                                     \
    I64(deadline_ms)                                                                                         \
    TEXT(who, 64)                                                                                            \
    BLOB(arguments, WIRE_STORE_ARGUMENTS_MAX)

/* The answer, in one part or several, which come in order; `offset` is that of this part in the body. A write is answered when it is
 * on the disk, and not before. `status` is HTTP's; `version` an entity's, for its ETag (0: none). */
#define WIRE_STORE_REPLY_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                  \
    U64(worker)                                                                                              \
    U64(serial)                                                                                              \
    U64(status)                                                                                              \
    U64(version)                                                                                             \
    U64(offset)                                                                                              \
    FLAG(last)                                                                                               \
    BLOB(body, WIRE_STORE_BODY_MAX)

/* The store with this incarnation has left: what it was asked and has not answered, it will not answer; whether a write among that was
 * made cannot be known. To every worker. */
#define WIRE_STORE_LOST_FIELDS(U64, I64, FLAG, TEXT, BLOB) U64(incarnation)

/* A store, after each HELLO_OK: which event of this source (its database; random, never 0) is the last in the ring? Answered by one
 * EVENT_ACK; its source_seq is 0 if there is none. */
#define WIRE_SOURCE_FIELDS(U64, I64, FLAG, TEXT, BLOB) U64(source)

/* An event, committed, numbered from 1 per source in the order of commits. Its payload is a JSON object without "seq" (the broker adds it),
 * for who is at `channel` or at general. Sent again until acknowledged; what is not above the last number in the ring is not published twice. At
 * most WIRE_EVENTS_WINDOW are not acknowledged at any time. */
#define WIRE_EVENTS_WINDOW 256u
#define WIRE_EVENT_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                        \
    U64(source)                                                                                              \
    U64(source_seq)                                                                                          \
    TEXT(channel, WIRE_CHANNEL_MAX)                                                                          \
    BLOB(payload, WIRE_EVENT_PAYLOAD_MAX)

/* This event is in the ring, at this place (RING-N, N = position / 64). A ring_id of 0: it is, or was, and where is not known any
 * more. */
#define WIRE_EVENT_ACK_FIELDS(U64, I64, FLAG, TEXT, BLOB)                                                    \
    U64(source)                                                                                              \
    U64(source_seq)                                                                                          \
    U64(ring_id)                                                                                             \
    U64(position)

/* A tool is a program of the operator's that asks one thing and ends (noria rearm). It sends COMMANDs as a worker does, but
 * reads no ring: the broker sends it the OUTCOME. */
enum wire_role_e { WIRE_WORKER = 1, WIRE_AGENT = 2, WIRE_TOOL = 3, WIRE_STORE = 4 };

enum wire_type_e {
#define X(number, NAME, name, direction, size, since) WIRE_##NAME = number,
    WIRE_MESSAGE_TABLE(X)
#undef X
};

#define WIRE_MEMBER_U64(name)       uint64_t name;
#define WIRE_MEMBER_I64(name)       int64_t name;
#define WIRE_MEMBER_FLAG(name)      bool name;
#define WIRE_MEMBER_TEXT(name, max) struct wire_text name;
#define WIRE_MEMBER_BLOB(name, max) struct wire_text name;

#define X(number, NAME, name, direction, size, since)                                                        \
    struct wire_##name {                                                                                     \
        WIRE_##NAME##_FIELDS(WIRE_MEMBER_U64, WIRE_MEMBER_I64, WIRE_MEMBER_FLAG, WIRE_MEMBER_TEXT,           \
                             WIRE_MEMBER_BLOB)                                                               \
    };
WIRE_MESSAGE_TABLE(X)
#undef X

struct wire_message {
    enum wire_type_e type;
    uint64_t broker_gen;
    union {
#define X(number, NAME, name, direction, size, since) struct wire_##name name;
        WIRE_MESSAGE_TABLE(X)
#undef X
    };
};

static inline struct wire_text wire_text(const char *text)
{
    return (struct wire_text){text, (uint32_t)strlen(text)};
}

/* Copies a text into a NUL-terminated buffer of `cap` bytes; longer ones are cut (decoders have bounded them). */
void wire_text_copy(struct wire_text text, char *out, size_t cap);
bool wire_text_equals(struct wire_text text, const char *other);

/* A PUBLISH's topics: for each a byte with the name's length (1 to WIRE_TOPIC_MAX) and the name. Appends one; false: no room, or no such name. */
bool wire_topics_append(unsigned char *topics, size_t cap, size_t *len, const char *name, uint8_t name_len);
/* Takes the next one out of *topics, which moves on. False: the end, or (then topics->len is not 0) malformed. */
bool wire_topics_next(struct wire_text *topics, struct wire_text *name);

/* Tells hosts and their boots apart; two equal ones, other than 0, have one CLOCK_MONOTONIC. 0: unknown. */
uint64_t wire_boot(void);

/* Which PLC that is, as an agent's HELLO names it: never UINT32_MAX, which is "not said". */
uint64_t wire_address(const char *host, uint16_t port);

/* A COMMAND tells its age and the time that is left as of when it was sent. Where the receiver has the CLOCK_MONOTONIC of its
 * `boot`, this adds what it spent on its way, also in the socket of a process that stood still: so a deadline holds
 * wherever the time goes. Nothing without a source_ns. */
void wire_command_arrived(struct wire_command *command, uint64_t now_ns);

const char *wire_type_name(enum wire_type_e type); /* "HELLO"; "?" for none */

/* Writes the message into `buffer`; 0 if it does not fit `cap`, or a text is longer than its maximum. WIRE_MAX bytes
 * always suffice. */
size_t wire_encode(const struct wire_message *message, void *buffer, size_t cap);

/* ERR_MALFORMED: anything but exactly one well-formed message within its limits. */
enum err_e wire_decode(const void *data, size_t len, struct wire_message *message);
