/* See rearm.h. Rejected: a subcommand that speaks to a worker's REST: it would need a listener, and a token where there are any,
 * just when somebody stands at the machine. */
#include "rearm.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "entropy.h"
#include "link.h"
#include "machine.h"
#include "proc.h"
#include "record.h"

#define WHO_MAX 64u

enum asked_e { ASKED_NOT, ASKED_ONCE, ASKED_ANSWERED };

struct rearming {
    const struct rearm_request *request;
    const struct clock *clock;
    struct link *link;
    uint64_t incarnation, start_ns;
    char who[WHO_MAX + 1], from[WHO_MAX + 1];
    unsigned char *asked; /* enum asked_e per machine; its index + 1 is the command's serial */
    bool *lost;           /* asked of a broker that is gone */
    size_t answered, rearmed;
    bool was_up;
    char refused[256]; /* by the broker, all of it; "" no */
};

/* --- who asks ------------------------------------------------------------------------------------------------------- */

static bool plain(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return len > 0 && len <= WHO_MAX;
}

static void introduce(struct rearming *r)
{
    uid_t uid = r->request->uid;
    const struct passwd *entry = getpwuid(uid);
    snprintf(r->from, sizeof r->from, "noria rearm, uid %u", (unsigned)uid);
    if (entry != NULL && plain(entry->pw_name))
        snprintf(r->who, sizeof r->who, "%s", entry->pw_name);
    else
        snprintf(r->who, sizeof r->who, "uid %u", (unsigned)uid);
}

/* --- asking ----------------------------------------------------------------------------------------------------------- */

static int64_t left_ms(const struct rearming *r)
{
    uint64_t passed = (clock_mono_ns(r->clock) - r->start_ns) / NS_PER_MS;
    return passed < r->request->timeout_ms ? (int64_t)(r->request->timeout_ms - passed) : 0;
}

static enum err_e ask(struct rearming *r, size_t i)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){.session_worker = r->incarnation,
                                            .session_serial = 1,
                                            .command_serial = i + 1,
                                            .dialect = DIALECT_CAROUSEL,
                                            .machine = wire_text(r->request->machines[i]),
                                            .request_id = wire_text(""),
                                            .scope = wire_text(""),
                                            .who = wire_text(r->who),
                                            .from = wire_text(r->from),
                                            .command = COMMAND_REARM,
                                            .argument = -1,
                                            .deadline_ms = left_ms(r),
                                            .age_ms = r->request->timeout_ms - (uint64_t)left_ms(r),
                                            .resent = r->lost[i],
                                            .source_ns = clock_mono_ns(r->clock)};
    return link_send(r->link, &message);
}

/* What the bus does not take now is asked in the next turn. */
static void ask_all(struct rearming *r)
{
    for (size_t i = 0; i < r->request->machine_count && link_state(r->link) == LINK_UP; i++)
        if (r->asked[i] == ASKED_NOT) {
            if (ask(r, i) != ERR_OK)
                return;
            r->asked[i] = ASKED_ONCE;
        }
}

/* --- the answers ------------------------------------------------------------------------------------------------------ */

/* For a terminal: what is no text is shown as '?'. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static void tell(struct rearming *r, size_t i, enum command_code_e code, struct wire_text said)
{
    FILE *out = r->request->out;
    const char *machine = r->request->machines[i];
    char text[256];
    wire_text_copy(said, text, sizeof text);
    make_printable(text);
    const char *why = text[0] != '\0' ? text : command_code_text(code);
    if (code == CODE_NONE)
        fprintf(out, "%s: rearmed\n", machine);
    else if (code == CODE_OUTCOME_UNKNOWN)
        fprintf(out, "%s: not known: %s\n", machine, why);
    else
        fprintf(out, "%s: refused: %s\n", machine, why);
    fflush(out);
    r->rearmed += code == CODE_NONE;
}

static void on_message(void *arg, const struct wire_message *message)
{
    struct rearming *r = arg;
    const struct wire_outcome *outcome = &message->outcome;
    if (message->type != WIRE_OUTCOME || outcome->session_worker != r->incarnation ||
        outcome->command_serial == 0 || outcome->command_serial > r->request->machine_count ||
        outcome->code >= CODE_COUNT || outcome->kind != OUTCOME_RESULT)
        return;
    size_t i = (size_t)outcome->command_serial - 1;
    if (r->asked[i] == ASKED_ANSWERED)
        return;
    r->asked[i] = ASKED_ANSWERED;
    r->answered++;
    tell(r, i, (enum command_code_e)outcome->code, outcome->text);
}

static void on_hello(void *arg, struct wire_hello *hello)
{
    (void)arg;
    (void)hello; /* a tool has no slot and no machine */
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    struct rearming *r = arg;
    (void)ok;
    r->was_up = true;
    for (size_t i = 0; i < r->request->machine_count; i++)
        if (r->asked[i] == ASKED_ONCE) {
            r->asked[i] = ASKED_NOT;
            r->lost[i] = true;
        }
}

