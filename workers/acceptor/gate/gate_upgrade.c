/* Is this a WebSocket upgrade, and is it one exactly as RFC 6455 section 4.2.1 wants it? */
#include <string.h>

#include "gate_judge.h"

/* Sets request->upgrade. An Upgrade to anything else alone is no upgrade (RFC 9110 lets a server ignore it); beside
 * websocket it is ambiguous, and h2c would reach an HPACK parser in servers that look for it first. */
bool judge_upgrade_wanted(struct judge *judge)
{
    struct judge_list list = {.name = "upgrade"};
    const char *element;
    size_t len, others = 0;
    while (judge_next_element(judge->request, &list, &element, &len)) {
        if (judge_same(element, len, "websocket"))
            judge->request->upgrade = true;
        else
            others++;
    }
    if (judge->request->upgrade && others > 0)
        return judge_refuse(judge, 400, "Upgrade names another protocol beside websocket");
    return true;
}

static bool has_connection_upgrade(const struct gate_request *request)
{
    struct judge_list list = {.name = "connection"};
    const char *element;
    size_t len;
    while (judge_next_element(request, &list, &element, &len))
        if (judge_same(element, len, "upgrade"))
            return true;
    return false;
}

/* 16 bytes in base64 are 22 characters and "=="; the last character carries 2 bits, so its low 4 are zero. */
static bool key_is_good(const char *key)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strlen(key) == 24 && strspn(key, alphabet) == 22 && strchr("AQgw", key[21]) != NULL &&
           key[22] == '=' && key[23] == '=';
}

static bool judge_ws_version(struct judge *judge)
{
    const char *version;
    if (!judge_single(judge, "sec-websocket-version", "more than one Sec-WebSocket-Version", &version))
        return false;
    if (version == NULL || strcmp(version, "13") != 0)
        return judge_refuse(judge, 426, "Sec-WebSocket-Version is not 13");
    return true;
}

static bool judge_key(struct judge *judge)
{
    const char *key;
    if (!judge_single(judge, "sec-websocket-key", "more than one Sec-WebSocket-Key", &key))
        return false;
    if (key == NULL)
        return judge_refuse(judge, 400, "Sec-WebSocket-Key is missing");
    if (!key_is_good(key))
        return judge_refuse(judge, 400, "Sec-WebSocket-Key is not 16 bytes in base64");
    judge->request->key = key;
    return true;
}

bool judge_upgrade(struct judge *judge)
{
    const struct gate_request *request = judge->request;
    if (strcmp(request->method, "GET") != 0)
        return judge_refuse(judge, 405, "a WebSocket upgrade must be a GET");
    if (!has_connection_upgrade(request))
        return judge_refuse(judge, 400, "Connection does not name Upgrade");
    if (gate_request_header(request, "content-length") != NULL)
        return judge_refuse(judge, 400, "a WebSocket upgrade has no body, but there is a Content-Length");
    if (gate_request_header(request, "http2-settings") != NULL)
        return judge_refuse(judge, 400, "HTTP2-Settings beside a WebSocket upgrade");
    return judge_ws_version(judge) && judge_key(judge);
}
