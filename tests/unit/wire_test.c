/* wire: every message survives its round trip; nothing else is accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "must.h"
#include "wire.h"
#include "wire_histograms.h"

static const enum wire_type_e types[] = {
#define X(number, NAME, name, direction, size, since) WIRE_##NAME,
    WIRE_MESSAGE_TABLE(X)
#undef X
};

/* Fills every field with a recognisable value, all of them extremes of their kind. */
static char longest[WIRE_TOPICS_BYTES_MAX > WIRE_PUBLISH_PAYLOAD_MAX ? WIRE_TOPICS_BYTES_MAX
                                                                     : WIRE_PUBLISH_PAYLOAD_MAX];

#define FILL_U64(name)       m->name = UINT64_MAX - 7;
#define FILL_I64(name)       m->name = INT64_MIN + 3;
#define FILL_FLAG(name)      m->name = true;
#define FILL_TEXT(name, max) m->name = (struct wire_text){longest, max};
#define FILL_BLOB(name, max) m->name = (struct wire_text){longest, max};
#define SAME_U64(name)       assert_true(a->name == b->name);
#define SAME_I64(name)       assert_true(a->name == b->name);
#define SAME_FLAG(name)      assert_true(a->name == b->name);
#define SAME_TEXT(name, max)                                                                                 \
    assert_int_equal(a->name.len, b->name.len);                                                              \
    assert_memory_equal(a->name.at, b->name.at, a->name.len);
#define SAME_BLOB(name, max) SAME_TEXT(name, max)

#define X(number, NAME, msg, direction, size, since)                                                         \
    static void fill_##msg(struct wire_##msg *m)                                                             \
    {                                                                                                        \
        WIRE_##NAME##_FIELDS(FILL_U64, FILL_I64, FILL_FLAG, FILL_TEXT, FILL_BLOB)                            \
    }                                                                                                        \
    static void same_##msg(const struct wire_##msg *a, const struct wire_##msg *b)                           \
    {                                                                                                        \
        WIRE_##NAME##_FIELDS(SAME_U64, SAME_I64, SAME_FLAG, SAME_TEXT, SAME_BLOB)                            \
    }
WIRE_MESSAGE_TABLE(X)
#undef X

static void fill(struct wire_message *message)
{
    switch (message->type) {
#define X(number, NAME, msg, direction, size, since)                                                         \
    case WIRE_##NAME:                                                                                        \
        fill_##msg(&message->msg);                                                                           \
        break;
        WIRE_MESSAGE_TABLE(X)
#undef X
    }
}

static void same(const struct wire_message *a, const struct wire_message *b)
{
    assert_int_equal(a->type, b->type);
    assert_true(a->broker_gen == b->broker_gen);
    switch (a->type) {
#define X(number, NAME, msg, direction, size, since)                                                         \
    case WIRE_##NAME:                                                                                        \
        same_##msg(&a->msg, &b->msg);                                                                        \
        break;
        WIRE_MESSAGE_TABLE(X)
#undef X
    }
}

static size_t encoded(enum wire_type_e type, struct wire_message *message, unsigned char *buffer)
{
    *message = (struct wire_message){.type = type, .broker_gen = 0x0123456789abcdefULL};
    fill(message);
    size_t len = wire_encode(message, buffer, WIRE_MAX);
    assert_true(len > 0);
    return len;
}

static void every_message_with_extreme_fields_survives(void **state)
{
    (void)state;
    memset(longest, 'x', sizeof longest);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        unsigned char buffer[WIRE_MAX];
        struct wire_message sent, got;
        size_t len = encoded(types[i], &sent, buffer);
        assert_int_equal(wire_decode(buffer, len, &got), ERR_OK);
        same(&sent, &got);
    }
}

static void cut_is_malformed(const unsigned char *buffer, size_t cut)
{
    struct wire_message message;
    unsigned char *exact = malloc(cut + 1); /* so that ASan sees a read past the end */
    memcpy(exact, buffer, cut);
    assert_int_equal(wire_decode(exact, cut, &message), ERR_MALFORMED);
    free(exact);
}

