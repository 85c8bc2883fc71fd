/* See journal_record.h. One table of members serves writing and reading.
 *
 * Reading is strict by a trick: what the line said is written again and compared byte by byte. So a duplicate, a member that
 * the event has not, another order, other escapes, a number out of bounds, all are "no such line" without a rule of their
 * own, and the parser's laxness cannot let through what this program would not have written. Rejected: to admit unknown
 * members, because a record of which a part is not understood must not decide whether a machine is moved again.
 *
 * 64-bit names (worker, incarnation) are hexadecimal texts, because JSON's numbers end at 2^53 in many a reader. */
#include "journal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "clock.h"
#include "must.h"
#include "utf8.h"

#define HASH_KEY  ",\"hash\":\""
#define HASH_HEX  (2 * JOURNAL_HASH)
#define HASH_TAIL (sizeof HASH_KEY - 1 + HASH_HEX + 2) /* and "} */

static const char *const event_names[] = {[JOURNAL_NONE] = "none",
#define X(NAME, name, text) [JOURNAL_##NAME] = name,
                                          JOURNAL_EVENT_TABLE(X)
#undef X
};

const char *journal_event_name(enum journal_event_e event)
{
    return event < JOURNAL_EVENT_COUNT ? event_names[event] : event_names[JOURNAL_NONE];
}

/* --- members ----------------------------------------------------------------------------------------------------- */

enum kind_e {
    COUNT,   /* uint64_t, always there */
    SOME,    /* uint64_t; 0 is left out */
    NUMBER,  /* int64_t; below 0 is left out */
    HEX,     /* uint64_t as 16 hex digits */
    EVENT,   /* enum journal_event_e */
    TIME,    /* wall time in ms as ISO 8601 */
    KEY,     /* worker, session, serial: three uint64_t in a row */
    TEXT,    /* "" is left out */
    FLAG,    /* false is left out */
    READING, /* left out if not known */
    CODE,    /* CODE_NONE is left out */
    HASH,
};

struct member {
    const char *name;
    enum kind_e kind;
    size_t at, size; /* in struct journal_record */
    unsigned events; /* 1 << event */
};

#define IN(event) (1u << JOURNAL_##event)
#define ALL       (~0u)
#define ASKED     (IN(INTENT) | IN(RESULT) | IN(COMPLETION))
#define ENDED     (IN(RESULT) | IN(COMPLETION))
#define MEMBER(kind, name, field, events)                                                                    \
    {                                                                                                        \
        name, kind, offsetof(struct journal_record, field), sizeof(((struct journal_record *)0)->field),     \
            events                                                                                           \
    }

static const struct member members[] = {
    MEMBER(COUNT, "n", n, ALL),
    MEMBER(EVENT, "event", event, ALL),
    MEMBER(TIME, "time", wall_ms, ALL),
    MEMBER(COUNT, "mono_ns", mono_ns, ALL),
    MEMBER(HEX, "incarnation", incarnation, IN(START)),
    MEMBER(TEXT, "boot", boot, IN(START) | IN(SEGMENT)),
    MEMBER(TEXT, "plc", plc, IN(START) | IN(SEGMENT)),
    MEMBER(FLAG, "latched", latched, IN(SEGMENT)),
    MEMBER(HASH, "prev", prev, IN(SEGMENT)),
    MEMBER(KEY, "key", worker, ASKED),
    MEMBER(COUNT, "dialect", dialect, ASKED),
    MEMBER(TEXT, "request_id", request_id, ASKED | IN(REARMED)),
    MEMBER(TEXT, "scope", scope, ASKED | IN(REARMED)),
    MEMBER(TEXT, "who", who, ASKED | IN(REARMED)),
    MEMBER(TEXT, "from", from, ASKED | IN(REARMED)),
    MEMBER(COUNT, "command", command, ASKED),
    MEMBER(NUMBER, "argument", argument, ASKED),
    MEMBER(TIME, "arrived", arrived_wall_ms, IN(INTENT) | IN(RESULT)),
    MEMBER(COUNT, "arrived_mono_ns", arrived_mono_ns, IN(INTENT) | IN(RESULT)),
    MEMBER(NUMBER, "deadline_ms", deadline_ms, IN(INTENT)),
    MEMBER(READING, "before", before, IN(INTENT) | IN(RESULT)),
    MEMBER(READING, "after", after, ENDED),
    MEMBER(FLAG, "sent", sent, IN(RESULT)),
    MEMBER(FLAG, "repeat", repeat, ENDED),
    MEMBER(FLAG, "reconciled", reconciled, IN(RESULT)),
    MEMBER(SOME, "written_mono_ns", written_mono_ns, ENDED),
    MEMBER(CODE, "code", code, ENDED),
    MEMBER(TEXT, "text", text, ENDED),
    MEMBER(NUMBER, "position", position, ENDED),
    MEMBER(COUNT, "elapsed_ms", elapsed_ms, ENDED),
    MEMBER(COUNT, "upto", upto, IN(TOLD)),
};

