/* Offer and answer: bytes of SDP in and out, and what was agreed (RFC 3264, 6337, 3605, 5761). No network, no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ua/session.h"

typedef struct desk {
    roam_env env;
    roam_session s;
    roam_session_local local;
    char text[4096]; /* what was written last */
} desk;

static void open_desk(desk *d, const char *codecs)
{
    const uint8_t seed[32] = {9};
    env_init(&d->env, NULL, seed, NULL, NULL);
    session_init(&d->s, &d->env, codecs);
    d->local = (roam_session_local){.rtp_port = 4000, .rtcp_port = 4001};
    assert_int_equal(roam_ip_parse(SPAN("192.0.2.5"), &d->local.ip), 0);
}

static void close_desk(desk *d)
{
    session_free(&d->s);
    env_free(&d->env);
    assert_int_equal(d->env.mem.live, 0);
}

static int written(desk *d, int err, const roam_writer *w)
{
    d->text[err ? 0 : w->len] = '\0';
    return err;
}

static int offer(desk *d, bool hold)
{
    roam_writer w;
    writer_init(&w, d->text, sizeof d->text - 1);
    return written(d, session_offer(&d->s, &w, &d->local, hold), &w);
}

static int answer(desk *d, bool hold)
{
    roam_writer w;
    writer_init(&w, d->text, sizeof d->text - 1);
    return written(d, session_answer(&d->s, &w, &d->local, hold), &w);
}

/* A peer's description with this media part; "\n" stands for CRLF. */
static roam_span theirs(const char *address, const char *media)
{
    static char text[16384];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_lit(&w, "v=0\r\no=bob 7 1 IN IP4 203.0.113.9\r\ns=-\r\nc=IN ");
    write_cstr(&w, address);
    write_lit(&w, "\r\nt=0 0\r\n");
    for (; *media; media++) {
        if (*media == '\n')
            write_char(&w, '\r');
        write_char(&w, *media);
    }
    assert_false(w.overflow);
    return writer_span(&w);
}

#define PLAIN "m=audio 6000 RTP/AVP 0 8 101\na=rtpmap:101 telephone-event/8000\n"

static int take_offer(desk *d, const char *media)
{
    return session_take_offer(&d->s, theirs("IP4 203.0.113.9", media));
}

static int take_answer(desk *d, const char *media)
{
    return session_take_answer(&d->s, theirs("IP4 203.0.113.9", media));
}

static bool says(const desk *d, const char *part)
{
    return strstr(d->text, part) != NULL;
}

static uint64_t version_of(const desk *d)
{
    unsigned long long id = 0, version = 0;
    assert_int_equal(sscanf(d->text, "v=0\r\no=- %llu %llu IN IP", &id, &version), 2);
    assert_int_equal(id, d->s.id);
    return version;
}

/* A call as most begin: our offer, their plain answer. */
static void agree(desk *d)
{
    assert_int_equal(offer(d, false), 0);
    assert_int_equal(take_answer(d, PLAIN), 0);
}

/* ---- tests ---- */

/* The first offer, as bytes: both codecs in our order, telephone-event, RTCP multiplexing offered (RFC 5761 5.1.1), no a=rtcp where the port is the usual one. */
static void test_first_offer(void **state)
{
    (void)state;
    desk d = {0};
    char expected[1024];
    open_desk(&d, NULL);
    assert_int_equal(offer(&d, false), 0);
    snprintf(expected, sizeof expected,
             "v=0\r\no=- %llu %llu IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
             "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\na=rtcp-mux\r\n",
             (unsigned long long)d.s.id, (unsigned long long)d.s.version);
    assert_string_equal(d.text, expected);
    assert_true(d.s.id < (uint64_t)INT64_MAX);
    assert_int_equal(offer(&d, false), ROAM_ESTATE); /* one at a time */
    assert_int_equal(take_offer(&d, PLAIN), ROAM_ESTATE);
    close_desk(&d);
}

