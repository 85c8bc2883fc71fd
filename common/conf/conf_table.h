/* conf_table.h — the one table of settings. Everything else is made from it: the structures that libcyaml fills and its
 * schema (conf_schema.c), checks and defaults (conf_key.c), the reference page (conf_reference.c).
 *
 *     K(key, TYPE, min, max, default, form, reloadable, target, text)
 *
 * TYPE         CONF_… of conf_key.h; min and max are a number's value or a text's bytes
 * default      as it would be written in the file; NULL: the key is required
 * form         the unit of a number; the alternatives of a CHOICE, "a|b", whose index is the value; else ""
 * reloadable   true: a running installation takes a new value over (`noria reload`, SIGHUP)
 * target       the member of the section's target structure (conf_key.h) that receives the value
 *
 * A new key is a new line here, and a member in conf.h.
 */
#pragma once

#include "topic.h"

#define CONF_ROOT_KEYS(K)                                                                                    \
    K(runtime_dir, PATH, 1, 80, "/run/noria", "", false, conf.runtime_dir,                                   \
      "Directory of sockets and shared memory (bus/, shm/); best on a tmpfs. NORIA_RUNTIME_DIR overrides")   \
    K(state_dir, PATH, 1, 200, "/var/lib/noria", "", false, conf.state_dir,                                  \
      "Directory of what must survive a restart and a power cut: the agents' journals. On a disk, not a "    \
      "tmpfs. NORIA_STATE_DIR overrides")                                                                    \
    K(max_machines, UINT, 1, 65536, "4096", "", false, conf.max_machines,                                    \
      "Slots of the last-value table; the upper limit for machines")                                         \
    K(allow_unauthenticated, BOOL, 0, 0, "false", "", false, conf.allow_unauthenticated,                     \
      "Lets listeners with `auth: none` bind other addresses than loopback")                                 \
    K(machines_from, FILE, 1, 4000, "", "", true, conf.machines_from,                                        \
      "A JSON file with more machines, `config_multi_plc.json` as it is; relative to this file's directory")

#define CONF_LOG_KEYS(K)                                                                                     \
    K(level, CHOICE, 0, 0, "info", "error|warn|info|debug", true, conf.log_level,                            \
      "The least important lines logged; an agent takes a new value when it starts")                         \
    K(format, CHOICE, 0, 0, "text", "text|json", true, conf.log_format, "`json`: each line is a JSON object")

#define CONF_RING_KEYS(K)                                                                                    \
    K(size_mib, POWER2, 1, 4096, "64", "MiB", false, conf.ring_mib,                                          \
      "Shared ring from which clients are served and resume; it bounds how far back they can resume")

#define CONF_WORKERS_KEYS(K)                                                                                 \
    K(count, UINT, 0, 64, "0", "processes", false, conf.workers, "Worker processes; 0: one per CPU")         \
    K(drain_ms, UINT, 0, 600000, "10000", "ms", true, conf.drain_ms,                                         \
      "A worker that is told to drain (SIGUSR1, `noria restart`) closes its clients with 1012, spread over " \
      "this time, so that they do not all come back at once")

#define CONF_WEBSOCKET_KEYS(K)                                                                               \
    K(max_message_bytes, UINT, 128, 16777216, "65536", "bytes", true, conf.max_message_bytes,                \
      "Longer messages of clients close their connection with 1009")                                         \
    K(max_connections, UINT, 0, 1000000, "0", "", true, conf.max_connections,                                \
      "Connections per worker; 0: as many as descriptors allow. WEBSOCKET_MAX_CONNECTIONS overrides")        \
    K(ping_interval_ms, UINT, 50, 3600000, "30000", "ms", true, conf.ping_interval_ms,                       \
      "Time between pings to a client. WEBSOCKET_PING_INTERVAL (seconds) overrides")                         \
    K(ping_timeout_ms, UINT, 50, 3600000, "10000", "ms", true, conf.ping_timeout_ms,                         \
      "A client that has not answered a ping by then is closed. WEBSOCKET_PING_TIMEOUT (seconds) overrides") \
    K(handshake_timeout_ms, UINT, 50, 60000, "5000", "ms", true, conf.handshake_timeout_ms,                  \
      "Time from accepting a connection to the end of its request's head")                                   \
    K(max_messages_per_s, UINT, 0, 1000000, "1000", "messages/s", true, conf.max_messages_per_s,             \
      "A client that sends more (fragments, pings and pongs count), over two seconds, is not read for a "    \
      "while; 0: no limit")

