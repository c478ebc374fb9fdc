/* A call: one dialog, one offer/answer session, one stream, and the wish to keep them on the path that works now.
 *
 * call.c        its life: states, work
 * call_command.c  what the application says to it
 * call_out.c    the outgoing INVITE and its answers
 * early.c       early dialogs of its forks, with reliable.c (PRACK)
 * takeover.c    an INVITE whose answers cannot reach us any more
 * call_bye.c    CANCEL and BYE
 * call_stray.c  a 2xx that no call waits for
 * call_ring.c   the INVITE of a peer and what is said before it is answered
 * call_in.c     its answer, and the peer's requests in the dialog
 * replaces.c    an INVITE that takes the place of another dialog (RFC 3891)
 * probe.c       is the peer still there? asked in the dialog after a move
 * call_refresh.c re-INVITE and UPDATE of ours: hold, resume, a move, the session timer (session_timer.c)
 * rescue.c      both ends have moved: INVITE with Replaces to the peer's address of record
 * call_media.c  legs and the stream on them
 * call_info.c   INFO */
#ifndef ROAM_UA_CALL_H
#define ROAM_UA_CALL_H

#include "media/stream.h"
#include "sip/dialog.h"
#include "ua/account.h"
#include "ua/probe.h"
#include "ua/reliable_uas.h"
#include "ua/mend.h"
#include "ua/rescue.h"
#include "ua/session.h"
#include "ua/session_timer.h"

#define CALL_MAX_LEGS 3u
#define CALL_MAX_UNACKED 4u
#define CALL_MAX_TAKEN_BACK 3u
#define CALL_DISCONNECT_LIMIT ROAM_SECONDS(64) /* a good-bye that nobody answers (64*T1, and a CANCEL before it) */

typedef struct roam_call roam_call;
typedef struct roam_transfer roam_transfer;
typedef struct roam_referral roam_referral;

typedef enum roam_call_leg_state {
    LEG_NONE,
    LEG_OPENING_RTP,
    LEG_OPENING_RTCP,
    LEG_UP,
    LEG_RETIRING, /* another one has taken over; kept for what is still on its way */
    LEG_FAILED    /* the system refused; tried again with the next change */
} roam_call_leg_state;

typedef struct roam_call_leg {
    roam_call_leg_state state;
    roam_ip ip;
    uint32_t link;
    uint32_t rtp_socket, rtcp_socket;
    uint16_t rtp_port, rtcp_port;
    unsigned attempts;
    uint32_t generation; /* call->leg_generation when it was made */
    uint64_t network; /* that the address was on; 0: unknown */
    bool in_stream;
    bool sent, heard; /* a packet left from it, or came on it */
    roam_time retire_at;
} roam_call_leg;

/* A media socket finds its call and leg: packets are many. */
typedef struct roam_leg_socket {
    roam_map_node node; /* in roam_ua.media_sockets, by id */
    uint32_t id;
    roam_call *call;
    unsigned leg;
} roam_leg_socket;

/* Our own refresh (re-INVITE or UPDATE) of the dialog. */
typedef enum roam_refresh_state {
    REFRESH_IDLE,
    REFRESH_SENT,  /* a request is out */
    REFRESH_WAIT,  /* its answer said: later; the timer, or the registration, ends the wait */
    REFRESH_REFUSED /* the peer does not want it: nothing more until something else changes */
} roam_refresh_state;

/* A peer that refuses an offer of ours (488) gets less of it the next time, until another move or wish. */
typedef enum roam_refresh_media {
    REFRESH_MEDIA_ALL,    /* all codecs, on the wanted leg */
    REFRESH_MEDIA_NARROW, /* the codec in use alone: what was agreed but for the address */
    REFRESH_MEDIA_NONE    /* no new media: the target alone */
} roam_refresh_media;

/* What the peer was told last: the difference to what is wanted is the reason for a refresh. */
typedef struct roam_told {
    uint32_t path; /* id of the path whose address stands in the peer's target */
    uint32_t leg;  /* rtp_socket of the leg our last agreed SDP describes */
    bool hold;
    uint32_t wish; /* call->wish: refreshes asked for although nothing differs */
} roam_told;

/* The answer to the caller's offer before the call is answered. */
typedef enum roam_early {
    EARLY_NONE,
    EARLY_PLAIN, /* given, and nobody knows whether it arrived: the 200 repeats it (RFC 3261 13.2.1) */
    EARLY_AGREED /* its PRACK came: the 200 has none (RFC 6337 2.1) */
} roam_early;

