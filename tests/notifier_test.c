/* Subscriptions in a world: a notifier that does as it should, and a network that changes. */
#include "hand.h"

static roam_subscription_info info_of(scene *s, roam_subscription_id id)
{
    roam_subscription_info info = {.state = ROAM_SUBSCRIPTION_ENDED};
    roam_subscription_get_info(s->agent->ua, id, &info);
    return info;
}

static const char *last_line(const seen *e, const char *name, char *space, size_t cap)
{
    assert_non_null(e);
    hand_copy(e->text, name, "\r", space, cap);
    return space;
}

static roam_notifier *notifier_of(scene *s)
{
    return &s->server->server->notifier;
}

static roam_subscription_id watch(scene *s, const char *event, uint32_t expires)
{
    roam_subscription_id id = 0;
    roam_subscription_config config = {.event = event, .expires = expires};
    assert_int_equal(roam_subscribe(s->agent->ua, &config, &id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    return id;
}

static unsigned voice_new(scene *s)
{
    roam_mwi mwi = {0};
    const roam_event *e = world_last(s->agent, ROAM_EVENT_NOTIFY);
    assert_non_null(e);
    assert_true(roam_mwi_parse(e->body, &mwi));
    return mwi.voice_new;
}

/* Both packages with digest: the first NOTIFY at once, others at changes; `reg` tells of our own bindings and of another device's. */
static void test_world_life(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_subscription_id mwi = watch(s, "message-summary", 0), reg = watch(s, "reg", 0);
    assert_int_equal(info_of(s, mwi).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_int_equal(info_of(s, reg).state, ROAM_SUBSCRIPTION_ACTIVE);
    const roam_event *e = world_last(s->agent, ROAM_EVENT_NOTIFY);
    assert_int_equal(e->subscription, reg);
    assert_true(span_eq(e->content_type, SPAN("application/reginfo+xml")));
    assert_non_null(memmem(e->body.ptr, e->body.len, WIFI, strlen(WIFI)));
    assert_int_equal(notifier_set_messages(notifier_of(s), SPAN("alice"), 3, 1), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(voice_new(s), 3);
    size_t before = world_count(s->agent, ROAM_EVENT_NOTIFY);
    assert_int_equal(notifier_set_messages(notifier_of(s), SPAN("bob"), 9, 9), 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_NOTIFY), before);
    sim_node *tablet = world_agent(&s->world, "tablet", NULL);
    static const char *const home[] = {"10.9.0.2", NULL};
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    world_set_addrs(tablet, home);
    assert_int_equal(roam_account_add(tablet->ua, &account, NULL), 0);
    world_flush(tablet);
    world_run(&s->world, ROAM_SECONDS(2));
    e = world_last(s->agent, ROAM_EVENT_NOTIFY);
    assert_int_equal(e->subscription, reg);
    assert_non_null(memmem(e->body.ptr, e->body.len, "10.9.0.2", 8));
    roam_ua_shutdown(s->agent->ua);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(world_count(s->agent, ROAM_EVENT_SHUTDOWN_DONE), 1); /* long before its 4 s are over */
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 0);
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_REG), 0);
    scene_free(s);
}

/* A lease of 120 s for two hours: renewed each time, one subscription at the notifier, no NOTIFY refused. */
static void test_world_renewed(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_subscription_id id = watch(s, "message-summary", 120);
    world_run(&s->world, ROAM_SECONDS(7200));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 1);
    assert_int_equal(notifier_of(s)->counters.accepted, 1);
    assert_in_range(notifier_of(s)->counters.refreshed, 85, 95);
    assert_int_equal(notifier_of(s)->counters.failed, 0);
    scene_free(s);
}

/* Moves of each kind: the network goes and another comes; another comes first; two within a round trip; there and back. Each time one subscription is left at the notifier, NOTIFYs find us, the change is
 * told as completed and nothing leaves from a dead address. */
