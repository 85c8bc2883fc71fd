/* top_draw.c — rates, and the lines of `noria top` (top_rows.h). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "must.h"
#include "top_rows.h"

#define LINE_MAX_BYTES 400
#define CELL_MAX       24

/* --- rates ------------------------------------------------------------------------------------------------------------- */

/* Counters whose sums are a process's messages and bytes. A name that ends in '*' is all that begin so. */
struct sums {
    const char *kind; /* first letters of the process's name */
    const char *connections[4], *in[3], *out[8], *bytes_in[3], *bytes_out[3];
};

static const struct sums sums[] = {
    {"worker.",
     {"connections", "http_exchanges"},
     {"ws_messages", "http_requests"},
     {"ws_writes", "http_requests"},
     {"ws_bytes_in", "http_bytes_in"},
     {"ws_bytes_out", "http_bytes_out"}},
    {"broker",
     {"workers", "agents", "stores", "tools"},
     {"messages_*"},
     {"states_published", "outcomes_results", "outcomes_completions", "stream_messages", "channel_events",
      "alarm_events", "commands_handed"},
     {0},
     {0}},
    {"store", {0}, {"requests"}, {"replies", "events_sent"}, {0}, {0}},
    {"agent.", {0}, {"polls"}, {"states_sent", "outcomes_sent", "commands_written"}, {0}, {0}},
};

static const struct sums *sums_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        if (strncmp(name, sums[i].kind, strlen(sums[i].kind)) == 0)
            return &sums[i];
    return NULL;
}

static uint64_t sum_beginning(const struct sight_segment *segment, const char *begin, size_t len)
{
    char name[STATS_NAME_MAX + 1];
    enum stats_kind_e kind;
    uint64_t value, sum = 0;
    for (size_t i = 0; segment != NULL && segment->held && i < segment->stats.count; i++)
        if (stats_view_metric(&segment->stats, i, name, &kind, &value) && strncmp(name, begin, len) == 0)
            sum += value;
    return sum;
}

static uint64_t sum(const struct sight_segment *segment, const char *const *names, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count && names[i] != NULL; i++) {
        size_t len = strlen(names[i]);
        all += names[i][len - 1] == '*' ? sum_beginning(segment, names[i], len - 1)
                                        : sight_value(segment, names[i]);
    }
    return all;
}

static double seconds_between(const struct top_picture *picture)
{
    return picture->before == NULL || picture->now->mono_ns <= picture->before->mono_ns
               ? 0
               : (double)(picture->now->mono_ns - picture->before->mono_ns) / NS_PER_S;
}

/* The same process's segment in the look before; NULL: another process, or none. */
static const struct sight_segment *former(const struct top_look *before, const struct sight_segment *segment)
{
    const struct sight_segment *there =
        before != NULL && segment != NULL ? sight_segment(before->sight, segment->name) : NULL;
    return there != NULL && there->held && there->incarnation == segment->incarnation ? there : NULL;
}

