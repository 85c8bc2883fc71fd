/* access.c — see access.h (Hop: C1). */
#include "access.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "access_internal.h"
#include "log.h"

static bool make_owners(struct access *access)
{
    const struct conf *conf = access->conf;
    access->owners = calloc(conf->token_count + 1, sizeof *access->owners);
    for (size_t i = 0; access->owners != NULL && i < conf->token_count; i++) {
        struct identity_draft draft = {.name = conf->tokens[i].principal,
                                       .expires_ms = IDENTITY_NEVER,
                                       .source = IDENTITY_TOKEN,
                                       .source_id = access_token_id(conf->tokens[i].sha256)};
        for (unsigned g = 0; g < GRANT_COUNT; g++) {
            const struct conf_grant *grant = &conf->tokens[i].grants[g];
            draft.names[g] = grant->all ? IDENTITY_ALL : grant->names;
            draft.counts[g] = grant->count;
        }
        access->owners[i] = identity_new(&draft);
        if (access->owners[i] == NULL)
            return false;
    }
    return access->owners != NULL;
}

static void tell(void *arg, const char *text)
{
    (void)arg;
    log_error("auth", "error=\"%s\"", text);
}

static enum err_e make_hash(struct access *access)
{
    access->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    access->context = EVP_MD_CTX_new();
    if (access->sha256 == NULL)
        log_error("auth", "error=\"libcrypto offers no SHA-256\"");
    return access->sha256 == NULL ? ERR_SYSTEM : access->context == NULL ? ERR_MEMORY : ERR_OK;
}

enum err_e access_new(const struct conf *conf, const struct clock *clock, struct access **access)
{
    struct access *a = calloc(1, sizeof *a);
    *access = a;
    if (a == NULL)
        return ERR_MEMORY;
    a->conf = conf;
    a->clock = clock;
    enum err_e err = make_hash(a);
    if (err == ERR_OK)
        err = make_owners(a) ? keyring_load(conf, true, tell, NULL, &a->keyring) : ERR_MEMORY;
    if (err != ERR_OK)
        access_free(access);
    return err;
}

void access_free(struct access **access)
{
    if (*access == NULL)
        return;
    for (size_t i = 0; (*access)->owners != NULL && i < (*access)->conf->token_count; i++)
        identity_put(&(*access)->owners[i]);
    free((*access)->owners);
    keyring_free(&(*access)->keyring);
    EVP_MD_CTX_free((*access)->context);
    EVP_MD_free((*access)->sha256);
    free(*access);
    *access = NULL;
}

static bool hash(struct access *access, const char *token, size_t len, unsigned char sum[32])
{
    return EVP_DigestInit_ex2(access->context, access->sha256, NULL) == 1 &&
           EVP_DigestUpdate(access->context, token, len) == 1 &&
           EVP_DigestFinal_ex(access->context, sum, NULL) == 1;
}

/* Looks at every entry, so that the time tells nothing about which one it was. */
static const struct identity *owner_of(const struct access *access, const unsigned char sum[32])
{
    const struct conf *conf = access->conf;
    const struct identity *owner = NULL;
    for (size_t i = 0; i < conf->token_count; i++) {
        bool same = CRYPTO_memcmp(conf->tokens[i].sha256, sum, 32) == 0;
        owner = same ? access->owners[i] : owner;
    }
    return owner;
}

const struct identity *access_refuse(uint64_t *counter)
{
    ++*counter;
    return NULL;
}

/* NULL, and nothing counted: none of the configuration's. */
static const struct identity *identify_known(struct access *access, const char *token, size_t len)
{
    unsigned char sum[32];
    if (len > ACCESS_TOKEN_MAX || !hash(access, token, len, sum))
        return NULL;
    const struct identity *owner = owner_of(access, sum);
    OPENSSL_cleanse(sum, sizeof sum);
    return owner;
}

const struct identity *access_identify(struct access *access, const char *token)
{
    if (token == NULL || *token == '\0')
        return access_refuse(&access->counts.missing);
    size_t len = strnlen(token, ACCESS_JWT_MAX + 1);
    const struct identity *owner = identify_known(access, token, len);
    if (owner != NULL) {
        access->counts.granted++;
        return identity_get(owner);
    }
    bool jwt = access->keyring->count > 0 && jwt_text_looks(token, len);
    if (len > (jwt ? ACCESS_JWT_MAX : ACCESS_TOKEN_MAX))
        return access_refuse(&access->counts.too_long);
    return jwt ? access_identify_jwt(access, token, len) : access_refuse(&access->counts.unknown);
}

const struct access_counts *access_counts(const struct access *access)
{
    return &access->counts;
}
