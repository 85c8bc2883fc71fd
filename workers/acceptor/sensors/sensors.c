/* Hop: C1. The API: its routes, made from the table of rows, its schemas, and its form of refusals. */
#include "sensors.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "must.h"
#include "schema.h"
#include "sensors_internal.h"

#define JSON "application/json"

/* --- refusals --------------------------------------------------------------------------------------------------------------- */

void sensors_refuse(struct http_exchange *x, unsigned status, const char *text)
{
    char body[512];
    struct out out = out_init(body, sizeof body);
    out_literal(&out, "{\"detail\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    MUST(!out.overflow);
    http_answer(x,
                &(struct http_response){.status = status, .type = JSON, .body = body, .body_len = out.len});
}

/* Of what the engine refuses: FastAPI's words where it has some. */
static void refuse(void *arg, struct http_exchange *x, unsigned status, const char *text)
{
    static const struct {
        unsigned status;
        const char *text;
    } known[] = {{401, "Token inv\xc3\xa1lido"}, {404, "Not Found"}, {405, "Method Not Allowed"}};
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].status == status)
            text = known[i].text;
    sensors_refuse(x, status, text);
}

/* --- routes and schemas ------------------------------------------------------------------------------------------------------ */

static enum http_method_e method_named(const char *name)
{
    static const struct {
        const char *name;
        enum http_method_e method;
    } methods[] = {{"GET", HTTP_GET}, {"POST", HTTP_POST}, {"PUT", HTTP_PUT}, {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    MUST_NOT_REACH();
}

static void add_route(struct sensors *sensors, unsigned number, bool spanish)
{
    const struct sensors_row *row = &sensors_rows[number];
    const struct entity *entity = entity_of(row->entity);
    size_t i = sensors->route_count++;
    enum http_method_e method = method_named(row->method);
    sensors_path(row, spanish, sensors->paths[i]);
    sensors->asked[i] = (struct sensors_asked){.number = number, .row = row, .op = row->op};
    if (entity != NULL)
        sensors->asked[i].segment = spanish ? entity->spanish : entity->english;
    sensors->routes[i] = (struct http_route){.method = method,
                                             .path = sensors->paths[i],
                                             .body_type = method != HTTP_GET ? JSON : NULL,
                                             .handle = sensors_handle};
}

static enum err_e add_row(struct sensors *sensors, unsigned number)
{
    const struct sensors_row *row = &sensors_rows[number];
    add_route(sensors, number, false);
    if (row->entity != ENTITY_NONE)
        add_route(sensors, number, true);
    for (enum sensors_form_e form = FORM_USUAL; form < FORM_COUNT; form++) {
        enum err_e err = sensors_schema_new(row, form, &sensors->schemas[number][form]);
        MUST(err == ERR_OK || err == ERR_MEMORY || err == ERR_NOT_FOUND);
        if (err == ERR_MEMORY)
            return err;
    }
    return ERR_OK;
}

enum err_e sensors_new(const struct sensors_config *config, struct sensors **out)
{
    struct sensors *sensors = calloc(1, sizeof *sensors);
    enum err_e err = sensors != NULL ? ERR_OK : ERR_MEMORY;
    *out = sensors;
    if (err != ERR_OK)
        return err;
    sensors->config = *config;
    list_init(&sensors->waiting);
    for (unsigned i = 0; err == ERR_OK && i < SENSORS_ROW_COUNT; i++)
        err = add_row(sensors, i);
    sensors->api = (struct http_api){.prefix = "/api/v1",
                                     .routes = sensors->routes,
                                     .route_count = sensors->route_count,
                                     .refuse = refuse,
                                     .arg = sensors,
                                     .needs_token = config->needs_token};
    if (err != ERR_OK)
        sensors_free(out);
    return err;
}

void sensors_free(struct sensors **sensors)
{
    if (*sensors == NULL)
        return;
    MUST(list_empty(&(*sensors)->waiting));
    for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++)
        for (unsigned form = 0; form < FORM_COUNT; form++)
            schema_free(&(*sensors)->schemas[i][form]);
    free(*sensors);
    *sensors = NULL;
}

void sensors_set_needs_token(struct sensors *sensors, bool needs_token)
{
    sensors->api.needs_token = needs_token;
}

const struct http_api *sensors_api(const struct sensors *sensors)
{
    return &sensors->api;
}

const struct sensors_counts *sensors_counts(const struct sensors *sensors)
{
    return &sensors->counts;
}
