/* Subscriptions (RFC 6665): against a notifier moved by hand, which does what no decent one does. */
#include "hand.h"

#define ACTIVE "Event: message-summary\r\nSubscription-State: active;expires=600\r\nContent-Type: application/simple-message-summary\r\n"
#define MWI "Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n"

static scene *begin(hand *h)
{
    roam_account_config account = hand_account();
    scene *s = scene_new((scene_options){.account = &account});
    hand_begin(h, s);
    return s;
}

static roam_subscription_id subscribe(scene *s, const char *event)
{
    roam_subscription_id id = 0;
    roam_subscription_config config = {.uri = "sip:hand@" HAND, .event = event, .expires = 600};
    assert_int_equal(roam_subscribe(s->agent->ua, &config, &id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(60));
    return id;
}

static roam_subscription_info info_of(scene *s, roam_subscription_id id)
{
    roam_subscription_info info = {.state = ROAM_SUBSCRIPTION_ENDED};
    roam_subscription_get_info(s->agent->ua, id, &info);
    return info;
}

/* A NOTIFY in the dialog of the last SUBSCRIBE; gives its status. */
static unsigned notify(hand *h, unsigned cseq, const char *headers, const char *body)
{
    unsigned n = hand_request(h, "NOTIFY", cseq, headers, body);
    world_run(&h->s->world, ROAM_MS(100) + ROAM_MS(2));
    return hand_status(h, n, "NOTIFY");
}

static void learn(hand *h)
{
    hand_learn(h, hand_asked(h, "SUBSCRIBE"), true);
}

static void accept_last(hand *h, const char *headers)
{
    hand_answer(h, hand_asked(h, "SUBSCRIBE"), 200, headers, "");
    world_run(&h->s->world, ROAM_MS(60));
}

/* Subscribed, and told so. */
static roam_subscription_id active(hand *h, scene *s)
{
    roam_subscription_id id = subscribe(s, "message-summary");
    learn(h);
    accept_last(h, "Expires: 600\r\n");
    assert_int_equal(notify(h, 0, ACTIVE, MWI), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    return id;
}

static const char *last_line(const seen *e, const char *name, char *space, size_t cap)
{
    assert_non_null(e);
    hand_copy(e->text, name, "\r", space, cap);
    return space;
}

/* SUBSCRIBE, 2xx, NOTIFY with a body; renewed in the dialog before the lease ends; unsubscribed with Expires 0, and the last NOTIFY ends it. */
static void test_life(void **state)
{
    (void)state;
    hand h;
    char line[256];
    scene *s = begin(&h);
    roam_subscription_id id = active(&h, s);
    const seen *first = hand_asked(&h, "SUBSCRIBE");
    assert_string_equal(last_line(first, "\r\nEvent: ", line, sizeof line), "message-summary");
    assert_string_equal(last_line(first, "\r\nAccept: ", line, sizeof line), "application/simple-message-summary");
    assert_string_equal(last_line(first, "\r\nExpires: ", line, sizeof line), "600");
    assert_null(strstr(first->text, ">;tag=x"));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_NOTIFY);
    roam_mwi mwi;
    assert_int_equal(e->subscription, id);
    assert_int_equal(e->body.len, strlen(MWI));
    assert_true(roam_mwi_parse(e->body, &mwi));
    assert_int_equal(mwi.voice_new, 2);
    world_run(&s->world, ROAM_SECONDS(535));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 1);
    world_run(&s->world, ROAM_SECONDS(10));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    char tag[256];
    snprintf(tag, sizeof tag, ";tag=%s\r\nCall-ID: %s\r\n", h.own_tag, h.call_id);
    assert_non_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, tag)); /* in the dialog */
    accept_last(&h, "Expires: 600\r\n");
    assert_int_equal(roam_unsubscribe(s->agent->ua, id), 0);
    assert_int_equal(roam_unsubscribe(s->agent->ua, id), ROAM_ESTATE);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(60));
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nExpires: ", line, sizeof line), "0");
    accept_last(&h, "Expires: 0\r\n");
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_UNSUBSCRIBING);
    assert_int_equal(notify(&h, 0, "Event: message-summary\r\nSubscription-State: terminated;reason=\"a\x1b[2Jb\"\r\n", ""), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_SUBSCRIPTION)->subscription_state, ROAM_SUBSCRIPTION_ENDED);
    assert_string_equal(world_last(s->agent, ROAM_EVENT_SUBSCRIPTION)->reason, "terminated: \"a?[2Jb\""); /* nothing that a terminal obeys */
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 481);
    scene_free(s);
}

