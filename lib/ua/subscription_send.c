/* SUBSCRIBE and its answers (RFC 6665 4.1.2). */
#include "ua/subscription.h"

#define MAX_REPEATS 4u    /* SUBSCRIBEs in a row because of a 423 */
#define MAX_EDGE_TRIES 3u /* because an edge wanted the REGISTER first */

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

uint64_t subscription_contact(const roam_subscription *sub)
{
    char text[512];
    roam_writer w;
    if (!sub->hop.flow)
        return 0;
    writer_init(&w, text, sizeof text);
    write_contact(sub->account, &w, sub->hop.flow);
    return roam_siphash(sub->ua->env.hash_seed, writer_span(&w)) | 1u;
}

void subscription_stop_request(roam_subscription *sub)
{
    if (sub->txn)
        client_txn_abandon(sub->txn);
    sub->txn = NULL;
}

/* A Call-ID and tag of its own for each attempt: what an old one may still bring about is told apart from it. */
static int begin_dialog(roam_subscription *sub)
{
    char remote[ROAM_MAX_URI + 3], route[ROAM_MAX_URI];
    roam_writer w;
    if (sub->dialog.env)
        return 0;
    writer_init(&w, remote, sizeof remote);
    write_char(&w, '<');
    write_cstr(&w, sub->uri);
    write_char(&w, '>');
    int err = w.overflow ? ROAM_EOVERFLOW
                         : dialog_init_caller(&sub->dialog, &sub->ua->env, span_of(sub->account->party), writer_span(&w), span_of(sub->uri));
    if (!err && sub->account->proxy) {
        writer_init(&w, route, sizeof route);
        account_route(sub->account, &w);
        roam_span routes[] = {writer_span(&w)};
        err = w.overflow ? ROAM_EOVERFLOW : dialog_set_routes(&sub->dialog, routes, 1);
    }
    if (!err)
        err = subscription_index(sub);
    if (err)
        dialog_free(&sub->dialog);
    return err;
}

int subscription_send(roam_subscription *sub, uint32_t expires)
{
    roam_ua *ua = sub->ua;
    roam_request r;
    int err = begin_dialog(sub);
    if (err)
        return err;
    bool known = subscription_in_dialog(sub);
    dialog_request_begin(&sub->dialog, &ua->sip, &r, sub->hop.flow, METHOD_SUBSCRIBE, 0);
    write_lit(&r.w, "Contact: ");
    write_contact(sub->account, &r.w, sub->hop.flow);
    write_lit(&r.w, "\r\n");
    write_header(&r.w, HEADER_EVENT, span_of(sub->event));
    if (*sub->accept)
        write_header(&r.w, HEADER_ACCEPT, span_of(sub->accept));
    write_header_u32(&r.w, HEADER_EXPIRES, expires);
    credentials_write(&sub->account->credentials, &sub->attempt, AUTH_REQUEST, &r.w, SPAN("SUBSCRIBE"), span_of(sub->dialog.remote_target));
    write_agent_headers(ua, &r.w, true);
    write_body(&r.w, SPAN(""), SPAN(""));
    sub->txn = request_send(&r, on_event, sub);
    if (!sub->txn)
        return ROAM_ENOMEM;
    sub->asked = expires;
    sub->asked_registered = sub->account->reg.state == ROAM_REGISTRATION_REGISTERED;
    sub->telling = subscription_contact(sub);
    sub->due = false;
    move_sent(&sub->move);
    if (known || sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING)
        return 0;
    env_arm(&ua->env, &sub->limit, 64 * ua->sip.timers.t1); /* Timer N (RFC 6665 4.1.2.4) */
    subscription_set_state(sub, ROAM_SUBSCRIPTION_SUBSCRIBING, 0, 0, "SUBSCRIBE");
    return 0;
}

/* ---- answers ---- */

/* A NOTIFY that overtook its 2xx made the dialog. A proxy that stays in the way of what we send may have said so in the 2xx alone. */
static void learn_routes(roam_subscription *sub, const roam_message *response)
{
    roam_value_cursor cursor = {0};
    roam_span values[ROAM_MAX_ROUTES], routes[ROAM_MAX_ROUTES];
    size_t n = 0;
    if (sub->dialog.nroutes || !dialog_matches(&sub->dialog, response, false))
        return;
    while (n < ROAM_MAX_ROUTES && message_values(response, HEADER_RECORD_ROUTE, &cursor, &values[n])) {
        roam_name_addr a;
        if (name_addr_parse(values[n], &a) != 0 || memchr(values[n].ptr, '\n', values[n].len))
            return;
        n++;
    }
    for (size_t i = 0; i < n; i++)
        routes[i] = values[n - 1 - i];
    dialog_set_routes(&sub->dialog, routes, n);
}

