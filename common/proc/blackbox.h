/* blackbox.h — what is left of a process that died: its last log lines, and where it was hit.
 *
 * The launcher makes a small memory file for each process that it starts and hands it down (NORIA_BLACKBOX_FD). The process maps it: every
 * log line is copied there, too, and a fatal signal (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT) writes its number, the address and a
 * backtrace (module+offset, for addr2line on the unstripped programs) there and to standard error before it takes its course. The bytes are in
 * the kernel's hands, so that nothing is lost by SIGKILL; the launcher reads them when the process is gone, and trusts nothing in them.
 * Without a black box (Compose, systemd) standard error alone gets the backtrace. Sanitized builds leave fatal signals to the sanitizer.
 */
#pragma once

#include <stddef.h>

#define BLACKBOX_BYTES 8192

struct blackbox_story {
    char where[2048];           /* of a fatal signal, lines; "": none was caught */
    char lines[BLACKBOX_BYTES]; /* the last log lines, whole ones, oldest first; printable */
};

/* For the launcher: a new empty one, close-on-exec; -1: none could be had (logged). */
int blackbox_new(void);
/* What it holds. Any content is bearable. */
void blackbox_read(int fd, struct blackbox_story *story);

/* For the process: takes the inherited one up, if there is one, and installs the handlers of fatal signals. proc_boot() calls it. */
void blackbox_open(void);
