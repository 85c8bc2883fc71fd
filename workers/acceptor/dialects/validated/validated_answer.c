/* Hop: C2. What handlers answer, send, publish and close becomes what clients read. Written straight into the worker's scratch memory;
 * only a body with a reply_schema is read again, validated, and written once more as what the schema made of it. */
#include <string.h>

#include "clock.h"
#include "schema.h"
#include "utf8.h"
#include "validated_internal.h"
#include "validated_text.h"

_Static_assert(VALIDATED_ANSWER_MAX <= ENDPOINT_SCRATCH, "it is written there");

/* --- faults --------------------------------------------------------------------------------------------------------- */

void validated_fault(struct validated_shared *shared, const struct site *site, enum validated_fault_e fault,
                     const char *why)
{
    static const char *const texts[] = {
#define X(NAME, name, text) text,
        VALIDATED_FAULTS(X)
#undef X
    };
    uint32_t suppressed;
    shared->counts.faults[fault]++;
    if (!log_limit_ok(&shared->fault_log[fault], clock_mono_ns(endpoint_clock(shared->own)), 60 * NS_PER_S, 1,
                      &suppressed))
        return;
    log_warn("handler-fault", "endpoint=%s suppressed=%u reason=\"its handler gave %s%s%s\"",
             site->endpoint.path, suppressed, texts[fault], why != NULL ? ": " : "", why != NULL ? why : "");
}

/* --- bodies --------------------------------------------------------------------------------------------------------- */

struct letter { /* what is to be written */
    struct validated_shared *shared;
    const struct site *site;
    uint64_t status;
    struct validated_body body;
    bool reply; /* its body may have a schema */
    size_t max;
};

static bool spoilt(const struct letter *letter, enum validated_fault_e fault, const char *why)
{
    validated_fault(letter->shared, letter->site, fault, why);
    return false;
}

static const char *put_body(const struct letter *letter, struct out *out)
{
    static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
    bool null = letter->status == 204 || (letter->body.json == NULL && letter->body.pack == NULL);
    if (!null && letter->body.json != NULL)
        return validated_text_json(out, letter->body.json);
    return validated_text_pack(out, null ? &nil : letter->body.pack);
}

/* The first error, `["subs",1,"n"] int_type`: names of members and types, no content. */
static void first_error(const json_t *errors, char text[160])
{
    const json_t *error = json_array_get(errors, 0);
    struct out out = out_init(text, 159);
    (void)validated_text_json(&out, json_object_get(error, "loc"));
    out_char(&out, ' ');
    out_text(&out, json_string_value(json_object_get(error, "type")));
    text[out.len] = '\0';
}

/* The body stands in `out` from `start` on; what its schema makes of it stands there then. */
static bool settle_body(const struct letter *letter, struct out *out, size_t start)
{
    const struct schema *schema = letter->site->endpoint.reply_schema;
    struct schema_result result;
    char why[160] = "out of memory";
    enum err_e err = schema_validate_text(schema, out->at + start, out->len - start, &result);
    if (err == ERR_MALFORMED)
        first_error(result.errors, why);
    out->len = start;
    const char *unshown = err == ERR_OK ? validated_text_json(out, result.value) : NULL;
    json_decref(result.value);
    json_decref(result.errors);
    if (err != ERR_OK)
        return spoilt(letter, VALIDATED_FAULT_SCHEMA, why);
    return unshown == NULL || spoilt(letter, VALIDATED_FAULT_BODY, unshown);
}

/* The whole text in the scratch memory. */
static bool write_json(const struct letter *letter, struct validated_text *text)
{
    const struct site *site = letter->site;
    const struct envelope envelope = {.bare = site->endpoint.schema == NULL};
    struct out out = out_init(endpoint_scratch(letter->shared->own), letter->max);
    envelope_begin(&out, &envelope, (unsigned)letter->status);
    size_t start = out.len;
    const char *why = put_body(letter, &out);
    if (why != NULL && !out.overflow)
        return spoilt(letter, VALIDATED_FAULT_BODY, why);
    bool declared =
        letter->reply && site->endpoint.reply_schema != NULL && letter->status < 300 && letter->status != 204;
    if (declared && !out.overflow && !settle_body(letter, &out, start))
        return false;
    envelope_end(&out, &envelope);
    if (out.overflow)
        return spoilt(letter, VALIDATED_FAULT_LARGE, NULL);
    *text = (struct validated_text){out.at, out.len, site->endpoint.binary};
    return true;
}

