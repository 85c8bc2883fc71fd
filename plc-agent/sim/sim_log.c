/* Rejected: a buffered stream (a killed simulator would lose the lines that explain why) and a hash chain (the file is
 * written and read by the same test). */
#include "sim_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"
#include "must.h"

#define LINE_MAX_BYTES (256 + 2 * SIM_LOG_BYTES_MAX)

struct sim_log {
    const struct clock *clock;
    char *path, *old_path;
    int fd;
    uint64_t size, max_bytes, failures;
};

static void fail(struct sim_log *log, const char *what)
{
    if (log->failures++ == 0)
        log_error("sim-log-failed", "file=%s what=%s reason=\"%s\"", log->path, what, strerror(errno));
}

static enum err_e open_file(struct sim_log *log)
{
    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat st;
    if (log->fd < 0 || fstat(log->fd, &st) != 0) {
        fail(log, "open");
        return ERR_SYSTEM;
    }
    log->size = (uint64_t)st.st_size;
    return ERR_OK;
}

static void rotate(struct sim_log *log)
{
    close(log->fd);
    log->fd = -1;
    if (rename(log->path, log->old_path) != 0)
        fail(log, "rename");
    open_file(log);
}

static void write_line(struct sim_log *log, const struct out *line)
{
    MUST(!line->overflow);
    if (log->size > 0 && log->size + line->len > log->max_bytes)
        rotate(log);
    if (log->fd < 0)
        return;
    ssize_t n = write(log->fd, line->at, line->len);
    if (n != (ssize_t)line->len)
        fail(log, "write");
    if (n > 0)
        log->size += (uint64_t)n;
}

enum err_e sim_log_open(const char *path, uint64_t max_bytes, const struct clock *clock, struct sim_log **log)
{
    struct sim_log *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_MEMORY;
    *l = (struct sim_log){.clock = clock, .fd = -1, .max_bytes = max_bytes, .path = strdup(path)};
    if (l->path == NULL || asprintf(&l->old_path, "%s.1", path) < 0) {
        l->old_path = NULL; /* asprintf leaves it undefined */
        sim_log_close(&l);
        return ERR_MEMORY;
    }
    if (open_file(l) != ERR_OK) {
        sim_log_close(&l);
        return ERR_SYSTEM;
    }
    char memory[LINE_MAX_BYTES];
    struct out line = out_init(memory, sizeof memory);
    out_u64(&line, clock_mono_ns(clock));
    out_literal(&line, " start pid=");
    out_u64(&line, (uint64_t)getpid());
    out_literal(&line, " version=" NORIA_VERSION "\n");
    write_line(l, &line);
    *log = l;
    return ERR_OK;
}

void sim_log_close(struct sim_log **log)
{
    if (*log == NULL)
        return;
    if ((*log)->fd >= 0)
        close((*log)->fd);
    free((*log)->path);
    free((*log)->old_path);
    free(*log);
    *log = NULL;
}

uint64_t sim_log_failures(const struct sim_log *log)
{
    return log != NULL ? log->failures : 0;
}

static struct out begin(struct sim_log *log, char *memory, const char *id, uint64_t conn)
{
    struct out line = out_init(memory, LINE_MAX_BYTES);
    out_u64(&line, clock_mono_ns(log->clock));
    out_literal(&line, " machine=");
    out_text(&line, id);
    out_literal(&line, " conn=");
    out_u64(&line, conn);
    out_char(&line, ' ');
    return line;
}

void sim_log_bytes(struct sim_log *log, const char *id, uint64_t conn, enum sim_log_side_e side,
                   const void *data, size_t len)
{
    MUST(len <= SIM_LOG_BYTES_MAX);
    if (log == NULL)
        return;
    char memory[LINE_MAX_BYTES];
    struct out line = begin(log, memory, id, conn);
    out_text(&line, side == SIM_LOG_RX ? "rx=" : "tx=");
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        out_char(&line, "0123456789abcdef"[bytes[i] >> 4]);
        out_char(&line, "0123456789abcdef"[bytes[i] & 15]);
    }
    out_char(&line, '\n');
    write_line(log, &line);
}

void sim_log_event(struct sim_log *log, const char *id, uint64_t conn, const char *what, const char *detail)
{
    if (log == NULL)
        return;
    char memory[LINE_MAX_BYTES];
    struct out line = begin(log, memory, id, conn);
    out_text(&line, what);
    out_char(&line, ' ');
    out_text(&line, detail);
    out_char(&line, '\n');
    write_line(log, &line);
}
