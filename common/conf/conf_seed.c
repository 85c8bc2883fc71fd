/* conf_seed.c — see conf_seed.h. */
#include "conf_seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "must.h"

struct reading {
    struct conf_seed *seed;
    const struct conf_outline *outline;
    struct conf_problems *problems;
};

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "a mapping";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    MUST_NOT_REACH();
}

static void wrong_kind(const struct reading *r, uint32_t node, const char *key, const json_t *found,
                       const char *expected)
{
    struct conf_place place = {r->outline, node};
    conf_problem_at(r->problems, place, key, "%s found, expected %s", kind_of(found), expected);
}

static json_t *member(const json_t *machine, const char *key)
{
    json_t *value = json_object_get(machine, key);
    return json_is_null(value) ? NULL : value;
}

static char *text_of(const struct reading *r, uint32_t node, const json_t *machine, const char *key)
{
    const json_t *value = member(machine, key);
    if (value != NULL && !json_is_string(value))
        wrong_kind(r, node, key, value, "a string");
    return json_is_string(value) ? (char *)json_string_value(value) : NULL;
}

static char *truth_of(const struct reading *r, uint32_t node, const json_t *machine, const char *key)
{
    static char yes[] = "true", no[] = "false";
    const json_t *value = member(machine, key);
    if (value != NULL && !json_is_boolean(value))
        wrong_kind(r, node, key, value, "true or false");
    return value == NULL ? NULL : json_is_true(value) ? yes : no;
}

static char *number_of(const struct reading *r, uint32_t node, const json_t *machine, const char *key,
                       char out[24])
{
    const json_t *value = member(machine, key);
    if (value != NULL && !json_is_integer(value))
        wrong_kind(r, node, key, value, "an integer");
    snprintf(out, 24, "%lld", (long long)json_integer_value(value)); /* 0 for what is none */
    return json_is_integer(value) ? out : NULL;
}

static void read_machine(const struct reading *r, const json_t *machine, uint32_t node)
{
    struct conf_seed *seed = r->seed;
    struct raw_machine *raw = &seed->machines[seed->count];
    raw->id = text_of(r, node, machine, "id");
    raw->name = text_of(r, node, machine, "name");
    raw->ip = text_of(r, node, machine, "ip");
    raw->port = number_of(r, node, machine, "port", seed->ports[seed->count]);
    raw->simulator = truth_of(r, node, machine, "simulator");
    seed->nodes[seed->count++] = node;
}

/* The outline has a node for each entry, in the same order. */
static void read_machines(const struct reading *r, const json_t *list, uint32_t list_node)
{
    uint32_t node = r->outline->nodes[list_node].first;
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        MUST(node != CONF_NO_NODE);
        if (json_is_object(entry))
            read_machine(r, entry, node);
        else
            wrong_kind(r, node, "", entry, "a mapping with id, ip and port");
        node = r->outline->nodes[node].next;
    }
}

static enum err_e make_room(struct conf_seed *seed, size_t count)
{
    seed->machines = calloc(count + 1, sizeof *seed->machines);
    seed->ports = calloc(count + 1, sizeof *seed->ports);
    seed->nodes = calloc(count + 1, sizeof *seed->nodes);
    return seed->machines != NULL && seed->ports != NULL && seed->nodes != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err_e read_document(const struct reading *r, const json_t *document)
{
    const json_t *list = json_object_get(document, "plc_machines");
    struct conf_place root = {r->outline, 0};
    if (!json_is_array(list)) {
        if (list == NULL)
            conf_problem(r->problems, 0, "", "holds no plc_machines, expected a JSON object with that list");
        else
            wrong_kind(r, 0, "plc_machines", list, "a list");
        return ERR_CONFIG;
    }
    if (json_array_size(list) > CONF_MACHINES_MAX) {
        conf_problem_at(r->problems, root, "plc_machines", "more entries found, expected at most %u",
                        CONF_MACHINES_MAX);
        return ERR_CONFIG;
    }
    if (make_room(r->seed, json_array_size(list)) != ERR_OK)
        return ERR_MEMORY;
    r->seed->has_api_config = json_object_get(document, "api_config") != NULL;
    read_machines(r, list, conf_outline_child(r->outline, 0, "plc_machines"));
    return ERR_OK;
}

static json_t *parse(const char *text, size_t len, struct conf_problems *problems)
{
    json_error_t error;
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (document != NULL)
        return document;
    conf_problem(problems, error.line > 0 ? (uint32_t)error.line : 0, "", "is not JSON: %s", error.text);
    return NULL;
}

enum err_e conf_seed_read(struct conf_seed *seed, const char *text, size_t len, struct conf_outline *outline,
                          struct conf_problems *problems)
{
    *seed = (struct conf_seed){0};
    *outline = (struct conf_outline){.file = problems->file};
    struct reading r = {seed, outline, problems};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* Windows' editors put it there */
        text += 3;
        len -= 3;
    }
    json_t *document = parse(text, len, problems);
    if (document == NULL)
        return ERR_CONFIG;
    seed->document = document;
    if (!conf_seed_lines(text, len, outline)) {
        conf_problem(problems, 0, "", "holds more values than any list of machines needs");
        return ERR_CONFIG;
    }
    return read_document(&r, document);
}

void conf_seed_free(struct conf_seed *seed)
{
    json_decref(seed->document);
    free(seed->machines);
    free(seed->ports);
    free(seed->nodes);
}
