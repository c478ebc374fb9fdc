/* edge/: the agent's loop, its sockets, names, posted calls and sound files, around a core that only writes down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "base/span.h"
#include "fake_core.h"
#include "roam/roam.h"

enum { POSTERS = 4, POSTS = 5000 };

static roam_addr address(const char *text)
{
    roam_addr addr;
    assert_int_equal(roam_addr_parse(span_of(text), &addr), 0);
    return addr;
}

static roam_agent *agent_on(uv_loop_t *loop, bool monitor)
{
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.monitor = monitor;
    config.uv_loop = loop;
    roam_agent *agent = roam_agent_new(&config);
    assert_non_null(agent);
    return agent;
}

/* A device may have IPv6 switched off; what needs it is left out there, and says so. */
static bool has_ipv6(void)
{
    const struct sockaddr_in6 one = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    const bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&one, sizeof one) == 0;
    if (fd >= 0)
        close(fd);
    if (!has)
        print_message("no IPv6 here: left out\n");
    return has;
}

/* Stops the loop when the core has seen `want` inputs of a type. A test that does not get there is ended by the
 * runner's limit. */
typedef struct until {
    roam_agent *agent;
    fake_input_type type;
    size_t want;
} until;

static void stop_when_seen(void *user, roam_ua *ua, const fake_input *input)
{
    until *u = user;
    if (input->type == u->type && fake_count(ua, u->type) >= u->want)
        roam_agent_stop(u->agent);
}

static void run_until(roam_agent *agent, fake_input_type type, size_t want)
{
    roam_ua *ua = roam_agent_ua(agent);
    until u = {agent, type, want};
    ua->on_input = stop_when_seen;
    ua->user = &u;
    assert_int_equal(roam_agent_run(agent), 0);
    ua->on_input = NULL;
}

static void echo(void *user, roam_ua *ua, const fake_input *input)
{
    (void)user;
    if (input->type == FAKE_RECEIVE && input->socket == 2)
        fake_send(ua, 2, &input->addr, input->bytes);
    if (input->type == FAKE_RECEIVE && input->socket == 1)
        fake_event(ua, ROAM_EVENT_CALL_DTMF);
}

static void stop_on_event(void *user, roam_agent *agent, const roam_event *event)
{
    (void)event;
    ++*(int *)user;
    roam_agent_stop(agent);
}

static void datagram_goes_there_and_back(void **state)
{
    /* Two sockets on loopback, one of which echoes: what was sent comes back with the right addresses, for IPv4 and
     * IPv6. The event that follows reaches the application, whose command ends the loop. */
    (void)state;
    const char *locals[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < (has_ipv6() ? 2 : 1); i++) {
        roam_agent_config config;
        int events = 0;
        roam_agent_config_default(&config);
        config.monitor = false;
        config.on_event = stop_on_event;
        config.user = &events;
        roam_agent *agent = roam_agent_new(&config);
        assert_non_null(agent);
        roam_ua *ua = roam_agent_ua(agent);
        assert_false(ua->config.route_answers);
        roam_addr local = address(locals[i]);
        fake_open(ua, 1, &local);
        fake_open(ua, 2, &local);
        roam_agent_flush(agent);
        const fake_input *one = fake_input_of(ua, FAKE_OPENED, 0), *two = fake_input_of(ua, FAKE_OPENED, 1);
        assert_int_equal(one->err, 0);
        assert_int_equal(two->err, 0);
        assert_true(roam_ip_equal(&one->addr.ip, &local.ip));
        assert_int_not_equal(one->addr.port, 0);
        const roam_addr first = one->addr, second = two->addr;
        ua->on_input = echo;
        fake_send(ua, 1, &second, "are you there");
        assert_int_equal(roam_agent_run(agent), 0);
        assert_int_equal(events, 1);
        const fake_input *there = fake_input_of(ua, FAKE_RECEIVE, 0), *back = fake_input_of(ua, FAKE_RECEIVE, 1);
        assert_true(roam_addr_equal(&there->addr, &first));
        assert_true(roam_addr_equal(&back->addr, &second));
        assert_string_equal(back->bytes, "are you there");
        assert_int_equal(back->len, strlen("are you there"));
        roam_agent_free(agent);
    }
}

