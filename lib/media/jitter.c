/* The jitter buffer. Positions are timestamps of the RTP clock, lengths are samples. */
#include "media/jitter.h"

#include <assert.h>

enum {
    EMPTY_AFTER_MS = 100,   /* made up in a row while nothing waits: then the next packet begins anew */
    EXPECT_MS = 1000,       /* so long after the last packet a missing frame is called concealed, then silence */
    JUMP_MS = 2000,         /* a hole longer than that is no loss */
    WINDOW_MS = 2000,       /* margins are judged over one to two of these */
    SAFE_MS = 10,           /* the earliest a packet should be before it is needed */
    TIGHT_MS = 5,           /* less than that: the delay grows */
    SHIFT_FRAMES = 5,       /* between two changes of the delay */
    LATE_RUN = 10,          /* late packets in a row that mean another time scale */
    LONGEST_PACKET_MS = 200,
    SPARE_SIZE = 256        /* smallest space for a payload */
};

typedef struct roam_jitter_packet {
    roam_list node;
    uint32_t timestamp;
    size_t len, cap;
    uint8_t bytes[];
} roam_jitter_packet;

static void jitter_set_state(roam_jitter *j, roam_jitter_state state, const char *why);
static const char *state_text(roam_jitter_state state);
static roam_jitter_packet *packet_take(roam_jitter *j, size_t len);
static void packet_give(roam_jitter *j, roam_jitter_packet *p);
static roam_jitter_packet *packet_first(const roam_jitter *j);
static void margins_clear(roam_jitter *j);
static void margins_note(roam_jitter *j, roam_time now, int32_t margin);
static void margins_moved(roam_jitter *j, int32_t samples);
static bool margins_known(const roam_jitter *j, int32_t *min, int32_t *max);
static int32_t packet_margin(const roam_jitter *j, roam_time now, uint32_t timestamp);
static void start_playing(roam_jitter *j);
static size_t gather(roam_jitter *j, size_t want);
static bool fill_hole(roam_jitter *j, roam_frame_kind *kind);
static void stage_made(roam_jitter *j, size_t n, bool quick);
static void stage_consume(roam_jitter *j, size_t n);
static roam_frame_kind play_nothing(roam_jitter *j, roam_time now, int16_t *out);
static void bound_delay(roam_jitter *j);
static ptrdiff_t choose_shift(roam_jitter *j);

static size_t samples_of_ms(const roam_jitter *j, uint32_t ms)
{
    return (size_t)((uint64_t)j->config.codec->rate * ms / 1000);
}

static uint32_t units_of(const roam_jitter *j, size_t samples)
{
    return (uint32_t)((uint64_t)samples * j->config.codec->clock / j->config.codec->rate);
}

static int64_t samples_of(const roam_jitter *j, int32_t units)
{
    return (int64_t)units * j->config.codec->rate / j->config.codec->clock;
}

static size_t past(const roam_jitter *j)
{
    return CONCEAL_PAST(j->config.codec->rate);
}

roam_jitter *jitter_new(roam_mem *mem, const roam_jitter_config *config)
{
    const roam_codec *codec = config->codec;
    assert(codec->rate <= CONCEAL_MAX_RATE && codec->rate % codec->clock == 0);
    size_t frame = (size_t)codec->rate * config->ptime_ms / 1000;
    size_t cap = CONCEAL_PAST(codec->rate) + 2 * frame + CONCEAL_MAX_PERIOD(codec->rate) + (size_t)codec->rate * LONGEST_PACKET_MS / 1000;
    roam_jitter *j = mem_zalloc(mem, sizeof *j + cap * sizeof *j->stage);
    if (!j)
        return NULL;
    if (codec->state_size && !(j->decoder = mem_zalloc(mem, codec->state_size))) {
        mem_free(mem, j);
        return NULL;
    }
    j->mem = mem;
    j->config = *config;
    j->frame = frame;
    j->stage_cap = cap;
    j->packet_units = units_of(j, frame);
    list_init(&j->packets);
    list_init(&j->spare);
    conceal_init(&j->conceal, codec->rate);
    margins_clear(j);
    return j;
}

