/* See health.h. Rejected: a HELLO to the broker by every check (an entry in its log and a peer each time), GET /readyz (the workers share
 * one port, so that another one might answer), and a socket of its own in each process (a listener more to defend). */
#include "health.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "errcode.h"
#include "front.h"
#include "must.h"

#define LOOK_MS       20
#define ARGUMENTS_MAX 4096

static const struct role {
    const char *name, *program;
    const char *argument; /* of the program; NULL: any */
    const char *segment;  /* below shm/: its name, or with '.' at the end how it begins; NULL: none */
    const char *socket;   /* below runtime_dir; NULL: none */
    int type;             /* of the socket */
} roles[] = {
    {"broker", "noria-broker", NULL, "broker", NULL, 0},
    {"store", "noria-store", NULL, "store", NULL, 0},
    {"worker", "noria-worker", NULL, "worker.", NULL, 0},
    {"front", "noria", "front", NULL, FRONT_SOCKET, SOCK_SEQPACKET},
    {"plc-sim", "plc-sim", NULL, NULL, "sim.sock", SOCK_STREAM},
    {"launcher", "noria", "up", NULL, "control.sock", SOCK_STREAM},
};

static const struct role agent = {"agent", "plc-agent", NULL, NULL, NULL, 0};

static int ill(const struct health_request *request, const char *what, const char *why)
{
    fprintf(request->err, "%s: %s\n", what, why);
    return 1;
}

/* --- who it is ------------------------------------------------------------------------------------------------------ */

struct arguments {
    char bytes[ARGUMENTS_MAX + 1];
    size_t len; /* of all, each with its NUL */
};

static bool read_file(const struct health_request *request, const char *name, char *bytes, size_t size,
                      size_t *len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", request->process, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    *len = fread(bytes, 1, size - 1, file);
    bytes[*len] = '\0';
    fclose(file);
    return true;
}

/* The word behind `from`, or the first; NULL: there is none. */
static const char *next_word(const struct arguments *arguments, const char *from)
{
    const char *next = from == NULL ? arguments->bytes : from + strlen(from) + 1;
    return next < arguments->bytes + arguments->len ? next : NULL;
}

static bool runs(const struct arguments *arguments, const struct role *role)
{
    const char *program = next_word(arguments, NULL), *argument = next_word(arguments, program);
    const char *slash = strrchr(program, '/');
    return strcmp(slash != NULL ? slash + 1 : program, role->program) == 0 &&
           (role->argument == NULL || (argument != NULL && strcmp(argument, role->argument) == 0));
}

static bool serves(const struct arguments *arguments, const char *machine)
{
    for (const char *word = next_word(arguments, NULL); word != NULL; word = next_word(arguments, word)) {
        const char *next = next_word(arguments, word);
        if (strcmp(word, "-m") == 0 && next != NULL && strcmp(next, machine) == 0)
            return true;
    }
    return false;
}

/* A machine may have a role's name: what runs decides. */
static const struct role *identify(const char *what, const struct arguments *arguments)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (runs(arguments, &roles[i]) && (what == NULL || strcmp(roles[i].name, what) == 0))
            return &roles[i];
    return runs(arguments, &agent) && (what == NULL || serves(arguments, what)) ? &agent : NULL;
}

/* --- does it turn? -------------------------------------------------------------------------------------------------- */

static bool sleeps(const struct health_request *request, unsigned long long *count)
{
    static const char key[] = "\nvoluntary_ctxt_switches:";
    char status[8192];
    size_t len;
    if (!read_file(request, "status", status, sizeof status, &len))
        return false;
    const char *found = strstr(status, key);
    if (found == NULL)
        return false;
    *count = strtoull(found + sizeof key - 1, NULL, 10);
    return true;
}

static bool turned(const struct health_request *request, unsigned long long before)
{
    unsigned long long now;
    uint64_t until = clock_mono_ns(request->clock) + request->turn_ms * NS_PER_MS;
    while (sleeps(request, &now)) {
        if (now != before)
            return true;
        if (clock_mono_ns(request->clock) >= until)
            return false;
        poll(NULL, 0, LOOK_MS);
    }
    return false;
}

/* --- what it holds -------------------------------------------------------------------------------------------------- */

/* The path at the end of a line of /proc/PID/maps, with the inode before it; a file that lost its name is marked there. */
static bool is_mapping_of(const char *line, const char *prefix, bool whole)
{
    const char *path = strchr(line, '/');
    size_t len = strlen(prefix);
    return path != NULL && strncmp(path, prefix, len) == 0 &&
           (whole ? path[len] == '\0' : path[len] != '\0' && strchr(path, ' ') == NULL);
}

static bool maps(const struct health_request *request, const char *segment)
{
    char path[256], prefix[256], line[1024];
    bool found = false, whole = segment[strlen(segment) - 1] != '.';
    snprintf(path, sizeof path, "%s/maps", request->process);
    snprintf(prefix, sizeof prefix, "%s/shm/%s", request->runtime_dir, segment);
    FILE *file = fopen(path, "re");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        found = is_mapping_of(line, prefix, whole);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

bool health_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof address->sun_path)
        return false;
    memcpy(address->sun_path, path, len + 1);
    return true;
}

bool health_accepts(const char *path, int type)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool accepted = fd >= 0 && health_address(path, &address) &&
                    connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return accepted;
}

static bool accepts(const struct health_request *request, const struct role *role)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", request->runtime_dir, role->socket);
    return health_accepts(path, role->type);
}

/* Who has a socket is woken by a connection to it, having no heartbeat. */
static int examine(const struct health_request *request, const struct role *role)
{
    unsigned long long before = 0;
    if (role->segment != NULL && !maps(request, role->segment))
        return ill(request, role->name,
                   "it has no segment in shm: it waits for the broker, or a worker for front");
    bool there = sleeps(request, &before);
    if (role->socket != NULL && !accepts(request, role))
        return ill(request, role->name, "its socket does not accept");
    if (!there || !turned(request, before))
        return ill(request, role->name, "its loop does not turn");
    fprintf(request->out, "healthy\n");
    return 0;
}

int health(const struct health_request *request)
{
    struct arguments arguments;
    if (!read_file(request, "cmdline", arguments.bytes, sizeof arguments.bytes, &arguments.len) ||
        arguments.len == 0)
        return ill(request, request->process, "there is no such process");
    const struct role *role = identify(request->what, &arguments);
    if (role == NULL)
        return ill(request, arguments.bytes,
                   "is not what is asked for; a check runs in the container of its process");
    return examine(request, role);
}
