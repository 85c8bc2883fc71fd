#include "errcode.h"

const char *err_text(enum err_e err)
{
    static const char *const texts[] = {
#define X(name, text) text,
        ERR_TABLE(X)
#undef X
    };
    return (unsigned)err < ERR_COUNT ? texts[err] : "unknown error";
}
