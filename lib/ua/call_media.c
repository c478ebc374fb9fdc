/* The legs of a call, and the stream that stands on them. */
#include <assert.h>

#include "ua/call.h"

#define PORT_ATTEMPTS 24u
#define LEG_LINGER ROAM_SECONDS(2) /* what is still on its way on the old path */
#define LEG_RETRY ROAM_MS(500) /* a socket that the system refused */
#define MEDIA_SILENCE ROAM_MS(700) /* and a second for the probe: a dead path is noticed within 2 s */
#define RTP_MIN 16384u
#define RTP_MAX 32766u
#define RTCP_SILENCE ROAM_SECONDS(15) /* two or three of its intervals */

static void leg_set_state(roam_call *call, roam_call_leg *leg, roam_call_leg_state state, const char *why)
{
    static const char *const text[] = {"none", "opening rtp", "opening rtcp", "up", "retiring", "failed"};
    if (leg->state == state)
        return;
    trace_state(&call->ua->env.trace, "leg", call->id, text[leg->state], text[state], why);
    leg->state = state;
}

enum { RTP, RTCP };

static roam_leg_socket *leg_socket(roam_call *call, const roam_call_leg *leg, int which)
{
    return &call->leg_sockets[leg - call->legs][which];
}

static uint32_t *handle(roam_call_leg *leg, int which)
{
    return which == RTP ? &leg->rtp_socket : &leg->rtcp_socket;
}

/* A handle of the host for this socket of the leg; 0: no memory. */
static uint32_t socket_new(roam_call *call, roam_call_leg *leg, int which)
{
    roam_leg_socket *s = leg_socket(call, leg, which);
    s->id = net_new_socket(call->ua);
    s->call = call;
    s->leg = (unsigned)(leg - call->legs);
    map_node_init(&s->node);
    if (map_insert(&call->ua->media_sockets, &s->node, span_make((const char *)&s->id, sizeof s->id)) != 0)
        s->id = 0;
    return *handle(leg, which) = s->id;
}

/* The host has none by this handle any more. */
static void socket_forget(roam_call *call, roam_call_leg *leg, int which)
{
    roam_leg_socket *s = leg_socket(call, leg, which);
    if (s->id)
        map_remove(&call->ua->media_sockets, &s->node);
    s->id = *handle(leg, which) = 0;
}

static void socket_close(roam_call *call, roam_call_leg *leg, int which)
{
    roam_output out = {.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = *handle(leg, which)};
    if (out.socket)
        outputs_push(&call->ua->out, &out);
    socket_forget(call, leg, which);
}

static roam_leg_socket *socket_find(roam_ua *ua, uint32_t socket)
{
    roam_map_node *node = map_find(&ua->media_sockets, span_make((const char *)&socket, sizeof socket));
    return node ? container_of(node, roam_leg_socket, node) : NULL;
}

static void leg_drop(roam_call *call, roam_call_leg *leg, const char *why)
{
    if (leg->state == LEG_NONE)
        return;
    if (leg->in_stream && call->stream)
        stream_remove_leg(call->stream, leg->rtp_socket);
    socket_close(call, leg, RTP);
    socket_close(call, leg, RTCP);
    leg_set_state(call, leg, LEG_NONE, why);
    *leg = (roam_call_leg){0};
}

roam_call_leg *call_leg_by_rtp(roam_call *call, uint32_t rtp_socket)
{
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        if (rtp_socket && call->legs[i].rtp_socket == rtp_socket)
            return &call->legs[i];
    return NULL;
}

bool call_leg_failed(const roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        if (call->legs[i].state == LEG_FAILED)
            return true;
    return false;
}

void call_local_of(const roam_call_leg *leg, roam_session_local *out)
{
    *out = (roam_session_local){leg->ip, leg->rtp_port, leg->rtcp_port};
}

/* ---- opening ---- */

