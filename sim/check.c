#include "sim/check.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/inside.h"
#include "wire/digest.h"

static const struct {
    const char *name, *words;
} rules[SIM_RULES] = {
    [RULE_NONE] = {"none", "no rule was violated"},
    [RULE_CRASH] = {"crash", "nothing a network does may end the program"},
    [RULE_HANG] = {"hang", "a run ends"},
    [RULE_REPEATABLE] = {"repeatable", "the same seed gives the same trace, byte for byte"},
    [RULE_DEAD_PATH] = {"dead-path", "nothing is sent from an address that the device does not have"},
    [RULE_WELL_FORMED] = {"well-formed", "what an agent sends is a whole SIP message"},
    [RULE_RETRANSMISSION] = {"retransmission", "a retransmission is byte-identical (RFC 3261 17)"},
    [RULE_CSEQ] = {"cseq", "CSeq rises in each dialog and direction; ACK and CANCEL name their INVITE's (RFC 3261 12.2.1.1)"},
    [RULE_NONCE] = {"nonce", "a nonce count is used for one request only (RFC 7616 3.4)"},
    [RULE_OFFERS] = {"offers", "offers alternate; o= keeps its identity and its version rises with each change (RFC 3264 4, 8)"},
    [RULE_PENDING] = {"pending", "one INVITE at a time in each dialog, direction and path (RFC 3261 14.1)"},
    [RULE_DEADLINE] = {"deadline", "an agent that was given the time is not due again at the same time for ever"},
    [RULE_BOUNDED] = {"bounded", "transactions, paths, memory and messages a second stay bounded"},
    [RULE_LEAK] = {"leak", "an agent that is freed leaves nothing"},
    [RULE_STATES] = {"states", "a call's states are told in a legal order, and nothing after its end"},
    [RULE_TRUTH] = {"truth", "what the application is told has happened"},
    [RULE_BINDING] = {"binding", "the registrar holds exactly one binding of each account, on a live flow"},
    [RULE_CALL_LOST] = {"call-lost", "no call ends that neither user ended and whose peer is alive"},
    [RULE_ZOMBIE] = {"zombie", "no call goes on at one end only, and nothing rings for a call that is over"},
    [RULE_DIALOG] = {"dialog", "both ends agree on tags, CSeq and targets"},
    [RULE_HOLD] = {"hold", "both ends agree on hold, as their users want it"},
    [RULE_MEDIA] = {"media", "both ends agree on the addresses of media"},
    [RULE_RTP] = {"rtp", "RTP flows both ways"},
    [RULE_DONE] = {"done", "what a user asked for comes to an end"},
};

const char *rule_text(sim_rule rule)
{
    return rules[rule].name;
}

const char *rule_words(sim_rule rule)
{
    return rules[rule].words;
}

/* Messages in one second that nobody could explain; a run has two or three calls. */
#define MESSAGES_PER_SECOND_MAX 150u
#define TRANSACTIONS_MAX 200u
#define PATHS_MAX 24u
#define BLOCKS_MAX 20000u

/* ---- facts ---- */

static uint64_t hash_of(roam_span bytes)
{
    static const uint64_t seed[2] = {11, 12};
    return roam_siphash(seed, bytes);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t seed[2] = {a, 0x9e3779b97f4a7c15u};
    return roam_siphash(seed, span_make((const char *)&b, sizeof b));
}

static uint64_t mix_span(uint64_t a, roam_span s)
{
    return mix(a, hash_of(s));
}

static sim_fact *find(sim_facts *f, uint64_t key)
{
    for (size_t i = f->n; i-- > 0;)
        if (f->facts[i].key == key)
            return &f->facts[i];
    return NULL;
}

static sim_fact *add(sim_check *check, sim_facts *f, uint64_t key)
{
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 32;
        sim_fact *facts = mem_realloc(&check->world->mem, f->facts, f->cap * sizeof *facts);
        if (!facts)
            __builtin_trap();
        f->facts = facts;
    }
    sim_fact *fact = &f->facts[f->n++];
    *fact = (sim_fact){.key = key, .time = check->world->now};
    return fact;
}

