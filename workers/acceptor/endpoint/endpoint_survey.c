#include "endpoint_survey.h"

#include <string.h>

#include "clock.h"
#include "host.h"
#include "must.h"

static uint64_t now_ns(const struct endpoint_common *common)
{
    return clock_mono_ns(common->endpoint.host->clock);
}

static enum err_e send_up(const struct endpoint_common *common, struct wire_message *message)
{
    const struct endpoint_host *host = common->endpoint.host;
    return host->send_message(host->arg, message);
}

/* --- the end ----------------------------------------------------------------------------------------------------------- */

static void finish(struct endpoint_common *common, enum err_e err)
{
    struct survey *survey = &common->survey;
    bool asked = survey->state == SURVEY_ASKING;
    uint64_t ended_ns = now_ns(common), took_ns = survey->told_ns - survey->asked_ns;
    survey->state = SURVEY_IDLE;
    if (err != ERR_OK)
        common->endpoint.host->surveys.counts.failed++;
    survey->telling = true;
    survey->events->done(survey->arg, err, survey->silent, asked ? survey->target_count : 0);
    survey->telling = false;
    uint64_t answer_ns = now_ns(common) - ended_ns; /* what it took to make something of the rows */
    if (asked)
        survey->rested_ns = survey->told_ns + answer_ns + SURVEY_PAUSE * (took_ns + answer_ns);
}

/* --- who is there? ----------------------------------------------------------------------------------------------------- */

static void ask_who(struct endpoint_common *common)
{
    struct survey *survey = &common->survey;
    struct wire_message message = {.type = WIRE_SURVEY, .survey = {.query = survey->query}};
    bool sent = send_up(common, &message) == ERR_OK;
    survey->again_ns = sent ? UINT64_MAX : now_ns(common) + SURVEY_AGAIN_NS;
}

static uint64_t word_at(const char *words, uint32_t index)
{
    uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;)
        value = value << 8 | (unsigned char)words[8 * index + i];
    return value;
}

static bool is_listed(const struct survey *survey, uint64_t worker)
{
    for (unsigned i = 0; i < survey->target_count; i++)
        if (survey->targets[i].worker == worker)
            return true;
    return false;
}

/* False: no list that names this worker, and nobody twice. */
static bool take_list(struct survey *survey, struct wire_text workers, uint64_t self)
{
    survey->target_count = 0;
    if (workers.len % 8 != 0 || workers.len > 8 * WIRE_WORKERS_MAX)
        return false;
    for (uint32_t i = 0; i < workers.len / 8; i++) {
        uint64_t worker = word_at(workers.at, i);
        if (is_listed(survey, worker))
            return false;
        survey->targets[survey->target_count++] = (struct survey_target){.worker = worker};
    }
    return is_listed(survey, self);
}

/* --- asking one ---------------------------------------------------------------------------------------------------------- */

static void ask(const struct endpoint_common *common, struct survey_target *target)
{
    const struct survey *survey = &common->survey;
    struct wire_message message = {.type = WIRE_SURVEY_ASK};
    message.survey_ask = (struct wire_survey_ask){
        .query = survey->query,
        .asker = common->endpoint.host->incarnation,
        .target = target->worker,
        .dialect = common->endpoint.dialect->record_dialect,
        .question = survey->question,
        .cursor_a = target->cursor.a,
        .cursor_b = target->cursor.b,
        .cursor_c = target->cursor.c,
    };
    target->asked = send_up(common, &message) == ERR_OK;
}

/* Those that have told everything, or have a question on its way, are left alone. */
static void ask_all(struct endpoint_common *common)
{
    struct survey *survey = &common->survey;
    for (unsigned i = 0; i < survey->target_count; i++)
        if (!survey->targets[i].told && !survey->targets[i].asked)
            ask(common, &survey->targets[i]);
}

