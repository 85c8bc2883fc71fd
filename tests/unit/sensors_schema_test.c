/* What each route takes, what is said of the rest, and what the store is asked with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "must.h"
#include "schema_json.h"
#include "sensors_schema.h"

static const struct sensors_row *row_of(const char *route)
{
    for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++) {
        char path[SENSORS_PATH_MAX], text[SENSORS_PATH_MAX + 8];
        sensors_path(&sensors_rows[i], false, path);
        snprintf(text, sizeof text, "%s %s", sensors_rows[i].method, path + strlen("/api/v1"));
        if (strcmp(text, route) == 0)
            return &sensors_rows[i];
    }
    fail_msg("no route %s", route);
    return NULL;
}

static enum err_e validate(const char *route, enum sensors_form_e form, const char *text,
                           struct schema_result *result)
{
    char why[SCHEMA_JSON_WHY_MAX];
    struct schema *schema;
    json_t *message = schema_json_load(text, strlen(text), SCHEMA_VALUES_MAX, why);
    if (message == NULL)
        fail_msg("%s: %s", text, why);
    assert_int_equal(sensors_schema_new(row_of(route), form, &schema), ERR_OK);
    enum err_e err = schema_validate(schema, message, result);
    schema_free(&schema);
    json_decref(message);
    return err;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

static void show_value(const struct store_value *value, char *to, size_t size)
{
    switch (value->kind) {
    case STORE_NULL:
        snprintf(to, size, "null");
        break;
    case STORE_INT:
        snprintf(to, size, "%lld", (long long)value->whole);
        break;
    case STORE_REAL:
        snprintf(to, size, "%g", value->real);
        break;
    case STORE_BOOL:
        snprintf(to, size, "%s", value->truth ? "true" : "false");
        break;
    case STORE_TEXT:
        snprintf(to, size, "'%.*s'", (int)value->text.len, value->text.at);
        break;
    }
}

/* "#7 tipo='x' limit=5; …" */
static void show(const json_t *valid, char *to, size_t size)
{
    static char memory[65536];
    struct out out = out_init(memory, sizeof memory);
    struct sensors_wanted wanted;
    sensors_arguments(valid, &wanted, &out);
    assert_false(out.overflow);
    struct store_args args = {(unsigned char *)memory, out.len};
    struct store_row row;
    size_t n = 0;
    to[0] = '\0';
    if (wanted.id != 0)
        n += (size_t)snprintf(to + n, size - n, "#%llu ", (unsigned long long)wanted.id);
    if (wanted.channel != NULL)
        n += (size_t)snprintf(to + n, size - n, "@%s ", wanted.channel);
    while (store_args_next(&args, &row) == ERR_OK) {
        for (int arg = STORE_ARG_END + 1; arg < ARG_COUNT; arg++) {
            char value[128];
            if (!store_row_has(&row, (enum store_arg_e)arg))
                continue;
            show_value(&row.values[arg], value, sizeof value);
            n += (size_t)snprintf(to + n, size - n, "%s=%s ", store_arg_name((enum store_arg_e)arg), value);
        }
        n += (size_t)snprintf(to + n, size - n, "; ");
    }
    assert_int_equal(args.left, 0);
}

struct taken {
    const char *route;
    enum sensors_form_e form;
    const char *text, *shown;
};

