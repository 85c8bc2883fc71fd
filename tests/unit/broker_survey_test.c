/* broker: who is there, what one worker asks the others, and who lives without being introduced. */
#include "broker_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "segment.h"

static void ask_who(struct stage *stage, struct end *asker)
{
    struct wire_message message = {.type = WIRE_SURVEY, .survey = {.query = 100 + asker->rolls}};
    assert_int_equal(link_send(asker->link, &message), ERR_OK);
    wait_for(stage, &asker->rolls, asker->rolls + 1);
    assert_int_equal(asker->last_roll.query, 100 + asker->rolls - 1);
}

static bool on_roll(const struct end *asker, uint64_t incarnation)
{
    for (size_t i = 0; i < asker->last_roll.workers.len / 8; i++)
        if (asker->workers[i] == incarnation)
            return true;
    return false;
}

static void ask(struct end *asker, uint64_t target, uint64_t cursor)
{
    struct wire_message message = {.type = WIRE_SURVEY_ASK};
    message.survey_ask = (struct wire_survey_ask){.query = 7,
                                                  .asker = 4711, /* not its own to say */
                                                  .target = target,
                                                  .dialect = DIALECT_STREAMS,
                                                  .question = 2,
                                                  .cursor_a = cursor,
                                                  .cursor_b = UINT64_MAX,
                                                  .cursor_c = 3};
    assert_int_equal(link_send(asker->link, &message), ERR_OK);
}

static void answer(struct end *target, uint64_t as, uint64_t asker, const char *rows, bool last)
{
    struct wire_message message = {.type = WIRE_SURVEY_ROWS};
    message.survey_rows = (struct wire_survey_rows){.query = 7,
                                                    .asker = asker,
                                                    .target = as,
                                                    .answered = true,
                                                    .last = last,
                                                    .cursor_a = 9,
                                                    .cursor_c = UINT64_MAX,
                                                    .rows = wire_text(rows)};
    assert_int_equal(link_send(target->link, &message), ERR_OK);
}

static void workers_ask_each_other_through_the_broker(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, c;
    worker_open(stage, &a, 901, UINT32_MAX);
    worker_open(stage, &b, 902, UINT32_MAX);
    worker_open(stage, &c, 903, UINT32_MAX);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete);
    assert_int_equal(a.last_roll.workers.len, 24);
    assert_true(on_roll(&a, 901) && on_roll(&a, 902) && on_roll(&a, 903));

    ask(&a, 902, 5);
    wait_for(stage, &b.asks, 1);
    assert_true(b.last_ask.query == 7 && b.last_ask.asker == 901 && b.last_ask.target == 902);
    assert_true(b.last_ask.dialect == DIALECT_STREAMS && b.last_ask.question == 2);
    assert_true(b.last_ask.cursor_a == 5 && b.last_ask.cursor_b == UINT64_MAX && b.last_ask.cursor_c == 3);
    answer(&b, 902, 901, "rows of b", true);
    wait_for(stage, &a.rows, 1);
    assert_true(a.last_rows.query == 7 && a.last_rows.target == 902 && a.last_rows.answered &&
                a.last_rows.last);
    assert_true(a.last_rows.cursor_a == 9 && a.last_rows.cursor_b == 0 && a.last_rows.cursor_c == UINT64_MAX);
    assert_string_equal(a.last_rows_text, "rows of b");

    ask(&a, 901, 0); /* itself: the same way */
    wait_for(stage, &a.asks, 1);
    answer(&a, 901, 901, "rows of a", false);
    wait_for(stage, &a.rows, 2);
    assert_string_equal(a.last_rows_text, "rows of a");
    assert_false(a.last_rows.last);
    ask_who(stage, &c); /* and c heard nothing of all that */
    assert_int_equal(c.asks + c.rows + b.rows, 0);
    assert_int_equal(counter(stage, "surveys"), 2);
    assert_int_equal(counter(stage, "survey_asks"), 2);
    assert_int_equal(counter(stage, "survey_rows"), 2);
}

