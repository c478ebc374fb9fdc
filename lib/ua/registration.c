/* The registration of one account (RFC 3261 10), as a goal: our Contact on the path that leads to the registrar now, and no other of ours. */
#include <assert.h>

#include "ua/account.h"
#include "ua/call.h"
#include "ua/pager.h"
#include "ua/subscription.h"

#define BACKOFF_FIRST ROAM_SECONDS(1)
#define BACKOFF_LAST ROAM_SECONDS(300)
#define MOVE_LIMIT ROAM_SECONDS(30) /* a registrar that has not taken us by then makes the move a failed one */
#define MAX_REPEATS 4u      /* REGISTERs in a row because of what a 2xx or 423 said */
#define LATE_LOOK 5u       /* seconds after which the Contact of a REGISTER given up with its path is named once more */
#define REFRESH_MARGIN 60u /* seconds before the lease ends */

const char *roam_registration_state_text(roam_registration_state state)
{
    static const char *const text[] = {"none",          "waiting_path", "registering", "registered",
                                       "refreshing",    "unregistering", "backoff",    "failed"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}

static void set_state(roam_account *account, roam_registration_state state, int sip_code, int status, const char *why)
{
    /* Rows: from; a bit for each state that may follow. */
    enum { N = 1 << 0, W = 1 << 1, G = 1 << 2, R = 1 << 3, F = 1 << 4, U = 1 << 5, B = 1 << 6, X = 1 << 7 };
    static const unsigned legal[] = {
        [ROAM_REGISTRATION_NONE] = W | G | U | B | X,
        [ROAM_REGISTRATION_WAITING_PATH] = N | G | F | U | X | B,
        [ROAM_REGISTRATION_REGISTERING] = N | W | R | U | B | X,
        [ROAM_REGISTRATION_REGISTERED] = N | W | G | F | U | B | X,
        [ROAM_REGISTRATION_REFRESHING] = N | W | R | U | B | X | G,
        [ROAM_REGISTRATION_UNREGISTERING] = N | W | G | B | X,
        [ROAM_REGISTRATION_BACKOFF] = N | W | G | R | F | U | X,
        [ROAM_REGISTRATION_FAILED] = N | W | G | F | U | B,
    };
    roam_registration *reg = &account->reg;
    if (reg->state == state)
        return;
    assert(legal[reg->state] & (1u << state));
    trace_state(&account->ua->env.trace, "registration", account->id, roam_registration_state_text(reg->state),
                roam_registration_state_text(state), why);
    reg->state = state;
    roam_event event = {.type = ROAM_EVENT_REGISTRATION,
                        .account = account->id,
                        .registration = state,
                        .sip_code = sip_code,
                        .status = status,
                        .epoch = ua_epoch(account->ua)};
    if (flow_usable(reg->flow))
        event.local = reg->flow->path->local;
    ua_event(account->ua, &event, why);
}

/* ---- the Contacts the registrar may hold ---- */

static void remember_old(roam_account *account, char *uri /* given away */)
{
    roam_registration *reg = &account->reg;
    if (!uri)
        return;
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++) {
        if (reg->old[i] && strcmp(reg->old[i], uri) == 0)
            break;
        if (!reg->old[i]) {
            reg->old[i] = uri;
            return;
        }
    }
    mem_free(&account->ua->env.mem, uri); /* known already, or a fifth: its lease runs out */
}

static void forget_old(roam_account *account, size_t i)
{
    mem_free(&account->ua->env.mem, account->reg.old[i]);
    account->reg.old[i] = NULL;
}

static void forget_all_old(roam_account *account)
{
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++)
        forget_old(account, i);
}

static bool has_old(const roam_registration *reg)
{
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++)
        if (reg->old[i])
            return true;
    return false;
}

