/* list.h — intrusive, circular, doubly linked list: a state is the list an object stands in.
 *
 * A node is either linked into exactly one list or initialised to itself; list_remove() may be called in both cases.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next;
};

#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list_node *node)
{
    node->prev = node->next = node;
}

static inline bool list_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_append(struct list_node *head, struct list_node *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list_node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Removal of `it` inside the loop is allowed. */
#define LIST_FOREACH(it, head)                                                                               \
    for (struct list_node *it = (head)->next, *it##_next = it->next; it != (head);                           \
         it = it##_next, it##_next = it->next)
