/* For the tests of incoming calls: a scene with a hand, a call of it that rings, and what went by. */
#ifndef ROAM_TESTS_INCOMING_H
#define ROAM_TESTS_INCOMING_H

#include "hand.h"

#define ALLOWS "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\r\n"
#define SUPPORTS "Supported: 100rel\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\r\n"
#define REQUIRES "Require: 100rel\r\nAllow: INVITE, ACK, BYE, CANCEL, PRACK, INFO\r\n"

/* The agent asks its next hop whether the path is alive (OPTIONS to the host, outside of any dialog): it is. */
static inline bool path_is_alive(scene *s, const sim_packet *p)
{
    static const char line[] = "OPTIONS sip:" HAND ":";
    if (p->len > sizeof line && memcmp(p->bytes, line, sizeof line - 1) == 0)
        scene_respond(&s->world, p, 200, "");
    return true;
}

static inline scene *hand_scene_with(roam_100rel reliable)
{
    static roam_account_config account;
    account = hand_account();
    account.reliable = reliable;
    scene *s = scene_new((scene_options){.account = &account});
    s->more = path_is_alive;
    return s;
}

/* The last OPTIONS in the dialog; NULL: none. */
static inline const seen *asked_options(const scene *s)
{
    return last_from(s, CELL, "OPTIONS sip:hand@");
}

static inline scene *hand_scene(void)
{
    return hand_scene_with(ROAM_100REL_SUPPORTED);
}

static inline size_t calls_of(const sim_node *agent)
{
    return roam_call_list(agent->ua, NULL, 0);
}

static inline roam_call_id incoming(const sim_node *agent)
{
    const roam_event *e = world_last(agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    return e->call;
}

/* A call from the hand that rings. */
static inline roam_call_id rings(hand *h, scene *s, const char *headers, const char *sdp)
{
    hand_begin(h, s);
    hand_request(h, "INVITE", 0, headers, sdp);
    world_run(&s->world, ROAM_MS(200));
    return incoming(s->agent);
}

static inline void answer(sim_node *agent, roam_call_id id)
{
    roam_call_options options = {.source = roam_tone_source(600)};
    assert_int_equal(roam_call_answer(agent->ua, id, &options), 0);
    world_flush(agent);
}

static inline void progress(sim_node *agent, roam_call_id id, unsigned status, bool media)
{
    roam_call_options options = {0};
    if (media)
        options.source = roam_tone_source(600);
    assert_int_equal(roam_call_progress(agent->ua, id, status, media, media ? &options : NULL), 0);
    world_flush(agent);
}

static inline unsigned rseq_of(const seen *e)
{
    char text[32];
    assert_non_null(e);
    hand_copy(e->text, "\r\nRSeq: ", "\r", text, sizeof text);
    return (unsigned)strtoul(text, NULL, 10);
}

static inline unsigned prack(hand *h, unsigned rseq, unsigned invite, const char *body)
{
    char line[80];
    snprintf(line, sizeof line, "RAck: %u %u INVITE\r\n", rseq, invite);
    return hand_request(h, "PRACK", 0, line, body);
}

/* Responses of that status to the hand since `since`, repetitions included. */
static inline size_t responses(const scene *s, unsigned status, roam_time since)
{
    char line[24];
    size_t n = 0;
    roam_ip to = sim_ip(HAND);
    snprintf(line, sizeof line, "SIP/2.0 %u ", status);
    for (size_t i = 0; i < s->nlog; i++)
        n += s->log[i].time >= since && roam_ip_equal(&s->log[i].to.ip, &to) && strncmp(s->log[i].text, line, strlen(line)) == 0;
    return n;
}

static inline uint64_t packets_in_a_second(scene *s, roam_call_id id)
{
    uint64_t sent = call_of(s->agent, id).media.packets_sent;
    world_run(&s->world, ROAM_SECONDS(1));
    return call_of(s->agent, id).media.packets_sent - sent;
}

#endif
