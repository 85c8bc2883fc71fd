/* See backup.h. */
#include "backup.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db.h"
#include "proc.h"

static int refuse(FILE *err, const char *file, const char *text)
{
    fprintf(err, "noria backup: %s %s\n", file, text);
    return PROC_EXIT_FAILURE;
}

static int explain(enum err_e why, const char *from, const char *to, const char *text, FILE *err)
{
    fprintf(err, "noria backup: %s\n", text[0] != '\0' ? text : err_text(why));
    if (why == ERR_EXISTS)
        return refuse(err, to, "exists already, and a backup never replaces a file: choose another name");
    if (why == ERR_CORRUPT)
        return refuse(
            err, from,
            "is damaged, and no copy was kept: put an earlier backup in its place while noria-store "
            "is stopped, and keep the damaged file, which may hold more");
    return refuse(err, to,
                  "was not made: is there room, and may you write there, and read the state directory?");
}

static int told(const char *to, FILE *out)
{
    struct stat info = {0};
    if (stat(to, &info) == 0)
        fprintf(out, "%s: %" PRIu64 " KiB, checked\n", to, ((uint64_t)info.st_size + 1023) / 1024);
    return 0;
}

int backup(const struct conf *conf, const char *to, FILE *out, FILE *err)
{
    char from[PATH_MAX], why[DB_WHY_MAX] = "";
    snprintf(from, sizeof from, "%s/store/noria.db", conf->state_dir);
    if (access(from, F_OK) != 0 && errno == ENOENT)
        return refuse(err, from,
                      "is not there: noria-store makes it at its first start (it runs if a listener has the "
                      "dialect channels)");
    if (access(from, R_OK) != 0)
        return refuse(err, from, "cannot be read: run this as Noria's user");
    enum err_e result = db_backup(from, to, why);
    return result == ERR_OK ? told(to, out) : explain(result, from, to, why, err);
}
