/* system_event.h — the message by which the installation itself speaks to clients of channels.
 *
 *     {"type":"system_event","level":"warning","message":"Proceso caído","data":{"process":"worker.0"},"timestamp":"…"}
 *
 * Members and their order are those of the source, sensor-channels-websocket ("Eventos del Sistema"). Broker, store and workers say some each; what
 * comes by the ring has a last member "seq" behind these (frames_channels.h).
 */
#pragma once

#include <stdint.h>

#include "bytes.h"

struct system_event {
    const char *level;   /* "info", "warning" or "error" */
    const char *message; /* UTF-8 */
    const char *data;    /* a JSON object, as it is written */
    uint64_t wall_ms;
};

void system_event_json(const struct system_event *event, struct out *out);
