/* Server transactions (RFC 3261 17.2, RFC 6026 7.1, RFC 4320): a request is answered, its repetitions get the same
 * answer. */
#include <assert.h>

#include "sip/transaction.h"

/* Transactions that only requests from outside may not take: a flood leaves us able to hang up. */
#define RESERVED_FOR_CLIENTS (ROAM_MAX_TRANSACTIONS / 4)

/* What identifies a request; the spans lie one behind the other in the scratch buffer. */
typedef struct request_keys {
    roam_span txn;
    roam_span merge; /* empty: it has a To tag, or nobody checks */
    roam_span to_tag;
    roam_via via;
} request_keys;

static roam_server_txn *server_find(roam_sip *sip, roam_span key);
static bool merges(roam_sip *sip, roam_flow *flow, roam_span key);
static bool write_keys(roam_sip *sip, const roam_message *request, roam_span method, request_keys *out);
static void receive_ack(roam_sip *sip, roam_flow *flow, roam_server_txn *txn, const roam_message *ack);
static void receive_cancel(roam_sip *sip, roam_flow *flow, roam_server_txn *txn, const roam_message *cancel);
static void receive_again(roam_server_txn *txn, roam_flow *flow);
static roam_server_txn *server_start(roam_sip *sip, roam_flow *flow, const roam_message *request,
                                     const request_keys *keys);
static bool store_head(roam_server_txn *txn, const roam_message *request);
static int may_send(const roam_server_txn *txn, unsigned status);
static roam_time trying_delay(const roam_sip *sip);
static void enter_final(roam_server_txn *txn, unsigned status);
static void send_trying(roam_server_txn *txn);
static void set_state(roam_server_txn *txn, roam_server_state state, const char *why);
static void rearm(roam_server_txn *txn);
static void fire(roam_timer *timer);
static void timed_out(roam_server_txn *txn);
static void terminate(roam_server_txn *txn, const char *why);
static void notify(roam_server_txn *txn, roam_server_event event, const roam_message *message);

/* ---- requests ---- */

void server_receive(roam_sip *sip, roam_flow *flow, const roam_message *request)
{
    request_keys keys;
    bool for_invite = request->method == METHOD_ACK || request->method == METHOD_CANCEL;
    if (!write_keys(sip, request, for_invite ? SPAN("INVITE") : request->method_name, &keys)) {
        sip->counters.malformed++;
        trace_dropped(&sip->env->trace, "sip", "unusable Via or tags", &flow->remote, request->bytes);
        return;
    }
    roam_server_txn *txn = server_find(sip, keys.txn);
    if (request->method == METHOD_ACK) {
        receive_ack(sip, flow, txn, request);
        return;
    }
    if (request->method == METHOD_CANCEL) {
        receive_cancel(sip, flow, txn, request);
        return;
    }
    if (txn) {
        receive_again(txn, flow);
        return;
    }
    if (merges(sip, flow, keys.merge)) { /* RFC 3261 8.2.2.2: the same request by another way */
        sip->counters.merged++;
        sip_respond_stateless(sip, flow, request, 482, (roam_span){0});
        return;
    }
    if (sip->ntransactions >= ROAM_MAX_TRANSACTIONS - RESERVED_FOR_CLIENTS) {
        sip->counters.over_limit++;
        trace_dropped(&sip->env->trace, "sip", "too many transactions", &flow->remote, request->bytes);
        sip_respond_stateless(sip, flow, request, 503, (roam_span){0});
        return;
    }
    txn = server_start(sip, flow, request, &keys);
    if (!txn) {
        /* Not refused: nothing would remember it, and the next copy would be taken as a request of its own, whose answer nobody waits for. */
        trace_dropped(&sip->env->trace, "sip", "no memory", &flow->remote, (roam_span){0});
        return;
    }
    sip->tu.request(sip->tu.user, txn, request);
}

static bool merges(roam_sip *sip, roam_flow *flow, roam_span key)
{
    roam_map_node *node = key.len ? map_find(&sip->merges, key) : NULL;
    if (!node)
        return false;
    return !sip->tu.merged || !sip->tu.merged(sip->tu.user, container_of(node, roam_server_txn, merge), flow);
}

static roam_server_txn *server_find(roam_sip *sip, roam_span key)
{
    roam_map_node *node = map_find(&sip->servers, key);
    return node ? container_of(node, roam_server_txn, node) : NULL;
}

