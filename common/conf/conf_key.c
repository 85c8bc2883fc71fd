/* conf_key.c — reads one value by its line of the table, and a section by its lines (conf_key.h).
 *
 * Numbers are decimal digits and nothing else; truths are the six words of YAML 1.1, in any case. What a value must look like is
 * worded once, by conf_key_expected(), for error messages and for the reference page.
 */
#include "conf_key.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf_near.h"
#include "must.h"

#define SHOWN_MAX 60 /* bytes of a wrong value that a message quotes */
#define HINT_MAX  100

/* --- one value -------------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t *value)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 10 || text[len] != '\0')
        return false;
    *value = 0;
    for (size_t i = 0; i < len; i++)
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    return true;
}

static bool read_bool(const char *text, uint64_t *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value = i % 2;
            return true;
        }
    }
    return false;
}

static bool read_choice(const char *text, const char *alternatives, uint64_t *value)
{
    size_t len = strlen(text);
    *value = 0;
    for (const char *at = alternatives; len > 0; at += strcspn(at, "|") + 1, ++*value) {
        size_t here = strcspn(at, "|");
        if (here == len && memcmp(at, text, len) == 0)
            return true;
        if (at[here] == '\0')
            return false;
    }
    return false;
}

static bool only_of(const char *text, const char *extra)
{
    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9');
        if (!plain && strchr(extra, *text) == NULL)
            return false;
    }
    return true;
}

static bool no_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool is_address(const char *text)
{
    unsigned char binary[16];
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

/* RFC 6454, as browsers write it: lower case, no path, no trailing slash. */
static bool is_origin(const char *text)
{
    if (strcmp(text, "null") == 0)
        return true;
    const char *sep = strstr(text, "://");
    if (sep == NULL || sep == text ||
        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != (size_t)(sep - text))
        return false;
    const char *host = sep + 3;
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]");
    return len > 0 && host[len] == '\0' && *host != ':';
}

static bool read_hex(const char *text, unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    if (strlen(text) != 2 * count)
        return false;
    for (size_t i = 0; i < 2 * count; i++) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL)
            return false;
        unsigned value = (unsigned)(digit - digits) % 16;
        bytes[i / 2] = (unsigned char)(i % 2 == 0 ? value << 4 : bytes[i / 2] | value);
    }
    return true;
}

