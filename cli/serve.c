/* roam serve: the registrar and proxy of testbed/ on sockets, for tests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/lines.h"
#include "cli/options.h"
#include "cli/servepeer.h"
#include "cli/settings.h"
#include "cli/tracefile.h"
#include "edge/address.h"
#include "testbed/server.h"

enum { LISTENERS_MAX = 8, PEERS_MAX = 8, DOMAINS_MAX = 8 };

typedef struct serve {
    uv_loop_t loop;
    uv_udp_t sockets[LISTENERS_MAX];
    uv_timer_t timer, flush_timer;
    uv_prepare_t before_block;
    uv_signal_t interrupt, terminate;
    roam_testserver server;
    roam_testserver_config config;
    bool server_open;
    line_in in;
    line_out out;
    json line;
    cli_tracefile trace;
    roam_addr listen[LISTENERS_MAX];
    size_t nlisten, nopen;
    const char *domains[DOMAINS_MAX];
    size_t ndomains;
    struct {
        char name[64];
        roam_audio_play play;
    } peers[PEERS_MAX];
    size_t npeers;
    serve_peer *running[PEERS_MAX];
    struct serve_user {
        char name[128], password[256];
    } *users;
    size_t nusers;
    char any_password[256]; /* everybody's, of --password-file */
    bool any;
    const char *trace_path;
    bool json_out, json_forced, requests;
} serve;

static void help(void);
static bool open_all(serve *s);
static void close_all(serve *s);
static const char *password_of(serve *s, const char *name);
static void admit_anybody(serve *s, roam_span bytes);
static void on_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes);
static void on_notice(void *user, const roam_notice *notice);
static void on_trace(void *user, const roam_trace_record *record);
static void on_peer(void *user, const char *name, const roam_peer_event *event);
static void on_datagram(uv_udp_t *socket, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags);
static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf);
static void on_before_block(uv_prepare_t *prepare);
static void on_timer(uv_timer_t *timer);
static void on_flush(uv_timer_t *timer);
static void on_signal(uv_signal_t *handle, int number);
static void on_line(void *user, char *line);
static void say_ready(serve *s);
static void say_bindings(serve *s, const char *name, bool contacts_only);
static void set_messages(serve *s, const char *name, char *rest);
static void send_line(serve *s);

static const cli_option *serve_options(void);

int cli_serve(int argc, char **argv)
{
    serve *s = calloc(1, sizeof *s);
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int nrest, status = CLI_FAILED;
    if (s && rest) {
        const cli_option *const tables[] = {serve_options(), NULL};
        const cli_options options = {.tables = tables, .target = s, .subcommand = "serve"};
        s->json_out = !isatty(STDOUT_FILENO);
        s->config.auth.md5 = s->config.auth.sha256 = true;
        status = options_parse(&options, argc, argv, rest, &nrest, help);
        if (status < 0 && nrest) {
            cli_say("serve: what is \"%s\"?", rest[0]);
            status = CLI_USAGE;
        }
        if (status < 0) {
            status = open_all(s) ? CLI_OK : CLI_NETWORK;
            if (status == CLI_OK)
                uv_run(&s->loop, UV_RUN_DEFAULT);
            close_all(s);
        }
    }
    if (s) {
        explicit_bzero(s->any_password, sizeof s->any_password);
        if (s->users)
            explicit_bzero(s->users, s->nusers * sizeof *s->users);
        free(s->users);
    }
    free(s);
    free(rest);
    return status;
}

static void help(void)
{
    printf("roam serve: a registrar and record-routing proxy to test against. Not for the open Internet.\n\n"
           "  roam serve --listen 127.0.0.1:5060 --peer echo=echo\n"
           "  roam serve --listen 10.9.0.10:5060 --domain example.com --user alice:alice.password --user bob:bob.password\n"
           "  roam serve --listen 10.9.0.10 --password-file secret --one-time-nonces --nat-help --json\n\n"
           "Without users anybody may register and call. What happens is told on stdout. Commands on stdin: \"bindings NAME\" (the location\n"
           "table as JSON), \"contacts NAME\" (its URIs only), \"messages NAME NEW [OLD]\" (in the mailbox, for those subscribed to message-summary), \"quit\".\n");
}

