/* Client transactions (RFC 3261 17.1, RFC 6026 7.2): a request is sent, repeated, answered or given up. */
#include <assert.h>

#include "sip/transaction.h"

static roam_client_txn *client_start(roam_sip *sip, roam_flow *flow, roam_method method, roam_span method_name,
                                     roam_span branch, roam_span bytes, roam_client_fn *fn, void *user);
static void set_state(roam_client_txn *txn, roam_client_state state, const char *why);
static void rearm(roam_client_txn *txn);
static void fire(roam_timer *timer);
static void timed_out(roam_client_txn *txn);
static void terminate(roam_client_txn *txn, const char *why);
static void notify(roam_client_txn *txn, roam_client_event event, const roam_message *message);
static void release_request(roam_client_txn *txn);
static bool invite_receive(roam_client_txn *txn, roam_flow *flow, const roam_message *response);
static void other_receive(roam_client_txn *txn, const roam_message *response);
static void acknowledge(roam_client_txn *txn, roam_flow *flow, const roam_message *response);
static void keep_ack(roam_client_txn *txn);
static int cancel_now(roam_client_txn *txn, roam_flow *flow);
static int write_derived(roam_writer *w, const roam_client_txn *txn, roam_method method);
static roam_span txn_key(char *space, size_t size, roam_span branch, roam_span method);

/* ---- building and sending ---- */

void request_begin(roam_sip *sip, roam_request *r, roam_flow *flow, roam_span method, roam_span uri,
                   unsigned max_forwards)
{
    roam_writer branch;
    *r = (roam_request){.sip = sip, .flow = flow, .method = method_of(method), .method_name = method};
    writer_init(&branch, r->branch, sizeof r->branch - 1);
    write_lit(&branch, "z9hG4bK");
    random_token(&sip->env->random, &branch, 12); /* 71 bits */
    r->branch[branch.len] = '\0';
    writer_init(&r->w, sip->scratch, ROAM_MAX_MESSAGE);
    write_request_line(&r->w, method, uri);
    write_lit(&r->w, "Via: SIP/2.0/");
    write_cstr(&r->w, transport_text(flow->path->transport));
    write_char(&r->w, ' ');
    write_addr(&r->w, &flow->path->local);
    write_lit(&r->w, ";branch=");
    write_span(&r->w, writer_span(&branch));
    write_lit(&r->w, ";rport\r\n");
    write_header_u32(&r->w, HEADER_MAX_FORWARDS, max_forwards);
}

roam_client_txn *request_send(roam_request *r, roam_client_fn *fn, void *user)
{
    if (r->w.overflow)
        return NULL;
    return client_start(r->sip, r->flow, r->method, r->method_name, span_of(r->branch), writer_span(&r->w), fn, user);
}

int request_send_stateless(roam_request *r, char **copy, size_t *copy_len)
{
    if (r->w.overflow)
        return ROAM_EOVERFLOW;
    if (copy) {
        *copy = mem_alloc(&r->sip->env->mem, r->w.len);
        if (!*copy)
            return ROAM_ENOMEM;
        memcpy(*copy, r->w.ptr, r->w.len);
        *copy_len = r->w.len;
    }
    return sip_send(r->sip, r->flow, writer_span(&r->w));
}

