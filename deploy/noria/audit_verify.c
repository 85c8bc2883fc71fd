/* `noria audit verify`; see audit.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "audit_chain.h"
#include "clock.h"

struct tally {
    uint64_t records, first, last, first_ms, last_ms;
    bool broken, any;
};

static void put_hex(FILE *out, const uint8_t hash[JOURNAL_HASH])
{
    for (size_t i = 0; i < JOURNAL_HASH; i++)
        fprintf(out, "%02x", hash[i]);
}

/* After the last SEGMENT line of a number as after its record: either head may have been noted. */
static void look_for_heads(struct audit_options *options, const char *machine,
                           const struct journal_reader *reader)
{
    for (struct audit_head *head = options->heads; head < options->heads + options->head_count; head++)
        if (head->n == reader->n && head->chain == reader->chain && strlen(machine) == head->machine_len &&
            memcmp(machine, head->machine, head->machine_len) == 0 &&
            memcmp(head->hash, reader->hash, JOURNAL_HASH) == 0)
            head->seen = true;
}

static void count(struct tally *tally, const struct journal_record *record)
{
    if (!tally->any) {
        tally->first = record->event == JOURNAL_SEGMENT ? record->n + 1 : record->n;
        tally->first_ms = record->wall_ms;
    }
    tally->any = true;
    tally->records += record->event != JOURNAL_SEGMENT;
    tally->last = record->n;
    tally->last_ms = record->wall_ms;
}

/* What stood before the oldest segment that is left is known from its first line. */
static void look_before(struct audit_options *options, const char *machine, const struct audit_chain *chain,
                        const struct journal_record *segment)
{
    struct journal_reader before = {.chain = chain->chain, .n = segment->n};
    memcpy(before.hash, segment->prev, JOURNAL_HASH);
    look_for_heads(options, machine, &before);
}

static void read_all(struct audit_options *options, const char *machine, struct audit_chain *chain,
                     struct tally *tally, FILE *out)
{
    struct journal_record record;
    for (enum audit_read_e read; (read = audit_chain_next(chain, &record)) != AUDIT_END;) {
        if (read == AUDIT_RECORD) {
            if (!tally->any && record.event == JOURNAL_SEGMENT)
                look_before(options, machine, chain, &record);
            count(tally, &record);
            if (!tally->broken)
                look_for_heads(options, machine, &chain->reader);
        } else if (!tally->broken) {
            tally->broken = true;
            fprintf(out, "%s %s: broken at %s/%s:%" PRIu64 ": %s\n", machine,
                    journal_chain_name(chain->chain), chain->path, chain->file, chain->line, chain->why);
        }
    }
}

static void report(const struct audit_chain *chain, const char *machine, const struct tally *tally, FILE *out)
{
    char from[CLOCK_ISO_LEN + 1], to[CLOCK_ISO_LEN + 1];
    clock_iso8601(tally->first_ms, from);
    clock_iso8601(tally->last_ms, to);
    fprintf(out, "%s %s: %s: %" PRIu64 " records in %u files", machine, journal_chain_name(chain->chain),
            tally->broken ? "BROKEN" : "sound", tally->records, chain->files);
    if (tally->any) {
        fprintf(out, ", %" PRIu64 " (%s) to %" PRIu64 " (%s)", tally->first, from, tally->last, to);
        if (!tally->broken) {
            fprintf(out, ", head %" PRIu64 ":", tally->last);
            put_hex(out, chain->reader.hash);
        }
    }
    fputc('\n', out);
    if (chain->torn)
        fprintf(out,
                "%s %s: torn tail after record %" PRIu64 ": %s/%s:%" PRIu64 " %s (%" PRIu64
                " bytes): agent or host died while it wrote this, or it is being written now\n",
                machine, journal_chain_name(chain->chain), tally->last, chain->path, chain->file, chain->line,
                chain->why, chain->torn_bytes);
}

static int verify_chain(struct audit_options *options, struct audit_chain *chain, const char *machine,
                        const char *path, enum journal_chain_e which, FILE *out)
{
    struct tally tally = {0};
    int result = audit_chain_open(chain, path, which);
    if (result != 0)
        fprintf(out, "%s %s: broken: %s: %s\n", machine, journal_chain_name(which), path, strerror(-result));
    else
        read_all(options, machine, chain, &tally, out);
    if (result == 0)
        report(chain, machine, &tally, out);
    audit_chain_close(chain);
    return result != 0 || tally.broken ? 1 : 0;
}

int audit_verify_machine(const struct audit_options *options, const char *machine, const char *path,
                         FILE *out, FILE *err)
{
    struct audit_options *heads = (struct audit_options *)options; /* heads are ticked off */
    struct audit_chain *chain = calloc(1, sizeof *chain);
    int code = 0;
    if (chain == NULL) {
        fprintf(err, "noria audit: out of memory\n");
        return 1;
    }
    for (enum journal_chain_e i = 0; i < JOURNAL_CHAINS; i++)
        if (verify_chain(heads, chain, machine, path, i, out) != 0)
            code = 1;
    free(chain);
    return code;
}
