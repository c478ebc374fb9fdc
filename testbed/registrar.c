#include "testbed/registrar.h"

#include <assert.h>

/* One REGISTER being worked out. Nothing in the store changes before everything is known to work (RFC 3261 10.3, step
 * 7: all or nothing). */
typedef struct plan {
    roam_registrar *registrar;
    roam_server_txn *txn;
    const roam_message *request;
    roam_span user;
    roam_aor *aor; /* NULL: not yet registered */
    roam_cseq cseq;
    roam_binding *made[ROAM_MAX_BINDINGS]; /* by this request; those that stay are in `set`, too */
    size_t nmade;
    roam_binding *set[2 * ROAM_MAX_BINDINGS]; /* what the AOR will hold */
    size_t nset;
    bool outbound; /* a reg-id was honoured */
    unsigned status;
    const char *why;
} plan;

static void refuse(plan *p, unsigned status, const char *why);
static bool request_allowed(plan *p);
static bool plan_contacts(plan *p);
static bool plan_contact(plan *p, roam_span value);
static bool removes(roam_span value);
static bool plan_clear(plan *p);
static bool plan_take_out(plan *p, const roam_uri *uri, roam_span instance, uint32_t reg_id);
static bool plan_commit(plan *p);
static void plan_drop(plan *p);
static void answer_ok(plan *p);
static bool contact_lifetime(plan *p, const roam_name_addr *contact, uint32_t *seconds);
static roam_binding *binding_new(plan *p, const roam_name_addr *contact, uint32_t seconds, roam_span instance,
                                 uint32_t reg_id);
static roam_span contact_uri(plan *p, const roam_name_addr *contact, char space[REGISTRAR_MAX_CONTACT]);
static void binding_remove(roam_binding *b, const char *why);
static void binding_free(roam_binding *b);
static void binding_expired(roam_timer *timer);
static roam_aor *aor_new(roam_registrar *registrar, roam_span user);
static void aor_free_if_empty(roam_registrar *registrar, roam_aor *aor);
static roam_span contact_key(const roam_uri *uri, char space[REGISTRAR_MAX_CONTACT]);
static roam_span source_key(const roam_addr *source, char key[24]);
static void notice_binding(const roam_binding *b, roam_notice_type type, const char *why);
static int map_prime(roam_map *map);

int registrar_init(roam_registrar *registrar, roam_site *site, roam_auth *auth, const roam_registrar_config *config)
{
    roam_env *env = site->env;
    *registrar = (roam_registrar){.site = site, .auth = auth, .config = *config};
    roam_registrar_config *c = &registrar->config;
    if (!c->default_expires)
        c->default_expires = 3600;
    if (!c->min_expires)
        c->min_expires = 60;
    if (!c->max_expires)
        c->max_expires = 7200;
    if (!c->max_contacts || c->max_contacts > ROAM_MAX_BINDINGS)
        c->max_contacts = ROAM_MAX_BINDINGS;
    map_init(&registrar->aors, &env->mem, env->hash_seed);
    map_init(&registrar->contacts, &env->mem, env->hash_seed);
    map_init(&registrar->sources, &env->mem, env->hash_seed);
    if (c->min_expires > c->max_expires)
        return ROAM_EINVAL;
    /* Only the first insertion into a map can be refused: made here, so that a commit cannot fail half way. */
    if (map_prime(&registrar->contacts) || map_prime(&registrar->sources))
        return ROAM_ENOMEM;
    return ROAM_OK;
}

void registrar_free(roam_registrar *registrar)
{
    map_each (aor, &registrar->aors, roam_aor, node) {
        list_each (b, &aor->bindings, roam_binding, node)
            binding_free(b);
        aor_free_if_empty(registrar, aor);
    }
    map_free(&registrar->aors);
    map_free(&registrar->contacts);
    map_free(&registrar->sources);
}

void registrar_forget(roam_registrar *registrar)
{
    map_each (aor, &registrar->aors, roam_aor, node) {
        list_each (b, &aor->bindings, roam_binding, node)
            binding_remove(b, "forgotten");
        aor_free_if_empty(registrar, aor);
    }
}

