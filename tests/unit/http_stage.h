/* http_stage.h — the HTTP engine behind a real gate, for its tests: real sockets and loop, raw clients in the same thread,
 * time by hand, and a site whose routes echo, wait, or answer as much as is asked for. */
#pragma once

#include "raw_client.h"

#include "gate.h"
#include "http.h"
#include "http_internal.h"
#include "must.h"

#define POST_HEAD(path, length)                                                                              \
    "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " length         \
    "\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

enum { LIMIT_MS = 30000, MAX_BODY = 65536 };

struct server {
    uv_loop_t loop;
    struct clock_manual clock;
    struct gate *gate;
    struct http *http;
    int listen_fd;
    uint16_t port;
    struct http_exchange *waiting[64]; /* more than ever wait at once */
    unsigned cancels, handled;
    void (*in_cancel)(void);
    int pair[2]; /* of an_event_for_an_earlier_life */
    char *big;
};

static struct server *server;

/* --- what is served ----------------------------------------------------------------------------------------------------- */

static inline void answer(struct http_exchange *x, unsigned status, const void *body, size_t len)
{
    http_answer(
        x, &(struct http_response){.status = status, .type = "text/plain", .body = body, .body_len = len});
}

static inline void on_echo(void *arg, struct http_exchange *x)
{
    assert_ptr_equal(arg, server);
    server->handled++;
    answer(x, 200, http_param(x, 0), strlen(http_param(x, 0)));
}

static inline void on_body(void *arg, struct http_exchange *x)
{
    size_t len;
    const char *body = http_body(x, &len);
    (void)arg;
    server->handled++;
    answer(x, 201, body, len); /* straight out of the request's memory */
}

static inline void on_cancel(void *state)
{
    struct http_exchange **place = state;
    assert_non_null(*place);
    *place = NULL;
    server->cancels++;
    if (server->in_cancel != NULL)
        server->in_cancel();
}

static inline void on_wait(void *arg, struct http_exchange *x)
{
    struct http_exchange **place = server->waiting;
    (void)arg;
    while (*place != NULL)
        place++;
    server->handled++;
    *place = x;
    http_wait(x, on_cancel, place, LIMIT_MS);
}

static inline void on_big(void *arg, struct http_exchange *x)
{
    char size[16];
    (void)arg;
    assert_int_equal(http_query(x, "size", size, sizeof size), ERR_OK);
    answer(x, 200, server->big, (size_t)atol(size));
}

static inline void on_thing(void *arg, struct http_exchange *x)
{
    char headers[128];
    (void)arg;
    assert_string_equal(http_param(x, 0), "a/b");
    assert_string_equal(http_param(x, 1), "c d");
    assert_string_equal(http_path(x), "/api/things/a%2fb/c%20d");
    assert_int_equal(http_method(x), HTTP_PUT);
    assert_null(http_header(x, "absent"));
    snprintf(headers, sizeof headers, "ETag: %s\r\n", http_header(x, "if-match"));
    http_answer(x, &(struct http_response){.status = 204, .cache_control = "max-age=5", .headers = headers});
}

static inline void on_who(void *arg, struct http_exchange *x)
{
    (void)arg;
    answer(x, 200, http_principal(x), strlen(http_principal(x)));
}

static inline void refuse(void *arg, struct http_exchange *x, unsigned status, const char *text)
{
    char body[128];
    assert_ptr_equal(arg, server);
    int len = snprintf(body, sizeof body, "refused %u: %s", status, text);
    answer(x, status, body, (size_t)len);
}

static const struct http_route routes[] = {{HTTP_GET, "/api/echo/{name}", NULL, false, on_echo},
                                           {HTTP_POST, "/api/body", "application/json", false, on_body},
                                           {HTTP_GET, "/api/wait", NULL, false, on_wait},
                                           {HTTP_POST, "/api/wait", "application/json", false, on_wait},
                                           {HTTP_GET, "/api/big", NULL, false, on_big},
                                           {HTTP_PUT, "/api/things/{a}/{b}", NULL, false, on_thing},
                                           {HTTP_DELETE, "/api/echo/{name}", NULL, false, on_echo}};
static const struct http_route closed_routes[] = {{HTTP_GET, "/who", NULL, false, on_who}};

static inline const struct identity *identify(void *arg, const char *token)
{
    const struct identity_draft ali = {.name = "ali", .expires_ms = IDENTITY_NEVER};
    (void)arg;
    return token != NULL && strcmp(token, "sesame") == 0 ? identity_new(&ali) : NULL;
}

