/* Hop: C2. See validated_queue.h. The place of token n is n modulo VALIDATED_UNDER_WAY. */
#include "validated_queue.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"

struct place {
    struct validated_text answer;
    bool answered;
};

struct deferred {
    struct deferred *next;
    struct validated_text message;
};

struct validated_queue {
    uint64_t first, next; /* tokens: the oldest that is under way or waits; that of the next message */
    size_t waiting;
    struct deferred *oldest, *newest;
    struct place places[VALIDATED_UNDER_WAY];
};

struct validated_queue *validated_queue_new(void)
{
    return calloc(1, sizeof(struct validated_queue));
}

/* NULL: no memory. */
static char *copy_of(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    if (copy != NULL && len > 0)
        memcpy(copy, text, len);
    return copy;
}

void validated_queue_free(struct validated_queue **out)
{
    struct validated_queue *queue = *out;
    if (queue == NULL)
        return;
    for (uint64_t token = queue->first; token < queue->next; token++)
        free(queue->places[token % VALIDATED_UNDER_WAY].answer.at);
    for (struct validated_text message; validated_queue_recall(queue, &message);)
        free(message.at);
    free(queue);
    *out = NULL;
}

unsigned validated_queue_under_way(const struct validated_queue *queue)
{
    return (unsigned)(queue->next - queue->first);
}

bool validated_queue_full(const struct validated_queue *queue)
{
    return queue->next - queue->first == VALIDATED_UNDER_WAY;
}

bool validated_queue_idle(const struct validated_queue *queue)
{
    return queue->next == queue->first && queue->oldest == NULL;
}

size_t validated_queue_waiting(const struct validated_queue *queue)
{
    return queue->waiting;
}

uint64_t validated_queue_begin(struct validated_queue *queue)
{
    MUST(!validated_queue_full(queue));
    queue->places[queue->next % VALIDATED_UNDER_WAY] = (struct place){.answered = false};
    return queue->next++;
}

static struct place *place_of(struct validated_queue *queue, uint64_t token)
{
    MUST(token >= queue->first && token < queue->next);
    struct place *place = &queue->places[token % VALIDATED_UNDER_WAY];
    MUST(!place->answered); /* a message is answered once */
    return place;
}

bool validated_queue_turn(struct validated_queue *queue, uint64_t token)
{
    (void)place_of(queue, token);
    if (token != queue->first)
        return false;
    queue->first++;
    return true;
}

enum err_e validated_queue_wait(struct validated_queue *queue, uint64_t token,
                                const struct validated_text *text)
{
    struct place *place = place_of(queue, token);
    if (text->len > VALIDATED_WAITING_MAX - queue->waiting)
        return ERR_FULL;
    place->answer = (struct validated_text){.len = text->len, .binary = text->binary};
    if (text->at != NULL) {
        place->answer.at = copy_of(text->at, text->len);
        if (place->answer.at == NULL)
            return ERR_MEMORY;
    }
    place->answered = true;
    queue->waiting += text->len;
    return ERR_OK;
}

bool validated_queue_next(struct validated_queue *queue, struct validated_text *text)
{
    struct place *place = &queue->places[queue->first % VALIDATED_UNDER_WAY];
    if (queue->first == queue->next || !place->answered)
        return false;
    *text = place->answer;
    place->answer.at = NULL;
    queue->waiting -= text->len;
    queue->first++;
    return true;
}

/* --- deferred ------------------------------------------------------------------------------------------------------- */

enum err_e validated_queue_defer(struct validated_queue *queue, const char *text, size_t len, bool binary)
{
    struct deferred *deferred = malloc(sizeof *deferred);
    char *copy = copy_of(text, len);
    if (deferred == NULL || copy == NULL) {
        free(deferred);
        free(copy);
        return ERR_MEMORY;
    }
    *deferred = (struct deferred){.message = {copy, len, binary}};
    if (queue->oldest == NULL)
        queue->oldest = deferred;
    else
        queue->newest->next = deferred;
    queue->newest = deferred;
    return ERR_OK;
}

bool validated_queue_recall(struct validated_queue *queue, struct validated_text *message)
{
    struct deferred *oldest = queue->oldest;
    if (oldest == NULL)
        return false;
    *message = oldest->message;
    queue->oldest = oldest->next;
    free(oldest);
    return true;
}
