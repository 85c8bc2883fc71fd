/* See sensors_schema.h. */
#include "sensors_schema.h"

#include <stdio.h>
#include <string.h>

#include "must.h"
#include "timestamp.h"

#define NO_NUL  "^[^\\x00]*$"
#define CHANNEL "^[A-Za-z0-9_.:-]{1,64}$"
#define RING_N  "^[0-9a-f]{8}-[0-9]{1,18}$"

#define SHORT_TEXT                                                                                           \
    {                                                                                                        \
        .kind = SCHEMA_STRING, .min_length = 1, .max_length = 100, .pattern = NO_NUL                         \
    }
#define LONG_TEXT                                                                                            \
    {                                                                                                        \
        .kind = SCHEMA_STRING, .max_length = 1000, .pattern = NO_NUL                                         \
    }
#define ID                                                                                                   \
    {                                                                                                        \
        .kind = SCHEMA_INT, .ge = "1"                                                                        \
    }
#define REAL(least, most)                                                                                    \
    {                                                                                                        \
        .kind = SCHEMA_FLOAT, .ge = least, .le = most                                                        \
    }
#define TIME                                                                                                 \
    {                                                                                                        \
        .kind = SCHEMA_ANY /* check_times() */                                                               \
    }
#define HOURS_MAX "876000" /* a hundred years */
#define EARTH_KM  "20038"  /* nothing is farther away */

/* What a value of each argument may be. */
static const struct schema_type types[] = {
    [ARG_TIPO] = SHORT_TEXT,
    [ARG_MODELO] = SHORT_TEXT,
    [ARG_SENSOR_ID] = ID,
    [ARG_TEMPERATURA] = REAL("-50", "60"),
    [ARG_HUMEDAD] = REAL("0", "100"),
    [ARG_TIMESTAMP] = TIME,
    [ARG_LATITUD] = REAL("-90", "90"),
    [ARG_LONGITUD] = REAL("-180", "180"),
    [ARG_DESCRIPCION] = LONG_TEXT,
    [ARG_LECTURA_ID] = ID,
    [ARG_MACHINE_ID] = SHORT_TEXT,
    [ARG_VALOR] = {.kind = SCHEMA_FLOAT},
    [ARG_RESUELTA] = {.kind = SCHEMA_BOOL},
    [ARG_UBICACION_ID] = ID,
    [ARG_PROBABILIDAD] = REAL("0", "1"),
    [ARG_COMENTARIO] = LONG_TEXT,
    [ARG_SKIP] = {.kind = SCHEMA_INT, .ge = "0"},
    [ARG_LIMIT] = {.kind = SCHEMA_INT, .ge = "1", .le = "1000"},
    [ARG_DESDE] = TIME,
    [ARG_HASTA] = TIME,
    [ARG_HOURS] = {.kind = SCHEMA_FLOAT, .gt = "0", .le = HOURS_MAX},
    [ARG_THRESHOLD] = {.kind = SCHEMA_FLOAT},
    [ARG_Q] = SHORT_TEXT,
    [ARG_RADIO] = {.kind = SCHEMA_FLOAT, .gt = "0", .le = EARTH_KM},
    [ARG_TEMPERATURA_PROMEDIO] = REAL("-50", "60"),
    [ARG_HUMEDAD_PROMEDIO] = REAL("0", "100"),
    [ARG_CHANNEL] = {.kind = SCHEMA_STRING, .pattern = CHANNEL},
    [ARG_MESSAGE] = LONG_TEXT,
    [PARAM_SINCE] = {.kind = SCHEMA_STRING, .pattern = RING_N},
};
_Static_assert(STORE_LIMIT_MAX == 1000, "as in types[]");
_Static_assert(sizeof types / sizeof types[0] == PARAM_SINCE + 1, "one for each");

static const char *name_of(int arg)
{
    return arg == PARAM_SINCE ? "since" : store_arg_name((enum store_arg_e)arg);
}

static bool is_time(int arg)
{
    return arg == ARG_TIMESTAMP || arg == ARG_DESDE || arg == ARG_HASTA;
}

/* --- times ------------------------------------------------------------------------------------------------------------- */

/* False: no kind of value that is a time. */
static bool read_time(const json_t *value, enum timestamp_e *fault, uint64_t *ms)
{
    if (json_is_string(value))
        *fault = timestamp_parse(json_string_value(value), json_string_length(value), ms);
    else if (json_is_integer(value))
        *fault = timestamp_from_whole(json_integer_value(value), ms);
    else if (json_is_real(value))
        *fault = timestamp_from_real(json_real_value(value), ms);
    else
        return false;
    return true;
}