/* Each direction they offer, each wish of ours: our answer is the mirror of theirs, less what we hold (RFC 3264 6.1), and hold is told as it is. */
static void test_answer_directions(void **state)
{
    (void)state;
    static const struct {
        const char *offered;
        bool hold;
        const char *answered;
        roam_direction ours;
        bool remote_hold;
    } cases[] = {{"sendrecv", false, "sendrecv", DIRECTION_SENDRECV, false}, {"sendrecv", true, "sendonly", DIRECTION_SENDONLY, false},
                 {"sendonly", false, "recvonly", DIRECTION_RECVONLY, true},  {"sendonly", true, "inactive", DIRECTION_INACTIVE, true},
                 {"recvonly", false, "sendonly", DIRECTION_SENDONLY, false}, {"recvonly", true, "sendonly", DIRECTION_SENDONLY, false},
                 {"inactive", false, "inactive", DIRECTION_INACTIVE, true},  {"inactive", true, "inactive", DIRECTION_INACTIVE, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int session_level = 0; session_level < 2; session_level++) {
            desk d = {0};
            char media[256], line[32];
            open_desk(&d, NULL);
            snprintf(media, sizeof media, "%s%s%s%s%s%s", session_level ? "a=" : "", session_level ? cases[i].offered : "", session_level ? "\n" : "", PLAIN,
                     session_level ? "" : "a=", session_level ? "" : cases[i].offered);
            assert_int_equal(take_offer(&d, media), 0);
            assert_int_equal(answer(&d, cases[i].hold), 0);
            snprintf(line, sizeof line, "a=%s\r\n", cases[i].answered);
            assert_true(says(&d, line));
            assert_int_equal(d.s.agreed.direction, cases[i].ours);
            assert_int_equal(session_hold(&d.s, cases[i].hold), (cases[i].hold ? ROAM_HOLD_LOCAL : 0) | (cases[i].remote_hold ? ROAM_HOLD_REMOTE : 0));
            close_desk(&d);
        }
    }
}

/* Our offers and each direction of an answer: what may flow is the intersection, and an answer that breaks the rules (sendrecv to sendonly) opens nothing. */
static void test_offer_directions(void **state)
{
    (void)state;
    static const char *const text[] = {"inactive", "sendonly", "recvonly", "sendrecv"};
    for (int hold = 0; hold < 2; hold++)
        for (unsigned theirs_d = 0; theirs_d < 4; theirs_d++) {
            desk d = {0};
            char media[256];
            open_desk(&d, NULL);
            assert_int_equal(offer(&d, hold), 0);
            assert_true(says(&d, hold ? "a=sendonly\r\n" : "a=sendrecv\r\n"));
            snprintf(media, sizeof media, "%sa=%s\n", PLAIN, text[theirs_d]);
            assert_int_equal(take_answer(&d, media), 0);
            unsigned mirrored = (theirs_d & 1) << 1 | theirs_d >> 1;
            assert_int_equal(d.s.agreed.direction, (hold ? 1u : 3u) & mirrored);
            /* Only an offer of everything asks for the peer's own wish: inactive is also how some answer our hold. */
            assert_int_equal(d.s.remote_hold, !hold && !(theirs_d & 2));
            close_desk(&d);
        }
}

/* Hold on one side survives an offer of the other: theirs while we refresh (a move), ours while they refresh; nobody is un-held. */
static void test_hold_survives_offers(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    agree(&d);
    assert_int_equal(take_offer(&d, PLAIN "a=sendonly\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(d.s.remote_hold);
    d.local.rtp_port = 4100; /* we move */
    d.local.rtcp_port = 4101;
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "a=recvonly\r\n"));
    assert_int_equal(take_answer(&d, PLAIN "a=sendonly\n"), 0);
    assert_true(d.s.remote_hold);
    assert_int_equal(d.s.agreed.direction, DIRECTION_RECVONLY);
    assert_int_equal(offer(&d, true), 0); /* both */
    assert_true(says(&d, "a=inactive\r\n"));
    assert_int_equal(take_answer(&d, PLAIN "a=inactive\n"), 0);
    assert_int_equal(session_hold(&d.s, true), ROAM_HOLD_BOTH);
    assert_int_equal(take_offer(&d, PLAIN), 0); /* they resume: we still hold */
    assert_int_equal(answer(&d, true), 0);
    assert_true(says(&d, "a=sendonly\r\n"));
    assert_int_equal(session_hold(&d.s, true), ROAM_HOLD_LOCAL);
    close_desk(&d);
}