/* The Contact URI for the present flow into reg->contact; the one before becomes an old one. */
static int make_contact(roam_account *account)
{
    roam_registration *reg = &account->reg;
    char text[512];
    roam_writer w;
    writer_init(&w, text, sizeof text);
    write_contact(account, &w, reg->flow);
    if (w.overflow)
        return ROAM_EOVERFLOW;
    roam_span uri = span_make(text + 1, w.len - 2); /* without the brackets */
    if (reg->contact && span_eq(span_of(reg->contact), uri))
        return 0;
    char *copy = mem_strdup(&account->ua->env.mem, uri);
    if (!copy)
        return ROAM_ENOMEM;
    remember_old(account, reg->contact);
    reg->contact = copy;
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++) /* A-B-A: what was old is wanted again */
        if (reg->old[i] && strcmp(reg->old[i], copy) == 0)
            forget_old(account, i);
    return 0;
}

/* ---- sending ---- */

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

static void write_old_contacts(const roam_registration *reg, roam_writer *w)
{
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++) {
        if (!reg->old[i])
            continue;
        write_header_name(w, HEADER_CONTACT);
        write_char(w, '<');
        write_cstr(w, reg->old[i]);
        write_lit(w, ">;expires=0\r\n");
    }
}

static int send_register(roam_account *account)
{
    roam_ua *ua = account->ua;
    roam_registration *reg = &account->reg;
    int err = make_contact(account);
    if (err)
        return err;
    bool leaving = reg->want == WANT_UNREGISTERED;
    bool first_old = (account->rewrite_method & ROAM_CONTACT_UNREGISTER_FIRST) && has_old(reg) && !reg->leave_old;
    bool name_old = has_old(reg) && !reg->leave_old && (leaving || first_old || (account->rewrite_method & ROAM_CONTACT_ONE_REGISTER));
    reg->unregister_first = first_old && !leaving;

    roam_request r;
    request_begin(&ua->sip, &r, reg->flow, SPAN("REGISTER"), span_of(account->registrar), 70);
    roam_writer *w = &r.w;
    if (account->proxy) {
        write_header_name(w, HEADER_ROUTE);
        account_route(account, w);
        write_lit(w, "\r\n");
    }
    write_lit(w, "From: ");
    write_cstr(w, account->party);
    write_lit(w, ";tag=");
    write_cstr(w, reg->tag);
    write_lit(w, "\r\nTo: ");
    write_cstr(w, account->party);
    write_lit(w, "\r\n");
    write_header(w, HEADER_CALL_ID, span_of(reg->call_id));
    write_cseq(w, ++reg->cseq, SPAN("REGISTER"));
    if (!reg->unregister_first) {
        write_lit(w, "Contact: <");
        write_cstr(w, reg->contact);
        write_char(w, '>');
        if (account->instance) {
            write_lit(w, ";+sip.instance=\"<");
            write_cstr(w, account->instance);
            write_lit(w, ">\"");
        }
        write_lit(w, ";expires=");
        write_u64(w, leaving ? 0 : reg->expires);
        write_lit(w, "\r\n");
    }
    if (name_old)
        write_old_contacts(reg, w);
    write_header_u32(w, HEADER_EXPIRES, leaving || reg->unregister_first ? 0 : reg->expires);
    credentials_write(&account->credentials, &reg->attempt, AUTH_REGISTER, w, SPAN("REGISTER"), span_of(account->registrar));
    write_agent_headers(ua, w, true);
    write_body(w, SPAN(""), SPAN(""));
    reg->txn = request_send(&r, on_event, account);
    if (!reg->txn)
        return ROAM_ENOMEM;
    move_sent(&reg->move);
    if (leaving)
        set_state(account, ROAM_REGISTRATION_UNREGISTERING, 0, 0, "unregister");
    else if (reg->state != ROAM_REGISTRATION_REGISTERING && reg->state != ROAM_REGISTRATION_REFRESHING) {
        bool anew = reg->state == ROAM_REGISTRATION_NONE || reg->state == ROAM_REGISTRATION_UNREGISTERING || (!reg->bound && !move_active(&reg->move));
        set_state(account, anew ? ROAM_REGISTRATION_REGISTERING : ROAM_REGISTRATION_REFRESHING, 0, 0, move_active(&reg->move) ? "move" : "register");
    }
    reg->again = false;
    return 0;
}

/* ---- answers ---- */

