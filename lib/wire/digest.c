/* Digest access authentication. Parameters are found in one pass and stay where they are; the hashes are libcrypto's.
 */
#include "wire/digest.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "wire/chars.h"

/* The parameters of a challenge or an authorization that we know. A span with ptr NULL was not there. */
enum { USERNAME, REALM, NONCE, URI, RESPONSE, CNONCE, OPAQUE, NC, QOP, ALGORITHM, STALE, DOMAIN, NPARAMS };

static const roam_span PARAM_NAMES[NPARAMS] = {
    SPAN_INIT("username"), SPAN_INIT("realm"),     SPAN_INIT("nonce"),  SPAN_INIT("uri"),
    SPAN_INIT("response"), SPAN_INIT("cnonce"),    SPAN_INIT("opaque"), SPAN_INIT("nc"),
    SPAN_INIT("qop"),      SPAN_INIT("algorithm"), SPAN_INIT("stale"),  SPAN_INIT("domain"),
};

/* What RFC 7616 3.4.1 hashes. Spans hold escapes as they stood, but for a username that is plain. */
typedef struct proof {
    roam_digest_algorithm algorithm;
    roam_span username, realm, password, nonce, uri, method;
    bool username_is_plain;
    roam_span qop, nc, cnonce; /* qop empty: as in RFC 2069 */
} proof;

static int parse_params(roam_span value, roam_span params[NPARAMS]);
static roam_digest_algorithm algorithm_of(roam_span text);
static int prove(const proof *p, char out[DIGEST_HEX_MAX]);
static int digest_of_input(const roam_digest_input *in, char nc[9], char out[DIGEST_HEX_MAX]);
static bool is_quotable(roam_span escaped);
static bool is_plain_text(roam_span s);

/* ---- challenges ---- */

int challenge_parse(roam_span value, roam_challenge *out)
{
    roam_span params[NPARAMS];
    int err = parse_params(value, params);
    if (err)
        return err;
    if (!params[REALM].ptr || !params[NONCE].ptr)
        return ROAM_ESYNTAX;
    *out = (roam_challenge){
        .realm = params[REALM],
        .nonce = params[NONCE],
        .opaque = params[OPAQUE],
        .domain = params[DOMAIN],
        .algorithm = params[ALGORITHM].ptr ? algorithm_of(params[ALGORITHM]) : DIGEST_MD5, /* RFC 7616 3.3 */
        .algorithm_text = params[ALGORITHM],
        .stale = span_ieq(params[STALE], SPAN("true")),
    };
    for (roam_span rest = params[QOP]; rest.len;) {
        roam_span qop = span_trim(span_cut(rest, ',', &rest));
        out->has_qop |= qop.len != 0;
        out->qop_auth |= span_ieq(qop, SPAN("auth"));
        out->qop_auth_int |= span_ieq(qop, SPAN("auth-int"));
    }
    return ROAM_OK;
}

int challenge_usable(const roam_challenge *c)
{
    return c->algorithm == DIGEST_UNKNOWN || (c->has_qop && !c->qop_auth) ? ROAM_EUNSUPPORTED : ROAM_OK;
}

int challenge_pick(const roam_message *m, roam_header_id id, roam_span realm, roam_challenge *out)
{
    bool seen = false, found = false;
    for (int i = message_first(m, id); i >= 0; i = message_next(m, id, i)) {
        roam_challenge c;
        if (challenge_parse(m->headers[i].value, &c)) {
            seen = true; /* of which realm cannot be said */
            continue;
        }
        if (realm.len && !span_eq(c.realm, realm))
            continue;
        seen = true;
        if (challenge_usable(&c))
            continue;
        if (!found) {
            *out = c;
            found = true;
            realm = c.realm;
        } else if (c.algorithm > out->algorithm && span_eq(c.realm, realm)) { /* the enum goes from weak to strong */
            *out = c;
        }
    }
    return found ? ROAM_OK : seen ? ROAM_EUNSUPPORTED : ROAM_ENOTFOUND;
}

/* ---- the client's answer ---- */

int digest_response(const roam_digest_input *in, char out[DIGEST_HEX_MAX])
{
    char nc[9];
    return digest_of_input(in, nc, out);
}

static void write_quoted(roam_writer *w, roam_span name, roam_span escaped)
{
    write_lit(w, ", ");
    write_span(w, name);
    write_lit(w, "=\"");
    write_span(w, escaped);
    write_char(w, '"');
}

