#include "ua/account.h"

#include "ua/call.h"
#include "ua/subscription.h"
#include "ua/transfer.h"
#include "ua/record.h"

void roam_account_config_default(roam_account_config *config)
{
    *config = (roam_account_config){
        .expires = 3600,
        .register_on_add = true,
        .allow_contact_rewrite = ROAM_CONTACT_REWRITE_ON,
        .contact_rewrite_method = ROAM_CONTACT_ONE_REGISTER | ROAM_CONTACT_ALWAYS_UPDATE,
        .reliable = ROAM_100REL_SUPPORTED,
        .session_expires = 1800,
        .session_min_se = 90,
        .keepalive = 25,
        .ip_change = {.shutdown_transport = true, .reinvite_flags = ROAM_REINVITE_DEFAULT, .offline_max_ms = 60000}};
}

static roam_span id_key(const roam_account_id *id)
{
    return span_make((const char *)id, sizeof *id);
}

roam_account *account_find(const roam_ua *ua, roam_account_id id)
{
    roam_map_node *node = map_find(&ua->account_ids, id_key(&id));
    roam_account *account = node ? container_of(node, roam_account, id_node) : NULL;
    return account && !account->removed ? account : NULL;
}

roam_account *account_first(const roam_ua *ua)
{
    list_each(account, &ua->accounts, roam_account, node)
        if (!account->removed)
            return account;
    return NULL;
}

roam_account *account_for_request(const roam_ua *ua, const roam_message *request)
{
    roam_uri ruri;
    roam_name_addr to;
    uri_clear(&ruri);
    bool have_uri = uri_parse(request->request_uri, &ruri) == 0;
    bool have_to = name_addr_parse(message_value(request, HEADER_TO), &to) == 0;
    /* To names the AOR that was called, the Request-URI our Contact. The whole AOR first, the user part alone last. Of several the one added first. */
    roam_account *best = NULL;
    int best_rank = 0;
    for (int by_to = 0; by_to < 2; by_to++) {
        roam_span user = by_to ? to.uri.user : ruri.user;
        if (by_to ? !have_to : !have_uri)
            continue;
        for (roam_map_node *node = map_find(&ua->account_users, user); node; node = map_next(node)) {
            roam_account *account = container_of(node, roam_account, user_node);
            bool to_aor = have_to && span_eq(to.uri.user, user) && span_ieq(to.uri.host, account->aor_uri.host);
            int rank = to_aor && !by_to ? 3 : !by_to ? 2 : to_aor ? 1 : 0;
            if (account->removed || rank < best_rank || !rank || (rank == best_rank && best && best->id < account->id))
                continue;
            best = account;
            best_rank = rank;
        }
    }
    return best;
}

bool account_serves(const roam_account *account, const roam_addr *source)
{
    return account->reg.server.ip.family && roam_ip_equal(&account->reg.server.ip, &source->ip);
}

int account_complete_uri(const roam_account *account, roam_span given, roam_writer *w)
{
    roam_uri own, parsed;
    size_t begin = w->len;
    roam_span rest, scheme = span_cut(given, ':', &rest);
    bool has_scheme = rest.ptr && (span_ieq(scheme, SPAN("sip")) || span_ieq(scheme, SPAN("sips")) || span_ieq(scheme, SPAN("tel")));
    if (!has_scheme)
        write_lit(w, "sip:");
    write_span(w, given);
    if (!has_scheme && !memchr(given.ptr, '@', given.len) && uri_parse(span_of(account->aor), &own) == 0) {
        write_char(w, '@');
        if (memchr(own.host.ptr, ':', own.host.len)) {
            write_char(w, '[');
            write_span(w, own.host);
            write_char(w, ']');
        } else {
            write_span(w, own.host);
        }
        if (own.port) {
            write_char(w, ':');
            write_u64(w, own.port);
        }
    }
    return w->overflow || uri_parse(span_make(w->ptr + begin, w->len - begin), &parsed) != 0 ? ROAM_EINVAL : 0;
}

int account_target(const roam_account *account, const char *text, roam_writer *w)
{
    roam_uri parsed;
    size_t begin = w->len;
    if (!text || !*text || account_complete_uri(account, span_of(text), w) != 0 || uri_parse(span_make(w->ptr + begin, w->len - begin), &parsed) != 0)
        return ROAM_EINVAL;
    return parsed.scheme == URI_SIP || (parsed.scheme == URI_TEL && account->proxy) ? 0 : ROAM_EUNSUPPORTED;
}

