/* bare_frames.c — see bare_frames.h. Position runs over 100…255 and raw_status over 100…227, three digits each; the
 * frame's `seq` over ten digits. */
#include "bare_frames.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "frames_carousel.h"
#include "must.h"
#include "rig.h"
#include "stream_text.h"
#include "ws_frame.h"

#define SEQ_FIRST  1000000000ULL
#define MEMORY_MAX (STREAM_TEXT_MAX > FRAMES_CAROUSEL_MAX ? STREAM_TEXT_MAX : FRAMES_CAROUSEL_MAX)
#define POSITIONS  156u
#define RAWS       128u

struct bare_template {
    unsigned char memory[WS_HEADER_MAX + MEMORY_MAX];
    unsigned char *frame;
    size_t len;
    unsigned char *position, *raw, *seq; /* first digit of each, within memory */
    uint64_t number;
};

static unsigned char *digits_after(struct bare_template *t, const char *word)
{
    unsigned char *hit = memmem(t->frame, t->len, word, strlen(word));
    MUST(hit != NULL);
    return hit + strlen(word);
}

static void make_template(struct bare_template *t, uint32_t index, const struct payload *payload)
{
    struct machine_state state = {CONNECTION_CONNECTED, true, 218, 100, 0};
    char text[MACHINE_TEXT_MAX], id[RIG_ID_MAX];
    struct out out = out_init(text, sizeof text);
    machine_state_text(&state, profile_builtin(payload->profile), &out);
    rig_machine_id(index, id);
    struct frames_seq seq = {0xbe9c4000u, SEQ_FIRST * 64};
    uint32_t text_offset;
    struct frame_bytes frame = frames_carousel_state(t->memory, sizeof t->memory, id, text, out.len,
                                                     clock_wall_ms(clock_system()), seq, &text_offset);
    MUST(frame.len > 0);
    t->frame = t->memory + (frame.at - t->memory);
    t->len = frame.len;
    t->position = digits_after(t, "\"position\":");
    t->raw = digits_after(t, "\"raw_status\":");
    t->seq = digits_after(t, "\"seq\":\"be9c4000-");
}

enum err_e bare_frames_init(struct bare_frames *frames, uint32_t machines, const struct payload *payload)
{
    *frames = (struct bare_frames){.machines = machines};
    frames->templates = calloc(machines, sizeof *frames->templates);
    if (frames->templates == NULL)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < machines; i++)
        make_template(&frames->templates[i], i, payload);
    return ERR_OK;
}

enum err_e bare_frames_init_stream(struct bare_frames *frames, uint32_t stream_bytes)
{
    *frames = (struct bare_frames){.machines = 1, .stream_bytes = stream_bytes};
    frames->templates = calloc(1, sizeof *frames->templates);
    if (frames->templates == NULL)
        return ERR_MEMORY;
    struct bare_template *t = frames->templates;
    char text[STREAM_TEXT_MAX];
    stream_text_make(text, stream_bytes);
    memcpy(t->memory + WS_HEADER_MAX, text, stream_bytes);
    t->frame = ws_frame_prepend(t->memory + WS_HEADER_MAX, stream_bytes, WS_TEXT);
    t->len = ws_frame_header_len(stream_bytes) + stream_bytes;
    return ERR_OK;
}

void bare_frames_fini(struct bare_frames *frames)
{
    free(frames->templates);
    frames->templates = NULL;
}

static void overwrite(unsigned char *at, unsigned digits, uint64_t value)
{
    while (digits-- > 0) {
        at[digits] = (unsigned char)('0' + value % 10);
        value /= 10;
    }
}

static size_t next_stream(struct bare_frames *frames, uint64_t now_ns, const unsigned char **frame)
{
    struct bare_template *t = frames->templates;
    char *end = (char *)t->frame + t->len;
    stream_text_digits(end - STREAM_TEXT_TIME_BACK, now_ns);
    stream_text_digits(end - STREAM_TEXT_NUMBER_BACK, ++frames->count);
    *frame = t->frame;
    return t->len;
}

size_t bare_frames_next(struct bare_frames *frames, struct source_table *table, uint64_t now_ns,
                        const unsigned char **frame)
{
    if (frames->stream_bytes != 0)
        return next_stream(frames, now_ns, frame);
    uint32_t machine = (uint32_t)(frames->count % frames->machines);
    struct bare_template *t = &frames->templates[machine];
    uint64_t position = 100 + t->number % POSITIONS, raw = 100 + t->number / POSITIONS % RAWS;
    overwrite(t->position, 3, position);
    overwrite(t->raw, 3, raw);
    overwrite(t->seq, 10, SEQ_FIRST + frames->count++);
    struct source_entry *entry = &table->entries[(size_t)machine * SOURCE_PAIRS + (position << 8 | raw)];
    atomic_store_explicit(&entry->number, ++t->number, memory_order_relaxed);
    atomic_store_explicit(&entry->sent_ns, now_ns, memory_order_release);
    *frame = t->frame;
    return t->len;
}
