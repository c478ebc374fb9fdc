/* The sound of the far end: plain RTP (RFC 3550) with PCMU, a rule for which sources it believes, and a record of what
 * came from where and when. */
#ifndef ROAM_TESTBED_AUDIO_H
#define ROAM_TESTBED_AUDIO_H

#include "base/env.h"
#include "wire/sdp.h"

#define AUDIO_PACKET_SAMPLES 160u /* 20 ms */
#define AUDIO_DEFAULT_LOG 65536u
#define AUDIO_MAX_SOURCES 8u  /* counted one by one: the first ones */
#define AUDIO_LEARN_PACKETS 4u /* in sequence, before an unsignalled source is learnt */
#define AUDIO_LATE_PACKETS 10u /* in sequence, before a new source is followed */

typedef enum roam_audio_policy {
    AUDIO_STRICT, /* hears only the signalled address, sends only there */
    AUDIO_LATCH,  /* the first source after each signalling is the one: heard and sent to */
    AUDIO_FOLLOW, /* hears everybody, sends to whoever was heard last */
    AUDIO_LEARN,  /* after each change of SDP: the signalled address at its first packet, another one at its fourth in
                   * sequence; then nobody else. As Asterisk with strictrtp and symmetric RTP */
    AUDIO_LATE    /* a new source is heard and sent to from its tenth packet in sequence on. As PJSIP */
} roam_audio_policy;

typedef enum roam_audio_play { AUDIO_TONE, AUDIO_ECHO, AUDIO_SILENT } roam_audio_play; /* the tone: 1000 Hz */

/* One RTP packet that came. */
typedef struct roam_arrival {
    roam_time time;
    roam_addr from;
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    bool accepted; /* by the policy and the direction */
} roam_arrival;

/* Who sent us RTP. */
typedef struct roam_rtp_source {
    roam_addr from;
    uint64_t accepted, refused;
    uint16_t last_sequence;
    roam_time last_at;
} roam_rtp_source;

typedef struct roam_audio_config {
    roam_audio_policy policy;
    roam_audio_play play;
    size_t max_log; /* arrivals kept, the first ones; 0: AUDIO_DEFAULT_LOG */
} roam_audio_config;

typedef struct roam_audio {
    roam_env *env;
    roam_audio_config config;
    void (*send)(void *user, uint32_t socket, const roam_addr *to, roam_span bytes);
    void *user;
    uint32_t socket;
    roam_addr signalled; /* family 0: none */
    roam_addr to;        /* where we send now; family 0: nowhere */
    bool latched;
    roam_addr candidate; /* AUDIO_LEARN, AUDIO_LATE: who is on probation */
    uint16_t candidate_sequence;
    unsigned candidate_packets;
    roam_direction direction; /* ours */
    roam_timer timer;         /* a packet is due */
    uint32_t ssrc, timestamp;
    uint16_t sequence;
    bool running;
    uint8_t phase; /* of the tone */
    roam_arrival *log;
    size_t nlog, log_cap;
    uint64_t sent, received, refused, malformed, unlogged;
    roam_time last_received; /* accepted ones */
    uint16_t last_sequence;  /* of those */
    roam_rtp_source sources[AUDIO_MAX_SOURCES];
    size_t nsources;
} roam_audio;

void audio_init(roam_audio *audio, roam_env *env, const roam_audio_config *config, uint32_t socket,
                void (*send)(void *user, uint32_t socket, const roam_addr *to, roam_span bytes), void *user);
void audio_free(roam_audio *audio);
/* What offer and answer said. Family 0 or port 0: nowhere. The packet clock runs from the first call on; SSRC, sequence
 * and time stamp go on. */
int audio_signal(roam_audio *audio, const roam_addr *remote, roam_direction direction);
void audio_receive(roam_audio *audio, const roam_addr *from, roam_span bytes);

#endif