static void test_world_moves(void **state)
{
    (void)state;
    static const char *const both[] = {CELL, WIFI, NULL}, *const third[] = {"10.3.0.9", NULL};
    for (int kind = 0; kind < 4; kind++)
        for (int later = 0; later < 3; later++) { /* the second change: after 20 ms, in the middle of the first; after 120; when all is done */
            scene *s = scene_new((scene_options){0});
            roam_time gap = later == 0 ? ROAM_MS(20) : later == 1 ? ROAM_MS(120) : ROAM_SECONDS(3);
            roam_subscription_id id = watch(s, "message-summary", 600);
            world_forget(s->agent);
            set_addrs(s, kind == 1 ? both : scene_cell);
            world_run(&s->world, gap);
            if (kind == 1)
                set_addrs(s, scene_cell);
            else if (kind == 2)
                set_addrs(s, third);
            else if (kind == 3)
                set_addrs(s, scene_wifi);
            world_run(&s->world, ROAM_SECONDS(3));
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
            assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
            assert_int_equal(notifier_set_messages(notifier_of(s), SPAN("alice"), 7, 0), 0);
            world_run(&s->world, ROAM_MS(200));
            assert_int_equal(voice_new(s), 7);
            assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 1);
            world_run(&s->world, ROAM_SECONDS(60));
            assert_int_equal(notifier_of(s)->counters.failed, 0);
            assert_int_equal(notifier_of(s)->counters.accepted, 1);
            scene_free(s);
        }
}

/* Away for less and for more than the lease, unnoticed by the notifier and noticed: in the end one subscription and the present state. */
static void test_world_offline(void **state)
{
    (void)state;
    static const unsigned away[] = {30, 200, 700};
    for (size_t i = 0; i < 3; i++)
        for (int noticed = 0; noticed < 2; noticed++) {
            scene *s = scene_new((scene_options){0});
            roam_subscription_id id = watch(s, "message-summary", 600);
            set_addrs(s, scene_none);
            world_run(&s->world, ROAM_SECONDS(2));
            if (noticed)
                notifier_set_messages(notifier_of(s), SPAN("alice"), 4, 0);
            world_run(&s->world, ROAM_SECONDS(away[i]));
            if (!noticed)
                notifier_set_messages(notifier_of(s), SPAN("alice"), 4, 0);
            set_addrs(s, scene_cell);
            world_run(&s->world, ROAM_SECONDS(5));
            assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
            assert_int_equal(voice_new(s), 4);
            world_run(&s->world, ROAM_SECONDS(60));
            assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 1);
            assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
            scene_free(s);
        }
}

/* The notifier restarts: the next refresh is told 481, and there is a subscription again. It says "deactivated": so at once. */
static void test_world_restart(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_subscription_id id = watch(s, "message-summary", 600);
    assert_int_equal(testserver_restart(s->server->server, s->world.now), 0);
    world_run(&s->world, ROAM_SECONDS(560));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 1);
    notifier_end(notifier_of(s), SPAN("alice"), "deactivated", 0);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 1);
    notifier_end(notifier_of(s), SPAN("alice"), "rejected", 0);
    world_run(&s->world, ROAM_SECONDS(600));
    assert_int_equal(notifier_count(notifier_of(s), SPAN("alice"), PACKAGE_MWI), 0);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    scene_free(s);
}

/* Behind a NAT: the Contact that the notifier has is the mapped address, as soon as the registrar has shown it; also on the next network. */
static void test_world_nat(void **state)
{
    (void)state;
    roam_nat nat;
    roam_mem mem;
    uint8_t seed[32] = {1};
    char line[256];
    mem_init(&mem, NULL);
    roam_nat_config config = {.external = sim_ip("192.0.2.77"), .mapping = NAT_ENDPOINT_INDEPENDENT, .filtering = NAT_ENDPOINT_INDEPENDENT};
    assert_int_equal(nat_init(&nat, &mem, seed, &config), 0);
    scene *s = scene_new((scene_options){.nat = &nat});
    roam_subscription_id id = watch(s, "message-summary", 600);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_non_null(strstr(last_line(last_from(s, "192.0.2.77", "SUBSCRIBE"), "\r\nContact: ", line, sizeof line), "192.0.2.77"));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(3));
    assert_non_null(strstr(last_line(last_from(s, "192.0.2.77", "SUBSCRIBE"), "\r\nContact: ", line, sizeof line), "192.0.2.77"));
    notifier_set_messages(notifier_of(s), SPAN("alice"), 5, 0);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(voice_new(s), 5);
    scene_free(s);
    nat_free(&nat);
}

