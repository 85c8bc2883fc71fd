/* driver_play.h — for the tests of the carousel driver: one driver, what it is asked and what it answered, on a manual
 * clock. Time limits pass only when a test moves the clock. */
#pragma once

#include "plc_fixture.h"

#include "carousel_driver.h"

#define CONNECT_MS 2000
#define REPLY_MS   1000

struct play {
    struct plc_fixture f;
    struct sim_plc *plc;
    struct driver *driver;
    unsigned answers;
    struct driver_answer answer;
};

static inline void on_done(void *arg, const struct driver_answer *answer)
{
    struct play *play = arg;
    play->answers++;
    play->answer = *answer;
}

static inline void open_driver(struct play *play, const char *host, uint16_t port, bool persistent)
{
    struct driver_config config = {play->f.loop,           host,    port, persistent,
                                   CONNECT_MS * NS_PER_MS, on_done, play};
    assert_int_equal(carousel_driver.open(&config, &play->driver), ERR_OK);
}

static inline void begin(struct play *play, bool persistent)
{
    memset(play, 0, sizeof *play);
    plc_begin(&play->f, false);
    play->plc = plc_add(&play->f, "m1", "standard", 100);
    open_driver(play, "127.0.0.1", play->plc->port, persistent);
}

static inline void end(struct play *play)
{
    carousel_driver.close(&play->driver);
    assert_null(play->driver);
    plc_end(&play->f);
}

static inline void ask_by(struct play *play, uint8_t command, int16_t argument, uint64_t send_by_ns)
{
    struct driver_request request = {command, argument, REPLY_MS * NS_PER_MS, send_by_ns};
    carousel_driver.exchange(play->driver, &request);
    assert_int_equal(carousel_driver.state(play->driver), DRIVER_STATE_BUSY);
}

static inline void ask(struct play *play, uint8_t command, int16_t argument)
{
    ask_by(play, command, argument, UINT64_MAX);
}

static inline void expect(struct play *play, enum driver_result_e result, enum driver_sent_e sent)
{
    unsigned before = play->answers;
    TURN_UNTIL(play->f.loop, play->answers > before);
    assert_int_equal(play->answers, before + 1);
    assert_int_equal(play->answer.result, result);
    assert_int_equal(play->answer.sent, sent);
    if (result != DRIVER_REPLY)
        assert_int_equal(play->answer.status + play->answer.position, 0);
}

static inline void pass_ms(struct play *play, uint64_t ms)
{
    clock_manual_advance_ns(&play->f.manual, ms * NS_PER_MS);
}

static inline void expect_status(struct play *play, uint8_t position)
{
    ask(play, 0, DRIVER_NO_ARGUMENT);
    expect(play, DRIVER_REPLY, DRIVER_SENT);
    assert_int_equal(play->answer.status, 218);
    assert_int_equal(play->answer.position, position);
}

static inline void both_ways(void (*body)(struct play *play))
{
    for (int persistent = 0; persistent < 2; persistent++) {
        struct play play;
        begin(&play, persistent);
        body(&play);
        end(&play);
    }
}
