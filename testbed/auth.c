#include "testbed/auth.h"

#define NONCE_LEN 32u

typedef struct user {
    roam_map_node node;
    char *name;
    char *password; /* NULL: trusted */
} user;

typedef struct nonce {
    roam_map_node node;
    roam_time made;
    roam_addr source;
    uint32_t highest; /* count seen */
    uint64_t seen;    /* bit n: highest - n was seen */
    bool used;
    char text[NONCE_LEN + 1];
} nonce;

static user *user_find(const roam_auth *auth, roam_span name);
static void user_free(roam_auth *auth, user *u);
static nonce *nonce_new(roam_auth *auth, const roam_addr *source);
static void nonce_free(roam_auth *auth, nonce *n);
static bool nonce_take(roam_auth *auth, nonce *n, const roam_authorization *a, const roam_addr *source);
static bool count_take(const roam_auth *auth, nonce *n, uint32_t count);
static bool offered(const roam_auth *auth, roam_digest_algorithm algorithm);

const char *auth_verdict_text(roam_auth_verdict verdict)
{
    static const char *const text[] = {"accepted", "no credentials", "wrong password", "stale nonce",
                                       "credentials do not fit the request"};
    return text[verdict];
}

int auth_init(roam_auth *auth, roam_env *env, const roam_auth_config *config)
{
    *auth = (roam_auth){.env = env, .config = *config};
    map_init(&auth->users, &env->mem, env->hash_seed);
    map_init(&auth->nonces, &env->mem, env->hash_seed);
    if (!auth->config.nonce_lifetime)
        auth->config.nonce_lifetime = ROAM_SECONDS(300);
    if (!config->md5 && !config->sha256 && !config->sha512_256)
        auth->config.md5 = true;
    auth->realm = mem_strdup(&env->mem, config->realm ? span_of(config->realm) : SPAN("roam"));
    auth->config.realm = auth->realm;
    return auth->realm ? ROAM_OK : ROAM_ENOMEM;
}

void auth_free(roam_auth *auth)
{
    map_each (u, &auth->users, user, node)
        user_free(auth, u);
    map_each (n, &auth->nonces, nonce, node)
        nonce_free(auth, n);
    map_free(&auth->users);
    map_free(&auth->nonces);
    mem_free(&auth->env->mem, auth->realm);
    auth->realm = NULL;
}

int auth_add_user(roam_auth *auth, roam_span name, const char *password)
{
    roam_mem *mem = &auth->env->mem;
    user *old = user_find(auth, name);
    if (!old && auth->users.count >= AUTH_MAX_USERS)
        return ROAM_ELIMIT;
    user *u = mem_new(mem, user);
    if (!u)
        return ROAM_ENOMEM;
    map_node_init(&u->node);
    u->name = mem_strdup(mem, name);
    u->password = password ? mem_strdup(mem, span_of(password)) : NULL;
    if (!u->name || (password && !u->password) || map_insert(&auth->users, &u->node, span_of(u->name)) != ROAM_OK) {
        user_free(auth, u);
        return ROAM_ENOMEM;
    }
    if (old)
        user_free(auth, old);
    return ROAM_OK;
}

void auth_remove_user(roam_auth *auth, roam_span name)
{
    user *u = user_find(auth, name);
    if (u)
        user_free(auth, u);
}

bool auth_knows(const roam_auth *auth, roam_span name)
{
    return user_find(auth, name) != NULL;
}

bool auth_trusts(const roam_auth *auth, roam_span name)
{
    const user *u = user_find(auth, name);
    return u && !u->password;
}

roam_auth_verdict auth_check(roam_auth *auth, const roam_message *request, roam_header_id id, roam_span name,
                             const roam_addr *source)
{
    roam_authorization a, candidate;
    bool found = false;
    for (int i = message_first(request, id); i >= 0 && !found; i = message_next(request, id, i)) {
        if (authorization_parse(request->headers[i].value, &candidate) == ROAM_OK &&
            span_eq(candidate.realm, span_of(auth->realm))) {
            a = candidate;
            found = true;
        }
    }
    if (!found)
        return AUTH_NONE;
    /* RFC 7616 3.4.6: the credentials must be for this resource. */
    roam_uri said, asked;
    if (!span_eq(a.uri, request->request_uri) &&
        (uri_parse(a.uri, &said) || uri_parse(request->request_uri, &asked) || !uri_equal(&said, &asked)))
        return AUTH_BAD;
    const user *u = user_find(auth, name);
    if (!u || !u->password || !span_eq(a.username, name) || !offered(auth, a.algorithm) ||
        !authorization_verify(&a, request->method_name, span_of(u->password))) {
        auth->counters.wrong++;
        return AUTH_WRONG;
    }
    roam_map_node *node = map_find(&auth->nonces, a.nonce);
    if (!node || !nonce_take(auth, container_of(node, nonce, node), &a, source)) {
        auth->counters.stale++;
        return AUTH_STALE;
    }
    auth->counters.accepted++;
    return AUTH_OK;
}

