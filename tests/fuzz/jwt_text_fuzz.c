/* Fuzzes what reads a JWT. First byte: 'T', the rest is a token as it comes; 'H', a header, 'P', a payload, as JSON, which are put into a
 * token of good base64url. Checked beside memory: what is split lies within the token and is base64url; what is accepted is within its bounds; a
 * grant is everything, or a list of names that are none of them "*". */
#include <stdint.h>
#include <string.h>

#include "jwt_text.h"
#include "must.h"
#include "topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const struct jwt_text_part *part, const char *token, size_t len)
{
    MUST(part->at >= token && part->len > 0 && part->at + part->len <= token + len);
    for (size_t i = 0; i < part->len; i++)
        MUST(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", part->at[i]) != NULL);
}

static void check_claims(const struct jwt_text_claims *claims)
{
    MUST(strlen(claims->sub) >= 1 && strlen(claims->sub) <= JWT_TEXT_SUB_MAX);
    for (const char *at = claims->sub; *at != '\0'; at++)
        MUST((unsigned char)*at >= 0x20 && *at != 0x7f);
    MUST(claims->exp_ms < 253402300800000ULL && claims->nbf_ms < 253402300800000ULL);
    for (unsigned g = 0; g < GRANT_COUNT; g++) {
        MUST(!claims->all[g] || claims->lists[g] == NULL);
        MUST(json_array_size(claims->lists[g]) <= GRANT_NAMES_MAX);
        for (size_t i = 0; i < json_array_size(claims->lists[g]); i++) {
            const char *name = json_string_value(json_array_get(claims->lists[g], i));
            MUST(name != NULL && strlen(name) >= 1 && strlen(name) <= STREAM_ID_MAX &&
                 strcmp(name, "*") != 0);
        }
    }
    (void)jwt_text_is_for(claims, "us");
}

static void try_token(const char *token, size_t len)
{
    struct jwt_text jwt;
    struct jwt_text_header header;
    struct jwt_text_claims claims;
    memset(&header, 0xa5, sizeof header);
    if (!jwt_text_split(token, len, &jwt))
        return;
    MUST(len <= JWT_TEXT_MAX && jwt_text_looks(token, len));
    check_part(&jwt.header, token, len);
    check_part(&jwt.payload, token, len);
    check_part(&jwt.signature, token, len);
    if (jwt_text_header(&jwt, &header) == ERR_OK)
        MUST(memchr(header.alg, '\0', sizeof header.alg) != NULL &&
             memchr(header.kid, '\0', sizeof header.kid) != NULL &&
             (header.has_kid || header.kid[0] == '\0'));
    if (jwt_text_claims(&jwt, &claims) != ERR_OK)
        return;
    check_claims(&claims);
    jwt_text_claims_free(&claims);
}

static size_t encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)bytes[i] << 16 | (i + 1 < len ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (i + 2 < len ? bytes[i + 2] : 0u);
        for (size_t k = 0; k < 4 && i + k <= len; k++)
            out[n++] = digits[group >> (18 - 6 * k) & 63];
    }
    return n;
}

/* Beside a part of the same bytes: only one of the two is of interest. */
static void try_json(const uint8_t *json, size_t len)
{
    char token[2 * JWT_TEXT_MAX];
    struct jwt_text jwt;
    size_t n = encode(json, len, token);
    token[n++] = '.';
    n += encode(json, len, token + n);
    memcpy(token + n, ".AA", 3);
    MUST(len == 0 || n + 3 > JWT_TEXT_MAX ||
         jwt_text_split(token, n + 3, &jwt)); /* what is encoded well is split */
    try_token(token, n + 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'T')
        try_token((const char *)data + 1, size - 1);
    else if (size <= JWT_TEXT_MAX / 2)
        try_json(data + 1, size - 1);
    return 0;
}
