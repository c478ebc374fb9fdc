/* MESSAGE (RFC 3428) and INFO (RFC 6086): both ways, refused, and while the network changes. */
#include "hand.h"

static scene *begin(hand *h)
{
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand_begin(h, s);
    return s;
}

static roam_message_id send_text(scene *s, const char *text)
{
    roam_message_id id = 0;
    assert_int_equal(roam_message_send(s->agent->ua, 0, "sip:hand@" HAND, NULL, span_of(text), &id), 0);
    world_flush(s->agent);
    return id;
}

static void header_of(const seen *e, const char *name, char *out, size_t cap)
{
    assert_non_null(e);
    hand_copy(e->text, name, "\r", out, cap);
}

static unsigned cseq_of(const seen *e)
{
    char text[64];
    header_of(e, "\r\nCSeq: ", text, sizeof text);
    return (unsigned)atoi(text);
}

/* Out: type and body as given, the challenge answered, the answer told; in: 200, sender, type and body told. */
static void test_both_ways(void **state)
{
    (void)state;
    hand h;
    char line[256], call_id[128];
    scene *s = begin(&h);
    roam_message_id id = send_text(s, "hello");
    world_run(&s->world, ROAM_MS(60));
    const seen *first = hand_asked(&h, "MESSAGE");
    header_of(first, "\r\nContent-Type: ", line, sizeof line);
    assert_string_equal(line, "text/plain;charset=UTF-8");
    assert_non_null(strstr(first->text, "\r\n\r\nhello"));
    assert_null(strstr(first->text, "\r\nContact:")); /* RFC 3428 4 */
    header_of(first, "\r\nCall-ID: ", call_id, sizeof call_id);
    hand_answer(&h, first, 401, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"n1\", qop=\"auth\"\r\n", "");
    world_run(&s->world, ROAM_MS(110));
    const seen *second = hand_asked(&h, "MESSAGE");
    assert_non_null(strstr(second->text, "\r\nAuthorization: Digest "));
    header_of(second, "\r\nCall-ID: ", line, sizeof line);
    assert_string_equal(line, call_id);
    assert_int_equal(cseq_of(second), cseq_of(first) + 1);
    hand_answer(&h, second, 202, "", "");
    world_run(&s->world, ROAM_MS(60));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_MESSAGE_SENT);
    assert_int_equal(e->message, id);
    assert_int_equal(e->account, s->account);
    assert_int_equal(e->sip_code, 202);

    unsigned cseq = hand_request(&h, "MESSAGE", 0, "Content-Type: text/plain\r\n", "good day");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "MESSAGE"), 200);
    assert_null(strstr(hand_response(&h, cseq, "MESSAGE")->text, "\r\nContact:"));
    e = world_last(s->agent, ROAM_EVENT_MESSAGE);
    assert_int_equal(e->account, s->account);
    assert_int_equal(e->call, 0);
    assert_true(span_eq(e->uri, SPAN("sip:hand@" HAND)));
    assert_true(span_eq(e->content_type, SPAN("text/plain")));
    assert_true(span_eq(e->body, SPAN("good day")));
    scene_free(s);
}

/* Failures are told once and not repeated: a final answer, silence, a wrong password. */
static void test_failures(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    send_text(s, "one");
    world_run(&s->world, ROAM_MS(60));
    hand_answer(&h, hand_asked(&h, "MESSAGE"), 486, "Retry-After: 1\r\n", "");
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->sip_code, 486);
    assert_int_equal(hand_count(&h, "MESSAGE"), 1);
    send_text(s, "two");
    world_run(&s->world, ROAM_SECONDS(40));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->status, ROAM_ETIMEOUT);
    assert_int_equal(hand_count(&h, "MESSAGE"), 2);
    send_text(s, "three");
    for (int i = 0; i < 2; i++) {
        char challenge[128];
        snprintf(challenge, sizeof challenge, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"m%d\", qop=\"auth\"\r\n", i);
        world_run(&s->world, ROAM_MS(60));
        hand_answer(&h, hand_asked(&h, "MESSAGE"), 401, challenge, "");
        world_run(&s->world, ROAM_MS(60));
    }
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->sip_code, 401);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE_SENT), 3);
    scene_free(s);
}

