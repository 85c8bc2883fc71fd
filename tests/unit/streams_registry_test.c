/* streams_registry: places that last, counts, nothing left behind, and what a hundred thousand cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "hash.h"
#include "must.h"
#include "streams_registry.h"

static struct streams_registry registry;
static int things[64]; /* stand in for connections */

static int setup(void **state)
{
    (void)state;
    streams_registry_init(&registry, 42);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    streams_registry_fini(&registry);
    return streams_registry_bytes(&registry) != 0;
}

static struct topic topic(const char *id)
{
    struct topic made;
    topic_make_stream(&made, id, strlen(id));
    return made;
}

static const struct streams_stream *find(const char *id)
{
    uint32_t place = 0;
    for (const struct streams_stream *s; (s = streams_registry_stream(&registry, place, &place)) != NULL;
         place++)
        if (s->len == strlen(id) && memcmp(s->id, id, s->len) == 0)
            return s;
    return NULL;
}

static void places_last(void **state)
{
    uint32_t places[64], place;
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(streams_registry_enter(&registry, &things[i], &places[i]), ERR_OK);
    for (unsigned i = 0; i < 64; i += 2)
        streams_registry_leave(&registry, places[i]);
    for (unsigned i = 1; i < 64; i += 2) {
        assert_ptr_equal(streams_registry_conn(&registry, places[i], &place), &things[i]);
        assert_int_equal(place, places[i]);
    }
    assert_ptr_equal(streams_registry_conn(&registry, places[2], &place), &things[3]); /* the next one */
    assert_null(streams_registry_conn(&registry, 64, &place));
    assert_null(streams_registry_conn(&registry, UINT32_MAX, &place));
    for (unsigned i = 0; i < 64; i += 2)
        assert_int_equal(streams_registry_enter(&registry, &things[i], &places[i]), ERR_OK);
    assert_int_equal(registry.conns.used, 64); /* free places are used again */
    for (unsigned i = 0; i < 64; i++)
        streams_registry_leave(&registry, places[i]);
    assert_int_equal(streams_registry_bytes(&registry), 0);
    assert_null(streams_registry_conn(&registry, 0, &place));
}

static void streams_are_counted(void **state)
{
    const struct topic ab[] = {topic("a"), topic("b")};
    (void)state;
    assert_int_equal(streams_registry_open(&registry, ab, 2), ERR_OK);
    assert_int_equal(streams_registry_open(&registry, ab, 1), ERR_OK);
    assert_int_equal(registry.channels, 3);
    assert_int_equal(find("a")->channels, 2);
    assert_int_equal(find("b")->channels, 1);
    assert_true(find("a")->born < find("b")->born);
    streams_registry_close(&registry, ab, 2);
    assert_int_equal(find("a")->channels, 1);
    assert_null(find("b"));
    assert_int_equal(streams_registry_open(&registry, ab + 1, 1), ERR_OK);
    assert_int_equal(find("b")->born, 2); /* another one */
    streams_registry_close(&registry, ab, 2);
    assert_int_equal(registry.channels, 0);
    assert_int_equal(streams_registry_bytes(&registry), 0);
}

static void ids_may_hold_anything(void **state)
{
    struct topic topics[3];
    (void)state;
    topic_make_stream(&topics[0], "a\0b", 3);
    topic_make_stream(&topics[1], "a", 1);
    topic_make_stream(&topics[2], "a\0c", 3);
    assert_int_equal(streams_registry_open(&registry, topics, 3), ERR_OK);
    assert_int_equal(registry.by_id.count, 3);
    streams_registry_close(&registry, topics, 3);
}

/* Another id under the hash of "b": what had been opened before it is closed again. */
static void a_clash_changes_nothing(void **state)
{
    const struct topic topics[] = {topic("a"), topic("b"), topic("c")};
    (void)state;
    assert_int_equal(streams_registry_open(&registry, topics + 1, 1), ERR_OK);
    struct streams_stream *stream = (struct streams_stream *)(uintptr_t)find("b");
    stream->id[0] = 'x';
    assert_int_equal(streams_registry_open(&registry, topics, 3), ERR_EXISTS);
    assert_int_equal(registry.channels, 1);
    assert_null(find("a"));
    assert_null(find("c"));
    stream->id[0] = 'b';
    streams_registry_close(&registry, topics + 1, 1);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void figures(void **state)
{
    enum { COUNT = 100000 };
    char id[32];
    uint32_t place;
    (void)state;
    uint64_t begin = cpu_ns();
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(streams_registry_enter(&registry, &things[i % 64], &place), ERR_OK);
    size_t conns = streams_registry_bytes(&registry);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "stream-%u", i);
        struct topic one = topic(id);
        assert_int_equal(streams_registry_open(&registry, &one, 1), ERR_OK);
    }
    uint64_t opened = cpu_ns();
    size_t streams = streams_registry_bytes(&registry) - conns;
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "stream-%u", i);
        struct topic one = topic(id);
        streams_registry_close(&registry, &one, 1);
        streams_registry_leave(&registry, i);
    }
    uint64_t closed = cpu_ns();
    print_message("%zu bytes a connection, %zu a stream; enter and open %llu ns, close and leave %llu ns\n",
                  conns / COUNT, streams / COUNT, (unsigned long long)(opened - begin) / COUNT,
                  (unsigned long long)(closed - opened) / COUNT);
    assert_true(conns / COUNT <= 16);
    assert_int_equal(streams_registry_bytes(&registry), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(places_last), T(streams_are_counted), T(ids_may_hold_anything), T(a_clash_changes_nothing),
        T(figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
