/* Hop: C2. See streams_scan.h. A string costs a look at sixteen bytes at a time; everything else a few branches a token.
 *
 * Rejected: jansson, which allocates for every member and every string, reads 1.10 as 1.1 and refuses 1e400; and a table
 * of states, which was no faster and could not be read. Figures: README.md. */
#include "streams_scan.h"

#include <endian.h>
#include <string.h>

#include "utf8.h"

enum expect_e {
    EXPECT_VALUE,
    EXPECT_FIRST_VALUE, /* behind '[' */
    EXPECT_NEXT_VALUE,  /* behind ',' in an array */
    EXPECT_FIRST_NAME,  /* behind '{' */
    EXPECT_NEXT_NAME,   /* behind ',' in an object */
    EXPECT_MORE,        /* behind a value */
    EXPECT_NOTHING      /* DONE or ERROR */
};

void streams_scan_init(struct streams_scan *scan, const char *text, size_t len, unsigned flags)
{
    *scan = (struct streams_scan){
        .text = text, .at = text, .end = text + len, .flags = flags, .expect = EXPECT_VALUE};
}

/* --- errors --------------------------------------------------------------------------------------------------------- */

static enum streams_scan_e fail(struct streams_scan *scan, const char *why)
{
    scan->why = why;
    scan->expect = EXPECT_NOTHING;
    return STREAMS_SCAN_ERROR;
}

void streams_scan_refuse(struct streams_scan *scan, const char *at, const char *why)
{
    scan->at = at;
    fail(scan, why);
}

void streams_scan_where(const struct streams_scan *scan, unsigned *line, unsigned *column)
{
    *line = *column = 1;
    for (const char *p = scan->text; p < scan->at; p++) {
        if (*p == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            ++*column;
        }
    }
}

/* --- levels --------------------------------------------------------------------------------------------------------- */

static bool in_object(const struct streams_scan *scan)
{
    unsigned level = scan->depth - 1;
    return scan->depth > 0 && (scan->objects[level / 64] >> level % 64 & 1) != 0;
}

static enum streams_scan_e take(struct streams_scan *scan, enum streams_scan_e token,
                                enum streams_kind_e kind, size_t len)
{
    scan->token = (struct streams_text){.at = scan->at, .len = len, .kind = (uint8_t)kind};
    scan->at += len;
    return token;
}

static enum streams_scan_e take_open(struct streams_scan *scan, bool object)
{
    if (scan->depth == STREAMS_SCAN_DEPTH)
        return fail(scan, "JSON nested too deeply");
    uint64_t bit = 1ULL << scan->depth % 64;
    if (object)
        scan->objects[scan->depth / 64] |= bit;
    else
        scan->objects[scan->depth / 64] &= ~bit;
    scan->depth++;
    scan->expect = object ? EXPECT_FIRST_NAME : EXPECT_FIRST_VALUE;
    return take(scan, STREAMS_SCAN_OPEN, object ? STREAMS_OBJECT : STREAMS_ARRAY, 1);
}

static enum streams_scan_e take_close(struct streams_scan *scan)
{
    enum streams_kind_e kind = in_object(scan) ? STREAMS_OBJECT : STREAMS_ARRAY;
    scan->depth--;
    scan->expect = EXPECT_MORE;
    return take(scan, STREAMS_SCAN_CLOSE, kind, 1);
}

/* --- strings -------------------------------------------------------------------------------------------------------- */

#define EACH(byte) (0x0101010101010101ULL * (unsigned char)(byte))

/* The lowest bit that is set in the result stands in the first byte that is less than `n` (at most 128) or, for has_byte, this one; what is
 * set above it means nothing. Zero: there is none. */
static uint64_t has_less(uint64_t word, unsigned char n)
{
    return (word - EACH(n)) & ~word & EACH(0x80);
}

static uint64_t has_byte(uint64_t word, char byte)
{
    return has_less(word ^ EACH(byte), 1);
}

/* The next byte that is not simply part of the string: its quote, a backslash, a control character, and what is not ASCII
 * unless that is known to be good. */
