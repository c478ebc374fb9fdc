/* Questions to the Linux kernel about links, addresses and routes. */
#include "edge/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/map.h"
#include "edge/address.h"

enum {
    REPLY_MAX = 32768, /* the most the kernel packs into one datagram of a dump */
    REQUEST_MAX = 4096,
    QUERIES_A_SEND = 32, /* their answers fit any receive buffer */
    DUMP_ATTEMPTS = 8,   /* while NLM_F_DUMP_INTR says the tables changed meanwhile */
    EVENTS_A_TURN = 1024,
    EVENT_MAX = 8192,
    EVENT_BUFFER = 1024 * 1024
};

struct roam_netlink {
    struct mnl_socket *socket;
    unsigned port;
    uint32_t sequence;
    /* Aligned for the headers in them. */
    uint32_t request[REQUEST_MAX / sizeof(uint32_t)];
    uint32_t reply[REPLY_MAX / sizeof(uint32_t)];
};

/* libmnl's own loop does not pass -Wconversion. */
#define each_attr(attr, message, offset)                                                                               \
    for ((attr) = mnl_nlmsg_get_payload_offset((message), (offset));                                                   \
         mnl_attr_ok((attr), (int)((const char *)mnl_nlmsg_get_payload_tail(message) - (const char *)(attr)));         \
         (attr) = mnl_attr_next(attr))

typedef int message_fn(void *user, const struct nlmsghdr *message); /* 0 or a roam_err */

static int dump(roam_netlink *nl, uint16_t type, uint8_t family, message_fn *each, void *user, bool *interrupted);
static int take_link(void *user, const struct nlmsghdr *message);
static int take_addr(void *user, const struct nlmsghdr *message);
static int take_route(void *user, const struct nlmsghdr *message);
static int take_neighbour(void *user, const struct nlmsghdr *message);
static uint64_t neighbour_network(const struct nlmsghdr *message, uint32_t *link, roam_ip *ip);
static bool neighbour_news(const struct nlmsghdr *message, const roam_netlink_state *state);
static int ask_some(roam_netlink *nl, roam_netlink_query *queries, size_t n);
static void put_query(char *buffer, const roam_netlink_query *query, uint32_t sequence);
static void take_answer(roam_netlink_query *query, const struct nlmsghdr *message);
static void set_default(roam_netlink_state *state, uint8_t family, uint32_t link, uint32_t metric, const roam_ip *gateway);
static void finish(roam_netlink_state *state);
static void *grow(void *array, size_t count, size_t *cap, size_t size);
static ssize_t receive(const struct mnl_socket *socket, void *buffer, size_t size);

int netlink_open(roam_netlink **out)
{
    roam_netlink *nl = calloc(1, sizeof *nl);
    *out = nl;
    if (!nl)
        return ROAM_ENOMEM;
    nl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!nl->socket || mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        netlink_close(nl);
        *out = NULL;
        return ROAM_EIO;
    }
    nl->port = mnl_socket_get_portid(nl->socket);
    /* The kernel has answered when the request's send() returns; this is a net below that. */
    struct timeval limit = {.tv_sec = 1};
    setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return 0;
}

void netlink_close(roam_netlink *nl)
{
    if (!nl)
        return;
    if (nl->socket)
        mnl_socket_close(nl->socket);
    free(nl);
}

int netlink_dump(roam_netlink *nl, roam_netlink_state *state)
{
    static const struct {
        uint16_t type;
        uint8_t family;
        message_fn *take;
    } steps[] = {
        /* Links first, and routes last: on kernels whose dumps take the same lock as changes, this order cannot show
         * a route of an address that was gone already. */
        {RTM_GETLINK, AF_UNSPEC, take_link},
        {RTM_GETADDR, AF_UNSPEC, take_addr},
        {RTM_GETROUTE, AF_INET, take_route},
        {RTM_GETROUTE, AF_INET6, take_route},
        {RTM_GETNEIGH, AF_INET, take_neighbour},
        {RTM_GETNEIGH, AF_INET6, take_neighbour},
    };
    bool interrupted = true;
    for (int attempt = 0; attempt < DUMP_ATTEMPTS && interrupted; attempt++) {
        interrupted = false;
        state->nlinks = 0;
        state->naddrs = 0;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            int err = dump(nl, steps[i].type, steps[i].family, steps[i].take, state, &interrupted);
            if (err)
                return err;
        }
    }
    finish(state);
    return interrupted ? ROAM_EBUSY : 0;
}

