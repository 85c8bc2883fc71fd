/* machine_set.h — a machine comes or goes while clients may be connected (Hop: D7): its slot of the last-value table, the
 * event, its first state, in an order that survives kill -9 between any two instructions.
 *
 *     machine_set_remove   slot marked leaving (readers: empty) ─▶ machine_removed, published ─▶ slot cleared
 *     machine_set_add      slot put, naming the ring's next position ─▶ machine_added and first state, one move of the
 *                          head ─▶ slot put, naming that state's position
 *     changed description  remove, then add
 *
 * So the table always shows a change before the ring tells of it: a worker that reads the event finds the machine gone,
 * or there. And what was done is never in doubt for the broker that comes next (reattach.c asks the functions below):
 *
 *     killed with the slot marked   the event is in the ring behind the machine's last record, or is still due
 *     killed with the slot put      it names a position at which the ring has this machine's event, or the event is due
 *
 * Guaranteed, therefore: every difference between the configurations of two brokers on one table is told exactly once,
 * however often and whenever they are killed. Not told, because nobody can have heard of it: the first start (a new
 * table: nothing is news). A table that had to be replaced (another ring, another max_machines, another layout) is new in
 * this sense; its readers are told by GONE. A first start that is killed halfway announces the machines it had not yet shown.
 * With the ring unreadable, an event of a broker killed in the middle may be told twice.
 *
 * Used at re-attachment, and by a live reload, which does the same between two events of the loop (machine_set_change()): first
 * whoever goes, then whoever comes, as a broker would that starts with the new configuration. That is what makes a kill in the middle of
 * a reload harmless, if the next broker reads the new configuration (which is put in force on disk before it is here).
 */
#pragma once

#include "publish.h"
#include "registry_next.h"

/* `slot` is in use, or leaving, and was `info`'s. `told`: the event is in the ring already, or must not be: only the slot
 * is cleared. `slot` REGISTRY_NO_SLOT: there is none any more, only the event is due. On an error (counted, logged) the
 * slot stays marked: the next broker tells. */
enum err_e machine_set_remove(struct publisher *publisher, uint32_t slot, const struct machine_info *info,
                              bool told);

/* `machine` has a slot, which is empty or (after a broker killed in here) names its unpublished event. It is shown
 * disconnected and without a reading, whatever was known of a machine of this id before. */
enum err_e machine_set_add(struct publisher *publisher, struct machine *machine);

/* The same machine to clients? Another name, address, port or type makes another one. */
bool machine_set_same(const struct machine_info *a, const struct machine_info *b);

/* The registry, and the publisher's bridges, have just taken `next` over: tells what is different, gives new machines their slots, and
 * shows again whose status reads otherwise by another profile. `used` and `taken` are false, one per slot of the table, and used
 * up. On the first error (counted, logged) it stops: what is not told yet is for the next broker. */
enum err_e machine_set_change(struct publisher *publisher, struct registry *registry,
                              const struct registry_next *next, bool *used, bool *taken);
