/* The three-way end of an INVITE (RFC 3261 13.2.2.4, 13.3.1.4): the 2xx is repeated end to end until its ACK, on any
 * transport. */
#include <assert.h>

#include "sip/dialog.h"

static void accept_fire(roam_timer *timer);
static int ack_rewrite_via(roam_ack *ack, roam_sip *sip, roam_flow *flow);

int accept_start(roam_accept *a, roam_sip *sip, roam_server_txn *txn, uint32_t cseq, roam_accept_fn *fn, void *user)
{
    *a = (roam_accept){.sip = sip,
                       .txn = txn,
                       .interval = sip->timers.t1,
                       .limit = sip->env->now + 64 * sip->timers.t1,
                       .cseq = cseq,
                       .fn = fn,
                       .user = user};
    timer_init(&a->timer, accept_fire, "2xx without ACK");
    int err = env_arm(sip->env, &a->timer, a->interval);
    if (err)
        a->txn = NULL;
    return err;
}

bool accept_on_ack(roam_accept *a, const roam_message *ack)
{
    roam_cseq cseq;
    if (!a->txn || cseq_parse(message_value(ack, HEADER_CSEQ), &cseq) != ROAM_OK || cseq.number != a->cseq)
        return false;
    accept_stop(a);
    return true;
}

void accept_stop(roam_accept *a)
{
    if (!a->txn)
        return;
    env_cancel(a->sip->env, &a->timer);
    a->txn = NULL;
}

/* The transaction lives for 64*T1 too (Timer L) and may end first at that moment: at the limit it is not touched. */
static void accept_fire(roam_timer *timer)
{
    roam_accept *a = container_of(timer, roam_accept, timer);
    roam_env *env = a->sip->env;
    a->cancelled = a->cancelled || (env->now < a->limit && server_txn_cancelled(a->txn));
    if (env->now >= a->limit) {
        a->txn = NULL;
        if (a->fn)
            a->fn(a->user, a);
        return;
    }
    a->interval = a->interval * 2 < a->sip->timers.t2 ? a->interval * 2 : a->sip->timers.t2;
    roam_time next = env->now + a->interval;
    int err = timer_arm(&env->timers, timer, next < a->limit ? next : a->limit);
    assert(err == ROAM_OK); /* into the place it just left */
    (void)err;
    (void)server_txn_resend(a->txn);
}

/* ---- the caller's side ---- */

int ack_send(roam_ack *ack, roam_dialog *d, roam_sip *sip, roam_flow *flow, uint32_t cseq, roam_span body_type,
             roam_span body)
{
    return ack_send_with(ack, d, sip, flow, cseq, (roam_span){0}, body_type, body);
}

int ack_send_with(roam_ack *ack, roam_dialog *d, roam_sip *sip, roam_flow *flow, uint32_t cseq, roam_span lines,
                  roam_span body_type, roam_span body)
{
    roam_request r;
    dialog_request_begin(d, sip, &r, flow, METHOD_ACK, cseq);
    write_span(&r.w, lines);
    write_body(&r.w, body_type, body);
    if (r.w.overflow)
        return ROAM_EOVERFLOW;
    char *bytes = mem_alloc(&sip->env->mem, r.w.len);
    if (!bytes) {
        (void)request_send_stateless(&r, NULL, NULL); /* better once than never */
        return ROAM_ENOMEM;
    }
    memcpy(bytes, r.w.ptr, r.w.len);
    ack_free(ack, &sip->env->mem);
    *ack = (roam_ack){bytes, r.w.len, cseq, sip->env->now, flow_ref(flow)};
    return sip_send(sip, flow, span_make(ack->bytes, ack->len));
}

int ack_resend(roam_ack *ack, roam_sip *sip, roam_flow *flow)
{
    if (!ack->bytes)
        return ROAM_ESTATE;
    if (flow->path != ack->flow->path) {
        int err = ack_rewrite_via(ack, sip, flow);
        if (err)
            return err;
    }
    sip->counters.retransmitted++;
    return sip_send(sip, flow, span_make(ack->bytes, ack->len));
}

void ack_free(roam_ack *ack, roam_mem *mem)
{
    mem_free(mem, ack->bytes);
    flow_unref(ack->flow);
    *ack = (roam_ack){0};
}

/* Its own head is known: request line, Via, Max-Forwards, and the rest, which stays. */
static int ack_rewrite_via(roam_ack *ack, roam_sip *sip, roam_flow *flow)
{
    const char *end = ack->bytes + ack->len, *rest = ack->bytes;
    for (int line = 0; line < 3; line++) {
        rest = memchr(rest, '\n', (size_t)(end - rest));
        assert(rest);
        rest++;
    }
    const char *blank = memchr(ack->bytes, ' ', ack->len);
    assert(blank);
    const char *uri_end = memchr(blank + 1, ' ', (size_t)(end - blank - 1));
    assert(uri_end);
    roam_request r;
    request_begin(sip, &r, flow, SPAN("ACK"), span_between(blank + 1, uri_end), 70);
    write_span(&r.w, span_between(rest, end));
    if (r.w.overflow)
        return ROAM_EOVERFLOW;
    char *bytes = mem_alloc(&sip->env->mem, r.w.len);
    if (!bytes)
        return ROAM_ENOMEM;
    memcpy(bytes, r.w.ptr, r.w.len);
    mem_free(&sip->env->mem, ack->bytes);
    flow_unref(ack->flow);
    ack->bytes = bytes;
    ack->len = r.w.len;
    ack->flow = flow_ref(flow);
    return ROAM_OK;
}
