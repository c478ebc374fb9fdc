/* The peer's REFERs: checked, put before the application, carried out as a call, and told of by NOTIFY. */
#include "ua/transfer.h"

#include <assert.h>

#include "ua/uas.h"
#include "ua/record.h"

#define DECIDE_LIMIT ROAM_SECONDS(60)     /* the application's time; then 603 */
#define SUBSCRIPTION_LIFE ROAM_SECONDS(300) /* longer than a target may ring (Timer C: 180 s) */
#define MAX_REFERRALS 4u                  /* of a dialog at a time */
#define MAX_REPLACES 1024u
#define MAX_REFERRED_BY 1024u
#define MAX_RETRIES 2u

typedef enum referral_state {
    REFERRAL_ASKED,  /* the application is to decide */
    REFERRAL_TRYING, /* our call to the target is under way */
    REFERRAL_FINAL   /* the outcome is known, and is to be told */
} referral_state;

/* One REFER of the peer and its implicit subscription. */
struct roam_referral {
    roam_list node; /* roam_call.referrals */
    roam_call *call;
    referral_state state;
    char *refer_to;    /* as it came: the same again is the same wish, repeated */
    char *target;      /* URI to call */
    char *replaces;    /* NULL: none */
    char *referred_by; /* NULL: none */
    roam_call *target_call;
    uint32_t cseq;
    bool named;      /* NOTIFYs name the CSeq: it is not the first REFER of its dialog (RFC 3515 2.4.6) */
    bool deaf;       /* nobody is to be told, or nobody wants to hear any more */
    bool expired;    /* the subscription ends before the outcome is known */
    unsigned wanted; /* what the peer should know */
    unsigned told;   /* what it knows; 0: nothing */
    unsigned telling;
    bool telling_last;
    uint32_t told_path; /* id of the path whose address our last NOTIFY named */
    unsigned retries;
    roam_client_txn *txn;
    roam_auth_attempt attempt;
    roam_time expires_at;
    roam_timer timer; /* ASKED: the decision; then the end of the subscription */
};

/* ---- states ---- */

static void set_state(roam_referral *r, referral_state state, const char *why)
{
    static const char *const text[] = {"asked", "trying", "final"};
    enum { T = 2, F = 4 };
    static const unsigned legal[] = {[REFERRAL_ASKED] = T | F, [REFERRAL_TRYING] = F, [REFERRAL_FINAL] = 0};
    if (r->state == state)
        return;
    assert(legal[r->state] & 1u << state);
    trace_state(&r->call->ua->env.trace, "referral", r->call->id, text[r->state], text[state], why);
    r->state = state;
}

static void let_go(roam_referral *r)
{
    if (r->target_call)
        r->target_call->referral = NULL;
    r->target_call = NULL;
}

static void stop_telling(roam_referral *r)
{
    if (r->txn)
        client_txn_abandon(r->txn);
    r->txn = NULL;
}

static void referral_free(roam_referral *r)
{
    roam_call *call = r->call;
    roam_env *env = &call->ua->env;
    stop_telling(r);
    let_go(r);
    env_cancel(env, &r->timer);
    list_remove(&r->node);
    char *texts[] = {r->refer_to, r->target, r->replaces, r->referred_by};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free(&env->mem, texts[i]);
    mem_free(&env->mem, r);
    call_linger_look(call);
}

/* Nobody listens: what was decided goes on without us; what is not decided waits for the application. */
static void grow_deaf(roam_referral *r)
{
    stop_telling(r);
    r->deaf = true;
    if (r->state != REFERRAL_ASKED)
        referral_free(r);
}

static void end_with(roam_referral *r, unsigned code, const char *why)
{
    roam_call *call = r->call;
    let_go(r);
    r->wanted = code;
    set_state(r, REFERRAL_FINAL, why);
    if (r->deaf)
        referral_free(r);
    else
        call_look(call);
}