/* ---- options ---- */

static const char *set_listen(void *target, const char *value)
{
    serve *s = target;
    roam_addr addr;
    if (s->nlisten == LISTENERS_MAX)
        return "too many";
    if (roam_addr_parse(span_of(value), &addr) != ROAM_OK)
        return options_why("%s is no ADDRESS:PORT", value);
    bool any = true;
    for (size_t i = 0; i < 16; i++)
        any = any && addr.ip.bytes[i] == 0;
    if (any)
        return "an address that clients reach, please: it is written into Via and Record-Route";
    if (!addr.port)
        addr.port = 5060;
    s->listen[s->nlisten++] = addr;
    return NULL;
}

static const char *set_domain(void *target, const char *value)
{
    serve *s = target;
    if (s->ndomains == DOMAINS_MAX)
        return "too many";
    s->domains[s->ndomains++] = value;
    return NULL;
}

static const char *add_user(serve *s, const char *name, size_t len, const char *file)
{
    struct serve_user *users = realloc(s->users, (s->nusers + 1) * sizeof *users);
    if (!users)
        return "out of memory";
    s->users = users;
    struct serve_user *user = &users[s->nusers];
    *user = (struct serve_user){0};
    if (len == 0 || len >= sizeof user->name)
        return "NAME:PASSWORDFILE";
    memcpy(user->name, name, len);
    const char *wrong = password_read(file, user->password, sizeof user->password);
    s->nusers += !wrong;
    return wrong;
}

static const char *set_user(void *target, const char *value)
{
    const char *colon = strchr(value, ':');
    if (!colon)
        return "NAME:PASSWORDFILE; the password itself does not belong on a command line";
    return add_user(target, value, (size_t)(colon - value), colon + 1);
}

static const char *set_users(void *target, const char *value)
{
    serve *s = target;
    char line[512];
    const char *wrong = NULL;
    FILE *file = fopen(value, "re");
    if (!file)
        return options_why("%s: %s", value, strerror(errno));
    while (!wrong && fgets(line, sizeof line, file)) {
        const size_t name = strcspn(line, ": \t\r\n");
        char *password = line + name + (line[name] != '\0');
        password[strcspn(password, "\r\n")] = '\0';
        if (name == 0 || line[0] == '#')
            continue;
        struct serve_user *users = realloc(s->users, (s->nusers + 1) * sizeof *users);
        if (!users) {
            wrong = "out of memory";
            break;
        }
        s->users = users;
        struct serve_user *user = &users[s->nusers];
        *user = (struct serve_user){0};
        if (name >= sizeof user->name || strlen(password) >= sizeof user->password || !*password) {
            wrong = options_why("%s: a line is not NAME:PASSWORD", value);
            break;
        }
        memcpy(user->name, line, name);
        memcpy(user->password, password, strlen(password));
        s->nusers++;
    }
    explicit_bzero(line, sizeof line);
    fclose(file);
    return wrong;
}

static const char *set_password_file(void *target, const char *value)
{
    serve *s = target;
    s->any = true;
    return password_read(value, s->any_password, sizeof s->any_password);
}

static const char *set_peer(void *target, const char *value)
{
    static const char *const words[] = {"tone", "echo", "silent", NULL};
    serve *s = target;
    const size_t len = strcspn(value, "=");
    const int play = value[len] ? options_word(value + len + 1, words) : 0;
    if (s->npeers == PEERS_MAX)
        return "too many";
    if (len == 0 || len >= sizeof s->peers[0].name || play < 0)
        return "NAME=tone, NAME=echo or NAME=silent";
    memcpy(s->peers[s->npeers].name, value, len);
    s->peers[s->npeers++].play = (roam_audio_play)play;
    return NULL;
}

static const char *set_realm(void *target, const char *value)
{
    ((serve *)target)->config.auth.realm = value;
    return NULL;
}

