#include "frames_channels.h"

#include <string.h>

#include "utf8.h"

static bool has_control(const char *text, size_t len)
{
    unsigned char low = 0;
    for (size_t i = 0; i < len; i++) /* no branch, so that it is done sixteen at a time */
        low |= (unsigned char)((unsigned char)text[i] < 0x20);
    return low != 0;
}

bool frames_channels_payload_is_sane(const char *payload, size_t len)
{
    return len >= 2 && payload[0] == '{' && payload[len - 1] == '}' && !has_control(payload, len) &&
           utf8_is_valid(payload, len);
}

/* What stands in `out` is an object; its last member becomes "seq". */
static void add_seq(struct out *out, struct frames_seq seq)
{
    if (out->overflow)
        return;
    do
        out->len--; /* the brace, and spaces before it */
    while (out->at[out->len - 1] == ' ');
    bool empty = out->len == 1;
    frames_put_seq(out, seq);
    if (empty && !out->overflow)
        memmove(out->at + 1, out->at + 2, --out->len - 1); /* no comma */
}

struct frame_bytes frames_channels_event(void *memory, size_t cap, const char *payload, size_t len,
                                         struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    out_bytes(&out, payload, len);
    add_seq(&out, seq);
    return ws_frame_end(&out);
}

struct frame_bytes frames_channels_system(void *memory, size_t cap, const struct system_event *event,
                                          struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    system_event_json(event, &out);
    add_seq(&out, seq);
    return ws_frame_end(&out);
}
