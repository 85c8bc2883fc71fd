/* endpoint.h — how every dialect is built (Hops: C2, R3).
 *
 * A dialect is a table of functions. It sees connections, whole messages, machines and commands; never sockets, rings,
 * logs or the bus. What it may do with a connection:
 *
 *     reply       a message to this connection, placed in order: after everything the connection was owed when it was
 *                 made, before every frame that follows
 *     subscribe   a set of topics; frames of the ring that name one of them then go to the connection without the
 *                 dialect being asked
 *     send up     a command, to the broker; its answers come back through the ring, already encoded
 *     publish     a message, to everybody in the installation who is subscribed to one of its topics
 *     survey      ask all workers what they know of their connections
 *     close       with an RFC 6455 code
 *
 * One thread; everything here may be called from every dialect function, and nothing blocks. A dialect's state lives
 * in the connection (conn_bytes, zeroed). on_connect and on_disconnect are called exactly once each, on every way in
 * and out; between closing and on_disconnect no message arrives and replies are dropped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "command.h"
#include "errcode.h"
#include "identity.h"
#include "machine.h"
#include "topic.h"

typedef struct uv_loop_s uv_loop_t;

struct conf;
struct endpoint;      /* a dialect at work at one listener of this process */
struct endpoint_conn; /* a connection to it */
struct mirror_machine;

struct endpoint_request {            /* texts are valid during on_connect only */
    const char *path;                /* without query, at most 8 KiB, as the client wrote it */
    const char *query;               /* without '?', "" if none */
    const char *listener;            /* name from the configuration */
    const struct identity *identity; /* never NULL; lives as long as the connection */
};

/* A command as a client gave it. The texts are copied by endpoint_send_command(). */
struct endpoint_command {
    char machine[MACHINE_ID_MAX + 1];
    char request_id[REQUEST_ID_MAX + 1]; /* "": none */
    uint16_t command;                    /* 0..255, or COMMAND_REARM */
    int argument;                        /* -1: none */
    int64_t deadline_ms;                 /* -1: the machine's default */
};

struct endpoint_cursor {
    uint64_t a, b, c;
};

#define ENDPOINT_ROW_MAX 1024u /* bytes of one row of a survey */

struct endpoint_dialect {
    const char *name;
    unsigned record_dialect; /* enum record_dialect_e of the frames its connections understand */
    size_t conn_bytes;       /* its state per connection */
    size_t shared_bytes;     /* its state per process, whatever the number of listeners: endpoint_shared() */

    /* Once per process, before anything else, with endpoint_shared() zeroed; not ERR_OK: the worker does not start. And once at the end,
     * after the last connection and the end of a survey. NULL: nothing to do. These, tick and survey_rows get the dialect's own
     * endpoint, which belongs to no listener; ticks begin before the first connection. */
    enum err_e (*start)(struct endpoint *endpoint);
    void (*stop)(struct endpoint *endpoint);
    void (*tick)(struct endpoint *endpoint); /* a few times a second; NULL: not wanted */

    /* A path that needs a token even at a listener that asks for none; NULL: there is no such path. */
    bool (*path_secure)(const struct endpoint *endpoint, const char *path, size_t len);
    /* The process stops or is drained: the connection is closed with 1001, or 1012, right after. NULL: nothing to say. */
    void (*on_going_away)(struct endpoint_conn *conn);
    /* True: something that the client asked for is under way elsewhere and will be answered, a command aside; a worker that is
     * drained closes such a connection last. NULL: never. */
    bool (*is_waiting)(struct endpoint_conn *conn);

    /* A reload, like start: once per process. reload_prepare() makes what `next` needs and changes nothing; then either reload_commit(), within
     * and after which endpoint_conf() is that `next`, and after which nothing of the dialect's may point into the configuration before; or
     * reload_abort(). NULL, all three: the dialect keeps nothing of the configuration. */
    enum err_e (*reload_prepare)(struct endpoint *endpoint, const struct conf *next);
    void (*reload_commit)(struct endpoint *endpoint);
    void (*reload_abort)(struct endpoint *endpoint);
    /* After a commit: may the connection go on as it is? False: it is closed with 1008 and this reason. NULL: it may. */
    bool (*still_allowed)(struct endpoint_conn *conn, const char **reason);

    /* False refuses the upgrade with 404. May be called before any connection exists; not before start. */
    bool (*path_served)(const struct endpoint *endpoint, const char *path, size_t len);
    void (*on_connect)(struct endpoint_conn *conn, const struct endpoint_request *request);
    void (*on_receive)(struct endpoint_conn *conn, const char *text, size_t len, bool binary);
    void (*on_disconnect)(struct endpoint_conn *conn);

