/* The whole core, driven by a program of steps: datagrams true, mutated and random into its sockets, answers to what it asked, time, networks that come and go, commands of the
 * application, sockets and memory refused. After each step: no timer is overdue for ever, outputs are bounded and make sense; at the end nothing is leaked. */
#include "core_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_STEPS 400u

static uint32_t pick_socket(host *h, bool sip)
{
    size_t first = take(h);
    for (size_t i = 0; i < h->nopen; i++)
        if (h->open[(first + i) % h->nopen].sip == sip)
            return h->open[(first + i) % h->nopen].id;
    return 1;
}

static void mutate(host *h, char *bytes, size_t *len, size_t cap)
{
    for (unsigned n = take(h) % 6; n && *len; n--) {
        size_t at = (size_t)(take(h) << 8 | take(h)) % *len;
        uint8_t how = take(h);
        switch (how % 4) {
        case 0:
            bytes[at] = (char)take(h);
            break;
        case 1:
            *len = at;
            break;
        case 2: {
            size_t piece = how / 4 < *len - at ? how / 4 : *len - at;
            memmove(bytes + at, bytes + at + piece, *len - at - piece);
            *len -= piece;
            break;
        }
        default: {
            size_t piece = how / 4 < *len - at ? how / 4 : *len - at;
            if (*len + piece > cap)
                break;
            memmove(bytes + at + piece, bytes + at, *len - at);
            *len += piece;
        }
        }
    }
}

static void deliver(host *h, uint32_t socket, const roam_addr *from, const char *bytes, size_t len)
{
    char *exact = malloc(len ? len : 1); /* so that reading beyond it is seen */
    CHECK(exact);
    if (len)
        memcpy(exact, bytes, len);
    roam_ua_receive(h->ua, h->now, socket, from, span_make(exact, len));
    free(exact);
}

static const char *sdp_of(uint8_t kind)
{
#define SDP_HEAD "v=0\r\no=h 1 1 IN IP4 203.0.113.50\r\ns=-\r\n"
    static const char *const text[] = {
        "",
        SDP_HEAD "c=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n",
        SDP_HEAD "c=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\na=sendonly\r\na=rtcp-mux\r\n",
        SDP_HEAD "c=IN IP4 203.0.113.50\r\nt=0 0\r\nm=video 9000 RTP/AVP 31\r\nm=audio 7002 RTP/AVP 0\r\na=inactive\r\n",
        SDP_HEAD "c=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0\r\n",
        SDP_HEAD "c=IN IP6 2001:db8::50\r\nt=0 0\r\nm=audio 7000 RTP/AVPF 0\r\n",
        SDP_HEAD "c=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n",
        SDP_HEAD "c=IN IP4 203.0.113.50\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18\r\n"};
    return text[kind % 8];
}

/* Answers one of the requests it sent last. */
static void step_answer(host *h)
{
    static const unsigned statuses[] = {200, 200, 200, 180, 183, 100, 401, 407, 403, 404, 408, 423, 480, 481, 486, 487, 488, 491, 500, 503, 600, 302, 199, 405};
    static roam_header_space space;
    if (!h->nkept)
        return;
    size_t k = (h->nkept - 1 - take(h) % (h->nkept < MAX_KEPT ? h->nkept : MAX_KEPT)) % MAX_KEPT;
    unsigned status = statuses[take(h) % (sizeof statuses / sizeof *statuses)];
    uint8_t body = take(h), tag = take(h);
    roam_message m;
    if (message_parse(&m, &space, span_make(h->kept[k].text, h->kept[k].len)) != 0 || !m.is_request)
        return;
    roam_writer w;
    char own[16];
    snprintf(own, sizeof own, "t%u", tag % 3);
    writer_init(&w, h->scratch, sizeof h->scratch);
    roam_addr source = {h->naddrs ? h->addrs[0].ip : ip_of("10.1.0.5"), (uint16_t)(tag & 128 ? 4000 : 5060)};
    write_response_head(&w, &m, status, SPAN(""), span_of(own), tag & 64 ? &source : NULL);
    if (m.method == METHOD_REGISTER)
        write_headers_copied(&w, &m, HEADER_CONTACT);
    else
        write_lit(&w, "Contact: <sip:hand@203.0.113.50:5060>\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n");
    if (status == 401)
        write_lit(&w, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n1\", qop=\"auth\"\r\n");
    if (status == 407)
        write_lit(&w, "Proxy-Authenticate: Digest realm=\"p\", nonce=\"n2\", stale=true\r\n");
    if (status == 423)
        write_lit(&w, "Min-Expires: 7200\r\n");
    if (status == 503 || status == 500)
        write_lit(&w, "Retry-After: 2\r\n");
    if (tag & 32)
        write_lit(&w, "Record-Route: <sip:192.0.2.1;lr>\r\n");
    const char *sdp = m.method == METHOD_INVITE || m.method == METHOD_UPDATE ? sdp_of(body) : "";
    write_body(&w, *sdp ? SPAN("application/sdp") : SPAN(""), span_of(sdp));
    size_t len = w.len;
    if (take(h) % 4 == 0)
        mutate(h, h->scratch, &len, sizeof h->scratch);
    deliver(h, h->kept[k].socket, &h->kept[k].to, h->scratch, len);
}

