/* Hop: C2. See carousel_answer.h. Frames that reach many are not written here: the broker encodes them once
 * (frames_carousel.h). Both show the same bytes of a machine, because its text is the broker's and is copied. */
#include "carousel_answer.h"

#include <string.h>

#include "conf.h"
#include "must.h"

#define STATES_FRAME 160 /* bytes of a status_broadcast around its machines */

static const struct mirror_machine *seen(const struct endpoint_conn *conn,
                                         const struct mirror_machine *machine)
{
    if (machine == NULL || endpoint_may_all(conn, GRANT_MACHINES_VIEW))
        return machine;
    const char *id = machine->info.id;
    return endpoint_may(conn, GRANT_MACHINES_VIEW, id, strlen(id)) ? machine : NULL;
}

const struct mirror_machine *carousel_machine(struct endpoint_conn *conn, uint32_t slot)
{
    return seen(conn, endpoint_machine(endpoint_of(conn), slot));
}

const struct mirror_machine *carousel_find_machine(struct endpoint_conn *conn, const char *id, size_t len)
{
    return seen(conn, endpoint_find_machine(endpoint_of(conn), id, len));
}

bool carousel_is_single(const struct endpoint *endpoint)
{
    return conf_single_mode(endpoint_conf(endpoint));
}

void carousel_put_timestamp(struct out *out, const struct endpoint *endpoint)
{
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, endpoint_wall_ms(endpoint));
    out_char(out, '"');
}

void carousel_put_text(struct out *out, const char *text)
{
    out_json_string(out, text, strlen(text));
}

void carousel_put_state(struct out *out, const struct mirror_machine *machine)
{
    carousel_put_text(out, machine->info.id);
    out_literal(out, ":{");
    out_bytes(out, machine->text, machine->text_len);
    out_char(out, '}');
}

void carousel_put_all_machines(struct out *out, struct endpoint_conn *conn)
{
    out_char(out, '[');
    for (uint32_t slot = 0, n = 0; slot < endpoint_machine_slots(endpoint_of(conn)); slot++) {
        const struct mirror_machine *machine = carousel_machine(conn, slot);
        if (machine == NULL)
            continue;
        if (n++ > 0)
            out_char(out, ',');
        machine_info_json(&machine->info, out);
    }
    out_char(out, ']');
}

struct out carousel_large(struct endpoint_conn *conn)
{
    return out_init(endpoint_scratch(endpoint_of(conn)), ENDPOINT_SCRATCH);
}

bool carousel_reply(struct endpoint_conn *conn, const struct out *out)
{
    if (out->overflow)
        carousel_reply_error(conn, CODE_RATE_LIMITED, "Too many machines for one message: name fewer", "",
                             "");
    else
        endpoint_reply(conn, out->at, out->len);
    return !out->overflow;
}

void carousel_reply_error(struct endpoint_conn *conn, enum command_code_e code, const char *text,
                          const char *machine, const char *request_id)
{
    char memory[CAROUSEL_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"error\",\"error\":");
    carousel_put_text(&out, text[0] != '\0' ? text : command_code_text(code));
    out_literal(&out, ",\"code\":");
    carousel_put_text(&out, command_code_name(code));
    if (machine[0] != '\0') {
        out_literal(&out, ",\"machine_id\":");
        carousel_put_text(&out, machine);
    }
    if (request_id[0] != '\0') {
        out_literal(&out, ",\"request_id\":");
        carousel_put_text(&out, request_id);
    }
    carousel_put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    MUST(!out.overflow); /* all three texts are bounded where they are read */
    endpoint_reply(conn, out.at, out.len);
}

size_t carousel_states_bound(const struct mirror_machine *const *machines, uint32_t count)
{
    size_t bytes = STATES_FRAME + ENDPOINT_SEQ_MAX;
    for (uint32_t i = 0; i < count; i++)
        bytes += strlen(machines[i]->info.id) + machines[i]->text_len + sizeof(",\"\":{}");
    return bytes;
}

size_t carousel_write_states(struct endpoint *endpoint, const struct mirror_machine *const *machines,
                             uint32_t count, uint64_t position, char *payload, size_t cap)
{
    struct out out = out_init(payload, cap);
    out_literal(&out, "{\"type\":\"status_broadcast\"");
    carousel_put_timestamp(&out, endpoint);
    out_literal(&out, ",\"status\":{");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            out_char(&out, ',');
        carousel_put_state(&out, machines[i]);
    }
    out_char(&out, '}');
    if (position > 0) {
        char seq[ENDPOINT_SEQ_MAX];
        endpoint_seq(endpoint, position, seq);
        out_literal(&out, ",\"seq\":\"");
        out_text(&out, seq);
        out_char(&out, '"');
    }
    out_char(&out, '}');
    MUST(!out.overflow);
    return out.len;
}

void carousel_reply_gap(struct endpoint_conn *conn)
{
    char memory[96];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"type\":\"gap\"");
    carousel_put_timestamp(&out, endpoint_of(conn));
    out_char(&out, '}');
    carousel_reply(conn, &out);
}
