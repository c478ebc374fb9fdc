/* One audio stream: RTP and RTCP (RFC 3550), a codec, a jitter buffer, DTMF, statistics, and the legs it stands on.
 *
 * A leg is a pair of sockets on one path. A stream has one leg, and two while it moves: it receives on both (duplicates are removed by
 * sequence), sends from one, and everything the peer identifies us by (SSRC, sequence, timestamp) is the stream's, not the leg's.
 * No sockets here: the host owns them and passes datagrams in and out. */
#ifndef ROAM_MEDIA_STREAM_H
#define ROAM_MEDIA_STREAM_H

#include "base/env.h"
#include "media/codec.h"
#include "roam/media.h"
#include "wire/sdp.h"

typedef struct roam_stream roam_stream;

#define STREAM_MAX_LEGS 3u /* the third: a second change before the first is done; a fourth replaces the oldest that does not send */

typedef struct roam_leg {
    uint32_t rtp_socket;  /* the host's handles; never 0 */
    uint32_t rtcp_socket; /* equal to rtp_socket when RTCP is multiplexed (RFC 5761) */
    bool usable;          /* its path is up: may be sent from */
} roam_leg;

typedef enum roam_stream_event_type {
    STREAM_RECEIVED,   /* the first valid RTP packet on a leg since it was added (leg = its rtp_socket) */
    STREAM_SENT,       /* the first RTP packet left from a leg since it was added */
    STREAM_DTMF,       /* a whole event was received (digit, duration_ms) */
    STREAM_SILENT,     /* nothing came for `silence` although it should */
    STREAM_HEARD_AGAIN,/* ... and came again (gap_ms: from the last packet before to the first after) */
    STREAM_RTCP_BYE
} roam_stream_event_type;
typedef struct roam_stream_event {
    roam_stream_event_type type;
    uint32_t leg;
    char digit;
    uint32_t duration_ms;
    uint32_t gap_ms;
} roam_stream_event;

typedef struct roam_stream_host {
    void (*send)(void *user, uint32_t socket, const roam_addr *to, roam_span bytes);
    void (*event)(void *user, roam_stream *stream, const roam_stream_event *event); /* may not free the stream */
    void *user;
} roam_stream_host;

typedef struct roam_stream_config {
    const char *cname;       /* RTCP SDES CNAME; copied */
    uint32_t ptime_ms;       /* 20 */
    uint32_t jitter_min_ms, jitter_max_ms; /* delay budget of the jitter buffer; 0: the defaults (40, 200) */
    roam_time silence;       /* for STREAM_SILENT; 0: 1 s */
    roam_time rtcp_interval; /* minimum; 0: 5 s (RFC 3550 6.2) */
} roam_stream_config;

roam_stream *stream_new(roam_env *env, const roam_stream_host *host, const roam_stream_config *config); /* NULL: no memory */
/* Sends RTCP BYE where it can be sent, then frees. `quiet`: without BYE. */
void stream_free(roam_stream *stream, bool quiet);

/* ---- legs ---- */
int stream_add_leg(roam_stream *s, const roam_leg *leg); /* does not yet send from it unless it is the first */
void stream_set_leg_usable(roam_stream *s, uint32_t rtp_socket, bool usable);
void stream_remove_leg(roam_stream *s, uint32_t rtp_socket);
/* Sends from this leg from the next packet on; sends RTCP at once (handover.md, Media). */
int stream_send_from(roam_stream *s, uint32_t rtp_socket);
uint32_t stream_sending_leg(const roam_stream *s); /* 0: none */
/* Sends each packet from this leg as well, and from it first, until stream_send_from or 0. For the round trip in which nobody knows whether the peer has heard of the new
 * address: a strict peer takes the old source before and the new one after, at no moment neither, and drops the copy;
 * one that believes the first source after the signalling shall see the new one. */
void stream_double_on(roam_stream *s, uint32_t rtp_socket);
/* Was a valid packet received on this leg since it was added? */
bool stream_leg_heard(const roam_stream *s, uint32_t rtp_socket);
roam_time stream_leg_last(const roam_stream *s, uint32_t rtp_socket); /* the last of them; 0: none */

/* A change of paths begins: STREAM_SENT and STREAM_RECEIVED are told anew for each leg, as if it had just been added. */
void stream_legs_anew(roam_stream *s);

/* ---- what the negotiation says ---- */
typedef struct roam_stream_format {
    const roam_codec *codec;
    uint8_t send_payload_type, receive_payload_type; /* RFC 3264: each side's own numbers */
    bool has_dtmf;
    uint8_t send_dtmf_type, receive_dtmf_type; /* telephone-event */
    bool rtcp_mux;
} roam_stream_format;
/* May be called again in a call: the running SSRC, sequence and timestamp go on. */
int stream_set_format(roam_stream *s, const roam_stream_format *format);
/* Where to send. family 0: nowhere (disabled). A change opens a short window in which a new source with the known SSRC and continuing sequence is
 * accepted at once (see handover.md); otherwise a new source is on probation. */
void stream_set_remote(roam_stream *s, const roam_addr *rtp, const roam_addr *rtcp);
void stream_set_direction(roam_stream *s, roam_direction direction); /* ours: sendrecv, sendonly, ... RTCP goes on in any */
/* Starts the packet clock (timer every ptime). Before it nothing is sent. */
int stream_start(roam_stream *s);

/* ---- sound ----
 * The source is read every ptime; the sink gets every frame that is played out, concealment included. The objects are the application's, must live as long as
 * they are set, NULL: silence / discard. 8 kHz mono 16 bit for the present codecs. */
void stream_set_source(roam_stream *s, roam_audio_source *source);
void stream_set_sink(roam_stream *s, roam_audio_sink *sink);

int stream_dtmf(roam_stream *s, roam_span digits, uint32_t duration_ms); /* queued, RFC 4733; ROAM_EUNSUPPORTED if not negotiated; ROAM_ELIMIT over 64 queued */

/* ---- datagrams ---- */
void stream_receive(roam_stream *s, uint32_t socket, const roam_addr *from, roam_span bytes);

void stream_stats(const roam_stream *s, roam_media_stats *out);
/* When the peer reported last about what we send (RFC 3550 6.4.1), and the highest sequence it had; 0: never. */
roam_time stream_peer_report(const roam_stream *s, uint16_t *sequence);
uint16_t stream_next_sequence(const roam_stream *s); /* of the next packet */

#endif
