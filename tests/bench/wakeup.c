/* wakeup.c — see wakeup.h. Both ends are children, because cores are given to children; the times are in shared memory. */
#include "wakeup.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"

#define STOP_MS 5000

struct writer {
    int fd;
    uint32_t samples, pause_ms;
};

static int write_times(void *arg)
{
    const struct writer *writer = arg;
    for (uint32_t i = 0; i < writer->samples; i++) {
        nanosleep(&(struct timespec){.tv_nsec = (long)writer->pause_ms * 1000000}, NULL);
        uint64_t now = clock_mono_ns(clock_system());
        if (write(writer->fd, &now, sizeof now) != (ssize_t)sizeof now)
            return 1;
    }
    return 0;
}

struct reader {
    int fd;
    struct hist *hist;
};

static int read_times(void *arg)
{
    const struct reader *reader = arg;
    for (uint64_t sent; read(reader->fd, &sent, sizeof sent) == (ssize_t)sizeof sent;)
        hist_add(reader->hist, clock_mono_ns(clock_system()) - sent);
    return 0;
}

static bool measure(int from, int to, uint32_t samples, uint32_t pause_ms, struct hist *hist)
{
    int fds[2];
    if (pipe(fds) != 0)
        return false;
    struct writer writer = {fds[1], samples, pause_ms};
    struct child children[2];
    bool ok = child_fork("bench-wake-out", from, write_times, &writer, &children[0]) == ERR_OK;
    close(fds[1]);
    struct reader reader = {fds[0], hist};
    ok = child_fork("bench-wake-in", to, read_times, &reader, &children[1]) == ERR_OK && ok;
    close(fds[0]);
    ok = child_wait(&children[0], samples * pause_ms * 4 + STOP_MS) && ok;
    return child_wait(&children[1], STOP_MS) && ok;
}

bool wakeup_measure(int from, int to, uint32_t samples, uint32_t pause_ms, struct hist *hist)
{
    struct hist *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return false;
    bool ok = measure(from, to, samples, pause_ms, shared);
    *hist = *shared;
    munmap(shared, sizeof *shared);
    return ok;
}
