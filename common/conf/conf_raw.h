/* conf_raw.h — what libcyaml fills: every value is a text, or NULL where the file has none.
 *
 * Texts, because libcyaml's own numbers and truths are too lenient for a machine's settings: it reads "12abc" as 12, -1 as
 * a huge unsigned number and any unknown word as true. conf_key.c reads them strictly, and names the line.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf_key.h"
#include "conf_table.h"

#define CONF_RAW_MEMBER(key, ...) char *key;
#define CONF_RAW_GRANT(NAME, ...)                                                                            \
    char **granted_##NAME;                                                                                   \
    uint32_t granted_##NAME##_count;

struct raw_log {
    CONF_LOG_KEYS(CONF_RAW_MEMBER)
};
struct raw_ring {
    CONF_RING_KEYS(CONF_RAW_MEMBER)
};
struct raw_workers {
    CONF_WORKERS_KEYS(CONF_RAW_MEMBER)
};
struct raw_websocket {
    CONF_WEBSOCKET_KEYS(CONF_RAW_MEMBER)
    char **allowed_origins;
    uint32_t allowed_origins_count;
};
struct raw_rest {
    CONF_REST_KEYS(CONF_RAW_MEMBER)
};
struct raw_slow_clients {
    CONF_SLOW_CLIENTS_KEYS(CONF_RAW_MEMBER)
};
struct raw_journal {
    CONF_JOURNAL_KEYS(CONF_RAW_MEMBER)
};
struct raw_database {
    CONF_DATABASE_KEYS(CONF_RAW_MEMBER)
};
struct raw_token {
    CONF_TOKEN_KEYS(CONF_RAW_MEMBER)
    GRANT_TABLE(CONF_RAW_GRANT)
};
struct raw_user {
    CONF_USER_KEYS(CONF_RAW_MEMBER)
    GRANT_TABLE(CONF_RAW_GRANT)
};
struct raw_jwt_key {
    CONF_JWT_KEY_KEYS(CONF_RAW_MEMBER)
};
struct raw_jwt {
    CONF_JWT_KEYS(CONF_RAW_MEMBER)
};
struct raw_auth {
    struct raw_token *tokens;
    uint32_t tokens_count;
    struct raw_user *users;
    uint32_t users_count;
    struct raw_jwt_key *keys;
    uint32_t keys_count;
    struct raw_jwt jwt;
};
struct raw_carousel {
    CONF_CAROUSEL_KEYS(CONF_RAW_MEMBER)
};
struct raw_streams {
    CONF_STREAMS_KEYS(CONF_RAW_MEMBER)
};
struct raw_simulator {
    CONF_SIMULATOR_KEYS(CONF_RAW_MEMBER)
};
struct raw_tune {
    CONF_TUNE_KEYS(CONF_RAW_MEMBER)
};
struct raw_listener {
    CONF_LISTENER_KEYS(CONF_RAW_MEMBER)
    char **dialects;
    uint32_t dialects_count;
};
struct raw_machine {
    CONF_MACHINE_KEYS(CONF_RAW_MEMBER)
    CONF_TUNE_KEYS(CONF_RAW_MEMBER)
};
struct raw_bit_value {
    CONF_BIT_VALUE_KEYS(CONF_RAW_MEMBER)
};
struct raw_bit {
    CONF_BIT_KEYS(CONF_RAW_MEMBER)
    struct raw_bit_value zero, one;
};
struct raw_profile {
    CONF_PROFILE_KEYS(CONF_RAW_MEMBER)
    struct raw_bit *bits;
    uint32_t bits_count;
};
struct raw_bridge {
    CONF_BRIDGE_KEYS(CONF_RAW_MEMBER)
    char **machines;
    uint32_t machines_count;
};
struct raw_handler {
    CONF_HANDLER_KEYS(CONF_RAW_MEMBER)
    char **command;
    uint32_t command_count;
};
struct raw_endpoint {
    CONF_ENDPOINT_KEYS(CONF_RAW_MEMBER)
};
struct raw_root {
    CONF_ROOT_KEYS(CONF_RAW_MEMBER)
    struct raw_log log;
    struct raw_ring ring;
    struct raw_workers workers;
    struct raw_websocket websocket;
    struct raw_rest rest;
    struct raw_slow_clients slow_clients;
    struct raw_journal journal;
    struct raw_database store;
    struct raw_auth auth;
    struct raw_carousel carousel;
    struct raw_streams streams;
    struct raw_simulator simulator;
    struct raw_tune machine_defaults;
    struct raw_listener *listeners;
    uint32_t listeners_count;
    struct raw_profile *profiles;
    uint32_t profiles_count;
    struct raw_machine *machines;
    uint32_t machines_count;
    struct raw_bridge *bridges;
    uint32_t bridges_count;
    struct raw_handler *handlers;
    uint32_t handlers_count;
    struct raw_endpoint *endpoints;
    uint32_t endpoints_count;
};

extern const struct conf_section conf_root_section, conf_listener_section, conf_machine_section,
    conf_token_section, conf_user_section, conf_jwt_key_section, conf_profile_section, conf_bit_section,
    conf_bridge_section, conf_handler_section, conf_endpoint_section;
extern const struct conf_key conf_origin_key, conf_dialect_key, conf_command_word_key, conf_granted_key,
    conf_bridge_machine_key; /* one value of the lists of words */

/* Fills *root from a text whose shape was checked (conf_section_check_shape()). ERR_MEMORY, ERR_MALFORMED. */
enum err_e conf_raw_load(const char *text, size_t len, struct raw_root **root);
void conf_raw_free(struct raw_root **root);
