/* Hop: C2. See channels_desk.h and channels_stats.h. */
#include "channels_desk.h"

#include <stdlib.h>
#include <string.h>

#include "channels_internal.h"
#include "channels_stats.h"
#include "channels_survey.h"
#include "log.h"
#include "must.h"

#define NO_STATS                                                                                             \
    "{\"detail\":\"Las estad\xc3\xadsticas no est\xc3\xa1n disponibles; int\xc3\xa9ntelo de nuevo\"}"

struct channels_asker { /* a request */
    struct list_node node;
    uint64_t ticket;
    channels_stats_f *done;
    void *arg;
    uint32_t word; /* 0: every channel */
    size_t len;
    char name[CHANNEL_NAME_MAX];
};

void channels_desk_init(struct channels_desk *desk)
{
    *desk = (struct channels_desk){0};
    list_init(&desk->joining);
    list_init(&desk->surveyed);
    list_init(&desk->asking);
    list_init(&desk->asked);
}

static void drop_askers(struct list_node *askers)
{
    LIST_FOREACH (it, askers) {
        list_remove(it);
        free(LIST_ENTRY(it, struct channels_asker, node));
    }
}

void channels_desk_fini(struct channels_desk *desk)
{
    drop_askers(&desk->asking);
    drop_askers(&desk->asked);
    channels_answer_clear(&desk->answer);
    desk->askers = 0;
}

/* --- telling --------------------------------------------------------------------------------------------------------- */

static void tell_request(struct channels_desk *desk, struct channels_asker *asker)
{
    struct out out = out_init(malloc(CHANNELS_STATS_BODY_MAX),
                              CHANNELS_STATS_BODY_MAX); /* the kernel gives what is written */
    bool known = out.at != NULL && desk->answer.err == ERR_OK && !desk->here_only;
    if (known && asker->word == 0) {
        channels_answer_all(&desk->answer, &out);
    } else if (known) {
        out_literal(&out, "{\"channel\":");
        out_json_string(&out, asker->name, asker->len);
        out_literal(&out, ",\"stats\":");
        channels_answer_one(&desk->answer, asker->name, asker->len, &out);
        out_char(&out, '}');
    }
    known = known && !out.overflow;
    asker->done(asker->arg, known ? 200 : 503, known ? out.at : NO_STATS,
                known ? out.len : sizeof NO_STATS - 1);
    free(out.at);
}

static void tell_requests(struct channels_desk *desk)
{
    while (!list_empty(&desk->asked)) {
        struct channels_asker *asker = LIST_ENTRY(desk->asked.next, struct channels_asker, node);
        list_remove(&asker->node);
        desk->askers--;
        tell_request(desk, asker);
        free(asker);
    }
}

static void tell_conn(struct channels_shared *shared, struct channels_conn *state)
{
    struct out out = out_init(endpoint_scratch(shared->endpoint), ENDPOINT_SCRATCH);
    const struct channels_channel *channel = state->channel;
    out_literal(&out, "{\"type\":\"channel_stats\",\"channel\":");
    out_json_string(&out, channel->name, channel->len);
    out_literal(&out, ",\"stats\":");
    channels_answer_one(&shared->desk.answer, channel->name, channel->len, &out);
    out_char(&out, '}');
    MUST(!out.overflow);
    endpoint_reply(state->conn, out.at, out.len);
    shared->counts.stats_told++;
    shared->counts.stats_here_only += shared->desk.here_only;
}

static void tell_some(struct channels_shared *shared)
{
    struct channels_desk *desk = &shared->desk;
    tell_requests(desk);
    for (unsigned i = 0; i < CHANNELS_TOLD_AT_ONCE && !list_empty(&desk->surveyed); i++) {
        struct channels_conn *state = LIST_ENTRY(desk->surveyed.next, struct channels_conn, node);
        list_remove(&state->node);
        if (desk->answer.err == ERR_OK)
            tell_conn(shared, state);
        else
            endpoint_close(state->conn, 1013, "out of memory");
        channels_joined(shared, state);
    }
    desk->telling = !list_empty(&desk->surveyed);
    if (!desk->telling)
        channels_answer_clear(&desk->answer);
}

/* --- the survey ------------------------------------------------------------------------------------------------------ */

static void on_rows(void *arg, const char *rows, size_t len)
{
    struct channels_shared *shared = arg;
    channels_answer_add(&shared->desk.answer, rows, len);
}

/* What is known without the others. */
static void ask_here(struct channels_shared *shared)
{
    char memory[8 * ENDPOINT_ROW_MAX];
    struct endpoint_cursor cursor = {0};
    bool last = false;
    while (!last) {
        struct out rows = out_init(memory, sizeof memory);
        last = channels_survey_rows(&shared->registry, 0, &cursor, &rows);
        channels_answer_add(&shared->desk.answer, rows.at, rows.len);
    }
}