int netlink_routes(roam_netlink *nl, roam_netlink_query *queries, size_t n)
{
    int first = 0;
    for (size_t i = 0; i < n; i += QUERIES_A_SEND) {
        int err = ask_some(nl, queries + i, n - i < QUERIES_A_SEND ? n - i : QUERIES_A_SEND);
        if (!first)
            first = err;
    }
    return first;
}

void netlink_state_free(roam_netlink_state *state)
{
    free(state->links);
    free(state->addrs);
    memset(state, 0, sizeof *state);
}

const roam_netlink_link *netlink_find_link(const roam_netlink_state *state, uint32_t index)
{
    for (size_t i = 0; i < state->nlinks; i++)
        if (state->links[i].index == index)
            return &state->links[i];
    return NULL;
}

int netlink_subscribe(void)
{
    static const unsigned groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,   RTNLGRP_NEIGH};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return ROAM_EIO;
    int size = EVENT_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct sockaddr_nl local = {.nl_family = AF_NETLINK};
    bool ok = bind(fd, (const struct sockaddr *)&local, sizeof local) == 0;
    for (size_t i = 0; ok && i < sizeof groups / sizeof *groups; i++)
        ok = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0;
    if (!ok) {
        close(fd);
        return ROAM_EIO;
    }
    /* Routes through next-hop objects change without a route event; older kernels have neither. */
    unsigned nexthop = RTNLGRP_NEXTHOP;
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nexthop, sizeof nexthop);
    return fd;
}

bool netlink_drain(int fd, const roam_netlink_state *state)
{
    bool any = false;
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        uint32_t event[EVENT_MAX / sizeof(uint32_t)];
        ssize_t n = recv(fd, event, sizeof event, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ENOBUFS)
            break; /* EAGAIN: no more */
        if (n < 0) {
            any = true;
            continue;
        }
        /* What the event says is not needed: everything is asked again. But the neighbours of a busy network come and go all the time, and are no news. */
        int left = (int)n;
        for (const struct nlmsghdr *m = (const struct nlmsghdr *)event; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
            const bool neighbour = m->nlmsg_type == RTM_NEWNEIGH || m->nlmsg_type == RTM_DELNEIGH;
            any |= !neighbour || neighbour_news(m, state);
        }
        any |= left > 0; /* cut short */
    }
    return any;
}

/* ---- dumps ---- */

static int dump(roam_netlink *nl, uint16_t type, uint8_t family, message_fn *each, void *user, bool *interrupted)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(nl->request);
    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = ++nl->sequence;
    if (type == RTM_GETNEIGH) {
        struct ndmsg *body = mnl_nlmsg_put_extra_header(request, sizeof *body);
        body->ndm_family = family;
    } else if (type == RTM_GETLINK) {
        struct ifinfomsg *body = mnl_nlmsg_put_extra_header(request, sizeof *body);
        body->ifi_family = family;
        mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    } else if (type == RTM_GETADDR) {
        struct ifaddrmsg *body = mnl_nlmsg_put_extra_header(request, sizeof *body);
        body->ifa_family = family;
    } else {
        struct rtmsg *body = mnl_nlmsg_put_extra_header(request, sizeof *body);
        body->rtm_family = family;
    }
    if (mnl_socket_sendto(nl->socket, request, request->nlmsg_len) < 0)
        return ROAM_EIO;
    int first = 0; /* kept while the rest of the dump is read: half a dump must not stay in the socket */
    for (;;) {
        ssize_t n = receive(nl->socket, nl->reply, sizeof nl->reply);
        if (n < 0)
            return first ? first : ROAM_EIO;
        int left = (int)n;
        for (const struct nlmsghdr *m = (const struct nlmsghdr *)nl->reply; mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left)) {
            if (m->nlmsg_seq != nl->sequence || m->nlmsg_pid != nl->port)
                continue; /* of an earlier request that was given up */
            if (m->nlmsg_flags & NLM_F_DUMP_INTR)
                *interrupted = true;
            if (m->nlmsg_type == NLMSG_DONE)
                return first;
            if (m->nlmsg_type == NLMSG_ERROR) {
                /* A kernel without IPv6 has no IPv6 routes; that is an answer too. */
                const struct nlmsgerr *refusal = mnl_nlmsg_get_payload(m);
                bool absent = refusal->error == -EOPNOTSUPP || refusal->error == -EAFNOSUPPORT;
                return first ? first : absent ? 0 : ROAM_EIO;
            }
            if (!first)
                first = each(user, m);
        }
    }
}

