/* machine_house.h — for the tests of machines that come and go: real ring and table, and brokers in the test's own process
 * that follow each other, as far as they re-attach.
 *
 * The audience is one reader that lives through it all. What it folds, as a worker's mirror does, from machine_added,
 * machine_removed and states must be configuration and table, with no event lost or said twice.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    struct conf confs[2]; /* one in force, the other before or after it */
    struct conf_machine machines[2][IDS];
    unsigned current;
    struct registry registry;
    struct publisher publisher;
    struct seq_floors floors, stream_floors;
    struct sources sources;
    struct system_events system;
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
    size_t added, removed, states, beginnings;
};

struct house {
    char dir[64], ring[96], lvt[96];
    struct broker_of_test broker;
    struct audience audience;
};

static inline void describe(struct machine_info *info, int id, int variant)
{
    *info = (struct machine_info){.port = (uint16_t)(3200 + variant % 3), .simulator = variant % 2 == 0};
    snprintf(info->id, sizeof info->id, "m%d", id);
    snprintf(info->name, sizeof info->name, "Machine \"%d\" %d", id, variant / 2);
    snprintf(info->ip, sizeof info->ip, "10.0.0.%d", id);
}

static inline void describe_as_json(int id, int variant, char json[512])
{
    struct machine_info info;
    describe(&info, id, variant);
    struct out out = out_init(json, 511);
    machine_info_json(&info, &out);
    json[out.len] = '\0';
}

/* Machines in an order that depends on the configuration, so that places in the file change, too. */
static inline const struct conf *configure(struct broker_of_test *broker, const struct member members[IDS])
{
    size_t count = 0;
    int first = members[0].variant;
    broker->current = 1 - broker->current;
    struct conf_machine *machines = broker->machines[broker->current];
    struct conf *conf = &broker->confs[broker->current];
    for (int k = 0; k < IDS; k++) {
        int id = (k + first) % IDS;
        if (members[id].variant == 0)
            continue;
        struct conf_machine *machine = &machines[count++];
        *machine = (struct conf_machine){.profile = profile_builtin("standard"), .profile_name = "standard"};
        describe(&machine->info, id, members[id].variant);
    }
    *conf = (struct conf){.machines = machines, .machine_count = count};
    return conf;
}

static inline void broker_boot(struct house *house, const struct member members[IDS])
{
    struct broker_of_test *broker = &house->broker;
    struct publisher *publisher = &broker->publisher;
    memset(broker, 0, sizeof *broker);
    const struct conf *conf = configure(broker, members);
    assert_true(stats_size(broker_metric_defs, BROKER_METRIC_COUNT) <= sizeof broker->memory);
    stats_init(&broker->stats, broker->memory, broker_metric_defs, BROKER_METRIC_COUNT);
    publisher_init(publisher, clock_system(), &broker->stats);
    sources_init(&broker->sources, RING);
    publisher->sources = &broker->sources;
    assert_int_equal(registry_init(&broker->registry, conf), ERR_OK);
    assert_int_equal(seq_floors_init(&broker->floors, 16), ERR_OK);
    assert_int_equal(seq_floors_init(&broker->stream_floors, 16), ERR_OK);
    assert_int_equal(command_table_init(&broker->commands, 16, 16, 1), ERR_OK);
    assert_int_equal(ring_writer_open(house->ring, RING, &publisher->ring, &broker->ring_continued), ERR_OK);
    publisher->ring_id = ring_writer_id(publisher->ring);
    assert_int_equal(
        lvt_writer_open(house->lvt, CAPACITY, publisher->ring_id, &publisher->lvt, &broker->table_continued),
        ERR_OK);
}

static inline void broker_take_up(struct house *house)
{
    struct broker_of_test *broker = &house->broker;
    struct reattach job = {.ring_path = house->ring,
                           .registry = &broker->registry,
                           .publisher = &broker->publisher,
                           .floors = &broker->floors,
                           .stream_floors = &broker->stream_floors,
                           .commands = &broker->commands,
                           .system = &broker->system,
                           .stats = &broker->stats,
                           .ring_continued = broker->ring_continued,
                           .table_continued = broker->table_continued};
    assert_int_equal(reattach(&job), ERR_OK);
}

/* What broker_reload_commit() does to ring and table. */
static inline void broker_follows(struct house *house, const struct member members[IDS])
{
    struct broker_of_test *broker = &house->broker;
    struct registry_next next;
    bool used[CAPACITY] = {0}, taken[CAPACITY] = {0};
    assert_int_equal(registry_prepare(&broker->registry, configure(broker, members), &next), ERR_OK);
    registry_take(&broker->registry, &next);
    assert_int_equal(machine_set_change(&broker->publisher, &broker->registry, &next, used, taken), ERR_OK);
    publish_flush(&broker->publisher);
    registry_next_fini(&next);
}

static inline void broker_kill(struct house *house)
{
    struct broker_of_test *broker = &house->broker;
    publisher_fini(&broker->publisher);
    command_table_fini(&broker->commands);
    seq_floors_fini(&broker->floors);
    seq_floors_fini(&broker->stream_floors);
    registry_fini(&broker->registry);
}

static inline void broker_starts(struct house *house, const struct member members[IDS])
{
    broker_boot(house, members);
    broker_take_up(house);
}

static inline struct machine *machine_of(struct house *house, const char *id)
{
    return registry_find(&house->broker.registry, id, strlen(id));
}

/* --- the audience ------------------------------------------------------------------------------------------------------- */

static inline int id_of(const struct ring_record *record, size_t prefix)
{
    assert_int_equal(record->topics[0].len, prefix + 2);
    int id = record->topics[0].name[prefix + 1] - '0';
    assert_in_range(id, 0, IDS - 1);
    return id;
}

static inline void fold_event(struct audience *audience, const struct ring_record *record)
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
static inline void fold_state(struct audience *audience, const struct ring_record *record)
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
static inline void listen(struct audience *audience)
{
    struct ring_record record;
    enum ring_status_e status;
    while ((status = ring_reader_next(audience->reader, &record)) == RING_MORE) {
        if (record.kind == RECORD_MACHINE) {
            fold_event(audience, &record);
        } else if (record.kind == RECORD_CHANNEL) {
            audience->beginnings++;
        } else {
            assert_int_equal(record.kind, RECORD_STATE);
            fold_state(audience, &record);
        }
    }
    assert_int_equal(status, RING_EMPTY);
}

/* What a worker sees that starts now. */
static inline void table_shows(const struct house *house, const struct member members[IDS])
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

static inline void audience_knows(struct house *house, const struct member members[IDS])
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

static inline int house_set_up(void **state)
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

static inline int house_tear_down(void **state)
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

static inline void says(struct house *house, const char *id, uint8_t position)
{
    struct machine_state state = {.connection = CONNECTION_CONNECTED,
                                  .has_reading = true,
                                  .raw_status = 218,
                                  .position = position,
                                  .read_wall_ms = 1};
    assert_int_equal(publish_state(&house->broker.publisher, machine_of(house, id), &state, 7, 0), ERR_OK);
}

static inline void reload_as(struct house *house, const struct member members[IDS])
{
    broker_follows(house, members);
    audience_knows(house, members);
}

static inline void restart_as(struct house *house, const struct member members[IDS])
{
    broker_kill(house);
    broker_starts(house, members);
    audience_knows(house, members);
}
