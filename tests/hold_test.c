/* Hold and resume where the network, the peer or the memory gets in the way: what the user wants is what the peer knows in the end. */
#include "refresh.h"

#define RECVONLY HAND_SDP "a=recvonly\r\n"

static void want(scene *s, roam_call_id id, bool hold)
{
    assert_int_equal(hold ? roam_call_hold(s->agent->ua, id) : roam_call_resume(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
}

/* The last offer names this address and says this direction. */
static void assert_offers(const hand *h, const char *ip, const char *direction)
{
    char c[64], a[32];
    snprintf(c, sizeof c, "\r\nc=IN IP4 %s\r\n", ip);
    snprintf(a, sizeof a, "\r\na=%s\r\n", direction);
    assert_non_null(strstr(hand_asked(h, "INVITE")->text, c));
    assert_non_null(strstr(hand_asked(h, "INVITE")->text, a));
}

/* Each offer that names another address for the media than the first one is refused with 488. Returns how many were answered. */
static size_t answer_all(hand *h, scene *s, const char *old_media, const char *sdp)
{
    size_t n = 0;
    const seen *last = NULL;
    while (hand_asked(h, "INVITE") != last && n < 5) {
        last = hand_asked(h, "INVITE");
        bool same = strstr(last->text, old_media) != NULL;
        hand_answer(h, last, same ? 200 : 488, same ? ALLOW : "", same ? sdp : "");
        world_run(&s->world, ROAM_MS(200));
        n++;
    }
    return n;
}

/* After a move the peer refuses every new address for the media. Hold gets through all the same, in an offer that names the old one, and resume as well. Wished for while the move is under way it follows the
 * target. Without UPDATE, too. */
static void test_refused_media(void **state)
{
    (void)state;
    for (int variant = 0; variant < 3; variant++) {
        scene *s = hand_scene();
        hand h;
        const bool during = variant == 1;
        roam_call_id id = called_with(&h, s, variant == 2 ? ALLOW_NO_UPDATE : ALLOW);
        char old_media[16], line[80];
        hand_copy(hand_asked(&h, "INVITE")->text, "\r\nm=audio ", " ", old_media, sizeof old_media);
        snprintf(line, sizeof line, "c=IN IP4 " WIFI "\r\nt=0 0\r\nm=audio %s ", old_media);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(100));
        if (during)
            want(s, id, true);
        assert_offers(&h, CELL, "sendrecv");
        hand_answer(&h, hand_asked(&h, "INVITE"), 488, "", "");
        world_run(&s->world, ROAM_MS(200));
        assert_offers(&h, CELL, during ? "sendonly" : "sendrecv");
        hand_answer(&h, hand_asked(&h, "INVITE"), 488, "", "");
        world_run(&s->world, ROAM_MS(200));
        if (variant != 2) {
            assert_false(has_sdp(hand_asked(&h, "UPDATE")));
            hand_answer(&h, hand_asked(&h, "UPDATE"), 200, ALLOW, "");
            world_run(&s->world, ROAM_MS(200));
        }
        if (!during) {
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id));
            want(s, id, true);
            assert_offers(&h, CELL, "sendonly");
        }
        assert_int_equal(answer_all(&h, s, line, RECVONLY), during ? 1 : 3);
        assert_offers(&h, WIFI, "sendonly");
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, id));
        want(s, id, false);
        assert_offers(&h, CELL, "sendrecv");
        answer_all(&h, s, line, HAND_SDP);
        assert_offers(&h, WIFI, "sendrecv");
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
        size_t n = hand_count(&h, "INVITE");
        world_run(&s->world, ROAM_SECONDS(10));
        assert_int_equal(hand_count(&h, "INVITE"), n); /* and then it is quiet */
        want(s, id, true); /* one that refuses this, too, does not want to be held */
        for (int i = 0; i < 3; i++) {
            hand_answer(&h, hand_asked(&h, "INVITE"), 488, "", "");
            world_run(&s->world, ROAM_MS(200));
        }
        assert_int_equal(hand_count(&h, "INVITE"), n + 3);
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        assert_int_equal(roam_call_resume(s->agent->ua, id), ROAM_ESTATE);
        scene_free(s);
    }
}

