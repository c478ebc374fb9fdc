#include "testbed/leg_inside.h"

static int peer_send(void *user, const roam_flow *flow, roam_span bytes);
static void peer_request(void *user, roam_server_txn *txn, const roam_message *request);
static void take_message(roam_peer *peer, roam_server_txn *txn, const roam_message *request);
static void peer_ack(void *user, roam_flow *flow, const roam_message *ack);
static roam_leg *find_leg(const roam_peer *peer, uint32_t id);
static roam_leg *find_dialog(const roam_peer *peer, const roam_message *m);
static bool has_to_tag(const roam_message *m);

const char *peer_event_text(roam_peer_event_type type)
{
    static const char *const text[] = {"registered",     "register-failed", "call-incoming", "call-ringing",
                                       "call-confirmed", "call-changed",    "call-refused",  "call-ended",
                                       "refer-progress"};
    return text[type];
}

int peer_init(roam_peer *peer, const roam_peer_config *config, const roam_peer_host *host)
{
    *peer = (roam_peer){.host = *host, .config = *config, .next_leg = 1};
    env_init(&peer->env, config->allocator, config->seed, host->trace, host->user);
    list_init(&peer->legs);
    list_init(&peer->paths);
    timer_init(&peer->register_timer, peer_register_due, "registration refresh");
    outbox_init(&peer->outbox, &peer->env, 0, config->repeat_after, host->send, host->user);
    roam_sip_tu tu = {.send = peer_send, .request = peer_request, .ack = peer_ack, .user = peer};
    int err = sip_init(&peer->sip, &peer->env, &tu);
    peer->user = mem_strdup(&peer->env.mem, span_of(config->user));
    peer->domain = mem_strdup(&peer->env.mem, span_of(config->domain));
    peer->password = config->password ? mem_strdup(&peer->env.mem, span_of(config->password)) : NULL;
    if (err || !peer->user || !peer->domain || (config->password && !peer->password)) {
        peer_free(peer);
        return ROAM_ENOMEM;
    }
    peer->config.user = peer->user;
    peer->config.domain = peer->domain;
    peer->config.password = NULL; /* the one copy is ours */
    if (!peer->config.expires)
        peer->config.expires = 3600;
    if (!peer->config.reject_status)
        peer->config.reject_status = 486;
    peer->sip.merge_check = true;
    if (config->timers.t1)
        peer->sip.timers = config->timers;
    peer->path = peer_path_new(peer, config->socket, &config->local);
    if (!peer->path) {
        peer_free(peer);
        return ROAM_ENOMEM;
    }
    roam_writer w;
    writer_init(&w, peer->register_call_id, sizeof peer->register_call_id - 1);
    random_token(&peer->env.random, &w, w.cap);
    writer_init(&w, peer->register_tag, sizeof peer->register_tag - 1);
    random_token(&peer->env.random, &w, w.cap);
    return ROAM_OK;
}

void peer_free(roam_peer *peer)
{
    list_each (leg, &peer->legs, roam_leg, node)
        leg_free(leg);
    env_cancel(&peer->env, &peer->register_timer);
    sip_free(&peer->sip);
    outbox_free(&peer->outbox);
    list_each (path, &peer->paths, roam_path, node) {
        list_remove(&path->node);
        mem_free(&peer->env.mem, path);
    }
    mem_free(&peer->env.mem, peer->user);
    mem_free(&peer->env.mem, peer->domain);
    mem_free(&peer->env.mem, peer->password);
    env_free(&peer->env);
}

void peer_receive(roam_peer *peer, roam_time now, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    peer_advance(peer, now);
    if (socket == peer->config.socket) {
        sip_receive(&peer->sip, peer->path, from, bytes);
        return;
    }
    list_each (leg, &peer->legs, roam_leg, node) {
        if (leg->rtp_open && leg->rtp_socket == socket) {
            audio_receive(&leg->audio, from, bytes);
            return;
        }
    }
    peer->unknown_socket++;
}

void peer_advance(roam_peer *peer, roam_time now)
{
    env_advance(&peer->env, now);
    sip_reap(&peer->sip);
}

roam_time peer_deadline(const roam_peer *peer)
{
    return timers_deadline(&peer->env.timers);
}

