#include "cli/demo.h"

#include <cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "cli/cli.h"

typedef struct demo_link {
    demo_place place;
    const char *interface, *port, *address, *gateway;
} demo_link;

static const demo_link links[] = {
    {DEMO_AT_CALLER, "wlan0", "wlan0", DEMO_WLAN, "10.1.0.1"},
    {DEMO_AT_CALLER, "wwan0", "wwan0", DEMO_WWAN, "10.2.0.1"},
    {DEMO_AT_SERVER, "eth0", "server", DEMO_SERVER, "10.9.0.1"},
    {DEMO_AT_CALLEE, "eth0", "callee", DEMO_CALLEE, "10.8.0.1"},
};
enum { LINKS = sizeof links / sizeof *links };

static bool fail(demo_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool write_file(const char *path, const char *text);
static bool spawn(demo_process *process, int namespace, char *const argv[], const char *log);
static bool link_open(demo_world *world, size_t index);
static bool run_ip(demo_world *world, int namespace, const char *batch);
static bool checksums_in_software(int namespace, const char *interface);
static int wait_for(pid_t pid, int milliseconds);
static void process_end(demo_process *process, int milliseconds);
static bool read_lines(demo_world *world, demo_place place);

bool demo_enter(char why[256])
{
    const uid_t uid = getuid();
    const gid_t gid = getgid();
    const int flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID;
    char map[64];
    if (geteuid() != 0 || unshare(flags) != 0) { /* root in a container may lack the capability, and still be allowed a user namespace */
        if (unshare(flags | CLONE_NEWUSER) != 0) {
            snprintf(why, 256, "namespaces are not permitted here: %s%s", strerror(errno),
                     errno == EPERM ? " (kernel.unprivileged_userns_clone, user.max_user_namespaces or a container forbids them; try as root)" : "");
            return false;
        }
        write_file("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
        bool mapped = write_file("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
        if (!mapped || !write_file("/proc/self/gid_map", map)) {
            snprintf(why, 256, "the user namespace cannot be set up: %s", strerror(errno));
            return false;
        }
    }
    const pid_t child = fork();
    if (child < 0) {
        snprintf(why, 256, "fork: %s", strerror(errno));
        return false;
    }
    if (child == 0) { /* the first process of the pid namespace: with it everything in there ends */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL); /* where that is allowed; only debuggers miss it */
        return true;
    }
    int status;
    signal(SIGINT, SIG_IGN); /* the child gets it too, and cleans up */
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED);
}

bool demo_world_open(demo_world *world, const char *directory, const char *emulator, unsigned rtt_ms)
{
    char command[128], log[DEMO_PATH_MAX + 32];
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    snprintf(world->directory, sizeof world->directory, "%s", directory);
    for (int i = 0; i < DEMO_PLACES; i++)
        world->namespaces[i] = -1;
    if (home < 0)
        return fail(world, "/proc/self/ns/net: %s", strerror(errno));
    bool good = true;
    for (int i = 0; i < DEMO_PLACES && good; i++) {
        good = unshare(CLONE_NEWNET) == 0 && (world->namespaces[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) >= 0;
        if (!good)
            fail(world, "a network namespace: %s", strerror(errno));
        good = setns(home, CLONE_NEWNET) == 0 && good;
    }
    close(home);
    char *argv[] = {(char *)(uintptr_t)emulator, NULL};
    snprintf(log, sizeof log, "%s/emulator.log", directory);
    if (!good || !spawn(&world->emulator, -1, argv, log))
        return good ? fail(world, "%s: %s", emulator, strerror(errno)) : false;
    for (size_t i = 0; i < LINKS; i++)
        if (!link_open(world, i))
            return false;
    for (size_t i = 0; i < 2; i++) {
        snprintf(command, sizeof command, "link %s delay %u.%u", links[i].port, rtt_ms / 2, rtt_ms % 2 * 5);
        if (!demo_world_emulate(world, command))
            return false;
    }
    return true;
}

bool demo_world_start(demo_world *world, demo_place place, char *const argv[])
{
    static const char *const logs[] = {"caller.log", "server.log", "callee.log"};
    char path[DEMO_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", world->directory, logs[place]);
    if (!spawn(&world->parties[place], world->namespaces[place], argv, path))
        return fail(world, "%s: %s", argv[0], strerror(errno));
    return true;
}

bool demo_world_ip(demo_world *world, demo_place place, const char *batch)
{
    return run_ip(world, world->namespaces[place], batch);
}

bool demo_world_send(demo_world *world, demo_place place, const char *line)
{
    char text[256];
    const int n = snprintf(text, sizeof text, "%s\n", line);
    if (write(world->parties[place].in, text, (size_t)n) != n)
        return fail(world, "a party does not listen: %s", strerror(errno));
    return true;
}

bool demo_world_emulate(demo_world *world, const char *command)
{
    char text[DEMO_PATH_MAX + 128], answer[128];
    const int n = snprintf(text, sizeof text, "%s\n", command);
    struct pollfd ready = {.fd = world->emulator.out, .events = POLLIN};
    size_t len = 0;
    if (write(world->emulator.in, text, (size_t)n) != n)
        return fail(world, "the emulator is gone");
    while (len < sizeof answer - 1 && poll(&ready, 1, 3000) > 0 && read(world->emulator.out, answer + len, 1) == 1 && answer[len] != '\n')
        len++;
    answer[len] = '\0';
    return strncmp(answer, "ok", 2) == 0 ? true : fail(world, "emulator: %s: %s", command, answer);
}

bool demo_world_pump(demo_world *world, int milliseconds)
{
    const roam_time end = cli_now() + ROAM_MS((roam_time)(milliseconds < 0 ? 0 : milliseconds));
    for (;;) {
        struct pollfd ready[DEMO_PLACES];
        const roam_time now = cli_now();
        for (int i = 0; i < DEMO_PLACES; i++)
            ready[i] = (struct pollfd){.fd = world->parties[i].pid && !world->parties[i].ended ? world->parties[i].out : -1, .events = POLLIN};
        const int n = poll(ready, DEMO_PLACES, now < end ? (int)((end - now + 999) / 1000) : 0);
        for (int i = 0; n > 0 && i < DEMO_PLACES; i++)
            if (ready[i].revents && !read_lines(world, (demo_place)i))
                return fail(world, "%s ended by itself (see %s)", i == DEMO_AT_CALLER ? "the caller" : i == DEMO_AT_SERVER ? "the server" : "the callee",
                            world->directory);
        if (n <= 0 && cli_now() >= end)
            return true;
        if (n > 0 && milliseconds == 0)
            return true;
    }
}

void demo_world_close(demo_world *world)
{
    for (int i = 0; i < DEMO_PLACES; i++)
        if (world->parties[i].pid)
            kill(world->parties[i].pid, SIGTERM);
    for (int i = 0; i < DEMO_PLACES; i++)
        process_end(&world->parties[i], 3000);
    process_end(&world->emulator, 1000);
    for (size_t i = 0; i < LINKS && world->namespaces[0] >= 0; i++) { /* the kernel takes its time with namespaces; their names are wanted again */
        char batch[64];
        snprintf(batch, sizeof batch, "link del e-%s\n", links[i].port);
        char wrong[sizeof world->wrong];
        memcpy(wrong, world->wrong, sizeof wrong);
        run_ip(world, -1, batch);
        memcpy(world->wrong, wrong, sizeof wrong);
    }
    for (int i = 0; i < DEMO_PLACES; i++) {
        if (world->namespaces[i] >= 0)
            close(world->namespaces[i]);
        world->namespaces[i] = -1;
    }
}

/* ---- the links ---- */

static bool link_open(demo_world *world, size_t index)
{
    const demo_link *l = &links[index];
    char batch[512], command[DEMO_PATH_MAX + 128], network[32];
    const int namespace = world->namespaces[l->place];
    /* The far end comes to where the emulator is: a packet socket on it is all that the emulator needs, no device node. */
    snprintf(batch, sizeof batch,
             "link set lo up\n"
             "link add %s address 02:00:00:00:00:%02zx type veth peer name e-%s netns %d\n"
             "link set %s addrgenmode none\n",
             l->interface, index + 1, l->port, (int)getpid(), l->interface);
    if (!run_ip(world, namespace, batch))
        return false;
    if (!checksums_in_software(namespace, l->interface))
        return fail(world, "%s: checksums: %s", l->interface, strerror(errno));
    snprintf(batch, sizeof batch, "link set e-%s addrgenmode none arp off up\n", l->port);
    if (!run_ip(world, -1, batch))
        return false;
    snprintf(command, sizeof command, "port %s e-%s 02:00:00:00:00:%02zx %s/%s.pcap", l->port, l->port, index + 1, world->directory, l->port);
    if (!demo_world_emulate(world, command))
        return false;
    snprintf(command, sizeof command, "gateway %s %s", l->port, l->gateway);
    if (!demo_world_emulate(world, command))
        return false;
    snprintf(network, sizeof network, "%.*s.0/24", (int)(strrchr(l->gateway, '.') - l->gateway), l->gateway);
    snprintf(command, sizeof command, "route %s %s", network, l->port);
    if (!demo_world_emulate(world, command))
        return false;
    if (index == 1) /* cellular comes later */
        return true;
    snprintf(batch, sizeof batch, "link set %s up\naddr add %s/24 dev %s\nroute add default via %s dev %s\n", l->interface, l->address, l->interface,
             l->gateway, l->interface);
    return run_ip(world, namespace, batch);
}

/* A veth leaves checksums to hardware that is not there; the packet socket would see them missing. */
static bool checksums_in_software(int namespace, const char *interface)
{
    const pid_t child = fork();
    if (child == 0) {
        struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
        struct ifreq request = {.ifr_data = (char *)&off};
        snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
        int fd = setns(namespace, CLONE_NEWNET) == 0 ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
        _exit(fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 ? 0 : 1);
    }
    return child > 0 && wait_for(child, 5000) == 0;
}

static bool run_ip(demo_world *world, int namespace, const char *batch)
{
    char *argv[] = {(char *)(uintptr_t) "ip", (char *)(uintptr_t) "-batch", (char *)(uintptr_t) "-", NULL};
    demo_process ip = {0};
    char log[DEMO_PATH_MAX + 16];
    snprintf(log, sizeof log, "%s/ip.log", world->directory);
    if (!spawn(&ip, namespace, argv, log))
        return fail(world, "ip: %s", strerror(errno));
    bool good = write(ip.in, batch, strlen(batch)) == (ssize_t)strlen(batch);
    close(ip.in);
    close(ip.out);
    good = wait_for(ip.pid, 5000) == 0 && good;
    return good ? true : fail(world, "ip refused (see %s): %s", log, batch);
}

/* ---- processes ---- */

static bool spawn(demo_process *process, int namespace, char *const argv[], const char *log)
{
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return false;
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN); /* Ctrl-C is for us: we end them in order */
        signal(SIGPIPE, SIG_DFL);
        int errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if ((namespace >= 0 && setns(namespace, CLONE_NEWNET) != 0) || dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || (errors >= 0 && dup2(errors, 2) < 0))
            _exit(126);
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (pid < 0) {
        close(in[1]);
        close(out[0]);
        return false;
    }
    process->pid = pid;
    process->in = in[1];
    process->out = out[0];
    process->len = 0;
    process->ended = false;
    return true;
}

/* The exit status; -1: killed, or not done within the time. */
static int wait_for(pid_t pid, int milliseconds)
{
    int status;
    for (int waited = 0;; waited += 2) {
        const pid_t done = waitpid(pid, &status, WNOHANG);
        if (done == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (done < 0 && errno != EINTR)
            return -1;
        if (waited >= milliseconds) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
        usleep(2000);
    }
}

static void process_end(demo_process *process, int milliseconds)
{
    if (!process->pid)
        return;
    close(process->in);
    wait_for(process->pid, milliseconds);
    close(process->out);
    process->pid = 0;
}

static bool read_lines(demo_world *world, demo_place place)
{
    demo_process *p = &world->parties[place];
    const ssize_t n = read(p->out, p->line + p->len, sizeof p->line - 1 - p->len);
    if (n <= 0) {
        p->ended = true;
        return false;
    }
    p->len += (size_t)n;
    p->line[p->len] = '\0';
    char *start = p->line, *end;
    while ((end = strchr(start, '\n'))) {
        *end = '\0';
        cJSON *object = cJSON_Parse(start);
        if (object && !world->line(world->user, place, object))
            cJSON_Delete(object);
        start = end + 1;
    }
    p->len -= (size_t)(start - p->line);
    memmove(p->line, start, p->len + 1);
    if (p->len == sizeof p->line - 1)
        p->len = 0;
    return true;
}

static bool fail(demo_world *world, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(world->wrong, sizeof world->wrong, format, args);
    va_end(args);
    return false;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}
