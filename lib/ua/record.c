#include "ua/record.h"

#define MEDIA_WHOLE 32u /* a packet this short is an event (RFC 4733), or nothing: kept whole */
#define MEDIA_OUT 12u   /* of a sent one: the sound does not come again */

roam_record record_begin(roam_ua *ua, const char *name, roam_time now)
{
    roam_record r = {.ua = ua, .name = name, .now = now};
    writer_init(&r.w, ua->sip.scratch, ROAM_MAX_MESSAGE); /* nothing is being built between two inputs */
    return r;
}

static void key_of(roam_record *r, const char *key)
{
    if (r->w.len)
        write_char(&r->w, '\n');
    write_cstr(&r->w, key);
    write_char(&r->w, '=');
}

void record_number(roam_record *r, const char *key, uint64_t value)
{
    key_of(r, key);
    write_u64(&r->w, value);
}

void record_signed(roam_record *r, const char *key, int64_t value)
{
    key_of(r, key);
    if (value < 0)
        write_char(&r->w, '-');
    write_u64(&r->w, value < 0 ? (uint64_t)-value : (uint64_t)value);
}

void record_span(roam_record *r, const char *key, roam_span value)
{
    static const char hex[] = "0123456789ABCDEF";
    key_of(r, key);
    for (size_t i = 0; value.ptr && i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x20 || c == '%' || c >= 0x7f) {
            const char escaped[] = {'%', hex[c >> 4], hex[c & 15]};
            write_bytes(&r->w, escaped, 3);
        } else {
            write_char(&r->w, (char)c);
        }
    }
}

void record_text(roam_record *r, const char *key, const char *value)
{
    if (value)
        record_span(r, key, span_of(value));
}

void record_ip(roam_record *r, const char *key, const roam_ip *ip)
{
    char text[ROAM_ADDR_TEXT_MAX];
    if (ip->family)
        record_span(r, key, span_make(text, roam_ip_format(ip, text)));
}

void record_addr(roam_record *r, const char *key, const roam_addr *addr)
{
    char text[ROAM_ADDR_TEXT_MAX];
    if (addr->ip.family)
        record_span(r, key, span_make(text, roam_addr_format(addr, text)));
}

void record_options(roam_record *r, const roam_call_options *options)
{
    if (!options)
        return;
    record_number(r, "options", 1);
    record_number(r, "source", options->source != NULL);
    record_number(r, "sink", options->sink != NULL);
    record_text(r, "codecs", options->codecs);
}

void record_end(roam_record *r)
{
    trace_input(&r->ua->env.trace, &(roam_trace_record){.object = r->name, .time = r->now, .why = r->w.overflow ? "too long: cut" : "", .bytes = writer_span(&r->w)});
}

void record_command(roam_ua *ua, const char *name, const char *key, uint32_t id)
{
    if (!recording(ua))
        return;
    roam_record r = record_begin(ua, name, ua_now(ua));
    record_number(&r, key, id);
    record_end(&r);
}

void record_call(roam_ua *ua, const char *name, roam_call_id id, const roam_call_options *options, const char *text, uint32_t number)
{
    if (!recording(ua))
        return;
    roam_record r = record_begin(ua, name, ua_now(ua));
    record_number(&r, "call", id);
    record_text(&r, "text", text);
    record_number(&r, "number", number);
    record_options(&r, options);
    record_end(&r);
}

void record_config(roam_ua *ua, const roam_ua_config *config)
{
    char seed[64];
    roam_writer w;
    writer_init(&w, seed, sizeof seed);
    write_hex(&w, config->seed, sizeof config->seed);
    roam_record r = record_begin(ua, "ua_new", ua_now(ua));
    record_text(&r, "version", ROAM_VERSION);
    record_span(&r, "seed", writer_span(&w));
    record_text(&r, "user_agent", config->user_agent);
    record_number(&r, "sip_port", config->sip_port);
    record_ip(&r, "bind", &config->bind);
    record_number(&r, "rtp_port_min", config->rtp_port_min);
    record_number(&r, "rtp_port_max", config->rtp_port_max);
    record_text(&r, "codecs", config->codecs);
    record_number(&r, "route_answers", config->route_answers);
    record_number(&r, "choose_path", config->choose_path != NULL); /* its answers are in the trace as records of "choice" */
    record_number(&r, "t1_ms", config->t1_ms);
    record_number(&r, "t2_ms", config->t2_ms);
    record_number(&r, "t4_ms", config->t4_ms);
    record_number(&r, "coalesce_ms", config->coalesce_ms);
    record_number(&r, "register_rate", config->register_rate);
    record_number(&r, "register_burst", config->register_burst);
    record_end(&r);
}

