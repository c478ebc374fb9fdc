#include "ua/farewell.h"

#include "ua/call.h"
#include "ua/hop.h"

#define FAREWELL_LIMIT ROAM_SECONDS(64) /* longer than a callee repeats a 2xx that nobody acknowledges */

typedef struct roam_farewell {
    roam_list node; /* in roam_ua.farewells */
    roam_work work;
    roam_ua *ua;
    roam_account_id account;
    roam_dialog dialog;
    roam_hop hop;
    roam_auth_attempt attempt;
    roam_client_txn *txn;
    roam_timer limit;
} roam_farewell;

static void run(roam_work *work);

static void end(roam_farewell *f)
{
    roam_ua *ua = f->ua;
    if (f->txn)
        client_txn_abandon(f->txn);
    env_cancel(&ua->env, &f->limit);
    list_remove(&f->node);
    list_remove(&f->work.node);
    ua->nfarewells--;
    hop_free(ua, &f->hop);
    dialog_free(&f->dialog);
    mem_free(&ua->env.mem, f);
}

static void on_limit(roam_timer *timer)
{
    end(container_of(timer, roam_farewell, limit));
}

static void on_response(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_farewell *f = user;
    if (txn != f->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    bool path_gone = event == CLIENT_FAILED && !flow_usable(client_txn_flow(txn));
    client_txn_abandon(txn);
    f->txn = NULL;
    roam_account *account = account_find(f->ua, f->account);
    unsigned code = event == CLIENT_RESPONSE ? response->status : 0;
    bool challenged = (code == 401 || code == 407) && account &&
                      credentials_challenged(&account->credentials, &f->attempt, AUTH_REQUEST, response) == AUTH_RETRY;
    if (challenged || path_gone)
        ua_work(f->ua, &f->work);
    else if (event != CLIENT_FAILED) /* else with the next look: there was no memory, or the system could not send */
        end(f); /* 481 ends it as well as 200 */
}

static void nobody(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    (void)user, (void)txn, (void)event, (void)response;
}

static void run(roam_work *work)
{
    roam_farewell *f = container_of(work, roam_farewell, work);
    roam_account *account = account_find(f->ua, f->account);
    roam_hop_news news;
    roam_uri uri;
    if (dialog_next_hop(&f->dialog, &uri) != 0) {
        end(f);
        return;
    }
    roam_hop_state state = hop_keep(f->ua, &f->hop, account ? account->link : 0, &uri, &news);
    if (news.left && f->txn) { /* it went down with its path */
        client_txn_abandon(f->txn);
        f->txn = NULL;
    }
    if (state == HOP_UP && !f->txn)
        f->txn = call_send_bye(f->ua, account, &f->attempt, &f->dialog, f->hop.flow, NULL, on_response, f);
    if (state == HOP_UNKNOWN || state == HOP_NO_MEMORY || (state == HOP_UP && !f->txn))
        end(f);
}

void farewell_say(roam_account *account, roam_dialog *dialog, roam_flow *flow)
{
    roam_ua *ua = account->ua;
    roam_farewell *f = dialog->state == DIALOG_CONFIRMED && ua->nfarewells < ROAM_MAX_FAREWELLS ? mem_new(&ua->env.mem, roam_farewell) : NULL;
    if (f) {
        f->ua = ua;
        f->account = account->id;
        timer_init(&f->limit, on_limit, "good-bye of a stray");
    }
    if (!f || env_arm(&ua->env, &f->limit, FAREWELL_LIMIT) != 0) {
        roam_auth_attempt attempt = {0};
        if (dialog->state == DIALOG_CONFIRMED && flow_usable(flow))
            call_send_bye(ua, account, &attempt, dialog, flow, NULL, nobody, NULL);
        dialog_free(dialog);
        mem_free(&ua->env.mem, f);
        return;
    }
    f->dialog = *dialog;
    *dialog = (roam_dialog){0};
    work_init(&f->work, run);
    list_push(&ua->farewells, &f->node);
    ua->nfarewells++;
    ua_work(ua, &f->work);
}

void farewell_look_all(roam_ua *ua)
{
    list_each(f, &ua->farewells, roam_farewell, node)
        ua_work(ua, &f->work);
}

void farewell_free_all(roam_ua *ua)
{
    list_each(f, &ua->farewells, roam_farewell, node)
        end(f);
}