/* RFC 3261 17.2.3. `method` is INVITE for an ACK and for a CANCEL: whose transaction they mean. */
static bool write_keys(roam_sip *sip, const roam_message *request, roam_span method, request_keys *out)
{
    roam_name_addr from, to;
    roam_cseq cseq;
    roam_writer w;
    if (message_top_via(request, &out->via) != ROAM_OK ||
        name_addr_parse(message_value(request, HEADER_TO), &to) != ROAM_OK)
        return false;
    const roam_via *via = &out->via;
    bool modern = via->branch.len > 7 && span_starts(via->branch, SPAN("z9hG4bK"));
    out->merge = (roam_span){0};
    out->to_tag = name_addr_tag(&to);
    bool merge = sip->merge_check && !out->to_tag.len;
    if (!modern || merge)
        if (name_addr_parse(message_value(request, HEADER_FROM), &from) != ROAM_OK ||
            cseq_parse(message_value(request, HEADER_CSEQ), &cseq) != ROAM_OK)
            return false;
    writer_init(&w, sip->scratch, ROAM_MAX_MESSAGE);
    if (modern) {
        write_span(&w, via->branch);
        write_char(&w, ' ');
        write_span(&w, via->host);
        write_char(&w, ' ');
        write_bytes(&w, (const char *)&via->port, sizeof via->port);
        write_span(&w, method);
    } else {
        /* A client of RFC 2543. The To tag is left out: only the ACK has one, and the rest tells requests apart. */
        roam_value_cursor cursor = {0};
        roam_span value = {0};
        (void)message_values(request, HEADER_VIA, &cursor, &value);
        write_char(&w, ' '); /* no branch starts so */
        write_span(&w, value);
        write_char(&w, '\n');
        write_span(&w, request->request_uri);
        write_char(&w, '\n');
        write_span(&w, name_addr_tag(&from));
        write_char(&w, '\n');
        write_span(&w, message_value(request, HEADER_CALL_ID));
        write_char(&w, '\n');
        write_u64(&w, cseq.number);
        write_span(&w, method);
    }
    out->txn = writer_span(&w);
    if (merge) {
        write_span(&w, message_value(request, HEADER_CALL_ID));
        write_char(&w, ' ');
        write_span(&w, name_addr_tag(&from));
        write_char(&w, ' ');
        write_bytes(&w, (const char *)&cseq.number, sizeof cseq.number);
        write_span(&w, cseq.method_name);
        out->merge = span_make(w.ptr + out->txn.len, w.len - out->txn.len);
    }
    return !w.overflow;
}

static void receive_ack(roam_sip *sip, roam_flow *flow, roam_server_txn *txn, const roam_message *ack)
{
    if (txn && txn->state == SERVER_COMPLETED) {
        set_state(txn, SERVER_CONFIRMED, "ACK");
        txn->next_at = ROAM_NEVER;
        txn->end_at = sip->env->now + (flow_reliable(txn->flow) ? 0 : sip->timers.t4); /* Timer I */
        rearm(txn);
        notify(txn, SERVER_ACKED, ack);
        return;
    }
    if (txn && txn->state != SERVER_ACCEPTED) /* too early, or once more */
        return;
    if (!txn) { /* perhaps of a failure that we answered without a transaction */
        char tag[STATELESS_TAG_LEN];
        roam_name_addr to;
        sip_stateless_tag(sip, ack, tag);
        if (!sip->tu.ack || (name_addr_parse(message_value(ack, HEADER_TO), &to) == ROAM_OK &&
                             span_eq(name_addr_tag(&to), span_make(tag, sizeof tag)))) {
            sip->counters.stray_acks++;
            return;
        }
    }
    if (sip->tu.ack)
        sip->tu.ack(sip->tu.user, flow, ack);
}

/* RFC 3261 9.2. The answer needs no transaction: as long as the INVITE is there, each copy of the CANCEL gets the same
 * one. A CANCEL of anything but an INVITE (9.1 forbids it) finds nothing. */
static void receive_cancel(roam_sip *sip, roam_flow *flow, roam_server_txn *txn, const roam_message *cancel)
{
    if (!txn) {
        sip_respond_stateless(sip, flow, cancel, 481, (roam_span){0});
        return;
    }
    sip_respond_tagged(sip, flow, cancel, 200, (roam_span){0}, txn->tag);
    bool first = !txn->cancelled;
    txn->cancelled = true;
    if (txn->state == SERVER_PROCEEDING && first)
        notify(txn, SERVER_CANCELLED, cancel);
}

