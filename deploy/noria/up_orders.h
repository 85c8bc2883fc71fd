/* up_orders.h — what a running `noria up` can be asked for: by control.sock (launch_control.h) and by SIGHUP.
 *
 *     restart [NAME…|workers|agents|handlers]    launch_rolling.h; without a name: every process, one after the other
 *     drain NAME                                 a worker drains and is replaced
 *     reload [dry-run]                           reload.h; SIGHUP: the same, with the log for an answer
 *
 * A reload and a restart keep each other out: a successor that reads the configuration in force while another one comes into force would have
 * the wrong one. Who asks meanwhile is told to come again; a SIGHUP waits.
 */
#pragma once

#include "family.h"
#include "up_reload.h"

struct up_orders;

/* control.sock stands below the runtime directory `path` names it in. All outlive it; free it before family and reload. ERR_SYSTEM (logged),
 * ERR_MEMORY. */
enum err_e up_orders_open(struct loop *loop, struct family *family, struct up_reload *reload,
                          const char *path, struct up_orders **orders);
void up_orders_close(struct up_orders **orders);

void up_orders_hangup(struct up_orders *orders); /* SIGHUP */

uint64_t up_orders_requests(const struct up_orders *orders);
uint64_t up_orders_refused(const struct up_orders *orders); /* connections */
