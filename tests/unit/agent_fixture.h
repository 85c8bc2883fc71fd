/* agent_fixture.h — the stage of the agent's plays: a simulated PLC, a fake broker and a real agent between them, all on
 * one loop in one thread, with short time limits. Their clock goes on with the machine's, but by no more than PLAY_STEP_NS a turn: a test that
 * gets no CPU for a second has let nobody's limit pass, and the peer's answer is read first. */
#pragma once

#include "plc_fixture.h"

#include "agent.h"
#include "carousel_driver.h"
#include "fake_broker.h"

#define PLAY_STEP_NS (5 * NS_PER_MS)

struct agent_play {
    struct plc_fixture f;
    struct fake_broker broker;
    struct sim_plc *plc;
    struct conf_machine machine;
    struct agent *agent;
    char journal[96];
    const struct journal_disk *disk; /* NULL: the real one */
    int ended;                       /* exit code; -1: not yet */
    uint64_t incarnation, serial;
    uint64_t turned_ns; /* the machine's clock in the last turn */
    uint64_t metrics[UPLINK_METRICS];
};

static inline void play_on_ended(void *arg, int exit_code)
{
    ((struct agent_play *)arg)->ended = exit_code;
}

static inline void play_start_agent(struct agent_play *play)
{
    struct agent_config config = {
        .loop = play->f.loop,
        .machine = &play->machine,
        .endpoint = play->broker.endpoint,
        .driver = &carousel_driver,
        .incarnation = ++play->incarnation,
        .seed = 7,
        .journal_directory = play->journal,
        .journal_keep_bytes = 3 << 20, /* the least that may be configured */
        .journal_keep_ms = 3600 * 1000,
        .journal_disk = play->disk,
        .ended = play_on_ended,
        .arg = play,
    };
    play->ended = -1;
    assert_int_equal(agent_new(&config, &play->agent), ERR_OK);
}

/* Everything but the agent. `real`: on the machine's clock, which alone can be compared with other processes'. */
static inline struct agent_play *play_set_on(bool real, const char *profile, uint32_t pace_ms)
{
    struct agent_play *play = calloc(1, sizeof *play);
    plc_begin(&play->f, real);
    snprintf(play->journal, sizeof play->journal, "%s/journal", play->f.dir);
    broker_begin(&play->broker, play->f.dir);
    play->plc = plc_add(&play->f, "m1", profile, pace_ms);
    play->machine = (struct conf_machine){
        .info = {.id = "m1"},
        .profile_name = profile,
        .profile = profile_builtin(profile),
        .connect_host = "127.0.0.1",
        .connect_port = play->plc->port,
        .persistent = true,
        .connect_timeout_ms = 2000,
        .reply_timeout_ms = 1000,
        .poll_interval_ms = 10,
        .poll_moving_ms = 5,
        .backoff_min_ms = 10,
        .backoff_max_ms = 40,
        .stale_after_ms = 10000,
        .command_deadline_ms = 20000,
        .move_timeout_ms = 20000,
    };
    return play;
}

static inline struct agent_play *play_set(const char *profile, uint32_t pace_ms)
{
    return play_set_on(false, profile, pace_ms);
}

/* The directory and the files in it. */
static inline void remove_files(const char *directory)
{
    DIR *dir = opendir(directory);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(directory);
}

static inline void play_end(struct agent_play *play)
{
    agent_free(&play->agent);
    if (play->broker.router != NULL)
        broker_end(&play->broker);
    assert_int_equal(play->broker.malformed, 0);
    remove_files(play->journal);
    plc_end(&play->f);
    free(play);
}

static inline void play_turn(struct agent_play *play)
{
    uint64_t now_ns = clock_mono_ns(clock_system()), passed_ns = now_ns - play->turned_ns;
    play->turned_ns = now_ns;
    clock_manual_advance_ns(&play->f.manual, passed_ns < PLAY_STEP_NS ? passed_ns : PLAY_STEP_NS);
    loop_poll(play->f.loop);
    broker_turn(&play->broker);
}

#define PLAY_UNTIL(play_, condition)                                                                         \
    do {                                                                                                     \
        uint64_t play_until = clock_mono_ns(clock_system()) + PLC_DEADLINE_NS;                               \
        while (!(condition)) {                                                                               \
            if (clock_mono_ns(clock_system()) > play_until)                                                  \
                fail_msg("never came true: %s", #condition);                                                 \
            play_turn(play_);                                                                                \
        }                                                                                                    \
    } while (0)

static inline uint64_t play_metric(struct agent_play *play, enum uplink_metric_e metric)
{
    agent_metrics(play->agent, play->metrics);
    return play->metrics[metric];
}

/* The last state the broker was told; NULL: none. */
static inline const struct wire_state *play_state(const struct agent_play *play)
{
    size_t count = play->broker.state_count;
    return count > 0 ? &play->broker.states[count - 1] : NULL;
}

static inline bool play_shows(const struct agent_play *play, enum connection_e connection, int raw,
                              int position)
{
    const struct wire_state *s = play_state(play);
    return s != NULL && s->connection == connection && (raw < 0 || s->raw_status == (uint64_t)raw) &&
           (position < 0 || s->position == (uint64_t)position);
}

/* With its agent, which the broker knows and which has read its PLC. */
static inline struct agent_play *play_begin(uint32_t pace_ms)
{
    struct agent_play *play = play_set("standard", pace_ms);
    play_start_agent(play);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, 0));
    return play;
}

/* Polls pass: whatever they would have caused has been sent, and received. */
static inline void play_polls(struct agent_play *play, unsigned count)
{
    uint64_t polls = play_metric(play, UPLINK_METRIC_POLLS) + count;
    PLAY_UNTIL(play, play_metric(play, UPLINK_METRIC_POLLS) >= polls);
}

static inline struct wire_message play_command(struct agent_play *play, uint64_t command, int64_t argument)
{
    struct wire_message message = {.type = WIRE_COMMAND};
    message.command = (struct wire_command){
        .session_worker = 21,
        .session_serial = 22,
        .command_serial = ++play->serial,
        .dialect = 1,
        .machine = wire_text("m1"),
        .request_id = wire_text("r"),
        .command = command,
        .argument = argument,
        .deadline_ms = -1,
    };
    return message;
}

static inline struct wire_message play_send(struct agent_play *play, uint64_t command, int64_t argument)
{
    struct wire_message message = play_command(play, command, argument);
    broker_send(&play->broker, &message);
    return message;
}

/* How many outcomes of this kind the broker was told for the command; *last is the last of them. */
static inline unsigned play_outcomes(const struct agent_play *play, uint64_t serial, enum outcome_kind_e kind,
                                     const struct seen_outcome **last)
{
    unsigned count = 0;
    for (size_t i = 0; i < play->broker.outcome_count; i++) {
        const struct seen_outcome *o = &play->broker.outcomes[i];
        if (o->wire.command_serial != serial || o->wire.kind != kind)
            continue;
        count++;
        if (last != NULL)
            *last = o;
    }
    return count;
}
