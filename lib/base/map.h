/* An intrusive hash map from bytes to nodes. Buckets depend on a seeded hash (a peer chooses our keys), iteration does
 * not: it follows the order of insertion, so that the same inputs give the same outputs. */
#ifndef ROAM_BASE_MAP_H
#define ROAM_BASE_MAP_H

#include "base/list.h"
#include "base/memory.h"
#include "base/span.h"

typedef struct roam_map_node {
    struct roam_map_node *chain;
    roam_list order; /* head is roam_map.order: iterate with map_each */
    uint64_t hash;
    roam_span key; /* owned by the object that embeds the node; must not change while in the map */
} roam_map_node;

typedef struct roam_map {
    roam_mem *mem;
    roam_map_node **buckets;
    size_t nbuckets; /* a power of two, 0 before the first insertion */
    size_t count;
    uint64_t seed[2];
    roam_list order;
} roam_map;

void map_init(roam_map *map, roam_mem *mem, const uint64_t seed[2]);
void map_free(roam_map *map); /* the table only; the nodes are their owners' */
roam_map_node *map_find(const roam_map *map, roam_span key);
/* The next one with the same key, NULL: none. */
roam_map_node *map_next(const roam_map_node *node);
/* Adds; keys may repeat (map_find gives the newest). ROAM_ENOMEM when the first table is refused. */
int map_insert(roam_map *map, roam_map_node *node, roam_span key);
void map_remove(roam_map *map, roam_map_node *node); /* harmless when it is in no map (order node points to itself) */
void map_node_init(roam_map_node *node);

#define map_each(var, map, type, member) list_each(var, &(map)->order, type, member.order)

/* SipHash-1-3, for hash tables only. */
uint64_t roam_siphash(const uint64_t seed[2], roam_span bytes);

#endif
