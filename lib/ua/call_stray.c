/* A 2xx that no call waits for: of an INVITE that was taken back, or of another branch of a fork. */
#include "ua/farewell.h"
#include "ua/replaces.h"
#include "ua/takeover.h"

static uint64_t dialog_hash(const roam_ua *ua, roam_span call_id, roam_span tag)
{
    return roam_siphash(ua->env.hash_seed, call_id) * 31 + roam_siphash(ua->env.hash_seed, tag);
}

void call_give_up(roam_call *call, const roam_dialog *dialog, bool adopt)
{
    roam_ua *ua = call->ua;
    if (!dialog->call_id)
        return;
    size_t i = ua->next_given_up++ % UA_GIVEN_UP;
    ua->given_up[i].dialog = dialog_hash(ua, span_of(dialog->call_id), span_of(dialog->local_tag));
    ua->given_up[i].account = call->account->id;
    ua->given_up[i].heir = adopt ? call->id : 0;
    uint32_t top = early_top_cseq(call);
    ua->given_up[i].cseq = dialog->local_cseq > top ? dialog->local_cseq : top;
}

static roam_account *given_up_by(const roam_ua *ua, roam_span call_id, roam_span tag, roam_call **heir, uint32_t *cseq)
{
    uint64_t hash = dialog_hash(ua, call_id, tag);
    for (size_t i = 0; i < UA_GIVEN_UP; i++)
        if (ua->given_up[i].account && ua->given_up[i].dialog == hash) {
            *cseq = ua->given_up[i].cseq > *cseq ? ua->given_up[i].cseq : *cseq;
            *heir = ua->given_up[i].heir ? call_find(ua, ua->given_up[i].heir) : NULL;
            return account_find(ua, ua->given_up[i].account);
        }
    return NULL;
}

/* Each copy of the 2xx is acknowledged; the good-bye is said once. */
static bool first_good_bye(roam_ua *ua, roam_span call_id, roam_span our_tag, roam_span their_tag)
{
    uint64_t hash = dialog_hash(ua, call_id, our_tag) * 31 + roam_siphash(ua->env.hash_seed, their_tag);
    for (size_t i = 0; i < UA_GIVEN_UP; i++)
        if (ua->good_byes[i] == hash)
            return false;
    ua->good_byes[ua->next_good_bye++ % UA_GIVEN_UP] = hash;
    return true;
}

/* The callee answered the INVITE that we were taking back, before the one in its place was answered: this is the call, and the other one is taken back. */
static bool adopt(roam_call *call, roam_dialog *d, uint32_t cseq, const roam_message *response)
{
    if ((call->state != ROAM_CALL_CALLING && call->state != ROAM_CALL_EARLY) || call->dialog.state != DIALOG_NONE || !call->has_offered ||
        !flow_usable(call->flow))
        return false;
    roam_session session = call->offered;
    if (!message_has_body_type(response, SPAN("application/sdp")) || session_take_answer(&session, response->body) != 0)
        return false;
    session_beyond(&session, call->top_version); /* which of the INVITEs it answered, and what stood in that, is not known any more */
    roam_told nothing = {0}; /* it knows neither this path nor this leg: the refresh follows */
    if (call->invite)
        client_txn_cancel(call->invite, call->flow, true);
    call_replace(call, d, &session, NULL, cseq, &nothing);
    *d = (roam_dialog){0};
    call_confirm(call, response, true);
    return true;
}

void call_stray_answer(roam_ua *ua, roam_flow *flow, const roam_message *response)
{
    roam_name_addr from, to;
    roam_cseq cseq;
    if (response->method != METHOD_INVITE || response->status < 200 || response->status > 299 ||
        name_addr_parse(message_value(response, HEADER_FROM), &from) != 0 || name_addr_parse(message_value(response, HEADER_TO), &to) != 0 ||
        cseq_parse(message_value(response, HEADER_CSEQ), &cseq) != 0)
        return;
    roam_span call_id = message_value(response, HEADER_CALL_ID);
    roam_call *call = call_by_dialog(ua, call_id, name_addr_tag(&from));
    if (call && call->dialog.remote_tag && span_eq(span_of(call->dialog.remote_tag), name_addr_tag(&to))) {
        if (call->ack.bytes && call->ack.cseq == cseq.number && flow_usable(call->flow))
            ack_resend(&call->ack, &ua->sip, call->flow); /* the answer of a re-INVITE, again */
        else if (flow_usable(call->flow))
            ack_send(&call->ack, &call->dialog, &ua->sip, call->flow, cseq.number, SPAN(""), SPAN("")); /* of one given up with its path */
        return;
    }
    if (!sip_response_is_ours(&ua->sip, response))
        return; /* invented: it must not make us send to wherever its Contact says */
    /* A call that we took back, or another branch of a fork: nobody is to talk into the void. What we never began is nobody's business. */
    roam_call *heir = NULL;
    uint32_t used = cseq.number; /* the last CSeq that was sent by these tags: PRACKs and UPDATEs may have followed the INVITE */
    roam_account *account = call ? call->account : given_up_by(ua, call_id, name_addr_tag(&from), &heir, &used);
    if (call && early_top_cseq(call) > used)
        used = early_top_cseq(call);
    if (!account) {
        ua->dropped++;
        return;
    }
    if (heir && heir->takeover && takeover_asking(heir->takeover))
        return; /* the callee may be taking another INVITE in its place at this moment: it comes again when that is known */
    roam_dialog d = {0};
    roam_ack ack = {0};
    roam_mem *mem = &ua->env.mem;
    char *own_id = NULL, *own_tag = NULL;
    if (dialog_init_caller(&d, &ua->env, from.uri_text, to.uri_text, to.uri_text) != 0)
        return;
    own_id = mem_strdup(mem, call_id);
    own_tag = mem_strdup(mem, name_addr_tag(&from));
    char *local = mem_alloc(mem, from.uri_text.len + 3), *remote = mem_alloc(mem, to.uri_text.len + 3);
    if (own_id && own_tag && local && remote) {
        roam_writer w;
        writer_init(&w, local, from.uri_text.len + 3);
        write_char(&w, '<'), write_span(&w, from.uri_text), write_bytes(&w, ">", 2);
        writer_init(&w, remote, to.uri_text.len + 3);
        write_char(&w, '<'), write_span(&w, to.uri_text), write_bytes(&w, ">", 2);
        mem_free(mem, d.call_id);
        mem_free(mem, d.local_tag);
        mem_free(mem, d.local_party);
        mem_free(mem, d.remote_party);
        d.call_id = own_id, d.local_tag = own_tag, d.local_party = local, d.remote_party = remote;
        d.local_cseq = used;
        if (dialog_on_response(&d, response) == 0 && !(heir && adopt(heir, &d, cseq.number, response))) {
            ack_send(&ack, &d, &ua->sip, flow, cseq.number, SPAN(""), SPAN(""));
            if (!replaces_has_ended(ua, call_id, name_addr_tag(&from), name_addr_tag(&to)) && first_good_bye(ua, call_id, name_addr_tag(&from), name_addr_tag(&to)))
                farewell_say(account, &d, flow);
        }
    } else {
        mem_free(mem, own_id);
        mem_free(mem, own_tag);
        mem_free(mem, local);
        mem_free(mem, remote);
    }
    ack_free(&ack, mem);
    dialog_free(&d);
}
