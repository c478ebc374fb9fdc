/* What a transaction costs: both ends in one process, the figures of other stacks beside ours.
 *
 *   transactions                        CPU time over UDP loopback, cost at 500 and 6,000 live transactions, bytes of a
 * lingering pair transactions --rounds N OPERATION   N operations without sockets, and their number (for
 * bench/instructions) transactions --report X OPERATION   the table with X instructions an operation
 *   ... --live N                        as many transactions linger all the time (500)
 *
 * OPERATION: `options` (a request, its 200) or `invite` (INVITE with SDP, 200 with SDP, ACK, BYE, 200: dialogs on both
 * sides). Time is virtual: it moves between operations so that the wished number of transactions lingers. */
#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "sip/dialog.h"

enum { QUEUE = 16, WARM_UP_LIVES = 2 };

/* From one session on one machine, see bench/README.md. CPU time in microseconds (warm where both were measured, the
 * lower end of a range), user instructions, bytes. */
static const struct {
    const char *stack;
    double options_us, options_instructions, invite_us, invite_instructions, pair_bytes, at_6000;
} others[] = {
    {"PJSIP 2.17", 30, 148000, 95, 583000, 26700, 1.0},
    {"sofia 1.13.17", 28, 113000, 300, 993000, 15700, 1.0},
    {"libre 4.10", 70, 297000, 196, 847000, 6900, 3.0},
    {"bare sockets", 8.2, 0, 0, 0, 0, 1.0},
};
enum { OTHERS = sizeof others / sizeof others[0] };

typedef struct end {
    roam_env env;
    roam_sip sip;
    roam_path path;
    struct end *peer;
    int socket; /* -1: the queue */
    struct {
        char bytes[4096];
        size_t len;
    } queue[QUEUE];
    size_t first, count;
    roam_dialog dialog;
    roam_accept accept;
    roam_ack ack;
    roam_flow *flow; /* to the peer */
    size_t bytes;    /* allocated, with the allocator's overhead */
    long finals;
} end;

static const char sdp[] = "v=0\r\no=- 3724394400 3724394405 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 "
                          "0\r\nm=audio 4000 RTP/AVP 0 8 101\r\n"
                          "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 "
                          "telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n";

static void fail(const char *what)
{
    fprintf(stderr, "transactions: %s\n", what);
    exit(1);
}

/* ---- two ends and what lies between them ---- */

static void *counted(void *user, void *ptr, size_t size)
{
    end *e = user;
    if (ptr)
        e->bytes -= malloc_usable_size(ptr) + 8;
    if (!size) {
        free(ptr);
        return NULL;
    }
    ptr = realloc(ptr, size);
    e->bytes += malloc_usable_size(ptr) + 8;
    return ptr;
}

static int end_send(void *user, const roam_flow *flow, roam_span bytes)
{
    end *e = user, *to = e->peer;
    if (to->count == QUEUE || bytes.len > sizeof to->queue[0].bytes)
        fail("the queue is full");
    if (e->socket >= 0) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(flow->remote.port)};
        memcpy(&address.sin_addr, flow->remote.ip.bytes, 4);
        if (sendto(e->socket, bytes.ptr, bytes.len, 0, (struct sockaddr *)&address, sizeof address) !=
            (ssize_t)bytes.len)
            fail("sendto");
    } else {
        size_t at = (to->first + to->count) % QUEUE;
        memcpy(to->queue[at].bytes, bytes.ptr, bytes.len);
        to->queue[at].len = bytes.len;
    }
    to->count++;
    return 0;
}

static void end_deliver(end *e)
{
    static char datagram[ROAM_MAX_MESSAGE];
    size_t at = e->first;
    roam_addr from = e->peer->path.local;
    e->first = (e->first + 1) % QUEUE;
    e->count--;
    if (e->socket < 0) {
        sip_receive(&e->sip, &e->path, &from, span_make(e->queue[at].bytes, e->queue[at].len));
        return;
    }
    struct sockaddr_in address;
    socklen_t address_len = sizeof address;
    ssize_t n = recvfrom(e->socket, datagram, sizeof datagram, 0, (struct sockaddr *)&address, &address_len);
    if (n <= 0)
        fail("recvfrom");
    from.port = ntohs(address.sin_port);
    memcpy(from.ip.bytes, &address.sin_addr, 4);
    sip_receive(&e->sip, &e->path, &from, span_make(datagram, (size_t)n));
}

