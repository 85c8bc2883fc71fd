/* store_args_test.c — rows of arguments there and back; everything that is no row refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "must.h"
#include "store_args.h"
#include "store_op.h"

static struct store_value whole(int64_t value)
{
    return (struct store_value){.kind = STORE_INT, .whole = value};
}

static struct store_value real(double value)
{
    return (struct store_value){.kind = STORE_REAL, .real = value};
}

static struct store_value text(const char *value)
{
    return (struct store_value){.kind = STORE_TEXT, .text = {value, (uint32_t)strlen(value)}};
}

static struct store_value truth(bool value)
{
    return (struct store_value){.kind = STORE_BOOL, .truth = value};
}

static const struct store_value nothing = {.kind = STORE_NULL};

static size_t encode(const struct store_row *rows, unsigned count, unsigned char *room, size_t cap)
{
    struct out out = out_init(room, cap);
    for (unsigned i = 0; i < count; i++)
        store_args_put(&out, &rows[i]);
    return out.overflow ? 0 : out.len;
}

static void assert_same(const struct store_value *a, const struct store_value *b)
{
    assert_int_equal(a->kind, b->kind);
    if (a->kind == STORE_INT)
        assert_true(a->whole == b->whole);
    else if (a->kind == STORE_REAL)
        assert_memory_equal(&a->real, &b->real, sizeof a->real);
    else if (a->kind == STORE_BOOL)
        assert_int_equal(a->truth, b->truth);
    else if (a->kind == STORE_TEXT) {
        assert_int_equal(a->text.len, b->text.len);
        assert_memory_equal(a->text.at, b->text.at, a->text.len);
    }
}

static void assert_back(const struct store_row *row)
{
    unsigned char room[512];
    struct store_row back;
    struct store_args args = {room, encode(row, 1, room, sizeof room)};
    assert_true(args.left > 0);
    assert_int_equal(store_args_next(&args, &back), ERR_OK);
    assert_int_equal(args.left, 0);
    assert_true(back.present == row->present);
    for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++)
        if (store_row_has(row, (enum store_arg_e)arg))
            assert_same(&back.values[arg], &row->values[arg]);
    assert_int_equal(store_args_next(&args, &back), ERR_NOT_FOUND);
}

static void every_kind_comes_back(void **state)
{
    (void)state;
    struct store_row row = {0};
    assert_back(&row);
    store_row_set(&row, ARG_TIPO, text("temperatura ☀"));
    store_row_set(&row, ARG_MODELO, text(""));
    store_row_set(&row, ARG_SENSOR_ID, whole(INT64_MIN));
    store_row_set(&row, ARG_TIMESTAMP, whole(INT64_MAX));
    store_row_set(&row, ARG_TEMPERATURA, real(-0.0));
    store_row_set(&row, ARG_HUMEDAD, real(5e-324));
    store_row_set(&row, ARG_RESUELTA, truth(true));
    store_row_set(&row, ARG_DESCRIPCION, nothing);
    store_row_set(&row, ARG_SINCE_N, whole(-1));
    assert_back(&row);
    store_row_set(&row, ARG_RESUELTA, truth(false));
    store_row_set(&row, ARG_HUMEDAD, real(1.7976931348623157e308));
    assert_back(&row);
}

static void rows_stand_in_a_row(void **state)
{
    (void)state;
    unsigned char room[256];
    struct store_row rows[3] = {{0}, {0}, {0}}, back;
    store_row_set(&rows[0], ARG_LIMIT, whole(7));
    store_row_set(&rows[2], ARG_Q, text("x"));
    struct store_args args = {room, encode(rows, 3, room, sizeof room)};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_args_next(&args, &back), ERR_OK);
        assert_true(back.present == rows[i].present);
    }
    assert_int_equal(store_args_next(&args, &back), ERR_NOT_FOUND);
}

/* Little-endian, whatever the machine: what stands here is the format. */
static void its_bytes_are_these(void **state)
{
    (void)state;
    unsigned char room[64];
    struct store_row row = {0};
    store_row_set(&row, ARG_TIPO, text("ab"));
    store_row_set(&row, ARG_SENSOR_ID, whole(258));
    const unsigned char bytes[] = {1, STORE_TEXT, 2, 0, 0, 0, 'a', 'b', 3, STORE_INT,
                                   2, 1,          0, 0, 0, 0, 0,   0,   0};
    assert_int_equal(encode(&row, 1, room, sizeof room), sizeof bytes);
    assert_memory_equal(room, bytes, sizeof bytes);
}

static void what_does_not_fit_overflows(void **state)
{
    (void)state;
    unsigned char room[64];
    struct store_row row = {0};
    store_row_set(&row, ARG_TIPO, text("ab"));
    store_row_set(&row, ARG_RESUELTA, truth(true));
    size_t len = encode(&row, 1, room, sizeof room);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(encode(&row, 1, room, cap), 0);
}

