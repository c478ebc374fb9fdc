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
    char *realm, *nonce, *opaque, *algorithm_text; /* opaque NULL: none was given; algorithm_text "": none */
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

/* Keeps a challenge for this use in place of the one of the same realm. NULL: no memory; what was kept is kept still. */
static roam_credentials_entry *store(roam_credentials *cred, roam_auth_use use, bool proxy, const roam_challenge *c)
{
    roam_credentials_entry *old = entry_find(cred, use, proxy, c->realm);
    roam_credentials_entry *same = entry_by_nonce(cred, proxy, c);
    if (same) { /* the server gives one nonce to both uses, or the same again: one counter */
        same->uses |= 1u << use;
        if (old && old != same && (old->uses &= ~(1u << use)) == 0)
            entry_free(cred, old);
        return same;
    }
    roam_mem *mem = &cred->env->mem;
    roam_credentials_entry *e = mem_new(mem, roam_credentials_entry);
    if (!e)
        return NULL;
    e->uses = 1u << use;
    e->proxy = proxy;
    e->qop = c->qop_auth;
    e->fresh = true;
    e->algorithm = c->algorithm;
    e->realm = mem_strdup(mem, c->realm);
    e->nonce = mem_strdup(mem, c->nonce);
    e->opaque = c->opaque.ptr ? mem_strdup(mem, c->opaque) : NULL;
    e->algorithm_text = mem_strdup(mem, c->algorithm_text);
    list_push(&cred->entries, &e->node);
    cred->nentries++;
    if (!e->realm || !e->nonce || (c->opaque.ptr && !e->opaque) || !e->algorithm_text) {
        entry_free(cred, e);
        return NULL;
    }
    if (old && (old->uses &= ~(1u << use)) == 0)
        entry_free(cred, old);
    if (cred->nentries > MAX_ENTRIES)
        entry_free(cred, container_of(cred->entries.next, roam_credentials_entry, node));
    return e;
}

static uint64_t realm_bit(const roam_credentials *cred, roam_span realm)
{
    return UINT64_C(1) << (roam_siphash(cred->env->hash_seed, realm) & 63);
}

/* One realm's challenge. */
static roam_auth_verdict judge(roam_credentials *cred, const roam_auth_attempt *attempt, roam_auth_use use, bool proxy, const roam_challenge *c)
{
    roam_credentials_entry *known = entry_find(cred, use, proxy, c->realm);
    bool same_nonce = known && span_eq(span_of(known->nonce), c->nonce);
    uint64_t bit = realm_bit(cred, c->realm);
    /* A stale nonce is not a wrong password; the refusal of an answer to a fresh one is (handover.md, Contact and registrar). What another request
     * answered meanwhile says nothing about this one. */
    if (!c->stale && ((attempt->answered_fresh & bit) || (same_nonce && (attempt->answered & bit))))
        return AUTH_REFUSED;
    return store(cred, use, proxy, c) ? AUTH_RETRY : AUTH_NO_MEMORY;
}

static bool realm_wanted(const roam_credentials *cred, roam_span realm)
{
    return !cred->realm || digest_text_eq(realm, span_of(cred->realm));
}

/* Was this realm in an earlier header of the same kind? challenge_pick has looked at all of them then. */
static bool seen_before(const roam_message *m, roam_header_id id, int index, roam_span realm)
{
    roam_challenge c;
    for (int i = message_first(m, id); i >= 0 && i < index; i = message_next(m, id, i))
        if (challenge_parse(m->headers[i].value, &c) == 0 && span_eq(c.realm, realm))
            return true;
    return false;
}

