/* login_check.c — passwords are checked in threads: a few at once, a short queue, in the order in which they came (login.h, Hop: C1). */
#include <stdlib.h>
#include <string.h>

#include <argon2.h>

#include "login_internal.h"
#include "must.h"

static void run_next(struct login *login);

void login_job_free(struct login_job **job)
{
    if (*job != NULL)
        explicit_bzero((*job)->secret, sizeof(*job)->secret);
    free(*job);
    *job = NULL;
}

/* In a thread: sees nothing but its job, whose texts do not change. */
static void check(uv_work_t *work)
{
    struct login_job *job = work->data;
    job->match = argon2id_verify(job->encoded, job->secret, job->secret_len) == ARGON2_OK;
    explicit_bzero(job->secret, sizeof job->secret);
}

static void on_checked(uv_work_t *work, int status)
{
    struct login_job *job = work->data;
    struct login *login = job->login;
    login->running--;
    job->match = job->match && status == 0;
    if (login->dying) {
        login_job_free(&job);
        if (login->running == 0)
            free(login);
        return;
    }
    login->counts.checking = login->running;
    if (job->exchange != NULL)
        login_decide(job);
    login_job_free(&job);
    run_next(login);
}

/* The client has gone: what runs in a thread runs on, for nobody. */
static void on_cancel(void *state)
{
    struct login_job *job = state;
    job->exchange = NULL;
    if (list_empty(&job->link))
        return;
    list_remove(&job->link);
    job->login->counts.waiting--;
    login_job_free(&job);
}

static void run(struct login *login, struct login_job *job)
{
    list_remove(&job->link);
    list_init(&job->link);
    job->work.data = job;
    MUST(uv_queue_work(login->config.loop, &job->work, check, on_checked) ==
         0); /* it fails without a function only */
    login->counts.checking = ++login->running;
}

static void run_next(struct login *login)
{
    while (login->running < LOGIN_AT_ONCE && !list_empty(&login->waiting)) {
        struct login_job *job = LIST_ENTRY(login->waiting.next, struct login_job, link);
        login->counts.waiting--;
        run(login, job);
    }
}

/* Longer than whatever the queue before it may take. */
#define WAIT_MS 60000u

bool login_enqueue(struct login *login, struct login_job *job)
{
    if (login->running >= LOGIN_AT_ONCE && login->counts.waiting >= LOGIN_QUEUE_MAX)
        return false;
    http_wait(job->exchange, on_cancel, job, WAIT_MS);
    list_append(&login->waiting, &job->link);
    login->counts.waiting++;
    run_next(login);
    return true;
}

void login_stop(struct login *login)
{
    while (!list_empty(&login->waiting)) {
        struct login_job *job = LIST_ENTRY(login->waiting.next, struct login_job, link);
        list_remove(&job->link);
        login_job_free(&job);
    }
    login->dying = true;
}
