/* event_window.h — which events are with the broker, and which acknowledgements the database does not know yet.
 *
 *          cursor: what lies above was not sent to this broker
 *             │
 *     ─ sent, not acknowledged (at most WIRE_EVENTS_WINDOW) ─ acknowledged: a note ─ in the database: forgotten
 *
 * Numbers only: nothing here sends, stores or knows the time. An acknowledgement may be lost or come out of turn; each stands for its
 * one event. What was sent always has room for its note, so that no acknowledgement is dropped here however long the disk takes:
 * instead nothing more is sent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define EVENT_NOTES_MAX (4u * WIRE_EVENTS_WINDOW)

struct event_note {
    uint64_t seq;
    uint32_t ring_id; /* 0: it is, or was, somewhere */
    uint64_t position;
};

struct event_window {
    uint64_t cursor;
    uint64_t sent[WIRE_EVENTS_WINDOW]; /* ascending */
    unsigned sent_count;
    struct event_note notes[EVENT_NOTES_MAX];
    unsigned note_count;
};

/* Nothing sent, nothing to be noted; what lies above `cursor` is next. */
void event_window_init(struct event_window *window, uint64_t cursor);

/* The next event above window->cursor may be sent. */
bool event_window_has_room(const struct event_window *window);
void event_window_sent(struct event_window *window, uint64_t seq); /* seq > cursor; there is room */

/* False: no such event is awaited. Else its note waits for the database. */
bool event_window_acked(struct event_window *window, const struct event_note *note);

/* What was sent and is not acknowledged goes again: to a new broker, or because acknowledgements do not come. Notes stay. */
void event_window_again(struct event_window *window);

/* The first `count` notes are in the database. */
void event_window_noted(struct event_window *window, unsigned count);
