/* commands.h — a client's command on its way to the machine's agent, and what the broker itself answers (Hop: C4, R2).
 *
 * What a caller gets, exactly: for each key (session, command_serial) that reached a broker at most one answer, a
 * RESULT (origin ALSO) or a REFUSAL (origin ONLY), whatever was killed or sent twice in between; then at most one
 * COMPLETION. The key of an answered command is kept (command_table.h; after a restart it is read back from the ring):
 * the command sent again is then ignored, because the answer stands in the ring for the worker to read, and an outcome
 * that comes late reaches subscribers of results but not the caller (outcomes.h).
 *
 * What the broker answers by itself, always to the caller alone:
 *
 *     MACHINE_NOT_FOUND   no such machine              INTERLOCK         profile unknown here, or read otherwise by
 *     INVALID_COMMAND     not 0..255                                     the agent (command 0 only reads: let through)
 *     CONNECTION_ERROR    no agent attached            BUSY              table full, or the agent does not read
 *     TIMEOUT             deadline passed, and never handed over
 *     OUTCOME_UNKNOWN     handed over (or sent again by a worker, so that a broker now dead may have done it), and no
 *                         word of it until deadline + reply_timeout_ms + COMMAND_GRACE_MS
 *
 * A request (scope and request_id) that comes by another key, from whatever session, is a command like any other here:
 * only its agent knows the request's answer, and gives the same again. The refusals above are not remembered for requests, because nothing
 * was sent. While another key of the same request is handed over, the new one is taken for sent again (command_table_inherit()),
 * so that an agent which is away, or another process, cannot make a second move of it.
 *
 * While an agent may still come back (BROKER_HOLD_NS after READY; until it is given up, for a command sent again) the
 * command is held instead of answered CONNECTION_ERROR. An agent that vanishes with a command handed over is waited for; if the same
 * process comes back it is handed the command again, because it knows the key. Another process is not: it might move
 * the machine a second time.
 */
#pragma once

#include "broker.h"

void commands_receive(struct broker *broker, struct peer *worker, const struct wire_message *message);
void commands_agent_attached(struct broker *broker, struct machine *machine);
void commands_tick(struct broker *broker, uint64_t now_ns); /* deadlines */
