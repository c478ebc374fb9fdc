/* Offer and answer for one audio stream (RFC 3264, RFC 6337): bytes of SDP in and out, what was agreed, and what is pending. No sockets, no
 * transactions. What was agreed stays until the next agreement is complete: a refused offer changes nothing. */
#ifndef ROAM_UA_SESSION_H
#define ROAM_UA_SESSION_H

#include "base/env.h"
#include "media/codec.h"
#include "roam/call.h"
#include "wire/sdp.h"

typedef enum roam_offer_state {
    OFFER_STABLE,
    OFFER_LOCAL, /* ours is out, the answer is due */
    OFFER_REMOTE /* the peer's is in, our answer is due */
} roam_offer_state;

/* What both sides agreed on. */
typedef struct roam_agreement {
    bool active;             /* there is a stream at all: accepted, port not 0. False with a codec: the peer took the stream away */
    const roam_codec *codec;
    uint8_t send_type, receive_type;
    bool has_dtmf;
    uint8_t send_dtmf, receive_dtmf;
    bool rtcp_mux;
    bool avpf;               /* the peer's profile is RTP/AVPF: offered again as such */
    roam_direction direction; /* ours */
    roam_addr remote_rtp, remote_rtcp;
} roam_agreement;

/* Where we receive: the leg that the SDP describes. */
typedef struct roam_session_local {
    roam_ip ip;
    uint16_t rtp_port, rtcp_port;
} roam_session_local;

#define SESSION_MAX_CODECS 8u

typedef struct roam_session {
    roam_env *env;
    roam_offer_state state;
    uint64_t id, version;
    uint64_t described;        /* hash of what the last SDP said, but for its version */
    char origin[ROAM_ADDR_TEXT_MAX]; /* o= keeps its identity: the first address, whatever moved */
    uint8_t origin_family;
    const roam_codec *codecs[SESSION_MAX_CODECS]; /* preference; ends with NULL */
    uint8_t dtmf_type;         /* the number we receive telephone-event with */
    uint64_t taken[2];         /* payload types that the peer has used for something else: a bit each (RFC 3264 8.3.2) */
    bool narrow;               /* offers hold the codec in use and no other: for a peer that refused more */
    struct roam_description {  /* a description of ours without its o= line */
        char text[640];
        size_t len;            /* 0: none, or too long to be kept */
        uint64_t version;
        roam_direction direction;
        roam_session_local local; /* where it said that we receive; family 0: nothing was said yet */
    } said, saying;            /* said: of the last complete exchange; saying: our pending offer */
    bool remote_hold;
    roam_agreement agreed;
    roam_agreement next;       /* of the offer that is being answered */
    roam_direction offered;    /* the direction of our pending offer */
    roam_direction remote_offered;
    char *remote_offer;        /* kept while OFFER_REMOTE: the answer mirrors its m= lines */
    size_t remote_offer_len;
    char *others;              /* m= lines that are not our stream, refused: no later description may have fewer (RFC 3264 8) */
    size_t others_len, others_before; /* of which stand before ours */
    size_t stream_index;       /* of our m= line */
} roam_session;

/* `codecs`: "PCMA,PCMU", unknown names skipped; NULL or nothing left: all we have. */
void session_init(roam_session *s, roam_env *env, const char *codecs);
void session_free(roam_session *s);
/* The same session for another dialog, nothing pending: identity, codecs, what was agreed. The peer says anew whether it holds. */
void session_fork(roam_session *out, const roam_session *s);

/* Writes an offer. `hold`: we want the peer on hold. */
int session_offer(roam_session *s, roam_writer *w, const roam_session_local *local, bool hold);
/* Offers what both sides agreed on last, word for word: a refresh of the session or the target that changes nothing (RFC 4028 7.4). The version is the
 * same, unless another offer that may have been taken was sent since. ROAM_ENOTFOUND: there is nothing to repeat. */
int session_repeat(roam_session *s, roam_writer *w);
/* The answer to our offer. ROAM_ESYNTAX or ROAM_EUNSUPPORTED (nothing in common): the offer is over, what was agreed stays. */
int session_take_answer(roam_session *s, roam_span sdp);
/* Another answer to the same offer may come: a fork's 2xx after early media of another (RFC 3261 13.2.2.4). */
void session_reopen(roam_session *s);
/* The next description gets a number above this one: another copy of the session may have used it toward the same peer. */
void session_beyond(roam_session *s, uint64_t version);
/* Our offer was refused or its request given up. */
void session_withdraw(roam_session *s);
/* The peer's offer. ROAM_EUNSUPPORTED: nothing in common (488); ROAM_ESYNTAX (400). ROAM_ESTATE: an offer is pending. */
int session_take_offer(roam_session *s, roam_span sdp);
/* Writes the answer and agrees. */
int session_answer(roam_session *s, roam_writer *w, const roam_session_local *local, bool hold);
void session_refuse(roam_session *s); /* the peer's offer is not accepted */
/* What was agreed; and back to it, where the answer that session_answer wrote was never sent. */
typedef struct roam_session_agreed {
    roam_agreement agreed;
    bool remote_hold;
    struct roam_description said;
} roam_session_agreed;
void session_remember(const roam_session *s, roam_session_agreed *out);
void session_take_back(roam_session *s, const roam_session_agreed *before);

static inline roam_hold session_hold(const roam_session *s, bool local)
{
    return (roam_hold)((local ? ROAM_HOLD_LOCAL : 0) | (s->remote_hold ? ROAM_HOLD_REMOTE : 0));
}

#endif