/* The NOTIFY overtakes the 2xx, whose Record-Route is learnt all the same: the refresh goes through it. */
static void test_notify_first(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    const seen *asked = hand_asked(&h, "SUBSCRIBE");
    learn(&h);
    assert_int_equal(notify(&h, 0, "Event: message-summary\r\nSubscription-State: pending;expires=300\r\n", ""), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_PENDING);
    hand_answer(&h, asked, 202, "Expires: 600\r\nRecord-Route: <sip:" HAND ":5060;lr;leg=2>\r\n", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    world_run(&s->world, ROAM_SECONDS(560));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    assert_non_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, "\r\nRoute: <sip:" HAND ":5060;lr;leg=2>\r\n"));
    scene_free(s);
}

/* A SUBSCRIBE that forked: the first NOTIFY decides, whatever the 2xx said; the other notifiers are told 481. */
static void test_forks(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    const seen *asked = hand_asked(&h, "SUBSCRIBE");
    learn(&h);
    hand_answer_tagged(&h, asked, 200, "other", "Expires: 600\r\n", "");
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200); /* of own_tag */
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    hand fork = h;
    snprintf(fork.own_tag, sizeof fork.own_tag, "other");
    assert_int_equal(notify(&fork, 0, ACTIVE, MWI), 481);
    snprintf(fork.own_tag, sizeof fork.own_tag, "third");
    assert_int_equal(notify(&fork, 0, ACTIVE, MWI), 481);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_NOTIFY), 1);
    world_run(&s->world, ROAM_SECONDS(560));
    char tag[256];
    snprintf(tag, sizeof tag, ";tag=%s\r\n", h.own_tag);
    assert_non_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, tag));
    scene_free(s);
}

/* What a NOTIFY has to be: ours in Call-ID, tag, event and id, with a state, in order, of a bearable size and of plain bytes. */
static void test_refused_notifies(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    hand stranger;
    hand_begin(&stranger, s);
    assert_int_equal(notify(&stranger, 0, ACTIVE, MWI), 481); /* without To tag */
    snprintf(stranger.agent_tag, sizeof stranger.agent_tag, "guess");
    assert_int_equal(notify(&stranger, 0, ACTIVE, MWI), 481);
    roam_subscription_id id = active(&h, s);
    unsigned last = h.cseq;
    assert_int_equal(notify(&h, last, ACTIVE, MWI), 500);     /* the number of the last one */
    assert_int_equal(notify(&h, last - 1, ACTIVE, MWI), 500); /* an older one */
    assert_int_equal(notify(&h, 0, "Event: dialog\r\nSubscription-State: active\r\n", ""), 481);
    assert_int_equal(notify(&h, 0, "Event: message-summary;id=7\r\nSubscription-State: active\r\n", ""), 481);
    assert_int_equal(notify(&h, 0, "Subscription-State: active\r\n", ""), 489);
    assert_int_equal(notify(&h, 0, "Event: message-summary\r\n", ""), 400);
    assert_int_equal(notify(&h, 0, ACTIVE "Content-Encoding: gzip\r\n", MWI), 415);
    hand wrong = h;
    snprintf(wrong.own_tag, sizeof wrong.own_tag, "wrong");
    assert_int_equal(notify(&wrong, 0, ACTIVE, MWI), 481);
    snprintf(wrong.call_id, sizeof wrong.call_id, "wrong");
    assert_int_equal(notify(&wrong, 0, ACTIVE, MWI), 481);
    assert_int_equal(world_count(s->agent, ROAM_EVENT_NOTIFY), 1);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    h.cseq += 20;
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200);
    scene_free(s);
}

