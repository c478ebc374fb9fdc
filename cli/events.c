#include "cli/events.h"

#include <string.h>
#include <strings.h>

#include "cli/cli.h"

static void write_registration(json *j, cli_session *session, const roam_event *event);
static void write_call(json *j, cli_session *session, const roam_event *event);
static void write_media_change(json *j, cli_session *session, const roam_event *event);
static void write_report(json *j, const roam_ip_change_report *report);
static void write_lease(json *j, const roam_account_info *info);

void event_begin(json *j, const char *name)
{
    json_object(j, NULL);
    json_text(j, "event", name);
    json_micros(j, "time", cli_wall_now());
}

static void write_content(json *j, const roam_event *event)
{
    if (!event->content_type.len)
        return;
    json_span(j, "content_type", event->content_type);
    json_bytes(j, "body", "body_hex", event->body);
}

/* What of it is about: not known any more when it has ended. */
static bool write_subscription(json *j, cli_session *session, roam_subscription_id id)
{
    roam_subscription_info info;
    if (roam_subscription_get_info(cli_session_ua(session), id, &info) != 0)
        return false;
    json_text(j, "package", info.event);
    json_text(j, "uri", info.uri);
    return true;
}

/* A body of message-summary, read. */
static void write_summary(json *j, const roam_event *event)
{
    static const char type[] = "application/simple-message-summary";
    roam_mwi mwi;
    if (event->content_type.len < sizeof type - 1 || strncasecmp(event->content_type.ptr, type, sizeof type - 1) != 0 || !roam_mwi_parse(event->body, &mwi))
        return;
    json_bool(j, "waiting", mwi.waiting);
    json_u64(j, "voice_new", mwi.voice_new);
    json_u64(j, "voice_old", mwi.voice_old);
}

void event_write(json *j, cli_session *session, const roam_event *event)
{
    json_object(j, NULL);
    json_text(j, "event", roam_event_type_text(event->type));
    json_micros(j, "time", cli_wall(event->time));
    if (event->account)
        json_u64(j, "account", event->account);
    if (event->call)
        json_u64(j, "call", event->call);
    switch (event->type) {
    case ROAM_EVENT_REGISTRATION: write_registration(j, session, event); break;
    case ROAM_EVENT_CALL_INCOMING:
        if (event->other_call)
            json_u64(j, "other_call", event->other_call);
        write_call(j, session, event);
        break;
    case ROAM_EVENT_CALL_STATE: write_call(j, session, event); break;
    case ROAM_EVENT_CALL_HOLD: json_text(j, "hold", hold_text(event->hold)); break;
    case ROAM_EVENT_CALL_LINK: json_text(j, "link", link_text(event->link)); break;
    case ROAM_EVENT_CALL_MEDIA: write_media_change(j, session, event); break;
    case ROAM_EVENT_CALL_DTMF:
        json_span(j, "digit", (roam_span){&event->digit, 1});
        json_u64(j, "duration_ms", event->duration_ms);
        break;
    case ROAM_EVENT_CALL_MEDIA_SILENT:
    case ROAM_EVENT_CALL_MEDIA_HEARD: json_u64(j, "gap_ms", event->gap_ms); break;
    case ROAM_EVENT_IP_CHANGE_PROGRESS:
        if (event->subscription)
            json_u64(j, "subscription", event->subscription);
        json_text(j, "op", roam_ip_change_op_text(event->op));
        json_u64(j, "epoch", event->epoch);
        json_addr(j, "local", &event->local);
        break;
    case ROAM_EVENT_CALL_TRANSFER: json_text(j, "transfer", roam_transfer_state_text(event->transfer)); break;
    case ROAM_EVENT_CALL_TRANSFER_REQUESTED: json_span(j, "uri", event->uri); break;
    case ROAM_EVENT_CALL_REPLACED: json_u64(j, "other_call", event->other_call); break;
    case ROAM_EVENT_CALL_INFO: write_content(j, event); break;
    case ROAM_EVENT_SUBSCRIPTION:
        json_u64(j, "subscription", event->subscription);
        write_subscription(j, session, event->subscription);
        json_text(j, "state", roam_subscription_state_text(event->subscription_state));
        break;
    case ROAM_EVENT_NOTIFY:
        json_u64(j, "subscription", event->subscription);
        write_subscription(j, session, event->subscription);
        write_content(j, event);
        write_summary(j, event);
        break;
    case ROAM_EVENT_MESSAGE:
        json_span(j, "from", event->uri);
        write_content(j, event);
        break;
    case ROAM_EVENT_MESSAGE_SENT: json_u64(j, "message", event->message); break;
    case ROAM_EVENT_SHUTDOWN_DONE: break;
    }
    if (event->sip_code)
        json_i64(j, "sip_code", event->sip_code);
    if (event->status) {
        json_i64(j, "status", event->status);
        json_text(j, "error", roam_strerror(event->status));
    }
    if (event->reason[0])
        json_text(j, "reason", event->reason);
    if (event->has_report)
        write_report(j, &event->report);
    json_object_end(j);
    json_line_end(j);
}

