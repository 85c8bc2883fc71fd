/* handler_read.c — what noria/handler.h lets a program ask of handles and values. */
#include "handler_process.h"

struct noria_handler *noria_request_handler(const struct noria_request *request)
{
    return request->handler;
}

struct noria_conn *noria_request_conn(const struct noria_request *request)
{
    return request->conn;
}

void noria_conn_set_user(struct noria_conn *conn, void *user)
{
    conn->user = user;
}

void *noria_conn_user(const struct noria_conn *conn)
{
    return conn->user;
}

struct noria_handler *noria_conn_handler(const struct noria_conn *conn)
{
    return conn->link->handler;
}

const char *noria_conn_path(const struct noria_conn *conn)
{
    return conn->path;
}

const char *noria_conn_query(const struct noria_conn *conn)
{
    return conn->query;
}

const char *noria_conn_principal(const struct noria_conn *conn)
{
    return conn->principal;
}

const char *noria_conn_peer(const struct noria_conn *conn)
{
    return conn->peer;
}

bool noria_conn_traditional(const struct noria_conn *conn)
{
    return conn->traditional;
}

/* --- values --- */

const msgpack_object *noria_member(const msgpack_object *map, const char *name)
{
    size_t want = strlen(name), len;
    const char *text;
    if (map == NULL || map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *member = &map->via.map.ptr[i];
        if (noria_text(&member->key, &text, &len) && len == want && memcmp(text, name, len) == 0)
            return &member->val;
    }
    return NULL;
}

bool noria_text(const msgpack_object *value, const char **text, size_t *len)
{
    if (value == NULL || value->type != MSGPACK_OBJECT_STR)
        return false;
    *text = value->via.str.ptr;
    *len = value->via.str.size;
    return true;
}

bool noria_integer(const msgpack_object *value, int64_t *integer)
{
    if (value == NULL || (value->type != MSGPACK_OBJECT_NEGATIVE_INTEGER &&
                          (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 > INT64_MAX)))
        return false;
    *integer = value->via.i64;
    return true;
}

bool noria_number(const msgpack_object *value, double *number)
{
    if (value == NULL)
        return false;
    switch (value->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *number = (double)value->via.u64;
        return true;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *number = (double)value->via.i64;
        return true;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *number = value->via.f64;
        return true;
    default:
        return false;
    }
}

bool noria_flag(const msgpack_object *value, bool *flag)
{
    if (value == NULL || value->type != MSGPACK_OBJECT_BOOLEAN)
        return false;
    *flag = value->via.boolean;
    return true;
}
