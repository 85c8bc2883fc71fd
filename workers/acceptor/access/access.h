/* access.h — who a token belongs to, and what it lets do (part of Hop C1).
 *
 *     token ─┬─ its SHA-256 is one of auth.tokens ──────────────────────────▶ that principal, for ever
 *            └─ a JWT ─▶ header ─▶ key by `kid` ─▶ signature ─▶ claims ─────▶ `sub`, until `exp`
 *
 * The configuration holds SHA-256 sums of tokens, never tokens; a client's token is hashed and compared with all of them, each in constant
 * time, whether an earlier one matched or not, so that time tells nothing. A token of the configuration is a random text of at least 128 bits (`noria
 * hash-token --new` makes one), so that a plain hash is enough. Rejected: a map keyed by the hash, whose probing depends on the entries;
 * all 1,024 entries that there may be cost 55 µs, once per connection or request.
 *
 * A JWT (RFC 7519, 7515, 8725) is read by us (jwt_text.h) before libjwt sees it, and its signature is checked with the one key that its kid names, for
 * that key's own algorithm: a token whose header says another one is refused unlooked at. Claims count only after that. Which lies are refused,
 * and why libjwt alone would not do: README.md.
 *
 * A token is never logged or kept. Wall time is a parameter. One thread. Blocks on the disk in access_new() only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "conf.h"
#include "errcode.h"
#include "identity.h"
#include "jwt_text.h"

/* Longer tokens are refused unhashed (of the configuration) and unread (JWTs), so that nobody makes a worker chew on a header of 8 KiB. */
#define ACCESS_TOKEN_MAX CONF_TOKEN_MAX
#define ACCESS_JWT_MAX   JWT_TEXT_MAX

/* How far the clock of who made a JWT may be ahead of ours: of nbf and iat, not of exp. */
#define ACCESS_LEEWAY_MS 5000u

struct access;

/* Why a token is refused. R(name, "text") */
#define ACCESS_REFUSALS(R)                                                                                   \
    R(unknown, "of nobody, and no JWT, or there are no keys")                                                \
    R(missing, "NULL or \"\"")                                                                               \
    R(too_long, "above ACCESS_TOKEN_MAX, or for a JWT, ACCESS_JWT_MAX")                                      \
    R(failed, "no memory, or libcrypto could not hash")                                                      \
    R(jwt_malformed, "not three parts of base64url")                                                         \
    R(jwt_header, "a header that is none, or has what is refused")                                           \
    R(jwt_key, "no key has its kid; or no kid, and several keys")                                            \
    R(jwt_algorithm, "an alg that is not the key's: also none")                                              \
    R(jwt_signature, "not signed with that key, or a payload that is no JSON")                               \
    R(jwt_claims, "missing, mistyped, oversized or repeated claims")                                         \
    R(jwt_expired, "exp has passed")                                                                         \
    R(jwt_early, "nbf or iat has not come yet")                                                              \
    R(jwt_issuer, "another iss than configured")                                                             \
    R(jwt_audience, "an aud that is not ours")                                                               \
    R(jwt_user, "made by /auth/login for a user whom the configuration does not have any more")

struct access_counts {
    uint64_t granted;
#define R(name, text) uint64_t name;
    ACCESS_REFUSALS(R)
#undef R
};

/* `conf` and `clock` must outlive it. Reads the keys, and makes one if there has to be one (keyring.h). ERR_MEMORY; ERR_CONFIG,
 * ERR_SYSTEM: a key, or a libcrypto without SHA-256 (logged). */
enum err_e access_new(const struct conf *conf, const struct clock *clock, struct access **access);
void access_free(struct access **access);

/* Whose token it is: a reference, for identity_put(). NULL: refused, and counted. `token` NULL or "": the client brought none. */
const struct identity *access_identify(struct access *access, const char *token);

/* A JWT for a user who has logged in, good for auth.jwt.lifetime_s from now: their grants, signed with auth.jwt.sign_with. ERR_NOT_FOUND:
 * no key can sign; ERR_TOO_LARGE; ERR_MEMORY. Wipe it after use. */
enum err_e access_issue(struct access *access, const struct conf_user *user, char token[ACCESS_JWT_MAX + 1]);

/* A reload: `next`, made for another configuration, takes the place of `before`, whose counters go on in it. */
void access_succeed(struct access *next, const struct access *before);

/* Whether who was let in by another configuration would be let in by this one. It says nothing about time. */
enum access_review_e {
    ACCESS_STANDS,
    ACCESS_GONE, /* the token, the user, or the key that signed is not there any more */
    ACCESS_LESS  /* the token is another principal's now, or lets do less than before */
};
enum access_review_e access_review(const struct access *access, const struct identity *identity);

const struct access_counts *access_counts(const struct access *access);
