/* Fuzzes the rows of arguments that a worker's bytes bring to the store. Checked beside memory: rows that are accepted encode to the very bytes they
 * came from, so there is one text for each row; a row that is refused takes nothing. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "must.h"
#include "store_args.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_values(const struct store_row *row, const uint8_t *data, size_t size)
{
    MUST(row->present >> ARG_COUNT == 0 && (row->present & 1) == 0);
    for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++) {
        const struct store_value *value = &row->values[arg];
        if (!store_row_has(row, (enum store_arg_e)arg) || value->kind == STORE_NULL)
            continue;
        MUST(value->kind == store_arg_kind((enum store_arg_e)arg));
        MUST(value->kind != STORE_REAL || isfinite(value->real));
        if (value->kind == STORE_TEXT) {
            const uint8_t *at = (const uint8_t *)value->text.at;
            MUST(at >= data && at + value->text.len <= data + size);
            MUST(utf8_is_valid(value->text.at, value->text.len));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char again[1 << 20];
    struct out out = out_init(again, sizeof again);
    struct store_args args = {data, size}, before = args;
    struct store_row row;
    enum err_e err;
    while ((err = store_args_next(&args, &row)) == ERR_OK) {
        check_values(&row, data, size);
        store_args_put(&out, &row);
        MUST(!out.overflow && out.len == size - args.left && memcmp(again, data, out.len) == 0);
        before = args;
    }
    MUST(err == ERR_MALFORMED || (err == ERR_NOT_FOUND && args.left == 0));
    MUST(args.at == before.at && args.left == before.left);
    return 0;
}
