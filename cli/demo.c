/* roam demo: a call on real interfaces whose Wi-Fi goes away while cellular comes. Everything in it is the command itself (roam serve,
 * roam agent) in network namespaces, with lab/emulator as the network between them. */
#include "cli/cli.h"

#include <stdio.h>

#ifndef ROAM_HAVE_CJSON

int cli_demo(int argc, char **argv)
{
    (void)argc, (void)argv;
    cli_say("demo: this roam was built without libcjson");
    return CLI_FAILED;
}

#else

#include <cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/options.h"
#include "roam/core.h"

typedef struct demo {
    demo_world world;
    demo_outcome outcome;
    cJSON *events;        /* of all parties, in the order of arrival; each with "place" */
    double change;        /* when the network changed; 0: not yet */
    double last_sent, last_received; /* packets, as the caller counts them */
    bool quiet;
    char emulator[PATH_MAX], self[PATH_MAX];
} demo;

static struct {
    const char *scenario, *report, *keep, *emulator;
    uint64_t rtt_ms;
    bool json;
} wanted = {.scenario = "break", .report = "demo-report.html", .rtt_ms = 100};

static void help(void);
static const cli_option *demo_options(void);
static bool find_emulator(demo *d);
static int run_all(void);
static bool run_one(demo *d, const char *scenario, const char *directory);
static bool on_line(void *user, demo_place place, cJSON *object);
static void judge(demo *d);

int cli_demo(int argc, char **argv)
{
    const cli_option *const tables[] = {demo_options(), NULL};
    const cli_options options = {.tables = tables, .target = NULL, .subcommand = "demo"};
    char **rest = calloc((size_t)argc + 1, sizeof *rest), why[256];
    int nrest, status = rest ? options_parse(&options, argc, argv, rest, &nrest, help) : CLI_FAILED;
    if (status < 0 && nrest) {
        cli_say("demo: what is \"%s\"?", rest[0]);
        status = CLI_USAGE;
    }
    free(rest);
    if (status >= 0)
        return status;
    if (!demo_enter(why)) {
        cli_say("demo: %s", why);
        return CLI_NETWORK;
    }
    return run_all();
}

static void help(void)
{
    printf("roam demo: a caller with Wi-Fi (wlan0, %s), a server (%s) and a callee (%s) in network namespaces, a round trip of\n"
           "100 ms between them. In the middle of the call Wi-Fi goes and cellular (wwan0, %s) comes. What happens is shown as it does; the\n"
           "report is demo-report.html. Exit status 0: the call survived, both ways; 1: it did not; 5: namespaces are not permitted.\n\n"
           "  roam demo\n"
           "  roam demo --scenario both --rtt 300 --report /tmp/report.html\n"
           "  roam demo --keep /tmp/demo          captures (*.pcap), traces and recordings stay there\n",
           DEMO_WLAN, DEMO_SERVER, DEMO_CALLEE, DEMO_WWAN);
}

static const char *set_scenario(void *target, const char *value)
{
    static const char *const words[] = {"break", "make", "both", NULL};
    (void)target;
    if (options_word(value, words) < 0)
        return "break, make or both";
    wanted.scenario = value;
    return NULL;
}

static const char *set_report(void *target, const char *value)
{
    (void)target;
    wanted.report = value;
    return NULL;
}

static const char *set_keep(void *target, const char *value)
{
    (void)target;
    wanted.keep = value;
    return NULL;
}

static const char *set_emulator(void *target, const char *value)
{
    (void)target;
    wanted.emulator = value;
    return NULL;
}

static const char *set_rtt(void *target, const char *value)
{
    (void)target;
    return options_number(value, 0, 1000, &wanted.rtt_ms);
}

static const char *set_json(void *target, const char *value)
{
    (void)target, (void)value;
    wanted.json = true;
    return NULL;
}

static const cli_option table[] = {
    {"scenario", "WHAT", "break (Wi-Fi goes, then cellular comes; the default), make (cellular comes first),\nboth", set_scenario},
    {"rtt", "MS", "the round trip (100)", set_rtt},
    {"report", "FILE", "where the report goes (demo-report.html)", set_report},
    {"keep", "DIRECTORY", "keep captures, traces and recordings there", set_keep},
    {"json", NULL, "only the figures, as JSON", set_json},
    {"emulator", "FILE", "the link emulator (lab/emulator of the build directory)", set_emulator},
    {0},
};

