/* The registration of an account, against registrars of every temper: what is sent, how often, what the registrar holds at the end, what the application is told. */
#include "scene.h"

static roam_time since_start(const scene *s, size_t i)
{
    return s->log[i].time - ROAM_SECONDS(1000);
}

/* When each new REGISTER (not its repeats) left; returns how many. */
static size_t register_times(const scene *s, roam_time since, roam_time *out, size_t max)
{
    size_t n = 0;
    roam_ip server = sim_ip(SERVER);
    for (size_t i = 0; i < s->nlog; i++)
        if (s->log[i].time >= since && strncmp(s->log[i].text, "REGISTER ", 9) == 0 && roam_ip_equal(&s->log[i].to.ip, &server) &&
            strstr(s->log[i].text, "alice") && !scene_is_repeat(s, i) && n < max)
            out[n++] = since_start(s, i);
    return n;
}

/* 423: the lease asked for is raised to what the registrar wants. A registrar that wants more each time is given up for now. */
static void test_interval_too_brief(void **state)
{
    (void)state;
    roam_testserver_config server = {.registrar = {.min_expires = 1800}};
    roam_account_config account = scene_account(NULL, NULL);
    account.expires = 60;
    scene *s = scene_new((scene_options){.server = &server, .account = &account});
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_true(account_of(s).expires_at > s->world.now + ROAM_SECONDS(1700));
    assert_one_binding(s, "alice", WIFI);
    scene_free(s);

    static const scripted greedy[] = {{423, "Min-Expires: 100\r\n"}, {423, "Min-Expires: 200\r\n"}, {423, "Min-Expires: 300\r\n"}, {423, "Min-Expires: 400\r\n"},
                                      {423, "Min-Expires: 500\r\n"}, {423, "Min-Expires: 600\r\n"}, {423, "Min-Expires: 700\r\n"}};
    s = scene_new((scene_options){.account = &account, .no_account = true});
    SCRIPT(s, "REGISTER", greedy);
    account.aor = "sip:alice@example.com";
    account.password = "secret";
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(900));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_BACKOFF);
    assert_in_range(sent_from(s, WIFI, "REGISTER", 0), 2, 6);
    scene_free(s);
}

/* 503 with Retry-After: not earlier than told, not much later, and then registered. */
static void test_retry_after(void **state)
{
    (void)state;
    static const scripted busy[] = {{503, "Retry-After: 20\r\n"}, {0, NULL}};
    scene *s = scene_new((scene_options){.no_account = true});
    SCRIPT(s, "REGISTER", busy);
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    roam_time t0 = s->world.now;
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run_until(&s->world, t0 + ROAM_SECONDS(20));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_BACKOFF);
    assert_int_equal(account_of(s).last_status, 503);
    assert_int_equal(sent_from(s, WIFI, "REGISTER", t0), 1);
    world_run_until(&s->world, t0 + ROAM_SECONDS(25));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_one_binding(s, "alice", WIFI);
    scene_free(s);
}

/* 500 again and again: 1, 2, 4 ... seconds, each up to a fifth more, never more than 300 (and its fifth); a good answer ends it, and the next trouble begins at 1 again. */
static void test_back_off(void **state)
{
    (void)state;
    static const scripted broken[] = {{500, NULL}};
    static const scripted healed[] = {{0, NULL}};
    scene *s = scene_new((scene_options){.no_account = true});
    SCRIPT(s, "REGISTER", broken);
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2500));
    roam_time at[32];
    size_t n = register_times(s, ROAM_SECONDS(1001), at, 32);
    assert_in_range(n, 13, 17);
    bool jitter = false;
    for (size_t i = 0; i + 1 < n; i++) {
        roam_time want = i < 9 ? ROAM_SECONDS(1) << i : ROAM_SECONDS(300);
        want = want > ROAM_SECONDS(300) ? ROAM_SECONDS(300) : want;
        roam_time gap = at[i + 1] - at[i] - RTT / 2; /* a scripted answer has one way only */
        assert_in_range(gap, want, want + want / 5 + 1);
        jitter |= gap != want;
    }
    assert_true(jitter);
    SCRIPT(s, "REGISTER", healed);
    world_run(&s->world, ROAM_SECONDS(400));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    SCRIPT(s, "REGISTER", broken);
    roam_time t0 = s->world.now;
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(sent_from(s, WIFI, "REGISTER", t0), 2);
    scene_free(s);
}

