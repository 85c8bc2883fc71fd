/* outcomes.h — what an agent says has become of a command, made public (Hop: R2).
 *
 *     outcome                  caller (origin)             subscribers of results
 *     RESULT, success          command_result              the same record
 *     RESULT, failed, sent     error (REFUSAL, ONLY)       command_result success:false (RESULT, origin NOT)
 *     RESULT, failed, unsent   error (REFUSAL, ONLY)       nothing
 *     COMPLETION               command_completed           the same record
 *     any of them, `repeat`    the same                    nothing: they have heard it from the first
 *
 * Published once per (agent_gen, outcome_seq) and once per command and kind, because an agent that is handed a command
 * again answers it again, under a new number; repeats are only acknowledged. A RESULT for a command that a broker has
 * answered by itself (OUTCOME_UNKNOWN, as a rule) is late: subscribers get it, the caller does not. A COMPLETION after
 * such an answer does go to the caller: it is no second result, and it resolves the doubt. Both records of a failure become visible together, so that a
 * broker killed in between has published both or none. An outcome of a command that this broker never saw (it was
 * restarted) is published all the same: everything needed travels in the message.
 */
#pragma once

#include "broker.h"

void outcomes_receive(struct broker *broker, struct peer *agent, const struct wire_message *message);
