/* The jitter buffer: packets in, one frame out every packet time, whatever the network did.
 *
 * Packets wait in the order of their timestamps. Playing follows the timestamps: a hole with packets behind it is lost and made up; an empty buffer
 * is waited for (made up meanwhile, and what was waited counts toward a hole that shows later). So a jump of delay costs its length once, not a
 * resynchronisation. The delay comes down, and goes up a little, by a pitch period at a time, unheard; it stays within the budget.
 *
 *   EMPTY    nothing to play                          -> FILLING by a packet
 *   FILLING  gathers the first delay                  -> PLAYING when it is there, EMPTY by reset
 *   PLAYING  a frame every packet time                -> EMPTY after a long pause, a jump of timestamps, or reset
 */
#ifndef ROAM_MEDIA_JITTER_H
#define ROAM_MEDIA_JITTER_H

#include "base/list.h"
#include "base/trace.h"
#include "media/codec.h"
#include "media/conceal.h"

#define JITTER_MAX_PACKETS 64u

typedef enum roam_jitter_state { JITTER_EMPTY, JITTER_FILLING, JITTER_PLAYING } roam_jitter_state;

typedef enum roam_frame_kind {
    FRAME_SILENCE,  /* nothing was expected */
    FRAME_PLAYED,
    FRAME_CONCEALED /* at least a part was made up */
} roam_frame_kind;

typedef struct roam_jitter_config {
    const roam_codec *codec;
    uint32_t ptime_ms;
    uint32_t min_ms, max_ms;
    const roam_tracer *trace;
    uint64_t id; /* of the stream, for the trace */
} roam_jitter_config;

/* The margins (how early packets came, in samples) of a stretch of time. */
typedef struct roam_margins {
    int32_t min, max;
    uint32_t count;
} roam_margins;

typedef struct roam_jitter {
    roam_mem *mem;
    roam_jitter_config config;
    void *decoder;     /* state of the codec, NULL where it has none */
    roam_jitter_state state;
    size_t frame;      /* samples a packet time */
    roam_list packets; /* waiting, by timestamp */
    roam_list spare;   /* freed ones, to be used again */
    size_t npackets;
    uint32_t next;     /* timestamp wanted next from the network */
    uint32_t newest;   /* highest timestamp that came */
    uint32_t packet_units; /* timestamp units a packet of the peer has */
    roam_time tick;    /* of the last frame */
    roam_time fill_until;
    roam_time last_packet; /* when it came */
    roam_time expect_until; /* until then a frame that is not there was lost; later it is silence */
    size_t waited;     /* samples made up while the buffer was empty */
    uint32_t quiet_from, quiet_until; /* timestamps in which no sound is expected (telephone-event) */
    bool quiet;
    uint32_t late_run; /* late packets in a row */
    size_t grow;       /* samples of delay to gain */
    uint32_t since_shift; /* frames since the delay was changed */
    roam_margins window[2]; /* the present stretch, the one before */
    roam_time window_end;
    uint64_t late, discarded;
    roam_conceal conceal;
    size_t staged;     /* samples decoded and not yet played, after CONCEAL_PAST of the past */
    size_t stage_cap;
    int16_t stage[];
} roam_jitter;

roam_jitter *jitter_new(roam_mem *mem, const roam_jitter_config *config); /* NULL: no memory */
void jitter_free(roam_jitter *j);
/* Forgets what waits and what was learnt; the next packet begins anew. */
void jitter_reset(roam_jitter *j, const char *why);
/* ROAM_ETIMEOUT: too late (counted); ROAM_ELIMIT, ROAM_ENOMEM: not kept (counted). */
int jitter_put(roam_jitter *j, roam_time now, uint32_t timestamp, roam_span payload);
/* No sound is expected in these `units` from `timestamp` on. */
void jitter_quiet(roam_jitter *j, uint32_t timestamp, uint32_t units);
/* One frame of j->frame samples. */
roam_frame_kind jitter_play(roam_jitter *j, roam_time now, int16_t *out);
/* Delay between arrival and playing of the packets that wait, in ms. */
uint32_t jitter_delay_ms(const roam_jitter *j);

#endif