const char *hold_text(roam_hold hold)
{
    static const char *const text[] = {"none", "local", "remote", "both"};
    return text[hold];
}

const char *link_text(roam_link_state link)
{
    static const char *const text[] = {"ok", "moving", "reconnecting"};
    return text[link];
}

void account_write(json *j, cli_session *session, roam_account_id id)
{
    roam_account_info info;
    if (roam_account_get_info(cli_session_ua(session), id, &info) != 0)
        return;
    json_object(j, NULL);
    json_u64(j, "account", id);
    json_text(j, "aor", info.aor);
    json_text(j, "state", roam_registration_state_text(info.registration));
    if (info.last_status > 0)
        json_i64(j, "sip_code", info.last_status);
    else if (info.last_status < 0)
        json_text(j, "error", roam_strerror(info.last_status));
    json_text(j, "contact", info.contact);
    write_lease(j, &info);
    json_addr(j, "local", &info.local);
    json_u64(j, "epoch", info.epoch);
    json_object_end(j);
}

void call_write(json *j, cli_session *session, roam_call_id id)
{
    roam_call_info info;
    if (roam_call_get_info(cli_session_ua(session), id, &info) != 0)
        return;
    const known_call *call = cli_session_call(session, id);
    json_object(j, NULL);
    json_u64(j, "call", id);
    json_u64(j, "account", info.account);
    json_text(j, "direction", info.outgoing ? "outgoing" : "incoming");
    json_text(j, "state", roam_call_state_text(info.state));
    json_micros(j, "since", cli_wall(info.since));
    json_text(j, "hold", hold_text(info.hold));
    json_text(j, "link", link_text(info.link));
    if (info.last_status > 0)
        json_i64(j, "sip_code", info.last_status);
    json_text(j, "remote", info.remote);
    json_text(j, "remote_name", info.remote_name);
    json_text(j, "call_id", info.call_id);
    json_text(j, "codec", info.codec);
    json_addr(j, "media_local", &info.media_local);
    json_addr(j, "media_remote", &info.media_remote);
    json_addr(j, "local", &info.local);
    json_u64(j, "epoch", info.epoch);
    if (call && call->confirmed_at)
        json_millis(j, "duration_ms", cli_now() - call->confirmed_at);
    media_write(j, "media", &info.media);
    json_object_end(j);
}

void subscription_write(json *j, cli_session *session, roam_subscription_id id)
{
    roam_subscription_info info;
    if (roam_subscription_get_info(cli_session_ua(session), id, &info) != 0)
        return;
    json_object(j, NULL);
    json_u64(j, "subscription", id);
    json_u64(j, "account", info.account);
    json_text(j, "state", roam_subscription_state_text(info.state));
    write_subscription(j, session, id);
    if (info.last_status > 0)
        json_i64(j, "sip_code", info.last_status);
    if (info.expires_at == ROAM_NEVER)
        json_null(j, "expires_in_ms");
    else
        json_millis(j, "expires_in_ms", info.expires_at > cli_now() ? info.expires_at - cli_now() : 0);
    json_u64(j, "epoch", info.epoch);
    json_object_end(j);
}

void media_write(json *j, const char *key, const roam_media_stats *m)
{
    json_object(j, key);
    json_u64(j, "packets_sent", m->packets_sent);
    json_u64(j, "bytes_sent", m->bytes_sent);
    json_u64(j, "packets_received", m->packets_received);
    json_u64(j, "bytes_received", m->bytes_received);
    json_u64(j, "packets_lost", m->packets_lost);
    json_u64(j, "packets_duplicate", m->packets_duplicate);
    json_u64(j, "packets_late", m->packets_late);
    json_u64(j, "packets_refused", m->packets_refused);
    json_u64(j, "frames_concealed", m->frames_concealed);
    json_millis(j, "jitter_ms", m->jitter_us);
    if (m->round_trip_us)
        json_millis(j, "round_trip_ms", m->round_trip_us);
    else
        json_null(j, "round_trip_ms");
    json_u64(j, "peer_lost", m->peer_lost);
    json_millis(j, "peer_jitter_ms", m->peer_jitter_us);
    json_u64(j, "longest_gap_ms", m->longest_gap_ms);
    json_u64(j, "last_gap_ms", m->last_gap_ms);
    if (m->last_sent)
        json_micros(j, "last_sent", cli_wall(m->last_sent));
    else
        json_null(j, "last_sent");
    if (m->last_received)
        json_micros(j, "last_received", cli_wall(m->last_received));
    else
        json_null(j, "last_received");
    json_object_end(j);
}

