/* Entity tags and conditions: RFC 9110, 8.8.3, 13.1.1, 13.1.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "must.h"
#include "sensors_etag.h"

struct line {
    const char *header;
    bool good, any;
    unsigned strong, weak; /* how many versions, by either comparison */
};

static void headers(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {NULL, true, false, 0, 0},
        {"*", true, true, 0, 0},
        {"\"5\"", true, false, 1, 1},
        {"\"5\", \"6\"", true, false, 2, 2},
        {"\"5\",\"6\" ,\t\"7\"", true, false, 3, 3},
        {", ,\"5\",,", true, false, 1, 1},
        {"W/\"5\"", true, false, 0, 1},
        {"W/\"5\", \"6\"", true, false, 1, 2},
        {"\"abc\"", true, false, 0, 0},
        {"\"\"", true, false, 0, 0},
        {"\"05\"", true, false, 0, 0},
        {"\"5a\"", true, false, 0, 0},
        {"\"999999999999999999\"", true, false, 1, 1},
        {"\"9999999999999999999\"", true, false, 0, 0},
        {"\"a, b\", \"5\"", true, false, 1, 1},
        {"", true, false, 0, 0},
        {"5", false, false, 0, 0},
        {"\"5", false, false, 0, 0},
        {"\"5\" \"6\"", false, false, 0, 0},
        {"w/\"5\"", false, false, 0, 0},
        {"W/5", false, false, 0, 0},
        {"*, \"5\"", false, false, 0, 0},
        {"**", false, false, 0, 0},
        {"\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\","
         "\"16\"",
         true, false, 16, 16},
        {"\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\","
         "\"16\",\"17\"",
         false, false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        const struct line *line = &lines[i];
        struct etags strong, weak;
        bool good = etags_parse(line->header, false, &strong);
        if (good != etags_parse(line->header, true, &weak) || good != line->good)
            fail_msg("%s: %d", line->header, good);
        if (good && (strong.given != (line->header != NULL) || strong.any != line->any ||
                     strong.count != line->strong || weak.count != line->weak))
            fail_msg("%s: any=%d strong=%u weak=%u", line->header, strong.any, strong.count, weak.count);
    }
}

struct play {
    const char *match, *none_match;
    uint64_t version;
    bool holds, simple;
    uint64_t wanted;
};

static void conditions(void **state)
{
    (void)state;
    static const struct play plays[] = {
        {NULL, NULL, 5, true, true, 0},
        {"*", NULL, 5, true, true, 0},
        {"\"5\"", NULL, 5, true, true, 5},
        {"\"4\"", NULL, 5, false, true, 4},
        {"\"4\", \"5\"", NULL, 5, true, false, 0},
        {"\"4\", \"6\"", NULL, 5, false, false, 0},
        {"\"x\"", NULL, 5, false, false, 0},
        {"W/\"5\"", NULL, 5, false, false, 0},
        {"", NULL, 5, false, false, 0},
        {NULL, "*", 5, false, false, 0},
        {NULL, "\"5\"", 5, false, false, 0},
        {NULL, "W/\"5\"", 5, false, false, 0},
        {NULL, "\"4\"", 5, true, false, 0},
        {"\"5\"", "\"4\"", 5, true, false, 5},
        {"\"5\"", "\"5\"", 5, false, false, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(plays); i++) {
        const struct play *play = &plays[i];
        struct conditions c;
        uint64_t wanted;
        assert_true(etags_parse(play->match, false, &c.match));
        assert_true(etags_parse(play->none_match, true, &c.none_match));
        bool simple = conditions_are_simple(&c, &wanted);
        if (conditions_hold(&c, play->version) != play->holds || simple != play->simple ||
            wanted != play->wanted)
            fail_msg("play %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(conditions)};
    return cmocka_run_group_tests_name("sensors_etag", tests, NULL, NULL);
}
