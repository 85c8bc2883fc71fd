/* conf_reference.c — the reference page of the configuration, made from the table (conf_table.h). */
#include "conf.h"

#include <stdio.h>
#include <string.h>

#include "conf_env.h"
#include "conf_key.h"
#include "conf_raw.h"

static void key_row(int fd, const struct conf_key *key)
{
    char expected[CONF_EXPECTED_MAX];
    conf_key_expected(key, expected);
    const char *fallback = key->fallback != NULL ? key->fallback : "required";
    const char *quote = key->fallback != NULL ? "`" : "";
    if (*fallback == '=')
        fallback++;
    dprintf(fd, "| `%s` | %s | %s%s%s | %s | %s |\n", key->key, expected, quote, fallback, quote,
            key->reloadable ? "yes" : "no", key->text);
}

static void section_table(int fd, const struct conf_section *section)
{
    dprintf(fd, "| key | value | default | reloadable | |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < section->count; i++)
        if (section->keys[i].type != CONF_SECTION && section->keys[i].type != CONF_LIST)
            key_row(fd, &section->keys[i]);
}

void conf_reference(int fd)
{
    dprintf(
        fd,
        "# Noria's configuration file\n\nOne YAML file for all processes (`-c FILE`), at most 1 MiB, without "
        "aliases and directives. Unknown keys are errors.\n\n");
    section_table(fd, &conf_root_section);
    for (size_t i = 0; i < conf_root_section.count; i++) {
        const struct conf_key *key = &conf_root_section.keys[i];
        if (key->section == NULL)
            continue;
        dprintf(fd, "\n## %s%s\n\n%s\n\n", key->key, key->type == CONF_LIST ? "[]" : "", key->text);
        section_table(fd, key->section);
    }
    dprintf(
        fd,
        "\n## Environment\n\nThese variables override the file.\n\n| variable | key | in |\n|---|---|---|\n");
#define E(variable, key, factor, unit) dprintf(fd, "| `%s` | `%s` | %s |\n", variable, #key, unit);
    CONF_ENV_TABLE(E)
#undef E
}