/* The dialog of the message it sent `back` messages ago, as the far end names it. */
typedef struct ids {
    char agent_tag[64], own_tag[64], call_id[160], target[200], rseq[24];
    unsigned cseq;
} ids;

static const char *copy_span(char *out, size_t cap, roam_span s)
{
    snprintf(out, cap, "%.*s", (int)(s.len < cap ? s.len : cap - 1), s.len ? s.ptr : "");
    return out;
}

static bool read_ids(host *h, size_t back, ids *id)
{
    static roam_header_space space;
    roam_message m;
    roam_name_addr from, to, contact;
    roam_cseq cseq;
    if (!h->nkept)
        return false;
    size_t k = (h->nkept - 1 - back % (h->nkept < MAX_KEPT ? h->nkept : MAX_KEPT)) % MAX_KEPT;
    if (message_parse(&m, &space, span_make(h->kept[k].text, h->kept[k].len)) != 0 || name_addr_parse(message_value(&m, HEADER_FROM), &from) != 0 ||
        name_addr_parse(message_value(&m, HEADER_TO), &to) != 0)
        return false;
    roam_span theirs = name_addr_tag(m.is_request ? &to : &from);
    copy_span(id->agent_tag, sizeof id->agent_tag, name_addr_tag(m.is_request ? &from : &to));
    if (theirs.len)
        copy_span(id->own_tag, sizeof id->own_tag, theirs);
    copy_span(id->call_id, sizeof id->call_id, message_value(&m, HEADER_CALL_ID));
    copy_span(id->rseq, sizeof id->rseq, message_value(&m, HEADER_RSEQ));
    if (name_addr_parse(message_value(&m, HEADER_CONTACT), &contact) == 0 && contact.uri_text.len < sizeof id->target)
        copy_span(id->target, sizeof id->target, contact.uri_text);
    if (cseq_parse(message_value(&m, HEADER_CSEQ), &cseq) == 0)
        id->cseq = cseq.number;
    return true;
}

static void dialog_ids(host *h, bool known, unsigned call, ids *id)
{
    *id = (ids){.target = "sip:alice@10.1.0.5:5060"};
    snprintf(id->own_tag, sizeof id->own_tag, "far%u", call);
    snprintf(id->call_id, sizeof id->call_id, "call%u", call);
    if (known && h->nkept)
        read_ids(h, take(h), id);
}

