#include "system_event.h"

#include <string.h>

void system_event_json(const struct system_event *event, struct out *out)
{
    out_literal(out, "{\"type\":\"system_event\",\"level\":");
    out_json_string(out, event->level, strlen(event->level));
    out_literal(out, ",\"message\":");
    out_json_string(out, event->message, strlen(event->message));
    out_literal(out, ",\"data\":");
    out_text(out, event->data);
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, event->wall_ms);
    out_literal(out, "\"}");
}
