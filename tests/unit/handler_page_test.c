/* HANDLER.md, by which people write the other end in another language: its tables are the header's, and its example is what is
 * spoken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handler_wire.h"
#include "must.h"

static const enum handler_message_e types[] = {
#define X(number, NAME, fields) HANDLER_##NAME,
    HANDLER_MESSAGE_TABLE(X)
#undef X
};

static char *page_read(void)
{
    FILE *file = fopen(HANDLER_PAGE, "r");
    assert_non_null(file);
    char *page = calloc(1, 65536);
    assert_non_null(page);
    assert_in_range(fread(page, 1, 65535, file), 1, 65534);
    fclose(file);
    return page;
}

static void page_has(const char *page, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (strstr(page, line) == NULL)
        fail_msg("HANDLER.md lacks \"%s\"", line);
}

static void the_page_has_the_tables(void **state)
{
    (void)state;
    char *page = page_read();
#define X(number, NAME, fields)                                                                              \
    page_has(page, "| %d | %s | %s | %s |", number, #NAME, number < 32 ? "worker" : "handler", fields);
    HANDLER_MESSAGE_TABLE(X)
#undef X
    page_has(page, "Version %u. ", HANDLER_VERSION);
    page_has(page, "1 to 20,971,520");
    assert_int_equal(HANDLER_FRAME_MAX, 20971520);
    page_has(page, "at most %u events under way", HANDLER_WINDOW);
    page_has(page, "| handler | text, %u bytes |", HANDLER_NAME_MAX);
    page_has(page, "| path, traditional | text, %u bytes; boolean |", HANDLER_PATH_MAX);
    page_has(page, "| query | text, 8,192 bytes |");
    assert_int_equal(HANDLER_QUERY_MAX, 8192);
    page_has(page, "| topic | text, %u bytes |", HANDLER_TOPIC_MAX);
    page_has(page, "| reason | text, %u bytes |", HANDLER_REASON_MAX);
    page_has(page, "any value, %u levels, 1,048,576 values", HANDLER_DEPTH_MAX);
    assert_int_equal(HANDLER_VALUES_MAX, 1048576);
    free(page);
}

/* "worker  OPEN" and lines of hex that begin with spaces; returns where the next one begins. */
static char *page_frame(char *at, bool *worker, char name[16], unsigned char *frame, size_t *len)
{
    char who[16];
    assert_int_equal(sscanf(at, "%15s %15s", who, name), 2);
    *worker = strcmp(who, "worker") == 0;
    assert_true(*worker || strcmp(who, "handler") == 0);
    *len = 0;
    for (at = strchr(at, '\n') + 1; *at == ' '; at = strchr(at, '\n') + 1)
        for (unsigned byte, used; sscanf(at, " %2x%n", &byte, &used) == 1 && *at != '\n'; at += used) {
            frame[(*len)++] = (unsigned char)byte;
            assert_in_range(*len, 1, 1023);
            if (at[used] == '\n')
                break;
        }
    return at;
}

static void the_pages_example_is_true(void **state)
{
    (void)state;
    char *page = page_read(), *at = strstr(page, "```hex\n"), name[16];
    unsigned seen[64] = {0};
    assert_non_null(at);
    at += strlen("```hex\n");
    while (strncmp(at, "```", 3) != 0) {
        unsigned char frame[1024];
        bool worker;
        size_t len, message_len;
        struct handler_message message;
        msgpack_zone zone;
        msgpack_sbuffer again;
        at = page_frame(at, &worker, name, frame, &len);
        assert_true(msgpack_zone_init(&zone, 256));
        msgpack_sbuffer_init(&again);
        assert_int_equal(handler_frame(frame, len, &message_len), ERR_OK);
        assert_int_equal(message_len + HANDLER_LENGTH_BYTES, len);
        assert_int_equal(handler_decode(frame + HANDLER_LENGTH_BYTES, message_len, &zone, &message), ERR_OK);
        assert_string_equal(handler_message_name(message.type), name);
        assert_int_equal(message.type < 32, worker);
        message.body_bytes = NULL;
        assert_int_equal(handler_encode(&message, &again), ERR_OK);
        assert_int_equal(again.size, len);
        assert_memory_equal(again.data, frame, len);
        seen[message.type]++;
        msgpack_zone_destroy(&zone);
        msgpack_sbuffer_destroy(&again);
    }
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (seen[types[i]] == 0)
            fail_msg("the example has no %s", handler_message_name(types[i]));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_has_the_tables),
        cmocka_unit_test(the_pages_example_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
