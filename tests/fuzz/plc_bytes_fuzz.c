/* Fuzzes both ends of the PLC's wire and the simulator's control line. First byte: which of the three. Checked beside
 * memory: the simulator decodes a stream alike however it is cut (but for a code without a fixed length, which ends with
 * its read); a reply is believed only if it is exactly two bytes; a control line that is accepted is within its bounds, and
 * one that is refused says why. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carousel_bytes.h"
#include "must.h"
#include "sim_codec.h"
#include "sim_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAM_MAX = 512 };

static size_t decode(const uint8_t *data, size_t size, size_t step, struct sim_request *requests)
{
    struct sim_decoder decoder = {0};
    size_t count = 0;
    for (size_t at = 0; at < size; at += step) {
        size_t len = step < size - at ? step : size - at;
        count += sim_decode(&decoder, data + at, len, requests + count);
        MUST(count <= at + len);
    }
    return count;
}

static bool only_known(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        if (data[at] > SIM_COMMAND_MOVE)
            return false;
        at += data[at] == SIM_COMMAND_MOVE;
    }
    return true;
}

static void try_requests(const uint8_t *data, size_t size)
{
    static struct sim_request whole[STREAM_MAX], pieces[STREAM_MAX];
    if (size > STREAM_MAX)
        return;
    size_t count = decode(data, size, STREAM_MAX, whole);
    for (size_t step = 1; step < 4; step++) {
        size_t same = decode(data, size, step, pieces);
        if (!only_known(data, size))
            continue;
        MUST(same == count);
        for (size_t i = 0; i < count; i++)
            MUST(whole[i].command == pieces[i].command && whole[i].argument == pieces[i].argument &&
                 whole[i].has_argument == pieces[i].has_argument);
    }
}

static void try_reply(const uint8_t *data, size_t size)
{
    struct carousel_reply reply = {0};
    enum carousel_reply_e result = CAROUSEL_MORE;
    size_t fed = 0;
    for (size_t at = 0; at + 1 < size && result == CAROUSEL_MORE;) {
        size_t len = data[at] % 4, left = size - at - 1;
        len = len < left ? len : left;
        result = carousel_reply_feed(&reply, data + at + 1, len);
        fed += len;
        at += 1 + len;
    }
    MUST((result == CAROUSEL_COMPLETE) == (fed == CAROUSEL_REPLY_LEN));
    MUST((result == CAROUSEL_TOO_MANY) == (fed > CAROUSEL_REPLY_LEN));
}

static void try_line(const char *line, size_t len)
{
    struct sim_command command;
    char problem[SIM_PROBLEM_MAX];
    memset(&command, 0xa5, sizeof command);
    memset(problem, 0xa5, sizeof problem);
    if (sim_command_parse(line, len, &command, problem) != ERR_OK) {
        MUST(memchr(problem, '\0', sizeof problem) != NULL && problem[0] != '\0');
        return;
    }
    MUST(len <= SIM_LINE_MAX && command.verb < SIM_VERB_COUNT);
    MUST(memchr(command.id, '\0', sizeof command.id) != NULL);
    if (command.verb == SIM_VERB_WAIT)
        MUST(command.wait < SIM_WAIT_COUNT && command.deadline_ms <= SIM_WAIT_MAX_MS);
    if (command.verb == SIM_VERB_FAULT)
        MUST(command.fault.kind < SIM_FAULT_COUNT && command.fault.garbage_len <= SIM_GARBAGE_MAX &&
             command.fault.ms <= SIM_FAULT_MAX_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        try_requests(data + 1, size - 1);
    else if (data[0] % 3 == 1)
        try_reply(data + 1, size - 1);
    else
        try_line((const char *)data + 1, size - 1);
    return 0;
}
