/* Memory through the injected allocator, and arenas on top of it. The only file of lib/ that may name malloc. */
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct roam_arena_block {
    roam_arena_block *next;
    size_t size;
    max_align_t data[];
};

enum { ARENA_FIRST = 1024, ARENA_LARGEST = 65536 };

static void *libc_realloc(void *user, void *ptr, size_t size);

void mem_init(roam_mem *mem, const roam_allocator *allocator)
{
    mem->allocator = allocator ? *allocator : (roam_allocator){libc_realloc, NULL};
    mem->live = mem->refused = 0;
}

void *mem_alloc(roam_mem *mem, size_t size)
{
    /* A size of 0 would mean "free" to the allocator. */
    void *ptr = mem->allocator.realloc(mem->allocator.user, NULL, size ? size : 1);
    if (ptr)
        mem->live++;
    else
        mem->refused++;
    return ptr;
}

void *mem_zalloc(roam_mem *mem, size_t size)
{
    void *ptr = mem_alloc(mem, size);
    if (ptr && size)
        memset(ptr, 0, size);
    return ptr;
}

void *mem_realloc(roam_mem *mem, void *ptr, size_t size)
{
    if (!ptr)
        return mem_alloc(mem, size);
    void *fresh = mem->allocator.realloc(mem->allocator.user, ptr, size ? size : 1);
    if (!fresh)
        mem->refused++;
    return fresh;
}

void mem_free(roam_mem *mem, void *ptr)
{
    if (!ptr)
        return;
    assert(mem->live > 0);
    mem->live--;
    mem->allocator.realloc(mem->allocator.user, ptr, 0);
}

char *mem_strdup(roam_mem *mem, roam_span text)
{
    if (text.len == SIZE_MAX)
        return NULL;
    char *copy = mem_alloc(mem, text.len + 1);
    if (!copy)
        return NULL;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

void arena_init(roam_arena *arena, roam_mem *mem)
{
    *arena = (roam_arena){mem, NULL, 0};
}

void *arena_alloc(roam_arena *arena, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    roam_arena_block *block = arena->block;
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) / align * align;
    if (block && size <= block->size - arena->used) {
        void *ptr = (char *)block->data + arena->used;
        arena->used += size;
        return ptr;
    }
    size_t want = ARENA_FIRST;
    if (block)
        want = block->size < ARENA_LARGEST / 2 ? block->size * 2 : ARENA_LARGEST;
    /* A piece too large for the next block gets one of its own, behind the head, whose space stays in use. */
    bool own = block && size > want / 2;
    if (own || size > want)
        want = size;
    roam_arena_block *fresh = mem_alloc(arena->mem, sizeof *fresh + want);
    if (!fresh)
        return NULL;
    fresh->size = want;
    if (own) {
        fresh->next = block->next;
        block->next = fresh;
    } else {
        fresh->next = block;
        arena->block = fresh;
        arena->used = size;
    }
    return fresh->data;
}

roam_span arena_copy(roam_arena *arena, roam_span s, bool *ok)
{
    if (!s.len)
        return (roam_span){s.ptr ? "" : NULL, 0}; /* "there, but empty" stays different from "not there" */
    char *copy = arena_alloc(arena, s.len);
    if (!copy) {
        *ok = false;
        return (roam_span){NULL, 0};
    }
    memcpy(copy, s.ptr, s.len);
    return (roam_span){copy, s.len};
}

void arena_free(roam_arena *arena)
{
    while (arena->block) {
        roam_arena_block *next = arena->block->next;
        mem_free(arena->mem, arena->block);
        arena->block = next;
    }
    arena->used = 0;
}

static void *libc_realloc(void *user, void *ptr, size_t size)
{
    (void)user;
    if (size)
        return realloc(ptr, size);
    free(ptr);
    return NULL;
}
