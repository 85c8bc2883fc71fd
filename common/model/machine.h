/* machine.h — the state of one machine, and its JSON text.
 *
 * The text is the run of members that every message of the carousel dialect shows for a machine:
 *
 *     "status":{…},"position":15,"raw_status":218,"connection_status":"connected"
 *
 * It is written once, by the broker, and copied as bytes from there on (ring, last-value table, snapshots), so that
 * all clients of all workers read the same bytes for the same state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "profile.h"

#define MACHINE_ID_MAX   64 /* bytes without the NUL */
#define MACHINE_NAME_MAX 96
#define MACHINE_HOST_MAX 64
#define MACHINE_TEXT_MAX                                                                                     \
    1280 /* longest JSON text of a state; profiles that could exceed it are refused at load */

#define CONNECTION_TABLE(X)                                                                                  \
    X(DISCONNECTED, "disconnected") /* no PLC connection, or no agent */                                     \
    X(CONNECTED, "connected")                                                                                \
    X(ERROR, "error") /* reachable but unintelligible */                                                     \
    X(STALE, "stale") /* no fresh reading within stale_after_ms */

enum connection_e {
#define X(name, text) CONNECTION_##name,
    CONNECTION_TABLE(X)
#undef X
        CONNECTION_COUNT
};

struct machine_state {
    enum connection_e connection;
    bool has_reading; /* false: never read since boot: status {}, position and raw_status null */
    uint8_t raw_status;
    uint8_t position;
    uint64_t read_wall_ms; /* when the last reading arrived; 0 without one */
};

/* What clients are told about a machine beside its state. */
struct machine_info {
    char id[MACHINE_ID_MAX + 1];
    char name[MACHINE_NAME_MAX + 1];
    char ip[MACHINE_HOST_MAX + 1]; /* the configured address, also where a simulator stands in for it */
    uint16_t port;
    bool simulator;
};

/* An id is 1 to 64 of A-Z a-z 0-9 _ . : - so that it needs no escaping in JSON, topics, paths and logs;
 * neither "." nor "..", because it names a directory. */
bool machine_id_valid(const char *id, size_t len);

const char *connection_text(enum connection_e connection);

/* True if clients would see a difference (read_wall_ms is not shown). */
bool machine_state_differs(const struct machine_state *a, const struct machine_state *b);

/* The text above. `profile` NULL (unknown to this process) shows "status":{}. */
void machine_state_text(const struct machine_state *state, const struct profile *profile, struct out *out);

/* {"id","name","ip","port","type"} with type "Real PLC" or "Simulator". */
void machine_info_json(const struct machine_info *info, struct out *out);
