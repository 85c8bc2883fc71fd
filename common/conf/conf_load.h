/* conf_load.h — one reading of a configuration: what its steps share (conf.c calls them in order). */
#pragma once

#include "conf_key.h"
#include "conf_raw.h"

#define CONF_FILE_MAX  (1u << 20)
#define CONF_FAULT_MAX 200

struct conf_block; /* memory that lives as long as the configuration */

struct conf_owner { /* what a struct conf stands in */
    struct conf_draft draft;
    struct raw_root *raw; /* owns the texts of the file */
    struct conf_block *blocks;
};

struct conf_load {
    struct conf_owner *owner;
    struct conf_problems problems;
    struct conf_outline outline;       /* of the file */
    struct conf_outline seed_outline;  /* of the file of machines */
    struct conf_place *machine_places; /* where each machine stands */
    bool pure;                         /* no other file, no environment */
    const char **warnings;             /* conf.warnings, while they are noted */
    const char **unreadable;           /* conf.unreadable, likewise */
    size_t warnings_lost;              /* beyond the most that are kept */
    const char *seed_text;             /* the file is itself one of machines: its text */
    size_t seed_len;
    const struct conf_copy *copy; /* read instead of the files; NULL: the files */
};

/* A copy (conf_copy_write()) as read: texts without a NUL behind them. */
struct conf_copy {
    char *source, *machines; /* machines NULL: there are none */
    size_t source_len, machines_len;
};

/* Reads both as they belong together, also while they are being replaced. ERR_CONFIG: `fault` says why; ERR_MEMORY. conf_copy_free() in
 * any case. */
enum err_e conf_copy_read(const char *directory, struct conf_copy *copy, char fault[CONF_FAULT_MAX]);
void conf_copy_free(struct conf_copy *copy);

/* Keeps the bytes that the configuration was made from. ERR_MEMORY. */
enum err_e conf_keep_source(struct conf_load *load, const char *text, size_t len);
enum err_e conf_keep_machines(struct conf_load *load, const char *text, size_t len);

static inline struct conf_place conf_root(const struct conf_load *load)
{
    return (struct conf_place){&load->outline, 0};
}

/* `key` below a place; node CONF_NO_NODE: it does not stand there. */
struct conf_place conf_child(struct conf_place place, const char *key);

/* The places of the `count` entries of a list. */
void conf_places(struct conf_place list, size_t count, struct conf_place *places);

/* Zeroed memory that conf_free() frees. NULL: none left. */
void *conf_own(struct conf_owner *owner, size_t bytes);
char *conf_own_text(struct conf_owner *owner, const char *text);

/* Reads a file of at most CONF_FILE_MAX bytes. ERR_CONFIG: `fault` says why; ERR_MEMORY. The text is the caller's to
 * free, also after an error. */
enum err_e conf_read_file(const char *path, char **text, size_t *len, char fault[CONF_FAULT_MAX]);

/* Fills conf from load->owner->raw and checks it. ERR_MEMORY; problems are counted. */
enum err_e conf_fill(struct conf_load *load);

/* The user's profiles, linted (conf_profiles.c). ERR_MEMORY. */
enum err_e conf_fill_profiles(struct conf_load *load);

/* All machines, those of machines_from too (conf_machines.c). ERR_MEMORY. */
enum err_e conf_fill_machines(struct conf_load *load);

/* A list of words, each checked by `element`. ERR_MEMORY. */
enum err_e conf_fill_words(struct conf_load *load, const struct conf_key *element, char **raw, size_t count,
                           struct conf_place list, const char *const **words);

/* The bridges (conf_bridges.c). `machines_known`: nothing was wrong with the machines, so that names can be looked up.
 * ERR_MEMORY. */
enum err_e conf_fill_bridges(struct conf_load *load, bool machines_known);
void conf_look_at_bridges(struct conf_load *load); /* warns if nobody can read them */

/* Tokens, users and keys (conf_auth.c). ERR_MEMORY. */
enum err_e conf_fill_auth(struct conf_load *load);
/* Users of this host only, and listeners of others; places[i]: of listener i. */
void conf_check_login(struct conf_load *load, const struct conf_place *places);
void conf_look_at_auth(struct conf_load *load); /* warns of what nobody asks for, and of names of nothing */

/* Handlers and endpoints (conf_endpoints.c). ERR_MEMORY. */
enum err_e conf_fill_endpoints(struct conf_load *load);
void conf_look_at_endpoints(struct conf_load *load); /* warns of what nobody reaches */

/* Whether the listener has the dialect; *at, unless NULL: where in its list. */
bool conf_speaks(const struct conf_listener *listener, const char *dialect, size_t *at);

/* `name`, or if it is relative, `directory` (`len` bytes with a slash at the end, or none) with it. NULL: no memory. */
char *conf_own_beside(struct conf_owner *owner, const char *directory, size_t len, const char *name);

/* Notes that the file named by `key` cannot be read (conf.unreadable). ERR_MEMORY. */
enum err_e conf_note_unreadable(struct conf_load *load, struct conf_place place, const char *key,
                                const char *file, const char *fault);

/* Notes what is allowed and yet worth a look. Without memory it is not noted. */
__attribute__((format(printf, 4, 5))) void conf_warn(struct conf_load *load, struct conf_place place,
                                                     const char *key, const char *fmt, ...);
