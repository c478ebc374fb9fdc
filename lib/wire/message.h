/* SIP messages (RFC 3261 7 and 25), parsed without copying: every span points into the bytes given.
 *
 * message_parse finds the start line, the header lines and the body, and checks what RFC 3261 makes a whole message
 * depend on. The values of headers are parsed by the typed functions below, when somebody asks. */
#ifndef ROAM_WIRE_MESSAGE_H
#define ROAM_WIRE_MESSAGE_H

#include "base/limits.h"
#include "wire/uri.h"

typedef enum roam_method {
    METHOD_OTHER, METHOD_INVITE, METHOD_ACK, METHOD_BYE, METHOD_CANCEL, METHOD_REGISTER, METHOD_OPTIONS, METHOD_PRACK,
    METHOD_UPDATE, METHOD_INFO, METHOD_SUBSCRIBE, METHOD_NOTIFY, METHOD_REFER, METHOD_MESSAGE, METHOD_PUBLISH
} roam_method;

/* Well-known header fields; compact forms map to the same id. */
typedef enum roam_header_id {
    HEADER_OTHER, HEADER_VIA, HEADER_FROM, HEADER_TO, HEADER_CALL_ID, HEADER_CSEQ, HEADER_CONTACT, HEADER_ROUTE,
    HEADER_RECORD_ROUTE, HEADER_MAX_FORWARDS, HEADER_CONTENT_TYPE, HEADER_CONTENT_LENGTH, HEADER_CONTENT_ENCODING,
    HEADER_CONTENT_DISPOSITION, HEADER_EXPIRES, HEADER_MIN_EXPIRES, HEADER_WWW_AUTHENTICATE, HEADER_PROXY_AUTHENTICATE,
    HEADER_AUTHORIZATION, HEADER_PROXY_AUTHORIZATION, HEADER_AUTHENTICATION_INFO, HEADER_ALLOW, HEADER_SUPPORTED,
    HEADER_REQUIRE, HEADER_PROXY_REQUIRE, HEADER_UNSUPPORTED, HEADER_ACCEPT, HEADER_RETRY_AFTER, HEADER_WARNING,
    HEADER_REASON, HEADER_RACK, HEADER_RSEQ, HEADER_SESSION_EXPIRES, HEADER_MIN_SE, HEADER_REPLACES, HEADER_REFER_TO,
    HEADER_REFERRED_BY, HEADER_EVENT, HEADER_ALLOW_EVENTS, HEADER_SUBSCRIPTION_STATE, HEADER_PATH,
    HEADER_SERVICE_ROUTE, HEADER_USER_AGENT, HEADER_SERVER, HEADER_DATE, HEADER_FLOW_TIMER, HEADER_COUNT
} roam_header_id;

typedef struct roam_header {
    roam_header_id id;
    bool list;   /* there is a ',' in the line: perhaps several values */
    bool folded; /* the line was folded: there are line ends in the value, or blanks instead of it */
    roam_span name;  /* as it stood */
    roam_span value; /* trimmed; a folded value keeps its line ends inside */
} roam_header;

typedef struct roam_message {
    roam_span bytes;   /* start line to the end of the body */
    bool is_request;
    roam_method method; /* of a request, or of the CSeq of a response */
    roam_span method_name;
    roam_span request_uri; /* requests */
    uint16_t status;       /* responses: 100..699 */
    roam_span reason;
    roam_header *headers; /* in order; in the space given to message_parse */
    uint16_t nheaders;
    uint16_t first[HEADER_COUNT]; /* index + 1 of the first header of that id; 0: none */
    roam_span body;
    roam_span version;     /* "SIP/2.0" as it stood */
    uint64_t repeated;     /* bit `id`: there is more than one header of that id */
    uint16_t fault_status; /* what a server answers for `fault`: 400, 413, 414, 416, 505 ...; 0: no fault */
    const char *fault; /* why message_parse or message_check refused it: a phrase fit for a reason phrase. NULL: no fault */
} roam_message;

/* Space for the headers of one message: give it to message_parse, reuse it afterwards. */
typedef struct roam_header_space {
    roam_header headers[ROAM_MAX_HEADERS];
} roam_header_space;

/* Parses a datagram. ROAM_OK; or ROAM_ESYNTAX / ROAM_ELIMIT with `fault` set, and as much filled in as could be read, so
 * that a server can still answer 400 where Via, From, To, Call-ID and CSeq are there. Leading CRLFs are skipped. Bytes after
 * Content-Length are ignored (RFC 3261 18.3); a body shorter than it says is a fault. */
int message_parse(roam_message *m, roam_header_space *space, roam_span datagram);

/* What the message must hold to be handled (RFC 3261 8.1.1, 8.2, 20): mandatory headers once each, their grammar, CSeq method
 * equal to the request's, known SIP version, URI scheme, Max-Forwards range. Returns 0, or the status a server answers with (400, 414, 416,
 * 505, 513 ...) and sets `fault`; what message_parse found comes first. For a response any non-zero means "drop". */
