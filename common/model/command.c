#include "command.h"

const char *command_code_name(enum command_code_e code)
{
    static const char *const names[] = {
#define X(name, text) #name,
        COMMAND_CODE_TABLE(X)
#undef X
    };
    return code > CODE_NONE && code < CODE_COUNT ? names[code] : names[CODE_INTERNAL_ERROR];
}

const char *command_code_text(enum command_code_e code)
{
    static const char *const texts[] = {
#define X(name, text) text,
        COMMAND_CODE_TABLE(X)
#undef X
    };
    return code > CODE_NONE && code < CODE_COUNT ? texts[code] : texts[CODE_INTERNAL_ERROR];
}
