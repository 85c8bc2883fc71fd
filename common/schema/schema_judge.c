/* See schema_judge.h. */
#include "schema_judge.h"

#include <stdio.h>
#include <string.h>

#include "must.h"
#include "schema_internal.h"

/* --- what is wrong -------------------------------------------------------------------------------------------------- */

static bool wrong_at(struct schema_wrong *wrong, const struct member *member, uint32_t index,
                     const struct node *node, enum fault_e fault)
{
    bool bytes = fault == FAULT_STRING_BYTES, least = fault == FAULT_TOO_SHORT || fault == FAULT_STRING_SHORT;
    *wrong = (struct schema_wrong){member->name, index,
                                   bytes   ? node->max_bytes
                                   : least ? node->min_length
                                           : node->max_length,
                                   schema_fault_type(fault)};
    return false;
}

static const struct node *root(const struct schema *schema)
{
    bool nullable;
    return schema_node(schema, schema->root, &nullable);
}

static const struct member *member_at(const struct schema *schema, uint32_t index)
{
    const struct node *node = root(schema);
    MUST(index < node->count);
    return &schema->members[node->first + index];
}

/* --- trees ---------------------------------------------------------------------------------------------------------- */

static bool judge_items(const struct schema *schema, const struct member *member, const json_t *list,
                        struct schema_wrong *wrong)
{
    const struct node *node = &schema->nodes[member->node], *item = &schema->nodes[node->item];
    size_t count = json_array_size(list);
    enum fault_e length = schema_length(node, count);
    uint32_t choice;
    if (length == FAULT_TOO_LONG)
        return wrong_at(wrong, member, SCHEMA_NONE, node, length);
    for (size_t i = 0; i < count && !node->loose; i++) {
        struct schema_seen seen = schema_see(json_array_get(list, i));
        enum fault_e fault = item->nullable && seen.kind == SCHEMA_SEEN_NULL
                                 ? FAULT_NONE
                                 : schema_fit(schema, item, &seen, &choice);
        if (fault != FAULT_NONE)
            return wrong_at(wrong, member, (uint32_t)i, item, fault);
    }
    return length == FAULT_NONE || wrong_at(wrong, member, SCHEMA_NONE, node, length);
}

/* A value that is there, and is not null where that is allowed. */
static bool judge_present(const struct schema *schema, const struct member *member,
                          struct schema_found *found, struct schema_wrong *wrong)
{
    const struct node *node = &schema->nodes[member->node];
    struct schema_seen seen = schema_see(found->value);
    if (node->kind == SCHEMA_LIST && seen.kind == SCHEMA_SEEN_LIST)
        return judge_items(schema, member, found->value, wrong);
    const struct node *asked = node->or_item ? &schema->nodes[node->item] : node;
    enum fault_e fault = schema_kind(schema, node, seen.kind);
    if (fault == FAULT_NONE)
        fault = schema_fit(schema, asked, &seen, &found->choice);
    return fault == FAULT_NONE || wrong_at(wrong, member, SCHEMA_NONE, asked, fault);
}

static bool judge_member(const struct schema *schema, const struct member *member, const json_t *object,
                         struct schema_found *found, struct schema_wrong *wrong)
{
    const struct node *node = &schema->nodes[member->node];
    found->value = json_object_getn(object, member->name, member->name_len);
    if (found->value == NULL)
        return !member->required || wrong_at(wrong, member, SCHEMA_NONE, node, FAULT_MISSING);
    if (!node->nullable || !json_is_null(found->value))
        return judge_present(schema, member, found, wrong);
    found->value = NULL;
    return true;
}

bool schema_judge(const struct schema *schema, const json_t *object, struct schema_found *found,
                  struct schema_wrong *wrong)
{
    const struct node *node = root(schema);
    if (!json_is_object(object)) {
        *wrong = (struct schema_wrong){.index = SCHEMA_NONE, .type = schema_fault_type(FAULT_MODEL_TYPE)};
        return false;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        if (!judge_member(schema, &schema->members[node->first + i], object, &found[i], wrong))
            return false;
    }
    return true;
}

/* --- tokens --------------------------------------------------------------------------------------------------------- */

uint32_t schema_member_index(const struct schema *schema, const char *name, size_t len)
{
    const struct node *node = root(schema);
    const struct member *members = &schema->members[node->first];
    for (uint32_t i = 0; i < node->count; i++) {
        if (members[i].name_len == len && memcmp(members[i].name, name, len) == 0)
            return i;
    }
    return SCHEMA_NONE;
}

