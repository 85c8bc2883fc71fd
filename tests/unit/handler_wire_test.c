/* handler_wire: every message of handlers survives its round trip; nothing that an encoder would not write is accepted; a
 * hostile header decides neither how much is allocated nor how deep anything goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler_wire.h"
#include "must.h"

#define LENGTH 4u

static const enum handler_message_e types[] = {
#define X(number, NAME, fields) HANDLER_##NAME,
    HANDLER_MESSAGE_TABLE(X)
#undef X
};

static char longest[HANDLER_QUERY_MAX + 2]; /* ñ, again and again */

static struct handler_text text_of(uint32_t len)
{
    return (struct handler_text){longest, len};
}

static const char map_body[] = "\x82\xa7message\xa5hello\xa4user\xa3"
                               "ana";
static const struct handler_endpoint two_endpoints[] = {{{"/chat", 5}, false}, {{"/chat-raw", 9}, true}};

/* A message with every field at an extreme of its kind. */
static struct handler_message sample(enum handler_message_e type)
{
    return (struct handler_message){
        .type = type,
        .version = HANDLER_VERSION,
        .event = UINT64_MAX - 7,
        .conn = 1,
        .except = 127,
        .status = 200,
        .code = 65535,
        .max_answer_bytes = UINT32_MAX,
        .deadline_ms = 256,
        .handler = text_of(HANDLER_NAME_MAX),
        .worker = text_of(HANDLER_NAME_MAX),
        .principal = text_of(HANDLER_NAME_MAX),
        .peer = text_of(0),
        .program = text_of(HANDLER_NAME_MAX),
        .path = text_of(HANDLER_PATH_MAX),
        .query = text_of(HANDLER_QUERY_MAX),
        .topic = text_of(HANDLER_TOPIC_MAX),
        .reason = text_of(HANDLER_REASON_MAX - 1),
        .resumed = true,
        .body_bytes = map_body,
        .body_len = sizeof map_body - 1,
        .endpoints = two_endpoints,
        .endpoint_count = ARRAY_LEN(two_endpoints),
    };
}

static enum err_e decode(const void *message, size_t len, struct handler_message *out, msgpack_zone *zone)
{
    unsigned char *exact = malloc(len ? len : 1); /* so that ASan sees a step beyond the end */
    assert_non_null(exact);
    memcpy(exact, message, len);
    enum err_e err = handler_decode(exact, len, zone, out);
    free(exact);
    return err;
}

/* Only whether it is accepted: what was decoded pointed into what is freed. */
static enum err_e judge(const void *message, size_t len)
{
    struct handler_message out;
    msgpack_zone zone;
    assert_true(msgpack_zone_init(&zone, 256));
    enum err_e err = decode(message, len, &out, &zone);
    msgpack_zone_destroy(&zone);
    return err;
}

static void each_message_survives_its_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        msgpack_sbuffer once, twice;
        msgpack_sbuffer_init(&once);
        msgpack_sbuffer_init(&twice);
        assert_int_equal(msgpack_sbuffer_write(&once, "before", 6), 0); /* it appends */
        struct handler_message message = sample(types[i]), again;
        assert_int_equal(handler_encode(&message, &once), ERR_OK);
        size_t len;
        assert_int_equal(handler_frame(once.data + 6, once.size - 6, &len), ERR_OK);
        assert_int_equal(len, once.size - 6 - LENGTH);
        msgpack_zone zone;
        assert_true(msgpack_zone_init(&zone, 256));
        assert_int_equal(handler_decode(once.data + 6 + LENGTH, len, &zone, &again), ERR_OK);
        assert_int_equal(again.type, types[i]);
        again.body_bytes = NULL; /* the object then */
        assert_int_equal(handler_encode(&again, &twice), ERR_OK);
        assert_int_equal(twice.size, once.size - 6);
        assert_memory_equal(twice.data, once.data + 6, twice.size);
        msgpack_zone_destroy(&zone);
        msgpack_sbuffer_destroy(&once);
        msgpack_sbuffer_destroy(&twice);
    }
}

