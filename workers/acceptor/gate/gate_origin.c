/* Host and Origin. Browsers let every page of every site open a WebSocket anywhere and only tell the server which
 * page it was; refusing strangers is the server's part (RFC 6455 section 10.2). Allowed: no Origin (no browser), a
 * page of the same host, on any port (Noria's own pages have another port than its dialects), a page of this machine,
 * and what the configuration lists. "null" (a page of a file, or a sandbox) is allowed only by being listed. */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "gate_judge.h"

/* "name[:port]" or "[v6][:port]": *host_len without the port. */
static bool split_authority(const char *authority, size_t *host_len)
{
    static const char name_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%";
    const char *end;
    if (authority[0] == '[') {
        end = authority + 1 + strspn(authority + 1, "0123456789abcdefABCDEF:.");
        if (*end++ != ']')
            return false;
    } else {
        end = authority + strspn(authority, name_chars);
        if (end == authority)
            return false;
    }
    *host_len = (size_t)(end - authority);
    if (*end == '\0')
        return true;
    size_t digits = strspn(end + 1, "0123456789");
    return *end == ':' && digits <= 5 && end[1 + digits] == '\0';
}

bool judge_host(struct judge *judge)
{
    const char *host;
    size_t len;
    if (!judge_single(judge, "host", "more than one Host", &host))
        return false;
    if (host == NULL)
        return judge_refuse(judge, 400, "Host is missing");
    if (!split_authority(host, &len))
        return judge_refuse(judge, 400, "Host is not name or name:port");
    judge->request->host = host;
    return true;
}

static bool is_loopback(const char *host, size_t len)
{
    static const char suffix[] = ".localhost";
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (judge_same(host, len, "localhost") || judge_same(host, len, "[::1]"))
        return true;
    if (len > sizeof suffix - 1 &&
        strncasecmp(host + len - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0)
        return true;
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_listed(const struct gate_rules *rules, const char *origin)
{
    for (size_t i = 0; i < rules->origin_count; i++)
        if (strcasecmp(rules->origins[i], origin) == 0)
            return true;
    return false;
}

static bool is_near(const struct gate_request *request, const char *origin)
{
    size_t host_len, own_len;
    const char *authority = strncasecmp(origin, "http://", 7) == 0    ? origin + 7
                            : strncasecmp(origin, "https://", 8) == 0 ? origin + 8
                                                                      : NULL;
    if (authority == NULL || !split_authority(authority, &host_len) ||
        !split_authority(request->host, &own_len))
        return false;
    if (host_len == own_len && strncasecmp(authority, request->host, host_len) == 0)
        return true;
    return is_loopback(authority, host_len);
}

bool judge_plain_origin(struct judge *judge)
{
    const char *origin;
    if (!judge_single(judge, "origin", "more than one Origin", &origin))
        return false;
    judge->request->origin = origin;
    judge->request->origin_allowed =
        origin == NULL || is_listed(judge->rules, origin) || is_near(judge->request, origin);
    return true;
}

bool judge_origin(struct judge *judge)
{
    if (!judge_plain_origin(judge))
        return false;
    return judge->request->origin_allowed || judge_refuse(judge, 403, "pages of this Origin may not connect");
}