/* The old hold, c=0.0.0.0 (RFC 3264 8.4): nothing is sent, the address it had is kept; with a=sendonly they still play to us. In a first offer there is no address at all. */
static void test_old_hold(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    agree(&d);
    roam_addr before = d.s.agreed.remote_rtp;
    assert_int_equal(session_take_offer(&d.s, theirs("IP4 0.0.0.0", PLAIN)), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "a=inactive\r\n"));
    assert_true(d.s.remote_hold);
    assert_true(roam_addr_equal(&before, &d.s.agreed.remote_rtp));
    assert_int_equal(session_take_offer(&d.s, theirs("IP4 0.0.0.0", PLAIN "a=sendonly\n")), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "a=recvonly\r\n"));
    assert_int_equal(take_offer(&d, PLAIN), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(d.s.agreed.direction, DIRECTION_SENDRECV);
    close_desk(&d);

    open_desk(&d, NULL);
    assert_int_equal(session_take_offer(&d.s, theirs("IP4 0.0.0.0", PLAIN)), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(d.s.agreed.remote_rtp.ip.family, 0);
    assert_int_equal(d.s.agreed.direction & DIRECTION_SENDONLY, 0);
    close_desk(&d);
}

/* Codecs: our order in an offer, theirs in an answer (RFC 3264 6.1), the one in use first in a later offer; only what is configured. */
static void test_codecs(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, "PCMA,nonsense,PCMU");
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "RTP/AVP 8 0 101\r\n"));
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0\n"), 0);
    assert_ptr_equal(d.s.agreed.codec, &roam_codec_pcmu);
    assert_false(d.s.agreed.has_dtmf);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "RTP/AVP 0 8 101\r\n"));
    session_withdraw(&d.s);
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 18 8 0\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "m=audio 4000 RTP/AVP 8\r\n"));
    assert_ptr_equal(d.s.agreed.codec, &roam_codec_pcma);
    close_desk(&d);

    open_desk(&d, "PCMA");
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "RTP/AVP 8 101\r\n"));
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0\n"), ROAM_EUNSUPPORTED); /* not offered */
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0\n"), ROAM_EUNSUPPORTED);
    assert_int_equal(d.s.state, OFFER_STABLE);
    close_desk(&d);

    open_desk(&d, "nonsense"); /* nothing known: all we have */
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "RTP/AVP 0 8 101\r\n"));
    close_desk(&d);
}

/* Payload numbers: a dynamic number for a codec and the telephone-event number are the offerer's; ours is kept for later offers once agreed (RFC 3264 8.3.2); an
 * answer with numbers of its own is sent to with those and received with ours. */
static void test_payload_numbers(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 96 97\na=rtpmap:96 pcma/8000\na=rtpmap:97 telephone-event/8000\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "m=audio 4000 RTP/AVP 96 97\r\na=rtpmap:96 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n"));
    assert_int_equal(d.s.agreed.send_type, 96);
    assert_int_equal(d.s.agreed.receive_type, 96);
    assert_int_equal(d.s.agreed.send_dtmf, 97);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "a=rtpmap:97 telephone-event/8000\r\n"));
    assert_false(says(&d, "101"));
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 96 98\na=rtpmap:96 PCMA/8000\na=rtpmap:98 telephone-event/8000\n"), 0);
    assert_int_equal(d.s.agreed.send_type, 96);
    assert_int_equal(d.s.agreed.receive_type, 8);
    assert_int_equal(d.s.agreed.send_dtmf, 98);
    assert_int_equal(d.s.agreed.receive_dtmf, 97);
    close_desk(&d);

    open_desk(&d, NULL); /* another clock or two channels is another codec */
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 96 97 98\na=rtpmap:96 PCMU/16000\na=rtpmap:97 PCMU/8000/2\na=rtpmap:98 telephone-event/16000\n"),
                     ROAM_EUNSUPPORTED);
    close_desk(&d);
}

