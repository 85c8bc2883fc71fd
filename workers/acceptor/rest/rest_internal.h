/* rest_internal.h — what rest's files share; private to this module. */
#pragma once

#include "caller.h"
#include "list.h"
#include "log.h"
#include "mirror.h"
#include "rest.h"
#include "rest_envelope.h"
#include "rest_text.h"

#define REST_SMALL_MAX 4096u /* bytes of an answer about one machine */

struct rest {
    struct rest_config config;
    struct http_api api;
    uint64_t next_serial;
    struct list_node waiting; /* struct rest_command */
    struct log_limit log_limit;
    struct rest_counts counts;
};

/* The machine of the path, or in single mode the machine; NULL: it was answered 404. */
const struct mirror_machine *rest_machine(struct rest *rest, struct http_exchange *exchange, bool single);

void rest_answer(struct http_exchange *exchange, unsigned status, const struct out *out);
void rest_answer_error(struct rest *rest, struct http_exchange *exchange, enum command_code_e code,
                       const char *text, const char *machine); /* text "": the code's own */

/* rest_command.c */
void rest_handle_command(void *arg, struct http_exchange *exchange);
void rest_handle_move(void *arg, struct http_exchange *exchange);
void rest_handle_rearm(void *arg, struct http_exchange *exchange);
void rest_handle_single_command(void *arg, struct http_exchange *exchange);
void rest_handle_single_rearm(void *arg, struct http_exchange *exchange);