/* The request came again: so does the last response. In Accepted it is absorbed (RFC 6026 7.1), the TU repeats the 2xx.
 */
static void receive_again(roam_server_txn *txn, roam_flow *flow)
{
    if (!flow_usable(txn->flow)) /* we moved meanwhile, and it found us */
        server_txn_move(txn, flow->path);
    bool answers = txn->state == SERVER_PROCEEDING || txn->state == SERVER_COMPLETED;
    if (answers && txn->response)
        (void)sip_resend(txn->sip, txn->flow, span_make(txn->response, txn->response_len));
}

static roam_server_txn *server_start(roam_sip *sip, roam_flow *flow, const roam_message *request,
                                     const request_keys *keys)
{
    enum { OWN_TAG = 10 }; /* 59 bits; RFC 3261 19.3 asks for 32 */
    roam_mem *mem = &sip->env->mem;
    bool invite = request->method == METHOD_INVITE;
    size_t keys_len = keys->txn.len + keys->merge.len;
    size_t tag_len = keys->to_tag.len ? keys->to_tag.len : OWN_TAG;
    roam_addr destination;
    roam_server_txn *txn = mem_alloc(mem, sizeof *txn + keys_len + tag_len);
    if (!txn)
        return NULL;
    *txn = (roam_server_txn){.sip = sip,
                             .source = flow->remote,
                             .started = sip->env->now,
                             .interval = sip->timers.t1,
                             .next_at = ROAM_NEVER,
                             .end_at = invite ? ROAM_NEVER : sip->env->now + 64 * sip->timers.t1,
                             .method = (uint8_t)request->method,
                             .tagged = keys->to_tag.len > 0,
                             .tag = {txn->space + keys_len, tag_len},
                             .state = invite ? SERVER_PROCEEDING : SERVER_TRYING};
    memcpy(txn->space, keys->txn.ptr, keys_len); /* both keys: they lie together */
    if (txn->tagged) {
        memcpy(txn->space + keys_len, keys->to_tag.ptr, tag_len);
    } else {
        roam_writer w;
        writer_init(&w, txn->space + keys_len, tag_len);
        random_token(&sip->env->random, &w, tag_len);
    }
    map_node_init(&txn->node);
    map_node_init(&txn->merge);
    list_init(&txn->spent);
    timer_init(&txn->timer, fire, "server transaction");
    if (!invite)
        txn->next_at = sip->env->now + trying_delay(sip);
    else if (sip->answer_trying)
        txn->next_at = sip->env->now + ROAM_MS(200); /* 17.2.1 */
    response_destination(&keys->via, &flow->remote, flow_reliable(flow), &destination);
    txn->flow = flow_get(sip, flow->path, &destination);
    if (!txn->flow || !store_head(txn, request) ||
        map_insert(&sip->servers, &txn->node, span_make(txn->space, keys->txn.len)) != ROAM_OK ||
        (keys->merge.len &&
         map_insert(&sip->merges, &txn->merge, span_make(txn->space + keys->txn.len, keys->merge.len)) != ROAM_OK) ||
        timer_arm(&sip->env->timers, &txn->timer, time_earlier(txn->next_at, txn->end_at)) != ROAM_OK) {
        map_remove(&sip->servers, &txn->node);
        map_remove(&sip->merges, &txn->merge);
        flow_unref(txn->flow);
        mem_free(mem, txn->head);
        mem_free(mem, txn);
        return NULL;
    }
    sip->ntransactions++;
    txn->id = (uint32_t)++sip->next_id;
    trace_state(&sip->env->trace, "server-transaction", txn->id, "", server_txn_state_text(txn), "request");
    return txn;
}

/* Writes what each response has in common once, and keeps the request behind it for a TU that answers later. */
static bool store_head(roam_server_txn *txn, const roam_message *request)
{
    roam_writer w;
    writer_init(&w, txn->sip->scratch, ROAM_MAX_MESSAGE);
    write_response_head(&w, request, 100, (roam_span){0}, (roam_span){0}, &txn->source);
    if (w.overflow)
        return false;
    const char *start = memchr(w.ptr, '\n', w.len), *end = w.ptr + w.len;
    assert(start);
    start++;
    const char *to = NULL;
    for (const char *line = start; line < end && !to;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        assert(next);
        if (next - line > 4 && memcmp(line, "To: ", 4) == 0)
            to = next - 1;
        line = next + 1;
    }
    assert(to && *to == '\r');
    size_t head_len = (size_t)(end - start);
    txn->head = mem_alloc(&txn->sip->env->mem, head_len + request->bytes.len);
    if (!txn->head)
        return false;
    memcpy(txn->head, start, head_len);
    memcpy(txn->head + head_len, request->bytes.ptr, request->bytes.len);
    txn->head_len = (uint32_t)head_len;
    txn->to_end = (uint32_t)(to - start);
    txn->request_len = (uint32_t)request->bytes.len;
    return true;
}

