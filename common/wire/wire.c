/* One table of field descriptors per message drives encoder and decoder. Each field is decoded by its own
 * msgpack_unpack() call, which touches no heap for scalars and strings; containers are refused by their first byte
 * before msgpack-c sees them. Rejected: unpacking the whole array at once, which makes msgpack-c allocate as many
 * objects as a hostile array header claims. */
#include "wire.h"

#include <msgpack.h>

#include "must.h"
#include "hash.h"
#include "clock.h"

enum field_kind_e { FIELD_U64, FIELD_I64, FIELD_FLAG, FIELD_TEXT, FIELD_BLOB };

struct field {
    enum field_kind_e kind;
    size_t offset; /* in struct wire_message */
    uint32_t max;
};

struct message_def {
    const char *name;
    const struct field *fields;
    uint32_t field_count;
    uint32_t max_bytes;
};

/* Offsets are relative to the message's own struct; all of them start at the same place of the union. */
#define DESCRIBE_U64(name)        {FIELD_U64, offsetof(struct SELF, name), 0},
#define DESCRIBE_I64(name)        {FIELD_I64, offsetof(struct SELF, name), 0},
#define DESCRIBE_FLAG(name)       {FIELD_FLAG, offsetof(struct SELF, name), 0},
#define DESCRIBE_TEXT(name, max_) {FIELD_TEXT, offsetof(struct SELF, name), max_},
#define DESCRIBE_BLOB(name, max_) {FIELD_BLOB, offsetof(struct SELF, name), max_},
#define DESCRIBE(LIST)            LIST(DESCRIBE_U64, DESCRIBE_I64, DESCRIBE_FLAG, DESCRIBE_TEXT, DESCRIBE_BLOB)

#define SELF wire_hello
static const struct field hello_fields[] = {DESCRIBE(WIRE_HELLO_FIELDS)};
#undef SELF
#define SELF wire_hello_ok
static const struct field hello_ok_fields[] = {DESCRIBE(WIRE_HELLO_OK_FIELDS)};
#undef SELF
#define SELF wire_re_hello
static const struct field re_hello_fields[] = {DESCRIBE(WIRE_RE_HELLO_FIELDS)};
#undef SELF
#define SELF wire_refused
static const struct field refused_fields[] = {DESCRIBE(WIRE_REFUSED_FIELDS)};
#undef SELF
#define SELF wire_heartbeat
static const struct field heartbeat_fields[] = {DESCRIBE(WIRE_HEARTBEAT_FIELDS)};
#undef SELF
#define SELF wire_state
static const struct field state_fields[] = {DESCRIBE(WIRE_STATE_FIELDS)};
#undef SELF
#define SELF wire_command
static const struct field command_fields[] = {DESCRIBE(WIRE_COMMAND_FIELDS)};
#undef SELF
#define SELF wire_outcome
static const struct field outcome_fields[] = {DESCRIBE(WIRE_OUTCOME_FIELDS)};
#undef SELF
#define SELF wire_outcome_ack
static const struct field outcome_ack_fields[] = {DESCRIBE(WIRE_OUTCOME_ACK_FIELDS)};
#undef SELF
#define SELF wire_goodbye
static const struct field goodbye_fields[] = {DESCRIBE(WIRE_GOODBYE_FIELDS)};
#undef SELF
#define SELF wire_publish
static const struct field publish_fields[] = {DESCRIBE(WIRE_PUBLISH_FIELDS)};
#undef SELF
#define SELF wire_survey
static const struct field survey_fields[] = {DESCRIBE(WIRE_SURVEY_FIELDS)};
#undef SELF
#define SELF wire_survey_workers
static const struct field survey_workers_fields[] = {DESCRIBE(WIRE_SURVEY_WORKERS_FIELDS)};
#undef SELF
#define SELF wire_survey_ask
static const struct field survey_ask_fields[] = {DESCRIBE(WIRE_SURVEY_ASK_FIELDS)};
#undef SELF
#define SELF wire_survey_rows
static const struct field survey_rows_fields[] = {DESCRIBE(WIRE_SURVEY_ROWS_FIELDS)};
#undef SELF
#define SELF wire_store_request
static const struct field store_request_fields[] = {DESCRIBE(WIRE_STORE_REQUEST_FIELDS)};
#undef SELF
#define SELF wire_store_reply
static const struct field store_reply_fields[] = {DESCRIBE(WIRE_STORE_REPLY_FIELDS)};
#undef SELF
#define SELF wire_store_lost
static const struct field store_lost_fields[] = {DESCRIBE(WIRE_STORE_LOST_FIELDS)};
#undef SELF
#define SELF wire_source
static const struct field source_fields[] = {DESCRIBE(WIRE_SOURCE_FIELDS)};
#undef SELF
#define SELF wire_event
static const struct field event_fields[] = {DESCRIBE(WIRE_EVENT_FIELDS)};
#undef SELF
#define SELF wire_event_ack
static const struct field event_ack_fields[] = {DESCRIBE(WIRE_EVENT_ACK_FIELDS)};
#undef SELF

