/* conf_seed_lines.c — on which line each member of plc_machines stands (conf_seed.h).
 *
 * One pass over a text that jansson has accepted, so nothing is checked here; but every step is bounded by the text's
 * end, and only what lies within plc_machines becomes a node. Rejected: reading the text with libyaml too, which would
 * cost no code but refuses JSON that is fine (surrogate pairs, a line break before a colon).
 */
#include <string.h>

#include "conf_seed.h"

#define LEVELS 4 /* the document, plc_machines, a machine, a member that is a mapping or list itself */

struct scan {
    const char *at, *end;
    uint32_t line;
    struct conf_outline *outline;
    uint32_t open[LEVELS]; /* CONF_NO_NODE: of no interest */
    size_t depth;          /* may exceed LEVELS */
    char key[40];
    bool failed;
};

static void skip_space(struct scan *scan)
{
    for (; scan->at < scan->end && strchr(" \t\r\n", *scan->at) != NULL && *scan->at != '\0'; scan->at++)
        scan->line += *scan->at == '\n';
}

/* From the opening quote to behind the closing one; the text between is [*from, *from + *len). */
static void skip_string(struct scan *scan, const char **from, size_t *len)
{
    *from = ++scan->at;
    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' && scan->at + 1 < scan->end ? 2 : 1;
    *len = (size_t)(scan->at - *from);
    scan->at += scan->at < scan->end;
}

static uint32_t container(const struct scan *scan)
{
    return scan->depth > 0 && scan->depth <= LEVELS ? scan->open[scan->depth - 1] : CONF_NO_NODE;
}

static uint32_t add(struct scan *scan, enum conf_node_e kind)
{
    uint32_t parent = container(scan);
    bool wanted = scan->depth == 0 ||
                  (parent != CONF_NO_NODE && (scan->depth > 1 || strcmp(scan->key, "plc_machines") == 0));
    if (!wanted)
        return CONF_NO_NODE;
    uint32_t node = conf_outline_add(scan->outline, kind, parent, scan->key, scan->line);
    scan->failed |= node == CONF_NO_NODE;
    memset(scan->key, 0, sizeof scan->key);
    return node;
}

static void open_one(struct scan *scan, enum conf_node_e kind)
{
    uint32_t node = add(scan, kind);
    if (scan->depth < LEVELS)
        scan->open[scan->depth] = node;
    scan->depth++;
    scan->at++;
}

static void on_string(struct scan *scan)
{
    const char *from;
    size_t len;
    uint32_t line = scan->line;
    skip_string(scan, &from, &len);
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != ':') {
        uint32_t behind = scan->line;
        scan->line = line;
        add(scan, CONF_NODE_SCALAR);
        scan->line = behind;
        return;
    }
    memset(scan->key, 0, sizeof scan->key);
    memcpy(scan->key, from, len < sizeof scan->key ? len : sizeof scan->key - 1);
}

static void on_word(struct scan *scan)
{
    add(scan, CONF_NODE_SCALAR);
    do
        scan->at++;
    while (scan->at < scan->end && strchr(",]} \t\r\n", *scan->at) == NULL);
}

static void step(struct scan *scan)
{
    switch (*scan->at) {
    case '{':
        open_one(scan, CONF_NODE_MAPPING);
        return;
    case '[':
        open_one(scan, CONF_NODE_LIST);
        return;
    case '}':
    case ']':
        scan->depth -= scan->depth > 0;
        scan->at++;
        return;
    case '"':
        on_string(scan);
        return;
    case ':':
    case ',':
        scan->at++;
        return;
    default:
        on_word(scan);
    }
}

bool conf_seed_lines(const char *text, size_t len, struct conf_outline *outline)
{
    struct scan scan = {.at = text, .end = text + len, .line = 1, .outline = outline};
    for (skip_space(&scan); scan.at < scan.end && !scan.failed; skip_space(&scan))
        step(&scan);
    return !scan.failed;
}
