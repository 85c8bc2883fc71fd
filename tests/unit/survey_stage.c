#include "survey_stage.h"

#include "bytes.h"

/* --- a dialect with a small registry ------------------------------------------------------------------------------- */

struct shared {
    struct registry *registry;
    unsigned ticks;
};

void registry_add(struct registry *registry, uint64_t serial)
{
    assert_true(registry->count < REGISTRY_MAX);
    registry->serials[registry->count++] = serial;
}

void registry_remove(struct registry *registry, uint64_t serial)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < registry->count; i++)
        if (registry->serials[i] != serial)
            registry->serials[kept++] = registry->serials[i];
    registry->count = kept;
}

/* "WORKER:SERIAL\n", and something to fill it up. */
static void put_row(struct out *rows, unsigned worker, uint64_t serial)
{
    out_u64(rows, worker);
    out_char(rows, ':');
    out_u64(rows, serial);
    out_literal(rows, ":................\n");
}

static bool misbehave(const struct registry *registry, struct endpoint_cursor *cursor, struct out *rows)
{
    while (!registry->empty && rows->cap - rows->len >= ENDPOINT_ROW_MAX)
        put_row(rows, registry->worker, 1);
    cursor->a += registry->stuck ? 0 : 1;
    return false;
}

static bool survey_rows(struct endpoint *endpoint, unsigned question, struct endpoint_cursor *cursor,
                        struct out *rows)
{
    struct shared *shared = endpoint_shared(endpoint);
    struct registry *registry = shared->registry;
    assert_int_equal(question, QUESTION);
    registry->pieces++;
    if (registry->endless || registry->empty || registry->stuck)
        return misbehave(registry, cursor, rows);
    for (uint32_t i = 0; i < registry->count; i++) {
        if (registry->serials[i] <= cursor->a)
            continue;
        if (rows->cap - rows->len < ENDPOINT_ROW_MAX)
            return false;
        put_row(rows, registry->worker, registry->serials[i]);
        cursor->a = registry->serials[i];
    }
    return true;
}

static void tick(struct endpoint *endpoint)
{
    struct shared *shared = endpoint_shared(endpoint);
    shared->ticks++;
}

const struct endpoint_dialect counted = {.name = "counted",
                                         .record_dialect = 9,
                                         .shared_bytes = sizeof(struct shared),
                                         .tick = tick,
                                         .survey_rows = survey_rows};
const struct endpoint_dialect mute = {.name = "mute", .record_dialect = 8};

/* --- the played broker ------------------------------------------------------------------------------------------------ */

uint64_t incarnation(unsigned worker)
{
    return 0x1000000000000000ULL + worker;
}

static struct letter *letter_new(const struct wire_message *message, unsigned from)
{
    static unsigned char buffer[WIRE_MAX];
    size_t len = wire_encode(message, buffer, sizeof buffer);
    assert_true(len > 0);
    struct letter *letter = malloc(sizeof *letter + len);
    *letter = (struct letter){.from = from, .len = len};
    memcpy(letter->bytes, buffer, len);
    return letter;
}

static enum err_e send_message(void *arg, struct wire_message *message)
{
    struct worker *worker = arg;
    if (!worker->up)
        return ERR_CLOSED;
    if (worker->full)
        return ERR_FULL;
    *worker->rig->end = letter_new(message, worker->number);
    worker->rig->end = &(*worker->rig->end)->next;
    return ERR_OK;
}

void hand_over(struct rig *rig, unsigned to, const struct wire_message *message)
{
    struct wire_message decoded;
    struct letter *letter = letter_new(message, to);
    assert_int_equal(wire_decode(letter->bytes, letter->len, &decoded), ERR_OK);
    if (rig->workers[to].up)
        assert_true(host_hear(&rig->workers[to].host, &decoded));
    free(letter);
}

static struct worker *introduced(struct rig *rig, uint64_t who)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (incarnation(i) == who && rig->workers[i].introduced)
            return &rig->workers[i];
    return NULL;
}

