/* The judge of request heads: a table of hostile and good ones, each with its answer, fed whole and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gate_head.h"
#include "must.h"

#define KEY  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VER  "Sec-WebSocket-Version: 13\r\n"
#define UPG  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define HOST "Host: example.com:8765\r\n"
#define GET  "GET /chat HTTP/1.1\r\n"
#define GOOD GET HOST UPG KEY VER
#define END  "\r\n"

static const char *const listed[] = {"https://wms.example", "null"};

static bool path_known(void *arg, const char *path)
{
    (void)arg;
    return strcmp(path, "/nowhere") != 0;
}

enum kind { WS, WITH_LIST, HTTP };

static struct gate_rules rules_of(enum kind kind)
{
    return (struct gate_rules){.plain_http = kind == HTTP,
                               .max_body_bytes = 1000,
                               .origins = listed,
                               .origin_count = kind == WITH_LIST ? ARRAY_LEN(listed) : 0,
                               .path_known = path_known};
}

/* Feeds `head` in pieces of `step` bytes; a head that never ends is status 0xffff. The memory is exactly as large as
 * the head, so that ASan sees every step beyond it. */
static struct gate_verdict judge_in_steps(const char *head, size_t len, size_t step, enum kind kind,
                                          struct gate_request *request, char **memory)
{
    struct gate_scan scan;
    struct gate_rules rules = rules_of(kind);
    enum gate_scan_e result = GATE_SCAN_MORE;
    gate_scan_init(&scan);
    for (size_t at = 0; at < len && result == GATE_SCAN_MORE; at += step)
        result = gate_scan_feed(&scan, head + at, step < len - at ? step : len - at);
    *memory = NULL;
    if (result == GATE_SCAN_BAD)
        return scan.verdict;
    if (result == GATE_SCAN_MORE)
        return (struct gate_verdict){0xffff, "incomplete"};
    *memory = malloc(scan.length);
    assert_non_null(*memory);
    memcpy(*memory, head, scan.length);
    return gate_head_judge(*memory, scan.length, &rules, request);
}

struct row {
    enum kind kind;
    unsigned status;
    const char *head;
};

