/* framelog.h — a byte log of whole frames with absolute 64-bit offsets (between hops D8 and D10).
 *
 *      tail                                     head
 *       │  block        block          block     │
 *       ▼ ┌─────────┐  ┌────────────┐  ┌─────────▼──┐
 *         │ f f f f │─▶│ f f f f f f│─▶│ f f f      │
 *         └─────────┘  └────────────┘  └────────────┘
 *
 * A frame never crosses blocks, so a reader's backlog is a few contiguous pieces for one writev(2). Blocks start
 * small and double up to FRAMELOG_BLOCK_MAX while somebody lags; when nobody needs anything any more the log rewinds
 * into its one small block, so that an audience at rest costs FRAMELOG_BLOCK_MIN. Old blocks are dropped when the log's
 * own limit or the budget of all is reached, and if that is not enough the frame is refused: readers notice by
 * offset < tail. Rejected: a double-mapped memfd
 * per log (a descriptor and two mappings per audience).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAMELOG_BLOCK_MIN (4u * 1024u)
#define FRAMELOG_BLOCK_MAX (256u * 1024u)

/* Memory of several logs (and what else is counted) together. */
struct framelog_budget {
    size_t used_bytes, limit_bytes;
};

struct framelog_block;

struct framelog {
    struct framelog_block *first, *last;
    uint64_t tail, head;
    size_t bytes, limit_bytes;
    struct framelog_budget *budget;
};

void framelog_init(struct framelog *log, struct framelog_budget *budget, size_t limit_bytes);
void framelog_fini(struct framelog *log);

/* Copies a frame in; *offset is where. False: out of memory or budget; old blocks may have been dropped. */
bool framelog_append(struct framelog *log, const void *frame, size_t len, uint64_t *offset);

/* The bytes [from, to) as at most `max` pieces; tail <= from <= to <= head. Returns their number; pieces that did
 * not fit in are left out at the end. */
int framelog_pieces(const struct framelog *log, uint64_t from, uint64_t to, struct iovec *pieces, int max);

/* A frame could not be appended: the head moves on over it, and every reader has lost something. */
void framelog_give_up(struct framelog *log);

/* The same while the log is empty. */
void framelog_step(struct framelog *log);

/* Adds `by` to every offset of the log. */
void framelog_shift(struct framelog *log, uint64_t by);

/* Nobody needs anything before the head: tail = head, and the memory shrinks. */
void framelog_rewind(struct framelog *log);
