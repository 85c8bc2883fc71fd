/* audience_internal.h — between audience.c (who is in it), audience_topics.c (sets of topics), audience_log.c (what it is
 * owed) and audience_lane.c. */
#pragma once

#include "audience.h"

struct topic_entry {
    struct topic topic;
    struct audience **audiences;
    uint32_t count, cap;
};

/* audience.c */
/* The current record went to somebody who cannot lag and whose socket is not full. */
void audiences_note_pressure(struct audiences *all, uint32_t len);

/* audience_topics.c */
uint32_t topics_sort_distinct(struct topic *topics, uint32_t count);
uint64_t topics_key(const struct topic *topics, uint32_t count);
bool topics_same(const struct audience *audience, const struct topic *topics, uint32_t count);
/* Enters the audience with each topic, and notes what kinds they are. False: out of memory; what was entered stays. */
bool audience_fill_topics(struct audiences *all, struct audience *audience, const struct topic *topics,
                          uint32_t count);
void audience_drop_topics(struct audiences *all, struct audience *audience);

/* audience_log.c */
void audience_log_fini(struct audiences *all, struct audience *audience);
/* If nobody is behind: frees what no member needs any more, and gives a large audience its own log. */
void audience_settle(struct audiences *all, struct audience *audience);
bool audience_is_caught_up(const struct client *client);

/* audience_lane.c */
void lane_fini(struct audiences *all, struct lane *lane);
/* True: an entry was given up for it. */
bool lane_push(struct audiences *all, struct lane *lane, uint64_t at, uint64_t position, uint32_t bytes);
/* Nobody needs its entries. */
void lane_clear(struct audiences *all, struct lane *lane);
