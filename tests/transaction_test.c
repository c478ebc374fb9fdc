/* The client transaction machines: bytes in, state out, virtual time. The server's: server_transaction_test.c. */
#include "tests/sip_fixture.h"

static void assert_times(const world *w, size_t from, const unsigned long *ms, size_t n)
{
    assert_int_equal(w->nsent - from, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(w->sent[from + i].ms, ms[i]);
        assert_int_equal(w->sent[from + i].len, w->sent[from].len);
        assert_memory_equal(w->sent[from + i].bytes, w->sent[from].bytes, w->sent[from].len);
    }
}
#define TIMES(w, from, ...)                                                                                            \
    assert_times(w, from, (const unsigned long[]){__VA_ARGS__},                                                        \
                 sizeof((unsigned long[]){__VA_ARGS__}) / sizeof(unsigned long))

/* ---- INVITE client: RFC 3261 figure 5, RFC 6026 figure 5 ---- */

/* Calling: Timer A at 0.5, 1.5, 3.5, ... s with the same bytes, Timer B at 32 s, then timeout and end. Shown by an
 * INVITE nobody answers. */
static void invite_client_unanswered(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    assert_string_equal(client_txn_state_text(txn), "calling");
    run_until(&w, 31999);
    assert_string_equal(w.log, "");
    run_until(&w, 32000);
    TIMES(&w, 0, 0, 500, 1500, 3500, 7500, 15500, 31500);
    assert_string_equal(w.log, "timeout ended ");
    assert_int_equal(w.sip.ntransactions, 0);
    world_stop(&w);
}

/* Quiet: its path is gone, so nothing is repeated and nothing fails by it; the answer that comes after all is told, and without one it is over with Timer B. */
static void invite_client_quiet(void **state)
{
    (void)state;
    for (int answered = 0; answered < 2; answered++) {
        world w;
        world_start(&w);
        roam_client_txn *txn = start(&w, "INVITE", &w.path);
        run_until(&w, 600);
        client_txn_quiet(txn);
        run_until(&w, 20000);
        TIMES(&w, 0, 0, 500);
        if (answered) {
            respond(&w, 0, 180, "b", "");
            assert_string_equal(w.log, "180 ");
        } else {
            run_until(&w, 32000);
            assert_string_equal(w.log, "timeout ended ");
        }
        world_stop(&w);
    }
}

/* Proceeding: a provisional ends Timers A and B; each 1xx is told. Accepted: the 2xx and each repetition is told, other
 * answers not; Timer M after 64*T1; later 2xx are strays. */
static void invite_client_accepted(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    respond(&w, 0, 180, "b", "");
    assert_true(client_txn_has_provisional(txn));
    run_until(&w, 600000);
    respond(&w, 0, 183, "b", "");
    assert_int_equal(w.nsent, 1);
    assert_true(client_txn_request(txn).len > 0);
    respond(&w, 0, 200, "b", "");
    assert_string_equal(client_txn_state_text(txn), "accepted");
    assert_int_equal(client_txn_request(txn).len, 0);
    respond(&w, 0, 200, "b", "");
    respond(&w, 0, 200, "c", "");
    respond(&w, 0, 183, "b", "");
    respond(&w, 0, 486, "b", "");
    assert_int_equal(w.nsent, 1); /* the ACK of a 2xx is the user's */
    run_until(&w, 600000 + 31999);
    assert_string_equal(w.log, "180 183 200 200 200 ");
    run_until(&w, 600000 + 32000);
    assert_string_equal(w.log, "180 183 200 200 200 ended ");
    respond(&w, 0, 200, "b", "");
    assert_string_equal(w.log, "180 183 200 200 200 ended stray-200 ");
    assert_int_equal(w.sip.counters.stray_responses, 1);
    world_stop(&w);
}

/* Completed: the ACK has the INVITE's top Via, Route, From, Call-ID and CSeq number and the response's To (17.1.1.3); a
 * repeated failure gets the same bytes and is not told; a late 2xx or 1xx does nothing; Timer D after 32 s. */