static void deliver_all(end *a, end *b)
{
    while (a->count || b->count)
        end_deliver(b->count ? b : a);
}

/* ---- the users of the layer ---- */

static void write_answer(roam_server_txn *txn, const char *contact, roam_span type, roam_span body)
{
    roam_response r;
    response_begin(txn, &r, 200, (roam_span){0}, (roam_span){0});
    write_header(&r.w, HEADER_CONTACT, span_of(contact));
    write_header(&r.w, HEADER_ALLOW, SPAN("INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE"));
    write_body(&r.w, type, body);
    if (response_send(&r) != ROAM_OK)
        fail("response_send");
}

static void on_request(void *user, roam_server_txn *txn, const roam_message *request)
{
    end *e = user;
    switch ((int)request->method) {
    case METHOD_OPTIONS: write_answer(txn, "<sip:bob@192.0.2.2>", (roam_span){0}, (roam_span){0}); break;
    case METHOD_INVITE: {
        roam_cseq cseq;
        if (cseq_parse(message_value(request, HEADER_CSEQ), &cseq) != ROAM_OK ||
            dialog_init_callee(&e->dialog, &e->env, request, server_txn_to_tag(txn)) != ROAM_OK)
            fail("no dialog");
        write_answer(txn, "<sip:bob@192.0.2.2>", SPAN("application/sdp"), SPAN(sdp));
        dialog_set_state(&e->dialog, DIALOG_CONFIRMED, "200 sent");
        accept_start(&e->accept, &e->sip, txn, cseq.number, NULL, NULL);
        break;
    }
    case METHOD_BYE:
        if (dialog_check_request(&e->dialog, request))
            fail("BYE refused");
        write_answer(txn, "<sip:bob@192.0.2.2>", (roam_span){0}, (roam_span){0});
        dialog_free(&e->dialog);
        break;
    default: fail("what request is that?");
    }
}

static void on_ack(void *user, roam_flow *flow, const roam_message *ack)
{
    end *e = user;
    (void)flow;
    if (!dialog_matches(&e->dialog, ack, true) || !accept_on_ack(&e->accept, ack))
        fail("a wrong ACK");
}

static void on_response(void *user, roam_client_txn *txn, roam_client_event event, const roam_message *response)
{
    end *e = user;
    (void)txn;
    if (event == CLIENT_ENDED)
        return;
    if (event != CLIENT_RESPONSE || response->status != 200)
        fail("not answered");
    e->finals++;
    if (response->method == METHOD_INVITE) {
        if (dialog_on_response(&e->dialog, response) != ROAM_OK)
            fail("dialog_on_response");
        ack_send(&e->ack, &e->dialog, &e->sip, e->flow, e->dialog.local_cseq, (roam_span){0}, (roam_span){0});
    }
}

/* ---- operations ---- */

static void send_request(end *e, roam_method method, roam_span type, roam_span body)
{
    roam_request r;
    dialog_request_begin(&e->dialog, &e->sip, &r, e->flow, method, 0);
    write_header(&r.w, HEADER_CONTACT, SPAN("<sip:alice@192.0.2.1>"));
    write_header(&r.w, HEADER_USER_AGENT, SPAN("roam"));
    write_body(&r.w, type, body);
    if (!request_send(&r, on_response, e))
        fail("request_send");
}

static void operation(end *a, end *b, bool invite, roam_time step)
{
    if (dialog_init_caller(&a->dialog, &a->env, SPAN("\"Alice\" <sip:alice@example.com>"),
                           SPAN("<sip:bob@example.com>"), SPAN("sip:bob@192.0.2.2:5060")) != ROAM_OK)
        fail("dialog_init_caller");
    long before = a->finals;
    if (invite)
        send_request(a, METHOD_INVITE, SPAN("application/sdp"), SPAN(sdp));
    else
        send_request(a, METHOD_OPTIONS, (roam_span){0}, (roam_span){0});
    deliver_all(a, b);
    if (invite) {
        send_request(a, METHOD_BYE, (roam_span){0}, (roam_span){0});
        deliver_all(a, b);
    }
    if (a->finals - before != (invite ? 2 : 1))
        fail("an operation was not finished");
    ack_free(&a->ack, &a->env.mem);
    dialog_free(&a->dialog);
    env_advance(&a->env, a->env.now + step);
    env_advance(&b->env, b->env.now + step);
}

