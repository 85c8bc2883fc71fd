/* tell_launcher.c — see tell_launcher.h. What the launcher says is shown as it comes, so that a long restart can be watched. */
#include "tell_launcher.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "launch_control.h"
#include "proc.h"

static int failed(const struct tell_request *request)
{
    bool none = errno == ENOENT || errno == ECONNREFUSED;
    fprintf(request->err, "noria %s: %s: %s\n", request->word, request->socket,
            none ? "no launcher (noria up) runs there" : strerror(errno));
    return PROC_EXIT_FAILURE;
}

/* -1: errno says why not. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Shows an answer: 0 if its last line is `ok`. */
static int show(const struct tell_request *request, FILE *answer)
{
    static const char error[] = "error: ";
    char line[4096];
    bool ok = false, refused = false;
    while (fgets(line, sizeof line, answer) != NULL) {
        ok = strcmp(line, "ok\n") == 0;
        refused = strncmp(line, error, sizeof error - 1) == 0;
        if (refused)
            fprintf(request->err, "noria %s: %s", request->word, line + sizeof error - 1);
        else if (!ok)
            fputs(line, request->out);
        fflush(request->out);
    }
    if (!ok && !refused)
        fprintf(request->err, "noria %s: the launcher ended before it answered\n", request->word);
    return ok ? 0 : PROC_EXIT_FAILURE;
}

static int ask(const struct tell_request *request, const char *line)
{
    int fd = connect_to(request->socket);
    if (fd < 0)
        return failed(request);
    FILE *answer = fdopen(fd, "r");
    if (answer == NULL || send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
        int code = failed(request);
        if (answer != NULL)
            fclose(answer);
        else
            close(fd);
        return code;
    }
    int code = show(request, answer);
    fclose(answer);
    return code;
}

static bool is_word(const char *name)
{
    return *name != '\0' && strpbrk(name, " \n") == NULL && strlen(name) < CONTROL_REQUEST_MAX / 2;
}

int tell_launcher(const struct tell_request *request)
{
    size_t next = 0;
    int code = 0;
    for (size_t i = 0; i < request->name_count; i++)
        if (!is_word(request->names[i])) {
            fprintf(request->err, "noria %s: \"%s\" is no name of a process\n", request->word,
                    request->names[i]);
            return PROC_EXIT_USAGE;
        }
    do {
        char line[CONTROL_REQUEST_MAX + 1];
        size_t words = 1, len = (size_t)snprintf(line, sizeof line, "%s", request->word);
        for (; next < request->name_count && words < CONTROL_WORDS_MAX &&
               len + strlen(request->names[next]) + 2 <= CONTROL_REQUEST_MAX;
             next++, words++)
            len += (size_t)snprintf(line + len, sizeof line - len, " %s", request->names[next]);
        snprintf(line + len, sizeof line - len, "\n");
        code = ask(request, line);
    } while (code == 0 && next < request->name_count);
    return code;
}