static void the_largest_rows_pass(void **state)
{
    struct stage *stage = *state;
    static struct end a, b;
    static char rows[WIRE_SURVEY_ROWS_MAX];
    memset(rows, 'r', sizeof rows);
    worker_open(stage, &a, 901, UINT32_MAX);
    worker_open(stage, &b, 902, UINT32_MAX);
    struct wire_message message = {.type = WIRE_SURVEY_ROWS};
    message.survey_rows = (struct wire_survey_rows){
        UINT64_MAX, 901, 902, true, true, UINT64_MAX, UINT64_MAX, UINT64_MAX, {rows, sizeof rows}};
    assert_int_equal(link_send(b.link, &message), ERR_OK);
    wait_for(stage, &a.rows, 1);
    assert_int_equal(a.last_rows.rows.len, sizeof rows);
}

static void who_is_gone_is_answered_for_at_once(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, c;
    worker_open(stage, &a, 901, UINT32_MAX);
    worker_open(stage, &b, 902, UINT32_MAX);
    worker_open(stage, &c, 903, UINT32_MAX);
    end_close(stage, &c);
    wait_counter(stage, "goodbyes", 1);
    ask(&a, 903, 0);
    wait_for(stage, &a.rows, 1);
    assert_false(a.last_rows.answered);
    assert_true(a.last_rows.last && a.last_rows.query == 7 && a.last_rows.asker == 901 &&
                a.last_rows.target == 903);
    assert_int_equal(a.last_rows.rows.len, 0);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete && !on_roll(&a, 903));
    assert_int_equal(a.last_roll.workers.len, 16);
    assert_int_equal(counter(stage, "survey_unanswered"), 1);

    ask(&a, 902, 0); /* the asker goes before its answer comes */
    wait_for(stage, &b.asks, 1);
    end_close(stage, &a);
    wait_counter(stage, "goodbyes", 2);
    answer(&b, 902, 901, "for nobody", true);
    wait_counter(stage, "survey_rows_lost", 1);
    assert_int_equal(counter(stage, "survey_rows"), 0);
}

static void nobody_answers_for_another(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, agent;
    worker_open(stage, &a, 901, UINT32_MAX);
    worker_open(stage, &b, 902, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    answer(&b, 903, 901, "forged", true);
    wait_counter(stage, "invalid", 1);
    answer(&agent, 100, 901, "an agent's", true);
    struct wire_message message = {.type = WIRE_SURVEY};
    assert_int_equal(link_send(agent.link, &message), ERR_OK);
    ask(&agent, 901, 0);
    wait_counter(stage, "invalid", 4);
    ask(&a, 100, 0); /* an agent is no worker */
    wait_for(stage, &a.rows, 1);
    assert_false(a.last_rows.answered);
    assert_int_equal(a.asks, 0);
}

/* --- who lives ----------------------------------------------------------------------------------------------------- */

static struct segment *hold(const struct stage *stage, unsigned slot, uint64_t incarnation)
{
    static const struct stats_def defs[] = {{"frames", STATS_COUNTER}};
    char name[32];
    struct stats stats;
    struct segment *segment = NULL;
    snprintf(name, sizeof name, "shm/worker.%u", slot);
    assert_int_equal(
        segment_create(in_dir(stage, name), name + 4, "", incarnation, defs, 1, &segment, &stats), ERR_OK);
    return segment;
}

/* A broker has just started: workers of the one before it hold their files, and have not come back yet. */
static void who_is_not_back_yet_is_missed(void **state)
{
    struct stage *stage = *state;
    static struct end a, b;
    worker_open(stage, &a, 901, UINT32_MAX);
    struct segment *of_a = hold(stage, a.slot, 901), *of_b = hold(stage, 1, 902);
    ask_who(stage, &a);
    assert_false(a.last_roll.complete);
    worker_open(stage, &b, 902, 1); /* it comes, and says its slot */
    assert_int_equal(b.slot, 1);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete && on_roll(&a, 902));
    end_close(stage, &b); /* its connection ended; the process lives */
    wait_counter(stage, "goodbyes", 1);
    ask_who(stage, &a);
    assert_true(!a.last_roll.complete && !on_roll(&a, 902));
    segment_close(&of_b, false); /* the file stands, as after kill -9 */
    ask_who(stage, &a);
    assert_true(a.last_roll.complete);
    assert_int_equal(counter(stage, "surveys_incomplete"), 2);
    restart(stage);
    of_b = hold(stage, 1, 902);
    wait_for(stage, &a.ups, 2);
    ask_who(stage, &a);
    assert_false(a.last_roll.complete);
    segment_close(&of_b, true);
    segment_close(&of_a, true);
}

