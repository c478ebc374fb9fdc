/* testbed/peer: what a peer can do and how its switches change that, seen from the other end of a call or from a request
 * by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "testbed/facts.h"
#include "testbed_world.h"

#define STRANGER "192.0.2.99:5060"
static const roam_link_config perfect = {.delay = ROAM_MS(10)};

/* Hangs up from alice's end; everything is over, and nothing stays behind, when the transactions have gone. */
static void ends_well(world *w, uint32_t id)
{
    assert_int_equal(peer_hangup(&w->peers[0].peer, w->now, id), ROAM_OK);
    world_run(w, ROAM_SECONDS(60));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
    assert_int_equal(w->server.sip.ntransactions, 0);
    assert_int_equal(w->peers[0].peer.sip.ntransactions, 0);
    assert_true(world_free(w));
}

/* ---- before the answer ---- */

static void reliable_provisionals(void **state)
{
    /* RFC 3262 between two peers through the proxy, with digest: the 180 or 183 is acknowledged by PRACK, with and
     * without SDP in it, with and without an offer in the INVITE; the 2xx that follows a settled exchange has no SDP,
     * and both hear each other. Early media is heard before the answer. */
    (void)state;
    for (int media = 0; media < 2; media++) {
        for (int offerless = 0; offerless < 2; offerless++) {
            for (int required = 0; required < 2; required++) {
                roam_peer_config a = {.rel = required ? PEER_REL_REQUIRED : PEER_REL_ACCEPTED,
                                      .delayed_offer = offerless};
                roam_peer_config b = {.rel = required ? PEER_REL_ACCEPTED : PEER_REL_USED,
                                      .early_media = media,
                                      .answer_after = ROAM_SECONDS(2)};
                world *w = two_users(NULL, &perfect, &a, &b, true);
                uint32_t id = call(w, 0, "sip:bob@example.com");
                world_run(w, ROAM_SECONDS(1));
                const roam_leg *la = leg_of(w, 0, id), *lb = leg_of(w, 1, 1);
                assert_int_equal(la->state, LEG_CALLING);
                assert_int_equal(lb->pracks, 1);
                assert_int_equal(la->pracks, 1);
                assert_false(lb->reliable.waiting);
                assert_int_equal(lb->settled, media || offerless);
                if (media || offerless)
                    assert_in_range(la->audio.received, 30, 50);
                else
                    assert_int_equal(la->audio.received, 0);
                world_run(w, ROAM_SECONDS(3));
                assert_int_equal(la->state, LEG_CONFIRMED);
                assert_int_equal(lb->state, LEG_CONFIRMED);
                assert_false(accept_waiting(&lb->accept));
                uint64_t heard_a = la->audio.received, heard_b = lb->audio.received;
                world_run(w, ROAM_SECONDS(1));
                assert_in_range(la->audio.received - heard_a, 49, 51);
                assert_in_range(lb->audio.received - heard_b, 49, 51);
                ends_well(w, id);
            }
        }
    }
}

static void who_cannot_prack(void **state)
{
    /* A Require: 100rel is 420 at a peer without it; a peer that requires it answers 421 to a caller without it. A peer
     * that only could use it says its 180 plainly to a caller without it. */
    (void)state;
    static const struct {
        roam_peer_rel caller, callee;
        unsigned status;
    } cases[] = {{PEER_REL_REQUIRED, PEER_REL_NONE, 420}, {PEER_REL_NONE, PEER_REL_REQUIRED, 421},
                 {PEER_REL_NONE, PEER_REL_USED, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world *w = two_users(NULL, &perfect, &(roam_peer_config){.rel = cases[i].caller},
                             &(roam_peer_config){.rel = cases[i].callee}, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 0, id)->last_status, cases[i].status ? cases[i].status : 200);
        assert_int_equal(leg_of(w, 0, id)->pracks, 0);
        assert_true(world_free(w));
    }
}

