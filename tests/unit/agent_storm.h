/* agent_storm.h — a bounded storm: agents between a PLC whose faults and conditions come at random and a broker that forgets
 * them, dies, keeps acknowledgements to itself and repeats commands. Agents die, too, and the next one has the same
 * journal; with the power, if so wanted. The seed is printed; NORIA_SEED replays it.
 *
 * What must hold whatever happens, and however slow the machine is:
 * - the PLC is sent each move at most once: moves are numbered by their target, and counted in its log of truth;
 * - every value that the broker is told is one that the PLC had;
 * - each command gets one result, under one number while that is not acknowledged; a successful move one completion;
 * - a result that says "not sent" is true; one that says success is of a command that was written;
 * - whoever asks for a request again gets the answer and the completion of the first, and nothing is written; with another
 *   argument it is refused;
 * - when the storm is over, everything is as it should be, and commands work;
 * - and all of that over the deaths of agents. A power cut may take refusals and readings with it that were told (they are
 *   not synced one by one), so that after one nobody asks for those again; never anything that was written.
 */
#pragma once

#include "agent_fixture.h"

#include "entropy.h"
#include "hash.h"
#include "memory_disk.h"

#define STEPS    400
#define COMMANDS STEPS

#define LAST_TRIES 20

struct storm {
    struct agent_play *play;
    uint64_t random, gen;
    struct {
        bool move;
        struct wire_message message;
        unsigned target;
        uint64_t first; /* asks for the request of this one; 0: its own */
        bool conflicts; /* with another argument */
        unsigned askers;
        bool lost; /* told, perhaps, and taken by a power cut: nobody asks for it again */
        char request_id[24];
    } commands[COMMANDS + 1 + LAST_TRIES];
    size_t checked_states;
    struct memory_disk disk;
    struct journal_disk ops;
    bool deaths, power_cuts;
    unsigned died;
};

static inline uint64_t pick(struct storm *storm, uint64_t below)
{
    storm->random = hash_u64(storm->random + 1);
    return storm->random % below;
}

static inline bool one_in(struct storm *storm, uint64_t n)
{
    return pick(storm, n) == 0;
}

/* --- the weather --------------------------------------------------------------------------------------------------- */

static inline void fault(struct storm *storm)
{
    static const char *const faults[] = {"late 5",  "late 40",    "split 3",    "split 40",
                                         "missing", "duplicated", "garbage 17", "garbage 17181920",
                                         "reset",   "refused",    "reboot 20",  "half-open"};
    const char *what = faults[pick(storm, sizeof faults / sizeof faults[0])];
    bool whole = strcmp(what, "refused") == 0 || strncmp(what, "reboot", 6) == 0;
    if (whole)
        plc_tell(&storm->play->f, "fault m1 %s", what);
    else
        plc_tell(&storm->play->f, "fault m1 %s%s%s count %u", what, one_in(storm, 3) ? " undone" : "",
                 one_in(storm, 2) ? " command 1" : "", 1 + (unsigned)pick(storm, 4));
}

static inline void condition(struct storm *storm)
{
    static const char *const conditions[] = {"alarm", "manual"};
    plc_tell(&storm->play->f, "set m1 %s %s", conditions[pick(storm, 2)], one_in(storm, 3) ? "on" : "off");
}

static inline void command(struct storm *storm)
{
    struct agent_play *play = storm->play;
    bool move = !one_in(storm, 4);
    unsigned target = 1 + (unsigned)pick(storm, 24);
    struct wire_message message = play_command(play, move ? 1 : 0, move ? (int)target : -1);
    message.command.deadline_ms = one_in(storm, 5) ? (int64_t)pick(storm, 30) : 20000;
    uint64_t serial = play->serial;
    storm->commands[serial].move = move;
    storm->commands[serial].target = target;
    if (one_in(storm, 2)) {
        snprintf(storm->commands[serial].request_id, sizeof storm->commands[serial].request_id, "r%u",
                 (unsigned)serial);
        message.command.request_id = wire_text(storm->commands[serial].request_id);
        message.command.scope = wire_text("u:");
    }
    storm->commands[serial].message = message;
    broker_send(&play->broker, &message);
}

