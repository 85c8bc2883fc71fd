/* store_call.h — what a worker asks the store, and the answer (Hops: C3, R3). For dialects and HTTP alike.
 *
 *     store_call ─▶ STORE_REQUEST ─▶ broker ─▶ store … STORE_REPLY, one part or several ─▶ done(answer)
 *                        └─ no broker, no store, it died, time limit ──────────────────────▶ done(503)
 *
 * Nothing is asked twice: a write whose answer was lost may have been made, and its 503 says so ("detail"). What was certainly not
 * begun says that instead. Bounded: STORE_CALLS_MAX under way per worker, and STORE_CALL_BYTES_MAX of answers that are being put together;
 * beyond that ERR_FULL, and nothing was asked. One thread; nothing here blocks; `done` is never called from within store_call().
 */
#pragma once

#include "endpoint.h"
#include "entities.h"
#include "store_op.h"

#define STORE_CALLS_MAX        4096u
#define STORE_CALL_BYTES_MAX   (64u * 1024u * 1024u) /* of all parts, in a worker */
#define STORE_CALL_ANSWER_MAX  (8u * 1024u * 1024u)  /* of one answer */
#define STORE_CALL_DEADLINE_MS 10000

struct store_answer {
    unsigned status;  /* HTTP's; with 400 and more the body is {"detail": …} */
    uint64_t version; /* of an entity; 0: none */
    const char *body; /* JSON, good during the call; "" with 204 */
    size_t len;
};

typedef void store_done_f(void *arg, const struct store_answer *answer);

struct store_call {
    enum store_op_e op;
    enum entity_e entity;
    uint64_t id, version;  /* 0: none */
    int64_t deadline_ms;   /* 0: STORE_CALL_DEADLINE_MS */
    const char *who;       /* identity_name() */
    const void *arguments; /* rows of store_args.h; copied */
    size_t arguments_len;  /* at most WIRE_STORE_ARGUMENTS_MAX */
};

/* ERR_OK: `done` is called exactly once, unless store_call_forget() comes first. ERR_FULL (also at the end of the
 * process), ERR_TOO_LARGE, ERR_MEMORY: nothing was asked.
 * *ticket (never 0) is for store_call_forget(). */
enum err_e store_call(struct endpoint *endpoint, const struct store_call *call, store_done_f *done, void *arg,
                      uint64_t *ticket);

/* Nobody waits for it any more; what was asked goes on. Nothing if it is answered already. */
void store_call_forget(struct endpoint *endpoint, uint64_t ticket);
