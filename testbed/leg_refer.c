/* REFER (RFC 3515), both roles, inside of a call: blind, and attended with Replaces (RFC 5589). Its implicit
 * subscription lives in the call's dialog; one at a time a role. */
#include "testbed/leg_inside.h"

#define MAX_REFER_CHALLENGES 2u
#define REFER_SECONDS 60u

static bool take_target(roam_span value, roam_span *uri, roam_writer *replaces);
static void send_notify(roam_leg *leg);
static void notify_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static int send_refer(roam_leg *leg);
static void refer_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void write_escaped(roam_writer *w, roam_span text);

/* ---- the one who is sent ---- */

void leg_refer_in(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_peer *peer = leg->peer;
    char space[512];
    roam_writer replaces;
    roam_span uri;
    unsigned status = 202;
    writer_init(&replaces, space, sizeof space);
    if (peer->config.no_refer)
        status = 405;
    else if (leg->state != LEG_CONFIRMED)
        status = 481;
    else if (leg->referral.busy)
        status = 491;
    else if (!message_has(request, HEADER_REFER_TO) ||
             message_next(request, HEADER_REFER_TO, message_first(request, HEADER_REFER_TO)) >= 0 ||
             !take_target(message_value(request, HEADER_REFER_TO), &uri, &replaces))
        status = 400;
    roam_response r;
    response_begin(txn, &r, status, (roam_span){0}, (roam_span){0});
    peer_write_contact(peer, &r.w);
    if (status == 405)
        peer_write_allow(peer, &r.w);
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    if (response_send(&r) != ROAM_OK || status != 202)
        return;
    (void)dialog_target_refresh(&leg->dialog, request);
    leg->referral = (roam_referral){.busy = true, .status = 100};
    roam_leg *called = leg_new(peer);
    if (called && leg_call(called, uri, writer_span(&replaces)) != ROAM_OK) {
        leg_free(called);
        called = NULL;
    }
    if (called) {
        called->referred_by = leg->id;
        leg->referral.call = called->id;
    } else {
        leg->referral.status = 500;
    }
    send_notify(leg);
}

void leg_refer_progress(roam_leg *called, unsigned status)
{
    list_each (leg, &called->peer->legs, roam_leg, node) {
        if (leg->id != called->referred_by || leg->referral.call != called->id || !leg->referral.busy ||
            leg->referral.status >= 200)
            continue;
        leg->referral.status = status;
        send_notify(leg);
    }
}

/* The latest news; one NOTIFY at a time, so that none overtakes another. */
static void send_notify(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_referral *referral = &leg->referral;
    roam_request r;
    char body[80];
    roam_writer w;
    if (referral->notify || referral->told == referral->status || leg->state == LEG_ENDED)
        return;
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    if (!flow)
        return;
    writer_init(&w, body, sizeof body);
    write_lit(&w, "SIP/2.0 ");
    write_u64(&w, referral->status);
    write_char(&w, ' ');
    write_cstr(&w, status_text(referral->status));
    write_lit(&w, "\r\n");
    dialog_request_begin(&leg->dialog, &peer->sip, &r, flow, METHOD_NOTIFY, 0);
    peer_write_contact(peer, &r.w);
    write_header(&r.w, HEADER_EVENT, SPAN("refer"));
    write_header_name(&r.w, HEADER_SUBSCRIPTION_STATE);
    if (referral->status >= 200) {
        write_lit(&r.w, "terminated;reason=noresource\r\n");
    } else {
        write_lit(&r.w, "active;expires=");
        write_u64(&r.w, REFER_SECONDS);
        write_lit(&r.w, "\r\n");
    }
    peer_write_credentials(peer, &r.w, METHOD_NOTIFY, span_of(leg->dialog.remote_target));
    write_body(&r.w, SPAN("message/sipfrag;version=2.0"), writer_span(&w));
    referral->notify = request_send(&r, notify_event, leg);
    flow_unref(flow);
    if (referral->notify)
        referral->told = referral->status;
}

static void notify_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    roam_referral *referral = &leg->referral;
    if (txn != referral->notify || (event == CLIENT_RESPONSE && message->status < 200))
        return;
    referral->notify = NULL;
    if (event == CLIENT_ENDED)
        return;
    client_txn_abandon(txn);
    unsigned status = event == CLIENT_RESPONSE ? message->status : 408;
    if (status < 300)
        referral->challenges = 0; /* counted for each NOTIFY */
    bool challenged = (status == 401 || status == 407) && referral->challenges++ < MAX_REFER_CHALLENGES &&
                      peer_learn_challenge(leg->peer, message);
    if (challenged)
        referral->told = 0;
    else if (status >= 300) /* nobody listens (RFC 6665 4.2.2) */
        referral->busy = false;
    else if (referral->told >= 200)
        referral->busy = false;
    if (referral->busy)
        send_notify(leg);
}

/* "<sip:carol@example.com?Replaces=...>": the URI without headers, and what they say. */
static bool take_target(roam_span value, roam_span *uri, roam_writer *replaces)
{
    roam_name_addr to;
    if (name_addr_parse(value, &to) != ROAM_OK || to.uri.scheme != URI_SIP)
        return false;
    *uri = to.uri_text;
    if (!to.uri.headers.len)
        return true;
    *uri = span_between(to.uri_text.ptr, to.uri.headers.ptr - 1);
    roam_span rest = to.uri.headers;
    while (rest.len) {
        roam_span text, one = span_cut(rest, '&', &rest), name = span_cut(one, '=', &text);
        if (span_ieq(name, SPAN("Replaces")) && (uri_unescape(text, replaces) != ROAM_OK || replaces->overflow))
            return false;
    }
    return true;
}

