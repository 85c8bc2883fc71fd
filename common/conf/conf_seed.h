/* conf_seed.h — a `config_multi_plc.json` of the servers that Noria replaces, read as it is.
 *
 *     {"api_config": {…}, "plc_machines": [{"id", "name", "ip", "port", "simulator", "description"}]}
 *
 * It is someone else's file: unknown members are ignored, and so are api_config and description; null stands for a
 * member that is not there. What is used is strict: texts are strings, the port is an integer, simulator a truth, and no
 * member stands twice. Lines come from a scan of their own, because jansson tells them only for broken syntax.
 */
#pragma once

#include "conf_load.h"

struct conf_seed {
    void *document;               /* jansson's; owns the texts */
    struct raw_machine *machines; /* as the file's own machines: values as texts */
    char (*ports)[24];
    uint32_t *nodes; /* where each stands in load->seed_outline */
    size_t count;
    bool has_api_config;
};

/* Reads `text`; problems are told under problems->file, with lines from *outline, which it fills. ERR_MEMORY;
 * ERR_CONFIG: no machine could be read; ERR_OK: perhaps with problems. conf_seed_free() in any case. */
enum err_e conf_seed_read(struct conf_seed *seed, const char *text, size_t len, struct conf_outline *outline,
                          struct conf_problems *problems);
void conf_seed_free(struct conf_seed *seed);

/* Where the members of plc_machines stand in a text that is JSON. False: no memory. (conf_seed_lines.c) */
bool conf_seed_lines(const char *text, size_t len, struct conf_outline *outline);