static void lost_provisionals(void **state)
{
    /* 20 % of all datagrams lost: the reliable 183 comes again until its PRACK, and the call comes up. A caller that is
     * gone after its INVITE: the provisional is repeated for 64*T1, then the INVITE is refused with 504. */
    (void)state;
    roam_peer_config a = {.rel = PEER_REL_ACCEPTED};
    roam_peer_config b = {.rel = PEER_REL_USED, .early_media = true, .answer_after = ROAM_SECONDS(3)};
    world *w =
        two_users(NULL, &(roam_link_config){.delay = ROAM_MS(20), .loss_ppm = 200000}, &a, &b, false);
    for (uint32_t n = 1; n <= 8; n++) {
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(60));
        assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 1, n)->pracks, 1);
        (void)peer_hangup(&w->peers[0].peer, w->now, id);
        world_run(w, ROAM_SECONDS(60));
    }
    assert_true(world_free(w));

    b.answer = PEER_RINGS;
    w = two_users(NULL, &perfect, &a, &b, false);
    (void)call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_MS(15)); /* at the proxy */
    w->peers[0].present = false;
    world_run(w, ROAM_SECONDS(31));
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_RINGING);
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
    w->peers[0].present = true;
    assert_true(world_free(w));
}

static void plain_early_media(void **state)
{
    /* A 183 with SDP that nobody acknowledges: heard before the answer; the 2xx says the same description again (same
     * o= version), and the call is as any other. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL,
                         &(roam_peer_config){.early_media = true, .answer_after = ROAM_SECONDS(1)}, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_MS(900));
    assert_true(leg_of(w, 0, id)->audio.received > 30);
    assert_int_equal(leg_of(w, 1, 1)->sdp_version, 1);
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_int_equal(leg_of(w, 1, 1)->sdp_version, 1);
    ends_well(w, id);
}

static void early_updates(void **state)
{
    /* RFC 3311 before the answer. Without an offer at any time, from both ends. With one only when the first exchange is
     * settled: before that the callee answers 500 with Retry-After, the caller 491. */
    (void)state;
    for (int settled = 0; settled < 2; settled++) {
        roam_peer_config a = {.rel = PEER_REL_ACCEPTED};
        roam_peer_config b = {.rel = PEER_REL_USED, .early_media = settled, .answer_after = ROAM_SECONDS(5)};
        world *w = two_users(NULL, &perfect, &a, &b, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        const roam_leg *la = leg_of(w, 0, id), *lb = leg_of(w, 1, 1);
        assert_int_equal(peer_refresh(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
        assert_int_equal(peer_refresh(&w->peers[1].peer, w->now, 1, true, false), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(la->last_status, 200);
        assert_int_equal(lb->last_status, 200);
        assert_int_equal(la->updates, 1);
        assert_int_equal(lb->updates, 1);
        /* A hold before the answer: an offer. */
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, true), settled ? ROAM_OK : ROAM_EBUSY);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(lb->remote_hold, settled);
        /* No re-INVITE before the answer. */
        assert_int_equal(peer_refresh(&w->peers[0].peer, w->now, id, false, true), ROAM_ESTATE);
        world_run(w, ROAM_SECONDS(4));
        assert_int_equal(la->state, LEG_CONFIRMED);
        assert_int_equal(lb->audio.direction, settled ? DIRECTION_RECVONLY : DIRECTION_SENDRECV);
        ends_well(w, id);
    }
}

static void forks_before_the_answer(void **state)
{
    /* Two phones ring reliably and play early media; both are acknowledged, each in its own dialog. The second one
     * answers: that dialog is the call. With `sends_199` the one that refuses says 199 first, and its early dialog is
     * gone at the caller while the other rings on. */
    (void)state;
    for (int refuses = 0; refuses < 2; refuses++) {
        world *w = world_new(NULL, &perfect);
        world_add_peer(w, 0, "alice", NULL, &(roam_peer_config){.rel = PEER_REL_ACCEPTED});
        world_add_peer(w, 1, "bob", NULL,
                       &(roam_peer_config){
                           .rel = PEER_REL_USED, .early_media = true, .answer = PEER_RINGS, .sends_199 = true});
        world_add_peer(w, 2, "bob", NULL,
                       &(roam_peer_config){
                           .rel = PEER_REL_USED, .early_media = true, .answer_after = ROAM_SECONDS(4)});
        for (int i = 0; i < 3; i++)
            assert_int_equal(peer_register(&w->peers[i].peer, w->now), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        const roam_leg *a = leg_of(w, 0, id);
        assert_int_equal(a->nforks, 1);
        assert_int_equal(a->pracks, 2);
        assert_int_equal(leg_of(w, 1, 1)->pracks, 1);
        assert_int_equal(leg_of(w, 2, 1)->pracks, 1);
        if (refuses) {
            assert_int_equal(peer_reject(&w->peers[1].peer, w->now, 1, 486), ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            assert_int_equal(a->early_ends, 1);
            assert_int_equal(a->nforks, 0);
            assert_string_equal(a->dialog.remote_tag, leg_of(w, 2, 1)->dialog.local_tag);
            assert_int_equal(a->state, LEG_CALLING);
        }
        world_run(w, ROAM_SECONDS(4));
        assert_int_equal(a->state, LEG_CONFIRMED);
        assert_string_equal(a->dialog.remote_tag, leg_of(w, 2, 1)->dialog.local_tag);
        assert_int_equal(leg_of(w, 2, 1)->state, LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
        ends_well(w, id);
    }
}

static void delayed_offers(void **state)
{
    /* INVITE without SDP: the offer comes in the 2xx, the answer goes in the ACK (RFC 3261 13.2.1). */
    (void)state;
    world *w = two_users(NULL, &perfect, &(roam_peer_config){.delayed_offer = true},
                         &(roam_peer_config){.answer_after = ROAM_MS(100)}, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_int_equal(leg_of(w, 1, 1)->offer, OFFER_NONE);
    assert_in_range(leg_of(w, 0, id)->audio.received, 75, 100);
    assert_in_range(leg_of(w, 1, 1)->audio.received, 75, 100);
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_true(leg_of(w, 1, 1)->remote_hold);
    ends_well(w, id);
}

/* ---- in and around calls ---- */

static void replaces_as_caller(void **state)
{
    /* Carol takes alice's place in her call with bob (RFC 3891). A peer without `replaces` answers 420 and keeps its
     * call; tags that fit nothing 481; a call that is over 603; one that only rings at bob is not to be replaced, 481;
     * early-only names no confirmed call. */
    (void)state;
    for (int without = 0; without < 2; without++) {
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.no_replaces = without}, false);
        world_add_peer(w, 2, "carol", NULL, NULL);
        uint32_t id = call(w, 0, "sip:bob@example.com"), takes;
        world_run(w, ROAM_SECONDS(1));
        const roam_leg *a = leg_of(w, 0, id);
        assert_int_equal(peer_call_replacing(&w->peers[2].peer, w->now, "sip:bob@example.com", a->dialog.call_id, "no",
                                             "no", &takes),
                         ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 2, takes)->last_status, without ? 420 : 481);
        char only[64];
        (void)snprintf(only, sizeof only, "%s;early-only", a->dialog.local_tag);
        assert_int_equal(peer_call_replacing(&w->peers[2].peer, w->now, "sip:bob@example.com", a->dialog.call_id,
                                             a->dialog.remote_tag, only, &takes),
                         ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(leg_of(w, 2, takes)->last_status, without ? 420 : 486);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(peer_call_replacing(&w->peers[2].peer, w->now, "sip:bob@example.com", a->dialog.call_id,
                                                 a->dialog.remote_tag, a->dialog.local_tag, &takes),
                             ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            assert_int_equal(leg_of(w, 2, takes)->last_status, without ? 420 : again ? 603 : 200);
            assert_int_equal(a->state, without ? LEG_CONFIRMED : LEG_ENDED);
        }
        assert_true(world_free(w));
    }
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.answer = PEER_RINGS}, false);
    uint32_t id = call(w, 0, "sip:bob@example.com"), takes;
    world_run(w, ROAM_SECONDS(1));
    const roam_leg *a = leg_of(w, 0, id);
    world_add_peer(w, 2, "carol", NULL, NULL);
    assert_int_equal(peer_call_replacing(&w->peers[2].peer, w->now, "sip:bob@example.com", a->dialog.call_id,
                                         a->dialog.remote_tag, a->dialog.local_tag, &takes),
                     ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 2, takes)->last_status, 481);
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_RINGING);
    assert_true(world_free(w));
}

