/* Hop: C2. What a request says, out of its path, its query and its body, judged as one message; and FastAPI's 422 for what is wrong with it. */
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "schema_json.h"
#include "sensors_internal.h"
#include "utf8.h"

#define QUERY_VALUE_MAX 8193u /* a whole head, and a NUL */

/* --- 422 ----------------------------------------------------------------------------------------------------------------- */

static void answer_errors(struct sensors *sensors, struct http_exchange *x, json_t *errors)
{
    json_t *answer = json_pack("{s:o}", "detail", errors);
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
    sensors->counts.invalid++;
    if (text != NULL)
        http_answer(x,
                    &(struct http_response){
                        .status = 422, .type = "application/json", .body = text, .body_len = strlen(text)});
    else
        sensors_refuse(x, 503, "Sin memoria");
    json_decref(answer);
    free(text);
}

static void answer_error(struct sensors *sensors, struct http_exchange *x, json_t *loc, const char *type,
                         const char *msg)
{
    json_t *errors = json_pack("[{s:o,s:s,s:s}]", "loc", loc, "type", type, "msg", msg);
    if (errors != NULL)
        answer_errors(sensors, x, errors);
    else
        sensors_refuse(x, 503, "Sin memoria");
}

/* --- path and query ------------------------------------------------------------------------------------------------------ */

/* A text out of a head may be any bytes; as a value of JSON it is UTF-8. False: it was answered. */
static bool put_text(struct sensors *sensors, struct http_exchange *x, json_t *message, const char *part,
                     const char *name, const char *text)
{
    size_t len = strlen(text);
    json_t *object = json_object_get(message, part);
    if (!utf8_is_valid(text, len)) {
        answer_error(sensors, x, json_pack("[s,s]", part, name), "string_unicode",
                     "Input should be a valid string, unable to parse raw data as a unicode string");
        return false;
    }
    if (json_object_set_new(object, name, json_stringn(text, len)) == 0)
        return true;
    sensors_refuse(x, 503, "Sin memoria");
    return false;
}

/* Of a parameter that is given twice the first counts. */
static bool read_query(struct sensors *sensors, struct http_exchange *x, const struct sensors_row *row,
                       json_t *message)
{
    const char *names[SENSORS_QUERY_MAX + 1];
    char value[QUERY_VALUE_MAX];
    sensors_query_names(row, names);
    for (size_t i = 0; names[i] != NULL; i++)
        if (http_query(x, names[i], value, sizeof value) == ERR_OK &&
            !put_text(sensors, x, message, "query", names[i], value))
            return false;
    return true;
}

static bool read_path(struct sensors *sensors, struct http_exchange *x, const struct sensors_row *row,
                      json_t *message)
{
    return row->id == NULL || put_text(sensors, x, message, "path", row->id, http_param(x, 0));
}

/* --- the body -------------------------------------------------------------------------------------------------------------- */

/* FastAPI says where, in characters, and of what is wrong only that. */
static size_t characters(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static bool read_body(struct sensors *sensors, struct http_exchange *x, const struct sensors_row *row,
                      json_t *message)
{
    const struct schema_json_rules rules = {.max_values = SCHEMA_VALUES_MAX};
    struct schema_json_fault fault;
    size_t len;
    const char *text = http_body(x, &len);
    if (len == 0 || row->body == BODY_NONE)
        return true;
    json_t *body = schema_json_read(text, len, &rules, &fault);
    if (body == NULL && fault.why != NULL) {
        size_t at = characters(text, fault.at < len ? fault.at : len);
        answer_error(sensors, x, json_pack("[s,I]", "body", (json_int_t)at), "json_invalid",
                     "JSON decode error");
        return false;
    }
    if (body != NULL && json_object_set_new(message, "body", body) == 0)
        return true;
    sensors_refuse(x, 503, "Sin memoria");
    return false;
}

/* --- both ------------------------------------------------------------------------------------------------------------------ */

static enum sensors_form_e form_of(const struct sensors_row *row, const json_t *message)
{
    const json_t *body = json_object_get(message, "body");
    bool other =
        row->body == BODY_PARAMS ? body != NULL : row->body == BODY_CREATE_OR_MANY && json_is_array(body);
    return other ? FORM_OTHER : FORM_USUAL;
}

static json_t *judge(struct sensors *sensors, struct http_exchange *x, const struct sensors_asked *asked,
                     json_t *message)
{
    struct schema_result result;
    const struct schema *schema = sensors->schemas[asked->number][form_of(asked->row, message)];
    enum err_e err = schema_validate(schema, message, &result);
    if (err == ERR_OK)
        return result.value;
    if (err == ERR_MALFORMED)
        answer_errors(sensors, x, result.errors);
    else
        sensors_refuse(x, 503, "Sin memoria");
    return NULL;
}

json_t *sensors_input(struct sensors *sensors, struct http_exchange *x, const struct sensors_asked *asked)
{
    json_t *valid = NULL, *message = json_pack("{s:{},s:{}}", "path", "query");
    if (message == NULL)
        sensors_refuse(x, 503, "Sin memoria");
    else if (read_path(sensors, x, asked->row, message) && read_query(sensors, x, asked->row, message) &&
             read_body(sensors, x, asked->row, message))
        valid = judge(sensors, x, asked, message);
    json_decref(message);
    return valid;
}
