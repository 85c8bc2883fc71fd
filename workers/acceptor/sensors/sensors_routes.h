/* sensors_routes.h — the table of routes: what each asks of a request, and of the store. Pure. README.md is the page for people; sensors_routes_test
 * holds it against this table.
 *
 *     R(method, entity, tail, operation, grant, id, body, parameters…)
 *
 * `tail` stands behind /api/v1/ENTITY, in English and in Spanish; without an entity it is the whole rest of the path. Of the routes of a path the
 * engine takes the last that fits, so what has a word where others have {id} stands behind them.
 */
#pragma once

#include "entities.h"
#include "store_op.h"

/* What a row wants of the path, the body, and the client. */
enum sensors_body_e {
    BODY_NONE,
    BODY_CREATE,         /* a new entity */
    BODY_CREATE_OR_MANY, /* that, or an array of them */
    BODY_UPDATE,         /* members to change */
    BODY_PARAMS          /* the parameters; without a body they are taken from the query */
};

enum sensors_grant_e {
    GRANTED_READ,    /* the entity's type in entities_read */
    GRANTED_WRITE,   /* … in entities_write */
    GRANTED_CHANNEL, /* the channel of the path or parameters (general: "general") in channels */
    GRANTED_CHANNELS /* every channel */
};

/* Parameters, of the query or of a BODY_PARAMS: Q(NAME, required, fallback as JSON or NULL). NAME is that of store_args.h, or SINCE. */
enum { PARAM_SINCE = ARG_COUNT }; /* "RING-N": becomes SINCE_RING and SINCE_N */

struct sensors_param {
    int arg; /* enum store_arg_e, or PARAM_SINCE; 0 ends a list */
    bool required;
    const char *fallback;
};

#define SENSORS_PAGE                                                                                         \
    {ARG_SKIP, false, NULL},                                                                                 \
    {                                                                                                        \
        ARG_LIMIT, false, NULL                                                                               \
    }
#define SENSORS_FILTER {ARG_DESDE, false, NULL}, {ARG_HASTA, false, NULL}, SENSORS_PAGE
#define SENSORS_RECENT {ARG_HOURS, false, NULL}, SENSORS_PAGE
#define SENSORS_ABOVE  {ARG_THRESHOLD, false, NULL}, SENSORS_PAGE

#define SENSORS_CRUD(R, ENTITY, create_body)                                                                 \
    R(POST, ENTITY, "", CREATE, WRITE, NULL, create_body, {0})                                               \
    R(GET, ENTITY, "", LIST, READ, NULL, NONE, SENSORS_FILTER)                                               \
    R(GET, ENTITY, "/{id}", READ, READ, "id", NONE, {0})                                                     \
    R(PUT, ENTITY, "/{id}", UPDATE, WRITE, "id", UPDATE, {0})                                                \
    R(DELETE, ENTITY, "/{id}", DELETE, WRITE, "id", NONE, {0})

#define SENSORS_ROUTES(R)                                                                                    \
    SENSORS_CRUD(R, SENSOR, CREATE)                                                                          \
    SENSORS_CRUD(R, READING, CREATE_OR_MANY)                                                                 \
    R(GET, READING, "/sensor/{id}", READINGS_OF_SENSOR, READ, "id", NONE, SENSORS_PAGE)                      \
    R(GET, READING, "/sensor/{id}/recent", READINGS_RECENT, READ, "id", NONE, SENSORS_RECENT)                \
    R(GET, READING, "/sensor/{id}/stats", READINGS_STATS, READ, "id", NONE, {0})                             \
    SENSORS_CRUD(R, LOCATION, CREATE)                                                                        \
    R(GET, LOCATION, "/search", LOCATIONS_SEARCH, READ, NULL, NONE, {ARG_Q, true, NULL}, SENSORS_PAGE)       \
    R(GET, LOCATION, "/nearby", LOCATIONS_NEARBY, READ, NULL, NONE, {ARG_LATITUD, true, NULL},               \
      {ARG_LONGITUD, true, NULL}, {ARG_RADIO, false, "10"}, SENSORS_PAGE)                                    \
    SENSORS_CRUD(R, ANOMALY, CREATE)                                                                         \
    R(POST, ANOMALY, "/detect/{reading_id}", ANOMALIES_DETECT, WRITE, "reading_id", NONE, {0})               \
    R(GET, ANOMALY, "/recent", ANOMALIES_RECENT, READ, NULL, NONE, SENSORS_RECENT)                           \
    R(GET, ANOMALY, "/critical", ANOMALIES_CRITICAL, READ, NULL, NONE, SENSORS_ABOVE)                        \
    R(GET, ANOMALY, "/statistics", ANOMALIES_STATISTICS, READ, NULL, NONE, {0})                              \
    SENSORS_CRUD(R, PREDICTION, CREATE)                                                                      \
    R(POST, PREDICTION, "/generate", PREDICTIONS_GENERATE, WRITE, NULL, PARAMS,                              \
      {ARG_UBICACION_ID, true, NULL}, {ARG_TEMPERATURA_PROMEDIO, false, NULL},                               \
      {ARG_HUMEDAD_PROMEDIO, false, NULL}, {ARG_COMENTARIO, false, NULL})                                    \
    R(GET, PREDICTION, "/high-risk", PREDICTIONS_HIGH_RISK, READ, NULL, NONE, SENSORS_ABOVE)                 \
    R(GET, PREDICTION, "/recent", PREDICTIONS_RECENT, READ, NULL, NONE, SENSORS_RECENT)                      \
    R(GET, PREDICTION, "/statistics", PREDICTIONS_STATISTICS, READ, NULL, NONE, {0})                         \
    R(GET, PREDICTION, "/location/{id}", PREDICTIONS_OF_LOCATION, READ, "id", NONE, SENSORS_PAGE)            \
    R(GET, PREDICTION, "/location/{id}/latest", PREDICTIONS_LATEST, READ, "id", NONE, {0})                   \
    R(GET, NONE, "/events", EVENTS, CHANNEL, NULL, NONE, {ARG_CHANNEL, false, "\"general\""},                \
      {PARAM_SINCE, false, NULL}, {ARG_LIMIT, false, NULL})                                                  \
    R(POST, NONE, "/ws/test-event", TEST_EVENT, CHANNEL, NULL, PARAMS, {ARG_CHANNEL, false, "\"general\""},  \
      {ARG_MESSAGE, false, "\"Evento de prueba\""})                                                          \
    R(GET, NONE, "/ws/stats", NONE, CHANNELS, NULL, NONE, {0})                                               \
    R(GET, NONE, "/ws/stats/{channel}", NONE, CHANNEL, "channel", NONE, {0})

#define SENSORS_PARAMS_MAX 10u

struct sensors_row {
    const char *method;
    enum entity_e entity;
    const char *tail;
    enum store_op_e op; /* STORE_OP_NONE: the statistics of channels */
    enum sensors_grant_e grant;
    const char *id; /* name of the path's parameter; NULL: it has none */
    enum sensors_body_e body;
    struct sensors_param params[SENSORS_PARAMS_MAX];
};

#define SENSORS_ROW_COUNT 44u
extern const struct sensors_row sensors_rows[SENSORS_ROW_COUNT];

/* "/api/v1/sensors/{id}"; `spanish`: "/api/v1/sensores/{id}" (the same without an entity). */
#define SENSORS_PATH_MAX 80u
void sensors_path(const struct sensors_row *row, bool spanish, char path[SENSORS_PATH_MAX]);
