/* Runs a pattern. See schema_pattern.h. The first and the last step, where ^ and $ may hold, go through the program; all between them
 * by the tables of pattern_prepare(). */
#include "schema_pattern.h"

#include <string.h>

#include "schema_alloc.h"
#include "schema_pattern_internal.h"
#include "utf8.h"

#define CACHE 32u /* of characters beyond ASCII, while one text is searched */

/* Around the place at which instructions are followed. */
struct around {
    bool start, end, word_before, word_behind;
};

struct cache {
    uint32_t code[CACHE];
    struct positions who[CACHE];
};

uint32_t pattern_next_code(const char **at, const char *end)
{
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    if (*at == end)
        return PATTERN_NO_CODE;
    if ((unsigned char)**at < 0x80)
        return (unsigned char)*(*at)++;
    size_t bytes = utf8_step(*at, (size_t)(end - *at));
    uint32_t code = bytes > 0 ? (unsigned char)**at & lead[bytes] : 0xfffd;
    for (size_t i = 1; i < bytes; i++)
        code = code << 6 | ((unsigned char)(*at)[i] & 0x3fu);
    *at += bytes > 0 ? bytes : 1;
    return code;
}

static bool is_word(uint32_t code)
{
    if (code < 128)
        return (code >= '0' && code <= '9') || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z') || code == '_';
    return code != PATTERN_NO_CODE && pattern_in_ranges(schema_words, schema_words_count, code);
}

static void set_bit(struct positions *set, unsigned bit)
{
    set->bits[bit / 64] |= 1ULL << bit % 64;
}

static bool has_bit(const struct positions *set, unsigned bit)
{
    return (set->bits[bit / 64] >> bit % 64 & 1) != 0;
}

static void add_all(struct positions *set, const struct positions *more)
{
    for (unsigned i = 0; i < PATTERN_WORDS; i++)
        set->bits[i] |= more->bits[i];
}

static void keep_common(struct positions *set, const struct positions *other)
{
    for (unsigned i = 0; i < PATTERN_WORDS; i++)
        set->bits[i] &= other->bits[i];
}

static bool is_found(const struct schema_pattern *pattern, const struct positions *set)
{
    return has_bit(set, pattern->position_count);
}

/* --- through the program -------------------------------------------------------------------------------------------- */

static bool holds(const struct around *around, unsigned assertion)
{
    switch (assertion) {
    case ASSERT_START:
        return around->start;
    case ASSERT_END:
        return around->end;
    default:
        return (around->word_before != around->word_behind) == (assertion == ASSERT_WORD);
    }
}

/* Adds what `start` leads to without a character. Each instruction is visited once and leads to two at most, of which one is gone to at
 * once: so `waiting` has room. */
static void follow(const struct schema_pattern *pattern, unsigned start, const struct around *around,
                   struct positions *set)
{
    uint64_t seen[SCHEMA_PATTERN_PROGRAM / 64] = {0};
    uint16_t waiting[SCHEMA_PATTERN_PROGRAM + 1];
    unsigned count = 0;
    waiting[count++] = (uint16_t)start;
    while (count > 0) {
        unsigned at = waiting[--count];
        while ((seen[at / 64] >> at % 64 & 1) == 0) {
            const struct op *op = &pattern->ops[at];
            seen[at / 64] |= 1ULL << at % 64;
            if (op->kind == OP_FOUND || op->kind == OP_CLASS)
                set_bit(set, op->kind == OP_FOUND ? pattern->position_count : pattern->position_of[at]);
            if (op->kind == OP_FOUND || op->kind == OP_CLASS ||
                (op->kind == OP_ASSERT && !holds(around, op->a)))
                break;
            if (op->kind == OP_SPLIT)
                waiting[count++] = op->b;
            at = op->kind == OP_ASSERT ? at + 1 : op->a;
        }
    }
}

/* --- tables --------------------------------------------------------------------------------------------------------- */

static bool number_positions(struct schema_pattern *pattern)
{
    for (uint16_t i = 0; i < pattern->op_count; i++) {
        const struct op *op = &pattern->ops[i];
        pattern->words_matter |= op->kind == OP_ASSERT && op->a >= ASSERT_WORD;
        if (op->kind != OP_CLASS)
            continue;
        if (pattern->position_count == PATTERN_POSITIONS)
            return false;
        set_bit(&pattern->of_class[op->a], pattern->position_count);
        pattern->position_of[i] = (uint16_t)pattern->position_count;
        pattern->op_of[pattern->position_count++] = i;
    }
    return true;
}

static void take_ascii(struct schema_pattern *pattern)
{
    for (uint32_t i = 0; i < pattern->class_count; i++) {
        for (unsigned code = 0; code < 128; code++) {
            if ((pattern->classes[i].ascii[code / 64] >> code % 64 & 1) != 0)
                add_all(&pattern->of_ascii[code], &pattern->of_class[i]);
        }
    }
}

/* The unions of four positions: of each set of them, that of the set without its lowest bit, and of that bit. */
static void fill_chunk(const struct schema_pattern *pattern, unsigned chunk, const struct around *around,
                       struct positions sets[16])
{
    for (unsigned which = 1; which < 16; which++) {
        unsigned bit = (unsigned)__builtin_ctz(which), position = 4 * chunk + bit;
        sets[which] = sets[which & (which - 1)];
        if (which != 1u << bit)
            add_all(&sets[which], &sets[1u << bit]);
        else if (position < pattern->position_count)
            follow(pattern, pattern->op_of[position] + 1u, around, &sets[which]);
    }
}