static struct http_api api = {"/api", routes, ARRAY_LEN(routes), refuse, NULL, false};
static struct http_api closed_api = {"", closed_routes, ARRAY_LEN(closed_routes), refuse, NULL, false};
static const struct http_api *const apis[] = {&api};
static const struct http_api *const closed_apis[] = {&closed_api};
static struct http_site site = {apis, 1, NULL, false, NULL};
static struct http_site closed_site = {closed_apis, 1, identify, true, NULL};

/* --- the stage ---------------------------------------------------------------------------------------------------------- */

static inline void accepted(void *arg, int fd, const struct gate_request *request, unsigned listener)
{
    (void)arg;
    (void)listener;
    http_adopt(server->http, fd, request, strcmp(request->path, "/who") == 0 ? &closed_site : &site);
}

static inline void start(uint32_t max_exchanges, size_t budget)
{
    static const char *const origins[] = {"https://wms.example"};
    struct gate_listener listener = {.fd = server->listen_fd, .plain_http = true};
    struct gate_config gate = {.loop = &server->loop,
                               .clock = &server->clock.clock,
                               .listeners = &listener,
                               .listener_count = 1,
                               .send_buffer_bytes = 8192, /* so that answers have a rest */
                               .max_body_bytes = UINT64_MAX,
                               .origins = origins,
                               .origin_count = 1,
                               .accepted = accepted};
    struct http_config config = {.loop = &server->loop,
                                 .clock = &server->clock.clock,
                                 .max_exchanges = max_exchanges,
                                 .max_body_bytes = MAX_BODY,
                                 .memory_budget_bytes = budget};
    assert_int_equal(http_new(&config, &server->http), ERR_OK);
    assert_int_equal(gate_new(&gate, &server->gate), ERR_OK);
    api.arg = closed_api.arg = server;
}

enum { BIG_BYTES = 8 << 20 };

static inline int setup(void **state)
{
    server = calloc(1, sizeof *server);
    assert_non_null(server);
    *state = server;
    clock_manual_init(&server->clock, 1000 * NS_PER_S, 1737973800000);
    assert_int_equal(uv_loop_init(&server->loop), 0);
    server->listen_fd = raw_listen(&server->port);
    server->big = malloc(BIG_BYTES);
    assert_non_null(server->big);
    for (size_t i = 0; i < BIG_BYTES; i++)
        server->big[i] = (char)('a' + i % 23);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    gate_free(&server->gate);
    http_free(&server->http);
    while (uv_run(&server->loop, UV_RUN_NOWAIT) != 0)
        ;
    assert_int_equal(uv_loop_close(&server->loop), 0);
    close(server->listen_fd);
    free(server->big);
    free(server);
    return 0;
}

static inline const struct http_counts *counts(void)
{
    return http_counts(server->http);
}

static inline struct raw_client arrive(const char *text)
{
    struct raw_client client = raw_connect(&server->loop, server->port);
    raw_send_text(&client, text);
    return client;
}

/* Reads to the end and returns the body, which the head must announce; NULL: another status than wanted. */
static inline const char *take(struct raw_client *client, unsigned status)
{
    raw_until_end(client);
    assert_int_equal(raw_status(client), status);
    assert_false(client->reset);
    char *end = strstr((char *)client->in, "\r\n\r\n"),
         *length = strstr((char *)client->in, "Content-Length: ");
    assert_non_null(end);
    assert_non_null(strstr((char *)client->in, "\r\nConnection: close\r\n"));
    assert_non_null(length);
    assert_int_equal(atol(length + 16), client->len - (size_t)(end + 4 - (char *)client->in));
    return end + 4;
}

static inline void expect(const char *request, unsigned status, const char *body, const char *header)
{
    struct raw_client client = arrive(request);
    const char *got = take(&client, status);
    assert_string_equal(got, body);
    if (strstr((char *)client.in, header) == NULL)
        fail_msg("no \"%s\" in: %s", header, (char *)client.in);
    raw_close(&client);
}

static inline void nothing_left(void)
{
    PUMP_UNTIL(&server->loop, counts()->exchanges == 0);
    assert_int_equal(counts()->memory_bytes, 0);
    assert_int_equal(counts()->waiting, 0);
    assert_int_equal(server->http->wheel.count, 0);
}

static inline void pass(uint64_t ns)
{
    clock_manual_advance_ns(&server->clock, ns);
}
