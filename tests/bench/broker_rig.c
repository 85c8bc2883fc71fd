/* See broker_rig.h. */
#include "broker_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "must.h"
#include "segment.h"

struct broker_rig broker_rig;

void broker_rig_configure(int machines, const char *more, int streams)
{
    FILE *file = fopen(broker_rig.conf_file, "w");
    MUST(file != NULL);
    fprintf(file, "runtime_dir: %s\nlog: {level: error}\nlisteners: [{name: c, port: 0}]\nmachines:\n",
            broker_rig.dir);
    for (int i = 0; i < machines; i++)
        fprintf(file, "  - {id: machine_%d, ip: 10.0.0.1, port: %d%s}\n", i, 10000 + i, more);
    for (int i = 0; i < streams; i++)
        fprintf(file, "%s  - {from: states, stream: stream_%d}\n", i == 0 ? "bridges:\n" : "", i);
    fclose(file);
}

uint64_t broker_rig_start(void)
{
    int ready[2];
    char byte;
    MUST(pipe2(ready, O_CLOEXEC) == 0);
    uint64_t start = now_ns();
    broker_rig.pid = fork();
    MUST(broker_rig.pid >= 0);
    if (broker_rig.pid == 0) {
        dup2(ready[1], 9);
        setenv("NORIA_READY_FD", "9", 1);
        execl(broker_rig.program, "noria-broker", "-c", broker_rig.conf_file, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    MUST(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    return now_ns() - start;
}

void broker_rig_stop(int signo)
{
    kill(broker_rig.pid, signo);
    waitpid(broker_rig.pid, NULL, 0);
}

uint64_t broker_rig_metric(const char *name, double quantile)
{
    char path[128], found[STATS_NAME_MAX + 1];
    struct segment_view *view;
    struct stats_view stats;
    enum stats_kind_e kind;
    uint64_t value = 0;
    snprintf(path, sizeof path, "%s/shm/broker", broker_rig.dir);
    MUST(segment_view_open(path, &view) == ERR_OK && segment_view_stats(view, &stats) == ERR_OK);
    for (size_t i = 0; stats_view_metric(&stats, i, found, &kind, &value); i++) {
        if (strcmp(found, name) != 0)
            continue;
        if (quantile > 0)
            value = stats_view_quantile_ns(&stats, i, quantile);
        break;
    }
    segment_view_close(&view);
    return value;
}

void broker_rig_cpu(pid_t pid, double *whole, double *first)
{
    for (int i = 0; i < 2; i++) {
        char path[64], text[1024];
        unsigned long user, system_;
        snprintf(path, sizeof path, i == 0 ? "/proc/%d/stat" : "/proc/%d/task/%d/stat", pid, pid);
        FILE *file = fopen(path, "r");
        MUST(file != NULL && fgets(text, sizeof text, file) != NULL);
        fclose(file);
        const char *rest = strrchr(text, ')');
        MUST(sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_) == 2);
        *(i == 0 ? whole : first) = (double)(user + system_) / (double)sysconf(_SC_CLK_TCK);
    }
}
