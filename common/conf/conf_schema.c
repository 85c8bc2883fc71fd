/* conf_schema.c — the table of settings (conf_table.h) turned into libcyaml's schema and into struct conf_key, and the
 * one call of libcyaml. */
#include "conf_raw.h"

#include <stdlib.h>

#include <cyaml/cyaml.h>

#include "must.h"

/* --- libcyaml's schema ------------------------------------------------------------------------------------------ */

#define TEXT_FIELD(STRUCT, key_)                                                                             \
    CYAML_FIELD_STRING_PTR(#key_, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, STRUCT, key_, 0, CYAML_UNLIMITED),
#define ROOT_FIELD(key, ...)      TEXT_FIELD(struct raw_root, key)
#define LOG_FIELD(key, ...)       TEXT_FIELD(struct raw_log, key)
#define RING_FIELD(key, ...)      TEXT_FIELD(struct raw_ring, key)
#define WORKERS_FIELD(key, ...)   TEXT_FIELD(struct raw_workers, key)
#define WEBSOCKET_FIELD(key, ...) TEXT_FIELD(struct raw_websocket, key)
#define REST_FIELD(key, ...)      TEXT_FIELD(struct raw_rest, key)
#define SLOW_FIELD(key, ...)      TEXT_FIELD(struct raw_slow_clients, key)
#define JOURNAL_FIELD(key, ...)   TEXT_FIELD(struct raw_journal, key)
#define DATABASE_FIELD(key, ...)  TEXT_FIELD(struct raw_database, key)
#define TOKEN_FIELD(key, ...)     TEXT_FIELD(struct raw_token, key)
#define USER_FIELD(key, ...)      TEXT_FIELD(struct raw_user, key)
#define JWT_KEY_FIELD(key, ...)   TEXT_FIELD(struct raw_jwt_key, key)
#define JWT_FIELD(key, ...)       TEXT_FIELD(struct raw_jwt, key)
#define PROFILE_FIELD(key, ...)   TEXT_FIELD(struct raw_profile, key)
#define BIT_FIELD(key, ...)       TEXT_FIELD(struct raw_bit, key)
#define BIT_VALUE_FIELD(key, ...) TEXT_FIELD(struct raw_bit_value, key)
#define CAROUSEL_FIELD(key, ...)  TEXT_FIELD(struct raw_carousel, key)
#define STREAMS_FIELD(key, ...)   TEXT_FIELD(struct raw_streams, key)
#define SIMULATOR_FIELD(key, ...) TEXT_FIELD(struct raw_simulator, key)
#define TUNE_FIELD(key, ...)      TEXT_FIELD(struct raw_tune, key)
#define LISTENER_FIELD(key, ...)  TEXT_FIELD(struct raw_listener, key)
#define BRIDGE_FIELD(key, ...)    TEXT_FIELD(struct raw_bridge, key)
#define HANDLER_FIELD(key, ...)   TEXT_FIELD(struct raw_handler, key)
#define ENDPOINT_FIELD(key, ...)  TEXT_FIELD(struct raw_endpoint, key)
#define MACHINE_FIELD(key, ...)   TEXT_FIELD(struct raw_machine, key)

#define LIST_FIELD(STRUCT, member, entry, most)                                                              \
    CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, STRUCT, member, entry, 0, most)
#define SUBSECTION_FIELD(STRUCT, member, fields)                                                             \
    CYAML_FIELD_MAPPING(#member, CYAML_FLAG_OPTIONAL, STRUCT, member, fields)
#define SECTION_FIELD(member) SUBSECTION_FIELD(struct raw_root, member, member##_fields)

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED)};

