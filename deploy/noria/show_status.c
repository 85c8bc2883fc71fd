/* show_status.c — see show_status.h. */
#include "show_status.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "sight.h"
#include "sight_processes.h"

struct totals {
    size_t processes, up, machines, connected;
    uint64_t clients, received, sent_bytes, commands, deaths;
    bool broker, worker; /* one is up */
};

static bool is_worker(const struct sight_process *process)
{
    return strncmp(process->name, "worker.", 7) == 0;
}

static struct totals sum(const struct sight *sight, const struct sight_process *processes, size_t count)
{
    struct totals totals = {.processes = count, .machines = sight->machine_count};
    for (size_t i = 0; i < count; i++) {
        const struct sight_process *process = &processes[i];
        totals.up += process->up;
        totals.deaths += process->deaths;
        totals.broker |= process->up && strcmp(process->name, "broker") == 0;
        if (!is_worker(process))
            continue;
        totals.worker |= process->up;
        totals.clients += sight_value(process->own, "connections");
        totals.received += sight_value(process->own, "ws_messages");
        totals.sent_bytes +=
            sight_value(process->own, "ws_bytes_out") + sight_value(process->own, "http_bytes_out");
    }
    for (size_t i = 0; i < sight->machine_count; i++) {
        totals.connected += sight->machines[i].state.connection == CONNECTION_CONNECTED;
        totals.commands += sight_value(sight->machines[i].agent, "commands_written");
    }
    return totals;
}

static bool serves(const struct totals *totals)
{
    return totals->up == totals->processes && totals->broker && totals->worker;
}

/* --- tables ----------------------------------------------------------------------------------------------------------- */

static int widest(const struct sight *sight, const struct sight_process *processes, size_t count)
{
    size_t most = strlen("PROCESS");
    for (size_t i = 0; i < count; i++)
        most = strlen(processes[i].name) > most ? strlen(processes[i].name) : most;
    for (size_t i = 0; i < sight->machine_count; i++)
        most = strlen(sight->machines[i].id) > most ? strlen(sight->machines[i].id) : most;
    return (int)most;
}

static uint64_t since(uint64_t wall_ms, uint64_t now_ms)
{
    return now_ms > wall_ms ? now_ms - wall_ms : 0;
}

static void process_line(const struct sight *sight, const struct sight_process *process, int width, FILE *out)
{
    char pid[24] = "-", up[SIGHT_SPAN_MAX] = "-", starts[24] = "-", deaths[24] = "-",
         end[SIGHT_END_MAX] = "-";
    char due[SIGHT_SPAN_MAX];
    if (process->pid != 0)
        snprintf(pid, sizeof pid, "%" PRIu64, process->pid);
    if (process->started_wall_ms != 0)
        sight_span(since(process->started_wall_ms, sight->wall_ms), up);
    if (process->launched) {
        snprintf(starts, sizeof starts, "%" PRIu64, process->starts);
        snprintf(deaths, sizeof deaths, "%" PRIu64, process->deaths);
        sight_last_end(process, end);
    }
    fprintf(out, "%-*s  %-9s %8s  %-10s %8s %7s %7s  %s", width, process->name, process->state, pid,
            process->own != NULL ? process->own->name : "-", up, starts, deaths, end);
    if (process->restart_due_wall_ms > sight->wall_ms)
        fprintf(out, ", again in %s", sight_span(process->restart_due_wall_ms - sight->wall_ms, due));
    fputc('\n', out);
}

static const char *milliseconds(double ms, char text[24])
{
    if (ms < 0)
        snprintf(text, 24, "-");
    else
        snprintf(text, 24, "%.*f", ms < 10 ? 2 : 0, ms);
    return text;
}

static void machine_line(const struct sight *sight, const struct sight_machine *machine, int width, FILE *out)
{
    char position[8] = "-", age[SIGHT_SPAN_MAX], half[24], most[24], lag[24];
    if (machine->state.has_reading)
        snprintf(position, sizeof position, "%u", machine->state.position);
    fprintf(out, "%-*s  %-12s %8s %8s %9s %9s %9s\n", width, machine->id,
            connection_text(machine->state.connection), position,
            sight_age_text(sight_age_ms(sight, machine), age),
            milliseconds(sight_quantile_ms(machine->agent, "plc_round_trip_ns", 0.5), half),
            milliseconds(sight_quantile_ms(machine->agent, "plc_round_trip_ns", 0.99), most),
            milliseconds(sight_quantile_ms(machine->agent, "poll_lag_ns", 0.99), lag));
}