static uint16_t next_port(roam_ua *ua)
{
    uint32_t low = ua->config.rtp_port_min ? ua->config.rtp_port_min : RTP_MIN;
    uint32_t high = ua->config.rtp_port_max > low ? ua->config.rtp_port_max : (ua->config.rtp_port_min ? low + 2000 : RTP_MAX);
    low = (low + 1) & ~1u;
    if (high > UINT16_MAX)
        high = UINT16_MAX;
    if (low > UINT16_MAX - 1) /* RTCP takes the port above */
        low = UINT16_MAX - 1;
    uint32_t pairs = (high - low) / 2 + 1;
    if (ua->next_rtp_port < low || ua->next_rtp_port > high) /* begin anywhere: the port is not to be guessed */
        ua->next_rtp_port = (uint16_t)(low + 2 * random_below(&ua->env.random, pairs));
    uint16_t port = ua->next_rtp_port;
    ua->next_rtp_port = (uint16_t)(port + 2u > high ? low : port + 2u);
    return port;
}

static void ask(roam_call *call, roam_call_leg *leg, int which, uint16_t port)
{
    roam_output out = {.type = ROAM_OUTPUT_SOCKET_OPEN,
                       .socket = socket_new(call, leg, which),
                       .local = {leg->ip, port},
                       .link = leg->link,
                       .purpose = which == RTP ? ROAM_SOCKET_RTP : ROAM_SOCKET_RTCP};
    if (!out.socket || !outputs_push(&call->ua->out, &out))
        leg_drop(call, leg, "no memory");
}

static void open_rtp(roam_call *call, roam_call_leg *leg, uint16_t port)
{
    leg->rtp_port = port;
    leg_set_state(call, leg, LEG_OPENING_RTP, "needed");
    ask(call, leg, RTP, port);
}

static void arm_leg_timer(roam_call *call);

static void try_next_port(roam_call *call, roam_call_leg *leg, int err)
{
    if (++leg->attempts >= PORT_ATTEMPTS || err != ROAM_EBUSY) {
        leg_set_state(call, leg, LEG_FAILED, "socket refused");
        leg->retire_at = ua_now(call->ua) + LEG_RETRY;
        arm_leg_timer(call);
        call_look(call);
        return;
    }
    leg_set_state(call, leg, LEG_NONE, "port in use");
    open_rtp(call, leg, next_port(call->ua));
}

static void opened(roam_call *call, roam_call_leg *leg, uint32_t socket, int err, const roam_addr *local)
{
    if (err) {
        socket_forget(call, leg, socket == leg->rtp_socket ? RTP : RTCP); /* what was refused has nothing to close */
        socket_close(call, leg, RTP);
        try_next_port(call, leg, err);
        return;
    }
    if (leg->state == LEG_OPENING_RTP && socket == leg->rtp_socket) {
        if (local->port == UINT16_MAX) { /* no place for RTCP above it */
            socket_close(call, leg, RTP);
            try_next_port(call, leg, ROAM_EBUSY);
            return;
        }
        leg->rtp_port = local->port;
        leg_set_state(call, leg, LEG_OPENING_RTCP, "rtp open");
        ask(call, leg, RTCP, (uint16_t)(local->port + 1));
        return;
    }
    if (leg->state == LEG_OPENING_RTCP && socket == leg->rtcp_socket) {
        leg->rtcp_port = local->port;
        leg_set_state(call, leg, LEG_UP, "rtcp open");
        call_look(call);
    }
}

bool call_socket_opened(roam_ua *ua, uint32_t socket, int err, const roam_addr *local)
{
    roam_leg_socket *s = socket_find(ua, socket);
    if (!s)
        return false;
    opened(s->call, &s->call->legs[s->leg], socket, err, local);
    return true;
}

/* ---- the stream ---- */

static void on_send(void *user, uint32_t socket, const roam_addr *to, roam_span bytes)
{
    roam_call *call = user;
    outputs_push_send(&call->ua->out, socket, to, bytes);
}

