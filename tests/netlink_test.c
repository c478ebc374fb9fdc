/* edge/monitor_linux.c: the pictures that arrive when real links, addresses, routes and rules of a kernel change. Each
 * test has a network namespace of its own; where that is not permitted all are skipped, with the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/span.h"
#include "edge/monitor.h"

enum { ADDRS_MAX = 64, ROUTES_MAX = 1024, GUARD_MS = 30000 };

/* A monitor on a loop, and the last picture that it handed over. */
typedef struct world {
    uv_loop_t loop;
    uv_timer_t guard;
    roam_monitor *monitor;
    roam_net_addr addrs[ADDRS_MAX];
    roam_net_route routes[ROUTES_MAX];
    size_t naddrs, nroutes;
    unsigned pictures;
} world;

typedef bool expectation(const world *w);

static const char *no_namespace; /* why not, or NULL */

/* ---- the kernel's side ---- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Into a user namespace in which we may change networks; root needs none. */
static const char *enter_namespace(void)
{
    char map[64];
    if (access("/usr/sbin/ip", X_OK) != 0 && access("/sbin/ip", X_OK) != 0 && access("/usr/bin/ip", X_OK) != 0)
        return "iproute2 is not installed";
    const unsigned uid = geteuid(), gid = getegid();
    if (unshare(CLONE_NEWNET) == 0)
        return NULL;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return "network namespaces are not permitted here";
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    bool ok = write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    return ok && write_file("/proc/self/gid_map", map) ? NULL : "the user namespace cannot be mapped";
}