static int take_link(void *user, const struct nlmsghdr *message)
{
    roam_netlink_state *state = user;
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != RTM_NEWLINK)
        return 0;
    roam_netlink_link *links = grow(state->links, state->nlinks, &state->links_cap, sizeof *links);
    if (!links)
        return ROAM_ENOMEM;
    state->links = links;
    /* IFF_RUNNING is the kernel's summary of operstate (RFC 2863): up, or a driver that cannot tell. */
    const unsigned working = IFF_UP | IFF_RUNNING;
    links[state->nlinks++] = (roam_netlink_link){
        .index = (uint32_t)info->ifi_index,
        .up = (info->ifi_flags & working) == working,
        .loopback = (info->ifi_flags & IFF_LOOPBACK) != 0,
        .point_to_point = (info->ifi_flags & (IFF_POINTOPOINT | IFF_NOARP)) != 0,
        .metric4 = UINT32_MAX,
        .metric6 = UINT32_MAX,
    };
    return 0;
}

static int take_addr(void *user, const struct nlmsghdr *message)
{
    roam_netlink_state *state = user;
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != RTM_NEWADDR || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
        return 0;
    const size_t length = info->ifa_family == AF_INET ? 4 : 16;
    const void *local = NULL, *address = NULL; /* they differ on point-to-point links: there the latter is the peer */
    uint32_t flags = info->ifa_flags;
    const struct nlattr *attr;
    each_attr(attr, message, sizeof *info)
    {
        const uint16_t type = mnl_attr_get_type(attr);
        if (type == IFA_LOCAL && mnl_attr_get_payload_len(attr) == length)
            local = mnl_attr_get_payload(attr);
        else if (type == IFA_ADDRESS && mnl_attr_get_payload_len(attr) == length)
            address = mnl_attr_get_payload(attr);
        else if (type == IFA_FLAGS && mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
            flags = mnl_attr_get_u32(attr);
    }
    if (!local && !address)
        return 0;
    const uint8_t family = length == 4 ? 4 : 6;
    const bool peer = local && address && memcmp(local, address, length) != 0;
    const roam_ip ip = address_ip(family, local ? local : address, info->ifa_index);
    const roam_netlink_link *link = netlink_find_link(state, info->ifa_index);
    if (!link || !link->up || address_is_loopback(&ip) || (flags & IFA_F_DADFAILED))
        return 0;
    roam_net_addr *addrs = grow(state->addrs, state->naddrs, &state->addrs_cap, sizeof *addrs);
    if (!addrs)
        return ROAM_ENOMEM;
    state->addrs = addrs;
    uint32_t net = 0;
    if ((flags & IFA_F_TENTATIVE) && !(flags & IFA_F_OPTIMISTIC)) /* RFC 4429: optimistic ones may be used */
        net |= ROAM_NET_TENTATIVE;
    if (flags & IFA_F_DEPRECATED)
        net |= ROAM_NET_DEPRECATED;
    if (family == 6 && (flags & IFA_F_TEMPORARY)) /* the same bit means "secondary" for IPv4 */
        net |= ROAM_NET_TEMPORARY;
    addrs[state->naddrs++] = (roam_net_addr){
        .ip = ip,
        .prefix = peer ? (uint8_t)(length * 8) : info->ifa_prefixlen,
        .link = info->ifa_index,
        .flags = net,
        .metric = UINT32_MAX,
    };
    return 0;
}

/* Default routes, for the metric of their links. */
static int take_route(void *user, const struct nlmsghdr *message)
{
    roam_netlink_state *state = user;
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST ||
        (route->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD | RTNH_F_LINKDOWN)))
        return 0;
    const uint8_t family = route->rtm_family == AF_INET ? 4 : 6;
    const struct nlattr *multipath = NULL;
    roam_ip gateway = {0};
    uint32_t metric = 0, link = 0, table = route->rtm_table;
    const struct nlattr *attr;
    each_attr(attr, message, sizeof *route)
    {
        const uint16_t type = mnl_attr_get_type(attr);
        if (type == RTA_MULTIPATH)
            multipath = attr;
        else if (type == RTA_GATEWAY && mnl_attr_get_payload_len(attr) == (family == 4 ? 4u : 16u))
            gateway = address_ip(family, mnl_attr_get_payload(attr), 0);
        else if (mnl_attr_get_payload_len(attr) != sizeof(uint32_t))
            continue;
        else if (type == RTA_PRIORITY)
            metric = mnl_attr_get_u32(attr);
        else if (type == RTA_OIF)
            link = mnl_attr_get_u32(attr);
        else if (type == RTA_TABLE)
            table = mnl_attr_get_u32(attr);
    }
    if (metric == UINT32_MAX)
        metric--; /* UINT32_MAX says "none" */
    if (table != RT_TABLE_MAIN && table != RT_TABLE_DEFAULT)
        metric =
            metric < UINT32_MAX - 1 - NETLINK_METRIC_OTHER_TABLE ? metric + NETLINK_METRIC_OTHER_TABLE : UINT32_MAX - 1;
    if (link)
        set_default(state, family, link, metric, &gateway);
    if (!multipath)
        return 0;
    const char *at = mnl_attr_get_payload(multipath);
    size_t left = mnl_attr_get_payload_len(multipath);
    struct rtnexthop hop;
    while (left >= sizeof hop) {
        memcpy(&hop, at, sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left)
            break;
        if (!(hop.rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
            set_default(state, family, (uint32_t)hop.rtnh_ifindex, metric, &(roam_ip){0});
        const size_t step = RTNH_ALIGN(hop.rtnh_len);
        if (step >= left)
            break;
        at += step;
        left -= step;
    }
    return 0;
}

static void set_default(roam_netlink_state *state, uint8_t family, uint32_t link, uint32_t metric, const roam_ip *gateway)
{
    for (size_t i = 0; i < state->nlinks; i++) {
        roam_netlink_link *l = &state->links[i];
        uint32_t *of = family == 4 ? &l->metric4 : &l->metric6;
        if (l->index == link && metric < *of) {
            *of = metric;
            *(family == 4 ? &l->gateway4 : &l->gateway6) = *gateway;
        }
    }
}

/* ---- which network: its gateway ---- */

/* An address may be the same on two networks, a gateway's MAC is not. 0: the message does not tell it. */
static uint64_t neighbour_network(const struct nlmsghdr *message, uint32_t *link, roam_ip *ip)
{
    static const uint64_t seed[2] = {0, 0};
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    const size_t length = info->ndm_family == AF_INET ? 4 : 16;
    const struct nlattr *attr, *to = NULL, *mac = NULL;
    char text[16 + 32];
    if (message->nlmsg_type != RTM_NEWNEIGH || (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) ||
        (info->ndm_state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP)) || !info->ndm_state)
        return 0;
    each_attr(attr, message, sizeof *info)
    {
        const uint16_t type = mnl_attr_get_type(attr);
        if (type == NDA_DST && mnl_attr_get_payload_len(attr) == length)
            to = attr;
        else if (type == NDA_LLADDR && mnl_attr_get_payload_len(attr) <= 32)
            mac = attr;
    }
    if (!to || !mac || !mnl_attr_get_payload_len(mac))
        return 0;
    memcpy(text, mnl_attr_get_payload(to), length);
    memcpy(text + length, mnl_attr_get_payload(mac), mnl_attr_get_payload_len(mac));
    *link = (uint32_t)info->ndm_ifindex;
    *ip = address_ip(length == 4 ? 4 : 6, mnl_attr_get_payload(to), 0);
    const uint64_t hash = roam_siphash(seed, span_make(text, length + mnl_attr_get_payload_len(mac)));
    return hash ? hash : 1;
}