/* 300 accounts with a subscription each move at 100 requests a second: never more than that and the burst of 20, REGISTER before SUBSCRIBE, and all of them arrive. */
static void test_world_paced(void **state)
{
    (void)state;
    static char names[300][16];
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.register_rate = 100;
    config.register_burst = 20;
    scene *s = scene_new((scene_options){.agent = &config, .no_account = true});
    for (int i = 0; i < 300; i++) {
        char aor[64];
        snprintf(names[i], sizeof names[i], "user%d", i);
        snprintf(aor, sizeof aor, "sip:%s@example.com", names[i]);
        assert_int_equal(testserver_add_user(s->server->server, names[i], "pw"), 0);
        roam_account_config account = scene_account(aor, "pw");
        roam_account_id id;
        assert_int_equal(roam_account_add(s->agent->ua, &account, &id), 0);
        roam_subscription_config sub = {.account = id, .event = "message-summary"};
        assert_int_equal(roam_subscribe(s->agent->ua, &sub, NULL), 0);
        world_flush(s->agent);
    }
    world_run(&s->world, ROAM_SECONDS(60));
    for (int i = 0; i < 300; i++)
        assert_int_equal(notifier_count(notifier_of(s), span_of(names[i]), PACKAGE_MWI), 1);
    s->nlog = 0;
    roam_time t0 = s->world.now;
    set_addrs(s, scene_cell);
    assert_int_equal(sent_from(s, CELL, "REGISTER", t0), 20);
    assert_int_equal(sent_from(s, CELL, "SUBSCRIBE", t0), 0);
    world_run(&s->world, ROAM_SECONDS(2));
    size_t sent = sent_from(s, CELL, "REGISTER", t0) + sent_from(s, CELL, "SUBSCRIBE", t0);
    assert_in_range(sent, 190, 222);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    assert_int_equal(notifier_of(s)->counters.refreshed, 300);
    scene_free(s);
}

typedef struct scarce {
    size_t n, refuse_at;
} scarce;

static void *scarce_realloc(void *user, void *ptr, size_t size)
{
    scarce *m = user;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    if (m->refuse_at && m->n++ % m->refuse_at == m->refuse_at - 1)
        return NULL;
    return realloc(ptr, size);
}

/* Memory is refused, every second time to every 62nd, while it subscribes, sends messages, moves and is told: nothing crashes or leaks, and when there is memory
 * again the subscription that was taken is in force. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t every = 2; every < 64; every += 3) {
        scarce m = {0};
        const roam_allocator allocator = {.realloc = scarce_realloc, .user = &m};
        roam_ua_config config;
        roam_ua_config_default(&config);
        config.allocator = &allocator;
        scene *s = scene_new((scene_options){.agent = &config});
        roam_subscription_config sub = {.event = "message-summary"};
        roam_subscription_id id = 0;
        m.refuse_at = every;
        roam_subscribe(s->agent->ua, &sub, &id);
        roam_message_send(s->agent->ua, 0, "bob", NULL, SPAN("x"), NULL);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(2));
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(1));
        notifier_set_messages(notifier_of(s), SPAN("alice"), 3, 0);
        world_run(&s->world, ROAM_SECONDS(10));
        m.refuse_at = 0;
        world_run(&s->world, ROAM_SECONDS(400)); /* longer than any back-off */
        if (id && info_of(s, id).state != ROAM_SUBSCRIPTION_ENDED)
            assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
        scene_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_world_life),
        cmocka_unit_test(test_world_renewed),
        cmocka_unit_test(test_world_moves),
        cmocka_unit_test(test_world_offline),
        cmocka_unit_test(test_world_restart),
        cmocka_unit_test(test_world_nat),
        cmocka_unit_test(test_world_paced),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
