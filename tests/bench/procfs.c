/* procfs.c — see procfs.h. */
#include "procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t task_cpu_ns(pid_t pid, const char *task)
{
    char path[64 + NAME_MAX];
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task);
    FILE *file = fopen(path, "re");
    uint64_t ns = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

uint64_t procfs_cpu_ns(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    uint64_t ns = 0;
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (isdigit((unsigned char)entry->d_name[0]))
            ns += task_cpu_ns(pid, entry->d_name);
    closedir(dir);
    return ns;
}

bool procfs_memory(pid_t pid, struct procfs_memory *memory)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    *memory = (struct procfs_memory){0};
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t kib;
        if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
            memory->rss_kib = kib;
        else if (sscanf(line, "Pss: %" SCNu64, &kib) == 1)
            memory->pss_kib = kib;
        else if (sscanf(line, "Private_%*[A-Za-z]: %" SCNu64, &kib) == 1)
            memory->private_kib += kib;
    }
    fclose(file);
    return memory->rss_kib > 0;
}

unsigned procfs_descriptors(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    unsigned count = 0;
    if (dir == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

uint64_t procfs_machine_busy_ns(void)
{
    uint64_t t[8] = {0};
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return 0;
    int n =
        fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6]);
    fclose(file);
    if (n != 7)
        return 0;
    uint64_t ticks =
        t[0] + t[1] + t[2] + t[5] + t[6]; /* user, nice, system, irq, softirq; not idle and iowait */
    return ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}
