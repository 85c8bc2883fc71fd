/* ask_text.h — what the endpoints' bench asks: two messages of a fixed length, their JSON Schemas, and the answer that an echo
 * gives, byte for byte.
 *
 *     small   107 bytes, five members
 *     nested  about 2 KiB: an object, a list of objects that hold objects, lists of words
 *
 *     {"id":"00000000000003e8","user":…                        what is asked: 16 hexadecimal digits are its running number
 *     {"statusCode":200,"body":{"id":"00000000000003e8",…}}    what a validated endpoint answers
 *
 * Members stand in the order of the schema, nothing is missing or superfluous, and every number has one shortest form: so what a schema
 * makes of the message, written as compact JSON, is the message, and an answer is compared without being parsed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ASK_TEXT_MAX       4096u
#define ASK_TEXT_DIGITS_AT 7u /* in the message; STREAM_TEXT_DIGITS of them */

#define ASK_ENVELOPE_HEAD "{\"statusCode\":200,\"body\":"
#define ASK_ENVELOPE_TAIL "}"

enum ask_text_e { ASK_SMALL, ASK_NESTED, ASK_TEXTS };

const char *ask_text_name(enum ask_text_e which);
const char *ask_text_schema(enum ask_text_e which);

/* The message with number 0; returns its length, less than ASK_TEXT_MAX. */
size_t ask_text_make(enum ask_text_e which, char text[ASK_TEXT_MAX]);