static void fields_arrive_where_they_belong(void **state)
{
    (void)state;
    struct handler_message sent = sample(HANDLER_PUBLISH), got;
    sent.topic = handler_text("sala");
    sent.path = handler_text("/chat");
    msgpack_sbuffer out;
    msgpack_zone zone;
    msgpack_sbuffer_init(&out);
    assert_true(msgpack_zone_init(&zone, 256));
    assert_int_equal(handler_encode(&sent, &out), ERR_OK);
    assert_int_equal(handler_decode(out.data + LENGTH, out.size - LENGTH, &zone, &got), ERR_OK);
    assert_int_equal(got.path.len, 5);
    assert_memory_equal(got.path.at, "/chat", 5);
    assert_memory_equal(got.topic.at, "sala", 4);
    assert_int_equal(got.status, 200);
    assert_int_equal(got.except, 127);
    assert_int_equal(got.body.type, MSGPACK_OBJECT_MAP);
    assert_int_equal(got.body.via.map.size, 2);
    assert_memory_equal(got.body.via.map.ptr[1].val.via.str.ptr, "ana", 3);
    assert_int_equal(got.event, 0); /* none of its fields */
    out.size = 0;
    sent = sample(HANDLER_HELLO);
    assert_int_equal(handler_encode(&sent, &out), ERR_OK);
    assert_int_equal(handler_decode(out.data + LENGTH, out.size - LENGTH, &zone, &got), ERR_OK);
    assert_int_equal(got.endpoint_count, 2);
    assert_false(got.endpoints[0].traditional);
    assert_true(got.endpoints[1].traditional);
    assert_memory_equal(got.endpoints[1].path.at, "/chat-raw", 9);
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&out);
}

/* A body of a million nils is known, and no object yet. */
static void a_body_can_be_judged_before_it_is_decoded(void **state)
{
    (void)state;
    static char nils[1000005];
    memcpy(nils, "\xdd\x00\x0f\x42\x40", 5);
    memset(nils + 5, '\xc0', sizeof nils - 5);
    struct handler_message sent = sample(HANDLER_REPLY), got;
    sent.body_bytes = nils;
    sent.body_len = sizeof nils;
    msgpack_sbuffer out;
    msgpack_zone zone;
    msgpack_sbuffer_init(&out);
    assert_true(msgpack_zone_init(&zone, 256));
    assert_int_equal(handler_encode(&sent, &out), ERR_OK);
    assert_int_equal(handler_decode_head(out.data + LENGTH, out.size - LENGTH, NULL, &got), ERR_OK);
    assert_int_equal(got.event, sent.event);
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body_len, sizeof nils);
    assert_memory_equal(got.body_bytes, nils, sizeof nils);
    assert_int_equal(handler_decode_body(&got, &zone), ERR_OK);
    assert_int_equal(got.body.via.array.size, 1000000);
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&out);
}

static void a_frame_says_when_it_is_whole(void **state)
{
    (void)state;
    size_t len = 0;
    assert_int_equal(handler_frame("\0\0\0\2\x90\x90\x90", 3, &len), ERR_BUSY);
    assert_int_equal(handler_frame("\0\0\0\2\x90\x90\x90", 4, &len), ERR_BUSY);
    assert_int_equal(handler_frame("\0\0\0\2\x90\x90\x90", 5, &len), ERR_BUSY);
    assert_int_equal(handler_frame("\0\0\0\2\x90\x90\x90", 6, &len), ERR_OK);
    assert_int_equal(len, 2);
    assert_int_equal(handler_frame("\0\0\0\2\x90\x90\x90", 7, &len), ERR_OK);
    assert_int_equal(handler_frame("\0\0\0\0", 4, &len), ERR_MALFORMED);
    assert_int_equal(handler_frame("\1\x40\0\0", 4, &len), ERR_BUSY); /* 20 MiB to the byte */
    assert_int_equal(handler_frame("\1\x40\0\1", 4, &len), ERR_TOO_LARGE);
    assert_int_equal(handler_frame("\xff\xff\xff\xff", 4, &len), ERR_TOO_LARGE);
}