    /* NULL are the next three in a dialect that never subscribes to states (states), never to anything that is kept, which are
     * all topics but those of streams and endpoints (on_gap), and never sends a command (on_command_failed).
     *
     * The payload that shows the current states of `machines` (at least one); used where a client that lagged gets the
     * newest states instead of its backlog. `position`: what its "seq" says (endpoint_seq()), 0: no "seq", because other
     * frames from before are still owed. Returns its length, at most `cap`. */
    size_t (*states)(struct endpoint *endpoint, const struct mirror_machine *const *machines, uint32_t count,
                     uint64_t position, char *payload, size_t cap);
    /* Frames that cannot be merged were lost to this worker: tell the connection. endpoint_lost() says from where on. */
    void (*on_gap)(struct endpoint_conn *conn);
    /* The worker itself must answer a command: no broker took it, or none answered in time. */
    void (*on_command_failed)(struct endpoint_conn *conn, const struct endpoint_command *command,
                              enum command_code_e code);

    /* Another worker, or this one, surveys: appends rows about this process's connections, whole ones, as many as fit (at
     * least one: ENDPOINT_ROW_MAX bytes are free); *cursor, all zero at the beginning, moves on behind them. True: that were the
     * last. Connections may come, go and change between two calls: what was there all the time is told exactly once. NULL: nobody
     * surveys this dialect. */
    bool (*survey_rows)(struct endpoint *endpoint, unsigned question, struct endpoint_cursor *cursor,
                        struct out *rows);
};

/* --- connections ------------------------------------------------------------------------------------------------- */

void *endpoint_state(struct endpoint_conn *conn); /* conn_bytes */
struct endpoint *endpoint_of(struct endpoint_conn *conn);
void *
endpoint_shared(const struct endpoint *endpoint); /* shared_bytes, the same for all listeners of a dialect */
uint64_t endpoint_serial(const struct endpoint_conn *conn);       /* from 1, never reused in this process */
const char *endpoint_principal(const struct endpoint_conn *conn); /* identity_name(): "" nobody */
/* Whether whoever is connected may do that; everything at a listener that asks for no token. When a token expires, its
 * connections are closed with 1008, "Token expirado"; the dialect needs to do nothing for it. */
bool endpoint_may(const struct endpoint_conn *conn, enum grant_e grant, const char *name, size_t len);
bool endpoint_may_all(const struct endpoint_conn *conn, enum grant_e grant);
const struct identity *
endpoint_identity(const struct endpoint_conn *conn); /* lives as long as the connection */

/* The dialect's own endpoint in the process of `any`; NULL: it is not at work there. */
struct endpoint_dialect;
struct endpoint *endpoint_own(const struct endpoint *any, const struct endpoint_dialect *dialect);

/* One text message to this connection. The payload is copied. Bounded: a connection that does not read its replies is
 * closed with 1013. */
void endpoint_reply(struct endpoint_conn *conn, const char *payload, size_t len);
/* The same as a binary message. */
void endpoint_reply_binary(struct endpoint_conn *conn, const void *payload, size_t len);

/* Replies to this connection may be kept from here on, so that several leave with one write: until another connection is gathered for,
 * endpoint_gathered(), or something else is sent to it. Order is as without. For answers that come from elsewhere; those given to the messages of
 * one read are kept by themselves. */
void endpoint_gather(struct endpoint_conn *conn);
void endpoint_gathered(struct endpoint *endpoint);

/* The connection is not read, or read again: backpressure of the dialect's own, beside that of endpoint_publish(). What one read
 * has brought already is still delivered. Nothing if it is (not) held already. */
void endpoint_hold(struct endpoint_conn *conn, bool hold);

/* Adds topics to what the connection is subscribed to. A frame that names several of them reaches it once. The frames
 * that follow this call are those after endpoint_position(). ERR_TOO_LARGE: more topics than a connection may have;
 * ERR_MEMORY; ERR_CLOSED. Nothing changes on an error. A set is made anew with each change, here and below: each 64 topics of it count as
 * one message more against the client's rate. What changes nothing costs nothing. */
enum err_e endpoint_subscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count);

/* Takes topics away; those that the connection does not have are ignored. What it is owed already still arrives. */
enum err_e endpoint_unsubscribe(struct endpoint_conn *conn, const struct topic *topics, uint32_t count);

/* What the connection is subscribed to, in the order of the hashes; good until the next call that subscribes or unsubscribes.
 * Returns the count. */
uint32_t endpoint_topics(struct endpoint_conn *conn, const struct topic **topics);

