/* conf_shape.c — does the file have the table's shape? (conf_section_check_shape() of conf_key.h)
 *
 * A key that is not in the table is an error and never ignored: a misspelt limit that silently stays at its default is
 * found in production. The nearest known key is named.
 */
#include "conf_key.h"

#include <stdio.h>
#include <string.h>

#include "conf_near.h"
#include "conf_raw.h"
#include "must.h"

#define KEYS_MAX 64 /* of one section */

static const char *nearest(const struct conf_section *section, const char *word)
{
    const char *keys[KEYS_MAX];
    for (size_t i = 0; i < section->count; i++)
        keys[i] = section->keys[i].key;
    return conf_near(word, keys, section->count);
}

/* Keys of other programs that people bring along. */
static const char *foreign_key(const char *word)
{
    static const char *const table[][2] = {
        {"plc_machines", "a file of machines is named by machines_from, or has a name that ends in .json"},
        {"api_config", "a file of machines is named by machines_from, or has a name that ends in .json"},
        {"host", "addresses are called address (listeners) and ip (machines)"},
        {"tls", "TLS is a proxy's business"},
        {"endpoints",
         "endpoints are the file's own key, for every listener that has endpoints among its dialects"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(table[i][0], word) == 0)
            return table[i][1];
    return NULL;
}

/* The first section of the table that has the key: people put keys a level too high. */
static bool find_home(const struct conf_section *section, const char *word, const char *path,
                      char home[CONF_KEY_PATH_MAX])
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        char inner[CONF_KEY_PATH_MAX];
        snprintf(inner, sizeof inner, "%.100s%s%.50s%s", path, *path != '\0' ? "." : "", key->key,
                 key->type == CONF_LIST ? "[]" : "");
        if (*path != '\0' && strcmp(key->key, word) == 0) {
            snprintf(home, CONF_KEY_PATH_MAX, "%s", inner);
            return true;
        }
        if (key->section != NULL && find_home(key->section, word, inner, home))
            return true;
    }
    return false;
}

static void unknown_key(const struct conf_section *section, const struct conf_outline *outline, uint32_t node,
                        struct conf_problems *problems)
{
    if (problems->count >= CONF_PROBLEMS_MAX) { /* it will not be told: spare the search */
        problems->count++;
        return;
    }
    char path[CONF_KEY_PATH_MAX], home[CONF_KEY_PATH_MAX];
    const char *word = outline->nodes[node].key, *foreign = foreign_key(word), *near = nearest(section, word);
    uint32_t line = outline->nodes[node].line;
    conf_outline_path(outline, node, path);
    if (foreign != NULL)
        conf_problem(problems, line, path, "is an unknown key; %s", foreign);
    else if (near != NULL)
        conf_problem(problems, line, path, "is an unknown key, did you mean %s?", near);
    else if (find_home(&conf_root_section, word, "", home))
        conf_problem(problems, line, path, "is an unknown key here, did you mean %s?", home);
    else
        conf_problem(problems, line, path, "is an unknown key");
}

static void wrong_kind(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                       const char *found, struct conf_problems *problems)
{
    char path[CONF_KEY_PATH_MAX], expected[CONF_EXPECTED_MAX];
    bool words = key->type == CONF_STRINGS && outline->nodes[node].kind == CONF_NODE_SCALAR;
    bool dashes = key->type == CONF_LIST && outline->nodes[node].kind == CONF_NODE_MAPPING;
    conf_outline_path(outline, node, path);
    conf_key_expected(key, expected);
    conf_problem(problems, outline->nodes[node].line, path, "%s found, expected %s%s", found, expected,
                 dashes  ? ", each beginning with \"- \""
                 : words ? ", such as [one, two]"
                         : "");
}

static const char *kind_text(const struct conf_node *node)
{
    return node->kind == CONF_NODE_MAPPING ? "a mapping"
           : node->kind == CONF_NODE_LIST  ? "a list"
           : node->empty                   ? "nothing"
                                           : "a single value";
}

static bool check_list(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                       struct conf_problems *problems)
{
    const struct conf_key entry = {.type = CONF_SECTION, .section = key->section};
    bool readable = true;
    enum conf_node_e kind = key->type == CONF_LIST ? CONF_NODE_MAPPING : CONF_NODE_SCALAR;
    const struct conf_node *nodes = outline->nodes;
    if (nodes[node].last != CONF_NO_NODE && nodes[nodes[node].last].index >= key->max) {
        wrong_kind(key, outline, node, "more entries", problems);
        return false;
    }
    if (nodes[node].first == CONF_NO_NODE && key->min > 0)
        wrong_kind(key, outline, node, "an empty list", problems);
    for (uint32_t at = nodes[node].first; at != CONF_NO_NODE; at = nodes[at].next) {
        if (nodes[at].kind != kind) {
            wrong_kind(key->type == CONF_LIST ? &entry : key->element, outline, at, kind_text(&nodes[at]),
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
        wrong_kind(key, outline, node, kind_text(&outline->nodes[node]), problems);
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