static const cyaml_schema_field_t log_fields[] = {CONF_LOG_KEYS(LOG_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t ring_fields[] = {CONF_RING_KEYS(RING_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t workers_fields[] = {CONF_WORKERS_KEYS(WORKERS_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t websocket_fields[] = {
    CONF_WEBSOCKET_KEYS(WEBSOCKET_FIELD)
        LIST_FIELD(struct raw_websocket, allowed_origins, &text_entry, CONF_ORIGINS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t rest_fields[] = {CONF_REST_KEYS(REST_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t slow_clients_fields[] = {CONF_SLOW_CLIENTS_KEYS(SLOW_FIELD)
                                                               CYAML_FIELD_END};
static const cyaml_schema_field_t journal_fields[] = {CONF_JOURNAL_KEYS(JOURNAL_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t store_fields[] = {CONF_DATABASE_KEYS(DATABASE_FIELD) CYAML_FIELD_END};
#define GRANT_FIELD(STRUCT, NAME, claim)                                                                     \
    CYAML_FIELD_SEQUENCE(claim, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, STRUCT, granted_##NAME,            \
                         &text_entry, 0, GRANT_NAMES_MAX),
#define TOKEN_GRANT_FIELD(NAME, claim, text) GRANT_FIELD(struct raw_token, NAME, claim)
#define USER_GRANT_FIELD(NAME, claim, text)  GRANT_FIELD(struct raw_user, NAME, claim)
static const cyaml_schema_field_t token_fields[] = {CONF_TOKEN_KEYS(TOKEN_FIELD)
                                                        GRANT_TABLE(TOKEN_GRANT_FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t token_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_token, token_fields)};
static const cyaml_schema_field_t user_fields[] = {CONF_USER_KEYS(USER_FIELD) GRANT_TABLE(USER_GRANT_FIELD)
                                                       CYAML_FIELD_END};
static const cyaml_schema_value_t user_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_user, user_fields)};
static const cyaml_schema_field_t jwt_key_fields[] = {CONF_JWT_KEY_KEYS(JWT_KEY_FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t jwt_key_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_jwt_key, jwt_key_fields)};
static const cyaml_schema_field_t jwt_fields[] = {CONF_JWT_KEYS(JWT_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t auth_fields[] = {
    LIST_FIELD(struct raw_auth, tokens, &token_entry, CONF_TOKENS_MAX),
    LIST_FIELD(struct raw_auth, users, &user_entry, CONF_USERS_MAX),
    LIST_FIELD(struct raw_auth, keys, &jwt_key_entry, CONF_JWT_KEYS_MAX),
    SUBSECTION_FIELD(struct raw_auth, jwt, jwt_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t carousel_fields[] = {CONF_CAROUSEL_KEYS(CAROUSEL_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t streams_fields[] = {CONF_STREAMS_KEYS(STREAMS_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t simulator_fields[] = {CONF_SIMULATOR_KEYS(SIMULATOR_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t machine_defaults_fields[] = {CONF_TUNE_KEYS(TUNE_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t listener_fields[] = {
    CONF_LISTENER_KEYS(LISTENER_FIELD)
        LIST_FIELD(struct raw_listener, dialects, &text_entry, CONF_DIALECTS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t bit_value_fields[] = {CONF_BIT_VALUE_KEYS(BIT_VALUE_FIELD) CYAML_FIELD_END};
static const cyaml_schema_field_t bit_fields[] = {
    CONF_BIT_KEYS(BIT_FIELD) SUBSECTION_FIELD(struct raw_bit, zero, bit_value_fields),
    SUBSECTION_FIELD(struct raw_bit, one, bit_value_fields),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t bit_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_bit, bit_fields)};
static const cyaml_schema_field_t profile_fields[] = {
    CONF_PROFILE_KEYS(PROFILE_FIELD) LIST_FIELD(struct raw_profile, bits, &bit_entry, PROFILE_BITS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t profile_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_profile, profile_fields)};
static const cyaml_schema_field_t machine_fields[] = {CONF_MACHINE_KEYS(MACHINE_FIELD)
                                                          CONF_TUNE_KEYS(MACHINE_FIELD) CYAML_FIELD_END};

static const cyaml_schema_field_t bridge_fields[] = {
    CONF_BRIDGE_KEYS(BRIDGE_FIELD) LIST_FIELD(struct raw_bridge, machines, &text_entry, CONF_MACHINES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t handler_fields[] = {
    CONF_HANDLER_KEYS(HANDLER_FIELD)
        LIST_FIELD(struct raw_handler, command, &text_entry, CONF_COMMAND_WORDS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_field_t endpoint_fields[] = {CONF_ENDPOINT_KEYS(ENDPOINT_FIELD) CYAML_FIELD_END};

static const cyaml_schema_value_t handler_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_handler, handler_fields)};
static const cyaml_schema_value_t endpoint_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_endpoint, endpoint_fields)};
static const cyaml_schema_value_t bridge_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_bridge, bridge_fields)};
static const cyaml_schema_value_t listener_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_listener, listener_fields)};
static const cyaml_schema_value_t machine_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_machine, machine_fields)};

static const cyaml_schema_field_t root_fields[] = {
    CONF_ROOT_KEYS(ROOT_FIELD) SECTION_FIELD(log),
    SECTION_FIELD(ring),
    SECTION_FIELD(workers),
    SECTION_FIELD(websocket),
    SECTION_FIELD(rest),
    SECTION_FIELD(slow_clients),
    SECTION_FIELD(journal),
    SECTION_FIELD(store),
    SECTION_FIELD(auth),
    SECTION_FIELD(carousel),
    SECTION_FIELD(streams),
    SECTION_FIELD(simulator),
    SECTION_FIELD(machine_defaults),
    LIST_FIELD(struct raw_root, listeners, &listener_entry, CONF_LISTENERS_MAX),
    LIST_FIELD(struct raw_root, profiles, &profile_entry, CONF_PROFILES_MAX),
    LIST_FIELD(struct raw_root, machines, &machine_entry, CONF_MACHINES_MAX),
    LIST_FIELD(struct raw_root, bridges, &bridge_entry, CONF_BRIDGES_MAX),
    LIST_FIELD(struct raw_root, handlers, &handler_entry, CONF_HANDLERS_MAX),
    LIST_FIELD(struct raw_root, endpoints, &endpoint_entry, CONF_ENDPOINTS_MAX),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t root_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_root, root_fields)};

/* --- the same as struct conf_key -------------------------------------------------------------------------------- */

#define STORE_OF(TARGET, member)                                                                             \
    _Generic(((TARGET *)NULL)->member, char * : CONF_STORE_CHARS, const char * : CONF_STORE_POINTER,         \
             unsigned char * : CONF_STORE_BYTES, default : CONF_STORE_NUMBER)
#define KEY_OF(RAW, TARGET, key_, TYPE, low, high, default_, form_, reload_, target_, text_)                 \
    {.key = #key_,                                                                                           \
     .type = CONF_##TYPE,                                                                                    \
     .min = low,                                                                                             \
     .max = high,                                                                                            \
     .fallback = default_,                                                                                   \
     .form = form_,                                                                                          \
     .reloadable = reload_,                                                                                  \
     .text = text_,                                                                                          \
     .raw_at = offsetof(RAW, key_),                                                                          \
     .at = offsetof(TARGET, target_),                                                                        \
     .size = sizeof(((TARGET *)NULL)->target_),                                                              \
     .store = STORE_OF(TARGET, target_)},
#define ROOT_KEY(...)      KEY_OF(struct raw_root, struct conf_draft, __VA_ARGS__)
#define LOG_KEY(...)       KEY_OF(struct raw_log, struct conf_draft, __VA_ARGS__)
#define RING_KEY(...)      KEY_OF(struct raw_ring, struct conf_draft, __VA_ARGS__)
#define WORKERS_KEY(...)   KEY_OF(struct raw_workers, struct conf_draft, __VA_ARGS__)
#define WEBSOCKET_KEY(...) KEY_OF(struct raw_websocket, struct conf_draft, __VA_ARGS__)
#define REST_KEY(...)      KEY_OF(struct raw_rest, struct conf_draft, __VA_ARGS__)
#define SLOW_KEY(...)      KEY_OF(struct raw_slow_clients, struct conf_draft, __VA_ARGS__)
#define JOURNAL_KEY(...)   KEY_OF(struct raw_journal, struct conf_draft, __VA_ARGS__)
#define DATABASE_KEY(...)  KEY_OF(struct raw_database, struct conf_draft, __VA_ARGS__)
#define TOKEN_KEY(...)     KEY_OF(struct raw_token, struct conf_token, __VA_ARGS__)
#define USER_KEY(...)      KEY_OF(struct raw_user, struct conf_user, __VA_ARGS__)
#define JWT_KEY_KEY(...)   KEY_OF(struct raw_jwt_key, struct conf_jwt_key, __VA_ARGS__)
#define JWT_KEY(...)       KEY_OF(struct raw_jwt, struct conf_draft, __VA_ARGS__)
#define PROFILE_KEY(...)   KEY_OF(struct raw_profile, struct profile, __VA_ARGS__)
#define BIT_KEY(...)       KEY_OF(struct raw_bit, struct conf_bit, __VA_ARGS__)
#define BIT_VALUE_KEY(...) KEY_OF(struct raw_bit_value, struct conf_bit_value, __VA_ARGS__)
#define CAROUSEL_KEY(...)  KEY_OF(struct raw_carousel, struct conf_draft, __VA_ARGS__)
#define STREAMS_KEY(...)   KEY_OF(struct raw_streams, struct conf_draft, __VA_ARGS__)
#define SIMULATOR_KEY(...) KEY_OF(struct raw_simulator, struct conf_draft, __VA_ARGS__)
#define TUNE_KEY(...)      KEY_OF(struct raw_tune, struct conf_machine, __VA_ARGS__)
#define LISTENER_KEY(...)  KEY_OF(struct raw_listener, struct conf_listener, __VA_ARGS__)
#define BRIDGE_KEY(...)    KEY_OF(struct raw_bridge, struct conf_bridge, __VA_ARGS__)
#define HANDLER_KEY(...)   KEY_OF(struct raw_handler, struct conf_handler, __VA_ARGS__)
#define ENDPOINT_KEY(...)  KEY_OF(struct raw_endpoint, struct conf_endpoint, __VA_ARGS__)
#define MACHINE_KEY(...)   KEY_OF(struct raw_machine, struct conf_machine, __VA_ARGS__)
#define MACHINE_TUNE_KEY(key, type, low, high, default_, ...)                                                \
    MACHINE_KEY(key, type, low, high, "=machine_defaults." #key, __VA_ARGS__)

#define SECTION_OF(name)                                                                                     \
    {                                                                                                        \
        name##_keys, ARRAY_LEN(name##_keys)                                                                  \
    }

static const struct conf_key log_keys[] = {CONF_LOG_KEYS(LOG_KEY)};
static const struct conf_key ring_keys[] = {CONF_RING_KEYS(RING_KEY)};
static const struct conf_key workers_keys[] = {CONF_WORKERS_KEYS(WORKERS_KEY)};
static const struct conf_key rest_keys[] = {CONF_REST_KEYS(REST_KEY)};
static const struct conf_key slow_clients_keys[] = {CONF_SLOW_CLIENTS_KEYS(SLOW_KEY)};
static const struct conf_key journal_keys[] = {CONF_JOURNAL_KEYS(JOURNAL_KEY)};
static const struct conf_key store_keys[] = {CONF_DATABASE_KEYS(DATABASE_KEY)};
static const struct conf_key carousel_keys[] = {CONF_CAROUSEL_KEYS(CAROUSEL_KEY)};
static const struct conf_key streams_keys[] = {CONF_STREAMS_KEYS(STREAMS_KEY)};
static const struct conf_key simulator_keys[] = {CONF_SIMULATOR_KEYS(SIMULATOR_KEY)};
static const struct conf_key tune_keys[] = {CONF_TUNE_KEYS(TUNE_KEY)};
static const struct conf_key bit_value_keys[] = {CONF_BIT_VALUE_KEYS(BIT_VALUE_KEY)};
static const struct conf_key endpoint_keys[] = {CONF_ENDPOINT_KEYS(ENDPOINT_KEY)};
static const struct conf_key machine_keys[] = {CONF_MACHINE_KEYS(MACHINE_KEY)
                                                   CONF_TUNE_KEYS(MACHINE_TUNE_KEY)};

const struct conf_key conf_origin_key = {
    .type = CONF_ORIGIN, .min = 1, .max = 255, .size = sizeof(char *), .store = CONF_STORE_POINTER};
const struct conf_key conf_dialect_key = {
    .type = CONF_CHOICE_TEXT, .form = CONF_DIALECTS, .size = sizeof(char *), .store = CONF_STORE_POINTER};
const struct conf_key conf_bridge_machine_key = {
    .type = CONF_ID, .min = 1, .max = MACHINE_ID_MAX, .size = sizeof(char *), .store = CONF_STORE_POINTER};
const struct conf_key conf_command_word_key = {.type = CONF_WORD,
                                               .min = 0,
                                               .max = CONF_COMMAND_WORD_MAX,
                                               .size = sizeof(char *),
                                               .store = CONF_STORE_POINTER};

#define LIST_OF(STRUCT, member, section_, least, most, text_)                                                \
    {                                                                                                        \
        .key = #member, .type = CONF_LIST, .min = least, .max = most, .raw_at = offsetof(STRUCT, member),    \
        .section = section_, .text = text_                                                                   \
    }
#define WORDS_OF(STRUCT, member, TARGET, words, number, element_, least, most, default_, reload_, text_)     \
    {                                                                                                        \
        .key = #member, .type = CONF_STRINGS, .min = least, .max = most, .fallback = default_, .form = "",   \
        .reloadable = reload_, .raw_at = offsetof(STRUCT, member), .at = offsetof(TARGET, words),            \
        .count_at = offsetof(TARGET, number), .element = element_, .text = text_                             \
    }
#define SECTION_IN(STRUCT, member, section_, least, at_, text_)                                              \
    {                                                                                                        \
        .key = #member, .type = CONF_SECTION, .min = least, .raw_at = offsetof(STRUCT, member), .at = at_,   \
        .section = section_, .text = text_                                                                   \
    }

static const struct conf_key websocket_keys[] = {
    CONF_WEBSOCKET_KEYS(WEBSOCKET_KEY)
        WORDS_OF(struct raw_websocket, allowed_origins, struct conf_draft, conf.allowed_origins,
                 conf.allowed_origin_count, &conf_origin_key, 0, CONF_ORIGINS_MAX, "[]", true,
                 "Origins of web pages that may connect, beside the same host and loopback"),
};
static const struct conf_key listener_keys[] = {
    CONF_LISTENER_KEYS(LISTENER_KEY)
        WORDS_OF(struct raw_listener, dialects, struct conf_listener, dialects, dialect_count,
                 &conf_dialect_key, 1, CONF_DIALECTS_MAX, "[carousel]", false,
                 "What is spoken on it; a WebSocket goes to the first that serves its path"),
};

static const struct conf_key bridge_keys[] = {
    CONF_BRIDGE_KEYS(BRIDGE_KEY) WORDS_OF(struct raw_bridge, machines, struct conf_bridge, machines,
                                          machine_count, &conf_bridge_machine_key, 1, CONF_MACHINES_MAX,
                                          "=all of them", true, "Ids of the machines, also of machines_from"),
};

static const struct conf_key handler_keys[] = {
    CONF_HANDLER_KEYS(HANDLER_KEY) WORDS_OF(
        struct raw_handler, command, struct conf_handler, command, command_count, &conf_command_word_key, 1,
        CONF_COMMAND_WORDS_MAX, "", false,
        "Program and arguments, passed as they are, in this file's directory. A program with a slash "
        "is relative to that directory; without one it is looked up in PATH"),
};

const struct conf_key conf_granted_key = {
    .type = CONF_TEXT, .min = 1, .max = STREAM_ID_MAX, .size = sizeof(char *), .store = CONF_STORE_POINTER};

#define GRANT_KEY(STRUCT, TARGET, NAME, claim, text_)                                                        \
    {.key = claim,                                                                                           \
     .type = CONF_STRINGS,                                                                                   \
     .max = GRANT_NAMES_MAX,                                                                                 \
     .fallback = "=all of them",                                                                             \
     .form = "",                                                                                             \
     .reloadable = true,                                                                                     \
     .raw_at = offsetof(STRUCT, granted_##NAME),                                                             \
     .at = offsetof(TARGET, grants[GRANT_##NAME]),                                                           \
     .element = &conf_granted_key,                                                                           \
     .text = "Names of " text_},
#define TOKEN_GRANT_KEY(NAME, claim, text) GRANT_KEY(struct raw_token, struct conf_token, NAME, claim, text)
#define USER_GRANT_KEY(NAME, claim, text)  GRANT_KEY(struct raw_user, struct conf_user, NAME, claim, text)
static const struct conf_key token_keys[] = {CONF_TOKEN_KEYS(TOKEN_KEY) GRANT_TABLE(TOKEN_GRANT_KEY)};
static const struct conf_key user_keys[] = {CONF_USER_KEYS(USER_KEY) GRANT_TABLE(USER_GRANT_KEY)};
static const struct conf_key jwt_key_keys[] = {CONF_JWT_KEY_KEYS(JWT_KEY_KEY)};
static const struct conf_key jwt_keys[] = {CONF_JWT_KEYS(JWT_KEY)};

static const struct conf_section log_section = SECTION_OF(log), ring_section = SECTION_OF(ring),
                                 workers_section = SECTION_OF(workers),
                                 websocket_section = SECTION_OF(websocket), rest_section = SECTION_OF(rest),
                                 slow_clients_section = SECTION_OF(slow_clients),
                                 journal_section = SECTION_OF(journal), store_section = SECTION_OF(store),
                                 carousel_section = SECTION_OF(carousel),
                                 streams_section = SECTION_OF(streams),
                                 simulator_section = SECTION_OF(simulator), tune_section = SECTION_OF(tune),
                                 bit_value_section = SECTION_OF(bit_value), jwt_section = SECTION_OF(jwt);
const struct conf_section conf_listener_section = SECTION_OF(listener);
const struct conf_section conf_machine_section = SECTION_OF(machine);
const struct conf_section conf_token_section = SECTION_OF(token);
const struct conf_section conf_user_section = SECTION_OF(user);
const struct conf_section conf_jwt_key_section = SECTION_OF(jwt_key);
const struct conf_section conf_bridge_section = SECTION_OF(bridge);
const struct conf_section conf_handler_section = SECTION_OF(handler);
const struct conf_section conf_endpoint_section = SECTION_OF(endpoint);

static const struct conf_key auth_keys[] = {
    LIST_OF(
        struct raw_auth, tokens, &conf_token_section, 0, CONF_TOKENS_MAX,
        "Tokens that never expire. `noria hash-token --new` makes a token and its line. What each may do is "
        "listed by kind; without a list, and with `[\"*\"]`, everything of its kind."),
    LIST_OF(
        struct raw_auth, users, &conf_user_section, 0, CONF_USERS_MAX,
        "Who may log in at `POST /auth/login`, on listeners with the dialect `channels`, for a token that "
        "expires. The lists are as those of auth.tokens[]."),
    LIST_OF(
        struct raw_auth, keys, &conf_jwt_key_section, 0, CONF_JWT_KEYS_MAX,
        "Keys of JWTs: with which those of others are verified, and those of `/auth/login` signed. Files are "
        "relative to this file's directory. Without any, one HS256 key with the kid `hs256` is made, once, "
        "in "
        "`auth/hs256.key` below state_dir, if there are users or a listener has the dialect `channels`."),
    SECTION_IN(struct raw_auth, jwt, &jwt_section, 0, 0, "What is asked of JWTs."),
};
static const struct conf_section auth_section = SECTION_OF(auth);

static const struct conf_key bit_keys[] = {
    CONF_BIT_KEYS(BIT_KEY) SECTION_IN(struct raw_bit, zero, &bit_value_section, 1,
                                      offsetof(struct conf_bit, zero), "What the bit says when it is 0."),
    SECTION_IN(struct raw_bit, one, &bit_value_section, 1, offsetof(struct conf_bit, one),
               "What the bit says when it is 1."),
};
const struct conf_section conf_bit_section = SECTION_OF(bit);

static const struct conf_key profile_keys[] = {
    CONF_PROFILE_KEYS(PROFILE_KEY) LIST_OF(struct raw_profile, bits, &conf_bit_section, 1, PROFILE_BITS_MAX,
                                           "The bits it knows, in the order of their keys in `status`."),
};
const struct conf_section conf_profile_section = SECTION_OF(profile);

#define SUBSECTION(member, section_, at_, text_) SECTION_IN(struct raw_root, member, section_, 0, at_, text_)
#define SUBLIST(member, section_, most, text_)   LIST_OF(struct raw_root, member, section_, 0, most, text_)

static const struct conf_key root_keys[] = {
    CONF_ROOT_KEYS(ROOT_KEY) SUBSECTION(log, &log_section, 0, "Logging."),
    SUBSECTION(ring, &ring_section, 0, "The shared ring."),
    SUBSECTION(workers, &workers_section, 0, "The processes that serve clients."),
    SUBSECTION(websocket, &websocket_section, 0, "Limits of every WebSocket connection."),
    SUBSECTION(rest, &rest_section, 0, "Limits of the REST API."),
    SUBSECTION(
        slow_clients, &slow_clients_section, 0,
        "Clients that do not read what they are owed: how much of results, completions and events waits for "
        "one of them. States never wait: such a client gets the newest state of each machine."),
    SUBSECTION(
        journal, &journal_section, 0,
        "What each agent writes down below state_dir before it moves a machine, and what became of it. "
        "`noria audit` shows and verifies it."),
    SUBSECTION(
        store, &store_section, 0,
        "What noria-store keeps in `store/noria.db` below state_dir; it runs if a listener has the dialect "
        "`channels`. A change and its event are one transaction, on the disk before it is answered. `noria "
        "backup` copies it while it runs."),
    SUBSECTION(auth, &auth_section, 0, "Who may connect."),
    SUBSECTION(carousel, &carousel_section, 0, "The carousel dialect."),
    SUBSECTION(streams, &streams_section, 0, "The streams dialect."),
    SUBSECTION(simulator, &simulator_section, 0, "Machines with `simulator: true`."),
    SUBSECTION(machine_defaults, &tune_section, offsetof(struct conf_draft, machine),
               "What holds for every machine that does not say otherwise, also for those of machines_from."),
    SUBLIST(listeners, &conf_listener_section, CONF_LISTENERS_MAX, "Where clients connect."),
    SUBLIST(profiles, &conf_profile_section, CONF_PROFILES_MAX,
            "Own profiles: what the bits of a PLC's status byte mean. `noria profile NAME -c FILE` prints "
            "one's table."),
    SUBLIST(machines, &conf_machine_section, CONF_MACHINES_MAX,
            "The machines. The keys of machine_defaults may stand here too, for one machine."),
    SUBLIST(
        bridges, &conf_bridge_section, CONF_BRIDGES_MAX,
        "What machines say, copied to streams: the JSON of the carousel dialect without `seq`. A machine's "
        "states (results, events) go to at most 16 streams; whoever has opened several of them gets each "
        "message once."),
    SUBLIST(handlers, &conf_handler_section, CONF_HANDLERS_MAX,
            "Programs of yours that answer what clients send to endpoints. Each has either `command`, which "
            "`noria up` starts and keeps, or `socket`."),
    SUBLIST(endpoints, &conf_endpoint_section, CONF_ENDPOINTS_MAX,
            "Paths whose messages go to a handler, on every listener with the dialect `endpoints`; another "
            "path is refused with 404. Files are relative to this file's directory."),
};
const struct conf_section conf_root_section = SECTION_OF(root);

/* --- the call --------------------------------------------------------------------------------------------------- */

struct block { /* before what libcyaml sees */
    size_t capacity;
    _Alignas(16) char data[];
};

/* libcyaml lengthens a list by one entry at a time; growing by half keeps that linear with every allocator (with ASan's,
 * a list of 50,000 entries took two minutes). */
static void *grow(void *ctx, void *data, size_t size)
{
    (void)ctx;
    struct block *block = data != NULL ? (void *)((char *)data - offsetof(struct block, data)) : NULL;
    if (size == 0) {
        free(block);
        return NULL;
    }
    size_t capacity = block != NULL ? block->capacity : 0;
    if (size <= capacity)
        return data;
    capacity = size > capacity + capacity / 2 ? size : capacity + capacity / 2;
    block = realloc(block, sizeof *block + capacity);
    if (block == NULL)
        return NULL;
    block->capacity = capacity;
    return block->data;
}

static const cyaml_config_t config = {
    .mem_fn = grow,
    .log_level = CYAML_LOG_ERROR,
    .flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_IGNORE_UNKNOWN_KEYS, /* both reported already, with their lines */
};

enum err_e conf_raw_load(const char *text, size_t len, struct raw_root **root)
{
    cyaml_data_t *data = NULL;
    cyaml_err_t err = cyaml_load_data((const uint8_t *)text, len, &config, &root_value, &data, NULL);
    if (err != CYAML_OK)
        return err == CYAML_ERR_OOM ? ERR_MEMORY : ERR_MALFORMED;
    *root = data;
    return data != NULL ? ERR_OK : ERR_MALFORMED;
}

void conf_raw_free(struct raw_root **root)
{
    if (*root != NULL)
        cyaml_free(&config, &root_value, *root, 0);
    *root = NULL;
}
