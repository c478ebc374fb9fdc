/* A change of path, told as one story: epochs, what is under way for which account and call, progress and the report at the end.
 *
 * The registrations and calls find out by themselves that their path is another now, and do what it takes (their work functions). Here is only what they
 * report to: when a move began, its phases, its end, and when all of it is over. */
#ifndef ROAM_UA_IP_CHANGE_H
#define ROAM_UA_IP_CHANGE_H

#include "base/env.h"
#include "roam/core.h"
#include "ua/net.h"
#include "ua/work.h"

typedef struct roam_ip_change {
    uint32_t epoch;
    bool bumped;            /* this input raised the epoch already: one change, one epoch, however many it moves */
    size_t active;          /* moves under way */
    bool running;           /* COMPLETED is owed */
    roam_timer coalesce;    /* followers of a change are looked at together */
    roam_time last_acted;
    bool acted;
    uint64_t bucket_milli;  /* REGISTERs that may leave now, in thousandths */
    roam_time bucket_time;
    roam_timer bucket_timer;
    roam_list paced;        /* roam_paced.node: they wait for the bucket, first come first served */
} roam_ip_change;

/* Somebody whose REGISTER or SUBSCRIBE waits for its turn. */
typedef struct roam_paced {
    roam_list node;
    roam_work *work;
} roam_paced;
static inline void paced_init(roam_paced *paced, roam_work *work)
{
    list_init(&paced->node);
    paced->work = work;
}

/* What moves: a registration, a call or a subscription. */
typedef enum roam_move_state {
    MOVE_NONE,
    MOVE_OFFLINE, /* no path */
    MOVE_RUNNING  /* a path, and something not yet done on it */
} roam_move_state;

typedef struct roam_move {
    roam_ua *ua;
    roam_move_state state;
    roam_time began;
    roam_account_id account;
    roam_call_id call;
    roam_subscription_id subscription; /* both 0: a registration */
    roam_ip_change_report report;
    uint64_t lost_before, peer_lost_before;
    roam_ip local;        /* of the path it leads to; family 0: none yet */
    const char *evidence; /* set before move_begin: what gave the path away although its address stays; told with DETECTED. Static; NULL: the address tells */
} roam_move;

void ip_change_init(roam_ua *ua);
/* News of the network: everybody looks, now or (a follower of a change) at the end of the coalescing time. */
void ip_change_news(roam_ua *ua, roam_net_news news);
/* True while followers of a change are being collected: a user of a path that still works waits for the timer. */
bool ip_change_collecting(const roam_ua *ua);

/* May this REGISTER or SUBSCRIBE leave now? Many that move at once are paced: one that is refused is looked at again when its turn comes. */
bool ip_change_token(roam_ua *ua, roam_paced *paced);

void move_init(roam_move *move, roam_ua *ua, roam_account_id account, roam_call_id call);
/* A path that was in use is another now, or gone. Begins a move, or a new one in place of the running one (last wins). `local` NULL: offline. */
void move_begin(roam_move *move, const roam_addr *local, bool old_alive, const char *why);
/* There is a path (again). */
void move_path(roam_move *move, const roam_addr *local);
void move_sent(roam_move *move);
void move_retry(roam_move *move, int status);
void move_answered(roam_move *move, int sip_code); /* a 2xx */
void move_uplink(roam_move *move);
void move_downlink(roam_move *move);
void move_recovered(roam_move *move);
void move_failed(roam_move *move, int status, int sip_code, const char *why);
/* Its object ends for another reason (hang-up, removal): no story to tell any more. */
void move_cancel(roam_move *move);
static inline bool move_active(const roam_move *move)
{
    return move->state != MOVE_NONE;
}
/* Progress of P7 that belongs to the move. */
void move_progress(roam_move *move, roam_ip_change_op op, int status, int sip_code, const char *why);

#endif