static const struct taken taken_cases[] = {
    {"POST /sensors", FORM_USUAL, "{'body':{'tipo':'temperatura','modelo':'DHT22'}}",
     "tipo='temperatura' modelo='DHT22' ; "},
    {"POST /sensors", FORM_USUAL, "{'path':{},'query':{},'body':{'tipo':'a','modelo':'b','id':5,'x':[1]}}",
     "tipo='a' modelo='b' ; "},
    {"PUT /sensors/{id}", FORM_USUAL, "{'path':{'id':'7'},'body':{'modelo':'DHT11'}}",
     "#7 modelo='DHT11' ; "},
    {"PUT /sensors/{id}", FORM_USUAL, "{'path':{'id':' +7 '},'body':{}}", "#7 ; "},
    {"GET /sensors/{id}", FORM_USUAL, "{'path':{'id':'9223372036854775807'}}", "#9223372036854775807 "},
    {"DELETE /sensors/{id}", FORM_USUAL, "{'path':{'id':'1'}}", "#1 "},
    {"GET /sensors", FORM_USUAL, "{'query':{}}", "; "},
    {"GET /sensors", FORM_USUAL, "{'query':{'tipo':'a','limit':'1000','skip':'0'}}",
     "tipo='a' skip=0 limit=1000 ; "},
    {"GET /sensors", FORM_USUAL, "{'query':{'desde':'2025-07-20','hasta':'1753007400'}}",
     "desde=1752969600000 hasta=1753007400000 ; "},
    {"POST /readings", FORM_USUAL,
     "{'body':{'sensor_id':1,'temperatura':23.5,'humedad':65.2,'timestamp':'2025-07-20T10:30:00Z'}}",
     "sensor_id=1 temperatura=23.5 humedad=65.2 timestamp=1753007400000 ; "},
    {"POST /readings", FORM_USUAL,
     "{'body':{'sensor_id':'1','temperatura':'-50','humedad':'1e2','timestamp':1753007400}}",
     "sensor_id=1 temperatura=-50 humedad=100 timestamp=1753007400000 ; "},
    {"POST /readings", FORM_OTHER,
     "{'body':[{'sensor_id':1,'temperatura':1,'humedad':2},{'sensor_id':2,'temperatura':3,'humedad':4,'"
     "timestamp':0.5}]}",
     "sensor_id=1 temperatura=1 humedad=2 ; sensor_id=2 temperatura=3 humedad=4 timestamp=500 ; "},
    {"GET /readings/sensor/{id}", FORM_USUAL, "{'path':{'id':'3'},'query':{'limit':'2'}}", "#3 limit=2 ; "},
    {"GET /readings/sensor/{id}/recent", FORM_USUAL, "{'path':{'id':'3'},'query':{'hours':'0.5'}}",
     "#3 hours=0.5 ; "},
    {"GET /readings/sensor/{id}/stats", FORM_USUAL, "{'path':{'id':'3'},'query':{'hours':'x'}}", "#3 "},
    {"POST /locations", FORM_USUAL,
     "{'body':{'sensor_id':1,'latitud':-90,'longitud':180,'descripcion':null}}",
     "sensor_id=1 latitud=-90 longitud=180 descripcion=null ; "},
    {"PUT /locations/{id}", FORM_USUAL, "{'path':{'id':'2'},'body':{'descripcion':''}}",
     "#2 descripcion='' ; "},
    {"GET /locations/search", FORM_USUAL, "{'query':{'q':'nave 3'}}", "q='nave 3' ; "},
    {"GET /locations/nearby", FORM_USUAL, "{'query':{'latitud':'40.4','longitud':'-3.7'}}",
     "latitud=40.4 longitud=-3.7 radio=10 ; "},
    {"POST /anomalies", FORM_USUAL, "{'body':{'lectura_id':4,'tipo':'x','valor':1,'resuelta':'no'}}",
     "tipo='x' lectura_id=4 valor=1 resuelta=false ; "},
    {"PUT /anomalies/{id}", FORM_USUAL, "{'path':{'id':'4'},'body':{'resuelta':true,'lectura_id':9}}",
     "#4 resuelta=true ; "},
    {"GET /anomalies", FORM_USUAL, "{'query':{'resuelta':'false','machine_id':'m1'}}",
     "machine_id='m1' resuelta=false ; "},
    {"POST /anomalies/detect/{reading_id}", FORM_USUAL, "{'path':{'reading_id':'8'}}", "#8 "},
    {"GET /anomalies/critical", FORM_USUAL, "{'query':{'threshold':'-1.5'}}", "threshold=-1.5 ; "},
    {"GET /anomalies/statistics", FORM_USUAL, "{}", ""},
    {"POST /predictions/generate", FORM_USUAL, "{'query':{'ubicacion_id':'1','temperatura_promedio':'30'}}",
     "ubicacion_id=1 temperatura_promedio=30 ; "},
    {"POST /predictions/generate", FORM_OTHER,
     "{'query':{},'body':{'ubicacion_id':1,'humedad_promedio':40,'comentario':'c'}}",
     "ubicacion_id=1 comentario='c' humedad_promedio=40 ; "},
    {"GET /events", FORM_USUAL, "{'query':{}}", "@general channel='general' ; "},
    {"GET /events", FORM_USUAL, "{'query':{'channel':'sensors','since':'0000002a-17','limit':'5'}}",
     "@sensors limit=5 channel='sensors' since_ring=42 since_n=17 ; "},
    {"GET /events", FORM_USUAL, "{'query':{'since':'ffffffff-999999999999999999'}}",
     "@general channel='general' since_ring=4294967295 since_n=999999999999999999 ; "},
    {"POST /ws/test-event", FORM_USUAL, "{'query':{'message':'Prueba'}}",
     "@general channel='general' message='Prueba' ; "},
    {"POST /ws/test-event", FORM_OTHER, "{'body':{'channel':'x'}}",
     "@x channel='x' message='Evento de prueba' ; "},
    {"GET /ws/stats/{channel}", FORM_USUAL, "{'path':{'channel':'a.b:c-d_e'}}", "@a.b:c-d_e "},
};

