/* store_call_stage.h — a worker's calls of the store on a manual clock: the link to the broker is played by the test, which says what it takes,
 * replies as it likes, and keeps what each call was told.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"
#include "must.h"
#include "store_call.h"

#define INCARNATION 77u
#define CALLS_MAX   8u

struct stage;

struct told { /* what `done` of one call said */
    struct stage *stage;
    unsigned times, status;
    uint64_t version, ticket;
    size_t len;
    char body[256];
    struct told *again, *forgets; /* from within done: another call is made, or forgotten */
};

struct stage {
    struct clock_manual clock;
    struct conf conf;
    struct endpoint_host host;
    struct endpoint endpoint;
    enum err_e sends;                  /* what the link says */
    struct wire_store_request request; /* the last one, without its texts */
    char who[IDENTITY_NAME_MAX + 1];
    size_t arguments_len;
    unsigned sent;
    struct told told[CALLS_MAX];
    bool asking; /* inside store_call() */
};

static inline enum err_e send_message(void *arg, struct wire_message *message)
{
    static unsigned char buffer[WIRE_MAX];
    struct stage *stage = arg;
    struct wire_message decoded;
    if (stage->sends != ERR_OK)
        return stage->sends;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, len, &decoded), ERR_OK);
    assert_int_equal(decoded.type, WIRE_STORE_REQUEST);
    stage->request = decoded.store_request;
    wire_text_copy(decoded.store_request.who, stage->who, sizeof stage->who);
    stage->arguments_len = decoded.store_request.arguments.len;
    stage->sent++;
    return ERR_OK;
}

static enum err_e ask(struct stage *stage, unsigned n, enum store_op_e op);

static inline void on_done(void *arg, const struct store_answer *answer)
{
    struct told *told = arg;
    assert_false(told->stage->asking);
    told->times++;
    told->status = answer->status;
    told->version = answer->version;
    told->len = answer->len;
    memcpy(told->body, answer->body,
           answer->len < sizeof told->body - 1 ? answer->len : sizeof told->body - 1);
    if (told->forgets != NULL)
        store_call_forget(&told->stage->endpoint, told->forgets->ticket);
    if (told->again != NULL)
        assert_int_equal(ask(told->stage, (unsigned)(told->again - told->stage->told), STORE_OP_READ),
                         ERR_OK);
}

static inline enum err_e ask_with(struct stage *stage, unsigned n, const struct store_call *call)
{
    struct told *told = &stage->told[n];
    *told = (struct told){.stage = stage, .again = told->again, .forgets = told->forgets};
    stage->asking = true;
    enum err_e err = store_call(&stage->endpoint, call, on_done, told, &told->ticket);
    stage->asking = false;
    return err;
}

static inline enum err_e ask(struct stage *stage, unsigned n, enum store_op_e op)
{
    return ask_with(stage, n, &(struct store_call){.op = op, .entity = ENTITY_SENSOR, .id = 5, .who = "ana"});
}

static inline void hear(struct stage *stage, struct wire_message *message)
{
    static unsigned char buffer[WIRE_MAX];
    struct wire_message decoded;
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, len, &decoded), ERR_OK);
    assert_true(host_hear(&stage->host, &decoded));
}

static inline void reply_bytes(struct stage *stage, unsigned n, unsigned status, uint64_t offset,
                               const char *body, size_t len, bool last)
{
    struct wire_message message = {.type = WIRE_STORE_REPLY};
    message.store_reply = (struct wire_store_reply){.worker = INCARNATION,
                                                    .serial = stage->told[n].ticket,
                                                    .status = status,
                                                    .version = 3,
                                                    .offset = offset,
                                                    .last = last,
                                                    .body = {body, (uint32_t)len}};
    hear(stage, &message);
}

static inline void reply(struct stage *stage, unsigned n, unsigned status, uint64_t offset, const char *body,
                         bool last)
{
    reply_bytes(stage, n, status, offset, body, strlen(body), last);
}

static inline void lose_store(struct stage *stage)
{
    hear(stage, &(struct wire_message){.type = WIRE_STORE_LOST, .store_lost = {.incarnation = 9}});
}

static inline void pass_ms(struct stage *stage, uint64_t ms)
{
    clock_manual_advance_ns(&stage->clock, ms * NS_PER_MS);
    host_tick(&stage->host);
}

static inline const struct store_call_counts *counts(const struct stage *stage)
{
    return &stage->host.store_calls.counts;
}

static inline void expect(const struct stage *stage, unsigned n, unsigned status, const char *part)
{
    const struct told *told = &stage->told[n];
    assert_int_equal(told->times, 1);
    assert_int_equal(told->status, status);
    if (strstr(told->body, part) == NULL)
        fail_msg("%s is not in %s", part, told->body);
}

static inline int open_stage(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    const struct host_config config = {.conf = &stage->conf,
                                       .clock = &stage->clock.clock,
                                       .incarnation = INCARNATION,
                                       .send_message = send_message,
                                       .arg = stage};
    assert_int_equal(host_init(&stage->host, &config), ERR_OK);
    stage->endpoint = (struct endpoint){.host = &stage->host};
    *state = stage;
    return 0;
}

static inline int close_stage(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(stage->host.store_calls.bytes == 0 || stage->host.store_calls.count > 0, 1);
    host_stop(&stage->host);
    host_fini(&stage->host);
    free(stage);
    return 0;
}
