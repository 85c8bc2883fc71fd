/* Hops: C2, R4. See channels_resume.h. */
#include "channels_resume.h"

#include "channels_internal.h"
#include "channels_page.h"
#include "channels_text.h"
#include "log.h"
#include "must.h"
#include "record.h"
#include "store_call.h"

static void pump(struct channels_shared *shared);

static uint64_t now_ns(const struct channels_shared *shared)
{
    return clock_mono_ns(endpoint_clock(shared->endpoint));
}

static void set_state(struct channels_shared *shared, struct channels_conn *state, enum channels_state_e to)
{
    shared->counts.paging += to == CHANNELS_PAGING;
    shared->counts.paging -= state->state == CHANNELS_PAGING;
    state->state = (uint8_t)to;
}

/* --- live ------------------------------------------------------------------------------------------------------------ */

/* What is owed from `missed` on, then what comes. */
static void go_live(struct channels_shared *shared, struct channels_conn *state,
                    struct endpoint_missed missed)
{
    const struct topic *topic = &state->channel->topic;
    list_remove(&state->node);
    enum err_e err = endpoint_subscribe(state->conn, topic, 1);
    if (err == ERR_OK)
        err = endpoint_replay(state->conn, topic, 1, missed);
    *(state->state == CHANNELS_PAGING ? &shared->counts.paged : &shared->counts.resumed) += err == ERR_OK;
    set_state(shared, state, err == ERR_OK ? CHANNELS_LIVE : CHANNELS_CLOSED);
    if (err != ERR_OK)
        endpoint_close(state->conn, 1013, "out of memory"); /* nothing, if it closes already */
}

static struct endpoint_missed missed_of(const struct channels_conn *state, struct endpoint_since since)
{
    return endpoint_missed(endpoint_of(state->conn), &state->channel->topic, 1, since);
}

/* All of the ring that there is now. */
static struct endpoint_since whole_ring(const struct channels_shared *shared)
{
    struct endpoint_since since = endpoint_now(shared->endpoint);
    since.position = 0;
    return since;
}

/* `since` in the ring that there is now: what follows a place of an earlier one is all of it. Not known: it is in the future. */
static struct endpoint_since in_this_ring(const struct channels_shared *shared, struct endpoint_since since)
{
    endpoint_look_again(shared->endpoint, &since);
    return since.known || since.ring == endpoint_now(shared->endpoint).ring ? since : whole_ring(shared);
}

/* --- a gap ----------------------------------------------------------------------------------------------------------- */

void channels_tell_gap(struct channels_shared *shared, struct channels_conn *state)
{
    char memory[CHANNELS_TEXT_MAX];
    struct out out = out_init(memory, sizeof memory);
    channels_text_gap(&out, state->channel->name, state->channel->len, endpoint_wall_ms(shared->endpoint));
    endpoint_reply(state->conn, out.at, out.len);
    shared->counts.gaps++;
}

