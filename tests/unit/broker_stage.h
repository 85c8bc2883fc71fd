/* broker_stage.h — the stage of the broker's plays: the real noria-broker, its ring, table and counters as readers see them, and
 * agents and workers played by the test. What is expected is read from there; "nothing happens" waits for a later marker on the
 * same path. Everything waits with a deadline and fails the play when it passes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include "clock.h"
#include "command.h"
#include "link.h"
#include "lvt_reader.h"
#include "must.h"
#include "ring_reader.h"
#include "topic.h"
#include "wire.h"

#define DEADLINE_MS 20000
#define RECORDS_MAX 4096
#define ENDS_MAX    8

struct seen_record { /* what the ring said, kept */
    uint64_t position;
    enum record_kind_e kind;
    uint8_t dialect;
    enum record_origin_e origin_mode;
    struct session_id origin;
    uint64_t source_ns;
    uint32_t topic_count;
    char topics[2][TOPIC_MAX + 1];
    struct record_state state;
    struct record_outcome outcome;
    struct record_stream stream;
    struct record_source source;
    uint64_t topics_hash; /* the sum of all topics' */
    uint8_t opcode;       /* the frame's first byte */
    uint32_t frame_len;
    char
        frame[1600]; /* the payload, NUL-terminated; of a stream message or a channel's event its beginning */
    char text[1300]; /* of a state */
};

struct end { /* an agent, a worker, a tool or a store */
    struct link *link;
    enum wire_role_e role;
    uint64_t incarnation, profile_hash, wanted_slot;
    const char *machine;
    uint64_t address; /* of an agent's PLC; 0: not said */
    int64_t reading_age_ms;
    struct wire_text histograms; /* of an agent's heartbeats */
    uint64_t ups, downs, refusals, commands, acks, acked, state_seq;
    uint32_t slot, ring_id;
    bool agrees;
    char reason[256];
    struct wire_command last; /* texts are not kept */
    char last_request_id[65], last_scope[81], last_who[65], last_from[65];
    uint64_t outcomes; /* a tool's answers */
    struct wire_outcome last_outcome;
    char last_text[201];
    uint64_t rolls, asks, rows; /* a worker's surveys: who is there, what it is asked, what it is told */
    struct wire_survey_workers last_roll;
    uint64_t workers[WIRE_WORKERS_MAX];
    struct wire_survey_ask last_ask;
    struct wire_survey_rows last_rows;
    char last_rows_text[64];
    uint64_t channels, beats, channels_elsewhere;
    uint64_t serials[1024];                                            /* of the commands, in order */
    void (*hear)(struct end *end, const struct wire_message *message); /* every message, too; NULL: nobody */
    const struct clock *clock; /* NULL: the system's. For end_open() */
};

struct stage {
    char dir[64], conf[96], endpoint[128];
    pid_t broker;
    bool with_control; /* the next broker has a launcher */
    int control;       /* the launcher's end; 0: none */
    const char *fault; /* NORIA_FAULT of the next broker; NULL: none */
    struct ring_reader *ring;
    struct lvt_reader *lvt;
    struct seen_record records[RECORDS_MAX];
    size_t record_count;
    struct end *ends[ENDS_MAX]; /* of the plays, static: they are closed after a play has failed, too */
    size_t end_count;
};

#define PLAY(name) cmocka_unit_test_setup_teardown(name, stage_set_up, stage_tear_down)
int stage_set_up(void **state);
int stage_tear_down(void **state);

/* The broker process. Machines m1 (slot 0, standard), m2 (delta-as) and m3 (unknown profile); stale after 1300 ms, command
 * deadline 400 ms. start_broker(): -1, or the exit code if it did not become ready. */
extern const char demo_machines[];
void write_conf(const struct stage *stage, unsigned ring_mib, const char *machines);
int start_broker(struct stage *stage);
int stop_broker(struct stage *stage, int signo);
void restart(struct stage *stage);
void open_shared(struct stage *stage);
const char *in_dir(const struct stage *stage, const char *name);
uint64_t real_ms(void);

/* The ring, and counters. */
void pump(struct stage *stage);
void read_ring(struct stage *stage);
size_t count_of(const struct stage *stage, enum record_kind_e kind);
const struct seen_record *nth(const struct stage *stage, enum record_kind_e kind, size_t n);
void wait_for(struct stage *stage, const uint64_t *value, uint64_t at_least);
const struct seen_record *wait_record(struct stage *stage, enum record_kind_e kind, size_t n);
const struct seen_record *wait_refusal(struct stage *stage, size_t n, uint64_t serial, const char *error,
                                       const char *code);
uint64_t metric_of(const struct stage *stage, const char *segment, const char *metric);
uint64_t counter(const struct stage *stage, const char *metric);
void wait_counter(struct stage *stage, const char *metric, uint64_t at_least);
/* … to have this value: gauges are as of the janitor's last tick. */
void wait_gauge(struct stage *stage, const char *metric, uint64_t value);
void shows(const struct seen_record *record, const char *what);
void table_agrees(struct stage *stage, uint32_t slot, const struct seen_record *record);

/* Agents and workers: opened and UP. */
void agent_open(struct stage *stage, struct end *end, const char *machine, const char *profile,
                uint64_t incarnation);
void worker_open(struct stage *stage, struct end *end, uint64_t incarnation, uint64_t wanted);
void tool_open(struct stage *stage, struct end *end, uint64_t incarnation);
void end_open(struct stage *stage, struct end *end);
void end_close(struct stage *stage, struct end *end);
/* The same; returns when the broker knows. */
void end_leaves(struct stage *stage, struct end *end);
void say_state(struct end *agent, enum connection_e connection, int raw, int position);
void say_command(struct end *worker, uint64_t serial, const char *machine, int64_t deadline_ms, bool resent);
/* A move to 7, for m1: what say_command() says. */
struct wire_message command_message(const struct end *worker, uint64_t serial, int64_t deadline_ms);
struct wire_message outcome_message(const struct end *agent, uint64_t seq, enum outcome_kind_e kind,
                                    uint64_t session_worker, uint64_t serial);
void say_outcome(struct end *agent, uint64_t seq, enum outcome_kind_e kind, const struct end *worker,
                 uint64_t serial);
/* What became of the command that the agent got last. */
void say_fate(struct end *agent, uint64_t seq, enum command_code_e code, const char *text);
void say_failure(struct end *agent, uint64_t seq, const struct end *worker, uint64_t serial,
                 enum command_code_e code, bool sent);
