/* Hop: C2. See validated_envelope.h. */
#include "validated_envelope.h"

#include <stdio.h>

#include "must.h"
#include "validated_text.h"

#define OWN_ERRORS "__model__"

bool envelope_status(uint64_t status)
{
    switch (status) {
#define X(number) case number:
        ENVELOPE_STATUSES(X)
#undef X
        return true;
    default:
        return false;
    }
}

void envelope_begin(struct out *out, const struct envelope *envelope, unsigned status)
{
    if (envelope->bare)
        return;
    out_literal(out, "{\"statusCode\":");
    out_u64(out, status);
    out_literal(out, ",\"body\":");
}

void envelope_end(struct out *out, const struct envelope *envelope)
{
    if (!envelope->bare)
        out_char(out, '}');
}

/* --- errors as a tree ------------------------------------------------------------------------------------------------- */

/* `node` is an object. Its member `name`, made if there is none; NULL: no memory. An object is asked for where more of a loc
 * follows: a list that stands there already moves into it. */
static json_t *child(json_t *node, const char *name, size_t len, bool object)
{
    json_t *found = json_object_getn(node, name, len);
    if (found == NULL) {
        json_t *made = object ? json_object() : json_array();
        return json_object_setn_new(node, name, len, made) == 0 ? made : NULL;
    }
    if (!object || json_is_object(found))
        return found;
    json_t *moved = json_pack("{s:O}", OWN_ERRORS, found);
    return json_object_setn_new(node, name, len, moved) == 0 ? moved : NULL;
}

/* The list at the end of a loc. */
static json_t *leaf(json_t *tree, const json_t *loc)
{
    json_t *node = tree;
    size_t depth = json_array_size(loc);
    for (size_t i = 0; i < depth && node != NULL; i++) {
        const json_t *step = json_array_get(loc, i);
        char index[24];
        int digits = snprintf(index, sizeof index, "%lld", (long long)json_integer_value(step));
        bool named = json_is_string(step);
        node = child(node, named ? json_string_value(step) : index,
                     named ? json_string_length(step) : (size_t)digits, i + 1 < depth);
    }
    while (json_is_object(node)) /* the message itself, or a node below which others stand */
        node = child(node, OWN_ERRORS, sizeof OWN_ERRORS - 1, false);
    return node;
}

/* NULL: no memory. */
static json_t *error_tree(const json_t *errors)
{
    json_t *tree = json_object();
    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *error = json_array_get(errors, i);
        json_t *list = leaf(tree, json_object_get(error, "loc"));
        if (json_array_append_new(list, json_pack("{s:O,s:O}", "type", json_object_get(error, "type"), "msg",
                                                  json_object_get(error, "msg"))) != 0) {
            json_decref(tree);
            return NULL;
        }
    }
    return tree;
}

/* --- what Noria answers ----------------------------------------------------------------------------------------------- */

void envelope_refusal(struct out *out, const struct envelope *envelope, unsigned status, const json_t *errors)
{
    json_t *tree = envelope->error_object ? error_tree(errors) : NULL;
    envelope_begin(out, envelope, status);
    out_literal(out, "{\"errorList\":");
    MUST(validated_text_json(out, errors) == NULL); /* what validation lists can be shown */
    if (tree != NULL) {                             /* without memory the list must do */
        out_literal(out, ",\"errorObject\":");
        MUST(validated_text_json(out, tree) == NULL);
    }
    out_char(out, '}');
    envelope_end(out, envelope);
    json_decref(tree);
}

void envelope_error(struct out *out, const struct envelope *envelope, unsigned status, const char *type,
                    const char *msg)
{
    envelope_begin(out, envelope, status);
    out_literal(out, "{\"errorList\":[{\"loc\":[],\"type\":");
    out_json_string(out, type, strlen(type));
    out_literal(out, ",\"msg\":");
    out_json_string(out, msg, strlen(msg));
    out_literal(out, "}]");
    if (envelope->error_object) {
        out_literal(out, ",\"errorObject\":{\"" OWN_ERRORS "\":[{\"type\":");
        out_json_string(out, type, strlen(type));
        out_literal(out, ",\"msg\":");
        out_json_string(out, msg, strlen(msg));
        out_literal(out, "}]}");
    }
    out_char(out, '}');
    envelope_end(out, envelope);
}
