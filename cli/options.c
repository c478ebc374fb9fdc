#include "cli/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_option *find(const cli_options *options, const char *name, size_t len);
static char *trim(char *text);

int options_parse(const cli_options *options, int argc, char **argv, char **rest, int *nrest, void (*help)(void))
{
    bool only_rest = false;
    *nrest = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (only_rest || word[0] != '-' || word[1] == '\0') {
            rest[(*nrest)++] = argv[i];
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_rest = true;
            continue;
        }
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            help();
            options_print(options);
            return CLI_OK;
        }
        const size_t len = strcspn(word, "=");
        const cli_option *option = len > 2 && word[1] == '-' ? find(options, word + 2, len - 2) : NULL;
        if (!option) {
            cli_say("%s: there is no option %.*s (see roam %s --help)", options->subcommand, (int)len, word, options->subcommand);
            return CLI_USAGE;
        }
        const char *value = word[len] == '=' ? word + len + 1 : NULL;
        if (!option->argument && value) {
            cli_say("%s: --%s takes no value", options->subcommand, option->name);
            return CLI_USAGE;
        }
        if (option->argument && option->argument[0] != '[' && !value) {
            if (i + 1 == argc) {
                cli_say("%s: --%s wants %s", options->subcommand, option->name, option->argument);
                return CLI_USAGE;
            }
            value = argv[++i];
        }
        const char *wrong = option->set(options->target, value);
        if (wrong) {
            cli_say("%s: --%s: %s", options->subcommand, option->name, wrong);
            return CLI_USAGE;
        }
    }
    return -1;
}

bool options_read_file(const cli_options *options, const char *path)
{
    char line[4096];
    FILE *file = fopen(path, "re");
    if (!file) {
        cli_say("%s: %s", path, strerror(errno));
        return false;
    }
    unsigned number = 0;
    const char *wrong = NULL;
    while (!wrong && fgets(line, sizeof line, file)) {
        number++;
        if (!strchr(line, '\n') && !feof(file)) {
            wrong = "the line is too long";
            break;
        }
        char *name = trim(line);
        if (name[0] == '\0' || name[0] == '#' || name[0] == ';' || name[0] == '[')
            continue;
        char *value = strchr(name, '=');
        if (value) {
            *value++ = '\0';
            value = trim(value);
        }
        name = trim(name);
        const cli_option *option = find(options, name, strlen(name));
        if (!option)
            wrong = options_why("there is no option %s", name);
        else if (option->argument && option->argument[0] != '[' && (!value || !*value))
            wrong = options_why("%s wants %s", name, option->argument);
        else if (!option->argument && value && strcmp(value, "no") == 0)
            continue; /* a flag that is spelled out as not set */
        else if (!option->argument && value && *value && strcmp(value, "yes") != 0)
            wrong = options_why("%s is yes or no", name);
        else
            wrong = option->set(options->target, option->argument && value && *value ? value : NULL);
    }
    fclose(file);
    if (wrong)
        cli_say("%s:%u: %s", path, number, wrong);
    return !wrong;
}

void options_print(const cli_options *options)
{
    printf("\nOptions:\n");
    for (size_t t = 0; options->tables[t]; t++) {
        for (const cli_option *o = options->tables[t]; o->name; o++) {
            char left[64];
            if (!o->help)
                continue;
            if (!o->argument)
                snprintf(left, sizeof left, "--%s", o->name);
            else if (o->argument[0] == '[')
                snprintf(left, sizeof left, "--%s[=%.*s]", o->name, (int)strlen(o->argument) - 2, o->argument + 1);
            else
                snprintf(left, sizeof left, "--%s %s", o->name, o->argument);
            printf("  %-28s", left);
            if (strlen(left) > 28)
                printf("\n  %-28s", "");
            for (const char *text = o->help; *text;) {
                const size_t n = strcspn(text, "\n");
                printf(" %.*s\n", (int)n, text);
                text += n + (text[n] == '\n');
                if (*text)
                    printf("  %-28s", "");
            }
        }
    }
    printf("  %-28s this text\n", "--help");
}

const char *options_why(const char *format, ...)
{
    static char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return text;
}

const char *options_number(const char *value, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = value && value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : (end = NULL, 0ull);
    if (!end || *end || errno || n < min || n > max)
        return options_why("%s is no number from %llu to %llu", value ? value : "nothing", (unsigned long long)min, (unsigned long long)max);
    *out = n;
    return NULL;
}

int options_word(const char *value, const char *const *words)
{
    for (int i = 0; value && words[i]; i++)
        if (strcmp(value, words[i]) == 0)
            return i;
    return -1;
}

static const cli_option *find(const cli_options *options, const char *name, size_t len)
{
    for (size_t t = 0; options->tables[t]; t++)
        for (const cli_option *o = options->tables[t]; o->name; o++)
            if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
                return o;
    return NULL;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        text[--len] = '\0';
    return text;
}
