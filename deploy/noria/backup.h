/* backup.h — `noria backup FILE -c CONFIG`: a copy of the store's database, taken while it is written to.
 *
 * The copy is one moment of the database, whole and checked, and appears under its name only then; an existing file is never written
 * over. It needs no running process, asks none, and does not disturb one: SQLite's own backup reads page by page. A module of its own, the
 * one part of the launcher's program that sees the database (tests/audit/layers.py).
 */
#pragma once

#include <stdio.h>

#include "conf.h"

/* An exit code of the program: 0, PROC_EXIT_FAILURE; problems are told on `err`, with what to do about them. */
int backup(const struct conf *conf, const char *to, FILE *out, FILE *err);