/* Its path goes before the answer: the same Call-ID, the next CSeq, on the new path; a late answer to the first is nobody's. */
static void test_moves(void **state)
{
    (void)state;
    hand h;
    char ids[2][128];
    scene *s = begin(&h);
    send_text(s, "on the way");
    world_run(&s->world, ROAM_MS(60));
    const seen *first = hand_asked(&h, "MESSAGE");
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    const seen *second = hand_asked(&h, "MESSAGE");
    assert_ptr_not_equal(first, second);
    header_of(first, "\r\nCall-ID: ", ids[0], sizeof ids[0]);
    header_of(second, "\r\nCall-ID: ", ids[1], sizeof ids[1]);
    assert_string_equal(ids[0], ids[1]);
    assert_int_equal(cseq_of(second), cseq_of(first) + 1);
    assert_non_null(strstr(second->text, CELL));
    hand_answer(&h, second, 200, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE_SENT), 1);
    scene_free(s);
}

/* Without a path it waits, 32 s at most; in time it leaves with the path. */
static void test_offline(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    set_addrs(s, scene_none);
    roam_message_id late = send_text(s, "late");
    world_run(&s->world, ROAM_SECONDS(31));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE_SENT), 0);
    roam_message_id kept = send_text(s, "kept");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->message, late);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->status, ROAM_EOFFLINE);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(hand_count(&h, "MESSAGE"), 1);
    hand_answer(&h, hand_asked(&h, "MESSAGE"), 200, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->message, kept);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->sip_code, 200);
    scene_free(s);
}

/* An edge that wants the REGISTER first: 403 is answered by one more try after it, and by no further one. */
static void test_edge(void **state)
{
    (void)state;
    hand h;
    static const scripted slow[] = {{503, "Retry-After: 3\r\n"}, {0, NULL}};
    scene *s = begin(&h);
    SCRIPT(s, "REGISTER", slow);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(200));
    send_text(s, "x");
    world_run(&s->world, ROAM_MS(60));
    hand_answer(&h, hand_asked(&h, "MESSAGE"), 403, "", "");
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(hand_count(&h, "MESSAGE"), 1);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(hand_count(&h, "MESSAGE"), 2);
    hand_answer(&h, hand_asked(&h, "MESSAGE"), 403, "", "");
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(hand_count(&h, "MESSAGE"), 2);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE_SENT)->sip_code, 403);
    scene_free(s);
}

/* What cannot be sent is refused at once, and there are never more than 256 on their way. */
static void test_limits(void **state)
{
    (void)state;
    hand h;
    static char body[1301];
    scene *s = begin(&h);
    roam_ua *ua = s->agent->ua;
    memset(body, 'x', sizeof body);
    assert_int_equal(roam_message_send(ua, 99, "sip:a@b", NULL, SPAN("x"), NULL), ROAM_ENOTFOUND);
    assert_int_equal(roam_message_send(ua, 0, "", NULL, SPAN("x"), NULL), ROAM_EINVAL);
    assert_int_equal(roam_message_send(ua, 0, "sip:a b", NULL, SPAN("x"), NULL), ROAM_EINVAL);
    assert_int_equal(roam_message_send(ua, 0, "sip:a@b", "text", SPAN("x"), NULL), ROAM_EINVAL);
    assert_int_equal(roam_message_send(ua, 0, "sip:a@b", "a/b\r\nEvil: 1", SPAN("x"), NULL), ROAM_EINVAL);
    assert_int_equal(roam_message_send(ua, 0, "sip:a@b", NULL, span_make(body, 1301), NULL), ROAM_EOVERFLOW);
    set_addrs(s, scene_none);
    for (size_t i = 0; i < ROAM_MAX_PAGES; i++)
        assert_int_equal(roam_message_send(ua, 0, "sip:hand@" HAND, NULL, SPAN("x"), NULL), 0);
    assert_int_equal(roam_message_send(ua, 0, "sip:hand@" HAND, NULL, SPAN("x"), NULL), ROAM_ELIMIT);
    world_run(&s->world, ROAM_SECONDS(33));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE_SENT), ROAM_MAX_PAGES);
    assert_int_equal(roam_message_send(ua, 0, "sip:hand@" HAND, NULL, SPAN("x"), NULL), 0);
    scene_free(s); /* with one on its way */
}