/* ---- the one who sends ---- */

int leg_refer(roam_leg *leg, roam_span uri, const roam_dialog *replaced)
{
    char text[1024];
    roam_writer w;
    if (leg->state != LEG_CONFIRMED || !leg->dialog.remote_tag)
        return ROAM_ESTATE;
    if (leg->refer_to)
        return ROAM_EBUSY;
    writer_init(&w, text, sizeof text);
    write_char(&w, '<');
    write_span(&w, uri);
    if (replaced) {
        write_lit(&w, "?Replaces=");
        write_escaped(&w, span_of(replaced->call_id));
        write_lit(&w, "%3Bto-tag%3D"); /* as the other side of that call knows them (RFC 5589 7.3) */
        write_escaped(&w, span_of(replaced->remote_tag));
        write_lit(&w, "%3Bfrom-tag%3D");
        write_escaped(&w, span_of(replaced->local_tag));
    }
    write_char(&w, '>');
    if (w.overflow)
        return ROAM_EOVERFLOW;
    leg->refer_to = mem_strdup(&leg->peer->env.mem, writer_span(&w));
    leg->refer_status = 0;
    leg->refer_challenges = 0;
    int err = leg->refer_to ? send_refer(leg) : ROAM_ENOMEM;
    if (err)
        leg_refer_stop(leg);
    return err;
}

void leg_refer_stop(roam_leg *leg)
{
    if (leg->refer)
        client_txn_abandon(leg->refer);
    if (leg->referral.notify)
        client_txn_abandon(leg->referral.notify);
    leg->refer = NULL;
    leg->referral = (roam_referral){0};
    mem_free(&leg->peer->env.mem, leg->refer_to);
    leg->refer_to = NULL;
}

/* RFC 3515 2.4.5: how it goes over there. When it went well, this call has done its duty. */
void leg_notify(roam_leg *leg, roam_server_txn *txn, const roam_message *request)
{
    roam_span event = message_value(request, HEADER_EVENT), rest, state, line;
    uint32_t status = 0;
    if (!leg->refer_to || !span_ieq(span_trim(span_cut(event, ';', &rest)), SPAN("refer"))) {
        (void)server_txn_respond(txn, leg->refer_to ? 489 : 481, (roam_span){0});
        return;
    }
    (void)server_txn_respond(txn, 200, (roam_span){0});
    (void)dialog_target_refresh(&leg->dialog, request);
    line = span_cut(request->body, '\n', &rest);
    if (message_has_body_type(request, SPAN("message/sipfrag")) && span_starts(line, SPAN("SIP/2.0 "))) {
        (void)span_cut(line, ' ', &rest);
        (void)span_u32(span_cut(span_trim(rest), ' ', &rest), &status);
    }
    state = span_trim(span_cut(message_value(request, HEADER_SUBSCRIPTION_STATE), ';', &rest));
    bool over = span_ieq(state, SPAN("terminated")) || status >= 200;
    if (status >= 100 && status <= 699)
        leg->refer_status = status;
    peer_event(leg->peer, PEER_REFER_PROGRESS, leg, leg->refer_status, over ? "over" : "");
    if (!over)
        return;
    mem_free(&leg->peer->env.mem, leg->refer_to);
    leg->refer_to = NULL;
    if (leg->refer_status >= 200 && leg->refer_status < 300 && leg->state == LEG_CONFIRMED) {
        leg->end_why = "transferred";
        leg->ended_here = true;
        (void)leg_hangup(leg);
    }
}

static int send_refer(roam_leg *leg)
{
    roam_peer *peer = leg->peer;
    roam_request r;
    roam_flow *flow = leg_flow(leg, &leg->dialog);
    if (!flow)
        return ROAM_EOFFLINE;
    dialog_request_begin(&leg->dialog, &peer->sip, &r, flow, METHOD_REFER, 0);
    peer_write_contact(peer, &r.w);
    write_header(&r.w, HEADER_REFER_TO, span_of(leg->refer_to));
    write_header_name(&r.w, HEADER_REFERRED_BY);
    peer_write_aor(peer, &r.w);
    write_lit(&r.w, "\r\n");
    peer_write_credentials(peer, &r.w, METHOD_REFER, span_of(leg->dialog.remote_target));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    leg->refer = request_send(&r, refer_event, leg);
    flow_unref(flow);
    return leg->refer ? ROAM_OK : ROAM_ENOMEM;
}

static void refer_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    if (txn != leg->refer || (event == CLIENT_RESPONSE && message->status < 200))
        return;
    leg->refer = NULL;
    if (event == CLIENT_ENDED)
        return;
    client_txn_abandon(txn);
    unsigned status = event == CLIENT_RESPONSE ? message->status : 408;
    leg->last_status = status;
    if (status < 300)
        return; /* the NOTIFYs say the rest */
    if ((status == 401 || status == 407) && leg->refer_challenges++ < MAX_REFER_CHALLENGES &&
        peer_learn_challenge(leg->peer, message) && send_refer(leg) == ROAM_OK)
        return;
    mem_free(&leg->peer->env.mem, leg->refer_to);
    leg->refer_to = NULL;
    leg->refer_status = status;
    peer_event(leg->peer, PEER_REFER_PROGRESS, leg, status, "refused");
}

/* RFC 3261 19.1.1, hvalue: what is not unreserved is escaped. */
static void write_escaped(roam_writer *w, roam_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_is_digit(c) || c == '-' || c == '.' ||
                     c == '_' || c == '~';
        if (plain) {
            write_char(w, c);
        } else {
            write_char(w, '%');
            write_hex(w, &c, 1);
        }
    }
}
