/* ref_log.c — the slow path of ref_log.h: frames seen for the first time, gaps, snapshots.
 *
 * Entries are in rising order of `seq`, so a frame that does not simply follow is found by bisection.
 */
#include "ref_log.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "must.h"
#include "stream_text.h"

enum err_e ref_log_init(struct ref_log *log, enum ref_text_e text, const struct source_table *table)
{
    *log = (struct ref_log){.text = text, .table = table};
    log->refs = calloc(REF_CAP, sizeof *log->refs);
    return log->refs != NULL ? ERR_OK : ERR_MEMORY;
}

void ref_log_fini(struct ref_log *log)
{
    free(log->refs);
    log->refs = NULL;
}

/* --- reading a frame's text ---------------------------------------------------------------------------------------- */

struct text {
    const char *at;
    size_t len;
};

static struct text after(struct text text, const char *word)
{
    size_t n = strlen(word);
    const char *hit = memmem(text.at, text.len, word, n);
    if (hit == NULL)
        return (struct text){NULL, 0};
    return (struct text){hit + n, text.len - (size_t)(hit + n - text.at)};
}

static bool number(struct text text, uint64_t *value)
{
    size_t i = 0;
    for (*value = 0; i < text.len && i < 19 && text.at[i] >= '0' && text.at[i] <= '9'; i++)
        *value = *value * 10 + (uint64_t)(text.at[i] - '0');
    return i > 0;
}

/* N of … "seq":"RING-N"} at the end. */
static bool parse_seq(const unsigned char *payload, size_t len, uint64_t *seq)
{
    if (len < REF_TAIL * 2 || memcmp(payload + len - 2, "\"}", 2) != 0)
        return false;
    size_t at = len - 2;
    while (at > len - 24 && payload[at - 1] >= '0' && payload[at - 1] <= '9')
        at--;
    return payload[at - 1] == '-' && number((struct text){(const char *)payload + at, len - at}, seq);
}

