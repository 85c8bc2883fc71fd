/* command_table.h — commands on their way, and which keys have had their answer (part of Hops C4, R2).
 *
 *              add                   hand over                    outcome, or given up
 *     (worker) ───▶ HELD ──────────────────────▶ HANDED ─────────────────────────────▶ ANSWERED
 *                    └── refused: deadline, no agent ───────────────────────────────────▲ (the oldest are forgotten)
 *
 * HELD: the agent has not been told (it is not attached, though it may be in a moment). HANDED: it has, so only the
 * machine's agents and their journal know. ANSWERED: the caller has had its one answer; the key stays, so that neither a
 * worker that sends the command again nor an outcome that comes again, from whichever agent process, gives the caller a
 * second one, and nobody else either. Keys that are known only from the ring (answered by a broker before this one) or from
 * outcomes of commands this broker never saw are entered as ANSWERED straight away.
 *
 * Answered keys are of two sorts, each with room of its own and the oldest forgotten first. *Public* ones have a record
 * that would be seen twice if it were said twice (a result that subscribers read, any completion), so they must outlast the
 * moment until their agent's journal knows that the broker has it all. *Private* ones had their answer alone; said again,
 * the worker drops it (it waits for one answer). Rejected: one list, in which a client that is refused five thousand times a second
 * pushes out within seconds what another machine's agent may report again.
 *
 * All memory is taken at init; nothing allocates later, and what a live command needs beside its key (`struct command_ask`)
 * is given back with its answer. No I/O and no clock: unit-tested with times as numbers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "command_scope.h"
#include "errcode.h"
#include "list.h"
#include "map.h"

/* The agent decides at the deadline; its word needs this long, and one exchange with the PLC, to arrive. */
#define COMMAND_GRACE_MS 2000u
#define COMMAND_WHO_MAX  64u /* bytes of `who` and `from`, as in wire.h */

struct command_key {
    uint64_t session_worker, session_serial, command_serial;
};

enum command_state_e { COMMAND_HELD = 1, COMMAND_HANDED, COMMAND_ANSWERED };

/* What was asked, as long as the command is live. */
struct command_ask {
    void *machine; /* the caller's */
    char request_id[REQUEST_ID_MAX + 1];
    char scope[COMMAND_SCOPE_MAX + 1]; /* whose; "" none */
    char who[COMMAND_WHO_MAX + 1], from[COMMAND_WHO_MAX + 1];
    uint32_t dialect;
    uint16_t command; /* 0..255, or COMMAND_REARM */
    int16_t argument;
    bool resent; /* a broker or an agent that is gone may have had it, or its request by another key */
    uint64_t deadline_ns, give_up_ns;
    uint64_t agent_incarnation;   /* HANDED: to which process */
    uint64_t received_ns, age_ms; /* when it came, and how old it was then */
    uint64_t source_ns, boot;     /* as in wire.h */
    struct command_ask *next_free;
};

struct command_entry {
    struct command_key key;
    uint64_t hash;
    enum command_state_e state;
    bool agent_told; /* ANSWERED: the agent's RESULT is public; else the answer was a broker's own */
    bool completed;  /* its COMPLETION is public */
    bool is_public;  /* ANSWERED: in which of the two lists */
    struct list_node in_state;   /* of the table: live, or one of the answered */
    struct list_node at_machine; /* the machine's live commands, in order of arrival */
    struct command_ask *ask;     /* HELD, HANDED; else NULL */
};

struct command_table {
    struct command_entry *entries;
    struct command_ask *asks, *free_ask; /* live_max of them */
    size_t live_max, answered_max;       /* of each sort */
    size_t capacity;                     /* all three, and one on its way from list to list */
    size_t used, asks_used;              /* entries at and above were never touched, and so cost no memory */
    size_t live_count, public_count, private_count;
    uint64_t seed;
    struct map by_hash;
    struct list_node live, answered_public, answered_private, free; /* oldest first */
};

/* At most `live_max` live commands, and `answered_max` answered keys of each sort. */
enum err_e command_table_init(struct command_table *table, size_t live_max, size_t answered_max,
                              uint64_t seed);
void command_table_fini(struct command_table *table);

struct command_entry *command_table_find(const struct command_table *table, const struct command_key *key);
/* A new HELD entry, linked into `at_machine`; the caller fills in the rest. NULL: full (or two keys with one hash).
 * The key is not in the table. */
struct command_entry *command_table_add(struct command_table *table, const struct command_key *key,
                                        struct list_node *at_machine);
void command_table_handed(struct command_entry *entry, uint64_t agent_incarnation);
/* The key has its answer, or one more record that says the same of it: it is the newest of its sort now. A key that is not in the table
 * is entered; a public one stays public. NULL: two keys with one hash, the other one stays. */
struct command_entry *command_table_note_answered(struct command_table *table, const struct command_key *key,
                                                  bool is_public);

/* The same request came before, by another key that is HANDED: what was done for that one may have been done for this one.
 * So it is as old as that one, and `resent`. `entry` is the machine's newest. */
void command_table_inherit(struct command_entry *entry, struct list_node *at_machine, uint64_t now_ns);

/* What has become of a live entry by the passing of time alone; CODE_NONE: nothing yet. `hold_until_ns`: until then an
 * absent agent is waited for; `attached`: it is there. */
enum command_code_e command_table_verdict(const struct command_entry *entry, uint64_t now_ns,
                                          uint64_t hold_until_ns, bool attached);

/* Milliseconds left to the deadline, rounded down, never negative. */
int64_t command_table_left_ms(const struct command_ask *ask, uint64_t now_ns);
