/* The messages and changes of state in one or several traces, in the order of time: what ladder diagrams are drawn from. */
#ifndef ROAM_CLI_DIAGRAM_H
#define ROAM_CLI_DIAGRAM_H

#include <stddef.h>

#include "roam/base.h"

typedef enum diagram_kind { DIAGRAM_MESSAGE, DIAGRAM_NOTE } diagram_kind;

typedef struct diagram_entry {
    diagram_kind kind;
    double time;         /* epoch seconds: when it left, where that is known */
    double arrived;      /* 0: not seen to arrive */
    size_t from, to;     /* of a message: participants */
    char label[112];     /* "INVITE (SDP)", "200 OK (REGISTER)"; of a note: the change of state */
    char call_id[128];
    bool seen_leaving;
    bool again;          /* the same message was sent before */
    uint64_t hash;       /* of its bytes */
    size_t order;
} diagram_entry;

typedef struct diagram {
    diagram_entry *entries;
    size_t nentries, cap;
    char (*participants)[ROAM_ADDR_TEXT_MAX];
    size_t nparticipants;
    size_t unreadable; /* lines that were no record */
} diagram;

void diagram_init(diagram *d);
void diagram_free(diagram *d);
/* Adds one by one: a message as it was seen leaving, a line of text. */
void diagram_add_message(diagram *d, double time, const roam_addr *from, const roam_addr *to, roam_span bytes);
void diagram_add_note(diagram *d, double time, const char *text);
/* Adds a trace file. False: what is wrong was said. */
bool diagram_read(diagram *d, const char *path);
/* After the last file: joins the two sides of a message, sorts, marks repetitions. `call_id` NULL: everything, else its messages only. */
void diagram_finish(diagram *d, const char *call_id);
/* Takes out what nobody uses (after a filter). */
void diagram_print(const diagram *d, int width);

#endif