static const struct row rows[] = {
    /* good ones */
    {WS, 0, GOOD END},
    {WS, 0, "GET / HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 0, "GET /a%20b?x=%2F&y HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 0, GET "hOsT:h\r\nUPGRADE:WebSocket\r\nconnection:keep-alive, UpGrade\r\n" KEY VER END},
    {WS, 0, GET HOST "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n" KEY VER END},
    {WS, 0, GOOD "Sec-WebSocket-Extensions: permessage-deflate\r\n" END},
    {WS, 0, GOOD "User-Agent: \xc3\xa9\t x\r\nX-Empty:\r\n" END},
    {WS, 0, GOOD "Origin: http://example.com\r\n" END},
    {WS, 0, GOOD "Origin: https://EXAMPLE.com:8000\r\n" END},
    {WS, 0, GOOD "Origin: http://localhost:3000\r\n" END},
    {WS, 0, GOOD "Origin: http://app.localhost\r\n" END},
    {WS, 0, GOOD "Origin: http://127.0.0.1:8000\r\n" END},
    {WS, 0, GOOD "Origin: http://127.9.9.9\r\n" END},
    {WS, 0, GOOD "Origin: http://[::1]:8000\r\n" END},
    {WITH_LIST, 0, GOOD "Origin: https://wms.example\r\n" END},
    {WITH_LIST, 0, GOOD "Origin: null\r\n" END},
    {WS, 0, GET "Host: [2001:db8::1]:80\r\n" UPG KEY VER "Origin: http://[2001:db8::1]\r\n" END},
    {HTTP, 0, "GET /x HTTP/1.1\r\n" HOST END},
    {HTTP, 0, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n" END},
    {HTTP, 0, "DELETE /x HTTP/1.1\r\n" HOST END},
    {HTTP, 0, "GET /nowhere HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n" END},
    {HTTP, 400, "GET /x HTTP/1.1\r\n" HOST "Origin: http://a\r\nOrigin: http://a\r\n" END},
    {HTTP, 404, "GET /nowhere HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 404, "GET /nowhere HTTP/1.1\r\n" HOST END},
    {HTTP, 0,
     GET HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n" END},
    {HTTP, 0, GOOD END},
    /* request line */
    {WS, 400, "\r\n" GOOD END},
    {WS, 400, " GET / HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET  / HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /\tHTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET / HTTP/1.1 \r\n" HOST UPG KEY VER END},
    {WS, 400, "GET / x HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET / HTTP/1.1x\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET / http/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET / HTTP/11\r\n" HOST UPG KEY VER END},
    {WS, 505, "GET / HTTP/1.0\r\n" HOST UPG KEY VER END},
    {WS, 505, "GET / HTTP/2.0\r\n" HOST UPG KEY VER END},
    {WS, 505, "PRI * HTTP/2.0\r\n\r\n"},
    {WS, 400, "G@T / HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET http://example.com/ HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET * HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "CONNECT example.com:80 HTTP/1.1\r\n" HOST END},
    {WS, 400, "GET /a#b HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /<script> HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /a\\b HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /%zz HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /a%2 HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /%00 HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 405, "POST /chat HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 405, "get /chat HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 405, "BREW /chat HTTP/1.1\r\n" HOST END},
    {HTTP, 405, "TRACE /chat HTTP/1.1\r\n" HOST END},
    {HTTP, 405, "POST /chat HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 404, "GET /nowhere HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 404, "GET /nowhere?a=b HTTP/1.1\r\n" HOST UPG KEY VER END},
    /* bytes and lines */
    {WS, 400, "\x16\x03\x01\x02"},
    {WS, 400, "GET / HTTP/1.1\n" HOST UPG KEY VER END},
    {WS, 400, GET "Host: h\n" UPG KEY VER END},
    {WS, 400, GET "Host: h\r" UPG KEY VER END},
    {WS, 400, GET "Host: h\r\r\n" UPG KEY VER END},
    {WS, 400,
     GET HOST "X: a\x01"
              "b\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "X: a\x7f\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "X: a\r\n folded\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "X: a\r\n\tfolded\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "X : a\r\n" UPG KEY VER END},
    {WS, 400, GET HOST ": a\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "no colon\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "X\xc3\xa9: a\r\n" UPG KEY VER END},
    {WS, 400, GET HOST "(x): a\r\n" UPG KEY VER END},
    /* Host */
    {WS, 400, GET UPG KEY VER END},
    {WS, 400, GET HOST HOST UPG KEY VER END},
    {WS, 400, GET HOST "HOST: other\r\n" UPG KEY VER END},
    {WS, 400, GET "Host:\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: a b\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: a/b\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: user@a\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: a:80x\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: a, b\r\n" UPG KEY VER END},
    {WS, 400, GET "Host: [::1\r\n" UPG KEY VER END},
    /* framing */
    {WS, 400, GOOD "Transfer-Encoding: chunked\r\n" END},
    {WS, 400, GOOD "Transfer-Encoding: identity\r\nContent-Length: 3\r\n" END},
    {WS, 400, GOOD "Content-Length: 3\r\n" END},
    {WS, 400, GOOD "Content-Length: 0\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: +1\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: -1\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 0x10\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length:\r\n" END},
    {HTTP, 400, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n" END},
    {HTTP, 413, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n" END},
    /* no upgrade, or another */
    {WS, 426, GET HOST END},
    {WS, 426, GET HOST "Connection: Upgrade\r\n" KEY VER END},
    {WS, 426,
     GET HOST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n" END},
    {WS, 426, GET HOST "Upgrade: websockets\r\nConnection: Upgrade\r\n" KEY VER END},
    {WS, 400, GET HOST "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" KEY VER END},
    {WS, 400, GET HOST "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY VER END},
    {WS, 400, GOOD "HTTP2-Settings: AAMAAABk\r\n" END},
    {HTTP, 400, GET HOST "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" KEY VER END},
    {WS, 400, GET HOST "Upgrade: websocket\r\n" KEY VER END},
    {WS, 400, GET HOST "Upgrade: websocket\r\nConnection: keep-alive\r\n" KEY VER END},
    {WS, 400, GET HOST "Upgrade: websocket\r\nConnection: upgrades\r\n" KEY VER END},
    /* version and key */
    {WS, 426, GET HOST UPG KEY END},
    {WS, 426, GET HOST UPG KEY "Sec-WebSocket-Version: 8\r\n" END},
    {WS, 426, GET HOST UPG KEY "Sec-WebSocket-Version: 14\r\n" END},
    {WS, 426, GET HOST UPG KEY "Sec-WebSocket-Version: 013\r\n" END},
    {WS, 426, GET HOST UPG KEY "Sec-WebSocket-Version: 13, 8\r\n" END},
    {WS, 400, GOOD VER END},
    {WS, 400, GET HOST UPG VER END},
    {WS, 400, GOOD KEY END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key:\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" END},
    {WS, 400, GET HOST UPG VER "Sec-WebSocket-Key: dGhlIHNhbXBs*SBub25jZQ==\r\n" END},
    /* Origin */
    {WS, 403, GOOD "Origin: http://evil.example\r\n" END},
    {WS, 403, GOOD "Origin: null\r\n" END},
    {WS, 403, GOOD "Origin:\r\n" END},
    {WS, 403, GOOD "Origin: http://example.com.evil.example\r\n" END},
    {WS, 403, GOOD "Origin: http://example.com@evil.example\r\n" END},
    {WS, 403, GOOD "Origin: http://example.com/\r\n" END},
    {WS, 403, GOOD "Origin: ftp://example.com\r\n" END},
    {WS, 403, GOOD "Origin: http://127.0.0.1.evil.example\r\n" END},
    {WS, 403, GOOD "Origin: http://localhost.evil.example\r\n" END},
    {WS, 403, GOOD "Origin: http://evillocalhost\r\n" END},
    {WS, 403, GOOD "Origin: https://wms.example\r\n" END},
    {WITH_LIST, 403, GOOD "Origin: https://wms.example:444\r\n" END},
    {WITH_LIST, 403, GOOD "Origin: http://wms.example\r\n" END},
    {WS, 400, GOOD "Origin: http://example.com\r\nOrigin: http://example.com\r\n" END},
    /* subprotocols and tokens */
    {WS, 0, GOOD "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n" END},
    {WS, 400, GOOD "Sec-WebSocket-Protocol: a b\r\n" END},
    {WS, 400, GOOD "Sec-WebSocket-Protocol: a/b\r\n" END},
    {WS, 400, GOOD "Sec-WebSocket-Protocol: 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\r\n" END},
    {WS, 400, GOOD "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n" END},
    {WS, 400, "GET /?token=a&token=b HTTP/1.1\r\n" HOST UPG KEY VER END},
    {WS, 400, "GET /?token=a HTTP/1.1\r\n" HOST UPG KEY VER "Authorization: Bearer b\r\n" END},
    {WS, 400, "GET /?token=a HTTP/1.1\r\n" HOST UPG KEY VER "Sec-WebSocket-Protocol: bearer, b\r\n" END},
    /* not whole */
    {WS, 0xffff, ""},
    {WS, 0xffff, "GET"},
    {WS, 0xffff, GOOD},
    {WS, 0xffff, GOOD "\r"},
};

static void every_row_has_its_answer_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {SIZE_MAX, 1, 2, 7, 64};
    assert_true(ARRAY_LEN(rows) >= 60);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
            struct gate_request request;
            char *memory;
            size_t len = strlen(rows[i].head);
            struct gate_verdict verdict = judge_in_steps(
                rows[i].head, len, steps[s] < len ? steps[s] : len + 1, rows[i].kind, &request, &memory);
            if (verdict.status != rows[i].status)
                fail_msg("row %zu in steps of %zu: %u (%s) instead of %u\n%s", i, steps[s], verdict.status,
                         verdict.reason ? verdict.reason : "", rows[i].status, rows[i].head);
            if (verdict.status != 0 && verdict.status != 0xffff)
                assert_string_not_equal(gate_status_text(verdict.status), "Error");
            free(memory);
        }
}

static void nul_bytes_are_refused_everywhere(void **state)
{
    (void)state;
    static const char good[] = GOOD END;
    for (size_t at = 0; at < sizeof good - 1; at++) {
        struct gate_request request;
        char copy[sizeof good], *memory;
        memcpy(copy, good, sizeof good);
        copy[at] = '\0';
        assert_int_equal(judge_in_steps(copy, sizeof good - 1, SIZE_MAX / 2, WS, &request, &memory).status,
                         400);
        free(memory);
    }
}

/* Whatever single byte is put anywhere: an answer, and no step outside the memory. */
static void any_byte_anywhere(void **state)
{
    (void)state;
    static const char good[] = "GET /?a=b&token=t HTTP/1.1\r\n" HOST UPG KEY VER
                               "Origin: http://example.com\r\nSec-WebSocket-Protocol: a, b\r\n" END;
    for (size_t at = 0; at < sizeof good - 1; at++)
        for (unsigned c = 0; c < 256; c++) {
            struct gate_request request;
            char copy[sizeof good], *memory;
            memcpy(copy, good, sizeof good);
            copy[at] = (char)c;
            judge_in_steps(copy, sizeof good - 1, SIZE_MAX / 2, WS, &request, &memory);
            free(memory);
        }
}

static void sizes_at_their_limits(void **state)
{
    (void)state;
    static char head[2 * GATE_HEAD_MAX];
    struct gate_request request;
    char *memory;
    size_t fixed = strlen(GOOD "X: " END END);
    for (size_t total = GATE_HEAD_MAX - 1; total <= GATE_HEAD_MAX + 1; total++) {
        size_t fill = total - fixed;
        int len = snprintf(head, sizeof head, "%sX: %0*d\r\n\r\n", GOOD, (int)fill, 0);
        assert_int_equal(len, total);
        struct gate_verdict verdict = judge_in_steps(head, total, 100, WS, &request, &memory);
        assert_int_equal(verdict.status, total <= GATE_HEAD_MAX ? 0 : 431);
        free(memory);
    }
    for (size_t count = 63; count <= 65; count++) { /* five headers stand in GOOD */
        size_t len = (size_t)snprintf(head, sizeof head, "%s", GOOD);
        for (size_t i = 5; i < count; i++)
            len += (size_t)snprintf(head + len, sizeof head - len, "X: %zu\r\n", i);
        len += (size_t)snprintf(head + len, sizeof head - len, "\r\n");
        struct gate_verdict verdict = judge_in_steps(head, len, len, WS, &request, &memory);
        assert_int_equal(verdict.status, count <= 64 ? 0 : 431);
        free(memory);
    }
}

static void an_endless_line_is_refused(void **state)
{
    (void)state;
    static char head[GATE_HEAD_MAX + 1];
    struct gate_scan scan;
    memset(head, 'a', sizeof head);
    gate_scan_init(&scan);
    assert_int_equal(gate_scan_feed(&scan, head, GATE_HEAD_MAX), GATE_SCAN_MORE);
    assert_int_equal(gate_scan_feed(&scan, head, 1), GATE_SCAN_BAD);
    assert_int_equal(scan.verdict.status, 431);
}

static char *judge_good(const char *head, enum kind kind, struct gate_request *request)
{
    char *memory;
    struct gate_verdict verdict = judge_in_steps(head, strlen(head), SIZE_MAX / 2, kind, request, &memory);
    assert_int_equal(verdict.status, 0);
    return memory;
}

static void what_a_request_tells(void **state)
{
    (void)state;
    struct gate_request request;
    char value[8];
    char *memory =
        judge_good("GET /api/v1/ws?channel=general&user_id=7&empty=&flag HTTP/1.1\r\n" HOST UPG KEY VER
                   "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat ,, v2\r\nX-Y:  z  \r\n" END,
                   WS, &request);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.path, "/api/v1/ws");
    assert_string_equal(request.query, "channel=general&user_id=7&empty=&flag");
    assert_string_equal(request.host, "example.com:8765");
    assert_string_equal(request.origin, "http://example.com");
    assert_string_equal(request.key, "dGhlIHNhbXBsZSBub25jZQ==");
    assert_true(request.upgrade);
    assert_int_equal(request.protocol_count, 2);
    assert_string_equal(request.protocols[0], "chat");
    assert_string_equal(request.protocols[1], "v2");
    assert_null(request.protocol);
    assert_null(request.token);
    assert_string_equal(gate_request_header(&request, "x-y"), "z");
    assert_null(gate_request_header(&request, "x"));
    assert_true(gate_request_param(&request, "channel", value, sizeof value));
    assert_string_equal(value, "general");
    assert_true(gate_request_param(&request, "empty", value, sizeof value));
    assert_string_equal(value, "");
    assert_false(gate_request_param(&request, "flag", value, sizeof value));
    assert_false(gate_request_param(&request, "chan", value, sizeof value));
    assert_false(gate_request_param(&request, "channel", value, 7));
    free(memory);
}

static void tokens_are_found_and_leave_no_trace(void **state)
{
    (void)state;
    static const struct {
        const char *head, *token, *query;
    } tokens[] = {
        {"GET /?token=SECRET HTTP/1.1\r\n" HOST UPG KEY VER END, "SECRET", ""},
        {"GET /?token=SECRET&a=b HTTP/1.1\r\n" HOST UPG KEY VER END, "SECRET", "a=b"},
        {"GET /?a=b&token=SECRET HTTP/1.1\r\n" HOST UPG KEY VER END, "SECRET", "a=b"},
        {"GET /?a=b&token=SECRET&c=d HTTP/1.1\r\n" HOST UPG KEY VER END, "SECRET", "a=b&c=d"},
        {"GET /?a&token=S%45CRE%54 HTTP/1.1\r\n" HOST UPG KEY VER END, "SECRET", "a"},
        {"GET /?token= HTTP/1.1\r\n" HOST UPG KEY VER END, "", ""},
        {"GET /?mytoken=x&tokens=y HTTP/1.1\r\n" HOST UPG KEY VER END, NULL, "mytoken=x&tokens=y"},
        {GOOD "Authorization: Bearer SECRET\r\n" END, "SECRET", ""},
        {GOOD "Authorization: bearer   SECRET\r\n" END, "SECRET", ""},
        {GOOD "Authorization: Bearer\r\n" END, "", ""},
        {GOOD "Authorization: Basic SECRET\r\n" END, NULL, ""},
        {GOOD "Sec-WebSocket-Protocol: bearer, SECRET\r\n" END, "SECRET", ""},
        {GOOD "Sec-WebSocket-Protocol: bearer\r\nSec-WebSocket-Protocol: SECRET, chat\r\n" END, "SECRET", ""},
        {GOOD "Sec-WebSocket-Protocol: chat, bearer\r\n" END, NULL, ""},
        {GOOD "Sec-WebSocket-Protocol: bearer\r\n" END, NULL, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct gate_request request;
        char log[256], *memory = judge_good(tokens[i].head, WS, &request);
        if (tokens[i].token == NULL)
            assert_null(request.token);
        else
            assert_string_equal(request.token, tokens[i].token);
        assert_string_equal(request.query, tokens[i].query);
        gate_request_log_target(&request, log, sizeof log);
        assert_null(strstr(log, "SECRET"));
        for (size_t h = 0; h < request.header_count; h++)
            assert_null(strstr(request.headers[h].value, "SECRET"));
        for (size_t p = 0; p < request.protocol_count; p++)
            assert_null(strstr(request.protocols[p], "SECRET"));
        free(memory);
    }
}

static void bearer_is_answered_as_subprotocol(void **state)
{
    (void)state;
    struct gate_request request;
    char *memory = judge_good(GOOD "Sec-WebSocket-Protocol: bearer, abc\r\n" END, WS, &request);
    assert_string_equal(request.protocol, "bearer");
    assert_string_equal(request.protocols[1], "***");
    free(memory);
}

static void bytes_behind_the_head_are_not_looked_at(void **state)
{
    (void)state;
    struct gate_scan scan;
    static const char both[] = GOOD END "\x81\x80\0\0\0\0\n\0";
    gate_scan_init(&scan);
    assert_int_equal(gate_scan_feed(&scan, both, sizeof both - 1), GATE_SCAN_WHOLE);
    assert_int_equal(scan.length, strlen(GOOD END));
}

/* An upgrade is refused for its Origin; a plain request is handed on with what there is to know of it. */
static void a_plain_request_tells_whether_its_origin_is_allowed(void **state)
{
    static const struct {
        const char *header;
        bool allowed;
    } table[] = {{"", true},
                 {"Origin: http://example.com\r\n", true},
                 {"Origin: https://example.com:444\r\n", true},
                 {"Origin: http://127.8.9.1:3000\r\n", true},
                 {"Origin: http://localhost\r\n", true},
                 {"Origin: https://evil.example\r\n", false},
                 {"Origin: http://example.com.evil.example\r\n", false},
                 {"Origin: null\r\n", false},
                 {"Origin: file:///x\r\n", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char head[512], *memory;
        struct gate_request request;
        int len = snprintf(head, sizeof head, "POST /nowhere HTTP/1.1\r\n" HOST "%s\r\n", table[i].header);
        struct gate_verdict verdict = judge_in_steps(head, (size_t)len, sizeof head, HTTP, &request, &memory);
        assert_int_equal(verdict.status, 0); /* its paths are not the gate's to know either */
        assert_int_equal(request.origin_allowed, table[i].allowed);
        assert_int_equal(request.origin != NULL, i > 0);
        free(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_its_answer_in_any_pieces),
        cmocka_unit_test(nul_bytes_are_refused_everywhere),
        cmocka_unit_test(any_byte_anywhere),
        cmocka_unit_test(sizes_at_their_limits),
        cmocka_unit_test(an_endless_line_is_refused),
        cmocka_unit_test(what_a_request_tells),
        cmocka_unit_test(tokens_are_found_and_leave_no_trace),
        cmocka_unit_test(bearer_is_answered_as_subprotocol),
        cmocka_unit_test(bytes_behind_the_head_are_not_looked_at),
        cmocka_unit_test(a_plain_request_tells_whether_its_origin_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