roam_auth_verdict credentials_challenged(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, const roam_message *response)
{
    /* Several proxies, or branches of a fork, may each ask for a realm of their own, in both kinds of header (RFC 3261 16.7, 22.3): all are answered together. */
    static const roam_header_id ids[] = {HEADER_WWW_AUTHENTICATE, HEADER_PROXY_AUTHENTICATE};
    bool retry = false, unsupported = false;
    if (!cred->password || ++attempt->challenges > ROAM_MAX_CHALLENGES)
        return AUTH_REFUSED;
    for (size_t k = 0; k < 2; k++)
        for (int i = message_first(response, ids[k]); i >= 0; i = message_next(response, ids[k], i)) {
            roam_challenge c;
            if (challenge_parse(response->headers[i].value, &c) != 0) {
                unsupported = true;
                continue;
            }
            if (!realm_wanted(cred, c.realm) || seen_before(response, ids[k], i, c.realm))
                continue;
            if (!c.realm.len ? challenge_usable(&c) != 0 : challenge_pick(response, ids[k], c.realm, &c) != 0) {
                unsupported = true;
                continue;
            }
            roam_auth_verdict verdict = judge(cred, attempt, use, ids[k] == HEADER_PROXY_AUTHENTICATE, &c);
            if (verdict != AUTH_RETRY)
                return verdict;
            retry = true;
        }
    return retry ? AUTH_RETRY : unsupported ? AUTH_UNSUPPORTED : AUTH_REFUSED; /* at last: a realm we have no password for, or none at all */
}

/* No nonce is sent twice with one count, also where a server gives the same to the registrar's and the proxy's side. */
static uint32_t next_count(roam_credentials *cred, const roam_credentials_entry *e)
{
    uint32_t nc = 0;
    list_each(other, &cred->entries, roam_credentials_entry, node)
        if (other->nc > nc && strcmp(other->nonce, e->nonce) == 0)
            nc = other->nc;
    return nc + 1;
}

void credentials_write(roam_credentials *cred, roam_auth_attempt *attempt, roam_auth_use use, roam_writer *w, roam_span method, roam_span uri)
{
    attempt->answered = attempt->answered_fresh = 0;
    list_each(e, &cred->entries, roam_credentials_entry, node)
    {
        if (!(e->uses & (1u << use)) || !cred->password)
            continue;
        char cnonce[17];
        roam_writer cw;
        writer_init(&cw, cnonce, sizeof cnonce);
        random_token(&cred->env->random, &cw, 16);
        e->nc = next_count(cred, e);
        roam_digest_input in = {.algorithm = e->algorithm,
                                .username = span_of(cred->user),
                                .realm = span_of(e->realm),
                                .password = span_of(cred->password),
                                .nonce = span_of(e->nonce),
                                .opaque = span_of(e->opaque),
                                .uri = uri,
                                .method = method,
                                .qop = e->qop,
                                .nc = e->nc,
                                .cnonce = writer_span(&cw)};
        size_t before = w->len;
        write_header_name(w, e->proxy ? HEADER_PROXY_AUTHORIZATION : HEADER_AUTHORIZATION);
        if (write_authorization(w, &in, span_of(e->algorithm_text)) != 0) {
            w->len = before; /* no such hash here, or no memory: better without than half a header */
            continue;
        }
        write_lit(w, "\r\n");
        attempt->answered |= realm_bit(cred, span_of(e->realm));
        if (e->fresh && attempt->challenges)
            attempt->answered_fresh |= realm_bit(cred, span_of(e->realm));
        e->fresh = false;
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
        roam_credentials_entry *meant = NULL; /* without a realm in the header: the newest challenge of this use, a server's before a proxy's */
        list_each(e, &cred->entries, roam_credentials_entry, node)
            if ((e->uses & (1u << use)) && (!meant || meant->proxy || !e->proxy))
                meant = e;
        char *copy = meant && !span_eq(span_of(meant->nonce), nonce) ? mem_strdup(&cred->env->mem, nonce) : NULL;
        if (!copy)
            return;
        mem_free(&cred->env->mem, meant->nonce);
        meant->nonce = copy;
        meant->nc = 0;
        meant->fresh = true;
        return;
    }
}
