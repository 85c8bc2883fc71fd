/* access: JWTs that are refused, each lie with its reason. */
#include "access_jwt_stand.h"

/* --- lies ---------------------------------------------------------------------------------------------------------- */

static void none_and_other_algorithms(void **state)
{
    static const char *const headers[] = {"{\"alg\":\"none\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"None\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"NONE\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"nOnE\",\"kid\":\"rsa\"}",
                                          "{\"alg\":\"\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"hs256\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"HS384\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"HS512\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"RS256\",\"kid\":\"hs\"}",
                                          "{\"alg\":\"HS256 \",\"kid\":\"hs\"}",
                                          "{\"alg\":\"HS256\",\"kid\":\"ec\"}",
                                          "{\"alg\":\"PS256\",\"kid\":\"rsa\"}",
                                          "{\"alg\":\"a very long name of an algorithm\",\"kid\":\"hs\"}"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        REFUSED((struct stand *)*state, jwt_token(&by_hs, headers[i], GOOD), jwt_algorithm);
    char unsigned_token[400];
    const char *token = jwt_token(&by_hs, headers[0], GOOD);
    snprintf(unsigned_token, sizeof unsigned_token, "%.*s", (int)(strrchr(token, '.') + 1 - token), token);
    REFUSED((struct stand *)*state, unsigned_token, jwt_malformed);
}

/* The public key, which everybody may have, as the secret of an HMAC: with and without its last line's end. */
static void the_public_key_as_a_secret(void **state)
{
    char pem[2000];
    FILE *file = fopen(path_of("rsa.pub"), "r");
    size_t len = fread(pem, 1, sizeof pem - 1, file);
    fclose(file);
    for (int cut = 0; cut < 2; cut++) {
        pem[len - (size_t)cut] = '\0';
        const struct jwt_signer by_public = {.secret = pem};
        REFUSED((struct stand *)*state, jwt_token(&by_public, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD),
                jwt_algorithm);
        REFUSED((struct stand *)*state, jwt_token(&by_public, "{\"alg\":\"HS256\",\"kid\":\"hs\"}", GOOD),
                jwt_signature);
        REFUSED((struct stand *)*state, jwt_token(&by_public, "{\"alg\":\"HS256\"}", GOOD), jwt_key);
    }
}

static void keys_that_nobody_has(void **state)
{
    const struct jwt_signer by_other = {.secret = OTHER}, by_other_rsa = {.pkey = other_rsa},
                            by_rsa = {.pkey = rsa};
    REFUSED((struct stand *)*state, jwt_token(&by_hs, "{\"alg\":\"HS256\",\"kid\":\"Hs\"}", GOOD), jwt_key);
    REFUSED((struct stand *)*state, jwt_token(&by_hs, "{\"alg\":\"HS256\",\"kid\":\"\"}", GOOD), jwt_key);
    REFUSED((struct stand *)*state, jwt_token(&by_other, HS, GOOD), jwt_signature);
    REFUSED((struct stand *)*state, jwt_token(&by_other_rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD),
            jwt_signature);
    REFUSED((struct stand *)*state, jwt_token(&by_rsa, "{\"alg\":\"ES256\",\"kid\":\"ec\"}", GOOD),
            jwt_signature);
}

/* One character of each place of each part: nothing that was signed can be changed. */
static void one_character_changed(void **state)
{
    struct stand *stand = *state;
    char token[400];
    snprintf(token, sizeof token, "%s", jwt_token(&by_hs, HS, GOOD));
    for (size_t i = 0; token[i] != '\0'; i++) {
        static const char others[] = "AZaz09-_.=\n ";
        char before = token[i];
        for (size_t k = 0; k < sizeof others - 1; k++) {
            token[i] = others[k];
            if (others[k] != before)
                assert_null(access_identify(stand->access, token));
        }
        token[i] = before;
    }
    assert_int_equal(access_counts(stand->access)->granted, 0);
    is_ana(stand, token);
}

static void parts_that_are_none(void **state)
{
    struct stand *stand = *state;
    char good[400], token[500];
    snprintf(good, sizeof good, "%s", jwt_token(&by_hs, HS, GOOD));
    char *dot = strchr(good, '.'), *last = strrchr(good, '.');
    int head = (int)(dot - good), body = (int)(last - dot) - 1;
#define TRY(reason, ...)                                                                                     \
    do {                                                                                                     \
        snprintf(token, sizeof token, __VA_ARGS__);                                                          \
        REFUSED(stand, token, reason);                                                                       \
    } while (0)
    TRY(jwt_malformed, "..");
    TRY(jwt_malformed, "%.*s..%s", head, good, last + 1);
    TRY(jwt_malformed, ".%.*s.%s", body, dot + 1, last + 1);
    TRY(jwt_malformed, "%.*s.%.*s.", head, good, body, dot + 1);
    TRY(unknown, "%.*s", (int)(last - good), good); /* two parts */
    TRY(unknown, "%s.%s", good, last + 1);          /* four */
    TRY(unknown, "%.*s", head, good);
    TRY(jwt_malformed, "%s=", good); /* padding */
    TRY(jwt_malformed, "%s\n", good);
    TRY(jwt_malformed, " %s", good);
    TRY(jwt_malformed, "%.*s.%.*s.+%s", head, good, body, dot + 1, last + 2); /* plain base64 */
    TRY(jwt_malformed, "%.*s.%.*s.%sB", head, good, body, dot + 1,
        last + 1 + 1 + 1); /* 4n + 2 with bits behind the end … */
    TRY(jwt_malformed, "a.b.c");
    TRY(jwt_header, "YQ.%.*s.%s", body, dot + 1, last + 1);     /* "a" */
    TRY(jwt_header, "W10.%.*s.%s", body, dot + 1, last + 1);    /* [] */
    TRY(jwt_header, "bnVsbA.%.*s.%s", body, dot + 1, last + 1); /* null */
    TRY(jwt_header, "e30.%.*s.%s", body, dot + 1, last + 1);    /* {}: no alg */
#undef TRY
}

static void headers_that_are_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":false,\"crit\":[\"b64\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"jku\":\"https://evil.example/keys\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x5u\":\"https://evil.example/cert\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"jwk\":null}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"x5c\":[]}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"zip\":\"DEF\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"JOSE\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"typ\":1}",
        "{\"alg\":\"HS256\",\"kid\":1}",
        "{\"alg\":\"HS256\",\"kid\":null}",
        "{\"alg\":\"HS256\",\"kid\":[\"hs\"]}",
        "{\"alg\":[\"HS256\"],\"kid\":\"hs\"}",
        "{\"alg\":null,\"kid\":\"hs\"}",
        "{\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\",\"kid\":\"hs\"}", /* the same one twice */
        "{\"alg\":\"none\",\"alg\":\"HS256\",\"kid\":\"hs\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\",\"kid\":\"rsa\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\",\"kid\":\"hs\"}", /* twice, written otherwise */
        "{\"alg\":\"HS256\",\"kid\":\"hs\\u0000\"}",
        "{\"alg\":\"HS256\",\"kid\":\"hs\"} x",
        "{\"alg\":\"HS256\",\"kid\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        REFUSED((struct stand *)*state, jwt_token(&by_hs, headers[i], GOOD), jwt_header);
}

