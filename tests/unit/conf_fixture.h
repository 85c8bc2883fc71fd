/* conf_fixture.h — a configuration from a text, and what was said about it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf.h"

static char conf_told[64 * 1024]; /* problems, a line each */

static inline void conf_collect(void *arg, const char *text)
{
    (void)arg;
    size_t len = strlen(conf_told);
    snprintf(conf_told + len, sizeof conf_told - len, "%s\n", text);
}

static inline enum err_e conf_from(const char *file, const char *text, struct conf **conf)
{
    conf_told[0] = '\0';
    enum err_e err = conf_load_text(file, text, strlen(text), conf_collect, NULL, conf);
    assert_int_equal(err == ERR_OK, *conf != NULL);
    assert_int_equal(err == ERR_CONFIG, conf_told[0] != '\0');
    return err;
}

/* A configuration that must be fine. The caller frees it. */
static inline struct conf *conf_good(const char *file, const char *text)
{
    struct conf *conf;
    if (conf_from(file, text, &conf) != ERR_OK)
        fail_msg("refused: %s", conf_told);
    return conf;
}

/* A text that must be refused with exactly these lines ("c.yaml:3: …"). */
static inline void conf_refuses(const char *file, const char *text, const char *expected)
{
    struct conf *conf;
    assert_int_equal(conf_from(file, text, &conf), ERR_CONFIG);
    assert_string_equal(conf_told, expected);
}

/* All warnings of a configuration that is fine, a line each. */
static inline const char *conf_warnings_of(const char *file, const char *text)
{
    static char lines[16 * 1024];
    struct conf *conf = conf_good(file, text);
    size_t len = 0;
    lines[0] = '\0';
    for (size_t i = 0; i < conf->warning_count; i++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "%s\n", conf->warnings[i]);
    conf_free(&conf);
    return lines;
}
