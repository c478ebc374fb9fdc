/* INFO in the dialog of a call (RFC 6086, without packages): DTMF, and what gateways send. Ours goes one at a time and is repeated when its path goes. */
#include "ua/call.h"
#include "ua/early.h"
#include "ua/uas.h"
#include "ua/record.h"

struct roam_call_info_out {
    roam_client_txn *txn; /* NULL: to be sent, or sent again */
    roam_auth_attempt attempt;
    char *content_type, *body;
    size_t body_len;
};

/* ---- ours ---- */

static void tell(roam_call *call, int code, int status, const char *why)
{
    roam_event event = {.type = ROAM_EVENT_CALL_INFO, .account = call->account->id, .call = call->id, .sip_code = code, .status = status};
    call_info_free(call);
    ua_event(call->ua, &event, why);
}

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_call *call = user;
    struct roam_call_info_out *info = call->info;
    if (!info || txn != info->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn);
    info->txn = NULL;
    if (event != CLIENT_RESPONSE) {
        tell(call, 0, event == CLIENT_TIMEOUT ? ROAM_ETIMEOUT : ROAM_EIO, "nobody answered");
        return;
    }
    unsigned code = response->status;
    if ((code == 401 || code == 407) && credentials_challenged(&call->account->credentials, &info->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        call_look(call);
        return;
    }
    if (code < 300)
        credentials_info(&call->account->credentials, AUTH_REQUEST, response);
    tell(call, (int)code, 0, status_text(code));
    if (code == 481 && call->state == ROAM_CALL_CONFIRMED) { /* is the call gone, or does the peer not know INFO? The refresh will tell */
        call->wish++;
        call_look(call);
    }
}

/* The dialog it goes in: the call's; of an outgoing one that rings the early one that is heard, or else the first. NULL: none. */
static roam_dialog *find_dialog(roam_call *call, roam_early_dialog **early)
{
    *early = NULL;
    if (call->outgoing && (call->state == ROAM_CALL_CALLING || call->state == ROAM_CALL_EARLY)) {
        *early = call->heard && call->heard->state == EARLY_LIVE ? call->heard : early_first(call);
        return *early ? &(*early)->dialog : NULL;
    }
    bool live = call->state == ROAM_CALL_INCOMING || call->state == ROAM_CALL_CONNECTING || call->state == ROAM_CALL_CONFIRMED;
    return live && call->dialog.remote_tag ? &call->dialog : NULL;
}

void call_info_run(roam_call *call)
{
    struct roam_call_info_out *info = call->info;
    roam_request r;
    roam_early_dialog *early;
    if (!info || info->txn || !flow_usable(call->flow))
        return;
    roam_dialog *dialog = find_dialog(call, &early);
    roam_flow *flow = early ? early_flow(early) : dialog ? flow_ref(call->flow) : NULL;
    if (!flow)
        return;
    dialog_request_begin(dialog, &call->ua->sip, &r, flow, METHOD_INFO, 0);
    call_write_identity(call, &r.w, true);
    credentials_write(&call->account->credentials, &info->attempt, AUTH_REQUEST, &r.w, SPAN("INFO"), span_of(dialog->remote_target));
    write_body(&r.w, span_of(info->content_type), span_make(info->body, info->body_len));
    info->txn = request_send(&r, on_event, call);
    flow_unref(flow);
    if (!info->txn)
        tell(call, 0, ROAM_ENOMEM, "could not be sent");
}

void call_info_path_lost(roam_call *call)
{
    if (call->info && call->info->txn) {
        client_txn_abandon(call->info->txn);
        call->info->txn = NULL;
        call->info->attempt = (roam_auth_attempt){0};
    }
}

void call_info_free(roam_call *call)
{
    roam_mem *mem = &call->ua->env.mem;
    if (!call->info)
        return;
    call_info_path_lost(call);
    mem_free(mem, call->info->content_type);
    mem_free(mem, call->info->body);
    mem_free(mem, call->info);
    call->info = NULL;
}

int roam_call_send_info(roam_ua *ua, roam_call_id id, const char *content_type, roam_span body)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "call_send_info", ua_now(ua));
        record_number(&r, "call", id);
        record_text(&r, "content_type", content_type);
        record_span(&r, "body", body);
        record_end(&r);
    }
    roam_mem *mem = &ua->env.mem;
    roam_call *call = call_find(ua, id);
    if (!call)
        return ROAM_ENOTFOUND;
    if ((body.len && (!body.ptr || !content_type)) || !content_type_valid(content_type))
        return ROAM_EINVAL;
    if (body.len > ROAM_MAX_INFO_BODY)
        return ROAM_EOVERFLOW;
    roam_early_dialog *early;
    if (!find_dialog(call, &early))
        return ROAM_ESTATE;
    if (call->info)
        return ROAM_EBUSY;
    call->info = mem_new(mem, struct roam_call_info_out);
    if (!call->info)
        return ROAM_ENOMEM;
    call->info->content_type = mem_strdup(mem, span_of(body.len ? content_type : ""));
    call->info->body = mem_strdup(mem, body);
    call->info->body_len = body.len;
    if (!call->info->content_type || !call->info->body) {
        call_info_free(call);
        return ROAM_ENOMEM;
    }
    ua_enter(ua, ua_now(ua));
    call_look(call);
    ua_leave(ua);
    return 0;
}

/* ---- the peer's ---- */

/* application/dtmf-relay ("Signal=5", "Duration=160") or application/dtmf ("5"). False: no digit. */
static bool read_digit(const roam_message *m, char *out, uint32_t *duration)
{
    bool relay = message_has_body_type(m, SPAN("application/dtmf-relay"));
    roam_span rest = m->body, digit = relay ? SPAN("") : span_trim(m->body);
    while (relay && rest.len) {
        roam_span line = span_cut(rest, '\n', &rest), value;
        roam_span name = span_trim(span_cut(line, '=', &value));
        value = span_trim(value);
        if (span_ieq(name, SPAN("Signal")))
            digit = value;
        else if (span_ieq(name, SPAN("Duration")))
            span_u32(value, duration);
    }
    if (digit.len != 1 || !digit.ptr[0] || !strchr("0123456789*#ABCDabcd", digit.ptr[0]))
        return false;
    *out = digit.ptr[0];
    return true;
}

void call_info_received(roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = call->ua;
    roam_event event = {.account = call->account->id, .call = call->id, .call_state = call->state, .duration_ms = 160};
    if (m->body.len > ROAM_MAX_BODY) {
        uas_respond(ua, txn, 413, "");
    } else if (!m->body.len) {
        uas_respond(ua, txn, 200, ""); /* RFC 2976: is the call still there? */
    } else if (message_has_body_type(m, SPAN("application/dtmf-relay")) || message_has_body_type(m, SPAN("application/dtmf"))) {
        bool known = read_digit(m, &event.digit, &event.duration_ms);
        uas_respond(ua, txn, known ? 200 : 400, "");
        event.type = ROAM_EVENT_CALL_DTMF;
        if (known)
            ua_event(ua, &event, "info");
    } else if (!message_has(m, HEADER_CONTENT_TYPE)) {
        uas_respond(ua, txn, 415, "Accept: */*\r\n");
    } else {
        uas_respond(ua, txn, 200, "");
        event.type = ROAM_EVENT_CALL_INFO;
        event.duration_ms = 0;
        event.content_type = message_value(m, HEADER_CONTENT_TYPE);
        event.body = m->body;
        ua_event(ua, &event, "info");
    }
}
