/* Hop: R2. Only adapters: the encoders are pure functions of common/frames. */
#include "dialect_frames.h"

#include "must.h"

static struct carousel_command carousel_command(const struct command_fate *fate)
{
    return (struct carousel_command){fate->machine_id, fate->request_id, fate->command, fate->argument};
}

static struct frame_bytes carousel_result(void *memory, size_t cap, const struct command_fate *fate,
                                          uint64_t wall_ms, struct frames_seq seq)
{
    struct carousel_command command = carousel_command(fate);
    return frames_carousel_result(memory, cap, &command, fate->code, fate->text, wall_ms, seq);
}

static struct frame_bytes carousel_completed(void *memory, size_t cap, const struct command_fate *fate,
                                             uint64_t wall_ms, struct frames_seq seq)
{
    struct carousel_command command = carousel_command(fate);
    return frames_carousel_completed(memory, cap, &command, fate->code == CODE_NONE, fate->position,
                                     fate->elapsed_ms, wall_ms, seq);
}

static struct frame_bytes carousel_error(void *memory, size_t cap, const struct command_fate *fate,
                                         uint64_t wall_ms, struct frames_seq seq)
{
    struct carousel_command command = carousel_command(fate);
    return frames_carousel_error(memory, cap, &command, fate->code, fate->text, wall_ms, seq);
}

const struct dialect_frames *dialect_frames(uint64_t dialect)
{
    static const struct dialect_frames table[] = {
        [DIALECT_CAROUSEL] = {carousel_result, carousel_completed, carousel_error},
    };
    return dialect < ARRAY_LEN(table) && table[dialect].result != NULL ? &table[dialect] : NULL;
}