static void media_event(roam_call *call, roam_event_type type, const char *why, uint32_t gap_ms)
{
    roam_event event = {.type = type, .account = call->account->id, .call = call->id, .call_state = call->state, .gap_ms = gap_ms};
    ua_event(call->ua, &event, why);
}

/* Packets on a leg that the move brought: what the application is told as uplink and downlink. */
void call_media_progress(roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        const roam_call_leg *leg = &call->legs[i];
        if (!leg->in_stream || leg->rtp_socket == call->move_leg || leg->rtp_socket != call->move_to)
            continue; /* the leg of an earlier change, whose packets still come, says nothing about this one */
        if (leg->sent)
            move_uplink(&call->move);
        if (leg->heard)
            move_downlink(&call->move);
    }
}

static void on_stream_event(void *user, roam_stream *stream, const roam_stream_event *e)
{
    roam_call *call = user;
    roam_call_leg *leg = call_leg_by_rtp(call, e->leg);
    roam_event event;
    (void)stream;
    switch (e->type) {
    case STREAM_SENT:
    case STREAM_RECEIVED:
        if (leg) {
            leg->sent |= e->type == STREAM_SENT;
            leg->heard |= e->type == STREAM_RECEIVED;
        }
        call_media_progress(call);
        break;
    case STREAM_DTMF:
        event = (roam_event){.type = ROAM_EVENT_CALL_DTMF,
                             .account = call->account->id,
                             .call = call->id,
                             .digit = e->digit,
                             .duration_ms = e->duration_ms};
        ua_event(call->ua, &event, "rfc4733");
        break;
    case STREAM_SILENT:
        media_event(call, ROAM_EVENT_CALL_MEDIA_SILENT, "no RTP although it should flow", 0);
        watch_suspect(call->flow, EVIDENCE_MEDIA);
        break;
    case STREAM_HEARD_AGAIN:
        media_event(call, ROAM_EVENT_CALL_MEDIA_HEARD, "RTP is back", e->gap_ms);
        watch_encourage(call->ua, call->hop_dest);
        break;
    case STREAM_RTCP_BYE:
        break; /* the dialog says when a call is over */
    }
    call_look(call);
}

static bool ensure_stream(roam_call *call)
{
    if (call->stream)
        return true;
    roam_stream_host host = {on_send, on_stream_event, call};
    char cname[24];
    roam_writer w;
    writer_init(&w, cname, sizeof cname - 1); /* random: a CNAME must not tell the user or an address (RFC 7022) */
    random_token(&call->ua->env.random, &w, 16);
    cname[w.len] = '\0';
    roam_stream_config config = {.cname = cname, .ptime_ms = 20, .silence = MEDIA_SILENCE};
    call->stream = stream_new(&call->ua->env, &host, &config);
    if (!call->stream)
        return false;
    stream_set_source(call->stream, call->source);
    stream_set_sink(call->stream, call->sink);
    return true;
}

void call_set_audio(roam_call *call, roam_audio_source *source, bool set_source, roam_audio_sink *sink, bool set_sink)
{
    if (set_source && source != call->source) {
        roam_audio_source *old = call->source;
        call->source = source;
        if (call->stream)
            stream_set_source(call->stream, source);
        if (old && old->close)
            old->close(old);
    }
    if (set_sink && sink != call->sink) {
        roam_audio_sink *old = call->sink;
        call->sink = sink;
        if (call->stream)
            stream_set_sink(call->stream, sink);
        if (old && old->close)
            old->close(old);
    }
}

/* Puts a leg that is up under the stream; sends from it at once when the one that sends now cannot. */
static void attach(roam_call *call, roam_call_leg *leg)
{
    if (!call->stream || leg->in_stream)
        return;
    roam_leg l = {leg->rtp_socket, leg->rtcp_socket, true};
    if (stream_add_leg(call->stream, &l) == 0)
        leg->in_stream = true;
}

