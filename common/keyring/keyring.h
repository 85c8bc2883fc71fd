/* keyring.h — the keys of JWTs, out of their files.
 *
 *     auth.keys[] ──────────────▶ file ─┬─▶ HS256: a secret of 32 bytes or more, without the line ends behind it
 *     none: <state_dir>/auth/hs256.key ─┘   RS256: RSA of 2048 bits or more ┐ PEM of the public key,
 *                                           ES256: P-256                    ┘ or of the private one, which signs, too
 *
 * A key is for one algorithm, which the configuration says and nothing else does (RFC 8725, 3.1): a secret that is PEM is refused, since it
 * would be a public key taken for one. Whoever else may read a secret or a private key, or write a public one, makes it
 * worthless: refused, too, with the mode found. Encrypted private keys are refused, because nobody is there to be asked for a password.
 *
 * Without any key configured, one is made once where it is needed (keyring_wanted()), by whichever process comes first: written whole beside its
 * place, then linked there, so that two that come at once have the same key.
 *
 * Asked by workers, and by the launcher and check-config for the same words about the same faults. Blocks on the disk. Secrets are wiped
 * when they are let go.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"
#include "errcode.h"

#define KEYRING_OWN_KID    "hs256"
#define KEYRING_SECRET_MIN 32u   /* bytes: as long as the sum (RFC 7518, 3.2) */
#define KEYRING_RSA_MIN    2048u /* bits (RFC 7518, 3.3) */
#define KEYRING_RSA_MAX    4096u /* so that a token with a long signature still fits a request */
#define KEYRING_FILE_MAX   16384u

struct keyring_key {
    const char *kid;
    enum conf_alg_e alg;
    unsigned char *verify; /* HS256: the secret; else PEM of the public key */
    size_t verify_len;
    unsigned char *sign; /* the same secret; else PEM of the private key; NULL: there is only a public one */
    size_t sign_len;
};

struct keyring {
    struct keyring_key *keys;
    size_t count;
    const struct keyring_key *signer; /* of auth.jwt.sign_with; NULL: no key can sign */
};

/* Somebody may need a key although none is configured: there are users, or a listener speaks channels. */
bool keyring_wanted(const struct conf *conf);

/* All keys, and the one that is made: `make` says whether it is, if it is wanted and not there yet. One that is there already is taken
 * whether it is wanted or not. `conf` must outlive it. ERR_CONFIG, ERR_SYSTEM: `report` received a line for each fault; ERR_MEMORY. */
enum err_e keyring_load(const struct conf *conf, bool make, conf_report_f *report, void *arg,
                        struct keyring **keyring);
void keyring_free(struct keyring **keyring);

const struct keyring_key *keyring_find(const struct keyring *keyring, const char *kid); /* NULL: none */
