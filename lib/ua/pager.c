#include "ua/pager.h"

#include <assert.h>

#include "ua/uas.h"
#include "ua/record.h"

#define PATH_LIMIT ROAM_SECONDS(32)  /* without a path */
#define TOTAL_LIMIT ROAM_SECONDS(64) /* however often it moves */
#define UDP_BODY 1300u               /* RFC 3428 8 */

static void set_state(roam_page *page, roam_page_state state, const char *why)
{
    static const char *const text[] = {"waiting", "sent", "done"};
    static const unsigned legal[] = {
        [PAGE_WAITING] = 1u << PAGE_SENT | 1u << PAGE_DONE, [PAGE_SENT] = 1u << PAGE_WAITING | 1u << PAGE_DONE, [PAGE_DONE] = 0};
    if (page->state == state)
        return;
    assert(legal[page->state] & (1u << state));
    trace_state(&page->ua->env.trace, "message", page->id, text[page->state], text[state], why);
    page->state = state;
}

static void arm_limit(roam_page *page, roam_time delay)
{
    roam_env *env = &page->ua->env;
    roam_time until = env->now + delay, last = page->began + TOTAL_LIMIT;
    timer_arm(&env->timers, &page->limit, until < last ? until : last);
}

static void wait_again(roam_page *page, const char *why)
{
    if (page->txn)
        client_txn_abandon(page->txn);
    page->txn = NULL;
    set_state(page, PAGE_WAITING, why);
    arm_limit(page, PATH_LIMIT);
}

/* ---- sending ---- */

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

/* Repeats have the same Call-ID and the next CSeq: a peer that had the first one can tell. */
static int send_message(roam_page *page)
{
    roam_account *account = page->account;
    roam_request r;
    request_begin(&page->ua->sip, &r, page->hop.flow, SPAN("MESSAGE"), span_of(page->uri), 70);
    roam_writer *w = &r.w;
    if (account->proxy) {
        write_header_name(w, HEADER_ROUTE);
        account_route(account, w);
        write_lit(w, "\r\n");
    }
    write_lit(w, "From: ");
    write_cstr(w, account->party);
    write_lit(w, ";tag=");
    write_cstr(w, page->tag);
    write_lit(w, "\r\nTo: <");
    write_cstr(w, page->uri);
    write_lit(w, ">\r\n");
    write_header(w, HEADER_CALL_ID, span_of(page->call_id));
    write_cseq(w, ++page->cseq, SPAN("MESSAGE"));
    credentials_write(&account->credentials, &page->attempt, AUTH_REQUEST, w, SPAN("MESSAGE"), span_of(page->uri));
    write_agent_headers(page->ua, w, true);
    write_body(w, span_of(page->content_type), span_make(page->body, page->body_len));
    page->txn = request_send(&r, on_event, page);
    if (!page->txn)
        return ROAM_ENOMEM;
    page->sent_registered = account->reg.state == ROAM_REGISTRATION_REGISTERED;
    set_state(page, PAGE_SENT, "MESSAGE");
    arm_limit(page, TOTAL_LIMIT);
    return 0;
}

static void on_answer(roam_page *page, const roam_message *response)
{
    roam_account *account = page->account;
    unsigned code = response->status;
    if (code < 300)
        credentials_info(&account->credentials, AUTH_REQUEST, response);
    if (code == 401 || code == 407) {
        roam_auth_verdict verdict = credentials_challenged(&account->credentials, &page->attempt, AUTH_REQUEST, response);
        if (verdict == AUTH_RETRY) {
            set_state(page, PAGE_WAITING, "challenged");
            return;
        }
        if (verdict == AUTH_NO_MEMORY) {
            page_end(page, 0, ROAM_ENOMEM, "no memory for the challenge");
            return;
        }
    }
    /* An edge that knows us only after the REGISTER. Other failures are the application's: a message must not be shown twice. */
    if ((code == 403 || code == 404) && account->registrar && account->reg.want == WANT_REGISTERED && !page->edge_tried && !page->sent_registered) {
        page->edge_tried = page->after_registration = true;
        wait_again(page, "after the registration");
        return;
    }
    page_end(page, (int)code, 0, status_text(code));
}

