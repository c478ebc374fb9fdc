/* The life of a call: states, and the work that keeps it as it should be. */
#include "ua/call.h"

#include <assert.h>

#include "ua/early.h"
#include "ua/replaces.h"
#include "ua/takeover.h"
#include "ua/transfer.h"
#include "ua/uas.h"

const char *roam_call_state_text(roam_call_state state)
{
    static const char *const text[] = {"calling", "incoming", "early", "connecting", "confirmed", "disconnecting", "ended"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}

static roam_span id_key(const roam_call_id *id)
{
    return span_make((const char *)id, sizeof *id);
}

roam_call *call_find(const roam_ua *ua, roam_call_id id)
{
    roam_map_node *node = map_find(&ua->call_ids, id_key(&id));
    return node ? container_of(node, roam_call, id_node) : NULL;
}

static bool dialog_key(char *out, size_t cap, roam_span call_id, roam_span tag, roam_span *key)
{
    roam_writer w;
    writer_init(&w, out, cap);
    write_span(&w, call_id);
    write_char(&w, '\n'); /* stands in neither */
    write_span(&w, tag);
    if (w.overflow) { /* a peer's Call-ID may be long: its hash names it as well */
        writer_init(&w, out, cap);
        uint64_t seed[2] = {1, 2}, hash = roam_siphash(seed, call_id);
        write_hex(&w, &hash, sizeof hash);
        write_char(&w, '\n');
        write_span(&w, tag);
    }
    *key = writer_span(&w);
    return !w.overflow;
}

static roam_call *find_by_dialog(const roam_ua *ua, roam_span call_id, roam_span our_tag)
{
    char space[sizeof((roam_call *)0)->dialog_key];
    roam_span key;
    if (!dialog_key(space, sizeof space, call_id, our_tag, &key))
        return NULL;
    roam_map_node *node = map_find(&ua->call_dialogs, key);
    return node ? container_of(node, roam_call, dialog_node) : NULL;
}

roam_call *call_by_dialog(const roam_ua *ua, roam_span call_id, roam_span our_tag)
{
    roam_call *call = find_by_dialog(ua, call_id, our_tag);
    return call && !call->lingers ? call : NULL;
}

roam_call *call_lingering(const roam_ua *ua, roam_span call_id, roam_span our_tag)
{
    roam_call *call = find_by_dialog(ua, call_id, our_tag);
    return call && call->lingers ? call : NULL;
}

int call_index_dialog(roam_call *call)
{
    roam_span key;
    map_remove(&call->ua->call_dialogs, &call->dialog_node);
    if (!dialog_key(call->dialog_key, sizeof call->dialog_key, span_of(call->dialog.call_id), span_of(call->dialog.local_tag), &key))
        return ROAM_ELIMIT;
    return map_insert(&call->ua->call_dialogs, &call->dialog_node, key);
}

/* ---- state ---- */

void call_tell(roam_call *call, roam_event_type type, int code, int status, const char *why)
{
    roam_event event = {.type = type,
                        .account = call->account->id,
                        .call = call->id,
                        .call_state = call->state,
                        .hold = session_hold(&call->session, call->told.hold),
                        .link = call->link,
                        .sip_code = code,
                        .status = status,
                        .epoch = ua_epoch(call->ua),
                        .media = call->last_media};
    if (flow_usable(call->flow))
        event.local = call->flow->path->local;
    ua_event(call->ua, &event, why);
}

void call_set_state(roam_call *call, roam_call_state state, int code, const char *why)
{
    enum { C = 1 << 0, I = 1 << 1, E = 1 << 2, N = 1 << 3, F = 1 << 4, D = 1 << 5, X = 1 << 6 };
    static const unsigned legal[] = {
        [ROAM_CALL_CALLING] = E | N | F | D | X,
        [ROAM_CALL_INCOMING] = N | D | X,
        [ROAM_CALL_EARLY] = C | F | N | D | X, /* C: called again on another path */
        [ROAM_CALL_CONNECTING] = F | D | X,
        [ROAM_CALL_CONFIRMED] = D | X,
        [ROAM_CALL_DISCONNECTING] = X,
        [ROAM_CALL_ENDED] = 0,
    };
    if (call->state == state)
        return;
    assert(legal[call->state] & (1u << state));
    trace_state(&call->ua->env.trace, "call", call->id, roam_call_state_text(call->state), roam_call_state_text(state), why);
    call->state = state;
    call->since = ua_now(call->ua);
    if (code)
        call->last_status = code;
    call_tell(call, ROAM_EVENT_CALL_STATE, code > 0 ? code : 0, code < 0 ? code : 0, why);
    if (call->referral)
        referral_follow(call);
    if (state == ROAM_CALL_CONFIRMED && !call->outgoing) /* one that this caller has given up for it, see probe_run */
        list_each(other, &call->ua->calls, roam_call, node)
            if (other->state == ROAM_CALL_CONNECTING)
                call_look(other);
}

void call_set_link(roam_call *call, roam_link_state link, const char *why)
{
    if (call->link == link)
        return;
    call->link = link;
    call_tell(call, ROAM_EVENT_CALL_LINK, 0, 0, why);
}

void call_report_hold(roam_call *call)
{
    roam_hold hold = session_hold(&call->session, call->told.hold);
    if (hold == call->hold_reported)
        return;
    call->hold_reported = hold;
    call_tell(call, ROAM_EVENT_CALL_HOLD, 0, 0, hold == ROAM_HOLD_NONE ? "resumed" : "held");
}

/* ---- birth and death ---- */

void call_media_timer(roam_timer *timer); /* call_media.c */
static void run(roam_work *work);

static void on_refresh_timer(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, refresh_timer);
    if (call->refresh == REFRESH_WAIT)
        call_refresh_set_state(call, REFRESH_IDLE, "waited as told");
    call_look(call);
}