int account_next_hop(roam_account *account, roam_span uri, roam_uri *out)
{
    return uri_parse(account->proxy ? span_of(account->proxy) : uri, out);
}

bool account_known_on(const roam_account *account, const roam_path *path)
{
    const roam_registration *reg = &account->reg;
    return !account->registrar || (reg->bound && reg->state == ROAM_REGISTRATION_REGISTERED && reg->flow && reg->flow->path == path);
}

bool account_route(roam_account *account, roam_writer *w)
{
    if (!account->proxy)
        return false;
    roam_uri uri;
    roam_span value;
    write_char(w, '<');
    write_cstr(w, account->proxy);
    if (uri_parse(span_of(account->proxy), &uri) == 0 && !param_find(uri.params, SPAN("lr"), &value))
        write_lit(w, ";lr");
    write_char(w, '>');
    return true;
}

void write_contact(roam_account *account, roam_writer *w, const roam_flow *flow)
{
    const roam_registration *reg = &account->reg;
    bool mapped = reg->mapped.ip.family != 0 && reg->flow && reg->flow->path == flow->path;
    write_lit(w, "<sip:");
    if (*account->user) {
        write_cstr(w, account->user);
        write_char(w, '@');
    }
    write_addr(w, mapped ? &reg->mapped : &flow->path->local);
    write_char(w, '>');
}

void account_free(roam_account *account)
{
    roam_ua *ua = account->ua;
    roam_mem *mem = &ua->env.mem;
    registration_free(account);
    credentials_free(&account->credentials);
    list_remove(&account->node);
    map_remove(&ua->account_users, &account->user_node);
    if (map_find(&ua->account_ids, id_key(&account->id)) == &account->id_node) {
        map_remove(&ua->account_ids, &account->id_node);
        ua->naccounts--;
    }
    char *texts[] = {account->aor, account->party, account->user, account->registrar, account->proxy, account->instance};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        mem_free(mem, texts[i]);
    mem_free(mem, account);
}

/* A SIP URI that can be sent to; NULL and "" are none. */
static int take_uri(roam_ua *ua, const char *text, char **out)
{
    if (!text || !*text)
        return 0;
    roam_name_addr value;
    if (name_addr_parse(span_of(text), &value) != 0 || value.wildcard || (value.uri.scheme != URI_SIP && value.uri.scheme != URI_SIPS))
        return ROAM_EINVAL;
    if (value.uri.scheme == URI_SIPS)
        return ROAM_EUNSUPPORTED; /* no TLS yet: never sent in the clear instead */
    *out = mem_strdup(&ua->env.mem, value.uri_text);
    return *out ? 0 : ROAM_ENOMEM;
}

/* Goes into a header as it is: no line ends, quotes or brackets. */
static bool is_plain(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text <= ' ' || *text == '"' || *text == '<' || *text == '>' || *text == '\\' || *text == 0x7f)
            return false;
    return true;
}

static int fill(roam_ua *ua, roam_account *account, const roam_account_config *config)
{
    roam_name_addr aor;
    roam_mem *mem = &ua->env.mem;
    if (!is_plain(config->instance))
        return ROAM_EINVAL;
    for (const char *c = config->aor; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) /* a display name is written as it stands */
            return ROAM_EINVAL;
    if (!config->aor || name_addr_parse(span_of(config->aor), &aor) != 0 || aor.uri.scheme != URI_SIP)
        return ROAM_EINVAL;
    int err = take_uri(ua, config->registrar, &account->registrar);
    if (!err)
        err = take_uri(ua, config->outbound_proxy, &account->proxy);
    if (err)
        return err;
    char party[1024];
    roam_writer w;
    writer_init(&w, party, sizeof party);
    if (aor.display.len) {
        write_span(&w, aor.display);
        write_char(&w, ' ');
    }
    write_char(&w, '<');
    write_span(&w, aor.uri_text);
    write_char(&w, '>');
    if (w.overflow)
        return ROAM_EINVAL;
    account->aor = mem_strdup(mem, aor.uri_text);
    account->party = mem_strdup(mem, writer_span(&w));
    account->user = mem_strdup(mem, aor.uri.user);
    account->instance = config->instance ? mem_strdup(mem, span_of(config->instance)) : NULL;
    if (!account->aor || !account->party || !account->user || (config->instance && !account->instance))
        return ROAM_ENOMEM;
    if (uri_parse(span_of(account->aor), &account->aor_uri) != 0)
        return ROAM_EINVAL;
    account->rewrite = config->allow_contact_rewrite;
    account->rewrite_method = config->contact_rewrite_method;
    account->policy = config->ip_change;
    account->configured_expires = config->expires ? config->expires : 3600;
    account->link = config->link;
    account->session_expires = config->session_expires;
    account->session_min_se = config->session_min_se;
    account->reliable = config->reliable;
    account->keepalive = config->keepalive;
    const char *user = config->auth_user && *config->auth_user ? config->auth_user : account->user;
    return credentials_init(&account->credentials, &ua->env, user, config->password, config->auth_realm);
}

