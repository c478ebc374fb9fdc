/* The session timer of one dialog (RFC 4028): what both sides agreed on, who refreshes, and when. It reads and writes header lines and keeps
 * the two moments that count. It sends nothing: the call refreshes, or ends itself, when this says so.
 *
 * We ask to be the refresher (section 7.1 allows it): the side that moves knows best when a refresh can arrive, and a peer's refresh that goes to an address we
 * left would end the call there. */
#ifndef ROAM_UA_SESSION_TIMER_H
#define ROAM_UA_SESSION_TIMER_H

#include "base/env.h"
#include "wire/message.h"

#define SESSION_MIN_SE 90u /* RFC 4028 5: the absolute minimum, and the default */

typedef enum roam_session_due {
    SESSION_NOT_DUE,
    SESSION_REFRESH_DUE, /* half the interval is over and the refreshing is ours */
    SESSION_EXPIRED      /* almost: the moment for the BYE (section 10) */
} roam_session_due;

typedef enum roam_session_refresher { REFRESHER_NONE, REFRESHER_UAC, REFRESHER_UAS } roam_session_refresher;

typedef struct roam_session_timer {
    roam_env *env;
    roam_timer timer;        /* of the owner, who is woken when something is due */
    uint32_t wanted, min_se; /* seconds, configured */
    uint32_t floor;          /* the greatest Min-SE anybody told us */
    unsigned raised;         /* 422s that raised it */
    uint32_t interval;       /* agreed; 0: no session timer */
    bool refresher;          /* we are */
    bool peer_supports;
    roam_time refresh_at, expire_at; /* ROAM_NEVER: not ours to do, or no timer */
    struct {                 /* of the request of the peer that is being answered */
        uint32_t interval, min_se;
        roam_session_refresher refresher;
        bool supported;
    } asked;
} roam_session_timer;

/* `wanted` 0: not asked for, the peer's wish is honoured. `fire`: of the owner, who looks at session_timer_due(). */
void session_timer_init(roam_session_timer *t, roam_env *env, uint32_t wanted, uint32_t min_se, void (*fire)(roam_timer *timer));
void session_timer_stop(roam_session_timer *t);

/* An INVITE or UPDATE of ours: Session-Expires and Min-SE, where they are wanted. Supported is in every message. */
void session_timer_write_request(const roam_session_timer *t, roam_writer *w);
/* Its 2xx (section 7.2): the timer starts anew, or is off. */
void session_timer_take_response(roam_session_timer *t, const roam_message *response);
/* Its 422 (section 7.3). True: ask again, with a longer interval; false: there is no sense in it. */
bool session_timer_too_small(roam_session_timer *t, const roam_message *response);

/* An INVITE or UPDATE of the peer (section 9): 0, or 422 for an interval below ours, then session_timer_write_min_se() belongs into the answer. */
unsigned session_timer_take_request(roam_session_timer *t, const roam_message *request);
void session_timer_write_min_se(const roam_session_timer *t, roam_writer *w);
/* Our 2xx to it: Session-Expires, and Require where the peer is to refresh. The timer starts anew. */
void session_timer_write_response(roam_session_timer *t, roam_writer *w);

/* `fire` calls it: the other moment may still be to come. */
void session_timer_fired(roam_session_timer *t);
roam_session_due session_timer_due(const roam_session_timer *t);
/* There was no path for a while, and nothing could be refreshed or heard: whatever fell due meanwhile is asked for at once by a refresh of ours, whoever
 * the refresher is, and has min(32 s, interval / 3) before it counts as expired. */
void session_timer_resume(roam_session_timer *t);
/* The peer refused the refresh for good, so it is alive and knows: we ask again later, and leave the end to it. */
void session_timer_refused(roam_session_timer *t);

#endif
