/* What a hostile network sends: floods of mutated messages, garbage, lies about lengths, endless Via, more transactions
 * than there is room for. Nothing crashes or leaks, memory comes back to what it was, and the counters say what
 * happened. */
#include "tests/sip_fixture.h"

static const char *const samples[] = {
    "INVITE sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP "
    "203.0.113.5:5060;branch=z9hG4bKfl00d;rport\r\nMax-Forwards: 70\r\n"
    "Record-Route: <sip:proxy.example.net;lr>\r\nFrom: \"Bob\" <sip:bob@example.com>;tag=b1\r\nTo: "
    "<sip:alice@example.com>\r\n"
    "Call-ID: flood-1\r\nCSeq: 1 INVITE\r\nContact: <sip:bob@203.0.113.5>\r\nContent-Type: "
    "application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    "OPTIONS sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP h.example.com;branch=z9hG4bKopt;maddr=203.0.113.9;rport, "
    "SIP/2.0/UDP a;branch=z9hG4bKb\r\n"
    "f: <sip:bob@example.com>;tag=b1\r\nt: <sip:alice@example.com>\r\ni: flood-2\r\nCSeq: 2 OPTIONS\r\nl: 0\r\n\r\n",
    "CANCEL sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP "
    "203.0.113.5:5060;branch=z9hG4bKfl00d;rport\r\nMax-Forwards: 70\r\n"
    "From: \"Bob\" <sip:bob@example.com>;tag=b1\r\nTo: <sip:alice@example.com>\r\nCall-ID: flood-1\r\nCSeq: 1 "
    "CANCEL\r\nContent-Length: 0\r\n\r\n",
    "ACK sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKfl00d;rport\r\nMax-Forwards: "
    "70\r\n"
    "From: \"Bob\" <sip:bob@example.com>;tag=b1\r\nTo: <sip:alice@example.com>;tag=x\r\nCall-ID: flood-1\r\nCSeq: 1 "
    "ACK\r\nContent-Length: 0\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKnobody;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
    "<sip:c@d>;tag=2\r\n"
    "Call-ID: x\r\nCSeq: 3 INVITE\r\nContact: <sip:c@203.0.113.5>\r\nContent-Length: 0\r\n\r\n",
    "BYE sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5\r\nFrom: <sip:bob@example.com>;tag=b1\r\nTo: "
    "<sip:alice@example.com>;tag=z\r\n"
    "Call-ID: old\r\nCSeq: 4 BYE\r\nContent-Length: 0\r\n\r\n",
};
enum { SAMPLES = sizeof samples / sizeof samples[0], FLOOD = 100000 };

/* Mostly a branch and a Call-ID of its own, then up to four edits: a byte changed, a piece cut out, a piece doubled,
 * rarely the end cut off. */
static size_t mutate(roam_random *random, char *out, size_t cap, const char *sample)
{
    size_t len = strlen(sample);
    memcpy(out, sample, len);
    out[len] = '\0';
    char *branch = strstr(out, "z9hG4bK");
    for (size_t i = 7; branch && i < 10 && random_below(random, 4); i++)
        branch[i] = (char)('a' + random_below(random, 26));
    char *call_id = strstr(out, "flood-");
    for (size_t i = 0; call_id && i < 4 && random_below(random, 8); i++)
        call_id[i] = (char)('a' + random_below(random, 26));
    for (uint32_t edits = random_below(random, 2) * random_below(random, 5); edits > 0 && len > 1; edits--) {
        size_t at = random_below(random, (uint32_t)len);
        size_t n = 1 + random_below(random, 40);
        if (n > len - at)
            n = len - at;
        switch (random_below(random, 4)) {
        case 0: random_bytes(random, out + at, 1); break;
        case 1:
            memmove(out + at, out + at + n, len - at - n);
            len -= n;
            break;
        case 2:
            if (len + n < cap) {
                memmove(out + at + n, out + at, len - at);
                len += n;
            }
            break;
        default:
            if (random_below(random, 8) == 0)
                len = at + 1;
            break;
        }
    }
    return len;
}

/* tu.request answers every fourth request never, so that unanswered ones pile up as well. */
static void answer_some(world *w, roam_server_txn *txn)
{
    static const unsigned status[] = {200, 486, 180};
    size_t n = w->nsent % 4;
    if (n < 3)
        (void)server_txn_respond(txn, status[n], (roam_span){0});
    w->log[0] = '\0';
}

static void hangs_up(void *user, roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    (void)message;
    if (event == SERVER_CANCELLED)
        (void)server_txn_respond(txn, 487, (roam_span){0});
    (void)user;
}