static bool is_empty(const struct positions *set)
{
    return (set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]) == 0;
}

/* Whether nothing can begin behind the first character. */
static bool begins_at_start_only(const struct schema_pattern *pattern)
{
    struct positions set = {{0}};
    for (unsigned i = 0; i < 8; i++) {
        const struct around around = {
            .end = (i & 4) != 0, .word_before = (i & 2) != 0, .word_behind = (i & 1) != 0};
        follow(pattern, 0, &around, &set);
    }
    return is_empty(&set);
}

/* What holds at the ends of a text. The bit behind the positions' in `last`: something
 * begins and ends behind the last character. */
static void prepare_ends(struct schema_pattern *pattern)
{
    const struct around nothing = {.start = true, .end = true};
    struct positions set = {{0}};
    follow(pattern, 0, &nothing, &set);
    pattern->found_in_nothing = is_found(pattern, &set);
    for (unsigned word = 0; word < 2; word++) {
        const struct around start = {.start = true, .word_behind = word},
                            end = {.end = true, .word_before = word};
        follow(pattern, 0, &start, &pattern->first[word]);
        for (unsigned i = 0; i <= pattern->position_count; i++) {
            bool all = i == pattern->position_count;
            set = (struct positions){{0}};
            follow(pattern, all ? 0 : pattern->op_of[i] + 1u, &end, &set);
            if (is_found(pattern, &set))
                set_bit(&pattern->last[word], i);
        }
    }
}

bool pattern_prepare(struct schema_pattern *pattern, const char **why)
{
    *why = "the pattern is too large";
    if (!number_positions(pattern))
        return false;
    take_ascii(pattern);
    pattern->anchored = begins_at_start_only(pattern);
    prepare_ends(pattern);
    unsigned chunks = (pattern->position_count + 3) / 4;
    *why = NULL;
    for (unsigned i = 0; i < (pattern->words_matter ? 4u : 1u); i++) {
        const struct around around = {.word_before = (i & 2) != 0, .word_behind = (i & 1) != 0};
        struct follow *into = &pattern->follows[i];
        into->sets = schema_alloc(chunks * 16 * sizeof *into->sets);
        if (into->sets == NULL)
            return false;
        memset(into->sets, 0, chunks * 16 * sizeof *into->sets);
        follow(pattern, 0, &around, &into->restart);
        for (unsigned chunk = 0; chunk < chunks; chunk++)
            fill_chunk(pattern, chunk, &around, &into->sets[chunk * 16]);
    }
    return true;
}

/* --- searching ------------------------------------------------------------------------------------------------------ */

/* The positions that take this character. */
static const struct positions *who_takes(const struct schema_pattern *pattern, struct cache *cache,
                                         uint32_t code)
{
    if (code < 128)
        return &pattern->of_ascii[code];
    struct positions *who = &cache->who[code % CACHE];
    if (cache->code[code % CACHE] == code)
        return who;
    cache->code[code % CACHE] = code;
    memset(who, 0, sizeof *who);
    for (uint32_t i = 0; i < pattern->class_count; i++) {
        const struct char_class *class = &pattern->classes[i];
        if (class->count > 0 && pattern->ranges[class->first + class->count - 1].last >= code &&
            pattern_in_ranges(pattern->ranges + class->first, class->count, code))
            add_all(who, &pattern->of_class[i]);
    }
    return who;
}

/* Between two characters: what follows `taken`, and what may begin. */
static void step(const struct follow *table, const struct positions *taken, struct positions *next)
{
    *next = table->restart;
    for (unsigned i = 0; i < PATTERN_WORDS; i++) {
        const struct positions *sets = taken->bits[i] != 0 ? &table->sets[i * 256] : NULL;
        for (uint64_t bits = taken->bits[i]; bits != 0; bits >>= 4, sets += 16) {
            unsigned zeros = (unsigned)__builtin_ctzll(bits) / 4;
            bits >>= 4 * zeros;
            sets += 16 * zeros;
            add_all(next, &sets[bits & 15]);
        }
    }
}

/* Behind the last character. */
static bool found_at_end(const struct schema_pattern *pattern, const struct positions *taken, bool word)
{
    struct positions both = pattern->last[word];
    if (is_found(pattern, &both))
        return true;
    keep_common(&both, taken);
    return !is_empty(&both);
}

bool schema_pattern_found(const struct schema_pattern *pattern, const char *text, size_t len)
{
    struct cache cache;
    struct positions now, next;
    const char *at = text, *end = text + len;
    uint32_t code, behind = pattern_next_code(&at, end);
    if (behind == PATTERN_NO_CODE)
        return pattern->found_in_nothing;
    memset(cache.code, 0, sizeof cache.code);
    now = pattern->first[is_word(behind)];
    while (!is_found(pattern, &now)) {
        if (pattern->anchored && is_empty(&now))
            return false;
        code = behind;
        behind = pattern_next_code(&at, end);
        keep_common(&now, who_takes(pattern, &cache, code));
        if (behind == PATTERN_NO_CODE)
            return found_at_end(pattern, &now, is_word(code));
        unsigned which = pattern->words_matter ? 2u * is_word(code) + is_word(behind) : 0;
        step(&pattern->follows[which], &now, &next);
        now = next;
    }
    return true;
}

const char *schema_pattern_text(const struct schema_pattern *pattern)
{
    return pattern->text;
}
