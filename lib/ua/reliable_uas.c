#include "ua/reliable_uas.h"

#include <assert.h>

#define FIRST_RSEQ_MAX 0x7fffffffu /* RFC 3262 3: 1 to 2^31 - 1 */
#define MOVED_LIMIT(t1) (8 * (t1)) /* four repetitions on the new path */

static void fire(roam_timer *timer);
static void set_state(roam_reliable *r, roam_reliable_state state, const char *why);

void reliable_init(roam_reliable *r, roam_sip *sip, roam_reliable_fn *fn, void *user)
{
    *r = (roam_reliable){.sip = sip, .fn = fn, .user = user};
    timer_init(&r->timer, fire, "reliable 1xx without PRACK");
}

void reliable_write(roam_reliable *r, roam_writer *w)
{
    if (!r->rseq)
        r->rseq = random_below(&r->sip->env->random, FIRST_RSEQ_MAX >> 1); /* with room to grow */
    r->rseq++;
    write_lit(w, "Require: 100rel\r\n");
    write_header_u32(w, HEADER_RSEQ, r->rseq);
}

int reliable_sent(roam_reliable *r, roam_server_txn *txn, uint32_t cseq, bool has_sdp)
{
    roam_env *env = r->sip->env;
    r->txn = txn;
    r->cseq = cseq;
    r->has_sdp = has_sdp;
    r->moved = false;
    r->interval = r->sip->timers.t1;
    r->limit = env->now + 64 * r->sip->timers.t1;
    set_state(r, RELIABLE_SENT, "sent");
    int err = env_arm(env, &r->timer, r->interval);
    if (err)
        reliable_let_go(r);
    return err;
}

/* RAck: response-num CSeq-num method (RFC 3262 7.2). */
unsigned reliable_match(const roam_reliable *r, const roam_message *prack)
{
    roam_span rest, value = message_value(prack, HEADER_RACK), number = span_cut(value, ' ', &rest);
    uint32_t rseq;
    roam_cseq cseq;
    if (!span_u32(span_trim(number), &rseq) || cseq_parse(span_trim(rest), &cseq) != ROAM_OK)
        return 400;
    if (r->state == RELIABLE_IDLE || rseq != r->rseq || cseq.number != r->cseq || cseq.method != METHOD_INVITE)
        return 481;
    return 0;
}

void reliable_acknowledged(roam_reliable *r)
{
    if (r->state == RELIABLE_IDLE)
        return;
    env_cancel(r->sip->env, &r->timer);
    r->txn = NULL;
    set_state(r, RELIABLE_IDLE, "PRACK");
}

void reliable_moved(roam_reliable *r)
{
    roam_env *env = r->sip->env;
    if (r->state != RELIABLE_SENT)
        return;
    r->moved = true;
    r->interval = r->sip->timers.t1;
    roam_time limit = env->now + MOVED_LIMIT(r->sip->timers.t1);
    r->limit = limit < r->limit ? limit : r->limit;
    (void)env_arm(env, &r->timer, r->interval); /* armed already: no refusal */
    (void)server_txn_resend(r->txn);
}

void reliable_let_go(roam_reliable *r)
{
    if (r->state != RELIABLE_SENT)
        return;
    env_cancel(r->sip->env, &r->timer);
    r->txn = NULL;
    set_state(r, RELIABLE_LET_GO, "not repeated any more");
}

static void fire(roam_timer *timer)
{
    roam_reliable *r = container_of(timer, roam_reliable, timer);
    roam_env *env = r->sip->env;
    if (env->now >= r->limit) {
        reliable_let_go(r);
        r->fn(r->user, r, r->moved);
        return;
    }
    r->interval *= 2; /* no ceiling: RFC 3262 3 */
    roam_time next = env->now + r->interval;
    int err = timer_arm(&env->timers, timer, next < r->limit ? next : r->limit);
    assert(err == ROAM_OK); /* into the place it just left */
    (void)err;
    (void)server_txn_resend(r->txn);
}

static void set_state(roam_reliable *r, roam_reliable_state state, const char *why)
{
    static const char *const text[] = {"idle", "sent", "let go"};
    enum { I = 1, S = 2, L = 4 };
    static const unsigned legal[] = {[RELIABLE_IDLE] = S, [RELIABLE_SENT] = I | L, [RELIABLE_LET_GO] = I | S};
    if (r->state == state)
        return;
    assert(legal[r->state] & 1u << state);
    trace_state(&r->sip->env->trace, "reliable-provisional", r->rseq, text[r->state], text[state], why);
    r->state = state;
}
