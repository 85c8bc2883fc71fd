/* conf_key.h — the table of settings as data: one conf_key per line of conf_table.h, one conf_section per mapping.
 *
 * A value travels: file → libcyaml puts its text (or NULL: not in the file) at `raw_at` of the section's raw structure →
 * conf_section_apply() checks it and writes it, or the default, to `at` of the target structure. Targets: struct
 * conf_draft for the sections of the file, struct conf_machine and struct conf_listener for list entries.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "conf_outline.h"
#include "conf_problem.h"

enum conf_type_e {
    CONF_UINT,
    CONF_POWER2,
    CONF_KIB, /* written in KiB, stored in bytes */
    CONF_PORT,
    CONF_BOOL,
    CONF_CHOICE,      /* stored as the alternative's index */
    CONF_CHOICE_TEXT, /* stored as its text */
    CONF_TEXT,        /* for people: no control characters */
    CONF_NAME,        /* A-Z a-z 0-9 _ . - */
    CONF_ID,          /* machine_id_valid() */
    CONF_WORD,        /* whatever a text may hold */
    CONF_SECRET,      /* an argon2id hash; never quoted, because people put passwords there */
    CONF_PATH,        /* absolute */
    CONF_URL_PATH,    /* of a WebSocket's URL, as it stands in a request */
    CONF_FILE,        /* any file name; the caller resolves it. "" where there is none */
    CONF_SHA256,      /* 64 hexadecimal digits, stored as 32 bytes */
    CONF_ADDRESS,     /* numeric IPv4 or IPv6 */
    CONF_ORIGIN,      /* scheme://host[:port] or null */
    CONF_SECTION,     /* a mapping with its own keys; min 1: it must be there */
    CONF_LIST,        /* a list of such mappings, `min` to `max` */
    CONF_STRINGS      /* a list of words, each as `element` says, `min` to `max` */
};

enum conf_store_e { CONF_STORE_NUMBER, CONF_STORE_CHARS, CONF_STORE_POINTER, CONF_STORE_BYTES };

struct conf_section;

struct conf_key {
    const char *key;
    enum conf_type_e type;
    uint64_t min, max;
    const char *fallback; /* NULL: required; "=…": the target holds it already */
    const char *form;
    bool reloadable;
    const char *text;
    size_t raw_at;
    size_t at, size;
    size_t
        count_at; /* of CONF_STRINGS: where its number stands; `at` is then where the words do, or a struct conf_grant */
    enum conf_store_e store;
    const struct conf_section *section; /* of CONF_SECTION and CONF_LIST */
    const struct conf_key *element;     /* of CONF_STRINGS */
};

struct conf_section {
    const struct conf_key *keys;
    size_t count;
};

/* What the sections of the file fill: the configuration and the machine that all others start from. */
/* A bit of a profile, as it stands in the file. */
struct conf_bit_value {
    const char *text;
    enum meaning_e meaning;
};
struct conf_bit {
    const char *key;
    uint8_t bit;
    struct conf_bit_value zero, one;
};

struct conf_draft {
    struct conf conf;
    struct conf_machine machine;
};

/* Checks `text` against the key and writes its value into *target. False: *target is unchanged. */
bool conf_key_store(const struct conf_key *key, const char *text, void *target);

/* Reports "70000 is not a port (1 to 65535)". */
void conf_key_wrong(const struct conf_key *key, const char *text, uint32_t line, const char *path,
                    struct conf_problems *problems);

/* "a port (1 to 65535)": what conf_key_store() accepts. */
#define CONF_EXPECTED_MAX 200
void conf_key_expected(const struct conf_key *key, char out[CONF_EXPECTED_MAX]);

/* Applies a raw structure to the section's target: what is not in the file receives its default, or is missed if it has
 * none. Lists are left to the caller. */
void conf_section_apply(const struct conf_section *section, const void *raw,
                        const struct conf_outline *outline, uint32_t node, void *target,
                        struct conf_problems *problems);

/* Compares the outline with the table: unknown and repeated keys, and mappings, lists and values in each other's place.
 * False: libcyaml could not read the file (a wrong kind of value, or a list that is too long). */
bool conf_section_check_shape(const struct conf_section *section, const struct conf_outline *outline,
                              uint32_t node, struct conf_problems *problems);
