#include "gate_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

void gate_peer_name(int fd, char name[GATE_PEER_MAX])
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    const struct sockaddr_in *v4 = (const void *)&peer;
    const struct sockaddr_in6 *v6 = (const void *)&peer;
    socklen_t size = sizeof peer;
    char address[INET6_ADDRSTRLEN];
    bool known = getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
    if (known && peer.ss_family == AF_INET &&
        inet_ntop(AF_INET, &v4->sin_addr, address, sizeof address) != NULL)
        snprintf(name, GATE_PEER_MAX, "%s:%u", address, ntohs(v4->sin_port));
    else if (known && peer.ss_family == AF_INET6 &&
             inet_ntop(AF_INET6, &v6->sin6_addr, address, sizeof address) != NULL)
        snprintf(name, GATE_PEER_MAX, "[%s]:%u", address, ntohs(v6->sin6_port));
    else
        snprintf(name, GATE_PEER_MAX, "unknown");
}
