/* Names on the wire: header fields, methods, reason phrases. */
#include "wire/names.h"

const roam_header_name header_names[HEADER_COUNT] = {
    [HEADER_OTHER] = {"", 0},
    [HEADER_VIA] = {"via", 3},
    [HEADER_FROM] = {"from", 4},
    [HEADER_TO] = {"to", 2},
    [HEADER_CALL_ID] = {"call-id", 7},
    [HEADER_CSEQ] = {"cseq", 4},
    [HEADER_CONTACT] = {"contact", 7},
    [HEADER_ROUTE] = {"route", 5},
    [HEADER_RECORD_ROUTE] = {"record-route", 12},
    [HEADER_MAX_FORWARDS] = {"max-forwards", 12},
    [HEADER_CONTENT_TYPE] = {"content-type", 12},
    [HEADER_CONTENT_LENGTH] = {"content-length", 14},
    [HEADER_CONTENT_ENCODING] = {"content-encoding", 16},
    [HEADER_CONTENT_DISPOSITION] = {"content-disposition", 19},
    [HEADER_EXPIRES] = {"expires", 7},
    [HEADER_MIN_EXPIRES] = {"min-expires", 11},
    [HEADER_WWW_AUTHENTICATE] = {"www-authenticate", 16},
    [HEADER_PROXY_AUTHENTICATE] = {"proxy-authenticate", 18},
    [HEADER_AUTHORIZATION] = {"authorization", 13},
    [HEADER_PROXY_AUTHORIZATION] = {"proxy-authorization", 19},
    [HEADER_AUTHENTICATION_INFO] = {"authentication-info", 19},
    [HEADER_ALLOW] = {"allow", 5},
    [HEADER_SUPPORTED] = {"supported", 9},
    [HEADER_REQUIRE] = {"require", 7},
    [HEADER_PROXY_REQUIRE] = {"proxy-require", 13},
    [HEADER_UNSUPPORTED] = {"unsupported", 11},
    [HEADER_ACCEPT] = {"accept", 6},
    [HEADER_RETRY_AFTER] = {"retry-after", 11},
    [HEADER_WARNING] = {"warning", 7},
    [HEADER_REASON] = {"reason", 6},
    [HEADER_RACK] = {"rack", 4},
    [HEADER_RSEQ] = {"rseq", 4},
    [HEADER_SESSION_EXPIRES] = {"session-expires", 15},
    [HEADER_MIN_SE] = {"min-se", 6},
    [HEADER_REPLACES] = {"replaces", 8},
    [HEADER_REFER_TO] = {"refer-to", 8},
    [HEADER_REFERRED_BY] = {"referred-by", 11},
    [HEADER_EVENT] = {"event", 5},
    [HEADER_ALLOW_EVENTS] = {"allow-events", 12},
    [HEADER_SUBSCRIPTION_STATE] = {"subscription-state", 18},
    [HEADER_PATH] = {"path", 4},
    [HEADER_SERVICE_ROUTE] = {"service-route", 13},
    [HEADER_USER_AGENT] = {"user-agent", 10},
    [HEADER_SERVER] = {"server", 6},
    [HEADER_DATE] = {"date", 4},
    [HEADER_FLOW_TIMER] = {"flow-timer", 10},
};

