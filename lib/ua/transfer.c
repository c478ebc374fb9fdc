/* Our REFERs: who is asked to call whom, and the news of how it goes. */
#include "ua/transfer.h"

#include <assert.h>

#include "ua/uas.h"
#include "ua/record.h"
#include "wire/chars.h"

#define SILENCE_LIMIT ROAM_SECONDS(32)   /* accepted, and no first NOTIFY: Timer N of RFC 6665, 64*T1 */
#define NEWS_LIMIT ROAM_SECONDS(300)     /* the longest silence between two NOTIFYs, whatever the notifier promised */
#define LATE_LIMIT ROAM_SECONDS(32)      /* the outcome is known; a last NOTIFY may still come */
#define MAX_TRANSFERS 4u                 /* of a call, with those that only wait for a last NOTIFY */

/* One REFER of ours. */
typedef enum refer_state {
    REFER_WAITING, /* to be sent: no path yet, a challenge, or a path that went */
    REFER_SENT,
    REFER_ACCEPTED, /* 2xx, or a NOTIFY that was faster */
    REFER_OVER      /* the application knows the outcome */
} refer_state;

struct roam_transfer {
    roam_list node; /* roam_call.transfers */
    roam_call *call;
    refer_state state;
    roam_transfer_state told; /* what the application heard last */
    int code;
    char *refer_to;  /* value of the header */
    roam_client_txn *txn;
    uint32_t first_cseq, last_cseq; /* of the REFER and its repetitions */
    uint32_t path;   /* id of the path whose address the peer knows from us */
    roam_auth_attempt attempt;
    roam_timer timer;
};

