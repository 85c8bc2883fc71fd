/* Machines that come and go between brokers that are killed wherever they are. NORIA_SEED replays a storm. */
#include "machine_house.h"

#include <limits.h>
#include <sys/time.h>

/* --- storm --------------------------------------------------------------------------------------------------------------- */

#define ROUNDS 300

static void random_change(struct member members[IDS])
{
    for (int changes = rand() % 4; changes > 0; changes--) {
        struct member *member = &members[rand() % IDS];
        member->variant = rand() % 3 == 0 ? 0 : 1 + rand() % 4;
    }
}

static void lets_all_speak(struct house *house, int rounds)
{
    const struct registry *registry = &house->broker.registry;
    for (int i = 0; i < rounds && registry->count > 0; i++)
        says(house, registry->machines[(size_t)i % registry->count]->conf->info.id, (uint8_t)i);
}

/* A broker in a process of its own, which an alarm kills, wherever it is: in its boot, in a reload that takes it from the `first`
 * configuration to the last one, or in what it publishes then. */
static bool lives_until(struct house *house, const struct member first[IDS], const struct member members[IDS],
                        long kill_us)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct itimerval timer = {.it_value = {.tv_usec = kill_us}};
        broker_boot(house, first != NULL ? first : members);
        if (kill_us > 0 && first == NULL)
            setitimer(ITIMER_REAL, &timer, NULL);
        broker_take_up(house);
        if (first != NULL) {
            lets_all_speak(house, rand() % 5);
            if (kill_us > 0)
                setitimer(ITIMER_REAL, &timer, NULL);
            broker_follows(house, members);
        }
        lets_all_speak(house, kill_us > 0 ? INT_MAX : 3);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_int_equal(WTERMSIG(status), SIGALRM);
    return WIFEXITED(status);
}

static void begin_storm(struct house *house)
{
    const char *seed = getenv("NORIA_SEED");
    unsigned number = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)getpid();
    print_message("NORIA_SEED=%u\n", number);
    srand(number);
    broker_kill(house);
    house->broker.publisher.ring = NULL;
}

/* Whatever is configured, whoever is killed: at the end of each undisturbed start the audience knows it all. */
static void no_event_is_lost_or_told_twice_however_often_it_is_killed(void **state)
{
    struct house *house = *state;
    struct member members[IDS] = {{1}, {1}, {1}};
    begin_storm(house);
    unsigned killed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        random_change(members);
        long kill_us = rand() % 4 == 0 ? 0 : 1 + rand() % 1500;
        killed += !lives_until(house, NULL, members, kill_us);
        listen(&house->audience);
        if (kill_us == 0)
            audience_knows(house, members);
    }
    assert_true(lives_until(house, NULL, members, 0));
    audience_knows(house, members);
    assert_true(killed > ROUNDS / 4);
    assert_true(house->audience.added > 0 && house->audience.removed > 0);
}

/* The same, where each broker lives to see another configuration, or dies while it takes it over; the next one starts with what was
 * then in force on disk, the new one. */
static void no_reload_is_told_in_part_or_twice_however_often_it_is_killed(void **state)
{
    struct house *house = *state;
    struct member before[IDS] = {{1}, {1}, {1}}, members[IDS] = {{1}, {1}, {1}};
    begin_storm(house);
    unsigned killed = 0, reloaded = 0;
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(before, members, sizeof before);
        random_change(members);
        random_change(members);
        long kill_us = rand() % 4 == 0 ? 0 : 1 + rand() % 300;
        bool lived = lives_until(house, before, members, kill_us);
        killed += !lived;
        reloaded += lived;
        listen(&house->audience);
        if (lived)
            audience_knows(house, members);
    }
    assert_true(lives_until(house, NULL, members, 0));
    audience_knows(house, members);
    assert_true(killed > ROUNDS / 4 && reloaded > ROUNDS / 8);
    assert_true(house->audience.added > 0 && house->audience.removed > 0);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, house_set_up, house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(no_event_is_lost_or_told_twice_however_often_it_is_killed),
        PLAY(no_reload_is_told_in_part_or_twice_however_often_it_is_killed),
    };
    log_init("machine_storm_test", LOG_ERROR);
    return cmocka_run_group_tests_name("machine storm", tests, NULL, NULL);
}
