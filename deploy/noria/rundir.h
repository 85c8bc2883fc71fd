/* rundir.h — the runtime directory as the launcher owns it.
 *
 *     RUNTIME_DIR/launcher.lock   byte 0 locked: a launcher lives; byte 1 locked: processes of its family live
 *     RUNTIME_DIR/bus/            made empty at start, removed at the end
 *     RUNTIME_DIR/shm/            likewise
 *     RUNTIME_DIR/handlers/       likewise
 *     RUNTIME_DIR/conf/           likewise: the configuration in force, and the next one (conf.h)
 *     RUNTIME_DIR/control.sock    removed at start and at the end (launch_control.h)
 *     RUNTIME_DIR/sim.sock        likewise
 *     RUNTIME_DIR/sim.log         removed at the end if this launcher made RUNTIME_DIR; else kept
 *
 * Both locks are open-file-description locks, so the kernel drops them however their holders die. Byte 0 belongs to the
 * launcher's descriptor alone; byte 1 to one that every child inherits. A launcher that finds byte 0 locked refuses; one
 * that finds only byte 1 locked follows a launcher that was killed, and waits until its children have stopped: none of
 * them can then unlink a file of the new family. "I made the directory" stands in the lock file and survives a SIGKILL.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "errcode.h"

struct rundir;

/* Takes the directory over; waits up to `wait_ms` for an earlier family. Errors are logged in plain words: ERR_BUSY (in use
 * by a live launcher, or its children do not stop), ERR_SYSTEM. */
enum err_e rundir_open(const char *path, uint32_t wait_ms, struct rundir **rundir);

/* The descriptor that children inherit. */
int rundir_family_fd(const struct rundir *rundir);

/* Removes what was made in it, and itself if rundir_open() made it. Call when no child is left. */
void rundir_close(struct rundir **rundir);
