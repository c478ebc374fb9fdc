/* roam in a program with a loop of its own: the core alone (core.h), without libuv. The program owns the sockets, asks
 * the core how long it may sleep, and tells it what the networks look like.
 *
 *     ROAM_PASSWORD=secret own_loop sip:alice@example.com        registers, answers calls with a tone, ends with
 * Control-D
 *
 * It is the whole of what a platform has to do that roam does not know: carry_out() and gather_networks(). Here the
 * picture of the networks is taken once a second with getifaddrs(); a real platform is told of changes and calls at
 * once. */
#include <roam/core.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SOCKETS_MAX = 64, ADDRS_MAX = 32, STDIN = 0 };

typedef struct host {
    roam_ua *ua;
    struct pollfd fds[1 + SOCKETS_MAX]; /* [0] is the terminal */
    uint32_t ids[1 + SOCKETS_MAX];      /* the core's number of each */
    nfds_t nfds;
    bool done;
} host;

static roam_time now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (roam_time)t.tv_sec * 1000000u + (roam_time)t.tv_nsec / 1000u;
}

static socklen_t to_sockaddr(const roam_addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->ip.family == 4) {
        struct sockaddr_in *sin = (struct sockaddr_in *)out;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(addr->port);
        memcpy(&sin->sin_addr, addr->ip.bytes, 4);
        return sizeof *sin;
    }
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)out;
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(addr->port);
    sin6->sin6_scope_id = addr->ip.scope;
    memcpy(&sin6->sin6_addr, addr->ip.bytes, 16);
    return sizeof *sin6;
}

static roam_addr from_sockaddr(const struct sockaddr *in)
{
    roam_addr addr = {0};
    if (in->sa_family == AF_INET) {
        const struct sockaddr_in *sin = (const struct sockaddr_in *)(const void *)in;
        addr.ip.family = 4;
        addr.port = ntohs(sin->sin_port);
        memcpy(addr.ip.bytes, &sin->sin_addr, 4);
    } else if (in->sa_family == AF_INET6) {
        const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)in;
        addr.ip.family = 6;
        addr.port = ntohs(sin6->sin6_port);
        memcpy(addr.ip.bytes, &sin6->sin6_addr, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr))
            addr.ip.scope = sin6->sin6_scope_id;
    }
    return addr;
}

static nfds_t slot_of(const host *h, uint32_t id)
{
    nfds_t i = 1;
    while (i < h->nfds && h->ids[i] != id)
        i++;
    return i; /* nfds: none */
}