static bool same_host(const roam_ip *a, const roam_ip *b)
{
    return a->family == b->family && a->family && memcmp(a->bytes, b->bytes, address_length(a)) == 0;
}

static int take_neighbour(void *user, const struct nlmsghdr *message)
{
    roam_netlink_state *state = user;
    uint32_t link;
    roam_ip ip;
    const uint64_t network = neighbour_network(message, &link, &ip);
    for (size_t i = 0; network && i < state->nlinks; i++) {
        roam_netlink_link *l = &state->links[i];
        if (l->index == link && same_host(&ip, &l->gateway4))
            l->network4 = network;
        else if (l->index == link && same_host(&ip, &l->gateway6))
            l->network6 = network;
    }
    return 0;
}

static bool neighbour_news(const struct nlmsghdr *message, const roam_netlink_state *state)
{
    uint32_t link;
    roam_ip ip;
    const uint64_t network = neighbour_network(message, &link, &ip);
    for (size_t i = 0; network && i < state->nlinks; i++) {
        const roam_netlink_link *l = &state->links[i];
        if (l->index == link && ((same_host(&ip, &l->gateway4) && l->network4 != network) || (same_host(&ip, &l->gateway6) && l->network6 != network)))
            return true;
    }
    return false;
}

/* Addresses get the network and the metric of their link. Link-local ones lead nowhere by default. */
static void finish(roam_netlink_state *state)
{
    for (size_t i = 0; i < state->naddrs; i++) {
        roam_net_addr *addr = &state->addrs[i];
        const roam_netlink_link *link = netlink_find_link(state, addr->link);
        if (link)
            addr->network = addr->ip.family == 4 ? link->network4 : link->network6;
        if (link && !address_is_link_local(&addr->ip))
            addr->metric = addr->ip.family == 4 ? link->metric4 : link->metric6;
    }
}