static void on_offline(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, offline_timer);
    if (call->lingers) {
        transfers_free(call);
        referrals_free(call);
        return;
    }
    move_failed(&call->move, ROAM_EOFFLINE, 0, "no network for too long");
    call_end(call, ROAM_EOFFLINE, "no network for too long");
}

static void on_move_timer(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, move_timer);
    if (call->move.state == MOVE_RUNNING) { /* the call is not ended by it: its peer may be alive */
        move_failed(&call->move, ROAM_ETIMEOUT, call->last_status > 0 ? call->last_status : 0, "not whole again in time");
        call_set_link(call, ROAM_LINK_OK, "gave up repairing");
    }
}

static void on_life(roam_timer *timer)
{
    roam_call *call = container_of(timer, roam_call, life_timer);
    call_end(call, call->last_status, call->end_reason ? call->end_reason : "the good-bye was not answered");
}

roam_call *call_new(roam_ua *ua, roam_account *account, bool outgoing)
{
    if (ua->ncalls >= ROAM_MAX_CALLS)
        return NULL;
    roam_call *call = mem_new(&ua->env.mem, roam_call);
    if (!call)
        return NULL;
    call->ua = ua;
    call->account = account;
    call->outgoing = outgoing;
    call->id = ua->next_call + 1;
    call->state = outgoing ? ROAM_CALL_CALLING : ROAM_CALL_INCOMING;
    call->since = ua_now(ua);
    list_init(&call->node);
    list_init(&call->transfers);
    list_init(&call->referrals);
    watch_user_init(&call->watch);
    map_node_init(&call->id_node);
    map_node_init(&call->dialog_node);
    early_init(call);
    work_init(&call->work, run);
    move_init(&call->move, ua, account->id, call->id);
    timer_init(&call->refresh_timer, on_refresh_timer, "refresh retry");
    timer_init(&call->offline_timer, on_offline, "offline_max");
    timer_init(&call->move_timer, on_move_timer, "move");
    timer_init(&call->life_timer, on_life, "good-bye");
    timer_init(&call->leg_timer, call_media_timer, "leg retires");
    mend_init(call);
    rescue_init(call);
    session_timer_init(&call->session_timer, &ua->env, account->session_expires, account->session_min_se, call_session_timer);
    probe_init(call);
    if (map_insert(&ua->call_ids, &call->id_node, id_key(&call->id)) != 0) {
        mem_free(&ua->env.mem, call);
        return NULL;
    }
    ua->next_call++;
    ua->ncalls++;
    list_push(&ua->calls, &call->node);
    return call;
}