static bool leg_usable(const roam_call_leg *leg)
{
    return leg && (leg->state == LEG_UP || leg->state == LEG_RETIRING);
}

void call_media_apply(roam_call *call)
{
    const roam_agreement *a = &call->session.agreed;
    roam_ua *ua = call->ua;
    if (!ensure_stream(call)) {
        env_arm(&ua->env, &call->leg_timer, LEG_RETRY);
        return;
    }
    roam_net_dest *dest = a->active && a->remote_rtp.ip.family ? net_dest_get(ua, &a->remote_rtp.ip) : NULL;
    net_dest_put(ua, call->media_dest);
    call->media_dest = dest;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        if (call->legs[i].state == LEG_UP)
            attach(call, &call->legs[i]);
    if (a->active) {
        roam_stream_format format = {.codec = a->codec,
                                     .send_payload_type = a->send_type,
                                     .receive_payload_type = a->receive_type,
                                     .has_dtmf = a->has_dtmf,
                                     .send_dtmf_type = a->send_dtmf,
                                     .receive_dtmf_type = a->receive_dtmf,
                                     .rtcp_mux = a->rtcp_mux};
        const int err = stream_set_format(call->stream, &format);
        stream_set_remote(call->stream, &a->remote_rtp, &a->remote_rtcp);
        stream_set_direction(call->stream, a->direction);
        if (!call->stream_started && stream_start(call->stream) == 0)
            call->stream_started = true;
        if (err || !call->stream_started) { /* no memory: again soon (retire) */
            call->stream_started = false;
            env_arm(&ua->env, &call->leg_timer, LEG_RETRY);
            return;
        }
    } else {
        roam_addr none = {0};
        stream_set_remote(call->stream, &none, &none);
    }
    media_event(call, ROAM_EVENT_CALL_MEDIA, a->active ? a->codec->name : "inactive", 0);
    call_report_hold(call);
    call_look(call);
}

/* ---- which leg ---- */

static roam_call_leg *free_slot(roam_call *call)
{
    roam_call_leg *victim = NULL;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *leg = &call->legs[i];
        if (leg->state == LEG_NONE)
            return leg;
        bool needed = leg->rtp_socket == call->told.leg || (call->stream && leg->rtp_socket == stream_sending_leg(call->stream));
        if (!needed || (!victim && leg->state == LEG_RETIRING))
            victim = leg;
    }
    if (victim)
        leg_drop(call, victim, "replaced by a newer one");
    return victim;
}

/* Since when somebody doubts the path that the signalling would use; 0: it is not dead. */
static roam_time doubted_since(const roam_call *call)
{
    roam_time since = 0;
    watch_why(call->ua, call->hop_dest, call->account->link, &since);
    return since;
}

/* The leg stands on a path that is dead, or that the application wants to be left; or it is being replaced, and nothing comes on it. */
static bool leg_left(const roam_call *call, const roam_call_leg *leg)
{
    return choose_leaves(call->ua, &leg->ip, leg->link) || ((call->move_in_place || call->mend.state == MEND_UNDER_WAY) && leg->generation != call->leg_generation) ||
           (call->hop_dest && watch_dead(call->ua, call->hop_dest, &leg->ip, leg->link) && !call_media_alive(call, doubted_since(call)));
}

/* Nobody answers probes where media goes. Where the signalling had to leave a path and no media comes by that path either, media goes along. */
static bool media_route(roam_call *call, roam_net_dest *dest, roam_ip *source, uint32_t *link)
{
    roam_ua *ua = call->ua;
    roam_ip way;
    uint32_t way_link;
    if (!choose_route(ua, dest, call->account->link, source, link))
        return false;
    if (!call->media_dest || !call->hop_dest || !watch_dead(ua, call->hop_dest, source, *link))
        return true;
    const roam_call_leg *told = call_leg_by_rtp(call, call->told.leg);
    bool flows = told && roam_ip_equal(&told->ip, source) && told->link == *link && call_media_alive(call, doubted_since(call));
    if (!flows && choose_reachable(ua, call->hop_dest, call->account->link, &way, &way_link) && way.family == source->family) {
        *source = way;
        *link = way_link;
    }
    return true;
}