static void on_success(roam_subscription *sub, const roam_message *response)
{
    roam_ua *ua = sub->ua;
    uint32_t lease = sub->asked;
    credentials_info(&sub->account->credentials, AUTH_REQUEST, response);
    if (!subscription_in_dialog(sub)) {
        int err = dialog_on_response(&sub->dialog, response);
        if (err) {
            subscription_lose(sub, "the 2xx makes no dialog");
            subscription_rest(sub, 0, "tried again later");
            return;
        }
        sub->since = ua_now(ua);
    } else if (dialog_matches(&sub->dialog, response, false)) {
        dialog_target_refresh(&sub->dialog, response);
        learn_routes(sub, response);
    }
    sub->attempt = (roam_auth_attempt){0};
    sub->repeats = sub->edge_tries = 0;
    sub->told = sub->telling;
    if (sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING) {
        if (sub->asked)
            sub->due = true; /* wanted when the wish came; the good-bye follows */
        else if (ua->life != UA_RUNNING || sub->account->removed)
            subscription_end(sub, response->status, 0, "unsubscribed"); /* the last NOTIFY is not waited for */
        return;
    }
    if (sub->notified)
        sub->failures = 0;
    uint32_t told;
    if (message_seconds(response, HEADER_EXPIRES, &told) && told < lease)
        lease = told;
    if (lease) /* with 0 a NOTIFY follows that ends it, or Timer N does */
        subscription_set_lease(sub, lease);
    move_answered(&sub->move, response->status);
}

static bool may_be_the_edge(const roam_subscription *sub, unsigned code)
{
    return (code == 403 || code == 404) && sub->account->registrar && sub->account->reg.want == WANT_REGISTERED && sub->edge_tries < MAX_EDGE_TRIES &&
           (!sub->asked_registered || move_active(&sub->move));
}

static void fall_back(roam_subscription *sub, uint32_t retry_after, const char *why)
{
    if (!subscription_in_dialog(sub))
        subscription_lose(sub, why);
    subscription_rest(sub, retry_after, why);
}

static void on_failure(roam_subscription *sub, unsigned code, int status, const roam_message *response)
{
    uint32_t seconds = 0;
    bool leaving = sub->state == ROAM_SUBSCRIPTION_UNSUBSCRIBING, known = subscription_in_dialog(sub);
    const char *why = code ? status_text(code) : "nobody answered";
    sub->last_status = code ? (int)code : status;
    move_retry(&sub->move, sub->last_status);
    if (code == 401 || code == 407) {
        roam_auth_verdict verdict = credentials_challenged(&sub->account->credentials, &sub->attempt, AUTH_REQUEST, response);
        if (verdict == AUTH_RETRY && (!leaving || known))
            sub->due = true;
        else if (verdict == AUTH_NO_MEMORY && !leaving)
            fall_back(sub, 0, "no memory for the challenge");
        else
            subscription_end(sub, (int)code, verdict == AUTH_REFUSED ? ROAM_EAUTH : ROAM_EUNSUPPORTED,
                             verdict == AUTH_REFUSED ? "credentials refused" : "no usable challenge");
        return;
    }
    if (leaving) {
        if (sub->asked && known) /* of the SUBSCRIBE before: a NOTIFY has made the dialog */
            sub->due = true;
        else
            subscription_end(sub, (int)code, status, why); /* 481 and silence end it as well */
        return;
    }
    if (sub->notified && !known)
        return;
    if (code == 423 && message_seconds(response, HEADER_MIN_EXPIRES, &seconds) && seconds > sub->expires && sub->repeats++ < MAX_REPEATS) {
        sub->expires = seconds;
        sub->due = true;
        return;
    }
    if (code == 481 && known) {
        subscription_anew(sub, "the notifier no longer knows the subscription");
        return;
    }
    if (may_be_the_edge(sub, code)) {
        sub->edge_tries++;
        sub->after_registration = true;
        if (!known)
            subscription_lose(sub, "after the registration");
        return;
    }
    if (response)
        message_seconds(response, HEADER_RETRY_AFTER, &seconds);
    bool for_now = !code || code == 408 || code == 480 || code == 481 || code == 491 || (code >= 500 && code < 600 && code != 501) || (seconds && code < 600);
    if (for_now)
        fall_back(sub, seconds, why);
    else
        subscription_end(sub, (int)code, 0, why);
}

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_subscription *sub = user;
    if (txn != sub->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn); /* it outlives its final response, and perhaps this subscription */
    sub->txn = NULL;
    if (event == CLIENT_RESPONSE && response->status < 300) {
        sub->last_status = response->status;
        on_success(sub, response);
    } else if (event == CLIENT_RESPONSE) {
        on_failure(sub, response->status, 0, response);
    } else {
        on_failure(sub, 0, event == CLIENT_TIMEOUT ? ROAM_ETIMEOUT : ROAM_EIO, NULL);
    }
    subscription_look(sub);
}
