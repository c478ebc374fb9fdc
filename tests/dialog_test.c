/* Dialogs (RFC 3261 12) and the three-way end of an INVITE: what is learnt from messages, and the bytes of what
 * follows. */
#include "tests/sip_fixture.h"

static roam_header_space space;

static roam_message parse(const char *text)
{
    roam_message m;
    assert_int_equal(message_parse(&m, &space, span_of(text)), 0);
    assert_int_equal(message_check(&m), 0);
    return m;
}

/* A response to `d`'s INVITE, kept in a buffer of its own. */
static roam_message response(const roam_dialog *d, unsigned status, const char *tag, const char *lines)
{
    static char text[8192];
    snprintf(text, sizeof text,
             "SIP/2.0 %u x\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:alice@example.com>;tag=%s\r\n"
             "To: <sip:bob@example.com>%s%s\r\nCall-ID: %s\r\nCSeq: %u INVITE\r\n%sContent-Length: 0\r\n\r\n",
             status, d->local_tag, *tag ? ";tag=" : "", tag, d->call_id, d->local_cseq, lines);
    return parse(text);
}

/* The request that `d` would send, as text; valid until the next one. */
static const char *request_text(world *w, roam_dialog *d, roam_method method, uint32_t cseq)
{
    static char text[8192];
    roam_request r;
    roam_flow *flow = flow_get(&w->sip, &w->path, &w->peer);
    dialog_request_begin(d, &w->sip, &r, flow, method, cseq);
    flow_unref(flow);
    assert_false(r.w.overflow);
    assert_true(r.w.len < sizeof text);
    memcpy(text, r.w.ptr, r.w.len);
    text[r.w.len] = '\0';
    return text;
}

static void caller(world *w, roam_dialog *d)
{
    assert_int_equal(dialog_init_caller(d, &w->env, SPAN("\"Alice\" <sip:alice@example.com>"),
                                        SPAN("<sip:bob@example.com>"), SPAN("sip:bob@example.com")),
                     0);
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in\n%s", part, text);
}

/* Our first request: From with our tag, To without one, next CSeq, no Route; with pre-loaded routes these, in order. */
static void caller_first_request(void **state)
{
    world w;
    roam_dialog d;
    roam_uri hop;
    char line[128];
    (void)state;
    world_start(&w);
    caller(&w, &d);
    uint32_t before = d.local_cseq;
    const char *text = request_text(&w, &d, METHOD_INVITE, 0);
    assert_int_equal(d.local_cseq, before + 1);
    assert_true(
        strncmp(text, "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK", 80) == 0);
    snprintf(line, sizeof line, "From: \"Alice\" <sip:alice@example.com>;tag=%s\r\nTo: <sip:bob@example.com>\r\n",
             d.local_tag);
    contains(text, line);
    snprintf(line, sizeof line, "Call-ID: %s\r\nCSeq: %u INVITE\r\n", d.call_id, before + 1);
    contains(text, line);
    assert_null(strstr(text, "Route:"));
    assert_int_equal(dialog_next_hop(&d, &hop), 0);
    assert_true(span_eq(hop.host, SPAN("example.com")));
    const roam_span routes[] = {SPAN_INIT("sip:proxy.example.net;lr"), SPAN_INIT("<sip:second.example.net;lr>")};
    assert_int_equal(dialog_set_routes(&d, routes, 2), 0);
    text = request_text(&w, &d, METHOD_INVITE, 0);
    contains(text, "INVITE sip:bob@example.com SIP/2.0\r\n");
    contains(text, "Route: <sip:proxy.example.net;lr>\r\nRoute: <sip:second.example.net;lr>\r\n");
    assert_int_equal(dialog_next_hop(&d, &hop), 0);
    assert_true(span_eq(hop.host, SPAN("proxy.example.net")));
    roam_span many[ROAM_MAX_ROUTES + 1];
    for (size_t i = 0; i <= ROAM_MAX_ROUTES; i++)
        many[i] = routes[0];
    assert_int_equal(dialog_set_routes(&d, many, ROAM_MAX_ROUTES + 1), ROAM_ELIMIT);
    assert_int_equal(d.nroutes, 2);
    dialog_free(&d);
    world_stop(&w);
}

