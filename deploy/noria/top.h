/* top.h — `noria top`: processes and machines with their rates, drawn again every second.
 *
 * Reads shm/ (sight.h), and /proc for CPU time and memory of the processes that are there. Plain terminal control (ECMA-48), so that it works in
 * tmux, on a serial console and over ssh; on a dumb terminal, or when the output is none, it looks twice, a second apart, writes
 * one picture and ends. `q` or Ctrl-C ends; the terminal is left as it was found, also by Ctrl-Z.
 */
#pragma once

/* Returns the program's exit code. `in` and `out` are descriptors. */
int top_run(const char *runtime_dir, int in, int out);
