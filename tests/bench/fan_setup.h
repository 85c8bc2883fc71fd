/* fan_setup.h — the two sides of a fan-out comparison: a rig whose states come from the bench's source, or whose stream messages
 * from its sender, and the bare sender, each with its own clients. */
#pragma once

#include "bench.h"
#include "phase.h"
#include "source.h"
#include "stream_sender.h"

struct fan_source { /* plays the agents of a rig */
    struct source_shared *shared;
    struct source_table *table;
    struct source_options options;
    struct child child;
};

struct fan_sender { /* publishes to a stream of a rig */
    struct stream_sender_shared *shared;
    struct stream_sender_options options;
    struct child child;
};

struct fan_bare {
    struct bare_shared *shared;
    struct source_table *table;
    struct bare_options options;
    struct child child;
    struct fleet fleet;
};

/* All answer ERR_OK, or an error that is logged; the stop functions may be called in any case. First the source is
 * made, then the clients (whose generators look up times in its table), then it is started. */
enum err_e fan_source_init(struct fan_source *source, const struct rig *rig);
enum err_e fan_source_start(struct fan_source *source, const struct fleet *fleet, int core);
void fan_source_set(struct fan_source *source, enum source_command_e command);
bool fan_source_stop(struct fan_source *source);

/* After its receivers. ERR_TIMEOUT: it could not open the stream. */
enum err_e fan_sender_start(struct fan_sender *sender, const struct stream_sender_options *options,
                            const struct fleet *fleet, int core);
void fan_sender_set(struct fan_sender *sender, enum stream_sender_command_e command);
bool fan_sender_stop(struct fan_sender *sender);

enum err_e fan_bare_start(struct fan_bare *bare, const struct bench *bench, uint32_t machines,
                          uint32_t clients);
/* The same with stream messages of `bytes`. */
enum err_e fan_bare_start_stream(struct fan_bare *bare, const struct bench *bench, uint32_t bytes,
                                 uint32_t clients);
void fan_bare_set(struct fan_bare *bare, enum bare_command_e command);
bool fan_bare_stop(struct fan_bare *bare);

/* Waits until the clients receive nothing any more: neither deliveries nor what a lagging client gets instead. */
void fan_drain(const struct fleet *fleet);
