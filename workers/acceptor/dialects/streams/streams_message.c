/* Hop: C2. See streams_message.h. */
#include "streams_message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "must.h"
#include "schema_judge.h"
#include "streams_text.h"

#define EXCERPT_MAX 40
#define OP_MAX      16 /* bytes of an operation, and more */

/* --- what is declared ----------------------------------------------------------------------------------------------- */

#define MEMBERS(...) .members = (const struct schema_member[]){__VA_ARGS__}, .strict = true

/* All members that matter: the operation, and what it may need. */
enum member_e { MEMBER_OP, MEMBER_MSG, MEMBER_IDS, MEMBER_ID, MEMBER_COUNT };
static const struct schema_member members_of_message[MEMBER_COUNT] = {
    [MEMBER_OP] = {.name = "ws_op",
                   .type = {.kind = SCHEMA_STRING, .choices = "[\"open\",\"send\",\"close\",\"admin\"]"}},
    [MEMBER_MSG] = {.name = "ws_msg", .optional = true},
    [MEMBER_IDS] = {.name = "ws_stream_ids", .optional = true},
    [MEMBER_ID] = {.name = "ws_stream_id", .optional = true},
};
static struct schema_kept any_message = {
    .table = &(const struct schema_object){
        .name = "Message", .members = members_of_message, .member_count = MEMBER_COUNT, .strict = true}};

static_assert(STREAM_ID_MAX >= OP_MAX, "one memory for both");
static const struct schema_type stream_id = {
    .kind = SCHEMA_STRING, .min_length = 1, .max_bytes = STREAM_ID_MAX};
#define STREAM_IDS                                                                                           \
    {                                                                                                        \
        .kind = SCHEMA_LIST, .items = &stream_id, .min_length = 1, .or_item = true, .nullable = true         \
    }
static struct schema_kept open_message = {
    .table = &(const struct schema_object){
        .name = "Open",
        .member_count = 2,
        MEMBERS({.name = "ws_stream_ids", .type = STREAM_IDS, .optional = true},
                {.name = "ws_stream_id", .type = STREAM_IDS, .optional = true})}};

static struct schema_kept send_message = {
    .table = &(const struct schema_object){.name = "Send", .member_count = 1, MEMBERS({.name = "ws_msg"})}};

static struct schema_kept admin_message = {
    .table = &(const struct schema_object){
        .name = "Admin", .member_count = 1, MEMBERS({.name = "ws_msg", .type = {.kind = SCHEMA_STRING}})}};

/* --- and what is said when it is something else --------------------------------------------------------------------- */

static const struct schema_row rows[] = {
    {NULL, "missing", 0, "missing", NULL},
    {NULL, "string_type", 0, "expected a string", NULL},
    {NULL, "list_type", 0, "expected a string or an array of strings", NULL},
    {NULL, "string_too_long", 0, "longer than ", " bytes"},
    {NULL, "string_too_short", 0, "empty", NULL},
    {NULL, "too_short", 0, "empty", NULL},
    {NULL, "too_long", 0, "more than ", " streams"},
};