bool schema_judge_kind(const struct schema *schema, uint32_t index, uint32_t kind, struct schema_wrong *wrong)
{
    const struct member *member = member_at(schema, index);
    const struct node *node = &schema->nodes[member->node];
    if (kind == SCHEMA_NONE)
        return !member->required || wrong_at(wrong, member, SCHEMA_NONE, node, FAULT_MISSING);
    enum fault_e fault = node->nullable && kind == SCHEMA_SEEN_NULL
                             ? FAULT_NONE
                             : schema_kind(schema, node, (enum schema_seen_e)kind);
    return fault == FAULT_NONE || wrong_at(wrong, member, SCHEMA_NONE, node, fault);
}

bool schema_judge_value(const struct schema *schema, uint32_t index, const struct schema_seen *seen,
                        uint32_t *choice, struct schema_wrong *wrong)
{
    const struct member *member = member_at(schema, index);
    const struct node *node = &schema->nodes[member->node];
    uint32_t unused;
    if (node->nullable && seen->kind == SCHEMA_SEEN_NULL)
        return true;
    enum fault_e fault = schema_fit(schema, node, seen, choice != NULL ? choice : &unused);
    if (fault == FAULT_NONE && node->kind == SCHEMA_LIST && seen->kind == SCHEMA_SEEN_LIST)
        fault = schema_length(node, seen->len);
    return fault == FAULT_NONE || wrong_at(wrong, member, SCHEMA_NONE, node, fault);
}

bool schema_judge_item(const struct schema *schema, uint32_t index, uint32_t item,
                       const struct schema_seen *seen, struct schema_wrong *wrong)
{
    const struct member *member = member_at(schema, index);
    const struct node *node = &schema->nodes[schema->nodes[member->node].item];
    uint32_t unused;
    if (node->nullable && seen->kind == SCHEMA_SEEN_NULL)
        return true;
    enum fault_e fault = schema_fit(schema, node, seen, &unused);
    return fault == FAULT_NONE || wrong_at(wrong, member, item, node, fault);
}

/* --- a dialect's own words ------------------------------------------------------------------------------------------ */

const struct schema_row *schema_row(const struct schema_row *rows, size_t count,
                                    const struct schema_wrong *wrong)
{
    for (size_t i = 0; i < count; i++) {
        if ((rows[i].member == NULL ||
             (wrong->member != NULL && strcmp(rows[i].member, wrong->member) == 0)) &&
            (rows[i].type == NULL || strcmp(rows[i].type, wrong->type) == 0))
            return &rows[i];
    }
    return NULL;
}

void schema_row_text(const struct schema_row *row, const struct schema_wrong *wrong, char *out, size_t size)
{
    char index[16] = "", limit[16] = "";
    if (wrong->index != SCHEMA_NONE)
        snprintf(index, sizeof index, "[%u]", wrong->index);
    if (row->unit != NULL)
        snprintf(limit, sizeof limit, "%u", wrong->limit);
    snprintf(out, size, "%s%s%s%s%s%s", wrong->member != NULL ? wrong->member : "", index,
             wrong->member != NULL ? ": " : "", row->text, limit, row->unit != NULL ? row->unit : "");
}

/* --- schemas that are kept ------------------------------------------------------------------------------------------ */

static bool is_flat(const struct schema *schema)
{
    const struct node *node = root(schema);
    bool flat = schema->strict && node->kind == SCHEMA_OBJECT && !node->closed && node->check_count == 0;
    for (uint32_t i = 0; flat && i < node->count; i++) {
        const struct node *member = &schema->nodes[schema->members[node->first + i].node];
        if (member->kind == SCHEMA_LIST || member->kind == SCHEMA_DICT)
            flat = member->kind == SCHEMA_LIST || member->loose;
        if (member->kind == SCHEMA_LIST)
            member = &schema->nodes[member->item];
        flat = flat && (member->kind < SCHEMA_LIST || (member->kind == SCHEMA_DICT && member->loose));
    }
    return flat;
}

const struct schema *schema_keep(struct schema_kept *kept)
{
    struct schema *made, *other = NULL;
    struct schema_problem problem;
    enum err_e err = schema_from_table(kept->table, &made, &problem);
    if (err == ERR_MEMORY)
        return NULL;
    MUST(err == ERR_OK && is_flat(made));
    if (atomic_compare_exchange_strong(&kept->schema, &other, made))
        return made;
    schema_free(&made); /* another thread was faster */
    return other;
}