static roam_client_txn *client_start(roam_sip *sip, roam_flow *flow, roam_method method, roam_span method_name,
                                     roam_span branch, roam_span bytes, roam_client_fn *fn, void *user)
{
    size_t key_len = branch.len + 1 + method_name.len;
    roam_mem *mem = &sip->env->mem;
    assert(method != METHOD_ACK && branch.len <= UINT16_MAX);
    if (sip->ntransactions >= ROAM_MAX_TRANSACTIONS) {
        sip->counters.over_limit++;
        return NULL;
    }
    roam_client_txn *txn = mem_alloc(mem, sizeof *txn + key_len);
    char *frozen = mem_alloc(mem, bytes.len);
    if (!txn || !frozen) {
        mem_free(mem, txn);
        mem_free(mem, frozen);
        return NULL;
    }
    memcpy(frozen, bytes.ptr, bytes.len);
    *txn = (roam_client_txn){.sip = sip,
                             .flow = flow,
                             .fn = fn,
                             .user = user,
                             .bytes = frozen,
                             .len = (uint32_t)bytes.len,
                             .branch_len = (uint16_t)branch.len,
                             .method = (uint8_t)method,
                             .state = method == METHOD_INVITE ? CLIENT_CALLING : CLIENT_TRYING};
    map_node_init(&txn->node);
    timer_init(&txn->timer, fire, "client transaction");
    txn->interval = sip->timers.t1; /* Timer A or E */
    txn->next_at = flow_reliable(flow) ? ROAM_NEVER : sip->env->now + txn->interval;
    txn->end_at = sip->env->now + 64 * sip->timers.t1; /* Timer B or F */
    if (map_insert(&sip->clients, &txn->node, txn_key(txn->key, key_len, branch, method_name)) != ROAM_OK ||
        timer_arm(&sip->env->timers, &txn->timer, time_earlier(txn->next_at, txn->end_at)) != ROAM_OK) {
        map_remove(&sip->clients, &txn->node);
        mem_free(mem, frozen);
        mem_free(mem, txn);
        return NULL;
    }
    flow_ref(flow);
    sip->ntransactions++;
    txn->id = (uint32_t)++sip->next_id;
    trace_state(&sip->env->trace, "client-transaction", txn->id, "", client_txn_state_text(txn), "request sent");
    int err = sip_send(sip, flow, span_make(txn->bytes, txn->len));
    if (err && (err != ROAM_ENOMEM || flow_reliable(flow))) {
        txn->unsent = true; /* fn is not called from in here */
        txn->next_at = sip->env->now;
        rearm(txn);
    }
    return txn;
}

/* ---- for the user ---- */

int client_txn_cancel(roam_client_txn *txn, roam_flow *flow, bool force)
{
    if (txn->method != METHOD_INVITE)
        return ROAM_EINVAL; /* RFC 3261 9.1 */
    if (txn->state != CLIENT_CALLING && txn->state != CLIENT_PROCEEDING)
        return ROAM_ESTATE;
    if (txn->cancel == CANCEL_SENT && !force)
        return ROAM_OK;
    if (txn->state == CLIENT_PROCEEDING || force)
        return cancel_now(txn, flow);
    if (flow) {
        flow_unref(txn->cancel_flow);
        txn->cancel_flow = flow_ref(flow);
    }
    txn->cancel = CANCEL_WAITING;
    return ROAM_OK;
}

bool client_txn_cancel_sent(const roam_client_txn *txn)
{
    return txn->cancel == CANCEL_SENT;
}

void client_txn_quiet(roam_client_txn *txn)
{
    if (txn->method != METHOD_INVITE || txn->state != CLIENT_CALLING || txn->unsent)
        return;
    txn->next_at = ROAM_NEVER;
    rearm(txn);
}

void client_txn_abandon(roam_client_txn *txn)
{
    txn->fn = NULL;
    switch ((roam_client_state)txn->state) {
    case CLIENT_CALLING:
    case CLIENT_PROCEEDING:
        if (txn->method == METHOD_INVITE && !txn->unsent) {
            set_state(txn, CLIENT_ABANDONED, "abandoned");
            keep_ack(txn);
            txn->next_at = ROAM_NEVER;
            txn->end_at = txn->sip->env->now + 64 * txn->sip->timers.t1;
            rearm(txn);
            return;
        }
        terminate(txn, "abandoned");
        return;
    case CLIENT_TRYING: terminate(txn, "abandoned"); return;
    case CLIENT_ACCEPTED:  /* a further 2xx is a stray from now on */
    case CLIENT_COMPLETED: /* absorbs what comes late, as before */
    case CLIENT_ABANDONED:
    case CLIENT_TERMINATED: return;
    }
}

bool client_txn_has_provisional(const roam_client_txn *txn)
{
    return txn->state == CLIENT_PROCEEDING;
}

