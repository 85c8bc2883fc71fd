/* system_events.h — what the broker itself tells the clients of channels: system_event, on general (part of Hop D7).
 *
 *     a new ring, or one that was left on purpose    info     Sistema iniciado correctamente  {"module":"websocket","version":…}
 *     a ring whose broker died                       warning  Proceso reiniciado              {"process":"broker"}
 *     a worker or the store is lost                  warning  Proceso caído                   {"process":"worker.0"}
 *     … says GOODBYE                                 info     Proceso detenido                {"process":"store"}
 *     … one of these two, back                       info     Proceso reiniciado              {"process":"store"}
 *     a machine that had a reading loses its         warning  Máquina sin conexión            {"machine_id":…,"connection_status":…}
 *     … gets it again                                info     Máquina conectada               {"machine_id":…}
 *     SIGTERM                                        info     Sistema detenido                {"module":"websocket"}
 *
 * Each is told once. A machine's stands in the same move of the head as the state that it comes with, so that it is told exactly as often as the connection changes,
 * whichever broker dies when. The others leave a note in their record, from which the next broker knows who is missing and how the last one
 * ended, as far as the ring goes. Not told: what happens to workers and the store while there is no broker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "registry.h"

struct publisher;

#define SYSTEM_STORE 64u /* beside the workers' slots, 0 to 63 */

struct system_events {
    uint64_t workers_gone; /* bit N: worker.N was lost or has left */
    bool store_gone;
    bool stopped; /* the end of the last broker, or of this one, was told */
};

/* For reattach.c: the note of a record (source_seq of source 0), oldest first; then how this broker begins: appended, before anything else, so that a
 * ring with records in it has one of these. */
void system_events_take(struct system_events *events, uint64_t note);
void system_events_begin(struct system_events *events, struct publisher *publisher, bool ring_used);
void system_events_end(struct system_events *events, struct publisher *publisher); /* public; once */

/* A worker's slot, or SYSTEM_STORE. Public. */
void system_events_process_up(struct system_events *events, struct publisher *publisher, uint32_t process);
void system_events_process_gone(struct system_events *events, struct publisher *publisher, uint32_t process,
                                bool on_purpose);

/* machine->shown becomes `now`: appends what is to be told of that. */
void system_events_machine(struct publisher *publisher, const struct machine *machine,
                           const struct machine_state *now);
