/* sensors_schema.h — what a route's request may say, as a schema made from the tables of entities; and what is valid, as arguments of the store.
 * Pure; any message is safe (sensors_schema_test, hostile_json_test).
 *
 *     {"path":{"id":"7"},"query":{"limit":"5"},"body":{…}}  ─ schema ─▶ coerced ─▶ id and rows of store_args.h
 *                                                                └─▶ [{"loc":["body","temperatura"],…}], as FastAPI words it
 *
 * A request is judged as one message, so that every error has its place in front ("path", "query", "body") and all are told at once.
 * Texts of queries and paths become numbers by the lax rules of common/schema. Of entities only what stands in ENTITY_TABLE is known
 * here, and of each argument its type, below: no second list of members.
 */
#pragma once

#include <jansson.h>

#include "bytes.h"
#include "schema.h"
#include "sensors_routes.h"

/* The schemas of a row: its own, and if it has one (ERR_NOT_FOUND: no) the other form of its requests: an array for BODY_CREATE_OR_MANY, the parameters
 * in the body for BODY_PARAMS. ERR_MEMORY; anything else is a bug. */
enum sensors_form_e { FORM_USUAL, FORM_OTHER, FORM_COUNT };
enum err_e sensors_schema_new(const struct sensors_row *row, enum sensors_form_e form,
                              struct schema **schema);

/* Names of what may stand in the query of a row, in the order of its schema, with a NULL at the end. */
#define SENSORS_QUERY_MAX 16u
void sensors_query_names(const struct sensors_row *row, const char *names[SENSORS_QUERY_MAX + 1]);

struct sensors_wanted {
    uint64_t id;         /* of the path; 0: none */
    const char *channel; /* of the path or the parameters; NULL: none. Good as long as the message is */
};

/* Of a message that is valid. `out` gets the rows of arguments; it overflows if there is no room. */
void sensors_arguments(const json_t *valid, struct sensors_wanted *wanted, struct out *out);