void record_account(roam_ua *ua, const roam_account_config *c)
{
    roam_record r = record_begin(ua, "account_add", ua_now(ua));
    record_text(&r, "aor", c->aor);
    record_text(&r, "registrar", c->registrar);
    record_text(&r, "outbound_proxy", c->outbound_proxy);
    record_text(&r, "auth_user", c->auth_user);
    record_number(&r, "password", c->password != NULL);
    record_text(&r, "auth_realm", c->auth_realm);
    record_number(&r, "expires", c->expires);
    record_number(&r, "register_on_add", c->register_on_add);
    record_number(&r, "allow_contact_rewrite", c->allow_contact_rewrite);
    record_number(&r, "contact_rewrite_method", c->contact_rewrite_method);
    record_number(&r, "shutdown_transport", c->ip_change.shutdown_transport);
    record_number(&r, "hangup_calls", c->ip_change.hangup_calls);
    record_number(&r, "reinvite_flags", c->ip_change.reinvite_flags);
    record_number(&r, "use_update", c->ip_change.use_update);
    record_number(&r, "offline_max_ms", c->ip_change.offline_max_ms);
    record_text(&r, "instance", c->instance);
    record_number(&r, "link", c->link);
    record_number(&r, "reliable", c->reliable);
    record_number(&r, "session_expires", c->session_expires);
    record_number(&r, "session_min_se", c->session_min_se);
    record_number(&r, "keepalive", c->keepalive);
    record_end(&r);
}

void record_network(roam_ua *ua, roam_time now, const roam_network *network)
{
    roam_record r = record_begin(ua, "network_update", now);
    for (size_t i = 0; i < network->naddrs; i++) { /* one after the other: an address begins with its "addr" */
        const roam_net_addr *a = &network->addrs[i];
        record_ip(&r, "addr", &a->ip);
        record_number(&r, "prefix", a->prefix);
        record_number(&r, "link", a->link);
        record_number(&r, "flags", a->flags);
        record_number(&r, "metric", a->metric);
        record_number(&r, "network", a->network);
    }
    for (size_t i = 0; i < network->nroutes; i++) {
        record_ip(&r, "destination", &network->routes[i].destination);
        record_ip(&r, "source", &network->routes[i].source);
        record_number(&r, "route_link", network->routes[i].link);
    }
    record_end(&r);
}

static bool is_rtcp(roam_span p)
{
    return p.len > 1 && (uint8_t)p.ptr[1] >= 192 && (uint8_t)p.ptr[1] <= 223;
}

void record_datagram(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *from, roam_span datagram, bool media)
{
    char len[24];
    roam_writer w;
    writer_init(&w, len, sizeof len - 1);
    write_u64(&w, datagram.len);
    len[w.len] = '\0';
    if (media && !is_rtcp(datagram) && datagram.len > MEDIA_WHOLE) {
        size_t head = 12 + 4 * ((uint8_t)datagram.ptr[0] & 15u) + ((uint8_t)datagram.ptr[0] & 16u ? 4 : 0); /* RFC 3550 5.1, 5.3.1 */
        datagram.len = head < datagram.len ? head : datagram.len;
    }
    trace_input(&ua->env.trace, &(roam_trace_record){.object = media ? "receive_media" : "receive",
                                                     .time = now,
                                                     .id = socket,
                                                     .remote = *from,
                                                     .why = media ? len : "",
                                                     .bytes = datagram});
}

static void write_field(roam_writer *w, const char *key, int64_t value)
{
    if (!value)
        return;
    if (w->len)
        write_char(w, ' ');
    write_cstr(w, key);
    write_char(w, '=');
    if (value < 0)
        write_char(w, '-');
    write_u64(w, value < 0 ? (uint64_t)-value : (uint64_t)value);
}

void record_output(roam_ua *ua, const roam_output *o)
{
    static const char *const names[] = {"send", "socket_open", "socket_close", "route_watch", "route_unwatch", "resolve", "event"};
    const roam_event *e = &o->event;
    char text[400];
    roam_writer w;
    roam_trace_record record = {.object = names[o->type], .time = ua_now(ua), .id = o->socket, .remote = o->remote, .bytes = o->bytes};
    switch (o->type) {
    case ROAM_OUTPUT_SEND:
        if (!o->bytes.len || ((uint8_t)o->bytes.ptr[0] & 0xc0) != 0x80)
            return;
        if (record.bytes.len > MEDIA_OUT && !is_rtcp(o->bytes))
            record.bytes.len = MEDIA_OUT;
        break;
    case ROAM_OUTPUT_SOCKET_OPEN:
        record.local = o->local;
        break;
    case ROAM_OUTPUT_RESOLVE:
        record.id = o->query;
        break;
    case ROAM_OUTPUT_EVENT:
        writer_init(&w, text, sizeof text);
        write_field(&w, "account", e->account);
        write_field(&w, "call", e->call);
        write_field(&w, "sip_code", e->sip_code);
        write_field(&w, "status", e->status);
        write_field(&w, "registration", e->registration);
        write_field(&w, "call_state", e->call_state);
        write_field(&w, "hold", e->hold);
        write_field(&w, "link", e->link);
        write_field(&w, "digit", e->digit);
        write_field(&w, "op", e->op);
        write_field(&w, "epoch", e->epoch);
        write_field(&w, "transfer", e->transfer);
        write_field(&w, "other_call", e->other_call);
        write_field(&w, "subscription", e->subscription);
        write_field(&w, "subscription_state", e->subscription_state);
        write_field(&w, "message", e->message);
        write_field(&w, "body", (int64_t)e->body.len);
        record.id = 0;
        record.to = roam_event_type_text(e->type);
        record.why = e->reason;
        record.bytes = writer_span(&w);
        break;
    case ROAM_OUTPUT_SOCKET_CLOSE:
    case ROAM_OUTPUT_ROUTE_WATCH:
    case ROAM_OUTPUT_ROUTE_UNWATCH:
        break;
    }
    trace_output(&ua->env.trace, &record);
}
