/* Dialogs: learnt from a request or a response, and written into the requests that follow. */
#include "sip/dialog.h"

#include <assert.h>

enum { CALL_ID_LEN = 18, TAG_LEN = 10 }; /* 107 and 59 bits; RFC 3261 19.3 asks for 32 */

static int set_text(roam_dialog *d, char **text, roam_span value);
static char *new_token(roam_env *env, size_t len);
static int party_without_tag(roam_env *env, roam_span value, char **out);
static int collect_routes(roam_env *env, const roam_message *m, bool reversed, char ***out, size_t *n);
static void free_routes(roam_env *env, char **routes, size_t n);
static int contact_uri(const roam_message *m, roam_span *uri);
static roam_span header_tag(const roam_message *m, roam_header_id id);
static bool route_is_loose(const char *route);
static void write_party(roam_writer *w, roam_header_id id, const char *party, const char *tag);
static void write_strict_uri(roam_writer *w, const roam_uri *uri);
static roam_span without_headers(roam_span text);

/* ---- birth and end ---- */

int dialog_init_caller(roam_dialog *d, roam_env *env, roam_span local_party, roam_span remote_party,
                       roam_span target_uri)
{
    *d = (roam_dialog){.env = env, .caller = true};
    d->call_id = new_token(env, CALL_ID_LEN);
    d->local_tag = new_token(env, TAG_LEN);
    d->local_party = mem_strdup(&env->mem, local_party);
    d->remote_party = mem_strdup(&env->mem, remote_party);
    d->remote_target = mem_strdup(&env->mem, target_uri);
    d->local_cseq = random_below(&env->random, 30000); /* RFC 3261 8.1.1.5: below 2^31 with room to grow */
    if (d->call_id && d->local_tag && d->local_party && d->remote_party && d->remote_target)
        return ROAM_OK;
    dialog_free(d);
    return ROAM_ENOMEM;
}

int dialog_init_fork(roam_dialog *d, const roam_dialog *first)
{
    roam_env *env = first->env;
    *d = (roam_dialog){.env = env, .caller = true, .local_cseq = first->local_cseq};
    d->call_id = mem_strdup(&env->mem, span_of(first->call_id));
    d->local_tag = mem_strdup(&env->mem, span_of(first->local_tag));
    d->local_party = mem_strdup(&env->mem, span_of(first->local_party));
    d->remote_party = mem_strdup(&env->mem, span_of(first->remote_party));
    d->remote_target = mem_strdup(&env->mem, span_of(first->remote_target)); /* until its own Contact is known */
    if (d->call_id && d->local_tag && d->local_party && d->remote_party && d->remote_target)
        return ROAM_OK;
    dialog_free(d);
    return ROAM_ENOMEM;
}

int dialog_init_callee(roam_dialog *d, roam_env *env, const roam_message *request, roam_span local_tag)
{
    roam_span contact, remote_tag = header_tag(request, HEADER_FROM);
    roam_cseq cseq;
    *d = (roam_dialog){.env = env};
    if (!remote_tag.len || !local_tag.len || contact_uri(request, &contact) != ROAM_OK || !contact.len ||
        cseq_parse(message_value(request, HEADER_CSEQ), &cseq) != ROAM_OK)
        return ROAM_ESYNTAX;
    d->remote_cseq = cseq.number;
    d->has_remote_cseq = true;
    d->local_cseq = random_below(&env->random, 30000);
    d->call_id = mem_strdup(&env->mem, message_value(request, HEADER_CALL_ID));
    d->local_tag = mem_strdup(&env->mem, local_tag);
    d->remote_tag = mem_strdup(&env->mem, remote_tag);
    d->remote_target = mem_strdup(&env->mem, contact);
    int err = d->call_id && d->local_tag && d->remote_tag && d->remote_target ? ROAM_OK : ROAM_ENOMEM;
    if (!err)
        err = party_without_tag(env, message_value(request, HEADER_TO), &d->local_party);
    if (!err)
        err = party_without_tag(env, message_value(request, HEADER_FROM), &d->remote_party);
    if (!err)
        err = collect_routes(env, request, false, &d->routes, &d->nroutes);
    if (err) {
        dialog_free(d);
        return err;
    }
    dialog_set_state(d, DIALOG_EARLY, "request");
    return ROAM_OK;
}