static const char *set_digest(void *target, const char *value)
{
    roam_auth_config *auth = &((serve *)target)->config.auth;
    auth->md5 = auth->sha256 = auth->sha512_256 = false;
    for (const char *at = value; *at;) {
        const size_t n = strcspn(at, ",");
        if (n == 3 && strncasecmp(at, "md5", n) == 0)
            auth->md5 = true;
        else if (n == 7 && strncasecmp(at, "sha-256", n) == 0)
            auth->sha256 = true;
        else if (n == 11 && strncasecmp(at, "sha-512-256", n) == 0)
            auth->sha512_256 = true;
        else
            return "some of MD5,SHA-256,SHA-512-256";
        at += n + (at[n] == ',');
    }
    return NULL;
}

static const char *set_seconds(const char *value, uint32_t *out)
{
    uint64_t n;
    const char *wrong = options_number(value, 1, 86400u * 365u, &n);
    if (!wrong)
        *out = (uint32_t)n;
    return wrong;
}

static const char *set_min_expires(void *target, const char *value)
{
    return set_seconds(value, &((serve *)target)->config.registrar.min_expires);
}

static const char *set_max_expires(void *target, const char *value)
{
    return set_seconds(value, &((serve *)target)->config.registrar.max_expires);
}

static const char *set_max_contacts(void *target, const char *value)
{
    uint64_t n;
    const char *wrong = options_number(value, 1, ROAM_MAX_BINDINGS, &n);
    if (!wrong)
        ((serve *)target)->config.registrar.max_contacts = (size_t)n;
    return wrong;
}

static const char *set_proxy_auth(void *target, const char *value)
{
    static const char *const words[] = {"all", "initial", "none", NULL};
    const int i = options_word(value, words);
    if (i < 0)
        return "all, initial or none";
    ((serve *)target)->config.proxy.auth = (roam_proxy_auth)i;
    return NULL;
}

#define FLAG(name, field)                                 \
    static const char *name(void *target, const char *v)  \
    {                                                     \
        (void)v;                                          \
        ((serve *)target)->field = true;                  \
        return NULL;                                      \
    }
FLAG(set_bind_nonces, config.auth.bind_source)
FLAG(set_one_time, config.auth.one_time)
FLAG(set_strict_count, config.auth.strict_count)
FLAG(set_rewrite, config.registrar.rewrite_contact)
FLAG(set_edge_refuses, config.proxy.edge_refuses)
FLAG(set_nat_help, config.proxy.nat_help)
FLAG(set_no_record_route, config.proxy.no_record_route)
FLAG(set_requests, requests)

static const char *set_json(void *target, const char *value)
{
    (void)value;
    ((serve *)target)->json_out = true;
    return NULL;
}

static const char *set_text(void *target, const char *value)
{
    (void)value;
    ((serve *)target)->json_out = false;
    return NULL;
}

static const char *set_trace(void *target, const char *value)
{
    ((serve *)target)->trace_path = value;
    return NULL;
}

static const cli_option options_table[] = {
    {"listen", "ADDR[:PORT]", "receive here over UDP (127.0.0.1:5060); repeat it for more", set_listen},
    {"bind", "ADDR[:PORT]", NULL, set_listen},
    {"domain", "NAME", "a domain this server is responsible for, besides its addresses; repeat it for more", set_domain},
    {"user", "NAME:FILE", "a user; the first line of the file is the password", set_user},
    {"users", "FILE", "users, one a line: NAME:PASSWORD (chmod 600)", set_users},
    {"password-file", "FILE", "anybody may register, with the password on its first line", set_password_file},
    {"realm", "NAME", "of the challenges; otherwise the first domain or address", set_realm},
    {"digest", "LIST", "algorithms to offer, of MD5,SHA-256,SHA-512-256 (MD5,SHA-256)", set_digest},
    {"bind-nonces", NULL, "a nonce is good for the address it was given to", set_bind_nonces},
    {"one-time-nonces", NULL, "a nonce is good for one request", set_one_time},
    {"strict-nonce-count", NULL, "the nonce count must grow", set_strict_count},
    {"rewrite-contact", NULL, "each Contact becomes the source of its REGISTER", set_rewrite},
    {"max-contacts", "N", "of one user; more: 403", set_max_contacts},
    {"min-expires", "SECONDS", "shorter leases: 423 (60)", set_min_expires},
    {"max-expires", "SECONDS", "longer leases are cut (7200)", set_max_expires},
    {"proxy-auth", "WHAT", "challenge all requests (default), initial ones, none", set_proxy_auth},
    {"edge-refuses", NULL, "403 for calls from where nobody registered", set_edge_refuses},
    {"nat-help", NULL, "requests to a Contact go to where its REGISTER came from", set_nat_help},
    {"no-record-route", NULL, "stay out of dialogs", set_no_record_route},
    {"peer", "NAME=WHAT", "somebody to call: plays a tone, echoes, or is silent", set_peer},
    {"requests", NULL, "tell every request, too", set_requests},
    {"trace", "FILE", "write what happens, message by message, for \"roam ladder\"", set_trace},
    {"json", NULL, "JSON lines; the default where stdout is no terminal", set_json},
    {"text", NULL, "text; the default where it is one", set_text},
    {0},
};

