/* gate_peer.h — who is at the other end of a client's socket, as text for the audit of commands (Hop: C1).
 *
 * Asked for when a command comes, not kept per connection: a hundred thousand idle ones would hold it for nothing. The
 * kernel's word, so that a client cannot say it of itself; behind a proxy it is the proxy's address.
 */
#pragma once

#define GATE_PEER_MAX 64u /* bytes with the NUL */

/* "127.0.0.1:43210", "[::1]:5"; "unknown" for a socket that is connected to nobody any more. */
void gate_peer_name(int fd, char name[GATE_PEER_MAX]);
