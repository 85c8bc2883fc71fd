/* See audit_chain.h. */
#include "audit_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int audit_chain_open(struct audit_chain *chain, const char *path, enum journal_chain_e which)
{
    memset(chain, 0, sizeof *chain);
    chain->chain = which;
    snprintf(chain->path, sizeof chain->path, "%s", path);
    chain->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (chain->directory < 0)
        return -errno;
    chain->shelf = journal_shelf_of(&chain->directory);
    journal_reader_init(&chain->reader, &chain->shelf, which);
    return journal_segments_list(&chain->shelf, chain->segments);
}

void audit_chain_close(struct audit_chain *chain)
{
    if (chain->path[0] == '\0')
        return;
    journal_reader_close(&chain->reader);
    journal_segments_free(chain->segments);
    if (chain->directory >= 0)
        close(chain->directory);
    chain->path[0] = '\0';
}

static enum audit_read_e broken(struct audit_chain *chain, const char *why, uint64_t line)
{
    chain->why = why;
    chain->line = line;
    chain->open = false;
    chain->reader.begun = false; /* the next segment says where it begins */
    journal_reader_close(&chain->reader);
    return AUDIT_BREAK;
}

/* Of a file that is gone: did the agent remove it because it was the oldest? */
static bool was_retired(const struct audit_chain *chain, uint32_t number)
{
    struct journal_segments now[JOURNAL_CHAINS] = {0};
    bool retired = journal_segments_list(&chain->shelf, now) == 0 && now[chain->chain].count > 0 &&
                   now[chain->chain].list[0].number > number;
    journal_segments_free(now);
    return retired;
}

/* RECORD: one is open. */
static enum audit_read_e open_next(struct audit_chain *chain)
{
    const struct journal_segments *segments = &chain->segments[chain->chain];
    while (chain->next < segments->count) {
        uint32_t number = segments->list[chain->next++].number;
        int result = journal_reader_open(&chain->reader, number, chain->next == segments->count);
        journal_file_name(chain->chain, number, chain->file);
        if (result == 0) {
            chain->open = true;
            chain->files++;
            return AUDIT_RECORD;
        }
        if (result != -ENOENT || !was_retired(chain, number))
            return broken(chain, strerror(-result), 0);
        chain->reader.begun = false;
    }
    return AUDIT_END;
}

static void note_torn(struct audit_chain *chain)
{
    uint64_t bytes = chain->segments[chain->chain].list[chain->next - 1].bytes;
    chain->torn = true;
    chain->why = chain->reader.why;
    chain->line = chain->reader.line + 1;
    chain->torn_bytes = bytes > chain->reader.offset ? bytes - chain->reader.offset : 0;
}

enum audit_read_e audit_chain_next(struct audit_chain *chain, struct journal_record *record)
{
    for (;;) {
        enum audit_read_e opened = chain->open ? AUDIT_RECORD : open_next(chain);
        if (opened != AUDIT_RECORD)
            return opened;
        switch (journal_reader_next(&chain->reader, record)) {
        case JOURNAL_READ_RECORD:
            return AUDIT_RECORD;
        case JOURNAL_READ_BROKEN:
            return broken(chain, chain->reader.why, chain->reader.line + 1);
        case JOURNAL_READ_FAILED:
            return broken(chain, strerror(chain->reader.error), chain->reader.line + 1);
        case JOURNAL_READ_TORN:
            note_torn(chain);
            break;
        case JOURNAL_READ_END:
            break;
        }
        chain->open = false;
    }
}