int write_authorization(roam_writer *w, const roam_digest_input *in, roam_span algorithm_text)
{
    char response[DIGEST_HEX_MAX], nc[9];
    if (!is_plain_text(in->username) || !is_quotable(in->realm) || !is_quotable(in->nonce) ||
        !is_quotable(in->opaque) || !is_quotable(in->uri) || (in->qop && !is_quotable(in->cnonce)))
        return ROAM_EINVAL;
    /* RFC 7616 3.3: without the parameter the server takes the hash for MD5. */
    if (!algorithm_text.len && in->algorithm != DIGEST_MD5)
        algorithm_text = span_of(digest_algorithm_text(in->algorithm));
    if (algorithm_text.len && algorithm_of(algorithm_text) != in->algorithm)
        return ROAM_EINVAL;
    int err = digest_of_input(in, nc, response);
    if (err)
        return err;

    write_lit(w, "Digest username=\"");
    for (size_t i = 0; i < in->username.len; i++) {
        if (in->username.ptr[i] == '"' || in->username.ptr[i] == '\\')
            write_char(w, '\\');
        write_char(w, in->username.ptr[i]);
    }
    write_char(w, '"');
    write_quoted(w, SPAN("realm"), in->realm);
    write_quoted(w, SPAN("nonce"), in->nonce);
    write_quoted(w, SPAN("uri"), in->uri);
    write_quoted(w, SPAN("response"), span_of(response));
    if (algorithm_text.len) {
        write_lit(w, ", algorithm=");
        write_span(w, algorithm_text);
    }
    if (in->qop) {
        write_quoted(w, SPAN("cnonce"), in->cnonce);
        write_lit(w, ", qop=auth, nc=");
        write_bytes(w, nc, 8);
    }
    if (in->opaque.ptr)
        write_quoted(w, SPAN("opaque"), in->opaque);
    return w->overflow ? ROAM_EOVERFLOW : ROAM_OK;
}

/* ---- the server's check ---- */

/* RFC 7616 3.4: eight hex digits. Fewer are taken too: they are hashed as they stand. */
static bool parse_nc(roam_span text, uint32_t *out)
{
    uint32_t n = 0;
    if (!text.len || text.len > 8)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
            return false;
        n = n << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = n;
    return true;
}

int authorization_parse(roam_span value, roam_authorization *out)
{
    roam_span params[NPARAMS];
    int err = parse_params(value, params);
    if (err)
        return err;
    for (int i = USERNAME; i <= RESPONSE; i++)
        if (!params[i].ptr)
            return ROAM_ESYNTAX;
    *out = (roam_authorization){
        .username = params[USERNAME],
        .realm = params[REALM],
        .nonce = params[NONCE],
        .uri = params[URI],
        .response = params[RESPONSE],
        .cnonce = params[CNONCE],
        .opaque = params[OPAQUE],
        .nc_text = params[NC],
        .qop = params[QOP],
        .algorithm = params[ALGORITHM].ptr ? algorithm_of(params[ALGORITHM]) : DIGEST_MD5,
    };
    if (out->qop.len && (!out->cnonce.len || !out->nc_text.len))
        return ROAM_ESYNTAX;
    if (out->nc_text.ptr && !parse_nc(out->nc_text, &out->nc))
        return ROAM_ESYNTAX;
    return ROAM_OK;
}

bool authorization_verify(const roam_authorization *a, roam_span method, roam_span password)
{
    proof p = {
        .algorithm = a->algorithm,
        .username = a->username,
        .realm = a->realm,
        .password = password,
        .nonce = a->nonce,
        .uri = a->uri,
        .method = method,
        .qop = a->qop,
        .nc = a->nc_text,
        .cnonce = a->cnonce,
    };
    char expected[DIGEST_HEX_MAX], given[DIGEST_HEX_MAX];
    if (a->qop.len && !span_ieq(a->qop, SPAN("auth")))
        return false;
    if (prove(&p, expected) || a->response.len != strlen(expected))
        return false;
    /* The grammar wants lower case; upper case proves the same. */
    for (size_t i = 0; i < a->response.len; i++)
        given[i] = ascii_lower(a->response.ptr[i]);
    return CRYPTO_memcmp(expected, given, a->response.len) == 0;
}

bool digest_text_eq(roam_span escaped, roam_span plain)
{
    size_t n = 0;
    for (size_t i = 0; i < escaped.len; i++, n++) {
        if (escaped.ptr[i] == '\\' && i + 1 < escaped.len)
            i++;
        if (n >= plain.len || plain.ptr[n] != escaped.ptr[i])
            return false;
    }
    return n == plain.len;
}

/* ---- hashing ---- */

typedef struct hasher {
    EVP_MD_CTX *ctx;
    const EVP_MD *md; /* NULL once the context knows it */
    bool ok;          /* sticky */
} hasher;