void dialog_free(roam_dialog *d)
{
    if (!d->env)
        return;
    roam_mem *mem = &d->env->mem;
    free_routes(d->env, d->routes, d->nroutes);
    mem_free(mem, d->call_id);
    mem_free(mem, d->local_tag);
    mem_free(mem, d->remote_tag);
    mem_free(mem, d->local_party);
    mem_free(mem, d->remote_party);
    mem_free(mem, d->remote_target);
    *d = (roam_dialog){0};
}

void dialog_set_state(roam_dialog *d, roam_dialog_state state, const char *why)
{
    static const char *const text[] = {"none", "early", "confirmed", "ended"};
    static const unsigned legal[] = {
        [DIALOG_NONE] = 1u << DIALOG_EARLY | 1u << DIALOG_CONFIRMED | 1u << DIALOG_ENDED,
        [DIALOG_EARLY] = 1u << DIALOG_CONFIRMED | 1u << DIALOG_ENDED,
        [DIALOG_CONFIRMED] = 1u << DIALOG_ENDED,
        [DIALOG_ENDED] = 0,
    };
    if (d->state == state)
        return;
    assert(legal[d->state] & 1u << state);
    trace_state(&d->env->trace, "dialog", 0, text[d->state], text[state], why);
    d->state = state;
}

/* ---- learning ---- */

/* Everything is made before anything is changed: a refusal of memory leaves the dialog as it was. */
int dialog_on_response(roam_dialog *d, const roam_message *response)
{
    roam_span tag = header_tag(response, HEADER_TO), contact;
    bool success = response->status >= 200 && response->status < 300;
    if (response->status <= 100 || response->status >= 300)
        return ROAM_OK;
    if (d->state == DIALOG_ENDED)
        return ROAM_ESTATE;
    if (!tag.len && !success)
        return ROAM_OK; /* a provisional that makes no dialog */
    if (d->remote_tag && !span_eq(span_of(d->remote_tag), tag))
        return ROAM_ESTATE; /* another fork's */
    if (d->state == DIALOG_CONFIRMED)
        return ROAM_OK; /* the 2xx again, or of a later request: dialog_target_refresh */
    int err = contact_uri(response, &contact);
    if (err)
        return err;
    char *new_tag = NULL, *new_target = NULL, **routes = NULL;
    size_t nroutes = 0;
    bool learn_routes = success || d->state == DIALOG_NONE; /* frozen in between: 13.2.2.4 */
    if (!d->remote_tag && !(new_tag = mem_strdup(&d->env->mem, tag)))
        err = ROAM_ENOMEM;
    if (!err && contact.len && !(new_target = mem_strdup(&d->env->mem, contact)))
        err = ROAM_ENOMEM;
    if (!err && learn_routes)
        err = collect_routes(d->env, response, true, &routes, &nroutes);
    if (err) {
        mem_free(&d->env->mem, new_tag);
        mem_free(&d->env->mem, new_target);
        return err;
    }
    if (new_tag)
        d->remote_tag = new_tag;
    if (new_target) {
        mem_free(&d->env->mem, d->remote_target);
        d->remote_target = new_target;
    }
    if (learn_routes) {
        free_routes(d->env, d->routes, d->nroutes);
        d->routes = routes;
        d->nroutes = nroutes;
    }
    dialog_set_state(d, success ? DIALOG_CONFIRMED : DIALOG_EARLY, success ? "2xx" : "provisional with a tag");
    return ROAM_OK;
}

int dialog_set_routes(roam_dialog *d, const roam_span *routes, size_t n)
{
    if (n > ROAM_MAX_ROUTES)
        return ROAM_ELIMIT;
    char **list = n ? mem_zalloc(&d->env->mem, n * sizeof *list) : NULL;
    if (n && !list)
        return ROAM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        bool bare = !routes[i].len || !memchr(routes[i].ptr, '<', routes[i].len);
        size_t len = routes[i].len + (bare ? 2 : 0);
        roam_writer w;
        list[i] = mem_alloc(&d->env->mem, len + 1);
        if (!list[i]) {
            free_routes(d->env, list, n);
            return ROAM_ENOMEM;
        }
        writer_init(&w, list[i], len);
        if (bare)
            write_char(&w, '<');
        write_span(&w, routes[i]);
        if (bare)
            write_char(&w, '>');
        list[i][len] = '\0';
    }
    free_routes(d->env, d->routes, d->nroutes);
    d->routes = list;
    d->nroutes = n;
    return ROAM_OK;
}