static void messages(void **state)
{
    /* MESSAGE: plain text is taken, another type is 415, and Allow says what the peer knows. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.rel = PEER_REL_USED, .no_update = true}, false);
    static const char *const types[] = {"text/plain", "text/html"};
    for (int i = 0; i < 2; i++)
        assert_int_equal(world_ask(w, STRANGER,
                                   "MESSAGE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                                   ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:x@elsewhere.example>;tag=m\n"
                                   "To: <sip:bob@example.com>\nCall-ID: m%d\nCSeq: 1 MESSAGE\nContent-Type: "
                                   "%s\nContent-Length: 5\n\nhello",
                                   i, types[i]),
                         i ? 415 : 200);
    assert_int_equal(w->peers[1].peer.messages, 1);
    assert_int_equal(world_ask(w, STRANGER,
                               "OPTIONS sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                               ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:x@elsewhere.example>;tag=m\n"
                               "To: <sip:bob@example.com>\nCall-ID: o\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"),
                     200);
    assert_true(message_has_token(&w->reply, HEADER_ALLOW, SPAN("PRACK")));
    assert_false(message_has_token(&w->reply, HEADER_ALLOW, SPAN("UPDATE")));
    assert_true(message_has_token(&w->reply, HEADER_SUPPORTED, SPAN("100rel")));
    assert_true(message_has_token(&w->reply, HEADER_SUPPORTED, SPAN("replaces")));
    assert_true(world_free(w));
}

static void overlapping_changes(void **state)
{
    /* A peer that takes 300 ms for a re-INVITE: a second one meanwhile, or before the ACK of the 2xx, gets 500 with
     * Retry-After, or 491; the plain peer serves the latter. The first one is answered as ever. By hand, from a call
     * that the test itself placed straight to bob. */
    (void)state;
    static const char sdp[] =
        "v=0\no=- 1 1 IN IP4 192.0.2.99\ns=-\nc=IN IP4 192.0.2.99\nt=0 0\nm=audio 4000 RTP/AVP 0\n";
    for (int mode = PEER_OVERLAP_TAKEN; mode <= PEER_OVERLAP_491; mode++) {
        world *w = two_users(NULL, &perfect, NULL,
                             &(roam_peer_config){.overlap = (roam_peer_overlap)mode, .reinvite_after = ROAM_MS(300)},
                             false);
        char tag[64] = "";
        unsigned statuses[5] = {0};
        for (unsigned n = 1; n <= 5; n++) { /* the INVITE; two re-INVITEs at once; a third and a fourth, not ACKed */
            char head[700];
            (void)snprintf(head, sizeof head,
                           "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                           ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:x@elsewhere.example>;tag=o\nTo: "
                           "<sip:bob@example.com>%s%s\nCall-ID: overlap\nCSeq: %u INVITE\nContact: <sip:x@" STRANGER
                           ">\nContent-Type: application/sdp\nContent-Length: %zu\n\n%s",
                           *tag ? ";tag=" : "", tag, n, sizeof sdp - 1 + 6, sdp);
            if (n == 2) { /* sent, and the next one before its answer */
                roam_addr source = world_addr(STRANGER);
                char wire[1000];
                roam_writer out;
                writer_init(&out, wire, sizeof wire);
                for (const char *c = head; *c; c++) {
                    if (*c == '\n')
                        write_lit(&out, "\r\n");
                    else if (strncmp(c, "$branch", 7) == 0 && (c += 6))
                        write_lit(&out, "z9hG4bKfirst");
                    else
                        write_char(&out, *c);
                }
                world_put(w, &source, &w->server_addr, writer_span(&out));
                world_run(w, ROAM_MS(50));
                continue;
            }
            statuses[n - 1] = world_ask(w, STRANGER, "%s", head);
            roam_name_addr to;
            if (n == 1 && name_addr_parse(message_value(&w->reply, HEADER_TO), &to) == ROAM_OK)
                (void)snprintf(tag, sizeof tag, "%.*s", SPAN_ARG(name_addr_tag(&to)));
            if (n == 1) { /* its ACK */
                assert_int_equal(statuses[0], 200);
                (void)world_ask(w, STRANGER,
                                "ACK sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP " STRANGER
                                ";branch=$branch;rport\nMax-Forwards: 70\nFrom: <sip:x@elsewhere.example>;tag=o\nTo: "
                                "<sip:bob@example.com>;tag=%s\nCall-ID: overlap\nCSeq: 1 ACK\nContent-Length: 0\n\n",
                                tag);
                assert_false(accept_waiting(&leg_of(w, 1, 1)->accept));
            }
        }
        unsigned busy = mode == PEER_OVERLAP_491 ? 491 : 500;
        assert_int_equal(statuses[2], busy);
        assert_int_equal(statuses[3], mode == PEER_OVERLAP_TAKEN ? 200 : busy);
        assert_int_equal(leg_of(w, 1, 1)->reinvites, mode == PEER_OVERLAP_TAKEN ? 3 : 1);
        if (busy == 500 && mode == PEER_OVERLAP_500)
            assert_true(message_has(&w->reply, HEADER_RETRY_AFTER));
        assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
        assert_true(world_free(w));
    }
}