static sim_fact *keep(sim_check *check, sim_facts *f, uint64_t key)
{
    sim_fact *fact = find(f, key);
    return fact ? fact : add(check, f, key);
}

static void drop(sim_facts *f, sim_fact *fact)
{
    if (fact)
        *fact = f->facts[--f->n];
}

void check_init(sim_check *check, sim_world *world)
{
    memset(check, 0, offsetof(sim_check, space));
    check->world = world;
}

void check_free(sim_check *check)
{
    sim_facts *all[] = {&check->sent, &check->came, &check->targets, &check->cseqs, &check->invites, &check->nonces, &check->origins, &check->offers, &check->pending, &check->answered, &check->moves,
                        &check->calls, &check->oks, &check->registers};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mem_free(&check->world->mem, all[i]->facts);
        *all[i] = (sim_facts){0};
    }
}

void check_violated(sim_check *check, sim_rule rule, const char *format, ...)
{
    if (check->rule != RULE_NONE)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(check->text, sizeof check->text, format, args);
    va_end(args);
    check->rule = rule;
    check->time = check->world->now;
    check->world->halt = true;
}

bool packet_is_rtp(const sim_packet *packet)
{
    return packet->len > 3 && ((unsigned char)packet->bytes[0] & 0xc0) == 0x80;
}

/* ---- what leaves ---- */

static sim_flowed *flowed_of(sim_check *check, const roam_ip *ip)
{
    for (size_t i = 0; i < check->nflowed; i++)
        if (roam_ip_equal(&check->flowed[i].ip, ip))
            return &check->flowed[i];
    if (check->nflowed == sizeof check->flowed / sizeof *check->flowed)
        return NULL;
    check->flowed[check->nflowed] = (sim_flowed){.ip = *ip};
    return &check->flowed[check->nflowed++];
}

/* What a message is about. `side`: whose tag stands for the direction. */
typedef struct about {
    roam_message m;
    roam_cseq cseq;
    roam_via via;
    roam_name_addr from, to;
    uint64_t call;   /* Call-ID */
    uint64_t ours, theirs; /* Call-ID and the tag of the agent, of the other */
    uint64_t dialog; /* both tags where there are two; a first INVITE: ours alone */
    uint64_t txn;    /* branch and CSeq method */
    uint64_t path;   /* the agent's address */
    bool sdp;
} about;

static bool read_about(sim_check *check, const sim_packet *packet, bool sent, about *a)
{
    if (message_parse(&a->m, &check->space, span_make(packet->bytes, packet->len)) != 0 || message_check(&a->m) != 0 ||
        cseq_parse(message_value(&a->m, HEADER_CSEQ), &a->cseq) != 0 || message_top_via(&a->m, &a->via) != 0 ||
        name_addr_parse(message_value(&a->m, HEADER_FROM), &a->from) != 0 || name_addr_parse(message_value(&a->m, HEADER_TO), &a->to) != 0)
        return false;
    a->call = hash_of(message_value(&a->m, HEADER_CALL_ID));
    bool ours_from = a->m.is_request == sent;
    a->ours = mix_span(a->call, name_addr_tag(ours_from ? &a->from : &a->to));
    a->theirs = mix_span(a->call, name_addr_tag(ours_from ? &a->to : &a->from));
    a->dialog = name_addr_tag(&a->to).len ? mix(a->ours, a->theirs) : a->ours;
    a->txn = mix(mix_span(a->call, a->via.branch), a->cseq.method);
    const roam_addr *at = sent ? &packet->from : &packet->to;
    a->path = hash_of(span_make((const char *)at->ip.bytes, sizeof at->ip.bytes));
    a->sdp = a->m.body.len && message_has_body_type(&a->m, SPAN("application/sdp"));
    return true;
}

