/* schema_pattern_internal.h — between schema_pattern_parse.c, which makes the program, and schema_pattern.c, which runs it. */
#pragma once

#include <stdint.h>

#include "schema_pattern.h"
#include "schema_unicode.h"

enum op_e {
    OP_CLASS,  /* one character of classes[a] */
    OP_SPLIT,  /* go on at a, and at b */
    OP_JUMP,   /* go on at a */
    OP_ASSERT, /* go on behind it where enum assert_e a holds */
    OP_FOUND
};

enum assert_e { ASSERT_START, ASSERT_END, ASSERT_WORD, ASSERT_NOT_WORD };

struct op {
    uint8_t kind; /* enum op_e */
    uint16_t a, b;
};

/* Sorted ranges that do not touch; ASCII in a bitmap beside them. */
struct char_class {
    uint64_t ascii[2];
    uint32_t first, count; /* of ranges[] */
};

#define PATTERN_CLASSES   256u
#define PATTERN_RANGES    16384u
#define PATTERN_POSITIONS 255u /* CLASS instructions; one bit more says that the pattern is found */
#define PATTERN_WORDS     4u

/* A set of positions. */
struct positions {
    uint64_t bits[PATTERN_WORDS];
};

/* What may follow each position, between two characters of which the first and second are word characters or not: for each four
 * positions in a row and each set of them, the union. */
struct follow {
    struct positions *sets;   /* [chunk * 16 + which of the four] */
    struct positions restart; /* what may begin there */
};

struct schema_pattern {
    char *text;
    struct op ops[SCHEMA_PATTERN_PROGRAM];
    uint16_t op_count;
    struct char_class classes[PATTERN_CLASSES];
    uint32_t class_count;
    struct schema_range *ranges;
    uint32_t range_count, range_room;

    /* made of the above by pattern_prepare() */
    uint16_t op_of[PATTERN_POSITIONS], position_of[SCHEMA_PATTERN_PROGRAM];
    unsigned position_count;
    bool anchored;     /* it begins at the start of the text or nowhere */
    bool words_matter; /* there is a \b or \B: four follows, else one */
    struct follow follows[4];
    struct positions first[2]; /* before the first character, which is none of a word or is */
    struct positions last[2];  /* who, behind the last character, is at the end of a match */
    bool found_in_nothing;     /* in the empty text */
    struct positions of_ascii[128], of_class[PATTERN_CLASSES]; /* who takes it */
};

/* Makes the tables that matching needs; false: *why, or NULL without memory. */
bool pattern_prepare(struct schema_pattern *pattern, const char **why);

/* The character at *at, which moves behind it: U+FFFD for a byte that is none, PATTERN_NO_CODE at the end. */
#define PATTERN_NO_CODE UINT32_MAX
uint32_t pattern_next_code(const char **at, const char *end);

bool pattern_in_ranges(const struct schema_range *ranges, uint32_t count, uint32_t code);

/* --- of schema_pattern_class.c: the set of characters that is being read -------------------------------------------- */

struct char_set {
    struct schema_range *ranges;
    uint32_t count, room;
    bool memory; /* was missing */
};

/* All return false without memory, or beyond PATTERN_RANGES. */
bool char_set_add(struct char_set *set, uint32_t first, uint32_t last);
bool char_set_add_table(struct char_set *set, const struct schema_range *table, unsigned count, bool others);
bool char_set_normalize(struct char_set *set, bool others);
void char_set_fini(struct char_set *set);

/* The class of a normalized set, as an index of pattern->classes; -1: no room, or no memory. */
int pattern_add_class(struct schema_pattern *pattern, struct char_set *set);
