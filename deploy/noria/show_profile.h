/* show_profile.h — `noria profile`: which profiles there are, and what one makes of each of the 256 status bytes. */
#pragma once

#include <stdio.h>

#include "conf.h"

/* One line per profile: name, version, number of bits, where it comes from, machines that use it. `conf` NULL: the
 * built-in ones only. */
void show_profiles(const struct conf *conf, FILE *out);

/* A line per byte: decimal, hexadecimal, bits, each key's text, the meanings, and whether a move would be admitted on that
 * reading (interlock.h, as the agent decides it), else why not. */
void show_profile(const struct profile *profile, FILE *out);
