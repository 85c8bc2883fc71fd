/* bench_frame_counter_test.c — cutting a byte stream into frames: every size class, every place where a read can end,
 * and what a client must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frame_counter.h"

static size_t put_server_frame(unsigned char *out, unsigned char first, size_t len)
{
    size_t at = 0;
    out[at++] = first;
    if (len < 126) {
        out[at++] = (unsigned char)len;
    } else {
        size_t size_bytes = len <= 0xffff ? 2 : 8;
        out[at++] = size_bytes == 2 ? 126 : 127;
        for (size_t i = 0; i < size_bytes; i++)
            out[at++] = (unsigned char)((uint64_t)len >> (8 * (size_bytes - 1 - i)));
    }
    memset(out + at, 'x', len);
    return at + len;
}

struct counted {
    unsigned texts, pings;
    size_t bytes;
};

/* What the generator does with one read. */
static void feed(struct frame_carry *carry, const unsigned char *data, size_t len, struct counted *counted)
{
    size_t cap = FRAME_LIMIT + 65536;
    unsigned char *buffer = malloc(cap);
    size_t at = 0, have = frame_carry_load(carry, buffer, cap);
    memcpy(buffer + have, data, len);
    have += len;
    struct frame frame;
    enum frame_step_e step;
    while ((step = frame_next(buffer + at, have - at, &frame)) == FRAME_WHOLE) {
        counted->texts += frame.opcode == 1;
        counted->pings += frame.opcode == 9;
        counted->bytes += frame.len;
        at += frame.total;
    }
    assert_int_equal(step, FRAME_PART);
    assert_int_equal(frame_carry_store(carry, buffer + at, have - at), ERR_OK);
    free(buffer);
}

static size_t make_stream(unsigned char *out)
{
    static const size_t sizes[] = {0, 1, 125, 126, 300, 0xffff, 0x10000};
    size_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        at += put_server_frame(out + at, 0x81, sizes[i]);
    return at + put_server_frame(out + at, 0x89, 4);
}

static void every_split_gives_the_same_frames(void **state)
{
    (void)state;
    unsigned char *stream = malloc(300000);
    size_t len = make_stream(stream), payload = 0 + 1 + 125 + 126 + 300 + 0xffff + 0x10000 + 4;
    for (size_t cut = 0; cut <= len; cut = cut < 700 || cut > len - 30 ? cut + 1 : cut + 4099) {
        struct frame_carry carry = {0};
        struct counted counted = {0};
        feed(&carry, stream, cut, &counted);
        feed(&carry, stream + cut, len - cut, &counted);
        assert_int_equal(counted.texts, 7);
        assert_int_equal(counted.pings, 1);
        assert_int_equal(counted.bytes, payload);
        assert_int_equal(carry.len, 0);
        frame_carry_fini(&carry);
    }
    free(stream);
}

static void byte_by_byte(void **state)
{
    (void)state;
    unsigned char stream[1000];
    size_t len = put_server_frame(stream, 0x81, 130);
    len += put_server_frame(stream + len, 0x8a, 0);
    len += put_server_frame(stream + len, 0x82, 200);
    struct frame_carry carry = {0};
    struct counted counted = {0};
    for (size_t i = 0; i < len; i++)
        feed(&carry, stream + i, 1, &counted);
    assert_int_equal(counted.texts, 1);
    assert_int_equal(counted.bytes, 330);
    frame_carry_fini(&carry);
}

static void what_no_server_may_send(void **state)
{
    (void)state;
    static const unsigned char bad[][2] = {
        {0x81, 0x85}, /* masked */
        {0xc1, 0x05}, /* reserved bit */
        {0x83, 0x05}, /* reserved opcode */
        {0x8b, 0x05}, /* reserved control opcode */
        {0x09, 0x05}, /* fragmented ping */
        {0x88, 0x7e}, /* long close */
    };
    struct frame frame;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(frame_next(bad[i], 2, &frame), FRAME_BAD);
    static const unsigned char huge[10] = {0x81, 127, 0x80};
    assert_int_equal(frame_next(huge, sizeof huge, &frame), FRAME_BAD);
}

static void client_frames_unmask_to_their_payload(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 5, 125, 126, 70000};
    unsigned char *payload = malloc(70000), *out = malloc(70000 + FRAME_CLIENT_HEAD);
    for (size_t i = 0; i < 70000; i++)
        payload[i] = (unsigned char)(i * 7);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t len = sizes[i],
               total = frame_client(out, len + FRAME_CLIENT_HEAD, 1, payload, len, 0x11223344);
        size_t head = total - len;
        assert_int_equal(head, len < 126 ? 6 : len <= 0xffff ? 8 : 14);
        assert_int_equal(out[0], 0x81);
        assert_true((out[1] & 0x80) != 0);
        for (size_t k = 0; k < len; k++)
            assert_int_equal(out[head + k] ^ out[head - 4 + k % 4], payload[k]);
    }
    assert_int_equal(frame_client(out, FRAME_CLIENT_HEAD + 4, 1, payload, 5, 1), 0);
    free(payload);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_frames),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(what_no_server_may_send),
        cmocka_unit_test(client_frames_unmask_to_their_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
