/* What the agent does while something around it says no, or says nothing: sockets, names, registrars. */
#include "hand.h"

static size_t completed(const scene *s)
{
    return s->agent->heard.n && world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0) != NULL;
}

static void test_sip_socket_refused_long(void **state)
{
    /* After a move the system refuses the SIP socket 14 times, so that the path is given up more than once. The call says "reconnecting", is not ended, and is
     * whole once the socket is given; the registration too, without anybody's help. */
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_two_way(s, s->agent, id);
    s->agent->refuse = 14;
    s->agent->refuse_err = ROAM_EIO;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(4));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_RECONNECTING);
    world_run(&s->world, ROAM_SECONDS(40));
    assert_int_equal(s->agent->refuse, 0);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_two_way(s, s->agent, id);
    assert_one_binding(s, "alice", CELL);
    assert_true(completed(s));
    scene_free(s);
}

static void test_sip_socket_never_given(void **state)
{
    /* The system never gives the socket: the call ends after offline_max and says so. It does not hang in "moving". */
    (void)state;
    scene *s = scene_new((scene_options){0});
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    s->agent->refuse = 100000;
    s->agent->refuse_err = ROAM_EIO;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(70));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_STATE);
    assert_int_equal(e->call, id);
    assert_int_equal(e->call_state, ROAM_CALL_ENDED);
    assert_int_equal(e->status, ROAM_EOFFLINE);
    scene_free(s);
}

static void test_target_without_address(void **state)
{
    /* A peer's new Contact has a host name that nobody knows. The hop it had before goes on being used: a move refreshes the call through it. */
    (void)state;
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand h;
    roam_call_id id = hand_called(&h, s);
    char text[1024];
    snprintf(text, sizeof text,
             "UPDATE %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKnamed;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND
             ">;tag=%s\r\nTo: <sip:alice@example.com>;tag=%s\r\nCall-ID: %s\r\nCSeq: 500 UPDATE\r\nContact: <sip:hand@nowhere.invalid>\r\n"
             "Content-Length: 0\r\n\r\n",
             h.target, h.own_tag, h.agent_tag, h.call_id);
    hand_inject(&h, text);
    world_run(&s->world, ROAM_SECONDS(1));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(300));
    const seen *refresh = hand_asked(&h, "INVITE");
    assert_non_null(refresh);
    assert_non_null(strstr(refresh->text, "INVITE sip:hand@nowhere.invalid"));
    assert_true(roam_ip_equal(&refresh->from.ip, &(roam_ip){.family = 4, .bytes = {10, 2, 0, 7}}));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    scene_free(s);
}

static bool silent_registrar(scene *s, const sim_packet *p)
{
    (void)s;
    return !scene_is_request(p->bytes, p->len, "REGISTER");
}

static void test_silent_registrar(void **state)
{
    /* After a move the registrar says nothing. The move of the account fails after half a minute and the change is completed; the agent goes on trying, and is
     * registered when the registrar is back. */
    (void)state;
    scene *s = scene_new((scene_options){0});
    s->more = silent_registrar;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_false(completed(s));
    world_run(&s->world, ROAM_SECONDS(60));
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_FAILED, 0));
    assert_true(completed(s));
    s->more = NULL;
    world_run(&s->world, ROAM_SECONDS(60));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_one_binding(s, "alice", CELL);
    scene_free(s);
}

static void test_retry_after_for_ever(void **state)
{
    /* A registrar that says "Retry-After: 4294967295" once is asked again within the ceiling. */
    (void)state;
    static const scripted no[] = {{503, "Retry-After: 4294967295\r\n"}, {0, NULL}};
    scene *s = scene_new((scene_options){0});
    SCRIPT(s, "REGISTER", no);
    assert_int_equal(roam_account_register(s->agent->ua, s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(5));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_BACKOFF);
    world_run(&s->world, ROAM_SECONDS(ROAM_MAX_RETRY_AFTER + ROAM_MAX_RETRY_AFTER / 5 + 5));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    scene_free(s);
}

