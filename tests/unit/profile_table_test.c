/* All 256 bytes of both built-in profiles: texts, meanings, and whether a move is admitted, against tables that were
 * written from the protocol page (§1) and not from the code. The page says which bit means what; what forbids a move
 * is its list of interlocks: emergency stop, alarm, drive fault, positioning error, manual mode, gravest first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "interlock.h"
#include "machine.h"
#include "must.h"

struct line {
    const char *key, *zero, *one;
    unsigned bit;
    const char *zero_means, *one_means;
};

/* "RUN bit 0 (0 Detenido, 1 En movimiento), READY bit 1 (1 OK, 0 Error), ALARMA bit 2 (0 Desactivada, 1 Activada),
 * MODO_OPERACION bit 3 (0 Local, 1 Remoto). Key order READY, RUN, MODO_OPERACION, ALARMA." */
static const struct line standard[] = {
    {"READY", "Error", "OK", 1, "not_ready", "ready"},
    {"RUN", "Detenido", "En movimiento", 0, "stopped", "moving"},
    {"MODO_OPERACION", "Local", "Remoto", 3, "manual", "remote"},
    {"ALARMA", "Desactivada", "Activada", 2, "no_alarm", "alarm"},
};

/* The table "delta-as", with its two active-low bits (READY, PARADA_EMERGENCIA). */
static const struct line delta_as[] = {
    {"READY", "El equipo está listo para operar", "El equipo no puede operar", 0, "ready", "not_ready"},
    {"RUN", "El equipo no se está posicionando", "El equipo está en movimiento", 1, "stopped", "moving"},
    {"MODO_OPERACION", "Modo Manual", "Modo Remoto", 2, "manual", "remote"},
    {"ALARMA", "No hay alarma", "Alarma activa", 3, "no_alarm", "alarm"},
    {"PARADA_EMERGENCIA", "Parada de emergencia presionada y activa", "Sin parada de emergencia", 4, "estop",
     "no_estop"},
    {"VFD", "El variador de velocidad está OK", "Error en el variador de velocidad", 5, "drive_ok",
     "drive_fault"},
    {"ERROR_POSICIONAMIENTO", "No hay error de posicionamiento", "Ha ocurrido un error en el posicionamiento",
     6, "positioning_ok", "positioning_error"},
    {"SENTIDO_GIRO", "Ascendente", "Descendente", 7, "upward", "downward"},
};

static const char *json_expected(const struct line *lines, size_t count, unsigned raw)
{
    static char text[2048];
    size_t len = (size_t)sprintf(text, "{");
    for (size_t i = 0; i < count; i++)
        len += (size_t)sprintf(text + len, "%s\"%s\":\"%s\"", i > 0 ? "," : "", lines[i].key,
                               raw & 1u << lines[i].bit ? lines[i].one : lines[i].zero);
    sprintf(text + len, "}");
    return text;
}

static bool means(const struct line *lines, size_t count, unsigned raw, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(raw & 1u << lines[i].bit ? lines[i].one_means : lines[i].zero_means, what) == 0)
            return true;
    return false;
}

static void check_texts(const struct profile *profile, const struct line *lines, size_t count, unsigned raw)
{
    char memory[MACHINE_TEXT_MAX + 1];
    struct out out = out_init(memory, MACHINE_TEXT_MAX);
    profile_json(profile, (uint8_t)raw, &out);
    assert_false(out.overflow);
    memory[out.len] = '\0';
    assert_string_equal(memory, json_expected(lines, count, raw));
}

static void check_meanings(const struct profile *profile, const struct line *lines, size_t count,
                           unsigned raw)
{
    for (int m = 1; m < MEANING_COUNT; m++)
        assert_int_equal(profile_says(profile, (uint8_t)raw, (enum meaning_e)m),
                         means(lines, count, raw, meaning_text((enum meaning_e)m)));
}

static void check_moves(const struct profile *profile, const struct line *lines, size_t count, unsigned raw)
{
    static const char *const gravest_first[][2] = {{"estop", "emergency stop"},
                                                   {"alarm", "alarm"},
                                                   {"drive_fault", "drive fault"},
                                                   {"positioning_error", "positioning error"},
                                                   {"manual", "manual mode"}};
    const char *expected = NULL, *text;
    for (size_t i = 0; i < ARRAY_LEN(gravest_first) && expected == NULL; i++)
        if (means(lines, count, raw, gravest_first[i][0]))
            expected = gravest_first[i][1];
    enum command_code_e code = interlock_admits(profile, (uint8_t)raw, &text);
    if (expected != NULL) {
        assert_int_equal(code, CODE_INTERLOCK);
        assert_string_equal(text, expected);
        return;
    }
    assert_null(text);
    assert_int_equal(code, means(lines, count, raw, "moving") ? CODE_BUSY : CODE_NONE);
}

static void check_profile(const char *name, const struct line *lines, size_t count)
{
    const struct profile *profile = profile_builtin(name);
    assert_non_null(profile);
    assert_int_equal(profile->bit_count, count);
    for (unsigned raw = 0; raw < 256; raw++) {
        check_texts(profile, lines, count, raw);
        check_meanings(profile, lines, count, raw);
        check_moves(profile, lines, count, raw);
    }
}

static void standard_is_the_page(void **state)
{
    (void)state;
    check_profile("standard", standard, ARRAY_LEN(standard));
    const char *text;
    assert_int_equal(interlock_admits(profile_builtin("standard"), 218, &text), CODE_NONE);
    assert_int_equal(interlock_admits(profile_builtin("standard"), 219, &text), CODE_BUSY);
}

static void delta_as_is_the_page(void **state)
{
    (void)state;
    check_profile("delta-as", delta_as, ARRAY_LEN(delta_as));
}

static void an_unknown_profile_admits_nothing(void **state)
{
    (void)state;
    for (unsigned raw = 0; raw < 256; raw++) {
        const char *text;
        assert_int_equal(interlock_admits(NULL, (uint8_t)raw, &text), CODE_INTERLOCK);
        assert_string_equal(text, "unknown profile");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_is_the_page),
        cmocka_unit_test(delta_as_is_the_page),
        cmocka_unit_test(an_unknown_profile_admits_nothing),
    };
    return cmocka_run_group_tests_name("profile_table", tests, NULL, NULL);
}