static bool has_member(enum journal_event_e event, const struct member *member)
{
    return (member->events & 1u << event) != 0;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

/* A text that was cut within a character must not make its line unreadable: what is no UTF-8 becomes '?'. */
static void write_text(struct out *out, const char *text, size_t size)
{
    char clean[256];
    MUST(size <= sizeof clean && memchr(text, '\0', size) != NULL);
    size_t len = strlen(text);
    for (size_t at = 0, step; at < len; at += step == 0 ? 1 : step) {
        step = utf8_step(text + at, len - at);
        if (step == 0)
            clean[at] = '?';
        else
            memcpy(clean + at, text + at, step);
    }
    out_json_string(out, clean, len);
}

static void write_hex(struct out *out, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out_char(out, "0123456789abcdef"[bytes[i] >> 4]);
        out_char(out, "0123456789abcdef"[bytes[i] & 15]);
    }
}

static void write_hex64(struct out *out, uint64_t value)
{
    out_hex32(out, (uint32_t)(value >> 32));
    out_hex32(out, (uint32_t)value);
}

static void write_key(struct out *out, const uint64_t key[3])
{
    write_hex64(out, key[0]);
    out_char(out, '-');
    out_u64(out, key[1]);
    out_char(out, '-');
    out_u64(out, key[2]);
}

static void write_reading(struct out *out, const struct journal_reading *reading)
{
    out_literal(out, "{\"raw\":");
    out_u64(out, reading->raw);
    out_literal(out, ",\"position\":");
    out_u64(out, reading->position);
    out_char(out, '}');
}

static uint64_t as_u64(const void *value)
{
    uint64_t number;
    memcpy(&number, value, sizeof number);
    return number;
}

static bool is_left_out(const struct member *member, const void *value)
{
    switch (member->kind) {
    case SOME:
        return as_u64(value) == 0;
    case NUMBER:
        return *(const int64_t *)value < 0;
    case TEXT:
        return *(const char *)value == '\0';
    case FLAG:
        return !*(const bool *)value;
    case READING:
        return !((const struct journal_reading *)value)->known;
    case CODE:
        return *(const enum command_code_e *)value == CODE_NONE;
    default:
        return false;
    }
}

static void write_quoted(struct out *out, const struct member *member, const void *value)
{
    out_char(out, '"');
    if (member->kind == EVENT)
        out_text(out, journal_event_name(*(const enum journal_event_e *)value));
    else if (member->kind == TIME)
        out_timestamp(out, as_u64(value));
    else if (member->kind == HEX)
        write_hex64(out, as_u64(value));
    else if (member->kind == KEY)
        write_key(out, value);
    else if (member->kind == CODE)
        out_text(out, command_code_name(*(const enum command_code_e *)value));
    else
        write_hex(out, value, JOURNAL_HASH);
    out_char(out, '"');
}

static void write_value(struct out *out, const struct member *member, const void *value)
{
    switch (member->kind) {
    case COUNT:
    case SOME:
        out_u64(out, as_u64(value) > INT64_MAX ? INT64_MAX : as_u64(value));
        return;
    case NUMBER:
        out_i64(out, *(const int64_t *)value);
        return;
    case TEXT:
        write_text(out, value, member->size);
        return;
    case FLAG:
        out_literal(out, "true");
        return;
    case READING:
        write_reading(out, value);
        return;
    default:
        write_quoted(out, member, value);
    }
}