/* Incoming: nobody of that name 404, over 32 KiB 413, a coding we cannot undo 415; a flood leaves nothing behind. */
static void test_refused(void **state)
{
    (void)state;
    hand h;
    static char text[66000], body[65000];
    scene *s = begin(&h);
    hand other = h;
    roam_account_info account = account_of(s);
    roam_addr from = sim_addr(HAND ":5060");
    snprintf(text, sizeof text,
             "MESSAGE sip:nobody@" WIFI ":5060 SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKn\r\nMax-Forwards: 70\r\nFrom: <sip:h@h>;tag=1\r\n"
             "To: <sip:nobody@example.com>\r\nCall-ID: %s\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
             other.call_id);
    hand_inject(&h, text);
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, 1, "MESSAGE"), 404);
    memset(body, 'x', sizeof body);
    const size_t sizes[] = {ROAM_MAX_BODY, ROAM_MAX_BODY + 1, 64 * 1024 - 1000};
    for (size_t i = 0; i < 3; i++) {
        int n = snprintf(text, sizeof text,
                         "MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKbig%zu\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=%zu\r\n"
                         "To: <sip:alice@example.com>\r\nCall-ID: %s\r\nCSeq: %zu MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%.*s",
                         h.target, i, i, h.call_id, 500 + i, sizes[i], (int)sizes[i], body);
        world_inject(&s->world, &from, &account.local, span_make(text, (size_t)n));
        world_run(&s->world, ROAM_MS(110));
        assert_int_equal(hand_status(&h, (unsigned)(500 + i), "MESSAGE"), i ? 413 : 200);
    }
    unsigned coded = hand_request(&h, "MESSAGE", 0, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", "zzz");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, coded, "MESSAGE"), 415);
    world_forget(s->agent);
    world_run(&s->world, ROAM_SECONDS(40));
    roam_ua_counters before, after;
    roam_ua_get_counters(s->agent->ua, &before);
    for (int i = 0; i < 500; i++)
        hand_request(&h, "MESSAGE", 0, "Content-Type: text/plain\r\n", "spam");
    world_run(&s->world, ROAM_SECONDS(40));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE), 500);
    roam_ua_get_counters(s->agent->ua, &after);
    assert_in_range(after.memory_blocks, 0, before.memory_blocks + 64);
    assert_int_equal(after.transactions, before.transactions);
    scene_free(s);
}

/* A MESSAGE in the dialog of a call belongs to the call; one with a wrong tag to nobody. */
static void test_in_dialog(void **state)
{
    (void)state;
    hand h;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    unsigned cseq = hand_request(&h, "MESSAGE", 0, "Content-Type: text/plain\r\n", "psst");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "MESSAGE"), 200);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_MESSAGE)->call, id);
    cseq = hand_request(&h, "MESSAGE", cseq - 1, "Content-Type: text/plain\r\n", "old");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "MESSAGE"), 500);
    hand wrong = h;
    snprintf(wrong.agent_tag, sizeof wrong.agent_tag, "wrong");
    cseq = hand_request(&wrong, "MESSAGE", 900, "Content-Type: text/plain\r\n", "x");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&wrong, 900, "MESSAGE"), 481);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_MESSAGE), 1);
    scene_free(s);
}

/* Requests find their account by a map: several with the same user part are told apart by the domain, and the one added first is taken where nothing does. */
static void test_accounts(void **state)
{
    (void)state;
    hand h;
    char text[1024];
    scene *s = begin(&h);
    roam_account_config config = hand_account();
    roam_account_id other, third;
    config.aor = "sip:alice@example.net";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &other), 0);
    config.aor = "sip:carol@example.com";
    assert_int_equal(roam_account_add(s->agent->ua, &config, &third), 0);
    world_flush(s->agent);
    const struct {
        const char *uri, *to;
        roam_account_id account;
    } cases[] = {
        {"sip:alice@" WIFI, "sip:alice@example.com", s->account}, {"sip:alice@" WIFI, "sip:alice@example.net", other},
        {"sip:alice@" WIFI, "sip:somebody@else", s->account},     {"sip:" WIFI, "sip:alice@example.net", other},
        {"sip:carol@" WIFI, "sip:alice@example.net", third},      {"sip:x@" WIFI, "sip:alice@elsewhere", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_forget(s->agent);
        snprintf(text, sizeof text,
                 "MESSAGE %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKa%zu\r\nMax-Forwards: 70\r\nFrom: <sip:h@h>;tag=1\r\n"
                 "To: <%s>\r\nCall-ID: accounts%zu\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
                 cases[i].uri, i, cases[i].to, i);
        hand_inject(&h, text);
        world_run(&s->world, ROAM_MS(110));
        const roam_event *e = world_last(s->agent, ROAM_EVENT_MESSAGE);
        assert_int_equal(e ? e->account : 0, cases[i].account);
    }
    scene_free(s);
}