roam_span client_txn_request(const roam_client_txn *txn)
{
    return span_make(txn->bytes, txn->bytes ? txn->len : 0);
}

roam_span client_txn_branch(const roam_client_txn *txn)
{
    return span_make(txn->key, txn->branch_len);
}

roam_flow *client_txn_flow(const roam_client_txn *txn)
{
    return txn->flow;
}

roam_method client_txn_method(const roam_client_txn *txn)
{
    return (roam_method)txn->method;
}

const char *client_txn_state_text(const roam_client_txn *txn)
{
    static const char *const text[] = {"calling",   "trying",    "proceeding", "accepted",
                                       "completed", "abandoned", "terminated"};
    return text[txn->state];
}

/* ---- responses ---- */

/* Matched by branch and method (17.1.3). The sent-by is not compared: it may name an address that we have left. */
static roam_map_node *find_by_response(const roam_sip *sip, const roam_message *response)
{
    roam_via via;
    if (message_top_via(response, &via) != ROAM_OK || !via.branch.len)
        return NULL;
    if (via.branch.len + 1 + response->method_name.len > ROAM_MAX_MESSAGE)
        return NULL;
    return map_find(&sip->clients, txn_key(sip->scratch, ROAM_MAX_MESSAGE, via.branch, response->method_name));
}

bool sip_response_is_ours(const roam_sip *sip, const roam_message *response)
{
    return find_by_response(sip, response) != NULL;
}

bool client_receive(roam_sip *sip, roam_flow *flow, const roam_message *response)
{
    roam_map_node *node = find_by_response(sip, response);
    if (!node)
        return false;
    roam_client_txn *txn = container_of(node, roam_client_txn, node);
    if (sip->tu.answered && txn->flow->path == flow->path)
        sip->tu.answered(sip->tu.user, txn, txn->flow, response);
    if (txn->method == METHOD_INVITE)
        return invite_receive(txn, flow, response);
    other_receive(txn, response);
    return true;
}

/* Figure 5 with RFC 6026 7.2. */
static bool invite_receive(roam_client_txn *txn, roam_flow *flow, const roam_message *response)
{
    roam_sip *sip = txn->sip;
    unsigned status = response->status;
    switch ((roam_client_state)txn->state) {
    case CLIENT_CALLING:
    case CLIENT_PROCEEDING:
        if (status < 200) {
            bool first = txn->state == CLIENT_CALLING;
            set_state(txn, CLIENT_PROCEEDING, "provisional");
            txn->next_at = ROAM_NEVER;
            if (txn->cancel != CANCEL_SENT)
                txn->end_at = ROAM_NEVER;
            rearm(txn);
            /* A CANCEL that went before the INVITE was heard found nothing there to cancel: again. */
            if (txn->cancel == CANCEL_WAITING || (txn->cancel == CANCEL_SENT && first))
                (void)cancel_now(txn, NULL);
            notify(txn, CLIENT_RESPONSE, response);
            return true;
        }
        txn->next_at = ROAM_NEVER;
        if (status < 300) {
            set_state(txn, CLIENT_ACCEPTED, "2xx");
            txn->end_at = sip->env->now + 64 * sip->timers.t1; /* Timer M */
        } else {
            set_state(txn, CLIENT_COMPLETED, "failure");
            txn->end_at = sip->env->now +
                          (flow_reliable(txn->flow) ? 0 : 64 * sip->timers.t1); /* Timer D: 32 s with the usual T1 */
            acknowledge(txn, flow, response);
        }
        rearm(txn);
        notify(txn, CLIENT_RESPONSE, response);
        release_request(txn);
        return true;
    case CLIENT_ACCEPTED:
        if (status < 200 || status > 299)
            return true;
        if (!txn->fn)
            return false;
        notify(txn, CLIENT_RESPONSE, response);
        return true;
    case CLIENT_COMPLETED:
        if (status >= 300)
            acknowledge(txn, flow, response);
        return true;
    case CLIENT_ABANDONED:
        if (status >= 300)
            acknowledge(txn, flow, response);
        return status < 200 || status >= 300;
    case CLIENT_TRYING:
    case CLIENT_TERMINATED: break;
    }
    assert(false && "an INVITE transaction that is terminated or not one is in the map");
    return false;
}

