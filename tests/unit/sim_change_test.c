/* sim_change: other PLCs in place of those that are there. Who stays notices nothing; who goes resets its client; ports may be given on and swapped; what
 * cannot be had changes nothing. */
#include "sim_play.h"

static char why[SIM_WHY_MAX];

static uint16_t port_of(struct play *p, const char *id)
{
    return sim_server_find(p->server, id)->port;
}

static struct sim_plc_conf at(const char *id, const char *profile, uint16_t port)
{
    return (struct sim_plc_conf){id, "127.0.0.1", port, profile_builtin(profile), 26, PACE_MS};
}

static enum err_e change(struct play *p, const struct sim_plc_conf *list, size_t count)
{
    struct sim_change *made = NULL;
    enum err_e err = sim_change_prepare(p->server, list, count, &made, why);
    if (err == ERR_OK)
        sim_change_commit(&made);
    assert_null(made);
    return err;
}

static void who_stays_keeps_client_position_and_fault(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c = connect_to(p, "m1");
    expect_ok(p, "pace m1 0");
    ask(p, c, "0105", "da05");
    expect_ok(p, "set m1 alarm on");
    const struct sim_plc_conf list[] = {at("m3", "standard", 0), at("m1", "standard", port_of(p, "m1")),
                                        at("m2", "delta-as", port_of(p, "m2"))};
    assert_int_equal(change(p, list, 3), ERR_OK);
    assert_int_equal(sim_server_count(p->server), 3);
    expect_word(p, "get m1", "position=5");
    expect_word(p, "get m1", "alarm=1");
    expect_word(p, "get m1", "pace=0"); /* as somebody set it */
    put(c, "00");
    wait_until(p, "counts m1", "replies=2");
    expect_word(p, "counts m1", "connections=1");
    int added = connect_to(p, "m3");
    ask(p, added, "00", "da00");
    close(added);
    close(c);
    end(p);
}

static void who_goes_resets_its_client(void **state)
{
    (void)state;
    struct play *p = begin(false);
    int c1 = connect_to(p, "m1"), c2 = connect_to(p, "m2");
    ask(p, c1, "00", "da00");
    ask(p, c2, "00", "1400");
    uint16_t left = port_of(p, "m1");
    const struct sim_plc_conf list[] = {at("m2", "delta-as", port_of(p, "m2"))};
    assert_int_equal(change(p, list, 1), ERR_OK);
    expect_end(p, c1, ECONNRESET);
    ask(p, c2, "00", "1400");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(left)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), -1);
    close(fd);
    close(c2);
    assert_int_equal(change(p, NULL, 0), ERR_OK);
    assert_int_equal(sim_server_count(p->server), 0);
    end(p);
}

/* As the k-th machine has the k-th port: one goes, and the next moves to its port with all that it is. */
static void a_port_is_given_on(void **state)
{
    (void)state;
    struct play *p = begin(false);
    expect_ok(p, "set m2 position 7");
    int c = connect_to(p, "m2");
    ask(p, c, "00", "1407");
    uint16_t first = port_of(p, "m1");
    const struct sim_plc_conf list[] = {at("m2", "delta-as", first)};
    assert_int_equal(change(p, list, 1), ERR_OK);
    expect_end(p, c, ECONNRESET);
    assert_int_equal(port_of(p, "m2"), first);
    c = connect_to(p, "m2");
    ask(p, c, "00", "1407");
    close(c);
    end(p);
}

static void ports_are_swapped(void **state)
{
    (void)state;
    struct play *p = begin(false);
    uint16_t one = port_of(p, "m1"), two = port_of(p, "m2");
    const struct sim_plc_conf list[] = {at("m1", "standard", two), at("m2", "delta-as", one)};
    assert_int_equal(change(p, list, 2), ERR_OK);
    assert_true(port_of(p, "m1") == two && port_of(p, "m2") == one);
    int c1 = connect_to(p, "m1"), c2 = connect_to(p, "m2");
    ask(p, c1, "00", "da00");
    ask(p, c2, "00", "1400");
    close(c1);
    close(c2);
    end(p);
}