/* ---- responses ---- */

void response_begin(roam_server_txn *txn, roam_response *r, unsigned status, roam_span reason, roam_span to_tag)
{
    *r = (roam_response){.txn = txn, .status = status};
    writer_init(&r->w, txn->sip->scratch, ROAM_MAX_MESSAGE);
    if (!txn->head) { /* answered; response_send says so */
        r->w.overflow = true;
        return;
    }
    write_status_line(&r->w, status, reason);
    write_bytes(&r->w, txn->head, txn->to_end);
    if (status > 100 && !txn->tagged) {
        write_lit(&r->w, ";tag=");
        write_span(&r->w, to_tag.len ? to_tag : txn->tag);
    }
    write_bytes(&r->w, txn->head + txn->to_end, txn->head_len - txn->to_end);
}

int response_send(roam_response *r)
{
    roam_server_txn *txn = r->txn;
    roam_sip *sip = txn->sip;
    int err = may_send(txn, r->status);
    if (err)
        return err;
    if (r->w.overflow)
        return ROAM_EOVERFLOW;
    char *bytes = mem_alloc(&sip->env->mem, r->w.len);
    if (!bytes) {
        /* A final answer that cannot be kept is sent once: given, all the same. A 2xx to INVITE is a promise to repeat it, and is not given. */
        if (r->status < 200 || (r->status < 300 && txn->method == METHOD_INVITE))
            return ROAM_ENOMEM;
        txn->end_at = time_earlier(txn->end_at, sip->env->now + 64 * sip->timers.t1);
        rearm(txn);
        (void)sip_send(sip, txn->flow, writer_span(&r->w));
        return ROAM_OK;
    }
    memcpy(bytes, r->w.ptr, r->w.len);
    mem_free(&sip->env->mem, txn->response);
    txn->response = bytes;
    txn->response_len = (uint32_t)r->w.len;
    txn->status = (uint16_t)r->status;
    if (r->status >= 200) {
        enter_final(txn, r->status);
    } else {
        set_state(txn, SERVER_PROCEEDING, "provisional");
        txn->next_at = ROAM_NEVER; /* no 100 any more */
    }
    rearm(txn);
    (void)sip_send(sip, txn->flow,
                   span_make(bytes, r->w.len)); /* lost: repeated when the request is, or on another path */
    return ROAM_OK;
}

int server_txn_respond(roam_server_txn *txn, unsigned status, roam_span reason)
{
    roam_response r;
    response_begin(txn, &r, status, reason, (roam_span){0});
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    return response_send(&r);
}

static int may_send(const roam_server_txn *txn, unsigned status)
{
    if (status < 100 || status > 699)
        return ROAM_EINVAL;
    if (txn->state != SERVER_TRYING && txn->state != SERVER_PROCEEDING)
        return ROAM_ESTATE;
    if (txn->method == METHOD_INVITE)
        return ROAM_OK;
    if (status == 408 || (status > 100 && status < 200)) /* RFC 4320 4.1, 4.2 */
        return ROAM_EINVAL;
    if (status == 100 && !flow_reliable(txn->flow) && txn->sip->env->now < txn->started + trying_delay(txn->sip))
        return ROAM_ESTATE;
    return ROAM_OK;
}

/* How long Timer E takes to reach T2: 3.5 s with the usual values. */
static roam_time trying_delay(const roam_sip *sip)
{
    roam_time delay = 0;
    for (roam_time interval = sip->timers.t1; interval && interval < sip->timers.t2; interval *= 2)
        delay += interval;
    return delay;
}