static void check_again(sim_check *check, const about *a, roam_span bytes, bool *again)
{
    uint64_t key = mix(a->txn, a->m.is_request ? 1 : 2);
    if (a->m.method == METHOD_ACK)
        key = mix(key, a->theirs); /* of a failure: it says the tag of the one that it answers, which may have started anew */
    if (!a->m.is_request) {
        uint64_t rseq = hash_of(message_value(&a->m, HEADER_RSEQ));
        if (a->m.status < 200 && !message_has(&a->m, HEADER_RSEQ))
            return; /* what an unreliable provisional says may change */
        key = mix(mix(mix(key, a->m.status), rseq), a->path); /* a final response is rendered anew for a new path */
        key = mix(key, a->theirs ^ a->ours);
    }
    sim_fact *fact = find(&check->sent, key);
    *again = fact != NULL;
    if (!fact)
        add(check, &check->sent, key)->value = hash_of(bytes);
    else if (fact->value != hash_of(bytes))
        check_violated(check, RULE_RETRANSMISSION, "%.*s %u %.*s with the branch %.*s was sent before with other bytes", SPAN_ARG(a->cseq.method_name), a->m.status,
                       SPAN_ARG(message_value(&a->m, HEADER_CSEQ)), SPAN_ARG(a->via.branch));
}

static void check_cseq(sim_check *check, const about *a)
{
    uint64_t invite = mix(a->ours, a->cseq.number);
    if (a->m.method == METHOD_ACK || a->m.method == METHOD_CANCEL) {
        if (!find(&check->invites, invite) && !check->starved)
            check_violated(check, RULE_CSEQ, "%s with CSeq %u, which no INVITE of this agent had", method_text(a->m.method), a->cseq.number);
        return;
    }
    /* Each early dialog of a fork counts for itself, from the INVITE that they share. */
    sim_fact *last = find(&check->cseqs, a->dialog);
    if (!last) {
        sim_fact *shared = find(&check->cseqs, a->ours);
        uint64_t from = shared ? shared->value : 0;
        last = add(check, &check->cseqs, a->dialog);
        last->value = from;
        last->more[0] = from == 0; /* any number may be the first */
    }
    if (last->more[0])
        last->more[0] = 0;
    else if (a->cseq.number <= last->value)
        check_violated(check, RULE_CSEQ, "%.*s with CSeq %u after %u", SPAN_ARG(a->m.method_name), a->cseq.number, (unsigned)last->value);
    last->value = a->cseq.number;
    if (a->m.method == METHOD_INVITE)
        keep(check, &check->invites, invite);
}

static void check_nonce(sim_check *check, const about *a)
{
    static const roam_header_id ids[] = {HEADER_AUTHORIZATION, HEADER_PROXY_AUTHORIZATION};
    if (a->m.method == METHOD_ACK || a->m.method == METHOD_CANCEL)
        return; /* an ACK carries its INVITE's (RFC 3261 22.1) */
    for (size_t i = 0; i < 2; i++)
        for (int at = message_first(&a->m, ids[i]); at >= 0; at = message_next(&a->m, ids[i], at)) {
            roam_authorization auth;
            if (authorization_parse(a->m.headers[at].value, &auth) != 0)
                check_violated(check, RULE_WELL_FORMED, "credentials that cannot be read: %.*s", SPAN_ARG(a->m.headers[at].value));
            else if (auth.qop.len) {
                uint64_t key = mix(mix_span(hash_of(auth.nonce), auth.realm), auth.nc);
                if (find(&check->nonces, key))
                    check_violated(check, RULE_NONCE, "nc=%08x of nonce %.*s is used a second time, by %.*s", (unsigned)auth.nc, SPAN_ARG(auth.nonce),
                                   SPAN_ARG(a->m.method_name));
                else
                    add(check, &check->nonces, key);
            }
        }
}

/* o=- 123 4 IN IP4 10.1.0.5 */
static bool origin_of(roam_span sdp, uint64_t *identity, uint64_t *version)
{
    while (sdp.len) {
        roam_span line = span_trim(span_cut(sdp, '\n', &sdp));
        if (!span_starts(line, SPAN("o=")))
            continue;
        roam_span rest, user = span_cut(line, ' ', &rest), id = span_cut(rest, ' ', &rest), number = span_cut(rest, ' ', &rest);
        *identity = mix_span(mix_span(hash_of(user), id), rest);
        return span_u64(number, UINT64_MAX, version);
    }
    return false;
}

