/* bytes.h — bounded byte cursors: no reader or writer of Noria's steps outside its buffer.
 *
 * `struct out` writes into memory of the caller's. A write that does not fit writes nothing, and sets `overflow`,
 * which stays set; callers check it once, at the end. `struct in` reads likewise.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct out {
    char *at;
    size_t len, cap;
    bool overflow;
};

static inline struct out out_init(void *memory, size_t cap)
{
    return (struct out){.at = memory, .cap = cap};
}

static inline void out_bytes(struct out *out, const void *data, size_t len)
{
    if (out->overflow || len > out->cap - out->len) {
        out->overflow = true;
        return;
    }
    if (len > 0)
        memcpy(out->at + out->len, data, len);
    out->len += len;
}

static inline void out_char(struct out *out, char c)
{
    out_bytes(out, &c, 1);
}

static inline void out_text(struct out *out, const char *text)
{
    out_bytes(out, text, strlen(text));
}

#define out_literal(out, text) out_bytes(out, "" text, sizeof(text) - 1)

void out_u64(struct out *out, uint64_t value);         /* decimal */
void out_i64(struct out *out, int64_t value);          /* decimal */
void out_hex32(struct out *out, uint32_t value);       /* eight lower-case digits */
void out_timestamp(struct out *out, uint64_t wall_ms); /* clock_iso8601() without quotes */

/* The shortest digits that read as the same double again, as JSON has them: 0.1, 21.5, 3.0, -0.0, 1e+22. `value` is finite. */
void out_double(struct out *out, double value);

/* A JSON string with quotes. `text` is UTF-8 already (validated where it entered); quotes, backslashes and control
 * characters are escaped, everything else is written as it is. */
void out_json_string(struct out *out, const char *text, size_t len);

struct in {
    const unsigned char *at;
    size_t left;
    bool underflow;
};

static inline struct in in_init(const void *data, size_t len)
{
    return (struct in){.at = data, .left = len};
}

/* The next `len` bytes in place, or NULL (and `underflow`) if there are fewer. */
static inline const void *in_bytes(struct in *in, size_t len)
{
    if (in->underflow || len > in->left) {
        in->underflow = true;
        return NULL;
    }
    const void *here = in->at;
    in->at += len;
    in->left -= len;
    return here;
}

static inline uint8_t in_u8(struct in *in)
{
    const unsigned char *p = in_bytes(in, 1);
    return p ? *p : 0;
}
