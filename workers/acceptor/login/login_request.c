/* login_request.c — a body, form-encoded or JSON, to a name and a password; FastAPI's 422 for what is wrong with it (login.h, Hop: C1). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_path.h"
#include "login_internal.h"
#include "must.h"
#include "schema_json.h"
#include "utf8.h"

/* The member "body" gives errors the place that FastAPI gives them. */
enum err_e login_make_schema(struct schema **schema)
{
    static const struct schema_member members[] = {
        {.name = "username",
         .type = {.kind = SCHEMA_STRING, .min_length = 1, .max_length = LOGIN_USERNAME_MAX}},
        {.name = "password",
         .type = {.kind = SCHEMA_STRING, .min_length = 1, .max_length = LOGIN_PASSWORD_MAX}},
    };
    static const struct schema_object body = {
        .name = "Login", .members = members, .member_count = ARRAY_LEN(members)};
    static const struct schema_member whole[] = {
        {.name = "body", .type = {.kind = SCHEMA_OBJECT, .object = &body}}};
    static const struct schema_object root = {.name = "Request", .members = whole, .member_count = 1};
    struct schema_problem problem;
    enum err_e err = schema_from_table(&root, schema, &problem);
    MUST(err != ERR_CONFIG);
    return err;
}

/* --- what is refused ----------------------------------------------------------------------------------------------- */

static void answer_errors(struct login *login, struct http_exchange *x, json_t *errors)
{
    json_t *answer = json_pack("{s:o}", "detail", errors);
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
    login->counts.invalid++;
    if (text != NULL)
        http_answer(x,
                    &(struct http_response){
                        .status = 422, .type = "application/json", .body = text, .body_len = strlen(text)});
    else
        login_refuse(login, x, 503, "Sin memoria");
    json_decref(answer);
    free(text);
}

static void answer_no_json(struct login *login, struct http_exchange *x, const char *text, size_t len)
{
    json_int_t characters = 0;
    for (size_t i = 0; i < len; i++)
        characters += ((unsigned char)text[i] & 0xc0) != 0x80;
    json_t *errors = json_pack("[{s:[s,I],s:s,s:s}]", "loc", "body", characters, "type", "json_invalid",
                               "msg", "JSON decode error");
    answer_errors(login, x, errors);
}

/* --- the two forms ------------------------------------------------------------------------------------------------- */

/* A member that is not there stays out; one that is no text of JSON (UTF-8, no NUL) is as wrong as one that is too long. */
static bool put_field(json_t *body, const char *form, const char *name)
{
    char value[LOGIN_BODY_MAX + 1];
    enum err_e err = http_query_find(form, name, value, sizeof value);
    if (err == ERR_NOT_FOUND)
        return true;
    bool text = err == ERR_OK && utf8_is_valid(value, strlen(value));
    int failed = json_object_set_new(body, name, text ? json_string(value) : json_null());
    explicit_bzero(value, sizeof value);
    return failed == 0;
}

/* NULL: no memory. */
static json_t *read_form(const char *text, size_t len)
{
    char form[LOGIN_BODY_MAX + 1];
    json_t *body = json_object();
    memcpy(form, text, len);
    form[len] = '\0';
    if (body != NULL && (!put_field(body, form, "username") || !put_field(body, form, "password"))) {
        json_decref(body);
        body = NULL;
    }
    explicit_bzero(form, sizeof form);
    return body;
}

/* NULL: it was answered. */
static json_t *read_body(struct login *login, struct http_exchange *x, const char *text, size_t len)
{
    const char *type = http_header(x, "content-type");
    const struct schema_json_rules rules = {.max_values = 64, .unique = true};
    struct schema_json_fault fault = {.why = NULL};
    json_t *body = NULL;
    if (http_is_type(type, "application/x-www-form-urlencoded"))
        body = read_form(text, len);
    else if (http_is_type(type, "application/json"))
        body = schema_json_read(text, len, &rules, &fault);
    else {
        login->counts.invalid++;
        login_refuse(login, x, 415, "application/x-www-form-urlencoded or application/json is expected");
        return NULL;
    }
    if (body == NULL && fault.why != NULL)
        answer_no_json(login, x, text, fault.at < len ? fault.at : len);
    else if (body == NULL)
        login_refuse(login, x, 503, "Sin memoria");
    return body;
}

/* --- both ---------------------------------------------------------------------------------------------------------- */

static void wipe(json_t *text)
{
    if (json_is_string(text)) /* jansson would leave it to free() */
        explicit_bzero((char *)(uintptr_t)json_string_value(text), json_string_length(text));
}

static void take(const json_t *body, struct login_asked *asked)
{
    const json_t *name = json_object_get(body, "username"), *secret = json_object_get(body, "password");
    asked->secret_len = json_string_length(secret);
    MUST(json_string_length(name) < sizeof asked->name && asked->secret_len < sizeof asked->secret);
    bool nul = strlen(json_string_value(name)) != json_string_length(name);
    strcpy(asked->name, nul ? "" : json_string_value(name)); /* "" is nobody's */
    memcpy(asked->secret, json_string_value(secret), asked->secret_len + 1);
}

static bool judge(struct login *login, struct http_exchange *x, json_t *message, struct login_asked *asked)
{
    struct schema_result result;
    enum err_e err = schema_validate(login->schema, message, &result);
    json_t *body = err == ERR_OK ? json_object_get(result.value, "body") : NULL;
    if (err == ERR_OK)
        take(body, asked);
    else if (err == ERR_MALFORMED)
        answer_errors(login, x, result.errors);
    else
        login_refuse(login, x, 503, "Sin memoria");
    wipe(json_object_get(body, "password"));
    if (err == ERR_OK)
        json_decref(result.value);
    return err == ERR_OK;
}

bool login_read(struct login *login, struct http_exchange *x, struct login_asked *asked)
{
    size_t len;
    const char *text = http_body(x, &len);
    if (len > LOGIN_BODY_MAX) {
        login->counts.invalid++;
        login_refuse(login, x, 413, "the body is larger than allowed");
        return false;
    }
    json_t *body = read_body(login, x, text, len);
    json_t *message = body != NULL ? json_object() : NULL;
    if (body == NULL)
        return false;
    bool good = message != NULL && json_object_set(message, "body", body) == 0;
    if (good)
        good = judge(login, x, message, asked);
    else
        login_refuse(login, x, 503, "Sin memoria");
    wipe(json_object_get(body, "password"));
    json_decref(message);
    json_decref(body);
    return good;
}
