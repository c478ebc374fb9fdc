/* roam phone: roam agent for a person. The prompt says how the calls are, with the gap of a move while it lasts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/events.h"
#include "cli/lines.h"

#ifdef ROAM_HAVE_LIBEDIT
#include <editline/readline.h>
#endif

typedef struct phone {
    cli_session session;
    line_in in;        /* without libedit, or where stdin is no terminal */
    uv_poll_t keyboard;
    uv_timer_t tick;
    bool editing;      /* libedit has the terminal */
    bool fresh;        /* nothing typed since the last line: libedit still holds that one, so it is not asked to draw */
    char prompt[256];
} phone;


static void help(void);
static void say(phone *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void on_event(cli_session *session, const roam_event *event);
static void on_line(void *user, char *line);
static void redraw(phone *p);
static void carry_out(phone *p, char *line);
static void list_calls(phone *p);
static void open_keyboard(phone *p);
static void close_keyboard(phone *p);

int cli_phone(int argc, char **argv)
{
    cli_settings settings;
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    phone *p = calloc(1, sizeof *p);
    int nrest, status = CLI_FAILED;
    settings_init(&settings);
    if (p && rest)
        status = settings_parse(&settings, "phone", NULL, argc, argv, rest, &nrest, help);
    if (status < 0 && nrest) {
        cli_say("phone: what is \"%s\"? Options first; commands are typed at the prompt", rest[0]);
        status = CLI_USAGE;
    }
    if (status < 0 && !settings_finish(&settings, "phone", true))
        status = CLI_USAGE;
    if (status < 0) {
        status = cli_session_open(&p->session, &settings, on_event, p);
        if (status == CLI_OK) {
            open_keyboard(p);
            cli_session_run(&p->session);
            close_keyboard(p);
            cli_session_close(&p->session);
        }
    }
    free(p);
    free(rest);
    settings_free(&settings);
    return status;
}

static void help(void)
{
    printf("roam phone: a telephone at a prompt. Tab completes commands; the prompt shows the calls and, while the network changes, since when\n"
           "nothing is heard.\n\n"
           "  roam phone --account sip:alice@example.com --password-file secret --source hello.wav --sink call-%%i.wav\n\nCommands:\n"
           "  calls                        the calls and the registrations\n");
    for (const cli_command *c = commands; c->name; c++)
        printf("  %-16s %-20s %s\n", c->name, c->arguments, c->help);
}

/* ---- what is shown ---- */

/* A line above the prompt. */
static void say(phone *p, const char *format, ...)
{
    va_list args;
    if (p->editing)
        printf("\r\033[K");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    redraw(p);
}

static const char *who(phone *p, roam_call_id id, char out[80])
{
    roam_call_info info;
    const known_call *call = cli_session_call(&p->session, id);
    const char *remote = call ? call->remote : "";
    if (roam_call_get_info(cli_session_ua(&p->session), id, &info) == 0)
        remote = info.remote_name[0] ? info.remote_name : info.remote;
    snprintf(out, 80, "%u %.60s", id, strncmp(remote, "sip:", 4) == 0 ? remote + 4 : remote);
    for (char *c = out; *c; c++) /* what a peer calls itself must not do anything to the terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return out;
}

static const char *state_words(roam_call_state state)
{
    static const char *const words[] = {"calling", "rings here", "rings there", "connecting", "talking", "hanging up", "over"};
    return words[state];
}

/* Text of a peer, one line, nothing in it that a terminal obeys. */
static const char *shown(roam_span text, char out[200])
{
    size_t len = text.len < 199 ? text.len : 199;
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? ' ' : text.ptr[i];
    out[len] = '\0';
    return out;
}

static void tell_change(phone *p, const roam_event *event)
{
    char name[80];
    if (event->call)
        who(p, event->call, name);
    else if (event->subscription)
        snprintf(name, sizeof name, "subscription %u", event->subscription);
    else
        snprintf(name, sizeof name, "%s", event->account ? "registration" : "network");
    const roam_ip_change_report *r = &event->report;
    switch (event->op) {
    case ROAM_IP_CHANGE_OFFLINE: say(p, "%s: no network", name); break;
    case ROAM_IP_CHANGE_DETECTED: say(p, "%s: another network", name); break;
    case ROAM_IP_CHANGE_RECOVERED:
        if (event->has_report && event->call)
            say(p, "%s: whole again after %.0f ms; %u ms without sound, %llu packets lost", name, r->recovered == ROAM_NEVER ? 0 : (double)r->recovered / 1000,
                r->gap_in_ms, (unsigned long long)r->lost_in);
        else
            say(p, "%s: moved%s", name, event->account ? "" : " and whole again");
        break;
    case ROAM_IP_CHANGE_FAILED: say(p, "%s: lost: %s", name, event->reason); break;
    default: break;
    }
}

static void on_event(cli_session *session, const roam_event *event)
{
    phone *p = session->user;
    char name[80], text[200], from[200];
    roam_account_info account;
    switch (event->type) {
    case ROAM_EVENT_REGISTRATION:
        if (event->registration == ROAM_REGISTRATION_REGISTERED || event->registration >= ROAM_REGISTRATION_BACKOFF ||
            event->registration == ROAM_REGISTRATION_NONE) {
            const bool known = roam_account_get_info(cli_session_ua(session), event->account, &account) == 0;
            say(p, "%s: %s%s%s", known ? account.aor : "registration", event->registration == ROAM_REGISTRATION_NONE ? "not registered" : roam_registration_state_text(event->registration),
                event->registration >= ROAM_REGISTRATION_BACKOFF ? ": " : "", event->registration >= ROAM_REGISTRATION_BACKOFF ? event->reason : "");
        }
        break;
    case ROAM_EVENT_CALL_INCOMING: say(p, "\a%s calls. answer or reject?", who(p, event->call, name)); break;
    case ROAM_EVENT_CALL_STATE:
        if (event->call_state == ROAM_CALL_ENDED)
            say(p, "%s: over: %s; %llu packets out, %llu in, %llu lost", who(p, event->call, name), event->reason, (unsigned long long)event->media.packets_sent,
                (unsigned long long)event->media.packets_received, (unsigned long long)event->media.packets_lost);
        else if (event->call_state != ROAM_CALL_CONNECTING)
            say(p, "%s: %s", who(p, event->call, name), state_words(event->call_state));
        break;
    case ROAM_EVENT_CALL_HOLD: say(p, "%s: hold %s", who(p, event->call, name), hold_text(event->hold)); break;
    case ROAM_EVENT_CALL_LINK: say(p, "%s: the line is %s", who(p, event->call, name), link_text(event->link)); break;
    case ROAM_EVENT_CALL_DTMF: say(p, "%s: digit %c", who(p, event->call, name), event->digit); break;
    case ROAM_EVENT_CALL_MEDIA_SILENT: say(p, "%s: nothing is heard", who(p, event->call, name)); break;
    case ROAM_EVENT_CALL_MEDIA_HEARD: say(p, "%s: heard again after %u ms", who(p, event->call, name), event->gap_ms); break;
    case ROAM_EVENT_IP_CHANGE_PROGRESS: tell_change(p, event); break;
    case ROAM_EVENT_CALL_TRANSFER: say(p, "%s: transfer %s", who(p, event->call, name), roam_transfer_state_text(event->transfer)); break;
    case ROAM_EVENT_CALL_TRANSFER_REQUESTED:
        say(p, "%s: wants you to call %s. accept-transfer or reject-transfer?", who(p, event->call, name), shown(event->uri, text));
        break;
    case ROAM_EVENT_CALL_REPLACED: say(p, "%s: call %u takes its place", who(p, event->call, name), event->other_call); break;
    case ROAM_EVENT_SUBSCRIPTION: say(p, "subscription %u: %s", event->subscription, roam_subscription_state_text(event->subscription_state)); break;
    case ROAM_EVENT_NOTIFY: say(p, "subscription %u: %s", event->subscription, shown(event->body, text)); break;
    case ROAM_EVENT_MESSAGE: say(p, "message from %s: %s", shown(event->uri, from), shown(event->body, text)); break;
    case ROAM_EVENT_MESSAGE_SENT: say(p, "message %u: %d %s", event->message, event->sip_code, event->reason); break;
    case ROAM_EVENT_CALL_INFO: say(p, "%s: info %s", who(p, event->call, name), event->body.len ? shown(event->body, text) : event->reason); break;
    case ROAM_EVENT_CALL_MEDIA:
    case ROAM_EVENT_SHUTDOWN_DONE: break;
    }
}

static void list_calls(phone *p)
{
    roam_ua *ua = cli_session_ua(&p->session);
    roam_account_id ids[64];
    char name[80], local[ROAM_ADDR_TEXT_MAX];
    const size_t n = roam_account_list(ua, ids, 64);
    for (size_t i = 0; i < n && i < 64; i++) {
        roam_account_info info;
        if (roam_account_get_info(ua, ids[i], &info) != 0)
            continue;
        roam_addr_format(&info.local, local);
        say(p, "account %u %s: %s, %s", ids[i], info.aor, roam_registration_state_text(info.registration), info.local.ip.family ? local : "no network");
    }
    for (const known_call *call = p->session.calls; call; call = call->next) {
        roam_call_info info;
        if (roam_call_get_info(ua, call->id, &info) != 0)
            continue;
        roam_addr_format(&info.media_local, local);
        say(p, "call %s: %s, %s, line %s, hold %s, sound from %s: %llu out, %llu in, %llu lost", who(p, call->id, name), state_words(info.state), info.codec,
            link_text(info.link), hold_text(info.hold), info.media_local.ip.family ? local : "nowhere", (unsigned long long)info.media.packets_sent,
            (unsigned long long)info.media.packets_received, (unsigned long long)info.media.packets_lost);
    }
    if (!p->session.calls)
        say(p, "no calls");
}

/* ---- commands ---- */

static void carry_out(phone *p, char *line)
{
    json result = {0};
    char command[64];
    const size_t start = strspn(line, " \t"), len = strcspn(line + start, " \t");
    snprintf(command, sizeof command, "%.*s", (int)(len < 63 ? len : 63), line + start);
    if (strcmp(command, "help") == 0) {
        for (const cli_command *c = commands; c->name; c++)
            say(p, "  %-16s %-20s %s", c->name, c->arguments, c->help);
        say(p, "  %-16s %-20s %s", "calls", "", "the calls and the registrations");
        return;
    }
    if (strcmp(command, "calls") == 0 || strcmp(command, "status") == 0) {
        list_calls(p);
        return;
    }
    if (command_run(&p->session, line, &result) && !result.failed) {
        /* The events say what goes well; here only what did not. The result's text is ours: its "error" is the last text of a failure. */
        char *error = strstr(result.ptr ? (result.ptr[result.len - 1] = '\0', result.ptr) : "", "\"error\":\"");
        if (error && strstr(result.ptr, "\"ok\":false")) {
            error += 9;
            say(p, "%s: %.*s", command, (int)strcspn(error, "\""), error);
        }
    }
    json_free(&result);
    roam_agent_flush(p->session.agent);
}

static void on_line(void *user, char *line)
{
    phone *p = user;
    if (!line) {
        if (!p->session.leaving)
            cli_session_leave(&p->session);
        return;
    }
    carry_out(p, line);
}

/* ---- the keyboard ---- */

#ifndef ROAM_HAVE_LIBEDIT

static void open_keyboard(phone *p)
{
    line_in_open(&p->in, &p->session.loop, STDIN_FILENO, on_line, p);
}

static void close_keyboard(phone *p)
{
    line_in_close(&p->in);
}

static void redraw(phone *p)
{
    (void)p;
    fflush(stdout);
}

#else

static phone *editing_phone; /* libedit's callbacks know no user pointer */

static void prompt_text(phone *p, char *out, size_t size)
{
    roam_ua *ua = cli_session_ua(&p->session);
    size_t n = 0;
    out[0] = '\0';
    for (const known_call *call = p->session.calls; call && n + 80 < size; call = call->next) {
        roam_call_info info;
        if (roam_call_get_info(ua, call->id, &info) != 0)
            continue;
        n += (size_t)snprintf(out + n, size - n, "[%u %s", call->id, state_words(info.state));
        if (call->confirmed_at) {
            const unsigned seconds = (unsigned)((cli_now() - call->confirmed_at) / 1000000u);
            n += (size_t)snprintf(out + n, size - n, " %u:%02u", seconds / 60, seconds % 60);
        }
        const roam_time silent = info.media.last_received ? cli_now() - info.media.last_received : 0;
        if (info.link != ROAM_LINK_OK)
            n += (size_t)snprintf(out + n, size - n, " %s", link_text(info.link));
        if (info.state == ROAM_CALL_CONFIRMED && info.hold == ROAM_HOLD_NONE && silent > 300000u)
            n += (size_t)snprintf(out + n, size - n, " silent %.1f s", (double)silent / 1e6);
        n += (size_t)snprintf(out + n, size - n, "] ");
    }
    snprintf(out + n, size - n, "roam> ");
}

static void on_edited(char *line)
{
    phone *p = editing_phone;
    if (!line) {
        printf("\n");
        if (!p->session.leaving)
            cli_session_leave(&p->session);
        return;
    }
    p->fresh = true;
    if (line[strspn(line, " \t")])
        add_history(line);
    carry_out(p, line);
    free(line);
}

static char *next_command(const char *text, int state)
{
    static size_t at;
    if (state == 0)
        at = 0;
    while (commands[at].name) {
        const char *name = commands[at++].name;
        if (strncmp(name, text, strlen(text)) == 0)
            return strdup(name);
    }
    return NULL;
}

/* The first word is a command; others are addresses or numbers, which are not completed (no file names either). */
static char **complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1;
    return start == 0 ? rl_completion_matches(text, next_command) : NULL;
}

static void on_keyboard(uv_poll_t *poll, int status, int events)
{
    phone *p = editing_phone;
    const bool was_fresh = p->fresh;
    (void)poll, (void)status, (void)events;
    p->fresh = false;
    rl_callback_read_char();
    if (was_fresh && !p->fresh) {
        printf("\r\033[K");
        redraw(p);
    }
}

static void on_tick(uv_timer_t *timer)
{
    phone *p = timer->data;
    char text[sizeof p->prompt];
    prompt_text(p, text, sizeof text);
    if (!p->editing || strcmp(text, p->prompt) == 0)
        return;
    memcpy(p->prompt, text, sizeof text);
    rl_set_prompt(p->prompt);
    printf("\r\033[K");
    redraw(p);
}

static void redraw(phone *p)
{
    if (p->editing && p->fresh)
        printf("%s", p->prompt);
    fflush(stdout);
    if (p->editing && !p->fresh)
        rl_forced_update_display();
    fflush(stdout);
}

static void open_keyboard(phone *p)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        line_in_open(&p->in, &p->session.loop, STDIN_FILENO, on_line, p);
        return;
    }
    editing_phone = p;
    p->editing = true;
    rl_attempted_completion_function = complete;
    rl_readline_name = (char *)(uintptr_t) "roam";
    prompt_text(p, p->prompt, sizeof p->prompt);
    rl_callback_handler_install(p->prompt, on_edited);
    uv_poll_init(&p->session.loop, &p->keyboard, STDIN_FILENO);
    uv_poll_start(&p->keyboard, UV_READABLE, on_keyboard);
    uv_timer_init(&p->session.loop, &p->tick);
    p->tick.data = p;
    uv_timer_start(&p->tick, on_tick, 100, 200);
}

static void close_keyboard(phone *p)
{
    if (!p->editing) {
        line_in_close(&p->in);
        return;
    }
    p->editing = false;
    rl_callback_handler_remove();
    printf("\r\033[K");
    uv_close((uv_handle_t *)&p->keyboard, NULL);
    uv_close((uv_handle_t *)&p->tick, NULL);
}

#endif
