/* UDP sockets on a libuv loop, as plain sockets watched with uv_poll: libuv's own UDP handles queue what cannot be
 * sent, and a late SIP or RTP packet is worth less than none. */
#include "edge/udp.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "edge/address.h"

enum {
    DATAGRAM_MAX = 65536,         /* no UDP datagram is longer */
    BATCH = 16,                   /* datagrams a system call */
    BATCHES_A_TURN = 4,           /* then other sockets get their turn; the loop calls again for the rest */
    SIP_BUFFER = 4 * 1024 * 1024, /* a thousand REGISTERs leave, and are challenged, in one burst */
    RTP_BUFFER = 256 * 1024
};

typedef struct roam_udp_socket {
    uv_poll_t poll; /* first: it is what libuv frees through */
    roam_map_node node;
    roam_udp *udp; /* NULL once closed */
    uint32_t id;
    uint32_t link;
    int fd;
} roam_udp_socket;

struct roam_udp {
    uv_loop_t *loop;
    roam_udp_events events;
    const roam_tracer *trace;
    roam_mem mem;
    roam_map sockets; /* by id */
    roam_udp_counters counters;
    char *buffer; /* BATCH datagrams; the pages of long ones are touched only when they come */
};

static roam_udp_socket *find(const roam_udp *udp, uint32_t id);
static int open_bound(const roam_addr *local, uint32_t link, roam_socket_purpose purpose, roam_addr *bound);
static void bind_to_link(int fd, uint32_t link);
static void on_poll(uv_poll_t *poll, int status, int events);
static int receive_batch(roam_udp *udp, roam_udp_socket *s);
static void close_socket(roam_udp_socket *s);
static void on_closed(uv_handle_t *handle);
static void count_drop(roam_udp *udp, uint64_t *counter, const char *why, const roam_addr *remote);

roam_udp *udp_new(uv_loop_t *loop, const roam_udp_events *events, const roam_tracer *trace)
{
    static const uint64_t seed[2] = {0, 0}; /* the keys are our own counter, no peer chooses them */
    roam_udp *udp = calloc(1, sizeof *udp);
    if (!udp)
        return NULL;
    udp->buffer = malloc((size_t)BATCH * DATAGRAM_MAX);
    if (!udp->buffer) {
        free(udp);
        return NULL;
    }
    udp->loop = loop;
    udp->events = *events;
    udp->trace = trace;
    mem_init(&udp->mem, NULL);
    map_init(&udp->sockets, &udp->mem, seed);
    return udp;
}

void udp_free(roam_udp *udp)
{
    if (!udp)
        return;
    map_each (s, &udp->sockets, roam_udp_socket, node)
        close_socket(s);
    map_free(&udp->sockets);
    free(udp->buffer);
    free(udp);
}

int udp_open(roam_udp *udp, uint32_t id, const roam_addr *local, uint32_t link, roam_socket_purpose purpose,
             roam_addr *bound)
{
    if (find(udp, id))
        return ROAM_EINVAL;
    int fd = open_bound(local, link, purpose, bound);
    if (fd < 0)
        return fd;
    roam_udp_socket *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return ROAM_ENOMEM;
    }
    s->udp = udp;
    s->id = id;
    s->link = link;
    s->fd = fd;
    map_node_init(&s->node);
    if (uv_poll_init_socket(udp->loop, &s->poll, fd) != 0) {
        close(fd);
        free(s);
        return ROAM_EIO;
    }
    int err = map_insert(&udp->sockets, &s->node, span_make((const char *)&s->id, sizeof s->id));
    if (!err && uv_poll_start(&s->poll, UV_READABLE, on_poll) != 0)
        err = ROAM_EIO;
    if (err)
        close_socket(s);
    return err;
}

void udp_send(roam_udp *udp, uint32_t id, const roam_addr *remote, roam_span bytes)
{
    roam_udp_socket *s = find(udp, id);
    struct sockaddr_storage to;
    socklen_t length = s ? address_to_sockaddr(remote, s->link, &to) : 0;
    if (!length) {
        count_drop(udp, &udp->counters.send_stray, s ? "no destination" : "no such socket", remote);
        return;
    }
    ssize_t sent;
    do
        sent = sendto(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to, length);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        udp->counters.sent++;
        return;
    }
    int err = errno;
    if (err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS) {
        count_drop(udp, &udp->counters.send_full, "send buffer full", remote);
        return;
    }
    count_drop(udp, &udp->counters.send_errors, strerror(err), remote);
    if (err != EMSGSIZE) /* says something about the datagram, nothing about the path */
        udp->events.error(udp->events.user, id, remote);
}

void udp_close(roam_udp *udp, uint32_t id)
{
    roam_udp_socket *s = find(udp, id);
    if (s)
        close_socket(s);
}

const roam_udp_counters *udp_counters(const roam_udp *udp)
{
    return &udp->counters;
}

