/* conf_env.h — settings that the environment overrides. */
#pragma once

#include "conf_load.h"

/* E(variable, key as a path in the file, how many of the key's units are one of the variable's, the variable's unit) */
#define CONF_ENV_TABLE(E)                                                                                    \
    E("NORIA_RUNTIME_DIR", "runtime_dir", 1, "path")                                                         \
    E("NORIA_STATE_DIR", "state_dir", 1, "path")                                                             \
    E("WEBSOCKET_MAX_CONNECTIONS", "websocket.max_connections", 1, "connections")                            \
    E("WEBSOCKET_PING_INTERVAL", "websocket.ping_interval_ms", 1000, "seconds")                              \
    E("WEBSOCKET_PING_TIMEOUT", "websocket.ping_timeout_ms", 1000, "seconds")

/* Applies them to the draft and notes them in conf.overrides; an empty variable is none. ERR_MEMORY. */
enum err_e conf_env_apply(struct conf_load *load);