/* Nobody answers: one transaction of 64*T1, then the back-off; no flood. When the server is back, so is the registration. */
static void test_silence(void **state)
{
    (void)state;
    static const scripted silent[] = {{1, NULL}}, healed[] = {{0, NULL}};
    scene *s = scene_new((scene_options){.no_account = true});
    SCRIPT(s, "REGISTER", silent);
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(120));
    roam_time at[8];
    assert_int_equal(register_times(s, ROAM_SECONDS(1001), at, 8), 4);
    for (size_t i = 0; i < 3; i++) {
        roam_time want = ROAM_SECONDS(32) + (ROAM_SECONDS(1) << i);
        assert_in_range(at[i + 1] - at[i], want, want + (ROAM_SECONDS(1) << i) / 5 + 1);
    }
    assert_int_equal(account_of(s).last_status, ROAM_ETIMEOUT);
    SCRIPT(s, "REGISTER", healed);
    world_run(&s->world, ROAM_SECONDS(60));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

/* 403, 404, 600: for good, and silent. Again when the application says so, and on another path. */
static void test_refused_for_good(void **state)
{
    (void)state;
    static const scripted refused[][1] = {{{403, NULL}}, {{404, NULL}}, {{600, NULL}}};
    static const scripted healed[] = {{0, NULL}};
    for (size_t i = 0; i < 3; i++) {
        scene *s = scene_new((scene_options){.no_account = true});
        SCRIPT(s, "REGISTER", refused[i]);
        roam_account_config account = scene_account("sip:alice@example.com", "secret");
        assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1000));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_FAILED);
        assert_int_equal(account_of(s).last_status, refused[i][0].status);
        assert_int_equal(sent_from(s, WIFI, "REGISTER", 0), 1);
        assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(100));
        assert_int_equal(sent_from(s, WIFI, "REGISTER", 0), 2);
        SCRIPT(s, "REGISTER", healed);
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", CELL);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
        scene_free(s);
    }
}

/* Refused on the new path as well: the move ends as failed, COMPLETED comes, and a third path is tried again. */
static void test_refused_after_move(void **state)
{
    (void)state;
    static const scripted refused[] = {{403, NULL}}, healed[] = {{0, NULL}};
    scene *s = scene_new((scene_options){0});
    SCRIPT(s, "REGISTER", refused);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_FAILED);
    const roam_event *e = world_progress(s->agent, ROAM_IP_CHANGE_FAILED, 0);
    assert_non_null(e);
    assert_int_equal(e->sip_code, 403);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    SCRIPT(s, "REGISTER", healed);
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

/* A 200 without our Contact is no registration: tried again with back-off. So is one whose lease is 0. */
static void test_contact_missing(void **state)
{
    (void)state;
    static const scripted strange[] = {{200, "Contact: <sip:alice@203.0.113.1:5060>;expires=60\r\n"}, {200, ""}, {200, "Contact: *\r\n"}, {0, NULL}};
    scene *s = scene_new((scene_options){.no_account = true});
    SCRIPT(s, "REGISTER", strange);
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_BACKOFF);
    world_run(&s->world, ROAM_SECONDS(12));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_int_equal(sent_from(s, WIFI, "REGISTER", 0), 5); /* three strange ones, the challenge, its answer */
    scene_free(s);
}

/* A registrar that rewrites every Contact to the source (Asterisk): after a move, old and new Contact of one REGISTER become the same, and expires=0 deletes both. It is noticed in
 * the 200 and repaired by not naming the old one. */
static void test_rewriting_registrar(void **state)
{
    (void)state;
    roam_testserver_config server = {.registrar = {.rewrite_contact = true}};
    scene *s = scene_new((scene_options){.server = &server});
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_int_equal(bindings_of(s, "alice"), 1);
    set_addrs(s, scene_cell);
    roam_time t0 = s->world.now;
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    const roam_aor *aor = registrar_find(&s->server->server->registrar, SPAN("alice"));
    bool there = false;
    assert_non_null(aor);
    list_each(b, &aor->bindings, roam_binding, node)
        there |= strstr(b->contact, CELL) != NULL;
    assert_true(there);
    assert_in_range(sent_from(s, CELL, "REGISTER", t0), 1, 3);
    assert_null(strstr(last_from(s, CELL, "REGISTER")->text, "expires=0"));
    world_run(&s->world, ROAM_SECONDS(3600));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_one_binding(s, "alice", CELL); /* the old one ran out */
    scene_free(s);
}

