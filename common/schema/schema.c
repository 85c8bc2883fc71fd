/* Validating, and the schema's end. See schema.h. */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "must.h"
#include "schema_alloc.h"
#include "schema_internal.h"
#include "schema_json.h"

static enum err_e finish(struct schema_result *result, struct errors *errors, json_t *made)
{
    if (errors->memory || (errors->list != NULL && json_array_size(errors->list) > 0)) {
        json_decref(made);
        made = NULL;
    }
    if (errors->memory || made != NULL) {
        json_decref(errors->list);
        errors->list = NULL;
    }
    *result = (struct schema_result){made, errors->list};
    return made != NULL ? ERR_OK : errors->memory ? ERR_MEMORY : ERR_MALFORMED;
}

static void begin(struct errors *errors)
{
    errors->list = json_array();
    errors->bytes = errors->depth = 0;
    errors->full = false;
    errors->memory = errors->list == NULL;
}

enum err_e schema_validate(const struct schema *schema, json_t *message, struct schema_result *result)
{
    struct errors errors;
    enum fault_e fault;
    *result = (struct schema_result){NULL, NULL};
    json_t *made = schema_convert(schema, schema->root, message, schema->checked, &fault);
    if (fault == FAULT_MEMORY)
        return ERR_MEMORY;
    if (fault == FAULT_NONE && !schema->checked) {
        result->value = made;
        return ERR_OK;
    }
    begin(&errors);
    if (schema->checked && !errors.memory)
        schema_run_checks(schema, made, &errors);
    if (fault != FAULT_NONE && !errors.memory) {
        schema_explain(schema, message, &errors);
        MUST(errors.memory || json_array_size(errors.list) > 0); /* what was refused has a reason */
    }
    return finish(result, &errors, made);
}

enum err_e schema_validate_text(const struct schema *schema, const char *text, size_t len,
                                struct schema_result *result)
{
    char why[SCHEMA_JSON_WHY_MAX], msg[SCHEMA_JSON_WHY_MAX + 16];
    struct errors errors;
    *result = (struct schema_result){NULL, NULL};
    json_t *message = schema_json_load(text, len, SCHEMA_VALUES_MAX, why);
    if (message != NULL) {
        enum err_e err = schema_validate(schema, message, result);
        json_decref(message);
        return err;
    }
    if (why[0] == '\0')
        return ERR_MEMORY;
    snprintf(msg, sizeof msg, "Invalid JSON: %s", why);
    begin(&errors);
    if (!errors.memory)
        schema_errors_add(&errors, NULL, 0, "json_invalid", msg);
    return finish(result, &errors, NULL);
}

void schema_free(struct schema **out)
{
    struct schema *schema = *out;
    if (schema == NULL)
        return;
    for (uint32_t i = 0; i < schema->node_count; i++) {
        schema_pattern_free(&schema->nodes[i].pattern);
        schema_release(schema->nodes[i].expected);
    }
    for (uint32_t i = 0; i < schema->member_count; i++) {
        schema_release(schema->members[i].name);
        json_decref(schema->members[i].fallback);
    }
    for (uint32_t i = 0; i < schema->choice_count; i++)
        json_decref(schema->choices[i].value);
    schema_release(schema->nodes);
    schema_release(schema->members);
    schema_release(schema->choices);
    schema_release(schema);
    *out = NULL;
}
