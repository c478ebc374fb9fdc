#include "sim/actor.h"

#include "sim/inside.h"
#include "testbed/peer.h"

const char *who_text(sim_who who)
{
    static const char *const text[] = {"alice", "bob", "carol"};
    return text[who];
}

const char *phase_text(sim_phase phase)
{
    static const char *const text[] = {"none", "calling", "ringing", "incoming", "answered", "up", "closing"};
    return text[phase];
}

const char *deed_text(sim_deed deed)
{
    static const char *const text[] = {"call", "answer", "reject", "hangup", "hold", "resume", "re-invite", "update", "dtmf", "ip-change", "progress", "transfer", "attended",
                                       "subscribe", "message", "info", "accept-transfer", "wait"};
    return text[deed];
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    len = len < size ? len : size - 1;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

/* ---- looking ---- */

static sim_phase leg_phase(const roam_leg *leg)
{
    switch (leg->state) {
    case LEG_CALLING: return leg->ringing_told ? PHASE_RINGING : PHASE_CALLING;
    case LEG_RINGING: return PHASE_INCOMING;
    case LEG_CONFIRMED: return accept_waiting(&leg->accept) ? PHASE_ANSWERED : PHASE_UP;
    case LEG_CANCELLING:
    case LEG_CLOSING: return PHASE_CLOSING;
    case LEG_ENDED: break;
    }
    return PHASE_NONE;
}

static void view_leg(const roam_leg *leg, sim_view *v)
{
    *v = (sim_view){.id = leg->id, .phase = leg_phase(leg), .outgoing = leg->dialog.caller};
    v->settled = !leg->invite && !leg->update && !accept_waiting(&leg->accept) && !timer_armed(&leg->retry_timer);
    copy_text(v->call_id, sizeof v->call_id, leg->dialog.call_id);
    copy_text(v->local_tag, sizeof v->local_tag, leg->dialog.local_tag);
    copy_text(v->remote_tag, sizeof v->remote_tag, leg->dialog.remote_tag);
    copy_text(v->target, sizeof v->target, leg->dialog.remote_target);
    v->local_cseq = leg->dialog.local_cseq;
    v->remote_cseq = leg->dialog.remote_cseq;
    v->local_hold = leg->local_hold;
    v->remote_hold = leg->remote_hold;
    v->media_local = leg->rtp_open ? leg->rtp_local : (roam_addr){0};
    v->media_remote = leg->audio.signalled;
    v->sent = leg->audio.sent;
    v->received = leg->audio.received;
}

size_t actor_views(const sim_actor *actor, sim_view views[VIEW_MAX])
{
    size_t n = 0;
    if (!actor->node)
        return 0;
    if (actor->roam)
        return inside_views(actor->node->ua, views);
    list_each(leg, &actor->node->peer->legs, roam_leg, node)
        if (leg->state != LEG_ENDED && n < VIEW_MAX)
            view_leg(leg, &views[n++]);
    return n;
}

bool actor_view(const sim_actor *actor, sim_view *view)
{
    sim_view views[VIEW_MAX];
    size_t n = actor_views(actor, views);
    while (n > 0)
        if (views[--n].phase != PHASE_CLOSING) {
            *view = views[n];
            return true;
        }
    return false;
}

bool actor_registered(const sim_actor *actor)
{
    roam_account_info info;
    if (!actor->roam)
        return actor->node->peer->registered;
    return roam_account_get_info(actor->node->ua, actor->account, &info) == 0 && info.registration == ROAM_REGISTRATION_REGISTERED;
}

/* ---- doing ---- */

static void uri_of(const sim_actor *actor, char uri[64])
{
    roam_writer w;
    writer_init(&w, uri, 63);
    write_lit(&w, "sip:");
    write_cstr(&w, actor->user);
    write_lit(&w, "@example.com");
    uri[w.len] = '\0';
}

static int do_roam(sim_actor *actor, sim_deed deed, const sim_actor *whom)
{
    roam_ua *ua = actor->node->ua;
    roam_call_options options = {.source = roam_tone_source(440)};
    roam_subscription_config subscription = {.account = actor->account, .event = "message-summary"};
    roam_subscription_id sid;
    roam_call_id id = 0;
    sim_view v = {0}, views[VIEW_MAX];
    char uri[64] = "";
    int err = ROAM_ESTATE;
    bool taken = false; /* the source */
    if (whom)
        uri_of(whom, uri);
    roam_ua_advance(ua, actor->node->world->now);
    bool have = actor_view(actor, &v);
    switch (deed) {
    case DO_CALL: err = roam_call_make(ua, actor->account, uri, &options, &id); taken = err == 0; break;
    case DO_ANSWER: err = have ? roam_call_answer(ua, v.id, &options) : ROAM_ESTATE; taken = err == 0; break;
    case DO_REJECT: err = have ? roam_call_reject(ua, v.id, 0) : ROAM_ESTATE; break;
    case DO_HANGUP: err = have ? roam_call_hangup(ua, v.id) : ROAM_ESTATE; break;
    case DO_HOLD: err = have ? roam_call_hold(ua, v.id) : ROAM_ESTATE; break;
    case DO_RESUME: err = have ? roam_call_resume(ua, v.id) : ROAM_ESTATE; break;
    case DO_DTMF: err = have ? roam_call_dtmf(ua, v.id, "1") : ROAM_ESTATE; break;
    case DO_IP_CHANGE: err = roam_handle_ip_change(ua, NULL); break;
    case DO_REINVITE: /* a roam has no command for these: hold is its re-INVITE */
    case DO_UPDATE:
    case SIM_DEEDS: break;
    case DO_WAIT: err = 0; break;
    case DO_PROGRESS: err = have ? roam_call_progress(ua, v.id, 183, true, &options) : ROAM_ESTATE; taken = err == 0; break;
    case DO_TRANSFER: err = have ? roam_call_transfer(ua, v.id, uri) : ROAM_ESTATE; break;
    case DO_ATTENDED: err = actor_views(actor, views) >= 2 ? roam_call_transfer_to_call(ua, views[0].id, views[1].id) : ROAM_ESTATE; break;
    case DO_ACCEPT_TRANSFER: err = roam_call_transfer_accept(ua, actor->transfer, &options, NULL); taken = err == 0; break;
    case DO_SUBSCRIBE: err = roam_subscribe(ua, &subscription, &sid); break;
    case DO_INFO: err = have ? roam_call_send_info(ua, v.id, "application/x-sim", SPAN("hello")) : ROAM_ESTATE; break;
    case DO_MESSAGE: err = roam_message_send(ua, actor->account, uri, NULL, SPAN("hello"), NULL); break;
    }
    if (!taken && options.source && options.source->close)
        options.source->close(options.source);
    world_flush(actor->node);
    return err;
}

static int do_peer(sim_actor *actor, sim_deed deed, const sim_actor *whom)
{
    roam_peer *peer = actor->node->peer;
    roam_time now = actor->node->world->now;
    sim_view v, views[VIEW_MAX];
    char uri[64] = "";
    uint32_t call;
    if (whom)
        uri_of(whom, uri);
    if (deed == DO_CALL)
        return peer_call(peer, now, uri, &call);
    if (deed == DO_WAIT)
        return 0;
    if (!actor_view(actor, &v))
        return ROAM_ESTATE;
    switch (deed) {
    case DO_ANSWER: return peer_answer(peer, now, v.id);
    case DO_REJECT: return peer_reject(peer, now, v.id, 486);
    case DO_HANGUP: return peer_hangup(peer, now, v.id);
    case DO_HOLD: return peer_hold(peer, now, v.id, true, false);
    case DO_RESUME: return peer_hold(peer, now, v.id, false, false);
    case DO_REINVITE: return peer_refresh(peer, now, v.id, false, true);
    case DO_UPDATE: return peer_refresh(peer, now, v.id, true, true);
    case DO_TRANSFER: return peer_refer(peer, now, v.id, uri, 0);
    case DO_ATTENDED: return actor_views(actor, views) >= 2 ? peer_refer(peer, now, views[0].id, NULL, views[1].id) : ROAM_ESTATE;
    default: return ROAM_EUNSUPPORTED;
    }
}

int actor_do(sim_actor *actor, sim_deed deed, const sim_actor *whom)
{
    return actor->roam ? do_roam(actor, deed, whom) : do_peer(actor, deed, whom);
}
