/* Who was let in, and a configuration that came later (access.h, Hop: C1). An identity remembers what it was made from by a number: of a token the
 * beginning of its sum, of a JWT a hash of the key that signed it. Whoever could make two of the same number has the token, or the key.
 *
 * A token that lets do less than before does not change under a connection that has it: what its client subscribed to and what its dialect
 * has told it would have to be taken back piece by piece. It is closed, comes back, and is asked anew. More grants wait for its next
 * connection. A key that is gone takes those whom it let in along, because nothing else ends a token that somebody else signed for years. */
#include <string.h>

#include "access_internal.h"
#include "hash.h"

const struct conf_user *access_user(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->user_count; i++)
        if (strcmp(conf->users[i].name, name) == 0)
            return &conf->users[i];
    return NULL;
}

uint64_t access_token_id(const unsigned char sum[32])
{
    uint64_t id;
    memcpy(&id, sum, sizeof id);
    return id;
}

uint64_t access_key_id(const struct keyring_key *key)
{
    return hash_bytes(key->verify, key->verify_len, hash_bytes(key->kid, strlen(key->kid), key->alg));
}

void access_succeed(struct access *next, const struct access *before)
{
    next->counts = before->counts;
}

static enum access_review_e review_token(const struct access *access, const struct identity *identity)
{
    for (size_t i = 0; i < access->conf->token_count; i++) {
        const struct identity *owner = access->owners[i];
        if (identity_source_id(owner) != identity_source_id(identity))
            continue;
        bool same = strcmp(identity_name(owner), identity_name(identity)) == 0;
        return same && identity_covers(owner, identity) ? ACCESS_STANDS : ACCESS_LESS;
    }
    return ACCESS_GONE;
}

static enum access_review_e review_jwt(const struct access *access, const struct identity *identity)
{
    for (size_t i = 0; i < access->keyring->count; i++)
        if (access_key_id(&access->keyring->keys[i]) == identity_source_id(identity))
            return ACCESS_STANDS;
    return ACCESS_GONE;
}

enum access_review_e access_review(const struct access *access, const struct identity *identity)
{
    switch (identity_source(identity)) {
    case IDENTITY_OPEN:
        return ACCESS_STANDS;
    case IDENTITY_TOKEN:
        return review_token(access, identity);
    case IDENTITY_LOGIN:
        if (access_user(access->conf, identity_name(identity)) == NULL)
            return ACCESS_GONE;
        return review_jwt(access, identity);
    case IDENTITY_JWT:
        return review_jwt(access, identity);
    }
    return ACCESS_GONE;
}