const roam_span header_prefixes[HEADER_COUNT] = {
    [HEADER_OTHER] = SPAN_INIT(""),
    [HEADER_VIA] = SPAN_INIT("Via: "),
    [HEADER_FROM] = SPAN_INIT("From: "),
    [HEADER_TO] = SPAN_INIT("To: "),
    [HEADER_CALL_ID] = SPAN_INIT("Call-ID: "),
    [HEADER_CSEQ] = SPAN_INIT("CSeq: "),
    [HEADER_CONTACT] = SPAN_INIT("Contact: "),
    [HEADER_ROUTE] = SPAN_INIT("Route: "),
    [HEADER_RECORD_ROUTE] = SPAN_INIT("Record-Route: "),
    [HEADER_MAX_FORWARDS] = SPAN_INIT("Max-Forwards: "),
    [HEADER_CONTENT_TYPE] = SPAN_INIT("Content-Type: "),
    [HEADER_CONTENT_LENGTH] = SPAN_INIT("Content-Length: "),
    [HEADER_CONTENT_ENCODING] = SPAN_INIT("Content-Encoding: "),
    [HEADER_CONTENT_DISPOSITION] = SPAN_INIT("Content-Disposition: "),
    [HEADER_EXPIRES] = SPAN_INIT("Expires: "),
    [HEADER_MIN_EXPIRES] = SPAN_INIT("Min-Expires: "),
    [HEADER_WWW_AUTHENTICATE] = SPAN_INIT("WWW-Authenticate: "),
    [HEADER_PROXY_AUTHENTICATE] = SPAN_INIT("Proxy-Authenticate: "),
    [HEADER_AUTHORIZATION] = SPAN_INIT("Authorization: "),
    [HEADER_PROXY_AUTHORIZATION] = SPAN_INIT("Proxy-Authorization: "),
    [HEADER_AUTHENTICATION_INFO] = SPAN_INIT("Authentication-Info: "),
    [HEADER_ALLOW] = SPAN_INIT("Allow: "),
    [HEADER_SUPPORTED] = SPAN_INIT("Supported: "),
    [HEADER_REQUIRE] = SPAN_INIT("Require: "),
    [HEADER_PROXY_REQUIRE] = SPAN_INIT("Proxy-Require: "),
    [HEADER_UNSUPPORTED] = SPAN_INIT("Unsupported: "),
    [HEADER_ACCEPT] = SPAN_INIT("Accept: "),
    [HEADER_RETRY_AFTER] = SPAN_INIT("Retry-After: "),
    [HEADER_WARNING] = SPAN_INIT("Warning: "),
    [HEADER_REASON] = SPAN_INIT("Reason: "),
    [HEADER_RACK] = SPAN_INIT("RAck: "),
    [HEADER_RSEQ] = SPAN_INIT("RSeq: "),
    [HEADER_SESSION_EXPIRES] = SPAN_INIT("Session-Expires: "),
    [HEADER_MIN_SE] = SPAN_INIT("Min-SE: "),
    [HEADER_REPLACES] = SPAN_INIT("Replaces: "),
    [HEADER_REFER_TO] = SPAN_INIT("Refer-To: "),
    [HEADER_REFERRED_BY] = SPAN_INIT("Referred-By: "),
    [HEADER_EVENT] = SPAN_INIT("Event: "),
    [HEADER_ALLOW_EVENTS] = SPAN_INIT("Allow-Events: "),
    [HEADER_SUBSCRIPTION_STATE] = SPAN_INIT("Subscription-State: "),
    [HEADER_PATH] = SPAN_INIT("Path: "),
    [HEADER_SERVICE_ROUTE] = SPAN_INIT("Service-Route: "),
    [HEADER_USER_AGENT] = SPAN_INIT("User-Agent: "),
    [HEADER_SERVER] = SPAN_INIT("Server: "),
    [HEADER_DATE] = SPAN_INIT("Date: "),
    [HEADER_FLOW_TIMER] = SPAN_INIT("Flow-Timer: "),
};

/* Compact forms (RFC 3261 7.3.3 and the registry of IANA). */
const uint8_t header_compact[26] = {
    ['b' - 'a'] = HEADER_REFERRED_BY,
    ['c' - 'a'] = HEADER_CONTENT_TYPE,
    ['e' - 'a'] = HEADER_CONTENT_ENCODING,
    ['f' - 'a'] = HEADER_FROM,
    ['i' - 'a'] = HEADER_CALL_ID,
    ['k' - 'a'] = HEADER_SUPPORTED,
    ['l' - 'a'] = HEADER_CONTENT_LENGTH,
    ['m' - 'a'] = HEADER_CONTACT,
    ['o' - 'a'] = HEADER_EVENT,
    ['r' - 'a'] = HEADER_REFER_TO,
    ['t' - 'a'] = HEADER_TO,
    ['u' - 'a'] = HEADER_ALLOW_EVENTS,
    ['v' - 'a'] = HEADER_VIA,
    ['x' - 'a'] = HEADER_SESSION_EXPIRES,
};

