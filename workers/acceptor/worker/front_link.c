/* See front_link.h. */
#include "front_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "front.h"
#include "log.h"

void front_link_init(struct front_link *link, const struct clock *clock, const char *path)
{
    *link = (struct front_link){.clock = clock, .path = path, .fd = -1};
}

void front_link_close(struct front_link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

/* Back to SEEKING. */
static bool wait_on(struct front_link *link, const char *why)
{
    if (strncmp(link->why, why, sizeof link->why - 1) != 0)
        log_warn("front-wait", "path=%s error=\"%s\" no sockets from front yet", link->path, why);
    snprintf(link->why, sizeof link->why, "%s", why);
    front_link_close(link);
    return false;
}

static bool ask(struct front_link *link, const char *families)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control_message request = {.type = CONTROL_SOCKETS};
    if (strlen(link->path) >= sizeof address.sun_path)
        return wait_on(link, strerror(ENAMETOOLONG));
    strcpy(address.sun_path, link->path);
    snprintf(request.text, sizeof request.text, "%s", families);
    link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        control_send(link->fd, &request) != ERR_OK)
        return wait_on(link, strerror(errno));
    link->asked_ns = clock_mono_ns(link->clock);
    return true;
}

static bool look_at(struct front_link *link, const char *families, struct control_message *got)
{
    if (got->type == CONTROL_SOCKETS && got->fd_count == strlen(families) && strcmp(got->text, families) == 0)
        return true;
    control_drop_fds(got);
    return wait_on(link, got->type == CONTROL_REFUSED ? got->text : "its answer is none");
}

static bool take_answer(struct front_link *link, const char *families, struct control_message *got)
{
    switch (control_receive(link->fd, got)) {
    case ERR_OK:
        return look_at(link, families, got);
    case ERR_BUSY:
        if (clock_mono_ns(link->clock) - link->asked_ns >= FRONT_PATIENCE_NS)
            return wait_on(link, "it does not answer");
        return false;
    case ERR_MALFORMED:
        return wait_on(link, "its answer is none");
    default:
        return wait_on(link, "it hangs up");
    }
}

bool front_link_seek(struct front_link *link, const char *families, struct control_message *got)
{
    if (link->fd < 0 && !ask(link, families))
        return false;
    return take_answer(link, families, got);
}

bool front_link_ended(struct front_link *link)
{
    char byte;
    ssize_t n = recv(link->fd, &byte, 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    log_error("front-lost", "error=\"%s\" front is gone, and the network with it: this worker ends",
              n < 0 ? strerror(errno) : "it hung up");
    return true;
}
