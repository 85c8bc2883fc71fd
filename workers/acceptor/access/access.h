/* access.h — who a token belongs to (part of Hop C1).
 *
 * The configuration holds SHA-256 sums of tokens, never tokens; a client's token is hashed and compared with all of
 * them. A token is a random text of at least 128 bits (`noria hash-token --new` makes one), so that a plain hash is
 * enough: there is nothing to guess, and each look-up costs the same small time. Passwords come with the login issue
 * and are not kept this way.
 *
 * Time tells nothing: every entry is compared, each in constant time, whether an earlier one matched or not. A token is
 * never logged or kept. No I/O, no clock; one thread. Rejected: a map keyed by the hash, whose probing depends on the
 * entries; all 1,024 entries that there may be cost 55 µs, once per connection or request.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf.h"
#include "errcode.h"
#include "identity.h"

/* Longer tokens are refused unhashed, so that nobody makes a worker hash a header of 8 KiB. */
#define ACCESS_TOKEN_MAX CONF_TOKEN_MAX

struct access;

struct access_counts {
    uint64_t granted;
    uint64_t unknown;  /* tokens of nobody */
    uint64_t missing;  /* NULL or "" */
    uint64_t too_long; /* above ACCESS_TOKEN_MAX */
    uint64_t failed;   /* libcrypto could not hash: refused */
};

/* `conf` must outlive it. ERR_MEMORY; ERR_SYSTEM: libcrypto has no SHA-256 (logged). */
enum err_e access_new(const struct conf *conf, struct access **access);
void access_free(struct access **access);

/* Whose token it is: a reference, for identity_put(). NULL: refused, and counted. `token` NULL or "": the client brought none. */
const struct identity *access_identify(struct access *access, const char *token);

const struct access_counts *access_counts(const struct access *access);
