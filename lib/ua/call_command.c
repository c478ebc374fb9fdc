/* What an application says to a call, and asks of it. What leads to a request of its own is with that: call_ring.c (progress), call_info.c, transfer.c. */
#include "ua/call.h"

#include "ua/record.h"

static void take_options(roam_call *call, const roam_call_options *options)
{
    if (options)
        call_set_audio(call, options->source, true, options->sink, true);
}

int roam_call_make(roam_ua *ua, roam_account_id account_id, const char *uri, const roam_call_options *options, roam_call_id *id)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "call_make", ua_now(ua));
        record_number(&r, "account", account_id);
        record_text(&r, "uri", uri);
        record_options(&r, options);
        record_end(&r);
    }
    roam_account *account = account_id ? account_find(ua, account_id) : account_first(ua);
    if (!account)
        return ROAM_ENOTFOUND;
    if (!uri || !*uri || ua->life != UA_RUNNING)
        return uri && *uri ? ROAM_ESTATE : ROAM_EINVAL;
    char text[ROAM_MAX_URI];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    int err = account_target(account, uri, &w);
    if (err)
        return err;
    roam_call *call = call_new(ua, account, true);
    if (!call)
        return ua->ncalls >= ROAM_MAX_CALLS ? ROAM_ELIMIT : ROAM_ENOMEM;
    ua_enter(ua, ua_now(ua));
    call->target = mem_strdup(&ua->env.mem, writer_span(&w));
    session_init(&call->session, &ua->env, options && options->codecs ? options->codecs : ua->codecs);
    roam_call_id new_id = call->id;
    if (!call->target) {
        call_end(call, ROAM_ENOMEM, "no memory");
        ua_leave(ua);
        return ROAM_ENOMEM;
    }
    take_options(call, options);
    env_arm(&ua->env, &call->life_timer, CALL_DISCONNECT_LIMIT); /* until the INVITE is out: a name, a route or a socket that never comes */
    call->end_reason = "no way to the callee was found";
    call_tell(call, ROAM_EVENT_CALL_STATE, 0, 0, "calling");
    call_look(call);
    ua_leave(ua);
    if (id)
        *id = new_id;
    return 0;
}

int roam_call_answer(roam_ua *ua, roam_call_id id, const roam_call_options *options)
{
    record_call(ua, "call_answer", id, options, NULL, 0);
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (call->state != ROAM_CALL_INCOMING || call->answer_wanted)
        return ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    take_options(call, options);
    call->answer_wanted = true;
    call_look(call);
    ua_leave(ua);
    return 0;
}

int roam_call_reject(roam_ua *ua, roam_call_id id, unsigned status)
{
    record_call(ua, "call_reject", id, NULL, NULL, status);
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (status != 0 && (status < 300 || status > 699))
        return ROAM_EINVAL;
    if (call->state != ROAM_CALL_INCOMING)
        return ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    call_reject(call, status ? status : 486, "rejected");
    ua_leave(ua);
    return 0;
}

int roam_call_hangup(roam_ua *ua, roam_call_id id)
{
    record_command(ua, "call_hangup", "call", id);
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    ua_enter(ua, ua_now(ua));
    call_hangup(call, "hung up here");
    ua_leave(ua);
    return 0;
}

static int want_hold(roam_ua *ua, roam_call_id id, bool hold)
{
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (call->state != ROAM_CALL_CONFIRMED && call->state != ROAM_CALL_CONNECTING)
        return ROAM_ESTATE;
    if (call->hold_wanted == hold)
        return hold ? 0 : ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    call->hold_wanted = hold;
    call->refresh_failures = 0;
    call->refresh_media = REFRESH_MEDIA_ALL;
    call_look(call);
    ua_leave(ua);
    return 0;
}

int roam_call_hold(roam_ua *ua, roam_call_id id)
{
    record_command(ua, "call_hold", "call", id);
    return want_hold(ua, id, true);
}

int roam_call_resume(roam_ua *ua, roam_call_id id)
{
    record_command(ua, "call_resume", "call", id);
    return want_hold(ua, id, false);
}

int roam_call_dtmf(roam_ua *ua, roam_call_id id, const char *digits)
{
    record_call(ua, "call_dtmf", id, NULL, digits, 0);
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if (!digits || !*digits)
        return ROAM_EINVAL;
    if (!call->stream || (call->state != ROAM_CALL_CONFIRMED && call->state != ROAM_CALL_CONNECTING))
        return ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    int err = stream_dtmf(call->stream, span_of(digits), 160);
    ua_leave(ua);
    return err;
}

int roam_call_set_source(roam_ua *ua, roam_call_id id, roam_audio_source *source)
{
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    call_set_audio(call, source, true, NULL, false);
    return 0;
}

int roam_call_set_sink(roam_ua *ua, roam_call_id id, roam_audio_sink *sink)
{
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    call_set_audio(call, NULL, false, sink, true);
    return 0;
}

static void copy_span(char *out, size_t cap, roam_span s)
{
    size_t len = s.len < cap ? s.len : cap - 1;
    if (len)
        memcpy(out, s.ptr, len);
    out[len] = '\0';
}

int roam_call_get_info(const roam_ua *ua, roam_call_id id, roam_call_info *info)
{
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    *info = (roam_call_info){.id = id,
                             .account = call->account->id,
                             .outgoing = call->outgoing,
                             .state = call->state,
                             .hold = session_hold(&call->session, call->told.hold),
                             .link = call->link,
                             .last_status = call->last_status,
                             .since = call->since,
                             .epoch = call->move.report.epoch};
    roam_name_addr remote;
    if (call->dialog.remote_party && name_addr_parse(span_of(call->dialog.remote_party), &remote) == 0) {
        copy_span(info->remote, sizeof info->remote, remote.uri_text);
        roam_span name = remote.display;
        if (name.len >= 2 && name.ptr[0] == '"')
            name = span_make(name.ptr + 1, name.len - 2);
        copy_span(info->remote_name, sizeof info->remote_name, name);
    } else {
        copy_span(info->remote, sizeof info->remote, span_of(call->target));
    }
    copy_span(info->call_id, sizeof info->call_id, span_of(call->dialog.call_id));
    const roam_agreement *a = &call->session.agreed;
    if (a->active) {
        copy_span(info->codec, sizeof info->codec, span_of(a->codec->name));
        info->media_remote = a->remote_rtp;
    }
    const roam_call_leg *leg = call->stream ? call_leg_by_rtp(call, stream_sending_leg(call->stream)) : NULL;
    if (leg)
        info->media_local = (roam_addr){leg->ip, leg->rtp_port};
    if (flow_usable(call->flow))
        info->local = call->flow->path->local;
    if (call->stream)
        stream_stats(call->stream, &info->media);
    return 0;
}

size_t roam_call_list(const roam_ua *ua, roam_call_id *ids, size_t max)
{
    size_t n = 0;
    list_each(call, &ua->calls, roam_call, node)
    {
        if (n < max)
            ids[n] = call->id;
        n++;
    }
    return n;
}