static void later_versions_may_add(void **state)
{
    (void)state;
    assert_int_equal(judge("\x92\x22\x07", 3), ERR_OK);                 /* TAKEN 7 */
    assert_int_equal(judge("\x93\x22\x07\x81\xa1x\x90", 7), ERR_OK);    /* … and a field of tomorrow's */
    assert_int_equal(judge("\x93\x22\x07\x81\xa1x", 6), ERR_MALFORMED); /* which has to be whole */
    assert_int_equal(judge("\x91\x64", 2), ERR_NOT_FOUND);              /* a message of tomorrow's */
    assert_int_equal(judge("\x91\xcf\1\2\3\4\5\6\7\x08", 10), ERR_NOT_FOUND);
    assert_int_equal(judge("\x91\x00", 2), ERR_NOT_FOUND);
    assert_int_equal(judge("\x91\x05", 2), ERR_NOT_FOUND);
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
#define BAD(text) {text, sizeof(text) - 1}
        BAD(""),
        BAD("\x90"),                                         /* no type */
        BAD("\x80"),                                         /* no array */
        BAD("\x22"),                                         /* … */
        BAD("\xc1"),                                         /* no msgpack */
        BAD("\x91\xc1"),                                     /* … within */
        BAD("\x91\xff"),                                     /* a type below 0 */
        BAD("\x91\xa1\x22"),                                 /* a type that is text */
        BAD("\x91\x22"),                                     /* TAKEN without its field */
        BAD("\x92\x22\xff"),                                 /* … with -1 */
        BAD("\x92\x22\xc0"),                                 /* … with nil */
        BAD("\x92\x22\xcb@\x1c\0\0\0\0\0\0"),                /* … with 7.0 */
        BAD("\x92\x22\x07\x00"),                             /* a byte behind it */
        BAD("\x92\x22\xcd\x07"),                             /* cut off */
        BAD("\x93\x25\x01\xc4\x01s"),                        /* SUBSCRIBE to bytes */
        BAD("\x93\x25\x01\xa1\x00"),                         /* a topic with a NUL in it */
        BAD("\x93\x25\x01\xa1\xff"),                         /* … that is not UTF-8 */
        BAD("\x93\x25\x01\xa2\xc3("),                        /* … either */
        BAD("\x97\x01\x01\xa0\xa0\x01\x01\xc0"),             /* HELLO without a list */
        BAD("\x97\x01\x01\xa0\xa0\x01\x01\x91\xc0"),         /* … a list of no endpoints */
        BAD("\x97\x01\x01\xa0\xa0\x01\x01\x91\x91\xa0"),     /* … of half a one */
        BAD("\x97\x01\x01\xa0\xa0\x01\x01\x91\x92\xa0\x01"), /* … that is neither traditional nor not */
        BAD("\x97\x01\x01\xa0\xa0\x01\x01\x91\x92\xa1\x00\xc2"),
        BAD("\xdd\xff\xff\xff\xff\x22\x07"), /* an array of 4 G values */
        BAD("\xdf\xff\xff\xff\xff\x22\x07"),
        BAD("\x94\x23\x01\x01\xdd\xff\xff\xff\xff"), /* … as a body */
        BAD("\x94\x23\x01\x01\xdf\x40\x00\x00\x00\x01\x01"),
        BAD("\x94\x23\x01\x01\xdb\xff\xff\xff\xff"), /* a string longer than the frame */
        BAD("\x94\x23\x01\x01\xc6\x00\x00\x00\x02\x01"),
        BAD("\x94\x23\x01\x01\xc9\xff\xff\xff\xff\x01"), /* an ext of 4 G */
        BAD("\x94\x23\x01\x01\xd8\x01\x02"),
        BAD("\x94\x23\x01\x01\x82\x01\x02\x03"), /* a map without its last value */
#undef BAD
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (judge(bad[i].bytes, bad[i].len) != ERR_MALFORMED)
            fail_msg("case %zu was not refused", i);
    assert_int_equal(judge("\x97\x01\x01\xa0\xa0\x01\x01\x91\x93\xa0\xc2\x07", 12), ERR_OK); /* room to add */
}