bool call_media_alive(const roam_call *call, roam_time since)
{
    roam_media_stats stats;
    if (!call->stream)
        return false;
    stream_stats(call->stream, &stats);
    roam_time now = ua_now(call->ua);
    bool rtp = stats.last_received > since && now - stats.last_received < MEDIA_SILENCE;
    return rtp || (stats.last_rtcp > since && now - stats.last_rtcp < RTCP_SILENCE);
}

bool call_media_expected(const roam_call *call)
{
    return call->session.agreed.active && (call->session.agreed.direction & DIRECTION_RECVONLY);
}

void call_media_error(roam_ua *ua, uint32_t socket)
{
    roam_leg_socket *s = socket_find(ua, socket);
    if (s)
        watch_suspect(s->call->flow, EVIDENCE_SEND_ERROR);
}

roam_call_leg *call_keep_leg(roam_call *call)
{
    roam_ua *ua = call->ua;
    roam_ip source;
    uint32_t link = 0;
    roam_call_leg *told = call_leg_by_rtp(call, call->told.leg);
    if (told && told->state == LEG_UP && !call_wants_media_move(call))
        return told;
    roam_net_dest *dest = call->media_dest ? call->media_dest : call->hop_dest;
    if (!media_route(call, dest, &source, &link)) {
        /* No way to the peer's own address (a private one behind a relay, say): the signalling path is the best guess. */
        if (!call->media_dest || !flow_usable(call->flow))
            return NULL;
        source = call->flow->path->local.ip;
        link = call->flow->path->link;
    }
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *leg = &call->legs[i];
        bool same = leg->state != LEG_NONE && leg->state != LEG_RETIRING && roam_ip_equal(&leg->ip, &source);
        if (!same || leg->generation != call->leg_generation)
            continue;
        if (leg->state == LEG_FAILED)
            return NULL;
        return leg->state == LEG_UP ? leg : NULL;
    }
    /* A path that is left and taken again: its leg was retiring only. */
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *leg = &call->legs[i];
        if (leg->state == LEG_RETIRING && leg->generation == call->leg_generation && roam_ip_equal(&leg->ip, &source)) {
            leg_set_state(call, leg, LEG_UP, "wanted again");
            return leg;
        }
    }
    roam_call_leg *leg = free_slot(call);
    if (!leg)
        return NULL;
    bool renewed = told && told->generation != call->leg_generation;
    *leg = (roam_call_leg){.ip = source, .link = link, .network = net_identity(ua, &source, link), .generation = call->leg_generation};
    open_rtp(call, leg, told && !renewed ? told->rtp_port : next_port(ua)); /* a known port is one surprise less for firewalls */
    return NULL;
}

/* Nothing is sent from an address that left the device. */
void call_media_drop_dead(roam_call *call)
{
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *leg = &call->legs[i];
        if (leg->state != LEG_NONE && !net_stands(call->ua, &leg->ip, leg->link, leg->network))
            leg_drop(call, leg, "address left the device");
        else if (leg->state != LEG_NONE && !leg->network)
            leg->network = net_identity(call->ua, &leg->ip, leg->link);
    }
}

static bool media_owed(const roam_call *call)
{
    return (!call->stream || !call->stream_started) && call->session.agreed.active && call->state == ROAM_CALL_CONFIRMED;
}