/* Nothing that libcrypto did not like may stay in its error queue: that one belongs to the application too. */
static int hasher_open(hasher *h, roam_digest_algorithm algorithm)
{
    *h = (hasher){NULL, NULL, true};
    switch (algorithm) {
    case DIGEST_MD5: h->md = EVP_md5(); break;
    case DIGEST_SHA256: h->md = EVP_sha256(); break;
    case DIGEST_SHA512_256: h->md = EVP_sha512_256(); break;
    case DIGEST_UNKNOWN: break;
    }
    if (!h->md)
        return ROAM_EUNSUPPORTED;
    ERR_set_mark();
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx)
        return ROAM_OK;
    ERR_pop_to_mark();
    return ROAM_ENOMEM;
}

static int hasher_close(hasher *h)
{
    EVP_MD_CTX_free(h->ctx);
    ERR_pop_to_mark();
    /* A provider that refuses the hash (MD5 under FIPS). Its fetch says the same when it lacks memory. */
    return h->ok ? ROAM_OK : ROAM_EUNSUPPORTED;
}

static void hash_begin(hasher *h)
{
    h->ok = h->ok && EVP_DigestInit_ex(h->ctx, h->md, NULL) == 1;
    h->md = NULL;
}

static void hash_plain(hasher *h, roam_span s)
{
    if (s.len)
        h->ok = h->ok && EVP_DigestUpdate(h->ctx, s.ptr, s.len) == 1;
}

/* unq() of RFC 7616 3.4: the value of the quoted string, so without the backslashes of its quoted pairs. */
static void hash_escaped(hasher *h, roam_span s)
{
    const char *backslash;
    while (s.len && (backslash = memchr(s.ptr, '\\', s.len - 1)) != NULL) {
        const char *end = s.ptr + s.len;
        hash_plain(h, span_between(s.ptr, backslash));
        hash_plain(h, span_make(backslash + 1, 1));
        s = span_between(backslash + 2, end);
    }
    hash_plain(h, s);
}

static roam_span hash_end(hasher *h, char out[DIGEST_HEX_MAX])
{
    static const char HEX[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    h->ok = h->ok && EVP_DigestFinal_ex(h->ctx, bytes, &n) == 1 && n * 2 < DIGEST_HEX_MAX;
    if (!h->ok)
        n = 0;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = HEX[bytes[i] >> 4];
        out[2 * i + 1] = HEX[bytes[i] & 15];
    }
    out[2 * n] = '\0';
    return span_make(out, 2 * n);
}

int digest_hash(roam_digest_algorithm algorithm, const roam_span *parts, size_t nparts, char out[DIGEST_HEX_MAX])
{
    hasher h;
    int err = hasher_open(&h, algorithm);
    out[0] = '\0';
    if (err)
        return err;
    hash_begin(&h);
    for (size_t i = 0; i < nparts; i++)
        hash_plain(&h, parts[i]);
    hash_end(&h, out);
    return hasher_close(&h);
}

static int prove(const proof *p, char out[DIGEST_HEX_MAX])
{
    const roam_span colon = SPAN(":");
    char a1[DIGEST_HEX_MAX], a2[DIGEST_HEX_MAX];
    hasher h;
    int err = hasher_open(&h, p->algorithm);
    out[0] = '\0';
    if (err)
        return err;
    hash_begin(&h); /* RFC 7616 3.4.2 */
    if (p->username_is_plain)
        hash_plain(&h, p->username);
    else
        hash_escaped(&h, p->username);
    hash_plain(&h, colon);
    hash_escaped(&h, p->realm);
    hash_plain(&h, colon);
    hash_plain(&h, p->password);
    roam_span ha1 = hash_end(&h, a1);

    hash_begin(&h); /* RFC 7616 3.4.3 */
    hash_plain(&h, p->method);
    hash_plain(&h, colon);
    hash_escaped(&h, p->uri);
    roam_span ha2 = hash_end(&h, a2);

    hash_begin(&h); /* RFC 7616 3.4.1; without qop RFC 2069 2.1.2 */
    hash_plain(&h, ha1);
    hash_plain(&h, colon);
    hash_escaped(&h, p->nonce);
    hash_plain(&h, colon);
    if (p->qop.len) {
        hash_plain(&h, p->nc);
        hash_plain(&h, colon);
        hash_escaped(&h, p->cnonce);
        hash_plain(&h, colon);
        hash_plain(&h, p->qop);
        hash_plain(&h, colon);
    }
    hash_plain(&h, ha2);
    hash_end(&h, out);
    OPENSSL_cleanse(a1, sizeof a1); /* as good as the password */
    return hasher_close(&h);
}

