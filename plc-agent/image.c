/* See image.h (Hop: D3, D4). */
#include "image.h"

#include "clock.h"

void image_init(struct image *image)
{
    *image = (struct image){.now = {.connection = CONNECTION_DISCONNECTED}};
}

void image_reading(struct image *image, uint8_t raw, uint8_t position, uint64_t read_ns, uint64_t wall_ms)
{
    image->now.has_reading = true;
    image->now.raw_status = raw;
    image->now.position = position;
    image->now.read_wall_ms = wall_ms;
    image->read_ns = read_ns;
    image->source_ns = read_ns;
}

void image_connection(struct image *image, enum connection_e connection, uint64_t now_ns)
{
    image->now.connection = connection;
    image->source_ns = now_ns;
}

bool image_differs(const struct image *image)
{
    return !image->ever_sent || machine_state_differs(&image->now, &image->sent);
}

int64_t image_age_ms(const struct image *image, uint64_t now_ns)
{
    if (!image->now.has_reading)
        return -1;
    return now_ns > image->read_ns ? (int64_t)((now_ns - image->read_ns) / NS_PER_MS) : 0;
}

void image_state(const struct image *image, bool birth, uint64_t now_ns, struct wire_state *state)
{
    int64_t age_ms = image_age_ms(image, now_ns);
    state->state_seq = image->seq + 1;
    state->birth = birth;
    state->connection = image->now.connection;
    state->has_reading = image->now.has_reading;
    state->raw_status = image->now.raw_status;
    state->position = image->now.position;
    state->read_wall_ms = image->now.read_wall_ms;
    state->reading_age_ms = age_ms < 0 ? 0 : (uint64_t)age_ms;
    state->source_ns = image->source_ns;
}

void image_was_sent(struct image *image)
{
    image->sent = image->now;
    image->ever_sent = true;
    image->seq++;
}