static void what_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(taken_cases); i++) {
        char text[512], shown[1024];
        struct schema_result result;
        snprintf(text, sizeof text, "%s", taken_cases[i].text);
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        if (validate(taken_cases[i].route, taken_cases[i].form, text, &result) != ERR_OK) {
            char *errors = json_dumps(result.errors, JSON_COMPACT);
            fail_msg("%s %s: %s", taken_cases[i].route, text, errors);
        }
        show(result.value, shown, sizeof shown);
        if (strcmp(shown, taken_cases[i].shown) != 0)
            fail_msg("%s %s: %s, not %s", taken_cases[i].route, text, shown, taken_cases[i].shown);
        json_decref(result.value);
    }
}

/* --- 422 ----------------------------------------------------------------------------------------------------------------- */

struct refused {
    const char *route;
    enum sensors_form_e form;
    const char *text, *errors; /* "loc loc: type" each */
};

static void shorten(const json_t *errors, char *to, size_t size)
{
    const json_t *error, *step;
    size_t i, k, n = 0;
    json_array_foreach(errors, i, error)
    {
        json_array_foreach(json_object_get(error, "loc"), k, step)
        {
            if (json_is_string(step))
                n += (size_t)snprintf(to + n, size - n, "%s ", json_string_value(step));
            else
                n += (size_t)snprintf(to + n, size - n, "%lld ", (long long)json_integer_value(step));
        }
        n += (size_t)snprintf(to + n, size - n, "%s; ", json_string_value(json_object_get(error, "type")));
    }
}