/* Bodies up to 32 KiB are given to the application, larger ones refused with 413; a flood leaves nothing behind. */
static void test_floods(void **state)
{
    (void)state;
    hand h;
    static char text[66000], body[65000];
    scene *s = begin(&h);
    active(&h, s);
    char local[ROAM_ADDR_TEXT_MAX];
    roam_account_info account = account_of(s);
    roam_addr from = sim_addr(HAND ":5060");
    roam_addr_format(&account.local, local);
    world_forget(s->agent);
    memset(body, 'x', sizeof body);
    const size_t sizes[] = {ROAM_MAX_BODY, ROAM_MAX_BODY + 1, 64 * 1024 - 1000};
    for (size_t i = 0; i < 3; i++) {
        int n = snprintf(text, sizeof text,
                         "NOTIFY %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKbig%zu\r\nMax-Forwards: 70\r\nFrom: <sip:hand@" HAND ">;tag=%s\r\n"
                         "To: <sip:alice@example.com>;tag=%s\r\nCall-ID: %s\r\nCSeq: %zu NOTIFY\r\nContact: <sip:hand@" HAND ":5060>\r\n" ACTIVE
                         "Content-Length: %zu\r\n\r\n%.*s",
                         h.target, i, h.own_tag, h.agent_tag, h.call_id, 500 + i, sizes[i], (int)sizes[i], body);
        world_inject(&s->world, &from, &account.local, span_make(text, (size_t)n));
        world_run(&s->world, ROAM_MS(110));
        assert_int_equal(hand_status(&h, (unsigned)(500 + i), "NOTIFY"), i ? 413 : 200);
    }
    assert_int_equal(world_count(s->agent, ROAM_EVENT_NOTIFY), 1);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_NOTIFY)->body.len, ROAM_MAX_BODY);
    world_forget(s->agent);
    world_run(&s->world, ROAM_SECONDS(40));
    roam_ua_counters before, after;
    roam_ua_get_counters(s->agent->ua, &before);
    h.cseq = 600;
    for (int i = 0; i < 1000; i++) /* each a transaction; half of them of nobody */
        hand_request(&h, "NOTIFY", i & 1 ? 3 : 0, i % 4 == 0 ? ACTIVE : "Event: message-summary\r\nSubscription-State: pending\r\n", "");
    world_run(&s->world, ROAM_SECONDS(40));
    roam_ua_get_counters(s->agent->ua, &after);
    assert_int_equal(after.subscriptions, 1);
    assert_in_range(after.transactions, 0, before.transactions + 2);
    assert_in_range(after.memory_blocks, 0, before.memory_blocks + 16);
    scene_free(s);
}

/* Answers: 401 with a password it takes, 423, 489, 481 in the dialog, 503 with Retry-After, silence. */
static void test_answers(void **state)
{
    (void)state;
    hand h;
    char line[256], first_id[128];
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 401, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"n1\", qop=\"auth\"\r\n", "");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    assert_non_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, "\r\nAuthorization: Digest "));
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 423, "Min-Expires: 1800\r\n", "");
    world_run(&s->world, ROAM_MS(110));
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nExpires: ", line, sizeof line), "1800");
    hand_copy(hand_asked(&h, "SUBSCRIBE")->text, "\r\nCall-ID: ", "\r", first_id, sizeof first_id);
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 503, "Retry-After: 20\r\n", "");
    world_run(&s->world, ROAM_SECONDS(19));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_WAITING);
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 3);
    world_run(&s->world, ROAM_SECONDS(6));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 4);
    assert_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, first_id)); /* an attempt of its own */
    learn(&h);
    accept_last(&h, "Expires: 1000\r\n");
    assert_int_equal(notify(&h, 0, "Event: message-summary\r\nSubscription-State: active\r\n", ""), 200);
    assert_int_equal((info_of(s, id).expires_at - s->world.now) / ROAM_SECONDS(100), 9);
    world_run(&s->world, ROAM_SECONDS(945)); /* the refresh: 481 */
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 5);
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 481, "", "");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 6);
    assert_null(strstr(hand_asked(&h, "SUBSCRIBE")->text, h.call_id));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_SUBSCRIBING);
    world_run(&s->world, ROAM_SECONDS(40)); /* silence */
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 7);
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 489, "Allow-Events: dialog\r\n", "");
    world_run(&s->world, ROAM_MS(110));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_SUBSCRIPTION)->sip_code, 489);
    world_run(&s->world, ROAM_SECONDS(400));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 7);
    scene_free(s);
}

