#include "ua/mend.h"

#include <assert.h>

#include "ua/call.h"

#define DOUBTED_LOOK ROAM_MS(250) /* the path is being asked: what it says is waited for */
#define QUIET ROAM_MS(100) /* longer than packets take, beyond what the signalling does */
#define FRESH ROAM_MS(400)        /* packets that come are not older */
#define SILENT ROAM_MS(900)       /* ... and a pause between two words is shorter */
#define REPORT_AFTER ROAM_SECONDS(1) /* a receiver report speaks of what was sent so long before it */
#define SENT_MIN 25               /* packets that the peer cannot have missed all */
#define MENDS 3u

/* So long after the peer was told; receiver reports take some seconds to come. */
static const roam_time looks[] = {ROAM_MS(500), ROAM_MS(1000), ROAM_MS(1500), ROAM_SECONDS(2), ROAM_SECONDS(4), ROAM_SECONDS(8), ROAM_SECONDS(16)};
#define LOOKS (sizeof looks / sizeof *looks)

static void look_at(roam_timer *timer);

static void set_state(roam_call *call, roam_mend_state state, const char *why)
{
    static const char *const text[] = {"looking", "quiet", "under way"};
    enum { L = 1 << MEND_LOOKING, Q = 1 << MEND_QUIET, U = 1 << MEND_UNDER_WAY };
    static const unsigned legal[] = {[MEND_LOOKING] = Q, [MEND_QUIET] = L | U, [MEND_UNDER_WAY] = L};
    roam_mend *mend = &call->mend;
    if (mend->state == state)
        return;
    assert(legal[mend->state] & (1u << state));
    trace_state(&call->ua->env.trace, "mend", call->id, text[mend->state], text[state], why);
    mend->state = state;
    if (call->stream) /* the leg is there for whoever wants it again */
        stream_set_leg_usable(call->stream, mend->leg, state == MEND_LOOKING);
}

void mend_init(roam_call *call)
{
    timer_init(&call->mend.timer, look_at, "does media flow?");
}

void mend_stop(roam_call *call)
{
    env_cancel(&call->ua->env, &call->mend.timer);
    set_state(call, MEND_LOOKING, "media over");
    call->mend.leg = 0;
}

static roam_time round_trip(const roam_call *call)
{
    const roam_watch *w = call->flow ? call->flow->watch : NULL;
    return w ? w->rtt : 0;
}

static void arm(roam_call *call)
{
    const roam_mend *mend = &call->mend;
    if (mend->looks >= LOOKS)
        return;
    const roam_time at = mend->since + 2 * round_trip(call) + looks[mend->looks], now = ua_now(call->ua);
    env_arm(&call->ua->env, &call->mend.timer, at > now ? at - now : DOUBTED_LOOK);
}

void mend_told(roam_call *call, uint32_t rtp_socket)
{
    roam_mend *mend = &call->mend;
    if (mend->leg == rtp_socket)
        return;
    const bool first = mend->leg == 0;
    if (mend->state != MEND_UNDER_WAY)
        mend->mended = 0;
    set_state(call, MEND_LOOKING, "told");
    mend->leg = rtp_socket;
    mend->since = ua_now(call->ua);
    mend->first = stream_next_sequence(call->stream);
    mend->looks = 0;
    if (!first) /* where a call begins there is no leg before, and a peer may have its reasons to be silent */
        arm(call);
}

void mend_doubt(roam_call *call)
{
    roam_mend *mend = &call->mend;
    if (!mend->leg || mend->state != MEND_LOOKING)
        return;
    mend->mended = mend->looks = 0;
    mend->since = ua_now(call->ua);
    mend->first = stream_next_sequence(call->stream);
    arm(call);
}

/* ---- what shows that it does not flow ---- */

/* The peer goes on sending to another leg. */
static bool strays(const roam_call *call)
{
    const roam_mend *mend = &call->mend;
    const roam_time now = ua_now(call->ua), told = stream_leg_last(call->stream, mend->leg);
    if (now - told < FRESH)
        return false;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        const roam_time other = call->legs[i].in_stream ? stream_leg_last(call->stream, call->legs[i].rtp_socket) : 0;
        if (other > mend->since && now - other < FRESH)
            return true;
    }
    return false;
}

static bool silent(const roam_call *call)
{
    roam_media_stats stats;
    stream_stats(call->stream, &stats);
    const roam_time from = stats.last_received > call->mend.since ? stats.last_received : call->mend.since;
    return call->expect_in && ua_now(call->ua) - from >= SILENT + 2 * round_trip(call);
}

static bool unheard(const roam_call *call)
{
    const roam_mend *mend = &call->mend;
    uint16_t last;
    const roam_time reported = stream_peer_report(call->stream, &last);
    const int sent = (int16_t)(stream_next_sequence(call->stream) - mend->first);
    return (call->session.agreed.direction & DIRECTION_SENDONLY) && reported >= mend->since + 2 * round_trip(call) + REPORT_AFTER && sent > SENT_MIN &&
           (int16_t)(last - mend->first) < 0;
}

static const char *evidence(const roam_call *call)
{
    const bool in = call_media_expected(call);
    if (in && strays(call))
        return "the peer sends to a leg it was told to leave: another leg";
    if (in && silent(call))
        return "nothing comes on the new leg: another one";
    return unheard(call) ? "the peer reports that it hears nothing of the new leg: another one" : NULL;
}

/* ---- looking ---- */

/* The path is in doubt, or the dialog is. */
static bool busy(const roam_call *call)
{
    const roam_watch *w = call->flow ? call->flow->watch : NULL;
    return !w || w->state == WATCH_SUSPECT || w->state == WATCH_DEAD || call->refresh != REFRESH_IDLE || call->uas;
}

static void arm_soon(roam_call *call, roam_time delay)
{
    env_arm(&call->ua->env, &call->mend.timer, delay);
}

/* The peer does not want another leg: the one it knows is the best there is. */
static void give_up(roam_call *call, const char *why)
{
    set_state(call, MEND_LOOKING, why);
    call->mend.mended = MENDS;
    (void)stream_send_from(call->stream, call->mend.leg);
}

static void look(roam_call *call)
{
    roam_mend *mend = &call->mend;
    if (mend->mended >= MENDS || !call_wants_media_move(call))
        return;
    if (busy(call)) {
        arm_soon(call, DOUBTED_LOOK);
        return;
    }
    const char *why = evidence(call);
    if (!why) {
        mend->looks++;
        arm(call);
        return;
    }
    set_state(call, MEND_QUIET, why);
    arm_soon(call, QUIET);
}

static void look_at(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, mend.timer);
    roam_mend *mend = &call->mend;
    if (!call->stream)
        return;
    if (call->state != ROAM_CALL_CONFIRMED || call->told.leg != mend->leg || !call->session.agreed.active) {
        set_state(call, MEND_LOOKING, "overtaken");
        return; /* the next one that is told will be looked at */
    }
    switch (mend->state) {
    case MEND_LOOKING:
        look(call);
        return;
    case MEND_QUIET:
        if (busy(call)) {
            set_state(call, MEND_LOOKING, "something else is under way");
            arm_soon(call, DOUBTED_LOOK);
            return;
        }
        set_state(call, MEND_UNDER_WAY, "another leg");
        move_retry(&call->move, 0);
        mend->mended++;
        call->leg_generation++;
        arm_soon(call, DOUBTED_LOOK);
        call_look(call);
        return;
    case MEND_UNDER_WAY:
        if (call->refresh == REFRESH_REFUSED)
            give_up(call, "refused");
        else
            arm_soon(call, DOUBTED_LOOK);
        return;
    }
}
