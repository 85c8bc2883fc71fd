/* access_stand.h — for the tests of access: one that is made of a configuration, on a clock of the test's that stands at NOW_MS. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "access.h"

#define NOW_MS 1800000000000ULL /* 2027-01-15 */

struct stand {
    struct clock_manual clock;
    struct conf *conf;
    struct access *access;
};

static inline void stand_complain(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static inline void stand_up(struct stand *stand, const char *name, const char *text)
{
    assert_int_equal(conf_load_text(name, text, strlen(text), stand_complain, NULL, &stand->conf), ERR_OK);
    clock_manual_init(&stand->clock, 1, NOW_MS);
    assert_int_equal(access_new(stand->conf, &stand->clock.clock, &stand->access), ERR_OK);
}

/* The same by the members of `auth`, whose files stand in `directory`. */
static inline void stand_up_with(struct stand *stand, const char *directory, const char *auth)
{
    char text[4000], name[128];
    snprintf(name, sizeof name, "%s/c.yaml", directory);
    snprintf(text, sizeof text, "state_dir: %s/no\nauth: {%s}\nlisteners: [{name: a}]\n", directory, auth);
    stand_up(stand, name, text);
}

static inline void stand_down(struct stand *stand)
{
    access_free(&stand->access);
    conf_free(&stand->conf);
}