static void check_origin(sim_check *check, const about *a)
{
    uint64_t identity, version, body = hash_of(a->m.body);
    if (!origin_of(a->m.body, &identity, &version)) {
        check_violated(check, RULE_OFFERS, "a description without o=");
        return;
    }
    sim_fact *o = find(&check->origins, a->ours);
    if (!o) {
        o = add(check, &check->origins, a->ours);
    } else if (o->value != identity) {
        check_violated(check, RULE_OFFERS, "o= of a dialog has another identity than before");
    } else if (version < o->more[0]) {
        check_violated(check, RULE_OFFERS, "o= version %llu after %llu", (unsigned long long)version, (unsigned long long)o->more[0]);
    } else if (version == o->more[0] && body != o->more[1]) {
        check_violated(check, RULE_OFFERS, "o= version %llu describes something else than before", (unsigned long long)version);
    }
    o->value = identity;
    o->more[0] = version;
    o->more[1] = body;
}

/* A request is looked for by its dialog, a response by what it answers: the first INVITE is of no dialog yet. */
static sim_fact *find_offer(sim_check *check, const about *a)
{
    if (!a->m.is_request)
        for (size_t i = check->offers.n; i-- > 0;)
            if (check->offers.facts[i].value == a->txn)
                return &check->offers.facts[i];
    return find(&check->offers, a->dialog);
}

/* Offers without an answer, each kept with its transaction and path. A path that is gone takes its offers with it: the new path begins anew (docs/handover.md). */
static void open_offer(sim_check *check, const about *a, bool sent)
{
    sim_fact *open = find_offer(check, a);
    bool live = open && open->more[1] == check->epoch && check->world->now - open->time < ROAM_SECONDS(32);
    if (sent && live && open->value != a->txn)
        check_violated(check, RULE_OFFERS, "%.*s %u offers while an offer of %s is open", SPAN_ARG(a->cseq.method_name), a->m.status, open->more[0] ? "its own" : "the peer");
    if (!sent && live)
        return; /* glare: it will be refused */
    drop(&check->offers, open);
    open = add(check, &check->offers, a->dialog);
    open->value = a->txn;
    open->more[0] = sent;
    open->more[1] = check->epoch;
}

static bool makes_offer(const about *a)
{
    return a->sdp && (a->m.method == METHOD_INVITE || a->m.method == METHOD_UPDATE || a->m.method == METHOD_PRACK);
}

static void check_offer(sim_check *check, const about *a, bool sent)
{
    if (a->m.is_request) {
        if (makes_offer(a)) {
            /* A first INVITE has no tag of the peer yet: forks share it. */
            open_offer(check, a, sent);
        }
        if (!sent && a->m.method == METHOD_ACK) {
            sim_fact *open = find_offer(check, a);
            if (open && open->more[0] && open->more[2]) /* ours, in a 2xx: answered by the ACK, or never */
                drop(&check->offers, open);
        }
        if (sent && a->m.method == METHOD_ACK) {
            sim_fact *open = find_offer(check, a);
            if (open && !open->more[0] && open->more[2])
                drop(&check->offers, open);
        }
        return;
    }
    sim_fact *open = find_offer(check, a);
    if (open && open->value == a->txn && (a->m.status >= 200 || (a->sdp && message_has(&a->m, HEADER_RSEQ)))) {
        drop(&check->offers, open);
        return;
    }
    if (open && open->value == mix(a->txn, 3))
        return; /* its own 2xx again */
    if (a->sdp && a->m.status >= 200 && a->m.status < 300 && a->cseq.method == METHOD_INVITE && !find_offer(check, a)) {
        /* A 2xx with a description whose INVITE had none is an offer; ours or theirs. The answer to an offer was handled above. */
        sim_fact *invite = find(&check->pending, mix(a->txn, 7));
        if (invite && !invite->more[0]) {
            sim_fact *o = add(check, &check->offers, a->dialog);
            o->value = mix(a->txn, 3);
            o->more[0] = sent;
            o->more[1] = check->epoch;
            o->more[2] = 1;
        }
    }
}

