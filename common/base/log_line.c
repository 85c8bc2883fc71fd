#include "log_line.h"

#include <stdio.h>
#include <string.h>

/* --- one conversion ------------------------------------------------------------------------------------------------- */

struct arguments {
    va_list list;
    int saved_errno;
};

struct conversion {
    char spec[32]; /* "%-5.3j", without its letter */
    size_t len;
    char length[3]; /* "", "h", "hh", "l", "ll", "z", "j", "t", "L" */
    char letter;
};

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void spec_char(struct conversion *conv, char c)
{
    if (conv->len + 3 < sizeof conv->spec)
        conv->spec[conv->len++] = c;
}

static void spec_number(struct conversion *conv, int value)
{
    char digits[12];
    snprintf(digits, sizeof digits, "%d", value);
    for (const char *p = digits; *p != '\0'; p++)
        spec_char(conv, *p);
}

/* A width or a precision; a `*` becomes its number. */
static const char *read_size(const char *at, struct conversion *conv, struct arguments *args)
{
    if (*at == '*') {
        spec_number(conv, va_arg(args->list, int));
        return at + 1;
    }
    while (is_one_of(*at, "0123456789"))
        spec_char(conv, *at++);
    return at;
}

static const char *read_precision(const char *at, struct conversion *conv, struct arguments *args)
{
    if (*at == '*') {
        int value = va_arg(args->list, int);
        if (value >= 0) { /* a negative one counts as none */
            spec_char(conv, '.');
            spec_number(conv, value);
        }
        return at + 1;
    }
    spec_char(conv, '.');
    return read_size(at, conv, args);
}

/* `at` stands behind the %; returns what comes behind the conversion. */
static const char *read_conversion(const char *at, struct conversion *conv, struct arguments *args)
{
    *conv = (struct conversion){.spec = "%", .len = 1};
    while (is_one_of(*at, "-+ #0'"))
        spec_char(conv, *at++);
    at = read_size(at, conv, args);
    if (*at == '.')
        at = read_precision(at + 1, conv, args);
    for (size_t i = 0; is_one_of(*at, "hlzjtL") && i < sizeof conv->length - 1; at++)
        conv->length[i++] = *at;
    conv->letter = *at;
    return *at == '\0' ? at : at + 1;
}

static intmax_t take_signed(const char *length, struct arguments *args)
{
    if (strcmp(length, "l") == 0)
        return va_arg(args->list, long);
    if (strcmp(length, "ll") == 0)
        return va_arg(args->list, long long);
    if (strcmp(length, "z") == 0)
        return va_arg(args->list, ssize_t);
    if (strcmp(length, "j") == 0)
        return va_arg(args->list, intmax_t);
    if (strcmp(length, "t") == 0)
        return va_arg(args->list, ptrdiff_t);
    int value = va_arg(args->list, int);
    return length[0] != 'h' ? value : length[1] == 'h' ? (signed char)value : (short)value;
}

static uintmax_t take_unsigned(const char *length, struct arguments *args)
{
    if (strcmp(length, "l") == 0)
        return va_arg(args->list, unsigned long);
    if (strcmp(length, "ll") == 0)
        return va_arg(args->list, unsigned long long);
    if (strcmp(length, "z") == 0)
        return va_arg(args->list, size_t);
    if (strcmp(length, "j") == 0)
        return va_arg(args->list, uintmax_t);
    if (strcmp(length, "t") == 0)
        return (uintmax_t)va_arg(args->list, ptrdiff_t);
    unsigned value = va_arg(args->list, unsigned);
    return length[0] != 'h' ? value : length[1] == 'h' ? (unsigned char)value : (unsigned short)value;
}

/* The specs are rebuilt from literals that the compiler has checked at the call. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int print_one(struct conversion *conv, struct arguments *args, char *out, size_t room)
{
    if (is_one_of(conv->letter, "diuxXo"))
        spec_char(conv, 'j');
    spec_char(conv, conv->letter);
    switch (conv->letter) {
    case 'd':
    case 'i':
        return snprintf(out, room, conv->spec, take_signed(conv->length, args));
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        return snprintf(out, room, conv->spec, take_unsigned(conv->length, args));
    case 'c':
        return snprintf(out, room, conv->spec, va_arg(args->list, int));
    case 's':
        return snprintf(out, room, conv->spec, va_arg(args->list, const char *));
    case 'p':
        return snprintf(out, room, conv->spec, va_arg(args->list, void *));
    case 'm':
        return snprintf(out, room, "%s", strerror(args->saved_errno));
    default: /* of the floating ones */
        return conv->length[0] == 'L'
                   ? snprintf(out, room, conv->spec, (double)va_arg(args->list, long double))
                   : snprintf(out, room, conv->spec, va_arg(args->list, double));
    }
}
#pragma GCC diagnostic pop

/* --- the walk ------------------------------------------------------------------------------------------------------- */

struct walk {
    struct log_line *line;
    struct log_field *field; /* the one that is being written; NULL: between two */
    bool quoted;             /* its value is */
    bool only_numbers;       /* no conversion but numeric ones went into it */
    unsigned conversions;    /* that went into it; "3.10" made of two is a name, not a number */
    size_t spelled;          /* characters of it that stand in the format */
};

static void put(struct log_line *line, char c)
{
    if (line->len < sizeof line->text)
        line->text[line->len++] = c;
}

static size_t key_length(const char *at)
{
    size_t n = 0;
    while (is_one_of(at[n], "abcdefghijklmnopqrstuvwxyz0123456789_"))
        n++;
    return n > 0 && at[n] == '=' ? n : 0;
}