static void back_off(roam_account *account, int code, int status, uint32_t retry_after, const char *why)
{
    roam_registration *reg = &account->reg;
    roam_env *env = &account->ua->env;
    unsigned shift = reg->failures < 9 ? reg->failures : 9;
    roam_time delay = BACKOFF_FIRST << shift;
    if (delay > BACKOFF_LAST)
        delay = BACKOFF_LAST;
    if (retry_after)
        delay = ROAM_SECONDS(retry_after < ROAM_MAX_RETRY_AFTER ? retry_after : ROAM_MAX_RETRY_AFTER);
    delay += random_below(&env->random, (uint32_t)(delay / 5) + 1); /* many accounts must not come back in step */
    reg->failures++;
    reg->repeats = 0;
    reg->bound = reg->bound && env->now < reg->expires_at;
    move_retry(&reg->move, code ? code : status);
    env_arm(env, &reg->timer, delay);
    set_state(account, ROAM_REGISTRATION_BACKOFF, code, status, why);
    if (reg->move.state == MOVE_RUNNING && env->now - reg->move.began >= MOVE_LIMIT) /* it goes on trying; the story of this change ends */
        move_failed(&reg->move, status, code, why);
}

static void fail(roam_account *account, int code, int status, const char *why)
{
    roam_registration *reg = &account->reg;
    reg->bound = false;
    env_cancel(&account->ua->env, &reg->timer);
    set_state(account, ROAM_REGISTRATION_FAILED, code, status, why);
    if (move_active(&reg->move)) {
        move_progress(&reg->move, ROAM_IP_CHANGE_ACCOUNT_UPDATE_CONTACT, status, code, why);
        move_failed(&reg->move, status, code, why);
    }
}

static void unregistered(roam_account *account, int code, const char *why)
{
    roam_registration *reg = &account->reg;
    reg->bound = reg->again = false;
    if (code >= 200 && code < 300) /* else the registrar may still hold them: named next time */
        forget_all_old(account);
    env_cancel(&account->ua->env, &reg->timer);
    set_state(account, ROAM_REGISTRATION_NONE, code, 0, why);
    move_cancel(&reg->move);
    if (reg->want == WANT_UNREGISTERED)
        reg->want = WANT_NOTHING;
}

static bool is_private(const roam_ip *ip)
{
    const uint8_t *b = ip->bytes;
    if (ip->family == 4) /* RFC 1918, 6598, 3927 */
        return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64) ||
               (b[0] == 169 && b[1] == 254);
    return ip->family == 6 && ((b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80));
}

/* Our address as the top Via of the answer shows it (RFC 3581). Family 0: not told. */
static roam_addr seen_address(const roam_message *response, const roam_addr *local)
{
    roam_via via;
    roam_addr seen = {0};
    if (message_top_via(response, &via) != 0 || (!via.received.family && !via.rport))
        return seen;
    seen.ip = via.received.family ? via.received : local->ip;
    seen.port = via.rport ? via.rport : local->port;
    return seen;
}

/* A REGISTER again at once, for what the answer to the last one said. False: it was so too often in a row, the registrar may never be content. */
static bool repeat(roam_account *account)
{
    roam_registration *reg = &account->reg;
    if (reg->repeats >= MAX_REPEATS)
        return false;
    reg->repeats++;
    reg->again = true;
    return true;
}

/* P4: does another address belong into the Contact? Returns true when the REGISTER has to be repeated for it. */
static bool learn_mapped(roam_account *account, const roam_message *response)
{
    roam_registration *reg = &account->reg;
    const roam_addr *local = &reg->flow->path->local;
    if (account->rewrite == ROAM_CONTACT_REWRITE_OFF)
        return false;
    roam_addr seen = seen_address(response, local);
    if (!seen.ip.family || seen.ip.family != local->ip.family)
        return false;
    if (account->rewrite == ROAM_CONTACT_REWRITE_ON && !is_private(&local->ip))
        return false;
    if (roam_addr_equal(&seen, local))
        seen.ip.family = 0;
    if (seen.ip.family == reg->mapped.ip.family && (!seen.ip.family || roam_addr_equal(&seen, &reg->mapped)))
        return false;
    if (!repeat(account)) /* a NAT that shows another port each time: stay with what we have */
        return false;
    reg->mapped = seen;
    trace_note(&account->ua->env.trace, "registration", account->id, "the registrar sees us at another address");
    return true;
}

