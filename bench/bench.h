/* What the programs of this directory share: run lengths, a clock, the figures of the others beside ours. */
#ifndef ROAM_BENCH_H
#define ROAM_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench_peer {
    const char *name;
    double instructions, ns; /* per operation; ns 0: not measured */
} bench_peer;

static inline double bench_now_ns(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One row for us, one for each peer, with the ratio to us. */
static inline void bench_print(const char *what, const char *unit, double ours, const bench_peer *peers, size_t n, double goal)
{
    printf("%s, %s\n", what, unit);
    printf("  %-16s %10.0f   (goal: below %.0f)\n", "roam", ours, goal);
    for (size_t i = 0; i < n; i++) {
        double theirs = strcmp(unit, "ns") == 0 ? peers[i].ns : peers[i].instructions;
        if (theirs > 0 && ours > 0)
            printf("  %-16s %10.0f   %5.1f times ours\n", peers[i].name, theirs, theirs / ours);
    }
}

#endif
