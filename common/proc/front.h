/* front.h — where workers under Compose have their sockets from: `noria front`.
 *
 * An engine gives published ports to one container, and takes their network away with it. That container is `front` (`noria front`), which does nothing
 * else; the workers have no network at all. A socket belongs to the network in which socket() was called, whoever binds it, listens or accepts on it later.
 * So front makes the sockets, and the workers do everything else with them:
 *
 *     worker                                                front, on FRONT_SOCKET below the runtime directory, a volume of front and workers alone
 *     SOCKETS text="446"                    ──▶             a character per socket: 4 (AF_INET) or 6 (AF_INET6); 1 to CONTROL_FDS_MAX
 *                     ◀── SOCKETS text="446" number fds     in that order: TCP, non-blocking, not bound. Front keeps none of them
 *                     ◀── REFUSED text=why                  … or it cannot now (out of descriptors, no such family); it hangs up
 *     …                                                     nothing more is said: the end of the connection is the end of front, and of its network
 *
 * Packets and their checks are those of control.h, SOCK_SEQPACKET. `number` is 1 where the kernel gives what a closed socket was about to accept to
 * another one of its port (net.ipv4.tcp_migrate_req of front's network, which a worker cannot read any more), else 0.
 *
 * Front hangs up on everybody else, and says so in its log: another uid than its own (SO_PEERCRED), a request that is none, a second one, none within
 * FRONT_PATIENCE_NS. A worker waits for front as long as it takes, and asks again every FRONT_RETRY_MS; what is no good answer, or none within
 * FRONT_PATIENCE_NS, is asked for again on another connection. So it does not matter who is started first. With the end of the connection on which
 * its sockets came a worker ends, too: nobody reaches them any more, and the engine starts it again.
 *
 * Rejected: workers in front's network (network_mode: service:front): an engine that starts all containers at once, at boot, gives up for good a worker
 * that it reaches before front; sockets that front binds (it would have to know the configuration, and be restarted with it); the socket
 * in bus/ (agents see that, and one that a PLC broke into could listen on the workers' ports).
 */
#pragma once

#define FRONT_VARIABLE    "NORIA_FRONT" /* =1: a worker has its sockets from front */
#define FRONT_SOCKET      "front/front.sock"
#define FRONT_PATIENCE_NS 5000000000ull
#define FRONT_RETRY_MS    20u