static void invite_client_failure(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    respond(&w, 0, 486, "b", "");
    assert_string_equal(client_txn_state_text(txn), "completed");
    assert_int_equal(w.nsent, 2);
    char expected[1024];
    snprintf(
        expected, sizeof expected,
        "ACK sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=%.*s;rport\r\nMax-Forwards: 70\r\n"
        "Route: <sip:edge.example.com;lr>\r\nFrom: <sip:alice@example.com>;tag=a1\r\nCall-ID: c1\r\nCSeq: 41 ACK\r\n"
        "To: <sip:bob@example.com>;tag=b\r\nContent-Length: 0\r\n\r\n",
        SPAN_ARG(client_txn_branch(txn)));
    assert_string_equal(w.sent[1].bytes, expected);
    run_until(&w, 3000);
    respond(&w, 0, 486, "b", "");
    respond(&w, 0, 200, "b", "");
    respond(&w, 0, 180, "b", "");
    TIMES(&w, 1, 0, 3000);
    run_until(&w, 31999);
    assert_string_equal(w.log, "486 ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "486 ended ");
    world_stop(&w);
}

/* From Proceeding to Completed as well (figure 5, the arrow from Proceeding). */
static void invite_client_failure_after_provisional(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    start(&w, "INVITE", &w.path);
    respond(&w, 0, 180, "b", "");
    respond(&w, 0, 603, "b", "");
    assert_int_equal(w.nsent, 2);
    run_until(&w, 32000);
    assert_string_equal(w.log, "180 603 ended ");
    world_stop(&w);
}

/* A failure is acknowledged on the path it came by when the INVITE's path is gone, with the old Via. */
static void invite_client_ack_after_move(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    respond(&w, 0, 180, "b", "");
    path_set_state(&w.env, &w.path, PATH_GONE, "test");
    roam_header_space space;
    roam_message m;
    char text[1024];
    roam_writer writer;
    assert_int_equal(message_parse(&m, &space, client_txn_request(txn)), 0);
    writer_init(&writer, text, sizeof text);
    write_response_head(&writer, &m, 486, (roam_span){0}, SPAN("b"), NULL);
    write_body(&writer, (roam_span){0}, (roam_span){0});
    sip_receive(&w.sip, &w.other, &w.peer, writer_span(&writer));
    assert_int_equal(w.nsent, 2);
    assert_ptr_equal(w.sent[1].path, &w.other);
    assert_non_null(strstr(w.sent[1].bytes, "ACK "));
    assert_non_null(strstr(w.sent[1].bytes, "UDP 192.0.2.1:5060;branch="));
    world_stop(&w);
}

/* What cannot be sent is told at the next input, not from inside request_send; a repetition that fails ends the
 * transaction (17.1.4). */
static void client_send_errors(void **state)
{
    for (int i = 0; i < 2; i++) {
        const char *method = i ? "INVITE" : "OPTIONS";
        world w;
        (void)state;
        world_start(&w);
        w.send_error = ROAM_EIO;
        assert_non_null(start(&w, method, &w.path));
        assert_string_equal(w.log, "");
        run_until(&w, 0);
        assert_string_equal(w.log, "failed ended ");
        w.send_error = 0;
        assert_non_null(start(&w, method, &w.path));
        path_set_state(&w.env, &w.path, PATH_GONE, "test");
        run_until(&w, 499);
        assert_string_equal(w.log, "failed ended ");
        run_until(&w, 500);
        assert_string_equal(w.log, "failed ended failed ended ");
        world_stop(&w);
    }
}

/* A datagram that found no memory is a datagram lost: at first and when it is repeated. The next one leaves at its time; nothing failed. */
static void client_sends_without_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        world w;
        world_start(&w);
        w.send_error = ROAM_ENOMEM;
        assert_non_null(start(&w, i ? "INVITE" : "OPTIONS", &w.path));
        run_until(&w, 600);
        w.send_error = 0;
        run_until(&w, 1600);
        TIMES(&w, 0, 1500);
        assert_string_equal(w.log, "");
        respond(&w, 0, 200, "b", "");
        assert_memory_equal(w.log, "200 ", 4);
        world_stop(&w);
    }
}

