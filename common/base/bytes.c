#include "bytes.h"

#include "clock.h"

void out_u64(struct out *out, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    out_bytes(out, digits + n, sizeof digits - n);
}

void out_i64(struct out *out, int64_t value)
{
    if (value < 0)
        out_char(out, '-');
    out_u64(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void out_hex32(struct out *out, uint32_t value)
{
    char digits[8];
    for (int i = 7; i >= 0; i--, value >>= 4)
        digits[i] = "0123456789abcdef"[value & 15];
    out_bytes(out, digits, sizeof digits);
}

void out_timestamp(struct out *out, uint64_t wall_ms)
{
    char stamp[CLOCK_ISO_LEN + 1];
    clock_iso8601(wall_ms, stamp);
    out_bytes(out, stamp, CLOCK_ISO_LEN);
}

static void escape(struct out *out, unsigned char c)
{
    char esc[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
    switch (c) {
    case '"':
    case '\\':
        out_char(out, '\\');
        out_char(out, (char)c);
        return;
    case '\n':
        out_literal(out, "\\n");
        return;
    case '\r':
        out_literal(out, "\\r");
        return;
    case '\t':
        out_literal(out, "\\t");
        return;
    default:
        out_bytes(out, esc, sizeof esc);
    }
}

void out_json_string(struct out *out, const char *text, size_t len)
{
    out_char(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        out_bytes(out, text + plain, i - plain);
        escape(out, c);
        plain = i + 1;
    }
    out_bytes(out, text + plain, len - plain);
    out_char(out, '"');
}
