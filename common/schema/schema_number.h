/* schema_number.h — numbers in texts, by the rules of Pydantic's lax mode and of Rust. Pure.
 *
 * Sources: pydantic-core src/input/shared.rs (str_as_int, str_as_float, float_as_int) and tests/validators/test_int.py, test_float.py
 * for what is a number; Rust's f64::from_str and Display for f64 for texts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum number_e {
    NUMBER_OK,
    NUMBER_NONE,     /* the text is no such number */
    NUMBER_LARGE,    /* it is one, but not within 64 bits */
    NUMBER_FRACTION, /* it has a part behind the point */
    NUMBER_INFINITE
};

/* "12", " +1_000 ", "007", "12.00" (zeros only behind the point); spaces around are Unicode's. */
enum number_e schema_text_to_int(const char *text, size_t len, int64_t *out);

/* What Rust reads, spaces around it or single underscores in it (not both): "1e3", ".5", "5.". "inf" and "nan" are INFINITE;
 * so is 1e400. Text of more than 4,300 characters is NONE. `text` has a NUL at its end. */
enum number_e schema_text_to_float(const char *text, size_t len, double *out);

/* OK only for whole numbers strictly between -2^63 and 2^63. */
enum number_e schema_float_to_int(double value, int64_t *out);

/* The shortest decimal text that reads as this double, without exponent, as Rust shows it: 1, 0.5, 1000000000000000000000. */
#define SCHEMA_NUMBER_TEXT 352
void schema_float_to_text(double value, char out[SCHEMA_NUMBER_TEXT]);

/* As Python's repr() shows it: 1.0, 1e+16, 5e-324. */
void schema_float_to_repr(double value, char out[32]);
