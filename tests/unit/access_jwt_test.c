/* access: JWTs. Every lie that is refused, with its reason; what is good, by each algorithm; what is made for who logs in. */
#include <stdbool.h>

#include "jwt_maker.h"

#include "access.h"

#define NOW_MS 1800000000000ULL /* 2027-01-15 */
#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define EXP    "\"exp\":1800000060"
#define GOOD   "{\"sub\":\"ana\"," EXP "}"
#define HS     "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"hs\"}"

static char directory[64];
static EVP_PKEY *rsa, *ec, *other_rsa;
static const struct jwt_signer by_hs = {.secret = SECRET};

struct stand {
    struct clock_manual clock;
    struct conf *conf;
    struct access *access;
};

static void complain(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int make_keys(void **state)
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

static int drop_keys(void **state)
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

static struct stand *stand_with(const char *auth)
{
    static struct stand stand;
    char text[4000], name[128];
    snprintf(name, sizeof name, "%s/c.yaml", directory);
    snprintf(text, sizeof text, "state_dir: %s/no\nauth: {%s}\nlisteners: [{name: a}]\n", directory, auth);
    assert_int_equal(conf_load_text(name, text, strlen(text), complain, NULL, &stand.conf), ERR_OK);
    clock_manual_init(&stand.clock, 1, NOW_MS);
    assert_int_equal(access_new(stand.conf, &stand.clock.clock, &stand.access), ERR_OK);
    return &stand;
}

static void stand_down(struct stand *stand)
{
    access_free(&stand->access);
    conf_free(&stand->conf);
}

/* All three keys. */
static int set_up(void **state)
{
    *state = stand_with("keys: [" HS_KEY "," RSA_KEY "," EC_KEY_ "]");
    return 0;
}

static int tear_down(void **state)
{
    stand_down(*state);
    return 0;
}

static uint64_t refused_in_all(const struct access_counts *counts)
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

static const struct identity *granted(struct stand *stand, const char *token)
{
    uint64_t before = access_counts(stand->access)->granted;
    const struct identity *identity = access_identify(stand->access, token);
    if (identity == NULL)
        fail_msg("refused: %s", token);
    assert_int_equal(access_counts(stand->access)->granted, before + 1);
    return identity;
}

static void is_ana(struct stand *stand, const char *token)
{
    const struct identity *identity = granted(stand, token);
    assert_string_equal(identity_name(identity), "ana");
    assert_int_equal(identity_expires_ms(identity), 1800000060000ULL);
    identity_put(&identity);
}

/* --- good ---------------------------------------------------------------------------------------------------------- */

static void each_algorithm_by_its_key(void **state)
{
    const struct jwt_signer by_rsa = {.pkey = rsa}, by_ec = {.pkey = ec};
    is_ana(*state, jwt_token(&by_hs, HS, GOOD));
    is_ana(*state, jwt_token(&by_rsa, "{\"kid\":\"rsa\",\"alg\":\"RS256\"}", GOOD));
    for (int i = 0; i < 200; i++) /* of the numbers r and s one is short once in 128 */
        is_ana(*state, jwt_token(&by_ec, "{\"alg\":\"ES256\",\"kid\":\"ec\",\"typ\":\"jWt\"}", GOOD));
    is_ana(*state,
           jwt_token(&by_hs, " {\"alg\" : \"HS256\",\"kid\":\"hs\",\"typ\":\"jwt\",\"x5t\":\"a\"} ", GOOD));
}

static void without_kid_only_if_there_is_one_key(void **state)
{
    (void)state;
    struct stand *stand = stand_with("keys: [" HS_KEY "]");
    is_ana(stand, jwt_token(&by_hs, "{\"alg\":\"HS256\"}", GOOD));
    REFUSED(stand, jwt_token(&by_hs, "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD), jwt_key);
    stand_down(stand);
    stand = stand_with("keys: [" HS_KEY "," EC_KEY_ "]");
    REFUSED(stand, jwt_token(&by_hs, "{\"alg\":\"HS256\"}", GOOD), jwt_key);
    stand_down(stand);
    stand = stand_with("");
    REFUSED(stand, jwt_token(&by_hs, HS, GOOD), unknown); /* no keys, no JWTs */
    stand_down(stand);
}

static bool may(const struct identity *identity, enum grant_e grant, const char *name)
{
    return identity_may(identity, grant, name, strlen(name));
}

static void grants_are_what_the_claims_say(void **state)
{
    const struct identity *identity =
        granted(*state, jwt_token(&by_hs, HS,
                                  "{\"sub\":\"a\"," EXP ",\"channels\":\"*\",\"streams\":[\"*\"],"
                                  "\"entities_read\":[\"sensor\",\"lectura\"],\"entities_write\":[],"
                                  "\"machines_view\":[\"m2\",\"m1\"],\"machines_command\":[\"m3\"]}"));
    assert_true(identity_may_all(identity, GRANT_CHANNELS));
    assert_true(identity_may_all(identity, GRANT_STREAMS));
    assert_true(may(identity, GRANT_STREAMS, "whatever"));
    assert_true(may(identity, GRANT_ENTITIES_READ, "lectura"));
    assert_false(may(identity, GRANT_ENTITIES_READ, "lectur"));
    assert_false(may(identity, GRANT_ENTITIES_READ, "lecturas"));
    assert_false(may(identity, GRANT_ENTITIES_WRITE, "sensor"));
    assert_true(may(identity, GRANT_MACHINES_VIEW, "m1"));
    assert_true(may(identity, GRANT_MACHINES_VIEW, "m2"));
    assert_true(may(identity, GRANT_MACHINES_VIEW, "m3")); /* implied */
    assert_false(may(identity, GRANT_MACHINES_VIEW, "m"));
    assert_true(may(identity, GRANT_MACHINES_COMMAND, "m3"));
    assert_false(may(identity, GRANT_MACHINES_COMMAND, "m1")); /* not the other way round */
    assert_false(identity_may_all(identity, GRANT_MACHINES_VIEW));
    uint32_t count;
    assert_string_equal(identity_names(identity, GRANT_MACHINES_VIEW, &count)[0], "m1");
    assert_int_equal(count, 2);
    identity_put(&identity);
    identity = granted(*state, jwt_token(&by_hs, HS, "{\"sub\":\"a\"," EXP "}"));
    for (unsigned g = 0; g < GRANT_COUNT; g++) { /* absent is nothing */
        assert_false(identity_may_all(identity, (enum grant_e)g));
        assert_false(may(identity, (enum grant_e)g, "x"));
    }
    identity_put(&identity);
    identity = granted(*state, jwt_token(&by_hs, HS, "{\"sub\":\"a\"," EXP ",\"machines_command\":\"*\"}"));
    assert_true(identity_may_all(identity, GRANT_MACHINES_VIEW));
    identity_put(&identity);
}

static void subjects(void **state)
{
    char payload[400], name[70];
    memset(name, 'a', sizeof name);
    name[64] = '\0';
    snprintf(payload, sizeof payload, "{\"sub\":\"%s\"," EXP "}", name);
    const struct identity *identity = granted(*state, jwt_token(&by_hs, HS, payload));
    assert_string_equal(identity_name(identity), name);
    identity_put(&identity);
    identity =
        granted(*state, jwt_token(&by_hs, HS, "{\"sub\":\"\\u00d1o\xc3\xb1o \\ud83d\\ude00\"," EXP "}"));
    assert_string_equal(identity_name(identity), "\xc3\x91o\xc3\xb1o \xf0\x9f\x98\x80");
    identity_put(&identity);
}

static void times_are_held_to_the_wall_clock(void **state)
{
    struct stand *stand = *state;
    is_ana(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"nbf\":1800000000,\"iat\":1800000005}"));
    const char *token = jwt_token(&by_hs, HS, "{\"sub\":\"ana\",\"exp\":1800000059.5}");
    stand->clock.wall_now_ms = 1800000059499ULL;
    const struct identity *identity = granted(stand, token);
    assert_int_equal(identity_expires_ms(identity), 1800000059500ULL);
    identity_put(&identity);
    stand->clock.wall_now_ms = 1800000059500ULL;
    REFUSED(stand, token, jwt_expired);
    stand->clock.wall_now_ms = NOW_MS;
    is_ana(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"nbf\":1800000005}"));
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"nbf\":1800000005.1}"), jwt_early);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iat\":1800000006}"), jwt_early);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\",\"exp\":1800000000}"), jwt_expired);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\",\"exp\":0}"), jwt_expired);
}

