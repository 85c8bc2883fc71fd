/* control.c — the one packet between launcher and child (control.h): a fixed head, then a text, and descriptors beside it. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"

#define MAGIC 0x4e435452u /* "NCTR"; another layout takes another one */

struct head {
    uint32_t magic, type, number, text_len;
    uint64_t digest;
};

_Static_assert(CONTROL_REFUSED == 2 && CONTROL_SOCKETS == 10, "an older front knows them by these numbers");

union ancillary {
    char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

const char *control_type_name(enum control_type_e type)
{
    static const char *const names[] = {
#define X(NAME, name) name,
        CONTROL_TYPES(X)
#undef X
    };
    return (size_t)type < ARRAY_LEN(names) ? names[type] : "?";
}

enum err_e control_pair(int *launcher_end, int *child_end)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return ERR_SYSTEM;
    *launcher_end = fds[0];
    *child_end = fds[1];
    return ERR_OK;
}

static void attach_fds(struct msghdr *msg, union ancillary *ancillary, const struct control_message *message)
{
    if (message->fd_count == 0)
        return;
    msg->msg_control = ancillary->bytes;
    msg->msg_controllen = CMSG_SPACE(message->fd_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(msg);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(message->fd_count * sizeof(int));
    memcpy(CMSG_DATA(header), message->fds, message->fd_count * sizeof(int));
}

enum err_e control_send(int fd, const struct control_message *message)
{
    MUST(message->fd_count <= CONTROL_FDS_MAX);
    struct head head = {MAGIC, message->type, message->number, (uint32_t)strlen(message->text),
                        message->digest};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)message->text, head.text_len}};
    union ancillary ancillary = {{0}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    attach_fds(&msg, &ancillary, message);
    if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return ERR_OK;
    if (errno == EAGAIN || errno == ENOBUFS)
        return ERR_FULL;
    return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_SYSTEM;
}

static void take_fds(struct msghdr *msg, struct control_message *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(msg); header != NULL; header = CMSG_NXTHDR(msg, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        size_t room = CONTROL_FDS_MAX - message->fd_count;
        count = count < room ? count : room; /* the kernel closed what had no room in `ancillary` */
        memcpy(message->fds + message->fd_count, CMSG_DATA(header), count * sizeof(int));
        message->fd_count += (unsigned)count;
    }
}

void control_drop_fds(struct control_message *message)
{
    for (unsigned i = 0; i < message->fd_count; i++)
        close(message->fds[i]);
    message->fd_count = 0;
}

static bool well_formed(const struct head *head, size_t len, int flags)
{
    return len >= sizeof *head && head->magic == MAGIC && head->type < CONTROL_TYPE_COUNT &&
           head->text_len == len - sizeof *head && (flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
}

enum err_e control_receive(int fd, struct control_message *message)
{
    struct head head = {0};
    struct iovec parts[2] = {{&head, sizeof head}, {message->text, CONTROL_TEXT_MAX}};
    union ancillary ancillary;
    struct msghdr msg = {.msg_iov = parts,
                         .msg_iovlen = 2,
                         .msg_control = ancillary.bytes,
                         .msg_controllen = sizeof ancillary.bytes};
    message->fd_count = 0;
    ssize_t len = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return ERR_BUSY;
    if (len == 0 || (len < 0 && errno == ECONNRESET))
        return ERR_CLOSED;
    if (len < 0)
        return ERR_SYSTEM;
    take_fds(&msg, message);
    if (!well_formed(&head, (size_t)len, msg.msg_flags)) {
        control_drop_fds(message);
        return ERR_MALFORMED;
    }
    message->type = (enum control_type_e)head.type;
    message->number = head.number;
    message->digest = head.digest;
    message->text[head.text_len] = '\0';
    return ERR_OK;
}

int control_inherited(void)
{
    const char *text = getenv("NORIA_CONTROL_FD");
    if (text == NULL)
        return -1;
    char *end;
    errno = 0;
    long fd = strtol(text, &end, 10);
    bool good = errno == 0 && end != text && *end == '\0' && fd > STDERR_FILENO && fd <= INT32_MAX;
    unsetenv("NORIA_CONTROL_FD");
    if (!good)
        return -1;
    int flags = fcntl((int)fd, F_GETFL);
    if (flags < 0 || fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return -1;
    return (int)fd;
}