static void test_name_is_asked_once(void **state)
{
    /* The registrar is a name. Its address is asked for once at first, not again because the route to it was answered; once more after a change of network, and
     * then an answer in another order does not make the agent leave the node it talks to. */
    (void)state;
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    account.outbound_proxy = NULL;
    scene *s = scene_new((scene_options){.no_account = true});
    world_name(&s->world, "sip.example.com", SERVER);
    assert_int_equal(testserver_add_domain(s->server->server, "sip.example.com"), 0);
    account.registrar = "sip:sip.example.com";
    assert_int_equal(roam_account_add(s->agent->ua, &account, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    assert_int_equal(account_of(s).registration, ROAM_REGISTRATION_REGISTERED);
    assert_int_equal(s->agent->names_asked, 1);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(s->agent->names_asked, 2);
    assert_one_binding(s, "alice", CELL);
    scene_free(s);
}

static bool ack_lost(scene *s, const sim_packet *p)
{
    (void)s;
    return !(scene_is_request(p->bytes, p->len, "ACK") && roam_ip_equal(&p->from.ip, &(roam_ip){.family = 4, .bytes = {10, 1, 0, 5}}));
}

static void test_ack_lost_with_its_path(void **state)
{
    /* We called, the 200 came, our ACK is lost and the network with it. On the new path the ACK goes again before the refresh: a peer that waits for it refuses
     * any other offer. The call is whole a second later, with two INVITEs in all and no refusal. */
    (void)state;
    scene *s = scene_new((scene_options){0});
    s->more = ack_lost;
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    for (int i = 0; i < 200 && call_of(s->agent, id).state != ROAM_CALL_CONFIRMED; i++)
        world_run(&s->world, ROAM_MS(10));
    roam_time moved = s->world.now;
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_MS(100));
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(500));
    assert_int_equal(sent_from(s, CELL, "ACK ", moved), 2); /* of the call, and of the refresh */
    assert_int_equal(sent_from(s, CELL, "INVITE ", moved), 1);
    assert_int_equal(call_of(s->agent, id).link, ROAM_LINK_OK);
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

static void test_second_change_before_the_first_socket(void **state)
{
    /* The system refuses the SIP socket on the second network for some milliseconds, and a third one takes its place meanwhile. The application hears of both changes, and of RTP that
     * leaves from the third address before the call is said to be recovered. */
    (void)state;
    static const char *const third[] = {"10.3.0.9", NULL};
    scene *s = scene_new((scene_options){0});
    roam_call_id id = call_to(s->agent, s->account, "sip:bob@example.com");
    world_run(&s->world, ROAM_SECONDS(3));
    world_forget(s->agent);
    s->agent->refuse = 3;
    s->agent->refuse_err = ROAM_EIO;
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(15));
    set_addrs(s, third);
    world_run(&s->world, ROAM_SECONDS(1));
    size_t detected = 0;
    bool uplink = false;
    for (size_t i = 0; i < s->agent->heard.n; i++) {
        const roam_event *e = &s->agent->heard.events[i];
        if (e->type != ROAM_EVENT_IP_CHANGE_PROGRESS || e->call != id)
            continue;
        detected += e->op == ROAM_IP_CHANGE_DETECTED;
        uplink = e->op == ROAM_IP_CHANGE_DETECTED ? false : uplink || e->op == ROAM_IP_CHANGE_UPLINK_RESTORED;
        if (e->op == ROAM_IP_CHANGE_RECOVERED)
            assert_true(uplink);
    }
    assert_int_equal(detected, 2);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_RECOVERED, id));
    assert_two_way(s, s->agent, id);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sip_socket_refused_long), cmocka_unit_test(test_sip_socket_never_given), cmocka_unit_test(test_target_without_address),
        cmocka_unit_test(test_silent_registrar),        cmocka_unit_test(test_retry_after_for_ever),   cmocka_unit_test(test_name_is_asked_once),
        cmocka_unit_test(test_ack_lost_with_its_path),
        cmocka_unit_test(test_second_change_before_the_first_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
