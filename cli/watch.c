/* roam watch: what the network monitor sees. */
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "edge/monitor.h"

enum { DESTINATIONS_MAX = 16 };

typedef struct watch {
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    roam_monitor *monitor;
    bool as_json, once;
    roam_time start;
    json line;
} watch;

static void help(void)
{
    printf("roam watch [DESTINATION...]: the addresses of this device and, for each destination (an IP address), the source it would use;\n"
           "at the start and whenever something changes.\n\n"
           "  roam watch 192.0.2.1 2001:db8::1\n"
           "  roam watch --json --once 10.9.0.10\n");
}

static const char *set_json(void *target, const char *value)
{
    (void)value;
    ((watch *)target)->as_json = true;
    return NULL;
}

static const char *set_once(void *target, const char *value)
{
    (void)value;
    ((watch *)target)->once = true;
    return NULL;
}

static const cli_option table[] = {
    {"json", NULL, "one JSON object a line", set_json},
    {"once", NULL, "show it once and leave", set_once},
    {0},
};

static const char *link_name(uint32_t link, char name[IF_NAMESIZE])
{
    return link && if_indextoname(link, name) ? name : "-";
}

static void show_json(watch *w, const roam_network *n)
{
    char name[IF_NAMESIZE];
    json *j = &w->line;
    json_clear(j);
    json_object(j, NULL);
    json_text(j, "event", "network");
    json_micros(j, "time", cli_wall_now());
    json_array(j, "addresses");
    for (size_t i = 0; i < n->naddrs; i++) {
        const roam_net_addr *a = &n->addrs[i];
        json_object(j, NULL);
        json_ip(j, "address", &a->ip);
        json_u64(j, "prefix", a->prefix);
        json_u64(j, "link", a->link);
        json_text(j, "interface", link_name(a->link, name));
        json_bool(j, "tentative", a->flags & ROAM_NET_TENTATIVE);
        json_bool(j, "deprecated", a->flags & ROAM_NET_DEPRECATED);
        json_bool(j, "temporary", a->flags & ROAM_NET_TEMPORARY);
        if (a->metric == UINT32_MAX)
            json_null(j, "metric");
        else
            json_u64(j, "metric", a->metric);
        json_object_end(j);
    }
    json_array_end(j);
    json_array(j, "routes");
    for (size_t i = 0; i < n->nroutes; i++) {
        json_object(j, NULL);
        json_ip(j, "destination", &n->routes[i].destination);
        json_ip(j, "source", &n->routes[i].source);
        json_u64(j, "link", n->routes[i].link);
        json_text(j, "interface", link_name(n->routes[i].link, name));
        json_object_end(j);
    }
    json_array_end(j);
    json_object_end(j);
    json_line_end(j);
    if (!j->failed)
        fwrite(j->ptr, 1, j->len, stdout);
}

static void show_text(watch *w, const roam_network *n)
{
    char name[IF_NAMESIZE], text[ROAM_ADDR_TEXT_MAX], source[ROAM_ADDR_TEXT_MAX];
    printf("%.3f s\n", (double)(cli_now() - w->start) / 1e6);
    for (size_t i = 0; i < n->naddrs; i++) {
        const roam_net_addr *a = &n->addrs[i];
        roam_ip_format(&a->ip, text);
        printf("  %-10s %s/%u%s%s%s", link_name(a->link, name), text, a->prefix, a->flags & ROAM_NET_TENTATIVE ? " tentative" : "",
               a->flags & ROAM_NET_DEPRECATED ? " deprecated" : "", a->flags & ROAM_NET_TEMPORARY ? " temporary" : "");
        if (a->metric == UINT32_MAX)
            printf("\n");
        else
            printf("  default route, metric %u\n", a->metric);
    }
    if (n->naddrs == 0)
        printf("  no address\n");
    for (size_t i = 0; i < n->nroutes; i++) {
        roam_ip_format(&n->routes[i].destination, text);
        roam_ip_format(&n->routes[i].source, source);
        if (n->routes[i].source.family)
            printf("  to %s: from %s over %s\n", text, source, link_name(n->routes[i].link, name));
        else
            printf("  to %s: unreachable\n", text);
    }
}

static void on_network(void *user, const roam_network *network)
{
    watch *w = user;
    if (w->as_json)
        show_json(w, network);
    else
        show_text(w, network);
    fflush(stdout);
    if (ferror(stdout))
        uv_stop(&w->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int cli_watch(int argc, char **argv)
{
    const cli_option *const tables[] = {table, NULL};
    watch *w = calloc(1, sizeof *w);
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    roam_ip destinations[DESTINATIONS_MAX];
    const cli_options options = {.tables = tables, .target = w, .subcommand = "watch"};
    int n = 0, status = w && rest ? options_parse(&options, argc, argv, rest, &n, help) : CLI_FAILED;
    for (int i = 0; status < 0 && i < n; i++) {
        if (i == DESTINATIONS_MAX || roam_ip_parse((roam_span){rest[i], strlen(rest[i])}, &destinations[i]) != ROAM_OK) {
            cli_say("watch: %s: %s", rest[i], i == DESTINATIONS_MAX ? "one destination too many" : "no IP address");
            status = CLI_USAGE;
        }
    }
    if (status < 0) {
        static const roam_tracer no_trace;
        roam_net_route answer;
        status = CLI_OK;
        w->start = cli_now();
        uv_loop_init(&w->loop);
        uv_signal_init(&w->loop, &w->interrupt);
        uv_signal_init(&w->loop, &w->terminate);
        uv_signal_start(&w->interrupt, on_signal, SIGINT);
        uv_signal_start(&w->terminate, on_signal, SIGTERM);
        int err = monitor_new(&w->loop, on_network, w, &no_trace, &w->monitor);
        for (int i = 0; !err && i < n; i++) {
            int watched = monitor_watch(w->monitor, &destinations[i], &answer);
            err = watched == ROAM_ENOTFOUND ? 0 : watched;
        }
        if (!err)
            err = monitor_start(w->monitor);
        if (err) {
            cli_say("watch: the networks cannot be watched: %s", roam_strerror(err));
            status = CLI_NETWORK;
        } else if (!w->once) {
            uv_run(&w->loop, UV_RUN_DEFAULT);
        }
        monitor_free(w->monitor);
        uv_close((uv_handle_t *)&w->interrupt, NULL);
        uv_close((uv_handle_t *)&w->terminate, NULL);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        uv_loop_close(&w->loop);
        json_free(&w->line);
    }
    free(w);
    free(rest);
    return status;
}
