/* jwt_text.h — a JWT as text: its three parts, its header, its claims (Hop: C1). Pure but for jansson's memory; any bytes are safe
 * (tests/fuzz/jwt_text_fuzz.c). Nothing here knows whether the signature is good.
 *
 *     HEADER.PAYLOAD.SIGNATURE     base64url to the letter (RFC 7515, 2): no padding, no line ends, no bits behind the last byte
 *
 * Header: an object without a member twice; "alg" a text; "kid" a text or absent; "typ" absent or JWT in any case (libjwt knows no other). Refused,
 * whatever they say: crit, b64 (extensions that nobody here understands must refuse a token, RFC 7515, 4.1.11), jku, x5u, jwk, x5c (keys that
 * the token brings along), zip, enc (no signed token at all).
 *
 * Claims: an object without a member twice; "sub" 1 to 64 bytes of UTF-8 without control characters; "exp", and "nbf" and "iat" if
 * they are there, are numbers from 0 to the end of the year 9999; "iss" a text, "aud" a text or a list of texts; grants (grant.h) a list
 * of at most 256 names of 1 to 128 bytes without control characters, or "*", or ["*"]. Everything else is ignored.
 *
 * Rejected: libjwt's getters, which take a mistyped claim for an absent one, and its parser, for which the last of two members wins.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "grant.h"

#define JWT_TEXT_MAX     4096u /* bytes of a token */
#define JWT_TEXT_SUB_MAX 64u
#define JWT_TEXT_KID_MAX 64u
#define JWT_TEXT_LOGIN   "noria_login" /* claim of those that Noria makes for a user of its own */

struct jwt_text_part {
    const char *at;
    size_t len;
};

struct jwt_text {
    struct jwt_text_part header, payload, signature;
};

/* Exactly two dots: it wants to be a JWT. */
bool jwt_text_looks(const char *token, size_t len);

/* False: not three parts, an empty one, one that is not base64url, or longer than JWT_TEXT_MAX. Points into the token. */
bool jwt_text_split(const char *token, size_t len, struct jwt_text *jwt);

struct jwt_text_header {
    char alg[8]; /* "" if it is longer than any that there is */
    char kid[JWT_TEXT_KID_MAX + 1];
    bool has_kid;
};

/* ERR_OK, ERR_MALFORMED, ERR_MEMORY. */
enum err_e jwt_text_header(const struct jwt_text *jwt, struct jwt_text_header *header);

struct jwt_text_claims {
    json_t *root; /* owns all texts */
    const char *sub;
    uint64_t exp_ms;
    uint64_t nbf_ms, iat_ms; /* 0: absent */
    const char *iss;         /* NULL: absent */
    const json_t *aud;       /* NULL: absent; a text or a list of texts */
    bool login;              /* JWT_TEXT_LOGIN is true */
    bool all[GRANT_COUNT];
    const json_t *lists[GRANT_COUNT]; /* NULL: nothing, or all */
};

/* ERR_OK, then jwt_text_claims_free(); ERR_MALFORMED, ERR_MEMORY. */
enum err_e jwt_text_claims(const struct jwt_text *jwt, struct jwt_text_claims *claims);
void jwt_text_claims_free(struct jwt_text_claims *claims);

/* The token is meant for `audience`. */
bool jwt_text_is_for(const struct jwt_text_claims *claims, const char *audience);
