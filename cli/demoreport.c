/* The outcome of the demo in words, as JSON, and as a page that needs nothing but itself. */
#include "cli/demo.h"

#include <cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/diagram.h"

typedef struct demo_phase {
    const char *key, *title;
} demo_phase;

static const demo_phase phases[] = {
    {"path_ready_ms", "a usable path is known"}, {"request_sent_ms", "request sent"}, {"uplink_ms", "first sound out"},
    {"answered_ms", "answered with 200"},        {"downlink_ms", "first sound in"},   {"recovered_ms", "recovered"},
};
enum { PHASES = sizeof phases / sizeof *phases, WIDTH = 960, LEFT = 170, RIGHT = 20 };

static void write_head(FILE *f, const demo_outcome *outcomes, size_t n);
static void write_verdict(FILE *f, const demo_outcome *o);
static void write_figures(FILE *f, const demo_outcome *o);
static void write_phases(FILE *f, const demo_outcome *o);
static void write_sound(FILE *f, const demo_outcome *o);
static void write_ladder(FILE *f, const demo_outcome *o);
static void escape(FILE *f, const char *text);

void demo_outcome_free(demo_outcome *o)
{
    cJSON_Delete(o->registration);
    cJSON_Delete(o->call);
    cJSON_Delete(o->events);
    demo_packets_free(&o->out);
    demo_packets_free(&o->in);
    *o = (demo_outcome){0};
}

double demo_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

/* A phase in milliseconds after a usable path was known; -1: did not happen. */
static double since_path(const cJSON *report, const char *key)
{
    const double at = demo_number(report, key), path = demo_number(report, "path_ready_ms");
    return at < 0 ? -1 : path > 0 ? at - path : at;
}

static const char *title(const demo_outcome *o)
{
    return strcmp(o->scenario, "make") == 0 ? "Cellular comes, then Wi-Fi goes" : "Wi-Fi goes, then cellular comes";
}

/* ---- text ---- */

static void print_ms(const char *what, double ms)
{
    if (ms >= 0)
        printf("  %-44s %8.1f ms\n", what, ms);
    else
        printf("  %-44s        -\n", what);
}

void demo_report_text(const demo_outcome *outcomes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const demo_outcome *o = &outcomes[i];
        printf("\n%s: %s%s%s\n", title(o), o->survived ? "the call survived, both ways" : "THE CALL DID NOT SURVIVE", *o->why ? ": " : "", o->why);
        if (o->t0 <= 0)
            continue;
        printf(" the agent's own report, from the moment it knew a usable path:\n");
        print_ms("REGISTER answered with 200", since_path(o->registration, "answered_ms"));
        print_ms("re-INVITE answered with 200", since_path(o->call, "answered_ms"));
        print_ms("recovered: answers, and sound both ways", since_path(o->call, "recovered_ms"));
        printf(" on the wire, from the moment the new network was usable:\n");
        print_ms("first sound out", o->first_out >= 0 ? 1000 * o->first_out : -1);
        print_ms("first sound in", o->first_in >= 0 ? 1000 * o->first_in : -1);
        print_ms("longest time without sound, outwards", 1000 * o->gap_out);
        print_ms("longest time without sound, inwards", 1000 * o->gap_in);
        printf("  %-44s %4u out, %u in (20 ms each)\n", "packets that never arrived", o->lost_out, o->lost_in);
        printf("  %-44s %7.0f %% callee, %.0f %% caller\n", "the other's tone in what was heard at the end", 100 * o->tone_callee, 100 * o->tone_caller);
        printf("  %-44s %s\n", "the registrar holds", *o->contacts ? o->contacts : "nothing");
    }
}

/* ---- JSON ---- */

static void add_ms(cJSON *object, const char *key, double seconds)
{
    if (seconds >= 0)
        cJSON_AddNumberToObject(object, key, (double)(long long)(seconds * 1e6 + 0.5) / 1000);
    else
        cJSON_AddNullToObject(object, key);
}