static roam_udp_socket *find(const roam_udp *udp, uint32_t id)
{
    roam_map_node *node = map_find(&udp->sockets, span_make((const char *)&id, sizeof id));
    return node ? container_of(node, roam_udp_socket, node) : NULL;
}

/* A descriptor, or a roam_err. */
static int open_bound(const roam_addr *local, uint32_t link, roam_socket_purpose purpose, roam_addr *bound)
{
    struct sockaddr_storage sa;
    socklen_t length = address_to_sockaddr(local, link, &sa);
    if (!length)
        return ROAM_EINVAL;
    int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0)
        return ROAM_EIO;
    int on = 1;
    if (sa.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    /* The OS gives as much of it as it allows. */
    int size = purpose == ROAM_SOCKET_SIP ? SIP_BUFFER : RTP_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    bind_to_link(fd, link);
    int err = 0;
    if (bind(fd, (const struct sockaddr *)&sa, length) != 0) {
        err = errno == EADDRINUSE ? ROAM_EBUSY : ROAM_EIO;
    } else {
        length = sizeof sa;
        if (getsockname(fd, (struct sockaddr *)&sa, &length) != 0 ||
            !address_from_sockaddr((const struct sockaddr *)&sa, bound))
            err = ROAM_EIO;
    }
    if (err) {
        close(fd);
        return err;
    }
    return fd;
}

/* Keeps packets of this path on its link even while the default route points elsewhere: without it the old path is lost
 * at the moment the route moves, and there is no make-before-break. Allowed to everybody since Linux 5.7; where it is
 * not, the source address alone has to do. Not on the loopback link: a path from there is also reached from outside. */
static void bind_to_link(int fd, uint32_t link)
{
#ifdef SO_BINDTODEVICE
    char name[IF_NAMESIZE];
    if (link && if_indextoname(link, name) && strcmp(name, "lo") != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name));
#else
    (void)fd, (void)link;
#endif
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    roam_udp_socket *s = container_of(poll, roam_udp_socket, poll);
    roam_udp *udp = s->udp;
    (void)events;
    if (status < 0) {
        /* libuv stopped watching because of a pending error. Reading it clears it. */
        int err = 0;
        socklen_t length = sizeof err;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &length);
        bool dead = uv_poll_start(&s->poll, UV_READABLE, on_poll) != 0;
        trace_note(udp->trace, "udp", s->id, dead ? "socket lost" : err ? strerror(err) : "socket error");
        udp->events.error(udp->events.user, s->id, NULL);
        udp->events.batch_end(udp->events.user);
        return;
    }
    for (int i = 0; i < BATCHES_A_TURN && s->udp; i++) {
        int n = receive_batch(udp, s);
        if (n)
            udp->events.batch_end(udp->events.user);
        if (n < BATCH)
            break;
    }
}

/* How many came; less than BATCH when there are no more. */
static int receive_batch(roam_udp *udp, roam_udp_socket *s)
{
    struct sockaddr_storage from[BATCH];
    struct iovec iov[BATCH];
    struct mmsghdr messages[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){udp->buffer + i * DATAGRAM_MAX, DATAGRAM_MAX};
        messages[i].msg_hdr =
            (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &iov[i], .msg_iovlen = 1};
        messages[i].msg_len = 0;
    }
    int n;
    do
        n = recvmmsg(s->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            trace_note(udp->trace, "udp", s->id, strerror(errno));
            udp->events.error(udp->events.user, s->id, NULL);
        }
        return 0;
    }
    for (int i = 0; i < n && s->udp; i++) { /* what came first may have closed this socket */
        roam_addr remote;
        if (!address_from_sockaddr((const struct sockaddr *)&from[i], &remote))
            continue;
        if (messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            count_drop(udp, &udp->counters.truncated, "datagram too long", &remote);
            continue;
        }
        udp->counters.received++;
        udp->events.receive(udp->events.user, s->id, &remote, span_make(iov[i].iov_base, messages[i].msg_len));
    }
    return n;
}

/* The descriptor goes at once, so that its port can be taken again in the same turn. */
static void close_socket(roam_udp_socket *s)
{
    assert(s->udp);
    map_remove(&s->udp->sockets, &s->node);
    s->udp = NULL;
    uv_close((uv_handle_t *)&s->poll, on_closed);
    close(s->fd);
    s->fd = -1;
}

static void on_closed(uv_handle_t *handle)
{
    free(container_of((uv_poll_t *)(void *)handle, roam_udp_socket, poll));
}

/* A flood of drops writes few records: the 1st, 2nd, 4th, 8th, ... */
static void count_drop(roam_udp *udp, uint64_t *counter, const char *why, const roam_addr *remote)
{
    uint64_t n = ++*counter;
    if ((n & (n - 1)) == 0)
        trace_dropped(udp->trace, "udp", why, remote, span_make(NULL, 0));
}
