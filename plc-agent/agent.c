/* See agent.h. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_point.h"
#include "log.h"
#include "must.h"
#include "proc.h"
#include "told.h"

#define AGENT_MAGIC 0x41474e54u
#define TELL_NS     (500 * NS_PER_MS) /* acknowledgements gathered for one TOLD */

struct agent {
    uint32_t magic;
    struct agent_config config;
    struct image image;
    struct ages ages;
    struct poller *poller;
    struct queue *queue;
    struct uplink *uplink;
    struct journal *journal;
    struct told told;
    struct loop_timer *stop_limit, *hello, *tell;
    struct log_limit connection_log;
    bool leaving, stopping, gave_up, ended;
    int exit_code; /* when it has stopped */
    bool journal_up, journal_known;
};

/* One TOLD of each chain that has been acknowledged further. What the journal does not take is told next time. */
static void tell(struct agent *agent)
{
    struct journal_record record;
    for (int chain = 0; chain < JOURNAL_CHAINS; chain++)
        if (told_due(&agent->told, (enum journal_chain_e)chain, &record) && agent->journal_up &&
            journal_append(agent->journal, &record, JOURNAL_WRITTEN) != 0)
            told_done(&agent->told, (enum journal_chain_e)chain);
}

static void end(struct agent *agent, int exit_code)
{
    if (agent->ended)
        return;
    agent->ended = true;
    loop_timer_stop(agent->stop_limit);
    poller_stop(agent->poller);
    tell(agent);
    agent->config.ended(agent->config.arg, exit_code);
}

/* Nothing is written and unanswered, and what was answered is noted and on its way. */
static void end_if_done(struct agent *agent)
{
    if (agent->stopping && queue_idle(agent->queue) && !uplink_waits(agent->uplink))
        end(agent, agent->exit_code);
}

static void leave_if_at_rest(struct agent *agent)
{
    if (agent->leaving && queue_rests(agent->queue))
        agent_stop(agent);
}

/* --- the poller's events ----------------------------------------------------------------------------------------- */

static void on_reading(void *arg, const struct driver_answer *answer)
{
    struct agent *agent = arg;
    image_reading(&agent->image, answer->status, answer->position, answer->readable_ns,
                  clock_wall_ms(loop_clock(agent->config.loop)));
    FAULT_POINT(AGENT_READING);
}

static const char *result_text(enum driver_result_e result)
{
    switch (result) {
    case DRIVER_REPLY:
        return "reading";
    case DRIVER_TIMEOUT:
        return "no reply in time";
    case DRIVER_REFUSED:
        return "no connection";
    case DRIVER_CLOSED:
        return "closed by the PLC";
    case DRIVER_BAD_REPLY:
        return "bytes that are no reply";
    }
    MUST_NOT_REACH();
}

static void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    struct agent *agent = arg;
    uint32_t suppressed;
    if (log_limit_ok(&agent->connection_log, answer->readable_ns, NS_PER_S, 10, &suppressed))
        log_write(connection == CONNECTION_CONNECTED ? LOG_INFO : LOG_WARN, "plc-connection",
                  "state=%s last=\"%s\" suppressed=%u", connection_text(connection),
                  result_text(answer->result), suppressed);
    image_connection(&agent->image, connection, answer->readable_ns);
}

/* The state goes up before the command's fate, so that both are in the ring in the order in which they were true. */
static void on_turn(void *arg, const struct poller_turn *turn)
{
    struct agent *agent = arg;
    uplink_state(agent->uplink);
    queue_turn(agent->queue, turn);
    leave_if_at_rest(agent);
    end_if_done(agent);
}

static const struct poller_events poller_events = {on_reading, on_connection, on_turn};

/* --- the queue's ------------------------------------------------------------------------------------------------- */

static uint64_t on_report(void *arg, const struct outcome *outcome, uint64_t earlier)
{
    struct agent *agent = arg;
    uint64_t seq = uplink_outcome(agent->uplink, outcome, earlier);
    if (seq != 0 && seq != earlier)
        told_reported(&agent->told, outcome);
    return seq;
}

