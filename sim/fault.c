#include "sim/fault.h"

#include <stdio.h>

#include "testbed/link.h"

static const struct {
    const char *name, *words;
    uint32_t shortest_ms, longest_ms; /* of what is drawn */
    uint32_t most;                    /* of `more`: 0 .. most */
} kinds[SIM_FAULT_KINDS] = {
    [FAULT_BREAK] = {"break", "the address goes, another one comes after LASTS", 0, 400, 0},
    [FAULT_MAKE] = {"make", "a second network comes, the first one goes after LASTS", 20, 3000, 0},
    [FAULT_NONE] = {"offline", "no network for LASTS; then the same (MORE 0) or another one (1)", 200, 12000, 1},
    [FAULT_FLAP] = {"flap", "another network, after LASTS the first one again", 10, 1500, 0},
    [FAULT_DOUBLE] = {"double", "another network, after LASTS a third one", 10, 300, 0},
    [FAULT_HOLE] = {"hole", "all packets vanish for LASTS, nobody is told", 100, 5000, 0},
    [FAULT_SLEEP] = {"sleep", "the device sleeps for LASTS and wakes on the same (0) or another network (1)", 200, 12000, 1},
    [FAULT_NAMES] = {"names", "names are answered late by LASTS", 50, 3000, 0},
    [FAULT_REFUSE] = {"refuse", "the system refuses the next MORE sockets", 0, 0, 6},
    [FAULT_MEMORY] = {"memory", "the allocation after the next MORE is refused", 0, 0, 400},
    [FAULT_STARVE] = {"starve", "one allocation in MORE is refused for LASTS", 50, 1000, 60},
    [FAULT_LINK] = {"link", "loss, reordering, duplication, jitter for LASTS; MORE says how bad", 500, 6000, 100000},
    [FAULT_REBIND] = {"rebind", "alice's NAT (--nat) gives every mapping another port", 0, 0, 0},
    [FAULT_PEER] = {"peer", "bob's address goes, another one comes after LASTS", 0, 400, 0},
    [FAULT_RESTART] = {"restart", "the server forgets bindings, nonces and transactions; leases are a minute then", 0, 0, 0},
};

const char *fault_text(sim_fault_kind kind)
{
    return kinds[kind].name;
}

const char *fault_words(sim_fault_kind kind)
{
    return kinds[kind].words;
}

static uint32_t between(roam_random *random, uint32_t least, uint32_t most)
{
    if (most <= least)
        return least;
    /* Short ones are as likely as long ones: the exponent is drawn, too. */
    uint32_t span = most - least, bits = 1;
    while (bits < 31 && (1u << bits) < span)
        bits++;
    uint32_t top = 1u << (random_below(random, bits) + 1);
    uint32_t drawn = random_below(random, top < span ? top : span + 1);
    return least + drawn;
}

size_t faults_draw(roam_random *random, sim_fault faults[PLAN_FAULTS], uint32_t within_ms)
{
    /* The probabilities themselves are drawn: most runs have a few kinds only, and then several of them. */
    uint32_t weight[SIM_FAULT_KINDS], total = 0;
    for (unsigned kind = 0; kind < SIM_FAULT_KINDS; kind++) {
        bool moves = kind <= FAULT_DOUBLE;
        weight[kind] = random_below(random, 100) < (moves ? 60u : kind == FAULT_RESTART ? 3u : 15u) ? 1 + random_below(random, 10) : 0;
        total += weight[kind];
    }
    size_t n = 1 + random_below(random, random_below(random, 4) + 1);
    if (total == 0)
        weight[FAULT_BREAK] = total = 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t pick = random_below(random, total);
        unsigned kind = 0;
        while (pick >= weight[kind])
            pick -= weight[kind++];
        size_t at = i;
        faults_add(random, (sim_fault_kind)kind, within_ms, faults, &at);
    }
    return n;
}

void faults_add(roam_random *random, sim_fault_kind kind, uint32_t within_ms, sim_fault faults[PLAN_FAULTS], size_t *n)
{
    if (*n == PLAN_FAULTS)
        return;
    sim_fault *f = &faults[(*n)++];
    *f = (sim_fault){.kind = kind, .at = random_below(random, within_ms)};
    f->lasts_ms = between(random, kinds[kind].shortest_ms, kinds[kind].longest_ms);
    f->more = kinds[kind].most ? random_below(random, kinds[kind].most + 1) : 0;
}

void faults_print(const sim_fault *faults, size_t n, char text[FAULTS_TEXT_MAX])
{
    size_t len = 0;
    if (n == 0)
        snprintf(text, FAULTS_TEXT_MAX, "no");
    for (size_t i = 0; i < n && len < FAULTS_TEXT_MAX; i++) {
        const sim_fault *f = &faults[i];
        int wrote = snprintf(text + len, FAULTS_TEXT_MAX - len, "%s%s@%s%u", i ? "," : "", kinds[f->kind].name, f->by_step ? "#" : "", f->at);
        if (wrote > 0)
            len += (size_t)wrote;
        if (f->lasts_ms && len < FAULTS_TEXT_MAX && (wrote = snprintf(text + len, FAULTS_TEXT_MAX - len, "/%u", f->lasts_ms)) > 0)
            len += (size_t)wrote;
        if (f->more && len < FAULTS_TEXT_MAX && (wrote = snprintf(text + len, FAULTS_TEXT_MAX - len, ":%u", f->more)) > 0)
            len += (size_t)wrote;
    }
}

bool faults_parse(const char *text, sim_fault faults[PLAN_FAULTS], size_t *n)
{
    *n = 0;
    if (strcmp(text, "no") == 0)
        return true;
    roam_span rest = span_of(text);
    while (rest.len) {
        roam_span one = span_cut(rest, ',', &rest), more, lasts, at, name;
        sim_fault f = {0};
        if (*n == PLAN_FAULTS)
            return false;
        one = span_cut(one, ':', &more);
        one = span_cut(one, '/', &lasts);
        name = span_cut(one, '@', &at);
        unsigned kind = 0;
        while (kind < SIM_FAULT_KINDS && !span_eq(name, span_of(kinds[kind].name)))
            kind++;
        f.kind = (sim_fault_kind)kind;
        if (at.len && at.ptr[0] == '#') {
            f.by_step = true;
            at = span_make(at.ptr + 1, at.len - 1);
        }
        if (kind == SIM_FAULT_KINDS || !span_u32(at, &f.at) || (lasts.len && !span_u32(lasts, &f.lasts_ms)) || (more.len && !span_u32(more, &f.more)))
            return false;
        faults[(*n)++] = f;
    }
    return *n > 0;
}

void fault_link(uint32_t more, roam_time delay, roam_link_config *config)
{
    uint8_t seed[32] = {0};
    roam_random random;
    memcpy(seed, &more, sizeof more);
    random_init(&random, seed);
    *config = (roam_link_config){.delay = delay};
    if (random_below(&random, 2))
        config->loss_ppm = random_below(&random, 300000);
    if (random_below(&random, 2)) {
        config->reorder_ppm = random_below(&random, 200000);
        config->reorder_delay = ROAM_MS(1 + random_below(&random, 200));
    }
    if (random_below(&random, 2))
        config->duplicate_ppm = random_below(&random, 300000);
    if (random_below(&random, 2))
        config->jitter = ROAM_MS(random_below(&random, 80));
    if (random_below(&random, 4) == 0)
        config->bandwidth = 150000 + random_below(&random, 1000000);
}