/* A request of the far end: a new one, or in a dialog that its last messages tell of. */
static void step_request(host *h)
{
    static const char *const methods[] = {"INVITE", "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "INFO", "OPTIONS", "REFER", "X"};
    const char *method = methods[take(h) % 10];
    uint8_t how = take(h), body = take(h), call = take(h) % 4, seq = take(h);
    ids id;
    dialog_ids(h, how & 1, call, &id);
    const char *sdp = *method == 'I' || *method == 'U' || *method == 'A' ? sdp_of(body) : "";
    const char *type = strcmp(method, "INFO") == 0 ? "application/dtmf-relay" : "application/sdp";
    if (strcmp(method, "INFO") == 0)
        sdp = "Signal=5\r\n";
    int len = snprintf(h->scratch, sizeof h->scratch,
                       "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50:5060;branch=z9hG4bKf%u;rport\r\nMax-Forwards: 70\r\nFrom: <sip:hand@203.0.113.50>;tag=%s\r\n"
                       "To: <sip:alice@example.com>%s%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nContact: <sip:hand@203.0.113.50:5060>\r\n%s%s%s%s%sContent-Length: %zu\r\n\r\n%s",
                       method, id.target, how & 2 ? 7u : ++h->counter, id.own_tag, *id.agent_tag ? ";tag=" : "", id.agent_tag, id.call_id, how & 4 ? 1000u + h->counter : seq, method,
                       how & 8 ? "Allow: INVITE, UPDATE, BYE\r\n" : "", how & 16 ? "Record-Route: <sip:192.0.2.1;lr>\r\n" : "", *sdp ? "Content-Type: " : "", *sdp ? type : "",
                       *sdp ? "\r\n" : "", strlen(sdp), sdp);
    CHECK(len > 0 && (size_t)len < sizeof h->scratch);
    size_t n = (size_t)len;
    if (how & 32)
        mutate(h, h->scratch, &n, sizeof h->scratch);
    roam_addr from = remote(h);
    deliver(h, pick_socket(h, true), &from, h->scratch, n);
}

static const char *number(host *h)
{
    static const char *const text[] = {"0", "1", "2", "90", "91", "1800", "2147483647", "2147483648", "4294967295", "4294967296", "", "-1", "x"};
    return text[take(h) % (sizeof text / sizeof *text)];
}

/* The headers that newer methods and their answers are made of; which, says `mask`. */
static void write_extras(host *h, roam_writer *w, uint8_t mask, const ids *id)
{
    if (mask & 1)
        write_lit(w, "Supported: timer, 100rel, replaces\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, REFER, NOTIFY\r\n");
    if (mask & 2) {
        write_lit(w, "Session-Expires: ");
        write_cstr(w, number(h));
        write_cstr(w, take(h) & 1 ? ";refresher=uac\r\n" : ";refresher=uas\r\n");
    }
    if (mask & 4) {
        write_lit(w, "Min-SE: ");
        write_cstr(w, number(h));
        write_lit(w, "\r\n");
    }
    if (mask & 8) {
        write_lit(w, "Expires: ");
        write_cstr(w, number(h));
        write_lit(w, "\r\n");
    }
    if (mask & 16) {
        write_lit(w, "Retry-After: ");
        write_cstr(w, number(h));
        write_lit(w, "\r\n");
    }
    if (mask & 32)
        write_lit(w, "Require: 100rel\r\n");
    if (mask & 64) { /* the dialog of a call, to be replaced */
        write_lit(w, "Replaces: ");
        write_cstr(w, id->call_id);
        write_lit(w, ";to-tag=");
        write_cstr(w, id->agent_tag);
        write_lit(w, ";from-tag=");
        write_cstr(w, id->own_tag);
        write_cstr(w, mask & 128 ? ";early-only\r\n" : "\r\n");
    }
}

/* Answers with what the extensions add: reliable provisional responses, 199, 422, intervals, leases. */
static void step_rich_answer(host *h)
{
    static const unsigned statuses[] = {200, 202, 180, 183, 199, 422, 423, 481, 489, 491, 500, 603, 408, 405, 420, 503};
    static roam_header_space space;
    if (!h->nkept)
        return;
    size_t k = (h->nkept - 1 - take(h) % (h->nkept < MAX_KEPT ? h->nkept : MAX_KEPT)) % MAX_KEPT;
    unsigned status = statuses[take(h) % (sizeof statuses / sizeof *statuses)];
    uint8_t mask = take(h), tag = take(h);
    roam_message m;
    roam_writer w;
    char own[16];
    if (message_parse(&m, &space, span_make(h->kept[k].text, h->kept[k].len)) != 0 || !m.is_request)
        return;
    snprintf(own, sizeof own, "t%u", tag % 3);
    writer_init(&w, h->scratch, sizeof h->scratch);
    roam_addr source = {h->naddrs ? h->addrs[0].ip : ip_of("10.1.0.5"), (uint16_t)(tag & 128 ? 4000 : 5060)};
    write_response_head(&w, &m, status, SPAN(""), span_of(own), tag & 64 ? &source : NULL);
    write_lit(&w, "Contact: <sip:hand@203.0.113.50:5060>\r\n");
    write_extras(h, &w, mask & 31, NULL);
    if (status > 100 && status < 200) {
        write_lit(&w, "Require: 100rel\r\nRSeq: ");
        if (tag & 16)
            write_cstr(&w, number(h));
        else
            write_u64(&w, 1u + take(h) % 4);
        write_lit(&w, "\r\n");
    }
    if (mask & 32)
        write_lit(&w, "Refer-Sub: false\r\n");
    if (tag & 32)
        write_lit(&w, "Record-Route: <sip:192.0.2.1;lr>\r\n");
    const char *sdp = mask & 64 ? sdp_of(take(h)) : "";
    write_body(&w, *sdp ? SPAN("application/sdp") : SPAN(""), span_of(sdp));
    size_t len = w.len;
    if (mask & 128)
        mutate(h, h->scratch, &len, sizeof h->scratch);
    deliver(h, h->kept[k].socket, &h->kept[k].to, h->scratch, len);
}

/* The far end's requests of the extensions, in a dialog or out of any. */
static void step_rich_request(host *h)
{
    static const char *const methods[] = {"PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "INVITE", "UPDATE", "INFO"};
    static const char *const events[] = {"refer", "refer;id=1", "refer;id=4294967296", "message-summary", "message-summary;id=7", "reg", "", "x;id="};
    static const char *const states[] = {"active", "pending;expires=60", "active;expires=1", "terminated;reason=deactivated", "terminated;reason=noresource",
                                         "terminated;reason=timeout", "terminated;reason=giveup;retry-after=4294967295", "terminated;reason=rejected", "odd;expires=x"};
    static const char *const targets[] = {"<sip:carol@203.0.113.50>", "sip:carol@192.0.2.1;method=INVITE", "<sip:c@192.0.2.1;method=BYE>", "<tel:+1234>",
                                          "<sip:carol@192.0.2.1?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db>", "<sip:carol@192.0.2.1?Replaces=x%0d%0aEvil%3A%20y&From=z>", "<>",
                                          "<sip:carol@sip.example.com>, <sip:d@x>"};
    static const char *const bodies[] = {"", "SIP/2.0 100 Trying\r\n", "SIP/2.0 200 OK", "SIP/2.0 486 Busy\r\n", "SIP/2.0 999 x", "Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n"};
    static const char *const types[] = {"message/sipfrag", "message/sipfrag;version=2.0", "application/simple-message-summary", "text/plain", "application/sdp", "application/dtmf"};
    const char *method = methods[take(h) % 8], *body = "", *type = "";
    uint8_t how = take(h), mask = take(h), what = take(h);
    ids id, other;
    roam_writer w;
    dialog_ids(h, how & 1, how >> 6, &id);
    other = id;
    if (mask & 64)
        read_ids(h, take(h), &other);
    writer_init(&w, h->scratch, sizeof h->scratch - 1);
    int len = snprintf(h->scratch, sizeof h->scratch,
                       "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.50:5060;branch=z9hG4bKr%u;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@203.0.113.50>;tag=%s\r\n"
                       "To: <sip:alice@example.com>%s%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nContact: <sip:hand@203.0.113.%u:5060>\r\n",
                       method, id.target, ++h->counter, how & 2 ? "carol" : "hand", *method == 'I' && mask & 64 ? "fresh" : id.own_tag,
                       *id.agent_tag && !(mask & 64) ? ";tag=" : "", mask & 64 ? "" : id.agent_tag, mask & 64 ? "callr" : id.call_id, how & 4 ? 2000u + h->counter : what, method,
                       how & 8 ? 51u : 50u);
    CHECK(len > 0 && (size_t)len < sizeof h->scratch / 2);
    w.len = (size_t)len;
    write_extras(h, &w, mask, &other);
    switch (*method) {
    case 'P':
        write_lit(&w, "RAck: ");
        write_cstr(&w, *id.rseq && !(what & 1) ? id.rseq : number(h));
        write_lit(&w, " ");
        write_u64(&w, what & 2 ? 1 : id.cseq);
        write_lit(&w, " INVITE\r\n");
        break;
    case 'R':
        write_lit(&w, "Refer-To: ");
        write_cstr(&w, targets[what % 8]);
        write_lit(&w, "\r\nReferred-By: <sip:hand@203.0.113.50>\r\n");
        write_cstr(&w, what & 64 ? "Refer-Sub: false\r\n" : "");
        break;
    case 'N':
    case 'S':
        write_lit(&w, "Event: ");
        write_cstr(&w, events[what % 8]);
        write_lit(&w, "\r\nSubscription-State: ");
        write_cstr(&w, states[take(h) % 9]);
        write_lit(&w, "\r\n");
        break;
    default:
        break;
    }
    if (*method == 'U' || strcmp(method, "INVITE") == 0 || *method == 'P') {
        body = sdp_of(take(h));
        type = "application/sdp";
    } else if (*method != 'R' && *method != 'S') {
        body = bodies[take(h) % 6];
        type = types[take(h) % 6];
    }
    write_body(&w, *body ? span_of(type) : SPAN(""), span_of(body));
    size_t n = w.len;
    if (how & 32)
        mutate(h, h->scratch, &n, sizeof h->scratch);
    roam_addr from = remote(h);
    deliver(h, pick_socket(h, true), &from, h->scratch, n);
}

static void step_rich_command(host *h)
{
    static const char *const uris[] = {"sip:carol@203.0.113.50", "carol", "sip:carol@192.0.2.1?Replaces=x", "sip:a>\r\nEvil: b", "sip:carol@sip.example.com", "tel:+123"};
    static const char *const events[] = {"message-summary", "reg", "dialog;id=7", "message-summary;id=7", "a\r\nb"};
    static const char *const types[] = {"text/plain", "application/dtmf", "a/b\r\nEvil: c", NULL};
    roam_call_id ids_[64], id, other;
    roam_subscription_id subs[16];
    size_t n = roam_call_list(h->ua, ids_, 64), nsubs = roam_subscription_list(h->ua, subs, 16);
    uint8_t what = take(h), how = take(h);
    id = n ? ids_[take(h) % (n < 64 ? n : 64)] : 1;
    other = n ? ids_[how % (n < 64 ? n : 64)] : 1;
    roam_message_id message;
    roam_subscription_id sub;
    roam_subscription_info info;
    roam_subscription_config config = {.event = events[how % 5], .expires = how & 16 ? 60 : 0, .uri = how & 32 ? uris[(how >> 6) % 6] : NULL};
    switch (what % 10) {
    case 0:
        roam_call_transfer(h->ua, id, uris[how % 6]);
        break;
    case 1:
        roam_call_transfer_to_call(h->ua, id, other);
        break;
    case 2:
    case 3:
        roam_call_transfer_accept(h->ua, id, NULL, &other);
        break;
    case 4:
        roam_call_transfer_reject(h->ua, id, how & 1 ? 480 : 0);
        break;
    case 5:
        roam_call_send_info(h->ua, id, types[how % 4], SPAN("Signal=1"));
        break;
    case 6:
        if (nsubs < 16)
            roam_subscribe(h->ua, &config, &sub);
        break;
    case 7:
        roam_unsubscribe(h->ua, nsubs ? subs[how % (nsubs < 16 ? nsubs : 16)] : 1);
        break;
    case 8:
        roam_message_send(h->ua, 0, uris[how % 6], types[(how >> 3) % 4], SPAN("hello"), &message);
        break;
    default:
        roam_call_progress(h->ua, id, 180 + how % 4, how & 16, NULL);
    }
    for (size_t i = 0; i < nsubs && i < 16; i++)
        roam_subscription_get_info(h->ua, subs[i], &info);
}

static void step_bytes(host *h, bool sip)
{
    char bytes[256];
    size_t len = take(h);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)take(h);
    if (!sip && len > 12) {
        bytes[0] = (char)0x80;
        bytes[1] = (char)(take(h) % 3 == 0 ? 200 + bytes[1] % 5 : bytes[1] & 0x80);
    }
    roam_addr from = remote(h);
    deliver(h, pick_socket(h, sip), &from, bytes, len);
}

static void step_network(host *h)
{
    static const char *const texts[] = {"10.1.0.5", "10.2.0.7", "2001:db8::5", "192.0.2.77"};
    uint8_t mask = take(h);
    h->naddrs = 0;
    for (size_t i = 0; i < 4; i++)
        if (mask & 1u << i) {
            roam_ip ip = ip_of(texts[(i + (mask >> 4)) % 4]);
            h->addrs[h->naddrs] = (roam_net_addr){.ip = ip, .prefix = ip.family == 4 ? 24 : 64, .link = (uint32_t)i + 1, .metric = (uint32_t)(h->naddrs + 1) * 100,
                                                    .network = mask & 32 ? (mask >> 5) + i : 0};
            h->naddrs++;
        }
    roam_net_route routes[4];
    size_t nroutes = 0;
    for (size_t i = 0; i < 4 && (mask & 128); i++) {
        roam_addr to;
        CHECK(roam_addr_parse(span_of(remotes[i]), &to) == 0);
        routes[nroutes] = (roam_net_route){.destination = to.ip};
        for (size_t k = 0; k < h->naddrs && !routes[nroutes].source.family; k++)
            if (h->addrs[k].ip.family == to.ip.family)
                routes[nroutes] = (roam_net_route){to.ip, h->addrs[k].ip, h->addrs[k].link};
        nroutes++;
    }
    roam_network network = {h->addrs, h->naddrs, routes, nroutes};
    roam_network_update(h->ua, h->now, &network);
}

static void add_account(host *h, uint8_t kind)
{
    roam_account_config config;
    roam_account_id id;
    roam_account_config_default(&config);
    config.aor = "sip:alice@example.com";
    config.password = kind & 1 ? PASSWORD : NULL;
    config.registrar = kind & 2 ? NULL : kind & 4 ? "sip:sip.example.com" : "sip:192.0.2.1";
    config.outbound_proxy = kind & 8 ? "sip:192.0.2.1;lr" : NULL;
    config.expires = kind & 16 ? 60 : 3600;
    config.contact_rewrite_method = kind & 32 ? ROAM_CONTACT_UNREGISTER_FIRST : ROAM_CONTACT_ONE_REGISTER;
    config.ip_change.use_update = kind & 64;
    config.ip_change.hangup_calls = (kind & 192) == 192;
    config.reliable = (kind & 12) == 12 ? ROAM_100REL_REQUIRED : (kind & 24) == 24 ? ROAM_100REL_OFF : ROAM_100REL_SUPPORTED;
    config.session_expires = kind & 16 ? 90 : 1800;
    config.allow_contact_rewrite = ROAM_CONTACT_REWRITE_ALWAYS;
    if (roam_account_add(h->ua, &config, &id) == 0)
        h->account = id;
}

static void step_command(host *h)
{
    roam_call_id ids[64], id;
    size_t n = roam_call_list(h->ua, ids, 64);
    id = n ? ids[take(h) % (n < 64 ? n : 64)] : 1;
    uint8_t what = take(h);
    static const char *const targets[] = {"sip:hand@203.0.113.50", "bob", "sip:x@sip.example.com", "sip:hand@[2001:db8::50]"};
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        if (n < 40)
            roam_call_make(h->ua, 0, targets[(what >> 4) % 4], NULL, &id);
        break;
    case 3:
    case 4:
        roam_call_answer(h->ua, id, NULL);
        break;
    case 5:
        roam_call_reject(h->ua, id, what >> 4 ? 400u + what : 0);
        break;
    case 6:
        roam_call_hangup(h->ua, id);
        break;
    case 7:
        roam_call_hold(h->ua, id);
        break;
    case 8:
        roam_call_resume(h->ua, id);
        break;
    case 9:
        roam_call_dtmf(h->ua, id, "12#");
        break;
    case 10:
        if (roam_account_list(h->ua, NULL, 0) < 8)
            add_account(h, take(h));
        break;
    case 11:
        roam_account_remove(h->ua, h->account);
        break;
    case 12:
        roam_account_register(h->ua, h->account);
        break;
    case 13:
        roam_account_unregister(h->ua, h->account);
        break;
    case 14:
        roam_handle_ip_change(h->ua, NULL);
        break;
    default:
        if (what == 255)
            roam_ua_shutdown(h->ua);
    }
    roam_call_info info;
    roam_account_info account;
    for (size_t i = 0; i < n && i < 64; i++)
        roam_call_get_info(h->ua, ids[i], &info);
    roam_account_get_info(h->ua, h->account, &account);
}

