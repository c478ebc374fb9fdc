/* NOTIFY: what the notifier says (RFC 6665 4.1.3, 4.4.1), and the body of message-summary (RFC 3842). */
#include "ua/subscription.h"
#include "ua/uas.h"

/* Subscription-State (RFC 6665 8.4). */
typedef struct standing {
    roam_span state, reason;
    uint32_t expires, retry_after;
    bool has_expires;
} standing;

static bool read_standing(const roam_message *m, standing *s)
{
    roam_span rest, name, value;
    *s = (standing){0};
    if (!message_has(m, HEADER_SUBSCRIPTION_STATE))
        return false;
    s->state = span_trim(span_cut(message_value(m, HEADER_SUBSCRIPTION_STATE), ';', &rest));
    while (param_next(&rest, &name, &value)) {
        if (span_ieq(name, SPAN("reason")))
            s->reason = value;
        else if (span_ieq(name, SPAN("expires")))
            s->has_expires = span_u32(value, &s->expires);
        else if (span_ieq(name, SPAN("retry-after")) && !span_u32(value, &s->retry_after))
            s->retry_after = 0;
    }
    return s->state.len > 0;
}

static bool is_our_event(const roam_subscription *sub, const roam_message *m)
{
    roam_span params, id = {0};
    roam_span package = span_trim(span_cut(message_value(m, HEADER_EVENT), ';', &params));
    if (!param_find(params, SPAN("id"), &id))
        id = (roam_span){0};
    return span_eq(package, sub->package) && span_eq(id, sub->event_id);
}

/* ---- whose dialog ---- */

/* The first NOTIFY decides which notifier it is, whatever the tag in the 2xx was: a fork's, or that of something in between. 0, or how to refuse it. */
static unsigned adopt(roam_subscription *sub, const roam_message *m)
{
    roam_dialog d;
    int err = dialog_init_callee(&d, &sub->ua->env, m, span_of(sub->dialog.local_tag));
    if (err)
        return err == ROAM_ENOMEM ? 500 : 400;
    dialog_set_state(&d, DIALOG_CONFIRMED, "NOTIFY");
    d.local_cseq = sub->dialog.local_cseq;
    map_remove(&sub->ua->subscription_tags, &sub->tag_node); /* its key is in the dialog that goes */
    dialog_free(&sub->dialog);
    sub->dialog = d;
    sub->since = ua_now(sub->ua);
    if (subscription_index(sub) != 0) {
        subscription_lose(sub, "no memory");
        return 500;
    }
    return 0;
}

static unsigned check_dialog(roam_subscription *sub, const roam_message *m)
{
    roam_cseq cseq;
    bool ours = subscription_in_dialog(sub) && dialog_matches(&sub->dialog, m, true);
    if (!ours)
        return sub->notified ? 481 : adopt(sub, m); /* another fork's: one is enough (RFC 6665 4.4.1) */
    if (cseq_parse(message_value(m, HEADER_CSEQ), &cseq) == 0 && sub->dialog.has_remote_cseq && cseq.number == sub->dialog.remote_cseq)
        return 500; /* another request with the number of the last one */
    unsigned status = dialog_check_request(&sub->dialog, m);
    if (!status)
        dialog_target_refresh(&sub->dialog, m);
    return status;
}

/* ---- what follows from it ---- */

static void on_terminated(roam_subscription *sub, const standing *s)
{
    char why[80];
    roam_writer w;
    writer_init(&w, why, sizeof why - 1);
    write_lit(&w, "terminated");
    if (s->reason.len && s->reason.len < 32) {
        write_lit(&w, ": ");
        write_span(&w, s->reason);
    }
    why[w.len] = '\0';
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING) {
        subscription_end(sub, 0, 0, why);
    } else if (span_ieq(s->reason, SPAN("rejected")) || span_ieq(s->reason, SPAN("noresource")) || span_ieq(s->reason, SPAN("invariant"))) {
        subscription_end(sub, 0, 0, why);
    } else if (span_ieq(s->reason, SPAN("deactivated")) || span_ieq(s->reason, SPAN("timeout"))) {
        subscription_anew(sub, why); /* at once; a retry-after means nothing here */
    } else { /* probation, giveup, others, none: later, and not before retry-after */
        subscription_lose(sub, why);
        subscription_rest(sub, s->retry_after, why);
    }
}