static const cli_option *demo_options(void)
{
    return table;
}

/* ---- the show ---- */

static void show(const demo *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void show(const demo *d, const char *format, ...)
{
    va_list args;
    if (d->quiet)
        return;
    const double since = d->change > 0 ? 1000 * ((double)cli_wall_now() / 1e6 - d->change) : 0;
    if (d->change > 0)
        printf("  %+8.0f ms  ", since);
    else
        printf("               ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* At the event's own time. */
static void show_event(const demo *d, const cJSON *event, const char *text)
{
    if (d->quiet)
        return;
    if (d->change > 0)
        printf("  %+8.1f ms  %s\n", 1000 * (demo_number(event, "time") - d->change), text);
    else
        printf("               %s\n", text);
    fflush(stdout);
}

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void show_progress(const demo *d, const cJSON *event)
{
    static const struct {
        const char *op, *text;
    } words[] = {
        {"detected", "the agent sees it"},       {"offline", "no network for it"},          {"contact_updated", "registered on the new network"},
        {"call_reinvited", "the peer knows the new address"}, {"uplink_restored", "first sound out on the new network"},
        {"downlink_restored", "first sound in on the new network"}, {"recovered", "recovered"}, {"failed", "FAILED"}, {"completed", "all done"},
    };
    const char *op = string_of(event, "op"), *text = op;
    char line[256];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].op, op) == 0)
            text = words[i].text;
    const int code = (int)demo_number(event, "sip_code");
    int n = snprintf(line, sizeof line, "%-12s %s", demo_number(event, "call") > 0 ? "call" : demo_number(event, "account") > 0 ? "registration" : "", text);
    if (code > 0)
        snprintf(line + n, sizeof line - (size_t)n, " (%d)", code);
    show_event(d, event, line);
}

static bool on_line(void *user, demo_place place, cJSON *object)
{
    demo *d = user;
    const char *event = string_of(object, "event");
    cJSON_AddNumberToObject(object, "place", place);
    cJSON_AddItemToArray(d->events, object);
    if (place != DEMO_AT_CALLER)
        return true;
    if (strcmp(event, "ip_change_progress") == 0) {
        const double time = demo_number(object, "time");
        if (d->outcome.t0 > 0 && strcmp(string_of(object, "op"), "detected") == 0 && time < d->outcome.t0 && time > d->outcome.t0 - 0.1)
            d->outcome.t0 = d->change = time; /* the agent was faster than ip(8) ended */
        show_progress(d, object);
    } else if (strcmp(event, "call_link") == 0) {
        char line[128];
        snprintf(line, sizeof line, "%-12s the line is %s", "call", string_of(object, "link"));
        show_event(d, object, line);
    } else if (strcmp(event, "call_state") == 0 || strcmp(event, "registration") == 0) {
        char line[256];
        snprintf(line, sizeof line, "%-12s %s%s%s", event[0] == 'c' ? "call" : event, string_of(object, "state"), *string_of(object, "reason") ? ": " : "",
                 string_of(object, "reason"));
        show_event(d, object, line);
    }
    return true;
}

/* ---- waiting ---- */

/* The first event of `place` from `since` on with these values (NULL: any); NULL: none yet. */
static cJSON *find(demo *d, int since, demo_place place, const char *event, const char *key, const char *value)
{
    int index = 0;
    cJSON *item;
    cJSON_ArrayForEach(item, d->events) {
        if (index++ < since || (demo_place)demo_number(item, "place") != place || strcmp(string_of(item, "event"), event) != 0)
            continue;
        if (!key || strcmp(string_of(item, key), value) == 0)
            return item;
    }
    return NULL;
}

static cJSON *await(demo *d, int since, demo_place place, const char *event, const char *key, const char *value, int milliseconds)
{
    const roam_time end = cli_now() + ROAM_MS((roam_time)milliseconds);
    cJSON *found;
    while (!(found = find(d, since, place, event, key, value))) {
        if (cli_now() >= end) {
            snprintf(d->world.wrong, sizeof d->world.wrong, "%s %s %s did not come within %d ms", event, key ? key : "", value ? value : "", milliseconds);
            return NULL;
        }
        if (!demo_world_pump(&d->world, 10))
            return NULL;
    }
    return found;
}