static void slow_reinvites(void **state)
{
    /* The re-INVITE that is answered late: the change is there afterwards; while it waits the peer begins no change of
     * its own; a BYE meanwhile, from either side, ends the call and the re-INVITE with 487. */
    (void)state;
    for (int bye = 0; bye < 3; bye++) {
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.reinvite_after = ROAM_SECONDS(2)}, false);
        uint32_t id = call(w, 0, "sip:bob@example.com");
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        roam_leg_facts facts;
        assert_true(peer_facts(&w->peers[1].peer, 1, &facts));
        assert_true(facts.change_pending);
        assert_int_equal(peer_hold(&w->peers[1].peer, w->now, 1, true, false), ROAM_EBUSY);
        assert_false(leg_of(w, 1, 1)->remote_hold);
        if (bye)
            assert_int_equal(peer_hangup(&w->peers[bye - 1].peer, w->now, bye == 1 ? id : 1), ROAM_OK);
        if (bye == 2)
            assert_null(leg_of(w, 1, 1)->reinvite); /* not accepted behind the BYE */
        world_run(w, ROAM_SECONDS(2));
        assert_int_equal(leg_of(w, 1, 1)->reinvites, !bye);
        assert_int_equal(leg_of(w, 1, 1)->state, bye ? LEG_ENDED : LEG_CONFIRMED);
        assert_int_equal(leg_of(w, 1, 1)->remote_hold, !bye);
        if (bye)
            assert_null(leg_of(w, 0, id)->invite);
        assert_true(world_free(w));
    }
}

