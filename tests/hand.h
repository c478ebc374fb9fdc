/* A far end moved by hand: each message is written by the test, so that it can do what no decent peer does. It stands at 203.0.113.50 and is
 * reached without a proxy. */
#ifndef ROAM_TESTS_HAND_H
#define ROAM_TESTS_HAND_H

#include "scene.h"

#define HAND "203.0.113.50"
#define HAND_SDP "v=0\r\no=h 1 1 IN IP4 " HAND "\r\ns=-\r\nc=IN IP4 " HAND "\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"

typedef struct hand {
    scene *s;
    unsigned cseq, branch;
    const char *from; /* the source of what it sends; NULL: its own address */
    const char *contact; /* of its requests; NULL: its own address */
    const char *answer_contact; /* of its responses; NULL: its own address */
    const char *user; /* of its From; NULL: "hand" */
    char call_id[128], own_tag[64], agent_tag[128], target[256];
} hand;

static inline void hand_begin(hand *h, scene *s)
{
    static unsigned n;
    *h = (hand){.s = s, .cseq = 100};
    snprintf(h->call_id, sizeof h->call_id, "hand-%u", ++n);
    snprintf(h->own_tag, sizeof h->own_tag, "h%u", n);
    char local[ROAM_ADDR_TEXT_MAX];
    roam_account_info info = account_of(s);
    roam_addr_format(&info.local, local);
    snprintf(h->target, sizeof h->target, "sip:alice@%s", local);
}

static inline void hand_inject(hand *h, const char *text)
{
    roam_addr from = sim_addr(h->from ? h->from : HAND ":5060");
    roam_account_info info = account_of(h->s);
    world_inject(&h->s->world, &from, &info.local, span_of(text));
}

/* A request, in the dialog if there is one. `cseq` 0: the next. `headers` are whole lines; `body` may be "". Returns the CSeq. */
static inline unsigned hand_request(hand *h, const char *method, unsigned cseq, const char *headers, const char *body)
{
    char text[8192];
    unsigned number = cseq ? cseq : ++h->cseq;
    bool typed = strstr(headers, "Content-Type") || !*body;
    snprintf(text, sizeof text,
             "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP " HAND ":5060;branch=z9hG4bKh%s%u;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@" HAND ">;tag=%s\r\n"
             "To: <sip:alice@example.com>%s%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nContact: <%s>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
             method, h->target, h->own_tag, ++h->branch, h->user ? h->user : "hand", h->own_tag, *h->agent_tag ? ";tag=" : "", h->agent_tag, h->call_id, number, method, h->contact ? h->contact : "sip:hand@" HAND ":5060",
             headers, typed ? "" : "Content-Type: application/sdp\r\n", strlen(body), body);
    hand_inject(h, text);
    return number;
}

/* The last response to that request of ours; NULL: none came. */
static inline const seen *hand_response(const hand *h, unsigned cseq, const char *method)
{
    char line[160], id[160];
    roam_ip to = sim_ip(HAND);
    snprintf(line, sizeof line, "\r\nCSeq: %u %s\r\n", cseq, method);
    snprintf(id, sizeof id, "\r\nCall-ID: %s\r\n", h->call_id);
    for (size_t i = h->s->nlog; i-- > 0;) {
        const seen *e = &h->s->log[i];
        if (roam_ip_equal(&e->to.ip, &to) && strncmp(e->text, "SIP/2.0 ", 8) == 0 && strstr(e->text, line) && strstr(e->text, id))
            return e;
    }
    return NULL;
}

static inline unsigned hand_status(const hand *h, unsigned cseq, const char *method)
{
    const seen *e = hand_response(h, cseq, method);
    return e ? (unsigned)strtoul(e->text + 8, NULL, 10) : 0;
}

/* The last request of that method that the agent sent to us; NULL: none. */
static inline const seen *hand_asked(const hand *h, const char *method)
{
    roam_ip to = sim_ip(HAND);
    for (size_t i = h->s->nlog; i-- > 0;)
        if (roam_ip_equal(&h->s->log[i].to.ip, &to) && scene_is_request(h->s->log[i].text, strlen(h->s->log[i].text), method))
            return &h->s->log[i];
    return NULL;
}

