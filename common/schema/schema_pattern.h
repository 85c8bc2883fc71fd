/* schema_pattern.h — regular expressions of a named subset, matched in linear time. Pure.
 *
 * Pydantic gives patterns to Rust's regex: no backtracking, found anywhere in the text unless anchored. This is the same search for
 * the part of that syntax that declarations use, by Glushkov's automaton run on bits (Navarro and Raffinot, "Flexible Pattern Matching
 * in Strings", 5.4): all places in the pattern at which a match may stand are one set of 255 bits, and a character of the text costs
 * 64 look-ups of a table at most, whatever pattern and text are. Nothing is allocated.
 *
 *     a  \.  \-  \x41  \x{1F600}  \u00e9  \n \r \t \f \v \a     a character; every ASCII sign may be escaped, letters and digits
 *                                                          only as listed
 *     .                                                    every character but \n
 *     [abc]  [^a-z\d_-]                                    classes; in them \d \w \s and escapes; no [ unescaped, no && -- ~~
 *     \d \w \s \D \W \S                                    Unicode's digits, word characters, white space (schema_unicode.h)
 *     ^  \A      $  \z      \b  \B                         start; end of the text (not before a last \n); word boundary
 *     ab   a|b   (a)  (?:a)  (?P<name>a)  (?<name>a)       groups, nested up to 50
 *     *  +  ?  {n}  {n,}  {n,m}, each also with ?          whether lazily or not makes no difference to a search
 *
 * Refused: everything else, among it look-around and back references (Rust refuses them, too), \p{…}, flags, more than
 * 255 characters and classes, or SCHEMA_PATTERN_PROGRAM instructions (a counted repetition multiplies what it repeats).
 *
 * Rejected: Pike's machine, which visits up to 512 instructions per character (about 15 times slower at its worst: README.md);
 * a DFA made while matching (some patterns never get the same state twice); POSIX regcomp() (its {n,m} and back
 * references take exponential time and memory); PCRE2 with limits (backtracks: a limit turns a slow pattern into a wrong
 * answer); RE2 (a C++ run time in every worker, for what are 900 lines here).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SCHEMA_PATTERN_PROGRAM 512u
#define SCHEMA_PATTERN_TEXT    1024u

struct schema_pattern;

/* Compiles. NULL and *why (static): what is wrong with the text; *why NULL: no memory. */
struct schema_pattern *schema_pattern_new(const char *text, size_t len, const char **why);
void schema_pattern_free(struct schema_pattern **pattern);

/* Whether it is found in the text, which is UTF-8 (a byte that is none counts as U+FFFD). */
bool schema_pattern_found(const struct schema_pattern *pattern, const char *text, size_t len);

/* The text it was made from, with a NUL behind. */
const char *schema_pattern_text(const struct schema_pattern *pattern);
