/* handler_wire.c — the messages between workers and handler processes, from one table of fields (handler_wire.h).
 *
 * Decoding walks over each field first (handler_walk.h), which bounds what msgpack-c is going to allocate for it; then it is decoded by
 * its own msgpack_unpack() call, the body last and only if asked for. Encoding writes behind what the buffer holds and takes back
 * what it wrote if anything is not as a decoder would accept it: what one side can write, the other can read.
 */
#include "handler_wire.h"

#include "handler_walk.h"
#include "must.h"
#include "utf8.h"

enum field_kind_e { FIELD_NUMBER, FIELD_FLAG, FIELD_TEXT, FIELD_BODY, FIELD_ENDPOINTS };

struct field {
    enum field_kind_e kind;
    size_t offset; /* in struct handler_message */
    uint32_t max;
};

#define NUMBER(name)                                                                                         \
    {                                                                                                        \
        FIELD_NUMBER, offsetof(struct handler_message, name), 0                                              \
    }
#define FLAG(name)                                                                                           \
    {                                                                                                        \
        FIELD_FLAG, offsetof(struct handler_message, name), 0                                                \
    }
#define TEXT(name, max)                                                                                      \
    {                                                                                                        \
        FIELD_TEXT, offsetof(struct handler_message, name), max                                              \
    }
#define BODY                                                                                                 \
    {                                                                                                        \
        FIELD_BODY, 0, 0                                                                                     \
    }
#define ENDPOINTS                                                                                            \
    {                                                                                                        \
        FIELD_ENDPOINTS, 0, 0                                                                                \
    }
#define NAME(name) TEXT(name, HANDLER_NAME_MAX)
#define PATH       TEXT(path, HANDLER_PATH_MAX)
#define TOPIC      TEXT(topic, HANDLER_TOPIC_MAX)

static const struct field hello_fields[] = {NUMBER(version),          NAME(handler),       NAME(worker),
                                            NUMBER(max_answer_bytes), NUMBER(deadline_ms), ENDPOINTS};
static const struct field open_fields[] = {
    NUMBER(event),   NUMBER(conn), PATH,         TEXT(query, HANDLER_QUERY_MAX),
    NAME(principal), NAME(peer),   FLAG(resumed)};
static const struct field message_fields[] = {NUMBER(event), NUMBER(conn), BODY};
static const struct field closed_fields[] = {NUMBER(event), NUMBER(conn)};
static const struct field welcome_fields[] = {NUMBER(version), NAME(program)};
static const struct field taken_fields[] = {NUMBER(event)};
static const struct field reply_fields[] = {NUMBER(event), NUMBER(status), BODY};
static const struct field send_fields[] = {NUMBER(conn), NUMBER(status), BODY};
static const struct field subscribe_fields[] = {NUMBER(conn), TOPIC};
static const struct field publish_fields[] = {PATH, TOPIC, NUMBER(status), BODY, NUMBER(except)};
static const struct field close_fields[] = {NUMBER(conn), NUMBER(code), TEXT(reason, HANDLER_REASON_MAX)};

struct message_def {
    const char *name;
    const struct field *fields;
    uint32_t field_count;
};

#define DEF(NAME, list) [HANDLER_##NAME] = {#NAME, list, ARRAY_LEN(list)}
static const struct message_def defs[] = {
    DEF(HELLO, hello_fields),           DEF(OPEN, open_fields),       DEF(MESSAGE, message_fields),
    DEF(CLOSED, closed_fields),         DEF(WELCOME, welcome_fields), DEF(TAKEN, taken_fields),
    DEF(REPLY, reply_fields),           DEF(SEND, send_fields),       DEF(SUBSCRIBE, subscribe_fields),
    DEF(UNSUBSCRIBE, subscribe_fields), DEF(PUBLISH, publish_fields), DEF(CLOSE, close_fields),
};

static const struct message_def *message_def(uint64_t type)
{
    return type < ARRAY_LEN(defs) && defs[type].name != NULL ? &defs[type] : NULL;
}

const char *handler_message_name(enum handler_message_e type)
{
    const struct message_def *def = message_def(type);
    return def != NULL ? def->name : "?";
}