static void update_behind_bye(void **state)
{
    /* Who has sent a BYE accepts no change any more, be the BYE on its way for long. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, NULL, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(leg_of(w, 1, 1)->state, LEG_CONFIRMED);
    assert_int_equal(peer_hangup(&w->peers[1].peer, w->now, 1), ROAM_OK);
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, true), ROAM_OK);
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 1, 1)->updates, 0);
    assert_false(leg_of(w, 1, 1)->remote_hold);
    assert_int_equal(leg_of(w, 0, id)->state, LEG_ENDED);
    assert_true(world_free(w));
}

static void refused_media(void **state)
{
    /* The first offer sets the address; holds from there are fine; an offer from another address is 488 and changes
     * nothing, by re-INVITE and by UPDATE. */
    (void)state;
    world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.refuses_new_media = true}, false);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(1));
    assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
    world_run(w, ROAM_SECONDS(1));
    assert_true(leg_of(w, 1, 1)->remote_hold);
    roam_leg *a = (roam_leg *)leg_of(w, 0, id); /* alice describes another port now */
    roam_addr before = leg_of(w, 1, 1)->audio.signalled;
    a->rtp_local.port = (uint16_t)(a->rtp_local.port + 100);
    for (int update = 0; update < 2; update++) {
        assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, false, update), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(a->last_status, 488);
        assert_int_equal(a->state, LEG_CONFIRMED);
        assert_true(leg_of(w, 1, 1)->remote_hold);
        assert_true(roam_addr_equal(&leg_of(w, 1, 1)->audio.signalled, &before));
    }
    assert_true(world_free(w));
}