static void check_time(struct schema_report *report, const char *member, const json_t *value)
{
    char msg[160];
    enum timestamp_e fault;
    uint64_t ms;
    if (!read_time(value, &fault, &ms)) {
        schema_report(report, member, "datetime_type", "Input should be a valid datetime");
    } else if (fault == TIMESTAMP_EARLY || fault == TIMESTAMP_LATE) {
        schema_report(report, member, fault == TIMESTAMP_EARLY ? "greater_than_equal" : "less_than_equal",
                      timestamp_text(fault));
    } else if (fault != TIMESTAMP_OK) {
        snprintf(msg, sizeof msg, "Input should be a valid datetime or date, %s", timestamp_text(fault));
        schema_report(report, member, "datetime_from_date_parsing", msg);
    }
}

static void check_times(const json_t *object, struct schema_report *report, void *arg)
{
    static const int times[] = {ARG_TIMESTAMP, ARG_DESDE, ARG_HASTA};
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const json_t *value = json_object_get(object, name_of(times[i]));
        if (value != NULL)
            check_time(report, name_of(times[i]), value);
    }
}

/* --- the schema of a row ------------------------------------------------------------------------------------------------ */

static const struct schema_check time_check = {.check = check_times}; /* schemas keep a pointer to it */

struct drawn { /* an object while it is put together */
    struct schema_member members[SENSORS_QUERY_MAX];
    struct schema_object object;
};

static void add(struct drawn *drawn, const char *name, int arg, bool required, const char *fallback)
{
    MUST(drawn->object.member_count < SENSORS_QUERY_MAX);
    drawn->members[drawn->object.member_count++] = (struct schema_member){
        .name = name, .type = types[arg], .fallback = fallback, .optional = !required && fallback == NULL};
    if (is_time(arg))
        drawn->object.check_count = 1;
}

static struct schema_member *last_of(struct drawn *drawn)
{
    return &drawn->members[drawn->object.member_count - 1];
}

static void begin(struct drawn *drawn, const char *name)
{
    *drawn = (struct drawn){.object = {.name = name, .checks = &time_check}};
    drawn->object.members = drawn->members;
}

/* Every member of the entity is a filter of its list, and of an anomaly its machine. */
static void draw_filters(struct drawn *drawn, const struct sensors_row *row)
{
    const struct entity *entity = entity_of(row->entity);
    for (unsigned i = 0; i < entity->field_count; i++)
        add(drawn, name_of((int)entity->fields[i].arg), (int)entity->fields[i].arg, false, NULL);
    if (row->entity == ENTITY_ANOMALY)
        add(drawn, name_of(ARG_MACHINE_ID), ARG_MACHINE_ID, false, NULL);
}

static void draw_params(struct drawn *drawn, const struct sensors_row *row)
{
    if (row->op == STORE_OP_LIST)
        draw_filters(drawn, row);
    for (unsigned i = 0; i < SENSORS_PARAMS_MAX && row->params[i].arg != 0; i++)
        add(drawn, name_of(row->params[i].arg), row->params[i].arg, row->params[i].required,
            row->params[i].fallback);
}

static void draw_entity(struct drawn *drawn, const struct sensors_row *row)
{
    const struct entity *entity = entity_of(row->entity);
    for (unsigned i = 0; i < entity->field_count; i++) {
        const struct entity_field *field = &entity->fields[i];
        if (row->body == BODY_UPDATE && !field->changeable)
            continue;
        add(drawn, name_of((int)field->arg), (int)field->arg, field->required && row->body != BODY_UPDATE,
            NULL);
        last_of(drawn)->type.nullable = field->nullable;
    }
}

static bool has_params(const struct sensors_row *row)
{
    return row->op == STORE_OP_LIST || row->params[0].arg != 0;
}

/* Which part holds the row's parameters, if it has any. */
static bool has_query(const struct sensors_row *row, enum sensors_form_e form)
{
    return has_params(row) && !(row->body == BODY_PARAMS && form == FORM_OTHER);
}

static bool has_body(const struct sensors_row *row, enum sensors_form_e form)
{
    return row->body != BODY_NONE && !(row->body == BODY_PARAMS && form == FORM_USUAL);
}

struct parts {
    struct drawn path, query, body;
    struct schema_type item; /* of an array */
    struct schema_member members[3];
    unsigned count;
};

static struct schema_type object_type(const struct drawn *drawn)
{
    return (struct schema_type){.kind = SCHEMA_OBJECT, .object = &drawn->object};
}

static void add_part(struct parts *parts, const char *name, struct schema_type type)
{
    parts->members[parts->count++] = (struct schema_member){.name = name, .type = type};
}