/* INVITEs under way, ours and theirs; with or without a description. */
static void check_pending(sim_check *check, const about *a, bool sent)
{
    if (a->cseq.method != METHOD_INVITE || a->m.method == METHOD_ACK || a->m.method == METHOD_CANCEL)
        return;
    uint64_t txn = mix(a->txn, 7), dialog = mix(a->ours, sent == a->m.is_request ? 8 : 9);
    if (a->m.is_request) {
        sim_fact *open = find(&check->pending, dialog);
        bool live = open && open->more[1] == check->epoch && open->more[2] == 0 && check->world->now - open->time < ROAM_SECONDS(32);
        if (sent && live && open->value != a->txn)
            check_violated(check, RULE_PENDING, "INVITE with CSeq %u while another one of this dialog is under way on the same path", a->cseq.number);
        if (!find(&check->pending, txn))
            add(check, &check->pending, txn)->more[0] = a->sdp;
        open = find(&check->pending, dialog); /* adding may have moved it */
        if (!open)
            open = add(check, &check->pending, dialog);
        open->value = a->txn;
        open->time = check->world->now;
        open->more[1] = check->epoch;
        open->more[2] = 0;
    } else if (a->m.status >= 200) {
        sim_fact *open = find(&check->pending, dialog);
        if (open && open->value == a->txn)
            open->more[2] = 1;
    }
}

void check_sent(sim_check *check, const sim_packet *packet, bool own)
{
    if (!packet->sender || packet->sender->type != SIM_AGENT)
        return;
    if (!own) {
        char from[ROAM_ADDR_TEXT_MAX];
        roam_addr_format(&packet->from, from);
        check_violated(check, RULE_DEAD_PATH, "%s sent from %s, which its device does not have: %.*s", packet->sender->name, from,
                       (int)(packet_is_rtp(packet) ? 0 : packet->len < 60 ? packet->len : 60), packet->bytes);
        return;
    }
    if (packet_is_rtp(packet)) {
        sim_flowed *f = flowed_of(check, &packet->from.ip);
        if (f)
            f->out = check->world->now;
        return;
    }
    if (span_trim(span_make(packet->bytes, packet->len)).len == 0)
        return; /* a keepalive (RFC 5626 3.5.1) */
    unsigned char first = (unsigned char)packet->bytes[0];
    if (first < 4)
        return; /* STUN */
    about a;
    if (!read_about(check, packet, true, &a)) {
        check_violated(check, RULE_WELL_FORMED, "%s sent what does not pass message_check (%s): %.*s", packet->sender->name, a.m.fault ? a.m.fault : "?",
                       (int)(packet->len < 60 ? packet->len : 60), packet->bytes);
        return;
    }
    if (check->world->now - check->second >= ROAM_SECONDS(1)) {
        check->second = check->world->now;
        check->in_second = 0;
    }
    if (++check->in_second > MESSAGES_PER_SECOND_MAX)
        check_violated(check, RULE_BOUNDED, "more than %u messages within a second", MESSAGES_PER_SECOND_MAX);
    bool again = false;
    check_again(check, &a, span_make(packet->bytes, packet->len), &again);
    if (again)
        return;
    if (a.m.is_request) {
        check_cseq(check, &a);
        check_nonce(check, &a);
    }
    if (a.sdp)
        check_origin(check, &a);
    check_offer(check, &a, true);
    check_pending(check, &a, true);
    if (!a.m.is_request && a.m.status < 300 && a.m.status >= 200)
        keep(check, &check->oks, a.call)->time = check->world->now;
}

/* ---- what arrives ---- */

