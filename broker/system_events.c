/* Hop: D7. Rejected: reading the frames back at start instead of notes; texts may change, and would be parsed. Rejected: notes of machines; their states
 * say it all. */
#include "system_events.h"

#include <stdio.h>

#include "must.h"
#include "publish.h"

enum note_e { NOTE_NONE, NOTE_STARTED, NOTE_RESTARTED, NOTE_STOPPED, NOTE_LOST, NOTE_LEFT, NOTE_BACK };

static uint64_t note_of(enum note_e what, uint32_t process)
{
    return (uint64_t)process << 8 | what;
}

static enum err_e tell(struct publisher *publisher, const char *level, const char *message, const char *data,
                       uint64_t note)
{
    struct system_event event = {level, message, data, clock_wall_ms(publisher->clock)};
    return publish_system_event(publisher, &event, note);
}

/* --- the broker's own life --------------------------------------------------------------------------------------- */

void system_events_begin(struct system_events *events, struct publisher *publisher, bool ring_used)
{
    if (ring_used && !events->stopped)
        tell(publisher, "warning", "Proceso reiniciado", "{\"process\":\"broker\"}",
             note_of(NOTE_RESTARTED, 0));
    else
        tell(publisher, "info", "Sistema iniciado correctamente",
             "{\"module\":\"websocket\",\"version\":\"" NORIA_VERSION "\"}", note_of(NOTE_STARTED, 0));
    events->stopped = false;
}

void system_events_end(struct system_events *events, struct publisher *publisher)
{
    if (events->stopped)
        return;
    events->stopped = true;
    tell(publisher, "info", "Sistema detenido", "{\"module\":\"websocket\"}", note_of(NOTE_STOPPED, 0));
    publish_flush(publisher);
}

/* --- processes --------------------------------------------------------------------------------------------------- */

static bool is_gone(const struct system_events *events, uint32_t process)
{
    return process == SYSTEM_STORE ? events->store_gone : (events->workers_gone >> process & 1) != 0;
}

static void set_gone(struct system_events *events, uint32_t process, bool gone)
{
    if (process == SYSTEM_STORE)
        events->store_gone = gone;
    else if (gone)
        events->workers_gone |= 1ULL << process;
    else
        events->workers_gone &= ~(1ULL << process);
}

static void tell_of_process(struct publisher *publisher, const char *level, const char *message,
                            enum note_e what, uint32_t process)
{
    char data[48];
    if (process == SYSTEM_STORE)
        snprintf(data, sizeof data, "{\"process\":\"store\"}");
    else
        snprintf(data, sizeof data, "{\"process\":\"worker.%u\"}", process);
    tell(publisher, level, message, data, note_of(what, process));
    publish_flush(publisher);
}

void system_events_process_up(struct system_events *events, struct publisher *publisher, uint32_t process)
{
    MUST(process <= SYSTEM_STORE);
    if (!is_gone(events, process))
        return;
    set_gone(events, process, false);
    tell_of_process(publisher, "info", "Proceso reiniciado", NOTE_BACK, process);
}

void system_events_process_gone(struct system_events *events, struct publisher *publisher, uint32_t process,
                                bool on_purpose)
{
    MUST(process <= SYSTEM_STORE);
    set_gone(events, process, true);
    if (on_purpose)
        tell_of_process(publisher, "info", "Proceso detenido", NOTE_LEFT, process);
    else
        tell_of_process(publisher, "warning", "Proceso caído", NOTE_LOST, process);
}

/* --- what a broker before this one has told ------------------------------------------------------------------------ */

void system_events_take(struct system_events *events, uint64_t note)
{
    uint64_t what = note & 0xff, process = note >> 8;
    if (what == NOTE_STARTED || what == NOTE_RESTARTED || what == NOTE_STOPPED)
        events->stopped = what == NOTE_STOPPED;
    else if ((what == NOTE_LOST || what == NOTE_LEFT || what == NOTE_BACK) && process <= SYSTEM_STORE)
        set_gone(events, (uint32_t)process, what != NOTE_BACK);
}

/* --- machines ---------------------------------------------------------------------------------------------------- */

void system_events_machine(struct publisher *publisher, const struct machine *machine,
                           const struct machine_state *now)
{
    const struct machine_state *before = &machine->shown;
    char data[MACHINE_ID_MAX + 80]; /* an id needs no escaping */
    bool was = before->connection == CONNECTION_CONNECTED, is = now->connection == CONNECTION_CONNECTED;
    if (was == is || !before->has_reading)
        return;
    if (is)
        snprintf(data, sizeof data, "{\"machine_id\":\"%s\"}", machine->conf->info.id);
    else
        snprintf(data, sizeof data, "{\"machine_id\":\"%s\",\"connection_status\":\"%s\"}",
                 machine->conf->info.id, connection_text(now->connection));
    tell(publisher, is ? "info" : "warning", is ? "Máquina conectada" : "Máquina sin conexión", data,
         NOTE_NONE);
}
