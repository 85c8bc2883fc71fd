/* compose_text.h — what the files that write a Compose file share: texts of the configuration as YAML, names made of machine ids. */
#pragma once

#include <stdio.h>

#include "compose.h"
#include "machine.h"

#define COMPOSE_DIRECTORY "/etc/noria" /* of the configuration, in containers */
#define COMPOSE_RUNTIME   "/run/noria"
#define COMPOSE_STATE     "/var/lib/noria"

/* A double-quoted scalar; `$`, which Compose would replace, is doubled. */
void compose_quoted(FILE *out, const char *text);

/* A machine's id as part of a service's and a volume's name: ':' is none of their characters. */
void compose_name(const char *id, char name[MACHINE_ID_MAX + 1]);

/* "/etc/noria/" and the configuration's own name. */
void compose_file(FILE *out, const struct conf *conf);

/* compose_agents.c: the agents, and the network in which they find PLCs. */
void compose_agents(const struct conf *conf, const struct compose_options *options, FILE *out);
void compose_plc_network(const struct conf *conf, FILE *out);
void compose_simulator(const struct conf *conf, FILE *out);
bool compose_simulates(const struct conf *conf);