void jitter_free(roam_jitter *j)
{
    if (!j)
        return;
    list_each (p, &j->packets, roam_jitter_packet, node)
        mem_free(j->mem, p);
    list_each (p, &j->spare, roam_jitter_packet, node)
        mem_free(j->mem, p);
    mem_free(j->mem, j->decoder);
    mem_free(j->mem, j);
}

void jitter_reset(roam_jitter *j, const char *why)
{
    while (!list_empty(&j->packets))
        packet_give(j, packet_first(j));
    j->staged = 0;
    j->waited = 0;
    j->quiet = false;
    if (j->state != JITTER_EMPTY)
        jitter_set_state(j, JITTER_EMPTY, why);
}

int jitter_put(roam_jitter *j, roam_time now, uint32_t timestamp, roam_span payload)
{
    if (payload.len == 0)
        return ROAM_ESYNTAX;
    if (j->state == JITTER_FILLING) {
        int64_t apart = samples_of(j, (int32_t)(timestamp - j->newest));
        if (apart > (int64_t)samples_of_ms(j, JUMP_MS) || -apart > (int64_t)samples_of_ms(j, JUMP_MS))
            jitter_reset(j, "timestamps jumped");
    }
    if (j->state == JITTER_PLAYING) {
        int32_t ahead = (int32_t)(timestamp - j->next);
        if (samples_of(j, ahead) > (int64_t)(samples_of_ms(j, JUMP_MS) + j->waited)) {
            jitter_reset(j, "timestamps jumped forward");
        } else {
            int32_t margin = packet_margin(j, now, timestamp);
            margins_note(j, now, margin);
            if (ahead + (int64_t)j->packet_units <= 0) {
                j->late++;
                j->late_run++;
                if (j->late_run < LATE_RUN) {
                    if (margin < 0 && (size_t)-margin > j->grow)
                        j->grow = (size_t)-margin;
                    return ROAM_ETIMEOUT;
                }
                jitter_reset(j, "timestamps jumped back");
            }
        }
        j->late_run = 0;
    }
    if (j->npackets >= JITTER_MAX_PACKETS) {
        /* The oldest goes: what is new is nearer to now. */
        packet_give(j, packet_first(j));
        j->discarded++;
    }
    roam_jitter_packet *p = packet_take(j, payload.len);
    if (!p) {
        j->discarded++;
        return ROAM_ENOMEM;
    }
    p->timestamp = timestamp;
    p->len = payload.len;
    memcpy(p->bytes, payload.ptr, payload.len);
    if (j->state == JITTER_EMPTY) {
        margins_clear(j);
        j->newest = timestamp;
        j->grow = 0;
        j->late_run = 0;
        j->fill_until = now + ROAM_MS(j->config.min_ms);
        jitter_set_state(j, JITTER_FILLING, "packet");
    }
    j->last_packet = now;
    if ((int32_t)(timestamp - j->newest) > 0)
        j->newest = timestamp;
    roam_list *after = j->packets.prev;
    while (after != &j->packets && (int32_t)(container_of(after, roam_jitter_packet, node)->timestamp - timestamp) > 0)
        after = after->prev;
    list_push(after->next, &p->node); /* before its follower */
    j->npackets++;
    return ROAM_OK;
}

void jitter_quiet(roam_jitter *j, uint32_t timestamp, uint32_t units)
{
    if (j->quiet && timestamp == j->quiet_from) {
        if ((int32_t)(timestamp + units - j->quiet_until) > 0)
            j->quiet_until = timestamp + units;
        return;
    }
    j->quiet = true;
    j->quiet_from = timestamp;
    j->quiet_until = timestamp + units;
}

