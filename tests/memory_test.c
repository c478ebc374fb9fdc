/* Memory refused at each moment of an agent's life: registering, a call, hold, a move, hanging up. No crash, no leak; and with memory back the same agent registers and calls. */
#include "scene.h"

#include "testbed/facts.h"
#include "ua/output.h"

typedef struct miser {
    size_t count, refuse_from, refuse_to; /* allocations so far; which are refused: from <= n < to */
    size_t live;
} miser;

static void *stingy(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (size == 0) {
        m->live -= ptr != NULL;
        free(ptr);
        return NULL;
    }
    size_t n = m->count++;
    if (n >= m->refuse_from && n < m->refuse_to)
        return NULL;
    void *fresh = realloc(ptr, size);
    m->live += fresh && !ptr;
    return fresh;
}

/* The whole story; whatever of it is possible. */
static void live_through(scene *s)
{
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    roam_call_id id = 0;
    uint32_t theirs;
    if (roam_account_add(s->agent->ua, &config, &s->account) != 0)
        s->account = 0;
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_options options = {.source = roam_tone_source(440)};
    if (roam_call_make(s->agent->ua, 0, "bob", &options, &id) != 0 && options.source)
        options.source->close(options.source); /* not given away */
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_hold(s->agent->ua, id);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(500));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_resume(s->agent->ua, id);
    roam_call_dtmf(s->agent->ua, id, "1");
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_MS(100));
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_SECONDS(1));
    roam_call_hangup(s->agent->ua, id);
    world_flush(s->agent);
    peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs);
    world_run(&s->world, ROAM_MS(300));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    if (e)
        roam_call_answer(s->agent->ua, e->call, NULL);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
}

/* The callee's side: early media reliably, a move while it rings, the answer, the caller who calls again from elsewhere with Replaces. */
static void be_called(scene *s)
{
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    uint32_t theirs, again;
    if (roam_account_add(s->agent->ua, &config, &s->account) != 0)
        s->account = 0;
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
    world_run(&s->world, ROAM_MS(300));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    roam_call_id id = e ? e->call : 0;
    roam_call_options options = {.source = roam_tone_source(440)};
    if (roam_call_progress(s->agent->ua, id, 183, true, &options) != 0)
        options.source->close(options.source);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(120));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(500));
    roam_call_answer(s->agent->ua, id, NULL);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(70));
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_SECONDS(3));
    const roam_leg *leg = peer_leg(s->callee->peer, theirs);
    if (leg && leg->dialog.call_id && leg->dialog.remote_tag)
        peer_call_replacing(s->callee->peer, s->world.now, "sip:alice@example.com", leg->dialog.call_id, leg->dialog.remote_tag, leg->dialog.local_tag, &again);
    world_run(&s->world, ROAM_SECONDS(2));
}

/* ---- with another agent, which has plenty ---- */

static sim_node *begin_with_carol(scene *s, const roam_account_config *alice, roam_call_id *id, roam_call_id *hers)
{
    static const char *const home[] = {"10.9.0.3", NULL};
    roam_account_config config = scene_account("sip:carol@example.com", "third");
    roam_account_id account;
    sim_node *carol = world_agent(&s->world, "carol", NULL);
    world_set_addrs(carol, home);
    assert_int_equal(roam_account_add(carol->ua, &config, &account), 0);
    world_flush(carol);
    if (roam_account_add(s->agent->ua, alice, &s->account) != 0)
        s->account = 0;
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    *id = *hers = 0;
    roam_call_options options = {.source = roam_tone_source(440)};
    if (roam_call_make(s->agent->ua, 0, "carol", &options, id) != 0)
        options.source->close(options.source);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(500));
    const roam_event *e = world_last(carol, ROAM_EVENT_CALL_INCOMING);
    if (e)
        *hers = e->call;
    roam_call_options hers_too = {.source = roam_tone_source(600)};
    if (roam_call_answer(carol->ua, *hers, &hers_too) != 0)
        hers_too.source->close(hers_too.source);
    world_flush(carol);
    world_run(&s->world, ROAM_MS(500));
    return carol;
}

