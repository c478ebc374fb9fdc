#include "ua/farewell.h"

typedef struct roam_farewell {
    roam_list node; /* in roam_ua.farewells */
    roam_ua *ua;
    roam_account_id account;
    roam_dialog dialog;
    roam_client_txn *txn;
    roam_auth_attempt attempt;
} roam_farewell;

static void forget(roam_farewell *f)
{
    if (f->txn)
        client_txn_abandon(f->txn);
    list_remove(&f->node);
    dialog_free(&f->dialog);
    mem_free(&f->ua->env.mem, f);
}

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response);

static bool send_bye(roam_farewell *f, roam_account *account, roam_flow *flow)
{
    roam_request r;
    dialog_request_begin(&f->dialog, &f->ua->sip, &r, flow, METHOD_BYE, 0);
    credentials_write(&account->credentials, &f->attempt, AUTH_REQUEST, &r.w, SPAN("BYE"), span_of(f->dialog.remote_target));
    write_agent_headers(f->ua, &r.w, true);
    write_body(&r.w, SPAN(""), SPAN(""));
    f->txn = request_send(&r, on_answer, f);
    return f->txn != NULL;
}

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_farewell *f = user;
    if (event == CLIENT_RESPONSE && response->status < 200)
        return;
    roam_account *account = account_find(f->ua, f->account);
    bool challenged = event == CLIENT_RESPONSE && (response->status == 401 || response->status == 407);
    if (event == CLIENT_ENDED)
        f->txn = NULL;
    if (challenged && account && credentials_challenged(&account->credentials, &f->attempt, AUTH_REQUEST, response) == AUTH_RETRY) {
        roam_flow *flow = flow_ref(client_txn_flow(txn));
        client_txn_abandon(txn);
        f->txn = NULL;
        bool sent = send_bye(f, account, flow);
        flow_unref(flow);
        if (sent)
            return;
    }
    forget(f); /* whatever was answered: there is nobody to care */
}

void farewell_say(roam_account *account, roam_dialog *dialog, roam_flow *flow)
{
    roam_ua *ua = account->ua;
    roam_farewell *f = dialog->state == DIALOG_CONFIRMED && flow_usable(flow) ? mem_new(&ua->env.mem, roam_farewell) : NULL;
    if (!f) {
        dialog_free(dialog);
        return;
    }
    f->ua = ua;
    f->account = account->id;
    f->dialog = *dialog;
    *dialog = (roam_dialog){0};
    list_push(&ua->farewells, &f->node);
    if (!send_bye(f, account, flow))
        forget(f);
}

void farewell_free_all(roam_ua *ua)
{
    list_each(f, &ua->farewells, roam_farewell, node)
        forget(f);
}
