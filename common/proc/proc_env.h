/* proc_env.h — numbers that a launcher passes in the environment; private to common/proc. */
#pragma once

/* The variable as a non-negative decimal number; -1 if it is missing or anything else. */
long proc_env_number(const char *name);