#define CONF_REST_KEYS(K)                                                                                    \
    K(max_body_bytes, UINT, 128, 1048576, "65536", "bytes", true, conf.max_body_bytes,                       \
      "Longer bodies of HTTP requests are answered 413")                                                     \
    K(auth, BOOL, 0, 0, "true", "", true, conf.rest_auth,                                                    \
      "The REST API of sensors (`/api/v1` of a listener that speaks `channels`) asks for a token, also at "  \
      "a listener with `auth: none`")

#define CONF_SLOW_CLIENTS_KEYS(K)                                                                            \
    K(soft_kib, KIB, 16, 65536, "256", "KiB", true, conf.slow_soft_bytes,                                    \
      "A client that is owed more than this for soft_ms is closed with 1013; not above hard_kib")            \
    K(soft_ms, UINT, 100, 3600000, "10000", "ms", true, conf.slow_soft_ms,                                   \
      "How long a client may be owed more than soft_kib")                                                    \
    K(hard_kib, KIB, 16, 65536, "4096", "KiB", true, conf.slow_hard_bytes,                                   \
      "A client that is owed more than this is closed with 1013 at once")

#define CONF_JOURNAL_KEYS(K)                                                                                 \
    K(keep_mib, UINT, 16, 1048576, "64", "MiB", false, conf.journal_keep_mib,                                \
      "Space for the journal of one machine's commands, which is its audit trail; the oldest goes first. "   \
      "Refusals and readings, kept apart, take a quarter of it")                                             \
    K(keep_days, UINT, 1, 36500, "400", "days", false, conf.journal_keep_days, "What is older is removed")

/* Section `store`. */
#define CONF_DATABASE_KEYS(K)                                                                                \
    K(keep_days, UINT, 1, 36500, "400", "days", true, conf.store.keep_days,                                  \
      "Readings, anomalies and predictions that are older are removed, each with its event")                 \
    K(keep_mib, UINT, 16, 1048576, "4096", "MiB", true, conf.store.keep_mib,                                 \
      "Size of the database, beyond which the oldest of them are removed")                                   \
    K(events_keep_days, UINT, 1, 36500, "30", "days", true, conf.store.events_keep_days,                     \
      "How far back events can be asked for and resumed from, beyond what the ring holds")                   \
    K(events_keep_mib, UINT, 1, 1048576, "1024", "MiB", true, conf.store.events_keep_mib,                    \
      "Size of all events, beyond which the oldest are removed")                                             \
    K(delete_rows, UINT, 1, 100000, "1000", "rows", true, conf.store.delete_rows,                            \
      "What one transaction of a DELETE removes at most; with more, it is made in several, and what "        \
      "others ask is done in between. The store does nothing else meanwhile: fewer on a slow disk")          \
    K(integrity_check, CHOICE, 0, 0, "quick", "quick|full|off", true, conf.store.integrity,                  \
      "How the database is checked when the store starts, next time if it runs: `quick` reads every page, "  \
      "`full` compares the "                                                                                 \
      "indexes with the rows, too, `off` trusts it; a damaged one is not opened")

#define CONF_TOKEN_KEYS(K)                                                                                   \
    K(principal, NAME, 1, 64, NULL, "", true, principal,                                                     \
      "Who comes with this token; may have several tokens, to change them without a pause")                  \
    K(sha256, SHA256, 64, 64, NULL, "", true, sha256,                                                        \
      "SHA-256 of the token in hexadecimal, as `noria hash-token` prints it; the token itself stands "       \
      "nowhere")

/* Somebody's grants (grant.h) stand beside the keys of tokens and users. */
#define CONF_USER_KEYS(K)                                                                                    \
    K(name, NAME, 1, 64, NULL, "", true, name, "Name to log in with at `POST /auth/login`; unique")          \
    K(password, SECRET, 1, 255, NULL, "", true, password,                                                    \
      "Hash of the password, as `noria hash-password` prints it; the password itself stands nowhere")        \
    K(loopback_only, BOOL, 0, 0, "false", "", true, loopback_only,                                           \
      "Refuses the user from other hosts; no listener with the dialect `channels` may bind other addresses " \
      "than loopback then")

