/* procfs.h — what a process has used, from /proc: CPU time of all its threads, memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Time on a CPU of all threads, from /proc/PID/task/TID/schedstat (nanoseconds, where /proc/PID/stat has ticks of
 * 10 ms). Kernel time of the process's own system calls is in it, loopback's receive path included. 0: no such
 * process. */
uint64_t procfs_cpu_ns(pid_t pid);

struct procfs_memory {
    uint64_t rss_kib, pss_kib, private_kib;
};
bool procfs_memory(pid_t pid, struct procfs_memory *memory); /* /proc/PID/smaps_rollup */

unsigned procfs_descriptors(pid_t pid);

/* CPU time that all processes of the machine used since boot, in ns (ticks of 10 ms), from /proc/stat. */
uint64_t procfs_machine_busy_ns(void);