static const struct message_def *message_def(unsigned type)
{
    static const struct message_def defs[] = {
#define X(number, NAME, msg, direction, size, since)                                                         \
    [number] = {#NAME, msg##_fields, ARRAY_LEN(msg##_fields), size},
        WIRE_MESSAGE_TABLE(X)
#undef X
    };
    return type < ARRAY_LEN(defs) && defs[type].name != NULL ? &defs[type] : NULL;
}

#define X(number, NAME, msg, direction, size, since)                                                         \
    _Static_assert(offsetof(struct wire_message, msg) == offsetof(struct wire_message, hello), "one union"); \
    _Static_assert((size) <= WIRE_MAX, "fits the buffer");
WIRE_MESSAGE_TABLE(X)
#undef X

const char *wire_type_name(enum wire_type_e type)
{
    const struct message_def *def = message_def(type);
    return def != NULL ? def->name : "?";
}

void wire_text_copy(struct wire_text text, char *out, size_t cap)
{
    size_t len = text.len < cap ? text.len : cap - 1;
    if (len > 0)
        memcpy(out, text.at, len);
    out[len] = '\0';
}

uint64_t wire_boot(void)
{
    char boot[CLOCK_BOOT_MAX + 1];
    clock_boot_id(boot);
    return boot[0] != '\0' ? hash_bytes(boot, strlen(boot), 0) : 0;
}

uint64_t wire_address(const char *host, uint16_t port)
{
    uint64_t address = hash_bytes(host, strlen(host), port);
    return address != UINT32_MAX ? address : 0;
}

void wire_command_arrived(struct wire_command *command, uint64_t now_ns)
{
    if (command->source_ns == 0 || now_ns <= command->source_ns)
        return;
    uint64_t age_ms = (now_ns - command->source_ns) / NS_PER_MS;
    if (age_ms <= command->age_ms)
        return;
    uint64_t way_ms = age_ms - command->age_ms;
    command->age_ms = age_ms;
    if (command->deadline_ms >= 0)
        command->deadline_ms =
            way_ms < (uint64_t)command->deadline_ms ? command->deadline_ms - (int64_t)way_ms : 0;
}

bool wire_topics_append(unsigned char *topics, size_t cap, size_t *len, const char *name, uint8_t name_len)
{
    if (name_len == 0 || name_len > WIRE_TOPIC_MAX || *len + 1u + name_len > cap)
        return false;
    topics[(*len)++] = name_len;
    memcpy(topics + *len, name, name_len);
    *len += name_len;
    return true;
}

bool wire_topics_next(struct wire_text *topics, struct wire_text *name)
{
    uint32_t len = topics->len > 0 ? (unsigned char)topics->at[0] : 0;
    if (len == 0 || len > topics->len - 1 || len > WIRE_TOPIC_MAX)
        return false;
    *name = (struct wire_text){topics->at + 1, len};
    topics->at += 1 + len;
    topics->len -= 1 + len;
    return true;
}

bool wire_text_equals(struct wire_text text, const char *other)
{
    return strlen(other) == text.len && (text.len == 0 || memcmp(text.at, other, text.len) == 0);
}

/* --- encoding --------------------------------------------------------------------------------------------------- */

struct sink {
    char *at;
    size_t len, cap;
};

static int sink_write(void *data, const char *bytes, size_t len)
{
    struct sink *sink = data;
    if (len > sink->cap - sink->len)
        return -1;
    if (len > 0) /* an empty text may have no address */
        memcpy(sink->at + sink->len, bytes, len);
    sink->len += len;
    return 0;
}

static int pack_field(msgpack_packer *packer, const struct field *field, const char *base)
{
    const void *at = base + field->offset;
    const struct wire_text *text = at;
    switch (field->kind) {
    case FIELD_U64:
        return msgpack_pack_uint64(packer, *(const uint64_t *)at);
    case FIELD_I64:
        return msgpack_pack_int64(packer, *(const int64_t *)at);
    case FIELD_FLAG:
        return *(const bool *)at ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    case FIELD_TEXT:
        if (text->len > field->max || msgpack_pack_str(packer, text->len) != 0)
            return -1;
        return msgpack_pack_str_body(packer, text->at, text->len);
    case FIELD_BLOB:
        if (text->len > field->max || msgpack_pack_bin(packer, text->len) != 0)
            return -1;
        return msgpack_pack_bin_body(packer, text->at, text->len);
    }
    MUST_NOT_REACH();
}

size_t wire_encode(const struct wire_message *message, void *buffer, size_t cap)
{
    const struct message_def *def = message_def(message->type);
    MUST(def != NULL);
    struct sink sink = {buffer, 0, cap < def->max_bytes ? cap : def->max_bytes};
    msgpack_packer packer;
    msgpack_packer_init(&packer, &sink, sink_write);
    int failed = msgpack_pack_array(&packer, 2 + def->field_count);
    failed |= msgpack_pack_uint64(&packer, message->type);
    failed |= msgpack_pack_uint64(&packer, message->broker_gen);
    for (uint32_t i = 0; i < def->field_count && !failed; i++)
        failed |= pack_field(&packer, &def->fields[i], (const char *)&message->hello);
    return failed ? 0 : sink.len;
}

/* --- decoding --------------------------------------------------------------------------------------------------- */

struct source {
    const char *at;
    size_t len, offset;
};

static bool is_container(unsigned char first)
{
    return (first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf) || /* map, array */
           (first >= 0xc7 && first <= 0xc9) || (first >= 0xd4 && first <= 0xd8);   /* ext */
}

static bool next_object(struct source *source, msgpack_object *object)
{
    if (source->offset >= source->len || is_container((unsigned char)source->at[source->offset]))
        return false;
    /* Scalars and strings take nothing from the zone; given none, msgpack-c would make one for each string. */
    msgpack_zone untouched = {0};
    msgpack_unpack_return got = msgpack_unpack(source->at, source->len, &source->offset, &untouched, object);
    MUST(untouched.chunk_list.head == NULL);
    return got == MSGPACK_UNPACK_SUCCESS || got == MSGPACK_UNPACK_EXTRA_BYTES;
}

/* fixarray or array16 header: the only two that messages of at most WIRE_MAX bytes need. */
static bool next_array(struct source *source, uint32_t *count)
{
    const unsigned char *p = (const unsigned char *)source->at;
    if (source->len >= 1 && (p[0] & 0xf0) == 0x90) {
        *count = p[0] & 0x0fu;
        source->offset = 1;
        return true;
    }
    if (source->len >= 3 && p[0] == 0xdc) {
        *count = (uint32_t)p[1] << 8 | p[2];
        source->offset = 3;
        return true;
    }
    return false;
}

static bool next_u64(struct source *source, uint64_t *value)
{
    msgpack_object object;
    if (!next_object(source, &object) || object.type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    *value = object.via.u64;
    return true;
}

static bool store_i64(const msgpack_object *object, int64_t *value)
{
    if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 <= INT64_MAX)
        *value = (int64_t)object->via.u64;
    else if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *value = object->via.i64;
    else
        return false;
    return true;
}

static bool store_field(const struct field *field, const msgpack_object *object, char *base)
{
    void *at = base + field->offset;
    switch (field->kind) {
    case FIELD_U64:
        *(uint64_t *)at = object->via.u64;
        return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    case FIELD_I64:
        return store_i64(object, at);
    case FIELD_FLAG:
        *(bool *)at = object->type == MSGPACK_OBJECT_BOOLEAN && object->via.boolean;
        return object->type == MSGPACK_OBJECT_BOOLEAN;
    case FIELD_TEXT:
        if (object->type != MSGPACK_OBJECT_STR || object->via.str.size > field->max)
            return false;
        *(struct wire_text *)at = (struct wire_text){object->via.str.ptr, object->via.str.size};
        return true;
    case FIELD_BLOB:
        if (object->type != MSGPACK_OBJECT_BIN || object->via.bin.size > field->max)
            return false;
        *(struct wire_text *)at = (struct wire_text){object->via.bin.ptr, object->via.bin.size};
        return true;
    }
    MUST_NOT_REACH();
}

enum err_e wire_decode(const void *data, size_t len, struct wire_message *message)
{
    struct source source = {data, len, 0};
    uint32_t count;
    uint64_t type;
    if (len > WIRE_MAX || !next_array(&source, &count) || !next_u64(&source, &type) || type > UINT8_MAX)
        return ERR_MALFORMED;
    const struct message_def *def = message_def((unsigned)type);
    if (def == NULL || count != def->field_count + 2 || len > def->max_bytes)
        return ERR_MALFORMED;
    memset(message, 0, sizeof *message);
    message->type = (enum wire_type_e)type;
    if (!next_u64(&source, &message->broker_gen))
        return ERR_MALFORMED;
    for (uint32_t i = 0; i < def->field_count; i++) {
        msgpack_object object;
        if (!next_object(&source, &object) || !store_field(&def->fields[i], &object, (char *)&message->hello))
            return ERR_MALFORMED;
    }
    return source.offset == len ? ERR_OK : ERR_MALFORMED;
}