/* A journal that is down takes nothing, and nothing waits for it. */
static size_t on_room(void *arg)
{
    const struct agent *agent = arg;
    size_t room = uplink_room(agent->uplink);
    size_t notes = agent->journal_up ? journal_room(agent->journal) : room;
    return notes < room ? notes : room;
}

static uint64_t on_note(void *arg, const struct journal_record *record, enum journal_safety_e safety)
{
    struct agent *agent = arg;
    return journal_append(agent->journal, record, safety);
}

static const struct queue_events queue_events = {on_report, on_room, on_note};

/* --- the journal's ----------------------------------------------------------------------------------------------- */

static void on_settled(void *arg, uint64_t upto, bool ok)
{
    struct agent *agent = arg;
    queue_journal_settled(agent->queue, upto, ok);
    uplink_settled(agent->uplink, upto);
    leave_if_at_rest(agent);
    end_if_done(agent);
}

static void on_replay(void *arg, const struct journal_record *record)
{
    struct agent *agent = arg;
    queue_journal_replay(agent->queue, record);
}

static void on_journal_state(void *arg, bool up, const char *why)
{
    struct agent *agent = arg;
    agent->journal_up = up;
    agent->journal_known = true;
    queue_journal_state(agent->queue, up, why, up ? journal_since_ns(agent->journal) : 0);
    uplink_start(agent->uplink);
}

static const struct journal_events journal_events = {on_settled, on_replay, on_journal_state};

static void on_hello_limit(void *arg)
{
    struct agent *agent = arg;
    if (!agent->journal_known)
        log_warn("journal-late",
                 "the journal cannot be read yet: nothing is written to the PLC until it can");
    uplink_start(agent->uplink);
}

static void on_tell(void *arg)
{
    tell(arg);
}

/* --- the uplink's ------------------------------------------------------------------------------------------------ */

static void on_up(void *arg, bool profile_agrees)
{
    struct agent *agent = arg;
    if (!profile_agrees)
        log_warn("profile-differs", "the broker shows this machine by another profile: moves are refused");
    queue_profile_agrees(agent->queue, profile_agrees);
}

/* What is written gets its answer all the same, and its note in the journal. */
static void on_refused(void *arg, const char *reason)
{
    struct agent *agent = arg;
    (void)reason;
    if (!agent->stopping)
        agent->exit_code = PROC_EXIT_PERMANENT;
    agent_stop(agent);
}

static void on_command(void *arg, const struct wire_command *command)
{
    struct agent *agent = arg;
    FAULT_POINT(AGENT_COMMAND_RECEIVED);
    queue_command(agent->queue, command);
}

static void on_acked(void *arg, const struct outcome *outcome)
{
    struct agent *agent = arg;
    told_acked(&agent->told, outcome);
    if (!loop_timer_active(agent->tell))
        loop_timer_start(agent->tell, TELL_NS);
}