static void no_part_of_a_message_is_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        msgpack_sbuffer out;
        msgpack_sbuffer_init(&out);
        struct handler_message message = sample(types[i]);
        message.query = text_of(40);
        assert_int_equal(handler_encode(&message, &out), ERR_OK);
        for (size_t len = 0; len < out.size - LENGTH; len++)
            assert_int_equal(judge(out.data + LENGTH, len), ERR_MALFORMED);
        msgpack_sbuffer_destroy(&out);
    }
}

/* Damage of any byte: refused, or something that says the same again. */
static void damage_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        msgpack_sbuffer out, again;
        msgpack_sbuffer_init(&out);
        struct handler_message message = sample(types[i]), got;
        message.query = text_of(40);
        assert_int_equal(handler_encode(&message, &out), ERR_OK);
        for (size_t bit = 0; bit < 8 * (out.size - LENGTH); bit++) {
            out.data[LENGTH + bit / 8] ^= (char)(1 << bit % 8);
            msgpack_zone zone;
            assert_true(msgpack_zone_init(&zone, 256));
            msgpack_sbuffer_init(&again);
            if (handler_decode(out.data + LENGTH, out.size - LENGTH, &zone, &got) == ERR_OK)
                assert_int_equal(handler_encode(&got, &again), ERR_OK);
            msgpack_sbuffer_destroy(&again);
            msgpack_zone_destroy(&zone);
            out.data[LENGTH + bit / 8] ^= (char)(1 << bit % 8);
        }
        msgpack_sbuffer_destroy(&out);
    }
}

static enum err_e encode(const struct handler_message *message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    assert_int_equal(msgpack_sbuffer_write(&out, "x", 1), 0);
    enum err_e err = handler_encode(message, &out);
    assert_true(err == ERR_OK || (out.size == 1 && out.data[0] == 'x')); /* nothing was appended */
    msgpack_sbuffer_destroy(&out);
    return err;
}

static void encoders_refuse_what_decoders_would(void **state)
{
    (void)state;
    struct handler_message m = sample(HANDLER_OPEN);
    m.query.len = HANDLER_QUERY_MAX + 1;
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
    m = sample(HANDLER_OPEN);
    m.principal.len = HANDLER_NAME_MAX + 1;
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
    m = sample(HANDLER_OPEN);
    m.query = (struct handler_text){"a\0b", 3};
    assert_int_equal(encode(&m), ERR_MALFORMED);
    m = sample(HANDLER_CLOSE);
    m.reason = text_of(HANDLER_REASON_MAX); /* ends within a ñ */
    assert_int_equal(encode(&m), ERR_MALFORMED);
    m = sample(HANDLER_SUBSCRIBE);
    m.topic = text_of(HANDLER_TOPIC_MAX + 2);
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
    m = sample(HANDLER_PUBLISH); /* a body that takes what follows it */
    m.body_bytes = "\x01\x91";
    m.body_len = 2;
    assert_int_equal(encode(&m), ERR_MALFORMED);
    m.body_bytes = "";
    m.body_len = 0;
    assert_int_equal(encode(&m), ERR_MALFORMED);
    m.body_len = HANDLER_FRAME_MAX + 1;
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
}

