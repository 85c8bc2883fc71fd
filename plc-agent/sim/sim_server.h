/* sim_server.h — hundreds of simulated PLCs in one process, each with its own TCP port.
 *
 * A PLC serves one client at a time. What a second one meets is a setting: by default its connection stands in the
 * kernel's backlog, unread, until the first has closed; with `refuse_second` it is accepted and reset.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "loop.h"
#include "profile.h"
#include "sim_log.h"

#define SIM_PLCS_MAX         4096
#define SIM_UNLISTED_DEFAULT 0xd0 /* with profile "standard", a machine at rest answers 218 */

struct sim_server;
struct sim_plc;

struct sim_server_conf {
    bool refuse_second;
    uint8_t unlisted; /* status bits that a profile does not list */
};

struct sim_plc_conf {
    const char *id;
    const char *address; /* numeric IPv4 or IPv6 */
    uint16_t port;       /* 0: any free one */
    const struct profile *profile;
    uint32_t positions; /* SIM_POSITIONS_MIN to SIM_POSITIONS_MAX */
    uint32_t pace_ms;   /* at most SIM_PACE_MAX_MS */
};

/* NULL: out of memory. `loop` and `log` (NULL: none) must outlive it. */
struct sim_server *sim_server_new(struct loop *loop, struct sim_log *log, const struct sim_server_conf *conf);
void sim_server_free(struct sim_server **server);

/* Adds a PLC, which listens from here on. ERR_CONFIG (id, bounds, address), ERR_EXISTS (id), ERR_FULL, ERR_SYSTEM
 * (port taken, descriptors), ERR_MEMORY; all logged. */
enum err_e sim_server_add(struct sim_server *server, const struct sim_plc_conf *conf);

/* Other PLCs in place of those that are there, all or nothing. One that stays (by id) keeps its client, position, conditions and fault, unless its
 * address or port is another: then the client is reset. One that goes resets its client.
 *
 * prepare: all that can fail; ports that nobody has yet are bound here. `list`: texts and profiles need to live until the commit only, profiles
 * as long as the PLCs. ERR_CONFIG, ERR_EXISTS (an id twice), ERR_FULL, ERR_SYSTEM, ERR_MEMORY: nothing is kept, `why` has a line. */
#define SIM_WHY_MAX 256
struct sim_change;
enum err_e sim_change_prepare(struct sim_server *server, const struct sim_plc_conf *list, size_t count,
                              struct sim_change **change, char why[SIM_WHY_MAX]);
void sim_change_commit(
    struct sim_change **change); /* a port that cannot be listened at just now is tried again (logged) */
void sim_change_free(struct sim_change **change); /* not made */

size_t sim_server_count(const struct sim_server *server);
struct sim_plc *sim_server_at(const struct sim_server *server, size_t index);
struct sim_plc *sim_server_find(const struct sim_server *server, const char *id); /* NULL: none */
const struct sim_log *sim_server_log(const struct sim_server *server);

/* Called after every change that a `wait` could wait for, each position passed included. It must change no PLC. */
typedef void sim_observer_f(void *arg, struct sim_plc *plc);
void sim_server_observe(struct sim_server *server, sim_observer_f *observer, void *arg);