/* On a stream nothing is repeated and nothing lingers after a failure or a final: Timers A, E off, D, K zero; B, F, M
 * as ever. */
static void client_on_stream(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    path_set(&w.other, "198.51.100.7:5060", TRANSPORT_TCP);
    start(&w, "INVITE", &w.other);
    start(&w, "OPTIONS", &w.other);
    assert_non_null(strstr(w.sent[0].bytes, "Via: SIP/2.0/TCP "));
    respond(&w, 1, 200, "b", "");
    run_until(&w, 0);
    assert_string_equal(w.log, "200 ended ");
    respond(&w, 0, 486, "b", "");
    run_until(&w, 0);
    assert_string_equal(w.log, "200 ended 486 ended ");
    start(&w, "INVITE", &w.other);
    start(&w, "OPTIONS", &w.other);
    run_until(&w, 32000);
    assert_int_equal(w.nsent, 5);
    assert_string_equal(w.log, "200 ended 486 ended timeout ended timeout ended ");
    world_stop(&w);
}

/* ---- non-INVITE client: figure 6 ---- */

/* Trying: Timer E at 0.5, 1.5, 3.5, then every 4 s; Timer F at 32 s. */
static void other_client_unanswered(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    assert_string_equal(client_txn_state_text(start(&w, "OPTIONS", &w.path)), "trying");
    run_until(&w, 32000);
    TIMES(&w, 0, 0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500);
    assert_string_equal(w.log, "timeout ended ");
    world_stop(&w);
}

/* Proceeding: repeated every T2 from the next firing of Timer E on, Timer F still counts from the start. */
static void other_client_proceeding(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "OPTIONS", &w.path);
    run_until(&w, 600);
    respond(&w, 0, 100, "", "");
    assert_string_equal(client_txn_state_text(txn), "proceeding");
    run_until(&w, 31999);
    TIMES(&w, 0, 0, 500, 1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500);
    assert_string_equal(w.log, "100 ");
    run_until(&w, 32000);
    assert_string_equal(w.log, "100 timeout ended ");
    world_stop(&w);
}

/* Completed, from both states: Timer K for 5 s absorbs repeated answers; the request's bytes are gone; afterwards they
 * are strays. */
static void other_client_completed(void **state)
{
    for (int provisional = 0; provisional < 2; provisional++) {
        world w;
        (void)state;
        world_start(&w);
        roam_client_txn *txn = start(&w, "MESSAGE", &w.path);
        if (provisional)
            respond(&w, 0, 100, "", "");
        respond(&w, 0, 404, "b", "");
        assert_string_equal(client_txn_state_text(txn), "completed");
        assert_int_equal(client_txn_request(txn).len, 0);
        respond(&w, 0, 404, "b", "");
        respond(&w, 0, 100, "", "");
        run_until(&w, 4999);
        assert_string_equal(w.log, provisional ? "100 404 " : "404 ");
        run_until(&w, 5000);
        respond(&w, 0, 404, "b", "");
        assert_string_equal(w.log, provisional ? "100 404 ended stray-404 " : "404 ended stray-404 ");
        assert_int_equal(w.nsent, 1);
        world_stop(&w);
    }
}

