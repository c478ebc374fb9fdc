#include "sim/inside.h"

#include "ua/call.h"

static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    len = len < size ? len : size - 1;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

static sim_phase phase_of(const roam_call *call)
{
    switch (call->state) {
    case ROAM_CALL_CALLING: return PHASE_CALLING;
    case ROAM_CALL_EARLY: return PHASE_RINGING;
    case ROAM_CALL_INCOMING: return call->answer_wanted ? PHASE_ANSWERED : PHASE_INCOMING;
    case ROAM_CALL_CONNECTING: return PHASE_ANSWERED;
    case ROAM_CALL_CONFIRMED: return accept_waiting(&call->accept) ? PHASE_ANSWERED : PHASE_UP;
    case ROAM_CALL_DISCONNECTING: return PHASE_CLOSING;
    case ROAM_CALL_ENDED: break;
    }
    return PHASE_NONE;
}

size_t inside_views(const roam_ua *ua, sim_view views[VIEW_MAX])
{
    size_t n = 0;
    list_each(call, &ua->calls, roam_call, node)
    {
        sim_phase phase = phase_of(call);
        if (phase == PHASE_NONE || n == VIEW_MAX)
            continue;
        sim_view *v = &views[n++];
        *v = (sim_view){.id = call->id, .phase = phase, .outgoing = call->outgoing};
        v->settled = (call->refresh == REFRESH_IDLE || call->refresh == REFRESH_REFUSED) && !accept_waiting(&call->accept) && !call->uas &&
                     call->session.state == OFFER_STABLE && call->link == ROAM_LINK_OK;
        copy_text(v->call_id, sizeof v->call_id, call->dialog.call_id);
        copy_text(v->local_tag, sizeof v->local_tag, call->dialog.local_tag);
        copy_text(v->remote_tag, sizeof v->remote_tag, call->dialog.remote_tag);
        copy_text(v->target, sizeof v->target, call->dialog.remote_target);
        v->local_cseq = call->dialog.local_cseq;
        v->remote_cseq = call->dialog.has_remote_cseq ? call->dialog.remote_cseq : 0;
        v->local_hold = call->told.hold;
        v->remote_hold = call->session.remote_hold;
        roam_call_info info;
        if (roam_call_get_info(ua, call->id, &info) == 0) {
            v->media_local = info.media_local;
            v->media_remote = info.media_remote;
            v->sent = info.media.packets_sent;
            v->received = info.media.packets_received;
        }
    }
    return n;
}

size_t inside_transactions(const roam_ua *ua)
{
    roam_ua_counters counters;
    roam_ua_get_counters(ua, &counters);
    return counters.transactions;
}