static void flood_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    (void)request;
    server_txn_attach(txn, hangs_up, user);
    answer_some(user, txn);
}

/* 100,000 mutated messages in 200 s of virtual time: the number of blocks is bounded by the limit on transactions all
 * along, and when everything has ended, but for INVITEs that nobody answered, it is back where it was. */
static void flood_of_mutations(void **state)
{
    static char text[8192];
    static const uint8_t seed[32] = {1, 2, 3};
    world w;
    roam_random random;
    (void)state;
    world_start(&w);
    w.quiet = true;
    w.sip.tu.request = flood_request;
    w.sip.merge_check = true;
    random_init(&random, seed);
    size_t most = 0;
    for (unsigned i = 0; i < FLOOD; i++) {
        size_t len = mutate(&random, text, sizeof text, samples[random_below(&random, SAMPLES)]);
        roam_addr from = w.peer;
        from.ip.bytes[3] = (uint8_t)random_below(&random, 8);
        char *exact = malloc(len); /* on the heap, exactly: ASan sees one byte too many */
        assert_non_null(exact);
        memcpy(exact, text, len);
        sip_receive(&w.sip, &w.path, &from, span_make(exact, len));
        free(exact);
        if (i % 500 == 0)
            run_until(&w, i * 2);
        w.log[0] = '\0';
        if (w.env.mem.live > most)
            most = w.env.mem.live;
    }
    const roam_sip_counters *c = &w.sip.counters;
    assert_true(c->malformed > FLOOD / 10);
    assert_true(c->stray_responses > 100);
    assert_true(c->merged > 10);
    assert_true(c->received <= FLOOD && c->received > FLOOD - 1000);
    assert_true(c->sent > c->malformed / 10);
    assert_true(most < 4 * (size_t)ROAM_MAX_TRANSACTIONS);
    /* What is left are INVITEs that the user still owes an answer: it gives one, and nothing remains but tables. */
    map_each (txn, &w.sip.servers, roam_server_txn, node)
        if (txn->method == METHOD_INVITE && txn->state == SERVER_PROCEEDING)
            (void)server_txn_respond(txn, 480, (roam_span){0});
    run_until(&w, 400000);
    assert_int_equal(w.sip.ntransactions, 0);
    assert_int_equal(w.sip.flows.count, 0);
    assert_true(w.env.mem.live <= 7); /* headers, scratch, timers, four tables */
    world_stop(&w);
}

/* Whole datagrams of random bytes, of line ends, of one letter, up to the largest that UDP carries: no answer, nothing
 * kept. */
static void garbage(void **state)
{
    static char text[ROAM_MAX_MESSAGE];
    static const uint8_t seed[32] = {4};
    world w;
    roam_random random;
    (void)state;
    world_start(&w);
    size_t before = w.env.mem.live;
    random_init(&random, seed);
    for (int i = 0; i < 50; i++) {
        random_bytes(&random, text, sizeof text);
        sip_receive(&w.sip, &w.path, &w.peer, span_make(text, sizeof text));
    }
    static const char fill[] = {'A', '\r', '\n', '\0', ' ', ':', ',', '"', '<', (char)0xff};
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(text, fill[i], sizeof text);
        sip_receive(&w.sip, &w.path, &w.peer, span_make(text, sizeof text));
        memcpy(text, "INVITE sip:a@b SIP/2.0\r\nVia: ", 29);
        sip_receive(&w.sip, &w.path, &w.peer, span_make(text, sizeof text));
    }
    assert_int_equal(w.nsent, 0);
    assert_int_equal(w.sip.counters.received, 50 + 20 - 3); /* CR, LF and NUL alone are keep-alives */
    assert_int_equal(w.sip.counters.malformed, w.sip.counters.received);
    assert_true(w.env.mem.live <= before + 1); /* the table of flows */
    world_stop(&w);
}

/* Content-Length: longer than the datagram, no number, negative, too large to hold: 400. Shorter: what is beyond is
 * ignored (18.3). */