static void claims_that_are_refused(void **state)
{
    static const char *const payloads[] = {
        "[]",

        "{}",
        "{\"sub\":\"ana\"}",
        "{" EXP "}", /* each is needed */
        "{\"sub\":\"ana\",\"exp\":\"1800000060\"}",
        "{\"sub\":\"ana\",\"exp\":null}",
        "{\"sub\":\"ana\",\"exp\":true}",
        "{\"sub\":\"ana\",\"exp\":[1800000060]}",
        "{\"sub\":\"ana\",\"exp\":-1}",
        "{\"sub\":\"ana\",\"exp\":253402300800}",
        "{\"sub\":\"ana\",\"exp\":1e300}",

        "{\"sub\":\"ana\",\"exp\":1,\"exp\":1800000060}", /* twice */
        "{\"sub\":\"ana\",\"sub\":\"root\"," EXP "}",
        "{\"sub\":\"ana\"," EXP ",\"x\":{\"a\":1,\"a\":2}}", /* also where nobody looks */
        "{\"sub\":\"\"," EXP "}",
        "{\"sub\":7," EXP "}",
        "{\"sub\":null," EXP "}",
        "{\"sub\":[\"ana\"]," EXP "}",
        "{\"sub\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"," EXP "}",

        "{\"sub\":\"a\\nb\"," EXP "}",
        "{\"sub\":\"a\\u007fb\"," EXP "}",
        "{\"sub\":\"a\\u0085b\"," EXP "}",

        "{\"sub\":\"ana\"," EXP ",\"nbf\":\"0\"}",
        "{\"sub\":\"ana\"," EXP ",\"iat\":false}",
        "{\"sub\":\"ana\"," EXP ",\"iss\":7}",
        "{\"sub\":\"ana\"," EXP ",\"aud\":7}",
        "{\"sub\":\"ana\"," EXP ",\"aud\":[7]}",
        "{\"sub\":\"ana\"," EXP ",\"aud\":{}}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":\"general\"}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":true}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":null}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":[1]}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":[\"a\",null]}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":[\"\"]}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":[\"a\",\"*\"]}",
        "{\"sub\":\"ana\"," EXP ",\"channels\":{\"a\":1}}",
        "{\"sub\":\"ana\"," EXP ",\"streams\":[\"a\\tb\"]}",
        "{\"sub\":\"ana\"," EXP ",\"machines_view\":[[\"m1\"]]}",
        "{\"sub\":\"ana\"," EXP
        ",\"streams\":[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}",
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++)
        REFUSED((struct stand *)*state, jwt_token(&by_hs, HS, payloads[i]), jwt_claims);
}

