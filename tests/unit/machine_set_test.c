/* Machines that come and go between brokers: real ring and table, brokers that are "killed" where the test says, and a storm in
 * which processes are killed wherever they are. The audience is one reader that lives through it all; what it folds from
 * machine_added and machine_removed must be the configuration, with no event lost or said twice.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker_metrics.h"
#include "clock.h"
#include "lvt_page.h"
#include "lvt_reader.h"
#include "machine_set.h"
#include "must.h"
#include "reattach.h"
#include "ring_reader.h"
#include "ring_writer_map.h"

#define IDS      8
#define CAPACITY 12
#define RING     (1u << 20)

/* --- the house: ring and table, and the brokers that follow each other ------------------------------------------------- */

struct broker_of_test {
    struct conf conf;
    struct conf_machine machines[IDS];
    struct registry registry;
    struct publisher publisher;
    struct outcome_floors floors;
    struct command_table commands;
    struct stats stats;
    uint64_t memory[4096];
    bool ring_continued, table_continued;
};

struct member { /* a machine of a configuration: 0 is absent, else which description */
    int variant;
};

struct audience {
    struct ring_reader *reader;
    char machines[IDS][512]; /* "machine":{…} of each that is there, "" absent */
    struct {
        uint64_t position;
        uint32_t slot;
        char text[MACHINE_TEXT_MAX + 1];
    } last[IDS]; /* its newest state */
    size_t added, removed, states;
};

struct house {
    char dir[64], ring[96], lvt[96];
    struct broker_of_test broker;
    struct audience audience;
};

static void describe(struct machine_info *info, int id, int variant)
{
    *info = (struct machine_info){.port = (uint16_t)(3200 + variant % 3), .simulator = variant % 2 == 0};
    snprintf(info->id, sizeof info->id, "m%d", id);
    snprintf(info->name, sizeof info->name, "Machine \"%d\" %d", id, variant / 2);
    snprintf(info->ip, sizeof info->ip, "10.0.0.%d", id);
}

static void describe_as_json(int id, int variant, char json[512])
{
    struct machine_info info;
    describe(&info, id, variant);
    struct out out = out_init(json, 511);
    machine_info_json(&info, &out);
    json[out.len] = '\0';
}

/* Machines in an order that depends on the configuration, so that places in the file change, too. */
static void configure(struct broker_of_test *broker, const struct member members[IDS])
{
    size_t count = 0;
    int first = members[0].variant;
    for (int k = 0; k < IDS; k++) {
        int id = (k + first) % IDS;
        if (members[id].variant == 0)
            continue;
        struct conf_machine *machine = &broker->machines[count++];
        *machine = (struct conf_machine){.profile = profile_builtin("standard"), .profile_name = "standard"};
        describe(&machine->info, id, members[id].variant);
    }
    broker->conf = (struct conf){.machines = broker->machines, .machine_count = count};
}

static void broker_boot(struct house *house, const struct member members[IDS])
{
    struct broker_of_test *broker = &house->broker;
    struct publisher *publisher = &broker->publisher;
    memset(broker, 0, sizeof *broker);
    configure(broker, members);
    assert_true(stats_size(broker_metric_defs, BROKER_METRIC_COUNT) <= sizeof broker->memory);
    stats_init(&broker->stats, broker->memory, broker_metric_defs, BROKER_METRIC_COUNT);
    publisher_init(publisher, clock_system(), &broker->stats);
    assert_int_equal(registry_init(&broker->registry, &broker->conf), ERR_OK);
    assert_int_equal(outcome_floors_init(&broker->floors, 16), ERR_OK);
    assert_int_equal(command_table_init(&broker->commands, 16, 16, 1), ERR_OK);
    assert_int_equal(ring_writer_open(house->ring, RING, &publisher->ring, &broker->ring_continued), ERR_OK);
    publisher->ring_id = ring_writer_id(publisher->ring);
    assert_int_equal(
        lvt_writer_open(house->lvt, CAPACITY, publisher->ring_id, &publisher->lvt, &broker->table_continued),
        ERR_OK);
}

static void broker_take_up(struct house *house)
{
    struct broker_of_test *broker = &house->broker;
    struct reattach job = {.ring_path = house->ring,
                           .registry = &broker->registry,
                           .publisher = &broker->publisher,
                           .floors = &broker->floors,
                           .commands = &broker->commands,
                           .stats = &broker->stats,
                           .ring_continued = broker->ring_continued,
                           .table_continued = broker->table_continued};
    assert_int_equal(reattach(&job), ERR_OK);
}

