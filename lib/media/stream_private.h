/* What the files of a stream share: stream.c (its life, legs, negotiation), stream_send.c (the packet clock), stream_receive.c, stream_rtcp.c. */
#ifndef ROAM_MEDIA_STREAM_PRIVATE_H
#define ROAM_MEDIA_STREAM_PRIVATE_H

#include "media/dtmf.h"
#include "media/jitter.h"
#include "media/reception.h"
#include "media/rtcp.h"
#include "media/rtp.h"
#include "media/source.h"
#include "media/stream.h"

#define STREAM_MAX_FRAME 2880u  /* samples: 60 ms at 48 kHz */
#define STREAM_MAX_PTIME_MS 120u
#define STREAM_CATCH_UP 3u      /* packets sent at once after the clock was late; beyond that time is skipped */
#define STREAM_GAP_PACKETS 5u   /* last_gap_ms counts from here on */
#define STREAM_CONFLICTS 4u

typedef struct roam_stream_leg {
    roam_leg leg;
    uint64_t order; /* of adding */
    bool heard, sent;
    roam_time last; /* packet of the peer; 0: none */
} roam_stream_leg;

typedef struct roam_rtcp_session {
    roam_timer timer;
    roam_time last;           /* tp: when we last sent; 0 at the beginning counts as "at start" */
    uint32_t members;         /* when `timer` was set: pmembers */
    uint32_t average_size;    /* octets, times 16 */
    bool sent;                /* anything yet */
    uint64_t packets_at[2];   /* RTP packets sent when the last report and the one before went out */
    roam_time heard;          /* RTP or RTCP of the peer; ROAM_NEVER: not, or it said BYE */
    uint32_t peer_sr_ssrc, peer_sr; /* middle of the NTP time of its last SR */
    roam_time peer_sr_at;
    bool has_peer_sr;
    uint32_t peer_has; /* the highest sequence of ours in its last report, extended */
} roam_rtcp_session;

struct roam_stream {
    roam_env *env;
    roam_stream_host host;
    uint64_t id; /* for the trace */
    char *cname;
    uint32_t ptime_ms, jitter_min_ms, jitter_max_ms;
    roam_time silence, rtcp_minimum;

    roam_stream_leg legs[STREAM_MAX_LEGS];
    size_t nlegs;
    uint64_t leg_order;
    uint32_t sending; /* rtp_socket, 0: none */
    uint32_t doubled; /* another one that gets a copy of each packet, 0: none */

    bool has_format, started;
    roam_stream_format format;
    roam_direction direction;
    roam_addr remote_rtp, remote_rtcp;
    roam_audio_source *audio_source;
    roam_audio_sink *audio_sink;

    /* sending */
    roam_timer clock;
    roam_time next_tick;
    size_t frame;       /* samples a packet */
    uint32_t units;     /* timestamp units a packet */
    uint32_t ssrc;
    uint16_t sequence;  /* of the next packet */
    uint32_t timestamp; /* of the next frame, sent or not */
    bool talking;       /* the last frame was sent: no marker */
    void *encoder;
    roam_dtmf_sender dtmf_out;
    uint32_t sr_packets, sr_octets; /* since our SSRC began */

    /* receiving */
    roam_source source;
    uint32_t source_units; /* timestamp units a packet has, by which the source is called silent */
    roam_reception reception;
    uint64_t lost_before; /* by sources before the present one */
    roam_jitter *jitter;
    uint64_t late_before;
    roam_dtmf_receiver dtmf_in;
    bool expecting;       /* packets should come */
    bool gap_arrival;     /* gap_from is an arrival, not the beginning of expecting */
    roam_time gap_from;
    bool silent;
    struct {
        roam_addr addr;
        roam_time seen;
    } conflicts[STREAM_CONFLICTS]; /* addresses whose packets came with our own SSRC (RFC 3550, 8.2) */
    roam_time refused_from; /* the second in which refusals are traced */
    uint32_t refused_traced;

    roam_rtcp_session rtcp;
    roam_media_stats stats;
};

/* stream.c */
roam_stream_leg *stream_leg(roam_stream *s, uint32_t rtp_socket); /* NULL: none */
void stream_emit(roam_stream *s, const roam_stream_event *event);
void stream_new_ssrc(roam_stream *s);
void stream_refuse(roam_stream *s, const roam_addr *from, const char *why);

/* stream_send.c */
void stream_clock_fire(roam_timer *timer);
static inline bool stream_sends(const roam_stream *s)
{
    return (s->direction & DIRECTION_SENDONLY) != 0;
}

/* stream_receive.c */
void stream_expect(roam_stream *s);     /* after anything that decides whether packets should come */
void stream_check_silence(roam_stream *s);
/* A packet with our SSRC: a collision or a loop (RFC 3550, 8.2). True: our SSRC has changed, the packet may be looked at. */
bool stream_collision(roam_stream *s, const roam_addr *from);
static inline bool stream_receives(const roam_stream *s)
{
    return (s->direction & DIRECTION_RECVONLY) != 0;
}

/* stream_rtcp.c */
void stream_rtcp_init(roam_stream *s);
int stream_rtcp_start(roam_stream *s);
void stream_rtcp_now(roam_stream *s, bool bye); /* where it can be sent */
void stream_rtcp_receive(roam_stream *s, const roam_addr *from, roam_span bytes);

#endif
