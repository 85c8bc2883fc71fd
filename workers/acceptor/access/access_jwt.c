/* access_jwt.c — JWTs: verified, and made for who logs in (access.h, Hop: C1). The only user of libjwt, which computes signatures and
 * is trusted with nothing else: see README.md for what it does wrong with a token that nobody has looked at before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "access_internal.h"
#include "must.h"

static const struct {
    const char *name;
    jwt_alg_t libjwt;
} algorithms[] = {
    [CONF_HS256] = {"HS256", JWT_ALG_HS256},
    [CONF_RS256] = {"RS256", JWT_ALG_RS256},
    [CONF_ES256] = {"ES256", JWT_ALG_ES256},
};

/* --- which key ----------------------------------------------------------------------------------------------------- */

static const struct keyring_key *key_of(const struct access *access, const struct jwt_text_header *header)
{
    const struct keyring *keyring = access->keyring;
    if (!header->has_kid)
        return keyring->count == 1 ? &keyring->keys[0] : NULL;
    return keyring_find(keyring, header->kid);
}

/* --- the signature ------------------------------------------------------------------------------------------------- */

/* libjwt goes by the alg in the token's header, which is known to be the key's by now. */
static uint64_t *verify(struct access *access, const struct keyring_key *key, const char *token)
{
    jwt_t *jwt = NULL;
    int failed = jwt_decode(&jwt, token, key->verify, (int)key->verify_len);
    bool good = failed == 0 && jwt_get_alg(jwt) == algorithms[key->alg].libjwt;
    if (jwt != NULL)
        jwt_free(jwt);
    ERR_clear_error();
    if (failed == ENOMEM)
        return &access->counts.failed;
    return good ? NULL : &access->counts.jwt_signature;
}

/* --- the claims ---------------------------------------------------------------------------------------------------- */

static uint64_t *judge_claims(struct access *access, const struct jwt_text_claims *claims)
{
    const struct conf *conf = access->conf;
    uint64_t now = clock_wall_ms(access->clock);
    if (claims->exp_ms <= now)
        return &access->counts.jwt_expired;
    if (claims->nbf_ms > now + ACCESS_LEEWAY_MS || claims->iat_ms > now + ACCESS_LEEWAY_MS)
        return &access->counts.jwt_early;
    if (conf->jwt_issuer[0] != '\0' && (claims->iss == NULL || strcmp(claims->iss, conf->jwt_issuer) != 0))
        return &access->counts.jwt_issuer;
    bool ours = conf->jwt_audience[0] != '\0' ? jwt_text_is_for(claims, conf->jwt_audience)
                                              : claims->aud == NULL; /* RFC 7519, 4.1.3 */
    if (!ours)
        return &access->counts.jwt_audience;
    return !claims->login || access_user(conf, claims->sub) != NULL ? NULL : &access->counts.jwt_user;
}

static const struct identity *make_identity(const struct jwt_text_claims *claims,
                                            const struct keyring_key *key)
{
    const char *names[GRANT_COUNT][GRANT_NAMES_MAX];
    struct identity_draft draft = {.name = claims->sub,
                                   .expires_ms = claims->exp_ms,
                                   .source = claims->login ? IDENTITY_LOGIN : IDENTITY_JWT,
                                   .source_id = access_key_id(key)};
    for (unsigned g = 0; g < GRANT_COUNT; g++) {
        draft.counts[g] = json_array_size(claims->lists[g]);
        for (size_t i = 0; i < draft.counts[g]; i++)
            names[g][i] = json_string_value(json_array_get(claims->lists[g], i));
        draft.names[g] = claims->all[g] ? IDENTITY_ALL : names[g];
    }
    return identity_new(&draft);
}

static const struct identity *identify_claims(struct access *access, const struct jwt_text *jwt,
                                              const struct keyring_key *key)
{
    struct jwt_text_claims claims;
    enum err_e err = jwt_text_claims(jwt, &claims);
    if (err != ERR_OK)
        return access_refuse(err == ERR_MEMORY ? &access->counts.failed : &access->counts.jwt_claims);
    uint64_t *refused = judge_claims(access, &claims);
    const struct identity *identity = refused == NULL ? make_identity(&claims, key) : NULL;
    jwt_text_claims_free(&claims);
    if (identity == NULL)
        return access_refuse(refused != NULL ? refused : &access->counts.failed);
    access->counts.granted++;
    return identity;
}