/* The same user at the same host and port, whether or not the port is written. */
static bool same_contact(const roam_uri *a, const roam_uri *b)
{
    roam_uri x = *a, y = *b;
    x.port = uri_effective_port(a);
    y.port = uri_effective_port(b);
    return uri_same_aor(&x, &y);
}

/* Our binding in the 200: true and its lease. The server may have rewritten host and port to where it saw us, or keep our instance. */
static bool find_lease(roam_account *account, const roam_message *response, uint32_t *lease)
{
    roam_registration *reg = &account->reg;
    roam_uri own;
    roam_value_cursor cursor = {0};
    roam_span value, param;
    bool found = false, old_listed[MAX_OLD_CONTACTS] = {0};
    uint32_t standard = reg->expires;
    message_seconds(response, HEADER_EXPIRES, &standard);
    if (uri_parse(span_of(reg->contact), &own) != 0)
        return false;
    roam_addr seen = seen_address(response, &reg->flow->path->local);
    while (message_values(response, HEADER_CONTACT, &cursor, &value)) {
        roam_name_addr contact;
        if (name_addr_parse(value, &contact) != 0)
            continue;
        uint32_t expires = standard;
        if (param_find(contact.params, SPAN("expires"), &param))
            span_u32(param, &expires);
        bool ours = same_contact(&contact.uri, &own);
        if (!ours && seen.ip.family && span_eq(contact.uri.user, own.user))
            ours = roam_ip_equal(&contact.uri.ip, &seen.ip) && uri_effective_port(&contact.uri) == seen.port;
        if (!ours && account->instance && param_find(contact.params, SPAN("+sip.instance"), &param) && param.len > 4)
            ours = span_eq(span_make(param.ptr + 2, param.len - 4), span_of(account->instance)) && span_eq(contact.uri.user, own.user);
        if (ours && expires > 0) {
            found = true;
            *lease = expires;
            continue;
        }
        for (size_t i = 0; i < MAX_OLD_CONTACTS; i++) {
            roam_uri old;
            if (reg->old[i] && expires > 0 && uri_parse(span_of(reg->old[i]), &old) == 0 && same_contact(&contact.uri, &old))
                old_listed[i] = true;
        }
    }
    for (size_t i = 0; i < MAX_OLD_CONTACTS; i++)
        if (reg->old[i] && !old_listed[i])
            forget_old(account, i);
    return found;
}

static void registered(roam_account *account, uint32_t lease, int code)
{
    roam_registration *reg = &account->reg;
    roam_ua *ua = account->ua;
    reg->bound = true;
    reg->failures = reg->repeats = 0;
    reg->attempt = (roam_auth_attempt){0};
    reg->expires_at = ua_now(ua) + ROAM_SECONDS(lease);
    uint32_t refresh = lease > 2 * REFRESH_MARGIN ? lease - REFRESH_MARGIN : lease - lease / 3;
    if (reg->late && refresh > LATE_LOOK)
        refresh = LATE_LOOK;
    if (env_arm(&ua->env, &reg->timer, ROAM_SECONDS(refresh ? refresh : 1)) != 0)
        reg->bound = false; /* without a timer to renew it the lease would just end: the next look registers again */
    set_state(account, ROAM_REGISTRATION_REGISTERED, code, 0, "our Contact is in the 200");
    if (move_active(&reg->move)) {
        move_answered(&reg->move, code);
        move_recovered(&reg->move);
    }
    list_each(call, &ua->calls, roam_call, node) /* what an edge refused before the registration is tried again */
        if (call->account == account)
            ua_work(ua, &call->work);
    list_each(sub, &account->subscriptions, roam_subscription, account_node)
        subscription_look(sub);
    list_each(page, &account->pages, roam_page, account_node)
        ua_work(ua, &page->work);
}

