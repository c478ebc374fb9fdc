/* Requests of peers: what is answered here, and who gets the rest. */
#include "ua/uas.h"

#include "ua/call.h"
#include "ua/pager.h"
#include "ua/subscription.h"

/* ---- small answers ---- */

void uas_respond(roam_ua *ua, roam_server_txn *txn, unsigned status, const char *header)
{
    uas_respond_tagged(ua, txn, status, header, SPAN(""));
}

void uas_respond_tagged(roam_ua *ua, roam_server_txn *txn, unsigned status, const char *header, roam_span tag)
{
    roam_response r;
    response_begin(txn, &r, status, SPAN(""), tag);
    write_cstr(&r.w, header[0] || status != 500 ? header : "Retry-After: 1\r\n"); /* what fails here (memory, a socket) may do better later (RFC 3261 14.2) */
    write_agent_headers(ua, &r.w, false);
    write_body(&r.w, SPAN(""), SPAN(""));
    response_send(&r);
}

void uas_respond_retry_after(roam_ua *ua, roam_server_txn *txn) /* RFC 3261 14.2 */
{
    char header[40];
    roam_writer w;
    writer_init(&w, header, sizeof header - 1);
    write_lit(&w, "Retry-After: ");
    write_u64(&w, random_below(&ua->env.random, 11));
    write_lit(&w, "\r\n");
    header[w.len] = '\0';
    uas_respond(ua, txn, 500, header);
}

static bool supported(roam_span option)
{
    roam_span rest = SPAN(UA_SUPPORTED ", 100rel");
    while (rest.len)
        if (span_ieq(span_trim(span_cut(rest, ',', &rest)), option))
            return true;
    return false;
}

void uas_write_reliable(const roam_account *account, roam_writer *w)
{
    if (account->reliable != ROAM_100REL_OFF)
        write_header(w, HEADER_SUPPORTED, SPAN("100rel"));
}

/* RFC 3261 8.2.2.3: extensions we do not have. */
bool uas_refuse_required(roam_ua *ua, roam_server_txn *txn, const roam_message *m)
{
    roam_value_cursor cursor = {0};
    roam_span option;
    roam_response r;
    size_t unknown = 0;
    while (message_values(m, HEADER_REQUIRE, &cursor, &option))
        unknown += !supported(option);
    if (!unknown)
        return false;
    cursor = (roam_value_cursor){0};
    response_begin(txn, &r, 420, SPAN(""), SPAN(""));
    write_header_name(&r.w, HEADER_UNSUPPORTED);
    for (bool first = true; message_values(m, HEADER_REQUIRE, &cursor, &option);) {
        if (supported(option))
            continue;
        if (!first)
            write_lit(&r.w, ", ");
        write_span(&r.w, option);
        first = false;
    }
    write_lit(&r.w, "\r\n");
    write_agent_headers(ua, &r.w, false);
    write_body(&r.w, SPAN(""), SPAN(""));
    response_send(&r);
    return true;
}

bool uas_refuse_body(roam_ua *ua, roam_server_txn *txn, const roam_message *m)
{
    if (!m->body.len || message_has_body_type(m, SPAN("application/sdp")))
        return false;
    uas_respond(ua, txn, 415, "Accept: application/sdp\r\n");
    return true;
}

static roam_path *path_to(void *user, const roam_addr *remote)
{
    roam_ua *ua = user;
    roam_ip source = {0};
    uint32_t link;
    map_each(dest, &ua->net.dests, roam_net_dest, node)
        if (roam_ip_equal(&dest->ip, &remote->ip) && !net_route(ua, dest, 0, &source, &link))
            return NULL;
    list_each(np, &ua->net.paths, roam_net_path, path.node)
    {
        const roam_ip *local = &np->path.local.ip;
        if (np->path.state == PATH_UP && local->family == remote->ip.family && (!source.family || roam_ip_equal(local, &source)))
            return &np->path;
    }
    return NULL;
}

void uas_keep_answers(roam_ua *ua)
{
    sip_move_answers(&ua->sip, path_to, ua);
}

/* ---- who gets it ---- */

static void on_options(roam_ua *ua, roam_server_txn *txn, const roam_message *m)
{
    roam_account *account = account_for_request(ua, m);
    roam_response r;
    if (!account) {
        uas_respond(ua, txn, 404, "");
        return;
    }
    response_begin(txn, &r, 200, SPAN(""), SPAN("")); /* RFC 3261 11.2 */
    write_lit(&r.w, "Contact: ");
    write_contact(account, &r.w, server_txn_flow(txn));
    write_lit(&r.w, "\r\nAccept: application/sdp\r\nAccept-Encoding: identity\r\n");
    uas_write_reliable(account, &r.w);
    write_agent_headers(ua, &r.w, false);
    write_body(&r.w, SPAN(""), SPAN(""));
    response_send(&r);
}

void uas_request(roam_ua *ua, roam_server_txn *txn, const roam_message *m)
{
    roam_name_addr to;
    roam_span tag = {0};
    if (name_addr_parse(message_value(m, HEADER_TO), &to) == 0)
        tag = name_addr_tag(&to);
    if (uas_refuse_required(ua, txn, m))
        return;
    if (tag.len) {
        roam_span call_id = message_value(m, HEADER_CALL_ID);
        roam_call *call = call_by_dialog(ua, call_id, tag);
        roam_subscription *sub = m->method == METHOD_NOTIFY ? subscription_by_dialog(ua, call_id, tag) : NULL;
        if (!call && !sub)
            call = call_lingering(ua, call_id, tag);
        if (sub)
            subscription_notify(sub, txn, m);
        else if (call && m->method == METHOD_MESSAGE)
            page_received(ua, call, txn, m);
        else if (call)
            call_request(call, txn, m);
        else
            uas_respond(ua, txn, 481, "");
        return;
    }
    switch (m->method) {
    case METHOD_INVITE:
        call_invited(ua, txn, m);
        break;
    case METHOD_OPTIONS:
        on_options(ua, txn, m);
        break;
    case METHOD_MESSAGE:
        page_received(ua, NULL, txn, m);
        break;
    case METHOD_BYE:
    case METHOD_UPDATE:
    case METHOD_INFO:
    case METHOD_PRACK:
        uas_respond(ua, txn, 481, "");
        break;
    case METHOD_REFER: /* who asks us to call somebody must be in a call with us: anybody could make us ring anybody (RFC 3515 5.2) */
        uas_respond(ua, txn, 403, "");
        break;
    case METHOD_NOTIFY: /* of a subscription that nobody has (RFC 6665 4.1.3) */
        uas_respond(ua, txn, 481, "");
        break;
    default:
        uas_respond(ua, txn, m->method == METHOD_OTHER ? 501 : 405, "");
    }
}