static void on_down(void *arg)
{
    (void)arg; /* the broker may come back in time: on_up() */
}

static void on_refused(void *arg, const char *reason)
{
    struct rearming *r = arg;
    snprintf(r->refused, sizeof r->refused, "%s", reason);
    make_printable(r->refused);
}

/* --- until all have answered ------------------------------------------------------------------------------------------ */

static int wait_ms(const struct rearming *r, bool more)
{
    uint64_t now = clock_mono_ns(r->clock), due = link_due_ns(r->link);
    uint64_t link_ms = due <= now ? 0 : (due - now) / NS_PER_MS + 1;
    int64_t left = left_ms(r);
    if (more)
        return 0;
    return (int)(link_ms < (uint64_t)left ? (int64_t)link_ms : left);
}

static void serve(struct rearming *r)
{
    bool more = false;
    while (r->answered < r->request->machine_count && r->refused[0] == '\0' && left_ms(r) > 0) {
        struct pollfd fd = {link_fd(r->link), POLLIN, 0};
        poll(&fd, 1, wait_ms(r, more));
        more = link_service(r->link, 64);
        ask_all(r);
    }
}

static void tell_rest(const struct rearming *r)
{
    const struct rearm_request *request = r->request;
    if (r->refused[0] != '\0')
        fprintf(request->err, "noria rearm: refused by the broker: %s\n", r->refused);
    else if (!r->was_up)
        fprintf(request->err, "noria rearm: no broker at %s\n", request->socket);
    else
        for (size_t i = 0; i < request->machine_count; i++)
            if (r->asked[i] != ASKED_ANSWERED)
                fprintf(request->out, "%s: no answer within %g s\n", request->machines[i],
                        request->timeout_ms / 1000.0);
}

static int run(struct rearming *r)
{
    static const struct link_events events = {
        .hello = on_hello, .up = on_up, .down = on_down, .refused = on_refused, .message = on_message};
    char endpoint[160];
    snprintf(endpoint, sizeof endpoint, "ipc://%s", r->request->socket);
    struct link_config config = {.endpoint = endpoint,
                                 .role = WIRE_TOOL,
                                 .incarnation = r->incarnation,
                                 .clock = r->clock,
                                 .events = &events,
                                 .arg = r};
    r->start_ns = clock_mono_ns(r->clock);
    if (link_open(&config, &r->link) != ERR_OK)
        return PROC_EXIT_FAILURE; /* logged */
    serve(r);
    tell_rest(r);
    link_close(&r->link);
    return r->rearmed == r->request->machine_count ? 0 : PROC_EXIT_FAILURE;
}

/* --- what can be said at once ----------------------------------------------------------------------------------------- */

static bool names_good(const struct rearm_request *request)
{
    for (size_t i = 0; i < request->machine_count; i++) {
        const char *machine = request->machines[i];
        if (!machine_id_valid(machine, strlen(machine))) {
            fprintf(request->err, "noria rearm: \"%s\" cannot be a machine's id\n", machine);
            return false;
        }
    }
    if (request->machine_count >= 1 && request->machine_count <= REARM_MACHINES_MAX)
        return true;
    fprintf(request->err, "noria rearm: expected 1 to %u machines\n", REARM_MACHINES_MAX);
    return false;
}

static bool socket_there(const struct rearm_request *request)
{
    if (access(request->socket, R_OK | W_OK) == 0)
        return true;
    if (errno == EACCES)
        fprintf(request->err, "noria rearm: %s is not yours to speak to\n", request->socket);
    else
        fprintf(request->err, "noria rearm: no broker at %s\n", request->socket);
    return false;
}

int rearm(const struct rearm_request *request)
{
    if (!names_good(request))
        return PROC_EXIT_USAGE;
    if (!socket_there(request))
        return PROC_EXIT_FAILURE;
    struct rearming r = {.request = request, .clock = clock_system(), .incarnation = entropy_u64()};
    r.asked = calloc(request->machine_count, sizeof *r.asked);
    r.lost = calloc(request->machine_count, sizeof *r.lost);
    introduce(&r);
    int code = PROC_EXIT_FAILURE;
    if (r.asked != NULL && r.lost != NULL)
        code = run(&r);
    else
        fprintf(request->err, "noria rearm: out of memory\n");
    free(r.asked);
    free(r.lost);
    return code;
}
