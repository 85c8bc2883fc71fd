/* db_saga.h — a life of a database in steps, each a group that touches every table, for tests in which something fails.
 *
 * Clocks and ids are the same in every run: a step that failed has left nothing, so that it is simply done again, and the database is
 * after each step, byte for byte in its rows, what it was in the run in which nothing failed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "db_stage.h"

unsigned saga_steps(void);
/* True: it is done, and on the disk. False: something failed. The stage's database is open. */
bool saga_step(struct db_stage *stage, unsigned step);
/* A number that says what all tables hold. Opens the file itself; `integrity`: SQLite's check must find nothing. */
uint64_t saga_digest(const char *path);
