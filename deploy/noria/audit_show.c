/* `noria audit show`; see audit.h. A line or an object per command, machine by machine; with refusals both chains merged by
 * time. Texts of clients are shown with control characters replaced: they end in terminals. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "audit_chain.h"
#include "audit_entry.h"
#include "bytes.h"

#define SHOWN_MAX 8192

struct stream {
    struct audit_chain chain;
    struct audit_entries entries;
    bool ended, has_entry;
    struct audit_entry entry;
};

struct show {
    const struct audit_options *options;
    const char *machine;
    FILE *out, *err;
    bool broken;
};

/* --- one entry --------------------------------------------------------------------------------------------------- */

static void put_plain(struct out *out, const char *text)
{
    if (*text == '\0')
        out_char(out, '-');
    for (; *text != '\0'; text++)
        out_char(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void put_padded(struct out *out, const char *text, size_t width)
{
    size_t begin = out->len;
    put_plain(out, text);
    while (out->len - begin < width)
        out_char(out, ' ');
    out_literal(out, "  ");
}

static void put_command(struct out *out, const struct journal_record *record)
{
    char text[64];
    if (record->event == JOURNAL_LATCHED || record->event == JOURNAL_REARMED)
        snprintf(text, sizeof text, "%s", record->event == JOURNAL_LATCHED ? "emergency stop" : "rearm");
    else if (record->command == COMMAND_REARM)
        snprintf(text, sizeof text, "rearm");
    else if (record->argument < 0)
        snprintf(text, sizeof text, "command %" PRIu64, record->command);
    else if (record->command == COMMAND_MOVE)
        snprintf(text, sizeof text, "move %" PRId64, record->argument);
    else
        snprintf(text, sizeof text, "command %" PRIu64 " %" PRId64, record->command, record->argument);
    put_padded(out, text, 14);
}

static void put_reading(struct out *out, const struct journal_reading *reading)
{
    char text[16] = "-";
    if (reading->known)
        snprintf(text, sizeof text, "%u/%u", reading->raw, reading->position);
    out_text(out, text);
}

static void put_outcome(struct out *out, const struct audit_entry *entry)
{
    const struct journal_record *last = audit_entry_last(entry);
    out_literal(out, "  ");
    out_text(out, audit_entry_outcome(entry));
    if (last->text[0] != '\0') {
        out_literal(out, " \"");
        put_plain(out, last->text);
        out_char(out, '"');
    }
    if (entry->has_result && entry->result.repeat)
        out_literal(out, " (repeat)");
    if (entry->has_result && entry->result.reconciled)
        out_literal(out, " (reconciled)");
    if (entry->has_result || entry->has_completion) {
        out_literal(out, "  ");
        out_u64(out, last->elapsed_ms);
        out_literal(out, " ms");
    }
}

static void put_line(struct out *out, const char *machine, const struct audit_entry *entry)
{
    const struct journal_record *first = &entry->first;
    out_timestamp(out, audit_entry_time_ms(entry));
    out_literal(out, "  ");
    put_padded(out, machine, 10);
    put_padded(out, first->who, 8);
    put_padded(out, first->from, 21);
    put_command(out, first);
    put_padded(out, first->request_id, 12);
    put_reading(out, audit_entry_before(entry));
    out_literal(out, " → ");
    put_reading(out, audit_entry_after(entry));
    put_outcome(out, entry);
}

/* --- as JSON ----------------------------------------------------------------------------------------------------- */

static void json_name(struct out *out, const char *name)
{
    out_literal(out, ",\"");
    out_text(out, name);
    out_literal(out, "\":");
}

static void json_text(struct out *out, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    json_name(out, name);
    out_json_string(out, text, strlen(text));
}

static void json_number(struct out *out, const char *name, int64_t value)
{
    if (value < 0)
        return;
    json_name(out, name);
    out_i64(out, value);
}

static void json_flag(struct out *out, const char *name, bool value)
{
    json_name(out, name);
    out_text(out, value ? "true" : "false");
}

static void json_reading(struct out *out, const char *name, const struct journal_reading *reading)
{
    if (!reading->known)
        return;
    json_name(out, name);
    out_literal(out, "{\"raw\":");
    out_u64(out, reading->raw);
    out_literal(out, ",\"position\":");
    out_u64(out, reading->position);
    out_char(out, '}');
}

static void json_key(struct out *out, const struct journal_record *record)
{
    json_name(out, "key");
    out_char(out, '"');
    out_hex32(out, (uint32_t)(record->worker >> 32));
    out_hex32(out, (uint32_t)record->worker);
    out_char(out, '-');
    out_u64(out, record->session);
    out_char(out, '-');
    out_u64(out, record->serial);
    out_char(out, '"');
}

static void json_request(struct out *out, const struct journal_record *first)
{
    json_text(out, "who", first->who);
    json_text(out, "from", first->from);
    json_text(out, "request_id", first->request_id);
    if (first->event == JOURNAL_LATCHED || first->event == JOURNAL_REARMED)
        return;
    json_key(out, first);
    json_number(out, "command", (int64_t)first->command);
    json_number(out, "argument", first->argument);
}

static void json_result(struct out *out, const struct audit_entry *entry)
{
    const struct journal_record *last = audit_entry_last(entry);
    json_text(out, "outcome", audit_entry_outcome(entry));
    json_text(out, "text", last->text);
    if (!entry->has_result && !entry->has_completion)
        return;
    json_number(out, "position", last->position);
    json_number(out, "elapsed_ms", (int64_t)last->elapsed_ms);
    json_flag(out, "sent", entry->has_completion || entry->result.sent);
    json_flag(out, "repeat", last->repeat);
    json_flag(out, "reconciled", entry->result.reconciled);
}

static void put_json(struct out *out, const char *machine, const struct audit_entry *entry)
{
    const struct journal_record *first = &entry->first;
    out_literal(out, "{\"time\":\"");
    out_timestamp(out, audit_entry_time_ms(entry));
    out_char(out, '"');
    json_text(out, "machine", machine);
    json_text(out, "chain", journal_chain_name(first->chain));
    json_number(out, "n", (int64_t)first->n);
    json_request(out, first);
    json_reading(out, "before", audit_entry_before(entry));
    json_reading(out, "after", audit_entry_after(entry));
    json_result(out, entry);
    out_char(out, '}');
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct audit_options *options, const struct audit_entry *entry)
{
    uint64_t time_ms = audit_entry_time_ms(entry);
    return time_ms >= options->since_ms && (options->until_ms == 0 || time_ms < options->until_ms) &&
           (options->request == NULL || strcmp(options->request, entry->first.request_id) == 0);
}

static void show_entry(const struct show *show, const struct audit_entry *entry)
{
    char text[SHOWN_MAX];
    struct out out = out_init(text, sizeof text);
    if (!is_wanted(show->options, entry))
        return;
    if (show->options->json)
        put_json(&out, show->machine, entry);
    else
        put_line(&out, show->machine, entry);
    fprintf(show->out, "%.*s\n", (int)out.len, text);
}

static void say_break(struct show *show, const struct audit_chain *chain)
{
    show->broken = true;
    fprintf(show->err,
            "noria audit: %s/%s:%" PRIu64
            ": %s; what follows in this file is not shown (noria audit verify)\n",
            chain->path, chain->file, chain->line, chain->why);
}

/* Fills stream->entry if there is one more. */
static void advance(struct show *show, struct stream *stream)
{
    struct journal_record record;
    stream->has_entry = false;
    for (;;) {
        bool all = stream->ended || audit_entries_full(&stream->entries);
        stream->has_entry = audit_entries_take(&stream->entries, all, &stream->entry);
        if (stream->has_entry || stream->ended)
            return;
        switch (audit_chain_next(&stream->chain, &record)) {
        case AUDIT_RECORD:
            audit_entries_put(&stream->entries, &record);
            break;
        case AUDIT_BREAK:
            say_break(show, &stream->chain);
            break;
        case AUDIT_END:
            stream->ended = true;
            break;
        }
    }
}

static struct stream *earliest(struct stream *streams, size_t count)
{
    struct stream *found = NULL;
    for (struct stream *stream = streams; stream < streams + count; stream++)
        if (stream->has_entry &&
            (found == NULL || audit_entry_time_ms(&stream->entry) < audit_entry_time_ms(&found->entry)))
            found = stream;
    return found;
}

static int show_streams(struct show *show, struct stream *streams, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        int result = audit_chain_open(&streams[i].chain, path, (enum journal_chain_e)i);
        if (result != 0) {
            fprintf(show->err, "noria audit: %s: %s\n", path, strerror(-result));
            return 1;
        }
        advance(show, &streams[i]);
    }
    for (struct stream *next; (next = earliest(streams, count)) != NULL;) {
        show_entry(show, &next->entry);
        advance(show, next);
    }
    return show->broken ? 1 : 0;
}

int audit_show_machine(const struct audit_options *options, const char *machine, const char *path, FILE *out,
                       FILE *err)
{
    size_t count = options->refusals ? JOURNAL_CHAINS : 1;
    struct stream *streams = calloc(count, sizeof *streams);
    struct show show = {options, machine, out, err, false};
    if (streams == NULL) {
        fprintf(err, "noria audit: out of memory\n");
        return 1;
    }
    int code = show_streams(&show, streams, count, path);
    for (size_t i = 0; i < count; i++)
        audit_chain_close(&streams[i].chain);
    free(streams);
    return code;
}