#define CONF_JWT_KEY_KEYS(K)                                                                                 \
    K(kid, NAME, 1, 64, NULL, "", true, kid,                                                                 \
      "The key's name, by which the header of a token names it; unique")                                     \
    K(alg, CHOICE, 0, 0, NULL, "HS256|RS256|ES256", true, alg,                                               \
      "What the key is for, whatever a token says: a secret of at least 32 bytes, RSA of at least 2048 "     \
      "bits, P-256")                                                                                         \
    K(file, FILE, 1, 4000, NULL, "", true, file,                                                             \
      "HS256: the secret (line ends behind it are not part of it). RS256, ES256: PEM of the public key, or " \
      "of the private one to sign with. Secrets and private keys may be readable by their owner only")

#define CONF_JWT_KEYS(K)                                                                                     \
    K(issuer, TEXT, 1, 128, "", "", true, conf.jwt_issuer,                                                   \
      "`iss` that tokens must have, and that those of `/auth/login` have; none: not looked at")              \
    K(audience, TEXT, 1, 128, "", "", true, conf.jwt_audience,                                               \
      "`aud` that tokens must have or list, and that those of `/auth/login` have; none: a token that has "   \
      "one is meant for somebody else")                                                                      \
    K(lifetime_s, UINT, 10, 2592000, "1800", "s", true, conf.jwt_lifetime_s,                                 \
      "How long a token of `/auth/login` is good; its connections are closed then")                          \
    K(sign_with, NAME, 1, 64, "", "", true, conf.jwt_sign_with,                                              \
      "`kid` of the key that signs the tokens of `/auth/login`; none: the first of auth.keys")

#define CONF_CAROUSEL_KEYS(K)                                                                                \
    K(auto_subscribe, BOOL, 0, 0, "false", "", true, conf.carousel_auto_subscribe,                           \
      "Subscribes every client of the carousel dialect to the status of all machines, as older servers did")

#define CONF_STREAMS_KEYS(K)                                                                                 \
    K(echo, BOOL, 0, 0, "false", "", true, conf.streams_echo, "Whether a sender gets its own messages, too") \
    K(errors, BOOL, 0, 0, "true", "", true, conf.streams_errors,                                             \
      "Whether a client is told what is wrong with a message of its own; questions of `admin` are always "   \
      "answered")                                                                                            \
    K(admin, BOOL, 0, 0, "true", "", true, conf.streams_admin,                                               \
      "Whether clients may ask for counts and connections (`getnumchannels()`, `getchannelinfo()`)")         \
    K(max_streams, UINT, 1, 1000, "1000", "streams", true, conf.streams_max_streams,                         \
      "Streams that one connection may have open")                                                           \
    K(max_channels, UINT, 1, 1000000, "100000", "channels", true, conf.streams_max_channels,                 \
      "Channels of all workers together; a channel is one connection with one stream open")

#define CONF_SIMULATOR_KEYS(K)                                                                               \
    K(address, ADDRESS, 1, 45, "127.0.0.1", "", true, conf.simulator_address,                                \
      "Where simulated machines listen and their agents find them: an address of plc-sim's where it is "     \
      "another host than they, as under Compose")                                                            \
    K(base_port, PORT, 1, 65535, "3201", "", true, conf.simulator_base_port,                                 \
      "The k-th machine with `simulator: true` listens on simulator.address, this port + k, in the order "   \
      "of the file")                                                                                         \
    K(positions, UINT, 2, 256, "26", "positions", true, machine.sim_positions,                               \
      "Positions of a simulated carousel, numbered from 0")                                                  \
    K(ms_per_position, UINT, 1, 60000, "400", "ms", true, machine.sim_ms_per_position,                       \
      "How long a simulated carousel takes from one position to the next")