/* Every cut of a small message; of a large one those at both ends, where its fields are, and a sample of the rest. */
static void every_truncation_and_every_extension_is_malformed(void **state)
{
    (void)state;
    enum { HEAD = 1000, TAIL = 100, SAMPLE = 200 };
    srand(42);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        unsigned char buffer[WIRE_MAX + 1] = {0};
        struct wire_message message;
        size_t len = encoded(types[i], &message, buffer), cut = 0;
        for (; cut < len && cut < HEAD; cut++)
            cut_is_malformed(buffer, cut);
        for (int n = 0; cut + TAIL < len && n < SAMPLE; n++)
            cut_is_malformed(buffer, cut + (size_t)rand() % (len - cut));
        for (cut = cut + TAIL < len ? len - TAIL : cut; cut < len; cut++)
            cut_is_malformed(buffer, cut);
        assert_int_equal(wire_decode(buffer, len + 1, &message), ERR_MALFORMED);
    }
}

static void a_small_buffer_or_long_text_encodes_to_nothing(void **state)
{
    (void)state;
    unsigned char buffer[WIRE_MAX];
    struct wire_message message;
    size_t len = encoded(WIRE_OUTCOME, &message, buffer);
    assert_int_equal(wire_encode(&message, buffer, len - 1), 0);
    message.outcome.text.len = 201;
    assert_int_equal(wire_encode(&message, buffer, sizeof buffer), 0);
}

static void containers_and_huge_counts_are_refused_without_allocation(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } hostile[] = {
        {"", 0},
        {"\xc0", 1},
        {"\xdd\xff\xff\xff\xff", 5},             /* array32 with 4 G elements */
        {"\xdc\xff\xff\x03", 4},                 /* array16, too many */
        {"\x93\x03\x00\x90", 4},                 /* RE_HELLO whose field is an array */
        {"\x93\x03\x00\xdd\xff\xff\xff\xff", 8}, /* … a huge array */
        {"\x93\x03\x00\x80", 4},                 /* … a map */
        {"\x93\x03\x00\xd4\x01\x00", 6},         /* … an extension */
        {"\x93\x03\x00\xca\x00\x00\x00\x00", 8}, /* … a float */
        {"\x93\x03\x00\xff", 4},                 /* … negative */
        {"\x93\x03\x00\xa1x", 5},                /* … text */
        {"\x93\x00\x00\x00", 4},                 /* no such type */
        {"\x93\xcd\x01\x03\x00\x00", 6},         /* type 259 is not type 3 */
        {"\x92\x03\x00", 3},                     /* a field short */
        {"\x94\x03\x00\x00\x00", 5},             /* a field more */
        {"\x93\x04\x00\xdb\xff\xff\xff\xff", 8}, /* text with a huge length */
    };
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct wire_message message;
        assert_int_equal(wire_decode(hostile[i].bytes, hostile[i].len, &message), ERR_MALFORMED);
    }
}

static void random_damage_never_reads_outside(void **state)
{
    (void)state;
    srand(4711);
    for (int round = 0; round < 20000; round++) {
        unsigned char buffer[WIRE_MAX];
        struct wire_message message;
        enum wire_type_e type = types[(unsigned)rand() % ARRAY_LEN(types)];
        if (type == WIRE_PUBLISH && rand() % 20 != 0) /* as large as all others together, a thousand times */
            continue;
        size_t len = encoded(type, &message, buffer);
        for (int hits = 1 + rand() % 4; hits > 0; hits--)
            buffer[(unsigned)rand() % len] = (unsigned char)rand();
        unsigned char *exact = malloc(len);
        memcpy(exact, buffer, len);
        (void)wire_decode(exact, len, &message);
        free(exact);
    }
}

/* Whoever changes this changes WIRE_VERSION. */
static void a_publish_is_these_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\x9a\x0b\x07\x01\x00\x04\xc2\xc3\x63\xc4\x0d\x0c"
                                "endpoint/c#r\xc4\x02\xff\x00";
    static const char version_4[] = "\x99\x0b\x07\x01\x05\x03\xc2\x63\xc4\x03\x02ss\xc4\x00";
    unsigned char buffer[64];
    struct wire_message message = {.type = WIRE_PUBLISH, .broker_gen = 7};
    assert_int_equal(WIRE_VERSION, 7);
    message.publish = (struct wire_publish){.publish_seq = 1,
                                            .dialect = 4,
                                            .binary = true,
                                            .source_ns = 0x63,
                                            .topics = {bytes + 11, 13},
                                            .payload = {"\xff", 2}};
    assert_int_equal(wire_encode(&message, buffer, sizeof buffer), sizeof bytes - 1);
    assert_memory_equal(buffer, bytes, sizeof bytes - 1);
    assert_int_equal(wire_decode(version_4, sizeof version_4 - 1, &message), ERR_MALFORMED);
}

