/* conf_check.h — what no single key can tell: values that contradict each other. */
#pragma once

#include "conf_key.h"

/* places[i]: where entry i of the list stands. */

/* Unique names, addresses that clash, addresses that need authentication, and tokens for it. */
void conf_check_listeners(const struct conf *conf, const struct conf_place *places,
                          struct conf_problems *problems);
/* A numeric address that only this host reaches. */
bool conf_is_loopback(const char *address);

/* Unique ids and PLC addresses, their number, simulator ports. ERR_MEMORY. */
enum err_e conf_check_machines(const struct conf *conf, struct conf_place root,
                               const struct conf_place *places, struct conf_problems *problems);
/* Times of one machine, or of machine_defaults; told at `place` only if one of the keys concerned stands there, or if
 * `always`. */
void conf_check_times(const struct conf_machine *machine, struct conf_place place, bool always,
                      struct conf_problems *problems);
/* Times of one handler. */
void conf_check_handler_times(const struct conf_handler *handler, struct conf_place place,
                              struct conf_problems *problems);
/* slow_clients. */
void conf_check_limits(const struct conf *conf, struct conf_place slow_clients,
                       struct conf_problems *problems);
