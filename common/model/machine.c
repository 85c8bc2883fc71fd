#include "machine.h"

#include <string.h>

#include "must.h"

bool machine_id_valid(const char *id, size_t len)
{
    if (len == 0 || len > MACHINE_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = id[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '_' && c != '.' && c != ':' && c != '-')
            return false;
    }
    return len > 2 || memcmp(id, "..", len) != 0; /* "." neither: ids become names of directories */
}

const char *connection_text(enum connection_e connection)
{
    static const char *const texts[] = {
#define X(name, text) text,
        CONNECTION_TABLE(X)
#undef X
    };
    MUST((unsigned)connection < CONNECTION_COUNT);
    return texts[connection];
}

bool machine_state_differs(const struct machine_state *a, const struct machine_state *b)
{
    if (a->connection != b->connection || a->has_reading != b->has_reading)
        return true;
    return a->has_reading && (a->raw_status != b->raw_status || a->position != b->position);
}

void machine_state_text(const struct machine_state *state, const struct profile *profile, struct out *out)
{
    out_literal(out, "\"status\":");
    if (state->has_reading && profile != NULL)
        profile_json(profile, state->raw_status, out);
    else
        out_literal(out, "{}");
    out_literal(out, ",\"position\":");
    if (state->has_reading)
        out_u64(out, state->position);
    else
        out_literal(out, "null");
    out_literal(out, ",\"raw_status\":");
    if (state->has_reading)
        out_u64(out, state->raw_status);
    else
        out_literal(out, "null");
    out_literal(out, ",\"connection_status\":\"");
    out_text(out, connection_text(state->connection));
    out_char(out, '"');
}

void machine_info_json(const struct machine_info *info, struct out *out)
{
    out_literal(out, "{\"id\":");
    out_json_string(out, info->id, strlen(info->id));
    out_literal(out, ",\"name\":");
    out_json_string(out, info->name, strlen(info->name));
    out_literal(out, ",\"ip\":");
    out_json_string(out, info->ip, strlen(info->ip));
    out_literal(out, ",\"port\":");
    out_u64(out, info->port);
    out_literal(out, ",\"type\":");
    out_text(out, info->simulator ? "\"Simulator\"}" : "\"Real PLC\"}");
}
