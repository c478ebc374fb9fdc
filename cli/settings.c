#include "cli/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

typedef struct cli_text {
    struct cli_text *next;
    char text[];
} cli_text;

typedef struct cli_secret {
    struct cli_secret *next;
    char text[256];
} cli_secret;

static const char no_memory[] = "out of memory";

enum { TABLES = 6 };
static const cli_options *file_options; /* of the parse under way: --config reads by the same tables */
static void collect(const cli_option *extra, const cli_option *tables[TABLES]);

void settings_init(cli_settings *s)
{
    *s = (cli_settings){.timeout_s = 32}; /* a transaction's own limit, RFC 3261 17.1: 64*T1 */
    roam_agent_config_default(&s->agent);
    roam_account_config_default(&s->before.config);
}

void settings_free(cli_settings *s)
{
    settings_forget_secrets(s);
    while (s->secrets) {
        cli_secret *next = s->secrets->next;
        free(s->secrets);
        s->secrets = next;
    }
    while (s->texts) {
        cli_text *next = s->texts->next;
        free(s->texts);
        s->texts = next;
    }
    free(s->accounts);
    *s = (cli_settings){0};
}

void settings_forget_secrets(cli_settings *s)
{
    for (cli_secret *secret = s->secrets; secret; secret = secret->next)
        explicit_bzero(secret->text, sizeof secret->text);
    for (size_t i = 0; i < s->naccounts; i++)
        s->accounts[i].config.password = NULL;
}

int settings_parse(cli_settings *s, const char *subcommand, const cli_option *extra, int argc, char **argv, char **rest, int *nrest,
                   void (*help)(void))
{
    const cli_option *tables[TABLES];
    collect(extra, tables);
    const cli_options options = {.tables = tables, .target = s, .subcommand = subcommand};
    file_options = &options;
    int status = options_parse(&options, argc, argv, rest, nrest, help);
    const char *file = getenv("ROAM_PASSWORD_FILE");
    if (status < 0 && file && *file) { /* for accounts that name none themselves */
        cli_secret *secret = NULL;
        for (size_t i = 0; i < s->naccounts; i++) {
            if (s->accounts[i].config.password)
                continue;
            if (!secret) {
                secret = calloc(1, sizeof *secret);
                const char *wrong = secret ? password_read(file, secret->text, sizeof secret->text) : no_memory;
                if (wrong) {
                    cli_say("%s: ROAM_PASSWORD_FILE: %s", subcommand, wrong);
                    free(secret);
                    status = CLI_USAGE;
                    break;
                }
                secret->next = s->secrets;
                s->secrets = secret;
            }
            s->accounts[i].config.password = secret->text;
        }
    }
    file_options = NULL;
    return status;
}

bool settings_finish(cli_settings *s, const char *subcommand, bool account_needed)
{
    if (s->naccounts == 0 && account_needed) {
        cli_say("%s: --account is needed, for example --account sip:alice@example.com", subcommand);
        return false;
    }
    for (size_t i = 0; i < s->naccounts; i++) {
        cli_account *account = &s->accounts[i];
        roam_account_config *config = &account->config;
        if (account->no_register) {
            config->registrar = NULL;
        } else if (!config->registrar) { /* the registrar of a domain is the domain (RFC 3261 10.2.6) */
            const char *at = strrchr(config->aor, '@');
            const char *host = at ? at + 1 : strchr(config->aor, ':') + 1;
            config->registrar = settings_text(s, "sip:%.*s", (int)strcspn(host, ">;?"), host);
            if (!config->registrar)
                return false;
        }
    }
    return true;
}

/* ---- texts ---- */

char *settings_text(cli_settings *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    cli_text *text = n < 0 ? NULL : malloc(sizeof *text + (size_t)n + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text->text, (size_t)n + 1, format, args);
    va_end(args);
    text->next = s->texts;
    s->texts = text;
    return text->text;
}

const char *settings_uri(cli_settings *s, const char *text)
{
    if (strchr(text, '<') || strncmp(text, "sip:", 4) == 0 || strncmp(text, "sips:", 5) == 0 || strncmp(text, "tel:", 4) == 0)
        return settings_text(s, "%s", text);
    return settings_text(s, "sip:%s", text);
}