static const cli_option *serve_options(void)
{
    return options_table;
}

/* ---- birth and death ---- */

static bool open_sockets(serve *s)
{
    for (size_t i = 0; i < s->nlisten; i++) {
        struct sockaddr_storage at, bound;
        int size = 1 << 21, length = sizeof bound;
        address_to_sockaddr(&s->listen[i], 0, &at);
        uv_udp_init(&s->loop, &s->sockets[i]);
        s->sockets[i].data = s;
        s->nopen++;
        int err = uv_udp_bind(&s->sockets[i], (struct sockaddr *)&at, 0);
        if (!err)
            err = uv_udp_getsockname(&s->sockets[i], (struct sockaddr *)&bound, &length);
        if (!err)
            err = uv_udp_recv_start(&s->sockets[i], on_alloc, on_datagram);
        if (err) {
            char text[ROAM_ADDR_TEXT_MAX];
            roam_addr_format(&s->listen[i], text);
            cli_say("serve: %s: %s", text, uv_strerror(err));
            return false;
        }
        address_from_sockaddr((struct sockaddr *)&bound, &s->listen[i]);
        uv_recv_buffer_size((uv_handle_t *)&s->sockets[i], &size);
    }
    return true;
}

static bool open_server(serve *s)
{
    char address[ROAM_ADDR_TEXT_MAX];
    roam_ip_format(&s->listen[0].ip, address);
    if (!s->config.auth.realm)
        s->config.auth.realm = s->ndomains ? s->domains[0] : address;
    const roam_testserver_host host = {.send = on_send, .notice = on_notice, .trace = s->trace_path ? on_trace : NULL, .user = s};
    int err = uv_random(NULL, NULL, s->config.seed, sizeof s->config.seed, 0, NULL) == 0 ? testserver_init(&s->server, &s->config, &host) : ROAM_EIO;
    s->server_open = !err;
    for (size_t i = 0; !err && i < s->nlisten; i++)
        err = testserver_add_path(&s->server, (uint32_t)i + 1, &s->listen[i]);
    for (size_t i = 0; !err && i < s->ndomains; i++)
        err = testserver_add_domain(&s->server, s->domains[i]);
    for (size_t i = 0; !err && i < s->nusers; i++)
        err = testserver_add_user(&s->server, s->users[i].name, s->users[i].password);
    if (!err && s->any) /* so that passwords are asked for from the start */
        err = testserver_add_user(&s->server, " ", s->any_password);
    for (size_t i = 0; !err && i < s->npeers; i++) {
        const char *password = password_of(s, s->peers[i].name);
        if (!password && (s->nusers || s->any))
            err = testserver_add_user(&s->server, s->peers[i].name, NULL);
        if (!err)
            err = servepeer_new(&s->loop, s->peers[i].name, s->ndomains ? s->domains[0] : address, password, &s->listen[0], s->peers[i].play, on_peer, s,
                                s->trace_path ? on_trace : NULL, &s->running[i]);
    }
    if (err)
        cli_say("serve: %s", roam_strerror(err));
    return !err;
}

