/* frames: exact bytes of every frame that enters the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames_carousel.h"
#include "frames_channels.h"
#include "frames_payload.h"
#include "must.h"
#include "ws_frame.h"

#define WALL_MS 1737973800000ULL /* 2025-01-27T10:30:00.000Z, the documents' time */

static const struct frames_seq seq = {0x00c0ffee, 64 * 1234};

static void payload_is(struct frame_bytes frame, const char *expected)
{
    size_t len = strlen(expected), header = ws_frame_header_len(len);
    assert_int_equal(frame.len, len + header);
    assert_int_equal(frame.at[0], 0x81);
    assert_int_equal(ws_frame_total_len(frame.at, frame.len), frame.len);
    assert_memory_equal(frame.at + header, expected, len);
}

static void state_broadcast(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    static const char text[] =
        "\"status\":{},\"position\":null,\"raw_status\":null,\"connection_status\":\"disconnected\"";
    uint32_t at;
    struct frame_bytes frame =
        frames_carousel_state(memory, sizeof memory, "a.b", text, sizeof text - 1, WALL_MS, seq, &at);
    payload_is(
        frame,
        "{\"type\":\"status_broadcast\",\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"status\":{\"a.b\":{"
        "\"status\":{},\"position\":null,\"raw_status\":null,\"connection_status\":\"disconnected\""
        "}},\"seq\":\"00c0ffee-1234\"}");
    assert_memory_equal(frame.at + at, text, sizeof text - 1);
}

static const struct carousel_command move = {"m", "req \"1\"", 1, 25}, plain = {"m", "", 9, -1};