/* Behind a NAT: which Contact the registrar holds at the end, by policy and by whether our own address is private. What is learnt is forgotten at a move. */
static void test_contact_rewriting(void **state)
{
    (void)state;
    static const struct {
        roam_contact_rewrite rewrite;
        const char *local, *bound;
    } cases[] = {{ROAM_CONTACT_REWRITE_OFF, WIFI, WIFI},
                 {ROAM_CONTACT_REWRITE_ON, WIFI, "203.0.113.77"},
                 {ROAM_CONTACT_REWRITE_ON, "198.18.7.5", "198.18.7.5"},
                 {ROAM_CONTACT_REWRITE_ALWAYS, "198.18.7.5", "203.0.113.77"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        roam_mem mem;
        roam_nat nat;
        const uint8_t seed[32] = {5};
        roam_nat_config config = {.external = sim_ip("203.0.113.77")};
        mem_init(&mem, NULL);
        assert_int_equal(nat_init(&nat, &mem, seed, &config), 0);
        roam_account_config account = scene_account("sip:alice@example.com", "secret");
        account.allow_contact_rewrite = cases[i].rewrite;
        scene *s = scene_new((scene_options){.no_account = true, .nat = &nat});
        const char *const addrs[] = {cases[i].local, NULL};
        set_addrs(s, addrs);
        assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", cases[i].bound);
        assert_non_null(strstr(account_of(s).contact, cases[i].bound));
        s->agent->nat = NULL; /* the next network has none */
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_one_binding(s, "alice", CELL);
        scene_free(s);
        nat_free(&nat);
    }
}

/* Answers each REGISTER with its own Contact, as seen from another port each time. */
static bool always_elsewhere(scene *s, const sim_packet *p)
{
    static roam_header_space space;
    static char text[4096];
    static uint16_t port = 20000;
    roam_message m;
    roam_writer w;
    if (p->sender != s->agent || !scene_is_request(p->bytes, p->len, "REGISTER") || message_parse(&m, &space, span_make(p->bytes, p->len)) != 0)
        return true;
    roam_addr seen_at = {sim_ip("203.0.113.77"), ++port};
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, 200, SPAN(""), SPAN("x"), &seen_at);
    write_headers_copied(&w, &m, HEADER_CONTACT);
    write_lit(&w, "Content-Length: 0\r\n\r\n");
    world_inject(&s->world, &p->to, &p->from, writer_span(&w));
    return false;
}

/* A NAT that shows another port after every packet: the Contact is rewritten a few times, then the agent stays with what it has, registered. */
static void test_rewrite_loop(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){.no_account = true});
    s->more = always_elsewhere;
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(60));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_in_range(sent_from(s, WIFI, "REGISTER", 0), 3, 6);
    assert_non_null(strstr(account_of(s).contact, "203.0.113.77"));
    scene_free(s);
}

/* P4, after a move: both Contacts in one REGISTER; the old one first and the new one after it; or nothing about the old one, which stays until it runs out. */
static void test_old_contact(void **state)
{
    (void)state;
    static const uint32_t methods[] = {ROAM_CONTACT_ONE_REGISTER, ROAM_CONTACT_UNREGISTER_FIRST, ROAM_CONTACT_LEAVE};
    for (size_t i = 0; i < 3; i++) {
        roam_account_config account = scene_account(NULL, NULL);
        account.contact_rewrite_method = methods[i];
        scene *s = scene_new((scene_options){.account = &account});
        roam_time t0 = s->world.now;
        set_addrs(s, scene_cell);
        const seen *first = last_from(s, CELL, "REGISTER");
        assert_non_null(first);
        bool names_old = strstr(first->text, WIFI) != NULL, names_new = strstr(first->text, "Contact: <sip:alice@" CELL) != NULL;
        assert_int_equal(names_old, methods[i] != ROAM_CONTACT_LEAVE);
        assert_int_equal(names_new, methods[i] != ROAM_CONTACT_UNREGISTER_FIRST);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_int_equal(sent_from(s, CELL, "REGISTER", t0), methods[i] == ROAM_CONTACT_UNREGISTER_FIRST ? 2 : 1);
        assert_int_equal(bindings_of(s, "alice"), methods[i] == ROAM_CONTACT_LEAVE ? 2 : 1);
        scene_free(s);
    }
}