void registrar_handle(roam_registrar *registrar, roam_server_txn *txn, const roam_message *request)
{
    char user[REGISTRAR_MAX_USER];
    roam_name_addr to;
    plan p = {.registrar = registrar, .txn = txn, .request = request};
    registrar->counters.requests++;
    if (name_addr_parse(message_value(request, HEADER_TO), &to) != ROAM_OK ||
        !(p.user = registrar_user(&to.uri, user)).len)
        refuse(&p, 400, "To names no user");
    else if (!site_owns_host(registrar->site, &to.uri))
        refuse(&p, 404, "To is not of this domain");
    else if (cseq_parse(message_value(request, HEADER_CSEQ), &p.cseq) != ROAM_OK)
        refuse(&p, 400, "bad CSeq");
    else if (request_allowed(&p) && plan_contacts(&p)) {
        if (plan_commit(&p))
            answer_ok(&p);
    }
    plan_drop(&p);
}

roam_span registrar_user(const roam_uri *uri, char space[REGISTRAR_MAX_USER])
{
    roam_writer w;
    writer_init(&w, space, REGISTRAR_MAX_USER);
    if (uri_unescape(uri->user, &w) != ROAM_OK || w.overflow)
        return (roam_span){0};
    return writer_span(&w);
}

const roam_aor *registrar_find(const roam_registrar *registrar, roam_span user)
{
    roam_map_node *node = map_find(&registrar->aors, user);
    return node ? container_of(node, roam_aor, node) : NULL;
}

const roam_binding *registrar_find_contact(const roam_registrar *registrar, const roam_uri *contact)
{
    char space[REGISTRAR_MAX_CONTACT];
    roam_map_node *node = map_find(&registrar->contacts, contact_key(contact, space));
    return node ? container_of(node, roam_binding, by_contact) : NULL;
}

bool registrar_has_source(const roam_registrar *registrar, const roam_addr *source)
{
    char key[24];
    return map_find(&registrar->sources, source_key(source, key)) != NULL;
}

/* ---- the request ---- */

static void refuse(plan *p, unsigned status, const char *why)
{
    p->status = status;
    p->why = why;
    p->registrar->counters.refused++;
    site_notice(p->registrar->site, &(roam_notice){.type = NOTICE_REFUSED,
                                                   .method = p->request->method_name,
                                                   .subject = p->user,
                                                   .remote = *server_txn_source(p->txn),
                                                   .status = status,
                                                   .why = why});
    (void)server_txn_respond(p->txn, status, (roam_span){0}); /* no memory: the client asks again */
}

/* Steps 2 to 4 of RFC 3261 10.3: Require, authentication, authorization. */
static bool request_allowed(plan *p)
{
    roam_registrar *registrar = p->registrar;
    roam_value_cursor cursor = {0};
    roam_span option;
    roam_response r;
    while (message_values(p->request, HEADER_REQUIRE, &cursor, &option)) {
        if (span_ieq(option, SPAN("outbound")))
            continue;
        registrar->counters.refused++;
        response_begin(p->txn, &r, 420, (roam_span){0}, (roam_span){0});
        write_header(&r.w, HEADER_UNSUPPORTED, option);
        write_body(&r.w, (roam_span){0}, (roam_span){0});
        (void)response_send(&r);
        return false;
    }
    if (!auth_enabled(registrar->auth) || auth_trusts(registrar->auth, p->user))
        return true;
    const roam_addr *source = server_txn_source(p->txn);
    roam_auth_verdict verdict = auth_check(registrar->auth, p->request, HEADER_AUTHORIZATION, p->user, source);
    if (verdict == AUTH_OK)
        return true;
    if (verdict == AUTH_BAD) {
        refuse(p, 400, auth_verdict_text(verdict));
        return false;
    }
    response_begin(p->txn, &r, 401, (roam_span){0}, (roam_span){0});
    if (auth_write_challenge(registrar->auth, &r.w, HEADER_WWW_AUTHENTICATE, verdict == AUTH_STALE, source) !=
        ROAM_OK) {
        refuse(p, 500, "no memory");
        return false;
    }
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    registrar->counters.challenged++;
    site_notice(registrar->site, &(roam_notice){.type = NOTICE_REFUSED,
                                                .method = p->request->method_name,
                                                .subject = p->user,
                                                .remote = *source,
                                                .status = 401,
                                                .why = auth_verdict_text(verdict)});
    (void)response_send(&r);
    return false;
}