static void on_success(roam_account *account, const roam_message *response)
{
    roam_registration *reg = &account->reg;
    credentials_info(&account->credentials, AUTH_REGISTER, response);
    if (reg->want == WANT_UNREGISTERED) {
        unregistered(account, response->status, "unregistered");
        return;
    }
    uint32_t lease = 0;
    bool named_old = has_old(reg);
    bool found = find_lease(account, response, &lease);
    if (reg->unregister_first) { /* first step of two: now the new Contact */
        reg->unregister_first = false;
        forget_all_old(account);
        reg->again = true;
        return;
    }
    if (!found) {
        /* The Contact that we gave is not there. A registrar that rewrites both to one address and then deletes by expires=0: do not name the old one. */
        reg->bound = false;
        if (named_old && !reg->leave_old) {
            reg->leave_old = true;
            reg->again = true;
            move_retry(&reg->move, response->status);
            return;
        }
        back_off(account, response->status, ROAM_ENOTFOUND, 0, "our Contact is not in the 200");
        return;
    }
    reg->bound = true;
    if (learn_mapped(account, response))
        return;
    if (has_old(reg) && !reg->leave_old && !(account->rewrite_method & ROAM_CONTACT_LEAVE) && repeat(account))
        return; /* the registrar still lists an old one of ours: once more */
    registered(account, lease, response->status);
}

static void on_final(roam_account *account, const roam_message *response)
{
    roam_registration *reg = &account->reg;
    unsigned code = response->status;
    uint32_t seconds = 0;
    if (code >= 200 && code < 300) {
        on_success(account, response);
        return;
    }
    if (code == 401 || code == 407) {
        roam_auth_verdict verdict = credentials_challenged(&account->credentials, &reg->attempt, AUTH_REGISTER, response);
        if (verdict == AUTH_RETRY) {
            move_retry(&reg->move, (int)code);
            reg->again = true;
            return;
        }
        if (verdict == AUTH_NO_MEMORY && reg->want == WANT_REGISTERED) {
            back_off(account, (int)code, ROAM_ENOMEM, 0, "no memory for the challenge");
            return;
        }
        if (reg->want == WANT_UNREGISTERED)
            unregistered(account, (int)code, "refused");
        else
            fail(account, (int)code, verdict == AUTH_REFUSED ? ROAM_EAUTH : ROAM_EUNSUPPORTED,
                 verdict == AUTH_REFUSED ? "credentials refused" : "no usable challenge");
        return;
    }
    if (reg->want == WANT_UNREGISTERED) {
        unregistered(account, (int)code, "the registrar refused; the lease runs out");
        return;
    }
    if (reg->unregister_first) { /* that the old one cannot go is no reason not to come */
        reg->unregister_first = false;
        forget_all_old(account);
        reg->again = true;
        return;
    }
    if (code == 423 && message_seconds(response, HEADER_MIN_EXPIRES, &seconds) && seconds > reg->expires && repeat(account)) {
        reg->expires = seconds;
        return;
    }
    message_seconds(response, HEADER_RETRY_AFTER, &seconds);
    bool for_now = code == 408 || code == 480 || code == 491 || code >= 500 || seconds;
    if (code >= 600 || !for_now)
        fail(account, (int)code, 0, status_text(code));
    else {
        back_off(account, (int)code, 0, seconds, status_text(code));
    }
}

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_account *account = user;
    roam_registration *reg = &account->reg;
    if (txn != reg->txn)
        return;
    if (event == CLIENT_RESPONSE && response->status < 200)
        return;
    client_txn_abandon(txn); /* it outlives its final response, and perhaps this account */
    reg->txn = NULL;
    if (event == CLIENT_RESPONSE) {
        reg->last_status = response->status;
        on_final(account, response);
    } else if (event == CLIENT_TIMEOUT || event == CLIENT_FAILED) {
        reg->last_status = event == CLIENT_TIMEOUT ? ROAM_ETIMEOUT : ROAM_EIO;
        if (reg->want == WANT_UNREGISTERED)
            unregistered(account, 0, "nobody answered; the lease runs out");
        else
            back_off(account, 0, reg->last_status, 0, "nobody answered");
    }
    ua_work(account->ua, &reg->work);
}