#define CALL_PROGRESS_MAX 4u
#define CALL_PAST_DIALOGS 4u

/* A 18x that waits for a path, a leg, or the PRACK of the one before. */
typedef struct roam_progress {
    unsigned status;
    bool media;
} roam_progress;

/* An INVITE that was cancelled because its path is gone, until it ends. */
typedef struct roam_taken_back {
    roam_client_txn *txn;
    uint32_t path; /* the CANCEL left by it last */
} roam_taken_back;

struct roam_early_dialog;
struct roam_takeover;

struct roam_call {
    roam_list node;
    roam_map_node id_node, dialog_node;
    roam_ua *ua;
    roam_account *account;
    roam_call_id id;
    bool outgoing;
    roam_call_state state;
    roam_link_state link;
    roam_media_stats last_media; /* of the stream that call_media_stop ended */
    int last_status;
    roam_time since;
    roam_work work;
    roam_move move;

    /* signalling */
    char *target;            /* outgoing: the URI that was called */
    char *replaces;          /* outgoing: value of the INVITE's Replaces header (RFC 3891); NULL: none */
    char *referred_by;       /* outgoing: value of Referred-By (RFC 3892); NULL: none */
    char dialog_key[192];    /* Call-ID and our tag */
    roam_dialog dialog;
    roam_addr hop;           /* next hop of our requests */
    uint64_t hop_name;       /* hash of the host it was found for; 0: none yet */
    roam_net_dest *hop_dest;
    roam_flow *flow;         /* the path toward it */
    roam_watch_user watch;   /* who looks after it */
    roam_client_txn *invite; /* outgoing: the initial INVITE */
    uint32_t invite_cseq;
    roam_time invite_gone;   /* when its path was lost; 0: it is there */
    roam_addr invite_mapped; /* where the next hop saw it come from; family 0: not told */
    bool invite_unknown;     /* it left before the registrar knew us on its path: an edge may have refused it for that */
    bool forked_again;       /* called again because all branches of a fork that we knew were over */
    unsigned invite_refused; /* so often, on this path */
    roam_time invite_after;  /* not again before the REGISTER is answered, or this time; 0: now */
    roam_time invite_not_before; /* not again before this time, whatever is registered */
    bool invite_replaced;    /* an INVITE of this call was given up after a move: the one that is out came to the callee's registrar later than the user called */
    unsigned unreached;      /* so often nobody was where the proxy sent an INVITE that followed a move */
    roam_taken_back taken_back[CALL_MAX_TAKEN_BACK];
    uint64_t top_version;    /* the highest of o= in any INVITE of this call that is not answered */
    uint32_t top_cseq;       /* of the early dialogs that are gone, see early_top_cseq */
    roam_list earlies;       /* roam_early_dialog: the early dialogs of `invite`. `dialog` has no remote tag before the 2xx */
    struct roam_early_dialog *heard; /* the one whose session is `session`; NULL: nobody has answered the offer */
    roam_session offered;    /* as `session` was when the INVITE left: what each early dialog begins with */
    bool has_offered;
    roam_timer early_timer;
    struct roam_takeover *takeover; /* NULL: not needed so far */
    roam_server_txn *uas;    /* incoming: the INVITE (or re-INVITE) not yet answered finally */
    bool uas_has_offer;
    bool answer_wanted;      /* the application answered; sent as soon as there is a path and a leg */
    roam_accept accept;      /* our 2xx waits for its ACK */
    bool answer_in_ack;      /* our 2xx carried an offer */
    roam_ack ack;            /* our ACK of the peer's 2xx */
    roam_client_txn *bye;
    uint32_t cancel_path;    /* id of the path the last CANCEL left by */
    uint32_t uas_cseq;       /* of the INVITE in `uas` */
    uint32_t uas_path;       /* id of the path it came by */
    uint32_t target_cseq;    /* of the peer's request that set the target last (RFC 6141 4.4) */
    bool accept_moved;       /* the path changed since our 2xx left: its ACK may go to where we are no more */
    roam_time ack_overdue;   /* 64*T1 without an ACK were over then; 0: they are not */
    roam_probe probe;
    roam_auth_attempt attempt;
    bool peer_update;        /* the peer's Allow has UPDATE */
    bool peer_replaces;      /* its Supported has replaces */
    const char *end_reason;

