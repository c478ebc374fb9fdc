/* roam replay: a trace with its inputs goes through the core again, and what the core does is compared with what the trace says it did.
 *
 * Records of the core arise inside of an input, one after the other: they are compared in that order. Outputs are taken from a queue by the host, now or a few inputs
 * later: they are compared among themselves. Passwords are not in a trace and not needed: what is computed from them is masked in both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/tracefile.h"
#include "roam/core.h"

#ifdef ROAM_HAVE_CJSON
#include <cJSON.h>
#endif

static void help(void)
{
    printf("roam replay: gives the core again what a trace says it was given, and tells the first thing that it does otherwise.\n\n"
           "  roam agent --trace-replay field.trace ...      on the device\n"
           "  roam replay field.trace                        on the desk, in no time, without any network\n\n"
           "Exit status: 0 the same came out; 1 something else did, or the trace cannot be replayed.\n");
}

static const cli_option table[] = {{0}};

#ifndef ROAM_HAVE_CJSON

int cli_replay(int argc, char **argv)
{
    (void)argc, (void)argv, (void)help, (void)table;
    cli_say("this roam was built without libcjson: it cannot read traces");
    return CLI_FAILED;
}

#else

/* Lines that the core wrote and that no line of the trace was compared with yet. */
typedef struct said {
    struct said *next;
    roam_time time;
    char line[];
} said;

typedef struct said_queue {
    said *first, **end;
} said_queue;

enum { ARGS_MAX = 4096 };

typedef struct arg {
    const char *key, *value;
    size_t len; /* of the value, which may hold NULs */
} arg;

typedef struct replay {
    roam_ua *ua;
    bool over;        /* the agent of the trace was freed */
    roam_time now;    /* of the last input */
    bool has_offset;
    int64_t offset;   /* wall minus the core's clock, microseconds */
    said_queue records, outputs;
    json line;
    struct {
        roam_path_choice *list;
        size_t n, cap, next;
    } choices;        /* what the application said when it was asked */
    uint64_t at;      /* line of the file */
    uint64_t inputs, compared;
    bool no_memory;
    arg args[ARGS_MAX];
    size_t nargs;
} replay;

typedef struct input {
    const char *name;
    bool (*give)(replay *r, roam_time now, const cJSON *record); /* false: what is wrong was said */
} input;

/* ---- what the core says ---- */

