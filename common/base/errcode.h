/* errcode.h — the one list of returned errors.
 *
 * Functions that can fail because of the world return `enum err_e`; ERR_OK is 0. The text is for logs; texts that
 * clients see stand in their dialect. A system call's errno is logged where it happened and mapped to ERR_SYSTEM.
 */
#pragma once

#define ERR_TABLE(X)                                                                                         \
    X(OK, "ok")                                                                                              \
    X(SYSTEM, "a system call failed")                                                                        \
    X(MEMORY, "out of memory")                                                                               \
    X(FULL, "no room")                                                                                       \
    X(TOO_LARGE, "larger than its limit")                                                                    \
    X(MALFORMED, "malformed")                                                                                \
    X(VERSION, "another version")                                                                            \
    X(MISMATCH, "does not match")                                                                            \
    X(NOT_FOUND, "not found")                                                                                \
    X(EXISTS, "exists already")                                                                              \
    X(BUSY, "busy")                                                                                          \
    X(TIMEOUT, "time limit passed")                                                                          \
    X(CLOSED, "closed by the other side")                                                                    \
    X(CORRUPT, "content does not agree with its check")                                                      \
    X(CONFIG, "configuration error")

enum err_e {
#define X(name, text) ERR_##name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* The text of an error; never NULL, also for a value that is none. */
const char *err_text(enum err_e err);