static inline bool is_answered(const struct storm *storm, uint64_t serial)
{
    return play_outcomes(storm->play, serial, OUTCOME_RESULT, NULL) > 0;
}

/* Another session asks for a request that was asked before. */
static inline void ask_again(struct storm *storm)
{
    struct agent_play *play = storm->play;
    uint64_t first = play->serial > 0 ? play->serial - pick(storm, play->serial < 8 ? play->serial : 8) : 0;
    if (first == 0 || storm->commands[first].request_id[0] == '\0' || storm->commands[first].lost ||
        storm->commands[first].askers == ASKERS_MAX)
        return;
    uint64_t serial = ++play->serial;
    bool conflicts = one_in(storm, 5) && is_answered(storm, first);
    struct wire_message message = storm->commands[first].message;
    message.command.command_serial = serial;
    message.command.session_serial += pick(storm, 3);
    message.command.resent = false;
    message.command.argument += conflicts;
    storm->commands[first].askers++;
    storm->commands[serial].move = storm->commands[first].move;
    storm->commands[serial].target = storm->commands[first].target;
    storm->commands[serial].first = first;
    storm->commands[serial].conflicts = conflicts;
    storm->commands[serial].message = message;
    broker_send(&play->broker, &message);
}

static inline void send_again(struct storm *storm, uint64_t serial)
{
    struct wire_message *message = &storm->commands[serial].message;
    if (storm->commands[serial].lost)
        return;
    message->command.resent = true;
    broker_send(&storm->play->broker, message);
}

static inline void repeat_command(struct storm *storm)
{
    struct agent_play *play = storm->play;
    if (play->serial == 0)
        return;
    send_again(storm, 1 + pick(storm, play->serial));
}

static inline void forget(struct storm *storm)
{
    struct wire_message again = {.type = WIRE_RE_HELLO, .re_hello = {storm->play->incarnation}};
    unsigned hellos = storm->play->broker.hellos;
    broker_send(&storm->play->broker, &again);
    PLAY_UNTIL(storm->play, storm->play->broker.hellos > hellos);
}

/* A worker sends its pending commands again to the next broker; which those are does not matter to the agent. */
static inline void new_broker(struct storm *storm)
{
    struct agent_play *play = storm->play;
    unsigned hellos = play->broker.hellos;
    broker_end(&play->broker);
    for (uint64_t turns = pick(storm, 200); turns > 0; turns--)
        play_turn(play);
    broker_open(&play->broker, ++storm->gen);
    PLAY_UNTIL(play, play->broker.hellos > hellos);
    for (uint64_t serial = 1; serial <= play->serial; serial++)
        if (serial + 5 >= play->serial || !is_answered(storm, serial))
            send_again(storm, serial);
}

/* Told, and neither written nor synced. */
static inline void note_losses(struct storm *storm)
{
    for (uint64_t serial = 1; serial <= storm->play->serial; serial++) {
        const struct seen_outcome *o = NULL;
        bool told = play_outcomes(storm->play, serial, OUTCOME_RESULT, &o) > 0;
        bool synced = told && o->wire.sent && !o->wire.repeat && storm->commands[serial].move;
        storm->commands[serial].lost |= told && !synced;
    }
}

/* kill -9 at any moment, with the power or without: nothing more is told, written or noted. Then the next one, and the broker
 * hands it what was not answered. */