/* The wanted leg, as soon as it is up, takes over at once where the one that sends is gone. */
void call_media_run(roam_call *call)
{
    if (media_owed(call))
        call_media_apply(call); /* there was no memory for it when it was agreed */
    roam_call_leg *wanted = call_keep_leg(call);
    call->move_to = wanted ? wanted->rtp_socket : 0;
    if (!wanted || !call->stream)
        return;
    attach(call, wanted);
    call_media_progress(call);
    uint32_t sending = stream_sending_leg(call->stream);
    if (sending != wanted->rtp_socket && (!leg_usable(call_leg_by_rtp(call, sending)) || leg_left(call, call_leg_by_rtp(call, sending))))
        stream_send_from(call->stream, wanted->rtp_socket);
}

static void arm_leg_timer(roam_call *call)
{
    roam_time next = ROAM_NEVER;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++)
        if ((call->legs[i].state == LEG_RETIRING || call->legs[i].state == LEG_FAILED) && call->legs[i].retire_at < next)
            next = call->legs[i].retire_at;
    if (next != ROAM_NEVER)
        timer_arm(&call->ua->env.timers, &call->leg_timer, next);
}

void call_leg_told(roam_call *call, uint32_t rtp_socket)
{
    roam_call_leg *leg = call_leg_by_rtp(call, rtp_socket);
    if (!leg || !call->stream)
        return;
    attach(call, leg);
    if (stream_sending_leg(call->stream) != rtp_socket)
        stream_send_from(call->stream, rtp_socket);
    mend_told(call, rtp_socket);
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *other = &call->legs[i];
        if (other == leg || other->state == LEG_NONE || other->state == LEG_RETIRING)
            continue;
        if (other->state != LEG_UP) {
            leg_drop(call, other, "not needed any more");
            continue;
        }
        other->retire_at = ua_now(call->ua) + LEG_LINGER;
        leg_set_state(call, other, LEG_RETIRING, "the peer knows the new one");
    }
    arm_leg_timer(call);
}

/* Called by call.c's leg timer: the old leg goes when the new one has been heard, or nothing is to be heard (handover.md, Media). */
static void retire(roam_call *call)
{
    const roam_time now = ua_now(call->ua);
    if (media_owed(call))
        call_look(call);
    bool heard = !call->stream || stream_leg_heard(call->stream, call->told.leg) || !call->expect_in;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        roam_call_leg *leg = &call->legs[i];
        if (leg->state == LEG_FAILED && now >= leg->retire_at) {
            leg_drop(call, leg, "tried again");
            call_look(call);
        }
        if (leg->state != LEG_RETIRING || now < leg->retire_at)
            continue;
        bool used = call->stream && now - stream_leg_last(call->stream, leg->rtp_socket) < LEG_LINGER / 2; /* the peer clings to it: the best that we have */
        if (heard && !used)
            leg_drop(call, leg, "retired");
        else
            leg->retire_at = now + LEG_LINGER;
    }
    arm_leg_timer(call);
}

void call_media_timer(roam_timer *timer);
void call_media_timer(roam_timer *timer)
{
    retire(container_of(timer, roam_call, leg_timer));
}

void call_media_stop(roam_call *call)
{
    mend_stop(call);
    if (call->stream) {
        stream_stats(call->stream, &call->last_media);
        stream_free(call->stream, false);
    }
    call->stream = NULL;
    call->stream_started = false;
    for (size_t i = 0; i < CALL_MAX_LEGS; i++) {
        call->legs[i].in_stream = false;
        leg_drop(call, &call->legs[i], "media over");
    }
    env_cancel(&call->ua->env, &call->leg_timer);
    net_dest_put(call->ua, call->media_dest);
    call->media_dest = NULL;
    call_set_audio(call, NULL, true, NULL, true);
}

bool call_media_receive(roam_ua *ua, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    roam_leg_socket *s = socket_find(ua, socket);
    if (!s)
        return false;
    if (s->call->stream && s->call->legs[s->leg].in_stream)
        stream_receive(s->call->stream, socket, from, bytes);
    return true;
}
