#include "cli/tracefile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

bool tracefile_open(cli_tracefile *t, const char *path)
{
    *t = (cli_tracefile){0};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); /* who called whom is nobody else's business */
    t->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!t->file) {
        cli_say("%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    setvbuf(t->file, NULL, _IOFBF, 1 << 16);
    return true;
}

void tracefile_write(json *j, const roam_trace_record *r, uint64_t wall)
{
    static const char *const types[] = {"state", "sent", "received", "dropped", "path", "input", "output", "note"};
    json_object(j, NULL);
    json_text(j, "type", types[r->type]);
    json_micros(j, "time", wall);
    if (r->type == ROAM_TRACE_INPUT)
        json_u64(j, "at", r->time); /* on the core's own clock */
    json_text(j, "object", r->object);
    if (r->id)
        json_u64(j, "id", r->id);
    if (r->from[0])
        json_text(j, "from", r->from);
    if (r->to[0])
        json_text(j, "to", r->to);
    if (r->why[0])
        json_text(j, "why", r->why);
    if (r->local.ip.family)
        json_addr(j, "local", &r->local);
    if (r->remote.ip.family)
        json_addr(j, "remote", &r->remote);
    if (r->bytes.len)
        json_bytes(j, "bytes", "bytes_hex", r->bytes);
    json_object_end(j);
    json_line_end(j);
}

void tracefile_record(void *user, const roam_trace_record *r)
{
    cli_tracefile *t = user;
    json *j = &t->line;
    if (!t->file || t->failed)
        return;
    json_clear(j);
    tracefile_write(j, r, r->time ? cli_wall(r->time) : cli_wall_now()); /* 0: made before the first input */
    if (!j->failed && fwrite(j->ptr, 1, j->len, t->file) != j->len && !t->failed) {
        t->failed = true;
        cli_say("the trace ends here: %s", strerror(errno));
    }
}

void tracefile_flush(cli_tracefile *t)
{
    if (t->file)
        fflush(t->file);
}

void tracefile_close(cli_tracefile *t)
{
    if (t->file)
        fclose(t->file);
    json_free(&t->line);
    *t = (cli_tracefile){0};
}