static enum err_e check_text(struct handler_text text, uint32_t max)
{
    if (text.len > max)
        return ERR_TOO_LARGE;
    if (text.len == 0)
        return ERR_OK;
    return memchr(text.at, '\0', text.len) == NULL && utf8_is_valid(text.at, text.len) ? ERR_OK
                                                                                       : ERR_MALFORMED;
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

enum err_e handler_frame(const void *bytes, size_t len, size_t *message_len)
{
    const unsigned char *p = bytes;
    if (len < HANDLER_LENGTH_BYTES)
        return ERR_BUSY;
    uint32_t want = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (want == 0)
        return ERR_MALFORMED;
    if (want > HANDLER_FRAME_MAX)
        return ERR_TOO_LARGE;
    *message_len = want;
    return len - HANDLER_LENGTH_BYTES < want ? ERR_BUSY : ERR_OK;
}

static void put_length(char *at, size_t len)
{
    for (unsigned i = 0; i < HANDLER_LENGTH_BYTES; i++)
        at[i] = (char)(len >> (8 * (HANDLER_LENGTH_BYTES - 1 - i)));
}

/* --- encoding ---------------------------------------------------------------------------------------------------- */

static enum err_e packed(int failed)
{
    return failed ? ERR_MEMORY : ERR_OK;
}

static enum err_e pack_text(msgpack_packer *packer, struct handler_text text, uint32_t max)
{
    enum err_e err = check_text(text, max);
    if (err != ERR_OK)
        return err;
    int failed = msgpack_pack_str(packer, text.len);
    if (text.len > 0)
        failed |= msgpack_pack_str_body(packer, text.at, text.len);
    return packed(failed);
}

static enum err_e pack_body(msgpack_packer *packer, const struct handler_message *message)
{
    msgpack_sbuffer *out = packer->data;
    size_t start = out->size;
    if (message->body_bytes == NULL) {
        if (msgpack_pack_object(packer, message->body) != 0)
            return ERR_MEMORY;
        return handler_value(out->data + start, out->size - start);
    }
    if (message->body_len > HANDLER_FRAME_MAX)
        return ERR_TOO_LARGE;
    enum err_e err = handler_value(message->body_bytes, message->body_len);
    return err != ERR_OK ? err : packed(msgpack_sbuffer_write(out, message->body_bytes, message->body_len));
}

static enum err_e pack_endpoints(msgpack_packer *packer, const struct handler_message *message)
{
    if (message->endpoint_count > HANDLER_VALUES_MAX / 4) /* each is an array of two */
        return ERR_TOO_LARGE;
    enum err_e err = packed(msgpack_pack_array(packer, message->endpoint_count));
    for (uint32_t i = 0; i < message->endpoint_count && err == ERR_OK; i++) {
        const struct handler_endpoint *endpoint = &message->endpoints[i];
        err = packed(msgpack_pack_array(packer, 2));
        if (err == ERR_OK)
            err = pack_text(packer, endpoint->path, HANDLER_PATH_MAX);
        if (err == ERR_OK)
            err = packed(endpoint->traditional ? msgpack_pack_true(packer) : msgpack_pack_false(packer));
    }
    return err;
}

static enum err_e pack_field(msgpack_packer *packer, const struct field *field,
                             const struct handler_message *message)
{
    const void *at = (const char *)message + field->offset;
    switch (field->kind) {
    case FIELD_NUMBER:
        return packed(msgpack_pack_uint64(packer, *(const uint64_t *)at));
    case FIELD_FLAG:
        return packed(*(const bool *)at ? msgpack_pack_true(packer) : msgpack_pack_false(packer));
    case FIELD_TEXT:
        return pack_text(packer, *(const struct handler_text *)at, field->max);
    case FIELD_BODY:
        return pack_body(packer, message);
    case FIELD_ENDPOINTS:
        return pack_endpoints(packer, message);
    }
    MUST_NOT_REACH();
}

enum err_e handler_encode(const struct handler_message *message, msgpack_sbuffer *out)
{
    const struct message_def *def = message_def(message->type);
    MUST(def != NULL);
    static const char no_length[HANDLER_LENGTH_BYTES];
    size_t start = out->size;
    msgpack_packer packer;
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    enum err_e err = packed(msgpack_sbuffer_write(out, no_length, HANDLER_LENGTH_BYTES) ||
                            msgpack_pack_array(&packer, 1 + def->field_count) ||
                            msgpack_pack_uint64(&packer, message->type));
    for (uint32_t i = 0; i < def->field_count && err == ERR_OK; i++)
        err = pack_field(&packer, &def->fields[i], message);
    size_t len = out->size - start - HANDLER_LENGTH_BYTES;
    if (err == ERR_OK && len > HANDLER_FRAME_MAX)
        err = ERR_TOO_LARGE;
    if (err == ERR_OK)
        put_length(out->data + start, len);
    else
        out->size = start;
    return err;
}

/* --- decoding ---------------------------------------------------------------------------------------------------- */

struct source {
    const char *at;
    size_t left;
};

/* The bytes of the next value, walked over; no message has one that is too deep or too large. */
static enum err_e next_value(struct source *source, struct source *value)
{
    size_t used;
    if (handler_walk(source->at, source->left, HANDLER_DEPTH_MAX, &used) != ERR_OK)
        return ERR_MALFORMED;
    *value = (struct source){source->at, used};
    source->at += used;
    source->left -= used;
    return ERR_OK;
}

static enum err_e unpack(struct source value, msgpack_zone *zone, msgpack_object *object)
{
    size_t offset = 0;
    msgpack_unpack_return got = msgpack_unpack(value.at, value.left, &offset, zone, object);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR)
        return ERR_MEMORY;
    MUST(got == MSGPACK_UNPACK_SUCCESS && offset == value.left); /* as it was walked */
    return ERR_OK;
}

static enum err_e take_text(const msgpack_object *object, uint32_t max, struct handler_text *text)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return ERR_MALFORMED;
    *text = (struct handler_text){object->via.str.ptr, object->via.str.size};
    return check_text(*text, max) == ERR_OK ? ERR_OK : ERR_MALFORMED;
}

