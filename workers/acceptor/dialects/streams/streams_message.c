/* Hop: C2. See streams_message.h. */
#include "streams_message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "must.h"
#include "streams_text.h"

#define EXCERPT_MAX 40

enum member_e { MEMBER_OP, MEMBER_MSG, MEMBER_IDS, MEMBER_ID, MEMBER_COUNT };

static const char *const id_names[] = {"ws_stream_ids", "ws_stream_id"};

__attribute__((format(printf, 2, 3))) static bool refuse(char error[STREAMS_ERROR_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(error, STREAMS_ERROR_MAX, fmt, args);
    va_end(args);
    return false;
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
    bool any = false;
    for (unsigned i = 0; i < ARRAY_LEN(id_names); i++) {
        const struct streams_text *ids = &members[MEMBER_IDS + i].value;
        message->stream_ids[i] = *ids;
        if (ids->kind == STREAMS_ABSENT || ids->kind == STREAMS_NULL)
            continue;
        if (ids->kind != STREAMS_STRING && ids->kind != STREAMS_ARRAY)
            return refuse(error, "%s: expected a string or an array of strings", id_names[i]);
        any = true;
    }
    return any || refuse(error, "ws_stream_ids: missing");
}

static bool parse_send(const struct streams_member *members, struct streams_message *message,
                       char error[STREAMS_ERROR_MAX])
{
    message->msg = members[MEMBER_MSG].value;
    return message->msg.kind != STREAMS_ABSENT || refuse(error, "ws_msg: missing");
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
    return parse_send(members, message, error) &&
           (message->msg.kind == STREAMS_STRING || refuse(error, "ws_msg: expected a string"));
}

static const struct {
    const char *text;
    bool (*parse)(const struct streams_member *members, struct streams_message *message,
                  char error[STREAMS_ERROR_MAX]);
} ops[] = {
    [STREAMS_OPEN] = {"open", parse_open},
    [STREAMS_SEND] = {"send", parse_send},
    [STREAMS_CLOSE] = {"close", parse_close},
    [STREAMS_ADMIN] = {"admin", parse_admin},
};

bool streams_message_parse(const char *text, size_t len, bool utf8, struct streams_message *message,
                           char error[STREAMS_ERROR_MAX])
{
    struct streams_member members[MEMBER_COUNT] = {[MEMBER_OP] = {.name = "ws_op"},
                                                   [MEMBER_MSG] = {.name = "ws_msg"},
                                                   [MEMBER_IDS] = {.name = id_names[0]},
                                                   [MEMBER_ID] = {.name = id_names[1]}};
    *message = (struct streams_message){.op = STREAMS_CLOSE};
    if (!scan(text, len, utf8, members, error))
        return false;
    const struct streams_text *op = &members[MEMBER_OP].value;
    if (op->kind == STREAMS_ABSENT)
        return refuse(error, "ws_op: missing");
    if (op->kind != STREAMS_STRING)
        return refuse(error, "ws_op: expected a string");
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        if (streams_text_is(op, ops[i].text)) {
            message->op = (enum streams_op_e)i;
            return ops[i].parse(members, message, error);
        }
    }
    return refuse(error, "ws_op: unknown \"%.*s\" (known: open, send, close, admin)",
                  streams_message_excerpt(op), op->at);
}

/* --- the ids of an open --------------------------------------------------------------------------------------------- */

struct ids {
    struct topic *topics;
    uint32_t count, max;
    char *error;
};

static bool add_id(struct ids *ids, const char *name, const struct streams_text *id)
{
    char memory[STREAM_ID_MAX];
    struct out out = out_init(memory, sizeof memory);
    if (id->kind != STREAMS_STRING)
        return refuse(ids->error, "%s: expected a string", name);
    streams_text_bare(id, &out);
    if (out.overflow)
        return refuse(ids->error, "%s: longer than %u bytes", name, STREAM_ID_MAX);
    if (out.len == 0)
        return refuse(ids->error, "%s: empty", name);
    if (ids->count == ids->max)
        return refuse(ids->error, "%s: more than %u streams", name, ids->max);
    topic_make_stream(&ids->topics[ids->count++], memory, out.len);
    return true;
}

static bool add_array(struct ids *ids, const char *name, const struct streams_text *array)
{
    struct streams_scan scan;
    char element[40];
    streams_scan_init(&scan, array->at, array->len, STREAMS_SCAN_LENIENT | STREAMS_SCAN_UTF8);
    streams_scan_next(&scan);
    for (unsigned i = 0; streams_scan_next(&scan) != STREAMS_SCAN_CLOSE; i++) {
        snprintf(element, sizeof element, "%s[%u]", name, i);
        if (!add_id(ids, element, &scan.token)) /* an array or object within it is no string */
            return false;
    }
    return true;
}

bool streams_message_ids(const struct streams_message *message, struct topic *topics, uint32_t max,
                         uint32_t *count, char error[STREAMS_ERROR_MAX])
{
    struct ids ids = {topics, 0, max, error};
    for (unsigned i = 0; i < ARRAY_LEN(id_names); i++) {
        const struct streams_text *text = &message->stream_ids[i];
        uint32_t before = ids.count;
        if (text->kind != STREAMS_STRING && text->kind != STREAMS_ARRAY)
            continue;
        bool ok = text->kind == STREAMS_STRING ? add_id(&ids, id_names[i], text)
                                               : add_array(&ids, id_names[i], text);
        if (!ok)
            return false;
        if (ids.count == before)
            return refuse(error, "%s: empty", id_names[i]);
    }
    *count = ids.count;
    return true;
}
