/**
 * @file roam.h
 * The whole agent with its loop: the core (core.h) with sockets, timers, name resolution and a network monitor around it, on libuv.
 *
 *     roam_agent_config config;
 *     roam_agent_config_default(&config);
 *     config.on_event = on_event;
 *     roam_agent *agent = roam_agent_new(&config);
 *     roam_account_add(roam_agent_ua(agent), &account, NULL);
 *     roam_agent_run(agent);
 *     roam_agent_free(agent);
 */
#ifndef ROAM_ROAM_H
#define ROAM_ROAM_H

#include "roam/core.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roam_agent roam_agent;

/** Set with roam_agent_config_default() first, which also draws the seed from the OS. */
typedef struct roam_agent_config {
    roam_ua_config ua;
    bool monitor;    /**< watch the OS's networks (Linux: netlink); default true. False, or a platform without monitor: the application calls roam_agent_network_update() */
    /**
     * A uv_loop_t of the application to live on; NULL: the agent makes its own. It is the caller's. The agent keeps it alive while it exists; after
     * roam_agent_free() it must run once more, or to its end, before it is closed: libuv closes handles in a later turn.
     */
    void *uv_loop;
    /** Everything that happens, on the agent's thread. Commands may be called from inside. May be NULL. */
    void (*on_event)(void *user, roam_agent *agent, const roam_event *event);
    /** P7: the same ROAM_EVENT_IP_CHANGE_PROGRESS events in the form that a PJSUA user expects; may be NULL. */
    void (*on_ip_change_progress)(void *user, roam_ip_change_op op, int status, const roam_event *info);
    void *user;
} roam_agent_config;
ROAM_API void roam_agent_config_default(roam_agent_config *config);

/** NULL when the OS or memory refuses, or when the seed is all zero; the reason is in the trace. `ua.route_answers` is set by the agent. */
ROAM_API roam_agent *roam_agent_new(const roam_agent_config *config);
/**
 * Call on the agent's thread, not from inside a callback of the agent (an assert says so). Sends nothing more; see roam_agent_shutdown().
 * What roam_post() queued and did not run yet is dropped. On the application's loop the last memory goes when that loop runs on.
 */
ROAM_API void roam_agent_free(roam_agent *agent);

/** The core, its time brought up to date, for the commands of account.h, call.h and network.h. What they cause is carried out when the loop runs on. */
ROAM_API roam_ua *roam_agent_ua(roam_agent *agent);
/** Runs until roam_agent_stop(); on the application's loop this runs all of that loop. ROAM_ESTATE from inside a callback. */
ROAM_API int roam_agent_run(roam_agent *agent);
/** Ends the turn of roam_agent_run(), or the next one where none runs. On the agent's thread; elsewhere use roam_post(). */
ROAM_API void roam_agent_stop(roam_agent *agent);
/**
 * Ends calls, unregisters, tells ROAM_EVENT_SHUTDOWN_DONE, then stops the loop. An application's loop that it runs itself goes on: there the event
 * is the sign that the agent may be freed (not from inside the event).
 */
ROAM_API void roam_agent_shutdown(roam_agent *agent);
/** Carries out outputs now instead of at the loop's next turn. Does nothing from inside an event: they go out when it returns. */
ROAM_API void roam_agent_flush(roam_agent *agent);

/** The feed of an application in place of the monitor (P12). ROAM_ESTATE while the agent's own monitor runs. */
ROAM_API int roam_agent_network_update(roam_agent *agent, const roam_network *network);

/**
 * Runs `fn(user, agent)` soon on the agent's thread. The one function that may be called from any thread, until roam_agent_free() begins.
 * The calls of one thread are kept in order; none is lost. ROAM_ENOMEM.
 */
ROAM_API int roam_post(roam_agent *agent, void (*fn)(void *user, roam_agent *agent), void *user);

/**
 * WAV files. The source reads what libsndfile reads, mixed to mono and resampled to the call's rate. The sink writes 16 bit mono at the rate of its first
 * frame; the file is whole when the call lets go of it, and readable up to the last second where the process died before.
 * NULL when the file cannot be opened, or built without libsndfile. Owned by the caller until given to a call, which closes it.
 */
ROAM_API roam_audio_source *roam_wav_source(const char *path, bool repeat);
ROAM_API roam_audio_sink *roam_wav_sink(const char *path);

#ifdef __cplusplus
}
#endif
#endif
