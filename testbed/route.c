#include "testbed/route.h"

static bool is_loose(const roam_uri *uri);
static void write_vias(roam_writer *w, const roam_message *request, const roam_addr *source);
static void write_record_route(roam_writer *w, const roam_path *path);

unsigned route_find(const roam_site *site, const roam_message *request, roam_route *out)
{
    *out = (roam_route){.uri = request->request_uri};
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_name_addr route;
    while (message_values(request, HEADER_ROUTE, &cursor, &value)) {
        if (out->nroutes == ROAM_MAX_ROUTES || name_addr_parse(value, &route) != ROAM_OK)
            return 400;
        out->routes[out->nroutes++] = value;
    }
    if (uri_parse(out->uri, &out->target) != ROAM_OK)
        return 400;
    /* 16.4: a strict router put our Record-Route into the Request-URI; what belongs there is the last Route. */
    if (out->nroutes && site_owns_uri(site, &out->target) && is_loose(&out->target)) {
        (void)name_addr_parse(out->routes[--out->nroutes], &route);
        out->uri = route.uri_text;
        if (uri_parse(out->uri, &out->target) != ROAM_OK)
            return 400;
    }
    /* Ours in front: one, or two where we bridge paths (RFC 5658). */
    size_t ours = 0;
    while (ours < out->nroutes && name_addr_parse(out->routes[ours], &route) == ROAM_OK &&
           site_owns_uri(site, &route.uri))
        ours++;
    for (size_t i = ours; i < out->nroutes; i++)
        out->routes[i - ours] = out->routes[i];
    out->nroutes -= ours;
    if (out->target.scheme != URI_SIP && !(out->nroutes && out->target.scheme == URI_TEL))
        return 416;
    out->local = !out->nroutes && site_owns_uri(site, &out->target);
    return 0;
}

unsigned route_hop(const roam_site *site, const roam_registrar *registrar, const roam_route *route,
                   const roam_binding *binding, bool nat_help, roam_path *came_on, roam_hop *out)
{
    roam_uri uri = route->target;
    roam_path *preferred = binding ? binding->path : came_on;
    if (route->nroutes) {
        roam_name_addr next;
        if (name_addr_parse(route->routes[0], &next) != ROAM_OK)
            return 400;
        uri = next.uri;
    } else if (binding) {
        if (uri_parse(span_of(binding->contact), &uri) != ROAM_OK)
            return 404;
    } else if (nat_help) {
        binding = registrar_find_contact(registrar, &uri);
    }
    if (binding && nat_help && !route->nroutes) {
        *out = (roam_hop){binding->source, binding->path};
        return 0;
    }
    roam_span maddr;
    roam_ip ip = uri.ip;
    if (param_find(uri.params, SPAN("maddr"), &maddr))
        (void)roam_ip_parse(maddr, &ip);
    if (!ip.family)
        return 404;
    out->remote = (roam_addr){ip, uri_effective_port(&uri)};
    out->path = site_path_toward(site, &out->remote, preferred);
    return out->path ? 0 : 500;
}

roam_span route_request_uri(const roam_route *route, roam_span uri)
{
    roam_name_addr next;
    if (route->nroutes && name_addr_parse(route->routes[0], &next) == ROAM_OK && !is_loose(&next.uri))
        return next.uri_text;
    return uri;
}

void route_write(roam_request *r, const roam_route_copy *copy)
{
    static const roam_header_id without[] = {HEADER_VIA,   HEADER_MAX_FORWARDS,        HEADER_RECORD_ROUTE,
                                             HEADER_ROUTE, HEADER_PROXY_AUTHORIZATION, HEADER_CONTENT_LENGTH,
                                             HEADER_OTHER};
    const roam_message *request = copy->request;
    const roam_route *route = copy->route;
    roam_name_addr next;
    roam_writer *w = &r->w;
    write_vias(w, request, copy->source);
    if (copy->record_route) {
        write_record_route(w, copy->out);
        if (copy->in != copy->out)
            write_record_route(w, copy->in);
    }
    write_headers_copied(w, request, HEADER_RECORD_ROUTE);
    /* 16.6, 6: a strict router finds its own URI in the request line, and the real one at the end of Route. */
    bool strict = route->nroutes && name_addr_parse(route->routes[0], &next) == ROAM_OK && !is_loose(&next.uri);
    for (size_t i = strict ? 1 : 0; i < route->nroutes; i++)
        write_header(w, HEADER_ROUTE, route->routes[i]);
    if (strict) {
        write_header_name(w, HEADER_ROUTE);
        write_char(w, '<');
        write_span(w, route->uri);
        write_lit(w, ">\r\n");
    }
    for (int i = message_first(request, HEADER_PROXY_AUTHORIZATION); i >= 0;
         i = message_next(request, HEADER_PROXY_AUTHORIZATION, i))
        if (!auth_is_ours(copy->auth, request->headers[i].value))
            write_header(w, HEADER_PROXY_AUTHORIZATION, request->headers[i].value);
    write_headers_except(w, request, without);
    write_body(w, (roam_span){0}, request->body);
}

void write_headers_except(roam_writer *w, const roam_message *from, const roam_header_id *without)
{
    bool done[HEADER_COUNT] = {false};
    for (; *without != HEADER_OTHER; without++)
        done[*without] = true;
    for (size_t i = 0; i < from->nheaders; i++) {
        roam_header_id id = from->headers[i].id;
        if (id == HEADER_OTHER) {
            write_header_named(w, from->headers[i].name, from->headers[i].value);
        } else if (!done[id]) {
            done[id] = true;
            write_headers_copied(w, from, id);
        }
    }
}

static bool is_loose(const roam_uri *uri)
{
    roam_span value;
    return param_find(uri->params, SPAN("lr"), &value);
}

/* All Vias of the request, the top one with what we saw of its sender (RFC 3261 18.2.1, RFC 3581 4). */
static void write_vias(roam_writer *w, const roam_message *request, const roam_addr *source)
{
    roam_value_cursor cursor = {0};
    roam_span value, rest, name, param;
    roam_via via;
    for (bool top = true; message_values(request, HEADER_VIA, &cursor, &value); top = false) {
        if (!top || via_parse(value, &via) != ROAM_OK) {
            write_header(w, HEADER_VIA, value);
            continue;
        }
        write_header_name(w, HEADER_VIA);
        write_lit(w, "SIP/2.0/");
        write_span(w, via.transport);
        write_char(w, ' ');
        if (via.ip.family)
            write_host(w, &via.ip);
        else
            write_span(w, via.host);
        if (via.port) {
            write_char(w, ':');
            write_u64(w, via.port);
        }
        rest = via.params;
        while (param_next(&rest, &name, &param)) {
            if (span_ieq(name, SPAN("received")) || span_ieq(name, SPAN("rport")))
                continue;
            write_char(w, ';');
            write_span(w, name);
            if (param.len) {
                write_char(w, '=');
                write_span(w, param);
            }
        }
        if (via.has_rport || !roam_ip_equal(&via.ip, &source->ip)) {
            write_lit(w, ";received=");
            write_ip(w, &source->ip);
        }
        if (via.has_rport) {
            write_lit(w, ";rport=");
            write_u64(w, source->port);
        }
        write_lit(w, "\r\n");
    }
}

static void write_record_route(roam_writer *w, const roam_path *path)
{
    write_header_name(w, HEADER_RECORD_ROUTE);
    write_lit(w, "<sip:");
    write_addr(w, &path->local);
    write_lit(w, ";lr>\r\n");
}
