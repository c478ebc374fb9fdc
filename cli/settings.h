/* What the options of agent, phone, register and call say. */
#ifndef ROAM_CLI_SETTINGS_H
#define ROAM_CLI_SETTINGS_H

#include "cli/options.h"
#include "roam/roam.h"

typedef struct cli_account {
    roam_account_config config; /* its texts live in the settings */
    bool no_register;
    struct cli_secret *secret;
} cli_account;

typedef struct cli_settings {
    roam_agent_config agent;
    cli_account before;      /* options that came before the first --account: what every account begins with */
    cli_account *accounts;
    size_t naccounts;
    const char *source;      /* "tone:440", a file, or NULL: silence */
    const char *sink;        /* a file, or NULL: discarded. May hold %i */
    const char *trace;
    const char *control;
    bool auto_answer;
    uint32_t auto_answer_ms;
    bool json;
    uint32_t duration_s;     /* of `call`: 0: until somebody hangs up */
    uint32_t timeout_s;      /* of `register` and `call` */
    bool stay;               /* of `register` */
    struct cli_text *texts;
    struct cli_secret *secrets;
} cli_settings;

void settings_init(cli_settings *settings);
void settings_free(cli_settings *settings);
/* The passwords are wiped: the agent has its own copy now. */
void settings_forget_secrets(cli_settings *settings);
/* Parses a command line; `extra` (may be NULL) are options of the subcommand, whose target is the settings too. As options_parse(). */
int settings_parse(cli_settings *settings, const char *subcommand, const cli_option *extra, int argc, char **argv, char **rest, int *nrest,
                   void (*help)(void));
/* What is only known when all options are: the registrar of each account. False: what is wrong was said. */
bool settings_finish(cli_settings *settings, const char *subcommand, bool account_needed);

extern const cli_option settings_call_options[];     /* --duration, --timeout, --json */
extern const cli_option settings_register_options[]; /* --stay, --timeout, --json */
extern const cli_option settings_agent_options[];    /* --control */

/* A copy that lives as long as the settings; NULL without memory. */
char *settings_text(cli_settings *settings, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "bob", "bob@host", "sip:bob@host": with a scheme. */
const char *settings_uri(cli_settings *settings, const char *text);

/* The first line of a password file, without its end, into `space`; NULL, or what is wrong. */
const char *password_read(const char *path, char *space, size_t size);

/* Sound as an option or command names it. `tone:HZ`, `null` (*out NULL) or a file. NULL, or what is wrong. */
const char *sound_source(const char *text, roam_audio_source **out);
/* `null` or a file, %i in its name is the call's id. */
const char *sound_sink(const char *text, roam_call_id call, roam_audio_sink **out);

#endif
