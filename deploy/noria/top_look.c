/* top_look.c — a sight and what /proc says of its processes (top_rows.h).
 *
 * A pid in shared memory may be of another pid namespace (containers) or nonsense: it counts only if /proc shows a program of Noria's under it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "top_rows.h"

#define COMM_MAX 15

/* The program that a process of this name is; NULL: any (a handler is the user's). */
static const char *program_of(const char *name)
{
    static const struct {
        const char *begin, *program;
    } all[] = {{"broker", "noria-broker"}, {"worker.", "noria-worker"}, {"store", "noria-store"},
               {"agent.", "plc-agent"},    {"plc-sim", "plc-sim"},      {"launcher", "noria"},
               {"front", "noria"}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strncmp(name, all[i].begin, strlen(all[i].begin)) == 0)
            return all[i].program;
    return NULL;
}

static bool read_proc(uint64_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/%s", pid, file);
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return false;
    size_t got = fread(text, 1, size - 1, stream);
    text[got] = '\0';
    fclose(stream);
    return got > 0;
}

/* proc(5): pid (comm) state …, utime and stime being the 12th and 13th behind the state. */
static bool read_cpu(const char *stat, const char *program, uint64_t *cpu_ms)
{
    const char *open = strchr(stat, '('), *close = strrchr(stat, ')');
    unsigned long user, system;
    if (open == NULL || close == NULL || close < open)
        return false;
    size_t len = (size_t)(close - open - 1);
    if (program != NULL && (len != strnlen(program, COMM_MAX) || strncmp(open + 1, program, len) != 0))
        return false;
    if (sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return false;
    *cpu_ms = (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}

static struct top_usage usage_of(const struct sight_process *process)
{
    char text[1024];
    struct top_usage usage = {.pid = process->pid};
    unsigned long resident;
    if (process->pid == 0 || process->pid > INT32_MAX ||
        !read_proc(process->pid, "stat", text, sizeof text) ||
        !read_cpu(text, program_of(process->name), &usage.cpu_ms))
        return (struct top_usage){0};
    if (read_proc(process->pid, "statm", text, sizeof text) && sscanf(text, "%*u %lu", &resident) == 1)
        usage.rss_kib = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
    return usage;
}

enum err_e top_look_take(const char *runtime_dir, uint64_t wall_ms, uint64_t mono_ns, struct top_look **look)
{
    struct top_look *made = calloc(1, sizeof *made);
    *look = made;
    if (made == NULL)
        return ERR_MEMORY;
    made->mono_ns = mono_ns;
    enum err_e err = sight_take(runtime_dir, wall_ms, &made->sight);
    if (err == ERR_OK)
        err = sight_processes(made->sight, &made->processes, &made->count);
    if (err == ERR_OK) {
        made->usage = calloc(made->count + 1, sizeof *made->usage);
        err = made->usage != NULL ? ERR_OK : ERR_MEMORY;
    }
    for (size_t i = 0; err == ERR_OK && i < made->count; i++)
        made->usage[i] = usage_of(&made->processes[i]);
    if (err != ERR_OK)
        top_look_free(look);
    return err;
}

void top_look_free(struct top_look **look)
{
    struct top_look *gone = *look;
    *look = NULL;
    if (gone == NULL)
        return;
    free(gone->usage);
    free(gone->processes);
    sight_free(&gone->sight);
    free(gone);
}