/* The caller's route set is the Record-Route reversed, fixed by the first provisional and set anew by the 2xx; the
 * target is the Contact (12.1.2, 13.2.2.4). */
static void caller_learns(void **state)
{
    world w;
    roam_dialog d;
    (void)state;
    world_start(&w);
    caller(&w, &d);
    const roam_span outbound = SPAN("<sip:out.example.net;lr>");
    dialog_set_routes(&d, &outbound, 1);
    request_text(&w, &d, METHOD_INVITE, 0);
    roam_message m = response(&d, 100, "", "");
    assert_int_equal(dialog_on_response(&d, &m), 0);
    m = response(&d, 180, "", "Record-Route: <sip:x;lr>\r\n");
    assert_int_equal(dialog_on_response(&d, &m), 0);
    assert_int_equal(d.state, DIALOG_NONE);
    m = response(&d, 180, "t1",
                 "Record-Route: <sip:far.example.net;lr>, <sip:mid.example.net;lr>\r\nRecord-Route: "
                 "<sip:near.example.net;lr>\r\n"
                 "Contact: <sip:bob@203.0.113.5:5080>\r\n");
    assert_int_equal(dialog_on_response(&d, &m), 0);
    assert_int_equal(d.state, DIALOG_EARLY);
    const char *text = request_text(&w, &d, METHOD_PRACK, 0);
    contains(text, "PRACK sip:bob@203.0.113.5:5080 SIP/2.0\r\n");
    contains(
        text,
        "Route: <sip:near.example.net;lr>\r\nRoute: <sip:mid.example.net;lr>\r\nRoute: <sip:far.example.net;lr>\r\n");
    contains(text, "To: <sip:bob@example.com>;tag=t1\r\n");
    m = response(&d, 183, "t1", "Record-Route: <sip:changed.example.net;lr>\r\nContact: <sip:bob@203.0.113.6>\r\n");
    assert_int_equal(dialog_on_response(&d, &m), 0);
    assert_int_equal(d.nroutes, 3);
    m = response(&d, 200, "t1", "Record-Route: <sip:final.example.net;lr>\r\nContact: <sip:bob@203.0.113.7>\r\n");
    assert_int_equal(dialog_on_response(&d, &m), 0);
    assert_int_equal(d.state, DIALOG_CONFIRMED);
    text = request_text(&w, &d, METHOD_BYE, 0);
    contains(text, "BYE sip:bob@203.0.113.7 SIP/2.0\r\n");
    contains(text, "Route: <sip:final.example.net;lr>\r\nFrom:");
    m = response(&d, 200, "t1", "Contact: <sip:evil@203.0.113.9>\r\n"); /* repeated: nothing changes any more */
    assert_int_equal(dialog_on_response(&d, &m), 0);
    assert_string_equal(d.remote_target, "sip:bob@203.0.113.7");
    assert_int_equal(d.nroutes, 1);
    dialog_set_state(&d, DIALOG_ENDED, "test");
    assert_int_equal(dialog_on_response(&d, &m), ROAM_ESTATE);
    dialog_free(&d);
    world_stop(&w);
}

/* Strict routing (12.2.1.1): the first route without lr becomes the Request-URI, the target goes last; the next hop is
 * that route. A method parameter and headers, which a Request-URI must not have, are left out. */