static inline void new_agent(struct storm *storm)
{
    struct agent_play *play = storm->play;
    unsigned hellos = play->broker.hellos, closed = play->broker.closed;
    storm->died++;
    pthread_mutex_lock(&storm->disk.mutex);
    storm->disk.dies_at = storm->disk.operations + 1;
    pthread_mutex_unlock(&storm->disk.mutex);
    agent_free(&play->agent);
    PLAY_UNTIL(play, play->broker.closed > closed); /* what had left it has arrived */
    memory_disk_power_cut(&storm->disk, storm->power_cuts ? (enum cut_e)pick(storm, CUT_COUNT) : CUT_KILL);
    if (storm->power_cuts)
        note_losses(storm);
    play_start_agent(play);
    PLAY_UNTIL(play, play->broker.hellos > hellos);
    for (uint64_t serial = 1; serial <= play->serial; serial++)
        if (!is_answered(storm, serial))
            send_again(storm, serial);
}

static inline void acknowledge(struct storm *storm)
{
    struct fake_broker *broker = &storm->play->broker;
    if (broker->outcome_count == 0)
        return;
    const struct seen_outcome *o = &broker->outcomes[broker->outcome_count - 1];
    if (o->wire.agent_gen == storm->play->incarnation)
        broker_ack(broker, storm->play->incarnation, o->wire.outcome_seq);
}

static inline void step(struct storm *storm)
{
    struct agent_play *play = storm->play;
    switch (pick(storm, 16)) {
    case 0:
    case 1:
    case 2:
        fault(storm);
        break;
    case 3:
    case 4:
        plc_tell(&play->f, "clear m1");
        break;
    case 5:
        condition(storm);
        break;
    case 6:
        repeat_command(storm);
        break;
    case 7:
        forget(storm);
        break;
    case 8:
        if (one_in(storm, 4))
            new_broker(storm);
        else if (storm->deaths)
            new_agent(storm);
        break;
    case 9:
        acknowledge(storm);
        break;
    case 10:
    case 11:
        if (!storm->power_cuts)
            ask_again(storm);
        break;
    default:
        command(storm);
    }
    for (uint64_t turns = pick(storm, 300); turns > 0; turns--)
        play_turn(play);
}

/* --- what must hold ------------------------------------------------------------------------------------------------ */

/* Garbage that two bytes long would be a valid reply is not among the faults; so a reading is a moment of the PLC. */
static inline void check_states(struct storm *storm)
{
    const struct fake_broker *broker = &storm->play->broker;
    for (; storm->checked_states < broker->state_count; storm->checked_states++) {
        const struct wire_state *s = &broker->states[storm->checked_states];
        bool first = storm->checked_states == 0 || s[-1].agent_gen != s->agent_gen;
        uint64_t before = first ? 0 : s[-1].state_seq;
        assert_true(s->state_seq > before);
        assert_true(s->birth || s->state_seq == before + 1); /* lost only together with a broker */
        if (!s->has_reading)
            continue;
        assert_true(s->position < 26);
        assert_int_equal(s->raw_status & 0xf0, 0xd0);
        assert_true(s->raw_status != 0x17 && s->raw_status != 0x19);
    }
}

struct tally {
    unsigned results, completions;
    const struct seen_outcome *result;
};

static inline void check_same(const struct seen_outcome *a, const struct seen_outcome *b)
{
    bool same_agent = a->wire.agent_gen == b->wire.agent_gen;
    bool same = a->wire.code == b->wire.code && a->wire.sent == b->wire.sent &&
                a->wire.position == b->wire.position && strcmp(a->text, b->text) == 0 &&
                (!same_agent || a->wire.source_ns == b->wire.source_ns);
    if (!same)
        fail_msg(
            "command %u, kind %u: agent %u said %s \"%s\" sent=%d at %d, agent %u %s \"%s\" sent=%d at %d",
            (unsigned)a->wire.command_serial, (unsigned)a->wire.kind, (unsigned)a->wire.agent_gen,
            command_code_name((enum command_code_e)a->wire.code), a->text, a->wire.sent,
            (int)a->wire.position, (unsigned)b->wire.agent_gen,
            command_code_name((enum command_code_e)b->wire.code), b->text, b->wire.sent,
            (int)b->wire.position);
}

/* Numbers that came again carry the same content, and count once; a fresh number for an old result is allowed only
 * after its acknowledgement, which the storm gives at random: then contents agree. */
