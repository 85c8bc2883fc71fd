/* channels_stage.h — the stage of the channels dialect's plays: three workers' hosts over one real ring, joined by a played broker that
 * keeps every message as bytes until the play runs it, and a played store with a table of events. All time is played, too. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "channels_dialect.h"
#include "channels_stats.h"
#include "clock.h"
#include "host.h"
#include "lvt_writer.h"
#include "must.h"
#include "ring_writer.h"
#include "wire.h"

#define WORKERS    3u
#define GUESTS_MAX 12000u
#define EVENTS_MAX 40000u

struct stage;

struct worker {
    struct stage *stage;
    unsigned number;
    struct endpoint_host host;
    struct endpoint endpoint;
    bool up, silent; /* silent: questions do not reach it */
};

struct guest { /* a connection, and what it heard: a payload per line */
    struct stage *stage;
    unsigned worker;
    struct client *client;
    void *memory;
    bool blocked, held;
    unsigned closed; /* its code */
    char reason[128];
    char *heard;
    size_t heard_len, heard_cap;
    unsigned frames, binary;
};

struct letter {
    struct letter *next;
    unsigned from;
    size_t len;
    unsigned char bytes[];
};

struct stored { /* an event as the store has it */
    uint32_t ring;
    uint64_t n;
    char channel[CHANNEL_NAME_MAX + 1];
    char *text;
};

struct stage {
    char dir[40], ring_path[64], lvt_path[64];
    struct ring_writer *ring;
    struct lvt_writer *lvt;
    struct clock_manual clock;
    struct conf conf;
    struct worker workers[WORKERS];
    struct letter *first, **end;
    unsigned surveys; /* SURVEYs heard */
    uint64_t serial;
    struct guest *guests[GUESTS_MAX];
    unsigned guest_count;
    struct stored *stored;
    unsigned stored_count;
    unsigned store_status;         /* 200, or what it answers */
    unsigned pages, page_rows_max; /* asked for; 0: as many as asked for */
    bool store_holds;              /* requests stay in line */
    bool forgets;                  /* what is published is not noted in the store */
    const char *garbage;           /* what it answers instead of events */
};

int stage_open(void **state);
int stage_close(void **state);
#define PLAY(name) cmocka_unit_test_setup_teardown(name, stage_open, stage_close)

/* --- broker and store -------------------------------------------------------------------------------------------------- */

bool step(struct stage *stage);  /* one message; false: there is none that may go */
void run(struct stage *stage);   /* all of them, and what they set off; every tail and outbox */
void drain(struct stage *stage); /* tails and outboxes only */
void pass_ms(struct stage *stage, uint64_t ms); /* time passes in steps of 100 ms at most, with ticks */
void broker_dies(struct stage *stage);
void broker_is_back(struct stage *stage);
/* The worker process comes anew: nobody is connected to it. */
void worker_restarts(struct stage *stage, unsigned worker);
/* The ring's file is gone; a new one takes its place, and the workers attach to it. */
void new_ring(struct stage *stage);

/* Of channels_stage_bus.c, for channels_stage.c. */
uint64_t stage_incarnation(unsigned worker);
enum err_e stage_send(void *arg, struct wire_message *message);
void stage_drop_letters(struct stage *stage);

/* An event with `number` in its payload and `pad` blanks' worth of text; "seq" as clients see it in `seq`. */
void publish(struct stage *stage, const char *channel, unsigned number, size_t pad,
             char seq[ENDPOINT_SEQ_MAX]);
/* As much of something else as makes the ring go round once. */
void flood(struct stage *stage);

/* --- guests ------------------------------------------------------------------------------------------------------------ */

struct guest *come(struct stage *stage, unsigned worker, const char *query);
struct guest *come_as(struct stage *stage, unsigned worker, const char *path, const char *query,
                      const struct identity *identity);
void go(struct guest *guest);
void say(struct guest *guest, const char *text, bool binary);
void block(struct guest *guest, bool blocked);
/* How often `text` stands in what it heard; and where it first stands. */
unsigned heard(const struct guest *guest, const char *text);
void expect_events(const struct guest *guest, unsigned from,
                   unsigned to); /* those numbers, each once, in order, and no other */
void expect_begins(const struct guest *guest, const char *text);
void expect_line(const struct guest *guest, unsigned line, const char *text); /* a line begins with it */
const struct channels_counts *counts(struct stage *stage, unsigned worker);
