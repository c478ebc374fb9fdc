/*
 * A small router in user space that joins the network namespaces of the lab. One process: each port is a packet socket on the far end
 * of a veth pair whose near end is an interface of the agent, the server or the callee. Packets go to the port whose prefix covers their
 * destination, through the link (testbed/link.h) of the port they came in by and that of the port they leave by. Packet sockets on veth, not tun: they
 * need no device node, so an unprivileged user namespace is enough.
 *
 * Commands come as lines on stdin, each is answered by one line on stdout ("ok" or "error ..."):
 *   port NAME INTERFACE MAC [PCAP]   attach; MAC is that of the interface at the other end
 *   gateway NAME ADDRESS             answer ARP and neighbour solicitations for this address on the port
 *   route PREFIX/LEN NAME            forward by destination; the longest prefix wins
 *   unroute PREFIX/LEN NAME
 *   link NAME KEY VALUE...           both directions; KEY: delay, jitter (milliseconds), loss, reorder, duplicate (per cent),
 *                                    reorder-delay (milliseconds), bandwidth (kbit/s)
 *   source PREFIX/LEN NAME           drop what comes in by this port from another address (ingress filter, RFC 2827)
 *   router NAME MAC                  another router takes over at this port: it answers for the gateways with its own MAC address, and
 *                                    announces itself (gratuitous ARP, RFC 5227 section 3)
 *   down NAME | up NAME              a black hole, without notice to the other end
 *   count NAME                       answers "ok IN OUT DROPPED", packets
 *   flush                            writes the captures out
 */
#include "testbed/link.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORTS_MAX = 16, ROUTES_MAX = 64, GATEWAYS_MAX = 8, FRAME_MAX = 2048, ETH_LEN = 14, ARGS_MAX = 20 };
enum { ETHERTYPE_4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_6 = 0x86dd };

typedef struct address {
    uint8_t family; /* 4 or 6; 0: none */
    uint8_t bytes[16];
} address;

typedef struct prefix {
    address address;
    unsigned length;
} prefix;

typedef struct port {
    char name[32];
    int fd;
    uint8_t peer_mac[6], router_mac[6];
    address gateways[GATEWAYS_MAX];
    size_t ngateways;
    prefix sources[GATEWAYS_MAX]; /* none: any source may come in */
    size_t nsources;
    roam_link_config config;
    roam_link in, out; /* from the namespace, to the namespace */
    FILE *capture;
    uint64_t packets_in, packets_out, dropped;
} port;

typedef struct route {
    prefix to;
    size_t port;
} route;

static const uint8_t ROUTER_MAC[6] = {0x02, 0, 0, 0, 0, 0xfe};

static struct {
    port ports[PORTS_MAX];
    size_t nports;
    route routes[ROUTES_MAX];
    size_t nroutes;
    roam_mem mem;
    uint8_t seed[32];
} emulator;

static uint64_t now_ns(clockid_t clock);
static roam_time now_us(void);
static void receive(size_t index);
static void move_packets(void);
static roam_time next_deadline(void);
static bool command(const char *line);

