/* streams_admin_stage.h — for the tests of getnumchannels() and getchannelinfo(): questions, and answers to the byte. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams_stage.h"

#define NUM  "{\"ws_op\":\"admin\",\"ws_msg\":\"getnumchannels()\"}"
#define INFO "{\"ws_op\":\"admin\",\"ws_msg\":\"getchannelinfo()\"}"

static inline void tick(void)
{
    for (unsigned i = 0; i < STAGE_WORKERS; i++)
        streams_dialect.tick(&stage.workers[i]);
}

static inline void expect_reply(struct endpoint_conn *c, unsigned replies, const char *text)
{
    assert_int_equal(c->replies, replies);
    assert_string_equal(c->reply, text);
}

static inline void expect_error(struct endpoint_conn *c, unsigned replies, const char *text)
{
    char expected[512];
    snprintf(expected, sizeof expected, "{\"ws_op\":\"error\",\"ws_msg\":\"%s\"}", text);
    expect_reply(c, replies, expected);
}

static inline void open(struct endpoint_conn *c, const char *ids)
{
    char text[512];
    snprintf(text, sizeof text, "{\"ws_op\":\"open\",\"ws_stream_ids\":[%s]}", ids);
    stage_say(c, text);
}

static inline unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    const char *end = text + strlen(text);
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL; at++)
        n++;
    return n;
}
