/* The registration of a peer (RFC 3261 10.2). */
#include "testbed/leg_inside.h"

#define RETRY_SECONDS 5u

static int send_register(roam_peer *peer);
static void register_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void register_answered(roam_peer *peer, const roam_message *response);
static void learn_next_nonce(roam_peer *peer, const roam_message *response);
static void again_later(roam_peer *peer, uint32_t seconds);

int peer_register(roam_peer *peer, roam_time now)
{
    peer_advance(peer, now);
    if (peer->registering)
        return ROAM_EBUSY;
    peer->register_expires = peer->config.expires;
    peer->register_challenges = 0;
    int err = send_register(peer);
    sip_reap(&peer->sip);
    return err;
}

int peer_unregister(roam_peer *peer, roam_time now)
{
    peer_advance(peer, now);
    if (peer->registering)
        return ROAM_EBUSY;
    env_cancel(&peer->env, &peer->register_timer);
    peer->register_expires = 0;
    peer->register_challenges = 0;
    int err = send_register(peer);
    sip_reap(&peer->sip);
    return err;
}

void peer_register_moved(roam_peer *peer, const roam_addr *old)
{
    bool wanted = peer->registered || peer->registering || timer_armed(&peer->register_timer);
    if (!wanted || !peer->register_expires)
        return;
    if (peer->registering)
        client_txn_abandon(peer->registering);
    peer->registering = NULL;
    if (peer->config.move_leaves)
        peer->register_old = (roam_addr){0};
    else if (!peer->register_old.ip.family)
        peer->register_old = *old; /* else an earlier one is not taken back yet */
    peer->register_challenges = 0;
    if (send_register(peer) != ROAM_OK)
        again_later(peer, RETRY_SECONDS);
}

static int send_register(roam_peer *peer)
{
    roam_uri uri;
    roam_request r;
    char text[300];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_lit(&w, "sip:");
    write_cstr(&w, peer->domain);
    if (w.overflow || uri_parse(writer_span(&w), &uri) != ROAM_OK)
        return ROAM_EINVAL;
    if (peer->config.proxy.ip.family)
        uri.ip.family = 0; /* there, whatever the domain is */
    roam_flow *flow = peer_flow(peer, &uri);
    if (!flow)
        return ROAM_EOFFLINE;
    request_begin(&peer->sip, &r, flow, SPAN("REGISTER"), writer_span(&w), 70);
    write_header_name(&r.w, HEADER_FROM);
    peer_write_aor(peer, &r.w);
    write_lit(&r.w, ";tag=");
    write_cstr(&r.w, peer->register_tag);
    write_lit(&r.w, "\r\n");
    write_header_name(&r.w, HEADER_TO);
    peer_write_aor(peer, &r.w);
    write_lit(&r.w, "\r\n");
    write_header(&r.w, HEADER_CALL_ID, span_of(peer->register_call_id));
    write_cseq(&r.w, ++peer->register_cseq, SPAN("REGISTER"));
    peer_write_contact(peer, &r.w);
    if (peer->register_old.ip.family) {
        write_header_name(&r.w, HEADER_CONTACT);
        write_lit(&r.w, "<sip:");
        write_uri_user(&r.w, span_of(peer->user));
        write_char(&r.w, '@');
        write_addr(&r.w, &peer->register_old);
        write_lit(&r.w, ">;expires=0\r\n");
    }
    write_header_u32(&r.w, HEADER_EXPIRES, peer->register_expires);
    peer_write_credentials(peer, &r.w, METHOD_REGISTER, writer_span(&w));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    peer->registering = request_send(&r, register_event, peer);
    flow_unref(flow);
    return peer->registering ? ROAM_OK : ROAM_ENOMEM;
}

static void register_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_peer *peer = user;
    if (txn != peer->registering)
        return;
    switch (event) {
    case CLIENT_RESPONSE:
        if (message->status >= 200)
            register_answered(peer, message);
        break;
    case CLIENT_TIMEOUT:
    case CLIENT_FAILED:
        peer->registered = false;
        again_later(peer, RETRY_SECONDS);
        peer_event(peer, PEER_REGISTER_FAILED, NULL, event == CLIENT_TIMEOUT ? 408 : 503, "no answer");
        break;
    case CLIENT_ENDED: peer->registering = NULL; break;
    }
}

static void register_answered(roam_peer *peer, const roam_message *response)
{
    client_txn_abandon(peer->registering);
    peer->registering = NULL;
    if ((response->status == 401 || response->status == 407) && peer->register_challenges++ < 2 &&
        peer_learn_challenge(peer, response) && send_register(peer) == ROAM_OK)
        return;
    if (response->status < 200 || response->status > 299) {
        uint32_t seconds = RETRY_SECONDS;
        peer->registered = false;
        (void)message_seconds(response, HEADER_RETRY_AFTER, &seconds);
        if (response->status >= 500)
            again_later(peer, seconds < 32 ? seconds : 32);
        peer_event(peer, PEER_REGISTER_FAILED, NULL, response->status, "refused");
        return;
    }
    learn_next_nonce(peer, response);
    roam_value_cursor cursor = {0};
    roam_span value, text;
    roam_name_addr contact;
    uint32_t granted = 0;
    while (message_values(response, HEADER_CONTACT, &cursor, &value))
        if (name_addr_parse(value, &contact) == ROAM_OK && roam_ip_equal(&contact.uri.ip, &peer->path->local.ip) &&
            uri_effective_port(&contact.uri) == peer->path->local.port &&
            param_find(contact.params, SPAN("expires"), &text))
            (void)span_u32(text, &granted);
    peer->registered = granted > 0;
    bool replaced = peer->register_old.ip.family != 0;
    peer->register_old = (roam_addr){0};
    /* Registrars that make one Contact of the old and the new one delete both: asked for again, alone. */
    if (!granted && replaced && peer->register_expires && send_register(peer) == ROAM_OK)
        return;
    if (granted > 1)
        (void)env_arm(&peer->env, &peer->register_timer,
                      ROAM_SECONDS(granted) * 4 / 5); /* refused: the lease runs out, as the event log shows */
    peer_event(peer, PEER_REGISTERED, NULL, response->status, granted ? "" : "unregistered");
}

void peer_register_due(roam_timer *timer)
{
    roam_peer *peer = container_of(timer, roam_peer, register_timer);
    if (peer->registering)
        return;
    peer->register_challenges = 0;
    (void)send_register(peer);
}

/* RFC 7616 3.5: the nonce of the next request. */
static void learn_next_nonce(roam_peer *peer, const roam_message *response)
{
    roam_value_cursor cursor = {0};
    roam_span part, rest, name, value;
    while (message_values(response, HEADER_AUTHENTICATION_INFO, &cursor, &part)) {
        rest = part;
        if (!param_next(&rest, &name, &value) || !span_ieq(name, SPAN("nextnonce")) || value.len < 3 ||
            value.len - 2 >= sizeof peer->registrar.nonce)
            continue;
        memcpy(peer->registrar.nonce, value.ptr + 1, value.len - 2);
        peer->registrar.nonce[value.len - 2] = '\0';
        peer->registrar.count = 0;
    }
}

/* Only a patient peer keeps on asking. */
static void again_later(roam_peer *peer, uint32_t seconds)
{
    if (peer->config.patient && peer->register_expires)
        (void)env_arm(&peer->env, &peer->register_timer, ROAM_SECONDS(seconds));
}