static void step_time(host *h)
{
    uint8_t how = take(h);
    roam_time deadline = roam_ua_deadline(h->ua), until;
    if (how & 128)
        until = deadline == ROAM_NEVER ? h->now : deadline;
    else
        until = h->now + ROAM_MS((uint64_t)(how & 127) * (how & 127) * 4); /* up to a minute */
    /* As a host would: from deadline to deadline, but not for ever where packets flow. */
    for (unsigned n = 0; n < 300 && h->now < until; n++) {
        deadline = roam_ua_deadline(h->ua);
        h->now = deadline < until && n < 299 ? (deadline > h->now ? deadline : h->now) : until;
        roam_ua_advance(h->ua, h->now);
        settle(h);
    }
}

static void step(host *h)
{
    roam_ip ip;
    uint8_t what = take(h);
    if (what >= 0xc0) {
        switch (what % 4) {
        case 0:
            step_rich_answer(h);
            break;
        case 1:
        case 2:
            step_rich_request(h);
            break;
        default:
            step_rich_command(h);
        }
        return;
    }
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_answer(h);
        break;
    case 4:
    case 5:
    case 6:
        step_request(h);
        break;
    case 7:
        step_bytes(h, true);
        break;
    case 8:
        step_bytes(h, false);
        break;
    case 9:
    case 10:
        step_time(h);
        break;
    case 11:
        step_network(h);
        break;
    case 12:
    case 13:
        step_command(h);
        break;
    case 14:
        if (take(h) & 1)
            h->refuse_sockets = take(h) % 30;
        else
            h->refuse_memory = take(h) % 12;
        break;
    default:
        ip = ip_of("192.0.2.1");
        if (take(h) & 1)
            roam_ua_resolved(h->ua, h->now, h->queries[take(h) % 4], &ip, take(h) & 1);
        else
            roam_ua_socket_error(h->ua, h->now, pick_socket(h, true), NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static host space;
    host *h = &space;
    memset(h, 0, sizeof *h);
    h->data = data;
    h->left = size;
    h->now = ROAM_SECONDS(100);
    h->next_port = 40000;
    roam_allocator allocator = {counted, h};
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.allocator = &allocator;
    uint8_t flags = take(h);
    config.sip_port = flags & 1 ? 5060 : 0;
    config.route_answers = !(flags & 2);
    config.seed[0] = flags;
    config.trace_inputs = flags & 4;
    config.trace = flags & 12 ? on_trace : NULL;
    config.trace_user = h;
    if (flags & 16) {
        config.choose_path = on_choice;
        config.choose_path_user = h;
    }
    h->ua = roam_ua_new(&config);
    CHECK(h->ua);
    roam_ua_advance(h->ua, h->now);
    h->naddrs = 1;
    h->addrs[0] = (roam_net_addr){.ip = ip_of("10.1.0.5"), .prefix = 24, .link = 1, .metric = 100};
    roam_network network = {h->addrs, 1, NULL, 0};
    CHECK(roam_network_update(h->ua, h->now, &network) == 0);
    add_account(h, take(h));
    settle(h);
    for (unsigned n = 0; n < MAX_STEPS && h->left; n++) {
        step(h);
        settle(h);
        roam_ua_counters counters;
        roam_ua_get_counters(h->ua, &counters);
        CHECK(counters.memory_blocks < 100000 && counters.calls <= 2048);
    }
    roam_ua_free(h->ua);
    CHECK(h->live == 0);
    return 0;
}