static void queue_init(said_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static said *queue_pop(said_queue *q)
{
    said *s = q->first;
    if (s) {
        q->first = s->next;
        if (!q->first)
            q->end = &q->first;
    }
    return s;
}

static void on_record(void *user, const roam_trace_record *record)
{
    replay *r = user;
    if (record->type == ROAM_TRACE_INPUT)
        return;
    json_clear(&r->line);
    tracefile_write(&r->line, record, 0);
    said *s = r->line.failed ? NULL : malloc(sizeof *s + r->line.len + 1);
    if (!s) {
        r->no_memory = true;
        return;
    }
    s->next = NULL;
    s->time = record->time;
    memcpy(s->line, r->line.ptr, r->line.len);
    s->line[r->line.len] = '\0';
    said_queue *q = record->type == ROAM_TRACE_OUTPUT ? &r->outputs : &r->records;
    *q->end = s;
    q->end = &s->next;
}

/* Cuts out "time":N, and the line end; the time is compared as a number. */
static void without_time(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    char *at = strstr(line, "\"time\":"), *end = at ? strchr(at, ',') : NULL;
    if (end)
        memmove(at, end + 1, strlen(end + 1) + 1);
}

/* ---- arguments of an input ---- */

static size_t unescape(char *text)
{
    char *const begin = text, *out = text, digits[3] = "";
    for (; *text; text++, out++) {
        if (*text == '%' && text[1] && text[2]) {
            memcpy(digits, text + 1, 2);
            *out = (char)strtoul(digits, NULL, 16);
            text += 2;
        } else {
            *out = *text;
        }
    }
    *out = '\0';
    return (size_t)(out - begin);
}

static void read_args(replay *r, char *text)
{
    r->nargs = 0;
    for (char *next; text && *text && r->nargs < ARGS_MAX; text = next) {
        next = strchr(text, '\n');
        if (next)
            *next++ = '\0';
        char *value = strchr(text, '=');
        if (!value)
            continue;
        *value++ = '\0';
        r->args[r->nargs++] = (arg){text, value, unescape(value)};
    }
}

static const char *text_arg(const replay *r, const char *key)
{
    for (size_t i = 0; i < r->nargs; i++)
        if (strcmp(r->args[i].key, key) == 0)
            return r->args[i].value;
    return NULL;
}

static roam_span span_arg(const replay *r, const char *key)
{
    for (size_t i = 0; i < r->nargs; i++)
        if (strcmp(r->args[i].key, key) == 0)
            return (roam_span){r->args[i].value, r->args[i].len};
    return (roam_span){NULL, 0};
}

static uint32_t number_arg(const replay *r, const char *key)
{
    const char *text = text_arg(r, key);
    return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static roam_ip ip_of(const char *text)
{
    roam_ip ip = {0};
    if (text)
        roam_ip_parse((roam_span){text, strlen(text)}, &ip);
    return ip;
}

static roam_addr addr_of(const char *text)
{
    roam_addr addr = {0};
    if (text)
        roam_addr_parse((roam_span){text, strlen(text)}, &addr);
    return addr;
}

static void drop(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    (void)sink, (void)samples, (void)n, (void)rate, (void)concealed;
}

static roam_audio_sink silent_sink = {.write = drop};

static roam_call_options *options_arg(const replay *r, roam_call_options *out)
{
    if (!number_arg(r, "options"))
        return NULL;
    *out = (roam_call_options){.source = number_arg(r, "source") ? roam_tone_source(0) : NULL,
                               .sink = number_arg(r, "sink") ? &silent_sink : NULL,
                               .codecs = text_arg(r, "codecs")};
    return out;
}

static void refused(int err, roam_call_options *options)
{
    if (err && options && options->source)
        options->source->close(options->source);
}

/* ---- inputs ---- */

static roam_path_choice choose(void *user, const roam_path_offer *offer)
{
    replay *r = user;
    (void)offer;
    return r->choices.next < r->choices.n ? r->choices.list[r->choices.next++] : ROAM_PATH_BOTH;
}

static bool give_new(replay *r, roam_time now, const cJSON *record)
{
    roam_ua_config c;
    const char *seed = text_arg(r, "seed"), *version = text_arg(r, "version");
    (void)now, (void)record;
    if (r->ua || !seed || strlen(seed) != 64) {
        cli_say("replay: line %llu: %s", (unsigned long long)r->at, r->ua ? "a second agent" : "no seed");
        return false;
    }
    if (version && strcmp(version, roam_version()) != 0)
        cli_say("replay: the trace is of roam %s, this is %s", version, roam_version());
    roam_ua_config_default(&c);
    for (size_t i = 0; i < 32; i++) {
        const char digits[3] = {seed[2 * i], seed[2 * i + 1], '\0'};
        c.seed[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    c.user_agent = text_arg(r, "user_agent");
    c.sip_port = (uint16_t)number_arg(r, "sip_port");
    c.bind = ip_of(text_arg(r, "bind"));
    c.rtp_port_min = (uint16_t)number_arg(r, "rtp_port_min");
    c.rtp_port_max = (uint16_t)number_arg(r, "rtp_port_max");
    c.codecs = text_arg(r, "codecs");
    c.route_answers = number_arg(r, "route_answers") != 0;
    c.t1_ms = number_arg(r, "t1_ms");
    c.t2_ms = number_arg(r, "t2_ms");
    c.t4_ms = number_arg(r, "t4_ms");
    c.coalesce_ms = number_arg(r, "coalesce_ms");
    c.register_rate = number_arg(r, "register_rate");
    c.register_burst = number_arg(r, "register_burst");
    c.choose_path = number_arg(r, "choose_path") ? choose : NULL;
    c.choose_path_user = r;
    c.trace_inputs = true;
    c.trace = on_record;
    c.trace_user = r;
    r->ua = roam_ua_new(&c);
    return r->ua != NULL;
}

static bool give_free(replay *r, roam_time now, const cJSON *record)
{
    (void)now, (void)record;
    roam_ua_free(r->ua);
    r->ua = NULL;
    r->over = true;
    return true;
}

static bool give_advance(replay *r, roam_time now, const cJSON *record)
{
    (void)record;
    roam_ua_advance(r->ua, now);
    return true;
}

static bool give_account(replay *r, roam_time now, const cJSON *record)
{
    roam_account_config c;
    (void)now, (void)record;
    roam_account_config_default(&c);
    c.aor = text_arg(r, "aor");
    c.registrar = text_arg(r, "registrar");
    c.outbound_proxy = text_arg(r, "outbound_proxy");
    c.auth_user = text_arg(r, "auth_user");
    c.password = number_arg(r, "password") ? "not in the trace" : NULL;
    c.auth_realm = text_arg(r, "auth_realm");
    c.expires = number_arg(r, "expires");
    c.register_on_add = number_arg(r, "register_on_add") != 0;
    c.allow_contact_rewrite = (roam_contact_rewrite)number_arg(r, "allow_contact_rewrite");
    c.contact_rewrite_method = number_arg(r, "contact_rewrite_method");
    c.ip_change = (roam_ip_change_policy){.shutdown_transport = number_arg(r, "shutdown_transport") != 0,
                                          .hangup_calls = number_arg(r, "hangup_calls") != 0,
                                          .reinvite_flags = number_arg(r, "reinvite_flags"),
                                          .use_update = number_arg(r, "use_update") != 0,
                                          .offline_max_ms = number_arg(r, "offline_max_ms")};
    c.instance = text_arg(r, "instance");
    c.link = number_arg(r, "link");
    c.reliable = (roam_100rel)number_arg(r, "reliable");
    c.session_expires = number_arg(r, "session_expires");
    c.session_min_se = number_arg(r, "session_min_se");
    c.keepalive = number_arg(r, "keepalive");
    roam_account_add(r->ua, &c, NULL);
    return true;
}

static bool give_datagram(replay *r, roam_time now, const cJSON *record)
{
    static char datagram[65536];
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(record, "id"), *text = cJSON_GetObjectItemCaseSensitive(record, "bytes"),
                *hex = cJSON_GetObjectItemCaseSensitive(record, "bytes_hex"), *remote = cJSON_GetObjectItemCaseSensitive(record, "remote"),
                *whole = cJSON_GetObjectItemCaseSensitive(record, "why");
    size_t len = 0;
    if (cJSON_IsString(text)) {
        len = strlen(text->valuestring);
        if (len > sizeof datagram)
            len = sizeof datagram;
        memcpy(datagram, text->valuestring, len);
    } else if (cJSON_IsString(hex)) {
        for (const char *p = hex->valuestring; p[0] && p[1] && len < sizeof datagram; p += 2) {
            const char digits[3] = {p[0], p[1], '\0'};
            datagram[len++] = (char)strtoul(digits, NULL, 16);
        }
    }
    const size_t wanted = cJSON_IsString(whole) ? strtoul(whole->valuestring, NULL, 10) : len;
    while (len < wanted && len < sizeof datagram)
        datagram[len++] = 0; /* the sound that the trace does not hold */
    const roam_addr from = addr_of(cJSON_IsString(remote) ? remote->valuestring : NULL);
    roam_ua_receive(r->ua, now, cJSON_IsNumber(id) ? (uint32_t)id->valuedouble : 0, &from, (roam_span){datagram, len});
    return true;
}

static bool give_socket_opened(replay *r, roam_time now, const cJSON *record)
{
    const roam_addr local = addr_of(text_arg(r, "local"));
    const char *err = text_arg(r, "err");
    (void)record;
    roam_ua_socket_opened(r->ua, now, number_arg(r, "socket"), err ? (int)strtol(err, NULL, 10) : 0, &local);
    return true;
}

static bool give_socket_error(replay *r, roam_time now, const cJSON *record)
{
    const char *text = text_arg(r, "remote");
    const roam_addr remote = addr_of(text);
    (void)record;
    roam_ua_socket_error(r->ua, now, number_arg(r, "socket"), text ? &remote : NULL);
    return true;
}

static bool give_route(replay *r, roam_time now, const cJSON *record)
{
    const roam_net_route route = {ip_of(text_arg(r, "destination")), ip_of(text_arg(r, "source")), number_arg(r, "route_link")};
    (void)record;
    roam_ua_route(r->ua, now, &route);
    return true;
}

static bool give_resolved(replay *r, roam_time now, const cJSON *record)
{
    roam_ip ips[64];
    size_t n = 0;
    (void)record;
    for (size_t i = 0; i < r->nargs && n < 64; i++)
        if (strcmp(r->args[i].key, "ip") == 0)
            ips[n++] = ip_of(r->args[i].value);
    roam_ua_resolved(r->ua, now, number_arg(r, "query"), ips, n);
    return true;
}

static bool give_network(replay *r, roam_time now, const cJSON *record)
{
    roam_net_addr *addrs = calloc(r->nargs + 1, sizeof *addrs);
    roam_net_route *routes = calloc(r->nargs + 1, sizeof *routes);
    size_t na = 0, nr = 0;
    (void)record;
    for (size_t i = 0; i < r->nargs && addrs && routes; i++) {
        const char *key = r->args[i].key, *value = r->args[i].value;
        const uint32_t number = (uint32_t)strtoul(value, NULL, 10);
        if (strcmp(key, "addr") == 0)
            addrs[na++].ip = ip_of(value);
        else if (strcmp(key, "destination") == 0)
            routes[nr++].destination = ip_of(value);
        else if (na && strcmp(key, "prefix") == 0)
            addrs[na - 1].prefix = (uint8_t)number;
        else if (na && strcmp(key, "link") == 0)
            addrs[na - 1].link = number;
        else if (na && strcmp(key, "flags") == 0)
            addrs[na - 1].flags = number;
        else if (na && strcmp(key, "metric") == 0)
            addrs[na - 1].metric = number;
        else if (na && strcmp(key, "network") == 0)
            addrs[na - 1].network = strtoull(value, NULL, 10);
        else if (nr && strcmp(key, "source") == 0)
            routes[nr - 1].source = ip_of(value);
        else if (nr && strcmp(key, "route_link") == 0)
            routes[nr - 1].link = number;
    }
    if (addrs && routes)
        roam_network_update(r->ua, now, &(roam_network){addrs, na, routes, nr});
    else
        r->no_memory = true;
    free(addrs);
    free(routes);
    return true;
}

static bool give_ip_change(replay *r, roam_time now, const cJSON *record)
{
    const roam_ip_change_param param = {.restart_listener = number_arg(r, "restart_listener") != 0,
                                        .restart_listener_delay_ms = number_arg(r, "delay_ms"),
                                        .shutdown_transport = number_arg(r, "shutdown_transport") != 0};
    (void)now, (void)record;
    roam_handle_ip_change(r->ua, number_arg(r, "param") ? &param : NULL);
    return true;
}

/* A command that needs the agent and a few numbers or texts. What it returned then it returns now. */
static bool give_command(replay *r, roam_time now, const cJSON *record)
{
    roam_call_options space, *options = options_arg(r, &space);
    const char *name = cJSON_GetObjectItemCaseSensitive(record, "object")->valuestring;
    const uint32_t call = number_arg(r, "call"), account = number_arg(r, "account"), status = number_arg(r, "number");
    const char *text = text_arg(r, "text");
    roam_ua *ua = r->ua;
    (void)now;
    if (strcmp(name, "shutdown") == 0)
        roam_ua_shutdown(ua);
    else if (strcmp(name, "account_remove") == 0)
        roam_account_remove(ua, account);
    else if (strcmp(name, "account_register") == 0)
        roam_account_register(ua, account);
    else if (strcmp(name, "account_unregister") == 0)
        roam_account_unregister(ua, account);
    else if (strcmp(name, "call_make") == 0)
        refused(roam_call_make(ua, account, text_arg(r, "uri"), options, NULL), options);
    else if (strcmp(name, "call_answer") == 0)
        refused(roam_call_answer(ua, call, options), options);
    else if (strcmp(name, "call_reject") == 0)
        roam_call_reject(ua, call, status);
    else if (strcmp(name, "call_hangup") == 0)
        roam_call_hangup(ua, call);
    else if (strcmp(name, "call_hold") == 0)
        roam_call_hold(ua, call);
    else if (strcmp(name, "call_resume") == 0)
        roam_call_resume(ua, call);
    else if (strcmp(name, "call_dtmf") == 0)
        roam_call_dtmf(ua, call, text);
    else if (strcmp(name, "call_progress") == 0)
        refused(roam_call_progress(ua, call, number_arg(r, "status"), number_arg(r, "early_media") != 0, options), options);
    else if (strcmp(name, "call_send_info") == 0)
        roam_call_send_info(ua, call, text_arg(r, "content_type"), span_arg(r, "body"));
    else if (strcmp(name, "message_send") == 0)
        roam_message_send(ua, account, text_arg(r, "uri"), text_arg(r, "content_type"), span_arg(r, "body"), NULL);
    else if (strcmp(name, "subscribe") == 0)
        roam_subscribe(ua, &(roam_subscription_config){account, text_arg(r, "uri"), text_arg(r, "event"), text_arg(r, "accept"), number_arg(r, "expires")}, NULL);
    else if (strcmp(name, "unsubscribe") == 0)
        roam_unsubscribe(ua, number_arg(r, "subscription"));
    else if (strcmp(name, "call_transfer") == 0)
        roam_call_transfer(ua, call, text);
    else if (strcmp(name, "call_transfer_to_call") == 0)
        roam_call_transfer_to_call(ua, call, number_arg(r, "other"));
    else if (strcmp(name, "call_transfer_accept") == 0)
        refused(roam_call_transfer_accept(ua, call, options, NULL), options);
    else
        roam_call_transfer_reject(ua, call, status);
    return true;
}

static const input inputs[] = {
    {"ua_new", give_new},
    {"ua_free", give_free},
    {"advance", give_advance},
    {"receive", give_datagram},
    {"receive_media", give_datagram},
    {"socket_opened", give_socket_opened},
    {"socket_error", give_socket_error},
    {"route", give_route},
    {"resolved", give_resolved},
    {"network_update", give_network},
    {"handle_ip_change", give_ip_change},
    {"account_add", give_account},
    {"shutdown", give_command},
    {"account_remove", give_command},
    {"account_register", give_command},
    {"account_unregister", give_command},
    {"call_make", give_command},
    {"call_answer", give_command},
    {"call_reject", give_command},
    {"call_hangup", give_command},
    {"call_hold", give_command},
    {"call_resume", give_command},
    {"call_dtmf", give_command},
    {"call_progress", give_command},
    {"call_send_info", give_command},
    {"message_send", give_command},
    {"subscribe", give_command},
    {"unsubscribe", give_command},
    {"call_transfer", give_command},
    {"call_transfer_to_call", give_command},
    {"call_transfer_accept", give_command},
    {"call_transfer_reject", give_command},
};

/* ---- line by line ---- */

static bool differs(const replay *r, const char *trace, const char *core)
{
    printf("line %llu: after %llu inputs and %llu records that were the same\n", (unsigned long long)r->at, (unsigned long long)r->inputs,
           (unsigned long long)r->compared);
    printf("  the trace: %s\n", trace ? trace : "nothing");
    printf("  the core:  %s\n", core ? core : "nothing");
    return false;
}

static uint64_t micros_of(const cJSON *time)
{
    return cJSON_IsNumber(time) ? (uint64_t)(time->valuedouble * 1e6 + 0.5) : 0;
}

static bool take_input(replay *r, const cJSON *record)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(record, "at"), *object = cJSON_GetObjectItemCaseSensitive(record, "object"),
                *bytes = cJSON_GetObjectItemCaseSensitive(record, "bytes");
    const input *found = NULL;
    for (size_t i = 0; cJSON_IsString(object) && i < sizeof inputs / sizeof *inputs; i++)
        if (strcmp(object->valuestring, inputs[i].name) == 0)
            found = &inputs[i];
    if (!found || !cJSON_IsNumber(at)) {
        cli_say("replay: line %llu: an input that this roam does not know", (unsigned long long)r->at);
        return false;
    }
    if (!r->ua && found->give != give_new) {
        cli_say("replay: line %llu: %s", (unsigned long long)r->at, r->over ? "an input after the end" : "the trace does not begin with the agent's birth");
        return false;
    }
    if (r->records.first)
        return differs(r, NULL, r->records.first->line);
    const roam_time now = (roam_time)at->valuedouble;
    if (now && !r->has_offset) {
        r->offset = (int64_t)(micros_of(cJSON_GetObjectItemCaseSensitive(record, "time")) - now);
        r->has_offset = true;
    }
    if (found->give != give_datagram)
        read_args(r, cJSON_IsString(bytes) ? bytes->valuestring : NULL);
    if ((found->give == give_command || found->give == give_account || found->give == give_ip_change) && now > r->now)
        roam_ua_advance(r->ua, now); /* commands take the time of the last input; one in which nothing was due is not in the trace */
    r->now = now > r->now ? now : r->now;
    r->inputs++;
    if (!found->give(r, now, record)) {
        cli_say("replay: line %llu: %s did not work", (unsigned long long)r->at, found->name);
        return false;
    }
    roam_output output;
    while (r->ua && roam_ua_poll(r->ua, &output)) {
    }
    return true;
}

/* What the edge wrote; it is not here. */
static bool of_the_edge(const char *object)
{
    static const char *const edge[] = {"agent", "monitor", "udp"};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++)
        if (strcmp(object, edge[i]) == 0)
            return true;
    return false;
}

static bool take_line(replay *r, char *line)
{
    cJSON *record = cJSON_Parse(line);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(record, "type"), *object = cJSON_GetObjectItemCaseSensitive(record, "object");
    const uint64_t time = micros_of(cJSON_GetObjectItemCaseSensitive(record, "time"));
    bool ok = true;
    if (!cJSON_IsString(type) || !cJSON_IsString(object)) {
        cli_say("replay: line %llu is no record: the trace ends here", (unsigned long long)r->at); /* cut where its writer died */
    } else if (strcmp(type->valuestring, "input") == 0) {
        ok = take_input(r, record);
    } else if (!of_the_edge(object->valuestring)) {
        const bool output = strcmp(type->valuestring, "output") == 0;
        said *core = queue_pop(output ? &r->outputs : &r->records);
        without_time(line);
        if (core)
            without_time(core->line);
        const bool late = !output && core && core->time && r->has_offset && (int64_t)(time - core->time) != r->offset; /* when an output is taken is the host's affair */
        if (!core || strcmp(core->line, line) != 0) {
            ok = differs(r, line, core ? core->line : NULL);
        } else if (late) {
            ok = differs(r, line, "the same, at another time");
        }
        r->compared += ok;
        free(core);
    }
    cJSON_Delete(record);
    if (r->no_memory)
        cli_say("replay: no memory");
    return ok && !r->no_memory;
}

/* The core asks in the middle of an input, so the answers are wanted before their lines come. */
static void collect_choices(replay *r, FILE *file)
{
    static const char *const words[] = {"both", "move", "stay", NULL};
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, file) > 0) {
        if (!strstr(line, "\"object\":\"choice\""))
            continue;
        cJSON *record = cJSON_Parse(line);
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(record, "type"), *why = cJSON_GetObjectItemCaseSensitive(record, "why");
        const int word = cJSON_IsString(why) ? options_word(why->valuestring, words) : -1;
        if (cJSON_IsString(type) && strcmp(type->valuestring, "path") == 0 && word >= 0) {
            if (r->choices.n == r->choices.cap) {
                const size_t more = r->choices.cap ? 2 * r->choices.cap : 16;
                roam_path_choice *list = realloc(r->choices.list, more * sizeof *list);
                if (!list) {
                    r->no_memory = true;
                    cJSON_Delete(record);
                    break;
                }
                r->choices.list = list;
                r->choices.cap = more;
            }
            r->choices.list[r->choices.n++] = (roam_path_choice)word;
        }
        cJSON_Delete(record);
    }
    free(line);
    rewind(file);
}

