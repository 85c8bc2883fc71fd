/* login_internal.h — what login's files share; private to this module. */
#pragma once

#include <uv.h>

#include "list.h"
#include "log.h"
#include "login.h"
#include "login_limit.h"
#include "schema.h"

#define LOGIN_ENCODED_MAX  256u
#define LOGIN_NAME_BYTES   (4 * LOGIN_USERNAME_MAX + 1)
#define LOGIN_SECRET_BYTES (4 * LOGIN_PASSWORD_MAX + 1)

struct login {
    struct login_config config;
    struct http_api api;
    struct schema *schema;
    struct login_limit addresses, names;
    struct list_node waiting; /* struct login_job */
    unsigned running;
    char nobody[LOGIN_ENCODED_MAX]; /* the hash that unknown names are checked against */
    struct log_limit granted_limit, refused_limit;
    struct login_counts counts;
    bool dying; /* goes with the last that runs */
};

/* What was asked for. Wiped by who is done with it. */
struct login_asked {
    char name[LOGIN_NAME_BYTES], secret[LOGIN_SECRET_BYTES];
    size_t secret_len;
};

/* An attempt, from its queue to its answer. */
struct login_job {
    uv_work_t work;
    struct list_node link;
    struct login *login;
    struct http_exchange *exchange; /* NULL: the client has gone */
    char user[LOGIN_NAME_BYTES];    /* as asked for; "": nobody had the name */
    char encoded[LOGIN_ENCODED_MAX];
    bool loopback; /* where the client is */
    uint64_t address, name;
    size_t secret_len;
    bool match;
    char secret[LOGIN_SECRET_BYTES];
};

/* Where a client is: of IPv6 the /64, because whoever has one address there has them all. */
struct login_place {
    unsigned char bytes[9]; /* 4 or 6 and the address, or its first half; 0 unknown */
    size_t len;
    bool loopback;
};
/* "127.0.0.1:5", "[::1]:5", "unknown" (gate_peer.h). login.c */
void login_find_place(const char *peer, struct login_place *place);

/* login.c: answers. */
void login_refuse(struct login *login, struct http_exchange *x, unsigned status, const char *text);
void login_refuse_later(struct login *login, struct http_exchange *x, uint64_t ns);
void login_decide(struct login_job *job);

/* login_request.c: reads the body, and wipes it. False: it was answered. */
bool login_read(struct login *login, struct http_exchange *x, struct login_asked *asked);
enum err_e login_make_schema(struct schema **schema);

/* login_check.c: the queue. False: it is full. Takes the job. */
bool login_enqueue(struct login *login, struct login_job *job);
void login_job_free(struct login_job **job);
void login_stop(struct login *login); /* what waits goes, what runs is told */