/* A response is matched by branch and CSeq method both (17.1.3). */
static void client_matching(void **state)
{
    world w;
    char text[1024];
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "OPTIONS", &w.path);
    static const struct {
        const char *prefix, *method, *log;
    } rows[] = {{"", "INFO", "stray-200 "},
                {"x", "OPTIONS", "stray-200 stray-200 "},
                {"", "OPTIONS", "stray-200 stray-200 200 "}};
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text,
                 "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=%.*s%s\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
                 "<sip:a@b>;tag=2\r\n"
                 "Call-ID: c\r\nCSeq: 41 %s\r\nContent-Length: 0\r\n\r\n",
                 SPAN_ARG(client_txn_branch(txn)), rows[i].prefix, rows[i].method);
        give(&w, text);
        assert_string_equal(w.log, rows[i].log);
    }
    world_stop(&w);
}

/* ---- abandoning ---- */

/* An abandoned INVITE says nothing more: a late failure is ACKed in silence, a late 2xx is a stray; it is freed after
 * 64*T1. */
static void abandon_invite(void **state)
{
    for (int provisional = 0; provisional < 2; provisional++) {
        world w;
        (void)state;
        world_start(&w);
        roam_client_txn *txn = start(&w, "INVITE", &w.path);
        if (provisional)
            respond(&w, 0, 180, "b", "");
        w.log[0] = '\0';
        client_txn_abandon(txn);
        run_until(&w, 2000);
        assert_int_equal(w.nsent, 1); /* Timer A is off */
        respond(&w, 0, 183, "b", "");
        respond(&w, 0, 487, "b", "");
        respond(&w, 0, 487, "b", "");
        TIMES(&w, 1, 2000, 2000);
        respond(&w, 0, 200, "c", "");
        assert_string_equal(w.log, "stray-200 ");
        run_until(&w, 31999);
        assert_int_equal(w.sip.ntransactions, 1);
        run_until(&w, 32000);
        assert_int_equal(w.sip.ntransactions, 0);
        assert_string_equal(w.log, "stray-200 ");
        world_stop(&w);
    }
}

/* Other requests are forgotten at once, whatever their state; answered ones stay to absorb. */
static void abandon_other(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "REGISTER", &w.path);
    client_txn_abandon(txn);
    sip_reap(&w.sip);
    assert_int_equal(w.sip.ntransactions, 0);
    respond(&w, 0, 200, "b", "");
    txn = start(&w, "REGISTER", &w.path);
    respond(&w, 1, 100, "", "");
    client_txn_abandon(txn);
    run_until(&w, 0); /* without sip_reap the next timer does it */
    assert_int_equal(w.sip.ntransactions, 0);
    txn = start(&w, "REGISTER", &w.path);
    respond(&w, 2, 200, "b", "");
    client_txn_abandon(txn);
    respond(&w, 2, 200, "b", "");
    assert_int_equal(w.sip.ntransactions, 1);
    run_until(&w, 5000);
    assert_int_equal(w.sip.ntransactions, 0);
    assert_string_equal(w.log, "stray-200 100 200 ");
    world_stop(&w);
}

static void abandon_and_restart(world *w, roam_client_txn *txn, roam_client_event event)
{
    w->on_client = NULL;
    (void)event;
    client_txn_abandon(txn);
    assert_non_null(start(w, "OPTIONS", &w->path));
}

/* The user may abandon the transaction and start another from inside any of its events; ASan sees that nothing freed is
 * touched. */
static void abandon_in_callback(void **state)
{
    static const struct {
        const char *method;
        unsigned status; /* 0: time-out */
    } rows[] = {{"INVITE", 0},  {"INVITE", 180},  {"INVITE", 200}, {"INVITE", 486},
                {"OPTIONS", 0}, {"OPTIONS", 100}, {"OPTIONS", 200}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w;
        (void)state;
        world_start(&w);
        w.on_client = abandon_and_restart;
        assert_non_null(start(&w, rows[i].method, &w.path));
        if (rows[i].status)
            respond(&w, 0, rows[i].status, "b", "");
        run_until(&w, 200000);
        assert_int_equal(w.sip.ntransactions, 0);
        assert_non_null(strstr(w.log, "timeout ended ")); /* the second one's */
        world_stop(&w);
    }
}

/* ---- CANCEL, the client's side (RFC 3261 9.1) ---- */

