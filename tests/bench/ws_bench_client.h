/* ws_bench_client.h — the clients of ws_bench, in a process of their own: connections as a browser asks for them, made, dropped, or read from.
 * Whatever fails ends the process (bench_self.h).
 */
#pragma once

#include <stdint.h>

/* Asks for the upgrade, and does not wait for it. The `n`th comes from 127.0.0.2 and up, because one address pair has 28,000 ports only. */
int client_connect(uint16_t port, unsigned n);
void client_read_101(int fd);

/* So many times 64 connections at once. */
void client_handshakes(uint16_t port, unsigned rounds);
/* The caller's to free; the connections end with the process. */
int *client_open_many(uint16_t port, unsigned count);
/* So many that read everything until the server ends; a byte to `ready_fd` once they stand. */
void client_sink(uint16_t port, unsigned count, int ready_fd);
