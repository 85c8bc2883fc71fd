/* rig.h — the system under test of one scenario: real programs in a runtime directory of their own.
 *
 *     /tmp/noria-bench.XXXXXX/   noria.yaml  bus/  shm/  sim.log  NAME.log (standard error of each program)
 *                                state/ (the agents' journals; /tmp is meant to be a disk), or, if the rig says so, on a tmpfs:
 *     /dev/shm/noria-bench.XXXXXX/
 *
 * The rig makes the workers' listening sockets (as `noria up` and systemd do, by LISTEN_FDS), so that the port is known
 * and nothing races for it. rig_stop() ends every program, notes which did not end cleanly, and removes the directory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "child.h"
#include "payload.h"

#define RIG_ID_MAX      24
#define RIG_WORKERS_MAX 16

struct rig;

struct rig_config {
    const char *bin_dir;
    const char *worker_program; /* "noria-worker" */
    uint32_t machines;
    const struct payload *payload;
    const char *dialect;  /* of the one listener, which has its name: "carousel", "streams", … */
    const char *dialects; /* all of it, if it has several: "endpoints, carousel" */
    uint32_t workers;
    bool launcher; /* `noria up` starts all, and nothing is pinned */
    /* Adds to the configuration, and makes what it names, before anything starts; NULL: nothing to add. */
    enum err_e (*extend)(const struct rig *rig, FILE *conf, void *arg);
    void *extend_arg;
    bool store;          /* noria-store, too; its file is STATE/store/noria.db */
    bool agents;         /* plc-sim and an agent per machine; else the bench's source plays the agents */
    bool state_on_tmpfs; /* where fdatasync costs nothing */
    uint32_t poll_ms, poll_moving_ms, sim_ms_per_position;
    uint32_t backoff_max_ms; /* 0: the configuration's default */
    uint32_t ping_interval_ms, ping_timeout_ms;
    uint32_t drain_ms;           /* 0: the configuration's default */
    bool any_rate;               /* clients may send as many messages as they like */
    int worker_core, other_core; /* -1: any */
    bool keep;                   /* leave the directory */
};

struct rig_config rig_config_default(const char *bin_dir);

struct rig {
    struct rig_config config;
    char dir[64], state[80], conf[80], endpoint[112];
    uint16_t port, sim_port;
    int listen_fds[RIG_WORKERS_MAX];
    struct child launcher, broker, store, sim, workers[RIG_WORKERS_MAX];
    struct child *agents; /* `machines` of them */
    uint32_t unclean;     /* programs that crashed, hung or ended with an error */
};

/* All programs are ready when it returns ERR_OK; otherwise everything was stopped again (and logged). */
enum err_e rig_start(const struct rig_config *config, struct rig *rig);
/* True if every program ended by itself, in time, with exit code 0. */
bool rig_stop(struct rig *rig);
/* True while every program runs. */
bool rig_healthy(struct rig *rig);

void rig_machine_id(uint32_t index, char id[RIG_ID_MAX]);

/* A listening socket on 127.0.0.1, *port 0: any free one; -1 on failure. */
int rig_listen(uint16_t *port);
