/* The bell, both sides in one process: hand-over, ringing, whose slot it is, and strangers on the socket. Real processes
 * and their deaths: bell_process_test. */
#include "bell_fixture.h"

#include <sys/epoll.h>

static void expect(struct bell_ear *ear, enum bell_event_e event)
{
    assert_int_equal(bell_ear_take(ear), event);
}

static void a_bell_rings_for_sleepers_only(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *segment = segment_make(s, 0, 7);
    struct bell_ear *ear = ear_make(s, segment, 0, 7);
    expect(ear, BELL_NOTHING);
    assert_int_equal(bell_workers(s->bell), 0);
    assert_true(readable(bell_fd(s->bell), 0));
    bell_service(s->bell);
    assert_false(readable(bell_fd(s->bell), 0));
    assert_int_equal(bell_workers(s->bell), 1);
    assert_true(readable(bell_ear_fd(ear), 0));
    expect(ear, BELL_READY);
    expect(ear, BELL_NOTHING);

    assert_false(bell_ring(s->bell));
    expect(ear, BELL_NOTHING);
    for (int i = 0; i < 3; i++) {
        bell_ear_sleep(ear);
        assert_false(readable(bell_ear_fd(ear), 0));
        assert_true(bell_ring(s->bell));
        assert_true(bell_ring(s->bell)); /* it may ring again before the sleeper is up */
        assert_true(readable(bell_ear_fd(ear), 0));
        expect(ear, BELL_RANG);
        bell_ear_wake(ear);
        expect(ear, BELL_NOTHING);
        assert_false(readable(bell_ear_fd(ear), 0));
        assert_false(bell_ring(s->bell));
    }
    assert_true(bell_counts(s->bell).welcomed == 1 && bell_counts(s->bell).rung == 6);
    bell_ear_close(&ear);
    segment_close(&segment, true);
    bell_close(&s->bell);
    assert_int_equal(access(s->socket, F_OK), -1);
    assert_int_equal(s->gone_count, 0);
}

/* As a worker's loop does it: the ear's descriptor level-triggered in an outer epoll. */
static void the_ear_works_inside_another_epoll(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *segment = segment_make(s, 0, 7);
    struct bell_ear *ear = ear_make(s, segment, 0, 7);
    struct epoll_event event = {.events = EPOLLIN};
    int outer = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(epoll_ctl(outer, EPOLL_CTL_ADD, bell_ear_fd(ear), &event), 0);
    bell_service(s->bell);
    assert_int_equal(epoll_wait(outer, &event, 1, 0), 1);
    expect(ear, BELL_READY);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(epoll_wait(outer, &event, 1, 0), 0);
        bell_ear_sleep(ear);
        assert_true(bell_ring(s->bell));
        assert_int_equal(epoll_wait(outer, &event, 1, 0), 1);
        assert_int_equal(epoll_wait(outer, &event, 1, 0), 1); /* level: still */
        expect(ear, BELL_RANG);
        bell_ear_wake(ear);
    }
    close(outer);
    bell_ear_close(&ear);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

static void one_ring_wakes_all(void **state)
{
    struct stage *s = stage_open(state);
    struct segment *segments[8];
    struct bell_ear *ears[8];
    bell_begin(s);
    for (uint32_t i = 0; i < 8; i++) {
        segments[i] = segment_make(s, i, 100 + i);
        ears[i] = ear_make(s, segments[i], i, 100 + i);
        bell_service(s->bell);
        expect(ears[i], BELL_READY);
        while (bell_ear_take(ears[i]) != BELL_NOTHING)
            continue;
    }
    assert_int_equal(bell_workers(s->bell), 8);
    bell_ear_sleep(ears[5]);
    assert_true(bell_ring(s->bell));
    /* One eventfd for all: those awake hear it too, and look at the head for nothing. */
    for (uint32_t i = 0; i < 8; i++)
        expect(ears[i], BELL_RANG);
    for (uint32_t i = 0; i < 8; i++) {
        bell_ear_close(&ears[i]);
        bell_service(s->bell);
        assert_int_equal(s->gone_count, i + 1);
        assert_int_equal(s->gone_slot, i);
        assert_int_equal(s->gone_incarnation, 100 + i);
        segment_close(&segments[i], true);
    }
    assert_int_equal(bell_workers(s->bell), 0);
    bell_close(&s->bell);
}