static void take(roam_subscription *sub, const standing *s)
{
    sub->notified = true;
    if (span_ieq(s->state, SPAN("terminated"))) {
        on_terminated(sub, s);
        return;
    }
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return;
    env_cancel(&sub->ua->env, &sub->limit); /* Timer N */
    if (s->has_expires && s->expires)
        subscription_set_lease(sub, s->expires);
    else if (sub->expires_at == ROAM_NEVER)
        subscription_set_lease(sub, sub->asked); /* the 2xx is still on its way */
    if (!sub->told)
        sub->told = sub->telling; /* it came to this Contact */
    bool pending = span_ieq(s->state, SPAN("pending")); /* an extension's state means a subscription in force */
    subscription_set_state(sub, pending ? ROAM_SUBSCRIPTION_PENDING : ROAM_SUBSCRIPTION_ACTIVE, 0, 0, "NOTIFY");
}

void subscription_notify(roam_subscription *sub, roam_server_txn *txn, const roam_message *m)
{
    roam_ua *ua = sub->ua;
    standing s;
    unsigned status = 0;
    if (!is_our_event(sub, m))
        status = message_has(m, HEADER_EVENT) ? 481 : 489;
    else if (!read_standing(m, &s))
        status = 400;
    else if (m->body.len > ROAM_MAX_BODY)
        status = 413;
    else if (message_has(m, HEADER_CONTENT_ENCODING) && !span_ieq(message_value(m, HEADER_CONTENT_ENCODING), SPAN("identity")))
        status = 415;
    else
        status = check_dialog(sub, m);
    if (status) {
        uas_respond(ua, txn, status, status == 415 ? "Accept-Encoding: identity\r\n" : "");
        return;
    }
    uas_respond(ua, txn, 200, "");
    if (m->body.len) {
        roam_event event = {.type = ROAM_EVENT_NOTIFY,
                            .account = sub->account->id,
                            .subscription = sub->id,
                            .subscription_state = sub->state,
                            .content_type = message_value(m, HEADER_CONTENT_TYPE),
                            .body = m->body};
        ua_event(ua, &event, "");
    }
    take(sub, &s);
    subscription_look(sub);
}

/* ---- message-summary ---- */

/* "2/8 (0/2)": new, old, and of those the urgent ones. */
static bool read_counts(roam_span text, uint32_t counts[4])
{
    roam_span urgent, old, urgent_old;
    roam_span all = span_trim(span_cut(text, '(', &urgent));
    roam_span fresh = span_cut(all, '/', &old);
    if (!span_u32(span_trim(fresh), &counts[0]) || !span_u32(span_trim(old), &counts[1]))
        return false;
    counts[2] = counts[3] = 0;
    if (!urgent.ptr)
        return true;
    roam_span rest;
    urgent = span_cut(urgent, ')', &rest);
    roam_span urgent_new = span_cut(urgent, '/', &urgent_old);
    return rest.ptr && span_u32(span_trim(urgent_new), &counts[2]) && span_u32(span_trim(urgent_old), &counts[3]);
}

bool roam_mwi_parse(roam_span body, roam_mwi *out)
{
    bool known = false;
    roam_span rest = body;
    *out = (roam_mwi){0};
    while (rest.len) {
        roam_span value, line = span_trim(span_cut(rest, '\n', &rest));
        if (!line.len && known)
            break; /* headers of single messages follow (RFC 3842 3.5) */
        roam_span name = span_trim(span_cut(line, ':', &value));
        value = span_trim(value);
        if (span_ieq(name, SPAN("Messages-Waiting"))) {
            if (!span_ieq(value, SPAN("yes")) && !span_ieq(value, SPAN("no")))
                return false;
            out->waiting = span_ieq(value, SPAN("yes"));
            known = true;
        } else if (span_ieq(name, SPAN("Voice-Message"))) {
            uint32_t counts[4];
            if (!read_counts(value, counts))
                return false;
            out->voice_new = counts[0];
            out->voice_old = counts[1];
            out->voice_urgent_new = counts[2];
            out->voice_urgent_old = counts[3];
        }
    }
    return known;
}