static void broker_kill(struct house *house)
{
    struct broker_of_test *broker = &house->broker;
    publisher_fini(&broker->publisher);
    command_table_fini(&broker->commands);
    outcome_floors_fini(&broker->floors);
    registry_fini(&broker->registry);
}

static void broker_starts(struct house *house, const struct member members[IDS])
{
    broker_boot(house, members);
    broker_take_up(house);
}

static struct machine *machine_of(struct house *house, const char *id)
{
    return registry_find(&house->broker.registry, id, strlen(id));
}

/* --- the audience ------------------------------------------------------------------------------------------------------- */

static int id_of(const struct ring_record *record, size_t prefix)
{
    assert_int_equal(record->topics[0].len, prefix + 2);
    int id = record->topics[0].name[prefix + 1] - '0';
    assert_in_range(id, 0, IDS - 1);
    return id;
}

static void fold_event(struct audience *audience, const struct ring_record *record)
{
    int id = id_of(record, strlen("event/"));
    char payload[1024] = {0}, json[512] = {0};
    const unsigned char *frame = record->frame;
    size_t header = (frame[1] & 0x7f) < 126 ? 2 : 4;
    memcpy(payload, frame + header, record->frame_len - header);
    const char *from = strstr(payload, ",\"machine\":"), *to = strstr(payload, ",\"timestamp\":");
    assert_non_null(from);
    assert_non_null(to);
    from += strlen(",\"machine\":");
    memcpy(json, from, (size_t)(to - from));
    assert_int_equal(record->topic_count, 2);
    assert_memory_equal(record->topics[1].name, "event/#", 7);
    if (strstr(payload, "{\"type\":\"machine_added\"") == payload) {
        assert_string_equal(audience->machines[id], ""); /* told once */
        strcpy(audience->machines[id], json);
        audience->added++;
    } else {
        assert_ptr_equal(strstr(payload, "{\"type\":\"machine_removed\""), payload);
        assert_string_equal(audience->machines[id], json); /* told once, and as it was */
        audience->machines[id][0] = '\0';
        audience->removed++;
    }
}

/* As a worker's mirror does. A state is only of a machine that is there. */
static void fold_state(struct audience *audience, const struct ring_record *record)
{
    struct record_state meta;
    int id = id_of(record, strlen("state/"));
    assert_string_not_equal(audience->machines[id], "");
    assert_int_equal(record->meta_len, sizeof meta);
    memcpy(&meta, record->meta, sizeof meta);
    audience->last[id].position = record->position;
    audience->last[id].slot = meta.slot;
    snprintf(audience->last[id].text, sizeof audience->last[id].text, "%.*s", (int)meta.text_len,
             (const char *)record->frame + meta.text_offset);
    audience->states++;
}

/* Everything published since. */
static void listen(struct audience *audience)
{
    struct ring_record record;
    enum ring_status_e status;
    while ((status = ring_reader_next(audience->reader, &record)) == RING_MORE) {
        if (record.kind == RECORD_MACHINE) {
            fold_event(audience, &record);
        } else {
            assert_int_equal(record.kind, RECORD_STATE);
            fold_state(audience, &record);
        }
    }
    assert_int_equal(status, RING_EMPTY);
}

/* What a worker sees that starts now. */
static void table_shows(const struct house *house, const struct member members[IDS])
{
    struct lvt_reader *reader = NULL;
    struct lvt_machine machine;
    char json[512], wanted[512];
    size_t count = 0, configured = 0;
    assert_int_equal(lvt_reader_open(house->lvt, &reader), ERR_OK);
    for (uint32_t slot = 0; slot < lvt_reader_used(reader); slot++) {
        enum lvt_status_e status = lvt_reader_get(reader, slot, &machine);
        if (status == LVT_EMPTY)
            continue;
        assert_int_equal(status, LVT_OK);
        int id = machine.info.id[1] - '0';
        struct out out = out_init(json, sizeof json - 1);
        machine_info_json(&machine.info, &out);
        json[out.len] = '\0';
        describe_as_json(id, members[id].variant, wanted);
        assert_string_equal(json, wanted);
        if (house->audience.reader != NULL) { /* and its state is the one that was told last */
            assert_int_equal(slot, house->audience.last[id].slot);
            assert_int_equal(machine.record_position, house->audience.last[id].position);
            assert_int_equal(machine.text_len, strlen(house->audience.last[id].text));
            assert_memory_equal(machine.text, house->audience.last[id].text, machine.text_len);
        }
        count++;
    }
    for (int id = 0; id < IDS; id++)
        configured += members[id].variant != 0;
    assert_int_equal(count, configured);
    lvt_reader_close(&reader);
}

