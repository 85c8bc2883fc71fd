#include "rest_envelope.h"

#include <string.h>

void rest_envelope_begin(struct out *out)
{
    out_literal(out, "{\"success\":true,\"data\":");
}

static void put_end(struct out *out, uint64_t wall_ms, const char *machine)
{
    out_literal(out, ",\"timestamp\":\"");
    out_timestamp(out, wall_ms);
    out_char(out, '"');
    if (machine[0] != '\0') {
        out_literal(out, ",\"machine_id\":");
        out_json_string(out, machine, strlen(machine));
    }
    out_char(out, '}');
}

void rest_envelope_end(struct out *out, uint64_t wall_ms, const char *machine)
{
    out_literal(out, ",\"error\":null,\"code\":null");
    put_end(out, wall_ms, machine);
}

void rest_envelope_error(struct out *out, const char *code, const char *text, uint64_t wall_ms,
                         const char *machine)
{
    out_literal(out, "{\"success\":false,\"data\":null,\"error\":");
    out_json_string(out, text, strlen(text));
    out_literal(out, ",\"code\":\"");
    out_text(out, code);
    out_char(out, '"');
    put_end(out, wall_ms, machine);
}

unsigned rest_status_of_code(enum command_code_e code)
{
    switch (code) {
    case CODE_NONE:
        return 200;
    case CODE_INVALID_COMMAND:
    case CODE_INVALID_MESSAGE_FORMAT:
        return 400;
    case CODE_UNAUTHORIZED:
        return 401;
    case CODE_FORBIDDEN:
        return 403;
    case CODE_MACHINE_NOT_FOUND:
        return 404;
    case CODE_BUSY:
    case CODE_INTERLOCK:
        return 409;
    case CODE_RATE_LIMITED:
        return 429;
    case CODE_CONNECTION_ERROR:
        return 503;
    case CODE_TIMEOUT:
    case CODE_OUTCOME_UNKNOWN:
        return 504;
    case CODE_INTERNAL_ERROR:
    case CODE_COUNT:
        break;
    }
    return 500;
}

const char *rest_name_of_code(enum command_code_e code)
{
    return code == CODE_INVALID_MESSAGE_FORMAT ? "INVALID_JSON" : command_code_name(code);
}

/* 504 is what http says for a handler that does not answer: the command may have been carried out. */
const char *rest_name_of_status(unsigned status)
{
    static const struct {
        unsigned status;
        const char *name;
    } names[] = {{401, "UNAUTHORIZED"},       {403, "FORBIDDEN"},          {404, "NOT_FOUND"},
                 {405, "METHOD_NOT_ALLOWED"}, {408, "REQUEST_TIMEOUT"},    {413, "BODY_TOO_LARGE"},
                 {415, "UNSUPPORTED_TYPE"},   {417, "EXPECTATION_FAILED"}, {503, "OVERLOADED"},
                 {504, "OUTCOME_UNKNOWN"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].status == status)
            return names[i].name;
    return "INTERNAL_ERROR";
}
