#include "testbed/negotiate.h"

static bool takes_pcmu(const roam_sdp_media *media);
static void write_session(roam_writer *w, const roam_description *ours);
static void write_stream(roam_writer *w, const roam_description *ours);

unsigned negotiate_read(roam_mem *mem, roam_span text, roam_negotiated *out)
{
    roam_arena arena;
    arena_init(&arena, mem);
    roam_sdp *sdp = arena_alloc(&arena, sizeof *sdp);
    int err = sdp ? sdp_parse(sdp, &arena, text) : ROAM_ENOMEM;
    unsigned status = err == ROAM_ENOMEM ? 500 : err ? 400 : 488;
    for (size_t i = 0; !err && i < sdp->nmedia && status; i++) {
        const roam_sdp_media *media = &sdp->media[i];
        const roam_sdp_connection *connection = sdp_media_connection(sdp, media);
        if (!span_ieq(media->type, SPAN("audio")) || !span_eq(media->protocol, SPAN("RTP/AVP")) || !takes_pcmu(media))
            continue;
        *out = (roam_negotiated){
            .remote = {connection->ip, media->port}, .direction = sdp_direction(sdp, media), .index = i};
        status = 0;
    }
    arena_free(&arena);
    return status;
}

int negotiate_write(roam_mem *mem, roam_writer *w, const roam_description *ours, roam_span offer, size_t index)
{
    write_session(w, ours);
    if (!offer.len) {
        write_stream(w, ours);
        return w->overflow ? ROAM_EOVERFLOW : ROAM_OK;
    }
    roam_arena arena;
    arena_init(&arena, mem);
    roam_sdp *sdp = arena_alloc(&arena, sizeof *sdp);
    int err = sdp ? sdp_parse(sdp, &arena, offer) : ROAM_ENOMEM;
    for (size_t i = 0; !err && i < sdp->nmedia; i++) {
        const roam_sdp_media *media = &sdp->media[i];
        if (i == index && media->port) {
            write_stream(w, ours);
            continue;
        }
        write_lit(w, "m=");
        write_span(w, media->type);
        write_lit(w, " 0 ");
        write_span(w, media->protocol);
        write_char(w, ' ');
        write_span(w, media->formats);
        write_lit(w, "\r\n");
    }
    arena_free(&arena);
    return err ? err : w->overflow ? ROAM_EOVERFLOW : ROAM_OK;
}

static bool takes_pcmu(const roam_sdp_media *media)
{
    roam_span rest = media->formats;
    uint8_t type;
    roam_rtpmap map;
    while (sdp_next_format(&rest, &type))
        if (type == 0 && sdp_rtpmap(media, type, &map) && span_ieq(map.encoding, SPAN("PCMU")))
            return true;
    return false;
}

static void write_session(roam_writer *w, const roam_description *ours)
{
    write_lit(w, "v=0\r\no=- ");
    write_u64(w, ours->id);
    write_char(w, ' ');
    write_u64(w, ours->version);
    write_cstr(w, ours->local.ip.family == 6 ? " IN IP6 " : " IN IP4 ");
    write_ip(w, &ours->local.ip);
    write_lit(w, "\r\ns=-\r\nc=IN IP");
    write_char(w, ours->local.ip.family == 6 ? '6' : '4');
    write_char(w, ' ');
    write_ip(w, &ours->local.ip);
    write_lit(w, "\r\nt=0 0\r\n");
}

static void write_stream(roam_writer *w, const roam_description *ours)
{
    write_lit(w, "m=audio ");
    write_u64(w, ours->local.port);
    write_lit(w, " RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=");
    write_cstr(w, direction_text(ours->direction));
    write_lit(w, "\r\n");
}
