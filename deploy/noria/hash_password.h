/* hash_password.h — `noria hash-password`: what auth.users[].password holds, made from a password. */
#pragma once

#include <stdio.h>

/* OWASP's least for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane; about 30 ms of one core. */
#define HASH_PASSWORD_KIB    19456u
#define HASH_PASSWORD_PASSES 2u
#define HASH_PASSWORD_LANES  1u

#define HASH_PASSWORD_MAX 1024u /* bytes */

/* The first line of `in`, without its end; a terminal is asked twice, without echo. Prints `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH` and a line end.
 * Returns an exit code; problems go to `err`. */
int hash_password(FILE *in, FILE *out, FILE *err);
