/* What the tests of the confirmed call share: calls with a far end moved by hand, answered with headers of the test's choice. */
#ifndef ROAM_TESTS_REFRESH_H
#define ROAM_TESTS_REFRESH_H

#include "hand.h"

#define ALLOW "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n"
#define ALLOW_NO_UPDATE "Allow: INVITE, ACK, BYE, CANCEL, INFO\r\n"

static inline scene *hand_scene(void)
{
    static roam_account_config account;
    account = hand_account();
    return scene_new((scene_options){.account = &account});
}

static inline size_t calls_of(const sim_node *agent)
{
    return roam_call_list(agent->ua, NULL, 0);
}

/* The value of a header of a message; "" where it has none. One at a time. */
static inline const char *header(const seen *e, const char *name)
{
    static char value[256];
    char key[64];
    assert_non_null(e);
    snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *at = strstr(e->text, key);
    value[0] = '\0';
    if (at)
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(key), "\r"), at + strlen(key));
    return value;
}

static inline bool has_sdp(const seen *e)
{
    return strstr(e->text, "\r\n\r\nv=0") != NULL;
}

static inline void assert_media_on(scene *s, roam_call_id id, const char *ip)
{
    roam_call_info info = call_of(s->agent, id);
    roam_ip expected = sim_ip(ip);
    assert_true(roam_ip_equal(&info.media_local.ip, &expected));
}

/* The hand's tag is smaller, or greater, than any of the agent's. */
enum { SMALL = 1, GREAT };
static int hand_tag; /* 0: as it comes */

/* A call to the hand, answered with these headers. */
static inline roam_call_id called_with(hand *h, scene *s, const char *headers)
{
    hand_begin(h, s);
    if (hand_tag)
        snprintf(h->own_tag, sizeof h->own_tag, hand_tag == SMALL ? "!hand" : "~hand");
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(h, hand_asked(h, "INVITE"), true);
    hand_answer(h, hand_asked(h, "INVITE"), 200, headers, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

/* A call from the hand with these headers, answered; the status of the answer is returned, the call in `id`. */
static inline roam_call_id calls_with(hand *h, scene *s, const char *headers)
{
    hand_begin(h, s);
    unsigned cseq = hand_request(h, "INVITE", 0, headers, HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    roam_call_id id = e->call;
    assert_int_equal(roam_call_answer(s->agent->ua, id, NULL), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(h, hand_response(h, cseq, "INVITE"), false);
    hand_request(h, "ACK", cseq, "", "");
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

#endif