/* Servers whose nonces are good once, or for one source only, or whose counts must grow: no refusal in a registration, a refresh and a move; one challenge more at most each. */
static void test_nonces(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        roam_testserver_config server = {.auth = {.one_time = kind == 0, .bind_source = kind == 1, .strict_count = kind == 2}};
        roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
        scene *s = scene_new((scene_options){.server = &server, .callee = &callee});
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        roam_call_id id = call_to(s->agent, s->account, "bob");
        world_run(&s->world, ROAM_SECONDS(1));
        roam_time t0 = s->world.now;
        set_addrs(s, scene_cell);
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", CELL);
        assert_in_range(sent_from(s, CELL, "REGISTER", t0), 1, 2);
        assert_in_range(sent_from(s, CELL, "INVITE", t0), 1, 2);
        assert_int_equal(s->server->server->auth.counters.wrong, 0);
        assert_two_way(s, s->agent, id);
        scene_free(s);
    }
}

/* The path changes while a REGISTER is out, at every step of the way to the registrar and back, challenge included: it is abandoned, the new path gets its own, one binding in the end. */
static void test_change_while_pending(void **state)
{
    (void)state;
    for (unsigned after = 0; after <= 220; after += 20) {
        scene *s = scene_new((scene_options){.no_account = true});
        roam_account_config account = scene_account("sip:alice@example.com", "secret");
        assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(after));
        roam_time t0 = s->world.now;
        set_addrs(s, scene_cell);
        assert_int_equal(sent_from(s, CELL, "REGISTER", t0), 1); /* at once */
        world_run(&s->world, ROAM_SECONDS(2));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_in_range(sent_from(s, CELL, "REGISTER", t0), 1, 2);
        world_run(&s->world, ROAM_SECONDS(38));
        assert_one_binding(s, "alice", CELL);
        assert_in_range(sent_from(s, CELL, "REGISTER", t0), 1, 3); /* one more look: test_overtaken */
        assert_int_equal(sent_from(s, WIFI, "REGISTER", t0 + 1), 0);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, 0));
        scene_free(s);
    }
}

static sim_packet *held_back;

static bool hold_back_first(scene *s, const sim_packet *p)
{
    if (held_back || !scene_is_request(p->bytes, p->len, "REGISTER") || !roam_ip_equal(&p->from.ip, &(roam_ip){.family = 4, .bytes = {10, 2, 0, 7}}))
        return true;
    held_back = malloc(sizeof *p + p->len);
    assert_non_null(held_back);
    memcpy(held_back, p, sizeof *p + p->len);
    (void)s;
    return false;
}

/* Two changes in a row. The REGISTER of the first is under way for a second and arrives behind that of the other: the registrar has the dead Contact again. Some seconds later it is
 * named once more, and gone. */
static void test_overtaken(void **state)
{
    (void)state;
    static const char *const third[] = {"10.3.0.9", NULL};
    scene *s = scene_new((scene_options){0});
    held_back = NULL;
    s->more = hold_back_first;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    assert_non_null(held_back);
    set_addrs(s, third);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_one_binding(s, "alice", "10.3.0.9");
    world_inject(&s->world, &held_back->from, &held_back->to, span_make(held_back->bytes, held_back->len));
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(bindings_of(s, "alice"), 2);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_one_binding(s, "alice", "10.3.0.9");
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    free(held_back);
    scene_free(s);
}

/* Unregister: while registered the binding goes; while a REGISTER is out it goes too, although nobody knows whether it was there; offline it does not hang; and register at once
 * afterwards, or in the middle, is obeyed. */
static void test_unregister(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_UNREGISTERING);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    assert_int_equal(bindings_of(s, "alice"), 0);
    for (unsigned after = 0; after <= 120; after += 30) {
        assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(after));
        assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
        assert_int_equal(bindings_of(s, "alice"), 0);
    }
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0); /* and changed our mind */
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(30));
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_one_binding(s, "alice", WIFI);
    set_addrs(s, scene_none);
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0); /* twice does no harm */
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    assert_int_equal(sent_from(s, CELL, "REGISTER", 0), 0);
    scene_free(s);
}