void check_arrives(sim_check *check, const sim_node *agent, const sim_packet *packet)
{
    if (packet_is_rtp(packet)) {
        sim_flowed *f = flowed_of(check, &packet->to.ip);
        if (f)
            f->in = check->world->now;
        return;
    }
    about a;
    if (packet->len < 16 || !read_about(check, packet, false, &a))
        return;
    uint64_t once = mix(mix(a.txn, a.m.is_request ? a.m.method : a.m.status), hash_of(message_value(&a.m, HEADER_RSEQ)));
    once = mix(once, a.theirs); /* forks answer one transaction each */
    if (find(&check->came, once))
        return;
    add(check, &check->came, once);
    if ((a.m.is_request || (a.m.status >= 200 && a.m.status < 300)) && a.cseq.method != METHOD_REGISTER && message_has(&a.m, HEADER_CONTACT)) {
        sim_fact *target = keep(check, &check->targets, a.theirs);
        uint64_t contact = hash_of(message_value(&a.m, HEADER_CONTACT));
        check->epoch += target->value && target->value != contact; /* the peer moved: what was sent to where it was does not count */
        target->value = contact;
    }
    check_offer(check, &a, false);
    check_pending(check, &a, false);
    bool ok = !a.m.is_request && a.m.status >= 200 && a.m.status < 300;
    if (ok && a.cseq.method == METHOD_REGISTER)
        keep(check, &check->registers, hash_of(span_of(agent->name)))->time = check->world->now;
    else if (ok)
        keep(check, &check->oks, a.call)->time = check->world->now;
    if ((ok && (a.cseq.method == METHOD_INVITE || a.cseq.method == METHOD_UPDATE || a.cseq.method == METHOD_INFO)) || a.m.method == METHOD_ACK ||
        (a.m.is_request && (a.m.method == METHOD_UPDATE || a.m.method == METHOD_BYE || (a.m.method == METHOD_INVITE && name_addr_tag(&a.to).len))))
        keep(check, &check->answered, a.call);
}

/* ---- what is told ---- */

static bool legal(int before, roam_call_state state)
{
    static const uint8_t after[] = {
        [ROAM_CALL_CALLING] = 1u << ROAM_CALL_EARLY | 1u << ROAM_CALL_CONNECTING | 1u << ROAM_CALL_CONFIRMED | 1u << ROAM_CALL_DISCONNECTING | 1u << ROAM_CALL_ENDED,
        [ROAM_CALL_INCOMING] = 1u << ROAM_CALL_CONNECTING | 1u << ROAM_CALL_CONFIRMED | 1u << ROAM_CALL_DISCONNECTING | 1u << ROAM_CALL_ENDED,
        /* A new INVITE after a change of path takes the place of one that rang: one call for the user. */
        [ROAM_CALL_EARLY] = 1u << ROAM_CALL_CALLING | 1u << ROAM_CALL_CONNECTING | 1u << ROAM_CALL_CONFIRMED | 1u << ROAM_CALL_DISCONNECTING | 1u << ROAM_CALL_ENDED,
        [ROAM_CALL_CONNECTING] = 1u << ROAM_CALL_CONFIRMED | 1u << ROAM_CALL_DISCONNECTING | 1u << ROAM_CALL_ENDED,
        [ROAM_CALL_CONFIRMED] = 1u << ROAM_CALL_DISCONNECTING | 1u << ROAM_CALL_ENDED,
        [ROAM_CALL_DISCONNECTING] = 1u << ROAM_CALL_ENDED,
        [ROAM_CALL_ENDED] = 0,
    };
    return before < 0 || (after[before] >> state & 1u);
}

static uint64_t object_of(const sim_node *agent, const roam_event *e)
{
    uint64_t name = hash_of(span_of(agent->name));
    if (e->subscription)
        return mix(mix(name, 3), e->subscription);
    return e->call ? mix(mix(name, 1), e->call) : mix(mix(name, 2), e->account);
}