/* A marker in a free slot that the sweep comes by: behind slot `after`, a whole round later. */
static void sweep_a_round(struct stage *stage)
{
    for (int i = 0; i < 2; i++) {
        uint64_t swept = counter(stage, "slots_swept");
        int fd = open(in_dir(stage, "shm/worker.63"), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        assert_true(fd >= 0);
        close(fd);
        wait_counter(stage, "slots_swept", swept + 1);
    }
}

static void a_slot_is_its_holders_and_its_file_stays(void **state)
{
    struct stage *stage = *state;
    static struct end holder, other, third;
    struct segment *segment = hold(stage, 0, 901);
    worker_open(stage, &other, 902, 0);
    assert_int_equal(other.slot, 1);
    worker_open(stage, &third, 903, UINT32_MAX);
    assert_int_equal(third.slot, 2);
    sweep_a_round(stage);
    assert_true(segment_stands(segment));
    worker_open(stage, &holder, 901, 0);
    assert_int_equal(holder.slot, 0);
    end_close(stage, &holder);
    wait_counter(stage, "goodbyes", 1);
    uint64_t swept = counter(stage, "slots_swept");
    segment_close(&segment, false); /* as if it had been killed */
    wait_counter(stage, "slots_swept", swept + 1);
    assert_int_equal(access(in_dir(stage, "shm/worker.0"), F_OK), -1);
}

/* A file that is held, but does not say by whom: nobody gets the slot, and no survey is complete. */
static void a_damaged_file_is_still_somebodys(void **state)
{
    struct stage *stage = *state;
    static struct end a;
    struct segment *segment = hold(stage, 0, 901);
    segment_page(segment)->magic = 0;
    worker_open(stage, &a, 901, 0);
    assert_int_equal(a.slot, 1);
    ask_who(stage, &a);
    assert_false(a.last_roll.complete);
    segment_page(segment)->magic = 1;
    segment_close(&segment, true);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete);
}

struct note { /* from the process below */
    uint64_t ups;
    uint32_t slot;
};

/* A worker in a process of its own: it takes a slot, makes its segment, and tells each time that it is up. */
static void live(struct stage *stage, int tell)
{
    static struct end self;
    struct segment *segment = NULL;
    struct note note = {0};
    for (size_t i = stage->end_count = 0; i < ENDS_MAX; i++)
        stage->ends[i] = NULL; /* the parent's */
    self = (struct end){.role = WIRE_WORKER, .incarnation = 977, .machine = "", .wanted_slot = UINT32_MAX};
    end_open(stage, &self);
    for (uint64_t deadline = real_ms() + 3 * DEADLINE_MS; real_ms() < deadline; pump(stage)) {
        if (self.ups == note.ups)
            continue;
        note = (struct note){self.ups, self.slot};
        if (segment == NULL)
            segment = hold(stage, self.slot, 977);
        self.wanted_slot = self.slot;
        if (write(tell, &note, sizeof note) != (ssize_t)sizeof note)
            break;
    }
    _exit(0); /* the parent has gone */
}

