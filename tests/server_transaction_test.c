/* The server transaction machines and what stands before them: bytes in, state out, virtual time. */
#include "tests/sip_fixture.h"

static const char *const invite =
    "INVITE sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKone;rport\r\n"
    "From: <sip:bob@example.com>;tag=b1\r\nTo: <sip:alice@example.com>\r\nCall-ID: c9\r\nCSeq: 7 INVITE\r\n"
    "Timestamp: 54\r\nContact: <sip:bob@203.0.113.5>\r\nContent-Length: 0\r\n\r\n";

/* A request of the peer: the rest as in `invite`. */
static void request(world *w, const char *method, const char *via, const char *to_tag)
{
    char text[2048];
    snprintf(text, sizeof text,
             "%s sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s\r\nFrom: <sip:bob@example.com>;tag=b1\r\n"
             "To: <sip:alice@example.com>%s%s\r\nCall-ID: c9\r\nCSeq: 7 %s\r\nContact: "
             "<sip:bob@203.0.113.5>\r\nContent-Length: 0\r\n\r\n",
             method, via, *to_tag ? ";tag=" : "", to_tag, method);
    give(w, text);
}
#define VIA_ONE "203.0.113.5;branch=z9hG4bKone;rport"

static void assert_times(const world *w, size_t from, const unsigned long *ms, size_t n)
{
    assert_int_equal(w->nsent - from, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(w->sent[from + i].ms, ms[i]);
        assert_string_equal(w->sent[from + i].bytes, w->sent[from].bytes);
    }
}
#define TIMES(w, from, ...)                                                                                            \
    assert_times(w, from, (const unsigned long[]){__VA_ARGS__},                                                        \
                 sizeof((unsigned long[]){__VA_ARGS__}) / sizeof(unsigned long))

static void assert_status(const world *w, size_t i, unsigned status)
{
    char line[16];
    assert_true(i < w->nsent);
    snprintf(line, sizeof line, "SIP/2.0 %u ", status);
    if (strncmp(w->sent[i].bytes, line, strlen(line)) != 0)
        fail_msg("expected %u, got %s", status, w->sent[i].bytes);
}

/* ---- INVITE: figure 7, RFC 6026 figure 7 ---- */

/* Proceeding: 100 by itself after 200 ms, with the request's Timestamp and without a To tag; a repeated INVITE gets the
 * last provisional, and nothing before there is one. */
static void invite_server_proceeding(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    give(&w, invite);
    give(&w, invite);
    run_until(&w, 199);
    assert_int_equal(w.nsent, 0);
    run_until(&w, 200);
    assert_int_equal(w.nsent, 1);
    assert_string_equal(w.sent[0].bytes,
                        "SIP/2.0 100 Trying\r\n"
                        "Via: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKone;rport=5060;received=203.0.113.5\r\n"
                        "From: <sip:bob@example.com>;tag=b1\r\nTo: <sip:alice@example.com>\r\nCall-ID: c9\r\n"
                        "CSeq: 7 INVITE\r\nTimestamp: 54\r\nContent-Length: 0\r\n\r\n");
    give(&w, invite);
    TIMES(&w, 0, 200, 200);
    run_until(&w, 1000);
    assert_int_equal(server_txn_respond(w.server, 180, SPAN("Ringing here")), 0);
    give(&w, invite);
    TIMES(&w, 2, 1000, 1000);
    assert_status(&w, 2, 180);
    assert_non_null(strstr(w.sent[2].bytes, ";tag="));
    assert_int_equal(server_txn_respond(w.server, 183, (roam_span){0}), 0);
    give(&w, invite);
    assert_status(&w, 5, 183);
    run_until(&w, 600000); /* as long as it rings */
    assert_int_equal(w.nsent, 6);
    assert_string_equal(w.log, "INVITE ");
    assert_string_equal(server_txn_state_text(w.server), "proceeding");
    world_stop(&w);
}

/* No 100 by itself when the user has answered provisionally, or says that it does so. */
static void invite_server_no_trying(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    give(&w, invite);
    server_txn_respond(w.server, 180, (roam_span){0});
    run_until(&w, 5000);
    assert_int_equal(w.nsent, 1);
    w.sip.answer_trying = false;
    request(&w, "INVITE", "203.0.113.5;branch=z9hG4bKtwo", "");
    run_until(&w, 10000);
    assert_int_equal(w.nsent, 1);
    world_stop(&w);
}

