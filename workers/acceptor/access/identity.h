/* identity.h — who a client is and what it may do, as long as it is connected (part of Hops C1, C2).
 *
 *     token of the configuration ─┐
 *     JWT ────────────────────────┼─▶ identity: name, until when, grants ─▶ a connection, or a request
 *     nobody (an open listener) ──┘
 *
 * A grant is a list of names, or everything; its kinds are grant.h's.
 *
 * Immutable once made; counted references, one thread. A client that needs nothing but the default takes no memory of its own: nobody's and
 * those of the configuration's tokens are shared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grant.h"

#define IDENTITY_NAME_MAX   64u
#define IDENTITY_NEVER      UINT64_MAX
#define IDENTITY_GRANTS_MAX GRANT_NAMES_MAX /* names in one grant; more refuse the token */

struct identity;

const char *identity_name(const struct identity *identity);    /* "" nobody; lives as long as the identity */
uint64_t identity_expires_ms(const struct identity *identity); /* wall clock; IDENTITY_NEVER */
bool identity_may(const struct identity *identity, enum grant_e grant, const char *name, size_t len);
bool identity_may_all(const struct identity *identity, enum grant_e grant); /* whatever the name */
/* The names of a grant that is not everything, sorted by their bytes; *count of them. What another grant implies (grant.h) is not among them. */
const char *const *identity_names(const struct identity *identity, enum grant_e grant, uint32_t *count);

/* Nobody in particular, who may do everything: at listeners that ask for no token. Shared, needs no put. */
const struct identity *identity_nobody(void);

/* What it was made from, so that it can be asked again whether that still holds (access_review()). */
enum identity_source_e {
    IDENTITY_OPEN,  /* nobody */
    IDENTITY_TOKEN, /* a token of the configuration; its id is the beginning of its sum */
    IDENTITY_JWT,   /* its id is a hash of the key that signed it */
    IDENTITY_LOGIN  /* likewise; made by /auth/login for a user of the configuration */
};
enum identity_source_e identity_source(const struct identity *identity);
uint64_t identity_source_id(const struct identity *identity);
/* True if whatever `less` may do, `identity` may do, too. */
bool identity_covers(const struct identity *identity, const struct identity *less);

const struct identity *identity_get(const struct identity *identity); /* one more reference */
void identity_put(const struct identity **identity); /* one less; NULL is allowed, *identity becomes NULL */

/* For who makes them: `names[g]` with `counts[g]` names, copied; NULL with a count of 0 is none, IDENTITY_ALL everything. NULL: no memory. */
#define IDENTITY_ALL ((const char *const *)1)
struct identity_draft {
    const char *name;
    uint64_t expires_ms;
    enum identity_source_e source;
    uint64_t source_id;
    const char *const *names[GRANT_COUNT];
    size_t counts[GRANT_COUNT];
};
const struct identity *identity_new(const struct identity_draft *draft);