/* ---- what is wanted, and what is ---- */

static void stop_request(roam_registration *reg)
{
    if (reg->txn)
        client_txn_abandon(reg->txn);
    reg->txn = NULL;
}

/* The path is lost or another one now: nothing learnt on it counts any more. */
static void leave_flow(roam_account *account)
{
    roam_registration *reg = &account->reg;
    if (reg->txn && reg->contact) {
        mem_free(&account->ua->env.mem, reg->late);
        reg->late = mem_strdup(&account->ua->env.mem, span_of(reg->contact));
    }
    stop_request(reg);
    flow_unref(reg->flow);
    reg->flow = NULL;
    reg->mapped = (roam_addr){0};
    reg->bound = false;
    reg->leave_old = false;
    reg->unregister_first = false;
    reg->failures = reg->repeats = 0;
    reg->again = true; /* also when it was refused for good: another path is another chance */
    reg->attempt = (roam_auth_attempt){0};
    reg->expires = account->configured_expires;
    env_cancel(&account->ua->env, &reg->timer);
}

static void waiting(roam_account *account, const char *why)
{
    if (account->reg.state != ROAM_REGISTRATION_WAITING_PATH)
        set_state(account, ROAM_REGISTRATION_WAITING_PATH, 0, ROAM_EOFFLINE, why);
}

static void offline(roam_account *account, const char *why)
{
    roam_registration *reg = &account->reg;
    if (reg->want == WANT_UNREGISTERED) { /* never wait for a dead path to say good-bye */
        leave_flow(account);
        unregistered(account, 0, "no path; the lease runs out");
        return;
    }
    if (reg->flow) {
        leave_flow(account);
        move_begin(&reg->move, NULL, false, why);
    }
    waiting(account, why);
}

/* 0 when the next hop is known; it may be another than before. */
static int find_server(roam_account *account)
{
    roam_registration *reg = &account->reg;
    roam_ua *ua = account->ua;
    roam_uri hop;
    roam_addr server = {0};
    int err = account_next_hop(account, span_of(account->registrar), &hop);
    if (!err)
        err = resolve_uri_near(ua, &hop, reg->dest ? &reg->server.ip : NULL, &server);
    if (err)
        return err;
    if (roam_addr_equal(&server, &reg->server) && reg->dest)
        return 0;
    roam_net_dest *dest = net_dest_get(ua, &server.ip);
    if (!dest)
        return ROAM_ENOMEM;
    net_dest_put(ua, reg->dest);
    reg->dest = dest;
    reg->server = server;
    if (reg->flow)
        leave_flow(account);
    return 0;
}

/* Tried again by itself: sockets and memory come back without a change of path. */
static void socket_refused(roam_account *account)
{
    roam_registration *reg = &account->reg;
    if (reg->want == WANT_UNREGISTERED) {
        unregistered(account, 0, "no socket; the lease runs out");
        return;
    }
    if (timer_armed(&reg->timer))
        return;
    reg->no_socket = true;
    back_off(account, 0, ROAM_EIO, 0, "the system refuses a socket on this path");
}

static void no_memory(roam_account *account)
{
    if (account->reg.want == WANT_UNREGISTERED)
        unregistered(account, 0, "no memory; the lease runs out");
    else if (!timer_armed(&account->reg.timer))
        back_off(account, 0, ROAM_ENOMEM, 0, "no memory");
}

static bool in_use(const roam_account *account)
{
    if (!list_empty(&account->subscriptions) || !list_empty(&account->pages))
        return true;
    list_each(call, &account->ua->calls, roam_call, node)
        if (call->account == account)
            return true;
    return false;
}

