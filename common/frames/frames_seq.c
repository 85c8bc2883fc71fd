#include "frames_seq.h"

void frames_put_seq(struct out *out, struct frames_seq seq)
{
    out_literal(out, ",\"seq\":\"");
    out_hex32(out, seq.ring_id);
    out_char(out, '-');
    out_u64(out, seq.position / 64);
    out_literal(out, "\"}");
}