static void hear_workers(struct endpoint_common *common, const struct wire_survey_workers *list)
{
    struct survey *survey = &common->survey;
    if (!take_list(survey, list->workers, common->endpoint.host->incarnation) || !list->complete) {
        survey->again_ns = now_ns(common) + SURVEY_AGAIN_NS;
        return;
    }
    survey->state = SURVEY_ASKING;
    survey->silent = survey->target_count;
    survey->asked_ns = survey->told_ns = now_ns(common);
    ask_all(common);
}

/* --- its rows ------------------------------------------------------------------------------------------------------------ */

static bool is_same(const struct endpoint_cursor *a, const struct endpoint_cursor *b)
{
    return a->a == b->a && a->b == b->b && a->c == b->c;
}

/* Is there an end to be seen? A worker that gives nothing, or stands where it stood, would be asked for ever. */
static enum err_e judge(struct survey *survey, const struct survey_target *target,
                        const struct wire_survey_rows *rows)
{
    struct endpoint_cursor cursor = {rows->cursor_a, rows->cursor_b, rows->cursor_c};
    survey->bytes += rows->rows.len;
    if (!rows->answered)
        return ERR_CLOSED;
    if (survey->bytes > SURVEY_BYTES_MAX)
        return ERR_TOO_LARGE;
    if (!rows->last && (rows->rows.len == 0 || is_same(&cursor, &target->cursor)))
        return ERR_MALFORMED;
    return ERR_OK;
}

static void tell_rows(struct survey *survey, struct wire_text rows)
{
    if (rows.len == 0)
        return;
    survey->telling = true;
    survey->events->rows(survey->arg, rows.at, rows.len);
    survey->telling = false;
}

static void hear_rows(struct endpoint_common *common, struct survey_target *target,
                      const struct wire_survey_rows *rows)
{
    struct survey *survey = &common->survey;
    enum err_e err = judge(survey, target, rows);
    if (err != ERR_OK) {
        finish(common, err);
        return;
    }
    target->asked = false;
    target->told = rows->last;
    target->cursor = (struct endpoint_cursor){rows->cursor_a, rows->cursor_b, rows->cursor_c};
    tell_rows(survey, rows->rows);
    survey->told_ns = now_ns(common);
    if (!target->told)
        ask(common, target); /* if it does not go, the tick asks again */
    else if (--survey->silent == 0)
        finish(common, ERR_OK);
}

/* --- what comes ------------------------------------------------------------------------------------------------------------ */

static struct endpoint_common *asking(struct endpoint_host *host, uint64_t query, enum survey_state_e state)
{
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (common->survey.state == state && common->survey.query == query)
            return common;
    }
    return NULL;
}

/* The worker that has a question of this survey on its way. */
static struct survey_target *asked_target(struct survey *survey, uint64_t worker)
{
    for (unsigned i = 0; i < survey->target_count; i++)
        if (survey->targets[i].worker == worker && survey->targets[i].asked)
            return &survey->targets[i];
    return NULL;
}

static bool on_workers(struct endpoint_host *host, const struct wire_survey_workers *list)
{
    struct endpoint_common *common = asking(host, list->query, SURVEY_LISTING);
    if (common == NULL)
        return false;
    hear_workers(common, list);
    return true;
}

static bool on_rows(struct endpoint_host *host, const struct wire_survey_rows *rows)
{
    struct endpoint_common *common = asking(host, rows->query, SURVEY_ASKING);
    if (common == NULL || rows->asker != host->incarnation)
        return false;
    struct survey_target *target = asked_target(&common->survey, rows->target);
    if (target == NULL)
        return false;
    hear_rows(common, target, rows);
    return true;
}

/* --- answering --------------------------------------------------------------------------------------------------------------- */

static struct endpoint_common *surveyed(struct endpoint_host *host, uint64_t record_dialect)
{
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (common->started && common->endpoint.dialect->record_dialect == record_dialect &&
            common->endpoint.dialect->survey_rows != NULL)
            return common;
    }
    return NULL; /* nobody is here in that dialect: no rows */
}