static void a_port_that_is_taken_changes_nothing(void **state)
{
    (void)state;
    struct play *p = begin(false);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(taken, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &len), 0);
    const struct sim_plc_conf list[] = {at("m2", "delta-as", port_of(p, "m1")),
                                        at("m3", "standard", ntohs(address.sin_port))};
    char expected[120];
    snprintf(expected, sizeof expected, "simulator of m3: 127.0.0.1 port %u: Address already in use",
             ntohs(address.sin_port));
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    assert_int_equal(change(p, list, 2), ERR_SYSTEM);
    assert_string_equal(why, expected);
    ask(p, c, "00", "da00");
    assert_null(sim_server_find(p->server, "m3"));
    assert_int_not_equal(port_of(p, "m2"), port_of(p, "m1"));
    close(c);
    close(taken);
    end(p);
}

static void what_is_prepared_may_be_forgotten(void **state)
{
    (void)state;
    struct play *p = begin(false);
    struct sim_change *made = NULL;
    const struct sim_plc_conf list[] = {at("m3", "standard", 0), at("m2", "delta-as", port_of(p, "m1"))};
    assert_int_equal(sim_change_prepare(p->server, list, 2, &made, why), ERR_OK);
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da00");
    sim_change_free(&made);
    ask(p, c, "00", "da00");
    assert_int_equal(sim_server_count(p->server), 2);
    close(c);
    end(p);
}

static void what_the_configuration_says_anew_holds(void **state)
{
    (void)state;
    struct play *p = begin(false);
    expect_ok(p, "set m1 position 20");
    int c = connect_to(p, "m1");
    ask(p, c, "00", "da14");
    struct sim_plc_conf list[] = {at("m1", "delta-as", port_of(p, "m1")),
                                  at("m2", "delta-as", port_of(p, "m2"))};
    list[0].positions = 10;
    list[0].pace_ms = 7;
    assert_int_equal(change(p, list, 2), ERR_OK);
    expect_word(p, "get m1", "positions=10");
    expect_word(p, "get m1", "position=9");
    expect_word(p, "get m1", "pace=7");
    ask(p, c, "00", "1409"); /* the same client, the other profile */
    close(c);
    end(p);
}

static void who_waits_for_one_that_goes_is_told(void **state)
{
    (void)state;
    struct play *p = begin(false);
    open_control(p);
    int client = open_client(p);
    say(client, "get m1\nwait m1 position 3\nget m2\n");
    assert_int_equal(strncmp(line(p, client), "ok position=0", 13), 0); /* and then it waits */
    const struct sim_plc_conf list[] = {at("m2", "delta-as", port_of(p, "m2"))};
    assert_int_equal(change(p, list, 1), ERR_OK);
    sim_control_machines_went(p->control);
    assert_string_equal(line(p, client), "error the machine was removed");
    assert_int_equal(strncmp(line(p, client), "ok position=0", 13), 0);
    close(client);
    turn(p);
    end(p);
}

static void one_id_stands_once(void **state)
{
    (void)state;
    struct play *p = begin(false);
    const struct sim_plc_conf list[] = {at("m3", "standard", 0), at("m3", "standard", 0)};
    assert_int_equal(change(p, list, 2), ERR_EXISTS);
    assert_non_null(strstr(why, "simulator of m3"));
    assert_int_equal(sim_server_count(p->server), 2);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_stays_keeps_client_position_and_fault),
        cmocka_unit_test(who_goes_resets_its_client),
        cmocka_unit_test(a_port_is_given_on),
        cmocka_unit_test(ports_are_swapped),
        cmocka_unit_test(a_port_that_is_taken_changes_nothing),
        cmocka_unit_test(what_is_prepared_may_be_forgotten),
        cmocka_unit_test(what_the_configuration_says_anew_holds),
        cmocka_unit_test(who_waits_for_one_that_goes_is_told),
        cmocka_unit_test(one_id_stands_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
