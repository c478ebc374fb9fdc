#include "cli/diagram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "base/map.h"
#include "wire/message.h"

#ifdef ROAM_HAVE_CJSON
#include <cJSON.h>
#endif

enum { TIME_WIDTH = 11, PARTICIPANTS_MAX = 64 };

static void join_sides(diagram *d);
static void mark_repeated(diagram *d);
static void drop_unused_participants(diagram *d);
static int by_time(const void *a, const void *b);
static bool add(diagram *d, const diagram_entry *entry);
static size_t participant(diagram *d, const char *address);
static void read_message(diagram_entry *entry, roam_span text);
static uint64_t hash_of(roam_span text);

void diagram_init(diagram *d)
{
    *d = (diagram){0};
}

void diagram_free(diagram *d)
{
    free(d->entries);
    free(d->participants);
    *d = (diagram){0};
}

#ifndef ROAM_HAVE_CJSON

bool diagram_read(diagram *d, const char *path)
{
    (void)d, (void)path;
    cli_say("this roam was built without libcjson: it cannot read traces");
    return false;
}

#else

static void read_record(diagram *d, const cJSON *record);
static const char *text_of(const cJSON *record, const char *key);

bool diagram_read(diagram *d, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    if (!file) {
        cli_say("%s: %s", path, strerror(errno));
        return false;
    }
    while (getline(&line, &cap, file) > 0) {
        cJSON *record = cJSON_Parse(line);
        if (cJSON_IsObject(record))
            read_record(d, record);
        else
            d->unreadable++;
        cJSON_Delete(record);
    }
    free(line);
    fclose(file);
    return true;
}

static void read_record(diagram *d, const cJSON *record)
{
    const char *type = text_of(record, "type"), *bytes = text_of(record, "bytes"), *object = text_of(record, "object");
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(record, "time"), *id = cJSON_GetObjectItemCaseSensitive(record, "id");
    const bool sent = strcmp(type, "sent") == 0, received = strcmp(type, "received") == 0;
    diagram_entry entry = {.time = cJSON_IsNumber(time) ? time->valuedouble : 0, .order = d->nentries};
    if (!cJSON_IsNumber(time) || !*type) {
        d->unreadable++;
        return;
    }
    if (sent || received) {
        const char *local = text_of(record, "local"), *remote = text_of(record, "remote");
        if (!*local || !*remote)
            return;
        entry.kind = DIAGRAM_MESSAGE;
        entry.from = participant(d, sent ? local : remote);
        entry.to = participant(d, sent ? remote : local);
        entry.seen_leaving = sent;
        entry.arrived = received ? entry.time : 0;
        entry.hash = hash_of(span_of(bytes));
        if (entry.from == SIZE_MAX || entry.to == SIZE_MAX)
            return;
        read_message(&entry, span_of(bytes));
    } else if (strcmp(type, "state") == 0 || strcmp(type, "path") == 0) {
        static const char *const shown[] = {"call", "registration", "call-move", "account-move", "path", "route", NULL};
        size_t i = 0;
        while (shown[i] && strcmp(shown[i], object) != 0)
            i++;
        if (!shown[i])
            return;
        entry.kind = DIAGRAM_NOTE;
        snprintf(entry.label, sizeof entry.label, "%s%s%.0d: %s > %s (%s)", object, cJSON_IsNumber(id) ? " " : "", cJSON_IsNumber(id) ? id->valueint : 0,
                 text_of(record, "from"), text_of(record, "to"), text_of(record, "why"));
    } else {
        return;
    }
    add(d, &entry);
}

static const char *text_of(const cJSON *record, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(record, key);
    return cJSON_IsString(item) ? item->valuestring : "";
}

#endif

/* ---- adding ---- */

void diagram_add_message(diagram *d, double time, const roam_addr *from, const roam_addr *to, roam_span bytes)
{
    diagram_entry entry = {.kind = DIAGRAM_MESSAGE, .time = time, .order = d->nentries, .seen_leaving = true, .hash = hash_of(bytes)};
    char space[ROAM_ADDR_TEXT_MAX];
    roam_addr_format(from, space);
    entry.from = participant(d, space);
    roam_addr_format(to, space);
    entry.to = participant(d, space);
    if (entry.from == SIZE_MAX || entry.to == SIZE_MAX)
        return;
    read_message(&entry, bytes);
    add(d, &entry);
}

void diagram_add_note(diagram *d, double time, const char *text)
{
    diagram_entry entry = {.kind = DIAGRAM_NOTE, .time = time, .order = d->nentries};
    snprintf(entry.label, sizeof entry.label, "%s", text);
    add(d, &entry);
}

