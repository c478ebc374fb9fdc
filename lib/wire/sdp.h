/* SDP (RFC 8866), whole: every line is kept, unknown ones too, so that what is parsed can be written again.
 * Parsing copies nothing; the arrays live in an arena. */
#ifndef ROAM_WIRE_SDP_H
#define ROAM_WIRE_SDP_H

#include "base/limits.h"
#include "base/memory.h"
#include "base/writer.h"

/* `text` is the address as it stood ("192.0.2.1", with a multicast "/ttl" if any), or the whole value of the line when
 * its type is unknown. Empty: no c= line; write_sdp then takes the address from `ip` when that has a family. */
typedef struct roam_sdp_connection {
    roam_span text;
    roam_ip ip;     /* family 0: a host name, or none */
    uint8_t family; /* 4 or 6, of IP4 / IP6; 0: no c= line or an unknown type */
} roam_sdp_connection;

typedef struct roam_sdp_attribute {
    roam_span name;  /* "rtpmap" */
    roam_span value; /* after the colon; empty for a flag */
    bool has_value;
} roam_sdp_attribute;

/* A line that is not modelled: type letter and value (i= u= e= p= b= z= k= r=, t= at the session level, the second and
 * later c= of a media ...), kept in order. */
typedef struct roam_sdp_line {
    char type;
    roam_span value;
} roam_sdp_line;

typedef struct roam_sdp_media {
    roam_span type;                 /* "audio" */
    uint16_t port;                  /* 0: refused or disabled */
    uint32_t nports;                /* of port/n; 1 when not given */
    bool has_nports;                /* "/n" stood there: written even when n is 1 */
    roam_span protocol;             /* "RTP/AVP" */
    roam_span formats;              /* the rest of the m= line, blank-separated */
    roam_sdp_connection connection; /* of this media; see sdp_media_connection for inheritance */
    roam_sdp_line *lines;
    size_t nlines;
    roam_sdp_attribute *attributes;
    size_t nattributes;
} roam_sdp_media;

typedef struct roam_sdp {
    struct {
        roam_span username, session_id, version;
        roam_span address; /* or "nettype addrtype address" as it stood when family is 0 */
        uint8_t family;    /* 4 or 6; 0: an unknown type */
    } origin;
    roam_span name; /* s=; ptr NULL is written as "-" */
    roam_sdp_connection connection;
    roam_sdp_line *lines; /* of the session, in order */
    size_t nlines;
    roam_sdp_attribute *attributes;
    size_t nattributes;
    roam_sdp_media media[ROAM_MAX_SDP_MEDIA];
    size_t nmedia;
} roam_sdp;

/* ROAM_ESYNTAX, ROAM_ELIMIT, ROAM_ENOMEM; `sdp` is then not to be read. Lines may end in CRLF or LF, the last one need
 * not end. v=0 first, o= and s= must be there, t= may be missing (peers do that). Lines out of order are taken as they
 * come. */
int sdp_parse(roam_sdp *sdp, roam_arena *arena, roam_span text);
/* Lines in the order of RFC 8866 5, each ended by CRLF. What sdp_parse read in that order is written byte for byte (but
 * for zeros in front of a port). The values are written as they are: they must hold no CR, LF or NUL. */
void write_sdp(roam_writer *w, const roam_sdp *sdp);

/* The c= that counts for this media. */
const roam_sdp_connection *sdp_media_connection(const roam_sdp *sdp, const roam_sdp_media *media);
/* The first attribute of that name, media level only; NULL when absent. */
const roam_sdp_attribute *sdp_attribute(const roam_sdp_attribute *list, size_t n, roam_span name);

typedef enum roam_direction {
    DIRECTION_INACTIVE = 0,
    DIRECTION_SENDONLY = 1,
    DIRECTION_RECVONLY = 2,
    DIRECTION_SENDRECV = 3
} roam_direction;
/* Media level, else session level, else sendrecv. The old hold (c=0.0.0.0) reads as inactive if sendrecv was said, RFC
 * 3264 8.4. */
roam_direction sdp_direction(const roam_sdp *sdp, const roam_sdp_media *media);
const char *direction_text(roam_direction direction);
/* What the answerer's mirror of a direction is: sendonly <-> recvonly. */
roam_direction direction_reverse(roam_direction direction);

/* a=rtpmap of a payload type; static types 0, 8, 9, 13 ... known without one. False when unknown. */
typedef struct roam_rtpmap {
    uint8_t payload_type;
    roam_span encoding; /* "PCMU" */
    uint32_t clock;
    uint8_t channels;
} roam_rtpmap;
bool sdp_rtpmap(const roam_sdp_media *media, uint8_t payload_type, roam_rtpmap *out);
roam_span sdp_fmtp(const roam_sdp_media *media, uint8_t payload_type); /* empty: none */
/* Walks the formats of an RTP m= line as numbers; false at the end. Start with *rest = media->formats. Formats that are
 * no numbers 0..127 are skipped. */
bool sdp_next_format(roam_span *rest, uint8_t *payload_type);
/* The RTCP address: a=rtcp (RFC 3605), or port + 1. */
bool sdp_rtcp_port(const roam_sdp_media *media, uint16_t *port);

#endif
