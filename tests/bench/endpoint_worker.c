/* endpoint_worker.c — bench-worker: noria-worker with endpoints that it answers itself (Hops: C1, C2, R4).
 *
 * All of noria-worker but its main(), and two endpoints, /in/small and /in/nested, registered as any endpoint of the
 * configuration is, whose handler is a function in this process that answers with the message. So a row of it beside one of a
 * handler process shows what leaving the process costs, and beside the bare echo what validation and Noria's endpoints cost.
 */
#include <stdio.h>
#include <string.h>

#include "ask_text.h"
#include "log.h"
#include "proc.h"
#include "schema.h"
#include "schema_json.h"
#include "validated.h"
#include "worker.h"

static enum err_e on_connect(void *arg, struct endpoint_conn *conn, const struct endpoint_request *request)
{
    (void)arg;
    (void)conn;
    (void)request;
    return ERR_OK;
}

static enum err_e on_receive(void *arg, struct endpoint_conn *conn, const struct validated_message *message,
                             uint64_t token)
{
    (void)arg;
    validated_answer(conn, token, 200, (struct validated_body){.json = message->value});
    return ERR_OK;
}

static void on_disconnect(void *arg, struct endpoint_conn *conn)
{
    (void)arg;
    (void)conn;
}

static const struct validated_handler echo = {on_connect, on_receive, on_disconnect};

static const char *const paths[ASK_TEXTS] = {[ASK_SMALL] = "/in/small", [ASK_NESTED] = "/in/nested"};

static struct endpoint *own_endpoint(struct worker *worker)
{
    struct endpoint_commons *commons = &worker->host.commons;
    for (unsigned i = 0; i < commons->count; i++)
        if (commons->all[i].endpoint.dialect == &validated_dialect)
            return &commons->all[i].endpoint;
    return NULL;
}

static struct schema *read_schema(enum ask_text_e text)
{
    const char *json = ask_text_schema(text);
    char why[SCHEMA_JSON_WHY_MAX];
    struct schema_problem problem;
    struct schema *schema = NULL;
    json_t *document = schema_json_load(json, strlen(json), SCHEMA_VALUES_MAX, why);
    if (document == NULL || schema_from_json(document, &schema, &problem) != ERR_OK)
        log_error("bench-schema", "message=%s", ask_text_name(text));
    json_decref(document);
    return schema;
}

/* Before the first connection: sockets are only accepted from when the loop runs. */
static enum err_e add_endpoints(struct worker *worker, struct schema *schemas[ASK_TEXTS])
{
    struct endpoint *own = own_endpoint(worker);
    enum err_e err = own != NULL ? ERR_OK : ERR_CONFIG;
    for (enum ask_text_e text = 0; text < ASK_TEXTS && err == ERR_OK; text++) {
        schemas[text] = read_schema(text);
        struct validated_endpoint endpoint = {.path = paths[text], .schema = schemas[text], .handler = &echo};
        err = schemas[text] != NULL ? validated_add(own, &endpoint) : ERR_CONFIG;
    }
    return err;
}

static void report(void *arg, const char *text)
{
    (void)arg;
    log_error("config", "%s", text);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    struct conf *conf = NULL;
    struct schema *schemas[ASK_TEXTS] = {NULL};
    log_init("worker", LOG_INFO);
    if (argc != 3 || strcmp(argv[1], "-c") != 0)
        return PROC_EXIT_USAGE;
    if (!proc_boot())
        return PROC_EXIT_FAILURE;
    if (conf_load(argv[2], report, NULL, &conf) != ERR_OK)
        return PROC_EXIT_PERMANENT;
    log_init("worker", conf->log_level);
    const struct worker_options options = {.conf = conf, .file = argv[2], .control = -1};
    enum err_e err = worker_start(&worker, &options);
    if (err == ERR_OK)
        err = add_endpoints(&worker, schemas);
    if (err != ERR_OK) {
        log_error("start", "%s", err_text(err));
        return PROC_EXIT_FAILURE;
    }
    int code = worker_run(&worker);
    for (unsigned i = 0; i < ASK_TEXTS; i++)
        schema_free(&schemas[i]);
    return code;
}
