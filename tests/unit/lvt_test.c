/* The last-value table: round trips, slots left odd, flipped bits, other rings and capacities, sparse memory. */
#include "shm_fixture.h"

#include "lvt_page.h"
#include "lvt_reader.h"
#include "lvt_writer.h"
#include "shm_file.h"

#define RING_A 0xa1b2c3d4u

static struct lvt_writer *writer_open(const struct place *place, uint32_t capacity, uint32_t ring,
                                      bool continued)
{
    struct lvt_writer *writer = NULL;
    bool is_continued;
    assert_int_equal(lvt_writer_open(place->lvt, capacity, ring, &writer, &is_continued), ERR_OK);
    assert_int_equal(is_continued, continued);
    return writer;
}

static struct lvt_reader *reader_open(const struct place *place)
{
    struct lvt_reader *reader = NULL;
    assert_int_equal(lvt_reader_open(place->lvt, &reader), ERR_OK);
    return reader;
}

static void put(struct lvt_writer *writer, uint32_t slot, uint64_t n)
{
    struct lvt_machine machine;
    script_machine(&machine, slot, n);
    assert_int_equal(lvt_writer_put(writer, slot, &machine), ERR_OK);
}

static void expect(const struct lvt_reader *reader, uint32_t slot, enum lvt_status_e status)
{
    struct lvt_machine machine;
    assert_int_equal(lvt_reader_get(reader, slot, &machine), status);
}

static void expect_machine(const struct lvt_reader *reader, uint32_t slot, uint64_t n)
{
    struct lvt_machine machine, wanted;
    assert_int_equal(lvt_reader_get(reader, slot, &machine), LVT_OK);
    script_machine(&wanted, slot, n);
    assert_true(machine_same(&machine, &wanted));
}

static size_t slot_offset(uint32_t slot)
{
    return LVT_SLOTS_OFFSET + (size_t)slot * LVT_SLOT_BYTES;
}

