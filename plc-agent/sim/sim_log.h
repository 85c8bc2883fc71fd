/* sim_log.h — the log of truth: every byte that crossed a simulated PLC's sockets, as the PLC saw it.
 *
 * One line per event, each written by one write(2) at once, so that a kill loses nothing that happened:
 *
 *     MONO_NS start pid=PID version=VERSION
 *     MONO_NS machine=ID conn=K connect peer=ADDRESS:PORT
 *     MONO_NS machine=ID conn=K rx=HEX          bytes of one read, before anything is done with them
 *     MONO_NS machine=ID conn=K tx=HEX          bytes that the kernel took, after it took them
 *     MONO_NS machine=ID conn=K close by=client|sim
 *     MONO_NS machine=ID conn=K reset by=client|sim
 *     MONO_NS machine=ID conn=K refused peer=ADDRESS:PORT     a second client, under --second refuse
 *
 * MONO_NS is CLOCK_MONOTONIC in decimal, K counts the connections of this process from 1, HEX is lower case without
 * spaces. An existing file is appended to (a new `start` line says so). When it would exceed its limit it is renamed to
 * FILE.1, replacing an older one, and begun anew. Failing writes are counted, and logged once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "errcode.h"

struct sim_log;

enum err_e sim_log_open(const char *path, uint64_t max_bytes, const struct clock *clock,
                        struct sim_log **log);
void sim_log_close(struct sim_log **log);
uint64_t sim_log_failures(const struct sim_log *log);

/* All of them do nothing with log == NULL. At most SIM_LOG_BYTES_MAX bytes go into one line. */
#define SIM_LOG_BYTES_MAX 256
enum sim_log_side_e { SIM_LOG_RX, SIM_LOG_TX };
void sim_log_bytes(struct sim_log *log, const char *id, uint64_t conn, enum sim_log_side_e side,
                   const void *data, size_t len);
void sim_log_event(struct sim_log *log, const char *id, uint64_t conn, const char *what, const char *detail);