const struct identity *access_identify_jwt(struct access *access, const char *token, size_t len)
{
    struct jwt_text jwt;
    struct jwt_text_header header;
    if (!jwt_text_split(token, len, &jwt))
        return access_refuse(&access->counts.jwt_malformed);
    enum err_e err = jwt_text_header(&jwt, &header);
    if (err != ERR_OK)
        return access_refuse(err == ERR_MEMORY ? &access->counts.failed : &access->counts.jwt_header);
    const struct keyring_key *key = key_of(access, &header);
    if (key == NULL)
        return access_refuse(&access->counts.jwt_key);
    if (strcmp(header.alg, algorithms[key->alg].name) != 0)
        return access_refuse(&access->counts.jwt_algorithm);
    uint64_t *refused = verify(access, key, token);
    return refused != NULL ? access_refuse(refused) : identify_claims(access, &jwt, key);
}

/* --- making one ---------------------------------------------------------------------------------------------------- */

static json_t *grant_json(const struct conf_grant *grant)
{
    if (grant->all)
        return json_string(GRANT_ALL);
    json_t *list = json_array();
    for (size_t i = 0; i < grant->count; i++)
        if (json_array_append_new(list, json_string(grant->names[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *claims_of(const struct access *access, const struct conf_user *user)
{
    static const char *const names[] = {
#define G(NAME, claim, text) claim,
        GRANT_TABLE(G)
#undef G
    };
    const struct conf *conf = access->conf;
    json_int_t now = (json_int_t)(clock_wall_ms(access->clock) / 1000);
    json_t *claims = json_object();
    bool failed = json_object_set_new(claims, "sub", json_string(user->name)) != 0 ||
                  json_object_set_new(claims, JWT_TEXT_LOGIN, json_true()) != 0 ||
                  json_object_set_new(claims, "iat", json_integer(now)) != 0 ||
                  json_object_set_new(claims, "exp", json_integer(now + conf->jwt_lifetime_s)) != 0;
    if (!failed && conf->jwt_issuer[0] != '\0')
        failed = json_object_set_new(claims, "iss", json_string(conf->jwt_issuer)) != 0;
    if (!failed && conf->jwt_audience[0] != '\0')
        failed = json_object_set_new(claims, "aud", json_string(conf->jwt_audience)) != 0;
    for (unsigned g = 0; g < GRANT_COUNT && !failed; g++)
        failed = json_object_set_new(claims, names[g], grant_json(&user->grants[g])) != 0;
    if (!failed)
        return claims;
    json_decref(claims);
    return NULL;
}

/* NULL: no memory. */
static char *sign(const struct keyring_key *key, const char *claims)
{
    jwt_t *jwt = NULL;
    char *text = NULL;
    if (jwt_new(&jwt) == 0 && jwt_add_header(jwt, "kid", key->kid) == 0 &&
        jwt_add_grants_json(jwt, claims) == 0 &&
        jwt_set_alg(jwt, algorithms[key->alg].libjwt, key->sign, (int)key->sign_len) == 0)
        text = jwt_encode_str(jwt);
    if (jwt != NULL)
        jwt_free(jwt);
    ERR_clear_error();
    return text;
}

enum err_e access_issue(struct access *access, const struct conf_user *user, char token[ACCESS_JWT_MAX + 1])
{
    const struct keyring_key *key = access->keyring->signer;
    token[0] = '\0';
    if (key == NULL)
        return ERR_NOT_FOUND;
    json_t *claims = claims_of(access, user);
    char *payload = claims != NULL ? json_dumps(claims, JSON_COMPACT) : NULL;
    char *text = payload != NULL ? sign(key, payload) : NULL;
    json_decref(claims);
    free(payload);
    if (text == NULL)
        return ERR_MEMORY;
    size_t len = strlen(text);
    if (len <= ACCESS_JWT_MAX)
        memcpy(token, text, len + 1);
    OPENSSL_cleanse(text, len);
    free(text);
    return token[0] != '\0' ? ERR_OK : ERR_TOO_LARGE;
}
