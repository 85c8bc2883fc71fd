/* Subprotocols and the bearer token, which stands in one of three places: `Authorization: Bearer T`,
 * `Sec-WebSocket-Protocol: bearer, T` (all that a browser can send), `?token=T`. Two at once are refused (RFC 6750
 * section 2). Whatever its place, the token is taken out of the strings that others may show or log. */
#include <string.h>
#include <strings.h>

#include "gate_judge.h"
#include "must.h"

static bool found_token(struct judge *judge, const char *token)
{
    if (judge->request->token != NULL)
        return judge_refuse(judge, 400, "a token in two places");
    judge->request->token = token;
    return true;
}

static void redact(struct gate_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcmp(request->headers[i].name, name) == 0)
            request->headers[i].value = "***";
}

/* --- Sec-WebSocket-Protocol -------------------------------------------------------------------------------------- */

static bool take_protocol(struct judge *judge, const char *element, size_t len)
{
    struct gate_request *request = judge->request;
    if (request->protocol_count == GATE_PROTOCOLS_MAX)
        return judge_refuse(judge, 400, "more than 16 subprotocols");
    if (!judge_is_token(element, len))
        return judge_refuse(judge, 400, "a subprotocol that is not a word");
    bool is_token = request->protocol_count == 1 && strcmp(request->protocols[0], "bearer") == 0;
    if (is_token && !found_token(judge, element))
        return false;
    request->protocols[request->protocol_count++] = is_token ? "***" : element;
    return true;
}

/* The elements lie in the head's own buffer; the byte behind one is its comma, white space or end, and judge_list is
 * past it. */
static void end_string(const char *element, size_t len)
{
    ((char *)(uintptr_t)element)[len] = '\0';
}

bool judge_protocols(struct judge *judge)
{
    struct gate_request *request = judge->request;
    struct judge_list list = {.name = "sec-websocket-protocol"};
    const char *element;
    size_t len;
    while (judge_next_element(request, &list, &element, &len)) {
        end_string(element, len);
        if (!take_protocol(judge, element, len))
            return false;
    }
    if (request->protocol_count > 0 && strcmp(request->protocols[0], "bearer") == 0) {
        request->protocol = "bearer";
        redact(request, list.name);
    }
    return true;
}

/* --- Authorization ----------------------------------------------------------------------------------------------- */

static bool judge_authorization(struct judge *judge)
{
    const char *value;
    if (!judge_single(judge, "authorization", "more than one Authorization", &value))
        return false;
    if (value == NULL)
        return true;
    redact(judge->request, "authorization");
    if (strncasecmp(value, "bearer", 6) != 0 || (value[6] != ' ' && value[6] != '\0'))
        return true;
    return found_token(judge, value + 6 + strspn(value + 6, " "));
}

/* --- ?token= ------------------------------------------------------------------------------------------------------ */

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* %XX were checked with the request target. */
static size_t percent_decode(char *out, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            out[n++] = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
            i += 2;
        } else {
            out[n++] = text[i];
        }
    }
    return n;
}

/* Cuts the parameter at `param` out of the query and puts its value, decoded, behind the query's new end: the cut
 * made more room ("token=" and its separator) than that takes. */
static const char *move_token(char *query, char *param, size_t param_len)
{
    char token[GATE_HEAD_MAX];
    size_t query_len = strlen(query);
    size_t token_len = percent_decode(token, param + 6, param_len - 6);
    char *rest = param + param_len;
    if (*rest == '&')
        rest++;
    else if (param > query)
        param--;
    memmove(param, rest, (size_t)(query + query_len - rest) + 1);
    char *place = query + strlen(query) + 1;
    MUST(place + token_len <= query + query_len);
    memcpy(place, token, token_len);
    place[token_len] = '\0';
    return place;
}

static char *find_token_param(char *query, size_t *len)
{
    for (char *at = query; *at != '\0';) {
        *len = strcspn(at, "&");
        if (*len >= 6 && strncmp(at, "token=", 6) == 0)
            return at;
        at += *len + (at[*len] == '&');
    }
    return NULL;
}

static bool judge_query_token(struct judge *judge)
{
    char *query = (char *)(uintptr_t)judge->request->query;
    size_t len;
    char *param = find_token_param(query, &len);
    if (param == NULL)
        return true;
    if (!found_token(judge, ""))
        return false;
    judge->request->token = move_token(query, param, len);
    if (find_token_param(query, &len) != NULL)
        return judge_refuse(judge, 400, "a token in two places");
    return true;
}

bool judge_tokens(struct judge *judge)
{
    return judge_authorization(judge) && judge_query_token(judge);
}
