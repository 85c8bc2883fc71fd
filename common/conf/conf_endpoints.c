/* conf_endpoints.c — handlers, and the endpoints that they answer.
 *
 * A handler is started by `noria up` (command) or by somebody else (socket), never both: which of the two processes would
 * a message go to? Names of files are relative to the configuration, not to whoever happens to start a program; a bare
 * program name is left as it is, because PATH is the launcher's. That a schema can be read is looked at here, where the line
 * is known (conf.unreadable); what stands in it is common/schema's matter (`noria check-config`, launcher, worker). A program that is not
 * there is no mistake of the configuration: everything else can still be served.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_check.h"
#include "conf_load.h"
#include "conf_near.h"
#include "must.h"

/* --- handlers ---------------------------------------------------------------------------------------------------- */

static bool stands(struct conf_place place, const char *key)
{
    return conf_child(place, key).node != CONF_NO_NODE;
}

static void check_way(struct conf_load *load, const struct conf_handler *handler, struct conf_place place)
{
    bool command = stands(place, "command"), socket = stands(place, "socket");
    if (command && socket)
        conf_problem_at(&load->problems, place, "socket",
                        "stands beside command, expected one of them: command is started here, a socket is "
                        "of a process that somebody else starts");
    else if (!command && !socket)
        conf_problem_at(&load->problems, place, "",
                        "one of the keys command and socket is missing: who answers?");
    if (command && handler->command[0][0] == '\0')
        conf_problem_at(&load->problems, conf_child(place, "command"), "", "is empty, expected a program");
    if (socket && stands(place, "processes"))
        conf_problem_at(&load->problems, place, "processes",
                        "stands beside socket, at which there is one process");
}

/* Below runtime_dir, which may come from the environment. */
static void check_socket_name(struct conf_load *load, const struct conf_handler *handler,
                              struct conf_place place)
{
    const struct conf *conf = &load->owner->draft.conf;
    int len = handler->command == NULL || handler->name == NULL
                  ? 0
                  : snprintf(NULL, 0, "%s/handlers/%s.%u", conf->runtime_dir, handler->name,
                             handler->processes - 1);
    if (len >= CONF_PATH_MAX)
        conf_problem_at(
            &load->problems, place, "name",
            "its socket %s/handlers/%s.%u has %d bytes, and a Unix socket's name at most %d: shorten "
            "runtime_dir or the name",
            conf->runtime_dir, handler->name, handler->processes - 1, len, CONF_PATH_MAX - 1);
}

static void check_handler(struct conf_load *load, size_t i, struct conf_place place)
{
    const struct conf_handler *handlers = load->owner->draft.conf.handlers, *handler = &handlers[i];
    check_way(load, handler, place);
    check_socket_name(load, handler, place);
    conf_check_handler_times(handler, place, &load->problems);
    for (size_t other = 0; other < i && handler->name != NULL; other++)
        if (handlers[other].name != NULL && strcmp(handlers[other].name, handler->name) == 0)
            conf_problem_at(&load->problems, place, "name", "%s is the name of handlers[%zu] too",
                            handler->name, other);
}

/* The program's path, if it has one, is made absolute: the copy of the list is the configuration's own. */
static enum err_e fill_command(struct conf_load *load, const struct raw_handler *raw,
                               struct conf_handler *handler, struct conf_place place)
{
    const struct conf *conf = &load->owner->draft.conf;
    const char *const *words;
    enum err_e err = conf_fill_words(load, &conf_command_word_key, raw->command, raw->command_count,
                                     conf_child(place, "command"), &words);
    if (err != ERR_OK)
        return err;
    handler->command = words;
    handler->command_count = raw->command_count;
    if (strchr(words[0], '/') == NULL)
        return ERR_OK;
    const char *program = conf_own_beside(load->owner, conf->directory, strlen(conf->directory), words[0]);
    const char **own = conf_own(load->owner, (raw->command_count + 1) * sizeof *own);
    if (program == NULL || own == NULL)
        return ERR_MEMORY;
    memcpy(own, words, raw->command_count * sizeof *own);
    own[0] = program;
    handler->command = own;
    return ERR_OK;
}

