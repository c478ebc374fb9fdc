/* JSON written straight into a growing buffer: no tree, no allocation for each value, so that a trace of a flood stays cheap.
 * Whatever comes in, what goes out is valid UTF-8 JSON on one line. Reading is libcjson's. */
#ifndef ROAM_CLI_JSON_H
#define ROAM_CLI_JSON_H

#include "roam/base.h"

typedef struct json {
    char *ptr;
    size_t len, cap;
    bool failed; /* no memory: sticky; the text is not to be used */
    bool comma;  /* a value stands before */
} json;

void json_free(json *j);
void json_clear(json *j); /* empty again, the space is kept */

/* `key` NULL: inside an array, or the outermost value. */
void json_object(json *j, const char *key);
void json_object_end(json *j);
void json_array(json *j, const char *key);
void json_array_end(json *j);
void json_text(json *j, const char *key, const char *text);
/* Bytes that are not UTF-8 become U+FFFD. */
void json_span(json *j, const char *key, roam_span text);
/* The text when it is UTF-8 without NUL; otherwise the key is `hex_key` and the value hexadecimal digits. */
void json_bytes(json *j, const char *key, const char *hex_key, roam_span bytes);
void json_u64(json *j, const char *key, uint64_t n);
void json_i64(json *j, const char *key, int64_t n);
void json_bool(json *j, const char *key, bool value);
void json_null(json *j, const char *key);
void json_micros(json *j, const char *key, uint64_t us); /* seconds with 6 decimals */
void json_millis(json *j, const char *key, uint64_t us); /* milliseconds with 3 decimals; ROAM_NEVER: null */
void json_addr(json *j, const char *key, const roam_addr *addr); /* family 0: null */
void json_ip(json *j, const char *key, const roam_ip *ip);
/* Copies a JSON text that is known to be right, such as an object made before. */
void json_raw(json *j, const char *key, roam_span text);
void json_line_end(json *j);

#endif