/* A wrong password ends it after one answer to a fresh nonce; a 2xx without any NOTIFY is a failure after Timer N, and tried again. */
static void test_failures(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    for (int i = 0; i < 2; i++) {
        char challenge[128];
        snprintf(challenge, sizeof challenge, "WWW-Authenticate: Digest realm=\"hand\", nonce=\"n%d\", qop=\"auth\"\r\n", i);
        hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 401, challenge, "");
        world_run(&s->world, ROAM_MS(110));
    }
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_SUBSCRIPTION)->status, ROAM_EAUTH);
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    id = subscribe(s, "message-summary");
    learn(&h);
    accept_last(&h, "Expires: 600\r\n");
    world_run(&s->world, ROAM_SECONDS(31));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_SUBSCRIBING);
    world_run(&s->world, ROAM_SECONDS(4));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 4);
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 481); /* of the attempt before */
    scene_free(s);
}

/* `terminated` with each reason (RFC 6665 4.1.3): who subscribes anew, when, and who does not. */
static void test_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *params;
        bool ended;
        unsigned from_s, to_s; /* when the next SUBSCRIBE comes */
    } cases[] = {
        {";reason=deactivated", false, 0, 1},
        {";reason=deactivated;retry-after=100", false, 0, 1},
        {";reason=timeout", false, 0, 1},
        {";reason=probation;retry-after=30", false, 30, 37},
        {";reason=probation", false, 1, 3},
        {";reason=giveup;retry-after=10", false, 10, 13},
        {";reason=giveup", false, 1, 3},
        {";reason=rejected", true, 0, 0},
        {";reason=noresource;retry-after=5", true, 0, 0},
        {";reason=invariant", true, 0, 0},
        {";reason=somethingnew;retry-after=7", false, 7, 9},
        {"", false, 1, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hand h;
        scene *s = begin(&h);
        roam_subscription_id id = active(&h, s);
        char headers[256];
        world_run(&s->world, ROAM_SECONDS(20));
        snprintf(headers, sizeof headers, "Event: message-summary\r\nSubscription-State: terminated%s\r\n", cases[i].params);
        roam_time t0 = s->world.now;
        assert_int_equal(notify(&h, 0, headers, ""), 200);
        if (cases[i].from_s)
            world_run_until(&s->world, t0 + ROAM_SECONDS(cases[i].from_s) - ROAM_MS(10));
        assert_int_equal(hand_count(&h, "SUBSCRIBE"), cases[i].from_s || cases[i].ended ? 1 : 2);
        world_run_until(&s->world, t0 + ROAM_SECONDS(cases[i].to_s + 1));
        assert_int_equal(hand_count(&h, "SUBSCRIBE"), cases[i].ended ? 1 : 2);
        assert_int_equal(info_of(s, id).state, cases[i].ended ? ROAM_SUBSCRIPTION_ENDED : ROAM_SUBSCRIPTION_SUBSCRIBING);
        scene_free(s);
    }
}

/* A notifier that says "deactivated" at once each time: the first time anew at once, then ever later. */
static void test_deactivated_again_and_again(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    active(&h, s);
    for (int i = 0; i < 200; i++) {
        size_t before = hand_count(&h, "SUBSCRIBE");
        notify(&h, 0, "Event: message-summary\r\nSubscription-State: terminated;reason=deactivated\r\n", "");
        world_run(&s->world, ROAM_MS(200));
        if (hand_count(&h, "SUBSCRIBE") == before)
            continue;
        learn(&h);
        accept_last(&h, "Expires: 600\r\n");
        notify(&h, 0, ACTIVE, "");
    }
    assert_in_range(hand_count(&h, "SUBSCRIBE"), 5, 9); /* in 62 to 110 s */
    scene_free(s);
}

/* An id of the event belongs to the match (RFC 6665 4.1.2.3, 8.4). */
static void test_event_id(void **state)
{
    (void)state;
    hand h;
    char line[64];
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "dialog;id=7");
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nEvent: ", line, sizeof line), "dialog;id=7");
    learn(&h);
    accept_last(&h, "Expires: 600\r\n");
    assert_int_equal(notify(&h, 0, "Event: dialog\r\nSubscription-State: active\r\n", ""), 481);
    assert_int_equal(notify(&h, 0, "Event: dialog;id=8\r\nSubscription-State: active\r\n", ""), 481);
    assert_int_equal(notify(&h, 0, "Event: dialog;id=7\r\nSubscription-State: active\r\n", ""), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    scene_free(s);
}

