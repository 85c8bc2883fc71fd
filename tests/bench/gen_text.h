/* gen_text.h — what a client of the generator subscribes to: the scenario's text, or machines of its own, and where it
 * left off. Inside of gen.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "gen.h"

#define GEN_TEXT_MAX     4096u
#define GEN_SET_MAX      50u /* machines of one client's own set: 1 to this many */
#define GEN_SEQ_TEXT_MAX 32u

/* Which machines client `index` of GEN_SETS asks for, each once; the same for the same arguments. Returns the number. */
uint32_t gen_text_set(uint32_t index, uint32_t machines, uint32_t set[GEN_SET_MAX]);

/* Writes the subscription of client `index`; `since` "" or "RING-N". Returns its length, less than GEN_TEXT_MAX. */
size_t gen_text(const struct gen_options *options, uint32_t index, const char *since,
                char text[GEN_TEXT_MAX]);

/* "RING-N" of a frame whose last member is seq; "" if it has none. */
void gen_text_seq(const unsigned char *payload, size_t len, char seq[GEN_SEQ_TEXT_MAX]);
