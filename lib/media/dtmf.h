/* Telephone events (RFC 4733), both ways: digits to packets, packets to digits. */
#ifndef ROAM_MEDIA_DTMF_H
#define ROAM_MEDIA_DTMF_H

#include "base/span.h"

#define DTMF_QUEUE 64u
#define DTMF_PAYLOAD 4u
#define DTMF_DEFAULT_MS 160u /* for a duration of 0 */
#define DTMF_MIN_MS 40u
#define DTMF_MAX_MS 8000u    /* what 16 bits of duration hold at 8 kHz (2.5.1.3 cuts longer ones into segments; we refuse them) */
#define DTMF_PAUSE_MS 60u    /* between two digits, the repeated end packets included */
#define DTMF_END_PACKETS 3u  /* 2.5.1.4 */

/* 0..15, or -1 for what is no digit (0-9 * # A-D). */
int dtmf_code(char digit);
char dtmf_digit(unsigned code); /* 0: none */

typedef enum roam_dtmf_state { DTMF_IDLE, DTMF_TONE, DTMF_ENDING, DTMF_PAUSE } roam_dtmf_state;

typedef struct roam_dtmf_sender {
    roam_dtmf_state state;
    char queue[DTMF_QUEUE];
    uint32_t durations_ms[DTMF_QUEUE];
    size_t head, count;
    uint32_t timestamp; /* of the beginning, in all packets of the event */
    uint32_t duration, full; /* in units of the clock */
    uint32_t left;      /* end packets, then packet times of the pause */
} roam_dtmf_sender;

typedef struct roam_dtmf_packet {
    bool first; /* marker */
    uint32_t timestamp;
    uint8_t payload[DTMF_PAYLOAD];
} roam_dtmf_packet;

/* ROAM_EINVAL: a digit that is none, or a duration out of range; ROAM_ELIMIT: the queue cannot take all of them, and takes none. */
int dtmf_queue(roam_dtmf_sender *d, roam_span digits, uint32_t duration_ms);
/* Once a packet time, `timestamp` being that of the audio now. True: this packet goes instead of the audio. */
bool dtmf_send(roam_dtmf_sender *d, uint32_t timestamp, uint32_t ptime_ms, uint32_t clock, roam_dtmf_packet *out);

typedef struct roam_dtmf_receiver {
    bool active;      /* an event is there that was not yet reported */
    bool any;         /* `timestamp` is that of the newest event seen */
    uint32_t timestamp;
    uint8_t code;
    uint32_t duration;
    roam_time last;   /* packet of it */
    roam_time seen;
} roam_dtmf_receiver;

typedef struct roam_dtmf_report {
    char digit;
    uint32_t duration; /* in units of the clock */
} roam_dtmf_report;

#define DTMF_LOST_END ROAM_MS(100) /* no packet of an event for so long: its end packets were lost */

/* Returns how many events ended by this packet (0..2: the one before may have lost its end), in `out`. ROAM_ESYNTAX for no event. */
int dtmf_receive(roam_dtmf_receiver *d, roam_time now, uint32_t timestamp, roam_span payload, roam_dtmf_report out[2]);
/* Ends an event whose end packets were lost. True: reported in *out. */
bool dtmf_expire(roam_dtmf_receiver *d, roam_time now, roam_dtmf_report *out);

#endif
