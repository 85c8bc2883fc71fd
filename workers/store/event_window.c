/* See event_window.h. */
#include "event_window.h"

#include <string.h>

#include "must.h"

void event_window_init(struct event_window *window, uint64_t cursor)
{
    window->cursor = cursor;
    window->sent_count = 0;
    window->note_count = 0;
}

bool event_window_has_room(const struct event_window *window)
{
    return window->sent_count < WIRE_EVENTS_WINDOW &&
           window->sent_count + window->note_count < EVENT_NOTES_MAX;
}

void event_window_sent(struct event_window *window, uint64_t seq)
{
    MUST(event_window_has_room(window) && seq > window->cursor);
    window->sent[window->sent_count++] = seq;
    window->cursor = seq;
}

static bool find(const struct event_window *window, uint64_t seq, unsigned *at)
{
    for (*at = 0; *at < window->sent_count && window->sent[*at] < seq;)
        ++*at;
    return *at < window->sent_count && window->sent[*at] == seq;
}

bool event_window_acked(struct event_window *window, const struct event_note *note)
{
    unsigned at;
    if (!find(window, note->seq, &at))
        return false;
    window->sent_count--;
    memmove(window->sent + at, window->sent + at + 1, (window->sent_count - at) * sizeof *window->sent);
    window->notes[window->note_count++] = *note;
    return true;
}

void event_window_again(struct event_window *window)
{
    if (window->sent_count > 0)
        window->cursor = window->sent[0] - 1;
    window->sent_count = 0;
}

void event_window_noted(struct event_window *window, unsigned count)
{
    MUST(count <= window->note_count);
    window->note_count -= count;
    memmove(window->notes, window->notes + count, window->note_count * sizeof *window->notes);
}