roam_frame_kind jitter_play(roam_jitter *j, roam_time now, int16_t *out)
{
    j->tick = now;
    if (j->state == JITTER_FILLING) {
        int64_t there = samples_of(j, (int32_t)(j->newest - packet_first(j)->timestamp + j->packet_units));
        if (now >= j->fill_until || there >= (int64_t)samples_of_ms(j, j->config.min_ms))
            start_playing(j);
    }
    if (j->state != JITTER_PLAYING)
        return play_nothing(j, now, out);

    bound_delay(j);
    ptrdiff_t shift = choose_shift(j);
    roam_frame_kind kind = FRAME_PLAYED;
    const int16_t *from = j->stage + past(j);
    j->since_shift++;
    if (shift && gather(j, shift > 0 ? j->frame + (size_t)shift : j->frame) >= (shift > 0 ? j->frame + (size_t)shift : j->frame)) {
        conceal_shift(from, shift, out, j->frame);
        stage_consume(j, (size_t)((ptrdiff_t)j->frame + shift));
        margins_moved(j, -(int32_t)shift);
        if (shift < 0)
            j->grow -= (size_t)-shift < j->grow ? (size_t)-shift : j->grow;
        j->since_shift = 0;
        return kind;
    }
    while (gather(j, j->frame) < j->frame)
        if (!fill_hole(j, &kind))
            break;
    memcpy(out, from, j->frame * sizeof *out);
    stage_consume(j, j->frame);
    if (j->waited >= samples_of_ms(j, EMPTY_AFTER_MS))
        jitter_set_state(j, JITTER_EMPTY, "nothing came");
    return kind;
}

uint32_t jitter_delay_ms(const roam_jitter *j)
{
    int32_t min, max;
    if (j->state != JITTER_PLAYING || !margins_known(j, &min, &max) || max < 0)
        return 0;
    return (uint32_t)max * 1000u / j->config.codec->rate;
}

/* ---- the frame ---- */

static void start_playing(roam_jitter *j)
{
    j->next = packet_first(j)->timestamp;
    j->staged = 0;
    j->waited = 0;
    j->since_shift = 0;
    jitter_set_state(j, JITTER_PLAYING, "filled");
}

/* Decodes what follows without a hole, until `want` samples are staged. Returns how many are. */
static size_t gather(roam_jitter *j, size_t want)
{
    while (j->staged < want) {
        roam_jitter_packet *p = packet_first(j);
        if (!p)
            break;
        int32_t ahead = (int32_t)(p->timestamp - j->next);
        if (ahead > 0 && j->waited) {
            /* A part of this hole has been waited for already. */
            int64_t hole = samples_of(j, ahead);
            size_t credit = (int64_t)j->waited < hole ? j->waited : (size_t)hole;
            j->next += units_of(j, credit);
            margins_moved(j, (int32_t)(j->waited - credit)); /* the rest has made the delay longer */
            j->waited = 0;
            continue;
        }
        if (ahead > 0)
            break;
        int16_t *to = j->stage + past(j) + j->staged;
        size_t room = j->stage_cap - past(j) - j->staged;
        int n = j->config.codec->decode(j->decoder, p->bytes, p->len, to, room);
        packet_give(j, p);
        if (n <= 0) {
            j->discarded++;
            continue;
        }
        size_t samples = (size_t)n;
        j->packet_units = units_of(j, samples);
        if (ahead < 0) { /* overlaps with what was played */
            size_t skip = (size_t)-samples_of(j, ahead);
            if (skip >= samples) {
                j->late++;
                continue;
            }
            samples -= skip;
            memmove(to, to + skip, samples * sizeof *to);
        }
        conceal_return(&j->conceal, to, samples);
        if (j->waited) {
            margins_moved(j, (int32_t)j->waited);
            j->waited = 0;
        }
        j->staged += samples;
        j->next += units_of(j, samples);
    }
    return j->staged;
}

/* The frame is not full and nothing follows at once: makes up the hole, or a part of it. False: the frame is full now. */
static bool fill_hole(roam_jitter *j, roam_frame_kind *kind)
{
    size_t missing = j->frame - j->staged;
    const roam_jitter_packet *p = packet_first(j);
    int64_t hole = p ? samples_of(j, (int32_t)(p->timestamp - j->next)) : INT32_MAX;
    if (hole == 0) /* less than a sample */
        hole = 1;
    if (j->quiet && (int32_t)(j->next - j->quiet_from) >= 0 && (int32_t)(j->quiet_until - j->next) > 0) {
        int64_t quiet = samples_of(j, (int32_t)(j->quiet_until - j->next));
        if (quiet < hole)
            hole = quiet > 0 ? quiet : 1;
        if ((int64_t)missing > hole)
            missing = (size_t)hole;
        stage_made(j, missing, true);
        j->next += units_of(j, missing);
        if (*kind == FRAME_PLAYED)
            *kind = FRAME_SILENCE;
        return j->staged < j->frame;
    }
    *kind = FRAME_CONCEALED;
    if (!p) {
        stage_made(j, missing, false);
        j->waited += missing;
        return false;
    }
    if ((int64_t)missing > hole)
        missing = (size_t)hole;
    stage_made(j, missing, false);
    j->next += units_of(j, missing);
    return j->staged < j->frame;
}