/* Our INFO: one at a time, challenged, answered, told; repeated on the new path when its path goes. */
static void test_info_out(void **state)
{
    (void)state;
    hand h;
    char line[128];
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    roam_ua *ua = s->agent->ua;
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    assert_int_equal(roam_call_send_info(ua, id + 1, "text/plain", SPAN("x")), ROAM_ENOTFOUND);
    assert_int_equal(roam_call_send_info(ua, id, NULL, SPAN("x")), ROAM_EINVAL);
    assert_int_equal(roam_call_send_info(ua, id, "plain", SPAN("x")), ROAM_EINVAL);
    assert_int_equal(roam_call_send_info(ua, id, "application/dtmf-relay", SPAN("Signal=1\r\n")), 0);
    assert_int_equal(roam_call_send_info(ua, id, "application/dtmf-relay", SPAN("Signal=2\r\n")), ROAM_EBUSY);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(60));
    hand_answer(&h, hand_asked(&h, "INFO"), 407, "Proxy-Authenticate: Digest realm=\"hand\", nonce=\"i1\", qop=\"auth\"\r\n", "");
    world_run(&s->world, ROAM_MS(110));
    const seen *e = hand_asked(&h, "INFO");
    assert_int_equal(hand_count(&h, "INFO"), 2);
    assert_non_null(strstr(e->text, "\r\nProxy-Authorization: Digest "));
    assert_non_null(strstr(e->text, "\r\n\r\nSignal=1\r\n"));
    header_of(e, "\r\nContent-Type: ", line, sizeof line);
    assert_string_equal(line, "application/dtmf-relay");
    hand_answer(&h, e, 200, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_INFO)->sip_code, 200);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_INFO)->call, id);

    assert_int_equal(roam_call_send_info(ua, id, NULL, span_of("")), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(20));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(hand_count(&h, "INFO"), 4);
    e = hand_asked(&h, "INFO");
    assert_non_null(strstr(e->text, CELL));
    hand_answer(&h, e, 415, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_INFO)->sip_code, 415);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INFO), 2);
    assert_int_equal(roam_call_send_info(ua, id, "text/plain", SPAN("pending at the end")), 0);
    world_flush(s->agent);
    scene_free(s);
}

/* In an early dialog INFO works both ways; without a dialog there is none. */
static void test_info_early(void **state)
{
    (void)state;
    hand h;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand_begin(&h, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(roam_call_send_info(s->agent->ua, id, "text/plain", SPAN("x")), ROAM_ESTATE);
    hand_learn(&h, hand_asked(&h, "INVITE"), true);
    hand_answer(&h, hand_asked(&h, "INVITE"), 183, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(roam_call_send_info(s->agent->ua, id, "text/plain", SPAN("early")), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(hand_count(&h, "INFO"), 1);
    hand_answer(&h, hand_asked(&h, "INFO"), 200, "", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_INFO)->sip_code, 200);
    scene_free(s);
}

/* The peer's INFO: digits as before, other bodies to the application with 200, nothing at all is fine, too much is 413. */
static void test_info_in(void **state)
{
    (void)state;
    hand h;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    roam_call_id id = hand_calls(&h, s, HAND_SDP, "");
    unsigned cseq = hand_request(&h, "INFO", 0, "Content-Type: application/media_control+xml\r\n", "<media_control/>");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "INFO"), 200);
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INFO);
    assert_int_equal(e->call, id);
    assert_true(span_eq(e->content_type, SPAN("application/media_control+xml")));
    assert_true(span_eq(e->body, SPAN("<media_control/>")));
    cseq = hand_request(&h, "INFO", 0, "", "");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "INFO"), 200);
    cseq = hand_request(&h, "INFO", 0, "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\nDuration=200\r\n");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "INFO"), 200);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_DTMF)->digit, '5');
    assert_int_equal(world_last(s->agent, ROAM_EVENT_CALL_DTMF)->duration_ms, 200);
    cseq = hand_request(&h, "INFO", 0, "Content-Type: application/dtmf\r\n", "xy");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_status(&h, cseq, "INFO"), 400);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_CALL_INFO), 1);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),  cmocka_unit_test(test_failures),  cmocka_unit_test(test_moves),    cmocka_unit_test(test_offline),
        cmocka_unit_test(test_edge),       cmocka_unit_test(test_limits),    cmocka_unit_test(test_refused),  cmocka_unit_test(test_in_dialog),
        cmocka_unit_test(test_accounts),   cmocka_unit_test(test_info_out),  cmocka_unit_test(test_info_early), cmocka_unit_test(test_info_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