const char *password_read(const char *path, char *space, size_t size)
{
    struct stat is;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &is) < 0) {
        const char *why = options_why("%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return why;
    }
    if (S_ISREG(is.st_mode) && (is.st_mode & (S_IROTH | S_IWOTH)) && is.st_uid == getuid())
        cli_say("warning: %s can be read by every user of this machine (chmod 600)", path);
    ssize_t n = read(fd, space, size);
    close(fd);
    size_t len = n > 0 ? (size_t)n : 0;
    size_t line = 0;
    while (line < len && space[line] != '\n' && space[line] != '\r')
        line++;
    const char *wrong = NULL;
    if (n < 0)
        wrong = options_why("%s: %s", path, strerror(errno));
    else if (line == size)
        wrong = options_why("%s: the password is longer than %zu bytes", path, size - 1);
    else if (line == 0 || memchr(space, '\0', line))
        wrong = options_why("%s: there is no password on its first line", path);
    memset(space + (wrong ? 0 : line), 0, size - (wrong ? 0 : line));
    return wrong;
}

/* ---- sound ---- */

const char *sound_source(const char *text, roam_audio_source **out)
{
    *out = NULL;
    if (!text || strcmp(text, "null") == 0)
        return NULL;
    if (strncmp(text, "tone:", 5) == 0) {
        char *end;
        double hz = strtod(text + 5, &end);
        if (end == text + 5 || *end || !(hz > 0) || hz >= 4000)
            return options_why("%s: a tone is more than 0 and less than 4000 Hz", text);
        *out = roam_tone_source(hz);
        return *out ? NULL : no_memory;
    }
#ifndef ROAM_HAVE_SNDFILE
    return "this roam was built without libsndfile: only tone:HZ and null";
#else
    *out = roam_wav_source(text, true);
    return *out ? NULL : options_why("%s: no sound file that can be read", text);
#endif
}

const char *sound_sink(const char *text, roam_call_id call, roam_audio_sink **out)
{
    *out = NULL;
    if (!text || strcmp(text, "null") == 0)
        return NULL;
#ifndef ROAM_HAVE_SNDFILE
    (void)call;
    return "this roam was built without libsndfile: only null";
#else
    char path[4096];
    const char *mark = strstr(text, "%i");
    int n = mark ? snprintf(path, sizeof path, "%.*s%u%s", (int)(mark - text), text, call, mark + 2) : snprintf(path, sizeof path, "%s", text);
    if (n < 0 || (size_t)n >= sizeof path)
        return "the name of the file is too long";
    *out = roam_wav_sink(path);
    return *out ? NULL : options_why("%s: %s", path, strerror(errno));
#endif
}

/* ---- options of an account: they apply to the last --account, and before the first one to all ---- */

static cli_account *last_account(cli_settings *s)
{
    return s->naccounts ? &s->accounts[s->naccounts - 1] : &s->before;
}

static const char *keep(cli_settings *s, const char **place, const char *value)
{
    *place = settings_text(s, "%s", value);
    return *place ? NULL : no_memory;
}

static const char *set_config(void *target, const char *value)
{
    (void)target;
    static unsigned depth;
    if (depth != 0)
        return "a configuration file names no other";
    depth++;
    bool good = options_read_file(file_options, value);
    depth--;
    return good ? NULL : options_why("%s was not understood", value);
}

static const char *set_account(void *target, const char *value)
{
    cli_settings *s = target;
    if (!strchr(value, '@'))
        return options_why("%s has no user: sip:USER@DOMAIN", value);
    cli_account *accounts = realloc(s->accounts, (s->naccounts + 1) * sizeof *accounts);
    if (!accounts)
        return no_memory;
    s->accounts = accounts;
    accounts[s->naccounts] = s->before;
    accounts[s->naccounts].config.aor = settings_uri(s, value);
    return accounts[s->naccounts++].config.aor ? NULL : no_memory;
}

static const char *set_registrar(void *target, const char *value)
{
    cli_settings *s = target;
    return (last_account(s)->config.registrar = settings_uri(s, value)) ? NULL : no_memory;
}