/* Lets time pass and shows the sound, as the caller counts it, every half second. */
static bool watch_sound(demo *d, int milliseconds)
{
    const roam_time end = cli_now() + ROAM_MS((roam_time)milliseconds);
    while (cli_now() < end) {
        const int mark = cJSON_GetArraySize(d->events);
        const roam_time left = (end - cli_now()) / 1000u;
        if (!demo_world_pump(&d->world, left < 500 ? (int)left : 500) || !demo_world_send(&d->world, DEMO_AT_CALLER, "status"))
            return false;
        const cJSON *status = await(d, mark, DEMO_AT_CALLER, "result", "command", "status", 1000);
        const cJSON *calls = cJSON_GetObjectItemCaseSensitive(status, "calls"), *call = cJSON_GetArrayItem(calls, 0);
        const cJSON *media = cJSON_GetObjectItemCaseSensitive(call, "media");
        if (!status)
            return false;
        const double sent = demo_number(media, "packets_sent"), received = demo_number(media, "packets_received");
        if (sent >= 0 && d->last_sent >= 0)
            show(d, "sound        out %3.0f packets   in %3.0f packets", sent - d->last_sent, received - d->last_received);
        d->last_sent = sent;
        d->last_received = received;
    }
    return true;
}

/* ---- one scenario ---- */

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool good = file && fputs(text, file) >= 0 && fchmod(fileno(file), 0600) == 0;
    return file ? fclose(file) == 0 && good : false;
}

/* A password that nobody has to know. */
static bool write_password(const char *path)
{
    uint8_t bytes[12];
    char text[2 * sizeof bytes + 2];
    FILE *random = fopen("/dev/urandom", "rbe");
    const bool good = random && fread(bytes, sizeof bytes, 1, random) == 1;
    if (random)
        fclose(random);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    strcpy(text + 2 * sizeof bytes, "\n");
    return good && write_text(path, text);
}

static bool start_parties(demo *d)
{
    static char alice[DEMO_PATH_MAX + 32], bob[DEMO_PATH_MAX + 32], user_alice[DEMO_PATH_MAX + 64], user_bob[DEMO_PATH_MAX + 64];
    static char traces[DEMO_PLACES][DEMO_PATH_MAX + 32], sink_caller[DEMO_PATH_MAX + 32], sink_callee[DEMO_PATH_MAX + 32];
    static const char *const names[] = {"caller", "server", "callee"};
    const char *at = d->world.directory;
    snprintf(alice, sizeof alice, "%s/alice.password", at);
    snprintf(bob, sizeof bob, "%s/bob.password", at);
    snprintf(user_alice, sizeof user_alice, "alice:%s", alice);
    snprintf(user_bob, sizeof user_bob, "bob:%s", bob);
    for (int i = 0; i < DEMO_PLACES; i++)
        snprintf(traces[i], sizeof traces[i], "%s/%s.trace", at, names[i]);
    snprintf(sink_caller, sizeof sink_caller, "%s/caller-heard.wav", at);
    snprintf(sink_callee, sizeof sink_callee, "%s/callee-heard.wav", at);
    memcpy(d->outcome.trace, traces[DEMO_AT_CALLER], sizeof d->outcome.trace);
    if (!write_password(alice) || !write_password(bob)) {
        snprintf(d->world.wrong, sizeof d->world.wrong, "%.200s: %s", at, strerror(errno));
        return false;
    }
#define WORD(text) ((char *)(uintptr_t)(text))
    char *server[] = {d->self, WORD("serve"), WORD("--listen"), WORD(DEMO_SERVER), WORD("--user"), user_alice, WORD("--user"), user_bob,
                      WORD("--trace"), traces[DEMO_AT_SERVER], WORD("--json"), NULL};
    char *callee[] = {d->self, WORD("agent"), WORD("--account"), WORD("sip:bob@" DEMO_SERVER), WORD("--password-file"), bob, WORD("--auto-answer"),
                      WORD("--source"), WORD("tone:700"), WORD("--sink"), sink_callee, WORD("--trace"), traces[DEMO_AT_CALLEE], NULL};
    char *caller[] = {d->self, WORD("agent"), WORD("--account"), WORD("sip:alice@" DEMO_SERVER), WORD("--password-file"), alice,
                      WORD("--source"), WORD("tone:440"), WORD("--sink"), sink_caller, WORD("--trace"), traces[DEMO_AT_CALLER], NULL};
#undef WORD
    if (!demo_world_start(&d->world, DEMO_AT_SERVER, server) || !await(d, 0, DEMO_AT_SERVER, "ready", NULL, NULL, 3000))
        return false;
    return demo_world_start(&d->world, DEMO_AT_CALLEE, callee) && await(d, 0, DEMO_AT_CALLEE, "registration", "state", "registered", 4000) &&
           demo_world_start(&d->world, DEMO_AT_CALLER, caller) && await(d, 0, DEMO_AT_CALLER, "registration", "state", "registered", 4000);
}

