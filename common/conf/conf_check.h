/* conf_check.h — what no single key can tell: values that contradict each other. */
#pragma once

#include "conf_key.h"

/* nodes[i]: where entry i of the list stands in the outline. */

/* Unique names, addresses that clash, addresses that need authentication. */
void conf_check_listeners(const struct conf *conf, const struct conf_outline *outline, const uint32_t *nodes,
                          struct conf_problems *problems);
/* Unique ids and PLC addresses, their number, simulator ports. ERR_MEMORY. */
enum err_e conf_check_machines(const struct conf *conf, const struct conf_outline *outline,
                               const uint32_t *nodes, struct conf_problems *problems);
/* Times of one machine, or of machine_defaults; told at `node` only if one of the keys concerned stands there, or if
 * `always`. */
void conf_check_times(const struct conf_machine *machine, const struct conf_outline *outline, uint32_t node,
                      bool always, struct conf_problems *problems);