    /* before it is answered */
    roam_ip ring_source;     /* where the INVITE came from */
    bool ring_moved;         /* the path changed since the INVITE in `uas` came */
    bool wants_reliable, supports_reliable; /* the caller's Require or Supported says 100rel */
    roam_reliable reliable;
    roam_early early;
    char *early_offer;       /* the caller's offer, to be answered alike in the 200 */
    roam_progress progress[CALL_PROGRESS_MAX];
    size_t nprogress;
    roam_progress said;      /* the last 18x that was sent; status 0: none */
    roam_call_id takes_over; /* incoming: its answer takes the place of this call (RFC 3891); 0: none */
    uint64_t past_dialogs[CALL_PAST_DIALOGS]; /* that the peer has replaced by the present one */
    size_t npast_dialogs;

    /* refresh */
    roam_refresh_state refresh;
    roam_client_txn *refresh_txn;
    bool refresh_is_update, refresh_has_offer;
    uint32_t refresh_cseq;
    uint32_t unacked[CALL_MAX_UNACKED]; /* re-INVITEs given up with their paths: a 2xx may wait for its ACK. Known until a later one is accepted */
    unsigned nunacked;
    roam_client_txn *acked_txn; /* a re-INVITE that has its 2xx, kept for retransmitted ones */
    uint64_t refresh_target; /* hash of the URI the request that is out was sent to */
    uint32_t wish;           /* raised where a refresh is wanted although nothing differs: the application says so, or what the peer knows is uncertain */
    roam_client_txn *target_txn; /* an UPDATE without SDP beside a re-INVITE */
    roam_auth_attempt target_attempt;
    roam_refresh_media refresh_media; /* what the peer refused of our offers */
    bool gone_doubted;       /* a 481 was asked about again after the REGISTER */
    bool refresh_heard;      /* the peer, not only a proxy, has answered the request that is out provisionally */
    roam_rescue rescue;
    const char *bye_reason;  /* value of Reason in our BYE (RFC 3326); NULL: none */
    roam_session_timer session_timer;
    bool session_held;       /* offline or moving: nothing expires */
    bool refresh_after_registration; /* the edge said 403: after the REGISTER */
    bool update_refused;     /* 405 or 501: never again in this dialog */
    unsigned refresh_failures;
    roam_auth_attempt refresh_attempt;
    roam_told told, telling; /* telling: in the request that is out */
    bool hold_wanted;
    roam_hold hold_reported;
    roam_timer refresh_timer; /* 491, back-off */
    roam_timer offline_timer; /* offline_max */
    struct roam_call_info_out *info; /* our INFO (call_info.c); NULL: none */
    roam_timer life_timer;    /* bounds DISCONNECTING, and the wait for a CANCEL's 487 */

    /* transfers: see transfer.h */
    roam_list transfers;      /* roam_transfer.node: our REFERs */
    roam_list referrals;      /* roam_referral.node: the peer's */
    roam_referral *referral;  /* this call is made for that REFER, whose sender hears how it goes; NULL: for none */
    bool referred_once;       /* the peer's first REFER came: the next ones have to be told apart */
    bool lingers;             /* ENDED for everybody, but a transfer goes on in its dialog: in roam_ua.lingering */

    /* media */
    roam_session session;
    roam_net_dest *media_dest;
    roam_call_leg legs[CALL_MAX_LEGS];
    roam_stream *stream;
    roam_audio_source *source;
    roam_audio_sink *sink;
    bool stream_started;
    uint32_t leg_generation; /* raised where REINIT_MEDIA was asked for: an older leg does not do, be its address the same */
    bool move_in_place;      /* this move is to the same path, whose packets count again from its beginning */
    bool expect_in, expect_out; /* RTP should flow: what "recovered" waits for */
    uint32_t move_leg;       /* the leg in use when the move began */
    roam_mend mend;          /* does media flow on the leg that the peer was told? */
    uint32_t move_to;        /* the one it leads to, once it is up; 0: not yet */
    roam_timer move_timer;   /* bounds a move that does not come to an end */
    roam_timer leg_timer;    /* retiring legs */
    roam_leg_socket leg_sockets[CALL_MAX_LEGS][2]; /* RTP, RTCP */
};

