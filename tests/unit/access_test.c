/* access: whose token it is, and what is refused. Sums were made with sha256sum, not with the code under test. */
#include "access_stand.h"

/* printf 'wms-secret' | sha256sum, and so on */
static const char good[] =
    "auth:\n"
    "  tokens:\n"
    "    - {principal: wms, sha256: d5f6d5f016918b76ff54d4381ea284fad9b564b3775621797a265123f5525b8f}\n"
    "    - {principal: screens, sha256: 9c708c9dd9957cba5d340def4253f4945347b3e7a7b7c04d495a4cb9837081c1}\n"
    "    - {principal: wms, sha256: bc84af209f40f4a83c63fc1939bc58a270b220f540f4d16d2c5c69d4c98f0047}\n"
    "listeners:\n"
    "  - {name: a, auth: token}\n";

static int set_up(void **state)
{
    static struct stand stand;
    stand_up(&stand, "access.yaml", good);
    *state = &stand;
    return 0;
}

static int tear_down(void **state)
{
    struct stand *stand = *state;
    stand_down(stand);
    access_free(&stand->access); /* twice is nothing */
    return 0;
}

/* The configuration's tokens have identities that live as long as `access`. */
static const char *name_of(struct stand *stand, const char *token)
{
    const struct identity *identity = access_identify(stand->access, token);
    const char *name = identity_name(identity);
    identity_put(&identity);
    return name;
}

static void tokens_name_their_principal(void **state)
{
    struct stand *stand = *state;
    assert_string_equal(name_of(stand, "wms-secret"), "wms");
    assert_string_equal(name_of(stand, "screens-secret"), "screens");
    assert_string_equal(name_of(stand, "wms-next-secret"), "wms");
    assert_int_equal(access_counts(stand->access)->granted, 3);
}

static void everything_else_is_refused_and_counted(void **state)
{
    struct stand *stand = *state;
    static const char *const unknown[] = {
        "wms-secre",
        "wms-secretx",
        "WMS-SECRET",
        " wms-secret",
        "wms-secret ",
        "wms",
        "d5f6d5f016918b76ff54d4381ea284fad9b564b3775621797a265123f5525b8f", /* the sum itself opens nothing */
        "\xff\xfe",
        "null",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_null(access_identify(stand->access, unknown[i]));
    assert_null(access_identify(stand->access, ""));
    assert_null(access_identify(stand->access, NULL));
    const struct access_counts *counts = access_counts(stand->access);
    assert_int_equal(counts->unknown, sizeof unknown / sizeof *unknown);
    assert_int_equal(counts->missing, 2);
    assert_int_equal(counts->granted, 0);
    assert_int_equal(counts->failed, 0);
}

static void long_tokens_are_refused_unhashed(void **state)
{
    struct stand *stand = *state;
    char token[ACCESS_TOKEN_MAX + 2];
    memset(token, 'a', sizeof token);
    token[ACCESS_TOKEN_MAX] = '\0';
    assert_null(access_identify(stand->access, token));
    assert_int_equal(access_counts(stand->access)->unknown, 1);
    token[ACCESS_TOKEN_MAX] = 'a';
    token[ACCESS_TOKEN_MAX + 1] = '\0';
    assert_null(access_identify(stand->access, token));
    assert_int_equal(access_counts(stand->access)->too_long, 1);
    assert_int_equal(access_counts(stand->access)->unknown, 1);
}

static void without_tokens_nobody_is_known(void **state)
{
    (void)state;
    struct stand stand;
    stand_up(&stand, "none.yaml", "listeners: [{name: a}]\n");
    assert_null(access_identify(stand.access, "wms-secret"));
    assert_int_equal(access_counts(stand.access)->unknown, 1);
    stand_down(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_name_their_principal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything_else_is_refused_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_tokens_are_refused_unhashed, set_up, tear_down),
        cmocka_unit_test(without_tokens_nobody_is_known),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