/* ROAM_OUTPUT_SOCKET_OPEN: a UDP socket bound to exactly this address, and the answer whether it worked. */
static void open_socket(host *h, const roam_output *output)
{
    struct sockaddr_storage sa;
    socklen_t length = to_sockaddr(&output->local, &sa);
    const uint32_t id = output->socket;
    roam_addr bound = output->local;
    int err = ROAM_EIO, fd = socket(sa.ss_family, SOCK_DGRAM, 0), on = 1;
    if (fd >= 0 && h->nfds <= SOCKETS_MAX && fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
        if (sa.ss_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        if (bind(fd, (struct sockaddr *)&sa, length) == 0) {
            length = sizeof sa;
            getsockname(fd, (struct sockaddr *)&sa, &length);
            bound = from_sockaddr((struct sockaddr *)&sa);
            h->fds[h->nfds] = (struct pollfd){.fd = fd, .events = POLLIN};
            h->ids[h->nfds++] = id;
            err = 0;
        } else if (errno == EADDRINUSE) {
            err = ROAM_EBUSY;
        }
    }
    if (err && fd >= 0)
        close(fd);
    roam_ua_socket_opened(h->ua, now_us(), id, err, &bound);
}

static void close_socket(host *h, uint32_t id)
{
    const nfds_t i = slot_of(h, id);
    if (i == h->nfds)
        return;
    close(h->fds[i].fd);
    h->nfds--;
    h->fds[i] = h->fds[h->nfds];
    h->ids[i] = h->ids[h->nfds];
}

static void send_datagram(host *h, const roam_output *output)
{
    struct sockaddr_storage to;
    const nfds_t i = slot_of(h, output->socket);
    socklen_t length = to_sockaddr(&output->remote, &to);
    if (i == h->nfds)
        return;
    if (sendto(h->fds[i].fd, output->bytes.ptr, output->bytes.len, 0, (struct sockaddr *)&to, length) < 0 &&
        errno != EAGAIN)
        roam_ua_socket_error(h->ua, now_us(), output->socket, &output->remote);
}

/* Blocks while DNS works: good enough for an example, not for a program that has other things to do. */
static void resolve(host *h, const roam_output *output)
{
    char name[256];
    roam_ip ips[8];
    size_t n = 0;
    const uint32_t query = output->query;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    snprintf(name, sizeof name, "%.*s", (int)output->bytes.len, output->bytes.ptr);
    if (getaddrinfo(name, NULL, &hints, &found) == 0)
        for (struct addrinfo *a = found; a && n < 8; a = a->ai_next)
            ips[n++] = from_sockaddr(a->ai_addr).ip;
    if (found)
        freeaddrinfo(found);
    roam_ua_resolved(h->ua, now_us(), query, ips, n);
}

static void tell(host *h, const roam_event *event)
{
    printf("%s", roam_event_type_text(event->type));
    if (event->type == ROAM_EVENT_REGISTRATION)
        printf(" %s", roam_registration_state_text(event->registration));
    if (event->type == ROAM_EVENT_CALL_STATE)
        printf(" %s", roam_call_state_text(event->call_state));
    if (event->type == ROAM_EVENT_IP_CHANGE_PROGRESS)
        printf(" %s", roam_ip_change_op_text(event->op));
    printf(" %s\n", event->reason);
    if (event->type == ROAM_EVENT_CALL_INCOMING) {
        roam_call_options options = {.source = roam_tone_source(440)};
        roam_call_answer(h->ua, event->call, &options);
    }
    if (event->type == ROAM_EVENT_SHUTDOWN_DONE)
        h->done = true;
}

static void carry_out(host *h, const roam_output *output)
{
    switch (output->type) {
    case ROAM_OUTPUT_SEND: send_datagram(h, output); break;
    case ROAM_OUTPUT_SOCKET_OPEN: open_socket(h, output); break;
    case ROAM_OUTPUT_SOCKET_CLOSE: close_socket(h, output->socket); break;
    case ROAM_OUTPUT_RESOLVE: resolve(h, output); break;
    case ROAM_OUTPUT_EVENT: tell(h, &output->event); break;
    case ROAM_OUTPUT_ROUTE_WATCH: /* never, as route_answers is false */
    case ROAM_OUTPUT_ROUTE_UNWATCH: break;
    }
}

static uint8_t prefix_length(const struct sockaddr *mask)
{
    const roam_addr addr = from_sockaddr(mask);
    uint8_t bits = 0;
    while (bits < 128 && addr.ip.bytes[bits / 8] & (0x80 >> bits % 8))
        bits++;
    return bits;
}

/* The addresses of the links that work. Loopback is left out: the agent is for the world outside. The first link wins.
 */
static void gather_networks(host *h)
{
    roam_net_addr addrs[ADDRS_MAX];
    roam_network network = {.addrs = addrs};
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0)
        return;
    for (struct ifaddrs *a = list; a && network.naddrs < ADDRS_MAX; a = a->ifa_next) {
        const bool works = (a->ifa_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
        const roam_addr addr = a->ifa_addr ? from_sockaddr(a->ifa_addr) : (roam_addr){.port = 0};
        if (!works || !addr.ip.family || addr.ip.scope || !a->ifa_netmask)
            continue;
        const uint32_t link = if_nametoindex(a->ifa_name);
        const uint32_t metric = a->ifa_flags & IFF_LOOPBACK ? UINT32_MAX : link; /* no way out: for this machine only */
        addrs[network.naddrs++] =
            (roam_net_addr){.ip = addr.ip, .prefix = prefix_length(a->ifa_netmask), .link = link, .metric = metric};
    }
    freeifaddrs(list);
    roam_network_update(h->ua, now_us(), &network); /* an identical picture costs nothing */
}

static void receive(host *h, nfds_t i)
{
    static char datagram[65536];
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(h->fds[i].fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &length);
    if (n < 0)
        return;
    const roam_addr remote = from_sockaddr((struct sockaddr *)&from);
    roam_ua_receive(h->ua, now_us(), h->ids[i], &remote, (roam_span){datagram, (size_t)n});
}

static void drain(host *h)
{
    roam_output output;
    while (roam_ua_poll(h->ua, &output))
        carry_out(h, &output);
}

int main(int argc, char **argv)
{
    host h = {.fds[0] = {.fd = STDIN, .events = POLLIN}, .nfds = 1};
    roam_ua_config config;
    roam_ua_config_default(&config);
    config.route_answers = false; /* we give pictures, the core chooses by prefix and metric */
    if (argc != 2 || getrandom(config.seed, sizeof config.seed, 0) != (ssize_t)sizeof config.seed)
        return 2;
    roam_account_config account;
    roam_account_config_default(&account);
    account.aor = argv[1];
    account.registrar = argv[1];
    account.password = getenv("ROAM_PASSWORD");
    h.ua = roam_ua_new(&config);
    if (!h.ua)
        return 1;
    roam_ua_advance(h.ua, now_us());
    gather_networks(&h);
    if (roam_account_add(h.ua, &account, NULL) != ROAM_OK)
        return 1;
    roam_time look = now_us() + ROAM_SECONDS(1);
    drain(&h);
    while (!h.done) {
        roam_time until = roam_ua_deadline(h.ua), now = now_us();
        until = until < look ? until : look;
        poll(h.fds, h.nfds, until > now ? (int)((until - now + 999) / 1000) : 0);
        now = now_us();
        roam_ua_advance(h.ua, now);
        if (now >= look) {
            gather_networks(&h);
            look = now + ROAM_SECONDS(1);
        }
        char line[256];
        if (h.fds[0].revents && read(STDIN, line, sizeof line) <= 0) {
            h.fds[0].fd = -1; /* poll() passes over it */
            roam_ua_shutdown(h.ua);
        }
        for (nfds_t i = h.nfds; i-- > 1;) /* backwards: nothing is closed before drain() */
            if (h.fds[i].revents)
                receive(&h, i);
        drain(&h);
    }
    while (h.nfds > 1)
        close_socket(&h, h.ids[h.nfds - 1]);
    roam_ua_free(h.ua);
    return 0;
}
