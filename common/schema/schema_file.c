/* See schema_file.h. A member that stands twice in a document is refused, though messages may have it: nobody means to write one. */
#include "schema_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_json.h"
#include "text_file.h"

#define PATH_SHOWN 500

/* The end of a path, which says more than its beginning; `room` is PATH_SHOWN + 4. */
static const char *shown(const char *path, char room[PATH_SHOWN + 4])
{
    size_t len = strlen(path);
    if (len <= PATH_SHOWN)
        return path;
    const char *at = path + len - PATH_SHOWN;
    while (((unsigned char)*at & 0xc0) == 0x80)
        at++;
    snprintf(room, PATH_SHOWN + 4, "…%s", at);
    return room;
}

static enum err_e compile(const char *path, const json_t *document, struct schema **out, char *problem)
{
    struct schema_problem wrong;
    enum err_e err = schema_from_json(document, out, &wrong);
    if (err == ERR_CONFIG)
        snprintf(problem, SCHEMA_FILE_PROBLEM_MAX, "%s: %s%s%s", path, wrong.pointer,
                 wrong.pointer[0] != '\0' ? ": " : "", wrong.why);
    return err;
}

static enum err_e read_text(const char *path, const char *text, size_t len, struct schema **out,
                            char *problem)
{
    static const struct schema_json_rules rules = {.max_values = SCHEMA_FILE_VALUES_MAX, .unique = true};
    struct schema_json_fault fault;
    json_t *document = schema_json_read(text, len, &rules, &fault);
    if (document == NULL && fault.why == NULL)
        return ERR_MEMORY;
    if (document == NULL) {
        snprintf(problem, SCHEMA_FILE_PROBLEM_MAX, "%s:%zu:%zu: %s", path, fault.line, fault.column,
                 fault.why);
        return ERR_CONFIG;
    }
    enum err_e err = compile(path, document, out, problem);
    json_decref(document);
    return err;
}

enum err_e schema_file_load(const char *path, struct schema **out, char problem[SCHEMA_FILE_PROBLEM_MAX])
{
    char *text, room[PATH_SHOWN + 4], fault[TEXT_FILE_FAULT_MAX];
    const char *name = shown(path, room);
    size_t len;
    *out = NULL;
    problem[0] = '\0';
    enum err_e err = text_file_read(path, SCHEMA_FILE_MAX, &text, &len, fault);
    if (err == ERR_CONFIG)
        snprintf(problem, SCHEMA_FILE_PROBLEM_MAX, "%s: %s", name, fault);
    else if (err == ERR_OK)
        err = read_text(name, text, len, out, problem);
    free(text);
    return err;
}