/* A traditional endpoint's text or bytes, from where they stand. */
static bool write_raw(const struct letter *letter, struct validated_text *text)
{
    const msgpack_object *body = letter->body.pack;
    bool bytes = body->type == MSGPACK_OBJECT_BIN;
    size_t len = bytes ? body->via.bin.size : body->via.str.size;
    const char *given = bytes ? body->via.bin.ptr : body->via.str.ptr;
    const char *at = len > 0 ? given : ""; /* msgpack-c has NULL there */
    if (len > letter->max)
        return spoilt(letter, VALIDATED_FAULT_LARGE, NULL);
    if (!bytes && !utf8_is_valid(at, len))
        return spoilt(letter, VALIDATED_FAULT_BODY, "a text that is not UTF-8");
    *text = (struct validated_text){(char *)(uintptr_t)at, len, bytes || letter->site->endpoint.binary};
    return true;
}

/* False: the handler's fault, said and counted. The text is good until the scratch memory is used again. */
static bool write_letter(const struct letter *letter, struct validated_text *text)
{
    const msgpack_object *pack = letter->body.pack;
    if (!envelope_status(letter->status))
        return spoilt(letter, VALIDATED_FAULT_STATUS, NULL);
    if (letter->site->endpoint.schema == NULL && letter->status != 204 && pack != NULL &&
        (pack->type == MSGPACK_OBJECT_STR || pack->type == MSGPACK_OBJECT_BIN))
        return write_raw(letter, text);
    return write_json(letter, text);
}

/* --- answers -------------------------------------------------------------------------------------------------------- */

static struct envelope envelope_of(const struct site *site)
{
    return (struct envelope){.bare = site->endpoint.schema == NULL,
                             .error_object = site->endpoint.error_object};
}

void validated_refuse(struct endpoint_conn *conn, uint64_t token, const json_t *errors)
{
    struct validated_shared *shared = validated_shared_of(conn);
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    const struct envelope envelope = envelope_of(site);
    struct out out = out_init(endpoint_scratch(shared->own), ENDPOINT_SCRATCH);
    shared->counts.refused++;
    envelope_refusal(&out, &envelope, 400, errors);
    validated_place(conn, token, &(struct validated_text){out.at, out.len, site->endpoint.binary});
}

void validated_fail(struct endpoint_conn *conn, uint64_t token, enum validated_failure_e failure)
{
    static const struct {
        unsigned status;
        const char *type, *msg;
    } texts[] = {
        [VALIDATED_FAILED] = {500, "handler_failed", "The handler failed"},
        [VALIDATED_TIMEOUT] = {503, "handler_timeout", "The handler did not answer in time"},
        [VALIDATED_UNAVAILABLE] = {503, "handler_unavailable", "No handler is available"},
        [VALIDATED_TOO_DEEP] = {400, "json_invalid", "Invalid JSON: recursion limit exceeded"},
    };
    struct validated_shared *shared = validated_shared_of(conn);
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    const struct envelope envelope = envelope_of(site);
    struct out out = out_init(endpoint_scratch(shared->own), ENDPOINT_SCRATCH);
    uint64_t *const counts[] = {
        [VALIDATED_FAILED] = &shared->counts.failed,
        [VALIDATED_TIMEOUT] = &shared->counts.unavailable,
        [VALIDATED_UNAVAILABLE] = &shared->counts.unavailable,
        [VALIDATED_TOO_DEEP] = &shared->counts.refused,
    };
    ++*counts[failure];
    envelope_error(&out, &envelope, texts[failure].status, texts[failure].type, texts[failure].msg);
    validated_place(conn, token, &(struct validated_text){out.at, out.len, site->endpoint.binary});
}

void validated_answer(struct endpoint_conn *conn, uint64_t token, uint64_t status, struct validated_body body)
{
    struct validated_shared *shared = validated_shared_of(conn);
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    const struct letter letter = {shared, site, status, body, .reply = true, .max = VALIDATED_ANSWER_MAX};
    struct validated_text text = {0};
    if (status != 0 && !write_letter(&letter, &text)) {
        validated_fail(conn, token, VALIDATED_FAILED);
        return;
    }
    shared->counts.answered++;
    validated_place(conn, token, &text);
}

