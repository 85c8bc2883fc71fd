/* front.h — how workers under Compose notice that the container whose network they live in is gone.
 *
 * The workers share the network namespace of one container, `front` (`noria front`), which also holds the published ports. When it dies, the
 * engine makes it a new namespace and leaves the workers in the old one, where nobody reaches them. So `noria front` listens on an abstract
 * Unix socket, which lives in the network namespace and is there for whoever is in the same: a worker with NORIA_FRONT=1 keeps a connection to
 * it, on which nothing is said. Its end, or a refusal, means that front is gone; the worker then ends with PROC_EXIT_FAILURE, and the engine starts
 * it in the new namespace.
 *
 * Not at once: an engine that finds front not running gives the worker up for good. So front also listens on FRONT_BEACON below the runtime
 * directory, which every namespace sees, and a worker that lost its front ends when somebody accepts there again, FRONT_PATIENCE_NS at the latest;
 * after FRONT_GONE_NS where there is no such file.
 */
#pragma once

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define FRONT_VARIABLE "NORIA_FRONT"
#define FRONT_SOCKET   "noria-front" /* abstract: a NUL stands before it */
#define FRONT_BEACON   "bus/front.sock"

#define FRONT_GONE_NS     2000000000ull
#define FRONT_PATIENCE_NS 30000000000ull

/* The address, and its length for bind() and connect(). */
static inline socklen_t front_address(struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, FRONT_SOCKET, sizeof FRONT_SOCKET - 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof FRONT_SOCKET);
}