static void answer_list(struct rig *rig, unsigned from, uint64_t query)
{
    unsigned char words[8 * WORKERS];
    uint32_t len = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        for (unsigned b = 0; rig->workers[i].introduced && b < 8; b++)
            words[len++] = (unsigned char)(incarnation(i) >> (8 * b));
    struct wire_message message = {.type = WIRE_SURVEY_WORKERS};
    message.survey_workers = (struct wire_survey_workers){query, rig->complete, {(const char *)words, len}};
    rig->lists++;
    hand_over(rig, from, &message);
}

static void relay_ask(struct rig *rig, unsigned from, struct wire_message *message)
{
    message->survey_ask.asker = incarnation(from);
    struct worker *target = introduced(rig, message->survey_ask.target);
    if (target != NULL) {
        if (!target->silent)
            hand_over(rig, target->number, message);
        return;
    }
    struct wire_message gone = {.type = WIRE_SURVEY_ROWS};
    gone.survey_rows = (struct wire_survey_rows){
        .query = message->survey_ask.query, .asker = incarnation(from), .target = message->survey_ask.target};
    gone.survey_rows.rows = wire_text("");
    hand_over(rig, from, &gone);
}

static void relay_rows(struct rig *rig, const struct wire_message *message)
{
    const struct worker *asker = introduced(rig, message->survey_rows.asker);
    if (asker != NULL)
        hand_over(rig, asker->number, message);
}

static struct letter *take_letter(struct rig *rig)
{
    struct letter *letter = rig->first;
    rig->first = letter->next;
    if (rig->first == NULL)
        rig->end = &rig->first;
    letter->next = NULL;
    return letter;
}

static bool is_kept(struct rig *rig, const struct wire_message *message)
{
    return rig->keep_answers && rig->kept == NULL && message->type == WIRE_SURVEY_ROWS;
}

/* One message through the broker; false: there is none. */
bool step(struct rig *rig)
{
    struct wire_message message;
    if (rig->first == NULL)
        return false;
    struct letter *letter = take_letter(rig);
    assert_int_equal(wire_decode(letter->bytes, letter->len, &message), ERR_OK);
    if (is_kept(rig, &message)) {
        rig->kept = letter;
        return true;
    }
    if (message.type == WIRE_SURVEY)
        answer_list(rig, letter->from, message.survey.query);
    else if (message.type == WIRE_SURVEY_ASK)
        relay_ask(rig, letter->from, &message);
    else
        relay_rows(rig, &message);
    if (message.type == WIRE_SURVEY_ROWS && rig->between != NULL)
        rig->between(rig);
    free(letter);
    return true;
}

void run(struct rig *rig)
{
    while (step(rig))
        ;
}

void drop_letters(struct rig *rig)
{
    while (rig->first != NULL)
        free(take_letter(rig));
}

void hand_over_kept(struct rig *rig)
{
    struct wire_message message;
    assert_non_null(rig->kept);
    assert_int_equal(wire_decode(rig->kept->bytes, rig->kept->len, &message), ERR_OK);
    relay_rows(rig, &message);
    free(rig->kept);
    rig->kept = NULL;
}

void pass_ms(struct rig *rig, uint64_t ms)
{
    clock_manual_advance_ns(&rig->clock, ms * NS_PER_MS);
    for (unsigned i = 0; i < WORKERS; i++)
        host_tick(&rig->workers[i].host);
    run(rig);
}

void broker_dies(struct rig *rig)
{
    drop_letters(rig);
    for (unsigned i = 0; i < WORKERS; i++) {
        rig->workers[i].up = rig->workers[i].introduced = false;
        host_broker_down(&rig->workers[i].host);
    }
}

void broker_is_back(struct rig *rig)
{
    for (unsigned i = 0; i < WORKERS; i++)
        rig->workers[i].up = rig->workers[i].introduced = true;
}

/* --- stage -------------------------------------------------------------------------------------------------------------- */

