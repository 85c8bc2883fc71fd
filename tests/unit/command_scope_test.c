/* command_scope: whose request_id it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_scope.h"

#define UUID "0192F1c4-7e1d-7b3a-9c55-aabbccddeeff"

static const char *scope_of(const char *principal, const char *request_id)
{
    static char scope[COMMAND_SCOPE_MAX + 1];
    command_scope(scope, principal, request_id, 0xabc, 42);
    return scope;
}

static void the_caller_then_the_uuid_then_the_connection(void **state)
{
    (void)state;
    assert_string_equal(scope_of("wms", ""), "");
    assert_string_equal(scope_of("", ""), "");
    assert_string_equal(scope_of("wms", "r-1"), "p:wms");
    assert_string_equal(scope_of("wms", UUID), "p:wms");
    assert_string_equal(scope_of("", UUID), "u:");
    assert_string_equal(scope_of("", "r-1"), "c:0000000000000abc-42");
    char longest[COMMAND_SCOPE_MAX + 1];
    command_scope(longest, "", "r", UINT64_MAX, UINT64_MAX);
    assert_string_equal(longest, "c:ffffffffffffffff-18446744073709551615");
}

static void only_whole_uuids_are_uuids(void **state)
{
    (void)state;
    assert_true(command_scope_is_uuid(UUID));
    assert_true(command_scope_is_uuid("00000000-0000-0000-0000-000000000000"));
    const char *const others[] = {
        "",
        "0192f1c4-7e1d-7b3a-9c55-aabbccddeef",
        "0192f1c4-7e1d-7b3a-9c55-aabbccddeeff0",
        "0192f1c47-e1d-7b3a-9c55-aabbccddeeff",
        "0192f1c4-7e1d-7b3a-9c55-aabbccddeefg",
        "0192f1c4-7e1d-7b3a-9c55_aabbccddeeff",
        "{192f1c4-7e1d-7b3a-9c55-aabbccddeef}",
        "0192f1c47e1d7b3a9c55aabbccddeeff",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(command_scope_is_uuid(others[i]));
}

static void long_names_stay_apart(void **state)
{
    (void)state;
    char name[200], first[COMMAND_SCOPE_MAX + 1];
    memset(name, 'n', sizeof name);
    name[78] = '\0';
    assert_int_equal(strlen(scope_of(name, "r")), COMMAND_SCOPE_MAX); /* fits as it is */
    assert_string_equal(scope_of(name, "r") + 2, name);
    memset(name, 'n', sizeof name);
    name[199] = '\0';
    strcpy(first, scope_of(name, "r"));
    assert_int_equal(strlen(first), 2 + 61 + 1 + 16);
    name[198] = 'm';
    assert_string_not_equal(first, scope_of(name, "r"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_caller_then_the_uuid_then_the_connection),
        cmocka_unit_test(only_whole_uuids_are_uuids),
        cmocka_unit_test(long_names_stay_apart),
    };
    return cmocka_run_group_tests_name("command scope", tests, NULL, NULL);
}