/* Figure 6. */
static void other_receive(roam_client_txn *txn, const roam_message *response)
{
    roam_sip *sip = txn->sip;
    if (txn->state == CLIENT_COMPLETED)
        return;
    if (response->status < 200) {
        set_state(txn, CLIENT_PROCEEDING, "provisional"); /* Timer E goes on; its next interval is T2 */
        notify(txn, CLIENT_RESPONSE, response);
        return;
    }
    set_state(txn, CLIENT_COMPLETED, "final");
    txn->next_at = ROAM_NEVER;
    txn->end_at = sip->env->now + (flow_reliable(txn->flow) ? 0 : sip->timers.t4); /* Timer K */
    rearm(txn);
    notify(txn, CLIENT_RESPONSE, response);
    release_request(txn);
}

/* ---- time ---- */

static void fire(roam_timer *timer)
{
    roam_client_txn *txn = container_of(timer, roam_client_txn, timer);
    roam_sip *sip = txn->sip;
    sip_enter(sip);
    if (txn->unsent) {
        terminate(txn, "could not be sent");
        notify(txn, CLIENT_FAILED, NULL);
    } else if (sip->env->now >= txn->end_at) {
        timed_out(txn);
    } else {
        if (txn->method == METHOD_INVITE) /* Timer A doubles without limit, Timer E up to T2 */
            txn->interval *= 2;
        else
            txn->interval =
                txn->state == CLIENT_PROCEEDING ? sip->timers.t2 : time_earlier(txn->interval * 2, sip->timers.t2);
        txn->next_at = sip->env->now + txn->interval;
        rearm(txn);
        if (sip->tu.unanswered && txn->interval > 2 * sip->timers.t1 && (txn->state == CLIENT_CALLING || txn->state == CLIENT_TRYING))
            sip->tu.unanswered(sip->tu.user, txn, txn->flow); /* the third sending: 3*T1 without a word */
        int err = sip_resend(sip, txn->flow, span_make(txn->bytes, txn->len));
        if (err && err != ROAM_ENOMEM) { /* RFC 3261 17.1.4. What there is no memory for is a datagram lost: the next one may go */
            terminate(txn, "could not be sent again");
            notify(txn, CLIENT_FAILED, NULL);
        }
    }
    sip_leave(sip);
}

static void timed_out(roam_client_txn *txn)
{
    switch ((roam_client_state)txn->state) {
    case CLIENT_CALLING:
        terminate(txn, "Timer B");
        notify(txn, CLIENT_TIMEOUT, NULL);
        return;
    case CLIENT_TRYING:
        terminate(txn, "Timer F");
        notify(txn, CLIENT_TIMEOUT, NULL);
        return;
    case CLIENT_PROCEEDING:
        terminate(txn, txn->method == METHOD_INVITE ? "no final response after the CANCEL" : "Timer F");
        notify(txn, CLIENT_TIMEOUT, NULL);
        return;
    case CLIENT_ACCEPTED: terminate(txn, "Timer M"); return;
    case CLIENT_COMPLETED: terminate(txn, txn->method == METHOD_INVITE ? "Timer D" : "Timer K"); return;
    case CLIENT_ABANDONED: terminate(txn, "nothing more can come"); return;
    case CLIENT_TERMINATED: break;
    }
    assert(false && "a terminated transaction has no timer");
}

/* The timer is armed all the time, or has just left the heap: its place is there. */
static void rearm(roam_client_txn *txn)
{
    int err = timer_arm(&txn->sip->env->timers, &txn->timer, time_earlier(txn->next_at, txn->end_at));
    assert(err == ROAM_OK);
    (void)err;
}

/* ---- state ---- */

