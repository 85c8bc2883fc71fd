/* access.c — see access.h (Hop: C1). */
#include "access.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "log.h"

struct access {
    const struct conf *conf;
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    const struct identity **owners; /* of the configuration's tokens */
    struct access_counts counts;
};

static bool make_owners(struct access *access)
{
    const struct conf *conf = access->conf;
    access->owners = calloc(conf->token_count + 1, sizeof *access->owners);
    for (size_t i = 0; access->owners != NULL && i < conf->token_count; i++) {
        struct identity_draft draft = {.name = conf->tokens[i].principal, .expires_ms = IDENTITY_NEVER};
        for (unsigned g = 0; g < GRANT_COUNT; g++)
            draft.names[g] = IDENTITY_ALL;
        access->owners[i] = identity_new(&draft);
        if (access->owners[i] == NULL)
            return false;
    }
    return access->owners != NULL;
}

enum err_e access_new(const struct conf *conf, struct access **access)
{
    struct access *a = calloc(1, sizeof *a);
    *access = a;
    if (a == NULL)
        return ERR_MEMORY;
    a->conf = conf;
    a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    a->context = EVP_MD_CTX_new();
    if (a->sha256 != NULL && a->context != NULL && make_owners(a))
        return ERR_OK;
    enum err_e err = a->sha256 == NULL ? ERR_SYSTEM : ERR_MEMORY;
    if (err == ERR_SYSTEM)
        log_error("access", "libcrypto offers no SHA-256");
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

static const struct identity *refuse(uint64_t *counter)
{
    ++*counter;
    return NULL;
}

const struct identity *access_identify(struct access *access, const char *token)
{
    unsigned char sum[32];
    if (token == NULL || *token == '\0')
        return refuse(&access->counts.missing);
    size_t len = strnlen(token, ACCESS_TOKEN_MAX + 1);
    if (len > ACCESS_TOKEN_MAX)
        return refuse(&access->counts.too_long);
    if (!hash(access, token, len, sum))
        return refuse(&access->counts.failed);
    const struct identity *owner = owner_of(access, sum);
    OPENSSL_cleanse(sum, sizeof sum);
    if (owner == NULL)
        return refuse(&access->counts.unknown);
    access->counts.granted++;
    return identity_get(owner);
}

const struct access_counts *access_counts(const struct access *access)
{
    return &access->counts;
}