/* Transfers: carol asks her to call bob, and she does; she moves while carol is to hear of it; then she asks carol to call bob, and to take her place in a call with him; INFO besides. */
static void transfer(scene *s)
{
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    roam_call_id id, hers, other = 0;
    sim_node *carol = begin_with_carol(s, &config, &id, &hers);
    roam_call_transfer(carol->ua, hers, "bob");
    world_flush(carol);
    world_run(&s->world, ROAM_MS(300));
    roam_call_options options = {.source = roam_tone_source(440)};
    if (roam_call_transfer_accept(s->agent->ua, id, &options, &other) != 0)
        options.source->close(options.source);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(150));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    roam_call_send_info(s->agent->ua, id, "text/plain", SPAN("a"));
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    if (roam_call_transfer_to_call(s->agent->ua, id, other) != 0)
        roam_call_transfer(s->agent->ua, id, "bob");
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(300));
    const roam_event *e = world_last(carol, ROAM_EVENT_CALL_TRANSFER_REQUESTED);
    if (e)
        roam_call_transfer_accept(carol->ua, e->call, NULL, NULL);
    world_flush(carol);
    world_run(&s->world, ROAM_SECONDS(2));
}

/* Both ends move at the same time, twice: neither finds the other but by INVITE with Replaces through the proxy; once it is ours that is taken, once theirs. */
static void both_move(scene *s)
{
    static const char *const away[] = {"10.8.0.4", NULL}, *const home[] = {"10.9.0.3", NULL};
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    roam_call_id id, hers;
    sim_node *carol = begin_with_carol(s, &config, &id, &hers);
    for (int round = 0; round < 2; round++) {
        set_addrs(s, round ? scene_wifi : scene_cell);
        world_set_addrs(carol, round ? home : away);
        world_run(&s->world, ROAM_SECONDS(6));
    }
}

static bool lost; /* nothing passes from or to the first network */

static bool black_hole(scene *s, const sim_packet *p)
{
    (void)s;
    roam_ip wifi = sim_ip(WIFI);
    return !lost || (!roam_ip_equal(&p->from.ip, &wifi) && !roam_ip_equal(&p->to.ip, &wifi));
}

/* Session timers at their shortest, keepalives; then the path falls silent, is given up for another one after its probes, and is asked again. */
static void session_and_silence(scene *s)
{
    static const char *const two[] = {WIFI, CELL, NULL};
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    config.session_expires = 90;
    config.keepalive = 10;
    roam_call_id id, hers;
    s->more = black_hole;
    lost = false;
    begin_with_carol(s, &config, &id, &hers);
    world_run(&s->world, ROAM_SECONDS(50));
    set_addrs(s, two);
    world_run(&s->world, ROAM_SECONDS(1));
    lost = true;
    world_run(&s->world, ROAM_SECONDS(8));
    lost = false;
    world_run(&s->world, ROAM_SECONDS(50));
}

static void hang_up_all(scene *s)
{
    roam_call_id ids[8];
    size_t n = roam_call_list(s->agent->ua, ids, 8);
    for (size_t i = 0; i < n && i < 8; i++)
        roam_call_hangup(s->agent->ua, ids[i]);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(70));
    assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
}

/* Plenty of memory again: everything works. */
static void recover(scene *s)
{
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    set_addrs(s, scene_wifi); /* a picture may have been lost */
    world_run(&s->world, ROAM_SECONDS(40)); /* what the peer still tries may ring once more */
    hang_up_all(s);
    if (!s->account) {
        assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
        world_flush(s->agent);
    }
    set_addrs(s, scene_cell);
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(40));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_two_way(s, s->agent, id);
    roam_call_hangup(s->agent->ua, id);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
}

/* One run: allocations number `from` up to `from + n` are refused. Returns how many there were. */
static size_t run_with(size_t from, size_t n, void (*story)(scene *s))
{
    miser m = {0};
    roam_allocator allocator = {stingy, &m};
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.allocator = &allocator;
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100), .rel = PEER_REL_ACCEPTED};
    scene *s = scene_new((scene_options){.no_account = true, .agent = &config, .callee = &callee});
    size_t before = m.count;
    m.refuse_from = before + from;
    m.refuse_to = before + from + n;
    story(s);
    size_t used = m.count - before;
    m.refuse_to = 0;
    recover(s);
    scene_free(s);
    assert_int_equal(m.live, 0);
    return used;
}

/* Slow builds and valgrind look at every so many of the allocations: MEMORY_STRIDE. */
static size_t stride(void)
{
    const char *text = getenv("MEMORY_STRIDE");
    size_t n = text ? strtoul(text, NULL, 10) : 1;
    return n ? n : 1;
}

