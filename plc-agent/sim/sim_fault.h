/* sim_fault.h — scripted faults of one PLC, as data: what it does wrong, to which requests, how often. No I/O.
 *
 * Most faults are about requests: the next `left` ones (0: all, until cleared), of one command code or of any. Two are
 * about the PLC as a whole (refused, reboot) and have neither count nor code. A PLC has at most one fault; a new one
 * replaces it. sim_conn.c carries the first kind out, sim_server.c the second.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"

#define SIM_GARBAGE_MAX  64
#define SIM_FAULT_MAX_MS 3600000
#define SIM_ANY_COMMAND  (-1)

enum sim_fault_arg_e { SIM_ARG_NONE, SIM_ARG_MS, SIM_ARG_HEX };

/* name, word, argument, about the PLC as a whole? */
#define SIM_FAULT_TABLE(X)                                                                                   \
    X(NONE, "none", SIM_ARG_NONE, true)                                                                      \
    X(LATE, "late", SIM_ARG_MS, false)               /* the reply leaves after MS */                         \
    X(SPLIT, "split", SIM_ARG_MS, false)             /* its second byte leaves MS after the first */         \
    X(MISSING, "missing", SIM_ARG_NONE, false)       /* no reply; the connection goes on */                  \
    X(DUPLICATED, "duplicated", SIM_ARG_NONE, false) /* the reply twice, in one segment */                   \
    X(GARBAGE, "garbage", SIM_ARG_HEX, false)        /* these bytes instead of the reply */                  \
    X(RESET, "reset", SIM_ARG_NONE, false)           /* RST instead of the reply */                          \
    X(HALF_OPEN, "half-open", SIM_ARG_NONE,                                                                  \
      false)                                  /* from this request on the connection is dead, but open */    \
    X(REFUSED, "refused", SIM_ARG_NONE, true) /* connection reset, connects refused, until cleared */        \
    X(REBOOT, "reboot", SIM_ARG_MS, true)     /* the same for MS, and the machine halts */

enum sim_fault_e {
#define X(name, word, arg, whole) SIM_FAULT_##name,
    SIM_FAULT_TABLE(X)
#undef X
        SIM_FAULT_COUNT
};

struct sim_fault {
    enum sim_fault_e kind;
    uint32_t ms;
    uint8_t garbage[SIM_GARBAGE_MAX];
    uint8_t garbage_len;
    bool undone;   /* the request is not carried out either */
    int command;   /* 0 to 255, or SIM_ANY_COMMAND */
    uint32_t left; /* requests still to spoil; 0: no limit */
};

const char *sim_fault_word(enum sim_fault_e kind);
enum sim_fault_arg_e sim_fault_arg(enum sim_fault_e kind);
bool sim_fault_whole(enum sim_fault_e kind);

/* ERR_NOT_FOUND: no such fault. "none" is none: faults end by being cleared. */
enum err_e sim_fault_parse(const char *word, enum sim_fault_e *kind);

/* What happens to a request with this command: a copy of the fault, counted down, or kind NONE. */
struct sim_fault sim_fault_take(struct sim_fault *fault, uint8_t command);
