/* An agent on a uv loop that the application has already, and a thread that asks it something.
 *
 *     uv_loop sip:alice@example.com        (no registrar is needed: the account is only there)
 *
 * The loop belongs to the application: here it also ticks once a second. A worker thread must not touch the agent; it
 * uses roam_post(), and what it posted runs on the loop's thread. After three ticks everything is taken down in order.
 */
#include <roam/roam.h>

#include <stdio.h>
#include <uv.h>

typedef struct application {
    uv_loop_t loop;
    uv_timer_t tick;
    uv_thread_t worker;
    roam_agent *agent;
    int ticks;
} application;

/* On the loop's thread, though the worker asked for it. */
static void print_counters(void *user, roam_agent *agent)
{
    (void)user;
    roam_ua_counters counters;
    roam_ua_get_counters(roam_agent_ua(agent), &counters);
    printf("%zu account(s), %zu call(s), %zu path(s), epoch %u\n", counters.accounts, counters.calls, counters.paths,
           (unsigned)counters.epoch);
}

static void work(void *user)
{
    application *app = user;
    for (int i = 0; i < 5; i++) {
        uv_sleep(400);
        roam_post(app->agent, print_counters, NULL);
    }
}

static void on_event(void *user, roam_agent *agent, const roam_event *event)
{
    application *app = user;
    printf("event: %s\n", roam_event_type_text(event->type));
    if (event->type == ROAM_EVENT_CALL_INCOMING)
        roam_call_answer(roam_agent_ua(agent), event->call, NULL);
    if (event->type == ROAM_EVENT_SHUTDOWN_DONE)
        uv_stop(&app->loop); /* not roam_agent_free(): we are inside its event */
}

static void on_tick(uv_timer_t *timer)
{
    application *app = timer->data;
    printf("tick %d\n", ++app->ticks);
    if (app->ticks == 3) {
        uv_timer_stop(&app->tick);
        roam_agent_shutdown(app->agent);
    }
}

int main(int argc, char **argv)
{
    application app = {0};
    if (argc != 2 || uv_loop_init(&app.loop) != 0)
        return 2;
    roam_agent_config config;
    roam_agent_config_default(&config);
    config.uv_loop = &app.loop;
    config.on_event = on_event;
    config.user = &app;
    app.agent = roam_agent_new(&config);
    roam_account_config account;
    roam_account_config_default(&account);
    account.aor = argv[1];
    if (!app.agent || roam_account_add(roam_agent_ua(app.agent), &account, NULL) != ROAM_OK)
        return 1;
    uv_timer_init(&app.loop, &app.tick);
    app.tick.data = &app;
    uv_timer_start(&app.tick, on_tick, 1000, 1000);
    if (uv_thread_create(&app.worker, work, &app) != 0)
        return 1;
    uv_run(&app.loop, UV_RUN_DEFAULT);
    uv_thread_join(&app.worker); /* nobody posts any more */
    roam_agent_free(app.agent);
    uv_close((uv_handle_t *)&app.tick, NULL);
    uv_run(&app.loop, UV_RUN_DEFAULT); /* the agent's handles close here */
    return uv_loop_close(&app.loop) == 0 ? 0 : 1;
}