static void end_open(end *e, end *peer, const char *address, bool sockets, bool count, uint8_t seed_byte)
{
    uint8_t seed[32] = {seed_byte};
    roam_allocator allocator = {counted, e};
    roam_sip_tu tu = {.send = end_send, .request = on_request, .ack = on_ack, .user = e};
    *e = (end){.peer = peer, .socket = -1};
    env_init(&e->env, count ? &allocator : NULL, seed, NULL, NULL);
    e->path = (roam_path){.transport = TRANSPORT_UDP, .state = PATH_UP};
    list_init(&e->path.node);
    if (roam_addr_parse(span_of(sockets ? "127.0.0.1" : address), &e->path.local) != ROAM_OK ||
        sip_init(&e->sip, &e->env, &tu) != ROAM_OK)
        fail("sip_init");
    e->path.local.port = 5060;
    e->sip.merge_check = true; /* as a user agent has it */
    if (sockets) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof any;
        e->socket = socket(AF_INET, SOCK_DGRAM, 0);
        if (e->socket < 0 || bind(e->socket, (struct sockaddr *)&any, sizeof any) != 0 ||
            getsockname(e->socket, (struct sockaddr *)&any, &len) != 0)
            fail("no socket");
        e->path.local.port = ntohs(any.sin_port);
    }
}

static void pair_open(end *a, end *b, bool sockets, bool count)
{
    end_open(a, b, "192.0.2.1", sockets, count, 1);
    end_open(b, a, "192.0.2.2", sockets, count, 2);
    a->flow = flow_get(&a->sip, &a->path, &b->path.local);
    b->flow = flow_get(&b->sip, &b->path, &a->path.local);
    if (!a->flow || !b->flow)
        fail("no memory");
}

static void pair_close(end *a, end *b)
{
    end *both[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        flow_unref(both[i]->flow);
        sip_free(&both[i]->sip);
        env_free(&both[i]->env);
        if (both[i]->env.mem.live)
            fail("something leaked");
        if (both[i]->socket >= 0)
            close(both[i]->socket);
    }
}

/* The step of time between operations that keeps `live` server transactions lingering: each stays 32 s (Timer J or L).
 */
static roam_time step_for(long live, bool invite)
{
    return ROAM_SECONDS(32) * (invite ? 2 : 1) / (roam_time)live;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* CPU microseconds an operation, the median of seven runs. */
static double measure(bool invite, bool sockets, long live)
{
    static end a, b;
    double runs[7];
    roam_time step = step_for(live, invite);
    pair_open(&a, &b, sockets, false);
    for (long i = 0; i < WARM_UP_LIVES * live; i++)
        operation(&a, &b, invite, step);
    for (size_t i = 0; i < 7; i++) {
        const long n = 4000;
        double start = cpu_us();
        for (long j = 0; j < n; j++)
            operation(&a, &b, invite, step);
        double us = (cpu_us() - start) / (double)n;
        size_t at = i;
        for (; at > 0 && runs[at - 1] > us; at--)
            runs[at] = runs[at - 1];
        runs[at] = us;
    }
    pair_close(&a, &b);
    return runs[3];
}

/* Bytes that a finished OPTIONS transaction keeps at both ends together, tables included, malloc's overhead too. */
static double lingering_pair(void)
{
    static end a, b;
    const long n = 4096;
    pair_open(&a, &b, false, true);
    operation(&a, &b, false, 0);
    size_t before = a.bytes + b.bytes;
    for (long i = 0; i < n; i++)
        operation(&a, &b, false, 0);
    double bytes = (double)(a.bytes + b.bytes - before) / (double)n;
    pair_close(&a, &b);
    return bytes;
}

/* What the machine asks for: a datagram of 450 bytes there and one back, nothing done with them. */
static double bare_sockets(void)
{
    static end a, b;
    char datagram[450] = {0};
    const long n = 20000;
    pair_open(&a, &b, true, false);
    double start = cpu_us();
    for (long i = 0; i < 2 * n; i++) {
        end *from = i % 2 ? &b : &a, *to = from->peer;
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(to->path.local.port)};
        if (sendto(from->socket, datagram, sizeof datagram, 0, (struct sockaddr *)&address, sizeof address) < 0 ||
            recvfrom(to->socket, datagram, sizeof datagram, 0, NULL, NULL) < 0)
            fail("bare sockets");
    }
    double us = (cpu_us() - start) / (double)n;
    pair_close(&a, &b);
    return us;
}