/* Before a provisional CANCEL waits for it; then it goes with the INVITE's Via, To, From, Call-ID, Route and CSeq
 * number, repeats like any request; the 487 is ACKed and told. */
static void cancel_waits(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    assert_int_equal(client_txn_cancel(txn, NULL, false), 0);
    assert_int_equal(w.nsent, 1);
    respond(&w, 0, 180, "b", "");
    assert_int_equal(w.nsent, 2);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "CANCEL sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=%.*s;rport\r\nMax-Forwards: "
             "70\r\n"
             "Route: <sip:edge.example.com;lr>\r\nFrom: <sip:alice@example.com>;tag=a1\r\nCall-ID: c1\r\n"
             "To: <sip:bob@example.com>\r\nCSeq: 41 CANCEL\r\nContent-Length: 0\r\n\r\n",
             SPAN_ARG(client_txn_branch(txn)));
    assert_string_equal(w.sent[1].bytes, expected);
    run_until(&w, 1600);
    TIMES(&w, 1, 0, 500, 1500);
    respond(&w, 1, 200, "b", "");
    respond(&w, 0, 487, "b", "");
    assert_int_equal(w.nsent, 5);
    assert_non_null(strstr(w.sent[4].bytes, "ACK "));
    run_until(&w, 40000);
    assert_string_equal(w.log, "180 487 ended ");
    assert_int_equal(w.nsent, 5);
    world_stop(&w);
}

/* After a provisional it goes at once, once; an INVITE that stays unanswered ends 64*T1 later. After the final answer
 * there is nothing to cancel. */
static void cancel_without_final(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    respond(&w, 0, 180, "b", "");
    run_until(&w, 10000);
    assert_int_equal(client_txn_cancel(txn, NULL, false), 0);
    assert_int_equal(client_txn_cancel(txn, NULL, false), 0);
    assert_int_equal(w.nsent, 2);
    respond(&w, 1, 200, "b", "");
    respond(&w, 0, 180, "b", "");
    run_until(&w, 41999);
    assert_string_equal(w.log, "180 180 ");
    run_until(&w, 42000);
    assert_string_equal(w.log, "180 180 timeout ended ");
    txn = start(&w, "INVITE", &w.path);
    respond(&w, 2, 200, "b", "");
    assert_int_equal(client_txn_cancel(txn, NULL, true), ROAM_ESTATE);
    txn = start(&w, "OPTIONS", &w.path);
    assert_int_equal(client_txn_cancel(txn, NULL, true), ROAM_EINVAL);
    world_stop(&w);
}

/* Forced: it goes before any provisional, on the flow given, with the old Via; the INVITE is not repeated any more; a
 * provisional that still comes makes the CANCEL start again, and so does a second force. */
static void cancel_forced(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    roam_client_txn *txn = start(&w, "INVITE", &w.path);
    roam_flow *flow = flow_get(&w.sip, &w.other, &w.peer);
    assert_int_equal(client_txn_cancel(txn, flow, true), 0);
    flow_unref(flow);
    assert_ptr_equal(w.sent[1].path, &w.other);
    assert_non_null(strstr(w.sent[1].bytes, "UDP 192.0.2.1:5060;branch="));
    run_until(&w, 1000);
    TIMES(&w, 1, 0, 500); /* only the CANCEL */
    respond(&w, 1, 481, "b", "");
    run_until(&w, 1200);
    respond(&w, 0, 180, "b", "");
    assert_int_equal(w.nsent, 4);
    assert_ptr_equal(w.sent[3].path, &w.other);
    assert_string_equal(w.sent[3].bytes, w.sent[1].bytes);
    assert_int_equal(client_txn_cancel(txn, NULL, true), 0);
    assert_int_equal(w.nsent, 5);
    assert_int_equal(w.sip.clients.count, 2); /* the INVITE and one CANCEL */
    run_until(&w, 33199);
    assert_string_equal(w.log, "180 ");
    run_until(&w, 33200);
    assert_string_equal(w.log, "180 timeout ended ");
    world_stop(&w);
}

