/* validated_queue.h — a connection's messages under way, and what waits for them (Hop: C2). Pure but for memory.
 *
 *     messages  ──▶ [deferred …] ──▶ under way (at most VALIDATED_UNDER_WAY) ──▶ answered, in the order of the messages
 *                   one read had             │
 *                   brought them             └─ answered before an earlier one: its text waits here
 *
 * A message's token runs from 0 per queue; a queue lives from a connection's first message under way to its last. Bounded: what waits is
 * VALIDATED_WAITING_MAX bytes; what is deferred is what one read (16 KiB, and the message that it ended) had brought before the
 * connection was held. Rejected: to answer as handlers do, and let clients sort it out (they have no number for their messages); one
 * message under way at a time (a client's pipeline would wait for each round trip).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define VALIDATED_UNDER_WAY   16u
#define VALIDATED_WAITING_MAX (1024u * 1024u) /* bytes of answers that wait for earlier ones */

struct validated_queue;

struct validated_queue *validated_queue_new(void); /* NULL: no memory */
void validated_queue_free(struct validated_queue **queue);

unsigned validated_queue_under_way(const struct validated_queue *queue);
bool validated_queue_full(const struct validated_queue *queue);
bool validated_queue_idle(const struct validated_queue *queue); /* nothing is under way, nothing deferred */
size_t validated_queue_waiting(const struct validated_queue *queue); /* bytes of answers */

/* The token of one more message under way; the queue is not full. */
uint64_t validated_queue_begin(struct validated_queue *queue);

/* The answer to a message under way. True: it is its turn (all earlier ones were answered), and it was taken off. */
bool validated_queue_turn(struct validated_queue *queue, uint64_t token);

struct validated_text {
    char *at; /* NULL: nothing is to be sent */
    size_t len;
    bool binary;
};

/* It is not its turn: a copy waits. ERR_FULL: beyond VALIDATED_WAITING_MAX; ERR_MEMORY. */
enum err_e validated_queue_wait(struct validated_queue *queue, uint64_t token,
                                const struct validated_text *text);
/* The next answer whose turn has come meanwhile; the caller frees text->at. */
bool validated_queue_next(struct validated_queue *queue, struct validated_text *text);

/* A message that must wait until fewer are under way. ERR_MEMORY. */
enum err_e validated_queue_defer(struct validated_queue *queue, const char *text, size_t len, bool binary);
/* The oldest of them, whose text the caller frees. */
bool validated_queue_recall(struct validated_queue *queue, struct validated_text *message);
