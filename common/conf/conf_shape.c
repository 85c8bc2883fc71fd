/* conf_shape.c — does the file have the table's shape? (conf_section_check_shape() of conf_key.h)
 *
 * A key that is not in the table is an error and never ignored: a misspelt limit that silently stays at its default is
 * found in production. The nearest known key is named if at most a third of its letters differ.
 */
#include "conf_key.h"

#include <stdio.h>
#include <string.h>

#include "must.h"

#define WORD_MAX 40
#define KEYS_MAX 64 /* of one section */

/* Levenshtein's distance. */
static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], len = strlen(b);
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t drop = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            row[j + 1] = change < drop ? change : drop;
        }
    }
    return row[len];
}

static const char *nearest(const struct conf_section *section, const char *word)
{
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < section->count; i++) {
        const char *key = section->keys[i].key;
        MUST(strlen(key) < WORD_MAX);
        size_t d = distance(word, key);
        if (d <= 1 + strlen(key) / 3 && d < strlen(key) && d < best_distance) {
            best = key;
            best_distance = d;
        }
    }
    return best;
}

static void unknown_key(const struct conf_section *section, const struct conf_outline *outline, uint32_t node,
                        struct conf_problems *problems)
{
    char path[CONF_KEY_PATH_MAX];
    conf_outline_path(outline, node, path);
    const char *near = nearest(section, outline->nodes[node].key);
    conf_problem(problems, outline->nodes[node].line, path, "is an unknown key%s%s%s",
                 near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static void wrong_kind(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                       const char *found, struct conf_problems *problems)
{
    char path[CONF_KEY_PATH_MAX], expected[CONF_EXPECTED_MAX];
    conf_outline_path(outline, node, path);
    conf_key_expected(key, expected);
    conf_problem(problems, outline->nodes[node].line, path, "%s found, expected %s", found, expected);
}

static const char *kind_text(enum conf_node_e kind)
{
    return kind == CONF_NODE_MAPPING ? "a mapping"
           : kind == CONF_NODE_LIST  ? "a list"
                                     : "a single value or nothing";
}

static bool check_list(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                       struct conf_problems *problems)
{
    static const struct conf_key entry_keys[] = {{.type = CONF_SECTION}, {.type = CONF_ORIGIN}};
    bool readable = true;
    enum conf_node_e kind = key->type == CONF_LIST ? CONF_NODE_MAPPING : CONF_NODE_SCALAR;
    const struct conf_node *nodes = outline->nodes;
    if (nodes[node].last != CONF_NO_NODE && nodes[nodes[node].last].index >= key->max) {
        wrong_kind(key, outline, node, "more entries", problems);
        return false;
    }
    for (uint32_t at = nodes[node].first; at != CONF_NO_NODE; at = nodes[at].next) {
        if (nodes[at].kind != kind) {
            wrong_kind(&entry_keys[key->type == CONF_STRINGS], outline, at, kind_text(nodes[at].kind),
                       problems);
            readable = false;
        } else if (key->type == CONF_LIST) {
            readable = conf_section_check_shape(key->section, outline, at, problems) && readable;
        }
    }
    return readable;
}

static bool check_value(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                        struct conf_problems *problems)
{
    enum conf_node_e kind = key->type == CONF_SECTION                             ? CONF_NODE_MAPPING
                            : key->type == CONF_LIST || key->type == CONF_STRINGS ? CONF_NODE_LIST
                                                                                  : CONF_NODE_SCALAR;
    if (outline->nodes[node].kind != kind) {
        wrong_kind(key, outline, node, kind_text(outline->nodes[node].kind), problems);
        return false;
    }
    if (kind == CONF_NODE_MAPPING)
        return conf_section_check_shape(key->section, outline, node, problems);
    return kind == CONF_NODE_LIST ? check_list(key, outline, node, problems) : true;
}

bool conf_section_check_shape(const struct conf_section *section, const struct conf_outline *outline,
                              uint32_t node, struct conf_problems *problems)
{
    bool readable = true;
    uint64_t seen = 0;
    MUST(section->count <= KEYS_MAX);
    for (uint32_t at = outline->nodes[node].first; at != CONF_NO_NODE; at = outline->nodes[at].next) {
        size_t i = 0;
        while (i < section->count && strcmp(section->keys[i].key, outline->nodes[at].key) != 0)
            i++;
        if (i == section->count) {
            unknown_key(section, outline, at, problems);
        } else if (seen & (1ULL << i)) {
            char path[CONF_KEY_PATH_MAX];
            conf_outline_path(outline, at, path);
            conf_problem(problems, outline->nodes[at].line, path, "stands here a second time");
            readable = false;
        } else {
            seen |= 1ULL << i;
            readable = check_value(&section->keys[i], outline, at, problems) && readable;
        }
    }
    return readable;
}
