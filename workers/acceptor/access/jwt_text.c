/* jwt_text.c — see jwt_text.h (Hop: C1). */
#include "jwt_text.h"

#include <string.h>
#include <strings.h>

#include "must.h"
#include "topic.h"

/* --- base64url ----------------------------------------------------------------------------------------------------- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static bool is_base64url(const struct jwt_text_part *part)
{
    for (size_t i = 0; i < part->len; i++)
        if (digit(part->at[i]) < 0)
            return false;
    if (part->len == 0 || part->len % 4 == 1)
        return false;
    int unused = part->len % 4 == 2 ? 0xf : part->len % 4 == 3 ? 0x3 : 0;
    return (digit(part->at[part->len - 1]) & unused) == 0;
}

/* Of a part that was checked; `out` has 3/4 of its bytes. */
static size_t decode(const struct jwt_text_part *part, unsigned char *out)
{
    uint32_t bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < part->len; i++) {
        bits = bits << 6 | (uint32_t)digit(part->at[i]);
        if (i % 4 != 0)
            out[len++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return len;
}

/* --- the parts ----------------------------------------------------------------------------------------------------- */

bool jwt_text_looks(const char *token, size_t len)
{
    size_t dots = 0;
    for (size_t i = 0; i < len; i++)
        dots += token[i] == '.';
    return dots == 2;
}

bool jwt_text_split(const char *token, size_t len, struct jwt_text *jwt)
{
    if (len > JWT_TEXT_MAX || !jwt_text_looks(token, len))
        return false;
    const char *one = memchr(token, '.', len), *two = memrchr(token, '.', len);
    *jwt = (struct jwt_text){.header = {token, (size_t)(one - token)},
                             .payload = {one + 1, (size_t)(two - one) - 1},
                             .signature = {two + 1, (size_t)(token + len - two) - 1}};
    return is_base64url(&jwt->header) && is_base64url(&jwt->payload) && is_base64url(&jwt->signature);
}

static enum err_e read_object(const struct jwt_text_part *part, json_t **object)
{
    unsigned char text[JWT_TEXT_MAX];
    json_error_t error;
    size_t len = decode(part, text);
    *object = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, &error);
    if (*object == NULL)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_MEMORY : ERR_MALFORMED;
    if (json_is_object(*object))
        return ERR_OK;
    json_decref(*object);
    *object = NULL;
    return ERR_MALFORMED;
}

/* --- the header ---------------------------------------------------------------------------------------------------- */

/* Absent is fine; a text that does not fit becomes "". False: mistyped. */
static bool take_text(const json_t *value, char *out, size_t size)
{
    out[0] = '\0';
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return false;
    if (json_string_length(value) < size)
        memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool has_refused(const json_t *object)
{
    static const char *const refused[] = {"crit", "b64", "jku", "x5u", "jwk", "x5c", "zip", "enc"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (json_object_get(object, refused[i]) != NULL)
            return true;
    return false;
}

static bool is_type(const json_t *typ)
{
    return typ == NULL || (json_is_string(typ) && strcasecmp(json_string_value(typ), "JWT") == 0);
}

enum err_e jwt_text_header(const struct jwt_text *jwt, struct jwt_text_header *header)
{
    json_t *object;
    enum err_e err = read_object(&jwt->header, &object);
    if (err != ERR_OK)
        return err;
    const json_t *kid = json_object_get(object, "kid"), *alg = json_object_get(object, "alg");
    header->has_kid = kid != NULL;
    bool good = !has_refused(object) && is_type(json_object_get(object, "typ")) && alg != NULL &&
                take_text(alg, header->alg, sizeof header->alg) &&
                take_text(kid, header->kid, sizeof header->kid);
    json_decref(object);
    return good ? ERR_OK : ERR_MALFORMED;
}

/* --- the claims ---------------------------------------------------------------------------------------------------- */

/* U+0000 to U+001F, U+007F to U+009F. Jansson has made sure of UTF-8. */
static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0))
            return true;
    }
    return false;
}

