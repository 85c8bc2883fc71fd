/* See journal_memory.h. */
#include "journal_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define PINS 4 /* segment, told, intent, move */

static uint64_t oldest_ns(const struct journal_memory *memory)
{
    return memory->now.mono_ns > JOURNAL_REMEMBER_NS ? memory->now.mono_ns - JOURNAL_REMEMBER_NS : 1;
}

void journal_memory_init(struct journal_memory *memory, const struct journal_now *now, const char *boot,
                         const char *plc)
{
    memset(memory, 0, sizeof *memory);
    memory->now = *now;
    memory->since_ns = now->mono_ns;
    snprintf(memory->boot, sizeof memory->boot, "%s", boot);
    snprintf(memory->plc, sizeof memory->plc, "%s", plc);
}

void journal_memory_fini(struct journal_memory *memory)
{
    free(memory->ring);
    memory->ring = NULL;
    memory->count = memory->cap = 0;
}

/* --- what falls out leaves a trace ------------------------------------------------------------------------------- */

static bool same_key(const struct journal_record *a, const struct journal_record *b)
{
    return a->worker == b->worker && a->session == b->session && a->serial == b->serial;
}

static void fold_result(struct journal_memory *memory, const struct journal_record *result)
{
    memory->results--;
    if (memory->intent.event != JOURNAL_NONE && same_key(&memory->intent, result))
        memory->intent.event = JOURNAL_NONE;
    if (result->command == COMMAND_MOVE && result->sent && !result->repeat && result->code == CODE_NONE)
        memory->move = *result;
}

static void fold(struct journal_memory *memory, const struct journal_record *record)
{
    switch (record->event) {
    case JOURNAL_SEGMENT:
        memory->segment = *record;
        return;
    case JOURNAL_LATCHED:
    case JOURNAL_REARMED:
        memory->segment.latched = record->event == JOURNAL_LATCHED;
        return;
    case JOURNAL_TOLD:
        memory->told = *record;
        return;
    case JOURNAL_INTENT:
        memory->intent = *record;
        return;
    case JOURNAL_RESULT:
        fold_result(memory, record);
        return;
    case JOURNAL_COMPLETION:
        if (memory->move.event != JOURNAL_NONE && same_key(&memory->move, record))
            memory->move.event = JOURNAL_NONE;
        return;
    default:
        return;
    }
}

static const struct journal_record *front(const struct journal_memory *memory)
{
    return &memory->ring[memory->first];
}

static void drop_front(struct journal_memory *memory)
{
    fold(memory, front(memory));
    memory->first = (memory->first + 1) % memory->cap;
    memory->count--;
}

static void forget(struct journal_memory *memory)
{
    while (memory->count > 0 && front(memory)->mono_ns < oldest_ns(memory))
        drop_front(memory);
    while (memory->results > JOURNAL_REMEMBER || memory->count == JOURNAL_MEMORY_RECORDS) {
        if (memory->since_ns < front(memory)->mono_ns)
            memory->since_ns = front(memory)->mono_ns;
        drop_front(memory);
    }
}

/* --- taking ------------------------------------------------------------------------------------------------------ */

static uint64_t here(uint64_t noted_ns, uint64_t then_ns, uint64_t now_ns)
{
    uint64_t before = then_ns < noted_ns ? noted_ns - then_ns : 0;
    return now_ns > before ? now_ns - before : 1;
}

/* The record's clock is that of the boot that wrote it. */
static void convert(const struct journal_memory *memory, struct journal_record *record)
{
    uint64_t noted = record->mono_ns;
    if (memory->boot[0] != '\0' && strcmp(memory->boot_written, memory->boot) == 0)
        return;
    uint64_t age_ms = memory->now.wall_ms > record->wall_ms ? memory->now.wall_ms - record->wall_ms : 0;
    if (age_ms > UINT64_MAX / NS_PER_MS)
        age_ms = UINT64_MAX / NS_PER_MS;
    record->mono_ns = here(age_ms * NS_PER_MS, 0, memory->now.mono_ns);
    if (record->arrived_mono_ns != 0)
        record->arrived_mono_ns = here(noted, record->arrived_mono_ns, record->mono_ns);
    if (record->written_mono_ns != 0)
        record->written_mono_ns = here(noted, record->written_mono_ns, record->mono_ns);
}

static void hear_writer(struct journal_memory *memory, const struct journal_record *record)
{
    if (record->event != JOURNAL_SEGMENT && record->event != JOURNAL_START)
        return;
    snprintf(memory->boot_written, sizeof memory->boot_written, "%s", record->boot);
    snprintf(memory->plc_written, sizeof memory->plc_written, "%s", record->plc);
}

static bool is_elsewhere(const struct journal_memory *memory)
{
    return memory->plc[0] != '\0' && memory->plc_written[0] != '\0' &&
           strcmp(memory->plc, memory->plc_written) != 0;
}

static bool grow(struct journal_memory *memory)
{
    if (memory->count < memory->cap)
        return true;
    size_t cap = memory->cap > 0 ? 2 * memory->cap : 64;
    struct journal_record *ring = malloc(cap * sizeof *ring);
    if (ring == NULL) {
        memory->failed = true;
        return false;
    }
    for (size_t i = 0; i < memory->count; i++)
        ring[i] = memory->ring[(memory->first + i) % memory->cap];
    free(memory->ring);
    memory->ring = ring;
    memory->first = 0;
    memory->cap = cap;
    return true;
}

void journal_memory_take(struct journal_memory *memory, const struct journal_record *record)
{
    hear_writer(memory, record);
    if (memory->failed || !grow(memory))
        return;
    struct journal_record *place = &memory->ring[(memory->first + memory->count++) % memory->cap];
    *place = *record;
    convert(memory, place);
    place->elsewhere = is_elsewhere(memory);
    if (!memory->begun)
        memory->since_ns = place->mono_ns < oldest_ns(memory) ? oldest_ns(memory) : place->mono_ns;
    memory->begun = true;
    memory->results += record->event == JOURNAL_RESULT;
    forget(memory);
}

void journal_memory_broken(struct journal_memory *memory)
{
    while (memory->count > 0)
        drop_front(memory);
    memory->intent.event = memory->move.event = memory->told.event = JOURNAL_NONE;
    memory->since_ns = memory->now.mono_ns;
    memory->begun = false;
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* In the order of their numbers; the segment, which was put first, stays the first. */
static size_t put_pin(struct journal_record *to, size_t count, const struct journal_record *pin)
{
    size_t at = count;
    if (pin->event == JOURNAL_NONE)
        return count;
    for (; at > 1 && to[at - 1].n > pin->n; at--)
        to[at] = to[at - 1];
    to[at] = *pin;
    return count + 1;
}

bool journal_memory_end(struct journal_memory *memory, struct journal_replay *replay)
{
    *replay = (struct journal_replay){.since_ns = memory->since_ns};
    if (memory->failed)
        return false;
    if (memory->segment.event == JOURNAL_NONE && memory->count == 0)
        return true;
    struct journal_record *to = malloc((memory->count + PINS) * sizeof *to);
    if (to == NULL)
        return false;
    size_t pins = 0;
    const struct journal_record *const left[] = {&memory->segment, &memory->told, &memory->intent,
                                                 &memory->move};
    for (size_t i = 0; i < PINS; i++)
        pins = put_pin(to, pins, left[i]);
    for (size_t i = 0; i < memory->count; i++)
        to[pins + i] = memory->ring[(memory->first + i) % memory->cap];
    replay->records = to;
    replay->count = pins + memory->count;
    return true;
}
