/* db_ops.h — the function of each operation of store_op.h. See db_internal.h for how one is written. */
#pragma once

#include "db.h"

typedef void db_op_f(struct db *db, const struct db_request *request, const struct store_row *row);

/* O(NAME, function): `row` is the first row of the arguments; empty if there is none. */
#define DB_OPS_TABLE(O)                                                                                      \
    O(CREATE, db_create)                                                                                     \
    O(CREATE_MANY, db_create_many)                                                                           \
    O(READ, db_read)                                                                                         \
    O(LIST, db_list)                                                                                         \
    O(UPDATE, db_update)                                                                                     \
    O(DELETE, db_delete)                                                                                     \
    O(READINGS_OF_SENSOR, db_query_readings_of_sensor)                                                       \
    O(READINGS_RECENT, db_query_readings_recent)                                                             \
    O(READINGS_STATS, db_query_readings_stats)                                                               \
    O(LOCATIONS_SEARCH, db_query_locations_search)                                                           \
    O(LOCATIONS_NEARBY, db_query_locations_nearby)                                                           \
    O(ANOMALIES_DETECT, db_query_anomalies_detect)                                                           \
    O(ANOMALIES_RECENT, db_query_anomalies_recent)                                                           \
    O(ANOMALIES_CRITICAL, db_query_anomalies_critical)                                                       \
    O(ANOMALIES_STATISTICS, db_query_anomalies_statistics)                                                   \
    O(PREDICTIONS_GENERATE, db_query_predictions_generate)                                                   \
    O(PREDICTIONS_HIGH_RISK, db_query_predictions_high_risk)                                                 \
    O(PREDICTIONS_RECENT, db_query_predictions_recent)                                                       \
    O(PREDICTIONS_OF_LOCATION, db_query_predictions_of_location)                                             \
    O(PREDICTIONS_LATEST, db_query_predictions_latest)                                                       \
    O(PREDICTIONS_STATISTICS, db_query_predictions_statistics)                                               \
    O(EVENTS, db_events)                                                                                     \
    O(TEST_EVENT, db_test_event)

#define O(NAME, function) db_op_f function;
DB_OPS_TABLE(O)
#undef O