static void keep(roam_work *work)
{
    roam_account *account = container_of(work, roam_account, reg.work);
    roam_registration *reg = &account->reg;
    roam_ua *ua = account->ua;
    roam_addr source = {0};
    uint32_t link = 0;

    if (reg->want == WANT_UNREGISTERED && !reg->bound && !reg->txn && !reg->again && !has_old(reg))
        unregistered(account, 0, "not registered");
    if (account->removed && reg->want == WANT_NOTHING && !reg->txn) {
        if (in_use(account))
            return; /* the last of its calls, subscriptions and messages to end asks for this again (ua.c, bury) */
        list_remove(&account->node);
        list_push(&ua->dead_accounts, &account->node);
        return;
    }
    if (!account->registrar && !account->removed)
        net_listen(ua);
    if (reg->want == WANT_NOTHING)
        return;
    int err = find_server(account);
    if (err && !reg->dest) {
        if (reg->want == WANT_UNREGISTERED)
            unregistered(account, 0, "the registrar's name is not known");
        else
            waiting(account, err == ROAM_EBUSY ? "resolving the registrar" : "the registrar's name is not known");
        return;
    } /* while the name is looked up anew, the address it had is as good as any */
    if (!choose_route(ua, reg->dest, account->link, &source.ip, &link)) {
        if (!reg->dest->answered && ua->config.route_answers && !reg->flow) {
            waiting(account, "asking for the route");
            return;
        }
        const char *dead = watch_why(ua, reg->dest, account->link, NULL);
        offline(account, dead ? dead : "no path to the registrar");
        return;
    }
    roam_path *used = reg->flow ? reg->flow->path : NULL;
    bool other_link = used && link && used->link && used->link != link;
    if (used && (used->state == PATH_GONE || other_link || !roam_ip_equal(&used->local.ip, &source.ip))) {
        if (ip_change_collecting(ua))
            return;
        bool alive = used->state == PATH_UP && !watch_dead(ua, reg->dest, &used->local.ip, used->link);
        const char *dead = used->state == PATH_UP && !alive ? watch_why(ua, reg->dest, account->link, NULL) : NULL;
        leave_flow(account);
        reg->move.evidence = dead;
        move_begin(&reg->move, &source, alive, dead ? dead : "another path leads to the registrar");
    } else if (!used && reg->move.state == MOVE_OFFLINE) {
        move_path(&reg->move, &source);
    } else if (!used && reg->move.state == MOVE_RUNNING && !roam_ip_equal(&reg->move.local, &source.ip)) {
        move_begin(&reg->move, &source, false, "another path leads to the registrar"); /* the one before never got its socket */
    }
    roam_path *path = net_path(ua, &source.ip, link);
    if (!path) {
        no_memory(account);
        return;
    }
    if (path->state == PATH_OPENING)
        return;
    if (path->state != PATH_UP) {
        socket_refused(account);
        return;
    }
    if (reg->no_socket) { /* refused before, open now: no reason to wait any longer */
        reg->no_socket = false;
        reg->again = true;
    }
    if (!reg->flow && !(reg->flow = flow_get(&ua->sip, path, &reg->server))) {
        no_memory(account);
        return;
    }
    bool resting = (reg->state == ROAM_REGISTRATION_BACKOFF && timer_armed(&reg->timer)) || reg->state == ROAM_REGISTRATION_FAILED;
    if (reg->txn || (resting && !reg->again) || (reg->want == WANT_REGISTERED && reg->bound && !reg->again))
        return;
    if (reg->want == WANT_REGISTERED && !ip_change_token(ua, &reg->paced))
        return;
    err = send_register(account);
    if (err && reg->want == WANT_UNREGISTERED)
        unregistered(account, 0, "could not be sent; the lease runs out");
    else if (err)
        back_off(account, 0, err, 0, "could not be sent");
}

static void run(roam_work *work)
{
    roam_account *account = container_of(work, roam_account, reg.work);
    keep(work);
    watch_follow(account->ua, &account->reg.watch, account->reg.flow, account->keepalive);
}

static void on_timer(roam_timer *timer)
{
    roam_account *account = container_of(timer, roam_account, reg.timer);
    if (account->reg.late && account->reg.contact && strcmp(account->reg.late, account->reg.contact) != 0)
        remember_old(account, account->reg.late);
    else
        mem_free(&account->ua->env.mem, account->reg.late);
    account->reg.late = NULL;
    account->reg.again = true; /* the lease is old, or the back-off is over */
    ua_work(account->ua, &account->reg.work);
}