/* ---- route queries ---- */

static int ask_some(roam_netlink *nl, roam_netlink_query *queries, size_t n)
{
    char *buffer = (char *)nl->request;
    const uint32_t base = nl->sequence + 1;
    size_t length = 0, open = 0;
    bool answered[QUERIES_A_SEND] = {false};
    for (size_t i = 0; i < n; i++) {
        roam_netlink_query *query = &queries[i];
        query->reachable = query->via_gateway = false;
        query->source = (roam_ip){0};
        query->link = 0;
        nl->sequence++;
        if (!address_length(&query->destination)) {
            answered[i] = true;
            continue;
        }
        put_query(buffer + length, query, base + (uint32_t)i);
        const struct nlmsghdr *put = (const struct nlmsghdr *)(const void *)(buffer + length);
        length += NLMSG_ALIGN((size_t)put->nlmsg_len);
        open++;
    }
    if (open && mnl_socket_sendto(nl->socket, buffer, length) < 0)
        return ROAM_EIO;
    while (open) {
        ssize_t got = receive(nl->socket, nl->reply, sizeof nl->reply);
        if (got < 0)
            return ROAM_EIO;
        int left = (int)got;
        for (const struct nlmsghdr *m = (const struct nlmsghdr *)nl->reply; mnl_nlmsg_ok(m, left);
             m = mnl_nlmsg_next(m, &left)) {
            const uint32_t i = m->nlmsg_seq - base;
            if (m->nlmsg_pid != nl->port || i >= n || answered[i])
                continue;
            answered[i] = true;
            open--;
            if (m->nlmsg_type == RTM_NEWROUTE) /* else NLMSG_ERROR: unreachable */
                take_answer(&queries[i], m);
        }
    }
    return 0;
}

/* At most 64 bytes: headers of 16 and 12, two attributes of at most 20 and 8. */
static void put_query(char *buffer, const roam_netlink_query *query, uint32_t sequence)
{
    const size_t length = address_length(&query->destination);
    const uint32_t through = address_is_link_local(&query->destination) ? query->destination.scope : query->through;
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST;
    request->nlmsg_seq = sequence;
    struct rtmsg *body = mnl_nlmsg_put_extra_header(request, sizeof *body);
    body->rtm_family = length == 4 ? AF_INET : AF_INET6;
    body->rtm_dst_len = (uint8_t)(length * 8);
    mnl_attr_put(request, RTA_DST, length, query->destination.bytes);
    if (through)
        mnl_attr_put_u32(request, RTA_OIF, through);
}

static void take_answer(roam_netlink_query *query, const struct nlmsghdr *message)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    const size_t length = address_length(&query->destination);
    const void *source = NULL;
    const struct nlattr *attr;
    each_attr(attr, message, sizeof *route)
    {
        const uint16_t type = mnl_attr_get_type(attr);
        if (type == RTA_PREFSRC && mnl_attr_get_payload_len(attr) == length)
            source = mnl_attr_get_payload(attr);
        else if (type == RTA_OIF && mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
            query->link = mnl_attr_get_u32(attr);
        else if (type == RTA_GATEWAY || type == RTA_VIA)
            query->via_gateway = true;
    }
    /* Blackhole, unreachable and prohibit routes exist as routes too; multicast and broadcast are no destinations for
     * SIP. */
    query->reachable = route->rtm_type == RTN_UNICAST || route->rtm_type == RTN_LOCAL;
    if (source)
        query->source = address_ip(length == 4 ? 4 : 6, source, query->link);
}

/* ---- small parts ---- */

/* Room for one more; NULL without memory, and then `array` is as it was. */
static void *grow(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    const size_t larger = *cap ? *cap * 2 : 16;
    void *moved = realloc(array, larger * size);
    if (moved)
        *cap = larger;
    return moved;
}

static ssize_t receive(const struct mnl_socket *socket, void *buffer, size_t size)
{
    ssize_t n;
    do
        n = mnl_socket_recvfrom(socket, buffer, size);
    while (n < 0 && errno == EINTR);
    return n;
}
