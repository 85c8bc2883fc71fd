/* carousel.h — the carousel dialect (Hop: C2; PROTOCOLS in workers/acceptor/dialects/carousel/README.md), as a table for the
 * endpoint API. */
#pragma once

#include "endpoint.h"

extern const struct endpoint_dialect carousel_dialect;
