/* Reads a chain line by line and checks it; see journal_files.h. */
#include <errno.h>
#include <string.h>

#include "journal_files.h"
#include "must.h"

enum line_e { LINE_WHOLE, LINE_PARTIAL, LINE_NONE, LINE_FAILED };

void journal_reader_init(struct journal_reader *reader, const struct journal_shelf *shelf,
                         enum journal_chain_e chain)
{
    memset(reader, 0, sizeof *reader);
    reader->shelf = shelf;
    reader->chain = chain;
    reader->handle = -1;
}

int journal_reader_open(struct journal_reader *reader, uint32_t number, bool newest)
{
    char name[JOURNAL_NAME_MAX];
    journal_reader_close(reader);
    journal_file_name(reader->chain, number, name);
    int handle = reader->shelf->open(reader->shelf->arg, name);
    if (handle < 0)
        return handle;
    reader->handle = handle;
    reader->newest = newest;
    reader->line = reader->offset = 0;
    reader->why = NULL;
    reader->at = reader->fill = 0;
    reader->eof = false;
    return 0;
}

void journal_reader_close(struct journal_reader *reader)
{
    if (reader->handle >= 0)
        reader->shelf->close(reader->shelf->arg, reader->handle);
    reader->handle = -1;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static bool read_ahead(struct journal_reader *reader)
{
    memmove(reader->buffer, reader->buffer + reader->at, reader->fill - reader->at);
    reader->fill -= reader->at;
    reader->at = 0;
    ssize_t got = reader->shelf->read(reader->shelf->arg, reader->handle, reader->buffer + reader->fill,
                                      sizeof reader->buffer - reader->fill);
    if (got < 0) {
        reader->error = (int)-got;
        return false;
    }
    reader->eof = got == 0;
    reader->fill += (size_t)got;
    return true;
}

/* The next line, without its newline. One that is too long to be a record comes in pieces. */
static enum line_e take_line(struct journal_reader *reader, const char **line, size_t *len)
{
    for (;;) {
        size_t there = reader->fill - reader->at;
        const char *from = reader->buffer + reader->at;
        const char *newline = memchr(from, '\n', there);
        if (newline != NULL || there >= JOURNAL_LINE_MAX || (reader->eof && there > 0)) {
            *line = from;
            *len = newline != NULL ? (size_t)(newline - from) : there;
            reader->at += *len + (newline != NULL);
            return newline != NULL || there >= JOURNAL_LINE_MAX ? LINE_WHOLE : LINE_PARTIAL;
        }
        if (reader->eof)
            return LINE_NONE;
        if (!read_ahead(reader))
            return LINE_FAILED;
    }
}

/* --- the check --------------------------------------------------------------------------------------------------- */

static const char *fault_of_segment(const struct journal_reader *reader, const struct journal_record *record)
{
    if (!reader->begun)
        return NULL;
    if (memcmp(record->prev, reader->hash, JOURNAL_HASH) != 0)
        return "does not go on where the file before ends";
    return record->n != reader->n ? "has another number than the file before ended with" : NULL;
}

/* Why the record cannot stand here; NULL: it can. */
static const char *fault_of(const struct journal_reader *reader, const struct journal_record *record)
{
    if ((reader->line == 0) != (record->event == JOURNAL_SEGMENT))
        return reader->line == 0 ? "is no segment line, which every file begins with"
                                 : "is a segment line within a file";
    if (record->event == JOURNAL_SEGMENT)
        return fault_of_segment(reader, record);
    return record->n != reader->n + 1 ? "has not the number that is due" : NULL;
}

/* A segment line brings the hash that it follows. */
static const char *check_line(struct journal_reader *reader, const char *line, size_t len,
                              struct journal_record *record)
{
    uint8_t hash[JOURNAL_HASH];
    memcpy(hash, reader->hash, sizeof hash);
    enum err_e err = journal_record_read(line, len, hash, record);
    if (err == ERR_MALFORMED)
        return "is no record";
    const char *fault = fault_of(reader, record);
    if (fault != NULL)
        return fault;
    if (record->event == JOURNAL_SEGMENT && !reader->begun) {
        memcpy(hash, record->prev, sizeof hash);
        err = journal_record_read(line, len, hash, record);
    }
    if (err != ERR_OK)
        return "does not follow the line before: its hash is another";
    memcpy(reader->hash, hash, sizeof hash);
    return NULL;
}

/* A bad line: is there a record behind it? */
static enum journal_read_e judge(struct journal_reader *reader, const char *line, size_t len)
{
    struct journal_record record;
    enum line_e kind = LINE_WHOLE;
    if (!reader->newest)
        return JOURNAL_READ_BROKEN;
    while (memchr(line, '\0', len) == NULL) {
        kind = take_line(reader, &line, &len);
        if (kind == LINE_FAILED)
            return JOURNAL_READ_FAILED;
        if (kind != LINE_WHOLE)
            return JOURNAL_READ_TORN;
        uint8_t hash[JOURNAL_HASH] = {0};
        if (journal_record_read(line, len, hash, &record) != ERR_MALFORMED)
            return JOURNAL_READ_BROKEN;
    }
    return JOURNAL_READ_TORN;
}

static enum journal_read_e judge_end(struct journal_reader *reader)
{
    if (reader->line > 0)
        return JOURNAL_READ_END;
    reader->why = "is missing: the file is empty";
    return reader->newest ? JOURNAL_READ_TORN : JOURNAL_READ_BROKEN;
}

enum journal_read_e journal_reader_next(struct journal_reader *reader, struct journal_record *record)
{
    const char *line;
    size_t len;
    MUST(reader->handle >= 0);
    switch (take_line(reader, &line, &len)) {
    case LINE_NONE:
        return judge_end(reader);
    case LINE_FAILED:
        return JOURNAL_READ_FAILED;
    case LINE_PARTIAL:
        reader->why = "does not end";
        return reader->newest ? JOURNAL_READ_TORN : JOURNAL_READ_BROKEN;
    case LINE_WHOLE:
        break;
    }
    reader->why = check_line(reader, line, len, record);
    if (reader->why != NULL)
        return judge(reader, line, len);
    record->chain = reader->chain;
    reader->begun = true;
    reader->n = record->n;
    reader->line++;
    reader->offset += len + 1;
    return JOURNAL_READ_RECORD;
}