int message_check(roam_message *m);

/* The value of the first header of that kind; empty when there is none. */
roam_span message_value(const roam_message *m, roam_header_id id);
/* Its index for walking: the next header of the same kind after `index`, or -1. */
int message_next(const roam_message *m, roam_header_id id, int index);
static inline int message_first(const roam_message *m, roam_header_id id)
{
    return (int)m->first[id] - 1;
}
static inline bool message_has(const roam_message *m, roam_header_id id)
{
    return m->first[id] != 0;
}
/* Any header by its (long) name, without case. */
roam_span message_value_named(const roam_message *m, roam_span name);

/* Walks the comma-separated values of all headers of a kind, in order (quotes, brackets and comments respected). Start with
 * a zeroed cursor. Not for WWW-Authenticate and its like, whose commas are inside one value: walk those by header. */
typedef struct roam_value_cursor {
    int index; /* header index + 1 */
    roam_span rest;
} roam_value_cursor;
bool message_values(const roam_message *m, roam_header_id id, roam_value_cursor *cursor, roam_span *value);
/* Is `token` one of the comma-separated values of these headers (without case; parameters ignored)? For Allow, Supported, Require. */
bool message_has_token(const roam_message *m, roam_header_id id, roam_span token);

/* ---- typed values ---- */

/* name-addr or addr-spec with header parameters: From, To, Contact, Route, Record-Route, Refer-To, Path ... */
typedef struct roam_name_addr {
    roam_span display;  /* as it stood, quotes kept */
    roam_span uri_text; /* inside the brackets, or the bare addr-spec */
    roam_uri uri;
    roam_span params; /* after the URI, without the leading ';' */
    roam_span tag;    /* the parameter; empty: none */
    bool wildcard;    /* Contact: * */
} roam_name_addr;
int name_addr_parse(roam_span value, roam_name_addr *out);
roam_span name_addr_tag(const roam_name_addr *a); /* empty: none */

typedef struct roam_via {
    roam_span transport; /* "UDP" as it stood */
    roam_span host;      /* IPv6 without brackets */
    roam_ip ip;          /* family 0: a name */
    uint16_t port;       /* 0: none */
    roam_span branch;
    roam_span params;
    bool has_rport;
    uint16_t rport; /* 0: no value */
    roam_ip received; /* family 0: none */
    roam_span received_text;
} roam_via;
int via_parse(roam_span value, roam_via *out);
/* The first (topmost) Via of the message. */
int message_top_via(const roam_message *m, roam_via *out);

typedef struct roam_cseq {
    uint32_t number;
    roam_method method;
    roam_span method_name;
} roam_cseq;
int cseq_parse(roam_span value, roam_cseq *out);

roam_method method_of(roam_span name); /* case-sensitive, as methods are */
const char *method_text(roam_method method); /* "INVITE"; "" for METHOD_OTHER */
const char *header_text(roam_header_id id);  /* "Call-ID" */
const char *status_text(unsigned status);    /* the default reason phrase: "Not Found" */
/* delta-seconds of Expires, Min-Expires, Retry-After (comment and parameters allowed). False when absent or bad. Values above 2^32-1 are capped. */
bool message_seconds(const roam_message *m, roam_header_id id, uint32_t *out);
/* The media type of the body equals e.g. "application/sdp" (without case, parameters ignored). */
bool message_has_body_type(const roam_message *m, roam_span type);

/* ---- writing ----
 * One writer for requests and responses. Order of calls: start line, headers, body; write_body ends the message. */
void write_request_line(roam_writer *w, roam_span method, roam_span uri);
void write_status_line(roam_writer *w, unsigned status, roam_span reason /* empty: default */);
void write_header(roam_writer *w, roam_header_id id, roam_span value);
void write_header_named(roam_writer *w, roam_span name, roam_span value);
void write_header_u32(roam_writer *w, roam_header_id id, uint32_t value);
void write_cseq(roam_writer *w, uint32_t number, roam_span method);
/* "Name: " alone, for a value written in pieces; end it with write_lit(w, "\r\n"). */
void write_header_name(roam_writer *w, roam_header_id id);
/* Content-Type (when type is not empty), Content-Length, the empty line, the body. */
void write_body(roam_writer *w, roam_span type, roam_span body);
/* Copies of all headers of that kind, values as they stood (folds become one blank). */
void write_headers_copied(roam_writer *w, const roam_message *from, roam_header_id id);
/* The head of a response to `request`: status line, all Via (the top one with received/rport from `source` when it is not
 * NULL), From, To (with `to_tag` added when not empty and not there), Call-ID, CSeq. RFC 3261 8.2.6.2, 18.2.1; RFC 3581. */
void write_response_head(roam_writer *w, const roam_message *request, unsigned status, roam_span reason, roam_span to_tag,
                         const roam_addr *source);

#endif
