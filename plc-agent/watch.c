/* See watch.h (Hop: R1). */
#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "completion.h"
#include "log.h"
#include "must.h"
#include "note.h"

struct watch {
    struct queue_config config;
    watch_end_f *on_end;
    void *arg;
    bool active;
    struct outcome completion;
    struct completion judge;
    uint64_t began_ns, written_ns; /* this agent; the move */
    struct loop_timer *limit;
};

static void end(struct watch *watch, enum command_code_e code, const char *text,
                struct journal_reading reading, uint64_t source_ns)
{
    const struct machine_state *now = &watch->config.image->now;
    int64_t position = reading.known ? reading.position : now->has_reading ? now->position : -1;
    struct outcome *completion = &watch->completion;
    completion->code = code;
    snprintf(completion->text, sizeof completion->text, "%s", text);
    completion->position = position;
    completion->source_ns = source_ns;
    completion->elapsed_ms = (loop_now_ns(watch->config.loop) - watch->written_ns) / NS_PER_MS;
    log_info("move-ended",
             OUTCOME_KEY " target=%" PRId64 " position=%" PRId64 " took_ms=%" PRIu64 " reason=\"%s\"",
             OUTCOME_KEY_ARGS(completion), completion->argument, position, completion->elapsed_ms, text);
    watch->active = false;
    loop_timer_stop(watch->limit);
    poller_watch(watch->config.poller, false);
    watch->on_end(watch->arg, completion, reading);
}

static void on_limit(void *arg)
{
    struct watch *watch = arg;
    end(watch, CODE_TIMEOUT, "move timeout", (struct journal_reading){.known = false},
        loop_now_ns(watch->config.loop));
}

void watch_reading(struct watch *watch, const struct driver_answer *reading)
{
    if (!watch->active)
        return;
    const char *why;
    switch (completion_judge(&watch->judge, reading->status, reading->position, &why)) {
    case COMPLETION_UNDER_WAY:
        return;
    case COMPLETION_REACHED:
        end(watch, CODE_NONE, "", note_reply(reading), reading->readable_ns);
        return;
    case COMPLETION_STOPPED:
        end(watch, CODE_INTERLOCK, why, note_reply(reading), reading->readable_ns);
    }
}

void watch_start(struct watch *watch, const struct outcome *result, uint64_t written_ns,
                 const struct driver_answer *first)
{
    MUST(!watch->active);
    watch->active = true;
    watch->written_ns = written_ns;
    watch->completion = *result;
    watch->completion.kind = OUTCOME_COMPLETION;
    completion_init(&watch->judge, watch->config.profile, first->position, (uint8_t)result->argument);
    uint64_t limit = written_ns + watch->config.move_timeout_ns;
    uint64_t look = loop_now_ns(watch->config.loop) + WATCH_LOOK_NS;
    loop_timer_start_at(watch->limit, written_ns < watch->began_ns && limit < look ? look : limit);
    poller_watch(watch->config.poller, true);
    watch_reading(watch, first);
}

bool watch_active(const struct watch *watch)
{
    return watch->active;
}

bool watch_has(const struct watch *watch, const struct outcome *asked)
{
    return watch->active && outcome_same_request(&watch->completion, asked);
}

enum err_e watch_new(const struct queue_config *config, watch_end_f *on_end, void *arg, struct watch **watch)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_MEMORY;
    w->config = *config;
    w->on_end = on_end;
    w->arg = arg;
    w->began_ns = loop_now_ns(config->loop);
    w->limit = loop_timer_new(config->loop, on_limit, w);
    if (w->limit == NULL) {
        free(w);
        return ERR_MEMORY;
    }
    *watch = w;
    return ERR_OK;
}

void watch_free(struct watch **watch)
{
    if (*watch == NULL)
        return;
    loop_timer_free(&(*watch)->limit);
    free(*watch);
    *watch = NULL;
}