static void detach_transactions(roam_call *call)
{
    early_drop(call, false);
    takeover_stop(call, NULL);
    call_drop_taken_back(call);
    if (call->invite) {
        call_give_up(call, &call->dialog, false);
        client_txn_abandon(call->invite);
    }
    if (call->bye)
        client_txn_abandon(call->bye);
    call->invite = call->bye = NULL;
    session_timer_stop(&call->session_timer);
    call_refresh_stop(call);
    call_info_free(call);
    if (call->acked_txn)
        client_txn_abandon(call->acked_txn);
    call->acked_txn = NULL;
    accept_stop(&call->accept);
    reliable_let_go(&call->reliable);
    probe_stop(call);
    if (call->uas)
        server_txn_attach(call->uas, NULL, NULL);
    call->uas = NULL;
}

void call_end(roam_call *call, int code, const char *why)
{
    if (call->state == ROAM_CALL_ENDED)
        return;
    roam_ua *ua = call->ua;
    if (call->uas)
        uas_respond_tagged(ua, call->uas, 487, "", span_of(call->dialog.local_tag));
    replaces_remember_end(call);
    detach_transactions(call);
    call_media_stop(call);
    move_cancel(&call->move);
    bool lingers = call_may_linger(call, code);
    if (call->dialog.env && !lingers) /* a call that found no path has none yet */
        dialog_set_state(&call->dialog, DIALOG_ENDED, why);
    env_cancel(&ua->env, &call->refresh_timer);
    env_cancel(&ua->env, &call->offline_timer);
    env_cancel(&ua->env, &call->life_timer);
    env_cancel(&ua->env, &call->move_timer);
    call_set_state(call, ROAM_CALL_ENDED, code, why);
    list_remove(&call->node);
    map_remove(&ua->call_ids, &call->id_node);
    ua->ncalls--;
    if (lingers) {
        call_linger(call);
        return;
    }
    list_push(&ua->dead_calls, &call->node);
    map_remove(&ua->call_dialogs, &call->dialog_node);
}

void call_free(roam_call *call)
{
    roam_ua *ua = call->ua;
    if (call->state != ROAM_CALL_ENDED) { /* the agent is freed with calls in it */
        call->state = ROAM_CALL_ENDED;
        detach_transactions(call);
        if (call->stream)
            stream_free(call->stream, true);
        call->stream = NULL;
        call_media_stop(call);
        move_cancel(&call->move);
        env_cancel(&ua->env, &call->refresh_timer);
        env_cancel(&ua->env, &call->offline_timer);
        env_cancel(&ua->env, &call->life_timer);
        env_cancel(&ua->env, &call->move_timer);
        map_remove(&ua->call_ids, &call->id_node);
        map_remove(&ua->call_dialogs, &call->dialog_node);
        ua->ncalls--;
    }
    call->lingers = false;
    transfers_free(call);
    referrals_free(call);
    if (call->referral)
        referral_follow(call);
    env_cancel(&ua->env, &call->offline_timer);
    map_remove(&ua->call_dialogs, &call->dialog_node);
    list_remove(&call->node);
    list_remove(&call->work.node);
    early_free(call);
    takeover_free(call);
    watch_follow(ua, &call->watch, NULL, 0);
    session_free(&call->session);
    dialog_free(&call->dialog);
    ack_free(&call->ack, &ua->env.mem);
    net_dest_put(ua, call->hop_dest);
    flow_unref(call->flow);
    mem_free(&ua->env.mem, call->target);
    mem_free(&ua->env.mem, call->replaces);
    mem_free(&ua->env.mem, call->referred_by);
    mem_free(&ua->env.mem, call->early_offer);
    mem_free(&ua->env.mem, call);
}