void agent_metrics(const struct agent *agent, uint64_t metrics[UPLINK_METRICS])
{
    const struct poller_counts *poller = poller_counts(agent->poller);
    const struct driver_counts *driver = poller_driver_counts(agent->poller);
    const struct queue_counts *queue = queue_counts(agent->queue);
    const struct uplink_counts *uplink = uplink_counts(agent->uplink);
    const struct journal_counts *journal = journal_counts(agent->journal);
    metrics[UPLINK_METRIC_POLLS] = poller->polls;
    metrics[UPLINK_METRIC_POLL_FAILURES] = poller->poll_failures;
    metrics[UPLINK_METRIC_CONNECTS] = driver->connects;
    metrics[UPLINK_METRIC_CONNECT_FAILURES] = driver->connect_failures;
    metrics[UPLINK_METRIC_REPLY_TIMEOUTS] = driver->reply_timeouts;
    metrics[UPLINK_METRIC_BAD_REPLIES] = driver->bad_replies;
    metrics[UPLINK_METRIC_STATES_SENT] = uplink->states_sent;
    metrics[UPLINK_METRIC_COMMANDS] = queue->commands;
    metrics[UPLINK_METRIC_COMMANDS_REFUSED] = queue->refused;
    metrics[UPLINK_METRIC_COMMANDS_WRITTEN] = queue->written;
    metrics[UPLINK_METRIC_COMMANDS_REPEATED] = queue->repeated;
    metrics[UPLINK_METRIC_COMMANDS_RECONCILED] = queue->reconciled;
    metrics[UPLINK_METRIC_COMMANDS_RECOVERED] = queue->recovered;
    metrics[UPLINK_METRIC_JOURNAL_RECORDS] = journal->records;
    metrics[UPLINK_METRIC_JOURNAL_FAILURES] = journal->failures;
    metrics[UPLINK_METRIC_JOURNAL_SYNC_US] = journal->sync_us;
    metrics[UPLINK_METRIC_REARM_NEEDED] = queue_rearm_needed(agent->queue);
    metrics[UPLINK_METRIC_OUTCOMES_SENT] = uplink->outcomes_sent;
    metrics[UPLINK_METRIC_OUTCOMES_RESENT] = uplink->outcomes_resent;
    metrics[UPLINK_METRIC_HELLOS] = uplink_link_counts(agent->uplink)->ups;
    metrics[UPLINK_METRIC_EXCHANGE_US] = poller->exchange_us;
    metrics[UPLINK_METRIC_POLL_LAG_US] = poller->poll_lag_us;
    metrics[UPLINK_METRIC_IMAGE_CONNECTION] = agent->image.now.connection;
    metrics[UPLINK_METRIC_IMAGE_RAW_STATUS] = agent->image.now.raw_status;
    metrics[UPLINK_METRIC_IMAGE_POSITION] = agent->image.now.position;
    metrics[UPLINK_METRIC_READING_WALL_MS] = agent->image.now.read_wall_ms;
}

static void on_metrics(void *arg, uint64_t metrics[UPLINK_METRICS])
{
    agent_metrics(arg, metrics);
}

static const struct uplink_events uplink_events = {on_up, on_refused, on_command, on_acked, on_metrics};

/* --- life -------------------------------------------------------------------------------------------------------- */

static enum err_e new_poller(struct agent *agent)
{
    const struct conf_machine *machine = agent->config.machine;
    struct poller_config config = {
        .loop = agent->config.loop,
        .ops = agent->config.driver,
        .driver = {.host = machine->connect_host,
                   .port = machine->connect_port,
                   .persistent = machine->persistent,
                   .connect_limit_ns = machine->connect_timeout_ms * NS_PER_MS},
        .profile = machine->profile,
        .interval_ns = machine->poll_interval_ms * NS_PER_MS,
        .moving_ns = machine->poll_moving_ms * NS_PER_MS,
        .backoff_min_ns = machine->backoff_min_ms * NS_PER_MS,
        .backoff_max_ns = machine->backoff_max_ms * NS_PER_MS,
        .reply_limit_ns = machine->reply_timeout_ms * NS_PER_MS,
        .seed = agent->config.seed,
        .ages = &agent->ages,
        .events = &poller_events,
        .arg = agent,
    };
    return poller_new(&config, &agent->poller);
}

static enum err_e new_queue(struct agent *agent)
{
    const struct conf_machine *machine = agent->config.machine;
    struct queue_config config = {
        .loop = agent->config.loop,
        .poller = agent->poller,
        .image = &agent->image,
        .profile = machine->profile,
        .deadline_ns = machine->command_deadline_ms * NS_PER_MS,
        .stale_after_ns = machine->stale_after_ms * NS_PER_MS,
        .move_timeout_ns = machine->move_timeout_ms * NS_PER_MS,
        .rearm_manual = machine->rearm_manual,
        .ages = &agent->ages,
        .events = &queue_events,
        .arg = agent,
    };
    return queue_new(&config, &agent->queue);
}