const char *roam_transfer_state_text(roam_transfer_state state)
{
    static const char *const text[] = {"none", "pending", "accepted", "done", "failed"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}

/* ---- states ---- */

static void set_state(roam_transfer *t, refer_state state, const char *why)
{
    static const char *const text[] = {"waiting", "sent", "accepted", "over"};
    enum { W = 1, S = 2, A = 4, O = 8 };
    static const unsigned legal[] = {[REFER_WAITING] = S | A | O, [REFER_SENT] = W | A | O, [REFER_ACCEPTED] = O, [REFER_OVER] = 0};
    if (t->state == state)
        return;
    assert(legal[t->state] & 1u << state);
    trace_state(&t->call->ua->env.trace, "transfer", t->call->id, text[t->state], text[state], why);
    t->state = state;
}

static void tell(roam_transfer *t, roam_transfer_state state, int code, int status, const char *why)
{
    if (t->told == state && t->code == code)
        return;
    t->told = state;
    t->code = code;
    roam_event event = {.type = ROAM_EVENT_CALL_TRANSFER,
                        .account = t->call->account->id,
                        .call = t->call->id,
                        .transfer = state,
                        .sip_code = code,
                        .status = status};
    ua_event(t->call->ua, &event, why);
}

static void transfer_free(roam_transfer *t)
{
    roam_call *call = t->call;
    roam_env *env = &call->ua->env;
    if (t->txn)
        client_txn_abandon(t->txn);
    env_cancel(env, &t->timer);
    list_remove(&t->node);
    mem_free(&env->mem, t->refer_to);
    mem_free(&env->mem, t);
    call_linger_look(call);
}

/* The application hears the outcome. `last`: no NOTIFY will follow. */
static void finish(roam_transfer *t, roam_transfer_state outcome, int code, int status, bool last, const char *why)
{
    set_state(t, REFER_OVER, why);
    tell(t, outcome, code, status, why);
    if (t->txn)
        client_txn_abandon(t->txn);
    t->txn = NULL;
    if (last || env_arm(&t->call->ua->env, &t->timer, LATE_LIMIT) != 0)
        transfer_free(t);
}

static void on_timer(roam_timer *timer)
{
    roam_transfer *t = container_of(timer, roam_transfer, timer);
    roam_call *call = t->call;
    if (t->state == REFER_OVER)
        transfer_free(t);
    else if (!flow_usable(call->flow) && call->state != ROAM_CALL_ENDED)
        env_arm(&call->ua->env, &t->timer, SILENCE_LIMIT); /* no news while nobody could bring any; offline_max bounds it. Its place in the heap is free */
    else
        finish(t, ROAM_TRANSFER_FAILED, 0, ROAM_ETIMEOUT, false, "the peer does not say how it went");
}

static void accepted(roam_transfer *t, roam_time limit, const char *why)
{
    set_state(t, REFER_ACCEPTED, why);
    if (env_arm(&t->call->ua->env, &t->timer, limit) != 0)
        finish(t, ROAM_TRANSFER_FAILED, 0, ROAM_ENOMEM, false, "no memory to wait for news");
}

/* ---- REFER ---- */

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_transfer *t = user;
    roam_call *call = t->call;
    if (txn != t->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    bool path_gone = event == CLIENT_FAILED && !flow_usable(client_txn_flow(txn));
    roam_method asked = client_txn_method(txn);
    t->txn = NULL;
    client_txn_abandon(txn);
    if (path_gone && t->state == REFER_SENT) {
        set_state(t, REFER_WAITING, "its path is gone");
        call_look(call);
        return;
    }
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (t->state != REFER_SENT) { /* a NOTIFY was faster, or this answers a SUBSCRIBE that only told our new address */
        if (asked == METHOD_SUBSCRIBE && code == 481)
            finish(t, ROAM_TRANSFER_FAILED, 481, 0, true, "the peer no longer knows of it");
        return;
    }
    if (code < 300) {
        dialog_target_refresh(&call->dialog, response);
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
        roam_span sub = span_trim(message_value_named(response, SPAN("Refer-Sub")));
        tell(t, ROAM_TRANSFER_ACCEPTED, (int)code, 0, "accepted");
        if (span_ieq(span_trim(span_cut(sub, ';', &sub)), SPAN("false"))) { /* RFC 4488 4 */
            set_state(t, REFER_OVER, "accepted without a subscription");
            transfer_free(t);
            return;
        }
        accepted(t, SILENCE_LIMIT, "accepted");
        call_look(call);
    } else if ((code == 401 || code == 407) && event == CLIENT_RESPONSE &&
               credentials_challenged(&call->account->credentials, &t->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        set_state(t, REFER_WAITING, "challenged");
        call_look(call);
    } else {
        finish(t, ROAM_TRANSFER_FAILED, (int)code, 0, true, event == CLIENT_RESPONSE ? status_text(code) : "nobody answered");
    }
}

static bool send_request(roam_transfer *t, roam_method method)
{
    roam_call *call = t->call;
    roam_ua *ua = call->ua;
    roam_request r;
    dialog_request_begin(&call->dialog, &ua->sip, &r, call->flow, method, 0);
    call_write_identity(call, &r.w, true);
    if (method == METHOD_REFER) {
        write_header(&r.w, HEADER_REFER_TO, span_of(t->refer_to));
        write_header_name(&r.w, HEADER_REFERRED_BY); /* RFC 3892 2.1 */
        write_char(&r.w, '<');
        write_cstr(&r.w, call->account->aor);
        write_lit(&r.w, ">\r\n");
    } else {
        write_header_name(&r.w, HEADER_EVENT);
        write_lit(&r.w, "refer;id=");
        write_u64(&r.w, t->last_cseq);
        write_lit(&r.w, "\r\nAccept: message/sipfrag\r\n");
        write_header_u32(&r.w, HEADER_EXPIRES, NEWS_LIMIT / ROAM_SECONDS(1));
    }
    credentials_write(&call->account->credentials, &t->attempt, AUTH_REQUEST, &r.w, span_of(method_text(method)), span_of(call->dialog.remote_target));
    write_body(&r.w, SPAN(""), SPAN(""));
    t->txn = request_send(&r, on_answer, t);
    if (t->txn)
        t->path = call->flow->path->id;
    return t->txn != NULL;
}

bool transfer_may_send(const roam_call *call)
{
    if (!flow_usable(call->flow) || call->dialog.state != DIALOG_CONFIRMED)
        return false;
    bool due = call->refresh == REFRESH_IDLE && call->told.path != call->flow->path->id && call->account->policy.reinvite_flags;
    return call->state != ROAM_CALL_CONFIRMED || !move_active(&call->move) || !(due || call->refresh == REFRESH_SENT);
}

void transfers_run(roam_call *call)
{
    list_each(t, &call->transfers, roam_transfer, node)
    {
        if (t->state == REFER_WAITING && (call->state == ROAM_CALL_DISCONNECTING || call->state == ROAM_CALL_ENDED)) {
            finish(t, ROAM_TRANSFER_FAILED, 0, ROAM_ESTATE, true, "the call ended before the peer was asked");
        } else if (t->state == REFER_WAITING && transfer_may_send(call)) {
            if (send_request(t, METHOD_REFER)) {
                t->last_cseq = call->dialog.local_cseq;
                t->first_cseq = t->first_cseq ? t->first_cseq : t->last_cseq;
                set_state(t, REFER_SENT, "REFER");
            }
        } else if (t->state == REFER_ACCEPTED && call->state == ROAM_CALL_ENDED && !t->txn && t->path != call->flow->path->id && transfer_may_send(call)) {
            send_request(t, METHOD_SUBSCRIBE); /* no call is left whose refresh tells the peer where NOTIFYs go (RFC 3515 2.4.4) */
        }
    }
}

void transfers_path_lost(roam_call *call)
{
    list_each(t, &call->transfers, roam_transfer, node)
    {
        if (t->txn)
            client_txn_abandon(t->txn);
        t->txn = NULL;
        if (t->state == REFER_SENT) /* sent again with the next CSeq once the peer knows our new address; a NOTIFY until then says that it arrived */
            set_state(t, REFER_WAITING, "its path is gone");
    }
}

bool transfers_outlive(roam_call *call, bool goes_on, int code)
{
    bool any = false;
    list_each(t, &call->transfers, roam_transfer, node)
    {
        bool live = goes_on && (t->state == REFER_SENT || t->state == REFER_ACCEPTED);
        if (!live && t->state != REFER_OVER) {
            set_state(t, REFER_OVER, "the call ended");
            tell(t, ROAM_TRANSFER_FAILED, code > 0 ? code : 0, code < 0 ? code : ROAM_ESTATE, "the call ended");
        }
        if (live || (goes_on && t->state == REFER_OVER && timer_armed(&t->timer)))
            any = true;
        else
            transfer_free(t);
    }
    return any;
}

void transfers_free(roam_call *call)
{
    list_each(t, &call->transfers, roam_transfer, node)
        transfer_free(t);
}

/* ---- a call is over, its dialog is not ---- */

bool call_may_linger(roam_call *call, int code)
{
    const roam_ua *ua = call->ua;
    bool room = ua->life == UA_RUNNING && !call->account->removed && ua->nlingering < ROAM_MAX_LINGERING;
    bool goes_on = room && code >= 0 && code != 481 && call->dialog.state == DIALOG_CONFIRMED; /* 481 ends the dialog as a whole (RFC 5057 5.1) */
    bool ours = transfers_outlive(call, goes_on, code), peers = referrals_outlive(call, goes_on);
    return ours || peers;
}

void call_linger(roam_call *call)
{
    call->lingers = true;
    call->ua->nlingering++;
    list_push(&call->ua->lingering, &call->node);
    call_look(call);
}

void call_linger_look(roam_call *call)
{
    if (!call->lingers || !list_empty(&call->transfers) || !list_empty(&call->referrals))
        return;
    roam_ua *ua = call->ua;
    call->lingers = false;
    ua->nlingering--;
    dialog_set_state(&call->dialog, DIALOG_ENDED, "its last usage is over");
    env_cancel(&ua->env, &call->offline_timer);
    map_remove(&ua->call_dialogs, &call->dialog_node);
    list_remove(&call->node);
    list_push(&ua->dead_calls, &call->node);
}

void calls_drop_lingering(roam_ua *ua, const roam_account *account)
{
    list_each(call, &ua->lingering, roam_call, node)
        if (!account || call->account == account) {
            transfers_free(call);
            referrals_free(call);
        }
}

/* ---- NOTIFY ---- */

bool transfer_event(const roam_message *m, uint32_t *id)
{
    roam_span params, value;
    roam_span event = span_trim(span_cut(message_value(m, HEADER_EVENT), ';', &params));
    *id = 0;
    if (!span_ieq(event, SPAN("refer")))
        return false;
    if (param_find(params, SPAN("id"), &value) && !span_u32(value, id))
        *id = UINT32_MAX; /* nobody's */
    return true;
}

void transfer_respond(roam_call *call, roam_server_txn *txn, unsigned status, const char *header)
{
    roam_response r;
    response_begin(txn, &r, status, SPAN(""), span_of(call->dialog.local_tag));
    write_lit(&r.w, "Contact: ");
    write_contact(call->account, &r.w, flow_usable(call->flow) ? call->flow : server_txn_flow(txn));
    write_lit(&r.w, "\r\n");
    write_cstr(&r.w, header);
    write_agent_headers(call->ua, &r.w, false);
    write_body(&r.w, SPAN(""), SPAN(""));
    response_send(&r);
}

/* The REFER that a NOTIFY is about: by its CSeq, which only the first of a dialog may leave out (RFC 3515 2.4.6). */
static roam_transfer *find(roam_call *call, uint32_t id)
{
    roam_transfer *found = NULL;
    list_each(t, &call->transfers, roam_transfer, node)
        if (t->first_cseq && (id ? id >= t->first_cseq && id <= t->last_cseq : !found || t->state != REFER_OVER))
            found = t;
    return found;
}

/* The status of a message/sipfrag (RFC 3420); 0: there is none. */
static unsigned sipfrag_status(roam_span body)
{
    uint64_t code;
    if (body.len < 11 || !span_ieq(span_make(body.ptr, 8), SPAN("SIP/2.0 ")) || !span_u64(span_make(body.ptr + 8, 3), 699, &code) || code < 100)
        return 0;
    return body.len == 11 || body.ptr[11] == ' ' || body.ptr[11] == '\r' || body.ptr[11] == '\n' ? (unsigned)code : 0;
}

static roam_time news_limit(roam_span params)
{
    roam_span value;
    uint32_t seconds;
    if (!param_find(params, SPAN("expires"), &value) || !span_u32(value, &seconds) || ROAM_SECONDS(seconds) > NEWS_LIMIT)
        return NEWS_LIMIT;
    return ROAM_SECONDS(seconds) + SILENCE_LIMIT;
}

void transfer_on_notify(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    uint32_t id;
    if (!transfer_event(m, &id)) {
        uas_respond(ua, txn, 489, "Allow-Events: refer\r\n");
        return;
    }
    roam_transfer *t = find(call, id);
    if (!t) {
        uas_respond(ua, txn, 481, "");
        return;
    }
    roam_span params, reason;
    roam_span state = span_trim(span_cut(message_value(m, HEADER_SUBSCRIPTION_STATE), ';', &params));
    if (m->body.len && !message_has_body_type(m, SPAN("message/sipfrag"))) {
        uas_respond(ua, txn, 415, "Accept: message/sipfrag\r\n");
        return;
    }
    unsigned code = sipfrag_status(m->body);
    if (!state.len || (m->body.len && !code)) { /* RFC 6665 8.2.3; RFC 3515 2.4.5 */
        uas_respond(ua, txn, 400, "");
        return;
    }
    bool terminated = span_ieq(state, SPAN("terminated"));
    dialog_target_refresh(&call->dialog, m);
    transfer_respond(call, txn, 200, "");
    call_look(call);
    if (t->state == REFER_OVER) {
        if (terminated)
            transfer_free(t);
        return;
    }
    if (code >= 300) {
        finish(t, ROAM_TRANSFER_FAILED, (int)code, 0, terminated, status_text(code));
    } else if (code >= 200) {
        finish(t, ROAM_TRANSFER_DONE, (int)code, 0, terminated, "the target answered");
    } else if (terminated) {
        bool said = param_find(params, SPAN("reason"), &reason);
        finish(t, ROAM_TRANSFER_FAILED, 0, 0, true,
               said && span_ieq(reason, SPAN("rejected")) ? "the peer does not want to" : "the peer stopped telling before it was over");
    } else {
        if (code)
            tell(t, ROAM_TRANSFER_ACCEPTED, (int)code, 0, status_text(code));
        accepted(t, news_limit(params), "NOTIFY");
    }
}

/* ---- the public side ---- */

/* A value of a header in a URI (RFC 3261 19.1.1, 25.1: hnv-unreserved and unreserved stay). */
static void write_uri_header(roam_writer *w, roam_span value)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (char_is(c, CHAR_HEADER)) {
            write_char(w, c);
        } else {
            write_char(w, '%');
            write_char(w, hex[(unsigned char)c >> 4]);
            write_char(w, hex[(unsigned char)c & 15]);
        }
    }
}

