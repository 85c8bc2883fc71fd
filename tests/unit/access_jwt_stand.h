/* access_jwt_stand.h — for the tests of JWTs: keys of each algorithm in files, an access that knows them, and what it says to a token. */
#pragma once

#include "access_stand.h"
#include "jwt_maker.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define EXP    "\"exp\":1800000060"
#define GOOD   "{\"sub\":\"ana\"," EXP "}"
#define HS     "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"hs\"}"

static char directory[64];
static EVP_PKEY *rsa, *ec, *other_rsa;
static const struct jwt_signer by_hs = {.secret = SECRET};

static inline const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static inline int make_keys(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/access_jwt.XXXXXX");
    assert_non_null(mkdtemp(directory));
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    jwt_put_file(path_of("hs"), SECRET, 32, 0600);
    jwt_put_key(path_of("rsa"), rsa, true);
    jwt_put_key(path_of("rsa.pub"), rsa, false);
    jwt_put_key(path_of("ec"), ec, true);
    return 0;
}

static inline int drop_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"hs", "rsa", "rsa.pub", "ec", ""};
    for (size_t i = 0; i < 4; i++)
        unlink(path_of(names[i]));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(ec);
    return rmdir(directory);
}

#define HASH    "\"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\""
#define HS_KEY  "{kid: hs, alg: HS256, file: hs}"
#define RSA_KEY "{kid: rsa, alg: RS256, file: rsa.pub}"
#define EC_KEY_ "{kid: ec, alg: ES256, file: ec}"

static inline struct stand *stand_with(const char *auth)
{
    static struct stand stand;
    stand_up_with(&stand, directory, auth);
    return &stand;
}

/* All three keys. */
static inline int set_up(void **state)
{
    *state = stand_with("keys: [" HS_KEY "," RSA_KEY "," EC_KEY_ "]");
    return 0;
}

static inline int tear_down(void **state)
{
    stand_down(*state);
    return 0;
}

static inline uint64_t refused_in_all(const struct access_counts *counts)
{
    uint64_t sum = 0;
#define R(name, text) sum += counts->name;
    ACCESS_REFUSALS(R)
#undef R
    return sum;
}

/* By this reason and no other. */
#define REFUSED(stand, token, reason)                                                                        \
    do {                                                                                                     \
        struct access_counts before = *access_counts((stand)->access);                                       \
        const struct identity *got = access_identify((stand)->access, token);                                \
        if (got != NULL)                                                                                     \
            fail_msg("%s was let in", token);                                                                \
        assert_int_equal(access_counts((stand)->access)->reason, before.reason + 1);                         \
        assert_int_equal(refused_in_all(access_counts((stand)->access)), refused_in_all(&before) + 1);       \
    } while (0)

static inline const struct identity *granted(struct stand *stand, const char *token)
{
    uint64_t before = access_counts(stand->access)->granted;
    const struct identity *identity = access_identify(stand->access, token);
    if (identity == NULL)
        fail_msg("refused: %s", token);
    assert_int_equal(access_counts(stand->access)->granted, before + 1);
    return identity;
}

static inline void is_ana(struct stand *stand, const char *token)
{
    const struct identity *identity = granted(stand, token);
    assert_string_equal(identity_name(identity), "ana");
    assert_int_equal(identity_expires_ms(identity), 1800000060000ULL);
    identity_put(&identity);
}

static inline bool may(const struct identity *identity, enum grant_e grant, const char *name)
{
    return identity_may(identity, grant, name, strlen(name));
}