static void a_slot_belongs_to_the_newest_incarnation(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *first = segment_make(s, 2, 1);
    struct bell_ear *old = ear_make(s, first, 2, 1);
    bell_service(s->bell);
    expect(old, BELL_READY);
    struct bell_ear *again = ear_make(s, first, 2, 1); /* the same worker comes back: nobody is gone */
    bell_service(s->bell);
    expect(again, BELL_READY);
    expect(old, BELL_LOST);
    expect(old, BELL_NOTHING);
    assert_int_equal(s->gone_count, 0);
    assert_int_equal(bell_workers(s->bell), 1);

    struct segment *second = segment_make(s, 2, 9);
    struct bell_ear *new = ear_make(s, second, 2, 9);
    bell_service(s->bell);
    expect(new, BELL_READY);
    expect(again, BELL_LOST);
    assert_true(s->gone_count == 1 && s->gone_slot == 2 && s->gone_incarnation == 1);
    assert_int_equal(bell_workers(s->bell), 1);

    struct bell_ear *impostor = ear_make(s, first, 2, 1); /* the segment says 9 by now */
    bell_service(s->bell);
    expect(impostor, BELL_LOST);
    bell_ear_sleep(new);
    assert_true(bell_ring(s->bell));
    expect(new, BELL_RANG);
    bell_ear_close(&old);
    bell_ear_close(&again);
    bell_ear_close(&new);
    bell_ear_close(&impostor);
    segment_close(&first, true);
    segment_close(&second, true);
    bell_close(&s->bell);
}

static void nobody_listens(void **state)
{
    struct stage *s = stage_open(state);
    struct segment *segment = segment_make(s, 0, 1);
    struct bell_ear *ear = NULL;
    assert_int_equal(bell_ear_open(s->socket, 0, 1, segment, &ear), ERR_NOT_FOUND);
    bell_begin(s);
    ear = ear_make(s, segment, 0, 1);
    bell_service(s->bell);
    expect(ear, BELL_READY);
    bell_close(&s->bell);
    assert_true(readable(bell_ear_fd(ear), 0));
    expect(ear, BELL_LOST);
    expect(ear, BELL_NOTHING);
    assert_false(readable(bell_ear_fd(ear), 0));
    bell_ear_close(&ear);
    assert_int_equal(bell_ear_open(s->socket, 0, 1, segment, &ear), ERR_NOT_FOUND);
    segment_close(&segment, true);
}

static void paths_that_are_taken(void **state)
{
    struct stage *s = stage_open(state);
    struct bell *first = NULL;
    struct stat status;
    write_file(s->socket, "x", 1);
    assert_int_equal(bell_open(s->socket, s->place->dir, on_gone, s, &s->bell), ERR_EXISTS);
    unlink(s->socket);
    assert_int_equal(bell_open(s->socket, s->place->dir, on_gone, s, &first), ERR_OK);
    bell_begin(s);      /* a stale socket, as far as it can tell */
    bell_close(&first); /* does not take the successor's name away */
    assert_int_equal(stat(s->socket, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    bell_close(&s->bell);
    char deep[256];
    memset(deep, 'd', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(bell_open(deep, s->place->dir, on_gone, s, &s->bell), ERR_TOO_LARGE);
}

/* --- strangers ----------------------------------------------------------------------------------------------------- */

static void send_fds(int fd, const void *data, size_t len, const int *fds, size_t count)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
    }
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)len);
}

