/* conf_outline.c — one pass over libyaml's events (conf_outline.h).
 *
 * Costs are bounded before and during the pass: directives are refused by their first byte, because libyaml checks
 * each %TAG against all before it (a file of them takes time with the square of its size); nesting stops at
 * CONF_DEPTH_MAX; aliases are refused where they stand, so that no text is ever expanded; nodes are counted.
 * Rejected: recovering lines from libcyaml's log, which names a line only on the way out of its first error.
 */
#include "conf_outline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

struct pass {
    struct conf_outline *outline;
    struct conf_problems *problems;
    uint32_t open[CONF_DEPTH_MAX]; /* the mappings and lists that the pass stands in */
    size_t depth;
    char key[40]; /* of the value to come, where has_key */
    uint32_t key_line;
    bool has_key;
    bool documents; /* one was seen */
};

static bool refuse(struct pass *pass, const yaml_mark_t *mark, uint32_t node, const char *what)
{
    char path[CONF_KEY_PATH_MAX];
    conf_outline_path(pass->outline, node, path);
    conf_problem(pass->problems, (uint32_t)mark->line + 1, path, "%s", what);
    return false;
}

static uint32_t container(const struct pass *pass)
{
    return pass->depth > 0 ? pass->open[pass->depth - 1] : CONF_NO_NODE;
}

static void link_to_parent(struct conf_outline *outline, uint32_t parent, uint32_t node)
{
    struct conf_node *up = &outline->nodes[parent];
    if (up->last == CONF_NO_NODE) {
        up->first = node;
    } else {
        outline->nodes[node].index = outline->nodes[up->last].index + 1;
        outline->nodes[up->last].next = node;
    }
    up->last = node;
}

static bool room_for_one(struct conf_outline *outline)
{
    if (outline->count < outline->cap)
        return true;
    uint32_t cap = outline->cap > 0 ? outline->cap * 2 : 256;
    struct conf_node *nodes = realloc(outline->nodes, cap * sizeof *nodes);
    if (nodes == NULL)
        return false;
    outline->nodes = nodes;
    outline->cap = cap;
    return true;
}

uint32_t conf_outline_add(struct conf_outline *outline, enum conf_node_e kind, uint32_t parent,
                          const char key[40], uint32_t line)
{
    if (outline->count >= CONF_NODES_MAX || !room_for_one(outline))
        return CONF_NO_NODE;
    uint32_t id = outline->count++;
    struct conf_node *node = &outline->nodes[id];
    *node = (struct conf_node){.kind = kind,
                               .line = line,
                               .parent = parent,
                               .first = CONF_NO_NODE,
                               .last = CONF_NO_NODE,
                               .next = CONF_NO_NODE};
    memcpy(node->key, key, sizeof node->key);
    if (parent != CONF_NO_NODE)
        link_to_parent(outline, parent, id);
    return id;
}

static bool add_node(struct pass *pass, enum conf_node_e kind, const yaml_mark_t *mark, uint32_t *id)
{
    struct conf_outline *outline = pass->outline;
    uint32_t parent = container(pass);
    if (parent == CONF_NO_NODE && kind != CONF_NODE_MAPPING)
        return refuse(pass, mark, CONF_NO_NODE, "found no settings, expected a mapping of keys to values");
    uint32_t line = pass->has_key ? pass->key_line : (uint32_t)mark->line + 1;
    static const char none[sizeof pass->key];
    *id = conf_outline_add(outline, kind, parent, pass->has_key ? pass->key : none, line);
    if (*id == CONF_NO_NODE)
        return refuse(pass, mark, parent, "holds more values than any configuration needs");
    pass->has_key = false;
    return true;
}

static bool key_expected(const struct pass *pass)
{
    uint32_t at = container(pass);
    return at != CONF_NO_NODE && pass->outline->nodes[at].kind == CONF_NODE_MAPPING && !pass->has_key;
}

