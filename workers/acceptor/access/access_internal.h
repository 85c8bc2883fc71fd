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

/* access_jwt.c: a token that looks like a JWT. */
const struct identity *access_identify_jwt(struct access *access, const char *token, size_t len);
