/* Simulated PLCs over real TCP: requests, machines, clients and the log; faults are in sim_fault_test.c. */
#include "sim_play.h"

/* --- plays: without faults ------------------------------------------------------------------------------------------ */

static void status_and_move(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    ask(p, c, "0102", "db00");
    pass_ms(p, PACE_MS);
    ask(p, c, "00", "db01");
    pass_ms(p, PACE_MS);
    ask(p, c, "00", "da02");
    expect_word(p, "counts m1", "request.0=3");
    expect_word(p, "counts m1", "request.1=1");
    expect_word(p, "counts m1", "moves_started=1");
    close(c);
    end(p);
}

static void many_requests_in_one_segment_are_answered_in_order(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "pace m1 0");
    char requests[2 * 192 + 1] = "", replies[4 * 96 + 1] = "";
    for (int i = 0; i < 96; i++) {
        snprintf(requests + 4 * i, 5, "01%02x", i % 26);
        snprintf(replies + 4 * i, 5, "da%02x", i % 26);
    }
    ask(p, c, requests, replies);
    expect_word(p, "counts m1", "requests=96");
    hears_nothing(p, c);
    close(c);
    end(p);
}

static void other_codes_do_nothing(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    ask(p, c, "09", "da00");
    ask(p, c, "0905", "da00");
    expect_word(p, "counts m1", "request.9=2");
    expect_word(p, "counts m1", "requests=2");
    close(c);
    end(p);
}

static void a_position_that_is_not_there(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c1 = connect_to(p, "m1"), c2 = connect_to(p, "m2");
    ask(p, c1, "011a", "da00"); /* no bit for it: ignored */
    ask(p, c2, "011a", "5500"); /* positioning error, not ready */
    expect_word(p, "get m2", "positioning_error=1");
    ask(p, c2, "0101", "5500");
    expect_word(p, "counts m2", "moves_blocked=1");
    expect_ok(p, "set m2 positioning_error off");
    ask(p, c2, "0101", "1600");
    close(c1);
    close(c2);
    end(p);
}

static void every_condition_refuses_a_move(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m2");
    static const struct {
        const char *word, *reply;
    } all[] = {
        {"alarm", "1d00"},
        {"estop", "0500"},
        {"manual", "1000"},
        {"drive_fault", "3500"},
        {"positioning_error", "5500"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char line[80];
        snprintf(line, sizeof line, "set m2 %s on", all[i].word);
        expect_ok(p, line);
        ask(p, c, "0105", all[i].reply);
        snprintf(line, sizeof line, "set m2 %s off", all[i].word);
        expect_ok(p, line);
        ask(p, c, "00", "1400");
    }
    close(c);
    end(p);
}

static void a_second_client_waits_for_the_first_to_close(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int first = connect_to(p, "m1");
    ask(p, first, "00", "da00");
    int second = connect_to(p, "m1");
    put(second, "00");
    hears_nothing(p, second);
    ask(p, first, "00", "da00");
    expect_word(p, "counts m1", "connections=1");
    close(first);
    expect(p, second, "da00");
    close(second);
    end(p);
}

static void a_second_client_is_reset(void **state)
{
    (void)state;
    struct play *p = begin(true);
    int first = connect_to(p, "m1");
    ask(p, first, "00", "da00");
    expect_end(p, connect_to(p, "m1"), ECONNRESET);
    ask(p, first, "00", "da00");
    expect_word(p, "counts m1", "refused=1");
    close(first);
    wait_until(p, "get m1", "client=0");
    first = connect_to(p, "m1");
    ask(p, first, "00", "da00");
    close(first);
    end(p);
}

static void steps_by_hand(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "pace m1 manual");
    assert_string_equal(tell(p, "step m1"), "error the machine is not moving");
    ask(p, c, "0103", "db00");
    pass_ms(p, 100000);
    ask(p, c, "00", "db00");
    assert_string_equal(tell(p, "step m1"), "ok moved=1 position=1 moving=1");
    ask(p, c, "00", "db01");
    assert_string_equal(tell(p, "step m1 9"), "ok moved=2 position=3 moving=0");
    ask(p, c, "00", "da03");
    close(c);
    end(p);
}

static void hold_and_release(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "hold m1 command 1");
    ask(p, c, "00", "da00");
    put(c, "0101");
    wait_until(p, "get m1", "held=1");
    expect_word(p, "get m1", "moving=1"); /* carried out, not answered */
    put(c, "00");
    wait_until(p, "counts m1", "request.0=2");
    hears_nothing(p, c);
    assert_string_equal(tell(p, "release m1"), "ok held=1");
    expect(p, c, "db00db00");
    assert_string_equal(tell(p, "release m1"), "ok held=0");
    put(c, "0102");
    expect(p, c, "db00"); /* the hold is over */
    close(c);
    end(p);
}