static void on_done(void *arg, enum err_e err, unsigned silent, unsigned workers)
{
    struct channels_shared *shared = arg;
    struct channels_desk *desk = &shared->desk;
    if (err == ERR_OK)
        err = desk->answer.err;
    desk->running = false;
    desk->telling = true;
    desk->here_only = err != ERR_OK;
    if (err != ERR_OK) {
        log_debug("channel-stats", "error=\"%s\" silent=%u workers=%u", err_text(err), silent, workers);
        channels_answer_clear(&desk->answer);
        if (!list_empty(&desk->surveyed))
            ask_here(shared);
    }
    channels_answer_sort(&desk->answer);
    tell_some(shared);
}

/* 0: more than one channel is asked for. */
static uint32_t common_word(const struct channels_desk *desk)
{
    uint32_t word = 0;
    LIST_FOREACH (it, &desk->joining) {
        uint32_t wanted = LIST_ENTRY(it, struct channels_conn, node)->channel->word;
        if (word != 0 && word != wanted)
            return 0;
        word = wanted;
    }
    LIST_FOREACH (it, &desk->asking) {
        uint32_t wanted = LIST_ENTRY(it, struct channels_asker, node)->word;
        if (wanted == 0 || (word != 0 && word != wanted))
            return 0;
        word = wanted;
    }
    return word;
}

static void move_all(struct list_node *to, struct list_node *from)
{
    LIST_FOREACH (it, from) {
        list_remove(it);
        list_append(to, it);
    }
}

/* The survey's events come later: none is for somebody whose turn was not noted. */
static void begin(struct channels_shared *shared)
{
    static const struct endpoint_survey_events events = {on_rows, on_done};
    struct channels_desk *desk = &shared->desk;
    if (desk->running || desk->telling || (list_empty(&desk->joining) && list_empty(&desk->asking)))
        return;
    if (endpoint_survey(shared->endpoint, common_word(desk), &events, shared) != ERR_OK)
        return; /* the tick tries again, unless the process ends */
    move_all(&desk->surveyed, &desk->joining);
    move_all(&desk->asked, &desk->asking);
    desk->running = true;
}

void channels_desk_join(struct channels_shared *shared, struct channels_conn *conn)
{
    list_append(&shared->desk.joining, &conn->node);
    begin(shared);
}

void channels_desk_tick(struct channels_shared *shared)
{
    if (shared->desk.telling)
        tell_some(shared);
    begin(shared);
}

/* --- of channels_stats.h ---------------------------------------------------------------------------------------------- */

static struct channels_asker *asker_new(const char *channel, size_t len, channels_stats_f *done, void *arg)
{
    struct channels_asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL)
        return NULL;
    asker->done = done;
    asker->arg = arg;
    asker->word = channel != NULL ? channels_word(channel, len) : 0;
    asker->len = channel != NULL ? len : 0;
    if (channel != NULL)
        memcpy(asker->name, channel, len);
    return asker;
}

enum err_e channels_stats(const struct endpoint *endpoint, const char *channel, size_t len,
                          channels_stats_f *done, void *arg, uint64_t *ticket)
{
    const struct endpoint *own = endpoint_own(endpoint, &channels_dialect);
    if (own == NULL)
        return ERR_NOT_FOUND;
    MUST(channel == NULL || channel_name_is_valid(channel, len));
    struct channels_shared *shared = endpoint_shared(own);
    struct channels_desk *desk = &shared->desk;
    if (desk->askers == CHANNELS_STATS_WAITING_MAX)
        return ERR_FULL;
    struct channels_asker *asker = asker_new(channel, len, done, arg);
    if (asker == NULL)
        return ERR_MEMORY;
    *ticket = asker->ticket = ++desk->last_ticket;
    desk->askers++;
    list_append(&desk->asking, &asker->node);
    begin(shared);
    return ERR_OK;
}

static bool forget(struct channels_desk *desk, struct list_node *askers, uint64_t ticket)
{
    LIST_FOREACH (it, askers) {
        struct channels_asker *asker = LIST_ENTRY(it, struct channels_asker, node);
        if (asker->ticket != ticket)
            continue;
        list_remove(it);
        desk->askers--;
        free(asker);
        return true;
    }
    return false;
}

void channels_stats_forget(const struct endpoint *endpoint, uint64_t ticket)
{
    const struct endpoint *own = endpoint_own(endpoint, &channels_dialect);
    struct channels_shared *shared = own != NULL ? endpoint_shared(own) : NULL;
    if (shared != NULL && !forget(&shared->desk, &shared->desk.asking, ticket))
        (void)forget(&shared->desk, &shared->desk.asked, ticket);
}
