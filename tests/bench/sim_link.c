/* sim_link.c — see sim_link.h. */
#include "sim_link.h"

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define ANSWER_MS 5000

static int connect_control(const struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sim.sock", rig->dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static enum err_e ask(int fd, const char *command, char *answer, size_t cap)
{
    char line[600];
    int len = snprintf(line, sizeof line, "%s\n", command);
    if (send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        return ERR_CLOSED;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, ANSWER_MS) != 1)
        return ERR_TIMEOUT;
    ssize_t n = recv(fd, answer, cap - 1, 0);
    if (n <= 0)
        return ERR_CLOSED;
    answer[n] = '\0';
    return strncmp(answer, "error", 5) == 0 ? ERR_MISMATCH : ERR_OK;
}

enum err_e sim_link_command(const struct rig *rig, const char *command)
{
    char answer[1024] = "";
    int fd = connect_control(rig);
    enum err_e err = fd >= 0 ? ask(fd, command, answer, sizeof answer) : ERR_SYSTEM;
    if (fd >= 0)
        close(fd);
    if (err != ERR_OK)
        log_error("bench-sim", "command=\"%s\" answer=\"%s\": %s", command, answer, err_text(err));
    return err;
}

struct log_line {
    uint64_t ns;
    char machine[80], side[3];
    unsigned bytes;
};

static bool parse_line(const char *text, struct log_line *line)
{
    uint64_t conn;
    return sscanf(text, "%" SCNu64 " machine=%79s conn=%" SCNu64 " %2[rtx]=%4x", &line->ns, line->machine,
                  &conn, line->side, &line->bytes) == 5;
}

size_t sim_link_changes(const struct rig *rig, uint32_t index, struct sim_change *changes, size_t max)
{
    char path[96], text[512], id[RIG_ID_MAX];
    size_t count = 0;
    unsigned before = 0x10000;
    uint64_t rx_ns = 0;
    rig_machine_id(index, id);
    snprintf(path, sizeof path, "%s/sim.log", rig->dir);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (count < max && fgets(text, sizeof text, file) != NULL) {
        struct log_line line;
        if (!parse_line(text, &line) || strcmp(line.machine, id) != 0)
            continue;
        if (line.side[0] == 'r') {
            rx_ns = line.ns;
        } else if (line.bytes != before) {
            before = line.bytes;
            changes[count++] =
                (struct sim_change){rx_ns, line.ns, (uint8_t)(line.bytes >> 8), (uint8_t)line.bytes};
        }
    }
    fclose(file);
    return count;
}

/* False: not a status request of one of these machines. */
static bool parse_poll(const char *text, uint32_t machines, uint64_t *ns, uint32_t *machine)
{
    struct log_line line;
    char id[RIG_ID_MAX];
    if (!parse_line(text, &line) || line.side[0] != 'r' || line.bytes != 0 ||
        sscanf(line.machine, "bench_%" SCNu32, machine) != 1 || *machine >= machines)
        return false;
    rig_machine_id(*machine, id);
    *ns = line.ns;
    return strcmp(id, line.machine) == 0;
}

void sim_link_polls(const struct rig *rig, uint32_t machines, long *offset, sim_poll_f *each, void *arg)
{
    char path[96], text[512];
    uint64_t ns;
    uint32_t machine;
    snprintf(path, sizeof path, "%s/sim.log", rig->dir);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    fseek(file, 0, SEEK_END);
    *offset = *offset <= ftell(file) ? *offset : 0; /* the simulator has begun a new file */
    fseek(file, *offset, SEEK_SET);
    while (fgets(text, sizeof text, file) != NULL) {
        *offset = ftell(file);
        if (each != NULL && parse_poll(text, machines, &ns, &machine))
            each(arg, ns, machine);
    }
    fclose(file);
}