/* ---- the path ---- */

void call_path_lost(roam_call *call)
{
    call_refresh_path_lost(call);
    transfers_path_lost(call);
    referrals_path_lost(call);
    early_path_lost(call);
    takeover_path_lost(call);
    call->invite_refused = 0;
    call->invite_after = 0;
}

/* A move is a story of calls that live. */
static bool tells_moves(const roam_call *call)
{
    return call->state != ROAM_CALL_DISCONNECTING && call->state != ROAM_CALL_ENDED;
}

static void arm_offline(roam_call *call)
{
    /* The address is there, and its server is silent: that ends a call only whose peer is silent, too (account.h, offline_max_ms). */
    if (watch_why(call->ua, call->hop_dest, call->account->link, NULL) && !call_media_expected(call))
        return;
    if (!timer_armed(&call->offline_timer) && call->account->policy.offline_max_ms)
        env_arm(&call->ua->env, &call->offline_timer, ROAM_MS(call->account->policy.offline_max_ms));
}

/* The address is there, its socket is not: no path, until the system gives one (net.c asks again and again). */
static void path_refused(roam_call *call)
{
    const char *why = "the system refuses a socket on this path";
    if (call->move.state == MOVE_RUNNING)
        call_move_begin(call, NULL, false, why);
    arm_offline(call);
    if (call->move.state == MOVE_OFFLINE)
        call_set_link(call, ROAM_LINK_RECONNECTING, why);
}

static void path_offline(roam_call *call, const char *why)
{
    if (call->flow) {
        call_path_lost(call);
        flow_unref(call->flow);
        call->flow = NULL;
        if (tells_moves(call))
            call_move_begin(call, NULL, false, why);
    }
    arm_offline(call);
    if (call->move.state == MOVE_OFFLINE)
        call_set_link(call, ROAM_LINK_RECONNECTING, why);
}

/* The next hop of our requests. Kept over a move, unless the account wants it resolved again: the node that knows the dialog is the one to talk to. */
static int find_hop(roam_call *call, bool moved)
{
    roam_uri uri;
    roam_addr hop;
    roam_ua *ua = call->ua;
    /* An outgoing call's requests go where its INVITE went until it is answered (CANCEL: RFC 3261 9.1). */
    bool in_dialog = call->dialog.remote_target && (call->dialog.state == DIALOG_CONFIRMED || (!call->dialog.caller && call->dialog.state != DIALOG_NONE));
    int err = in_dialog
                  ? dialog_next_hop(&call->dialog, &uri)
                  : account_next_hop(call->account, span_of(call->target), &uri);
    if (err)
        return err;
    uint64_t name = (roam_siphash(ua->env.hash_seed, uri.host) ^ ((uint64_t)uri_effective_port(&uri) << 1)) | 1u;
    bool again = moved && (call->account->policy.reinvite_flags & ROAM_REINVITE_UPDATE_TARGET);
    if (call->hop_dest && call->hop_name == name && !again)
        return 0;
    err = resolve_uri_near(ua, &uri, call->hop_name == name ? &call->hop.ip : NULL, &hop);
    if (err)
        return err;
    roam_net_dest *dest = net_dest_get(ua, &hop.ip);
    if (!dest)
        return ROAM_ENOMEM;
    net_dest_put(ua, call->hop_dest);
    call->hop_dest = dest;
    call->hop_name = name;
    if (call->flow && !roam_addr_equal(&hop, &call->flow->remote)) { /* the same path, another remote: no move */
        roam_flow *flow = flow_get(&ua->sip, call->flow->path, &hop);
        if (flow) {
            flow_unref(call->flow);
            call->flow = flow;
        }
    }
    call->hop = hop;
    return 0;
}