/* Steps 6 and 7. False: refused. */
static bool plan_contacts(plan *p)
{
    const roam_aor *found = registrar_find(p->registrar, p->user);
    p->aor = found ? container_of(map_find(&p->registrar->aors, p->user), roam_aor, node) : NULL;
    if (p->aor)
        list_each (b, &p->aor->bindings, roam_binding, node)
            p->set[p->nset++] = b;

    roam_value_cursor cursor = {0};
    roam_span value;
    size_t n = 0;
    bool wildcard = false;
    while (message_values(p->request, HEADER_CONTACT, &cursor, &value)) {
        wildcard |= span_eq(span_trim(value), SPAN("*"));
        n++;
    }
    if (n > ROAM_MAX_BINDINGS) {
        refuse(p, 403, "too many contacts in one request");
        return false;
    }
    if (wildcard) {
        uint32_t expires;
        if (n != 1 || !message_seconds(p->request, HEADER_EXPIRES, &expires) || expires != 0) {
            refuse(p, 400, "Contact: * needs to be alone, with Expires: 0");
            return false;
        }
        return plan_clear(p);
    }
    bool last = p->registrar->config.removals_last;
    for (int round = 0; round < (last ? 2 : 1); round++) {
        cursor = (roam_value_cursor){0};
        while (message_values(p->request, HEADER_CONTACT, &cursor, &value))
            if ((!last || removes(value) == (round == 1)) && !plan_contact(p, value))
                return false;
    }
    if (p->nset > p->registrar->config.max_contacts && p->nmade) {
        refuse(p, 403, "too many contacts");
        return false;
    }
    return true;
}

/* One Contact, in the order of the request: with rewriting two of them may become the same, and then the later one
 * counts. */
static bool plan_contact(plan *p, roam_span value)
{
    roam_name_addr contact;
    roam_span instance = {0}, reg_id_text;
    uint32_t reg_id = 0, seconds;
    if (name_addr_parse(value, &contact) != ROAM_OK ||
        (contact.uri.scheme != URI_SIP && contact.uri.scheme != URI_SIPS) ||
        contact.uri_text.len >= REGISTRAR_MAX_CONTACT || contact.params.len > REGISTRAR_MAX_PARAMS) {
        refuse(p, 400, "bad Contact");
        return false;
    }
    if (!contact_lifetime(p, &contact, &seconds))
        return false;
    /* RFC 5626 6: the pair identifies the binding; one of them alone means nothing. */
    if (!param_find(contact.params, SPAN("+sip.instance"), &instance) || !instance.len ||
        !param_find(contact.params, SPAN("reg-id"), &reg_id_text) || !span_u32(reg_id_text, &reg_id) || !reg_id) {
        instance = (roam_span){0};
        reg_id = 0;
    } else {
        p->outbound = true;
    }
    char space[REGISTRAR_MAX_CONTACT];
    roam_uri uri;
    roam_span text = contact_uri(p, &contact, space);
    if (!text.len || uri_parse(text, &uri) != ROAM_OK) {
        refuse(p, 400, "bad Contact");
        return false;
    }
    if (!plan_take_out(p, &uri, instance, reg_id))
        return false;
    if (!seconds)
        return true;
    roam_binding *b = binding_new(p, &contact, seconds, instance, reg_id);
    if (!b) {
        refuse(p, 500, "no memory");
        return false;
    }
    p->made[p->nmade++] = b;
    p->set[p->nset++] = b;
    return true;
}

static bool removes(roam_span value)
{
    roam_name_addr contact;
    roam_span text;
    uint32_t seconds;
    return name_addr_parse(value, &contact) == ROAM_OK && param_find(contact.params, SPAN("expires"), &text) &&
           span_u32(text, &seconds) && seconds == 0;
}

static bool plan_clear(plan *p)
{
    for (size_t i = 0; i < p->nset; i++) {
        if (span_eq(span_of(p->set[i]->call_id), message_value(p->request, HEADER_CALL_ID)) &&
            p->cseq.number <= p->set[i]->cseq) {
            refuse(p, 500, "CSeq out of order");
            return false;
        }
    }
    p->nset = 0;
    return true;
}

/* Takes the binding out that this Contact stands for. A request that is older than the binding fails (RFC 3261 10.3,
 * step 7). */
