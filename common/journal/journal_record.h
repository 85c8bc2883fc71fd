/* journal_record.h — one line of an agent's journal: what is noted before a machine is moved, and what became of it.
 *
 * The journal is memory and evidence in one: an agent that starts reads from it what its predecessor wrote to the PLC
 * (plc-agent/journal.h), and people read in it who moved what, when, and with what effect (`noria audit`). One record is
 * one line of JSON, members in a fixed order, the last one `hash`:
 *
 *     hash = SHA-256(hash of the record before, 32 bytes ‖ the line up to and without ,"hash":)    in 64 hex digits
 *
 * so that a changed, removed or inserted line shows. (Who can rewrite the whole file can make a new chain: note heads
 * elsewhere, `noria audit verify --head`.) A machine has two such chains below STATE_DIR/agents/MACHINE/ (journal_files.h):
 *
 *     commands     everything that was, or may have been, written to the PLC, and the latch; so no flood of refusals can push
 *                  out a move
 *     refusals     refusals without an intent, and command 0, which only reads
 *
 *     START ─ INTENT ─┬─ RESULT ─┬─ COMPLETION        one command; at most one is between INTENT and RESULT, and at most one
 *                     │          └─ TOLD              move between RESULT and COMPLETION
 *                     └─ (killed) START ─ RESULT      reconciled by the next agent
 *
 * Which members an event has stands in the table. A member that does not apply is left out of the line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "command.h"
#include "command_scope.h"
#include "errcode.h"

/* X(NAME, "name", "what it says") */
#define JOURNAL_EVENT_TABLE(X)                                                                               \
    X(SEGMENT, "segment", "first line of a file: the hash before it, and whether the latch is set")          \
    X(START, "start", "an agent took the journal over: its incarnation, the host's boot, its PLC")           \
    X(INTENT, "intent", "a command is about to be written to the PLC: durable before its first byte")        \
    X(RESULT, "result", "a command's one result; also refusals and readings")                                \
    X(COMPLETION, "completion", "how a move ended")                                                          \
    X(TOLD, "told", "the broker has everything of this chain up to record `upto`")                           \
    X(LATCHED, "latched", "an emergency stop was seen: moves are refused until a rearm")                     \
    X(REARMED, "rearmed", "the latch was lifted: by whom")

enum journal_event_e {
    JOURNAL_NONE,
#define X(NAME, name, text) JOURNAL_##NAME,
    JOURNAL_EVENT_TABLE(X)
#undef X
        JOURNAL_EVENT_COUNT
};

enum journal_chain_e { JOURNAL_COMMANDS, JOURNAL_REFUSALS, JOURNAL_CHAINS };

#define JOURNAL_WHO_MAX  64
#define JOURNAL_TEXT_MAX 79 /* bytes of a refusal's text */
#define JOURNAL_BOOT_MAX 36 /* /proc/sys/kernel/random/boot_id */
#define JOURNAL_PLC_MAX  79 /* host:port, [host]:port */
#define JOURNAL_HASH     32 /* bytes */

struct journal_reading { /* of the PLC: raw status byte and position */
    bool known;
    uint8_t raw, position;
};

struct journal_record {
    enum journal_event_e event;
    enum journal_chain_e chain;
    uint64_t
        n; /* its number in the chain, from 1, without gaps; given by the journal. SEGMENT: of the one before */
    uint64_t wall_ms; /* when it was noted */
    uint64_t mono_ns; /* CLOCK_MONOTONIC then: comparable between records of one `boot` */

    /* INTENT, RESULT, COMPLETION; REARMED: who, from, request_id and scope */
    uint64_t worker, session, serial; /* the command's key */
    uint64_t dialect;
    char request_id[REQUEST_ID_MAX + 1];
    char scope[COMMAND_SCOPE_MAX + 1];
    char who[JOURNAL_WHO_MAX + 1];  /* principal; "" nobody authenticated */
    char from[JOURNAL_WHO_MAX + 1]; /* where the client is */
    uint64_t command;
    int64_t argument; /* -1: none */

    uint64_t arrived_wall_ms; /* INTENT, RESULT: when the agent got the command */
    uint64_t arrived_mono_ns;
    int64_t deadline_ms;           /* INTENT: from arrival */
    struct journal_reading before; /* INTENT: on admission; RESULT: the last one before the write */
    struct journal_reading after;  /* RESULT: the PLC's reply; COMPLETION: the reading that ended it */

    bool sent;                /* RESULT: the PLC was written to, or may have been */
    bool repeat;              /* RESULT, COMPLETION: the request had this answer before, from another key */
    bool reconciled;          /* RESULT: no reply; a later reading told, or nothing could (OUTCOME_UNKNOWN) */
    uint64_t written_mono_ns; /* RESULT, COMPLETION: when the first byte went out; 0: none did */
    enum command_code_e code; /* RESULT, COMPLETION: CODE_NONE is success */
    char text[JOURNAL_TEXT_MAX + 1];
    int64_t position; /* RESULT, COMPLETION: as the client was told; -1 unknown */
    uint64_t elapsed_ms;

    uint64_t upto;                   /* TOLD */
    uint64_t incarnation;            /* START */
    char boot[JOURNAL_BOOT_MAX + 1]; /* START, SEGMENT */
    char plc[JOURNAL_PLC_MAX + 1];   /* START, SEGMENT: where what follows goes to; "": older, not told */
    bool latched;                    /* SEGMENT */
    uint8_t prev[JOURNAL_HASH];      /* SEGMENT: the hash before it; zeros: the journal begins here */

    bool elsewhere; /* in no line: an agent whose PLC had another address noted it (journal_memory.h) */
};

const char *journal_event_name(enum journal_event_e event);

/* Longest line with its newline: every text full of control characters, six bytes each. */
#define JOURNAL_LINE_MAX 3072

/* Writes the line with its newline and moves `hash` (the chain's head) on. Pure. Texts are JSON-escaped; what is no
 * UTF-8 in them (a text that was cut) becomes '?'. Counts above 2^63 - 1 are written as that. `out->overflow` can only be a defect: JOURNAL_LINE_MAX bytes always suffice. */
void journal_record_write(const struct journal_record *record, uint8_t hash[JOURNAL_HASH], struct out *out);

/* Reads one line (without its newline) that is to follow `hash`, and moves `hash` on. ERR_MALFORMED: no such line, whatever
 * it is. ERR_CORRUPT: well-formed, but it does not follow (`record` is filled in all the same, `hash` is as it was). Pure; survives
 * any bytes. */
enum err_e journal_record_read(const char *line, size_t len, uint8_t hash[JOURNAL_HASH],
                               struct journal_record *record);
