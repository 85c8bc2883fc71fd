/* survey.h — one worker asks all of them (Hop: D6).
 *
 *     asker           broker            target
 *      │ SURVEY ───────▶│                 │
 *      │◀ …_WORKERS ───│                 │      who is introduced, and whether that is everybody who lives
 *      │ SURVEY_ASK ───▶│ SURVEY_ASK ────▶│
 *      │◀ …_ROWS ──────│◀── SURVEY_ROWS │      as often as it takes; the asker draws, so that nothing piles up
 *
 * The broker knows no question and keeps no state of a survey: it says who is there and passes on. So it cannot be stalled by
 * one, and when it dies the asker's own deadline ends it. Who asked and who answers is the peer's own incarnation, never what
 * the message says.
 */
#pragma once

#include "broker.h"

#define SURVEY_LOOK_NS (100 * NS_PER_MS)

void survey_begin(struct broker *broker, struct peer *asker, const struct wire_message *message);
void survey_ask(struct broker *broker, struct peer *asker, const struct wire_message *message);
void survey_rows(struct broker *broker, struct peer *target, const struct wire_message *message);

/* A worker came or went: the next survey looks again who lives. */
void survey_look_again(struct broker *broker);
