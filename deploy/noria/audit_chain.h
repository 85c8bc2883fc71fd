/* audit_chain.h — reads a chain of one machine's journal over all its segments, while its agent may be writing it.
 *
 * The newest file may then end in half a line (a torn tail to the reader), and the oldest may be removed between being listed
 * and being opened (passed over: the chain then begins later). Neither is a break. After a break it goes on with the next
 * segment, which says itself where it begins. No lock is taken: the agent's own would keep the agent out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "journal_files.h"

#define AUDIT_PATH_MAX 512

enum audit_read_e { AUDIT_RECORD, AUDIT_BREAK, AUDIT_END };

struct audit_chain {
    enum journal_chain_e chain;
    char path[AUDIT_PATH_MAX]; /* of the machine's directory */
    int directory;
    struct journal_shelf shelf;
    struct journal_segments segments[JOURNAL_CHAINS];
    size_t next; /* segment to open */
    struct journal_reader reader;
    bool open;
    uint32_t files;
    /* After AUDIT_BREAK: where and why. After AUDIT_END: the torn tail, `torn` false: none. */
    char file[JOURNAL_NAME_MAX];
    uint64_t line, torn_bytes;
    const char *why;
    bool torn;
};

/* 0 or -errno. Large: not for a small stack. */
int audit_chain_open(struct audit_chain *chain, const char *path, enum journal_chain_e which);
enum audit_read_e audit_chain_next(struct audit_chain *chain, struct journal_record *record);
void audit_chain_close(struct audit_chain *chain); /* also if it was not opened */