/* True if the connection is subscribed to this very topic (not to one that covers it). */
bool endpoint_is_subscribed(const struct endpoint_conn *conn, const struct topic *topic);

/* Resuming. A frame's "seq" is a promise: everything up to it was sent on this connection. So a client comes back with
 * the last seq that it saw, and is owed what stands behind it: of states the newest (endpoint_machine()->position >=
 * since.position), of everything else each frame in order. The order to keep:
 *
 *     endpoint_subscribe(); confirmation; endpoint_missed(); gap, if there is one; snapshot with the seq of
 *     missed.first; endpoint_replay(); then the frames that follow come by themselves */
struct endpoint_since {
    bool known; /* of this ring and not from its future; false: nothing can be said about what was missed */
    uint64_t position; /* of the first place that the client has not seen */
    uint32_t ring;
};

/* Reads "RING-N"; false: not of that form. */
bool endpoint_parse_seq(const struct endpoint *endpoint, const char *text, size_t len,
                        struct endpoint_since *since);

/* What is not seen yet from endpoint_position() on. */
struct endpoint_since endpoint_now(const struct endpoint *endpoint);
/* Whether it is known now: rings are replaced, and this worker reads on. */
void endpoint_look_again(const struct endpoint *endpoint, struct endpoint_since *since);

struct endpoint_missed {
    bool gap;       /* frames of these topics may have been missed that the ring does not hold any more */
    uint64_t first; /* position of the first missed frame that it holds; endpoint_position(): none */
};

/* Frames of `topics` that are never merged (results, events), from `since` up to now; topics of states are ignored. */
struct endpoint_missed endpoint_missed(struct endpoint *endpoint, const struct topic *topics, uint32_t count,
                                       struct endpoint_since since);

/* Those frames go to the connection, as fast as it reads them and without memory for them, after everything that it was
 * given before and before every frame that follows. Frames that leave the ring meanwhile make an on_gap(). ERR_MEMORY,
 * ERR_CLOSED. */
enum err_e endpoint_replay(struct endpoint_conn *conn, const struct topic *topics, uint32_t count,
                           struct endpoint_missed missed);

/* Within on_gap, true: this worker lost its place in the ring; *since is the first place that it has not read, and the connection was given
 * everything before. It may be unsubscribed, subscribed and given frames then. False: a replay to the connection was too slow, and goes on behind
 * what is lost; the connection may be sent replies and nothing else. */
bool endpoint_lost(const struct endpoint_conn *conn, struct endpoint_since *since);

/* May a snapshot made now carry a "seq"? Not while the connection is owed older states (it lags): resuming from there
 * would lose them. */
bool endpoint_may_seq(const struct endpoint_conn *conn);

void endpoint_close(struct endpoint_conn *conn, unsigned code, const char *reason);

/* Sends a command up. ERR_OK: it is answered exactly once, through the ring or by on_command_failed.
 * ERR_FULL: too many commands of this connection or worker wait for an answer; nothing was sent. */
enum err_e endpoint_send_command(struct endpoint_conn *conn, const struct endpoint_command *command);

/* --- publishing and surveys -------------------------------------------------------------------------------------- */

#define ENDPOINT_PUBLISH_MAX (192u * 1024u) /* bytes of a payload */

/* The payload, as one text frame, goes to every other connection of this dialect, at whatever worker, that is subscribed to one
 * of the topics to which this one is subscribed now: to each once, in order per sender. `echo`: to this one, too. It is not lost,
 * nor sent twice, when the broker dies. A connection that publishes faster than the broker takes it is not read for a while
 * (backpressure).
 *
 * ERR_NOT_FOUND: subscribed to nothing. ERR_TOO_LARGE: the payload, or more than 1,000 topics. ERR_FULL: the broker is away or behind, and
 * what may wait for it has reached its bound. ERR_MEMORY, ERR_CLOSED. Nothing is sent then. Each 16 topics beyond the first 16 count as
 * one message more against the client's rate. */
enum err_e endpoint_publish(struct endpoint_conn *conn, const char *payload, size_t len, bool echo);

/* The payload, as one text frame (`binary`: binary frame), goes to every connection of this dialect, at whatever worker, that is
 * subscribed to one of `topics`: to each once, in the order of the calls. `except`: one of this worker's that does not get it; NULL: everybody.
 * Whatever becomes of the broker, as endpoint_publish(); nobody is held: who is its source asks endpoint_may_publish() first.
 * ERR_NOT_FOUND: no topics. ERR_TOO_LARGE: the payload, or more than 1,000 topics. ERR_FULL, ERR_MEMORY. Nothing is sent then.
 * A text payload is valid UTF-8, and the topics are this dialect's: else the broker drops it. */
