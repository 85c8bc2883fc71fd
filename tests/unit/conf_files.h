/* conf_files.h — a configuration from a file on disk, and what was said about it (conf_fixture.h: from a text). */
#pragma once

#include "conf_fixture.h"

#include <stdlib.h>
#include <unistd.h>

static inline const char *scratch(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/conf_test.%d.yaml", (int)getpid());
    return path;
}

static inline void write_file(const char *text, size_t len)
{
    FILE *file = fopen(scratch(), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static inline enum err_e load_bytes(const char *text, size_t len, struct conf **conf)
{
    conf_told[0] = '\0';
    write_file(text, len);
    enum err_e err = conf_load(scratch(), conf_collect, NULL, conf);
    unlink(scratch());
    assert_int_equal(err == ERR_OK, *conf != NULL);
    assert_int_equal(err == ERR_CONFIG, conf_told[0] != '\0');
    return err;
}

static inline enum err_e load(const char *text, struct conf **conf)
{
    return load_bytes(text, strlen(text), conf);
}

/* Loads `text`, which must be refused with exactly the lines of `expected` ("LINE: rest", the file's name left out). */
static inline void refuses(const char *text, const char *expected)
{
    struct conf *conf;
    assert_int_equal(load(text, &conf), ERR_CONFIG);
    char shown[sizeof conf_told], *out = shown;
    size_t prefix = strlen(scratch()) + 1;
    for (char *line = strtok(conf_told, "\n"); line != NULL; line = strtok(NULL, "\n"))
        out += sprintf(out, "%s\n", strncmp(line, scratch(), prefix - 1) == 0 ? line + prefix : line);
    *out = '\0';
    assert_string_equal(shown, expected);
}

#define MIB      ((size_t)1 << 20)
#define LISTENER "listeners:\n  - {name: a, port: 9001}\n"