static bool plan_take_out(plan *p, const roam_uri *uri, roam_span instance, uint32_t reg_id)
{
    roam_span call_id = message_value(p->request, HEADER_CALL_ID);
    for (size_t i = 0; i < p->nset;) {
        roam_binding *b = p->set[i];
        roam_uri theirs;
        bool same;
        if (reg_id && b->reg_id)
            same = reg_id == b->reg_id && span_eq(instance, span_of(b->instance));
        else
            same = uri_parse(span_of(b->contact), &theirs) == ROAM_OK && uri_equal(uri, &theirs);
        if (!same) {
            i++;
            continue;
        }
        bool mine = false; /* made by this very request */
        for (size_t k = 0; k < p->nmade; k++)
            mine |= p->made[k] == b;
        if (!mine && span_eq(span_of(b->call_id), call_id) && p->cseq.number <= b->cseq) {
            refuse(p, 500, "CSeq out of order");
            return false;
        }
        for (size_t k = i + 1; k < p->nset; k++)
            p->set[k - 1] = p->set[k];
        p->nset--;
    }
    return true;
}

static bool plan_holds(const plan *p, const roam_binding *b)
{
    for (size_t i = 0; i < p->nset; i++)
        if (p->set[i] == b)
            return true;
    return false;
}

/* From here on nothing can fail once the AOR and the room for timers are there. */
static bool plan_commit(plan *p)
{
    roam_registrar *registrar = p->registrar;
    roam_env *env = registrar->site->env;
    if (!p->aor && p->nset) {
        p->aor = aor_new(registrar, p->user);
        if (!p->aor) {
            refuse(p, 500, "no memory for another user");
            return false;
        }
    }
    if (timers_reserve(&env->timers, p->nmade) != ROAM_OK) {
        aor_free_if_empty(registrar, p->aor);
        refuse(p, 500, "no memory");
        return false;
    }
    if (!p->aor)
        return true;
    roam_binding *old[ROAM_MAX_BINDINGS];
    size_t nold = 0;
    list_each (b, &p->aor->bindings, roam_binding, node)
        if (!plan_holds(p, b))
            old[nold++] = b;
    for (size_t i = 0; i < p->nmade; i++) {
        roam_binding *b = p->made[i];
        if (!plan_holds(p, b))
            continue;
        p->made[i] = NULL;
        roam_notice_type type = NOTICE_BINDING_ADDED;
        for (size_t k = 0; k < nold; k++) {
            if (old[k] && span_eq(span_of(old[k]->contact), span_of(b->contact))) {
                type = NOTICE_BINDING_REFRESHED;
                binding_free(old[k]);
                old[k] = NULL;
            }
        }
        list_push(&p->aor->bindings, &b->node);
        p->aor->nbindings++;
        b->aor = p->aor;
        registrar->nbindings++;
        int err = map_insert(&registrar->contacts, &b->by_contact, span_of(b->contact_key));
        err |= map_insert(&registrar->sources, &b->by_source, source_key(&b->source, b->source_key));
        err |= timer_arm(&env->timers, &b->timer, b->expires_at);
        assert(err == ROAM_OK);
        (void)err;
        notice_binding(b, type, "registered");
    }
    for (size_t k = 0; k < nold; k++)
        if (old[k])
            binding_remove(old[k], p->nset ? "replaced" : "unregistered");
    aor_free_if_empty(registrar, p->aor);
    return true;
}

static void plan_drop(plan *p)
{
    for (size_t i = 0; i < p->nmade; i++)
        if (p->made[i])
            binding_free(p->made[i]);
}

/* Step 8: all bindings that there are now. */
static void answer_ok(plan *p)
{
    roam_registrar *registrar = p->registrar;
    roam_time now = registrar->site->env->now;
    roam_response r;
    response_begin(p->txn, &r, 200, (roam_span){0}, (roam_span){0});
    const roam_aor *aor = registrar_find(registrar, p->user);
    if (aor) {
        list_each (b, &aor->bindings, roam_binding, node) {
            write_header_name(&r.w, HEADER_CONTACT);
            write_char(&r.w, '<');
            write_cstr(&r.w, b->contact);
            write_char(&r.w, '>');
            write_cstr(&r.w, b->params);
            write_lit(&r.w, ";expires=");
            write_u64(&r.w, b->expires_at > now ? (b->expires_at - now) / ROAM_SECONDS(1) : 0);
            write_lit(&r.w, "\r\n");
        }
    }
    /* RFC 5626 6: the registrar says that it honoured the reg-id. */
    if (p->outbound && message_has_token(p->request, HEADER_SUPPORTED, SPAN("outbound")))
        write_header(&r.w, HEADER_REQUIRE, SPAN("outbound"));
    if (auth_enabled(registrar->auth) && registrar->auth->config.next_nonce)
        auth_write_next_nonce(registrar->auth, &r.w, server_txn_source(p->txn));
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    registrar->counters.accepted++;
    if (response_send(&r) == ROAM_EOVERFLOW)
        refuse(p, 500, "the list of bindings does not fit into a message");
}