static enum err_e new_uplink(struct agent *agent)
{
    struct uplink_config config = {
        .loop = agent->config.loop,
        .endpoint = agent->config.endpoint,
        .machine_id = agent->config.machine->info.id,
        .profile = agent->config.machine->profile,
        .address = wire_address(agent->config.machine->connect_host, agent->config.machine->connect_port),
        .incarnation = agent->config.incarnation,
        .image = &agent->image,
        .ages = &agent->ages,
        .events = &uplink_events,
        .arg = agent,
    };
    return uplink_new(&config, &agent->uplink);
}

static enum err_e new_journal(struct agent *agent)
{
    const struct conf_machine *machine = agent->config.machine;
    bool v6 = strchr(machine->connect_host, ':') != NULL;
    char plc[JOURNAL_PLC_MAX + 1];
    snprintf(plc, sizeof plc, v6 ? "[%s]:%u" : "%s:%u", machine->connect_host, machine->connect_port);
    struct journal_config config = {
        .loop = agent->config.loop,
        .directory = agent->config.journal_directory,
        .plc = plc,
        .incarnation = agent->config.incarnation,
        .keep_bytes = agent->config.journal_keep_bytes,
        .keep_ms = agent->config.journal_keep_ms,
        .disk = agent->config.journal_disk,
        .events = &journal_events,
        .arg = agent,
    };
    return journal_new(&config, &agent->journal);
}

/* What the journal has not noted by the second limit is not told: the next agent finds the intent. */
static void on_stop_limit(void *arg)
{
    struct agent *agent = arg;
    if (agent->gave_up) {
        end(agent, agent->exit_code);
        return;
    }
    agent->gave_up = true;
    queue_give_up(agent->queue);
    loop_timer_start(agent->stop_limit, AGENT_NOTE_NS);
    end_if_done(agent);
}

static enum err_e new_timers(struct agent *agent)
{
    struct loop *loop = agent->config.loop;
    agent->stop_limit = loop_timer_new(loop, on_stop_limit, agent);
    agent->hello = loop_timer_new(loop, on_hello_limit, agent);
    agent->tell = loop_timer_new(loop, on_tell, agent);
    return agent->stop_limit && agent->hello && agent->tell ? ERR_OK : ERR_MEMORY;
}

void agent_stop(struct agent *agent)
{
    MUST_MAGIC(agent, AGENT_MAGIC);
    if (agent->stopping)
        return;
    agent->stopping = true;
    loop_timer_start(agent->stop_limit, AGENT_STOP_NS);
    queue_stop(agent->queue);
    end_if_done(agent);
}

void agent_leave(struct agent *agent)
{
    MUST_MAGIC(agent, AGENT_MAGIC);
    agent->leaving = true;
    leave_if_at_rest(agent);
}

enum err_e agent_new(const struct agent_config *config, struct agent **agent)
{
    MUST(config->incarnation != 0);
    struct agent *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_MEMORY;
    a->magic = AGENT_MAGIC;
    a->config = *config;
    image_init(&a->image);
    ages_init(&a->ages);
    static enum err_e (*const parts[])(struct agent *) = {new_timers, new_poller, new_queue, new_uplink,
                                                          new_journal};
    enum err_e err = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(parts) && err == ERR_OK; i++)
        err = parts[i](a);
    if (err != ERR_OK) {
        log_error("agent-start", "machine=%s error=\"%s\"", config->machine->info.id, err_text(err));
        agent_free(&a);
        return err;
    }
    loop_timer_start(a->hello, AGENT_JOURNAL_WAIT_NS);
    *agent = a;
    return ERR_OK;
}

/* The uplink goes last: it takes along what is still queued, and says GOODBYE. */
void agent_free(struct agent **agent)
{
    struct agent *a = *agent;
    if (a == NULL)
        return;
    MUST_MAGIC(a, AGENT_MAGIC);
    poller_free(&a->poller);
    queue_free(&a->queue);
    uplink_free(&a->uplink);
    journal_free(&a->journal);
    loop_timer_free(&a->stop_limit);
    loop_timer_free(&a->hello);
    loop_timer_free(&a->tell);
    a->magic = 0;
    free(a);
    *agent = NULL;
}

const struct image *agent_image(const struct agent *agent)
{
    return &agent->image;
}