/* ---- memory ---- */

static void refuse_client(long n, bool forever, bool *refused)
{
    world w;
    if (world_start_refusing(&w, n, forever) == ROAM_OK) {
        roam_client_txn *txn = start(&w, "INVITE", &w.path);
        if (txn) {
            (void)client_txn_cancel(txn, NULL, false);
            respond(&w, 0, 180, "b", "");
            respond(&w, 0, 486, "b", "");
            respond(&w, 0, 486, "b", "");
            txn = start(&w, "INVITE", &w.path);
            if (txn)
                client_txn_abandon(txn);
        }
        txn = start(&w, "OPTIONS", &w.path);
        if (txn)
            respond(&w, w.nsent - 1, 200, "b", "");
        run_until(&w, 100000);
        assert_int_equal(w.sip.ntransactions, 0);
    }
    *refused = w.refused;
    world_stop(&w);
}

/* Each allocation of a scenario is refused, one run each, alone and with all that follow: nothing leaks, nothing
 * crashes, what began still ends. */
static void client_memory_refused(void **state)
{
    (void)state;
    for (int forever = 0; forever < 2; forever++) {
        bool refused = true;
        long n = 0;
        for (; refused; n++)
            refuse_client(n, forever, &refused);
        assert_true(n > 10);
    }
}

/* Without memory for its ACK an INVITE still gets the same ACK for each copy of the failure. */
static void ack_without_memory(void **state)
{
    world w;
    (void)state;
    world_start(&w);
    start(&w, "INVITE", &w.path);
    w.refuse_after = 0;
    w.refuse_forever = true;
    respond(&w, 0, 486, "b", "");
    respond(&w, 0, 486, "b", "");
    assert_true(w.refused);
    TIMES(&w, 1, 0, 0);
    assert_memory_equal(w.sent[1].bytes, "ACK ", 4);
    world_stop(&w);
}

/* A request that there is no memory for is not answered: its next copy is taken as if it were the first. Whoever said 503 would answer twice. */
static void request_without_memory(void **state)
{
    static const char text[] = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKm;rport\r\nFrom: <sip:b@b>;tag=1\r\nTo: <sip:a@b>\r\n"
                               "Call-ID: m\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    (void)state;
    for (long n = 0, refused = 1; refused; n++) {
        world w;
        world_start(&w);
        w.answer = 200;
        w.refuse_after = n;
        give(&w, text);
        refused = w.refused;
        w.refuse_after = -1;
        give(&w, text);
        assert_true(w.nsent > 0);
        for (size_t i = 0; i < w.nsent; i++)
            assert_memory_equal(w.sent[i].bytes, "SIP/2.0 200", 11);
        world_stop(&w);
        assert_true(n < 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invite_client_unanswered), cmocka_unit_test(invite_client_quiet),
        cmocka_unit_test(invite_client_accepted),
        cmocka_unit_test(invite_client_failure),
        cmocka_unit_test(invite_client_failure_after_provisional),
        cmocka_unit_test(invite_client_ack_after_move),
        cmocka_unit_test(client_send_errors), cmocka_unit_test(client_sends_without_memory),
        cmocka_unit_test(client_on_stream),
        cmocka_unit_test(other_client_unanswered),
        cmocka_unit_test(other_client_proceeding),
        cmocka_unit_test(other_client_completed),
        cmocka_unit_test(client_matching),
        cmocka_unit_test(abandon_invite),
        cmocka_unit_test(abandon_other),
        cmocka_unit_test(abandon_in_callback),
        cmocka_unit_test(cancel_waits),
        cmocka_unit_test(cancel_without_final),
        cmocka_unit_test(cancel_forced),
        cmocka_unit_test(client_memory_refused),
        cmocka_unit_test(ack_without_memory),
        cmocka_unit_test(request_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