static void on_timer(roam_timer *timer)
{
    roam_referral *r = container_of(timer, roam_referral, timer);
    if (r->state == REFERRAL_ASKED) {
        env_arm(&r->call->ua->env, timer, SUBSCRIPTION_LIFE); /* its place in the heap is free */
        end_with(r, 603, "the application did not decide");
    } else if (r->state == REFERRAL_TRYING && !r->expired) {
        r->expired = true;
        env_arm(&r->call->ua->env, timer, ROAM_SECONDS(32)); /* to say so */
        call_look(r->call);
    } else {
        referral_free(r);
    }
}

/* ---- NOTIFY ---- */

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_referral *r = user;
    roam_call *call = r->call;
    if (txn != r->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    bool path_gone = event == CLIENT_FAILED && !flow_usable(client_txn_flow(txn));
    r->txn = NULL;
    client_txn_abandon(txn);
    call_look(call);
    unsigned code = event == CLIENT_RESPONSE ? response->status : event == CLIENT_TIMEOUT ? 408 : 503;
    if (path_gone)
        return;
    if ((code == 401 || code == 407) && event == CLIENT_RESPONSE &&
        credentials_challenged(&call->account->credentials, &r->attempt, AUTH_REQUEST, response) == AUTH_RETRY)
        return;
    if (code == 500 && r->retries++ < MAX_RETRIES) /* it overtook another request of ours (RFC 3261 12.2.2) */
        return;
    if (code >= 300) { /* 481, or nobody there: it does not want to hear more */
        grow_deaf(r);
        return;
    }
    credentials_info(&call->account->credentials, AUTH_REQUEST, response);
    r->attempt = (roam_auth_attempt){0};
    r->retries = 0;
    r->told = r->telling;
    if (r->telling_last)
        grow_deaf(r);
}

static void notify(roam_referral *r)
{
    roam_call *call = r->call;
    roam_ua *ua = call->ua;
    char body[80];
    roam_writer fragment;
    roam_request q;
    bool last = r->state == REFERRAL_FINAL || r->expired;
    writer_init(&fragment, body, sizeof body);
    write_status_line(&fragment, r->wanted, SPAN(""));
    dialog_request_begin(&call->dialog, &ua->sip, &q, call->flow, METHOD_NOTIFY, 0);
    call_write_identity(call, &q.w, true);
    write_header_name(&q.w, HEADER_EVENT);
    write_lit(&q.w, "refer");
    if (r->named) {
        write_lit(&q.w, ";id=");
        write_u64(&q.w, r->cseq);
    }
    write_lit(&q.w, "\r\n");
    write_header_name(&q.w, HEADER_SUBSCRIPTION_STATE);
    if (last) {
        write_cstr(&q.w, r->expired ? "terminated;reason=timeout\r\n" : "terminated;reason=noresource\r\n"); /* RFC 3515 2.4.7 */
    } else {
        write_lit(&q.w, "active;expires=");
        write_u64(&q.w, r->expires_at > ua_now(ua) ? (r->expires_at - ua_now(ua)) / ROAM_SECONDS(1) : 0);
        write_lit(&q.w, "\r\n");
    }
    credentials_write(&call->account->credentials, &r->attempt, AUTH_REQUEST, &q.w, SPAN("NOTIFY"), span_of(call->dialog.remote_target));
    write_body(&q.w, SPAN("message/sipfrag;version=2.0"), writer_span(&fragment));
    r->txn = request_send(&q, on_answer, r);
    if (!r->txn)
        return; /* looked at again when there is memory */
    r->telling = r->wanted;
    r->telling_last = last;
    r->told_path = call->flow->path->id;
}

void referrals_run(roam_call *call)
{
    list_each(r, &call->referrals, roam_referral, node)
    {
        bool over = call->state == ROAM_CALL_ENDED; /* no refresh tells the peer our new address any more: a NOTIFY does */
        bool differs = r->told != r->wanted || r->state == REFERRAL_FINAL || r->expired || (over && call->flow && r->told_path != call->flow->path->id);
        if (!r->deaf && !r->txn && differs && transfer_may_send(call))
            notify(r);
    }
}

