/* channels_survey.h — this worker's rows of a survey (Hop: C2).
 *
 * Questions: 0, every channel; else those whose channels_word() it is (more than one may have it). A channel is told once, with the number
 * that it has then, and its first users behind it; those born after the survey's first piece are not told, so that one which ended and began
 * anew meanwhile is not counted twice. */
#pragma once

#include "channels_registry.h"
#include "endpoint.h"

/* As endpoint_dialect.survey_rows. Any cursor is safe. */
bool channels_survey_rows(const struct channels_registry *registry, unsigned question,
                          struct endpoint_cursor *cursor, struct out *rows);
