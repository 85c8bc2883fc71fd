#include "frames_carousel.h"

#include <string.h>

#include "must.h"
#include "ws_frame.h"

static void put_string(struct out *out, const char *text)
{
    out_json_string(out, text, strlen(text));
}

static void put_timestamp(struct out *out, uint64_t wall_ms)
{
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, wall_ms);
    out_char(out, '"');
}

/* ,"timestamp":…,"seq":"RING-N"} — how every frame from the ring ends. */
static void put_end(struct out *out, uint64_t wall_ms, struct frames_seq seq)
{
    put_timestamp(out, wall_ms);
    frames_put_seq(out, seq);
}

static void put_request_id(struct out *out, const struct carousel_command *command)
{
    if (command->request_id[0] == '\0')
        return;
    out_literal(out, ",\"request_id\":");
    put_string(out, command->request_id);
}

static void put_argument(struct out *out, const struct carousel_command *command)
{
    out_literal(out, ",\"argument\":");
    if (command->argument < 0)
        out_literal(out, "null");
    else
        out_i64(out, command->argument);
}

struct frame_bytes frames_carousel_state(void *memory, size_t cap, const char *machine_id, const char *text,
                                         size_t text_len, uint64_t wall_ms, struct frames_seq seq,
                                         uint32_t *text_offset)
{
    struct out out = ws_frame_begin(memory, cap);
    out_literal(&out, "{\"type\":\"status_broadcast\"");
    put_timestamp(&out, wall_ms);
    out_literal(&out, ",\"status\":{");
    put_string(&out, machine_id);
    out_literal(&out, ":{");
    size_t text_at = out.len;
    out_bytes(&out, text, text_len);
    out_literal(&out, "}}");
    frames_put_seq(&out, seq);
    *text_offset = (uint32_t)(text_at + ws_frame_header_len(out.len));
    return ws_frame_end(&out);
}

struct frame_bytes frames_carousel_result(void *memory, size_t cap, const struct carousel_command *command,
                                          enum command_code_e code, const char *text, uint64_t wall_ms,
                                          struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    bool success = code == CODE_NONE;
    out_literal(&out, "{\"type\":\"command_result\",\"machine_id\":");
    put_string(&out, command->machine_id);
    out_text(&out, success ? ",\"success\":true" : ",\"success\":false");
    out_literal(&out, ",\"data\":{\"command_sent\":");
    out_u64(&out, command->command);
    put_argument(&out, command);
    out_literal(&out, ",\"result\":");
    if (success)
        out_literal(&out, "\"Comando ejecutado correctamente\"");
    else
        put_string(&out, text[0] != '\0' ? text : command_code_text(code));
    out_char(&out, '}');
    if (!success) {
        out_literal(&out, ",\"code\":");
        put_string(&out, command_code_name(code));
    }
    put_request_id(&out, command);
    put_end(&out, wall_ms, seq);
    return ws_frame_end(&out);
}

struct frame_bytes frames_carousel_completed(void *memory, size_t cap, const struct carousel_command *command,
                                             bool success, int position, uint64_t elapsed_ms,
                                             uint64_t wall_ms, struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    out_literal(&out, "{\"type\":\"command_completed\",\"machine_id\":");
    put_string(&out, command->machine_id);
    out_literal(&out, ",\"command\":{\"command\":");
    out_u64(&out, command->command);
    put_argument(&out, command);
    out_text(&out, success ? "},\"success\":true,\"position\":" : "},\"success\":false,\"position\":");
    if (position < 0)
        out_literal(&out, "null");
    else
        out_i64(&out, position);
    out_literal(&out, ",\"elapsed_ms\":");
    out_u64(&out, elapsed_ms);
    put_request_id(&out, command);
    put_end(&out, wall_ms, seq);
    return ws_frame_end(&out);
}

struct frame_bytes frames_carousel_error(void *memory, size_t cap, const struct carousel_command *command,
                                         enum command_code_e code, const char *text, uint64_t wall_ms,
                                         struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    out_literal(&out, "{\"type\":\"error\",\"error\":");
    put_string(&out, text[0] != '\0' ? text : command_code_text(code));
    out_literal(&out, ",\"code\":");
    put_string(&out, command_code_name(code));
    out_literal(&out, ",\"machine_id\":");
    put_string(&out, command->machine_id);
    put_request_id(&out, command);
    put_end(&out, wall_ms, seq);
    return ws_frame_end(&out);
}

struct frame_bytes frames_carousel_alarm(void *memory, size_t cap, const char *machine_id,
                                         const char *condition, bool active, uint64_t wall_ms,
                                         struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    out_literal(&out, "{\"type\":\"alarm\",\"machine_id\":");
    put_string(&out, machine_id);
    out_literal(&out, ",\"condition\":");
    put_string(&out, condition);
    out_text(&out, active ? ",\"active\":true" : ",\"active\":false");
    put_end(&out, wall_ms, seq);
    return ws_frame_end(&out);
}

struct frame_bytes frames_carousel_machine(void *memory, size_t cap, bool added,
                                           const struct machine_info *info, uint64_t wall_ms,
                                           struct frames_seq seq)
{
    struct out out = ws_frame_begin(memory, cap);
    out_text(&out, added ? "{\"type\":\"machine_added\"" : "{\"type\":\"machine_removed\"");
    out_literal(&out, ",\"machine_id\":");
    put_string(&out, info->id);
    out_literal(&out, ",\"machine\":");
    machine_info_json(info, &out);
    put_end(&out, wall_ms, seq);
    return ws_frame_end(&out);
}

/* From the frame's end: its last two bytes are "}, and between the value's quotes stands none. */
struct frame_bytes frames_carousel_without_seq(void *memory, struct frame_bytes frame)
{
    static const char member[] = ",\"seq\":\"";
    unsigned char *payload = (unsigned char *)memory + WS_HEADER_MAX;
    size_t len = frame.len - (size_t)(payload - frame.at), name = sizeof member - 1;
    const unsigned char *quote = memrchr(payload, '"', len - 2);
    MUST(frame.at <= payload && quote != NULL && (size_t)(quote - payload) >= name);
    const unsigned char *at = quote + 1 - name;
    MUST(memcmp(at, member, name) == 0);
    len = (size_t)(at - payload) + 1;
    payload[len - 1] = '}';
    frame.at = ws_frame_prepend(payload, len, WS_TEXT);
    frame.len = len + ws_frame_header_len(len);
    return frame;
}