static void what_is_refused(void **state)
{
    (void)state;
    static const struct refused cases[] = {
        {"POST /sensors", FORM_USUAL, "{'query':{}}", "body missing; "},
        {"POST /sensors", FORM_USUAL, "{'body':[]}", "body model_type; "},
        {"POST /sensors", FORM_USUAL, "{'body':{}}", "body tipo missing; body modelo missing; "},
        {"POST /sensors", FORM_USUAL, "{'body':{'tipo':5,'modelo':null}}",
         "body tipo string_type; body modelo string_type; "},
        {"POST /sensors", FORM_USUAL, "{'body':{'tipo':'','modelo':'a\\u0000b'}}",
         "body tipo string_too_short; body modelo string_pattern_mismatch; "},
        {"PUT /sensors/{id}", FORM_USUAL, "{'path':{'id':'x'},'body':{'tipo':null}}",
         "path id int_parsing; body tipo string_type; "},
        {"GET /sensors/{id}", FORM_USUAL, "{'path':{'id':'0'}}", "path id greater_than_equal; "},
        {"GET /sensors/{id}", FORM_USUAL, "{'path':{'id':'9223372036854775808'}}",
         "path id int_parsing_size; "},
        {"GET /sensors", FORM_USUAL, "{'query':{'limit':'0','skip':'-1'}}",
         "query skip greater_than_equal; query limit greater_than_equal; "},
        {"GET /sensors", FORM_USUAL, "{'query':{'limit':'1001'}}", "query limit less_than_equal; "},
        {"GET /sensors", FORM_USUAL, "{'query':{'limit':''}}", "query limit int_parsing; "},
        {"POST /readings", FORM_USUAL, "{'body':{'sensor_id':1,'temperatura':60.1,'humedad':-1}}",
         "body temperatura less_than_equal; body humedad greater_than_equal; "},
        {"POST /readings", FORM_USUAL, "{'body':{'sensor_id':1.5,'temperatura':'hot','humedad':1e400}}",
         "body sensor_id int_from_float; body temperatura float_parsing; body humedad finite_number; "},
        {"POST /readings", FORM_USUAL,
         "{'body':{'sensor_id':1,'temperatura':1,'humedad':1,'timestamp':'ayer'}}",
         "body timestamp datetime_from_date_parsing; "},
        {"POST /readings", FORM_USUAL,
         "{'body':{'sensor_id':1,'temperatura':1,'humedad':1,'timestamp':null}}",
         "body timestamp datetime_type; "},
        {"POST /readings", FORM_USUAL,
         "{'body':{'sensor_id':1,'temperatura':1,'humedad':1,'timestamp':true}}",
         "body timestamp datetime_type; "},
        {"POST /readings", FORM_USUAL,
         "{'body':{'sensor_id':1,'temperatura':1,'humedad':1,'timestamp':'1969-12-31'}}",
         "body timestamp greater_than_equal; "},
        {"POST /readings", FORM_USUAL, "{'body':{'timestamp':1e300}}",
         "body timestamp datetime_from_date_parsing; body sensor_id missing; body temperatura missing; body "
         "humedad missing; "},
        {"POST /readings", FORM_OTHER, "{'body':[]}", "body too_short; "},
        {"POST /readings", FORM_OTHER,
         "{'body':[{'sensor_id':1,'temperatura':1,'humedad':1},{'humedad':'x'},7]}",
         "body 1 sensor_id missing; body 1 temperatura missing; body 1 humedad float_parsing; body 2 "
         "model_type; "},
        {"POST /locations", FORM_USUAL, "{'body':{'sensor_id':1,'latitud':90.5,'longitud':-181}}",
         "body latitud less_than_equal; body longitud greater_than_equal; "},
        {"GET /locations/search", FORM_USUAL, "{'query':{}}", "query q missing; "},
        {"GET /locations/nearby", FORM_USUAL, "{'query':{'radio':'0'}}",
         "query latitud missing; query longitud missing; query radio greater_than; "},
        {"GET /readings", FORM_USUAL, "{'query':{'desde':'x','hasta':'2025-02-30'}}",
         "query desde datetime_from_date_parsing; query hasta datetime_from_date_parsing; "},
        {"GET /anomalies", FORM_USUAL, "{'query':{'resuelta':'quizá'}}", "query resuelta bool_parsing; "},
        {"GET /anomalies/recent", FORM_USUAL, "{'query':{'hours':'nan'}}", "query hours finite_number; "},
        {"POST /predictions", FORM_USUAL, "{'body':{'ubicacion_id':1,'probabilidad':1.01}}",
         "body probabilidad less_than_equal; "},
        {"POST /predictions/generate", FORM_USUAL, "{'query':{}}", "query ubicacion_id missing; "},
        {"POST /predictions/generate", FORM_OTHER, "{'body':{'temperatura_promedio':70}}",
         "body ubicacion_id missing; body temperatura_promedio less_than_equal; "},
        {"GET /events", FORM_USUAL, "{'query':{'channel':'a b','since':'2a-17'}}",
         "query channel string_pattern_mismatch; query since string_pattern_mismatch; "},
        {"GET /events", FORM_USUAL, "{'query':{'since':'0000002A-17'}}",
         "query since string_pattern_mismatch; "},
        {"GET /ws/stats/{channel}", FORM_USUAL, "{'path':{'channel':'ñ'}}",
         "path channel string_pattern_mismatch; "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[512], shown[1024] = "";
        struct schema_result result;
        snprintf(text, sizeof text, "%s", cases[i].text);
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        if (validate(cases[i].route, cases[i].form, text, &result) != ERR_MALFORMED)
            fail_msg("%s %s is taken", cases[i].route, text);
        shorten(result.errors, shown, sizeof shown);
        if (strcmp(shown, cases[i].errors) != 0)
            fail_msg("%s %s: %s, not %s", cases[i].route, text, shown, cases[i].errors);
        json_decref(result.errors);
    }
}

static void texts_are_pydantics(void **state)
{
    (void)state;
    struct schema_result result;
    assert_int_equal(validate("POST /readings", FORM_USUAL,
                              "{\"body\":{\"sensor_id\":1,\"temperatura\":99,\"humedad\":1,\"timestamp\":"
                              "\"2025-07-20T25:00\"}}",
                              &result),
                     ERR_MALFORMED);
    char *text = json_dumps(result.errors, JSON_COMPACT);
    assert_string_equal(
        text,
        "[{\"loc\":[\"body\",\"timestamp\"],\"type\":\"datetime_from_date_parsing\",\"msg\":\"Input should "
        "be a "
        "valid datetime or date, unexpected extra characters at the end of the input\"},{\"loc\":[\"body\","
        "\"temperatura\"],\"type\":\"less_than_equal\",\"msg\":\"Input should be less than or equal to "
        "60\"}]");
    free(text);
    json_decref(result.errors);
}

static void an_array_has_a_longest_length(void **state)
{
    (void)state;
    struct schema_result result;
    struct schema *schema;
    assert_int_equal(sensors_schema_new(row_of("POST /readings"), FORM_OTHER, &schema), ERR_OK);
    json_t *message = json_pack("{s:[]}", "body"), *list = json_object_get(message, "body");
    for (unsigned i = 0; i < STORE_ROWS_MAX; i++)
        json_array_append_new(list,
                              json_pack("{s:i,s:i,s:i}", "sensor_id", 1, "temperatura", 1, "humedad", 1));
    assert_int_equal(schema_validate(schema, message, &result), ERR_OK);
    json_decref(result.value);
    json_array_append_new(list, json_null());
    assert_int_equal(schema_validate(schema, message, &result), ERR_MALFORMED);
    assert_string_equal(json_string_value(json_object_get(json_array_get(result.errors, 0), "type")),
                        "too_long");
    json_decref(result.errors);
    json_decref(message);
    schema_free(&schema);
}

/* --- the table ----------------------------------------------------------------------------------------------------------- */

static void every_row_has_its_schemas(void **state)
{
    (void)state;
    assert_int_equal(sizeof sensors_rows / sizeof sensors_rows[0], SENSORS_ROW_COUNT);
    for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++) {
        const struct sensors_row *row = &sensors_rows[i];
        const char *names[SENSORS_QUERY_MAX + 1];
        struct schema *schema;
        char path[SENSORS_PATH_MAX];
        sensors_path(row, false, path);
        assert_int_equal(sensors_schema_new(row, FORM_USUAL, &schema), ERR_OK);
        schema_free(&schema);
        bool other = row->body == BODY_PARAMS || row->body == BODY_CREATE_OR_MANY;
        assert_int_equal(sensors_schema_new(row, FORM_OTHER, &schema), other ? ERR_OK : ERR_NOT_FOUND);
        if (other)
            schema_free(&schema);
        sensors_query_names(row, names);
        if ((strchr(path, '{') != NULL) != (row->id != NULL) ||
            (row->id != NULL && strstr(path, row->id) == NULL))
            fail_msg("%s: %s", path, row->id);
    }
}