/* ---- call.c ---- */
const char *call_state_name(roam_call_state state);
roam_call *call_find(const roam_ua *ua, roam_call_id id);
roam_call *call_by_dialog(const roam_ua *ua, roam_span call_id, roam_span our_tag);
/* A new call in `state`; in the lists, no dialog yet. NULL: no memory or too many. */
roam_call *call_new(roam_ua *ua, roam_account *account, bool outgoing);
/* The same for a call that is over and whose dialog lingers (RFC 5057). */
roam_call *call_lingering(const roam_ua *ua, roam_span call_id, roam_span our_tag);
int call_index_dialog(roam_call *call); /* after the dialog has its Call-ID and local tag, or has others */
void call_free(roam_call *call);
/* Tells the application, with the call as it is now. `status`: a roam_err. */
void call_tell(roam_call *call, roam_event_type type, int code, int status, const char *why);
/* The one function that sets the state. Tells the application. */
void call_set_state(roam_call *call, roam_call_state state, int code, const char *why);
/* Ends it for good: last event, everything released at the end of the input. */
void call_end(roam_call *call, int code, const char *why);
void call_hangup(roam_call *call, const char *why);
void call_force_refresh(roam_call *call, const char *why);
void call_set_link(roam_call *call, roam_link_state link, const char *why);
void call_report_hold(roam_call *call);
/* What is out went over a path, or a mapping, that is no more. */
void call_path_lost(roam_call *call);
/* Is there a usable path for this call's requests? Finds the next hop, notices a move. */
bool call_keep_path(roam_call *call);
static inline void call_look(roam_call *call)
{
    ua_work(call->ua, &call->work);
}

/* ---- call_out.c ---- */
void call_run_outgoing(roam_call *call);      /* CALLING, EARLY */
/* Call-ID, our tag, parties and pre-loaded route of a new INVITE of this call. */
int call_begin_dialog(roam_call *call, roam_dialog *d);
void call_on_invite(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response); /* of every INVITE that begins a dialog */
/* Notes that the path of the INVITE is gone: it is not repeated from there. */
void call_invite_path_lost(roam_call *call);
/* There is a path, but no answer to the INVITE can reach us. */
bool call_invite_unreachable(const roam_call *call);
/* Another INVITE's dialog (takes the contents of `dialog` and `session`) becomes the call's; call_confirm follows. `txn` may be NULL. */
void call_replace(roam_call *call, roam_dialog *dialog, roam_session *session, roam_client_txn *txn, uint32_t cseq, const roam_told *telling);
/* The dialog is confirmed by this 2xx: ACK, and the call is up; BYE where there is no common media, or it was hung up meanwhile. */
void call_confirm(roam_call *call, const roam_message *response, bool agreed);
void call_drop_taken_back(roam_call *call);

/* ---- call_bye.c ---- */
void call_run_disconnecting(roam_call *call);
roam_client_txn *call_send_bye(roam_ua *ua, roam_account *account, roam_auth_attempt *attempt, roam_dialog *d, roam_flow *flow,
                               const char *reason /* NULL: none */, roam_client_fn *fn, void *user);

/* ---- call_stray.c ---- */
/* Remembers an INVITE that is given up without its final answer: a late 2xx to it is ours. `adopt`: if it comes before the INVITE in its place is answered, it is the call. */
void call_give_up(roam_call *call, const roam_dialog *dialog, bool adopt);
/* A 2xx to an INVITE that we gave up or that another fork answered: ACK and BYE, or adopted. */
void call_stray_answer(roam_ua *ua, roam_flow *flow, const roam_message *response);

/* ---- call_out.c ---- */
void call_learn_peer(roam_call *call, const roam_message *m); /* Allow */
/* Writes Contact, Supported, Allow, User-Agent of a request or 2xx in the dialog. */
void call_write_identity(roam_call *call, roam_writer *w, bool request);
void call_write_identity_on(roam_call *call, roam_writer *w, const roam_flow *flow, bool request);

/* ---- call_ring.c ---- */
void call_invited(roam_ua *ua, roam_server_txn *txn, const roam_message *invite); /* outside of any dialog */
/* The same INVITE came by another way: is the new copy the better one? Then it comes as a request of its own. */
bool call_merges(roam_ua *ua, roam_server_txn *old, roam_flow *flow);
/* A new incoming call with the dialog and the offer of this INVITE. NULL: refused, and answered so. */
roam_call *call_new_incoming(roam_ua *ua, roam_account *account, roam_server_txn *txn, const roam_message *invite);
/* Tells the application and the caller that it rings. */
void call_ring(roam_call *call);
/* As many ring as may (limits.h), all together or from this source. */
bool call_too_many(const roam_ua *ua, const roam_account *account, const roam_addr *source);
/* Do requests of this call's peer come from there? From the account's own server, from where ours go, from where its INVITE came. */
bool call_usual_way(const roam_call *call, const roam_addr *source);
void call_ring_rebound(roam_call *call); /* the path is the same, our address on it is another: what the caller says before its ACK goes astray */
void call_run_ringing(roam_call *call); /* what is to be said before the answer, and what a move makes necessary */