static uint32_t machine_index(struct text id)
{
    const char *end = memchr(id.at, '"', id.len);
    if (end == NULL)
        return REF_MACHINES;
    const char *digits = end;
    while (digits > id.at && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    uint64_t index = REF_MACHINES;
    if (!number((struct text){digits, (size_t)(end - digits)}, &index) || index >= REF_MACHINES)
        return REF_MACHINES;
    return (uint32_t)index;
}

static bool is_state(const unsigned char *payload, size_t len)
{
    static const char head[] = "{\"type\":\"status_broadcast\"";
    return len >= sizeof head && memcmp(payload, head, sizeof head - 1) == 0;
}

bool ref_parse(const unsigned char *payload, size_t len, struct ref_state *state)
{
    uint64_t position = 0, raw = 0;
    *state = (struct ref_state){0};
    struct text text = {(const char *)payload, len};
    if (!is_state(payload, len) || !parse_seq(payload, len, &state->seq))
        return false;
    struct text id = after(text, "\"status\":{\"");
    state->machine = id.at != NULL ? machine_index(id) : REF_MACHINES;
    text = after(text, "\"position\":");
    bool known = text.at != NULL && number(text, &position);
    text = text.at != NULL ? after(text, "\"raw_status\":") : text;
    known = known && text.at != NULL && number(text, &raw);
    if (!known)
        position = raw = 0;
    state->position = (uint8_t)position;
    state->raw = (uint8_t)raw;
    return state->machine < REF_MACHINES;
}

bool ref_parse_stream(const unsigned char *payload, size_t len, struct ref_state *state)
{
    *state = (struct ref_state){0};
    return stream_text_read(payload, len, &state->source_ns, &state->seq);
}

static bool several_machines(const unsigned char *payload, size_t len)
{
    struct text text = after((struct text){(const char *)payload, len}, "\"raw_status\":");
    return text.at == NULL || after(text, "\"raw_status\":").at != NULL;
}

/* --- the order ------------------------------------------------------------------------------------------------------ */

static uint64_t oldest(const struct ref_log *log)
{
    return log->head > REF_CAP ? log->head - REF_CAP : 0;
}

/* Index of the first entry with seq >= wanted. */
static uint64_t lower_bound(const struct ref_log *log, uint64_t wanted)
{
    uint64_t low = oldest(log), high = log->head;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (log->refs[middle % REF_CAP].seq < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Entries are new in rising order, so a number that is passed over was received by nobody. */
static void expect(struct ref_log *log, uint32_t machine, uint64_t number)
{
    uint64_t *next = &log->next[machine];
    if (*next != 0 && number > *next)
        log->lost += number - *next;
    *next = number + 1;
}

static void look_up_source(struct ref_log *log, struct ref *ref)
{
    if (log->table == NULL || ref->machine >= log->table->machines)
        return;
    size_t pair = (size_t)ref->position << 8 | ref->raw;
    const struct source_entry *entry = &log->table->entries[(size_t)ref->machine * SOURCE_PAIRS + pair];
    ref->source_ns = atomic_load_explicit(&entry->sent_ns, memory_order_acquire);
    expect(log, ref->machine, atomic_load_explicit(&entry->number, memory_order_relaxed));
}

static struct ref *append(struct ref_log *log, const struct ref_state *state, const unsigned char *payload,
                          size_t len)
{
    struct ref *ref = &log->refs[log->head++ % REF_CAP];
    *ref = (struct ref){.seq = state->seq,
                        .source_ns = state->source_ns,
                        .len = (uint32_t)len,
                        .machine = state->machine,
                        .raw = state->raw,
                        .position = state->position};
    memcpy(ref->tail, payload + len - REF_TAIL, REF_TAIL);
    if (log->text == REF_STREAM)
        expect(log, 0, state->seq);
    else
        look_up_source(log, ref);
    return ref;
}

/* Distance from the cursor to `index`, and the cursor at `next`. */
static uint64_t advance(struct ref_cursor *cursor, uint64_t index, uint64_t next)
{
    uint64_t passed = cursor->index == REF_NOWHERE ? 0 : index - cursor->index;
    cursor->index = next;
    return passed;
}

/* Moves the cursor over what its snapshot covers, as far as that is known by now; returns over how many frames. */
static uint64_t cover(const struct ref_log *log, struct ref_cursor *cursor)
{
    uint64_t next = lower_bound(log, cursor->complete_to + 1);
    if (cursor->complete_to == 0 || (cursor->index != REF_NOWHERE && next < cursor->index))
        return 0;
    return advance(cursor, next, next);
}

static struct ref_place place_snapshot(const struct ref_log *log, struct ref_cursor *cursor, uint64_t seq)
{
    if (seq > cursor->complete_to)
        cursor->complete_to = seq;
    return (struct ref_place){.kind = REF_SNAPSHOT, .covered = cover(log, cursor)};
}

static struct ref_place place_state(struct ref_log *log, struct ref_cursor *cursor,
                                    const struct ref_state *state, const unsigned char *payload, size_t len)
{
    uint64_t index = lower_bound(log, state->seq);
    bool new_frame = index == log->head;
    if (cursor->index != REF_NOWHERE && index < cursor->index)
        return (struct ref_place){.kind = REF_OLD};
    struct ref *ref = &log->refs[index % REF_CAP];
    if (!new_frame && (ref->seq != state->seq || ref->len != len)) /* before everything that is known */
        return (struct ref_place){.kind = REF_OLD};
    if (new_frame)
        ref = append(log, state, payload, len);
    cursor->complete_to = 0;
    return (struct ref_place){new_frame ? REF_NEW : REF_KNOWN, ref, advance(cursor, index, index + 1), 0};
}

struct ref_place ref_log_place(struct ref_log *log, struct ref_cursor *cursor, const unsigned char *payload,
                               size_t len)
{
    struct ref_state state;
    bool stream = log->text == REF_STREAM;
    if (!(stream ? ref_parse_stream : ref_parse)(payload, len, &state))
        return (struct ref_place){.kind = REF_OTHER};
    uint64_t covered = cover(log, cursor);
    uint64_t forgotten =
        cursor->index != REF_NOWHERE && cursor->index < oldest(log) ? oldest(log) - cursor->index : 0;
    if (forgotten > 0)
        cursor->index = oldest(log);
    struct ref_place place = !stream && several_machines(payload, len)
                                 ? place_snapshot(log, cursor, state.seq)
                                 : place_state(log, cursor, &state, payload, len);
    place.skipped += forgotten;
    place.covered += covered;
    return place;
}
