/* Who is connected to which channel, and how a survey in small pieces tells it while others come and go: what stays is told exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "channels_answer.h"
#include "channels_survey.h"

#define GUESTS 3000u

struct guest {
    struct channels_channel *channel;
    struct channels_user *user;
};

struct stage {
    struct channels_registry registry;
    struct guest guests[GUESTS];
    uint64_t serial;
    char text[200000];
};

static int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    channels_registry_init(&stage->registry, 7);
    *state = stage;
    return 0;
}

static void go(struct stage *stage, unsigned at)
{
    if (stage->guests[at].channel == NULL)
        return;
    channels_registry_leave(&stage->registry, stage->guests[at].channel, stage->guests[at].user);
    stage->guests[at] = (struct guest){0};
}

static int stage_close(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < GUESTS; i++)
        go(stage, i);
    assert_int_equal(channels_registry_count(&stage->registry), 0);
    channels_registry_fini(&stage->registry);
    free(stage);
    return 0;
}

static void come(struct stage *stage, unsigned at, const char *channel, const char *user)
{
    const struct channels_guest guest = {.channel = channel,
                                         .channel_len = strlen(channel),
                                         .user_id = user,
                                         .user_len = strlen(user),
                                         .serial = ++stage->serial,
                                         .wall_ms = stage->serial};
    assert_null(stage->guests[at].channel);
    assert_int_equal(channels_registry_enter(&stage->registry, &guest, &stage->guests[at].channel,
                                             &stage->guests[at].user),
                     ERR_OK);
}

/* One piece; true: the last. */
static bool piece(struct stage *stage, unsigned question, struct endpoint_cursor *cursor,
                  struct channels_answer *answer)
{
    char *memory = malloc(ENDPOINT_ROW_MAX);
    struct out rows = out_init(memory, ENDPOINT_ROW_MAX);
    struct endpoint_cursor before = *cursor;
    bool last = channels_survey_rows(&stage->registry, question, cursor, &rows);
    assert_false(rows.overflow);
    assert_true(last || (rows.len > 0 && memcmp(&before, cursor, sizeof before) != 0));
    channels_answer_add(answer, rows.at, rows.len);
    free(memory);
    return last;
}

static const char *all(struct stage *stage, struct channels_answer *answer)
{
    struct out out = out_init(stage->text, sizeof stage->text - 1);
    channels_answer_sort(answer);
    assert_int_equal(answer->err, ERR_OK);
    channels_answer_all(answer, &out);
    assert_false(out.overflow);
    stage->text[out.len] = '\0';
    channels_answer_clear(answer);
    return stage->text;
}

static void a_channel_that_ends_and_begins_anew_is_not_told_twice(void **state)
{
    struct stage *stage = *state;
    struct channels_answer answer = {0};
    struct endpoint_cursor cursor = {0};
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "long-name-%02u", i);
        come(stage, i, name, "somebody-with-a-long-name");
    }
    assert_false(piece(stage, 0, &cursor, &answer));
    go(stage, 0);
    come(stage, 0, "long-name-00", "");
    come(stage, 40, "long-name-00", "");
    while (!piece(stage, 0, &cursor, &answer))
        ;
    const char *told = all(stage, &answer);
    assert_non_null(strstr(told, "{\"total_channels\":40,"));
    assert_non_null(strstr(told, "\"long-name-00\":{\"connections\":1,\"users\":[{"));
}

static void a_question_is_about_one_channel(void **state)
{
    struct stage *stage = *state;
    struct channels_answer answer = {0};
    struct endpoint_cursor cursor = {0};
    come(stage, 0, "a", "");
    come(stage, 1, "b", "x");
    come(stage, 2, "b", "");
    assert_true(piece(stage, channels_word("b", 1), &cursor, &answer));
    assert_string_equal(all(stage, &answer),
                        "{\"total_channels\":1,\"channels\":{\"b\":{\"connections\":2,\"users\":[{"
                        "\"user_id\":\"x\",\"connected_at\":\"1970-01-01T00:00:00.002Z\"}]}}}");
    cursor = (struct endpoint_cursor){0};
    assert_true(piece(stage, 77, &cursor, &answer));
    assert_string_equal(all(stage, &answer), "{\"total_channels\":0,\"channels\":{}}");
}

