/* The list of errors. See schema_internal.h and schema.h. */
#include <string.h>

#include "schema_internal.h"

static json_t *shown_name(struct errors *errors, const char *name, size_t len)
{
    static const char dots[] = "\u2026";
    char text[SCHEMA_NAME_SHOWN + sizeof dots];
    size_t keep = len;
    if (len > SCHEMA_NAME_SHOWN) {
        keep = SCHEMA_NAME_SHOWN;
        while (keep > 0 && ((unsigned char)name[keep] & 0xc0) == 0x80)
            keep--;
    }
    memcpy(text, name, keep);
    if (keep < len) {
        memcpy(text + keep, dots, sizeof dots - 1);
        keep += sizeof dots - 1;
    }
    errors->bytes += keep + 3;
    return json_stringn_nocheck(text, keep);
}

static bool add_step(struct errors *errors, json_t *loc, const char *name, size_t len)
{
    errors->bytes += 8;
    json_t *item = name != NULL ? shown_name(errors, name, len) : json_integer((json_int_t)len);
    return json_array_append_new(loc, item) == 0;
}

static json_t *make_loc(struct errors *errors, const char *name, size_t name_len)
{
    json_t *loc = json_array();
    bool ok = loc != NULL;
    for (unsigned i = 0; ok && i < errors->depth; i++)
        ok = add_step(errors, loc, errors->path[i].name, errors->path[i].len);
    if (ok && name != NULL)
        ok = add_step(errors, loc, name, name_len);
    if (!ok) {
        json_decref(loc);
        return NULL;
    }
    return loc;
}

static void append(struct errors *errors, json_t *loc, const char *type, const char *msg)
{
    json_t *error = loc != NULL ? json_object() : NULL;
    bool ok = error != NULL && json_object_set_nocheck(error, "loc", loc) == 0 &&
              json_object_set_new(error, "type", json_string(type)) == 0 &&
              json_object_set_new(error, "msg", json_string(msg)) == 0 &&
              json_array_append(errors->list, error) == 0;
    errors->memory = errors->memory || !ok;
    json_decref(error);
    json_decref(loc);
}

void schema_errors_add(struct errors *errors, const char *name, size_t name_len, const char *type,
                       const char *msg)
{
    if (schema_errors_stop(errors))
        return;
    if (json_array_size(errors->list) >= SCHEMA_ERRORS_MAX || errors->bytes >= SCHEMA_ERROR_BYTES) {
        errors->full = true;
        append(errors, json_array(), "too_many_errors", "Too many errors, the others are not listed");
        return;
    }
    errors->bytes += strlen(type) + strlen(msg) + 32;
    append(errors, make_loc(errors, name, name_len), type, msg);
}

bool schema_errors_stop(const struct errors *errors)
{
    return errors->full || errors->memory;
}