enum err_e endpoint_publish_to(struct endpoint *endpoint, const struct topic *topics, uint32_t count,
                               const void *payload, size_t len, bool binary, struct endpoint_conn *except);
/* False from when what waits for the broker reaches the mark at which senders are held (1 MiB) until less than half of that is left. Up to
 * the hard bound (4 MiB) endpoint_publish_to() takes messages all the same. */
bool endpoint_may_publish(const struct endpoint *endpoint);

/* The message at hand counts as `messages` more against the client's rate (websocket.max_messages_per_s), because of what it
 * costs. */
void endpoint_charge(struct endpoint_conn *conn, unsigned messages);

/* Where its peer is, "127.0.0.1:43210", "[::1]:43210", or "unknown"; asks the kernel. */
#define ENDPOINT_PEER_MAX 64u
void endpoint_peer(const struct endpoint_conn *conn, char peer[ENDPOINT_PEER_MAX]);
/* False while its socket is full. */
bool endpoint_is_writable(const struct endpoint_conn *conn);
/* Bytes of replies that all connections of this process together have not read yet. */
uint64_t endpoint_owed_bytes(const struct endpoint *endpoint);

struct endpoint_survey_events {
    /* The next rows of one worker; the rows of different workers come interleaved. */
    void (*rows)(void *arg, const char *rows, size_t len);
    /* Once, and the end. ERR_OK: every worker of the installation told all its rows. Else the rows are worth nothing:
     * ERR_TIMEOUT: somebody did not answer in time, or there is no broker; ERR_CLOSED: the broker, or a worker, went away meanwhile;
     * ERR_TOO_LARGE: more than 64 MiB of rows; ERR_MALFORMED: a worker's answers have no end. `silent`: how many workers did not tell
     * everything, of `workers` (0: unknown). */
    void (*done)(void *arg, enum err_e err, unsigned silent, unsigned workers);
};

#define ENDPOINT_SURVEY_MS 2000u /* the time that a survey may take */

/* Asks the same dialect in all workers, this one among them, `question`; its events come later, never from within this call.
 * ERR_BUSY: one survey at a time and dialect, not from within its events, and not yet, because the last one cost the workers
 * time (three times what their answers, and done, took must pass): try again in `tick`. ERR_CLOSED: the process ends. */
enum err_e endpoint_survey(struct endpoint *endpoint, unsigned question,
                           const struct endpoint_survey_events *events, void *arg);

/* Stream channels of all other workers, as the broker told at most a few seconds ago; and what this one has. */
uint64_t endpoint_channels_elsewhere(const struct endpoint *endpoint);
void endpoint_set_channels(struct endpoint *endpoint, uint64_t channels);

/* --- what the worker knows --------------------------------------------------------------------------------------- */

uint64_t endpoint_wall_ms(const struct endpoint *endpoint);
/* The place in the ring up to which this worker has read: machines' states are complete up to here. */
uint64_t endpoint_position(const struct endpoint *endpoint);
/* Its name for clients, "RING-N", for a last member "seq". */
#define ENDPOINT_SEQ_MAX 32
void endpoint_seq(const struct endpoint *endpoint, uint64_t position, char seq[ENDPOINT_SEQ_MAX]);

/* Machines by slot, 0 to endpoint_machine_slots() - 1; NULL where there is none. Pointers are valid until the dialect
 * function returns. */
uint32_t endpoint_machine_slots(const struct endpoint *endpoint);
uint32_t endpoint_machine_count(const struct endpoint *endpoint);
const struct mirror_machine *endpoint_machine(const struct endpoint *endpoint, uint32_t slot);
const struct mirror_machine *endpoint_find_machine(const struct endpoint *endpoint, const char *id,
                                                   size_t len);

/* Settings of the configuration that dialects ask for, as it is in force now: good until the dialect function returns. */
struct clock;
const struct conf *endpoint_conf(const struct endpoint *endpoint);

/* The worker's event loop, for descriptors and timers of the dialect's own (not of its connections). NULL in tests without one. */
uv_loop_t *endpoint_loop(const struct endpoint *endpoint);
const struct clock *endpoint_clock(const struct endpoint *endpoint);

/* Memory for building payloads: one buffer per worker of ENDPOINT_SCRATCH bytes, good until the dialect function
 * returns; nested use is not possible. */
#define ENDPOINT_SCRATCH (8u * 1024u * 1024u)
char *endpoint_scratch(struct endpoint *endpoint);