static const char *skip_plain(const char *p, const char *end, char quote, bool known)
{
    const uint64_t beyond = known ? 0 : EACH(0x80);
    for (uint64_t word; end - p >= 8; p += 8) {
        memcpy(&word, p, sizeof word);
        word = le64toh(word);
        uint64_t special =
            has_less(word, 0x20) | has_byte(word, quote) | has_byte(word, '\\') | (word & beyond);
        if (special != 0)
            return p + __builtin_ctzll(special) / 8;
    }
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || *p == quote || c == '\\' || (c >= 0x80 && !known))
            break;
    }
    return p;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u; -1: there are none. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex(p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Bytes of the escape at `p`, which is a backslash; 0: *why. */
static size_t escape_len(const char *p, const char *end, char quote, const char **why)
{
    *why = "Invalid escape";
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return memchr("\"\\/bfnrt", p[1], 8) != NULL || (p[1] == '\'' && quote == '\'') ? 2 : 0;
    int32_t unit = hex4(p + 2, end);
    if (unit < 0)
        return 0;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    *why = "Escape of half a surrogate pair";
    if (unit > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return 0;
    int32_t low = hex4(p + 8, end);
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* Bytes of what stands at `p`, where skip_plain() has stopped before the string's end; 0: *why. */
static size_t special_len(const struct streams_scan *scan, const char *p, char quote, const char **why)
{
    if (*p == '\\')
        return escape_len(p, scan->end, quote, why);
    *why = "Control character in a string";
    if ((unsigned char)*p < 0x20)
        return 0;
    *why = "Invalid UTF-8";
    return utf8_step(p, (size_t)(scan->end - p));
}

static enum streams_scan_e take_string(struct streams_scan *scan, enum streams_scan_e token)
{
    const char quote = *scan->at, *start = scan->at + 1, *p = start;
    const char *why;
    bool escaped = false;
    for (;;) {
        p = skip_plain(p, scan->end, quote, (scan->flags & STREAMS_SCAN_UTF8) != 0);
        if (p == scan->end || *p == quote)
            break;
        size_t len = special_len(scan, p, quote, &why);
        if (len == 0) {
            scan->at = p;
            return fail(scan, why);
        }
        escaped |= *p == '\\';
        p += len;
    }
    scan->at = p;
    if (p == scan->end)
        return fail(scan, "Text ends within a string");
    scan->token = (struct streams_text){start, (size_t)(p - start), STREAMS_STRING, quote, escaped};
    scan->at = p + 1;
    return token;
}

/* --- other values --------------------------------------------------------------------------------------------------- */

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* The end of the number at `p`; NULL: there is none. */
static const char *number_end(const char *p, const char *end)
{
    p += *p == '-';
    const char *whole = p, *part;
    p = skip_digits(p, end);
    if (p == whole || (*whole == '0' && p - whole > 1))
        return NULL;
    if (p < end && *p == '.') {
        part = ++p;
        p = skip_digits(p, end);
        if (p == part)
            return NULL;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        part = p;
        p = skip_digits(p, end);
        if (p == part)
            return NULL;
    }
    return p;
}

static enum streams_scan_e take_number(struct streams_scan *scan)
{
    const char *end = number_end(scan->at, scan->end);
    if (end == NULL)
        return fail(scan, "Invalid number");
    return take(scan, STREAMS_SCAN_VALUE, STREAMS_NUMBER, (size_t)(end - scan->at));
}

static enum streams_scan_e take_word(struct streams_scan *scan)
{
    static const struct {
        const char *text;
        enum streams_kind_e kind;
    } words[] = {{"null", STREAMS_NULL}, {"true", STREAMS_TRUE}, {"false", STREAMS_FALSE}};
    size_t left = (size_t)(scan->end - scan->at);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i].text);
        if (len <= left && memcmp(scan->at, words[i].text, len) == 0)
            return take(scan, STREAMS_SCAN_VALUE, words[i].kind, len);
    }
    return fail(scan, "Expected a value");
}