/* Who takes our place in `other`, and how its peer knows it again (RFC 5589 7.3). The peer's address of record is named: its Contact may be one that nobody
 * else reaches, and goes with the next move of it; a GRUU is reached by everybody. */
static int refer_to_call(const roam_call *other, roam_writer *w)
{
    roam_name_addr party;
    roam_uri target;
    roam_span gruu;
    if (name_addr_parse(span_of(other->dialog.remote_party), &party) != 0)
        return ROAM_EINVAL;
    roam_uri uri = party.uri;
    if (uri_parse(span_of(other->dialog.remote_target), &target) == 0 && param_find(target.params, SPAN("gr"), &gruu))
        uri = target;
    write_char(w, '<');
    write_span(w, uri.headers.len ? span_between(uri.text.ptr, uri.headers.ptr - 1) : uri.text);
    write_lit(w, "?Replaces=");
    write_uri_header(w, span_of(other->dialog.call_id));
    write_uri_header(w, SPAN(";to-tag="));
    write_uri_header(w, span_of(other->dialog.remote_tag));
    write_uri_header(w, SPAN(";from-tag="));
    write_uri_header(w, span_of(other->dialog.local_tag));
    write_char(w, '>');
    return w->overflow ? ROAM_ELIMIT : 0;
}

static int ask(roam_call *call, roam_span refer_to)
{
    roam_ua *ua = call->ua;
    size_t n = 0;
    list_each(t, &call->transfers, roam_transfer, node)
    {
        if (t->state != REFER_OVER)
            return ROAM_ESTATE;
        n++;
    }
    if (n >= MAX_TRANSFERS)
        return ROAM_ELIMIT;
    roam_transfer *t = mem_new(&ua->env.mem, roam_transfer);
    char *copy = mem_strdup(&ua->env.mem, refer_to);
    if (!t || !copy) {
        mem_free(&ua->env.mem, t);
        mem_free(&ua->env.mem, copy);
        return ROAM_ENOMEM;
    }
    t->call = call;
    t->refer_to = copy;
    list_init(&t->node);
    timer_init(&t->timer, on_timer, "news of a transfer");
    list_push(&call->transfers, &t->node);
    ua_enter(ua, ua_now(ua));
    tell(t, ROAM_TRANSFER_PENDING, 0, 0, "the peer is asked");
    call_look(call);
    ua_leave(ua);
    return 0;
}

