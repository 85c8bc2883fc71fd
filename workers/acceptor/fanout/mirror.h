/* mirror.h — a worker's private copy of every machine's last state (Hop: D8).
 *
 * The tail folds each state record in before the record's frame reaches an audience, and everything a client is
 * answered from (snapshots, get_status, conflation) is read here at the tail's position; so what a client reads is
 * never older or newer than the frames around it. The last-value table only seeds it. Where it was ahead of the tail,
 * records older than what the slot said are dropped afterwards; the very record that it showed goes out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "lvt_reader.h"
#include "machine.h"
#include "map.h"
#include "ring_reader.h"

struct mirror_machine {
    bool present;
    uint32_t slot;
    struct machine_info info;
    struct machine_state state;
    uint64_t position;     /* ring position of the record it shows */
    uint64_t state_topic;  /* hash of state/<id> */
    uint64_t result_topic; /* hash of result/<id> */
    uint32_t text_len;
    char text[MACHINE_TEXT_MAX]; /* machine_state_text() */
};

struct mirror {
    struct mirror_machine **slots; /* by slot of the last-value table; NULL: never seen */
    uint32_t capacity, used;       /* used: slots at and above are NULL */
    uint32_t present;
    struct map by_topic; /* hash of state/<id> → machine */
};

void mirror_init(struct mirror *mirror);
void mirror_fini(struct mirror *mirror);

struct mirror_seeded {
    uint32_t unreadable; /* slots that were busy or corrupt (kept as they were) */
    /* Of the states taken over, whose record stands before `now`, the lowest position: the tail will not show them;
     * UINT64_MAX: there is none. */
    uint64_t owed_since;
};

/* Takes over every slot of the table that is newer than the mirror's, and forgets machines whose slot is empty. `now`: the
 * tail's position. States ahead of it are in the mirror before their records go out. ERR_MEMORY. */
enum err_e mirror_seed(struct mirror *mirror, const struct lvt_reader *lvt, uint64_t now,
                       struct mirror_seeded *seeded);

/* Positions of another ring mean nothing here: call before seeding from a table of a new ring. */
void mirror_forget_positions(struct mirror *mirror);

enum mirror_fold_e {
    MIRROR_FOLDED,
    MIRROR_OLD,     /* older than what the mirror shows: the frame must not go out */
    MIRROR_UNKNOWN, /* a machine the mirror has not seen: seed again from the table */
    MIRROR_MALFORMED
};
enum mirror_fold_e mirror_fold(struct mirror *mirror, const struct ring_record *record);

/* The machine, or NULL. */
const struct mirror_machine *mirror_find(const struct mirror *mirror, const char *id, size_t len);
/* Slot order; NULL where there is none. */
const struct mirror_machine *mirror_slot(const struct mirror *mirror, uint32_t slot);
