/* Hop: C2. The routes, and what is answered from the worker's mirror: machines, states, health. */
#include "rest.h"

#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "identity.h"
#include "must.h"
#include "rest_internal.h"

#define JSON "application/json"

/* --- answering ---------------------------------------------------------------------------------------------------------- */

void rest_answer(struct http_exchange *x, unsigned status, const struct out *out)
{
    MUST(!out->overflow);
    http_answer(
        x, &(struct http_response){.status = status, .type = JSON, .body = out->at, .body_len = out->len});
}

static void answer_failure(struct rest *rest, struct http_exchange *x, unsigned status, const char *code,
                           const char *text, const char *machine)
{
    char memory[REST_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    rest_envelope_error(&out, code, text, endpoint_wall_ms(rest->config.endpoint), machine);
    rest_answer(x, status, &out);
}

void rest_answer_error(struct rest *rest, struct http_exchange *x, enum command_code_e code, const char *text,
                       const char *machine)
{
    answer_failure(rest, x, rest_status_of_code(code), rest_name_of_code(code),
                   text[0] != '\0' ? text : command_code_text(code), machine);
}

static void refuse(void *arg, struct http_exchange *x, unsigned status, const char *text)
{
    answer_failure(arg, x, status, rest_name_of_status(status), text, "");
}

/* --- machines ----------------------------------------------------------------------------------------------------------- */

static bool is_single(const struct rest *rest)
{
    return conf_single_mode(endpoint_conf(rest->config.endpoint));
}

static bool may_see(const struct http_exchange *x, const struct mirror_machine *machine)
{
    const char *id = machine->info.id;
    return identity_may(http_identity(x), GRANT_MACHINES_VIEW, id, strlen(id));
}

/* The machine in a slot; NULL: none, or none that the client may see. */
static const struct mirror_machine *machine_at(const struct rest *rest, const struct http_exchange *x,
                                               uint32_t slot)
{
    const struct mirror_machine *machine = endpoint_machine(rest->config.endpoint, slot);
    return machine != NULL && may_see(x, machine) ? machine : NULL;
}

const struct mirror_machine *rest_machine(struct rest *rest, struct http_exchange *x, bool single)
{
    struct endpoint *endpoint = rest->config.endpoint;
    const char *id = single ? endpoint_conf(endpoint)->machines[0].info.id : http_param(x, 0);
    size_t len = strlen(id);
    const struct mirror_machine *machine = endpoint_find_machine(endpoint, id, len);
    if (machine != NULL && !may_see(x, machine))
        machine = NULL;
    if (machine == NULL) /* only what could be an id is safe to repeat */
        rest_answer_error(rest, x, CODE_MACHINE_NOT_FOUND, "", machine_id_valid(id, len) ? id : "");
    return machine;
}

static void get_machines(void *arg, struct http_exchange *x)
{
    struct rest *rest = arg;
    struct endpoint *endpoint = rest->config.endpoint;
    struct out out = out_init(endpoint_scratch(endpoint), ENDPOINT_SCRATCH);
    rest->counts.reads++;
    rest_envelope_begin(&out);
    out_char(&out, '[');
    for (uint32_t slot = 0, n = 0; slot < endpoint_machine_slots(endpoint); slot++) {
        const struct mirror_machine *machine = machine_at(rest, x, slot);
        if (machine == NULL)
            continue;
        if (n++ > 0)
            out_char(&out, ',');
        machine_info_json(&machine->info, &out);
    }
    out_char(&out, ']');
    rest_envelope_end(&out, endpoint_wall_ms(endpoint), "");
    rest_answer(x, 200, &out);
}

static void answer_status(struct rest *rest, struct http_exchange *x, bool single)
{
    char memory[REST_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    const struct mirror_machine *machine = rest_machine(rest, x, single);
    rest->counts.reads++;
    if (machine == NULL)
        return;
    rest_envelope_begin(&out);
    out_char(&out, '{');
    out_bytes(&out, machine->text, machine->text_len);
    out_char(&out, '}');
    rest_envelope_end(&out, endpoint_wall_ms(rest->config.endpoint), machine->info.id);
    rest_answer(x, 200, &out);
}

static void get_status(void *arg, struct http_exchange *x)
{
    answer_status(arg, x, false);
}

static void get_single_status(void *arg, struct http_exchange *x)
{
    answer_status(arg, x, true);
}

static void get_health(void *arg, struct http_exchange *x)
{
    struct rest *rest = arg;
    struct endpoint *endpoint = rest->config.endpoint;
    char memory[REST_SMALL_MAX];
    struct out out = out_init(memory, sizeof memory);
    uint32_t connected = 0, count = 0;
    rest->counts.reads++;
    for (uint32_t slot = 0; slot < endpoint_machine_slots(endpoint); slot++) {
        const struct mirror_machine *machine = machine_at(rest, x, slot);
        count += machine != NULL;
        connected += machine != NULL && machine->state.connection == CONNECTION_CONNECTED;
    }
    rest_envelope_begin(&out);
    out_literal(&out, "{\"status\":\"ok\",\"version\":\"" NORIA_VERSION "\",\"mode\":");
    out_text(&out, is_single(rest) ? "\"single-plc\"" : "\"multi-plc\"");
    out_literal(&out, ",\"machines\":");
    out_u64(&out, count);
    out_literal(&out, ",\"machines_connected\":");
    out_u64(&out, connected);
    out_char(&out, '}');
    rest_envelope_end(&out, endpoint_wall_ms(endpoint), "");
    rest_answer(x, 200, &out);
}

/* --- the API ------------------------------------------------------------------------------------------------------------ */

/* The last three only in single mode. */
#define SINGLE_ROUTES 3u
static const struct http_route routes[] = {
    {HTTP_GET, "/v1/machines", NULL, false, get_machines},
    {HTTP_GET, "/v1/machines/{id}/status", NULL, false, get_status},
    {HTTP_POST, "/v1/machines/{id}/command", JSON, false, rest_handle_command},
    {HTTP_POST, "/v1/machines/{id}/move", JSON, false, rest_handle_move},
    {HTTP_POST, "/v1/machines/{id}/rearm", JSON, false, rest_handle_rearm},
    {HTTP_GET, "/v1/health", NULL, false, get_health},
    {HTTP_GET, "/v1/status", NULL, false, get_single_status},
    {HTTP_POST, "/v1/command", JSON, false, rest_handle_single_command},
    {HTTP_POST, "/v1/rearm", JSON, false, rest_handle_single_rearm},
};

enum err_e rest_new(const struct rest_config *config, struct rest **out)
{
    struct rest *rest = calloc(1, sizeof *rest);
    *out = rest;
    if (rest == NULL)
        return ERR_MEMORY;
    rest->config = *config;
    list_init(&rest->waiting);
    rest->api = (struct http_api){.prefix = "/v1",
                                  .routes = routes,
                                  .route_count = ARRAY_LEN(routes) - (is_single(rest) ? 0 : SINGLE_ROUTES),
                                  .refuse = refuse,
                                  .arg = rest};
    return ERR_OK;
}

void rest_free(struct rest **rest)
{
    if (*rest == NULL)
        return;
    MUST(list_empty(&(*rest)->waiting));
    free(*rest);
    *rest = NULL;
}

const struct http_api *rest_api(const struct rest *rest)
{
    return &rest->api;
}

const struct rest_counts *rest_counts(const struct rest *rest)
{
    return &rest->counts;
}
