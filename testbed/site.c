#include "testbed/site.h"

static bool is_domain(const roam_site *site, roam_span host);
static bool is_address(const roam_site *site, const roam_ip *ip, uint16_t port);

const char *notice_text(roam_notice_type type)
{
    static const char *const text[] = {"request",         "refused",     "binding-added", "binding-refreshed",
                                       "binding-removed", "call-passed", "call-answered", "dialog-request"};
    return text[type];
}

void site_init(roam_site *site, roam_env *env, roam_sip *sip, roam_notice_fn *notice, void *user)
{
    *site = (roam_site){.env = env, .sip = sip, .notice = notice, .user = user};
}

void site_free(roam_site *site)
{
    for (size_t i = 0; i < site->npaths; i++)
        mem_free(&site->env->mem, site->paths[i]);
    for (size_t i = 0; i < site->ndomains; i++)
        mem_free(&site->env->mem, site->domains[i]);
    site->npaths = site->ndomains = 0;
}

int site_add_domain(roam_site *site, const char *domain)
{
    if (site->ndomains == SITE_MAX_DOMAINS)
        return ROAM_ELIMIT;
    char *copy = mem_strdup(&site->env->mem, span_of(domain));
    if (!copy)
        return ROAM_ENOMEM;
    site->domains[site->ndomains++] = copy;
    return ROAM_OK;
}

int site_add_path(roam_site *site, uint32_t socket, const roam_addr *local)
{
    if (site->npaths == SITE_MAX_PATHS)
        return ROAM_ELIMIT;
    if (!local->ip.family || !local->port || site_path_of_socket(site, socket))
        return ROAM_EINVAL;
    roam_path *path = mem_new(&site->env->mem, roam_path);
    if (!path)
        return ROAM_ENOMEM;
    list_init(&path->node);
    path->id = (uint32_t)site->npaths + 1;
    path->socket = socket;
    path->local = *local;
    path->transport = TRANSPORT_UDP;
    path->state = PATH_OPENING;
    path_set_state(site->env, path, PATH_UP, "given by the host");
    site->paths[site->npaths++] = path;
    return ROAM_OK;
}

roam_path *site_path_of_socket(const roam_site *site, uint32_t socket)
{
    for (size_t i = 0; i < site->npaths; i++)
        if (site->paths[i]->socket == socket)
            return site->paths[i];
    return NULL;
}

roam_path *site_path_toward(const roam_site *site, const roam_addr *remote, roam_path *preferred)
{
    if (preferred && preferred->local.ip.family == remote->ip.family)
        return preferred;
    for (size_t i = 0; i < site->npaths; i++)
        if (site->paths[i]->local.ip.family == remote->ip.family)
            return site->paths[i];
    return NULL;
}

bool site_owns_host(const roam_site *site, const roam_uri *uri)
{
    return uri->ip.family ? is_address(site, &uri->ip, 0) : is_domain(site, uri->host);
}

bool site_owns_uri(const roam_site *site, const roam_uri *uri)
{
    if (uri->scheme != URI_SIP && uri->scheme != URI_SIPS)
        return false;
    if (uri->ip.family)
        return is_address(site, &uri->ip, uri->port);
    if (!is_domain(site, uri->host))
        return false;
    for (size_t i = 0; i < site->npaths; i++)
        if (!uri->port || site->paths[i]->local.port == uri->port)
            return true;
    return false;
}

roam_path *site_path_named(const roam_site *site, const roam_uri *uri)
{
    for (size_t i = 0; i < site->npaths; i++)
        if (roam_ip_equal(&site->paths[i]->local.ip, &uri->ip) && site->paths[i]->local.port == uri_effective_port(uri))
            return site->paths[i];
    return NULL;
}

void site_notice(const roam_site *site, const roam_notice *notice)
{
    if (!site->notice)
        return;
    roam_notice copy = *notice;
    copy.time = site->env->now;
    if (!copy.why)
        copy.why = "";
    site->notice(site->user, &copy);
}

static bool is_domain(const roam_site *site, roam_span host)
{
    for (size_t i = 0; i < site->ndomains; i++)
        if (span_ieq(host, span_of(site->domains[i])))
            return true;
    return false;
}

static bool is_address(const roam_site *site, const roam_ip *ip, uint16_t port)
{
    for (size_t i = 0; i < site->npaths; i++)
        if (roam_ip_equal(ip, &site->paths[i]->local.ip) && (!port || port == site->paths[i]->local.port))
            return true;
    return false;
}