static void strict_routing(void **state)
{
    world w;
    roam_dialog d;
    roam_uri hop;
    (void)state;
    world_start(&w);
    caller(&w, &d);
    const roam_span routes[] = {SPAN_INIT("<sip:strict.example.net;method=INVITE;transport=udp>"),
                                SPAN_INIT("<sip:loose.example.net;lr>")};
    dialog_set_routes(&d, routes, 2);
    roam_message m = parse("SIP/2.0 200 x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
                           "<sip:a@b>;tag=2\r\nCall-ID: c\r\n"
                           "CSeq: 1 UPDATE\r\nContact: <sip:bob@203.0.113.5?Subject=x>\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(dialog_target_refresh(&d, &m), 0);
    const char *text = request_text(&w, &d, METHOD_BYE, 0);
    contains(text, "BYE sip:strict.example.net;transport=udp SIP/2.0\r\n");
    contains(text, "Route: <sip:loose.example.net;lr>\r\nRoute: <sip:bob@203.0.113.5>\r\nFrom:");
    assert_int_equal(dialog_next_hop(&d, &hop), 0);
    assert_true(span_eq(hop.host, SPAN("strict.example.net")));
    dialog_free(&d);
    world_stop(&w);
}

/* Forks: each early dialog has its own tag, target and routes under one Call-ID, local tag and CSeq; a response of one
 * is not the other's. */
static void early_forks(void **state)
{
    world w;
    roam_dialog first, second;
    (void)state;
    world_start(&w);
    caller(&w, &first);
    request_text(&w, &first, METHOD_INVITE, 0);
    roam_message m = response(&first, 180, "t1", "Contact: <sip:one@203.0.113.1>\r\nRecord-Route: <sip:r1;lr>\r\n");
    assert_true(dialog_matches(&first, &m, false)); /* no tag known: ours */
    assert_int_equal(dialog_on_response(&first, &m), 0);
    m = response(&first, 180, "t2", "Contact: <sip:two@203.0.113.2>\r\n");
    assert_false(dialog_matches(&first, &m, false));
    assert_int_equal(dialog_on_response(&first, &m), ROAM_ESTATE);
    assert_int_equal(dialog_init_fork(&second, &first), 0);
    assert_int_equal(second.state, DIALOG_NONE);
    assert_int_equal(second.nroutes, 0);
    assert_null(second.remote_tag);
    assert_true(dialog_matches(&second, &m, false));
    assert_int_equal(dialog_on_response(&second, &m), 0);
    assert_string_equal(second.remote_target, "sip:two@203.0.113.2");
    assert_string_equal(first.remote_target, "sip:one@203.0.113.1");
    assert_string_equal(second.call_id, first.call_id);
    assert_string_equal(second.local_tag, first.local_tag);
    assert_int_equal(second.local_cseq, first.local_cseq);
    dialog_free(&first);
    dialog_free(&second);
    world_stop(&w);
}

static const char *const incoming =
    "INVITE sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK1\r\n"
    "Record-Route: <sip:near.example.net;lr>\r\nRecord-Route: <sip:far.example.net;lr>\r\n"
    "From: \"Bob, B\" <sip:bob@example.com>;x=\"1;2\";tag=b1;y\r\nTo: sip:alice@example.com\r\nCall-ID: in1\r\nCSeq: "
    "10 INVITE\r\n"
    "Contact: <sip:bob@203.0.113.5;transport=udp>;q=1\r\nContent-Length: 0\r\n\r\n";

/* The callee's side: Record-Route in order, From and To swapped without tags but with the rest, the Contact's URI as
 * target (12.1.1). */
static void callee_learns(void **state)
{
    world w;
    roam_dialog d;
    (void)state;
    world_start(&w);
    roam_message m = parse(incoming);
    assert_int_equal(dialog_init_callee(&d, &w.env, &m, SPAN("mine")), 0);
    assert_int_equal(d.state, DIALOG_EARLY);
    assert_false(d.caller);
    const char *text = request_text(&w, &d, METHOD_UPDATE, 0);
    contains(text, "UPDATE sip:bob@203.0.113.5;transport=udp SIP/2.0\r\n");
    contains(text, "Route: <sip:near.example.net;lr>\r\nRoute: <sip:far.example.net;lr>\r\n");
    contains(text, "From: <sip:alice@example.com>;tag=mine\r\nTo: \"Bob, B\" "
                   "<sip:bob@example.com>;x=\"1;2\";y;tag=b1\r\nCall-ID: in1\r\n");
    dialog_free(&d);
    char broken[1024];
    static const char *const cut[] = {";tag=b1", "Contact: <sip:bob@203.0.113.5;transport=udp>;q=1\r\n"};
    for (size_t i = 0; i < 2; i++) {
        const char *at = strstr(incoming, cut[i]);
        snprintf(broken, sizeof broken, "%.*s%s", (int)(at - incoming), incoming, at + strlen(cut[i]));
        m = parse(broken);
        assert_int_equal(dialog_init_callee(&d, &w.env, &m, SPAN("mine")), ROAM_ESYNTAX);
    }
    world_stop(&w);
}

static roam_message in_dialog(const char *method, unsigned cseq, const char *from_tag, const char *to_tag)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "%s sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK2\r\nFrom: "
             "<sip:bob@example.com>;tag=%s\r\n"
             "To: <sip:alice@example.com>;tag=%s\r\nCall-ID: in1\r\nCSeq: %u %s\r\nContact: <sip:bob@203.0.113.77>\r\n"
             "Content-Length: 0\r\n\r\n",
             method, from_tag, to_tag, cseq, method);
    return parse(text);
}