static void sweep_in(size_t steps, size_t n, void (*story)(scene *s))
{
    size_t used = run_with(SIZE_MAX / 2, 0, story);
    assert_true(used > 50);
    const char *only = getenv("NTH"); /* one run again, to look at */
    size_t step = (used > steps ? used / steps + 1 : 1) * stride();
    for (size_t from = only ? strtoul(only, NULL, 10) : 0; from < used; from += step) {
        if (getenv("SHOW_NTH"))
            printf("# %zu of %zu\n", from, used);
        run_with(from, n, story);
        if (only)
            break;
    }
}

static void sweep(size_t n, void (*story)(scene *s))
{
    sweep_in(500, n, story);
}

/* The Nth allocation is refused, and only that, for every N (every kth where there are more than 500). */
static void test_one_refused(void **state)
{
    (void)state;
    sweep(1, live_through);
}

/* Ten in a row are refused. */
static void test_ten_refused(void **state)
{
    (void)state;
    sweep(10, live_through);
}

/* No memory at all from some moment on, for the rest of the story. */
static void test_all_refused(void **state)
{
    (void)state;
    sweep(SIZE_MAX / 2, live_through);
}

/* The same as callee. */
static void test_callee_one_refused(void **state)
{
    (void)state;
    sweep(1, be_called);
}

static void test_callee_ten_refused(void **state)
{
    (void)state;
    sweep(10, be_called);
}

/* One, and twenty in a row, while calls are transferred. */
static void test_transfer_refused(void **state)
{
    (void)state;
    sweep_in(120, 1, transfer);
    sweep_in(60, 20, transfer);
}

/* ... while both ends move. */
static void test_both_move_refused(void **state)
{
    (void)state;
    sweep_in(100, 1, both_move);
    sweep_in(50, 20, both_move);
}

/* ... while sessions are refreshed, and a path dies without a word. */
static void test_silence_refused(void **state)
{
    (void)state;
    sweep_in(60, 1, session_and_silence);
    sweep_in(30, 20, session_and_silence);
}

/* A call of ours while one allocation, the Nth after the command for every N, is refused: the 407 is answered again, the 200 is read when it comes again, the answer is asked for
 * again. It is up, with sound both ways, or it has ended and says that memory was the reason; then the callee is in no call either. Rings plainly, and reliably (PRACK). */
static void test_placed_with_one_refused(void **state)
{
    (void)state;
    for (int reliable = 0; reliable < 2; reliable++) {
        size_t up = 0, ended = 0, used = 1;
        for (size_t nth = getenv("NTH") ? strtoul(getenv("NTH"), NULL, 10) : 0; nth < used || used == 1; nth += stride()) {
            miser m = {.refuse_from = SIZE_MAX, .refuse_to = SIZE_MAX};
            roam_allocator allocator = {stingy, &m};
            roam_ua_config config;
            roam_ua_config_default(&config);
            config.allocator = &allocator;
            roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100), .rel = reliable ? PEER_REL_USED : PEER_REL_ACCEPTED};
            scene *s = scene_new((scene_options){.agent = &config, .callee = &callee});
            roam_call_id id = call_to(s->agent, s->account, "bob");
            size_t before = m.count;
            m.refuse_from = before + nth;
            m.refuse_to = m.refuse_from + 1;
            world_run(&s->world, ROAM_MS(500));
            used = used == 1 ? m.count - before : used;
            m.refuse_to = 0;
            world_run(&s->world, ROAM_SECONDS(6));
            const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_STATE);
            if (e->call_state == ROAM_CALL_ENDED) {
                if (e->status != ROAM_ENOMEM)
                    print_error("allocation %zu: %d %d %s\n", nth, e->sip_code, e->status, e->reason);
                assert_int_equal(e->status, ROAM_ENOMEM);
                world_run(&s->world, ROAM_SECONDS(35));
                assert_int_equal(peer_calls(s->callee->peer, NULL, 0), 0);
                ended++;
            } else {
                if (getenv("SHOW_NTH"))
                    printf("# %zu of %zu, reliable %d\n", nth, used, reliable);
                assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
                assert_two_way(s, s->agent, id);
                up++;
            }
            scene_free(s);
            assert_int_equal(m.live, 0);
        }
        assert_true(up > 10 / stride() && ended < up / 4 + 1);
    }
}