/* How a machine is talked to: these keys may stand in machine_defaults and, for one machine, in machines[]. */
#define CONF_TUNE_KEYS(K)                                                                                    \
    K(profile, NAME, 1, 32, "standard", "", true, profile_name,                                              \
      "What the status byte means: `standard`, `delta-as`, or one of profiles[]. Unknown: the machine is "   \
      "read-only")                                                                                           \
    K(mode, CHOICE, 0, 0, "multi", "multi|single", true, mode_single,                                        \
      "`single` greets clients with the single-machine messages, where it is the only machine")              \
    K(connection, CHOICE, 0, 0, "persistent", "per_request|persistent", true, persistent,                    \
      "Whether the TCP connection to the PLC is kept between requests")                                      \
    K(connect_timeout_ms, UINT, 1, 600000, "2000", "ms", true, connect_timeout_ms,                           \
      "Limit for connecting to the PLC")                                                                     \
    K(reply_timeout_ms, UINT, 1, 600000, "1000", "ms", true, reply_timeout_ms,                               \
      "Limit from the last byte of a request to the second byte of the reply")                               \
    K(poll_interval_ms, UINT, 1, 600000, "250", "ms", true, poll_interval_ms,                                \
      "Polling of a machine at rest")                                                                        \
    K(poll_moving_ms, UINT, 1, 600000, "50", "ms", true, poll_moving_ms,                                     \
      "Polling of a machine that moves; not above poll_interval_ms")                                         \
    K(backoff_min_ms, UINT, 1, 600000, "500", "ms", true, backoff_min_ms,                                    \
      "First pause after a failed connection; it doubles")                                                   \
    K(backoff_max_ms, UINT, 1, 3600000, "30000", "ms", true, backoff_max_ms,                                 \
      "Longest pause between attempts")                                                                      \
    K(stale_after_ms, UINT, 1, 3600000, "3000", "ms", true, stale_after_ms,                                  \
      "Without a reading for so long a machine is `stale`; above poll_interval_ms")                          \
    K(command_deadline_ms, UINT, 1, 600000, "5000", "ms", true, command_deadline_ms,                         \
      "Limit for a command to be answered by the PLC, where the client names none")                          \
    K(move_timeout_ms, UINT, 1, 3600000, "60000", "ms", true, move_timeout_ms,                               \
      "Limit for a move to reach its target")                                                                \
    K(rearm, CHOICE, 0, 0, "manual", "automatic|manual", true, rearm_manual,                                 \
      "After an emergency stop: `manual` refuses moves until `noria rearm MACHINE` or its REST equivalent; " \
      "`automatic` admits them as soon as the PLC reports the stop released")

#define CONF_MACHINE_KEYS(K)                                                                                 \
    K(id, ID, 1, 64, NULL, "", true, info.id, "Name of the machine in messages; unique")                     \
    K(name, TEXT, 1, 96, "=id", "", true, info.name, "Name shown to people")                                 \
    K(ip, ADDRESS, 1, 64, NULL, "", true, info.ip, "Address of the PLC")                                     \
    K(port, PORT, 1, 65535, "3200", "", true, info.port, "TCP port of the PLC")                              \
    K(simulator, BOOL, 0, 0, "false", "", true, info.simulator,                                              \
      "A simulator stands in for the PLC; clients still see ip and port, with type `Simulator`")             \
    K(sim_positions, UINT, 2, 256, "=simulator.positions", "positions", true, sim_positions,                 \
      "As simulator.positions, for this machine")                                                            \
    K(sim_ms_per_position, UINT, 1, 60000, "=simulator.ms_per_position", "ms", true, sim_ms_per_position,    \
      "As simulator.ms_per_position, for this machine")

#define CONF_LISTENER_KEYS(K)                                                                                \
    K(name, NAME, 1, 32, NULL, "", false, name, "Name in logs and LISTEN_FDNAMES; unique")                   \
    K(address, ADDRESS, 1, 64, "127.0.0.1", "", false, address,                                              \
      "Address to bind; other than loopback only with `auth: token` or `allow_unauthenticated: true`")       \
    K(port, PORT, 0, 65535, "8765", "", false, port, "TCP port; 0: any free one, the same for all workers")  \
    K(auth, CHOICE, 0, 0, "none", "none|token", false, auth_required,                                        \
      "`token`: clients must bring a token of auth.tokens, or a JWT (auth.keys), by `?token=`, "             \
      "`Authorization: Bearer`, or `Sec-WebSocket-Protocol: bearer, TOKEN`")

/* What may stand in a listener's list `dialects`. */
#define CONF_DIALECTS "rest|carousel|streams|endpoints|channels|ops"

/* A profile, a bit of it, and what one value of the bit says. */
#define CONF_PROFILE_KEYS(K)                                                                                 \
    K(name, NAME, 1, 32, NULL, "", true, name, "What `profile:` of a machine names; no built-in one's name") \
    K(version, UINT, 1, 1000000, "1", "", true, version,                                                     \
      "Raised with every change: broker and agent must have the same one, else the machine is read-only")
