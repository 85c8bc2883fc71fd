/* store_group.h — requests that have arrived, executed in groups (Hops: C5, R1).
 *
 *     STORE_REQUEST ─▶ reads ──▶ outside of a transaction ──────────────────────────────▶ STORE_REPLY at once
 *                   └▶ writes ─▶ one transaction, each in a savepoint ─▶ commit (fsync) ─▶ STORE_REPLY to each
 *
 * One fsync serves all writes that came while the one before was under way, so that durable writes per second grow with load and a lone
 * write waits for nobody. No timer gathers a group. Reads first: they see what is committed and nothing else, and need no disk that takes
 * writes. If a group's transaction fails, each of its writes is answered 503 and nothing of it is on the disk, also where the answer
 * would have been a refusal: it may have been about a row that does not exist now. Where the disk does not say whether it has the group, the
 * answer says that.
 *
 * Bounded: GROUP_WAITING_MAX requests of GROUP_WAITING_BYTES together wait (what is above is answered 503), a group has at most
 * GROUP_WRITES_MAX writes, or what fits GROUP_MAX_NS or GROUP_ANSWERS_BYTES, so that the broker hears from this process in time. A
 * request whose time is over is not begun.
 *
 * A DELETE of more than db_delete_turn() takes at once begins in its group like any write; then a turn of at most as many rows follows each group, in a
 * transaction of its own, while `may_turn`, so that nobody waits for more than one of them. Who asked waits among `deleting` until the row itself is
 * gone and that is on the disk: of those who asked for the same row, the first is told 204; the others ask again, as if they had come behind it. Whose time
 * is over first is told 202: the deletion is on the disk, and is made to its end without him. A turn that fails is tried again a second later.
 *
 * Rejected: reads in the group's transaction (an answer could show what is then not committed); a transaction per request (one fsync
 * each); copying answers of reads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "db.h"
#include "list.h"
#include "stats.h"
#include "wire.h"

#define GROUP_WAITING_MAX   8192u
#define GROUP_WAITING_BYTES (64u * 1024u * 1024u)
#define GROUP_READS_MAX     64u
#define GROUP_WRITES_MAX    256u
#define GROUP_MAX_NS        (25 * NS_PER_MS) /* no further request is begun in a group then */
#define GROUP_TURN_RETRY_NS (1 * NS_PER_S)
#define GROUP_ANSWERS_BYTES (2u * DB_ANSWER_MAX)

struct store_group {
    struct db *db;
    struct stats *stats;
    const struct clock *clock;
    enum err_e (*send)(void *arg, struct wire_message *message); /* link_send() */
    /* A group's transaction takes along what else is to be written: called before its commit; told after a commit. NULL: nothing. */
    enum err_e (*join)(void *arg);
    void (*committed)(void *arg);
    bool (*events_complete)(void *arg); /* false: EVENTS is answered 503 until it is. NULL: always true */
    bool (*may_turn)(void *arg);        /* false: no turn of a deletion now. NULL: always true */
    void *arg;

    struct list_node reads, writes, deleting; /* `deleting`: DELETEs that go on in turns */
    unsigned waiting;                         /* in all three */
    size_t waiting_bytes;
    char *answers; /* GROUP_ANSWERS_BYTES: bodies until the commit */
    size_t answers_len;
    uint64_t turn_retry_ns, ended; /* no turn before; db_deletions_ended() as it was looked at last */
};

/* The members up to `arg` are set. ERR_MEMORY. */
enum err_e store_group_init(struct store_group *group);
void store_group_fini(struct store_group *group);

/* Keeps a copy, or answers at once if it cannot. */
void store_group_take(struct store_group *group, const struct wire_store_request *request);

/* Nobody waits, and nothing is being deleted. */
bool store_group_is_idle(const struct store_group *group);

/* One group of what waits, and one turn of a deletion. True: more can be done at once. False: nothing, or only deletions that must wait; call it again
 * ten times a second. */
bool store_group_run(struct store_group *group);

/* The process ends: who waits for a deletion is told that it goes on. */
void store_group_leave(struct store_group *group);

/* Nobody awaits the answers any more: the broker is gone, and has told everybody so. What was not begun is not begun. */
void store_group_forget(struct store_group *group);