static void on_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_page *page = user;
    if (txn != page->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn);
    page->txn = NULL;
    if (event == CLIENT_RESPONSE)
        on_answer(page, response);
    else
        page_end(page, 0, event == CLIENT_TIMEOUT ? ROAM_ETIMEOUT : ROAM_EIO, "nobody answered");
    ua_work(page->ua, &page->work);
}

static void run(roam_work *work)
{
    roam_page *page = container_of(work, roam_page, work);
    roam_registration *reg = &page->account->reg;
    roam_hop_news news;
    roam_uri uri;
    if (page->state == PAGE_DONE)
        return;
    if (account_next_hop(page->account, span_of(page->uri), &uri) != 0) {
        page_end(page, 0, ROAM_EINVAL, "the URI is not understood");
        return;
    }
    roam_hop_state hop = hop_keep(page->ua, &page->hop, page->account->link, &uri, &news);
    if (news.left && page->state == PAGE_SENT)
        wait_again(page, "its path went");
    if (hop == HOP_UNKNOWN && page->ua->net.have_picture) {
        page_end(page, 0, ROAM_ENOTFOUND, "the host of the URI has no address");
        return;
    }
    if (page->after_registration && reg->bound && reg->state == ROAM_REGISTRATION_REGISTERED)
        page->after_registration = false;
    if (hop != HOP_UP || page->state != PAGE_WAITING || page->after_registration)
        return;
    if (send_message(page) != 0)
        page_end(page, 0, ROAM_ENOMEM, "could not be sent");
}

/* ---- life ---- */

void page_end(roam_page *page, int code, int status, const char *why)
{
    roam_ua *ua = page->ua;
    if (page->state == PAGE_DONE)
        return;
    set_state(page, PAGE_DONE, why);
    roam_event event = {.type = ROAM_EVENT_MESSAGE_SENT, .account = page->account->id, .message = page->id, .sip_code = code, .status = status};
    ua_event(ua, &event, why);
    env_cancel(&ua->env, &page->limit);
    if (page->txn)
        client_txn_abandon(page->txn);
    page->txn = NULL;
    list_remove(&page->node);
    list_remove(&page->account_node);
    list_push(&ua->dead_pages, &page->node);
    ua->npages--;
}

static void on_limit(roam_timer *timer)
{
    roam_page *page = container_of(timer, roam_page, limit);
    bool offline = page->state == PAGE_WAITING && !page->hop.flow;
    page_end(page, 0, offline ? ROAM_EOFFLINE : ROAM_ETIMEOUT, offline ? "no path in time" : "not answered in time");
}

void page_free(roam_page *page)
{
    roam_mem *mem = &page->ua->env.mem;
    if (page->txn)
        client_txn_abandon(page->txn);
    if (page->state != PAGE_DONE)
        page->ua->npages--;
    env_cancel(&page->ua->env, &page->limit);
    hop_free(page->ua, &page->hop);
    list_remove(&page->node);
    list_remove(&page->account_node);
    list_remove(&page->work.node);
    mem_free(mem, page->uri);
    mem_free(mem, page->content_type);
    mem_free(mem, page->body);
    mem_free(mem, page);
}

static int fill(roam_page *page, const char *uri, const char *content_type, roam_span body)
{
    roam_mem *mem = &page->ua->env.mem;
    char space[ROAM_MAX_URI];
    roam_writer w;
    writer_init(&w, space, sizeof space);
    int err = account_target(page->account, uri, &w);
    if (err)
        return err;
    page->uri = mem_strdup(mem, writer_span(&w));
    page->content_type = mem_strdup(mem, span_of(content_type ? content_type : "text/plain;charset=UTF-8"));
    page->body = mem_strdup(mem, body);
    page->body_len = body.len;
    if (!page->uri || !page->content_type || !page->body)
        return ROAM_ENOMEM;
    writer_init(&w, page->call_id, sizeof page->call_id - 1);
    random_token(&page->ua->env.random, &w, 32);
    writer_init(&w, page->tag, sizeof page->tag - 1);
    random_token(&page->ua->env.random, &w, 12);
    page->cseq = random_below(&page->ua->env.random, 1u << 16);
    return timer_arm(&page->ua->env.timers, &page->limit, page->began + PATH_LIMIT);
}

