/* house.h — a rig that serves endpoints: schemas and endpoints in the configuration, and its handler processes.
 *
 *     HOUSE_POOLED       noria-worker; bench-handler processes, started here as `noria up` does it (a listening socket each):
 *                        /one/… 1 process, /two/… 2, /raw/… traditional, 1
 *     HOUSE_IN_PROCESS   bench-worker (endpoint_worker.c), which answers /in/… itself
 *
 * Behind each path stands the name of the message (ask_text.h) whose schema it has: /one/small, /one/nested.
 */
#pragma once

#include "bench.h"
#include "child.h"
#include "rig.h"

#define HOUSE_HANDLERS 3u /* processes: one.0, two.0, two.1 */

enum house_kind_e { HOUSE_POOLED, HOUSE_IN_PROCESS };

struct house {
    struct rig rig;
    enum house_kind_e kind;
    struct child handlers[HOUSE_HANDLERS];
    bool started;
};

enum err_e house_start(struct house *house, const struct bench *bench, enum house_kind_e kind);
bool house_stop(struct house *house); /* true if every process ended by itself, with exit code 0 */

/* Writes the schemas of both messages into the rig's directory: small.json, nested.json. */
enum err_e house_write_schemas(const struct rig *rig);
