/* Machines that come and go between brokers, which are "killed" where the test says. */
#include "machine_house.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

/* --- plays -------------------------------------------------------------------------------------------------------------- */

static void nothing_is_news_at_the_first_start_or_when_nothing_changed(void **state)
{
    struct house *house = *state;
    restart_as(house, three);
    restart_as(house, three);
    assert_int_equal(house->audience.added + house->audience.removed, 0);
    assert_int_equal(house->audience.states, 3);
}

static void machines_come_go_and_change(void **state)
{
    struct house *house = *state;
    const struct member other[IDS] = {{1}, {2}, {0}, {1}}; /* m1 otherwise described, m2 gone, m3 new */
    uint32_t slot_1 = machine_of(house, "m1")->slot, slot_2 = machine_of(house, "m2")->slot;
    says(house, "m1", 9);
    restart_as(house, other);
    assert_int_equal(house->audience.added, 2);
    assert_int_equal(house->audience.removed, 2);
    assert_int_equal(stats_get(&house->broker.stats, BROKER_MACHINE_EVENTS), 4);
    assert_int_equal(machine_of(house, "m1")->slot, slot_1);  /* keeps its place */
    assert_false(machine_of(house, "m1")->shown.has_reading); /* but another machine stands there */
    assert_int_not_equal(machine_of(house, "m3")->slot, slot_2);
    restart_as(house, other);
    restart_as(house, three);
    assert_int_equal(house->audience.added, 4);
    assert_int_equal(house->audience.removed, 4);
}

/* --- the same, live --------------------------------------------------------------------------------------------------- */

static void machines_come_go_and_change_live(void **state)
{
    struct house *house = *state;
    const struct member other[IDS] = {{1}, {2}, {0}, {1}}; /* m1 otherwise described, m2 gone, m3 new */
    const struct machine *m0 = machine_of(house, "m0"), *m1 = machine_of(house, "m1");
    uint32_t slot_1 = m1->slot, slot_2 = machine_of(house, "m2")->slot;
    says(house, "m0", 4);
    says(house, "m1", 9);
    reload_as(house, other);
    assert_int_equal(house->audience.added, 2);
    assert_int_equal(house->audience.removed, 2);
    assert_ptr_equal(machine_of(house, "m0"), m0); /* peers point to it */
    assert_ptr_equal(machine_of(house, "m1"), m1);
    assert_int_equal(m0->shown.position, 4);
    assert_int_equal(m1->slot, slot_1);
    assert_false(m1->shown.has_reading);
    assert_null(machine_of(house, "m2"));
    assert_int_not_equal(machine_of(house, "m3")->slot, slot_2);
    for (size_t i = 0; i < house->broker.registry.count; i++)
        assert_int_equal(registry_index(&house->broker.registry, house->broker.registry.machines[i]), i);
    reload_as(house, other);
    assert_int_equal(house->audience.added + house->audience.removed, 4);
    restart_as(house, other);
    assert_int_equal(house->audience.added + house->audience.removed, 4);
    reload_as(house, three);
    assert_int_equal(house->audience.added + house->audience.removed, 8);
}

static void all_go_and_as_many_come_live(void **state)
{
    struct house *house = *state;
    const struct member nobody[IDS] = {{0}}, others[IDS] = {{0}, {0}, {0}, {1}, {1}, {1}, {1}, {1}};
    const struct member all[IDS] = {{2}, {2}, {2}, {1}, {1}, {1}, {1}, {1}};
    reload_as(house, others);
    assert_int_equal(house->audience.removed, 3);
    reload_as(house, nobody);
    reload_as(house, all);
    reload_as(house, nobody);
    restart_as(house, nobody);
    assert_int_equal(house->audience.removed, 3 + 5 + 8);
    assert_int_equal(house->audience.added, 5 + 8);
}

static void what_is_prepared_and_forgotten_changes_nothing(void **state)
{
    struct house *house = *state;
    const struct member other[IDS] = {{3}, {0}, {1}, {1}};
    struct registry_next next;
    const struct conf_machine *before = machine_of(house, "m0")->conf;
    assert_int_equal(registry_prepare(&house->broker.registry, configure(&house->broker, other), &next),
                     ERR_OK);
    assert_int_equal(next.gone_count, 1);
    registry_next_fini(&next);
    assert_ptr_equal(machine_of(house, "m0")->conf, before);
    assert_non_null(machine_of(house, "m1"));
    assert_null(machine_of(house, "m3"));
    says(house, "m0", 3);
    audience_knows(house, three);
}

