#include "cli/json.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room(json *j, size_t more);
static void put(json *j, const char *bytes, size_t len);
static void put_format(json *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_string(json *j, roam_span text);
static void begin(json *j, const char *key);
static size_t utf8_length(roam_span rest);

void json_free(json *j)
{
    free(j->ptr);
    *j = (json){0};
}

void json_clear(json *j)
{
    j->len = 0;
    j->failed = j->comma = false;
}

void json_object(json *j, const char *key)
{
    begin(j, key);
    put(j, "{", 1);
    j->comma = false;
}

void json_object_end(json *j)
{
    put(j, "}", 1);
    j->comma = true;
}

void json_array(json *j, const char *key)
{
    begin(j, key);
    put(j, "[", 1);
    j->comma = false;
}

void json_array_end(json *j)
{
    put(j, "]", 1);
    j->comma = true;
}

void json_text(json *j, const char *key, const char *text)
{
    json_span(j, key, (roam_span){text, strlen(text)});
}

void json_span(json *j, const char *key, roam_span text)
{
    begin(j, key);
    put_string(j, text);
}

void json_bytes(json *j, const char *key, const char *hex_key, roam_span bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0, n = 1;
    while (at < bytes.len && bytes.ptr[at] != '\0' && (n = utf8_length((roam_span){bytes.ptr + at, bytes.len - at})) != 0)
        at += n;
    if (at == bytes.len) {
        json_span(j, key, bytes);
        return;
    }
    begin(j, hex_key);
    if (!room(j, 2 * bytes.len + 2))
        return;
    put(j, "\"", 1);
    for (size_t i = 0; i < bytes.len; i++) {
        j->ptr[j->len++] = digits[(unsigned char)bytes.ptr[i] >> 4];
        j->ptr[j->len++] = digits[(unsigned char)bytes.ptr[i] & 15];
    }
    put(j, "\"", 1);
}

void json_u64(json *j, const char *key, uint64_t n)
{
    begin(j, key);
    put_format(j, "%" PRIu64, n);
}

void json_i64(json *j, const char *key, int64_t n)
{
    begin(j, key);
    put_format(j, "%" PRId64, n);
}

void json_bool(json *j, const char *key, bool value)
{
    begin(j, key);
    put(j, value ? "true" : "false", value ? 4 : 5);
}

void json_null(json *j, const char *key)
{
    begin(j, key);
    put(j, "null", 4);
}

void json_micros(json *j, const char *key, uint64_t us)
{
    begin(j, key);
    put_format(j, "%" PRIu64 ".%06" PRIu64, us / 1000000u, us % 1000000u);
}

void json_millis(json *j, const char *key, uint64_t us)
{
    if (us == ROAM_NEVER) {
        json_null(j, key);
        return;
    }
    begin(j, key);
    put_format(j, "%" PRIu64 ".%03" PRIu64, us / 1000u, us % 1000u);
}

void json_addr(json *j, const char *key, const roam_addr *addr)
{
    char text[ROAM_ADDR_TEXT_MAX];
    if (addr->ip.family == 0) {
        json_null(j, key);
        return;
    }
    roam_addr_format(addr, text);
    json_text(j, key, text);
}

void json_ip(json *j, const char *key, const roam_ip *ip)
{
    char text[ROAM_ADDR_TEXT_MAX];
    if (ip->family == 0) {
        json_null(j, key);
        return;
    }
    roam_ip_format(ip, text);
    json_text(j, key, text);
}

void json_raw(json *j, const char *key, roam_span text)
{
    begin(j, key);
    put(j, text.ptr, text.len);
}

void json_line_end(json *j)
{
    put(j, "\n", 1);
    j->comma = false;
}

/* ---- bytes ---- */

static bool room(json *j, size_t more)
{
    if (j->failed || j->cap - j->len >= more)
        return !j->failed;
    size_t cap = j->cap ? j->cap : 512;
    while (cap - j->len < more)
        cap *= 2;
    char *ptr = realloc(j->ptr, cap);
    if (!ptr) {
        j->failed = true;
        return false;
    }
    j->ptr = ptr;
    j->cap = cap;
    return true;
}

static void put(json *j, const char *bytes, size_t len)
{
    if (len == 0 || !room(j, len))
        return;
    memcpy(j->ptr + j->len, bytes, len);
    j->len += len;
}

static void put_format(json *j, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(j, text, n > 0 && (size_t)n < sizeof text ? (size_t)n : 0);
}

static void begin(json *j, const char *key)
{
    if (j->comma)
        put(j, ",", 1);
    if (key) {
        put_string(j, (roam_span){key, strlen(key)});
        put(j, ":", 1);
    }
    j->comma = true;
}

/* RFC 8259 section 7: quotes, backslashes and control characters are escaped. */
static void put_string(json *j, roam_span text)
{
    put(j, "\"", 1);
    for (size_t i = 0, n; i < text.len; i += n) {
        const char c = text.ptr[i];
        const char *at = text.ptr + i;
        n = utf8_length((roam_span){at, text.len - i});
        if (c == '"' || c == '\\') {
            put(j, "\\", 1);
            put(j, at, 1);
        } else if (c == '\r' || c == '\n' || c == '\t') {
            put(j, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t", 2);
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            put_format(j, "\\u%04x", (unsigned)(unsigned char)c);
        } else if (n == 0) {
            put(j, "\xef\xbf\xbd", 3);
            n = 1;
        } else {
            put(j, at, n);
        }
    }
    put(j, "\"", 1);
}

/* The length of the character that `rest` begins with, 0 where it is none: RFC 3629, without overlong forms and surrogates. */
static size_t utf8_length(roam_span rest)
{
    const unsigned char *p = (const unsigned char *)rest.ptr;
    unsigned char low = 0x80, high = 0xbf;
    size_t n;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        low = p[0] == 0xe0 ? 0xa0 : 0x80;
        high = p[0] == 0xed ? 0x9f : 0xbf;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        low = p[0] == 0xf0 ? 0x90 : 0x80;
        high = p[0] == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (rest.len < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return n;
}
