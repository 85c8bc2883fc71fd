/* blackbox_fatal.c — the handler of fatal signals (blackbox_fatal.h).
 *
 * All that cannot be done in a signal handler is done at boot: the modules' addresses are noted (dl_iterate_phdr takes a lock), and
 * backtrace() is called once (its first call loads a library). The handler formats by hand, and what is known first is written
 * first: should the unwinder meet a destroyed stack, signal and address stand already. SIGALRM ends a handler that hangs.
 *
 * Handlers stay installed for one signal only (SA_RESETHAND): returning runs the faulting instruction again, and so the core shows the fault itself, not this
 * file. A signal that somebody sent is raised again instead. Rejected: backtrace_symbols_fd() (asks the dynamic loader).
 */
#include "blackbox_fatal.h"

#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "bytes.h"
#include "log.h"
#include "must.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void blackbox_fatal_install(char *where)
{
    (void)where;
}

#else

#define MODULES_MAX     64
#define FRAMES_MAX      48
#define STACK_BYTES     65536 /* untouched pages cost nothing */
#define HANG_LIMIT_S    5
#define MODULE_NAME_MAX 39

struct module {
    uintptr_t base, start, end;
    char name[MODULE_NAME_MAX + 1];
};

static struct {
    char *where; /* NULL: no black box */
    struct module modules[MODULES_MAX];
    unsigned module_count;
    volatile sig_atomic_t hit;
} fatal;

static _Alignas(16) char fatal_stack[STACK_BYTES];

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"}};

/* --- at boot -------------------------------------------------------------------------------------------------------- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (fatal.module_count == MODULES_MAX)
        return 1;
    struct module *module = &fatal.modules[fatal.module_count];
    *module = (struct module){.base = info->dlpi_addr, .start = UINTPTR_MAX};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        module->start = start < module->start ? start : module->start;
        module->end = start + segment->p_memsz > module->end ? start + segment->p_memsz : module->end;
    }
    const char *name = *info->dlpi_name != '\0' ? file_name(info->dlpi_name) : program_invocation_short_name;
    strncpy(module->name, name, MODULE_NAME_MAX);
    fatal.module_count++;
    return 0;
}

/* --- in the handler ------------------------------------------------------------------------------------------------- */

static void put_hex(struct out *out, uintptr_t value)
{
    char digits[2 * sizeof value];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value > 0);
    out_literal(out, "0x");
    out_bytes(out, digits + n, sizeof digits - n);
}

static void put_place(struct out *out, uintptr_t address)
{
    for (unsigned i = 0; i < fatal.module_count; i++) {
        const struct module *module = &fatal.modules[i];
        if (address < module->start || address >= module->end)
            continue;
        out_text(out, module->name);
        out_char(out, '+');
        put_hex(out, address - module->base);
        out_char(out, '\n');
        return;
    }
    put_hex(out, address);
    out_char(out, '\n');
}

static void put_signal(struct out *out, int number, const siginfo_t *info)
{
    const char *name = "?";
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (signals[i].number == number)
            name = signals[i].name;
    out_literal(out, "signal ");
    out_i64(out, number);
    out_literal(out, " (");
    out_text(out, name);
    out_literal(out, ") code ");
    out_i64(out, info->si_code);
    if (info->si_code > 0) { /* the kernel's own */
        out_literal(out, " address ");
        put_hex(out, (uintptr_t)info->si_addr);
    } else {
        out_literal(out, " from pid ");
        out_i64(out, info->si_pid);
    }
    out_char(out, '\n');
}

static uintptr_t program_counter(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* The frames behind the signal's own, callers as the address of the call. */
static void put_frames(struct out *out, uintptr_t counter)
{
    void *frames[FRAMES_MAX];
    int count = backtrace(frames, FRAMES_MAX), first = 0;
    for (int i = 0; i < count && first == 0; i++)
        if ((uintptr_t)frames[i] == counter)
            first = i + 1;
    for (int i = first; i < count; i++)
        put_place(out, (uintptr_t)frames[i] - 1);
}

static void publish(struct out *out)
{
    out->at[out->len] = '\0';
    if (fatal.where != NULL)
        memcpy(fatal.where, out->at, out->len + 1);
}

static void arm_hang_limit(void)
{
    sigset_t alarm_only;
    signal(SIGALRM, SIG_DFL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    alarm(HANG_LIMIT_S);
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
    static char text[BLACKBOX_WHERE];
    if (fatal.hit) { /* another thread's */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    fatal.hit = 1;
    arm_hang_limit();
    struct out out = out_init(text, sizeof text - 1);
    uintptr_t counter = program_counter(context);
    put_signal(&out, number, info);
    put_place(&out, counter);
    publish(&out);
    put_frames(&out, counter);
    publish(&out);
    log_fatal("fatal-signal", "where", text);
    alarm(0);
    if (info->si_code <= 0)
        raise(number);
}

void blackbox_fatal_install(char *where)
{
    void *frames[2];
    fatal.where = where;
    fatal.module_count = 0;
    dl_iterate_phdr(note_module, NULL);
    (void)backtrace(frames, ARRAY_LEN(frames));
    stack_t stack = {.ss_sp = fatal_stack, .ss_size = sizeof fatal_stack};
    struct sigaction action = {.sa_sigaction = on_fatal,
                               .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaddset(&action.sa_mask, signals[i].number);
    if (sigaltstack(&stack, NULL) != 0)
        log_warn("blackbox", "error=\"no stack for fatal signals: %s\"", strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        sigaction(signals[i].number, &action, NULL);
}

#endif