/* A profile that says otherwise what the same byte means: nobody has come or gone, and the text is shown anew. */
static void another_profile_is_shown_live(void **state)
{
    struct house *house = *state;
    struct broker_of_test *broker = &house->broker;
    bool used[CAPACITY] = {0}, taken[CAPACITY] = {0};
    struct registry_next next;
    says(house, "m0", 3);
    listen(&house->audience);
    size_t states = house->audience.states;
    const struct conf *conf = configure(broker, three);
    for (size_t i = 0; i < conf->machine_count; i++)
        if (strcmp(conf->machines[i].info.id, "m0") == 0)
            conf->machines[i].profile = profile_builtin("delta-as");
    assert_int_equal(registry_prepare(&broker->registry, conf, &next), ERR_OK);
    registry_take(&broker->registry, &next);
    assert_int_equal(machine_set_change(&broker->publisher, &broker->registry, &next, used, taken), ERR_OK);
    registry_next_fini(&next);
    audience_knows(house, three);
    assert_int_equal(house->audience.states, states + 1);
    assert_int_equal(house->audience.added + house->audience.removed, 0);
    assert_int_equal(machine_of(house, "m0")->shown.position, 3);
}

static void a_reading_outlives_a_restart_but_not_a_removal(void **state)
{
    struct house *house = *state;
    const struct member two[IDS] = {{1}, {1}};
    says(house, "m2", 5);
    restart_as(house, three);
    assert_int_equal(machine_of(house, "m2")->shown.position, 5);
    restart_as(house, two);
    restart_as(house, three);
    assert_false(machine_of(house, "m2")->shown.has_reading);
    assert_int_equal(house->audience.added, 1);
}

static void killed_with_the_slot_marked(void **state)
{
    struct house *house = *state;
    const struct member two[IDS] = {{1}, {1}};
    lvt_writer_leave(house->broker.publisher.lvt, machine_of(house, "m2")->slot);
    table_shows(house, two); /* as the worker that reads the event would find it */
    restart_as(house, two);
    assert_int_equal(house->audience.removed, 1);
    restart_as(house, two);
}

static void killed_with_the_slot_marked_and_configured_again(void **state)
{
    struct house *house = *state;
    lvt_writer_leave(house->broker.publisher.lvt, machine_of(house, "m2")->slot);
    restart_as(house, three);
    assert_int_equal(house->audience.removed, 1);
    assert_int_equal(house->audience.added, 1);
}

static void killed_with_the_removal_published(void **state)
{
    struct house *house = *state;
    const struct member two[IDS] = {{1}, {1}};
    struct publisher *publisher = &house->broker.publisher;
    lvt_writer_leave(publisher->lvt, machine_of(house, "m2")->slot);
    assert_int_equal(publish_machine_event(publisher, &machine_of(house, "m2")->conf->info, false), ERR_OK);
    publish_flush(publisher);
    restart_as(house, two);
    assert_int_equal(house->audience.removed, 1);
    restart_as(house, three);
    assert_int_equal(house->audience.added, 1);
}

/* What machine_set_add() has done when it is killed right after its first step. */
static void begin_to_add(struct house *house, int id, int variant, uint32_t slot)
{
    static struct conf_machine conf;
    struct machine machine = {.conf = &conf, .slot = slot};
    conf = (struct conf_machine){.profile = profile_builtin("standard")};
    describe(&conf.info, id, variant);
    machine.record_position = ring_writer_next(house->broker.publisher.ring);
    publish_fill_slot(&machine, &house->broker.publisher.slot);
    publish_put_slot(&house->broker.publisher, slot, &house->broker.publisher.slot);
}

static void killed_with_the_new_slot_put(void **state)
{
    struct house *house = *state;
    const struct member four[IDS] = {{1}, {1}, {1}, {1}};
    begin_to_add(house, 3, 1, 5);
    restart_as(house, four);
    assert_int_equal(house->audience.added, 1);
    assert_int_equal(machine_of(house, "m3")->slot, 5);
    restart_as(house, four);
    assert_int_equal(house->audience.added, 1);
}

static void killed_with_the_new_slot_put_and_others_came_first(void **state)
{
    struct house *house = *state;
    const struct member four[IDS] = {{1}, {1}, {1}, {1}};
    begin_to_add(house, 3, 1, 5);
    says(house, "m0", 3); /* the ring has gone on over the position that the slot names */
    says(house, "m0", 4);
    restart_as(house, four);
    assert_int_equal(house->audience.added, 1);
}

static void killed_with_the_new_slot_put_and_it_goes_untold(void **state)
{
    struct house *house = *state;
    begin_to_add(house, 3, 1, 5);
    restart_as(house, three);
    assert_int_equal(house->audience.added + house->audience.removed, 0);
}