static int call_with(roam_peer *peer, roam_time now, const char *uri, roam_span replaces, uint32_t *call)
{
    peer_advance(peer, now);
    roam_leg *leg = leg_new(peer);
    if (!leg)
        return ROAM_ENOMEM;
    *call = leg->id;
    int err = leg_call(leg, span_of(uri), replaces);
    if (err)
        leg_free(leg);
    sip_reap(&peer->sip);
    return err;
}

int peer_call(roam_peer *peer, roam_time now, const char *uri, uint32_t *call)
{
    return call_with(peer, now, uri, (roam_span){0}, call);
}

int peer_call_replacing(roam_peer *peer, roam_time now, const char *uri, const char *call_id, const char *to_tag,
                        const char *from_tag, uint32_t *call)
{
    char text[512];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_cstr(&w, call_id);
    write_lit(&w, ";to-tag=");
    write_cstr(&w, to_tag);
    write_lit(&w, ";from-tag=");
    write_cstr(&w, from_tag);
    return w.overflow ? ROAM_EOVERFLOW : call_with(peer, now, uri, writer_span(&w), call);
}

/* Finds the call, brings the time up to date, does it, lets what ended go. */
#define LEG_COMMAND(does)                                                                                              \
    do {                                                                                                               \
        peer_advance(peer, now);                                                                                       \
        roam_leg *leg = find_leg(peer, call);                                                                          \
        int err = leg ? (does) : ROAM_ENOTFOUND;                                                                       \
        sip_reap(&peer->sip);                                                                                          \
        return err;                                                                                                    \
    } while (0)

int peer_answer(roam_peer *peer, roam_time now, uint32_t call)
{
    LEG_COMMAND(leg_answer(leg));
}

int peer_reject(roam_peer *peer, roam_time now, uint32_t call, unsigned status)
{
    LEG_COMMAND(leg_reject(leg, status));
}

int peer_hold(roam_peer *peer, roam_time now, uint32_t call, bool hold, bool by_update)
{
    LEG_COMMAND(leg_change(leg, hold, by_update, true));
}

int peer_refresh(roam_peer *peer, roam_time now, uint32_t call, bool by_update, bool with_offer)
{
    LEG_COMMAND(leg_change(leg, leg->local_hold, by_update, with_offer || !by_update));
}

static int refer(roam_leg *leg, const char *uri, uint32_t other_id)
{
    const roam_leg *other = other_id ? find_leg(leg->peer, other_id) : NULL;
    if (other_id && (!other || other == leg))
        return ROAM_ENOTFOUND;
    if (other && (other->state != LEG_CONFIRMED || !other->dialog.remote_tag))
        return ROAM_ESTATE;
    if (!uri && !other)
        return ROAM_EINVAL;
    return leg_refer(leg, span_of(uri ? uri : other->dialog.remote_target), other ? &other->dialog : NULL);
}

int peer_refer(roam_peer *peer, roam_time now, uint32_t call, const char *uri, uint32_t other)
{
    LEG_COMMAND(refer(leg, uri, other));
}

static int hangup(roam_leg *leg)
{
    int err = leg_hangup(leg);
    leg->ended_here |= !err;
    return err;
}

int peer_hangup(roam_peer *peer, roam_time now, uint32_t call)
{
    LEG_COMMAND(hangup(leg));
}

void peer_set_answer(roam_peer *peer, roam_peer_answer answer, roam_time after, unsigned reject_status)
{
    peer->config.answer = answer;
    peer->config.answer_after = after;
    peer->config.reject_status = reject_status ? reject_status : 486;
}

const roam_leg *peer_leg(const roam_peer *peer, uint32_t call)
{
    return find_leg(peer, call);
}

/* ---- for the legs ---- */

void peer_event(roam_peer *peer, roam_peer_event_type type, roam_leg *leg, unsigned status, const char *why)
{
    if (leg && leg->referred_by) {
        if (type == PEER_CALL_RINGING)
            leg_refer_progress(leg, status);
        else if (type == PEER_CALL_CONFIRMED)
            leg_refer_progress(leg, 200);
        else if (type == PEER_CALL_ENDED)
            leg_refer_progress(leg, status >= 300 ? status : 487);
    }
    roam_peer_event event = {type, leg ? leg->id : 0, status, why ? why : ""};
    if (peer->host.event)
        peer->host.event(peer->host.user, &event);
}