static void refusals_have_their_names(void **state)
{
    /* A port in use is ROAM_EBUSY and an address that is not ours ROAM_EIO, so that the core tries the next port in the
     * one case only. A closed socket's port is free again in the same turn. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    roam_addr local = address("127.0.0.1:0"), foreign = address("192.0.2.1:0"), none = {0};
    fake_open(ua, 1, &local);
    roam_agent_flush(agent);
    const roam_addr taken = fake_input_of(ua, FAKE_OPENED, 0)->addr;
    fake_open(ua, 2, &taken);
    fake_open(ua, 3, &foreign);
    fake_open(ua, 4, &none);
    fake_output(ua, (roam_output){.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = 1});
    fake_open(ua, 5, &taken);
    fake_open(ua, 5, &local); /* the id is in use */
    roam_agent_flush(agent);
    const int expected[] = {0, ROAM_EBUSY, ROAM_EIO, ROAM_EINVAL, 0, ROAM_EINVAL};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(fake_input_of(ua, FAKE_OPENED, i)->err, expected[i]);
    assert_true(roam_addr_equal(&fake_input_of(ua, FAKE_OPENED, 4)->addr, &taken));
    roam_agent_free(agent);
}

static void refused_datagram_is_an_error_of_the_socket(void **state)
{
    /* Loopback cannot reach another host: the OS refuses to send, and the core hears of it, with the destination. A
     * socket that does not exist, and a datagram longer than UDP carries, are dropped without such evidence. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    roam_addr local = address("127.0.0.1:0"), far = address("192.0.2.1:5060");
    static char large[66000];
    fake_open(ua, 1, &local);
    fake_send(ua, 1, &far, "lost");
    fake_send(ua, 99, &far, "lost");
    fake_output(ua,
                (roam_output){.type = ROAM_OUTPUT_SEND, .socket = 1, .remote = local, .bytes = {large, sizeof large}});
    roam_agent_flush(agent);
    assert_int_equal(fake_count(ua, FAKE_ERROR), 1);
    assert_int_equal(fake_input_of(ua, FAKE_ERROR, 0)->socket, 1);
    assert_true(roam_addr_equal(&fake_input_of(ua, FAKE_ERROR, 0)->addr, &far));
    roam_agent_free(agent);
}

static void close_on_first(void *user, roam_ua *ua, const fake_input *input)
{
    if (input->type == FAKE_RECEIVE && input->socket == 2)
        fake_output(ua, (roam_output){.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = 2});
    if (input->type == FAKE_RECEIVE && input->socket == 3)
        roam_agent_stop(user);
}

static void socket_closed_by_its_own_datagram(void **state)
{
    /* A hundred datagrams wait, more than one batch holds. The first makes the core close the socket: what is left of
     * the batch may still arrive, nothing after it, and nothing is touched that was freed (the sanitizers look). */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    roam_addr local = address("127.0.0.1:0");
    for (uint32_t i = 1; i <= 3; i++)
        fake_open(ua, i, &local);
    roam_agent_flush(agent);
    for (int i = 0; i < 100; i++)
        fake_send(ua, 1, &fake_input_of(ua, FAKE_OPENED, 1)->addr, "x");
    fake_send(ua, 1, &fake_input_of(ua, FAKE_OPENED, 2)->addr, "end");
    roam_agent_flush(agent);
    ua->on_input = close_on_first;
    ua->user = agent;
    roam_agent_run(agent);
    const size_t received = fake_count(ua, FAKE_RECEIVE) - 1;
    assert_in_range(received, 1, 16);
    roam_agent_free(agent);
}

static void many_datagrams_in_order(void **state)
{
    /* 200 datagrams sent in one flush, more than a batch and more than a turn takes: all arrive, in order, none twice.
     */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    roam_addr local = address("127.0.0.1:0");
    fake_open(ua, 1, &local);
    fake_open(ua, 2, &local);
    roam_agent_flush(agent);
    const roam_addr to = fake_input_of(ua, FAKE_OPENED, 1)->addr;
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        fake_send(ua, 1, &to, text);
    }
    run_until(agent, FAKE_RECEIVE, 200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(atoi(fake_input_of(ua, FAKE_RECEIVE, (size_t)i)->bytes), i);
    roam_agent_free(agent);
}

