/* Values as JSON text, and as msgpack: each type, each fault, numbers that read back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handler_wire.h"
#include "hash.h"
#include "must.h"
#include "validated_pack.h"
#include "validated_text.h"

static char memory[1 << 16];

static const char *show(const msgpack_sbuffer *pack, size_t cap, const char **why)
{
    msgpack_unpacked value;
    msgpack_unpacked_init(&value);
    size_t at = 0;
    assert_int_equal(msgpack_unpack_next(&value, pack->data, pack->size, &at), MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(at, pack->size);
    struct out out = out_init(memory, cap);
    *why = validated_text_pack(&out, &value.data);
    memory[out.len] = '\0';
    msgpack_unpacked_destroy(&value);
    return out.overflow ? NULL : memory;
}

static msgpack_sbuffer from_hex(const char *hex)
{
    msgpack_sbuffer pack;
    msgpack_sbuffer_init(&pack);
    for (; *hex != '\0'; hex += 2) {
        char byte = (char)strtol((char[]){hex[0], hex[1], '\0'}, NULL, 16);
        msgpack_sbuffer_write(&pack, &byte, 1);
    }
    return pack;
}

/* --- msgpack → JSON ------------------------------------------------------------------------------------------------- */

static void each_type(void **state)
{
    static const struct {
        const char *hex, *text;
    } rows[] = {
        {"c0", "null"},
        {"c2", "false"},
        {"c3", "true"},
        {"00", "0"},
        {"7f", "127"},
        {"ff", "-1"},
        {"d1ff7f", "-129"},
        {"cf7fffffffffffffff", "9223372036854775807"},
        {"cf8000000000000000", "9223372036854775808"},
        {"cfffffffffffffffff", "18446744073709551615"},
        {"d38000000000000000", "-9223372036854775808"},
        {"cb4008000000000000", "3.0"},
        {"cb4035800000000000", "21.5"},
        {"cb3fb999999999999a", "0.1"},
        {"ca3fc00000", "1.5"},
        {"cb0000000000000000", "0.0"},
        {"cb8000000000000000", "-0.0"},
        {"a0", "\"\""},
        {"a26869", "\"hi\""},
        {"a3e282ac", "\"\xe2\x82\xac\""},
        {"a4f09f9880", "\"\xf0\x9f\x98\x80\""},
        {"a522005c0a09", "\"\\\"\\u0000\\\\\\n\\t\""},
        {"d90161", "\"a\""},
        {"90", "[]"},
        {"9301c0a161", "[1,null,\"a\"]"},
        {"80", "{}"},
        {"82a16101a16290", "{\"a\":1,\"b\":[]}"},
        {"81a081a0c3", "{\"\":{\"\":true}}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why;
        msgpack_sbuffer pack = from_hex(rows[i].hex);
        const char *text = show(&pack, sizeof memory - 1, &why);
        assert_null(why);
        assert_string_equal(text, rows[i].text);
        msgpack_sbuffer_destroy(&pack);
    }
}

static void each_fault(void **state)
{
    static const struct {
        const char *hex, *why;
    } rows[] = {
        {"c403616263", "bytes (bin) where JSON has nothing for them"},
        {"91c40161", "bytes (bin) where JSON has nothing for them"},
        {"d40100", "an extension type"},
        {"d6ff00000000", "an extension type"},
        {"cb7ff8000000000000", "a number that is not finite"},
        {"cb7ff0000000000000", "a number that is not finite"},
        {"cbfff0000000000000", "a number that is not finite"},
        {"ca7f800000", "a number that is not finite"},
        {"a1ff", "a text that is not UTF-8"},
        {"a3eda080", "a text that is not UTF-8"},
        {"a2c080", "a text that is not UTF-8"},
        {"810101", "a map with a key that is no text"},
        {"81c001", "a map with a key that is no text"},
        {"81c4016101", "a map with a key that is no text"},
        {"81a1ff01", "a text that is not UTF-8"},
        {"82a16101a16102", "a map with a name twice"},
        {"91c7030a616263", "an extension type"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why;
        msgpack_sbuffer pack = from_hex(rows[i].hex);
        show(&pack, sizeof memory - 1, &why);
        assert_non_null(why);
        assert_string_equal(why, rows[i].why);
        msgpack_sbuffer_destroy(&pack);
    }
}

/* Names of a large map are sorted: the same one is found wherever it stands. */
static void names_of_large_maps(void **state)
{
    (void)state;
    for (unsigned twin = 0; twin < 100; twin += 7) {
        msgpack_sbuffer pack;
        msgpack_packer packer;
        msgpack_sbuffer_init(&pack);
        msgpack_packer_init(&packer, &pack, msgpack_sbuffer_write);
        msgpack_pack_map(&packer, 100);
        for (unsigned i = 0; i < 100; i++) {
            char name[16];
            int len = snprintf(name, sizeof name, "%u", twin > 0 && i == 99 ? twin : i);
            msgpack_pack_str(&packer, (size_t)len);
            msgpack_pack_str_body(&packer, name, (size_t)len);
            msgpack_pack_int(&packer, 1);
        }
        const char *why;
        show(&pack, sizeof memory - 1, &why);
        if (twin > 0)
            assert_string_equal(why, "a map with a name twice");
        else
            assert_null(why);
        msgpack_sbuffer_destroy(&pack);
    }
}

/* At whatever byte the room ends: it is said, and nothing is written behind. */
static void too_little_room(void **state)
{
    static const char whole[] = "{\"a\":[1,-2,3.25,\"x\\n\",null],\"b\":{\"c\":true},\"\xe2\x82\xac\":0.1}";
    (void)state;
    json_t *tree = json_loads(whole, 0, NULL);
    msgpack_sbuffer pack;
    msgpack_sbuffer_init(&pack);
    assert_int_equal(validated_pack_json(&pack, tree), ERR_OK);
    for (size_t cap = 0; cap < sizeof whole - 1; cap++) {
        const char *why;
        char *exact = malloc(cap > 0 ? cap : 1);
        struct out out = out_init(exact, cap);
        assert_null(show(&pack, cap, &why));
        assert_null(validated_text_json(&out, tree));
        assert_true(out.overflow);
        free(exact);
    }
    const char *why;
    assert_string_equal(show(&pack, sizeof whole - 1, &why), whole);
    struct out out = out_init(memory, sizeof whole - 1);
    assert_null(validated_text_json(&out, tree));
    assert_false(out.overflow);
    assert_memory_equal(memory, whole, out.len);
    msgpack_sbuffer_destroy(&pack);
    json_decref(tree);
}

static json_t *nested(unsigned levels)
{
    json_t *tree = json_array();
    for (unsigned i = 1; i < levels; i++) {
        json_t *outer = i % 2 ? json_object() : json_array();
        if (i % 2)
            json_object_set_new(outer, "a", tree);
        else
            json_array_append_new(outer, tree);
        tree = outer;
    }
    return tree;
}

/* An object of msgpack-c's made by hand: its own parser ends at 31. */
static const char *show_levels(unsigned levels)
{
    msgpack_object *chain = calloc(levels, sizeof *chain);
    for (unsigned i = 0; i < levels; i++) {
        chain[i].type = MSGPACK_OBJECT_ARRAY;
        chain[i].via.array.size = i + 1 < levels;
        chain[i].via.array.ptr = i + 1 < levels ? &chain[i + 1] : NULL;
    }
    struct out out = out_init(memory, sizeof memory);
    const char *why = validated_text_pack(&out, chain);
    free(chain);
    return why;
}

static void levels(void **state)
{
    (void)state;
    assert_null(show_levels(VALIDATED_LEVELS));
    assert_string_equal(show_levels(VALIDATED_LEVELS + 1), "more than 200 levels");
    for (unsigned i = 1; i < 250; i++) {
        json_t *tree = nested(i);
        msgpack_sbuffer pack;
        msgpack_sbuffer_init(&pack);
        assert_int_equal(validated_pack_json(&pack, tree), i <= HANDLER_DEPTH_MAX ? ERR_OK : ERR_TOO_LARGE);
        if (i <= HANDLER_DEPTH_MAX)
            assert_int_equal(handler_value(pack.data, pack.size), ERR_OK); /* as it may be sent */
        struct out out = out_init(memory, sizeof memory);
        const char *why = validated_text_json(&out, tree);
        assert_int_equal(why == NULL, i <= VALIDATED_LEVELS + 8);
        msgpack_sbuffer_destroy(&pack);
        json_decref(tree);
    }
}

/* --- numbers -------------------------------------------------------------------------------------------------------- */

static const char *number(double value)
{
    struct out out = out_init(memory, sizeof memory - 1);
    out_double(&out, value);
    memory[out.len] = '\0';
    return memory;
}

static void doubles(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.0, "-1.0"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {21.5, "21.5"},
        {1.0 / 3, "0.3333333333333333"},
        {2.0 / 3, "0.6666666666666666"},
        {100000.0, "100000.0"},
        {999999999999999.0, "999999999999999.0"},
        {1e15, "1e+15"},
        {123456789012345678.0, "1.2345678901234568e+17"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e22, "1e+22"},
        {1e-5, "1e-05"},
        {0.0001, "0.0001"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {-5e-324, "-5e-324"},
        {1.5e-323, "1.5e-323"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(number(rows[i].value), rows[i].text);
}

static unsigned digits_of(const char *text)
{
    unsigned digits = 0, zeros = 0;
    bool leading = true;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        leading = leading && *text == '0';
        zeros = *text == '0' ? zeros + 1 : 0;
        digits += !leading;
    }
    return digits > zeros ? digits - zeros : 0;
}

/* Any double reads back the same, and with fewer digits it would not. */
static void any_double(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 200000; i++) {
        uint64_t bits = hash_u64(i);
        double value, again;
        memcpy(&value, &bits, sizeof value);
        if (i % 3 == 0) /* such as people write */
            value = (double)(int64_t)(bits % 2000000) / (i % 2 ? 100 : 1000) - 1000;
        if (!isfinite(value))
            continue;
        const char *text = number(value);
        again = strtod(text, NULL);
        assert_memory_equal(&again, &value, sizeof value);
        unsigned digits = digits_of(text);
        char fewer[40];
        if (digits > 1) {
            snprintf(fewer, sizeof fewer, "%.*e", (int)digits - 2, value);
            again = strtod(fewer, NULL);
            assert_memory_not_equal(&again, &value, sizeof value);
        }
        json_t *read = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(read)); /* JSON, and still no integer */
        json_decref(read);
    }
}

/* --- there and back ------------------------------------------------------------------------------------------------- */

static void trees(void **state)
{
    static const char *const rows[] = {
        "null",
        "[true,false,null,0,-1,127,128,255,256,65535,65536,-32,-33,-128,-129,-32769,4294967296,-2147483649]",
        "[9223372036854775807,-9223372036854775808,0.5,1e+300]",
        "{\"b\":1,\"a\":{\"z\":[],\"y\":{}},\"\":\"\\u0000\\u001f\\\"\\\\/\"}",
        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why;
        json_t *tree = json_loads(rows[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        msgpack_sbuffer pack;
        msgpack_sbuffer_init(&pack);
        assert_non_null(tree);
        assert_int_equal(validated_pack_json(&pack, tree), ERR_OK);
        assert_string_equal(show(&pack, sizeof memory - 1, &why), rows[i]);
        assert_null(why);
        struct out out = out_init(memory, sizeof memory);
        assert_null(validated_text_json(&out, tree));
        assert_int_equal(out.len, strlen(rows[i]));
        assert_memory_equal(memory, rows[i], out.len);
        msgpack_sbuffer_destroy(&pack);
        json_decref(tree);
    }
}

static void texts_and_bytes(void **state)
{
    const char *why;
    (void)state;
    msgpack_sbuffer pack;
    msgpack_sbuffer_init(&pack);
    assert_int_equal(validated_pack_text(&pack, "{ \"a\" : 1 }", 11), ERR_OK);
    assert_string_equal(show(&pack, sizeof memory - 1, &why), "\"{ \\\"a\\\" : 1 }\"");
    msgpack_sbuffer_clear(&pack);
    assert_int_equal(validated_pack_bytes(&pack, "\x00\xff", 2), ERR_OK);
    assert_int_equal(pack.size, 4);
    assert_memory_equal(pack.data, "\xc4\x02\x00\xff", 4);
    msgpack_sbuffer_destroy(&pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type),
        cmocka_unit_test(each_fault),
        cmocka_unit_test(names_of_large_maps),
        cmocka_unit_test(too_little_room),
        cmocka_unit_test(levels),
        cmocka_unit_test(doubles),
        cmocka_unit_test(any_double),
        cmocka_unit_test(trees),
        cmocka_unit_test(texts_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