/* The way to unregister goes in the middle of it, or the registrar is silent: it ends all the same. */
static void test_unregister_lost(void **state)
{
    (void)state;
    static const scripted silent[] = {{1, NULL}};
    scene *s = scene_new((scene_options){0});
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(20));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    assert_int_equal(bindings_of(s, "alice"), 0);
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(20));
    set_addrs(s, scene_none);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    set_addrs(s, scene_wifi);
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    SCRIPT(s, "REGISTER", silent);
    assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(33));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
    scene_free(s);
}

/* The lease is renewed before it ends: in half an hour of two-minute leases there is no moment without a binding, and no more REGISTERs than needed. A very short lease too. */
static void test_refresh_in_time(void **state)
{
    (void)state;
    static const uint32_t leases[] = {3600, 120, 90, 61};
    for (size_t i = 0; i < 4; i++) {
        roam_account_config account = scene_account(NULL, NULL);
        account.expires = leases[i];
        scene *s = scene_new((scene_options){.account = &account});
        roam_time t0 = s->world.now;
        for (unsigned n = 0; n < 1800; n++) {
            world_run(&s->world, ROAM_SECONDS(1));
            assert_int_equal(bindings_of(s, "alice"), 1);
        }
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_in_range(sent_from(s, WIFI, "REGISTER", t0), 0, 2 * (1800 / (leases[i] / 2)) + 2);
        scene_free(s);
    }
}

/* A failed refresh is tried again while the lease still runs; the state says so. */
static void test_refresh_fails_once(void **state)
{
    (void)state;
    static const scripted hiccup[] = {{503, NULL}, {0, NULL}};
    roam_account_config account = scene_account(NULL, NULL);
    account.expires = 120;
    scene *s = scene_new((scene_options){.account = &account});
    SCRIPT(s, "REGISTER", hiccup);
    for (unsigned n = 0; n < 240; n++) {
        world_run(&s->world, ROAM_SECONDS(1));
        assert_int_equal(bindings_of(s, "alice"), 1);
    }
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

/* Two accounts at one registrar, and two agents in one process: each its own binding, none hears of the other's trouble. */
static void test_two_of_each(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){0});
    const char *const other[] = {"10.3.0.9", NULL};
    roam_account_id carol, wrong;
    roam_account_config config = scene_account("sip:carol@example.com", "third");
    assert_int_equal(roam_account_add(s->agent->ua, &config, &carol), 0);
    sim_node *second = world_agent(&s->world, "second", NULL);
    world_set_addrs(second, other);
    config = scene_account("sip:bob@example.com", "wrong");
    assert_int_equal(roam_account_add(second->ua, &config, &wrong), 0);
    world_flush(s->agent);
    world_flush(second);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_one_binding(s, "alice", WIFI);
    assert_one_binding(s, "carol", WIFI);
    roam_account_info info;
    assert_int_equal(roam_account_get_info(second->ua, wrong, &info), 0);
    assert_int_equal(info.registration, ROAM_REGISTRATION_FAILED);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_one_binding(s, "alice", CELL);
    assert_one_binding(s, "carol", CELL);
    assert_int_equal(world_count(second, ROAM_EVENT_IP_CHANGE_PROGRESS), 0);
    assert_int_equal(roam_account_list(s->agent->ua, NULL, 0), 2);
    assert_int_equal(roam_account_unregister(s->agent->ua, carol), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(bindings_of(s, "carol"), 0);
    assert_one_binding(s, "alice", CELL);
    scene_free(s);
}

