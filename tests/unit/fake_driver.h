/* fake_driver.h — a driver whose PLC is the test: it notes what it is asked and answers when it is told to. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>

#include "driver.h"

struct driver {
    struct driver_config config;
    struct driver_request request; /* the last one */
    bool busy, open;
    unsigned exchanges, written[256]; /* exchanges begun; by command, those that were answered as sent */
    uint64_t asked_ns;
    struct driver_counts counts;
};

static struct driver *fake; /* the one that is open */

static inline enum err_e fake_open(const struct driver_config *config, struct driver **driver)
{
    fake = calloc(1, sizeof *fake);
    fake->config = *config;
    *driver = fake;
    return ERR_OK;
}

static inline void fake_close(struct driver **driver)
{
    free(*driver);
    *driver = fake = NULL;
}

static inline void fake_exchange(struct driver *driver, const struct driver_request *request)
{
    assert_false(driver->busy);
    driver->busy = true;
    driver->request = *request;
    driver->exchanges++;
    driver->asked_ns = loop_now_ns(driver->config.loop);
}

static inline enum driver_state_e fake_state(const struct driver *driver)
{
    if (driver->busy)
        return DRIVER_STATE_BUSY;
    return driver->open ? DRIVER_STATE_OPEN : DRIVER_STATE_CLOSED;
}

static inline const struct driver_counts *fake_counts(const struct driver *driver)
{
    return &driver->counts;
}

static const struct driver_ops fake_driver = {"fake",        fake_open,  fake_close,
                                              fake_exchange, fake_state, fake_counts};

static inline void fake_answer(struct driver_answer answer)
{
    assert_true(fake->busy);
    fake->busy = false;
    fake->open = answer.result == DRIVER_REPLY;
    if (answer.sent != DRIVER_NOT_SENT)
        fake->written[fake->request.command]++;
    answer.readable_ns = loop_now_ns(fake->config.loop);
    fake->config.done(fake->config.arg, &answer);
}

static inline void fake_reply(uint8_t status, uint8_t position)
{
    fake_answer((struct driver_answer){.result = DRIVER_REPLY,
                                       .sent = DRIVER_SENT,
                                       .status = status,
                                       .position = position,
                                       .took_ns = NS_PER_MS});
}

static inline void fake_fail(enum driver_result_e result, enum driver_sent_e sent)
{
    fake_answer((struct driver_answer){.result = result, .sent = sent});
}