static void deadline_fires(void **state)
{
    /* The core's deadline, in microseconds, makes the loop advance it at that time or after, never before; a later
     * deadline replaces an earlier one. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    const roam_time due = ua->now + 5300;
    const size_t before = fake_count(ua, FAKE_ADVANCE);
    ua->deadline = ua->now + ROAM_SECONDS(3600);
    roam_agent_flush(agent);
    ua->deadline = due;
    until u = {agent, FAKE_ADVANCE, before + 1};
    ua->on_input = stop_when_seen;
    ua->user = &u;
    roam_agent_run(agent);
    assert_int_equal(fake_count(ua, FAKE_ADVANCE), before + 1);
    assert_true(fake_input_of(ua, FAKE_ADVANCE, before)->now >= due);
    roam_agent_free(agent);
}

typedef struct poster {
    roam_agent *agent;
    int number;
    int next; /* what must come next from this one: the agent's thread only */
    int *finished;
    pthread_t thread;
} poster;

typedef struct post {
    poster *from;
    int number;
} post;

static void take_post(void *user, roam_agent *agent)
{
    post *p = user;
    assert_int_equal(p->number, p->from->next);
    p->from->next++;
    if (p->from->next == POSTS && ++*p->from->finished == POSTERS)
        roam_agent_stop(agent);
    free(p);
}

static void *post_many(void *user)
{
    poster *from = user;
    for (int i = 0; i < POSTS; i++) {
        post *p = malloc(sizeof *p);
        if (!p)
            abort();
        *p = (post){from, i};
        if (roam_post(from->agent, take_post, p) != 0)
            abort();
    }
    return NULL;
}

static void posts_of_four_threads(void **state)
{
    /* Four threads post 5,000 numbered calls each while the loop runs: all are run on the agent's thread, each thread's
     * in order. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    poster posters[POSTERS];
    int finished = 0;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (poster){agent, i, 0, &finished, 0};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    roam_agent_run(agent);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].next, POSTS);
    }
    roam_agent_free(agent);
}

static void count_post(void *user, roam_agent *agent)
{
    (void)agent;
    ++*(int *)user;
}

static void posts_not_run_are_dropped(void **state)
{
    /* Calls posted to an agent that is freed before its loop runs are dropped, and their memory with them. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    int ran = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(roam_post(agent, count_post, &ran), 0);
    roam_agent_free(agent);
    assert_int_equal(ran, 0);
}

static void shutdown_stops_own_loop(void **state)
{
    /* A shutdown ends in its event, and then in the end of the agent's own loop; without an application to hear it as
     * well. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_agent_shutdown(agent);
    assert_int_equal(roam_agent_run(agent), 0);
    assert_int_equal(fake_count(roam_agent_ua(agent), FAKE_SHUTDOWN), 1);
    roam_agent_free(agent);
}

typedef struct foreign {
    roam_agent *agent;
    roam_addr to;
    int timers, events;
} foreign;

static void foreign_timer(uv_timer_t *timer)
{
    /* A command given from a callback of the application, without a flush. */
    foreign *f = timer->data;
    f->timers++;
    fake_send(roam_agent_ua(f->agent), 1, &f->to, "from the application's own timer");
}

static void foreign_event(void *user, roam_agent *agent, const roam_event *event)
{
    (void)agent;
    foreign *f = user;
    f->events += event->type == ROAM_EVENT_SHUTDOWN_DONE;
}