/* The registrar by name: waits while it is looked up; asks again when there is no answer; moves at once to a new path with the address it knows, and follows when the name means another. */
static void test_names(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){.no_account = true});
    s->agent->keep_queries = true;
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    config.registrar = "sip:sip.example.com";
    config.outbound_proxy = NULL;
    assert_int_equal(testserver_add_domain(s->server->server, "sip.example.com"), 0);
    assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
    world_flush(s->agent);
    assert_int_equal(s->agent->nqueries, 1);
    assert_string_equal(s->agent->query_names[0], "sip.example.com");
    world_run(&s->world, ROAM_MS(500));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    world_answer_names(s->agent); /* nothing by that name, yet */
    world_flush(s->agent);
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    world_name(&s->world, "sip.example.com", SERVER);
    world_run(&s->world, ROAM_SECONDS(6));
    assert_int_equal(s->agent->nqueries, 1); /* asked again by itself */
    world_answer_names(s->agent);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    roam_time t0 = s->world.now;
    set_addrs(s, scene_cell); /* nobody answers names on the new path at first */
    assert_int_equal(sent_from(s, CELL, "REGISTER", t0), 1);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_one_binding(s, "alice", CELL);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    sim_node *elsewhere = world_server(&s->world, "192.0.2.99:5060", NULL, scene_users);
    assert_int_equal(testserver_add_domain(elsewhere->server, "sip.example.com"), 0);
    world_name(&s->world, "sip.example.com", "192.0.2.99");
    s->agent->keep_queries = false;
    world_answer_names(s->agent);
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_SECONDS(8));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    const roam_aor *aor = registrar_find(&elsewhere->server->registrar, SPAN("alice"));
    assert_true(aor && aor->nbindings == 1);
    scene_free(s);
}

/* An account taken away in the middle of anything: registering, moving, in a call, ringing, offline. The binding goes where that can be, its calls end, the id is unknown, and another one
 * can be added at once. */
static void test_account_removed(void **state)
{
    (void)state;
    for (int when = 0; when < 7; when++) {
        roam_peer_config callee = {.answer = when == 4 ? PEER_RINGS : PEER_ANSWERS, .answer_after = ROAM_MS(100)};
        scene *s = scene_new((scene_options){.callee = &callee});
        uint32_t theirs;
        if (when == 1)
            set_addrs(s, scene_cell);
        if (when == 2)
            set_addrs(s, scene_none);
        if (when == 3 || when == 4 || when == 6) {
            call_to(s->agent, s->account, "bob");
            world_run(&s->world, ROAM_SECONDS(1));
        }
        if (when == 5) {
            assert_int_equal(peer_call(s->callee->peer, s->world.now, "sip:alice@example.com", &theirs), 0);
            world_run(&s->world, ROAM_SECONDS(1));
        }
        if (when == 6)
            set_addrs(s, scene_cell);
        assert_int_equal(roam_account_remove(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        assert_int_equal(roam_account_remove(s->agent->ua, s->account), ROAM_ENOTFOUND);
        assert_int_equal(roam_account_list(s->agent->ua, NULL, 0), 0);
        roam_account_id again;
        roam_account_config config = scene_account("sip:carol@example.com", "third");
        assert_int_equal(roam_account_add(s->agent->ua, &config, &again), 0);
        assert_true(again != s->account);
        world_run(&s->world, ROAM_SECONDS(40));
        assert_int_equal(roam_call_list(s->agent->ua, NULL, 0), 0);
        if (when != 2)
            assert_int_equal(bindings_of(s, "alice"), 0);
        if (when >= 3 && peer_leg(s->callee->peer, 1))
            assert_int_equal(peer_leg(s->callee->peer, 1)->state, LEG_ENDED);
        roam_ua_counters counters;
        roam_ua_get_counters(s->agent->ua, &counters);
        assert_int_equal(counters.accounts, 1);
        scene_free(s);
    }
}

/* Pinned to a link: the other link's better address changes nothing; without the pinned link it waits, and comes back with it. */
static void test_pinned(void **state)
{
    (void)state;
    const char *const both[] = {CELL, WIFI, NULL};
    scene *s = scene_new((scene_options){.no_account = true});
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    roam_ip wifi = sim_ip(WIFI);
    config.link = sim_link(&wifi);
    set_addrs(s, both);
    assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_one_binding(s, "alice", WIFI);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_WAITING_PATH);
    assert_int_equal(sent_from(s, CELL, "REGISTER", 0), 0);
    set_addrs(s, both);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_one_binding(s, "alice", WIFI);
    scene_free(s);
}

/* The system refuses the socket: at first (tried again within the second), or for long (back-off, then registered without a change of path). */
static void test_sockets_refused(void **state)
{
    (void)state;
    static const unsigned counts[] = {1, 4, 9, 20};
    for (size_t i = 0; i < 4; i++) {
        scene *s = scene_new((scene_options){.no_account = true});
        roam_account_config config = scene_account("sip:alice@example.com", "secret");
        s->agent->refuse = counts[i];
        s->agent->refuse_err = ROAM_EIO;
        assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(counts[i] < 8 ? 5 : 300));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        scene_free(s);
    }
}

