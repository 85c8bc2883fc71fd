/* Slots are circular lists. wheel_take() looks through the slots between the last call and now, at most one whole
 * turn however long that was, and moves what is due to `expired`, from where single nodes are handed out: so a
 * callback between two calls may stop its neighbours. Rejected: a heap (O(log n) for limits that nearly never run
 * out), hierarchical wheels (every limit here is below a minute; one level passes each node over at most once). */
#include "wheel.h"

#include <stdlib.h>

#include "must.h"

enum err_e wheel_init(struct wheel *wheel, uint64_t tick_ns, size_t slots, uint64_t now_ns)
{
    MUST(tick_ns > 0 && slots > 0 && (slots & (slots - 1)) == 0);
    *wheel = (struct wheel){.mask = slots - 1, .tick_ns = tick_ns, .next_tick = now_ns / tick_ns + 1};
    wheel->slots = malloc(slots * sizeof *wheel->slots);
    if (wheel->slots == NULL)
        return ERR_MEMORY;
    for (size_t i = 0; i < slots; i++)
        list_init(&wheel->slots[i]);
    list_init(&wheel->expired);
    return ERR_OK;
}

void wheel_fini(struct wheel *wheel)
{
    free(wheel->slots);
    *wheel = (struct wheel){0};
}

void wheel_node_init(struct wheel_node *node)
{
    list_init(&node->link);
    node->due_tick = 0;
}

bool wheel_node_started(const struct wheel_node *node)
{
    return !list_empty(&node->link);
}

void wheel_stop(struct wheel *wheel, struct wheel_node *node)
{
    if (!wheel_node_started(node))
        return;
    list_remove(&node->link);
    wheel->count--;
}

void wheel_start(struct wheel *wheel, struct wheel_node *node, uint64_t due_ns)
{
    wheel_stop(wheel, node);
    uint64_t tick = due_ns / wheel->tick_ns + (due_ns % wheel->tick_ns != 0);
    node->due_tick = tick < wheel->next_tick ? wheel->next_tick : tick;
    list_append(&wheel->slots[node->due_tick & wheel->mask], &node->link);
    wheel->count++;
}

static void collect_slot(struct wheel *wheel, struct list_node *slot, uint64_t now_tick)
{
    LIST_FOREACH (it, slot) {
        if (LIST_ENTRY(it, struct wheel_node, link)->due_tick > now_tick)
            continue;
        list_remove(it);
        list_append(&wheel->expired, it);
    }
}

static void collect(struct wheel *wheel, uint64_t now_tick)
{
    uint64_t passed = now_tick - wheel->next_tick + 1, turn = wheel->mask + 1;
    uint64_t looks = passed < turn ? passed : turn;
    for (uint64_t i = 0; i < looks; i++)
        collect_slot(wheel, &wheel->slots[(wheel->next_tick + i) & wheel->mask], now_tick);
    wheel->next_tick = now_tick + 1;
}

struct wheel_node *wheel_take(struct wheel *wheel, uint64_t now_ns)
{
    uint64_t now_tick = now_ns / wheel->tick_ns;
    if (now_tick >= wheel->next_tick)
        collect(wheel, now_tick);
    if (list_empty(&wheel->expired))
        return NULL;
    struct wheel_node *node = LIST_ENTRY(wheel->expired.next, struct wheel_node, link);
    wheel_stop(wheel, node);
    return node;
}