static const char *set_proxy(void *target, const char *value)
{
    cli_settings *s = target;
    const char *uri = settings_uri(s, value);
    if (uri && !strstr(uri, ";lr"))
        uri = settings_text(s, "%s;lr", uri);
    return (last_account(s)->config.outbound_proxy = uri) ? NULL : no_memory;
}

static const char *set_user(void *target, const char *value)
{
    return keep(target, &last_account(target)->config.auth_user, value);
}

static const char *set_realm(void *target, const char *value)
{
    return keep(target, &last_account(target)->config.auth_realm, value);
}

static const char *set_password_file(void *target, const char *value)
{
    cli_settings *s = target;
    cli_secret *secret = calloc(1, sizeof *secret);
    if (!secret)
        return no_memory;
    secret->next = s->secrets;
    s->secrets = secret;
    const char *wrong = password_read(value, secret->text, sizeof secret->text);
    if (!wrong)
        last_account(s)->config.password = secret->text;
    return wrong;
}

static const char *set_password(void *target, const char *value)
{
    (void)target, (void)value;
    return "a password on the command line can be read by every user of this machine (ps), and in a configuration file by whoever reads "
           "that: write it to a file of its own, chmod 600, and name that with --password-file or ROAM_PASSWORD_FILE";
}

static const char *set_instance(void *target, const char *value)
{
    return keep(target, &last_account(target)->config.instance, value);
}

static const char *set_expires(void *target, const char *value)
{
    uint64_t n;
    const char *wrong = options_number(value, 1, 86400u * 365u, &n);
    if (!wrong)
        last_account(target)->config.expires = (uint32_t)n;
    return wrong;
}

static const char *set_no_register(void *target, const char *value)
{
    (void)value;
    last_account(target)->no_register = true;
    return NULL;
}

static const char *set_register_later(void *target, const char *value)
{
    (void)value;
    last_account(target)->config.register_on_add = false;
    return NULL;
}

static const char *set_rewrite(void *target, const char *value)
{
    static const char *const words[] = {"off", "on", "always", NULL};
    const int i = options_word(value, words);
    if (i < 0)
        return "off, on or always";
    last_account(target)->config.allow_contact_rewrite = (roam_contact_rewrite)i;
    return NULL;
}

/* The bits that comma-separated words stand for. */
static const char *set_bits(const char *value, const char *const *words, const uint32_t *bits, uint32_t *out)
{
    uint32_t all = 0;
    while (*value) {
        char word[64];
        const size_t n = strcspn(value, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, value);
        const int i = options_word(word, words);
        if (i < 0)
            return options_why("%s is not known", word);
        all |= bits[i];
        value += n + (value[n] == ',');
    }
    *out = all;
    return NULL;
}

static const char *set_rewrite_method(void *target, const char *value)
{
    static const char *const words[] = {"unregister-first", "one-register", "leave", "always-update", NULL};
    static const uint32_t bits[] = {ROAM_CONTACT_UNREGISTER_FIRST, ROAM_CONTACT_ONE_REGISTER, ROAM_CONTACT_LEAVE, ROAM_CONTACT_ALWAYS_UPDATE};
    return set_bits(value, words, bits, &last_account(target)->config.contact_rewrite_method);
}

static const char *set_reinvite_flags(void *target, const char *value)
{
    static const char *const words[] = {"none", "default", "media", "contact", "via", "target", "no-offer", NULL};
    static const uint32_t bits[] = {0, ROAM_REINVITE_DEFAULT, ROAM_REINVITE_REINIT_MEDIA, ROAM_REINVITE_UPDATE_CONTACT,
                                    ROAM_REINVITE_UPDATE_VIA, ROAM_REINVITE_UPDATE_TARGET, ROAM_REINVITE_NO_SDP_OFFER};
    return set_bits(value, words, bits, &last_account(target)->config.ip_change.reinvite_flags);
}

static const char *set_use_update(void *target, const char *value)
{
    (void)value;
    last_account(target)->config.ip_change.use_update = true;
    return NULL;
}

static const char *set_hangup_calls(void *target, const char *value)
{
    (void)value;
    last_account(target)->config.ip_change.hangup_calls = true;
    return NULL;
}

static const char *set_offline_max(void *target, const char *value)
{
    uint64_t n;
    const char *wrong = options_number(value, 0, 86400000u, &n);
    if (!wrong)
        last_account(target)->config.ip_change.offline_max_ms = (uint32_t)n;
    return wrong;
}