void validated_send(struct endpoint_conn *conn, uint64_t status, struct validated_body body)
{
    struct validated_shared *shared = validated_shared_of(conn);
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    const struct letter letter = {shared, site, status, body, .reply = false, .max = VALIDATED_ANSWER_MAX};
    struct validated_text text;
    if (!write_letter(&letter, &text))
        return;
    shared->counts.sent++;
    if (text.binary)
        endpoint_reply_binary(conn, text.at, text.len);
    else
        endpoint_reply(conn, text.at, text.len);
}

/* --- topics --------------------------------------------------------------------------------------------------------- */

static bool name_is_good(const char *name, size_t len)
{
    return len == 0 || (len <= TOPIC_ENDPOINT_NAME_MAX && utf8_is_valid(name, len));
}

enum err_e validated_publish(struct endpoint *own, const struct validated_publication *publication)
{
    struct validated_shared *shared = endpoint_shared(own);
    const struct site *site = validated_site(shared, publication->path, publication->path_len);
    struct validated_text text;
    struct topic topic;
    if (site == NULL)
        return ERR_NOT_FOUND;
    const struct letter letter = {
        shared, site, publication->status, publication->body, .reply = false, .max = ENDPOINT_PUBLISH_MAX};
    if (!name_is_good(publication->topic, publication->topic_len)) {
        validated_fault(shared, site, VALIDATED_FAULT_TOPIC, NULL);
        return ERR_MALFORMED;
    }
    if (!write_letter(&letter, &text))
        return ERR_MALFORMED;
    topic_make_endpoint(&topic, site->endpoint.path, publication->topic, publication->topic_len);
    enum err_e err = endpoint_publish_to(own, &topic, 1, text.at, text.len, text.binary, publication->except);
    shared->counts.published += err == ERR_OK;
    return err;
}

/* Two names under one hash, which nobody should find: frames of the one would reach who has the other. */
static bool is_taken(struct endpoint_conn *conn, const struct topic *topic)
{
    const struct topic *topics;
    uint32_t count = endpoint_topics(conn, &topics);
    for (uint32_t i = 0; i < count; i++)
        if (topics[i].hash == topic->hash)
            return topics[i].len != topic->len || memcmp(topics[i].name, topic->name, topic->len) != 0;
    return false;
}

void validated_subscribe(struct endpoint_conn *conn, const char *name, size_t len, bool subscribe)
{
    struct validated_shared *shared = validated_shared_of(conn);
    const struct site *site = ((struct validated_conn *)endpoint_state(conn))->site;
    struct topic topic;
    if (len == 0 || !name_is_good(name, len)) {
        validated_fault(shared, site, VALIDATED_FAULT_TOPIC, len == 0 ? "without a name" : NULL);
        return;
    }
    topic_make_endpoint(&topic, site->endpoint.path, name, len);
    bool has = endpoint_is_subscribed(conn, &topic);
    if (has && is_taken(conn, &topic)) {
        validated_fault(shared, site, VALIDATED_FAULT_TOPIC, "it cannot be told from another one here");
        return;
    }
    if (has == subscribe)
        return;
    enum err_e err = subscribe ? endpoint_subscribe(conn, &topic, 1) : endpoint_unsubscribe(conn, &topic, 1);
    if (err != ERR_OK && err != ERR_CLOSED)
        validated_fault(shared, site, VALIDATED_FAULT_TOPIC, err_text(err));
}

/* --- closing -------------------------------------------------------------------------------------------------------- */

static bool code_is_good(unsigned code)
{
    return code == 1000 || code == 1001 || code == 1003 || (code >= 1007 && code <= 1013) ||
           (code >= 3000 && code <= 4999);
}

#define REASON_MAX 123u /* RFC 6455, 5.5.1 */

void validated_close(struct endpoint_conn *conn, unsigned code, const char *reason, size_t len)
{
    struct validated_conn *state = endpoint_state(conn);
    char text[REASON_MAX + 1];
    bool shown =
        len == 0 || (len <= REASON_MAX && utf8_is_valid(reason, len) && memchr(reason, '\0', len) == NULL);
    if (!shown || !code_is_good(code)) {
        validated_fault(validated_shared_of(conn), state->site, VALIDATED_FAULT_CLOSE, NULL);
        code = 1011;
        reason = "The handler failed";
        len = strlen(reason);
    }
    if (len > 0)
        memcpy(text, reason, len);
    text[len] = '\0';
    state->closed = true;
    endpoint_close(conn, code, text);
}