static bool open_all(serve *s)
{
    if (s->nlisten == 0)
        set_listen(s, "127.0.0.1:5060");
    if (uv_loop_init(&s->loop) != 0)
        return false;
    uv_timer_init(&s->loop, &s->timer);
    uv_timer_init(&s->loop, &s->flush_timer);
    uv_prepare_init(&s->loop, &s->before_block);
    uv_signal_init(&s->loop, &s->interrupt);
    uv_signal_init(&s->loop, &s->terminate);
    s->timer.data = s->flush_timer.data = s->before_block.data = s->interrupt.data = s->terminate.data = s;
    line_out_open(&s->out, &s->loop, STDOUT_FILENO, 4u << 20);
    if ((s->trace_path && !tracefile_open(&s->trace, s->trace_path)) || !open_sockets(s) || !open_server(s))
        return false;
    uv_prepare_start(&s->before_block, on_before_block);
    uv_timer_start(&s->flush_timer, on_flush, 200, 200);
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    uv_signal_start(&s->terminate, on_signal, SIGTERM);
    line_in_open(&s->in, &s->loop, STDIN_FILENO, on_line, s);
    say_ready(s);
    return true;
}

static void close_all(serve *s)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        servepeer_free(s->running[i]);
    for (size_t i = 0; i < s->nopen; i++)
        uv_close((uv_handle_t *)&s->sockets[i], NULL);
    if (s->timer.loop) {
        uv_close((uv_handle_t *)&s->timer, NULL);
        uv_close((uv_handle_t *)&s->flush_timer, NULL);
        uv_close((uv_handle_t *)&s->before_block, NULL);
        uv_close((uv_handle_t *)&s->interrupt, NULL);
        uv_close((uv_handle_t *)&s->terminate, NULL);
        line_in_close(&s->in);
        line_out_close(&s->out, 1000);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        uv_loop_close(&s->loop);
    }
    if (s->server_open)
        testserver_free(&s->server);
    tracefile_close(&s->trace);
    json_free(&s->line);
}

/* ---- who may ---- */

static const char *password_of(serve *s, const char *name)
{
    for (size_t i = 0; i < s->nusers; i++)
        if (strcmp(s->users[i].name, name) == 0)
            return s->users[i].password;
    return s->any ? s->any_password : NULL;
}

/* --password-file: whoever registers becomes a user, before the server judges. */
static void admit_anybody(serve *s, roam_span bytes)
{
    roam_message message;
    roam_header_space space;
    roam_name_addr to;
    char user[REGISTRAR_MAX_USER], name[REGISTRAR_MAX_USER + 1];
    if (bytes.len < 9 || memcmp(bytes.ptr, "REGISTER ", 9) != 0 || message_parse(&message, &space, bytes) != ROAM_OK ||
        name_addr_parse(message_value(&message, HEADER_TO), &to) != ROAM_OK)
        return;
    const roam_span found = registrar_user(&to.uri, user);
    if (found.len == 0 || auth_knows(&s->server.auth, found))
        return;
    memcpy(name, found.ptr, found.len);
    name[found.len] = '\0';
    (void)testserver_add_user(&s->server, name, s->any_password);
}

/* ---- input and output ---- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    static char space[65536]; /* used up before the next callback */
    (void)handle, (void)wanted;
    *buf = uv_buf_init(space, sizeof space);
}

static void on_datagram(uv_udp_t *socket, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    serve *s = socket->data;
    roam_addr remote;
    if (n <= 0 || !from || (flags & UV_UDP_PARTIAL) || !address_from_sockaddr(from, &remote))
        return;
    const roam_span bytes = {buf->base, (size_t)n};
    if (s->any)
        admit_anybody(s, bytes);
    testserver_receive(&s->server, cli_now(), (uint32_t)(socket - s->sockets) + 1, &remote, bytes);
}

static void on_send(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    serve *s = user;
    struct sockaddr_storage to;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len);
    if (socket < 1 || socket > s->nlisten || address_to_sockaddr(remote, 0, &to) == 0)
        return;
    (void)uv_udp_try_send(&s->sockets[socket - 1], &buf, 1, (struct sockaddr *)&to); /* full or refused: lost, as UDP is */
}

