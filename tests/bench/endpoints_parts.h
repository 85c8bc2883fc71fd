/* endpoints_parts.h — what the parts of a validated round trip cost alone, without sockets and processes. */
#pragma once

#include "bench.h"

void endpoints_parts(struct bench *bench);
