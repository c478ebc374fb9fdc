/* Registers, calls somebody and plays a tone until the other side hangs up or the call fails. Networks may come and go
 * meanwhile.
 *
 *     ROAM_PASSWORD=secret minimal_call sip:alice@example.com sip:bob@example.com */
#include <roam/roam.h>

#include <stdio.h>
#include <stdlib.h>

static const char *peer;

static void on_event(void *user, roam_agent *agent, const roam_event *event)
{
    (void)user;
    if (event->type == ROAM_EVENT_REGISTRATION) {
        printf("registration: %s\n", roam_registration_state_text(event->registration));
        if (event->registration == ROAM_REGISTRATION_REGISTERED && peer) {
            roam_call_options options = {.source = roam_tone_source(440)};
            roam_call_make(roam_agent_ua(agent), event->account, peer, &options, NULL);
            peer = NULL; /* once */
        }
    } else if (event->type == ROAM_EVENT_CALL_STATE) {
        printf("call: %s %s\n", roam_call_state_text(event->call_state), event->reason);
        if (event->call_state == ROAM_CALL_ENDED)
            roam_agent_shutdown(agent);
    } else if (event->type == ROAM_EVENT_IP_CHANGE_PROGRESS) {
        printf("network: %s\n", roam_ip_change_op_text(event->op));
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    peer = argv[2];
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.on_event = on_event;
    roam_agent *agent = roam_agent_new(&config);
    roam_account_config account;
    roam_account_config_default(&account);
    account.aor = argv[1];
    account.registrar = argv[1];
    account.password = getenv("ROAM_PASSWORD");
    if (!agent || roam_account_add(roam_agent_ua(agent), &account, NULL) != ROAM_OK)
        return 1;
    roam_agent_run(agent);
    roam_agent_free(agent);
    return 0;
}
