/* The protocol page names every route of the table, with its parameters, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensors_schema.h"

#define LINES_MAX 64u

struct line { /* | `GET /readings/sensor/{id}` | … */
    const char *route, *text;
    size_t route_len, len;
};

static char *page;
static struct line lines[LINES_MAX];
static unsigned line_count;

static bool is_route(const char *at)
{
    return strncmp(at, "| `GET /", 8) == 0 || strncmp(at, "| `POST /", 9) == 0 ||
           strncmp(at, "| `PUT /", 8) == 0 || strncmp(at, "| `DELETE /", 11) == 0;
}

static int read_page(void **state)
{
    (void)state;
    FILE *file = fopen(PAGE, "r");
    page = calloc(1, 65536);
    assert_non_null(file);
    assert_true(fread(page, 1, 65535, file) > 1000);
    fclose(file);
    for (char *at = page; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (!is_route(at))
            continue;
        assert_true(line_count < LINES_MAX);
        const char *route = at + 3;
        lines[line_count++] = (struct line){route, at, strcspn(route, "`"), strcspn(at, "\n")};
    }
    return 0;
}

static int free_page(void **state)
{
    (void)state;
    free(page);
    return 0;
}

/* As the page writes it: routes that every entity has under the name ENTITY. */
static void name_of(const struct sensors_row *row, char *name, size_t size)
{
    const struct entity *entity = entity_of(row->entity);
    bool all = strcmp(row->tail, "") == 0 || strcmp(row->tail, "/{id}") == 0;
    snprintf(name, size, "%s %s%s%s", row->method, entity == NULL ? "" : "/",
             entity == NULL ? ""
             : all          ? "ENTITY"
                            : entity->english,
             row->tail);
}

static const struct line *line_of(const struct sensors_row *row)
{
    char name[128];
    name_of(row, name, sizeof name);
    for (unsigned i = 0; i < line_count; i++)
        if (lines[i].route_len == strlen(name) && memcmp(lines[i].route, name, strlen(name)) == 0)
            return &lines[i];
    fail_msg("the page does not name %s", name);
    return NULL;
}

static bool has(const struct line *line, const char *text)
{
    return memmem(line->text, line->len, text, strlen(text)) != NULL;
}

static void expect_parameters(const struct sensors_row *row, const struct line *line)
{
    const char *names[SENSORS_QUERY_MAX + 1];
    char quoted[64];
    sensors_query_names(row, names);
    for (size_t i = 0; names[i] != NULL && row->op != STORE_OP_LIST; i++) {
        snprintf(quoted, sizeof quoted, "`%s`", names[i]);
        bool paged = (strcmp(names[i], "skip") == 0 || strcmp(names[i], "limit") == 0) && has(line, "page");
        if (!paged && !has(line, quoted))
            fail_msg("%.*s does not name %s", (int)line->route_len, line->route, names[i]);
    }
}

static void the_page_names_every_route(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++)
        expect_parameters(&sensors_rows[i], line_of(&sensors_rows[i]));
}

static void and_no_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < line_count; i++) {
        bool found = has(&lines[i], "`POST /readings` with an array");
        for (unsigned k = 0; !found && k < SENSORS_ROW_COUNT; k++)
            found = line_of(&sensors_rows[k]) == &lines[i];
        if (!found)
            fail_msg("nothing is at %.*s", (int)lines[i].route_len, lines[i].route);
    }
}

static void the_page_names_entities_and_aliases(void **state)
{
    (void)state;
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++) {
        const struct entity *entity = entity_of((enum entity_e)e);
        char row[128];
        snprintf(row, sizeof row, "| `/%s` | `/%s` | `%s` |", entity->english, entity->spanish, entity->type);
        if (strstr(page, row) == NULL)
            fail_msg("no %s", row);
        for (unsigned i = 0; i < entity->field_count; i++) {
            snprintf(row, sizeof row, "`%s`%s", store_arg_name(entity->fields[i].arg),
                     entity->fields[i].required ? "*" : "");
            if (strstr(page, row) == NULL)
                fail_msg("no %s", row);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_names_every_route),
        cmocka_unit_test(and_no_other),
        cmocka_unit_test(the_page_names_entities_and_aliases),
    };
    return cmocka_run_group_tests_name("sensors_routes", tests, read_page, free_page);
}
