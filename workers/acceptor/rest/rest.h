/* rest.h — machines over REST, `/v1` (Hops: C2, R3). README.md is its protocol page.
 *
 *     http ─▶ rest_api ─▶ GET: answered from the mirror at once
 *                     └─▶ POST: caller_send ─▶ … ring ─▶ the command's RESULT or refusal ─▶ http_answer
 *
 * A command's HTTP request is a caller of its own (caller.h) for as long as it waits. It is answered with the command's
 * fate (accepted by the PLC, refused, unknown), not with the completion of a move. If the client goes, the command goes on
 * and nobody is told.
 *
 * One thread; callbacks of http and of the endpoint host.
 */
#pragma once

#include <stdint.h>

#include "endpoint.h"
#include "errcode.h"
#include "http.h"

struct rest;
struct endpoint_host;

struct rest_config {
    struct endpoint_host *host; /* outlives the API, as does `endpoint` */
    struct endpoint *endpoint;  /* what it asks for machines and time */
};

enum err_e rest_new(const struct rest_config *config, struct rest **rest); /* ERR_MEMORY */
/* After http_free() or rest_give_up(): no request waits any more. */
void rest_free(struct rest **rest);

const struct http_api *rest_api(const struct rest *rest);

/* The process ends: those that still wait read 504 OUTCOME_UNKNOWN, which is the truth. */
void rest_give_up(struct rest *rest);

struct rest_counts {
    uint64_t reads;      /* GET requests that reached a handler */
    uint64_t commands;   /* sent up */
    uint64_t refused;    /* POST requests that did not become a command */
    uint64_t orphaned;   /* commands whose client went before their answer */
    uint64_t unreadable; /* answers of the broker that could not be read: answered 500 */
};
const struct rest_counts *rest_counts(const struct rest *rest);
