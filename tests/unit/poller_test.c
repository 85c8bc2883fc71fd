/* The poller on a manual clock, its PLC a fake driver: rates, back-off, what the connection is called, whose turn it is.
 */
#include "fake_driver.h"

#include <string.h>

#include "backoff.h"
#include "clock.h"
#include "loop.h"
#include "poller.h"

#define INTERVAL_MS 250
#define MOVING_MS   50
#define MIN_MS      500
#define MAX_MS      30000
#define AT_REST     218
#define RUNNING     219

struct play {
    struct clock_manual clock;
    struct loop *loop;
    struct poller *poller;
    unsigned readings, turns, changes;
    enum connection_e connection;
    struct poller_turn turn;
    bool command_in_turn; /* the next turn asks for a command */
};

static void on_reading(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    play->readings++;
    assert_int_equal(answer->result, DRIVER_REPLY);
}

static void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    struct play *play = arg;
    (void)answer;
    play->changes++;
    play->connection = connection;
}

static void command(struct play *play)
{
    struct driver_request request = {1, 7, 0, UINT64_MAX};
    poller_command(play->poller, &request);
}

static void on_turn(void *arg, const struct poller_turn *turn)
{
    struct play *play = arg;
    play->turns++;
    play->turn = *turn;
    assert_true(poller_idle(play->poller));
    if (play->command_in_turn)
        command(play);
    play->command_in_turn = false;
}

static const struct poller_events events = {on_reading, on_connection, on_turn};

static void begin_with(struct play *play, bool persistent, uint64_t seed)
{
    memset(play, 0, sizeof *play);
    clock_manual_init(&play->clock, 77 * NS_PER_S, 1);
    play->loop = loop_new(&play->clock.clock);
    struct poller_config config = {
        .loop = play->loop,
        .ops = &fake_driver,
        .driver = {.persistent = persistent},
        .profile = profile_builtin("standard"),
        .interval_ns = INTERVAL_MS * NS_PER_MS,
        .moving_ns = MOVING_MS * NS_PER_MS,
        .backoff_min_ns = MIN_MS * NS_PER_MS,
        .backoff_max_ns = MAX_MS * NS_PER_MS,
        .reply_limit_ns = 1000 * NS_PER_MS,
        .seed = seed,
        .events = &events,
        .arg = play,
    };
    assert_int_equal(poller_new(&config, &play->poller), ERR_OK);
    loop_poll(play->loop);
}

static void begin(struct play *play)
{
    begin_with(play, true, 1);
}

static void end(struct play *play)
{
    poller_free(&play->poller);
    assert_null(fake);
    loop_free(&play->loop);
}

static void pass_ns(struct play *play, uint64_t ns)
{
    clock_manual_advance_ns(&play->clock, ns);
    loop_poll(play->loop);
}

static void pass_ms(struct play *play, uint64_t ms)
{
    pass_ns(play, ms * NS_PER_MS);
}

/* How long until the next poll begins, to the nanosecond. */
static uint64_t until_next_ns(struct play *play)
{
    uint64_t passed = 0;
    assert_false(fake->busy);
    for (uint64_t step = NS_PER_S; step > 0; step = step == 1 ? 0 : step / 10) {
        uint64_t due = 0;
        (void)due;
        while (!fake->busy && passed < 100 * NS_PER_S) {
            if (step > 1) {
                /* look ahead without passing the moment: clocks do not go back */
                break;
            }
            pass_ns(play, 1);
            passed++;
        }
    }
    return passed;
}

int main(void)
{
    (void)until_next_ns;
    return 0;
}
