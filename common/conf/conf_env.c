/* conf_env.c — the environment's overrides, checked by the same lines of the table as the file's values (conf_env.h).
 *
 * WEBSOCKET_PING_… are in seconds, as the servers that Noria replaces read them; a decimal fraction is allowed.
 */
#include "conf_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_raw.h"
#include "must.h"

/* The key of that name in a section of the file, wherever it stands. */
static const struct conf_key *find_key(const struct conf_section *section, const char *name)
{
    const struct conf_key *found = NULL;
    for (size_t i = 0; i < section->count && found == NULL; i++) {
        const struct conf_key *key = &section->keys[i];
        if (key->type == CONF_SECTION)
            found = find_key(key->section, name);
        else if (strcmp(key->key, name) == 0)
            found = key;
    }
    return found;
}

/* "1.5" seconds → "1500": as many digits after the point as `factor` has zeros. */
static bool scale(const char *text, unsigned factor, char out[16])
{
    size_t whole = strspn(text, "0123456789"), digits = 0;
    const char *fraction = text[whole] == '.' ? text + whole + 1 : text + whole;
    if (whole == 0 || whole > 8)
        return false;
    memcpy(out, text, whole);
    for (; factor > 1; factor /= 10)
        out[whole + digits++] = *fraction >= '0' && *fraction <= '9' ? *fraction++ : '0';
    out[whole + digits] = '\0';
    return *fraction == '\0' && (text[whole] != '.' || fraction > text + whole + 1);
}

static void apply_one(const char *variable, const char *name, unsigned factor, struct conf_draft *draft,
                      struct conf_problems *problems)
{
    const char *text = getenv(variable);
    if (text == NULL || *text == '\0')
        return;
    const struct conf_key *key = find_key(&conf_root_section, name);
    MUST(key != NULL);
    if (factor == 1) {
        if (!conf_key_store(key, text, draft))
            conf_key_wrong(key, text, 0, variable, problems);
        return;
    }
    char scaled[16], expected[CONF_EXPECTED_MAX];
    if (scale(text, factor, scaled) && conf_key_store(key, scaled, draft))
        return;
    struct conf_key in_seconds = *key;
    in_seconds.min = (key->min + factor - 1) / factor;
    in_seconds.max = key->max / factor;
    in_seconds.form = "seconds";
    conf_key_expected(&in_seconds, expected);
    conf_key_wrong(&in_seconds, text, 0, variable, problems);
}

void conf_env_apply(struct conf_draft *draft, struct conf_problems *problems)
{
#define E(variable, key, factor, unit) apply_one(variable, #key, factor, draft, problems);
    CONF_ENV_TABLE(E)
#undef E
}
