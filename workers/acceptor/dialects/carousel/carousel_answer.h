/* carousel_answer.h — what the dialect's answers are written with (Hop: C2): their common members, the states of
 * machines, errors. Members and order: README.md. */
#pragma once

#include <stdbool.h>

#include "bytes.h"
#include "command.h"
#include "endpoint.h"
#include "mirror.h"

#define CAROUSEL_SMALL_MAX 4096 /* bytes of an answer about one machine */

/* The machines that this client may see: another does not exist for it. By slot (NULL: none there), and by id. */
const struct mirror_machine *carousel_machine(struct endpoint_conn *conn, uint32_t slot);
const struct mirror_machine *carousel_find_machine(struct endpoint_conn *conn, const char *id, size_t len);

/* Exactly one machine is configured, and with mode: single. */
bool carousel_is_single(const struct endpoint *endpoint);

void carousel_put_text(struct out *out, const char *text);                      /* a JSON string */
void carousel_put_timestamp(struct out *out, const struct endpoint *endpoint);  /* ,"timestamp":"…" */
void carousel_put_state(struct out *out, const struct mirror_machine *machine); /* "id":{…} */
void carousel_put_all_machines(struct out *out, struct endpoint_conn *conn);    /* [{"id",…},…] */

/* Memory for an answer about many machines: the worker's one scratch. */
struct out carousel_large(struct endpoint_conn *conn);

/* Sends a finished answer; one that did not fit its memory is an error to the client instead, and false. */
bool carousel_reply(struct endpoint_conn *conn, const struct out *out);

/* `text` "": the code's own. `machine`, `request_id` "": none. */
void carousel_reply_error(struct endpoint_conn *conn, enum command_code_e code, const char *text,
                          const char *machine, const char *request_id);

/* Bytes that suffice for carousel_write_states() of these machines. */
size_t carousel_states_bound(const struct mirror_machine *const *machines, uint32_t count);

/* As `states` of struct endpoint_dialect: a status_broadcast, without "seq" for position 0. */
size_t carousel_write_states(struct endpoint *endpoint, const struct mirror_machine *const *machines,
                             uint32_t count, uint64_t position, char *payload, size_t cap);

/* {"type":"gap"}: frames that are never merged were missed. */
void carousel_reply_gap(struct endpoint_conn *conn);