static void session_timers(void **state)
{
    /* RFC 4028 between two peers: 90 s, the caller or the callee proposes, either refreshes, by re-INVITE or by UPDATE
     * without an offer: every 45 s. After ten minutes the call stands. When the refresher is gone the other one ends the
     * call 30 s before the end of the interval. A peer without timers lives with one that has them. */
    (void)state;
    for (int me = 0; me < 2; me++) {
        for (int update = 0; update < 2; update++) {
            for (int other = 0; other < 2; other++) {
                roam_peer_config a = {.session_expires = 90,
                                      .refresher = me ? PEER_REFRESHER_ME : PEER_REFRESHER_THEM,
                                      .refresh_by_update = update};
                roam_peer_config b = {.session_expires = other ? 1800 : 0, .refresh_by_update = update};
                world *w = two_users(NULL, &perfect, &a, &b, true);
                uint32_t id = call(w, 0, "sip:bob@example.com");
                world_run(w, ROAM_SECONDS(601));
                const roam_leg *la = leg_of(w, 0, id), *lb = leg_of(w, 1, 1);
                assert_int_equal(la->state, LEG_CONFIRMED);
                assert_int_equal(la->session.seconds, other ? 90 : 0);
                if (other) {
                    const roam_leg *refresher = me ? la : lb;
                    assert_int_equal(refresher->session.refreshes, 13);
                    assert_int_equal((me ? lb : la)->session.refreshes, 0);
                    assert_int_equal(update ? (me ? lb : la)->updates : (me ? lb : la)->reinvites, 13);
                    assert_true(la->session.ours == (me == 1) && lb->session.ours == (me == 0));
                    /* The refresher is gone. */
                    w->peers[me ? 0 : 1].present = false;
                    roam_time gone = w->now;
                    const roam_leg *left = me ? lb : la;
                    while (left->state == LEG_CONFIRMED && w->now < gone + ROAM_SECONDS(200))
                        world_run(w, ROAM_SECONDS(1));
                    assert_in_range(w->now - gone, ROAM_SECONDS(15), ROAM_SECONDS(61));
                    assert_string_equal(left->end_why, "session expired");
                    w->peers[me ? 0 : 1].present = true;
                    assert_true(world_free(w));
                    continue;
                }
                ends_well(w, id);
            }
        }
    }
}

static void session_interval_too_small(void **state)
{
    /* 422 with Min-SE: the caller asks again with it, and that is what counts. */
    (void)state;
    world *w = two_users(NULL, &perfect, &(roam_peer_config){.session_expires = 90},
                         &(roam_peer_config){.session_expires = 1800, .min_se = 300}, true);
    uint32_t id = call(w, 0, "sip:bob@example.com");
    world_run(w, ROAM_SECONDS(2));
    assert_int_equal(leg_of(w, 0, id)->state, LEG_CONFIRMED);
    assert_int_equal(leg_of(w, 0, id)->session.seconds, 300);
    assert_int_equal(leg_of(w, 1, 2)->session.seconds, 300); /* the first was refused */
    ends_well(w, id);
}