static void set_state(roam_client_txn *txn, roam_client_state state, const char *why)
{
#define TO(s) (1u << (s))
    static const uint8_t legal[2][CLIENT_TERMINATED + 1] = {
        {
            [CLIENT_TRYING] = TO(CLIENT_PROCEEDING) | TO(CLIENT_COMPLETED) | TO(CLIENT_TERMINATED),
            [CLIENT_PROCEEDING] = TO(CLIENT_PROCEEDING) | TO(CLIENT_COMPLETED) | TO(CLIENT_TERMINATED),
            [CLIENT_COMPLETED] = TO(CLIENT_TERMINATED),
        },
        {
            [CLIENT_CALLING] = TO(CLIENT_PROCEEDING) | TO(CLIENT_ACCEPTED) | TO(CLIENT_COMPLETED) |
                               TO(CLIENT_ABANDONED) | TO(CLIENT_TERMINATED),
            [CLIENT_PROCEEDING] = TO(CLIENT_PROCEEDING) | TO(CLIENT_ACCEPTED) | TO(CLIENT_COMPLETED) |
                                  TO(CLIENT_ABANDONED) | TO(CLIENT_TERMINATED),
            [CLIENT_ACCEPTED] = TO(CLIENT_TERMINATED),
            [CLIENT_COMPLETED] = TO(CLIENT_TERMINATED),
            [CLIENT_ABANDONED] = TO(CLIENT_TERMINATED),
        },
    };
#undef TO
    assert(legal[txn->method == METHOD_INVITE][txn->state] & 1u << state);
    if (txn->state == state)
        return;
    const char *from = client_txn_state_text(txn);
    txn->state = (uint8_t)state;
    trace_state(&txn->sip->env->trace, "client-transaction", txn->id, from, client_txn_state_text(txn), why);
}

static void terminate(roam_client_txn *txn, const char *why)
{
    roam_sip *sip = txn->sip;
    set_state(txn, CLIENT_TERMINATED, why);
    env_cancel(sip->env, &txn->timer);
    map_remove(&sip->clients, &txn->node);
    list_push(&sip->dead_clients, &txn->node.order);
    sip_reap_later(sip);
}

static void notify(roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    if (txn->fn)
        txn->fn(txn->user, txn, event, message);
}

static void release_request(roam_client_txn *txn)
{
    if (txn->state == CLIENT_COMPLETED && txn->method == METHOD_INVITE && !txn->ack)
        return; /* memory was refused: the ACK is made from the request each time */
    mem_free(&txn->sip->env->mem, txn->bytes);
    txn->bytes = NULL;
    flow_unref(txn->cancel_flow);
    txn->cancel_flow = NULL;
}

void clients_reap(roam_sip *sip)
{
    roam_list *node;
    while ((node = list_pop(&sip->dead_clients)) != NULL) {
        roam_client_txn *txn = container_of(node, roam_client_txn, node.order);
        notify(txn, CLIENT_ENDED, NULL);
        client_free(txn);
    }
}

void client_free(roam_client_txn *txn)
{
    roam_sip *sip = txn->sip;
    roam_mem *mem = &sip->env->mem;
    env_cancel(sip->env, &txn->timer);
    if (txn->state == CLIENT_TERMINATED)
        list_remove(&txn->node.order);
    else
        map_remove(&sip->clients, &txn->node);
    flow_unref(txn->flow);
    flow_unref(txn->cancel_flow);
    mem_free(mem, txn->bytes);
    mem_free(mem, txn->ack);
    mem_free(mem, txn);
    sip->ntransactions--;
}

/* ---- ACK and CANCEL: made from the bytes of the INVITE (RFC 3261 9.1, 17.1.1.3) ---- */

/* The ACK of a failure. It goes where the INVITE went; if we have left that path, to where the failure came from. */
static void acknowledge(roam_client_txn *txn, roam_flow *flow, const roam_message *response)
{
    roam_writer w;
    keep_ack(txn);
    writer_init(&w, txn->sip->scratch, ROAM_MAX_MESSAGE);
    if (txn->ack)
        write_span(&w, span_make(txn->ack, txn->ack_len));
    else if (!txn->bytes || write_derived(&w, txn, METHOD_ACK) != ROAM_OK)
        return;
    write_header(&w, HEADER_TO, message_value(response, HEADER_TO));
    write_body(&w, (roam_span){0}, (roam_span){0});
    if (!w.overflow)
        (void)sip_send(txn->sip, flow_usable(txn->flow) ? txn->flow : flow, writer_span(&w));
}

