/* endpoints_parts.c — see endpoints_parts.h. Each part is repeated for a stretch of CPU time, several times in turn with the others;
 * medians. CPU time of this process, so what else runs on the machine hardly shifts it.
 *
 *     text ─ schema_validate_text ─▶ value ─ validated_pack_json ─▶ body ─ handler_encode ─▶ MESSAGE ─ handler_decode ─▶ handler
 *     text ◀─ validated_text_pack ─ value ◀─ handler_decode ─ REPLY ◀─ handler_encode ─ body ◀─ …
 */
#include "endpoints_parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ask_text.h"
#include "handler_wire.h"
#include "must.h"
#include "schema.h"
#include "schema_json.h"
#include "validated_pack.h"
#include "validated_text.h"

#define STRETCH_NS 150000000.0
#define SMOKE_NS   2000000.0
#define TURNS      5u
#define ONCE       64u /* repetitions between two looks at the clock */
#define TEXT_CAP   (64u * 1024u)

struct parts {
    char text[ASK_TEXT_MAX], out[TEXT_CAP];
    size_t len;
    struct schema *schema;
    struct schema_result valid;
    msgpack_sbuffer body, message, reply;
    msgpack_zone zone;
    msgpack_object value; /* of the reply */
};

/* --- the parts ---------------------------------------------------------------------------------------------------------- */

static void validate(struct parts *p)
{
    struct schema_result result;
    MUST(schema_validate_text(p->schema, p->text, p->len, &result) == ERR_OK);
    json_decref(result.value);
}

static void pack(struct parts *p)
{
    msgpack_sbuffer_clear(&p->body);
    MUST(validated_pack_json(&p->body, p->valid.value) == ERR_OK);
}

static void encode_message(struct parts *p)
{
    struct handler_message message = {.type = HANDLER_MESSAGE,
                                      .event = 1000,
                                      .conn = 77,
                                      .body_bytes = p->body.data,
                                      .body_len = p->body.size};
    msgpack_sbuffer_clear(&p->message);
    MUST(handler_encode(&message, &p->message) == ERR_OK);
}

static void encode_reply(struct parts *p)
{
    struct handler_message reply = {.type = HANDLER_REPLY,
                                    .event = 1000,
                                    .status = 200,
                                    .body_bytes = p->body.data,
                                    .body_len = p->body.size};
    msgpack_sbuffer_clear(&p->reply);
    MUST(handler_encode(&reply, &p->reply) == ERR_OK);
}

static struct handler_message decode(struct parts *p, const msgpack_sbuffer *frame)
{
    struct handler_message message;
    size_t len;
    msgpack_zone_clear(&p->zone);
    MUST(handler_frame(frame->data, frame->size, &len) == ERR_OK);
    MUST(handler_decode(frame->data + 4, len, &p->zone, &message) == ERR_OK);
    return message;
}

static void decode_message(struct parts *p)
{
    decode(p, &p->message);
}

static void decode_reply(struct parts *p)
{
    p->value = decode(p, &p->reply).body;
}

static void write_text(struct parts *p)
{
    struct out out = out_init(p->out, sizeof p->out);
    MUST(validated_text_pack(&out, &p->value) == NULL && !out.overflow);
    MUST(out.len == p->len && memcmp(p->out, p->text, p->len) == 0);
}

/* In this order, because each works on what the ones before have made. */
static const struct part {
    const char *name;
    void (*run)(struct parts *parts);
} all[] = {
    {"schema_validate_text", validate},        {"value to msgpack", pack},
    {"MESSAGE frame encoded", encode_message}, {"MESSAGE frame decoded", decode_message},
    {"REPLY frame encoded", encode_reply},     {"REPLY frame decoded", decode_reply},
    {"msgpack to JSON text", write_text},
};
#define PARTS (sizeof all / sizeof all[0])

/* --- measuring ---------------------------------------------------------------------------------------------------------- */

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double ns_each(struct parts *p, const struct part *part, double stretch_ns)
{
    double begun = cpu_ns(), used = 0;
    uint64_t count = 0;
    while (used < stretch_ns) {
        for (unsigned i = 0; i < ONCE; i++)
            part->run(p);
        count += ONCE;
        used = cpu_ns() - begun;
    }
    return used / (double)count;
}

static void measure(struct bench *bench, struct parts *p, const char *size)
{
    double ns[PARTS][TURNS];
    for (unsigned turn = 0; turn < TURNS; turn++)
        for (unsigned i = 0; i < PARTS; i++)
            ns[i][turn] = ns_each(p, &all[i], bench->options.smoke ? SMOKE_NS : STRETCH_NS);
    for (unsigned i = 0; i < PARTS; i++) {
        char name[96];
        double each = bench_median(ns[i], TURNS);
        snprintf(name, sizeof name, "%s; %s; %zu bytes", all[i].name, size, p->len);
        report_value(&bench->report, name, "each", each / 1e3, "us");
        report_value(&bench->report, name, "per CPU-second", 1e9 / each, "1/s");
    }
}

static bool prepare(struct parts *p, enum ask_text_e which)
{
    const char *schema = ask_text_schema(which);
    char why[SCHEMA_JSON_WHY_MAX];
    struct schema_problem problem;
    *p = (struct parts){.len = 0};
    p->len = ask_text_make(which, p->text);
    msgpack_sbuffer_init(&p->body);
    msgpack_sbuffer_init(&p->message);
    msgpack_sbuffer_init(&p->reply);
    MUST(msgpack_zone_init(&p->zone, MSGPACK_ZONE_CHUNK_SIZE));
    json_t *document = schema_json_load(schema, strlen(schema), SCHEMA_VALUES_MAX, why);
    bool ok = document != NULL && schema_from_json(document, &p->schema, &problem) == ERR_OK &&
              schema_validate_text(p->schema, p->text, p->len, &p->valid) == ERR_OK;
    json_decref(document);
    return ok;
}

static void finish(struct parts *p)
{
    json_decref(p->valid.value);
    json_decref(p->valid.errors);
    schema_free(&p->schema);
    msgpack_sbuffer_destroy(&p->body);
    msgpack_sbuffer_destroy(&p->message);
    msgpack_sbuffer_destroy(&p->reply);
    msgpack_zone_destroy(&p->zone);
}

void endpoints_parts(struct bench *bench)
{
    static struct parts parts;
    for (enum ask_text_e which = 0; which < ASK_TEXTS; which++) {
        bool ok = prepare(&parts, which);
        report_check(&bench->report, ok, "%s: the message does not fit its schema", ask_text_name(which));
        if (ok)
            measure(bench, &parts, ask_text_name(which));
        finish(&parts);
    }
}
