/* conf.h — the configuration file as typed, checked settings.
 *
 * One YAML file serves every process of an installation; each reads it itself at start (`-c FILE`). Parsing is
 * libcyaml's; which keys exist, their types, bounds, defaults, units and texts stand in one table, from which the
 * parser's schema, the checks and the reference page are made. Every error names file, line where known, key, what
 * was found and what was expected. All strings belong to the `struct conf` and live until conf_free().
 *
 *     runtime_dir: /run/noria
 *     listeners:
 *       - {name: carousel, dialects: [carousel], address: 127.0.0.1, port: 8765}
 *     machines:
 *       - {id: machine_1, name: Carrusel Principal, ip: 192.168.1.50, port: 3200, simulator: true}
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "grant.h"
#include "log.h"
#include "machine.h"
#include "profile.h"

#define CONF_PATH_MAX 108 /* of a Unix socket, with its NUL */

struct conf_listener {
    const char *name;
    const char *const *
        dialects; /* "rest", "carousel", "streams", "endpoints", "channels", "ops"; at least one, no two the same. An upgrade goes to the first
                                    that serves its path */
    size_t dialect_count;
    const char *address; /* numeric IPv4 or IPv6 */
    uint16_t port;       /* 0: any free one (tests) */
    bool auth_required;  /* auth: token; then there is at least one token, user or key */
};

/* What somebody may do of one kind. */
struct conf_grant {
    bool all; /* no list in the file, or ["*"] */
    const char *const *names;
    size_t count;
};

struct conf_token {
    const char *principal; /* 1 to 64 of A-Z a-z 0-9 _ . - */
    unsigned char sha256[32];
    struct conf_grant grants[GRANT_COUNT];
};

/* Who may log in. */
struct conf_user {
    const char *name;     /* as a principal; unique */
    const char *password; /* an argon2id hash in its encoded form, well-formed and of bearable cost */
    bool loopback_only;   /* refused from other hosts; then no listener where one logs in is open to them */
    struct conf_grant grants[GRANT_COUNT];
};

/* Most that one check of a password may cost; conf_argon2() reads what it does. */
#define CONF_ARGON2_KIB_MAX    262144u
#define CONF_ARGON2_PASSES_MAX 16u
#define CONF_ARGON2_LANES_MAX  4u
#define CONF_ARGON2_WORK_MAX   1048576u /* KiB × passes */

struct conf_argon2 {
    uint32_t kib, passes, lanes;
};
/* False: not the encoded form of an argon2id hash, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, to the letter. */
bool conf_argon2(const char *encoded, struct conf_argon2 *cost);

enum conf_alg_e { CONF_HS256, CONF_RS256, CONF_ES256 };

/* A key of JWTs. Its file is read by who needs it (keyring.h). */
struct conf_jwt_key {
    const char *kid; /* 1 to 64 of A-Z a-z 0-9 _ . -; unique */
    enum conf_alg_e alg;
    const char *file; /* absolute */
};

struct conf_machine {
    struct machine_info info;
    const char *profile_name;
    const struct profile *profile; /* NULL: unknown, the machine is read-only */
    bool mode_single;              /* mode: single */
    /* where the agent connects: the simulator on loopback for `simulator: true`, else info.ip, info.port */
    char connect_host[MACHINE_HOST_MAX + 1];
    uint16_t connect_port;
    bool persistent;              /* connection: persistent (true) or per_request */
    uint32_t connect_timeout_ms;  /* 2000 */
    uint32_t reply_timeout_ms;    /* 1000: from the last byte written to the second byte read */
    uint32_t poll_interval_ms;    /* 250, at rest */
    uint32_t poll_moving_ms;      /* 50 */
    uint32_t backoff_min_ms;      /* 500 */
    uint32_t backoff_max_ms;      /* 30000 */
    uint32_t stale_after_ms;      /* 3000 */
    uint32_t command_deadline_ms; /* 5000: when the client names none */
    uint32_t move_timeout_ms;     /* 60000 */
    bool rearm_manual;            /* rearm: manual (true) or automatic */
    uint32_t sim_positions;       /* 26: positions of its simulator, numbered from 0 */
    uint32_t sim_ms_per_position; /* 400 */
};