__attribute__((format(printf, 2, 3))) static bool refuse(char error[STREAMS_ERROR_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(error, STREAMS_ERROR_MAX, fmt, args);
    va_end(args);
    return false;
}

static bool say(char error[STREAMS_ERROR_MAX], const struct schema_wrong *wrong)
{
    const struct schema_row *row = schema_row(rows, ARRAY_LEN(rows), wrong);
    MUST(row != NULL);
    schema_row_text(row, wrong, error, STREAMS_ERROR_MAX);
    return false;
}

static const struct schema *table_of(struct schema_kept *kept, char error[STREAMS_ERROR_MAX])
{
    const struct schema *schema = schema_of(kept);
    if (schema == NULL)
        refuse(error, "Out of memory");
    return schema;
}

int streams_message_excerpt(const struct streams_text *string)
{
    size_t len = string->len;
    if (len > EXCERPT_MAX)
        for (len = EXCERPT_MAX; len > 0 && (string->at[len] & 0xc0) == 0x80; len--)
            ;
    return (int)len;
}

/* --- the object ----------------------------------------------------------------------------------------------------- */

/* SCHEMA_NONE: there is none. */
static uint32_t kind_of(const struct streams_text *value)
{
    static const uint32_t kinds[] = {
        [STREAMS_ABSENT] = SCHEMA_NONE,         [STREAMS_NULL] = SCHEMA_SEEN_NULL,
        [STREAMS_FALSE] = SCHEMA_SEEN_BOOL,     [STREAMS_TRUE] = SCHEMA_SEEN_BOOL,
        [STREAMS_NUMBER] = SCHEMA_SEEN_NUMERAL, [STREAMS_STRING] = SCHEMA_SEEN_STRING,
        [STREAMS_ARRAY] = SCHEMA_SEEN_LIST,     [STREAMS_OBJECT] = SCHEMA_SEEN_OBJECT,
    };
    return kinds[value->kind];
}

/* What is there, with a string's content; of one that does not fit `size` bytes all that is known is that it is longer. */
static struct schema_seen see(const struct streams_text *value, char *memory, size_t size)
{
    struct schema_seen seen = {
        .kind = (enum schema_seen_e)kind_of(value), .text = value->at, .len = value->len};
    if (value->kind == STREAMS_STRING && value->escaped) {
        struct out out = out_init(memory, size);
        streams_text_bare(value, &out);
        seen.text = memory;
        seen.len = out.overflow ? size + 1 : out.len;
    }
    return seen;
}

/* Where a text is neither, the lenient reading has come further: its complaint is the one that helps. */
static bool scan(const char *text, size_t len, bool utf8, struct streams_member *members,
                 char error[STREAMS_ERROR_MAX])
{
    struct streams_scan scan;
    enum streams_kind_e kind;
    unsigned known = utf8 ? STREAMS_SCAN_UTF8 : 0, line, column;
    streams_scan_init(&scan, text, len, known);
    bool ok = streams_text_scan(&scan, members, MEMBER_COUNT, &kind);
    if (!ok) {
        streams_scan_init(&scan, text, len, known | STREAMS_SCAN_LENIENT);
        ok = streams_text_scan(&scan, members, MEMBER_COUNT, &kind);
    }
    if (!ok) {
        streams_scan_where(&scan, &line, &column);
        return refuse(error, "%s at line %u, column %u", scan.why, line, column);
    }
    return kind == STREAMS_OBJECT || refuse(error, "Expected a JSON object");
}

static bool parse_open(const struct streams_member *members, struct streams_message *message,
                       char error[STREAMS_ERROR_MAX])
{
    const struct schema *schema = table_of(&open_message, error);
    struct schema_wrong wrong;
    bool any = false;
    for (uint32_t i = 0; schema != NULL && i < ARRAY_LEN(message->stream_ids); i++) {
        const struct streams_text *ids = &members[MEMBER_IDS + i].value;
        message->stream_ids[i] = *ids;
        if (!schema_judge_kind(schema, i, kind_of(ids), &wrong))
            return say(error, &wrong);
        any |= ids->kind != STREAMS_ABSENT && ids->kind != STREAMS_NULL;
    }
    return schema != NULL && (any || refuse(error, "ws_stream_ids: missing"));
}

static bool parse_msg(struct schema_kept *kept, const struct streams_member *members,
                      struct streams_message *message, char error[STREAMS_ERROR_MAX])
{
    const struct schema *schema = table_of(kept, error);
    struct schema_wrong wrong;
    message->msg = members[MEMBER_MSG].value;
    return schema != NULL &&
           (schema_judge_kind(schema, 0, kind_of(&message->msg), &wrong) || say(error, &wrong));
}

static bool parse_send(const struct streams_member *members, struct streams_message *message,
                       char error[STREAMS_ERROR_MAX])
{
    return parse_msg(&send_message, members, message, error);
}

static bool parse_close(const struct streams_member *members, struct streams_message *message,
                        char error[STREAMS_ERROR_MAX])
{
    (void)members;
    (void)message;
    (void)error;
    return true;
}

static bool parse_admin(const struct streams_member *members, struct streams_message *message,
                        char error[STREAMS_ERROR_MAX])
{
    return parse_msg(&admin_message, members, message, error);
}

static bool (*const parsers[])(const struct streams_member *members, struct streams_message *message,
                               char error[STREAMS_ERROR_MAX]) = {
    [STREAMS_OPEN] = parse_open,
    [STREAMS_SEND] = parse_send,
    [STREAMS_CLOSE] = parse_close,
    [STREAMS_ADMIN] = parse_admin,
};

static bool unknown_op(const struct streams_text *op, char error[STREAMS_ERROR_MAX])
{
    return refuse(error, "ws_op: unknown \"%.*s\" (known: open, send, close, admin)",
                  streams_message_excerpt(op), op->at);
}

static bool parse_op(const struct streams_text *op, enum streams_op_e *out, char error[STREAMS_ERROR_MAX])
{
    char memory[OP_MAX];
    uint32_t choice;
    struct schema_wrong wrong;
    const struct schema *schema = table_of(&any_message, error);
    if (schema == NULL)
        return false;
    if (op->kind == STREAMS_ABSENT)
        return schema_judge_kind(schema, MEMBER_OP, SCHEMA_NONE, &wrong) || say(error, &wrong);
    struct schema_seen seen = see(op, memory, sizeof memory);
    if (!schema_judge_value(schema, MEMBER_OP, &seen, &choice, &wrong))
        return op->kind == STREAMS_STRING ? unknown_op(op, error) : say(error, &wrong);
    *out = (enum streams_op_e)choice;
    return true;
}

bool streams_message_parse(const char *text, size_t len, bool utf8, struct streams_message *message,
                           char error[STREAMS_ERROR_MAX])
{
    struct streams_member members[MEMBER_COUNT];
    for (unsigned i = 0; i < MEMBER_COUNT; i++)
        members[i].name = members_of_message[i].name;
    *message = (struct streams_message){.op = STREAMS_CLOSE};
    if (!scan(text, len, utf8, members, error) || !parse_op(&members[MEMBER_OP].value, &message->op, error))
        return false;
    return parsers[message->op](members, message, error);
}

/* --- the ids of an open --------------------------------------------------------------------------------------------- */

struct ids {
    const struct schema *schema;
    struct topic *topics;
    uint32_t count, max, member;
    char *error;
};

/* `index`: SCHEMA_NONE where it stands alone. */
static bool add_id(struct ids *ids, uint32_t index, const struct streams_text *id)
{
    char memory[STREAM_ID_MAX];
    struct schema_wrong wrong;
    struct schema_seen seen = see(id, memory, sizeof memory);
    if (!schema_judge_item(ids->schema, ids->member, index, &seen, &wrong))
        return say(ids->error, &wrong);
    if (ids->count == ids->max) {
        wrong = (struct schema_wrong){members_of_message[MEMBER_IDS + ids->member].name, index, ids->max,
                                      "too_long"};
        return say(ids->error, &wrong);
    }
    topic_make_stream(&ids->topics[ids->count++], seen.text, seen.len);
    return true;
}

static bool add_array(struct ids *ids, const struct streams_text *array)
{
    struct streams_scan scan;
    struct schema_wrong wrong;
    uint32_t count = 0;
    streams_scan_init(&scan, array->at, array->len, STREAMS_SCAN_LENIENT | STREAMS_SCAN_UTF8);
    streams_scan_next(&scan);
    for (; streams_scan_next(&scan) != STREAMS_SCAN_CLOSE; count++)
        if (!add_id(ids, count, &scan.token)) /* an array or object within it is no string */
            return false;
    const struct schema_seen seen = {.kind = SCHEMA_SEEN_LIST, .len = count};
    return schema_judge_value(ids->schema, ids->member, &seen, NULL, &wrong) || say(ids->error, &wrong);
}

bool streams_message_ids(const struct streams_message *message, struct topic *topics, uint32_t max,
                         uint32_t *count, char error[STREAMS_ERROR_MAX])
{
    struct ids ids = {table_of(&open_message, error), topics, 0, max, 0, error};
    for (; ids.schema != NULL && ids.member < ARRAY_LEN(message->stream_ids); ids.member++) {
        const struct streams_text *text = &message->stream_ids[ids.member];
        if ((text->kind == STREAMS_STRING && !add_id(&ids, SCHEMA_NONE, text)) ||
            (text->kind == STREAMS_ARRAY && !add_array(&ids, text)))
            return false;
    }
    *count = ids.count;
    return ids.schema != NULL;
}
