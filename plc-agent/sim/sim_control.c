/* Clients of the control socket.
 *
 * Invariants: a client has at most one answer that its socket has not taken (the next line waits for it), so memory
 * is bounded by one longest answer each. The observer only answers waits and never frees a client or runs a line,
 * because it is called in the middle of other work; `resume_timer` (due at once) does that from the loop.
 * Rejected: a thread per client (one loop, no locks).
 */
#include "sim_control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "list.h"
#include "log.h"
#include "must.h"
#include "sim_answer.h"
#include "sim_plc.h"
#include "sim_socket.h"

#define IN_MAX          (SIM_LINE_MAX + 2) /* CR LF */
#define ACCEPT_RETRY_NS (100 * NS_PER_MS)
#define TEXT_OF_(x)     #x
#define TEXT_OF(x)      TEXT_OF_(x)

struct client {
    struct list_node node;
    struct sim_control *control;
    int fd;
    struct loop_fd *watch;
    unsigned events;
    struct loop_timer *deadline;
    char in[IN_MAX];
    size_t in_len;
    bool skipping; /* the rest of a line that was too long */
    bool eof, dead, resume;
    bool waiting;
    struct sim_command wait;
    char *out; /* what the socket has not taken */
    size_t out_len, out_sent;
};

struct sim_control {
    struct loop *loop;
    struct sim_server *server;
    struct sim_socket socket;
    struct loop_fd *watch;
    struct loop_timer *accept_timer, *resume_timer;
    struct list_node clients;
    size_t client_count;
    char *answer; /* scratch for one answer and its line end */
    size_t answer_max;
};

/* --- answers ------------------------------------------------------------------------------------------------------- */

static void client_free(struct client *client)
{
    list_remove(&client->node);
    client->control->client_count--;
    loop_fd_free(&client->watch);
    loop_timer_free(&client->deadline);
    close(client->fd);
    free(client->out);
    free(client);
}

static void flush(struct client *client)
{
    while (client->out_sent < client->out_len) {
        ssize_t n = send(client->fd, client->out + client->out_sent, client->out_len - client->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            client->dead |= errno != EAGAIN && errno != EINTR;
            return;
        }
        client->out_sent += (size_t)n;
    }
    free(client->out);
    client->out = NULL;
    client->out_len = client->out_sent = 0;
}

static void send_line(struct client *client, struct out *line)
{
    MUST(client->out == NULL && !line->overflow);
    out_char(line, '\n');
    client->out = malloc(line->len);
    if (client->out == NULL || line->overflow) {
        client->dead = true;
        return;
    }
    memcpy(client->out, line->at, line->len);
    client->out_len = line->len;
    flush(client);
}

static struct out scratch(struct sim_control *control)
{
    return out_init(control->answer, control->answer_max);
}

static void send_error(struct client *client, const char *text)
{
    struct out line = scratch(client->control);
    out_literal(&line, "error ");
    out_text(&line, text);
    send_line(client, &line);
}

/* --- waits --------------------------------------------------------------------------------------------------------- */

static void start_wait(struct client *client, const struct sim_command *command)
{
    client->waiting = true;
    client->wait = *command;
    loop_timer_start(client->deadline, command->deadline_ms * NS_PER_MS);
}

static void end_wait(struct client *client)
{
    client->waiting = false;
    loop_timer_stop(client->deadline);
}

static void on_change(void *arg, struct sim_plc *plc)
{
    struct sim_control *control = arg;
    LIST_FOREACH (node, &control->clients) {
        struct client *client = LIST_ENTRY(node, struct client, node);
        if (!client->waiting || strcmp(client->wait.id, plc->id) != 0 || !sim_wait_met(plc, &client->wait))
            continue;
        end_wait(client);
        char memory[128];
        struct out line = out_init(memory, sizeof memory);
        sim_wait_answer(plc, &line);
        send_line(client, &line);
        client->resume = true;
        loop_timer_start(control->resume_timer, 0);
    }
}