static double now_s(void)
{
    return (double)cli_wall_now() / 1e6;
}

static const char wlan_down[] = "addr flush dev wlan0\nlink set wlan0 down\n";
static const char wwan_up[] = "link set wwan0 up\naddr add " DEMO_WWAN "/24 dev wwan0\nroute replace default via 10.2.0.1 dev wwan0\n";

static bool change_network(demo *d)
{
    demo_outcome *o = &d->outcome;
    const bool make = strcmp(o->scenario, "make") == 0;
    if (make) {
        o->t0 = d->change = now_s();
        show(d, "NETWORK      cellular comes (wwan0, %s), the default route moves", DEMO_WWAN);
        if (!demo_world_ip(&d->world, DEMO_AT_CALLER, wwan_up))
            return false;
        o->t0 = d->change = now_s();
        if (!watch_sound(d, 2500))
            return false;
        o->old_gone = now_s();
        show(d, "NETWORK      Wi-Fi goes (wlan0, %s)", DEMO_WLAN);
        return demo_world_ip(&d->world, DEMO_AT_CALLER, wlan_down);
    }
    o->old_gone = d->change = now_s();
    show(d, "NETWORK      Wi-Fi goes (wlan0, %s)", DEMO_WLAN);
    if (!demo_world_ip(&d->world, DEMO_AT_CALLER, wlan_down) || !demo_world_pump(&d->world, 200))
        return false;
    show(d, "NETWORK      cellular comes (wwan0, %s)", DEMO_WWAN);
    const bool good = demo_world_ip(&d->world, DEMO_AT_CALLER, wwan_up);
    o->t0 = d->change = now_s(); /* from here on times count from the moment the new network is usable */
    return good;
}

/* The reports of the change that came last, for the account and for the call. */
static void keep_reports(demo *d, int since)
{
    int index = 0;
    cJSON *item;
    demo_outcome *o = &d->outcome;
    cJSON_ArrayForEach(item, d->events) {
        cJSON *report = cJSON_GetObjectItemCaseSensitive(item, "report");
        if (index++ < since || !report || (demo_place)demo_number(item, "place") != DEMO_AT_CALLER)
            continue;
        cJSON **place = demo_number(report, "call") > 0 ? &o->call : &o->registration;
        cJSON_Delete(*place);
        *place = cJSON_Duplicate(report, true);
    }
    index = 0;
    cJSON_ArrayForEach(item, d->events) {
        if (index++ >= since && (demo_place)demo_number(item, "place") == DEMO_AT_CALLER && strcmp(string_of(item, "event"), "result") != 0)
            cJSON_AddItemToArray(o->events, cJSON_Duplicate(item, true));
    }
}

static bool play(demo *d)
{
    demo_outcome *o = &d->outcome;
    show(d, "-- the server, the callee and the caller start");
    if (!start_parties(d))
        return false;
    int mark = cJSON_GetArraySize(d->events);
    if (!demo_world_send(&d->world, DEMO_AT_CALLER, "call bob") || !await(d, mark, DEMO_AT_CALLER, "call_state", "state", "confirmed", 5000) ||
        !await(d, mark, DEMO_AT_CALLEE, "call_state", "state", "confirmed", 3000) || !watch_sound(d, 2000))
        return false;
    mark = cJSON_GetArraySize(d->events);
    if (!change_network(d))
        return false;
    const bool completed = await(d, mark, DEMO_AT_CALLER, "ip_change_progress", "op", "completed", 8000) != NULL;
    if (!completed && *d->world.wrong)
        show(d, "still not whole: %s", d->world.wrong);
    if (!watch_sound(d, 3000))
        return false;
    keep_reports(d, mark);
    mark = cJSON_GetArraySize(d->events);
    if (!demo_world_send(&d->world, DEMO_AT_SERVER, "contacts alice"))
        return false;
    const cJSON *contacts = cJSON_GetObjectItemCaseSensitive(await(d, mark, DEMO_AT_SERVER, "contacts", NULL, NULL, 2000), "contacts"), *contact;
    cJSON_ArrayForEach(contact, contacts) {
        const size_t n = strlen(o->contacts);
        snprintf(o->contacts + n, sizeof o->contacts - n, "%s%s", n ? ", " : "", cJSON_IsString(contact) ? contact->valuestring : "");
    }
    o->talk_end = now_s();
    if (!demo_world_send(&d->world, DEMO_AT_CALLER, "hangup"))
        return false;
    return await(d, mark, DEMO_AT_CALLER, "call_state", "state", "ended", 3000) && await(d, mark, DEMO_AT_CALLEE, "call_state", "state", "ended", 3000);
}