/* A hash of first and last character and length that no two of our names share. A new name may need new factors:
 * tests/message_test.c looks every name up. */
const uint8_t header_slots[HEADER_SLOTS] = {
    [1] = HEADER_RECORD_ROUTE, [5] = HEADER_PROXY_AUTHORIZATION, [7] = HEADER_ALLOW, [11] = HEADER_USER_AGENT,
    [12] = HEADER_REFERRED_BY, [22] = HEADER_MIN_SE, [24] = HEADER_CONTENT_DISPOSITION, [28] = HEADER_UNSUPPORTED,
    [30] = HEADER_CSEQ, [35] = HEADER_RACK, [37] = HEADER_FROM, [43] = HEADER_DATE, [54] = HEADER_CONTACT,
    [55] = HEADER_SERVER, [58] = HEADER_REASON, [64] = HEADER_PROXY_REQUIRE, [67] = HEADER_REFER_TO,
    [69] = HEADER_PROXY_AUTHENTICATE, [70] = HEADER_CALL_ID, [71] = HEADER_SESSION_EXPIRES, [76] = HEADER_PATH,
    [77] = HEADER_RSEQ, [78] = HEADER_FLOW_TIMER, [80] = HEADER_AUTHORIZATION, [82] = HEADER_CONTENT_TYPE,
    [88] = HEADER_SUPPORTED, [91] = HEADER_RETRY_AFTER, [93] = HEADER_AUTHENTICATION_INFO, [95] = HEADER_REPLACES,
    [96] = HEADER_VIA, [99] = HEADER_SERVICE_ROUTE, [100] = HEADER_CONTENT_ENCODING,
    [104] = HEADER_SUBSCRIPTION_STATE, [105] = HEADER_CONTENT_LENGTH, [106] = HEADER_WWW_AUTHENTICATE,
    [111] = HEADER_WARNING, [113] = HEADER_EXPIRES, [114] = HEADER_ALLOW_EVENTS, [115] = HEADER_ACCEPT,
    [118] = HEADER_EVENT, [122] = HEADER_ROUTE, [124] = HEADER_REQUIRE, [125] = HEADER_MIN_EXPIRES,
    [126] = HEADER_MAX_FORWARDS, [127] = HEADER_TO,
};

static const roam_span methods[] = {
    [METHOD_INVITE] = SPAN_INIT("INVITE"),
    [METHOD_ACK] = SPAN_INIT("ACK"),
    [METHOD_BYE] = SPAN_INIT("BYE"),
    [METHOD_CANCEL] = SPAN_INIT("CANCEL"),
    [METHOD_REGISTER] = SPAN_INIT("REGISTER"),
    [METHOD_OPTIONS] = SPAN_INIT("OPTIONS"),
    [METHOD_PRACK] = SPAN_INIT("PRACK"),
    [METHOD_UPDATE] = SPAN_INIT("UPDATE"),
    [METHOD_INFO] = SPAN_INIT("INFO"),
    [METHOD_SUBSCRIBE] = SPAN_INIT("SUBSCRIBE"),
    [METHOD_NOTIFY] = SPAN_INIT("NOTIFY"),
    [METHOD_REFER] = SPAN_INIT("REFER"),
    [METHOD_MESSAGE] = SPAN_INIT("MESSAGE"),
    [METHOD_PUBLISH] = SPAN_INIT("PUBLISH"),
};

/* Setting bit 5 folds the case of letters and leaves '-' alone, but would make one of CR too: a byte that is no letter
 * (bit 6 clear) must have had it. */
bool header_name_is(const char *name, size_t len, const char *lower)
{
    unsigned differ = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned c = (uint8_t)name[i];
        differ |= ((c | 0x20u) ^ (uint8_t)lower[i]) | (~(c | c >> 1) & 0x20u);
    }
    return differ == 0;
}