static void draw_body(struct parts *parts, const struct sensors_row *row, enum sensors_form_e form)
{
    begin(&parts->body, "body");
    if (row->body == BODY_PARAMS)
        draw_params(&parts->body, row);
    else
        draw_entity(&parts->body, row);
    parts->item = object_type(&parts->body);
    bool many = row->body == BODY_CREATE_OR_MANY && form == FORM_OTHER;
    add_part(parts, "body",
             many ? (struct schema_type){.kind = SCHEMA_LIST,
                                         .items = &parts->item,
                                         .min_length = 1,
                                         .max_length = STORE_ROWS_MAX}
                  : parts->item);
}

enum err_e sensors_schema_new(const struct sensors_row *row, enum sensors_form_e form, struct schema **schema)
{
    struct schema_problem problem;
    struct parts parts = {.count = 0};
    if (form == FORM_OTHER && row->body != BODY_PARAMS && row->body != BODY_CREATE_OR_MANY)
        return ERR_NOT_FOUND;
    if (row->id != NULL) {
        begin(&parts.path, "path");
        add(&parts.path, row->id, strcmp(row->id, "channel") == 0 ? ARG_CHANNEL : ARG_SENSOR_ID, true, NULL);
        add_part(&parts, "path", object_type(&parts.path));
    }
    if (has_query(row, form)) {
        begin(&parts.query, "query");
        draw_params(&parts.query, row);
        add_part(&parts, "query", object_type(&parts.query));
    }
    if (has_body(row, form))
        draw_body(&parts, row, form);
    const struct schema_object root = {
        .name = "request", .members = parts.members, .member_count = parts.count};
    return schema_from_table(&root, schema, &problem);
}

void sensors_query_names(const struct sensors_row *row, const char *names[SENSORS_QUERY_MAX + 1])
{
    struct drawn query;
    begin(&query, "query");
    if (has_params(row))
        draw_params(&query, row);
    for (unsigned i = 0; i < query.object.member_count; i++)
        names[i] = query.members[i].name;
    names[query.object.member_count] = NULL;
}

/* --- the arguments of the store ------------------------------------------------------------------------------------------ */

static struct store_value time_value(const json_t *value)
{
    enum timestamp_e fault;
    uint64_t ms = 0;
    MUST(read_time(value, &fault, &ms) && fault == TIMESTAMP_OK); /* check_times() */
    return (struct store_value){.kind = STORE_INT, .whole = (int64_t)ms};
}

static struct store_value value_of(enum store_arg_e arg, const json_t *value)
{
    if (json_is_null(value))
        return (struct store_value){.kind = STORE_NULL};
    if (is_time((int)arg))
        return time_value(value);
    switch (store_arg_kind(arg)) {
    case STORE_INT:
        return (struct store_value){.kind = STORE_INT, .whole = json_integer_value(value)};
    case STORE_REAL:
        return (struct store_value){.kind = STORE_REAL, .real = json_number_value(value)};
    case STORE_BOOL:
        return (struct store_value){.kind = STORE_BOOL, .truth = json_is_true(value)};
    case STORE_TEXT:
        return (struct store_value){.kind = STORE_TEXT,
                                    .text = {json_string_value(value), (uint32_t)json_string_length(value)}};
    case STORE_NULL:
        break;
    }
    MUST_NOT_REACH();
}

/* "0000002a-17" as its pattern has it. */
static void put_since(struct store_row *row, const char *text)
{
    unsigned ring;
    unsigned long long n;
    MUST(sscanf(text, "%8x-%18llu", &ring, &n) == 2);
    store_row_set(row, ARG_SINCE_RING, (struct store_value){.kind = STORE_INT, .whole = ring});
    store_row_set(row, ARG_SINCE_N, (struct store_value){.kind = STORE_INT, .whole = (int64_t)n});
}

static void put_row(struct out *out, const json_t *object)
{
    struct store_row row = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        enum store_arg_e arg = store_arg_find(name, strlen(name));
        if (arg != STORE_ARG_END)
            store_row_set(&row, arg, value_of(arg, value));
        else
            put_since(&row, json_string_value(value));
    }
    store_args_put(out, &row);
}

static void take_path(const json_t *path, struct sensors_wanted *wanted)
{
    const json_t *value = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)path));
    if (json_is_string(value))
        wanted->channel = json_string_value(value);
    else
        wanted->id = (uint64_t)json_integer_value(value);
}

void sensors_arguments(const json_t *valid, struct sensors_wanted *wanted, struct out *out)
{
    static const char *const parts[] = {"query", "body"};
    const json_t *path = json_object_get(valid, "path"), *item;
    size_t index;
    *wanted = (struct sensors_wanted){0};
    if (path != NULL)
        take_path(path, wanted);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const json_t *part = json_object_get(valid, parts[i]);
        const char *channel = json_string_value(json_object_get(part, store_arg_name(ARG_CHANNEL)));
        wanted->channel = channel != NULL ? channel : wanted->channel;
        if (json_is_object(part))
            put_row(out, part);
        json_array_foreach(part, index, item) put_row(out, item);
    }
}
