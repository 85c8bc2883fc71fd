/* Pattern text → program. See schema_pattern.h for the syntax. One pass of recursive descent that emits as it reads: what a
 * quantifier repeats stands at the end of the program, so it is copied from there. Jumps are relative while the program is
 * made, so that a copy needs no repair; schema_pattern_new() makes them absolute. */
#include <stdlib.h>
#include <string.h>

#include "schema_alloc.h"
#include "schema_pattern_internal.h"

#define GROUPS_MAX  50u
#define REPEATS_MAX 1000u

struct parser {
    const char *at, *end;
    struct schema_pattern *pattern;
    unsigned groups;
    const char *why;
    bool memory; /* the reason is missing memory */
};

static bool refuse(struct parser *parser, const char *why)
{
    if (parser->why == NULL)
        parser->why = why;
    return false;
}

static bool at_char(const struct parser *parser, char c)
{
    return parser->at < parser->end && *parser->at == c;
}

static bool take(struct parser *parser, char c)
{
    bool there = at_char(parser, c);
    parser->at += there;
    return there;
}

/* --- the program ---------------------------------------------------------------------------------------------------- */

/* Makes room for `count` instructions at `where`; what stood there moves up. */
static bool open_gap(struct parser *parser, unsigned where, unsigned count)
{
    struct schema_pattern *pattern = parser->pattern;
    if (pattern->op_count + count > SCHEMA_PATTERN_PROGRAM)
        return refuse(parser, "the pattern is too large");
    memmove(pattern->ops + where + count, pattern->ops + where,
            (pattern->op_count - where) * sizeof pattern->ops[0]);
    pattern->op_count = (uint16_t)(pattern->op_count + count);
    return true;
}

static void put(struct parser *parser, unsigned where, enum op_e kind, int a, int b)
{
    parser->pattern->ops[where] = (struct op){(uint8_t)kind, (uint16_t)a, (uint16_t)b};
}

static bool emit(struct parser *parser, enum op_e kind, int a, int b)
{
    unsigned where = parser->pattern->op_count;
    if (!open_gap(parser, where, 1))
        return false;
    put(parser, where, kind, a, b);
    return true;
}

static bool emit_class(struct parser *parser, struct char_set *set, bool ok, bool others)
{
    ok = ok && char_set_normalize(set, others);
    int class = ok ? pattern_add_class(parser->pattern, set) : -1;
    parser->memory = parser->memory || set->memory;
    char_set_fini(set);
    if (class < 0)
        return refuse(parser, "the pattern has too many classes");
    return emit(parser, OP_CLASS, class, 0);
}

static bool emit_char(struct parser *parser, uint32_t code)
{
    struct char_set set = {0};
    bool ok = char_set_add(&set, code, code);
    return emit_class(parser, &set, ok, false);
}

/* --- characters and classes ----------------------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH, \uHHHH, or either with {H…}; behind the letter. */
static uint32_t read_code(struct parser *parser, unsigned digits)
{
    bool braces = take(parser, '{');
    uint32_t code = 0;
    unsigned seen = 0;
    for (; parser->at < parser->end && hex(*parser->at) >= 0 && seen < (braces ? 6 : digits); seen++)
        code = code << 4 | (uint32_t)hex(*parser->at++);
    bool ok = braces ? seen > 0 && take(parser, '}') : seen == digits;
    if (ok && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff))
        return code;
    refuse(parser, "an escape of a character is malformed");
    return PATTERN_NO_CODE;
}

/* Behind a backslash: a character. */
static uint32_t read_escape(struct parser *parser)
{
    static const char names[] = "nrtfva", values[] = "\n\r\t\f\v\a";
    if (parser->at == parser->end) {
        refuse(parser, "a backslash at the end");
        return PATTERN_NO_CODE;
    }
    char c = *parser->at++;
    const char *found = c != '\0' ? strchr(names, c) : NULL;
    if (found != NULL)
        return (unsigned char)values[found - names];
    if (c == 'x' || c == 'u')
        return read_code(parser, c == 'x' ? 2 : 4);
    if (c > ' ' && c < 0x7f && strchr("<>", c) == NULL && hex(c) < 0 && !(c >= 'A' && c <= 'Z') &&
        !(c >= 'a' && c <= 'z'))
        return (unsigned char)c;
    refuse(parser, "an escape that is not supported");
    return PATTERN_NO_CODE;
}

