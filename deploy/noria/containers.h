/* containers.h — the subcommands of `noria` for containers: compose (compose.h), front (front_hold.h), health (health.h). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* True if `name` is one of them; the program then calls containers_main(), where argv[0] is that name. */
bool containers_has(const char *name);
int containers_main(int argc, char **argv, FILE *out, FILE *err);