static inline size_t hand_count(const hand *h, const char *method)
{
    size_t n = 0;
    roam_ip to = sim_ip(HAND);
    for (size_t i = 0; i < h->s->nlog; i++)
        n += roam_ip_equal(&h->s->log[i].to.ip, &to) && scene_is_request(h->s->log[i].text, strlen(h->s->log[i].text), method) && !scene_is_repeat(h->s, i);
    return n;
}

/* Copies a parameter or value that follows `key` up to one of the stops. */
static inline void hand_copy(const char *text, const char *key, const char *stops, char *out, size_t cap)
{
    const char *at = strstr(text, key);
    out[0] = '\0';
    if (!at)
        return;
    at += strlen(key);
    size_t n = strcspn(at, stops);
    assert_true(n < cap);
    memcpy(out, at, n);
    out[n] = '\0';
}

/* Takes the agent's tag and Contact from its message. */
static inline void hand_learn(hand *h, const seen *e, bool its_request)
{
    assert_non_null(e);
    const char *line = strstr(e->text, its_request ? "\r\nFrom: " : "\r\nTo: ");
    assert_non_null(line);
    hand_copy(line, ";tag=", "\r;", h->agent_tag, sizeof h->agent_tag);
    hand_copy(e->text, "\r\nContact: <", ">", h->target, sizeof h->target);
    if (its_request)
        hand_copy(e->text, "\r\nCall-ID: ", "\r", h->call_id, sizeof h->call_id);
}

/* Answers a request of the agent. */
static inline void hand_answer_tagged(hand *h, const seen *e, unsigned status, const char *tag, const char *headers, const char *body)
{
    static roam_header_space space;
    static char text[8192];
    roam_message m;
    roam_writer w;
    assert_non_null(e);
    assert_int_equal(message_parse(&m, &space, span_of(e->text)), 0);
    writer_init(&w, text, sizeof text);
    write_response_head(&w, &m, status, SPAN(""), span_of(tag), &e->from);
    write_lit(&w, "Contact: <");
    write_cstr(&w, h->answer_contact ? h->answer_contact : "sip:hand@" HAND ":5060");
    write_lit(&w, ">\r\n");
    write_cstr(&w, headers);
    write_body(&w, *body ? SPAN("application/sdp") : SPAN(""), span_of(body));
    assert_false(w.overflow);
    world_inject(&h->s->world, &e->to, &e->from, writer_span(&w));
}

static inline void hand_answer(hand *h, const seen *e, unsigned status, const char *headers, const char *body)
{
    hand_answer_tagged(h, e, status, h->own_tag, headers, body);
}

/* A call from the hand, answered by the agent and acknowledged. */
static inline roam_call_id hand_calls(hand *h, scene *s, const char *sdp, const char *sdp_in_ack)
{
    roam_call_options options = {.source = roam_tone_source(440)};
    hand_begin(h, s);
    unsigned cseq = hand_request(h, "INVITE", 0, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n", sdp);
    world_run(&s->world, ROAM_MS(200));
    const roam_event *e = world_last(s->agent, ROAM_EVENT_CALL_INCOMING);
    assert_non_null(e);
    roam_call_id id = e->call;
    assert_int_equal(roam_call_answer(s->agent->ua, id, &options), 0);
    world_flush(s->agent);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(hand_status(h, cseq, "INVITE"), 200);
    hand_learn(h, hand_response(h, cseq, "INVITE"), false);
    hand_request(h, "ACK", cseq, "", sdp_in_ack);
    world_run(&s->world, ROAM_MS(200));
    return id;
}

/* A call to the hand, answered. */
static inline roam_call_id hand_called(hand *h, scene *s)
{
    hand_begin(h, s);
    roam_call_id id = call_to(s->agent, s->account, "sip:hand@" HAND);
    world_run(&s->world, ROAM_MS(200));
    hand_learn(h, hand_asked(h, "INVITE"), true);
    hand_answer(h, hand_asked(h, "INVITE"), 200, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO\r\n", HAND_SDP);
    world_run(&s->world, ROAM_MS(200));
    assert_int_equal(call_of(s->agent, id).state, ROAM_CALL_CONFIRMED);
    return id;
}

/* For scene_options.account: registered, but not through a proxy. */
static inline roam_account_config hand_account(void)
{
    roam_account_config config = scene_account("sip:alice@example.com", "secret");
    config.outbound_proxy = NULL;
    config.keepalive = 0; /* nothing leaves by itself */
    return config;
}

#endif
