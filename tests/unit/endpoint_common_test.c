/* A dialect's life in a worker: started once however many listeners it stands at, one shared memory, ticks, stopped once; and
 * the channels that the heartbeat tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "host.h"

/* --- dialects that write down what happens to them ---------------------------------------------------------------- */

static char story[256];

static void note(const struct endpoint *endpoint, const char *what)
{
    size_t len = strlen(story);
    snprintf(story + len, sizeof story - len, "%s %s;", endpoint->dialect->name, what);
}

struct shared {
    unsigned starts, ticks;
    char pad[100];
};

static enum err_e start(struct endpoint *endpoint)
{
    static const struct shared zero;
    struct shared *shared = endpoint_shared(endpoint);
    assert_memory_equal(shared, &zero, sizeof zero);
    assert_string_equal(endpoint->listener, "");
    shared->starts++;
    note(endpoint, "start");
    return ERR_OK;
}

static enum err_e start_in_vain(struct endpoint *endpoint)
{
    note(endpoint, "start");
    return ERR_SYSTEM;
}

static void stop(struct endpoint *endpoint)
{
    note(endpoint, "stop");
}

static void tick(struct endpoint *endpoint)
{
    struct shared *shared = endpoint_shared(endpoint);
    shared->ticks++;
}

static const struct endpoint_dialect one = {
    .name = "one", .shared_bytes = sizeof(struct shared), .start = start, .stop = stop, .tick = tick};
static const struct endpoint_dialect two = {
    .name = "two", .shared_bytes = sizeof(struct shared), .stop = stop};
static const struct endpoint_dialect bad = {.name = "bad", .start = start_in_vain, .stop = stop};
static const struct endpoint_dialect plain = {.name = "plain"};

/* --- stage ------------------------------------------------------------------------------------------------------------ */

struct stage {
    struct conf conf;
    struct clock_manual clock;
    struct endpoint_host host;
    struct endpoint endpoints[4];
};

static struct stage *stage_new(void)
{
    static struct stage stage;
    stage = (struct stage){0};
    clock_manual_init(&stage.clock, NS_PER_S, 0);
    const struct host_config config = {.conf = &stage.conf, .clock = &stage.clock.clock, .incarnation = 7};
    assert_int_equal(host_init(&stage.host, &config), ERR_OK);
    story[0] = '\0';
    return &stage;
}

static struct endpoint *join(struct stage *stage, unsigned i, const struct endpoint_dialect *dialect)
{
    stage->endpoints[i] = (struct endpoint){.host = &stage->host, .dialect = dialect, .listener = "l"};
    assert_int_equal(host_join(&stage->endpoints[i]), ERR_OK);
    return &stage->endpoints[i];
}

/* --- plays --------------------------------------------------------------------------------------------------------------- */

static void started_and_stopped_once(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    struct endpoint *first = join(stage, 0, &one), *other = join(stage, 1, &two);
    struct endpoint *again = join(stage, 2, &one), *none = join(stage, 3, &plain);
    assert_int_equal(host_start(&stage->host), ERR_OK);
    assert_string_equal(story, "one start;");

    struct shared *shared = endpoint_shared(first);
    assert_non_null(shared);
    assert_ptr_equal(endpoint_shared(again), shared);
    assert_ptr_not_equal(endpoint_shared(other), shared);
    assert_null(endpoint_shared(none));
    assert_int_equal(shared->starts, 1);

    host_tick(&stage->host);
    host_tick(&stage->host);
    assert_int_equal(shared->ticks, 2);

    host_stop(&stage->host);
    host_tick(&stage->host);
    assert_int_equal(shared->ticks, 2);
    host_stop(&stage->host);
    assert_string_equal(story, "one start;two stop;one stop;");
    host_fini(&stage->host);
}

/* Who had started is stopped; who had not, and who comes behind it, is not. */
static void a_start_fails(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    join(stage, 0, &one);
    join(stage, 1, &bad);
    join(stage, 2, &two);
    assert_int_equal(host_start(&stage->host), ERR_SYSTEM);
    assert_string_equal(story, "one start;bad start;one stop;");
    host_fini(&stage->host);
}

static void too_many_dialects(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    struct endpoint_dialect many[HOST_DIALECTS_MAX + 1] = {0};
    for (unsigned i = 0; i <= HOST_DIALECTS_MAX; i++) {
        struct endpoint endpoint = {.host = &stage->host, .dialect = &many[i], .listener = "l"};
        assert_int_equal(host_join(&endpoint), i < HOST_DIALECTS_MAX ? ERR_OK : ERR_FULL);
    }
    host_fini(&stage->host);
}

static void an_endpoint_without_dialect_shares_nothing(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    struct endpoint rest = {.host = &stage->host, .listener = "rest"};
    assert_null(endpoint_shared(&rest));
    host_fini(&stage->host);
}

static void channels(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    struct endpoint *first = join(stage, 0, &one), *other = join(stage, 1, &two),
                    *again = join(stage, 2, &one);
    assert_int_equal(host_start(&stage->host), ERR_OK);
    assert_int_equal(host_channels(&stage->host), 0);
    endpoint_set_channels(first, 5);
    endpoint_set_channels(other, 30);
    endpoint_set_channels(again, 7); /* the dialect's number, at whichever listener it says it */
    assert_int_equal(host_channels(&stage->host), 37);

    assert_int_equal(endpoint_channels_elsewhere(first), 0);
    host_set_channels_elsewhere(&stage->host, 99000);
    assert_int_equal(endpoint_channels_elsewhere(again), 99000);
    host_broker_down(&stage->host);
    assert_int_equal(endpoint_channels_elsewhere(first), 99000);
    host_stop(&stage->host);
    host_fini(&stage->host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(started_and_stopped_once),
        cmocka_unit_test(a_start_fails),
        cmocka_unit_test(too_many_dialects),
        cmocka_unit_test(an_endpoint_without_dialect_shares_nothing),
        cmocka_unit_test(channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