int main(void)
{
    static char line[4096];
    size_t used = 0;
    mem_init(&emulator.mem, NULL);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    for (;;) {
        struct pollfd fds[PORTS_MAX + 1];
        for (size_t i = 0; i < emulator.nports; i++) {
            fds[i] = (struct pollfd){.fd = emulator.ports[i].fd, .events = POLLIN};
        }
        fds[emulator.nports] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        struct timespec wait, *timeout = NULL;
        roam_time due = next_deadline();
        if (due != ROAM_NEVER) {
            roam_time now = now_us(), left = due > now ? due - now : 0;
            wait = (struct timespec){.tv_sec = (time_t)(left / 1000000u), .tv_nsec = (long)(left % 1000000u * 1000u)};
            timeout = &wait;
        }
        size_t n = emulator.nports;
        int ready = ppoll(fds, (nfds_t)(n + 1), timeout, NULL);
        if (ready < 0 && errno != EINTR) {
            perror("emulator: poll");
            return 1;
        }
        move_packets();
        if (ready <= 0) {
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (fds[i].revents != 0) {
                receive(i);
            }
        }
        if (fds[n].revents != 0) {
            ssize_t got = read(STDIN_FILENO, line + used, sizeof line - 1 - used);
            if (got <= 0) {
                break; /* whoever started us is gone */
            }
            used += (size_t)got;
            line[used] = '\0';
            char *start = line, *end;
            while ((end = strchr(start, '\n')) != NULL) {
                *end = '\0';
                if (!command(start)) {
                    printf("error %s\n", start);
                }
                fflush(stdout);
                start = end + 1;
            }
            used = strlen(start);
            memmove(line, start, used + 1);
            if (used == sizeof line - 1) {
                used = 0;
            }
        }
        move_packets();
    }
    for (size_t i = 0; i < emulator.nports; i++) {
        if (emulator.ports[i].capture != NULL) {
            fclose(emulator.ports[i].capture);
        }
        link_free(&emulator.ports[i].in);
        link_free(&emulator.ports[i].out);
    }
    return 0;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static roam_time now_us(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000u;
}

/* ---- packets ---- */

static void capture(const port *p, uint64_t wall_ns, const uint8_t *bytes, size_t length)
{
    if (p->capture == NULL) {
        return;
    }
    uint32_t record[4] = {(uint32_t)(wall_ns / 1000000000u), (uint32_t)(wall_ns % 1000000000u), (uint32_t)length, (uint32_t)length};
    fwrite(record, sizeof record, 1, p->capture);
    fwrite(bytes, length, 1, p->capture);
}

static void send_frame(port *p, uint16_t ethertype, const uint8_t *bytes, size_t length)
{
    uint8_t frame[ETH_LEN + FRAME_MAX];
    memcpy(frame, p->peer_mac, 6);
    memcpy(frame + 6, p->router_mac, 6);
    frame[12] = (uint8_t)(ethertype >> 8);
    frame[13] = (uint8_t)ethertype;
    memcpy(frame + ETH_LEN, bytes, length);
    if (send(p->fd, frame, ETH_LEN + length, MSG_DONTWAIT) < 0) {
        p->dropped++; /* the interface is down, or its queue is full: a real link would lose it too */
    } else {
        p->packets_out++;
    }
}

static bool covers(const prefix *p, const address *to)
{
    if (p->address.family != to->family) {
        return false;
    }
    unsigned whole = p->length / 8, rest = p->length % 8;
    if (memcmp(p->address.bytes, to->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || ((p->address.bytes[whole] ^ to->bytes[whole]) >> (8 - rest)) == 0;
}

static port *route_to(const address *to)
{
    const route *best = NULL;
    for (size_t i = 0; i < emulator.nroutes; i++) {
        const route *r = &emulator.routes[i];
        if (covers(&r->to, to) && (best == NULL || r->to.length > best->to.length)) {
            best = r;
        }
    }
    return best == NULL ? NULL : &emulator.ports[best->port];
}

/* Source and destination of an IP packet that receive_frame() has checked. */
static void packet_addresses(const uint8_t *ip, address *from, address *to)
{
    bool four = ip[0] >> 4 == 4;
    from->family = to->family = four ? 4 : 6;
    memcpy(from->bytes, ip + (four ? 12 : 8), four ? 4 : 16);
    memcpy(to->bytes, ip + (four ? 16 : 24), four ? 4 : 16);
}

static bool source_allowed(const port *p, const address *from)
{
    for (size_t i = 0; i < p->nsources; i++) {
        if (covers(&p->sources[i], from)) {
            return true;
        }
    }
    return p->nsources == 0;
}

static void forward(port *from, roam_span packet, roam_time arrived)
{
    address source = {0}, target = {0};
    packet_addresses((const uint8_t *)packet.ptr, &source, &target);
    port *out = route_to(&target);
    if (out == NULL || out == from || !source_allowed(from, &source)) {
        from->dropped++;
    } else if (link_push(&out->out, arrived, packet) != ROAM_OK) {
        out->dropped++;
    }
}

static void move_packets(void)
{
    roam_span packet;
    roam_time due;
    for (size_t i = 0; i < emulator.nports; i++) {
        while (link_pop(&emulator.ports[i].in, now_us(), &packet, &due)) {
            forward(&emulator.ports[i], packet, due);
        }
    }
    for (size_t i = 0; i < emulator.nports; i++) {
        port *p = &emulator.ports[i];
        while (link_pop(&p->out, now_us(), &packet, NULL)) {
            const uint8_t *bytes = (const uint8_t *)packet.ptr;
            capture(p, now_ns(CLOCK_REALTIME), bytes, packet.len);
            send_frame(p, bytes[0] >> 4 == 4 ? ETHERTYPE_4 : ETHERTYPE_6, bytes, packet.len);
        }
    }
}

static roam_time next_deadline(void)
{
    roam_time first = ROAM_NEVER;
    for (size_t i = 0; i < emulator.nports; i++) {
        roam_time in = link_deadline(&emulator.ports[i].in), out = link_deadline(&emulator.ports[i].out);
        first = in < first ? in : first;
        first = out < first ? out : first;
    }
    return first;
}

static bool is_gateway(const port *p, const address *asked)
{
    for (size_t i = 0; i < p->ngateways; i++) {
        if (p->gateways[i].family == asked->family && memcmp(p->gateways[i].bytes, asked->bytes, asked->family == 4 ? 4 : 16) == 0) {
            return true;
        }
    }
    return false;
}

/* RFC 826: a request for a gateway is answered with the router's own address. */
static void answer_arp(port *p, const uint8_t *arp, size_t length)
{
    address asked = {.family = 4};
    if (length < 28 || arp[7] != 1) {
        return;
    }
    memcpy(asked.bytes, arp + 24, 4);
    if (!is_gateway(p, &asked)) {
        return;
    }
    uint8_t answer[28];
    memcpy(answer, arp, 6);
    answer[6] = 0;
    answer[7] = 2;
    memcpy(answer + 8, p->router_mac, 6);
    memcpy(answer + 14, arp + 24, 4);
    memcpy(answer + 18, arp + 8, 10);
    send_frame(p, ETHERTYPE_ARP, answer, sizeof answer);
}

static uint16_t checksum_icmp6(const uint8_t *ip, size_t payload)
{
    uint32_t sum = 58 + (uint32_t)payload;
    for (size_t i = 8; i < 40 + payload; i += 2) {
        sum += (uint32_t)(ip[i] << 8) | (i + 1 < 40 + payload ? ip[i + 1] : 0u);
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* RFC 4861 section 7.2.4: a neighbour solicitation for a gateway is answered; duplicate detection (no source) is left alone. True: consumed. */
static bool answer_neighbour(port *p, const uint8_t *ip, size_t length)
{
    if (length < 64 || ip[6] != 58 || ip[40] != 135) {
        return length >= 41 && ip[6] == 58 && ip[40] >= 133 && ip[40] <= 137;
    }
    static const uint8_t none[16];
    address asked = {.family = 6};
    memcpy(asked.bytes, ip + 48, 16);
    if (!is_gateway(p, &asked) || memcmp(ip + 8, none, 16) == 0) {
        return true;
    }
    uint8_t answer[72] = {0x60, 0, 0, 0, 0, 32, 58, 255};
    memcpy(answer + 8, ip + 48, 16);
    memcpy(answer + 24, ip + 8, 16);
    answer[40] = 136;
    answer[44] = 0xe0; /* router, solicited, override */
    memcpy(answer + 48, ip + 48, 16);
    answer[64] = 2;
    answer[65] = 1;
    memcpy(answer + 66, p->router_mac, 6);
    uint16_t sum = checksum_icmp6(answer, 32);
    answer[42] = (uint8_t)(sum >> 8);
    answer[43] = (uint8_t)sum;
    send_frame(p, ETHERTYPE_6, answer, sizeof answer);
    return true;
}

static void receive_frame(port *p, uint64_t wall, const uint8_t *frame, size_t length)
{
    if (length < ETH_LEN || !p->in.up) {
        p->dropped++;
        return;
    }
    uint16_t ethertype = (uint16_t)(frame[12] << 8 | frame[13]);
    const uint8_t *ip = frame + ETH_LEN;
    length -= ETH_LEN;
    if (ethertype == ETHERTYPE_ARP) {
        answer_arp(p, ip, length);
        return;
    }
    if (ethertype == ETHERTYPE_4 && length >= 20 && ip[0] >> 4 == 4) {
        size_t total = (size_t)(ip[2] << 8 | ip[3]);
        length = total >= 20 && total < length ? total : length; /* without the padding of short frames */
    } else if (ethertype == ETHERTYPE_6 && length >= 40 && ip[0] >> 4 == 6) {
        if (answer_neighbour(p, ip, length)) {
            return;
        }
    } else {
        p->dropped++;
        return;
    }
    p->packets_in++;
    capture(p, wall, ip, length);
    /* The delay counts from the moment the packet passed, not from when this process got to it. */
    uint64_t late = (now_ns(CLOCK_REALTIME) - wall) / 1000u;
    if (link_push(&p->in, now_us() - (late < 1000000u ? late : 0), (roam_span){(const char *)ip, length}) != ROAM_OK) {
        p->dropped++;
    }
}

static void receive(size_t index)
{
    port *p = &emulator.ports[index];
    for (int i = 0; i < 64; i++) {
        uint8_t frame[ETH_LEN + FRAME_MAX];
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(struct timespec))];
        } control;
        struct iovec data = {.iov_base = frame, .iov_len = sizeof frame};
        struct sockaddr_ll from = {0};
        struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t got = recvmsg(p->fd, &message, MSG_DONTWAIT);
        if (got < 0) {
            return; /* nothing more, or the interface went down */
        }
        if (from.sll_pkttype == PACKET_OUTGOING || (message.msg_flags & MSG_TRUNC) != 0) {
            continue;
        }
        uint64_t wall = now_ns(CLOCK_REALTIME);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
            uint64_t passed = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
            wall = passed < wall ? passed : wall;
        }
        receive_frame(p, wall, frame, (size_t)got);
    }
}

/* ---- commands ---- */

static port *port_named(const char *name)
{
    for (size_t i = 0; name != NULL && i < emulator.nports; i++) {
        if (strcmp(emulator.ports[i].name, name) == 0) {
            return &emulator.ports[i];
        }
    }
    return NULL;
}

static bool parse_address(const char *text, address *out)
{
    *out = (address){0};
    if (text != NULL && inet_pton(AF_INET, text, out->bytes) == 1) {
        out->family = 4;
    } else if (text != NULL && inet_pton(AF_INET6, text, out->bytes) == 1) {
        out->family = 6;
    }
    return out->family != 0;
}

static bool parse_prefix(const char *text, prefix *out)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text == NULL ? "" : text);
    char *slash = strchr(copy, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    *out = (prefix){.length = (unsigned)strtoul(slash + 1, NULL, 10)};
    return parse_address(copy, &out->address) && out->length <= (out->address.family == 4 ? 32u : 128u);
}