static void as_tables(const struct sight *sight, const struct sight_process *processes, size_t count,
                      FILE *out)
{
    struct totals totals = sum(sight, processes, count);
    int width = widest(sight, processes, count);
    fprintf(out, "%-*s  %-9s %8s  %-10s %8s %7s %7s  %s\n", width, "PROCESS", "STATE", "PID", "SEGMENT",
            "UPTIME", "STARTS", "DEATHS", "LAST END");
    for (size_t i = 0; i < count; i++)
        process_line(sight, &processes[i], width, out);
    fprintf(out, "\n%-*s  %-12s %8s %8s %9s %9s %9s\n", width, "MACHINE", "CONNECTION", "POSITION", "AGE",
            "TRIP p50", "p99 ms", "LAG p99");
    for (size_t i = 0; i < sight->machine_count; i++)
        machine_line(sight, &sight->machines[i], width, out);
    fprintf(out,
            "\n%zu of %zu processes up, %zu of %zu machines connected; %" PRIu64 " clients, %" PRIu64
            " commands written, %" PRIu64 " deaths%s\n",
            totals.up, totals.processes, totals.connected, totals.machines, totals.clients, totals.commands,
            totals.deaths,
            !totals.broker   ? "; NO BROKER"
            : !totals.worker ? "; NO WORKER"
                             : "");
}

/* --- JSON ------------------------------------------------------------------------------------------------------------- */

static json_t *number_or_null(bool known, uint64_t value)
{
    return known ? json_integer((json_int_t)value) : json_null();
}

static json_t *ms_or_null(double ms)
{
    return ms < 0 ? json_null() : json_real(ms);
}

static json_t *process_json(const struct sight *sight, const struct sight_process *process)
{
    char end[SIGHT_END_MAX];
    bool ended = process->launched && process->deaths + process->planned_ends > 0;
    return json_pack(
        "{s:s, s:s, s:s?, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", process->name, "state",
        process->state, "segment", process->own != NULL ? process->own->name : NULL, "up", (int)process->up,
        "pid", number_or_null(process->pid != 0, process->pid), "uptime_ms",
        number_or_null(process->started_wall_ms != 0, since(process->started_wall_ms, sight->wall_ms)),
        "starts", number_or_null(process->launched, process->starts), "deaths",
        number_or_null(process->launched, process->deaths), "planned_ends",
        number_or_null(process->launched, process->planned_ends), "last_end",
        ended ? json_string(sight_last_end(process, end)) : json_null(), "restart_in_ms",
        number_or_null(process->restart_due_wall_ms > sight->wall_ms,
                       process->restart_due_wall_ms - sight->wall_ms));
}

static json_t *machine_json(const struct sight *sight, const struct sight_machine *machine)
{
    int64_t age_ms = sight_age_ms(sight, machine);
    return json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id", machine->id, "slot",
                     (int)machine->slot, "connection", connection_text(machine->state.connection), "position",
                     number_or_null(machine->state.has_reading, machine->state.position), "raw_status",
                     number_or_null(machine->state.has_reading, machine->state.raw_status), "age_ms",
                     number_or_null(age_ms >= 0, (uint64_t)age_ms), "round_trip_p50_ms",
                     ms_or_null(sight_quantile_ms(machine->agent, "plc_round_trip_ns", 0.5)),
                     "round_trip_p99_ms",
                     ms_or_null(sight_quantile_ms(machine->agent, "plc_round_trip_ns", 0.99)),
                     "poll_lag_p99_ms", ms_or_null(sight_quantile_ms(machine->agent, "poll_lag_ns", 0.99)));
}

static enum err_e as_json(const struct sight *sight, const struct sight_process *processes, size_t count,
                          FILE *out)
{
    char stamp[CLOCK_ISO_LEN + 1];
    struct totals totals = sum(sight, processes, count);
    json_t *rows = json_array(), *machines = json_array();
    clock_iso8601(sight->wall_ms, stamp);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, process_json(sight, &processes[i]));
    for (size_t i = 0; i < sight->machine_count; i++)
        json_array_append_new(machines, machine_json(sight, &sight->machines[i]));
    json_t *whole = json_pack("{s:s, s:b, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "time", stamp,
                              "ok", (int)serves(&totals), "processes", rows, "machines", machines, "totals",
                              "processes", (json_int_t)totals.processes, "up", (json_int_t)totals.up,
                              "machines", (json_int_t)totals.machines, "connected",
                              (json_int_t)totals.connected, "clients", (json_int_t)totals.clients, "commands",
                              (json_int_t)totals.commands, "deaths", (json_int_t)totals.deaths);
    int failed = whole == NULL || json_dumpf(whole, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF;
    json_decref(whole);
    return failed ? ERR_SYSTEM : ERR_OK;
}

enum err_e show_status(const char *runtime_dir, uint64_t wall_ms, bool json, FILE *out, bool *all_up)
{
    struct sight *sight;
    struct sight_process *processes = NULL;
    size_t count;
    *all_up = false;
    enum err_e err = sight_take(runtime_dir, wall_ms, &sight);
    if (err != ERR_OK)
        return err;
    err = sight_processes(sight, &processes, &count);
    if (err == ERR_OK) {
        struct totals totals = sum(sight, processes, count);
        *all_up = serves(&totals);
        if (json)
            err = as_json(sight, processes, count, out);
        else
            as_tables(sight, processes, count, out);
    }
    free(processes);
    sight_free(&sight);
    return err == ERR_OK && (fflush(out) != 0 || ferror(out)) ? ERR_SYSTEM : err;
}