static void enter_final(roam_server_txn *txn, unsigned status)
{
    roam_sip *sip = txn->sip;
    bool reliable = flow_reliable(txn->flow);
    txn->next_at = ROAM_NEVER;
    txn->end_at = sip->env->now + 64 * sip->timers.t1; /* Timer L, H or J */
    if (txn->method == METHOD_INVITE && status < 300) {
        set_state(txn, SERVER_ACCEPTED, "2xx");
        return; /* the request stays: the TU may look at it until the ACK */
    }
    set_state(txn, SERVER_COMPLETED, "final");
    if (txn->method != METHOD_INVITE) {
        if (reliable)
            txn->end_at = sip->env->now;
    } else if (!reliable) {
        txn->next_at = sip->env->now + txn->interval; /* Timer G */
    }
    list_push(&sip->spent, &txn->spent);
    sip_reap_later(sip);
}

/* RFC 3261 17.2.1 (INVITE), RFC 4320 4.1 (others). */
static void send_trying(roam_server_txn *txn)
{
    roam_header_space space;
    roam_message request;
    roam_response r;
    response_begin(txn, &r, 100, (roam_span){0}, (roam_span){0});
    if (server_txn_request(txn, &request, &space) == ROAM_OK) {
        roam_span timestamp = message_value_named(&request, SPAN("Timestamp")); /* RFC 3261 8.2.6.1 */
        if (timestamp.len && !memchr(timestamp.ptr, '\n', timestamp.len))
            write_header_named(&r.w, SPAN("Timestamp"), timestamp);
    }
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r); /* without memory: the request comes again */
}

int server_txn_resend(roam_server_txn *txn)
{
    if (!txn->response || txn->state == SERVER_TERMINATED)
        return ROAM_ESTATE;
    return sip_resend(txn->sip, txn->flow, span_make(txn->response, txn->response_len));
}

void server_txn_move(roam_server_txn *txn, roam_path *path)
{
    if (txn->flow->path == path)
        return;
    roam_flow *flow = flow_get(txn->sip, path, &txn->flow->remote);
    if (!flow) /* no memory: the caller finds the old flow and tries again when it moves next */
        return;
    flow_unref(txn->flow);
    txn->flow = flow;
}

void sip_move_answers(roam_sip *sip, roam_answer_path_fn *choose, void *user)
{
    map_each (txn, &sip->servers, roam_server_txn, node) {
        if (txn->method != METHOD_INVITE || txn->state != SERVER_COMPLETED || flow_usable(txn->flow) || !txn->response)
            continue;
        roam_path *path = choose(user, &txn->flow->remote);
        if (!path)
            continue;
        server_txn_move(txn, path);
        (void)sip_resend(sip, txn->flow, span_make(txn->response, txn->response_len));
    }
}

void server_txn_follow(roam_server_txn *txn, const roam_addr *remote)
{
    roam_flow *flow = flow_get(txn->sip, txn->flow->path, remote);
    if (!flow)
        return;
    flow_unref(txn->flow);
    txn->flow = flow;
}

/* ---- for the user ---- */

void server_txn_attach(roam_server_txn *txn, roam_server_fn *fn, void *user)
{
    txn->fn = fn;
    txn->user = user;
}

roam_flow *server_txn_flow(const roam_server_txn *txn)
{
    return txn->flow;
}

bool server_txn_cancelled(const roam_server_txn *txn)
{
    return txn->cancelled;
}

roam_span server_txn_to_tag(const roam_server_txn *txn)
{
    return txn->tag;
}

const roam_addr *server_txn_source(const roam_server_txn *txn)
{
    return &txn->source;
}

const char *server_txn_state_text(const roam_server_txn *txn)
{
    static const char *const text[] = {"trying", "proceeding", "accepted", "completed", "confirmed", "terminated"};
    return text[txn->state];
}

int server_txn_request(const roam_server_txn *txn, roam_message *out, roam_header_space *space)
{
    if (!txn->head)
        return ROAM_ESTATE;
    return message_parse(out, space, span_make(txn->head + txn->head_len, txn->request_len));
}

/* ---- time ---- */

static void fire(roam_timer *timer)
{
    roam_server_txn *txn = container_of(timer, roam_server_txn, timer);
    roam_sip *sip = txn->sip;
    sip_enter(sip);
    if (sip->env->now >= txn->end_at) {
        timed_out(txn);
    } else if (txn->state == SERVER_COMPLETED) {
        txn->interval = time_earlier(txn->interval * 2, sip->timers.t2);
        txn->next_at = sip->env->now + txn->interval;
        rearm(txn);
        (void)sip_resend(sip, txn->flow, span_make(txn->response, txn->response_len)); /* until Timer H */
    } else {
        txn->next_at = ROAM_NEVER;
        rearm(txn);
        send_trying(txn);
    }
    sip_leave(sip);
}

