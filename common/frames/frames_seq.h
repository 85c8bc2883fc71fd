/* frames_seq.h — "seq", the last member of what comes by the ring: the address by which a client resumes.
 *
 *     …,"seq":"0a1b2c3d-17"}      RING-N, N = position / 64
 */
#pragma once

#include <stdint.h>

#include "bytes.h"

#define FRAMES_SEQ_MAX 40u /* bytes of the member with its comma, and of the brace behind it */

struct frames_seq { /* the record that will carry the frame */
    uint32_t ring_id;
    uint64_t position;
};

/* ,"seq":"RING-N"} — the end of an object that has members already. */
void frames_put_seq(struct out *out, struct frames_seq seq);