/* Unsubscribing before anything was answered: the 2xx makes a dialog, which is ended; nobody answers the good-bye: 32 s. Without a path: at once. */
static void test_unsubscribe_early(void **state)
{
    (void)state;
    hand h;
    char line[64];
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    learn(&h);
    assert_int_equal(roam_unsubscribe(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 1);
    accept_last(&h, "Expires: 600\r\n");
    world_run(&s->world, ROAM_MS(100));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nExpires: ", line, sizeof line), "0");
    world_run(&s->world, ROAM_SECONDS(34));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    id = active(&h, s);
    set_addrs(s, scene_none);
    assert_int_equal(roam_unsubscribe(s->agent->ua, id), 0);
    world_flush(s->agent);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    assert_int_equal(world_last(s->agent, ROAM_EVENT_SUBSCRIPTION)->status, ROAM_EOFFLINE);
    id = 0;
    assert_int_equal(roam_unsubscribe(s->agent->ua, id), ROAM_ENOTFOUND);
    scene_free(s);
}

/* What is no subscription, and how many there may be. */
static void test_limits(void **state)
{
    (void)state;
    roam_ua_config config;
    roam_ua_config_default(&config);
    roam_ua *ua = roam_ua_new(&config);
    roam_account_config account;
    roam_account_config_default(&account);
    account.aor = "sip:alice@example.com";
    account.register_on_add = false;
    account.registrar = "sip:192.0.2.1";
    static const char *const bad_events[] = {"", "a b", "dialog\r\nX: y", "dialog;", "dialog;id=\r\n", ";id=1",
                                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    roam_subscription_config sub = {.event = "message-summary"};
    assert_int_equal(roam_subscribe(ua, &sub, NULL), ROAM_ENOTFOUND);
    assert_int_equal(roam_account_add(ua, &account, NULL), 0);
    for (size_t i = 0; i < sizeof bad_events / sizeof *bad_events; i++) {
        sub.event = bad_events[i];
        assert_int_equal(roam_subscribe(ua, &sub, NULL), ROAM_EINVAL);
    }
    sub = (roam_subscription_config){.event = "reg", .uri = "not a uri"};
    assert_int_equal(roam_subscribe(ua, &sub, NULL), ROAM_EINVAL);
    sub = (roam_subscription_config){.event = "reg", .accept = "x/y\r\nEvil: 1"};
    assert_int_equal(roam_subscribe(ua, &sub, NULL), ROAM_EINVAL);
    sub = (roam_subscription_config){.event = "reg"};
    for (size_t i = 0; i < ROAM_MAX_SUBSCRIPTIONS; i++)
        assert_int_equal(roam_subscribe(ua, &sub, NULL), 0);
    assert_int_equal(roam_subscribe(ua, &sub, NULL), ROAM_ELIMIT);
    assert_int_equal(roam_subscription_list(ua, NULL, 0), ROAM_MAX_SUBSCRIPTIONS);
    roam_ua_free(ua);
}

/* Bodies of message-summary as RFC 3842 shows them, and what is none. */
static void test_mwi(void **state)
{
    (void)state;
    roam_mwi mwi;
    assert_true(roam_mwi_parse(SPAN("Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\nVoice-Message: 4/8 (1/2)\r\n"), &mwi));
    assert_true(mwi.waiting);
    assert_int_equal(mwi.voice_new, 4);
    assert_int_equal(mwi.voice_old, 8);
    assert_int_equal(mwi.voice_urgent_new, 1);
    assert_int_equal(mwi.voice_urgent_old, 2);
    assert_true(roam_mwi_parse(SPAN("messages-waiting : NO"), &mwi));
    assert_false(mwi.waiting);
    assert_true(roam_mwi_parse(SPAN("Messages-Waiting: no\nvoice-message: 0/3\nFax-Message: 1/1"), &mwi));
    assert_int_equal(mwi.voice_old, 3);
    assert_true(roam_mwi_parse(SPAN("Messages-Waiting: yes\r\nVoice-Message: 1/0\r\n\r\nVoice-Message: junk\r\n"), &mwi));
    static const char *const bad[] = {"", "\r\n", "Voice-Message: 1/2", "Messages-Waiting: maybe", "Messages-Waiting: yes\r\nVoice-Message: 1",
                                      "Messages-Waiting: yes\r\nVoice-Message: 1/x", "Messages-Waiting: yes\r\nVoice-Message: 1/2 (3/4",
                                      "Messages-Waiting: yes\r\nVoice-Message: 99999999999/2", "Messages-Waiting: yes\r\nVoice-Message: -1/2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(roam_mwi_parse(span_of(bad[i]), &mwi));
}

/* The old network goes, another comes: SUBSCRIBE in the dialog with the new Contact, in the same turn as the REGISTER; told as part of the change. */
static void test_move(void **state)
{
    (void)state;
    hand h;
    char line[256];
    scene *s = begin(&h);
    roam_subscription_id id = active(&h, s);
    world_forget(s->agent);
    roam_time t0 = s->world.now;
    set_addrs(s, scene_cell);
    assert_int_equal(sent_from(s, CELL, "SUBSCRIBE", t0), 1);
    assert_int_equal(sent_from(s, CELL, "REGISTER", t0), 1);
    assert_int_equal(last_from(s, CELL, "SUBSCRIBE")->time, last_from(s, CELL, "REGISTER")->time);
    world_run(&s->world, ROAM_MS(60));
    assert_non_null(strstr(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nContact: ", line, sizeof line), CELL));
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nCall-ID: ", line, sizeof line), h.call_id);
    world_run(&s->world, ROAM_MS(300));
    assert_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0)); /* it waits for the subscription */
    accept_last(&h, "Expires: 600\r\n");
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    const roam_event *told = NULL;
    for (size_t i = 0; i < s->agent->heard.n; i++)
        if (s->agent->heard.events[i].op == ROAM_IP_CHANGE_RECOVERED && s->agent->heard.events[i].subscription == id)
            told = &s->agent->heard.events[i];
    assert_non_null(told);
    assert_int_equal(told->report.subscription, id);
    assert_int_equal(told->report.request_sent, 0);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    learn(&h); /* the new target */
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200);
    scene_free(s);
}

/* Two changes within a round trip, back to the first network: what is out is abandoned, the CSeq rises, the last path is the one told. */
static void test_two_moves(void **state)
{
    (void)state;
    hand h;
    char line[256];
    scene *s = begin(&h);
    roam_subscription_id id = active(&h, s);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(20));
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_MS(200));
    const seen *last = hand_asked(&h, "SUBSCRIBE");
    assert_non_null(strstr(last_line(last, "\r\nContact: ", line, sizeof line), WIFI));
    accept_last(&h, "Expires: 600\r\n");
    world_run(&s->world, ROAM_SECONDS(70));
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_int_equal(hand_asked(&h, "SUBSCRIBE"), last);
    unsigned cseq[2];
    hand_copy(last_from(s, CELL, "SUBSCRIBE")->text, "\r\nCSeq: ", " ", line, sizeof line);
    cseq[0] = (unsigned)atoi(line);
    hand_copy(last->text, "\r\nCSeq: ", " ", line, sizeof line);
    cseq[1] = (unsigned)atoi(line);
    assert_int_equal(cseq[1], cseq[0] + 1);
    scene_free(s);
}