static enum streams_scan_e take_value(struct streams_scan *scan)
{
    char c = *scan->at;
    if (c == '{' || c == '[')
        return take_open(scan, c == '{');
    scan->expect = EXPECT_MORE;
    if (c == '"' || (c == '\'' && (scan->flags & STREAMS_SCAN_LENIENT)))
        return take_string(scan, STREAMS_SCAN_VALUE);
    if (c == '-' || (c >= '0' && c <= '9'))
        return take_number(scan);
    return take_word(scan);
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

static bool is_bare(char c)
{
    unsigned char lower = (unsigned char)(c | 0x20);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$' || c == '-' ||
           c == '.';
}

static enum streams_scan_e take_bare_name(struct streams_scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end) {
        size_t step = (unsigned char)*scan->at < 0x80 ? is_bare(*scan->at)
                                                      : utf8_step(scan->at, (size_t)(scan->end - scan->at));
        if (step == 0)
            break;
        scan->at += step;
    }
    if (scan->at == start)
        return fail(scan, "Expected a member's name");
    scan->token = (struct streams_text){start, (size_t)(scan->at - start), STREAMS_STRING, 0, false};
    return STREAMS_SCAN_NAME;
}

static void skip_space(struct streams_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static enum streams_scan_e take_name(struct streams_scan *scan)
{
    bool lenient = (scan->flags & STREAMS_SCAN_LENIENT) != 0;
    enum streams_scan_e token = STREAMS_SCAN_ERROR;
    if (*scan->at == '"' || (*scan->at == '\'' && lenient))
        token = take_string(scan, STREAMS_SCAN_NAME);
    else if (lenient)
        token = take_bare_name(scan);
    else
        fail(scan, "Expected a member's name in quotes");
    if (token == STREAMS_SCAN_ERROR)
        return token;
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != ':')
        return fail(scan, "Expected ':'");
    scan->at++;
    scan->expect = EXPECT_VALUE;
    return token;
}

/* --- what may follow ------------------------------------------------------------------------------------------------ */

static void pass_comma(struct streams_scan *scan)
{
    if (scan->expect != EXPECT_MORE || scan->depth == 0 || scan->at == scan->end || *scan->at != ',')
        return;
    scan->at++;
    scan->expect = in_object(scan) ? EXPECT_NEXT_NAME : EXPECT_NEXT_VALUE;
    skip_space(scan);
}

/* Behind a value, where no comma stands. */
static enum streams_scan_e take_end(struct streams_scan *scan)
{
    if (scan->depth == 0)
        return fail(scan, "Text behind the JSON");
    bool object = in_object(scan);
    if (*scan->at == (object ? '}' : ']'))
        return take_close(scan);
    return fail(scan, object ? "Expected ',' or '}'" : "Expected ',' or ']'");
}

static enum streams_scan_e text_end(struct streams_scan *scan)
{
    if (scan->depth > 0)
        return fail(scan, "Text ends within the JSON");
    if (scan->expect == EXPECT_VALUE)
        return fail(scan, "Empty text");
    scan->expect = EXPECT_NOTHING;
    return STREAMS_SCAN_DONE;
}

static enum streams_scan_e take_any(struct streams_scan *scan)
{
    bool lenient = (scan->flags & STREAMS_SCAN_LENIENT) != 0;
    switch ((enum expect_e)scan->expect) {
    case EXPECT_FIRST_VALUE:
    case EXPECT_NEXT_VALUE:
        if (*scan->at == ']' && (lenient || scan->expect == EXPECT_FIRST_VALUE))
            return take_close(scan);
        return take_value(scan);
    case EXPECT_FIRST_NAME:
    case EXPECT_NEXT_NAME:
        if (*scan->at == '}' && (lenient || scan->expect == EXPECT_FIRST_NAME))
            return take_close(scan);
        return take_name(scan);
    case EXPECT_MORE:
        return take_end(scan);
    case EXPECT_VALUE:
    case EXPECT_NOTHING:
        break;
    }
    return take_value(scan);
}

enum streams_scan_e streams_scan_next(struct streams_scan *scan)
{
    if (scan->expect == EXPECT_NOTHING)
        return scan->why != NULL ? STREAMS_SCAN_ERROR : STREAMS_SCAN_DONE;
    skip_space(scan);
    pass_comma(scan);
    return scan->at == scan->end ? text_end(scan) : take_any(scan);
}

bool streams_scan_skip(struct streams_scan *scan)
{
    struct streams_text whole = scan->token;
    unsigned outside = scan->depth - 1;
    while (scan->depth > outside)
        if (streams_scan_next(scan) == STREAMS_SCAN_ERROR)
            return false;
    whole.len = (size_t)(scan->at - whole.at);
    scan->token = whole;
    return true;
}
