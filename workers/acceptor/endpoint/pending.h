/* pending.h — commands that this worker has sent up and that have no answer yet (Hops: C3, R3).
 *
 * An entry lives from caller_send() to the RESULT or REFUSAL that names its key (session serial, command
 * serial), or to its own time limit. After a broker's restart the owner sends every entry up again, marked `resent`;
 * the agent knows the key and writes nothing twice. The table is bounded and made at boot.
 *
 * Time limit: an entry that no broker ever took fails at its deadline (CODE_CONNECTION_ERROR, provably unsent). One that
 * a broker took waits PENDING_GRACE_NS beyond its deadline, because the broker answers by then whatever happened to the
 * agent; after that the honest answer is CODE_OUTCOME_UNKNOWN.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "map.h"

#define PENDING_MAX        4096u
#define PENDING_PER_CALLER 64u
#define PENDING_GRACE_NS   (10ULL * 1000000000ULL)

struct caller;

struct pending_entry {
    struct caller *caller; /* NULL: free */
    uint64_t session_serial;
    uint32_t command_serial;
    bool taken; /* given to a broker at least once */
    struct endpoint_command command;
    uint64_t accepted_ns, deadline_ns;
    uint32_t next_free;
};

struct pending {
    struct pending_entry *entries;
    uint32_t free, used;
    struct map by_key;
};

enum err_e pending_init(struct pending *pending);
void pending_fini(struct pending *pending);

/* A new entry, its key made from the caller; NULL: the table or the caller's share is full. `deadline_ns`: monotonic. */
struct pending_entry *pending_add(struct pending *pending, struct caller *caller,
                                  const struct endpoint_command *command, uint64_t now_ns,
                                  uint64_t deadline_ns);
struct pending_entry *pending_find(struct pending *pending, uint64_t session_serial, uint32_t command_serial);
void pending_remove(struct pending *pending, struct pending_entry *entry);
/* The caller is gone: its commands go on, their answers have nobody to go to. */
void pending_drop_caller(struct pending *pending, struct caller *caller);

/* Calls `each` for every entry; it may remove that entry. */
void pending_each(struct pending *pending, void (*each)(void *arg, struct pending_entry *entry), void *arg);

/* What an entry's time limit says at `now_ns`: CODE_NONE while it may wait. */
enum command_code_e pending_verdict(const struct pending_entry *entry, uint64_t now_ns);