static void lives_on_the_applications_loop(void **state)
{
    /* On a loop that the application runs itself: a command from one of its callbacks leaves in the same turn; the
     * shutdown does not stop that loop; the agent's handles close when the loop runs on, and then nothing keeps it
     * alive. */
    (void)state;
    uv_loop_t loop;
    uv_timer_t timer;
    foreign f = {0};
    assert_int_equal(uv_loop_init(&loop), 0);
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.monitor = false;
    config.uv_loop = &loop;
    config.on_event = foreign_event;
    config.user = &f;
    f.agent = roam_agent_new(&config);
    assert_non_null(f.agent);
    roam_ua *ua = roam_agent_ua(f.agent);
    roam_addr local = address("127.0.0.1:0");
    fake_open(ua, 1, &local);
    fake_open(ua, 2, &local);
    roam_agent_flush(f.agent);
    f.to = fake_input_of(ua, FAKE_OPENED, 1)->addr;
    uv_timer_init(&loop, &timer);
    timer.data = &f;
    uv_timer_start(&timer, foreign_timer, 0, 0);
    while (!fake_count(ua, FAKE_RECEIVE))
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(f.timers, 1);
    roam_agent_shutdown(f.agent);
    assert_int_not_equal(uv_run(&loop, UV_RUN_NOWAIT), 0);
    assert_int_equal(f.events, 1);
    uv_close((uv_handle_t *)&timer, NULL);
    roam_agent_free(f.agent);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void two_agents_on_one_loop(void **state)
{
    /* Two agents share the application's loop and see nothing of each other; one goes while the other works on. */
    (void)state;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    roam_agent *a = agent_on(&loop, false), *b = agent_on(&loop, false);
    roam_addr local = address("127.0.0.1:0");
    fake_open(roam_agent_ua(a), 1, &local);
    fake_open(roam_agent_ua(b), 1, &local);
    uv_run(&loop, UV_RUN_NOWAIT);
    const roam_addr to = fake_input_of(roam_agent_ua(b), FAKE_OPENED, 0)->addr;
    fake_send(roam_agent_ua(a), 1, &to, "last words");
    roam_agent_flush(a);
    roam_agent_free(a);
    while (!fake_count(roam_agent_ua(b), FAKE_RECEIVE))
        uv_run(&loop, UV_RUN_ONCE);
    roam_agent_free(b);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void resolve(roam_ua *ua, uint32_t query, const char *name)
{
    fake_output(ua, (roam_output){.type = ROAM_OUTPUT_RESOLVE, .query = query, .bytes = {name, strlen(name)}});
}

static void names_become_addresses(void **state)
{
    /* Addresses as text, and what is no name at all, are answered within the flush. "localhost", asked twice, is
     * answered to both; a name of the TLD that never exists (RFC 6761 6.4) has no address. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    resolve(ua, 1, "192.0.2.7");
    resolve(ua, 2, "[2001:db8::7]");
    resolve(ua, 3, "");
    resolve(ua, 4, longest);
    roam_agent_flush(agent);
    assert_int_equal(fake_count(ua, FAKE_RESOLVED), 4);
    const roam_ip four = address("192.0.2.7").ip, six = address("2001:db8::7").ip;
    assert_true(roam_ip_equal(&fake_input_of(ua, FAKE_RESOLVED, 0)->addr.ip, &four));
    assert_true(roam_ip_equal(&fake_input_of(ua, FAKE_RESOLVED, 1)->addr.ip, &six));
    assert_int_equal(fake_input_of(ua, FAKE_RESOLVED, 2)->n, 0);
    assert_int_equal(fake_input_of(ua, FAKE_RESOLVED, 3)->n, 0);
    resolve(ua, 5, "localhost");
    resolve(ua, 6, "LOCALHOST");
    resolve(ua, 7, "name.invalid");
    run_until(agent, FAKE_RESOLVED, 7);
    for (size_t i = 4; i < 7; i++) {
        const fake_input *answer = fake_input_of(ua, FAKE_RESOLVED, i);
        if (answer->socket == 7)
            assert_int_equal(answer->n, 0);
        else
            assert_true(answer->n > 0);
    }
    roam_agent_free(agent);
}

static void agent_does_not_wait_for_names(void **state)
{
    /* The agent is freed while names are being looked up, more than threads are allowed: nothing waits, nothing leaks,
     * and the threads that are still asking find nobody to tell. */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    roam_ua *ua = roam_agent_ua(agent);
    for (uint32_t i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u.invalid", i);
        resolve(ua, i, name);
    }
    roam_agent_flush(agent);
    roam_agent_free(agent);
}

static void loopback_is_a_route(void **state)
{
    /* With the monitor: the first picture is there when the agent is, and a watched loopback destination is answered
     * within the flush with a loopback source, so that agents on one machine find each other. */
    (void)state;
    roam_agent *agent = agent_on(NULL, true);
    roam_ua *ua = roam_agent_ua(agent);
    assert_true(ua->config.route_answers);
    assert_int_equal(fake_count(ua, FAKE_NETWORK), 1);
    const char *destinations[] = {"127.0.0.1", "127.0.0.9", "::1"};
    for (size_t i = 0; i < 3; i++)
        fake_output(ua, (roam_output){.type = ROAM_OUTPUT_ROUTE_WATCH, .remote = address(destinations[i])});
    fake_output(ua, (roam_output){.type = ROAM_OUTPUT_ROUTE_UNWATCH, .remote = address(destinations[0])});
    roam_agent_flush(agent);
    const char *sources[] = {"127.0.0.1", "127.0.0.1", "::1"};
    for (size_t i = 0; i < (has_ipv6() ? 3 : 2); i++) {
        const roam_net_route *route = &fake_input_of(ua, FAKE_ROUTE, i)->route;
        const roam_ip to = address(destinations[i]).ip, from = address(sources[i]).ip;
        assert_true(roam_ip_equal(&route->destination, &to));
        assert_true(roam_ip_equal(&route->source, &from));
        assert_int_equal(route->link, 1);
    }
    const roam_network network = {0};
    assert_int_equal(roam_agent_network_update(agent, &network), ROAM_ESTATE);
    roam_agent_free(agent);
}

static void feed_replaces_the_monitor(void **state)
{
    /* Without a monitor the application's pictures reach the core as they are, and an agent without a seed is not made.
     */
    (void)state;
    roam_agent *agent = agent_on(NULL, false);
    const roam_net_addr addrs[2] = {{.ip = address("192.0.2.1").ip, .link = 7},
                                    {.ip = address("2001:db8::1").ip, .link = 7}};
    const roam_network network = {.addrs = addrs, .naddrs = 2};
    assert_int_equal(roam_agent_network_update(agent, &network), 0);
    assert_int_equal(fake_input_of(roam_agent_ua(agent), FAKE_NETWORK, 0)->n, 2);
    roam_agent_free(agent);
    roam_agent_config config;
    roam_agent_config_default(&config);
    memset(config.ua.seed, 0, sizeof config.ua.seed);
    assert_null(roam_agent_new(&config));
}

static void seeds_differ(void **state)
{
    /* Two default configurations do not start from the same randomness. */
    (void)state;
    roam_agent_config a, b;
    roam_agent_config_default(&a);
    roam_agent_config_default(&b);
    assert_memory_not_equal(a.ua.seed, b.ua.seed, sizeof a.ua.seed);
}

/* ---- sound ---- */

/* The level of a frequency by correlation with it, 1 for a full-scale sine; the ends, where the filter starts, left
 * out. */
static double level(const int16_t *samples, size_t n, double hz, double rate)
{
    double re = 0, im = 0;
    const size_t skip = n / 10;
    for (size_t i = skip; i < n - skip; i++) {
        const double at = 2 * 3.14159265358979323846 * hz * (double)i / rate;
        re += samples[i] / 32768.0 * cos(at);
        im += samples[i] / 32768.0 * sin(at);
    }
    return 2 * sqrt(re * re + im * im) / (double)(n - 2 * skip);
}

static void sine(int16_t *samples, size_t n, double hz, double rate)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = (int16_t)lrint(16384 * sin(2 * 3.14159265358979323846 * hz * (double)i / rate));
}

static char *temporary(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/roam-edge-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    return path;
}

static void sound_keeps_pitch_and_level(void **state)
{
    /* A second of 1 kHz is written in frames of 20 ms at one rate and read at another: the same pitch at the same
     * level. A frequency above the new rate's band is gone instead of folded into it. At the same rate every sample is
     * as it was. */
    (void)state;
#ifndef ROAM_HAVE_SNDFILE
    skip();
#endif
    enum { MOST = 48000 };
    static int16_t in[MOST], out[MOST];
    static const struct {
        unsigned file, call;
        double hz, expected, heard_at;
    } rows[] = {
        {8000, 8000, 1000, 0.5, 1000},  {8000, 16000, 1000, 0.5, 1000},  {48000, 8000, 1000, 0.5, 1000},
        {44100, 8000, 1000, 0.5, 1000}, {16000, 48000, 3000, 0.5, 3000}, {48000, 8000, 7000, 0.0, 1000},
    };
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        char *path = temporary();
        const unsigned file = rows[row].file, call = rows[row].call;
        sine(in, file, rows[row].hz, file);
        roam_audio_sink *sink = roam_wav_sink(path);
        assert_non_null(sink);
        for (size_t i = 0; i < file; i += file / 50)
            sink->write(sink, in + i, file / 50, file, false);
        sink->close(sink);
        roam_audio_source *source = roam_wav_source(path, false);
        assert_non_null(source);
        size_t n = 0;
        while (n + call / 50 <= MOST) {
            size_t got = source->read(source, out + n, call / 50, call);
            n += got;
            if (got < call / 50)
                break;
        }
        assert_in_range(n, call - call / 50, call);
        assert_true(fabs(level(out, n, rows[row].heard_at, call) - rows[row].expected) < 0.005);
        if (file == call)
            assert_memory_equal(in, out, n * sizeof *in);
        source->close(source);
        unlink(path);
    }
}

