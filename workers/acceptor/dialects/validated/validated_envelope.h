/* validated_envelope.h — what a client of an endpoint reads around a body, and the bodies that Noria writes itself (Hop: C2). Pure.
 *
 *     {"statusCode":200,"body":{"message":"Hi","user":"System"}}
 *     {"statusCode":204,"body":null}
 *     {"statusCode":400,"body":{"errorList":[{"loc":["message"],"type":"missing","msg":"Field required"}]}}
 *
 * A traditional endpoint's client reads the body alone.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

#define ENVELOPE_MAX 64u /* bytes around a body */

/* The statuses that an answer may have. */
#define ENVELOPE_STATUSES(X)                                                                                 \
    X(200) X(201) X(202) X(204) X(400) X(401) X(403) X(404) X(409) X(422) X(429) X(500) X(503)
bool envelope_status(uint64_t status);

struct envelope {
    bool bare;         /* the body alone */
    bool error_object; /* errors once more as a tree */
};

void envelope_begin(struct out *out, const struct envelope *envelope, unsigned status);
void envelope_end(struct out *out, const struct envelope *envelope);

/* All that Noria answers itself, whole. `errors`: as schema_validate() lists them.
 *
 * errorObject: a node for each name and index of a loc, at its end the list of {"type","msg"}. A node that has errors of its own and
 * others below has its own under "__model__", and so has the message itself, for it is always an object. */
void envelope_refusal(struct out *out, const struct envelope *envelope, unsigned status,
                      const json_t *errors);
void envelope_error(struct out *out, const struct envelope *envelope, unsigned status, const char *type,
                    const char *msg);
