/* sensors_etag.h — entity tags: an entity's version as "5", and the conditions of RFC 9110, 13.1, on it. Pure; any header is safe.
 *
 *     If-Match: "5"            only while this is the version
 *     If-Match: "4", "5", W/"x" one of these; weak ones and other people's never are (strong comparison)
 *     If-None-Match: "5"       only if it is none of these (weak comparison: W/"5" is one)
 *     …: *                     whatever the version
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ETAGS_MAX 16u /* numbers in one header */

struct etags {
    bool given, any;
    unsigned count; /* of versions */
    uint64_t versions[ETAGS_MAX];
};

/* `header` NULL: not given. `weak`: W/"5" counts, too. False: no list of entity tags, or more than ETAGS_MAX. */
bool etags_parse(const char *header, bool weak, struct etags *tags);
bool etags_have(const struct etags *tags, uint64_t version);

struct conditions {
    struct etags match, none_match;
};

/* True if a change goes ahead at this version. */
bool conditions_hold(const struct conditions *conditions, uint64_t version);
/* The store can judge it by itself: *version is what it must be (0: whatever). False: the version has to be known first. */
bool conditions_are_simple(const struct conditions *conditions, uint64_t *version);