void demo_report_json(const demo_outcome *outcomes, size_t n)
{
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; i < n; i++) {
        const demo_outcome *o = &outcomes[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "scenario", o->scenario);
        cJSON_AddNumberToObject(one, "rtt_ms", o->rtt_ms);
        cJSON_AddBoolToObject(one, "survived", o->survived);
        if (*o->why)
            cJSON_AddStringToObject(one, "why", o->why);
        add_ms(one, "first_out_ms", o->first_out);
        add_ms(one, "first_in_ms", o->first_in);
        add_ms(one, "gap_out_ms", o->gap_out);
        add_ms(one, "gap_in_ms", o->gap_in);
        cJSON_AddNumberToObject(one, "lost_out", o->lost_out);
        cJSON_AddNumberToObject(one, "lost_in", o->lost_in);
        cJSON_AddNumberToObject(one, "tone_callee", o->tone_callee);
        cJSON_AddNumberToObject(one, "tone_caller", o->tone_caller);
        cJSON_AddStringToObject(one, "contacts", o->contacts);
        cJSON_AddItemToObject(one, "registration", o->registration ? cJSON_Duplicate(o->registration, true) : cJSON_CreateNull());
        cJSON_AddItemToObject(one, "call", o->call ? cJSON_Duplicate(o->call, true) : cJSON_CreateNull());
        cJSON_AddItemToArray(all, one);
    }
    char *text = cJSON_PrintUnformatted(all);
    printf("%s\n", text ? text : "[]");
    cJSON_free(text);
    cJSON_Delete(all);
}

/* ---- the page ---- */

bool demo_report_html(const demo_outcome *outcomes, size_t n, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    write_head(f, outcomes, n);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "<section>\n<h2>%s</h2>\n", title(&outcomes[i]));
        write_verdict(f, &outcomes[i]);
        if (outcomes[i].t0 > 0) {
            write_figures(f, &outcomes[i]);
            write_phases(f, &outcomes[i]);
            write_sound(f, &outcomes[i]);
            write_ladder(f, &outcomes[i]);
        }
        fprintf(f, "</section>\n");
    }
    fprintf(f, "<footer>roam demo. Packets are those of the captures at the links; phases are the agent's own report.</footer>\n</main>\n</body>\n</html>\n");
    const bool good = !ferror(f);
    return fclose(f) == 0 && good;
}

static void write_head(FILE *f, const demo_outcome *outcomes, size_t n)
{
    size_t survived = 0;
    for (size_t i = 0; i < n; i++)
        survived += outcomes[i].survived;
    fprintf(f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
            "<title>roam demo: %s</title>\n<style>\n"
            ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#5c6670;--line:#d5dae0;--page:#fbfcfd;--box:#fff;--out:#0b66c3;--in:#8a3ffc;--good:#137a3a;--bad:#c02020;--gap:#f6c6c6;--old:#e8eaed}\n"
            "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#98a3ae;--line:#3a424b;--page:#14171a;--box:#1b1f24;--out:#5aa9ff;--in:#b892ff;--good:#5fd08a;--bad:#ff7b7b;--gap:#5a2a2a;--old:#2a2f35}}\n"
            "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}main{max-width:1000px;margin:0 auto;padding:24px 16px}\n"
            "h1{font-size:26px;margin:0 0 8px}h2{font-size:20px;margin:32px 0 4px}h3{font-size:16px;margin:24px 0 6px}\n"
            ".good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}.soft,footer{color:var(--soft)}footer{margin-top:32px;font-size:13px}\n"
            ".box{background:var(--box);border:1px solid var(--line);border-radius:6px;padding:8px;overflow-x:auto}svg{display:block;min-width:720px;width:100%%;height:auto}\n"
            "svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}table{border-collapse:collapse;width:100%%}\n"
            "td,th{padding:3px 10px;border-bottom:1px solid var(--line);text-align:left}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
            ".axis{stroke:var(--line)}.out{stroke:var(--out)}.in{stroke:var(--in)}.gap{fill:var(--gap)}.mark{stroke:var(--bad);stroke-dasharray:4 3}.dot{fill:var(--out)}\n"
            ".bar{fill:var(--out);opacity:.25}.msg{stroke:var(--ink)}.again{stroke:var(--soft);stroke-dasharray:3 3}.life{stroke:var(--line)}.head{fill:var(--ink)}\n"
            "</style>\n</head>\n<body>\n<main>\n<h1>A call whose network changes</h1>\n"
            "<p class=\"soft\">The caller's registration and its call move from Wi-Fi (wlan0, %s) to cellular (wwan0, %s). Server %s, callee %s, each in a network\n"
            "namespace of its own; the links delay packets so that a round trip takes %u ms. SIP and RTP over UDP, digest authentication.</p>\n",
            survived == n ? "the call survived" : "the call did not survive", DEMO_WLAN, DEMO_WWAN, DEMO_SERVER, DEMO_CALLEE, outcomes[0].rtt_ms);
}