/* A path that does not answer is none, unless media comes: then its server is down, and the call is left alone. */
static bool find_route(roam_call *call, roam_ip *source, uint32_t *link)
{
    roam_ua *ua = call->ua;
    roam_time since = 0;
    if (choose_route(ua, call->hop_dest, call->account->link, source, link))
        return true;
    return watch_why(ua, call->hop_dest, call->account->link, &since) && call_media_alive(call, since) &&
           net_route(ua, call->hop_dest, call->account->link, source, link);
}

bool call_keep_path(roam_call *call)
{
    roam_ua *ua = call->ua;
    roam_addr source = {0};
    uint32_t link = 0;
    int err = find_hop(call, false);
    if (err && call->hop_dest)
        err = 0; /* a name that is not known (yet): the hop it had, or the one of the target before, goes on being used */
    if (err == ROAM_ENOTFOUND || err == ROAM_ESYNTAX) {
        if (call->state == ROAM_CALL_CALLING && !call->invite && ua->net.have_picture)
            call_end(call, err == ROAM_ESYNTAX ? ROAM_EINVAL : ROAM_ENOTFOUND, "the host of the URI has no address");
        return false;
    }
    if (err)
        return false;
    if (!find_route(call, &source.ip, &link)) {
        if (net_route_awaited(ua, call->hop_dest, call->flow))
            return true; /* another hop, asked about a moment ago: by the path in use until the answer comes */
        const char *dead = watch_why(ua, call->hop_dest, call->account->link, NULL);
        if (call->hop_dest->answered || !ua->config.route_answers || call->flow)
            path_offline(call, dead ? dead : "no path to the next hop");
        return false;
    }
    roam_path *used = call->flow ? call->flow->path : NULL;
    bool other_link = used && link && used->link && used->link != link;
    if (used && (used->state == PATH_GONE || other_link || !roam_ip_equal(&used->local.ip, &source.ip))) {
        if (ip_change_collecting(ua))
            return used->state == PATH_UP;
        bool alive = used->state == PATH_UP && !watch_dead(ua, call->hop_dest, &used->local.ip, used->link);
        const char *dead = used->state == PATH_UP && !alive ? watch_why(ua, call->hop_dest, call->account->link, NULL) : NULL;
        call_path_lost(call);
        flow_unref(call->flow);
        call->flow = NULL;
        if (tells_moves(call)) {
            call->move.evidence = dead;
            call_move_begin(call, &source, alive, dead ? dead : "another path leads to the next hop");
            call_set_link(call, ROAM_LINK_MOVING, dead ? dead : "path changed");
        }
        find_hop(call, true);
    } else if (!used && call->move.state == MOVE_RUNNING && !roam_ip_equal(&call->move.local, &source.ip) && tells_moves(call)) {
        call_move_begin(call, &source, false, "another path leads to the next hop"); /* the one before never got its socket */
    }
    roam_path *path = net_path(ua, &source.ip, link);
    if (!path || path->state != PATH_UP) {
        if (path && path->state == PATH_FAILED && call->state == ROAM_CALL_CALLING && !call->invite && call->move.state == MOVE_NONE)
            call_end(call, ROAM_EIO, "the system refuses a socket on this path");
        else if (path && path->state == PATH_FAILED)
            path_refused(call);
        else
            arm_offline(call); /* a socket that never opens is no path either */
        return false;
    }
    env_cancel(&ua->env, &call->offline_timer);
    if (call->move.state == MOVE_OFFLINE)
        call_move_path(call, path);
    if (!call->flow)
        call->flow = flow_get(&ua->sip, path, &call->hop);
    return call->flow != NULL;
}

/* ---- what is wanted, and what is ---- */

