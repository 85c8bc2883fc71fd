/* conf_outline.h — the shape of a YAML text: which keys and list entries stand where, and on which line.
 *
 * libcyaml fills structures but tells lines only with its first error, and then stops. The outline is taken before it,
 * with libyaml (libcyaml's own parser underneath), and serves three ends: every problem gets its line and key path; all
 * problems come in one go; and what could cost a parser much (aliases, depth, directives, very many nodes) is refused
 * before libcyaml sees the text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_problem.h"

#define CONF_DEPTH_MAX 8       /* the deepest key of the tables is 6 */
#define CONF_NODES_MAX 131072u /* 4096 machines with every key set are 110,000 */
#define CONF_NO_NODE   UINT32_MAX

enum conf_node_e { CONF_NODE_SCALAR, CONF_NODE_MAPPING, CONF_NODE_LIST };

struct conf_node {
    enum conf_node_e kind;
    bool empty;                         /* a scalar: nothing stands there */
    uint32_t line;                      /* 1…; of its key, where it has one */
    uint32_t parent, first, last, next; /* CONF_NO_NODE: none */
    uint32_t index;                     /* among its siblings */
    char key[40];                       /* in a mapping; a longer one is cut and equals no known key */
};

struct conf_outline {
    const char *file;
    struct conf_node *nodes; /* nodes[0] is the root mapping */
    uint32_t count, cap;
};

/* A node of an outline, or of none (outline NULL). */
struct conf_place {
    const struct conf_outline *outline;
    uint32_t node;
};

/* False: problems were reported, and the outline holds nothing. `file` must outlive it. */
bool conf_outline_read(struct conf_outline *outline, const char *text, size_t len,
                       struct conf_problems *problems);
/* Appends a node below `parent` (CONF_NO_NODE: the root). CONF_NO_NODE: CONF_NODES_MAX is reached, or no memory. */
uint32_t conf_outline_add(struct conf_outline *outline, enum conf_node_e kind, uint32_t parent,
                          const char key[40], uint32_t line);
void conf_outline_free(struct conf_outline *outline);

uint32_t conf_outline_child(const struct conf_outline *outline, uint32_t mapping, const char *key);
/* The line of `node`, or 0. */
uint32_t conf_outline_line(const struct conf_outline *outline, uint32_t node);
/* Writes "machines[1].port"; "" for the root and for CONF_NO_NODE. */
void conf_outline_path(const struct conf_outline *outline, uint32_t node, char path[CONF_KEY_PATH_MAX]);

/* The node of `key` below the place, or the place itself if the key does not stand there. */
struct conf_place conf_place_of(struct conf_place place, const char *key);

/* Reports at that node, under the name of its outline's file. */
__attribute__((format(printf, 4, 5))) void conf_problem_at(struct conf_problems *problems,
                                                           struct conf_place place, const char *key,
                                                           const char *fmt, ...);