static void rate_cell(const struct top_picture *picture, const struct sight_segment *segment,
                      const char *const *names, size_t count, char cell[CELL_MAX])
{
    const struct sight_segment *before = former(picture->before, segment);
    double s = seconds_between(picture);
    snprintf(cell, CELL_MAX, "-");
    if (before == NULL || s <= 0 || names[0] == NULL)
        return;
    uint64_t now = sum(segment, names, count), then = sum(before, names, count);
    double rate = now > then ? (double)(now - then) / s : 0;
    if (rate >= 1e7)
        snprintf(cell, CELL_MAX, "%.0fM", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(cell, CELL_MAX, "%.0fk", rate / 1e3);
    else
        snprintf(cell, CELL_MAX, "%.*f", rate > 0 && rate < 10 ? 1 : 0, rate);
}

static void cpu_cell(const struct top_picture *picture, size_t index, char cell[CELL_MAX])
{
    const struct top_usage *now = &picture->now->usage[index];
    double s = seconds_between(picture);
    snprintf(cell, CELL_MAX, "-");
    for (size_t i = 0; s > 0 && now->pid != 0 && i < picture->before->count; i++) {
        const struct top_usage *then = &picture->before->usage[i];
        if (then->pid != now->pid || then->cpu_ms > now->cpu_ms)
            continue;
        snprintf(cell, CELL_MAX, "%.1f", (double)(now->cpu_ms - then->cpu_ms) / 10 / s);
        return;
    }
}

/* --- lines ------------------------------------------------------------------------------------------------------------- */

struct sheet {
    FILE *out;
    unsigned columns, rows_left; /* UINT_MAX: no limit */
};

__attribute__((format(printf, 2, 3))) static void row(struct sheet *sheet, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    if (sheet->rows_left == 0)
        return;
    sheet->rows_left--;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (strlen(text) > sheet->columns) /* everything shown is ASCII */
        text[sheet->columns] = '\0';
    fprintf(sheet->out, "%s\n", text);
}

static void process_row(const struct top_picture *picture, size_t index, struct sheet *sheet)
{
    const struct sight_process *process = &picture->now->processes[index];
    const struct sums *kind = sums_of(process->name);
    char up[SIGHT_SPAN_MAX] = "-", cpu[CELL_MAX], rss[CELL_MAX] = "-", connections[CELL_MAX] = "-",
         deaths[CELL_MAX] = "-", in[CELL_MAX] = "-", out[CELL_MAX] = "-", bytes_in[CELL_MAX] = "-",
         bytes_out[CELL_MAX] = "-";
    uint64_t wall_ms = picture->now->sight->wall_ms;
    if (process->started_wall_ms != 0 && wall_ms > process->started_wall_ms)
        sight_span(wall_ms - process->started_wall_ms, up);
    if (picture->now->usage[index].pid != 0)
        snprintf(rss, sizeof rss, "%.1f", (double)picture->now->usage[index].rss_kib / 1024);
    if (process->launched)
        snprintf(deaths, sizeof deaths, "%" PRIu64, process->deaths);
    cpu_cell(picture, index, cpu);
    if (kind != NULL && process->own != NULL) {
        if (kind->connections[0] != NULL)
            snprintf(connections, sizeof connections, "%" PRIu64,
                     sum(process->own, kind->connections, ARRAY_LEN(kind->connections)));
        rate_cell(picture, process->own, kind->in, ARRAY_LEN(kind->in), in);
        rate_cell(picture, process->own, kind->out, ARRAY_LEN(kind->out), out);
        rate_cell(picture, process->own, kind->bytes_in, ARRAY_LEN(kind->bytes_in), bytes_in);
        rate_cell(picture, process->own, kind->bytes_out, ARRAY_LEN(kind->bytes_out), bytes_out);
    }
    row(sheet, "%-20.32s %-9s %7s %6s %8s %7s %7s %7s %7s %8s %7s", process->name, process->state, up, cpu,
        rss, connections, in, out, bytes_in, bytes_out, deaths);
}

static void ms_cell(double ms, char cell[CELL_MAX])
{
    if (ms < 0)
        snprintf(cell, CELL_MAX, "-");
    else
        snprintf(cell, CELL_MAX, "%.*f", ms < 10 ? 2 : 0, ms);
}

/* The deaths of a machine's agent, as the launcher counts. */
static void deaths_cell(const struct top_look *look, const struct sight_machine *machine, char cell[CELL_MAX])
{
    char name[SIGHT_NAME_MAX + 1];
    snprintf(name, sizeof name, "process.agent.%s", machine->id);
    const struct sight_segment *told = sight_segment(look->sight, name);
    if (told != NULL && told->held)
        snprintf(cell, CELL_MAX, "%" PRIu64, sight_value(told, "deaths"));
    else
        snprintf(cell, CELL_MAX, "-");
}

static void machine_row(const struct top_picture *picture, const struct sight_machine *machine,
                        struct sheet *sheet)
{
    static const char *const polls[] = {"polls"}, *const moves[] = {"commands_written"};
    const struct sight_segment *base = former(picture->base, machine->agent);
    char position[CELL_MAX] = "-", age[SIGHT_SPAN_MAX], half[CELL_MAX], most[CELL_MAX], lag[CELL_MAX],
         rate[CELL_MAX], written[CELL_MAX], deaths[CELL_MAX];
    if (machine->state.has_reading)
        snprintf(position, sizeof position, "%u", machine->state.position);
    sight_age_text(sight_age_ms(picture->now->sight, machine), age);
    ms_cell(sight_quantile_since_ms(machine->agent, base, "plc_round_trip_ns", 0.5), half);
    ms_cell(sight_quantile_since_ms(machine->agent, base, "plc_round_trip_ns", 0.99), most);
    ms_cell(sight_quantile_since_ms(machine->agent, base, "poll_lag_ns", 0.99), lag);
    rate_cell(picture, machine->agent, polls, 1, rate);
    rate_cell(picture, machine->agent, moves, 1, written);
    deaths_cell(picture->now, machine, deaths);
    row(sheet, "%-20.32s %-12s %8s %8s %9s %9s %9s %8s %10s %7s", machine->id,
        connection_text(machine->state.connection), position, age, half, most, lag, rate, written, deaths);
}

static unsigned connected(const struct sight *sight)
{
    unsigned count = 0;
    for (size_t i = 0; i < sight->machine_count; i++)
        count += sight->machines[i].state.connection == CONNECTION_CONNECTED;
    return count;
}

/* Those that are in trouble stand first, so that they are on the screen. */
static void machine_rows(const struct top_picture *picture, struct sheet *sheet)
{
    const struct sight *sight = picture->now->sight;
    for (int trouble = 1; trouble >= 0; trouble--)
        for (size_t i = 0; i < sight->machine_count; i++)
            if ((sight->machines[i].state.connection != CONNECTION_CONNECTED) == trouble)
                machine_row(picture, &sight->machines[i], sheet);
}

static bool is_agent(const struct top_look *look, size_t index)
{
    return strncmp(look->processes[index].name, "agent.", 6) == 0;
}

/* Processes that are not up, then all but agents, then agents: there are as many as machines. */
static void process_rows(const struct top_picture *picture, struct sheet *sheet)
{
    const struct top_look *look = picture->now;
    for (int pass = 0; pass < 3; pass++)
        for (size_t i = 0; i < look->count; i++) {
            int place = !look->processes[i].up ? 0 : !is_agent(look, i) ? 1 : 2;
            if (place == pass)
                process_row(picture, i, sheet);
        }
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

void top_draw(const struct top_picture *picture, FILE *out)
{
    const struct top_look *look = picture->now;
    unsigned all_rows = picture->rows != 0 ? picture->rows : UINT32_MAX, up = 0;
    struct sheet sheet = {out, picture->columns != 0 ? picture->columns : LINE_MAX_BYTES, all_rows};
    char stamp[CLOCK_ISO_LEN + 1];
    for (size_t i = 0; i < look->count; i++)
        up += look->processes[i].up;
    clock_iso8601(look->sight->wall_ms, stamp);
    row(&sheet, "noria %s   %u of %zu processes up, %u of %zu machines connected", stamp, up, look->count,
        connected(look->sight), look->sight->machine_count);
    row(&sheet, "%s", picture->absent ? "NOTHING RUNS THERE ANY MORE: this was the last" : "");
    row(&sheet, "%-20s %-9s %7s %6s %8s %7s %7s %7s %7s %8s %7s", "PROCESS", "STATE", "UP", "CPU %",
        "RSS MiB", "CONNS", "IN/s", "OUT/s", "IN B/s", "OUT B/s", "DEATHS");
    unsigned machines = (unsigned)look->sight->machine_count,
             body = sheet.rows_left > 2 ? sheet.rows_left - 2 : 0;
    unsigned for_machines = picture->rows != 0 ? least(machines, body / 2) : machines;
    unsigned for_processes =
        picture->rows != 0 ? least((unsigned)look->count, body - for_machines) : (unsigned)look->count;
    struct sheet part = {out, sheet.columns, for_processes};
    process_rows(picture, &part);
    if (sheet.rows_left > for_processes)
        sheet.rows_left -= for_processes;
    row(&sheet, "%s", "");
    row(&sheet, "%-20s %-12s %8s %8s %9s %9s %9s %8s %10s %7s", "MACHINE", "CONNECTION", "POSITION", "AGE",
        "TRIP p50", "p99 ms", "LAG p99", "POLLS/s", "COMMANDS/s", "DEATHS");
    machine_rows(picture, &sheet);
}
