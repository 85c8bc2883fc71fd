/* Hop: D7. A handful at most, so that they are looked through; what is asked with every move of the head is one number. */
#include "sources.h"

#include <string.h>

#include "must.h"

void sources_init(struct sources *sources, uint64_t ring_bytes)
{
    memset(sources, 0, sizeof *sources);
    sources->half = ring_bytes / 2;
    sources->due_at = UINT64_MAX;
}

static size_t place_of(const struct sources *sources, uint64_t id)
{
    size_t i = 0;
    while (i < SOURCES_MAX && sources->table[i].id != id)
        i++;
    return i;
}

const struct source *sources_find(const struct sources *sources, uint64_t id)
{
    size_t place = id != 0 ? place_of(sources, id) : SOURCES_MAX;
    return place < SOURCES_MAX ? &sources->table[place] : NULL;
}

uint64_t sources_position(const struct source *source, uint64_t seq)
{
    if (source == NULL || seq == 0 || seq > source->last_seq || source->last_seq - seq >= SOURCES_POSITIONS)
        return SOURCES_NOWHERE;
    return source->positions[seq % SOURCES_POSITIONS];
}

/* Floors say old events again at new places: what counts is how old the event is. */
static uint64_t age_of(const struct source *source)
{
    return source->positions[source->last_seq % SOURCES_POSITIONS];
}

static struct source *take_place(struct sources *sources, uint64_t id)
{
    size_t place = place_of(sources, 0);
    if (place == SOURCES_MAX) {
        place = 0;
        for (size_t i = 1; i < SOURCES_MAX; i++)
            if (age_of(&sources->table[i]) < age_of(&sources->table[place]))
                place = i;
    }
    struct source *source = &sources->table[place];
    *source = (struct source){.id = id};
    memset(source->positions, 0xff, sizeof source->positions);
    return source;
}

/* Numbers between the former last one and this were never published: their places are those of numbers long ago. */
static void advance(struct source *source, uint64_t seq)
{
    if (seq - source->last_seq >= SOURCES_POSITIONS)
        memset(source->positions, 0xff, sizeof source->positions);
    else
        for (uint64_t n = source->last_seq + 1; n < seq; n++)
            source->positions[n % SOURCES_POSITIONS] = SOURCES_NOWHERE;
    source->last_seq = seq;
}

static void plan(struct sources *sources)
{
    sources->due_at = UINT64_MAX;
    for (size_t i = 0; i < SOURCES_MAX; i++) {
        const struct source *source = &sources->table[i];
        if (source->id != 0 && source->record + sources->half < sources->due_at)
            sources->due_at = source->record + sources->half;
    }
}

void sources_note(struct sources *sources, uint64_t id, uint64_t seq, uint64_t position, uint64_t record)
{
    MUST(id != 0 && seq != 0);
    size_t place = place_of(sources, id);
    struct source *source = place < SOURCES_MAX ? &sources->table[place] : take_place(sources, id);
    if (seq < source->last_seq) /* a floor that stands behind a later event */
        return;
    if (seq > source->last_seq)
        advance(source, seq);
    source->positions[seq % SOURCES_POSITIONS] = position;
    source->record = record;
    plan(sources);
}

const struct source *sources_due(const struct sources *sources, uint64_t head)
{
    for (size_t i = 0; i < SOURCES_MAX && head >= sources->due_at; i++)
        if (sources->table[i].id != 0 && head >= sources->table[i].record + sources->half)
            return &sources->table[i];
    return NULL;
}