/* The first SUBSCRIBE is under way when its path goes: repeated on the new one as an attempt of its own; a NOTIFY of the old one finds nobody. */
static void test_move_while_subscribing(void **state)
{
    (void)state;
    hand h;
    char line[256];
    static const char *const both[] = {CELL, WIFI, NULL};
    scene *s = begin(&h);
    roam_subscription_id id = subscribe(s, "message-summary");
    learn(&h);
    set_addrs(s, both);
    world_run(&s->world, ROAM_MS(60));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    assert_string_not_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nCall-ID: ", line, sizeof line), h.call_id);
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 481);
    learn(&h);
    accept_last(&h, "Expires: 600\r\n");
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    scene_free(s);
}

/* No network for longer than the lease: told when it runs out; subscribed anew, in a dialog of its own, when there is one. For less: the dialog is refreshed. */
static void test_offline(void **state)
{
    (void)state;
    hand h;
    char line[256];
    scene *s = begin(&h);
    roam_subscription_id id = active(&h, s);
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(100));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nCall-ID: ", line, sizeof line), h.call_id);
    accept_last(&h, "Expires: 600\r\n");
    set_addrs(s, scene_none);
    world_run(&s->world, ROAM_SECONDS(590));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    world_run(&s->world, ROAM_SECONDS(20));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_WAITING);
    world_run(&s->world, ROAM_SECONDS(2000));
    set_addrs(s, scene_wifi);
    world_run(&s->world, ROAM_MS(60));
    assert_string_not_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nCall-ID: ", line, sizeof line), h.call_id);
    learn(&h);
    accept_last(&h, "Expires: 600\r\n");
    assert_int_equal(notify(&h, 0, ACTIVE, MWI), 200);
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    scene_free(s);
}

