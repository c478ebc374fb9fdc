#include "testbed/notifier.h"

typedef struct roam_watcher {
    roam_list node;
    roam_map_node by_tag;
    roam_notifier *notifier;
    roam_package package;
    char *user;
    roam_dialog dialog;
    roam_path *path;  /* the SUBSCRIBE came on it ... */
    roam_addr source; /* ... from here */
    roam_client_txn *txn;
    roam_timer timer; /* expiry */
    roam_time expires_at;
    uint32_t version;    /* of reginfo */
    bool dirty;          /* a NOTIFY is due */
    const char *ending;  /* reason of the last one; NULL: goes on */
    uint32_t retry_after;
} roam_watcher;

typedef struct mailbox {
    roam_map_node node;
    char *user;
    uint32_t fresh, old;
} mailbox;

static const char *const package_names[] = {"message-summary", "reg"};

static void notify(roam_watcher *watcher);
static void watcher_free(roam_watcher *watcher);

/* ---- birth and end ---- */

static void on_flush(roam_timer *timer)
{
    roam_notifier *notifier = container_of(timer, roam_notifier, flush);
    list_each (watcher, &notifier->watchers, roam_watcher, node)
        if (watcher->dirty && !watcher->txn)
            notify(watcher);
}

int notifier_init(roam_notifier *notifier, roam_site *site, roam_registrar *registrar, roam_auth *auth)
{
    *notifier = (roam_notifier){.site = site, .registrar = registrar, .auth = auth, .max_expires = 7200, .min_expires = 60};
    list_init(&notifier->watchers);
    map_init(&notifier->tags, &site->env->mem, site->env->hash_seed);
    map_init(&notifier->mailboxes, &site->env->mem, site->env->hash_seed);
    timer_init(&notifier->flush, on_flush, "notify");
    return 0;
}

void notifier_forget(roam_notifier *notifier)
{
    list_each (watcher, &notifier->watchers, roam_watcher, node)
        watcher_free(watcher);
}

void notifier_free(roam_notifier *notifier)
{
    roam_mem *mem = &notifier->site->env->mem;
    notifier_forget(notifier);
    env_cancel(notifier->site->env, &notifier->flush);
    map_each (box, &notifier->mailboxes, mailbox, node) {
        map_remove(&notifier->mailboxes, &box->node);
        mem_free(mem, box->user);
        mem_free(mem, box);
    }
    map_free(&notifier->tags);
    map_free(&notifier->mailboxes);
}

static void watcher_free(roam_watcher *watcher)
{
    roam_notifier *notifier = watcher->notifier;
    roam_mem *mem = &notifier->site->env->mem;
    if (watcher->txn)
        client_txn_abandon(watcher->txn);
    env_cancel(notifier->site->env, &watcher->timer);
    map_remove(&notifier->tags, &watcher->by_tag);
    list_remove(&watcher->node);
    dialog_free(&watcher->dialog);
    mem_free(mem, watcher->user);
    mem_free(mem, watcher);
    notifier->nwatchers--;
}

/* ---- what is told ---- */

static mailbox *find_mailbox(const roam_notifier *notifier, roam_span user)
{
    roam_map_node *node = map_find(&notifier->mailboxes, user);
    return node ? container_of(node, mailbox, node) : NULL;
}

static void write_xml(roam_writer *w, roam_span text)
{
    for (size_t i = 0; i < text.len; i++)
        switch (text.ptr[i]) {
        case '&': write_lit(w, "&amp;"); break;
        case '<': write_lit(w, "&lt;"); break;
        case '"': write_lit(w, "&quot;"); break;
        default: write_char(w, text.ptr[i]);
        }
}

