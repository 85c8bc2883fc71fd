/* commands.h — a client's command on its way to the machine's agent, and what the broker itself answers (Hop: C4, R2).
 *
 * What a caller gets, exactly: for each key (session, command_serial) that reached a broker at most one answer, a
 * RESULT (origin ALSO) or a REFUSAL (origin ONLY), whatever was killed or sent twice in between; then at most one
 * COMPLETION. The key of an answered command is kept (command_table.h; after a restart it is read back from the ring):
 * the command sent again is then ignored, because the answer stands in the ring for the worker to read, and an outcome
 * that comes late reaches subscribers of results but not the caller (outcomes.h).
 *
 * What the broker answers by itself, always to the caller alone (a worker's session by the ring, a tool by the bus):
 *
 *     MACHINE_NOT_FOUND   no such machine              INTERLOCK         profile unknown here, or read otherwise by
 *     INVALID_COMMAND     not 0..255, no rearm                           the agent; its state is stale
 *     CONNECTION_ERROR    no agent attached            BUSY              table full, or the agent does not read
 *     TIMEOUT             deadline passed, and never handed over
 *     MACHINE_NOT_FOUND, CONNECTION_ERROR, OUTCOME_UNKNOWN   a reload took the machine or its PLC away (broker_reload.h)
 *     OUTCOME_UNKNOWN     handed over (or sent again by a worker, so that a broker now dead may have done it), and no
 *                         word of it until deadline + reply_timeout_ms + COMMAND_GRACE_MS
 *
 * In this order: known key (nothing more is done); no such machine; no command; unknown profile; too many; deadline; agent
 * absent; interlocks. Of a command that is sent again (`resent`) the broker never says that nothing was sent: it goes to the
 * agent whatever stands against it, is held as long as there is none, and where it cannot be handed over at all (its machine is
 * not configured any more) it is OUTCOME_UNKNOWN. Command 0 only reads and COMMAND_REARM lifts a latch: neither moves anything, so
 * that profile and stale state do not concern them.
 *
 * A request (scope and request_id) that comes by another key, from whatever session, is a command like any other here:
 * only its agent knows the request's answer, and gives the same again. The refusals above are not remembered for requests, because nothing
 * was sent. While another key of the same request is handed over, the new one is taken for sent again (command_table_inherit()),
 * so that an agent which is away, or its successor, does not take it for new.
 *
 * An agent that vanishes with a command handed over is waited for, and so is the next process of its machine: whichever
 * attaches is handed the command again, with its true age and what is left of its deadline (none, if it has passed). The same process knows
 * the key. Another one is told `resent` and reads in the journal that it shares with the dead one what was done: nothing, then it
 * may still do it; written, then the next reading tells; or it cannot be known, and OUTCOME_UNKNOWN is the answer. Rejected: to hand it to
 * the same process only (as it was before there was a journal), which made each agent's death an OUTCOME_UNKNOWN.
 */
#pragma once

#include "broker.h"

/* From a worker or a tool. */
void commands_receive(struct broker *broker, struct peer *peer, const struct wire_message *message);
void commands_agent_attached(struct broker *broker, struct machine *machine);
/* All that is under way to it is answered: `code`, or OUTCOME_UNKNOWN for what was, or may have been, handed over. */
void commands_machine_ends(struct broker *broker, struct machine *machine, enum command_code_e code);
void commands_tick(struct broker *broker, uint64_t now_ns); /* deadlines */
