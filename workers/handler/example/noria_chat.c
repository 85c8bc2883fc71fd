/* noria-chat — the endpoints /chat and /chat-raw, as a handler process of Noria's built outside its tree.
 *
 *     noria-chat [SOCKET]      SOCKET: where to listen, if nobody passes a socket down (`noria up` does)
 *
 * /chat has a schema (chat_request.json, chat_response.json): each message {"message": …, "user": …} is answered
 * {"message": "Hi", "user": "System"}. A client that connects with ?room=NAME is in a room: what it says goes to the others
 * there too, and they hear who comes and goes. /chat-raw has none: it takes any JSON and answers {"Hola":"Mundo"}.
 */
#include <noria/handler.h>

#include <stdlib.h>

#define ROOM_MAX 60 /* bytes of a topic */

static void pack_line(msgpack_packer *packer, const char *message, size_t len, const char *user,
                      size_t user_len)
{
    msgpack_pack_map(packer, 2);
    noria_pack_text(packer, "message");
    noria_pack_text_len(packer, message, len);
    noria_pack_text(packer, "user");
    noria_pack_text_len(packer, user, user_len);
}

static void say_to_room(struct noria_conn *conn, const char *message, size_t len, const char *user,
                        size_t user_len)
{
    const char *room = noria_conn_user(conn);
    struct noria_handler *handler = noria_conn_handler(conn);
    msgpack_packer packer;
    msgpack_sbuffer *body = noria_body(handler, &packer);
    if (room == NULL)
        return;
    pack_line(&packer, message, len, user, user_len);
    noria_publish(handler, noria_conn_path(conn), room, NORIA_OK, body, conn);
}

/* The room is what a connection is remembered by, wherever it goes on. Its subscription is the worker's to remember. */
static int remember_room(struct noria_conn *conn)
{
    const char *room = strstr(noria_conn_query(conn), "room=");
    if (room == NULL || (room != noria_conn_query(conn) && room[-1] != '&'))
        return 0;
    room += strlen("room=");
    size_t len = strcspn(room, "&");
    if (len == 0 || len > ROOM_MAX)
        return noria_close(conn, 1008, "A room's name has 1 to 60 bytes");
    char *copy = strndup(room, len);
    noria_conn_set_user(conn, copy);
    return copy == NULL;
}

static int on_connect(struct noria_conn *conn)
{
    static const char came[] = "Somebody came";
    if (remember_room(conn) != 0)
        return -1;
    const char *room = noria_conn_user(conn);
    if (room == NULL)
        return 0;
    say_to_room(conn, came, sizeof came - 1, "System", 6);
    return noria_subscribe(conn, room);
}

static void on_resume(struct noria_conn *conn)
{
    remember_room(conn);
}

static void on_disconnect(struct noria_conn *conn)
{
    static const char went[] = "Somebody went";
    say_to_room(conn, went, sizeof went - 1, "System", 6);
}

static int on_receive(struct noria_request *request, const msgpack_object *message)
{
    const char *text, *user;
    size_t len, user_len;
    if (!noria_text(noria_member(message, "message"), &text, &len) ||
        !noria_text(noria_member(message, "user"), &user, &user_len))
        return -1; /* the schema says otherwise */
    say_to_room(noria_request_conn(request), text, len, user, user_len);
    msgpack_packer packer;
    msgpack_sbuffer *body = noria_body(noria_request_handler(request), &packer);
    pack_line(&packer, "Hi", 2, "System", 6);
    noria_reply(request, NORIA_OK, body);
    return 0;
}

static int on_raw(struct noria_request *request, const msgpack_object *message)
{
    static const char answer[] = "{\"Hola\":\"Mundo\"}";
    (void)message; /* JSON, or Noria had refused it */
    noria_reply_text(request, answer, sizeof answer - 1);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct noria_endpoint endpoints[] = {
        {.path = "/chat",
         .on_connect = on_connect,
         .on_resume = on_resume,
         .on_disconnect = on_disconnect,
         .on_receive = on_receive,
         .free_user = free},
        {.path = "/chat-raw", .on_receive = on_raw},
    };
    return noria_handler_run(&(struct noria_handler_config){.name = "noria-chat",
                                                            .endpoints = endpoints,
                                                            .endpoint_count = 2,
                                                            .socket = argc > 1 ? argv[1] : NULL});
}