roam_span header_alias(roam_span name)
{
    static const struct {
        roam_span compact, full;
    } others[] = {
        {SPAN_INIT("a"), SPAN_INIT("Accept-Contact")},      {SPAN_INIT("d"), SPAN_INIT("Request-Disposition")},
        {SPAN_INIT("j"), SPAN_INIT("Reject-Contact")},      {SPAN_INIT("n"), SPAN_INIT("Identity-Info")},
        {SPAN_INIT("s"), SPAN_INIT("Subject")},             {SPAN_INIT("y"), SPAN_INIT("Identity")},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (span_ieq(name, others[i].compact))
            return others[i].full;
        if (span_ieq(name, others[i].full))
            return others[i].compact;
    }
    return (roam_span){NULL, 0};
}

const char *header_text(roam_header_id id)
{
    static const char *const texts[HEADER_COUNT] = {
        [HEADER_OTHER] = "",
        [HEADER_VIA] = "Via",
        [HEADER_FROM] = "From",
        [HEADER_TO] = "To",
        [HEADER_CALL_ID] = "Call-ID",
        [HEADER_CSEQ] = "CSeq",
        [HEADER_CONTACT] = "Contact",
        [HEADER_ROUTE] = "Route",
        [HEADER_RECORD_ROUTE] = "Record-Route",
        [HEADER_MAX_FORWARDS] = "Max-Forwards",
        [HEADER_CONTENT_TYPE] = "Content-Type",
        [HEADER_CONTENT_LENGTH] = "Content-Length",
        [HEADER_CONTENT_ENCODING] = "Content-Encoding",
        [HEADER_CONTENT_DISPOSITION] = "Content-Disposition",
        [HEADER_EXPIRES] = "Expires",
        [HEADER_MIN_EXPIRES] = "Min-Expires",
        [HEADER_WWW_AUTHENTICATE] = "WWW-Authenticate",
        [HEADER_PROXY_AUTHENTICATE] = "Proxy-Authenticate",
        [HEADER_AUTHORIZATION] = "Authorization",
        [HEADER_PROXY_AUTHORIZATION] = "Proxy-Authorization",
        [HEADER_AUTHENTICATION_INFO] = "Authentication-Info",
        [HEADER_ALLOW] = "Allow",
        [HEADER_SUPPORTED] = "Supported",
        [HEADER_REQUIRE] = "Require",
        [HEADER_PROXY_REQUIRE] = "Proxy-Require",
        [HEADER_UNSUPPORTED] = "Unsupported",
        [HEADER_ACCEPT] = "Accept",
        [HEADER_RETRY_AFTER] = "Retry-After",
        [HEADER_WARNING] = "Warning",
        [HEADER_REASON] = "Reason",
        [HEADER_RACK] = "RAck",
        [HEADER_RSEQ] = "RSeq",
        [HEADER_SESSION_EXPIRES] = "Session-Expires",
        [HEADER_MIN_SE] = "Min-SE",
        [HEADER_REPLACES] = "Replaces",
        [HEADER_REFER_TO] = "Refer-To",
        [HEADER_REFERRED_BY] = "Referred-By",
        [HEADER_EVENT] = "Event",
        [HEADER_ALLOW_EVENTS] = "Allow-Events",
        [HEADER_SUBSCRIPTION_STATE] = "Subscription-State",
        [HEADER_PATH] = "Path",
        [HEADER_SERVICE_ROUTE] = "Service-Route",
        [HEADER_USER_AGENT] = "User-Agent",
        [HEADER_SERVER] = "Server",
        [HEADER_DATE] = "Date",
        [HEADER_FLOW_TIMER] = "Flow-Timer",
    };
    return id < HEADER_COUNT ? texts[id] : "";
}