static FILE *capture_open(const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file != NULL) {
        /* pcap with nanoseconds, raw IP */
        const uint32_t head[6] = {0xa1b23c4d, 2 | 4u << 16, 0, 0, 65535, 101};
        fwrite(head, sizeof head, 1, file);
    }
    return file;
}

static bool parse_mac(const char *text, uint8_t out[6])
{
    unsigned b[6];
    if (text == NULL || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6) {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        out[i] = (uint8_t)b[i];
    }
    return true;
}

static void announce(port *p)
{
    for (size_t i = 0; i < p->ngateways; i++) {
        uint8_t arp[28] = {0, 1, 8, 0, 6, 4, 0, 2};
        if (p->gateways[i].family != 4) {
            continue;
        }
        memcpy(arp + 8, p->router_mac, 6);
        memcpy(arp + 14, p->gateways[i].bytes, 4);
        memset(arp + 18, 0xff, 6);
        memcpy(arp + 24, p->gateways[i].bytes, 4);
        send_frame(p, ETHERTYPE_ARP, arp, sizeof arp);
    }
}

static bool port_add(const char *name, const char *interface, const char *mac, const char *path)
{
    uint8_t peer_mac[6];
    if (name == NULL || interface == NULL || emulator.nports == PORTS_MAX || port_named(name) != NULL || !parse_mac(mac, peer_mac)) {
        return false;
    }
    port *p = &emulator.ports[emulator.nports];
    *p = (port){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};
    snprintf(p->name, sizeof p->name, "%s", name);
    memcpy(p->peer_mac, peer_mac, 6);
    memcpy(p->router_mac, ROUTER_MAC, 6);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(3 /* ETH_P_ALL */), .sll_ifindex = (int)if_nametoindex(interface)};
    int yes = 1, room = 16 << 20;
    if (p->fd < 0 || at.sll_ifindex == 0 || bind(p->fd, (struct sockaddr *)&at, sizeof at) < 0 ||
        setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) < 0) {
        fprintf(stderr, "emulator: %s: %s\n", interface, strerror(errno));
        if (p->fd >= 0) {
            close(p->fd);
        }
        return false;
    }
    /* Forced where we may, else as far as the limit goes. */
    if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) {
        (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    if (setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0) {
        (void)setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    if (path != NULL && (p->capture = capture_open(path)) == NULL) {
        close(p->fd);
        return false;
    }
    /* Each link draws from a sequence of its own, the same in each run. */
    emulator.seed[0] = (uint8_t)(2 * emulator.nports);
    bool good = link_init(&p->in, &emulator.mem, emulator.seed, &p->config) == ROAM_OK;
    emulator.seed[0]++;
    good = good && link_init(&p->out, &emulator.mem, emulator.seed, &p->config) == ROAM_OK;
    assert(good); /* nothing is configured that could be refused */
    emulator.nports++;
    return true;
}

static bool route_change(const char *text, const port *p, bool add)
{
    route changed = {.port = (size_t)(p - emulator.ports)};
    if (!parse_prefix(text, &changed.to)) {
        return false;
    }
    for (size_t i = 0; i < emulator.nroutes; i++) {
        const route *at = &emulator.routes[i];
        if (at->port == changed.port && at->to.length == changed.to.length && covers(&at->to, &changed.to.address)) {
            if (!add) {
                emulator.routes[i] = emulator.routes[--emulator.nroutes];
            }
            return true;
        }
    }
    if (add && emulator.nroutes < ROUTES_MAX) {
        emulator.routes[emulator.nroutes++] = changed;
        return true;
    }
    return false;
}

static bool link_value(roam_link_config *config, const char *key, double value)
{
    roam_time ms = (roam_time)(value * 1000.0);
    uint32_t ppm = (uint32_t)(value * (LINK_PPM / 100.0));
    if (value < 0 || value > 1e6) {
        return false;
    }
    if (strcmp(key, "delay") == 0) {
        config->delay = ms;
    } else if (strcmp(key, "jitter") == 0) {
        config->jitter = ms;
    } else if (strcmp(key, "reorder-delay") == 0) {
        config->reorder_delay = ms;
    } else if (strcmp(key, "loss") == 0) {
        config->loss_ppm = ppm;
    } else if (strcmp(key, "reorder") == 0) {
        config->reorder_ppm = ppm;
    } else if (strcmp(key, "duplicate") == 0) {
        config->duplicate_ppm = ppm;
    } else if (strcmp(key, "bandwidth") == 0) {
        config->bandwidth = (uint64_t)(value * 1000.0);
    } else {
        return false;
    }
    return true;
}

static bool link_change(port *p, char *const *args)
{
    roam_link_config config = p->config;
    for (; args[0] != NULL; args += 2) {
        char *end = NULL;
        if (args[1] == NULL || !link_value(&config, args[0], strtod(args[1], &end)) || *end != '\0') {
            return false;
        }
    }
    if (link_configure(&p->in, &config) != ROAM_OK || link_configure(&p->out, &config) != ROAM_OK) {
        (void)link_configure(&p->in, &p->config);
        return false;
    }
    p->config = config;
    return true;
}

static bool command_port(const char *verb, port *p, char *const *args)
{
    if (strcmp(verb, "link") == 0) {
        return link_change(p, args);
    }
    if (strcmp(verb, "gateway") == 0) {
        address at;
        if (p->ngateways == GATEWAYS_MAX || !parse_address(args[0], &at)) {
            return false;
        }
        p->gateways[p->ngateways++] = at;
        return true;
    }
    if (strcmp(verb, "router") == 0) {
        if (!parse_mac(args[0], p->router_mac)) {
            return false;
        }
        announce(p);
        return true;
    }
    if (strcmp(verb, "down") == 0 || strcmp(verb, "up") == 0) {
        link_set_up(&p->in, verb[0] == 'u', false); /* what left before is past the first hop */
        link_set_up(&p->out, verb[0] == 'u', true);
        return true;
    }
    return false;
}

static bool source_add(const char *text, port *p)
{
    return p->nsources < GATEWAYS_MAX && parse_prefix(text, &p->sources[p->nsources]) && ++p->nsources != 0;
}

static bool flush(void)
{
    bool good = true;
    for (size_t i = 0; i < emulator.nports; i++) {
        good = (emulator.ports[i].capture == NULL || fflush(emulator.ports[i].capture) == 0) && good;
    }
    return good;
}

static bool command(const char *line)
{
    char copy[1024], *args[ARGS_MAX + 1] = {0}, *save = NULL;
    size_t length = strlen(line);
    if (length >= sizeof copy) {
        return false;
    }
    memcpy(copy, line, length + 1);
    const char *verb = strtok_r(copy, " \r", &save);
    for (size_t i = 0; verb != NULL && i < ARGS_MAX && (args[i] = strtok_r(NULL, " \r", &save)) != NULL; i++) {
    }
    if (verb == NULL) {
        return false;
    }
    port *first = port_named(args[0]), *second = port_named(args[1]);
    bool good;
    if (strcmp(verb, "port") == 0) {
        good = port_add(args[0], args[1], args[2], args[3]);
    } else if (strcmp(verb, "flush") == 0) {
        good = flush();
    } else if (strcmp(verb, "route") == 0 || strcmp(verb, "unroute") == 0) {
        good = second != NULL && route_change(args[0], second, verb[0] == 'r');
    } else if (strcmp(verb, "source") == 0) {
        good = second != NULL && source_add(args[0], second);
    } else if (strcmp(verb, "count") == 0 && first != NULL) {
        printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", first->packets_in, first->packets_out, first->dropped);
        return true;
    } else {
        good = first != NULL && command_port(verb, first, args + 1);
    }
    if (good) {
        puts("ok");
    }
    return good;
}