static bool run_one(demo *d, const char *scenario, const char *directory)
{
    d->outcome = (demo_outcome){.scenario = scenario, .rtt_ms = (unsigned)wanted.rtt_ms, .events = cJSON_CreateArray(), .first_in = -1, .first_out = -1};
    d->world = (demo_world){.line = on_line, .user = d};
    d->events = cJSON_CreateArray();
    d->change = 0;
    d->last_sent = d->last_received = -1;
    d->quiet = wanted.json;
    bool good = d->events && d->outcome.events && demo_world_open(&d->world, directory, d->emulator, d->outcome.rtt_ms) && play(d);
    if (good) {
        demo_world_send(&d->world, DEMO_AT_CALLER, "quit");
        demo_world_send(&d->world, DEMO_AT_CALLEE, "quit");
        demo_world_emulate(&d->world, "flush");
    } else {
        snprintf(d->outcome.why, sizeof d->outcome.why, "%s", d->world.wrong);
    }
    demo_world_close(&d->world);
    cJSON_Delete(d->events);
    judge(d);
    return d->outcome.survived;
}

/* ---- the verdict: from the wire and from what was heard, not from what the agent says ---- */

static void judge(demo *d)
{
    demo_outcome *o = &d->outcome;
    char path[DEMO_PATH_MAX + 32];
    const char *at = d->world.directory;
    if (o->t0 <= 0)
        return;
    const double last = o->talk_end > 0 ? o->talk_end : o->t0 + 8;
    snprintf(path, sizeof path, "%s/callee.pcap", at);
    demo_packets_read(&o->out, path, NULL, DEMO_CALLEE);
    snprintf(path, sizeof path, "%s/wlan0.pcap", at);
    demo_packets_read(&o->in, path, DEMO_CALLEE, DEMO_WLAN);
    while (o->in.n && o->in.at[o->in.n - 1].time >= o->old_gone) /* brought to an interface that is down */
        o->in.n--;
    snprintf(path, sizeof path, "%s/wwan0.pcap", at);
    demo_packets_read(&o->in, path, DEMO_CALLEE, DEMO_WWAN);
    demo_packets moved = {0};
    if (demo_packets_read(&moved, path, DEMO_WWAN, NULL) && moved.n)
        o->first_out = moved.at[0].time - o->t0;
    demo_packets_free(&moved);
    if (demo_packets_read(&moved, path, DEMO_CALLEE, DEMO_WWAN) && moved.n)
        o->first_in = moved.at[0].time - o->t0;
    demo_packets_free(&moved);
    const double first = o->old_gone < o->t0 ? o->old_gone : o->t0;
    o->gap_out = demo_packets_gap(&o->out, first - 0.5, last, &o->gap_out_start);
    o->gap_in = demo_packets_gap(&o->in, first - 0.5, last, &o->gap_in_start);
    o->lost_out = demo_packets_missing(&o->out, first - 1.0, last);
    o->lost_in = demo_packets_missing(&o->in, first - 1.0, last);
    snprintf(path, sizeof path, "%s/callee-heard.wav", at);
    o->tone_callee = demo_tone_share(path, DEMO_HZ_CALLER, 1.5);
    snprintf(path, sizeof path, "%s/caller-heard.wav", at);
    o->tone_caller = demo_tone_share(path, DEMO_HZ_CALLEE, 1.5);
    const double since = last - 1.5;
    const size_t out = demo_packets_count(&o->out, since, last), in = demo_packets_count(&o->in, since, last);
    if (*o->why)
        return;
    if (out < 67 || in < 67)
        snprintf(o->why, sizeof o->why, "in the last 1.5 s of the call %zu packets came out and %zu in, of 75 each", out, in);
    else if (o->tone_callee < 0.8)
        snprintf(o->why, sizeof o->why, "the callee does not hear the caller's tone at the end (%.0f %% of what it hears)", 100 * o->tone_callee);
    else if (o->tone_caller < 0.8)
        snprintf(o->why, sizeof o->why, "the caller does not hear the callee's tone at the end (%.0f %% of what it hears)", 100 * o->tone_caller);
    else if (!strstr(o->contacts, DEMO_WWAN) || strstr(o->contacts, DEMO_WLAN) || strchr(o->contacts, ','))
        snprintf(o->why, sizeof o->why, "the registrar holds %.150s instead of the new Contact alone", *o->contacts ? o->contacts : "nothing");
    else
        o->survived = true;
}

