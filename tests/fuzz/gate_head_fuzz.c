/* Fuzzes the judge of request heads. First byte: rules and size of the pieces; the rest is what a stranger sends.
 * Checked beside memory: pieces give the verdict of the whole, what a good request says stands inside its buffer, and
 * no token can be read in what may be logged. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gate_head.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct gate_verdict verdict;
    bool whole;
    size_t length;
    char *memory;
    struct gate_request request;
};

static void judge(const char *data, size_t len, size_t step, unsigned kind, struct outcome *outcome)
{
    static const char *const origins[] = {"null", "https://wms.example"};
    struct gate_rules rules = {
        .plain_http = kind & 1, .max_body_bytes = 1000, .origins = origins, .origin_count = kind & 2};
    struct gate_scan scan;
    enum gate_scan_e result = GATE_SCAN_MORE;
    gate_scan_init(&scan);
    for (size_t at = 0; at < len && result == GATE_SCAN_MORE; at += step)
        result = gate_scan_feed(&scan, data + at, step < len - at ? step : len - at);
    *outcome =
        (struct outcome){.verdict = scan.verdict, .whole = result == GATE_SCAN_WHOLE, .length = scan.length};
    if (!outcome->whole)
        return;
    outcome->memory = malloc(scan.length);
    MUST(outcome->memory != NULL);
    memcpy(outcome->memory, data, scan.length);
    outcome->verdict = gate_head_judge(outcome->memory, scan.length, &rules, &outcome->request);
}

static void must_be_inside(const struct outcome *outcome, const char *text)
{
    MUST(text >= outcome->memory && text + strlen(text) < outcome->memory + outcome->length);
}

static void check_good(const struct outcome *outcome)
{
    const struct gate_request *request = &outcome->request;
    char target[GATE_HEAD_MAX + 1], value[64];
    must_be_inside(outcome, request->method);
    must_be_inside(outcome, request->path);
    must_be_inside(outcome, request->host);
    MUST(request->path[0] == '/');
    MUST(!request->upgrade || strlen(request->key) == 24);
    MUST(request->header_count <= GATE_HEADERS_MAX && request->protocol_count <= GATE_PROTOCOLS_MAX);
    gate_request_log_target(request, target, sizeof target);
    gate_request_param(request, "channel", value, sizeof value);
    MUST(!gate_request_param(request, "token", value, sizeof value));
    if (request->token != NULL)
        (void)strlen(request->token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 3, 5, 17, 64, 1000, 4096};
    struct outcome whole, pieces;
    if (size == 0)
        return 0;
    unsigned kind = data[0] & 3;
    const char *text = (const char *)data + 1;
    judge(text, size - 1, size, kind, &whole);
    judge(text, size - 1, steps[data[0] >> 2 & 7], kind, &pieces);
    MUST(whole.whole == pieces.whole && whole.length == pieces.length);
    MUST(whole.verdict.status == pieces.verdict.status && whole.verdict.reason == pieces.verdict.reason);
    if (whole.whole && whole.verdict.status == 0)
        check_good(&whole);
    free(whole.memory);
    free(pieces.memory);
    return 0;
}
