/* Fuzzes requests of the REST API of sensors: a byte for the route, one for its form, then {"path":{…},"query":{…},"body":…} as JSON. Checked beside
 * memory: a message is valid or has errors; the arguments of a valid one read back, each of its kind, texts without NUL, and an id where the
 * path has one; what is valid is valid again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "schema_json.h"
#include "sensors_schema.h"

#define ARGUMENTS_MAX (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema *schemas[SENSORS_ROW_COUNT][FORM_COUNT];

static const struct schema *schema_at(unsigned row, enum sensors_form_e form)
{
    struct schema **schema = &schemas[row][form];
    if (*schema == NULL)
        MUST(sensors_schema_new(&sensors_rows[row], form, schema) !=
             ERR_MEMORY); /* ERR_NOT_FOUND: stays NULL */
    return *schema;
}

static void check_arguments(const struct sensors_row *row, const json_t *valid)
{
    static char memory[ARGUMENTS_MAX];
    struct out out = out_init(memory, sizeof memory);
    struct sensors_wanted wanted;
    struct store_row read;
    enum err_e err;
    sensors_arguments(valid, &wanted, &out);
    MUST(!out.overflow);
    MUST((wanted.id != 0) == (row->id != NULL && strcmp(row->id, "channel") != 0));
    MUST((wanted.channel != NULL) == (row->grant == GRANTED_CHANNEL));
    struct store_args args = {(unsigned char *)memory, out.len};
    while ((err = store_args_next(&args, &read)) == ERR_OK)
        ;
    MUST(err == ERR_NOT_FOUND && args.left == 0);
}

static void check(const struct schema *schema, const struct sensors_row *row, json_t *message)
{
    struct schema_result result, again;
    enum err_e err = schema_validate(schema, message, &result);
    MUST(err == ERR_OK || (err == ERR_MALFORMED && json_array_size(result.errors) > 0));
    if (err == ERR_OK) {
        check_arguments(row, result.value);
        MUST(schema_validate(schema, result.value, &again) == ERR_OK &&
             json_equal(result.value, again.value));
        json_decref(again.value);
    }
    json_decref(result.value);
    json_decref(result.errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[SCHEMA_JSON_WHY_MAX];
    if (size < 2)
        return 0;
    unsigned row = data[0] % SENSORS_ROW_COUNT;
    const struct schema *schema = schema_at(row, data[1] % FORM_COUNT);
    json_t *message = schema_json_load((const char *)data + 2, size - 2, SCHEMA_VALUES_MAX, why);
    if (schema != NULL && message != NULL)
        check(schema, &sensors_rows[row], message);
    json_decref(message);
    return 0;
}
