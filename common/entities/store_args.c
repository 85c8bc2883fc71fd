/* store_args.c — see store_args.h. Numbers are 8 bytes, little-endian; texts have a length of 4 bytes before them. */
#include "store_args.h"

#include <math.h>
#include <string.h>

#include "must.h"
#include "store_op.h"
#include "utf8.h"

static const struct {
    const char *name;
    enum store_kind_e kind;
} args_table[] = {
#define A(NAME, member, TYPE) [ARG_##NAME] = {member, STORE_##TYPE},
    STORE_ARG_TABLE(A)
#undef A
};

const char *store_arg_name(enum store_arg_e arg)
{
    MUST(arg > STORE_ARG_END && arg < ARG_COUNT);
    return args_table[arg].name;
}

enum store_kind_e store_arg_kind(enum store_arg_e arg)
{
    MUST(arg > STORE_ARG_END && arg < ARG_COUNT);
    return args_table[arg].kind;
}

enum store_arg_e store_arg_find(const char *name, size_t len)
{
    for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++)
        if (strlen(args_table[arg].name) == len && memcmp(args_table[arg].name, name, len) == 0)
            return (enum store_arg_e)arg;
    return STORE_ARG_END;
}

void store_row_set(struct store_row *row, enum store_arg_e arg, struct store_value value)
{
    MUST(value.kind == STORE_NULL || value.kind == store_arg_kind(arg));
    row->values[arg] = value;
    row->present |= 1ULL << arg;
}

/* --- writing -------------------------------------------------------------------------------------------------------- */

static void put_u64(struct out *out, uint64_t value)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    out_bytes(out, bytes, sizeof bytes);
}

static void put_text(struct out *out, struct store_text text)
{
    unsigned char len[4];
    for (unsigned i = 0; i < 4; i++)
        len[i] = (unsigned char)(text.len >> (8 * i));
    out_bytes(out, len, sizeof len);
    out_bytes(out, text.at, text.len);
}

static void put_value(struct out *out, const struct store_value *value)
{
    uint64_t bits;
    out_char(out, (char)value->kind);
    switch (value->kind) {
    case STORE_NULL:
        return;
    case STORE_INT:
        put_u64(out, (uint64_t)value->whole);
        return;
    case STORE_REAL:
        memcpy(&bits, &value->real, sizeof bits);
        put_u64(out, bits);
        return;
    case STORE_TEXT:
        put_text(out, value->text);
        return;
    case STORE_BOOL:
        out_char(out, value->truth ? 1 : 0);
        return;
    }
    MUST_NOT_REACH();
}

void store_args_put(struct out *out, const struct store_row *row)
{
    for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++)
        if (store_row_has(row, (enum store_arg_e)arg)) {
            out_char(out, (char)arg);
            put_value(out, &row->values[arg]);
        }
    out_char(out, STORE_ARG_END);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static uint64_t take_number(struct in *in, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)in_u8(in) << (8 * i);
    return value;
}

static bool take_text(struct in *in, struct store_text *text)
{
    text->len = (uint32_t)take_number(in, 4);
    text->at = in_bytes(in, text->len);
    return !in->underflow && memchr(text->at, 0, text->len) == NULL && utf8_is_valid(text->at, text->len);
}

static bool take_value(struct in *in, struct store_value *value)
{
    uint64_t bits;
    switch (value->kind) {
    case STORE_NULL:
        return true;
    case STORE_INT:
        value->whole = (int64_t)take_number(in, 8);
        return true;
    case STORE_REAL:
        bits = take_number(in, 8);
        memcpy(&value->real, &bits, sizeof bits);
        return isfinite(value->real);
    case STORE_TEXT:
        return take_text(in, &value->text);
    case STORE_BOOL:
        bits = in_u8(in);
        value->truth = bits == 1;
        return bits <= 1;
    }
    return false;
}

static bool take_argument(struct in *in, unsigned arg, struct store_row *row)
{
    struct store_value value = {.kind = (enum store_kind_e)in_u8(in)};
    if (arg >= ARG_COUNT || row->present >> arg != 0 || /* there already, or one behind it */
        (value.kind != STORE_NULL && value.kind != args_table[arg].kind) || !take_value(in, &value) ||
        in->underflow)
        return false;
    store_row_set(row, (enum store_arg_e)arg, value);
    return true;
}

enum err_e store_args_next(struct store_args *args, struct store_row *row)
{
    struct in in = in_init(args->at, args->left);
    unsigned arg;
    row->present = 0;
    if (args->left == 0)
        return ERR_NOT_FOUND;
    while ((arg = in_u8(&in)) != STORE_ARG_END)
        if (!take_argument(&in, arg, row))
            return ERR_MALFORMED;
    if (in.underflow)
        return ERR_MALFORMED;
    *args = (struct store_args){in.at, in.left};
    return ERR_OK;
}

/* --- operations ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool writes;
} operations[] = {[STORE_OP_NONE] = {"?", false},
#define O(NAME, writes, text) [STORE_OP_##NAME] = {#NAME, writes},
                  STORE_OP_TABLE(O)
#undef O
};

bool store_op_writes(enum store_op_e op)
{
    return op < STORE_OP_COUNT && operations[op].writes;
}

const char *store_op_name(enum store_op_e op)
{
    return op < STORE_OP_COUNT ? operations[op].name : "?";
}