static void strangers_are_cut_off(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *segment = segment_make(s, 1, 5);
    const struct bell_hello good = {
        .magic = BELL_MAGIC, .version = BELL_VERSION, .slot = 1, .incarnation = 5};
    struct bell_hello wrong[5] = {good, good, good, good, good};
    wrong[0].magic ^= 1;
    wrong[1].version = 2;
    wrong[2].slot = UINT32_MAX;
    wrong[3].slot = 0; /* no such segment */
    wrong[4].incarnation = 6;
    for (size_t i = 0; i < 5; i++) {
        int fd = stranger(s);
        send_fds(fd, &wrong[i], sizeof wrong[i], NULL, 0);
        bell_service(s->bell);
        assert_true(cut_off(fd));
        close(fd);
    }
    char noise[4096];
    for (size_t len = 1; len <= sizeof noise; len = len * 3 + 1) {
        int fd = stranger(s), extra[] = {0, 1, 2};
        memset(noise, (int)len, sizeof noise);
        send_fds(fd, noise, len, extra, 3); /* descriptors sent along must not pile up */
        bell_service(s->bell);
        assert_true(cut_off(fd));
        close(fd);
    }
    uint64_t refused = bell_counts(s->bell).refused;
    assert_true(refused >= 10 && bell_workers(s->bell) == 0 && s->gone_count == 0);

    int fd = stranger(s); /* comes and goes without a word: no offence */
    close(fd);
    bell_service(s->bell);
    assert_true(bell_counts(s->bell).refused == refused);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

static void silent_strangers_do_not_pile_up(void **state)
{
    struct stage *s = stage_open(state);
    int fds[60];
    bell_begin(s);
    for (size_t i = 0; i < 60; i++) {
        fds[i] = stranger(s);
        bell_service(s->bell);
    }
    size_t cut = 0;
    for (size_t i = 0; i < 60; i++)
        cut += cut_off(fds[i]);
    assert_int_equal(cut, 60 - 32);
    assert_true(cut_off(fds[0]) && !cut_off(fds[59]));
    struct segment *segment = segment_make(s, 0, 1);
    struct bell_ear *ear = ear_make(s, segment, 0, 1); /* a real one gets through */
    bell_service(s->bell);
    expect(ear, BELL_READY);
    for (size_t i = 0; i < 60; i++)
        close(fds[i]);
    for (int i = 0; i < 4; i++)
        bell_service(s->bell);
    assert_false(readable(bell_fd(s->bell), 0));
    bell_ear_close(&ear);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

static void a_worker_that_talks_on_is_gone(void **state)
{
    struct stage *s = stage_open(state);
    bell_begin(s);
    struct segment *segment = segment_make(s, 1, 5);
    const struct bell_hello hello = {
        .magic = BELL_MAGIC, .version = BELL_VERSION, .slot = 1, .incarnation = 5};
    int fd = stranger(s);
    send_fds(fd, &hello, sizeof hello, NULL, 0);
    bell_service(s->bell);
    assert_int_equal(bell_workers(s->bell), 1);
    send_fds(fd, &hello, sizeof hello, NULL, 0);
    bell_service(s->bell);
    assert_int_equal(bell_workers(s->bell), 0);
    assert_true(s->gone_count == 1 && s->gone_slot == 1);
    close(fd);
    segment_close(&segment, true);
    bell_close(&s->bell);
}

/* A listener that is no broker: the ear takes no wrong welcome and keeps no descriptor of it. */
static void a_false_broker(void **state)
{
    struct stage *s = stage_open(state);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, s->socket, sizeof s->socket);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 8), 0);
    struct segment *segment = segment_make(s, 4, 1);
    const struct bell_welcome good = {.magic = BELL_MAGIC, .version = BELL_VERSION, .slot = 4};
    struct bell_welcome other_slot = good, other_version = good, no_magic = good;
    other_slot.slot = 5;
    other_version.version = 9;
    no_magic.magic = 0;
    const struct {
        const void *data;
        size_t len, fds;
    } answers[] = {{&other_slot, sizeof good, 1}, {&other_version, sizeof good, 1},
                   {&no_magic, sizeof good, 1},   {&good, sizeof good, 0},
                   {&good, sizeof good, 2},       {&good, 8, 1},
                   {"0123456789abcdefXYZ", 19, 1}};
    int plain[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), listener};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct bell_ear *ear = ear_make(s, segment, 4, 1);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), before = fds_open();
        send_fds(fd, answers[i].data, answers[i].len, plain, answers[i].fds);
        expect(ear, BELL_LOST);
        assert_int_equal(fds_open(), before - 1); /* its own socket, closed */
        bell_ear_close(&ear);
        close(fd);
    }
    close(plain[0]);
    close(listener);
    segment_close(&segment, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(a_bell_rings_for_sleepers_only),
        T(the_ear_works_inside_another_epoll),
        T(one_ring_wakes_all),
        T(a_slot_belongs_to_the_newest_incarnation),
        T(nobody_listens),
        T(paths_that_are_taken),
        T(strangers_are_cut_off),
        T(silent_strangers_do_not_pile_up),
        T(a_worker_that_talks_on_is_gone),
        T(a_false_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