static void sink_takes_a_change_of_rate(void **state)
{
    /* The file keeps the rate of the first frame; later frames at another rate are converted, and the length stays
     * right. */
    (void)state;
#ifndef ROAM_HAVE_SNDFILE
    skip();
#endif
    static int16_t in[16000], out[32000];
    char *path = temporary();
    roam_audio_sink *sink = roam_wav_sink(path);
    sine(in, 8000, 1000, 8000);
    sink->write(sink, in, 8000, 8000, false);
    sine(in, 16000, 1000, 16000);
    for (size_t i = 0; i < 16000; i += 320)
        sink->write(sink, in + i, 320, 16000, i % 640 == 0);
    sink->close(sink);
    roam_audio_source *source = roam_wav_source(path, false);
    const size_t n = source->read(source, out, 32000, 8000);
    assert_in_range(n, 16000 - 40, 16000);
    assert_true(fabs(level(out + 8000, n - 8000, 1000, 8000) - 0.5) < 0.005);
    source->close(source);
    unlink(path);
}

static void recording_survives_its_process(void **state)
{
    /* A process writes 2.5 s of sound and dies without closing: two seconds are readable. The ends of a file: a source
     * that repeats goes on, one that does not says that it has no more; a sink without sound leaves a readable file. */
    (void)state;
#ifndef ROAM_HAVE_SNDFILE
    skip();
#endif
    static int16_t frame[160], out[40000];
    char *path = temporary();
    sine(frame, 160, 1000, 8000);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        roam_audio_sink *sink = roam_wav_sink(path);
        for (int i = 0; sink && i < 125; i++)
            sink->write(sink, frame, 160, 8000, false);
        _exit(sink ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    roam_audio_source *source = roam_wav_source(path, false);
    assert_non_null(source);
    const size_t n = source->read(source, out, 40000, 8000);
    assert_in_range(n, 16000 - 40, 20000);
    assert_int_equal(source->read(source, out, 160, 8000), 0);
    source->close(source);
    source = roam_wav_source(path, true);
    assert_int_equal(source->read(source, out, 40000, 8000), 40000);
    source->close(source);
    roam_audio_sink *sink = roam_wav_sink(path);
    assert_non_null(sink);
    sink->close(sink);
    source = roam_wav_source(path, true);
    assert_non_null(source);
    assert_int_equal(source->read(source, out, 160, 8000), 0);
    source->close(source);
    unlink(path);
    assert_null(roam_wav_source(path, false));
    assert_null(roam_wav_source(NULL, false));
    assert_null(roam_wav_sink("/nowhere/at/all.wav"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagram_goes_there_and_back),
        cmocka_unit_test(refusals_have_their_names),
        cmocka_unit_test(refused_datagram_is_an_error_of_the_socket),
        cmocka_unit_test(socket_closed_by_its_own_datagram),
        cmocka_unit_test(many_datagrams_in_order),
        cmocka_unit_test(deadline_fires),
        cmocka_unit_test(posts_of_four_threads),
        cmocka_unit_test(posts_not_run_are_dropped),
        cmocka_unit_test(shutdown_stops_own_loop),
        cmocka_unit_test(lives_on_the_applications_loop),
        cmocka_unit_test(two_agents_on_one_loop),
        cmocka_unit_test(names_become_addresses),
        cmocka_unit_test(agent_does_not_wait_for_names),
        cmocka_unit_test(loopback_is_a_route),
        cmocka_unit_test(feed_replaces_the_monitor),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(sound_keeps_pitch_and_level),
        cmocka_unit_test(sink_takes_a_change_of_rate),
        cmocka_unit_test(recording_survives_its_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
