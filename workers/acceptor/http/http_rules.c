/* Hop: C1. What stands between a judged head and its handler, in this order: path, method, preflight, token, Origin, size,
 * type and expectation of the body. A preflight needs no token, because browsers send none with it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http_internal.h"
#include "must.h"

#define CORS_HEADERS "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
#define CORS_MAX_AGE "600"

static const struct {
    const char *name;
    enum http_method_e method;
} methods[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_GET},    {"POST", HTTP_POST},
               {"PUT", HTTP_PUT}, {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}};

void http_method_list(unsigned allowed, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].method & allowed)
            n += (size_t)snprintf(out + n, size - n, "%s, ", methods[i].name);
    MUST(n + sizeof "OPTIONS" <= size);
    memcpy(out + n, "OPTIONS", sizeof "OPTIONS");
}

static enum http_method_e method_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    return 0; /* OPTIONS */
}

/* --- the steps: true to go on, else the request was answered -------------------------------------------------------- */

static bool refuse(struct http_exchange *x, unsigned status, const char *text)
{
    http_refuse(x, status, text);
    return false;
}

static bool find_api(struct http_exchange *x, const struct gate_request *request)
{
    for (size_t i = 0; i < x->site->api_count && x->api == NULL; i++)
        if (http_path_below(x->site->apis[i]->prefix, request->path))
            x->api = x->site->apis[i];
    return x->api != NULL || refuse(x, 404, "there is nothing at this path");
}

static bool find_path(struct http_exchange *x, const struct gate_request *request)
{
    for (size_t i = 0; i < x->api->route_count; i++) {
        const struct http_route *route = &x->api->routes[i];
        if (!http_path_match(route->path, request->path, &x->http->current.params))
            continue;
        x->allowed |= route->method;
        if (route->method == x->method)
            x->route = route;
    }
    return x->allowed != 0 || refuse(x, 404, "there is nothing at this path");
}

static void answer_options(struct http_exchange *x, const struct gate_request *request)
{
    char list[64], headers[384];
    http_method_list(x->allowed, list, sizeof list);
    if (request->origin != NULL && gate_request_header(request, "access-control-request-method") != NULL)
        snprintf(headers, sizeof headers,
                 "Access-Control-Allow-Methods: %s\r\nAccess-Control-Allow-Headers: " CORS_HEADERS "\r\n"
                 "Access-Control-Max-Age: " CORS_MAX_AGE "\r\n",
                 list);
    else
        snprintf(headers, sizeof headers, "Allow: %s\r\n", list);
    http_answer(x, &(struct http_response){.status = 204, .headers = headers});
}

static bool judge_method(struct http_exchange *x, const struct gate_request *request)
{
    if (strcmp(request->method, "OPTIONS") == 0) {
        if (!request->origin_allowed)
            return refuse(x, 403, "pages of this Origin may not ask here");
        answer_options(x, request);
        return false;
    }
    return x->route != NULL || refuse(x, 405, "the method is not allowed here");
}

static bool judge_token(struct http_exchange *x, const struct gate_request *request)
{
    bool needed = x->site->needs_token || x->api->needs_token;
    if (!needed || x->route->open)
        return true;
    const struct identity *identity =
        x->site->identify != NULL ? x->site->identify(x->site->arg, request->token) : NULL;
    if (identity == NULL)
        return refuse(x, 401, "a valid token is needed");
    x->identity = identity;
    return true;
}

static bool judge_body_size(struct http_exchange *x, const struct gate_request *request)
{
    if (request->content_length <= x->http->config.max_body_bytes)
        return true;
    return refuse(x, 413, "the body is larger than allowed");
}

bool http_is_type(const char *value, const char *type)
{
    size_t len = strlen(type);
    if (value == NULL || strncasecmp(value, type, len) != 0)
        return false;
    const char *behind = value + len + strspn(value + len, " \t");
    return *behind == '\0' || *behind == ';';
}

static bool judge_body_type(struct http_exchange *x, const struct gate_request *request)
{
    const char *value = gate_request_header(request, "content-type");
    bool given = value != NULL || request->content_length > 0;
    if (x->route->body_type == NULL || !given || http_is_type(value, x->route->body_type))
        return true;
    return refuse(x, 415, "the Content-Type is not that which this path takes");
}

static bool judge_expectation(struct http_exchange *x, const struct gate_request *request)
{
    const char *value = gate_request_header(request, "expect");
    return value == NULL || strcasecmp(value, "100-continue") == 0 ||
           refuse(x, 417, "only 100-continue can be expected");
}

static bool judge_origin(struct http_exchange *x, const struct gate_request *request)
{
    return x->method == HTTP_GET || request->origin_allowed ||
           refuse(x, 403, "pages of this Origin may not change anything here");
}

static bool judge_stopping(struct http_exchange *x)
{
    return !x->http->stopping || refuse(x, 503, "the server is stopping");
}

bool exchange_judge(struct http_exchange *x, const struct gate_request *request)
{
    x->head_only = strcmp(request->method, "HEAD") == 0;
    x->method = method_named(request->method);
    if (request->origin_allowed && request->origin != NULL && strlen(request->origin) <= HTTP_ORIGIN_MAX)
        x->origin = request->origin;
    return find_api(x, request) && find_path(x, request) && judge_method(x, request) &&
           judge_token(x, request) && judge_origin(x, request) && judge_body_size(x, request) &&
           (x->method == HTTP_GET || judge_body_type(x, request)) && judge_expectation(x, request) &&
           judge_stopping(x);
}