static inline struct tally tally(const struct storm *storm, uint64_t serial)
{
    const struct fake_broker *broker = &storm->play->broker;
    struct tally tally = {.result = NULL};
    const struct seen_outcome *completion = NULL;
    for (size_t i = 0; i < broker->outcome_count; i++) {
        const struct seen_outcome *o = &broker->outcomes[i], **first;
        if (o->wire.command_serial != serial)
            continue;
        first = o->wire.kind == OUTCOME_RESULT ? &tally.result : &completion;
        if (*first == NULL)
            *first = o;
        check_same(*first, o);
    }
    tally.results = tally.result != NULL;
    tally.completions = completion != NULL;
    return tally;
}

/* How many moves to each target the PLC was sent, against how many commands say so. */
static inline void check_moves(const struct storm *storm)
{
    unsigned sure[26] = {0}, maybe[26] = {0};
    for (uint64_t serial = 1; serial <= storm->play->serial; serial++) {
        struct tally t = tally(storm, serial);
        if (!storm->commands[serial].move || !t.result->wire.sent || storm->commands[serial].first != 0)
            continue;
        if (t.result->wire.code == CODE_NONE)
            sure[storm->commands[serial].target]++;
        else
            maybe[storm->commands[serial].target]++;
    }
    for (unsigned target = 0; target < 26; target++) {
        char hex[8];
        snprintf(hex, sizeof hex, "01%02x\n", target);
        assert_in_range(plc_log_count(&storm->play->f, "m1", hex), sure[target],
                        sure[target] + maybe[target]);
    }
}

static inline void check_commands(const struct storm *storm)
{
    for (uint64_t serial = 1; serial <= storm->play->serial; serial++) {
        struct tally t = tally(storm, serial);
        assert_int_equal(t.results, 1);
        bool moved = storm->commands[serial].move && t.result->wire.code == CODE_NONE;
        assert_int_equal(t.completions, moved ? 1 : 0);
        if (t.result->wire.code == CODE_NONE || t.result->wire.code == CODE_OUTCOME_UNKNOWN)
            assert_true(t.result->wire.sent);
        else
            assert_false(t.result->wire.sent);
    }
}

static inline void check_repeat(const struct storm *storm, uint64_t serial, const struct tally *first)
{
    struct tally t = tally(storm, serial);
    if (storm->commands[serial].conflicts) {
        assert_string_equal(t.result->text, "request_id reused");
        return;
    }
    assert_int_equal(t.result->wire.code, first->result->wire.code);
    assert_string_equal(t.result->text, first->result->text);
    assert_int_equal(t.result->wire.sent, first->result->wire.sent);
    assert_int_equal(t.result->wire.position, first->result->wire.position);
    assert_int_equal(t.completions, first->completions);
}

/* Who asked again was told what the first was told; one of them, who came first, was told as such. */
static inline void check_requests(const struct storm *storm)
{
    unsigned again = 0;
    for (uint64_t first = 1; first <= storm->play->serial; first++) {
        struct tally t = tally(storm, first);
        unsigned as_first = !t.result->wire.repeat;
        if (storm->commands[first].first != 0)
            continue;
        for (uint64_t serial = first + 1; serial <= storm->play->serial; serial++) {
            if (storm->commands[serial].first != first)
                continue;
            check_repeat(storm, serial, &t);
            as_first += !storm->commands[serial].conflicts && !tally(storm, serial).result->wire.repeat;
            again++;
        }
        assert_int_equal(as_first, 1);
    }
    print_message("asked again %u\n", again);
}

/* The weather was rough enough to have met the code. */
static inline void check_variety(const struct storm *storm)
{
    unsigned codes[CODE_COUNT] = {0};
    for (uint64_t serial = 1; serial <= storm->play->serial; serial++)
        codes[tally(storm, serial).result->wire.code]++;
    struct agent_play *play = storm->play;
    print_message("success %u, unknown %u, busy %u, interlock %u, timeout %u, connection %u; repeated %llu, "
                  "hellos %u\n",
                  codes[CODE_NONE], codes[CODE_OUTCOME_UNKNOWN], codes[CODE_BUSY], codes[CODE_INTERLOCK],
                  codes[CODE_TIMEOUT], codes[CODE_CONNECTION_ERROR],
                  (unsigned long long)play_metric(play, UPLINK_METRIC_COMMANDS_REPEATED),
                  play->broker.hellos);
    assert_true(codes[CODE_NONE] > 0);
}

