/* The control socket: lines, clients, waits, and the socket's name. */
#include "sim_play.h"

static struct play *begin_with_control(void)
{
    struct play *play = begin(false);
    open_control(play);
    return play;
}

static void move(struct play *play, const char *id, uint32_t target)
{
    struct sim_plc *plc = sim_server_find(play->server, id);
    sim_plc_sync(plc);
    assert_int_equal(sim_machine_move(&plc->machine, target), SIM_MOVE_STARTED);
    sim_plc_changed(plc);
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static void commands_and_answers(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    char want[64];
    snprintf(want, sizeof want, "ok m1=%u m2=%u", sim_server_find(p->server, "m1")->port,
             sim_server_find(p->server, "m2")->port);
    assert_string_equal(say_and_hear(p, c, "list"), want);
    assert_string_equal(say_and_hear(p, c, "set m1 position 7\r"), "ok");
    assert_non_null(strstr(say_and_hear(p, c, "get m1"),
                           " position=7 target=7 moving=0 direction=up positions=26 pace=100 "));
    assert_string_equal(say_and_hear(p, c, "set m1 position 26"), "error no such position");
    assert_string_equal(say_and_hear(p, c, "get m3"), "error no such machine: m3");
    assert_string_equal(say_and_hear(p, c, "wait m3 idle"), "error no such machine: m3");
    assert_string_equal(say_and_hear(p, c, "luck"), "error \"luck\" is no command");
    assert_string_equal(say_and_hear(p, c, ""), "error empty line");
    assert_string_equal(say_and_hear(p, c, "pace m2 manual"), "ok");
    assert_non_null(strstr(say_and_hear(p, c, "get m2"), " pace=manual "));
    close(c);
    end(p);
}

static void several_lines_at_once_and_in_pieces(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    say(c, "set m1 position 3\nluck\npace m1 5\nge");
    assert_string_equal(line(p, c), "ok");
    assert_string_equal(line(p, c), "error \"luck\" is no command");
    assert_string_equal(line(p, c), "ok");
    hears_no_line(p, c);
    say(c, "t m1\n");
    assert_memory_equal(line(p, c), "ok position=3 ", 14);
    close(c);
    end(p);
}

static void a_line_that_is_too_long(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    for (size_t len = SIM_LINE_MAX - 2; len < 3 * SIM_LINE_MAX; len++) {
        int c = open_client(p);
        char text[3 * SIM_LINE_MAX + 32];
        memset(text, ' ', len);
        memcpy(text, "list", 4);
        strcpy(text + len, "\nset m1 position 1\n");
        say(c, text);
        if (len <= SIM_LINE_MAX)
            assert_memory_equal(line(p, c), "ok m1=", 6);
        else
            assert_string_equal(line(p, c), "error line longer than 512 bytes");
        assert_string_equal(line(p, c), "ok");
        close(c);
    }
    end(p);
}

static void the_end_of_input(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    say(c, "set m1 position 1\nset m1 position 2");
    shutdown(c, SHUT_WR);
    assert_string_equal(line(p, c), "ok");
    assert_string_equal(line(p, c), "error line without an end");
    assert_string_equal(line(p, c), "");
    assert_int_equal(sim_server_find(p->server, "m1")->machine.position, 1);
    close(c);
    end(p);
}

static void random_bytes(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    uint64_t random = 7;
    for (int round = 0; round < 300; round++) {
        int c = open_client(p);
        unsigned char bytes[700];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            bytes[i] = (unsigned char)(random >> 33) % 40 == 0 ? '\n' : (unsigned char)(random >> 41);
        }
        assert_int_equal(send(c, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
        shutdown(c, SHUT_WR);
        while (*line(p, c) != '\0')
            assert_memory_equal(p->answer, "error ", 6);
        close(c);
    }
    end(p);
}

static void many_clients(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int clients[SIM_CLIENTS_MAX];
    for (size_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        clients[i] = open_client(p);
        assert_memory_equal(say_and_hear(p, clients[i], "get m1"), "ok ", 3);
    }
    int more = open_client(p);
    assert_string_equal(line(p, more), "error too many control clients");
    assert_string_equal(line(p, more), "");
    close(more);
    close(clients[0]);
    loop_poll(p->loop);
    clients[0] = open_client(p);
    for (size_t i = 0; i < SIM_CLIENTS_MAX; i++) {
        assert_memory_equal(say_and_hear(p, clients[i], "list"), "ok ", 3);
        close(clients[i]);
    }
    end(p);
}

static void a_client_that_never_reads(void **state)
{
    (void)state;
    struct play *p = begin(false);
    for (int i = 0; i < 400; i++) { /* for a long answer */
        char id[16];
        snprintf(id, sizeof id, "n%d", i);
        add(p, id, "standard");
    }
    open_control(p);
    int c = open_client(p), other = open_client(p);
    size_t sent = 0;
    for (int idle = 0; idle < 3;) {
        ssize_t n = send(c, "list\n", 5, MSG_DONTWAIT | MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0;
        loop_poll(p->loop);
    }
    assert_memory_equal(say_and_hear(p, other, "get m1"), "ok ", 3);
    for (size_t i = 0; i < sent; i++)
        assert_memory_equal(line(p, c), "ok m1=", 6);
    close(c);
    close(other);
    end(p);
}

/* --- waits --------------------------------------------------------------------------------------------------------- */

static void waiting_for_a_position_and_for_rest(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c1 = open_client(p), c2 = open_client(p), c3 = open_client(p);
    move(p, "m1", 4);
    say(c1, "wait m1 position 2\n");
    say(c2, "wait m1 idle\nset m1 position 9\n");
    say(c3, "wait m2 moving\n");
    hears_no_line(p, c1);
    pass_ms(p, 199);
    hears_no_line(p, c1);
    pass_ms(p, 1);
    assert_string_equal(line(p, c1), "ok position=2 moving=1");
    hears_no_line(p, c2);
    pass_ms(p, 200);
    assert_string_equal(line(p, c2), "ok position=4 moving=0");
    assert_string_equal(line(p, c2), "ok");
    assert_int_equal(sim_server_find(p->server, "m1")->machine.position, 9);
    hears_no_line(p, c3);
    move(p, "m2", 1);
    assert_string_equal(line(p, c3), "ok position=0 moving=1");
    close(c1);
    close(c2);
    close(c3);
    end(p);
}

static void a_position_is_seen_in_passing(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    move(p, "m1", 10);
    say(c, "wait m1 position 5\n");
    hears_no_line(p, c);
    pass_ms(p, 60000); /* all ten at once */
    assert_string_equal(line(p, c), "ok position=5 moving=1");
    assert_string_equal(say_and_hear(p, c, "wait m1 position 10"), "ok position=10 moving=0");
    close(c);
    end(p);
}

static void a_wait_has_a_deadline(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    say(c, "wait m1 moving deadline 500\nlist\n");
    hears_no_line(p, c);
    pass_ms(p, 499);
    hears_no_line(p, c);
    pass_ms(p, 1);
    assert_string_equal(line(p, c), "error timeout: position=0 moving=0");
    assert_memory_equal(line(p, c), "ok m1=", 6);
    say(c, "wait m1 moving\n");
    hears_no_line(p, c);
    pass_ms(p, SIM_WAIT_DEFAULT_MS);
    assert_string_equal(line(p, c), "error timeout: position=0 moving=0");
    close(c);
    end(p);
}

static void waiting_for_the_wire(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    say(c, "hold m1 command 1\nwait m1 connected\nwait m1 requests 0 2\nwait m1 held\nrelease m1\nwait m1 "
           "disconnected\n");
    assert_string_equal(line(p, c), "ok");
    hears_no_line(p, c);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(sim_server_find(p->server, "m1")->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int plc = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(plc, (const struct sockaddr *)&address, sizeof address), 0);
    assert_string_equal(line(p, c), "ok position=0 moving=0");
    assert_int_equal(send(plc, "\0", 1, 0), 1);
    hears_no_line(p, c);
    assert_int_equal(send(plc, "\0", 1, 0), 1);
    assert_string_equal(line(p, c), "ok position=0 moving=0");
    hears_no_line(p, c);
    assert_int_equal(send(plc, "\1\2", 2, 0), 2);
    assert_string_equal(line(p, c), "ok position=0 moving=1");
    assert_string_equal(line(p, c), "ok held=1");
    hears_no_line(p, c);
    close(plc);
    assert_string_equal(line(p, c), "ok position=0 moving=1");
    close(c);
    end(p);
}

static void a_waiting_client_that_dies(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    for (size_t i = 0; i < 3 * SIM_CLIENTS_MAX; i++) { /* none keeps a place */
        int c = open_client(p);
        say(c, "wait m1 moving deadline 600000\n");
        settle(p);
        close(c);
        settle(p);
    }
    move(p, "m1", 1);
    settle(p);
    end(p);
}

static void a_waiting_client_that_closed_its_sending_half(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c = open_client(p);
    say(c, "wait m1 moving\nset m1 alarm on\n");
    shutdown(c, SHUT_WR);
    hears_no_line(p, c);
    move(p, "m1", 1);
    assert_string_equal(line(p, c), "ok position=0 moving=1");
    assert_string_equal(line(p, c), "ok");
    assert_string_equal(line(p, c), "");
    close(c);
    end(p);
}

static void one_clients_command_answers_anothers_wait(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    int c1 = open_client(p), c2 = open_client(p);
    assert_string_equal(say_and_hear(p, c1, "pace m1 manual"), "ok");
    move(p, "m1", 3);
    say(c2, "wait m1 position 2\nwait m1 idle\n");
    hears_no_line(p, c2);
    assert_string_equal(say_and_hear(p, c1, "step m1 3"), "ok moved=3 position=3 moving=0");
    assert_string_equal(line(p, c2), "ok position=2 moving=1");
    assert_string_equal(line(p, c2), "ok position=3 moving=0");
    close(c1);
    close(c2);
    end(p);
}

/* --- the socket's name --------------------------------------------------------------------------------------------- */

static void a_name_left_behind_is_taken_over(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    sim_control_close(&p->control);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", p->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd); /* as a killed process leaves it */
    assert_int_equal(sim_control_open(p->loop, p->server, p->socket_path, &p->control), ERR_OK);
    int c = open_client(p);
    assert_memory_equal(say_and_hear(p, c, "list"), "ok ", 3);
    close(c);
    end(p);
}

static void a_live_name_or_a_file_is_left_alone(void **state)
{
    (void)state;
    struct play *p = begin_with_control();
    struct sim_control *second = NULL;
    assert_int_equal(sim_control_open(p->loop, p->server, p->socket_path, &second), ERR_EXISTS);
    char file[128], longer[200];
    snprintf(file, sizeof file, "%s/file", p->directory);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(sim_control_open(p->loop, p->server, file, &second), ERR_EXISTS);
    assert_int_equal(unlink(file), 0);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(sim_control_open(p->loop, p->server, longer, &second), ERR_TOO_LARGE);
    assert_int_equal(sim_control_open(p->loop, p->server, "/nowhere/sim.sock", &second), ERR_SYSTEM);
    int c = open_client(p);
    assert_memory_equal(say_and_hear(p, c, "list"), "ok ", 3);
    close(c);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_and_answers),
        cmocka_unit_test(several_lines_at_once_and_in_pieces),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(the_end_of_input),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(many_clients),
        cmocka_unit_test(a_client_that_never_reads),
        cmocka_unit_test(waiting_for_a_position_and_for_rest),
        cmocka_unit_test(a_position_is_seen_in_passing),
        cmocka_unit_test(a_wait_has_a_deadline),
        cmocka_unit_test(waiting_for_the_wire),
        cmocka_unit_test(a_waiting_client_that_dies),
        cmocka_unit_test(a_waiting_client_that_closed_its_sending_half),
        cmocka_unit_test(one_clients_command_answers_anothers_wait),
        cmocka_unit_test(a_name_left_behind_is_taken_over),
        cmocka_unit_test(a_live_name_or_a_file_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
