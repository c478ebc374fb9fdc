/* Timers: a binary heap ordered by (deadline, sequence of arming), so equal deadlines fire in the order they were armed. */
#ifndef ROAM_BASE_TIMER_H
#define ROAM_BASE_TIMER_H

#include "base/memory.h"

typedef struct roam_timer roam_timer;
typedef void roam_timer_fn(roam_timer *timer); /* use container_of to reach the owner */

struct roam_timer {
    roam_time deadline;
    uint64_t sequence;
    size_t index; /* place in the heap + 1; 0: not armed */
    roam_timer_fn *fire;
    const char *name; /* of a protocol event: "Timer B", "refresh", for the trace */
};

typedef struct roam_timers {
    roam_mem *mem;
    roam_timer **heap;
    size_t count, cap;
    uint64_t sequence;
} roam_timers;

void timers_init(roam_timers *timers, roam_mem *mem);
void timers_free(roam_timers *timers);
void timer_init(roam_timer *timer, roam_timer_fn *fire, const char *name);
/* Makes room for `more` timers beyond those armed now; ROAM_ENOMEM leaves everything as it was. */
int timers_reserve(roam_timers *timers, size_t more);
/* Arms, or re-arms (which cannot fail). Space is reserved by timers_reserve, so arming cannot fail after it. */
int timer_arm(roam_timers *timers, roam_timer *timer, roam_time deadline);
void timer_cancel(roam_timers *timers, roam_timer *timer); /* harmless when not armed */
static inline bool timer_armed(const roam_timer *timer)
{
    return timer->index != 0;
}
roam_time timers_deadline(const roam_timers *timers); /* ROAM_NEVER when empty */
/* Removes and returns the first timer due at `now`, or NULL. The caller fires it. */
roam_timer *timers_pop_due(roam_timers *timers, roam_time now);

#endif