static void stage_made(roam_jitter *j, size_t n, bool quick)
{
    int16_t *to = j->stage + past(j) + j->staged;
    if (quick || !j->config.codec->conceal || j->config.codec->conceal(j->decoder, to, n) != (int)n)
        conceal_make(&j->conceal, to, to, n, quick);
    j->staged += n;
}

static void stage_consume(roam_jitter *j, size_t n)
{
    j->staged -= n;
    memmove(j->stage, j->stage + n, (past(j) + j->staged) * sizeof *j->stage);
}

/* Nothing to play from. The tail of what was lost fades out; then there is silence. */
static roam_frame_kind play_nothing(roam_jitter *j, roam_time now, int16_t *out)
{
    j->staged = 0;
    stage_made(j, j->frame, false);
    memcpy(out, j->stage + past(j), j->frame * sizeof *out);
    stage_consume(j, j->frame);
    return now < j->expect_until ? FRAME_CONCEALED : FRAME_SILENCE;
}

/* ---- the delay ---- */

/* More than the budget waits: the oldest goes at once. */
static void bound_delay(roam_jitter *j)
{
    const roam_jitter_packet *p = packet_first(j);
    if (!p)
        return;
    int64_t waiting = (int64_t)j->staged + samples_of(j, (int32_t)(j->newest - j->next + j->packet_units));
    const int64_t budget = (int64_t)(samples_of_ms(j, j->config.max_ms) + j->frame);
    if (waiting <= budget)
        return;
    uint32_t from = j->next;
    while ((p = packet_first(j)) && waiting > budget) {
        int32_t step = (int32_t)(p->timestamp + j->packet_units - j->next);
        if (step > 0) {
            waiting -= samples_of(j, step);
            j->next += (uint32_t)step;
        }
        packet_give(j, packet_first(j));
        j->discarded++;
    }
    margins_moved(j, -(int32_t)samples_of(j, (int32_t)(j->next - from)));
    trace_note(j->config.trace, "jitter", j->config.id, "more waits than the budget allows: dropped");
    /* What follows does not continue what was played: blended as after a loss. */
    if (j->conceal.made == 0) {
        int16_t one;
        conceal_make(&j->conceal, j->stage + past(j) + j->staged, &one, 1, false);
    }
}

/* How far the delay moves in this frame: samples to leave out (positive) or to play twice. */
static ptrdiff_t choose_shift(roam_jitter *j)
{
    int32_t min, max;
    if (j->since_shift < SHIFT_FRAMES || j->conceal.made || list_empty(&j->packets) || j->frame <= CONCEAL_MAX_PERIOD(j->config.codec->rate))
        return 0;
    const bool known = margins_known(j, &min, &max);
    const int32_t safe = (int32_t)samples_of_ms(j, SAFE_MS);
    const int32_t least = (int32_t)samples_of_ms(j, j->config.min_ms);
    const int32_t most = (int32_t)samples_of_ms(j, j->config.max_ms);
    const int32_t period_max = (int32_t)CONCEAL_MAX_PERIOD(j->config.codec->rate);
    const bool shrink = known && min - period_max > safe && max - period_max > least;
    const bool grow = !shrink && known && (j->grow || min < (int32_t)samples_of_ms(j, TIGHT_MS)) && max + period_max < most;
    if (!grow)
        j->grow = 0; /* no room for it */
    if (!shrink && !grow)
        return 0;
    if (gather(j, j->frame) < j->frame)
        return 0;
    /* The pitch of what is about to be played. */
    size_t period = conceal_period(j->stage + past(j) + j->frame, j->config.codec->rate);
    return shrink ? (ptrdiff_t)period : -(ptrdiff_t)period;
}

