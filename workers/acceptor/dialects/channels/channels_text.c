/* Hop: C2. See channels_text.h. Members in the order of the source document's examples. */
#include "channels_text.h"

#include <string.h>

static void put_channel(struct out *out, const char *channel, size_t len)
{
    out_literal(out, ",\"channel\":");
    out_json_string(out, channel, len);
}

static void put_end(struct out *out, uint64_t wall_ms)
{
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, wall_ms);
    out_literal(out, "\"}");
}

void channels_text_connection(struct out *out, const char *channel, size_t len, uint64_t wall_ms)
{
    out_literal(out, "{\"type\":\"connection\",\"status\":\"connected\"");
    put_channel(out, channel, len);
    put_end(out, wall_ms);
}

void channels_text_authenticated(struct out *out, const char *user_id, const char *channel, size_t len)
{
    out_literal(out, "{\"type\":\"authenticated\",\"user_id\":");
    out_json_string(out, user_id, strlen(user_id));
    put_channel(out, channel, len);
    out_char(out, '}');
}

void channels_text_gap(struct out *out, const char *channel, size_t len, uint64_t wall_ms)
{
    out_literal(out, "{\"type\":\"gap\"");
    put_channel(out, channel, len);
    put_end(out, wall_ms);
}

void channels_text_pong(struct out *out, uint64_t wall_ms)
{
    out_literal(out, "{\"type\":\"pong\"");
    put_end(out, wall_ms);
}

void channels_text_error(struct out *out, const char *message)
{
    out_literal(out, "{\"type\":\"error\",\"message\":");
    out_json_string(out, message, strlen(message));
    out_char(out, '}');
}

void channels_text_going_away(struct out *out, uint64_t wall_ms)
{
    out_literal(out,
                "{\"type\":\"system_event\",\"level\":\"info\",\"message\":\"Servidor deteni\xc3\xa9ndose\","
                "\"data\":{\"module\":\"websocket\"}");
    put_end(out, wall_ms);
}
