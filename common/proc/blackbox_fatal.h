/* blackbox_fatal.h — what a process says when it is hit by a fatal signal; private to common/proc. */
#pragma once

#define BLACKBOX_WHERE 2048

/* Installs handlers for SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT on a stack of their own. `where` (BLACKBOX_WHERE bytes, or NULL) gets the
 * story as text; standard error gets it in one line. The signal then takes its default course: the exit status stays true, and a core
 * can be dumped. Does nothing in sanitized builds. */
void blackbox_fatal_install(char *where);