/* How long before its frame is played a packet came, in samples; negative: too late. What has been waited counts as if it had been played: gather()
 * moves the margins when it turns out that the delay has grown instead. */
static int32_t packet_margin(const roam_jitter *j, roam_time now, uint32_t timestamp)
{
    int64_t before = samples_of(j, (int32_t)(timestamp - j->next)) + (int64_t)j->staged - (int64_t)j->waited;
    const int64_t frame = (int64_t)j->frame;
    int64_t frames = before >= 0 ? before / frame : -((-before + frame - 1) / frame);
    roam_time due = j->tick + ROAM_MS(j->config.ptime_ms);
    int64_t until = now < due ? (int64_t)((due - now) * j->config.codec->rate / 1000000u) : 0;
    int64_t margin = until + frames * frame;
    return margin > INT32_MAX ? INT32_MAX : margin < INT32_MIN / 2 ? INT32_MIN / 2 : (int32_t)margin;
}

static void margins_clear(roam_jitter *j)
{
    for (size_t i = 0; i < 2; i++)
        j->window[i] = (roam_margins){INT32_MAX, INT32_MIN, 0};
    j->window_end = 0;
}

static void margins_note(roam_jitter *j, roam_time now, int32_t margin)
{
    if (j->window_end == 0) {
        j->window_end = now + ROAM_MS(WINDOW_MS);
    } else if (now >= j->window_end) {
        j->window[1] = j->window[0];
        j->window[0] = (roam_margins){INT32_MAX, INT32_MIN, 0};
        j->window_end = now + ROAM_MS(WINDOW_MS);
    }
    roam_margins *w = &j->window[0];
    w->min = margin < w->min ? margin : w->min;
    w->max = margin > w->max ? margin : w->max;
    w->count++;
}

static void margins_moved(roam_jitter *j, int32_t samples)
{
    for (size_t i = 0; i < 2; i++) {
        if (j->window[i].count) {
            j->window[i].min += samples;
            j->window[i].max += samples;
        }
    }
}

static bool margins_known(const roam_jitter *j, int32_t *min, int32_t *max)
{
    const roam_margins *a = &j->window[0], *b = &j->window[1];
    if (!b->count)
        return false;
    *min = a->count && a->min < b->min ? a->min : b->min;
    *max = a->count && a->max > b->max ? a->max : b->max;
    return true;
}

/* ---- packets ---- */

static roam_jitter_packet *packet_first(const roam_jitter *j)
{
    return list_empty(&j->packets) ? NULL : container_of(j->packets.next, roam_jitter_packet, node);
}

static roam_jitter_packet *packet_take(roam_jitter *j, size_t len)
{
    if (!list_empty(&j->spare)) {
        roam_jitter_packet *p = container_of(j->spare.next, roam_jitter_packet, node);
        list_remove(&p->node);
        if (p->cap >= len)
            return p;
        mem_free(j->mem, p); /* the peer's packets have become larger */
    }
    size_t cap = (len + SPARE_SIZE - 1) / SPARE_SIZE * SPARE_SIZE;
    roam_jitter_packet *p = mem_alloc(j->mem, sizeof *p + cap);
    if (p) {
        list_init(&p->node);
        p->cap = cap;
    }
    return p;
}

static void packet_give(roam_jitter *j, roam_jitter_packet *p)
{
    list_remove(&p->node);
    j->npackets--;
    list_push(j->spare.next, &p->node); /* in front: it is warm */
}

static void jitter_set_state(roam_jitter *j, roam_jitter_state state, const char *why)
{
    switch (state) {
    case JITTER_FILLING:
        assert(j->state == JITTER_EMPTY);
        break;
    case JITTER_PLAYING:
        assert(j->state == JITTER_FILLING);
        break;
    case JITTER_EMPTY:
        assert(j->state != JITTER_EMPTY);
        if (j->state == JITTER_PLAYING)
            j->expect_until = j->last_packet + ROAM_MS(EXPECT_MS);
        break;
    }
    trace_state(j->config.trace, "jitter", j->config.id, state_text(j->state), state_text(state), why);
    j->state = state;
}

static const char *state_text(roam_jitter_state state)
{
    static const char *const texts[] = {"empty", "filling", "playing"};
    return texts[state];
}