/* Lines that are not ours are answered with port 0, each at its place (RFC 3264 6), and no later offer of ours has fewer lines (8). */
static void test_other_lines(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(take_offer(&d, "m=video 5000 RTP/AVP 31 99\nm=audio 6100 RTP/SAVP 0\n" PLAIN "m=application 9 TCP/BFCP *\nm=audio 6200 RTP/AVP 0\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "m=video 0 RTP/AVP 31 99\r\nm=audio 0 RTP/SAVP 0\r\nm=audio 4000 RTP/AVP 0 101\r\n"));
    assert_true(says(&d, "a=sendrecv\r\nm=application 0 TCP/BFCP *\r\nm=audio 0 RTP/AVP 0\r\n"));
    assert_int_equal(d.s.agreed.remote_rtp.port, 6000);
    uint64_t version = version_of(&d);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "m=video 0 RTP/AVP 31 99\r\nm=audio 0 RTP/SAVP 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"));
    assert_true(says(&d, "a=rtcp-mux\r\nm=application 0 TCP/BFCP *\r\nm=audio 0 RTP/AVP 0\r\n"));
    assert_int_equal(version_of(&d), version + 1);
    assert_int_equal(take_answer(&d, "m=video 0 RTP/AVP 31 99\nm=audio 0 RTP/SAVP 0\nm=audio 6002 RTP/AVP 0\nm=application 0 TCP/BFCP *\nm=audio 0 RTP/AVP 0\n"), 0);
    assert_int_equal(d.s.agreed.remote_rtp.port, 6002);
    close_desk(&d);

    open_desk(&d, NULL); /* the first audio line has no codec of ours, the second has */
    assert_int_equal(take_offer(&d, "m=audio 5000 RTP/AVP 18\nm=audio 6000 RTP/AVP 0\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "m=audio 0 RTP/AVP 18\r\nm=audio 4000 RTP/AVP 0\r\n"));
    close_desk(&d);
}

/* The peer ends the stream by port 0 and keeps the call (RFC 3264 8.2): answered so, offered so, and back when the peer brings it back. In a first offer it is no stream. */
static void test_stream_taken_away(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(take_offer(&d, "m=audio 0 RTP/AVP 0\n"), ROAM_EUNSUPPORTED);
    agree(&d);
    assert_int_equal(take_offer(&d, "m=audio 0 RTP/AVP 0\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "m=audio 0 RTP/AVP 0\r\n"));
    assert_false(d.s.agreed.active);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "m=audio 0 RTP/AVP 0 8 101\r\n"));
    assert_int_equal(take_answer(&d, "m=audio 0 RTP/AVP 0\n"), 0);
    assert_false(d.s.agreed.active);
    assert_int_equal(take_offer(&d, PLAIN), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(d.s.agreed.active);
    assert_int_equal(d.s.agreed.direction, DIRECTION_SENDRECV);
    close_desk(&d);
}

/* Another copy of the session may have used numbers toward the same peer: the next description is above them, also when it says the same. */
static void test_version_beyond(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(offer(&d, false), 0);
    uint64_t first = version_of(&d);
    assert_int_equal(take_answer(&d, PLAIN), 0);
    session_beyond(&d.s, first + 3);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), first + 4);
    assert_int_equal(take_answer(&d, PLAIN), 0);
    session_beyond(&d.s, first); /* less than was said here */
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), first + 5);
    close_desk(&d);
}

