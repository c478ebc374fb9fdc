/* Long options on a command line and in a configuration file: one table serves both. */
#ifndef ROAM_CLI_OPTIONS_H
#define ROAM_CLI_OPTIONS_H

#include <stddef.h>

#include "roam/base.h"

typedef struct cli_option {
    const char *name;     /* without the dashes */
    const char *argument; /* "FILE"; NULL: none; "[DELAY]": may be left out, else --name=DELAY */
    const char *help;
    /* `value` NULL where there is none. Returns NULL, or what is wrong, which is a constant text or in options_why(). */
    const char *(*set)(void *target, const char *value);
} cli_option;

typedef struct cli_options {
    const cli_option *const *tables; /* ends with NULL; each ends with a row without name */
    void *target;
    const char *const *positional;   /* names of what may stand without an option, for error messages; ends with NULL */
    const char *subcommand;
} cli_options;

/* Parses argv[1..]. What is no option goes to `rest` (of at least argc pointers), its count to `nrest`. -1: go on; else exit with that
 * status: --help was printed (0), or what is wrong was said (2). `help` prints all but the options. */
int options_parse(const cli_options *options, int argc, char **argv, char **rest, int *nrest, void (*help)(void));
/* A file of "name = value" lines, "#" and ";" begin comments, "[section]" lines only group. False: what is wrong was said. */
bool options_read_file(const cli_options *options, const char *path);
/* Prints the tables. */
void options_print(const cli_options *options);
/* Formats the text that `set` may return; the next call overwrites it. */
const char *options_why(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* NULL and the number, or why it is none within the limits. */
const char *options_number(const char *value, uint64_t min, uint64_t max, uint64_t *out);
/* The index of `value` in `words` (ends with NULL), -1: not there. */
int options_word(const char *value, const char *const *words);

#endif
