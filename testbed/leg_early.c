/* Before the answer, as caller: the early dialogs of our INVITE, one a fork, and their reliable provisionals (RFC 3262
 * 4). `dialog` of the leg is the first of them, until another one answers. */
#include "testbed/leg_inside.h"

#define MAX_PRACK_CHALLENGES 2u

static roam_early *find_early(roam_leg *leg, const roam_message *response, roam_dialog **dialog);
static void take_reliable(roam_leg *leg, roam_early *early, roam_dialog *dialog, const roam_message *response);
static void send_prack(roam_leg *leg, roam_early *early, roam_dialog *dialog);
static void take_media(roam_leg *leg, roam_early *early, const roam_message *response, bool reliable);
static void early_ended(roam_leg *leg, const roam_message *response);
static void fork_swap(roam_leg *leg, size_t i);
static void fork_drop(roam_leg *leg, size_t i);
static void early_clear(roam_leg *leg, roam_early *early);
static void prack_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message);

void leg_provisional(roam_leg *leg, const roam_message *response)
{
    roam_dialog *dialog;
    if (response->status == 199) {
        early_ended(leg, response);
        return;
    }
    roam_early *early = find_early(leg, response, &dialog);
    if (early && dialog_on_response(dialog, response) == ROAM_OK) {
        if (message_has_token(response, HEADER_REQUIRE, SPAN("100rel")))
            take_reliable(leg, early, dialog, response);
        else
            take_media(leg, early, response, false);
    }
    if (early == &leg->early)
        leg_take_allow(leg, response);
    if (!leg->ringing_told)
        peer_event(leg->peer, PEER_CALL_RINGING, leg, response->status, "");
    leg->ringing_told = true;
}

void leg_early_over(roam_leg *leg, const roam_message *response)
{
    if (response && leg->dialog.remote_tag && !dialog_matches(&leg->dialog, response, false)) {
        size_t i = 0;
        while (i < leg->nforks && !dialog_matches(&leg->forks[i].dialog, response, false))
            i++;
        if (i < leg->nforks) {
            fork_swap(leg, i);
        } else { /* it never rang */
            roam_dialog fork;
            if (dialog_init_fork(&fork, &leg->dialog) == ROAM_OK) {
                dialog_free(&leg->dialog);
                early_clear(leg, &leg->early);
                leg->dialog = fork;
            }
        }
    }
    while (leg->nforks)
        fork_drop(leg, leg->nforks - 1);
    if (!response)
        early_clear(leg, &leg->early);
}

bool leg_early_select(roam_leg *leg, const roam_message *request)
{
    for (size_t i = 0; leg->state == LEG_CALLING && i < leg->nforks; i++) {
        if (!dialog_matches(&leg->forks[i].dialog, request, true))
            continue;
        fork_swap(leg, i);
        if (!leg->offerless)
            leg->offer = leg->early.settled ? OFFER_NONE : OFFER_SENT;
        return true;
    }
    return false;
}

/* Where this response belongs; a new fork where it belongs to none. NULL: no tag, or too many. */
static roam_early *find_early(roam_leg *leg, const roam_message *response, roam_dialog **dialog)
{
    roam_name_addr to;
    if (name_addr_parse(message_value(response, HEADER_TO), &to) != ROAM_OK || !name_addr_tag(&to).len)
        return NULL;
    if (dialog_matches(&leg->dialog, response, false)) {
        *dialog = &leg->dialog;
        return &leg->early;
    }
    for (size_t i = 0; i < leg->nforks; i++) {
        if (dialog_matches(&leg->forks[i].dialog, response, false)) {
            *dialog = &leg->forks[i].dialog;
            return &leg->forks[i].early;
        }
    }
    if (leg->nforks == LEG_MAX_FORKS)
        return NULL;
    roam_fork *fork = &leg->forks[leg->nforks];
    *fork = (roam_fork){0};
    if (dialog_init_fork(&fork->dialog, &leg->dialog) != ROAM_OK)
        return NULL;
    leg->nforks++;
    *dialog = &fork->dialog;
    return &fork->early;
}

/* In order, each once (RFC 3262 4). */
static void take_reliable(roam_leg *leg, roam_early *early, roam_dialog *dialog, const roam_message *response)
{
    uint32_t rseq;
    char body[LEG_SDP_MAX];
    roam_writer answer;
    if (!span_u32(message_value(response, HEADER_RSEQ), &rseq) || !rseq || (early->rseq && rseq != early->rseq + 1) ||
        early->prack)
        return;
    early->rseq = rseq;
    early->invite_cseq = message_cseq(response);
    early->challenges = 0;
    writer_init(&answer, body, sizeof body);
    mem_free(&leg->peer->env.mem, early->answer);
    early->answer = NULL;
    if (leg->offerless && !early->settled && leg_answer_in(leg, response, &answer)) {
        early->settled = true;
        early->answer = mem_strdup(&leg->peer->env.mem, writer_span(&answer));
    } else {
        take_media(leg, early, response, true);
    }
    send_prack(leg, early, dialog);
}

