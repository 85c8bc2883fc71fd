/* watch_line.h — the lines of `noria watch` (watch_machines.h), as text and as JSON. Private to deploy/noria. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct watch_line {
    FILE *out;
    bool json;
    uint64_t wall_ms;    /* when it was published */
    const char *machine; /* NULL: none */
    const char *event;   /* "state", "result", "completed", "refused", "alarm", "machine", "gap", "broker" */
    int64_t age_ms;      /* negative: not known */
};

/* `was` NULL: the state that it is in. States are objects as machine_state_text() makes them. Nothing is written where nothing differs. */
void watch_line_state(const struct watch_line *line, json_t *was, json_t *is);

/* A message of the carousel dialect. */
void watch_line_message(const struct watch_line *line, json_t *message);

void watch_line_words(const struct watch_line *line, const char *words);