/* An edge that refuses until the REGISTER is through: 403 to the refresh is answered by another one after it, in the same dialog; without a move 403 ends it. */
static void test_edge(void **state)
{
    (void)state;
    hand h;
    static const scripted slow[] = {{503, "Retry-After: 3\r\n"}, {0, NULL}};
    scene *s = begin(&h);
    roam_subscription_id id = active(&h, s);
    SCRIPT(s, "REGISTER", slow);
    set_addrs(s, scene_cell);
    world_run(&s->world, ROAM_MS(60));
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 403, "", "");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    world_run(&s->world, ROAM_SECONDS(4));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 3);
    accept_last(&h, "Expires: 600\r\n");
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ACTIVE);
    world_run(&s->world, ROAM_SECONDS(560));
    hand_answer(&h, hand_asked(&h, "SUBSCRIBE"), 403, "", "");
    world_run(&s->world, ROAM_SECONDS(2));
    assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
    scene_free(s);
}

/* Removing the account ends its subscriptions before it goes; leaving does the same, within its 4 s though nobody answers. */
static void test_account_removed_and_shutdown(void **state)
{
    (void)state;
    for (int leave = 0; leave < 2; leave++) {
        hand h;
        char line[64];
        scene *s = begin(&h);
        roam_subscription_id id = active(&h, s);
        if (leave)
            roam_ua_shutdown(s->agent->ua);
        else
            assert_int_equal(roam_account_remove(s->agent->ua, s->account), 0);
        world_flush(s->agent);
        world_run(&s->world, ROAM_MS(60));
        assert_string_equal(last_line(hand_asked(&h, "SUBSCRIBE"), "\r\nExpires: ", line, sizeof line), "0");
        if (leave) {
            world_run(&s->world, ROAM_SECONDS(5));
            assert_int_equal(world_count(s->agent, ROAM_EVENT_SHUTDOWN_DONE), 1);
        } else {
            world_run(&s->world, ROAM_SECONDS(2));
            roam_ua_counters c;
            roam_ua_get_counters(s->agent->ua, &c);
            assert_int_equal(c.accounts, 1); /* waits */
            accept_last(&h, "Expires: 0\r\n");
            roam_ua_get_counters(s->agent->ua, &c);
            assert_int_equal(c.accounts, 0);
            assert_int_equal(info_of(s, id).state, ROAM_SUBSCRIPTION_ENDED);
        }
        scene_free(s);
    }
}

/* roam_handle_ip_change: refreshed although the path looks the same. */
static void test_forced(void **state)
{
    (void)state;
    hand h;
    scene *s = begin(&h);
    active(&h, s);
    world_forget(s->agent);
    assert_int_equal(roam_handle_ip_change(s->agent->ua, NULL), 0);
    world_flush(s->agent);
    for (size_t i = 0; i < s->agent->heard.n; i++) {
        const roam_event *e = &s->agent->heard.events[i];
        if (e->type == ROAM_EVENT_IP_CHANGE_PROGRESS && e->op == ROAM_IP_CHANGE_DETECTED)
            assert_string_equal(e->reason, "the old path still works"); /* of the account and of the subscription */
    }
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    accept_last(&h, "Expires: 600\r\n");
    assert_non_null(world_progress(s->agent, ROAM_IP_CHANGE_COMPLETED, 0));
    assert_int_equal(hand_count(&h, "SUBSCRIBE"), 2);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_notify_first),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_refused_notifies),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_deactivated_again_and_again),
        cmocka_unit_test(test_event_id),
        cmocka_unit_test(test_unsubscribe_early),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_mwi),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_two_moves),
        cmocka_unit_test(test_move_while_subscribing),
        cmocka_unit_test(test_offline),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_account_removed_and_shutdown),
        cmocka_unit_test(test_forced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
