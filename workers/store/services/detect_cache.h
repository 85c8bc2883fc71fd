/* detect_cache.h — the windows of the sensors that were heard last, in step with the database.
 *
 *     window = detect_cache_find(cache, sensor)
 *     if (window == NULL) { window = detect_cache_make(cache, sensor);            unknown, or put out: from the database,
 *                           the sensor's last DETECT_READINGS readings, oldest first: detect_window_add() each }
 *     kinds = detect(window, &reading); detect_window_add(window, &reading);
 *
 * A window holds what the transaction has written so far. What is rolled back is thrown away, never undone: `mark` before the savepoint or
 * the transaction, detect_cache_forget_since(cache, mark) if it fails; the windows in use since then are then unknown. A reading that is
 * changed or deleted makes its sensor unknown, too (detect_cache_forget). So a window is always what the database would give, and a store that starts
 * anew judges as the one before. Rejected: undo (a second truth), windows in the database (a further write per reading).
 *
 * At most `sensors` windows of 2.2 KiB; the one not used for longest makes room. All calls are O(1), forget_since O(windows thrown away).
 */
#pragma once

#include <stdint.h>

#include "detect.h"

struct detect_cache;

#define DETECT_CACHE_SENSORS 4096u /* what the store takes: 9 MiB */

struct detect_cache *detect_cache_new(unsigned sensors); /* at least 1; NULL: no memory */
void detect_cache_free(struct detect_cache **cache);

/* The sensor's window, which counts as used now; NULL: unknown. Good until the next call of make or forget. */
struct detect_window *detect_cache_find(struct detect_cache *cache, uint64_t sensor);
/* An empty one for a sensor (not 0) that is unknown. */
struct detect_window *detect_cache_make(struct detect_cache *cache, uint64_t sensor);

uint64_t detect_cache_mark(struct detect_cache *cache);
void detect_cache_forget_since(struct detect_cache *cache, uint64_t mark);
void detect_cache_forget(struct detect_cache *cache, uint64_t sensor); /* also one that is unknown */

unsigned detect_cache_count(const struct detect_cache *cache);
