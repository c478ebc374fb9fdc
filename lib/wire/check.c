/* What a message must hold to be handled (RFC 3261 8.1.1, 8.2, 16.3, 20).
 *
 * A request is looked into wherever its handling depends on it, so that what is behind can rely on the grammar of Via,
 * From, To, Call-ID, CSeq, Contact, Route and Record-Route. A response is only asked for what matches it to its request:
 * a bad Contact in a 200 to REGISTER may be somebody else's binding. */
#include "wire/chars.h"
#include "wire/message.h"

#define BIT(id) ((uint64_t)1 << (id))

/* Fields that may stand once only (RFC 3261 20, table 2) and that our handling depends on. */
static const uint64_t single = BIT(HEADER_FROM) | BIT(HEADER_TO) | BIT(HEADER_CALL_ID) | BIT(HEADER_CSEQ) |
                               BIT(HEADER_MAX_FORWARDS) | BIT(HEADER_CONTENT_LENGTH) | BIT(HEADER_CONTENT_TYPE) |
                               BIT(HEADER_EXPIRES) | BIT(HEADER_RACK) | BIT(HEADER_RSEQ) | BIT(HEADER_REPLACES) |
                               BIT(HEADER_REFER_TO) | BIT(HEADER_EVENT) | BIT(HEADER_SESSION_EXPIRES) | BIT(HEADER_MIN_SE);
static const uint64_t single_in_response = BIT(HEADER_FROM) | BIT(HEADER_TO) | BIT(HEADER_CALL_ID) | BIT(HEADER_CSEQ) |
                                           BIT(HEADER_CONTENT_LENGTH);

static int refuse(roam_message *m, uint16_t status, const char *phrase);
static int check_identity(roam_message *m);
static int check_request_uri(roam_message *m);
static bool vias_valid(const roam_message *m, bool *too_many);
static bool name_addrs_valid(const roam_message *m, roam_header_id id);
static bool call_id_valid(roam_span value);
static bool date_valid(roam_span value);

int message_check(roam_message *m)
{
    if (m->fault)
        return m->fault_status;
    if (!span_eq(m->version, SPAN("SIP/2.0")) && !span_ieq(m->version, SPAN("SIP/2.0")))
        return refuse(m, 505, "Version Not Supported");
    int status = check_identity(m);
    if (status || !m->is_request)
        return status;
    status = check_request_uri(m);
    if (status)
        return status;
    if (m->first[HEADER_MAX_FORWARDS]) { /* RFC 2543 knew none: its absence is forgiven (RFC 4475 3.4.1) */
        roam_span value = message_value(m, HEADER_MAX_FORWARDS);
        uint32_t n;
        if (!value.len || scan_number(value.ptr, value.ptr + value.len, 255, &n) != value.ptr + value.len)
            return refuse(m, 400, "Bad Max-Forwards");
    }
    if (m->first[HEADER_CONTACT] && !name_addrs_valid(m, HEADER_CONTACT))
        return refuse(m, 400, "Bad Contact");
    if (m->first[HEADER_ROUTE] && !name_addrs_valid(m, HEADER_ROUTE))
        return refuse(m, 400, "Bad Route");
    if (m->first[HEADER_RECORD_ROUTE] && !name_addrs_valid(m, HEADER_RECORD_ROUTE))
        return refuse(m, 400, "Bad Record-Route");
    if (m->first[HEADER_DATE] && !date_valid(message_value(m, HEADER_DATE)))
        return refuse(m, 400, "Bad Date");
    return 0;
}

static int refuse(roam_message *m, uint16_t status, const char *phrase)
{
    m->fault = phrase;
    m->fault_status = status;
    return status;
}

