/* access_internal.h — what access's files share; private to this module. */
#pragma once

#include "access.h"
#include "keyring.h"

typedef struct evp_md_st EVP_MD;
typedef struct evp_md_ctx_st EVP_MD_CTX;

struct access {
    const struct conf *conf;
    const struct clock *clock;
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    const struct identity **owners; /* of the configuration's tokens */
    struct keyring *keyring;
    struct access_counts counts;
};

/* Counts; NULL. */
const struct identity *access_refuse(uint64_t *counter);

/* A user of the configuration; NULL: nobody has the name. */
const struct conf_user *access_user(const struct conf *conf, const char *name);
/* What an identity remembers of a token's sum, and of a key. */
uint64_t access_token_id(const unsigned char sum[32]);
uint64_t access_key_id(const struct keyring_key *key);

/* access_jwt.c: a token that looks like a JWT. */
const struct identity *access_identify_jwt(struct access *access, const char *token, size_t len);