/* o= keeps its id and address whatever moves; the version rises by one exactly when something else differs from the description before (RFC 3264 8), also over 9 -> 10. */
static void test_version(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    d.s.version = 9;
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), 9);
    session_withdraw(&d.s);
    assert_int_equal(offer(&d, false), 0); /* after a challenge: the same again */
    assert_int_equal(version_of(&d), 9);
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n"), 0);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), 9);
    assert_int_equal(take_answer(&d, PLAIN), 0);
    assert_int_equal(roam_ip_parse(SPAN("198.51.100.77"), &d.local.ip), 0);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), 10);
    assert_true(says(&d, " IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 198.51.100.77\r\n"));
    assert_true(says(&d, "a=rtcp-mux\r\n"));
    session_withdraw(&d.s); /* refused: the number is used all the same */
    assert_int_equal(roam_ip_parse(SPAN("192.0.2.5"), &d.local.ip), 0);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(version_of(&d), 11);
    assert_int_equal(take_answer(&d, PLAIN), 0);
    assert_int_equal(take_offer(&d, PLAIN), 0);
    assert_int_equal(answer(&d, false), 0);
    uint64_t version = version_of(&d);
    assert_int_equal(version, 12); /* an answer lists fewer formats */
    assert_int_equal(take_offer(&d, PLAIN), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(version_of(&d), version);
    assert_int_equal(roam_ip_parse(SPAN("2001:db8::7"), &d.local.ip), 0);
    assert_int_equal(offer(&d, false), 0); /* over to IPv6: the origin keeps its family too */
    assert_true(says(&d, " IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP6 2001:db8::7\r\n"));
    close_desk(&d);
}

static void same_agreement(const roam_agreement *a, const roam_agreement *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

/* Whatever fails leaves the agreement as it was, byte for byte: an offer of ours withdrawn or answered with nonsense, an offer of theirs refused, malformed, or with nothing in common. */
static void test_failures_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *media;
        int err;
    } bad[] = {{"m=audio 6000 RTP/AVP 18\n", ROAM_EUNSUPPORTED},
               {"m=audio 6000 RTP/SAVP 0\n", ROAM_EUNSUPPORTED},
               {"m=audio 6000 UDP/TLS/RTP/SAVPF 0\n", ROAM_EUNSUPPORTED},
               {"m=video 6000 RTP/AVP 0\n", ROAM_EUNSUPPORTED},
               {"", ROAM_EUNSUPPORTED},
               {"m=audio 6000 RTP/AVP 0\nc=IN IP4 bob.example.com\n", ROAM_EUNSUPPORTED},
               {"m=audio sixty RTP/AVP 0\n", ROAM_ESYNTAX},
               {"m=audio 66000 RTP/AVP 0\n", ROAM_ESYNTAX},
               {"nonsense\n", ROAM_ESYNTAX}};
    desk d = {0};
    open_desk(&d, NULL);
    agree(&d);
    roam_agreement before;
    memcpy(&before, &d.s.agreed, sizeof before);
    bool hold = d.s.remote_hold;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(take_offer(&d, bad[i].media), bad[i].err);
        assert_int_equal(d.s.state, OFFER_STABLE);
        same_agreement(&before, &d.s.agreed);
        assert_int_equal(offer(&d, false), 0);
        assert_int_equal(take_answer(&d, bad[i].media), bad[i].err);
        assert_int_equal(d.s.state, OFFER_STABLE);
        same_agreement(&before, &d.s.agreed);
        assert_int_equal(d.s.remote_hold, hold);
    }
    assert_int_equal(session_take_offer(&d.s, SPAN("")), ROAM_ESYNTAX);
    assert_int_equal(session_take_answer(&d.s, SPAN("v=0\r\n")), ROAM_ESTATE);
    assert_int_equal(offer(&d, true), 0);
    session_withdraw(&d.s);
    same_agreement(&before, &d.s.agreed);
    assert_int_equal(take_offer(&d, "m=audio 7000 RTP/AVP 8\na=sendonly\n"), 0);
    same_agreement(&before, &d.s.agreed); /* until we answer */
    session_refuse(&d.s);
    same_agreement(&before, &d.s.agreed);
    assert_false(d.s.remote_hold);
    roam_writer small;
    char space[64];
    writer_init(&small, space, sizeof space);
    assert_int_equal(take_offer(&d, "m=audio 7000 RTP/AVP 8\na=sendonly\n"), 0);
    assert_int_equal(session_answer(&d.s, &small, &d.local, false), ROAM_EOVERFLOW);
    same_agreement(&before, &d.s.agreed);
    assert_int_equal(d.s.state, OFFER_REMOTE);
    session_refuse(&d.s);
    writer_init(&small, space, sizeof space);
    assert_int_equal(session_offer(&d.s, &small, &d.local, false), ROAM_EOVERFLOW);
    assert_int_equal(d.s.state, OFFER_STABLE);
    close_desk(&d);
}