static void write_reginfo(roam_watcher *watcher, roam_writer *w)
{
    const roam_aor *aor = registrar_find(watcher->notifier->registrar, span_of(watcher->user));
    unsigned n = 0;
    write_lit(w, "<?xml version=\"1.0\"?>\r\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"");
    write_u64(w, watcher->version++);
    write_lit(w, "\" state=\"full\">\r\n<registration aor=\"sip:");
    write_xml(w, span_of(watcher->user));
    write_lit(w, "\" id=\"r\" state=\"");
    write_cstr(w, aor ? "active" : "init");
    write_lit(w, "\">\r\n");
    if (aor)
        list_each (b, &aor->bindings, roam_binding, node) {
            write_lit(w, "<contact id=\"c");
            write_u64(w, ++n);
            write_lit(w, "\" state=\"active\" event=\"registered\"><uri>");
            write_xml(w, span_of(b->contact));
            write_lit(w, "</uri></contact>\r\n");
        }
    write_lit(w, "</registration>\r\n</reginfo>\r\n");
}

static void write_summary(const roam_watcher *watcher, roam_writer *w)
{
    const mailbox *box = find_mailbox(watcher->notifier, span_of(watcher->user));
    write_cstr(w, box && box->fresh ? "Messages-Waiting: yes\r\n" : "Messages-Waiting: no\r\n");
    write_lit(w, "Voice-Message: ");
    write_u64(w, box ? box->fresh : 0);
    write_char(w, '/');
    write_u64(w, box ? box->old : 0);
    write_lit(w, " (0/0)\r\n");
}

/* ---- NOTIFY ---- */

static void on_answer(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    roam_watcher *watcher = user;
    roam_notifier *notifier = watcher->notifier;
    if (txn != watcher->txn || (event == CLIENT_RESPONSE && response->status < 200))
        return;
    client_txn_abandon(txn);
    watcher->txn = NULL;
    if (event != CLIENT_RESPONSE || response->status >= 300) { /* RFC 6665 4.2.2 */
        notifier->counters.failed++;
        watcher_free(watcher);
    } else if (watcher->ending && !watcher->dirty) {
        watcher_free(watcher);
    } else if (watcher->dirty) {
        notify(watcher);
    }
}

/* To the binding with this Contact, which knows what a NAT made of it; else where the URI says; else where the SUBSCRIBE came from. */
static roam_flow *find_flow(roam_watcher *watcher)
{
    roam_uri uri;
    roam_addr remote = watcher->source;
    roam_path *path = watcher->path;
    if (dialog_next_hop(&watcher->dialog, &uri) == 0) {
        const roam_binding *binding = watcher->dialog.nroutes ? NULL : registrar_find_contact(watcher->notifier->registrar, &uri);
        if (binding) {
            remote = binding->source;
            path = binding->path;
        } else if (uri.ip.family) {
            remote = (roam_addr){.ip = uri.ip, .port = uri_effective_port(&uri)};
            path = site_path_toward(watcher->notifier->site, &remote, path);
        }
    }
    return path ? flow_get(watcher->notifier->site->sip, path, &remote) : NULL;
}

static void notify(roam_watcher *watcher)
{
    roam_notifier *notifier = watcher->notifier;
    roam_time now = notifier->site->env->now;
    char space[8192];
    roam_writer body;
    roam_request r;
    roam_flow *flow = find_flow(watcher);
    watcher->dirty = false;
    if (!flow) {
        watcher_free(watcher);
        return;
    }
    writer_init(&body, space, sizeof space);
    if (watcher->package == PACKAGE_REG)
        write_reginfo(watcher, &body);
    else
        write_summary(watcher, &body);
    dialog_request_begin(&watcher->dialog, notifier->site->sip, &r, flow, METHOD_NOTIFY, 0);
    write_lit(&r.w, "Contact: <sip:");
    write_uri_user(&r.w, span_of(watcher->user));
    write_char(&r.w, '@');
    write_addr(&r.w, &flow->path->local);
    write_lit(&r.w, ">\r\n");
    write_header(&r.w, HEADER_EVENT, span_of(package_names[watcher->package]));
    write_header_name(&r.w, HEADER_SUBSCRIPTION_STATE);
    if (watcher->ending) {
        write_lit(&r.w, "terminated;reason=");
        write_cstr(&r.w, watcher->ending);
        if (watcher->retry_after) {
            write_lit(&r.w, ";retry-after=");
            write_u64(&r.w, watcher->retry_after);
        }
    } else {
        write_lit(&r.w, "active;expires=");
        write_u64(&r.w, watcher->expires_at > now ? (watcher->expires_at - now) / ROAM_SECONDS(1) : 0);
    }
    write_lit(&r.w, "\r\n");
    write_body(&r.w, watcher->package == PACKAGE_REG ? SPAN("application/reginfo+xml") : SPAN("application/simple-message-summary"), writer_span(&body));
    watcher->txn = body.overflow ? NULL : request_send(&r, on_answer, watcher);
    flow_unref(flow);
    if (watcher->txn)
        notifier->counters.notified++;
    else
        watcher_free(watcher);
}

static void on_expiry(roam_timer *timer)
{
    roam_watcher *watcher = container_of(timer, roam_watcher, timer);
    watcher->ending = "timeout";
    watcher->dirty = true;
    if (!watcher->txn)
        notify(watcher);
}

/* ---- SUBSCRIBE ---- */

static bool refuse(roam_notifier *notifier, roam_server_txn *txn, unsigned status, const char *header)
{
    roam_response r;
    response_begin(txn, &r, status, (roam_span){0}, (roam_span){0});
    write_cstr(&r.w, header);
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    notifier->counters.refused++;
    (void)response_send(&r);
    return false;
}

static bool allowed(roam_notifier *notifier, roam_server_txn *txn, const roam_message *m, roam_span user)
{
    char space[REGISTRAR_MAX_USER];
    roam_name_addr from;
    roam_response r;
    if (name_addr_parse(message_value(m, HEADER_FROM), &from) != 0 || !span_eq(registrar_user(&from.uri, space), user))
        return refuse(notifier, txn, 403, "");
    if (!auth_enabled(notifier->auth) || auth_trusts(notifier->auth, user))
        return true;
    const roam_addr *source = server_txn_source(txn);
    roam_auth_verdict verdict = auth_check(notifier->auth, m, HEADER_AUTHORIZATION, user, source);
    if (verdict == AUTH_OK)
        return true;
    if (verdict == AUTH_BAD)
        return refuse(notifier, txn, 400, "");
    response_begin(txn, &r, 401, (roam_span){0}, (roam_span){0});
    if (auth_write_challenge(notifier->auth, &r.w, HEADER_WWW_AUTHENTICATE, verdict == AUTH_STALE, source) != ROAM_OK)
        return refuse(notifier, txn, 500, "");
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
    return false;
}

static roam_watcher *watcher_new(roam_notifier *notifier, roam_server_txn *txn, const roam_message *m, roam_span user, roam_package package)
{
    roam_env *env = notifier->site->env;
    roam_watcher *watcher = notifier->nwatchers < NOTIFIER_MAX_WATCHERS ? mem_new(&env->mem, roam_watcher) : NULL;
    if (!watcher)
        return NULL;
    watcher->notifier = notifier;
    watcher->package = package;
    list_init(&watcher->node);
    map_node_init(&watcher->by_tag);
    timer_init(&watcher->timer, on_expiry, "subscription expires");
    notifier->nwatchers++;
    watcher->user = mem_strdup(&env->mem, user);
    if (!watcher->user || dialog_init_callee(&watcher->dialog, env, m, server_txn_to_tag(txn)) != 0 ||
        map_insert(&notifier->tags, &watcher->by_tag, span_of(watcher->dialog.local_tag)) != 0) {
        watcher_free(watcher);
        return NULL;
    }
    dialog_set_state(&watcher->dialog, DIALOG_CONFIRMED, "SUBSCRIBE");
    list_push(&notifier->watchers, &watcher->node);
    return watcher;
}

bool notifier_subscribe(roam_notifier *notifier, roam_server_txn *txn, const roam_message *m)
{
    roam_env *env = notifier->site->env;
    char space[REGISTRAR_MAX_USER], header[48];
    roam_uri uri;
    roam_name_addr to;
    roam_span params;
    roam_package package = PACKAGE_MWI;
    uint32_t expires = 3600;
    if (uri_parse(m->request_uri, &uri) != 0 || name_addr_parse(message_value(m, HEADER_TO), &to) != 0)
        return false;
    roam_span user = registrar_user(&uri, space), tag = name_addr_tag(&to);
    if (!user.len || (auth_enabled(notifier->auth) && !auth_knows(notifier->auth, user)))
        return false;
    roam_map_node *node = tag.len ? map_find(&notifier->tags, tag) : NULL;
    roam_watcher *watcher = node ? container_of(node, roam_watcher, by_tag) : NULL;
    if (tag.len && (!watcher || watcher->ending || !span_eq(user, span_of(watcher->user))))
        return !refuse(notifier, txn, 481, "");
    if (!allowed(notifier, txn, m, user))
        return true;
    roam_span event = span_trim(span_cut(message_value(m, HEADER_EVENT), ';', &params));
    if (span_eq(event, SPAN("reg")))
        package = PACKAGE_REG;
    else if (!span_eq(event, SPAN("message-summary")))
        return !refuse(notifier, txn, 489, "Allow-Events: message-summary, reg\r\n");
    message_seconds(m, HEADER_EXPIRES, &expires);
    if (expires && expires < notifier->min_expires && expires < 3600) {
        roam_writer w;
        writer_init(&w, header, sizeof header - 1);
        write_lit(&w, "Min-Expires: ");
        write_u64(&w, notifier->min_expires);
        write_lit(&w, "\r\n");
        header[w.len] = '\0';
        return !refuse(notifier, txn, 423, header);
    }
    if (expires > notifier->max_expires)
        expires = notifier->max_expires;
    bool fresh = !watcher;
    if (watcher) {
        unsigned status = dialog_check_request(&watcher->dialog, m);
        if (status)
            return !refuse(notifier, txn, status, "");
        dialog_target_refresh(&watcher->dialog, m);
        if (watcher->txn) /* it may have gone to where the subscriber no longer is */
            client_txn_abandon(watcher->txn);
        watcher->txn = NULL;
    } else if (!(watcher = watcher_new(notifier, txn, m, user, package))) {
        return !refuse(notifier, txn, 500, "");
    }
    watcher->path = server_txn_flow(txn)->path;
    watcher->source = *server_txn_source(txn);
    watcher->expires_at = env->now + ROAM_SECONDS(expires);
    watcher->dirty = true;
    if (expires)
        env_arm(env, &watcher->timer, ROAM_SECONDS(expires));
    else
        watcher->ending = "timeout";
    notifier->counters.accepted += fresh;
    notifier->counters.refreshed += !fresh && expires;
    notifier->counters.ended += !expires;
    roam_response r;
    response_begin(txn, &r, 200, (roam_span){0}, span_of(watcher->dialog.local_tag));
    write_headers_copied(&r.w, m, HEADER_RECORD_ROUTE);
    write_lit(&r.w, "Contact: <sip:");
    write_uri_user(&r.w, user);
    write_char(&r.w, '@');
    write_addr(&r.w, &watcher->path->local);
    write_lit(&r.w, ">\r\n");
    write_header_u32(&r.w, HEADER_EXPIRES, expires);
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    (void)response_send(&r);
    notify(watcher);
    return true;
}

/* ---- changes ---- */

static void change(roam_notifier *notifier, roam_span user, roam_package package)
{
    bool any = false;
    list_each (watcher, &notifier->watchers, roam_watcher, node)
        if (watcher->package == package && span_eq(user, span_of(watcher->user)))
            any = watcher->dirty = true;
    if (any && !timer_armed(&notifier->flush))
        env_arm(notifier->site->env, &notifier->flush, 0);
}

void notifier_bindings_changed(roam_notifier *notifier, roam_span user)
{
    change(notifier, user, PACKAGE_REG);
}

int notifier_set_messages(roam_notifier *notifier, roam_span user, uint32_t fresh, uint32_t old)
{
    roam_mem *mem = &notifier->site->env->mem;
    mailbox *box = find_mailbox(notifier, user);
    if (!box) {
        box = notifier->mailboxes.count < NOTIFIER_MAX_MAILBOXES ? mem_new(mem, mailbox) : NULL;
        if (!box)
            return ROAM_ENOMEM;
        map_node_init(&box->node);
        box->user = mem_strdup(mem, user);
        if (!box->user || map_insert(&notifier->mailboxes, &box->node, span_of(box->user)) != 0) {
            mem_free(mem, box->user);
            mem_free(mem, box);
            return ROAM_ENOMEM;
        }
    }
    box->fresh = fresh;
    box->old = old;
    change(notifier, user, PACKAGE_MWI);
    return 0;
}

void notifier_end(roam_notifier *notifier, roam_span user, const char *reason, uint32_t retry_after)
{
    list_each (watcher, &notifier->watchers, roam_watcher, node)
        if (span_eq(user, span_of(watcher->user)) && !watcher->ending) {
            watcher->ending = reason;
            watcher->retry_after = retry_after;
        }
    change(notifier, user, PACKAGE_MWI);
    change(notifier, user, PACKAGE_REG);
}

size_t notifier_count(const roam_notifier *notifier, roam_span user, roam_package package)
{
    size_t n = 0;
    list_each (watcher, &notifier->watchers, roam_watcher, node)
        n += watcher->package == package && !watcher->ending && span_eq(user, span_of(watcher->user));
    return n;
}