/* Datagrams find no memory any more: they are lost. The events that follow are told all the same, from what was kept for them. */
static void test_events_outlive_memory(void **state)
{
    (void)state;
    miser m = {.refuse_from = SIZE_MAX, .refuse_to = SIZE_MAX};
    roam_allocator allocator = {stingy, &m};
    roam_mem mem;
    roam_outputs outputs;
    roam_output out;
    roam_addr to = sim_addr("192.0.2.1:5060");
    mem_init(&mem, &allocator);
    outputs_init(&outputs, &mem);
    for (int i = 0; i < 40; i++)
        assert_true(outputs_push_send(&outputs, 1, &to, SPAN("hello")));
    while (outputs_poll(&outputs, &out))
        assert_int_equal(out.type, ROAM_OUTPUT_SEND);
    m.refuse_from = m.count;
    unsigned sent = 0;
    while (outputs_push_send(&outputs, 1, &to, SPAN("hello")))
        sent++;
    assert_in_range(sent, 1, 40);
    for (int i = 0; i < 10; i++)
        assert_true(outputs_push_event(&outputs, &(roam_event){.type = ROAM_EVENT_CALL_STATE, .call = 7}));
    unsigned told = 0;
    while (outputs_poll(&outputs, &out))
        told += out.type == ROAM_OUTPUT_EVENT && out.event.call == 7;
    assert_int_equal(told, 10);
    outputs_free(&outputs);
    assert_int_equal(m.live, 0);
}

/* roam_ua_new with the Nth allocation refused: NULL, and nothing leaked; an agent with all of them. */
static void test_new(void **state)
{
    (void)state;
    roam_ua *ua = NULL;
    for (size_t n = 0; !ua; n++) {
        miser m = {.refuse_from = n, .refuse_to = n + 1};
        roam_allocator allocator = {stingy, &m};
        roam_ua_config config;
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        config.codecs = "PCMA";
        ua = roam_ua_new(&config);
        if (!ua)
            assert_int_equal(m.live, 0);
        assert_true(n < 40);
        if (ua) {
            assert_true(n > 3);
            roam_ua_free(ua);
            assert_int_equal(m.live, 0);
        }
    }
}

/* Each allocation in turn is refused while the answer to our INVITE is taken. Where the call is up, it has its sound a few seconds later. */
static void test_answer_without_memory(void **state)
{
    (void)state;
    size_t end = 1, up = 0;
    for (size_t at = 0; at < end; at++) {
        miser m = {.refuse_from = SIZE_MAX, .refuse_to = SIZE_MAX};
        roam_allocator allocator = {stingy, &m};
        roam_ua_config config;
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(500)};
        scene *s = scene_new((scene_options){.agent = &config, .callee = &callee});
        roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
        world_run(&s->world, ROAM_MS(600));
        assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_EARLY);
        const size_t before = m.count;
        if (at) { /* the first run counts them */
            m.refuse_from = before + at - 1;
            m.refuse_to = before + at;
        }
        while (s->world.now < ROAM_SECONDS(1003) && call_of(s->agent, id).state == ROAM_CALL_EARLY)
            world_run(&s->world, ROAM_MS(5));
        end = at == 0 ? m.count - before + 1 : end;
        m.refuse_from = m.refuse_to = SIZE_MAX;
        world_run(&s->world, ROAM_SECONDS(3));
        if (call_of(s->agent, id).state == ROAM_CALL_CONFIRMED) {
            up++;
            assert_two_way(s, s->agent, id);
        }
        scene_free(s);
        assert_int_equal(m.live, 0);
    }
    assert_true(end > 10 && up > end / 2);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_new), cmocka_unit_test(test_one_refused), cmocka_unit_test(test_ten_refused), cmocka_unit_test(test_all_refused),
                                       cmocka_unit_test(test_callee_one_refused), cmocka_unit_test(test_callee_ten_refused),
                                       cmocka_unit_test(test_transfer_refused), cmocka_unit_test(test_both_move_refused), cmocka_unit_test(test_silence_refused),
                                       cmocka_unit_test(test_answer_without_memory),
                                       cmocka_unit_test(test_placed_with_one_refused), cmocka_unit_test(test_events_outlive_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
