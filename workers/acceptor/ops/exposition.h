/* exposition.h — counters of many processes as one text of the Prometheus format, version 0.0.4.
 *
 *     segment ─▶ exposition_add ─▶ lines, per family ─▶ exposition_next ─▶ the document
 *
 * The format wants all lines of a metric together, and a segment holds one line of each of its metrics: so every family gathers its own
 * bytes, segment by segment, and the document is the families one after the other. It costs the document's size twice for a moment, and
 * every segment is looked at once. Rejected: copies of all segments, read again for each metric.
 *
 *     noria_<role>_<name>{process="worker.0"}      counters …_total; gauges; histograms of ns …_seconds, with cumulative buckets
 *     noria_agent_<name>{machine="lift-1"}
 *     noria_process_<name>{process="agent.lift-1"} of the launcher's members; noria_process_up says which of them run
 *
 * Segments are written by others: whatever stands in one, the text stays one that a strict reader takes. A name twice, a name that would
 * read as another's series, a label that is taken, a count that overflows: left out, or held at the largest number.
 *
 * Pure; the memory is bounded by EXPOSITION_MAX, what does not fit is left out and told. Reference: Prometheus, "Exposition formats",
 * text-based format 0.0.4.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "errcode.h"
#include "stats.h"

#define EXPOSITION_MAX      (64u << 20)
#define EXPOSITION_TYPE     "text/plain; version=0.0.4; charset=utf-8"
#define EXPOSITION_NAME_MAX 127u /* of a segment */

struct exposition;

enum err_e exposition_new(struct exposition **exposition); /* ERR_MEMORY */
void exposition_free(struct exposition **exposition);

/* One segment: its file's name ("worker.0", "agent.3", "process.broker"), the id on its page (of an agent: the machine's), its metrics.
 * ERR_MALFORMED: its name, or id, is none; ERR_EXISTS: such a one is in already; ERR_FULL: no room left. In these cases it is left out and
 * counted. ERR_MEMORY: nothing can be made of it all any more. */
enum err_e exposition_add(struct exposition *exposition, const char *name, const char *id,
                          const struct stats_view *view);
/* One that could not be read, or whose process is gone. */
void exposition_count(struct exposition *exposition, enum err_e why);

/* The last segment was added: how long that took. The families about the scrape itself, and noria_process_up. ERR_MEMORY. */
enum err_e exposition_end(struct exposition *exposition, uint64_t took_ns);

/* Bytes of the document. */
size_t exposition_length(const struct exposition *exposition);
/* Writes the next piece, of at most EXPOSITION_PIECE bytes and a head. False: there is none. */
#define EXPOSITION_PIECE 32768u
bool exposition_next(struct exposition *exposition, struct out *out);