static void every_field_comes_back(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 100, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    assert_int_equal(lvt_reader_ring_id(reader), RING_A);
    assert_int_equal(lvt_reader_capacity(reader), 100);
    assert_int_equal(lvt_writer_capacity(writer), 100);
    assert_int_equal(lvt_reader_used(reader), 0);
    for (uint64_t n = 0; n < 500; n++) {
        uint32_t slot = (uint32_t)(n * 7 % 100);
        put(writer, slot, n);
        expect_machine(reader, slot, n);
    }
    assert_int_equal(lvt_reader_used(reader), 100);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void texts_of_all_lengths_and_longest_names(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 2, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    struct lvt_machine machine, back;
    script_machine(&machine, 1, 3);
    memset(machine.info.id, 'i', MACHINE_ID_MAX);
    memset(machine.info.name, 'n', MACHINE_NAME_MAX);
    memset(machine.info.ip, 'h', MACHINE_HOST_MAX);
    for (uint32_t len = 0; len <= MACHINE_TEXT_MAX; len++) {
        memset(machine.text, 'a' + (int)(len % 26), len);
        machine.text_len = len;
        assert_int_equal(lvt_writer_put(writer, 1, &machine), ERR_OK);
        assert_int_equal(lvt_reader_get(reader, 1, &back), LVT_OK);
        assert_true(machine_same(&machine, &back));
        assert_true(lvt_writer_get(writer, 1, &back) && machine_same(&machine, &back));
    }
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void empty_slots(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    struct lvt_machine machine;
    put(writer, 5, 1);
    assert_int_equal(lvt_reader_used(reader), 6);
    for (uint32_t slot = 0; slot < 12; slot++)
        if (slot != 5)
            expect(reader, slot, LVT_EMPTY);
    lvt_writer_clear(writer, 5);
    lvt_writer_clear(writer, 9); /* never used */
    expect(reader, 5, LVT_EMPTY);
    assert_false(lvt_writer_get(writer, 5, &machine));
    assert_false(lvt_writer_get(writer, 9, &machine));
    assert_int_equal(lvt_reader_used(reader), 6);
    put(writer, 5, 2);
    expect_machine(reader, 5, 2);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void a_leaving_machine_is_gone_for_readers_and_known_to_the_next_writer(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    struct lvt_machine machine, wanted;
    struct machine_info remains;
    put(writer, 5, 1);
    assert_false(lvt_writer_leaving(writer, 5, &machine));
    lvt_writer_leave(writer, 5);
    expect(reader, 5, LVT_EMPTY);
    lvt_writer_close(&writer);
    writer = writer_open(place, 10, RING_A, true);
    expect(reader, 5, LVT_EMPTY);
    assert_false(lvt_writer_get(writer, 5, &machine));
    assert_true(lvt_writer_leaving(writer, 5, &machine));
    script_machine(&wanted, 5, 1);
    assert_true(machine_same(&machine, &wanted));
    lvt_writer_clear(writer, 5);
    assert_false(lvt_writer_leaving(writer, 5, &machine));
    assert_true(lvt_writer_remains(writer, 5, &remains));
    assert_string_equal(remains.id, wanted.info.id);
    assert_string_equal(remains.name, wanted.info.name);
    assert_false(lvt_writer_remains(writer, 4, &remains)); /* never used: zeroes */
    assert_false(lvt_writer_remains(writer, 6, &remains));
    put(writer, 5, 2);
    lvt_writer_leave(writer, 5);
    put(writer, 5, 3); /* a put ends it, too */
    expect_machine(reader, 5, 3);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void only_used_slots_cost_memory(void **state)
{
    const struct place *place = *state;
    struct stat status;
    struct lvt_writer *writer = writer_open(place, 4096, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    put(writer, 7, 1);
    for (uint32_t slot = 0; slot < 4096; slot++)
        expect(reader, slot, slot == 7 ? LVT_OK : LVT_EMPTY);
    assert_int_equal(stat(place->lvt, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_true((uint64_t)status.st_size == lvt_file_bytes(4096));
    assert_true(status.st_blocks * 512 <= 64 * 1024);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void a_successor_continues_and_empties_odd_slots(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    for (uint32_t slot = 0; slot < 4; slot++)
        put(writer, slot, slot);
    lvt_writer_close(&writer);
    struct scalpel scalpel = scalpel_open(place->lvt);
    scalpel.at[slot_offset(1)] ^= 1;      /* a writer died in it */
    scalpel.at[slot_offset(2) + 40] ^= 4; /* memory damage */
    expect(reader, 1, LVT_BUSY);
    expect(reader, 2, LVT_CORRUPT);

    struct lvt_machine machine;
    writer = writer_open(place, 10, RING_A, true);
    expect_machine(reader, 0, 0);
    expect(reader, 1, LVT_EMPTY);
    expect(reader, 2, LVT_EMPTY);
    expect_machine(reader, 3, 3);
    assert_true(lvt_writer_get(writer, 0, &machine));
    assert_false(lvt_writer_get(writer, 1, &machine));
    put(writer, 1, 11);
    expect_machine(reader, 1, 11);
    assert_int_equal(lvt_reader_used(reader), 4);
    scalpel_close(&scalpel);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

/* An odd slot is not for ever, either: the next put heals it without a restart. */
static void a_put_heals_an_odd_slot(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    put(writer, 3, 1);
    struct scalpel scalpel = scalpel_open(place->lvt);
    scalpel.at[slot_offset(3)] ^= 1;
    expect(reader, 3, LVT_BUSY);
    put(writer, 3, 2);
    expect_machine(reader, 3, 2);
    scalpel_close(&scalpel);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void every_flipped_bit_of_a_slot_is_found(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 4, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    struct lvt_machine machine, wanted;
    script_machine(&wanted, 2, 9);
    wanted.text_len = 200;
    assert_int_equal(lvt_writer_put(writer, 2, &wanted), ERR_OK);
    struct scalpel scalpel = scalpel_open(place->lvt);
    size_t used = offsetof(struct lvt_slot, body) + offsetof(struct lvt_body, text) + 200;
    for (size_t bit = 0; bit < LVT_SLOT_BYTES * 8; bit++) {
        unsigned char *at = scalpel.at + slot_offset(2) + bit / 8;
        *at ^= (unsigned char)(1u << bit % 8);
        enum lvt_status_e status = lvt_reader_get(reader, 2, &machine);
        if (bit / 64 == 0) /* the sequence: odd is busy, another even number is as good */
            assert_int_equal(status, bit == 0 ? LVT_BUSY : LVT_OK);
        else if (bit / 8 < used)
            assert_int_equal(status, LVT_CORRUPT);
        if (status == LVT_OK)
            assert_true(machine_same(&machine, &wanted));
        *at ^= (unsigned char)(1u << bit % 8);
    }
    scalpel_close(&scalpel);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void flipped_bits_of_the_header_hide_no_slot(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 8, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    put(writer, 6, 1);
    struct scalpel scalpel = scalpel_open(place->lvt);
    for (size_t bit = 0; bit < sizeof(struct lvt_page) * 8; bit++) {
        scalpel.at[bit / 8] ^= (unsigned char)(1u << bit % 8);
        expect_machine(reader, 6, 1);
        scalpel.at[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    scalpel_close(&scalpel);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

/* A slot copied over another one agrees with its check, and is refused all the same. */
static void a_slot_knows_its_number(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 4, RING_A, false);
    struct lvt_reader *reader = reader_open(place);
    put(writer, 0, 1);
    put(writer, 1, 2);
    struct scalpel scalpel = scalpel_open(place->lvt);
    memcpy(scalpel.at + slot_offset(0), scalpel.at + slot_offset(1), LVT_SLOT_BYTES);
    expect(reader, 0, LVT_CORRUPT);
    expect_machine(reader, 1, 2);
    scalpel_close(&scalpel);
    lvt_reader_close(&reader);
    lvt_writer_close(&writer);
}

static void another_ring_or_capacity_makes_a_new_table(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
    put(writer, 0, 1);
    lvt_writer_close(&writer);
    const struct {
        uint32_t capacity, ring;
    } changes[] = {{10, RING_A + 1}, {20, RING_A + 1}, {10, RING_A + 1}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct lvt_reader *old = reader_open(place);
        writer = writer_open(place, changes[i].capacity, changes[i].ring, false);
        expect(old, 0, LVT_GONE);
        lvt_reader_close(&old);
        struct lvt_reader *new = reader_open(place);
        assert_int_equal(lvt_reader_ring_id(new), changes[i].ring);
        assert_int_equal(lvt_reader_capacity(new), changes[i].capacity);
        expect(new, 0, LVT_EMPTY);
        put(writer, 0, i);
        expect_machine(new, 0, i);
        lvt_reader_close(&new);
        lvt_writer_close(&writer);
    }
}

static void capacities_and_locks(void **state)
{
    const struct place *place = *state;
    struct lvt_writer *writer = NULL, *second = NULL;
    bool continued;
    assert_int_equal(lvt_writer_open(place->lvt, 0, RING_A, &writer, &continued), ERR_CONFIG);
    assert_int_equal(lvt_writer_open(place->lvt, UINT32_MAX, RING_A, &writer, &continued), ERR_CONFIG);
    writer = writer_open(place, 10, RING_A, false);
    assert_int_equal(lvt_writer_open(place->lvt, 10, RING_A, &second, &continued), ERR_BUSY);
    lvt_writer_close(&writer);
}

static void spoil(const struct place *place, size_t offset, uint64_t flip, bool sealed)
{
    struct scalpel scalpel = scalpel_open(place->lvt);
    struct lvt_page *page = (struct lvt_page *)(void *)scalpel.at;
    *(uint64_t *)(void *)(scalpel.at + offset) ^= flip;
    if (sealed)
        page->identity.check = lvt_identity_check(&page->identity);
    scalpel_close(&scalpel);
}

static void spoilt_and_foreign_files(void **state)
{
    const struct place *place = *state;
    static const struct {
        size_t offset;
        uint64_t flip;
        bool sealed;
        enum err_e reader;
    } defects[] = {
        {offsetof(struct lvt_identity, magic), 1, false, ERR_MALFORMED},
        {offsetof(struct lvt_identity, version), 2, true, ERR_VERSION},
        {offsetof(struct lvt_identity, size_bytes), 4096, true, ERR_MALFORMED},
        {offsetof(struct lvt_identity, capacity), 1ULL << 50, true, ERR_MALFORMED},
        {offsetof(struct lvt_identity, check), 1, false, ERR_MALFORMED},
        {offsetof(struct lvt_page, retired), SHM_RETIRED, false, ERR_NOT_FOUND},
    };
    struct lvt_reader *reader = NULL;
    assert_int_equal(lvt_reader_open(place->lvt, &reader), ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
        put(writer, 1, 1);
        lvt_writer_close(&writer);
        spoil(place, defects[i].offset, defects[i].flip, defects[i].sealed);
        assert_int_equal(lvt_reader_open(place->lvt, &reader), defects[i].reader);
        writer = writer_open(place, 10, RING_A, false);
        lvt_writer_close(&writer);
        unlink(place->lvt);
    }
    for (size_t len = 0; len < 3 * 4096; len += 2000) { /* shorter than a table of 10 slots */
        struct lvt_writer *writer = writer_open(place, 10, RING_A, false);
        put(writer, 1, 1);
        lvt_writer_close(&writer);
        assert_int_equal(truncate(place->lvt, (off_t)len), 0); /* nobody maps it */
        assert_int_equal(lvt_reader_open(place->lvt, &reader), ERR_MALFORMED);
        writer = writer_open(place, 10, RING_A, false);
        lvt_writer_close(&writer);
        unlink(place->lvt);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
        T(every_field_comes_back),
        T(texts_of_all_lengths_and_longest_names),
        T(empty_slots),
        T(a_leaving_machine_is_gone_for_readers_and_known_to_the_next_writer),
        T(only_used_slots_cost_memory),
        T(a_successor_continues_and_empties_odd_slots),
        T(a_put_heals_an_odd_slot),
        T(every_flipped_bit_of_a_slot_is_found),
        T(flipped_bits_of_the_header_hide_no_slot),
        T(a_slot_knows_its_number),
        T(another_ring_or_capacity_makes_a_new_table),
        T(capacities_and_locks),
        T(spoilt_and_foreign_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