unsigned dialog_check_request(roam_dialog *d, const roam_message *request)
{
    roam_cseq cseq;
    if (!dialog_matches(d, request, true))
        return 481;
    if (request->method == METHOD_ACK || request->method == METHOD_CANCEL)
        return 0;
    if (cseq_parse(message_value(request, HEADER_CSEQ), &cseq) != ROAM_OK)
        return 400;
    if (d->has_remote_cseq && cseq.number < d->remote_cseq)
        return 500;
    d->remote_cseq = cseq.number;
    d->has_remote_cseq = true;
    return 0;
}

int dialog_target_refresh(roam_dialog *d, const roam_message *m)
{
    roam_span contact;
    int err = contact_uri(m, &contact);
    if (err || !contact.len || span_eq(contact, span_of(d->remote_target)))
        return err;
    return set_text(d, &d->remote_target, contact);
}

bool dialog_matches(const roam_dialog *d, const roam_message *m, bool from_peer)
{
    if (!span_eq(message_value(m, HEADER_CALL_ID), span_of(d->call_id)))
        return false;
    roam_span local = header_tag(m, from_peer ? HEADER_TO : HEADER_FROM);
    roam_span remote = header_tag(m, from_peer ? HEADER_FROM : HEADER_TO);
    if (!span_eq(local, span_of(d->local_tag)))
        return false;
    if (!d->remote_tag) /* not known yet: any answer to our request may be ours; no request of a peer is */
        return !from_peer;
    return span_eq(remote, span_of(d->remote_tag));
}

/* ---- writing requests ---- */

int dialog_next_hop(const roam_dialog *d, roam_uri *out)
{
    roam_name_addr route;
    if (!d->nroutes)
        return uri_parse(span_of(d->remote_target), out);
    int err = name_addr_parse(span_of(d->routes[0]), &route);
    *out = route.uri;
    return err;
}

void dialog_request_begin(roam_dialog *d, roam_sip *sip, roam_request *r, roam_flow *flow, roam_method method,
                          uint32_t cseq)
{
    roam_span name = span_of(method_text(method));
    roam_span target = without_headers(span_of(d->remote_target));
    roam_name_addr first;
    if (!cseq)
        cseq = ++d->local_cseq;
    if (!d->nroutes || route_is_loose(d->routes[0]) || name_addr_parse(span_of(d->routes[0]), &first) != ROAM_OK) {
        request_begin(sip, r, flow, name, target, 70);
        for (size_t i = 0; i < d->nroutes; i++)
            write_header(&r->w, HEADER_ROUTE, span_of(d->routes[i]));
    } else { /* RFC 3261 12.2.1.1: a strict router wants itself in the request line, and the target last */
        char space[ROAM_MAX_URI];
        roam_writer uri;
        writer_init(&uri, space, sizeof space);
        write_strict_uri(&uri, &first.uri);
        request_begin(sip, r, flow, name, writer_span(&uri), 70);
        if (uri.overflow)
            r->w.overflow = true;
        for (size_t i = 1; i < d->nroutes; i++)
            write_header(&r->w, HEADER_ROUTE, span_of(d->routes[i]));
        write_header_name(&r->w, HEADER_ROUTE);
        write_char(&r->w, '<');
        write_span(&r->w, target);
        write_lit(&r->w, ">\r\n");
    }
    write_party(&r->w, HEADER_FROM, d->local_party, d->local_tag);
    write_party(&r->w, HEADER_TO, d->remote_party, d->remote_tag);
    write_header(&r->w, HEADER_CALL_ID, span_of(d->call_id));
    write_cseq(&r->w, cseq, name);
}

static void write_party(roam_writer *w, roam_header_id id, const char *party, const char *tag)
{
    write_header_name(w, id);
    write_cstr(w, party);
    if (tag && *tag) {
        write_lit(w, ";tag=");
        write_cstr(w, tag);
    }
    write_lit(w, "\r\n");
}

/* Without what a Request-URI may not hold (RFC 3261 19.1.1, table 1): headers, and the method parameter. */
static void write_strict_uri(roam_writer *w, const roam_uri *uri)
{
    roam_span rest = uri->params, name, value;
    roam_span text = without_headers(uri->text);
    if (!uri->params.len) {
        write_span(w, text);
        return;
    }
    write_span(w, span_between(text.ptr, uri->params.ptr - 1));
    while (param_next(&rest, &name, &value)) {
        if (span_ieq(name, SPAN("method")))
            continue;
        write_char(w, ';');
        write_span(w, name);
        if (value.len) {
            write_char(w, '=');
            write_span(w, value);
        }
    }
}

