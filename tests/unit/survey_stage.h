/* survey_stage.h — the stage of surveys' plays: several workers' hosts in one process, joined by a played broker that keeps every
 * message as bytes until the play hands it on. All time is played, too. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "host.h"
#include "must.h"
#include "wire.h"

#define WORKERS      3u
#define QUESTION     42u
#define GONE         0xdeadULL /* no worker's incarnation */
#define REGISTRY_MAX 12000u

struct registry { /* what one worker knows of its connections; serials ascend */
    unsigned worker;
    uint64_t serials[REGISTRY_MAX];
    uint32_t count;
    unsigned pieces;
    bool endless, empty, stuck; /* misbehaves */
};

struct worker {
    struct rig *rig;
    unsigned number;
    struct endpoint_host host;
    struct endpoint endpoint;
    struct registry registry;
    bool introduced, up, full, silent;
};

struct letter {
    struct letter *next;
    unsigned from;
    size_t len;
    unsigned char bytes[];
};

struct rig {
    struct clock_manual clock;
    struct conf conf;
    struct worker workers[WORKERS];
    struct letter *first, **end; /* to the broker */
    bool complete;
    unsigned lists;                   /* SURVEYs that it heard */
    void (*between)(struct rig *rig); /* after each piece */
    struct letter *kept;              /* an answer that it holds back */
    bool keep_answers;
};

struct result {
    unsigned rows[WORKERS][REGISTRY_MAX]; /* how often each was told */
    unsigned total, pieces, dones;
    enum err_e err;
    unsigned silent, workers;
    struct endpoint *again; /* asks again from within its events */
    enum err_e again_err;
    struct clock_manual *clock; /* stands at the answer's making */
    uint64_t making_ns;
};

extern const struct endpoint_dialect counted; /* tells its registry */
extern const struct endpoint_dialect mute;    /* another one, which nobody surveys */
extern const struct endpoint_survey_events result_events;

/* Connections 1 to `count`. */
void populate(struct rig *rig, unsigned worker, unsigned count);
void registry_add(struct registry *registry, uint64_t serial);
void registry_remove(struct registry *registry, uint64_t serial);

int rig_open(void **state);
int rig_close(void **state);
#define PLAY(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
void worker_open(struct rig *rig, unsigned i, const struct endpoint_dialect *dialect);
void worker_close(struct worker *worker);
uint64_t incarnation(unsigned worker);
const struct survey_counts *counts(const struct rig *rig, unsigned worker);

/* One message through the broker; false: there is none. */
bool step(struct rig *rig);
void run(struct rig *rig); /* all of them */
void drop_letters(struct rig *rig);
void hand_over(struct rig *rig, unsigned to, const struct wire_message *message);
void hand_over_kept(struct rig *rig);
/* Time passes, every host ticks, messages run. */
void pass_ms(struct rig *rig, uint64_t ms);
void broker_dies(struct rig *rig);
void broker_is_back(struct rig *rig);

/* The worker asks; *result is what it hears. */
enum err_e survey(struct rig *rig, unsigned worker, struct result *result);
void expect_end(const struct result *result, enum err_e err, unsigned silent, unsigned workers);
/* The broker answers the first worker with this list. */
void give_list(struct rig *rig, const uint64_t *workers, uint32_t len);
