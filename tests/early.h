/* Branches of a fork moved by hand: each answers the agent's INVITE with a tag and a Contact of its own. */
#ifndef ROAM_TESTS_EARLY_H
#define ROAM_TESTS_EARLY_H

#include "hand.h"

#define ALLOWS "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK\r\nSupported: replaces, 100rel\r\n"

static inline scene *begin_as(hand *h, roam_100rel reliable)
{
    static roam_account_config account;
    account = hand_account();
    account.reliable = reliable;
    scene *s = scene_new((scene_options){.account = &account});
    hand_begin(h, s);
    return s;
}

/* A call to the hand; its INVITE is in `invite`. */
static inline roam_call_id call_hand(hand *h, scene *s, seen *invite)
{
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    *invite = *hand_asked(h, "INVITE");
    hand_learn(h, invite, true);
    return id;
}

/* A response of one branch: its tag, and a Contact of its own. */
static inline void branch_says(hand *h, const seen *e, unsigned status, const char *tag, const char *headers, const char *body)
{
    static roam_header_space space;
    static char text[8192];
    roam_message m;
    roam_writer w;
    assert_int_equal(message_parse(&m, &space, span_of(e->text)), 0);
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, status, SPAN(""), span_of(tag), &e->from);
    write_lit(&w, "Contact: <sip:");
    write_cstr(&w, tag);
    write_lit(&w, "@" HAND ":5060>\r\n");
    write_cstr(&w, headers);
    write_body(&w, *body ? SPAN("application/sdp") : SPAN(""), span_of(body));
    world_inject(&h->s->world, &e->to, &e->from, writer_span(&w));
    world_run(&h->s->world, ROAM_MS(150));
}

static inline void reliable(hand *h, const seen *e, unsigned status, const char *tag, unsigned rseq, const char *body)
{
    char headers[160];
    snprintf(headers, sizeof headers, ALLOWS "Require: 100rel\r\nRSeq: %u\r\n", rseq);
    branch_says(h, e, status, tag, headers, body);
}

static inline bool is_ip(roam_ip ip, const char *text)
{
    roam_ip other = sim_ip(text);
    return roam_ip_equal(&ip, &other);
}

static inline bool says(const seen *e, const char *part)
{
    return e && strstr(e->text, part) != NULL;
}

/* The number of the CSeq of a message. */
static inline unsigned cseq_of(const seen *e)
{
    return (unsigned)strtoul(strstr(e->text, "\r\nCSeq: ") + 8, NULL, 10);
}

static inline void prack_answered(hand *h, unsigned status)
{
    hand_answer(h, hand_asked(h, "PRACK"), status, "", "");
    world_run(&h->s->world, ROAM_MS(150));
}

/* Requests of that method, each transaction once, whose text has `part`. */
static inline size_t asked_with(const hand *h, const char *method, const char *part)
{
    size_t n = 0;
    for (size_t i = 0; i < h->s->nlog; i++)
        n += scene_is_request(h->s->log[i].text, strlen(h->s->log[i].text), method) && strstr(h->s->log[i].text, part) &&
             !scene_is_repeat(h->s, i) && is_ip(h->s->log[i].to.ip, HAND);
    return n;
}

static inline void move_to(scene *s, const char *const *addrs, roam_time run)
{
    set_addrs(s, addrs);
    world_run(&s->world, run);
}

static inline void hang_up(scene *s, roam_call_id id)
{
    assert_int_equal(roam_call_hangup(s->agent->ua, id), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(100));
}

#endif
