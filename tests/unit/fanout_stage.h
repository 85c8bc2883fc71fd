/* fanout_stage.h — the stage of fan-out's plays: a real ring and table, the tail, history, audiences and the outbox; sockets
 * are played, and take as many bytes as they are told.
 *
 * Frames say what they are: items "S<slot>=<reading>;" (a state), "R<slot>=<number>;" (a result), "E<slot>=<number>;" (an
 * event), "M<client>=<number>;" (a stream message of that client's), "P=<number>;" (a reply), "G;" (a gap), then "#<N>;", the seq, if there is one, then blanks.
 */
#pragma once

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "audience.h"
#include "clock.h"
#include "history.h"
#include "lvt_writer.h"
#include "outbox.h"
#include "ring_writer.h"
#include "tail.h"
#include "ws_frame.h"

#define MACHINES  6
#define CLIENTS   24
#define HEARD_MAX (4u * 1024u * 1024u)
#define PLENTY    (SIZE_MAX / 4)
#define WORKER    7u /* incarnation: of records with an origin */

struct socket {
    struct client client;
    size_t room;    /* bytes it still takes */
    bool remainder; /* a frame was taken in part: full until drained */
    bool closed;
    unsigned close_code;
    unsigned char *heard;
    size_t heard_len;
};

struct stage {
    char ring_path[80], lvt_path[80];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct mirror mirror;
    struct history history;
    struct audiences audiences;
    struct outbox outbox;
    struct tail tail;
    struct clock_manual clock;
    struct lvt_machine machines[MACHINES];
    unsigned numbers;  /* of results and events, from 1 */
    unsigned messages; /* of streams, from 1 */
    bool of_endpoints; /* "streams" are topics of an endpoint */
    struct socket sockets[CLIENTS];
    unsigned losses, gaps;
    uint64_t published; /* highest number of this worker's messages that was read in the ring */
    /* A record with an origin: the client's number. NULL: a message that is not for its sender is skipped. */
    void (*on_origin)(struct stage *stage, unsigned client, const struct ring_record *record);
    void *arg;
};

int stage_open(void **state);
int stage_close(void **state);
int stage_open_endpoints(void **state);
#define PLAY(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)
/* The same rules hold for what is published to endpoints: the play again, with their topics and dialect. */
#define PLAY_ENDPOINTS(f)                                                                                    \
    {                                                                                                        \
#f " (endpoints)", f, stage_open_endpoints, stage_close, NULL                                        \
    }

/* --- publishing ------------------------------------------------------------------------------------------------------ */

#define NO_ORIGIN UINT_MAX
void publish_state(struct stage *stage, unsigned slot, unsigned reading, size_t pad);
/* RECORD_RESULT or RECORD_EVENT; returns its number. `origin`: client whose command it answers (ORIGIN_ALSO). */
unsigned publish_number(struct stage *stage, enum record_kind_e kind, unsigned slot, size_t pad,
                        unsigned origin);
/* A message on streams "s0" … to everybody else who has opened one of them, as the broker publishes it: a record for each 16
 * streams. `sender`: client, or NO_SENDER (another worker's). Returns its number. */
#define NO_SENDER 99u
unsigned publish_message(struct stage *stage, unsigned sender, bool echo, const unsigned *streams,
                         unsigned count, size_t pad);
/* A complete frame of the text and `pad` blanks; returns its length. */
uint32_t make_frame(unsigned char *memory, const char *text, size_t text_len, size_t pad);

/* --- clients --------------------------------------------------------------------------------------------------------- */

struct socket *arrive(struct stage *stage, unsigned i, size_t room);
void leave(struct stage *stage, struct socket *s);
/* Adds a stream to what the client has opened; all are closed. */
enum err_e open_stream(struct stage *stage, struct socket *s, unsigned stream);
enum err_e close_streams(struct stage *stage, struct socket *s);
/* A client that has opened `count` streams from `first` on; and one that says something on such. */
struct socket *with_streams(struct stage *stage, unsigned i, unsigned first, unsigned count);
unsigned say(struct stage *stage, unsigned sender, unsigned first, unsigned count, size_t pad);
/* NULL: all machines. The union with what it has; no snapshot. */
enum err_e add_topic(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine);
enum err_e drop_topic(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine);
/* As an endpoint does: with a snapshot for states, whose seq is the present where that may be said. */
void subscribe(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine);
/* The states at or behind `since` of what the client subscribed to, one frame; `position` as of outbox_dialect.states. */
void send_snapshot(struct stage *stage, struct socket *s, uint64_t since, uint64_t position);
void reply(struct stage *stage, struct socket *s, const char *text);

/* Whose messages were read (outbox_begin_read()) is sent its replies. pump() ends with it. */
void end_read(struct stage *stage);
void pump(struct stage *stage);
void give_room(struct stage *stage, struct socket *s, size_t room);

/* --- what was heard ---------------------------------------------------------------------------------------------------- */

/* Calls `item` for each item of each whole frame from *at on, and moves *at. kind: S R E M P G or # (value: the seq). */
typedef void heard_f(void *arg, char kind, unsigned slot, uint64_t value);
void listen_on(const struct socket *s, size_t *at, heard_f *item, void *arg);

struct heard {
    unsigned state[MACHINES]; /* last reading per machine, 0 none */
    unsigned number, numbers, frames, gaps;
    unsigned message, messages; /* last one, how many */
    uint64_t seq;               /* last one, 0 none */
    bool backwards;
    char order[64]; /* the kinds of its first items, without # */
};
struct heard listen_to(const struct socket *s);