/* The expires parameter, else Expires, else ours. False: refused with 423 (RFC 3261 10.3: an hour or more is never too
 * short). */
static bool contact_lifetime(plan *p, const roam_name_addr *contact, uint32_t *seconds)
{
    const roam_registrar_config *config = &p->registrar->config;
    roam_span text;
    uint64_t value;
    if (param_find(contact->params, SPAN("expires"), &text) && span_u64(text, UINT32_MAX, &value))
        *seconds = (uint32_t)value;
    else if (!message_seconds(p->request, HEADER_EXPIRES, seconds))
        *seconds = config->default_expires;
    if (*seconds > config->max_expires)
        *seconds = config->max_expires;
    if (!*seconds || *seconds >= config->min_expires || *seconds >= 3600)
        return true;
    roam_response r;
    response_begin(p->txn, &r, 423, (roam_span){0}, (roam_span){0});
    write_header_u32(&r.w, HEADER_MIN_EXPIRES, config->min_expires);
    write_body(&r.w, (roam_span){0}, (roam_span){0});
    p->registrar->counters.refused++;
    (void)response_send(&r);
    return false;
}

/* ---- bindings ---- */

/* The URI to keep: the one given, or that with the source in place of host and port. In `space` unless as given. */
static roam_span contact_uri(plan *p, const roam_name_addr *contact, char space[REGISTRAR_MAX_CONTACT])
{
    if (!p->registrar->config.rewrite_contact)
        return contact->uri_text;
    roam_writer w;
    writer_init(&w, space, REGISTRAR_MAX_CONTACT);
    write_span(&w, contact->uri.scheme_name);
    write_char(&w, ':');
    if (contact->uri.user.len) {
        write_span(&w, contact->uri.user);
        write_char(&w, '@');
    }
    write_addr(&w, server_txn_source(p->txn));
    if (contact->uri.params.len) {
        write_char(&w, ';');
        write_span(&w, contact->uri.params);
    }
    return w.overflow ? (roam_span){0} : writer_span(&w);
}

static roam_binding *binding_new(plan *p, const roam_name_addr *contact, uint32_t seconds, roam_span instance,
                                 uint32_t reg_id)
{
    roam_registrar *registrar = p->registrar;
    roam_mem *mem = &registrar->site->env->mem;
    char space[REGISTRAR_MAX_CONTACT], params[2 * REGISTRAR_MAX_PARAMS];
    roam_span uri_text = contact_uri(p, contact, space);
    roam_uri uri;
    roam_writer w;
    if (uri_parse(uri_text, &uri) != ROAM_OK)
        return NULL;
    writer_init(&w, params, sizeof params);
    roam_span rest = contact->params, name, value;
    while (param_next(&rest, &name, &value)) {
        if (span_ieq(name, SPAN("expires")))
            continue;
        write_char(&w, ';');
        write_span(&w, name);
        if (value.len) {
            write_char(&w, '=');
            write_span(&w, value);
        }
    }
    roam_binding *b = w.overflow ? NULL : mem_new(mem, roam_binding);
    if (!b)
        return NULL;
    b->registrar = registrar;
    list_init(&b->node);
    map_node_init(&b->by_contact);
    map_node_init(&b->by_source);
    timer_init(&b->timer, binding_expired, "binding expires");
    b->contact = mem_strdup(mem, uri_text);
    b->params = mem_strdup(mem, writer_span(&w));
    b->instance = reg_id ? mem_strdup(mem, instance) : NULL;
    b->reg_id = reg_id;
    b->call_id = mem_strdup(mem, message_value(p->request, HEADER_CALL_ID));
    char key[REGISTRAR_MAX_CONTACT];
    b->contact_key = mem_strdup(mem, contact_key(&uri, key));
    b->cseq = p->cseq.number;
    b->expires_at = registrar->site->env->now + ROAM_SECONDS(seconds);
    b->source = *server_txn_source(p->txn);
    b->path = server_txn_flow(p->txn)->path;
    if (!b->contact || !b->params || (reg_id && !b->instance) || !b->call_id || !b->contact_key) {
        binding_free(b);
        return NULL;
    }
    return b;
}