/* A delayed offer: ours goes in the 2xx, theirs comes as the answer in the ACK; the roles of the SDP are as ever. */
static void test_delayed_offer(void **state)
{
    (void)state;
    desk ours = {0}, peer = {0};
    open_desk(&ours, NULL);
    open_desk(&peer, "PCMA");
    peer.local.rtp_port = 7000;
    peer.local.rtcp_port = 7001;
    assert_int_equal(offer(&ours, false), 0);
    assert_int_equal(session_take_offer(&peer.s, span_of(ours.text)), 0);
    assert_int_equal(answer(&peer, false), 0);
    assert_int_equal(session_take_answer(&ours.s, span_of(peer.text)), 0);
    assert_ptr_equal(ours.s.agreed.codec, &roam_codec_pcma);
    assert_int_equal(ours.s.agreed.remote_rtp.port, 7000);
    assert_int_equal(ours.s.agreed.receive_dtmf, peer.s.agreed.send_dtmf);
    assert_true(ours.s.agreed.rtcp_mux && peer.s.agreed.rtcp_mux);
    close_desk(&ours);
    close_desk(&peer);
}

/* An answer in a 18x, another one of another fork in the 2xx: the second one counts; when the same comes again nothing changes (RFC 3261 13.2.1). */
static void test_early_answer(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0\n"), 0);
    session_reopen(&d.s);
    assert_int_equal(take_answer(&d, "m=audio 6500 RTP/AVP 8\n"), 0);
    assert_int_equal(d.s.agreed.remote_rtp.port, 6500);
    assert_ptr_equal(d.s.agreed.codec, &roam_codec_pcma);
    assert_int_equal(d.s.agreed.direction, DIRECTION_SENDRECV);
    close_desk(&d);
}

/* IPv6, and the profile with feedback: both are answered in kind, and offered again in kind. */
static void test_ipv6_and_avpf(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(roam_ip_parse(SPAN("2001:db8::5"), &d.local.ip), 0);
    assert_int_equal(session_take_offer(&d.s, theirs("IP6 2001:db8::9", "m=audio 6000 RTP/AVPF 0\na=rtcp-fb:* nack\n")), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, " IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\n"));
    assert_true(says(&d, "m=audio 4000 RTP/AVPF 0\r\n"));
    assert_int_equal(d.s.agreed.remote_rtp.ip.family, 6);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "m=audio 4000 RTP/AVPF 0 8 101\r\n"));
    assert_int_equal(session_take_answer(&d.s, theirs("IP6 2001:db8::9", "m=audio 6000 RTP/AVPF 0\n")), 0);
    assert_int_equal(session_take_offer(&d.s, theirs("IP6 2001:db8::9", "m=audio 6000 RTP/AVP 0\nc=IN IP4 203.0.113.9\n")), 0); /* of the media counts */
    assert_int_equal(d.s.next.remote_rtp.ip.family, 4);
    session_refuse(&d.s);
    close_desk(&d);
}

/* RTCP: multiplexed when both say so (RFC 5761), else at the next port, at a=rtcp's port, or at a=rtcp's port and address (RFC 3605); we say our own odd port. */
static void test_rtcp(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    d.local.rtcp_port = 4777;
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "a=rtcp:4777\r\na=rtcp-mux\r\n"));
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0\na=rtcp-mux\n"), 0);
    assert_true(d.s.agreed.rtcp_mux);
    assert_int_equal(d.s.agreed.remote_rtcp.port, 6000);
    assert_int_equal(offer(&d, false), 0);
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0\n"), 0); /* refused */
    assert_false(d.s.agreed.rtcp_mux);
    assert_int_equal(d.s.agreed.remote_rtcp.port, 6001);
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0\na=rtcp-mux\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_true(says(&d, "a=rtcp-mux\r\n"));
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0\na=rtcp:53020\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_false(says(&d, "a=rtcp-mux\r\n"));
    assert_int_equal(d.s.agreed.remote_rtcp.port, 53020);
    assert_true(roam_ip_equal(&d.s.agreed.remote_rtcp.ip, &d.s.agreed.remote_rtp.ip));
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0\na=rtcp:53020 IN IP4 203.0.113.200\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    char text[ROAM_ADDR_TEXT_MAX];
    roam_addr_format(&d.s.agreed.remote_rtcp, text);
    assert_string_equal(text, "203.0.113.200:53020");
    assert_int_equal(take_offer(&d, "m=audio 65535 RTP/AVP 0\n"), 0); /* there is no next port */
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(d.s.agreed.remote_rtcp.port, 0);
    close_desk(&d);
}