/* Times of two machines do not compare: each is given in round trips of bare sockets of its own machine as well. */
static void time_table(const char *what, double ours, double floor_here, double goal, bool invite)
{
    const double floor_there = 8.2, trips = invite ? 2.5 : 1; /* five datagrams, two */
    printf("%s\n  %-16s %6.1f us here,  %4.1f times bare sockets here  (goal there: below %.0f us, %.1f times)\n", what,
           "roam", ours, ours / (floor_here * trips), goal, goal / (floor_there * trips));
    for (size_t i = 0; i < OTHERS; i++) {
        double us = invite ? others[i].invite_us : others[i].options_us;
        if (us > 0)
            printf("  %-16s %6.1f us there, %4.1f times bare sockets there\n", others[i].stack, us,
                   us / (floor_there * trips));
    }
}

static void table(const char *what, double ours, double goal, size_t field)
{
    printf("%s\n  %-16s %12.1f   (goal: below %.0f)\n", what, "roam", ours, goal);
    for (size_t i = 0; i < OTHERS; i++) {
        const double values[] = {others[i].options_instructions, others[i].invite_instructions, others[i].pair_bytes};
        if (values[field] > 0)
            printf("  %-16s %12.1f   %5.1f times ours\n", others[i].stack, values[field], values[field] / ours);
    }
}

static void report_all(void)
{
    double floor_here = bare_sockets();
    printf("bare sockets, a datagram each way, CPU us: %.2f here, 8.2 on the machine of the other figures\n",
           floor_here);
    time_table("OPTIONS transaction, both ends, UDP loopback, CPU time", measure(false, true, 500), floor_here, 14,
               false);
    time_table("INVITE 200 ACK BYE 200 with SDP, both ends, UDP loopback, CPU time", measure(true, true, 500),
               floor_here, 50, true);
    double few = measure(false, false, 500), many = measure(false, false, 6000);
    printf("OPTIONS without sockets, CPU us: %.2f with 500 live transactions, %.2f with 6000: ratio %.2f (goal: 1.0)\n",
           few, many, many / few);
    for (size_t i = 0; i < OTHERS; i++)
        printf("  %-16s ratio %.1f\n", others[i].stack, others[i].at_6000);
    table("lingering transaction pair (OPTIONS, both ends), bytes", lingering_pair(), 3000, 2);
}

int main(int argc, char **argv)
{
    long rounds = 0, live = 500;
    double instructions = 0;
    bool invite = false, named = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--live") && i + 1 < argc)
            live = strtol(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--report") && i + 1 < argc)
            instructions = strtod(argv[++i], NULL);
        else if (!strcmp(argv[i], "options") || !strcmp(argv[i], "invite"))
            named = true, invite = argv[i][0] == 'i';
        else
            fail("usage: transactions [[--rounds N | --report X] [--live N] options|invite]");
    }
    if (live < 1 || rounds < 0 || (!named && (rounds || instructions > 0)))
        fail("usage: transactions [[--rounds N | --report X] [--live N] options|invite]");
    if (instructions > 0) {
        printf("%ld live transactions at each end\n", live);
        if (invite)
            table("INVITE 200 ACK BYE 200 with SDP, both ends, user instructions", instructions, 170000, 1);
        else
            table("OPTIONS transaction, both ends, user instructions", instructions, 40000, 0);
        return 0;
    }
    if (!rounds) {
        report_all();
        return 0;
    }
    static end a, b;
    pair_open(&a, &b, false, false);
    for (long i = 0; i < WARM_UP_LIVES * live; i++)
        operation(&a, &b, invite, step_for(live, invite));
    for (long i = 0; i < rounds; i++)
        operation(&a, &b, invite, step_for(live, invite));
    pair_close(&a, &b);
    printf("operations %ld\n", rounds);
    return 0;
}