/* Via, From, To, Call-ID, CSeq: there, once where once is the rule, and well-formed. */
static int check_identity(roam_message *m)
{
    static const struct {
        roam_header_id id;
        const char *missing;
    } mandatory[] = {
        {HEADER_VIA, "Missing Via"},         {HEADER_FROM, "Missing From"}, {HEADER_TO, "Missing To"},
        {HEADER_CALL_ID, "Missing Call-ID"}, {HEADER_CSEQ, "Missing CSeq"},
    };
    for (size_t i = 0; i < sizeof mandatory / sizeof mandatory[0]; i++)
        if (!m->first[mandatory[i].id])
            return refuse(m, 400, mandatory[i].missing);
    if (m->repeated & (m->is_request ? single : single_in_response))
        return refuse(m, 400, "Repeated Header");
    bool too_many = false;
    if (!vias_valid(m, &too_many))
        return refuse(m, 400, too_many ? "Too Many Vias" : "Bad Via");
    roam_name_addr address;
    if (name_addr_parse(message_value(m, HEADER_FROM), &address) != ROAM_OK || address.wildcard)
        return refuse(m, 400, "Bad From");
    if (name_addr_parse(message_value(m, HEADER_TO), &address) != ROAM_OK || address.wildcard)
        return refuse(m, 400, "Bad To");
    if (!call_id_valid(message_value(m, HEADER_CALL_ID)))
        return refuse(m, 400, "Bad Call-ID");
    roam_cseq cseq;
    if (cseq_parse(message_value(m, HEADER_CSEQ), &cseq) != ROAM_OK)
        return refuse(m, 400, "Bad CSeq");
    if (m->is_request && !span_eq(cseq.method_name, m->method_name))
        return refuse(m, 400, "CSeq Method Mismatch");
    return 0;
}

static int check_request_uri(roam_message *m)
{
    roam_uri uri;
    if (m->request_uri.len > ROAM_MAX_URI)
        return refuse(m, 414, "Request-URI Too Long");
    if (uri_parse(m->request_uri, &uri) != ROAM_OK)
        return refuse(m, 400, "Bad Request-URI");
    if (uri.scheme == URI_OTHER)
        return refuse(m, 416, "Unsupported URI Scheme");
    if (uri.headers.len)
        return refuse(m, 400, "Headers In Request-URI"); /* RFC 3261 19.1.1, table 1 */
    return 0;
}

static bool vias_valid(const roam_message *m, bool *too_many)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_via via;
    size_t n = 0;
    while (message_values(m, HEADER_VIA, &cursor, &value)) {
        *too_many = ++n > ROAM_MAX_VIAS;
        if (*too_many || via_parse(value, &via) != ROAM_OK)
            return false;
    }
    return n > 0;
}

/* Each value a name-addr; "*" alone, and in Contact only; Route and Record-Route always with brackets. */
static bool name_addrs_valid(const roam_message *m, roam_header_id id)
{
    roam_value_cursor cursor = {0};
    roam_span value;
    roam_name_addr address;
    bool wildcard = false;
    size_t n = 0;
    while (message_values(m, id, &cursor, &value)) {
        n++;
        if (name_addr_parse(value, &address) != ROAM_OK)
            return false;
        wildcard |= address.wildcard;
        if (id != HEADER_CONTACT && (address.wildcard || address.uri_text.ptr == value.ptr))
            return false;
    }
    return !wildcard || (n == 1 && id == HEADER_CONTACT);
}

/* callid = word [ "@" word ]. More than one '@' is let pass: it is compared byte by byte anyway. */
static bool call_id_valid(roam_span value)
{
    const char *p = value.ptr, *end = span_end(value);
    for (; p < end; p++)
        if (!char_is(*p, CHAR_WORD) && *p != '@')
            return false;
    return value.len > 0 && value.ptr[0] != '@' && end[-1] != '@';
}

/* rfc1123-date: 29 characters, always GMT (RFC 3261 20.17). Only its form matters here. */
static bool date_valid(roam_span value)
{
    static const char form[] = "Aaa, 00 Aaa 0000 00:00:00 GMT"; /* A, a: a letter; 0: a digit; else itself */
    if (value.len != sizeof form - 1)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool literal = i >= 26 || !((form[i] | 0x20) == 'a' || form[i] == '0');
        if (literal ? c != form[i] : form[i] == '0' ? !ascii_is_digit(c) : ascii_lower(c) < 'a' || ascii_lower(c) > 'z')
            return false;
    }
    return true;
}