/* Every operation of the store can be asked for. */
static void every_operation_has_a_route(void **state)
{
    (void)state;
    for (int op = STORE_OP_NONE + 1; op < STORE_OP_COUNT; op++) {
        unsigned found = op == STORE_OP_CREATE_MANY;
        for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++)
            found += sensors_rows[i].op == (enum store_op_e)op;
        if (found == 0)
            fail_msg("nothing asks %s", store_op_name((enum store_op_e)op));
    }
}

/* Who writes needs a grant to write. */
static void grants_fit_operations(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SENSORS_ROW_COUNT; i++) {
        const struct sensors_row *row = &sensors_rows[i];
        bool entity = row->entity != ENTITY_NONE;
        if (entity && (row->grant == GRANTED_WRITE) != store_op_writes(row->op))
            fail_msg("%s %s", row->method, row->tail);
        if (entity != (row->grant == GRANTED_READ || row->grant == GRANTED_WRITE))
            fail_msg("%s %s", row->method, row->tail);
        if ((strcmp(row->method, "GET") == 0) == store_op_writes(row->op) && row->op != STORE_OP_NONE)
            fail_msg("%s %s", row->method, row->tail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(texts_are_pydantics),
        cmocka_unit_test(an_array_has_a_longest_length),
        cmocka_unit_test(every_row_has_its_schemas),
        cmocka_unit_test(every_operation_has_a_route),
        cmocka_unit_test(grants_fit_operations),
    };
    return cmocka_run_group_tests_name("sensors_schema", tests, NULL, NULL);
}
