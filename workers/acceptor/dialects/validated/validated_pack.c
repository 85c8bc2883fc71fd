/* Hop: C2. See validated_pack.h. */
#include "validated_pack.h"

#include "handler_wire.h"
#include "must.h"

struct packer {
    msgpack_packer to;
    unsigned levels;
    bool too_deep;
};

static bool pack_value(struct packer *packer, const json_t *value);

static bool pack_str(struct packer *packer, const char *text, size_t len)
{
    return msgpack_pack_str(&packer->to, len) == 0 && msgpack_pack_str_body(&packer->to, text, len) == 0;
}

static bool pack_elements(struct packer *packer, const json_t *array)
{
    size_t count = json_array_size(array);
    bool ok = msgpack_pack_array(&packer->to, count) == 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = pack_value(packer, json_array_get(array, i));
    return ok;
}

static bool pack_members(struct packer *packer, json_t *object)
{
    const char *name;
    size_t len;
    json_t *value;
    bool ok = msgpack_pack_map(&packer->to, json_object_size(object)) == 0;
    json_object_keylen_foreach(object, name, len, value)
    {
        ok = ok && pack_str(packer, name, len) && pack_value(packer, value);
        if (!ok)
            break;
    }
    return ok;
}

static bool pack_level(struct packer *packer, const json_t *value)
{
    if (packer->levels == HANDLER_DEPTH_MAX) {
        packer->too_deep = true;
        return false;
    }
    packer->levels++;
    bool ok = json_is_object(value) ? pack_members(packer, (json_t *)(uintptr_t)value)
                                    : pack_elements(packer, value);
    packer->levels--;
    return ok;
}

static bool pack_value(struct packer *packer, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return msgpack_pack_nil(&packer->to) == 0;
    case JSON_TRUE:
        return msgpack_pack_true(&packer->to) == 0;
    case JSON_FALSE:
        return msgpack_pack_false(&packer->to) == 0;
    case JSON_INTEGER:
        return msgpack_pack_int64(&packer->to, json_integer_value(value)) == 0;
    case JSON_REAL:
        return msgpack_pack_double(&packer->to, json_real_value(value)) == 0;
    case JSON_STRING:
        return pack_str(packer, json_string_value(value), json_string_length(value));
    case JSON_ARRAY:
    case JSON_OBJECT:
        return pack_level(packer, value);
    }
    MUST_NOT_REACH();
}

static struct packer packer_for(msgpack_sbuffer *out)
{
    struct packer packer = {.levels = 0};
    msgpack_packer_init(&packer.to, out, msgpack_sbuffer_write);
    return packer;
}

enum err_e validated_pack_json(msgpack_sbuffer *out, const json_t *value)
{
    struct packer packer = packer_for(out);
    if (pack_value(&packer, value))
        return ERR_OK;
    return packer.too_deep ? ERR_TOO_LARGE : ERR_MEMORY;
}

enum err_e validated_pack_text(msgpack_sbuffer *out, const char *text, size_t len)
{
    struct packer packer = packer_for(out);
    return pack_str(&packer, text, len) ? ERR_OK : ERR_MEMORY;
}

enum err_e validated_pack_bytes(msgpack_sbuffer *out, const void *bytes, size_t len)
{
    struct packer packer = packer_for(out);
    bool ok = msgpack_pack_bin(&packer.to, len) == 0 && msgpack_pack_bin_body(&packer.to, bytes, len) == 0;
    return ok ? ERR_OK : ERR_MEMORY;
}