static inline bool all_answered(const struct storm *storm)
{
    for (uint64_t serial = 1; serial <= storm->play->serial; serial++) {
        struct tally t = tally(storm, serial);
        bool moved = t.results == 1 && storm->commands[serial].move && t.result->wire.code == CODE_NONE;
        if (t.results == 0 || (moved && t.completions == 0))
            return false;
    }
    return true;
}

static inline const struct seen_outcome *last_command(struct storm *storm, unsigned target)
{
    struct agent_play *play = storm->play;
    struct wire_message last = play_command(play, 1, (int)target);
    storm->commands[play->serial].move = true;
    storm->commands[play->serial].target = target;
    broker_send(&play->broker, &last);
    PLAY_UNTIL(play, all_answered(storm));
    return tally(storm, play->serial).result;
}

static inline void calm(struct storm *storm)
{
    struct agent_play *play = storm->play;
    plc_tell(&play->f, "clear m1");
    plc_tell(&play->f, "set m1 alarm off");
    plc_tell(&play->f, "set m1 manual off");
    PLAY_UNTIL(play, all_answered(storm) && !play->plc->machine.moving);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, (int)play->plc->machine.position));
    unsigned target = play->plc->machine.position == 5 ? 6 : 5;
    const struct seen_outcome *result = last_command(storm, target);
    for (int more = LAST_TRIES; result->wire.code == CODE_CONNECTION_ERROR && more > 1; more--)
        result = last_command(storm, target); /* its replies may be later than 25 ms on a busy machine */
    if (result->wire.code != CODE_NONE)
        fail_msg("the last command: %s \"%s\"", command_code_name((enum command_code_e)result->wire.code),
                 result->text);
    PLAY_UNTIL(play, play_shows(play, CONNECTION_CONNECTED, 218, (int)target));
}

enum storm_e { STORM_PLAIN, STORM_DEATHS, STORM_POWER };

static inline void storm_with(uint64_t seed, bool persistent, enum storm_e kind)
{
    struct storm *storm = calloc(1, sizeof *storm);
    struct agent_play *play = storm->play = play_set("standard", 1);
    print_message("seed %llu, %s\n", (unsigned long long)seed, persistent ? "persistent" : "per request");
    storm->random = seed;
    storm->gen = play->broker.gen;
    storm->deaths = kind != STORM_PLAIN;
    storm->power_cuts = kind == STORM_POWER;
    memory_disk_init(&storm->disk, seed);
    storm->ops = memory_disk_ops(&storm->disk);
    play->disk = storm->deaths ? &storm->ops : NULL;
    play->broker.keep_acks = true;
    play->machine.persistent = persistent;
    play->machine.reply_timeout_ms = 25;
    play->machine.connect_timeout_ms = 50;
    play->machine.poll_interval_ms = 3;
    play->machine.poll_moving_ms = 1;
    play->machine.backoff_min_ms = 1;
    play->machine.backoff_max_ms = 4;
    play->machine.move_timeout_ms = 200;
    play_start_agent(play);
    PLAY_UNTIL(play, play_state(play) != NULL);
    for (int i = 0; i < STEPS; i++)
        step(storm);
    calm(storm);
    check_states(storm);
    check_commands(storm);
    check_moves(storm);
    check_requests(storm);
    check_variety(storm);
    print_message("agents that died: %u\n", storm->died);
    play_end(play);
    memory_disk_fini(&storm->disk);
    free(storm);
}

static inline uint64_t seed_of(uint64_t nth)
{
    const char *text = getenv("NORIA_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : nth;
}