/* Likewise those between workers, broker and store. */
static void the_stores_messages_are_these_bytes(void **state)
{
    (void)state;
    static const struct {
        struct wire_message message;
        const char *bytes;
        size_t len;
    } cases[] = {
#define BYTES(text) text, sizeof text - 1
        {{WIRE_STORE_REQUEST, 7, .store_request = {900, 2, 5, 1, 17, 3, -1, {"ana", 3}, {"\x01\x00", 2}}},
         BYTES("\x9b\x10\x07\xcd\x03\x84\x02\x05\x01\x11\x03\xff\xa3"
               "ana\xc4\x02\x01\x00")},
        {{WIRE_STORE_REPLY, 7, .store_reply = {900, 2, 201, 4, 0, true, {"{}", 2}}},
         BYTES("\x99\x11\x07\xcd\x03\x84\x02\xcc\xc9\x04\x00\xc3\xc4\x02{}")},
        {{WIRE_STORE_LOST, 7, .store_lost = {700}}, BYTES("\x93\x12\x07\xcd\x02\xbc")},
        {{WIRE_SOURCE, 7, .source = {0x1122334455667788}},
         BYTES("\x93\x13\x07\xcf\x11\x22\x33\x44\x55\x66\x77\x88")},
        {{WIRE_EVENT, 7, .event = {9, 42, {"sensors", 7}, {"{}", 2}}},
         BYTES("\x96\x14\x07\x09\x2a\xa7sensors\xc4\x02{}")},
        {{WIRE_EVENT_ACK, 7, .event_ack = {9, 42, 0xc0ffee, 128}},
         BYTES("\x96\x15\x07\x09\x2a\xce\x00\xc0\xff\xee\xcc\x80")},
#undef BYTES
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned char buffer[128];
        struct wire_message got;
        assert_int_equal(wire_encode(&cases[i].message, buffer, sizeof buffer), cases[i].len);
        assert_memory_equal(buffer, cases[i].bytes, cases[i].len);
        assert_int_equal(wire_decode(buffer, cases[i].len, &got), ERR_OK);
        same(&cases[i].message, &got);
    }
}

/* And what every peer says once a second, with an entry of a histogram (wire_histograms.h). */
static void a_heartbeat_is_these_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\x97\x05\x07\x37\x02\xff\xc4\x08\x29\0\0\0\0\0\0\0"
                                "\xc4\x08\x03\0\0\0\0\x01\x28\x04";
    unsigned char entry[WIRE_HISTOGRAM_ENTRY], buffer[64];
    struct wire_message message = {.type = WIRE_HEARTBEAT, .broker_gen = 7}, got;
    wire_histogram_encode(&(struct wire_histogram_entry){4, 0x28, 3 + (1ULL << 40)}, entry);
    message.heartbeat =
        (struct wire_heartbeat){0x37, 2, -1, {"\x29\0\0\0\0\0\0", 8}, {(const char *)entry, sizeof entry}};
    assert_int_equal(wire_encode(&message, buffer, sizeof buffer), sizeof bytes - 1);
    assert_memory_equal(buffer, bytes, sizeof bytes - 1);
    assert_int_equal(wire_decode(buffer, sizeof bytes - 1, &got), ERR_OK);
    same(&message, &got);
    static const char version_6[] = "\x96\x05\x07\x37\x02\xff\xc4\x00";
    assert_int_equal(wire_decode(version_6, sizeof version_6 - 1, &got), ERR_MALFORMED);
}

