/* model: status bytes, state texts, ids, topics. The profiles are held against a second, independent reading of the
 * protocol page: one line per bit, for all 256 bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "command.h"
#include "machine.h"
#include "must.h"
#include "profile.h"
#include "topic.h"

static const char *json_of(const struct profile *profile, uint8_t raw)
{
    static char memory[MACHINE_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory - 1);
    profile_json(profile, raw, &out);
    assert_false(out.overflow);
    memory[out.len] = '\0';
    return memory;
}

static void standard_shows_the_documents_examples(void **state)
{
    (void)state;
    const struct profile *p = profile_builtin("standard");
    assert_string_equal(json_of(p, 218),
                        "{\"READY\":\"OK\",\"RUN\":\"Detenido\",\"MODO_OPERACION\":\"Remoto\","
                        "\"ALARMA\":\"Desactivada\"}");
    assert_string_equal(json_of(p, 219),
                        "{\"READY\":\"OK\",\"RUN\":\"En movimiento\",\"MODO_OPERACION\":\"Remoto\","
                        "\"ALARMA\":\"Desactivada\"}");
}

static void standard_shows_every_byte(void **state)
{
    (void)state;
    for (unsigned raw = 0; raw < 256; raw++) {
        char expected[256];
        snprintf(expected, sizeof expected,
                 "{\"READY\":\"%s\",\"RUN\":\"%s\",\"MODO_OPERACION\":\"%s\",\"ALARMA\":\"%s\"}",
                 raw & 2 ? "OK" : "Error", raw & 1 ? "En movimiento" : "Detenido",
                 raw & 8 ? "Remoto" : "Local", raw & 4 ? "Activada" : "Desactivada");
        assert_string_equal(json_of(profile_builtin("standard"), (uint8_t)raw), expected);
    }
}

static void delta_as_shows_every_byte(void **state)
{
    (void)state;
    for (unsigned raw = 0; raw < 256; raw++) {
        char expected[1024];
        snprintf(expected, sizeof expected,
                 "{\"READY\":\"%s\",\"RUN\":\"%s\",\"MODO_OPERACION\":\"%s\",\"ALARMA\":\"%s\",\"PARADA_"
                 "EMERGENCIA\":\"%s\","
                 "\"VFD\":\"%s\",\"ERROR_POSICIONAMIENTO\":\"%s\",\"SENTIDO_GIRO\":\"%s\"}",
                 raw & 1 ? "El equipo no puede operar" : "El equipo está listo para operar",
                 raw & 2 ? "El equipo está en movimiento" : "El equipo no se está posicionando",
                 raw & 4 ? "Modo Remoto" : "Modo Manual", raw & 8 ? "Alarma activa" : "No hay alarma",
                 raw & 16 ? "Sin parada de emergencia" : "Parada de emergencia presionada y activa",
                 raw & 32 ? "Error en el variador de velocidad" : "El variador de velocidad está OK",
                 raw & 64 ? "Ha ocurrido un error en el posicionamiento" : "No hay error de posicionamiento",
                 raw & 128 ? "Descendente" : "Ascendente");
        assert_string_equal(json_of(profile_builtin("delta-as"), (uint8_t)raw), expected);
    }
}

static void meanings_follow_the_bits(void **state)
{
    (void)state;
    const struct profile *standard = profile_builtin("standard"), *delta = profile_builtin("delta-as");
    for (unsigned raw = 0; raw < 256; raw++) {
        uint8_t b = (uint8_t)raw;
        assert_int_equal(profile_says(standard, b, MEANING_MOVING), (raw & 1) != 0);
        assert_int_equal(profile_says(standard, b, MEANING_MANUAL), (raw & 8) == 0);
        assert_int_equal(profile_says(standard, b, MEANING_ALARM), (raw & 4) != 0);
        assert_false(profile_says(standard, b, MEANING_ESTOP));
        assert_int_equal(profile_says(delta, b, MEANING_MOVING), (raw & 2) != 0);
        assert_int_equal(profile_says(delta, b, MEANING_ESTOP), (raw & 16) == 0);
        assert_int_equal(profile_says(delta, b, MEANING_DRIVE_FAULT), (raw & 32) != 0);
        assert_int_equal(profile_says(delta, b, MEANING_POSITIONING_ERROR), (raw & 64) != 0);
        assert_int_equal(profile_says(delta, b, MEANING_MANUAL), (raw & 4) == 0);
    }
}

static void profiles_are_told_apart_by_their_hash(void **state)
{
    (void)state;
    struct profile changed = *profile_builtin("standard");
    uint64_t hash = profile_hash(&changed);
    assert_true(hash == profile_hash(profile_builtin("standard")));
    assert_true(hash != profile_hash(profile_builtin("delta-as")));
    changed.bits[2].text[1] = "Remota";
    assert_true(hash != profile_hash(&changed));
    changed = *profile_builtin("standard");
    changed.version++;
    assert_true(hash != profile_hash(&changed));
    changed = *profile_builtin("standard");
    changed.bits[0].meaning[0] = MEANING_ALARM;
    assert_true(hash != profile_hash(&changed));
    assert_null(profile_builtin("no such"));
}

static const char *text_of(struct machine_state s, const struct profile *profile)
{
    static char memory[MACHINE_TEXT_MAX + 1];
    struct out out = out_init(memory, MACHINE_TEXT_MAX);
    machine_state_text(&s, profile, &out);
    assert_false(out.overflow);
    memory[out.len] = '\0';
    return memory;
}

static void state_texts(void **state)
{
    (void)state;
    const struct profile *p = profile_builtin("standard");
    assert_string_equal(
        text_of((struct machine_state){CONNECTION_CONNECTED, true, 218, 15, 1}, p),
        "\"status\":{\"READY\":\"OK\",\"RUN\":\"Detenido\",\"MODO_OPERACION\":\"Remoto\",\"ALARMA\":"
        "\"Desactivada\"},\"position\":15,\"raw_status\":218,\"connection_status\":\"connected\"");
    assert_string_equal(
        text_of((struct machine_state){.connection = CONNECTION_DISCONNECTED}, p),
        "\"status\":{},\"position\":null,\"raw_status\":null,\"connection_status\":\"disconnected\"");
    assert_string_equal(text_of((struct machine_state){CONNECTION_STALE, true, 0, 255, 1}, NULL),
                        "\"status\":{},\"position\":255,\"raw_status\":0,\"connection_status\":\"stale\"");
}

static void what_counts_as_a_difference(void **state)
{
    (void)state;
    struct machine_state a = {CONNECTION_CONNECTED, true, 218, 15, 1}, b = a;
    b.read_wall_ms = 99;
    assert_false(machine_state_differs(&a, &b));
    b.position = 16;
    assert_true(machine_state_differs(&a, &b));
    b = a;
    b.raw_status = 219;
    assert_true(machine_state_differs(&a, &b));
    b = a;
    b.connection = CONNECTION_STALE;
    assert_true(machine_state_differs(&a, &b));
    b = (struct machine_state){.connection = CONNECTION_CONNECTED};
    assert_true(machine_state_differs(&a, &b));
}

static void machine_info_is_the_documents(void **state)
{
    (void)state;
    char memory[512];
    struct out out = out_init(memory, sizeof memory);
    struct machine_info info = {"a", "Carrusel \"1\"", "192.168.1.50", 3200, true};
    machine_info_json(&info, &out);
    static const char expected[] =
        "{\"id\":\"a\",\"name\":\"Carrusel "
        "\\\"1\\\"\",\"ip\":\"192.168.1.50\",\"port\":3200,\"type\":\"Simulator\"}";
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(memory, expected, out.len);
}

static void ids(void **state)
{
    (void)state;
    char longest[MACHINE_ID_MAX + 1];
    memset(longest, 'a', sizeof longest);
    assert_true(machine_id_valid("A-z_0.9:x", 9));
    assert_true(machine_id_valid(longest, MACHINE_ID_MAX));
    assert_false(machine_id_valid(longest, MACHINE_ID_MAX + 1));
    assert_false(machine_id_valid("", 0));
    assert_false(machine_id_valid("..", 2));
    assert_true(machine_id_valid("...", 3));
    assert_true(machine_id_valid(".a", 2));
    for (unsigned c = 0; c < 256; c++) {
        char id = (char)c;
        bool expected = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c != 0 && strchr("_:-", (int)c) != NULL);
        assert_int_equal(machine_id_valid(&id, 1), expected);
    }
}

static void topics(void **state)
{
    (void)state;
    struct topic topic, other;
    topic_make(&topic, TOPIC_STATE, "m1");
    assert_int_equal(topic.len, 8);
    assert_memory_equal(topic.name, "state/m1", 8);
    assert_true(topic.hash == topic_hash("state/m1", 8));
    topic_make(&other, TOPIC_RESULT, NULL);
    assert_memory_equal(other.name, "result/#", 8);
    assert_true(topic.hash != other.hash);
}

static void endpoint_topics(void **state)
{
    (void)state;
    struct topic topic;
    char path[TOPIC_PATH_MAX + 2] = "/chat", name[TOPIC_ENDPOINT_NAME_MAX + 2];
    size_t len;
    topic_make_endpoint(&topic, path, "a#b", 3);
    assert_int_equal(topic.len, 17);
    assert_memory_equal(topic.name, "endpoint/chat#a#b", 17);
    assert_true(topic.hash == topic_hash("endpoint/chat#a#b", 17));
    topic_make_endpoint(&topic, path, NULL, 0);
    assert_int_equal(topic.len, 14);
    assert_ptr_equal(topic_endpoint_id(topic.name, topic.len, &len), topic.name + 8);
    assert_int_equal(len, 6);
    memset(path + 1, 'p', TOPIC_PATH_MAX - 1);
    memset(name, 'n', sizeof name);
    topic_make_endpoint(&topic, path, name, TOPIC_ENDPOINT_NAME_MAX); /* the longest */
    assert_ptr_equal(topic_endpoint_id(topic.name, topic.len, &len), topic.name + 8);
    assert_int_equal(len, TOPIC_PATH_MAX + 1 + TOPIC_ENDPOINT_NAME_MAX);

    char longer[256];
    int n = snprintf(longer, sizeof longer, "endpoint%sp#", path);
    assert_null(topic_endpoint_id(longer, (size_t)n, &len)); /* a path too long */
    n = snprintf(longer, sizeof longer, "endpoint/#%.*s", (int)sizeof name, name);
    assert_null(topic_endpoint_id(longer, (size_t)n, &len)); /* a name too long */
    assert_non_null(topic_endpoint_id(longer, (size_t)n - 2, &len));
    static const char *const others[] = {"",          "endpoint",        "endpoint/chat", "endpointchat#",
                                         "endpoint#", "endpoints/chat#", "stream/chat#",  "state/#"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_null(topic_endpoint_id(others[i], strlen(others[i]), &len));
    assert_null(topic_stream_id(topic.name, topic.len, &len));
}

static void codes_have_names_and_texts(void **state)
{
    (void)state;
    assert_string_equal(command_code_name(CODE_BUSY), "BUSY");
    assert_string_equal(command_code_text(CODE_MACHINE_NOT_FOUND), "Machine not found");
    assert_string_equal(command_code_name((enum command_code_e)99), "INTERNAL_ERROR");
    assert_string_equal(command_code_text(CODE_NONE), "Internal error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_shows_the_documents_examples),
        cmocka_unit_test(standard_shows_every_byte),
        cmocka_unit_test(delta_as_shows_every_byte),
        cmocka_unit_test(meanings_follow_the_bits),
        cmocka_unit_test(profiles_are_told_apart_by_their_hash),
        cmocka_unit_test(state_texts),
        cmocka_unit_test(what_counts_as_a_difference),
        cmocka_unit_test(machine_info_is_the_documents),
        cmocka_unit_test(ids),
        cmocka_unit_test(topics),
        cmocka_unit_test(endpoint_topics),
        cmocka_unit_test(codes_have_names_and_texts),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