void worker_open(struct rig *rig, unsigned i, const struct endpoint_dialect *dialect)
{
    struct worker *worker = &rig->workers[i];
    *worker =
        (struct worker){.rig = rig, .number = i, .introduced = true, .up = true, .registry = {.worker = i}};
    const struct host_config config = {.conf = &rig->conf,
                                       .clock = &rig->clock.clock,
                                       .incarnation = incarnation(i),
                                       .send_message = send_message,
                                       .arg = worker};
    assert_int_equal(host_init(&worker->host, &config), ERR_OK);
    worker->endpoint = (struct endpoint){.host = &worker->host, .dialect = dialect, .listener = "l"};
    assert_int_equal(host_join(&worker->endpoint), ERR_OK);
    assert_int_equal(host_start(&worker->host), ERR_OK);
    struct shared *shared = endpoint_shared(&worker->endpoint);
    if (shared != NULL)
        shared->registry = &worker->registry;
}

void worker_close(struct worker *worker)
{
    host_stop(&worker->host);
    host_fini(&worker->host);
}

int rig_open(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    clock_manual_init(&rig->clock, NS_PER_S, 0);
    rig->end = &rig->first;
    rig->complete = true;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_open(rig, i, &counted);
    *state = rig;
    return 0;
}

int rig_close(void **state)
{
    struct rig *rig = *state;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_close(&rig->workers[i]);
    drop_letters(rig);
    free(rig->kept);
    free(rig);
    return 0;
}

/* --- who asks ------------------------------------------------------------------------------------------------------------ */

static void try_again(struct result *result)
{
    if (result->again != NULL)
        result->again_err = endpoint_survey(result->again, QUESTION, &result_events, result);
}

static void on_rows(void *arg, const char *rows, size_t len)
{
    struct result *result = arg;
    assert_int_equal(result->dones, 0);
    result->pieces++;
    for (const char *at = rows, *end = rows + len; at < end;) {
        unsigned worker;
        unsigned long serial;
        char row[64] = "";
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        assert_true(newline != NULL && newline - at < (int)sizeof row);
        memcpy(row, at, (size_t)(newline - at));
        assert_int_equal(sscanf(row, "%u:%lu:................", &worker, &serial), 2);
        assert_true(worker < WORKERS && serial < REGISTRY_MAX);
        result->rows[worker][serial]++;
        result->total++;
        at = newline + 1;
    }
    try_again(result);
}

static void on_done(void *arg, enum err_e err, unsigned silent, unsigned workers)
{
    struct result *result = arg;
    result->dones++;
    result->err = err;
    result->silent = silent;
    result->workers = workers;
    if (result->clock != NULL)
        clock_manual_advance_ns(result->clock, result->making_ns);
    try_again(result);
}

const struct endpoint_survey_events result_events = {on_rows, on_done};

enum err_e survey(struct rig *rig, unsigned worker, struct result *result)
{
    memset(result, 0, sizeof *result);
    return endpoint_survey(&rig->workers[worker].endpoint, QUESTION, &result_events, result);
}

void expect_end(const struct result *result, enum err_e err, unsigned silent, unsigned workers)
{
    assert_int_equal(result->dones, 1);
    assert_int_equal(result->err, err);
    assert_int_equal(result->silent, silent);
    assert_int_equal(result->workers, workers);
}

void populate(struct rig *rig, unsigned worker, unsigned count)
{
    for (unsigned i = 1; i <= count; i++)
        registry_add(&rig->workers[worker].registry, i);
}

const struct survey_counts *counts(const struct rig *rig, unsigned worker)
{
    return &rig->workers[worker].host.surveys.counts;
}

void give_list(struct rig *rig, const uint64_t *workers, uint32_t len)
{
    struct wire_message message = {.type = WIRE_SURVEY_WORKERS};
    message.survey_workers = (struct wire_survey_workers){
        rig->workers[0].host.surveys.last_query, true, {(const char *)workers, len}};
    hand_over(rig, 0, &message);
}
