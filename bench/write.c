/* What it costs to write a message from what an agent knows (texts, numbers, an address), the way the agent does it: a
 * REGISTER with outbound Contact, and an INVITE whose SDP is written from its structure.
 *
 *   write [register|invite] [--rounds N]        N messages, and their number; without --rounds: ns for both
 *   write [register|invite] [--report X]        the table with X instructions a message (bench/instructions finds X) */
#include "bench/bench.h"
#include "wire/message.h"
#include "wire/sdp.h"

static const bench_peer register_peers[] = {
    {"PJSIP 2.17", 5495, 0}, {"sofia 1.13.17", 16058, 0}, {"osip2 5.3", 39097, 0}, {"libre 4.10", 17738, 0}};
static const bench_peer invite_peers[] = {
    {"PJSIP 2.17", 20159, 0}, {"sofia 1.13.17", 60571, 0}, {"osip2 5.3", 108667, 0}, {"libre 4.10", 51245, 0}};

static char message[4096];
static roam_addr local = {{.family = 4, .bytes = {198, 51, 100, 23}}, 5060};

static size_t write_register(uint32_t cseq);
static size_t write_invite(uint32_t cseq, const roam_sdp *offer);
static void fill_offer(roam_sdp *offer, roam_sdp_attribute *attributes);

int main(int argc, char **argv)
{
    static roam_sdp offer;
    static roam_sdp_attribute attributes[16];
    bool invite = false, timed = true;
    long rounds = 200000;
    fill_offer(&offer, attributes);
    double report = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "invite"))
            invite = true;
        else if (!strcmp(argv[i], "--report") && i + 1 < argc)
            report = strtod(argv[++i], NULL);
        else if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
            rounds = strtol(argv[++i], NULL, 10);
            timed = false;
        }
    }
    if (report > 0) {
        if (invite)
            bench_print("write an INVITE with SDP", "instructions", report, invite_peers, 4, 6000);
        else
            bench_print("write a REGISTER", "instructions", report, register_peers, 4, 2500);
        return 0;
    }
    size_t bytes = 0;
    for (int which = timed ? 0 : invite; which <= (timed ? 1 : invite); which++) {
        double best = 0;
        for (int repeat = 0; repeat < (timed ? 7 : 1); repeat++) {
            double start = bench_now_ns();
            for (long i = 0; i < rounds; i++)
                bytes += which ? write_invite((uint32_t)i, &offer) : write_register((uint32_t)i);
            double ns = (bench_now_ns() - start) / (double)rounds;
            if (best <= 0 || ns < best)
                best = ns;
        }
        if (timed) {
            size_t len = which ? write_invite(1, &offer) : write_register(1);
            printf("%s, %zu bytes: %.0f ns\n", which ? "write an INVITE with SDP" : "write a REGISTER", len, best);
        }
    }
    if (!timed)
        printf("operations %ld\n", rounds);
    return bytes == 0;
}

static void write_via(roam_writer *w, roam_span branch)
{
    write_lit(w, "Via: SIP/2.0/UDP ");
    write_addr(w, &local);
    write_lit(w, ";rport;branch=z9hG4bK");
    write_span(w, branch);
    write_lit(w, "\r\n");
}

static void write_party(roam_writer *w, roam_header_id id, roam_span display, roam_span uri, roam_span tag)
{
    write_header_name(w, id);
    if (display.len) {
        write_char(w, '"');
        write_span(w, display);
        write_lit(w, "\" ");
    }
    write_char(w, '<');
    write_span(w, uri);
    write_char(w, '>');
    if (tag.len) {
        write_lit(w, ";tag=");
        write_span(w, tag);
    }
    write_lit(w, "\r\n");
}

static void finished(const roam_writer *w)
{
    if (w->overflow)
        exit(1);
}

static size_t write_register(uint32_t cseq)
{
    roam_writer w;
    writer_init(&w, message, sizeof message);
    write_request_line(&w, SPAN("REGISTER"), SPAN("sip:roam.example"));
    write_via(&w, SPAN("r7Qm2Lx0ZpV4tYcN8sWd"));
    write_header_u32(&w, HEADER_MAX_FORWARDS, 70);
    write_party(&w, HEADER_FROM, SPAN("Mara Winter"), SPAN("sip:mara@roam.example"), SPAN("kq81Zc0pWm3xT7"));
    write_party(&w, HEADER_TO, SPAN("Mara Winter"), SPAN("sip:mara@roam.example"), (roam_span){NULL, 0});
    write_header(&w, HEADER_CALL_ID, SPAN("Vw3rT0yQ9mBc5ZkLx71NfAaPd2"));
    write_cseq(&w, cseq, SPAN("REGISTER"));
    write_header(&w, HEADER_USER_AGENT, SPAN("roam/0.1.0"));
    write_header(&w, HEADER_SUPPORTED, SPAN("path, outbound, gruu"));
    write_header_name(&w, HEADER_CONTACT);
    write_lit(&w, "\"Mara Winter\" <sip:mara@");
    write_addr(&w, &local);
    write_lit(&w, ";ob>;reg-id=1;+sip.instance=\"<urn:uuid:");
    write_span(&w, SPAN("7d0a6c1e-41f2-4f6b-9a52-0c55d7b1e201"));
    write_lit(&w, ">\"\r\n");
    write_header_u32(&w, HEADER_EXPIRES, 600);
    write_header(&w, HEADER_ALLOW, SPAN("INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY"));
    write_body(&w, (roam_span){NULL, 0}, (roam_span){NULL, 0});
    finished(&w);
    return w.len;
}