void referrals_path_lost(roam_call *call)
{
    list_each(r, &call->referrals, roam_referral, node)
        stop_telling(r); /* told again on the next path */
}

bool referrals_outlive(roam_call *call, bool goes_on)
{
    bool any = false;
    list_each(r, &call->referrals, roam_referral, node)
    {
        if (goes_on && (!r->deaf || r->state == REFERRAL_ASKED))
            any = true;
        else
            referral_free(r);
    }
    return any;
}

void referrals_free(roam_call *call)
{
    list_each(r, &call->referrals, roam_referral, node)
        referral_free(r);
}

/* ---- REFER ---- */

/* Text that will stand in a header of ours: nothing in it may end the line. Folds become blanks; other control characters are refused. */
static char *clean_copy(roam_mem *mem, roam_span text)
{
    char *copy = mem_strdup(mem, text);
    for (char *c = copy; c && *c; c++)
        if (*c == '\r' || *c == '\n' || *c == '\t')
            *c = ' ';
    return copy;
}

static bool has_control(roam_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

/* The one header in the URI that we obey (RFC 3261 19.1.5: the others could make us say anything). 0, or the status that refuses the REFER. */
static unsigned take_replaces(roam_referral *r, roam_span headers)
{
    char text[MAX_REPLACES];
    while (headers.len) {
        roam_span value, name = span_cut(span_cut(headers, '&', &headers), '=', &value), params, part;
        if (!span_ieq(name, SPAN("Replaces")))
            continue;
        roam_writer w;
        writer_init(&w, text, sizeof text);
        if (r->replaces || uri_unescape(value, &w) != 0 || has_control(writer_span(&w)))
            return 400;
        roam_span call_id = span_trim(span_cut(writer_span(&w), ';', &params)); /* RFC 3891 6.1 */
        if (!call_id.len || memchr(call_id.ptr, ',', call_id.len) || !param_find(params, SPAN("to-tag"), &part) || !part.len ||
            !param_find(params, SPAN("from-tag"), &part) || !part.len)
            return 400;
        r->replaces = mem_strdup(&r->call->ua->env.mem, writer_span(&w));
        if (!r->replaces)
            return 500;
    }
    return 0;
}

/* The URI to call: without headers and without the method parameter, which a Request-URI may not have (RFC 3261 19.1.1). */
static unsigned take_target(roam_referral *r, const roam_uri *uri)
{
    char text[ROAM_MAX_URI];
    roam_writer w;
    roam_span rest = uri->params, name, value;
    writer_init(&w, text, sizeof text);
    const char *end = uri->params.len ? uri->params.ptr - 1 : uri->headers.len ? uri->headers.ptr - 1 : uri->text.ptr + uri->text.len;
    write_span(&w, span_between(uri->text.ptr, end));
    while (param_next(&rest, &name, &value)) {
        if (span_ieq(name, SPAN("method"))) {
            if (!span_eq(value, SPAN("INVITE")))
                return 403; /* requests of other kinds are not made on behalf of a peer */
            continue;
        }
        write_char(&w, ';');
        write_span(&w, name);
        if (value.len) {
            write_char(&w, '=');
            write_span(&w, value);
        }
    }
    if (w.overflow)
        return 414;
    r->target = mem_strdup(&r->call->ua->env.mem, writer_span(&w));
    return r->target ? 0 : 500;
}

/* 0, or the status that refuses it. */
static unsigned read_refer(roam_referral *r, const roam_message *m)
{
    roam_mem *mem = &r->call->ua->env.mem;
    roam_value_cursor cursor = {0};
    roam_span value, more;
    roam_name_addr to;
    if (!message_values(m, HEADER_REFER_TO, &cursor, &value) || message_values(m, HEADER_REFER_TO, &cursor, &more)) /* RFC 3515 2.4.2 */
        return 400;
    int err = name_addr_parse(value, &to);
    if (err || to.wildcard)
        return err == ROAM_ELIMIT ? 414 : 400;
    bool tel = to.uri.scheme == URI_TEL && r->call->account->proxy;
    if (to.uri.scheme != URI_SIP && to.uri.scheme != URI_SIPS && !tel)
        return 416;
    if (!(r->refer_to = mem_strdup(mem, value)))
        return 500;
    unsigned status = take_target(r, &to.uri);
    if (!status)
        status = take_replaces(r, to.uri.headers);
    roam_span by = message_value(m, HEADER_REFERRED_BY);
    roam_name_addr who;
    if (!status && by.len && by.len <= MAX_REFERRED_BY && name_addr_parse(by, &who) == 0 && !(r->referred_by = clean_copy(mem, by)))
        status = 500;
    return status;
}

/* The same wish while the first is under way: the peer moved, and does not know that its REFER arrived. */
static roam_referral *repeated(roam_call *call, const roam_referral *again)
{
    list_each(r, &call->referrals, roam_referral, node)
        if (r != again && r->state != REFERRAL_FINAL && strcmp(r->refer_to, again->refer_to) == 0)
            return r;
    return NULL;
}

static bool undecided(const roam_call *call, const roam_referral *but)
{
    list_each(r, &call->referrals, roam_referral, node)
        if (r != but && r->state == REFERRAL_ASKED)
            return true;
    return false;
}

static roam_referral *referral_new(roam_call *call)
{
    roam_referral *r = mem_new(&call->ua->env.mem, roam_referral);
    if (!r)
        return NULL;
    r->call = call;
    r->wanted = 100;
    list_init(&r->node);
    timer_init(&r->timer, on_timer, "referral");
    list_push(&call->referrals, &r->node);
    return r;
}

void referral_on_refer(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    size_t n = 0;
    list_each(r, &call->referrals, roam_referral, node)
        n++;
    if ((call->state != ROAM_CALL_CONFIRMED && call->state != ROAM_CALL_CONNECTING) || n >= MAX_REFERRALS) {
        uas_respond_retry_after(ua, txn);
        return;
    }
    roam_referral *r = referral_new(call);
    unsigned status = r ? read_refer(r, m) : 500;
    roam_referral *first = status ? NULL : repeated(call, r);
    if (!status && !first && undecided(call, r))
        status = 491;
    if (!status && !first && env_arm(&ua->env, &r->timer, DECIDE_LIMIT) != 0)
        status = 500;
    if (status) {
        if (r)
            referral_free(r);
        uas_respond(ua, txn, status, "");
        return;
    }
    roam_span sub = message_value_named(m, SPAN("Refer-Sub")); /* RFC 4488 */
    bool deaf = span_ieq(span_trim(span_cut(sub, ';', &sub)), SPAN("false"));
    roam_cseq cseq = {0};
    cseq_parse(message_value(m, HEADER_CSEQ), &cseq);
    if (first) {
        referral_free(r);
        r = first;
        r->told = 0; /* the state at once, as to every subscriber */
        stop_telling(r);
    }
    r->cseq = cseq.number;
    r->named = call->referred_once;
    r->deaf = deaf;
    r->expires_at = ua_now(ua) + SUBSCRIPTION_LIFE;
    call->referred_once = true;
    dialog_target_refresh(&call->dialog, m);
    transfer_respond(call, txn, 202, deaf ? "Refer-Sub: false\r\n" : "");
    call_look(call);
    if (first)
        return;
    roam_event event = {.type = ROAM_EVENT_CALL_TRANSFER_REQUESTED, .account = call->account->id, .call = call->id, .uri = span_of(r->target)};
    ua_event(ua, &event, r->replaces ? "to take a place in another call" : "");
}

/* The peer renews its implicit subscription, or ends it (RFC 3515 2.4.4). */
void referral_on_subscribe(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    uint32_t id, expires = 0;
    if (!transfer_event(m, &id)) {
        uas_respond(call->ua, txn, 489, "Allow-Events: refer\r\n");
        return;
    }
    roam_referral *found = NULL;
    list_each(r, &call->referrals, roam_referral, node)
        if (!r->deaf && (id ? r->cseq == id : !r->named))
            found = r;
    if (!found) {
        uas_respond(call->ua, txn, 481, "");
        return;
    }
    bool ends = message_seconds(m, HEADER_EXPIRES, &expires) && expires == 0;
    dialog_target_refresh(&call->dialog, m);
    found->told = 0; /* RFC 6665 4.2.1.2: each SUBSCRIBE is answered by the state */
    found->expired = found->expired || ends;
    if (!ends && found->state == REFERRAL_TRYING) {
        found->expires_at = ua_now(call->ua) + SUBSCRIPTION_LIFE;
        env_arm(&call->ua->env, &found->timer, SUBSCRIPTION_LIFE);
    }
    transfer_respond(call, txn, 200, ends ? "Expires: 0\r\n" : "Expires: 300\r\n");
    call_look(call);
}

/* ---- carrying it out ---- */

void referral_follow(roam_call *target)
{
    roam_referral *r = target->referral;
    int code = target->last_status;
    switch (target->state) {
    case ROAM_CALL_EARLY:
        if (code > 100 && code < 200 && r->wanted != (unsigned)code) {
            r->wanted = (unsigned)code;
            call_look(r->call);
        }
        break;
    case ROAM_CALL_CONFIRMED:
        end_with(r, 200, "the target answered");
        break;
    case ROAM_CALL_ENDED: /* without an answer: refused, not found, or ended here */
        end_with(r, code >= 300 ? (unsigned)code : code == ROAM_ENOTFOUND ? 404 : code < 0 ? 503 : 487, "the target was not reached");
        break;
    case ROAM_CALL_CALLING:
    case ROAM_CALL_INCOMING:
    case ROAM_CALL_CONNECTING:
    case ROAM_CALL_DISCONNECTING:
        break;
    }
}

/* The REFER that waits for a decision, of a call or of what lingers of one. */
static roam_referral *asked_about(const roam_ua *ua, roam_call_id id, int *err)
{
    roam_call *call = call_find(ua, id);
    if (!call)
        list_each(late, &ua->lingering, roam_call, node)
            if (late->id == id)
                call = late;
    *err = call ? ROAM_ESTATE : ROAM_ENOTFOUND;
    if (call)
        list_each(r, &call->referrals, roam_referral, node)
            if (r->state == REFERRAL_ASKED)
                return r;
    return NULL;
}

int roam_call_transfer_accept(roam_ua *ua, roam_call_id id, const roam_call_options *options, roam_call_id *new_call)
{
    record_call(ua, "call_transfer_accept", id, options, NULL, 0);
    int err;
    roam_call_id new_id = 0;
    roam_referral *r = asked_about(ua, id, &err);
    if (!r)
        return err;
    ua_enter(ua, ua_now(ua));
    err = roam_call_make(ua, r->call->account->id, r->target, options, &new_id); /* its work is done when we leave: the INVITE takes what is set here */
    roam_call *target = err ? NULL : call_find(ua, new_id);
    if (target) {
        target->replaces = r->replaces;
        target->referred_by = r->referred_by;
        r->replaces = r->referred_by = NULL;
        r->target_call = target;
        target->referral = r;
        set_state(r, REFERRAL_TRYING, "accepted");
        env_arm(&ua->env, &r->timer, SUBSCRIPTION_LIFE); /* armed before: cannot fail */
        r->expires_at = ua_now(ua) + SUBSCRIPTION_LIFE;
        if (r->deaf)
            referral_free(r);
    }
    ua_leave(ua);
    if (new_call)
        *new_call = new_id;
    return err;
}

int roam_call_transfer_reject(roam_ua *ua, roam_call_id id, unsigned status)
{
    record_call(ua, "call_transfer_reject", id, NULL, NULL, status);
    int err;
    roam_referral *r = asked_about(ua, id, &err);
    if (status != 0 && (status < 300 || status > 699))
        return ROAM_EINVAL;
    if (!r)
        return err;
    ua_enter(ua, ua_now(ua));
    env_arm(&ua->env, &r->timer, SUBSCRIPTION_LIFE);
    end_with(r, status ? status : 603, "rejected");
    ua_leave(ua);
    return 0;
}
