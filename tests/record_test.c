/* What a trace with inputs holds (roam_ua_config.trace_inputs): each call of the interface once, with its time; each output; no password, no sound; nothing of it when it was not asked for. */
#include "hand.h"

typedef struct recorded {
    size_t inputs, outputs, advances, media, media_cut, sent_media, made, accepted, born, secrets, seeds;
    char account[2048], event[256];
} recorded;

static bool holds(roam_span s, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; s.len >= n && i + n <= s.len; i++)
        if (memcmp(s.ptr + i, text, n) == 0)
            return true;
    return false;
}

static void on_record(void *user, const roam_trace_record *r)
{
    recorded *c = user;
    c->secrets += holds(r->bytes, "secret");
    c->seeds += holds(r->bytes, "seed=");
    if (r->type == ROAM_TRACE_OUTPUT) {
        c->outputs++;
        if (strcmp(r->object, "send") == 0) {
            c->sent_media++;
            assert_true((uint8_t)r->bytes.ptr[1] >= 192 || r->bytes.len <= 12);
        }
        if (strcmp(r->to, "call_transfer_requested") == 0)
            snprintf(c->event, sizeof c->event, "%.*s", (int)r->bytes.len, r->bytes.ptr);
    }
    if (r->type != ROAM_TRACE_INPUT)
        return;
    c->inputs++;
    c->born += strcmp(r->object, "ua_new") == 0;
    c->advances += strcmp(r->object, "advance") == 0;
    c->made += strcmp(r->object, "call_make") == 0;
    c->accepted += strcmp(r->object, "call_transfer_accept") == 0;
    if (strcmp(r->object, "account_add") == 0)
        snprintf(c->account, sizeof c->account, "%.*s", (int)r->bytes.len, r->bytes.ptr);
    if (strcmp(r->object, "receive_media") == 0 && r->bytes.len && (uint8_t)r->bytes.ptr[1] < 192) {
        c->media++;
        c->media_cut += r->bytes.len == 12 && strtoul(r->why, NULL, 10) == 172;
    }
}

/* A call with sound, then a transfer that makes a second call: that one follows from the first, and is no input of its own. */
static void run_scene(recorded *c, bool inputs)
{
    roam_ua_config agent;
    roam_ua_config_default(&agent);
    memset(agent.seed, 7, sizeof agent.seed);
    agent.trace = on_record;
    agent.trace_user = c;
    agent.trace_inputs = inputs;
    roam_account_config account = scene_account("sip:alice@example.com", "secret");
    roam_peer_config callee = {.answer = PEER_ANSWERS, .answer_after = ROAM_MS(100)};
    *c = (recorded){0};
    scene *s = scene_new((scene_options){.account = &account, .agent = &agent, .callee = &callee});
    roam_call_id id = call_to(s->agent, s->account, "bob");
    world_run(&s->world, ROAM_SECONDS(3));
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    size_t before = c->inputs;
    for (int i = 0; i < 100; i++) /* time alone is no input */
        roam_ua_advance(s->agent->ua, s->world.now);
    assert_int_equal(c->inputs, before);
    roam_account_config direct = hand_account();
    assert_int_equal(roam_account_add(s->agent->ua, &direct, &s->account), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_SECONDS(1));
    hand h;
    id = hand_called(&h, s);
    hand_request(&h, "REFER", 0, "Refer-To: <sip:target@" HAND ">\r\n", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(roam_call_transfer_accept(s->agent->ua, id, NULL, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(200));
    scene_free(s);
}

static void test_inputs(void **state)
{
    (void)state;
    recorded c;
    run_scene(&c, true);
    assert_int_equal(c.born, 1);
    assert_int_equal(c.seeds, 1);
    assert_int_equal(c.secrets, 0);
    assert_int_equal(c.made, 2); /* "bob" and the hand, not the transfer's */
    assert_int_equal(c.accepted, 1);
    assert_true(c.advances > 100); /* a packet every 20 ms */
    assert_true(c.media > 100);
    assert_int_equal(c.media_cut, c.media);
    assert_true(c.sent_media > 100);
    assert_non_null(strstr(c.account, "password=1"));
    assert_non_null(strstr(c.event, "call="));
}

static void test_not_asked_for(void **state)
{
    (void)state;
    recorded c;
    run_scene(&c, false);
    assert_int_equal(c.inputs + c.outputs + c.seeds + c.secrets, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
