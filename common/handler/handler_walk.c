/* handler_walk.c — how long a msgpack value is, by its headers (the msgpack specification's table of formats).
 *
 * Iterative, with a count per open container, so that no input decides how much stack it takes. Rejected: msgpack-c's own
 * msgpack_unpacker, which decodes while it walks; a second decoder of our own, which the library's users could not share.
 */
#include "handler_walk.h"

#include "handler_wire.h"
#include "must.h"

struct header {
    size_t len;     /* of the header itself */
    uint64_t bytes; /* that follow it and hold no further values */
    uint64_t items; /* values within it; of a map, keys and values */
    bool container;
};

/* 0xc0 to 0xdf: a count of `count_len` bytes, `more` bytes behind it; of containers, the values for each that it counts. */
struct shape {
    unsigned char count_len, more, items;
};
static const struct shape shapes[32] = {
    [0x02] = {0, 0, 0}, [0x03] = {0, 0, 0}, [0x04] = {1, 0, 0},  [0x05] = {2, 0, 0}, [0x06] = {4, 0, 0},
    [0x07] = {1, 1, 0}, [0x08] = {2, 1, 0}, [0x09] = {4, 1, 0},  [0x0a] = {0, 4, 0}, [0x0b] = {0, 8, 0},
    [0x0c] = {0, 1, 0}, [0x0d] = {0, 2, 0}, [0x0e] = {0, 4, 0},  [0x0f] = {0, 8, 0}, [0x10] = {0, 1, 0},
    [0x11] = {0, 2, 0}, [0x12] = {0, 4, 0}, [0x13] = {0, 8, 0},  [0x14] = {0, 2, 0}, [0x15] = {0, 3, 0},
    [0x16] = {0, 5, 0}, [0x17] = {0, 9, 0}, [0x18] = {0, 17, 0}, [0x19] = {1, 0, 0}, [0x1a] = {2, 0, 0},
    [0x1b] = {4, 0, 0}, [0x1c] = {2, 0, 1}, [0x1d] = {4, 0, 1},  [0x1e] = {2, 0, 2}, [0x1f] = {4, 0, 2},
};

static struct header fixed(uint64_t bytes)
{
    return (struct header){.len = 1, .bytes = bytes};
}

static struct header container(uint64_t items)
{
    return (struct header){.len = 1, .items = items, .container = true};
}

static bool shaped(const unsigned char *at, size_t left, struct header *header)
{
    const struct shape *shape = &shapes[at[0] & 0x1f];
    if (at[0] == 0xc1 || left < 1u + shape->count_len)
        return false;
    uint64_t count = 0;
    for (unsigned i = 1; i <= shape->count_len; i++)
        count = count << 8 | at[i];
    *header = (struct header){.len = 1u + shape->count_len, .container = shape->items > 0};
    if (header->container)
        header->items = count * shape->items;
    else
        header->bytes = count + shape->more;
    return true;
}

/* False: not all of it is there, or no value begins so. */
static bool read_header(const unsigned char *at, size_t left, struct header *header)
{
    if (left == 0)
        return false;
    if (at[0] <= 0x7f || at[0] >= 0xe0)
        *header = fixed(0);
    else if (at[0] <= 0x8f)
        *header = container(2u * (at[0] & 0x0fu));
    else if (at[0] <= 0x9f)
        *header = container(at[0] & 0x0fu);
    else if (at[0] <= 0xbf)
        *header = fixed(at[0] & 0x1fu);
    else if (!shaped(at, left, header))
        return false;
    return header->bytes <= left - header->len && header->items <= left - header->len;
}

/* Small integers, and texts of up to 31 bytes, which are most of a message: 1 to 32 bytes in all; 0: look at the whole header. */
static inline size_t short_scalar(unsigned char first)
{
    if (first <= 0x7f || first >= 0xe0)
        return 1;
    return first >= 0xa0 && first <= 0xbf ? 1u + (first & 0x1fu) : 0;
}

enum err_e handler_walk(const void *bytes, size_t len, unsigned depth, size_t *used)
{
    uint64_t open[HANDLER_DEPTH_MAX + 2]; /* values still to come in the containers around this one */
    uint64_t left = 1;                    /* … and in this one */
    const unsigned char *p = bytes;
    unsigned level = 0;
    size_t at = 0, values = 0;
    MUST(depth < ARRAY_LEN(open));
    for (;; left--) {
        while (left == 0 && level > 0)
            left = open[--level];
        if (left == 0)
            break;
        if (++values > HANDLER_VALUES_MAX)
            return ERR_TOO_LARGE;
        size_t quick = at < len ? short_scalar(p[at]) : 0;
        if (quick > 0 && quick <= len - at) {
            at += quick;
            continue;
        }
        struct header header;
        if (!read_header(p + at, len - at, &header))
            return ERR_MALFORMED;
        if (header.container && level >= depth)
            return ERR_TOO_LARGE;
        at += header.len + header.bytes;
        if (header.items > 0) {
            open[level++] = left - 1;
            left = header.items + 1;
        }
    }
    *used = at;
    return ERR_OK;
}

bool handler_walk_array(const void *bytes, size_t len, size_t *used, uint64_t *items)
{
    const unsigned char *at = bytes;
    struct header header;
    if (!read_header(at, len, &header) || !header.container || at[0] <= 0x8f || at[0] >= 0xde)
        return false;
    *used = header.len;
    *items = header.items;
    return true;
}

bool handler_is_container(unsigned char first)
{
    return (first >= 0x80 && first <= 0x9f) || (first >= 0xdc && first <= 0xdf);
}

enum err_e handler_value(const void *bytes, size_t len)
{
    size_t used;
    enum err_e err = handler_walk(bytes, len, HANDLER_DEPTH_MAX, &used);
    return err != ERR_OK ? err : used == len ? ERR_OK : ERR_MALFORMED;
}