roam_method method_of(roam_span name)
{
#define METHOD_IS(which, text) (memcmp(name.ptr, text, sizeof text - 1) == 0 ? (which) : METHOD_OTHER)
    switch (name.len) {
    case 3:
        return name.ptr[0] == 'A' ? METHOD_IS(METHOD_ACK, "ACK") : METHOD_IS(METHOD_BYE, "BYE");
    case 4:
        return METHOD_IS(METHOD_INFO, "INFO");
    case 5:
        return name.ptr[0] == 'R' ? METHOD_IS(METHOD_REFER, "REFER") : METHOD_IS(METHOD_PRACK, "PRACK");
    case 6:
        switch (name.ptr[0]) {
        case 'I': return METHOD_IS(METHOD_INVITE, "INVITE");
        case 'C': return METHOD_IS(METHOD_CANCEL, "CANCEL");
        case 'U': return METHOD_IS(METHOD_UPDATE, "UPDATE");
        case 'N': return METHOD_IS(METHOD_NOTIFY, "NOTIFY");
        default: return METHOD_OTHER;
        }
    case 7:
        switch (name.ptr[0]) {
        case 'O': return METHOD_IS(METHOD_OPTIONS, "OPTIONS");
        case 'M': return METHOD_IS(METHOD_MESSAGE, "MESSAGE");
        case 'P': return METHOD_IS(METHOD_PUBLISH, "PUBLISH");
        default: return METHOD_OTHER;
        }
    case 8:
        return METHOD_IS(METHOD_REGISTER, "REGISTER");
    case 9:
        return METHOD_IS(METHOD_SUBSCRIBE, "SUBSCRIBE");
    default:
        return METHOD_OTHER;
    }
#undef METHOD_IS
}

const char *method_text(roam_method method)
{
    size_t i = (size_t)method;
    return i > 0 && i < sizeof methods / sizeof methods[0] ? methods[i].ptr : "";
}

/* Reason phrases of the registry of IANA. */
const char *status_text(unsigned status)
{
    switch (status) {
    case 100: return "Trying";
    case 180: return "Ringing";
    case 181: return "Call Is Being Forwarded";
    case 182: return "Queued";
    case 183: return "Session Progress";
    case 199: return "Early Dialog Terminated";
    case 200: return "OK";
    case 202: return "Accepted";
    case 204: return "No Notification";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Moved Temporarily";
    case 305: return "Use Proxy";
    case 380: return "Alternative Service";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 410: return "Gone";
    case 412: return "Conditional Request Failed";
    case 413: return "Request Entity Too Large";
    case 414: return "Request-URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Unsupported URI Scheme";
    case 417: return "Unknown Resource-Priority";
    case 420: return "Bad Extension";
    case 421: return "Extension Required";
    case 422: return "Session Interval Too Small";
    case 423: return "Interval Too Brief";
    case 424: return "Bad Location Information";
    case 428: return "Use Identity Header";
    case 429: return "Provide Referrer Identity";
    case 430: return "Flow Failed";
    case 433: return "Anonymity Disallowed";
    case 436: return "Bad Identity Info";
    case 437: return "Unsupported Credential";
    case 438: return "Invalid Identity Header";
    case 439: return "First Hop Lacks Outbound Support";
    case 440: return "Max-Breadth Exceeded";
    case 469: return "Bad Info Package";
    case 470: return "Consent Needed";
    case 480: return "Temporarily Unavailable";
    case 481: return "Call/Transaction Does Not Exist";
    case 482: return "Loop Detected";
    case 483: return "Too Many Hops";
    case 484: return "Address Incomplete";
    case 485: return "Ambiguous";
    case 486: return "Busy Here";
    case 487: return "Request Terminated";
    case 488: return "Not Acceptable Here";
    case 489: return "Bad Event";
    case 491: return "Request Pending";
    case 493: return "Undecipherable";
    case 494: return "Security Agreement Required";
    case 500: return "Server Internal Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Server Time-out";
    case 505: return "Version Not Supported";
    case 513: return "Message Too Large";
    case 580: return "Precondition Failure";
    case 600: return "Busy Everywhere";
    case 603: return "Decline";
    case 604: return "Does Not Exist Anywhere";
    case 606: return "Not Acceptable";
    case 607: return "Unwanted";
    case 608: return "Rejected";
    default: break;
    }
    switch (status / 100) {
    case 1: return "Progress";
    case 2: return "Success";
    case 3: return "Redirection";
    case 4: return "Request Failure";
    case 5: return "Server Failure";
    case 6: return "Global Failure";
    default: return "Unknown";
    }
}
