/* channels_page.h — the store's answer to EVENTS, cut into events (Hop: R4). Pure; fuzzed (tests/fuzz/channels_page_fuzz.c).
 *
 *     [{…,"seq":"0a1b2c3d-17"},{…,"seq":"0a1b2c3d-29"}]
 *
 * Events go to clients byte for byte as they stand there, which is as they stood in the ring. So no tree is made: the reader knows strings
 * and nesting, and that the seq is the last member. Anything else is malformed; it never reads beyond the text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct channels_page {
    const char *at;
    size_t left;
    bool first, end, malformed;
};

struct channels_event { /* texts point into the page */
    const char *text, *seq;
    size_t len, seq_len;
};

struct channels_page channels_page_init(const char *body, size_t len);
/* The next event; false: the end, or page->malformed. */
bool channels_page_next(struct channels_page *page, struct channels_event *event);