static void send_prack(roam_leg *leg, roam_early *early, roam_dialog *dialog)
{
    roam_peer *peer = leg->peer;
    roam_request r;
    roam_flow *flow = leg_flow(leg, dialog);
    if (!flow)
        return;
    dialog_request_begin(dialog, &peer->sip, &r, flow, METHOD_PRACK, 0);
    write_header_name(&r.w, HEADER_RACK);
    write_u64(&r.w, early->rseq);
    write_char(&r.w, ' ');
    write_u64(&r.w, early->invite_cseq);
    write_lit(&r.w, " INVITE\r\n");
    peer_write_credentials(peer, &r.w, METHOD_PRACK, span_of(dialog->remote_target));
    write_body(&r.w, early->answer ? LEG_SDP_TYPE : (roam_span){0}, span_of(early->answer));
    early->prack = request_send(&r, prack_event, leg); /* no memory: the response comes again, and is not taken twice */
    flow_unref(flow);
    if (!early->prack)
        early->rseq = early->rseq > 1 ? early->rseq - 1 : 0;
}

/* An answer that came before the 2xx: for good when it came reliably, else a preview (RFC 3261 13.2.1). */
static void take_media(roam_leg *leg, roam_early *early, const roam_message *response, bool reliable)
{
    if (leg->offerless || early->settled || !response->body.len)
        return;
    bool taken = leg_take_answer(leg, response);
    if (!taken || !reliable)
        return;
    early->settled = true;
    if (early == &leg->early)
        leg->offer = OFFER_NONE;
}

/* RFC 6228: this early dialog is dead, the others are not. */
static void early_ended(roam_leg *leg, const roam_message *response)
{
    leg->early_ends++;
    for (size_t i = 0; i < leg->nforks; i++) {
        if (dialog_matches(&leg->forks[i].dialog, response, false)) {
            fork_drop(leg, i);
            return;
        }
    }
    roam_dialog fresh;
    if (!leg->dialog.remote_tag || !dialog_matches(&leg->dialog, response, false))
        return;
    if (leg->nforks) {
        fork_swap(leg, 0);
        fork_drop(leg, 0);
    } else if (dialog_init_fork(&fresh, &leg->dialog) == ROAM_OK) {
        dialog_free(&leg->dialog);
        early_clear(leg, &leg->early);
        leg->dialog = fresh;
    }
    if (!leg->offerless)
        leg->offer = leg->early.settled ? OFFER_NONE : OFFER_SENT;
}

static void fork_swap(roam_leg *leg, size_t i)
{
    roam_fork first = {leg->dialog, leg->early};
    leg->dialog = leg->forks[i].dialog;
    leg->early = leg->forks[i].early;
    leg->forks[i] = first;
}

static void fork_drop(roam_leg *leg, size_t i)
{
    dialog_free(&leg->forks[i].dialog);
    early_clear(leg, &leg->forks[i].early);
    leg->nforks--;
    for (; i < leg->nforks; i++)
        leg->forks[i] = leg->forks[i + 1];
}

static void early_clear(roam_leg *leg, roam_early *early)
{
    if (early->prack)
        client_txn_abandon(early->prack);
    mem_free(&leg->peer->env.mem, early->answer);
    *early = (roam_early){0};
}

static void prack_event(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *message)
{
    roam_leg *leg = user;
    roam_early *early = leg->early.prack == txn ? &leg->early : NULL;
    roam_dialog *dialog = &leg->dialog;
    for (size_t i = 0; !early && i < leg->nforks; i++) {
        if (leg->forks[i].early.prack == txn) {
            early = &leg->forks[i].early;
            dialog = &leg->forks[i].dialog;
        }
    }
    if (!early || (event == CLIENT_RESPONSE && message->status < 200))
        return;
    if (event == CLIENT_ENDED) {
        early->prack = NULL;
        return;
    }
    client_txn_abandon(early->prack);
    early->prack = NULL;
    unsigned status = event == CLIENT_RESPONSE ? message->status : 408;
    if (status < 300)
        leg->pracks++;
    if ((status != 401 && status != 407) || early->challenges++ >= MAX_PRACK_CHALLENGES ||
        !peer_learn_challenge(leg->peer, message))
        return; /* a PRACK that failed ends nothing: the callee repeats, or gives up */
    send_prack(leg, early, dialog);
}