void peer_write_aor(const roam_peer *peer, roam_writer *w)
{
    write_lit(w, "<sip:");
    write_uri_user(w, span_of(peer->user));
    write_char(w, '@');
    write_cstr(w, peer->domain);
    write_char(w, '>');
}

void peer_write_contact(const roam_peer *peer, roam_writer *w)
{
    write_header_name(w, HEADER_CONTACT);
    write_lit(w, "<sip:");
    write_uri_user(w, span_of(peer->user));
    write_char(w, '@');
    write_addr(w, &peer->path->local);
    write_lit(w, ">\r\n");
}

void peer_write_allow(const roam_peer *peer, roam_writer *w)
{
    const roam_peer_config *c = &peer->config;
    write_header_name(w, HEADER_ALLOW);
    write_lit(w, "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, MESSAGE");
    if (!c->no_update)
        write_lit(w, ", UPDATE");
    if (c->rel != PEER_REL_NONE)
        write_lit(w, ", PRACK");
    if (!c->no_refer)
        write_lit(w, ", REFER, NOTIFY");
    write_lit(w, "\r\n");
    write_header_name(w, HEADER_SUPPORTED);
    write_lit(w, "199");
    if (!c->no_replaces)
        write_lit(w, ", replaces");
    if (c->rel != PEER_REL_NONE)
        write_lit(w, ", 100rel");
    if (c->session_expires)
        write_lit(w, ", timer");
    write_lit(w, "\r\n");
}

static bool supports(const roam_peer *peer, roam_span option)
{
    return (span_ieq(option, SPAN("timer")) && peer->config.session_expires) ||
           (span_ieq(option, SPAN("100rel")) && peer->config.rel != PEER_REL_NONE) ||
           (span_ieq(option, SPAN("replaces")) && !peer->config.no_replaces) || span_ieq(option, SPAN("199"));
}

static bool keep(char *out, size_t size, roam_span text)
{
    if (text.len >= size)
        return false;
    if (text.len)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return true;
}

bool peer_learn_challenge(roam_peer *peer, const roam_message *response)
{
    bool proxy = response->status == 407;
    roam_peer_credentials *c = proxy ? &peer->proxy : &peer->registrar;
    roam_challenge challenge;
    if (!peer->password || challenge_pick(response, proxy ? HEADER_PROXY_AUTHENTICATE : HEADER_WWW_AUTHENTICATE,
                                          (roam_span){0}, &challenge) != ROAM_OK)
        return false;
    *c = (roam_peer_credentials){.algorithm = challenge.algorithm, .qop = challenge.qop_auth};
    c->known = keep(c->realm, sizeof c->realm, challenge.realm) && keep(c->nonce, sizeof c->nonce, challenge.nonce) &&
               keep(c->opaque, sizeof c->opaque, challenge.opaque) &&
               keep(c->algorithm_text, sizeof c->algorithm_text, challenge.algorithm_text);
    return c->known;
}

void peer_write_credentials(roam_peer *peer, roam_writer *w, roam_method method, roam_span uri)
{
    roam_peer_credentials *both[] = {&peer->registrar, &peer->proxy};
    for (size_t i = 0; i < 2; i++) {
        roam_peer_credentials *c = both[i];
        if (!c->known || (c == &peer->registrar && method != METHOD_REGISTER) ||
            (c == &peer->proxy && method == METHOD_REGISTER))
            continue;
        char cnonce[16];
        roam_writer token;
        writer_init(&token, cnonce, sizeof cnonce);
        random_token(&peer->env.random, &token, sizeof cnonce);
        write_header_name(w, c == &peer->proxy ? HEADER_PROXY_AUTHORIZATION : HEADER_AUTHORIZATION);
        (void)write_authorization(w,
                                  &(roam_digest_input){.algorithm = c->algorithm,
                                                       .username = span_of(peer->user),
                                                       .realm = span_of(c->realm),
                                                       .password = span_of(peer->password),
                                                       .nonce = span_of(c->nonce),
                                                       .opaque = span_of(c->opaque),
                                                       .uri = uri,
                                                       .method = span_of(method_text(method)),
                                                       .qop = c->qop,
                                                       .nc = ++c->count,
                                                       .cnonce = writer_span(&token)},
                                  span_of(c->algorithm_text));
        write_lit(w, "\r\n");
    }
}

