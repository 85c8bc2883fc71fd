/* Families and their bytes, in chunks that double up to the piece of one step. */
#include <stdlib.h>
#include <string.h>

#include "exposition_internal.h"
#include "hash.h"
#include "must.h"

#define CHUNK_MIN 512u

void family_free(struct family *family)
{
    struct family_chunk *chunk;
    while (family != NULL && (chunk = family_take_chunk(family)) != NULL)
        free(chunk);
    free(family);
}

static bool has_room(struct exposition *e)
{
    if (e->count < e->cap)
        return true;
    uint32_t cap = e->cap ? e->cap * 2 : 256;
    struct family **grown = realloc(e->families, cap * sizeof(struct family *));
    if (grown == NULL)
        return false;
    e->families = grown;
    e->cap = cap;
    return true;
}

struct family *family_new(struct exposition *e, const char *name, enum stats_kind_e kind, const char *text)
{
    struct family *family = calloc(1, sizeof *family);
    MUST(strlen(name) <= FAMILY_NAME_MAX);
    if (family == NULL || !has_room(e)) {
        e->failed = true;
        free(family);
        return NULL;
    }
    memcpy(family->name, name, strlen(name) + 1);
    family->kind = kind;
    family->text = text;
    e->families[e->count++] = family;
    return family;
}

struct family *family_of(struct exposition *e, const char *name, enum stats_kind_e kind)
{
    uint64_t key = hash_bytes(name, strlen(name), 0) | 1;
    struct family *family = map_get(&e->by_name, key);
    if (family == NULL) {
        family = family_new(e, name, kind, NULL);
        if (family != NULL && map_put(&e->by_name, key, family) != ERR_OK) {
            e->failed = true;
            return NULL;
        }
    } else if (family->kind != kind || family->writer == e->segment || strcmp(family->name, name) != 0) {
        return NULL;
    }
    if (family != NULL)
        family->writer = e->segment;
    return family;
}

static struct family_chunk *chunk_new(const struct family *family, size_t least)
{
    size_t cap = family->last != NULL ? family->last->cap * 2 : CHUNK_MIN;
    cap = cap > EXPOSITION_PIECE ? EXPOSITION_PIECE : cap;
    cap = cap < least ? least : cap;
    struct family_chunk *chunk = malloc(sizeof *chunk + cap);
    if (chunk != NULL)
        *chunk = (struct family_chunk){.cap = cap};
    return chunk;
}

char *family_room(struct exposition *e, struct family *family, size_t len)
{
    struct family_chunk *last = family->last;
    if (last != NULL && last->cap - last->len >= len)
        return last->bytes + last->len;
    struct family_chunk *chunk = chunk_new(family, len);
    if (chunk == NULL) {
        e->failed = true;
        return NULL;
    }
    if (last != NULL)
        last->next = chunk;
    else
        family->first = chunk;
    family->last = chunk;
    return chunk->bytes;
}

void family_took(struct exposition *e, struct family *family, size_t len)
{
    family->last->len += len;
    family->len += len;
    e->bytes += len;
}

struct family_chunk *family_take_chunk(struct family *family)
{
    struct family_chunk *chunk = family->first;
    if (chunk != NULL)
        family->first = chunk->next;
    return chunk;
}

void family_line(struct exposition *e, struct family *family, const char *labels, uint64_t value)
{
    size_t most = FAMILY_NAME_MAX + strlen(labels) + 32;
    char *room = family_room(e, family, most);
    if (room == NULL)
        return;
    struct out out = out_init(room, most);
    out_text(&out, family->name);
    out_char(&out, '{');
    out_text(&out, labels);
    out_literal(&out, "} ");
    out_u64(&out, value);
    out_char(&out, '\n');
    MUST(!out.overflow);
    family_took(e, family, out.len);
}

/* HELP escapes backslashes and line ends. */
static void put_help(struct out *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            out_literal(out, "\\\\");
        else if (*text == '\n')
            out_literal(out, "\\n");
        else
            out_char(out, *text);
    }
}

size_t family_head(const struct family *family, struct out *out)
{
    static const char *const types[] = {" counter\n", " gauge\n", " histogram\n"};
    size_t before = out->len;
    if (family->text != NULL) {
        out_literal(out, "# HELP ");
        out_text(out, family->name);
        out_char(out, ' ');
        put_help(out, family->text);
        out_char(out, '\n');
    }
    out_literal(out, "# TYPE ");
    out_text(out, family->name);
    out_text(out, types[family->kind]);
    return out->len - before;
}
