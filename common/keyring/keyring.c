/* keyring.c — see keyring.h. */
#include "keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyring_internal.h"
#include "must.h"

struct loading {
    const struct conf *conf;
    struct keyring *keyring;
    conf_report_f *report;
    void *arg;
};

bool keyring_wanted(const struct conf *conf)
{
    return conf->user_count > 0 || conf_serves(conf, "channels");
}

/* "noria.yaml: auth.keys: /etc/noria/hs.key is 20 bytes long, …" */
static void tell(const struct loading *loading, const char *path, const char *fault)
{
    char text[KEYRING_PATH_MAX + KEYRING_FAULT_MAX + 300];
    snprintf(text, sizeof text, "%.250s: auth.keys: %s %s", loading->conf->file, path, fault);
    loading->report(loading->arg, text);
}

/* --- one key ------------------------------------------------------------------------------------------------------- */

static enum err_e take_secret(struct keyring_key *key, struct keyring_bytes *bytes,
                              char fault[KEYRING_FAULT_MAX])
{
    static const char pem[] = "-----BEGIN ";
    while (bytes->len > 0 && (bytes->at[bytes->len - 1] == '\n' || bytes->at[bytes->len - 1] == '\r'))
        bytes->len--;
    if (bytes->len >= sizeof pem - 1 && memcmp(bytes->at, pem, sizeof pem - 1) == 0) {
        snprintf(fault, KEYRING_FAULT_MAX, "holds PEM, expected the secret itself, which HS256 needs");
        return ERR_CONFIG;
    }
    if (bytes->len < KEYRING_SECRET_MIN) {
        snprintf(fault, KEYRING_FAULT_MAX,
                 "is %zu bytes long, expected at least %u of randomness: openssl rand -hex 32", bytes->len,
                 KEYRING_SECRET_MIN);
        return ERR_CONFIG;
    }
    key->verify = malloc(bytes->len);
    key->sign = malloc(bytes->len);
    if (key->verify == NULL || key->sign == NULL)
        return ERR_MEMORY;
    memcpy(key->verify, bytes->at, bytes->len);
    memcpy(key->sign, bytes->at, bytes->len);
    key->verify_len = key->sign_len = bytes->len;
    return ERR_OK;
}

static enum err_e judge_mode(unsigned mode, bool secret, char fault[KEYRING_FAULT_MAX])
{
    unsigned bad = secret ? 0077 : 0022;
    if ((mode & bad) == 0)
        return ERR_OK;
    if (secret)
        snprintf(fault, KEYRING_FAULT_MAX,
                 "is a secret that others have access to (mode %04o), expected its owner alone: chmod 600",
                 mode);
    else
        snprintf(fault, KEYRING_FAULT_MAX, "can be written by others (mode %04o): chmod 644", mode);
    return ERR_CONFIG;
}

static enum err_e load_key(const struct loading *loading, struct keyring_key *key, const char *path)
{
    struct keyring_bytes bytes;
    char fault[KEYRING_FAULT_MAX];
    bool secret = true;
    enum err_e err = keyring_read(path, &bytes, fault);
    size_t len = bytes.len;
    if (err == ERR_OK)
        err = key->alg == CONF_HS256 ? take_secret(key, &bytes, fault)
                                     : keyring_pem(key, &bytes, &secret, fault);
    if (err == ERR_OK)
        err = judge_mode(bytes.mode, secret, fault);
    keyring_wipe(&bytes.at, len);
    if (err != ERR_OK && err != ERR_MEMORY)
        tell(loading, path, fault);
    return err == ERR_NOT_FOUND ? ERR_CONFIG : err;
}

/* --- all of them --------------------------------------------------------------------------------------------------- */

static enum err_e load_configured(const struct loading *loading)
{
    const struct conf *conf = loading->conf;
    struct keyring *keyring = loading->keyring;
    enum err_e all = ERR_OK;
    for (size_t i = 0; i < conf->jwt_key_count && all != ERR_MEMORY; i++) {
        struct keyring_key *key = &keyring->keys[keyring->count++];
        key->kid = conf->jwt_keys[i].kid;
        key->alg = conf->jwt_keys[i].alg;
        enum err_e err = load_key(loading, key, conf->jwt_keys[i].file);
        all = err != ERR_OK ? err : all;
    }
    return all;
}

static enum err_e load_own(const struct loading *loading, bool make)
{
    struct keyring_bytes bytes;
    char path[KEYRING_PATH_MAX], fault[KEYRING_FAULT_MAX];
    keyring_own_path(loading->conf, path);
    enum err_e err = keyring_read(path, &bytes, fault);
    keyring_wipe(&bytes.at, bytes.len);
    if (err == ERR_NOT_FOUND && !make)
        return ERR_OK;
    if (err != ERR_OK && err != ERR_MEMORY && !keyring_wanted(loading->conf))
        return ERR_OK; /* whatever is the matter with a place where nobody looks for anything */
    if (err == ERR_NOT_FOUND && (err = keyring_make(loading->conf, fault)) != ERR_OK) {
        tell(loading, path, fault);
        return err;
    }
    struct keyring_key *key = &loading->keyring->keys[loading->keyring->count++];
    key->kid = KEYRING_OWN_KID;
    key->alg = CONF_HS256;
    return load_key(loading, key, path);
}

/* Only where somebody logs in is it a fault that nothing can sign. */
static enum err_e choose_signer(const struct loading *loading)
{
    const struct conf *conf = loading->conf;
    struct keyring *keyring = loading->keyring;
    const struct keyring_key *key =
        conf->jwt_sign_with[0] != '\0' ? keyring_find(keyring, conf->jwt_sign_with) : keyring->keys;
    bool can = keyring->count > 0 && key != NULL && key->sign != NULL;
    keyring->signer = can ? key : NULL;
    if (can || conf->user_count == 0 || keyring->count == 0)
        return ERR_OK;
    char text[600];
    snprintf(
        text, sizeof text,
        "%.250s: auth.jwt.sign_with: the key %s signs the tokens of those who log in, and its file holds "
        "only the public half",
        conf->file, key != NULL ? key->kid : conf->jwt_sign_with);
    loading->report(loading->arg, text);
    return ERR_CONFIG;
}

enum err_e keyring_load(const struct conf *conf, bool make, conf_report_f *report, void *arg,
                        struct keyring **keyring)
{
    struct keyring *ring = calloc(1, sizeof *ring);
    *keyring = ring;
    if (ring != NULL)
        ring->keys = calloc(conf->jwt_key_count + 1, sizeof *ring->keys);
    struct loading loading = {conf, ring, report, arg};
    enum err_e err = ring != NULL && ring->keys != NULL ? ERR_OK : ERR_MEMORY;
    if (err == ERR_OK)
        err = conf->jwt_key_count > 0 ? load_configured(&loading) : load_own(&loading, make);
    if (err == ERR_OK)
        err = choose_signer(&loading);
    if (err != ERR_OK)
        keyring_free(keyring);
    return err;
}

void keyring_free(struct keyring **keyring)
{
    struct keyring *ring = *keyring;
    *keyring = NULL;
    if (ring == NULL)
        return;
    for (size_t i = 0; i < ring->count && ring->keys != NULL; i++) {
        keyring_wipe(&ring->keys[i].verify, ring->keys[i].verify_len);
        keyring_wipe(&ring->keys[i].sign, ring->keys[i].sign_len);
    }
    free(ring->keys);
    free(ring);
}

const struct keyring_key *keyring_find(const struct keyring *keyring, const char *kid)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (strcmp(keyring->keys[i].kid, kid) == 0)
            return &keyring->keys[i];
    return NULL;
}