static const cli_option account_options[] = {
    {"account", "AOR", "an account, such as sip:alice@example.com; repeat it for more. The options below\napply to the last one, before the first one to all", set_account},
    {"user", "NAME", "the name to log in with, where it is not that of the AOR", set_user},
    {"password-file", "FILE", "its first line is the password (or name the file in ROAM_PASSWORD_FILE)", set_password_file},
    {"password", "", NULL, set_password},
    {"realm", "REALM", "answer challenges of this realm only", set_realm},
    {"registrar", "URI", "where to register; otherwise the AOR's domain", set_registrar},
    {"no-register", NULL, "do not register", set_no_register},
    {"register-later", NULL, "not at the start, but at the command \"register\"", set_register_later},
    {"proxy", "URI", "send requests to this proxy first", set_proxy},
    {"expires", "SECONDS", "lease to ask for (3600)", set_expires},
    {"instance", "URN", "sent as +sip.instance, such as urn:uuid:...", set_instance},
    {"contact-rewrite", "WHEN", "register the address that the registrar saw: off, on (where ours is private;\nthe default), always", set_rewrite},
    {"rewrite-method", "HOW", "how an old Contact goes: unregister-first, one-register (default), leave;\nwith always-update: also when it is learnt late", set_rewrite_method},
    {"reinvite-flags", "FLAGS", "what a call renews on a new network: none, or some of media,contact,via,target,\nno-offer (default: media,contact,via)", set_reinvite_flags},
    {"use-update", NULL, "UPDATE instead of re-INVITE where the peer allows it", set_use_update},
    {"hangup-calls", NULL, "end the calls when the network changes", set_hangup_calls},
    {"offline-max", "MS", "a call without any network ends after so long (60000; 0: never)", set_offline_max},
    {0},
};

/* ---- sound ---- */

static const char *set_source(void *target, const char *value)
{
    cli_settings *s = target;
    roam_audio_source *probe;
    const char *wrong = sound_source(value, &probe);
    if (wrong)
        return wrong;
    if (probe && probe->close)
        probe->close(probe);
    return keep(s, &s->source, value);
}

static const char *set_sink(void *target, const char *value)
{
    cli_settings *s = target;
#ifndef ROAM_HAVE_SNDFILE
    if (strcmp(value, "null") != 0)
        return "this roam was built without libsndfile: only null";
#endif
    return keep(s, &s->sink, value);
}

static const char *set_codecs(void *target, const char *value)
{
    cli_settings *s = target;
    return keep(s, &s->agent.ua.codecs, value);
}

static const char *set_auto_answer(void *target, const char *value)
{
    cli_settings *s = target;
    uint64_t n = 0;
    const char *wrong = value ? options_number(value, 0, 600000, &n) : NULL;
    s->auto_answer = true;
    s->auto_answer_ms = (uint32_t)n;
    return wrong;
}

static const cli_option sound_options[] = {
    {"source", "WHAT", "what calls send: tone:HZ, a sound file (repeated), or null (silence; the default)", set_source},
    {"sink", "FILE", "where what is heard goes, as WAV; %i in the name is the call's id; null: nowhere", set_sink},
    {"codec", "LIST", "in the order of preference: PCMU,PCMA", set_codecs},
    {"auto-answer", "[MS]", "answer incoming calls, after so many milliseconds", set_auto_answer},
    {0},
};

/* ---- network ---- */

static const char *set_transport(void *target, const char *value)
{
    (void)target;
    if (strcmp(value, "udp") == 0)
        return NULL;
    if (strcmp(value, "tcp") == 0 || strcmp(value, "tls") == 0)
        return options_why("%s is not there yet: udp only", value);
    return "udp";
}

static const char *set_bind(void *target, const char *value)
{
    cli_settings *s = target;
    roam_addr addr;
    if (roam_addr_parse((roam_span){value, strlen(value)}, &addr) != ROAM_OK)
        return options_why("%s is no address", value);
    s->agent.ua.bind = addr.ip;
    if (addr.port)
        s->agent.ua.sip_port = addr.port;
    return NULL;
}

