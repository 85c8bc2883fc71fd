/* The fault is synchronous, so the handler may do what the access itself could: look at atomics and make system calls.
 * mmap() is a bare system call on Linux; systemd's journal replaces pages this way, too (its src/basic/sigbus.c).
 *
 * A table of fixed size, not a list: the handler reads it while anybody may be changing it. An entry is claimed by its address and
 * believed with its length, which is stored last and cleared first.
 *
 * Rejected: fstat() before each access (proves nothing about the next instant), a siglongjmp() out of the access (leaves half of
 * whatever it was doing), reading with pread() instead of a mapping (a system call per record), file seals (memfd only: such a file has
 * no name to be opened by).
 */
#include "shm_guard.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

#define MAPPINGS_MAX 8192 /* 4,096 machines' segments, 1,024 workers', and some */

struct guarded {
    _Atomic uintptr_t at; /* 0: free */
    _Atomic uint64_t len; /* 0: not watched (yet, or any more) */
    _Atomic bool writable, cut;
};

static struct guarded table[MAPPINGS_MAX];
static _Atomic uint32_t table_used; /* entries from here on were never claimed */
static _Atomic uint32_t cuts;
static struct sigaction former;

static struct guarded *watched_at(uintptr_t address)
{
    uint32_t used = atomic_load(&table_used);
    for (uint32_t i = 0; i < used; i++) {
        uint64_t len = atomic_load(&table[i].len);
        uintptr_t at = atomic_load(&table[i].at);
        if (len > 0 && address >= at && address - at < len)
            return &table[i];
    }
    return NULL;
}

static void say(void)
{
    log_fatal("shm-cut", "error", "a mapped file lost its memory: it was cut, or its file system is full");
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), address = (uintptr_t)info->si_addr;
    struct guarded *guarded = info->si_code > 0 ? watched_at(address) : NULL;
    bool writable = guarded != NULL && atomic_load(&guarded->writable);
    if (guarded == NULL ||
        mmap((void *)(address & ~(page - 1)), page, writable ? PROT_READ | PROT_WRITE : PROT_READ,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        sigaction(signo, &former, NULL);
        if (info->si_code <= 0)
            raise(signo);
        return;
    }
    if (!atomic_exchange(&guarded->cut, true)) {
        atomic_fetch_add(&cuts, 1);
        say();
    }
}

/* With each mapping, because others may have put theirs in its place (cmocka does, with each test). */
static void install(void)
{
    struct sigaction now, action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    bool known = sigaction(SIGBUS, NULL, &now) == 0;
    if (known && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
        return;
    former = now;
    if (!known || sigaction(SIGBUS, &action, NULL) != 0)
        log_error("shm-guard", "error=\"no handler for SIGBUS: a file that is cut will end this process\"");
}

bool shm_guard_add(void *at, uint64_t len, bool writable)
{
    install();
    for (uint32_t i = 0; i < MAPPINGS_MAX; i++) {
        uintptr_t free_entry = 0;
        if (!atomic_compare_exchange_strong(&table[i].at, &free_entry, (uintptr_t)at))
            continue;
        uint32_t used = atomic_load(&table_used);
        while (used <= i && !atomic_compare_exchange_weak(&table_used, &used, i + 1))
            continue;
        atomic_store(&table[i].writable, writable);
        atomic_store(&table[i].cut, false);
        atomic_store(&table[i].len, len);
        return true;
    }
    log_error("shm-guard", "error=\"more than %d mappings: one goes unwatched\"", MAPPINGS_MAX);
    return false;
}

static struct guarded *entry_of(const void *at)
{
    uint32_t used = atomic_load(&table_used);
    for (uint32_t i = 0; i < used; i++)
        if (atomic_load(&table[i].at) == (uintptr_t)at)
            return &table[i];
    return NULL;
}

void shm_guard_remove(const void *at)
{
    struct guarded *guarded = entry_of(at);
    if (guarded == NULL)
        return;
    atomic_store(&guarded->len, 0);
    atomic_store(&guarded->at, 0);
}

bool shm_guard_cut(const void *at)
{
    if (atomic_load_explicit(&cuts, memory_order_relaxed) == 0)
        return false;
    const struct guarded *guarded = entry_of(at);
    return guarded != NULL && atomic_load(&guarded->cut);
}
