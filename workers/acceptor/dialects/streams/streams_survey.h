/* streams_survey.h — this process's part of an answer to getnumchannels() or getchannelinfo() (Hop: C2).
 *
 * The cursor (struct endpoint_cursor, all zero at the beginning):
 *
 *     a   1 + the place to go on at (streams_registry.h)
 *     b   streams: those born from here on came later and are left out, so that one that was closed and opened meanwhile
 *         is not counted twice. Connections: the serial of the one that is half told, 0 none
 *     c   connections: the hash of its last stream that was told */
#pragma once

#include "endpoint.h"
#include "streams_registry.h"

enum streams_question_e { STREAMS_NUMCHANNELS, STREAMS_CHANNELINFO };

/* As survey_rows of struct endpoint_dialect. */
bool streams_survey_rows(const struct streams_registry *registry, unsigned question,
                         struct endpoint_cursor *cursor, struct out *rows);