#define CONF_BIT_KEYS(K)                                                                                     \
    K(bit, UINT, 0, 7, NULL, "", true, bit, "Which bit; 0 is the least significant")                         \
    K(key, TEXT, 1, 64, NULL, "", true, key, "Member of `status` that shows it; unique in the profile")
#define CONF_BIT_VALUE_KEYS(K)                                                                               \
    K(text, TEXT, 1, 200, NULL, "", true, text, "What clients are shown")                                    \
    K(meaning, CHOICE, 0, 0, "none", CONF_MEANINGS, true, meaning,                                           \
      "What Noria understands by it: interlocks, completion of moves and alarms go by meanings alone")

/* A bridge; its list `machines` stands beside. The sources are enum conf_bridge_from_e. */
#define CONF_BRIDGE_KEYS(K)                                                                                  \
    K(from, CHOICE, 0, 0, NULL, "states|results|events", true, from,                                         \
      "What is copied: `states` (`status_broadcast`), `results` (`command_result`, `command_completed`) or " \
      "`events` (`machine_added`, `machine_removed`, `alarm`)")                                              \
    K(stream, TEXT, 1, STREAM_ID_MAX, NULL, "", true, stream, "The stream's id, as its readers open it")

/* A handler; its list `command` stands beside. */
#define CONF_HANDLER_KEYS(K)                                                                                 \
    K(name, NAME, 1, CONF_HANDLER_NAME_MAX, NULL, "", false, name,                                           \
      "Name in endpoints[].handler, in logs and in its processes' NORIA_HANDLER; unique")                    \
    K(socket, PATH, 2, CONF_PATH_MAX - 1, "", "", false, socket,                                             \
      "Instead of `command`: the Unix socket at which its one process listens, which somebody else starts")  \
    K(processes, UINT, 1, CONF_HANDLER_PROCESSES_MAX, "1", "processes", false, processes,                    \
      "How many processes of `command` are kept; a client's connection belongs to one of them")              \
    K(deadline_ms, UINT, 10, 600000, "5000", "ms", false, deadline_ms,                                       \
      "A client's message that is not answered by then is answered 503")                                     \
    K(stuck_ms, UINT, 10, 3600000, "30000", "ms", false, stuck_ms,                                           \
      "A process of `command` that answers nothing for so long while something waits is killed; one behind " \
      "`socket` is left and tried again. Not below deadline_ms")

#define CONF_ENDPOINT_KEYS(K)                                                                                \
    K(path, URL_PATH, 1, CONF_ENDPOINT_PATH_MAX, NULL, "", false, path,                                      \
      "Path that clients connect to; unique")                                                                \
    K(handler, NAME, 1, CONF_HANDLER_NAME_MAX, NULL, "", false, handler_name,                                \
      "Name of the handler that answers")                                                                    \
    K(schema, FILE, 1, 4000, "", "", false, schema,                                                          \
      "File with the JSON Schema of clients' messages: they are validated, and answered in an envelope, "    \
      "`{\"statusCode\":200,\"body\":…}`. None: traditional, JSON goes in and comes out as it is")           \
    K(reply_schema, FILE, 1, 4000, "", "", false, reply_schema,                                              \
      "Likewise of the body of replies with a status below 300; a reply that violates it becomes 500")       \
    K(binary, BOOL, 0, 0, "false", "", false, binary, "Replies of a validated endpoint are binary frames")   \
    K(error_object, BOOL, 0, 0, "false", "", false, error_object,                                            \
      "Refusals of a validated endpoint also hold the errors as a tree, `errorObject`")

#define CONF_MEANING(name, text) "|" text
#define CONF_MEANINGS            (&(MEANING_TABLE(CONF_MEANING))[1]) /* "none|ready|…" */

#define CONF_MACHINES_MAX  65536
#define CONF_LISTENERS_MAX 32
#define CONF_DIALECTS_MAX  8
#define CONF_TOKENS_MAX    1024
#define CONF_USERS_MAX     1024
#define CONF_JWT_KEYS_MAX  16
#define CONF_PROFILES_MAX  64
#define CONF_ORIGINS_MAX   64
#define CONF_BRIDGES_MAX   16384
#define CONF_HANDLERS_MAX  64
#define CONF_ENDPOINTS_MAX 256

#define CONF_COMMAND_WORD_MAX 4096 /* bytes */
