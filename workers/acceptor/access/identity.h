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

const struct identity *identity_get(const struct identity *identity); /* one more reference */
void identity_put(const struct identity **identity); /* one less; NULL is allowed, *identity becomes NULL */

/* For who makes them: `names[g]` with `counts[g]` names, copied; NULL with a count of 0 is none, IDENTITY_ALL everything. NULL: no memory. */
#define IDENTITY_ALL ((const char *const *)1)
struct identity_draft {
    const char *name;
    uint64_t expires_ms;
    const char *const *names[GRANT_COUNT];
    size_t counts[GRANT_COUNT];
};
const struct identity *identity_new(const struct identity_draft *draft);