static void results(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    payload_is(
        frames_carousel_result(memory, sizeof memory, &move, CODE_NONE, "", WALL_MS, seq),
        "{\"type\":\"command_result\",\"machine_id\":\"m\",\"success\":true,\"data\":{\"command_sent\":1,"
        "\"argument\":25,\"result\":\"Comando ejecutado correctamente\"},\"request_id\":\"req \\\"1\\\"\","
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
    payload_is(
        frames_carousel_result(memory, sizeof memory, &plain, CODE_OUTCOME_UNKNOWN, "gone", WALL_MS, seq),
        "{\"type\":\"command_result\",\"machine_id\":\"m\",\"success\":false,\"data\":{\"command_sent\":9,"
        "\"argument\":null,\"result\":\"gone\"},\"code\":\"OUTCOME_UNKNOWN\","
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
}

static void completions(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    payload_is(
        frames_carousel_completed(memory, sizeof memory, &move, true, 25, 1234, WALL_MS, seq),
        "{\"type\":\"command_completed\",\"machine_id\":\"m\",\"command\":{\"command\":1,\"argument\":25},"
        "\"success\":true,\"position\":25,\"elapsed_ms\":1234,\"request_id\":\"req \\\"1\\\"\","
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
    payload_is(
        frames_carousel_completed(memory, sizeof memory, &plain, false, -1, 0, WALL_MS, seq),
        "{\"type\":\"command_completed\",\"machine_id\":\"m\",\"command\":{\"command\":9,\"argument\":null},"
        "\"success\":false,\"position\":null,\"elapsed_ms\":0,"
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
}

static void errors_and_alarms(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    payload_is(frames_carousel_error(memory, sizeof memory, &plain, CODE_BUSY, "", WALL_MS, seq),
               "{\"type\":\"error\",\"error\":\"Machine is busy\",\"code\":\"BUSY\",\"machine_id\":\"m\","
               "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
    payload_is(frames_carousel_alarm(memory, sizeof memory, "m", "estop", true, WALL_MS, seq),
               "{\"type\":\"alarm\",\"machine_id\":\"m\",\"condition\":\"estop\",\"active\":true,"
               "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
}

static void machines_that_come_and_go(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    struct machine_info info = {.id = "m", .name = "Carrusel \"1\"", .ip = "10.0.0.1", .port = 3200};
    payload_is(
        frames_carousel_machine(memory, sizeof memory, true, &info, WALL_MS, seq),
        "{\"type\":\"machine_added\",\"machine_id\":\"m\",\"machine\":{\"id\":\"m\",\"name\":\"Carrusel "
        "\\\"1\\\"\",\"ip\":\"10.0.0.1\",\"port\":3200,\"type\":\"Real PLC\"},"
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
    info.simulator = true;
    payload_is(
        frames_carousel_machine(memory, sizeof memory, false, &info, WALL_MS, seq),
        "{\"type\":\"machine_removed\",\"machine_id\":\"m\",\"machine\":{\"id\":\"m\",\"name\":\"Carrusel "
        "\\\"1\\\"\",\"ip\":\"10.0.0.1\",\"port\":3200,\"type\":\"Simulator\"},"
        "\"timestamp\":\"2025-01-27T10:30:00.000Z\",\"seq\":\"00c0ffee-1234\"}");
    memset(info.id, 'i', MACHINE_ID_MAX);
    memset(info.name, 1, MACHINE_NAME_MAX); /* six bytes each once escaped */
    memset(info.ip, 1, MACHINE_HOST_MAX);
    struct frames_seq last = {UINT32_MAX, UINT64_MAX};
    assert_true(frames_carousel_machine(memory, sizeof memory, false, &info, WALL_MS, last).len > 0);
}

/* Cuts the frame that was just encoded to `memory`, and compares with what it was. */
static void bare_is_the_same_without_seq(unsigned char memory[FRAMES_CAROUSEL_MAX], struct frame_bytes frame,
                                         const char *seq_text)
{
    char before[FRAMES_CAROUSEL_MAX], member[64];
    size_t header = (size_t)(memory + WS_HEADER_MAX - frame.at), len = frame.len - header;
    size_t cut = (size_t)snprintf(member, sizeof member, ",\"seq\":\"%s\"}", seq_text);
    assert_true(frame.len > 0 && len > cut);
    memcpy(before, frame.at + header, len);
    assert_memory_equal(before + len - cut, member, cut);
    before[len - cut] = '}';
    before[len - cut + 1] = '\0';
    payload_is(frames_carousel_without_seq(memory, frame), before);
}

static void messages_without_seq(void **state)
{
    (void)state;
    static unsigned char memory[FRAMES_CAROUSEL_MAX];
    static const char text[] =
        "\"seq\":\"a-1\",\"x\":{\"seq\":\"\"}"; /* members of that name elsewhere stay */
    struct machine_info info = {.id = "m", .name = ",\"seq\":\"", .ip = "10.0.0.1", .port = 3200};
    uint32_t at;
    payload_is(frames_carousel_without_seq(
                   memory, frames_carousel_alarm(memory, sizeof memory, "m", "estop", true, WALL_MS, seq)),
               "{\"type\":\"alarm\",\"machine_id\":\"m\",\"condition\":\"estop\",\"active\":true,"
               "\"timestamp\":\"2025-01-27T10:30:00.000Z\"}"); /* and a shorter header */
    static const struct {
        struct frames_seq seq;
        const char *text;
    } seqs[] = {{{0x00c0ffee, 64 * 1234}, "00c0ffee-1234"},
                {{1, 0}, "00000001-0"},
                {{UINT32_MAX, UINT64_MAX}, "ffffffff-288230376151711743"}};
    for (size_t i = 0; i < ARRAY_LEN(seqs); i++) {
        const char *shown = seqs[i].text;
        struct frames_seq s = seqs[i].seq;
        bare_is_the_same_without_seq(
            memory,
            frames_carousel_state(memory, sizeof memory, "a.b", text, sizeof text - 1, WALL_MS, s, &at),
            shown);
        bare_is_the_same_without_seq(
            memory, frames_carousel_result(memory, sizeof memory, &move, CODE_NONE, "", WALL_MS, s), shown);
        bare_is_the_same_without_seq(
            memory, frames_carousel_completed(memory, sizeof memory, &plain, false, -1, 0, WALL_MS, s),
            shown);
        bare_is_the_same_without_seq(
            memory, frames_carousel_machine(memory, sizeof memory, true, &info, WALL_MS, s), shown);
    }
}

/* A payload around the border of the short and the long header, before and after. */
static void without_seq_at_every_length(void **state)
{
    (void)state;
    static unsigned char memory[FRAMES_CAROUSEL_MAX];
    char id[MACHINE_ID_MAX + 1] = {0};
    for (size_t len = 1; len <= MACHINE_ID_MAX; len++) {
        memset(id, 'i', len);
        bare_is_the_same_without_seq(
            memory, frames_carousel_alarm(memory, sizeof memory, id, "alarm", false, WALL_MS, seq),
            "00c0ffee-1234");
    }
}

static void every_buffer_that_is_too_small_gives_nothing(void **state)
{
    (void)state;
    unsigned char whole[FRAMES_CAROUSEL_MAX];
    size_t need = WS_HEADER_MAX;
    struct frame_bytes frame = frames_carousel_error(whole, sizeof whole, &move, CODE_BUSY, "", WALL_MS, seq);
    need += frame.len - ws_frame_header_len(frame.len - 4);
    for (size_t cap = 0; cap < need; cap++) {
        unsigned char *memory = malloc(cap + 1);
        assert_int_equal(frames_carousel_error(memory, cap, &move, CODE_BUSY, "", WALL_MS, seq).len, 0);
        free(memory);
    }
    assert_true(frames_carousel_error(whole, need, &move, CODE_BUSY, "", WALL_MS, seq).len > 0);
}

static void the_longest_of_everything_fits(void **state)
{
    (void)state;
    unsigned char memory[FRAMES_CAROUSEL_MAX];
    char id[MACHINE_ID_MAX + 1] = {0}, request[REQUEST_ID_MAX + 1] = {0}, text[MACHINE_TEXT_MAX],
                             reason[201] = {0};
    uint32_t at;
    memset(id, 1, MACHINE_ID_MAX); /* six bytes each once escaped */
    memset(request, 1, REQUEST_ID_MAX);
    memset(reason, 1, 200);
    memset(text, 'x', sizeof text);
    struct carousel_command longest = {id, request, 255, 255};
    struct frames_seq last = {UINT32_MAX, UINT64_MAX};
    assert_true(
        frames_carousel_state(memory, sizeof memory, id, text, sizeof text, UINT64_MAX, last, &at).len > 0);
    assert_true(
        frames_carousel_result(memory, sizeof memory, &longest, CODE_OUTCOME_UNKNOWN, reason, WALL_MS, last)
            .len > 0);
    assert_true(
        frames_carousel_error(memory, sizeof memory, &longest, CODE_INTERLOCK, reason, WALL_MS, last).len >
        0);
    assert_true(
        frames_carousel_completed(memory, sizeof memory, &longest, true, 255, UINT64_MAX, WALL_MS, last).len >
        0);
}

static void headers_of_every_length_class(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, 100000};
    unsigned char *memory = malloc(100000 + WS_HEADER_MAX);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        unsigned char *frame = ws_frame_prepend(memory + WS_HEADER_MAX, lengths[i], WS_BINARY);
        size_t header = ws_frame_header_len(lengths[i]);
        assert_ptr_equal(frame + header, memory + WS_HEADER_MAX);
        assert_int_equal(frame[0], 0x82);
        assert_int_equal(ws_frame_total_len(frame, header), header + lengths[i]);
        for (size_t known = 0; known < header; known++)
            assert_int_equal(ws_frame_total_len(frame, known), 0);
    }
    free(memory);
}

static void a_payload_is_shown_bare(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 192 * 1024};
    for (size_t i = 0; i < 2 * ARRAY_LEN(lengths); i++) {
        bool binary = i % 2 > 0;
        size_t len = lengths[i / 2], room = FRAMES_PAYLOAD_BYTES(len), header = ws_frame_header_len(len);
        char *payload = malloc(len + 1);
        unsigned char *memory = malloc(room); /* exactly, so that ASan sees a byte more */
        memset(payload, 'a', len);
        struct frame_bytes frame = frames_payload(memory, room, len > 0 ? payload : NULL, len, binary);
        assert_int_equal(frame.len, header + len);
        assert_int_equal(frame.at[0], binary ? 0x82 : 0x81);
        assert_int_equal(ws_frame_total_len(frame.at, frame.len), frame.len);
        assert_memory_equal(frame.at + header, payload, len);
        for (size_t less = room - 1; less > room - 4; less--)
            assert_int_equal(frames_payload(memory, less, payload, len, binary).len, 0);
        assert_int_equal(frames_payload(memory, 0, payload, len, binary).len, 0);
        free(memory);
        free(payload);
    }
    unsigned char memory[64];
    payload_is(frames_payload(memory, sizeof memory, "{\"a\": 1}\xc3\xa9\n", 11, false),
               "{\"a\": 1}\xc3\xa9\n");
}

/* --- channels ---------------------------------------------------------------------------------------------------------- */

static void system_events(void **state)
{
    (void)state;
    unsigned char memory[256];
    struct system_event event = {"info", "Sistema iniciado correctamente",
                                 "{\"module\":\"websocket\",\"version\":\"1.0.0\"}", WALL_MS};
    static const char text[] =
        "{\"type\":\"system_event\",\"level\":\"info\",\"message\":\"Sistema iniciado correctamente\","
        "\"data\":{\"module\":\"websocket\",\"version\":\"1.0.0\"},\"timestamp\":\"2025-01-27T10:30:00."
        "000Z\"";
    char with_seq[256];
    snprintf(with_seq, sizeof with_seq, "%s,\"seq\":\"00c0ffee-1234\"}", text);
    payload_is(frames_channels_system(memory, sizeof memory, &event, seq), with_seq);
    for (size_t cap = 0; cap < strlen(with_seq) + WS_HEADER_MAX; cap++) {
        unsigned char *exact = malloc(cap + 1);
        assert_int_equal(frames_channels_system(exact, cap, &event, seq).len, 0);
        free(exact);
    }
    struct out out = out_init(memory, sizeof memory); /* as it is without a ring */
    event = (struct system_event){"error", "\"x\"\n", "{}", WALL_MS};
    system_event_json(&event, &out);
    out_char(&out, '\0');
    assert_string_equal(memory, "{\"type\":\"system_event\",\"level\":\"error\",\"message\":\"\\\"x\\\"\\n\","
                                "\"data\":{},\"timestamp\":\"2025-01-27T10:30:00.000Z\"}");
}

static void events_of_channels(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *frame;
    } cases[] = {{"{\"a\":1}", "{\"a\":1,\"seq\":\"00c0ffee-1234\"}"},
                 {"{\"a\":{}}", "{\"a\":{},\"seq\":\"00c0ffee-1234\"}"},
                 {"{\"a\":1 }", "{\"a\":1,\"seq\":\"00c0ffee-1234\"}"},
                 {"{}", "{\"seq\":\"00c0ffee-1234\"}"},
                 {"{  }", "{\"seq\":\"00c0ffee-1234\"}"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].payload), cap = FRAMES_CHANNELS_BYTES(len);
        unsigned char *exact = malloc(cap);
        assert_true(frames_channels_payload_is_sane(cases[i].payload, len));
        payload_is(frames_channels_event(exact, cap, cases[i].payload, len, seq), cases[i].frame);
        free(exact);
    }
}

/* FRAMES_CHANNELS_BYTES suffices for the longest seq, at every length of the header; below what is needed there is no frame. */
static void events_of_every_length(void **state)
{
    (void)state;
    static const size_t lens[] = {2, 60, 85, 86, 87, 88, 125, 126, 127, 1000, 65490, 65500, 65535, 70000};
    struct frames_seq last = {UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        size_t cap = FRAMES_CHANNELS_BYTES(lens[i]);
        char *payload = malloc(lens[i]);
        unsigned char *memory = malloc(cap);
        memset(payload, '1', lens[i]);
        payload[0] = '{';
        payload[lens[i] - 1] = '}';
        struct frame_bytes frame = frames_channels_event(memory, cap, payload, lens[i], last);
        assert_true(frame.len > lens[i] && frame.len <= cap);
        assert_int_equal(ws_frame_total_len(frame.at, frame.len), frame.len);
        assert_memory_equal(frame.at + frame.len - 2, "\"}", 2);
        for (size_t less = 0; less < lens[i] + WS_HEADER_MAX; less += 1 + lens[i] / 50)
            assert_int_equal(frames_channels_event(memory, less, payload, lens[i], last).len, 0);
        free(memory);
        free(payload);
    }
}

static void payloads_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "}",
                                      "}{",
                                      "[]",
                                      "\"{}\"",
                                      " {}",
                                      "{} ",
                                      "{\"a\":\"\xc3\"}",
                                      "{\"a\":\"\xed\xa0\x80\"}",
                                      "{\n}",
                                      "{\"\x01\":1}",
                                      "{\"\x1f\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(frames_channels_payload_is_sane(bad[i], strlen(bad[i])));
    assert_false(frames_channels_payload_is_sane("{\0}", 3));
    assert_true(frames_channels_payload_is_sane("{\"\x7f\xc3\xb1 \":1}", 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_broadcast),
        cmocka_unit_test(results),
        cmocka_unit_test(completions),
        cmocka_unit_test(errors_and_alarms),
        cmocka_unit_test(machines_that_come_and_go),
        cmocka_unit_test(a_payload_is_shown_bare),
        cmocka_unit_test(messages_without_seq),
        cmocka_unit_test(without_seq_at_every_length),
        cmocka_unit_test(every_buffer_that_is_too_small_gives_nothing),
        cmocka_unit_test(the_longest_of_everything_fits),
        cmocka_unit_test(headers_of_every_length_class),
        cmocka_unit_test(system_events),
        cmocka_unit_test(events_of_channels),
        cmocka_unit_test(events_of_every_length),
        cmocka_unit_test(payloads_that_are_none),
    };
    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
