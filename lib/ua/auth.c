#include "ua/auth.h"

#include <openssl/crypto.h>

/* Realms times uses; the oldest goes. */
#define MAX_ENTRIES 8u

struct roam_auth_entry {
    roam_list node;
    unsigned uses;       /* bit per roam_auth_use */
    bool proxy;          /* from 407: answered in Proxy-Authorization */
    bool qop;
    bool fresh;          /* given and not yet answered */
    roam_digest_algorithm algorithm;
    uint32_t nc;
    char *realm, *nonce, *opaque, *algorithm_text; /* opaque and algorithm_text may be "" */
};

int auth_init(roam_auth *auth, roam_env *env, const char *user, const char *password, const char *realm)
{
    *auth = (roam_auth){.env = env};
    list_init(&auth->entries);
    auth->user = mem_strdup(&env->mem, span_of(user ? user : ""));
    auth->password = password ? mem_strdup(&env->mem, span_of(password)) : NULL;
    bool any = !realm || !*realm || strcmp(realm, "*") == 0;
    auth->realm = any ? NULL : mem_strdup(&env->mem, span_of(realm));
    if (!auth->user || (password && !auth->password) || (!any && !auth->realm)) {
        auth_free(auth);
        return ROAM_ENOMEM;
    }
    return 0;
}

static void entry_free(roam_auth *auth, roam_auth_entry *e)
{
    roam_mem *mem = &auth->env->mem;
    list_remove(&e->node);
    auth->nentries--;
    mem_free(mem, e->realm);
    mem_free(mem, e->nonce);
    mem_free(mem, e->opaque);
    mem_free(mem, e->algorithm_text);
    mem_free(mem, e);
}

void auth_free(roam_auth *auth)
{
    if (!auth->env)
        return;
    list_each(e, &auth->entries, roam_auth_entry, node)
        entry_free(auth, e);
    if (auth->password)
        OPENSSL_cleanse(auth->password, strlen(auth->password));
    mem_free(&auth->env->mem, auth->password);
    mem_free(&auth->env->mem, auth->user);
    mem_free(&auth->env->mem, auth->realm);
    auth->password = auth->user = auth->realm = NULL;
}

static roam_auth_entry *entry_find(roam_auth *auth, roam_auth_use use, bool proxy, roam_span realm)
{
    list_each(e, &auth->entries, roam_auth_entry, node)
        if ((e->uses & (1u << use)) && e->proxy == proxy && span_eq(span_of(e->realm), realm))
            return e;
    return NULL;
}

static roam_auth_entry *entry_by_nonce(roam_auth *auth, bool proxy, const roam_challenge *c)
{
    list_each(e, &auth->entries, roam_auth_entry, node)
        if (e->proxy == proxy && span_eq(span_of(e->nonce), c->nonce) && span_eq(span_of(e->realm), c->realm))
            return e;
    return NULL;
}

static bool store(roam_auth *auth, roam_auth_use use, bool proxy, const roam_challenge *c)
{
    roam_auth_entry *old = entry_find(auth, use, proxy, c->realm);
    if (old && (old->uses &= ~(1u << use)) == 0)
        entry_free(auth, old);
    roam_auth_entry *same = entry_by_nonce(auth, proxy, c);
    if (same) { /* the server gives one nonce to both uses: one counter */
        same->uses |= 1u << use;
        return true;
    }
    if (auth->nentries >= MAX_ENTRIES)
        entry_free(auth, container_of(auth->entries.next, roam_auth_entry, node));
    roam_mem *mem = &auth->env->mem;
    roam_auth_entry *e = mem_new(mem, roam_auth_entry);
    if (!e)
        return false;
    e->uses = 1u << use;
    e->proxy = proxy;
    e->qop = c->qop_auth;
    e->fresh = true;
    e->algorithm = c->algorithm;
    e->realm = mem_strdup(mem, c->realm);
    e->nonce = mem_strdup(mem, c->nonce);
    e->opaque = mem_strdup(mem, c->opaque);
    e->algorithm_text = mem_strdup(mem, c->algorithm_text);
    list_push(&auth->entries, &e->node);
    auth->nentries++;
    if (!e->realm || !e->nonce || !e->opaque || !e->algorithm_text) {
        entry_free(auth, e);
        return false;
    }
    return true;
}

