/* proc.h — the skeleton every Noria process starts and stops by.
 *
 * A process is ready when it says so: it writes "READY\n" to the descriptor named by NORIA_READY_FD, if set, and closes it. It
 * stops on SIGTERM and SIGINT in bounded time. It ends with its launcher: PR_SET_PDEATHSIG delivers SIGTERM, unless
 * NORIA_ORPHAN=1 (each process on its own, under Compose or systemd). The launcher names itself in NORIA_LAUNCHER_PID, so
 * that a child whose launcher died before the signal was armed finds out.
 *
 * Exit codes: 0 stopped as told; PROC_EXIT_PERMANENT: the same start would fail again (configuration, layout of another
 * version, replaced by another agent), so that the launcher does not retry; anything else: start me again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errcode.h"

#define PROC_EXIT_FAILURE   1
#define PROC_EXIT_USAGE     2
#define PROC_EXIT_PERMANENT 78 /* EX_CONFIG of sysexits.h */

/* The FILE of `-c FILE` (`--config`), which is all that noria-broker, noria-store and noria-worker take. Ends the process for
 * --help (-h) and --version (-V), which write to standard output, and with PROC_EXIT_USAGE for anything else. */
const char *proc_arguments(int argc, char **argv, const char *program, const char *usage);

/* First thing in main(): ignores SIGPIPE, unblocks signals, points missing standard descriptors to /dev/null, sets parent
 * death, raises the soft descriptor limit to the hard one, umask 0027. Returns false (already logged) if the launcher died
 * meanwhile: exit with PROC_EXIT_FAILURE. */
bool proc_boot(void);

/* The same without a tie to a parent: for the launcher itself and for one-shot tools. */
void proc_boot_root(void);

/* The tie to the launcher alone, for a library in somebody else's program: parent death, and false (already logged) if the launcher
 * is gone. */
bool proc_tie(void);

/* Tells whoever started this process that it serves now. Only the first call does anything. */
void proc_ready(void);

/* Listening sockets passed down by the LISTEN_FDS convention of sd_listen_fds(3): descriptors 3… and LISTEN_FDNAMES
 * ("unknown" where there is none). LISTEN_PID is honoured when present. Returns how many; each was made non-blocking and
 * close-on-exec. A descriptor that is no listening socket is left out and logged; more than
 * PROC_LISTEN_MAX are taken for nonsense and none is used. Call once, before anything else opens
 * descriptors or threads: the variables are removed; names live until the process ends. */
#define PROC_LISTEN_MAX 64
struct proc_listen_fd {
    int fd;
    const char *name; /* the listener's name from the configuration */
};
size_t proc_listen_fds(struct proc_listen_fd fds[PROC_LISTEN_MAX]);

/* The kernel gives what a closed listening socket was about to accept to another one of its port, if this process made the socket:
 * net.ipv4.tcp_migrate_req of the network that it is in. */
bool proc_tcp_migrates(void);

/* Makes `path` and its parents, mode 0750; an existing directory is fine. ERR_SYSTEM (logged). */
enum err_e proc_make_dirs(const char *path);
/* The same, told by errno (0: it is there) and not logged: for threads, which do not log. */
int proc_make_dirs_errno(const char *path);
