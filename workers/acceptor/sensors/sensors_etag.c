#include "sensors_etag.h"

#include <string.h>

#define DIGITS_MAX 18 /* of a version; longer ones are nobody's */

static void skip(const char **at, const char *chars)
{
    *at += strspn(*at, chars);
}

/* A version's text: digits without a leading zero. 0: another tag. */
static uint64_t version_of(const char *text, size_t len)
{
    uint64_t version = 0;
    if (len == 0 || len > DIGITS_MAX || text[0] == '0')
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        version = 10 * version + (uint64_t)(text[i] - '0');
    }
    return version;
}

/* One tag, [W/]"…"; false: it is none. */
static bool take_tag(const char **at, bool *weak, uint64_t *version)
{
    *weak = strncmp(*at, "W/", 2) == 0;
    *at += *weak ? 2 : 0;
    if (**at != '"')
        return false;
    const char *from = ++*at;
    size_t len = strcspn(from, "\"");
    if (from[len] == '\0')
        return false;
    *version = version_of(from, len);
    *at += len + 1;
    return true;
}

static bool take_list(const char *at, bool take_weak, struct etags *tags)
{
    bool weak;
    uint64_t version;
    for (skip(&at, " \t,"); *at != '\0'; skip(&at, " \t,")) {
        if (!take_tag(&at, &weak, &version))
            return false;
        skip(&at, " \t");
        if (*at != '\0' && *at != ',')
            return false;
        if (version == 0 || (weak && !take_weak))
            continue;
        if (tags->count == ETAGS_MAX)
            return false;
        tags->versions[tags->count++] = version;
    }
    return true;
}

bool etags_parse(const char *header, bool weak, struct etags *tags)
{
    *tags = (struct etags){.given = header != NULL};
    if (header == NULL)
        return true;
    tags->any = strcmp(header, "*") == 0;
    return tags->any || take_list(header, weak, tags);
}

bool etags_have(const struct etags *tags, uint64_t version)
{
    for (unsigned i = 0; i < tags->count; i++)
        if (tags->versions[i] == version)
            return true;
    return tags->any;
}

bool conditions_hold(const struct conditions *conditions, uint64_t version)
{
    const struct etags *match = &conditions->match, *none = &conditions->none_match;
    return !(match->given && !etags_have(match, version)) && !(none->given && etags_have(none, version));
}

bool conditions_are_simple(const struct conditions *conditions, uint64_t *version)
{
    const struct etags *match = &conditions->match;
    *version = match->count == 1 ? match->versions[0] : 0;
    return !conditions->none_match.given && (!match->given || match->any || match->count == 1);
}