static void keep_ack(roam_client_txn *txn)
{
    roam_writer w;
    if (txn->ack || !txn->bytes)
        return;
    writer_init(&w, txn->sip->scratch, ROAM_MAX_MESSAGE);
    if (write_derived(&w, txn, METHOD_ACK) != ROAM_OK || w.overflow)
        return;
    txn->ack = mem_alloc(&txn->sip->env->mem, w.len);
    if (!txn->ack)
        return;
    memcpy(txn->ack, w.ptr, w.len);
    txn->ack_len = (uint32_t)w.len;
    if (txn->state == CLIENT_ABANDONED) {
        mem_free(&txn->sip->env->mem, txn->bytes);
        txn->bytes = NULL;
    }
}

static int cancel_now(roam_client_txn *txn, roam_flow *flow)
{
    roam_sip *sip = txn->sip;
    roam_writer w;
    writer_init(&w, sip->scratch, ROAM_MAX_MESSAGE);
    int err = write_derived(&w, txn, METHOD_CANCEL);
    if (err)
        return err;
    write_body(&w, (roam_span){0}, (roam_span){0});
    if (w.overflow)
        return ROAM_EOVERFLOW;
    if (flow && flow != txn->cancel_flow) {
        flow_unref(txn->cancel_flow);
        txn->cancel_flow = flow_ref(flow);
    }
    /* Sent before: the same CANCEL starts again, perhaps by another way. */
    char key[64];
    roam_span branch = client_txn_branch(txn);
    roam_map_node *old =
        branch.len < 48 ? map_find(&sip->clients, txn_key(key, sizeof key, branch, SPAN("CANCEL"))) : NULL;
    if (old)
        terminate(container_of(old, roam_client_txn, node), "sent anew");
    if (!client_start(sip, txn->cancel_flow ? txn->cancel_flow : txn->flow, METHOD_CANCEL, SPAN("CANCEL"), branch,
                      writer_span(&w), NULL, NULL))
        return ROAM_ENOMEM; /* or the limit: tried again with the next provisional or by the caller */
    txn->cancel = CANCEL_SENT;
    txn->next_at = ROAM_NEVER; /* an INVITE that comes after its CANCEL would ring */
    txn->end_at = sip->env->now + 64 * sip->timers.t1;
    rearm(txn);
    return ROAM_OK;
}

/* Request line, top Via, Max-Forwards, Route, From, Call-ID and CSeq of the INVITE; for CANCEL its To as well. */
static int write_derived(roam_writer *w, const roam_client_txn *txn, roam_method method)
{
    roam_header_space space;
    roam_message m;
    roam_value_cursor cursor = {0};
    roam_span via;
    roam_cseq cseq;
    int err = message_parse(&m, &space, span_make(txn->bytes, txn->len));
    if (err || !message_values(&m, HEADER_VIA, &cursor, &via) ||
        cseq_parse(message_value(&m, HEADER_CSEQ), &cseq) != ROAM_OK)
        return ROAM_ESYNTAX; /* what our user wrote was no request */
    write_request_line(w, span_of(method_text(method)), m.request_uri);
    write_header(w, HEADER_VIA, via);
    write_headers_copied(w, &m, HEADER_MAX_FORWARDS);
    write_headers_copied(w, &m, HEADER_ROUTE);
    write_headers_copied(w, &m, HEADER_FROM);
    write_headers_copied(w, &m, HEADER_CALL_ID);
    if (method == METHOD_CANCEL)
        write_headers_copied(w, &m, HEADER_TO);
    write_cseq(w, cseq.number, span_of(method_text(method)));
    return ROAM_OK;
}

static roam_span txn_key(char *space, size_t size, roam_span branch, roam_span method)
{
    roam_writer w;
    writer_init(&w, space, size);
    write_span(&w, branch);
    write_char(&w, ' ');
    write_span(&w, method);
    assert(!w.overflow);
    return writer_span(&w);
}