static void issuer_and_audience(void **state)
{
    (void)state;
    struct stand *stand = stand_with("keys: [" HS_KEY "], jwt: {issuer: me, audience: us}");
    is_ana(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"me\",\"aud\":\"us\"}"));
    is_ana(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"me\",\"aud\":[\"x\",\"us\"]}"));
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"aud\":\"us\"}"), jwt_issuer);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"Me\",\"aud\":\"us\"}"),
            jwt_issuer);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"me\"}"), jwt_audience);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"me\",\"aud\":[]}"),
            jwt_audience);
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"me\",\"aud\":[\"u\",\"uss\"]}"),
            jwt_audience);
    stand_down(stand);
    stand = stand_with("keys: [" HS_KEY "]"); /* a token that is meant for somebody is not for us */
    REFUSED(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"aud\":\"us\"}"), jwt_audience);
    is_ana(stand, jwt_token(&by_hs, HS, "{\"sub\":\"ana\"," EXP ",\"iss\":\"whoever\"}"));
    stand_down(stand);
}

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

/* --- made for who logs in -------------------------------------------------------------------------------------------- */

static void issued(const char *keys, const char *more)
{
    char auth[1200], token[ACCESS_JWT_MAX + 1];
    snprintf(auth, sizeof auth,
             "keys: [%s], users: [{name: ana, password: " HASH
             ", machines_view: [m1], streams: [\"a\\\"\\\\b\"], "
             "channels: []}], jwt: {lifetime_s: 60, issuer: \"me \\\" \\u00f1\", audience: us%s}",
             keys, more);
    struct stand *stand = stand_with(auth);
    assert_int_equal(access_issue(stand->access, &stand->conf->users[0], token), ERR_OK);
    const struct identity *identity = granted(stand, token);
    assert_string_equal(identity_name(identity), "ana");
    assert_int_equal(identity_expires_ms(identity), NOW_MS + 60000);
    assert_true(may(identity, GRANT_MACHINES_VIEW, "m1") && may(identity, GRANT_STREAMS, "a\"\\b"));
    assert_true(
        identity_may_all(identity, GRANT_MACHINES_COMMAND)); /* no list in the configuration: everything */
    assert_false(may(identity, GRANT_CHANNELS, "general"));  /* an empty one: nothing */
    identity_put(&identity);
    stand->clock.wall_now_ms += 60000;
    REFUSED(stand, token, jwt_expired);
    stand_down(stand);
}

static void what_is_issued_is_let_in(void **state)
{
    (void)state;
    issued(HS_KEY, "");
    issued("{kid: rsa, alg: RS256, file: rsa}", "");
    issued(EC_KEY_, "");
    issued(HS_KEY "," EC_KEY_, ", sign_with: ec");
}

static void without_a_private_key_nothing_is_issued(void **state)
{
    (void)state;
    char token[ACCESS_JWT_MAX + 1];
    const struct conf_user nobody = {.name = "ana"};
    struct stand *stand = stand_with("keys: [" RSA_KEY "]");
    assert_int_equal(access_issue(stand->access, &nobody, token), ERR_NOT_FOUND);
    stand_down(stand);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(each_algorithm_by_its_key),
        cmocka_unit_test(without_kid_only_if_there_is_one_key),
        CASE(grants_are_what_the_claims_say),
        CASE(subjects),
        CASE(times_are_held_to_the_wall_clock),
        cmocka_unit_test(issuer_and_audience),
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
        cmocka_unit_test(what_is_issued_is_let_in),
        cmocka_unit_test(without_a_private_key_nothing_is_issued),
    };
    return cmocka_run_group_tests_name("access_jwt", tests, make_keys, drop_keys);
}