roam_path *peer_path_new(roam_peer *peer, uint32_t socket, const roam_addr *local)
{
    roam_path *path = mem_new(&peer->env.mem, roam_path);
    if (!path)
        return NULL;
    path->id = ++peer->npaths;
    path->socket = socket;
    path->local = *local;
    path->transport = TRANSPORT_UDP;
    path->state = PATH_OPENING;
    list_push(&peer->paths, &path->node);
    path_set_state(&peer->env, path, PATH_UP, "given by the host");
    return path;
}

roam_flow *peer_flow(roam_peer *peer, const roam_uri *uri)
{
    roam_addr remote = peer->config.proxy;
    if (uri->ip.family)
        remote = (roam_addr){uri->ip, uri_effective_port(uri)};
    return remote.ip.family ? flow_get(&peer->sip, peer->path, &remote) : NULL;
}

/* ---- what comes in ---- */

static int peer_send(void *user, const roam_flow *flow, roam_span bytes)
{
    roam_peer *peer = user;
    if (flow->path->state != PATH_UP)
        return ROAM_OK; /* lost, as on a cable that was pulled */
    outbox_send(&peer->outbox, flow->path->socket, &flow->remote, bytes);
    return ROAM_OK;
}

static void peer_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    roam_peer *peer = user;
    roam_value_cursor cursor = {0};
    roam_span option;
    roam_response r;
    while (message_values(request, HEADER_REQUIRE, &cursor, &option)) {
        if (supports(peer, option))
            continue;
        response_begin(txn, &r, 420, (roam_span){0}, (roam_span){0});
        write_header(&r.w, HEADER_UNSUPPORTED, option);
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        return;
    }
    if (has_to_tag(request)) {
        roam_leg *leg = find_dialog(peer, request);
        if (leg)
            leg_request(leg, txn, request);
        else
            (void)server_txn_respond(txn, 481, (roam_span){0});
        return;
    }
    switch (request->method) {
    case METHOD_INVITE: leg_incoming(peer, txn, request); break;
    case METHOD_OPTIONS:
        response_begin(txn, &r, 200, (roam_span){0}, (roam_span){0});
        peer_write_allow(peer, &r.w);
        write_header(&r.w, HEADER_ACCEPT, SPAN("application/sdp"));
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        break;
    case METHOD_MESSAGE: take_message(peer, txn, request); break;
    case METHOD_BYE:
    case METHOD_UPDATE:
    case METHOD_PRACK:
    case METHOD_NOTIFY:
    case METHOD_INFO: (void)server_txn_respond(txn, 481, (roam_span){0}); break;
    case METHOD_REFER: (void)server_txn_respond(txn, peer->config.no_refer ? 501 : 403, (roam_span){0}); break;
    default: (void)server_txn_respond(txn, 501, (roam_span){0}); break;
    }
}

/* RFC 3428 7: read at once, by nobody. */
static void take_message(roam_peer *peer, roam_server_txn *txn, const roam_message *request)
{
    roam_response r;
    bool plain = message_has_body_type(request, SPAN("text/plain"));
    peer->messages += plain;
    response_begin(txn, &r, plain ? 200 : 415, (roam_span){0}, (roam_span){0});
    if (!plain)
        write_header(&r.w, HEADER_ACCEPT, SPAN("text/plain"));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
}

static void peer_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    roam_leg *leg = find_dialog(user, ack);
    (void)flow;
    if (leg)
        leg_ack(leg, ack);
}

static roam_leg *find_leg(const roam_peer *peer, uint32_t id)
{
    list_each (leg, &peer->legs, roam_leg, node)
        if (leg->id == id)
            return leg;
    return NULL;
}

static roam_leg *find_dialog(const roam_peer *peer, const roam_message *m)
{
    list_each (leg, &peer->legs, roam_leg, node)
        if (leg->state != LEG_ENDED && (dialog_matches(&leg->dialog, m, true) || leg_early_select(leg, m)))
            return leg;
    return NULL;
}

static bool has_to_tag(const roam_message *m)
{
    roam_name_addr to;
    return name_addr_parse(message_value(m, HEADER_TO), &to) == ROAM_OK && name_addr_tag(&to).len > 0;
}
