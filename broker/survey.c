/* Hop: D6. See survey.h. Rejected: gathering all rows here, which would bound an answer by what the broker may keep of it, and make
 * the broker wait for workers. */
#include "survey.h"

#include <endian.h>

#include "slot_file.h"

_Static_assert(WIRE_WORKERS_MAX >= PEERS_WORKERS, "all of them fit the answer");

/* A look takes a system call or three per slot, so that surveys without a break would keep the broker from its work; "all" holds
 * until a worker leaves, and is looked at again after SURVEY_LOOK_NS. "Not all" is never kept. */
static bool all_introduced(struct broker *broker)
{
    uint64_t now = broker_now_ns(broker);
    if (now < broker->all_introduced_until_ns)
        return true;
    bool all = slot_files_introduced(broker);
    broker->all_introduced_until_ns = all ? now + SURVEY_LOOK_NS : 0;
    return all;
}

void survey_look_again(struct broker *broker)
{
    broker->all_introduced_until_ns = 0;
}

void survey_begin(struct broker *broker, struct peer *asker, const struct wire_message *message)
{
    uint64_t workers[PEERS_WORKERS];
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < PEERS_WORKERS; slot++)
        if (broker->peers.by_slot[slot] != NULL)
            workers[count++] = htole64(broker->peers.by_slot[slot]->incarnation);
    struct wire_message answer = {.type = WIRE_SURVEY_WORKERS,
                                  .survey_workers = {.query = message->survey.query,
                                                     .complete = all_introduced(broker),
                                                     .workers = {(const char *)workers, count * 8}}};
    broker_count(broker, BROKER_SURVEYS);
    if (!answer.survey_workers.complete)
        broker_count(broker, BROKER_SURVEYS_INCOMPLETE);
    broker_send(broker, &asker->identity, &answer);
}

/* In place of a worker that cannot be asked. */
static void nobody_there(struct broker *broker, const struct peer *asker, const struct wire_survey_ask *ask)
{
    struct wire_message answer = {.type = WIRE_SURVEY_ROWS,
                                  .survey_rows = {.query = ask->query,
                                                  .asker = asker->incarnation,
                                                  .target = ask->target,
                                                  .last = true,
                                                  .rows = wire_text("")}};
    broker_count(broker, BROKER_SURVEY_UNANSWERED);
    broker_send(broker, &asker->identity, &answer);
}

void survey_ask(struct broker *broker, struct peer *asker, const struct wire_message *message)
{
    struct wire_message ask = *message;
    struct peer *target = peers_worker(&broker->peers, ask.survey_ask.target);
    ask.survey_ask.asker = asker->incarnation;
    if (target == NULL || broker_send(broker, &target->identity, &ask) != ERR_OK)
        nobody_there(broker, asker, &ask.survey_ask);
    else
        broker_count(broker, BROKER_SURVEY_ASKS);
}

void survey_rows(struct broker *broker, struct peer *target, const struct wire_message *message)
{
    struct wire_message rows = *message;
    if (rows.survey_rows.target != target->incarnation) {
        broker_invalid(broker, message, "rows of another worker");
        return;
    }
    struct peer *asker = peers_worker(&broker->peers, rows.survey_rows.asker);
    if (asker == NULL || broker_send(broker, &asker->identity, &rows) != ERR_OK)
        broker_count(broker, BROKER_SURVEY_ROWS_LOST);
    else
        broker_count(broker, BROKER_SURVEY_ROWS);
}