roam_auth_verdict auth_challenged(roam_auth *auth, roam_auth_attempt *attempt, roam_auth_use use, const roam_message *response)
{
    bool proxy = response->status == 407;
    roam_header_id id = proxy ? HEADER_PROXY_AUTHENTICATE : HEADER_WWW_AUTHENTICATE;
    if (!auth->password)
        return AUTH_REFUSED;
    roam_challenge c;
    int err = challenge_pick(response, id, auth->realm ? span_of(auth->realm) : span_make(NULL, 0), &c);
    if (err == ROAM_ENOTFOUND)
        return AUTH_REFUSED; /* asks for a realm we have no password for, or for nothing at all */
    if (err != 0)
        return AUTH_UNSUPPORTED;
    roam_auth_entry *known = entry_find(auth, use, proxy, c.realm);
    bool new_nonce = !known || !span_eq(span_of(known->nonce), c.nonce);
    bool realm_answered = known && !known->fresh;
    /* A stale nonce is not a wrong password; the refusal of an answer to a fresh one is (handover.md, Contact and registrar). A chain of proxies may each ask
     * for a realm of its own. */
    bool proves_wrong = realm_answered && attempt->answered_fresh && !c.stale;
    if (++attempt->challenges > ROAM_MAX_CHALLENGES || proves_wrong || (!new_nonce && realm_answered && !c.stale))
        return AUTH_REFUSED;
    if (!store(auth, use, proxy, &c))
        return AUTH_REFUSED;
    return AUTH_RETRY;
}

void auth_write(roam_auth *auth, roam_auth_attempt *attempt, roam_auth_use use, roam_writer *w, roam_span method, roam_span uri)
{
    attempt->used_cached = attempt->answered_fresh = false;
    list_each(e, &auth->entries, roam_auth_entry, node)
    {
        if (!(e->uses & (1u << use)) || !auth->password)
            continue;
        char cnonce[17];
        roam_writer cw;
        writer_init(&cw, cnonce, sizeof cnonce);
        random_token(&auth->env->random, &cw, 16);
        roam_digest_input in = {.algorithm = e->algorithm,
                                .username = span_of(auth->user),
                                .realm = span_of(e->realm),
                                .password = span_of(auth->password),
                                .nonce = span_of(e->nonce),
                                .opaque = span_of(e->opaque),
                                .uri = uri,
                                .method = method,
                                .qop = e->qop,
                                .nc = ++e->nc,
                                .cnonce = writer_span(&cw)};
        if (e->fresh && attempt->challenges)
            attempt->answered_fresh = true;
        else
            attempt->used_cached = true;
        e->fresh = false;
        write_header_name(w, e->proxy ? HEADER_PROXY_AUTHORIZATION : HEADER_AUTHORIZATION);
        write_authorization(w, &in, span_of(e->algorithm_text));
        write_lit(w, "\r\n");
    }
}

void auth_info(roam_auth *auth, roam_auth_use use, const roam_message *response)
{
    roam_span info = message_value(response, HEADER_AUTHENTICATION_INFO);
    if (!info.len)
        return;
    /* The parameters stand comma-separated; reuse the parameter walker on each. */
    roam_value_cursor cursor = {0};
    roam_span part;
    while (message_values(response, HEADER_AUTHENTICATION_INFO, &cursor, &part)) {
        roam_span rest = part, name, value;
        if (!param_next(&rest, &name, &value) || !span_ieq(name, SPAN("nextnonce")) || value.len < 3 || value.ptr[0] != '"')
            continue;
        roam_span nonce = span_make(value.ptr + 1, value.len - 2);
        list_each(e, &auth->entries, roam_auth_entry, node)
        {
            if (!(e->uses & (1u << use)))
                continue;
            char *copy = mem_strdup(&auth->env->mem, nonce);
            if (!copy)
                return;
            mem_free(&auth->env->mem, e->nonce);
            e->nonce = copy;
            e->nc = 0;
            e->fresh = true;
            return; /* without a realm in the header: the newest challenge of this use is meant */
        }
    }
}