static void a_client_that_leaves_while_held_frees_the_place(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "hold m1");
    put(c, "00");
    wait_until(p, "get m1", "held=1");
    close(c);
    wait_until(p, "get m1", "client=0");
    tell(p, "release m1");
    c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    close(c);
    end(p);
}

/* --- plays: hostile clients, log ------------------------------------------------------------------------------------ */

static void a_client_that_never_reads(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = try_connect_with(p, "m1", 2048);
    ask(p, c, "00", "da00");
    char fault[64 + 2 * SIM_GARBAGE_MAX + 1] = "fault m1 garbage ";
    memset(fault + strlen(fault), 'a', 2 * SIM_GARBAGE_MAX); /* fills the buffers sooner than replies do */
    expect_ok(p, fault);
    const struct sim_conn *conn = &sim_server_find(p->server, "m1")->conn;
    static const uint8_t zeroes[SIM_READ_MAX];
    uint64_t deadline = clock_mono_ns(clock_system()) + PLAY_DEADLINE_NS;
    while (conn->events & LOOP_READ) { /* until the PLC takes nothing any more */
        assert_true(clock_mono_ns(clock_system()) < deadline);
        ssize_t ignored = send(c, zeroes, sizeof zeroes, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
        turn(p);
    }
    assert_true(conn->out_len > 0 && conn->queue_count > SIM_QUEUE_MAX - SIM_READ_MAX);
    int other = connect_to(p, "m2");
    ask(p, other, "00", "1400");
    close(other);
    close(c);
    wait_until(p, "get m1", "client=0");
    end(p);
}

static void the_log_holds_every_byte(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    ask(p, c, "0101", "db00");
    close(c);
    wait_until(p, "get m1", "client=0");
    char want[1024], have[1024] = "", peer[64] = "";
    int fd = open(p->log_path, O_RDONLY);
    assert_true(read(fd, have, sizeof have - 1) > 0);
    close(fd);
    assert_int_equal(sscanf(strstr(have, "peer="), "peer=%63s", peer), 1);
    snprintf(want, sizeof want,
             "1000000000000 start pid=%d version=" NORIA_VERSION "\n"
             "1000000000000 machine=m1 conn=1 connect peer=%s\n"
             "1000000000000 machine=m1 conn=1 rx=00\n"
             "1000000000000 machine=m1 conn=1 tx=da00\n"
             "1000000000000 machine=m1 conn=1 rx=0101\n"
             "1000000000000 machine=m1 conn=1 tx=db00\n"
             "1000000000000 machine=m1 conn=1 close by=client\n",
             getpid(), peer);
    assert_string_equal(have, want);
    end(p);
}

/* The text of the log from `mark` on ("rx=" or "tx="): what the lines with it hold, joined. */
static void logged(struct play *p, const char *mark, char *bytes, size_t size)
{
    char text[8192] = "";
    int fd = open(p->log_path, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    size_t len = 0;
    for (const char *at = text; (at = strstr(at, mark)) != NULL;)
        for (at += strlen(mark); *at != '\n'; at++) {
            assert_true(len < size - 1);
            bytes[len++] = *at;
        }
    bytes[len] = '\0';
}

struct witness {
    struct play *play;
    unsigned changes;
    char rx[64], tx[64]; /* what was logged when the machine began to move */
};

static void on_change(void *arg, struct sim_plc *plc)
{
    struct witness *witness = arg;
    if (!plc->machine.moving || witness->changes++ > 0)
        return;
    logged(witness->play, " rx=", witness->rx, sizeof witness->rx);
    logged(witness->play, " tx=", witness->tx, sizeof witness->tx);
}

static void a_request_is_logged_before_it_acts(void **state)
{
    (void)state;
    struct play *p = begin(false);
    struct witness witness = {.play = p};
    sim_server_observe(p->server, on_change, &witness);
    int c = connect_to(p, "m1");
    put(c, "01");
    wait_until(p, "counts m1", "rx_bytes=1");
    put(c, "09");
    expect(p, c, "db00");
    assert_true(witness.changes > 0);
    assert_string_equal(witness.rx, "0109");
    assert_string_equal(witness.tx, "");
    char tx[64];
    logged(p, " tx=", tx, sizeof tx); /* the turn that sent a reply has logged it, too */
    assert_string_equal(tx, "db00");
    close(c);
    sim_server_observe(p->server, NULL, NULL);
    end(p);
}

/* Whatever the fault: what the log says was sent is what came. */
static void the_log_says_what_came(void **state)
{
    (void)state;
    static const char *const faults[][2] = {{"late 5", "da00"},
                                            {"split 5", "da00"},
                                            {"duplicated", "da00da00"},
                                            {"garbage 0a0b0c", "0a0b0c"},
                                            {"garbage 0d undone", "0d"}};
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    char want[128] = "", have[128], line[80];
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        snprintf(line, sizeof line, "fault m1 %s count 1", faults[i][0]);
        expect_ok(p, line);
        put(c, "00");
        snprintf(line, sizeof line, "request.0=%zu", i + 1);
        wait_until(p, "counts m1", line);
        pass_ms(p, 5);
        expect(p, c, faults[i][1]);
        strcat(want, faults[i][1]);
    }
    logged(p, " tx=", have, sizeof have);
    assert_string_equal(have, want);
    logged(p, " rx=", have, sizeof have);
    assert_string_equal(have, "0000000000");
    close(c);
    end(p);
}

static void the_log_is_bounded(void **state)
{
    (void)state;
    struct clock_manual clock;
    clock_manual_init(&clock, 7, 0);
    char path[] = "/tmp/sim_plc_test.XXXXXX", old[64], bytes[SIM_LOG_BYTES_MAX] = "";
    close(mkstemp(path));
    snprintf(old, sizeof old, "%s.1", path);
    struct sim_log *log;
    assert_int_equal(sim_log_open(path, 2000, &clock.clock, &log), ERR_OK);
    for (int i = 0; i < 20; i++)
        sim_log_bytes(log, "m", 1, SIM_LOG_RX, bytes, sizeof bytes);
    assert_int_equal(sim_log_failures(log), 0);
    sim_log_close(&log);
    int fd = open(path, O_RDONLY), fd_old = open(old, O_RDONLY);
    assert_true(fd >= 0 && fd_old >= 0);
    assert_true(lseek(fd, 0, SEEK_END) <= 2000 && lseek(fd_old, 0, SEEK_END) <= 2000);
    close(fd);
    close(fd_old);
    unlink(path);
    unlink(old);
}

static void bad_machines_are_refused(void **state)
{
    (void)state;
    struct play *p = begin(false);
    const struct profile *profile = profile_builtin("standard");
    uint16_t taken = sim_server_find(p->server, "m1")->port;
    const struct {
        struct sim_plc_conf conf;
        enum err_e err;
    } bad[] = {
        {{"m1", "127.0.0.1", 0, profile, 26, 0}, ERR_EXISTS},
        {{"a/b", "127.0.0.1", 0, profile, 26, 0}, ERR_CONFIG},
        {{"m3", "localhost", 0, profile, 26, 0}, ERR_CONFIG},
        {{"m3", "127.0.0.1", 0, profile, 1, 0}, ERR_CONFIG},
        {{"m3", "127.0.0.1", 0, profile, 257, 0}, ERR_CONFIG},
        {{"m3", "127.0.0.1", 0, NULL, 26, 0}, ERR_CONFIG},
        {{"m3", "127.0.0.1", taken, profile, 26, 0}, ERR_SYSTEM},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(sim_server_add(p->server, &bad[i].conf), bad[i].err);
    assert_int_equal(sim_server_count(p->server), 2);
    end(p);
}

static void hundreds_of_machines(void **state)
{
    (void)state;
    struct play *p = begin(false);
    char id[16];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "n%d", i);
        add(p, id, i % 2 ? "standard" : "delta-as");
    }
    int clients[300];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "n%d", i);
        clients[i] = connect_to(p, id);
        put(clients[i], "0102");
    }
    for (int i = 0; i < 300; i++)
        expect(p, clients[i], i % 2 ? "db00" : "1600");
    pass_ms(p, 2 * PACE_MS);
    for (int i = 0; i < 300; i++) {
        ask(p, clients[i], "00", i % 2 ? "da02" : "1402");
        close(clients[i]);
    }
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_and_move),
        cmocka_unit_test(many_requests_in_one_segment_are_answered_in_order),
        cmocka_unit_test(other_codes_do_nothing),
        cmocka_unit_test(a_position_that_is_not_there),
        cmocka_unit_test(every_condition_refuses_a_move),
        cmocka_unit_test(a_second_client_waits_for_the_first_to_close),
        cmocka_unit_test(a_second_client_is_reset),
        cmocka_unit_test(steps_by_hand),
        cmocka_unit_test(hold_and_release),
        cmocka_unit_test(a_client_that_leaves_while_held_frees_the_place),
        cmocka_unit_test(a_client_that_never_reads),
        cmocka_unit_test(the_log_holds_every_byte),
        cmocka_unit_test(a_request_is_logged_before_it_acts),
        cmocka_unit_test(the_log_says_what_came),
        cmocka_unit_test(the_log_is_bounded),
        cmocka_unit_test(bad_machines_are_refused),
        cmocka_unit_test(hundreds_of_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
