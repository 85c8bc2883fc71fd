/* conf_env.h — settings that the environment overrides. */
#pragma once

#include "conf_key.h"

#define CONF_ENV_TABLE(E)                                                                                    \
    E("NORIA_RUNTIME_DIR", runtime_dir, 1, "path")                                                           \
    E("WEBSOCKET_MAX_CONNECTIONS", max_connections, 1, "connections")                                        \
    E("WEBSOCKET_PING_INTERVAL", ping_interval_ms, 1000, "seconds")                                          \
    E("WEBSOCKET_PING_TIMEOUT", ping_timeout_ms, 1000, "seconds")

/* Applies them to *draft; an empty variable is none. */
void conf_env_apply(struct conf_draft *draft, struct conf_problems *problems);