static void entries_of_histograms_come_back(void **state)
{
    (void)state;
    static const struct wire_histogram_entry entries[] = {
        {0, 0, 1}, {255, WIRE_HISTOGRAM_SUM, WIRE_HISTOGRAM_VALUE_MAX}, {1, 159, 0x1234567890ab}};
    unsigned char bytes[sizeof entries / sizeof entries[0] * WIRE_HISTOGRAM_ENTRY];
    struct wire_histogram_entry got;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        wire_histogram_encode(&entries[i], bytes + i * WIRE_HISTOGRAM_ENTRY);
    for (uint32_t len = 0; len <= sizeof bytes; len++) {
        struct wire_text rest = {(const char *)bytes, len};
        for (size_t i = 0; i < len / WIRE_HISTOGRAM_ENTRY; i++) {
            assert_true(wire_histogram_next(&rest, &got));
            assert_memory_equal(&got, &entries[i], sizeof got);
        }
        assert_false(wire_histogram_next(&rest, &got));
        assert_int_equal(rest.len, len % WIRE_HISTOGRAM_ENTRY);
    }
    wire_histogram_encode(&(struct wire_histogram_entry){1, 2, UINT64_MAX},
                          bytes); /* cut, and nothing else touched */
    struct wire_text rest = {(const char *)bytes, WIRE_HISTOGRAM_ENTRY};
    assert_true(wire_histogram_next(&rest, &got));
    assert_true(got.histogram == 1 && got.bucket == 2 && got.value == WIRE_HISTOGRAM_VALUE_MAX);
}

static void addresses_are_told_apart(void **state)
{
    (void)state;
    uint64_t one = wire_address("10.0.0.1", 3200);
    assert_true(one == wire_address("10.0.0.1", 3200) && one != UINT32_MAX);
    assert_true(one != wire_address("10.0.0.1", 3201) && one != wire_address("10.0.0.2", 3200));
}

/* What a link reads at most: nothing that a broker sends is larger. */
static void what_goes_down_is_bounded(void **state)
{
    (void)state;
    static unsigned char buffer[WIRE_MAX];
    static const enum wire_type_e down[] = {
        WIRE_HELLO_OK,   WIRE_RE_HELLO,      WIRE_REFUSED,     WIRE_HEARTBEAT,   WIRE_COMMAND,
        WIRE_OUTCOME,    WIRE_OUTCOME_ACK,   WIRE_SURVEY_ASK,  WIRE_SURVEY_ROWS, WIRE_SURVEY_WORKERS,
        WIRE_STORE_LOST, WIRE_STORE_REQUEST, WIRE_STORE_REPLY, WIRE_EVENT_ACK};
    for (size_t i = 0; i < ARRAY_LEN(down); i++) {
        struct wire_message message;
        assert_true(encoded(down[i], &message, buffer) <= WIRE_DOWN_MAX);
    }
}

/* --- a PUBLISH's topics ------------------------------------------------------------------------------------------- */

static void topics_come_back_in_order(void **state)
{
    (void)state;
    static unsigned char topics[WIRE_TOPICS_BYTES_MAX];
    char name[WIRE_TOPIC_MAX];
    size_t len = 0;
    for (unsigned i = 0; i < WIRE_PUBLISH_TOPICS_MAX; i++) {
        memset(name, 'a' + (int)(i % 26), sizeof name);
        assert_true(wire_topics_append(topics, sizeof topics, &len, name, (uint8_t)(i % WIRE_TOPIC_MAX + 1)));
    }
    struct wire_text rest = {(char *)topics, (uint32_t)len}, got;
    for (unsigned i = 0; i < WIRE_PUBLISH_TOPICS_MAX; i++) {
        assert_true(wire_topics_next(&rest, &got));
        assert_int_equal(got.len, i % WIRE_TOPIC_MAX + 1);
        assert_int_equal(got.at[0], 'a' + (int)(i % 26));
        assert_int_equal(got.at[got.len - 1], got.at[0]);
    }
    assert_false(wire_topics_next(&rest, &got));
    assert_int_equal(rest.len, 0);
}

static void what_does_not_fit_appends_nothing(void **state)
{
    (void)state;
    enum { ROOM = 1 + WIRE_TOPIC_MAX }; /* for one name; the buffer has more, which nothing may take */
    unsigned char topics[2 * ROOM], untouched[sizeof topics] = {0};
    char name[256] = "stream/x";
    size_t len = 0;
    memset(topics, 0, sizeof topics);
    assert_false(wire_topics_append(topics, sizeof topics, &len, name, 0));
    assert_false(wire_topics_append(topics, sizeof topics, &len, name, WIRE_TOPIC_MAX + 1));
    assert_false(wire_topics_append(topics, sizeof topics, &len, name, 255));
    assert_false(wire_topics_append(topics, WIRE_TOPIC_MAX, &len, name, WIRE_TOPIC_MAX));
    assert_false(wire_topics_append(topics, 0, &len, name, 1));
    assert_int_equal(len, 0);
    assert_memory_equal(topics, untouched, sizeof topics);
    assert_true(wire_topics_append(topics, ROOM, &len, name, WIRE_TOPIC_MAX));
    assert_false(wire_topics_append(topics, ROOM, &len, name, 1));
    assert_int_equal(len, ROOM);
    assert_memory_equal(topics + ROOM, untouched, sizeof topics - ROOM);
}