void counters_write(json *j, cli_session *session)
{
    roam_ua_counters c;
    roam_ua_get_counters(cli_session_ua(session), &c);
    json_object(j, "counters");
    json_u64(j, "messages_received", c.messages_received);
    json_u64(j, "messages_sent", c.messages_sent);
    json_u64(j, "retransmissions", c.retransmissions);
    json_u64(j, "malformed", c.malformed);
    json_u64(j, "dropped", c.dropped);
    json_u64(j, "over_limit", c.over_limit);
    json_u64(j, "transactions", c.transactions);
    json_u64(j, "accounts", c.accounts);
    json_u64(j, "calls", c.calls);
    json_u64(j, "subscriptions", c.subscriptions);
    json_u64(j, "paths", c.paths);
    json_u64(j, "memory_blocks", c.memory_blocks);
    json_u64(j, "epoch", c.epoch);
    json_object_end(j);
}

static void write_lease(json *j, const roam_account_info *info)
{
    const roam_time now = cli_now();
    if (info->expires_at == ROAM_NEVER || info->expires_at == 0)
        json_null(j, "expires_in_ms");
    else
        json_millis(j, "expires_in_ms", info->expires_at > now ? info->expires_at - now : 0);
}

static void write_registration(json *j, cli_session *session, const roam_event *event)
{
    roam_account_info info;
    json_text(j, "state", roam_registration_state_text(event->registration));
    if (roam_account_get_info(cli_session_ua(session), event->account, &info) != 0)
        return;
    json_text(j, "aor", info.aor);
    json_text(j, "contact", info.contact);
    write_lease(j, &info);
    json_addr(j, "local", &info.local);
    json_u64(j, "epoch", info.epoch);
}

static void write_call(json *j, cli_session *session, const roam_event *event)
{
    roam_call_info info;
    const known_call *call = cli_session_call(session, event->call);
    const bool known = roam_call_get_info(cli_session_ua(session), event->call, &info) == 0;
    if (event->type == ROAM_EVENT_CALL_STATE)
        json_text(j, "state", roam_call_state_text(event->call_state));
    if (known || call)
        json_text(j, "direction", (known ? info.outgoing : call->outgoing) ? "outgoing" : "incoming");
    if (known || call)
        json_text(j, "remote", known ? info.remote : call->remote);
    if (known) {
        json_text(j, "remote_name", info.remote_name);
        json_text(j, "call_id", info.call_id);
        json_addr(j, "local", &info.local);
    }
    if (event->type == ROAM_EVENT_CALL_STATE && event->call_state == ROAM_CALL_ENDED) {
        json_millis(j, "duration_ms", call && call->confirmed_at ? event->time - call->confirmed_at : 0);
        media_write(j, "media", &event->media);
    }
}

static void write_media_change(json *j, cli_session *session, const roam_event *event)
{
    roam_call_info info;
    if (roam_call_get_info(cli_session_ua(session), event->call, &info) != 0)
        return;
    json_text(j, "codec", info.codec);
    json_addr(j, "media_local", &info.media_local);
    json_addr(j, "media_remote", &info.media_remote);
}

static void write_report(json *j, const roam_ip_change_report *r)
{
    json_object(j, "report");
    json_u64(j, "epoch", r->epoch);
    json_u64(j, "account", r->account);
    if (r->call)
        json_u64(j, "call", r->call);
    if (r->subscription)
        json_u64(j, "subscription", r->subscription);
    json_millis(j, "path_ready_ms", r->path_ready);
    json_millis(j, "request_sent_ms", r->request_sent);
    json_millis(j, "answered_ms", r->answered);
    json_millis(j, "uplink_ms", r->uplink);
    json_millis(j, "downlink_ms", r->downlink);
    json_millis(j, "recovered_ms", r->recovered);
    json_u64(j, "retries", r->retries);
    json_i64(j, "last_status", r->last_status);
    json_array(j, "retried");
    for (uint32_t i = 0; i < r->nretried; i++) {
        json_object(j, NULL);
        json_i64(j, "status", r->retried[i].status);
        json_millis(j, "at_ms", r->retried[i].at);
        json_object_end(j);
    }
    json_array_end(j);
    json_u64(j, "lost_in", r->lost_in);
    if (r->lost_out == UINT64_MAX)
        json_null(j, "lost_out");
    else
        json_u64(j, "lost_out", r->lost_out);
    json_u64(j, "gap_in_ms", r->gap_in_ms);
    json_bool(j, "make_before_break", r->make_before_break);
    json_object_end(j);
}
