/* login.c — see login.h (Hop: C1): who may try, who is let in, and what they are told. */
#include "login.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "entropy.h"
#include "login_internal.h"
#include "must.h"

#define JSON  "application/json"
#define WRONG "Credenciales inv\xc3\xa1lidas"

/* --- answers ------------------------------------------------------------------------------------------------------- */

static void answer_detail(struct http_exchange *x, unsigned status, const char *text, uint32_t retry_after_s)
{
    char memory[512];
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"detail\":");
    out_json_string(&out, text, strlen(text));
    out_char(&out, '}');
    MUST(!out.overflow);
    http_answer(x, &(struct http_response){.status = status,
                                           .type = JSON,
                                           .retry_after_s = retry_after_s,
                                           .body = out.at,
                                           .body_len = out.len});
}

void login_refuse(struct login *login, struct http_exchange *x, unsigned status, const char *text)
{
    login->counts.failed += status == 503;
    answer_detail(x, status, text, 0);
}

void login_refuse_later(struct login *login, struct http_exchange *x, uint64_t ns)
{
    (void)login;
    answer_detail(x, 429, "Demasiados intentos", (uint32_t)((ns + NS_PER_S - 1) / NS_PER_S));
}

static void refuse(void *arg, struct http_exchange *x, unsigned status, const char *text)
{
    (void)arg;
    answer_detail(x, status, text, 0);
}

static void answer_token(struct login *login, const struct login_job *job, const struct conf_user *user)
{
    char token[ACCESS_JWT_MAX + 1], memory[ACCESS_JWT_MAX + 64];
    struct http_exchange *x = job->exchange;
    enum err_e err = access_issue(login->config.access, user, token);
    if (err != ERR_OK) {
        log_error("login-token", "user=%s error=\"%s\"", user->name, err_text(err));
        login_refuse(login, x, 503, "No se puede emitir un token");
        return;
    }
    struct out out = out_init(memory, sizeof memory);
    out_literal(&out, "{\"access_token\":\"");
    out_text(&out, token);
    out_literal(&out, "\",\"token_type\":\"bearer\"}");
    MUST(!out.overflow);
    login->counts.granted++;
    http_answer(x, &(struct http_response){.status = 200, .type = JSON, .body = out.at, .body_len = out.len});
    explicit_bzero(token, sizeof token);
    explicit_bzero(memory, sizeof memory);
}

/* --- who is where -------------------------------------------------------------------------------------------------- */

void login_find_place(const char *peer, struct login_place *place)
{
    static const unsigned char one[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    unsigned char address[16];
    char host[GATE_PEER_MAX];
    bool bracket = peer[0] == '[';
    const char *begin = peer + bracket, *colon = strrchr(peer, ':');
    size_t len = colon != NULL ? (size_t)(colon - begin) - bracket : strlen(begin);
    memcpy(host, begin, len);
    host[len] = '\0';
    *place = (struct login_place){.len = 1};
    if (inet_pton(AF_INET6, host, address) == 1 && memcmp(address, mapped, sizeof mapped) == 0)
        inet_ntop(AF_INET, address + sizeof mapped, host, sizeof host);
    if (inet_pton(AF_INET, host, address) == 1) {
        *place = (struct login_place){.bytes = {4}, .len = 5, .loopback = address[0] == 127};
        memcpy(place->bytes + 1, address, 4);
    } else if (inet_pton(AF_INET6, host, address) == 1) {
        *place = (struct login_place){.bytes = {6}, .len = 9, .loopback = memcmp(address, one, 16) == 0};
        memcpy(place->bytes + 1, address, 8);
    }
}

static const struct conf_user *find_user(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->user_count; i++)
        if (strcmp(conf->users[i].name, name) == 0)
            return &conf->users[i];
    return NULL;
}

/* --- the decision -------------------------------------------------------------------------------------------------- */

static void note_refused(struct login *login, const struct login_job *job)
{
    char from[GATE_PEER_MAX];
    uint32_t suppressed;
    http_peer_name(job->exchange, from);
    if (log_limit_ok(&login->refused_limit, clock_mono_ns(login->config.clock), 10 * NS_PER_S, 5,
                     &suppressed))
        log_warn("login-refused", "peer=%s user=%s suppressed=%u", from,
                 job->user[0] != '\0' ? job->user : "(unknown)", suppressed);
}

static void note_granted(struct login *login, const struct login_job *job)
{
    char from[GATE_PEER_MAX];
    uint32_t suppressed;
    http_peer_name(job->exchange, from);
    if (log_limit_ok(&login->granted_limit, clock_mono_ns(login->config.clock), 10 * NS_PER_S, 5,
                     &suppressed))
        log_info("login", "peer=%s user=%s suppressed=%u", from, job->user, suppressed);
}

/* Who the job is for now: a reload may have come since it was asked. NULL: nobody, or not from there, or not with this password. */
static const struct conf_user *user_of(const struct login *login, const struct login_job *job)
{
    const struct conf_user *user = job->user[0] != '\0' ? find_user(login->config.conf, job->user) : NULL;
    bool same = user != NULL && strcmp(user->password, job->encoded) == 0;
    return same && (job->loopback || !user->loopback_only) ? user : NULL;
}

void login_decide(struct login_job *job)
{
    struct login *login = job->login;
    uint64_t now = clock_mono_ns(login->config.clock);
    const struct conf_user *user = user_of(login, job);
    if (!job->match || user == NULL) {
        login->counts.refused++;
        note_refused(login, job);
        answer_detail(job->exchange, 401, WRONG, 0);
        return;
    }
    login_limit_give(&login->addresses, job->address, now);
    login_limit_give(&login->names, job->name, now);
    note_granted(login, job);
    answer_token(login, job, user);
}