/* `levels` arrays, each within the one before; the innermost one is empty. */
static size_t nested(char *room, size_t levels)
{
    memset(room, '\x91', levels);
    room[levels - 1] = '\x90';
    return levels;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static char deep[1 << 20];
    assert_int_equal(handler_value(deep, nested(deep, HANDLER_DEPTH_MAX)), ERR_OK);
    assert_int_equal(handler_value(deep, nested(deep, HANDLER_DEPTH_MAX + 1)), ERR_TOO_LARGE);
    assert_int_equal(handler_value(deep, nested(deep, sizeof deep)), ERR_TOO_LARGE);
    struct handler_message m = sample(HANDLER_MESSAGE);
    m.body_bytes = deep;
    m.body_len = nested(deep, HANDLER_DEPTH_MAX); /* the deepest that is written is read */
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    assert_int_equal(handler_encode(&m, &out), ERR_OK);
    assert_int_equal(judge(out.data + LENGTH, out.size - LENGTH), ERR_OK);
    msgpack_sbuffer_destroy(&out);
    m.body_len = nested(deep, HANDLER_DEPTH_MAX + 1);
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
    memcpy(deep, "\x94\x23\x01\x01", 4); /* a REPLY, one byte of it for each level */
    nested(deep + 4, sizeof deep - 4);
    assert_int_equal(judge(deep, sizeof deep), ERR_MALFORMED);
}

/* What msgpack-c never decodes, but a program may build. */
static void depth_of_objects_is_bounded(void **state)
{
    (void)state;
    msgpack_object nest[HANDLER_DEPTH_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(nest); i++) {
        nest[i].type = MSGPACK_OBJECT_ARRAY;
        nest[i].via.array = (msgpack_object_array){i + 1 < ARRAY_LEN(nest) ? 1 : 0, &nest[i + 1]};
    }
    struct handler_message m = sample(HANDLER_MESSAGE);
    m.body_bytes = NULL;
    m.body = nest[1];
    assert_int_equal(encode(&m), ERR_OK);
    m.body = nest[0];
    assert_int_equal(encode(&m), ERR_TOO_LARGE);
}

/* Every format of msgpack's: whole, a byte short, a byte long, and as msgpack-c has it. */
static void each_format_has_its_length(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        size_t head_len, len;
    } formats[] = {
#define FORMAT(head, len) {head, sizeof(head) - 1, len}
        FORMAT("\x00", 1),         FORMAT("\x7f", 1),           FORMAT("\xe0", 1),
        FORMAT("\xff", 1),         FORMAT("\xc0", 1),           FORMAT("\xc2", 1),
        FORMAT("\xc3", 1),         FORMAT("\x80", 1),           FORMAT("\x82", 5),
        FORMAT("\x8f", 31),        FORMAT("\x90", 1),           FORMAT("\x9f", 16),
        FORMAT("\xa0", 1),         FORMAT("\xbf", 32),          FORMAT("\xc4\x00", 2),
        FORMAT("\xc4\xff", 257),   FORMAT("\xc5\x01\x02", 261), FORMAT("\xc6\x00\x01\x00\x01", 65542),
        FORMAT("\xc7\x05", 8),     FORMAT("\xc8\x01\x00", 260), FORMAT("\xc9\x00\x01\x00\x00", 65542),
        FORMAT("\xca", 5),         FORMAT("\xcb", 9),           FORMAT("\xcc", 2),
        FORMAT("\xcd", 3),         FORMAT("\xce", 5),           FORMAT("\xcf", 9),
        FORMAT("\xd0", 2),         FORMAT("\xd1", 3),           FORMAT("\xd2", 5),
        FORMAT("\xd3", 9),         FORMAT("\xd4", 3),           FORMAT("\xd5", 4),
        FORMAT("\xd6", 6),         FORMAT("\xd7", 10),          FORMAT("\xd8", 18),
        FORMAT("\xd9\x03", 5),     FORMAT("\xda\x01\x00", 259), FORMAT("\xdb\x00\x01\x00\x00", 65541),
        FORMAT("\xdc\x00\x03", 6), FORMAT("\xdc\x01\x00", 259), FORMAT("\xdd\x00\x00\x01\x01", 262),
        FORMAT("\xde\x00\x03", 9), FORMAT("\xde\x01\x00", 515), FORMAT("\xdf\x00\x00\x00\x02", 9),
#undef FORMAT
    };
    static char bytes[70000];
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        memset(bytes, 1, sizeof bytes);
        memcpy(bytes, formats[i].head, formats[i].head_len);
        size_t len = formats[i].len, offset = 0;
        if (handler_value(bytes, len) != ERR_OK || handler_value(bytes, len - 1) != ERR_MALFORMED ||
            handler_value(bytes, len + 1) != ERR_MALFORMED)
            fail_msg("format 0x%02x is not %zu bytes", (unsigned char)bytes[0], len);
        msgpack_zone zone;
        msgpack_object object;
        assert_true(msgpack_zone_init(&zone, 256));
        assert_int_equal(msgpack_unpack(bytes, len, &offset, &zone, &object), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, len);
        msgpack_zone_destroy(&zone);
    }
}