/* kill -9 within lvt_writer_put(): the slot stays odd. */
static void tear(struct house *house, const char *id)
{
    uint32_t slot = machine_of(house, id)->slot;
    struct lvt_slot *at = lvt_slot_at(lvt_writer_map(house->broker.publisher.lvt), slot);
    atomic_fetch_or(&at->sequence, 1);
    atomic_store(&at->check, 99);
}

static void a_torn_slot_makes_no_machine_new(void **state)
{
    struct house *house = *state;
    uint32_t slot = machine_of(house, "m1")->slot;
    says(house, "m1", 7);
    tear(house, "m1");
    restart_as(house, three);
    assert_int_equal(house->audience.added + house->audience.removed, 0);
    assert_int_equal(machine_of(house, "m1")->shown.position, 7);
    assert_int_equal(machine_of(house, "m1")->slot, slot);
}

static void a_torn_slot_hides_no_change(void **state)
{
    struct house *house = *state;
    const struct member changed[IDS] = {{1}, {2}, {1}};
    says(house, "m1", 7);
    tear(house, "m1");
    restart_as(house, changed);
    assert_int_equal(house->audience.removed, 1);
    assert_int_equal(house->audience.added, 1);
    assert_false(machine_of(house, "m1")->shown.has_reading);
}

static void a_torn_slot_hides_no_removal(void **state)
{
    struct house *house = *state;
    const struct member without[IDS] = {{1}, {0}, {1}};
    says(house, "m1", 7);
    tear(house, "m1");
    restart_as(house, without);
    assert_int_equal(house->audience.removed, 1);
    restart_as(house, without);
}

static void a_machine_long_silent_is_still_known(void **state)
{
    struct house *house = *state;
    const struct member two[IDS] = {{1}, {1}};
    for (int i = 0; i < 4000; i++) { /* its only record is written over */
        says(house, "m0", (uint8_t)i);
        listen(&house->audience);
    }
    restart_as(house, three);
    assert_int_equal(house->audience.added, 0);
    restart_as(house, two);
    assert_int_equal(house->audience.removed, 1);
}

#define NOT_ALLOWED 77

static void must(bool condition, int code)
{
    if (!condition)
        _exit(code);
}

/* In a mount namespace of its own: a file system without room for the table's slots. */
static void play_full(struct house *house)
{
    static const char zeroes[4096];
    const struct member all[IDS] = {{1}, {1}, {1}};
    int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
    must(unshare(flags) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 &&
             mount("tmpfs", house->dir, "tmpfs", 0, "size=1280k") == 0,
         NOT_ALLOWED);
    broker_boot(house, all);
    snprintf(house->dir + strlen(house->dir), 8, "/fill");
    int fd = open(house->dir, O_CREAT | O_WRONLY, 0600);
    while (write(fd, zeroes, sizeof zeroes) > 0) {
    }
    broker_take_up(house);
    must(stats_get(&house->broker.stats, BROKER_PUTS_FAILED) == 3, 1);
    must(stats_get(&house->broker.stats, BROKER_STATES_PUBLISHED) == 3, 2);
    _exit(0);
}

static void a_slot_that_cannot_be_written_is_counted_and_the_ring_goes_on(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        play_full(*state);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED)
        skip();
    assert_int_equal(status, 0);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, house_set_up, house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(nothing_is_news_at_the_first_start_or_when_nothing_changed),
        PLAY(machines_come_go_and_change),
        PLAY(machines_come_go_and_change_live),
        PLAY(all_go_and_as_many_come_live),
        PLAY(what_is_prepared_and_forgotten_changes_nothing),
        PLAY(another_profile_is_shown_live),
        PLAY(a_reading_outlives_a_restart_but_not_a_removal),
        PLAY(killed_with_the_slot_marked),
        PLAY(killed_with_the_slot_marked_and_configured_again),
        PLAY(killed_with_the_removal_published),
        PLAY(killed_with_the_new_slot_put),
        PLAY(killed_with_the_new_slot_put_and_others_came_first),
        PLAY(killed_with_the_new_slot_put_and_it_goes_untold),
        PLAY(a_torn_slot_makes_no_machine_new),
        PLAY(a_torn_slot_hides_no_change),
        PLAY(a_torn_slot_hides_no_removal),
        PLAY(a_machine_long_silent_is_still_known),
        PLAY(a_slot_that_cannot_be_written_is_counted_and_the_ring_goes_on),
    };
    log_init("machine_set_test", LOG_ERROR);
    return cmocka_run_group_tests_name("machine set", tests, NULL, NULL);
}
