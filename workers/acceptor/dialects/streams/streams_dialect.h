/* streams_dialect.h — the streams dialect (Hop: C2; its protocol is README.md), as a table for the endpoint API. */
#pragma once

#include "endpoint.h"

extern const struct endpoint_dialect streams_dialect;