static bool on_open(struct pass *pass, enum conf_node_e kind, const yaml_mark_t *mark)
{
    uint32_t id;
    if (key_expected(pass))
        return refuse(pass, mark, container(pass), "found a mapping or list as a key, expected a word");
    if (!add_node(pass, kind, mark, &id))
        return false;
    if (pass->depth == CONF_DEPTH_MAX)
        return refuse(pass, mark, id, "is nested deeper than any setting");
    pass->open[pass->depth++] = id;
    return true;
}

static bool on_scalar(struct pass *pass, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return refuse(pass, &event->start_mark, container(pass), "contains a NUL character");
    uint32_t id;
    if (!key_expected(pass)) {
        if (!add_node(pass, CONF_NODE_SCALAR, &event->start_mark, &id))
            return false;
        pass->outline->nodes[id].empty = event->data.scalar.length == 0;
        return true;
    }
    snprintf(pass->key, sizeof pass->key, "%s", text);
    pass->key_line = (uint32_t)event->start_mark.line + 1;
    pass->has_key = true;
    return true;
}

static bool on_document(struct pass *pass, const yaml_event_t *event)
{
    if (pass->documents)
        return refuse(pass, &event->start_mark, CONF_NO_NODE, "holds a second YAML document, expected one");
    pass->documents = true;
    return true;
}

static bool on_event(struct pass *pass, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(pass, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(pass, event);
    case YAML_MAPPING_START_EVENT:
        return on_open(pass, CONF_NODE_MAPPING, &event->start_mark);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(pass, CONF_NODE_LIST, &event->start_mark);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        pass->depth--;
        return true;
    case YAML_ALIAS_EVENT:
        return refuse(pass, &event->start_mark, container(pass),
                      "uses a YAML alias (*name), which is not supported");
    default:
        return true;
    }
}

/* libyaml's words are about its grammar; these say what people most often did. */
static const char *hint_for(const char *problem, char at)
{
    static const struct {
        const char *problem;
        char at; /* the character there; 0: any */
        const char *hint;
    } hints[] = {
        {"cannot start any token", '\t', "a tab stands there, expected spaces"},
        {"cannot start any token", '@', "a value that begins with @ needs quotes"},
        {"cannot start any token", '`', "a value that begins with ` needs quotes"},
        {"could not find expected ':'", 0, "is a colon missing behind a key?"},
        {"expected node content", ':', "a value that begins with : needs quotes"},
        {"mapping values are not allowed", 0,
         "is the line indented like the one before, and a colon in a value quoted?"},
        {"block sequence entries", 0, "a list begins on a line of its own"},
        {"expected '-' indicator", 0, "is the line indented like the keys that it belongs to?"},
        {"expected key", 0, "is the line indented like the keys that it belongs to?"},
        {"unexpected end of stream", 0, "is a quote missing?"},
        {"expected ',' or", 0, "is a comma missing?"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strstr(problem, hints[i].problem) != NULL && (hints[i].at == 0 || hints[i].at == at))
            return hints[i].hint;
    return NULL;
}

static uint32_t line_at(const char *text, size_t len, size_t offset)
{
    uint32_t line = 1;
    for (size_t i = 0; i < offset && i < len; i++)
        line += text[i] == '\n';
    return line;
}

/* Where it began, for what libyaml notices only at the end; for bytes that it cannot read it has an offset alone. */
static uint32_t line_of(const yaml_parser_t *parser, const char *text, size_t len)
{
    static const char *const whole[] = {"scanning a simple key", "scanning a quoted scalar"};
    if (parser->error == YAML_READER_ERROR)
        return line_at(text, len, parser->problem_offset);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (parser->context != NULL && strstr(parser->context, whole[i]) != NULL)
            return (uint32_t)parser->context_mark.line + 1;
    return (uint32_t)parser->problem_mark.line + 1;
}

static bool not_yaml(struct pass *pass, const yaml_parser_t *parser, const char *text, size_t len)
{
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    size_t index = parser->problem_mark.index; /* in characters: exact where the text before is ASCII */
    const char *hint = hint_for(problem, index < len ? text[index] : '\0');
    conf_problem(pass->problems, line_of(parser, text, len), "", "is not YAML: %s%s%s%s%s", problem,
                 parser->context != NULL ? " " : "", parser->context != NULL ? parser->context : "",
                 hint != NULL ? "; " : "", hint != NULL ? hint : "");
    return false;
}

static bool run(struct pass *pass, yaml_parser_t *parser, const char *text, size_t len)
{
    yaml_event_type_t type = YAML_NO_EVENT;
    while (type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return not_yaml(pass, parser, text, len);
        type = event.type;
        bool fine = on_event(pass, &event);
        yaml_event_delete(&event);
        if (!fine)
            return false;
    }
    if (pass->outline->count == 0) {
        conf_problem(pass->problems, 0, "", "found no settings, expected a mapping of keys to values");
        return false;
    }
    return true;
}

/* Directives and other encodings; see the file's header. */
static bool admissible(const char *text, size_t len, struct conf_problems *problems)
{
    static const char marks[][2] = {{'\xfe', '\xff'}, {'\xff', '\xfe'}};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (len >= 2 && memcmp(text, marks[i], 2) == 0) {
            conf_problem(problems, 1, "", "is UTF-16, expected UTF-8");
            return false;
        }
    }
    uint32_t line = 1;
    size_t start = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = start; i < len; i++) {
        if (text[i] == '%' && (i == start || text[i - 1] == '\n' || text[i - 1] == '\r')) {
            conf_problem(problems, line, "", "uses a YAML directive (%%), which is not supported");
            return false;
        }
        line += text[i] == '\n';
    }
    return true;
}

