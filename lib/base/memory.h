/* Memory through the allocator of the configuration, and an arena for things that die together. */
#ifndef ROAM_BASE_MEMORY_H
#define ROAM_BASE_MEMORY_H

#include "base/span.h"

typedef struct roam_mem {
    roam_allocator allocator;
    size_t live; /* blocks not yet freed: a test for leaks without a tool */
    size_t refused; /* so often there was none: who had to give something up looks again later */
} roam_mem;

/* NULL means malloc and free of the C library. */
void mem_init(roam_mem *mem, const roam_allocator *allocator);
void *mem_alloc(roam_mem *mem, size_t size);               /* NULL when refused; not zeroed */
void *mem_zalloc(roam_mem *mem, size_t size);              /* zeroed */
void *mem_realloc(roam_mem *mem, void *ptr, size_t size);  /* as realloc; size > 0 */
void mem_free(roam_mem *mem, void *ptr);                   /* NULL is fine */
char *mem_strdup(roam_mem *mem, roam_span text);           /* NUL-terminated copy; NULL when refused */
#define mem_new(mem, type) ((type *)mem_zalloc((mem), sizeof(type)))

/* An arena: many small pieces, freed at once. */
typedef struct roam_arena_block roam_arena_block;
typedef struct roam_arena {
    roam_mem *mem;
    roam_arena_block *block;
    size_t used;
} roam_arena;

void arena_init(roam_arena *arena, roam_mem *mem);
void *arena_alloc(roam_arena *arena, size_t size); /* aligned for anything; NULL when refused */
roam_span arena_copy(roam_arena *arena, roam_span s, bool *ok); /* *ok becomes false when refused, else stays (sticky) */
void arena_free(roam_arena *arena);                /* everything; the arena is empty and usable again */

#endif
