/* lvt_writer.h — the broker's side of the last-value table (Hop: D7). See common/shm/SHM.md.
 *
 * A slot belongs to one machine for the life of the file. One process writes; readers use a sequence lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"
#include "lvt_layout.h"

struct lvt_writer;

/* Attaches or creates as ring_writer_open() does. `ring_id` names the ring whose positions the slots hold; a table of
 * another ring, capacity, version or magic is replaced. Slots that a killed writer left odd are repaired by marking
 * them empty (the broker publishes their machines again). Errors: ERR_SYSTEM, ERR_CONFIG,
 * ERR_MEMORY, ERR_BUSY. */
enum err_e lvt_writer_open(const char *path, uint32_t capacity, uint32_t ring_id, struct lvt_writer **writer,
                           bool *continued);
void lvt_writer_close(struct lvt_writer **writer);

uint32_t lvt_writer_capacity(const struct lvt_writer *writer);

/* Writes a slot. machine->info.id is a valid id; machine->text_len <= MACHINE_TEXT_MAX. ERR_FULL (logged): the slot is
 * used for the first time and the file system has no page for it; the slot stays empty. */
enum err_e lvt_writer_put(struct lvt_writer *writer, uint32_t slot, const struct lvt_machine *machine);
/* Says that the slots show every state whose record lies before `position` (of the ring). A record is public before its slot is put; who begins to
 * read in between, at the head, would get the state from neither (tests/proof/publish.pml), so readers begin here. */
void lvt_writer_settle(struct lvt_writer *writer, uint64_t position);
/* Frees a slot: readers get LVT_EMPTY. */
void lvt_writer_clear(struct lvt_writer *writer, uint32_t slot);
/* The machine of a slot in use is leaving: from now on readers get LVT_EMPTY, while the writer, or one after it, can still
 * say who it was (lvt_writer_leaving()). One store: there is no half of it. Ends with the next put or clear. */
void lvt_writer_leave(struct lvt_writer *writer, uint32_t slot);

/* As ring_writer_scrub(), for the table's header. Slots are looked at one by one: one that is not sound is put again by whoever
 * knows what it should say, or cleared. */
enum err_e lvt_writer_scrub(struct lvt_writer *writer, uint32_t *healed);
uint32_t lvt_writer_used(const struct lvt_writer *writer); /* slots from here on were never used */
bool lvt_writer_sound(const struct lvt_writer *writer, uint32_t slot);

/* What the slot holds, as a reader would see it; false if empty or leaving. For re-attachment, as what follows. */
bool lvt_writer_get(const struct lvt_writer *writer, uint32_t slot, struct lvt_machine *machine);
/* What a slot holds whose machine is leaving; else false. */
bool lvt_writer_leaving(const struct lvt_writer *writer, uint32_t slot, struct lvt_machine *machine);
/* The description that stood in a slot which is empty now. True of the last machine there also after a put of the same
 * machine that was killed halfway, because its words do not change; anything else may be a mixture: the caller must know from
 * elsewhere whose slot it was, and compare the id. */
bool lvt_writer_remains(const struct lvt_writer *writer, uint32_t slot, struct machine_info *info);
