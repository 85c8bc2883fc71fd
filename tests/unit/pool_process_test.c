/* Real processes, forked: killed from outside, stuck, and who only seems to be. */
#include "pool_stage.h"

#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct actor *actor(unsigned k)
{
    return &stage->actors[k];
}

/* A handler that takes everything and answers; `silent_after` messages it stands still for ever. */
static void handler_process(int listen_fd, unsigned silent_after)
{
    struct actor self = {.listen_fd = listen_fd, .fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)};
    msgpack_zone_init(&self.zone, 4096);
    self.bytes = malloc(1 << 20);
    for (unsigned messages = 0;;) {
        size_t len;
        while (handler_frame(self.bytes, self.len, &len) != ERR_OK) {
            ssize_t got = read(self.fd, self.bytes + self.len, (1 << 20) - self.len);
            if (got <= 0)
                _exit(0);
            self.len += (size_t)got;
        }
        handler_decode(self.bytes + 4, len, &self.zone, &self.message);
        if (self.message.type == HANDLER_MESSAGE && messages++ == silent_after)
            for (;;)
                pause();
        struct handler_message answer = {.type = self.message.type == HANDLER_HELLO     ? HANDLER_WELCOME
                                                 : self.message.type == HANDLER_MESSAGE ? HANDLER_REPLY
                                                                                        : HANDLER_TAKEN,
                                         .version = HANDLER_VERSION,
                                         .program = handler_text("child"),
                                         .event = self.message.event,
                                         .status = 200,
                                         .body = self.message.body};
        msgpack_sbuffer out;
        msgpack_sbuffer_init(&out);
        handler_encode(&answer, &out);
        if (write(self.fd, out.data, out.size) != (ssize_t)out.size)
            _exit(1);
        msgpack_sbuffer_destroy(&out);
        self.len -= 4 + len;
        memmove(self.bytes, self.bytes + 4 + len, self.len);
    }
}

static pid_t start_process(struct actor *a, const char *path, unsigned silent_after)
{
    if (a->listen_fd < 0)
        actor_listen(a, path);
    uint64_t links = counts()->links;
    fcntl(a->listen_fd, F_SETFL, 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing running */
        handler_process(a->listen_fd, silent_after);
    }
    for (unsigned i = 0; i < 1000 && counts()->links == links; i++) {
        stage_pass(10);
        raw_turn(&stage->loop, -1);
    }
    assert_int_equal(counts()->links, links + 1);
    return pid;
}

static const char *chat_socket(unsigned k)
{
    static char path[CONF_PATH_MAX];
    conf_handler_socket(&stage->conf, &stage->handlers[0], k, path);
    return path;
}

static int ended(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_process_is_killed(void **state)
{
    (void)state;
    struct visitor ana = {0};
    pid_t one = start_process(actor(0), chat_socket(0), 1);
    visitor_open(&ana, 0);
    visitor_send(&ana, 1);
    visitor_answered(&ana, 1, POOL_REPLY);
    assert_int_equal(ana.last_value, 1);
    visitor_send(&ana, 2); /* on which it stands still */
    stage_until(counts()->waiting == 0);
    kill(one, SIGKILL);
    visitor_answered(&ana, 2, POOL_FAILED);
    ended(one);
    pid_t two = start_process(actor(0), chat_socket(0), 100);
    visitor_send(&ana, 3);
    visitor_answered(&ana, 3, POOL_REPLY);
    assert_int_equal(counts()->opened, 1);
    assert_int_equal(counts()->resumed, 1);
    visitor_close(&ana);
    stage_until(counts()->conns == 0);
    kill(two, SIGKILL);
    ended(two);
}

static bool can_kill(void)
{
    int fd = pidfd_open(getpid(), 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void a_stuck_process_of_a_command_is_killed(void **state)
{
    (void)state;
    struct visitor ana = {0};
    if (!can_kill()) /* valgrind 3.19 knows no pidfd_open() */
        skip();
    pid_t child = start_process(actor(0), chat_socket(0), 0);
    visitor_open(&ana, 0);
    visitor_send(&ana, 1);
    stage_until(counts()->waiting == 0 && stage->pool->links[0].window.count == 1);
    assert_true(stage->pool->links[0].pidfd >= 0);
    stage_pass(10 * STAGE_STUCK_MS); /* this worker stood still: one second of it counts */
    visitor_answered(&ana, 1, POOL_TIMEOUT);
    stage_pass_slowly(STAGE_STUCK_MS - 2000);
    assert_int_equal(counts()->killed, 0);
    stage_pass_slowly(2000);
    assert_int_equal(counts()->killed, 1);
    int status = ended(child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    stage_until(counts()->links == 0);
    assert_int_equal(ana.answers, 1);
    actor_greet(actor(1));
    actor_open(actor(1), true);
    visitor_close(&ana);
    actor_close(actor(1));
    stage_until(counts()->conns == 0);
}

static void a_stuck_process_behind_a_socket_is_left(void **state)
{
    (void)state;
    struct visitor ana = {0};
    pid_t child = start_process(&stage->out, stage->out_path, 0);
    visitor_open(&ana, 2);
    visitor_send(&ana, 1);
    stage_until(counts()->waiting == 0 && stage->pool->links[STAGE_PROCESSES].window.count == 1);
    stage_pass_slowly(STAGE_STUCK_MS + 1000);
    stage_until(counts()->links == 0);
    assert_int_equal(counts()->killed, 0);
    visitor_close(&ana);
    assert_int_equal(kill(child, 0), 0);
    kill(child, SIGKILL);
    ended(child);
}

static void who_talks_is_not_stuck(void **state)
{
    (void)state;
    struct visitor ana = {0};
    struct actor *out = &stage->out;
    actor_greet(out);
    visitor_open(&ana, 2);
    actor_open(out, false);
    visitor_send(&ana, 1);
    actor_message(out, 1);
    for (unsigned i = 0; i < 4; i++) {
        stage_pass_slowly(STAGE_STUCK_MS / 2);
        actor_say(out, &(struct handler_message){.type = HANDLER_SEND, .conn = 1, .status = 200});
        stage_until(ana.sends == i + 1);
    }
    actor_say(out, &(struct handler_message){.type = HANDLER_SEND, .conn = 1, .status = 200});
    clock_manual_advance_ns(&stage->clock, STAGE_STUCK_MS * NS_PER_MS);
    for (unsigned i = 0; i < STAGE_STUCK_MS / 1000 + 1; i++)
        stage_pass(1000); /* what has arrived is no silence, though it was not read yet */
    assert_int_equal(counts()->links, 1);
    stage_until(ana.sends == 5);
    actor_reply(out, out->message.event, 1);
    visitor_close(&ana);
    actor_close(out);
    stage_until(counts()->conns == 0);
    stage_pass_slowly(2 * STAGE_STUCK_MS); /* nothing is under way */
    assert_int_equal(counts()->links, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_process_is_killed),
        T(a_stuck_process_of_a_command_is_killed),
        T(a_stuck_process_behind_a_socket_is_left),
        T(who_talks_is_not_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