int roam_call_transfer(roam_ua *ua, roam_call_id id, const char *target)
{
    record_call(ua, "call_transfer", id, NULL, target, 0);
    char text[ROAM_MAX_URI + 3];
    roam_writer w;
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (!target || !*target)
        return ROAM_EINVAL;
    if (call->state != ROAM_CALL_CONFIRMED)
        return ROAM_ESTATE;
    writer_init(&w, text, sizeof text);
    write_char(&w, '<');
    int err = account_complete_uri(call->account, span_of(target), &w);
    write_char(&w, '>');
    return err ? err : w.overflow ? ROAM_EINVAL : ask(call, writer_span(&w));
}

int roam_call_transfer_to_call(roam_ua *ua, roam_call_id id, roam_call_id other_id)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "call_transfer_to_call", ua_now(ua));
        record_number(&r, "call", id);
        record_number(&r, "other", other_id);
        record_end(&r);
    }
    char text[3 * ROAM_MAX_URI];
    roam_writer w;
    roam_call *call = call_find(ua, id), *other = call_find(ua, other_id);
    if (!call || !other)
        return ROAM_ENOTFOUND;
    if (call == other)
        return ROAM_EINVAL;
    if (call->state != ROAM_CALL_CONFIRMED || other->state != ROAM_CALL_CONFIRMED)
        return ROAM_ESTATE;
    writer_init(&w, text, sizeof text);
    int err = refer_to_call(other, &w);
    return err ? err : ask(call, writer_span(&w));
}