/* A message is named by its first line; of a response, the method it answers. */
static void read_message(diagram_entry *entry, roam_span text)
{
    roam_message message;
    roam_header_space space;
    roam_cseq cseq;
    if (message_parse(&message, &space, text) != ROAM_OK) {
        snprintf(entry->label, sizeof entry->label, "%.*s", SPAN_ARG(span_cut(text, '\r', &(roam_span){0})));
        return;
    }
    const roam_span call_id = message_value(&message, HEADER_CALL_ID);
    snprintf(entry->call_id, sizeof entry->call_id, "%.*s", SPAN_ARG(call_id));
    const char *body = message_has_body_type(&message, SPAN("application/sdp")) ? " +SDP" : "";
    if (message.status)
        snprintf(entry->label, sizeof entry->label, "%u %.*s%s", message.status, SPAN_ARG(message.reason), body);
    else
        snprintf(entry->label, sizeof entry->label, "%.*s%s", SPAN_ARG(message.method_name), body);
    if (cseq_parse(message_value(&message, HEADER_CSEQ), &cseq) == ROAM_OK) {
        const size_t n = strlen(entry->label);
        if (message.status)
            snprintf(entry->label + n, sizeof entry->label - n, " (%.*s)", SPAN_ARG(cseq.method_name));
        else if (message_has(&message, HEADER_AUTHORIZATION) || message_has(&message, HEADER_PROXY_AUTHORIZATION))
            snprintf(entry->label + n, sizeof entry->label - n, " +auth");
    }
}

static bool add(diagram *d, const diagram_entry *entry)
{
    if (d->nentries == d->cap) {
        const size_t cap = d->cap ? 2 * d->cap : 256;
        diagram_entry *entries = realloc(d->entries, cap * sizeof *entries);
        if (!entries)
            return false;
        d->entries = entries;
        d->cap = cap;
    }
    d->entries[d->nentries++] = *entry;
    return true;
}

static size_t participant(diagram *d, const char *address)
{
    for (size_t i = 0; i < d->nparticipants; i++)
        if (strcmp(d->participants[i], address) == 0)
            return i;
    if (!d->participants)
        d->participants = calloc(PARTICIPANTS_MAX, sizeof *d->participants);
    if (!d->participants || d->nparticipants == PARTICIPANTS_MAX)
        return SIZE_MAX;
    snprintf(d->participants[d->nparticipants], sizeof *d->participants, "%s", address);
    return d->nparticipants++;
}

static uint64_t hash_of(roam_span text)
{
    static const uint64_t seed[2] = {1, 2}; /* equal messages of one trace: nobody attacks that */
    return roam_siphash(seed, text);
}

void diagram_finish(diagram *d, const char *call_id)
{
    if (call_id) {
        size_t kept = 0;
        for (size_t i = 0; i < d->nentries; i++)
            if (d->entries[i].kind == DIAGRAM_MESSAGE && strcmp(d->entries[i].call_id, call_id) == 0)
                d->entries[kept++] = d->entries[i];
        d->nentries = kept;
    }
    if (d->nentries)
        qsort(d->entries, d->nentries, sizeof *d->entries, by_time);
    join_sides(d);
    mark_repeated(d);
    drop_unused_participants(d);
}

