/* db_schema.h — the tables, as a series of steps: what a database of version n lacks is steps n+1 … DB_SCHEMA_VERSION.
 *
 *     0 ─▶ 1 entities ─▶ 2 events ─▶ 3 machines and the ring ─▶ 4 deletions under way          each in a transaction of its own, with its user_version
 *
 * A step that has been released is never changed again; the next change is a new step. A database of a later version is refused.
 */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#define DB_SCHEMA_VERSION 4
#define DB_APPLICATION_ID 0x4e6f7269 /* "Nori" */

/* SQLITE_OK: the database is of version `upto` at least. Stops at the first step that fails, which changed nothing. */
int db_schema_migrate(sqlite3 *sqlite, int upto, uint64_t new_source);
/* PRAGMA user_version and application_id; SQLITE_OK or its error. */
int db_schema_version(sqlite3 *sqlite, int *version, int *application);
/* Writes the version that it has once more: the smallest transaction that there is. */
int db_schema_touch(sqlite3 *sqlite);