static size_t write_invite(uint32_t cseq, const roam_sdp *offer)
{
    char body[1024];
    roam_writer w, b;
    writer_init(&b, body, sizeof body);
    write_sdp(&b, offer);
    finished(&b);
    writer_init(&w, message, sizeof message);
    write_request_line(&w, SPAN("INVITE"), SPAN("sip:gate@192.0.2.140:5060;ob"));
    write_via(&w, SPAN("x2Vb8Nc4MqZ7wLk1JhGf"));
    write_header_u32(&w, HEADER_MAX_FORWARDS, 70);
    write_party(&w, HEADER_FROM, SPAN("Mara Winter"), SPAN("sip:mara@roam.example"), SPAN("p02Lw9VbXz51"));
    write_party(&w, HEADER_TO, (roam_span){NULL, 0}, SPAN("sip:gate@home.example"), SPAN("g81Kd0pX"));
    write_header(&w, HEADER_CALL_ID, SPAN("hS6kQ0bV2nX9mW4zLr81TcEyPd"));
    write_cseq(&w, cseq, SPAN("INVITE"));
    write_header(&w, HEADER_ROUTE, SPAN("<sip:203.0.113.90;r2=on;lr=on;ftag=p02Lw9VbXz51>"));
    write_header(&w, HEADER_ROUTE, SPAN("<sip:203.0.113.200;lr=on;ftag=p02Lw9VbXz51;did=7c.0e41>"));
    write_header_name(&w, HEADER_CONTACT);
    write_lit(&w, "<sip:mara@");
    write_addr(&w, &local);
    write_lit(&w, ";ob>\r\n");
    write_header(&w, HEADER_ALLOW, SPAN("INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY"));
    write_header(&w, HEADER_SUPPORTED, SPAN("replaces, timer, 100rel, norefersub"));
    write_header_u32(&w, HEADER_SESSION_EXPIRES, 1800);
    write_header_u32(&w, HEADER_MIN_SE, 90);
    write_header(&w, HEADER_USER_AGENT, SPAN("roam/0.1.0"));
    write_body(&w, SPAN("application/sdp"), writer_span(&b));
    finished(&w);
    return w.len;
}

/* The kind of offer an agent makes: one audio stream, five payload types. */
static void fill_offer(roam_sdp *offer, roam_sdp_attribute *attributes)
{
    static roam_sdp_line time = {'t', SPAN_INIT("0 0")};
    static const char *const lines[][2] = {{"rtcp", "41101"}, {"rtpmap", "9 G722/8000"}, {"rtpmap", "0 PCMU/8000"}, {"rtpmap", "8 PCMA/8000"},
                                           {"rtpmap", "111 opus/48000/2"}, {"fmtp", "111 useinbandfec=1"}, {"rtpmap", "101 telephone-event/8000"},
                                           {"fmtp", "101 0-16"}, {"ptime", "20"}, {"sendrecv", NULL}};
    roam_sdp_media *media = &offer->media[0];
    offer->origin.username = SPAN("-");
    offer->origin.session_id = offer->origin.version = SPAN("1730112211");
    offer->origin.address = SPAN("198.51.100.23");
    offer->origin.family = 4;
    offer->name = SPAN("-");
    offer->connection = (roam_sdp_connection){SPAN_INIT("198.51.100.23"), local.ip, 4};
    offer->lines = &time;
    offer->nlines = 1;
    offer->nmedia = 1;
    media->type = SPAN("audio");
    media->port = 41100;
    media->nports = 1;
    media->protocol = SPAN("RTP/AVP");
    media->formats = SPAN("9 0 8 111 101");
    media->attributes = attributes;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        attributes[media->nattributes++] = (roam_sdp_attribute){span_of(lines[i][0]), span_of(lines[i][1]), lines[i][1] != NULL};
}