void sim_control_machines_went(struct sim_control *control)
{
    LIST_FOREACH (node, &control->clients) {
        struct client *client = LIST_ENTRY(node, struct client, node);
        if (!client->waiting || sim_server_find(control->server, client->wait.id) != NULL)
            continue;
        end_wait(client);
        send_error(client, "the machine was removed");
        client->resume = true;
        loop_timer_start(control->resume_timer, 0);
    }
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static void run_line(struct client *client, const char *line, size_t len)
{
    struct sim_control *control = client->control;
    struct sim_command command;
    char problem[SIM_PROBLEM_MAX];
    if (sim_command_parse(line, len, &command, problem) != ERR_OK) {
        send_error(client, problem);
        return;
    }
    struct sim_plc *plc = command.verb == SIM_VERB_WAIT ? sim_server_find(control->server, command.id) : NULL;
    if (plc != NULL) {
        sim_plc_sync(plc);
        if (!sim_wait_met(plc, &command)) {
            start_wait(client, &command);
            return;
        }
    }
    struct out answer = scratch(control);
    sim_answer(control->server, &command, &answer);
    send_line(client, &answer);
}

static bool can_run(const struct client *client)
{
    return !client->dead && !client->waiting && client->out == NULL;
}

static void consume(struct client *client, size_t len)
{
    client->in_len -= len;
    memmove(client->in, client->in + len, client->in_len);
}

/* Runs the first line of the buffer; false: there is no whole one. */
static bool run_first_line(struct client *client)
{
    char *end = memchr(client->in, '\n', client->in_len);
    if (end == NULL && client->in_len < IN_MAX && !(client->eof && client->in_len > 0))
        return false;
    size_t len = end != NULL ? (size_t)(end - client->in) : client->in_len;
    bool skipped = client->skipping;
    client->skipping = end == NULL;
    if (end == NULL && !skipped)
        send_error(client,
                   client->eof ? "line without an end" : "line longer than " TEXT_OF(SIM_LINE_MAX) " bytes");
    if (end != NULL && !skipped)
        run_line(client, client->in, len > 0 && client->in[len - 1] == '\r' ? len - 1 : len);
    consume(client, end != NULL ? len + 1 : len);
    return true;
}

/* Runs what can be run, then sets the watch, or frees the client that is done. */
static void go_on(struct client *client)
{
    while (can_run(client) && run_first_line(client))
        ;
    if (client->dead || (client->eof && can_run(client))) {
        client_free(client);
        return;
    }
    unsigned events =
        (!client->eof && client->in_len < IN_MAX ? LOOP_READ : 0u) | (client->out ? LOOP_WRITE : 0u);
    if (events != client->events)
        loop_fd_set(client->watch, events);
    client->events = events;
}

static void on_resume(void *arg)
{
    struct sim_control *control = arg;
    LIST_FOREACH (node, &control->clients) {
        struct client *client = LIST_ENTRY(node, struct client, node);
        bool resume = client->resume;
        client->resume = false;
        if (resume)
            go_on(client);
    }
}

static void on_deadline(void *arg)
{
    struct client *client = arg;
    struct sim_plc *plc = sim_server_find(client->control->server, client->wait.id);
    MUST(plc != NULL);
    end_wait(client);
    struct out line = scratch(client->control);
    out_literal(&line, "error timeout:");
    sim_wait_state(plc, &line);
    send_line(client, &line);
    go_on(client);
}

/* --- sockets ------------------------------------------------------------------------------------------------------- */

/* At the end of input: has the client gone altogether, or only closed its sending half? */
static bool gone(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void on_readable(struct client *client)
{
    ssize_t n = recv(client->fd, client->in + client->in_len, IN_MAX - client->in_len, MSG_DONTWAIT);
    if (n < 0)
        client->dead |= errno != EAGAIN && errno != EINTR;
    else if (n == 0)
        client->eof = true;
    else
        client->in_len += (size_t)n;
    if (client->eof && client->waiting && gone(client->fd))
        client->dead = true;
}

static void on_client(void *arg, unsigned events)
{
    struct client *client = arg;
    if (events & LOOP_WRITE && client->out != NULL)
        flush(client);
    if (events & LOOP_READ && !client->eof && client->in_len < IN_MAX)
        on_readable(client);
    go_on(client);
}

static void client_new(struct sim_control *control, int fd)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(fd);
        return;
    }
    client->control = control;
    client->fd = fd;
    client->events = LOOP_READ;
    list_append(&control->clients, &client->node);
    control->client_count++;
    client->watch = loop_fd_new(control->loop, fd, LOOP_READ, on_client, client);
    client->deadline = loop_timer_new(control->loop, on_deadline, client);
    if (client->watch == NULL || client->deadline == NULL)
        client_free(client);
}

static void on_connection(void *arg, unsigned events)
{
    (void)events;
    struct sim_control *control = arg;
    int fd = accept4(control->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return;
        loop_fd_set(control->watch, 0);
        loop_timer_start(control->accept_timer, ACCEPT_RETRY_NS);
        return;
    }
    if (control->client_count < SIM_CLIENTS_MAX) {
        client_new(control, fd);
        return;
    }
    static const char full[] = "error too many control clients\n";
    ssize_t ignored = send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
    close(fd);
}

static void on_accept_again(void *arg)
{
    struct sim_control *control = arg;
    loop_fd_set(control->watch, LOOP_READ);
}

enum err_e sim_control_open(struct loop *loop, struct sim_server *server, const char *path,
                            struct sim_control **control)
{
    struct sim_control *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_MEMORY;
    *c = (struct sim_control){.loop = loop, .server = server, .socket.fd = -1};
    list_init(&c->clients);
    c->answer_max = SIM_ANSWER_MAX + 1;
    c->answer = malloc(c->answer_max);
    c->accept_timer = loop_timer_new(loop, on_accept_again, c);
    c->resume_timer = loop_timer_new(loop, on_resume, c);
    enum err_e err = ERR_MEMORY;
    if (c->answer != NULL && c->accept_timer != NULL && c->resume_timer != NULL)
        err = sim_socket_open(&c->socket, path);
    if (err == ERR_OK && (c->watch = loop_fd_new(loop, c->socket.fd, LOOP_READ, on_connection, c)) == NULL)
        err = ERR_MEMORY;
    if (err != ERR_OK) {
        sim_control_close(&c);
        return err;
    }
    sim_server_observe(server, on_change, c);
    *control = c;
    return ERR_OK;
}

void sim_control_close(struct sim_control **control)
{
    struct sim_control *c = *control;
    if (c == NULL)
        return;
    sim_server_observe(c->server, NULL, NULL);
    LIST_FOREACH (node, &c->clients)
        client_free(LIST_ENTRY(node, struct client, node));
    loop_fd_free(&c->watch);
    loop_timer_free(&c->accept_timer);
    loop_timer_free(&c->resume_timer);
    sim_socket_close(&c->socket);
    free(c->answer);
    free(c);
    *control = NULL;
}
