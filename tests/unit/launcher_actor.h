/* launcher_actor.h — a process that speaks with its launcher, for tests of the family: the test's own program, started as
 * `/proc/self/exe actor NAME`.
 *
 * It writes a line to $T/log for all that happens to it:
 *
 *     NAME up PID             it says READY, unless $T/hold is there; then when $T/go is there
 *     NAME drain WINDOW       it answers DRAINING, and ends with 0 when $T/end is there; SIGUSR1 does the same ("NAME drain usr1")
 *     NAME adopt K NAMES FDS  how many descriptors are listening sockets; disown K
 *     NAME reload NUMBER      it answers PREPARED; after `commit` DONE; after `abort` REFUSED, which nobody asked for
 *     NAME term               it ends with 0
 */
#pragma once

#include "launcher_fixture.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "control.h"
#include "proc.h"

struct actor {
    const char *name;
    int control, signals, changes;
    bool ready, draining;
};

static inline bool actor_sees(const char *file)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", getenv("T"), file);
    return access(path, F_OK) == 0;
}

__attribute__((format(printf, 2, 3))) static inline void actor_notes(const struct actor *actor,
                                                                     const char *fmt, ...)
{
    char path[128], line[4096];
    va_list args;
    int len = snprintf(line, sizeof line, "%s ", actor->name);
    va_start(args, fmt);
    len += vsnprintf(line + len, sizeof line - 2 - (size_t)len, fmt, args);
    va_end(args);
    line[len++] = '\n';
    snprintf(path, sizeof path, "%s/log", getenv("T"));
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        _exit(9);
    close(fd);
}

static inline void actor_says(const struct actor *actor, enum control_type_e type, uint32_t number)
{
    const struct control_message message = {.type = type, .number = number};
    if (control_send(actor->control, &message) != ERR_OK)
        _exit(9);
}

static inline unsigned actor_listening(struct control_message *message)
{
    unsigned count = 0;
    for (unsigned i = 0; i < message->fd_count; i++) {
        int listens = 0;
        socklen_t size = sizeof listens;
        getsockopt(message->fds[i], SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
        count += listens != 0;
        close(message->fds[i]);
    }
    return count;
}

static inline void actor_drains(struct actor *actor)
{
    actor->draining = true;
    actor_says(actor, CONTROL_DRAINING, 0);
}

static inline void actor_hears(struct actor *actor)
{
    struct control_message message;
    if (control_receive(actor->control, &message) != ERR_OK)
        _exit(9);
    const char *type = control_type_name(message.type);
    if (message.type == CONTROL_ADOPT)
        actor_notes(actor, "%s %u %s %u", type, message.number, message.text, actor_listening(&message));
    else
        actor_notes(actor, "%s %u", type, message.number);
    if (message.type == CONTROL_DRAIN)
        actor_drains(actor);
    else if (message.type == CONTROL_RELOAD)
        actor_says(actor, CONTROL_PREPARED, message.number);
    else if (message.type == CONTROL_COMMIT)
        actor_says(actor, CONTROL_DONE, message.number);
    else if (message.type == CONTROL_ABORT)
        actor_says(actor, CONTROL_ADOPT, message.number); /* which is not a child's to say */
}

static inline void actor_is_told(struct actor *actor)
{
    struct signalfd_siginfo info;
    if (read(actor->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGTERM) {
        actor_notes(actor, "term");
        _exit(0);
    }
    actor_notes(actor, "drain usr1");
    actor_drains(actor);
}

static inline void actor_looks(struct actor *actor)
{
    char rest[4096];
    while (read(actor->changes, rest, sizeof rest) > 0)
        continue;
    if (!actor->ready && (!actor_sees("hold") || actor_sees("go"))) {
        actor->ready = true;
        actor_notes(actor, "up %d", (int)getpid());
        proc_ready();
    }
    if (actor->draining && actor_sees("end"))
        _exit(0);
}

static inline int actor_main(const char *name)
{
    struct actor actor = {.name = name, .control = control_inherited()};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    actor.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    actor.changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (actor.control < 0 || actor.signals < 0 ||
        inotify_add_watch(actor.changes, getenv("T"), IN_CREATE | IN_DELETE) < 0)
        return 9;
    for (;;) {
        struct pollfd fds[] = {
            {actor.control, POLLIN, 0}, {actor.signals, POLLIN, 0}, {actor.changes, POLLIN, 0}};
        actor_looks(&actor);
        poll(fds, ARRAY_LEN(fds), -1);
        if (fds[1].revents != 0)
            actor_is_told(&actor);
        if (fds[0].revents != 0)
            actor_hears(&actor);
    }
}

/* A listening socket on any loopback port. */
static inline int actor_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && listen(fd, 1) == 0);
    return fd;
}

#define NO_SOCKETS ((struct child_sockets){NULL, NULL, 0})

static inline void troupe_add_actor(struct troupe *t, enum family_stage_e stage, const char *name,
                                    struct child_sockets sockets)
{
    struct family_member member = {
        .stage = stage, .argv = {"/proc/self/exe", "actor", name}, .sockets = sockets};
    snprintf(member.name, sizeof member.name, "%s", name);
    assert_int_equal(family_add(t->family, &member), ERR_OK);
}

/* How often `mark` stands in the log. */
static inline size_t troupe_count(struct troupe *t, const char *mark)
{
    size_t count = 0;
    for (const char *at = troupe_log(t); (at = strstr(at, mark)) != NULL; at++)
        count++;
    return count;
}

static inline void troupe_remove(const struct troupe *t, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    assert_int_equal(unlink(path), 0);
}

static inline struct family_view troupe_view(const struct troupe *t, const char *name)
{
    struct family_view view = {0};
    assert_true(family_find(t->family, name, &view));
    return view;
}

/* A broker and two workers without doors, all ready. */
static inline void two_workers(struct troupe *t)
{
    troupe_add(t, FAMILY_BROKER, "broker", SAY_READY WAIT);
    troupe_add_actor(t, FAMILY_WORKER, "worker.0", NO_SOCKETS);
    troupe_add_actor(t, FAMILY_WORKER, "worker.1", NO_SOCKETS);
    family_start(t->family);
    UNTIL(t, t->ready_told > 0);
}