static int digest_of_input(const roam_digest_input *in, char nc[9], char out[DIGEST_HEX_MAX])
{
    if (in->qop && (!in->nc || !in->cnonce.len))
        return ROAM_EINVAL;
    for (int i = 0; i < 8; i++)
        nc[i] = "0123456789abcdef"[in->nc >> (28 - 4 * i) & 15];
    nc[8] = '\0';
    proof p = {
        .algorithm = in->algorithm,
        .username = in->username,
        .username_is_plain = true,
        .realm = in->realm,
        .password = in->password,
        .nonce = in->nonce,
        .uri = in->uri,
        .method = in->method,
        .qop = in->qop ? SPAN("auth") : (roam_span){NULL, 0},
        .nc = span_make(nc, 8),
        .cnonce = in->cnonce,
    };
    return prove(&p, out);
}

/* ---- algorithms ---- */

const char *digest_algorithm_text(roam_digest_algorithm algorithm)
{
    switch (algorithm) {
    case DIGEST_MD5: return "MD5";
    case DIGEST_SHA256: return "SHA-256";
    case DIGEST_SHA512_256: return "SHA-512-256";
    case DIGEST_UNKNOWN: break;
    }
    return "";
}

static roam_digest_algorithm algorithm_of(roam_span text)
{
    for (int a = DIGEST_MD5; a <= DIGEST_SHA512_256; a++)
        if (span_ieq(text, span_of(digest_algorithm_text((roam_digest_algorithm)a))))
            return (roam_digest_algorithm)a;
    return DIGEST_UNKNOWN;
}

/* ---- grammar ---- */

static bool is_plain_text(roam_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.ptr[i] < 0x20 && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* Can stand between quotes as it is: each quote escaped, no backslash left over. */
static bool is_quotable(roam_span escaped)
{
    for (size_t i = 0; i < escaped.len; i++)
        if (escaped.ptr[i] == '"' || (escaped.ptr[i] == '\\' && ++i == escaped.len))
            return false;
    return is_plain_text(escaped);
}

/* An unquoted value. Some peers forget the quotes of a nonce or an opaque, so more than a token is taken. */
static const char *scan_bare(const char *p, const char *end)
{
    while (p<end && * p> ' ' && *p < 0x7f && *p != ',' && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* name [blanks] = [blanks] value [blanks] at `p`; gives the byte after it, the end or a comma, or NULL. Control
 * characters in a quoted value are refused, a fold among them (nobody folds there). */
static const char *scan_auth_param(const char *p, const char *end, roam_span *name, roam_span *value)
{
    const char *start = p;
    p = skip_class(p, end, CHAR_TOKEN);
    *name = span_between(start, p);
    p = skip_lws(p, end);
    if (!name->len || p == end || *p != '=')
        return NULL;
    start = p = skip_lws(p + 1, end);
    if (p < end && *p == '"') {
        p = scan_quoted(p, end);
        if (!p)
            return NULL;
        *value = span_between(start + 1, p - 1);
        if (!is_plain_text(*value))
            return NULL;
    } else {
        p = scan_bare(p, end);
        *value = span_between(start, p);
        if (!value->len)
            return NULL;
    }
    p = skip_lws(p, end);
    return p == end || *p == ',' ? p : NULL;
}

/* "Digest" and parameters, comma-separated (RFC 3261 25.1). Elements of the list may be empty. Unknown names are passed
 * over; a known one that stands twice is an error, so that two readers cannot see two things in it. */
static int parse_params(roam_span header, roam_span params[NPARAMS])
{
    memset(params, 0, NPARAMS * sizeof *params);
    const char *end = span_end(header), *begin = skip_lws(header.ptr, end);
    const char *p = skip_class(begin, end, CHAR_TOKEN);
    if (p == begin || (p < end && !char_is(*p, CHAR_LWS)))
        return ROAM_ESYNTAX;
    if (!span_ieq(span_between(begin, p), SPAN("Digest")))
        return ROAM_EUNSUPPORTED;
    for (;;) {
        roam_span name, value;
        while (p < end && (*p == ',' || char_is(*p, CHAR_LWS)))
            p++;
        if (p == end)
            return ROAM_OK;
        p = scan_auth_param(p, end, &name, &value);
        if (!p)
            return ROAM_ESYNTAX;
        for (int i = 0; i < NPARAMS; i++)
            if (span_ieq(name, PARAM_NAMES[i])) {
                if (params[i].ptr)
                    return ROAM_ESYNTAX;
                params[i] = value;
                break;
            }
    }
}
