/* compose.h — `noria compose`: the Compose file of an installation, made from its configuration.
 *
 *     front ── holds network and published ports │ broker, store ── no network │ worker × N ── no network, sockets from front
 *     agent-ID × machines ── network plc, bus/, a volume of its own            │ plc-sim ── profile demo, an address of its own in plc
 *
 * One file that docker-compose 1.29 (Debian 12) and Compose v2 understand alike. Everything that is not a machine's or a listener's is fixed: one
 * image, uid 10001, read-only root, no capability, no new privileges, limits, health checks, restarts. Agents see bus/ and what is theirs,
 * never shm/. Each agent has a label with a digest of what it would notice of its configuration, so that `up -d` with a file made
 * anew recreates those that changed, starts those that came, and leaves the others alone.
 *
 * Chosen: text by hand in the order in which people read it, with the variables that they may set, instead of a YAML emitter's. The same
 * configuration gives the same bytes, on every host.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "conf.h"

#define COMPOSE_MACHINES_MAX 1000u /* a bridge of the kernel's has 1,023 ports */
#define COMPOSE_UID          10001 /* as in deploy/Dockerfile */

struct compose_options {
    const char *image;    /* "noria" */
    const char *conf_dir; /* how the file names the directory of the configuration; NULL: its absolute path */
    uint32_t workers;     /* 0: as many as the configuration says */
    const char *made_from; /* how the configuration was named, for the first line */
};

/* What stands against running this configuration in containers, each a line on `err`; returns how many. */
size_t compose_problems(const struct conf *conf, FILE *err);

/* Writes the file. Only without problems. */
void compose_write(const struct conf *conf, const struct compose_options *options, FILE *out);
