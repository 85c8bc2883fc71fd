/* Hop: C2. See streams_admin.h.
 *
 * Rejected: an answer from what this worker knows alone, or from counts that workers tell each other now and then: both are
 * wrong as soon as a worker dies, and nobody notices. */
#include "streams_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "must.h"
#include "streams_text.h"

static const char *const questions[] = {
    [STREAMS_NUMCHANNELS] = "getnumchannels()", [STREAMS_CHANNELINFO] = "getchannelinfo()"};

void streams_reply_error(struct endpoint_conn *conn, const char *text)
{
    char memory[2 * STREAMS_ERROR_MAX + 64]; /* quotes and backslashes take two bytes */
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"ws_op\":\"error\",\"ws_msg\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    MUST(!out.overflow);
    endpoint_reply(conn, out.at, out.len);
}

/* --- those who wait ------------------------------------------------------------------------------------------------- */

static void remove_at(struct streams_admin *admin, uint32_t i)
{
    admin->count--;
    memmove(&admin->waiting[i], &admin->waiting[i + 1], (admin->count - i) * sizeof admin->waiting[0]);
}

void streams_admin_forget(struct streams_admin *admin, const struct endpoint_conn *conn)
{
    for (uint32_t i = admin->count; i-- > 0;)
        if (admin->waiting[i].conn == conn)
            remove_at(admin, i);
}

static void give(struct endpoint_conn *conn, const char *answer, size_t len)
{
    if (endpoint_owed_bytes(endpoint_of(conn)) + len > STREAMS_OWED_MAX)
        streams_reply_error(conn, "admin: too many answers wait for slow clients; try again");
    else
        endpoint_reply(conn, answer, len);
}

/* Everybody for whom the survey was gets the answer or, if it is NULL, the error. A reply may end its connection, and with
 * it other requests of the same: so each is taken out before it is answered. */
static void answer_all(struct streams_admin *admin, const char *answer, size_t len, const char *error)
{
    for (uint32_t i = 0; i < admin->count;) {
        struct streams_asker asker = admin->waiting[i];
        if (!asker.surveyed) {
            i++;
            continue;
        }
        remove_at(admin, i);
        if (answer != NULL)
            give(asker.conn, answer, len);
        else
            streams_reply_error(asker.conn, error);
        i = 0;
    }
}

/* --- the survey ----------------------------------------------------------------------------------------------------- */

static void on_rows(void *arg, const char *rows, size_t len)
{
    struct streams_admin *admin = arg;
    streams_answer_add(&admin->answer, admin->question, rows, len);
}

static void survey_error(char error[STREAMS_ERROR_MAX], enum err_e err, unsigned silent, unsigned workers)
{
    if (workers > 0)
        snprintf(error, STREAMS_ERROR_MAX, "admin: %u of %u workers did not answer (%s); try again", silent,
                 workers, err_text(err));
    else
        snprintf(error, STREAMS_ERROR_MAX, "admin: the workers could not be asked (%s); try again",
                 err_text(err));
}

static void answer_error(char error[STREAMS_ERROR_MAX], const struct streams_answer *answer)
{
    if (answer->err == ERR_TOO_LARGE)
        snprintf(error, STREAMS_ERROR_MAX, "admin: the answer is too large (%llu channels)",
                 (unsigned long long)answer->channels);
    else
        snprintf(error, STREAMS_ERROR_MAX, "admin: no answer (%s)", err_text(answer->err));
}

static void on_done(void *arg, enum err_e err, unsigned silent, unsigned workers)
{
    struct streams_admin *admin = arg;
    char error[STREAMS_ERROR_MAX];
    char *answer = NULL;
    size_t len = 0;
    admin->running = false;
    if (err == ERR_TOO_LARGE || err == ERR_MALFORMED)
        admin->answer.err = err;
    if (err != ERR_OK && admin->answer.err == ERR_OK)
        survey_error(error, err, silent, workers);
    else if ((answer = streams_answer_write(&admin->answer, admin->question, &len)) == NULL)
        answer_error(error, &admin->answer);
    streams_answer_clear(&admin->answer);
    admin->last_len = len;
    answer_all(admin, answer, len, error);
    free(answer);
}

/* The survey's events come later: none is for somebody whose turn was not noted. */
static void begin(struct streams_admin *admin, struct endpoint *endpoint)
{
    static const struct endpoint_survey_events events = {on_rows, on_done};
    enum streams_question_e question = admin->waiting[0].question;
    enum err_e err = endpoint_survey(endpoint, question, &events, admin);
    if (err == ERR_BUSY)
        return; /* tick tries again */
    for (uint32_t i = 0; i < admin->count; i++)
        admin->waiting[i].surveyed = admin->waiting[i].question == question;
    admin->running = true;
    admin->question = question;
    if (err != ERR_OK)
        on_done(admin, err, 0, 0);
}

void streams_admin_tick(struct streams_admin *admin, struct endpoint *endpoint)
{
    if (!admin->running && admin->count > 0)
        begin(admin, endpoint);
}

void streams_admin_fini(struct streams_admin *admin)
{
    streams_answer_clear(&admin->answer);
}

/* --- asking --------------------------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The question's number, with any space around it; ARRAY_LEN(questions): it is none. */
static unsigned find_question(const struct streams_text *question)
{
    char memory[64];
    struct out out = out_init(memory, sizeof memory);
    streams_text_bare(question, &out);
    const char *at = out.at;
    size_t len = out.overflow ? 0 : out.len;
    for (; len > 0 && is_space(*at); at++)
        len--;
    while (len > 0 && is_space(at[len - 1]))
        len--;
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++)
        if (len == strlen(questions[i]) && memcmp(at, questions[i], len) == 0)
            return i;
    return ARRAY_LEN(questions);
}

void streams_admin_ask(struct streams_admin *admin, struct endpoint_conn *conn,
                       const struct streams_text *question)
{
    char error[STREAMS_ERROR_MAX];
    struct endpoint *endpoint = endpoint_of(conn);
    unsigned asked = find_question(question);
    if (!endpoint_conf(endpoint)->streams_admin) {
        streams_reply_error(conn, "admin: switched off");
    } else if (asked == ARRAY_LEN(questions)) {
        snprintf(error, sizeof error, "ws_msg: unknown \"%.*s\" (known: %s, %s)",
                 streams_message_excerpt(question), question->at, questions[0], questions[1]);
        streams_reply_error(conn, error);
    } else if (asked == STREAMS_CHANNELINFO && !endpoint_may_all(conn, GRANT_STREAMS)) {
        streams_reply_error(conn, "admin: not allowed to see all streams");
    } else if (admin->count == STREAMS_WAITING_MAX) {
        streams_reply_error(conn, "admin: too many requests wait for an answer; try again");
    } else {
        endpoint_charge(conn, STREAMS_ADMIN_COST + (unsigned)(admin->last_len / 4096));
        admin->waiting[admin->count++] =
            (struct streams_asker){.conn = conn, .question = (enum streams_question_e)asked};
        streams_admin_tick(admin, endpoint);
    }
}