/* Unreserved characters of RFC 3986 only, so that there is one spelling. Clients drop segments of dots. */
static bool is_url_path(const char *text)
{
    if (*text != '/' || !only_of(text, "/_.~-"))
        return false;
    for (; *text == '/'; text += strcspn(text, "/")) {
        size_t len = strcspn(++text, "/");
        if ((len == 0 && *text == '/') || (len == 1 && *text == '.') ||
            (len == 2 && memcmp(text, "..", 2) == 0))
            return false;
    }
    return true;
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static bool text_fits(const struct conf_key *key, const char *text)
{
    uint64_t index;
    struct conf_argon2 cost;
    size_t len = strlen(text);
    if (key->type == CONF_CHOICE_TEXT)
        return read_choice(text, key->form, &index);
    if (len < key->min || len > key->max || (key->type != CONF_WORD && !no_control(text)))
        return false;
    switch (key->type) {
    case CONF_TEXT:
    case CONF_WORD:
    case CONF_FILE:
        return true;
    case CONF_SECRET:
        return conf_argon2(text, &cost);
    case CONF_NAME:
        return only_of(text, "_.-");
    case CONF_ID:
        return machine_id_valid(text, len);
    case CONF_PATH:
        return text[0] == '/';
    case CONF_URL_PATH:
        return is_url_path(text);
    case CONF_ADDRESS:
        return is_address(text);
    case CONF_ORIGIN:
        return is_origin(text);
    default:
        MUST_NOT_REACH();
    }
}

static bool number_fits(const struct conf_key *key, const char *text, uint64_t *value)
{
    switch (key->type) {
    case CONF_BOOL:
        return read_bool(text, value);
    case CONF_CHOICE:
        return read_choice(text, key->form, value);
    case CONF_UINT:
    case CONF_PORT:
    case CONF_POWER2:
    case CONF_KIB:
        return read_number(text, value) && *value >= key->min && *value <= key->max &&
               (key->type != CONF_POWER2 || is_power_of_two(*value));
    default:
        MUST_NOT_REACH();
    }
}

static void store_number(const struct conf_key *key, uint64_t value, char *place)
{
    uint8_t u8 = (uint8_t)value;
    uint16_t u16 = (uint16_t)value;
    uint32_t u32 = (uint32_t)value;
    MUST(key->size == 1 || key->size == 2 || key->size == 4);
    memcpy(place, key->size == 1 ? (void *)&u8 : key->size == 2 ? (void *)&u16 : (void *)&u32, key->size);
}

static bool store_bytes(const struct conf_key *key, const char *text, char *place)
{
    unsigned char bytes[32];
    MUST(key->size == sizeof bytes);
    if (!read_hex(text, bytes, sizeof bytes))
        return false;
    memcpy(place, bytes, sizeof bytes);
    return true;
}

bool conf_key_store(const struct conf_key *key, const char *text, void *target)
{
    char *place = (char *)target + key->at;
    uint64_t value;
    switch (key->store) {
    case CONF_STORE_NUMBER:
        if (!number_fits(key, text, &value))
            return false;
        store_number(key, key->type == CONF_KIB ? value * 1024 : value, place);
        return true;
    case CONF_STORE_CHARS:
        if (!text_fits(key, text))
            return false;
        MUST(strlen(text) < key->size);
        memcpy(place, text, strlen(text) + 1);
        return true;
    case CONF_STORE_POINTER:
        if (!text_fits(key, text))
            return false;
        memcpy(place, &text, sizeof text);
        return true;
    case CONF_STORE_BYTES:
        return store_bytes(key, text, place);
    }
    MUST_NOT_REACH();
}

static void expected_choice(const char *form, char out[CONF_EXPECTED_MAX])
{
    size_t len = (size_t)snprintf(out, CONF_EXPECTED_MAX, "%s", strchr(form, '|') != NULL ? "one of " : "");
    for (; *form != '\0' && len + 3 < CONF_EXPECTED_MAX; form++) {
        if (*form == '|')
            out[len++] = ',';
        out[len++] = *form == '|' ? ' ' : *form;
    }
    out[len] = '\0';
}

static void expected_list(const struct conf_key *key, const char *of, char out[CONF_EXPECTED_MAX])
{
    unsigned long long min = key->min, max = key->max;
    if (min > 0)
        snprintf(out, CONF_EXPECTED_MAX, "a list of %llu to %llu %s", min, max, of);
    else
        snprintf(out, CONF_EXPECTED_MAX, "a list of at most %llu %s", max, of);
}

void conf_key_expected(const struct conf_key *key, char out[CONF_EXPECTED_MAX])
{
    unsigned long long min = key->min, max = key->max;
    const char *unit = key->form != NULL ? key->form : "", *space = *unit != '\0' ? " " : "";
    switch (key->type) {
    case CONF_UINT:
    case CONF_KIB:
        snprintf(out, CONF_EXPECTED_MAX, "a number (%llu to %llu%s%s)", min, max, space, unit);
        return;
    case CONF_POWER2:
        snprintf(out, CONF_EXPECTED_MAX, "a power of two (%llu to %llu%s%s)", min, max, space, unit);
        return;
    case CONF_PORT:
        snprintf(out, CONF_EXPECTED_MAX, "a port (%llu to %llu)", min, max);
        return;
    case CONF_TEXT:
        snprintf(out, CONF_EXPECTED_MAX, "a text of %llu to %llu bytes without control characters", min, max);
        return;
    case CONF_WORD:
        snprintf(out, CONF_EXPECTED_MAX, "a text of at most %llu bytes", max);
        return;
    case CONF_SECRET:
        snprintf(out, CONF_EXPECTED_MAX,
                 "an argon2id hash as `noria hash-password` prints it: $argon2id$v=19$m=…,t=…,p=…$salt$hash");
        return;
    case CONF_NAME:
        snprintf(out, CONF_EXPECTED_MAX, "a name (%llu to %llu of A-Z a-z 0-9 _ . -)", min, max);
        return;
    case CONF_ID:
        snprintf(out, CONF_EXPECTED_MAX, "an id (%llu to %llu of A-Z a-z 0-9 _ . : -)", min, max);
        return;
    case CONF_PATH:
        snprintf(out, CONF_EXPECTED_MAX, "an absolute path of at most %llu bytes", max);
        return;
    case CONF_URL_PATH:
        snprintf(out, CONF_EXPECTED_MAX,
                 "a path (%llu to %llu of A-Z a-z 0-9 _ . ~ - / that begin with /; no //, /./ or /../)", min,
                 max);
        return;
    case CONF_FILE:
        snprintf(out, CONF_EXPECTED_MAX, "a file name of at most %llu bytes", max);
        return;
    case CONF_SHA256:
        snprintf(out, CONF_EXPECTED_MAX, "a SHA-256 (64 hexadecimal digits)");
        return;
    case CONF_BOOL:
        snprintf(out, CONF_EXPECTED_MAX, "true or false");
        return;
    case CONF_ADDRESS:
        snprintf(out, CONF_EXPECTED_MAX, "a numeric IPv4 or IPv6 address");
        return;
    case CONF_ORIGIN:
        snprintf(out, CONF_EXPECTED_MAX,
                 "an origin (scheme://host or scheme://host:port in lower case, or null)");
        return;
    case CONF_CHOICE:
    case CONF_CHOICE_TEXT:
        expected_choice(unit, out);
        return;
    case CONF_SECTION:
        snprintf(out, CONF_EXPECTED_MAX, "a mapping of keys to values, such as {%s: …}",
                 key->section->keys[0].key);
        return;
    case CONF_LIST:
        expected_list(key, "entries", out);
        return;
    case CONF_STRINGS:
        expected_list(key, "values", out);
        return;
    }
    MUST_NOT_REACH();
}

/* What the writer may have had in mind; "" if nothing comes to it. */
static void hint_for(const struct conf_key *key, const char *text, char out[HINT_MAX])
{
    char word[64];
    bool digit = *text >= '0' && *text <= '9';
    size_t letters = strspn(text, "0123456789.");
    out[0] = '\0';
    if ((key->type == CONF_CHOICE || key->type == CONF_CHOICE_TEXT) &&
        conf_near_choice(text, key->form, word) != NULL)
        snprintf(out, HINT_MAX, "; did you mean %s?", word);
    else if (key->type == CONF_ADDRESS && digit && text[letters] == ':')
        snprintf(out, HINT_MAX, "; the port is a key of its own");
    else if (key->type == CONF_ADDRESS && !digit && strchr(text, ':') == NULL)
        snprintf(out, HINT_MAX, "; names are not looked up");
    else if ((key->type == CONF_UINT || key->type == CONF_POWER2 || key->type == CONF_KIB) && digit &&
             text[strspn(text, "0123456789")] != '\0')
        snprintf(out, HINT_MAX, "; write digits only%s%s", *key->form != '\0' ? ", in " : "", key->form);
}

void conf_key_wrong(const struct conf_key *key, const char *text, uint32_t line, const char *path,
                    struct conf_problems *problems)
{
    char expected[CONF_EXPECTED_MAX], hint[HINT_MAX];
    conf_key_expected(key, expected);
    hint_for(key, text, hint);
    if (*text == '\0')
        conf_problem(problems, line, path, "nothing found, expected %s", expected);
    else if (key->type == CONF_SECRET)
        conf_problem(problems, line, path, "is not %s", expected);
    else
        conf_problem(problems, line, path, "%.*s%s is not %s%s", SHOWN_MAX, text,
                     strlen(text) > SHOWN_MAX ? "…" : "", expected, hint);
}

/* --- a section -------------------------------------------------------------------------------------------------- */

static void missed(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                   struct conf_problems *problems)
{
    char path[CONF_KEY_PATH_MAX], expected[CONF_EXPECTED_MAX];
    conf_outline_path(outline, node, path);
    conf_key_expected(key, expected);
    conf_problem(problems, conf_outline_line(outline, node), path, "the key %s is missing, expected %s",
                 key->key, expected);
}

static void apply_default(const struct conf_key *key, const struct conf_outline *outline, uint32_t node,
                          void *target, struct conf_problems *problems)
{
    if (key->fallback == NULL)
        missed(key, outline, node, problems);
    else if (key->fallback[0] == '\0')
        return; /* the target's own zero */
    else if (key->fallback[0] != '=')
        MUST(conf_key_store(key, key->fallback, target));
}

static void apply_value(const struct conf_key *key, const char *text, const struct conf_outline *outline,
                        uint32_t node, void *target, struct conf_problems *problems)
{
    if (conf_key_store(key, text, target))
        return;
    char path[CONF_KEY_PATH_MAX];
    uint32_t at = conf_outline_child(outline, node, key->key);
    conf_outline_path(outline, at, path);
    conf_key_wrong(key, text, conf_outline_line(outline, at), path, problems);
}

static void apply_inner(const struct conf_key *key, const void *raw, const struct conf_outline *outline,
                        uint32_t node, void *target, struct conf_problems *problems)
{
    uint32_t inner = conf_outline_child(outline, node, key->key);
    if (inner == CONF_NO_NODE && key->min > 0 && key->fallback == NULL)
        missed(key, outline, node, problems);
    else if (key->type == CONF_SECTION)
        conf_section_apply(key->section, raw, outline, inner, (char *)target + key->at, problems);
}

void conf_section_apply(const struct conf_section *section, const void *raw,
                        const struct conf_outline *outline, uint32_t node, void *target,
                        struct conf_problems *problems)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct conf_key *key = &section->keys[i];
        const char *place = (const char *)raw + key->raw_at, *text;
        if (key->type >= CONF_SECTION) {
            apply_inner(key, place, outline, node, target, problems);
            continue;
        }
        memcpy(&text, place, sizeof text);
        if (text == NULL || key->fallback != NULL)
            apply_default(key, outline, node, target,
                          problems); /* also where the value turns out to be wrong */
        if (text != NULL)
            apply_value(key, text, outline, node, target, problems);
    }
}