static void write_verdict(FILE *f, const demo_outcome *o)
{
    fprintf(f, "<p class=\"%s\">%s", o->survived ? "good" : "bad", o->survived ? "The call survived, both directions." : "The call did not survive: ");
    escape(f, o->why);
    fprintf(f, "</p>\n");
}

static void row(FILE *f, const char *what, double ms, double rtt)
{
    if (ms >= 0)
        fprintf(f, "<tr><td>%s</td><td class=\"n\">%.1f ms</td><td class=\"n\">%.2f</td></tr>\n", what, ms, rtt > 0 ? ms / rtt : 0);
    else
        fprintf(f, "<tr><td>%s</td><td class=\"n\">-</td><td class=\"n\">-</td></tr>\n", what);
}

static void write_figures(FILE *f, const demo_outcome *o)
{
    const double rtt = o->rtt_ms;
    fprintf(f, "<h3>Figures</h3>\n<div class=\"box\"><table>\n<tr><th>after the change</th><th class=\"n\">time</th><th class=\"n\">round trips</th></tr>\n");
    row(f, "REGISTER answered with 200 (report)", since_path(o->registration, "answered_ms"), rtt);
    row(f, "re-INVITE answered with 200 (report)", since_path(o->call, "answered_ms"), rtt);
    row(f, "first RTP out on the new network (wire)", o->first_out >= 0 ? 1000 * o->first_out : -1, rtt);
    row(f, "first RTP in on the new network (wire)", o->first_in >= 0 ? 1000 * o->first_in : -1, rtt);
    row(f, "recovered: answers, and sound both ways (report)", since_path(o->call, "recovered_ms"), rtt);
    row(f, "longest time without RTP, outwards (wire)", 1000 * o->gap_out, rtt);
    row(f, "longest time without RTP, inwards (wire)", 1000 * o->gap_in, rtt);
    fprintf(f, "<tr><td>RTP packets that never arrived</td><td class=\"n\">%u out, %u in</td><td></td></tr>\n", o->lost_out, o->lost_in);
    fprintf(f, "<tr><td>retries of the registration, of the call</td><td class=\"n\">%.0f, %.0f</td><td></td></tr>\n", demo_number(o->registration, "retries"),
            demo_number(o->call, "retries"));
    fprintf(f, "<tr><td>share of the other's tone in the last 1.5 s heard</td><td class=\"n\">callee %.0f %%, caller %.0f %%</td><td></td></tr>\n",
            100 * o->tone_callee, 100 * o->tone_caller);
    fprintf(f, "<tr><td>the registrar holds afterwards</td><td class=\"n\">");
    escape(f, o->contacts);
    fprintf(f, "</td><td></td></tr>\n</table></div>\n");
}

static double x_of(double value, double from, double to)
{
    return LEFT + (value - from) / (to - from) * (WIDTH - LEFT - RIGHT);
}

#define LABEL_WIDTH 62.0 /* what "-1000 ms" takes, with air */

