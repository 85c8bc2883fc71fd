/* Fuzzes the carousel dialect's parser: any bytes of any client. Checked beside memory: what is accepted is within its
 * bounds, and what is refused has a code, a text, and echoes that fit. */
#include <stdint.h>
#include <string.h>

#include "carousel_message.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct carousel_message *message, bool single)
{
    MUST(message->type <= CAROUSEL_UNSUBSCRIBE);
    MUST(memchr(message->machine.text, '\0', sizeof message->machine.text) != NULL);
    if (message->type == CAROUSEL_SEND_COMMAND) {
        MUST(message->has_machine || single);
        MUST(message->argument >= -1 && message->argument <= UINT8_MAX);
        MUST(message->deadline_ms >= -1);
        MUST(memchr(message->request_id, '\0', sizeof message->request_id) != NULL);
    }
    if (message->type == CAROUSEL_SUBSCRIBE || message->type == CAROUSEL_UNSUBSCRIBE) {
        MUST(message->type == CAROUSEL_SUBSCRIBE || !message->has_since);
        MUST(memchr(message->since, '\0', sizeof message->since) != NULL);
        MUST(message->subscription <= CAROUSEL_ALL_EVENTS && message->id_count <= CAROUSEL_IDS_MAX);
        for (uint32_t i = 0; i < message->id_count; i++)
            MUST(memchr(message->ids[i].text, '\0', sizeof message->ids[i].text) != NULL);
    }
}

static void check_refused(const struct carousel_problem *problem)
{
    MUST(problem->code != CODE_NONE && problem->code < CODE_COUNT);
    MUST(problem->text[0] != '\0' ||
         problem->code == CODE_MACHINE_NOT_FOUND); /* which has a text of its own */
    MUST(memchr(problem->text, '\0', sizeof problem->text) != NULL);
    MUST(memchr(problem->machine.text, '\0', sizeof problem->machine.text) != NULL);
    MUST(memchr(problem->request_id, '\0', sizeof problem->request_id) != NULL);
}

static bool parse(const uint8_t *data, size_t size, bool single)
{
    static struct carousel_message message;
    struct carousel_problem problem;
    memset(&message, 0xa5, sizeof message);
    memset(&problem, 0xa5, sizeof problem);
    bool ok = carousel_parse((const char *)data, size, single, &message, &problem);
    if (ok)
        check_accepted(&message, single);
    else
        check_refused(&problem);
    return ok;
}

/* What is understood among several machines is understood where there is one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool several = parse(data, size, false), single = parse(data, size, true);
    MUST(single || !several);
    return 0;
}
