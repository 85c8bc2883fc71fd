/* A peer of the broker's plays without a link: what link.h would not do. */
#include "broker_store_stage.h"

#include <zmq.h>

void mute_open(struct stage *stage, struct mute *mute, enum wire_role_e role, uint64_t incarnation,
               uint64_t wanted_slot)
{
    unsigned char buffer[1024];
    int zero = 0, patience_ms = DEADLINE_MS;
    struct wire_message message = {.type = WIRE_HELLO};
    message.hello = (struct wire_hello){.version = WIRE_VERSION,
                                        .role = role,
                                        .incarnation = incarnation,
                                        .slot = wanted_slot,
                                        .machine = wire_text("")};
    *mute = (struct mute){.context = zmq_ctx_new()};
    mute->socket = zmq_socket(mute->context, ZMQ_DEALER);
    zmq_setsockopt(mute->socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(mute->socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    assert_int_equal(zmq_connect(mute->socket, stage->endpoint), 0);
    zmq_send(mute->socket, buffer, wire_encode(&message, buffer, sizeof buffer), 0);
    int len = zmq_recv(mute->socket, buffer, sizeof buffer, 0);
    assert_true(len > 0);
    assert_int_equal(wire_decode(buffer, (size_t)len, &message), ERR_OK);
    assert_int_equal(message.type, WIRE_HELLO_OK);
}

void mute_vanishes(struct mute *mute)
{
    zmq_close(mute->socket);
    zmq_ctx_term(mute->context);
    *mute = (struct mute){0};
}