static enum err_e read(const void *bytes, size_t len)
{
    struct store_row row;
    struct store_args args = {bytes, len}, before = args;
    enum err_e err = store_args_next(&args, &row);
    if (err != ERR_OK) /* nothing is taken of what is refused */
        assert_memory_equal(&args, &before, sizeof args);
    return err;
}

static void one_byte_too_few_is_refused(void **state)
{
    (void)state;
    unsigned char room[128];
    struct store_row row = {0};
    store_row_set(&row, ARG_TIPO, text("ab"));
    store_row_set(&row, ARG_TEMPERATURA, real(21.5));
    store_row_set(&row, ARG_RESUELTA, truth(true));
    size_t len = encode(&row, 1, room, sizeof room);
    assert_int_equal(read(room, len), ERR_OK);
    for (size_t shorter = 1; shorter < len; shorter++) {
        unsigned char *exact = malloc(shorter);
        assert_non_null(exact);
        memcpy(exact, room, shorter);
        assert_int_equal(read(exact, shorter), ERR_MALFORMED);
        free(exact);
    }
}

#define REFUSED(...)                                                                                         \
    do {                                                                                                     \
        const unsigned char bytes[] = {__VA_ARGS__};                                                         \
        assert_int_equal(read(bytes, sizeof bytes), ERR_MALFORMED);                                          \
    } while (0)

static void what_the_writer_never_makes_is_refused(void **state)
{
    (void)state;
    REFUSED(ARG_COUNT, STORE_NULL, 0);
    REFUSED(255, STORE_NULL, 0);
    REFUSED(ARG_TIPO, STORE_INT, 0, 0, 0, 0, 0, 0, 0, 0, 0);               /* another kind */
    REFUSED(ARG_TIPO, STORE_BOOL + 1, 0);                                  /* none */
    REFUSED(ARG_TIPO, STORE_NULL, ARG_TIPO, STORE_NULL, 0);                /* twice */
    REFUSED(ARG_MODELO, STORE_NULL, ARG_TIPO, STORE_NULL, 0);              /* out of order */
    REFUSED(ARG_RESUELTA, STORE_BOOL, 2, 0);                               /* neither */
    REFUSED(ARG_TIPO, STORE_TEXT, 1, 0, 0, 0, 0xff, 0);                    /* not UTF-8 */
    REFUSED(ARG_TIPO, STORE_TEXT, 3, 0, 0, 0, 'a', 0, 'b', 0);             /* a NUL */
    REFUSED(ARG_TIPO, STORE_TEXT, 0xff, 0xff, 0xff, 0xff, 'a', 0);         /* longer than all there is */
    REFUSED(ARG_TEMPERATURA, STORE_REAL, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0); /* nan */
    REFUSED(ARG_TEMPERATURA, STORE_REAL, 0, 0, 0, 0, 0, 0, 0xf0, 0xff, 0); /* −infinity */
}

static void names_are_found(void **state)
{
    (void)state;
    for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++) {
        const char *name = store_arg_name((enum store_arg_e)arg);
        assert_int_equal(store_arg_find(name, strlen(name)), arg);
        assert_int_equal(store_arg_find(name, strlen(name) - 1), STORE_ARG_END);
        assert_int_not_equal(store_arg_kind((enum store_arg_e)arg), STORE_NULL);
    }
    assert_int_equal(store_arg_find("", 0), STORE_ARG_END);
    assert_int_equal(store_arg_find("Tipo", 4), STORE_ARG_END);
    assert_int_equal(store_arg_find("tipos", 4), ARG_TIPO);
}

static void operations_have_names_and_know_whether_they_write(void **state)
{
    (void)state;
    assert_string_equal(store_op_name(STORE_OP_CREATE), "CREATE");
    assert_string_equal(store_op_name(STORE_OP_NONE), "?");
    assert_string_equal(store_op_name(STORE_OP_COUNT), "?");
    assert_true(store_op_writes(STORE_OP_CREATE_MANY));
    assert_true(store_op_writes(STORE_OP_PREDICTIONS_GENERATE));
    assert_false(store_op_writes(STORE_OP_READINGS_STATS));
    assert_false(store_op_writes(STORE_OP_NONE));
    assert_false(store_op_writes(STORE_OP_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back),
        cmocka_unit_test(rows_stand_in_a_row),
        cmocka_unit_test(its_bytes_are_these),
        cmocka_unit_test(what_does_not_fit_overflows),
        cmocka_unit_test(one_byte_too_few_is_refused),
        cmocka_unit_test(what_the_writer_never_makes_is_refused),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(operations_have_names_and_know_whether_they_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
