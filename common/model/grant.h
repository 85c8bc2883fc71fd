/* grant.h — what somebody may be allowed to do, by kind. A grant is a list of names, or everything.
 *
 *     G(NAME, "claim", "what its names are")
 *
 * The claim is its name in JWTs and in the configuration (auth.tokens[], auth.users[]). Who is asked: identity.h of the worker. machines_command
 * implies machines_view of the same machines.
 */
#pragma once

#define GRANT_NAMES_MAX 256u /* in one grant */
#define GRANT_ALL       "*"  /* as the only name: everything of its kind */

#define GRANT_TABLE(G)                                                                                       \
    G(CHANNELS, "channels", "channels to join")                                                              \
    G(ENTITIES_READ, "entities_read", "entities to read: sensor, lectura, ubicacion, anomalia, prediccion")  \
    G(ENTITIES_WRITE, "entities_write", "entities to create, change and delete")                             \
    G(MACHINES_VIEW, "machines_view", "machines whose state, results and events are shown")                  \
    G(MACHINES_COMMAND, "machines_command", "machines that may be commanded (and are shown)")                \
    G(STREAMS, "streams", "streams to open")

enum grant_e {
#define G(NAME, claim, text) GRANT_##NAME,
    GRANT_TABLE(G)
#undef G
        GRANT_COUNT
};