/* What a machine says, copied to streams: the JSON of the carousel dialect, without "seq". */
enum conf_bridge_from_e { BRIDGE_STATES, BRIDGE_RESULTS, BRIDGE_EVENTS };
#define CONF_BRIDGE_SOURCES 3u

#define CONF_BRIDGE_STREAMS_MAX 16u /* of one machine and source */

struct conf_bridge {
    enum conf_bridge_from_e from;
    const char *stream;          /* id, 1 to STREAM_ID_MAX bytes of UTF-8 without control characters */
    const char *const *machines; /* ids, each configured, none twice; NULL, 0: all machines */
    size_t machine_count;
};

/* Who answers what clients send to an endpoint: processes outside Noria (common/handler/HANDLER.md). */
#define CONF_HANDLER_NAME_MAX      32u
#define CONF_HANDLER_PROCESSES_MAX 16u
#define CONF_COMMAND_WORDS_MAX     32

struct conf_handler {
    const char *name;
    /* Program and arguments, NULL behind the last; NULL: `socket` names its socket. command[0] is an absolute path, or has
     * no slash and is looked up in PATH by who starts it. */
    const char *const *command;
    size_t command_count;
    const char *socket;   /* absolute path; "": the launcher runs `command` */
    uint32_t processes;   /* 1; of a command. Each has a socket of its own: conf_handler_socket() */
    uint32_t deadline_ms; /* 5000: a message that is not answered by then is answered 503 */
    uint32_t stuck_ms; /* 30000: a process that answers nothing for so long while something waits is killed */
};

/* A path whose messages are validated and then go to a handler. */
#define CONF_ENDPOINT_PATH_MAX 64u

struct conf_endpoint {
    const char *path;         /* "/chat": 1 to CONF_ENDPOINT_PATH_MAX of A-Z a-z 0-9 _ . ~ - /; unique */
    const char *handler_name; /* as written */
    size_t handler;           /* index in conf.handlers */
    const char *schema; /* file of its messages' JSON Schema, absolute; "": traditional, JSON as it comes */
    const char *reply_schema; /* likewise, of a reply's body with a status below 300; "": any */
    bool binary;              /* replies and publications are binary frames */
    bool error_object;        /* refusals also hold the errors as a tree, "errorObject" */
};

/* What noria-store keeps, in store/noria.db below state_dir. It runs if a listener has the dialect "channels". */
enum conf_integrity_e { CONF_INTEGRITY_QUICK, CONF_INTEGRITY_FULL, CONF_INTEGRITY_OFF };

struct conf_store {
    uint32_t keep_days;        /* 400 */
    uint32_t keep_mib;         /* 4096 */
    uint32_t events_keep_days; /* 30 */
    uint32_t events_keep_mib;  /* 1024 */
    uint32_t delete_rows;      /* 1000 */
    enum conf_integrity_e integrity;
};

struct conf_override { /* a variable of the environment that won over the file */
    const char *variable, *key, *value;
};