/* What one trace saw leave and another saw come is one message. */
static void join_sides(diagram *d)
{
    bool *gone = calloc(d->nentries + 1, sizeof *gone);
    if (!gone)
        return;
    for (size_t i = 0; i < d->nentries; i++) {
        diagram_entry *in = &d->entries[i];
        if (in->kind != DIAGRAM_MESSAGE || in->seen_leaving)
            continue;
        for (size_t k = 0; k < i; k++) { /* the oldest that fits: order is kept on a path, mostly */
            diagram_entry *out = &d->entries[k];
            if (out->kind == DIAGRAM_MESSAGE && out->seen_leaving && out->arrived <= 0 && out->hash == in->hash && out->from == in->from &&
                out->to == in->to && in->time - out->time < 32) {
                out->arrived = in->arrived;
                gone[i] = true;
                break;
            }
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < d->nentries; i++)
        if (!gone[i])
            d->entries[kept++] = d->entries[i];
    d->nentries = kept;
    free(gone);
}

static void mark_repeated(diagram *d)
{
    for (size_t i = 0; i < d->nentries; i++) {
        diagram_entry *e = &d->entries[i];
        for (size_t k = 0; k < i && e->kind == DIAGRAM_MESSAGE && !e->again; k++)
            e->again = d->entries[k].kind == DIAGRAM_MESSAGE && d->entries[k].hash == e->hash && d->entries[k].from == e->from &&
                       d->entries[k].to == e->to;
    }
}

static void drop_unused_participants(diagram *d)
{
    size_t map[PARTICIPANTS_MAX], kept = 0;
    for (size_t p = 0; p < d->nparticipants; p++) {
        bool used = false;
        for (size_t i = 0; i < d->nentries && !used; i++)
            used = d->entries[i].kind == DIAGRAM_MESSAGE && (d->entries[i].from == p || d->entries[i].to == p);
        map[p] = kept;
        if (used && kept != p)
            memcpy(d->participants[kept], d->participants[p], sizeof d->participants[p]);
        kept += used;
    }
    for (size_t i = 0; i < d->nentries; i++) {
        if (d->entries[i].kind != DIAGRAM_MESSAGE)
            continue;
        d->entries[i].from = map[d->entries[i].from];
        d->entries[i].to = map[d->entries[i].to];
    }
    d->nparticipants = kept;
}

static int by_time(const void *a, const void *b)
{
    const diagram_entry *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* ---- as text ---- */

static size_t column(const diagram *d, size_t participant, size_t width)
{
    const size_t first = TIME_WIDTH + 8, last = width > first + 20 ? width - 12 : first + 8;
    return d->nparticipants < 2 ? first : first + participant * (last - first) / (d->nparticipants - 1);
}

static void put_centred(char *line, size_t width, size_t middle, const char *text)
{
    const size_t n = strlen(text);
    size_t start = middle > n / 2 ? middle - n / 2 : 0;
    if (start + n > width)
        start = width > n ? width - n : 0;
    for (size_t i = 0; i < n && start + i < width; i++)
        line[start + i] = text[i];
}

static void lifelines(const diagram *d, char *line, size_t width)
{
    memset(line, ' ', width);
    for (size_t p = 0; p < d->nparticipants; p++)
        line[column(d, p, width)] = '|';
}

static void put_line(char *line, size_t width)
{
    while (width && line[width - 1] == ' ')
        width--;
    printf("%.*s\n", (int)width, line);
}

static void put_message(const diagram *d, const diagram_entry *e, char *line, size_t width)
{
    char label[160];
    size_t a = column(d, e->from, width), b = column(d, e->to, width);
    const bool right = a < b;
    const size_t left = right ? a : b, end = right ? b : a;
    snprintf(label, sizeof label, "%s%s%s", e->label, e->again ? " [again]" : "", "");
    if (a == b) { /* to itself */
        put_centred(line, width, a + strlen(label) / 2 + 3, label);
        return;
    }
    for (size_t i = left + 1; i < end; i++)
        line[i] = e->again ? '.' : '-';
    line[right ? end - 1 : left + 1] = right ? '>' : '<';
    const size_t room = end - left > 6 ? end - left - 6 : 0;
    if (room >= 8) {
        label[room < sizeof label ? room : sizeof label - 1] = '\0';
        char padded[170];
        snprintf(padded, sizeof padded, " %s ", label);
        put_centred(line, width, (left + end) / 2, padded);
    }
}

void diagram_print(const diagram *d, int wanted)
{
    const size_t least = TIME_WIDTH + 24 * (d->nparticipants ? d->nparticipants : 1);
    const size_t width = wanted > 0 ? (size_t)wanted : least < 100 ? 100 : least;
    char *line = malloc(width + 1), stamp[24];
    if (!line || d->nentries == 0) {
        free(line);
        return;
    }
    memset(line, ' ', width);
    for (size_t p = 0; p < d->nparticipants; p++)
        put_centred(line, width, column(d, p, width), d->participants[p]);
    put_line(line, width);
    for (size_t i = 0; i < d->nentries; i++) {
        const diagram_entry *e = &d->entries[i];
        lifelines(d, line, width);
        snprintf(stamp, sizeof stamp, "%*.3f", TIME_WIDTH - 1, e->time - d->entries[0].time);
        memcpy(line, stamp, strlen(stamp) < width ? strlen(stamp) : width);
        if (e->kind == DIAGRAM_MESSAGE) {
            put_message(d, e, line, width);
            put_line(line, width);
        } else {
            printf("%s  * %s\n", stamp, e->label);
        }
    }
    if (d->unreadable)
        printf("(%zu lines are no trace records)\n", d->unreadable);
    free(line);
}
