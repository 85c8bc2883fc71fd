/* access: who was let in by one configuration, and what another says to it. */
#include "access_stand.h"
#include "jwt_maker.h"

#define SECRET  "0123456789abcdef0123456789abcdef"
#define OTHER   "fedcba9876543210fedcba9876543210"
#define HEAD    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"hs\"}"
#define OUTSIDE "{\"sub\":\"ana\",\"exp\":1800000060}"
#define HASH    "\"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MTIzNDU2Nzg5MDEyMzQ1Ng\""
/* printf 'wms-secret' | sha256sum */
#define SUM   "d5f6d5f016918b76ff54d4381ea284fad9b564b3775621797a265123f5525b8f"
#define KEY   "keys: [{kid: hs, alg: HS256, file: hs}]"
#define USERS "users: [{name: ana, password: " HASH "}]"

static char directory[64];

static void put_secret(const char *secret)
{
    char path[128];
    snprintf(path, sizeof path, "%s/hs", directory);
    unlink(path);
    jwt_put_file(path, secret, 32, 0600);
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/access_review.XXXXXX");
    assert_non_null(mkdtemp(directory));
    put_secret(SECRET);
    return 0;
}

static int drop_directory(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/hs", directory);
    unlink(path);
    return rmdir(directory);
}

/* What `next` says to whom `now` lets in by `token` (NULL: one that it makes for its first user). */
static enum access_review_e review(const char *now, const char *next, const char *token)
{
    struct stand before, after;
    char made[ACCESS_JWT_MAX + 1];
    stand_up_with(&before, directory, now);
    if (token == NULL) {
        assert_int_equal(access_issue(before.access, &before.conf->users[0], made), ERR_OK);
        token = made;
    }
    const struct identity *identity = access_identify(before.access, token);
    assert_non_null(identity);
    stand_up_with(&after, directory, next);
    stand_down(&before); /* an identity needs neither of them */
    enum access_review_e result = access_review(after.access, identity);
    const struct identity *again = access_identify(after.access, token);
    assert_int_equal(again == NULL, result == ACCESS_GONE);
    identity_put(&again);
    identity_put(&identity);
    stand_down(&after);
    return result;
}

static enum access_review_e review_grants(const char *now, const char *next)
{
    char before[600], after[600];
    static const char form[] = "tokens: [{principal: wms, sha256: " SUM "%s}]";
    snprintf(before, sizeof before, form, now);
    snprintf(after, sizeof after, form, next);
    return review(before, after, "wms-secret");
}

static void nobody_stands_always(void **state)
{
    (void)state;
    struct stand stand;
    stand_up_with(&stand, directory, KEY);
    assert_int_equal(access_review(stand.access, identity_nobody()), ACCESS_STANDS);
    stand_down(&stand);
}

static void a_token_stands_or_is_gone(void **state)
{
    (void)state;
    assert_int_equal(review_grants("", ""), ACCESS_STANDS);
    assert_int_equal(review("tokens: [{principal: wms, sha256: " SUM "}]", KEY, "wms-secret"), ACCESS_GONE);
    assert_int_equal(review("tokens: [{principal: wms, sha256: " SUM "}]",
                            "tokens: [{principal: other, sha256: " SUM "}]", "wms-secret"),
                     ACCESS_LESS);
}

static void a_token_that_lets_do_less(void **state)
{
    (void)state;
    static const struct {
        const char *now, *next;
        enum access_review_e result;
    } cases[] = {
        {"", ", streams: [a]", ACCESS_LESS},
        {", streams: [a]", "", ACCESS_STANDS},
        {", streams: [a]", ", streams: [b, a]", ACCESS_STANDS},
        {", streams: [a, b]", ", streams: [b]", ACCESS_LESS},
        {", streams: [a]", ", streams: []", ACCESS_LESS},
        {", streams: []", ", streams: [\"*\"]", ACCESS_STANDS},
        {", channels: [a], streams: [a]", ", channels: [a], streams: [b]", ACCESS_LESS},
        /* who may command may see */
        {", machines_view: [a], machines_command: []", ", machines_view: [], machines_command: [a]",
         ACCESS_STANDS},
        {", machines_view: [a, b], machines_command: [a]", ", machines_view: [a], machines_command: [a]",
         ACCESS_LESS},
        {", machines_view: [\"*\"], machines_command: []", ", machines_view: [], machines_command: [\"*\"]",
         ACCESS_STANDS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(review_grants(cases[i].now, cases[i].next), cases[i].result);
}

static void a_key_takes_its_tokens_along(void **state)
{
    (void)state;
    const struct jwt_signer signer = {.secret = SECRET};
    char token[JWT_MAKER_MAX];
    strcpy(token, jwt_token(&signer, HEAD, OUTSIDE));
    assert_int_equal(review(KEY, KEY ", " USERS, token), ACCESS_STANDS);
    assert_int_equal(review(KEY, "keys: [{kid: other, alg: HS256, file: hs}]", token), ACCESS_GONE);
    assert_int_equal(review(KEY ", " USERS, KEY, token), ACCESS_STANDS); /* somebody else's ana */
    struct stand before, after; /* the same kid, another key in its file */
    stand_up_with(&before, directory, KEY);
    const struct identity *identity = access_identify(before.access, token);
    put_secret(OTHER);
    stand_up_with(&after, directory, KEY);
    assert_int_equal(access_review(after.access, identity), ACCESS_GONE);
    assert_null(access_identify(after.access, token));
    put_secret(SECRET);
    identity_put(&identity);
    stand_down(&before);
    stand_down(&after);
}

static void a_user_takes_the_tokens_of_a_login_along(void **state)
{
    (void)state;
    assert_int_equal(review(KEY ", " USERS, KEY ", " USERS, NULL), ACCESS_STANDS);
    assert_int_equal(review(KEY ", " USERS, KEY, NULL), ACCESS_GONE);
    assert_int_equal(review(KEY ", " USERS, KEY ", users: [{name: ben, password: " HASH "}]", NULL),
                     ACCESS_GONE);
    struct stand stand;
    char token[ACCESS_JWT_MAX + 1];
    stand_up_with(&stand, directory, KEY ", " USERS);
    assert_int_equal(access_issue(stand.access, &stand.conf->users[0], token), ERR_OK);
    stand_down(&stand);
    stand_up_with(&stand, directory, KEY);
    assert_null(access_identify(stand.access, token));
    assert_int_equal(access_counts(stand.access)->jwt_user, 1);
    stand_down(&stand);
}

static void counters_go_on(void **state)
{
    (void)state;
    struct stand before, after;
    stand_up_with(&before, directory, KEY);
    assert_null(access_identify(before.access, NULL));
    stand_up_with(&after, directory, KEY);
    access_succeed(after.access, before.access);
    stand_down(&before);
    assert_null(access_identify(after.access, NULL));
    assert_int_equal(access_counts(after.access)->missing, 2);
    stand_down(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_stands_always),
        cmocka_unit_test(a_token_stands_or_is_gone),
        cmocka_unit_test(a_token_that_lets_do_less),
        cmocka_unit_test(a_key_takes_its_tokens_along),
        cmocka_unit_test(a_user_takes_the_tokens_of_a_login_along),
        cmocka_unit_test(counters_go_on),
    };
    return cmocka_run_group_tests(tests, make_directory, drop_directory);
}