/* Lines at round values, each labelled that has the room. */
static void axis(FILE *f, double from, double to, double step, double top, double bottom)
{
    for (double at = (double)(long)(from / step) * step; at <= to; at += step) {
        if (at < from)
            continue;
        const double x = x_of(at, from, to);
        const long every = 1 + (long)(LABEL_WIDTH / (x_of(from + step, from, to) - LEFT));
        fprintf(f, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>\n", x, x, top, bottom);
        if ((long)(at / step + (at < 0 ? -0.5 : 0.5)) % every == 0 && x + LABEL_WIDTH / 2 <= WIDTH)
            fprintf(f, "<text class=\"soft\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.0f ms</text>\n", x, bottom + 14, at);
    }
}

static void write_phases(FILE *f, const demo_outcome *o)
{
    const struct {
        const char *name;
        const cJSON *report;
    } rows[] = {{"registration", o->registration}, {"call", o->call}};
    double end = 1.5 * o->rtt_ms;
    for (size_t r = 0; r < 2; r++)
        for (size_t p = 0; p < PHASES; p++)
            if (demo_number(rows[r].report, phases[p].key) > end)
                end = demo_number(rows[r].report, phases[p].key);
    end = end * 1.1 + 1;
    const double row_height = 18, block = row_height * PHASES + 22, height = 2 * block + 30;
    fprintf(f, "<h3>Phases, from the first sign of the change (the agent's report)</h3>\n<div class=\"box\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"phases\">\n", WIDTH, height);
    axis(f, 0, end, end > 2000 ? 500 : end > 800 ? 200 : 50, 8, height - 20);
    for (size_t r = 0; r < 2; r++) {
        const double top = 14 + block * (double)r;
        fprintf(f, "<text x=\"4\" y=\"%.0f\" font-weight=\"600\">%s</text>\n", top + 4, rows[r].name);
        for (size_t p = 0; p < PHASES; p++) {
            const double ms = demo_number(rows[r].report, phases[p].key), y = top + 20 + row_height * (double)p;
            fprintf(f, "<text x=\"12\" y=\"%.0f\" class=\"%s\">%s</text>\n", y + 4, ms < 0 ? "soft" : "", phases[p].title);
            if (ms < 0)
                continue;
            fprintf(f, "<rect class=\"bar\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"8\"/><circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/><text x=\"%.1f\" y=\"%.0f\">%.1f</text>\n",
                    LEFT, y - 4, x_of(ms, 0, end) - LEFT, x_of(ms, 0, end), y, x_of(ms, 0, end) + 8, y + 4, ms);
        }
    }
    fprintf(f, "</svg></div>\n");
}

static void write_sound(FILE *f, const demo_outcome *o)
{
    const double first = o->old_gone < o->t0 ? o->old_gone : o->t0, later = o->old_gone > o->t0 ? o->old_gone : o->t0;
    const double from = 1000 * (first - o->t0) - 400, to = 1000 * (later - o->t0) + 800 + 2.0 * o->rtt_ms;
    const struct {
        const char *name, *class;
        const demo_packets *packets;
        double gap, start;
    } rows[] = {{"out (at the callee)", "out", &o->out, o->gap_out, o->gap_out_start}, {"in (at the caller)", "in", &o->in, o->gap_in, o->gap_in_start}};
    fprintf(f, "<h3>RTP, packet by packet</h3>\n<p class=\"soft\">Each line is a packet that arrived; 0 is when the new network was usable. Packets to the old address\n"
               "end where the callee stops sending there. Shaded: the longest time without a packet.</p>\n"
               "<div class=\"box\"><svg viewBox=\"0 0 %d 150\" role=\"img\" aria-label=\"RTP packets\">\n", WIDTH);
    for (size_t r = 0; r < 2; r++) {
        const double y = 14 + 52 * (double)r;
        double a = 1000 * (rows[r].start - o->t0), b = a + 1000 * rows[r].gap;
        a = a < from ? from : a;
        b = b > to ? to : b;
        if (rows[r].gap > 0.06 && a < b) {
            fprintf(f, "<rect class=\"gap\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"36\"/>\n", x_of(a, from, to), y, x_of(b, from, to) - x_of(a, from, to));
            fprintf(f, "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.0f ms</text>\n", x_of((a + b) / 2, from, to), y + 22, 1000 * rows[r].gap);
        }
        fprintf(f, "<text x=\"4\" y=\"%.0f\">%s</text>\n<path class=\"%s\" d=\"", y + 22, rows[r].name, rows[r].class);
        for (size_t i = 0; i < rows[r].packets->n; i++) {
            const double ms = 1000 * (rows[r].packets->at[i].time - o->t0);
            if (ms >= from && ms <= to)
                fprintf(f, "M%.1f %.0fv28", x_of(ms, from, to), y + 4);
        }
        fprintf(f, "\"/>\n");
    }
    const double gone = 1000 * (o->old_gone - o->t0);
    fprintf(f, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"112\"/><text class=\"soft\" x=\"%.1f\" y=\"122\" text-anchor=\"end\">Wi-Fi gone</text>\n",
            x_of(gone, from, to), x_of(gone, from, to), x_of(gone, from, to) - 3);
    fprintf(f, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"4\" y2=\"112\"/><text class=\"soft\" x=\"%.1f\" y=\"122\">cellular usable</text>\n", x_of(0, from, to),
            x_of(0, from, to), x_of(0, from, to) + 3);
    axis(f, from, to, to - from > 3000 ? 500 : 100, 8, 128);
    fprintf(f, "</svg></div>\n");
}

static void write_ladder(FILE *f, const demo_outcome *o)
{
    diagram d;
    diagram_init(&d);
    if (!diagram_read(&d, o->trace)) {
        diagram_free(&d);
        return;
    }
    diagram_finish(&d, NULL);
    const double first = (o->old_gone < o->t0 ? o->old_gone : o->t0) - 0.05;
    size_t rows = 0;
    for (size_t i = 0; i < d.nentries; i++)
        rows += d.entries[i].time >= first;
    const double height = 40 + 22 * (double)rows, step = d.nparticipants > 1 ? (double)(WIDTH - 360) / (double)(d.nparticipants - 1) : 1;
    fprintf(f, "<h3>Messages of the caller from the change on</h3>\n<div class=\"box\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"message ladder\">\n", WIDTH, height);
    for (size_t p = 0; p < d.nparticipants; p++) {
        const double x = 180 + step * (double)p;
        fprintf(f, "<line class=\"life\" x1=\"%.0f\" x2=\"%.0f\" y1=\"26\" y2=\"%.0f\"/><text x=\"%.0f\" y=\"18\" text-anchor=\"middle\">%s</text>\n", x, x, height, x,
                d.participants[p]);
    }
    size_t row = 0;
    for (size_t i = 0; i < d.nentries; i++) {
        const diagram_entry *e = &d.entries[i];
        if (e->time < first)
            continue;
        const double y = 44 + 22 * (double)row++;
        fprintf(f, "<text class=\"soft\" x=\"84\" y=\"%.0f\" text-anchor=\"end\">%+.1f ms</text>\n", y + 4, 1000 * (e->time - o->t0));
        if (e->kind == DIAGRAM_NOTE) {
            fprintf(f, "<text class=\"soft\" x=\"190\" y=\"%.0f\">", y + 4);
            escape(f, e->label);
            fprintf(f, "</text>\n");
            continue;
        }
        const double a = 180 + step * (double)e->from, b = 180 + step * (double)e->to, tip = b > a ? -7 : 7;
        fprintf(f, "<line class=\"%s\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/><path class=\"head\" d=\"M%.0f %.0fl%.0f -4v8z\"/><text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">",
                e->again ? "again" : "msg", a, b, y, y, b, y, tip, (a + b) / 2, y - 4);
        escape(f, e->label);
        fprintf(f, "%s</text>\n", e->again ? " (again)" : "");
    }
    fprintf(f, "</svg></div>\n");
    diagram_free(&d);
}

static void escape(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", f);
        else if (*text == '>')
            fputs("&gt;", f);
        else if (*text == '&')
            fputs("&amp;", f);
        else if (*text == '"')
            fputs("&quot;", f);
        else if ((unsigned char)*text >= 0x20)
            fputc(*text, f);
    }
}