static const char *set_port(void *target, const char *value)
{
    cli_settings *s = target;
    uint64_t n;
    const char *wrong = options_number(value, 0, 65535, &n);
    if (!wrong)
        s->agent.ua.sip_port = (uint16_t)n;
    return wrong;
}

static const char *set_rtp_ports(void *target, const char *value)
{
    cli_settings *s = target;
    unsigned from, to;
    int end = 0;
    if (sscanf(value, "%u-%u%n", &from, &to, &end) != 2 || value[end] || from < 1024 || to > 65535 || from + 1 > to)
        return "two ports from 1024 to 65535, such as 20000-20100";
    s->agent.ua.rtp_port_min = (uint16_t)from;
    s->agent.ua.rtp_port_max = (uint16_t)to;
    return NULL;
}

static const char *set_no_monitor(void *target, const char *value)
{
    (void)value;
    ((cli_settings *)target)->agent.monitor = false;
    return NULL;
}

static const char *set_trace(void *target, const char *value)
{
    cli_settings *s = target;
    return keep(s, &s->trace, value);
}

static const char *set_trace_replay(void *target, const char *value)
{
    cli_settings *s = target;
    s->agent.ua.trace_inputs = true;
    return keep(s, &s->trace, value);
}

static const cli_option network_options[] = {
    {"transport", "NAME", "udp", set_transport},
    {"bind", "ADDR[:PORT]", "use this local address only. An agent that is bound does not move", set_bind},
    {"port", "PORT", "where requests are received (otherwise any free port, kept over moves)", set_port},
    {"rtp-ports", "FROM-TO", "ports for sound", set_rtp_ports},
    {"no-monitor", NULL, "do not watch the networks; \"ip-change\" says when they changed", set_no_monitor},
    {"trace", "FILE", "write what happens, message by message, for \"roam ladder\". Passwords are not in it", set_trace},
    {"trace-replay", "FILE", "the same with all that \"roam replay\" needs. The seed is in it: keep it to yourself while the agent runs", set_trace_replay},
    {0},
};

static const cli_option config_options[] = {
    {"config", "FILE", "read options from a file: \"name = value\" lines, the names of this list", set_config},
    {0},
};

static void collect(const cli_option *extra, const cli_option *tables[TABLES])
{
    size_t n = 0;
    tables[n++] = account_options;
    tables[n++] = sound_options;
    tables[n++] = network_options;
    tables[n++] = config_options;
    if (extra)
        tables[n++] = extra;
    tables[n] = NULL;
}

/* ---- of single subcommands ---- */

static const char *set_control(void *target, const char *value)
{
    cli_settings *s = target;
    return keep(s, &s->control, value);
}

static const char *set_json(void *target, const char *value)
{
    (void)value;
    ((cli_settings *)target)->json = true;
    return NULL;
}

static const char *set_duration(void *target, const char *value)
{
    uint64_t n;
    const char *wrong = options_number(value, 1, 86400, &n);
    if (!wrong)
        ((cli_settings *)target)->duration_s = (uint32_t)n;
    return wrong;
}

static const char *set_timeout(void *target, const char *value)
{
    uint64_t n;
    const char *wrong = options_number(value, 1, 3600, &n);
    if (!wrong)
        ((cli_settings *)target)->timeout_s = (uint32_t)n;
    return wrong;
}

static const char *set_stay(void *target, const char *value)
{
    (void)value;
    ((cli_settings *)target)->stay = true;
    return NULL;
}

const cli_option settings_agent_options[] = {
    {"control", "PATH", "also take commands on this Unix socket, and send events to everybody there", set_control},
    {0},
};

const cli_option settings_call_options[] = {
    {"duration", "SECONDS", "hang up after so long (otherwise when the other side does, or at Ctrl-C)", set_duration},
    {"timeout", "SECONDS", "how long it may take until somebody answers (32)", set_timeout},
    {"json", NULL, "events as JSON lines, as \"roam agent\" prints them", set_json},
    {0},
};

const cli_option settings_register_options[] = {
    {"stay", NULL, "stay registered until Ctrl-C, and say what changes", set_stay},
    {"timeout", "SECONDS", "how long to wait for the registrar (32)", set_timeout},
    {"json", NULL, "events as JSON lines, as \"roam agent\" prints them", set_json},
    {0},
};