int auth_write_challenge(roam_auth *auth, roam_writer *w, roam_header_id id, bool stale, const roam_addr *source)
{
    nonce *n = nonce_new(auth, source);
    if (!n)
        return ROAM_ENOMEM;
    auth->counters.challenges++;
    static const roam_digest_algorithm order[] = {DIGEST_SHA512_256, DIGEST_SHA256, DIGEST_MD5};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (!offered(auth, order[i]))
            continue;
        write_header_name(w, id);
        write_lit(w, "Digest realm=\"");
        for (const char *c = auth->realm; *c; c++) {
            if (*c == '"' || *c == '\\')
                write_char(w, '\\');
            write_char(w, *c);
        }
        write_lit(w, "\", nonce=\"");
        write_cstr(w, n->text);
        write_lit(w, "\", algorithm=");
        write_cstr(w, digest_algorithm_text(order[i]));
        write_lit(w, ", qop=\"auth\"");
        if (stale)
            write_lit(w, ", stale=true");
        write_lit(w, "\r\n");
    }
    return ROAM_OK;
}

void auth_write_next_nonce(roam_auth *auth, roam_writer *w, const roam_addr *source)
{
    nonce *n = nonce_new(auth, source);
    if (!n)
        return;
    write_header_name(w, HEADER_AUTHENTICATION_INFO);
    write_lit(w, "nextnonce=\"");
    write_cstr(w, n->text);
    write_lit(w, "\"\r\n");
}

void auth_forget_nonces(roam_auth *auth)
{
    map_each (n, &auth->nonces, nonce, node)
        nonce_free(auth, n);
}

bool auth_is_ours(const roam_auth *auth, roam_span value)
{
    roam_authorization a;
    return authorization_parse(value, &a) == ROAM_OK && span_eq(a.realm, span_of(auth->realm));
}

static user *user_find(const roam_auth *auth, roam_span name)
{
    roam_map_node *node = map_find(&auth->users, name);
    return node ? container_of(node, user, node) : NULL;
}

static void user_free(roam_auth *auth, user *u)
{
    map_remove(&auth->users, &u->node);
    mem_free(&auth->env->mem, u->name);
    mem_free(&auth->env->mem, u->password);
    mem_free(&auth->env->mem, u);
}

static nonce *nonce_new(roam_auth *auth, const roam_addr *source)
{
    /* The map keeps the order of making: the first ones expire first. */
    map_each (old, &auth->nonces, nonce, node) {
        if (auth->nonces.count < AUTH_MAX_NONCES && auth->env->now - old->made < auth->config.nonce_lifetime)
            break;
        nonce_free(auth, old);
    }
    nonce *n = mem_new(&auth->env->mem, nonce);
    if (!n)
        return NULL;
    map_node_init(&n->node);
    n->made = auth->env->now;
    n->source = *source;
    roam_writer w;
    writer_init(&w, n->text, NONCE_LEN);
    random_token(&auth->env->random, &w, NONCE_LEN);
    if (map_insert(&auth->nonces, &n->node, writer_span(&w)) != ROAM_OK) {
        mem_free(&auth->env->mem, n);
        return NULL;
    }
    return n;
}

static void nonce_free(roam_auth *auth, nonce *n)
{
    map_remove(&auth->nonces, &n->node);
    mem_free(&auth->env->mem, n);
}

static bool nonce_take(roam_auth *auth, nonce *n, const roam_authorization *a, const roam_addr *source)
{
    if (auth->env->now - n->made >= auth->config.nonce_lifetime)
        return false;
    if (auth->config.bind_source && !roam_addr_equal(&n->source, source)) {
        auth->counters.other_source++;
        return false;
    }
    /* Without a count nothing tells a replay from the original, so such a nonce is good once, too. */
    bool once = auth->config.one_time || !a->qop.len;
    if ((once && n->used) || (a->qop.len && !count_take(auth, n, a->nc))) {
        auth->counters.replayed++;
        return false;
    }
    n->used = true;
    return true;
}

/* RFC 7616 3.4: a count that was seen is a replay. The window takes requests that overtook each other. */
static bool count_take(const roam_auth *auth, nonce *n, uint32_t count)
{
    if (count == 0)
        return false;
    if (count > n->highest) {
        uint32_t ahead = count - n->highest;
        n->seen = ahead >= 64 ? 1 : n->seen << ahead | 1;
        n->highest = count;
        return true;
    }
    uint32_t behind = n->highest - count;
    if (auth->config.strict_count || behind >= 64 || n->seen >> behind & 1)
        return false;
    n->seen |= (uint64_t)1 << behind;
    return true;
}

static bool offered(const roam_auth *auth, roam_digest_algorithm algorithm)
{
    switch (algorithm) {
    case DIGEST_MD5: return auth->config.md5;
    case DIGEST_SHA256: return auth->config.sha256;
    case DIGEST_SHA512_256: return auth->config.sha512_256;
    default: return false;
    }
}