/* roam_handle_ip_change in every moment of a registration: nothing breaks, and it is registered afterwards. */
static void test_told_at_any_time(void **state)
{
    (void)state;
    for (unsigned after = 0; after <= 240; after += 20) {
        scene *s = scene_new((scene_options){.no_account = true});
        roam_account_config account = scene_account("sip:alice@example.com", "secret");
        s->agent->refuse = after == 0 ? 3 : 0;
        s->agent->refuse_err = ROAM_EIO;
        assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(after));
        assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
        assert_one_binding(s, "alice", WIFI);
        assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
        assert_int_equal(roam_account_unregister(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(after / 2));
        assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_SECONDS(5));
        assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_NONE);
        assert_int_equal(bindings_of(s, "alice"), 0);
        scene_free(s);
    }
}

/* A configuration that would break headers or cannot be kept is refused, and nothing is added. */
static void test_bad_configuration(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){.no_account = true});
    roam_account_id id;
    roam_account_config bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = scene_account("sip:alice@example.com", "secret");
    bad[0].aor = NULL;
    bad[1].aor = "alice";
    bad[2].aor = "sip:alice@example.com\r\nX: y";
    bad[3].aor = "\"A\r\nX: y\" <sip:alice@example.com>";
    bad[4].registrar = "http://example.com";
    bad[5].outbound_proxy = "sip:";
    bad[6].instance = "urn:uuid:1\r\nX: y";
    bad[7].aor = "tel:+123";
    bad[8].registrar = "sips:example.com";
    for (size_t i = 0; i < 9; i++)
        if (roam_account_add(s->agent->ua, &bad[i], &id) != (i == 8 ? ROAM_EUNSUPPORTED : ROAM_EINVAL)) fail_msg("%zu", i);
    assert_int_equal(roam_account_list(s->agent->ua, NULL, 0), 0);
    assert_int_equal(roam_account_register(s->agent->ua, 1), ROAM_ENOTFOUND);
    roam_account_config local = scene_account("sip:alice@example.com", NULL);
    local.registrar = NULL;
    assert_int_equal(roam_account_add(s->agent->ua, &local, &id), 0);
    assert_int_equal(roam_account_register(s->agent->ua, id), ROAM_ESTATE);
    assert_int_equal(roam_account_remove(s->agent->ua, id), 0);
    assert_int_equal(roam_account_list(s->agent->ua, NULL, 0), 0);
    scene_free(s);
}

/* No password: the challenge cannot be answered, said so at once. */
static void test_no_password(void **state)
{
    (void)state;
    scene *s = scene_new((scene_options){.no_account = true});
    roam_account_config config = scene_account("sip:alice@example.com", NULL);
    assert_int_equal(roam_account_add(s->agent->ua, &config, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(60));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_FAILED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_REGISTRATION)->status, ROAM_EAUTH);
    assert_int_equal(sent_from(s, WIFI, "REGISTER", 0), 1);
    scene_free(s);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_too_brief), cmocka_unit_test(test_retry_after),      cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_silence),            cmocka_unit_test(test_refused_for_good), cmocka_unit_test(test_refused_after_move),
        cmocka_unit_test(test_contact_missing),    cmocka_unit_test(test_rewriting_registrar), cmocka_unit_test(test_contact_rewriting),
        cmocka_unit_test(test_rewrite_loop),       cmocka_unit_test(test_old_contact),      cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_change_while_pending), cmocka_unit_test(test_overtaken), cmocka_unit_test(test_unregister),     cmocka_unit_test(test_unregister_lost),
        cmocka_unit_test(test_refresh_in_time),    cmocka_unit_test(test_refresh_fails_once), cmocka_unit_test(test_two_of_each),
        cmocka_unit_test(test_names),              cmocka_unit_test(test_account_removed),  cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_sockets_refused),    cmocka_unit_test(test_told_at_any_time), cmocka_unit_test(test_bad_configuration),
        cmocka_unit_test(test_no_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
