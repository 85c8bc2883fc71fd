#include "command_scope.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"

#define UUID_LEN  36
#define NAME_KEPT 61 /* of a name that is too long: "p:", this, "#", 16 hex digits */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool command_scope_is_uuid(const char *text)
{
    if (strnlen(text, UUID_LEN + 1) != UUID_LEN)
        return false;
    for (int i = 0; i < UUID_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return true;
}

static void principal_scope(char scope[COMMAND_SCOPE_MAX + 1], const char *principal)
{
    size_t len = strlen(principal);
    if (len <= COMMAND_SCOPE_MAX - 2)
        snprintf(scope, COMMAND_SCOPE_MAX + 1, "p:%s", principal);
    else
        snprintf(scope, COMMAND_SCOPE_MAX + 1, "p:%.*s#%016" PRIx64, NAME_KEPT, principal,
                 hash_bytes(principal, len, 0));
}

void command_scope(char scope[COMMAND_SCOPE_MAX + 1], const char *principal, const char *request_id,
                   uint64_t worker, uint64_t session)
{
    if (request_id[0] == '\0')
        scope[0] = '\0';
    else if (principal[0] != '\0')
        principal_scope(scope, principal);
    else if (command_scope_is_uuid(request_id))
        memcpy(scope, "u:", sizeof "u:");
    else
        snprintf(scope, COMMAND_SCOPE_MAX + 1, "c:%016" PRIx64 "-%" PRIu64, worker, session);
}