static bool is_name(const json_t *value, size_t most)
{
    size_t len = json_string_length(value);
    return json_is_string(value) && len > 0 && len <= most && !has_control(json_string_value(value), len);
}

#define YEAR_10000_S 253402300800.0

/* Absent is 0. */
static bool take_time(const json_t *value, uint64_t *ms)
{
    double seconds = json_number_value(value);
    *ms = 0;
    if (value == NULL)
        return true;
    if (!json_is_number(value) || !(seconds >= 0 && seconds < YEAR_10000_S))
        return false;
    *ms = json_is_integer(value) ? (uint64_t)json_integer_value(value) * 1000 : (uint64_t)(seconds * 1000);
    return true;
}

static bool is_audience(const json_t *aud)
{
    if (aud == NULL || json_is_string(aud))
        return true;
    for (size_t i = 0; i < json_array_size(aud); i++)
        if (!json_is_string(json_array_get(aud, i)))
            return false;
    return json_is_array(aud);
}

static bool is_all(const json_t *value)
{
    return json_is_string(value) && strcmp(json_string_value(value), GRANT_ALL) == 0;
}

static bool take_grant(const json_t *value, bool *all, const json_t **list)
{
    size_t count = json_array_size(value);
    *all = is_all(value) || (count == 1 && is_all(json_array_get(value, 0)));
    *list = NULL;
    if (value == NULL || *all)
        return true;
    if (!json_is_array(value) || count > GRANT_NAMES_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_name(json_array_get(value, i), STREAM_ID_MAX) || is_all(json_array_get(value, i)))
            return false;
    *list = value;
    return true;
}

static bool take_grants(struct jwt_text_claims *claims)
{
    static const char *const names[] = {
#define G(NAME, claim, text) claim,
        GRANT_TABLE(G)
#undef G
    };
    for (unsigned g = 0; g < GRANT_COUNT; g++)
        if (!take_grant(json_object_get(claims->root, names[g]), &claims->all[g], &claims->lists[g]))
            return false;
    return true;
}

static bool take_claims(struct jwt_text_claims *claims)
{
    const json_t *exp = json_object_get(claims->root, "exp"), *sub = json_object_get(claims->root, "sub"),
                 *iss = json_object_get(claims->root, "iss");
    claims->sub = json_string_value(sub);
    claims->iss = json_string_value(iss);
    claims->aud = json_object_get(claims->root, "aud");
    claims->login = json_is_true(json_object_get(claims->root, JWT_TEXT_LOGIN));
    return is_name(sub, JWT_TEXT_SUB_MAX) && exp != NULL && take_time(exp, &claims->exp_ms) &&
           take_time(json_object_get(claims->root, "nbf"), &claims->nbf_ms) &&
           take_time(json_object_get(claims->root, "iat"), &claims->iat_ms) &&
           (iss == NULL || json_is_string(iss)) && is_audience(claims->aud) && take_grants(claims);
}

enum err_e jwt_text_claims(const struct jwt_text *jwt, struct jwt_text_claims *claims)
{
    *claims = (struct jwt_text_claims){0};
    enum err_e err = read_object(&jwt->payload, &claims->root);
    if (err == ERR_OK && !take_claims(claims))
        err = ERR_MALFORMED;
    if (err != ERR_OK)
        jwt_text_claims_free(claims);
    return err;
}

void jwt_text_claims_free(struct jwt_text_claims *claims)
{
    json_decref(claims->root);
    *claims = (struct jwt_text_claims){0};
}

bool jwt_text_is_for(const struct jwt_text_claims *claims, const char *audience)
{
    if (json_is_string(claims->aud))
        return strcmp(json_string_value(claims->aud), audience) == 0;
    for (size_t i = 0; i < json_array_size(claims->aud); i++)
        if (strcmp(json_string_value(json_array_get(claims->aud, i)), audience) == 0)
            return true;
    return false;
}