/* The line up to and without ,"hash": */
static void write_body(struct out *out, const struct journal_record *record)
{
    char before = '{';
    for (const struct member *member = members; member < members + ARRAY_LEN(members); member++) {
        const void *value = (const char *)record + member->at;
        if (!has_member(record->event, member) || is_left_out(member, value))
            continue;
        out_char(out, before);
        out_char(out, '"');
        out_text(out, member->name);
        out_literal(out, "\":");
        write_value(out, member, value);
        before = ',';
    }
}

/* OpenSSL fails here only for want of memory, while it loads itself: no line without its hash, ever. */
static void chain_on(const uint8_t before[JOURNAL_HASH], const char *body, size_t len,
                     uint8_t hash[JOURNAL_HASH])
{
    uint8_t text[JOURNAL_HASH + JOURNAL_LINE_MAX];
    MUST(len <= JOURNAL_LINE_MAX);
    memcpy(text, before, JOURNAL_HASH);
    memcpy(text + JOURNAL_HASH, body, len);
    MUST(EVP_Digest(text, JOURNAL_HASH + len, hash, NULL, EVP_sha256(), NULL) == 1);
}

void journal_record_write(const struct journal_record *record, uint8_t hash[JOURNAL_HASH], struct out *out)
{
    size_t begin = out->len;
    MUST(record->event > JOURNAL_NONE && record->event < JOURNAL_EVENT_COUNT);
    write_body(out, record);
    if (out->overflow)
        return;
    chain_on(hash, out->at + begin, out->len - begin, hash);
    out_literal(out, HASH_KEY);
    write_hex(out, hash, JOURNAL_HASH);
    out_literal(out, "\"}\n");
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static bool read_digits(const char *text, size_t len, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}

/* "2025-01-27T10:30:00.000Z"; what is between the digits is compared when the line is written again. Days: Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", days_from_civil. */
static bool read_time(const char *text, uint64_t *wall_ms)
{
    uint64_t year, month, day, hour, minute, second, ms;
    if (strlen(text) != CLOCK_ISO_LEN || !read_digits(text, 4, &year) || !read_digits(text + 5, 2, &month) ||
        !read_digits(text + 8, 2, &day) || !read_digits(text + 11, 2, &hour) ||
        !read_digits(text + 14, 2, &minute) || !read_digits(text + 17, 2, &second) ||
        !read_digits(text + 20, 3, &ms))
        return false;
    if (year < 1970 || month < 1 || month > 12)
        return false;
    uint64_t y = year - (month <= 2), era = y / 400, yoe = y - era * 400;
    uint64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    *wall_ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms;
    return true;
}

static bool read_hash(const char *text, uint8_t hash[JOURNAL_HASH])
{
    for (size_t i = 0; i < JOURNAL_HASH; i++) {
        unsigned byte = 0;
        for (size_t k = 2 * i; k < 2 * i + 2; k++) {
            char c = text[k];
            if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
                return false;
            byte = byte << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        hash[i] = (uint8_t)byte;
    }
    return true;
}

static bool read_key(const char *text, uint64_t key[3])
{
    char *end;
    for (int i = 0; i < 3; i++, text = end + 1) {
        key[i] = strtoull(text, &end, i == 0 ? 16 : 10);
        if (*end != (i < 2 ? '-' : '\0'))
            return false;
    }
    return true;
}

static bool read_event(const char *text, enum journal_event_e *event)
{
    for (*event = JOURNAL_NONE + 1; *event < JOURNAL_EVENT_COUNT; ++*event)
        if (strcmp(event_names[*event], text) == 0)
            return true;
    return false;
}

static bool read_code(const char *text, enum command_code_e *code)
{
    for (*code = CODE_NONE + 1; *code < CODE_COUNT; ++*code)
        if (strcmp(command_code_name(*code), text) == 0)
            return true;
    return false;
}

static bool read_byte(const json_t *json, const char *name, uint8_t *byte)
{
    const json_t *value = json_object_get(json, name);
    json_int_t number = json_integer_value(value);
    *byte = (uint8_t)number;
    return json_is_integer(value) && number >= 0 && number <= UINT8_MAX;
}

static bool read_reading(const json_t *json, struct journal_reading *reading)
{
    reading->known = true;
    return json_is_object(json) && read_byte(json, "raw", &reading->raw) &&
           read_byte(json, "position", &reading->position);
}

static bool read_number(const struct member *member, const json_t *json, void *value)
{
    json_int_t number = json_integer_value(json);
    if (!json_is_integer(json) || number < 0)
        return false;
    MUST(member->size == sizeof(int64_t));
    memcpy(value, &number, sizeof(int64_t));
    return true;
}

static bool read_string(const struct member *member, const char *text, void *value)
{
    switch (member->kind) {
    case EVENT:
        return read_event(text, value);
    case TIME:
        return read_time(text, value);
    case HEX:
        *(uint64_t *)value = strtoull(text, NULL, 16);
        return true;
    case KEY:
        return read_key(text, value);
    case CODE:
        return read_code(text, value);
    case HASH:
        return strlen(text) == HASH_HEX && read_hash(text, value);
    default:
        return (size_t)snprintf(value, member->size, "%s", text) < member->size;
    }
}

static bool read_value(const struct member *member, const json_t *json, void *value)
{
    switch (member->kind) {
    case COUNT:
    case SOME:
    case NUMBER:
        return read_number(member, json, value);
    case FLAG:
        *(bool *)value = json_is_true(json);
        return true;
    case READING:
        return read_reading(json, value);
    default:
        return json_is_string(json) && read_string(member, json_string_value(json), value);
    }
}

static bool read_members(const json_t *json, struct journal_record *record)
{
    const json_t *event = json_object_get(json, "event");
    if (!json_is_string(event) || !read_event(json_string_value(event), &record->event))
        return false;
    for (const struct member *member = members; member < members + ARRAY_LEN(members); member++) {
        const json_t *value = has_member(record->event, member) ? json_object_get(json, member->name) : NULL;
        if (value != NULL && !read_value(member, value, (char *)record + member->at))
            return false;
    }
    return true;
}

static bool says(const char *body, size_t len, const struct journal_record *record)
{
    char again[JOURNAL_LINE_MAX];
    struct out out = out_init(again, sizeof again);
    write_body(&out, record);
    return !out.overflow && out.len == len && memcmp(again, body, len) == 0;
}

static bool read_body(const char *body, size_t len, struct journal_record *record)
{
    char text[JOURNAL_LINE_MAX + 1];
    memcpy(text, body, len);
    text[len] = '}';
    json_t *json = json_loadb(text, len + 1, 0, NULL);
    *record = (struct journal_record){.argument = -1, .deadline_ms = -1, .position = -1};
    bool fine = json_is_object(json) && read_members(json, record);
    json_decref(json);
    return fine && says(body, len, record);
}

enum err_e journal_record_read(const char *line, size_t len, uint8_t hash[JOURNAL_HASH],
                               struct journal_record *record)
{
    uint8_t told[JOURNAL_HASH], follows[JOURNAL_HASH];
    *record = (struct journal_record){.event = JOURNAL_NONE};
    if (len <= HASH_TAIL || len >= JOURNAL_LINE_MAX)
        return ERR_MALFORMED;
    size_t body = len - HASH_TAIL;
    const char *tail = line + body, *digits = tail + sizeof HASH_KEY - 1;
    if (memcmp(tail, HASH_KEY, sizeof HASH_KEY - 1) != 0 || memcmp(digits + HASH_HEX, "\"}", 2) != 0 ||
        !read_hash(digits, told) || !read_body(line, body, record)) {
        *record = (struct journal_record){.event = JOURNAL_NONE};
        return ERR_MALFORMED;
    }
    chain_on(hash, line, body, follows);
    if (memcmp(told, follows, JOURNAL_HASH) != 0)
        return ERR_CORRUPT;
    memcpy(hash, follows, JOURNAL_HASH);
    return ERR_OK;
}