static void binding_remove(roam_binding *b, const char *why)
{
    notice_binding(b, NOTICE_BINDING_REMOVED, why);
    binding_free(b);
}

/* The AOR stays; its owner looks whether it is empty. */
static void binding_free(roam_binding *b)
{
    roam_registrar *registrar = b->registrar;
    roam_mem *mem = &registrar->site->env->mem;
    env_cancel(registrar->site->env, &b->timer);
    map_remove(&registrar->contacts, &b->by_contact);
    map_remove(&registrar->sources, &b->by_source);
    list_remove(&b->node);
    if (b->aor) {
        b->aor->nbindings--;
        registrar->nbindings--;
    }
    mem_free(mem, b->contact);
    mem_free(mem, b->params);
    mem_free(mem, b->instance);
    mem_free(mem, b->call_id);
    mem_free(mem, b->contact_key);
    mem_free(mem, b);
}

static void binding_expired(roam_timer *timer)
{
    roam_binding *b = container_of(timer, roam_binding, timer);
    roam_registrar *registrar = b->registrar;
    roam_aor *aor = b->aor;
    registrar->counters.expired++;
    binding_remove(b, "expired");
    aor_free_if_empty(registrar, aor);
}

static roam_aor *aor_new(roam_registrar *registrar, roam_span user)
{
    roam_mem *mem = &registrar->site->env->mem;
    if (registrar->aors.count >= REGISTRAR_MAX_AORS)
        return NULL;
    roam_aor *aor = mem_new(mem, roam_aor);
    if (!aor)
        return NULL;
    map_node_init(&aor->node);
    list_init(&aor->bindings);
    aor->user = mem_strdup(mem, user);
    if (!aor->user || map_insert(&registrar->aors, &aor->node, span_of(aor->user)) != ROAM_OK) {
        mem_free(mem, aor->user);
        mem_free(mem, aor);
        return NULL;
    }
    return aor;
}

static void aor_free_if_empty(roam_registrar *registrar, roam_aor *aor)
{
    if (!aor || aor->nbindings)
        return;
    map_remove(&registrar->aors, &aor->node);
    mem_free(&registrar->site->env->mem, aor->user);
    mem_free(&registrar->site->env->mem, aor);
}

/* "user@host:port", host in lower case. */
static roam_span contact_key(const roam_uri *uri, char space[REGISTRAR_MAX_CONTACT])
{
    roam_writer w;
    writer_init(&w, space, REGISTRAR_MAX_CONTACT);
    write_span(&w, uri->user);
    write_char(&w, '@');
    if (uri->ip.family)
        write_host(&w, &uri->ip);
    else
        for (size_t i = 0; i < uri->host.len; i++)
            write_char(&w, ascii_lower(uri->host.ptr[i]));
    write_char(&w, ':');
    write_u64(&w, uri_effective_port(uri));
    return writer_span(&w);
}

static roam_span source_key(const roam_addr *source, char key[24])
{
    memset(key, 0, 24);
    key[0] = (char)source->ip.family;
    memcpy(key + 1, source->ip.bytes, source->ip.family == 4 ? 4 : 16);
    memcpy(key + 17, &source->port, 2);
    memcpy(key + 19, &source->ip.scope, 4);
    return span_make(key, 24);
}

static void notice_binding(const roam_binding *b, roam_notice_type type, const char *why)
{
    roam_time now = b->registrar->site->env->now;
    site_notice(b->registrar->site,
                &(roam_notice){.type = type,
                               .subject = span_of(b->aor->user),
                               .contact = span_of(b->contact),
                               .call_id = span_of(b->call_id),
                               .remote = b->source,
                               .expires = b->expires_at > now ? (uint32_t)((b->expires_at - now) / ROAM_SECONDS(1)) : 0,
                               .why = why});
}

static int map_prime(roam_map *map)
{
    roam_map_node node;
    map_node_init(&node);
    int err = map_insert(map, &node, SPAN("primer"));
    if (!err)
        map_remove(map, &node);
    return err;
}
