#include "ua/credentials.h"

#include <openssl/crypto.h>

/* Realms times uses; the oldest goes. */
#define MAX_ENTRIES 8u

struct roam_credentials_entry {
    roam_list node;
    unsigned uses;       /* bit per roam_auth_use */
    bool proxy;          /* from 407: answered in Proxy-Authorization */
    bool qop;
    bool fresh;          /* given and not yet answered */
    roam_digest_algorithm algorithm;
    uint32_t nc;
    char *realm, *nonce, *opaque, *algorithm_text; /* opaque and algorithm_text may be "" */
};

int credentials_init(roam_credentials *cred, roam_env *env, const char *user, const char *password, const char *realm)
{
    *cred = (roam_credentials){.env = env};
    list_init(&cred->entries);
    cred->user = mem_strdup(&env->mem, span_of(user ? user : ""));
    cred->password = password ? mem_strdup(&env->mem, span_of(password)) : NULL;
    bool any = !realm || !*realm || strcmp(realm, "*") == 0;
    cred->realm = any ? NULL : mem_strdup(&env->mem, span_of(realm));
    if (!cred->user || (password && !cred->password) || (!any && !cred->realm)) {
        credentials_free(cred);
        return ROAM_ENOMEM;
    }
    return 0;
}

static void entry_free(roam_credentials *cred, roam_credentials_entry *e)
{
    roam_mem *mem = &cred->env->mem;
    list_remove(&e->node);
    cred->nentries--;
    mem_free(mem, e->realm);
    mem_free(mem, e->nonce);
    mem_free(mem, e->opaque);
    mem_free(mem, e->algorithm_text);
    mem_free(mem, e);
}

void credentials_free(roam_credentials *cred)
{
    if (!cred->env)
        return;
    list_each(e, &cred->entries, roam_credentials_entry, node)
        entry_free(cred, e);
    if (cred->password)
        OPENSSL_cleanse(cred->password, strlen(cred->password));
    mem_free(&cred->env->mem, cred->password);
    mem_free(&cred->env->mem, cred->user);
    mem_free(&cred->env->mem, cred->realm);
    cred->password = cred->user = cred->realm = NULL;
}

static roam_credentials_entry *entry_find(roam_credentials *cred, roam_auth_use use, bool proxy, roam_span realm)
{
    list_each(e, &cred->entries, roam_credentials_entry, node)
        if ((e->uses & (1u << use)) && e->proxy == proxy && span_eq(span_of(e->realm), realm))
            return e;
    return NULL;
}

static roam_credentials_entry *entry_by_nonce(roam_credentials *cred, bool proxy, const roam_challenge *c)
{
    list_each(e, &cred->entries, roam_credentials_entry, node)
        if (e->proxy == proxy && span_eq(span_of(e->nonce), c->nonce) && span_eq(span_of(e->realm), c->realm))
            return e;
    return NULL;
}

static bool store(roam_credentials *cred, roam_auth_use use, bool proxy, const roam_challenge *c)
{
    roam_credentials_entry *old = entry_find(cred, use, proxy, c->realm);
    if (old && (old->uses &= ~(1u << use)) == 0)
        entry_free(cred, old);
    roam_credentials_entry *same = entry_by_nonce(cred, proxy, c);
    if (same) { /* the server gives one nonce to both uses: one counter */
        same->uses |= 1u << use;
        return true;
    }
    if (cred->nentries >= MAX_ENTRIES)
        entry_free(cred, container_of(cred->entries.next, roam_credentials_entry, node));
    roam_mem *mem = &cred->env->mem;
    roam_credentials_entry *e = mem_new(mem, roam_credentials_entry);
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
    list_push(&cred->entries, &e->node);
    cred->nentries++;
    if (!e->realm || !e->nonce || !e->opaque || !e->algorithm_text) {
        entry_free(cred, e);
        return false;
    }
    return true;
}

roam_auth_verdict credentials_challenged(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, const roam_message *response)
{
    bool proxy = response->status == 407;
    roam_header_id id = proxy ? HEADER_PROXY_AUTHENTICATE : HEADER_WWW_AUTHENTICATE;
    if (!cred->password)
        return AUTH_REFUSED;
    roam_challenge c;
    int err = challenge_pick(response, id, cred->realm ? span_of(cred->realm) : span_make(NULL, 0), &c);
    if (err == ROAM_ENOTFOUND)
        return AUTH_REFUSED; /* asks for a realm we have no password for, or for nothing at all */
    if (err != 0)
        return AUTH_UNSUPPORTED;
    roam_credentials_entry *known = entry_find(cred, use, proxy, c.realm);
    bool new_nonce = !known || !span_eq(span_of(known->nonce), c.nonce);
    bool realm_answered = known && !known->fresh;
    /* A stale nonce is not a wrong password; the refusal of an answer to a fresh one is (handover.md, Contact and registrar). A chain of proxies may each ask
     * for a realm of its own. */
    bool proves_wrong = realm_answered && attempt->answered_fresh && !c.stale;
    if (++attempt->challenges > ROAM_MAX_CHALLENGES || proves_wrong || (!new_nonce && realm_answered && !c.stale))
        return AUTH_REFUSED;
    if (!store(cred, use, proxy, &c))
        return AUTH_REFUSED;
    return AUTH_RETRY;
}

void credentials_write(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, roam_writer *w, roam_span method, roam_span uri)
{
    attempt->used_cached = attempt->answered_fresh = false;
    list_each(e, &cred->entries, roam_credentials_entry, node)
    {
        if (!(e->uses & (1u << use)) || !cred->password)
            continue;
        char cnonce[17];
        roam_writer cw;
        writer_init(&cw, cnonce, sizeof cnonce);
        random_token(&cred->env->random, &cw, 16);
        roam_digest_input in = {.algorithm = e->algorithm,
                                .username = span_of(cred->user),
                                .realm = span_of(e->realm),
                                .password = span_of(cred->password),
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

void credentials_info(roam_credentials *cred, roam_auth_use use, const roam_message *response)
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
        list_each(e, &cred->entries, roam_credentials_entry, node)
        {
            if (!(e->uses & (1u << use)))
                continue;
            char *copy = mem_strdup(&cred->env->mem, nonce);
            if (!copy)
                return;
            mem_free(&cred->env->mem, e->nonce);
            e->nonce = copy;
            e->nc = 0;
            e->fresh = true;
            return; /* without a realm in the header: the newest challenge of this use is meant */
        }
    }
}