static void malformed_topics_end_with_something_left(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t len, good; /* names before it */
    } cases[] = {
        {"\0", 1, 0},           /* an empty name */
        {"\1a\0", 3, 1},        /* … behind a good one */
        {"\1", 1, 0},           /* no name */
        {"\3ab", 3, 0},         /* one byte short */
        {"\2ab\3ab", 6, 1},     /* … behind a good one */
        {"\377abcdefgh", 9, 0}, /* far beyond the end */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *exact = malloc(cases[i].len);
        memcpy(exact, cases[i].bytes, cases[i].len);
        struct wire_text rest = {exact, cases[i].len}, name;
        for (uint32_t n = 0; n < cases[i].good; n++)
            assert_true(wire_topics_next(&rest, &name));
        assert_false(wire_topics_next(&rest, &name));
        assert_int_not_equal(rest.len, 0);
        free(exact);
    }
    char too_long[1 + WIRE_TOPIC_MAX + 1] = {(char)(WIRE_TOPIC_MAX + 1)}; /* a name that no topic has */
    struct wire_text rest = {too_long, sizeof too_long}, name;
    assert_false(wire_topics_next(&rest, &name));
    assert_int_equal(rest.len, sizeof too_long);
    rest = (struct wire_text){NULL, 0};
    assert_false(wire_topics_next(&rest, &name));
    assert_int_equal(rest.len, 0);
}

static void a_commands_way_counts_against_its_deadline(void **state)
{
    (void)state;
    static const struct {
        uint64_t source_ms, now_ms, age_ms;
        int64_t deadline_ms;
        uint64_t want_age_ms;
        int64_t want_deadline_ms;
    } cases[] = {
        {1000, 1000, 0, 500, 0, 500},     /* no time at all */
        {1000, 1300, 100, 500, 300, 300}, /* 200 of it on the way */
        {1000, 9000, 100, 500, 8000, 0},  /* over: never below 0 */
        {1000, 9000, 100, -1, 8000, -1},  /* the machine's default: its age counts there */
        {1000, 1050, 100, 500, 100, 500}, /* it says that it is older */
        {1000, 900, 0, 500, 0, 500},      /* another clock after all */
        {0, 9000, 100, 500, 100, 500},    /* nobody says when it began */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_command command = {.source_ns = cases[i].source_ms * NS_PER_MS,
                                       .age_ms = cases[i].age_ms,
                                       .deadline_ms = cases[i].deadline_ms};
        wire_command_arrived(&command, cases[i].now_ms * NS_PER_MS);
        assert_int_equal(command.age_ms, cases[i].want_age_ms);
        assert_int_equal(command.deadline_ms, cases[i].want_deadline_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_with_extreme_fields_survives),
        cmocka_unit_test(every_truncation_and_every_extension_is_malformed),
        cmocka_unit_test(a_small_buffer_or_long_text_encodes_to_nothing),
        cmocka_unit_test(containers_and_huge_counts_are_refused_without_allocation),
        cmocka_unit_test(random_damage_never_reads_outside),
        cmocka_unit_test(a_publish_is_these_bytes),
        cmocka_unit_test(the_stores_messages_are_these_bytes),
        cmocka_unit_test(a_heartbeat_is_these_bytes),
        cmocka_unit_test(entries_of_histograms_come_back),
        cmocka_unit_test(addresses_are_told_apart),
        cmocka_unit_test(what_goes_down_is_bounded),
        cmocka_unit_test(topics_come_back_in_order),
        cmocka_unit_test(what_does_not_fit_appends_nothing),
        cmocka_unit_test(malformed_topics_end_with_something_left),
        cmocka_unit_test(a_commands_way_counts_against_its_deadline),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