static void transfers(void **state)
{
    /* Alice talks to bob and sends him to carol: blind, or into her own call with carol. Bob calls, tells how it goes,
     * alice's calls end; bob and carol hear each other. A target that refuses is told, and the call goes on. A peer
     * without REFER answers 405. */
    (void)state;
    enum { BLIND, ATTENDED, REFUSED, WITHOUT };
    for (int how = BLIND; how <= WITHOUT; how++) {
        world *w = two_users(NULL, &perfect, NULL, &(roam_peer_config){.no_refer = how == WITHOUT}, true);
        assert_int_equal(testserver_add_user(&w->server, "carol", "secret"), ROAM_OK);
        world_add_peer(w, 2, "carol", "secret",
                       &(roam_peer_config){.answer = how == REFUSED ? PEER_REJECTS : PEER_ANSWERS,
                                           .answer_after = ROAM_MS(300)});
        assert_int_equal(peer_register(&w->peers[2].peer, w->now), ROAM_OK);
        uint32_t id = call(w, 0, "sip:bob@example.com"), consult = 0;
        world_run(w, ROAM_SECONDS(1));
        if (how == ATTENDED) {
            assert_int_equal(peer_hold(&w->peers[0].peer, w->now, id, true, false), ROAM_OK);
            world_run(w, ROAM_SECONDS(1));
            consult = call(w, 0, "sip:carol@example.com");
            world_run(w, ROAM_SECONDS(1));
        }
        assert_int_equal(peer_refer(&w->peers[0].peer, w->now, id, consult ? NULL : "sip:carol@example.com", consult),
                         ROAM_OK);
        assert_int_equal(peer_refer(&w->peers[0].peer, w->now, id, "sip:x@example.com", 0), ROAM_EBUSY);
        world_run(w, ROAM_SECONDS(3));
        const roam_leg *a = leg_of(w, 0, id);
        bool went = how == BLIND || how == ATTENDED;
        assert_int_equal(a->refer_status, went ? 200 : how == REFUSED ? 486 : 405);
        assert_null(a->refer_to);
        assert_int_equal(a->state, went ? LEG_ENDED : LEG_CONFIRMED);
        if (went) {
            assert_string_equal(a->end_why, "transferred");
            assert_true(world_count(&w->peers[0], PEER_REFER_PROGRESS) >= 2);
            const roam_leg *b = leg_of(w, 1, 2), *c = leg_of(w, 2, how == ATTENDED ? 2 : 1);
            assert_int_equal(b->state, LEG_CONFIRMED);
            assert_int_equal(c->state, LEG_CONFIRMED);
            assert_string_equal(b->dialog.call_id, c->dialog.call_id);
            assert_true(b->audio.received > 50 && c->audio.received > 50);
            assert_int_equal(leg_of(w, 1, 1)->state, LEG_ENDED);
            if (consult) {
                assert_int_equal(leg_of(w, 0, consult)->state, LEG_ENDED);
                assert_string_equal(leg_of(w, 2, 1)->end_why, "replaced");
            }
        }
        assert_false(leg_of(w, 1, 1)->referral.busy);
        assert_true(world_free(w));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reliable_provisionals),
        cmocka_unit_test(who_cannot_prack),
        cmocka_unit_test(lost_provisionals),
        cmocka_unit_test(plain_early_media),
        cmocka_unit_test(early_updates),
        cmocka_unit_test(forks_before_the_answer),
        cmocka_unit_test(delayed_offers),
        cmocka_unit_test(replaces_as_caller),
        cmocka_unit_test(messages),
        cmocka_unit_test(overlapping_changes),
        cmocka_unit_test(slow_reinvites),
        cmocka_unit_test(update_behind_bye), cmocka_unit_test(refused_media),
        cmocka_unit_test(session_timers),
        cmocka_unit_test(session_interval_too_small),
        cmocka_unit_test(transfers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
