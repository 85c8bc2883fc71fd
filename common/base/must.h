/* must.h — assertions for our own bugs, always compiled in.
 *
 * MUST(x) states what only a defect of this program can break; it prints the place and aborts, so that the launcher
 * restarts the process and a core tells the story. What the world can break (peers, disk, clock, shared memory, memory
 * after boot) never comes here: that is a returned and counted error (errcode.h).
 */
#pragma once

__attribute__((noreturn, cold)) void must_fail(const char *file, int line, const char *func,
                                               const char *what);

#define MUST(cond)                                                                                           \
    do {                                                                                                     \
        if (__builtin_expect(!(cond), 0))                                                                    \
            must_fail(__FILE__, __LINE__, __func__, #cond);                                                  \
    } while (0)

/* A path that no input can reach. */
#define MUST_NOT_REACH() must_fail(__FILE__, __LINE__, __func__, "reached")

/* Magic-checked structs: `uint32_t magic;` first, set by the constructor, cleared by the destructor. */
#define MUST_MAGIC(ptr, value) MUST((ptr) != NULL && (ptr)->magic == (value))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