/* Accepted: the INVITE is absorbed, an ACK of the same branch goes up, the 2xx is repeated by the user only; Timer L
 * after 64*T1. The request can be read all that time. */
static void invite_server_accepted(void **state)
{
    world w;
    roam_header_space space;
    roam_message m;
    (void)state;
    world_start(&w);
    give(&w, invite);
    assert_int_equal(server_txn_respond(w.server, 200, (roam_span){0}), 0);
    assert_string_equal(server_txn_state_text(w.server), "accepted");
    give(&w, invite);
    run_until(&w, 4000);
    assert_int_equal(w.nsent, 1);
    assert_int_equal(server_txn_respond(w.server, 200, (roam_span){0}), ROAM_ESTATE);
    assert_int_equal(server_txn_respond(w.server, 500, (roam_span){0}), ROAM_ESTATE);
    assert_int_equal(server_txn_resend(w.server), 0);
    TIMES(&w, 0, 0, 4000);
    assert_int_equal(server_txn_request(w.server, &m, &space), 0);
    assert_int_equal(m.method, METHOD_INVITE);
    request(&w, "ACK", VIA_ONE, "x");
    assert_string_equal(w.log, "INVITE ack ");
    run_until(&w, 31999);
    assert_string_equal(w.log, "INVITE ack ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "INVITE ack ended ");
    assert_int_equal(w.sip.ntransactions, 0);
    world_stop(&w);
}

/* Completed: Timer G repeats at 0.5, 1.5, 3.5 s and then every T2, an INVITE gets it too; Timer H at 32 s tells that no
 * ACK came. */
static void invite_server_never_acked(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.answer = 486;
    give(&w, invite);
    run_until(&w, 2000);
    give(&w, invite);
    run_until(&w, 31999);
    TIMES(&w, 0, 0, 500, 1500, 2000, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500);
    assert_string_equal(w.log, "INVITE ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "INVITE no-ack ended ");
    world_stop(&w);
}

/* Confirmed: the ACK ends Timer G; it and the INVITE are absorbed for T4 (Timer I). The request's bytes are gone after
 * the failure. */
static void invite_server_confirmed(void **state)
{
    world w;
    roam_header_space space;
    roam_message m;
    (void)state;
    world_start(&w);
    give(&w, invite);
    assert_int_equal(server_txn_request(w.server, &m, &space), 0);
    server_txn_respond(w.server, 486, (roam_span){0});
    run_until(&w, 700);
    assert_int_equal(server_txn_request(w.server, &m, &space), ROAM_ESTATE);
    request(&w, "ACK", VIA_ONE, "x");
    assert_string_equal(server_txn_state_text(w.server), "confirmed");
    request(&w, "ACK", VIA_ONE, "x");
    give(&w, invite);
    run_until(&w, 5699);
    TIMES(&w, 0, 0, 500);
    assert_string_equal(w.log, "INVITE acked ");
    run_until(&w, 5700);
    assert_string_equal(w.log, "INVITE acked ended ");
    world_stop(&w);
}

/* An ACK while the INVITE is still unanswered is nobody's. */
static void invite_server_early_ack(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    give(&w, invite);
    request(&w, "ACK", VIA_ONE, "x");
    assert_string_equal(w.log, "INVITE ");
    assert_string_equal(server_txn_state_text(w.server), "proceeding");
    world_stop(&w);
}

/* ---- others: figure 8, RFC 4320 ---- */

/* Trying: a repetition is absorbed; 100 goes by itself when Timer E of the client reaches T2 (3.5 s), not earlier over
 * UDP even if the user wants; other provisionals and 408 are refused; unanswered, it ends at 64*T1. */
static void other_server_unanswered(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    request(&w, "OPTIONS", VIA_ONE, "");
    request(&w, "OPTIONS", VIA_ONE, "");
    assert_string_equal(server_txn_state_text(w.server), "trying");
    assert_int_equal(server_txn_respond(w.server, 100, (roam_span){0}), ROAM_ESTATE);
    assert_int_equal(server_txn_respond(w.server, 183, (roam_span){0}), ROAM_EINVAL);
    assert_int_equal(server_txn_respond(w.server, 408, (roam_span){0}), ROAM_EINVAL);
    run_until(&w, 3499);
    assert_int_equal(w.nsent, 0);
    run_until(&w, 3500);
    assert_status(&w, 0, 100);
    assert_string_equal(server_txn_state_text(w.server), "proceeding");
    request(&w, "OPTIONS", VIA_ONE, "");
    assert_int_equal(server_txn_respond(w.server, 100, (roam_span){0}), 0); /* allowed late */
    TIMES(&w, 0, 3500, 3500, 3500);
    run_until(&w, 31999);
    assert_string_equal(w.log, "OPTIONS ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "OPTIONS ended ");
    world_stop(&w);
}

/* Completed, from Trying and from Proceeding: each repetition gets the same bytes; Timer J 64*T1 after the answer; no
 * second final. */
static void other_server_completed(void **state)
{
    for (unsigned long when = 0; when <= 10000; when += 10000) {
        world w;
        (void)state;
        world_start(&w);
        request(&w, "MESSAGE", VIA_ONE, "");
        run_until(&w, when);
        size_t first = w.nsent;
        assert_int_equal(server_txn_respond(w.server, 200, (roam_span){0}), 0);
        assert_string_equal(server_txn_state_text(w.server), "completed");
        assert_int_equal(server_txn_respond(w.server, 200, (roam_span){0}), ROAM_ESTATE);
        run_until(&w, when + 5000);
        request(&w, "MESSAGE", VIA_ONE, "");
        request(&w, "MESSAGE", VIA_ONE, "");
        TIMES(&w, first, when, when + 5000, when + 5000);
        run_until(&w, when + 31999);
        assert_string_equal(w.log, "MESSAGE ");
        run_until(&w, when + 32000);
        assert_string_equal(w.log, "MESSAGE ended ");
        world_stop(&w);
    }
}

/* On a stream: Timer J zero, G off, I zero; 100 allowed at any time. */
static void server_on_stream(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.path.transport = TRANSPORT_TCP;
    request(&w, "OPTIONS", "192.0.2.99:4;branch=z9hG4bKone", "");
    assert_int_equal(server_txn_respond(w.server, 100, (roam_span){0}), 0);
    assert_int_equal(server_txn_respond(w.server, 200, (roam_span){0}), 0);
    assert_true(roam_addr_equal(&w.sent[1].to, &w.peer)); /* back on the connection, whatever the Via says */
    run_until(&w, 0);
    assert_string_equal(w.log, "OPTIONS ended ");
    give(&w, invite);
    server_txn_respond(w.server, 486, (roam_span){0});
    run_until(&w, 20000);
    assert_int_equal(w.nsent, 3);
    request(&w, "ACK", VIA_ONE, "x");
    run_until(&w, 20000);
    assert_string_equal(w.log, "OPTIONS ended INVITE acked ended ");
    world_stop(&w);
}

/* ---- CANCEL, the server's side (9.2) ---- */

/* A CANCEL of a pending INVITE is told once and answered 200 each time, with the INVITE's To tag; the 487 is the
 * user's. */
static void cancel_of_pending(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    give(&w, invite);
    request(&w, "CANCEL", VIA_ONE, "");
    request(&w, "CANCEL", VIA_ONE, "");
    assert_string_equal(w.log, "INVITE cancelled ");
    TIMES(&w, 0, 0, 0);
    assert_status(&w, 0, 200);
    char tag[64];
    snprintf(tag, sizeof tag, ";tag=%.*s\r\n", SPAN_ARG(server_txn_to_tag(w.server)));
    assert_non_null(strstr(w.sent[0].bytes, tag));
    assert_non_null(strstr(w.sent[0].bytes, "CSeq: 7 CANCEL"));
    server_txn_respond(w.server, 487, (roam_span){0});
    assert_status(&w, 2, 487);
    assert_non_null(strstr(w.sent[2].bytes, tag));
    request(&w, "CANCEL", VIA_ONE, "");
    assert_status(&w, 3, 200);
    world_stop(&w);
}

/* After a 2xx it changes nothing; without an INVITE it is 481. */
static void cancel_too_late(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    request(&w, "CANCEL", VIA_ONE, "");
    assert_status(&w, 0, 481);
    w.answer = 200;
    give(&w, invite);
    request(&w, "CANCEL", VIA_ONE, "");
    assert_status(&w, 2, 200);
    assert_string_equal(w.log, "INVITE ");
    request(&w, "OPTIONS", "203.0.113.5;branch=z9hG4bKtwo", "");
    request(&w, "CANCEL", "203.0.113.5;branch=z9hG4bKtwo", "");
    assert_status(&w, 4, 481);
    world_stop(&w);
}

/* ---- matching (17.2.3) ---- */

/* Branch, sent-by and method together: where one differs it is another request. Without the cookie the fields of RFC
 * 2543 decide. */
static void server_matching(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.answer = 486;
    static const char *const vias[] = {VIA_ONE, "203.0.113.6;branch=z9hG4bKone;rport",
                                       "203.0.113.5:5062;branch=z9hG4bKone;rport",
                                       "203.0.113.5;branch=z9hG4bKtwo;rport"};
    for (size_t i = 0; i < 4; i++)
        request(&w, "INVITE", vias[i], "");
    request(&w, "OPTIONS", VIA_ONE, "");
    assert_int_equal(w.sip.ntransactions, 5);
    assert_string_equal(w.log, "INVITE INVITE INVITE INVITE OPTIONS ");
    world_forget(&w);
    static const char *const old[] = {"203.0.113.5", "203.0.113.5;branch=1", "203.0.113.5;branch=z9hG4bK"};
    for (size_t i = 0; i < 3; i++) {
        request(&w, "INVITE", old[i], "");
        request(&w, "INVITE", old[i], ""); /* the same: repeated */
    }
    assert_string_equal(w.log, "INVITE INVITE INVITE ");
    assert_int_equal(w.nsent, 6);
    request(&w, "ACK", old[0], "whatever");
    request(&w, "ACK", old[2], "whatever");
    assert_string_equal(w.log, "INVITE INVITE INVITE acked acked ");
    world_stop(&w);
}

/* 8.2.2.2: the same request by another way is 482 while the first one is there; in a dialog, or with the check off, it
 * is not. */
static void merged_request(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.sip.merge_check = true;
    give(&w, invite);
    request(&w, "INVITE", "203.0.113.6;branch=z9hG4bKother;rport", "");
    assert_status(&w, 0, 482);
    assert_int_equal(w.sip.counters.merged, 1);
    request(&w, "INVITE", "203.0.113.6;branch=z9hG4bKdialog", "x");
    assert_string_equal(w.log, "INVITE INVITE ");
    w.sip.merge_check = false;
    request(&w, "INVITE", "203.0.113.6;branch=z9hG4bKoff", "");
    assert_string_equal(w.log, "INVITE INVITE INVITE ");
    world_stop(&w);
    world_start(&w);
    w.sip.merge_check = true;
    w.answer = 200;
    request(&w, "OPTIONS", VIA_ONE, "");
    run_until(&w, 32000);
    request(&w, "OPTIONS", "203.0.113.6;branch=z9hG4bKother;rport", "");
    assert_int_equal(w.sip.counters.merged, 0);
    world_stop(&w);
}

/* ---- where responses go (18.2.2, RFC 3581) ---- */

static void response_addresses(void **state)
{
    static const struct {
        const char *via, *source, *to, *written;
    } rows[] = {
        {"203.0.113.5;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:5060", "UDP 203.0.113.5;branch=z9hG4bK1\r\n"},
        {"203.0.113.5:5070;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:5070",
         "UDP 203.0.113.5:5070;branch=z9hG4bK1\r\n"},
        {"10.0.0.1:5070;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:5070", ";received=203.0.113.5\r\n"},
        {"10.0.0.1:5070;rport;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:40000",
         ";rport=40000;received=203.0.113.5\r\n"},
        {"host.example.com;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:5060", ";received=203.0.113.5\r\n"},
        {"203.0.113.5;maddr=239.1.1.1;branch=z9hG4bK1", "203.0.113.5:40000", "239.1.1.1:5060", ";maddr=239.1.1.1;"},
        {"203.0.113.5:5070;maddr=239.1.1.1;rport;branch=z9hG4bK1", "203.0.113.5:40000", "239.1.1.1:5070",
         ";rport=40000"},
        {"10.0.0.1;received=10.9.9.9;branch=z9hG4bK1", "203.0.113.5:40000", "203.0.113.5:5060",
         ";received=203.0.113.5\r\n"},
        {"[2001:db8::9]:5070;branch=z9hG4bK1", "[2001:db8::9]:40000", "[2001:db8::9]:5070", "UDP [2001:db8::9]:5070;"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w;
        char text[ROAM_ADDR_TEXT_MAX];
        world_start(&w);
        w.answer = 200;
        assert_int_equal(roam_addr_parse(span_of(rows[i].source), &w.peer), 0);
        request(&w, "OPTIONS", rows[i].via, "");
        assert_int_equal(w.nsent, 1);
        roam_addr_format(&w.sent[0].to, text);
        assert_string_equal(text, rows[i].to);
        if (!strstr(w.sent[0].bytes, rows[i].written))
            fail_msg("row %zu: %s", i, w.sent[0].bytes);
        world_stop(&w);
    }
}

/* After a move the same answer leaves from the new path to the same place; on a path that is gone it is as if lost,
 * until the request comes again on another one. */
static void server_moves(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.answer = 200;
    give(&w, invite);
    path_set_state(&w.env, &w.path, PATH_GONE, "test");
    assert_int_equal(server_txn_resend(w.server), ROAM_EOFFLINE);
    server_txn_move(w.server, &w.other);
    assert_int_equal(server_txn_resend(w.server), 0);
    assert_ptr_equal(w.sent[1].path, &w.other);
    assert_true(roam_addr_equal(&w.sent[1].to, &w.peer));
    assert_string_equal(w.sent[1].bytes, w.sent[0].bytes);
    world_stop(&w);
    world_start(&w);
    w.answer = 200;
    request(&w, "OPTIONS", VIA_ONE, "");
    path_set_state(&w.env, &w.path, PATH_GONE, "test");
    char text[512];
    snprintf(text, sizeof text,
             "OPTIONS sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s\r\nFrom: <sip:bob@example.com>;tag=b1\r\n"
             "To: <sip:alice@example.com>\r\nCall-ID: c9\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n",
             VIA_ONE);
    sip_receive(&w.sip, &w.other, &w.peer, span_of(text));
    assert_string_equal(w.log, "OPTIONS ");
    assert_int_equal(w.nsent, 2);
    assert_ptr_equal(w.sent[1].path, &w.other);
    assert_string_equal(w.sent[1].bytes, w.sent[0].bytes);
    world_stop(&w);
}

/* ---- answers without a transaction ---- */

/* A malformed request is answered when it says to whom; a malformed response, ACK or one without the fields is dropped.
 * The ACK of such an answer is recognised by its tag and goes nowhere; another ACK goes up. */
static void stateless_answers(void **state)
{
    world w;
    char text[1024];
    (void)state;
    world_start(&w);
    give(&w, "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKx\r\nFrom: <sip:b@b>;tag=1\r\nTo: "
             "<sip:a@b>\r\n"
             "Call-ID: c\r\nCSeq: 99999999999 INVITE\r\nContent-Length: 0\r\n\r\n");
    assert_status(&w, 0, 400);
    const char *tag = strstr(w.sent[0].bytes, "To: <sip:a@b>;tag=");
    assert_non_null(tag);
    snprintf(text, sizeof text,
             "ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKx\r\nFrom: <sip:b@b>;tag=1\r\nTo: "
             "<sip:a@b>;tag=%.16s\r\n"
             "Call-ID: c\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
             tag + 18);
    give(&w, text);
    assert_string_equal(w.log, "");
    assert_int_equal(w.sip.counters.stray_acks, 1);
    strstr(text, ";tag=1")[5] = '2';
    strstr(text, "Call-ID: c")[9] = 'd';
    give(&w, text);
    assert_string_equal(w.log, "ack ");
    give(&w, "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKx\r\nFrom: <sip:b@b>;tag=1\r\n"
             "Call-ID: c\r\nCSeq: 1 INVITE\r\n\r\n");
    give(&w, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKx\r\n\r\n");
    give(&w, "ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5\r\n\r\n");
    give(&w, "\r\n\r\n");
    assert_int_equal(w.nsent, 1);
    assert_int_equal(w.sip.counters.malformed, 4);
    assert_int_equal(w.sip.ntransactions, 0);
    world_stop(&w);
}

/* ---- inside callbacks, and without memory ---- */

static void answer_and_call_back(world *w, roam_server_txn *txn)
{
    assert_int_equal(server_txn_respond(txn, 486, (roam_span){0}), 0);
    assert_int_equal(server_txn_respond(txn, 200, (roam_span){0}), ROAM_ESTATE);
    roam_client_txn *out = start(w, "OPTIONS", &w->other);
    client_txn_abandon(out);
    assert_string_equal(client_txn_state_text(out), "terminated"); /* still there: it dies at the end of the input */
}

/* A user that answers, calls and gives up inside tu.request finds its objects alive until the input ends. */
static void busy_callback(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    w.on_request = answer_and_call_back;
    give(&w, invite);
    assert_int_equal(w.sip.ntransactions, 1);
    assert_int_equal(w.nsent, 2);
    world_stop(&w);
}

static void refuse_server(long n, bool forever, bool *refused)
{
    world w;
    if (world_start_refusing(&w, n, forever) == ROAM_OK) {
        w.sip.merge_check = true;
        give(&w, invite);
        give(&w, invite);
        request(&w, "CANCEL", VIA_ONE, "");
        if (w.server) {
            (void)server_txn_respond(w.server, 180, (roam_span){0});
            server_txn_move(w.server, &w.other);
            (void)server_txn_respond(w.server, 487, (roam_span){0});
        }
        request(&w, "ACK", VIA_ONE, "x");
        w.answer = 200;
        request(&w, "OPTIONS", "203.0.113.6;branch=z9hG4bKone;rport", "");
        run_until(&w, 100000);
        if (!w.refused)
            assert_int_equal(w.sip.ntransactions, 0);
    }
    *refused = w.refused;
    world_stop(&w);
}

/* Each allocation of a scenario is refused, one run each, alone and with all that follow: nothing leaks, nothing
 * crashes. */
static void server_memory_refused(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        bool refused = true;
        long n = 0;
        for (; refused; n++)
            refuse_server(n, forever, &refused);
        assert_true(n > 10);
    }
}

/* Without memory to keep it a refusal is sent once, and counts as given; a 2xx to INVITE would have to be repeated: it is not sent, and another answer may be. */
static void answers_without_memory(void **state)
{
    (void)state;
    for (unsigned status = 200; status < 500; status += 286) {
        world w;
        world_start(&w);
        give(&w, invite);
        size_t before = w.nsent;
        w.refuse_after = 0;
        w.refuse_forever = true;
        assert_int_equal(server_txn_respond(w.server, status, (roam_span){0}), status == 200 ? ROAM_ENOMEM : ROAM_OK);
        assert_int_equal(w.nsent, before + (status != 200));
        w.refuse_after = -1;
        if (status == 200)
            assert_int_equal(server_txn_respond(w.server, 500, (roam_span){0}), ROAM_OK);
        assert_int_equal(w.nsent, before + 1);
        run_until(&w, 100000);
        assert_int_equal(w.sip.ntransactions, 0);
        world_stop(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invite_server_proceeding),
        cmocka_unit_test(invite_server_no_trying),
        cmocka_unit_test(invite_server_accepted),
        cmocka_unit_test(invite_server_never_acked),
        cmocka_unit_test(invite_server_confirmed),
        cmocka_unit_test(invite_server_early_ack),
        cmocka_unit_test(other_server_unanswered),
        cmocka_unit_test(other_server_completed),
        cmocka_unit_test(server_on_stream),
        cmocka_unit_test(cancel_of_pending),
        cmocka_unit_test(cancel_too_late),
        cmocka_unit_test(server_matching),
        cmocka_unit_test(merged_request),
        cmocka_unit_test(response_addresses),
        cmocka_unit_test(server_moves),
        cmocka_unit_test(stateless_answers),
        cmocka_unit_test(busy_callback),
        cmocka_unit_test(server_memory_refused),
        cmocka_unit_test(answers_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