int roam_account_add(roam_ua *ua, const roam_account_config *config, roam_account_id *id)
{
    if (recording(ua))
        record_account(ua, config);
    if (ua->naccounts >= ROAM_MAX_ACCOUNTS)
        return ROAM_ELIMIT;
    roam_account *account = mem_new(&ua->env.mem, roam_account);
    if (!account)
        return ROAM_ENOMEM;
    account->ua = ua;
    list_init(&account->node);
    map_node_init(&account->id_node);
    map_node_init(&account->user_node);
    list_init(&account->subscriptions);
    list_init(&account->pages);
    account->id = ua->next_account + 1;
    registration_init(account);
    int err = fill(ua, account, config);
    account->reg.expires = account->configured_expires;
    if (!err)
        err = map_insert(&ua->account_ids, &account->id_node, id_key(&account->id));
    if (!err && (err = map_insert(&ua->account_users, &account->user_node, span_of(account->user))) != 0)
        map_remove(&ua->account_ids, &account->id_node);
    if (err) {
        account_free(account);
        return err;
    }
    ua->next_account++;
    ua->naccounts++;
    list_push(&ua->accounts, &account->node);
    if (id)
        *id = account->id;
    ua_enter(ua, ua_now(ua));
    if (!account->registrar) {
        ua->net.listeners++;
        ua_work(ua, &account->reg.work);
    } else if (config->register_on_add) {
        registration_want(account, WANT_REGISTERED);
    }
    ua_leave(ua);
    return 0;
}

int roam_account_remove(roam_ua *ua, roam_account_id id)
{
    record_command(ua, "account_remove", "account", id);
    roam_account *account = account_find(ua, id);
    if (!account)
        return ROAM_ENOTFOUND;
    ua_enter(ua, ua_now(ua));
    account->removed = true;
    if (!account->registrar)
        ua->net.listeners--;
    list_each(call, &ua->calls, roam_call, node)
        if (call->account == account)
            call_hangup(call, "account removed");
    calls_drop_lingering(ua, account);
    list_each(sub, &account->subscriptions, roam_subscription, account_node)
        subscription_leave(sub, "account removed");
    registration_want(account, WANT_UNREGISTERED);
    ua_leave(ua);
    return 0;
}

static int want(roam_ua *ua, roam_account_id id, roam_register_want what)
{
    roam_account *account = account_find(ua, id);
    if (!account)
        return ROAM_ENOTFOUND;
    if (!account->registrar)
        return ROAM_ESTATE;
    ua_enter(ua, ua_now(ua));
    registration_want(account, what);
    ua_leave(ua);
    return 0;
}

int roam_account_register(roam_ua *ua, roam_account_id id)
{
    record_command(ua, "account_register", "account", id);
    return want(ua, id, WANT_REGISTERED);
}

int roam_account_unregister(roam_ua *ua, roam_account_id id)
{
    record_command(ua, "account_unregister", "account", id);
    return want(ua, id, WANT_UNREGISTERED);
}

static void copy_text(char *out, size_t cap, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len >= cap)
        len = cap - 1;
    if (len)
        memcpy(out, text, len);
    out[len] = '\0';
}

int roam_account_get_info(const roam_ua *ua, roam_account_id id, roam_account_info *info)
{
    const roam_account *account = account_find(ua, id);
    if (!account)
        return ROAM_ENOTFOUND;
    const roam_registration *reg = &account->reg;
    *info = (roam_account_info){.id = id,
                                .registration = reg->state,
                                .last_status = reg->last_status,
                                .expires_at = reg->bound ? reg->expires_at : ROAM_NEVER,
                                .epoch = reg->move.report.epoch};
    copy_text(info->aor, sizeof info->aor, account->aor);
    copy_text(info->contact, sizeof info->contact, reg->contact);
    if (flow_usable(reg->flow))
        info->local = reg->flow->path->local;
    return 0;
}

size_t roam_account_list(const roam_ua *ua, roam_account_id *ids, size_t max)
{
    size_t n = 0;
    list_each(account, &ua->accounts, roam_account, node)
        if (!account->removed) {
            if (n < max)
                ids[n] = account->id;
            n++;
        }
    return n;
}