/* P5: an account may prefer to end its calls. */
static bool hangs_up_on_move(roam_call *call)
{
    if (!move_active(&call->move) || !call->account->policy.hangup_calls || call->state == ROAM_CALL_DISCONNECTING)
        return false;
    if (call->move.state == MOVE_OFFLINE)
        return false; /* nobody could be told yet */
    move_progress(&call->move, ROAM_IP_CHANGE_ACCOUNT_HANGUP_CALLS, 0, 0, "the account says hangup_calls");
    move_cancel(&call->move);
    call_hangup(call, "network changed");
    return true;
}

static void run_transfers(roam_call *call)
{
    transfers_run(call);
    if (call->state != ROAM_CALL_ENDED || call->lingers)
        referrals_run(call);
}

static void keep(roam_work *work)
{
    roam_call *call = container_of(work, roam_call, work);
    if (call->state == ROAM_CALL_ENDED) {
        if (call->lingers && call_keep_path(call))
            run_transfers(call);
        return;
    }
    call_media_drop_dead(call);
    call_invite_path_lost(call);
    early_bury(call);
    bool path = call_keep_path(call);
    if (call->state == ROAM_CALL_ENDED || hangs_up_on_move(call))
        return;
    if (call->state != ROAM_CALL_DISCONNECTING)
        call_media_run(call);
    if (path)
        call_info_run(call);
    switch (call->state) {
    case ROAM_CALL_CALLING:
    case ROAM_CALL_EARLY:
        if (path)
            call_run_outgoing(call);
        break;
    case ROAM_CALL_INCOMING:
    case ROAM_CALL_CONNECTING:
        if (path)
            call_run_incoming(call);
        break;
    case ROAM_CALL_CONFIRMED:
        if (path) {
            call_run_reanswer(call);
            call_run_refresh(call);
            run_transfers(call);
        }
        call_check_recovered(call);
        break;
    case ROAM_CALL_DISCONNECTING:
        if (path)
            call_run_disconnecting(call);
        if (path)
            run_transfers(call);
        break;
    case ROAM_CALL_ENDED:
        break;
    }
}

static void run(roam_work *work)
{
    roam_call *call = container_of(work, roam_call, work);
    keep(work);
    watch_follow(call->ua, &call->watch, call->state == ROAM_CALL_ENDED ? NULL : call->flow, call->account->keepalive);
}

void call_hangup(roam_call *call, const char *why)
{
    switch (call->state) {
    case ROAM_CALL_ENDED:
    case ROAM_CALL_DISCONNECTING:
        return;
    case ROAM_CALL_INCOMING:
        call_reject(call, 486, why);
        return;
    case ROAM_CALL_CALLING:
    case ROAM_CALL_EARLY: /* without an INVITE: challenged after it rang, and not yet sent again */
        if (!call->invite) {
            call_end(call, 0, why);
            return;
        }
        break;
    case ROAM_CALL_CONNECTING:
    case ROAM_CALL_CONFIRMED:
        break;
    }
    move_cancel(&call->move);
    session_timer_stop(&call->session_timer);
    call->end_reason = why;
    call->refresh_failures = 0;
    if (call->state == ROAM_CALL_CONFIRMED || call->state == ROAM_CALL_CONNECTING) {
        call_refresh_stop(call);
        if (call->uas) { /* a re-INVITE of the peer that we have not answered */
            uas_respond_tagged(call->ua, call->uas, 487, "", span_of(call->dialog.local_tag));
            server_txn_attach(call->uas, NULL, NULL);
            call->uas = NULL;
        }
        call_media_stop(call);
    } else {
        if (flow_usable(call->flow))
            takeover_stop(call, call->flow);
        call->cancel_path = 0;
        if (!call_invite_unreachable(call)) { /* else: call_bye.c, with the BYE that it needs as well */
            client_txn_cancel(call->invite, call->flow, false);
            call->cancel_path = (call->flow ? call->flow : client_txn_flow(call->invite))->path->id;
        }
    }
    env_arm(&call->ua->env, &call->life_timer, CALL_DISCONNECT_LIMIT);
    call_set_state(call, ROAM_CALL_DISCONNECTING, 0, why);
    call_look(call);
}