int roam_message_send(roam_ua *ua, roam_account_id account_id, const char *uri, const char *content_type, roam_span body, roam_message_id *id)
{
    if (recording(ua)) {
        roam_record r = record_begin(ua, "message_send", ua_now(ua));
        record_number(&r, "account", account_id);
        record_text(&r, "uri", uri);
        record_text(&r, "content_type", content_type);
        record_span(&r, "body", body);
        record_end(&r);
    }
    roam_account *account = account_id ? account_find(ua, account_id) : account_first(ua);
    if (!account)
        return ROAM_ENOTFOUND;
    if (!uri || !*uri || (body.len && !body.ptr) || !content_type_valid(content_type))
        return ROAM_EINVAL;
    if (body.len > UDP_BODY)
        return ROAM_EOVERFLOW;
    if (ua->life != UA_RUNNING)
        return ROAM_ESTATE;
    if (ua->npages >= ROAM_MAX_PAGES)
        return ROAM_ELIMIT;
    roam_page *page = mem_new(&ua->env.mem, roam_page);
    if (!page)
        return ROAM_ENOMEM;
    page->ua = ua;
    page->account = account;
    page->id = ++ua->next_page;
    page->began = ua_now(ua);
    list_init(&page->node);
    list_init(&page->account_node);
    work_init(&page->work, run);
    timer_init(&page->limit, on_limit, "message");
    ua->npages++;
    int err = fill(page, uri, content_type, body);
    if (err) {
        page_free(page);
        return err;
    }
    list_push(&ua->pages, &page->node);
    list_push(&account->pages, &page->account_node);
    ua_enter(ua, ua_now(ua));
    if (id)
        *id = page->id;
    ua_work(ua, &page->work);
    ua_leave(ua);
    return 0;
}

/* ---- receiving ---- */

void page_received(roam_ua *ua, roam_call *call, roam_server_txn *txn, const roam_message *m)
{
    roam_name_addr from;
    unsigned status = call ? dialog_check_request(&call->dialog, m) : 0;
    roam_account *account = call ? call->account : account_for_request(ua, m);
    if (call && !status && (call->state == ROAM_CALL_DISCONNECTING || call->state == ROAM_CALL_ENDED))
        status = 481;
    if (!status && !account)
        status = 404;
    else if (!status && ua->life != UA_RUNNING)
        status = 480;
    else if (!status && m->body.len > ROAM_MAX_BODY)
        status = 413;
    else if (!status && name_addr_parse(message_value(m, HEADER_FROM), &from) != 0)
        status = 400;
    if (!status && message_has(m, HEADER_CONTENT_ENCODING) && !span_ieq(message_value(m, HEADER_CONTENT_ENCODING), SPAN("identity"))) {
        uas_respond(ua, txn, 415, "Accept-Encoding: identity\r\n");
        return;
    }
    if (status) {
        uas_respond(ua, txn, status, "");
        return;
    }
    roam_event event = {.type = ROAM_EVENT_MESSAGE,
                        .account = account->id,
                        .call = call ? call->id : 0,
                        .uri = from.uri_text,
                        .content_type = message_value(m, HEADER_CONTENT_TYPE),
                        .body = m->body};
    /* What the application could not be told was not received: its sender may try again. */
    if (ua_event(ua, &event, ""))
        uas_respond(ua, txn, 200, "");
    else
        uas_respond(ua, txn, 503, "Retry-After: 1\r\n");
}
