/* outcomes.h — what an agent says has become of a command, made public (Hop: R2).
 *
 *     outcome                  caller (origin)             subscribers of results
 *     RESULT, success          command_result              the same record
 *     RESULT, failed, sent     error (REFUSAL, ONLY)       command_result success:false (RESULT, origin NOT)
 *     RESULT, failed, unsent   error (REFUSAL, ONLY)       nothing
 *     COMPLETION               command_completed           the same record
 *     any of them, `repeat`    the same                    nothing: they have heard it from the first
 *
 *     rearm (COMMAND_REARM)    command_result or error     nothing: it moves nothing, and is its asker's business
 *     any of them, to a tool   the OUTCOME itself, by the bus, instead of what the ring has for the caller
 *
 * Published once per (agent_gen, outcome_seq), and once per key and kind, whichever process of the machine's agent says it, under whatever
 * number: one that is handed a command again answers it again, and one that follows a dead one reports what that one's
 * journal does not note as told. Repeats are only acknowledged. The key is remembered while this broker lives and read back from
 * the ring by the next one (command_table.h has the bounds). A RESULT for a command that a broker has
 * answered by itself (OUTCOME_UNKNOWN, as a rule) is late: subscribers get it, the caller does not. A COMPLETION after
 * such an answer does go to the caller: it is no second result, and it resolves the doubt. Both records of a failure become visible together, so that a
 * broker killed in between has published both or none. An outcome of a command that this broker never saw (it was
 * restarted) is published all the same: everything needed travels in the message.
 */
#pragma once

#include "broker.h"

void outcomes_receive(struct broker *broker, struct peer *agent, const struct wire_message *message);

/* The answer of a tool's command, by the bus. What is lost on its way (the tool went, or was slow for seconds) is not said
 * again: it asks anew. */
void outcomes_tell_tool(struct broker *broker, const struct peer *tool, const struct wire_outcome *outcome);
