/* top_rows.h — what `noria top` shows, from two sights and two looks into /proc. Private to deploy/noria. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "sight.h"
#include "sight_processes.h"

/* What a process has used, by /proc. */
struct top_usage {
    uint64_t pid, cpu_ms, rss_kib;
};

/* One look at everything. */
struct top_look {
    struct sight *sight;
    struct sight_process *processes;
    struct top_usage *usage; /* of each process; pid 0: /proc does not know it as ours */
    size_t count;
    uint64_t mono_ns;
};

enum err_e top_look_take(const char *runtime_dir, uint64_t wall_ms, uint64_t mono_ns, struct top_look **look);
void top_look_free(struct top_look **look);

struct top_picture {
    const struct top_look *now, *before; /* rates are between them; before NULL: none */
    const struct top_look *base;         /* quantiles are since it; NULL: since each process's start */
    bool absent;                         /* nothing runs there any more: this was the last */
    unsigned rows, columns;              /* of the screen; 0: no limit */
};
/* Lines of text, each ended by '\n', none longer than the screen is wide, not more than it is high. */
void top_draw(const struct top_picture *picture, FILE *out);
