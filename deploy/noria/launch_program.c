/* launch_program.c — see launch_program.h. */
#include "launch_program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or errno. */
static int executable(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return errno;
    if (!S_ISREG(info.st_mode))
        return EACCES;
    return access(path, X_OK) == 0 ? 0 : errno;
}

/* False: it would be too long. A relative directory counts from here, and the program will start elsewhere. */
static bool join(const char *directory, size_t len, const char *name, char out[PATH_MAX])
{
    char here[PATH_MAX] = "";
    if (len == 0 || directory[0] != '/')
        if (getcwd(here, sizeof here) == NULL)
            return false;
    int n = snprintf(out, PATH_MAX, "%s%s%.*s%s%s", here, here[0] != '\0' ? "/" : "", (int)len, directory,
                     len > 0 ? "/" : "", name);
    return n > 0 && n < PATH_MAX;
}

/* A file that may not be executed is passed by, as execvp() does, and told if there is no other. */
static int search(const char *name, const char *path, char found[PATH_MAX])
{
    int error = ENOENT;
    for (const char *at = path;; at++) {
        size_t len = strcspn(at, ":");
        int here = join(at, len, name, found) ? executable(found) : ENAMETOOLONG;
        if (here == 0)
            return 0;
        if (here == EACCES)
            error = EACCES;
        at += len;
        if (*at == '\0')
            return error;
    }
}

bool program_find(const char *name, const char *path, char found[PATH_MAX], char fault[PROGRAM_FAULT_MAX])
{
    char usual[256] = "";
    bool is_path = strchr(name, '/') != NULL;
    if (path == NULL && confstr(_CS_PATH, usual, sizeof usual) > 0)
        path = usual;
    int error = ENAMETOOLONG;
    if (!is_path)
        error = search(name, path != NULL ? path : "", found);
    else if (snprintf(found, PATH_MAX, "%s", name) < PATH_MAX)
        error = executable(found);
    if (error == 0)
        return true;
    if (error == ENOENT && !is_path)
        snprintf(fault, PROGRAM_FAULT_MAX, "is not found in PATH");
    else
        snprintf(fault, PROGRAM_FAULT_MAX, "cannot be executed: %s", strerror(error));
    return false;
}