static void open_field(struct walk *walk, const char *key, size_t key_len)
{
    struct log_line *line = walk->line;
    if (line->count == LOG_FIELDS_MAX)
        return;
    walk->field = &line->fields[line->count++];
    *walk->field = (struct log_field){.key = key, .key_len = key_len, .start = line->len};
    walk->only_numbers = true;
    walk->conversions = 0;
    walk->spelled = 0;
}

static bool digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
    return *at > start;
}

/* RFC 8259, section 6. */
static bool is_json_number(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    bool zero = at < end && *at == '0';
    const char *first = at;
    if (!digits(&at, end) || (zero && at - first > 1))
        return false;
    if (at < end && *at == '.' && (at++, !digits(&at, end)))
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        if (!digits(&at, end))
            return false;
    }
    return at == end;
}

static void close_field(struct walk *walk)
{
    struct log_line *line = walk->line;
    struct log_field *field = walk->field;
    if (field == NULL)
        return;
    field->len = line->len - field->start;
    const char *value = line->text + field->start;
    bool one_thing = walk->conversions + (walk->spelled > 0) == 1;
    field->number =
        !walk->quoted && walk->only_numbers && one_thing && is_json_number(value, value + field->len);
    walk->field = NULL;
    walk->quoted = false;
}

/* A key and its `=`, and the quote that opens its value, if there is one. Returns what comes behind them. */
static const char *begin_key(struct walk *walk, const char *at, size_t key_len)
{
    close_field(walk);
    for (size_t i = 0; i <= key_len; i++)
        put(walk->line, at[i]);
    walk->quoted = at[key_len + 1] == '"';
    if (walk->quoted)
        put(walk->line, '"');
    open_field(walk, at, key_len);
    return at + key_len + 1 + walk->quoted;
}

static void plain_char(struct walk *walk, char c)
{
    bool ends = walk->field != NULL && walk->field->key != NULL && (walk->quoted ? c == '"' : c == ' ');
    if (ends)
        close_field(walk);
    else if (walk->field == NULL && c != ' ')
        open_field(walk, NULL, 0);
    walk->spelled++;
    put(walk->line, c);
}

static const char *conversion(struct walk *walk, const char *at, struct arguments *args)
{
    struct conversion conv;
    struct log_line *line = walk->line;
    at = read_conversion(at, &conv, args);
    if (!is_one_of(conv.letter, "diuxXocspmaAeEfFgG"))
        return at;
    if (walk->field == NULL)
        open_field(walk, NULL, 0);
    walk->conversions++;
    walk->only_numbers = walk->only_numbers && is_one_of(conv.letter, "diueEfFgG");
    char piece[LOG_LINE_MAX + 1];
    int n = print_one(&conv, args, piece, sizeof piece);
    for (int i = 0; i < n && (size_t)i < sizeof piece - 1; i++)
        put(line, piece[i]);
    return at;
}

static bool at_word(const struct walk *walk, const char *fmt, const char *at)
{
    return !walk->quoted && (at == fmt || at[-1] == ' ');
}

void log_line_print(struct log_line *line, int saved_errno, const char *fmt, va_list args)
{
    struct arguments all = {.saved_errno = saved_errno};
    struct walk walk = {.line = line};
    line->len = 0;
    line->count = 0;
    va_copy(all.list, args);
    for (const char *at = fmt; *at != '\0' && line->len < sizeof line->text;) {
        size_t key_len = at_word(&walk, fmt, at) ? key_length(at) : 0;
        if (key_len > 0) {
            at = begin_key(&walk, at, key_len);
        } else if (*at == '%' && at[1] != '%') {
            at = conversion(&walk, at + 1, &all);
        } else {
            at += *at == '%';
            plain_char(&walk, *at++);
        }
    }
    close_field(&walk);
    va_end(all.list);
    while (line->len > 0 && line->text[line->len - 1] == ' ')
        line->len--;
}

static bool has(const struct log_line *line, const char *key, size_t key_len)
{
    for (unsigned i = 0; i < line->count; i++) {
        const struct log_field *field = &line->fields[i];
        if (field->key != NULL && field->key_len == key_len && memcmp(field->key, key, key_len) == 0)
            return true;
    }
    return false;
}

static void shorten(struct log_line *line, size_t len)
{
    line->len = len;
    for (unsigned i = 0; i < line->count; i++) {
        struct log_field *field = &line->fields[i];
        field->start = field->start < len ? field->start : len;
        field->number = field->number && field->start + field->len <= len;
        field->len = field->start + field->len <= len ? field->len : len - field->start;
    }
}

static void add(struct log_line *line, const char *key, const char *value, bool number)
{
    char text[256];
    size_t key_len = strlen(key);
    int n = snprintf(text, sizeof text, "%s%s=%s", line->len > 0 ? " " : "", key, value);
    if (n <= 0 || (size_t)n >= sizeof text || has(line, key, key_len))
        return;
    if (line->len + (size_t)n > sizeof line->text)
        shorten(line, sizeof line->text - (size_t)n);
    for (int i = 0; i < n; i++)
        put(line, text[i]);
    if (line->count == LOG_FIELDS_MAX)
        return;
    size_t len = strlen(value);
    line->fields[line->count++] = (struct log_field){
        .key = key, .key_len = key_len, .start = line->len - len, .len = len, .number = number};
}

void log_line_add(struct log_line *line, const char *key, const char *value)
{
    add(line, key, value, false);
}

void log_line_add_number(struct log_line *line, const char *key, uint64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    add(line, key, digits, true);
}
