/* entities_test.c — the table of entities: found by both names, complete, and of one mind with the arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "entities.h"

static void found_by_both_names(void **state)
{
    (void)state;
    const char *names[][2] = {{"sensors", "sensores"},
                              {"readings", "lecturas"},
                              {"locations", "ubicaciones"},
                              {"anomalies", "anomalias"},
                              {"predictions", "predicciones"}};
    for (unsigned i = 0; i < 5; i++) {
        enum entity_e entity = (enum entity_e)(ENTITY_NONE + 1 + i);
        assert_int_equal(entity_find(names[i][0]), entity);
        assert_int_equal(entity_find(names[i][1]), entity);
        assert_string_equal(entity_of(entity)->channel, names[i][0]);
    }
    assert_int_equal(ENTITY_COUNT, 6);
    assert_int_equal(entity_find("sensor"), ENTITY_NONE);
    assert_int_equal(entity_find(""), ENTITY_NONE);
    assert_int_equal(entity_find("Sensors"), ENTITY_NONE);
}

static void none_is_none(void **state)
{
    (void)state;
    assert_null(entity_of(ENTITY_NONE));
    assert_null(entity_of(ENTITY_COUNT));
    assert_null(entity_of((enum entity_e)1000));
}

static void members_stand_once(void **state)
{
    (void)state;
    for (int e = ENTITY_NONE + 1; e < ENTITY_COUNT; e++) {
        const struct entity *entity = entity_of((enum entity_e)e);
        uint64_t seen = 0;
        assert_in_range(entity->field_count, 1, ENTITY_FIELDS_MAX);
        for (unsigned i = 0; i < entity->field_count; i++) {
            const struct entity_field *field = &entity->fields[i];
            assert_in_range(field->arg, STORE_ARG_END + 1, ARG_COUNT - 1);
            assert_true((seen >> field->arg & 1) == 0);
            seen |= 1ULL << field->arg;
            assert_false(field->required && field->nullable); /* "Field required", and null would do? */
        }
    }
}

static const struct entity_field *field_of(enum entity_e entity, enum store_arg_e arg)
{
    const struct entity *table = entity_of(entity);
    for (unsigned i = 0; i < table->field_count; i++)
        if (table->fields[i].arg == arg)
            return &table->fields[i];
    fail_msg("no such member");
    return NULL;
}

static void what_the_documents_say(void **state)
{
    (void)state;
    assert_string_equal(entity_of(ENTITY_READING)->type, "lectura");
    assert_string_equal(entity_of(ENTITY_LOCATION)->type, "ubicacion");
    assert_false(field_of(ENTITY_READING, ARG_TIMESTAMP)->required);
    assert_true(field_of(ENTITY_LOCATION, ARG_DESCRIPCION)->nullable);
    assert_false(field_of(ENTITY_ANOMALY, ARG_LECTURA_ID)->changeable);
    assert_true(field_of(ENTITY_ANOMALY, ARG_RESUELTA)->changeable);
    assert_false(field_of(ENTITY_ANOMALY, ARG_RESUELTA)->required);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_both_names),
        cmocka_unit_test(none_is_none),
        cmocka_unit_test(members_stand_once),
        cmocka_unit_test(what_the_documents_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