/* No memory at any moment: an error, the agreement as it was, nothing leaked. */
typedef struct miser {
    size_t left;
} miser;

static void *stingy(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (m->left == 0)
        return NULL;
    m->left--;
    return realloc(ptr, size);
}

static void test_no_memory(void **state)
{
    (void)state;
    bool done = false;
    for (size_t n = 0; !done; n++) {
        desk d = {0};
        miser m = {SIZE_MAX};
        roam_allocator allocator = {stingy, &m};
        open_desk(&d, NULL);
        d.env.mem.allocator = allocator;
        agree(&d);
        roam_agreement before;
        memcpy(&before, &d.s.agreed, sizeof before);
        m.left = n;
        int err = take_offer(&d, "m=video 5000 RTP/AVP 31\n" PLAIN "a=sendonly\n");
        if (!err)
            err = answer(&d, false);
        if (err) {
            assert_int_equal(err == ROAM_ENOMEM || err == ROAM_EOVERFLOW, 1);
            same_agreement(&before, &d.s.agreed);
            session_refuse(&d.s);
            assert_false(d.s.remote_hold);
        } else {
            done = true;
        }
        assert_true(n < 50);
        close_desk(&d);
    }
}

/* A payload type that the peer uses for something else is not offered as telephone-event's (RFC 3264 8.3.2): the next free one is. One that is agreed stays. */
static void test_dtmf_number(void **state)
{
    (void)state;
    desk d = {0};
    open_desk(&d, NULL);
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0 101 96\na=rtpmap:101 opus/48000/2\na=rtpmap:96 iLBC/8000\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_false(says(&d, "telephone-event"));
    assert_int_equal(offer(&d, false), 0);
    assert_false(says(&d, "rtpmap:101 "));
    assert_true(says(&d, "a=rtpmap:97 telephone-event/8000\r\n"));
    assert_int_equal(take_answer(&d, "m=audio 6000 RTP/AVP 0 97\na=rtpmap:97 telephone-event/8000\n"), 0);
    assert_int_equal(take_offer(&d, "m=audio 6000 RTP/AVP 0 98\na=rtpmap:98 opus/48000/2\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(offer(&d, false), 0);
    assert_true(says(&d, "a=rtpmap:97 telephone-event/8000\r\n"));
    close_desk(&d);
    open_desk(&d, NULL); /* all of them: nothing better than what there is */
    char all[4096];
    size_t n = (size_t)snprintf(all, sizeof all, "m=audio 6000 RTP/AVP 0");
    for (int i = 96; i < 128; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, " %d", i);
    n += (size_t)snprintf(all + n, sizeof all - n, "\n");
    for (int i = 96; i < 128; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "a=rtpmap:%d x%d/8000\n", i, i);
    assert_int_equal(take_offer(&d, all), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(offer(&d, false), 0);
    close_desk(&d);
}

/* A repetition is what was agreed last, word for word and with its version, whether we offered it or answered with it; after an offer that was refused it has a number of its own. Narrow: the codec in use alone. */
static void test_repeat(void **state)
{
    (void)state;
    for (int as_answerer = 0; as_answerer < 2; as_answerer++) {
        desk d = {0};
        char said[4096];
        roam_writer w;
        open_desk(&d, NULL);
        writer_init(&w, d.text, sizeof d.text - 1);
        assert_int_equal(session_repeat(&d.s, &w), ROAM_ENOTFOUND);
        if (as_answerer) {
            assert_int_equal(take_offer(&d, PLAIN "a=sendonly\n"), 0);
            assert_int_equal(answer(&d, false), 0);
        } else {
            agree(&d);
            assert_int_equal(offer(&d, true), 0);
            assert_int_equal(take_answer(&d, PLAIN "a=recvonly\n"), 0);
            session_withdraw(&d.s);
        }
        if (!as_answerer) {
            assert_int_equal(offer(&d, true), 0); /* the words of the agreement */
            session_withdraw(&d.s);
        }
        snprintf(said, sizeof said, "%s", d.text);
        uint64_t version = version_of(&d);
        roam_agreement before = d.s.agreed;
        for (int i = 0; i < 2; i++) {
            writer_init(&w, d.text, sizeof d.text - 1);
            assert_int_equal(written(&d, session_repeat(&d.s, &w), &w), 0);
            assert_string_equal(d.text, said);
            assert_int_equal(take_answer(&d, as_answerer ? PLAIN "a=sendonly\n" : PLAIN "a=recvonly\n"), 0);
            assert_int_equal(d.s.agreed.direction, before.direction);
            assert_int_equal(d.s.remote_hold, as_answerer);
        }
        d.local.rtp_port = 5000;
        d.s.narrow = true;
        assert_int_equal(offer(&d, false), 0);
        assert_true(says(&d, "m=audio 5000 RTP/AVP 0 101\r\n"));
        assert_false(says(&d, "PCMA"));
        session_withdraw(&d.s);
        writer_init(&w, d.text, sizeof d.text - 1);
        assert_int_equal(written(&d, session_repeat(&d.s, &w), &w), 0);
        assert_true(version_of(&d) > version + 1);
        assert_string_equal(strstr(d.text, "s=-"), strstr(said, "s=-"));
        writer_init(&w, d.text, sizeof d.text - 1);
        assert_int_equal(session_repeat(&d.s, &w), ROAM_ESTATE);
        close_desk(&d);
    }
}

/* The session goes on in another dialog: the same identity, a version of its own, nothing pending; whether the peer holds is its answer's to say; and the old one is not touched. */
static void test_fork(void **state)
{
    (void)state;
    desk d = {0}, other = {0};
    open_desk(&d, NULL);
    assert_int_equal(take_offer(&d, PLAIN "a=sendonly\n"), 0);
    assert_int_equal(answer(&d, false), 0);
    assert_int_equal(offer(&d, false), 0); /* pending there */
    uint64_t version = version_of(&d);
    other.local = d.local;
    session_fork(&other.s, &d.s);
    assert_int_equal(other.s.state, OFFER_STABLE);
    other.local.rtp_port = 7000;
    assert_int_equal(offer(&other, false), 0);
    assert_true(says(&other, "a=sendrecv"));
    assert_true(version_of(&other) > version);
    assert_int_equal(take_answer(&other, PLAIN "a=sendonly\n"), 0);
    assert_true(other.s.remote_hold);
    assert_int_equal(other.s.agreed.direction, DIRECTION_RECVONLY);
    assert_int_equal(d.s.state, OFFER_LOCAL);
    assert_int_equal(take_answer(&d, PLAIN "a=sendonly\n"), 0);
    session_free(&other.s);
    close_desk(&d);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_offer),   cmocka_unit_test(test_answer_directions), cmocka_unit_test(test_offer_directions), cmocka_unit_test(test_hold_survives_offers),
        cmocka_unit_test(test_old_hold),      cmocka_unit_test(test_codecs),            cmocka_unit_test(test_payload_numbers),  cmocka_unit_test(test_other_lines),
        cmocka_unit_test(test_stream_taken_away), cmocka_unit_test(test_version),
        cmocka_unit_test(test_version_beyond),       cmocka_unit_test(test_failures_change_nothing),
        cmocka_unit_test(test_delayed_offer), cmocka_unit_test(test_early_answer),      cmocka_unit_test(test_ipv6_and_avpf),    cmocka_unit_test(test_rtcp),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_dtmf_number),       cmocka_unit_test(test_repeat),           cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