struct conf {
    const char *file;
    const char
        *directory; /* of the file, absolute, with a slash at the end: where relative names in it begin */
    const char *runtime_dir; /* bus/ and shm/ live in it; at most 80 bytes, because of Unix socket names */
    const char *state_dir;   /* the agents' journals, below agents/; on a disk */
    enum log_level_e log_level;
    enum log_format_e log_format;
    uint32_t drain_ms;     /* 10000 */
    uint32_t ring_mib;     /* 64; power of two, 1 to 4096 */
    uint32_t max_machines; /* 4096 */
    uint32_t workers;      /* 0 in the file: one per core; here already resolved, at least 1 */
    bool allow_unauthenticated;
    uint32_t max_message_bytes; /* 65536 */
    uint32_t
        max_connections; /* per worker; 0: bounded by descriptors only. WEBSOCKET_MAX_CONNECTIONS overrides */
    uint32_t ping_interval_ms;          /* 30000. WEBSOCKET_PING_INTERVAL (seconds) overrides */
    uint32_t ping_timeout_ms;           /* 10000. WEBSOCKET_PING_TIMEOUT (seconds) overrides */
    uint32_t handshake_timeout_ms;      /* 5000 */
    uint32_t max_messages_per_s;        /* 1000, of one client; 0: no limit */
    const char *const *allowed_origins; /* beside same host and loopback */
    size_t allowed_origin_count;
    uint32_t max_body_bytes;    /* of an HTTP request: 65536 */
    bool rest_auth;             /* true: /api/v1 asks for a token at every listener */
    uint32_t slow_soft_bytes;   /* 256 KiB; at most slow_hard_bytes */
    uint32_t slow_soft_ms;      /* 10000 */
    uint32_t slow_hard_bytes;   /* 4 MiB */
    uint32_t journal_keep_mib;  /* 64, per machine */
    uint32_t journal_keep_days; /* 400 */
    struct conf_store store;
    struct conf_token *tokens;
    size_t token_count;
    struct conf_user *users;
    size_t user_count;
    struct conf_jwt_key *jwt_keys;
    size_t jwt_key_count;
    const char *jwt_issuer, *jwt_audience; /* "": not asked for */
    uint32_t jwt_lifetime_s;               /* 1800, of what /auth/login gives */
    const char *jwt_sign_with; /* a kid of jwt_keys, with which tokens are signed; "": the first */
    bool carousel_auto_subscribe;
    bool streams_echo;             /* false: a sender does not get its own messages */
    bool streams_errors;           /* true: a client is told what is wrong with its message */
    bool streams_admin;            /* true: clients may ask for counts and connections */
    uint32_t streams_max_streams;  /* 1000, of one connection */
    uint32_t streams_max_channels; /* 100000: streams opened by all connections of all workers together */
    struct conf_bridge *bridges;
    size_t bridge_count;           /* no two say the same of one machine */
    const char *simulator_address; /* 127.0.0.1; numeric */
    uint32_t
        simulator_base_port; /* 3201: simulated machine k listens on simulator_address:base+k; machines, then machines_from */
    struct conf_listener *listeners;
    size_t listener_count;
    struct conf_machine *machines; /* those of the file, then those of machines_from */
    size_t machine_count;
    struct conf_handler *handlers;
    size_t handler_count;
    struct conf_endpoint *endpoints; /* served by every listener with the dialect "endpoints" */
    size_t endpoint_count;
    /* Schemas and keys that cannot be read, in the form of problems; no error of conf_load(), because neither broker nor agents need
     * them, and who edits an endpoint or a key must not be able to stop machines. `noria up`, check-config and workers refuse. */
    const char *const *unreadable;
    size_t unreadable_count;
    const char *machines_from; /* as written, "": none */
    size_t machines_from_count;
    struct profile *profiles; /* the user's own; linted (profile_lint.h) */
    size_t profile_count;
    struct conf_override *overrides;
    size_t override_count;
    const char *const *warnings; /* what is allowed and yet worth a look, in the form of problems */
    size_t warning_count;
    /* The bytes that this was made from, and a hash of them (and of nothing else: schemas, keys and the environment are not in it). */
    const char *source, *machines_source; /* machines_source: of machines_from; NULL: none */
    size_t source_len, machines_source_len;
    uint64_t digest;
};

/* Reads and checks `file`. On ERR_CONFIG, `report` received every problem found, one call each, as
 * "FILE:LINE: machines[1].port: 70000 is not a port (1 to 65535)". Environment overrides are applied here, and the file
 * that machines_from names is read. A file whose name ends in ".json" is taken as such a file of machines; everything
 * else then has its default, with a listener `carousel` on 127.0.0.1:8765 and `http` (rest) on 127.0.0.1:8000. */
typedef void conf_report_f(void *arg, const char *text);
enum err_e conf_load(const char *file, conf_report_f *report, void *arg, struct conf **conf);

/* A conf_report_f of processes, which log each problem; `arg` is unused. */
void conf_log_problem(void *arg, const char *text);

/* The same for a text in memory, under the name `file`: opens no file (machines_from is a problem then, and a schema is not looked for) and looks at no
 * environment; relative names stay relative to `file`. Pure, for tests and fuzzers. A name that ends in ".json" chooses the other format here too. */
enum err_e conf_load_text(const char *file, const char *text, size_t len, conf_report_f *report, void *arg,
                          struct conf **conf);
void conf_free(struct conf **conf);

