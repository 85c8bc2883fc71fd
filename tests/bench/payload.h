/* payload.h — how large the state frames of a run are: the status profile decides, as in real life.
 *
 *     name       profile     one state frame, with 8 machines and header
 *     small      (unknown)   about 190 bytes: no status members
 *     standard   standard    about 280
 *     large      delta-as    about 720: eight members with long texts
 *
 * Only bits of the status byte are varied that raise no alarm, so that no run measures alarm events by accident.
 */
#pragma once

#include <stdint.h>

struct payload {
    const char *name;
    const char *profile; /* as in the configuration */
    uint8_t base;        /* raw status */
    uint8_t varied;      /* bits of it that the source changes beside the position */
};

const struct payload *payload_find(const char *name); /* NULL: none of that name */

/* The state number k of a machine: 256 positions times the varied bits, then again from the start. */
static inline void payload_state(const struct payload *payload, uint64_t k, uint8_t *position, uint8_t *raw)
{
    uint64_t rest = k >> 8;
    *position = (uint8_t)k;
    *raw = payload->base;
    for (unsigned bit = 0; bit < 8; bit++) {
        if ((payload->varied >> bit & 1u) == 0)
            continue;
        *raw = (uint8_t)(*raw ^ (rest & 1u) << bit);
        rest >>= 1;
    }
}
