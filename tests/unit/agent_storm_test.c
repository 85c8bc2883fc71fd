/* Storms (agent_storm.h) over one agent and its real journal, and over agents that die at any moment, also with the power. */
#include "agent_storm.h"

static void persistent_storm(void **state)
{
    (void)state;
    storm_with(seed_of(entropy_u64() >> 20), true, STORM_PLAIN);
}

static void per_request_storm(void **state)
{
    (void)state;
    storm_with(seed_of(entropy_u64() >> 20), false, STORM_PLAIN);
}

static void storm_of_deaths(void **state)
{
    (void)state;
    storm_with(seed_of(entropy_u64() >> 20), true, STORM_DEATHS);
}

static void storm_of_power_cuts(void **state)
{
    (void)state;
    storm_with(seed_of(entropy_u64() >> 20), true, STORM_POWER);
}

int main(void)
{
    log_init("agent", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(persistent_storm),
        cmocka_unit_test(per_request_storm),
        cmocka_unit_test(storm_of_deaths),
        cmocka_unit_test(storm_of_power_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
