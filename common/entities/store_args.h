/* store_args.h — arguments of what a worker asks the store: rows of named, typed values. One table for both ends.
 *
 *     A(NAME, "member", TYPE)      "member" is its name in JSON and in queries; TYPE INT, REAL, TEXT or BOOL
 *
 * Encoded: a byte per value with the argument's number, one with its kind, 8 bytes or a length and bytes behind it; a row ends with a
 * zero byte. The same process image writes and reads it as long as both speak the same WIRE_VERSION; a change here is a change of that.
 * The reader takes exactly what the writer makes: anything else is ERR_MALFORMED, never undefined. Texts of a row point into the bytes
 * that it was read from. No allocation, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "errcode.h"

#define STORE_ARG_TABLE(A)                                                                                   \
    A(TIPO, "tipo", TEXT)                                                                                    \
    A(MODELO, "modelo", TEXT)                                                                                \
    A(SENSOR_ID, "sensor_id", INT)                                                                           \
    A(TEMPERATURA, "temperatura", REAL)                                                                      \
    A(HUMEDAD, "humedad", REAL)                                                                              \
    A(TIMESTAMP, "timestamp", INT)                                                                           \
    A(LATITUD, "latitud", REAL)                                                                              \
    A(LONGITUD, "longitud", REAL)                                                                            \
    A(DESCRIPCION, "descripcion", TEXT)                                                                      \
    A(LECTURA_ID, "lectura_id", INT)                                                                         \
    A(MACHINE_ID, "machine_id", TEXT)                                                                        \
    A(VALOR, "valor", REAL)                                                                                  \
    A(RESUELTA, "resuelta", BOOL)                                                                            \
    A(UBICACION_ID, "ubicacion_id", INT)                                                                     \
    A(PROBABILIDAD, "probabilidad", REAL)                                                                    \
    A(COMENTARIO, "comentario", TEXT)                                                                        \
    A(SKIP, "skip", INT)                                                                                     \
    A(LIMIT, "limit", INT)                                                                                   \
    A(DESDE, "desde", INT)                                                                                   \
    A(HASTA, "hasta", INT)                                                                                   \
    A(HOURS, "hours", REAL)                                                                                  \
    A(THRESHOLD, "threshold", REAL)                                                                          \
    A(Q, "q", TEXT)                                                                                          \
    A(RADIO, "radio", REAL)                                                                                  \
    A(TEMPERATURA_PROMEDIO, "temperatura_promedio", REAL)                                                    \
    A(HUMEDAD_PROMEDIO, "humedad_promedio", REAL)                                                            \
    A(CHANNEL, "channel", TEXT)                                                                              \
    A(MESSAGE, "message", TEXT)                                                                              \
    A(SINCE_RING, "since_ring", INT)                                                                         \
    A(SINCE_N, "since_n", INT)

enum store_arg_e {
    STORE_ARG_END, /* of a row */
#define A(NAME, member, TYPE) ARG_##NAME,
    STORE_ARG_TABLE(A)
#undef A
        ARG_COUNT
};

enum store_kind_e { STORE_NULL, STORE_INT, STORE_REAL, STORE_TEXT, STORE_BOOL };

struct store_text {
    const char *at; /* UTF-8 without NUL, not ended by one */
    uint32_t len;
};

struct store_value {
    enum store_kind_e kind;
    union {
        int64_t whole;
        double real; /* finite */
        struct store_text text;
        bool truth;
    };
};

struct store_row {
    uint64_t present; /* bit ARG_…: it is there (perhaps null) */
    struct store_value values[ARG_COUNT];
};
_Static_assert(ARG_COUNT <= 64, "a bit each");

static inline bool store_row_has(const struct store_row *row, enum store_arg_e arg)
{
    return (row->present >> arg & 1) != 0;
}

const char *store_arg_name(enum store_arg_e arg);
enum store_kind_e store_arg_kind(enum store_arg_e arg);
/* By name in JSON; STORE_ARG_END: none. */
enum store_arg_e store_arg_find(const char *name, size_t len);

/* A value of the argument's kind, or null. */
void store_row_set(struct store_row *row, enum store_arg_e arg, struct store_value value);

/* One row. `out` overflows if there is no room. */
void store_args_put(struct out *out, const struct store_row *row);

/* Takes the next row out of *args, which moves on. ERR_OK; ERR_NOT_FOUND: the end; ERR_MALFORMED: not what the writer makes (a kind
 * that is not the argument's, one twice or out of order, one byte too few, text that is not UTF-8 or has a NUL, nan). */
struct store_args {
    const unsigned char *at;
    size_t left;
};
enum err_e store_args_next(struct store_args *args, struct store_row *row);
