/* What the launcher says (control.h): DRAIN, ADOPT and DISOWN are handled here, a reload by the reloader. The launcher's end closes with the
 * launcher, and that this process follows it is proc.h's matter.
 *
 * ADOPT: sockets of a worker that is away are further doors of the listeners of the same name; every limit is the worker's, whoever's door
 * somebody came through. Another ADOPT for the same worker replaces the first. What cannot be taken is closed: others hold it, too. */
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "must.h"
#include "worker.h"

#define MESSAGES_PER_TURN 16u

void worker_tell_draining(struct worker *w)
{
    const struct control_message message = {.type = CONTROL_DRAINING};
    if (w->control < 0)
        return;
    enum err_e err = control_send(w->control, &message);
    w->draining_untold = err == ERR_FULL;
    if (err != ERR_OK && err != ERR_FULL)
        log_warn("control", "error=\"cannot tell the launcher: %s\"", err_text(err));
}

/* --- doors of other workers --------------------------------------------------------------------------------------------- */

/* -1: none has the name. */
static int listener_named(const struct worker *w, const char *name, size_t len)
{
    for (unsigned i = 0; i < w->listener_count; i++)
        if (strlen(w->listeners[i].conf->name) == len && memcmp(w->listeners[i].conf->name, name, len) == 0)
            return (int)i;
    return -1;
}

/* Takes the descriptor. */
static bool adopt_one(struct worker *w, uint32_t owner, const char *name, size_t len, int fd)
{
    int listener = w->gate != NULL && !w->draining ? listener_named(w, name, len) : -1;
    if (listener >= 0)
        return gate_add(w->gate, (unsigned)listener, fd, owner) == ERR_OK;
    close(fd);
    return false;
}

static void adopt(struct worker *w, const struct control_message *message)
{
    unsigned taken = 0;
    const char *name = message->text;
    if (w->gate != NULL)
        gate_remove(w->gate, message->number);
    for (unsigned i = 0; i < message->fd_count; i++) {
        size_t len = strcspn(name, ":");
        taken += adopt_one(w, message->number, name, len, message->fds[i]);
        name += len + (name[len] == ':');
    }
    if (taken == message->fd_count)
        log_info("adopted", "worker=%u sockets=%u", message->number, taken);
    else
        log_warn("adopted", "worker=%u sockets=%u failed=%u", message->number, taken,
                 message->fd_count - taken);
}

static void disown(struct worker *w, uint32_t owner)
{
    unsigned count = w->gate != NULL ? gate_remove(w->gate, owner) : 0;
    log_info("disowned", "worker=%u sockets=%u", owner, count);
}

/* --- messages --------------------------------------------------------------------------------------------------------- */

static void handle(struct worker *w, struct control_message *message)
{
    if (message->type == CONTROL_ADOPT && message->number != UINT32_MAX) {
        adopt(w, message);
        return;
    }
    control_drop_fds(message);
    if (message->type == CONTROL_DRAIN)
        worker_drain(w, message->number);
    else if (message->type == CONTROL_DISOWN)
        disown(w, message->number);
    else if (!reloader_take(w->reloader, message))
        log_warn("control", "message=%s error=\"not for a worker\"", control_type_name(message->type));
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct worker *w = poll->data;
    struct control_message message;
    for (unsigned i = 0; i < MESSAGES_PER_TURN; i++) {
        enum err_e err = control_receive(w->control, &message);
        if (err == ERR_OK)
            handle(w, &message);
        else if (err == ERR_MALFORMED)
            log_warn("control", "error=\"a message that is none was dropped\"");
        else if (err == ERR_BUSY)
            return;
        else {
            uv_poll_stop(poll);
            return;
        }
    }
}

/* --- begin and end ------------------------------------------------------------------------------------------------------ */

enum err_e worker_control_start(struct worker *w)
{
    w->control_poll.data = w;
    if (w->control >= 0 && (uv_poll_init(&w->loop, &w->control_poll, w->control) != 0 ||
                            uv_poll_start(&w->control_poll, UV_READABLE, on_control) != 0))
        return ERR_SYSTEM;
    return ERR_OK;
}

void worker_control_tick(struct worker *w)
{
    if (w->draining_untold)
        worker_tell_draining(w);
}

void worker_control_stop(struct worker *w)
{
    if (w->control >= 0)
        close(w->control);
    w->control = -1;
}