static bool on_ask(struct endpoint_host *host, const struct wire_survey_ask *asked)
{
    char memory[WIRE_SURVEY_ROWS_MAX];
    struct out rows = out_init(memory, sizeof memory);
    struct endpoint_cursor cursor = {asked->cursor_a, asked->cursor_b, asked->cursor_c};
    struct endpoint_common *common = surveyed(host, asked->dialect);
    if (asked->target != host->incarnation)
        return false;
    bool last = common == NULL || common->endpoint.dialect->survey_rows(
                                      &common->endpoint, (unsigned)asked->question, &cursor, &rows);
    MUST(!rows.overflow);
    struct wire_message message = {.type = WIRE_SURVEY_ROWS};
    message.survey_rows = (struct wire_survey_rows){
        .query = asked->query,
        .asker = asked->asker,
        .target = host->incarnation,
        .answered = true,
        .last = last,
        .cursor_a = cursor.a,
        .cursor_b = cursor.b,
        .cursor_c = cursor.c,
        .rows = {memory, (uint32_t)rows.len},
    };
    bool sent = host->send_message(host->arg, &message) == ERR_OK;
    *(sent ? &host->surveys.counts.answered : &host->surveys.counts.unsent) += 1;
    return true;
}

bool survey_hear(struct endpoint_host *host, const struct wire_message *message)
{
    bool wanted;
    switch (message->type) {
    case WIRE_SURVEY_WORKERS:
        wanted = on_workers(host, &message->survey_workers);
        break;
    case WIRE_SURVEY_ASK:
        wanted = on_ask(host, &message->survey_ask);
        break;
    case WIRE_SURVEY_ROWS:
        wanted = on_rows(host, &message->survey_rows);
        break;
    default:
        return false;
    }
    if (!wanted)
        host->surveys.counts.late++;
    return true;
}

/* --- time, and the broker's death ------------------------------------------------------------------------------------------------ */

void survey_broker_down(struct endpoint_host *host)
{
    for (unsigned i = 0; i < host->commons.count; i++) {
        struct endpoint_common *common = &host->commons.all[i];
        if (common->survey.state == SURVEY_ASKING)
            finish(common, ERR_CLOSED);
        else if (common->survey.state == SURVEY_LISTING)
            common->survey.again_ns = now_ns(common) + SURVEY_AGAIN_NS;
    }
}

void survey_tick(struct endpoint_common *common)
{
    struct survey *survey = &common->survey;
    if (survey->state == SURVEY_IDLE)
        return;
    if (now_ns(common) >= survey->deadline_ns)
        finish(common, ERR_TIMEOUT);
    else if (survey->state == SURVEY_ASKING)
        ask_all(common);
    else if (now_ns(common) >= survey->again_ns)
        ask_who(common);
}

void survey_give_up(struct endpoint_common *common)
{
    if (common->survey.state != SURVEY_IDLE)
        finish(common, ERR_CLOSED);
}

/* --- of endpoint.h ------------------------------------------------------------------------------------------------------------- */

enum err_e endpoint_survey(struct endpoint *endpoint, unsigned question,
                           const struct endpoint_survey_events *events, void *arg)
{
    struct endpoint_host *host = endpoint->host;
    struct endpoint_common *common = endpoint->common;
    MUST(common != NULL);
    struct survey *survey = &common->survey;
    uint64_t now = now_ns(common);
    if (host->commons.stopped)
        return ERR_CLOSED;
    if (survey->state != SURVEY_IDLE || survey->telling || now < survey->rested_ns)
        return ERR_BUSY;
    survey->state = SURVEY_LISTING;
    survey->query = ++host->surveys.last_query;
    survey->question = question;
    survey->events = events;
    survey->arg = arg;
    survey->deadline_ns = now + ENDPOINT_SURVEY_MS * NS_PER_MS;
    survey->target_count = survey->silent = 0;
    survey->bytes = 0;
    host->surveys.counts.begun++;
    ask_who(common);
    return ERR_OK;
}
