/**
 * @file media.h
 * Sound in and out of a call, and what is known about its packets.
 */
#ifndef ROAM_MEDIA_H
#define ROAM_MEDIA_H

#include "roam/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Where the sound that we send comes from. `read` fills `n` samples (16 bit, mono, `rate` Hz) and returns how many it had; missing ones are silence.
 * Called on the agent's thread every packet time. `close` (may be NULL) is called once when roam lets go of it.
 */
typedef struct roam_audio_source {
    size_t (*read)(struct roam_audio_source *source, int16_t *samples, size_t n, unsigned rate);
    void (*close)(struct roam_audio_source *source);
} roam_audio_source;

/** Where the received sound goes. `concealed`: the frame was made up because its packet did not come. */
typedef struct roam_audio_sink {
    void (*write)(struct roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed);
    void (*close)(struct roam_audio_sink *sink);
} roam_audio_sink;

/**
 * A sine of `hz` at about -12 dBFS; silence where `hz` is not between 0 and half the sample rate. Owned by the caller until given to a call, which
 * closes it. Its memory is the C library's, since it is made before there is an agent. NULL without memory.
 */
ROAM_API roam_audio_source *roam_tone_source(double hz);

/**
 * Counts since the stream began; nothing is reset by a move or by another source. Bytes are those of the RTP payload, as RTCP counts them.
 */
typedef struct roam_media_stats {
    uint64_t packets_sent, bytes_sent;
    uint64_t packets_received, bytes_received; /**< accepted and new: without duplicates */
    uint64_t packets_lost;      /**< by RFC 3550 A.3 on what we received, but a duplicate does not make up for a lost one; a gap of a move counts */
    uint64_t packets_duplicate; /**< same sequence twice, e.g. on both legs of a move */
    uint64_t packets_late;      /**< too late for the jitter buffer, or dropped by it because more waited than its budget allows */
    uint64_t packets_refused;   /**< wrong source, payload type or SSRC, malformed */
    uint64_t frames_concealed;
    uint32_t jitter_us;         /**< interarrival jitter, RFC 3550 A.8 */
    uint32_t round_trip_us;     /**< from RTCP; 0 unknown */
    uint32_t peer_lost;         /**< cumulative loss that the peer reports about what we sent */
    uint32_t peer_jitter_us;
    roam_time peer_reported;    /**< when it did so last; 0: never */
    uint32_t longest_gap_ms;    /**< longest time between two packets received while receiving was expected */
    uint32_t last_gap_ms;       /**< the last gap longer than five packet times */
    roam_time last_sent, last_received; /**< 0: never */
    roam_time last_rtcp;        /**< the peer's last RTCP packet; 0: none */
} roam_media_stats;

#ifdef __cplusplus
}
#endif
#endif
