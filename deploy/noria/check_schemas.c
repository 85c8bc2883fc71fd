/* check_schemas.c — see check_schemas.h. */
#include "check_schemas.h"

#include <stdio.h>
#include <string.h>

#include "schema_file.h"

/* The k-th file of the configuration: schema and reply_schema of each endpoint in turn. */
static const char *file_at(const struct conf *conf, size_t k)
{
    const struct conf_endpoint *endpoint = &conf->endpoints[k / 2];
    return k % 2 == 0 ? endpoint->schema : endpoint->reply_schema;
}

static bool seen_before(const struct conf *conf, size_t k)
{
    for (size_t other = 0; other < k; other++)
        if (strcmp(file_at(conf, other), file_at(conf, k)) == 0)
            return true;
    return false;
}

static bool check_one(const char *path, conf_report_f *report, void *arg)
{
    char problem[SCHEMA_FILE_PROBLEM_MAX];
    struct schema *schema = NULL;
    enum err_e err = schema_file_load(path, &schema, problem);
    schema_free(&schema);
    if (err == ERR_MEMORY)
        snprintf(problem, sizeof problem, "%.500s: %s", path, err_text(err));
    if (err != ERR_OK)
        report(arg, problem);
    return err == ERR_OK;
}

bool check_schemas(const struct conf *conf, conf_report_f *report, void *arg)
{
    bool fine = conf->unreadable_count == 0;
    for (size_t i = 0; i < conf->unreadable_count; i++) /* with the line that names each */
        report(arg, conf->unreadable[i]);
    if (!fine)
        return false;
    for (size_t k = 0; k < 2 * conf->endpoint_count; k++)
        if (file_at(conf, k)[0] != '\0' && !seen_before(conf, k))
            fine = check_one(file_at(conf, k), report, arg) && fine;
    return fine;
}
