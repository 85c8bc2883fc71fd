/* See fault_point.h. The variable is read when the first point is passed. A name that is none, or an action that is none,
 * ends the process at once with a message: a test that waits for a fault which cannot come would wait in vain. */
#include "fault_point.h"

#ifdef NORIA_FAULT_POINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {
#define X(NAME, name, text) name,
    FAULT_POINT_TABLE(X)
#undef X
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int armed = FAULT_POINT_COUNT; /* which point; none */
static int fault_signal = SIGKILL;
static atomic_ulong left = 1; /* passes until it happens */

static _Noreturn void nonsense(const char *text)
{
    fprintf(stderr, "NORIA_FAULT=%s is not POINT[:N][=kill|stop]\n", text);
    _exit(2);
}

static int point_by_name(const char *name, size_t len)
{
    for (int i = 0; i < FAULT_POINT_COUNT; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    return FAULT_POINT_COUNT;
}

static void arm(void)
{
    const char *text = getenv("NORIA_FAULT");
    if (text == NULL || *text == '\0')
        return;
    size_t name_len = strcspn(text, ":=");
    const char *rest = text + name_len;
    armed = point_by_name(text, name_len);
    if (*rest == ':') {
        char *end;
        unsigned long passes = strtoul(rest + 1, &end, 10);
        if (passes == 0)
            nonsense(text);
        atomic_store(&left, passes);
        rest = end;
    }
    if (strcmp(rest, "=stop") == 0)
        fault_signal = SIGSTOP;
    else if (*rest != '\0' && strcmp(rest, "=kill") != 0)
        nonsense(text);
    if (armed == FAULT_POINT_COUNT)
        nonsense(text);
}

void fault_point_pass(enum fault_point_e point)
{
    pthread_once(&once, arm);
    if ((int)point == armed && atomic_fetch_sub(&left, 1) == 1)
        kill(getpid(), fault_signal);
}

#endif
