/* conf_env.c — the environment's overrides, checked by the same lines of the table as the file's values (conf_env.h).
 *
 * WEBSOCKET_PING_… are in seconds, as the servers that Noria replaces read them; a decimal fraction is allowed.
 */
#include "conf_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

/* The key that stands at "section.key" or "key". */
static const struct conf_key *find_key(const struct conf_section *section, const char *path)
{
    size_t len = strcspn(path, ".");
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        if (strlen(key->key) == len && memcmp(key->key, path, len) == 0)
            return path[len] == '.' ? find_key(key->section, path + len + 1) : key;
    }
    MUST_NOT_REACH();
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

/* False: told. */
static bool store_scaled(const struct conf_key *key, const char *variable, const char *text, unsigned factor,
                         struct conf_load *load)
{
    char scaled[16], expected[CONF_EXPECTED_MAX];
    if (scale(text, factor, scaled) && conf_key_store(key, scaled, &load->owner->draft))
        return true;
    struct conf_key in_seconds = *key;
    in_seconds.min = (key->min + factor - 1) / factor;
    in_seconds.max = key->max / factor;
    in_seconds.form = "seconds";
    conf_key_expected(&in_seconds, expected); /* decimals are fine here: no hint at digits only */
    conf_problem(&load->problems, 0, variable, "%.60s is not %s", text, expected);
    return false;
}

static bool store(const struct conf_key *key, const char *variable, const char *text, unsigned factor,
                  struct conf_load *load)
{
    if (factor > 1)
        return store_scaled(key, variable, text, factor, load);
    if (conf_key_store(key, text, &load->owner->draft))
        return true;
    conf_key_wrong(key, text, 0, variable, &load->problems);
    return false;
}

static enum err_e apply_one(const char *variable, const char *path, unsigned factor, struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const char *text = getenv(variable);
    if (text == NULL || *text == '\0')
        return ERR_OK;
    text = conf_own_text(load->owner, text); /* the process may change its environment */
    if (text == NULL)
        return ERR_MEMORY;
    if (store(find_key(&conf_root_section, path), variable, text, factor, load))
        conf->overrides[conf->override_count++] = (struct conf_override){variable, path, text};
    return ERR_OK;
}

enum err_e conf_env_apply(struct conf_load *load)
{
#define E(variable, path, factor, unit) +1
    const size_t most = 0 CONF_ENV_TABLE(E);
#undef E
    struct conf *conf = &load->owner->draft.conf;
    conf->overrides = conf_own(load->owner, most * sizeof *conf->overrides);
    enum err_e err = conf->overrides != NULL ? ERR_OK : ERR_MEMORY;
#define E(variable, path, factor, unit)                                                                      \
    if (err == ERR_OK)                                                                                       \
        err = apply_one(variable, path, factor, load);
    CONF_ENV_TABLE(E)
#undef E
    return err;
}
