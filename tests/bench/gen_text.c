/* gen_text.c — see gen_text.h. */
#include "gen_text.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "must.h"
#include "rig.h"

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL; /* Knuth's MMIX generator */
    return (uint32_t)(*state >> 33);
}

static bool holds(const uint32_t *set, uint32_t count, uint32_t machine)
{
    for (uint32_t i = 0; i < count; i++)
        if (set[i] == machine)
            return true;
    return false;
}

uint32_t gen_text_set(uint32_t index, uint32_t machines, uint32_t set[GEN_SET_MAX])
{
    uint64_t state = index + 1;
    next_random(&state);
    uint32_t count = 0, wanted = 1 + next_random(&state) % GEN_SET_MAX;
    MUST(machines >= GEN_SET_MAX);
    while (count < wanted) {
        uint32_t machine = next_random(&state) % machines;
        if (!holds(set, count, machine))
            set[count++] = machine;
    }
    return count;
}

static void put_ids(struct out *out, uint32_t index, uint32_t machines)
{
    uint32_t set[GEN_SET_MAX], count = gen_text_set(index, machines, set);
    out_literal(out, ",\"machine_ids\":[");
    for (uint32_t i = 0; i < count; i++) {
        char id[RIG_ID_MAX];
        rig_machine_id(set[i], id);
        out_text(out, i > 0 ? ",\"" : "\"");
        out_text(out, id);
        out_char(out, '"');
    }
    out_char(out, ']');
}

size_t gen_text(const struct gen_options *options, uint32_t index, const char *since, char text[GEN_TEXT_MAX])
{
    size_t len = strlen(options->text);
    struct out out = out_init(text, GEN_TEXT_MAX - 1);
    MUST(len > 0 && options->text[len - 1] == '}');
    out_bytes(&out, options->text, len - 1);
    if (options->sets_of != 0)
        put_ids(&out, index, options->sets_of);
    if (since[0] != '\0') {
        out_literal(&out, ",\"since\":\"");
        out_text(&out, since);
        out_char(&out, '"');
    }
    out_char(&out, '}');
    MUST(!out.overflow);
    text[out.len] = '\0';
    return out.len;
}

void gen_text_seq(const unsigned char *payload, size_t len, char seq[GEN_SEQ_TEXT_MAX])
{
    const char *text = (const char *)payload;
    seq[0] = '\0';
    if (len < GEN_SEQ_TEXT_MAX || memcmp(text + len - 2, "\"}", 2) != 0)
        return;
    const char *end = text + len - 2, *begin = end;
    while (begin > end - (GEN_SEQ_TEXT_MAX - 1) && begin[-1] != '"')
        begin--;
    if (memcmp(begin - 7, "\"seq\":\"", 7) != 0)
        return;
    memcpy(seq, begin, (size_t)(end - begin));
    seq[end - begin] = '\0';
}
