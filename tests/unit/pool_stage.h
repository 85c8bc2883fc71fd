/* pool_stage.h — a pool on a libuv loop with a manual clock, clients that own connections, and pretended handler processes on real Unix
 * sockets in the same thread. Nothing sleeps: `stage_until` turns the loop until a condition holds. */
#pragma once

#include "raw_client.h"

#include "must.h"
#include "pool.h"
#include "pool_internal.h"

enum { STAGE_PROCESSES = 3, STAGE_DEADLINE_MS = 1000, STAGE_STUCK_MS = 30000, STAGE_ANSWER_MAX = 4096 };

/* A client's end of a connection. What it hears is kept. */
struct visitor {
    struct pool_conn *conn;
    unsigned answers, sends, closes, subscribes, unsubscribes;
    uint64_t tokens[64];
    struct pool_answer last; /* without body */
    uint64_t last_value;     /* the body, if it is a number */
    unsigned close_code;
    char text[128];           /* topic, reason */
    bool close_when_answered; /* pool_close() from within the event */
    unsigned again;           /* so many more messages from within the event */
};

/* A pretended process. */
struct actor {
    int listen_fd, fd;
    char *bytes;
    size_t len, at, cap;
    msgpack_zone zone;
    struct handler_message message; /* the last one read */
};

struct stage {
    uv_loop_t loop;
    struct clock_manual clock;
    char dir[64];
    struct conf conf;
    struct conf_handler
        handlers[2]; /* "chat" with STAGE_PROCESSES processes of a command; "out" behind a socket */
    struct conf_endpoint endpoints[3]; /* /chat, /chat-raw → chat; /out → out */
    char out_path[96];
    struct pool *pool;
    struct actor actors[STAGE_PROCESSES]; /* of chat */
    struct actor out;
    bool may_publish;
    enum err_e publish_result;
    unsigned publishes, drained;
    uint64_t published_value;
    void *published_except;
    char published_to[128];
    void (*heard)(struct visitor *visitor, uint64_t token,
                  const struct pool_answer *answer); /* NULL: not wanted */
    void (*leaves)(struct visitor *visitor);         /* likewise; before its pool_close() */
};

extern struct stage *stage;

int stage_setup(void **state);
int stage_teardown(void **state); /* every connection is closed by then; checks that nothing is left */
#define T(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)

/* --- actors ------------------------------------------------------------------------------------------------------------------- */

void actor_listen(struct actor *actor, const char *path);
void actor_deaf(struct actor *actor);   /* nobody listens any more */
bool actor_accept(struct actor *actor); /* false: nobody has come */
bool actor_take(struct actor *actor);   /* the next message, if a whole one is there */
void actor_say(struct actor *actor, const struct handler_message *message);
void actor_say_bytes(struct actor *actor, const void *bytes, size_t len);
void actor_die(struct actor *actor);     /* its connection ends; it still listens */
bool actor_is_left(struct actor *actor); /* the pool has closed the link */

void actor_greet(struct actor *actor); /* waits for a link, HELLO; says WELCOME; waits until it is up */
void actor_wait(struct actor *actor, enum handler_message_e type); /* the next one, which is of that type */
void actor_quiet(struct actor *actor);                             /* turns the loop: nothing comes */
void actor_taken(struct actor *actor);                             /* says TAKEN of the last message */
void actor_reply(struct actor *actor, uint64_t event, uint64_t value);
void actor_open(struct actor *actor, bool resumed);          /* waits for OPEN, says TAKEN */
void actor_close(struct actor *actor);                       /* waits for CLOSED, says TAKEN */
uint64_t actor_message(struct actor *actor, uint64_t value); /* waits for MESSAGE of this number; its event */
/* The one actor of chat that has a message; waits. */
struct actor *actor_any(void);

/* --- clients ------------------------------------------------------------------------------------------------------------------ */

void visitor_open(struct visitor *visitor, size_t endpoint);
enum err_e visitor_send(struct visitor *visitor, uint64_t value); /* the token is the value, too */
enum err_e visitor_send_large(struct visitor *visitor, uint64_t token,
                              size_t len); /* a text of so many bytes */
void visitor_close(struct visitor *visitor);
void visitor_answered(const struct visitor *visitor, unsigned count, enum pool_outcome_e outcome); /* waits */

/* --- time --------------------------------------------------------------------------------------------------------------------- */

void stage_turn(unsigned turns);     /* of the loop, without waiting */
void stage_pass(uint64_t ms);        /* time passes at once, then a tick */
void stage_pass_slowly(uint64_t ms); /* in steps of half a second, with a tick and turns each */
#define stage_until(condition) PUMP_UNTIL(&stage->loop, condition)

static inline const struct pool_counts *counts(void)
{
    return pool_counts(stage->pool);
}