/* libjwt reads the payload before it verifies: what is no JSON to it is not told apart from what is not signed. */
static void payloads_that_are_no_json(void **state)
{
    static const char *const payloads[] = {"null",
                                           "\"ana\"",
                                           "{\"sub\":\"ana\",\"exp\":1e400}",
                                           "{\"sub\":\"ana\",\"exp\":99999999999999999999}",
                                           "{\"sub\":\"a\\u0000b\"," EXP "}",
                                           "{\"sub\":\"a\xff\"," EXP "}",
                                           "{\"sub\":\"\\ud800\"," EXP "}"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++)
        REFUSED((struct stand *)*state, jwt_token(&by_hs, HS, payloads[i]), jwt_signature);
}

static void too_many_names_and_too_long(void **state)
{
    struct stand *stand = *state;
    char payload[6000];
    for (int count = GRANT_NAMES_MAX; count <= (int)GRANT_NAMES_MAX + 1; count++) {
        size_t len = (size_t)snprintf(payload, sizeof payload, "{\"sub\":\"ana\"," EXP ",\"streams\":[\"a\"");
        for (int i = 1; i < count; i++)
            len += (size_t)snprintf(payload + len, sizeof payload - len, ",\"a\"");
        snprintf(payload + len, sizeof payload - len, "]}");
        if (count == GRANT_NAMES_MAX)
            is_ana(stand, jwt_token(&by_hs, HS, payload));
        else
            REFUSED(stand, jwt_token(&by_hs, HS, payload), jwt_claims);
    }
    /* to the byte: a member of padding that makes the token as long as it may be, and longer */
    size_t pad = 0;
    for (const char *token = ""; strlen(token) < ACCESS_JWT_MAX; pad++) {
        snprintf(payload, sizeof payload, "{\"sub\":\"ana\"," EXP ",\"pad\":\"%0*d\"}", (int)pad + 2900, 0);
        token = jwt_token(&by_hs, HS, payload);
        if (strlen(token) <= ACCESS_JWT_MAX)
            is_ana(stand, token);
        else
            REFUSED(stand, token, too_long);
    }
    assert_true(pad > 1);
    snprintf(payload, sizeof payload, "{\"sub\":\"ana\"," EXP ",\"pad\":\"%0*d\"}", 3500, 0);
    REFUSED(stand, jwt_token(&by_hs, HS, payload), too_long);
}

/* Signed well, but claims are looked at only behind the signature: this one is not told apart from a forged one. */
static void claims_count_behind_the_signature(void **state)
{
    const struct jwt_signer by_other = {.secret = OTHER};
    REFUSED((struct stand *)*state, jwt_token(&by_other, HS, "{\"sub\":\"ana\",\"exp\":1}"), jwt_signature);
    REFUSED((struct stand *)*state, jwt_token(&by_other, HS, "{"), jwt_signature);
}

/* A token of the configuration may look like a JWT. */
static void static_tokens_come_first(void **state)
{
    (void)state; /* printf 'a.b.c' | sha256sum */
    struct stand *stand = stand_with("keys: [" HS_KEY "], tokens: [{principal: wms, streams: [x], sha256: "
                                     "845e30448809e2bc8958eb025bfc795235d13b077a53d0c3abbd2385170dc9b8}]");
    const struct identity *identity = granted(stand, "a.b.c");
    assert_string_equal(identity_name(identity), "wms");
    assert_false(may(identity, GRANT_STREAMS, "y"));
    identity_put(&identity);
    is_ana(stand, jwt_token(&by_hs, HS, GOOD));
    stand_down(stand);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(none_and_other_algorithms),
        CASE(the_public_key_as_a_secret),
        CASE(keys_that_nobody_has),
        CASE(one_character_changed),
        CASE(parts_that_are_none),
        CASE(headers_that_are_refused),
        CASE(claims_that_are_refused),
        CASE(payloads_that_are_no_json),
        CASE(too_many_names_and_too_long),
        CASE(claims_count_behind_the_signature),
        cmocka_unit_test(static_tokens_come_first),
    };
    return cmocka_run_group_tests_name("access_jwt", tests, make_keys, drop_keys);
}
