/* The timer heap: heap[0] is the first; a timer knows its place, so cancelling needs no search. */
#include "base/timer.h"

#include <assert.h>

static bool timer_before(const roam_timer *a, const roam_timer *b);
static void heap_put(roam_timers *timers, size_t at, roam_timer *timer);
static void heap_settle(roam_timers *timers, size_t at, roam_timer *timer);

void timers_init(roam_timers *timers, roam_mem *mem)
{
    *timers = (roam_timers){.mem = mem};
}

void timers_free(roam_timers *timers)
{
    for (size_t i = 0; i < timers->count; i++)
        timers->heap[i]->index = 0;
    mem_free(timers->mem, timers->heap);
    timers->heap = NULL;
    timers->count = timers->cap = 0;
}

int timers_reserve(roam_timers *timers, size_t more)
{
    if (more <= timers->cap - timers->count)
        return ROAM_OK;
    size_t limit = SIZE_MAX / 4 / sizeof *timers->heap;
    if (more > limit || timers->count > limit - more)
        return ROAM_ENOMEM;
    size_t cap = timers->cap ? timers->cap : 16;
    while (cap < timers->count + more)
        cap *= 2;
    roam_timer **heap = mem_realloc(timers->mem, timers->heap, cap * sizeof *heap);
    if (!heap)
        return ROAM_ENOMEM;
    timers->heap = heap;
    timers->cap = cap;
    return ROAM_OK;
}

void timer_init(roam_timer *timer, roam_timer_fn *fire, const char *name)
{
    *timer = (roam_timer){.fire = fire, .name = name};
}

int timer_arm(roam_timers *timers, roam_timer *timer, roam_time deadline)
{
    size_t at;
    if (timer->index) {
        at = timer->index - 1;
        assert(at < timers->count && timers->heap[at] == timer);
    } else {
        int err = timers_reserve(timers, 1);
        if (err)
            return err;
        at = timers->count++;
    }
    timer->deadline = deadline;
    timer->sequence = timers->sequence++;
    heap_settle(timers, at, timer);
    return ROAM_OK;
}

void timer_cancel(roam_timers *timers, roam_timer *timer)
{
    if (!timer->index)
        return;
    size_t at = timer->index - 1;
    assert(at < timers->count && timers->heap[at] == timer);
    timer->index = 0;
    roam_timer *last = timers->heap[--timers->count];
    if (last != timer)
        heap_settle(timers, at, last);
}

roam_time timers_deadline(const roam_timers *timers)
{
    return timers->count ? timers->heap[0]->deadline : ROAM_NEVER;
}

roam_timer *timers_pop_due(roam_timers *timers, roam_time now)
{
    if (!timers->count || timers->heap[0]->deadline > now)
        return NULL;
    roam_timer *timer = timers->heap[0];
    timer_cancel(timers, timer);
    return timer;
}

static bool timer_before(const roam_timer *a, const roam_timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->sequence < b->sequence;
}

static void heap_put(roam_timers *timers, size_t at, roam_timer *timer)
{
    timers->heap[at] = timer;
    timer->index = at + 1;
}

/* The hole at `at` moves up or down until `timer` fits into it. */
static void heap_settle(roam_timers *timers, size_t at, roam_timer *timer)
{
    while (at > 0 && timer_before(timer, timers->heap[(at - 1) / 2])) {
        heap_put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= timers->count)
            break;
        if (child + 1 < timers->count && timer_before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!timer_before(timers->heap[child], timer))
            break;
        heap_put(timers, at, timers->heap[child]);
        at = child;
    }
    heap_put(timers, at, timer);
}
