/* gate_peer: who is at the other end of a socket, as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate_peer.h"

struct pair {
    int listener, client, server;
};

/* A TCP connection over loopback. False: this host has no such loopback. */
static bool connect_pair(struct pair *pair, struct sockaddr *address, socklen_t size)
{
    *pair = (struct pair){socket(address->sa_family, SOCK_STREAM, 0),
                          socket(address->sa_family, SOCK_STREAM, 0), -1};
    if (pair->listener < 0 || bind(pair->listener, address, size) != 0)
        return false;
    assert_int_equal(listen(pair->listener, 1), 0);
    assert_int_equal(getsockname(pair->listener, address, &size), 0);
    assert_int_equal(connect(pair->client, address, size), 0);
    pair->server = accept(pair->listener, NULL, NULL);
    assert_true(pair->server >= 0);
    assert_int_equal(getsockname(pair->client, address, &size), 0);
    return true;
}

static void close_pair(const struct pair *pair)
{
    close(pair->listener);
    close(pair->client);
    close(pair->server);
}

static void a_client_is_named_by_address_and_port(void **state)
{
    (void)state;
    struct pair pair;
    char name[GATE_PEER_MAX], expected[GATE_PEER_MAX];
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(connect_pair(&pair, (struct sockaddr *)&v4, sizeof v4));
    gate_peer_name(pair.server, name);
    snprintf(expected, sizeof expected, "127.0.0.1:%u", ntohs(v4.sin_port));
    assert_string_equal(name, expected);
    close_pair(&pair);

    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (connect_pair(&pair, (struct sockaddr *)&v6, sizeof v6)) {
        gate_peer_name(pair.server, name);
        snprintf(expected, sizeof expected, "[::1]:%u", ntohs(v6.sin6_port));
        assert_string_equal(name, expected);
    }
    close_pair(&pair);
}

static void whoever_is_gone_or_no_client_is_unknown(void **state)
{
    (void)state;
    char name[GATE_PEER_MAX];
    int ends[2];
    gate_peer_name(-1, name);
    assert_string_equal(name, "unknown");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    gate_peer_name(ends[0], name);
    assert_string_equal(name, "unknown");
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_named_by_address_and_port),
        cmocka_unit_test(whoever_is_gone_or_no_client_is_unknown),
    };
    return cmocka_run_group_tests_name("gate_peer", tests, NULL, NULL);
}