static void check_call_event(sim_check *check, const sim_node *agent, const roam_event *e)
{
    uint64_t key = object_of(agent, e);
    sim_fact *last = find(&check->calls, key);
    if (e->type == ROAM_EVENT_CALL_INCOMING) {
        if (last)
            check_violated(check, RULE_STATES, "%s: call %u rings a second time", agent->name, e->call);
        add(check, &check->calls, key)->value = ROAM_CALL_INCOMING;
        return;
    }
    if (last && last->value == ROAM_CALL_ENDED) {
        check_violated(check, RULE_STATES, "%s: %s of call %u after its end", agent->name, roam_event_type_text(e->type), e->call);
        return;
    }
    if (e->type != ROAM_EVENT_CALL_STATE)
        return;
    if (last && last->value == (uint64_t)e->call_state && e->call_state == ROAM_CALL_INCOMING)
        return; /* the state beside CALL_INCOMING */
    if (last && !legal((int)last->value, e->call_state))
        check_violated(check, RULE_STATES, "%s: call %u goes from %s to %s (%s)", agent->name, e->call, roam_call_state_text((roam_call_state)last->value),
                       roam_call_state_text(e->call_state), e->reason);
    if (!last)
        last = add(check, &check->calls, key);
    last->value = e->call_state;
    roam_call_info info;
    if (e->call_state == ROAM_CALL_CONFIRMED && roam_call_get_info(agent->ua, e->call, &info) == 0 && !find(&check->answered, hash_of(span_of(info.call_id))))
        check_violated(check, RULE_TRUTH, "%s: call %u is told confirmed, and no 2xx or ACK of it came", agent->name, e->call);
}

static void check_recovered(sim_check *check, const sim_node *agent, const roam_event *e)
{
    sim_fact *move = find(&check->moves, object_of(agent, e));
    roam_call_info info;
    if (!move && check->starved)
        return;
    if (!move) {
        check_violated(check, RULE_TRUTH, "%s: recovered is told, and no change was", agent->name);
        return;
    }
    roam_time began = move->time;
    if (e->subscription)
        return;
    if (e->call == 0) {
        sim_fact *ok = find(&check->registers, hash_of(span_of(agent->name)));
        if (!ok || ok->time < began)
            check_violated(check, RULE_TRUTH, "%s: account %u is told recovered, and no REGISTER was answered 2xx since the change", agent->name, e->account);
        return;
    }
    if (roam_call_get_info(agent->ua, e->call, &info) != 0 || info.state != ROAM_CALL_CONFIRMED)
        return;
    sim_fact *ok = find(&check->oks, hash_of(span_of(info.call_id)));
    if (!ok || ok->time < began)
        check_violated(check, RULE_TRUTH, "%s: call %u is told recovered, and neither side answered 2xx since the change", agent->name, e->call);
    sim_flowed *f = flowed_of(check, &info.media_local.ip);
    if (!f)
        return;
    if (e->report.uplink != ROAM_NEVER && f->out < began)
        check_violated(check, RULE_TRUTH, "%s: call %u is told recovered with uplink, and no RTP left the new address", agent->name, e->call);
    if (e->report.downlink != ROAM_NEVER && f->in < began)
        check_violated(check, RULE_TRUTH, "%s: call %u is told recovered with downlink, and no RTP reached the new address", agent->name, e->call);
}

void check_event(sim_check *check, const sim_node *agent, const roam_event *e)
{
    if (e->call && e->type != ROAM_EVENT_IP_CHANGE_PROGRESS)
        check_call_event(check, agent, e);
    if (e->type != ROAM_EVENT_IP_CHANGE_PROGRESS)
        return;
    if (e->op == ROAM_IP_CHANGE_DETECTED || e->op == ROAM_IP_CHANGE_OFFLINE)
        check->epoch++; /* it may have waited for followers of the change */
    if (e->op == ROAM_IP_CHANGE_DETECTED || e->op == ROAM_IP_CHANGE_OFFLINE)
        keep(check, &check->moves, object_of(agent, e))->time = check->world->now;
    else if (e->op == ROAM_IP_CHANGE_RECOVERED)
        check_recovered(check, agent, e);
}

void check_stepped(sim_check *check, const sim_node *agent)
{
    roam_ua_counters c;
    roam_ua_get_counters(agent->ua, &c);
    if (c.transactions > TRANSACTIONS_MAX || c.paths > PATHS_MAX || c.memory_blocks > BLOCKS_MAX)
        check_violated(check, RULE_BOUNDED, "%s has %zu transactions, %zu paths, %zu blocks of memory", agent->name, c.transactions, c.paths, c.memory_blocks);
}