void registration_want(roam_account *account, roam_register_want want)
{
    roam_registration *reg = &account->reg;
    if (want == reg->want && want == WANT_UNREGISTERED)
        return;
    bool pending = reg->txn && reg->contact; /* the registrar may have taken it already */
    if (want != reg->want)
        stop_request(reg);
    reg->want = want;
    reg->again = want == WANT_REGISTERED || reg->bound || pending;
    reg->attempt = (roam_auth_attempt){0};
    if (want == WANT_REGISTERED)
        reg->failures = reg->repeats = 0;
    ua_work(account->ua, &reg->work);
}

void registration_force(roam_account *account, const char *why)
{
    roam_registration *reg = &account->reg;
    if (reg->want != WANT_REGISTERED)
        return;
    roam_path *path = reg->flow ? reg->flow->path : NULL;
    roam_addr local = path ? path->local : (roam_addr){0};
    stop_request(reg);
    reg->again = true;
    reg->failures = 0;
    reg->attempt = (roam_auth_attempt){0};
    reg->mapped = (roam_addr){0};
    reg->leave_old = false;
    env_cancel(&account->ua->env, &reg->timer);
    if (path && path->state != PATH_GONE)
        move_begin(&reg->move, &local, true, why);
    else if (!move_active(&reg->move))
        move_begin(&reg->move, NULL, false, why);
    ua_work(account->ua, &reg->work);
}

void registration_rebound(roam_account *account, const roam_addr *mapped, const char *why)
{
    roam_registration *reg = &account->reg;
    bool learnt = reg->mapped.ip.family && roam_addr_equal(&reg->mapped, mapped);
    if (reg->want != WANT_REGISTERED || !flow_usable(reg->flow) || reg->state == ROAM_REGISTRATION_FAILED || learnt)
        return; /* learnt: a REGISTER of ours saw it first */
    stop_request(reg);
    reg->again = true;
    reg->failures = 0;
    reg->attempt = (roam_auth_attempt){0};
    if (reg->mapped.ip.family) /* what stood in the Contact was the mapped one */
        reg->mapped = *mapped;
    env_cancel(&account->ua->env, &reg->timer);
    reg->move.evidence = why;
    move_begin(&reg->move, &reg->flow->path->local, true, why);
    ua_work(account->ua, &reg->work);
}

void registration_renew(roam_account *account)
{
    account->reg.again = true;
    ua_work(account->ua, &account->reg.work);
}

bool registration_busy(const roam_account *account)
{
    return account->reg.txn || account->reg.want == WANT_UNREGISTERED;
}

void registration_init(roam_account *account)
{
    roam_registration *reg = &account->reg;
    roam_env *env = &account->ua->env;
    roam_writer w;
    work_init(&reg->work, run);
    paced_init(&reg->paced, &reg->work);
    watch_user_init(&reg->watch);
    timer_init(&reg->timer, on_timer, "registration");
    writer_init(&w, reg->call_id, sizeof reg->call_id - 1);
    random_token(&env->random, &w, 32);
    writer_init(&w, reg->tag, sizeof reg->tag - 1);
    random_token(&env->random, &w, 12);
    reg->cseq = random_below(&env->random, 1u << 16);
    reg->state = ROAM_REGISTRATION_NONE;
    move_init(&reg->move, account->ua, account->id, 0);
}

void registration_free(roam_account *account)
{
    roam_registration *reg = &account->reg;
    roam_ua *ua = account->ua;
    stop_request(reg);
    watch_follow(ua, &reg->watch, NULL, 0);
    flow_unref(reg->flow);
    net_dest_put(ua, reg->dest);
    env_cancel(&ua->env, &reg->timer);
    list_remove(&reg->work.node);
    list_remove(&reg->paced.node);
    move_cancel(&reg->move);
    forget_all_old(account);
    mem_free(&ua->env.mem, reg->late);
    mem_free(&ua->env.mem, reg->contact);
}