/* ---- all ---- */

static bool find_emulator(demo *d)
{
    static const char *const beside[] = {"../lab/emulator", "../libexec/roam/emulator", "emulator"};
    const ssize_t n = readlink("/proc/self/exe", d->self, sizeof d->self - 1);
    if (n <= 0)
        return false;
    d->self[n] = '\0';
    if (wanted.emulator)
        return realpath(wanted.emulator, d->emulator) && access(d->emulator, X_OK) == 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        char path[2 * PATH_MAX];
        snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(d->self, '/') - d->self), d->self, beside[i]);
        if (realpath(path, d->emulator) && access(d->emulator, X_OK) == 0)
            return true;
    }
    return false;
}

static void remove_directory(const char *directory)
{
    static const char *const names[] = {"alice.password", "bob.password", "server.trace", "caller.trace", "callee.trace", "caller-heard.wav",
                                        "callee-heard.wav", "wlan0.pcap", "wwan0.pcap", "server.pcap", "callee.pcap", "ip.log", "emulator.log",
                                        "caller.log", "server.log", "callee.log"};
    char path[2 * DEMO_PATH_MAX + 64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        unlink(path);
    }
    rmdir(directory);
}

static int run_all(void)
{
    static demo d;
    demo_outcome outcomes[2] = {0};
    char directories[2][DEMO_PATH_MAX] = {"", ""};
    const bool both = strcmp(wanted.scenario, "both") == 0;
    size_t n = 0, survived = 0;
    if (!find_emulator(&d)) {
        cli_say("demo: the link emulator is not there (build lab/emulator, or say --emulator FILE)");
        return CLI_FAILED;
    }
    alarm(60); /* whatever hangs: the world ends with us */
    for (; n < (both ? 2u : 1u); n++) {
        const char *scenario = both ? (n ? "make" : "break") : wanted.scenario;
        if (wanted.keep) {
            mkdir(wanted.keep, 0700);
            snprintf(directories[n], DEMO_PATH_MAX, "%s/%s", wanted.keep, scenario);
            remove_directory(directories[n]);
            mkdir(directories[n], 0700);
        } else {
            const char *tmp = getenv("TMPDIR");
            snprintf(directories[n], DEMO_PATH_MAX, "%s/roam-demo-XXXXXX", tmp && *tmp ? tmp : "/tmp");
            if (!mkdtemp(directories[n])) {
                cli_say("demo: %s: %s", directories[n], strerror(errno));
                return CLI_FAILED;
            }
        }
        if (!wanted.json)
            printf("\n%s, round trip %u ms\n", n || strcmp(scenario, "make") == 0 ? "Cellular comes, then Wi-Fi goes" : "Wi-Fi goes, then cellular comes",
                   (unsigned)wanted.rtt_ms);
        survived += run_one(&d, scenario, directories[n]);
        outcomes[n] = d.outcome;
    }
    const bool written = demo_report_html(outcomes, n, wanted.report);
    if (!written)
        cli_say("demo: %s: %s", wanted.report, strerror(errno));
    if (wanted.json)
        demo_report_json(outcomes, n);
    else
        demo_report_text(outcomes, n);
    if (written && !wanted.json)
        printf("Report: %s\n", wanted.report);
    for (size_t i = 0; i < n; i++) {
        if (!wanted.keep)
            remove_directory(directories[i]);
        demo_outcome_free(&outcomes[i]);
    }
    return survived == n ? CLI_OK : CLI_FAILED;
}

#endif