/* The answer to our hold is lost, and the user resumes before it comes again. The peer, which thinks it is held, moves: its offer says only what our hold left. Our answer to that cannot tell that we do not hold,
 * so an offer of ours follows. Had the peer offered everything, the answer would do. */
static void test_resumed_before_the_answer(void **state)
{
    (void)state;
    for (int whole = 0; whole < 2; whole++) {
        scene *s = hand_scene();
        hand h;
        hand_tag = GREAT;
        roam_call_id id = called_with(&h, s, ALLOW);
        hand_tag = 0;
        want(s, id, true);
        want(s, id, false);
        assert_offers(&h, WIFI, "sendonly");
        size_t n = hand_count(&h, "INVITE");
        h.contact = "sip:moved@" HAND ":5060";
        unsigned cseq = hand_request(&h, "INVITE", 0, ALLOW, whole ? HAND_SDP : RECVONLY);
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(hand_status(&h, cseq, "INVITE"), 200);
        hand_request(&h, "ACK", cseq, "", "");
        world_run(&s->world, ROAM_MS(100));
        assert_int_equal(hand_count(&h, "INVITE"), n + !whole);
        if (!whole) {
            assert_offers(&h, WIFI, "sendrecv");
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, HAND_SDP);
            world_run(&s->world, ROAM_MS(100));
        }
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_NONE);
        n = hand_count(&h, "INVITE");
        world_run(&s->world, ROAM_SECONDS(5));
        assert_int_equal(hand_count(&h, "INVITE"), n);
        scene_free(s);
    }
}

static size_t registers(const scene *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->nlog; i++)
        n += scene_is_request(s->log[i].text, strlen(s->log[i].text), "REGISTER") && !scene_is_repeat(s, i);
    return n;
}

/* An edge says 403 to our hold although nothing of ours moved: a NAT may have, and its news is on its way; or the edge has started anew, so we register once more. It is asked again, three times; then the peer
 * does not want it. */
static void test_edge_without_a_move(void **state)
{
    (void)state;
    for (int never = 0; never < 2; never++) {
        scene *s = hand_scene();
        hand h;
        roam_call_id id = called_with(&h, s, ALLOW);
        want(s, id, true);
        size_t n = hand_count(&h, "INVITE"), registered = registers(s);
        for (int i = 0; i < (never ? 4 : 2); i++) {
            hand_answer(&h, hand_asked(&h, "INVITE"), 403, "", "");
            world_run(&s->world, ROAM_MS(60));
            assert_int_equal(hand_count(&h, "INVITE"), n + (size_t)i);
            world_run(&s->world, ROAM_SECONDS(3));
            assert_int_equal(hand_count(&h, "INVITE"), n + (i < 3 ? (size_t)i + 1 : 3));
            assert_int_equal(registers(s), registered + 1);
        }
        if (!never)
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, RECVONLY);
        world_run(&s->world, ROAM_MS(60));
        assert_int_equal(call_of(s->agent, id).hold, never ? ROAM_HOLD_NONE : ROAM_HOLD_LOCAL);
        if (never) /* given up, and the user's to wish again */
            assert_int_equal(roam_call_resume(s->agent->ua, id), ROAM_ESTATE);
        scene_free(s);
    }
}

/* ---- memory ---- */

typedef struct miser {
    size_t count, refuse_at; /* allocations so far; which one is refused */
} miser;

static void *stingy(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return m->count++ == m->refuse_at ? NULL : realloc(ptr, size);
}

/* A scene whose agent has this allocator. */
static scene *stingy_scene(miser *m)
{
    *m = (miser){.refuse_at = SIZE_MAX};
    roam_allocator allocator = {stingy, m};
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.allocator = &allocator;
    roam_account_config account = hand_account();
    return scene_new((scene_options){.agent = &config, .account = &account});
}