/* A configuration in force, kept apart from the file that somebody may be editing: conf_copy_write() writes the bytes of `conf` to
 * DIRECTORY/config and DIRECTORY/machines (the directory is replaced as a whole, by renaming; ERR_SYSTEM, logged). Where NORIA_CONF_COPY
 * names such a directory, conf_load(file) reads these bytes in place of `file` and of the file that machines_from names; all else (the
 * directory where relative names begin, the names in problems, the environment) is as if it had read `file`. The launcher keeps
 * conf/current below runtime_dir so, and sets the variable for its children: a process that dies comes back with what was in force, whatever
 * stands in the file by then. conf_load_next(file) reads the sibling directory "next" of NORIA_CONF_COPY (without the variable: the
 * file); for a reload that is prepared. */
#define CONF_COPY_VARIABLE "NORIA_CONF_COPY"
#define CONF_COPY_CURRENT  "conf/current" /* below runtime_dir */
#define CONF_COPY_NEXT     "conf/next"
enum err_e conf_copy_write(const struct conf *conf, const char *directory);
/* `next` takes the place of `current`, by one rename: who reads finds the one or the other, whole, whoever is killed when. What was in force
 * is removed. ERR_SYSTEM (logged): nothing changed. */
enum err_e conf_copy_promote(const char *next, const char *current);
void conf_copy_remove(const char *directory); /* and what a kill left beside it */
enum err_e conf_load_next(const char *file, conf_report_f *report, void *arg, struct conf **conf);

/* What is different in `next`, in the order of the reference page, then by machine: keys with another value, entries of lists that came or
 * went (a machine, a token, a user, a key, a profile, a bridge: by their names; others by their index). Secrets are not told. Returns how many
 * of them a running installation cannot take over (reloadable: no); 0: it can be reloaded. */
struct conf_change {
    const char *key; /* "websocket.max_connections", "machines[lift-1].ip", "machines[lift-2]" */
    const char *was,
        *is; /* as they would be written; NULL: there was, there is, none; "…": not told, or too long */
    bool reloadable;
    const char *
        machine; /* whose it is; NULL: no machine's. A change of its profile or of machine_defaults shows here, too */
};
typedef void conf_change_f(void *arg, const struct conf_change *change);
size_t conf_changes(const struct conf *now, const struct conf *next, conf_change_f *tell, void *arg);

/* "websocket.max_connections: 100 → 200", "machines[lift-2]: added", "ring.size_mib: 64 → 128: takes a restart". */
#define CONF_CHANGE_MAX 640
void conf_change_text(const struct conf_change *change, char out[CONF_CHANGE_MAX]);

/* True if the agent of this machine would notice nothing of `b` in place of `a`. */
bool conf_machine_same(const struct conf_machine *a, const struct conf_machine *b);
/* The same for one that is compared with another day's: of two that are the same it is the same, in every build. */
uint64_t conf_machine_digest(const struct conf_machine *machine);

const struct conf_machine *conf_machine(const struct conf *conf, const char *id); /* NULL: none */
const char *conf_bridge_source(enum conf_bridge_from_e from);                     /* "states", … */
/* True if the only machine has `mode: single`: clients then hear of one machine, without its id. */
bool conf_single_mode(const struct conf *conf);

/* True if a listener has the dialect. */
bool conf_serves(const struct conf *conf, const char *dialect);

/* Longest token of a client; its SHA-256 is what the configuration holds. */
#define CONF_TOKEN_MAX 512

/* A profile of the user's or a built-in one; NULL: neither. */
const struct profile *conf_profile(const struct conf *conf, const char *name);

/* Paths below runtime_dir, written to `path` (size CONF_PATH_MAX): "bus/broker.sock", "shm/ring", … */
void conf_path(const struct conf *conf, const char *relative, char path[CONF_PATH_MAX]);

/* The socket at which process `k` of a handler is found: handlers/NAME.K below runtime_dir, or its `socket`. Fits, as
 * conf_load() made sure. */
void conf_handler_socket(const struct conf *conf, const struct conf_handler *handler, uint32_t k,
                         char path[CONF_PATH_MAX]);

/* Writes the reference page (Markdown) made from the table to a stream descriptor. */
void conf_reference(int fd);
