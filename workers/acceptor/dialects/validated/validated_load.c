/* Hop: C2. The endpoints of this process: those of the configuration, with their schemas compiled when the worker starts, and those that it
 * adds itself. Looked through from the first to the last: once per upgrade and publication, of some dozens. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "schema_file.h"
#include "validated_internal.h"

struct site *validated_site(const struct validated_shared *shared, const char *path, size_t len)
{
    for (size_t i = 0; i < shared->site_count; i++) {
        const char *known = shared->sites[i]->endpoint.path;
        if (strlen(known) == len && memcmp(known, path, len) == 0)
            return shared->sites[i];
    }
    return NULL;
}

static void site_free(struct site *site)
{
    if (site == NULL)
        return;
    schema_free(&site->own_schema);
    schema_free(&site->own_reply_schema);
    free(site);
}

/* Takes the site, also on an error. */
static enum err_e take_site(struct validated_shared *shared, struct site *site)
{
    const char *path = site->endpoint.path;
    if (validated_site(shared, path, strlen(path)) != NULL) {
        site_free(site);
        return ERR_EXISTS;
    }
    struct site **more = realloc(shared->sites, (shared->site_count + 1) * sizeof(struct site *));
    if (more == NULL) {
        site_free(site);
        return ERR_MEMORY;
    }
    topic_make_endpoint(&site->everybody, path, "", 0);
    shared->sites = more;
    shared->sites[shared->site_count++] = site;
    return ERR_OK;
}

enum err_e validated_add(struct endpoint *own, const struct validated_endpoint *endpoint)
{
    struct site *site = calloc(1, sizeof *site);
    if (site == NULL)
        return ERR_MEMORY;
    site->endpoint = *endpoint;
    site->conf_index = SIZE_MAX;
    return take_site(endpoint_shared(own), site);
}

/* --- the configuration's ---------------------------------------------------------------------------------------------- */

/* "": no schema. */
static enum err_e load_schema(const struct conf_endpoint *endpoint, const char *file, struct schema **schema)
{
    char problem[SCHEMA_FILE_PROBLEM_MAX];
    if (file[0] == '\0')
        return ERR_OK;
    enum err_e err = schema_file_load(file, schema, problem);
    if (err != ERR_OK)
        log_error("schema", "endpoint=%s error=\"%s\"", endpoint->path,
                  err == ERR_CONFIG ? problem : err_text(err));
    return err == ERR_OK || err == ERR_MEMORY ? err : ERR_CONFIG;
}

static enum err_e connect_nowhere(void *arg, struct endpoint_conn *conn,
                                  const struct endpoint_request *request)
{
    (void)arg;
    (void)conn;
    (void)request;
    return ERR_CONFIG;
}

/* Of an endpoint whose schema cannot be read: nobody becomes a client of it, so that nothing else is called. */
static const struct validated_handler nowhere = {.connect = connect_nowhere};

static enum err_e load_site(struct validated_shared *shared, const struct conf *conf, size_t index)
{
    const struct conf_endpoint *endpoint = &conf->endpoints[index];
    struct site *site = calloc(1, sizeof *site);
    if (site == NULL)
        return ERR_MEMORY;
    enum err_e err = load_schema(endpoint, endpoint->schema, &site->own_schema);
    enum err_e reply_err = load_schema(endpoint, endpoint->reply_schema, &site->own_reply_schema);
    if (err == ERR_MEMORY || reply_err == ERR_MEMORY) {
        site_free(site);
        return ERR_MEMORY;
    }
    bool works = err == ERR_OK && reply_err == ERR_OK;
    site->conf_index = index;
    site->endpoint = (struct validated_endpoint){.path = endpoint->path,
                                                 .schema = site->own_schema,
                                                 .reply_schema = site->own_reply_schema,
                                                 .binary = endpoint->binary,
                                                 .error_object = endpoint->error_object,
                                                 .handler = works ? &validated_pool_handler : &nowhere,
                                                 .arg = site};
    return take_site(shared, site);
}

/* All that is wrong is said, and not only the first. `noria up` does not start with a schema that cannot be read; a worker that is
 * started again while somebody edits one serves everything else, the carousels above all. */
enum err_e validated_load(struct validated_shared *shared, const struct conf *conf)
{
    json_t *nothing = json_object();
    struct schema_problem problem;
    enum err_e err = nothing != NULL ? schema_from_json(nothing, &shared->any, &problem) : ERR_MEMORY;
    json_decref(nothing);
    for (size_t i = 0; i < conf->endpoint_count && err == ERR_OK; i++)
        err = load_site(shared, conf, i);
    return err;
}

void validated_follow(struct validated_shared *shared, const struct conf *conf)
{
    for (size_t i = 0; i < shared->site_count; i++) {
        struct site *site = shared->sites[i];
        if (site->conf_index != SIZE_MAX)
            site->endpoint.path = conf->endpoints[site->conf_index].path;
    }
}

void validated_unload(struct validated_shared *shared)
{
    for (size_t i = 0; i < shared->site_count; i++)
        site_free(shared->sites[i]);
    free(shared->sites);
    shared->sites = NULL;
    shared->site_count = 0;
    schema_free(&shared->any);
}
