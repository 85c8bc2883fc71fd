/* hash_token.h — `noria hash-token`: the line of the configuration that lets a token in. */
#pragma once

#include <stdio.h>

/* Reads a token from `in` (one line, at most CONF_TOKEN_MAX bytes; the line's end does not belong to it), or makes a
 * random one if `in` is NULL, and prints "- {principal: NAME, sha256: HEX}" for auth.tokens to `out`. A new token is
 * printed before it, as a comment; it is kept nowhere. Complaints go to `err`. Returns the exit code. */
int hash_token(const char *principal, FILE *in, FILE *out, FILE *err);