static void timed_out(roam_server_txn *txn)
{
    switch ((roam_server_state)txn->state) {
    case SERVER_TRYING:
    case SERVER_PROCEEDING:
        terminate(txn, "not answered in time"); /* its client has given up: RFC 4320 4.2 */
        return;
    case SERVER_ACCEPTED: terminate(txn, "Timer L"); return;
    case SERVER_COMPLETED:
        terminate(txn, txn->method == METHOD_INVITE ? "Timer H" : "Timer J");
        if (txn->method == METHOD_INVITE)
            notify(txn, SERVER_NO_ACK, NULL);
        return;
    case SERVER_CONFIRMED: terminate(txn, "Timer I"); return;
    case SERVER_TERMINATED: break;
    }
    assert(false && "a terminated transaction has no timer");
}

/* The timer is armed all the time, or has just left the heap: its place is there. */
static void rearm(roam_server_txn *txn)
{
    int err = timer_arm(&txn->sip->env->timers, &txn->timer, time_earlier(txn->next_at, txn->end_at));
    assert(err == ROAM_OK);
    (void)err;
}

/* ---- state ---- */

static void set_state(roam_server_txn *txn, roam_server_state state, const char *why)
{
#define TO(s) (1u << (s))
    static const uint8_t legal[2][SERVER_TERMINATED + 1] = {
        {
            [SERVER_TRYING] = TO(SERVER_PROCEEDING) | TO(SERVER_COMPLETED) | TO(SERVER_TERMINATED),
            [SERVER_PROCEEDING] = TO(SERVER_PROCEEDING) | TO(SERVER_COMPLETED) | TO(SERVER_TERMINATED),
            [SERVER_COMPLETED] = TO(SERVER_TERMINATED),
        },
        {
            [SERVER_PROCEEDING] = TO(SERVER_PROCEEDING) | TO(SERVER_ACCEPTED) | TO(SERVER_COMPLETED) |
                                  TO(SERVER_TERMINATED), /* a final answer for which there was no memory */
            [SERVER_ACCEPTED] = TO(SERVER_TERMINATED),
            [SERVER_COMPLETED] = TO(SERVER_CONFIRMED) | TO(SERVER_TERMINATED),
            [SERVER_CONFIRMED] = TO(SERVER_TERMINATED),
        },
    };
#undef TO
    assert(legal[txn->method == METHOD_INVITE][txn->state] & 1u << state);
    if (txn->state == state)
        return;
    const char *from = server_txn_state_text(txn);
    txn->state = (uint8_t)state;
    trace_state(&txn->sip->env->trace, "server-transaction", txn->id, from, server_txn_state_text(txn), why);
}

static void terminate(roam_server_txn *txn, const char *why)
{
    roam_sip *sip = txn->sip;
    set_state(txn, SERVER_TERMINATED, why);
    env_cancel(sip->env, &txn->timer);
    map_remove(&sip->servers, &txn->node);
    map_remove(&sip->merges, &txn->merge);
    list_push(&sip->dead_servers, &txn->node.order);
    sip_reap_later(sip);
}

static void notify(roam_server_txn *txn, roam_server_event event, const roam_message *message)
{
    if (txn->fn)
        txn->fn(txn->user, txn, event, message);
}

void servers_reap(roam_sip *sip)
{
    roam_list *node;
    while ((node = list_pop(&sip->dead_servers)) != NULL) {
        roam_server_txn *txn = container_of(node, roam_server_txn, node.order);
        notify(txn, SERVER_ENDED, NULL);
        server_free(txn);
    }
    while ((node = list_pop(&sip->spent)) != NULL) {
        roam_server_txn *txn = container_of(node, roam_server_txn, spent);
        mem_free(&sip->env->mem, txn->head);
        txn->head = NULL;
    }
}

void server_free(roam_server_txn *txn)
{
    roam_sip *sip = txn->sip;
    roam_mem *mem = &sip->env->mem;
    env_cancel(sip->env, &txn->timer);
    map_remove(&sip->merges, &txn->merge);
    if (txn->state == SERVER_TERMINATED)
        list_remove(&txn->node.order);
    else
        map_remove(&sip->servers, &txn->node);
    list_remove(&txn->spent);
    flow_unref(txn->flow);
    mem_free(mem, txn->head);
    mem_free(mem, txn->response);
    mem_free(mem, txn);
    sip->ntransactions--;
}
