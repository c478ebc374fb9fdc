/* --trace FILE: the typed records of roam/trace.h as JSON lines. Secrets are masked before they come here. */
#ifndef ROAM_CLI_TRACEFILE_H
#define ROAM_CLI_TRACEFILE_H

#include <stdio.h>

#include "cli/json.h"
#include "roam/trace.h"

typedef struct cli_tracefile {
    FILE *file; /* NULL: none */
    json line;
    bool failed; /* the disk is full: told once, then nothing more is written */
} cli_tracefile;

/* False: what is wrong was said. */
bool tracefile_open(cli_tracefile *trace, const char *path);
void tracefile_record(void *user, const roam_trace_record *record); /* a roam_trace_fn; user: the cli_tracefile */
/* The record as one JSON line; `wall`: its time, microseconds since 1970. */
void tracefile_write(json *j, const roam_trace_record *record, uint64_t wall);
void tracefile_flush(cli_tracefile *trace);
void tracefile_close(cli_tracefile *trace);

#endif
