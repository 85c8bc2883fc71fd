/* Fuzzes what handlers answer: any msgpack becomes JSON or a fault, in whatever room there is. The first byte is the room, in steps of 64 bytes
 * (0: plenty). What comes out is JSON that jansson reads, and says the same when it is read and written once more; a tree of it
 * goes back to msgpack and comes out the same, too. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "handler_wire.h"
#include "must.h"
#include "schema.h"
#include "schema_json.h"
#include "utf8.h"
#include "validated_pack.h"
#include "validated_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLENTY (1u << 20)

static bool has_large_integer(const msgpack_object *value)
{
    bool found = value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 > INT64_MAX;
    for (uint32_t i = 0; value->type == MSGPACK_OBJECT_ARRAY && i < value->via.array.size; i++)
        found = found || has_large_integer(&value->via.array.ptr[i]);
    for (uint32_t i = 0; value->type == MSGPACK_OBJECT_MAP && i < value->via.map.size; i++)
        found = found || has_large_integer(&value->via.map.ptr[i].val);
    return found;
}

static void check_jansson(const char *text, size_t len)
{
    json_error_t error;
    json_t *read = json_loadb(
        text, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
        &error);
    MUST(read != NULL || json_error_code(&error) == json_error_null_byte_in_key); /* jansson's own limit */
    json_decref(read);
}

static void check_again(const char *text, size_t len, char *room)
{
    char why[SCHEMA_JSON_WHY_MAX];
    json_t *tree = schema_json_load(text, len, SCHEMA_VALUES_MAX, why);
    struct out out = out_init(room, PLENTY);
    msgpack_sbuffer pack;
    MUST(tree != NULL);
    MUST(validated_text_json(&out, tree) == NULL);
    MUST(out.len == len && memcmp(room, text, len) == 0);
    msgpack_sbuffer_init(&pack);
    MUST(validated_pack_json(&pack, tree) == ERR_OK && handler_value(pack.data, pack.size) == ERR_OK);
    msgpack_unpacked value;
    size_t at = 0;
    msgpack_unpacked_init(&value);
    MUST(msgpack_unpack_next(&value, pack.data, pack.size, &at) == MSGPACK_UNPACK_SUCCESS);
    out = out_init(room, PLENTY);
    MUST(validated_text_pack(&out, &value.data) == NULL);
    MUST(out.len == len && memcmp(room, text, len) == 0);
    msgpack_unpacked_destroy(&value);
    msgpack_sbuffer_destroy(&pack);
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    msgpack_unpacked value;
    size_t at = 0;
    if (size < 2 || handler_value(data + 1, size - 1) != ERR_OK)
        return 0;
    msgpack_unpacked_init(&value);
    MUST(msgpack_unpack_next(&value, (const char *)data + 1, size - 1, &at) == MSGPACK_UNPACK_SUCCESS);
    size_t cap = data[0] == 0 ? PLENTY : data[0] * 64u;
    char *text = malloc(cap), *room = malloc(PLENTY);
    MUST(text != NULL && room != NULL);
    struct out out = out_init(text, cap);
    const char *why = validated_text_pack(&out, &value.data);
    if (why == NULL && !out.overflow) {
        MUST(utf8_is_valid(text, out.len));
        check_jansson(text, out.len);
        if (!has_large_integer(&value.data))
            check_again(text, out.len, room);
    }
    free(room);
    free(text);
    msgpack_unpacked_destroy(&value);
    return 0;
}