/* The deadline may have moved with anything that happened: it is looked at once, just before the loop sleeps. */
static void on_before_block(uv_prepare_t *prepare)
{
    serve *s = prepare->data;
    roam_time due = testserver_deadline(&s->server), now = cli_now();
    if (due == ROAM_NEVER)
        uv_timer_stop(&s->timer);
    else
        uv_timer_start(&s->timer, on_timer, due > now ? (due - now + 999) / 1000 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    serve *s = timer->data;
    testserver_advance(&s->server, cli_now());
}

static void on_flush(uv_timer_t *timer)
{
    serve *s = timer->data;
    tracefile_flush(&s->trace);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static void on_trace(void *user, const roam_trace_record *record)
{
    serve *s = user;
    tracefile_record(&s->trace, record);
}

/* ---- what is told ---- */

static void begin(serve *s, const char *event, uint64_t wall)
{
    json_clear(&s->line);
    json_object(&s->line, NULL);
    json_text(&s->line, "event", event);
    json_micros(&s->line, "time", wall);
}

static void end(serve *s)
{
    json_object_end(&s->line);
    json_line_end(&s->line);
    send_line(s);
}

static void send_line(serve *s)
{
    if (!s->line.failed)
        line_out_write(&s->out, s->line.ptr, s->line.len);
}

static void notice_json(serve *s, const roam_notice *n)
{
    char name[32];
    snprintf(name, sizeof name, "%s", notice_text(n->type));
    for (char *c = name; *c; c++)
        *c = *c == '-' ? '_' : *c;
    begin(s, name, cli_wall(n->time));
    if (n->method.len)
        json_span(&s->line, "method", n->method);
    if (n->subject.len)
        json_span(&s->line, "subject", n->subject);
    if (n->contact.len)
        json_span(&s->line, "contact", n->contact);
    if (n->remote.ip.family)
        json_addr(&s->line, "remote", &n->remote);
    if (n->status)
        json_u64(&s->line, "sip_code", n->status);
    if (n->expires)
        json_u64(&s->line, "expires", n->expires);
    if (n->call_id.len)
        json_span(&s->line, "call_id", n->call_id);
    if (n->why && n->why[0])
        json_text(&s->line, "reason", n->why);
    end(s);
}

/* What a terminal shows must not do anything to it. */
static roam_span printable(roam_span text, char space[256])
{
    size_t n = text.len < 256 ? text.len : 256;
    for (size_t i = 0; i < n; i++)
        space[i] = (unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? '?' : text.ptr[i];
    return span_make(space, n);
}

static void notice_text_line(serve *s, const roam_notice *n)
{
    char text[1024], remote[ROAM_ADDR_TEXT_MAX] = "", a[256], b[256], c[256];
    const unsigned seconds = (unsigned)(cli_wall(n->time) / 1000000u % 86400u);
    if (n->remote.ip.family)
        roam_addr_format(&n->remote, remote);
    int len = snprintf(text, sizeof text, "%02u:%02u:%02u %-17s %.*s %.*s %.*s", seconds / 3600, seconds / 60 % 60, seconds % 60, notice_text(n->type),
                       SPAN_ARG(printable(n->method, a)), SPAN_ARG(printable(n->subject, b)), SPAN_ARG(printable(n->contact, c)));
    if (len > 0 && n->status)
        len += snprintf(text + len, sizeof text - (size_t)len, " %u", n->status);
    if (len > 0 && remote[0])
        len += snprintf(text + len, sizeof text - (size_t)len, " (%s)", remote);
    if (len > 0 && n->why && n->why[0])
        len += snprintf(text + len, sizeof text - (size_t)len, " %s", n->why);
    text[len] = '\n';
    line_out_write(&s->out, text, (size_t)len + 1);
}

static void on_notice(void *user, const roam_notice *notice)
{
    serve *s = user;
    if (notice->type == NOTICE_REQUEST && !s->requests)
        return;
    if (s->json_out)
        notice_json(s, notice);
    else
        notice_text_line(s, notice);
}

static void on_peer(void *user, const char *name, const roam_peer_event *event)
{
    serve *s = user;
    if (!s->json_out)
        return;
    begin(s, "peer", cli_wall_now());
    json_text(&s->line, "peer", name);
    json_text(&s->line, "what", peer_event_text(event->type));
    if (event->call)
        json_u64(&s->line, "call", event->call);
    if (event->status)
        json_u64(&s->line, "sip_code", event->status);
    if (event->why && event->why[0])
        json_text(&s->line, "reason", event->why);
    end(s);
}

static void say_ready(serve *s)
{
    char text[ROAM_ADDR_TEXT_MAX], line[256];
    if (s->json_out) {
        begin(s, "ready", cli_wall_now());
        json_array(&s->line, "listen");
        for (size_t i = 0; i < s->nlisten; i++)
            json_addr(&s->line, NULL, &s->listen[i]);
        json_array_end(&s->line);
        json_text(&s->line, "realm", s->server.auth.realm);
        json_bool(&s->line, "passwords", auth_enabled(&s->server.auth));
        end(s);
        return;
    }
    for (size_t i = 0; i < s->nlisten; i++) {
        roam_addr_format(&s->listen[i], text);
        int n = snprintf(line, sizeof line, "listening on %s (UDP)%s\n", text, auth_enabled(&s->server.auth) ? "" : "; anybody may register");
        line_out_write(&s->out, line, (size_t)n);
    }
}

/* ---- commands ---- */

static void on_line(void *user, char *line)
{
    serve *s = user;
    if (!line) {
        /* The end of stdin is no reason to leave: servers are started in the background. */
        return;
    }
    char *rest, *word = strtok_r(line, " \t", &rest), *name = strtok_r(NULL, " \t", &rest);
    if (!word)
        return;
    if (strcmp(word, "quit") == 0) {
        uv_stop(&s->loop);
    } else if (name && (strcmp(word, "bindings") == 0 || strcmp(word, "contacts") == 0)) {
        say_bindings(s, name, word[0] == 'c');
    } else if (name && strcmp(word, "messages") == 0) {
        set_messages(s, name, rest);
    } else {
        begin(s, "result", cli_wall_now());
        json_text(&s->line, "command", word);
        json_bool(&s->line, "ok", false);
        json_text(&s->line, "error", "commands are: bindings NAME, contacts NAME, messages NAME NEW [OLD], quit");
        end(s);
    }
}

/* What the notifier tells who subscribed to the mailbox. */
static void set_messages(serve *s, const char *name, char *rest)
{
    uint32_t counts[2] = {0};
    bool ok = false;
    for (int i = 0; i < 2; i++) {
        char *word = strtok_r(NULL, " \t", &rest);
        uint64_t n = 0;
        if (!word)
            break;
        ok = options_number(word, 0, UINT32_MAX, &n) == NULL;
        if (!ok)
            break;
        counts[i] = (uint32_t)n;
    }
    if (ok)
        ok = notifier_set_messages(&s->server.notifier, span_of(name), counts[0], counts[1]) == 0;
    begin(s, "result", cli_wall_now());
    json_text(&s->line, "command", "messages");
    json_bool(&s->line, "ok", ok);
    if (!ok)
        json_text(&s->line, "error", "messages NAME NEW [OLD]");
    end(s);
}

static void say_bindings(serve *s, const char *name, bool contacts_only)
{
    char space[REGISTRAR_MAX_USER];
    roam_uri uri;
    roam_span user = span_of(name);
    if (uri_parse(user, &uri) == ROAM_OK && uri.user.len)
        user = registrar_user(&uri, space);
    else if (memchr(user.ptr, '@', user.len))
        user = span_cut(user, '@', &(roam_span){0});
    const roam_aor *aor = registrar_find(&s->server.registrar, user);
    begin(s, contacts_only ? "contacts" : "bindings", cli_wall_now());
    json_span(&s->line, "user", user);
    json_array(&s->line, contacts_only ? "contacts" : "bindings");
    if (aor) {
        list_each(binding, &aor->bindings, roam_binding, node)
        {
            if (contacts_only) {
                json_text(&s->line, NULL, binding->contact);
                continue;
            }
            const roam_time now = cli_now();
            json_object(&s->line, NULL);
            json_text(&s->line, "contact", binding->contact);
            json_addr(&s->line, "source", &binding->source);
            json_millis(&s->line, "expires_in_ms", binding->expires_at > now ? binding->expires_at - now : 0);
            json_text(&s->line, "call_id", binding->call_id);
            json_u64(&s->line, "cseq", binding->cseq);
            if (binding->instance)
                json_text(&s->line, "instance", binding->instance);
            if (binding->reg_id)
                json_u64(&s->line, "reg_id", binding->reg_id);
            json_object_end(&s->line);
        }
    }
    json_array_end(&s->line);
    end(s);
}
