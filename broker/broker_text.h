/* broker_text.h — is a text fit to be shown to clients? */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF) without NUL. */
bool broker_text_clean(const char *text, size_t len);