/* On from what there is: what the ring holds behind its place; nothing older than itself, if that is not known. */
static void give_up(struct channels_shared *shared, struct channels_conn *state, bool place_known)
{
    struct endpoint_since since = in_this_ring(shared, place_known ? state->next : state->joined);
    if (!since.known)
        since = in_this_ring(shared, state->joined);
    channels_tell_gap(shared, state);
    go_live(shared, state, missed_of(state, since));
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

/* Replies overtake what a client is owed while it lags. */
static bool may_take(const struct channels_conn *state)
{
    return endpoint_is_writable(state->conn) && endpoint_may_seq(state->conn);
}

static void wait_in(struct list_node *list, struct channels_conn *state)
{
    list_remove(&state->node);
    list_append(list, &state->node);
}

static void try_again(struct channels_shared *shared, struct channels_conn *state)
{
    uint64_t now = now_ns(shared);
    if (state->stuck_ns == 0)
        state->stuck_ns = now;
    if (now - state->stuck_ns >= CHANNELS_PATIENCE_NS)
        give_up(shared, state, true);
    else
        wait_in(&shared->resume.paused, state);
}

/* From the ring if it can be, else in line for the store. */
static void go_on(struct channels_shared *shared, struct channels_conn *state)
{
    endpoint_look_again(shared->endpoint, &state->next);
    if (state->next.known) {
        struct endpoint_missed missed = missed_of(state, state->next);
        if (!missed.gap) {
            go_live(shared, state, missed);
            return;
        }
    }
    set_state(shared, state, CHANNELS_PAGING);
    wait_in(may_take(state) ? &shared->resume.queued : &shared->resume.paused, state);
}

/* --- a page ---------------------------------------------------------------------------------------------------------- */

/* Of a page, what was given to a client. */
struct given {
    unsigned events;
    size_t bytes;
    bool all, malformed;
};

/* False: the event has no place, or none behind the last. */
static bool move_to(struct channels_shared *shared, struct channels_conn *state,
                    const struct channels_event *event)
{
    struct endpoint_since next;
    if (!endpoint_parse_seq(shared->endpoint, event->seq, event->seq_len, &next) ||
        (next.ring == state->next.ring && next.position <= state->next.position))
        return false;
    state->next = next;
    return true;
}

static struct given give(struct channels_shared *shared, struct channels_conn *state,
                         const struct store_answer *answer)
{
    struct channels_page page = channels_page_init(answer->body, answer->len);
    struct channels_event event;
    struct given given = {.all = true};
    endpoint_gather(state->conn);
    while (channels_page_next(&page, &event)) {
        if (given.bytes >= CHANNELS_GIVEN_MAX) {
            given.all = false;
            break;
        }
        given.malformed = !move_to(shared, state, &event);
        if (given.malformed)
            break;
        endpoint_reply(state->conn, event.text, event.len);
        given.events++;
        given.bytes += event.len;
    }
    given.malformed |= page.malformed;
    if (given.events > 0)
        state->stuck_ns = 0;
    shared->counts.page_events += given.events;
    return given;
}

/* The store has no more: is that all? */
static void finish(struct channels_shared *shared, struct channels_conn *state, struct endpoint_since settled)
{
    struct endpoint_since since = in_this_ring(shared, state->next);
    if (!since.known) {
        try_again(shared, state);
        return;
    }
    struct endpoint_missed missed = missed_of(state, since);
    if (missed.gap && missed_of(state, in_this_ring(shared, settled)).gap)
        try_again(shared, state);
    else
        go_live(shared, state, missed);
}

static void tell_malformed(struct channels_shared *shared, const struct store_answer *answer)
{
    uint32_t dropped;
    shared->counts.page_failures++;
    if (log_limit_ok(&shared->resume.log_limit, now_ns(shared), NS_PER_S, 1, &dropped))
        log_error("events-malformed", "bytes=%zu suppressed=%u the store's events are not readable",
                  answer->len, dropped);
}

static void take_page(struct channels_shared *shared, struct channels_conn *state,
                      const struct channels_call *call, const struct store_answer *answer)
{
    struct given given = give(shared, state, answer);
    if (given.malformed) {
        tell_malformed(shared, answer);
        try_again(shared, state);
    } else if (given.all && given.events < CHANNELS_PAGE) {
        finish(shared, state, call->settled);
    } else {
        go_on(shared, state);
    }
}

static void take_failure(struct channels_shared *shared, struct channels_conn *state, unsigned status)
{
    shared->counts.page_failures++;
    if (status == 404 || status == 410) /* a ring that never was; rows that were removed */
        give_up(shared, state, status == 410);
    else
        try_again(shared, state);
}

static void on_page(void *arg, const struct store_answer *answer)
{
    struct channels_call *slot = arg;
    struct channels_call call = *slot;
    struct channels_shared *shared = call.shared;
    slot->ticket = 0;
    shared->counts.pages++;
    for (uint32_t i = 0; i < call.count; i++) {
        struct channels_conn *state = LIST_ENTRY(slot->members.next, struct channels_conn, node);
        list_remove(&state->node);
        state->call = CHANNELS_CALLS_MAX;
        if (answer->status == 200)
            take_page(shared, state, &call, answer);
        else
            take_failure(shared, state, answer->status);
    }
    endpoint_gathered(shared->endpoint);
    slot->count = 0;
    pump(shared);
}

/* --- calls ----------------------------------------------------------------------------------------------------------- */

static bool same_page(const struct channels_call *call, const struct channels_conn *state)
{
    return call->ticket != 0 && call->channel == state->channel && call->next.ring == state->next.ring &&
           call->next.position == state->next.position;
}

static enum err_e ask(struct channels_shared *shared, struct channels_call *call,
                      const struct channels_conn *state)
{
    char memory[CHANNEL_NAME_MAX + 64];
    struct out out = out_init(memory, sizeof memory);
    struct store_row row = {0};
    store_row_set(&row, ARG_CHANNEL,
                  (struct store_value){.kind = STORE_TEXT,
                                       .text = {state->channel->name, (uint32_t)state->channel->len}});
    store_row_set(&row, ARG_SINCE_RING, (struct store_value){.kind = STORE_INT, .whole = state->next.ring});
    store_row_set(
        &row, ARG_SINCE_N,
        (struct store_value){.kind = STORE_INT, .whole = (int64_t)(state->next.position / RECORD_ALIGN) - 1});
    store_row_set(&row, ARG_LIMIT, (struct store_value){.kind = STORE_INT, .whole = CHANNELS_PAGE});
    store_args_put(&out, &row);
    MUST(!out.overflow);
    const struct store_call asked = {.op = STORE_OP_EVENTS,
                                     .who = endpoint_principal(state->conn),
                                     .arguments = out.at,
                                     .arguments_len = out.len};
    return store_call(shared->endpoint, &asked, on_page, call, &call->ticket);
}

/* The call that the connection can wait for; NULL: none is free. */
static struct channels_call *call_for(struct channels_shared *shared, const struct channels_conn *state)
{
    struct channels_call *calls = shared->resume.calls, *free_one = NULL;
    for (unsigned i = 0; i < CHANNELS_CALLS_MAX; i++) {
        if (same_page(&calls[i], state) && calls[i].count < CHANNELS_CALL_MEMBERS)
            return &calls[i];
        if (free_one == NULL && calls[i].ticket == 0 && calls[i].count == 0)
            free_one = &calls[i];
    }
    if (free_one == NULL || ask(shared, free_one, state) != ERR_OK)
        return NULL; /* the tick tries again */
    free_one->channel = state->channel;
    free_one->next = state->next;
    free_one->settled = shared->resume.older.place;
    return free_one;
}

static void pump(struct channels_shared *shared)
{
    LIST_FOREACH (it, &shared->resume.queued) {
        struct channels_conn *state = LIST_ENTRY(it, struct channels_conn, node);
        struct channels_call *call = call_for(shared, state);
        if (call == NULL)
            continue; /* another one may fit a call under way */
        wait_in(&call->members, state);
        call->count++;
        state->call = (uint8_t)(call - shared->resume.calls);
    }
}

/* --- of channels_resume.h ---------------------------------------------------------------------------------------------- */

void channels_resume_init(struct channels_shared *shared)
{
    struct channels_resume *resume = &shared->resume;
    list_init(&resume->queued);
    list_init(&resume->paused);
    for (unsigned i = 0; i < CHANNELS_CALLS_MAX; i++) {
        resume->calls[i].shared = shared;
        list_init(&resume->calls[i].members);
    }
}

void channels_resume_begin(struct channels_shared *shared, struct channels_conn *state)
{
    go_on(shared, state);
    pump(shared);
}

void channels_resume_lost(struct channels_shared *shared, struct channels_conn *state,
                          struct endpoint_since since)
{
    shared->counts.lapped++;
    if (endpoint_unsubscribe(state->conn, &state->channel->topic, 1) != ERR_OK) {
        channels_tell_gap(shared, state);
        return;
    }
    state->next = since;
    state->stuck_ns = 0;
    go_on(shared, state);
    pump(shared);
}

/* A call that nobody waits for any more may be of a channel that goes now. */
void channels_resume_forget(struct channels_shared *shared, struct channels_conn *state)
{
    bool waits = state->state == CHANNELS_PAGING && state->call != CHANNELS_CALLS_MAX;
    list_remove(&state->node);
    set_state(shared, state, CHANNELS_CLOSED);
    if (!waits)
        return;
    struct channels_call *call = &shared->resume.calls[state->call];
    state->call = CHANNELS_CALLS_MAX;
    if (--call->count > 0)
        return;
    store_call_forget(shared->endpoint, call->ticket);
    call->ticket = 0;
}

static void note_marks(struct channels_shared *shared)
{
    struct channels_resume *resume = &shared->resume;
    uint64_t now = now_ns(shared);
    if (now - resume->newer.ns < CHANNELS_SETTLE_NS)
        return;
    resume->older = resume->newer;
    resume->newer = (struct channels_mark){endpoint_now(shared->endpoint), now};
}

void channels_resume_tick(struct channels_shared *shared)
{
    note_marks(shared);
    LIST_FOREACH (it, &shared->resume.paused) {
        struct channels_conn *state = LIST_ENTRY(it, struct channels_conn, node);
        if (may_take(state))
            go_on(shared, state);
    }
    pump(shared);
}
