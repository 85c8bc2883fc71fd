/* access: JWTs that are good, by each algorithm and in all that their claims say; and what is made for who logs in. */
#include "access_jwt_stand.h"

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
        cmocka_unit_test(what_is_issued_is_let_in),
        cmocka_unit_test(without_a_private_key_nothing_is_issued),
    };
    return cmocka_run_group_tests_name("access_jwt", tests, make_keys, drop_keys);
}
