/* Media after a change of leg: what counts as restored, and what is done where it does not flow although the signalling says so. */
#include "scene.h"

#include "media/rtcp.h"
#include "media/rtp.h"

#define THIRD "10.3.0.9"

static struct {
    const char *no_rtp_to; /* none arrives at this address of the agent */
    const char *hole;      /* nothing passes from or to this one */
    roam_time slow;        /* so much longer its RTP takes than its SIP */
    uint16_t sequence;     /* of the last RTP packet that the agent sent */
    uint32_t ssrc;
    roam_addr media;       /* where it came from */
} weather;

static bool in_the_weather(scene *s, const sim_packet *p)
{
    roam_ip ip = weather.no_rtp_to ? sim_ip(weather.no_rtp_to) : (roam_ip){0};
    if (weather.no_rtp_to && !scene_is_sip(p) && roam_ip_equal(&p->to.ip, &ip))
        return false;
    const bool rtp = p->sender && p->sender->type == SIM_AGENT && !scene_is_sip(p) && !(p->from.port & 1);
    s->world.delay = RTT / 2 + (rtp && weather.slow ? weather.slow : 0);
    if (rtp) {
        weather.sequence = (uint16_t)((uint8_t)p->bytes[2] << 8 | (uint8_t)p->bytes[3]);
        weather.ssrc = load_be32(p->bytes + 8);
        weather.media = p->from;
    }
    ip = weather.hole ? sim_ip(weather.hole) : (roam_ip){0};
    return !weather.hole || (!roam_ip_equal(&p->from.ip, &ip) && !roam_ip_equal(&p->to.ip, &ip));
}

static scene *begin(roam_audio_policy policy, roam_audio_play play, roam_call_id *id)
{
    memset(&weather, 0, sizeof weather);
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100), .audio = {.policy = policy, .play = play}};
    scene *s = scene_new((scene_options){.callee = &callee});
    s->more = in_the_weather;
    *id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(call_of(s->agent, *id).state, ROAM_CALL_CONFIRMED);
    return s;
}

static roam_audio *audio_of(scene *s)
{
    roam_leg *last = NULL;
    list_each(leg, &s->callee->peer->legs, roam_leg, node)
        last = leg;
    assert_non_null(last);
    return &last->audio;
}

static const roam_event *progress_since(const scene *s, roam_ip_change_op op, roam_call_id call, roam_time since)
{
    for (size_t i = 0; i < s->agent->heard.n; i++) {
        const roam_event *e = &s->agent->heard.events[i];
        if (e->type == ROAM_EVENT_IP_CHANGE_PROGRESS && e->op == op && e->call == call && e->time >= since)
            return e;
    }
    return NULL;
}

/* Both ends take packets of each other. */
static void assert_both_hear(scene *s, roam_call_id id)
{
    const uint64_t before = call_of(s->agent, id).media.packets_received, theirs = audio_of(s)->received;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_in_range(call_of(s->agent, id).media.packets_received - before, 45, 55);
    assert_in_range(audio_of(s)->received - theirs, 45, 55);
}

/* The path was silent for a while and is alive again, with nothing changed. Recovered is told after a refresh was answered, not before; and when the peer has hung up
 * meanwhile, its 481 ends the call. */
static void test_silence_then_refresh(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        roam_call_id id;
        scene *s = begin(AUDIO_STRICT, AUDIO_TONE, &id);
        weather.hole = WIFI;
        world_run(&s->world, ROAM_SECONDS(6));
        assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
        if (gone)
            assert_int_equal(peer_hangup(s->callee->peer, s->world.now, 1), 0);
        world_run(&s->world, ROAM_SECONDS(1));
        weather.hole = NULL;
        roam_time t0 = s->world.now;
        world_run(&s->world, ROAM_SECONDS(20));
        if (gone) {
            assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_ENDED);
            assert_null(progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0));
        } else {
            const seen *refresh = last_from(s, WIFI, "INVITE");
            const roam_event *e = progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0);
            assert_non_null(e);
            assert_true(refresh->time >= t0 && e->time >= refresh->time + RTT);
            assert_true(e->report.answered != ROAM_NEVER && e->report.uplink != ROAM_NEVER && e->report.downlink != ROAM_NEVER);
            assert_both_hear(s, id);
        }
        scene_free(s);
    }
}

/* A second change while the first is under way. Packets that still come on the leg of the first are no downlink of the second: nothing arrives on its address, and
 * recovered is not told. */
static void test_packets_of_the_change_before(void **state)
{
    (void)state;
    static const char *const two[] = {THIRD, CELL, NULL};
    roam_call_id id;
    scene *s = begin(AUDIO_STRICT, AUDIO_TONE, &id);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(90)); /* the peer has answered, and sends to the new address; its answer has not come */
    weather.no_rtp_to = THIRD;
    roam_time t0 = s->world.now;
    set_addrs(s, two);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_non_null(progress_since(s, ROAM_IP_CHANGE_DETECTED, id, t0));
    assert_null(progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0));
    assert_null(progress_since(s, ROAM_IP_CHANGE_DOWNLINK_RESTORED, id, t0));
    weather.no_rtp_to = NULL;
    t0 = s->world.now;
    world_run(&s->world, ROAM_SECONDS(2));
    assert_non_null(progress_since(s, ROAM_IP_CHANGE_DOWNLINK_RESTORED, id, t0));
    assert_non_null(progress_since(s, ROAM_IP_CHANGE_RECOVERED, id, t0));
    scene_free(s);
}

/* A relay believes the first source after the signalling, and RTP is slower than SIP: it gets a packet of the old leg first. Then it hears nobody else, and sends to the old leg: alive (the
 * application asked for new media), or gone a moment later. Two seconds later both ends hear each other, with one refresh more. */
