/* audit.h — `noria audit`: who moved what, when and with what effect, and is the trail whole?
 *
 *     noria audit show   -c FILE [-m MACHINE] [--since TIME] [--until TIME] [--request ID] [--refusals] [--json]
 *     noria audit verify -c FILE [-m MACHINE] [--head MACHINE:CHAIN:N:HASH]…
 *
 * Reads the agents' journals below state_dir (common/journal), while they are being written; asks no process and changes
 * nothing. Exit codes: 0 as asked (verify: sound), 1 broken or nothing there, 2 usage, 78 the configuration is none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "journal_record.h"

#define AUDIT_HEADS_MAX 64

struct audit_head {
    const char *machine;
    size_t machine_len;
    enum journal_chain_e chain;
    uint64_t n;
    uint8_t hash[JOURNAL_HASH];
    bool seen; /* verify found it */
};

struct audit_options {
    const char *file, *state_dir, *machine, *request;
    uint64_t since_ms, until_ms; /* until 0: no end */
    bool refusals, json, help;
    struct audit_head heads[AUDIT_HEADS_MAX];
    size_t head_count;
};

/* `argv[0]` is "audit". */
int audit_main(int argc, char **argv, uint64_t now_ms, FILE *out, FILE *err);

/* For every machine that has a journal, by name, or the one of options: `each` with its directory. Returns the worst of their
 * codes; 1 (and says so) if there is none. */
typedef int audit_machine_f(const struct audit_options *options, const char *machine, const char *path,
                            FILE *out, FILE *err);
int audit_machines(const struct audit_options *options, const char *state_dir, audit_machine_f *each,
                   FILE *out, FILE *err);

audit_machine_f audit_show_machine, audit_verify_machine;
bool audit_head_parse(const char *text, struct audit_head *head);
