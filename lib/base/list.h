/* An intrusive doubly linked list. A node that is in no list points to itself, so removing twice is harmless. */
#ifndef ROAM_BASE_LIST_H
#define ROAM_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct roam_list {
    struct roam_list *next, *prev;
} roam_list;

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(roam_list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const roam_list *l)
{
    return l->next == l;
}

static inline void list_push(roam_list *list, roam_list *node) /* at the end */
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void list_remove(roam_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline roam_list *list_pop(roam_list *list) /* the first, or NULL */
{
    roam_list *node = list->next;
    if (node == list)
        return NULL;
    list_remove(node);
    return node;
}

/* `var` may be removed (and freed) in the body; no other node may. */
#define list_each(var, list, type, member)                                                                              \
    for (type *var = container_of((list)->next, type, member), *var##_next;                                             \
         &var->member != (list) && ((var##_next = container_of(var->member.next, type, member)), 1); var = var##_next)

#endif
