/* login.h — POST /auth/login: a name and a password for a token (Hop: C1). README.md is its protocol page.
 *
 *     request ─▶ form or JSON ─▶ tries left, of the address and of the name ─▶ argon2id, in a thread ─▶ access_issue() ─▶ 200
 *                    └─ 422                    └─ 429 + Retry-After         │     (2 at once, 16 wait, else 429)
 *                                                                          └─ wrong, unknown, not from here: 401, after the same time
 *
 * A password is checked in libuv's thread pool and never on the loop: one check takes as long as the loop may not stand still, and as much
 * memory as the hash says. A name that nobody has is checked against a hash of nothing, of the cost of the dearest user's, so that
 * time does not tell who there is. A success gives back the tries that it took: who knows the password is not limited by others behind
 * the same proxy.
 *
 * Passwords are wiped where they stood, never logged, and neither are names that nobody has: people type passwords there.
 * One thread but for the check itself, which touches its own memory only.
 */
#pragma once

#include <stdint.h>

#include "access.h"
#include "clock.h"
#include "conf.h"
#include "errcode.h"
#include "http.h"

#define LOGIN_USERNAME_MAX 64u   /* characters */
#define LOGIN_PASSWORD_MAX 1024u /* characters */
#define LOGIN_BODY_MAX     8192u /* bytes */

#define LOGIN_AT_ONCE   2u
#define LOGIN_QUEUE_MAX 16u

/* Of an address (IPv6: of a /64) and of a name: so many tries at once, then one each so many ms. */
#define LOGIN_BURST     10u
#define LOGIN_REFILL_MS 6000u

struct login;

struct login_config {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct conf *conf;
    struct access *access; /* all of them outlive it, or the next login_set() */
};

enum err_e login_new(const struct login_config *config, struct login **login); /* ERR_MEMORY */

/* After http_free(): nobody waits any more. What runs in a thread runs on, and its memory goes when the loop hears of its end. */
void login_free(struct login **login);

/* A reload: another configuration and what belongs to it. An attempt under way is decided by it: whose user is gone, or has another
 * password, is refused. */
void login_set(struct login *login, const struct conf *conf, struct access *access);

const struct http_api *login_api(const struct login *login);

struct login_counts {
    uint64_t granted, refused;  /* 200, 401 */
    uint64_t invalid;           /* 422, and other bodies that are none */
    uint64_t limited;           /* 429: no tries left */
    uint64_t full;              /* 429: too many at once */
    uint64_t failed;            /* 503: no memory, nothing to sign with */
    uint64_t checking, waiting; /* now */
};
const struct login_counts *login_counts(const struct login *login);