static void values_are_bounded(void **state)
{
    (void)state;
    size_t room = HANDLER_VALUES_MAX + 16u, at = 0;
    char *bytes = malloc(room);
    assert_non_null(bytes);
    memset(bytes, '\xc0', room); /* nils: a byte each, 24 when decoded */
    for (unsigned more = 0; more < 2; more++) {
        uint32_t items = HANDLER_VALUES_MAX - 1 + more; /* and the array itself */
        memcpy(bytes, "\x94\x23\x01\x01\xdd", 5);
        for (at = 5; at < 9; at++)
            bytes[at] = (char)(items >> (8 * (8 - at)));
        assert_int_equal(judge(bytes, 9 + items), more ? ERR_MALFORMED : ERR_OK);
        assert_int_equal(handler_value(bytes + 4, 5 + items), more ? ERR_TOO_LARGE : ERR_OK);
    }
    free(bytes);
}

/* What a frame of a few bytes claims is not allocated: the zone has its first chunk still. */
static void a_header_allocates_nothing(void **state)
{
    (void)state;
    static const char *const hostile[] = {"\x94\x23\x01\x01\xdd\x00\x10\x00\x00\xc0\xc0\xc0",
                                          "\xdd\x00\x10\x00\x00\x23\x01\x01\xc0\xc0\xc0\xc0",
                                          "\x94\x23\x01\x01\xdf\x00\x10\x00\x00\xc0\xc0\xc0"};
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        msgpack_zone zone;
        struct handler_message out;
        assert_true(msgpack_zone_init(&zone, 256));
        const msgpack_zone before = zone;
        assert_int_equal(decode(hostile[i], 12, &out, &zone), ERR_MALFORMED);
        assert_ptr_equal(zone.chunk_list.head, before.chunk_list.head);
        assert_ptr_equal(zone.chunk_list.ptr, before.chunk_list.ptr);
        msgpack_zone_destroy(&zone);
    }
}

int main(void)
{
    for (size_t i = 0; i + 1 < sizeof longest; i += 2)
        memcpy(longest + i, "ñ", 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_survives_its_round_trip),
        cmocka_unit_test(fields_arrive_where_they_belong),
        cmocka_unit_test(a_body_can_be_judged_before_it_is_decoded),
        cmocka_unit_test(a_frame_says_when_it_is_whole),
        cmocka_unit_test(later_versions_may_add),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(no_part_of_a_message_is_one),
        cmocka_unit_test(damage_is_survived),
        cmocka_unit_test(encoders_refuse_what_decoders_would),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(depth_of_objects_is_bounded),
        cmocka_unit_test(each_format_has_its_length),
        cmocka_unit_test(values_are_bounded),
        cmocka_unit_test(a_header_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
