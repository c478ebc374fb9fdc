/* One agent with many accounts and calls, for bench/scale: it registers them all, calls or answers, and says as JSON lines what its memory and CPU
 * time are. Nothing here moves anything: the network below it is changed by bench/scale.
 *
 *   scale_agent REGISTRAR PREFIX ACCOUNTS [CALLS CALLEE_PREFIX | answer]      the password is read from the environment, ROAM_PASSWORD
 *
 * A line on stdin makes it say again; the end of stdin ends it. */
#include "roam/roam.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <threads.h>

typedef struct scale {
    roam_agent *agent;
    const char *registrar, *prefix, *callee;
    unsigned accounts, calls;
    bool answer;
    unsigned registered, confirmed, ended, recovered, failed, completed;
    uint64_t bytes, bytes_empty, blocks;
    bool ready;
} scale;

/* Counts what the library holds; the size stands before each block. */
static void *counted_realloc(void *user, void *ptr, size_t size)
{
    scale *s = user;
    const size_t head = 16;
    char *block = ptr == NULL ? NULL : (char *)ptr - head;
    size_t old = 0;
    if (block != NULL)
        memcpy(&old, block, sizeof old);
    if (size == 0) {
        s->bytes -= old;
        s->blocks -= block != NULL;
        free(block);
        return NULL;
    }
    char *fresh = realloc(block, size + head);
    if (fresh == NULL)
        return NULL;
    s->bytes += size - old;
    s->blocks += block == NULL;
    memcpy(fresh, &size, sizeof size);
    return fresh + head;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void say(scale *s, const char *what)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    printf("{\"event\":\"%s\",\"time\":%lld.%06ld,\"cpu\":%.6f,\"bytes\":%" PRIu64 ",\"bytes_empty\":%" PRIu64 ",\"blocks\":%" PRIu64
           ",\"registered\":%u,\"confirmed\":%u,\"ended\":%u,\"recovered\":%u,\"failed\":%u,\"completed\":%u}\n",
           what, (long long)now.tv_sec, (long)now.tv_usec, cpu_seconds(), s->bytes, s->bytes_empty, s->blocks, s->registered, s->confirmed, s->ended, s->recovered,
           s->failed, s->completed);
    fflush(stdout);
}

static void call_everybody(scale *s)
{
    char uri[256];
    roam_call_id id;
    for (unsigned i = 0; i < s->calls; i++) {
        snprintf(uri, sizeof uri, "sip:%s%u@%s", s->callee, i, s->registrar);
        roam_call_options options = {.source = roam_tone_source(440)};
        if (roam_call_make(roam_agent_ua(s->agent), i + 1, uri, &options, &id) != ROAM_OK)
            s->failed++;
    }
}

static void on_registered(scale *s)
{
    if (++s->registered != s->accounts || s->ready)
        return;
    s->ready = true;
    say(s, "registered");
    call_everybody(s);
}

static void on_event(void *user, roam_agent *agent, const roam_event *event)
{
    scale *s = user;
    switch (event->type) {
    case ROAM_EVENT_REGISTRATION:
        if (event->registration == ROAM_REGISTRATION_REGISTERED && !s->ready)
            on_registered(s);
        break;
    case ROAM_EVENT_CALL_INCOMING:
        if (s->answer) {
            roam_call_options options = {.source = roam_tone_source(700)};
            if (roam_call_answer(roam_agent_ua(agent), event->call, &options) != ROAM_OK)
                s->failed++;
        }
        break;
    case ROAM_EVENT_CALL_STATE:
        s->ended += event->call_state == ROAM_CALL_ENDED;
        if (event->call_state == ROAM_CALL_CONFIRMED && ++s->confirmed == s->calls)
            say(s, "confirmed");
        break;
    case ROAM_EVENT_IP_CHANGE_PROGRESS:
        s->recovered += event->op == ROAM_IP_CHANGE_RECOVERED;
        s->failed += event->op == ROAM_IP_CHANGE_FAILED;
        if (event->op == ROAM_IP_CHANGE_COMPLETED) {
            s->completed++;
            say(s, "completed");
        }
        break;
    default:
        break;
    }
}

static void asked(void *user, roam_agent *agent)
{
    (void)agent;
    say(user, "status");
}

static void over(void *user, roam_agent *agent)
{
    (void)user;
    roam_agent_stop(agent);
}

static int watch_stdin(void *user)
{
    scale *s = user;
    for (int c = getchar(); c != EOF; c = getchar())
        if (c == '\n')
            (void)roam_post(s->agent, asked, s);
    (void)roam_post(s->agent, over, s);
    return 0;
}

static bool add_accounts(scale *s)
{
    char aor[256], registrar[256];
    roam_account_config account;
    snprintf(registrar, sizeof registrar, "sip:%s", s->registrar);
    for (unsigned i = 0; i < s->accounts; i++) {
        snprintf(aor, sizeof aor, "sip:%s%u@%s", s->prefix, i, s->registrar);
        roam_account_config_default(&account);
        account.aor = aor;
        account.registrar = registrar;
        account.password = getenv("ROAM_PASSWORD");
        int err = roam_account_add(roam_agent_ua(s->agent), &account, NULL);
        if (err != ROAM_OK) {
            fprintf(stderr, "scale_agent: account %u: %s\n", i, roam_strerror(err));
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: scale_agent REGISTRAR PREFIX ACCOUNTS [CALLS CALLEE_PREFIX | answer]\n");
        return 2;
    }
    scale s = {.registrar = argv[1], .prefix = argv[2], .accounts = (unsigned)strtoul(argv[3], NULL, 10)};
    s.answer = argc == 5 && strcmp(argv[4], "answer") == 0;
    if (argc > 5) {
        s.calls = (unsigned)strtoul(argv[4], NULL, 10);
        s.callee = argv[5];
    }
    roam_allocator allocator = {.realloc = counted_realloc, .user = &s};
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.ua.allocator = &allocator;
    config.on_event = on_event;
    config.user = &s;
    s.agent = roam_agent_new(&config);
    if (s.agent == NULL) {
        fprintf(stderr, "scale_agent: no agent\n");
        return 1;
    }
    s.bytes_empty = s.bytes;
    thrd_t reader;
    if (!add_accounts(&s) || thrd_create(&reader, watch_stdin, &s) != thrd_success)
        return 1;
    int err = roam_agent_run(s.agent);
    thrd_join(reader, NULL);
    roam_agent_free(s.agent);
    return err == ROAM_OK && s.bytes == 0 ? 0 : 1;
}
