/* Times as clients write them. The cases follow pydantic/speedate's tests/main.rs and Pydantic's documentation of datetimes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "must.h"
#include "timestamp.h"

struct right {
    const char *text, *shown;
};

struct wrong {
    const char *text;
    enum timestamp_e fault;
};

static void expect(enum timestamp_e fault, uint64_t ms, const char *shown, const char *text)
{
    char iso[CLOCK_ISO_LEN + 1];
    if (fault != TIMESTAMP_OK)
        fail_msg("%s: %s", text, timestamp_text(fault));
    clock_iso8601(ms, iso);
    if (strcmp(iso, shown) != 0)
        fail_msg("%s is %s, not %s", text, iso, shown);
}

static void what_is_read(void **state)
{
    (void)state;
    static const struct right cases[] = {
        {"2025-07-20T10:30:00Z", "2025-07-20T10:30:00.000Z"},
        {"2025-07-20T10:30:00z", "2025-07-20T10:30:00.000Z"},
        {"2025-07-20t10:30:00", "2025-07-20T10:30:00.000Z"},
        {"2025-07-20 10:30", "2025-07-20T10:30:00.000Z"},
        {"2025-07-20_10:30:07", "2025-07-20T10:30:07.000Z"},
        {"2025-07-20", "2025-07-20T00:00:00.000Z"},
        {"2025-07-20T10:30:00.1Z", "2025-07-20T10:30:00.100Z"},
        {"2025-07-20T10:30:00,12Z", "2025-07-20T10:30:00.120Z"},
        {"2025-07-20T10:30:00.123456Z", "2025-07-20T10:30:00.123Z"},
        {"2025-07-20T10:30:00.999999999Z", "2025-07-20T10:30:00.999Z"},
        {"2025-07-20T10:30:00+02:00", "2025-07-20T08:30:00.000Z"},
        {"2025-07-20T10:30:00+0230", "2025-07-20T08:00:00.000Z"},
        {"2025-07-20T10:30-08:30", "2025-07-20T19:00:00.000Z"},
        {"2025-07-20T10:30:00\xe2\x88\x92"
         "01:00",
         "2025-07-20T11:30:00.000Z"},
        {"2025-07-20T10:30:00+23:59", "2025-07-19T10:31:00.000Z"},
        {"2025-07-20T10:30:00-00:00", "2025-07-20T10:30:00.000Z"},
        {"2000-02-29T23:59:59.999Z", "2000-02-29T23:59:59.999Z"},
        {"2024-02-29", "2024-02-29T00:00:00.000Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
        {"1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000Z"},
        {"9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
        {"1753007400", "2025-07-20T10:30:00.000Z"},
        {"1753007400.5", "2025-07-20T10:30:00.500Z"},
        {"1753007400123", "2025-07-20T10:30:00.123Z"},
        {"+1753007400", "2025-07-20T10:30:00.000Z"},
        {"0", "1970-01-01T00:00:00.000Z"},
        {"-0", "1970-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 0;
        enum timestamp_e fault = timestamp_parse(cases[i].text, strlen(cases[i].text), &ms);
        expect(fault, ms, cases[i].shown, cases[i].text);
    }
}

static void what_is_not(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        {"", TIMESTAMP_TOO_SHORT},
        {"x", TIMESTAMP_TOO_SHORT},
        {"2025-07-2", TIMESTAMP_TOO_SHORT},
        {"mañana por la tarde", TIMESTAMP_YEAR},
        {"-025-07-20", TIMESTAMP_YEAR},
        {"2025/07/20", TIMESTAMP_DATE_SEPARATOR},
        {"2025-07/20", TIMESTAMP_DATE_SEPARATOR},
        {"2025-x7-20", TIMESTAMP_MONTH},
        {"2025-07-x0", TIMESTAMP_DAY},
        {"2025-13-01", TIMESTAMP_MONTH_RANGE},
        {"2025-00-01T00:00", TIMESTAMP_MONTH_RANGE},
        {"2025-02-29", TIMESTAMP_DAY_RANGE},
        {"1900-02-29", TIMESTAMP_DAY_RANGE},
        {"2025-04-31", TIMESTAMP_DAY_RANGE},
        {"2025-04-00", TIMESTAMP_DAY_RANGE},
        {"2025-07-20x10:30:00", TIMESTAMP_EXTRA},
        {"2025-07-20T", TIMESTAMP_EXTRA},
        {"2025-07-20T1", TIMESTAMP_EXTRA},
        {"2025-07-20T10", TIMESTAMP_EXTRA},
        {"2025-07-20T24:00", TIMESTAMP_EXTRA},
        {"2025-07-20T10:60", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:60Z", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00.Z", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00 Z", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00ZZ", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00+", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00+1", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00+24:00", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00+01:60", TIMESTAMP_EXTRA},
        {"2025-07-20T10:30:00*01:00", TIMESTAMP_EXTRA},
        {" 2025-07-20", TIMESTAMP_YEAR},
        {"2025-07-20 ", TIMESTAMP_EXTRA},
        {"1969-12-31T23:59:59.999Z", TIMESTAMP_EARLY},
        {"1970-01-01T00:00:00+00:01", TIMESTAMP_EARLY},
        {"0000-01-01", TIMESTAMP_EARLY},
        {"9999-12-31T23:59:59-00:01", TIMESTAMP_LATE},
        {"-1", TIMESTAMP_EARLY},
        {"-11676096001", TIMESTAMP_NUMBER_SMALL},
        {"253402300800000", TIMESTAMP_NUMBER_LARGE},
        {"99999999999999999999", TIMESTAMP_DATE_SEPARATOR},
        {"1e9", TIMESTAMP_TOO_SHORT},
        {".5", TIMESTAMP_TOO_SHORT},
        {"-", TIMESTAMP_TOO_SHORT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 7;
        enum timestamp_e fault = timestamp_parse(cases[i].text, strlen(cases[i].text), &ms);
        if (fault != cases[i].fault)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].text, timestamp_text(fault),
                     timestamp_text(cases[i].fault));
        assert_int_equal(ms, 7);
    }
}

static void numbers(void **state)
{
    (void)state;
    uint64_t ms = 0;
    assert_int_equal(timestamp_from_whole(20000000000, &ms), TIMESTAMP_OK);
    assert_int_equal(ms, 20000000000000);
    assert_int_equal(timestamp_from_whole(20000000001, &ms), TIMESTAMP_OK);
    assert_int_equal(ms, 20000000001);
    assert_int_equal(timestamp_from_whole(253402300799999, &ms), TIMESTAMP_OK);
    assert_int_equal(timestamp_from_whole(253402300800000, &ms), TIMESTAMP_NUMBER_LARGE);
    assert_int_equal(timestamp_from_whole(-20000000000, &ms), TIMESTAMP_NUMBER_SMALL);
    assert_int_equal(timestamp_from_whole(-20000000001, &ms), TIMESTAMP_EARLY);
    assert_int_equal(timestamp_from_whole(INT64_MIN, &ms), TIMESTAMP_NUMBER_SMALL);
    assert_int_equal(timestamp_from_whole(INT64_MAX, &ms), TIMESTAMP_NUMBER_LARGE);
    assert_int_equal(timestamp_from_real(1.9996, &ms), TIMESTAMP_OK);
    assert_int_equal(ms, 1999);
    assert_int_equal(timestamp_from_real(-0.0001, &ms), TIMESTAMP_EARLY);
    assert_int_equal(timestamp_from_real(1e300, &ms), TIMESTAMP_NUMBER_LARGE);
    assert_int_equal(timestamp_from_real(-1e300, &ms), TIMESTAMP_NUMBER_SMALL);
    assert_int_equal(timestamp_from_real(253402300799999.0, &ms), TIMESTAMP_OK);
    assert_int_equal(ms, 253402300799999);
}

/* What clock_iso8601() shows reads back, for every day of the calendar and any moment of it. */
static void what_is_shown_reads_back(void **state)
{
    (void)state;
    char iso[CLOCK_ISO_LEN + 1];
    for (uint64_t day = 0; day < 2932897; day++) {
        uint64_t ms = day * 86400000 + day * 7919 % 86400000, back = 0;
        clock_iso8601(ms, iso);
        assert_int_equal(timestamp_parse(iso, CLOCK_ISO_LEN, &back), TIMESTAMP_OK);
        assert_int_equal(back, ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(numbers),
        cmocka_unit_test(what_is_shown_reads_back),
    };
    return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