static roam_span without_headers(roam_span text)
{
    roam_uri uri;
    if (uri_parse(text, &uri) == ROAM_OK && uri.headers.len)
        return span_between(text.ptr, uri.headers.ptr - 1);
    return text;
}

static bool route_is_loose(const char *route)
{
    roam_name_addr a;
    roam_span value;
    return name_addr_parse(span_of(route), &a) == ROAM_OK && param_find(a.uri.params, SPAN("lr"), &value);
}

/* ---- texts ---- */

static int set_text(roam_dialog *d, char **text, roam_span value)
{
    char *copy = mem_strdup(&d->env->mem, value);
    if (!copy)
        return ROAM_ENOMEM;
    mem_free(&d->env->mem, *text);
    *text = copy;
    return ROAM_OK;
}

static char *new_token(roam_env *env, size_t len)
{
    char *text = mem_alloc(&env->mem, len + 1);
    roam_writer w;
    if (!text)
        return NULL;
    writer_init(&w, text, len);
    random_token(&env->random, &w, len);
    text[len] = '\0';
    return text;
}

/* From and To as they stood, but for the tag: some peers of RFC 2543 compare the rest. */
static int party_without_tag(roam_env *env, roam_span value, char **out)
{
    roam_name_addr a;
    roam_writer w;
    roam_span name, content;
    if (name_addr_parse(value, &a) != ROAM_OK)
        return ROAM_ESYNTAX;
    size_t cap = value.len + 4; /* brackets, a blank, NUL */
    char *text = mem_alloc(&env->mem, cap);
    if (!text)
        return ROAM_ENOMEM;
    writer_init(&w, text, cap - 1);
    if (a.display.len && !memchr(a.display.ptr, '\n', a.display.len)) {
        write_span(&w, a.display);
        write_char(&w, ' ');
    }
    write_char(&w, '<');
    write_span(&w, a.uri_text);
    write_char(&w, '>');
    for (roam_span rest = a.params; param_next(&rest, &name, &content);) {
        if (span_ieq(name, SPAN("tag")) || (content.len && memchr(content.ptr, '\n', content.len)))
            continue;
        write_char(&w, ';');
        write_span(&w, name);
        if (content.len) {
            write_char(&w, '=');
            write_span(&w, content);
        }
    }
    if (w.overflow) {
        mem_free(&env->mem, text);
        return ROAM_ESYNTAX;
    }
    text[w.len] = '\0';
    *out = text;
    return ROAM_OK;
}

/* The route set: Record-Route in order for the callee, reversed for the caller (RFC 3261 12.1.1, 12.1.2). */
static int collect_routes(roam_env *env, const roam_message *m, bool reversed, char ***out, size_t *count)
{
    roam_value_cursor cursor = {0};
    roam_span value, values[ROAM_MAX_ROUTES];
    roam_name_addr a;
    size_t n = 0;
    while (message_values(m, HEADER_RECORD_ROUTE, &cursor, &value)) {
        if (n == ROAM_MAX_ROUTES)
            return ROAM_ELIMIT;
        if (name_addr_parse(value, &a) != ROAM_OK || (value.len && memchr(value.ptr, '\n', value.len)))
            return ROAM_ESYNTAX;
        values[n++] = value;
    }
    *out = NULL;
    *count = 0;
    if (!n)
        return ROAM_OK;
    char **list = mem_zalloc(&env->mem, n * sizeof *list);
    if (!list)
        return ROAM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        list[i] = mem_strdup(&env->mem, values[reversed ? n - 1 - i : i]);
        if (!list[i]) {
            free_routes(env, list, n);
            return ROAM_ENOMEM;
        }
    }
    *out = list;
    *count = n;
    return ROAM_OK;
}

static void free_routes(roam_env *env, char **routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(&env->mem, routes[i]);
    mem_free(&env->mem, routes);
}

/* The URI of the first Contact; empty when there is none. */
static int contact_uri(const roam_message *m, roam_span *uri)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_name_addr a;
    *uri = (roam_span){0};
    if (!message_values(m, HEADER_CONTACT, &cursor, &value))
        return ROAM_OK;
    if (name_addr_parse(value, &a) != ROAM_OK || a.wildcard)
        return ROAM_ESYNTAX;
    *uri = a.uri_text;
    return ROAM_OK;
}

static roam_span header_tag(const roam_message *m, roam_header_id id)
{
    roam_name_addr a;
    if (name_addr_parse(message_value(m, id), &a) != ROAM_OK)
        return (roam_span){0};
    return name_addr_tag(&a);
}
