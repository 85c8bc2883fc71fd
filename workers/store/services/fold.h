/* fold.h — what a person who searches takes for the same text: "almacen" finds "ALMACÉN", "nandu" finds "Ñandú".
 *
 * Folded are: upper case to lower case in Latin, Greek and Cyrillic (U+0000 to U+052F, U+1E00 to U+1EFF); letters with accents to the letters
 * under them, where they are one character, in Latin-1 and Latin Extended-A (Spanish, Portuguese, French, German, Polish, Turkish …: ñ → n, ø → o,
 * ł → l, ß → ss, æ → ae, œ → oe), Greek with tonos, and Cyrillic ё; combining accents (U+0300 to U+036F) to nothing, so that both ways of writing é are
 * one. Everything else stays. Rejected: ICU (30 MiB for one search), SQLite's LIKE (ASCII alone, and % and _ mean something), a table of all of
 * Unicode. Pure. What is not UTF-8 stays as it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Writes the folded text, which is never longer than the text, to `out` (which may be `text`), and returns its length. */
size_t fold_text(const char *text, size_t len, char *out);