/* Starts `ip -batch` with these lines; `input` may be long. */
static pid_t ip_start(const char *input)
{
    int in[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(in[0], STDIN_FILENO);
        execlp("ip", "ip", "-batch", "-", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    for (size_t at = 0, length = strlen(input); child > 0 && at < length;) {
        ssize_t n = write(in[1], input + at, length - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(in[1]);
    assert_true(child > 0);
    return child;
}

static void ip_wait(pid_t child, const char *input)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        fail_msg("ip refused: %s", input);
}

static void ip(const char *input)
{
    ip_wait(ip_start(input), input);
}

/* Two ways out: links a0 and b0 with an address each, a0 preferred. Their other ends are in the same namespace, down
 * the wire. */
static void two_networks(void)
{
    ip("link add a0 type veth peer name a1\n"
       "link add b0 type veth peer name b1\n"
       "link set a0 addrgenmode none\nlink set a1 addrgenmode none\n"
       "link set b0 addrgenmode none\nlink set b1 addrgenmode none\n"
       "link set a1 up\nlink set a0 up\nlink set b1 up\nlink set b0 up\n"
       "addr add 10.1.0.2/24 dev a0\naddr add 10.2.0.2/24 dev b0\n"
       "route add default via 10.1.0.1 metric 100\nroute add default via 10.2.0.1 metric 200\n");
}

/* ---- the monitor's side ---- */

static roam_ip address(const char *text)
{
    roam_ip addr;
    assert_int_equal(roam_ip_parse(span_of(text), &addr), 0);
    return addr;
}

static void on_picture(void *user, const roam_network *network)
{
    world *w = user;
    assert_true(network->naddrs <= ADDRS_MAX && network->nroutes <= ROUTES_MAX);
    if (network->naddrs)
        memcpy(w->addrs, network->addrs, network->naddrs * sizeof *w->addrs);
    if (network->nroutes)
        memcpy(w->routes, network->routes, network->nroutes * sizeof *w->routes);
    w->naddrs = network->naddrs;
    w->nroutes = network->nroutes;
    w->pictures++;
}

static void on_guard(uv_timer_t *timer)
{
    bool *expired = timer->data;
    *expired = true;
}

/* Runs the loop until the picture is as expected. The guard turns a hang into a failure that says what was awaited. */
static void await_(world *w, expectation *expected, const char *what)
{
    bool expired = false;
    w->guard.data = &expired;
    uv_timer_start(&w->guard, on_guard, GUARD_MS, 0);
    while (!expected(w) && !expired)
        uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->guard);
    if (!expected(w)) {
        for (size_t i = 0; i < w->naddrs; i++) {
            char text[ROAM_ADDR_TEXT_MAX];
            roam_ip_format(&w->addrs[i].ip, text);
            print_message("  %s link %u flags %u metric %u\n", text, w->addrs[i].link, w->addrs[i].flags,
                          w->addrs[i].metric);
        }
        fail_msg("never came: %s", what);
    }
}
#define await(w, expected) await_(w, expected, #expected)

/* What is queued now; the kernel queues the events of a command before the command returns. */
static void settle(world *w)
{
    for (int i = 0; i < 5; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* The source of a destination in the last picture as text, "" for unreachable, NULL where there is no answer. */
static const char *source_of(const world *w, const char *destination)
{
    static char text[ROAM_ADDR_TEXT_MAX];
    const roam_ip to = address(destination);
    for (size_t i = 0; i < w->nroutes; i++) {
        if (!roam_ip_equal(&w->routes[i].destination, &to))
            continue;
        if (!w->routes[i].source.family)
            return "";
        roam_ip_format(&w->routes[i].source, text);
        return text;
    }
    return NULL;
}

static bool leads(const world *w, const char *destination, const char *source)
{
    const char *now = source_of(w, destination);
    return now && strcmp(now, source) == 0;
}

static const roam_net_addr *listed(const world *w, const char *text)
{
    const roam_ip ip_ = address(text);
    for (size_t i = 0; i < w->naddrs; i++)
        if (roam_ip_equal(&w->addrs[i].ip, &ip_))
            return &w->addrs[i];
    return NULL;
}

static char *watch(world *w, const char *destination)
{
    static char text[ROAM_ADDR_TEXT_MAX];
    const roam_ip to = address(destination);
    roam_net_route route;
    assert_int_equal(monitor_watch(w->monitor, &to, &route), 0);
    assert_true(roam_ip_equal(&route.destination, &to));
    text[0] = '\0';
    if (route.source.family)
        roam_ip_format(&route.source, text);
    return text;
}

static int set_up(void **state)
{
    if (no_namespace)
        return 0;
    if (unshare(CLONE_NEWNET) != 0)
        return -1;
    world *w = calloc(1, sizeof *w);
    if (!w || uv_loop_init(&w->loop) != 0 || uv_timer_init(&w->loop, &w->guard) != 0)
        return -1;
    ip("link set lo up\n");
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    if (no_namespace)
        return 0;
    monitor_free(w->monitor);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&w->loop);
    free(w);
    return left;
}

static world *begin(void **state)
{
    if (no_namespace) {
        print_message("skipped: %s\n", no_namespace);
        skip();
    }
    world *w = *state;
    return w;
}

static void start(world *w)
{
    assert_int_equal(monitor_new(&w->loop, on_picture, w, NULL, &w->monitor), 0);
    assert_int_equal(monitor_start(w->monitor), 0);
    assert_int_equal(w->pictures, 1);
}

/* ---- what arrives ---- */

static bool far_is_unreachable(const world *w)
{
    return leads(w, "198.51.100.1", "");
}

static bool far_by_a(const world *w)
{
    return leads(w, "198.51.100.1", "10.1.0.2");
}

static bool far_by_b(const world *w)
{
    return leads(w, "198.51.100.1", "10.2.0.2");
}

static void address_goes(void **state)
{
    /* One network, then its address is removed: the picture has neither the address nor a route, at once. With the
     * address, but without a route, the destination stays unreachable; with both it is back. */
    world *w = begin(state);
    start(w);
    assert_int_equal(w->naddrs, 0);
    assert_string_equal(watch(w, "198.51.100.1"), "");
    ip("link add a0 type veth peer name a1\nlink set a1 up\nlink set a0 up\n"
       "addr add 10.1.0.2/24 dev a0\nroute add default via 10.1.0.1\n");
    await(w, far_by_a);
    const roam_net_addr *addr = listed(w, "10.1.0.2");
    assert_non_null(addr);
    assert_int_equal(addr->prefix, 24);
    assert_int_equal(addr->link, if_nametoindex("a0"));
    assert_int_equal(addr->flags, 0);
    assert_int_equal(addr->metric, 0);
    assert_int_equal(w->routes[0].link, if_nametoindex("a0"));
    ip("addr del 10.1.0.2/24 dev a0\n");
    await(w, far_is_unreachable);
    assert_null(listed(w, "10.1.0.2"));
    ip("addr add 10.1.0.2/24 dev a0\n");
    settle(w);
    assert_non_null(listed(w, "10.1.0.2"));
    assert_int_equal(listed(w, "10.1.0.2")->metric, UINT32_MAX);
    assert_true(far_is_unreachable(w));
    ip("route add default via 10.1.0.1\n");
    await(w, far_by_a);
}

static void default_route_moves(void **state)
{
    /* Both networks stay up while the preferred default route goes and comes: the answer follows, the addresses stay,
     * their metric says which is which. A destination on a network of our own does not move at all. */
    world *w = begin(state);
    two_networks();
    start(w);
    assert_string_equal(watch(w, "198.51.100.1"), "10.1.0.2");
    assert_string_equal(watch(w, "10.1.0.7"), "10.1.0.2");
    assert_int_equal(listed(w, "10.1.0.2")->metric, 100);
    assert_int_equal(listed(w, "10.2.0.2")->metric, 200);
    ip("route del default via 10.1.0.1 metric 100\n");
    await(w, far_by_b);
    assert_int_equal(listed(w, "10.1.0.2")->metric, UINT32_MAX);
    assert_true(leads(w, "10.1.0.7", "10.1.0.2"));
    ip("route add default via 10.1.0.1 metric 50\n");
    await(w, far_by_a);
    assert_int_equal(listed(w, "10.1.0.2")->metric, 50);
    ip("route replace default via 10.2.0.1 metric 10\n");
    await(w, far_by_b);
}

static void silent_flush_is_found(void **state)
{
    /* The kernel tells of a removed address before it removes the IPv4 routes through it, and does that silently. Many
     * times in a row the address, or the link, goes while the monitor runs: the picture must always come to rest on the
     * other link. */
    world *w = begin(state);
    two_networks();
    start(w);
    watch(w, "198.51.100.1");
    static const char *const gone[] = {"addr del 10.1.0.2/24 dev a0\n", "link set a0 down\n", "link del a0\n"};
    static const char *const back[] = {
        "addr add 10.1.0.2/24 dev a0\nroute add default via 10.1.0.1 metric 100\n",
        "link set a0 up\nroute add default via 10.1.0.1 metric 100\n",
        ("link add a0 type veth peer name a1\nlink set a1 up\nlink set a0 up\naddr add 10.1.0.2/24 dev a0\n"
         "route add default via 10.1.0.1 metric 100\n"),
    };
    for (size_t i = 0; i < 90; i++) {
        pid_t child = ip_start(gone[i % 3]); /* at work while we look */
        await(w, far_by_b);
        assert_null(listed(w, "10.1.0.2"));
        ip_wait(child, gone[i % 3]);
        child = ip_start(back[i % 3]);
        await(w, far_by_a);
        ip_wait(child, back[i % 3]);
    }
    settle(w);
    assert_true(far_by_a(w));
}

static bool v6_tentative(const world *w)
{
    const roam_net_addr *addr = listed(w, "2001:db8::2");
    return addr && addr->flags & ROAM_NET_TENTATIVE;
}

static bool v6_usable(const world *w)
{
    const roam_net_addr *addr = listed(w, "2001:db8::2");
    return addr && !addr->flags && leads(w, "2001:db8::9", "2001:db8::2");
}

static bool v6_deprecated(const world *w)
{
    const roam_net_addr *addr = listed(w, "2001:db8::2");
    return addr && addr->flags == ROAM_NET_DEPRECATED;
}

static void tentative_then_usable(void **state)
{
    /* An IPv6 address under duplicate detection is listed as tentative and leads nowhere; when the kernel has finished,
     * the picture says so without being asked. Later it is deprecated: listed as that. */
    world *w = begin(state);
    if (access("/proc/sys/net/ipv6", F_OK) != 0)
        skip();
    start(w);
    watch(w, "2001:db8::9");
    ip("link add a0 type veth peer name a1\nlink set a1 up\nlink set a0 up\naddr add 2001:db8::2/64 dev a0\n");
    await(w, v6_tentative);
    assert_true(leads(w, "2001:db8::9", ""));
    await(w, v6_usable);
    ip("addr change 2001:db8::2/64 dev a0 preferred_lft 0\n");
    await(w, v6_deprecated);
    assert_int_equal(listed(w, "2001:db8::2")->prefix, 64);
}

static bool policy_on(const world *w)
{
    return leads(w, "203.0.113.5", "10.2.0.2") && leads(w, "198.51.100.1", "10.1.0.2");
}

static bool policy_off(const world *w)
{
    return leads(w, "203.0.113.5", "10.1.0.2") && leads(w, "198.51.100.1", "10.1.0.2");
}

static void policy_route_counts(void **state)
{
    /* A rule sends one destination through a table of its own. Nothing else changes: no link, address or route event
     * comes with it. Its answer moves, that of the other destination does not; and back. */
    world *w = begin(state);
    two_networks();
    ip("route add default via 10.2.0.1 table 100\n");
    start(w);
    watch(w, "203.0.113.5");
    watch(w, "198.51.100.1");
    settle(w);
    ip("rule add to 203.0.113.5 table 100\n");
    await(w, policy_on);
    assert_int_equal(listed(w, "10.2.0.2")->metric, 200);
    ip("rule del to 203.0.113.5 table 100\n");
    await(w, policy_off);
    ip("route add unreachable 203.0.113.5\n");
    settle(w);
    assert_true(leads(w, "203.0.113.5", ""));
    assert_true(far_by_a(w));
}

static bool vpn_on(const world *w)
{
    return leads(w, "203.0.113.5", "10.8.0.2") && leads(w, "198.51.100.1", "10.1.0.2");
}

static void vpn_goes_on_and_off(void **state)
{
    /* A tun device with a more specific route takes its destinations, and gives them back when its process closes it:
     * the device goes with all that hung on it. Its address, without a default route, has no metric. */
    world *w = begin(state);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq request = {.ifr_name = "vpn0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        print_message("skipped: no tun devices here\n");
        if (fd >= 0)
            close(fd);
        skip();
    }
    two_networks();
    start(w);
    watch(w, "203.0.113.5");
    watch(w, "198.51.100.1");
    settle(w);
    ip("link set vpn0 addrgenmode none\nlink set vpn0 up\naddr add 10.8.0.2/32 dev vpn0\nroute add 203.0.113.0/24 dev "
       "vpn0\n");
    await(w, vpn_on);
    assert_int_equal(listed(w, "10.8.0.2")->metric, UINT32_MAX);
    close(fd);
    await(w, policy_off);
    assert_null(listed(w, "10.8.0.2"));
}

static void unused_address_changes_no_route(void **state)
{
    /* An address nobody uses appears: a new picture, with the same answers. A route to where nobody looks: no picture
     * at all. */
    world *w = begin(state);
    two_networks();
    start(w);
    watch(w, "198.51.100.1");
    ip("addr add 10.9.0.2/24 dev b0\n");
    settle(w);
    assert_non_null(listed(w, "10.9.0.2"));
    assert_true(far_by_a(w));
    const unsigned before = w->pictures;
    ip("route add 192.0.2.0/24 via 10.2.0.1\nroute del 192.0.2.0/24 via 10.2.0.1\n");
    settle(w);
    assert_int_equal(w->pictures, before);
    const roam_ip to = address("198.51.100.1");
    monitor_unwatch(w->monitor, &to);
    ip("addr del 10.9.0.2/24 dev b0\n");
    settle(w);
    assert_int_equal(w->nroutes, 0);
}

static void carrier_lost_uses_the_next_link(void **state)
{
    /* The cable of the preferred link is pulled; its address and routes stay, and the kernel goes on preferring them.
     * The picture has the other link's answer, though, and back when the carrier is. */
    world *w = begin(state);
    two_networks();
    start(w);
    watch(w, "198.51.100.1");
    watch(w, "10.1.0.7");
    ip("link set a1 down\n");
    await(w, far_by_b);
    assert_null(listed(w, "10.1.0.2"));
    assert_string_equal(watch(w, "198.51.100.9"), "10.2.0.2");
    assert_true(leads(w, "10.1.0.7", "10.2.0.2")); /* through the other network's router: better than nothing */
    ip("link set b1 down\n");
    await(w, far_is_unreachable);
    ip("link set a1 up\n");
    await(w, far_by_a);
}

static void link_without_route_is_no_way_out(void **state)
{
    /* As above, but the other link leads nowhere: asked for it, the kernel would suppose the destination on it. Not so
     * the picture. */
    world *w = begin(state);
    two_networks();
    ip("route del default via 10.2.0.1 metric 200\nroute add default via 10.2.0.1 table 100\n");
    start(w);
    watch(w, "198.51.100.1");
    assert_int_equal(listed(w, "10.2.0.2")->metric, UINT32_C(0x80000000));
    ip("link set a1 down\n");
    await(w, far_is_unreachable);
}

static void own_and_loopback_destinations(void **state)
{
    /* A destination of this device itself is answered with its own address on the loopback link; 127.0.0.0/8 and ::1
     * are never listed. */
    world *w = begin(state);
    two_networks();
    start(w);
    assert_string_equal(watch(w, "10.1.0.2"), "10.1.0.2");
    assert_string_equal(watch(w, "127.0.0.5"), "127.0.0.1");
    assert_string_equal(watch(w, "::1"), "::1");
    assert_null(listed(w, "127.0.0.1"));
    assert_null(listed(w, "::1"));
    ip("addr add 10.9.0.2/24 dev b0\n");
    settle(w);
    assert_int_equal(w->nroutes, 3);
    for (size_t i = 0; i < w->nroutes; i++)
        assert_int_equal(w->routes[i].link, 1);
}

static void lost_events_lose_nothing(void **state)
{
    /* Far more events than the socket holds while nobody reads: the kernel drops some. The next turn shows what is, and
     * the change after that is noticed as before. */
    world *w = begin(state);
    two_networks();
    start(w);
    watch(w, "198.51.100.1");
    enum { ROUTES = 4000, LINE = 48 };
    char *lines = malloc(2 * ROUTES * LINE + 64), *at = lines;
    assert_non_null(lines);
    at += sprintf(at, "route del default via 10.1.0.1 metric 100\n");
    for (int i = 0; i < ROUTES; i++)
        at += sprintf(at, "route add 172.16.%d.%d via 10.2.0.1\n", i / 250, i % 250);
    for (int i = 0; i < ROUTES; i++)
        at += sprintf(at, "route del 172.16.%d.%d via 10.2.0.1\n", i / 250, i % 250);
    ip(lines);
    free(lines);
    await(w, far_by_b);
    ip("route add default via 10.1.0.1 metric 100\n");
    await(w, far_by_a);
}

static bool all_by_b(const world *w)
{
    const roam_ip b = address("10.2.0.2");
    for (size_t i = 0; i < w->nroutes; i++)
        if (!roam_ip_equal(&w->routes[i].source, &b))
            return false;
    return w->nroutes == 600;
}

static void many_destinations_move_together(void **state)
{
    /* 600 destinations are watched, one of them twice: all move in one picture. Unwatched once, that one is still
     * answered. */
    world *w = begin(state);
    two_networks();
    start(w);
    for (int i = 0; i < 600; i++) {
        char text[32];
        snprintf(text, sizeof text, "198.51.%d.%d", i / 250, i % 250);
        assert_string_equal(watch(w, text), "10.1.0.2");
    }
    const roam_ip twice = address("198.51.0.7");
    watch(w, "198.51.0.7");
    monitor_unwatch(w->monitor, &twice);
    ip("route del default via 10.1.0.1 metric 100\n");
    const unsigned before = w->pictures;
    settle(w);
    assert_true(all_by_b(w));
    assert_int_equal(w->pictures, before + 1);
}

static bool is_known(const world *w)
{
    return listed(w, "10.1.0.2") && listed(w, "10.1.0.2")->network != 0;
}

static uint64_t first_network;

static bool is_another(const world *w)
{
    return is_known(w) && listed(w, "10.1.0.2")->network != first_network;
}

static bool is_first(const world *w)
{
    return is_known(w) && listed(w, "10.1.0.2")->network == first_network;
}

static void gateway_tells_the_network(void **state)
{
    /* The kernel learns the gateway's MAC address: the address belongs to a network. Another MAC is another network although address, link and route stay; the first MAC is the first network. Before,
     * and while the kernel has forgotten it, the network is unknown. A neighbour that is no gateway, and the same MAC told again, give no picture. */
    world *w = begin(state);
    two_networks();
    start(w);
    watch(w, "198.51.100.1");
    assert_int_equal(listed(w, "10.1.0.2")->network, 0);
    ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 nud reachable dev a0\n");
    await(w, is_known);
    first_network = listed(w, "10.1.0.2")->network;
    assert_int_equal(listed(w, "10.2.0.2")->network, 0);
    settle(w);
    const unsigned before = w->pictures;
    ip("neigh replace 10.1.0.9 lladdr 02:00:00:00:00:09 nud reachable dev a0\n"
       "neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 nud stale dev a0\n"
       "neigh replace 10.1.0.1 lladdr 02:00:00:00:00:07 nud reachable dev b0\n");
    settle(w);
    assert_int_equal(w->pictures, before);
    ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:02 nud reachable dev a0\n");
    await(w, is_another);
    assert_true(far_by_a(w));
    ip("neigh replace 10.1.0.1 lladdr 02:00:00:00:00:01 nud reachable dev a0\n");
    await(w, is_first);
    ip("neigh replace 10.2.0.1 lladdr 02:00:00:00:00:01 nud reachable dev b0\n");
    settle(w);
    assert_int_not_equal(listed(w, "10.2.0.2")->network, first_network); /* the same box with another address: another network */
    ip("neigh del 10.1.0.1 dev a0\nroute del default via 10.2.0.1 metric 200\n");
    settle(w);
    assert_int_equal(listed(w, "10.1.0.2")->network, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(address_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(default_route_moves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_flush_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tentative_then_usable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy_route_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vpn_goes_on_and_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unused_address_changes_no_route, set_up, tear_down),
        cmocka_unit_test_setup_teardown(carrier_lost_uses_the_next_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(link_without_route_is_no_way_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_and_loopback_destinations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_events_lose_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_destinations_move_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gateway_tells_the_network, set_up, tear_down),
    };
    no_namespace = enter_namespace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