/* ---- call_in.c ---- */
void call_request(roam_call *call, roam_server_txn *txn, const roam_message *m);  /* in its dialog */
void uas_ack(roam_ua *ua, const roam_message *ack);
void call_run_incoming(roam_call *call);      /* INCOMING, CONNECTING */
/* Its caller has called once more, and we are in that call. */
bool call_came_again(const roam_call *call);
void call_reject(roam_call *call, unsigned status, const char *why);
/* Answers a re-INVITE that waits for a path or leg; keeps a 2xx that waits for its ACK on the path. */
void call_run_reanswer(roam_call *call);
/* This INVITE is the one to be answered from now on. */
void call_take_invite(roam_call *call, roam_server_txn *txn);
void call_follow_media(roam_call *call); /* the peer's offer may name another address: the route to it is watched */
/* Our answer, or our offer where there is none to be answered, into `body`. */
int call_describe(roam_call *call, roam_call_leg *leg, roam_writer *body);
/* RFC 4028 9: a session interval below ours. True: refused with 422. */
bool call_refuse_interval(roam_call *call, roam_server_txn *txn, const roam_message *m);
/* Something shows that the peer has our 2xx: as good as its ACK, but for an answer that was due in it. */
void call_peer_has_answer(roam_call *call, const char *why);

/* ---- call_refresh.c ---- */
void call_run_refresh(roam_call *call);
/* Begins a move, noting what flowed before it. `local` NULL: offline. */
void call_move_begin(roam_call *call, const roam_addr *local, bool old_alive, const char *why);
void call_move_path(roam_call *call, const roam_path *path); /* ... and there is a path (again) */
void call_refresh_path_lost(roam_call *call); /* the request that is out went over a path that is no more */
void call_refresh_stop(roam_call *call);
void call_check_recovered(roam_call *call);
/* The NAT shows us at another address: the peer is told, on the same path; with the same media sockets, unless its RTP fell silent. */
void call_rebound(roam_call *call, const char *why);
void call_refresh_set_state(roam_call *call, roam_refresh_state state, const char *why);
bool call_wants_media_move(const roam_call *call);
/* The peer's target changed: what is out went to the old one, and is sent again. */
void call_peer_moved(roam_call *call);
/* A re-INVITE or an offer of the peer crosses a request of ours. True: ours is given up and theirs is to be accepted, since the peer has moved and ours may never arrive; false: 491. */
bool call_refresh_yields(roam_call *call, const roam_message *m);
void call_session_timer(roam_timer *timer);

/* ---- call_info.c ---- */
void call_info_run(roam_call *call);
void call_info_path_lost(roam_call *call);
void call_info_free(roam_call *call);
void call_info_received(roam_call *call, roam_server_txn *txn, const roam_message *m);

/* ---- call_media.c ---- */
/* Keeps a leg on the path that leads to the peer's media; NULL until it is up. */
roam_call_leg *call_keep_leg(roam_call *call);
roam_call_leg *call_leg_by_rtp(roam_call *call, uint32_t rtp_socket);
bool call_leg_failed(const roam_call *call);
void call_local_of(const roam_call_leg *leg, roam_session_local *out);
/* The agreement changed: the stream follows. */
void call_media_apply(roam_call *call);
/* The peer knows this leg now (2xx): send from it, let the others go. */
void call_leg_told(roam_call *call, uint32_t rtp_socket);
void call_media_progress(roam_call *call);
void call_media_stop(roam_call *call);
bool call_socket_opened(roam_ua *ua, uint32_t socket, int err, const roam_addr *local);
bool call_media_receive(roam_ua *ua, uint32_t socket, const roam_addr *from, roam_span bytes);
void call_media_drop_dead(roam_call *call);
/* Does the peer's RTP or RTCP come, although since `since` the next hop of the call is silent? Media that flows is evidence that the path is alive. */
bool call_media_alive(const roam_call *call, roam_time since);
/* Should RTP of the peer come? */
bool call_media_expected(const roam_call *call);
void call_media_error(roam_ua *ua, uint32_t socket); /* the system could not send on it */
void call_media_run(roam_call *call);
void call_set_audio(roam_call *call, roam_audio_source *source, bool set_source, roam_audio_sink *sink, bool set_sink);

#endif