bool conf_outline_read(struct conf_outline *outline, const char *text, size_t len,
                       struct conf_problems *problems)
{
    *outline = (struct conf_outline){.file = problems->file};
    if (!admissible(text, len, problems))
        return false;
    struct pass pass = {.outline = outline, .problems = problems};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        conf_problem(problems, 0, "", "out of memory");
        return false;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    bool fine = run(&pass, &parser, text, len);
    yaml_parser_delete(&parser);
    if (!fine)
        conf_outline_free(outline);
    return fine;
}

void conf_outline_free(struct conf_outline *outline)
{
    free(outline->nodes);
    outline->nodes = NULL;
    outline->count = outline->cap = 0;
}

uint32_t conf_outline_child(const struct conf_outline *outline, uint32_t mapping, const char *key)
{
    if (mapping == CONF_NO_NODE)
        return CONF_NO_NODE;
    uint32_t child = outline->nodes[mapping].first;
    while (child != CONF_NO_NODE && strcmp(outline->nodes[child].key, key) != 0)
        child = outline->nodes[child].next;
    return child;
}

uint32_t conf_outline_line(const struct conf_outline *outline, uint32_t node)
{
    return node != CONF_NO_NODE ? outline->nodes[node].line : 0;
}

void conf_outline_path(const struct conf_outline *outline, uint32_t node, char path[CONF_KEY_PATH_MAX])
{
    path[0] = '\0';
    if (node == CONF_NO_NODE || outline->nodes[node].parent == CONF_NO_NODE)
        return;
    const struct conf_node *n = &outline->nodes[node];
    conf_outline_path(outline, n->parent, path);
    size_t len = strlen(path);
    if (outline->nodes[n->parent].kind == CONF_NODE_LIST)
        snprintf(path + len, CONF_KEY_PATH_MAX - len, "[%u]", n->index);
    else
        snprintf(path + len, CONF_KEY_PATH_MAX - len, "%s%s", len > 0 ? "." : "", n->key);
}

struct conf_place conf_place_of(struct conf_place place, const char *key)
{
    uint32_t child = conf_outline_child(place.outline, place.node, key);
    return (struct conf_place){place.outline, child != CONF_NO_NODE ? child : place.node};
}

void conf_problem_at(struct conf_problems *problems, struct conf_place place, const char *key,
                     const char *fmt, ...)
{
    char what[CONF_WHAT_MAX], path[CONF_KEY_PATH_MAX];
    struct conf_place at = conf_place_of(place, key);
    const char *file = problems->file;
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    conf_outline_path(at.outline, at.node, path);
    problems->file = at.outline->file;
    conf_problem(problems, conf_outline_line(at.outline, at.node), path, "%s", what);
    problems->file = file;
}
