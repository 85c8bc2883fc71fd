/* What the plays of the dialect of endpoints have in common: the stage set up and taken down around each, and what a client reads next. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "validated_stage_pool.h"

#define ERROR_OF(status, type, msg)                                                                          \
    "{\"statusCode\":" status ",\"body\":{\"errorList\":[{\"loc\":[],\"type\":\"" type "\",\"msg\":\"" msg   \
    "\"}]}}"
#define FAILED      ERROR_OF("500", "handler_failed", "The handler failed")
#define UNAVAILABLE ERROR_OF("503", "handler_unavailable", "No handler is available")
#define TIMED_OUT   ERROR_OF("503", "handler_timeout", "The handler did not answer in time")

static inline int setup(void **state)
{
    (void)state;
    stage_start();
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    assert_int_equal(validated_counts(&stage.own)->waiting_bytes, 0);
    stage_stop();
    return 0;
}

static inline void expect(struct endpoint_conn *conn, const char *text)
{
    const char *read = stage_read(conn);
    assert_non_null(read);
    assert_string_equal(read, text);
}

static inline void expect_nothing(struct endpoint_conn *conn)
{
    assert_null(stage_read(conn));
}

static inline const char *last_message(void)
{
    assert_true(stage.message_count > 0);
    return stage.messages[stage.message_count - 1].json;
}

static inline unsigned last(void)
{
    return stage.message_count - 1;
}

static inline uint64_t faults(enum validated_fault_e fault)
{
    return validated_counts(&stage.own)->faults[fault];
}

/* A JSON string of so many letters; the caller's to free. */
static inline char *letters(size_t count, char letter)
{
    char *text = malloc(count + 3);
    MUST(text != NULL);
    memset(text, letter, count + 2);
    text[0] = text[count + 1] = '"';
    text[count + 2] = '\0';
    return text;
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