/* The answer to our hold cannot be read, for want of memory, at each of its allocations: the peer has agreed to it, so it is offered again until we know. */
static void test_answer_without_memory(void **state)
{
    (void)state;
    size_t refused = 0;
    bool reached = true;
    for (size_t nth = 0; reached; nth++) {
        miser m;
        hand h;
        scene *s = stingy_scene(&m);
        roam_call_id id = called_with(&h, s, ALLOW);
        want(s, id, true);
        size_t before = m.count;
        m.refuse_at = before + nth;
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, RECVONLY);
        world_run(&s->world, ROAM_MS(60));
        reached = m.count - before > nth;
        m.refuse_at = SIZE_MAX;
        for (int i = 0; i < 4 && call_of(s->agent, id).hold != ROAM_HOLD_LOCAL; i++) {
            refused++;
            world_run(&s->world, ROAM_SECONDS(1));
            hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, RECVONLY);
            world_run(&s->world, ROAM_MS(60));
        }
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        scene_free(s);
    }
    assert_true(refused > 0);
}

/* The challenge of our hold cannot be kept for want of memory: no reason to give the hold up. */
static void test_challenge_without_memory(void **state)
{
    (void)state;
    size_t later = 0;
    bool reached = true;
    for (size_t nth = 0; reached; nth++) {
        miser m;
        hand h;
        scene *s = stingy_scene(&m);
        roam_call_id id = called_with(&h, s, ALLOW);
        want(s, id, true);
        size_t n = hand_count(&h, "INVITE"), before = m.count;
        m.refuse_at = before + nth;
        hand_answer(&h, hand_asked(&h, "INVITE"), 401, "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", algorithm=MD5\r\n", "");
        world_run(&s->world, ROAM_MS(60));
        reached = m.count - before > nth;
        m.refuse_at = SIZE_MAX;
        later += hand_count(&h, "INVITE") == n;
        world_run(&s->world, ROAM_SECONDS(1));
        for (int i = 0; i < 3 && !strstr(hand_asked(&h, "INVITE")->text, "nonce=\"n"); i++) { /* the challenge is lost, not the wish */
            hand_answer(&h, hand_asked(&h, "INVITE"), 401, "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n2\", algorithm=MD5\r\n", "");
            world_run(&s->world, ROAM_SECONDS(1));
        }
        assert_non_null(strstr(hand_asked(&h, "INVITE")->text, "nonce=\"n"));
        hand_answer(&h, hand_asked(&h, "INVITE"), 200, ALLOW, RECVONLY);
        world_run(&s->world, ROAM_MS(60));
        assert_int_equal(call_of(s->agent, id).hold, ROAM_HOLD_LOCAL);
        scene_free(s);
    }
    assert_true(later > 0);
}

/* The peer holds, and at each allocation in turn our answer fails: it hears 200 and is on hold for us, or hears no 200, and all stays as it was. By re-INVITE and by UPDATE. */
static void test_held_without_memory(void **state)
{
    (void)state;
    for (int update = 0; update < 2; update++) {
        size_t failed = 0;
        bool reached = true;
        const char *method = update ? "UPDATE" : "INVITE";
        for (size_t nth = 0; reached; nth++) {
            miser m;
            hand h;
            scene *s = stingy_scene(&m);
            roam_call_id id = called_with(&h, s, ALLOW);
            size_t before = m.count;
            m.refuse_at = before + nth;
            unsigned cseq = hand_request(&h, method, 0, "", HAND_SDP "a=sendonly\r\n");
            world_run(&s->world, ROAM_MS(60));
            reached = m.count - before > nth;
            m.refuse_at = SIZE_MAX;
            bool accepted = hand_status(&h, cseq, method) == 200;
            failed += !accepted;
            if (hand_status(&h, cseq, method) == 500) /* and the peer may try again */
                assert_non_null(strstr(hand_response(&h, cseq, method)->text, "Retry-After"));
            assert_int_equal(call_of(s->agent, id).hold, accepted ? ROAM_HOLD_REMOTE : ROAM_HOLD_NONE);
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
            scene_free(s);
        }
        assert_true(failed > 0);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_media),
        cmocka_unit_test(test_resumed_before_the_answer),
        cmocka_unit_test(test_edge_without_a_move),
        cmocka_unit_test(test_answer_without_memory),
        cmocka_unit_test(test_challenge_without_memory),
        cmocka_unit_test(test_held_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