static enum err_e take_endpoint(const msgpack_object *object, struct handler_endpoint *endpoint)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2)
        return ERR_MALFORMED;
    const msgpack_object *fields = object->via.array.ptr;
    if (fields[1].type != MSGPACK_OBJECT_BOOLEAN)
        return ERR_MALFORMED;
    endpoint->traditional = fields[1].via.boolean;
    return take_text(&fields[0], HANDLER_PATH_MAX, &endpoint->path);
}

static enum err_e take_endpoints(struct source value, msgpack_zone *zone, struct handler_message *out)
{
    msgpack_object list;
    enum err_e err = unpack(value, zone, &list);
    if (err != ERR_OK || list.type != MSGPACK_OBJECT_ARRAY)
        return err != ERR_OK ? err : ERR_MALFORMED;
    uint32_t count = list.via.array.size;
    struct handler_endpoint *endpoints =
        count > 0 ? msgpack_zone_malloc(zone, count * sizeof *endpoints) : NULL;
    if (count > 0 && endpoints == NULL)
        return ERR_MEMORY;
    for (uint32_t i = 0; i < count && err == ERR_OK; i++)
        err = take_endpoint(&list.via.array.ptr[i], &endpoints[i]);
    out->endpoints = endpoints;
    out->endpoint_count = count;
    return err;
}

static enum err_e take_scalar(const struct field *field, struct source value, struct handler_message *out)
{
    void *at = (char *)out + field->offset;
    msgpack_object object;
    /* Scalars and strings take nothing from the zone; given none, msgpack-c would make one for each string. */
    msgpack_zone untouched = {0};
    if (handler_is_container((unsigned char)value.at[0]) || unpack(value, &untouched, &object) != ERR_OK)
        return ERR_MALFORMED;
    MUST(untouched.chunk_list.head == NULL);
    if (field->kind == FIELD_TEXT)
        return take_text(&object, field->max, at);
    if (field->kind == FIELD_NUMBER && object.type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        *(uint64_t *)at = object.via.u64;
    else if (field->kind == FIELD_FLAG && object.type == MSGPACK_OBJECT_BOOLEAN)
        *(bool *)at = object.via.boolean;
    else
        return ERR_MALFORMED;
    return ERR_OK;
}

static enum err_e take_field(const struct field *field, struct source value, msgpack_zone *zone,
                             struct handler_message *out)
{
    if (field->kind == FIELD_ENDPOINTS)
        return take_endpoints(value, zone, out);
    if (field->kind != FIELD_BODY)
        return take_scalar(field, value, out);
    out->body_bytes = value.at;
    out->body_len = value.left;
    return ERR_OK;
}

static enum err_e take_type(struct source *source, struct handler_message *out,
                            const struct message_def **def)
{
    const struct field type = NUMBER(event); /* any number of the struct: the type is none of its members */
    struct source value;
    if (next_value(source, &value) != ERR_OK || take_scalar(&type, value, out) != ERR_OK)
        return ERR_MALFORMED;
    *def = message_def(out->event);
    if (*def == NULL)
        return ERR_NOT_FOUND;
    out->type = (enum handler_message_e)out->event;
    out->event = 0;
    return ERR_OK;
}

/* The fields that are known, then those that later versions put behind them. */
static enum err_e take_fields(const struct message_def *def, uint64_t items, struct source source,
                              msgpack_zone *zone, struct handler_message *out)
{
    enum err_e err = def == NULL || items >= def->field_count ? ERR_OK : ERR_MALFORMED;
    for (uint64_t i = 0; i < items && err == ERR_OK; i++) {
        struct source value;
        err = next_value(&source, &value);
        if (err == ERR_OK && def != NULL && i < def->field_count)
            err = take_field(&def->fields[i], value, zone, out);
    }
    return err == ERR_OK && source.left > 0 ? ERR_MALFORMED : err;
}

enum err_e handler_decode_head(const void *message, size_t len, msgpack_zone *zone,
                               struct handler_message *out)
{
    size_t used;
    uint64_t items;
    const struct message_def *def = NULL;
    memset(out, 0, sizeof *out);
    if (len > HANDLER_FRAME_MAX || !handler_walk_array(message, len, &used, &items) || items == 0)
        return ERR_MALFORMED;
    struct source source = {(const char *)message + used, len - used};
    enum err_e known = take_type(&source, out, &def);
    if (known == ERR_MALFORMED)
        return ERR_MALFORMED;
    enum err_e err = take_fields(def, items - 1, source, zone, out);
    return err == ERR_OK ? known : err;
}

enum err_e handler_decode_body(struct handler_message *message, msgpack_zone *zone)
{
    if (message->body_bytes == NULL)
        return ERR_OK;
    return unpack((struct source){message->body_bytes, message->body_len}, zone, &message->body);
}

enum err_e handler_decode(const void *message, size_t len, msgpack_zone *zone, struct handler_message *out)
{
    enum err_e err = handler_decode_head(message, len, zone, out);
    return err == ERR_OK ? handler_decode_body(out, zone) : err;
}