static enum err_e fill_handlers(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    const struct raw_root *raw = load->owner->raw;
    struct conf_place places[CONF_HANDLERS_MAX];
    MUST(raw->handlers_count <= CONF_HANDLERS_MAX);
    conf->handlers = conf_own(load->owner, (raw->handlers_count + 1u) * sizeof *conf->handlers);
    if (conf->handlers == NULL)
        return ERR_MEMORY;
    conf->handler_count = raw->handlers_count;
    conf_places(conf_child(conf_root(load), "handlers"), conf->handler_count, places);
    for (size_t i = 0; i < conf->handler_count; i++) {
        struct conf_handler *handler = &conf->handlers[i];
        handler->socket = "";
        conf_section_apply(&conf_handler_section, &raw->handlers[i], &load->outline, places[i].node, handler,
                           &load->problems);
        if (raw->handlers[i].command_count > 0 &&
            fill_command(load, &raw->handlers[i], handler, places[i]) != ERR_OK)
            return ERR_MEMORY;
        check_handler(load, i, places[i]);
    }
    return ERR_OK;
}

/* --- endpoints --------------------------------------------------------------------------------------------------- */

static void find_handler(struct conf_load *load, struct conf_endpoint *endpoint, struct conf_place place)
{
    const struct conf *conf = &load->owner->draft.conf;
    const char *names[CONF_HANDLERS_MAX], *name = endpoint->handler_name;
    size_t count = 0;
    for (size_t i = 0; i < conf->handler_count && name != NULL; i++) {
        if (conf->handlers[i].name == NULL)
            continue;
        if (strcmp(conf->handlers[i].name, name) == 0) {
            endpoint->handler = i;
            return;
        }
        names[count++] = conf->handlers[i].name;
    }
    if (name == NULL)
        return;
    const char *near = conf_near(name, names, count);
    conf_problem_at(&load->problems, place, "handler", "there is no handler %s%s%s%s", name,
                    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

/* What only a validated endpoint has. */
static void check_sense(struct conf_load *load, const struct conf_endpoint *endpoint, struct conf_place place)
{
    if (endpoint->schema[0] != '\0')
        return;
    if (endpoint->reply_schema[0] != '\0')
        conf_problem_at(&load->problems, place, "reply_schema",
                        "stands here without schema: replies of a traditional endpoint are sent as they are");
    if (endpoint->binary)
        conf_problem_at(
            &load->problems, place, "binary",
            "stands here without schema: each reply of a traditional endpoint is text or binary as "
            "its handler says");
    if (endpoint->error_object)
        conf_problem_at(&load->problems, place, "error_object",
                        "stands here without schema: nothing is validated");
}

static enum err_e find_file(struct conf_load *load, const char **name, struct conf_place place,
                            const char *key)
{
    const struct conf *conf = &load->owner->draft.conf;
    char *text, fault[CONF_FAULT_MAX];
    size_t len;
    if (**name == '\0')
        return ERR_OK;
    const char *path = conf_own_beside(load->owner, conf->directory, strlen(conf->directory), *name);
    if (path == NULL)
        return ERR_MEMORY;
    *name = path;
    if (load->pure)
        return ERR_OK;
    enum err_e err = conf_read_file(path, &text, &len, fault);
    free(text);
    return err == ERR_CONFIG ? conf_note_unreadable(load, place, key, path, fault) : err;
}

static void check_path(struct conf_load *load, size_t i, struct conf_place place)
{
    const struct conf_endpoint *endpoints = load->owner->draft.conf.endpoints, *endpoint = &endpoints[i];
    for (size_t other = 0; other < i && endpoint->path != NULL; other++)
        if (endpoints[other].path != NULL && strcmp(endpoints[other].path, endpoint->path) == 0)
            conf_problem_at(&load->problems, place, "path", "%s is the path of endpoints[%zu] too",
                            endpoint->path, other);
}

static enum err_e fill_endpoint(struct conf_load *load, size_t i, struct conf_place place)
{
    struct conf_endpoint *endpoint = &load->owner->draft.conf.endpoints[i];
    endpoint->schema = endpoint->reply_schema = "";
    conf_section_apply(&conf_endpoint_section, &load->owner->raw->endpoints[i], &load->outline, place.node,
                       endpoint, &load->problems);
    check_path(load, i, place);
    find_handler(load, endpoint, place);
    check_sense(load, endpoint, place);
    enum err_e err = find_file(load, &endpoint->schema, place, "schema");
    return err == ERR_OK ? find_file(load, &endpoint->reply_schema, place, "reply_schema") : err;
}

enum err_e conf_fill_endpoints(struct conf_load *load)
{
    struct conf *conf = &load->owner->draft.conf;
    size_t count = load->owner->raw->endpoints_count;
    struct conf_place places[CONF_ENDPOINTS_MAX];
    MUST(count <= CONF_ENDPOINTS_MAX);
    conf->endpoints = conf_own(load->owner, (count + 1) * sizeof *conf->endpoints);
    enum err_e err = conf->endpoints != NULL ? fill_handlers(load) : ERR_MEMORY;
    if (err != ERR_OK)
        return err;
    conf->endpoint_count = count;
    conf_places(conf_child(conf_root(load), "endpoints"), count, places);
    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = fill_endpoint(load, i, places[i]);
    return err;
}

/* --- worth a look ------------------------------------------------------------------------------------------------ */

static bool has_endpoint(const struct conf *conf, const char *path)
{
    for (size_t i = 0; i < conf->endpoint_count; i++)
        if (strcmp(conf->endpoints[i].path, path) == 0)
            return true;
    return false;
}

/* Of a listener's dialects the first that serves a path gets it. */
static void look_at_order(struct conf_load *load, const struct conf_listener *listener, size_t at,
                          struct conf_place place)
{
    const struct conf *conf = &load->owner->draft.conf;
    static const char *const of_streams[] = {"/", "/websocket"};
    size_t before;
    if (conf_speaks(listener, "carousel", &before) && before < at)
        conf_warn(
            load, place, "dialects",
            "endpoints are never reached behind carousel, which serves every path: put endpoints first");
    for (size_t i = 0; i < ARRAY_LEN(of_streams); i++)
        if (has_endpoint(conf, of_streams[i]) && conf_speaks(listener, "streams", &before) && before < at)
            conf_warn(load, place, "dialects",
                      "the endpoint %s is never reached behind streams, which serves that path: put "
                      "endpoints first",
                      of_streams[i]);
}

static void look_at_dialect(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct conf_place places[CONF_LISTENERS_MAX];
    bool any = false;
    conf_places(conf_child(conf_root(load), "listeners"), conf->listener_count, places);
    for (size_t i = 0; i < conf->listener_count; i++) {
        size_t at;
        if (!conf_speaks(&conf->listeners[i], "endpoints", &at))
            continue;
        any = true;
        if (conf->endpoint_count == 0)
            conf_warn(load, places[i], "dialects", "there are no endpoints: every path is refused with 404");
        else
            look_at_order(load, &conf->listeners[i], at, places[i]);
    }
    if (conf->endpoint_count > 0 && !any)
        conf_warn(load, conf_root(load), "endpoints",
                  "nobody can reach them: no listener has endpoints among its dialects");
}

void conf_look_at_endpoints(struct conf_load *load)
{
    const struct conf *conf = &load->owner->draft.conf;
    struct conf_place places[CONF_HANDLERS_MAX];
    bool used[CONF_HANDLERS_MAX] = {false};
    look_at_dialect(load);
    conf_places(conf_child(conf_root(load), "handlers"), conf->handler_count, places);
    for (size_t i = 0; i < conf->endpoint_count; i++)
        used[conf->endpoints[i].handler] = true;
    for (size_t i = 0; i < conf->handler_count; i++)
        if (!used[i])
            conf_warn(load, places[i], "", "no endpoint has the handler %s", conf->handlers[i].name);
}
