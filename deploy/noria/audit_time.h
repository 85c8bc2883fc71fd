/* audit_time.h — a point in time as people type it: "2026-11-22", "2026-11-22 10:30", "2026-11-22T10:30:05Z" (UTC), or
 * "90s", "15m", "2h", "3d" ago. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool audit_time_parse(const char *text, uint64_t now_ms, uint64_t *wall_ms);