static void test_latched_to_the_old_leg(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    for (int gone = 0; gone < 2; gone++) {
        roam_call_id id;
        scene *s = begin(AUDIO_LATCH, AUDIO_TONE, &id);
        weather.slow = ROAM_MS(70);
        world_run(&s->world, ROAM_SECONDS(1));
        roam_time t0 = s->world.now;
        if (gone) {
            set_addrs(s, both);
            world_run(&s->world, ROAM_MS(20));
            set_addrs(s, scene_cell);
        } else {
            assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
            world_flush(s->agent);
        }
        world_run(&s->world, gone ? ROAM_MS(2200) : ROAM_MS(1500));
        assert_both_hear(s, id);
        assert_int_equal(sent_from(s, gone ? CELL : WIFI, "INVITE sip:bob", t0), 2);
        scene_free(s);
    }
}

/* While packets leave by both legs, the new one's are the first: a relay that looks at the first sees the right one. */
static void test_new_leg_first(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL};
    roam_call_id id;
    scene *s = begin(AUDIO_STRICT, AUDIO_TONE, &id);
    audio_of(s)->nlog = 0;
    set_addrs(s, both);
    world_run(&s->world, ROAM_MS(500));
    const roam_audio *audio = audio_of(s);
    roam_ip cell = sim_ip(CELL);
    size_t twice = 0;
    for (size_t i = 0; i + 1 < audio->nlog; i++)
        if (audio->log[i].sequence == audio->log[i + 1].sequence) {
            twice++;
            assert_true(roam_ip_equal(&audio->log[i].from.ip, &cell));
        }
    assert_in_range(twice, 3, 8);
    scene_free(s);
}

/* The peer falls silent in the instant of a change and has nothing to say for a minute: it is asked a few times, and then left in peace. */
static void test_mute_peer_left_alone(void **state)
{
    (void)state;
    roam_call_id id;
    scene *s = begin(AUDIO_STRICT, AUDIO_TONE, &id);
    roam_time t0 = s->world.now;
    audio_of(s)->config.play = AUDIO_SILENT;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(50));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_in_range(sent_from(s, CELL, "INVITE sip:bob", t0), 2, 4);
    audio_of(s)->config.play = AUDIO_TONE;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_both_hear(s, id);
    scene_free(s);
}

static void report(scene *s, uint16_t sequence)
{
    char text[RTCP_MAX_PACKET];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    roam_rtcp_block block = {.ssrc = weather.ssrc, .extended_sequence = sequence};
    write_rtcp(&w, &(roam_rtcp_report){.ssrc = 77, .block = &block, .cname = SPAN("bob")});
    roam_addr from = audio_of(s)->to, to = weather.media;
    from = (roam_addr){.ip = sim_ip(CALLEE), .port = 40001};
    to.port++;
    world_inject(&s->world, &from, &to, writer_span(&w));
}

/* A peer that never says a word hears nothing after a move: only its receiver reports can tell. One more refresh, with another port. A report that knows of what the new leg sent is no reason. */
static void test_receiver_reports(void **state)
{
    (void)state;
    for (int hears = 0; hears < 2; hears++) {
        roam_call_id id;
        scene *s = begin(AUDIO_STRICT, AUDIO_SILENT, &id);
        const uint16_t before = weather.sequence;
        roam_time t0 = s->world.now;
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_MS(3500));
        assert_int_equal(sent_from(s, CELL, "INVITE sip:bob", t0), 1);
        const uint16_t port = weather.media.port;
        report(s, hears ? weather.sequence : before);
        world_run(&s->world, ROAM_SECONDS(20));
        assert_int_equal(sent_from(s, CELL, "INVITE sip:bob", t0), hears ? 1 : 2);
        assert_int_equal(weather.media.port != port, !hears);
        scene_free(s);
    }
}

/* The peer refuses another leg: the call goes on with the one it knows. */
static void test_refused(void **state)
{
    (void)state;
    roam_call_id id;
    scene *s = begin(AUDIO_STRICT, AUDIO_TONE, &id);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(300));
    const uint16_t port = weather.media.port;
    audio_of(s)->config.play = AUDIO_SILENT;
    static const scripted no[] = {{603, NULL}};
    SCRIPT(s, "INVITE", no);
    world_run(&s->world, ROAM_SECONDS(30));
    s->script_method = NULL;
    audio_of(s)->config.play = AUDIO_TONE;
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(weather.media.port, port);
    assert_both_hear(s, id);
    scene_free(s);
}

/* A NAT binds anew, and something else shows it before the RTP has been silent for long: the call is refreshed on the leg it has, which tells a relay that has latched nothing. When nothing comes
 * then, another leg does. */
static void test_rebinding_noticed_at_once(void **state)
{
    (void)state;
    static const uint8_t seed[32] = "mend test";
    roam_nat_config config = {.external = sim_ip("203.0.113.77")};
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100), .audio = {.policy = AUDIO_LATCH}};
    roam_mem mem;
    roam_nat nat;
    memset(&weather, 0, sizeof weather);
    mem_init(&mem, NULL);
    assert_int_equal(nat_init(&nat, &mem, seed, &config), 0);
    scene *s = scene_new((scene_options){.callee = &callee, .nat = &nat});
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_both_hear(s, id);
    nat_rebind(&nat, NULL);
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_both_hear(s, id);
    scene_free(s);
    nat_free(&nat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_then_refresh),  cmocka_unit_test(test_packets_of_the_change_before),
        cmocka_unit_test(test_latched_to_the_old_leg), cmocka_unit_test(test_new_leg_first),
        cmocka_unit_test(test_mute_peer_left_alone),  cmocka_unit_test(test_receiver_reports),
        cmocka_unit_test(test_refused),               cmocka_unit_test(test_rebinding_noticed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
