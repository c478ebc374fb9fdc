/* The hash map: chains of nodes, newest first; the order of insertion in a list beside it. */
#include "base/map.h"

#include <assert.h>

static int map_grow(roam_map *map, size_t nbuckets);

void map_init(roam_map *map, roam_mem *mem, const uint64_t seed[2])
{
    *map = (roam_map){.mem = mem, .seed = {seed[0], seed[1]}};
    list_init(&map->order);
}

void map_free(roam_map *map)
{
    mem_free(map->mem, map->buckets);
    map->buckets = NULL;
    map->nbuckets = map->count = 0;
    list_init(&map->order);
}

roam_map_node *map_find(const roam_map *map, roam_span key)
{
    if (!map->count)
        return NULL;
    uint64_t hash = roam_siphash(map->seed, key);
    roam_map_node *node = map->buckets[hash & (map->nbuckets - 1)];
    while (node && !(node->hash == hash && span_eq(node->key, key)))
        node = node->chain;
    return node;
}

roam_map_node *map_next(const roam_map_node *node)
{
    roam_map_node *next = node->chain;
    while (next && !(next->hash == node->hash && span_eq(next->key, node->key)))
        next = next->chain;
    return next;
}

int map_insert(roam_map *map, roam_map_node *node, roam_span key)
{
    /* A refusal to grow costs speed only, but for the first table. */
    if (map->count >= map->nbuckets && map_grow(map, map->nbuckets ? map->nbuckets * 2 : 8) && !map->nbuckets)
        return ROAM_ENOMEM;
    node->key = key;
    node->hash = roam_siphash(map->seed, key);
    roam_map_node **bucket = &map->buckets[node->hash & (map->nbuckets - 1)];
    node->chain = *bucket;
    *bucket = node;
    list_push(&map->order, &node->order);
    map->count++;
    return ROAM_OK;
}

void map_remove(roam_map *map, roam_map_node *node)
{
    if (list_empty(&node->order))
        return;
    assert(map->nbuckets > 0);
    roam_map_node **at = &map->buckets[node->hash & (map->nbuckets - 1)];
    while (*at && *at != node)
        at = &(*at)->chain;
    assert(*at == node); /* a node of another map */
    *at = node->chain;
    map->count--;
    node->chain = NULL;
    list_remove(&node->order);
}

void map_node_init(roam_map_node *node)
{
    *node = (roam_map_node){0};
    list_init(&node->order);
}

/* Inserting again in order of insertion keeps the newest of equal keys in front. */
static int map_grow(roam_map *map, size_t nbuckets)
{
    if (nbuckets > SIZE_MAX / 2 / sizeof *map->buckets)
        return ROAM_ENOMEM;
    roam_map_node **buckets = mem_zalloc(map->mem, nbuckets * sizeof *buckets);
    if (!buckets)
        return ROAM_ENOMEM;
    list_each (node, &map->order, roam_map_node, order) {
        roam_map_node **bucket = &buckets[node->hash & (nbuckets - 1)];
        node->chain = *bucket;
        *bucket = node;
    }
    mem_free(map->mem, map->buckets);
    map->buckets = buckets;
    map->nbuckets = nbuckets;
    return ROAM_OK;
}

static uint64_t rotl(uint64_t x, int n)
{
    return (x << n) | (x >> (64 - n));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash (Aumasson, Bernstein 2012) with one round a word and three at the end. */
uint64_t roam_siphash(const uint64_t seed[2], roam_span bytes)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
                     seed[1] ^ 0x7465646279746573u};
    const uint8_t *p = (const uint8_t *)bytes.ptr;
    size_t left = bytes.len;
    for (;;) {
        uint64_t word = 0;
        size_t n = left < 8 ? left : 8;
        for (size_t i = 0; i < n; i++)
            word |= (uint64_t)p[i] << (8 * i);
        if (n < 8)
            word |= (uint64_t)(bytes.len & 0xff) << 56;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        if (n < 8)
            break;
        p += 8;
        left -= 8;
    }
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
