/* Every input of the core and every output that was taken, as trace records from which a run can be repeated (roam_ua_config.trace_inputs).
 *
 * An input is "name=value" lines. Whoever adds a function to the public interface that changes something records its call here, at its beginning:
 *
 *     if (recording(ua)) {
 *         roam_record r = record_begin(ua, "call_hold", ua_now(ua));
 *         record_number(&r, "call", id);
 *         record_end(&r);
 *     } */
#ifndef ROAM_UA_RECORD_H
#define ROAM_UA_RECORD_H

#include "ua/ua.h"

typedef struct roam_record {
    roam_ua *ua;
    const char *name;
    roam_time now;
    roam_writer w;
} roam_record;

/* Only what comes from outside: what one function of the interface asks of another follows from it. */
static inline bool recording(const roam_ua *ua)
{
    return ua->config.trace_inputs && ua->depth == 0;
}
roam_record record_begin(roam_ua *ua, const char *name, roam_time now);
void record_number(roam_record *r, const char *key, uint64_t value);
void record_signed(roam_record *r, const char *key, int64_t value);
void record_text(roam_record *r, const char *key, const char *value); /* NULL: nothing is written */
void record_span(roam_record *r, const char *key, roam_span value);
void record_ip(roam_record *r, const char *key, const roam_ip *ip); /* family 0: nothing */
void record_addr(roam_record *r, const char *key, const roam_addr *addr);
void record_options(roam_record *r, const roam_call_options *options);
void record_end(roam_record *r);
/* The commonest: a command about one call or account. */
void record_command(roam_ua *ua, const char *name, const char *key, uint32_t id);
/* About a call, with options, a text or a number; NULL, 0: none. */
void record_call(roam_ua *ua, const char *name, roam_call_id id, const roam_call_options *options, const char *text, uint32_t number);

void record_config(roam_ua *ua, const roam_ua_config *config);
void record_account(roam_ua *ua, const roam_account_config *config); /* that there is a password, not which */
void record_network(roam_ua *ua, roam_time now, const roam_network *network);
/* SIP and RTCP whole; of RTP the header, or a packet that is too short for sound. */
void record_datagram(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *from, roam_span datagram, bool media);
/* What the host took; SIP is in ROAM_TRACE_SENT already. */
void record_output(roam_ua *ua, const roam_output *output);

#endif