/* Behind a backslash: \d and its like into the set. *none: it is something else. */
static bool read_named(struct parser *parser, struct char_set *set, bool *none)
{
    char c = parser->at < parser->end ? *parser->at : '\0';
    char lower = (char)(c | 0x20);
    *none = lower != 'd' && lower != 'w' && lower != 's';
    if (*none)
        return true;
    parser->at++;
    const struct schema_range *table = lower == 'd'   ? schema_digits
                                       : lower == 'w' ? schema_words
                                                      : schema_spaces;
    unsigned count = lower == 'd'   ? schema_digits_count
                     : lower == 'w' ? schema_words_count
                                    : schema_spaces_count;
    return char_set_add_table(set, table, count, c != lower);
}

/* One character of a class, or of a range's end. */
static uint32_t read_class_char(struct parser *parser)
{
    if (parser->at == parser->end || *parser->at == '[') {
        refuse(parser, parser->at == parser->end ? "a class is not closed" : "[ in a class must be escaped");
        return PATTERN_NO_CODE;
    }
    if (parser->end - parser->at > 1 && parser->at[0] == parser->at[1] && strchr("&-~", *parser->at)) {
        refuse(parser, "operations on classes are not supported");
        return PATTERN_NO_CODE;
    }
    if (take(parser, '\\'))
        return read_escape(parser);
    return pattern_next_code(&parser->at, parser->end);
}

static bool is_range(const struct parser *parser)
{
    return at_char(parser, '-') && parser->end - parser->at > 1 && parser->at[1] != ']';
}

/* One entry of a class: \d, a character, or a range. */
static bool read_class_item(struct parser *parser, struct char_set *set, bool *ok)
{
    bool none = true;
    if (parser->end - parser->at > 1 && parser->at[0] == '\\') {
        parser->at++;
        *ok = *ok && read_named(parser, set, &none);
        parser->at -= none;
    }
    if (!none)
        return !is_range(parser) || refuse(parser, "a range of a class begins with another class");
    uint32_t first = read_class_char(parser), last = first;
    if (first == PATTERN_NO_CODE)
        return false;
    if (is_range(parser)) {
        parser->at++;
        last = read_class_char(parser);
        if (last == PATTERN_NO_CODE)
            return false;
        if (last < first)
            return refuse(parser, "a range of a class is upside down");
    }
    *ok = *ok && char_set_add(set, first, last);
    return true;
}

/* Behind '['. A ']' that comes first is a character, as everywhere. */
static bool read_class(struct parser *parser)
{
    struct char_set set = {0};
    bool others = take(parser, '^'), ok = true;
    const char *first = parser->at;
    while (parser->at == first || !take(parser, ']')) {
        if (!read_class_item(parser, &set, &ok)) {
            char_set_fini(&set);
            return false;
        }
    }
    return emit_class(parser, &set, ok, others);
}

/* --- terms ---------------------------------------------------------------------------------------------------------- */

static bool read_choice(struct parser *parser);