static void wrong_content_length(void **state)
{
    static const struct {
        const char *value;
        bool good;
    } rows[] = {
        {"6", false}, {"x", false}, {"-1", false}, {"99999999999999999999", false}, {"5\r\nContent-Length: 5", false},
        {"5", true},  {"3", true},  {"0", true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world w;
        char text[1024];
        world_start(&w);
        w.answer = 200;
        snprintf(text, sizeof text,
                 "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK1\r\nFrom: "
                 "<sip:b@b>;tag=1\r\nTo: <sip:a@b>\r\n"
                 "Call-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: %s\r\n\r\nhello",
                 rows[i].value);
        give(&w, text);
        assert_int_equal(w.nsent, 1);
        assert_memory_equal(w.sent[0].bytes, rows[i].good ? "SIP/2.0 200" : "SIP/2.0 400", 11);
        assert_int_equal(w.sip.ntransactions, rows[i].good);
        world_stop(&w);
    }
}

/* 10,000 Via, in lines of their own and in one line: at most a small answer, and no transaction. */
static void ten_thousand_vias(void **state)
{
    static char text[ROAM_MAX_MESSAGE];
    static const char *const forms[][3] = {
        {"", "v:SIP/2.0/UDP a\r\n", ""}, {"v:SIP/2.0/UDP a", ",SIP/2.0/UDP a", "\r\n"}, {"", "v:a\r\n", ""}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        world w;
        roam_writer writer;
        world_start(&w);
        size_t before = w.env.mem.live;
        writer_init(&writer, text, sizeof text);
        write_cstr(&writer, "OPTIONS sip:a@b SIP/2.0\r\nf:<sip:b@b>;tag=1\r\nt:<sip:a@b>\r\ni:c\r\nCSeq:1 OPTIONS\r\n");
        write_cstr(&writer, forms[i][0]);
        for (int n = 0; n < 10000 && writer.len + 32 < sizeof text; n++)
            write_cstr(&writer, forms[i][1]);
        write_cstr(&writer, forms[i][2]);
        write_cstr(&writer, "\r\n");
        assert_false(writer.overflow);
        give(&w, "\r\n");
        sip_receive(&w.sip, &w.path, &w.peer, writer_span(&writer));
        assert_int_equal(w.sip.counters.malformed, 1);
        assert_true(w.nsent <= 1);
        assert_int_equal(w.sip.ntransactions, 0);
        assert_true(w.env.mem.live <= before + 1 + w.nsent);
        world_stop(&w);
    }
}

static void new_request(world *w, unsigned n)
{
    char text[512];
    snprintf(text, sizeof text,
             "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bK%u;rport\r\nFrom: "
             "<sip:b@b>;tag=1\r\nTo: <sip:a@b>\r\n"
             "Call-ID: c%u\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
             n, n);
    give(w, text);
    w->log[0] = '\0';
}

/* Requests over the limit get a stateless 503 and leave nothing behind; our own requests still find room, up to the
 * limit; an hour later everything is as before. */
static void over_the_limit(void **state)
{
    enum { ROOM = ROAM_MAX_TRANSACTIONS - ROAM_MAX_TRANSACTIONS / 4 };
    world w;
    (void)state;
    world_start(&w);
    w.quiet = true;
    w.answer = 200;
    for (unsigned i = 0; i < ROOM; i++)
        new_request(&w, i);
    assert_int_equal(w.sip.ntransactions, ROOM);
    assert_int_equal(w.sip.counters.over_limit, 0);
    size_t full = w.env.mem.live;
    for (unsigned i = 0; i < 5000; i++)
        new_request(&w, ROOM + i);
    assert_int_equal(w.sip.counters.over_limit, 5000);
    assert_int_equal(w.sip.ntransactions, ROOM);
    assert_int_equal(w.env.mem.live, full);
    assert_int_equal(w.nsent, ROOM + 5000);
    new_request(&w, 0); /* a repetition is still served */
    assert_int_equal(w.sip.counters.retransmitted, 1);
    w.quiet = false;
    w.nsent = 0;
    new_request(&w, 99999);
    assert_memory_equal(w.sent[0].bytes, "SIP/2.0 503", 11);
    world_forget(&w);
    w.quiet = true;
    for (unsigned i = 0; i < ROAM_MAX_TRANSACTIONS / 4; i++)
        assert_non_null(start(&w, "OPTIONS", &w.path));
    assert_null(start(&w, "OPTIONS", &w.path));
    assert_int_equal(w.sip.ntransactions, ROAM_MAX_TRANSACTIONS);
    run_until(&w, 3600000);
    assert_int_equal(w.sip.ntransactions, 0);
    assert_true(w.env.mem.live <= 7);
    w.nsent = 0;
    new_request(&w, 1);
    assert_int_equal(w.nsent, 1);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flood_of_mutations), cmocka_unit_test(garbage),        cmocka_unit_test(wrong_content_length),
        cmocka_unit_test(ten_thousand_vias),  cmocka_unit_test(over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
