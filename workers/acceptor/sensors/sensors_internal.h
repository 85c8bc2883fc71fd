/* sensors_internal.h — what this module's files share; private to it. */
#pragma once

#include <jansson.h>

#include "list.h"
#include "sensors.h"
#include "sensors_etag.h"
#include "sensors_routes.h"
#include "sensors_schema.h"

#define SENSORS_ROUTES_MAX (2u * SENSORS_ROW_COUNT) /* English and Spanish */

/* A request as its handler sees it. */
struct sensors_asked {
    unsigned number; /* of its row */
    const struct sensors_row *row;
    enum store_op_e op;
    const char *segment; /* of the entity, in the language of the path; NULL: there is none */
};

struct sensors {
    struct sensors_config config;
    struct schema *schemas[SENSORS_ROW_COUNT][FORM_COUNT];
    struct http_route routes[SENSORS_ROUTES_MAX];
    char paths[SENSORS_ROUTES_MAX][SENSORS_PATH_MAX];
    struct sensors_asked asked[SENSORS_ROUTES_MAX]; /* what each route stands for */
    size_t route_count;
    struct http_api api;
    struct list_node waiting; /* struct sensors_request */
    struct sensors_counts counts;
};

/* sensors.c: {"detail": text}, UTF-8. */
void sensors_refuse(struct http_exchange *exchange, unsigned status, const char *text);

/* sensors_input.c: path, query and body as one message that is valid (json_decref() it); NULL: it was answered. */
json_t *sensors_input(struct sensors *sensors, struct http_exchange *exchange,
                      const struct sensors_asked *asked);

/* sensors_request.c */
void sensors_handle(void *arg, struct http_exchange *exchange);