/* --- the request --------------------------------------------------------------------------------------------------- */

/* 0: there are tries left, and one of each was taken. */
static uint64_t take_tries(struct login *login, uint64_t address, uint64_t name)
{
    uint64_t now = clock_mono_ns(login->config.clock);
    uint64_t wait = login_limit_take(&login->addresses, address, now);
    if (wait > 0)
        return wait;
    wait = login_limit_take(&login->names, name, now);
    if (wait > 0)
        login_limit_give(&login->addresses, address, now);
    return wait;
}

static struct login_job *new_job(struct login *login, struct http_exchange *x,
                                 const struct login_asked *asked)
{
    struct login_job *job = calloc(1, sizeof *job);
    struct login_place place;
    char from[GATE_PEER_MAX];
    if (job == NULL)
        return NULL;
    const struct conf_user *user = find_user(login->config.conf, asked->name);
    const char *encoded = user != NULL ? user->password : login->nobody;
    MUST(strlen(encoded) < sizeof job->encoded);
    http_peer_name(x, from);
    login_find_place(from, &place);
    list_init(&job->link);
    job->login = login;
    job->exchange = x;
    memcpy(job->encoded, encoded, strlen(encoded));
    if (user != NULL)
        memcpy(job->user, asked->name, strlen(asked->name));
    job->loopback = place.loopback;
    job->address = login_limit_key(&login->addresses, place.bytes, place.len);
    job->name = login_limit_key(&login->names, asked->name, strlen(asked->name));
    job->secret_len = asked->secret_len;
    memcpy(job->secret, asked->secret, asked->secret_len);
    return job;
}

/* The check itself comes later. */
static void try_job(struct login *login, struct login_job *job)
{
    struct http_exchange *x = job->exchange;
    uint64_t wait = take_tries(login, job->address, job->name), now = clock_mono_ns(login->config.clock);
    if (wait == 0 && login_enqueue(login, job))
        return;
    if (wait == 0) {
        login_limit_give(&login->addresses, job->address, now);
        login_limit_give(&login->names, job->name, now);
        login->counts.full++;
        wait = NS_PER_S;
    } else {
        login->counts.limited++;
    }
    login_job_free(&job);
    login_refuse_later(login, x, wait);
}

static void on_login(void *arg, struct http_exchange *x)
{
    struct login *login = arg;
    struct login_asked asked;
    if (!login_read(login, x, &asked))
        return;
    struct login_job *job = new_job(login, x, &asked);
    explicit_bzero(&asked, sizeof asked);
    if (job == NULL)
        login_refuse(login, x, 503, "Sin memoria");
    else
        try_job(login, job);
}

/* --- begin and end ------------------------------------------------------------------------------------------------- */

/* A hash of nothing, as dear as that of the dearest user: no password has it, because it was not made of any. */
static void make_nobody(struct login *login)
{
    struct conf_argon2 dearest = {19456, 2, 1}, cost; /* as `noria hash-password` makes them */
    const struct conf *conf = login->config.conf;
    uint64_t most = 0, salt = entropy_u64();
    for (size_t i = 0; i < conf->user_count; i++) {
        MUST(conf_argon2(conf->users[i].password, &cost));
        if ((uint64_t)cost.kib * cost.passes <= most)
            continue;
        most = (uint64_t)cost.kib * cost.passes;
        dearest = cost;
    }
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";
    char random[44];
    for (size_t i = 0; i < sizeof random - 1; i++) {
        random[i] = digits[salt % 32];
        salt = i % 11 == 10 ? entropy_u64() : salt / 32;
    }
    random[42] = 'A'; /* 256 bits: the last digit has four of them */
    random[43] = '\0';
    int len = snprintf(login->nobody, sizeof login->nobody, "$argon2id$v=19$m=%u,t=%u,p=%u$%.21sA$%s",
                       dearest.kib, dearest.passes, dearest.lanes, random, random);
    MUST(len > 0 && (size_t)len < sizeof login->nobody && conf_argon2(login->nobody, &cost));
}

void login_set(struct login *login, const struct conf *conf, struct access *access)
{
    login->config.conf = conf;
    login->config.access = access;
    make_nobody(login);
}

enum err_e login_new(const struct login_config *config, struct login **out)
{
    static const struct http_route routes[] = {{HTTP_POST, "/auth/login", NULL, true, on_login}};
    struct login *login = calloc(1, sizeof *login);
    *out = login;
    if (login == NULL)
        return ERR_MEMORY;
    login->config = *config;
    login->api = (struct http_api){.prefix = "/auth",
                                   .routes = routes,
                                   .route_count = ARRAY_LEN(routes),
                                   .refuse = refuse,
                                   .arg = login};
    list_init(&login->waiting);
    login_limit_init(&login->addresses, LOGIN_BURST, LOGIN_REFILL_MS * NS_PER_MS, entropy_u64());
    login_limit_init(&login->names, LOGIN_BURST, LOGIN_REFILL_MS * NS_PER_MS, entropy_u64());
    make_nobody(login);
    if (login_make_schema(&login->schema) == ERR_OK)
        return ERR_OK;
    free(login);
    *out = NULL;
    return ERR_MEMORY;
}

void login_free(struct login **out)
{
    struct login *login = *out;
    *out = NULL;
    if (login == NULL)
        return;
    login_stop(login);
    schema_free(&login->schema);
    if (login->running == 0)
        free(login);
}

const struct http_api *login_api(const struct login *login)
{
    return &login->api;
}

const struct login_counts *login_counts(const struct login *login)
{
    return &login->counts;
}