static void of_many_users_a_worker_tells_a_hundred(void **state)
{
    struct stage *stage = *state;
    struct channels_answer answer = {0};
    struct endpoint_cursor cursor = {0};
    char user[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(user, sizeof user, "u%03u", i);
        come(stage, i, "c", user);
    }
    while (!piece(stage, 0, &cursor, &answer))
        go(stage, (unsigned)(cursor.a % 256)); /* some of those who were told, or come next, go */
    assert_int_equal(answer.count, 101);
    assert_non_null(strstr(all(stage, &answer), "\"u000\""));
}

static void strange_cursors_are_safe(void **state)
{
    struct stage *stage = *state;
    const uint64_t values[] = {0, 1, 255, 256, 257, 512, 600, UINT64_MAX - 1, UINT64_MAX};
    for (unsigned i = 0; i < 20; i++)
        come(stage, i, i % 2 ? "a" : "b", "user");
    for (unsigned n = 0; n < 9 * 9 * 9; n++) {
        struct endpoint_cursor cursor = {values[n % 9], values[n / 9 % 9], values[n / 81]};
        char memory[ENDPOINT_ROW_MAX];
        struct out rows = out_init(memory, sizeof memory);
        (void)channels_survey_rows(&stage->registry, 0, &cursor, &rows);
        assert_false(rows.overflow);
    }
}

/* Guests 0 to 199 stay; the others come and go between the pieces, also so that their channels end. */
static void whoever_stays_is_counted_exactly_once(void **state)
{
    struct stage *stage = *state;
    char name[32], user[32];
    unsigned dice = 99;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "stays-%u", i % 60);
        snprintf(user, sizeof user, "user-%u", i);
        come(stage, i, name, i % 3 == 0 ? user : "");
    }
    for (unsigned round = 0; round < 20; round++) {
        struct channels_answer answer = {0};
        struct endpoint_cursor cursor = {0};
        bool last = false;
        while (!last) {
            last = piece(stage, 0, &cursor, &answer);
            for (unsigned i = 0; i < 60; i++) {
                dice = dice * 1103515245 + 12345;
                unsigned at = 200 + (dice >> 8) % (GUESTS - 200);
                snprintf(name, sizeof name, "comes-%u", (dice >> 16) % 500);
                if (stage->guests[at].channel != NULL)
                    go(stage, at);
                else
                    come(stage, at, name, dice % 7 == 0 ? "x" : "");
            }
        }
        const char *told = all(stage, &answer);
        for (unsigned i = 0; i < 60; i++) {
            unsigned named = 0;
            for (unsigned k = i; k < 200; k += 60)
                named += k % 3 == 0;
            snprintf(name, sizeof name, "\"stays-%u\":{\"conn", i);
            const char *at = strstr(told, name);
            assert_non_null(at);
            assert_int_equal(strtoul(strstr(at, "ections\":") + 9, NULL, 10), i < 20 ? 4 : 3);
            unsigned users = 0;
            for (const char *end = strstr(at, "]}"); (at = strstr(at, "user_id")) != NULL && at < end; at++)
                users++;
            assert_int_equal(users, named);
        }
    }
}

#define PLAY(name) cmocka_unit_test_setup_teardown(name, stage_open, stage_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(a_channel_that_ends_and_begins_anew_is_not_told_twice),
        PLAY(a_question_is_about_one_channel),
        PLAY(of_many_users_a_worker_tells_a_hundred),
        PLAY(strange_cursors_are_safe),
        PLAY(whoever_stays_is_counted_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