/* Requests of the peer (12.2.2): wrong tags are 481, an older CSeq is 500, gaps are fine; ACK and CANCEL do not count.
 * The Contact of a refresh is the new target. */
static void requests_of_the_peer(void **state)
{
    world w;
    roam_dialog d;
    (void)state;
    world_start(&w);
    roam_message m = parse(incoming);
    assert_int_equal(dialog_init_callee(&d, &w.env, &m, SPAN("mine")), 0);
    static const struct {
        const char *method;
        unsigned cseq;
        const char *from, *to;
        unsigned expected, after;
    } rows[] = {
        {"INFO", 11, "b1", "mine", 0, 11},    {"INFO", 10, "b1", "mine", 500, 11},
        {"BYE", 12, "b2", "mine", 481, 11},   {"BYE", 12, "b1", "other", 481, 11},
        {"ACK", 10, "b1", "mine", 0, 11},     {"UPDATE", 400, "b1", "mine", 0, 400},
        {"BYE", 399, "b1", "mine", 500, 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        m = in_dialog(rows[i].method, rows[i].cseq, rows[i].from, rows[i].to);
        assert_int_equal(dialog_check_request(&d, &m), rows[i].expected);
        assert_int_equal(d.remote_cseq, rows[i].after);
    }
    assert_int_equal(dialog_target_refresh(&d, &m), 0);
    assert_string_equal(d.remote_target, "sip:bob@203.0.113.77");
    uint32_t cseq = d.local_cseq;
    contains(request_text(&w, &d, METHOD_ACK, 77), "CSeq: 77 ACK\r\n");
    assert_int_equal(d.local_cseq, cseq);
    dialog_free(&d);
    world_stop(&w);
}

/* ---- the 2xx and its ACK ---- */

static void no_ack(void *user, roam_accept *accept)
{
    assert_false(accept_waiting(accept));
    world_log(user, "no-ack ");
}

static void accept_call(world *w, roam_accept *a)
{
    give(w, incoming);
    assert_int_equal(server_txn_respond(w->server, 200, (roam_span){0}), 0);
    assert_int_equal(accept_start(a, &w->sip, w->server, 10, no_ack, w), 0);
}

/* Our 2xx is repeated, byte for byte, at 0.5, 1.5, 3.5 s and every 4 s on, and given up after 64*T1, when the
 * transaction has ended as well (13.3.1.4). */
static void accept_never_acked(void **state)
{
    static const unsigned long times[] = {0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500};
    world w;
    roam_accept a;
    (void)state;
    world_start(&w);
    accept_call(&w, &a);
    run_until(&w, 31999);
    assert_int_equal(w.nsent, 11);
    for (size_t i = 0; i < 11; i++) {
        assert_int_equal(w.sent[i].ms, times[i]);
        assert_string_equal(w.sent[i].bytes, w.sent[0].bytes);
    }
    assert_string_equal(w.log, "INVITE ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "INVITE ended no-ack ");
    world_stop(&w);
    world_start(&w);
    accept_call(&w, &a);
    env_advance(&w.env, ROAM_SECONDS(1000)); /* asleep all the time: everything is due at once */
    assert_string_equal(w.log, "INVITE no-ack ended ");
    assert_int_equal(w.nsent, 1);
    world_stop(&w);
}

/* Only the ACK of this INVITE ends it; so does any other proof; a move sends the rest from the new path. */
static void accept_acked(void **state)
{
    world w;
    roam_accept a;
    (void)state;
    world_start(&w);
    accept_call(&w, &a);
    roam_message m = in_dialog("ACK", 9, "b1", "mine");
    assert_false(accept_on_ack(&a, &m));
    run_until(&w, 500);
    server_txn_move(w.server, &w.other);
    run_until(&w, 1500);
    assert_int_equal(w.nsent, 3);
    assert_ptr_equal(w.sent[1].path, &w.path);
    assert_ptr_equal(w.sent[2].path, &w.other);
    m = in_dialog("ACK", 10, "b1", "mine");
    assert_true(accept_on_ack(&a, &m));
    assert_false(accept_on_ack(&a, &m));
    accept_stop(&a);
    run_until(&w, 40000);
    assert_int_equal(w.nsent, 3);
    assert_string_equal(w.log, "INVITE ended ");
    world_stop(&w);
}

/* The ACK of a 2xx is kept and sent again as it was; on another path it gets a Via of that path and a new branch, all
 * else stays. */
static void ack_kept(void **state)
{
    world w;
    roam_dialog d;
    roam_ack ack = {0};
    (void)state;
    world_start(&w);
    caller(&w, &d);
    roam_flow *here = flow_get(&w.sip, &w.path, &w.peer), *there = flow_get(&w.sip, &w.other, &w.peer);
    assert_int_equal(ack_resend(&ack, &w.sip, here), ROAM_ESTATE);
    assert_int_equal(ack_send_with(&ack, &d, &w.sip, here, 5, SPAN("X-Credentials: kept\r\n"), SPAN("application/sdp"),
                                   SPAN("v=0\r\n")),
                     0);
    assert_int_equal(ack_resend(&ack, &w.sip, here), 0);
    assert_string_equal(w.sent[1].bytes, w.sent[0].bytes);
    contains(w.sent[0].bytes,
             "CSeq: 5 ACK\r\nX-Credentials: kept\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n");
    assert_int_equal(ack_resend(&ack, &w.sip, there), 0);
    assert_int_equal(ack_resend(&ack, &w.sip, there), 0);
    assert_ptr_equal(w.sent[2].path, &w.other);
    contains(w.sent[2].bytes, "ACK sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK");
    assert_string_equal(strstr(w.sent[2].bytes, "Max-Forwards"), strstr(w.sent[0].bytes, "Max-Forwards"));
    assert_string_equal(w.sent[3].bytes, w.sent[2].bytes);
    ack_free(&ack, &w.env.mem);
    flow_unref(here);
    flow_unref(there);
    dialog_free(&d);
    world_stop(&w);
}

/* ---- limits and memory ---- */

/* More Record-Route entries than we keep, or bad ones, refuse the dialog and leave it as it was. */
static void too_many_routes(void **state)
{
    world w;
    roam_dialog d;
    char lines[4096] = "";
    (void)state;
    world_start(&w);
    caller(&w, &d);
    for (unsigned i = 0; i <= ROAM_MAX_ROUTES; i++)
        strcat(lines, "Record-Route: <sip:r.example.net;lr>\r\n");
    roam_message m = response(&d, 200, "t", lines);
    assert_int_equal(dialog_on_response(&d, &m), ROAM_ELIMIT);
    assert_int_equal(d.state, DIALOG_NONE);
    assert_null(d.remote_tag);
    m = response(&d, 200, "t", "Contact: <sip:a@b\r\n");
    assert_int_equal(dialog_on_response(&d, &m), ROAM_ESYNTAX);
    assert_int_equal(d.state, DIALOG_NONE);
    dialog_free(&d);
    world_stop(&w);
}

static void refuse_dialog(long n, bool forever, bool *refused)
{
    world w;
    roam_dialog d = {0}, fork = {0}, in = {0};
    roam_ack ack = {0};
    roam_accept a = {0};
    if (world_start_refusing(&w, n, forever) == ROAM_OK) {
        if (dialog_init_caller(&d, &w.env, SPAN("<sip:a@b>"), SPAN("<sip:c@d>"), SPAN("sip:c@d")) == ROAM_OK) {
            const roam_span routes[] = {SPAN_INIT("sip:x;lr"), SPAN_INIT("<sip:y;lr>")};
            (void)dialog_set_routes(&d, routes, 2);
            (void)dialog_init_fork(&fork, &d);
            roam_message m = response(&d, 200, "t", "Record-Route: <sip:r;lr>, <sip:q;lr>\r\nContact: <sip:n@m>\r\n");
            int err = dialog_on_response(&d, &m);
            assert_true(err == ROAM_OK ? d.state == DIALOG_CONFIRMED && d.nroutes == 2
                                       : d.state == DIALOG_NONE && !d.remote_tag);
            m = in_dialog("UPDATE", 1, "x", "y");
            (void)dialog_target_refresh(&d, &m);
            roam_flow *flow = flow_get(&w.sip, &w.path, &w.peer);
            roam_flow *other = flow_get(&w.sip, &w.other, &w.peer);
            if (flow && other && ack_send(&ack, &d, &w.sip, flow, 1, (roam_span){0}, (roam_span){0}) == ROAM_OK)
                (void)ack_resend(&ack, &w.sip, other);
            flow_unref(flow);
            flow_unref(other);
        }
        roam_message m = parse(incoming);
        (void)dialog_init_callee(&in, &w.env, &m, SPAN("mine"));
        give(&w, incoming);
        if (w.server && server_txn_respond(w.server, 200, (roam_span){0}) == ROAM_OK)
            (void)accept_start(&a, &w.sip, w.server, 10, no_ack, &w);
        run_until(&w, 64000);
        assert_false(accept_waiting(&a));
    }
    *refused = w.refused;
    ack_free(&ack, &w.env.mem);
    dialog_free(&d);
    dialog_free(&fork);
    dialog_free(&in);
    world_stop(&w);
}

/* Each allocation of a scenario is refused, one run each, alone and with all that follow: nothing leaks, nothing is
 * half changed. */
static void dialog_memory_refused(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        bool refused = true;
        long n = 0;
        for (; refused; n++)
            refuse_dialog(n, forever, &refused);
        assert_true(n > 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caller_first_request),
        cmocka_unit_test(caller_learns),
        cmocka_unit_test(strict_routing),
        cmocka_unit_test(early_forks),
        cmocka_unit_test(callee_learns),
        cmocka_unit_test(requests_of_the_peer),
        cmocka_unit_test(accept_never_acked),
        cmocka_unit_test(accept_acked),
        cmocka_unit_test(ack_kept),
        cmocka_unit_test(too_many_routes),
        cmocka_unit_test(dialog_memory_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