static struct note hear(struct stage *stage, int from)
{
    struct note note;
    for (uint64_t deadline = real_ms() + DEADLINE_MS;; pump(stage)) {
        if (read(from, &note, sizeof note) == (ssize_t)sizeof note)
            return note;
        assert_true(real_ms() < deadline);
    }
}

/* It stood still for longer than anybody waits: it is given up, but not forgotten. */
static void a_worker_that_stands_still_is_missed_and_gets_its_slot_back(void **state)
{
    struct stage *stage = *state;
    static struct end a, b;
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t still = fork(); /* before this process has a ZeroMQ thread */
    assert_true(still >= 0);
    if (still == 0)
        live(stage, pipe_fds[1]);
    struct note note = hear(stage, pipe_fds[0]);
    uint32_t slot = note.slot;
    worker_open(stage, &a, 901, UINT32_MAX);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete && on_roll(&a, 977));

    kill(still, SIGSTOP);
    wait_counter(stage, "peers_silent", 1);
    ask_who(stage, &a);
    assert_true(!a.last_roll.complete && !on_roll(&a, 977));
    worker_open(stage, &b, 902, slot);
    assert_int_not_equal(b.slot, slot);
    sweep_a_round(stage);

    kill(still, SIGCONT);
    note = hear(stage, pipe_fds[0]);
    assert_true(note.ups > 1);
    assert_int_equal(note.slot, slot);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete && on_roll(&a, 977));
    assert_int_equal(a.last_roll.workers.len, 24);

    kill(still, SIGKILL);
    assert_int_equal(waitpid(still, NULL, 0), still);
    wait_counter(stage, "peers_closed", 1);
    ask_who(stage, &a);
    assert_true(a.last_roll.complete && !on_roll(&a, 977));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* --- channels ------------------------------------------------------------------------------------------------------ */

static void hears(struct stage *stage, const struct end *end, uint64_t channels)
{
    for (uint64_t deadline = real_ms() + DEADLINE_MS; end->channels_elsewhere != channels; pump(stage))
        if (real_ms() > deadline)
            fail_msg("elsewhere %llu", (unsigned long long)end->channels_elsewhere);
}

static void each_worker_hears_of_the_others_channels(void **state)
{
    struct stage *stage = *state;
    static struct end a, b, c, agent;
    worker_open(stage, &a, 901, UINT32_MAX);
    worker_open(stage, &b, 902, UINT32_MAX);
    worker_open(stage, &c, 903, UINT32_MAX);
    agent_open(stage, &agent, "m1", "standard", 100);
    a.channels = 5;
    b.channels = 70;
    agent.channels = 1000; /* an agent has none, whatever it says */
    hears(stage, &a, 70);
    hears(stage, &b, 5);
    hears(stage, &c, 75);
    wait_for(stage, &agent.beats, 1);
    assert_int_equal(agent.channels_elsewhere, 0);
    b.channels = UINT64_MAX; /* no sum goes round */
    hears(stage, &c, UINT64_MAX);
    end_close(stage, &b);
    hears(stage, &c, 5);
    hears(stage, &a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY(workers_ask_each_other_through_the_broker),
        PLAY(the_largest_rows_pass),
        PLAY(who_is_gone_is_answered_for_at_once),
        PLAY(nobody_answers_for_another),
        PLAY(who_is_not_back_yet_is_missed),
        PLAY(a_slot_is_its_holders_and_its_file_stays),
        PLAY(a_damaged_file_is_still_somebodys),
        PLAY(a_worker_that_stands_still_is_missed_and_gets_its_slot_back),
        PLAY(each_worker_hears_of_the_others_channels),
    };
    signal(SIGPIPE, SIG_IGN);
    log_init("broker_survey_test", LOG_WARN);
    return cmocka_run_group_tests_name("broker surveys", tests, NULL, NULL);
}