static void audience_knows(struct house *house, const struct member members[IDS])
{
    char wanted[512];
    listen(&house->audience);
    for (int id = 0; id < IDS; id++) {
        wanted[0] = '\0';
        if (members[id].variant != 0)
            describe_as_json(id, members[id].variant, wanted);
        assert_string_equal(house->audience.machines[id], wanted);
    }
    table_shows(house, members);
}

/* --- a house in which m0, m1 and m2 live -------------------------------------------------------------------------------- */

static const struct member three[IDS] = {{1}, {1}, {1}};

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    snprintf(house->dir, sizeof house->dir, "/tmp/machine_set.XXXXXX");
    assert_non_null(mkdtemp(house->dir));
    snprintf(house->ring, sizeof house->ring, "%s/ring", house->dir);
    snprintf(house->lvt, sizeof house->lvt, "%s/lvt", house->dir);
    broker_starts(house, three);
    assert_int_equal(ring_reader_open(house->ring, &house->audience.reader), ERR_OK);
    for (int id = 0; id < 3; id++)
        describe_as_json(id, 1, house->audience.machines[id]);
    assert_int_equal(ring_reader_seek(house->audience.reader, ring_reader_tail(house->audience.reader)),
                     ERR_OK);
    audience_knows(house, three);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    char command[96];
    if (house->broker.publisher.ring != NULL)
        broker_kill(house);
    ring_reader_close(&house->audience.reader);
    snprintf(command, sizeof command, "rm -rf '%s'", house->dir);
    assert_int_equal(system(command), 0);
    free(house);
    return 0;
}

static void says(struct house *house, const char *id, uint8_t position)
{
    struct machine_state state = {.connection = CONNECTION_CONNECTED,
                                  .has_reading = true,
                                  .raw_status = 218,
                                  .position = position,
                                  .read_wall_ms = 1};
    assert_int_equal(publish_state(&house->broker.publisher, machine_of(house, id), &state, 7, 0), ERR_OK);
}

static void restart_as(struct house *house, const struct member members[IDS])
{
    broker_kill(house);
    broker_starts(house, members);
    audience_knows(house, members);
}

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

/* --- storm --------------------------------------------------------------------------------------------------------------- */

#define ROUNDS 300

static void random_change(struct member members[IDS])
{
    for (int changes = rand() % 4; changes > 0; changes--) {
        struct member *member = &members[rand() % IDS];
        member->variant = rand() % 3 == 0 ? 0 : 1 + rand() % 4;
    }
}

/* A broker in a process of its own, which an alarm kills, wherever it is: in its boot, or in what it publishes then. */
static bool lives_until(struct house *house, const struct member members[IDS], long kill_us)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct itimerval timer = {.it_value = {.tv_usec = kill_us}};
        broker_boot(house, members);
        if (kill_us > 0)
            setitimer(ITIMER_REAL, &timer, NULL);
        broker_take_up(house);
        size_t count = house->broker.registry.count;
        for (int i = 0; kill_us > 0 ? count > 0 : i < 3 && count > 0; i++)
            says(house, house->broker.machines[(size_t)i % count].info.id, (uint8_t)i);
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

/* Whatever is configured, whoever is killed: at the end of each undisturbed start the audience knows it all. */
static void no_event_is_lost_or_told_twice_however_often_it_is_killed(void **state)
{
    struct house *house = *state;
    struct member members[IDS] = {{1}, {1}, {1}};
    const char *seed = getenv("NORIA_SEED");
    unsigned number = seed != NULL ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)getpid();
    print_message("NORIA_SEED=%u\n", number);
    srand(number);
    broker_kill(house);
    house->broker.publisher.ring = NULL;
    unsigned killed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        random_change(members);
        long kill_us = rand() % 4 == 0 ? 0 : 1 + rand() % 1500;
        killed += !lives_until(house, members, kill_us);
        listen(&house->audience);
        if (kill_us == 0)
            audience_knows(house, members);
    }
    assert_true(lives_until(house, members, 0));
    audience_knows(house, members);
    assert_true(killed > ROUNDS / 4);
    assert_true(house->audience.added > 0 && house->audience.removed > 0);
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(nothing_is_news_at_the_first_start_or_when_nothing_changed),
        PLAY(machines_come_go_and_change),
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
        PLAY(no_event_is_lost_or_told_twice_however_often_it_is_killed),
    };
    log_init("machine_set_test", LOG_ERROR);
    return cmocka_run_group_tests_name("machine set", tests, NULL, NULL);
}
