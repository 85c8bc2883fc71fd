/* channels_query.h — what the query of an upgrade asks for (Hop: C2). Pure; fuzzed (tests/fuzz/channels_query_fuzz.c).
 *
 *     channel   default and if empty: general; else a valid name
 *     user_id   optional; at most CHANNELS_USER_MAX bytes of UTF-8
 *     since     optional; "RING-N", which only the endpoint can judge
 *
 * Names and values are percent-decoded, '+' is a space; of a parameter that stands there twice the first counts; others are ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "topic.h"

#define CHANNELS_USER_MAX  64u
#define CHANNELS_SINCE_MAX 31u

enum channels_query_e { CHANNELS_QUERY_GOOD, CHANNELS_QUERY_NO_CHANNEL, CHANNELS_QUERY_NO_USER };

struct channels_query {
    char channel[CHANNEL_NAME_MAX + 1];
    char user_id[CHANNELS_USER_MAX + 1]; /* "": none */
    char since[CHANNELS_SINCE_MAX + 1];  /* "": none */
    size_t channel_len, user_len, since_len;
    bool since_bad; /* there is one, and it cannot be a place */
};

/* CHANNELS_QUERY_NO_CHANNEL, _NO_USER: it is none. */
enum channels_query_e channels_query_parse(const char *text, struct channels_query *query);