/* Behind '(' . */
static bool read_group(struct parser *parser)
{
    if (++parser->groups > GROUPS_MAX)
        return refuse(parser, "groups are nested too deeply");
    if (take(parser, '?') && !take(parser, ':')) {
        take(parser, 'P');
        if (!take(parser, '<') || at_char(parser, '=') || at_char(parser, '!'))
            return refuse(parser, "flags and look-around are not supported");
        while (parser->at < parser->end && *parser->at != '>') {
            char c = *parser->at++;
            if (c != '_' && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
                return refuse(parser, "the name of a group is malformed");
        }
        if (!take(parser, '>') || parser->at[-2] == '<')
            return refuse(parser, "the name of a group is malformed");
    }
    if (!read_choice(parser))
        return false;
    parser->groups--;
    return take(parser, ')') || refuse(parser, "a group is not closed");
}

/* Behind a backslash, outside a class. */
static bool read_escaped(struct parser *parser)
{
    static const char asserts[] = "AzbB";
    static const uint8_t kinds[] = {ASSERT_START, ASSERT_END, ASSERT_WORD, ASSERT_NOT_WORD};
    char c = parser->at < parser->end ? *parser->at : '\0';
    const char *found = c != '\0' ? strchr(asserts, c) : NULL;
    if (found != NULL) {
        parser->at++;
        return emit(parser, OP_ASSERT, kinds[found - asserts], 0);
    }
    struct char_set set = {0};
    bool none, ok = read_named(parser, &set, &none);
    if (!none)
        return emit_class(parser, &set, ok, false);
    uint32_t code = read_escape(parser);
    return code != PATTERN_NO_CODE && emit_char(parser, code);
}

static bool read_any(struct parser *parser)
{
    struct char_set set = {0};
    bool ok = char_set_add(&set, '\n', '\n');
    return emit_class(parser, &set, ok, true);
}

static bool read_atom(struct parser *parser)
{
    switch (*parser->at) {
    case '(':
        parser->at++;
        return read_group(parser);
    case '[':
        parser->at++;
        return read_class(parser);
    case '\\':
        parser->at++;
        return read_escaped(parser);
    case '.':
        parser->at++;
        return read_any(parser);
    case '^':
    case '$':
        return emit(parser, OP_ASSERT, *parser->at++ == '^' ? ASSERT_START : ASSERT_END, 0);
    case '*':
    case '+':
    case '?':
    case '{':
        return refuse(parser, "a repetition of nothing");
    default:
        return emit_char(parser, pattern_next_code(&parser->at, parser->end));
    }
}

/* --- repetitions ---------------------------------------------------------------------------------------------------- */

static bool read_count(struct parser *parser, unsigned *count)
{
    const char *start = parser->at;
    *count = 0;
    while (parser->at < parser->end && *parser->at >= '0' && *parser->at <= '9' && *count <= REPEATS_MAX)
        *count = *count * 10 + (unsigned)(*parser->at++ - '0');
    if (parser->at == start)
        return refuse(parser, "a repetition is malformed");
    return *count <= REPEATS_MAX || refuse(parser, "a repetition is too large");
}

/* Behind '{'. most == UINT_MAX: without end. */
static bool read_counts(struct parser *parser, unsigned *least, unsigned *most)
{
    if (!read_count(parser, least))
        return false;
    *most = *least;
    if (take(parser, ',')) {
        *most = UINT32_MAX;
        if (!at_char(parser, '}') && !read_count(parser, most))
            return false;
    }
    if (!take(parser, '}'))
        return refuse(parser, "a repetition is malformed");
    return *most >= *least || refuse(parser, "a repetition is upside down");
}

/* [start, end of program) once or not at all. */
static bool make_optional(struct parser *parser, unsigned start)
{
    unsigned count = parser->pattern->op_count - start;
    if (!open_gap(parser, start, 1))
        return false;
    put(parser, start, OP_SPLIT, 1, (int)count + 1);
    return true;
}

/* … as often as one likes, but at least once. */
static bool make_plus(struct parser *parser, unsigned start)
{
    int count = (int)(parser->pattern->op_count - start);
    return emit(parser, OP_SPLIT, -count, 1);
}

/* … as often as one likes. */
static bool make_star(struct parser *parser, unsigned start)
{
    return make_plus(parser, start) && make_optional(parser, start);
}

/* The atom at `start` becomes atom{least,most}: `least` copies, then a star, or optional ones. */
static bool repeat(struct parser *parser, unsigned start, unsigned least, unsigned most)
{
    unsigned size = parser->pattern->op_count - start;
    struct op *atom = schema_alloc((size + 1) * sizeof *atom);
    if (atom == NULL) {
        parser->memory = true;
        return refuse(parser, "");
    }
    memcpy(atom, parser->pattern->ops + start, size * sizeof *atom);
    unsigned copies = most == UINT32_MAX ? least + (least == 0) : most;
    bool ok = size == 0 || copies * size <= 2 * SCHEMA_PATTERN_PROGRAM ||
              refuse(parser, "the pattern is too large");
    parser->pattern->op_count = (uint16_t)start;
    for (unsigned i = 0; ok && size > 0 && i < copies; i++) {
        unsigned from = parser->pattern->op_count;
        ok = open_gap(parser, from, size);
        if (ok)
            memcpy(parser->pattern->ops + from, atom, size * sizeof *atom);
        if (ok && most == UINT32_MAX && i + 1 == copies)
            ok = least == 0 ? make_star(parser, from) : make_plus(parser, from);
        else if (ok && i >= least)
            ok = make_optional(parser, from);
    }
    schema_release(atom);
    return ok;
}

static bool read_term(struct parser *parser)
{
    unsigned start = parser->pattern->op_count, least, most;
    if (!read_atom(parser))
        return false;
    while (parser->at < parser->end && *parser->at != '\0' && strchr("*+?{", *parser->at) != NULL) {
        char sign = *parser->at++;
        least = sign == '+';
        most = sign == '?' ? 1 : UINT32_MAX;
        if (sign == '{' && !read_counts(parser, &least, &most))
            return false;
        take(parser, '?');
        if (!repeat(parser, start, least, most))
            return false;
    }
    return true;
}

/* --- sequences and alternatives ------------------------------------------------------------------------------------- */

static bool read_sequence(struct parser *parser)
{
    while (parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
        if (!read_term(parser))
            return false;
    }
    return true;
}

/* a|b|c:  split(a, …) a jump(end) split(b, …) b jump(end) c. The jumps are set when the end is known. */
static bool read_choice(struct parser *parser)
{
    unsigned start = parser->pattern->op_count, alternative = start;
    if (!read_sequence(parser))
        return false;
    while (take(parser, '|')) {
        if (!emit(parser, OP_JUMP, 0, 0))
            return false;
        unsigned count = parser->pattern->op_count - alternative;
        if (!open_gap(parser, alternative, 1))
            return false;
        put(parser, alternative, OP_SPLIT, 1, (int)count + 1);
        alternative = parser->pattern->op_count;
        if (!read_sequence(parser))
            return false;
    }
    struct op *ops = parser->pattern->ops;
    for (unsigned at = start; at < alternative;) {
        unsigned next = at + ops[at].b; /* its split leads behind its jump */
        ops[next - 1].a = (uint16_t)(parser->pattern->op_count - (next - 1));
        at = next;
    }
    return true;
}

static void make_absolute(struct schema_pattern *pattern)
{
    for (uint16_t i = 0; i < pattern->op_count; i++) {
        struct op *op = &pattern->ops[i];
        if (op->kind == OP_SPLIT || op->kind == OP_JUMP)
            op->a = (uint16_t)(op->a + i);
        if (op->kind == OP_SPLIT)
            op->b = (uint16_t)(op->b + i);
    }
}

static bool parse(struct parser *parser)
{
    if (!read_choice(parser))
        return false;
    if (parser->at < parser->end)
        return refuse(parser, "a group is closed that was not opened");
    return emit(parser, OP_FOUND, 0, 0);
}

struct schema_pattern *schema_pattern_new(const char *text, size_t len, const char **why)
{
    struct parser parser = {.at = text, .end = text + len};
    *why = "the pattern is too long";
    if (len > SCHEMA_PATTERN_TEXT)
        return NULL;
    *why = NULL;
    struct schema_pattern *pattern = schema_alloc(sizeof *pattern);
    if (pattern == NULL)
        return NULL;
    memset(pattern, 0, sizeof *pattern);
    parser.pattern = pattern;
    pattern->text = schema_grow(NULL, 0, len + 1);
    if (pattern->text == NULL || !parse(&parser)) {
        *why = pattern->text == NULL || parser.memory ? NULL : parser.why;
        schema_pattern_free(&pattern);
        return NULL;
    }
    memcpy(pattern->text, text, len);
    pattern->text[len] = '\0';
    make_absolute(pattern);
    if (!pattern_prepare(pattern, why))
        schema_pattern_free(&pattern);
    return pattern;
}

void schema_pattern_free(struct schema_pattern **pattern)
{
    if (*pattern == NULL)
        return;
    schema_release((*pattern)->text);
    schema_release((*pattern)->ranges);
    for (unsigned i = 0; i < 4; i++)
        schema_release((*pattern)->follows[i].sets);
    schema_release(*pattern);
    *pattern = NULL;
}