int cli_replay(int argc, char **argv)
{
    const cli_option *const tables[] = {table, NULL};
    const cli_options options = {.tables = tables, .subcommand = "replay"};
    char **files = calloc((size_t)argc + 1, sizeof *files), *line = NULL;
    replay *r = calloc(1, sizeof *r);
    int n = 0, status = files && r ? options_parse(&options, argc, argv, files, &n, help) : CLI_FAILED;
    FILE *file = NULL;
    size_t cap = 0;
    if (status < 0 && n != 1) {
        cli_say("replay: one trace, please (roam replay --help)");
        status = CLI_USAGE;
    }
    if (status < 0 && !(file = fopen(files[0], "re"))) {
        cli_say("%s: %s", files[0], strerror(errno));
        status = CLI_FAILED;
    }
    if (status < 0) {
        bool same = true;
        queue_init(&r->records);
        queue_init(&r->outputs);
        collect_choices(r, file);
        while (same && getline(&line, &cap, file) > 0) {
            r->at++;
            same = take_line(r, line);
        }
        if (same && r->inputs == 0) {
            cli_say("%s holds no inputs: it was written by --trace, not by --trace-replay", files[0]);
            same = false;
        } else if (same) {
            printf("the same: %llu inputs, %llu records\n", (unsigned long long)r->inputs, (unsigned long long)r->compared);
        }
        status = same ? CLI_OK : CLI_FAILED;
        roam_ua_free(r->ua);
        for (said *s; (s = queue_pop(&r->records)) || (s = queue_pop(&r->outputs));)
            free(s);
        json_free(&r->line);
        free(r->choices.list);
    }
    if (file)
        fclose(file);
    free(line);
    free(files);
    free(r);
    return status;
}

#endif
