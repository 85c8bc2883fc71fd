/* recent.h — the results of recent commands, so that a command that comes again gets the same answer again and is
 * never written twice (Hop: C5).
 *
 * Found by key (the same command of the same session, sent again) and by request (scope and request_id, from whatever
 * session). A request is remembered from its last answer on: who asks again prolongs it.
 *
 * Bounded by number and age; the oldest goes first. What was or may have been written to the PLC is counted apart from
 * refusals and readings, so that no flood of those makes a move forgotten. What is forgotten leaves a trace, the horizon: a command that its
 * worker accepted at or before it may have been carried out and forgotten, by this agent or by one before it. It begins
 * with the agent, and moves back once the journal has been replayed (recent_cover()).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errcode.h"
#include "outcome.h"

struct recent;

struct recent_entry {
    struct outcome result;
    uint64_t seq; /* the number it was last reported under */
    uint64_t arrived_ns, decided_ns;
    uint64_t n; /* of its record in its chain, if it was replayed from the journal */
    struct {    /* how the move ended, for those who ask again */
        bool known;
        uint64_t n; /* likewise */
        enum command_code_e code;
        char text[OUTCOME_TEXT_MAX + 1];
        int64_t position;
        uint64_t elapsed_ms;
    } end;
};

/* `capacity` of each kind. The horizon begins at `now_ns`. */
enum err_e recent_new(size_t capacity, uint64_t keep_ns, uint64_t now_ns, struct recent **recent);
void recent_free(struct recent **recent);

/* NULL: unknown. The entry may be changed, and lives until the next recent_put() or recent_find…(). */
struct recent_entry *recent_find(struct recent *recent, const struct command_key *key, uint64_t now_ns);
/* The newest answer to the request that `asked` names; NULL also if it names none. */
struct recent_entry *recent_find_request(struct recent *recent, const struct outcome *asked, uint64_t now_ns);
/* The key is not in it yet. A result with a scope becomes its request's answer. */
struct recent_entry *recent_put(struct recent *recent, const struct outcome *result, uint64_t seq,
                                uint64_t arrived_ns, uint64_t now_ns);
/* Notes the end of a move: with one entry, or with its request's answer, if that is still known. */
void recent_entry_end(struct recent_entry *entry, const struct outcome *completion);
void recent_end(struct recent *recent, const struct outcome *completion, uint64_t now_ns);
/* The completion that such an entry remembers. */
struct outcome recent_completion(const struct recent_entry *entry);

/* The journal has told everything since then: the horizon moves back to it, unless newer entries were forgotten. */
void recent_cover(struct recent *recent, uint64_t since_ns);
uint64_t recent_horizon_ns(const struct recent *recent);

size_t recent_count(const struct recent *recent);
/* The i-th of them: what was written first, the oldest first. */
struct recent_entry *recent_at(struct recent *recent, size_t i);
